//! Measures servers: `ground [ROOT] [COUNT]`. As root.
//!
//! ROOT is a root file system with systemd; without it, or with `-`, only supervised servers are measured. COUNT is how
//! many of these there are at once (1000). Prints a name and a number on each line: milliseconds, or KiB.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a measurement may stop at once")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Lab, LabSettings};
use andon_schema::Identity;
use andon_value::Value;

const OWNER: &str = "bench";

struct Ground {
    lab: Lab,
    next: AtomicUsize,
}

impl Ground {
    fn identity(&self) -> Identity {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        Identity::from_random(time << 12 | self.next.fetch_add(1, Ordering::Relaxed) as u64 & 0xFFF)
    }

    fn create(&self, kind: &str, given: &[(&str, Value)], lower: &Path) -> (Identity, Value) {
        let schema = &Lab::schemas()[kind];
        let config = Value::object(schema.block.attributes.iter().map(|(name, attribute)| {
            let given = given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
            (name.clone(), given.unwrap_or_else(|| Value::null(attribute.ty.clone())))
        }));
        let (planned, _) = self.lab.plan(kind, None, &config).unwrap();
        let extra = CreateExtra { owner: OWNER.to_owned(), lower_dirs: vec![lower.to_owned()], ..Default::default() };
        let identity = self.identity();
        let made = self.lab.create(kind, &identity, &planned, &extra);
        (identity, made.unwrap_or_else(|(failure, _)| panic!("{failure}")).value)
    }

    fn server(&self, number: usize, network: &Identity, lower: &Path) -> (Identity, Value) {
        let name = format!("s{number}");
        let given = [("name", name.into()), ("image", "sha256:00".into()), ("network", network.as_str().into())];
        self.create("lab_server", &given, lower)
    }

    /// Makes so many servers, sixteen at a time.
    fn many(&self, count: usize, network: &Identity, lower: &Path) -> Vec<(Identity, Value)> {
        let made = Mutex::new(Vec::new());
        together(count, |number| {
            let server = self.server(number, network, lower);
            made.lock().unwrap().push(server);
        });
        made.into_inner().unwrap()
    }

    fn delete(&self, servers: &[(Identity, Value)]) {
        together(servers.len(), |number| self.lab.delete("lab_server", &servers[number].0).unwrap());
    }
}

fn together(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

/// Asks a supervisor how it is.
fn ask(value: &Value) {
    let address = format!("{}:7780", value.get_str("address").unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: it\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(status) = andon_lab::helper_main(&arguments) {
        std::process::exit(status);
    }
    let root = arguments.first().filter(|root| *root != "-").map(PathBuf::from);
    let count = arguments.get(1).map_or(1000, |count| count.parse().unwrap());
    let data = PathBuf::from(format!("/var/tmp/andon-ground.{}", std::process::id()));
    let empty = data.join("empty");
    // What every root file system has.
    for name in ["proc", "sys", "dev", "run", "tmp"] {
        fs::create_dir_all(empty.join(name)).unwrap();
    }
    let settings = LabSettings { data_dir: data.clone(), helper: "/proc/self/exe".into() };
    let ground = Ground { lab: Lab::open(settings).unwrap(), next: AtomicUsize::new(0) };
    let (network, _) = ground.create("lab_network", &[("cidr", "10.111.0.0/16".into())], &empty);
    let each = |rounds: usize, lower: &Path, asks: bool| {
        let (mut up, mut gone) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let start = Instant::now();
            let server = ground.server(round, &network, lower);
            if asks {
                ask(&server.1);
            }
            up.push(start.elapsed());
            let start = Instant::now();
            ground.lab.delete("lab_server", &server.0).unwrap();
            gone.push(start.elapsed());
        }
        (median(up), median(gone))
    };
    let (answer, gone) = each(21, &empty, true);
    println!("first_answer {answer:.1}\ndelete {gone:.1}");
    if let Some(root) = &root {
        let (up, gone) = each(11, root, false);
        println!("systemd_up {up:.0}\nsystemd_delete {gone:.0}");
    }
    let before = available();
    let start = Instant::now();
    let servers = ground.many(count, &network, &empty);
    println!("many_created {}", start.elapsed().as_millis());
    together(count, |number| ask(&servers[number].1));
    println!("many_answered {}", start.elapsed().as_millis());
    println!("many_memory {}", before.saturating_sub(available()) / count as u64);
    let start = Instant::now();
    ground.delete(&servers);
    println!("many_deleted {}", start.elapsed().as_millis());
    if let Some(root) = &root {
        let before = available();
        let start = Instant::now();
        let servers = ground.many(100, &network, root);
        println!("hundred_up {}", start.elapsed().as_millis());
        println!("hundred_memory {}", before.saturating_sub(available()) / 100);
        let start = Instant::now();
        ground.delete(&servers);
        println!("hundred_deleted {}", start.elapsed().as_millis());
    }
    for line in ground.lab.sweep(&BTreeSet::new(), OWNER) {
        eprintln!("{line}");
    }
    fs::remove_dir_all(&data).unwrap();
}
