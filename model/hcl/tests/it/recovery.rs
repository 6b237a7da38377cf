//! What is wrong is told once, where it is, and what follows is read all the same.

use crate::dump::{body, check_all, errors};

/// Text, and a line for each error: place, summary, and the places that explain it.
#[test]
fn every_error_is_told_once() {
    check_all(
        &[
            ("a = \"x\nb = 2\nc =\nd = 1\n", "1:5+2 string is not closed\n3:3+1 value is missing after `=`"),
            ("resource \"a\" \"b\" {\n  x = 1\n\nresource \"c\" \"d\" {\n  y = 2\n}\n", "1:1+16 `{` is not closed"),
            ("a {\n  b {\n    c = 1\n}\nd {\n}\n", "2:5+1 `{` is not closed ~4:1+1"),
            (
                "a = 'x'\nb = [1 2, 3]\nc 5\nd = )\ne = 1 2\n",
                "1:5+3 single quotes do not make a string\n2:7+0 comma is missing ~2:8+1\n3:2+0 `=` is missing after `c`\n4:5+1 expected a value, found `)`\n5:7+1 unexpected `2`",
            ),
            ("a = [1, 2\nb = 3\nc = f(1, 2\nd = 4\n", "1:5+1 `[` is not closed ~2:1+1\n3:6+1 `(` is not closed ~4:1+1"),
            (
                "a = {\n  b = 1\n  c 2\n  d = \n}\ne = ]\n",
                "3:3+1 item of an object has no value ~3:5+1\n4:5+1 value is missing after `=`\n6:5+1 expected a value, found `]`",
            ),
            (
                "x { a = 1, b = 2 }\ny { a = 1 b = 2 }\nz { a = 1\n}\n",
                "1:10+1 several arguments in a block on one line\n2:11+1 several arguments in a block on one line\n3:5+1 block begins on one line and goes on over several",
            ),
            (
                "a = 1\nb = 2\na = 3\nx {\n  q = 1\n  q = 2\n}\n",
                "3:1+1 `a` is set twice ~1:1+1\n6:3+1 `q` is set twice ~5:3+1",
            ),
            (
                "a = \"hello ${var.x\"\nb = \"hello ${var.x\nc = \"hello ${}\"\nd = \"%{ if x }\"\ne = \"${a b}\"\n",
                "1:12+2 `${` is not closed\n2:12+2 `${` is not closed\n3:12+2 value is missing after `${`\n4:6+9 `if` directive has no `endif`\n5:10+1 unexpected `b`",
            ),
            (
                "a = 1 +\n  2\nb = x ?\n  1 : 2\nc = x ? 1\nd = x.\ne = x[1\nf = 2\n",
                "1:7+1 value is missing after `+`\n3:7+1 value is missing after `?`\n4:8+0 conditional has no `:`\n5:10+0 conditional has no `:`\n6:6+1 name is missing after `.`\n7:6+1 `[` is not closed ~8:1+1",
            ),
            (
                "name: 1\n\"quoted\" = 2\na.b = 3\ne == 4\nfoo\nbar \"x\"\nbaz \"x\" \"y\"\nqux \"x\" = 1\n",
                "1:5+1 unexpected `:`\n2:1+8 quotes around a name\n3:2+1 expected the name of an argument\n4:3+2 `==` compares; it gives no value to a name\n5:1+3 `foo` has no value\n6:1+7 `=` or `{` is missing after `bar`\n7:12+0 block `baz` has no `{`\n8:9+1 expected `{` of a block, found `=`",
            ),
            ("}\na = 1\n)\nb = 2 }\nc = 3\n", "1:1+1 unexpected `}`\n3:1+1 unexpected `)`\n4:7+1 unexpected `}`"),
            ("x \"y\"\n{\n  a = 1\n}\n", "2:1+1 `{` is not on the line of its block"),
            ("tags = {\n  a = 1\n  b = 2\n\nresource \"x\" \"y\" {\n  c = 1\n}\n", "1:8+1 `{` is not closed ~5:1+8"),
            ("a = <<EOT\nb\nc = 1\n", "1:5+5 heredoc is not closed"),
            (
                "a = <<EOT x\nb\nEOT\nc = 1\nd = <<\ne = 2\n",
                "1:5+7 heredoc does not begin with a name alone on its line\n5:5+2 heredoc does not begin with a name alone on its line",
            ),
            (
                "a = [for x in y]\nb = {for x in y : x}\nc = [for x y : z]\nd = [for x in y : a => b]\ne = {for = 1}\nf = [for x in y : z w]\n",
                "1:16+1 unexpected `]`\n2:20+1 unexpected `}`\n3:12+1 unexpected `y`\n4:21+2 `=>` in a `for` that gives a list ~4:5+1\n5:10+1 unexpected `=`\n6:21+1 unexpected `w`",
            ),
            (
                "a = “x”\nb = a & b\nc = a; d = 1\ne = $x\nf = `x`\ng = @\nh = 1 ^ 2\n",
                "1:5+7 curly quotes do not make a string\n2:7+1 unknown character `&`\n3:6+1 unknown character `;`\n4:5+1 unknown character `$`\n5:5+3 backticks do not make a string\n6:5+1 unknown character `@`\n7:7+1 unknown character `^`",
            ),
            (
                "a = provider::x\nb = f(x..., y)\nc = f(,)\nd = [,]\ne = {,}\nf = {a = 1 b = 2}\ng = {a, b}\n",
                "1:16+0 unexpected end of the line\n2:11+1 unexpected `,`\n3:7+1 expected a value, found `,`\n4:6+1 expected a value, found `,`\n5:6+1 unexpected `,`\n6:11+0 comma is missing ~6:12+1\n7:6+1 item of an object has no value ~7:7+1",
            ),
            ("x {\n  y {\n    z = 1 }\n}\n", "3:11+1 unexpected `}`"),
            ("a = (1\nb = 2\n", "1:5+1 `(` is not closed ~2:1+1"),
            (
                "locals { a = 1\n b = 2\n",
                "1:1+6 `{` is not closed\n1:10+1 block begins on one line and goes on over several",
            ),
            (
                "resource \"aws\" \"x\" {\n  tags = {\n    Name = \"x\"\n  \n  other = 1\n}\n\nresource \"aws\" \"y\" {\n}\n",
                "2:10+1 `{` is not closed ~6:1+1",
            ),
            ("a = /* open\nb = 1\n", "1:5+2 comment is not closed"),
            (
                "variable \"x\" {\n  type = string,\n  default = \"a\";\n}\n",
                "2:16+1 unexpected `,`\n3:16+1 unknown character `;`",
            ),
            (
                "a = if x then y\nb = !\nc = x == == y\nd = * 2\ne = a b c d\nf = \"a\" \"b\"\n",
                "1:8+1 unexpected `x`\n2:5+1 value is missing after `!`\n3:10+2 expected a value, found `==`\n4:5+1 expected a value, found `*`\n5:7+1 unexpected `b`\n6:9+1 unexpected string",
            ),
        ],
        errors,
    );
}

