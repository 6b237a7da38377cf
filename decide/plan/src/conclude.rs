//! From what every instance comes to, to the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{Checked, InstanceAddress, Mode, Object, ResourceAddress};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;

use crate::graph::{Graph, Key, latest};
use crate::order;
use crate::plan::ReplaceOrder;
use crate::planner::{ChangeKind, Deposed, Verdict};
use crate::removal::Removals;
use crate::{
    Depends, Drift, Note, PlanInput, PlanMode, PlannedAction, PlannedChange, PlannedOutput, Reason, Undefined,
};

/// The changes that are not made for a definition: objects that are defined no more, and those that were replaced.
pub(crate) fn removals(
    graph: &Graph,
    chosen: &Removals,
    found: impl Fn(&InstanceAddress) -> Option<Value>,
    replaced: &Deposed,
    notes: &mut Vec<Note>,
) -> Vec<PlannedChange> {
    let input = graph.input();
    let mut changes = Vec::new();
    if input.mode == PlanMode::RefreshOnly {
        return changes;
    }
    for (address, instance) in &input.state.instances {
        let (current, deposed) = (chosen.current.contains(address), chosen.deposed.contains(address));
        if input.forgets(&address.resource) {
            for object in instance.objects().filter(|_| current || deposed) {
                let (before, why) = (object.value.clone(), graph.undefined(address));
                changes.push(removal(input, address, object, before, PlannedAction::Forget, why));
            }
            continue;
        }
        if let Some(object) = instance.current.as_ref().filter(|_| current) {
            match found(address) {
                Some(before) => {
                    let why = graph.undefined(address);
                    changes.push(removal(input, address, object, before, PlannedAction::Delete, why));
                }
                None => notes.push(Note { address: address.clone(), reason: Reason::AlreadyGone }),
            }
        }
        for object in instance.deposed.iter().filter(|_| deposed) {
            let Some((before, kept)) = replaced.now(object) else { continue };
            let change = removal(input, address, object, before, PlannedAction::DeleteDeposed, None);
            changes.push(PlannedChange { kept, ..change });
        }
    }
    changes
}

fn removal(
    input: &PlanInput,
    address: &InstanceAddress,
    object: &Object,
    before: Value,
    action: PlannedAction,
    undefined: Option<Undefined>,
) -> PlannedChange {
    PlannedChange {
        address: address.clone(),
        previous: None,
        action,
        identity: Some(object.identity.clone()),
        config: None,
        before: Some(before),
        after: None,
        report: None,
        dependencies: object.dependencies.clone(),
        create_before_destroy: object.create_before_destroy,
        span: input.definition(&address.resource).map(|definition| definition.span),
        provider: object.provider.clone(),
        kept: object.kept.clone(),
        legacy: false,
        replace: Vec::new(),
        undefined,
    }
}

/// The changes that are made for definitions, and what the other objects depend on where that is new.
pub(crate) fn makings(
    graph: &Graph,
    verdicts: BTreeMap<InstanceAddress, Verdict>,
) -> (Vec<(crate::graph::NodeId, PlannedChange)>, Vec<Depends>) {
    let first: BTreeSet<InstanceAddress> = create_first(graph, &verdicts);
    let (mut changes, mut depends) = (Vec::new(), Vec::new());
    for (address, verdict) in verdicts {
        let create_before_destroy = first.contains(&address);
        let dependencies = graph.dependencies(&address, verdict.node);
        let Some(change) = verdict.change else {
            let object = graph.input().state.current(&address).filter(|_| graph.input().mode == PlanMode::Normal);
            let differs = |object: &&Object| {
                object.dependencies != dependencies || object.create_before_destroy != create_before_destroy
            };
            if let Some(object) = object.filter(differs) {
                let identity = object.identity.clone();
                depends.push(Depends { address, identity, dependencies, create_before_destroy });
            }
            continue;
        };
        let order = if create_before_destroy { ReplaceOrder::CreateFirst } else { ReplaceOrder::DeleteFirst };
        let action = match change.kind {
            ChangeKind::Create => PlannedAction::Create,
            ChangeKind::Update => PlannedAction::Update,
            ChangeKind::Replace(because) => PlannedAction::Replace { order, because },
            ChangeKind::Read => PlannedAction::Read,
        };
        let object = graph.input().state.current(&address).filter(|_| change.before.is_some());
        changes.push((
            verdict.node,
            PlannedChange {
                previous: None,
                action,
                identity: object.map(|object| object.identity.clone()),
                config: Some(storable(&change.config)),
                before: change.before,
                after: Some(change.after),
                report: change.report,
                dependencies,
                create_before_destroy,
                span: Some(verdict.definition.span),
                provider: change.provider,
                kept: change.kept,
                legacy: change.legacy,
                replace: change.replace,
                undefined: None,
                address,
            },
        ));
    }
    (changes, depends)
}

