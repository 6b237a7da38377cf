use crate::dump::{body, check_all, expression};

#[test]
fn literals_and_names() {
    check_all(
        &[
            ("null", "null"),
            ("true", "true"),
            ("false", "false"),
            ("0", "0"),
            ("1.50", "1.50"),
            ("1e3", "1e3"),
            ("1.5E-3", "1.5E-3"),
            ("12345678901234567890123456789", "12345678901234567890123456789"),
            ("name", "name"),
            ("_name", "_name"),
            ("with-dash", "with-dash"),
            ("größe", "größe"),
            ("名前-1", "名前-1"),
            ("nullable", "nullable"),
            ("\u{feff}a", "a"),
            ("a # comment", "a"),
            ("a // comment", "a"),
            ("/* one */ a /* two\nlines */", "a"),
            ("\n\n a \n", "a"),
        ],
        expression,
    );
}

#[test]
fn operators_bind_as_the_specification_says() {
    check_all(
        &[
            ("1 + 2 * 3", "(+ 1 (* 2 3))"),
            ("1 * 2 + 3", "(+ (* 1 2) 3)"),
            ("1 - 2 - 3", "(- (- 1 2) 3)"),
            ("8 / 4 * 2 % 3", "(% (* (/ 8 4) 2) 3)"),
            ("a || b && c == d < e + f * g", "(|| a (&& b (== c (< d (+ e (* f g))))))"),
            ("a * b + c < d == e && f || g", "(|| (&& (== (< (+ (* a b) c) d) e) f) g)"),
            ("a == b != c", "(!= (== a b) c)"),
            ("a < b <= c > d >= e", "(>= (> (<= (< a b) c) d) e)"),
            ("-a.b", "(- (. a b))"),
            ("-1 + 2", "(+ (- 1) 2)"),
            ("!a == b", "(== (! a) b)"),
            ("!!a", "(! (! a))"),
            ("- -1", "(- (- 1))"),
            ("1 - -1", "(- 1 (- 1))"),
            ("a-b", "a-b"),
            ("a -b", "(- a b)"),
            ("(1 + 2) * 3", "(* ((+ 1 2)) 3)"),
            ("(\n1\n+\n2\n)", "((+ 1 2))"),
            ("a ? b : c", "(? a b c)"),
            ("a ? b : c ? d : e", "(? a b (? c d e))"),
            ("a ? b ? c : d : e", "(? a (? b c d) e)"),
            ("a || b ? 1 + 2 : 3", "(? (|| a b) (+ 1 2) 3)"),
        ],
        expression,
    );
}

#[test]
fn steps_after_a_term() {
    check_all(
        &[
            ("a.b.c", "(. (. a b) c)"),
            ("a . b", "(. a b)"),
            ("a[0].b", "(. ([] a 0) b)"),
            ("a[\n0\n]", "([] a 0)"),
            ("a[b[c]]", "([] a ([] b c))"),
            ("a[\"k\"]", "([] a \"k\")"),
            ("a.0", "(. a 0)"),
            ("a.0.b", "(. (. a 0) b)"),
            ("a.0.1", "!! ## 1:3+3 unexpected `0.1`"),
            ("a.*.b.c", "(.* a (. (. @ b) c))"),
            ("a.*.b[0]", "([] (.* a (. @ b)) 0)"),
            ("a.*.b.0", "(.* a (. (. @ b) 0))"),
            ("a[*].b[0]", "([*] a ([] (. @ b) 0))"),
            ("a[*]", "([*] a @)"),
            ("a.*", "(.* a @)"),
            ("a[*].b[*].c", "([*] a ([*] (. @ b) (. @ c)))"),
            ("a[*].b.*.c", "([*] a (.* (. @ b) (. @ c)))"),
            ("a.*.b.*.c", "(.* a (. (. @ b) c)) ## 1:6+1 unexpected `.`"),
            ("[1].0", "(. [1] 0)"),
            ("f(x).y", "(. f(x) y)"),
            ("{a=1}.a", "(. {a=1} a)"),
            ("(a).b", "(. (a) b)"),
            ("a[-1]", "([] a (- 1))"),
            ("a[*]*2", "(* ([*] a @) 2)"),
        ],
        expression,
    );
}

