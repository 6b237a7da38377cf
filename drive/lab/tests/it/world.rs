//! A lab with a data directory of its own, and what the machine must look like once it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use andon_lab::{CreateExtra, Lab, LabSettings, Made};
use andon_schema::{Failure, Identity};
use andon_value::{Type, Value};

pub const OWNER: &str = "test/default";

pub struct World {
    pub lab: Lab,
    pub data: tempfile::TempDir,
    identities: Mutex<Vec<Identity>>,
}

impl World {
    pub fn new() -> World {
        let data = tempfile::Builder::new()
            .prefix(&format!("andon-lab-{}-", std::process::id()))
            .tempdir_in("/var/tmp")
            .unwrap();
        World { lab: lab(data.path()), data, identities: Mutex::default() }
    }

    pub fn identity(&self) -> Identity {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let identity = Identity::from_random(time << 8 | NEXT.fetch_add(1, Ordering::Relaxed) & 0xFF);
        self.identities.lock().unwrap().push(identity.clone());
        identity
    }

    pub fn create(&self, kind: &str, given: &[(&str, Value)]) -> Result<(Identity, Value), Failure> {
        let identity = self.identity();
        let made = self.create_as(kind, &identity, given)?;
        Ok((identity, made.value))
    }

    pub fn create_as(&self, kind: &str, identity: &Identity, given: &[(&str, Value)]) -> Result<Made, Failure> {
        let lower_dirs = if kind == "lab_server" { vec![root().unwrap()] } else { vec![] };
        self.create_from(kind, identity, given, lower_dirs)
    }

    pub fn create_from(
        &self,
        kind: &str,
        identity: &Identity,
        given: &[(&str, Value)],
        lower_dirs: Vec<PathBuf>,
    ) -> Result<Made, Failure> {
        let (planned, _) = self.lab.plan(kind, None, &config(kind, given))?;
        let extra = CreateExtra { owner: OWNER.to_owned(), lower_dirs, ..Default::default() };
        let made = self.lab.create(kind, identity, &planned, &extra).map_err(|(failure, left)| {
            assert_eq!(left, None, "{failure}");
            failure
        })?;
        assert!(made.value.is_wholly_known());
        assert_eq!(self.lab.read(kind, identity, &made.value).unwrap().as_ref(), Some(&made.value));
        assert_eq!(self.lab.resolve(kind, identity).unwrap(), andon_lab::Found::Complete(made.value.clone()));
        Ok(made)
    }

    fn extra(&self, kind: &str) -> CreateExtra {
        let lower_dirs = if kind == "lab_server" { root().into_iter().collect() } else { vec![] };
        CreateExtra { owner: OWNER.to_owned(), lower_dirs, ..Default::default() }
    }

    pub fn update(
        &self,
        kind: &str,
        identity: &Identity,
        prior: &Value,
        given: &[(&str, Value)],
    ) -> Result<Made, Failure> {
        let (planned, replace) = self.lab.plan(kind, Some(prior), &config(kind, given))?;
        assert!(replace.is_empty(), "{replace:?}");
        let made =
            self.lab.update(kind, identity, prior, &planned, &self.extra(kind)).map_err(|(failure, _)| failure)?;
        assert_eq!(self.lab.read(kind, identity, &made.value).unwrap().as_ref(), Some(&made.value));
        Ok(made)
    }

    pub fn delete(&self, kind: &str, identity: &Identity) {
        self.lab.delete(kind, identity).unwrap();
        assert_eq!(self.lab.resolve(kind, identity).unwrap(), andon_lab::Found::Absent);
        self.lab.delete(kind, identity).unwrap();
    }

    /// Whatever this world made is gone.
    pub fn assert_nothing_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let identities = self.identities.lock().unwrap();
        let mut words: Vec<String> = identities.iter().map(Identity::to_string).collect();
        words.push(self.data.path().display().to_string());
        loop {
            let left = traces(&words);
            let files = files(self.data.path());
            if left.is_empty() && files.is_empty() {
                return;
            }
            // The kernel takes a network namespace down after its last process has ended.
            assert!(Instant::now() < deadline, "left: {left:?} {files:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for line in self.lab.sweep(&BTreeSet::new(), OWNER) {
            println!("{line}");
        }
    }
}

/// A lab whose helper is this program.
pub fn lab(data: &Path) -> Lab {
    Lab::open(LabSettings { data_dir: data.to_owned(), helper: "/proc/self/exe".into() }).unwrap()
}

/// The configuration that gives these attributes and leaves all others null.
pub fn config(kind: &str, given: &[(&str, Value)]) -> Value {
    let schema = &Lab::schemas()[kind];
    Value::object(schema.block.attributes.iter().map(|(name, attribute)| {
        let given = given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        (name.clone(), given.unwrap_or_else(|| Value::null(attribute.ty.clone())))
    }))
}

