//! What will become of a stack.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_lang::definitions::{Module, Project, ResourceKey};
use andon_ledger::{EnvironmentState, ReadData};
use andon_plan::{
    Adoption, DeferReason, Drift, Plan, PlanMode, PlannedAction, PlannedChange, PlannedOutput, Repetition,
    ReplaceOrder, ReplaceReason, Undefined,
};
use andon_schema::{
    CheckStatus, ImportBy, InstanceAddress, InstanceKey, Mode, ModuleStep, ProviderConfigAddress, ResourceAddress,
    Schemas, TargetAddress,
};
use andon_value::{Marks, Path, Type, Value};
use serde_json::{Map, Value as Json, json};

use super::relevant::Reads;
use super::state::{named, output, values};
use super::values::{Members, known, path, sensitive, unknown};
use super::{configuration_json, generated_resource, terraform_state_json};

/// What a plan is shown with.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The definitions that it was made from.
    pub project: &'a Project,
    /// Their schemas.
    pub schemas: &'a Schemas,
    /// The state that it was made against: as it was refreshed.
    pub state: &'a EnvironmentState,
    /// The stack that is shown.
    pub stack: &'a str,
    /// The values of the root module's input variables, without ephemeral ones.
    pub variables: &'a BTreeMap<Arc<str>, Value>,
    /// The version of Terraform whose language and formats these are.
    pub terraform_version: &'a str,
    /// When it was made, as `2026-11-21T13:17:18Z`.
    pub timestamp: &'a str,
    /// What definitions were generated of, for this plan.
    pub generated: &'a [InstanceAddress],
    /// What the conditions came to, as far as they are known: see [`super::checks_json`].
    pub checks: &'a [andon_schema::Checked],
}

/// The plan of one stack, in format 1.2.
pub fn terraform_plan_json(plan: &Plan, shown: Shown) -> Json {
    let of_stack = |address: &InstanceAddress| *address.resource.stack == *shown.stack;
    let changes: Vec<&PlannedChange> = plan.changes.iter().filter(|change| of_stack(&change.address)).collect();
    let destroys = plan.mode == PlanMode::Destroy;
    let forgotten = changes.iter().filter(|change| change.action == PlannedAction::Forget);
    let forgotten: BTreeSet<&InstanceAddress> = forgotten.map(|change| &change.address).collect();
    let is_told = |drift: &&Drift| !destroys && of_stack(&drift.address) && !forgotten.contains(&drift.address);
    // Whatever differs is told here, be it only whether what is empty is there; of objects in use.
    let settled = plan.settled.iter().filter(|drift| drift.after.is_some());
    let drift = plan.drift.iter().chain(settled).filter(|drift| is_told(drift) && drift.is_of_object());
    let mut drift: Vec<&Drift> = drift.collect();
    drift.sort_by_key(|drift| &drift.address);
    let drift: Vec<Json> = drift.into_iter().map(|drift| drifted(drift, plan)).collect();
    let outputs = plan.outputs.iter().filter(|output| *output.stack == *shown.stack && !output.outside);
    let outputs: Vec<&PlannedOutput> = outputs.collect();
    let output_changes: Map<String, Json> =
        outputs.iter().map(|output| (output.name.to_string(), output_change(output))).collect();
    let variables = shown.variables.iter().map(|(name, value)| (name.to_string(), json!({ "value": known(value) })));
    let root = shown.project.stacks.get(shown.stack).map(|stack| &*stack.module);
    let judged = if destroys || plan.partial { CheckStatus::Unknown } else { CheckStatus::Pass };
    let checks = root.map_or(Json::Null, |root| super::plan_checks_json(shown.checks, root, judged));
    let configuration =
        shown.project.stacks.get(shown.stack).map(|stack| configuration_json(&stack.module, shown.schemas));
    let mut prior = prior_state(plan, &changes, &outputs, shown);
    // What conditions came to before is no part of it.
    if prior.checked.contains_key(shown.stack) {
        prior.to_mut().checked.remove(shown.stack);
    }
    let prior = terraform_state_json(&prior, shown.stack, shown.terraform_version);
    let complete = !plan.partial && plan.deferred.iter().all(|deferred| *deferred.stack != *shown.stack);
    Members::default()
        .put("format_version", "1.2")
        .put("terraform_version", shown.terraform_version)
        .unless_empty("variables", variables.collect::<Map<_, _>>())
        .put("planned_values", planned_values(plan, &changes, &outputs, shown))
        .unless_empty("resource_drift", drift)
        .unless_empty("resource_changes", resource_changes(plan, &changes, shown))
        .unless_empty("deferred_changes", deferred_changes(plan, shown))
        .unless_empty("output_changes", output_changes)
        .some("prior_state", Some(prior).filter(|prior| prior.get("values").is_some()))
        .some("configuration", configuration)
        .unless_empty("relevant_attributes", relevant_attributes(plan, &changes, &outputs, shown))
        .unless_empty("checks", checks)
        .put("timestamp", shown.timestamp)
        .put("applyable", !plan.is_empty())
        .put("complete", complete)
        .put("errored", false)
        .json()
}

