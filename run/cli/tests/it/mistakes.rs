//! What the program says of the mistakes that people make: whole terminals, case by case, in `mistakes.txt`.
//! `UPDATE_MISTAKES=1` accepts what is said now. None of these may be sound.

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::Project;

/// Every case: a title after `####`, files after `== path` lines, and after `==` alone what is said.
const CASES: &str = include_str!("mistakes.txt");

#[test]
fn mistakes_are_told_with_their_cause_and_a_remedy() {
    let (head, rest) = CASES.split_once("\n#### ").unwrap();
    let cases: Vec<&str> = rest.split("\n#### ").collect();
    let (next, told) = (AtomicUsize::new(0), Mutex::new(vec![String::new(); cases.len()]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    let now = now(case);
                    told.lock().unwrap()[at] = now;
                }
            });
        }
    });
    let now = told.into_inner().unwrap().iter().fold(head.to_owned(), |mut all, case| {
        write!(all, "\n#### {case}").unwrap();
        all
    });
    if std::env::var_os("UPDATE_MISTAKES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes.txt");
        return std::fs::write(path, format!("{}\n", now.trim_end())).unwrap();
    }
    similar_asserts(CASES.trim_end(), now.trim_end());
}

/// Fails at the first line that differs.
fn similar_asserts(expected: &str, found: &str) {
    let differs = expected.lines().zip(found.lines()).position(|(one, other)| one != other);
    let Some(at) = differs.or((expected != found).then_some(0)) else { return };
    let around = |text: &str| text.lines().skip(at.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n");
    panic!("line {} differs; expected\n{}\n\nfound\n{}", at + 1, around(expected), around(found));
}

/// A case as it is now: `check`, and where that finds nothing, `plan`.
fn now(case: &str) -> String {
    let files = case.split("\n==\n").next().unwrap().trim_end();
    let mut project = Project::empty("mistakes");
    project.data_dir = project.directory.join(".data");
    for file in files.split("\n== ").skip(1) {
        let (path, text) = file.split_once('\n').unwrap();
        project.write(path, &format!("{}\n", text.trim_end()));
    }
    let check = project.andon(&["check"]);
    let ran = if check.code == Some(0) { project.andon(&["plan"]) } else { check };
    assert_ne!(ran.code, Some(0), "{files}\n{ran}");
    let said: String = ran.err.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("{files}\n==\n{}", said.trim_end())
}
