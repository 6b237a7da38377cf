//! Trees and errors as compact text. The fuzz targets use this file too.

use andon_hcl::ast::*;
use andon_hcl::{parse_body, parse_expression, parse_template};
use andon_text::{Diagnostics, SourceMap, Span};

/// Compares all cases, and tells every one that differs.
#[track_caller]
pub fn check_all(cases: &[(&str, &str)], actual: impl Fn(&str) -> String) {
    let mut wrong = String::new();
    for (input, expected) in cases {
        let actual = actual(input);
        if actual.trim() != expected.trim() {
            // Written as the row that would hold, to be judged and put in.
            wrong.push_str(&format!("    ({input:?}, {:?}),\n    // was {:?}\n", actual.trim(), expected.trim()));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// An expression's tree, then its errors.
pub fn expression(text: &str) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (expr, diagnostics) = parse_expression(id, text);
    with_errors(expr_dump(&expr), &map, &diagnostics)
}

/// A template's parts, then its errors.
pub fn template(text: &str) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (template, diagnostics) = parse_template(id, text);
    with_errors(parts_dump(&template.parts), &map, &diagnostics)
}

/// A body's tree, then its errors.
pub fn body(text: &str) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (body, diagnostics) = parse_body(id, text);
    with_errors(body_dump(&body), &map, &diagnostics)
}

/// A body's errors alone, a line each: place, summary.
pub fn errors(text: &str) -> String {
    let mut map = SourceMap::new();
    let id = map.add("x", text);
    let (_, diagnostics) = parse_body(id, text);
    error_lines(&map, &diagnostics).join("\n")
}

fn with_errors(tree: String, map: &SourceMap, diagnostics: &Diagnostics) -> String {
    let mut lines = vec![tree];
    lines.extend(error_lines(map, diagnostics));
    lines.join(" ## ")
}

pub fn error_lines(map: &SourceMap, diagnostics: &Diagnostics) -> Vec<String> {
    let line = |diagnostic: &andon_text::Diagnostic| {
        assert!(!diagnostic.help.is_empty(), "no help: {diagnostic:?}");
        let span = diagnostic.span.expect("every syntax error has a place");
        let related: Vec<_> = diagnostic.related.iter().map(|(span, _)| format!(" ~{}", range(map, *span))).collect();
        format!("{} {}{}", range(map, span), diagnostic.summary, related.concat())
    };
    diagnostics.iter().map(line).collect()
}

/// `line:column+length in bytes`
pub fn range(map: &SourceMap, span: Span) -> String {
    let position = map.get(span.source).unwrap().position(span.start);
    format!("{}:{}+{}", position.line, position.column, span.end - span.start)
}

pub fn body_dump(body: &Body) -> String {
    let items = body.items.iter().map(|item| match item {
        Item::Attribute(attribute) => format!("{}={}", attribute.name.name, expr_dump(&attribute.value)),
        Item::Block(block) => {
            let mut labels = String::new();
            for (index, label) in block.labels.iter().enumerate() {
                match block.label_templates.get(index) {
                    Some(Some(template)) => labels.push_str(&format!(" <{}>", parts_dump(&template.parts))),
                    _ => labels.push_str(&format!(" {:?}", label.name)),
                }
            }
            format!("({}{labels} {{{}}})", block.kind.name, body_dump(&block.body))
        }
    });
    items.collect::<Vec<_>>().join("; ")
}

fn all(exprs: &[Expr]) -> String {
    exprs.iter().map(expr_dump).collect::<Vec<_>>().join(" ")
}

pub fn expr_dump(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Null => "null".into(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Number(digits) => digits.to_string(),
        ExprKind::Variable(name) => name.to_string(),
        ExprKind::SplatElement => "@".into(),
        ExprKind::Invalid => "!!".into(),
        ExprKind::Template(template) => match template.parts.as_slice() {
            [] => "\"\"".into(),
            [TemplatePart::Literal(text, _)] => format!("{text:?}"),
            parts => format!("<{}>", parts_dump(parts)),
        },
        ExprKind::Attribute { target, name } => format!("(. {} {})", expr_dump(target), name.name),
        ExprKind::Index { target, key } => format!("([] {} {})", expr_dump(target), expr_dump(key)),
        ExprKind::Splat { target, each, full } => {
            format!("({} {} {})", if *full { "[*]" } else { ".*" }, expr_dump(target), expr_dump(each))
        }
        ExprKind::Call { name, arguments, expand_last } => {
            format!("{}({}{})", name.name, all(arguments), if *expand_last { "..." } else { "" })
        }
        ExprKind::Tuple(elements) => format!("[{}]", all(elements)),
        ExprKind::Object(items) => {
            let items = items.iter().map(|item| format!("{}={}", expr_dump(&item.key), expr_dump(&item.value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(" "))
        }
        ExprKind::For(parts) => {
            let key_name = parts.key_name.iter().map(|name| format!("{},", name.name)).collect::<String>();
            let key = parts.key.iter().map(|key| format!("{}=>", expr_dump(key))).collect::<String>();
            let condition = parts.condition.iter().map(|c| format!(" if {}", expr_dump(c))).collect::<String>();
            let group = if parts.group { "..." } else { "" };
            let (collection, value) = (expr_dump(&parts.collection), expr_dump(&parts.value));
            format!("(for {key_name}{} in {collection}: {key}{value}{group}{condition})", parts.value_name.name)
        }
        ExprKind::Unary { operator, operand } => {
            let sign = match operator {
                UnaryOperator::Negate => "-",
                UnaryOperator::Not => "!",
            };
            format!("({sign} {})", expr_dump(operand))
        }
        ExprKind::Binary { operator, left, right, .. } => {
            let sign = match operator {
                BinaryOperator::Or => "||",
                BinaryOperator::And => "&&",
                BinaryOperator::Equal => "==",
                BinaryOperator::NotEqual => "!=",
                BinaryOperator::Less => "<",
                BinaryOperator::LessOrEqual => "<=",
                BinaryOperator::Greater => ">",
                BinaryOperator::GreaterOrEqual => ">=",
                BinaryOperator::Add => "+",
                BinaryOperator::Subtract => "-",
                BinaryOperator::Multiply => "*",
                BinaryOperator::Divide => "/",
                BinaryOperator::Modulo => "%",
            };
            format!("({sign} {} {})", expr_dump(left), expr_dump(right))
        }
        ExprKind::Conditional { condition, yes, no } => {
            format!("(? {} {} {})", expr_dump(condition), expr_dump(yes), expr_dump(no))
        }
        ExprKind::Parentheses(inner) => format!("({})", expr_dump(inner)),
    }
}

pub fn parts_dump(parts: &[TemplatePart]) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Literal(text, _) => format!("{text:?}"),
        TemplatePart::Interpolation(expr) => format!("${{{}}}", expr_dump(expr)),
        TemplatePart::If { condition, yes, no, .. } => {
            format!("(if {} <{}> <{}>)", expr_dump(condition), parts_dump(yes), parts_dump(no))
        }
        TemplatePart::For { key_name, value_name, collection, body, .. } => {
            let key_name = key_name.iter().map(|name| format!("{},", name.name)).collect::<String>();
            format!("(for {key_name}{} in {} <{}>)", value_name.name, expr_dump(collection), parts_dump(body))
        }
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" ")
}
