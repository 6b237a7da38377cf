//! Definitions of objects that there are: what is imported and not defined yet.

use std::collections::BTreeMap;

use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_text::deeper;
use andon_value::{Kind, Value, from_json_implied, in_written_order, is_identifier, quote};

/// A `resource` block that asks for an object as it is, laid out: all that may be given and is not advised against, also where that is null.
/// Instead of a secret there is null and a remark. `provider` is its meta-argument, where it needs one.
pub fn generated_resource(kind: &str, name: &str, provider: Option<&str>, value: &Value, block: &Block) -> String {
    let mut text = format!("resource {} {} {{\n", quote(kind), quote(name));
    if let Some(provider) = provider {
        text.push_str(&format!("provider = {provider}\n"));
    }
    // The name that a provider gives is no argument, although old ones let it be given.
    let is_own = |name: &str, it: &Attribute| name == "id" && it.computed && it.optional;
    let given = block.attributes.iter().filter(|(name, attribute)| !is_own(name, attribute));
    attributes(&mut text, given, value);
    blocks(&mut text, &block.blocks, value);
    text.push_str("}\n");
    andon_hcl::format(&text)
}

fn attributes<'s>(text: &mut String, all: impl Iterator<Item = (&'s String, &'s Attribute)>, value: &Value) {
    let none = BTreeMap::new();
    let entries = value.as_entries().map_or(&none, |entries| &**entries);
    let is_wanted = |it: &Attribute| (it.required || it.optional) && !it.deprecated;
    for (name, attribute) in all.filter(|(_, attribute)| is_wanted(attribute)) {
        let value = entries.get(name.as_str());
        text.push_str(&format!("{name} = "));
        match (value, &attribute.nested) {
            _ if attribute.sensitive || value.is_some_and(|value| value.marks().sensitive) => {
                text.push_str("null # sensitive");
            }
            (None, _) => text.push_str("null"),
            (Some(value), Some(nested)) if !value.is_null() => deeper(|| objects(text, nested, value)),
            // Plugins of old cannot tell what is empty from what is not given.
            (Some(value), _) if attribute.optional && value.as_str().is_some_and(|text| text.is_empty()) => {
                text.push_str("null");
            }
            (Some(value), _) => expression(text, value),
        }
        text.push('\n');
    }
}

/// The value of an attribute that has attributes of its own.
fn objects(text: &mut String, nested: &NestedAttributes, value: &Value) {
    let one = |text: &mut String, value: &Value| {
        text.push_str("{\n");
        attributes(text, nested.attributes.iter(), value);
        text.push('}');
    };
    match (nested.nesting, value.as_entries()) {
        (Nesting::Single | Nesting::Group, _) => one(text, value),
        (Nesting::Map, Some(entries)) => {
            text.push_str("{\n");
            for (name, value) in entries.iter() {
                text.push_str(&format!("{} = ", key(name)));
                one(text, value);
                text.push('\n');
            }
            text.push('}');
        }
        _ => {
            text.push('[');
            for value in in_written_order(value) {
                text.push('\n');
                one(text, value);
                text.push(',');
            }
            text.push_str("\n]");
        }
    }
}

fn blocks(text: &mut String, all: &BTreeMap<String, NestedBlock>, value: &Value) {
    let none = BTreeMap::new();
    let entries = value.as_entries().map_or(&none, |entries| &**entries);
    for (name, nested) in all.iter().filter(|(_, nested)| !nested.block.deprecated) {
        let Some(value) = entries.get(name.as_str()).filter(|value| !value.is_null()) else { continue };
        if value.marks().sensitive {
            text.push_str(&format!("{name} {{}} # sensitive\n"));
            continue;
        }
        let mut one = |label: Option<&str>, value: &Value| {
            let label = label.map(|label| format!(" {}", quote(label))).unwrap_or_default();
            text.push_str(&format!("{name}{label} {{\n"));
            attributes(text, nested.block.attributes.iter(), value);
            deeper(|| blocks(text, &nested.block.blocks, value));
            text.push_str("}\n");
        };
        match (nested.nesting, value.as_entries()) {
            (Nesting::Single | Nesting::Group, _) => one(None, value),
            (Nesting::Map, Some(labelled)) => labelled.iter().for_each(|(label, value)| one(Some(label), value)),
            _ => in_written_order(value).into_iter().for_each(|value| one(None, value)),
        }
    }
}

/// A value as an expression. A text of JSON is one that can be read.
fn expression(text: &mut String, value: &Value) {
    deeper(|| match value.kind() {
        _ if value.marks().sensitive => text.push_str("null"),
        Kind::Null(_) | Kind::Unknown(..) => text.push_str("null"),
        Kind::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => text.push_str(&number.to_string()),
        Kind::String(string) => match json(string) {
            Some(inner) => {
                text.push_str("jsonencode(");
                expression(text, &inner);
                text.push(')');
            }
            None => text.push_str(&quote(string)),
        },
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            text.push('[');
            for (at, element) in in_written_order(value).into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                expression(text, element);
            }
            text.push(']');
        }
        Kind::Map(_, entries) | Kind::Object(entries) if entries.is_empty() => text.push_str("{}"),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            text.push_str("{\n");
            for (name, value) in entries.iter() {
                text.push_str(&format!("{} = ", key(name)));
                expression(text, value);
                text.push('\n');
            }
            text.push('}');
        }
    });
}

fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quote(name) }
}

/// What a text of JSON says, where that is an object or a list.
fn json(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    from_json_implied(&serde_json::from_str(text).ok()?).ok()
}
