//! `lab_volume`: a file system in a file, which outlives the servers that have it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use andon_schema::{Attribute, Failure, Format, Identity};
use andon_value::{Type, Value};

use crate::attach::{await_free, holder, open_volume, put_within, within};
use crate::block::{FileSystem, copy_file, loops_of, mount_image, update_loop};
use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::plan::complete;
use crate::records::{Lock, Record, Records, absent_is_fine, make_private};
use crate::snapshot::{self, Snapshot};
use crate::spec::required;
use crate::units::{format_bytes, parse_bytes};
use crate::vm::Holder;

/// The attributes that cannot change in place.
pub(crate) const REPLACING: &[&str] = &["file_system"];
/// The file that is the file system.
pub(crate) const IMAGE: &str = "image";
/// A file that is there while one grows.
const GROWING: &str = "growing";
/// The largest, in bytes: what every one of the file systems can have.
const MOST: u64 = 16 << 40;

const SIZE: Format =
    Format { name: "a size", example: "\"10G\"", check: |it| it.as_str().map_or(Ok(()), |text| size(text).map(drop)) };
const FILE_SYSTEM: Format = Format {
    name: "a file system",
    example: "\"ext4\"",
    check: |it| it.as_str().map_or(Ok(()), |text| file_system_of(text).map(drop)),
};

/// What it is for, and its attributes.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let attributes = vec![
        ("name", Attribute::optional(Type::String, "A name for people; nothing depends on it.")),
        (
            "size",
            Attribute::required(
                Type::String,
                "How large it is, such as `10G`. It takes only as much of the disk as is in it. It grows in place, while a server \
                 has it where the kernel allows that; it does not shrink.",
            )
            .format(SIZE),
        ),
        (
            "file_system",
            Attribute::optional_computed(
                Type::String,
                "`ext4`, `xfs` or `btrfs`; the last two need their tools. Default `ext4`, or that of the snapshot. A change replaces the volume.",
            )
            .format(FILE_SYSTEM),
        ),
        (
            "snapshot",
            Attribute::optional(
                Type::String,
                "The `id` of a `lab_snapshot` whose content it begins with. It counts only when the volume is made.",
            ),
        ),
        (
            "restore",
            Attribute::optional(
                Type::String,
                "The `id` of a `lab_snapshot` to whose content it is taken back, once for each change: what was written since is \
                 lost. Its server has it taken off for a moment, and nothing there may be using it. As a text: a reference to a \
                 snapshot of this volume would be a cycle.",
            ),
        ),
        ("id", Attribute::computed(Type::String, "What a server's `volumes` take.")),
    ];
    ("A file system on this machine that outlives the servers that have it.", attributes)
}

