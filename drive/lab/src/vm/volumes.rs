//! What a machine has of volumes and of its own disk: given to QEMU, and then used in the machine.
//!
//! A mark is in the machine's directory from before the first step until after the last, so that one that was cut off in
//! between is seen: then it counts as one that has no volumes, and the next update does what is left.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use andon_schema::{Failure, Identity};

use super::disks::{self, Disk};
use super::guest::{self, Mount};
use super::process::Given;
use super::{Login, OWN, login};
use crate::attach::{self, Attached};
use crate::cgroup::Hierarchies;
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::records::{Lock, Records, absent_is_fine};
use crate::volume;

const UNMOUNTED: &str = "unmounted";
const GROWN: &str = "grown";

/// The volumes of a machine, in the order of their paths.
pub(super) struct Volumes {
    disks: Vec<Disk>,
    mounts: Vec<Mount>,
}

impl Volumes {
    /// Those that are attached to it.
    pub fn of(records: &Records, all: &[Attached]) -> Result<Volumes, Failure> {
        let mut volumes = Volumes { disks: Vec::new(), mounts: Vec::new() };
        for attached in all {
            let image = volume::directory(records, &attached.id)?.join(volume::IMAGE);
            volumes.disks.push(Disk { id: attached.id.clone(), image });
            volumes.mounts.push(mount(records, attached));
        }
        Ok(volumes)
    }

    /// Gives them to QEMU, and the words for them.
    pub fn give(&self, given: &mut Given) -> Result<Vec<OsString>, Failure> {
        let words = self
            .disks
            .iter()
            .map(|disk| disks::give(disk, given).or_fail(|| format!("cannot open {}", disk.image.display())));
        Ok(words.collect::<Result<Vec<_>, _>>()?.concat().into_iter().map(OsString::from).collect())
    }

    /// Keeps others from the volumes, none of which is mounted on this machine.
    pub fn hold(&self, records: &Records) -> Result<Vec<Lock>, Failure> {
        let mut ids: Vec<&Disk> = self.disks.iter().collect();
        // Whoever takes several takes them in this order.
        ids.sort_by(|one, other| one.id.cmp(&other.id));
        let hold = |disk: &&Disk| {
            let lock = records.directory(Kind::Volume, &disk.id).join("lock");
            let lock = Lock::take(&lock).or_fail(|| format!("cannot attach the volume {}", disk.id))?;
            attach::await_free(&disk.image)?;
            Ok(lock)
        };
        ids.iter().map(hold).collect()
    }

    /// Has a machine that is up use what it was given.
    pub fn finish(&self, directory: &Path, login: &Login, disk: Option<u64>) -> Result<(), Failure> {
        if is_open(directory) {
            guest::run(login, "mount its volumes", &guest::mounting(&self.mounts))?;
            let mark = directory.join(UNMOUNTED);
            absent_is_fine(fs::remove_file(&mark)).or_fail(|| format!("cannot remove {}", mark.display()))?;
        }
        if let Some(bytes) = disk.filter(|bytes| grown(directory) != Some(*bytes)) {
            guest::run(login, "grow its root file system", &guest::growing_root(bytes))?;
            let known = directory.join(GROWN);
            fs::write(&known, bytes.to_string()).or_fail(|| format!("cannot write {}", known.display()))?;
        }
        Ok(())
    }
}

fn mount(records: &Records, attached: &Attached) -> Mount {
    let system = volume::file_system(records, &attached.id);
    Mount { id: attached.id.clone(), path: attached.path.clone(), system }
}

/// Marks that what a machine has mounted is not what it is to have.
pub(crate) fn open(directory: &Path) -> Result<(), Failure> {
    let mark = directory.join(UNMOUNTED);
    File::create(&mark).map(drop).or_fail(|| format!("cannot make {}", mark.display()))
}

fn is_open(directory: &Path) -> bool {
    directory.join(UNMOUNTED).exists()
}

/// How large the disk of a machine was when its root file system was grown, in bytes. `None` where it is as it was made.
pub(crate) fn grown(directory: &Path) -> Option<u64> {
    fs::read_to_string(directory.join(GROWN)).ok()?.parse().ok()
}

/// Whether a machine that runs has a volume, and has it mounted as far as that was for the lab to do.
pub(crate) fn has_disk(records: &Records, directory: &Path, process: i32, attached: &Attached) -> bool {
    let image = records.directory(Kind::Volume, &attached.id).join(volume::IMAGE);
    !is_open(directory) && has_open(process, &image)
}

