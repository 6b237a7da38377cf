//! `TF_REATTACH_PROVIDERS`: a plugin that somebody else started, here the toy of `drive/provider/examples`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{ANDON, Project, Ran};

/// Set by whoever keeps plugins, so that nobody runs one by mistake.
const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

/// The toy, as a developer starts it, and what it would be attached with.
struct Started {
    child: Child,
    variable: String,
    directory: tempfile::TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Option<Started> {
    let toy = Path::new(ANDON).parent().unwrap().join("examples/toy");
    if !toy.is_file() {
        println!("skipped: the toy plugin is not built: cargo build -p andon-provider --example toy");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(toy);
    command.env("TF_PLUGIN_MAGIC_COOKIE", COOKIE).env("PLUGIN_UNIX_SOCKET_DIR", directory.path());
    command.env("ANDON_TOY", "attached");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let socket = line.split('|').nth(3).unwrap();
    let variable = format!(
        r#"{{"hashicorp/toy":{{"Protocol":"grpc","ProtocolVersion":6,"Pid":{},"Test":true,"Addr":{{"Network":"unix","String":"{socket}"}}}}}}"#,
        child.id(),
    );
    Some(Started { child, variable, directory })
}

fn run(project: &Project, variable: &str, words: &[&str]) -> Ran {
    let mut command = project.command(words);
    command.env("TF_REATTACH_PROVIDERS", variable).env("XDG_CACHE_HOME", project.directory.join("cache"));
    command.env("HOME", &project.directory).env("TF_CLI_CONFIG_FILE", project.directory.join("none"));
    Ran::new(words, &command.output().unwrap(), std::time::Duration::ZERO)
}

#[test]
fn a_plugin_that_runs_already_is_used_and_left_running() {
    let Some(mut toy) = start() else { return };
    let mut project = Project::empty("attached");
    project.data_dir = project.directory.join(".data");
    project.write(
        "main.tf",
        "resource \"toy_thing\" \"one\" {\n  name = \"one\"\n}\noutput \"id\" { value = toy_thing.one.id }\n",
    );
    let init = run(&project, &toy.variable, &["init"]);
    assert!(init.code == Some(0) && init.out.contains("Using hashicorp/toy that runs already"), "{init}");
    assert!(!project.directory.join(".terraform.lock.hcl").exists());
    for (words, expected) in [
        (vec!["check"], ""),
        (vec!["plan"], "toy_thing.one"),
        (vec!["apply", "-y"], "id-one"),
        (vec!["plan"], "no changes"),
        (vec!["destroy", "-y"], "toy_thing.one"),
    ] {
        let ran = run(&project, &toy.variable, &words);
        assert!(ran.code == Some(0) && ran.out.contains(expected), "{words:?}: {ran}");
        assert!(toy.child.try_wait().unwrap().is_none(), "{words:?} ended what it did not start");
    }
    let ran = run(&project, "{}", &["plan"]);
    assert!(ran.code == Some(1) && ran.err.contains("andon init"), "{ran}");
    let ran = run(&project, "nonsense", &["plan"]);
    assert!(ran.code == Some(1) && ran.err.contains("TF_REATTACH_PROVIDERS is not understood"), "{ran}");
    let variable = toy.variable.clone();
    assert!(toy.directory.path().is_dir());
    drop(toy);
    let ran = run(&project, &variable, &["plan"]);
    assert!(ran.code == Some(1) && ran.err.contains("TF_REATTACH_PROVIDERS names it"), "{ran}");
}
