//! Makes the root file system of a release of Debian or Ubuntu from its package mirror, with mmdebstrap. No other tool will
//! do: it must take chosen versions, and leave out what no server reads, so that it gives what the lock file names.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use andon_schema::Failure;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::pipe2;

use crate::keyring::keyring;
use crate::mirror::Mirrors;
use crate::source::Distribution;
use crate::trouble::{FREE_SPACE, Trouble};

/// What a server needs beyond the essential packages: to boot, to install more, and to know the time zones.
/// With certificates, since it may be a mirror that is asked by https that these come from: which one is no matter.
const PACKAGES: &str = "apt,ca-certificates,dbus,systemd-sysv,tzdata";

/// Says to Debian's packages that `/bin` and its like are links. Those of bullseye and of Ubuntu need not be told, or are told
/// by others.
const TOLD_OF_MERGE: &str = "usr-is-merged";

/// Makes these links before the first package is unpacked, for releases whose packages are not told.
const LINKS: &str = if cfg!(target_arch = "x86_64") {
    r#"for name in bin sbin lib lib32 lib64 libx32; do ln -s "usr/$name" "$1/$name" && mkdir -p "$1/usr/$name"; done"#
} else {
    r#"for name in bin sbin lib; do ln -s "usr/$name" "$1/$name" && mkdir -p "$1/usr/$name"; done"#
};

/// Lets the packages find `/bin` and its like as links from the start, as every release since bookworm needs.
const MERGED_HOOKS: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// Documentation that no server reads; copyright files stay, as their licences ask.
const EXCLUDES: [&str; 5] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
];

/// Descriptions in other languages are most of what `apt-get update` would fetch.
const NO_LANGUAGES: &str = "Acquire::Languages \"none\";";

/// Where the versions of packages are said while a base is made.
const PINS: &str = "etc/apt/preferences.d/andon-pins";

/// The tool's own words about its progress that say something to whoever waits.
const STEPS: [&str; 5] = ["running apt-get update", "downloading", "extracting", "installing", "cleaning"];

/// Where its program is.
const PROGRAMS: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];

/// How lines begin that say nothing about a failure.
const PROGRESS: [&str; 7] =
    ["I: ", "Get:", "Hit:", "Ign:", "Fetched ", "Reading package lists", "E: mmdebstrap failed"];

/// How much of what a tool said its failure shows.
const SAID_LINES: usize = 12;

/// Makes the root file system in `upper`, which is empty. `scratch` takes what the tool needs meanwhile. Ends soon after
/// `interrupt` is set.
pub(crate) fn bootstrap(
    release: &str,
    mirrors: &Mirrors,
    pins: &str,
    (upper, scratch): (&Path, &Path),
    interrupt: &AtomicBool,
    log: &dyn Fn(&str),
) -> Result<(), Failure> {
    require(&PROGRAMS.map(Path::new))?;
    let keyring = &keyring(mirrors, release, scratch)?;
    let is_told = mirrors.distribution() == Distribution::Debian && release != "bullseye";
    let mut packages = vec![PACKAGES];
    packages.extend(is_told.then_some(TOLD_OF_MERGE));
    let packages = packages.join(",");
    let sources = scratch.join("sources.list");
    fs::write(&sources, mirrors.sources(release)).doing("write", &sources)?;
    let mut tool = alone();
    tool.args(["mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"]);
    tool.arg(format!("--include={packages}")).arg(format!("--keyring={}", keyring.display()));
    tool.arg("--dpkgopt=force-unsafe-io").args(EXCLUDES.map(|exclude| format!("--dpkgopt={exclude}")));
    tool.arg(format!("--aptopt={NO_LANGUAGES}"));
    // A mirror that does not answer is said so soon.
    tool.args(["--aptopt=Acquire::Retries \"2\";", "--aptopt=Acquire::http::Timeout \"20\";"]);
    if !is_told {
        tool.arg(format!("--setup-hook={LINKS}"));
    } else if Path::new(MERGED_HOOKS).is_dir() {
        tool.arg(format!("--hook-dir={MERGED_HOOKS}"));
    }
    if !pins.is_empty() {
        let file = scratch.join("pins");
        fs::write(&file, pins).doing("write", &file)?;
        tool.env("ANDON_PINS", &file);
        // Before the first package is chosen; `settle` takes it away.
        tool.arg(format!("--setup-hook=install -D -m 644 \"$ANDON_PINS\" \"$1/{PINS}\""));
    }
    tool.arg(release).arg(upper).arg(&sources);
    tool.env("TMPDIR", scratch).env("SOURCE_DATE_EPOCH", "1704067200");
    let of = Making { release, mirrors, keyring };
    run(tool, &of, interrupt, log)?;
    // Whichever mirror the packages came from, the image is the same.
    let own = Mirrors::of_its_own(mirrors.distribution()).sources(release);
    settle(upper, &sources, &own).doing("set up", upper)
}