pub fn texts(texts: &[String]) -> Value {
    Value::list(Type::String, texts.iter().map(|text| Value::from(text.as_str())))
}

/// A root file system with systemd, or a printed reason.
pub fn root() -> Option<PathBuf> {
    let root = std::env::var_os("ANDON_TEST_ROOT").map(PathBuf::from).filter(|root| root.is_dir());
    if root.is_none() {
        println!("skipped: ANDON_TEST_ROOT names no directory with a Debian root file system");
    }
    root
}

/// Processes, mounts, interfaces, tables and control groups with one of these words in their name.
fn traces(words: &[String]) -> Vec<String> {
    let mut traces: Vec<String> = run("ip", &["-o", "link"]).lines().map(|line| format!("interface {line}")).collect();
    traces.extend(run("nft", &["list", "ruleset"]).lines().map(|line| format!("nft {line}")));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    traces.extend(mounts.lines().map(|line| format!("mount {line}")));
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    for root in hierarchies.chain(["/sys/fs/cgroup".into()]) {
        let groups = fs::read_dir(root.join("andon")).into_iter().flatten().flatten();
        traces.extend(groups.map(|entry| format!("cgroup {}", entry.path().display())));
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // One that has ended and waits for its parent to take note is gone.
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        if status.contains("State:\tZ") {
            continue;
        }
        let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let about = [read("cmdline"), read("cgroup"), read("mountinfo")].concat();
        if process.file_name() != *std::process::id().to_string() {
            traces.push(format!("process {:?} {}", process.file_name(), String::from_utf8_lossy(&about)));
        }
    }
    traces.retain(|trace| words.iter().any(|word| trace.contains(word)));
    traces
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir()
            && ![
                "lab",
                "servers",
                "networks",
                "balancers",
                "buckets",
                "stores",
                "volumes",
                "snapshots",
                "shares",
                "pools",
                "objects",
                "locks",
                "users",
            ]
            .contains(&entry.file_name().to_str().unwrap())
        {
            found.push(entry.path());
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The host's number of the first process of a server.
pub fn init(identity: &Identity) -> String {
    processes(identity).remove(0)
}

/// The processes of an object that has a control group.
pub fn processes(identity: &Identity) -> Vec<String> {
    let groups =
        ["/sys/fs/cgroup/unified/andon", "/sys/fs/cgroup/andon"].map(|root| Path::new(root).join(identity.as_str()));
    let processes = groups.iter().flat_map(|group| {
        ["init.scope", ""].map(|below| fs::read_to_string(group.join(below).join("cgroup.procs")).unwrap_or_default())
    });
    processes.collect::<String>().lines().map(str::to_owned).collect()
}

/// Runs a command inside a server.
pub fn inside(identity: &Identity, command: &str) -> String {
    run("nsenter", &["-t", &init(identity), "-a", "--", "/bin/sh", "-c", command])
}

/// As a process of its own: makes or removes an object, to be killed meanwhile.
pub fn victim(arguments: &[String]) -> Option<ExitCode> {
    let [command, data, kind, identity, rest @ ..] = arguments else { return None };
    let lab = lab(Path::new(data));
    let identity = Identity::parse(identity)?;
    match command.as_str() {
        "victim-create" => {
            let given: Vec<(&str, Value)> = rest
                .iter()
                .filter_map(|given| given.split_once('='))
                .map(|(name, text)| match text.split_once('=') {
                    Some((path, id)) => (name, Value::map(Type::String, [(path, Value::from(id))])),
                    None => (name, Value::from(text)),
                })
                .collect();
            let (planned, _) = lab.plan(kind, None, &config(kind, &given)).unwrap();
            let extra =
                CreateExtra { owner: OWNER.to_owned(), lower_dirs: root().into_iter().collect(), ..Default::default() };
            lab.create(kind, &identity, &planned, &extra).unwrap();
        }
        "victim-change" => {
            let andon_lab::Found::Complete(prior) = lab.resolve(kind, &identity).unwrap() else { return None };
            let schema = &Lab::schemas()[kind].block.attributes;
            let changed = rest.iter().filter_map(|given| given.split_once('=')).map(|(name, text)| {
                let value = match schema[name].ty {
                    Type::Bool => Value::from(text == "true"),
                    _ => Value::from(text),
                };
                (std::sync::Arc::from(name), value)
            });
            let planned = Value::object(BTreeMap::clone(prior.as_entries().unwrap()).into_iter().chain(changed));
            let extra = CreateExtra {
                owner: OWNER.to_owned(),
                lower_dirs: root().into_iter().collect(),
                ..CreateExtra::default()
            };
            lab.update(kind, &identity, &prior, &planned, &extra).unwrap();
        }
        "victim-delete" => lab.delete(kind, &identity).unwrap(),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}
