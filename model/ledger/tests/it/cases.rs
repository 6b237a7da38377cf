//! The cases of the golden files.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{
    Action, Difference, EnvironmentState, Event, Fault, FileOrigin, InstanceState, Intent, OutcomeRecord, Outputs,
    ReadData, Result, RunId, RunStatus, State, Timestamp,
};
use andon_schema::{
    Change, CheckResult, CheckStatus, Checked, CheckedKind, EntryStatus, Failure, HostEntry, HostReport, Identity,
    InstanceAddress, Kept, Object, ObjectStatus, ProviderConfigAddress, ResourceAddress,
};
use andon_value::{Marks, Number, Type, Value};

pub fn events() -> Vec<(&'static str, Event)> {
    vec![
        ("run_began", Event::RunBegan { command: "apply web".into(), who: "ann@desk".into(), version: "0.1.0".into() }),
        ("run_ended", ended(RunStatus::Succeeded, "2 created")),
        ("run_ended_failed", ended(RunStatus::Failed, "1 of 2 failed")),
        ("run_ended_cancelled", ended(RunStatus::Cancelled, "stopped by the user")),
        ("run_ended_interrupted", ended(RunStatus::Interrupted, "")),
        ("intent", Event::Intent(intent(Action::Create))),
        ("intent_update", Event::Intent(Intent { dependencies: Vec::new(), ..intent(Action::Update) })),
        ("outcome", Event::Outcome(outcome(Action::Create, Result::Done, Some(object(ObjectStatus::Ready))))),
        (
            "outcome_failed",
            Event::Outcome(OutcomeRecord {
                report: Some(report()),
                ..outcome(Action::Create, Result::Failed(failure()), Some(object(ObjectStatus::Tainted)))
            }),
        ),
        ("outcome_resolved", Event::Outcome(outcome(Action::Delete, Result::Resolved, None))),
        ("observed", observed(value())),
        (
            "observed_gone",
            Event::Observed { address: address(), identity: identity(), value: None, kept: Kept::default() },
        ),
        (
            "observed_kept",
            Event::Observed { address: address(), identity: identity(), value: Some(value()), kept: kept() },
        ),
        (
            "adopted",
            Event::Adopted {
                address: address(),
                object: Object { provider: Some(provider()), kept: kept(), ..object(ObjectStatus::Ready) },
                deposed: true,
            },
        ),
        ("marked", Event::Marked { address: address(), identity: identity(), status: ObjectStatus::Tainted }),
        ("data_read", Event::DataRead { address: parse("data.cloud_zone.all"), data: data() }),
        ("data_dropped", Event::DataDropped { address: parse("data.cloud_zone.all") }),
        ("checked", Event::Checked { stack: "web".into(), results: checked() }),
        ("intent_provisioned", Event::Intent(Intent { provisioned: true, ..intent(Action::Create) })),
        (
            "intent_plugin",
            Event::Intent(Intent {
                provider: Some(provider()),
                planned: Some(Value::object([("id", Value::unknown(Type::String)), ("name", Value::from("a"))])),
                ..intent(Action::Create)
            }),
        ),
        ("forgotten", Event::Forgotten { address: address(), identity: identity() }),
        (
            "depends",
            Event::Depends {
                address: address(),
                identity: identity(),
                dependencies: dependencies(),
                create_before_destroy: true,
            },
        ),
        (
            "moved",
            Event::Moved {
                from: parse("web/lab_server.old[2]"),
                to: parse("web/module.app[\"a b\"].module.inner[0].lab_server.web[\"é\"]"),
            },
        ),
        ("published", Event::Published { stack: "web".into(), outputs: outputs() }),
        ("published_nothing", Event::Published { stack: "".into(), outputs: Outputs::new() }),
        (
            "drifted",
            Event::Drifted {
                address: address(),
                differences: vec![Difference { what: "file \"/etc/motd\"".into(), how: "mode 0644 → 0600".into() }],
            },
        ),
        ("drifted_nothing", Event::Drifted { address: address(), differences: Vec::new() }),
        (
            "faulted",
            Event::Faulted {
                address: parse("lab_pool.web"),
                fault: Some("members end too fast: 3 have ended within 10 min".into()),
            },
        ),
        ("faulted_no_longer", Event::Faulted { address: parse("lab_pool.web"), fault: None }),
        ("withdrawn", Event::Withdrawn { stack: "web".into() }),
        (
            "went_on",
            Event::WentOn { stack: "web".into(), lineage: "9a1c2b3d-0000-4000-8000-000000000000".into(), serial: 12 },
        ),
    ]
}

