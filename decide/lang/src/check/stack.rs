//! Stacks: every expression of every module.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::Item;
use andon_schema::Schemas;
use andon_text::Diagnostic;

use super::scope::{At, Checked};
use super::{Answers, Found, history, providers, resource, values};
use crate::definitions::{Module, ModuleCall, Project, Stack, StackCheck};
use crate::shape::{missing, suggest};

/// What a check reads: the definitions, what providers offer, and what their functions gave so far.
pub(super) type Given<'a> = (&'a Project, &'a Schemas, &'a Answers);

pub(super) fn check(given: Given<'_>, stack: &Stack) -> Found {
    let mut found = Found::default();
    module(given, stack, &stack.module, &mut BTreeSet::new(), &mut found);
    found
}

fn module(given: Given<'_>, stack: &Stack, module_of: &Arc<Module>, seen: &mut BTreeSet<Arc<str>>, out: &mut Found) {
    // A module that is called twice is checked once.
    if !seen.insert(module_of.directory.clone()) {
        return;
    }
    let checked = Checked::new(given, stack, module_of);
    let plain = checked.plain();
    for local in module_of.locals.values() {
        plain.written(&local.value);
    }
    for variable in module_of.variables.values() {
        values::variable(&checked, variable);
    }
    for output in module_of.outputs.values() {
        values::output(&checked, output);
    }
    providers::check(&checked);
    for definition in module_of.resources.values() {
        resource::check(&checked, definition);
    }
    for call in module_of.calls.values() {
        call_of(&checked, call);
    }
    for check in module_of.checks.values() {
        check_block(&checked, check);
    }
    history::check(&checked);
    out.extend(checked.into_found());
    for call in module_of.calls.values().filter(|call| call.found) {
        module(given, stack, &call.module, seen, out);
    }
}

fn call_of(checked: &Checked<'_>, call: &ModuleCall) {
    let at = checked.plain().repeated(call.count.as_ref(), call.for_each.as_ref());
    at.depends_on(&call.depends_on);
    for item in call.arguments.items.iter() {
        let (name, value) = match item {
            Item::Attribute(attribute) => (&attribute.name, Some(&attribute.value)),
            Item::Block(block) => (&block.kind, None),
        };
        let value = value.map(|expr| (expr, at.value(expr)));
        if !call.found {
            continue;
        }
        let Some(variable) = call.module.variables.get(&name.name) else {
            let diagnostic = Diagnostic::error(format!("unsupported argument \"{}\"", name.name)).at(name.span);
            let diagnostic = diagnostic.label("the module has no such variable");
            let names = call.module.variables.keys().map(|name| &**name);
            checked.report([suggest(
                diagnostic,
                &name.name,
                names.chain(["source", "count", "for_each", "depends_on"]),
            )]);
            continue;
        };
        if let Some((expr, value)) = value {
            values::argument(checked, variable, expr, value);
        }
    }
    for (name, variable) in &call.module.variables {
        if variable.default.is_none() && call.arguments.attribute(name).is_none() {
            let diagnostic = missing("argument", name, Some(call.span));
            checked.report([diagnostic.related(variable.span, "the module's variable has no default")]);
        }
    }
}

fn check_block(checked: &Checked<'_>, check: &StackCheck) {
    let at = At { own: check.data.as_deref(), ..checked.plain() };
    if let Some(data) = &check.data {
        resource::check_at(&at, data);
    }
    check.asserts.iter().for_each(|condition| at.condition(condition));
}
