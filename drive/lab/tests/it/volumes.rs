//! Volumes, snapshots and shares on real servers.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use andon_lab::Found;
use andon_schema::Identity;
use andon_value::{Type, Value};

use crate::Test;
use crate::world::{World, init, inside, root, run};

pub const TESTS: &[Test] = &[
    ("volume_outlives_servers", outlives_servers),
    ("volume_is_attached_and_detached_while_a_server_runs", attached_in_place),
    ("volume_has_one_server", has_one_server),
    ("volume_grows", grows),
    ("volume_that_is_held_is_mounted_from_one_device", held),
    ("volume_has_other_file_systems", other_file_systems),
    ("volume_leaves_nothing_when_killed", leaves_nothing_when_killed),
    ("snapshot_is_restored", snapshot_is_restored),
    ("share_is_seen_by_several_servers", share_is_seen),
];

fn map(entries: &[(&str, &Identity)]) -> Value {
    Value::map(Type::String, entries.iter().map(|(path, id)| (*path, Value::from(id.as_str()))))
}

fn network(world: &World) -> Identity {
    world.create("lab_network", &[]).unwrap().0
}

/// A server that boots in milliseconds, with what is attached to it.
fn given(network: &Identity, attached: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let own =
        [("name", "web".into()), ("image", "i".into()), ("network", network.as_str().into()), ("init", "andon".into())];
    [&own[..], attached].concat()
}

fn volume(world: &World, size: &str) -> Identity {
    world.create("lab_volume", &[("name", "data".into()), ("size", size.into())]).unwrap().0
}

/// The kernel frees a loop device a moment after the last process that had it, for which nobody waits.
fn await_freed(image: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let devices = run("losetup", &["-j", image]);
        if devices.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{devices}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn outlives_servers(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, data) = (network(world), volume(world, "64M"));
    let (first, value) =
        world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv/data", &data)]))])).unwrap();
    assert_eq!(inside(&first, "findmnt -no FSTYPE /srv/data"), "ext4\n");
    inside(&first, "echo kept >/srv/data/file");
    let failure = world.lab.delete("lab_volume", &data).unwrap_err();
    assert!(failure.summary.contains("attached") && failure.detail.contains("`web`"), "{failure}");
    // Nothing of it is in this machine's own mount table.
    let image = world.data.path().join("volumes").join(data.as_str()).join("image").display().to_string();
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("/srv/data"));
    assert!(run("losetup", &["-j", &image]).contains("/dev/loop"));
    // Killed, it is started again with it.
    run("kill", &["-9", &init(&first)]);
    let prior = loop {
        let now = world.lab.read("lab_server", &first, &value).unwrap().unwrap();
        if now.get("running") == Some(&Value::from(false)) {
            break now;
        }
    };
    let again =
        world.update("lab_server", &first, &prior, &given(&network, &[("volumes", map(&[("/srv/data", &data)]))]));
    again.unwrap();
    assert_eq!(inside(&first, "cat /srv/data/file"), "kept\n");
    // Replaced, the next one gets it, at another path, also with a root that is read-only.
    world.delete("lab_server", &first);
    await_freed(&image);
    let read_only = [("volumes", map(&[("/var/lib/x", &data)])), ("read_only_root", true.into())];
    let (second, _) = world.create("lab_server", &given(&network, &read_only)).unwrap();
    assert_eq!(
        inside(&second, "cat /var/lib/x/file; touch /var/lib/x/new && ls /var/lib/x/new"),
        "kept\n/var/lib/x/new\n"
    );
    world.delete("lab_server", &second);
    world.delete("lab_volume", &data);
    world.delete("lab_network", &network);
}

