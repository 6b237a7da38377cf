//! The days of `examples/shop`: the first, and the days after. Real servers, real nginx, the real binary.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Load, Project, eventually, get, kill_server, need_lab, share_images, traces};

const PATIENCE: Duration = Duration::from_secs(10);

fn answer(project: &Project) -> Result<(u16, String), String> {
    get(&format!("127.0.0.1:{}", project.port), "/", PATIENCE)
}

/// The digest of the shop's image.
fn digest(project: &Project) -> String {
    let image = project.objects().into_iter().find(|object| object["address"] == "web/andon_image.web").unwrap();
    image["value"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn up_again_and_down() {
    need_lab!();
    let project = Project::shop("first");
    let up = project.ok(&["up", "-y"]);
    for expected in ["create network/lab_network.app", "create web/lab_server.web[0, 1]"] {
        assert!(up.out.contains(expected), "the plan does not say `{expected}`\n{up}");
    }
    assert_eq!(up.out.lines().last(), Some(&*project.url("/")), "{up}");
    let (status, body) = answer(&project).unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("hello from dev"), "{body}");

    let again = project.ok(&["up", "-y"]);
    assert!(again.out.contains("no changes"), "{again}");
    assert!(again.took < Duration::from_secs(10), "no changes took {:?}", again.took);

    // Each server is a machine of its own.
    for (server, other) in [("web-0", "web-1"), ("web-1", "web-0")] {
        assert_eq!(project.in_server(server, "cat /etc/hostname").trim(), server);
        assert_eq!(project.in_server(server, "cat /proc/1/comm").trim(), "systemd");
        let processes = project.in_server(server, "ps -e -o args || cat /proc/[0-9]*/comm");
        assert!(processes.contains("nginx") && !processes.contains(other), "{processes}");
    }
    let status = project.ok(&["status"]);
    assert!(status.out.contains("web-0") && status.out.contains("ok"), "{status}");
    let outputs = project.ok(&["output", "--json"]);
    assert!(outputs.out.contains(&project.url("/")), "{outputs}");

    let identities = project.identities();
    let down = project.ok(&["down", "-y"]);
    let left: Vec<String> =
        traces(&project.data_dir).into_iter().filter(|trace| identities.iter().any(|id| trace.contains(id))).collect();
    assert_eq!(left, Vec::<String>::new(), "{down}");
    assert!(answer(&project).is_err(), "something still answers");
    let again = project.ok(&["down", "-y"]);
    assert!(again.out.contains("no changes"), "{again}");
}

#[test]
fn an_edited_greeting_is_shown_and_reloaded_without_a_failed_request() {
    need_lab!();
    let project = Project::shop("greeting");
    project.ok(&["up", "-y"]);
    let before = project.identities();
    project.edit("andon.hcl", "hello from dev", "good day from dev");
    let plan = project.ok(&["plan"]);
    for expected in ["-", "hello from dev", "+", "good day from dev", "@@", "reload service \"nginx\"", "2 to update"] {
        assert!(plan.out.contains(expected), "the plan does not show `{expected}`\n{plan}");
    }
    assert_eq!(plan.out.matches("@@ -").count(), 1, "one diff, as it is the same in both servers\n{plan}");
    assert!(answer(&project).unwrap().1.contains("hello from dev"), "a plan changes nothing");
    let load = Load::start(project.port, 3);
    project.ok(&["apply", "-y"]);
    let (answers, failures) = load.stop();
    assert_eq!(failures, Vec::<String>::new(), "of {answers} requests");
    assert!(answers > 20, "only {answers} requests were made");
    // A reload lets nginx's old workers finish what they have accepted.
    eventually("both servers give the new greeting", PATIENCE, || {
        (0..4).all(|_| answer(&project).unwrap().1.contains("good day from dev"))
    });
    assert_eq!(project.identities(), before, "nothing was replaced");
}

#[test]
fn a_new_image_replaces_servers_without_a_failed_request_or_a_broken_download() {
    need_lab!();
    let project = Project::shop("image");
    project.ok(&["up", "-y"]);
    let (old_digest, before) = (digest(&project), project.identities());
    for server in ["web-0", "web-1"] {
        // The place that nginx serves: a file in each server, large enough to take its time.
        project.in_server(server, "mkdir -p /var/www/html && head -c 8000000 /dev/zero > /var/www/html/big.bin");
    }
    project.edit(
        "roles/web.role.hcl",
        "package \"nginx\" {}",
        "package \"nginx\" {}\n\n  file \"/etc/shop-release\" {\n    content = \"2\\n\"\n  }",
    );
    let plan = project.ok(&["plan"]);
    assert!(plan.out.contains("replace web/lab_server.web[0, 1]"), "{plan}");
    assert!(plan.out.contains("the new one is made before the old one is deleted"), "{plan}");
    let load = Load::start(project.port, 3);
    let port = project.port;
    let download = std::thread::spawn(move || slow_download(port));
    std::thread::sleep(Duration::from_millis(300));
    let applied = project.ok(&["apply", "-y"]);
    let (answers, failures) = load.stop();
    assert_eq!(failures, Vec::<String>::new(), "of {answers} requests\n{applied}");
    assert_eq!(download.join().unwrap(), Ok(8_000_000), "{applied}");
    assert_ne!(digest(&project), old_digest);
    let after = project.identities();
    assert_eq!(after.len(), before.len());
    assert_eq!(project.in_server("web-0", "cat /etc/shop-release"), "2\n");
    let gone: Vec<String> = before.difference(&after).cloned().collect();
    assert_eq!(gone.len(), 2, "two servers were replaced");
    let left: Vec<String> =
        traces(&project.data_dir).into_iter().filter(|trace| gone.iter().any(|id| trace.contains(id))).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// Reads eight million bytes in about four seconds; how many came.
fn slow_download(port: u16) -> Result<usize, String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    write!(stream, "GET /big.bin HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").map_err(told)?;
    let mut all = Vec::new();
    let mut chunk = vec![0u8; 100_000];
    loop {
        let read = stream.read(&mut chunk).map_err(told)?;
        if read == 0 {
            break;
        }
        all.extend_from_slice(&chunk[..read]);
        std::thread::sleep(Duration::from_millis(read as u64 / 2_000));
    }
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no head")?;
    if !all.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&all[..head]).into_owned());
    }
    Ok(all.len() - head - 4)
}

