//! What there is of a stack, for people: as `terraform show` prints it.

use andon_ledger::EnvironmentState;
use andon_schema::{Block, InstanceAddress, Mode, Nesting, ObjectStatus, ProviderAddress, Schemas};
use andon_text::deeper;
use andon_value::{Kind, Value, from_json_implied, in_written_order, quote};

use crate::without_echoes;

/// How far what is inside stands from what it is in.
const STEP: usize = 4;

/// The objects, the data and the outputs of a stack, each as its definition could be written; no text where there is
/// nothing. What is a secret stands there as `(sensitive value)`.
pub fn state_text(state: &EnvironmentState, stack: &str, schemas: &Schemas) -> String {
    let mut all: Vec<(&InstanceAddress, String)> = Vec::new();
    for (address, instance) in state.instances.iter().filter(|(address, _)| *address.resource.stack == *stack) {
        let current = instance.current.iter().map(|object| (object, String::new()));
        let deposed = instance
            .deposed
            .iter()
            .map(|object| (object, format!(" (deposed object {})", object.identity.deposed_key())));
        for (object, note) in current.chain(deposed) {
            let tainted = if object.status == ObjectStatus::Tainted { " (tainted)" } else { "" };
            let provider = object.provider.as_ref().map(|provider| &provider.provider);
            let block = block_of(schemas, address, provider);
            all.push((address, resource(address, &object.value, block, &format!("{note}{tainted}"))));
        }
    }
    for (address, read) in state.data.iter().filter(|(address, _)| *address.resource.stack == *stack) {
        let block = block_of(schemas, address, read.provider.as_ref().map(|provider| &provider.provider));
        all.push((address, resource(address, &read.value, block, "")));
    }
    all.sort_by_key(|(address, _)| (&address.resource.module, data_first(address), *address));
    let mut text = String::new();
    let mut module = None;
    for (address, resource) in &all {
        match module.replace(&address.resource.module) {
            None => {}
            Some(before) if *before == address.resource.module => text.push('\n'),
            Some(_) => text.push_str("\n\n"),
        }
        text.push_str(resource);
    }
    let outputs = state.published.get(stack).into_iter().flat_map(|outputs| outputs.iter());
    let outputs: Vec<_> = outputs.filter(|(_, value)| !value.is_null()).collect();
    if !outputs.is_empty() {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str("Outputs:\n\n");
        for (name, value) in outputs {
            text.push_str(&format!("{name} = "));
            write(&mut text, value, 0);
            text.push('\n');
        }
    }
    text
}

fn data_first(address: &InstanceAddress) -> bool {
    address.resource.mode != Mode::Data
}

fn block_of<'s>(
    schemas: &'s Schemas,
    address: &InstanceAddress,
    provider: Option<&ProviderAddress>,
) -> Option<&'s Block> {
    let resource = &address.resource;
    let implied;
    let provider = match provider {
        Some(provider) => provider,
        None => {
            implied = ProviderAddress::implied(andon_lang::definitions::implied_name(&resource.kind));
            &implied
        }
    };
    schemas.type_of(provider, resource.mode, &resource.kind).ok().flatten().map(|schema| &schema.block)
}

fn resource(address: &InstanceAddress, value: &Value, block: Option<&Block>, note: &str) -> String {
    let resource = &address.resource;
    let word = if resource.mode == Mode::Data { "data" } else { "resource" };
    let mut text = format!("# {}:{note}\n{word} \"{}\" \"{}\" {{\n", address, resource.kind, resource.name);
    body(&mut text, &without_echoes(value), block.unwrap_or(&Block::default()), STEP);
    text + "}\n"
}

/// The attributes that are there, then the blocks.
fn body(text: &mut String, value: &Value, block: &Block, indent: usize) {
    let Some(entries) = value.as_entries() else { return };
    let attributes: Vec<_> =
        entries.iter().filter(|(name, value)| !value.is_null() && !block.blocks.contains_key(&***name)).collect();
    let width = attributes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in attributes {
        text.push_str(&format!("{:indent$}{name:width$} = ", ""));
        write(text, value, indent);
        text.push('\n');
    }
    for (name, nested) in &block.blocks {
        let Some(value) = entries.get(name.as_str()).filter(|value| !value.is_null()) else { continue };
        let mut one = |label: Option<&str>, value: &Value| {
            let label = label.map(|label| format!(" {}", quote(label))).unwrap_or_default();
            text.push_str(&format!("\n{:indent$}{name}{label} {{\n", ""));
            if value.marks().sensitive {
                text.push_str(&format!("{:1$}# (sensitive value)\n", "", indent + STEP));
            } else {
                deeper(|| body(text, value, &nested.block, indent + STEP));
            }
            text.push_str(&format!("{:indent$}}}\n", ""));
        };
        match (nested.nesting, value.as_entries()) {
            (Nesting::Single | Nesting::Group, _) => one(None, value),
            (Nesting::Map, Some(labelled)) => labelled.iter().for_each(|(label, value)| one(Some(label), value)),
            _ => in_written_order(value).into_iter().for_each(|value| one(None, value)),
        }
    }
}

fn write(out: &mut String, value: &Value, indent: usize) {
    deeper(|| write_here(out, value, indent));
}

fn write_here(out: &mut String, value: &Value, indent: usize) {
    if value.marks().sensitive {
        return out.push_str("(sensitive value)");
    }
    match value.kind() {
        Kind::Null(_) => out.push_str("null"),
        Kind::Unknown(..) => out.push_str("(known after apply)"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(&number.to_string()),
        Kind::String(text) => string(out, text, indent),
        Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
            let mut any = false;
            out.push('[');
            for element in in_written_order(value) {
                any = true;
                out.push_str(&format!("\n{:1$}", "", indent + STEP));
                write(out, element, indent + STEP);
                out.push(',');
            }
            out.push_str(&if any { format!("\n{:indent$}]", "") } else { "]".to_owned() });
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let key = |name: &str| if andon_value::is_identifier(name) { name.to_owned() } else { quote(name) };
            let width = entries.keys().map(|name| key(name).chars().count()).max().unwrap_or(0);
            out.push('{');
            for (name, value) in entries.iter() {
                out.push_str(&format!("\n{:1$}{2:width$} = ", "", indent + STEP, key(name)));
                write(out, value, indent + STEP);
            }
            out.push_str(&if entries.is_empty() { "}".to_owned() } else { format!("\n{:indent$}}}", "") });
        }
    }
}

/// A text of JSON as what it says, one of several lines as those.
fn string(out: &mut String, text: &str, indent: usize) {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str(text)
        && let Ok(value) = from_json_implied(&json)
    {
        out.push_str(&format!("jsonencode(\n{:1$}", "", indent + STEP));
        write(out, &value, indent + STEP);
        return out.push_str(&format!("\n{:indent$})", ""));
    }
    if !text.contains('\n') {
        return out.push_str(&quote(text));
    }
    out.push_str("<<-EOT");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push_str(&format!("\n{:1$}{line}", "", indent + STEP));
    }
    out.push_str(&format!("\n{:indent$}EOT", ""));
}
