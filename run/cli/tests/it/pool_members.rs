//! The members of pools are servers like others: they are tested when they are new, can be reached by their names, and are
//! made anew where they are too old or no longer what their image says.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::support::{Project, eventually, faults, kill_server, left_of, names_in_the_lab, need_lab};

/// How long may pass until something that must come has come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A project of a pool of three members of a small image; what it says of them follows.
fn project(name: &str, life: &str) -> Option<Project> {
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::exists(path).unwrap()) else {
        println!("skipped: there is no busybox; install busybox-static");
        return None;
    };
    let project = Project::empty(name);
    project.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n");
    project.write("root/etc/motd", "hello\n");
    project.write("root/var/lib/data", "1\n");
    fs::create_dir_all(project.directory.join("root/bin")).unwrap();
    fs::copy(busybox, project.directory.join("root/bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", project.directory.join("root/bin/sh")).unwrap();
    project.write("andon.hcl", "project \"members\" {}\nenvironment \"dev\" {}\n");
    project.write("images/small.image.hcl", "image \"small\" { from = \"./root\" }\n");
    project.write("stacks/app/main.tf", &definition(life));
    Some(project)
}

fn definition(life: &str) -> String {
    format!(
        "resource \"andon_image\" \"small\" {{ definition = \"small\" }}\nresource \"lab_network\" \"app\" {{}}\n\
         resource \"lab_pool\" \"web\" {{\n  name = \"web\"\n  size = 3\n  healthy_for = \"100ms\"\n  \
         image = andon_image.small.digest\n  network = lab_network.app.id\n  {life}\n}}\n"
    )
}

/// The identities of the members by their names.
fn members(project: &Project) -> BTreeMap<String, String> {
    let pool = project.objects().into_iter().find(|object| object["address"].as_str().unwrap().contains("lab_pool"));
    let text = |it: &Json| it.as_str().unwrap().to_owned();
    let members = pool.map(|pool| pool["value"]["members"].as_array().unwrap().clone()).unwrap_or_default();
    members.iter().map(|member| (text(&member["name"]), text(&member["identity"]))).collect()
}

#[test]
fn members_that_are_not_what_they_must_be_do_not_count() {
    need_lab!();
    for (life, expected) in [
        (
            "smoke_test {\n    users = [\"shop\"]\n    timeout = \"100ms\"\n  }",
            &["The user shop is not there.", "The user deploy is there, and is not expected."][..],
        ),
        (
            "performance {\n    cpu = \"900T\"\n    attempts = 2\n  }",
            &["`web-0` is too slow; making another one (2 of 2)", "a second, and must do 900T."],
        ),
    ] {
        let Some(project) = project("members-wrong", life) else { return };
        let ran = project.exits(1, &["up", "-y"]);
        for text in expected {
            assert!(ran.err.contains(text), "no `{text}` in {ran}");
        }
        assert!(members(&project).is_empty(), "{ran}");
        // What it should be can be said otherwise.
        project.write("stacks/app/main.tf", &definition("smoke_test { users = [\"deploy\"] }"));
        project.ok(&["up", "-y"]);
        let before = members(&project);
        assert_eq!(before.len(), 3);
        assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
        // An image that is not what it must be comes to nothing, and the others stay.
        project.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        let ran = project.exits(1, &["apply", "-y"]);
        assert!(
            ran.err.contains("the old ones are back") && ran.err.contains("The user deploy is not there."),
            "{ran}"
        );
        assert_eq!(members(&project), before);
        // What is asked of new members changes nothing of those that are there.
        project.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n");
        project.write("stacks/app/main.tf", &definition("smoke_test { ports = [] }"));
        project.ok(&["apply", "-y"]);
        assert_eq!(members(&project), before);
        let names = names_in_the_lab(&project);
        project.ok(&["down", "-y"]);
        assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
    }
}

