//! Values as text of the language itself, and back: the functions of the built-in provider `terraform`.

use andon_hcl::ast::Item;
use andon_hcl::parse_body;
use andon_text::{Diagnostic, SourceMap};
use andon_value::{Kind, Type, Value, is_identifier, quote};

use super::{Fault, Function, row};
use crate::eval::{Call, Inputs, Name, Resolved, Scope, Step, evaluate};

pub(super) fn table() -> Vec<Function> {
    use Type::{Dynamic, String as S};
    vec![
        row("decode_tfvars", Dynamic, decode, "The values that a file of variables gives.").takes("src", S),
        row("encode_expr", S, |call| Ok(laid_out(call.value(0)).into()), "A value as it would be written.")
            .takes("value", Dynamic),
        row("encode_tfvars", S, encode, "An object as a file of variables.").takes("value", Dynamic),
    ]
}

fn encode(call: &Call<'_>) -> Result<Value, Fault> {
    let Some(entries) = call.value(0).as_entries() else {
        return Err(Fault::at(0, "an object whose attributes are the variables is required"));
    };
    if let Some(name) = entries.keys().find(|name| !is_identifier(name)) {
        return Err(Fault::at(0, format!("no variable can have the name {}", quote(name))));
    }
    let lines: String = entries.iter().map(|(name, value)| format!("{name} = {}\n", expression(value))).collect();
    Ok(andon_hcl::format(&lines).into())
}

/// A value in the syntax of the language, laid out as the formatter has it.
fn laid_out(value: &Value) -> String {
    let body = andon_hcl::format(&format!("value = {}\n", expression(value)));
    body.strip_prefix("value = ").unwrap_or(&body).trim_end_matches('\n').to_owned()
}

fn expression(value: &Value) -> String {
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(..) => "null".to_owned(),
        Kind::Bool(truth) => truth.to_string(),
        Kind::Number(number) => number.to_string(),
        Kind::String(text) => quote(text),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            format!("[{}]", value.children().map(expression).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(_, entries) | Kind::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let name = |name: &str| if is_identifier(name) { name.to_owned() } else { quote(name) };
            let lines = entries.iter().map(|(key, value)| format!("{} = {}\n", name(key), expression(value)));
            format!("{{\n{}}}", lines.collect::<String>())
        }
    }
}

fn decode(call: &Call<'_>) -> Result<Value, Fault> {
    let mut sources = SourceMap::new();
    let id = sources.add("the variables", call.text(0));
    let (body, errors) = parse_body(id, call.text(0));
    let first = |errors: &andon_text::Diagnostics| {
        let error = errors.iter().next();
        let place = error.and_then(|error| error.span).map(|span| format!("{}: ", sources.locate(span)));
        Fault::at(0, "this is no file of variables").detail(format!(
            "{}{}.",
            place.unwrap_or_default(),
            error.map_or("", |error| &error.summary)
        ))
    };
    if errors.has_errors() {
        return Err(first(&errors));
    }
    let scope = Nothing(call.inputs);
    let mut values = Vec::new();
    for item in body.items.iter() {
        let Item::Attribute(attribute) = item else {
            return Err(Fault::at(0, "a file of variables has no blocks"));
        };
        values
            .push((attribute.name.name.clone(), evaluate(&attribute.value, &scope).map_err(|errors| first(&errors))?));
    }
    Ok(Value::object(values))
}

/// No names and no functions: a file of variables only has values.
struct Nothing<'a>(Inputs<'a>);

impl Scope for Nothing<'_> {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        Err(Diagnostic::error(format!("`{}` cannot be read in a file of variables", root.name)).at(root.span))
    }

    fn inputs(&self) -> Inputs<'_> {
        self.0
    }
}
