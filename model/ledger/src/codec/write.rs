use andon_schema::{
    Change, CheckResult, Checked, EntryStatus, Failure, HostEntry, HostReport, Identity, InstanceAddress, InstanceKey,
    Kept, Mode, Object, ObjectStatus, ResourceAddress,
};
use andon_value::Value;
use base64::Engine as _;
use serde_json::{Map, Value as Json};

use super::CodecError;
use crate::{
    Action, Difference, EnvironmentState, Event, FileOrigin, InstanceState, Intent, OutcomeRecord, Outputs, ReadData,
    Result as Tried, RunStatus, State,
};

pub(super) type Members = Map<String, Json>;
pub(super) type Written<T> = Result<T, CodecError>;

pub(super) fn event(event: &Event) -> Written<Members> {
    match event {
        Event::RunBegan { command, who, version } => Ok(kind("run_began")
            .with("command", command.as_str())
            .with("who", who.as_str())
            .with("version", version.as_str())),
        Event::RunEnded { status, summary } => {
            Ok(kind("run_ended").with("status", run_status(*status)).with_text("summary", summary))
        }
        Event::Intent(intent) => {
            let mut members = kind("intent");
            members.append(&mut self::intent(intent)?);
            Ok(members)
        }
        Event::Outcome(outcome) => self::outcome(outcome),
        Event::Observed { address, identity, value, kept } => {
            let members = with_kept(about(kind("observed"), address, identity), kept)?;
            match value {
                Some(value) => Ok(members.with("value", self::value(value)?)),
                None => Ok(members),
            }
        }
        Event::Adopted { address, object, deposed } => Ok(kind("adopted")
            .with("address", instance_address(address))
            .with("object", self::object(object)?)
            .with_flag("deposed", *deposed)),
        Event::Marked { address, identity, status } => {
            Ok(about(kind("marked"), address, identity).with_flag("tainted", *status == ObjectStatus::Tainted))
        }
        Event::DataRead { address, data } => {
            let mut members = kind("data_read").with("address", instance_address(address));
            members.append(&mut self::data(data)?);
            Ok(members)
        }
        Event::DataDropped { address } => Ok(kind("data_dropped").with("address", instance_address(address))),
        Event::Checked { stack, results } => {
            Ok(kind("checked").with("stack", &**stack).with_list("results", results.iter().map(checked).collect()))
        }
        Event::Forgotten { address, identity } => Ok(about(kind("forgotten"), address, identity)),
        Event::Depends { address, identity, dependencies, create_before_destroy } => {
            Ok(about(kind("depends"), address, identity)
                .with_list("dependencies", dependencies.iter().map(resource_address).collect())
                .with_flag("create_before_destroy", *create_before_destroy))
        }
        Event::Moved { from, to } => {
            Ok(kind("moved").with("from", instance_address(from)).with("to", instance_address(to)))
        }
        Event::Published { stack, outputs } => {
            Ok(kind("published").with("stack", &**stack).with("outputs", self::outputs(outputs)?))
        }
        Event::Withdrawn { stack } => Ok(kind("withdrawn").with("stack", &**stack)),
        Event::WentOn { stack, lineage, serial } => {
            Ok(kind("went_on").with("stack", &**stack).with_text("lineage", lineage).with_number("serial", *serial))
        }
        Event::Drifted { address, differences } => {
            let differences = differences.iter().map(difference).collect();
            Ok(kind("drifted").with("address", instance_address(address)).with_list("differences", differences))
        }
        Event::Faulted { address, fault } => {
            let members = kind("faulted").with("address", instance_address(address));
            Ok(members.with_text("fault", fault.as_deref().unwrap_or_default()))
        }
        Event::Progress(_) => Err(CodecError::NotStored("progress")),
    }
}

pub(super) fn state(state: &State) -> Written<Members> {
    record_of(state, |there| {
        let data = each(&there.data, |(address, data)| {
            let mut members = Members::new().with("address", instance_address(address));
            members.append(&mut self::data(data)?);
            Ok(Json::Object(members))
        })?;
        let instances = each(&there.instances, |(address, instance)| self::instance(address, instance))?;
        Ok(environment(there)?.with_list("instances", instances).with_list("data", data))
    })
}

/// A state without its objects and its data.
pub(super) fn state_without_objects(state: &State) -> Written<Members> {
    record_of(state, environment)
}

fn record_of(state: &State, write: impl Fn(&EnvironmentState) -> Written<Members>) -> Written<Members> {
    let mut environments = Members::new();
    for (name, there) in &state.environments {
        environments.insert(name.to_string(), Json::Object(write(there)?));
    }
    Ok(Members::new().with("sequence", state.sequence).with("environments", environments))
}

