//! Resources and data sources against their schemas.

use std::collections::BTreeMap;

use andon_hcl::ast::{Expr, ExprKind, Item};
use andon_schema::{Attribute, Block, Mode, NestedBlock, Nesting, NoSuchType};
use andon_text::{Diagnostic, nearest};
use andon_value::Value;

use super::scope::{At, Checked};
use super::{EvaluatedBody, host, provisioner, remote_state};
use crate::definitions::{IgnoreChanges, ResourceDefinition};
use crate::eval::resolved;
use crate::image::find_image;
use crate::literal;
use crate::reference::{Reference, name_at, static_traversals};
use crate::shape::suggest;

pub(super) fn check(checked: &Checked<'_>, definition: &ResourceDefinition) {
    check_at(&checked.plain(), definition);
}

/// The same for a definition that is there for a place alone.
pub(super) fn check_at(at: &At<'_, '_>, definition: &ResourceDefinition) {
    let checked = at.checked;
    let at = at.repeated(definition.count.as_deref(), definition.for_each.as_deref());
    at.depends_on(&definition.depends_on);
    let lifecycle = &definition.lifecycle;
    lifecycle.preconditions.iter().for_each(|condition| at.condition(condition));
    let with_self = At { this: Some(checked.instance(definition).unwrap_or(Value::UNKNOWN)), ..at.clone() };
    lifecycle.postconditions.iter().for_each(|condition| with_self.condition(condition));
    for postcondition in &lifecycle.postconditions {
        not_by_name(checked, definition, &postcondition.condition);
    }
    lifecycle.replace_triggered_by.iter().for_each(|expr| trigger(&at, expr));
    provisioner::check(&with_self, definition);
    let key = &definition.key;
    let provider = checked.module.provider_of(definition);
    let schema = match checked.schemas.type_of(&provider, key.mode, &key.kind) {
        Ok(Some(schema)) => schema,
        Ok(None) => {
            at.written_in(&definition.body);
            misspelt(checked, definition);
            return;
        }
        Err(NoSuchType) => {
            at.written_in(&definition.body);
            checked.report([unknown_type(checked, definition)]);
            return;
        }
    };
    let (body, problems) = resolved(&definition.body, &schema.block);
    checked.report(problems);
    at.written_in(&body);
    if let IgnoreChanges::Attributes(names) = &lifecycle.ignore_changes {
        for name in
            names.iter().map(|path| &path.name).filter(|name| !schema.block.attributes.contains_key(&*name.name))
        {
            if !schema.block.blocks.contains_key(&*name.name) {
                let diagnostic = Diagnostic::error(format!("{} has no argument \"{}\"", key.kind, name.name));
                let names = schema.block.attributes.keys().map(String::as_str);
                checked.report([suggest(diagnostic.at(name.span), &name.name, names)]);
            }
        }
    }
    let value = at.body_value(&body, &schema.block);
    if !provider.is_built_in() && !value.is_unknown() {
        let of = Some((key.mode, key.kind.clone()));
        let value = value.clone();
        checked.keep(EvaluatedBody { provider, of, value, body, span: definition.span });
    }
    if key.mode != Mode::Ephemeral {
        nothing_ephemeral(checked, definition, &schema.block, &value);
    }
    match (key.mode, &*key.kind) {
        (Mode::Data, "andon_stack") => stack(checked, definition),
        (Mode::Data, "terraform_remote_state") => remote_state::check(checked, definition, &value),
        (Mode::Managed, "andon_image") => image(checked, definition),
        (Mode::Managed, "andon_host") => host::check(checked, definition, &value),
        _ => {}
    }
}

/// In what is said of an object once it is there, it is called `self`.
fn not_by_name(checked: &Checked<'_>, definition: &ResourceDefinition, expr: &Expr) {
    let key = &definition.key;
    for reference in static_traversals(expr) {
        let first = name_at(&reference, 0).map(|(name, _)| name);
        let own = match key.mode {
            Mode::Managed => **reference.root == *key.kind && first == Some(&*key.name),
            mode => {
                let name = name_at(&reference, 1).map(|(name, _)| name);
                format!("{}.", reference.root) == mode.prefix() && first == Some(&*key.kind) && name == Some(&*key.name)
            }
        };
        if own {
            let diagnostic = Diagnostic::error("an object is called \"self\" in its own block").at(reference.span);
            checked.report([diagnostic.help("Write self here.")]);
        }
    }
}

/// One entry of `replace_triggered_by`: a managed resource, an instance of it, or an attribute of that.
fn trigger(at: &At<'_, '_>, expr: &Expr) {
    at.value(expr);
    let reads = static_traversals(expr);
    let managed = |reference: &&Reference<'_>| {
        let words = ["var", "local", "data", "module", "path", "terraform", "self", "count", "each", "ephemeral"];
        !words.contains(&&**reference.root)
    };
    let inside = |reference: &&Reference<'_>| {
        let name = name_at(reference, 0).map(|(name, _)| name);
        matches!((&**reference.root, name), ("count", Some("index")) | ("each", Some("key")) | ("data", _))
    };
    let wrong = reads.iter().find(|reference| !managed(reference) && !inside(reference));
    let none = reads.is_empty() && expr.kind != ExprKind::Invalid;
    if none || wrong.is_some() {
        let diagnostic = Diagnostic::error("\"replace_triggered_by\" lists resources");
        let diagnostic = diagnostic.at(wrong.map_or(expr.span, |reference| reference.span)).label("this is none");
        let help = "To follow a plain value, keep it in the \"input\" of a terraform_data, and name that.";
        at.checked.report([diagnostic.help(help)]);
    }
}

