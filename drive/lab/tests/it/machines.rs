//! Servers that are machines of their own, as far as nothing in them has to run: a real QEMU that waits to be told to begin.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use andon_schema::Identity;
use andon_value::{Number, Value};

use crate::Test;
use crate::world::World;

pub const TESTS: &[Test] = &[("machine_is_seen_and_changed_by_its_process", seen_and_changed)];

const QEMU: &str = "/usr/bin/qemu-system-x86_64";

/// What looks like a machine of an identity.
struct Machine(Child);

impl Machine {
    fn start(identity: &Identity, words: &str) -> Machine {
        let roots = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        let root =
            roots.chain(["/sys/fs/cgroup".into()]).find(|root| root.join("cgroup.controllers").exists()).unwrap();
        let group = root.join("andon").join(identity.as_str());
        fs::create_dir_all(&group).unwrap();
        let script = "echo 0 >\"$1/cgroup.procs\"; shift; exec \"$@\"";
        let paused = ["-S", "-nodefaults", "-display", "none", "-accel", "tcg"];
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&group).arg(QEMU).args(paused).args(words.split(' '));
        let machine = Machine(command.stdin(Stdio::null()).spawn().unwrap());
        let of = |name: &str| format!("/proc/{}/{name}", machine.0.id());
        // Its words are there a moment later than its program.
        while !fs::read_link(of("exe")).unwrap().ends_with("qemu-system-x86_64")
            || !fs::read_to_string(of("cmdline")).unwrap().contains("-nodefaults")
        {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        machine
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn seen_and_changed(world: &World) {
    if !Path::new(QEMU).exists() {
        return println!("skipped: qemu-system-x86 is not installed");
    }
    let image = tempfile::tempdir().unwrap();
    for file in ["usr/bin/cloud-init", "usr/sbin/sshd"] {
        fs::create_dir_all(image.path().join(file).parent().unwrap()).unwrap();
        fs::write(image.path().join(file), "").unwrap();
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let given = |cpus: &str, running: bool| {
        let cpus = Value::from(Number::parse(cpus).unwrap());
        let name = ("name", Value::from("db"));
        let network = ("network", Value::from(network.as_str()));
        let machine =
            [("vm", Value::from(true)), ("emulate", true.into()), ("running", running.into()), ("cpus", cpus)];
        [&[name, network, ("image", "sha256:00".into())][..], &machine].concat()
    };
    let server = world.identity();
    let made =
        world.create_from("lab_server", &server, &given("0.5", false), vec![image.path().to_owned()]).unwrap().value;
    assert!(world.lab.is_stopped(&server) && world.lab.login(&server).is_none());
    let refused = world.lab.restart(&server).unwrap_err();
    assert_eq!(refused.summary, "`db` is defined as stopped");
    let machine = Machine::start(&server, "-m 1024 -smp 1");
    // It runs, which its roles go by.
    assert!(!world.lab.is_stopped(&server) && world.lab.login(&server).is_some());
    let made = world.update("lab_server", &server, &made, &given("0.5", true)).unwrap().value;
    let cpus = |value: &Value| world.lab.read("lab_server", &server, value).unwrap().unwrap().get("cpus").cloned();
    assert_eq!(cpus(&made), Some(Value::from(Number::parse("0.5").unwrap())));
    // A part of the same processor is more, without another start.
    let made = world.update("lab_server", &server, &made, &given("1", true)).unwrap().value;
    assert_eq!(world.lab.login(&server).is_some(), machine.0.id() > 0);
    assert_eq!(cpus(&made), Some(Value::from(1)));
    let known_as = Value::object(made.as_entries().unwrap().iter().map(|(name, value)| match &**name {
        "cpus" => (name.clone(), Value::from(Number::parse("0.5").unwrap())),
        _ => (name.clone(), value.clone()),
    }));
    assert_eq!(cpus(&known_as), Some(Value::from(1)), "what was not done is seen");
    drop(machine);
    assert!(world.lab.is_stopped(&server));
    world.delete("lab_server", &server);
    world.delete("lab_network", &network);
}
