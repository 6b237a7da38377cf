//! Servers of what is installed on this machine: its own `/usr` below a layer of theirs.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use andon_lab::CreateExtra;
use andon_schema::Identity;
use andon_value::{Type, Value};

use crate::Test;
use crate::world::{OWNER, World, config, init, inside, root, run};

pub const TESTS: &[Test] = &[
    ("server_of_this_machine", of_this_machine),
    ("server_of_this_machine_that_is_read_only", read_only),
    ("server_with_two_hundred_shares", many_shares),
];

const KIND: &str = "lab_server";

fn given(name: &str, network: &Identity) -> Vec<(&'static str, Value)> {
    vec![("name", name.into()), ("on_host", "host".into()), ("network", network.as_str().into())]
}

/// Makes a server over `settings`, as what was taken of `/etc` and `/var`.
fn make(world: &World, settings: &Path, given: &[(&str, Value)]) -> (Identity, Value) {
    let identity = world.identity();
    let (planned, replace) = world.lab.plan(KIND, None, &config(KIND, given)).unwrap();
    assert!(replace.is_empty() && planned.get("image").unwrap().is_unknown());
    let mut attributes = (**planned.as_entries().unwrap()).clone();
    attributes.insert("image".into(), "sha256:00".into());
    let extra =
        CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![settings.to_owned()], ..CreateExtra::default() };
    let made = world.lab.create(KIND, &identity, &Value::object(attributes), &extra).unwrap();
    let (planned, replace) = world.lab.plan(KIND, Some(&made.value), &config(KIND, given)).unwrap();
    assert_eq!((planned, replace), (made.value.clone(), vec![]));
    (identity, made.value)
}

/// `/etc` and `/var` of a system that is installed alike, without its `/usr`.
fn settings() -> Option<tempfile::TempDir> {
    let from = root()?;
    if !Path::new("/usr/lib/systemd/systemd").exists() || !Path::new("/bin").is_symlink() {
        println!("skipped: this machine has no systemd, or keeps programs beside /usr");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("andon-settings-").tempdir_in("/var/tmp").unwrap();
    for name in ["usr", "home", "srv", "opt"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["etc", "var"] {
        assert!(Command::new("cp").arg("-a").arg(from.join(name)).arg(folder.path()).status().unwrap().success());
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(Path::new("usr").join(name), folder.path().join(name)).unwrap();
    }
    // This machine's own nginx is none of the test's.
    let _ = fs::remove_dir_all(folder.path().join("etc/systemd/system/multi-user.target.wants"));
    Some(folder)
}

fn of_this_machine(world: &World) {
    let Some(settings) = settings() else { return };
    let canary = tempfile::Builder::new().prefix("andon-canary-").tempdir_in("/var/tmp").unwrap();
    fs::write(canary.path().join("secret"), "of this machine").unwrap();
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let start = Instant::now();
    let (server, value) = make(world, settings.path(), &given("web", &network));
    println!("server of this machine: {:?}", start.elapsed());
    let other = make(world, settings.path(), &[&given("other", &network)[..], &[("init", "andon".into())]].concat()).0;
    assert_eq!(inside(&server, "systemctl is-system-running --wait").trim(), "running");
    assert_eq!(inside(&server, "ls /usr/bin"), run("ls", &["/usr/bin"]));
    // Nothing else of this machine is there, and nothing of it can be changed.
    let canary = canary.path().display();
    let seen = inside(&server, &format!("ls -d {canary} {} 2>&1; ls /home /srv /opt", world.data.path().display()));
    assert_eq!(seen.matches("No such file").count(), 2, "{seen}");
    let own = format!("/usr/bin/andon-test-{server}");
    let write = format!("echo 'echo own' > {own} && chmod 755 {own} && rm /usr/bin/env && {own}");
    assert_eq!(inside(&server, &write), "own\n");
    assert_eq!(inside(&server, "stat -c %u:%g /usr/bin/ls /usr /usr/bin"), "0:0\n0:0\n0:0\n");
    assert!(!Path::new(&own).exists() && Path::new("/usr/bin/env").exists());
    assert_eq!(inside(&other, &format!("ls {own} 2>&1; ls /usr/bin/env")).lines().last(), Some("/usr/bin/env"));
    let layer = world.data.path().join("servers").join(server.as_str()).join("usr-upper/bin");
    assert_eq!(fs::metadata(layer).unwrap().uid(), 0);
    // It comes back as it was: by itself, after a kill, and with another name.
    world.lab.restart(&server).unwrap();
    assert_eq!(inside(&server, &own), "own\n");
    run("kill", &["-9", &init(&server)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.lab.init(&server).is_some() {
        assert!(Instant::now() < deadline);
    }
    let down = world.lab.read(KIND, &server, &value).unwrap().unwrap();
    let (planned, replace) = world.lab.plan(KIND, Some(&down), &config(KIND, &given("renamed", &network))).unwrap();
    assert!(replace.is_empty() && planned.get_str("image") == Some("sha256:00"));
    let extra =
        CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![settings.path().to_owned()], ..CreateExtra::default() };
    world.lab.update(KIND, &server, &down, &planned, &extra).unwrap();
    assert_eq!(inside(&server, &format!("{own}; hostname")), "own\nrenamed\n");
    for identity in [&server, &other] {
        world.delete(KIND, identity);
    }
    world.delete("lab_network", &network);
}

fn read_only(world: &World) {
    let Some(settings) = settings() else { return };
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let given = [&given("web", &network)[..], &[("read_only_root", true.into()), ("init", "andon".into())]].concat();
    let (server, _) = make(world, settings.path(), &given);
    let said = inside(&server, "touch /usr/bin/x /usr/x /etc/x /var/x 2>&1; ls /var/x");
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert_eq!(said.lines().last(), Some("/var/x"));
    world.delete(KIND, &server);
    world.delete("lab_network", &network);
}

/// As many as a server may have are open files in one message.
fn many_shares(world: &World) {
    let Some(root) = root() else { return };
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let (share, _) = world.create("lab_share", &[]).unwrap();
    let shares = |count: usize| {
        let paths = (0..count).map(|number| (format!("/srv/{number}"), Value::from(share.as_str())));
        Value::map(Type::String, paths)
    };
    let server = |count: usize| {
        let basic = [("name", "web".into()), ("image", "sha256:00".into()), ("network", network.as_str().into())];
        [&basic[..], &[("init", "andon".into()), ("shares", shares(count))]].concat()
    };
    let failure = world.lab.plan(KIND, None, &config(KIND, &server(201))).unwrap_err();
    assert!(failure.to_string().contains("too many volumes and shares"), "{failure}");
    let identity = world.identity();
    world.create_from(KIND, &identity, &server(200), vec![root]).unwrap();
    assert_eq!(inside(&identity, "touch /srv/0/x; ls /srv/199; grep -c ' /srv/' /proc/mounts"), "x\n200\n");
    world.delete(KIND, &identity);
    world.delete("lab_share", &share);
    world.delete("lab_network", &network);
}
