//! Control groups: where an object's processes are, found, limited and killed together.
//!
//! Works where there is only version 2, and where version 1 has the controllers and version 2 is beside it (`unified`).
//! A user without root may have no groups of their own: then a directory takes their place in which the numbers of an
//! object's processes are listed, and which limits nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::Failure;

use crate::failure::{OrFail, sentence};
use crate::realm::{self, started};
use crate::records::absent_is_fine;
use crate::units::format_bytes;

/// The group that holds those of all objects.
pub(crate) const PARENT: &str = "andon";
/// The file that says that lists take the place of control groups.
pub(crate) const LISTED: &str = ".andon";
/// How long the kernel may take to end killed processes.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// The period in which processor time is counted, in microseconds.
const PERIOD_US: u64 = 100_000;

/// This machine's hierarchies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hierarchies {
    /// Version 2.
    unified: PathBuf,
    /// Version 1, where it has the controller.
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    pids: Option<PathBuf>,
    /// Whether there are lists where there should be groups.
    listed: bool,
}

/// The groups of one object.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    hierarchies: Hierarchies,
    identity: String,
}

impl Hierarchies {
    /// Finds them.
    pub fn find() -> Result<Hierarchies, Failure> {
        let mounts = fs::read_to_string("/proc/self/mounts").or_fail(|| "cannot read the mount table".into())?;
        if Path::new("/sys/fs/cgroup").join(LISTED).exists() {
            return Ok(Hierarchies::listed(Path::new("/sys/fs/cgroup")));
        }
        Hierarchies::parse(&mounts).ok_or_else(|| {
            Failure::new("control groups of version 2 are not mounted", "Servers and balancers live in control groups.")
                .help("Mount them: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`.")
        })
    }

    /// Whether lists take the place of groups.
    pub fn are_listed(&self) -> bool {
        self.listed
    }

    fn listed(root: &Path) -> Hierarchies {
        Hierarchies { unified: root.to_owned(), memory: None, cpu: None, pids: None, listed: true }
    }

    fn parse(mounts: &str) -> Option<Hierarchies> {
        let fields = |line: &str| {
            let fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
            <[String; 6]>::try_from(fields).ok()
        };
        let mut seen: Vec<[String; 6]> = Vec::new();
        for mount in mounts.lines().filter_map(fields) {
            // What is mounted over others hides them.
            seen.retain(|[_, path, ..]| !Path::new(path).starts_with(&mount[1]));
            seen.push(mount);
        }
        let mounts = seen;
        let unified = mounts.iter().find(|[_, _, kind, ..]| kind == "cgroup2").map(|[_, path, ..]| path.into())?;
        let version_1 = |controller: &str| {
            mounts.iter().find_map(|[_, path, kind, options, ..]| {
                (kind == "cgroup" && options.split(',').any(|option| option == controller)).then(|| path.into())
            })
        };
        let (memory, cpu, pids) = (version_1("memory"), version_1("cpu"), version_1("pids"));
        Some(Hierarchies { unified, memory, cpu, pids, listed: false })
    }

    /// The groups of an object, which need not exist.
    pub fn group(&self, identity: &str) -> Group {
        Group { hierarchies: self.clone(), identity: identity.to_owned() }
    }

    fn roots(&self) -> impl Iterator<Item = &PathBuf> {
        // One version 1 hierarchy can have several controllers.
        let version_1: BTreeSet<&PathBuf> = [&self.memory, &self.cpu, &self.pids].into_iter().flatten().collect();
        std::iter::once(&self.unified).chain(version_1)
    }
}

impl Group {
    /// The list of an object's processes below a directory of such lists.
    pub fn listed(root: &Path, identity: &str) -> Group {
        Hierarchies::listed(root).group(identity)
    }

    /// Whether it is a list and no control group.
    pub fn is_listed(&self) -> bool {
        self.hierarchies.listed
    }

    /// Writes a process down, where there is no group that it is in.
    pub fn list(&self, process: i32) -> io::Result<()> {
        let Some(started) = started(process) else { return Ok(()) };
        let mut list = File::options().create(true).append(true).open(self.unified().join("cgroup.procs"))?;
        list.write_all(format!("{process} {started}\n").as_bytes())
    }

