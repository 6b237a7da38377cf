use andon_hcl::ast::ExprKind;
use andon_hcl::{Step, parse_expression};
use andon_text::SourceMap;

use crate::dump::check_all;

fn references(text: &str) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (expr, diagnostics) = parse_expression(id, text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
    let references = expr.references();
    let shown = references.iter().map(|reference| {
        let mut words = format!("{}@{}", reference.root.name, map.text(reference.span));
        for step in &reference.steps {
            let step = match step {
                Step::Attribute(name) => format!(" .{}", name.name),
                Step::Number(digits, _) => format!(" #{digits}"),
                Step::Key(key, _) => format!(" {key:?}"),
                Step::Unknown(span) => format!(" ?{}", map.text(*span)),
                Step::Splat(_) => " *".to_owned(),
            };
            words.push_str(&step);
        }
        words
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[test]
fn references_are_found_where_they_are() {
    check_all(
        &[
            ("1", ""),
            ("a", "a@a"),
            ("a.b.c", "a@a.b.c .b .c"),
            ("a.b[0].c", "a@a.b[0].c .b #0 .c"),
            ("a.0.b", "a@a.0.b #0 .b"),
            ("a[\"k\"]", "a@a[\"k\"] \"k\""),
            ("a[b.c].d", "a@a[b.c].d ?b.c .d; b@b.c .c"),
            ("a.*.b", "a@a.*.b * .b"),
            ("a[*].b[c]", "a@a[*].b[c] * .b ?c; c@c"),
            ("f(a, b)", "a@a; b@b"),
            ("f(a).b", "a@a"),
            ("{a = b, (c) = d, e.f = 1}", "b@b; c@c; d@d; e@e.f .f"),
            ("[for x in a : x.y + b]", "a@a; b@b"),
            ("[for k, x in x : k]", "x@x"),
            ("{for x in a : x => b if c}", "a@a; b@b; c@c"),
            ("\"${a}%{ for x in b }${x}${c}%{ endfor }${x}\"", "a@a; b@b; c@c; x@x"),
            ("\"%{ if a }${b}%{ else }${c}%{ endif }\"", "a@a; b@b; c@c"),
            ("a ? b : -c", "a@a; b@b; c@c"),
            ("(a.b)[c]", "a@a.b .b; c@c"),
        ],
        references,
    );
}

#[test]
fn a_walk_meets_every_expression_once() {
    let mut map = SourceMap::new();
    let text = "f([a, {b = c[d]}], \"${e}\", [for x in g[*].h : !x if (i)], j ? 1 : 2 + 3)";
    let id = map.add("x", text);
    let (expr, _) = parse_expression(id, text);
    let mut names = Vec::new();
    let mut count = 0;
    expr.walk(&mut |expr| {
        count += 1;
        if let ExprKind::Variable(name) = &expr.kind {
            names.push(name.to_string());
        }
    });
    assert_eq!(names.join(" "), "a c d e g x i j");
    assert_eq!(count, 24);
}