/// The state without the data that is read only later, and with the outputs that are known by now.
fn prior_state<'a>(
    plan: &Plan,
    changes: &[&PlannedChange],
    outputs: &[&PlannedOutput],
    shown: Shown<'a>,
) -> Cow<'a, EnvironmentState> {
    let mut state = Cow::Borrowed(shown.state);
    for output in outputs {
        let Some(after) = output.after.as_ref().filter(|after| output.changes() && after.is_wholly_known()) else {
            continue;
        };
        let marks = Marks { sensitive: output.sensitive, ..Marks::NONE };
        let published = state.to_mut().published.entry(shown.stack.into()).or_default();
        published.insert(Arc::clone(&output.name), after.unmark_deep().0.mark(marks));
    }
    for change in changes.iter().filter(|change| change.action == PlannedAction::Read) {
        state.to_mut().data.remove(&change.address);
    }
    if plan.mode == PlanMode::RefreshOnly {
        let read: BTreeSet<&InstanceAddress> = plan.data.iter().map(|(address, _)| address).collect();
        state.to_mut().data.retain(|address, _| read.contains(address));
    }
    state
}

/// What there will be, as far as it is known: what changes, and what stays.
fn planned_values(plan: &Plan, changes: &[&PlannedChange], outputs: &[&PlannedOutput], shown: Shown) -> Json {
    let changed: BTreeSet<&InstanceAddress> = changes
        .iter()
        .filter(|change| change.action != PlannedAction::DeleteDeposed)
        .map(|change| &change.address)
        .collect();
    let made = changes.iter().filter_map(|change| {
        let after = change.after.as_ref()?;
        let json = named(&change.address, change.provider.as_deref())
            .put("schema_version", change.kept.schema_version)
            .put("values", known(after))
            .put("sensitive_values", sensitive(after))
            .json();
        Some((change.address.clone(), json))
    });
    let stays = unchanged(plan, &changed, shown).map(|(address, object)| {
        let json = named(address, object.provider.as_deref())
            .put("schema_version", object.kept.schema_version)
            .put("values", known(&object.value))
            .put("sensitive_values", sensitive(&object.value))
            .json();
        (address.clone(), json)
    });
    // Of what is forgotten nothing will be said any more but that.
    let forgotten = changes.iter().filter(|change| change.action == PlannedAction::Forget).map(|change| {
        let json = named(&change.address, change.provider.as_deref())
            .put("schema_version", change.kept.schema_version)
            .put("sensitive_values", false)
            .json();
        (change.address.clone(), json)
    });
    let nested = nested_data(plan, shown).map(|(address, read)| {
        let json = named(address, read.provider.as_deref())
            .put("schema_version", read.schema_version)
            .put("values", known(&read.value))
            .put("sensitive_values", sensitive(&read.value))
            .json();
        (address.clone(), json)
    });
    let mut resources: Vec<(InstanceAddress, Json)> = made.chain(stays).chain(forgotten).chain(nested).collect();
    resources.sort_by(|(one, _), (other, _)| one.cmp(other));
    // Where nothing is changed, all that can be said is in the state.
    if plan.mode == PlanMode::RefreshOnly {
        resources.clear();
    }
    let outputs = outputs.iter().filter_map(|planned| {
        let value = planned.after.as_ref()?;
        let json = match value.is_wholly_known() {
            // What stays null is null of any type.
            true if value.is_null() && !planned.changes() => output(&Value::NULL, planned.sensitive),
            true => output(value, planned.sensitive),
            // Not even its type is certain.
            false => json!({ "sensitive": planned.sensitive }),
        };
        Some((planned.name.to_string(), json))
    });
    values(outputs.collect(), resources)
}