    /// Makes the group of version 2. Those of version 1 come with the first limit: to move a process into one costs more
    /// than to start it, and only limits need them.
    pub fn create(&self) -> Result<(), Failure> {
        self.make(&self.hierarchies.unified).map(drop)
    }

    fn make(&self, root: &Path) -> Result<PathBuf, Failure> {
        let path = self.below(root);
        // Whoever removes the last group removes the parent too, between any two steps of ours.
        let mut attempts = 0..100;
        loop {
            match fs::create_dir(&path).or_else(exists_is_fine) {
                Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {
                    let parent = root.join(PARENT);
                    absent_is_fine(fs::create_dir(&parent).or_else(exists_is_fine))
                        .or_fail(|| format!("cannot make the control group {}", parent.display()))?;
                }
                made => {
                    made.or_fail(|| format!("cannot make the control group {}", path.display()))?;
                    return Ok(path);
                }
            }
        }
    }

    /// The group whose files limit what a controller counts. On version 1 it is made, and takes up what runs.
    fn limited(&self, version_1: Option<&PathBuf>) -> Result<PathBuf, Failure> {
        if self.hierarchies.listed {
            return Err(nothing_to_limit());
        }
        let Some(root) = version_1 else {
            self.delegate(&self.hierarchies.unified);
            return Ok(self.unified());
        };
        let path = self.make(root)?;
        let procs = path.join("cgroup.procs");
        // What is started meanwhile may be missed once, not twice.
        for _ in 0..100 {
            let there: BTreeSet<i32> = processes_of(&path).into_iter().collect();
            let missed: Vec<i32> = self.processes().into_iter().filter(|process| !there.contains(process)).collect();
            if missed.is_empty() {
                break;
            }
            // One that has ended need not be moved.
            missed.iter().for_each(|process| drop(fs::write(&procs, process.to_string())));
        }
        Ok(path)
    }

    /// Lets groups below have the controllers. Where a controller is not to be had, setting the limit says so.
    fn delegate(&self, root: &Path) {
        for group in [root.to_owned(), root.join(PARENT)] {
            for controller in ["+memory", "+cpu", "+pids"] {
                let _ = fs::write(group.join("cgroup.subtree_control"), controller);
            }
        }
    }

    /// The directory of the version 2 group: what a new process is cloned into.
    pub fn unified(&self) -> PathBuf {
        self.hierarchies.unified.join(PARENT).join(&self.identity)
    }

    /// Puts a process into the version 1 groups that there are; one that was cloned into the version 2 group is already
    /// there.
    pub fn add_to_version_1(&self, process: i32) -> io::Result<()> {
        let mut version_1 = self.hierarchies.roots().skip(1);
        version_1
            .try_for_each(|root| absent_is_fine(fs::write(self.below(root).join("cgroup.procs"), process.to_string())))
    }

    /// Puts the calling process into all groups.
    pub fn enter(&self) -> io::Result<()> {
        if self.hierarchies.listed {
            return self.list(std::process::id() as i32);
        }
        self.hierarchies
            .roots()
            .try_for_each(|root| absent_is_fine(fs::write(self.below(root).join("cgroup.procs"), "0")))
    }

    /// Puts the calling process into the group of version 2 alone, where it is found, and where it gets more of processors
    /// that are short than a server does. In a group of version 1 it would share what all servers together get.
    pub fn enter_as_service(&self) -> io::Result<()> {
        if self.hierarchies.listed {
            return self.list(std::process::id() as i32);
        }
        let _ = fs::write(self.unified().join("cpu.weight"), "1000");
        fs::write(self.unified().join("cgroup.procs"), "0")
    }

