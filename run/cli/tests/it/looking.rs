//! `andon facts` and `andon check-server`, on this machine.

use std::fs;

use crate::support::Project;

#[test]
fn facts_are_shown() {
    let project = Project::empty("facts");
    let ran = project.ok(&["facts"]);
    for fact in ["os ", "memory_mb ", "kernel ", "users ", "virtualization "] {
        assert!(ran.out.lines().any(|line| line.starts_with(fact)), "{ran}");
    }
    let some = project.ok(&["facts", "hostname", "image", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&some.out).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["hostname", "image"]);
    assert_eq!(json["image"], false);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(project.ok(&["facts", "kernel"]).out, format!("kernel = \"{}\"\n", kernel.trim()));
    let wrong = project.exits(1, &["facts", "kernle"]);
    assert_eq!(wrong.err, "error: there is no fact `kernle`\n  help: Did you mean `kernel`?\n");
    assert!(project.exits(1, &["facts", "--on", "web-1"]).err.contains("there is no server `web-1`"));
}

#[test]
fn the_checks_of_a_role_alone() {
    let project = Project::empty("check-server");
    let place = project.directory.join("place");
    project.write(
        "roles/app.role.hcl",
        &format!(
            r#"
role "app" {{
  param "wanted" {{ default = "hello" }}
  file "{place}" {{ content = "never written" }}
  check "files" {{
    file "/etc/passwd" {{ matches = "(?m)^root:" }}
    file "{place}" {{
      contains = param.wanted
      retries  = 0
    }}
  }}
  check "says" {{
    command "echo $WORD; exit 3" {{
      environment = {{ WORD = "a & <b>" }}
      status      = 3
      contains    = ["a", "<b>"]
    }}
    command "cat" {{
      words   = ["cat"]
      input   = "fed"
      output  = "fed"
      retries = 0
    }}
    user "root" {{ uid = 0 }}
    mount "/" {{ retries = 0 }}
    sysctl "kernel.ostype" {{ value = "Linux" }}
    address "127.0.0.1" {{}}
    dns "localhost" {{ addresses = ["127.0.0.1"] }}
  }}
}}
"#,
            place = place.display()
        ),
    );
    let failed = project.exits(1, &["check-server", "--junit", "out.xml"]);
    assert!(
        failed.out.contains(&format!(
            "✗ check \"files\": file \"{0}\": {0} does not exist (roles/app.role.hcl:7)",
            place.display()
        )),
        "{failed}"
    );
    assert!(failed.err.contains("1 of 9 do not hold.") && !place.exists(), "{failed}");
    let junit = fs::read_to_string(project.directory.join("out.xml")).unwrap();
    for part in [
        "<testsuites tests=\"9\" failures=\"1\" errors=\"0\" time=\"",
        "<testsuite name=\"local\" tests=\"9\" skipped=\"0\" failures=\"1\" errors=\"0\">",
        "classname=\"app.files\">\n      <failure message=\"",
        "<![CDATA[roles/app.role.hcl:7]]>",
        "<testcase name=\"command &#34;echo $WORD; exit 3&#34;\" classname=\"app.says\"></testcase>",
    ] {
        assert!(junit.contains(part), "{part}\n{junit}");
    }
    fs::write(&place, "hello there").unwrap();
    let held = project.ok(&["check-server", "app", "--on", "local"]);
    assert!(held.err.contains("9 of 9 hold.") && held.out.lines().all(|line| line.starts_with('✓')), "{held}");
    assert_eq!(fs::read_to_string(&place).unwrap(), "hello there", "nothing is changed");
    let json = project.exits(1, &["check-server", "--param", "wanted=other", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let failures: Vec<&serde_json::Value> =
        json["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false).collect();
    assert_eq!(failures.len(), 1, "{json}");
    // Where the role cannot be read, the file of results says so, too.
    assert!(project.exits(1, &["check-server", "ap", "--junit", "out.xml"]).err.contains("there is no role `ap`"));
    let junit = fs::read_to_string(project.directory.join("out.xml")).unwrap();
    assert!(junit.contains("<error message=\"the roles of the servers cannot be read\">"), "{junit}");
}
