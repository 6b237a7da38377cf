//! Files, directories and links.
//!
//! A file is written beside its place, as `.andon-XXXXXXXX` with a number made from its name, and renamed into it: it is
//! there whole or not at all, and what an interrupted write leaves is overwritten by the next. The last step of a
//! path is never followed where it is a link; the directories above it are, as they are by everyone. Nothing is
//! flushed to the disk: after a loss of power the next converge finds what is missing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::path::Path;
use std::sync::Arc;

use andon_schema::host::{Bytes, Entry, Node, Sight, Stage};
use nix::unistd::{getegid, geteuid};
use sha2::{Digest, Sha256};

use crate::accounts::Accounts;
use crate::trial::trial;

/// Files beyond this are not read, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// A directory with more than this in it is not looked through.
const MOST_BENEATH: usize = 1_000_000;

/// What is at a path.
pub(crate) fn look(path: &str, content: bool, accounts: &Accounts) -> Sight {
    measured(path, content, accounts).map_or_else(Sight::Failed, |seen| Sight::Path(seen.map(|(entry, _)| entry)))
}

/// What is at a path, and how many bytes it has.
fn measured(path: &str, content: bool, accounts: &Accounts) -> Result<Option<(Entry, u64)>, String> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(format!("{path} could not be looked at: {error}")),
    };
    let kind = metadata.file_type();
    let node = if kind.is_file() {
        Node::File(content.then(|| read(path, metadata.len())).transpose()?)
    } else if kind.is_dir() {
        Node::Directory
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(|error| format!("the link {path} could not be read: {error}"))?;
        Node::Link(target.to_string_lossy().into())
    } else {
        Node::Other
    };
    let mode = metadata.mode() & 0o7777;
    let (owner, group) = (accounts.owner(metadata.uid()), accounts.owning_group(metadata.gid()));
    Ok(Some((Entry { node, mode, owner, group }, metadata.len())))
}

fn read(path: &str, length: u64) -> Result<Bytes, String> {
    if length > LARGEST {
        return Err(format!("{path} is too large to be compared: {length} bytes"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .map_err(|error| format!("{path} could not be read: {error}"))?;
    Ok(bytes.into())
}

/// What is at a path, and whether it is a file with these bytes. One of another length is not read at all, and none
/// further than to the first difference.
pub(crate) fn same(path: &str, content: &[u8], accounts: &Accounts) -> Sight {
    let (entry, length) = match measured(path, false, accounts) {
        Ok(seen) => seen.unzip(),
        Err(reason) => return Sight::Failed(reason),
    };
    let is_file = entry.as_ref().is_some_and(|entry| matches!(entry.node, Node::File(_)));
    let length = length.filter(|_| is_file).unwrap_or(0);
    if !is_file || length != content.len() as u64 {
        return Sight::Same { entry, length, same: false };
    }
    match holds(path, content) {
        Ok(same) => Sight::Same { entry, length, same },
        Err(error) => Sight::Failed(format!("{path} could not be read: {error}")),
    }
}

/// Whether a file that is as long as these bytes holds them.
fn holds(path: &str, content: &[u8]) -> std::io::Result<bool> {
    let mut file = open(path)?;
    // A byte more than there should be, so that one read tells of a small file that this is all of it.
    let mut buffer = vec![0; content.len().min(64 * 1024) + 1];
    let mut rest = content;
    loop {
        let read = file.read(&mut buffer)?;
        match rest.split_at_checked(read) {
            Some((piece, more)) if buffer.get(..read) == Some(piece) => rest = more,
            _ => return Ok(false),
        }
        // Where less comes than was asked for, there is no more to ask for.
        if read == 0 || rest.is_empty() && read < buffer.len() {
            return Ok(rest.is_empty());
        }
    }
}

/// The SHA-256 of a regular file.
pub(crate) fn digest(path: &str) -> Sight {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Sight::Digest(None),
        Err(error) if is_absence(&error) => return Sight::Digest(None),
        Err(error) => return Sight::Failed(format!("{path} could not be looked at: {error}")),
    }
    match open(path).and_then(|mut file| sha256(&mut file)) {
        Ok(digest) => Sight::Digest(Some(digest.into())),
        Err(error) => Sight::Failed(format!("{path} could not be read: {error}")),
    }
}

/// The SHA-256 of what is read, in hexadecimal digits.
pub(crate) fn sha256(from: &mut dyn Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Opens a file to read, where it is one: links are not followed, and a pipe holds nobody up.
pub(crate) fn open(path: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// All that is beneath a directory.
pub(crate) fn tree(path: &str, accounts: &Accounts) -> Sight {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Sight::Tree(None),
        Err(error) if is_absence(&error) => return Sight::Tree(None),
        Err(error) => return Sight::Failed(format!("{path} could not be looked at: {error}")),
    }
    let mut found = Vec::new();
    let mut open: Vec<String> = vec![path.trim_end_matches('/').to_owned()];
    while let Some(directory) = open.pop() {
        let Sight::Listing(Some(names)) = list(&directory) else { continue };
        for name in names {
            let inside = format!("{directory}/{name}");
            match look(&inside, false, accounts) {
                Sight::Path(Some(entry)) => {
                    if entry.node == Node::Directory {
                        open.push(inside.clone());
                    }
                    found.push((Arc::from(inside), entry));
                }
                Sight::Path(None) => {}
                failed => return failed,
            }
            if found.len() > MOST_BENEATH {
                return Sight::Failed(format!("there are more than {MOST_BENEATH} entries beneath {path}"));
            }
        }
    }
    found.sort_by(|one: &(Arc<str>, Entry), other| one.0.cmp(&other.0));
    Sight::Tree(Some(found))
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
    pub fn ids(&self, accounts: &Accounts) -> Result<(Option<u32>, Option<u32>), String> {
        let uid = self.owner.map(|name| accounts.uid(name)).transpose()?;
        let gid = self.group.map(|name| accounts.gid(name)).transpose()?;
        Ok((uid, gid))
    }
}

/// Puts a file at a path with what `fill` writes, once `validate` has nothing against it.
pub(crate) fn write(
    path: &str,
    fill: &mut dyn FnMut(&mut File) -> Result<(), String>,
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
    // What is new is whose it is who makes it: root's, mostly.
    let uid = uid.or(old.as_ref().map(MetadataExt::uid)).unwrap_or_else(|| geteuid().as_raw());
    let gid = gid.or(old.as_ref().map(MetadataExt::gid)).unwrap_or_else(|| getegid().as_raw());
    let make =
        || OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&temporary);
    let again = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => fs::remove_file(&temporary).and_then(|()| make()),
        _ => Err(error),
    };
    let outcome = make().or_else(again).map_err(failed).and_then(|mut file| {
        fill(&mut file)?;
        let metadata = file.metadata().map_err(failed)?;
        if (metadata.uid(), metadata.gid()) != (uid, gid) {
            fchown(&file, Some(uid), Some(gid)).map_err(failed)?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)
    });
    let outcome = outcome.and_then(|()| match validate {
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
        // A link has an owner of its own, and no mode.
        if meta.mode.is_none() && fs::symlink_metadata(path)?.is_symlink() {
            return lchown(path, uid, gid);
        }
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

/// The directory that holds a path.
pub(crate) fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
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