    /// Limits memory, swap included.
    pub fn limit_memory(&self, bytes: Option<u64>) -> Result<(), Failure> {
        let failed = || match bytes {
            Some(bytes) => format!("cannot limit memory to {}", format_bytes(bytes)),
            None => "cannot lift the limit of memory".to_owned(),
        };
        if bytes.is_none() && !self.is_limited(self.hierarchies.memory.as_ref(), "memory.max") {
            return Ok(());
        }
        let group = self.limited(self.hierarchies.memory.as_ref())?;
        if self.hierarchies.memory.is_some() {
            let text = bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
            // Swap and memory together can be no less than memory: which comes first depends on the direction.
            let with_swap = group.join("memory.memsw.limit_in_bytes");
            let _ = fs::write(&with_swap, &text);
            fs::write(group.join("memory.limit_in_bytes"), &text).map_err(|error| match error.kind() {
                ErrorKind::ResourceBusy => too_little(failed(), number(&group.join("memory.usage_in_bytes"))),
                _ => Failure::new(failed(), sentence(&error.to_string())),
            })?;
            return absent_is_fine(fs::write(with_swap, &text)).or_fail(failed);
        }
        if let Some(bytes) = bytes {
            make_room(&group, bytes).map_err(|used| too_little(failed(), Some(used)))?;
        }
        let text = bytes.map_or("max".to_owned(), |bytes| bytes.to_string());
        absent_is_fine(fs::write(group.join("memory.swap.max"), if bytes.is_some() { "0" } else { "max" }))
            .map_err(|error| self.unlimited(None, failed(), &error))?;
        fs::write(group.join("memory.max"), text).map_err(|error| self.unlimited(None, failed(), &error))
    }

    /// Whether there is anything that a limit could be lifted of. `file` is what version 2 keeps it in, where the group has
    /// the controller.
    fn is_limited(&self, version_1: Option<&PathBuf>, file: &str) -> bool {
        version_1.map_or_else(|| self.unified().join(file), |root| self.below(root)).exists()
    }

    /// What is wrong where a limit could not be written.
    fn unlimited(&self, version_1: Option<&PathBuf>, what: String, error: &io::Error) -> Failure {
        let failure = Failure::new(what, sentence(&error.to_string()));
        match version_1 {
            // The kernel has files of the controllers alone, and lets nobody make another.
            None if error.kind() == ErrorKind::PermissionDenied || error.kind() == ErrorKind::NotFound => match realm::no_limits() {
                Some(why) => failure.help(why),
                None => failure.help("The control groups that this user may write to lack the controller. `systemctl show user@$UID.service -p DelegateControllers` says which they have."),
            },
            _ => failure,
        }
    }

    /// Limits how many processes and threads there may be at once.
    pub fn limit_processes(&self, count: Option<u64>) -> Result<(), Failure> {
        if count.is_none() && !self.is_limited(self.hierarchies.pids.as_ref(), "pids.max") {
            return Ok(());
        }
        let group = self.limited(self.hierarchies.pids.as_ref())?;
        let text = count.map_or("max".to_owned(), |count| count.to_string());
        match fs::write(group.join("pids.max"), text) {
            Err(error) if error.kind() == ErrorKind::NotFound && count.is_none() => Ok(()),
            result => result.map_err(|error| {
                let what = "cannot limit the number of processes".to_owned();
                self.unlimited(self.hierarchies.pids.as_ref(), what, &error)
            }),
        }
    }

    /// The limit of processes and threads as it is.
    pub fn process_limit(&self) -> Option<u64> {
        let root = self.hierarchies.pids.as_ref().unwrap_or(&self.hierarchies.unified);
        fs::read_to_string(self.below(root).join("pids.max")).ok()?.trim().parse().ok()
    }

    /// The limit of memory as it is.
    pub fn memory_limit(&self) -> Option<u64> {
        let path = match &self.hierarchies.memory {
            Some(root) => self.below(root).join("memory.limit_in_bytes"),
            None => self.unified().join("memory.max"),
        };
        // Version 1 says "no limit" by the largest number of whole pages.
        fs::read_to_string(path).ok()?.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
    }

