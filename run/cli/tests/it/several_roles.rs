//! A server with several roles that know nothing of each other.

use std::fs;
use std::process::Command;

use crate::support::{ANDON, Project, need_lab};

/// Both put a file into a directory that has nothing else in it, and both want the same package of settings.
const ROLES: &str = r#"
role "base" {
  param "directory" { type = string }
  directory "${param.directory}" { purge = true }
}

role "web" {
  inherits = ["base"]
  param "port" { default = 80 }
  file "${param.directory}/web" { content = "web ${param.port}\n" }
  file "${param.directory}/common" { content = "common\n" }
}

role "watch" {
  inherits = ["base"]
  param "every" { default = "1m" }
  file "${param.directory}/common" { content = "common\n" }
  file "${param.directory}/watch" { content = "every ${param.every}\n" }
}
"#;

fn project() -> (Project, String) {
    let project = Project::empty("several-roles");
    project.write("roles/all.role.hcl", ROLES);
    let out = project.directory.join("out").display().to_string();
    (project, out)
}

fn there(out: &str) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(out)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            format!("{}: {}", path.file_name().unwrap().to_string_lossy(), fs::read_to_string(&path).unwrap().trim())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn they_are_one_in_a_stack() {
    need_lab!();
    let (project, out) = project();
    let stack = |roles: &str, params: &str| {
        project.write(
            "main.tf",
            &format!(
                "resource \"andon_host\" \"here\" {{\n  connection = {{ kind = \"local\" }}\n  {roles}\n  \
                 params = {{ directory = \"{out}\"{params} }}\n}}\n"
            ),
        );
    };
    stack("roles = [\"web\", \"watch\"]", ", every = \"5m\"");
    project.ok(&["apply", "-y"]);
    assert_eq!(there(&out), ["common: common", "watch: every 5m", "web: web 80"]);
    // Neither removes what is the other's.
    project.exits(0, &["plan", "--detailed-exitcode"]);
    // The server can be chosen by each of its roles, and converged with one or all of them.
    for on in ["role=web", "role=watch"] {
        let said = project.ok(&["run", "--on", on, "--plan"]).out;
        assert!(said.contains("as it should be"), "{said}");
    }
    // A role alone is another wish for the server.
    stack("role = \"web\"", "");
    let planned = project.exits(2, &["plan", "--detailed-exitcode"]).out;
    assert!(planned.contains(&format!("removes {out}/watch")), "{planned}");
    project.ok(&["apply", "-y"]);
    assert_eq!(there(&out), ["common: common", "web: web 80"]);
    project.ok(&["destroy", "-y"]);
}

#[test]
fn they_are_one_by_hand_and_for_an_agent() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root converges this machine");
    }
    let (project, out) = project();
    let directory = format!("directory={out}");
    let word = ["--param", directory.as_str()];
    project.ok(&[&["run", "web+watch", "--on", "local", "-y"][..], &word].concat());
    assert_eq!(there(&out), ["common: common", "watch: every 1m", "web: web 80"]);
    let kept = project.directory.join("kept");
    let sync = |more: &[&str]| {
        let mut command = Command::new(ANDON);
        command.args(["agent", "web", "watch", "--once", "--from", "."]).args(word).args(more);
        let output = command.arg("--state").arg(&kept).current_dir(&project.directory).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(sync(&["--plan"]), (Some(0), String::new()));
    assert_eq!(sync(&["--param", "every=2m"]).0, Some(0));
    assert_eq!(there(&out), ["common: common", "watch: every 2m", "web: web 80"]);
    let status = Command::new(ANDON).args(["agent", "--status", "--state"]).arg(&kept).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).starts_with("web+watch at "), "{status:?}");
    for (wanted, expected) in [
        ("web+wach", "there is no role `wach`"),
        ("web+", "there is no role ``"),
        ("nope+web", "there is no role `nope`"),
    ] {
        let said = project.exits(1, &[&["run", wanted, "--on", "local", "-y"][..], &word].concat()).err;
        assert!(said.contains(expected), "{said}");
    }
}
