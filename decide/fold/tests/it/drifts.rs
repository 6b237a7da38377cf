use andon_fold::{Righting, drifts};

use crate::story::story;

/// Each thing that differed: where, what and how, when it was first seen, and what put it right.
fn check(lines: &[&str], expected: &[&str]) {
    let told: Vec<String> = drifts(&story(lines))
        .into_iter()
        .map(|drift| {
            let righted = match drift.righted {
                None => "differs still".to_owned(),
                Some((at, Righting::Run { run, command, who })) => format!("{} by {command} {who} {run}", at.0 / 1000),
                Some((at, Righting::Elsewhere)) => format!("{} elsewhere", at.0 / 1000),
            };
            let what = drift.what;
            let how = drift.ways.iter().map(|(at, how)| match *at == drift.first_seen {
                true => how.to_string(),
                false => format!("{}:{how}", at.0 / 1000),
            });
            let how = how.collect::<Vec<_>>().join(">");
            format!("{} {what}={how} {}: {righted}", drift.address, drift.first_seen.0 / 1000)
        })
        .collect();
    assert_eq!(told, expected, "{lines:?}");
}

#[test]
fn what_differs_is_told_from_when_it_was_seen_until_it_was_put_right() {
    let begin = ["begin a", "create web 1", "done create web 1", "converged web 1 c1"];
    let after = |more: &[&'static str]| [&begin[..], more].concat();
    check(&after(&[]), &[]);
    check(&after(&["drifted web motd=content"]), &["lab_server.web motd=content 5: differs still"]);
    // Seen again, it is the same; each way in which it differs is kept.
    check(
        &after(&["drifted web motd=content", "drifted web motd=mode", "drifted web motd=mode"]),
        &["lab_server.web motd=content>6:mode 5: differs still"],
    );
    check(
        &after(&["drifted web f=content", "drifted web f=gone", "drifted web f=content", "drifted web"]),
        &["lab_server.web f=content>6:gone>7:content 5: 8 elsewhere"],
    );
    // One thing is put right by hand, another stays, a third comes.
    check(
        &after(&["drifted web a=x b=x", "drifted web b=x c=x", "drifted web"]),
        &[
            "lab_server.web a=x 5: 6 elsewhere",
            "lab_server.web b=x 5: 7 elsewhere",
            "lab_server.web c=x 6: 7 elsewhere",
        ],
    );
    check(
        &after(&["drifted web a=x", "begin b", "converged web 1 c1 a b"]),
        &["lab_server.web a=x 5: 7 by up ann@desk b", "lab_server.web b=content 7: 7 by up ann@desk b"],
    );
}

#[test]
fn a_new_definition_is_no_drift() {
    check(&["begin a", "converged web 1 c1 a b", "converged web 1 c2 a", "converged web 1 c2"], &[]);
    // What failed put nothing right.
    check(
        &["begin a", "converged web 1 c1", "drifted web a=x", "failed update web 1 something"],
        &["lab_server.web a=x 3: differs still"],
    );
    // It goes with its instance, and is forgotten with its object.
    check(
        &["begin a", "converged web 1 c1", "drifted web a=x", "move web db", "drifted db"],
        &["lab_server.web a=x 3: 5 elsewhere"],
    );
    check(
        &["begin a", "converged web 1 c1", "drifted web a=x", "forget web 1", "drifted web"],
        &["lab_server.web a=x 3: differs still"],
    );
}
