use std::sync::Arc;

use andon_schema::{
    Change, CheckResult, CheckStatus, Checked, CheckedKind, EntryStatus, Failure, HostEntry, HostReport, Identity,
    InstanceAddress, InstanceKey, Kept, Mode, ModuleStep, Object, ObjectStatus, ProviderConfigAddress, ResourceAddress,
};
use andon_value::Value;
use base64::Engine as _;
use serde_json::Value as Json;

use super::CodecError;
use crate::{
    Action, Difference, EnvironmentState, Event, Fault, FileOrigin, InstanceState, Intent, OutcomeRecord, Outputs,
    ReadData, Result as Tried, RunId, RunStatus, State, Timestamp,
};

pub(super) type Read<T> = Result<T, CodecError>;

pub(super) fn event(record: &Json) -> Read<Event> {
    let record = Node { json: record, name: "record" };
    Ok(match record.member("event")?.text()? {
        "run_began" => Event::RunBegan {
            command: record.member("command")?.string()?,
            who: record.member("who")?.string()?,
            version: record.member("version")?.string()?,
        },
        "run_ended" => {
            Event::RunEnded { status: run_status(record.member("status")?)?, summary: record.text_or_empty("summary")? }
        }
        "intent" => Event::Intent(intent(record)?),
        "outcome" => Event::Outcome(outcome(record)?),
        "observed" => Event::Observed {
            address: instance_address(record.member("address")?)?,
            identity: identity(record.member("identity")?)?,
            value: record.optional("value").map(value).transpose()?,
            kept: kept(record)?,
        },
        "adopted" => Event::Adopted {
            address: instance_address(record.member("address")?)?,
            object: object(record.member("object")?)?,
            deposed: record.flag("deposed")?,
        },
        "marked" => Event::Marked {
            address: instance_address(record.member("address")?)?,
            identity: identity(record.member("identity")?)?,
            status: status(record)?,
        },
        "data_read" => Event::DataRead { address: instance_address(record.member("address")?)?, data: data(record)? },
        "data_dropped" => Event::DataDropped { address: instance_address(record.member("address")?)? },
        "checked" => {
            Event::Checked { stack: record.member("stack")?.text()?.into(), results: record.each("results", checked)? }
        }
        "forgotten" => Event::Forgotten {
            address: instance_address(record.member("address")?)?,
            identity: identity(record.member("identity")?)?,
        },
        "depends" => Event::Depends {
            address: instance_address(record.member("address")?)?,
            identity: identity(record.member("identity")?)?,
            dependencies: record.each("dependencies", resource_address)?,
            create_before_destroy: record.flag("create_before_destroy")?,
        },
        "moved" => Event::Moved {
            from: instance_address(record.member("from")?)?,
            to: instance_address(record.member("to")?)?,
        },
        "published" => Event::Published {
            stack: record.member("stack")?.text()?.into(),
            outputs: outputs(record.member("outputs")?)?,
        },
        "withdrawn" => Event::Withdrawn { stack: record.member("stack")?.text()?.into() },
        "went_on" => Event::WentOn {
            stack: record.member("stack")?.text()?.into(),
            lineage: record.text_or_empty("lineage")?.into(),
            serial: record.number_or_zero("serial")?,
        },
        "drifted" => Event::Drifted {
            address: instance_address(record.member("address")?)?,
            differences: record.each("differences", difference)?,
        },
        "faulted" => Event::Faulted {
            address: instance_address(record.member("address")?)?,
            fault: Some(record.text_or_empty("fault")?).filter(|fault| !fault.is_empty()).map(Into::into),
        },
        _ => return Err(record.member("event")?.is_not("a kind of event")),
    })
}

pub(super) fn state(record: &Json) -> Read<State> {
    let record = Node { json: record, name: "record" };
    let environments = record.member("environments")?.entries()?;
    let environments = environments.map(|(name, there)| Ok((name.into(), environment(there)?))).collect::<Read<_>>()?;
    Ok(State::new(record.member("sequence")?.number()?, environments))
}

