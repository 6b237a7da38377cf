//! From trees back to text. The fuzz targets use this file too.

use andon_hcl::ast::*;

/// The text of a body: an item a line, and no comments. Heredocs become quoted strings.
pub fn body(body: &Body) -> String {
    let item = |item: &Item| match item {
        Item::Attribute(attribute) => format!("{} = {}\n", attribute.name.name, expr(&attribute.value)),
        Item::Block(block) => {
            let label = |(at, label): (usize, &Ident)| match block.label_templates.get(at) {
                Some(Some(parts)) => format!(" {}", quoted(&parts.parts)),
                _ => format!(" \"{}\"", escaped(&label.name)),
            };
            let labels: String = block.labels.iter().enumerate().map(label).collect();
            format!("{}{labels} {{\n{}}}\n", block.kind.name, self::body(&block.body))
        }
    };
    body.items.iter().map(item).collect()
}

fn expr(of: &Expr) -> String {
    match &of.kind {
        ExprKind::Null => "null".to_owned(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Number(digits) => digits.to_string(),
        ExprKind::Template(template) => quoted(&template.parts),
        ExprKind::Variable(name) => name.to_string(),
        ExprKind::Attribute { target, name } => format!("{}.{}", expr(target), name.name),
        ExprKind::Index { target, key } => format!("{}[{}]", expr(target), expr(key)),
        ExprKind::Splat { target, each, full } => {
            format!("{}{}{}", expr(target), if *full { "[*]" } else { ".*" }, expr(each))
        }
        ExprKind::SplatElement => String::new(),
        ExprKind::Call { name, arguments, expand_last } => {
            format!("{}({}{})", name.name, list(arguments), if *expand_last { "..." } else { "" })
        }
        ExprKind::Tuple(elements) => format!("[{}]", list(elements)),
        ExprKind::Object(items) => {
            let items: Vec<_> =
                items.iter().map(|item| format!("{} = {}", expr(&item.key), expr(&item.value))).collect();
            format!("{{ {} }}", items.join(", "))
        }
        ExprKind::For(parts) => {
            let names: Vec<_> = parts.key_name.iter().chain([&parts.value_name]).map(|name| &*name.name).collect();
            let head = format!("for {} in {} : ", names.join(", "), expr(&parts.collection));
            let condition =
                parts.condition.as_ref().map(|condition| format!(" if {}", expr(condition))).unwrap_or_default();
            match &parts.key {
                Some(key) => {
                    let group = if parts.group { "..." } else { "" };
                    format!("{{{head}{} => {}{group}{condition}}}", expr(key), expr(&parts.value))
                }
                None => format!("[{head}{}{condition}]", expr(&parts.value)),
            }
        }
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => format!("-{}", expr(operand)),
        ExprKind::Unary { operator: UnaryOperator::Not, operand } => format!("!{}", expr(operand)),
        ExprKind::Binary { operator, left, right, .. } => {
            use BinaryOperator::*;
            let operator = match operator {
                Or => "||",
                And => "&&",
                Equal => "==",
                NotEqual => "!=",
                Less => "<",
                LessOrEqual => "<=",
                Greater => ">",
                GreaterOrEqual => ">=",
                Add => "+",
                Subtract => "-",
                Multiply => "*",
                Divide => "/",
                Modulo => "%",
            };
            format!("{} {operator} {}", expr(left), expr(right))
        }
        ExprKind::Conditional { condition, yes, no } => format!("{} ? {} : {}", expr(condition), expr(yes), expr(no)),
        ExprKind::Parentheses(inner) => format!("({})", expr(inner)),
        ExprKind::Invalid => panic!("a valid text has no such thing"),
    }
}

fn list(of: &[Expr]) -> String {
    of.iter().map(expr).collect::<Vec<_>>().join(", ")
}

fn quoted(parts: &[TemplatePart]) -> String {
    match parts {
        // The text around it that strip markers took away.
        [TemplatePart::Interpolation(inner), TemplatePart::Literal(text, _)] if text.is_empty() => {
            format!("\"${{{} ~}} \"", expr(inner))
        }
        _ => format!("\"{}\"", template(parts)),
    }
}

fn template(parts: &[TemplatePart]) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Literal(text, _) => escaped(text),
        TemplatePart::Interpolation(inner) => format!("${{{}}}", expr(inner)),
        TemplatePart::If { condition, yes, no, .. } => {
            let no = if no.is_empty() { String::new() } else { format!("%{{else}}{}", template(no)) };
            format!("%{{if {}}}{}{no}%{{endif}}", expr(condition), template(yes))
        }
        TemplatePart::For { key_name, value_name, collection, body, .. } => {
            let names: Vec<_> = key_name.iter().chain([value_name]).map(|name| &*name.name).collect();
            format!("%{{for {} in {}}}{}%{{endfor}}", names.join(", "), expr(collection), template(body))
        }
    };
    parts.iter().map(part).collect()
}

fn escaped(text: &str) -> String {
    let escape = |character: char| match character {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        // Before a brace, or beside what may end in one, a mark would begin a sequence.
        '$' => "\\u0024".to_owned(),
        '%' => "\\u0025".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The tree without what the formatter makes new: `"${value}"` is the value, and types of variables are gone.
pub fn normal(of: &Body, inside: &[&str]) -> Body {
    let item = |item: &Item| match item {
        Item::Attribute(attribute) if inside == ["variable"] && &*attribute.name.name == "type" => None,
        Item::Attribute(attribute) => {
            let mut value = attribute.value.clone();
            loop {
                value = match &value.kind {
                    ExprKind::Parentheses(inner) => (**inner).clone(),
                    ExprKind::Template(Template { parts, heredoc: false }) => match parts.as_slice() {
                        [TemplatePart::Interpolation(inner)] => inner.clone(),
                        _ => break,
                    },
                    _ => break,
                };
            }
            Some(Item::Attribute(Attribute { value, ..attribute.clone() }))
        }
        Item::Block(block) => {
            let inside: Vec<_> = inside.iter().copied().chain([&*block.kind.name]).collect();
            Some(Item::Block(Block { body: normal(&block.body, &inside), ..block.clone() }))
        }
    };
    Body { items: of.items.iter().filter_map(item).collect::<Vec<_>>().into(), span: of.span }
}
