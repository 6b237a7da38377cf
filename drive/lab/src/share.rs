//! `lab_share`: a directory of this machine that several servers have at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use andon_schema::{Attribute, Failure, Format, Identity};
use andon_value::{Type, Value};

use crate::attach;
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::plan::complete;
use crate::records::{Record, Records, absent_is_fine, make_private};

/// The directory that servers see.
pub(crate) const FILES: &str = "files";

const MODE: Format = Format {
    name: "permissions in octal",
    example: "\"0755\"",
    check: |it| it.as_str().map_or(Ok(()), |text| mode(text).map(drop)),
};

/// What it is for, and its attributes.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let attributes = vec![
        ("name", Attribute::optional(Type::String, "A name for people; nothing depends on it.")),
        (
            "mode",
            Attribute::optional_computed(
                Type::String,
                "The permissions of its directory, such as `0775` or `1777`. Default `0755`.",
            )
            .format(MODE),
        ),
        ("id", Attribute::computed(Type::String, "What a server's `shares` and `read_only_shares` take.")),
    ];
    ("A directory that several servers have at once.", attributes)
}

/// What an attribute is where the user does not give it.
pub(crate) fn default(attribute: &str) -> Option<Value> {
    (attribute == "mode").then(|| Value::from("0755"))
}

pub(crate) fn create(records: &Records, identity: &Identity, owner: &str, planned: &Value) -> Result<Made, Failure> {
    let value = complete(planned, [("id", Value::from(identity.as_str()))]);
    records.write(identity, &Record::new(Kind::Share, owner, value.clone()))?;
    let directory = records.directory(Kind::Share, identity.as_str());
    // Its mode is for servers that have it, and for nobody else on this machine.
    make_private(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    let files = directory.join(FILES);
    fs::create_dir_all(&files).or_fail(|| format!("cannot make {}", files.display()))?;
    set_mode(records, identity, &value)?;
    Ok(Made { value, notes: Vec::new() })
}

/// In place changes everything.
pub(crate) fn update(
    records: &Records,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    set_mode(records, identity, planned)?;
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes: Vec::new() })
}

/// Removes it with all that is in it. Refused where a server has it.
pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let has_it = |value: &Value| attach::all(value).iter().any(|attached| attached.id == identity.as_str());
    let servers =
        records.all().into_iter().filter_map(|(_, record)| record).filter(|record| record.kind == Kind::Server);
    let names: Vec<String> = servers
        .filter(|record| has_it(&record.value))
        .map(|record| format!("`{}`", record.value.get_str("name").unwrap_or_default()))
        .collect();
    if !names.is_empty() {
        return Err(Failure::new("the share is attached", format!("These servers have it: {}.", names.join(", ")))
            .help("Take it out of their `shares` and `read_only_shares` first."));
    }
    let directory = records.directory(Kind::Share, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The share as it is; `None` where its directory is gone.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Option<Value> {
    let known = fs::metadata(records.directory(Kind::Share, identity.as_str()).join(FILES)).ok()?;
    let now = known.permissions().mode() & 0o7777;
    let is_same = prior.get_str("mode").and_then(|text| mode(text).ok()) == Some(now);
    Some(if is_same { prior.clone() } else { complete(prior, [("mode", Value::from(format!("{now:04o}")))]) })
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Found {
    let now = read(records, identity, &record.value).filter(|now| now == &record.value);
    now.map_or(Found::Partial, Found::Complete)
}

/// The directory of a share that exists.
pub(crate) fn directory(records: &Records, id: &str) -> Result<PathBuf, Failure> {
    let record = Identity::parse(id).and_then(|_| records.read(id)).filter(|record| record.kind == Kind::Share);
    record.map(|_| records.directory(Kind::Share, id).join(FILES)).ok_or_else(|| {
        Failure::new(format!("there is no share `{id}`"), "No share of this machine's lab has that id.")
            .help("Write `lab_share.NAME.id`.")
    })
}

fn set_mode(records: &Records, identity: &Identity, value: &Value) -> Result<(), Failure> {
    let files = records.directory(Kind::Share, identity.as_str()).join(FILES);
    let mode = mode(value.get_str("mode").unwrap_or("0755"))?;
    fs::set_permissions(&files, fs::Permissions::from_mode(mode))
        .or_fail(|| format!("cannot change {}", files.display()))
}

fn mode(text: &str) -> Result<u32, Failure> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| (3..=4).contains(&text.len()) && *mode <= 0o7777);
    mode.ok_or_else(|| {
        Failure::new(format!("`{text}` is no mode"), "It is three or four octal digits, such as `0755`.")
    })
}