fn environment(there: Node<'_>) -> Read<EnvironmentState> {
    let pending = |node| intent(node).map(|intent| (intent.identity.clone(), intent));
    let published = there.member("published")?.entries()?;
    Ok(EnvironmentState {
        instances: there.each("instances", instance)?.into_iter().collect(),
        published: published.map(|(stack, published)| Ok((stack.into(), outputs(published)?))).collect::<Read<_>>()?,
        data: there
            .each("data", |node| Ok((instance_address(node.member("address")?)?, data(node)?)))?
            .into_iter()
            .collect(),
        checked: match there.optional("checked") {
            Some(stacks) => stacks
                .entries()?
                .map(|(stack, results)| Ok((stack.into(), results.elements(checked)?)))
                .collect::<Read<_>>()?,
            None => Default::default(),
        },
        files: match there.optional("files") {
            Some(files) => {
                files.entries()?.map(|(stack, it)| Ok((stack.into(), file_origin(it)?))).collect::<Read<_>>()?
            }
            None => Default::default(),
        },
        drifted: there
            .each("drifted", |node| {
                Ok((instance_address(node.member("address")?)?, node.each("differences", difference)?))
            })?
            .into_iter()
            .collect(),
        faults: there.each("faults", fault)?.into_iter().collect(),
        pending: there.each("pending", pending)?.into_iter().collect(),
        open_run: there.optional("open_run").map(|run| run.text().map(|run| RunId(run.into()))).transpose()?,
    })
}

fn difference(node: Node<'_>) -> Read<Difference> {
    Ok(Difference { what: node.text_or_empty("what")?.into(), how: node.text_or_empty("how")?.into() })
}

fn fault(node: Node<'_>) -> Read<(InstanceAddress, Fault)> {
    let since = node.member("since")?;
    let since = since.json.as_i64().map(Timestamp).ok_or_else(|| since.is_not("a time"))?;
    Ok((instance_address(node.member("address")?)?, Fault { what: node.text_or_empty("what")?.into(), since }))
}

fn file_origin(node: Node<'_>) -> Read<FileOrigin> {
    Ok(FileOrigin {
        lineage: node.text_or_empty("lineage")?.into(),
        serial: node.number_or_zero("serial")?,
        through: node.member("through")?.number()?,
    })
}

fn instance(there: Node<'_>) -> Read<(InstanceAddress, InstanceState)> {
    let state = InstanceState {
        current: there.optional("current").map(object).transpose()?,
        deposed: there.each("deposed", object)?,
    };
    Ok((instance_address(there.member("address")?)?, state))
}

fn intent(record: Node<'_>) -> Read<Intent> {
    Ok(Intent {
        address: instance_address(record.member("address")?)?,
        action: action(record.member("action")?)?,
        identity: identity(record.member("identity")?)?,
        dependencies: record.each("dependencies", resource_address)?,
        create_before_destroy: record.flag("create_before_destroy")?,
        provider: provider(record)?,
        planned: record.optional("planned").map(value).transpose()?,
        provisioned: record.flag("provisioned")?,
    })
}

fn outcome(record: Node<'_>) -> Read<OutcomeRecord> {
    Ok(OutcomeRecord {
        address: instance_address(record.member("address")?)?,
        action: action(record.member("action")?)?,
        identity: identity(record.member("identity")?)?,
        result: match record.member("result")?.text()? {
            "done" => Tried::Done,
            "failed" => Tried::Failed(failure(record.member("failure")?)?),
            "resolved" => Tried::Resolved,
            _ => return Err(record.member("result")?.is_not("a result")),
        },
        object: record.optional("object").map(object).transpose()?,
        report: record.optional("report").map(report).transpose()?,
    })
}

fn object(node: Node<'_>) -> Read<Object> {
    Ok(Object {
        identity: identity(node.member("identity")?)?,
        value: value(node.member("value")?)?,
        status: status(node)?,
        dependencies: node.each("dependencies", resource_address)?,
        create_before_destroy: node.flag("create_before_destroy")?,
        provider: provider(node)?,
        kept: kept(node)?,
    })
}

fn status(node: Node<'_>) -> Read<ObjectStatus> {
    Ok(if node.flag("tainted")? { ObjectStatus::Tainted } else { ObjectStatus::Ready })
}

