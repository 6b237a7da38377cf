//! Generated events and states.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_ledger::{
    Action, Difference, EnvironmentState, Event, Fault, InstanceState, Intent, OutcomeRecord, Outputs, ReadData,
    Result, RunId, RunStatus, State, Timestamp,
};
use andon_schema::{
    Change, CheckResult, EntryStatus, Failure, HostEntry, HostReport, Identity, InstanceAddress, InstanceKey, Kept,
    Mode, ModuleStep, Object, ObjectStatus, ResourceAddress,
};
use andon_value::{Marks, Number, Type, Value};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

pub fn event() -> impl Strategy<Value = Event> {
    let named = || (address(), identity());
    prop_oneof![
        (text(), text(), text()).prop_map(|(command, who, version)| Event::RunBegan { command, who, version }),
        (run_status(), text()).prop_map(|(status, summary)| Event::RunEnded { status, summary }),
        intent().prop_map(Event::Intent),
        outcome().prop_map(Event::Outcome),
        (named(), option::of(value())).prop_map(|((address, identity), value)| Event::Observed {
            address,
            identity,
            value,
            kept: Kept::default(),
        }),
        (address(), object(), any::<bool>()).prop_map(|(address, object, deposed)| Event::Adopted {
            address,
            object,
            deposed
        }),
        (address(), value()).prop_map(|(address, value)| Event::DataRead {
            address,
            data: ReadData { value, provider: None, schema_version: 0 },
        }),
        named().prop_map(|(address, identity)| Event::Forgotten { address, identity }),
        intent().prop_map(|Intent { address, identity, dependencies, create_before_destroy, .. }| Event::Depends {
            address,
            identity,
            dependencies,
            create_before_destroy,
        }),
        (address(), address()).prop_map(|(from, to)| Event::Moved { from, to }),
        (name(), outputs()).prop_map(|(stack, outputs)| Event::Published { stack, outputs }),
        name().prop_map(|stack| Event::Withdrawn { stack }),
        (address(), vec(difference(), 0..3)).prop_map(|(address, differences)| Event::Drifted { address, differences }),
        (address(), option::of(name()))
            .prop_map(|(address, fault)| Event::Faulted { address, fault: fault.filter(|fault| !fault.is_empty()) }),
        (name(), name(), any::<u64>()).prop_map(|(stack, lineage, serial)| Event::WentOn { stack, lineage, serial }),
    ]
}

pub fn state() -> impl Strategy<Value = State> {
    (0..=i64::MAX as u64, btree_map(name(), environment(), 0..3))
        .prop_map(|(sequence, environments)| State::new(sequence, environments))
}

fn difference() -> impl Strategy<Value = Difference> {
    (name(), name()).prop_map(|(what, how)| Difference { what, how })
}

