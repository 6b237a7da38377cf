//! HCL's JSON form: what it means, and what is said of mistakes in it.

use andon_hcl::ast::{Body, Item};
use andon_hcl::json::{Meaning, Names, Strings, parse, resolve};
use andon_text::SourceMap;

use crate::dump::{body_dump, check_all, error_lines};

/// A small language: what `text` gives.
struct Language;

impl Names for Language {
    fn meaning(&self, name: &str) -> Meaning<'_> {
        match name {
            "locals" => Meaning::Block { labels: 0, inside: &Strings::Template },
            "variable" => Meaning::Block { labels: 1, inside: &VARIABLE },
            "resource" => Meaning::Block { labels: 2, inside: &RESOURCE },
            "needs" => Meaning::Block { labels: 0, inside: &NEEDS },
            _ => Meaning::Argument(Strings::Template),
        }
    }
}

struct Table(&'static [(&'static str, Meaning<'static>)], Meaning<'static>);

impl Names for Table {
    fn meaning(&self, name: &str) -> Meaning<'_> {
        self.0.iter().find(|(known, _)| *known == name).map_or(self.1, |(_, meaning)| *meaning)
    }
}

static VARIABLE: Table = Table(
    &[
        ("type", Meaning::Argument(Strings::Expression)),
        ("description", Meaning::Argument(Strings::Text)),
        ("default", Meaning::Argument(Strings::Text)),
        ("validation", Meaning::Block { labels: 0, inside: &Strings::Template }),
    ],
    Meaning::Argument(Strings::Template),
);
static RESOURCE: Table = Table(
    &[
        ("depends_on", Meaning::Argument(Strings::Expression)),
        ("provider", Meaning::Argument(Strings::Expression)),
        ("lifecycle", Meaning::Block { labels: 0, inside: &Strings::Expression }),
    ],
    Meaning::Open,
);
/// The names of a resource, once its schema is known.
static SCHEMA: Table = Table(
    &[
        ("rule", Meaning::Block { labels: 0, inside: &Strings::Template }),
        ("dynamic", Meaning::Block { labels: 1, inside: &DYNAMIC }),
    ],
    Meaning::Argument(Strings::Template),
);
static DYNAMIC: Table = Table(
    &[
        ("iterator", Meaning::Argument(Strings::Expression)),
        ("content", Meaning::Block { labels: 0, inside: &Strings::Template }),
    ],
    Meaning::Argument(Strings::Template),
);
static NEEDS: Table = Table(&[], Meaning::Fields(&NEED));
static NEED: Table = Table(&[("aliases", Meaning::Argument(Strings::Expression))], Meaning::Argument(Strings::Text));

fn read(text: &str, known: bool) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (value, mut errors) = parse(id, text);
    let (mut body, more) = value.to_body(&Language);
    errors.extend(more);
    if known {
        let (resolved, more) = resolve_all(&body);
        body = resolved;
        errors.extend(more);
    }
    errors.sort();
    let mut lines = vec![body_dump(&body)];
    lines.extend(error_lines(&map, &errors));
    lines.join(" ## ")
}

/// Resolves the bodies of resources.
fn resolve_all(body: &Body) -> (Body, andon_text::Diagnostics) {
    let mut errors = andon_text::Diagnostics::new();
    let items = body.items.iter().map(|item| match item {
        Item::Block(block) if &*block.kind.name == "resource" => {
            let (body, more) = resolve(&block.body, &SCHEMA);
            errors.extend(more);
            Item::Block(andon_hcl::ast::Block { body, ..block.clone() })
        }
        other => other.clone(),
    });
    let items = items.collect::<Vec<_>>();
    (Body { items: items.into(), span: body.span }, errors)
}

