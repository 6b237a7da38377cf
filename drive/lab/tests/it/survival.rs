//! The lab's processes are killed, all kinds of them, at any moment; nothing is lost, nothing is left, and one look brings
//! back what does not run. `ANDON_TEST_LAB_KILLS` says how often, `ANDON_TEST_SEED` which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Found, MemberNote, Standing};
use andon_schema::Identity;
use andon_value::{Number, Type, Value};
use serde_json::json;

use crate::Test;
use crate::backend::{free_port, get};
use crate::world::{OWNER, World, config, init, inside, root, run};

pub const TESTS: &[Test] = &[("two_hundred_kills_lose_nothing", survives)];

/// A generator of numbers that a seed decides (splitmix64, Steele and others, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// Something that there is throughout.
struct Lasting {
    kind: &'static str,
    identity: Identity,
    given: Vec<(&'static str, Value)>,
    value: Value,
}

impl Lasting {
    fn new(world: &World, kind: &'static str, given: Vec<(&'static str, Value)>) -> Lasting {
        let (identity, value) = world.create(kind, &given).unwrap();
        Lasting { kind, identity, given, value }
    }

    fn text(&self, name: &str) -> &str {
        self.value.get_str(name).unwrap()
    }

    /// Looks at it, and has it be as it is defined, as an apply would.
    fn heal(&self, world: &World) {
        let now = world.lab.read(self.kind, &self.identity, &self.value).unwrap();
        let now = now.unwrap_or_else(|| panic!("{} {} is lost", self.kind, self.identity));
        if now != self.value {
            let healed = world.update(self.kind, &self.identity, &now, &self.given).unwrap().value;
            assert_eq!(healed, self.value);
        }
    }
}

fn map(path: &str, what: &Lasting) -> Value {
    Value::map(Type::String, [(path, Value::from(what.identity.as_str()))])
}

/// The processes whose command line has both of these.
fn processes(of: &str, about: &str) -> Vec<i32> {
    let found = run("pgrep", &["-f", &format!("{of}.*{about}")]);
    found.lines().filter_map(|line| line.parse().ok()).filter(|found| *found != std::process::id() as i32).collect()
}

/// The process of this one that starts servers.
fn spawner() -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap();
    let is_it =
        |child: &str| fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.ends_with(b"__lab-spawn\0"));
    children.split_whitespace().find(|child| is_it(child))?.parse().ok()
}

