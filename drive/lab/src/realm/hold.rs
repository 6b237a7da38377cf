//! The process that holds a realm.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use andon_schema::Failure;
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value as Json, json};

use super::has_guests;
use super::lost::{self, Lost};
use super::note::{self, Note, namespaces, started};
use super::numbers::{self, Numbers};
use super::{obstacle, outside};
use crate::balancer::{refusal, refused};
use crate::cgroup::{LISTED, own_group, remove_tree};
use crate::failure::{OrFail, sentence};
use crate::helper;
use crate::layers::mount;
use crate::netlink::Netlink;

/// Where control groups are, in the realm.
const GROUPS: &str = "/sys/fs/cgroup";
const QUIET: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// A realm that is held now.
pub(super) struct Held {
    pub note: Note,
    /// Nothing can be in it yet.
    pub is_new: bool,
}

/// Holds a realm that lost its holder, as long as anybody is in it, or makes one. What is left of one that nobody is in runs
/// on as it is. Whoever calls this has the lock.
pub(super) fn start(data: &Path, program: &Path) -> Result<Held, Failure> {
    let mut lost = Vec::new();
    if let Some(former) = Note::read(data) {
        if let Some(inside) = former.someone_inside() {
            let Note { group, mark, lost, .. } = former;
            let asked = Asked { group, mark, lost, inside: Some(inside) };
            return begin(data, program, asked).map(|note| Held { note, is_new: false });
        }
        let left = former.left(data);
        if left > 0 && has_guests(data) {
            return Err(Failure::new("the lab's realm was lost", lost::what(left))
                .help("Another command of Andon is at work there: wait for its end."));
        }
        lost = former.give_up(data).or_fail(|| "cannot give up the lab's former realm".into())?;
    }
    let group = own_group().map(|own| own.join(format!("andon-{}", std::process::id())));
    let mark = note::new_mark().or_fail(|| "cannot make a realm".into())?;
    let made = begin(data, program, Asked { group: group.clone(), mark, lost, inside: None });
    if let (Err(_), Some(group)) = (&made, &group) {
        let _ = remove_tree(group);
    }
    made.map(|note| Held { note, is_new: true })
}

/// What a realm is to be.
struct Asked {
    group: Option<PathBuf>,
    mark: String,
    lost: Vec<Lost>,
    /// A process that is in it, where there is one to enter it by.
    inside: Option<i32>,
}

/// Starts the process, and returns once the realm can be entered.
fn begin(data: &Path, program: &Path, asked: Asked) -> Result<Note, Failure> {
    let Asked { group, mark, lost, inside } = asked;
    let failed = || "cannot make a realm for the lab of a user without root".to_owned();
    let write = |note: &Note| note.write(data).or_fail(|| format!("cannot write {}", Note::path(data).display()));
    if inside.is_none() {
        // What is made is on record, should this be killed: a note that nobody holds.
        write(&Note {
            group: group.clone(),
            mark: mark.clone(),
            boot: note::boot(),
            lost: lost.clone(),
            ..Note::default()
        })?;
    }
    let (life, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).or_fail(failed)?;
    let order = json!({ "data": data, "group": group, "inside": inside, "mark": mark });
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
        if inside.is_none() {
            numbers::map(number, Numbers::Users)?;
            numbers::map(number, Numbers::Groups)?;
        }
        let outside = outside::connect(number, life, program, &data.join("lab/realm.log"), group.as_deref());
        writeln!(input, "go").or_fail(failed)?;
        said()?;
        let process = number as i32;
        let started = started(process).ok_or_else(|| Failure::new(failed(), "The process that holds it ended."))?;
        let namespaces = namespaces(&number.to_string())
            .ok_or_else(|| Failure::new(failed(), "The process that holds it is not to be looked at."))?;
        let (outside, alone) = outside.map_or_else(|why| (None, Some(why)), |outside| (Some(outside), None));
        let (boot, lost) = (note::boot(), lost.clone());
        let note = Note { process, started, group, alone, namespaces, mark, boot, outside, lost };
        write(&note)?;
        // From now on it is known, and lives on by itself.
        writeln!(input, "known").or_fail(failed)?;
        Ok(note)
    })();
    if made.is_err() {
        let _ = child.kill();
        let _ = child.wait();
        if inside.is_none() {
            Note { lost, ..Note::default() }.forget(data);
        }
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
    let inside = order.get("inside").and_then(Json::as_i64);
    let (group, mark) = (text("group"), order.get("mark").and_then(Json::as_str).unwrap_or_default());
    let parted = match inside {
        Some(process) => join_others(process, group.as_deref()),
        None => part(),
    };
    if !say(&parted) || told.next().is_none_or(|line| line.is_err()) {
        return 1;
    }
    let furnished = if inside.is_some() { Ok(()) } else { furnish(&data, group.as_deref(), mark) };
    if !say(&furnished) || told.next().is_none_or(|line| line.is_err()) {
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

/// Enters the namespaces of a process that is in the realm.
fn join_others(process: i64, group: Option<&Path>) -> Result<(), Failure> {
    let failed = || "cannot enter the lab's realm again".to_owned();
    if let Some(group) = group {
        // It is as good elsewhere, for as long as the user's session is.
        let _ = fs::write(group.join("realm/cgroup.procs"), "0");
    }
    let kinds = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("net", CloneFlags::CLONE_NEWNET),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let namespace = |(name, kind)| Ok((File::open(format!("/proc/{process}/ns/{name}"))?, kind));
    let namespaces = kinds.into_iter().map(namespace).collect::<io::Result<Vec<_>>>().or_fail(failed)?;
    namespaces.into_iter().try_for_each(|(file, kind)| setns(file, kind)).map_err(io::Error::from).or_fail(failed)
}

fn part() -> Result<(), Failure> {
    let own = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    unshare(own).map_err(|error| obstacle::to_namespaces(&error.into(), &obstacle::setting))
}

/// Sets up what is in a realm before anybody comes.
fn furnish(data: &Path, group: Option<&Path>, mark: &str) -> Result<(), Failure> {
    let failed = || "cannot set the lab's realm up".to_owned();
    let parted = mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_SLAVE, "");
    parted.map_err(|error| {
        let told = obstacle::to_work(&error, &obstacle::setting);
        told.unwrap_or_else(|| Failure::new(failed(), sentence(&error.to_string())))
    })?;
    match group {
        Some(group) => join(group, mark).or_fail(|| format!("cannot have control groups below {}", group.display()))?,
        None => {
            // Nobody sees what is in it, below what is mounted next; but it is in the table of mounts.
            mount(mark, Path::new(GROUPS), "tmpfs", QUIET, "size=4k").or_fail(failed)?;
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
fn join(group: &Path, mark: &str) -> io::Result<()> {
    for path in [group.to_owned(), group.join("realm"), group.join("guests")] {
        fs::create_dir_all(path)?;
    }
    fs::write(group.join("cgroup.procs"), "0")?;
    unshare(CloneFlags::CLONE_NEWCGROUP)?;
    fs::write(group.join("realm/cgroup.procs"), "0")?;
    // Where there is only version 2, it is what lies there, and the kernel mounts no file system over its own root: EBUSY of
    // mount(2).
    mount("none", Path::new(GROUPS), "tmpfs", QUIET, "size=4k")?;
    mount(mark, Path::new(GROUPS), "cgroup2", QUIET, "")
}