/// The objects in use that no change touches.
fn unchanged<'a>(
    plan: &'a Plan,
    changed: &'a BTreeSet<&'a InstanceAddress>,
    shown: Shown<'a>,
) -> impl Iterator<Item = (&'a InstanceAddress, &'a andon_schema::Object)> {
    let gone: BTreeSet<&InstanceAddress> =
        plan.drift.iter().filter(|drift| drift.after.is_none()).map(|drift| &drift.address).collect();
    let objects = shown.state.instances.iter().filter(move |(address, _)| {
        let is_of_it = *address.resource.stack == *shown.stack && !plan.outside.contains(address);
        is_of_it && !changed.contains(address) && !gone.contains(address)
    });
    objects.filter_map(|(address, instance)| Some((address, instance.current.as_ref()?)))
}

fn resource_changes(plan: &Plan, changes: &[&PlannedChange], shown: Shown) -> Vec<Json> {
    if plan.mode == PlanMode::RefreshOnly {
        return Vec::new();
    }
    let changed: BTreeSet<&InstanceAddress> = changes
        .iter()
        .filter(|change| change.action != PlannedAction::DeleteDeposed)
        .map(|change| &change.address)
        .collect();
    let importing = plan.adopted.iter().filter(|adoption| adoption.by.is_some());
    let importing: BTreeMap<&InstanceAddress, &Adoption> =
        importing.map(|adoption| (&adoption.address, adoption)).collect();
    let previous: BTreeMap<&InstanceAddress, &InstanceAddress> =
        plan.moves.iter().map(|(from, to)| (to, from)).collect();
    // What nothing defines any more is shown as it was stored, and not as it was found.
    let found = plan.drift.iter().chain(&plan.settled).filter(|_| plan.mode == PlanMode::Normal);
    let stored: BTreeMap<&InstanceAddress, &Value> = found.map(|drift| (&drift.address, &drift.before)).collect();
    let made = changes.iter().map(|change| {
        let import = importing.get(&change.address).filter(|_| change.action != PlannedAction::DeleteDeposed).copied();
        let undone = change.action == PlannedAction::Delete;
        let stored = stored.get(&change.address).filter(|_| undone).copied();
        (&change.address, resource_change(change, shown, import, stored))
    });
    let put_off = plan.deferred.iter().filter(|deferred| *deferred.stack == *shown.stack);
    let put_off: Vec<TargetAddress> = put_off.filter_map(|it| TargetAddress::parse(&it.address).ok()).collect();
    let stays = unchanged(plan, &changed, shown).filter(|(address, _)| !put_off.iter().any(|it| it.has(address)));
    let stays = stays.map(|(address, object)| {
        let value = Some(&object.value);
        let change = change(json!(["no-op"]), value, value, &[]);
        let json = in_module(address, named(address, object.provider.as_deref()))
            .some("previous_address", previous.get(address).map(|previous| previous.within_stack()))
            .put("change", imported(change, importing.get(address).copied(), shown).json());
        (address, json.json())
    });
    // What a check alone reads is read once more by the apply.
    let nested = nested_data(plan, shown).map(|(address, read)| {
        let change = change(json!(["read"]), None, Some(&read.value), &[]).json();
        let json = in_module(address, named(address, read.provider.as_deref()))
            .put("change", change)
            .put("action_reason", "read_because_check_nested");
        (address, json.json())
    });
    let mut all: Vec<(&InstanceAddress, Json)> = made.chain(stays).chain(nested).collect();
    all.sort_by_key(|(address, _)| *address);
    all.into_iter().map(|(_, json)| json).collect()
}

/// What had a part in what changes. Where everything is to go, other modules' outputs are not asked for any more.
fn relevant_attributes(plan: &Plan, changes: &[&PlannedChange], outputs: &[&PlannedOutput], shown: Shown) -> Vec<Json> {
    let Some(stack) = shown.project.stacks.get(shown.stack) else { return Vec::new() };
    let mut reads = Reads::new(&stack.module, shown.schemas);
    let changed: BTreeSet<&InstanceAddress> = changes.iter().map(|change| &change.address).collect();
    if plan.mode != PlanMode::RefreshOnly {
        changed.iter().for_each(|address| reads.resource(&address.resource));
        nested_data(plan, shown).for_each(|(address, _)| reads.resource(&address.resource));
    }
    outputs.iter().filter(|output| output.changes()).for_each(|output| reads.output(&output.name));
    if plan.mode != PlanMode::Destroy {
        let made = changes.iter().filter(|change| change.after.is_some()).map(|change| &change.address);
        let stays = unchanged(plan, &changed, shown).map(|(address, _)| address);
        let read = shown.state.data.keys().filter(|address| *address.resource.stack == *shown.stack);
        reads.outputs_of_modules(made.chain(stays).chain(read.filter(|_| !plan.partial)));
    }
    reads.json()
}