fn has_open(process: i32, file: &Path) -> bool {
    let Ok(wanted) = fs::metadata(file) else { return false };
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut found = files.filter_map(|entry| fs::metadata(entry.path()).ok());
    found.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

/// Takes volumes from a machine that runs: out of its file system, and then from QEMU.
pub(crate) fn detach_disks(directory: &Path, address: Ipv4Addr, gone: &[Attached]) -> Result<(), Failure> {
    if gone.is_empty() {
        return Ok(());
    }
    open(directory)?;
    for attached in gone.iter().rev() {
        guest::run(
            &login(directory, address),
            &format!("unmount `{}`", attached.path),
            &guest::unmounting(&attached.id),
        )?;
    }
    disks::detach(directory, &gone.iter().map(|attached| attached.id.as_str()).collect::<Vec<_>>())
}

/// Gives a machine that runs the volumes that it does not have, and all of its own disk.
pub(crate) fn attach_disks(
    records: &Records,
    directory: &Path,
    process: i32,
    address: Ipv4Addr,
    (all, disk): (&[Attached], Option<u64>),
) -> Result<(), Failure> {
    let volumes = Volumes::of(records, all)?;
    if !all.iter().all(|attached| has_disk(records, directory, process, attached)) {
        open(directory)?;
        let missing: Vec<&Disk> = volumes.disks.iter().filter(|disk| !has_open(process, &disk.image)).collect();
        let missing = Volumes { disks: missing.into_iter().cloned().collect(), mounts: Vec::new() };
        let _held = missing.hold(records)?;
        disks::attach(directory, &volumes.disks)?;
    }
    volumes.finish(directory, &login(directory, address), disk)
}

/// The size of a disk in QEMU's own format, in bytes:
/// <https://www.qemu.org/docs/master/interop/qcow2.html>.
pub(crate) fn own_size(path: &Path) -> io::Result<u64> {
    let mut header = [0; 32];
    File::open(path)?.read_exact(&mut header)?;
    match header {
        [b'Q', b'F', b'I', 0xFB, .., a, b, c, d, e, f, g, h] => Ok(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no disk in QEMU's format")),
    }
}

/// Makes the disk of a machine that runs as large as it is to be. Its own process does that, and no tool of root's: it is the
/// machine that writes what is in the file, the names of other files to go on with included.
pub(crate) fn grow_own(directory: &Path, size: Option<u64>) -> Result<(), Failure> {
    let own = directory.join(OWN);
    let Some(bytes) = size else { return Ok(()) };
    if own_size(&own).or_fail(|| format!("cannot read {}", own.display()))? >= bytes {
        return Ok(());
    }
    disks::grow(directory, None, bytes)
}

/// A machine that runs and has a volume.
pub(crate) struct Holder {
    directory: PathBuf,
    login: Login,
    mount: Mount,
}

impl Holder {
    /// Whoever has it, if that is a machine and runs.
    pub fn of(records: &Records, volume: &str) -> Option<Holder> {
        let identity = Identity::parse(&attach::holder(records, volume)?)?;
        let record = records.read(identity.as_str()).filter(|record| super::is_machine(&record.value))?;
        let process = super::running(&Hierarchies::find().ok()?.group(identity.as_str()))?;
        has_open(process, &records.directory(Kind::Volume, volume).join(volume::IMAGE)).then_some(())?;
        let attached = attach::all(&record.value).into_iter().find(|attached| attached.id == volume)?;
        let directory = records.directory(Kind::Server, identity.as_str());
        let login = login(&directory, record.value.get_str("address")?.parse().ok()?);
        Some(Holder { login, mount: mount(records, &attached), directory })
    }

    /// Grows the disk, and the file system that is on it.
    pub fn grow(&self, bytes: u64) -> Result<(), Failure> {
        disks::grow(&self.directory, Some(&self.mount.id), bytes)?;
        guest::run(&self.login, "grow the volume's file system", &guest::growing(&self.mount, bytes))
    }

    /// Stops what would change the volume, until it is let go on.
    pub fn freeze(&self, freeze: bool) -> Result<(), Failure> {
        guest::run(&self.login, "hold the volume still", &guest::freezing(&self.mount.path, freeze))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_open_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let me = std::process::id() as i32;
        let opened = File::create(&path).unwrap();
        fs::hard_link(&path, folder.path().join("other")).unwrap();
        assert!(has_open(me, &path) && has_open(me, &folder.path().join("other")));
        drop(opened);
        assert!(!has_open(me, &path) && !has_open(me, &folder.path().join("none")));
    }
}
