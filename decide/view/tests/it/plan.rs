//! Plans as people see them: what no command of the program can bring about by itself, and what a plan costs to show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_plan::{
    Drift, Plan, PlanMode, PlannedAction, PlannedChange, Repetition, ReplaceOrder, ReplaceReason, Undefined,
};
use andon_schema::{Identity, InstanceAddress, Kept};
use andon_text::Diagnostics;
use andon_value::{Marks, Path, PathStep, Type, Value};
use andon_view::{Look, Paint};

pub fn address(text: &str) -> InstanceAddress {
    InstanceAddress::parse(text).unwrap()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn secret(it: &str) -> Value {
    text(it).mark(Marks::SENSITIVE)
}

fn unknown() -> Value {
    Value::unknown(Type::String)
}

pub fn change(at: &str, action: PlannedAction, before: Option<Value>, after: Option<Value>) -> PlannedChange {
    PlannedChange {
        address: address(at),
        previous: None,
        action,
        identity: None,
        config: None,
        before,
        after,
        report: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
        span: None,
        provider: None,
        kept: Kept::default(),
        legacy: false,
        replace: Vec::new(),
        undefined: None,
    }
}

pub fn plan(changes: Vec<PlannedChange>, drift: Vec<Drift>) -> Plan {
    Plan {
        environment: "default".into(),
        mode: PlanMode::Normal,
        stacks: vec![Arc::from("")],
        moves: Vec::new(),
        adopted: Vec::new(),
        changes,
        steps: Vec::new(),
        outputs: Vec::new(),
        drift,
        settled: Vec::new(),
        depends: Vec::new(),
        data: Vec::new(),
        notes: Vec::new(),
        deferred: Vec::new(),
        checks: BTreeMap::new(),
        unchanged: 0,
        outside: BTreeSet::new(),
        partial: false,
        unasked: Vec::new(),
        warnings: Diagnostics::new(),
        based_on: 0,
    }
}

fn drift(at: &str, before: Value, after: Option<Value>, feeds: &[&str]) -> Drift {
    Drift {
        address: address(at),
        identity: Identity::from_random(1),
        before,
        after,
        report: None,
        kept: Kept::default(),
        provider: None,
        background: false,
        feeds: feeds.iter().map(|it| address(it)).collect(),
    }
}

fn shown(plan: &Plan, width: Option<usize>) -> String {
    andon_view::plan(plan, Look { paint: Paint::PLAIN, width, full: false })
}

/// A plan in which most of what there is to say is said.
fn much() -> Plan {
    let server = |size: &str, name: &str| {
        Value::object([("id", text("i-0123456789abcdef0")), ("size", text(size)), ("name", text(name))])
    };
    let mut changes = Vec::new();
    // Put back, replaced, made again, and read by another.
    changes.push(change("cloud_server.a", PlannedAction::Update, Some(server("big", "a")), Some(server("small", "a"))));
    let because = vec![ReplaceReason::Fixed(Path::from_iter([PathStep::Attribute("size".into())]))];
    let replace = PlannedAction::Replace { order: ReplaceOrder::DeleteFirst, because };
    let mut replaced = change("cloud_server.b", replace, Some(server("big", "b")), Some(server("small", "b")));
    replaced.replace = vec![Path::from_iter([PathStep::Attribute("size".into())])];
    changes.push(replaced);
    changes.push(change("cloud_server.c", PlannedAction::Create, None, Some(server("small", "名前は漢字です"))));
    for at in 0..3 {
        let (name, after) = (format!("cloud_rule.r[{at}]"), Value::object([("size", text("big"))]));
        changes.push(change(&name, PlannedAction::Update, Some(Value::object([("size", text("small"))])), Some(after)));
    }
    for (at, undefined) in [
        ("cloud_disk.count[7]", Undefined::Instance(Repetition::Count(7))),
        ("cloud_disk.each[\"k\"]", Undefined::Instance(Repetition::Each(2))),
        ("cloud_disk.plain", Undefined::Instance(Repetition::Count(2))),
        ("cloud_disk.block", Undefined::Resource),
        ("module.m.cloud_disk.x", Undefined::Call(address("module.m.a.b").resource.module)),
        (
            "module.m[\"k\"].cloud_disk.x",
            Undefined::ModuleInstance(address("module.m[\"k\"].a.b").resource.module, Repetition::Each(1)),
        ),
        ("old/cloud_disk.x", Undefined::Stack),
    ] {
        let mut deleted = change(at, PlannedAction::Delete, Some(server("small", "x")), None);
        deleted.undefined = Some(undefined);
        changes.push(deleted);
    }
    let mut moved = change("cloud_disk.there", PlannedAction::Delete, Some(server("small", "x")), None);
    (moved.undefined, moved.previous) = (Some(Undefined::Resource), Some(address("cloud_disk.here")));
    changes.push(moved);
    let rule = |at: usize| format!("cloud_rule.r[{at}]");
    plan(
        changes,
        vec![
            drift("cloud_server.a", server("small", "a"), Some(server("big", "a")), &[]),
            drift("cloud_server.b", server("small", "b"), Some(server("big", "b")), &[]),
            drift("cloud_server.c", server("small", "c"), None, &[]),
            drift("cloud_zone.z", server("small", "z"), Some(server("big", "z")), &[&rule(0), &rule(1), &rule(2)]),
            drift("cloud_server.d", server("small", "d"), None, &[]),
        ],
    )
}

#[test]
fn everything_is_said_at_every_width() {
    let plan = much();
    for width in [40, 80, 160] {
        let text = shown(&plan, Some(width));
        for line in text.lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{line:?}");
        }
        insta::assert_snapshot!(format!("much_{width}"), text);
    }
}

