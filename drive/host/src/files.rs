//! Files, directories and links.
//!
//! A file is written beside its place, as `.andon-XXXXXXXX` with a number made from its name, and renamed into it: it is
//! there whole or not at all, and what an interrupted write leaves is overwritten by the next. The last step of a
//! path is never followed where it is a link; the directories above it are, as they are by everyone. Nothing is
//! flushed to the disk: after a loss of power the next converge finds what is missing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::Path;
use std::sync::Arc;

use andon_schema::host::{Bytes, Entry, Node, Sight, Stage};

use crate::accounts::Accounts;
use crate::trial::trial;

/// Files beyond this are not read, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// What is at a path.
pub(crate) fn look(path: &str, content: bool, accounts: &Accounts) -> Sight {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Sight::Path(None),
        Err(error) => return Sight::Failed(format!("{path} could not be looked at: {error}")),
    };
    let kind = metadata.file_type();
    let node = if kind.is_file() {
        match content.then(|| read(path, metadata.len())).transpose() {
            Ok(bytes) => Node::File(bytes),
            Err(reason) => return Sight::Failed(reason),
        }
    } else if kind.is_dir() {
        Node::Directory
    } else if kind.is_symlink() {
        match fs::read_link(path) {
            Ok(target) => Node::Link(target.to_string_lossy().into()),
            Err(error) => return Sight::Failed(format!("the link {path} could not be read: {error}")),
        }
    } else {
        Node::Other
    };
    Sight::Path(Some(Entry {
        node,
        mode: metadata.mode() & 0o7777,
        owner: accounts.owner(metadata.uid()),
        group: accounts.owning_group(metadata.gid()),
    }))
}

fn read(path: &str, length: u64) -> Result<Bytes, String> {
    if length > LARGEST {
        return Err(format!("{path} is too large to be compared: {length} bytes"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .map_err(|error| format!("{path} could not be read: {error}"))?;
    Ok(bytes.into())
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The names in a directory.
pub(crate) fn list(path: &str) -> Sight {
    let names = fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into())).collect::<std::io::Result<Vec<Arc<str>>>>()
    });
    match names {
        Ok(mut names) => {
            names.sort();
            Sight::Listing(Some(names))
        }
        Err(error) if is_absence(&error) => Sight::Listing(None),
        Err(error) => Sight::Failed(format!("the directory {path} could not be read: {error}")),
    }
}

/// The mode, owner and group that a file is to have, as an act says them.
pub(crate) struct Meta<'a> {
    pub mode: Option<u32>,
    pub owner: Option<&'a str>,
    pub group: Option<&'a str>,
}

impl Meta<'_> {
    fn ids(&self, accounts: &Accounts) -> Result<(Option<u32>, Option<u32>), String> {
        let uid = self.owner.map(|name| accounts.uid(name)).transpose()?;
        let gid = self.group.map(|name| accounts.gid(name)).transpose()?;
        Ok((uid, gid))
    }
}

/// Puts a file at a path, once `validate` has nothing against it.
pub(crate) fn write(
    path: &str,
    content: &[u8],
    meta: &Meta,
    validate: Option<&str>,
    accounts: &Accounts,
    stage: Stage,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{path} could not be written: {error}");
    let (uid, gid) = meta.ids(accounts)?;
    let old = fs::symlink_metadata(path).ok();
    if old.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(format!("{path} is a directory"));
    }
    let old = old.filter(fs::Metadata::is_file);
    let temporary = beside(path);
    let mode = meta.mode.or(old.as_ref().map(|old| old.mode() & 0o7777)).unwrap_or(0o644);
    let uid = uid.or(old.as_ref().map(MetadataExt::uid)).unwrap_or(0);
    let gid = gid.or(old.as_ref().map(MetadataExt::gid)).unwrap_or(0);
    let make =
        || OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&temporary);
    let fill = || -> std::io::Result<()> {
        let mut file = match make() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary)?;
                make()?
            }
            made => made?,
        };
        file.write_all(content)?;
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (uid, gid) {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))
    };
    let outcome = fill().map_err(failed).and_then(|()| match validate {
        Some(command) => trial(path, &temporary, command, stage),
        None => Ok(()),
    });
    let outcome = outcome.and_then(|()| fs::rename(&temporary, path).map_err(failed));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// The place of what is to be at a path until it is whole: 32 bits of FNV-1a of its name.
pub(crate) fn beside(path: &str) -> String {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{parent}/.andon-{hash:08x}")
}

/// Changes mode, owner and group of what is at a path.
pub(crate) fn set_meta(path: &str, meta: &Meta, accounts: &Accounts) -> Result<(), String> {
    let (uid, gid) = meta.ids(accounts)?;
    let change = || -> std::io::Result<()> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let mode = meta.mode.unwrap_or(file.metadata()?.mode() & 0o7777);
        if uid.is_some() || gid.is_some() {
            fchown(&file, uid, gid)?;
        }
        // After the owner: a change of owner takes the set-user bits away.
        file.set_permissions(fs::Permissions::from_mode(mode))
    };
    change().map_err(|error| format!("mode and owner of {path} could not be changed: {error}"))
}

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &str, meta: &Meta, accounts: &Accounts) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the directory {path} could not be made: {error}");
    let (uid, gid) = meta.ids(accounts)?;
    if let Some(parent) = Path::new(path).parent().filter(|parent| !parent.is_dir()) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && Path::new(path).is_dir() => {}
        outcome => outcome.map_err(failed)?,
    }
    let file = File::open(path).map_err(failed)?;
    if uid.is_some() || gid.is_some() {
        fchown(&file, uid, gid).map_err(failed)?;
    }
    file.set_permissions(fs::Permissions::from_mode(meta.mode.unwrap_or(0o755))).map_err(failed)
}

/// Puts a link at a path, in the place of a file or link.
pub(crate) fn make_link(path: &str, target: &str) -> Result<(), String> {
    let temporary = beside(path);
    let _ = fs::remove_file(&temporary);
    let outcome = symlink(target, &temporary).and_then(|()| fs::rename(&temporary, path));
    outcome.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        format!("the link {path} could not be made: {error}")
    })
}

/// Removes what is at a path.
pub(crate) fn remove(path: &str) -> Result<(), String> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if !is_absence(&error) => Err(format!("{path} could not be removed: {error}")),
        _ => Ok(()),
    }
}
