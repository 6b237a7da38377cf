//! Whether machines run with the processor's help here, and QEMU itself.
//!
//! That there is a device file proves nothing: inside of other machines it may boot nothing in useful time. So a disk of one
//! sector is booted once, which counts and ends; how that went is kept until this machine boots again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_schema::Failure;

use crate::failure::OrFail;
use crate::records::Lock;

/// The program.
pub(super) const QEMU: &str = "qemu-system-x86_64";
/// Where it is kept how the test went: in memory, so that it goes with the kernel.
const KEPT: &str = "/run/andon-kvm";
const DEVICE: &str = "/dev/kvm";
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
        match kvm()? {
            None => Ok(Accelerator::Kvm),
            Some(_) if emulate => Ok(Accelerator::None),
            Some(why) => Err(Failure::new("this machine cannot run machines with its processor's help", why)
                .help("Set `emulate = true` to run it without, many times slower, or make the server a container.")),
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
            Accelerator::None => ("tcg,thread=multi", "max"),
        }
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

/// Why KVM does not work, if it does not.
fn kvm() -> Result<Option<String>, Failure> {
    if !Path::new(DEVICE).exists() {
        return Ok(Some(format!("There is no {DEVICE}.")));
    }
    // One test at a time, and whoever waited finds how it went.
    let _lock = Lock::take(Path::new("/run/andon-kvm.lock")).or_fail(|| "cannot lock /run/andon-kvm.lock".into())?;
    if let Ok(kept) = fs::read_to_string(KEPT) {
        return Ok(Some(kept).filter(|why| !why.is_empty()));
    }
    let why = test()?;
    fs::write(KEPT, why.as_deref().unwrap_or_default()).or_fail(|| format!("cannot write {KEPT}"))?;
    Ok(why)
}

fn test() -> Result<Option<String>, Failure> {
    let failed = || "cannot try whether KVM works".to_owned();
    let disk = PathBuf::from(format!("{KEPT}.{}", std::process::id()));
    fs::write(&disk, sector()).or_fail(failed)?;
    let drive = format!("file={},format=raw,if=ide,readonly=off", disk.display());
    let mut command = Command::new(program(QEMU)?);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "32", "-no-reboot"]);
    command.args([
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-drive",
        &drive,
        "-device",
        "isa-debug-exit,iobase=0x501,iosize=2",
    ]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = command.spawn().or_fail(failed);
    let outcome = spawned.and_then(|mut child| {
        let deadline = Instant::now() + LIMIT;
        loop {
            match child.try_wait().or_fail(failed)? {
                Some(status) if status.code() == Some(ENDED) => return Ok(None),
                Some(status) => return Ok(Some(format!("A test of {DEVICE} failed: QEMU ended with {status}."))),
                None if Instant::now() > deadline => {
                    child.kill().or_fail(failed)?;
                    child.wait().or_fail(failed)?;
                    let limit = LIMIT.as_secs();
                    return Ok(Some(format!("There is {DEVICE}, but a test machine did not even start in {limit} s.")));
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    });
    let _ = fs::remove_file(&disk);
    outcome
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
}