#[test]
fn alike_instances_are_one_and_odd_ones_are_said() {
    let make = |at: usize, size: i64| {
        let value = |size: i64| Value::object([("name", text(&format!("web-{at}"))), ("size", Value::from(size))]);
        change(&format!("a.web[{at}]"), PlannedAction::Update, Some(value(1)), Some(value(size)))
    };
    let mut changes: Vec<PlannedChange> = (0..1000).map(|at| make(at, if at == 17 { 1000 } else { 2 })).collect();
    let mut gone = change("a.web[1000]", PlannedAction::Delete, Some(Value::object([("name", text("x"))])), None);
    gone.undefined = Some(Undefined::Instance(Repetition::Count(1000)));
    changes.push(gone);
    let hidden = |it: &str| Value::object([("pass", secret(it)), ("more", text("m"))]);
    for at in 0..3 {
        let (name, before, after) =
            (format!("b.s[{at}]"), hidden("one-secret"), hidden(&format!("two-secret-{}", at / 2)));
        changes.push(change(&name, PlannedAction::Update, Some(before), Some(after)));
    }
    let open = Value::object([("pass", text("shown")), ("more", unknown())]);
    changes.push(change("b.open", PlannedAction::Update, Some(hidden("shown")), Some(open)));
    let text = shown(&plan(changes, Vec::new()), None);
    assert!(!text.contains("-secret"), "{text}");
    insta::assert_snapshot!("alike", text);
}