#[test]
fn drift_is_named_and_synced_and_what_is_not_managed_is_left_alone() {
    need_lab!();
    let project = Project::shop("drift");
    project.ok(&["up", "-y"]);
    let none = project.ok(&["drift"]);
    assert!(none.out.contains("No drift"), "{none}");
    let managed = "/etc/nginx/sites-enabled/shop.conf";
    project
        .in_server("web-0", &format!("echo '# by hand' >> {managed}; systemctl stop nginx; echo x > /etc/unmanaged"));
    let drift = project.exits(2, &["drift"]);
    for expected in [&*format!("file \"{managed}\""), "-# by hand", "service \"nginx\"", "web/andon_host.web[0]"] {
        assert!(drift.out.contains(expected), "`{expected}` is not named\n{drift}");
    }
    for other in ["unmanaged", "andon_host.web[1]", "lab_server"] {
        assert!(!drift.out.contains(other), "`{other}` is named\n{drift}");
    }
    let json = project.exits(2, &["drift", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let drifted = json["drift"].as_array().unwrap();
    assert_eq!(drifted.len(), 1, "{json}");
    let changed: Vec<&str> = drifted[0]["report"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| ["create", "update", "remove"].contains(&entry["change"].as_str().unwrap()))
        .map(|entry| entry["address"].as_str().unwrap())
        .collect();
    assert_eq!(changed, [&*format!("file \"{managed}\""), "service \"nginx\""]);
    assert!(project.in_server("web-0", &format!("cat {managed}")).contains("by hand"), "drift changes nothing");

    project.ok(&["sync", "-y"]);
    assert!(!project.in_server("web-0", &format!("cat {managed}")).contains("by hand"));
    assert_eq!(project.in_server("web-0", "systemctl is-active nginx").trim(), "active");
    assert_eq!(project.in_server("web-0", "cat /etc/unmanaged"), "x\n");
    project.ok(&["drift"]);
}

#[test]
fn a_server_killed_from_outside_comes_back() {
    need_lab!();
    let project = Project::shop("killed");
    project.ok(&["up", "-y"]);
    let before = project.identities();
    project.in_server("web-1", "echo kept > /srv/kept");
    let server = project.objects().into_iter().find(|object| object["value"]["name"] == "web-1").unwrap();
    kill_server(&project.data_dir, server["identity"].as_str().unwrap());
    let drift = project.exits(2, &["drift"]);
    assert!(drift.out.contains("web/lab_server.web[1]") && drift.out.contains("running"), "{drift}");
    assert!(!drift.out.contains("web[0]"), "{drift}");
    let status = project.ok(&["status"]);
    assert!(
        status.out.contains("down  web/lab_server.web[1]") && status.out.contains("ok    web/lab_server.web[0]"),
        "{status}"
    );
    // What is inside a server was not looked at, and is not there without it.
    for expected in ["·     web/andon_host.web[0]", "down  web/andon_host.web[1]", "(its server does not run)"] {
        assert!(status.out.contains(expected), "{expected}: {status}");
    }
    assert!(answer(&project).is_ok(), "the other server answers");
    let plan = project.ok(&["plan"]);
    assert!(plan.out.contains("running = false → true") && !plan.out.contains("replace"), "{plan}");
    project.ok(&["sync", "-y"]);
    assert_eq!(project.in_server("web-1", "systemctl is-active nginx; cat /srv/kept"), "active\nkept\n");
    assert_eq!(project.identities(), before, "it is the same server");
    project.ok(&["drift"]);
    for _ in 0..4 {
        assert!(answer(&project).unwrap().1.contains("hello from dev"));
    }
}

/// As after a reboot: no process, no interface, no rule and no control group of the lab is left, only what is on the disk.
#[test]
fn what_a_reboot_took_comes_back_as_it_was() {
    need_lab!();
    let project = Project::shop("reboot");
    project.ok(&["up", "-y"]);
    let (identities, addresses) = (project.identities(), addresses(&project));
    for server in ["web-0", "web-1"] {
        project.in_server(server, "echo kept > /srv/kept");
    }
    let machine = project.in_server("web-0", "cat /etc/machine-id");
    reboot(&identities);
    for range in project.objects().iter().filter_map(|object| object["value"]["cidr"].as_str()) {
        std::process::Command::new("ip").args(["route", "delete", "unreachable", range]).status().unwrap();
    }
    assert!(answer(&project).is_err());
    let drift = project.exits(2, &["drift"]);
    for expected in ["lab_network.app", "lab_server.web[0, 1]", "lab_balancer.web"] {
        assert!(drift.out.contains(expected), "`{expected}` is not named\n{drift}");
    }
    let up = project.ok(&["up", "-y"]);
    assert!(!up.out.contains("create ") && !up.out.contains("replace "), "{up}");
    assert_eq!(project.identities(), identities, "nothing was replaced");
    assert_eq!(self::addresses(&project), addresses);
    assert_eq!(project.in_server("web-0", "cat /srv/kept /etc/machine-id"), format!("kept\n{machine}"));
    assert!(answer(&project).unwrap().1.contains("hello from dev"));
    project.ok(&["drift"]);
    // One of two, stopped and started again by hand: a run like any other, and not while another one changes the environment.
    let init = || project.in_server("web-1", "cut -d' ' -f22 /proc/1/stat");
    let (before, ledger) = (init(), ledger(&project));
    let (pid, who) = (std::process::id(), "ann@desk".to_owned());
    let holder = andon_store::Holder { pid, who, command: "up".to_owned(), since: andon_ledger::Timestamp(0) };
    let stay = |_: &_| std::ops::ControlFlow::Break(());
    let held = ledger.wait_for_lock("dev", &holder, Duration::ZERO, stay).unwrap();
    let refused = project.exits(1, &["restart", "web-1"]);
    assert!(refused.err.contains("locked by") && init() == before, "{refused}");
    drop(held);
    let restarted = project.ok(&["restart", "web-1"]);
    assert!(restarted.err.contains("web-1: restarted") && init() != before, "{restarted}");
    let runs = project.ok(&["logs", "--runs"]);
    let last = runs.out.lines().last().unwrap_or_default();
    assert!(last.contains("`restart web-1`") && last.ends_with(": restarted web-1"), "{runs}");
    assert_eq!(project.in_server("web-1", "cat /srv/kept; systemctl is-active nginx"), "kept\nactive\n");
    let refused = project.exits(1, &["restart", "local"]);
    assert!(refused.err.contains("`local` is no server of the lab"), "{refused}");
    project.ok(&["logs", "--console", "web-0"]);
}

fn ledger(project: &Project) -> andon_store::Ledger {
    let place = andon_store::Place::File(project.directory.join(".andon/ledger.db"));
    andon_store::Ledger::find(&place, None).unwrap().unwrap()
}

fn addresses(project: &Project) -> Vec<String> {
    let servers = project.objects().into_iter().filter(|object| object["value"]["address"].is_string());
    servers.map(|object| object["value"]["address"].as_str().unwrap().to_owned()).collect()
}

fn groups_in(group: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(group).unwrap().flatten();
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()).collect()
}

fn processes_in(group: &std::path::Path) -> Vec<i32> {
    let own = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok());
    own.chain(groups_in(group).iter().flat_map(|below| processes_in(below))).collect()
}

