//! The ledger as a user settles it: in a database, with a key, with a lock that somebody left.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::postgres_server::{Server, start};
use crate::support::{Project, Ran};

const STACK: &str = r#"
resource "terraform_data" "many" {
  count = 60
  input = "sentinel-${count.index}"
}
output "one" { value = terraform_data.many[0].output }
"#;

/// What the process's environment gives a run.
type Given<'a> = &'a [(&'a str, &'a str)];

fn run(project: &Project, given: Given<'_>, words: &[&str]) -> Ran {
    let output = project.command(words).envs(given.iter().copied()).output().unwrap();
    Ran::new(words, &output, Duration::ZERO)
}

fn ok(project: &Project, given: Given<'_>, words: &[&str]) -> Ran {
    let ran = run(project, given, words);
    assert_eq!(ran.code, Some(0), "{ran}");
    ran
}

fn refused(project: &Project, given: Given<'_>, words: &[&str], why: &str) {
    let ran = run(project, given, words);
    assert!(ran.code == Some(1) && ran.err.contains(why), "`{why}` is not said\n{ran}");
}

fn project(name: &str) -> Project {
    let project = Project::empty(name);
    project.write("main.tf", STACK);
    project.write("andon.hcl", &format!("project \"{name}\" {{}}\n"));
    project
}

/// Kills runs wherever they are, and goes on; then all is there, once.
fn survives_kills(project: &Project, given: Given<'_>) {
    for turn in 0..6_u64 {
        let mut child = project
            .command(&["apply", "-y"])
            .envs(given.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(20 + turn * turn * 11));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ok(project, given, &["apply", "-y"]);
    let plan = ok(project, given, &["plan"]);
    assert!(plan.out.contains("no changes, 60 unchanged"), "{plan}");
    ok(project, given, &["destroy", "-y"]);
}

#[test]
fn a_key_seals_all_that_is_kept() {
    let project = project("ledger-key");
    let key: Given<'_> = &[("ANDON_LEDGER_KEY", "correct horse battery staple")];
    ok(&project, key, &["apply", "-y"]);
    for file in fs::read_dir(project.directory.join(".andon")).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap_or_default();
        for clear in ["sentinel", "terraform_data", "many"] {
            assert!(!bytes.windows(clear.len()).any(|part| part == clear.as_bytes()), "{clear} in {}", path.display());
        }
    }
    let output = ok(&project, key, &["output", "one"]);
    assert!(output.out.contains("sentinel-0"), "{output}");
    refused(&project, &[], &["plan"], "is encrypted: give its key in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE");
    refused(&project, &[("ANDON_LEDGER_KEY", "another")], &["plan"], "is encrypted with another key");
    refused(&project, &[("ANDON_LEDGER_KEY", "")], &["plan"], "ANDON_LEDGER_KEY is empty");
    let both: Given<'_> = &[("ANDON_LEDGER_KEY", "a"), ("ANDON_LEDGER_KEY_FILE", "/b")];
    refused(&project, both, &["plan"], "both ANDON_LEDGER_KEY and ANDON_LEDGER_KEY_FILE are set");
    refused(&project, &[("ANDON_LEDGER_KEY_FILE", "/nowhere")], &["plan"], "the key file `/nowhere` cannot be read");
    let file = project.directory.join("key.txt");
    fs::write(&file, "correct horse battery staple\n").unwrap();
    ok(&project, &[("ANDON_LEDGER_KEY_FILE", file.to_str().unwrap())], &["plan"]);
}

#[test]
fn a_ledger_is_given_another_key_and_none() {
    let project = project("ledger-rekey");
    refused(&project, &[], &["rekey", "-clear"], "there is no ledger yet");
    ok(&project, &[], &["apply", "-y"]);
    let file = |name: &str, text: &str| {
        let path = project.directory.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (one, two) = (file("one.key", &andon_store::Key::generate()), file("two.key", "a passphrase of mine\n"));
    let said = ok(&project, &[], &["rekey", &format!("-key-file={one}")]);
    assert!(said.out.contains("ANDON_LEDGER_KEY_FILE"), "{said}");
    refused(&project, &[], &["plan"], "is encrypted");
    refused(&project, &[], &["rekey", "-clear"], "is encrypted");
    let first: Given<'_> = &[("ANDON_LEDGER_KEY_FILE", &one)];
    refused(&project, first, &["rekey", "-key-file=/nowhere"], "cannot be read");
    refused(&project, first, &["rekey"], "--key-file");
    let said = ok(&project, first, &["rekey", "-json", &format!("-key-file={two}")]);
    assert!(said.out.contains("\"encrypted\":true"), "{said}");
    refused(&project, first, &["plan"], "another key");
    let second: Given<'_> = &[("ANDON_LEDGER_KEY_FILE", &two)];
    let plan = ok(&project, second, &["plan"]);
    assert!(plan.out.contains("no changes"), "{plan}");
    for (at, bytes) in
        ["ledger.db", "ledger.db-wal"].map(|name| (name, fs::read(project.directory.join(".andon").join(name))))
    {
        let bytes = bytes.unwrap_or_default();
        assert!(!bytes.windows(8).any(|part| part == b"sentinel"), "{at} holds what was clear before");
    }
    ok(&project, second, &["rekey", "-clear"]);
    assert!(ok(&project, &[], &["plan"]).out.contains("no changes"));
}

#[test]
fn killed_runs_lose_nothing_of_a_sealed_file() {
    survives_kills(&project("ledger-file"), &[("ANDON_LEDGER_KEY", &andon_store::Key::generate())]);
}

#[test]
fn a_ledger_is_kept_in_a_database() {
    let server: Server = match start(5432, &[]) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let address = server.address();
    let given: Given<'_> = &[("ANDON_LEDGER", &address)];
    let first = project("ledger-database");
    survives_kills(&first, given);
    ok(&first, given, &["apply", "-y"]);
    assert!(!first.directory.join(".andon/ledger.db").exists());
    // Another copy of the project has the same state; another project has its own.
    let plan = ok(&project("ledger-database"), given, &["plan"]);
    assert!(plan.out.contains("no changes, 60 unchanged"), "{plan}");
    let plan = ok(&project("ledger-other"), given, &["plan"]);
    assert!(plan.out.contains("60 to create"), "{plan}");
    refused(&first, &[("ANDON_LEDGER", "mysql://ann:s3cret@db/l")], &["plan"], "does not begin with `postgres://`");
}

#[test]
fn a_lock_is_taken_by_force() {
    let project = project("ledger-lock");
    refused(&project, &[], &["force-unlock", "0123"], "there is no lock `0123`: nothing is locked");
    let path = project.directory.join(".andon/ledger.db");
    let ledger = andon_store::Ledger::open(&path).unwrap();
    let since = andon_ledger::Timestamp(0);
    let holder =
        andon_store::Holder { pid: std::process::id(), who: "ann@desk".into(), command: "apply".into(), since };
    let lock = ledger.lock("default", &holder).unwrap();
    refused(&project, &[], &["apply", "-y"], "environment `default` is locked by ann@desk");
    refused(&project, &[], &["force-unlock", "0123", "--force"], &format!("There is `{}`: environment", lock.id()));
    let taken = ok(&project, &[], &["force-unlock", lock.id(), "--force"]);
    assert!(taken.err.contains("Environment `default` is unlocked."), "{taken}");
    ok(&project, &[], &["apply", "-y"]);
}