/// Kills them, and waits for their end: until then they are as good as alive.
fn kill(processes: &[i32]) -> bool {
    for process in processes {
        run("kill", &["-9", &process.to_string()]);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let lives = |process: &&i32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    };
    while let Some(process) = processes.iter().find(lives) {
        assert!(Instant::now() < deadline, "{process} does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    !processes.is_empty()
}

fn survives(world: &World) {
    if root().is_none() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("ANDON_TEST_LAB_KILLS").unwrap_or(200) as usize;
    let seed = number("ANDON_TEST_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_nanos() as u64 % 1_000_000
    });
    println!("{kills} kills, ANDON_TEST_SEED={seed}");
    let mut random = Random(seed);

    let network = Lasting::new(world, "lab_network", vec![("name", "app".into())]);
    let volume = Lasting::new(world, "lab_volume", vec![("size", "32M".into())]);
    let snapshot = Lasting::new(world, "lab_snapshot", vec![("volume", volume.identity.as_str().into())]);
    let key = Lasting::new(world, "lab_key", vec![("name", "kept".into())]);
    let share = Lasting::new(world, "lab_share", vec![]);
    let server = |name: &'static str, attached: (&'static str, Value)| {
        let own = [("name", name.into()), ("image", "i".into()), ("network", network.identity.as_str().into())];
        Lasting::new(world, "lab_server", [&own[..], &[("init", "andon".into()), attached]].concat())
    };
    let servers =
        [server("one", ("volumes", map("/srv/data", &volume))), server("two", ("shares", map("/srv/share", &share)))];
    let targets = servers.iter().map(|server| Value::from(format!("{}:7780", server.text("address"))));
    let targets = Value::list(Type::String, targets.collect::<Vec<_>>());
    let listen = free_port();
    let balancer = Lasting::new(world, "lab_balancer", vec![("listen", listen.as_str().into()), ("targets", targets)]);
    let bucket = Lasting::new(world, "lab_bucket", vec![("name", "kept".into()), ("force_destroy", true.into())]);
    let object = |rest: &[&str]| {
        let (url, user) = (
            format!("{}/kept/object", bucket.text("endpoint")),
            format!("{}:{}", bucket.text("access_key"), bucket.text("secret_key")),
        );
        let sign = ["-s", "--aws-sigv4", "aws:amz:any:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", &user];
        run("curl", &[&sign[..], rest, &[&url]].concat())
    };
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    if has_curl {
        assert_eq!(object(&["-X", "PUT", "-d", "kept"]), "");
    }
    inside(&servers[0].identity, "echo kept >/srv/data/file; echo own >/srv/own");
    inside(&servers[1].identity, "echo shared >/srv/share/file; echo own >/srv/own");
    let [one, two] = &servers;
    let pool = Pool::new(world, &network);
    let lasting = [&network, &volume, &snapshot, &key, &share, one, two, &balancer, &bucket, &pool.balancer];
    let known: BTreeSet<Identity> = lasting.iter().map(|it| &it.identity).chain([&pool.identity]).cloned().collect();
    let machines = [&one.identity, &two.identity, &pool.member];

    let volume_image = world.data.path().join("volumes").join(volume.identity.as_str()).join("image");
    let volume_image = volume_image.display().to_string();
    let mut killed = [0; 8];
    while killed.iter().sum::<usize>() < kills {
        // The last two are cut off in fewer cases than they are tried.
        let what = random.below(killed.len() + 4);
        let what = if what < killed.len() { what } else { killed.len() - 1 - what % 2 };
        let data = world.data.path().display().to_string();
        let hit = match what {
            0 => kill(&processes("__lab-names", network.identity.as_str())),
            1 => kill(&processes("__lab-balancer", &data)),
            2 => kill(&processes("__lab-store", &data)),
            3 => spawner().is_some_and(|spawner| kill(&[spawner])),
            4 => kill(&[init(machines[random.below(machines.len())]).parse().unwrap()]),
            // Everything at once, and all that a reboot takes along.
            5 => {
                let mut all: Vec<i32> = ["__lab-names", "__lab-balancer", "__lab-store"]
                    .into_iter()
                    .flat_map(|of| processes(of, if of == "__lab-names" { network.identity.as_str() } else { &data }))
                    .collect();
                all.extend(machines.iter().map(|machine| init(machine).parse::<i32>().unwrap()));
                all.extend(spawner());
                let hit = kill(&all);
                take_along(&[&network.identity, &one.identity, &two.identity, &pool.member], &volume_image);
                hit
            }
            // Whoever changes something that lasts, and whoever makes something of any kind.
            6 => change_and_kill(world, lasting[random.below(lasting.len())], random.below(1000)),
            _ => make_and_kill(world, &network, &volume, random.below(8), random.below(1000)),
        };
        killed[what] += usize::from(hit);
        lasting.iter().for_each(|it| it.heal(world));
        pool.heal(world);
        let left = world.lab.leftovers(&known, OWNER);
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(inside(&one.identity, "cat /srv/data/file /srv/own; hostname"), "kept\nown\none\n");
        assert_eq!(inside(&two.identity, "cat /srv/share/file /srv/own; hostname"), "shared\nown\ntwo\n");
        let devices = run("losetup", &["-n", "-O", "NAME", "-j", &volume_image]);
        assert_eq!(devices.lines().count(), 1, "{devices}");
        if has_curl {
            assert_eq!(object(&[]), "kept");
        }
        // A balancer that was started just now asks its targets first.
        let deadline = Instant::now() + Duration::from_secs(20);
        for listen in [&*listen, pool.balancer.text("listen")] {
            while !get(listen, "/").is_ok_and(|answer| answer.status == 200) {
                assert!(Instant::now() < deadline, "the balancer at {listen} does not serve");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    println!("names, balancer, store, spawner, init, all, changes, creates: {killed:?}");
    // So many are of every sort, or something of a sort could not be killed at all.
    assert!(kills < 200 || killed.iter().all(|count| *count > 0), "{killed:?}");
    for it in lasting.iter().rev() {
        // The pool goes after the balancer that follows it, and before its network.
        world.delete(it.kind, &it.identity);
        if it.identity == pool.balancer.identity {
            world.delete("lab_pool", &pool.identity);
        }
    }
}

/// A pool of one member, and the balancer that follows it.
struct Pool {
    identity: Identity,
    value: Value,
    member: Identity,
    balancer: Lasting,
}

impl Pool {
    fn new(world: &World, network: &Lasting) -> Pool {
        let given = [
            ("name", "pooled".into()),
            ("size", Value::from(Number::parse("1").unwrap())),
            ("image", format!("sha256:{}", "0".repeat(64)).as_str().into()),
            ("network", network.identity.as_str().into()),
            ("init", "andon".into()),
        ];
        let identity = world.identity();
        let (planned, _) = world.lab.plan("lab_pool", None, &config("lab_pool", &given)).unwrap();
        let extra = CreateExtra { owner: OWNER.to_owned(), ..CreateExtra::default() };
        world.lab.create("lab_pool", &identity, &planned, &extra).unwrap();
        let session = world.lab.pool(&identity).unwrap();
        let version = session.version(&planned).unwrap();
        let note = MemberNote { serial: 0, version: version.clone(), good: true };
        session.write(&json!({}), &[note], &Standing::default()).unwrap();
        let order = session.order(&version, 0).unwrap();
        let made = session.make(0, &order, root().into_iter().collect()).unwrap();
        let member = Identity::parse(made.value.get_str("id").unwrap()).unwrap();
        let value = session.finish(&planned).unwrap().value;
        let follows = vec![
            ("listen", Value::from(free_port().as_str())),
            ("pool", identity.as_str().into()),
            ("port", Value::from(Number::parse("7780").unwrap())),
            ("interval", "20ms".into()),
        ];
        let balancer = Lasting::new(world, "lab_balancer", follows);
        session.share(&BTreeMap::from([(0, 1000)]), &|| false).unwrap();
        drop(session);
        Pool { identity, value, member, balancer }
    }

    /// Has its member run again, as the next apply would after a reboot: with the address and the files that it had.
    fn heal(&self, world: &World) {
        assert!(world.lab.read("lab_pool", &self.identity, &self.value).unwrap().is_some(), "the pool is lost");
        if world.lab.init(&self.member).is_none() {
            world.lab.pool(&self.identity).unwrap().revive(0).unwrap();
            assert_eq!(inside(&self.member, "hostname"), "pooled-0\n");
        }
    }
}

/// Takes away what these objects have of the kernel's, and the devices of a volume, once their processes have ended: only
/// what is on the disk outlives a reboot. The tables of rules are of all labs of a machine, and stay.
fn take_along(of: &[&Identity], volume_image: &str) {
    for identity in of {
        for kind in ["an", "av"] {
            run("ip", &["link", "delete", &format!("{kind}{identity}")]);
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path()) {
            for group in [hierarchy.join("andon").join(identity.as_str()), hierarchy.join(identity.as_str())] {
                if group.is_dir() {
                    run("find", &[group.to_str().unwrap(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
                }
            }
        }
    }
    for device in run("losetup", &["-n", "-O", "NAME", "-j", volume_image]).lines() {
        run("losetup", &["-d", device.trim()]);
    }
}

/// Starts a process that works on an object, and kills it after a moment.
fn kill_after(world: &World, command: &str, kind: &str, identity: &Identity, given: &[String], micros: u64) -> bool {
    let mut victim = Command::new("/proc/self/exe");
    victim.arg(command).arg(world.data.path()).arg(kind).arg(identity.as_str()).args(given);
    let mut victim = victim.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(micros));
    let hit = victim.try_wait().unwrap().is_none();
    victim.kill().unwrap();
    victim.wait().unwrap();
    hit
}

/// Something that lasts is given another name, or stopped, by somebody who does not come to the end of it.
fn change_and_kill(world: &World, it: &Lasting, moment: usize) -> bool {
    let change = match it.kind {
        "lab_server" if moment % 2 == 0 => "running=false",
        "lab_server" => "name=other",
        // It never shrinks again: it is only looked at.
        "lab_volume" => return false,
        "lab_snapshot" | "lab_key" => "name=other",
        "lab_balancer" => "drain=9s",
        "lab_bucket" => "versioning=true",
        "lab_share" => "mode=0700",
        _ => "masquerade=false",
    };
    let hit = kill_after(world, "victim-change", it.kind, &it.identity, &[change.to_owned()], moment as u64 * 60);
    // What of it was done is done the other way.
    let now = match world.lab.resolve(it.kind, &it.identity).unwrap() {
        Found::Complete(now) => now,
        _ => world.lab.read(it.kind, &it.identity, &it.value).unwrap().unwrap(),
    };
    let (planned, replace) = world.lab.plan(it.kind, Some(&now), &config(it.kind, &it.given)).unwrap();
    assert!(replace.is_empty(), "{replace:?}");
    let lower_dirs = root().into_iter().collect();
    let extra = CreateExtra { owner: OWNER.to_owned(), lower_dirs, ..CreateExtra::default() };
    let made = world.lab.update(it.kind, &it.identity, &now, &planned, &extra).unwrap();
    assert_eq!(made.value, it.value);
    hit
}

/// Somebody makes something, and does not come to the end of it.
fn make_and_kill(world: &World, network: &Lasting, volume: &Lasting, which: usize, moment: usize) -> bool {
    let network = format!("network={}", network.identity);
    let of = format!("volume={}", volume.identity);
    let listen = format!("listen={}", free_port());
    let (kind, given, usual) = match which {
        0 => ("lab_network", vec!["name=new".to_owned()], 150),
        1 => ("lab_volume", vec!["size=16M".to_owned()], 60),
        2 => ("lab_share", vec![], 20),
        3 => ("lab_balancer", vec![listen], 60),
        4 => ("lab_bucket", vec!["name=new".to_owned()], 60),
        5 => ("lab_snapshot", vec![of], 60),
        6 => ("lab_key", vec![], 20),
        _ => ("lab_server", vec!["name=new".to_owned(), "image=i".to_owned(), network, "init=andon".to_owned()], 120),
    };
    let identity = world.identity();
    let hit = kill_after(world, "victim-create", kind, &identity, &given, (usual * moment) as u64);
    if world.lab.resolve(kind, &identity).unwrap() != Found::Absent {
        world.delete(kind, &identity);
    }
    hit
}