#[test]
fn members_that_have_drifted_are_replaced_one_after_another() {
    need_lab!();
    let Some(project) = project("members-drift", "on_drift = \"replace\"\n  strategy = \"blue_green\"") else { return };
    project.ok(&["up", "-y"]);
    let before = members(&project);
    project.ok(&["sync", "-y"]);
    assert_eq!(members(&project), before);
    project.in_server("web-1", "echo 2 >/var/lib/data");
    assert_eq!(project.ok(&["drift"]).code, Some(0), "data is no drift");
    project.in_server("web-1", "echo by hand >/etc/motd");
    project.in_server("web-2", "echo by hand >/etc/motd");
    let ran = project.exits(2, &["drift"]);
    for name in ["web-1", "web-2"] {
        assert!(
            ran.out.contains(&format!("app/lab_pool.web ({name}) is not as its image:\n    changed /etc/motd")),
            "{ran}"
        );
    }
    let said: Json = serde_json::from_str(&project.exits(2, &["drift", "--json"]).out).unwrap();
    let due = said["servers"].as_array().unwrap().iter().filter(|server| server["due"] == true);
    assert_eq!(due.map(|server| server["member"].as_str().unwrap()).collect::<Vec<_>>(), ["web-1", "web-2"]);
    project.ok(&["apply", "-y"]);
    assert_eq!(members(&project), before, "only a sync replaces what has drifted");

    // One that cannot be replaced stays, and is tried again by the next sync alone.
    let never = "on_drift = \"replace\"\n  smoke_test {\n    users = [\"shop\"]\n    timeout = \"100ms\"\n  }";
    project.write("stacks/app/main.tf", &definition(never));
    let ran = project.exits(1, &["sync", "-y"]);
    assert!(ran.err.contains("The user shop is not there."), "{ran}");
    assert_eq!(members(&project), before);
    project.write("stacks/app/main.tf", &definition("on_drift = \"replace\""));
    project.ok(&["apply", "-y"]);
    assert_eq!(members(&project), before);

    // Who is due is known by looking, whatever is said of the plan before; and what is to be replaced anyway is replaced once.
    let ran = project.ok(&["sync", "-y", "-refresh=false", "-replace=app/andon_image.small"]);
    let replacing = ran.err.lines().filter(|line| line.contains("Done: ") && line.contains("replaced"));
    assert_eq!(replacing.count(), 1, "{ran}");
    let place = |text: &str| ran.err.find(text).unwrap_or_else(|| panic!("no `{text}` in {ran}"));
    assert!(place("(web-1) is replaced: a file of its image") < place("(web-2) is replaced: a file of its image"));
    let after = members(&project);
    let kept: Vec<_> = after.values().filter(|identity| before.values().any(|it| it == *identity)).collect();
    assert_eq!(kept, [&before["web-0"]], "{after:?}");
    assert_eq!(after.len(), 3);
    for name in after.keys() {
        assert_eq!(project.in_server(name, "/bin/busybox cat /etc/motd"), "hello\n");
    }
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
}

#[test]
fn one_that_hangs_is_replaced_and_all_that_hang_are_told_of() {
    need_lab!();
    let life = "wait = \"4s\"\n  command = [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/etc\"]";
    let Some(project) = project("members-hang", life) else { return };
    let port = project.port;
    let balancer = format!(
        "resource \"lab_balancer\" \"web\" {{\n  listen = \"127.0.0.1:{port}\"\n  pool = lab_pool.web.id\n  \
         port = 80\n  health = \"/motd\"\n  interval = \"100ms\"\n  timeout = \"1s\"\n}}\n"
    );
    project.write("stacks/app/main.tf", &format!("{}{balancer}", definition(life)));
    project.ok(&["up", "-y"]);
    let before = members(&project);
    let signal = |name: &str, signal: &str| {
        project.in_server(name, &format!("/bin/busybox killall -{signal} busybox"));
    };
    let drift = || project.andon(&["drift"]);
    assert_eq!(drift().code, Some(0), "{}", drift());
    // A while is no reason to replace one; longer than a start may take is.
    signal("web-1", "STOP");
    eventually("a member that hangs is drift", PATIENCE, || drift().code == Some(2));
    let ran = drift();
    assert!(ran.out.contains("web-1 runs and does not answer its balancer"), "{ran}");
    let ran = project.andon(&["status"]);
    assert!(format!("{ran}").contains("fault web-1 runs and does not answer its balancer"), "{ran}");
    assert_eq!(project.andon(&["plan", "--detailed-exitcode"]).code, Some(2));
    assert_eq!(members(&project), before, "to look replaces nobody");
    let ran = project.ok(&["sync", "-y"]);
    let after = members(&project);
    assert_ne!(after["web-1"], before["web-1"], "{ran}");
    assert_eq!((&after["web-0"], &after["web-2"]), (&before["web-0"], &before["web-2"]), "{ran}");
    assert_eq!(drift().code, Some(0), "{}", drift());
    assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));
    // Where all hang, whatever is amiss is not theirs alone.
    ["web-0", "web-1", "web-2"].iter().for_each(|name| signal(name, "STOP"));
    eventually("all hang", PATIENCE, || drift().out.contains("none of its members answers its balancer"));
    project.ok(&["sync", "-y"]);
    assert_eq!(members(&project), after);
    ["web-0", "web-1", "web-2"].iter().for_each(|name| signal(name, "CONT"));
    eventually("all are well again", PATIENCE, || {
        project.andon(&["sync", "-y"]);
        drift().code == Some(0)
    });
    assert_eq!(members(&project), after);
    project.ok(&["down", "-y"]);
}

