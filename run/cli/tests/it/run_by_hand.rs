//! `andon run`: a role, now.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use crate::support::{Project, without_run};

const BASE: &str = r#"role "base" {
  param "directory" { type = string }
  directory "${param.directory}" {}
}
"#;

const WEB: &str = r#"role "web" {
  inherits = ["base"]
  param "greeting" { default = "hi" }
  param "ports" {
    type    = list(number)
    default = [80]
  }
  param "token" {
    default   = "none"
    sensitive = true
  }
  file "${param.directory}/greeting" {
    content = templatefile("web/greeting.tftpl", { greeting = param.greeting, ports = param.ports })
  }
  file "${param.directory}/token" {
    content = param.token
    mode    = "0600"
  }
}
"#;

/// A directory with roles and nothing else, and the word that has them write below it.
fn roles() -> (Project, String) {
    let project = Project::empty("by-hand");
    project.write("roles/base.role.hcl", BASE);
    project.write("roles/web.role.hcl", WEB);
    project.write("roles/web/greeting.tftpl", "${greeting} ${join(\",\", ports)}\n");
    let word = format!("directory={}/out", project.directory.display());
    (project, word)
}

fn skips() -> bool {
    let skips = !nix::unistd::geteuid().is_root();
    if skips {
        println!("skipped: only root converges this machine");
    }
    skips
}

#[test]
fn a_role_converges_this_machine() {
    if skips() {
        return;
    }
    let (project, word) = roles();
    let run = |more: &[&str]| {
        let said = project.ok(&[&["run", "web", "--on", "local", "--param", &word], more].concat()).out;
        without_run(&said.replace(&project.directory.display().to_string(), "DIR")).0
    };
    let plan = run(&["--plan"]);
    let expected = "\
local: 3 would change
  + directory \"DIR/out\"
  + file \"DIR/out/greeting\"
      @@ -0,0 +1 @@
      +hi 80
  + file \"DIR/out/token\"
      mode 0600
      (sensitive content differs)
";
    assert_eq!(plan, expected);
    assert!(!project.directory.join("out").exists());
    assert_eq!(run(&["-y"]), expected.replace("would change", "changed"));
    assert_eq!(run(&[]), "local: as it should be (3 resources)\n");
    assert_eq!(fs::read_to_string(project.directory.join("out/greeting")).unwrap(), "hi 80\n");
    assert_eq!(fs::metadata(project.directory.join("out/token")).unwrap().permissions().mode() & 0o7777, 0o600);
    // What was changed by hand is found and put right; values come from files and from the command line, the latter wins.
    fs::write(project.directory.join("out/greeting"), "other\n").unwrap();
    project.write("values.tfvars", "greeting = \"from a file\"\nports = [1]\ntoken = \"hush\"\n");
    let said = run(&["--params-file", "values.tfvars", "--param", "ports=[2, 3]"]);
    let expected = "\
local: 2 changed
  ~ file \"DIR/out/greeting\"
      @@ -1 +1 @@
      -other
      +from a file 2,3
  ~ file \"DIR/out/token\"
      (sensitive content differs)
";
    assert_eq!(said, expected);
    assert_eq!(fs::read_to_string(project.directory.join("out/token")).unwrap(), "hush");
}

#[test]
fn a_plan_by_path_and_as_data() {
    let (project, word) = roles();
    for path in ["roles/web.role.hcl", "./roles/web.role.hcl"] {
        let ran = project
            .exits(2, &["run", path, "--on", "local", "--param", &word, "--plan", "--json", "--detailed-exitcode"]);
        let lines: Vec<Json> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["host"], &lines[0]["status"]), (&"local".into(), &"would_change".into()), "{ran}");
        assert_eq!(lines[0]["report"]["entries"].as_array().unwrap().len(), 3);
        assert_eq!(lines[0]["report"]["entries"][1]["origin"], "roles/web.role.hcl:12");
        assert_eq!((&lines[1]["type"], &lines[1]["changed"]), (&"summary".into(), &1.into()));
    }
    // A file alone, with what it inherits beside it and no `roles` around it.
    fs::rename(project.directory.join("roles"), project.directory.join("mine")).unwrap();
    let ran = project.ok(&["run", "mine/web.role.hcl", "--on", "local", "--param", &word, "--plan"]);
    assert!(ran.out.starts_with("local: 3 would change\n"), "{ran}");
    assert!(!project.directory.join("out").exists());
}

