//! Hostile input: it ends soon, and the stack and the heap survive it.

use andon_hcl::{format, json, parse_body, parse_template};
use andon_text::SourceMap;

/// Bytes a case: all cases together are many megabytes, and quadratic time would show in any.
const SIZE: usize = 100_000;

fn survives(text: &str) -> usize {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (tree, body) = parse_body(id, text);
    drop(tree.clone());
    drop(tree);
    let (tree, template) = parse_template(id, text);
    drop(tree.clone());
    drop(tree);
    let (value, _) = json::parse(id, text);
    drop(value.to_body(&json::Unknown));
    drop(value.to_body(&json::Strings::Expression));
    format(text);
    body.len().min(template.len())
}

#[test]
fn much_of_anything_ends_soon() {
    let unit = [
        "(",
        "[",
        "{",
        "a = [",
        "a = {",
        "a {\n",
        "a = (",
        "-",
        "!",
        "a = !",
        "\"",
        "\"${",
        "\"%{ if a }",
        "<<A\n",
        "<<A\n${",
        "${",
        "%{ if a }",
        "%{ for a in b }",
        "f(",
        "a[",
        "a.",
        "a.*",
        "a[*]",
        "a = b[*]",
        "1+",
        "a?b:",
        "a?",
        "'",
        "“",
        "„",
        "`",
        "$",
        "~}",
        "${((~}",
        "{~}",
        "\"${{(",
        "}",
        ")",
        "]",
        "#",
        "/*",
        "//",
        "\\",
        "\"\\",
        "\n",
        "\r",
        "a\n",
        "a=1\n",
        "a b ",
        "a = 1 ",
        "[for ",
        "{for a in ",
        "[for a in b : ",
        "a = <<-E\n x\nE\n",
        "a=\"${\n",
        "a=\"${\"\n",
        "<<A\n${\"\n",
        "a::",
        "0.",
        "a.0.0",
        "é",
        "\u{feff}",
        "a = {b\n",
        "{a=1 b=2 ",
        "[1 2 ",
        "a = [1\nb = ",
        "\"a\" = 1\n",
        "x = \"${f(\n",
        "else",
        "=",
        "= =",
        ",",
        "a=[,",
        "a={,",
        "<< ",
        "<<a ",
        "<<<<<<< a\n",
        "=======\n",
        "=======\n>>>>>>>\n",
        "x \"y {\n",
        "{\"a\":",
        "[\"",
        "[\"\",",
        "{\"a\":[}",
        "[}",
        "{\"a\":\"${",
        "\"\\u00e9",
        "{'",
        "{“",
        "{`",
        "[ /* */ ",
        "{\"a\" \"b\" ",
        "[nul ",
        "[01,",
    ];
    survives(&unit.concat().repeat(1_000_000 / unit.concat().len()));
    for unit in unit {
        survives(&unit.repeat(SIZE / unit.len()));
        survives(&format!("a = {}", unit.repeat(SIZE / unit.len())));
        survives(&format!("a = \"${{{}", unit.repeat(SIZE / unit.len())));
    }
}

#[test]
fn depth_is_bounded_and_said_once() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{a=", "}"), ("f(", ")"), ("\"${", "}\""), ("!", ""), ("a[", "]"), ("a ? b : ", "")]
    {
        let text = format!("x = {}1{}\ny = 2\nz = ]\n", open.repeat(5_000), close.repeat(5_000));
        let mut map = SourceMap::new();
        let id = map.add("x", &*text);
        let (tree, diagnostics) = parse_body(id, &text);
        let summaries: Vec<_> = diagnostics.iter().map(|d| d.summary.as_str()).collect();
        assert_eq!(summaries[0], "expressions are nested too deeply", "{open}");
        assert_eq!(summaries.len(), 2, "{open}: {summaries:?}");
        assert!(tree.attribute("y").is_some(), "{open}");
    }
    for (chain, count) in [("1 + ", 100_000), ("a || ", 100_000), ("a == ", 100_000), ("a.", 100_000)] {
        let text = format!("x = {}1\ny = 2", chain.replace("a.", "a.b.").repeat(count).replace(".a", ""));
        assert!(survives(&text) <= 1);
    }
}

#[test]
fn ordinary_depth_is_taken() {
    for text in [
        format!("x = {}1{}", "(".repeat(100), ")".repeat(100)),
        format!("x = {}1{}", "[".repeat(100), "]".repeat(100)),
        format!("x = {}1", "1 + ".repeat(400)),
        format!("x = a{}", ".b".repeat(400)),
        format!("x = {}1", "a ? b : ".repeat(100)),
        format!("{}{}", "a {\n".repeat(100), "}\n".repeat(100)),
    ] {
        let mut map = SourceMap::new();
        let id = map.add("x", &*text);
        let (_, diagnostics) = parse_body(id, &text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }
}
