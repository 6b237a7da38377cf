//! Bodies that a provider may have more to say of than its schema does, and the places in them.

use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind};
use andon_schema::{Mode, ProviderAddress};
use andon_text::Span;
use andon_value::{Path, PathStep, Value};

use super::item_span;

/// A body that fits its schema, evaluated with everything that is not known yet as unknown: a question to its provider.
#[derive(Debug, Clone)]
pub struct EvaluatedBody {
    /// Whose it is.
    pub provider: ProviderAddress,
    /// Which of the provider's schemas it fits: a type's, or that of the provider's own configuration.
    pub of: Option<(Mode, Arc<str>)>,
    /// Its value, of the schema's implied type.
    pub value: Value,
    /// The body as written.
    pub body: Body,
    /// The first line of its block.
    pub span: Span,
}

impl EvaluatedBody {
    /// Where a part of its value is written; what holds it where the part itself is not written.
    pub fn place(&self, path: &Path) -> Span {
        place_in(&self.body, path).unwrap_or(self.span)
    }
}

/// Where a part of the value of a body is written, or what holds it where the part itself is not written; `None` where
/// nothing of it is.
pub fn place_in(body: &Body, path: &Path) -> Option<Span> {
    in_body(body, path.steps())
}

fn in_body(body: &Body, steps: &[PathStep]) -> Option<Span> {
    let (PathStep::Attribute(name), rest) = steps.split_first()? else { return None };
    if let Some(attribute) = body.attribute(name) {
        return Some(in_expression(&attribute.value, rest));
    }
    // What makes a number of blocks that is not known here stands for all of them.
    let made =
        |block: &Block| &*block.kind.name == "dynamic" && block.labels.first().is_some_and(|it| it.name == *name);
    if let Some(dynamic) = body.blocks().find(|block| made(block)) {
        return Some(dynamic.head);
    }
    let mut blocks = body.blocks().filter(|block| block.kind.name == *name);
    let (block, rest) = match rest.split_first() {
        Some((PathStep::Index(index), rest)) => (blocks.nth(*index)?, rest),
        Some((PathStep::Key(key), rest)) => {
            (blocks.find(|block| block.labels.first().is_some_and(|label| label.name == *key))?, rest)
        }
        Some((PathStep::Element(_), _)) => (blocks.next()?, [].as_slice()),
        Some((PathStep::Attribute(_), _)) | None => (blocks.next()?, rest),
    };
    Some(in_body(&block.body, rest).unwrap_or(block.head))
}

fn in_expression(expr: &Expr, steps: &[PathStep]) -> Span {
    let mut expr = expr;
    for step in steps {
        while let ExprKind::Parentheses(inner) = &expr.kind {
            expr = inner;
        }
        let next = match (&expr.kind, step) {
            (ExprKind::Tuple(elements), PathStep::Index(index)) => elements.get(*index),
            (ExprKind::Object(items), PathStep::Attribute(name) | PathStep::Key(name)) => {
                let Some(span) = item_span(expr, name) else { break };
                items.iter().map(|item| &item.value).find(|value| value.span == span)
            }
            _ => None,
        };
        match next {
            Some(next) => expr = next,
            None => break,
        }
    }
    expr.span
}

#[cfg(test)]
mod tests {
    use andon_hcl::parse_body;
    use andon_text::SourceMap;

    use super::*;

    const TEXT: &str = r#"
name = "x"
tags = { a = 1, "b" = [2, 3] }
rule {
  port = 1
}
rule {
  port = 2
}
dynamic "many" {
  for_each = var.x
  content {}
}
"#;

    #[test]
    fn paths_lead_to_places() {
        let mut sources = SourceMap::new();
        let (body, errors) = parse_body(sources.add("a.tf", TEXT), TEXT);
        assert!(errors.is_empty(), "{errors:?}");
        let named = |name: &str| PathStep::Attribute(name.into());
        let key = |name: &str| PathStep::Key(name.into());
        for (steps, expected) in [
            (vec![named("name")], "\"x\""),
            (vec![named("name"), named("inner")], "\"x\""),
            (vec![named("tags"), key("a")], "1"),
            (vec![named("tags"), key("b"), PathStep::Index(1)], "3"),
            (vec![named("tags"), key("b"), PathStep::Index(7)], "[2, 3]"),
            (vec![named("rule"), PathStep::Index(1), named("port")], "2"),
            (vec![named("rule"), PathStep::Index(0), named("missing")], "rule"),
            (vec![named("many"), PathStep::Index(0), named("port")], "dynamic \"many\""),
            (vec![named("rule"), PathStep::Index(9)], "nothing"),
            (vec![named("absent")], "nothing"),
            (vec![], "nothing"),
        ] {
            let found = in_body(&body, &steps).map_or("nothing", |span| sources.text(span));
            assert_eq!(found, expected, "{steps:?}");
        }
    }
}
