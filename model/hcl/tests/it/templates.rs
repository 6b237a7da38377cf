use crate::dump::{check_all, expression, template};

#[test]
fn quoted_strings() {
    check_all(
        &[
            (r#""""#, r#""""#),
            (r#""a""#, r#""a""#),
            (r#""\n\r\t\"\\""#, r#""\n\r\t\"\\""#),
            (r#""\u00e9\U0001F600""#, r#""é😀""#),
            (r#""$${a} %%{b}""#, r#""${a} %{b}""#),
            (r#""$$${1}""#, r#""$${1}""#),
            (r#""$$$${1}""#, r#""$$${1}""#),
            (r#""a$b%c$$%%$""#, r#""a$b%c$$%%$""#),
            (r#""$""#, r#""$""#),
            (r#""${a}""#, "<${a}>"),
            (r#""x${a}y${b}""#, r#"<"x" ${a} "y" ${b}>"#),
            (r#""${"${a}"}""#, "<${<${a}>}>"),
            (r#""${f("x", {a = "}"})}""#, r#"<${f("x" {a="}"})}>"#),
            ("\"${\n a\n}\"", "<${a}>"),
            ("\"${ { a = 1 }.a }\"", "<${(. {a=1} a)}>"),
            ("\"${[\n for x in y : {\n  a = x\n }]}\"", "<${(for x in y: {a=x})}>"),
            (r#""${~ a ~}""#, "<${a}>"),
            (r#""  ${~ a ~}  ""#, r#"<${a} "">"#),
            (r#""${a ~} ""#, r#"<${a} "">"#),
            (r#""x ${~ a ~} \n\n y""#, r#"<"x" ${a} "y">"#),
            (r#""${"a"}${~ "b" ~} c""#, r#"<${"a"} ${"b"} "c">"#),
            (r#""%{ if a }b%{ else }c%{ endif }""#, r#"<(if a <"b"> <"c">)>"#),
            (r#""%{if a}b%{endif}""#, r#"<(if a <"b"> <>)>"#),
            (r#""%{ for a in b }${a},%{ endfor }""#, r#"<(for a in b <${a} ",">)>"#),
            (r#""%{ for i, v in b }%{ if v }x%{ endif }%{ endfor }""#, r#"<(for i,v in b <(if v <"x"> <>)>)>"#),
            (r#""%{~ if a ~} x %{~ else ~} y %{~ endif ~} ""#, r#"<(if a <"x"> <"y">)>"#),
            ("\"é\t#//\"", r#""é\t#//""#),
        ],
        expression,
    );
}

#[test]
fn escapes_that_stand_for_nothing() {
    check_all(
        &[
            (r#""\q""#, r#""\\q" ## 1:2+2 unknown escape `\q`"#),
            (r#""a\u12x""#, r#""ax" ## 1:3+4 escape `\u12` stands for no character"#),
            (r#""\ud800""#, r#""" ## 1:2+6 escape `\ud800` stands for no character"#),
            (r#""\U00110000""#, r#""" ## 1:2+10 escape `\U00110000` stands for no character"#),
            (r#""\q\w""#, r#""\\q\\w" ## 1:2+2 unknown escape `\q` ## 1:4+2 unknown escape `\w`"#),
            (r#""\é""#, r#""\\é" ## 1:2+3 unknown escape `\é`"#),
        ],
        expression,
    );
}

/// The expected texts are what Terraform 1.11 makes of the same heredocs.
#[test]
fn heredocs() {
    check_all(
        &[
            ("<<E\na\n  b\nE", r#""a\n  b\n""#),
            ("<<E\nE", r#""""#),
            ("<<E\na\n  E", r#""a\n""#),
            ("<<E\na\nE  ", r#""a\n""#),
            ("<<E\r\na\r\n b\r\nE\r\n", r#""a\r\n b\r\n""#),
            ("<<A-B\nx\nA-B\n", r#""x\n""#),
            ("<<E\nEE\nE1\nE\n", r#""EE\nE1\n""#),
            ("<<E\n\"q\" \\n $${x} %%{y} \\\nE", r#""\"q\" \\n ${x} %{y} \\\n""#),
            ("<<-E\n    a\n\n      b\n  E", r#""a\n\n  b\n""#),
            ("<<-E\n\ta\n   b\n  E", r#""a\n  b\n""#),
            (
                "<<-E\n    a\n  b ${1}\n\t\n   \n\n    ${2}\n   c\n  E",
                r#"<"  a\nb " ${1} "\n\t\n   \n\n  " ${2} "\n c\n">"#,
            ),
            ("<<-E\n  ${1}\n${2}\n    c\n  E", r#"<"  " ${1} "\n" ${2} "\n    c\n">"#),
            ("<<-E\n      ${~ 1 ~}\n      b\n    c\n  E", r#"<${1} "      b\n    c\n">"#),
            ("<<-E\n    a ${1 ~}\n      b\n    c\n  E", r#"<"a " ${1} "      b\nc\n">"#),
            ("<<-E\n    a\n   \n   ${~ 1}\n  E", r#"<"    a\n   \n" ${1} "\n">"#),
            ("<<-E\n    a ${\n 1 }   foo\n  b\n  E", r#"<"  a " ${1} "   foo\nb\n">"#),
            (
                "<<-E\n    %{ if true ~}\n      b\n    %{ endif ~}\n    c\n  E",
                r#"<(if true <"      b\n"> <>) "    c\n">"#,
            ),
            (
                "<<E\n%{ if true ~}\n\n\n   hello\n%{ endif ~}\n\n   z\n ${~ 1 ~}\n\n  b\nE",
                r#"<(if true <"\n\n   hello\n"> <>) "\n   z\n" ${1} "\n  b\n">"#,
            ),
            ("\"${<<E\na\nE\n}\"", r#"<${"a\n"}>"#),
        ],
        expression,
    );
}

#[test]
fn whole_files_as_templates() {
    check_all(
        &[
            ("", ""),
            ("a\n\"b\" \\n\n", r#""a\n\"b\" \\n\n""#),
            ("a ${b}\r\n", r#""a " ${b} "\r\n""#),
            ("\u{feff}a", r#""a""#),
            ("${a}", "${a}"),
            ("a ${~ 1 ~}\n\n  b\n", r#""a" ${1} "\n  b\n""#),
            ("%{ for x in y ~}\n- ${x}\n%{ endfor ~}\nend\n", r#"(for x in y <"- " ${x} "\n">) "end\n""#),
            ("%{ if a }1%{ else }2%{ endif }", r#"(if a <"1"> <"2">)"#),
            ("%{ if a }", "(if a <> <>) ## 1:1+9 `if` directive has no `endif`"),
            ("%{ endif }", "## 1:1+10 `endif` without `if`"),
            ("%{ if a }%{ endfor }%{ endif }", "(if a <> <>) ## 1:10+11 `endfor` without `for` ~1:1+9"),
            ("%{ if a }%{ else }%{ else }%{ endif }", "(if a <> <>) ## 1:19+9 `else` without `if` ~1:1+9"),
            ("%{ else if a }", "## 1:1+14 `else` without `if` ## 1:9+2 unexpected `if`"),
            ("%{ what }", "## 1:4+4 unexpected `what`"),
            ("${a", "${a} ## 1:1+2 `${` is not closed"),
            ("${}", "${!!} ## 1:1+2 value is missing after `${`"),
            ("${a b}", "${a} ## 1:5+1 unexpected `b`"),
            ("${\"a} b\n c\n", "${\"a} b\"} \"\\n c\\n\" ## 1:1+2 `${` is not closed"),
        ],
        template,
    );
}
