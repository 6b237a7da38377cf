//! Servers whose init is the lab's own supervisor: nothing of an image is needed.

use std::fs;
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Found};
use andon_schema::Identity;
use andon_value::{Type, Value};

use crate::Test;
use crate::backend::get;
use crate::world::{OWNER, World, init, inside, root, run, texts};

pub const TESTS: &[Test] = &[
    ("supervisor_answers_how_its_server_is", answers),
    ("supervisor_keeps_a_command_running", commands),
    ("supervisor_keeps_the_end_of_what_a_command_says", talks),
    ("supervisor_ends_when_told_to", ends),
    ("supervisor_refuses_a_command_that_is_not_there", bad_command),
    ("server_of_layers_that_cannot_be_mapped_shares_users", shares_users),
    ("a_thousand_servers", a_thousand),
    ("kill_of_the_spawner_loses_nothing", spawner_killed),
];

const KIND: &str = "lab_server";

fn given(name: &str, network: &Identity) -> Vec<(&'static str, Value)> {
    vec![("name", name.into()), ("image", "sha256:00".into()), ("network", network.as_str().into())]
}

fn answer(value: &Value) -> serde_json::Value {
    let answer = get(&format!("{}:7780", value.get_str("address").unwrap()), "/").unwrap();
    let body: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(answer.status == 200, body["command"].is_null() || body["command"]["running"] == true);
    body
}

fn console(world: &World, server: &Identity) -> String {
    String::from_utf8(world.lab.console(server).unwrap()).unwrap()
}

/// What a command says is kept, as far as it is not long ago.
fn talks(world: &World) {
    use std::os::unix::fs::MetadataExt;
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let mut with_command = given("web", &network);
    let script = "seq 1 700000; while [ ! -e /srv/more ]; do sleep 0.05; done; seq 700001 700100; exec sleep 1000";
    with_command.push(("command", texts(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()])));
    let (server, _) = world.create(KIND, &with_command).unwrap();
    let log = world.data.path().join("servers").join(server.as_str()).join("console.log");
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(Instant::now() < deadline, "{:?}", fs::metadata(&log));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(&|| console(world, &server).ends_with("\n700000\n"));
    // On a file system without holes, all of it would be kept.
    wait(&|| fs::metadata(&log).unwrap().blocks() * 512 < 2 << 20);
    inside(&server, "touch /srv/more");
    wait(&|| console(world, &server).ends_with("\n700100\n"));
    let said = console(world, &server);
    assert!((1 << 19..2 << 20).contains(&said.len()), "{}", said.len());
    let lines: Vec<u32> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert!(lines.windows(2).all(|two| two[0] + 1 == two[1]), "nothing is missing in between");
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn answers(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let mut waited = Vec::new();
    for round in 0..5 {
        let server = world.identity();
        let start = Instant::now();
        let given = given(&format!("empty-{round}"), &network);
        let (planned, _) = world.lab.plan(KIND, None, &crate::world::config(KIND, &given)).unwrap();
        let extra =
            CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![folder.path().to_owned()], ..Default::default() };
        let value = world.lab.create(KIND, &server, &planned, &extra).unwrap().value;
        let said = answer(&value);
        waited.push(start.elapsed());
        assert_eq!(said["name"], format!("empty-{round}"));
        assert_eq!(world.lab.resolve(KIND, &server).unwrap(), Found::Complete(value.clone()));
        // Two to wait by, and the three of everybody: what it inherited is closed, and so is the question soon.
        let open = || fs::read_dir(format!("/proc/{}/fd", init(&server))).unwrap().count();
        let deadline = Instant::now() + Duration::from_secs(30);
        while open() > 5 {
            assert!(Instant::now() < deadline, "{} are open", open());
        }
        world.delete(KIND, &server);
    }
    println!("create to first answer: {waited:?}");
    world.delete("lab_network", &network);
}

