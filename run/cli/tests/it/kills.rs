//! `kill -9` of `andon` at random moments: the next run finishes, nothing is made twice, and nothing is left that the
//! ledger does not know. `ANDON_TEST_KILLS` says how many kills, `ANDON_TEST_SEED` which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Project, Ran, Random, eventually, get, need_lab, share_images, traces};

/// So many projects are killed at the same time: more would only wait for each other.
const PROJECTS: usize = 3;

#[test]
fn whatever_is_killed_is_finished_by_the_next_run() {
    need_lab!();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("ANDON_TEST_KILLS").unwrap_or(120) as usize;
    let seed = number("ANDON_TEST_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_nanos() as u64 % 1_000_000
    });
    println!("{kills} kills, ANDON_TEST_SEED={seed}");
    // The images are baked once and lent to every project, so that the killing need not wait for the package mirror.
    Project::shop("kills-bake").ok(&["up", "-y"]);
    let began = Instant::now();
    let threads: Vec<_> = (0..PROJECTS)
        .map(|number| {
            let share = kills / PROJECTS + usize::from(number < kills % PROJECTS);
            std::thread::spawn(move || Story::new(number, seed).tell(share))
        })
        .collect();
    let mut all = BTreeMap::new();
    for thread in threads {
        for (step, (times, kills)) in thread.join().unwrap() {
            let entry: &mut (usize, usize) = all.entry(step).or_default();
            *entry = (entry.0 + times, entry.1 + kills);
        }
    }
    println!("after {:?}: {all:?} (step: times, kills)", began.elapsed());
    assert!(all.values().map(|(_, kills)| kills).sum::<usize>() >= kills);
}

/// What a run that is to be killed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// From nothing to everything.
    Up,
    /// Another greeting: a file and a reload in each server.
    Greeting,
    /// One of two images that are baked already: every server is replaced.
    Image,
    /// An image that nobody has baked yet.
    Bake,
    /// Another limit, changed in place.
    Memory,
    /// More servers, or fewer.
    Count,
    /// Another range: everything is replaced.
    Network,
    /// A server was killed.
    Repair,
    /// From everything to nothing.
    Down,
}

const CHANGES: [Step; 9] = [
    Step::Greeting,
    Step::Image,
    Step::Image,
    Step::Bake,
    Step::Memory,
    Step::Count,
    Step::Network,
    Step::Repair,
    Step::Down,
];

/// One project and what it goes through.
struct Story {
    project: Project,
    random: Random,
    told: String,
    /// How long each step takes about, when nobody kills it, in microseconds.
    usual: BTreeMap<Step, u64>,
    is_up: bool,
    number: usize,
    greeting: usize,
    release: String,
    memory: usize,
    count: usize,
    range: usize,
}

impl Story {
    fn new(number: usize, seed: u64) -> Story {
        let mut project = Project::shop(&format!("kills{number}"));
        project.data_dir = project.directory.join(".data");
        share_images(&project.data_dir);
        project.edit("roles/web.role.hcl", "package \"nginx\" {}", "package \"nginx\" {}\n\n  # release");
        project.edit("stacks/network/main.tf", "name = \"app\"", "name = \"app\"\n  # range");
        let told = format!("ANDON_TEST_SEED={seed}, project {number}");
        let random = Random::new(seed.wrapping_mul(31).wrapping_add(number as u64));
        Story {
            project,
            random,
            told,
            usual: BTreeMap::new(),
            is_up: false,
            number,
            greeting: 0,
            release: String::new(),
            memory: 256,
            count: 2,
            range: 0,
        }
    }

    /// Kills so many runs; how often each step was begun, and how often it was killed.
    fn tell(mut self, kills: usize) -> BTreeMap<Step, (usize, usize)> {
        let mut all: BTreeMap<Step, (usize, usize)> = BTreeMap::new();
        let mut killed = 0;
        while killed < kills {
            let step = if self.is_up { *self.random.pick(&CHANGES) } else { Step::Up };
            let now = self.step(step);
            let entry = all.entry(step).or_default();
            *entry = (entry.0 + 1, entry.1 + now);
            killed += now;
        }
        let down = self.run(&["down", "-y"]);
        self.is_up = false;
        self.look(&down);
        all
    }

