//! The history of drift: what was other than defined, when it was first seen, and what put it right.

use std::fs;

use crate::support::{Project, need_lab};

/// Each time in a line is `T`, and so is what is another each time.
fn told(project: &Project) -> Vec<String> {
    let text = project.ok(&["drift", "--history"]).out;
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b[0-9a-f]{12}\b|, \S+@\S+,").unwrap();
    text.lines()
        .map(|line| time.replace_all(line.trim(), "T").replace(&project.directory.display().to_string(), "/P"))
        .collect()
}

#[test]
fn drift_has_a_history() {
    need_lab!();
    let project = Project::empty("drifts");
    let motd = project.directory.join("server-motd");
    project.write(
        "main.tf",
        "resource \"andon_host\" \"here\" {\n  connection = { kind = \"local\" }\n  role       = \"m\"\n}\n",
    );
    project.write(
        "roles/m.role.hcl",
        &format!(
            "role \"m\" {{\n  file \"{}\" {{\n    content = \"one\\n\"\n    mode = \"0640\"\n  }}\n}}\n",
            motd.display()
        ),
    );
    project.ok(&["apply", "-y"]);
    assert_eq!(told(&project), ["No drift was found in default so far."]);
    let drift = |code| drop(project.exits(code, &["drift"]));
    drift(0);

    // Seen, seen again, and put right by hand.
    fs::write(&motd, "two\n").unwrap();
    drift(2);
    drift(2);
    let first = format!("T andon_host.here file \"{}\": content", motd.display())
        .replace(&project.directory.display().to_string(), "/P");
    assert_eq!(told(&project), [first.as_str(), "differs still"]);
    fs::write(&motd, "one\n").unwrap();
    drift(0);
    assert_eq!(told(&project), [first.as_str(), "found as defined again T"]);

    // Seen, and put right by a run; then put right by a run that nobody had looked before.
    fs::write(&motd, "three\n").unwrap();
    drift(2);
    project.ok(&["sync", "-y"]);
    fs::remove_file(&motd).unwrap();
    project.ok(&["sync", "-y"]);
    let gone = first.replace(": content", ": is not there");
    let sync = "put right T by `sync`T run T";
    assert_eq!(told(&project), [&*first, "found as defined again T", &*first, sync, &*gone, sync]);

    // Seen to differ in one way, and then in another.
    fs::write(&motd, "four\n").unwrap();
    drift(2);
    fs::remove_file(&motd).unwrap();
    drift(2);
    project.ok(&["sync", "-y"]);
    let both = format!("{first}; since T is not there");
    assert_eq!(told(&project)[6..], [&*both, sync]);

    // A new definition is no drift, and neither is what a run that is no longer needed finds.
    let role = fs::read_to_string(project.directory.join("roles/m.role.hcl")).unwrap();
    project.write("roles/m.role.hcl", &role.replace("\"one", "\"four"));
    project.ok(&["sync", "-y"]);
    drift(0);
    assert_eq!(told(&project).len(), 8);
    let json = project.ok(&["drift", "--history", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[1]["righted"]["command"], "sync");
    project.ok(&["destroy", "-y"]);
}

#[test]
fn what_is_not_there_yet_is_said() {
    need_lab!();
    let project = Project::empty("drifts-lacking");
    project.write(
        "main.tf",
        "resource \"andon_host\" \"here\" {\n  connection = { kind = \"local\" }\n  role       = \"m\"\n}\n",
    );
    project.write(
        "roles/m.role.hcl",
        "role \"m\" {\n  check \"c\" {\n    file \"/nonexistent/file\" {\n      exists = true\n    }\n  }\n}\n",
    );
    project.exits(1, &["apply", "-y"]);
    let said = project.exits(0, &["drift"]).out;
    assert!(said.contains("what is there is as defined."), "{said}");
    assert!(said.contains("Defined, and not there yet: andon_host.here."), "{said}");
}
