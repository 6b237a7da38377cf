//! The process that holds a realm.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use andon_schema::Failure;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value as Json, json};

use super::note::{Note, started};
use super::numbers::{self, Numbers};
use super::outside;
use crate::balancer::{refusal, refused};
use crate::cgroup::{LISTED, own_group};
use crate::failure::OrFail;
use crate::helper;
use crate::layers::mount;
use crate::netlink::Netlink;

/// Where control groups are, in the realm.
const GROUPS: &str = "/sys/fs/cgroup";

/// Starts the process, and returns once the realm can be entered. Nobody else may do so meanwhile.
pub(super) fn start(data: &Path, program: &Path) -> Result<Note, Failure> {
    let failed = || "cannot make a realm for the lab of a user without root".to_owned();
    if let Some(note) = Note::read(data) {
        note.clear(data).or_fail(|| "cannot end what is left of the lab's former realm".into())?;
    }
    let group = own_group().map(|own| own.join(format!("andon-{}", std::process::id())));
    let (life, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).or_fail(failed)?;
    let order = json!({ "data": data, "group": group });
    let mut command = Command::new(program);
    command.arg(helper::REALM).arg(order.to_string()).current_dir("/").process_group(0);
    // It says nothing on its standard error, and holds it for as long as it lives: so its end is known.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(held);
    let mut child = command.spawn().or_fail(failed)?;
    // The command holds the other end until it is dropped.
    drop(command);
    let number = child.id();
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::new(failed(), "The process that holds it has no input or output."));
    };
    let mut answers = BufReader::new(output);
    let mut said = || {
        let mut line = String::new();
        answers.read_line(&mut line).or_fail(failed)?;
        let answer: Json = serde_json::from_str(&line)
            .map_err(|_| Failure::new(failed(), "The process that holds it ended before it answered."))?;
        refused(&answer).map_or(Ok(()), Err)
    };
    let made = (|| {
        said()?;
        numbers::map(number, Numbers::Users)?;
        numbers::map(number, Numbers::Groups)?;
        let alone = outside::connect(number, life, &data.join("lab/realm.log")).err();
        writeln!(input, "go").or_fail(failed)?;
        said()?;
        let process = number as i32;
        let started = started(process).ok_or_else(|| Failure::new(failed(), "The process that holds it ended."))?;
        let note = Note { process, started, group, alone };
        note.write(data).or_fail(|| format!("cannot write {}", Note::path(data).display()))?;
        // From now on it is known, and lives on by itself.
        writeln!(input, "known").or_fail(failed)?;
        Ok(note)
    })();
    if made.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    made
}

/// The hidden command. Whoever started it holds its standard input until the realm is known.
pub(crate) fn helper(order: &str) -> i32 {
    let Ok(order) = serde_json::from_str::<Json>(order) else { return 2 };
    let text = |name: &str| order.get(name).and_then(Json::as_str).map(PathBuf::from);
    let Some(data) = text("data") else { return 2 };
    let say = |done: &Result<(), Failure>| {
        let answer = done.as_ref().err().map_or_else(|| json!({ "ready": true }), refusal);
        let mut output = io::stdout();
        writeln!(output, "{answer}").and_then(|()| output.flush()).is_ok() && done.is_ok()
    };
    let mut told = BufReader::new(io::stdin()).lines();
    if !say(&part()) || told.next().is_none_or(|line| line.is_err()) {
        return 1;
    }
    if !say(&furnish(&data, text("group").as_deref())) || told.next().is_none_or(|line| line.is_err()) {
        return 1;
    }
    // SAFETY: touch no memory of ours.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"andon-realm".as_ptr());
    }
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return 1 };
    // SAFETY: the descriptors are open.
    unsafe {
        libc::dup2(null.as_raw_fd(), 0);
        libc::dup2(null.as_raw_fd(), 1);
    }
    loop {
        // SAFETY: has no preconditions.
        unsafe { libc::pause() };
    }
}

fn part() -> Result<(), Failure> {
    let own = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    unshare(own).map_err(|error| {
        let detail = format!("The kernel gives a user without root no namespaces: {}.", error.desc());
        Failure::new("this machine lets only root have namespaces", detail).help(
            "Have root allow it: `sysctl user.max_user_namespaces=100000`, and where they are there `kernel.unprivileged_userns_clone=1` and `kernel.apparmor_restrict_unprivileged_userns=0`. Or run this with sudo.",
        )
    })
}

/// Sets up what is in a realm before anybody comes.
fn furnish(data: &Path, group: Option<&Path>) -> Result<(), Failure> {
    let failed = || "cannot set the lab's realm up".to_owned();
    mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_SLAVE, "").or_fail(failed)?;
    match group {
        Some(group) => join(group).or_fail(|| format!("cannot have control groups below {}", group.display()))?,
        None => {
            let listed = data.join("lab/groups");
            fs::create_dir_all(&listed).and_then(|()| fs::write(listed.join(LISTED), "")).or_fail(failed)?;
            let source = listed.to_str().ok_or_else(|| {
                Failure::new(failed(), format!("{} is no text that the kernel takes.", listed.display()))
            })?;
            mount(source, Path::new(GROUPS), "", libc::MS_BIND, "").or_fail(failed)?;
            // Its own is to be seen, without anything that was there.
            unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from).or_fail(failed)?;
        }
    }
    Netlink::open().and_then(|mut netlink| netlink.set_loopback_up()).or_fail(failed)
}

/// Makes a control group the root of those of the realm, and goes into one below it, as a group with groups below has
/// no processes (cgroups(7), "no internal processes").
fn join(group: &Path) -> io::Result<()> {
    for path in [group.to_owned(), group.join("realm"), group.join("guests")] {
        fs::create_dir_all(path)?;
    }
    fs::write(group.join("cgroup.procs"), "0")?;
    unshare(CloneFlags::CLONE_NEWCGROUP)?;
    fs::write(group.join("realm/cgroup.procs"), "0")?;
    let quiet = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount("cgroup2", Path::new(GROUPS), "cgroup2", quiet, "")
}