/// The instances whose replacement is made first: those that say so, and what follows from them.
fn create_first(graph: &Graph, verdicts: &BTreeMap<InstanceAddress, Verdict>) -> BTreeSet<InstanceAddress> {
    let say_so = verdicts.values().filter(|verdict| verdict.definition.lifecycle.create_before_destroy);
    let members = verdicts.iter().map(|(address, verdict)| (verdict.node, &address.resource));
    let first = order::create_first(graph, say_so.map(|verdict| verdict.node).collect(), members);
    let first = verdicts
        .iter()
        .filter(|(address, verdict)| address.resource.mode == Mode::Managed && first.contains(&verdict.node));
    first.map(|(address, _)| address.clone()).collect()
}

/// Says of which drift no definition speaks: a plugin's object that is there, for which nothing is planned, and which
/// feeds nothing that is.
pub(crate) fn background(drift: &mut [Drift], changes: &[PlannedChange], input: &PlanInput) {
    if input.mode == PlanMode::RefreshOnly {
        return;
    }
    let planned: BTreeSet<&InstanceAddress> = changes.iter().map(|change| &change.address).collect();
    for drift in drift.iter_mut().filter(|drift| drift.after.is_some()) {
        let plugin = input.state.current(&drift.address).is_some_and(|object| object.provider.is_some());
        drift.background = plugin && !planned.contains(&drift.address) && drift.feeds.is_empty();
    }
}

/// Complaints about changes that the definitions forbid.
pub(crate) fn protected<'a>(input: &PlanInput, changes: impl IntoIterator<Item = &'a PlannedChange>) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for change in changes {
        let definition = input.definition(&change.address.resource);
        let Some(definition) = definition.filter(|definition| definition.lifecycle.prevent_destroy) else { continue };
        let why = match &change.action {
            PlannedAction::Delete => "The plan would delete it.".to_owned(),
            PlannedAction::Replace { because, .. } => {
                let because: Vec<String> = because.iter().map(ToString::to_string).collect();
                format!("The plan would replace it, because of: {}.", because.join(", "))
            }
            _ => continue,
        };
        problems.push(
            Diagnostic::error(format!("{} is protected by prevent_destroy", change.address))
                .at(definition.span)
                .detail(why)
                .help("Undo what would delete it, or take `prevent_destroy` out."),
        );
    }
    problems
}

/// Warnings about deletions of what stacks that are not planned still use.
pub(crate) fn still_used<'a>(input: &PlanInput, changes: impl IntoIterator<Item = &'a PlannedChange>) -> Diagnostics {
    let deletes = changes.into_iter().filter(|change| change.action == PlannedAction::Delete);
    let deleted: BTreeSet<&ResourceAddress> = deletes.map(|change| &change.address.resource).collect();
    let mut seen = BTreeSet::new();
    let mut warnings = Diagnostics::new();
    for (address, object) in input.state.objects().filter(|(address, _)| !input.covers(&address.resource.stack)) {
        let used = object.dependencies.iter().filter(|resource| deleted.contains(resource));
        for resource in used.filter(|resource| seen.insert((address.resource.clone(), (*resource).clone()))) {
            warnings.push(
                Diagnostic::warning(format!("{} uses {resource}, which will be deleted", address.resource))
                    .subject(address.resource.to_string())
                    .help(format!("Delete the stack {:?} first, or both together.", &*address.resource.stack)),
            );
        }
    }
    warnings
}

