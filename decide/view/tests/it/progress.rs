//! How an apply is told while it happens.

use andon_ledger::{Action, Event, Intent, OutcomeRecord, Progress, Result as Tried, Timestamp};
use andon_plan::PlannedAction;
use andon_schema::{Failure, Identity, InstanceAddress, Kept, Object, ObjectStatus};
use andon_value::Value;
use andon_view::{Board, Paint};

fn address(text: &str) -> InstanceAddress {
    InstanceAddress::parse(text).unwrap()
}

fn identity() -> Identity {
    Identity::from_random(1)
}

fn intent(text: &str, action: Action) -> Event {
    Event::Intent(Intent {
        address: address(text),
        action,
        identity: identity(),
        dependencies: Vec::new(),
        create_before_destroy: false,
        provider: None,
        planned: None,
        provisioned: false,
    })
}

fn outcome(text: &str, action: Action, result: Tried, status: ObjectStatus) -> Event {
    let object = Object {
        identity: identity(),
        value: Value::NULL,
        status,
        dependencies: Vec::new(),
        create_before_destroy: false,
        provider: None,
        kept: Kept::default(),
    };
    let (address, identity) = (address(text), identity());
    Event::Outcome(OutcomeRecord { address, action, identity, result, object: Some(object), report: None })
}

fn ready(text: &str) -> Event {
    Event::Marked { address: address(text), identity: identity(), status: ObjectStatus::Ready }
}

fn note(text: &str, words: &str) -> Event {
    Event::Progress(Progress::Note { address: address(text), text: words.to_owned() })
}

/// What is said of events, each with its time in seconds.
fn told(events: &[(i64, Event)]) -> Vec<String> {
    let mut board = Board::default();
    let mut lines = Vec::new();
    for (second, event) in events {
        let now = Timestamp(second * 1000);
        lines.extend(board.still(now).iter().map(|still| still.line(Paint::PLAIN).0));
        lines.extend(board.event(event, now, Paint::PLAIN).into_iter().map(|line| line.0));
    }
    lines
}

#[test]
fn an_object_is_said_done_when_it_is() {
    use ObjectStatus::{Ready, Tainted};
    let failed = |why: &str| Tried::Failed(Failure::new(why, ""));
    for (events, expected) in [
        (
            vec![(0, intent("a.b", Action::Create)), (2, outcome("a.b", Action::Create, Tried::Done, Ready))],
            vec!["  creating a.b", "✓ created a.b (2.0 s)"],
        ),
        (
            // The provisioners of an object come after it is made, and it is done once they have run.
            vec![
                (0, intent("a.b", Action::Create)),
                (1, outcome("a.b", Action::Create, Tried::Done, Tainted)),
                (2, note("a.b", "local-exec: hello \u{1b}[2J")),
                (3, ready("a.b")),
            ],
            vec![
                "  creating a.b",
                "  made a.b (1.0 s); its provisioners run",
                "  a.b: local-exec: hello \\u001b[2J",
                "✓ created a.b (3.0 s)",
            ],
        ),
        (
            vec![
                (0, intent("a.b", Action::Create)),
                (1, outcome("a.b", Action::Create, Tried::Done, Tainted)),
                (2, Event::Progress(Progress::Failed { address: address("a.b"), reason: "exit status 3".into() })),
            ],
            vec![
                "  creating a.b",
                "  made a.b (1.0 s); its provisioners run",
                "✗ creating a.b failed (2.0 s): exit status 3",
            ],
        ),
        (
            // What was marked without having been made in this run is no news of it.
            vec![(0, ready("a.b"))],
            vec![],
        ),
        (
            vec![
                (0, intent("a.b[0]", Action::Delete)),
                (9, note("a.b[0]", "draining")),
                (10, note("c.d", "x")),
                (19, note("c.d", "y")),
                (75, outcome("a.b[0]", Action::Delete, failed("it is busy"), Ready)),
            ],
            vec![
                "  deleting a.b[0]",
                "  a.b[0]: draining",
                "  still deleting a.b[0] (10.0 s): draining",
                "  c.d: x",
                "  c.d: y",
                "  still deleting a.b[0] (1 min 10 s): draining",
                "✗ deleting a.b[0] failed (1 min 15 s): it is busy",
            ],
        ),
    ] {
        assert_eq!(told(&events), expected);
    }
}