fn attached_in_place(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, one, two) = (network(world), volume(world, "32M"), volume(world, "32M"));
    // With systemd, whose services have mount tables of their own.
    let given = |attached: &[(&'static str, Value)]| {
        let own = [("name", "web".into()), ("image", "i".into()), ("network", network.as_str().into())];
        [&own[..], attached].concat()
    };
    let (server, value) = world.create("lab_server", &given(&[])).unwrap();
    let process = init(&server);
    let value =
        world.update("lab_server", &server, &value, &given(&[("volumes", map(&[("/srv/a b", &one)]))])).unwrap().value;
    assert_eq!(inside(&server, "echo one >'/srv/a b/file'; stat -fc %T '/srv/a b'"), "ext2/ext3\n");
    let both = map(&[("/srv/a b", &one), ("/srv/a b/deep/er", &two)]);
    let value = world.update("lab_server", &server, &value, &given(&[("volumes", both)])).unwrap().value;
    inside(&server, "echo two >'/srv/a b/deep/er/file'");
    // One that is in use stays, with a word.
    let busy = "cd '/srv/a b/deep/er' && echo $$ >/tmp/user && exec sleep 100";
    let mut user = Command::new("nsenter").args(["-t", &process, "-a", "--", "/bin/sh", "-c", busy]).spawn().unwrap();
    while !inside(&server, "ls -l /proc/[0-9]*/cwd").contains("deep/er") {}
    let failure = world.update("lab_server", &server, &value, &given(&[])).unwrap_err();
    assert!(failure.summary.contains("in use"), "{failure}");
    inside(&server, "kill $(cat /tmp/user)");
    user.wait().unwrap();
    while inside(&server, "ls -l /proc/[0-9]*/cwd 2>&1").contains("deep/er") {}
    // One that somebody unmounted is seen, and comes back.
    inside(&server, "umount '/srv/a b/deep/er'");
    let now = world.lab.read("lab_server", &server, &value).unwrap().unwrap();
    assert_eq!(now.get("volumes"), Some(&map(&[("/srv/a b", &one)])));
    let both = map(&[("/srv/a b", &one), ("/srv/a b/deep/er", &two)]);
    let value = world.update("lab_server", &server, &now, &given(&[("volumes", both)])).unwrap().value;
    assert_eq!(inside(&server, "cat '/srv/a b/deep/er/file'"), "two\n");
    // One that another lies in goes, and the other stays; it comes again, and the other lies in it again.
    let inner = map(&[("/srv/a b/deep/er", &two)]);
    let value = world.update("lab_server", &server, &value, &given(&[("volumes", inner)])).unwrap().value;
    assert_eq!(inside(&server, "ls '/srv/a b'; cat '/srv/a b/deep/er/file'"), "deep\ntwo\n");
    let both = map(&[("/srv/a b", &one), ("/srv/a b/deep/er", &two)]);
    let value = world.update("lab_server", &server, &value, &given(&[("volumes", both)])).unwrap().value;
    assert_eq!(inside(&server, "cat '/srv/a b/file' '/srv/a b/deep/er/file'"), "one\ntwo\n");
    let value =
        world.update("lab_server", &server, &value, &given(&[("volumes", map(&[("/srv/two", &two)]))])).unwrap().value;
    assert_eq!(inside(&server, "cat /srv/two/file; ls '/srv/a b'"), "two\ndeep\n");
    let value = world
        .update("lab_server", &server, &value, &given(&[("volumes", map(&[("/opt/data/two", &two)]))]))
        .unwrap()
        .value;
    world.update("lab_server", &server, &value, &given(&[])).unwrap();
    assert_eq!(init(&server), process);
    // A directory that was made for a volume is no drift; what somebody put there is.
    let changed = || {
        let changed = world.lab.changed_files(&server, &[root().unwrap()], &["/var", "/etc", "/srv"]).unwrap();
        changed.into_iter().map(|file| file.path).filter(|path| path.starts_with("/opt")).collect::<Vec<_>>()
    };
    assert_eq!(changed(), [""; 0]);
    inside(&server, "touch /opt/data/two/file");
    assert_eq!(changed(), ["/opt/data/two/file"]);
    for volume in [&one, &two] {
        world.delete("lab_volume", volume);
    }
    world.delete("lab_server", &server);
    world.delete("lab_network", &network);
}

fn has_one_server(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, data) = (network(world), volume(world, "32M"));
    let with = |path: &str| given(&network, &[("volumes", map(&[(path, &data)]))]);
    let (one, value) = world.create("lab_server", &with("/srv")).unwrap();
    let failure = world.create("lab_server", &with("/srv")).unwrap_err();
    assert!(failure.summary.contains("`data` is attached to another server"), "{failure}");
    let (two, other) = world.create("lab_server", &given(&network, &[])).unwrap();
    let failure = world.update("lab_server", &two, &other, &with("/srv")).unwrap_err();
    assert!(failure.summary.contains("attached to another server"), "{failure}");
    // One that is stopped keeps it.
    let stopped = world
        .update("lab_server", &one, &value, &[with("/srv"), vec![("running", false.into())]].concat())
        .unwrap()
        .value;
    assert!(world.update("lab_server", &two, &other, &with("/srv")).is_err());
    world
        .update("lab_server", &one, &stopped, &[given(&network, &[]), vec![("running", false.into())]].concat())
        .unwrap();
    world.update("lab_server", &two, &other, &with("/srv")).unwrap();
    assert_eq!(inside(&two, "findmnt -no FSTYPE /srv"), "ext4\n");
    let nobody = Identity::from_random(7);
    let failure = world.create("lab_server", &given(&network, &[("volumes", map(&[("/a", &nobody)]))])).unwrap_err();
    assert!(failure.summary.contains("there is no volume"), "{failure}");
    for server in [&one, &two] {
        world.delete("lab_server", server);
    }
    world.delete("lab_volume", &data);
    world.delete("lab_network", &network);
}