/// A value without what must not be stored: all that is ephemeral is null.
pub fn storable(value: &Value) -> Value {
    if !value.marks_within().ephemeral {
        return value.clone();
    }
    value.map_deep(&mut |part| if part.marks().ephemeral { Value::null(part.ty()) } else { part })
}

/// What conditions came to. Of a plan of a part, what was not judged stays as it was.
pub(crate) fn checks(graph: &Graph) -> BTreeMap<Arc<str>, Vec<Checked>> {
    let input = graph.input();
    let mut checks = graph.checked().by_stack();
    if input.mode == PlanMode::Destroy {
        checks.clear();
    }
    if input.scope.is_partial() {
        for (stack, earlier) in input.state.checked.iter().filter(|(stack, _)| input.covers(stack)) {
            let results = checks.entry(Arc::clone(stack)).or_default();
            *results = latest(earlier.clone(), std::mem::take(results));
        }
    }
    checks
}

/// The outputs of every covered stack, as published and as they will be.
pub(crate) fn outputs(graph: &Graph) -> Vec<PlannedOutput> {
    let input = graph.input();
    let mut outputs: BTreeMap<(Arc<str>, Arc<str>), PlannedOutput> = BTreeMap::new();
    for (stack, published) in input.state.published.iter().filter(|(stack, _)| input.covers(stack)) {
        for (name, value) in published {
            let (stack, name, before) = (Arc::clone(stack), Arc::clone(name), Some(value.clone()));
            let sensitive = value.is_sensitive();
            let key = (Arc::clone(&stack), Arc::clone(&name));
            outputs.insert(key, PlannedOutput { stack, name, before, after: None, sensitive, outside: false });
        }
    }
    // Outputs are not all there is to a part of a stack.
    let is_part = input.mode == PlanMode::Destroy && input.scope.is_partial() || !input.scope.targets.is_empty();
    if is_part {
        for output in outputs.values_mut() {
            (output.after, output.outside) = (output.before.clone(), true);
        }
    }
    let roots = graph.roots().iter().filter(|_| input.mode != PlanMode::Destroy);
    for (stack, root) in roots {
        let Some(module) = graph.module(*root) else { continue };
        for (name, definition) in &module.module.outputs {
            let key = Key::Output(*root, Arc::clone(name));
            let Some(node) = graph.find(&key) else { continue };
            let Some(value) = graph.value(node) else { continue };
            // What cannot be said yet stays as it is.
            let only_seen = input.mode == PlanMode::RefreshOnly && !value.is_wholly_known();
            // Of a part of a stack, what is made of nothing in it is no output.
            let beside = !input.scope.targets.is_empty() && graph.addresses(graph.resources_read(node)).is_empty();
            if graph.is_aside(node) || only_seen || beside {
                if let Some(output) = outputs.get_mut(&(Arc::clone(stack), Arc::clone(name))) {
                    output.after = output.before.clone();
                }
                continue;
            }
            let (stack, name) = (Arc::clone(stack), Arc::clone(name));
            let output = outputs.entry((Arc::clone(&stack), Arc::clone(&name))).or_insert(PlannedOutput {
                stack,
                name,
                before: None,
                after: None,
                sensitive: false,
                outside: false,
            });
            output.outside = false;
            output.after = Some(value.clone());
            output.sensitive = definition.sensitive;
        }
    }
    outputs.into_values().collect()
}