    /// Limits processor time, in processors.
    pub fn limit_cpus(&self, cpus: Option<f64>) -> Result<(), Failure> {
        if cpus.is_none() && !self.is_limited(self.hierarchies.cpu.as_ref(), "cpu.max") {
            return Ok(());
        }
        let group = self.limited(self.hierarchies.cpu.as_ref())?;
        let quota = cpus.map(|cpus| ((cpus * PERIOD_US as f64) as u64).max(1000));
        let (path, text) = match &self.hierarchies.cpu {
            Some(_) => (group.join("cpu.cfs_quota_us"), quota.map_or("-1".into(), |quota| quota.to_string())),
            None => {
                let quota = quota.map_or("max".into(), |quota| quota.to_string());
                (group.join("cpu.max"), format!("{quota} {PERIOD_US}"))
            }
        };
        match fs::write(path, text) {
            Err(error) if error.kind() == ErrorKind::NotFound && quota.is_none() => Ok(()),
            result => result.map_err(|error| {
                self.unlimited(self.hierarchies.cpu.as_ref(), "cannot limit processor time".to_owned(), &error)
            }),
        }
    }

    /// The limit of processor time as it is, in processors.
    pub fn cpu_limit(&self) -> Option<f64> {
        let quota = match &self.hierarchies.cpu {
            Some(root) => fs::read_to_string(self.below(root).join("cpu.cfs_quota_us")).ok()?,
            None => fs::read_to_string(self.unified().join("cpu.max")).ok()?,
        };
        let quota: i64 = quota.split_whitespace().next()?.parse().ok()?;
        (quota > 0).then_some(quota as f64 / PERIOD_US as f64)
    }

    /// A process in the group or the groups below it. Those where an init is are looked at first.
    pub fn find(&self, is_it: impl Fn(i32) -> bool) -> Option<i32> {
        let group = self.unified();
        let likely = [group.join("init.scope"), group].into_iter().flat_map(|group| processes_of(&group));
        let mut all = likely.chain(std::iter::once_with(|| self.processes()).flatten());
        all.find(|process| is_it(*process))
    }

    /// The processes in the group and the groups below it.
    fn processes(&self) -> Vec<i32> {
        processes_below(&self.unified())
    }

    /// Kills every process and removes the groups.
    pub fn destroy(&self) -> Result<(), Failure> {
        self.kill()?;
        let start = Instant::now();
        for root in self.hierarchies.roots() {
            let path = self.below(root);
            if self.hierarchies.listed {
                absent_is_fine(fs::remove_file(path.join("cgroup.procs")))
                    .or_fail(|| format!("cannot remove {}", path.display()))?;
            }
            while let Err(error) = remove_tree(&path) {
                if start.elapsed() > KILL_LIMIT {
                    return Err(error).or_fail(|| format!("cannot remove the control group {}", path.display()));
                }
                self.kill()?;
                std::thread::sleep(Duration::from_millis(1));
            }
            // The last one out closes the door; it fails while there are others.
            let _ = fs::remove_dir(root.join(PARENT));
        }
        Ok(())
    }

    fn kill(&self) -> Result<(), Failure> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            let at_once = !self.hierarchies.listed && fs::write(self.unified().join("cgroup.kill"), "1").is_ok();
            let processes = self.processes();
            if processes.is_empty() {
                return Ok(());
            }
            if !at_once {
                for process in &processes {
                    // SAFETY: kill touches no memory.
                    unsafe { libc::kill(*process, libc::SIGKILL) };
                }
            }
            if start.elapsed() > KILL_LIMIT {
                let detail = format!(
                    "These processes were killed {} s ago and are still there: {processes:?}.",
                    KILL_LIMIT.as_secs()
                );
                return Err(Failure::new("processes do not end", detail));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn below(&self, root: &Path) -> PathBuf {
        root.join(PARENT).join(&self.identity)
    }
}

/// Has a group of version 2 give up what it only keeps in case, so that it uses no more than this many bytes: else the kernel
/// would end processes for a lower limit. What it uses where that is more.
fn make_room(group: &Path, bytes: u64) -> Result<(), u64> {
    let used = || number(&group.join("memory.current")).unwrap_or_default();
    let more = used().saturating_sub(bytes);
    if more == 0 {
        return Ok(());
    }
    // Would block: it was less. Whatever else it says, as a kernel before 5.19 that has no such file, leaves open how much
    // could be given up.
    match fs::write(group.join("memory.reclaim"), more.to_string()) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(()),
        _ => {}
    }
    Some(used()).filter(|used| *used > bytes).map_or(Ok(()), Err)
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn too_little(what: String, used: Option<u64>) -> Failure {
    let used = used.map_or("more".to_owned(), |used| format!("{} MiB", used.div_ceil(1 << 20)));
    Failure::new(what, format!("What runs in the server uses {used} now."))
        .help("Give it more, or stop what it can do without, and apply again.")
}

/// The processes in a group, or of a list of them, and in those below it.
pub(crate) fn processes_below(group: &Path) -> Vec<i32> {
    let mut processes = Vec::new();
    collect_processes(group, &mut processes);
    processes
}

fn collect_processes(group: &Path, processes: &mut Vec<i32>) {
    processes.extend(processes_of(group));
    for below in groups_below(group) {
        collect_processes(&below, processes);
    }
}

fn processes_of(group: &Path) -> Vec<i32> {
    let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let process = |line: &str| match line.split_once(' ') {
        None => line.parse().ok(),
        // Of a list: numbers of processes are used again.
        Some((process, since)) => {
            process.parse().ok().filter(|process| started(*process) == since.parse().ok() && !since.is_empty())
        }
    };
    list.lines().filter_map(process).collect()
}

/// The directory of the control group of version 2 that the calling process is in, where its user may have others below it.
pub(crate) fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let may = |path: &Path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok();
    own_group_of(&groups, &Hierarchies::find().ok()?.unified, &may)
}