pub fn state() -> State {
    let here = EnvironmentState {
        instances: BTreeMap::from([
            (
                address(),
                InstanceState {
                    current: Some(object(ObjectStatus::Ready)),
                    deposed: vec![Object { identity: name(2), ..object(ObjectStatus::Tainted) }],
                },
            ),
            (
                parse("terraform_data.note"),
                InstanceState {
                    current: Some(Object {
                        identity: name(3),
                        value: Value::NULL,
                        status: ObjectStatus::Ready,
                        dependencies: Vec::new(),
                        create_before_destroy: false,
                        provider: None,
                        kept: Kept::default(),
                    }),
                    deposed: Vec::new(),
                },
            ),
        ]),
        published: BTreeMap::from([("web".into(), outputs()), ("empty".into(), Outputs::new())]),
        data: BTreeMap::from([(parse("data.cloud_zone.all"), data())]),
        checked: BTreeMap::from([("web".into(), checked())]),
        files: BTreeMap::from([("web".into(), FileOrigin { lineage: "9a1c2b3d".into(), serial: 12, through: 5 })]),
        drifted: BTreeMap::from([(
            address(),
            vec![Difference { what: "file \"/etc/motd\"".into(), how: "content".into() }],
        )]),
        faults: BTreeMap::from([(
            parse("lab_pool.web"),
            Fault { what: "members end too fast".into(), since: Timestamp(1_790_000_000_000) },
        )]),
        pending: BTreeMap::from([(name(4), Intent { identity: name(4), ..intent(Action::Create) })]),
        open_run: Some(RunId("00000000beef".into())),
    };
    State::new(7, BTreeMap::from([("dev".into(), here), ("production".into(), EnvironmentState::default())]))
}

pub fn observed(value: Value) -> Event {
    Event::Observed { address: address(), identity: identity(), value: Some(value), kept: Kept::default() }
}

fn ended(status: RunStatus, summary: &str) -> Event {
    Event::RunEnded { status, summary: summary.into() }
}

fn intent(action: Action) -> Intent {
    Intent {
        address: address(),
        action,
        identity: identity(),
        dependencies: dependencies(),
        create_before_destroy: action == Action::Create,
        provider: None,
        planned: None,
        provisioned: false,
    }
}

fn outcome(action: Action, result: Result, object: Option<Object>) -> OutcomeRecord {
    OutcomeRecord { address: address(), action, identity: identity(), result, object, report: None }
}

fn object(status: ObjectStatus) -> Object {
    Object {
        identity: identity(),
        value: value(),
        status,
        dependencies: dependencies(),
        create_before_destroy: true,
        provider: None,
        kept: Kept::default(),
    }
}

fn provider() -> Arc<ProviderConfigAddress> {
    Arc::new(ProviderConfigAddress::parse("module.app.provider[\"registry.terraform.io/hashicorp/aws\"].west").unwrap())
}

fn kept() -> Kept {
    Kept {
        schema_version: 3,
        private: Arc::from(*b"\x00\xff{}"),
        identity: Some(Value::object([("arn", Value::from("arn:1"))])),
        identity_version: Some(2),
    }
}

fn data() -> ReadData {
    ReadData { value: value(), provider: Some(provider()), schema_version: 1 }
}

