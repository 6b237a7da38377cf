//! The process of a machine, and what it is given.
//!
//! What runs in a machine may be anybody's, and all that is between it and this machine is QEMU. So QEMU is nobody here: a
//! user that owns no file and no other process, with no privileges and no way to any, in a network in which there is nothing.
//! What a machine has, its process gets as open files, and later ones by its socket; a path it is never told.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use andon_schema::Failure;

use super::{MONITOR, accelerator};
use crate::cgroup::Group;
use crate::failure::OrFail;
use crate::helper::check;

/// Who a machine's process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The number of its user and of its group, which are nobody else's.
    pub id: u32,
    /// Other groups that it is in: that for which the processor's help is.
    pub groups: Vec<u32>,
}

/// Open files for QEMU, and the words that tell it of them.
#[derive(Debug, Default)]
pub(super) struct Given {
    files: Vec<OwnedFd>,
    words: Vec<OsString>,
    sets: u32,
}

impl Given {
    /// Gives a file that is named by its number.
    pub fn give(&mut self, file: impl Into<OwnedFd>) -> RawFd {
        let file = file.into();
        let number = file.as_raw_fd();
        self.files.push(file);
        number
    }

    /// Gives a file that is named by a path, which is the result: once for each way in which QEMU opens it, as of several it
    /// takes the one that was opened as it would open it itself. `name` is for whoever asks QEMU what it was given.
    pub fn give_as_path(&mut self, name: &str, ways: impl IntoIterator<Item = File>) -> String {
        self.sets += 1;
        for file in ways {
            let number = self.give(file);
            let words = format!("fd={number},set={},opaque={name}", self.sets);
            self.words.extend(["-add-fd".into(), words.into()]);
        }
        format!("/dev/fdset/{}", self.sets)
    }
}

/// Starts QEMU in the machine's control group, as a user of its own. Its number. What it was given is nobody else's on return.
pub(super) fn run(
    directory: &Path,
    words: &[OsString],
    given: Given,
    user: &User,
    group: &Group,
) -> Result<i32, Failure> {
    let failed = || "cannot start the machine".to_owned();
    let log = File::options().create(true).append(true).open(directory.join(MONITOR)).or_fail(failed)?;
    let mut command = Command::new(accelerator::program(accelerator::QEMU)?);
    command.args(&given.words).args(words).current_dir("/").env_clear();
    command.stdin(Stdio::null()).stdout(log.try_clone().or_fail(failed)?).stderr(log);
    let numbers: Vec<RawFd> = given.files.iter().map(AsRawFd::as_raw_fd).collect();
    let (group, user) = (group.clone(), user.clone());
    // SAFETY: between fork and exec this opens and writes files of its own and makes system calls; the one allocation, for
    // their names, is sound where no other thread of this process holds the allocator's lock for good, as glibc sees to.
    unsafe {
        command.pre_exec(move || {
            group.enter()?;
            check(libc::setsid().into())?;
            libc::umask(0o077);
            for number in &numbers {
                check(libc::fcntl(*number, libc::F_SETFD, 0).into())?;
            }
            confine(&user)
        });
    }
    let mut child = command.spawn().or_fail(failed)?;
    drop(given);
    let process = i32::try_from(child.id()).or_fail(failed)?;
    // It outlives this process; where it does not, nothing is left of it.
    std::thread::spawn(move || child.wait());
    Ok(process)
}