#[test]
fn what_is_around_an_error_is_still_read() {
    check_all(
        &[
            ("a = \nb = 1", "a=!!; b=1 ## 1:3+1 value is missing after `=`"),
            ("a = 'x'\nb = 1", "a=!!; b=1 ## 1:5+3 single quotes do not make a string"),
            ("a = \"x\nb = 1", "a=\"x\"; b=1 ## 1:5+2 string is not closed"),
            ("a = [1 2]\nb = 1", "a=[1 2]; b=1 ## 1:7+0 comma is missing"),
            ("a = [1\nb = 1", "a=[1]; b=1 ## 1:5+1 `[` is not closed"),
            ("a = {x = 1\nb {\n}", "a={x=1}; (b {}) ## 1:5+1 `{` is not closed"),
            ("a = f(x y)\nb = 1", "a=f(x y); b=1 ## 1:8+0 comma is missing"),
            ("x {\n a = )\n b = 1\n}\nc = 1", "(x {a=!!; b=1}); c=1 ## 2:6+1 expected a value, found `)`"),
            ("a: 1\nb = 1", "a=1; b=1 ## 1:2+1 unexpected `:`"),
            ("x { a = 1, b = 2 }\nc = 1", "(x {a=1; b=2}); c=1 ## 1:10+1 several arguments in a block on one line"),
        ],
        |text| body(text).split(" ~").next().unwrap().to_owned(),
    );
}