#[test]
fn members_that_are_too_old_are_replaced() {
    need_lab!();
    let Some(project) = project("members-old", "max_age = \"30d\"") else { return };
    project.ok(&["up", "-y"]);
    let before = members(&project);
    project.ok(&["sync", "-y"]);
    assert_eq!(members(&project), before);
    // Time passes.
    let path = project.data_dir.join("lab/objects").join(&before["web-1"]);
    let mut record: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["value"]["created"] = "2020-01-01T00:00:00Z".into();
    fs::write(&path, record.to_string()).unwrap();
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("(web-1): it is") && ran.out.contains("may be 30 days (`max_age`)"), "{ran}");
    project.ok(&["sync", "-y"]);
    let after = members(&project);
    let new: Vec<_> = after.values().filter(|identity| !before.values().any(|it| it == *identity)).collect();
    assert!(new.len() == 1 && !after.values().any(|identity| *identity == before["web-1"]), "{after:?}");
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
}

#[test]
fn a_replacement_that_is_stopped_by_hand_is_gone_on_with() {
    need_lab!();
    let Some(project) = project("members-stopped", "") else { return };
    project.ok(&["up", "-y"]);
    let before = members(&project);
    let names = names_in_the_lab(&project).len();
    project.write("root/etc/motd", "another\n");
    let main = project.directory.join("stacks/app/main.tf");
    let patient = fs::read_to_string(&main).unwrap().replace("\"100ms\"", "\"60s\"");
    fs::write(&main, patient).unwrap();
    let began = Instant::now();
    let text = project.stopped_when(&["apply", "-y"], "requests go to");
    assert!(began.elapsed() < Duration::from_secs(50), "it does not wait until new members are good");
    assert!(text.contains("It was stopped by hand"), "{text}");
    project.edit("stacks/app/main.tf", "\"60s\"", "\"100ms\"");
    // What was begun is seen also where the definition is again what it was: an apply ends it.
    project.write("root/etc/motd", "hello\n");
    assert!(project.andon(&["plan", "-refresh=false"]).out.contains("was begun and is not at its end"));
    project.ok(&["apply", "-y"]);
    assert_eq!(members(&project), before);
    assert_eq!(names_in_the_lab(&project).len(), names, "those that were new are gone");
    assert!(project.ok(&["plan"]).all().contains("no changes"));
    project.write("root/etc/motd", "another\n");
    project.ok(&["apply", "-y"]);
    let after = members(&project);
    assert!(after.len() == 3 && after.values().all(|identity| !before.values().any(|it| it == identity)), "{after:?}");
    assert_eq!(project.in_server(after.keys().next().unwrap(), "/bin/busybox cat /etc/motd"), "another\n");
    let names = names_in_the_lab(&project);
    project.ok(&["down", "-y"]);
    assert_eq!(left_of(&names, &project.data_dir), Vec::<String>::new());
}

#[test]
fn a_pool_of_one_that_dies_again_and_again_is_given_up() {
    need_lab!();
    let Some(project) = project("members-dying", "deaths = 3") else { return };
    project.edit("stacks/app/main.tf", "size = 3", "size = 1");
    project.ok(&["up", "-y"]);
    for death in 1..=3 {
        let (_, identity) = members(&project).pop_first().unwrap();
        kill_server(&project.data_dir, &identity);
        // Whoever looks, sees it; it counts once.
        for _ in 0..3 {
            eventually("the death is seen", Duration::from_secs(60), || {
                project.andon(&["plan"]).out.contains("lab_pool.web")
            });
        }
        let ran = project.andon(&["apply", "-y"]);
        if death < 3 {
            assert!(ran.code == Some(0) && ran.err.contains("web-0 runs again"), "{ran}");
            assert_eq!(members(&project).len(), 1);
        } else {
            assert!(ran.code == Some(1) && ran.err.contains("die too fast"), "{ran}");
        }
    }
    // Another apply, which is stopped or fails, does not forget why.
    project.exits(1, &["apply", "-y"]);
    assert!(project.ok(&["status"]).out.contains("members end too fast"));
    // The first apply that found it said so in the ledger; plans before it wrote nothing.
    assert_eq!(faults(&project), [Json::from("members end too fast: 3 have ended within 10 min")]);
    project.ok(&["down", "-y"]);
}
