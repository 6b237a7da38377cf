//! `andon_host`: its roles, and their parameters.

use std::sync::Arc;

use andon_hcl::ast::ExprKind;
use andon_text::{Diagnostic, Span};
use andon_value::Value;

use super::scope::Checked;
use super::{item_span, key_span};
use crate::definitions::ResourceDefinition;
use crate::literal;
use crate::role::{Places, find, lineage, params, together};
use crate::shape::missing;

pub(super) fn check(checked: &Checked<'_>, definition: &ResourceDefinition, value: &Value) {
    let (role, roles) = (definition.body.attribute("role"), definition.body.attribute("roles"));
    let names: Vec<(Arc<str>, Span)> = match (role, roles) {
        (Some(role), None) => match literal::string(&role.value) {
            Some(name) => vec![(name, role.value.span)],
            None => return,
        },
        (None, Some(roles)) => match &roles.value.kind {
            ExprKind::Tuple(items) if items.is_empty() => {
                let diagnostic = Diagnostic::error("\"roles\" is empty").at(roles.value.span);
                return checked.report([diagnostic.help("Name the roles that the server must have.")]);
            }
            ExprKind::Tuple(items) => {
                let names = items.iter().map(|item| Some((literal::string(item)?, item.span)));
                let Some(names) = names.collect() else { return };
                names
            }
            _ => return,
        },
        (Some(_), Some(roles)) => {
            let diagnostic = Diagnostic::error("\"role\" and \"roles\" say the same").at(roles.name.span);
            return checked.report([diagnostic.help("Name all of them in \"roles\", and take \"role\" out.")]);
        }
        (None, None) => return checked.report([missing("argument", "role", Some(definition.span))]),
    };
    let project = checked.project;
    let unknown: Vec<Diagnostic> =
        names.iter().filter_map(|(name, span)| find(&project.roles, name, Some(*span)).err()).collect();
    if !unknown.is_empty() {
        return checked.report(unknown);
    }
    let head = names.first().map(|(_, span)| *span);
    let role = find(&project.roles, &together(names.iter().map(|(name, _)| &**name)), head);
    // What is wrong with the roles themselves is said where they are defined.
    let Ok(lineage) = role.and_then(|role| lineage(&project.roles, &role)) else { return };
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