fn blocks(server: &Identity, path: &str) -> u64 {
    inside(server, &format!("df -m --output=size {path} | tail -1")).trim().parse().unwrap()
}

fn grows(world: &World) {
    if root().is_none() {
        return;
    }
    let network = network(world);
    let (data, value) = world.create("lab_volume", &[("size", "32M".into())]).unwrap();
    // Nobody has it.
    let value = world.update("lab_volume", &data, &value, &[("size", "64M".into())]).unwrap().value;
    let (server, _) = world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv", &data)]))])).unwrap();
    assert!(blocks(&server, "/srv") > 50);
    inside(&server, "echo kept >/srv/file");
    // A server has it: at once, or with a word.
    let grown = world.update("lab_volume", &data, &value, &[("size", "256M".into())]).unwrap();
    println!("{:?}", grown.notes);
    assert!(blocks(&server, "/srv") > 200);
    assert_eq!(inside(&server, "cat /srv/file"), "kept\n");
    let failure = world.update("lab_volume", &data, &grown.value, &[("size", "64M".into())]).unwrap_err();
    assert!(failure.summary.contains("does not shrink"), "{failure}");
    // One that was cut off while it grew is grown by the next apply.
    let directory = world.data.path().join("volumes").join(data.as_str());
    fs::write(directory.join("growing"), "").unwrap();
    fs::File::options().write(true).open(directory.join("image")).unwrap().set_len(300 << 20).unwrap();
    let now = world.lab.read("lab_volume", &data, &grown.value).unwrap().unwrap();
    assert_eq!(now.get_str("size"), Some("256M"));
    world.update("lab_volume", &data, &now, &[("size", "300M".into())]).unwrap();
    assert!(blocks(&server, "/srv") > 260);
    world.delete("lab_server", &server);
    world.delete("lab_volume", &data);
    world.delete("lab_network", &network);
}

/// A process of the server's that has a mount table of its own keeps it, whatever is taken off in the server's.
fn held(world: &World) {
    if root().is_none() {
        return;
    }
    let network = network(world);
    let (data, value) = world.create("lab_volume", &[("size", "32M".into())]).unwrap();
    let (server, with) = world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv", &data)]))])).unwrap();
    let devices = || {
        let image = world.data.path().join("volumes").join(data.as_str()).join("image");
        run("losetup", &["-n", "-O", "NAME", "-j", image.to_str().unwrap()])
    };
    let before = devices();
    assert_eq!(before.lines().count(), 1, "{before}");
    inside(
        &server,
        "echo kept >/srv/file; unshare -m sleep 1000 >/dev/null 2>&1 & while [ ! -e /proc/$!/root/srv/file ]; do :; done; sleep 0.1; echo $! >/tmp/holder",
    );
    match world.update("lab_volume", &data, &value, &[("size", "64M".into())]) {
        Err(failure) => {
            assert!(failure.summary.contains("still mounted somewhere"), "{failure}");
            assert_eq!(world.lab.read("lab_server", &server, &with).unwrap().as_ref(), Some(&with), "it is back");
        }
        Ok(made) => println!("grown while it is mounted: {:?}", made.notes),
    }
    assert_eq!(devices(), before);
    assert_eq!(inside(&server, "cat /srv/file"), "kept\n");
    inside(&server, "kill $(cat /tmp/holder)");
    let now = world.lab.read("lab_volume", &data, &value).unwrap().unwrap();
    world.update("lab_volume", &data, &now, &[("size", "64M".into())]).unwrap();
    assert!(blocks(&server, "/srv") > 50);
    world.delete("lab_server", &server);
    world.delete("lab_volume", &data);
    world.delete("lab_network", &network);
}