fn commands(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let mut with_command = given("web", &network);
    // It has an orphan, and ends once it is told to.
    let script = "(sleep 0.05 &) ; echo begun; while [ ! -e /srv/end ]; do sleep 0.05; done; rm /srv/end; exit 3";
    with_command.push(("command", texts(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()])));
    with_command.push(("read_only_root", true.into()));
    let (server, value) = world.create(KIND, &with_command).unwrap();
    assert_eq!(inside(&server, "cat /proc/1/comm").trim(), "andon-init");
    assert_eq!(
        (&answer(&value)["command"]["starts"], &answer(&value)["command"]["last_end"]),
        (&1.into(), &serde_json::Value::Null)
    );
    assert!(inside(&server, "touch /srv/x; touch /etc/x").matches("Read-only file system").count() == 2);
    assert_eq!(inside(&server, "touch /var/x /tmp/x /run/x"), "");
    world.delete(KIND, &server);
    with_command.retain(|(name, _)| *name != "read_only_root");
    let (server, value) = world.create(KIND, &with_command).unwrap();
    assert_eq!(inside(&server, "touch /srv/end"), "");
    let deadline = Instant::now() + Duration::from_secs(60);
    while answer(&value)["command"]["starts"] != 2 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(answer(&value)["command"]["last_end"], "exit status 3");
    while console(world, &server) != "begun\nbegun\n" {
        assert!(Instant::now() < deadline);
    }
    let status = inside(&server, "cat /proc/[0-9]*/status");
    assert!(!status.contains("State:\tZ"), "{status}");
    world.delete(KIND, &server);
    let mut limited = given("web", &network);
    let script = "for i in $(seq 40); do sleep 60 & done; echo not reached";
    limited.push(("command", texts(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()])));
    limited.push(("processes", 20.into()));
    let (server, value) = world.create(KIND, &limited).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !console(world, &server).contains("fork") {
        assert!(Instant::now() < deadline);
    }
    limited.retain(|(name, _)| *name != "processes");
    let value = world.update(KIND, &server, &value, &limited).unwrap().value;
    limited.push(("processes", 200.into()));
    world.update(KIND, &server, &value, &limited).unwrap();
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn ends(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let mut with_command = given("web", &network);
    let script = "trap 'echo ended; exit' TERM; while :; do sleep 0.02; done";
    with_command.push(("command", texts(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()])));
    let (server, value) = world.create(KIND, &with_command).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    world.lab.restart(&server).unwrap();
    println!("restart: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(8), "it did not end by itself");
    assert_eq!(answer(&value)["command"]["starts"], 1);
    assert!(console(world, &server).contains("ended\n"));
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn bad_command(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let mut with_command = given("web", &network);
    with_command.push(("command", texts(&["/bin/absent".to_owned()])));
    let (planned, replace) = world.lab.plan(KIND, None, &crate::world::config(KIND, &with_command)).unwrap();
    assert!(replace.is_empty());
    let extra =
        CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![folder.path().to_owned()], ..Default::default() };
    let (failure, left) = world.lab.create(KIND, &world.identity(), &planned, &extra).unwrap_err();
    assert!(failure.detail.contains("cannot run `/bin/absent`"), "{failure}");
    assert_eq!(left, None);
    assert_eq!(planned.get("running"), Some(&Value::from(true)));
    assert!(
        planned.get("connection").unwrap().is_unknown() && planned.get("memory").unwrap() == &Value::null(Type::String)
    );
    world.delete("lab_network", &network);
}

