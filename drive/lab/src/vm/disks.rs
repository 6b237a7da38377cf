//! Volumes as disks of a machine, which finds each by its number: `/dev/disk/by-id/virtio-ID`.
//!
//! What it has when it starts is said to QEMU on its command line, and what comes and goes while it runs by its socket, in
//! the same words: a node, from which the bytes come, and a device, which the machine sees.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use super::control::{Control, Parts};
use crate::failure::{OrFail, sentence};

/// The disk that a machine boots from, in QEMU.
pub(super) const OWN: &str = "own";
/// The most volumes of one machine: each takes a place of a bus that has 32, of which a machine itself needs seven.
pub(super) const MOST: usize = 24;
/// How long a machine may take to let go of a disk that nothing in it uses, and how often it is told to.
const UNPLUG_LIMIT: Duration = Duration::from_secs(60);
const UNPLUG_AGAIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// What a disk's number may have in bytes (`VIRTIO_BLK_ID_BYTES`, linux/virtio_blk.h).
const SERIAL: usize = 20;

/// A volume that a machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// The volume's.
    pub id: String,
    pub image: PathBuf,
}

/// Where a machine finds a volume.
pub(super) fn device(id: &str) -> String {
    format!("/dev/disk/by-id/virtio-{}", serial(id))
}

/// Identities are ASCII.
fn serial(id: &str) -> &str {
    id.get(..SERIAL).unwrap_or(id)
}

/// The name of a volume in QEMU: of its node, and of its device.
fn name(id: &str) -> String {
    format!("volume-{}", serial(id))
}

fn node(disk: &Disk) -> Json {
    // What a file system in it gives back is given back to this machine's.
    let file = json!({ "driver": "file", "filename": disk.image, "discard": "unmap" });
    json!({ "driver": "raw", "node-name": name(&disk.id), "discard": "unmap", "file": file })
}

/// The words with which QEMU starts for one.
pub(super) fn words(disk: &Disk) -> [String; 4] {
    let name = name(&disk.id);
    let device = format!("virtio-blk-pci,id={name},drive={name},serial={}", serial(&disk.id));
    ["-blockdev".to_owned(), node(disk).to_string(), "-device".to_owned(), device]
}

/// What is said to QEMU so that the machine has a volume, whatever of it is there already.
fn plug(there: &Parts, disk: &Disk) -> Vec<Json> {
    let name = name(&disk.id);
    let node = json!({ "execute": "blockdev-add", "arguments": node(disk) });
    let of = json!({ "driver": "virtio-blk-pci", "id": name, "drive": name, "serial": serial(&disk.id) });
    let device = json!({ "execute": "device_add", "arguments": of });
    let missing = [(there.nodes.contains(&name), node), (there.devices.contains(&name), device)];
    missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, command)| command).collect()
}

/// The same so that it has it no more: of a device the machine lets go, and only then of what it was read from.
fn unplug(there: &Parts, id: &str) -> Option<Json> {
    let name = name(id);
    if there.devices.contains(&name) {
        return Some(json!({ "execute": "device_del", "arguments": { "id": name } }));
    }
    there.nodes.contains(&name).then(|| json!({ "execute": "blockdev-del", "arguments": { "node-name": name } }))
}

/// What gives a disk another size: a volume, or that which the machine boots from.
fn resize(volume: Option<&str>, bytes: u64) -> Json {
    let of = match volume {
        Some(id) => json!({ "node-name": name(id), "size": bytes }),
        None => json!({ "device": OWN, "size": bytes }),
    };
    json!({ "execute": "block_resize", "arguments": of })
}

/// Gives a machine that runs the volumes that it does not have.
pub(super) fn attach(directory: &Path, disks: &[Disk]) -> Result<(), Failure> {
    let failed = || "cannot give the machine another disk".to_owned();
    let mut control = Control::open(directory).or_fail(failed)?;
    let there = control.parts().or_fail(failed)?;
    for command in disks.iter().flat_map(|disk| plug(&there, disk)) {
        control.ask(&command).or_fail(failed)?;
    }
    Ok(())
}

