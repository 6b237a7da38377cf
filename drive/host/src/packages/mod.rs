//! Packages, by whatever package manager this server has. What is installed is read from the manager's own files, or
//! from one run of a tool, for all packages at once.

mod apk;
mod apt;
mod pacman;
mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use andon_schema::host::{self, Act, Install, Manager, Package, PackageFile, Stage, Uninstall};

use crate::act::Progress;
use crate::run::{Limit, Output, last_lines, run_for, run_within};

/// How long is waited for another run of a package manager to end.
const LOCK: Duration = Duration::from_secs(300);
/// How long a fetch may be without a byte, before it is stopped at the end of another time as long. Managers give up
/// on a silent mirror sooner (apt after 30 s: `Acquire::http::Timeout` in apt-transport-http(1)).
const STALLED: Duration = Duration::from_secs(60);
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(60);

/// What is installed.
#[derive(Default)]
pub(crate) struct Installed {
    packages: BTreeMap<Arc<str>, Vec<Build>>,
    provided: BTreeSet<Arc<str>>,
    /// Only the configuration is there.
    kept: BTreeSet<Arc<str>>,
    held: BTreeSet<Arc<str>>,
    /// A package is between two states, or the manager was killed while it wrote one.
    broken: bool,
}

struct Build {
    architecture: Arc<str>,
    version: Arc<str>,
}

impl Installed {
    fn add(&mut self, name: &str, architecture: &str, version: &str) {
        let build = Build { architecture: architecture.into(), version: version.into() };
        self.packages.entry(name.into()).or_default().push(build);
    }

    /// Whether a package is installed; `name` may end in `:architecture`, as in Debian, or `.architecture`, as with rpm.
    pub fn find(&self, name: &str) -> Package {
        let with_rpm = || name.rsplit_once('.').filter(|(_, rest)| rpm::ARCHITECTURES.contains(rest));
        let parts = || name.split_once(':').or_else(with_rpm);
        let (plain, architecture) = match self.packages.contains_key(name) {
            true => (name, None),
            false => parts().map_or((name, None), |(name, rest)| (name, Some(rest))),
        };
        let versions = self.packages.get(plain).map(Vec::as_slice).unwrap_or_default();
        let all = ["all", "noarch", "any"];
        let fits =
            |known: &str| architecture.is_none_or(|wanted| wanted == known || wanted == "any" || all.contains(&known));
        match versions.iter().find(|build| fits(&build.architecture)) {
            Some(build) => Package::Installed { version: build.version.clone(), held: self.held.contains(plain) },
            None if self.provided.contains(name) => Package::Provided,
            None if self.kept.contains(plain) => Package::Kept,
            None => Package::Missing,
        }
    }
}

/// What is known of the packages of this server.
pub(crate) struct Packages {
    manager: Manager,
    installed: Installed,
}

impl Packages {
    pub fn read() -> Result<Packages, String> {
        let manager = manager()?;
        let installed = match manager {
            Manager::Apt => apt::read(),
            Manager::Dnf | Manager::Yum | Manager::Zypper => rpm::read(manager),
            Manager::Apk => apk::read(),
            Manager::Pacman => pacman::read(),
        }?;
        Ok(Packages { manager, installed })
    }

    pub fn find(&self, name: &str) -> Package {
        self.installed.find(name)
    }

    pub fn state(&self) -> host::Packages {
        host::Packages {
            manager: self.manager,
            broken: self.installed.broken,
            index_age_ms: index_age_ms(self.manager),
        }
    }
}

/// The package manager of this server.
fn manager() -> Result<Manager, String> {
    let known = [
        (Manager::Apt, "apt-get"),
        (Manager::Apk, "apk"),
        (Manager::Pacman, "pacman"),
        (Manager::Zypper, "zypper"),
        (Manager::Dnf, "dnf"),
        (Manager::Dnf, "dnf5"),
        (Manager::Dnf, "microdnf"),
        (Manager::Yum, "yum"),
    ];
    let found: Vec<Manager> = known.into_iter().filter(|(_, tool)| has(tool)).map(|(manager, _)| manager).collect();
    // A server may have the tools of another family: what it is made of says which counts.
    let is_own = |manager: &&Manager| Path::new(database(**manager)).exists();
    found
        .iter()
        .find(is_own)
        .or(found.first())
        .copied()
        .ok_or_else(|| "this server has none of the package managers apt, dnf, yum, zypper, apk and pacman".to_owned())
}

