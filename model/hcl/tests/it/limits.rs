//! Hostile input: it ends soon, and the stack and the heap survive it.

use andon_hcl::{CHAIN_LIMIT, NESTING_LIMIT, format, json, parse_body, parse_expression, parse_template};
use andon_text::SourceMap;

/// Bytes a case: all cases together are many megabytes, and quadratic time would show in any. `BYTES` of the environment
/// is for more; then what takes long is printed.
#[allow(clippy::disallowed_methods)]
fn size() -> Option<usize> {
    std::env::var("BYTES").ok().and_then(|bytes| bytes.parse().ok())
}

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

#[allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let result = work();
    if size().is_some() && start.elapsed().as_millis() > 1000 {
        println!("{what:?} took {:?}", start.elapsed());
    }
    result
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
        "%{",
        "\u{0}",
        "\u{301}",
        "a\u{301}",
        "\u{fffd}",
        "'a\n",
        "\"${\"",
        "\"%{",
        "a \"b\" [\n",
        "a\n{\n",
        "<<EOT\n",
        "<< a\n",
        "a = << a\nb\n",
        "a = x ? \"${",
        "for",
        "a = (b = ",
        "{b, ",
        "[x for ",
    ];
    survives(&unit.concat().repeat(200_000 / unit.concat().len()));
    for unit in unit {
        let many = unit.repeat(size().unwrap_or(10_000) / unit.len());
        for text in [many.clone(), format!("a = {many}"), format!("a = \"${{{many}")] {
            timed(unit, || survives(&text));
        }
    }
}

/// What nests, as an opener and a closer, and how many levels of it one pair is.
const NESTS: [(&str, &str, u32); 9] = [
    ("(", ")", 1),
    ("[", "]", 1),
    ("[[], ", "]", 1),
    ("{a=", "}", 1),
    ("f(", ")", 1),
    ("\"${", "}\"", 2),
    ("a[", "]", 1),
    ("a ? ", " : b", 1),
    ("[for x in y : ", "]", 1),
];

#[test]
fn depth_is_bounded_and_said_once() {
    for (open, close, levels) in NESTS {
        let count = (NESTING_LIMIT / levels) as usize;
        for (count, fits) in [(count - 1, true), (count + 1, false), (20 * count, false)] {
            let text = format!("x = {}1{}\ny = 2\nz = ]\n", open.repeat(count), close.repeat(count));
            let (tree, diagnostics) = parse_body(SourceMap::new().add("x", &*text), &text);
            let summaries: Vec<_> = diagnostics.iter().map(|d| d.summary.as_str()).collect();
            let last = "expected a value, found `]`";
            let expected = if fits { vec![last] } else { vec!["expressions are nested too deeply", last] };
            assert_eq!(summaries, expected, "{open} × {count}");
            assert!(tree.attribute("y").is_some(), "{open}");
            assert_eq!(tree, tree.clone());
        }
    }
    for (text, summary) in [
        (format!("{}{}", "a {\n".repeat(5000), "}\n".repeat(5000)), "blocks are nested too deeply"),
        (format!("a = \"{}\"\n", "%{ if a }".repeat(5000)), "expressions are nested too deeply"),
        (format!("a = <<E\n{}\nE\n", "%{ for a in b }".repeat(5000)), "expressions are nested too deeply"),
    ] {
        let (_, diagnostics) = parse_body(SourceMap::new().add("x", &*text), &text);
        let summaries: Vec<_> = diagnostics.iter().map(|d| d.summary.as_str()).collect();
        assert_eq!(summaries, [summary]);
    }
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = format!("{{\"x\": {}1{}}}", open.repeat(5000), close.repeat(5000));
        let (_, diagnostics) = json::parse(SourceMap::new().add("x", &*text), &text);
        let summaries: Vec<_> = diagnostics.iter().map(|d| d.summary.as_str()).collect();
        assert_eq!(summaries, ["values are nested too deeply"]);
    }
}

