//! Secrets of a project: made, listed, sealed anew; read by stacks and by roles, and said by no command.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{Project, Ran};

/// What must be nowhere.
const SENTINEL: &str = "Zq7Hunter2x";

/// A project with an identity of its own, and the secret `db/password`.
fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("main.tf", "");
    let key = project.directory.join(".key");
    project.ok(&["secret", "keygen", key.to_str().unwrap()]);
    assert_eq!(set(&project, "db/password", &format!("{SENTINEL}\n")).code, Some(0));
    project
}

/// The binary, which has the identity.
fn run(project: &Project, words: &[&str]) -> Ran {
    run_with(project, words, &[])
}

fn run_with(project: &Project, words: &[&str], environment: &[(&str, &str)]) -> Ran {
    let began = std::time::Instant::now();
    let mut command = project.command(words);
    command.env("ANDON_AGE_IDENTITY", project.directory.join(".key")).envs(environment.iter().copied());
    Ran::new(words, &command.output().unwrap(), began.elapsed())
}

fn set(project: &Project, name: &str, text: &str) -> Ran {
    let words = ["secret", "set", name];
    let mut command = project.command(&words);
    command.env("ANDON_AGE_IDENTITY", project.directory.join(".key"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Ran::new(&words, &child.wait_with_output().unwrap(), std::time::Duration::ZERO)
}

#[track_caller]
fn hides(ran: &Ran) {
    let base64 = "WnE3SHVudGVyMng";
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains(SENTINEL) && !said.contains(base64) && !said.contains("panicked"), "{ran}");
}

/// Every file below a directory that holds the sentinel in clear.
fn holding(directory: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(SENTINEL.len()).any(|part| part == SENTINEL.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn secrets_are_kept_sealed() {
    let project = project("kept-secrets");
    let file = project.directory.join("secrets/db/password.age");
    assert!(fs::read_to_string(&file).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    assert_eq!(set(&project, "empty", "\n").err, "error: the secret is empty; nothing was changed\n");
    let odd = set(&project, "../x", "y");
    assert!(odd.err.contains("has a part that is empty or begins with a dot"), "{odd}");
    assert_eq!(set(&project, "token", "t").code, Some(0));
    assert_eq!(run(&project, &["secret", "list"]).out, "db/password\ntoken\n");
    assert_eq!(run(&project, &["secret", "get", "token"]).out, "t\n");
    let got = run(&project, &["secret", "get", "token", "--json"]).out;
    assert!(got.contains("\"name\":\"token\",\"value\":\"t\""), "{got}");
    assert!(run(&project, &["secret", "get", "none"]).err.contains("there is no secret `none`"));
    let listed = run(&project, &["secret", "list", "--json"]).out;
    assert!(
        listed.contains("{\"alone\":true,\"file\":\"secrets/db/password.age\",\"name\":\"db/password\"}"),
        "{listed}"
    );
    // Somebody joins: what is sealed anew, both open.
    let other = project.directory.join(".other");
    let joined = project.ok(&["secret", "keygen", other.to_str().unwrap()]).out;
    let again = project.exits(1, &["secret", "keygen", other.to_str().unwrap()]);
    assert!(again.err.contains("An identity is never replaced"), "{again}");
    let recipients = fs::read_to_string(project.directory.join("secrets/recipients")).unwrap();
    project.write("secrets/recipients", &format!("{recipients}{joined}"));
    let with = |key: &str| {
        let mut command = project.command(&["secret", "rekey"]);
        let ran = command.env("ANDON_AGE_IDENTITY", project.directory.join(key)).output().unwrap();
        Ran::new(&["rekey"], &ran, std::time::Duration::ZERO)
    };
    let refused = with(".other");
    assert!(
        refused.err.contains("`secrets/db/password.age` cannot be opened: it was sealed for other keys"),
        "{refused}"
    );
    assert_eq!(with(".key").out, "2 files sealed for 2 recipients.\n");
    assert_eq!(with(".other").out, "2 files sealed for 2 recipients.\n");
    assert_eq!(holding(&project.directory), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_secret_is_said() {
    let project = project("wrong-secrets");
    project.write("main.tf", "resource \"terraform_data\" \"a\" {\n  input = secret(\"db/password\")\n}\n");
    let without = |given: &[(&str, &str)]| {
        let mut command = project.command(&["plan"]);
        command.env_remove("ANDON_AGE_IDENTITY").env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
        let output = command.envs(given.iter().copied()).output().unwrap();
        Ran::new(&["plan"], &output, std::time::Duration::ZERO)
    };
    let other = project.directory.join(".other");
    project.ok(&["secret", "keygen", other.to_str().unwrap()]);
    let other = other.to_str().unwrap();
    for (given, expected) in [
        (vec![], "`secrets/db/password.age` is sealed, and there is no identity to open it with"),
        (vec![("ANDON_AGE_IDENTITY", "/nonexistent/key")], "the identity file `/nonexistent/key` cannot be read"),
        (vec![("ANDON_AGE_IDENTITY", other)], "it was sealed for other keys than the identity file"),
        (vec![("ANDON_SECRET_DB_PASSWORD", "")], "the secret `db/password` in ANDON_SECRET_DB_PASSWORD is empty"),
    ] {
        let ran = without(&given);
        assert!(ran.code == Some(1) && ran.err.replace("\n  ", " ").contains(expected), "{given:?}\n{ran}");
    }
    let file = project.directory.join("secrets/db/password.age");
    let sealed = fs::read_to_string(&file).unwrap();
    for (text, expected) in [
        (String::new(), "it is no age file, or a damaged one"),
        (SENTINEL.to_owned(), "it is no age file, or a damaged one"),
        (sealed[..sealed.len() / 2].to_owned(), "it is no age file, or a damaged one"),
    ] {
        fs::write(&file, &text).unwrap();
        let ran = run(&project, &["plan"]);
        assert!(ran.code == Some(1) && ran.err.contains(expected), "{ran}");
        hides(&ran);
    }
    fs::write(&file, &sealed).unwrap();
    project.edit("main.tf", "db/password", "db/passwort");
    let ran = run(&project, &["plan"]);
    for expected in ["there is no secret `db/passwort`", "set ANDON_SECRET_DB_PASSWORT", "Did you mean `db/password`?"]
    {
        assert!(ran.err.replace("\n  ", " ").contains(expected), "{ran}");
    }
    // Whoever only checks definitions needs no identity.
    assert_eq!(without(&[]).code, Some(1));
    project.ok(&["check"]);
}

#[test]
fn no_command_says_what_a_stack_reads() {
    let project = project("stack-secrets");
    project.write(
        "main.tf",
        r#"
locals { password = secret("db/password") }
resource "terraform_data" "db" {
  input = { user = "app", password = local.password, url = "pg://app:${local.password}@db/" }
}
output "url" {
  value     = terraform_data.db.output.url
  sensitive = true
}
output "file" {
  value     = templatefile("x.tftpl", { p = local.password })
  sensitive = true
}
"#,
    );
    project.write("x.tftpl", "${p} ${secret(\"token\")}");
    for words in [
        &["check"][..],
        &["plan"],
        &["plan", "--json"],
        &["plan", "--out", "p"],
        &["show", "p"],
        &["apply", "-y"],
        &["plan"],
        &["drift"],
        &["status"],
        &["logs"],
        &["logs", "--json"],
        &["output"],
        &["show"],
        &["graph"],
        &["docs"],
        &["console", "-c", "secret(\"db/password\")", "-c", "secret(\"none\")", "-c", "\"${secret(\"token\")}\" + 1"],
        &["console", "--json", "-c", "local.password"],
    ] {
        let ran = run_with(&project, words, &[("ANDON_SECRET_TOKEN", SENTINEL)]);
        hides(&ran);
        let fails = matches!(words[0], "console");
        assert!(ran.code == Some(0) || fails, "{ran}");
    }
    let raw = run(&project, &["output", "-raw", "url"]);
    assert_eq!(raw.out.trim_end(), format!("pg://app:{SENTINEL}@db/"), "it is what was meant, for who asks for it");
    let unmarked = run(&project, &["plan"]);
    assert_eq!(unmarked.code, Some(1), "{unmarked}");
    hides(&unmarked);
}

#[test]
fn no_command_says_what_a_role_reads() {
    let project = project("role-secrets");
    let place = project.directory.join("place");
    fs::create_dir(&place).unwrap();
    let place = place.to_str().unwrap();
    project.write(
        "main.tf",
        &format!(
            "resource \"andon_host\" \"here\" {{\n  connection = {{ kind = \"local\" }}\n  role = \"app\"\n  \
             params = {{ place = \"{place}\", token = secret(\"token\") }}\n}}\n"
        ),
    );
    project.write(
        "roles/app.role.hcl",
        r#"
role "app" {
  param "place" { type = string }
  param "token" {
    type      = string
    sensitive = true
  }
  file "config" {
    path    = "${param.place}/config"
    content = templatefile("app.tftpl", { token = param.token })
    mode    = "0600"
  }
  line "more" {
    path  = "${param.place}/more"
    line  = "password=${secret("db/password")}"
    after = [file.config]
  }
  file "checked" {
    path     = "${param.place}/checked"
    content  = secret("db/password")
    validate = "cat %s; exit ${param.place == "" ? 0 : 0}"
  }
  check "there" {
    file "${param.place}/config" {
      contains = secret("db/password")
      timeout  = "0s"
    }
  }
}
"#,
    );
    project.write("roles/app.tftpl", "db ${secret(\"db/password\")}\ntoken ${token}\n");
    let token = [("ANDON_SECRET_TOKEN", "Zq7Hunter2xToken")];
    for words in
        [&["check"][..], &["plan"], &["plan", "--json"], &["apply", "-y"], &["plan"], &["drift"], &["logs", "--json"]]
    {
        let ran = run_with(&project, words, &token);
        hides(&ran);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    let config = fs::read_to_string(format!("{place}/config")).unwrap();
    assert_eq!(config, format!("db {SENTINEL}\ntoken {SENTINEL}Token\n"));
    // Drift, a failing validation and a failing check are told without it.
    fs::write(format!("{place}/config"), format!("other {SENTINEL}\n")).unwrap();
    fs::write(format!("{place}/more"), format!("password={SENTINEL}-old\n")).unwrap();
    let drift = run_with(&project, &["drift"], &token);
    hides(&drift);
    assert_eq!(drift.code, Some(2), "{drift}");
    project.edit("roles/app.role.hcl", "? 0 : 0", "? 0 : 1");
    project.edit("roles/app.role.hcl", "contains = ", "contains = \"x\" #");
    fs::write(format!("{place}/checked"), "").unwrap();
    for words in [&["plan"][..], &["apply", "-y"]] {
        let ran = run_with(&project, words, &token);
        hides(&ran);
    }
    // One that the role reads and that is not there.
    project.edit("roles/app.tftpl", "db/password", "db/nothing");
    let missing = run_with(&project, &["plan"], &token);
    assert!(missing.code == Some(1) && missing.err.contains("there is no secret `db/nothing`"), "{missing}");
    hides(&missing);
}
