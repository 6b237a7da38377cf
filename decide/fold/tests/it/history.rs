use andon_fold::{Counts, RunView, runs};
use andon_ledger::{Result, RunStatus, Timestamp};

use crate::story::{failure, story};

fn steps(run: &RunView) -> Vec<String> {
    let result = |result: &Option<Result>| match result {
        None => "?",
        Some(Result::Done) => "done",
        Some(Result::Failed(_)) => "failed",
        Some(Result::Resolved) => "resolved",
    };
    let line = |step: &andon_fold::StepView| {
        format!("{:?} {} {} {:?}", step.action, step.address, result(&step.result), step.duration_ms)
    };
    run.steps.iter().map(line).collect()
}

#[test]
fn a_run_tells_what_it_did() {
    let entries = story(&[
        "begin a",
        "create web 1",
        "create app 2",
        "done create app 2",
        "failed create web 1 something",
        "end failed",
    ]);
    let history = runs(&entries);
    let [run] = &history[..] else { panic!("{history:?}") };
    assert_eq!((&*run.id.0, &*run.environment, &*run.command, &*run.who), ("a", "dev", "up", "ann@desk"));
    assert_eq!((run.began, run.ended), (Timestamp(1000), Some(Timestamp(6000))));
    assert_eq!((run.status, &*run.summary), (Some(RunStatus::Failed), "failed"));
    assert_eq!(run.counts, Counts { created: 1, failed: 1, ..Counts::default() });
    assert_eq!(steps(run), ["Create lab_server.web failed Some(3000)", "Create lab_server.app done Some(1000)"]);
    assert_eq!(run.steps[0].result, Some(failure()));
}

#[test]
fn an_interrupted_run_learns_from_a_later_one() {
    let cut = ["begin a", "create web 1", "create app 2", "update app 9"];
    let mut told = cut[..3].to_vec();
    let history = runs(&story(&told));
    assert_eq!((history[0].ended, history[0].status), (None, None));
    assert_eq!(history[0].counts, Counts { unknown: 2, ..Counts::default() });

    told.extend(["end interrupted", "begin b", "resolved create web 1 something", "resolved create app 2 nothing"]);
    let history = runs(&story(&told));
    let [a, b] = &history[..] else { panic!("{history:?}") };
    assert_eq!((a.status, a.ended), (Some(RunStatus::Interrupted), Some(Timestamp(4000))));
    assert_eq!(a.counts, Counts { created: 1, ..Counts::default() });
    assert_eq!(steps(a), ["Create lab_server.web resolved None", "Create lab_server.app resolved None"]);
    assert_eq!((b.status, b.steps.len(), b.counts), (None, 0, Counts::default()));
}

#[test]
fn runs_of_two_environments_at_once_are_told_apart() {
    let history = runs(&story(&[
        "begin a",
        "in production",
        "begin b",
        "create web 2",
        "in dev",
        "as a",
        "create web 1",
        "done create web 1",
        "delete web 1",
        "done delete web 1",
        "end succeeded",
        "in production",
        "as b",
        "done create web 2",
        "update web 2",
        "done update web 2",
    ]));
    let counts: Vec<(&str, Counts)> = history.iter().map(|run| (&*run.environment, run.counts)).collect();
    assert_eq!(
        counts,
        [
            ("dev", Counts { created: 1, deleted: 1, ..Counts::default() }),
            ("production", Counts { created: 1, updated: 1, ..Counts::default() }),
        ]
    );
}

#[test]
fn what_began_before_the_entries_is_left_out() {
    let entries = story(&["begin a", "create web 1", "done create web 1", "end succeeded", "begin b"]);
    let history = runs(&entries[2..]);
    assert_eq!(history.len(), 1);
    assert_eq!(&*history[0].id.0, "b");
}