/// One mistake is one message, and so many independent ones are so many.
#[test]
fn one_mistake_gives_one_message() {
    check_all(
        &[
            ("x {\n  a = <<EOT\n  b\n}\ny {\n}\n", "2:7+5 heredoc is not closed"),
            ("x {\n  a = <<EOT\n  b\n  EOT2\n}\n", "2:7+5 heredoc is not closed"),
            ("a = [\n  1,\n  2\n\nb = 1\n", "1:5+1 `[` is not closed ~5:1+1"),
            ("x {\n  a = [\n    1,\n    2\n}\n", "2:7+1 `[` is not closed ~5:1+1"),
            ("x {\n  a = [\n    1,\n    2\n  b = 3\n}\ny {\n}\n", "2:7+1 `[` is not closed ~5:3+1"),
            ("x {\n  a = {\n    b = 1\n}\ny {\n}\n", "2:7+1 `{` is not closed ~4:1+1"),
            ("x {\n  a = f(1,\n  b = 2\n}\n", "2:8+1 `(` is not closed ~3:3+1"),
            ("x {\n  a = (1 + 2\n}\n", "2:7+1 `(` is not closed ~3:1+1"),
            ("x {\n  a = \"b\n}\ny {\n}\n", "2:7+2 string is not closed"),
            ("x \"y {\n  a = 1\n}\n", "1:3+4 string is not closed"),
            ("x {\n  a = 1\n}\n}\ny {\n}\n", "4:1+1 unexpected `}`"),
            ("x {\n  a 1\n  b = 2\n}\n", "2:4+0 `=` is missing after `a`"),
            ("x {\n  a: 1\n  b: 2\n}\n", "2:4+1 unexpected `:`\n3:4+1 unexpected `:`"),
            ("x {\n  a = 1 b = 2\n  c = 3\n}\n", "2:9+1 unexpected `b`"),
            ("x {\n  a = 1, b = 2\n}\n", "2:8+1 unexpected `,`"),
            (
                "a = 'b'\nc = 'd' + 'e'\n",
                "1:5+3 single quotes do not make a string\n2:5+3 single quotes do not make a string\n2:11+3 single quotes do not make a string",
            ),
            ("a = ‘b’\nc = “d”\n", "1:5+7 curly quotes do not make a string\n2:5+7 curly quotes do not make a string"),
            ("x {\n  a = \"${b\"\n  c = 1\n}\n", "2:8+2 `${` is not closed"),
            ("x {\n  a = \"b ${c.d[0} e\"\n  f = 1\n}\n", "2:15+1 `[` is not closed ~2:17+1"),
            (
                "a = \"\\q \\w\"\nb = \"\\d\"\n",
                "1:6+2 unknown escape `\\q`\n1:9+2 unknown escape `\\w`\n2:6+2 unknown escape `\\d`",
            ),
            ("a = \"%{ if b }c\"\nd = 1\n", "1:6+9 `if` directive has no `endif`"),
            ("a = <<EOT\n%{ if b }\nc\nEOT\nd = 1\n", "2:1+9 `if` directive has no `endif`"),
            (
                "a = [1,, 2]\nb = f(,1)\nc = {,}\n",
                "1:8+1 expected a value, found `,`\n2:7+1 expected a value, found `,`\n3:6+1 unexpected `,`",
            ),
            (
                "x {\n<<<<<<< HEAD\n  a = 1\n=======\n  a = 2\n>>>>>>> other\n}\n",
                "2:1+12 merge conflict is not resolved",
            ),
            ("<<<<<<< HEAD\nx {\n}\n=======\ny {\n}\n>>>>>>> other\nz = 1\n", "1:1+12 merge conflict is not resolved"),
            ("a = True\nb = None\nc = b and d\ne = not f\n", "3:7+3 unexpected `and`\n4:9+1 unexpected `f`"),
            ("a = 1;\nb = 2;\n", "1:6+1 unknown character `;`\n2:6+1 unknown character `;`"),
            ("a = b == c ? d\ne = 1\n", "1:15+0 conditional has no `:`"),
            ("a = [for b in c d]\ne = {for f in g : h}\n", "1:17+1 unexpected `d`\n2:20+1 unexpected `}`"),
            ("a = b.\nc = d[\ne = 1\n", "1:6+1 name is missing after `.`\n2:6+1 `[` is not closed ~3:1+1"),
            ("resource aws_x y\n{\n  a = 1\n}\n", "2:1+1 `{` is not on the line of its block"),
            ("resource \"a\" \"b\" [\n  a = 1\n]\n", "1:18+1 a block's content is between { and }"),
            ("x = {\n  a = 1\n  b 2\n  c = 3\n}\n", "3:3+1 item of an object has no value ~3:5+1"),
            ("x = {\n  a = 1;\n  b = 2;\n}\n", "2:8+1 unknown character `;`\n3:8+1 unknown character `;`"),
            ("x = [\n  {\n    a = 1\n  }\n  {\n    b = 1\n  }\n]\n", "4:4+0 comma is missing ~5:3+1"),
            ("variable a {\n  type = list(string\n  default = []\n}\n", "2:14+1 `(` is not closed ~3:3+7"),
            ("x {\n  a = var.b]\n  c = 1\n}\n", "2:12+1 unexpected `]`"),
            ("x {\n  a = f(b))\n  c = 1\n}\n", "2:11+1 unexpected `)`"),
            ("if a {\n  b = 1\n} else {\n  c = 1\n}\n", "3:3+4 unexpected `else`"),
            (
                "a += 1\nb++\nc := 1\n",
                "1:2+0 `=` is missing after `a`\n2:2+0 `=` is missing after `b`\n3:3+1 unexpected `:`",
            ),
            ("// ok\n-- no\na = 1\n", "2:1+1 unexpected `-`"),
            ("function f(a) {\n  return a\n}\n", "1:9+0 `=` is missing after `function`"),
            ("a = \"x\" . \"y\"\nb = 1\n", "1:9+1 name is missing after `.`"),
            ("a = 1 +\nb = 2\n", "1:7+1 value is missing after `+`"),
            ("a = (\n  1\n  2\n)\n", "3:3+1 unexpected `2`"),
            ("a = {\n  b = [\n    1\n  c = 2\n}\nd = 1\n", "2:7+1 `[` is not closed ~4:3+1"),
            ("a = \"${f(\"b)}\"\nc = 1\n", "1:6+2 `${` is not closed"),
            ("\u{feff}\u{feff}a = 1\n", "1:2+3 unknown character `\\u{feff}`"),
            (
                "a = 0x1F\nb = 1_000\nc = 1.\nd = .5\n",
                "1:6+3 unexpected `x1F`\n2:6+4 unexpected `_000`\n3:6+1 name is missing after `.`\n4:5+1 expected a value, found `.`",
            ),
            ("import \"x\"\nfrom = 1\n", "1:1+10 `=` or `{` is missing after `import`"),
        ],
        errors,
    );
}

