//! Volumes as disks of a machine, which finds each by its number: `/dev/disk/by-id/virtio-ID`.
//!
//! What it has when it starts is said to QEMU on its command line, and what comes and goes while it runs by its socket, in
//! the same words: a file, which QEMU gets open, a node, from which the bytes come, and a device, which the machine sees.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::Failure;
use serde_json::{Value as Json, json};

use super::control::{Control, Parts};
use super::process::Given;
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

/// `path` is what QEMU knows the volume's open file by.
fn node(id: &str, path: &str) -> Json {
    // What a file system in it gives back is given back to this machine's.
    let file = json!({ "driver": "file", "filename": path, "discard": "unmap" });
    json!({ "driver": "raw", "node-name": name(id), "discard": "unmap", "file": file })
}

fn open(disk: &Disk) -> io::Result<File> {
    File::options().read(true).write(true).open(&disk.image)
}

/// Gives a volume to QEMU that is to be started, and the words for it.
pub(super) fn give(disk: &Disk, given: &mut Given) -> io::Result<[String; 4]> {
    let name = name(&disk.id);
    let path = given.give_as_path(&name, [open(disk)?]);
    let device = format!("virtio-blk-pci,id={name},drive={name},serial={}", serial(&disk.id));
    Ok(["-blockdev".to_owned(), node(&disk.id, &path).to_string(), "-device".to_owned(), device])
}

/// With which command the volume's file goes.
const GIVE: &str = "add-fd";

/// What is said to QEMU so that the machine has a volume, whatever of it is there already.
fn plug(there: &Parts, id: &str) -> Vec<Json> {
    let name = name(id);
    let mut commands = Vec::new();
    if !there.nodes.contains(&name) {
        // What was given and not taken up is nobody's.
        commands.extend(take_back(there, &name));
        let set = there.files.keys().max().map_or(1, |last| last.saturating_add(1));
        commands.push(json!({ "execute": GIVE, "arguments": { "fdset-id": set, "opaque": name } }));
        commands.push(json!({ "execute": "blockdev-add", "arguments": node(id, &format!("/dev/fdset/{set}")) }));
    }
    if !there.devices.contains(&name) {
        let of = json!({ "driver": "virtio-blk-pci", "id": name, "drive": name, "serial": serial(id) });
        commands.push(json!({ "execute": "device_add", "arguments": of }));
    }
    commands
}

/// Has QEMU close the files that it was given under a name.
fn take_back(there: &Parts, name: &str) -> impl Iterator<Item = Json> {
    let sets = there.files.iter().filter(move |(_, given)| *given == name);
    sets.map(|(set, _)| json!({ "execute": "remove-fd", "arguments": { "fdset-id": set } }))
}

/// The same so that it has it no more: of a device the machine lets go, only then of what it was read from, and at last of
/// the file.
fn unplug(there: &Parts, id: &str) -> Option<Json> {
    let name = name(id);
    if there.devices.contains(&name) {
        return Some(json!({ "execute": "device_del", "arguments": { "id": name } }));
    }
    if there.nodes.contains(&name) {
        return Some(json!({ "execute": "blockdev-del", "arguments": { "node-name": name } }));
    }
    take_back(there, &name).next()
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
    for disk in disks {
        for command in plug(&control.parts().or_fail(failed)?, &disk.id) {
            let answer = match command.get("execute").and_then(Json::as_str) {
                Some(GIVE) => open(disk).and_then(|file| control.ask_with(&command, &file)),
                _ => control.ask(&command),
            };
            answer.or_fail(failed)?;
        }
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
    use super::*;

    fn parts(nodes: &[&str], devices: &[&str], files: &[(u64, &str)]) -> Parts {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let files = files.iter().map(|(set, name)| (*set, (*name).to_owned())).collect();
        Parts { nodes: set(nodes), devices: set(devices), files }
    }

    #[test]
    fn what_is_said_depends_on_what_is_there() {
        let told = |commands: &[Json]| -> Vec<String> {
            commands.iter().map(|command| command["execute"].as_str().unwrap().to_owned()).collect()
        };
        let others = parts(&["own", "volume-2"], &["volume-2"], &[(1, "own"), (7, "volume-2")]);
        let whole = parts(&["volume-1"], &["volume-1"], &[(3, "volume-1")]);
        let half = parts(&["volume-1"], &[], &[(3, "volume-1")]);
        let given = parts(&[], &[], &[(3, "volume-1"), (5, "volume-1")]);
        assert_eq!(told(&plug(&others, "1")), ["add-fd", "blockdev-add", "device_add"]);
        assert_eq!(told(&plug(&half, "1")), ["device_add"]);
        assert!(plug(&whole, "1").is_empty());
        assert_eq!(told(&plug(&given, "1")), ["remove-fd", "remove-fd", "add-fd", "blockdev-add", "device_add"]);
        assert_eq!(unplug(&others, "1"), None);
        assert_eq!(told(&[unplug(&whole, "1").unwrap()]), ["device_del"]);
        assert_eq!(told(&[unplug(&half, "1").unwrap()]), ["blockdev-del"]);
        assert_eq!(told(&[unplug(&given, "1").unwrap()]), ["remove-fd"]);
        let [give, add, plugged] = <[Json; 3]>::try_from(plug(&others, "1")).unwrap();
        assert_eq!(give["arguments"], json!({ "fdset-id": 8, "opaque": "volume-1" }));
        assert_eq!(add.pointer("/arguments/file/filename").unwrap(), "/dev/fdset/8");
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
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a,b image");
        File::create(&image).unwrap();
        let mut given = Given::default();
        let [_, node, _, device] = give(&Disk { id: "1".to_owned(), image }, &mut given).unwrap();
        let node: Json = serde_json::from_str(&node).unwrap();
        assert_eq!(node.pointer("/file/filename").unwrap(), "/dev/fdset/1");
        assert_eq!(device, "virtio-blk-pci,id=volume-1,drive=volume-1,serial=1");
    }
}