/// `struct __user_cap_header_struct` and `struct __user_cap_data_struct`, linux/capability.h
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: i32,
}
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Makes the calling process, which has one thread, a user without privileges for good. Its link stays in the network that it
/// was made in, whatever network its process is in.
fn confine(user: &User) -> io::Result<()> {
    // What a machine has in its memory is in no file after QEMU fell.
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let header = CapabilityHeader { version: CAPABILITY_VERSION, process: 0 };
    // Effective, permitted and inheritable ones, each in two halves.
    let nothing = [0_u32; 6];
    // SAFETY: all that is pointed to lives through the calls, which write none of it.
    unsafe {
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const none).into())?;
        check(libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC).into())?;
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        check(libc::setgroups(user.groups.len(), user.groups.as_ptr()).into())?;
        check(libc::setresgid(user.id, user.id, user.id).into())?;
        check(libc::setresuid(user.id, user.id, user.id).into())?;
        check(libc::syscall(libc::SYS_capset, &raw const header, nothing.as_ptr()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::net::Ipv4Addr;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use andon_schema::Identity;
    use andon_value::Value;
    use serde_json::json;

    use super::super::accelerator::Accelerator;
    use super::super::control::Control;
    use super::super::disks::{self, Disk};
    use super::super::volumes::{grow_own, own_size};
    use super::super::{Files, IMAGE, OWN, SEED, Size, arguments, lay_own_disk, running, seed, tap};
    use super::*;
    use crate::cgroup::Hierarchies;
    use crate::network::Range;
    use crate::spec::ServerSpec;

    const USER: u32 = 0x5FFE_0000;

    /// A machine with nothing to boot, all of whose QEMU is as that of any other.
    struct Machine {
        directory: PathBuf,
        group: Group,
        spec: ServerSpec,
    }

    impl Machine {
        fn start(&self, disks: &[Disk]) -> i32 {
            let range = Range { net: "10.64.1.0/24".parse().unwrap(), gateway: "10.64.1.1".parse().unwrap() };
            let address: Ipv4Addr = "10.64.1.7".parse().unwrap();
            let place = seed::Place { address, range, resolvers: String::new(), mtu: 1500 };
            self.group.create().unwrap();
            self.group.limit_memory(Some(Accelerator::None.limit(Size::of(&self.spec)))).unwrap();
            let link = tap::open("avprocess", &place).unwrap();
            let mut given = Given::default();
            let files = Files::open(&self.directory, link, &mut given).unwrap();
            let mut words = arguments(&self.spec, Accelerator::None, &place, &files);
            for disk in disks {
                words.extend(disks::give(disk, &mut given).unwrap().map(OsString::from));
            }
            let user = User { id: USER, groups: vec![USER + 1] };
            run(&self.directory, &words, given, &user, &self.group).unwrap()
        }

        /// What of a disk it has: where its bytes come from, what is seen of it, and open files.
        fn has(&self, disk: &Disk) -> (bool, bool, bool) {
            let parts = Control::open(&self.directory).unwrap().parts().unwrap();
            let name = format!("volume-{}", disk.id);
            let process = running(&self.group).unwrap();
            let known = fs::metadata(&disk.image).unwrap();
            let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
            let mut files = files.filter_map(|file| fs::metadata(file.path()).ok());
            let is_open = files.any(|file| (file.dev(), file.ino()) == (known.dev(), known.ino()));
            (parts.nodes.contains(&name), parts.devices.contains(&name), is_open)
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = self.group.destroy();
        }
    }

    fn status(process: i32) -> BTreeMap<String, String> {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
    }

    fn is_unable() -> Option<&'static str> {
        let programs = [accelerator::QEMU, "qemu-img"].map(accelerator::program);
        if programs.iter().any(Result::is_err) {
            return Some("qemu-system-x86 or qemu-utils is not installed");
        }
        if !Path::new("/dev/net/tun").exists() {
            return Some("there is no /dev/net/tun");
        }
        // In a network of this thread's own.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err().then_some("needs root")
    }

    #[test]
    fn a_machine_is_nobody_here_and_takes_and_gives_disks() {
        std::thread::spawn(tested).join().unwrap();
    }

    fn tested() {
        if let Some(why) = is_unable() {
            return println!("skipped: {why}");
        }
        let Ok(hierarchies) = Hierarchies::find() else { return println!("skipped: there are no control groups") };
        let identity = Identity::parse(&format!("vm-process-{}", std::process::id())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("it's, a server");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let image = folder.path().join("disk");
        let program = accelerator::program("qemu-img").unwrap();
        let made = Command::new(program).args(["create", "-q", "-f", "qcow2"]).arg(&image).arg("8M").status();
        assert!(made.unwrap().success());
        lay_own_disk(&directory, Some(&image), None).unwrap();
        fs::write(directory.join(SEED), vec![0; 1 << 20]).unwrap();
        let given = [("name", "db"), ("network", "n"), ("memory", "64M")].map(|(name, text)| (name, Value::from(text)));
        let spec = ServerSpec::decode(&Value::object(given.into_iter().chain([("vm", true.into())]))).unwrap();
        let group = hierarchies.group(identity.as_str());
        let machine = Machine { directory: directory.clone(), group, spec };
        let [first, second] = ["0a0a0a0a0a0a", "0b0b0b0b0b0b"].map(|id| {
            let image = folder.path().join(id);
            File::create(&image).unwrap().set_len(16 << 20).unwrap();
            fs::set_permissions(&image, fs::Permissions::from_mode(0o600)).unwrap();
            Disk { id: id.to_owned(), image }
        });

        let process = machine.start(std::slice::from_ref(&first));
        assert_eq!(running(&machine.group), Some(process));
        let there = (true, true, true);
        assert_eq!((machine.has(&first), machine.has(&second)), (there, (false, false, false)));
        let all = [USER; 4].map(|number| number.to_string()).join(" ");
        let none = "0000000000000000";
        let expected = [
            ("Uid", &*all),
            ("Gid", &all),
            ("Groups", &(USER + 1).to_string()),
            ("CapEff", none),
            ("CapPrm", none),
            ("CapInh", none),
            ("CapAmb", none),
            ("NoNewPrivs", "1"),
            // A filter of system calls: seccomp(2).
            ("Seccomp", "2"),
        ];
        let status = status(process);
        for (name, value) in expected {
            assert_eq!(status.get(name).map(String::as_str), Some(value), "{name}");
        }
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"]);
        let namespace = |process: &str, which: &str| fs::read_link(format!("/proc/{process}/ns/{which}")).unwrap();
        for which in ["net", "ipc"] {
            assert_ne!(namespace(&process.to_string(), which), namespace("thread-self", which), "{which}");
        }
        // What it may have of memory, and what it has open: its own, which nobody else may open by their paths.
        assert_eq!(machine.group.memory_limit(), Some((64 + 1 + 256 + 256) << 20));
        let own = [OWN, IMAGE, SEED, crate::console::CONSOLE].map(|name| directory.join(name));
        let opened: Vec<PathBuf> = fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
            .filter(|path| path.starts_with(folder.path()))
            .collect();
        assert!(own.iter().all(|path| opened.contains(path) || path.ends_with(IMAGE)), "{opened:?}");
        let log = directory.join(MONITOR);
        let is_given = |path: &PathBuf| own.contains(path) || *path == first.image || *path == log || *path == image;
        assert!(opened.iter().all(is_given), "{opened:?}");

        disks::attach(&directory, &[first.clone(), second.clone()]).unwrap();
        disks::attach(&directory, &[first.clone(), second.clone()]).unwrap();
        assert_eq!((machine.has(&first), machine.has(&second)), (there, there));
        let sizes = || {
            let seen = Control::open(&directory).unwrap().ask(&json!({ "execute": "query-block" })).unwrap();
            let sizes = seen.as_array().unwrap().iter();
            let sizes = sizes.filter_map(|one| one.pointer("/inserted/image/virtual-size")?.as_u64());
            let mut sizes: Vec<u64> = sizes.map(|size| size >> 20).collect();
            sizes.sort_unstable();
            sizes
        };
        assert_eq!(sizes(), [1, 8, 16, 16]);
        disks::grow(&directory, Some(&second.id), 32 << 20).unwrap();
        assert_eq!(fs::metadata(&second.image).unwrap().len(), 32 << 20);
        let grown = [None, Some(4 << 20), Some(12 << 20), Some(12 << 20)].map(|size| {
            grow_own(&directory, size).unwrap();
            own_size(&directory.join(OWN)).unwrap() >> 20
        });
        assert_eq!((grown, sizes()), ([8, 8, 12, 12], vec![1, 12, 16, 32]));
        assert!(disks::grow(&directory, Some("nobody"), 1 << 20).is_err());

        // No system is there that lets go of a device; a reset does.
        let reset = json!({ "execute": "system_reset" });
        let unplug = |id: &str| {
            std::thread::scope(|scope| {
                let unplugged = scope.spawn(|| disks::detach(&directory, &[id]));
                while !unplugged.is_finished() {
                    drop(Control::open(&directory).and_then(|mut it| it.ask(&reset)));
                    std::thread::sleep(Duration::from_millis(20));
                }
                unplugged.join().unwrap().unwrap();
            });
        };
        unplug(&second.id);
        assert_eq!((machine.has(&first), machine.has(&second)), (there, (false, false, false)));
        unplug(&first.id);
        assert_eq!(machine.has(&first), (false, false, false));
        disks::detach(&directory, &[&second.id]).unwrap();

        // SAFETY: a signal to the process that this test started.
        unsafe { libc::kill(process, libc::SIGKILL) };
        let deadline = Instant::now() + Duration::from_secs(20);
        while running(&machine.group).is_some() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let again = machine.start(&[second.clone(), first.clone()]);
        assert!(again != process && sizes() == [1, 12, 16, 32], "it has what it had");
        assert_eq!((machine.has(&first), machine.has(&second)), (there, there));
    }
}