/// An environment without its objects and its data.
fn environment(there: &EnvironmentState) -> Written<Members> {
    let mut published = Members::new();
    for (stack, outputs) in &there.published {
        published.insert(stack.to_string(), Json::Object(self::outputs(outputs)?));
    }
    let pending = each(there.pending.values(), |intent| self::intent(intent).map(Json::Object))?;
    let mut checked = Members::new();
    for (stack, results) in &there.checked {
        checked.insert(stack.to_string(), Json::Array(results.iter().map(self::checked).collect()));
    }
    let mut members =
        Members::new().with("published", published).with("checked", checked).with_list("pending", pending);
    if !there.files.is_empty() {
        let origin = |(stack, origin): (&std::sync::Arc<str>, &FileOrigin)| {
            (stack.to_string(), Json::Object(file_origin(origin)))
        };
        members = members.with("files", there.files.iter().map(origin).collect::<Members>());
    }
    if !there.drifted.is_empty() {
        let drifted = there.drifted.iter().map(|(address, differences)| {
            let members = Members::new().with("address", instance_address(address));
            Json::Object(members.with_list("differences", differences.iter().map(difference).collect()))
        });
        members = members.with_list("drifted", drifted.collect());
    }
    if !there.faults.is_empty() {
        let faults = there.faults.iter().map(|(address, fault)| {
            let members = Members::new().with("address", instance_address(address));
            Json::Object(members.with_text("what", &fault.what).with("since", fault.since.0))
        });
        members = members.with_list("faults", faults.collect());
    }
    Ok(match &there.open_run {
        Some(run) => members.with("open_run", &*run.0),
        None => members,
    })
}

fn difference(difference: &Difference) -> Json {
    Json::Object(Members::new().with_text("what", &difference.what).with_text("how", &difference.how))
}

fn file_origin(origin: &FileOrigin) -> Members {
    Members::new()
        .with_text("lineage", &origin.lineage)
        .with_number("serial", origin.serial)
        .with("through", origin.through)
}

fn instance(address: &InstanceAddress, instance: &InstanceState) -> Written<Json> {
    let mut members = Members::new().with("address", instance_address(address));
    if let Some(current) = &instance.current {
        members = members.with("current", object(current)?);
    }
    Ok(Json::Object(members.with_list("deposed", each(&instance.deposed, object)?)))
}

fn intent(intent: &Intent) -> Written<Members> {
    let members = about(Members::new(), &intent.address, &intent.identity)
        .with("action", action(intent.action))
        .with_list("dependencies", intent.dependencies.iter().map(resource_address).collect())
        .with_flag("create_before_destroy", intent.create_before_destroy)
        .with_flag("provisioned", intent.provisioned)
        .with_shown("provider", &intent.provider);
    match &intent.planned {
        Some(planned) => Ok(members.with("planned", value(planned)?)),
        None => Ok(members),
    }
}

fn data(data: &ReadData) -> Written<Members> {
    Ok(Members::new()
        .with("value", value(&data.value)?)
        .with_shown("provider", &data.provider)
        .with_number("schema_version", data.schema_version))
}

fn checked(checked: &Checked) -> Json {
    let members = Members::new()
        .with("kind", checked.kind.to_string())
        .with("config", checked.config.as_str())
        .with("object", checked.object.as_str())
        .with("status", checked.status.to_string());
    Json::Object(members.with_list("problems", checked.problems.iter().map(|text| text.as_str().into()).collect()))
}

/// What a provider keeps with an object stands beside the attributes.
pub(super) fn with_kept(members: Members, kept: &Kept) -> Written<Members> {
    let members = members
        .with_number("schema_version", kept.schema_version)
        .with_text("private", &base64::engine::general_purpose::STANDARD.encode(&kept.private));
    let Some(identity) = &kept.identity else { return Ok(members) };
    let members = members.with("names", value(identity)?);
    Ok(match kept.identity_version {
        Some(version) => members.with("names_version", version),
        None => members,
    })
}

fn outcome(outcome: &OutcomeRecord) -> Written<Members> {
    let mut members =
        about(kind("outcome"), &outcome.address, &outcome.identity).with("action", action(outcome.action));
    members = match &outcome.result {
        Tried::Done => members.with("result", "done"),
        Tried::Failed(failure) => members.with("result", "failed").with("failure", self::failure(failure)),
        Tried::Resolved => members.with("result", "resolved"),
    };
    if let Some(object) = &outcome.object {
        members = members.with("object", self::object(object)?);
    }
    if let Some(report) = &outcome.report {
        members = members.with("report", self::report(report));
    }
    Ok(members)
}

fn object(object: &Object) -> Written<Json> {
    let members = Members::new()
        .with("identity", object.identity.as_str())
        .with("value", value(&object.value)?)
        .with_flag("tainted", object.status == ObjectStatus::Tainted)
        .with_list("dependencies", object.dependencies.iter().map(resource_address).collect())
        .with_flag("create_before_destroy", object.create_before_destroy)
        .with_shown("provider", &object.provider);
    Ok(Json::Object(with_kept(members, &object.kept)?))
}