#[test]
fn what_cannot_be_run_says_why() {
    let (project, word) = roles();
    project.write("roles/broken.role.hcl", "role \"broken\" {\n  file\n}\n");
    project.write("roles/two.role.hcl", "role \"one\" {}\nrole \"other\" {}\n");
    for (words, expected) in [
        (&["wep"][..], "error: there is no role `wep`\n  help: Did you mean `web`?\n"),
        (&["web", "--param", "greting=x"], "no parameter \"greting\"\n  help: Did you mean \"greeting\"?\n"),
        (&["web", "--param", "greeting"], "an argument of `--param` has no \"=\" in it"),
        (&["web", "--param", "ports=["], "The type of \"ports\" is list(number): write the value as an expression."),
        (&["web", "--param", "ports=x"], "--param ports:1:1"),
        (&["web", "--params-file", "nothing"], "`nothing` cannot be read"),
        (&["broken"], "--> roles/broken.role.hcl:2:3"),
        (&["roles/two.role.hcl"], "defines several roles: one, other"),
        (&["roles/nothing.role.hcl"], "`roles/nothing.role.hcl` cannot be read"),
    ] {
        let ran = project.exits(1, &[&["run"], words, &["--on", "local", "--plan"]].concat());
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{words:?}: {ran}");
    }
    // A role that is defined twice, and one that does not come together.
    project.write("roles/dup.role.hcl", "role \"dup\" {}\n");
    project.write("roles/dup2.role.hcl", "role \"dup\" {}\n");
    project.write("roles/inh.role.hcl", "role \"inh\" { inherits = [\"nosuchparent\"] }\n");
    project.write(
        "roles/ring.role.hcl",
        "role \"ring\" { inherits = [\"gnir\"] }\nrole \"gnir\" { inherits = [\"ring\"] }\n",
    );
    project.write("roles/of-broken.role.hcl", "role \"of-broken\" { inherits = [\"in-broken\"] }\n");
    for (wanted, expected) in [
        ("dup", ["error: duplicate role \"dup\"", "roles/dup2.role.hcl:1:6", "roles/dup.role.hcl:1"]),
        ("web+dup", ["error: duplicate role \"dup\"", "roles/dup2.role.hcl:1:6", "roles/dup.role.hcl:1"]),
        ("roles/dup2.role.hcl", ["error: duplicate role \"dup\"", "roles/dup2.role.hcl:1:6", "roles/dup.role.hcl:1"]),
        ("inh", ["error: there is no role \"nosuchparent\"", "roles/inh.role.hcl:1:26", ""]),
        ("roles/inh.role.hcl", ["error: there is no role \"nosuchparent\"", "roles/inh.role.hcl:1:26", ""]),
        ("ring", ["inherit from each other in a circle", "roles/ring.role.hcl:2", "role gnir → role ring"]),
        ("of-broken", ["error: there is no role \"in-broken\"", "roles/broken.role.hcl:2:3", ""]),
    ] {
        let ran = project.exits(1, &["run", wanted, "--on", "local", "--plan"]);
        assert!(expected.iter().all(|words| ran.err.contains(words)) && ran.out.is_empty(), "{wanted}: {ran}");
    }
    // A mistake in a file that a role has nothing to do with is no matter.
    project.ok(&["run", "web", "--on", "local", "--plan", "--param", &word]);
}

#[test]
fn one_converge_at_a_time() {
    if skips() {
        return;
    }
    let project = Project::empty("turns");
    // A directory cannot be made twice: whoever finds it there is not alone.
    project.write(
        "turns.role.hcl",
        "role \"turns\" {\n  param \"at\" {}\n  exec \"alone\" {\n    command = \"mkdir busy && sleep 0.5 && rmdir busy\"\n    \
         cwd = param.at\n    unless = \"false\"\n  }\n}\n",
    );
    let at = format!("at={}", project.directory.display());
    let words = ["run", "turns", "--on", "local", "-y", "--param", &at];
    let ran: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| project.andon(&words))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for ran in &ran {
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    assert!(ran.iter().any(|ran| ran.err.contains("waiting for another converge")), "{}", ran[3]);
}

#[test]
fn what_is_wrong_is_shown_where_it_was_given() {
    let project = Project::empty("by-hand-places");
    project.write("roles/one.role.hcl", "role \"one\" {}\n");
    // What is wrong with a host is shown where it is listed, by check, too.
    let named = ["--on", "a", "--plan"];
    for (host, expected) in [
        ("roles = [\"nosuch\"]", "there is no role"),
        ("roles = [\"small\"]\n  params = { nod = 1 }", "no role of host \"a\" has a parameter \"nod\""),
        ("roles = [\"small\", \"one\"]\n  params = { node = [] }", "parameter \"node\" has a value of the wrong type"),
    ] {
        project.write("roles/small.role.hcl", "role \"small\" {\n  param \"node\" { type = number }\n}\n");
        project.write("x.hosts.hcl", &format!("host \"a\" {{\n  {host}\n  connection {{ kind = \"local\" }}\n}}\n"));
        for words in [&[&["run"][..], &named].concat(), &vec!["check"]] {
            let ran = project.exits(1, words);
            assert!(ran.err.contains(expected) && ran.err.contains("--> x.hosts.hcl:1:1"), "{words:?}: {ran}");
        }
    }
    // A value is shown where it was given, a resource where it is defined.
    for (words, expected) in [
        (&["small", "--param", "node=x"][..], "--> --param node:1:1"),
        (&["small", "--params-file", "p.tfvars"], "--> p.tfvars:1:8"),
        (&["bad"], "so that it would run every time"),
        (&["bad"], "--> roles/bad.role.hcl:2:3"),
    ] {
        project.write("p.tfvars", "node = \"x\"\n");
        project.write("roles/bad.role.hcl", "role \"bad\" {\n  exec \"a\" {\n    command = \"true\"\n  }\n}\n");
        let ran = project.exits(1, &[&["run"], words, &["--on", "local", "--plan"]].concat());
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{words:?}: {ran}");
    }
}