fn other_file_systems(world: &World) {
    if root().is_none() {
        return;
    }
    let network = network(world);
    for (system, least) in [("btrfs", "128M"), ("xfs", "320M")] {
        if !run("sh", &["-c", &format!("PATH=$PATH:/sbin:/usr/sbin command -v mkfs.{system}")]).contains("mkfs") {
            println!("skipped: there is no `mkfs.{system}`");
            continue;
        }
        let own = |size: &str| [("size", size.into()), ("file_system", system.into())];
        let (data, value) = world.create("lab_volume", &own(least)).unwrap();
        let (server, with) =
            world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv", &data)]))])).unwrap();
        assert_eq!(inside(&server, "findmnt -no FSTYPE /srv").trim(), system);
        inside(&server, "echo kept >/srv/file");
        let grown = world.update("lab_volume", &data, &value, &own("640M")).unwrap();
        assert!(blocks(&server, "/srv") > 500);
        assert_eq!(grown.notes, Vec::<String>::new());
        // A copy beside what it is a copy of.
        let (snapshot, _) = world.create("lab_snapshot", &[("volume", data.as_str().into())]).unwrap();
        let (copy, _) =
            world.create("lab_volume", &[("size", "700M".into()), ("snapshot", snapshot.as_str().into())]).unwrap();
        let both = map(&[("/srv", &data), ("/copy", &copy)]);
        world.update("lab_server", &server, &with, &given(&network, &[("volumes", both)])).unwrap();
        assert_eq!(inside(&server, "cat /copy/file; echo other >/copy/file; cat /srv/file"), "kept\nkept\n");
        world.delete("lab_server", &server);
        for (kind, identity) in [("lab_volume", &data), ("lab_volume", &copy), ("lab_snapshot", &snapshot)] {
            world.delete(kind, identity);
        }
    }
    world.delete("lab_network", &network);
}

fn leaves_nothing_when_killed(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, data) = (network(world), volume(world, "32M"));
    let volumes = format!("volumes=/srv={data}");
    let network_is = format!("network={network}");
    let image = world.data.path().join("volumes").join(data.as_str()).join("image").display().to_string();
    for attempt in 0..12_u64 {
        let identity = world.identity();
        let data_dir = world.data.path().to_str().unwrap();
        let mut victim = Command::new("/proc/self/exe")
            .args([
                "victim-create",
                data_dir,
                "lab_server",
                identity.as_str(),
                "name=web",
                "image=i",
                "init=andon",
                &network_is,
                &volumes,
            ])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(attempt * 1500));
        victim.kill().unwrap();
        victim.wait().unwrap();
        match world.lab.resolve("lab_server", &identity).unwrap() {
            Found::Absent => {}
            Found::Complete(_) | Found::Partial => world.delete("lab_server", &identity),
        }
        await_freed(&image);
        // And it can be had by the next one.
        let (server, _) =
            world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv", &data)]))])).unwrap();
        world.delete("lab_server", &server);
    }
    for attempt in 0..8_u64 {
        let identity = world.identity();
        let mut victim = Command::new("/proc/self/exe")
            .args(["victim-create", world.data.path().to_str().unwrap(), "lab_volume", identity.as_str(), "size=64M"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(attempt * 5));
        victim.kill().unwrap();
        victim.wait().unwrap();
        world.lab.resolve("lab_volume", &identity).unwrap();
        world.delete("lab_volume", &identity);
    }
    world.delete("lab_volume", &data);
    world.delete("lab_network", &network);
}