pub(super) fn failure(failure: &Failure) -> Members {
    Members::new()
        .with("summary", failure.summary.as_str())
        .with_text("detail", &failure.detail)
        .with_list("help", failure.help.iter().map(|help| Json::from(help.as_str())).collect())
}

pub(super) fn report(report: &HostReport) -> Members {
    let members = Members::new()
        .with_list("entries", report.entries.iter().map(host_entry).collect())
        .with_list("checks", report.checks.iter().map(check_result).collect());
    match &report.stopped {
        Some(why) => members.with("stopped", why.as_str()),
        None => members,
    }
}

fn host_entry(entry: &HostEntry) -> Json {
    let mut members = Members::new()
        .with("address", entry.address.as_str())
        .with_text("origin", &entry.origin)
        .with("change", change(entry.change))
        .with_list("differences", entry.differences.iter().map(|line| Json::from(line.as_str())).collect());
    if let Some(diff) = &entry.diff {
        members = members.with("diff", diff.as_str());
    }
    Json::Object(match &entry.status {
        EntryStatus::Planned => members.with("status", "planned"),
        EntryStatus::Done => members.with("status", "done"),
        EntryStatus::Failed(why) => members.with("status", "failed").with("why", why.as_str()),
        EntryStatus::Skipped(why) => members.with("status", "skipped").with("why", why.as_str()),
    })
}

fn check_result(result: &CheckResult) -> Json {
    let members = Members::new()
        .with("check", result.check.as_str())
        .with("assertion", result.assertion.as_str())
        .with_text("origin", &result.origin);
    Json::Object(match &result.failure {
        Some(why) => members.with("failure", why.as_str()),
        None => members,
    })
}

fn outputs(outputs: &Outputs) -> Written<Members> {
    outputs.iter().map(|(name, output)| Ok((name.to_string(), value(output)?))).collect()
}

pub(super) fn value(value: &Value) -> Written<Json> {
    if value.marks_within().ephemeral {
        return Err(CodecError::NotStored("an ephemeral value"));
    }
    Ok(andon_value::encode(value))
}

fn instance_address(address: &InstanceAddress) -> Json {
    let mut members = resource_members(&address.resource);
    if let Some(key) = &address.key {
        members.insert("key".to_owned(), instance_key(key));
    }
    Json::Object(members)
}

fn resource_address(address: &ResourceAddress) -> Json {
    Json::Object(resource_members(address))
}

/// Addresses are stored in their parts: a change to how they are printed changes no record.
fn resource_members(address: &ResourceAddress) -> Members {
    let step = |step: &andon_schema::ModuleStep| {
        let members = Members::new().with("name", &*step.name);
        Json::Object(match &step.key {
            Some(key) => members.with("key", instance_key(key)),
            None => members,
        })
    };
    Members::new()
        .with_text("stack", &address.stack)
        .with_list("module", address.module.iter().map(step).collect())
        .with_flag("data", address.mode == Mode::Data)
        .with("type", &*address.kind)
        .with("name", &*address.name)
}

fn instance_key(key: &InstanceKey) -> Json {
    match key {
        InstanceKey::Index(index) => (*index).into(),
        InstanceKey::Name(name) => (&**name).into(),
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}

fn run_status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
        RunStatus::Interrupted => "interrupted",
    }
}

fn change(change: Change) -> &'static str {
    match change {
        Change::None => "none",
        Change::Create => "create",
        Change::Update => "update",
        Change::Remove => "remove",
        Change::Reload => "reload",
        Change::Restart => "restart",
        Change::Run => "run",
    }
}

fn kind(kind: &str) -> Members {
    Members::new().with("event", kind)
}

fn about(members: Members, address: &InstanceAddress, identity: &Identity) -> Members {
    members.with("address", instance_address(address)).with("identity", identity.as_str())
}

fn each<T>(items: impl IntoIterator<Item = T>, write: impl Fn(T) -> Written<Json>) -> Written<Vec<Json>> {
    items.into_iter().map(write).collect()
}

/// Members are added in a chain; the `with_` forms leave out what holds nothing.
pub(super) trait With: Sized {
    fn with(self, name: &str, member: impl Into<Json>) -> Self;

    fn with_text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, text) }
    }

    fn with_list(self, name: &str, list: Vec<Json>) -> Self {
        if list.is_empty() { self } else { self.with(name, list) }
    }

    fn with_number(self, name: &str, number: u64) -> Self {
        if number == 0 { self } else { self.with(name, number) }
    }

    fn with_shown(self, name: &str, shown: &Option<impl ToString>) -> Self {
        match shown {
            Some(shown) => self.with(name, shown.to_string()),
            None => self,
        }
    }

    fn with_flag(self, name: &str, flag: bool) -> Self {
        if flag { self.with(name, true) } else { self }
    }
}

impl With for Members {
    fn with(mut self, name: &str, member: impl Into<Json>) -> Members {
        self.insert(name.to_owned(), member.into());
        self
    }
}
