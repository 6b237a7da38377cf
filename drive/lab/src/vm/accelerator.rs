//! Whether machines run with the processor's help here, and QEMU itself.
//!
//! That there is a device file proves nothing: inside of other machines it may boot nothing in useful time. So a disk of one
//! sector is booted once, which counts and ends; how that went is kept until this machine boots again.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_schema::Failure;

use crate::failure::{OrFail, sentence};
use crate::records::Lock;

/// The program.
pub(super) const QEMU: &str = "qemu-system-x86_64";
/// Where it is kept how the test went: in memory, so that it goes with the kernel.
const KEPT: &str = "/run/andon-kvm";
const DEVICE: &str = "/dev/kvm";
/// linux/kvm.h, and the only version that there is: <https://docs.kernel.org/virt/kvm/api.html#kvm-get-api-version>.
const KVM_GET_API_VERSION: u64 = 0xAE00;
const VERSION: i32 = 12;
/// The words that are kept.
const WORKS: &str = "works";
const TOO_LONG: &str = "too long";
/// How long the test may take. With the processor's help it takes a tenth of that, firmware included.
const LIMIT: Duration = Duration::from_secs(10);
/// How QEMU ends where the test came to its end: what the sector writes, twice, and one.
const ENDED: i32 = (PROOF as i32) << 1 | 1;
const PROOF: u8 = 0x2A;

/// What a processor does for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// It runs them itself.
    Kvm,
    /// Nothing: each of their instructions is translated.
    None,
}

impl Accelerator {
    /// The best that works here. Without `emulate`, it is an error where that is none.
    pub(super) fn choose(emulate: bool) -> Result<Accelerator, Failure> {
        installed()?;
        Accelerator::decide(kvm()?, emulate)
    }

    fn decide(probe: Probe, emulate: bool) -> Result<Accelerator, Failure> {
        match probe.against() {
            None => Ok(Accelerator::Kvm),
            Some(_) if emulate => Ok(Accelerator::None),
            Some(why) => {
                let failure = Failure::new("this machine cannot run machines with its processor's help", why)
                    .help("Set `emulate = true` to run it without, many times slower, or make the server a container.");
                Err(match probe.remedy() {
                    Some(remedy) => failure.help(remedy),
                    None => failure,
                })
            }
        }
    }

    /// Fails where machines cannot be run here. Whether KVM works is tried only where nothing else will do.
    pub(super) fn check(emulate: bool) -> Result<(), Failure> {
        if emulate { installed() } else { Accelerator::choose(false).map(drop) }
    }

    /// The words of QEMU for it, and for the processor that a machine sees.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Accelerator::Kvm => ("kvm", "host"),
            // How fast its time stamp counter counts, a kernel finds out by a measurement, which goes wrong where this machine
            // is busy: then its clock is some forty times too fast, and all that waits in it gives up. Without one it has HPET.
            // Nor has it what only costs: machines of its own, for which a kernel loads its largest module, and a fifth level of
            // tables of pages, all of which are gone through by a program here.
            Accelerator::None => ("tcg,thread=multi,tb-size=256", "max,-tsc,-svm,-la57"),
        }
    }

    /// How much of this machine's memory is for instructions that were translated, in bytes: the `tb-size` of its words.
    pub(super) fn translations(self) -> u64 {
        match self {
            Accelerator::Kvm => 0,
            Accelerator::None => 256 << 20,
        }
    }

    /// The groups that a user needs to be in for it.
    pub(super) fn groups(self) -> Result<Vec<u32>, Failure> {
        match self {
            Accelerator::Kvm => {
                let device = fs::metadata(DEVICE).or_fail(|| format!("cannot look at {DEVICE}"))?;
                Ok(groups_for(device.mode(), device.gid()).unwrap_or_default())
            }
            Accelerator::None => Ok(Vec::new()),
        }
    }
}

/// The groups that a user who is not root needs to be in to open a device; `None` where only root opens it.
fn groups_for(mode: u32, group: u32) -> Option<Vec<u32>> {
    let may = |bits: u32| mode & bits == bits;
    match group {
        _ if may(0o006) => Some(Vec::new()),
        0 => None,
        group => may(0o060).then(|| vec![group]),
    }
}

/// Fails where there is no QEMU that runs machines.
fn installed() -> Result<(), Failure> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Failure::new("no machines on this kind of machine", "Servers with `vm = true` are for x86-64."));
    }
    program(QEMU)?;
    program("qemu-img").map(drop)
}

/// Where a program is.
pub(super) fn program(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(
            format!("{name} missing"),
            format!("A server with `vm = true` needs {name}, which is not installed."),
        )
        .help("Install it: `apt-get install qemu-system-x86 qemu-utils`.")
    })
}

/// What is known of KVM on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Probe {
    /// The device cannot be opened.
    Closed(io::ErrorKind, String),
    /// It is of another version than QEMU speaks.
    Version(i32),
    /// It is for nobody but root, and machines are not root's.
    RootsAlone,
    /// The test machine came to its end.
    Works,
    /// It was ended at the limit.
    TooLong,
    /// QEMU ended otherwise: with a number, if no signal ended it, and with words.
    Failed(Option<i32>, String),
}