fn in_module(address: &InstanceAddress, members: Members) -> Members {
    let own = &address.resource;
    let module = own.within_stack();
    let rest = format!("{}{}.{}", own.mode.prefix(), own.kind, own.name);
    let module = module.strip_suffix(&rest).map(|module| module.trim_end_matches('.').to_owned()).unwrap_or_default();
    members.unless_empty("module_address", module)
}

fn resource_change(planned: &PlannedChange, shown: Shown, import: Option<&Adoption>, stored: Option<&Value>) -> Json {
    let actions = match &planned.action {
        PlannedAction::Create => json!(["create"]),
        PlannedAction::Update => json!(["update"]),
        PlannedAction::Replace { order: ReplaceOrder::CreateFirst, .. } => json!(["create", "delete"]),
        PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, .. } => json!(["delete", "create"]),
        PlannedAction::Delete | PlannedAction::DeleteDeposed => json!(["delete"]),
        PlannedAction::Forget => json!(["forget"]),
        PlannedAction::Read => json!(["read"]),
    };
    let replaced = matches!(planned.action, PlannedAction::Replace { .. });
    let replace: &[Path] = if replaced { &planned.replace } else { &[] };
    let deposed = (planned.action == PlannedAction::DeleteDeposed).then(|| {
        let of = shown.state.instances.get(&planned.address);
        let found =
            of.and_then(|it| it.deposed.iter().find(|object| Some(&object.identity) == planned.identity.as_ref()));
        found.map(|object| object.identity.deposed_key()).unwrap_or_default()
    });
    let change = change(actions, stored.or(planned.before.as_ref()), planned.after.as_ref(), replace);
    in_module(&planned.address, named(&planned.address, planned.provider.as_deref()))
        .some("previous_address", planned.previous.as_ref().map(InstanceAddress::within_stack))
        .some("deposed", deposed)
        .put("change", imported(change, import, shown).json())
        .some("action_reason", reason(planned, shown))
        .json()
}

/// What names the object that an import block takes over, and the definition that was generated of it.
fn imported(change: Members, import: Option<&Adoption>, shown: Shown) -> Members {
    let by = import.and_then(|import| import.by.as_ref());
    let importing = by.map(|by| match by {
        ImportBy::Id(id) => json!({ "id": &**id }),
        ImportBy::Identity(identity) => json!({ "identity": known(identity) }),
    });
    let import = import.filter(|import| shown.generated.contains(&import.address));
    change.some("importing", importing).some("generated_config", import.and_then(|import| generated(import, shown)))
}

fn generated(import: &Adoption, shown: Shown) -> Option<String> {
    let resource = &import.address.resource;
    let module = module_of(resource, shown)?;
    let definition = module.resources.get(&key_of(resource))?;
    let schema =
        shown.schemas.type_of(&module.provider_of(definition), resource.mode, &resource.kind).ok().flatten()?;
    let provider = definition.provider.as_deref().map(|provider| match &provider.alias {
        Some(alias) => format!("{}.{}", provider.name.name, alias.name),
        None => provider.name.name.to_string(),
    });
    let value = &import.object.value;
    let text = generated_resource(&resource.kind, &resource.name, provider.as_deref(), value, &schema.block);
    Some(text.trim_end().to_owned())
}

/// What is left to another plan, of what is a resource: each object that there is, and what has none as a whole. Nobody
/// knows what there will be of it.
fn deferred_changes(plan: &Plan, shown: Shown) -> Vec<Json> {
    let mut seen = BTreeSet::new();
    let of_stack = plan.deferred.iter().filter(|deferred| *deferred.stack == *shown.stack);
    let all = of_stack.flat_map(|deferred| {
        let Ok(target) = TargetAddress::parse(&deferred.address) else { return Vec::new() };
        let objects = shown.state.instances.iter().filter(|(address, instance)| {
            *address.resource.stack == *shown.stack && target.has(address) && instance.current.is_some()
        });
        let mut found: Vec<InstanceAddress> = objects.map(|(address, _)| address.clone()).collect();
        let mut defined = Vec::new();
        put_off(&target, shown, &mut defined);
        let there: BTreeSet<(Vec<Arc<str>>, ResourceKey)> = found.iter().map(|it| definition(&it.resource)).collect();
        defined.retain(|address: &InstanceAddress| !there.contains(&definition(&address.resource)));
        found.extend(defined);
        found.into_iter().map(|address| (address, &deferred.reason)).collect()
    });
    let all: Vec<(InstanceAddress, &DeferReason)> = all.filter(|(address, _)| seen.insert(address.clone())).collect();
    all.iter().filter_map(|(address, reason)| deferred_change(address, reason, shown)).collect()
}

