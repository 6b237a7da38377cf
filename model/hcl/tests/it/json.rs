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
