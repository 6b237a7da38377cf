//! Places to enter: an overlay over this machine's own files, and a process in namespaces of its own.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use andon_reach::{Cover, Target};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why real namespaces cannot be tried here.
pub fn unable() -> Option<&'static str> {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root");
    }
    let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    match tried {
        Ok(status) if status.success() && Path::new("/dev/shm").is_dir() => None,
        _ => Some("namespaces cannot be made here"),
    }
}

pub fn helper() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub enum Place {
    Local,
    Root(Root),
    Server(i32),
}

impl Place {
    /// Of the words `local|root|server <init>`.
    pub fn read(words: &mut impl Iterator<Item = OsString>) -> Place {
        let kind = words.next().unwrap();
        let init = words.next().unwrap().to_str().unwrap().parse().unwrap();
        match kind.to_str() {
            Some("root") => Place::Root(Root::new()),
            Some("server") => Place::Server(init),
            _ => Place::Local,
        }
    }

    pub fn target(&self) -> Target {
        match self {
            Place::Local => Target::Local,
            Place::Root(root) => root.target(),
            Place::Server(init) => Target::server(*init).unwrap(),
        }
    }
}

/// A root file system over this machine's own.
pub struct Root(PathBuf);

impl Root {
    pub fn new() -> Root {
        // The kernel wants the writable layer outside of the layers below: on another file system, it surely is. The
        // name has what a list of options could mistake.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/dev/shm/andon reach:{},{number}", std::process::id()));
        fs::create_dir_all(directory.join("upper")).unwrap();
        fs::create_dir_all(directory.join("work")).unwrap();
        Root(directory)
    }

    pub fn target(&self) -> Target {
        Target::Root {
            lower: vec!["/".into()],
            upper: self.0.join("upper"),
            work: self.0.join("work"),
            covers: Vec::new(),
        }
    }

    /// A layer to lay over this machine's files.
    pub fn layer(&self) -> PathBuf {
        let layer = self.0.join("layer");
        fs::create_dir_all(&layer).unwrap();
        layer
    }

    /// With this layer, and with a directory of its own laid over `at`, which `fill` fills.
    pub fn target_over(&self, layer: &Path, at: &str, fill: impl FnOnce(&Path)) -> Target {
        let Target::Root { mut lower, upper, work, .. } = self.target() else { unreachable!() };
        lower.insert(0, layer.to_owned());
        let [fetched, over, own] = ["fetched", "over", "own"].map(|name| self.0.join("cover").join(name));
        [&fetched, &over, &own].into_iter().for_each(|place| fs::create_dir_all(place).unwrap());
        fill(&fetched);
        let cover = Cover { at: at.into(), lower: vec![fetched], upper: over, work: own };
        Target::Root { lower, upper, work, covers: vec![cover] }
    }

    /// Removes what a process that was killed made.
    pub fn remove_of(process: u32) {
        let start = format!("andon reach:{process},");
        for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&start) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The paths in the writable layer.
    pub fn written(&self) -> Vec<String> {
        let upper = self.0.join("upper");
        let mut found = Vec::new();
        let mut open = vec![upper.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                found.push(entry.path().strip_prefix(&upper).unwrap().to_str().unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        // Copied up, since something in them was made and removed again.
        found.retain(|path| !["etc", "usr", "usr/sbin"].contains(&path.as_str()));
        found.sort();
        found
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that has namespaces of its own, and a control group where there is the second version.
pub struct Server {
    outer: Child,
    pub init: i32,
    pub group: Option<PathBuf>,
}

impl Server {
    pub fn new() -> Server {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let hierarchy = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists());
        let group = hierarchy.map(|path| path.join(format!("andon-reach-{}-{number}", std::process::id())));
        let group = group.filter(|group| fs::create_dir(group).is_ok());
        let join = match &group {
            Some(group) => format!("echo $$ > {}/cgroup.procs; ", group.display()),
            None => String::new(),
        };
        let inner = "mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts; mount --bind /dev/pts/ptmx /dev/ptmx; \
                     hostname inner; echo ready; exec sleep 1000";
        let script = format!(
            "{join}exec unshare --mount --pid --net --uts --ipc --cgroup --mount-proc --fork --kill-child sh -c '{inner}'"
        );
        let mut outer = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(outer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let own = i32::try_from(outer.id()).unwrap();
        let init = numbers().into_iter().find(|pid| stat_field(*pid, 1) == Some(own)).unwrap();
        Server { outer, init, group }
    }

    pub fn target(&self) -> Target {
        Target::server(self.init).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        let start = Instant::now();
        while andon_reach::start_time(self.init).is_some() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(group) = &self.group {
            // A helper that was killed leaves its leaf; whoever owns the server removes all of the server's group.
            let remove = || {
                leaves(group).iter().for_each(|leaf| drop(fs::remove_dir(leaf)));
                fs::remove_dir(group)
            };
            while remove().is_err() && start.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// The control groups below a server's own.
pub fn leaves(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).unwrap().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The processes that sleep for so many seconds.
pub fn pids_named(seconds: &str) -> Vec<i32> {
    let line = format!("sleep\0{seconds}\0").into_bytes();
    numbers()
        .into_iter()
        .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|found| found == line))
        .collect()
}

/// Waits until no such process is left, and no shell that could start one.
pub fn await_none_named(seconds: &str) {
    let start = Instant::now();
    let mut quiet = 0;
    // Twice in a row, since one may have been between its parent's end and its own start.
    while quiet < 2 {
        quiet = if mentions(seconds) { 0 } else { quiet + 1 };
        assert!(start.elapsed() < Duration::from_secs(60), "left running: {:?}", pids_named(seconds));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn mentions(text: &str) -> bool {
    let own = i32::try_from(std::process::id()).unwrap();
    let says = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(text.len()).any(|window| window == text.as_bytes())
    };
    numbers().iter().any(|pid| *pid != own && says(pid))
}

fn numbers() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn stat_field(pid: i32, field: usize) -> Option<i32> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.rsplit_once(") ")?.1.split(' ').nth(field)?.parse().ok()
}
