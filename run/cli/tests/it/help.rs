//! `--help` of the commands that look at definitions, whole. `BLESS=1` writes what is said now.

use std::fs;
use std::path::Path;

use crate::support::Project;

#[test]
fn commands_say_what_they_do() {
    let project = Project::empty("help");
    let blessed = std::env::var_os("BLESS").is_some();
    for command in [
        "check",
        "fmt",
        "console",
        "graph",
        "docs",
        "init",
        "providers lock",
        "providers mirror",
        "workspace new",
        "run",
        "exec",
        "agent",
        "check-server",
        "drift",
        "facts",
        "secret",
        "undo",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let said = project.ok(&[&words[..], &["--help"]].concat()).out;
        let place =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/help/{}.txt", command.replace(' ', "_")));
        if blessed {
            fs::write(&place, &said).unwrap();
        }
        let expected = fs::read_to_string(&place).unwrap_or_default();
        assert_eq!(said, expected, "BLESS=1 writes {} anew", place.display());
        // The short form says no other arguments than the long one.
        let short = project.ok(&[&words[..], &["-h"]].concat()).out;
        assert!(short.len() <= said.len() && said.starts_with(short.lines().next().unwrap_or_default()), "{short}");
    }
}