/// A command that starts its program as the first process of a PID namespace, in a mount namespace: nothing that it
/// mounts is seen outside, and nothing that it starts outlives it, nor it this process.
fn alone() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--"]);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LC_ALL", "C.UTF-8").env("HOME", "/root").env("DEBIAN_FRONTEND", "noninteractive");
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Some(value) = std::env::var_os(name).or_else(|| apt_proxy(name).map(Into::into)) {
            command.env(name, value);
        }
    }
    follow(&mut command);
    command
}

/// Has a command end when this process does, and make files as root's do, whatever this process's umask.
pub(crate) fn follow(command: &mut Command) {
    // SAFETY: between fork and exec only prctl and umask are called, which are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            umask(Mode::S_IWGRP | Mode::S_IWOTH);
            Ok(())
        });
    }
    // Ctrl-C is for this process to decide about.
    command.process_group(0);
}

/// The proxy of this machine's apt.
pub(crate) fn apt_proxy(name: &str) -> Option<String> {
    let key = match name {
        "http_proxy" => "Acquire::http::Proxy",
        "https_proxy" => "Acquire::https::Proxy",
        _ => return None,
    };
    let output = Command::new("apt-config").args(["dump", "--format", "%v", key]).output().ok()?;
    let proxy = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (proxy.starts_with("http") && !proxy.contains('\n')).then_some(proxy)
}

fn require(directories: &[&Path]) -> Result<(), Failure> {
    if directories.iter().any(|directory| directory.join("mmdebstrap").exists()) {
        return Ok(());
    }
    Err(Failure::new(
        "mmdebstrap missing",
        "The base is made from the distribution's packages by mmdebstrap, which is not installed.",
    )
    .help("Install it: `apt-get install mmdebstrap`. Where there is no such package, start from an archive or an image of a registry."))
}

/// What is being made, of what.
struct Making<'a> {
    release: &'a str,
    mirrors: &'a Mirrors,
    keyring: &'a Path,
}