    /// Changes the definitions, kills the run that makes it so, maybe more than once, lets one come to its end, and
    /// looks what there is then. How many runs were killed.
    fn step(&mut self, step: Step) -> usize {
        self.told.push_str(&format!("\n  {step:?}"));
        self.prepare(step);
        let words: &[&str] = if step == Step::Down { &["down", "-y"] } else { &["up", "-y"] };
        let mut killed = 0;
        // A run that goes on from a killed one may be killed, too.
        while self.random.below(3) > 0 || killed == 0 {
            let usual = *self.usual.entry(step).or_insert(500_000);
            let after = self.random.below(usual);
            if !self.kill(words, Duration::from_micros(after)) {
                self.usual.insert(step, usual / 10 * 9);
                break;
            }
            if after > usual / 10 * 9 {
                self.usual.insert(step, usual / 5 * 6);
            }
            self.told.push_str(&format!(", killed after {after} µs"));
            killed += 1;
        }
        // Whoever took an environment half down may want it back.
        let words = if step == Step::Down && self.random.below(3) == 0 { &["up", "-y"] } else { words };
        let ran = self.run(words);
        self.is_up = words != ["down", "-y"];
        self.look(&ran);
        killed
    }

    fn prepare(&mut self, step: Step) {
        let project = &self.project;
        match step {
            Step::Up | Step::Down => {}
            Step::Greeting => {
                let (old, new) = (format!("hello from dev{}", suffix(self.greeting)), self.greeting + 1);
                project.edit("andon.hcl", &old, &format!("hello from dev{}", suffix(new)));
                self.greeting = new;
            }
            Step::Image | Step::Bake => {
                let old = self.release.clone();
                self.release = match (step, old.is_empty()) {
                    (Step::Bake, _) => format!("{} {}", self.number, self.random.below(u64::MAX)),
                    (_, true) => "common".to_owned(),
                    (_, false) => String::new(),
                };
                project.edit("roles/web.role.hcl", &release(&old), &release(&self.release));
            }
            Step::Memory => {
                let new = if self.memory == 256 { 320 } else { 256 };
                project.edit("stacks/web/main.tf", &format!("\"{}M\"", self.memory), &format!("\"{new}M\""));
                self.memory = new;
            }
            Step::Count => {
                let new = 1 + (self.count + self.random.below(2) as usize) % 3;
                project.edit("andon.hcl", &format!("web_count = {}", self.count), &format!("web_count = {new}"));
                self.count = new;
            }
            Step::Network => {
                let range = |number: usize| match number {
                    0 => "# range".to_owned(),
                    number => format!("cidr = \"10.{}.{number}.0/24\"", 200 + self.number),
                };
                let new = self.range % 200 + 1;
                project.edit("stacks/network/main.tf", &range(self.range), &range(new));
                self.range = new;
            }
            Step::Repair => {
                let servers: Vec<String> = self.live("lab_server").into_iter().collect();
                let identity = &servers[self.random.below(servers.len() as u64) as usize];
                crate::support::kill_server(&self.project.data_dir, identity);
            }
        }
    }

    /// Starts a run and kills it then, and nothing else; false where it had ended by itself.
    fn kill(&self, words: &[&str], after: Duration) -> bool {
        let mut command = self.project.command(words);
        let told = self.project.directory.join(".told");
        let mut run = command.stdout(Stdio::null()).stderr(fs::File::create(&told).unwrap()).spawn().unwrap();
        std::thread::sleep(after);
        let ended = run.try_wait().unwrap();
        let _ = run.kill();
        run.wait().unwrap();
        if let Some(status) = ended {
            let said = || String::from_utf8_lossy(&fs::read(&told).unwrap()).into_owned();
            assert!(
                status.success(),
                "{}: andon {words:?} ended with {status} before it was killed\n{}",
                self.told,
                said()
            );
        }
        ended.is_none()
    }

    fn run(&self, words: &[&str]) -> Ran {
        let ran = self.project.andon(words);
        assert_eq!(ran.code, Some(0), "{}\n{ran}", self.told);
        ran
    }

    /// The identities of all objects of one resource type.
    fn live(&self, kind: &str) -> BTreeSet<String> {
        let objects = self.project.objects().into_iter();
        let objects = objects.filter(|object| object["address"].as_str().unwrap().contains(&format!("/{kind}.")));
        objects.map(|object| object["identity"].as_str().unwrap().to_owned()).collect()
    }