fn checked() -> Vec<Checked> {
    let checked = |kind, config: &str, object: &str, status, problems: &[&str]| Checked {
        kind,
        config: config.into(),
        object: object.into(),
        status,
        problems: problems.iter().map(|text| (*text).into()).collect(),
    };
    vec![
        checked(CheckedKind::Resource, "t.n", "t.n[0]", CheckStatus::Pass, &[]),
        checked(CheckedKind::Output, "output.o", "output.o", CheckStatus::Fail, &["It is late.", "And wrong."]),
        checked(CheckedKind::Check, "check.c", "check.c", CheckStatus::Error, &[]),
        checked(CheckedKind::Variable, "var.v", "var.v", CheckStatus::Unknown, &[]),
    ]
}

fn value() -> Value {
    Value::object([
        ("name", Value::from("web-0")),
        ("memory", Value::from(256)),
        ("weight", Value::from(Number::parse("0.1").unwrap())),
        ("running", Value::from(true)),
        ("volume", Value::null(Type::String)),
        ("password", Value::from("hunter2").mark(Marks::SENSITIVE)),
        ("labels", Value::map(Type::String, [("tier", Value::from("front"))])),
        ("ports", Value::set(Type::Number, [Value::from(443), Value::from(80)])),
        ("addresses", Value::list(Type::String, [Value::from("10.0.0.2")])),
        ("pair", Value::tuple([Value::from(1), Value::from("one")])),
    ])
}

fn outputs() -> Outputs {
    Outputs::from([
        ("token".into(), Value::from("s3cret").mark(Marks::SENSITIVE)),
        ("url".into(), Value::from("http://127.0.0.1:8080/")),
    ])
}

fn failure() -> Failure {
    Failure::new("nginx was not installed", "apt-get said: \"no such package\"\n")
        .help("Check the name of the package.")
}

pub fn report() -> HostReport {
    let entry = |address: &str, change, status| HostEntry {
        address: address.into(),
        origin: "roles/web.role.hcl:12".into(),
        change,
        differences: Vec::new(),
        diff: None,
        status,
    };
    HostReport {
        entries: vec![
            HostEntry {
                differences: vec!["mode 0600 → 0644".into()],
                diff: Some("@@ -1 +1 @@\n-hello\n+hi\n".into()),
                ..entry("file \"/etc/motd\"", Change::Update, EntryStatus::Done)
            },
            entry("user \"deploy\"", Change::None, EntryStatus::Planned),
            entry("package \"nginx\"", Change::Create, EntryStatus::Failed("no such package".into())),
            entry("file \"/etc/old\"", Change::Remove, EntryStatus::Skipped("not reached".into())),
            HostEntry { origin: String::new(), ..entry("service \"nginx\"", Change::Reload, EntryStatus::Done) },
            entry("service \"cron\"", Change::Restart, EntryStatus::Done),
        ],
        checks: vec![
            CheckResult {
                check: "answers".into(),
                assertion: "port \"tcp/80\"".into(),
                origin: "roles/web.role.hcl:40".into(),
                failure: None,
            },
            CheckResult {
                check: "answers".into(),
                assertion: "http \"http://127.0.0.1:80/healthz\"".into(),
                origin: String::new(),
                failure: Some("nobody listens".into()),
            },
        ],
        stopped: Some("package \"nginx\" failed".into()),
    }
}

fn dependencies() -> Vec<ResourceAddress> {
    vec![parse("network/lab_network.app").resource, parse("web/module.app.data.andon_stack.network").resource]
}

fn address() -> InstanceAddress {
    parse("web/lab_server.web[0]")
}

fn parse(text: &str) -> InstanceAddress {
    InstanceAddress::parse(text).unwrap()
}

fn identity() -> Identity {
    name(1)
}

fn name(number: u64) -> Identity {
    Identity::from_random(number)
}