fn has(tool: &str) -> bool {
    ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"]
        .iter()
        .any(|directory| Path::new(&format!("{directory}{tool}")).exists())
}

fn database(manager: Manager) -> &'static str {
    match manager {
        Manager::Apt => apt::STATUS,
        Manager::Apk => apk::database(),
        Manager::Pacman => pacman::DATABASE,
        Manager::Zypper => "/etc/zypp",
        Manager::Dnf | Manager::Yum => rpm::database(),
    }
}

/// How old the index of what can be had is; `None` where there is none, or where it is older than the list of where
/// packages come from.
fn index_age_ms(manager: Manager) -> Option<u64> {
    let (index, sources): (&[&str], &[&str]) = match manager {
        Manager::Apt => (&["/var/lib/apt/lists"], &["/etc/apt/sources.list", "/etc/apt/sources.list.d"]),
        Manager::Apk => (&["/var/cache/apk", "/etc/apk/cache"], &["/etc/apk/repositories"]),
        Manager::Pacman => (&["/var/lib/pacman/sync"], &["/etc/pacman.conf"]),
        Manager::Zypper => (&["/var/cache/zypp/raw"], &["/etc/zypp/repos.d"]),
        Manager::Dnf => (&["/var/cache/dnf", "/var/cache/libdnf5"], &["/etc/yum.repos.d"]),
        Manager::Yum => (&["/var/cache/yum"], &["/etc/yum.repos.d"]),
    };
    let fetched = index.iter().filter_map(|path| newest_inside(Path::new(path))).max()?;
    let changed = sources.iter().flat_map(|path| [modified(Path::new(path)), newest_inside(Path::new(path))]);
    if changed.flatten().any(|changed| changed > fetched) {
        return None;
    }
    let age = SystemTime::now().duration_since(fetched).unwrap_or_default();
    Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// When anything in a directory was last written; locks, and directories that are always there, say nothing.
fn newest_inside(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let tells = |entry: &fs::DirEntry| !matches!(entry.file_name().to_str(), Some("lock" | "partial" | "auxfiles"));
    entries.filter(tells).filter_map(|entry| modified(&entry.path())).max()
}

/// The versions in which packages can be had: of each first that which the manager would choose.
pub(crate) fn candidates(names: &[&str]) -> Result<BTreeMap<Arc<str>, Vec<Arc<str>>>, String> {
    let manager = manager()?;
    let ask =
        |tool: &str, arguments: &[&str]| run_for(tool, &[arguments, names].concat(), LOOK).map(|output| output.text);
    Ok(match manager {
        Manager::Apt => {
            let arguments = [apt::baking_options(), vec!["policy", "--"]].concat();
            apt::parse_policy(&ask("apt-cache", &arguments)?)
        }
        Manager::Dnf => rpm::parse_list(&ask(rpm::dnf(), &["-q", "-C", "list", "--showduplicates"])?),
        Manager::Yum => rpm::parse_list(&ask("yum", &["-q", "-C", "list", "--showduplicates"])?),
        Manager::Zypper => rpm::parse_search(&ask(
            "zypper",
            &[
                "--non-interactive",
                "--no-refresh",
                "--quiet",
                "search",
                "--details",
                "--match-exact",
                "--type",
                "package",
                "--",
            ],
        )?),
        Manager::Apk => apk::parse_policy(&ask("apk", &["policy"])?),
        Manager::Pacman => pacman::parse_info(&ask("pacman", &["-Si", "--"])?),
    })
}

/// What package is in a file.
pub(crate) fn look_in_file(path: &str) -> Result<Option<PackageFile>, String> {
    if !Path::new(path).exists() {
        return Ok(None);
    }
    let (tool, arguments): (&str, &[&str]) = match manager()? {
        Manager::Apt => ("dpkg-deb", &["-W", "--showformat=${Package}\t${Version}", path]),
        Manager::Dnf | Manager::Yum | Manager::Zypper => (
            "rpm",
            &["-qp", "--nosignature", "--queryformat", "%{NAME}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}", path],
        ),
        Manager::Apk => ("tar", &["-xzOf", path, ".PKGINFO"]),
        Manager::Pacman => ("pacman", &["-Qp", path]),
    };
    let output = run_for(tool, arguments, LOOK)?;
    let line = output.text.lines().last().unwrap_or_default();
    let found = match tool {
        "tar" => apk::parse_info(&output.text),
        _ => line
            .split_once(['\t', ' '])
            .map(|(name, version)| PackageFile { name: name.into(), version: version.into() }),
    };
    found
        .filter(|_| output.success)
        .map(Some)
        .ok_or_else(|| format!("{path} is not a package: {}", last_lines(&output.text, 3)))
}

/// Does what an act asks; `wanted` is told of a wait.
pub(crate) fn act(act: &Act, stage: Stage, wanted: &mut dyn FnMut(Progress) -> bool) -> Result<(), String> {
    let manager = manager()?;
    let mut tool = Tool { manager, stage, wanted };
    match act {
        Act::RepairPackages => match manager {
            Manager::Apt => apt::repair(&mut tool),
            Manager::Pacman => pacman::repair(),
            // These undo what they were interrupted in by themselves.
            _ => Ok(()),
        },
        Act::RefreshPackages => tool.refresh(),
        Act::InstallPackages(install) => tool.install(install),
        Act::RemovePackages(uninstall) => tool.remove(uninstall),
        Act::HoldPackages { packages, hold } => tool.hold(packages, *hold),
        other => Err(format!("{other:?} is not an act on packages")),
    }
}

/// A package manager at work.
struct Tool<'a> {
    manager: Manager,
    stage: Stage,
    wanted: &'a mut dyn FnMut(Progress) -> bool,
}