fn environment() -> impl Strategy<Value = EnvironmentState> {
    let instance =
        (option::of(object()), vec(object(), 0..3)).prop_map(|(current, deposed)| InstanceState { current, deposed });
    let pending = vec(intent(), 0..3)
        .prop_map(|intents| intents.into_iter().map(|intent| (intent.identity.clone(), intent)).collect());
    let parts = (
        btree_map(address(), instance, 0..3),
        btree_map(name(), outputs(), 0..3),
        pending,
        option::of(name().prop_map(RunId)),
        btree_map(address(), vec(difference(), 1..3), 0..3),
        btree_map(address(), (name(), any::<i64>()).prop_map(|(what, at)| Fault { what, since: Timestamp(at) }), 0..3),
    );
    parts.prop_map(|(instances, published, pending, open_run, drifted, faults)| EnvironmentState {
        drifted,
        faults,
        data: BTreeMap::new(),
        checked: BTreeMap::new(),
        files: BTreeMap::new(),
        instances,
        published,
        pending,
        open_run,
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let parts = (address(), action(), identity(), vec(resource(), 0..3), any::<(bool, bool)>());
    parts.prop_map(|(address, action, identity, dependencies, (create_before_destroy, provisioned))| Intent {
        address,
        action,
        identity,
        dependencies,
        create_before_destroy,
        provider: None,
        planned: None,
        provisioned,
    })
}

fn outcome() -> impl Strategy<Value = OutcomeRecord> {
    let result = prop_oneof![
        Just(Result::Done),
        Just(Result::Resolved),
        (text(), text(), vec(text(), 0..3))
            .prop_map(|(summary, detail, help)| Result::Failed(Failure { help, ..Failure::new(summary, detail) })),
    ];
    let parts = (address(), action(), identity(), result, option::of(object()), option::of(report()));
    parts.prop_map(|(address, action, identity, result, object, report)| OutcomeRecord {
        address,
        action,
        identity,
        result,
        object,
        report,
    })
}

fn object() -> impl Strategy<Value = Object> {
    let status = prop_oneof![Just(ObjectStatus::Ready), Just(ObjectStatus::Tainted)];
    let parts = (identity(), value(), status, vec(resource(), 0..3), any::<bool>());
    parts.prop_map(|(identity, value, status, dependencies, create_before_destroy)| Object {
        identity,
        value,
        status,
        dependencies,
        create_before_destroy,
        provider: None,
        kept: Kept { private: Arc::from([create_before_destroy.into()]), ..Kept::default() },
    })
}

fn report() -> impl Strategy<Value = HostReport> {
    let change = prop_oneof![
        Just(Change::None),
        Just(Change::Create),
        Just(Change::Update),
        Just(Change::Remove),
        Just(Change::Reload),
        Just(Change::Restart),
        Just(Change::Run),
    ];
    let status = prop_oneof![
        Just(EntryStatus::Planned),
        Just(EntryStatus::Done),
        text().prop_map(EntryStatus::Failed),
        text().prop_map(EntryStatus::Skipped),
    ];
    let entry = (text(), text(), change, vec(text(), 0..3), option::of(text()), status).prop_map(
        |(address, origin, change, differences, diff, status)| HostEntry {
            address,
            origin,
            change,
            differences,
            diff,
            status,
        },
    );
    let check = (text(), text(), text(), option::of(text()))
        .prop_map(|(check, assertion, origin, failure)| CheckResult { check, assertion, origin, failure });
    (vec(entry, 0..3), vec(check, 0..3), option::of(text())).prop_map(|(entries, checks, stopped)| HostReport {
        entries,
        checks,
        stopped,
    })
}

fn outputs() -> impl Strategy<Value = Outputs> {
    btree_map(name(), value(), 0..3)
}

pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::NULL),
        Just(Value::null(Type::String)),
        Just(Value::unknown(Type::Bool)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (any::<i64>(), 0..40_i32)
            .prop_map(|(whole, exponent)| Value::from(Number::parse(&format!("{whole}e-{exponent}")).unwrap())),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::tuple),
            btree_map(name(), inner.clone(), 0..4).prop_map(Value::object),
            vec(text().prop_map(Value::from), 0..4).prop_map(|elements| Value::list(Type::String, elements)),
            vec(text().prop_map(Value::from), 0..4).prop_map(|elements| Value::set(Type::String, elements)),
            btree_map(name(), any::<bool>().prop_map(Value::from), 0..4)
                .prop_map(|entries: BTreeMap<_, _>| Value::map(Type::Bool, entries)),
            inner.prop_map(|value| value.mark(Marks::SENSITIVE)),
        ]
    })
}

fn address() -> impl Strategy<Value = InstanceAddress> {
    (resource(), option::of(key())).prop_map(|(resource, key)| InstanceAddress { resource, key })
}

fn resource() -> impl Strategy<Value = ResourceAddress> {
    let step = (name(), option::of(key())).prop_map(|(name, key)| ModuleStep { name, key });
    let mode = prop_oneof![Just(Mode::Managed), Just(Mode::Data)];
    (name(), vec(step, 0..3), mode, name(), name()).prop_map(|(stack, module, mode, kind, name)| ResourceAddress {
        stack,
        module: module.into(),
        mode,
        kind,
        name,
    })
}

fn key() -> impl Strategy<Value = InstanceKey> {
    prop_oneof![any::<u64>().prop_map(InstanceKey::Index), name().prop_map(InstanceKey::Name)]
}

fn identity() -> impl Strategy<Value = Identity> {
    any::<u64>().prop_map(Identity::from_random)
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Create), Just(Action::Update), Just(Action::Delete)]
}

fn run_status() -> impl Strategy<Value = RunStatus> {
    prop_oneof![
        Just(RunStatus::Succeeded),
        Just(RunStatus::Failed),
        Just(RunStatus::Cancelled),
        Just(RunStatus::Interrupted),
    ]
}

fn name() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

/// Any text, and often one that JSON or the value format could stumble over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,6}", "\\PC{0,6}", "[\"\\\\\u{0}\n$é]{0,4}"]
}