fn remove_group(group: &std::path::Path) {
    groups_in(group).iter().for_each(|below| remove_group(below));
    std::fs::remove_dir(group).unwrap();
}

/// Takes away everything of these objects that a reboot would.
fn reboot(identities: &std::collections::BTreeSet<String>) {
    let run = |program: &str, words: &[&str]| {
        std::process::Command::new(program).args(words).output().unwrap();
    };
    for identity in identities {
        for hierarchy in ["", "unified", "memory", "cpu", "pids"] {
            let group = std::path::Path::new("/sys/fs/cgroup").join(hierarchy).join("andon").join(identity);
            if !group.exists() {
                continue;
            }
            eventually("the processes of a control group have ended", PATIENCE, || {
                let processes = processes_in(&group);
                for process in &processes {
                    // SAFETY: a signal to a process that was just found in a control group of this test.
                    unsafe { libc::kill(*process, libc::SIGKILL) };
                }
                processes.is_empty()
            });
            remove_group(&group);
        }
        run("ip", &["link", "delete", &format!("an{identity}")]);
        run("ip", &["link", "delete", &format!("av{identity}")]);
        run("nft", &["delete", "table", "ip", &format!("andon_{identity}")]);
    }
}

#[test]
fn tests_of_roles_pass_and_fail_with_the_reason() {
    need_lab!();
    let project = Project::shop("test");
    let sound = project.ok(&["test"]);
    assert!(sound.out.contains("1 passed, 0 failed"), "{sound}");
    project.edit("roles/web/site.conf.tftpl", "return 200 \"ok", "return 500 \"ok");
    let broken = project.exits(1, &["test"]);
    assert!(broken.out.contains("FAIL"), "{broken}");
    assert!(broken.all().contains("500") && broken.all().contains("/healthz"), "the reason is not told\n{broken}");
    let status = project.ok(&["status", "--json"]);
    assert!(!status.out.contains("lab_server"), "the throw-away server is still there\n{status}");
}