    /// Holds the machine and the ledger against each other, and both against the definitions.
    fn look(&self, ran: &Ran) {
        let told = || format!("{}\n{ran}", self.told);
        let (networks, servers) = (self.live("lab_network"), self.live("lab_server"));
        let balancers = self.live("lab_balancer");
        let expected = if self.is_up { (1, self.count, 1) } else { (0, 0, 0) };
        assert_eq!((networks.len(), servers.len(), balancers.len()), expected, "{}", told());
        let (found, unknown) = known_and_unknown(&self.project, |_| true);
        assert!(unknown.is_empty(), "of this the ledger does not know: {unknown:#?}\n{}", told());
        for (what, prefix, count) in [
            ("gateways", "interface an", networks.len()),
            ("network devices", "interface av", servers.len()),
            ("network namespaces", "network namespace ", servers.len()),
            ("tables of IPv4", "table ip ", networks.len()),
            ("tables of IPv6", "table ip6 ", networks.len()),
        ] {
            let these: Vec<_> = found.iter().filter(|trace| trace.starts_with(prefix)).collect();
            assert_eq!(these.len(), count, "{what}: {these:?}\n{}", told());
        }
        let live: BTreeSet<&String> = networks.iter().chain(&servers).chain(&balancers).collect();
        let records = fs::read_dir(self.project.data_dir.join("lab/objects")).into_iter().flatten().flatten();
        let records = records.map(|entry| entry.file_name().into_string().unwrap());
        // What was half written of a record that is there is written over by the next, or goes with it.
        let records: BTreeSet<String> = records.map(|name| name.trim_end_matches(".new").to_owned()).collect();
        assert!(records.iter().eq(live), "records: {records:?}\n{}", told());

        eventually(&format!("killed helpers have left the servers: {}", told()), Duration::from_secs(60), || {
            servers.iter().all(|identity| helpers_groups(identity).is_empty())
        });
        if !self.is_up {
            return;
        }
        let drift = self.project.andon(&["drift"]);
        assert_eq!(drift.code, Some(0), "{drift}\n{}", told());
        let greeting = format!("hello from dev{}", suffix(self.greeting));
        let address = format!("127.0.0.1:{}", self.project.port);
        // A reload lets nginx's old workers finish what they have accepted.
        eventually(&format!("the servers say `{greeting}`: {}", told()), Duration::from_secs(60), || {
            (0..self.count * 2).all(|_| {
                let (status, body) = get(&address, "/", Duration::from_secs(10)).unwrap();
                status == 200 && body.trim() == greeting
            })
        });
        let release = self.project.in_server("web-0", "cat /etc/shop-release 2>/dev/null || true");
        assert_eq!(release, self.release, "{}", told());
    }
}

fn suffix(number: usize) -> String {
    if number == 0 { String::new() } else { format!(", {number}") }
}

fn release(text: &str) -> String {
    match text {
        "" => "# release".to_owned(),
        text => format!("file \"/etc/shop-release\" {{\n    content = \"{text}\"\n  }}"),
    }
}

/// What there is of a project on this machine, as far as it is looked at; and what of it the ledger does not know.
/// Whatever is in a data directory of the project's own is the project's.
pub fn known_and_unknown(project: &Project, looked_at: impl Fn(&str) -> bool) -> (BTreeSet<String>, Vec<String>) {
    let logs = project.ok(&["logs", "--json", "-n", "1000000"]);
    let identity = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["identity"].as_str().map(str::to_owned)
    };
    let ever: BTreeSet<String> = logs.out.lines().filter_map(identity).collect();
    let live = project.identities();
    let place = project.data_dir.to_string_lossy().into_owned();
    let own = project.data_dir.starts_with(&project.directory);
    let found: BTreeSet<String> = evidence(project)
        .into_iter()
        .filter(|trace| (own && trace.contains(&place)) || ever.iter().any(|identity| trace.contains(identity)))
        .filter(|trace| looked_at(trace))
        .collect();
    let unknown = found.iter().filter(|trace| !live.iter().any(|identity| trace.contains(identity))).cloned().collect();
    (found, unknown)
}

/// The traces that the lab leaves on this machine, and more: records, network namespaces, and mounts in any mount
/// namespace. A namespace is told by the control group of a process in it.
fn evidence(project: &Project) -> BTreeSet<String> {
    let mut found = traces(&project.data_dir);
    for folder in ["lab/objects", "lab/locks"] {
        let entries = fs::read_dir(project.data_dir.join(folder)).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| format!("file {}", entry.path().display())));
    }
    let place = project.data_dir.to_string_lossy().into_owned();
    let mut mounts: BTreeMap<String, (bool, String)> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        let namespace =
            |kind: &str| fs::read_link(process.join("ns").join(kind)).map(|link| link.display().to_string());
        let (Ok(network), Ok(mount)) = (namespace("net"), namespace("mnt")) else { continue };
        let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        let of = groups.lines().find_map(|line| line.split("/andon/").nth(1)?.split('/').next()).unwrap_or_default();
        let own = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
        if !of.is_empty() && network != own {
            found.insert(format!("network namespace {network} of {of}"));
        }
        let (holds, whose) = mounts.entry(mount).or_insert_with(|| {
            let table = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
            (table.contains(&place), String::new())
        });
        if *holds && !of.is_empty() {
            of.clone_into(whose);
        }
    }
    let holding = mounts.into_iter().filter(|(_, (holds, _))| *holds);
    found.extend(holding.map(|(namespace, (_, whose))| format!("mounts of {place} in {namespace} of {whose}")));
    found
}

/// The control groups of helpers that work in a server.
fn helpers_groups(identity: &str) -> Vec<std::path::PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]
        .iter()
        .filter_map(|hierarchy| fs::read_dir(format!("{hierarchy}/andon/{identity}")).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("andon-")))
        .collect()
}
