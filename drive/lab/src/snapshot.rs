//! `lab_snapshot`: what a volume held at one moment, which outlives the volume.
//!
//! A volume that a server has mounted is frozen while it is copied: what was written before is in the copy, and what is
//! written meanwhile waits. A kill in between leaves it frozen; whoever resolves or deletes the snapshot lets it go on.

use std::fs::{self, File};
use std::path::PathBuf;

use andon_schema::{Attribute, Failure, Identity};
use andon_value::{Type, Value};

use crate::attach::open_volume;
use crate::block::{FileSystem, copy_file, freeze, thaw};
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::plan::complete;
use crate::records::{Lock, Record, Records, absent_is_fine, make_private};
use crate::spec::required;
use crate::units::{format_bytes, parse_bytes};
use crate::vm::Holder;
use crate::volume;

/// The attributes that cannot change in place.
pub(crate) const REPLACING: &[&str] = &["volume"];

/// A snapshot that exists.
pub(crate) struct Snapshot {
    pub image: PathBuf,
    pub system: FileSystem,
    /// Bytes.
    pub size: u64,
}

/// What it is for, and its attributes.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let attributes = vec![
        ("name", Attribute::optional(Type::String, "A name for people; nothing depends on it.")),
        (
            "volume",
            Attribute::required(
                Type::String,
                "The `id` of the `lab_volume` that it is of. A change replaces the snapshot.",
            ),
        ),
        ("size", Attribute::computed(Type::String, "How large the volume was.")),
        ("file_system", Attribute::computed(Type::String, "The file system that it has.")),
        ("id", Attribute::computed(Type::String, "What a volume's `snapshot` takes.")),
    ];
    ("What a volume held at one moment.", attributes)
}

/// Whether one snapshot can become another. What a volume held is not thrown away because the volume is made anew.
pub(crate) fn check_change(prior: &Value, planned: &Value) -> Result<(), Failure> {
    match (prior.get_str("volume"), planned.get("volume")) {
        (Some(_), Some(volume)) if volume.is_unknown() => {
            Err(Failure::new("the snapshot would be lost with its volume", "Its volume is to be replaced.")
                .help("Keep it: `lifecycle { ignore_changes = [volume] }`. Or remove it first.")
                .about("volume"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn create(records: &Records, identity: &Identity, owner: &str, planned: &Value) -> Result<Made, Failure> {
    let of = required(planned, "volume")?;
    let from = volume::directory(records, of)?;
    let image = from.join(volume::IMAGE);
    let failed = || format!("cannot copy {}", image.display());
    let _use = Lock::take(&from.join("lock")).or_fail(failed)?;
    let length = fs::metadata(&image).or_fail(failed)?.len();
    let value = complete(
        planned,
        [
            ("size", Value::from(format_bytes(length))),
            ("file_system", Value::from(volume::file_system(records, of).name())),
            ("id", Value::from(identity.as_str())),
        ],
    );
    records.write(identity, &Record::new(Kind::Snapshot, owner, value.clone()))?;
    let directory = records.directory(Kind::Snapshot, identity.as_str());
    make_private(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    let unfinished = directory.join("image.new");
    let mounted = open_volume(records, of).map(|(_, _, root)| root);
    let machine = Holder::of(records, of);
    let copied = match &mounted {
        None if machine.is_some() => {
            let freeze = |freeze: bool| machine.as_ref().map_or(Ok(()), |machine| machine.freeze(freeze));
            freeze(true)?;
            let copied = copy_file(&image, &unfinished);
            freeze(false)?;
            copied
        }
        Some(root) => {
            freeze(root).or_fail(|| "cannot hold the volume still".into())?;
            let copied = copy_file(&image, &unfinished);
            thaw(root);
            copied
        }
        None => copy_file(&image, &unfinished),
    };
    copied.and_then(|()| File::open(&unfinished)?.sync_all()).or_fail(failed)?;
    fs::rename(&unfinished, directory.join(volume::IMAGE)).or_fail(failed)?;
    Ok(Made { value, notes: Vec::new() })
}

/// In place changes its name.
pub(crate) fn update(
    records: &Records,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes: Vec::new() })
}

pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let directory = records.directory(Kind::Snapshot, identity.as_str());
    if !directory.join(volume::IMAGE).exists() {
        let_go_on(records, identity);
    }
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The snapshot, as long as its file is there.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Option<Value> {
    let image = records.directory(Kind::Snapshot, identity.as_str()).join(volume::IMAGE);
    image.exists().then(|| prior.clone())
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Found {
    match read(records, identity, &record.value) {
        Some(value) => Found::Complete(value),
        None => {
            let_go_on(records, identity);
            Found::Partial
        }
    }
}

/// Ends the freeze that a snapshot that was cut off may have left.
fn let_go_on(records: &Records, identity: &Identity) {
    let record = records.read(identity.as_str()).filter(|record| record.kind == Kind::Snapshot);
    let Some(of) = record.and_then(|record| Some(record.value.get_str("volume")?.to_owned())) else { return };
    if volume::directory(records, &of).is_err() {
        return;
    }
    // Another one may hold the volume still at this moment, and is waited for.
    let Ok(_use) = Lock::take(&records.directory(Kind::Volume, &of).join("lock")) else { return };
    if let Some((_, _, root)) = open_volume(records, &of) {
        thaw(&root);
    } else if let Some(machine) = Holder::of(records, &of) {
        // It fails where nothing is frozen.
        let _ = machine.freeze(false);
    }
}

/// A snapshot to begin a volume with.
pub(crate) fn find(records: &Records, id: &str) -> Result<Snapshot, Failure> {
    let record = Identity::parse(id).and_then(|_| records.read(id)).filter(|record| record.kind == Kind::Snapshot);
    let image = records.directory(Kind::Snapshot, id).join(volume::IMAGE);
    let snapshot = record.filter(|_| image.exists()).and_then(|record| {
        let system = FileSystem::parse(record.value.get_str("file_system")?)?;
        Some(Snapshot { image, system, size: parse_bytes(record.value.get_str("size")?)? })
    });
    snapshot.ok_or_else(|| {
        Failure::new(format!("there is no snapshot `{id}`"), "No snapshot of this machine's lab has that id.")
            .help("Write `snapshot = lab_snapshot.NAME.id`.")
    })
}