#[test]
fn two_applies_at_once_do_not_mix() {
    need_lab!();
    let project = Project::shop("lock");
    let mut first = project
        .command(&["up", "-y"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the first holds the lock", PATIENCE, || {
        let place = andon_store::Place::File(project.directory.join(".andon/ledger.db"));
        let ledger = andon_store::Ledger::find(&place, None).ok().flatten();
        ledger.is_some_and(|ledger| ledger.locks().is_ok_and(|locks| !locks.is_empty()))
    });
    let refused = project.exits(1, &["apply", "-y"]);
    for expected in ["locked by", &format!("process {}", first.id()), "andon up", "since"] {
        assert!(refused.err.contains(expected), "`{expected}` is not told\n{refused}");
    }
    let began = Instant::now();
    let waited = project.ok(&["apply", "-y", "--lock-timeout", "120s"]);
    assert!(waited.err.contains("waiting for it to end"), "{waited}");
    assert!(waited.out.contains("no changes"), "after {:?}: {waited}", began.elapsed());
    assert!(first.wait().unwrap().success());
}

#[test]
fn purge_takes_the_ledger_and_the_images() {
    need_lab!();
    let mut project = Project::shop("purge");
    project.data_dir = project.directory.join(".data");
    share_images(&project.data_dir);
    project.ok(&["up", "-y"]);
    let (identities, digest) = (project.identities(), digest(&project));
    assert!(project.data_dir.join("images").join(digest.replace(':', "-")).exists());
    project.ok(&["down", "-y", "--purge"]);
    assert!(!project.directory.join(".andon").exists());
    for gone in [format!("images/{}", digest.replace(':', "-")), "servers".into(), "networks".into(), "lab".into()] {
        assert!(!project.data_dir.join(&gone).exists(), "{gone} is left");
    }
    let left: Vec<String> =
        traces(&project.data_dir).into_iter().filter(|trace| identities.iter().any(|id| trace.contains(id))).collect();
    assert_eq!(left, Vec::<String>::new());
}