/// An overlay cannot be seen in other numbers, so a server whose image lies on one has no users of its own, and says so.
fn shares_users(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    for name in ["a", "b", "image"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let image = folder.path().join("image");
    let place = folder.path().display();
    run(
        "mount",
        &["-t", "overlay", "overlay", "-o", &format!("lowerdir={place}/a:{place}/b"), image.to_str().unwrap()],
    );
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let notes = [0, 1].map(|_| {
        let server = world.identity();
        let made = world.create_from(KIND, &server, &given("web", &network), vec![image.clone()]).unwrap();
        assert!(answer(&made.value)["up_seconds"].is_number());
        let users = fs::read_to_string(format!("/proc/{}/uid_map", init(&server))).unwrap();
        assert_eq!(users.split_whitespace().nth(1), Some("0"), "{users}");
        world.delete(KIND, &server);
        made.notes.iter().filter(|note| note.contains("share the users")).count()
    });
    assert_eq!(notes, [1, 0], "it is said once");
    world.delete("lab_network", &network);
    run("umount", &[image.to_str().unwrap()]);
}

/// As many as there is memory for, at 4 MiB each; `ANDON_TEST_SERVERS` says another number.
fn a_thousand(world: &World) {
    let available = || -> u64 {
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let wanted = std::env::var("ANDON_TEST_SERVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000_u64);
    let (memory, room) = (available() >> 10, available() / 2 / 4096);
    let count = wanted.min(room);
    let why = if count < wanted { ": FEWER THAN ASKED FOR" } else { "" };
    println!(
        "{count} of {wanted} servers{why}; {memory} MiB of memory are available, of which half at 4 MiB each is enough for {room}"
    );
    assert!(count > 0, "there is no memory for one server");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (network, _) = world.create("lab_network", &[("cidr", "10.99.32.0/20".into())]).unwrap();
    let before = available();
    let start = Instant::now();
    let next = std::sync::atomic::AtomicU64::new(0);
    let each = |work: &(dyn Fn(u64) + Sync)| {
        next.store(0, std::sync::atomic::Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        if number >= count {
                            return;
                        }
                        work(number);
                    }
                });
            }
        });
    };
    let made = std::sync::Mutex::new(Vec::new());
    each(&|number| {
        let server = world.identity();
        let given = given(&format!("s{number}"), &network);
        let (planned, _) = world.lab.plan(KIND, None, &crate::world::config(KIND, &given)).unwrap();
        let extra =
            CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![folder.path().to_owned()], ..Default::default() };
        let value = world.lab.create(KIND, &server, &planned, &extra).unwrap().value;
        made.lock().unwrap().push((server, value));
    });
    let created = start.elapsed();
    let made = made.into_inner().unwrap();
    each(&|number| assert!(answer(&made[number as usize].1)["up_seconds"].is_number()));
    let answered = start.elapsed();
    let memory = before.saturating_sub(available()) / count;
    let start = Instant::now();
    each(&|number| world.lab.delete(KIND, &made[number as usize].0).unwrap());
    println!(
        "{count} servers: created in {created:?}, all answered after {answered:?}, {memory} KiB each, deleted in {:?}",
        start.elapsed()
    );
    world.delete("lab_network", &network);
}

/// Whoever starts servers is killed in the middle of it, again and again.
fn spawner_killed(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let spawner = || -> Option<String> {
        let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap();
        let mut children = children.split_whitespace();
        children
            .find(|child| {
                fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|words| words.ends_with(b"__lab-spawn\0"))
            })
            .map(str::to_owned)
    };
    let (mut done, mut failed) = (0, 0);
    for round in 0..60 {
        let server = world.identity();
        let given = given("web", &network);
        let (planned, _) = world.lab.plan(KIND, None, &crate::world::config(KIND, &given)).unwrap();
        let extra =
            CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![folder.path().to_owned()], ..Default::default() };
        let result = std::thread::scope(|scope| {
            let thread = scope.spawn(|| world.lab.create(KIND, &server, &planned, &extra));
            std::thread::sleep(Duration::from_micros(400 * round));
            if let Some(spawner) = spawner() {
                run("kill", &["-9", &spawner]);
            }
            thread.join().unwrap()
        });
        match result {
            Ok(made) => {
                assert!(answer(&made.value)["up_seconds"].is_number());
                done += 1;
            }
            Err((failure, left)) => {
                assert!(failure.summary.contains("starts servers") || failure.detail.contains("left"), "{failure}");
                assert_eq!(left, None);
                assert_eq!(world.lab.resolve(KIND, &server).unwrap(), Found::Absent);
                failed += 1;
            }
        }
        world.delete(KIND, &server);
    }
    println!("60 kills of the spawner: {done} servers made, {failed} refused");
    world.delete("lab_network", &network);
}