#[test]
fn json_gives_the_tree_of_native_syntax() {
    check_all(
        &[
            ("{}", ""),
            (" \r\n\t{ } \n", ""),
            ("[]", ""),
            (
                r#"{"a": 1, "b": -2.5e3, "c": true, "d": null, "e": "x", "f": []}"#,
                r#"a=1; b=(- 2.5e3); c=true; d=null; e="x"; f=[]"#,
            ),
            (r#"[{"a": 1}, {"b": 2}]"#, "a=1; b=2"),
            (r#"{"//": "a comment", "a": {"//": 1}}"#, r#"a={"//"=1}"#),
            (
                r#"{"a": "${b.c}", "d": "x${b}", "e": "$${x}", "f": "%{ if a }b%{ endif }"}"#,
                r#"a=<${(. b c)}>; d=<"x" ${b}>; e="${x}"; f=<(if a <"b"> <>)>"#,
            ),
            (r#"{"a": {"${b}": 1, "x${c}": 2}}"#, r#"a={<${b}>=1 <"x" ${c}>=2}"#),
            (r#"{"locals": {"a": 1, "//": 2}}"#, "(locals {a=1})"),
            (r#"{"locals": [{"a": 1}, {"b": 2}]}"#, "(locals {a=1}); (locals {b=2})"),
            (
                r#"{"variable": {"a": {}, "b": {"type": "list(string)"}}}"#,
                "(variable \"a\" {}); (variable \"b\" {type=list(string)})",
            ),
            (
                r#"{"variable": [{"a": {}}, {"b": [{"default": "${x"}]}]}"#,
                r#"(variable "a" {}); (variable "b" {default="${x"})"#,
            ),
            (
                r#"{"variable": {"a": {"description": "${", "default": {"x": "%{"}}}}"#,
                r#"(variable "a" {description="${"; default={"x"="%{"}})"#,
            ),
            (
                r#"{"variable": {"a": {"validation": [{"condition": "${a}"}, {"condition": true}]}}}"#,
                r#"(variable "a" {(validation {condition=<${a}>}); (validation {condition=true})})"#,
            ),
            (r#"{"variable": {"a": null}}"#, ""),
            (r#"{"variable": {"a": {}}, "variable": {"b": {}}}"#, r#"(variable "a" {}); (variable "b" {})"#),
            (
                r#"{"resource": {"x": {"y": {"depends_on": ["a.b", "c[0].d"], "provider": "aws.west", "rule": {"a": "${b}"}}}}}"#,
                r#"(resource "x" "y" {depends_on=[(. a b) (. ([] c 0) d)]; provider=(. aws west); rule={"a"=<${b}>}})"#,
            ),
            (
                r#"{"needs": {"aws": {"source": "a/${b}", "aliases": ["aws.west"]}, "x": "~> 1.0"}}"#,
                r#"(needs {aws={"source"="a/${b}" "aliases"=[(. aws west)]}; x="~> 1.0"})"#,
            ),
            (r#"{"a": "\u00e9\n\"\\\/\b\f\r\t\ud83d\ude00\ud800x"}"#, r#"a="é\n\"\\/\u{8}\u{c}\r\t😀�x""#),
            (r#"{"a": {"b": 1, "c": [true, {"d": "e"}]}}"#, r#"a={"b"=1 "c"=[true {"d"="e"}]}"#),
        ],
        |text| read(text, false),
    );
}

#[test]
fn what_was_open_is_read_again_when_its_names_are_known() {
    check_all(
        &[
            (r#"{"resource": {"x": {"y": {"rule": {"a": "${b}"}}}}}"#, r#"(resource "x" "y" {(rule {a=<${b}>})})"#),
            (
                r#"{"resource": {"x": {"y": {"rule": [{"a": 1}, {"a": 2}], "b": {"c": 1}}}}}"#,
                r#"(resource "x" "y" {(rule {a=1}); (rule {a=2}); b={"c"=1}})"#,
            ),
            (
                r#"{"resource": {"x": {"y": {"rule": {"a": 1}, "rule": {"a": 2}}}}}"#,
                r#"(resource "x" "y" {(rule {a=1}); (rule {a=2})})"#,
            ),
            (
                r#"{"resource": {"x": {"y": {"b": 1, "b": 2}}}}"#,
                r#"(resource "x" "y" {b=1}) ## 1:35+3 `b` is set twice ~1:27+3"#,
            ),
            (
                r#"{"resource": {"x": {"y": {"rule": {"a": 1, "a": 2}, "b": {"c": 1, "c": 2}}}}}"#,
                r#"(resource "x" "y" {(rule {a=1}); b={"c"=1 "c"=2}}) ## 1:44+3 `a` is set twice ~1:36+3 ## 1:67+3 `c` is set twice ~1:59+3"#,
            ),
            (r#"{"resource": {"x": {"y": {"rule": null, "b": null}}}}"#, r#"(resource "x" "y" {b=null})"#),
            (
                r#"{"resource": {"x": {"y": {"rule": "no", "dynamic": {"rule": {"for_each": "${z}", "iterator": "it", "content": {"a": "${it.value}"}}}}}}}"#,
                r#"(resource "x" "y" {(dynamic "rule" {for_each=<${z}>; iterator=it; (content {a=<${(. it value)}>})})}) ## 1:35+4 block `rule` is written as an object"#,
            ),
            (
                r#"{"resource": {"x": {"y": [{"b": 1}, {"b": 2}]}}}"#,
                r#"(resource "x" "y" {b=1}); (resource "x" "y" {b=2})"#,
            ),
        ],
        |text| read(text, true),
    );
}
#[test]
fn mistakes_are_told_once() {
    check_all(
        &[
            ("", "## 1:1+0 file holds no JSON"),
            (" \n", "## 2:1+0 file holds no JSON"),
            ("nul", "## 1:1+3 unknown word `nul`"),
            ("null", "## 1:1+4 a file of JSON is an object"),
            ("5", "## 1:1+1 a file of JSON is an object, or a list of objects"),
            ("\u{feff}{}", "## 1:1+3 JSON begins with a byte-order mark"),
            ("{", "## 1:1+1 `{` is not closed"),
            ("[", "## 1:1+1 `[` is not closed"),
            ("}", "## 1:1+1 expected a value, found `}`"),
            ("{} x", "## 1:4+1 the JSON ends before this"),
            ("{\"a\": 1", "a=1 ## 1:1+1 `{` is not closed"),
            ("{\"a\": 1,", "a=1 ## 1:1+1 `{` is not closed"),
            ("{\"a\":", r#"a=!! ## 1:2+3 value of "a" is missing"#),
            ("{\"a\"", r#"## 1:2+3 property "a" has no value"#),
            ("{\"a", "## 1:2+2 string is not closed"),
            ("{\"a\": 1,}", "a=1 ## 1:8+1 comma after the last one"),
            ("{\"a\": [1,2,]}", "a=[1 2] ## 1:11+1 comma after the last one"),
            ("{\"a\": [1 2 3]}", "a=[1 2 3] ## 1:9+0 comma is missing ~1:10+1 ## 1:11+0 comma is missing ~1:12+1"),
            ("{\"a\": 1 \"b\": 2}", "a=1; b=2 ## 1:8+0 comma is missing ~1:9+1"),
            ("{\"a\": 1; \"b\": 2}", "a=1; b=2 ## 1:8+1 unexpected `;`"),
            (
                "{\"a\" = 1, \"b\" 2, \"c\" => 3}",
                r#"a=1; b=2; c=3 ## 1:6+1 `:` comes before a value in JSON ## 1:14+0 `:` is missing after "b" ## 1:22+2 `:` comes before a value in JSON"#,
            ),
            ("{a: 1, b-c: 2}", "a=1; b-c=2 ## 1:2+1 name `a` is not in quotes ## 1:8+3 name `b-c` is not in quotes"),
            (
                "{'a': 'b', “c”: “d”}",
                r#"a="b"; c="d" ## 1:2+3 single quotes do not make a string ## 1:7+3 single quotes do not make a string ## 1:12+7 curly quotes do not make a string ## 1:17+7 curly quotes do not make a string"#,
            ),
            (
                "{\"a\": True, \"b\": None, \"c\": var.x}",
                "a=!!; b=!!; c=!! ## 1:7+4 unknown word `True` ## 1:18+4 unknown word `None` ## 1:29+5 unknown word `var.x`",
            ),
            (
                "{\"a\": 01, \"b\": +1, \"c\": .5, \"d\": 1., \"e\": 0x10, \"f\": 1e, \"g\": -}",
                "a=!!; b=!!; c=!!; d=!!; e=!!; f=!!; g=!! ## 1:7+2 `01` is no number of JSON ## 1:16+2 `+1` is no number of JSON ## 1:25+2 `.5` is no number of JSON ## 1:34+2 `1.` is no number of JSON ## 1:43+4 `0x10` is no number of JSON ## 1:54+2 `1e` is no number of JSON ## 1:63+1 `-` is no number of JSON",
            ),
            (
                "// c\n{ /* d */ \"a\": 1 # e\n}",
                "a=1 ## 1:1+4 JSON has no comments ## 2:3+7 JSON has no comments ## 2:18+3 JSON has no comments",
            ),
            ("{\"a\": \"x\n\"b\": 1}", r#"a="x"; b=1 ## 1:7+2 string is not closed"#),
            (
                "{\"a\": \"x\ty\", \"b\": \"\\x \\u12 \\q\"}",
                r#"a="x\ty"; b="\\x  \\q" ## 1:9+1 control character in a string ## 1:20+2 unknown escape `\x` ## 1:23+4 escape `\u12` stands for no character ## 1:28+2 unknown escape `\q`"#,
            ),
            (
                "{\"a\": [1, 2}, \"b\": @}",
                "a=[1 2]; b=!! ## 1:12+1 unexpected `}` ~1:7+1 ## 1:20+1 expected a value, found `@`",
            ),
            ("{\"a\": {\"b\": 1], \"c\": 2}", r#"a={"b"=1}; c=2 ## 1:14+1 unexpected `]` ~1:7+1"#),
            ("{\"a\": [1, 2, \"b\": 2}", "a=[1 2]; b=2 ## 1:7+1 `[` is not closed ~1:14+1"),
            ("{,}", "## 1:2+1 comma without property"),
            ("{\"a\": [,1]}", "a=[1] ## 1:8+1 comma without element"),
            ("{\"a\": [1,,2]}", "a=[1 2] ## 1:10+1 comma without element"),
            ("{\"a\": , \"b\": }", r#"a=!!; b=!! ## 1:2+3 value of "a" is missing ## 1:9+3 value of "b" is missing"#),
            ("{\"a\", \"b\"}", r#"## 1:2+3 property "a" has no value ## 1:7+3 property "b" has no value"#),
            ("{[1], \"a\": 2}", "a=2 ## 1:2+1 expected the name of a property"),
            ("{\"a\": @ \"b\": 1}", "a=!! ## 1:7+1 expected a value, found `@`"),
            ("{\"a\": 1)}", "a=1 ## 1:8+1 unexpected `)`"),
            ("{\"a\": 1}}", "a=1 ## 1:9+1 the JSON ends before this"),
            (
                "{\"a\": \"${\", \"b\": \"x ${c d}\", \"e\": \"\\u00e9${1 +}\"}",
                r#"a=<${!!}>; b=<"x " ${c}>; e=<"é" ${!!}> ## 1:8+2 `${` is not closed ## 1:25+1 unexpected `d` ## 1:46+1 value is missing after `+`"#,
            ),
            (
                "{\"variable\": {\"a\": {\"type\": \"${string}\"}}}",
                r#"(variable "a" {type=!!}) ## 1:30+1 unknown character `$`"#,
            ),
            (
                "{\"locals\": 5, \"variable\": {\"a\": \"x\"}, \"resource\": {\"x\": [1]}}",
                "## 1:12+1 block `locals` is written as an object ## 1:33+3 block `variable` is written as an object ## 1:58+1 the names of `resource` blocks are those of an object's properties",
            ),
            (
                "{\"variable\": {}, \"resource\": {\"x\": {}}}",
                "## 1:14+2 block `variable` has no name ## 1:36+2 block `resource` has no name",
            ),
            (
                "{\"locals\": {\"a\": 1, \"a\": 2, \"b\": {\"c\": 1, \"c\": 2}}}",
                r#"(locals {a=1; b={"c"=1 "c"=2}}) ## 1:21+3 `a` is set twice ~1:13+3 ## 1:43+3 `c` is set twice ~1:35+3"#,
            ),
            (
                "[null, 1]",
                "## 1:2+4 a file of JSON is an object, or a list of objects ## 1:8+1 a file of JSON is an object, or a list of objects",
            ),
        ],
        |text| read(text, false),
    );
}