const ORDINARY: &str = r#"variable "size" {
  type    = number
  default = 2
}

locals {
  names = ["a", "b", var.size]
  tags  = { owner = "me", (var.key) = "x" }
}

resource "aws_instance" "web" {
  count = var.size > 1 ? length(local.names) : 0
  ami   = "ami-${var.size}-${local.names[0]}"

  tags = merge(local.tags, {
    Name = "web-${count.index}"
  })

  ingress {
    ports = [for p in local.ports : p.number if p.open]
  }

  lifecycle { create_before_destroy = true }
}

output "names" {
  value = { for k, v in aws_instance.web : k => upper(v.name) }
}
"#;

/// Whatever mark is left out, the complaints are few, and the first is near.
#[test]
fn a_mark_left_out_gives_few_errors_near_it() {
    let (mut wrong, mut cases, mut total) = (Vec::new(), 0, 0);
    let marks = ORDINARY.char_indices().filter(|(_, mark)| "\"{}[]()=,:?".contains(*mark));
    for (at, mark) in marks {
        let mut text = ORDINARY.to_owned();
        text.remove(at);
        let line = ORDINARY[..at].matches('\n').count() as i64 + 1;
        let found = errors(&text);
        let lines: Vec<i64> = found.lines().map(|error| error.split(':').next().unwrap().parse().unwrap()).collect();
        cases += 1;
        total += lines.len();
        let near = lines.is_empty() || lines.iter().any(|other| (other - line).abs() <= 13);
        if lines.len() > 3 || !near {
            wrong.push(format!("without `{mark}` on line {line}:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total <= cases + cases / 4, "{total} errors for {cases} marks");
}
