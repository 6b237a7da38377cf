//! Habits that a reader relies on, held by a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Files of the project: what git tracks, or would.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(ROOT)
        .output();
    let listed = output.ok().filter(|output| output.status.success());
    let Some(output) = listed else {
        println!("skipped: this is no git checkout, so the project's files are not known");
        return Vec::new();
    };
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    names.lines().map(PathBuf::from).filter(|path| Path::new(ROOT).join(path).is_file()).collect()
}

fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "rs")).map(|path| {
        let text = fs::read_to_string(Path::new(ROOT).join(&path)).expect("a source file is UTF-8");
        (path, text)
    })
}

#[test]
fn no_source_file_passes_800_lines() {
    let long: Vec<String> = rust_files()
        .filter(|(path, text)| text.lines().count() > 800 && !path.to_string_lossy().contains("/generated/"))
        .map(|(path, text)| format!("{}: {} lines; it is asking to be two", path.display(), text.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_crate_says_what_it_is_for() {
    let silent: Vec<String> = rust_files()
        .filter(|(path, _)| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
        .filter(|(_, text)| text.lines().next().is_none_or(|line| !line.starts_with("//! ") || line.len() < 20))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(silent, Vec::<String>::new(), "open with a sentence on what the crate is for");
}

#[test]
fn the_pure_rings_touch_nothing() {
    let banned = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "tokio::",
        "rand::",
        "println!",
        "eprintln!",
    ];
    let mut found = Vec::new();
    for (path, text) in rust_files().filter(|(path, _)| path.starts_with("model") || path.starts_with("decide")) {
        if path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
            continue;
        }
        // Unit tests come last in a file; what they print or read is their business.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let statement = line.split("//").next().unwrap_or_default();
            for word in banned.iter().filter(|word| statement.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_stray_words() {
    // Written in halves, so that this file does not find itself.
    let words: Vec<String> = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X:"),
        ("dbg", "!("),
        ("#[ign", "ore"),
        ("lorem ", "ipsum"),
        ("/wo", "rk/"),
    ]
    .iter()
    .map(|(start, end)| format!("{start}{end}"))
    .collect();
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| path != Path::new("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(Path::new(ROOT).join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_test_module_is_listed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let runner = fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else { continue };
        assert!(runner.contains(&format!("mod {module};")), "tests/it/main.rs does not list {name}");
    }
}
