//! Servers of what is installed on this machine.

use std::fs;
use std::path::Path;

use crate::support::{Project, need_lab};

fn project(name: &str, more: &str) -> Project {
    let project = Project::empty(name);
    project.write("andon.hcl", "project \"hosted\" {}\nenvironment \"dev\" {}\n");
    project.write(
        "stacks/app/main.tf",
        &format!(
            "resource \"lab_network\" \"app\" {{}}\nresource \"lab_server\" \"web\" {{\n  count = 2\n  \
             name = \"web-${{count.index}}\"\n  on_host = \"host\"\n  network = lab_network.app.id\n  {more}\n}}\n"
        ),
    );
    project
}

#[test]
fn what_does_not_go_with_it_is_refused_at_its_place() {
    need_lab!();
    for (more, expected, line) in [
        ("image = \"sha256:00\"", "`image` and `on_host` exclude each other", 5),
        ("on_drift = \"report\"", "`on_drift` and `on_host` exclude each other", 7),
    ] {
        let ran = project("hosted-wrong", more).exits(1, &["plan"]);
        assert!(ran.err.contains(expected) && ran.err.contains(&format!("stacks/app/main.tf:{line}")), "{ran}");
    }
    let project = project("hosted-elsewhere", "");
    let text = fs::read_to_string(project.directory.join("stacks/app/main.tf")).unwrap();
    project.write("stacks/app/main.tf", &text.replace("\"host\"", "\"elsewhere\""));
    let ran = project.exits(1, &["check"]);
    assert!(ran.err.contains("no server is on `elsewhere`") && ran.err.contains("stacks/app/main.tf:5"), "{ran}");
    project.write("stacks/app/main.tf", &text.replace("on_host = \"host\"", ""));
    let ran = project.exits(1, &["plan"]);
    assert!(ran.err.contains("`image` is missing") && ran.err.contains("stacks/app/main.tf:2"), "{ran}");
}

#[test]
fn servers_have_the_programs_of_this_machine_and_none_of_its_data() {
    need_lab!();
    if !Path::new("/var/lib/dpkg/status").exists() || !Path::new("/usr/lib/systemd/systemd").exists() {
        println!("skipped: this machine has no dpkg, or no systemd");
        return;
    }
    let canary = tempfile::Builder::new().prefix("andon-canary-").tempdir_in("/var/tmp").unwrap();
    let secret = canary.path().join("secret");
    fs::write(&secret, "of this machine").unwrap();
    let project = project("hosted", "smoke_test {\n    users = []\n    ports = []\n  }");
    let ran = project.ok(&["up", "-y"]);
    assert!(!ran.err.contains("Warning"), "{ran}");
    assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
    let inside = |script: &str| project.in_server("web-0", script);
    let programs = fs::read_dir("/usr/bin").unwrap().count();
    assert!(inside("ls -A /usr/bin | wc -l").contains(&programs.to_string()));
    let check = |script: &str, expected: &str| {
        let seen = inside(&format!("{script} 2>&1 || true"));
        assert!(seen.trim() == expected, "{script}: {seen}");
    };
    let canary = canary.path().display();
    check(&format!("ls {canary}"), &format!("ls: cannot access '{canary}': No such file or directory"));
    check("ls -A /home", "");
    check("ls -A /srv", "");
    // systemd makes an empty `.ssh` there.
    check("find /root -type f", "");
    check("ls /etc/ssh | grep key", "");
    check("grep -c '[$]' /etc/shadow", "0");
    check("grep -c '^root:' /etc/shadow", "1");
    check("dpkg --audit", "");
    let (machine, own) = (fs::read_to_string("/etc/machine-id").unwrap_or_default(), inside("cat /etc/machine-id"));
    assert!(own.trim().len() == 32 && own.trim() != machine.trim(), "{own}");
    // Both are over the same files, of which nothing was copied that is in /usr.
    let images: Vec<String> =
        project.objects().iter().filter_map(|object| Some(object["value"]["image"].as_str()?.to_owned())).collect();
    assert!(images.len() == 2 && images[0] == images[1] && images[0].starts_with("sha256:"), "{images:?}");
    // A program that is put there is the server's own.
    inside("echo 'echo own' > /usr/bin/andon-hosted && chmod 755 /usr/bin/andon-hosted");
    let restarted = project.ok(&["restart", "web-0", "--json"]);
    let told: serde_json::Value =
        serde_json::from_str(&restarted.out).unwrap_or_else(|error| panic!("{error}: {restarted}"));
    assert_eq!((&told["host"], &told["status"]), (&"web-0".into(), &"done".into()), "{restarted}");
    assert!(told["elapsed_ms"].as_u64() > Some(0), "{restarted}");
    assert!(inside("/usr/bin/andon-hosted").contains("own"));
    assert!(!Path::new("/usr/bin/andon-hosted").exists());
    project.ok(&["down", "-y", "--purge"]);
}