/// Takes volumes from a machine that runs, in which nothing has them mounted.
pub(super) fn detach(directory: &Path, ids: &[&str]) -> Result<(), Failure> {
    let failed = || "cannot take a disk from the machine".to_owned();
    for id in ids {
        let deadline = Instant::now() + UNPLUG_LIMIT;
        let (mut tell_at, mut said) = (Instant::now(), String::new());
        loop {
            // Others may have something to say to it meanwhile.
            let mut control = Control::open(directory).or_fail(failed)?;
            let Some(command) = unplug(&control.parts().or_fail(failed)?, id) else { break };
            if Instant::now() > deadline {
                let detail =
                    format!("It was told to let go of {} and had {} s.{said}", device(id), UNPLUG_LIMIT.as_secs());
                return Err(Failure::new("the machine does not let go of a disk", detail)
                    .help("It may not be up. Try again, or stop it (`running = false`) first."));
            }
            let is_of_device = command.get("execute").and_then(Json::as_str) == Some("device_del");
            if !is_of_device || Instant::now() >= tell_at {
                tell_at = Instant::now() + UNPLUG_AGAIN;
                match control.ask(&command) {
                    // A device that is told twice is on its way, and what it was read from is in use a moment longer.
                    Err(error) if error.get_ref().is_some() => {
                        said = format!(" QEMU said: {}", sentence(&error.to_string()))
                    }
                    answer => drop(answer.or_fail(failed)?),
                }
            }
            drop(control);
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Gives a disk of a machine that runs another size: a volume, or that which it boots from.
pub(super) fn grow(directory: &Path, volume: Option<&str>, bytes: u64) -> Result<(), Failure> {
    let grown = Control::open(directory).and_then(|mut control| control.ask(&resize(volume, bytes)));
    grown
        .map(drop)
        .map_err(|error| Failure::new("the disk of the machine cannot be grown", sentence(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn disk(id: &str, image: &Path) -> Disk {
        Disk { id: id.to_owned(), image: image.to_owned() }
    }

    fn parts(nodes: &[&str], devices: &[&str]) -> Parts {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Parts { nodes: set(nodes), devices: set(devices) }
    }

    #[test]
    fn what_is_said_depends_on_what_is_there() {
        let one = disk("1", Path::new("/lab/volumes/1/image"));
        let told = |commands: &[Json]| -> Vec<String> {
            commands.iter().map(|command| command["execute"].as_str().unwrap().to_owned()).collect()
        };
        let others = parts(&["own", "volume-2"], &["volume-2"]);
        let whole = parts(&["volume-1"], &["volume-1"]);
        let half = parts(&["volume-1"], &[]);
        assert_eq!(told(&plug(&others, &one)), ["blockdev-add", "device_add"]);
        assert_eq!(told(&plug(&half, &one)), ["device_add"]);
        assert!(plug(&whole, &one).is_empty());
        assert_eq!(unplug(&others, "1"), None);
        assert_eq!(told(&[unplug(&whole, "1").unwrap()]), ["device_del"]);
        assert_eq!(told(&[unplug(&half, "1").unwrap()]), ["blockdev-del"]);
        let [add, plugged] = <[Json; 2]>::try_from(plug(&others, &one)).unwrap();
        assert_eq!(add.pointer("/arguments/file/filename").unwrap(), "/lab/volumes/1/image");
        assert_eq!(plugged.pointer("/arguments/serial").unwrap(), "1");
        assert_eq!(resize(Some("1"), 5)["arguments"], json!({ "node-name": "volume-1", "size": 5 }));
        assert_eq!(resize(None, 5)["arguments"], json!({ "device": "own", "size": 5 }));
    }

    #[test]
    fn a_volume_is_found_by_its_number() {
        let long = "0123456789abcdef0123456789abcdef";
        assert_eq!(device("0a1b2c3d4e5f"), "/dev/disk/by-id/virtio-0a1b2c3d4e5f");
        assert_eq!(device(long), "/dev/disk/by-id/virtio-0123456789abcdef0123");
        // Of a node's name QEMU takes 31 bytes.
        assert!(name(long).len() <= 31);
        let [_, node, _, device] = words(&disk("1", Path::new("/a,b/image")));
        let node: Json = serde_json::from_str(&node).unwrap();
        assert_eq!(node.pointer("/file/filename").unwrap(), "/a,b/image");
        assert_eq!(device, "virtio-blk-pci,id=volume-1,drive=volume-1,serial=1");
    }

    /// A real QEMU whose machine never begins to run.
    struct Paused(Child);

    impl Paused {
        fn start(directory: &Path, more: &[String]) -> Option<Paused> {
            let Ok(program) = super::super::accelerator::program("qemu-system-x86_64") else {
                println!("skipped: qemu-system-x86 is not installed");
                return None;
            };
            let words = format!(
                "-nodefaults -no-user-config -display none -machine pc -accel tcg -m 64 -S \
                 -drive if=none,id={OWN},file=own,format=raw -device virtio-blk-pci,drive={OWN} \
                 -chardev socket,id=control,path=control,server=on,wait=off -mon chardev=control,mode=control"
            );
            File::create(directory.join("own")).unwrap().set_len(8 << 20).unwrap();
            let mut command = Command::new(program);
            command.args(words.split_whitespace()).args(more).current_dir(directory);
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let qemu = Paused(child);
            let deadline = Instant::now() + Duration::from_secs(20);
            while Control::open(directory).is_err() {
                assert!(Instant::now() < deadline, "QEMU does not answer");
                std::thread::sleep(Duration::from_millis(10));
            }
            Some(qemu)
        }
    }

    impl Drop for Paused {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn qemu_takes_and_gives_disks_and_grows_them() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let image = |name: &str| {
            let path = directory.join(name);
            File::create(&path).unwrap().set_len(16 << 20).unwrap();
            path
        };
        let (first, second) = (disk("0a0a0a0a0a0a", &image("one, and more")), disk("0b0b0b0b0b0b", &image("two")));
        let Some(_qemu) = Paused::start(directory, &words(&first)) else { return };
        let parts = || Control::open(directory).unwrap().parts().unwrap();
        let has = |disk: &Disk| {
            let (parts, name) = (parts(), name(&disk.id));
            (parts.nodes.contains(&name), parts.devices.contains(&name))
        };
        assert_eq!((has(&first), has(&second)), ((true, true), (false, false)));
        attach(directory, &[first.clone(), second.clone()]).unwrap();
        attach(directory, &[first.clone(), second.clone()]).unwrap();
        assert_eq!((has(&first), has(&second)), ((true, true), (true, true)));

        grow(directory, Some(&second.id), 32 << 20).unwrap();
        grow(directory, None, 12 << 20).unwrap();
        assert_eq!(fs::metadata(&second.image).unwrap().len(), 32 << 20);
        assert_eq!(fs::metadata(directory.join("own")).unwrap().len(), 12 << 20);
        let seen = Control::open(directory).unwrap().ask(&json!({ "execute": "query-block" })).unwrap();
        let inserted = seen.as_array().unwrap().iter().filter_map(|one| one.pointer("/inserted/image/virtual-size"));
        let mut sizes: Vec<u64> = inserted.map(|size| size.as_u64().unwrap()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [12 << 20, 16 << 20, 32 << 20]);
        assert!(grow(directory, Some("nobody"), 1 << 20).is_err());

        // No system is there that lets go of a device; a reset does.
        let unplugged = std::thread::scope(|scope| {
            let unplugged = scope.spawn(|| detach(directory, &[&second.id]));
            while !unplugged.is_finished() {
                let reset = Control::open(directory).and_then(|mut it| it.ask(&json!({ "execute": "system_reset" })));
                drop(reset);
                std::thread::sleep(Duration::from_millis(20));
            }
            unplugged.join().unwrap()
        });
        unplugged.unwrap();
        assert_eq!((has(&first), has(&second)), ((true, true), (false, false)));
        detach(directory, &[&second.id]).unwrap();
    }
}
