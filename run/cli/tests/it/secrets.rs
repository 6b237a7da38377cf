//! A secret is in no message, no matter what goes wrong beside it: one text is given to sensitive and ephemeral variables
//! in many right and wrong ways, and no command says any part of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::Project;

/// Commands that show what is written in definitions, too.
const SHOWING: [&[&str]; 4] = [&["check"], &["graph"], &["docs"], &["docs", "--json"]];

/// What is looked for: the beginning of every secret here, and what BASE64 makes of it.
const PARTS: [&str; 3] = ["Zq7", "WnE3", "zq7"];

/// Every case: files after `== path` lines, and arguments of the command line after `$`. `S` in braces is the secret.
const CASES: &str = include_str!("secrets.txt");

/// Commands that are asked about every case.
const COMMANDS: [&[&str]; 3] = [
    &["plan"],
    &["plan", "--json"],
    &["console", "--json", "-c", "var.password", "-c", "{ for k, v in var : k => v }", "-c", "\"${var.password}\" + 1"],
];

#[test]
fn no_command_says_a_secret() {
    let cases: Vec<&str> = CASES.split("\n####").skip(1).collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failures.lock().unwrap().extend(said(case));
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What was said that must not be, in a case.
fn said(case: &str) -> Vec<String> {
    let mut project = Project::empty("secrets");
    project.data_dir = project.directory.join(".data");
    let case = case.replace("{S}", "Zq7Hunter2x");
    let (title, files) = case.split_once('\n').unwrap();
    let mut given: Vec<&str> = Vec::new();
    let mut environment: Vec<(&str, &str)> = Vec::new();
    let files = format!("\n{files}");
    for file in files.split("\n== ").skip(1) {
        let (path, text) = file.split_once('\n').unwrap();
        match path.strip_prefix("$ ") {
            Some(line) => match line.strip_prefix("TF_VAR_").and_then(|_| line.split_once('=')) {
                Some(variable) => environment.push(variable),
                None => given.extend(line.split('|')),
            },
            None => project.write(path, text),
        }
    }
    let mut failures = Vec::new();
    let shows = ["default", "module", "a role", "an image", "right"].iter().any(|word| title.contains(word));
    for words in COMMANDS.into_iter().chain(SHOWING.into_iter().filter(|_| shows)) {
        let takes_values = !matches!(words[0], "docs" | "graph");
        let words: Vec<&str> = words.iter().chain(given.iter().filter(|_| takes_values)).copied().collect();
        let output = project.command(&words).envs(environment.iter().copied()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if PARTS.iter().any(|part| said.contains(part)) || said.contains("panicked") {
            failures.push(format!("##{title}: {}\n{said}", words.join(" ")));
        }
    }
    failures
}