fn provider(node: Node<'_>) -> Read<Option<Arc<ProviderConfigAddress>>> {
    let Some(text) = node.optional("provider") else { return Ok(None) };
    let address = ProviderConfigAddress::parse(text.text()?);
    address.map(|address| Some(Arc::new(address))).ok_or_else(|| text.is_not("the address of a provider configuration"))
}

pub(super) fn kept(node: Node<'_>) -> Read<Kept> {
    let private = match node.optional("private") {
        Some(text) => {
            base64::engine::general_purpose::STANDARD.decode(text.text()?).map_err(|_| text.is_not("base64"))?.into()
        }
        None => Default::default(),
    };
    let identity = node.optional("names").map(value).transpose()?;
    let identity_version = node.optional("names_version").map(Node::number).transpose()?;
    Ok(Kept { schema_version: node.number_or_zero("schema_version")?, private, identity, identity_version })
}

fn data(node: Node<'_>) -> Read<ReadData> {
    Ok(ReadData {
        value: value(node.member("value")?)?,
        provider: provider(node)?,
        schema_version: node.number_or_zero("schema_version")?,
    })
}

fn checked(node: Node<'_>) -> Read<Checked> {
    fn named<T: Copy + ToString>(node: Node<'_>, all: &[T]) -> Read<T> {
        let text = node.text()?;
        all.iter().copied().find(|it| it.to_string() == text).ok_or_else(|| node.is_not("a known name"))
    }
    Ok(Checked {
        kind: named(node.member("kind")?, &CheckedKind::ALL)?,
        config: node.member("config")?.string()?,
        object: node.member("object")?.string()?,
        status: named(node.member("status")?, &CheckStatus::ALL)?,
        problems: node.each("problems", Node::string)?,
    })
}

pub(super) fn failure(node: Node<'_>) -> Read<Failure> {
    Ok(Failure {
        summary: node.member("summary")?.string()?,
        detail: node.text_or_empty("detail")?,
        help: node.each("help", Node::string)?,
        complaints: Vec::new(),
        of: None,
    })
}

pub(super) fn report_record(record: &Json) -> Read<HostReport> {
    report(Node { json: record, name: "record" })
}

pub(super) fn report(node: Node<'_>) -> Read<HostReport> {
    Ok(HostReport {
        entries: node.each("entries", host_entry)?,
        checks: node.each("checks", check_result)?,
        stopped: node.optional("stopped").map(Node::string).transpose()?,
    })
}

fn host_entry(node: Node<'_>) -> Read<HostEntry> {
    Ok(HostEntry {
        address: node.member("address")?.string()?,
        origin: node.text_or_empty("origin")?,
        change: change(node.member("change")?)?,
        differences: node.each("differences", Node::string)?,
        diff: node.optional("diff").map(Node::string).transpose()?,
        status: match node.member("status")?.text()? {
            "planned" => EntryStatus::Planned,
            "done" => EntryStatus::Done,
            "failed" => EntryStatus::Failed(node.member("why")?.string()?),
            "skipped" => EntryStatus::Skipped(node.member("why")?.string()?),
            _ => return Err(node.member("status")?.is_not("a status")),
        },
    })
}

fn check_result(node: Node<'_>) -> Read<CheckResult> {
    Ok(CheckResult {
        check: node.member("check")?.string()?,
        assertion: node.member("assertion")?.string()?,
        origin: node.text_or_empty("origin")?,
        failure: node.optional("failure").map(Node::string).transpose()?,
    })
}

fn outputs(node: Node<'_>) -> Read<Outputs> {
    node.entries()?.map(|(name, output)| Ok((name.into(), value(output)?))).collect()
}

pub(super) fn value(node: Node<'_>) -> Read<Value> {
    andon_value::decode(node.json).map_err(|_| node.is_not("a value"))
}

fn identity(node: Node<'_>) -> Read<Identity> {
    Identity::parse(node.text()?).ok_or_else(|| node.is_not("the name of an object"))
}

fn instance_address(node: Node<'_>) -> Read<InstanceAddress> {
    Ok(resource_address(node)?.instance(node.optional("key").map(instance_key).transpose()?))
}

