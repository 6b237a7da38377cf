//! What holds for any text.

use andon_hcl::ast::{Body, Item};
use andon_hcl::{format, json, parse_body, parse_expression, parse_template};
use andon_text::{Diagnostics, SourceMap, Span};
use proptest::prelude::*;

/// Pieces of the language, to be strung together without sense.
const WORDS: &[&str] = &[
    "a",
    "b-c",
    "for",
    "in",
    "if",
    "else",
    "endif",
    "endfor",
    "null",
    "true",
    "1",
    "2.5e3",
    "=",
    "==",
    "=>",
    ":",
    "::",
    ",",
    ".",
    "...",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    "<=",
    ">",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\"x\"",
    "${",
    "~}",
    "%{",
    "%{ if a }",
    "%{ endif }",
    "<<E\n",
    "<<-E\n",
    "\nE\n",
    "\n",
    "\r\n",
    " ",
    "\t",
    "# c\n",
    "// c\n",
    "/*",
    "*/",
    "'",
    "\\n",
    "\\",
    "$${",
    "é",
    "日本",
    "“",
    "\u{feff}",
    "\u{0}",
    "@",
    "a = 1\n",
    "a {\n",
    "}\n",
    "[*]",
    ".*",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 0..60).prop_map(|words| words.concat())
}

fn assert_span(text: &str, span: Span) {
    let range = span.start as usize..span.end as usize;
    assert!(text.get(range).is_some(), "{span:?} is no range of characters of {text:?}");
}

fn assert_spans(text: &str, diagnostics: &Diagnostics) {
    for diagnostic in diagnostics {
        assert!(diagnostic.is_error() && !diagnostic.summary.is_empty() && !diagnostic.help.is_empty());
        assert_span(text, diagnostic.span.unwrap());
        diagnostic.related.iter().for_each(|(span, _)| assert_span(text, *span));
    }
}

fn assert_body(text: &str, body: &Body) {
    body.span.iter().for_each(|span| assert_span(text, *span));
    for item in body.items.iter() {
        match item {
            Item::Attribute(attribute) => {
                assert_span(text, attribute.span);
                assert_span(text, attribute.name.span);
                attribute.value.walk(&mut |expr| assert_span(text, expr.span));
                for reference in attribute.value.references() {
                    assert_span(text, reference.span);
                    reference.steps.iter().for_each(|step| assert_span(text, step.span()));
                }
            }
            Item::Block(block) => {
                assert_span(text, block.span);
                assert_span(text, block.head);
                block.labels.iter().for_each(|label| assert_span(text, label.span));
                assert_body(text, &block.body);
            }
        }
    }
}

fn assert_all(text: &str) {
    let id = SourceMap::new().add("x", text);
    let (body, diagnostics) = parse_body(id, text);
    assert_spans(text, &diagnostics);
    assert_body(text, &body);
    let (expr, diagnostics) = parse_expression(id, text);
    assert_spans(text, &diagnostics);
    expr.walk(&mut |expr| assert_span(text, expr.span));
    let (template, diagnostics) = parse_template(id, text);
    assert_spans(text, &diagnostics);
    template.for_each_part(&mut |part| part.walk(&mut |expr| assert_span(text, expr.span)));
    format(text);
    let (value, diagnostics) = json::parse(id, text);
    assert_spans(text, &diagnostics);
    for strings in [json::Strings::Template, json::Strings::Text, json::Strings::Expression] {
        let (body, diagnostics) = value.to_body(&strings);
        assert_spans(text, &diagnostics);
        assert_body(text, &body);
    }
}

/// What fuzzing has found.
#[test]
fn texts_that_were_misread_once_are_read() {
    for text in [
        "{\"a\": ,8d8\u{fffd}\u{fffd}8=8b\u{fffd}b\": }",
        "{\u{1}\n'\u{e9}': 'b', \u{201c}c\u{201d}: \u{201c}d\u{fffd}#\u{201d}}",
        "{\"a\": \u{201c}${b\u{fffd}c\u{201d}, 1\u{e9}: 2}",
        "i=\"${b\u{fffd}\u{fffd} <<E\n%{if ",
        "a =0 . 51",
    ] {
        assert_all(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in "\\PC{0,80}") {
        assert_all(&text);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        assert_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_tokens_are_read(text in soup()) {
        assert_all(&text);
    }

    /// Laying out changes no meaning: what was valid stays valid.
    #[test]
    fn a_valid_text_stays_valid(text in soup()) {
        let id = SourceMap::new().add("x", &*text);
        if parse_body(id, &text).1.is_empty() {
            let formatted = format(&text);
            let (_, diagnostics) = parse_body(id, &formatted);
            prop_assert!(diagnostics.is_empty(), "{text:?} became {formatted:?}: {diagnostics:?}");
        }
    }
}
