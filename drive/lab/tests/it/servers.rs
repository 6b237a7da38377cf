//! Servers.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Found, Reached};
use andon_schema::Identity;
use andon_value::{Type, Value};

use crate::Test;
use crate::backend::{free_port, get};
use crate::world::{OWNER, World, config, init, inside, lab, root, run};

pub const TESTS: &[Test] = &[
    ("server_boots", boots),
    ("server_limits_are_real", limits_are_real),
    ("server_addresses", addresses),
    ("server_that_was_killed_is_started_again_with_its_files", killed),
    ("servers_come_up_together", together),
    ("servers_of_two_networks", two_networks),
    ("server_with_a_bad_image", bad_image),
    ("server_with_another_init", another_init),
    ("server_opens_no_device_of_its_image", no_device_of_the_image),
    ("server_below_somebody_elses_home", below_a_home),
    ("two_creators_of_one_server", two_creators),
    ("kill_of_the_creator_loses_nothing", kills),
    ("server_answers_from_outside_or_does_not", answers),
    ("server_that_was_never_started_can_be_made_so_again", starts_anew),
];

const KIND: &str = "lab_server";

fn given(name: &str, network: &Identity) -> Vec<(&'static str, Value)> {
    vec![("name", name.into()), ("image", "sha256:00".into()), ("network", network.as_str().into())]
}

fn with_memory(name: &str, network: &Identity, memory: &str) -> Vec<(&'static str, Value)> {
    let mut given = given(name, network);
    given.push(("memory", memory.into()));
    given
}

fn wait_for_units(server: &Identity) {
    let state = inside(server, "systemctl is-system-running --wait");
    assert_eq!(state.trim(), "running", "{}", inside(server, "systemctl --no-pager --failed"));
}