/// Whether one volume can become another in place.
pub(crate) fn check_change(prior: &Value, planned: &Value) -> Result<(), Failure> {
    let size_of = |value: &Value| value.get_str("size").and_then(parse_bytes);
    match (size_of(prior), size_of(planned)) {
        (Some(before), Some(after)) if after < before => {
            let detail = format!("It has {}, and {} are asked for.", format_bytes(before), format_bytes(after));
            Err(Failure::new("a volume does not shrink", detail)
                .help("Make another volume, and copy what is in this one.")
                .about("size"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn create(
    records: &Records,
    lock: &Lock,
    identity: &Identity,
    owner: &str,
    planned: &Value,
) -> Result<Made, Failure> {
    let bytes = size(required(planned, "size")?)?;
    let origin = planned.get_str("restore").or(planned.get_str("snapshot"));
    let origin = origin.map(|id| snapshot::find(records, id)).transpose()?;
    let asked = planned.get_str("file_system").map(file_system_of).transpose()?;
    let system = asked.or(origin.as_ref().map(|origin| origin.system)).unwrap_or(FileSystem::Ext4);
    if bytes < system.least() {
        let detail = format!("With {}, it has {} at least.", system.name(), format_bytes(system.least()));
        return Err(Failure::new("the volume is too small", detail).about("size"));
    }
    let value =
        complete(planned, [("file_system", Value::from(system.name())), ("id", Value::from(identity.as_str()))]);
    records.write(identity, &Record::new(Kind::Volume, owner, value.clone()))?;
    let directory = records.directory(Kind::Volume, identity.as_str());
    make_private(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    let unfinished = directory.join("image.new");
    let failed = || format!("cannot make {}", unfinished.display());
    match origin {
        Some(origin) => copy_of(lock, &origin, system, bytes, &unfinished)?,
        None => {
            File::create(&unfinished).and_then(|file| file.set_len(bytes)).or_fail(failed)?;
            system.make(lock, &unfinished)?;
        }
    }
    let finished = File::open(&unfinished).and_then(|file| file.sync_all());
    finished.and_then(|()| fs::rename(&unfinished, directory.join(IMAGE))).or_fail(failed)?;
    Ok(Made { value, notes: Vec::new() })
}

/// A file system as a snapshot has it, of this size.
fn copy_of(lock: &Lock, origin: &Snapshot, system: FileSystem, bytes: u64, to: &Path) -> Result<(), Failure> {
    let failed = || format!("cannot make {}", to.display());
    if origin.system != system {
        let detail = format!("The snapshot has {}.", origin.system.name());
        return Err(Failure::new(format!("the volume cannot have {}", system.name()), detail).about("file_system"));
    }
    if bytes < origin.size {
        let detail = format!("The snapshot has {}.", format_bytes(origin.size));
        return Err(Failure::new("the volume is smaller than its snapshot", detail).about("size"));
    }
    copy_file(&origin.image, to).or_fail(failed)?;
    system.make_distinct(lock, to)?;
    if bytes > origin.size {
        set_length(to, bytes).or_fail(failed)?;
        system.grow_offline(lock, to)?;
    }
    Ok(())
}

/// Takes a volume back to what a snapshot has. The one or the other is there, whenever it is cut off.
fn restore(
    records: &Records,
    lock: &Lock,
    identity: &Identity,
    origin: &Snapshot,
    bytes: u64,
) -> Result<Vec<String>, Failure> {
    if Holder::of(records, identity.as_str()).is_some() {
        let detail = "A machine reads and writes its disks by itself.";
        return Err(Failure::new("the volume cannot be restored while its server has it", detail)
            .help("Stop the server (`running = false`), apply, and start it again."));
    }
    let directory = directory(records, identity.as_str())?;
    let (image, unfinished) = (directory.join(IMAGE), directory.join("image.new"));
    let failed = || format!("cannot restore {}", image.display());
    let _use = Lock::take(&directory.join("lock")).or_fail(failed)?;
    let system = file_system(records, identity.as_str());
    let made = copy_of(lock, origin, system, bytes, &unfinished)
        .and_then(|()| File::open(&unfinished).and_then(|file| file.sync_all()).or_fail(failed));
    let swap = || {
        await_free(&image)?;
        fs::rename(&unfinished, &image).or_fail(failed)
    };
    let swapped = made.and_then(|()| match open_volume(records, identity.as_str()) {
        Some((init, place, root)) => {
            drop(root);
            off_for_a_moment((init, &place), &image, system, "be restored", swap)
        }
        None => swap().map(|()| Vec::new()),
    });
    swapped.inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// In place grows it, takes it back to a snapshot, and changes its name.
pub(crate) fn update(
    records: &Records,
    lock: &Lock,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    check_change(&record.value, planned)?;
    let bytes = size(required(planned, "size")?)?;
    let directory = directory(records, identity.as_str())?;
    let image = directory.join(IMAGE);
    let failed = || format!("cannot grow {}", image.display());
    let length = fs::metadata(&image).or_fail(failed)?.len();
    let mark = directory.join(GROWING);
    let mut notes = Vec::new();
    let back = planned.get_str("restore").filter(|id| record.value.get_str("restore") != Some(*id));
    if let Some(id) = back {
        notes = restore(records, lock, identity, &snapshot::find(records, id)?, bytes.max(length))?;
        let _ = fs::remove_file(&mark);
    } else if bytes > length || mark.exists() {
        let _use = Lock::take(&directory.join("lock")).or_fail(failed)?;
        File::create(&mark).or_fail(failed)?;
        set_length(&image, bytes.max(length)).or_fail(failed)?;
        notes = grow(records, lock, identity, &image)?;
        fs::remove_file(&mark).or_fail(failed)?;
    }
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes })
}

fn grow(records: &Records, lock: &Lock, identity: &Identity, image: &Path) -> Result<Vec<String>, Failure> {
    let system = file_system(records, identity.as_str());
    if let Some(machine) = Holder::of(records, identity.as_str()) {
        let bytes = fs::metadata(image).or_fail(|| format!("cannot grow {}", image.display()))?.len();
        return machine.grow(bytes).map(|()| Vec::new());
    }
    let loops = loops_of(image);
    for device in &loops {
        update_loop(device).or_fail(|| format!("cannot grow {}", device.display()))?;
    }
    let Some((init, place, root)) = open_volume(records, identity.as_str()) else {
        await_free(image)?;
        return system.grow_offline(lock, image).map(|()| Vec::new());
    };
    let online = system.grow_mounted(root.as_fd());
    drop(root);
    let Err(error) = online else { return Ok(Vec::new()) };
    // The kernel, or the container that this machine is, may not let anybody do it: then it is taken off for a moment.
    off_for_a_moment((init, &place), image, system, &format!("be grown (`{error}`)"), || {
        await_free(image).and_then(|()| system.grow_offline(lock, image))
    })
}

/// Does something with a volume while the server that has it, of which this is the init and the volume's place there, has it
/// not. A note says so.
fn off_for_a_moment(
    (init, place): (i32, &str),
    image: &Path,
    system: FileSystem,
    purpose: &str,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<Vec<String>, Failure> {
    let failed = |detail: String| {
        Failure::new(format!("the volume cannot {purpose} while its server has it"), sentence(&detail))
            .help("Stop what uses it in the server, or stop the server (`running = false`), and apply again.")
    };
    // It may be deleted or stopped at this very moment: then nobody has the volume any more.
    let runs = || fs::read_link(format!("/proc/{init}/ns/mnt")).is_ok();
    let unmount = || Ok(nix::mount::umount2(Path::new(place), nix::mount::MntFlags::UMOUNT_NOFOLLOW)?);
    match within(init, unmount) {
        Err(busy) if runs() => {
            return Err(failed(format!("The kernel said `{busy}` when it was to be taken off for that")));
        }
        _ => {}
    }
    let done = work();
    let back = mount_image(image, system).and_then(|mount| put_within(init, &mount, place));
    match back {
        Err(error) if runs() => {
            let summary = format!("cannot put the volume back at `{place}`");
            return Err(Failure::new(summary, sentence(&error.to_string())));
        }
        Err(_) => return done.map(|()| Vec::new()),
        Ok(()) => done?,
    }
    Ok(vec![format!(
        "`{place}` was taken off its server for a moment, to {}.",
        purpose.split(" (").next().unwrap_or(purpose)
    )])
}

/// Removes it with all that is in it. Refused where a server has it.
pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    if let Some(server) = holder(records, identity.as_str()) {
        let name = records.read(&server).and_then(|record| Some(record.value.get_str("name")?.to_owned()));
        let detail = format!("The server `{}` has it.", name.unwrap_or(server));
        return Err(Failure::new("the volume is attached", detail).help("Take it out of the server's `volumes` first."));
    }
    let directory = records.directory(Kind::Volume, identity.as_str());
    if directory.join(IMAGE).exists() {
        await_free(&directory.join(IMAGE))?;
    }
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The volume as it is; `None` where its file is gone.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    let directory = records.directory(Kind::Volume, identity.as_str());
    let Ok(known) = fs::metadata(directory.join(IMAGE)) else { return Ok(None) };
    let recorded = prior.get_str("size").and_then(parse_bytes);
    // One that was cut off while it grew has still its old size.
    if recorded == Some(known.len()) || directory.join(GROWING).exists() {
        return Ok(Some(prior.clone()));
    }
    Ok(Some(complete(prior, [("size", Value::from(format_bytes(known.len())))])))
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Result<Found, Failure> {
    Ok(read(records, identity, &record.value)?.map_or(Found::Partial, Found::Complete))
}

/// The directory of a volume that exists.
pub(crate) fn directory(records: &Records, id: &str) -> Result<PathBuf, Failure> {
    let record = Identity::parse(id).and_then(|_| records.read(id)).filter(|record| record.kind == Kind::Volume);
    record.map(|_| records.directory(Kind::Volume, id)).ok_or_else(|| {
        Failure::new(format!("there is no volume `{id}`"), "No volume of this machine's lab has that id.")
            .help("Write `lab_volume.NAME.id`.")
    })
}

/// The file system that a volume has.
pub(crate) fn file_system(records: &Records, id: &str) -> FileSystem {
    let record = records.read(id);
    let name = record.as_ref().and_then(|record| record.value.get_str("file_system"));
    name.and_then(FileSystem::parse).unwrap_or(FileSystem::Ext4)
}

fn set_length(image: &Path, bytes: u64) -> io::Result<()> {
    File::options().write(true).open(image)?.set_len(bytes)
}

fn size(text: &str) -> Result<u64, Failure> {
    let wrong = |detail: &str| {
        Failure::new(format!("`{text}` is no size for a volume"), detail).help("Write one such as `512M` or `10G`.")
    };
    let bytes = parse_bytes(text).ok_or_else(|| wrong("It is a number followed by K, M, G or T."))?;
    if bytes % 4096 != 0 {
        return Err(wrong("It is no multiple of 4K."));
    }
    if !(FileSystem::Ext4.least()..=MOST).contains(&bytes) {
        return Err(wrong("It is from 8M to 16T."));
    }
    Ok(bytes)
}

fn file_system_of(text: &str) -> Result<FileSystem, Failure> {
    FileSystem::parse(text).ok_or_else(|| {
        let known = FileSystem::ALL.map(FileSystem::name).join(", ");
        Failure::new(format!("`{text}` is no file system of volumes"), format!("There are {known}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_changes() {
        for sound in ["8M", "10G", "1.5G", "16T", "8388608"] {
            assert!(size(sound).is_ok(), "{sound}");
        }
        for wrong in ["", "8", "7M", "17T", "10", "8388609", "-1G", "lots"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        let of = |size: &str| Value::object([("size", Value::from(size))]);
        assert!(check_change(&of("1G"), &of("2G")).is_ok());
        assert!(check_change(&of("1G"), &of("1024M")).is_ok());
        assert!(check_change(&of("1G"), &of("512M")).is_err());
        assert!(check_change(&of("1G"), &Value::object([("size", Value::unknown(Type::String))])).is_ok());
    }
}
