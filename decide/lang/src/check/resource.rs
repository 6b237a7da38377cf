//! Resources and data sources against their schemas.

use andon_schema::{Mode, NoSuchType};
use andon_text::Diagnostic;
use andon_value::Value;

use super::scope::{At, Checked};
use super::{EvaluatedBody, host};
use crate::definitions::{IgnoreChanges, ResourceDefinition};
use crate::eval::{evaluate_block, resolved};
use crate::image::find_image;
use crate::literal;
use crate::shape::suggest;

pub(super) fn check(checked: &Checked<'_>, definition: &ResourceDefinition) {
    let at = checked.plain().repeated(definition.count.as_ref(), definition.for_each.as_ref());
    at.depends_on(&definition.depends_on);
    let lifecycle = &definition.lifecycle;
    lifecycle.preconditions.iter().for_each(|condition| at.condition(condition));
    let with_self = At { this: Some(checked.instance(definition).unwrap_or(Value::UNKNOWN)), ..at.clone() };
    lifecycle.postconditions.iter().for_each(|condition| with_self.condition(condition));
    lifecycle.replace_triggered_by.iter().for_each(|expr| drop(at.value(expr)));
    let key = &definition.key;
    let provider = checked.module.provider_of(definition);
    let schema = match checked.schemas.type_of(&provider, key.mode, &key.kind) {
        Ok(Some(schema)) => schema,
        Ok(None) => {
            at.written_in(&definition.body);
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
    let value = evaluate_block(&body, &schema.block, &at).unwrap_or_else(|errors| {
        checked.report(errors);
        Value::UNKNOWN
    });
    if !provider.is_built_in() && !value.is_unknown() {
        let of = Some((key.mode, key.kind.clone()));
        let value = value.clone();
        checked.keep(EvaluatedBody { provider, of, value, body, span: definition.span });
    }
    match (key.mode, &*key.kind) {
        (Mode::Data, "andon_stack") => stack(checked, definition),
        (Mode::Managed, "andon_image") => image(checked, definition),
        (Mode::Managed, "andon_host") => host::check(checked, definition, &value),
        _ => {}
    }
}

fn unknown_type(checked: &Checked<'_>, definition: &ResourceDefinition) -> Diagnostic {
    let kind = &definition.key.kind;
    let schemas = checked.schemas.built_in(definition.key.mode);
    let word = if definition.key.mode == Mode::Data { "data source" } else { "resource type" };
    let diagnostic = Diagnostic::error(format!("unknown {word} \"{kind}\"")).at(definition.span);
    suggest(diagnostic, kind, schemas.keys().map(String::as_str))
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
