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
    project.write("root/var/www/index.html", "hello\n");
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
    project.in_server("web-1", "echo 2 >/var/lib/data; echo 2 >/var/www/new; echo 'left by a start' >/etc/new");
    assert_eq!(project.ok(&["drift"]).code, Some(0), "data is no drift");

    let by_hand = "echo by hand >/etc/motd; echo by hand >/usr/share/other; /bin/busybox rm /etc/gone; \
                   echo by hand >/var/www/index.html";
    project.in_server("web-1", by_hand);
    let ran = project.exits(2, &["drift"]);
    let expected = format!(
        "{second} is not as its image:\n    removed /etc/gone\n    changed /etc/motd\n    added /usr/share/other\n    \
         changed /var/www/index.html\n`andon sync` replaces what is to be replaced.\n"
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
    assert!(ran.err.contains(&format!("{second} is replaced: 4 files of its image")), "{ran}");
    let history = project.ok(&["drift", "--history"]).out;
    assert!(!history.contains("differs still") && history.matches("by `sync`").count() == 4, "{history}");
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
fn what_a_role_changed_is_the_servers_own() {
    need_lab!();
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::exists(path).unwrap()) else {
        return println!("skipped: there is no busybox; install busybox-static");
    };
    let life = "on_drift = \"replace\"";
    let project = project("phoenixes-role", life);
    fs::create_dir_all(project.directory.join("root/bin")).unwrap();
    fs::copy(busybox, project.directory.join("root/bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", project.directory.join("root/bin/sh")).unwrap();
    let role = |motd: &str| {
        format!(
            "role \"app\" {{\n  file \"/etc/motd\" {{ content = \"{motd}\\n\" }}\n  \
             file \"/usr/share/brought\" {{ content = \"app\\n\" }}\n}}\n"
        )
    };
    project.write("roles/app.role.hcl", &role("by the role"));
    let host = "resource \"andon_host\" \"web\" {\n  count = 2\n  \
                connection = lab_server.web[count.index].connection\n  role = \"app\"\n}\n";
    project.write("stacks/app/main.tf", &format!("{}{host}", definition(life)));
    project.ok(&["up", "-y"]);
    let before = servers(&project);
    let stays = |what: &str| {
        assert!(project.ok(&["drift"]).out.contains("everything is as defined"), "{what}");
        let ran = project.ok(&["sync", "-y"]);
        assert_eq!(servers(&project), before, "{what}: {ran}");
    };
    stays("converged");
    project.write("roles/app.role.hcl", &role("by the role, again"));
    project.ok(&["apply", "-y"]);
    stays("converged again");
    // What somebody did before a converge is not the role's.
    project.in_server("web-1", "echo by hand >/etc/gone");
    project.write("roles/app.role.hcl", &role("for the third time"));
    project.ok(&["apply", "-y"]);
    let ran = project.exits(2, &["drift"]);
    assert!(ran.out.contains("web[1] is not as its image:\n    changed /etc/gone\n"), "{ran}");
    assert!(!ran.out.contains("/etc/motd") && !ran.out.contains("web[0] is not"), "{ran}");
    // One sync is enough, and the role comes back.
    project.ok(&["sync", "-y"]);
    let after = servers(&project);
    let (first, second) = ("app/lab_server.web[0]", "app/lab_server.web[1]");
    assert_eq!(before[first], after[first]);
    assert_ne!(before[second], after[second]);
    assert_eq!(project.in_server("web-1", "/bin/busybox cat /etc/motd"), "for the third time\n");
    project.ok(&["sync", "-y"]);
    assert_eq!(servers(&project), after);
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));
}

/// What is measured of a server's processor, of which it has so much; none where it may not be limited.
fn measured(project: &Project, cpus: &str) -> f64 {
    let slow = format!("{cpus}\n  performance {{\n    cpu = \"900T\"\n    attempts = 1\n  }}");
    project.write("stacks/app/main.tf", &definition(&slow));
    let ran = project.exits(1, &["up", "-y"]);
    let said = ran.err.split("Its processor does ").nth(1).unwrap_or_else(|| panic!("{ran}"));
    let number = said.split(' ').next().unwrap();
    let (number, unit) = number.split_at(number.find(|it: char| it.is_ascii_alphabetic()).unwrap_or(number.len()));
    let unit = match unit {
        "G" => 1024.0 * 1024.0,
        "M" => 1024.0,
        "K" => 1.0,
        _ => panic!("{ran}"),
    };
    number.parse::<f64>().unwrap() * unit
}

#[test]
fn a_processor_is_measured_as_a_server_may_use_it() {
    need_lab!();
    let project = project("phoenixes-slow", "");
    // So little that a machine with much else to do gives more to a server that is not limited.
    let limited = measured(&project, "cpus = 0.03");
    // What else this machine does can only make it slower.
    let best = (0..5).map(|_| measured(&project, "")).find(|whole| limited < whole / 2.0);
    assert!(best.is_some(), "three hundredths of a processor do {limited} KiB a second");
}

#[test]
fn servers_that_are_too_old_are_replaced_one_after_another() {
    need_lab!();
    let project = project("phoenixes-old", "max_age = \"30d\"");
    project.ok(&["up", "-y"]);
    let before = servers(&project);
    project.ok(&["sync", "-y"]);
    assert_eq!(servers(&project), before);
    project.ages();
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

#[test]
fn a_replacement_that_could_never_be_made_first_is_refused_by_the_first_plan() {
    need_lab!();
    let volume = "resource \"lab_volume\" \"data\" { size = \"16M\" }\n";
    for (life, what) in [
        ("address = \"10.64.0.9\"", "address"),
        ("max_age = \"30d\"\n  address = \"10.64.0.9\"", "address"),
        ("volumes = { \"/srv\" = lab_volume.data.id }", "volumes"),
    ] {
        let project = project("phoenixes-held", life);
        let text = definition(life);
        project.write("stacks/app/main.tf", &format!("{text}{volume}"));
        let ran = project.exits(1, &["plan"]);
        let line = 1 + text.lines().position(|line| line.trim().starts_with(what)).unwrap();
        let expected = format!("`{what}` and `create_before_destroy` exclude each other");
        assert!(ran.err.contains(&expected) && ran.err.contains(&format!("main.tf:{line}:")), "{ran}");
        assert!(ran.err.contains(&format!("leave `{what}` out")) && ran.err.contains("deleted first"), "{ran}");
        // Without it, it is planned, but not for two at once.
        let text = format!("{text}{volume}").replace("lifecycle { create_before_destroy = true }", "");
        let text = text.replace("count = 2", "count = 1");
        project.write("stacks/app/main.tf", &text);
        project.ok(&["plan"]);
    }
}
