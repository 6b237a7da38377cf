//! Servers that are replaced rather than repaired: by age, and by what in them is not as in their image.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value as Json;

use crate::support::{Project, need_lab};

/// Two servers of a small image; what they say of themselves follows.
fn project(name: &str, life: &str) -> Project {
    let project = Project::empty(name);
    project.write("root/etc/motd", "hello\n");
    project.write("root/etc/gone", "x\n");
    project.write("root/usr/share/tool", "one\n");
    project.write("root/var/lib/data", "1\n");
    project.write("andon.hcl", "project \"phoenixes\" {}\nenvironment \"dev\" {}\n");
    project.write("images/small.image.hcl", "image \"small\" { from = \"./root\" }\n");
    project.write("stacks/app/main.tf", &definition(life));
    project
}

fn definition(life: &str) -> String {
    format!(
        "resource \"andon_image\" \"small\" {{ definition = \"small\" }}\nresource \"lab_network\" \"app\" {{}}\n\
         resource \"lab_server\" \"web\" {{\n  count = 2\n  name = \"web-${{count.index}}\"\n  \
         image = andon_image.small.digest\n  network = lab_network.app.id\n  {life}\n  \
         lifecycle {{ create_before_destroy = true }}\n}}\n"
    )
}

/// The identities of the servers by their place.
fn servers(project: &Project) -> BTreeMap<String, String> {
    let objects =
        project.objects().into_iter().filter(|object| object["address"].as_str().unwrap().contains("lab_server"));
    let text = |it: &Json| it.as_str().unwrap().to_owned();
    objects.map(|object| (text(&object["address"]), text(&object["identity"]))).collect()
}

#[test]
fn what_is_not_as_in_the_image_is_told_and_healed_by_replacement() {
    need_lab!();
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::exists(path).unwrap()) else {
        return println!("skipped: there is no busybox; install busybox-static");
    };
    let project = project("phoenixes", "on_drift = \"replace\"");
    fs::create_dir_all(project.directory.join("root/bin")).unwrap();
    fs::copy(busybox, project.directory.join("root/bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", project.directory.join("root/bin/sh")).unwrap();
    project.ok(&["up", "-y"]);
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
    let before = servers(&project);
    let (first, second) = ("app/lab_server.web[0]", "app/lab_server.web[1]");
    project.in_server("web-1", "echo 2 >/var/lib/data; echo 'left by a start' >/etc/new");
    assert_eq!(project.ok(&["drift"]).code, Some(0), "data is no drift");

    let by_hand = "echo by hand >/etc/motd; echo by hand >/usr/share/other; /bin/busybox rm /etc/gone";
    project.in_server("web-1", by_hand);
    let ran = project.exits(2, &["drift"]);
    let expected = format!(
        "{second} is not as its image:\n    removed /etc/gone\n    changed /etc/motd\n    added /usr/share/other\n\
         `andon sync` replaces what is to be replaced.\n"
    );
    assert_eq!(ran.out, expected, "{ran}");
    let ran = project.exits(2, &["drift", "--json"]);
    let said: Json = serde_json::from_str(&ran.out).unwrap();
    let of =
        |address: &str| said["servers"].as_array().unwrap().iter().find(|it| it["address"] == address).unwrap().clone();
    assert_eq!((&of(first)["due"], &of(second)["due"]), (&Json::Bool(false), &Json::Bool(true)));
    assert_eq!(of(second)["drift"][1], "changed /etc/motd");

    let history = project.ok(&["drift", "--history"]).out;
    for (path, how) in [("/etc/gone", "removed"), ("/etc/motd", "changed"), ("/usr/share/other", "added")] {
        assert!(history.contains(&format!("{second} {path}: {how}\n    differs still")), "{history}");
    }
    let ran = project.ok(&["sync", "-y"]);
    assert!(ran.err.contains(&format!("{second} is replaced: 3 files of its image")), "{ran}");
    let history = project.ok(&["drift", "--history"]).out;
    assert!(!history.contains("differs still") && history.matches("by `sync`").count() == 3, "{history}");
    let after = servers(&project);
    assert_eq!(before[first], after[first]);
    assert_ne!(before[second], after[second]);
    assert_eq!(project.in_server("web-1", "/bin/busybox cat /etc/motd"), "hello\n");
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
    project.ok(&["sync", "-y"]);
    assert_eq!(servers(&project), after);
    // What sync itself finds, before anybody has looked, is in the history, too.
    project.in_server("web-0", "echo by hand >/usr/share/tool");
    project.ok(&["sync", "-y"]);
    let history = project.ok(&["drift", "--history"]).out;
    assert!(history.contains(&format!("{first} /usr/share/tool: changed\n    put right")), "{history}");
    let after = servers(&project);

    // Where drift is only told of, nothing is replaced.
    project.write("stacks/app/main.tf", &definition("on_drift = \"report\""));
    project.ok(&["up", "-y"]);
    assert_eq!(servers(&project), after, "what is said of drift changes in place");
    project.in_server("web-0", "echo by hand >/etc/motd");
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("changed /etc/motd") && ran.out.contains("-replace=ADDRESS"), "{ran}");
    project.ok(&["sync", "-y"]);
    assert_eq!(servers(&project), after);
}

#[test]
fn servers_that_are_too_old_are_replaced_one_after_another() {
    need_lab!();
    let project = project("phoenixes-old", "max_age = \"30d\"");
    project.ok(&["up", "-y"]);
    let before = servers(&project);
    project.ok(&["sync", "-y"]);
    assert_eq!(servers(&project), before);
    // Time passes.
    let state = project.ok(&["state", "pull"]).out;
    let mut state: Json = serde_json::from_str(&state).unwrap();
    for resource in state["resources"].as_array_mut().unwrap() {
        for instance in resource["instances"].as_array_mut().unwrap() {
            if instance["attributes"].get("created").is_some() {
                instance["attributes"]["created"] = "2020-01-01T00:00:00Z".into();
            }
        }
    }
    state["serial"] = (state["serial"].as_u64().unwrap() + 1).into();
    project.write("state.json", &state.to_string());
    project.ok(&["state", "push", "state.json"]);
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("days old, and may be 30 days (`max_age`)"), "{ran}");
    let ran = project.ok(&["sync", "-y"]);
    let after = servers(&project);
    assert!(before.iter().all(|(address, identity)| after[address] != *identity), "{ran}");
    // One is there again before the next one goes.
    let place = |text: &str| ran.err.find(text).unwrap_or_else(|| panic!("no `{text}` in {ran}"));
    assert!(place("web[0] is replaced") < place("web[1] is replaced"));
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (life, expected) in [
        ("max_age = \"a month\"", "`a month` is no age"),
        ("max_age = \"0s\"", "`0s` is no age"),
        ("on_drift = \"heal\"", "`heal` is nothing that comes of drift"),
    ] {
        let project = project("phoenixes-wrong", life);
        let ran = project.exits(1, &["check"]);
        assert!(ran.err.contains(expected) && ran.err.contains("main.tf:8"), "{ran}");
    }
}