fn resource_address(node: Node<'_>) -> Read<ResourceAddress> {
    let step = |step: Node<'_>| {
        let key = step.optional("key").map(instance_key).transpose()?;
        Ok(ModuleStep { name: step.member("name")?.text()?.into(), key })
    };
    Ok(ResourceAddress {
        stack: node.text_or_empty("stack")?.into(),
        module: node.each("module", step)?.into(),
        mode: if node.flag("data")? { Mode::Data } else { Mode::Managed },
        kind: node.member("type")?.text()?.into(),
        name: node.member("name")?.text()?.into(),
    })
}

fn instance_key(node: Node<'_>) -> Read<InstanceKey> {
    match node.json {
        Json::String(name) => Ok(InstanceKey::Name(Arc::from(name.as_str()))),
        _ => Ok(InstanceKey::Index(node.number()?)),
    }
}

fn action(node: Node<'_>) -> Read<Action> {
    match node.text()? {
        "create" => Ok(Action::Create),
        "update" => Ok(Action::Update),
        "delete" => Ok(Action::Delete),
        _ => Err(node.is_not("an action")),
    }
}

fn run_status(node: Node<'_>) -> Read<RunStatus> {
    match node.text()? {
        "succeeded" => Ok(RunStatus::Succeeded),
        "failed" => Ok(RunStatus::Failed),
        "cancelled" => Ok(RunStatus::Cancelled),
        "interrupted" => Ok(RunStatus::Interrupted),
        _ => Err(node.is_not("the status of a run")),
    }
}

fn change(node: Node<'_>) -> Read<Change> {
    match node.text()? {
        "none" => Ok(Change::None),
        "create" => Ok(Change::Create),
        "update" => Ok(Change::Update),
        "remove" => Ok(Change::Remove),
        "reload" => Ok(Change::Reload),
        "restart" => Ok(Change::Restart),
        "run" => Ok(Change::Run),
        _ => Err(node.is_not("a change")),
    }
}

/// A part of a record, with the name of its member for the sake of errors.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    json: &'a Json,
    name: &'a str,
}

impl<'a> Node<'a> {
    pub fn new(json: &'a Json) -> Node<'a> {
        Node { json, name: "record" }
    }

    pub fn optional(self, name: &'a str) -> Option<Node<'a>> {
        self.json.get(name).map(|json| Node { json, name })
    }

    pub fn member(self, name: &'a str) -> Read<Node<'a>> {
        self.optional(name).ok_or_else(|| CodecError::Shape { member: name.to_owned(), expected: "there" })
    }

    pub fn text(self) -> Read<&'a str> {
        self.json.as_str().ok_or_else(|| self.is_not("a text"))
    }

    pub fn string(self) -> Read<String> {
        self.text().map(str::to_owned)
    }

    pub fn text_or_empty(self, name: &'a str) -> Read<String> {
        self.optional(name).map_or(Ok(String::new()), Node::string)
    }

    pub fn number(self) -> Read<u64> {
        self.json.as_u64().ok_or_else(|| self.is_not("a whole number"))
    }

    pub fn number_or_zero(self, name: &'a str) -> Read<u64> {
        self.optional(name).map_or(Ok(0), Node::number)
    }

    pub fn flag(self, name: &'a str) -> Read<bool> {
        let flag = |node: Node<'_>| node.json.as_bool().ok_or_else(|| node.is_not("true or false"));
        self.optional(name).map_or(Ok(false), flag)
    }

    pub fn each<T>(self, name: &'a str, read: impl Fn(Node<'a>) -> Read<T>) -> Read<Vec<T>> {
        self.optional(name).map_or(Ok(Vec::new()), |list| list.elements(read))
    }

    pub fn elements<T>(self, read: impl Fn(Node<'a>) -> Read<T>) -> Read<Vec<T>> {
        let elements = self.json.as_array().ok_or_else(|| self.is_not("a list"))?;
        elements.iter().map(|json| read(Node { json, name: self.name })).collect()
    }

    pub fn entries(self) -> Read<impl Iterator<Item = (&'a str, Node<'a>)>> {
        let entries = self.json.as_object().ok_or_else(|| self.is_not("an object"))?;
        Ok(entries.iter().map(|(name, json)| (name.as_str(), Node { json, name })))
    }

    pub fn is_not(self, expected: &'static str) -> CodecError {
        CodecError::Shape { member: self.name.to_owned(), expected }
    }
}