fn snapshot_is_restored(world: &World) {
    if root().is_none() {
        return;
    }
    let network = network(world);
    let (data, before) = world.create("lab_volume", &[("size", "64M".into())]).unwrap();
    let (server, value) =
        world.create("lab_server", &given(&network, &[("volumes", map(&[("/srv", &data)]))])).unwrap();
    // It is taken while the server writes.
    inside(&server, "echo before >/srv/file; (for i in $(seq 2000); do echo $i >>/srv/log; done) >/dev/null 2>&1 &");
    let (snapshot, taken) = world.create("lab_snapshot", &[("volume", data.as_str().into())]).unwrap();
    assert_eq!((taken.get_str("size"), taken.get_str("file_system")), (Some("64M"), Some("ext4")));
    inside(&server, "echo after >/srv/file");
    let image = world.data.path().join("snapshots").join(snapshot.as_str()).join("image").display().to_string();
    let judged = Command::new("e2fsck").args(["-f", "-n", &image]).env("PATH", "/usr/sbin:/sbin").output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    let small = [("size", "32M".into()), ("snapshot", snapshot.as_str().into())];
    let failure = world.create("lab_volume", &small).unwrap_err();
    assert!(failure.summary.contains("smaller than its snapshot"), "{failure}");
    let (restored, _) =
        world.create("lab_volume", &[("size", "128M".into()), ("snapshot", snapshot.as_str().into())]).unwrap();
    let both = map(&[("/srv", &data), ("/old", &restored)]);
    world.update("lab_server", &server, &value, &given(&network, &[("volumes", both)])).unwrap();
    assert_eq!(inside(&server, "cat /old/file /srv/file"), "before\nafter\n");
    assert!(blocks(&server, "/old") > 100);
    // The volume itself goes back while its server runs, unless something there uses it.
    let back = [("size", "64M".into()), ("restore", snapshot.as_str().into())];
    inside(&server, "(cd /srv && exec sleep 1000) >/dev/null 2>&1 &");
    let failure = world.update("lab_volume", &data, &before, &back).unwrap_err();
    assert!(failure.summary.contains("cannot be restored while its server has it"), "{failure}");
    assert_eq!(inside(&server, "cat /srv/file; kill $(pidof sleep)"), "after\n");
    let made = world.update("lab_volume", &data, &before, &back).unwrap();
    assert_eq!(inside(&server, "cat /srv/file"), "before\n");
    inside(&server, "echo later >/srv/file");
    // Once: what else changes of it leaves its content alone.
    world.update("lab_volume", &data, &made.value, &[("name", "x".into()), back[0].clone(), back[1].clone()]).unwrap();
    assert_eq!(inside(&server, "cat /srv/file"), "later\n");
    world.delete("lab_server", &server);
    for volume in [&data, &restored] {
        world.delete("lab_volume", volume);
    }
    world.delete("lab_snapshot", &snapshot);
    world.delete("lab_network", &network);
}

fn share_is_seen(world: &World) {
    if root().is_none() {
        return;
    }
    let network = network(world);
    let (share, value) = world.create("lab_share", &[("name", "assets".into()), ("mode", "1777".into())]).unwrap();
    let (writer, _) = world.create("lab_server", &given(&network, &[("shares", map(&[("/srv/a", &share)]))])).unwrap();
    let (reader, of_reader) = world.create("lab_server", &given(&network, &[])).unwrap();
    let reads = |path: &str| given(&network, &[("read_only_shares", map(&[(path, &share)]))]);
    let of_reader = world.update("lab_server", &reader, &of_reader, &reads("/mnt")).unwrap().value;
    inside(&writer, "echo hello >/srv/a/file");
    assert_eq!(inside(&reader, "cat /mnt/file; stat -c %a /mnt"), "hello\n1777\n");
    assert!(inside(&reader, "echo no >/mnt/file").contains("Read-only"));
    let failure = world.lab.delete("lab_share", &share).unwrap_err();
    assert!(failure.detail.contains("`web`, `web`"), "{failure}");
    // From reading to writing, in place.
    let of_reader = world
        .update("lab_server", &reader, &of_reader, &given(&network, &[("shares", map(&[("/mnt", &share)]))]))
        .unwrap()
        .value;
    assert_eq!(inside(&reader, "echo two >>/mnt/file && cat /mnt/file"), "hello\ntwo\n");
    // At several paths, also by a link; each comes and goes by itself.
    inside(&reader, "ln -s opt /link");
    let at = |paths: &[&str]| {
        let paths: Vec<(&str, &Identity)> = paths.iter().map(|path| (*path, &share)).collect();
        given(&network, &[("shares", map(&paths))])
    };
    let update = |prior: &Value, paths: &[&str]| world.update("lab_server", &reader, prior, &at(paths)).unwrap().value;
    let of_reader = update(&of_reader, &["/mnt", "/srv/b", "/link/c"]);
    assert_eq!(
        inside(&reader, "cat /mnt/file /srv/b/file /opt/c/file | sort | uniq -c"),
        "      3 hello\n      3 two\n"
    );
    let of_reader = update(&of_reader, &["/srv/b"]);
    assert_eq!(inside(&reader, "ls /mnt /opt/c /srv/b"), "/mnt:\n\n/opt/c:\n\n/srv/b:\nfile\n");
    world.update("lab_server", &reader, &of_reader, &given(&network, &[])).unwrap();
    assert_eq!(inside(&reader, "ls /mnt /srv/b"), "/mnt:\n\n/srv/b:\n");
    for server in [&writer, &reader] {
        world.delete("lab_server", server);
    }
    world.update("lab_share", &share, &value, &[("mode", "0700".into())]).unwrap();
    world.delete("lab_share", &share);
    world.delete("lab_network", &network);
}