/// Warns of blocks whose names are nearly those that every resource may have. Without the schema there is no telling more.
fn misspelt(checked: &Checked<'_>, definition: &ResourceDefinition) {
    for block in definition.body.blocks() {
        let name = &block.kind;
        if let Some(near) = nearest(&name.name, ["lifecycle", "provisioner", "connection", "dynamic"])
            && *near != *name.name
        {
            let diagnostic = Diagnostic::warning(format!("\"{}\" may be misspelt", name.name)).at(name.span);
            let diagnostic = diagnostic.label("this is left to the provider, whose schemas are not at hand");
            checked.report([diagnostic.help(format!("Did you mean \"{near}\"?"))]);
        }
    }
}

fn unknown_type(checked: &Checked<'_>, definition: &ResourceDefinition) -> Diagnostic {
    let kind = &definition.key.kind;
    let mode = definition.key.mode;
    let word = if mode == Mode::Data { "data source" } else { "resource type" };
    let diagnostic = Diagnostic::error(format!("unknown {word} \"{kind}\"")).at(definition.span);
    match checked.schemas.providers.get(&checked.module.provider_of(definition)) {
        Some(provider) => {
            suggest(diagnostic, kind, provider.offered.get(&mode).into_iter().flatten().map(String::as_str))
        }
        None => suggest(diagnostic, kind, checked.schemas.built_in(mode).keys().map(String::as_str)),
    }
}

fn stack(checked: &Checked<'_>, definition: &ResourceDefinition) {
    let Some(name) = definition.body.attribute("name") else { return };
    let Some(stack) = literal::string(&name.value) else { return };
    if !checked.project.stacks.contains_key(&stack) {
        let diagnostic = Diagnostic::error(format!("there is no stack \"{stack}\""))
            .named(Diagnostic::UNDECLARED)
            .at(name.value.span);
        let names = checked.project.stacks.keys().map(|name| &**name);
        checked.report([suggest(diagnostic, &stack, names)]);
    }
}

fn image(checked: &Checked<'_>, definition: &ResourceDefinition) {
    let Some(name) = definition.body.attribute("definition") else { return };
    if let Some(image) = literal::string(&name.value) {
        checked.report(find_image(checked.project, &image, Some(name.value.span)).err());
    }
}

/// What is kept has no place for what is not.
fn nothing_ephemeral(checked: &Checked<'_>, definition: &ResourceDefinition, schema: &Block, value: &Value) {
    for item in definition.body.items.iter() {
        let (name, span) = match item {
            Item::Attribute(attribute) => (&attribute.name.name, attribute.value.span),
            Item::Block(block) => match block.labels.first().filter(|_| &*block.kind.name == "dynamic") {
                Some(made) => (&made.name, block.head),
                None => (&block.kind.name, block.head),
            },
        };
        if keeps_ephemeral(&schema.attributes, &schema.blocks, name, value) {
            let diagnostic = Diagnostic::error(format!("argument \"{name}\" is kept, and this value must not be"));
            checked.report([diagnostic.at(span).label("this is ephemeral")]);
        }
    }
}

static NO_BLOCKS: BTreeMap<String, NestedBlock> = BTreeMap::new();

/// Whether an ephemeral value is in what an object has under a name, there where it is not write-only.
fn keeps_ephemeral(
    attributes: &BTreeMap<String, Attribute>,
    blocks: &BTreeMap<String, NestedBlock>,
    name: &str,
    object: &Value,
) -> bool {
    let Some(value) = object.get(name).filter(|value| value.marks_within().ephemeral) else { return false };
    let (nesting, attributes, blocks) = match (attributes.get(name), blocks.get(name)) {
        (Some(Attribute { write_only: true, .. }), _) => return false,
        (Some(Attribute { nested: Some(nested), .. }), _) => (nested.nesting, &nested.attributes, &NO_BLOCKS),
        (None, Some(nested)) => (nested.nesting, &nested.block.attributes, &nested.block.blocks),
        _ => return true,
    };
    let keeps = |object: &Value| {
        let mut names = attributes.keys().chain(blocks.keys());
        object.marks().ephemeral || names.any(|name| keeps_ephemeral(attributes, blocks, name, object))
    };
    match nesting {
        Nesting::Single | Nesting::Group => keeps(value),
        Nesting::List | Nesting::Set | Nesting::Map => {
            value.marks().ephemeral || value.steps().any(|(_, object)| keeps(object))
        }
    }
}
