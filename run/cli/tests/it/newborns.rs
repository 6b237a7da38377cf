//! A new server is tested before it counts as created, and thrown away where it is not what it must be.

use crate::support::{Project, need_lab};

/// A project of one server of a small image; what it says of itself follows, and what its image's role has.
fn project(name: &str, life: &str, role: &str) -> Project {
    let project = Project::empty(name);
    project.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n");
    project.write("root/usr/share/some", "x\n");
    project.write("root/var/tmp/.keep", "");
    project.write("andon.hcl", "project \"newborns\" {}\nenvironment \"dev\" {}\n");
    project.write("roles/web.role.hcl", &format!("role \"web\" {{\n{role}\n}}\n"));
    project.write("images/small.image.hcl", "image \"small\" {\n  from = \"./root\"\n  roles = [\"web\"]\n}\n");
    project.write("stacks/app/main.tf", &definition(life));
    project
}

fn definition(life: &str) -> String {
    format!(
        "resource \"andon_image\" \"small\" {{ definition = \"small\" }}\nresource \"lab_network\" \"app\" {{}}\n\
         resource \"lab_server\" \"web\" {{\n  name = \"web\"\n  image = andon_image.small.digest\n  \
         network = lab_network.app.id\n  {life}\n}}\n"
    )
}

const MOTD: &str = "file \"/etc/motd\" { content = \"hello\\n\" }";

fn has_server(project: &Project) -> bool {
    project.objects().iter().any(|object| object["address"].as_str().unwrap().contains("lab_server"))
}

#[test]
fn a_server_that_is_what_it_must_be_counts() {
    need_lab!();
    let life = "smoke_test {\n    users = [\"deploy\"]\n    ports = []\n  }\n  \
                performance {\n    cpu = \"1K\"\n    disk = \"1K\"\n    network = \"1K\"\n  }";
    let project = project("newborn", life, MOTD);
    project.ok(&["up", "-y"]);
    assert!(has_server(&project));
    assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
    // What is asked of new servers changes nothing of one that is there.
    project.write("stacks/app/main.tf", &definition("smoke_test { users = [\"shop\"] }"));
    let ran = project.ok(&["up", "-y"]);
    assert!(ran.out.contains("1 to update") && has_server(&project), "{ran}");
}

#[test]
fn a_server_that_is_not_what_it_must_be_is_thrown_away() {
    need_lab!();
    let differs = "file \"/etc/who\" { content = fact.hostname }";
    for (life, role, expected) in [
        (
            "smoke_test {\n  users = [\"shop\"]\n  timeout = \"100ms\"\n}",
            MOTD,
            &[
                "the new server `web` is not what it must be",
                "The user shop is not there.",
                "The user deploy is there, and is not expected.",
                "smoke_test { enabled = false }",
            ][..],
        ),
        ("smoke_test {\n  ports = [\"22\"]\n  timeout = \"100ms\"\n}", MOTD, &["The port 22 is not open."]),
        ("smoke_test { timeout = \"100ms\" }", differs, &["Its role would still change file \"/etc/who\"."]),
        (
            "performance {\n  cpu = \"900T\"\n  attempts = 2\n}",
            MOTD,
            &[
                "`web` is too slow; making another one (2 of 2)",
                "no server `web` was as fast as it must be, of 2 that were made",
                "a second, and must do 900T.",
            ],
        ),
    ] {
        let project = project("newborn-wrong", life, role);
        let ran = project.exits(1, &["up", "-y"]);
        for text in expected {
            assert!(ran.err.contains(text), "no `{text}` in {ran}");
        }
        assert!(!has_server(&project), "{ran}");
        // Nothing of it is left, and what it should be can be said otherwise.
        project.write("stacks/app/main.tf", &definition("smoke_test { enabled = false }"));
        project.ok(&["up", "-y"]);
        assert!(has_server(&project));
    }
}

#[test]
fn a_server_whose_name_nobody_answers_for_is_thrown_away() {
    need_lab!();
    let life = "smoke_test {\n  timeout = \"100ms\"\n}";
    let project = project("newborn-unnamed", life, MOTD);
    let network = "resource \"lab_network\" \"app\" {}\n";
    project.write("stacks/app/main.tf", network);
    project.ok(&["up", "-y"]);
    let network = project.objects().into_iter().find(|object| object["address"] == "app/lab_network.app").unwrap();
    let names = format!("__lab-names.*{}", network["identity"].as_str().unwrap());
    let signal = |name: &str| {
        let sent = std::process::Command::new("pkill").args([name, "-f", &names]).status().unwrap();
        assert!(sent.success(), "nobody answers for the network's names: is port 53 taken?");
    };
    project.write("stacks/app/main.tf", &definition(life));
    signal("-STOP");
    let ran = project.andon(&["up", "-y"]);
    signal("-CONT");
    assert!(ran.code == Some(1) && ran.err.contains("gateway does not answer for its name"), "{ran}");
    assert!(!has_server(&project), "{ran}");
    project.ok(&["up", "-y"]);
    assert!(has_server(&project));
}