/// What defines a resource, whatever instances the modules around it have.
fn definition(resource: &ResourceAddress) -> (Vec<Arc<str>>, ResourceKey) {
    (resource.module.iter().map(|step| Arc::clone(&step.name)).collect(), key_of(resource))
}

/// The resources that a name stands for, as they are defined.
fn put_off(target: &TargetAddress, shown: Shown, found: &mut Vec<InstanceAddress>) {
    let at = |mode, kind: &Arc<str>, name: &Arc<str>| ResourceAddress {
        stack: shown.stack.into(),
        module: target.module.clone().into(),
        mode,
        kind: Arc::clone(kind),
        name: Arc::clone(name),
    };
    if let Some(resource) = &target.resource {
        found.push(at(resource.mode, &resource.kind, &resource.name).instance(resource.key.clone()));
        return;
    }
    // Any resource of the module leads to its definition.
    let Some(module) = module_of(&at(Mode::Managed, &"".into(), &"".into()), shown) else { return };
    let lasting = module.resources.keys().filter(|key| key.mode != Mode::Ephemeral);
    found.extend(lasting.map(|key| at(key.mode, &key.kind, &key.name).instance(None)));
    for name in module.calls.keys() {
        let step = ModuleStep { name: Arc::clone(name), key: None };
        let module = target.module.iter().cloned().chain([step]).collect();
        andon_text::deeper(|| put_off(&TargetAddress { module, ..target.clone() }, shown, found));
    }
}

fn deferred_change(address: &InstanceAddress, reason: &DeferReason, shown: Shown) -> Option<Json> {
    let module = module_of(&address.resource, shown)?;
    let definition = module.resources.get(&key_of(&address.resource))?;
    let there = shown.state.instances.get(address).and_then(|instance| instance.current.as_ref());
    let before = there.map(|object| &object.value);
    let actions = match address.resource.mode {
        Mode::Managed if before.is_some() => json!(["update"]),
        Mode::Managed => json!(["create"]),
        Mode::Data | Mode::Ephemeral => json!(["read"]),
    };
    let change = change(actions, before, Some(&Value::unknown(Type::Dynamic)), &[]).json();
    let provider = module.provider_of(definition);
    let provider = ProviderConfigAddress { module: Arc::default(), provider, alias: None, key: None };
    let change = in_module(address, named(address, Some(&provider))).put("change", change).json();
    let reason = match reason {
        DeferReason::Unknown { .. } => "instance_count_unknown",
        DeferReason::Needs { .. } => "deferred_prereq",
    };
    Some(json!({ "reason": reason, "resource_change": change }))
}

/// Before and after, and what of them is unknown and secret.
fn change(actions: Json, before: Option<&Value>, after: Option<&Value>, replace: &[Path]) -> Members {
    let or_null = |value: Option<&Value>| value.map_or(Json::Null, known);
    let secret = |value: Option<&Value>| value.map_or(Json::Bool(false), sensitive);
    Members::default()
        .put("actions", actions)
        .put("before", or_null(before))
        .put("after", or_null(after))
        .put("after_unknown", after.filter(|after| !after.is_wholly_known()).map_or_else(|| json!({}), unknown))
        .put("before_sensitive", secret(before))
        .put("after_sensitive", secret(after))
        .unless_empty("replace_paths", replace.iter().map(|it| path(it.steps())).collect::<Vec<_>>())
}

fn drifted(drift: &Drift, plan: &Plan) -> Json {
    let previous = plan.moves.iter().find(|(_, to)| *to == drift.address).map(|(from, _)| from.within_stack());
    let actions = if drift.after.is_some() { json!(["update"]) } else { json!(["delete"]) };
    let change = change(actions, Some(&drift.before), drift.after.as_ref(), &[]);
    in_module(&drift.address, named(&drift.address, drift.provider.as_deref()))
        .some("previous_address", previous)
        .put("change", change.json())
        .json()
}