#[test]
fn nothing_of_a_value_is_obeyed_by_the_terminal() {
    let bad = "a\u{1b}[2J\u{202e}b\r\u{7}\u{9b}31mc";
    let value = Value::object([("one", text(bad)), ("lines", text(&format!("x\n{bad}\n"))), (bad, text("k"))]);
    let other = Value::object([("one", text("a")), ("lines", text("x\ny\n")), (bad, text(bad))]);
    let key = format!("a.b[\"{bad}\\n+ create x.y\"]");
    let changes = vec![
        change(&key, PlannedAction::Create, None, Some(value.clone())),
        change("a.c", PlannedAction::Update, Some(value), Some(other)),
    ];
    for colour in [false, true] {
        let look = Look { paint: Paint { colour }, width: Some(60), full: false };
        let text = andon_view::plan(&plan(changes.clone(), Vec::new()), look);
        let ours: String = ["0", "1", "2", "31", "32", "33", "36"]
            .iter()
            .fold(text.clone(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
        assert!(ours.chars().all(|it| it == '\n' || !it.is_control() && it != '\u{202e}'), "{ours:?}");
        assert!(!text.lines().any(|line| line.contains("x.y") && line.starts_with('+') && !line.contains("a.b")));
    }
}

#[test]
fn what_providers_complain_of_is_obeyed_by_no_terminal() {
    let bad = "x\u{1b}[2J\u{202e}";
    let diagnostic = andon_text::Diagnostic::error(bad).detail(format!("a\tb\n{bad}")).help(bad).subject(bad);
    let text = andon_view::diagnostics(&diagnostic.into(), &andon_text::SourceMap::default(), Paint::PLAIN, 80);
    assert!(text.contains("a    b\n") && text.contains("x\\u001b[2J\\u202e"), "{text}");
    assert!(text.chars().all(|it| it == '\n' || !it.is_control() && it != '\u{202e}'), "{text:?}");
}

#[test]
fn a_hundred_thousand_changes_cost_little() {
    let value = |at: usize| Value::object([("name", text(&format!("web-{at}"))), ("id", unknown())]);
    let make = |name: String, at: usize| change(&name, PlannedAction::Create, None, Some(value(at)));
    let many: Vec<PlannedChange> = (0..100_000).map(|at| make(format!("a.web[{at}]"), at)).collect();
    let text = shown(&plan(many, Vec::new()), Some(80));
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("a.web[0..99999] (100,000 instances)") && text.contains("100,000 to create"), "{text}");
    let single: Vec<PlannedChange> = (0..10_000).map(|at| make(format!("a.web{at}"), at)).collect();
    assert!(shown(&plan(single, Vec::new()), Some(80)).lines().count() > 40_000);
}

#[test]
fn what_a_plan_to_see_drift_records_is_counted() {
    let drifts = vec![drift("a.b", text("x"), Some(text("y")), &[]), drift("a.c", text("x"), None, &[])];
    let mut plan = plan(Vec::new(), drifts);
    let report = andon_plan::ApplyReport::default();
    assert_eq!(andon_view::done(&plan, &report), "nothing done");
    plan.mode = PlanMode::RefreshOnly;
    assert_eq!(andon_view::done(&plan, &report), "2 recorded as found");
}

#[test]
fn what_is_empty_is_not_shown_beside_what_differs() {
    let was = Value::object([("tags", Value::null(andon_value::Type::String)), ("size", text("big"))]);
    let now = Value::object([("tags", text("")), ("size", text("small"))]);
    let shown = shown(&plan(Vec::new(), vec![drift("a.b", was, Some(now), &["a.c"])]), None);
    assert!(shown.contains("size") && !shown.contains("tags"), "{shown}");
}

#[test]
fn what_a_new_block_was_not_given_is_not_shown() {
    let none = || Value::null(Type::String);
    let block = |at: Value| Value::object([("port", at), ("user", none())]);
    let given = [
        ("all", block(none())),
        ("one", block(text("80"))),
        ("key", secret("k")),
        ("two", Value::tuple([block(unknown())])),
    ];
    let new = change("a.b", PlannedAction::Create, None, Some(Value::object(given)));
    let told = shown(&plan(vec![new], Vec::new()), None);
    assert!(!told.contains("user") && !told.contains("null"), "{told}");
    for kept in ["port = \"80\"", "all = {}", "key = (sensitive value)", "port = (known after apply)"] {
        assert!(told.contains(kept), "{told}");
    }
    // What is taken out of one that there is, is a change.
    let was = Value::object([("one", Value::object([("port", text("80")), ("user", text("web"))]))]);
    let now = Value::object([("one", block(text("80")))]);
    let told = shown(&plan(vec![change("a.b", PlannedAction::Update, Some(was), Some(now))], Vec::new()), None);
    assert!(told.contains("user = \"web\" → null"), "{told}");
}
