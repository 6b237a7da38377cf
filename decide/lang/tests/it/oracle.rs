//! Whole configurations, and whether they are valid. `tests/validate/*.txt` have the cases: a line `=== name: valid` or
//! `=== name: invalid "part of what we say"`, then the files, each after a line `--- path`; what comes before the first
//! such line is `main.tf`. Every case is put to `load` and `check`, and to `terraform validate` where there is one.
//! A new case may have no verdict: with BLESS=1 it gets the one of Terraform where we agree.
//! `tests/validate/confirmed` has a digest of each case that Terraform has confirmed: it is asked again about those that
//! are new or changed and about every eighth of the others; about all of them with ANDON_ORACLE=all.
//! A case whose verdict has `ours:` before it is one on which we differ on purpose; it says why in a comment.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "Terraform itself is asked, where it is there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use andon_lang::{FileSet, check as check_project, load};
use andon_schema::{Attribute, Block, Schemas, TypeSchema};
use andon_value::Type;
use sha2::{Digest, Sha256};

use crate::render_all;

/// One configuration and what is to be said of it.
pub struct Case {
    pub name: String,
    pub valid: bool,
    /// A part of what we say of an invalid one.
    pub words: String,
    /// Terraform thinks otherwise.
    pub ours_alone: bool,
    pub files: Vec<(String, String)>,
}

/// Stands for the words of a case without a verdict.
const BLANK: &str = "(no verdict yet)";

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// A digest of a case and its verdict.
fn digest(case: &Case) -> String {
    let mut hasher = Sha256::new();
    hasher.update([u8::from(case.valid), u8::from(case.ours_alone)]);
    for (path, content) in &case.files {
        hasher.update(format!("{}:{path}{}:{content}", path.len(), content.len()));
    }
    hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn confirmed() -> BTreeSet<String> {
    include_str!("../validate/confirmed").lines().map(str::to_owned).collect()
}

/// Gives the cases without a verdict theirs, where Terraform and we agree.
fn bless(given: &[Case]) {
    let blank: Vec<&Case> = given.iter().filter(|case| case.words == BLANK).collect();
    let verdicts = ask_all(&blank, |case| {
        let (valid, said, _) = ours(&case.files);
        let summary = said.lines().find(|line| !line.starts_with("  ") && !line.contains(" warning: "));
        let summary = summary.and_then(|line| line.split_once(' ')).map_or("", |(_, summary)| summary);
        let verdict = if valid { "valid".to_owned() } else { format!("invalid \"{summary}\"") };
        match theirs(&case.files) {
            Some((agreed, _)) if agreed == valid => Some(format!("{}\n{verdict}", case.name)),
            other => {
                println!("{}\n  we: {said}\n  they: {}\n", case.name, other.map(|(_, said)| said).unwrap_or_default());
                None
            }
        }
    });
    let verdicts: BTreeMap<&str, &str> = verdicts.iter().filter_map(|it| it.split_once('\n')).collect();
    for path in paths() {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a text");
        let line = |line: &str| {
            let verdict = line.strip_prefix("=== ").and_then(|name| verdicts.get(&*format!("{file}: {name}")));
            verdict.map_or_else(|| format!("{line}\n"), |verdict| format!("{line}: {verdict}\n"))
        };
        std::fs::write(&path, text.split_terminator('\n').map(line).collect::<String>()).expect("written");
    }
    let cases = cases();
    let known = confirmed();
    let judged = ask_all(&cases, |case| {
        let digest = digest(case);
        let right = known.contains(&digest)
            || case.words != BLANK
                && theirs(&case.files).is_some_and(|(valid, _)| (valid == case.valid) != case.ours_alone);
        if !right {
            println!("{} is not confirmed", case.name);
        }
        right.then_some(digest)
    });
    let judged: BTreeSet<String> = judged.into_iter().collect();
    let list: String = judged.iter().map(|digest| format!("{digest}\n")).collect();
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate/confirmed"), list).expect("written");
}

fn paths() -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate");
    let mut paths: Vec<_> = std::fs::read_dir(directory).expect("the corpus").flatten().map(|it| it.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "txt"));
    paths.sort();
    paths
}