fn output_change(output: &PlannedOutput) -> Json {
    let actions = match (&output.before, &output.after) {
        _ if !output.changes() => json!(["no-op"]),
        (None, Some(_)) => json!(["create"]),
        (Some(_), None) => json!(["delete"]),
        _ => json!(["update"]),
    };
    // An output is a secret as a whole or not at all.
    let bare = |value: &Option<Value>| value.as_ref().map(|value| value.unmark_deep().0);
    let (before, after) = (bare(&output.before), bare(&output.after));
    let unknown = after.as_ref().filter(|after| !after.is_wholly_known()).map_or(Json::Bool(false), unknown);
    Members::default()
        .put("actions", actions)
        .put("before", before.as_ref().map_or(Json::Null, known))
        .some("after", (unknown != true).then(|| after.as_ref().map_or(Json::Null, known)))
        .put("after_unknown", unknown)
        .put("before_sensitive", output.sensitive)
        .put("after_sensitive", output.sensitive)
        .json()
}

/// Why an object is replaced, deleted, or read only by the apply.
fn reason(change: &PlannedChange, shown: Shown) -> Option<&'static str> {
    match &change.action {
        PlannedAction::Replace { because, .. } => Some(match because.first() {
            Some(ReplaceReason::Tainted) => "replace_because_tainted",
            Some(ReplaceReason::Requested) => "replace_by_request",
            Some(ReplaceReason::Triggered(_)) => "replace_by_triggers",
            Some(ReplaceReason::Fixed(_)) | None => "replace_because_cannot_update",
        }),
        PlannedAction::Delete | PlannedAction::Forget => deleted(change, shown),
        PlannedAction::Read => {
            let known = change.config.as_ref().is_some_and(Value::is_wholly_known);
            Some(if known { "read_because_dependency_pending" } else { "read_because_config_unknown" })
        }
        _ => None,
    }
}

/// The data that was read for `check` blocks.
fn nested_data<'a>(plan: &'a Plan, shown: Shown<'a>) -> impl Iterator<Item = (&'a InstanceAddress, &'a ReadData)> {
    let data = plan.data.iter().filter(move |(address, _)| *address.resource.stack == *shown.stack);
    let of_check = move |resource: &ResourceAddress| {
        let key = key_of(resource);
        let mut of_checks = module_of(resource, shown).into_iter().flat_map(|module| module.checks.values());
        of_checks.any(|check| check.data.as_ref().is_some_and(|data| data.key == key))
    };
    data.filter(move |(address, _)| of_check(&address.resource)).map(|(address, read)| (address, read))
}

/// Whether there is a block of a resource, whatever instances it and the modules around it have.
fn has_block(resource: &ResourceAddress, shown: Shown) -> bool {
    module_of(resource, shown).is_some_and(|module| module.resources.contains_key(&key_of(resource)))
}

fn module_of<'a>(resource: &ResourceAddress, shown: Shown<'a>) -> Option<&'a Module> {
    let root = &*shown.project.stacks.get(shown.stack)?.module;
    resource.module.iter().try_fold(root, |module, step| Some(&*module.calls.get(&step.name)?.module))
}

fn key_of(resource: &ResourceAddress) -> ResourceKey {
    let ResourceAddress { mode, kind, name, .. } = resource.clone();
    ResourceKey { mode, kind, name }
}

/// Which part of the definitions is gone.
fn deleted(change: &PlannedChange, shown: Shown) -> Option<&'static str> {
    Some(match change.undefined.as_ref()? {
        Undefined::Everything => return None,
        // That there is no block of it is said first.
        Undefined::ModuleInstance(..) if !has_block(&change.address.resource, shown) => {
            "delete_because_no_resource_config"
        }
        Undefined::ModuleInstance(..) => "delete_because_no_module",
        Undefined::Stack | Undefined::Call(_) | Undefined::Resource if change.previous.is_some() => {
            "delete_because_no_move_target"
        }
        Undefined::Stack | Undefined::Call(_) | Undefined::Resource => "delete_because_no_resource_config",
        Undefined::Instance(repetition) => match (repetition, &change.address.key) {
            (Repetition::Count(_), Some(InstanceKey::Index(_))) => "delete_because_count_index",
            (Repetition::Each(_), Some(InstanceKey::Name(_))) => "delete_because_each_key",
            _ => "delete_because_wrong_repetition",
        },
    })
}