impl Probe {
    /// What the end of the test's QEMU says.
    fn of_end(code: Option<i32>, said: &str) -> Probe {
        match code {
            Some(ENDED) => Probe::Works,
            code => Probe::Failed(code, said.trim().to_owned()),
        }
    }

    /// Why no machine is run with its help; `None` where that works.
    fn against(&self) -> Option<String> {
        let advice =
            "Processors have it switched off in their firmware, and machines in others are not always given it.";
        Some(match self {
            Probe::Works => return None,
            Probe::Closed(io::ErrorKind::NotFound, _) => format!("There is no {DEVICE}. {advice}"),
            Probe::Closed(io::ErrorKind::PermissionDenied, _) => {
                format!("{DEVICE} is not for this user: it is for root and the group `kvm`.")
            }
            Probe::Closed(_, error) => format!("{DEVICE} is there, but cannot be opened: {}", sentence(error)),
            Probe::Version(version) => format!("{DEVICE} is of version {version}, and QEMU speaks {VERSION}."),
            Probe::RootsAlone => format!("{DEVICE} is for root alone, and no machine runs as root."),
            Probe::TooLong => {
                format!("There is {DEVICE}, but a test machine did not even start in {} s.", LIMIT.as_secs())
            }
            Probe::Failed(code, said) => {
                let end = code.map_or("was ended by a signal".to_owned(), |code| format!("ended with {code}"));
                let said = if said.is_empty() { String::new() } else { format!(" It said: {}", sentence(said)) };
                format!("There is {DEVICE}, but QEMU {end} when it was to start a test machine.{said}")
            }
        })
    }

    /// What may be done about it, where that is not plain from why it is so.
    fn remedy(&self) -> Option<String> {
        match self {
            // It may have been the load of that moment, which nobody looks at again by themselves.
            Probe::TooLong => {
                Some(format!("That is kept until this machine boots: remove {KEPT} to have KVM tested again."))
            }
            Probe::RootsAlone => Some(format!("Give it to a group: `chgrp kvm {DEVICE}; chmod 660 {DEVICE}`.")),
            _ => None,
        }
    }

    /// How it is kept until this machine boots again. What may be mended before, and is found out at once, is not.
    fn to_keep(&self) -> Option<&'static str> {
        match self {
            Probe::Works => Some(WORKS),
            Probe::TooLong => Some(TOO_LONG),
            _ => None,
        }
    }

    fn kept(text: &str) -> Option<Probe> {
        [Probe::Works, Probe::TooLong].into_iter().find(|probe| probe.to_keep() == Some(text))
    }
}

fn kvm() -> Result<Probe, Failure> {
    let device = match File::options().read(true).write(true).open(DEVICE) {
        Ok(device) => device,
        Err(error) => return Ok(Probe::Closed(error.kind(), error.to_string())),
    };
    // SAFETY: the request takes no argument.
    let version = unsafe { libc::ioctl(device.as_raw_fd(), KVM_GET_API_VERSION as _, 0) };
    if version != VERSION {
        return Ok(Probe::Version(version));
    }
    let whose = device.metadata().or_fail(|| format!("cannot look at {DEVICE}"))?;
    if groups_for(whose.mode(), whose.gid()).is_none() {
        return Ok(Probe::RootsAlone);
    }
    // One test at a time, and whoever waited finds how it went.
    let _lock = Lock::take(Path::new("/run/andon-kvm.lock")).or_fail(|| "cannot lock /run/andon-kvm.lock".into())?;
    if let Some(kept) = fs::read_to_string(KEPT).ok().and_then(|text| Probe::kept(&text)) {
        return Ok(kept);
    }
    let probe = test()?;
    if let Some(kept) = probe.to_keep() {
        fs::write(KEPT, kept).or_fail(|| format!("cannot write {KEPT}"))?;
    }
    Ok(probe)
}

/// Boots the sector, which takes a moment where it works.
fn test() -> Result<Probe, Failure> {
    let failed = || "cannot try whether KVM works".to_owned();
    let [disk, said] = ["", ".said"].map(|end| PathBuf::from(format!("{KEPT}.{}{end}", std::process::id())));
    fs::write(&disk, sector()).or_fail(failed)?;
    let outcome = boot(&disk, &said, "kvm", "host", LIMIT).or_fail(failed);
    let words = fs::read_to_string(&said).unwrap_or_default();
    [disk, said].iter().for_each(|path| drop(fs::remove_file(path)));
    Ok(outcome?.map_or(Probe::TooLong, |code| Probe::of_end(code, &words)))
}