fn boots(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, network_value) = world.create("lab_network", &[]).unwrap();
    let start = Instant::now();
    let (server, value) = world.create(KIND, &with_memory("web-0.example", &network, "256M")).unwrap();
    let created = start.elapsed();
    assert_eq!(inside(&server, "hostname").trim(), "web-0.example");
    wait_for_units(&server);
    println!("create: {created:?}; all units up: {:?}", start.elapsed());
    let address = value.get_str("address").unwrap();
    assert_eq!(get(&format!("{address}:80"), "/").unwrap().status, 200);
    assert!(inside(&server, "cat /etc/hosts").contains(&format!("{address} web-0.example web-0")));
    assert_eq!(inside(&server, "cat /etc/machine-id").trim().len(), 32);
    let gateway = network_value.get_str("gateway").unwrap();
    assert!(inside(&server, &format!("ping -c1 -W2 {gateway}")).contains(" 0% packet loss"));
    assert!(inside(&server, "cat /proc/1/cgroup").contains("0::/init.scope"), "its own root of control groups");
    assert!(inside(&server, "echo 1 > /proc/sys/kernel/panic").contains("Read-only"));
    assert_eq!(inside(&server, "echo 4096 > /proc/sys/net/core/somaxconn"), "");
    assert!(inside(&server, "systemd-run -q --wait -P mknod /tmp/disk b 254 0").contains("not permitted"));
    assert!(inside(&server, "touch /written-inside").is_empty());
    assert!(!root().unwrap().join("written-inside").exists());
    // Its root is nobody here, and yet its files are root's, inside and on the disk.
    let users = inside(&server, "cat /proc/self/uid_map");
    let users: Vec<u64> = users.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(users[0] == 0 && users[1] >= 0x8_0000 && users[2] == 65536, "{users:?}");
    assert_eq!(inside(&server, "stat -c %u:%g /written-inside /etc/shadow /etc /").lines().last(), Some("0:0"));
    let own = world.data.path().join("servers").join(server.as_str()).join("upper/written-inside");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(own).unwrap()), 0);
    assert_eq!(inside(&server, "chown 33:33 /written-inside; stat -c %u:%g /written-inside"), "33:33\n");
    let connection = value.get("connection").unwrap();
    assert_eq!(connection.get_str("identity"), Some(server.as_str()));
    assert_eq!(connection.get_str("address"), Some(address));
    let failure = world.lab.delete("lab_network", &network).unwrap_err();
    assert!(failure.detail.contains("web-0.example"), "{failure}");
    let start = Instant::now();
    world.lab.delete(KIND, &server).unwrap();
    println!("delete: {:?}", start.elapsed());
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn limits_are_real(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let (server, value) = world.create(KIND, &with_memory("small", &network, "96M")).unwrap();
    wait_for_units(&server);
    // As a unit of the server, so that it is counted there.
    let eat =
        "systemd-run --wait -p OOMScoreAdjust=1000 perl -e 'print length(\"a\" x (200 << 20))' 2>&1; echo status $?";
    let said = inside(&server, eat);
    assert!(said.contains("oom-kill") || said.contains("signal") || said.contains("status=9"), "{said}");
    assert_eq!(world.lab.read(KIND, &server, &value).unwrap(), Some(value.clone()));
    let value = world.update(KIND, &server, &value, &with_memory("small", &network, "512M")).unwrap().value;
    let said = inside(&server, eat);
    assert!(said.contains("status 0"), "{said}");
    // Less than what is in use ends nothing, and says how much that is.
    let hold = "systemd-run -q -u held perl -e 'my $held = \"a\" x (100 << 20); open F, \">/run/held\"; sleep 1000'";
    inside(&server, &format!("{hold}; while systemctl -q is-active held && [ ! -e /run/held ]; do :; done"));
    let failure = world.update(KIND, &server, &value, &with_memory("small", &network, "64M")).unwrap_err();
    let used = failure.detail.split(' ').find_map(|word| word.parse::<u64>().ok());
    assert!((100..512).contains(&used.unwrap()) && failure.help.len() == 1, "{failure}");
    assert_eq!(inside(&server, "systemctl is-active held; systemctl stop held"), "active\n");
    let mut limited = with_memory("small", &network, "512M");
    limited.push(("cpus", Value::from(andon_value::Number::parse("0.5").unwrap())));
    let value = world.update(KIND, &server, &value, &limited).unwrap().value;
    let said = inside(
        &server,
        "systemd-run -q --wait -P perl -e 'my $end = time + 2; while (time < $end) {} print join(\" \", times)'",
    );
    let used: f64 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(used < 1.6, "{said}");
    world.update(KIND, &server, &value, &given("small", &network)).unwrap();
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn addresses(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[("cidr", "10.99.7.0/29".into())]).unwrap();
    let fixed = |name: &str, address: &str| {
        let mut given = given(name, &network);
        given.push(("address", address.into()));
        world.create(KIND, &given)
    };
    for (address, word) in [("10.99.7.1", "gateway"), ("10.99.8.2", "10.99.7.0/29"), ("10.99.7.7", "10.99.7.0/29")] {
        let failure = fixed("bad", address).unwrap_err();
        assert!(failure.detail.contains(word), "{failure}");
    }
    let (one, value) = fixed("one", "10.99.7.2").unwrap();
    assert_eq!(value.get_str("address"), Some("10.99.7.2"));
    let failure = fixed("two", "10.99.7.2").unwrap_err();
    assert!(failure.detail.contains("`one`"), "{failure}");
    let (two, value) = world.create(KIND, &given("two", &network)).unwrap();
    assert_eq!(value.get_str("address"), Some("10.99.7.3"));
    let failure = world.create(KIND, &given("three", &Identity::parse("nowhere").unwrap())).unwrap_err();
    assert!(failure.summary.contains("no network `nowhere`"), "{failure}");
    for server in [one, two] {
        world.delete(KIND, &server);
    }
    world.delete("lab_network", &network);
}

