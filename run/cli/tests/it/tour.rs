//! `docs/tour.md`, `docs/definitions.md` and `docs/servers.md`, run for real: each `$` line of their console blocks, in a
//! copy of `examples/shop` or with the files that the page shows, and what they print held against the page. `UPDATE_TOUR=1` writes what was printed into it instead.
//!
//! A block is one shell session. A line `? N` says that the command before it exits with `N`, not 0. Before the two sides
//! are compared, what differs from run to run is made equal on both ([`settled`]); what is done at the same time is told in
//! any order, so that the lines of an apply are compared as a set ([`comparable`]).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{ANDON, Project, need_lab, share_images};

/// The port of the shop in the document; the test's own project listens elsewhere.
const PORT: &str = "127.0.0.1:8080";

/// The directory of servers' files in the document; the test's own is elsewhere.
const PLACE: &str = "/srv/shop";

#[test]
fn the_tour_is_as_it_is_told() {
    need_lab!();
    let mut project = Project::shop("tour");
    // The tour ends with a purge: the images that other tests share are not its to delete.
    project.data_dir = project.directory.with_extension("data");
    share_images(&project.data_dir);
    let wrong = walk("tour.md", &project);
    let _ = fs::remove_dir_all(&project.data_dir);
    assert!(wrong.is_empty(), "docs/tour.md tells it otherwise (UPDATE_TOUR=1 writes it anew):\n{wrong}");
}

#[test]
fn definitions_are_as_they_are_told() {
    let project = Project::shop("definitions");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
    project.write("README.md", &fs::read_to_string(example.join("README.md")).unwrap());
    let wrong = walk("definitions.md", &project);
    assert!(wrong.is_empty(), "docs/definitions.md tells it otherwise (UPDATE_TOUR=1 writes it anew):\n{wrong}");
}

#[test]
fn servers_are_as_they_are_told() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root converges this machine");
        return;
    }
    let mut project = Project::empty("servers-told");
    project.data_dir = project.directory.join("data");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/servers.md");
    for block in fs::read_to_string(page).unwrap().split("```hcl\n# ").skip(1) {
        let (path, text) = block.split("```").next().unwrap().split_once('\n').unwrap();
        project.write(path, &text.replace(PLACE, &project.directory.display().to_string()));
    }
    let wrong = walk("servers.md", &project);
    assert!(wrong.is_empty(), "docs/servers.md tells it otherwise (UPDATE_TOUR=1 writes it anew):\n{wrong}");
}

/// Runs every command of a page in a project: what differs from what it says. With `UPDATE_TOUR=1` the page is written
/// anew instead.
fn walk(page: &str, project: &Project) -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let told = fs::read_to_string(&place).unwrap();
    let (mut seen, mut wrong) = (String::new(), String::new());
    let mut lines = told.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(seen, "{line}");
        if line != "```console" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        for (command, expected, printed) in session(project, &block) {
            let same = comparable(&expected) == comparable(&printed);
            if !same {
                let diff = similar::TextDiff::from_lines(&expected, &printed);
                let _ = writeln!(wrong, "$ {command}\n{}", diff.unified_diff());
            }
            let _ = write!(seen, "$ {command}\n{}", if same { expected } else { printed });
        }
        seen.push_str("```\n");
    }
    if std::env::var_os("UPDATE_TOUR").is_some() {
        fs::write(place, seen).unwrap();
        wrong.clear();
    }
    wrong
}

/// Runs the commands of a block in one shell: each with what the document says and what it printed.
fn session(project: &Project, block: &[&str]) -> Vec<(String, String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), told.last_mut()) {
            (Some(command), _) => told.push((command.to_owned(), String::new())),
            (None, Some((_, expected))) => {
                let _ = writeln!(expected, "{line}");
            }
            (None, None) => panic!("`{line}` comes before any command"),
        }
    }
    let own = format!("127.0.0.1:{}", project.port);
    let place = project.directory.display().to_string();
    let mut script = "exec 2>&1\n".to_owned();
    for (command, _) in &told {
        let _ = writeln!(script, "{}\nprintf '\\0%s\\0' $?", command.replace(PORT, &own).replace(PLACE, &place));
    }
    let programs = Path::new(ANDON).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&project.directory)
        .env("PATH", path)
        .env("ANDON_DATA_DIR", &project.data_dir)
        .env_remove("ANDON_ENVIRONMENT")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).replace(&own, PORT).replace(&place, PLACE);
    let parts: Vec<&str> = printed.split('\0').collect();
    assert_eq!(parts.len(), told.len() * 2 + 1, "the shell ended early:\n{printed}");
    let ran = parts.chunks(2).map(|part| match part {
        [text, "0"] => (*text).to_owned(),
        [text, code] => format!("{text}? {code}\n"),
        _ => String::new(),
    });
    told.into_iter().zip(ran).map(|((command, expected), printed)| (command, expected, printed)).collect()
}

/// What is compared: a plan in its order; what follows it, where things are done at the same time, in any order.
fn comparable(text: &str) -> Vec<String> {
    // All these servers are one machine, which other tests may be converging.
    let waits = |line: &&str| line.ends_with("waiting for another converge of this server to end");
    let mut lines: Vec<String> = text.lines().filter(|line| !waits(line)).map(settled).collect();
    if let Some(plan) = lines.iter().position(|line| line.starts_with("Plan for ")) {
        lines[plan..].sort();
    }
    // Servers are worked on at the same time.
    if lines.iter().any(|line| line.contains(" servers: ")) {
        lines.sort();
    }
    lines
}

/// A line without what differs from run to run: times, dates, identities and digests, addresses of servers, who and where.
fn settled(line: &str) -> String {
    let patterns = [
        (r"(\d{4}-\d{2}-\d{2}[ T])?\d{2}:\d{2}:\d{2}( UTC|Z)?", "[DATE]"),
        (r"\b\d+(\.\d+)? (ms|s|min)\b( \d+ s\b)?", "[TIME]"),
        // What other tests have baked of the same is shared with it.
        (r"\bPurged: \d+ images\b", "Purged: [IMAGES]"),
        (r"\b[0-9a-f]{64}\b|\b(an)?[0-9a-f]{12}\b", "[ID]"),
        (r"\b10\.\d+\.\d+\.\d+\b", "[ADDRESS]"),
        (r"\bby \S+@\S+", "by [WHO]"),
        (r"\bprocess \d+", "process [PID]"),
        // A release changes no page.
        (r#"\bversion = "\d+\.\d+\.\d+""#, "version = [VERSION]"),
    ];
    let settled = patterns.iter().fold(line.to_owned(), |line, (pattern, name)| {
        regex::Regex::new(pattern).unwrap().replace_all(&line, *name).into_owned()
    });
    settled.trim_end().to_owned()
}