#[test]
fn a_server_that_was_made_without_being_started_is_new_when_it_is() {
    need_lab!();
    let test = "smoke_test {\n  users = [\"shop\"]\n  timeout = \"100ms\"\n}";
    let project = project("newborn-later", &format!("running = false\n  {test}"), MOTD);
    project.ok(&["up", "-y"]);
    assert!(has_server(&project));
    project.write("stacks/app/main.tf", &definition(test));
    // As often as it is tried.
    for _ in 0..2 {
        let ran = project.exits(1, &["up", "-y"]);
        for expected in
            ["the new server `web` is not what it must be", "The user shop is not there.", "It is stopped again"]
        {
            assert!(ran.err.contains(expected), "no `{expected}` in {ran}");
        }
        let server = project.objects().into_iter().find(|object| object["address"] == "app/lab_server.web").unwrap();
        let files = project.data_dir.join("servers").join(server["identity"].as_str().unwrap());
        assert!(!files.exists(), "{} is there", files.display());
    }
    project.write("stacks/app/main.tf", &definition("smoke_test { users = [\"deploy\"] }"));
    project.ok(&["up", "-y"]);
    assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
    // It is new only once.
    project.write("stacks/app/main.tf", &definition("running = false\n  smoke_test { users = [\"shop\"] }"));
    project.ok(&["up", "-y"]);
    project.write("stacks/app/main.tf", &definition("smoke_test { users = [\"shop\"] }"));
    project.ok(&["up", "-y"]);
}

#[test]
fn a_server_that_does_not_answer_is_thrown_away() {
    need_lab!();
    let programs = ["/usr/bin/ip", "/usr/bin/python3", "/var/lib/dpkg/status", "/usr/lib/systemd/systemd"];
    if let Some(missing) = programs.into_iter().find(|path| !std::path::Path::new(path).exists()) {
        println!("skipped: this machine has no {missing}");
        return;
    }
    let definition = |more: &str| {
        format!(
            "resource \"lab_network\" \"app\" {{}}\nresource \"lab_server\" \"web\" {{\n  name = \"web\"\n  \
             on_host = \"host\"\n  network = lab_network.app.id\n  command = [\"/bin/sh\", \"-c\", \
             \"ip address flush dev eth0 && exec python3 -m http.server 8080\"]\n  {more}\n}}\n"
        )
    };
    let project = project("newborn-silent", "", MOTD);
    // It listens, and takes its address away before: whoever looks from inside alone finds that all is well.
    project.write("stacks/app/main.tf", &definition("smoke_test {\n  ports = [\"8080\"]\n  timeout = \"10s\"\n}"));
    let ran = project.exits(1, &["up", "-y"]);
    assert!(ran.err.contains("Nothing answers at its address."), "{ran}");
    assert!(!has_server(&project), "{ran}");
    project.write("stacks/app/main.tf", &definition("smoke_test { reachable = false }"));
    project.ok(&["up", "-y"]);
    assert!(has_server(&project));
}

#[test]
fn a_name_is_one_servers() {
    need_lab!();
    let server = |resource: &str, name: &str| {
        format!(
            "resource \"lab_server\" \"{resource}\" {{\n  name = \"{name}\"\n  \
             image = andon_image.small.digest\n  network = lab_network.app.id\n  running = false\n}}\n"
        )
    };
    let project = project("newborn-named", "", MOTD);
    let base = "resource \"andon_image\" \"small\" { definition = \"small\" }\n\
                resource \"lab_network\" \"app\" { name = \"app\" }\n";
    // Where the network is not known before it is made, it is the second of them that is refused.
    project.write("stacks/app/main.tf", &[base, &server("one", "web"), &server("two", "WEB")].concat());
    let ran = project.exits(1, &["up", "-y"]);
    assert!(ran.err.contains("the name `web` is taken") && ran.err.contains("app/lab_server."), "{ran}");
    let servers = |project: &Project| {
        project.objects().iter().filter(|it| it["address"].as_str().unwrap().contains("lab_server")).count()
    };
    assert_eq!(servers(&project), 1);
    let ran = project.exits(1, &["plan"]);
    assert!(ran.err.contains("the name `web` is taken"), "{ran}");
    // One that replaces another has its name.
    let cbd = "lifecycle { create_before_destroy = true }\n}\n";
    let replaced = server("one", "web").replace("}\n", cbd);
    project.write("stacks/app/main.tf", &[base, &replaced, &server("two", "other")].concat());
    project.ok(&["up", "-y"]);
    project.ok(&["apply", "-auto-approve", "-replace=app/lab_server.one"]);
    assert_eq!(servers(&project), 2);
    project.write("stacks/app/main.tf", &base.replace("\"app\" }", "\"my_app\" }"));
    let ran = project.exits(1, &["check"]);
    assert!(ran.err.contains("`my_app` is no name for a network") && ran.err.contains("main.tf:2"), "{ran}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (life, expected) in [
        ("smoke_test { ports = [\"http\"] }", "`http` is no port"),
        ("smoke_test { timeout = \"soon\" }", "`soon` is no length of time here"),
        ("performance { cpu = \"fast\" }", "`fast` is no number of bytes in a second"),
        ("performance { attempts = 0 }", "`0` is no number of attempts"),
        ("performance { speed = 1 }", "speed"),
    ] {
        let project = project("newborn-refused", life, MOTD);
        let ran = project.exits(1, &["check"]);
        assert!(ran.err.contains(expected) && ran.err.contains("main.tf:7"), "{ran}");
    }
}
