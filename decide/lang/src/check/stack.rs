//! Stacks: every expression of every module.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::Item;
use andon_schema::Schemas;
use andon_text::{Diagnostic, Diagnostics};

use super::scope::{At, Checked};
use super::{EvaluatedBody, history, providers, resource, values};
use crate::definitions::{Module, ModuleCall, Project, Stack, StackCheck};
use crate::shape::{missing, suggest};

pub(super) fn check(
    project: &Project,
    stack: &Stack,
    schemas: &Schemas,
    out: &mut Diagnostics,
    bodies: &mut Vec<EvaluatedBody>,
) {
    let mut seen = BTreeSet::new();
    module(project, stack, &stack.module, schemas, &mut seen, out, bodies);
}

fn module(
    project: &Project,
    stack: &Stack,
    module_of: &Arc<Module>,
    schemas: &Schemas,
    seen: &mut BTreeSet<Arc<str>>,
    out: &mut Diagnostics,
    bodies: &mut Vec<EvaluatedBody>,
) {
    // A module that is called twice is checked once.
    if !seen.insert(module_of.directory.clone()) {
        return;
    }
    let checked = Checked::new(project, schemas, stack, module_of);
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
    let (found, evaluated) = checked.into_found();
    out.extend(found);
    bodies.extend(evaluated);
    for call in module_of.calls.values().filter(|call| call.found) {
        module(project, stack, &call.module, schemas, seen, out, bodies);
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