impl Tool<'_> {
    fn refresh(&mut self) -> Result<(), String> {
        match self.manager {
            Manager::Apt => apt::refresh(self),
            Manager::Dnf => self.must(rpm::dnf(), &["-q", "-y", "makecache"], &[]),
            Manager::Yum => self.must("yum", &["-q", "-y", "makecache"], &[]),
            Manager::Zypper => self.must("zypper", &["--non-interactive", "--gpg-auto-import-keys", "refresh"], &[]),
            Manager::Apk => self.must("apk", &["update"], &[]),
            Manager::Pacman => self.must("pacman", &["-Sy", "--noconfirm"], &[]),
        }
    }

    /// The index of what can be had is fetched only where the install fails for want of a newer one.
    fn install(&mut self, install: &Install) -> Result<(), String> {
        let first = match self.install_once(install) {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        let stale = match self.manager {
            Manager::Apt => apt::STALE,
            Manager::Dnf | Manager::Yum | Manager::Zypper => rpm::STALE,
            Manager::Apk => apk::STALE,
            Manager::Pacman => pacman::STALE,
        };
        if !stale.iter().any(|words| first.contains(words)) {
            return Err(first);
        }
        (self.wanted)(Progress::Waits("fetching the lists of packages"));
        let update = self.refresh();
        self.install_once(install).map_err(|reason| match update {
            Ok(()) => reason,
            Err(update) => format!("{reason}\nand the lists of packages could not be fetched:\n{update}"),
        })
    }

    fn install_once(&mut self, install: &Install) -> Result<(), String> {
        match self.manager {
            Manager::Apt => apt::install(self, install),
            Manager::Dnf | Manager::Yum | Manager::Zypper => rpm::install(self, install),
            Manager::Apk => apk::install(self, install),
            Manager::Pacman => pacman::install(self, install),
        }
    }

    fn remove(&mut self, uninstall: &Uninstall) -> Result<(), String> {
        match self.manager {
            Manager::Apt => apt::remove(self, uninstall),
            Manager::Dnf | Manager::Yum | Manager::Zypper => rpm::remove(self, uninstall),
            Manager::Apk => {
                let purge: &[&str] = if uninstall.purge { &["del", "--purge"] } else { &["del"] };
                self.must("apk", purge, &uninstall.packages)
            }
            Manager::Pacman => {
                let unneeded = if uninstall.unneeded { "s" } else { "" };
                let purge = if uninstall.purge { "n" } else { "" };
                self.must("pacman", &["--noconfirm", &format!("-R{unneeded}{purge}")], &uninstall.packages)
            }
        }
    }

    fn hold(&mut self, packages: &[Arc<str>], hold: bool) -> Result<(), String> {
        match self.manager {
            Manager::Apt => self.must("apt-mark", &[if hold { "hold" } else { "unhold" }], packages),
            Manager::Dnf => {
                self.must(rpm::dnf(), &["-y", "versionlock", if hold { "add" } else { "delete" }], packages)
            }
            Manager::Yum => self.must("yum", &["-y", "versionlock", if hold { "add" } else { "delete" }], packages),
            Manager::Zypper => {
                self.must("zypper", &["--non-interactive", if hold { "addlock" } else { "removelock" }], packages)
            }
            Manager::Apk | Manager::Pacman => {
                Err("this server's package manager has no word for a hold: give a `version` instead".to_owned())
            }
        }
    }

    /// A run that must end with 0.
    fn must(&mut self, tool: &str, arguments: &[&str], packages: &[Arc<str>]) -> Result<(), String> {
        let output = self.run(tool, arguments, packages)?;
        if output.success { Ok(()) } else { Err(format!("{tool} failed: {}", last_lines(&output.text, 8))) }
    }

    /// A run to its end; while another run holds a lock, it is tried again.
    fn run(&mut self, tool: &str, arguments: &[&str], packages: &[Arc<str>]) -> Result<Output, String> {
        self.run_within(tool, arguments, packages, Limit::None)
    }

    /// The same for what only fetches: apt waits for ever for a helper that a full disk ended.
    fn fetch(&mut self, tool: &str, arguments: &[&str]) -> Result<Output, String> {
        self.run_within(tool, arguments, &[], Limit::Idle(STALLED))
    }

    fn run_within(
        &mut self,
        tool: &str,
        arguments: &[&str],
        packages: &[Arc<str>],
        limit: Limit,
    ) -> Result<Output, String> {
        let names: Vec<&str> = packages.iter().map(|package| &**package).collect();
        let all = [arguments, &names].concat();
        let deadline = Instant::now() + LOCK;
        let mut told = false;
        loop {
            let output = run_within(tool, &all, limit)?;
            let is_locked = LOCKED.iter().any(|words| output.text.contains(words));
            if output.success || !is_locked {
                return Ok(output);
            }
            let holder = holder(self.manager);
            let holder = holder.as_deref().unwrap_or("another program");
            if Instant::now() >= deadline {
                let waited = LOCK.as_secs();
                return Err(format!(
                    "{holder} has held the package database for {waited} s; {tool} said: {}",
                    last_lines(&output.text, 3)
                ));
            }
            let line = format!("waiting for {holder} to release the package database");
            if !told && !(self.wanted)(Progress::Waits(&line)) {
                return Err(format!("the run was stopped while {holder} held the package database"));
            }
            told = true;
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// What the managers say where another run of one is under way.
const LOCKED: [&str; 9] = [
    "Could not get lock",
    "Unable to lock",
    "Unable to acquire the dpkg frontend lock",
    "is locked by another process",
    "System management is locked by the application",
    "Unable to lock database",
    "unable to lock database",
    "Another app is currently holding the yum lock",
    "Waiting for process with pid",
];

/// Who holds the database: `apt-get (process 4711)`.
fn holder(manager: Manager) -> Option<String> {
    let files: &[&str] = match manager {
        Manager::Apt => &[
            "/var/lib/dpkg/lock-frontend",
            "/var/lib/dpkg/lock",
            "/var/lib/apt/lists/lock",
            "/var/cache/apt/archives/lock",
        ],
        Manager::Apk => &["/lib/apk/db/lock", "/usr/lib/apk/db/lock"],
        Manager::Pacman => &[],
        _ => &["/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock"],
    };
    let process = files.iter().find_map(|file| locked_by(file)).or_else(|| {
        let file = if manager == Manager::Zypper { "/run/zypp.pid" } else { "/var/run/yum.pid" };
        fs::read_to_string(file).ok()?.trim().parse().ok()
    })?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(format!("{} (process {process})", name.trim()))
}

/// The process that holds a record lock on a file (fcntl(2)).
fn locked_by(path: &str) -> Option<i32> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid)
}