/// The same by what `/proc/PROCESS/cgroup` says (cgroups(7)), where groups are mounted, and what the user may write to.
fn own_group_of(groups: &str, unified: &Path, may: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // One that is not below those that can be seen here is named by the way up to it.
    if Path::new(own).starts_with("..") {
        return None;
    }
    let directory = unified.join(own);
    (may(&directory) && may(&directory.join("cgroup.procs"))).then_some(directory)
}

/// What is to be said of a limit where there are lists in place of groups.
pub(crate) fn nothing_to_limit() -> Failure {
    Failure::new(
        "the kernel limits nothing that has no control group",
        "This user's processes are in a control group that the user may not write to.",
    )
    .help("Run this where systemd gives the user one: `systemd-run --user --scope -p Delegate=yes andon …`. Or have root run `loginctl enable-linger` for the user, and begin the lab anew. Or leave the limits out, or run it with sudo.")
}

/// Removes a control group and those below it, which have no processes any more.
pub(crate) fn remove_tree(group: &Path) -> io::Result<()> {
    for below in groups_below(group) {
        remove_tree(&below)?;
    }
    absent_is_fine(fs::remove_dir(group))
}

fn groups_below(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

fn exists_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_own_group_is_where_it_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let scope = "user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope";
        let session = "user.slice/user-1000.slice/session-3.scope";
        for group in [scope, session] {
            fs::create_dir_all(folder.path().join(group)).unwrap();
            fs::write(folder.path().join(group).join("cgroup.procs"), "").unwrap();
        }
        // What systemd delegates is the user's; a session's scope is root's.
        let may = |path: &Path| path.exists() && path.to_string_lossy().contains("user@1000.service");
        let check = |groups: &str, expected: Option<&str>| {
            let expected = expected.map(|group| folder.path().join(group));
            assert_eq!(own_group_of(groups, folder.path(), &may), expected, "{groups}");
        };
        check(&format!("0::/{scope}\n"), Some(scope));
        check(&format!("4:memory:/\n1:name=systemd:/{session}\n0::/{scope}\n"), Some(scope));
        check(&format!("0::/{session}\n"), None);
        check("0::/user.slice/user-1000.slice/user@1000.service/gone.scope\n", None);
        check("0::/../../user@1000.service\n", None);
        check("0::/\n", None);
        check("4:memory:/user.slice\n", None);
        // Only its processes are not the user's to move there.
        let may = |path: &Path| path.ends_with("run-r1.scope");
        assert_eq!(own_group_of(&format!("0::/{scope}\n"), folder.path(), &may), None);
    }

    #[test]
    fn limits_are_written_as_either_version_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = |name: &str| folder.path().join(name);
        let version_2 = Hierarchies { unified: root("2"), memory: None, cpu: None, pids: None, listed: false };
        let version_1 = Hierarchies {
            unified: root("u"),
            memory: Some(root("m")),
            cpu: Some(root("c")),
            pids: Some(root("c")),
            listed: false,
        };
        let cases = [
            (
                version_2,
                ["2/andon/x/memory.max", "2/andon/x/cpu.max"],
                ["268435456", "50000 100000"],
                ["max", "max 100000"],
            ),
            (
                version_1,
                ["m/andon/x/memory.limit_in_bytes", "c/andon/x/cpu.cfs_quota_us"],
                ["268435456", "50000"],
                ["-1", "-1"],
            ),
        ];
        for (hierarchies, paths, limited, unlimited) in cases {
            hierarchies.roots().for_each(|root| fs::create_dir_all(root).unwrap());
            let group = hierarchies.group("x");
            group.create().unwrap();
            group.create().unwrap();
            let check = |expected: [&str; 2]| {
                let written = paths.map(|path| fs::read_to_string(root(path)).unwrap());
                assert_eq!(written, expected);
            };
            group.limit_memory(Some(256 << 20)).unwrap();
            group.limit_cpus(Some(0.5)).unwrap();
            check(limited);
            assert_eq!((group.memory_limit(), group.cpu_limit()), (Some(256 << 20), Some(0.5)));
            group.limit_memory(None).unwrap();
            group.limit_cpus(None).unwrap();
            check(unlimited);
            assert_eq!((group.memory_limit(), group.cpu_limit()), (None, None));
        }
    }

    #[test]
    fn hierarchies_are_found_in_the_mount_table() {
        let check = |mounts: &str, expected: Option<[Option<&str>; 4]>| {
            let found = Hierarchies::parse(mounts);
            let expected = expected.map(|[unified, memory, cpu, pids]| Hierarchies {
                unified: unified.unwrap().into(),
                memory: memory.map(Into::into),
                cpu: cpu.map(Into::into),
                pids: pids.map(Into::into),
                listed: false,
            });
            assert_eq!(found, expected);
        };
        check("proc /proc proc rw 0 0\n", None);
        // One that lies over others is the one that is seen.
        check(
            "cgroup /c/memory cgroup rw,memory 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\ncgroup2 /c cgroup2 rw 0 0\n",
            Some([Some("/c"), None, None, None]),
        );
        check("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", Some([Some("/sys/fs/cgroup"), None, None, None]));
        check(
            "cgroup /c/systemd cgroup rw,name=systemd 0 0\ncgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
             cgroup /c/memory cgroup rw,memory 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n",
            Some([Some("/c/unified"), Some("/c/memory"), Some("/c/cpu,cpuacct"), None]),
        );
    }

    #[test]
    fn lists_take_the_place_of_groups() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::listed(folder.path(), "x");
        group.create().unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let number = child.id() as i32;
        group.list(number).unwrap();
        let list = fs::read_to_string(folder.path().join("andon/x/cgroup.procs")).unwrap();
        assert_eq!(group.find(|_| true), Some(number));
        for wrong in ["", "1 7\n", "x y\n", "1 \n"] {
            fs::write(folder.path().join("andon/x/cgroup.procs"), wrong).unwrap();
            assert_eq!(group.find(|_| true), None, "{wrong}");
        }
        fs::write(folder.path().join("andon/x/cgroup.procs"), list).unwrap();
        group.limit_memory(None).unwrap();
        group.limit_cpus(None).unwrap();
        group.limit_processes(None).unwrap();
        assert!(group.limit_memory(Some(64 << 20)).unwrap_err().help[0].contains("Delegate=yes"));
        assert!(group.limit_cpus(Some(1.0)).is_err() && group.limit_processes(Some(10)).is_err());
        assert_eq!((group.memory_limit(), group.cpu_limit(), group.process_limit()), (None, None, None));
        let waits = std::thread::spawn(move || child.wait().unwrap());
        group.destroy().unwrap();
        assert!(!waits.join().unwrap().success());
        assert!(!folder.path().join("andon").exists());
        group.destroy().unwrap();
    }
}