/// The cases of a text.
fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            let verdict =
                head.rfind(": ours: ").or_else(|| head.rfind(": valid")).or_else(|| head.find(": invalid \""));
            let Some((name, verdict)) = verdict.map(|at| (&head[..at], &head[at + 2..])) else {
                assert!(blessing(), "{file}: no verdict in {line:?}; with BLESS=1 it gets one");
                let name = format!("{file}: {head}");
                cases.push(Case { name, valid: true, words: BLANK.to_owned(), ours_alone: false, files: Vec::new() });
                continue;
            };
            let (ours_alone, verdict) = verdict.strip_prefix("ours: ").map_or((false, verdict), |rest| (true, rest));
            let (verdict, words) = verdict.split_once(' ').unwrap_or((verdict, ""));
            let valid = match verdict {
                "valid" => true,
                "invalid" => false,
                other => panic!("{file}: {other:?} is no verdict, in {line:?}"),
            };
            let words = words.trim().strip_prefix('"').and_then(|words| words.strip_suffix('"')).unwrap_or_default();
            assert!(valid || !words.is_empty(), "{file}: what do we say? {line:?}");
            let name = format!("{file}: {name}");
            cases.push(Case { name, valid, words: words.to_owned(), ours_alone, files: Vec::new() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match line.strip_prefix("--- ") {
            Some(path) => case.files.push((path.to_owned(), String::new())),
            None => {
                if case.files.is_empty() {
                    case.files.push(("main.tf".to_owned(), String::new()));
                }
                let (_, content) = case.files.last_mut().expect("a file");
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    cases
}

/// Every case of the corpus; only those whose names hold `ANDON_CASE`, where that is set.
pub fn cases() -> Vec<Case> {
    let wanted = std::env::var("ANDON_CASE").unwrap_or_default();
    let mut all = Vec::new();
    for path in paths() {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        all.extend(parse(&file, &std::fs::read_to_string(&path).expect("a text")));
    }
    let mut names = BTreeSet::new();
    for case in &all {
        assert!(names.insert(case.name.clone()), "two cases are called {}", case.name);
    }
    all.retain(|case| case.name.contains(&wanted));
    all
}

/// The schemas that Terraform has built in.
fn schemas() -> Schemas {
    let resource = [
        ("input", Attribute::optional(Type::Dynamic, "")),
        ("output", Attribute::computed(Type::Dynamic, "")),
        ("triggers_replace", Attribute::optional(Type::Dynamic, "")),
        ("id", Attribute::computed(Type::String, "")),
    ];
    let data = [
        ("backend", Attribute::required(Type::String, "")),
        ("workspace", Attribute::optional(Type::String, "")),
        ("config", Attribute::optional(Type::Dynamic, "")),
        ("defaults", Attribute::optional(Type::Dynamic, "")),
        ("outputs", Attribute::computed(Type::Dynamic, "")),
    ];
    fn typed<const N: usize>(attributes: [(&str, Attribute); N]) -> TypeSchema {
        let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
        TypeSchema::of(Block { attributes, ..Block::default() })
    }
    Schemas {
        resources: [("terraform_data".to_owned(), typed(resource))].into(),
        data: [("terraform_remote_state".to_owned(), typed(data))].into(),
        ..Schemas::default()
    }
}

/// What we say of a case: whether it is valid, and all in words.
pub fn ours(files: &[(String, String)]) -> (bool, String, bool) {
    let mut set = FileSet::new();
    for (path, content) in files {
        set.insert(path.as_str(), content.clone().into_bytes());
    }
    let (project, mut found) = load(Arc::new(set), "case");
    found.extend(check_project(&project, &schemas()));
    let placed = found.iter().filter(|it| it.is_error()).all(|it| it.span.is_some());
    (!found.has_errors(), render_all(&found, &project.sources), placed)
}

/// The files and lines of our errors.
pub fn placed(files: &[(String, String)]) -> Places {
    let mut set = FileSet::new();
    for (path, content) in files {
        set.insert(path.as_str(), content.clone().into_bytes());
    }
    let (project, mut found) = load(Arc::new(set), "case");
    found.extend(check_project(&project, &schemas()));
    let spans = found.iter().filter(|it| it.is_error()).filter_map(|it| it.span);
    let places = spans.filter_map(|span| {
        let source = project.sources.get(span.source)?;
        Some((source.path().to_string(), source.position(span.start).line as usize))
    });
    places.collect()
}

/// What is wrong with our verdict on a case.
fn misjudged(case: &Case) -> Option<String> {
    let (valid, said, placed) = ours(&case.files);
    let errors: Vec<&str> = said.lines().collect();
    let right = valid == case.valid && (valid || errors.iter().any(|line| line.contains(&case.words)));
    match (right, placed) {
        (true, true) => None,
        (true, false) => Some(format!("{}\n  an error without a place:\n{said}", case.name)),
        (false, _) => Some(format!(
            "{}\n  should be {} {:?}; we say:\n{}",
            case.name,
            if case.valid { "valid" } else { "invalid" },
            case.words,
            if valid { "valid\n".to_owned() } else { said }
        )),
    }
}

#[test]
fn configurations_are_judged_as_the_corpus_says() {
    let cases = cases();
    if blessing() {
        return bless(&cases);
    }
    let wrong: Vec<String> = cases.iter().filter_map(misjudged).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What `terraform validate` says of some files: whether they are valid, and all in words. `None` without Terraform.
pub fn theirs(files: &[(String, String)]) -> Option<(bool, String)> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (path, content) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }
    // Modules must be found first; where that fails, the configuration is invalid.
    if files.iter().any(|(_, content)| content.contains("module")) {
        let (success, said) = terraform(&["init", "-backend=false", "-input=false", "-no-color"], directory.path())?;
        if !success {
            return Some((false, said));
        }
    }
    terraform(&["validate", "-no-color"], directory.path())
}

/// Files, and lines in them.
pub type Places = BTreeSet<(String, usize)>;

/// The same, with the places of its errors.
pub fn theirs_placed(files: &[(String, String)]) -> Option<(bool, Places, String)> {
    let (valid, said) = theirs(files)?;
    let mut places = BTreeSet::new();
    let mut in_error = false;
    for line in said.lines() {
        in_error = (in_error || line.starts_with("Error: ")) && !line.starts_with("Warning: ");
        let place = line.strip_prefix("  on ").filter(|_| in_error).and_then(|line| line.split_once(" line "));
        if let Some((path, rest)) = place {
            let digits = rest.split(|it: char| !it.is_ascii_digit()).next().unwrap_or_default();
            places.extend(digits.parse().ok().map(|line| (path.to_owned(), line)));
        }
    }
    Some((valid, places, said))
}

fn terraform(words: &[&str], directory: &Path) -> Option<(bool, String)> {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    let output = Command::new(terraform)
        .args(words)
        .current_dir(directory)
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("CHECKPOINT_DISABLE", "1")
        .env("GOMAXPROCS", "1")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Asks about each, a few at a time; what `judge` has to say of the answers.
pub fn ask_all<T: Sync>(all: &[T], judge: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let mut said: Vec<(usize, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut said = Vec::new();
            while let Some((at, one)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, all.get(at)?)))
            {
                said.extend(judge(one).map(|words| (at, words)));
            }
            said
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("answers")).collect()
    });
    said.sort();
    said.into_iter().map(|(_, words)| words).collect()
}

#[test]
fn terraform_judges_as_the_corpus_says() {
    if theirs(&[]).is_none() {
        println!("skipped: no terraform on this machine");
        return;
    }
    let cases = cases();
    if blessing() {
        return;
    }
    let confirmed = confirmed();
    let all = std::env::var_os("ANDON_ORACLE").is_some();
    let due = |at: usize, case: &Case| all || at % 8 == 0 || !confirmed.contains(&digest(case));
    let asked: Vec<&Case> =
        cases.iter().enumerate().filter(|(at, case)| due(*at, case)).map(|(_, case)| case).collect();
    let wrong = ask_all(&asked, |case| {
        let (valid, said) = theirs(&case.files)?;
        let mut words = String::new();
        if (valid == case.valid) == case.ours_alone {
            let _ = writeln!(
                words,
                "{}\n  is {} to Terraform:\n{said}",
                case.name,
                if valid { "valid" } else { "invalid" }
            );
        }
        (!words.is_empty()).then_some(words)
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