fn run(mut tool: Command, of: &Making<'_>, interrupt: &AtomicBool, log: &dyn Fn(&str)) -> Result<(), Failure> {
    let trouble =
        |error: io::Error| Failure::new("the image's base could not be made", format!("Cannot run unshare: {error}."));
    let (output, input) = pipe2(OFlag::O_CLOEXEC).map_err(|error| trouble(error.into()))?;
    tool.stdin(Stdio::null()).stdout(input.try_clone().map_err(trouble)?).stderr(input);
    let mut child = tool.spawn().map_err(trouble)?;
    // The command holds the writing side until it is dropped, and reading would never end.
    drop(tool);
    let mut said: Vec<String> = Vec::new();
    let is_over = AtomicBool::new(false);
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    std::thread::scope(|scope| {
        // All that it started ends with it.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if interrupt.load(Ordering::Relaxed) {
                    let _ = nix::sys::signal::kill(process, Signal::SIGKILL);
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        for line in BufReader::new(File::from(output)).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(step) = line.strip_prefix("I: ")
                && STEPS.iter().any(|start| step.starts_with(start))
            {
                log(step);
            }
            // dpkg repeats one line with a percentage.
            if !line.is_empty() && !line.starts_with("(Reading database") {
                said.push(line);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let status = child.wait().map_err(trouble)?;
    match status.success() {
        true => Ok(()),
        false if interrupt.load(Ordering::Relaxed) => {
            Err(Failure::new("the base was not made", "It was stopped; nothing of it was kept."))
        }
        false => Err(failure(of, &said)),
    }
}

/// What the tool's last words mean.
fn failure(of: &Making<'_>, said: &[String]) -> Failure {
    let Making { release, mirrors, keyring } = of;
    let name = mirrors.distribution().name();
    let is_progress = |line: &str| PROGRESS.iter().any(|start| line.starts_with(start));
    let mut seen: Vec<&str> = Vec::new();
    for line in said.iter().map(String::as_str).filter(|line| !is_progress(line)) {
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    let tail = seen.get(seen.len().saturating_sub(SAID_LINES)..).unwrap_or_default().join("\n");
    let says = |words: &[&str]| words.iter().any(|word| said.iter().any(|line| line.contains(word)));
    let main = mirrors.main();
    let (variable, package) = match mirrors.distribution() {
        Distribution::Debian => ("ANDON_DEBIAN_MIRROR", "debian-archive-keyring"),
        Distribution::Ubuntu => ("ANDON_UBUNTU_MIRROR", "ubuntu-keyring"),
    };
    if says(&["No space left on device"]) {
        return Failure::new(
            "the disk is full",
            format!("There was no room for the base of {name} {release}:\n{tail}"),
        )
        .help(FREE_SPACE);
    }
    if says(&["NO_PUBKEY", "is not signed", "EXPKEYSIG", "unknown key"]) {
        return Failure::new(
            "the packages are not to be trusted",
            format!("{name} {release} is signed with keys that {} does not have:\n{tail}", keyring.display()),
        )
        .help(format!("Bring them up to date: `apt-get install --only-upgrade {package}`."));
    }
    if says(&["does not have a Release file", "404  Not Found"]) {
        return Failure::new(
            "the mirror does not have the release",
            format!("The mirror {main} has no {name} {release}:\n{tail}"),
        )
        .help(format!("Use another release in `from`, or another mirror: set {variable}."));
    }
    let unreachable = [
        "Could not resolve",
        "Temporary failure",
        "Could not connect",
        "Unable to connect",
        "Connection refused",
        "Connection failed",
        "timed out",
        "Network is unreachable",
        "Failed to fetch",
    ];
    if says(&unreachable) {
        return Failure::new(
            "the package mirror cannot be reached",
            format!("The mirror {main} does not answer:\n{tail}"),
        )
        .help(format!("Check the network of this machine, or use another mirror: set {variable}."));
    }
    Failure::new(
        "the image's base could not be made",
        format!("The base of {name} {release} could not be made from {main}:\n{tail}"),
    )
}

/// Leaves nothing of this machine and of the making, and keeps later packages as lean as the first.
fn settle(upper: &Path, sources: &Path, own: &str) -> io::Result<()> {
    // The second is a copy of the list of sources, which apt would read twice.
    let copied = sources.file_name().unwrap_or_default().to_string_lossy();
    let copied = format!("etc/apt/sources.list.d/0000{copied}");
    for made in [PINS, &copied, "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap"] {
        match fs::remove_file(upper.join(made)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for (file, content) in [
        ("etc/apt/sources.list", own.to_owned()),
        ("etc/apt/apt.conf.d/10languages", format!("{NO_LANGUAGES}\n")),
        ("etc/dpkg/dpkg.cfg.d/excludes", format!("{}\n", EXCLUDES.join("\n"))),
        ("etc/hostname", "localhost\n".to_owned()),
        ("etc/machine-id", String::new()),
        ("etc/resolv.conf", String::new()),
    ] {
        let file: PathBuf = upper.join(file);
        // A link would be followed to this machine's own file.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn no_other_tool_will_do() {
        let directory = std::env::temp_dir().join(format!("andon-bootstrap-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("debootstrap"), "").unwrap();
        let failure = require(&[&directory]).unwrap_err();
        assert!(failure.help.iter().any(|help| help.contains("apt-get install mmdebstrap")), "{failure}");
        fs::write(directory.join("mmdebstrap"), "").unwrap();
        assert!(require(&[Path::new("/nowhere"), &directory]).is_ok());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn failures_say_what_they_mean() {
        let settings = Settings { debian_mirror: Some("http://m/debian".into()), ..Settings::default() };
        let mirrors = Mirrors::choose(Distribution::Debian, &settings);
        let of = Making { release: "trixie", mirrors: &mirrors, keyring: Path::new("/keys") };
        let check = |said: &[&str], summary: &str| {
            let said: Vec<String> = said.iter().map(|line| (*line).to_owned()).collect();
            let failure = failure(&of, &said);
            assert_eq!(failure.summary, summary);
            assert!(failure.detail.ends_with(said.last().unwrap()), "{failure}");
        };
        check(&["I: start", "E: write failed (No space left on device)"], "the disk is full");
        check(
            &["Err:1 http://m/debian trixie InRelease", "  Could not resolve 'm'"],
            "the package mirror cannot be reached",
        );
        check(
            &["E: The repository 'http://m trixie Release' does not have a Release file."],
            "the mirror does not have the release",
        );
        check(&["W: GPG error: NO_PUBKEY 0123"], "the packages are not to be trusted");
        check(&["E: something else"], "the image's base could not be made");
    }
}
