//! `andon facts` and `andon check-server` on servers over ssh.

use std::fs;

use serde_json::Value as Json;

use crate::servers::{project, server};

const CHECKED: &str = r#"role "checked" {
  param "directory" { default = "/" }
  check "place" {
    file "${param.directory}/mark" { retries = 0 }
    user "root" { uid = 0 }
  }
}
"#;

#[test]
fn facts_and_checks_of_many_servers() {
    let Some(server) = server() else { return };
    let down = "host \"down\" {\n  address = \"127.0.0.1\"\n  connection {\n    port = 1\n  }\n}\n";
    let project = project(&server, down);
    project.write("roles/checked.role.hcl", CHECKED);
    let facts = project.ok(&["facts", "kernel", "cpus", "--on", "web-1", "--on", "web-2", "--on", "local"]);
    let lines: Vec<&str> = facts.out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "web-1, web-2, local:"), "{facts}");
    assert!(lines[1].starts_with("  cpus   = ") && lines[2].starts_with("  kernel = \""), "{facts}");
    let json = project.exits(1, &["facts", "kernel", "--json", "--on", "web-1", "--on", "down"]).out;
    let json: Vec<Json> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(json[0]["facts"]["kernel"].is_string() && json[0]["facts"].as_object().unwrap().len() == 1);
    assert_eq!((&json[1]["host"], &json[1]["status"]), (&"down".into(), &"failed".into()));
    assert!(project.exits(1, &["facts", "--on", "web-99"]).err.contains("there is no server `web-99`"));
    // The checks: of each server its own, or those of the role that is named.
    let at = project.directory.join("out");
    for place in ["1", "2"] {
        fs::create_dir_all(at.join(place)).unwrap();
    }
    let on = ["--on", "web-1", "--on", "web-2", "--on", "web-3"];
    fs::write(at.join("1/mark"), "").unwrap();
    fs::write(at.join("2/mark"), "").unwrap();
    let checked =
        project.exits(1, &[&["check-server", "checked", "--junit", "out.xml"], &on[..], &["--on", "down"]].concat());
    let plain = checked.out.replace(&at.display().to_string(), "OUT");
    let expected = "web-1, web-2: 2 of 2 hold
web-3: 1 of 2 do not hold
  ✗ check \"place\": file \"OUT/3/mark\": OUT/3/mark does not exist (roles/checked.role.hcl:4)
down: 127.0.0.1:1 cannot be reached
";
    assert!(plain.starts_with(expected), "{checked}");
    let junit = fs::read_to_string(project.directory.join("out.xml")).unwrap();
    for part in [
        "<testsuite name=\"web-1\" tests=\"2\" skipped=\"0\" failures=\"0\" errors=\"0\">",
        "<testsuite name=\"web-3\" tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\">",
        "<testsuite name=\"down\" tests=\"1\" skipped=\"0\" failures=\"0\" errors=\"1\">",
        "<error message=\"127.0.0.1:1 cannot be reached\">",
    ] {
        assert!(junit.contains(part), "{part}\n{junit}");
    }
    let json = project.ok(&["check-server", "checked", "--json", "--on", "web-1", "--on", "web-2"]).out;
    let json: Vec<Json> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (json.len(), &json[0]["status"], &json[1]["checks"][0]["role"]),
        (2, &"holds".into(), &"checked".into())
    );
    assert!(!at.join("1/greeting").exists(), "nothing is changed");
}