#[test]
fn live_lines_fit_the_terminal() {
    let mut board = Board::default();
    let long = "module.漢字漢字漢字漢字.terraform_data.something_with_a_long_name[\"a\u{1b}[2Jkey\"]";
    board.event(&intent(long, Action::Create), Timestamp(0), Paint::PLAIN);
    board.set_waiting([(address("a.b"), (0..9).map(|at| address(&format!("c.d[{at}]"))).collect())].into());
    for width in [20, 40, 80] {
        for line in board.live(Timestamp(61_000), width, Paint::PLAIN) {
            assert!(unicode_width::UnicodeWidthStr::width(&*line) <= width, "{line:?}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    let still = board.still(Timestamp(25_000));
    assert_eq!(still[0].elapsed_ms, 20_000);
    assert_eq!(still[0].json()["elapsed_ms"], 20_000);
    assert_eq!(board.still(Timestamp(29_999)), []);
    assert_eq!(board.elapsed_ms(&address(long), &identity(), Timestamp(29_999)), Some(29_999));
}

#[test]
fn what_waits_is_told_with_what_it_waits_for_or_is_counted() {
    let turn = |count: usize| (0..count).map(|at| (address(&format!("e.f[{at}]")), vec![]));
    let blocked = |count: usize| (0..count).map(|at| (address(&format!("a.b[{at}]")), vec![address("c.d")]));
    for (waiting, expected) in [
        ((0, 1), vec!["  1 waits for its turn"]),
        ((0, 300), vec!["  300 wait for their turn"]),
        ((1, 0), vec!["  waiting   a.b[0]  for c.d"]),
        ((1, 40), vec!["  waiting   a.b[0]  for c.d", "  and 40 more that wait"]),
    ] {
        let mut board = Board::default();
        board.set_waiting(blocked(waiting.0).chain(turn(waiting.1)).collect());
        let mut told = board.live(Timestamp(0), 80, Paint::PLAIN);
        told.pop();
        assert_eq!(told, expected, "{waiting:?}");
    }
    let mut board = Board::default();
    board.set_waiting(blocked(9).chain(turn(2)).collect());
    assert!(board.live(Timestamp(0), 80, Paint::PLAIN).contains(&"  and 5 more that wait".to_owned()));
}

#[test]
fn a_replaced_object_is_not_taken_for_the_one_in_use() {
    let left = PlannedAction::DeleteDeposed;
    for (action, expected) in [
        (left, ["  deleting the replaced object of a.b", "✓ deleted the replaced object of a.b (2.0 s)"]),
        (PlannedAction::Delete, ["  deleting a.b", "✓ deleted a.b (2.0 s)"]),
    ] {
        let mut board = Board::default();
        let mut planned = crate::plan::change("a.b", action, Some(Value::NULL), None);
        planned.identity = Some(identity());
        board.set_plan(&crate::plan::plan(vec![planned], Vec::new()));
        let mut said = board.event(&intent("a.b", Action::Delete), Timestamp(0), Paint::PLAIN);
        let ended = outcome("a.b", Action::Delete, Tried::Done, ObjectStatus::Ready);
        said.extend(board.event(&ended, Timestamp(2000), Paint::PLAIN));
        assert_eq!(said.into_iter().map(|line| line.0).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn two_objects_of_one_instance_are_two_lines() {
    let mut board = Board::default();
    let left = crate::plan::change("a.b", PlannedAction::DeleteDeposed, Some(Value::NULL), None);
    let left = andon_plan::PlannedChange { identity: Some(identity()), ..left };
    board.set_plan(&crate::plan::plan(vec![left], Vec::new()));
    let Event::Intent(made) = intent("a.b", Action::Create) else { unreachable!() };
    let made = Event::Intent(Intent { identity: Identity::from_random(2), ..made });
    board.event(&intent("a.b", Action::Delete), Timestamp(0), Paint::PLAIN);
    board.event(&made, Timestamp(1000), Paint::PLAIN);
    let live = board.live(Timestamp(3000), 80, Paint::PLAIN);
    assert_eq!(live, ["  deleting the replaced object of a.b  3.0 s", "  creating a.b  2.0 s"]);
    board.event(&outcome("a.b", Action::Delete, Tried::Done, ObjectStatus::Ready), Timestamp(4000), Paint::PLAIN);
    assert_eq!(board.live(Timestamp(5000), 80, Paint::PLAIN), ["  creating a.b  4.0 s"]);
}