/// How QEMU ended that boots the sector: its number, if no signal ended it. `None` where it was ended at the limit.
fn boot(disk: &Path, said: &Path, accel: &str, cpu: &str, limit: Duration) -> io::Result<Option<Option<i32>>> {
    let qemu = program(QEMU).map_err(|failure| io::Error::other(failure.to_string()))?;
    let words = "-nodefaults -no-user-config -display none -machine pc -m 32 -no-reboot";
    let mut command = Command::new(qemu);
    command.args(words.split(' ')).args(["-accel", accel, "-cpu", cpu]);
    // A comma in a file's name is written twice.
    let file = disk.display().to_string().replace(',', ",,");
    command.args(["-drive", &format!("file={file},format=raw,if=ide")]);
    command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=2"]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(said)?);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status.code())),
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A boot sector that counts down from fifty millions and ends the machine.
fn sector() -> Vec<u8> {
    let mut code = vec![
        0xFA, // cli
        0x66, 0xB9, 0x80, 0xF0, 0xFA, 0x02, // mov ecx, 50000000
        0x66, 0x49, // dec ecx
        0x75, 0xFC, // jnz, to that
        0xBA, 0x01, 0x05, // mov dx, 0x501
        0xB0, PROOF, // mov al, PROOF
        0xEE,  // out dx, al
        0xF4,  // hlt
        0xEB, 0xFD, // jmp, to that
    ];
    code.resize(510, 0);
    code.extend([0x55, 0xAA]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_one_sector() {
        let sector = sector();
        assert_eq!((sector.len(), sector.get(510..)), (512, Some(&[0x55, 0xAA][..])));
        assert_eq!(i32::from_le_bytes([sector[3], sector[4], sector[5], sector[6]]), 50_000_000);
    }

    #[test]
    fn only_a_machine_that_ran_proves_something() {
        let check = |probe: Probe, words: &str, is_kept: bool| {
            let against = probe.against();
            assert_eq!(against.is_none(), words.is_empty(), "{probe:?}");
            assert!(against.clone().unwrap_or_default().contains(words), "{against:?}");
            let kept = probe.to_keep().and_then(Probe::kept);
            assert_eq!(kept, is_kept.then(|| probe.clone()), "{probe:?}");
            let chosen = |emulate: bool| Accelerator::decide(probe.clone(), emulate);
            match against {
                None => assert_eq!([true, false].map(|it| chosen(it).unwrap()), [Accelerator::Kvm; 2]),
                Some(why) => {
                    assert_eq!(chosen(true).unwrap(), Accelerator::None);
                    let failure = chosen(false).unwrap_err();
                    assert!(failure.detail == why && failure.help.concat().contains("emulate = true"), "{failure}");
                    let says_how_to_test_again = failure.help.concat().contains("remove /run/andon-kvm ");
                    assert_eq!(says_how_to_test_again, is_kept, "{failure}");
                }
            }
        };
        let closed = |kind, said: &str| Probe::Closed(kind, said.to_owned());
        check(closed(io::ErrorKind::NotFound, "no such file"), "There is no /dev/kvm", false);
        check(closed(io::ErrorKind::PermissionDenied, "denied"), "group `kvm`", false);
        check(closed(io::ErrorKind::Other, "no such device"), "opened: no such device.", false);
        check(Probe::Version(11), "version 11", false);
        check(Probe::RootsAlone, "for root alone", false);
        check(Probe::TooLong, "did not even start", true);
        check(Probe::of_end(Some(ENDED), "warning"), "", true);
        for (code, said, words) in [
            (Some(0), "", "ended with 0 when"),
            (Some(1), "failed to initialize kvm\n", "It said: failed to initialize kvm."),
            (None, "", "ended by a signal"),
        ] {
            check(Probe::of_end(code, said), words, false);
        }
        assert_eq!(["", "rubbish"].map(Probe::kept), [None, None]);
    }

    #[test]
    fn whoever_is_not_root_opens_the_device_by_its_group() {
        for (mode, group, groups) in [
            (0o666, 0, Some(vec![])),
            (0o666, 104, Some(vec![])),
            (0o660, 104, Some(vec![104])),
            (0o660, 0, None),
            (0o600, 104, None),
            (0o640, 104, None),
        ] {
            assert_eq!(groups_for(0o020_000 | mode, group), groups, "{mode:o} {group}");
        }
    }

    #[test]
    fn the_sector_counts_and_ends_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, said) = (folder.path().join("sector, one"), folder.path().join("said"));
        if program(QEMU).is_err() {
            return println!("skipped: qemu-system-x86 is not installed");
        }
        fs::write(&disk, sector()).unwrap();
        let ended = |accel: &str, limit: Duration| boot(&disk, &said, accel, "max", limit).unwrap();
        let code = ended("tcg", Duration::from_secs(60)).unwrap();
        assert_eq!(Probe::of_end(code, &fs::read_to_string(&said).unwrap()), Probe::Works);
        assert_eq!(ended("tcg", Duration::from_millis(1)), None);
        let code = ended("none", Duration::from_secs(60)).unwrap();
        let Probe::Failed(Some(1), words) = Probe::of_end(code, &fs::read_to_string(&said).unwrap()) else { panic!() };
        assert!(words.contains("accel"), "{words}");
    }
}