fn killed(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let (server, value) = world.create(KIND, &with_memory("web", &network, "256M")).unwrap();
    let machine = inside(&server, "cat /etc/machine-id");
    assert_eq!(machine.trim().len(), 32);
    assert_eq!(inside(&server, "echo kept > /srv/kept; sync"), "");
    run("kill", &["-9", &init(&server)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.lab.init(&server).is_some() {
        assert!(Instant::now() < deadline);
    }
    let down = world.lab.read(KIND, &server, &value).unwrap().unwrap();
    assert_eq!(down.get("running"), Some(&Value::from(false)));
    assert_eq!(world.lab.resolve(KIND, &server).unwrap(), Found::Partial);
    let up = world.update(KIND, &server, &down, &with_memory("web", &network, "256M")).unwrap().value;
    assert_eq!(up, value);
    assert_eq!(inside(&server, "cat /srv/kept /etc/machine-id"), format!("kept\n{machine}"));
    wait_for_units(&server);
    assert_eq!(get(&format!("{}:80", value.get_str("address").unwrap()), "/").unwrap().status, 200);
    // Stopped on purpose, it stays so.
    let mut stopped = with_memory("web", &network, "256M");
    stopped.push(("running", false.into()));
    let value = world.update(KIND, &server, &up, &stopped).unwrap().value;
    assert_eq!((value.get("running"), world.lab.init(&server)), (Some(&Value::from(false)), None));
    let refused = world.lab.restart(&server).unwrap_err();
    assert!(
        refused.summary == "`web` is defined as stopped" && refused.help[0].contains("running = true"),
        "{refused}"
    );
    assert_eq!(world.lab.init(&server), None);
    // It says to whom it is another name, when it runs again.
    let value = world.update(KIND, &server, &value, &given("other", &network)).unwrap().value;
    assert_eq!(inside(&server, "hostname; cat /etc/hostname"), "other\nother\n");
    let value = world.update(KIND, &server, &value, &given("third.example", &network)).unwrap().value;
    assert_eq!(inside(&server, "hostname; cat /etc/hostname"), "third.example\nthird.example\n");
    assert!(inside(&server, "cat /etc/hosts").contains("third.example third"));
    let before = init(&server);
    world.lab.restart(&server).unwrap();
    assert_ne!(init(&server), before);
    assert_eq!(world.lab.read(KIND, &server, &value).unwrap(), Some(value));
    assert_eq!(inside(&server, "cat /srv/kept"), "kept\n");
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

fn together(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let start = Instant::now();
    let servers: Vec<_> = std::thread::scope(|scope| {
        let create = |number| {
            let network = &network;
            scope.spawn(move || world.create(KIND, &given(&format!("web-{number}"), network)).unwrap())
        };
        let threads: Vec<_> = (0..20).map(create).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("20 servers: {:?}", start.elapsed());
    let addresses: std::collections::BTreeSet<_> =
        servers.iter().map(|(_, value)| value.get_str("address").unwrap()).collect();
    assert_eq!(addresses.len(), 20);
    servers.iter().for_each(|(server, _)| wait_for_units(server));
    println!("20 servers, all units up: {:?}", start.elapsed());
    for address in addresses {
        assert_eq!(get(&format!("{address}:80"), "/").unwrap().status, 200);
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (server, _) in &servers {
            scope.spawn(|| world.delete(KIND, server));
        }
    });
    println!("20 servers deleted: {:?}", start.elapsed());
    world.delete("lab_network", &network);
}

fn two_networks(world: &World) {
    if root().is_none() {
        return;
    }
    let made: Vec<_> = ["a", "b"]
        .map(|name| {
            let (network, _) = world.create("lab_network", &[("name", name.into())]).unwrap();
            let (server, value) = world.create(KIND, &given(name, &network)).unwrap();
            (network, server, value)
        })
        .into();
    let addresses: Vec<_> = made.iter().map(|(_, _, value)| value.get_str("address").unwrap()).collect();
    assert_ne!(addresses[0].rsplit_once('.').unwrap().0, addresses[1].rsplit_once('.').unwrap().0);
    for (network, server, value) in &made {
        wait_for_units(server);
        assert_eq!(get(&format!("{}:80", value.get_str("address").unwrap()), "/").unwrap().status, 200);
        world.delete(KIND, server);
        world.delete("lab_network", network);
    }
}

fn bad_image(world: &World) {
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let check = |layers: &[std::path::PathBuf], word: &str| {
        let config = crate::world::config(KIND, &given("web", &network));
        let (planned, _) = world.lab.plan(KIND, None, &config).unwrap();
        let extra =
            andon_lab::CreateExtra { owner: OWNER.to_owned(), lower_dirs: layers.to_vec(), ..Default::default() };
        let (failure, left) = world.lab.create(KIND, &world.identity(), &planned, &extra).unwrap_err();
        assert!(failure.to_string().contains(word), "{failure}");
        assert_eq!(left, None);
    };
    check(&[], "no layer");
    check(&[folder.path().join("absent")], "no directory");
    fs::create_dir(folder.path().join("sbin")).unwrap();
    fs::write(folder.path().join("sbin/init"), "no program").unwrap();
    check(&[folder.path().to_owned()], "init");
    world.delete("lab_network", &network);
}

/// The least that a server can be.
fn busybox_layer(lower: &std::path::Path) -> bool {
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::exists(path).unwrap()) else {
        println!("skipped: there is no busybox; install busybox-static");
        return false;
    };
    for directory in ["bin", "sbin", "etc"] {
        fs::create_dir_all(lower.join(directory)).unwrap();
    }
    fs::copy(busybox, lower.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("/bin/busybox", lower.join("sbin/init")).unwrap();
    std::os::unix::fs::symlink("/bin/busybox", lower.join("bin/sh")).unwrap();
    true
}

/// A device file of the image opens nothing, also where the server's root has its file system take devices.
fn no_device_of_the_image(world: &World) {
    use std::os::unix::fs::MetadataExt;
    let candidates = ["/dev/fuse", "/dev/loop-control", "/dev/net/tun", "/dev/kmsg"];
    let Some(device) = candidates.into_iter().find(|path| fs::File::open(path).is_ok()) else {
        println!("skipped: this machine has no device that could be opened");
        return;
    };
    let number = fs::metadata(device).unwrap().rdev();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let lower = folder.path().join("lower");
    if !busybox_layer(&lower) {
        return;
    }
    nix::sys::stat::mknod(
        &lower.join("node"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
        number,
    )
    .unwrap();
    let script = "mount -o remount,bind,dev /; mount | grep ' / ' > /etc/mounts; \
        (exec 3< /node) 2> /etc/said && echo opened >> /etc/said; \
        for name in null zero full random urandom tty; do test -c /dev/$name || echo no $name >> /etc/said; done; \
        head -c 1 /dev/zero | wc -c >> /etc/said; echo x > /dev/null && echo written >> /etc/said; mv /etc/said /etc/result\n";
    fs::write(lower.join("etc/try"), script).unwrap();
    let inittab = "::sysinit:/bin/busybox ash -c '/bin/busybox --install -s /bin; . /etc/try'\n\
        ::respawn:/bin/busybox httpd -f -p 80 -h /etc\n";
    fs::write(lower.join("etc/inittab"), inittab).unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let server = world.identity();
    let made = world.create_from(KIND, &server, &with_memory("small", &network, "16M"), vec![lower]).unwrap();
    let address = format!("{}:80", made.value.get_str("address").unwrap());
    let start = Instant::now();
    let said = loop {
        match get(&address, "/result") {
            Ok(answer) if answer.status == 200 => break answer.text().to_owned(),
            _ => assert!(start.elapsed() < Duration::from_secs(60)),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mounts = get(&address, "/mounts").unwrap();
    let mounts = mounts.text();
    assert!(!mounts.contains("nodev"), "its root may do so: {mounts}");
    assert!(said.contains("not permitted") && !said.contains("opened"), "{device}: {said}");
    assert!(said.ends_with("1\nwritten\n") && !said.contains("no "), "{said}");
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

/// Two layers, and an init that says nothing of when it serves.
fn another_init(world: &World) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let [upper, lower] = ["a:b, c", "lower"].map(|name| folder.path().join(name));
    if !busybox_layer(&lower) {
        return;
    }
    fs::create_dir_all(upper.join("etc")).unwrap();
    fs::write(upper.join("etc/inittab"), "::respawn:/bin/busybox httpd -f -p 80 -h /etc\n").unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let server = world.identity();
    let start = Instant::now();
    let value =
        world.create_from(KIND, &server, &with_memory("small", &network, "16M"), vec![upper, lower]).unwrap().value;
    let created = start.elapsed();
    let address = format!("{}:80", value.get_str("address").unwrap());
    while get(&address, "/hostname").is_err() {
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    println!("another init: create {created:?}, answers after {:?}", start.elapsed());
    assert_eq!(get(&address, "/hostname").unwrap().text(), "small\n");
    assert!(world.lab.init(&server).is_some());
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

/// As when a program that was thought dead is not.
/// The data directory is where only another user has a way through, as with `sudo` in a home directory.
fn below_a_home(world: &World) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    if root().is_none() {
        return;
    }
    let home = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(home.path(), Some(1000), Some(1000)).unwrap();
    let lab = lab(&home.path().join("data"));
    let make = |kind: &str, identity: &Identity, given: &[(&str, Value)]| {
        let (planned, _) = lab.plan(kind, None, &config(kind, given)).unwrap();
        let extra =
            CreateExtra { owner: OWNER.to_owned(), lower_dirs: root().into_iter().collect(), ..Default::default() };
        let made = lab.create(kind, identity, &planned, &extra).unwrap();
        assert!(made.notes.iter().all(|note| !note.contains("share the users")), "{:?}", made.notes);
        made.value
    };
    let [network, share, server] = [(); 3].map(|()| world.identity());
    make("lab_network", &network, &[]);
    make("lab_share", &share, &[("mode", "1777".into())]);
    let shares = Value::map(Type::String, [("/srv", Value::from(share.as_str()))]);
    make(KIND, &server, &[&given("web", &network)[..], &[("init", "andon".into()), ("shares", shares)]].concat());
    assert_eq!(inside(&server, "touch /srv/x /etc/x && stat -c %u /srv/x /etc/x"), "0\n0\n");
    // What is in it is for nobody else of this machine, whatever its modes say.
    for directory in [format!("servers/{server}"), format!("shares/{share}")] {
        let found = fs::metadata(home.path().join("data").join(&directory)).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (0o700, 0), "{directory}");
    }
    for (kind, identity) in [(KIND, &server), ("lab_share", &share), ("lab_network", &network)] {
        lab.delete(kind, identity).unwrap();
    }
}

fn two_creators(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let identity = world.identity();
    let create = || {
        let mut process = Command::new("/proc/self/exe");
        process.arg("victim-create").arg(world.data.path()).arg(KIND).arg(identity.as_str());
        process.args(["name=web", "image=sha256:00"]).arg(format!("network={network}")).spawn().unwrap()
    };
    for mut process in [create(), create(), create()] {
        assert!(process.wait().unwrap().success());
    }
    assert!(matches!(world.lab.resolve(KIND, &identity).unwrap(), Found::Complete(_)));
    let addresses = world.data.path().join("networks").join(network.as_str()).join("addresses");
    assert_eq!(fs::read_dir(addresses).unwrap().count(), 1);
    world.delete(KIND, &identity);
    world.delete("lab_network", &network);
}

/// Kills the process that makes or removes something, at moments spread over its life, and goes on from there.
fn kills(world: &World) {
    if root().is_none() {
        return;
    }
    let rounds: u32 = std::env::var("ANDON_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let identity = world.identity();
    let run = |command: &str, kind: &str, given: &[String]| {
        let mut victim = Command::new("/proc/self/exe");
        victim.arg(command).arg(world.data.path()).arg(kind).arg(identity.as_str()).args(given);
        victim.stdin(Stdio::null()).spawn().unwrap()
    };
    let server = vec!["name=web".to_owned(), "image=sha256:00".to_owned(), format!("network={network}")];
    let kinds = [
        (KIND, server),
        ("lab_network", vec!["name=net".to_owned()]),
        ("lab_balancer", vec![format!("listen={}", free_port())]),
    ];
    let mut found = [0; 3];
    for (kind, given) in &kinds {
        let start = Instant::now();
        assert!(run("victim-create", kind, given).wait().unwrap().success());
        let created = start.elapsed();
        let start = Instant::now();
        assert!(run("victim-delete", kind, given).wait().unwrap().success());
        let deleted = start.elapsed();
        println!("{kind}: create {created:?}, delete {deleted:?}");
        for round in 0..rounds {
            // Spread evenly by the golden ratio, so that any number of rounds covers the whole of it.
            let moment = (f64::from(round) * 0.618_033_988_75).fract();
            let mut victim = run("victim-create", kind, given);
            std::thread::sleep(created.mul_f64(moment));
            victim.kill().unwrap();
            victim.wait().unwrap();
            match world.lab.resolve(kind, &identity).unwrap() {
                Found::Complete(value) => {
                    found[0] += 1;
                    assert!(value.is_wholly_known());
                    assert!(world.lab.read(kind, &identity, &value).unwrap().is_some());
                }
                Found::Partial => found[1] += 1,
                Found::Absent => {
                    found[2] += 1;
                    continue;
                }
            }
            if round % 3 == 0 {
                let mut victim = run("victim-delete", kind, given);
                std::thread::sleep(deleted.mul_f64(moment));
                victim.kill().unwrap();
                victim.wait().unwrap();
            }
            world.delete(kind, &identity);
            if kind == &KIND {
                assert!(!world.data.path().join("servers").join(identity.as_str()).exists());
            }
        }
    }
    let [complete, partial, absent] = found;
    println!("{} kills: {complete} complete, {partial} partial, {absent} absent", 3 * rounds);
    assert!(partial > 0);
    world.delete("lab_network", &network);
}

/// A network and a server in it, with the lab's own init, which listens on port 7780.
fn alone(world: &World, more: &[(&str, Value)]) -> (Identity, Vec<(&'static str, Value)>, Identity, Value) {
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let given = vec![
        ("name", "web".into()),
        ("image", "i".into()),
        ("network", network.as_str().into()),
        ("init", "andon".into()),
    ];
    let (server, value) = world.create("lab_server", &[&given[..], more].concat()).unwrap();
    (network, given, server, value)
}

fn answers(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _, server, value) = alone(world, &[]);
    let reached = || world.lab.reach(&value, &[7780, 81]).unwrap();
    assert_eq!(reached(), Reached { answers: true, closed: vec![81] });
    // A firewall of its own that says nothing to strangers.
    let filter = |rules: &str| run("nsenter", &["-t", &init(&server), "-n", "nft", rules]);
    filter("add table ip shut; add chain ip shut in { type filter hook input priority 0; policy drop; }");
    assert_eq!(reached(), Reached { answers: true, closed: vec![7780, 81] });
    filter("delete table ip shut");
    assert_eq!(reached().closed, [81]);
    inside(&server, "ip address flush dev eth0");
    assert_eq!(reached(), Reached { answers: false, closed: vec![7780, 81] });
    world.delete("lab_server", &server);
    world.delete("lab_network", &network);
}

fn starts_anew(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, given, server, made) = alone(world, &[("running", false.into())]);
    let started = |prior: &Value| world.update("lab_server", &server, prior, &given).unwrap().value;
    assert!(world.lab.is_new(&server));
    let other = [("name", "shop".into()), ("running", false.into())];
    let other = world.update("lab_server", &server, &made, &[&given[1..], &other].concat()).unwrap().value;
    assert_eq!(other.get_str("name"), Some("shop"));
    let runs = started(&other);
    assert_eq!(inside(&server, "hostname").trim(), "web");
    assert!(world.lab.is_new(&server), "nobody has looked at it");
    inside(&server, "echo x > /var/written");
    world.lab.discard_start(&server).unwrap();
    let stopped = world.lab.read("lab_server", &server, &runs).unwrap().unwrap();
    assert_eq!(stopped.get("running"), Some(&Value::from(false)));
    assert!(!world.data.path().join("servers").join(server.as_str()).exists());
    assert!(world.lab.is_new(&server));
    let again = started(&stopped);
    assert_eq!(again.get("address"), made.get("address"));
    assert_eq!(inside(&server, "ls /var/written 2>/dev/null"), "");
    world.lab.accept(&server).unwrap();
    assert!(!world.lab.is_new(&server));
    assert!(world.lab.discard_start(&server).unwrap_err().summary.contains("not new"));
    let stopped = world.update("lab_server", &server, &again, &[&given[..], &[("running", false.into())]].concat());
    started(&stopped.unwrap().value);
    assert!(!world.lab.is_new(&server), "it was started before");
    world.delete("lab_server", &server);
    world.delete("lab_network", &network);
}
