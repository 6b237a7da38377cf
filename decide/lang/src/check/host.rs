//! `andon_host`: its role, and the role's parameters.

use andon_text::Span;
use andon_value::Value;

use super::scope::Checked;
use super::{item_span, key_span};
use crate::definitions::ResourceDefinition;
use crate::literal;
use crate::role::{Places, find, lineage, params};

pub(super) fn check(checked: &Checked<'_>, definition: &ResourceDefinition, value: &Value) {
    let Some(role) = definition.body.attribute("role") else { return };
    let Some(name) = literal::string(&role.value) else { return };
    let role = match find(&checked.project.roles, &name, Some(role.value.span)) {
        Ok(role) => role,
        Err(error) => return checked.report([error]),
    };
    // What is wrong with the role itself is said where it is defined.
    let Ok(lineage) = lineage(&checked.project.roles, role) else { return };
    let given = definition.body.attribute("params");
    // Parameters that could not be evaluated have been complained about.
    let none = Value::NULL;
    let known = value.get("params");
    let Some(values) = known.or(given.is_none().then_some(&none)) else { return };
    let place = |name: &str| -> Option<Span> { item_span(&given?.value, name) };
    let key = |name: &str| -> Option<Span> { key_span(&given?.value, name) };
    let head = Some(given.map_or(definition.span, |given| given.value.span));
    let found = params(&lineage, values, &Places { of: &place, key: &key, head });
    checked.report(found.err().into_iter().flatten());
}