#[test]
fn calls_and_collections() {
    check_all(
        &[
            ("f()", "f()"),
            ("f(a, b)", "f(a b)"),
            ("f(a,\n b,\n)", "f(a b)"),
            ("f(a...)", "f(a...)"),
            ("f(a, b...)", "f(a b...)"),
            ("f (a)", "f(a)"),
            ("provider::lab::mac(a)", "provider::lab::mac(a)"),
            ("core::min(1)", "core::min(1)"),
            ("[]", "[]"),
            ("[\n]", "[]"),
            ("[a, b]", "[a b]"),
            ("[a, b,]", "[a b]"),
            ("[ 1\n , 2 ]", "[1 2]"),
            ("[<<A\nx\nA\n, 1]", "[\"x\\n\" 1]"),
            ("{}", "{}"),
            ("{\n}", "{}"),
            ("{a = 1}", "{a=1}"),
            ("{a = 1, b : 2}", "{a=1 b=2}"),
            ("{a = 1, b = 2,}", "{a=1 b=2}"),
            ("{\n a = 1\n b = 2\n}", "{a=1 b=2}"),
            ("{\n a = 1,\n b = 2,\n}", "{a=1 b=2}"),
            ("{\n a = 1 # one\n\n b = 2\n}", "{a=1 b=2}"),
            ("{\"a b\" = 1, (c) = 2, d.e = 3, 1+1 = 4}", "{\"a b\"=1 (c)=2 (. d e)=3 (+ 1 1)=4}"),
            ("{\"${a}-b\": 1}", "{<${a} \"-b\">=1}"),
            ("{null = 1, true = 2, if = 3, in = 4}", "{null=1 true=2 if=3 in=4}"),
            ("{a = {b = [1,\n2]}\n}", "{a={b=[1 2]}}"),
            ("{a = 1, for = 2}", "{a=1 for=2}"),
            ("[(for)]", "[(for)]"),
        ],
        expression,
    );
}

#[test]
fn for_expressions() {
    check_all(
        &[
            ("[for a in b : c]", "(for a in b: c)"),
            ("[for a, b in c : d if e]", "(for a,b in c: d if e)"),
            ("[\nfor\na in\nb\n:\nc\nif\nd\n]", "(for a in b: c if d)"),
            ("{for a in b : c => d}", "(for a in b: c=>d)"),
            ("{\n for a, b in c : d => e... if f\n}", "(for a,b in c: d=>e... if f)"),
            ("[for a in b ? c : d : e]", "(for a in (? b c d): e)"),
            ("[for a in b : [for c in a : c]]", "(for a in b: (for c in a: c))"),
            ("[for in in in : in]", "(for in in in: in)"),
            ("[for a in b : {\n x = a\n}]", "(for a in b: {x=a})"),
        ],
        expression,
    );
}

#[test]
fn bodies() {
    check_all(
        &[
            ("", ""),
            ("a = 1", "a=1"),
            ("a = 1\r\nb = 2\r\n", "a=1; b=2"),
            ("a = 1 # x\nb = 2 // y\nc = 3 /* z */\n", "a=1; b=2; c=3"),
            ("b {}", "(b {})"),
            ("b {\n}", "(b {})"),
            ("b { a = 1 }", "(b {a=1})"),
            ("b \"x\" y \"\\u00e9\" {\n a = 1\n c {}\n}", "(b \"x\" \"y\" \"é\" {a=1; (c {})})"),
            ("b { c \"d\" { a = 1 } }", "(b {(c \"d\" {a=1})})"),
            ("port \"tcp/${param.port}\" {}", "(port <\"tcp/\" ${(. param port)}> {})"),
            ("for = 1\nif {}", "for=1; (if {})"),
            ("a = <<E\n x\nE\nb = 1", "a=\" x\\n\"; b=1"),
            ("b {\n a = <<-E\n   x\n  E\n}", "(b {a=\"x\\n\"})"),
            ("a = [\n 1,\n]\nb = {\n}\n", "a=[1]; b={}"),
            ("\u{feff}a = 1", "a=1"),
            ("/* a */ b = 1", "b=1"),
            ("b /* x */ {}", "(b {})"),
        ],
        body,
    );
}