/// Chains nest nothing, so that they may be of any length.
#[test]
fn chains_of_any_length_are_taken() {
    const LENGTH: usize = 4_000;
    for (before, link, after) in [
        ("", "1 + ", "1"),
        ("", "a && ", "b"),
        ("", "a || b == ", "b"),
        ("", "a ? b : ", "c"),
        ("(", "a ?\n b :\n ", "c)"),
        ("a", ".a", ""),
        ("a", "[0]", ""),
        ("a", "[b.c].0", ""),
        ("a", "[*].b", ""),
        ("a", ".*.b[0]", ""),
        ("", "!", "a"),
        ("", "-", "1"),
        ("\"", "a${b}", "\""),
        ("\"", "%{ if a }b%{ endif }", "\""),
        ("[", "a, ", "]"),
        ("f(", "a, ", "b)"),
        ("{", "a = b, ", "}"),
    ] {
        let expression = format!("{before}{}{after}", link.repeat(LENGTH));
        let text = format!("x = {expression}\ny = 2\n");
        let id = SourceMap::new().add("x", &*text);
        let (tree, diagnostics) = parse_body(id, &text);
        assert!(diagnostics.is_empty(), "{link}: {diagnostics:?}");
        assert_eq!(tree, tree.clone(), "{link}");
        assert!(format!("{:?}", tree.attribute("y")).contains("Number"));
        let (expr, _) = parse_expression(id, &expression);
        let (mut parts, references) = (0, expr.references());
        expr.walk(&mut |_| parts += 1);
        assert!(parts >= LENGTH && (!references.is_empty() || link.starts_with(['1', '-'])), "{link}");
        assert_eq!(expr, expr.clone());
        let once = format(&text);
        assert_eq!(format(&once), once);
        let quoted = expression.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let text = format!("{{\"x\": \"${{{quoted}}}\"}}");
        let (value, diagnostics) = json::parse(id, &text);
        assert!(diagnostics.is_empty());
        let (_, diagnostics) = value.to_body(&json::Unknown);
        assert!(diagnostics.is_empty(), "{link} in JSON: {diagnostics:?}");
    }
}

#[test]
fn a_chain_without_end_is_told_once() {
    for (link, end) in [("1 + ", "1"), ("!", "a"), ("a ? b : ", "c"), ("a.", "b")] {
        let text = format!("x = {}{end}\ny = 2\n", link.repeat(CHAIN_LIMIT + 10));
        let (tree, diagnostics) = parse_body(SourceMap::new().add("x", &*text), &text);
        let summaries: Vec<_> = diagnostics.iter().map(|d| d.summary.as_str()).collect();
        assert_eq!(summaries, ["expression is too long"], "{link}");
        assert!(tree.attribute("y").is_some(), "{link}");
    }
}

#[test]
fn ordinary_depth_is_taken() {
    let valid = |text: String| {
        let (tree, diagnostics) = parse_body(SourceMap::new().add("x", &*text), &text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(!format!("{tree:?}").is_empty());
        // Of a string in a string only the outermost is taken away at a time, as Terraform does it.
        let once = format(&text);
        assert!(text.contains("${\"${") || format(&once) == once);
    };
    let deep = NESTING_LIMIT as usize - 2;
    valid(format!("{}{}", "a {\n".repeat(deep), "}\n".repeat(deep)));
    valid(format!("a = \"{}{}\"\n", "%{ if a }".repeat(deep), "%{ endif }".repeat(deep)));
    for (open, close, levels) in NESTS {
        let count = deep / levels as usize;
        valid(format!("a = {}b{}\n", open.repeat(count), close.repeat(count)));
    }
    let text = format!("{{\"x\": {}1{}}}", "[".repeat(deep), "]".repeat(deep));
    let (value, diagnostics) = json::parse(SourceMap::new().add("x", &*text), &text);
    assert!(diagnostics.is_empty() && value.to_body(&json::Unknown).1.is_empty());
}
