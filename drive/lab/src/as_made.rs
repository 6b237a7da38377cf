//! What of a server's files was not as in its image once it was made: what cloud-init did is part of what it is to be, and
//! so is what a role has done since, by an `andon_host`, and so are the directories at which something is attached.
//!
//! Each file is remembered by a fingerprint of all that counts: one that changes later is told of again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde_json::json;

use crate::life::{ChangedFile, How};
use crate::records::write_whole;
use crate::store;

/// The files of a server's directory that hold what is remembered.
const FILES: &str = "as_made.json";
const PLACES: &str = "places.json";
/// At the end of a fingerprint: the image does not have the file.
const NEW: &str = " new";

/// Whether anything was remembered of a server.
pub(crate) fn is_known(directory: &Path) -> bool {
    directory.join(FILES).exists()
}

/// Remembers what is not as in the image. `own` is the server's own layer.
pub(crate) fn remember(directory: &Path, own: &Path, changed: &[ChangedFile]) -> io::Result<()> {
    write(directory, &prints(own, changed)?)
}

/// What each of these files is now, in few characters, by its path.
pub(crate) fn prints(own: &Path, changed: &[ChangedFile]) -> io::Result<BTreeMap<String, String>> {
    let print = |file: &ChangedFile| {
        let new = if file.how == How::Added { NEW } else { "" };
        Ok((file.path.clone(), format!("{}{new}", fingerprint(own, file)?)))
    };
    changed.iter().map(print).collect()
}

/// Remembers of the files that are not as in the image those that became so, or became other, between two looks. What was
/// changed before and is still the same is told of as before.
pub(crate) fn adopt(
    directory: &Path,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> io::Result<()> {
    let known = known(directory);
    let mut adopted = known.clone();
    for path in before.keys().chain(after.keys()) {
        match after.get(path) {
            now if now == before.get(path) => {}
            Some(now) => drop(adopted.insert(path.clone(), now.clone())),
            // It is as in the image again.
            None => drop(adopted.remove(path)),
        }
    }
    if adopted == known { Ok(()) } else { write(directory, &adopted) }
}

fn write(directory: &Path, prints: &BTreeMap<String, String>) -> io::Result<()> {
    write_whole(&directory.join(FILES), json!(prints).to_string().as_bytes())
}

fn known(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read(directory.join(FILES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Remembers where something is, or was, attached: directories that were made for that stay.
pub(crate) fn remember_places(directory: &Path, places: &[&str]) -> io::Result<()> {
    let mut all = places_of(directory);
    let before = all.len();
    all.extend(places.iter().map(|place| (*place).to_owned()));
    if all.len() == before {
        return Ok(());
    }
    write_whole(&directory.join(PLACES), json!(all).to_string().as_bytes())
}

/// What has changed since a server was made, of what is not as in its image, and what is again as there and was not.
pub(crate) fn since(directory: &Path, own: &Path, changed: Vec<ChangedFile>) -> io::Result<Vec<ChangedFile>> {
    let mut known = known(directory);
    let places = places_of(directory);
    let is_place = |path: &str| places.iter().any(|place| Path::new(place).starts_with(path));
    let mut since = Vec::new();
    for file in changed {
        let was = known.remove(&file.path);
        let is_same = match &was {
            Some(print) => print.strip_suffix(NEW).unwrap_or(print) == fingerprint(own, &file)?,
            None => file.how == How::Added && is_place(&file.path) && own_path(own, &file.path).is_dir(),
        };
        if !is_same {
            since.push(file);
        }
    }
    let lost = known.into_iter().map(|(path, print)| (path, !print.ends_with(NEW)));
    since.extend(lost.map(|(path, is_file)| ChangedFile { path, how: How::Changed, is_file }));
    since.sort();
    Ok(since)
}

fn places_of(directory: &Path) -> BTreeSet<String> {
    let text = fs::read(directory.join(PLACES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn own_path(own: &Path, path: &str) -> std::path::PathBuf {
    own.join(path.trim_start_matches('/'))
}

/// All that counts of a file, in few characters.
fn fingerprint(own: &Path, file: &ChangedFile) -> io::Result<String> {
    let path = own_path(own, &file.path);
    let Ok(found) = fs::symlink_metadata(&path) else { return Ok("none".to_owned()) };
    if file.how == How::Removed {
        return Ok("removed".to_owned());
    }
    let content = if found.is_symlink() {
        store::hash(fs::read_link(&path)?.as_os_str().as_bytes())
    } else if found.is_file() {
        hash(&path)?
    } else {
        format!("{:x}", found.rdev())
    };
    Ok(format!("{:o} {} {} {content}", found.mode(), found.uid(), found.gid()))
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => context.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_since_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("upper");
        fs::create_dir_all(own.join("etc")).unwrap();
        fs::create_dir_all(own.join("opt/data/deep")).unwrap();
        let write = |path: &str, text: &str| fs::write(own.join(path), text).unwrap();
        ["etc/passwd", "etc/motd"].iter().for_each(|path| write(path, "as made"));
        let file = |path: &str, how| ChangedFile { path: path.to_owned(), how, is_file: true };
        let made =
            [file("/etc/gone", How::Removed), file("/etc/motd", How::Changed), file("/etc/passwd", How::Changed)];
        let since = |changed: &[ChangedFile]| since(folder.path(), &own, changed.to_vec()).unwrap();
        assert_eq!(since(&made), made);
        assert!(!is_known(folder.path()));
        remember(folder.path(), &own, &made).unwrap();
        assert!(is_known(folder.path()));
        assert_eq!(since(&made), []);
        write("etc/passwd", "by hand");
        let new = file("/usr/bin/new", How::Added);
        assert_eq!(since(&[&made[..], std::slice::from_ref(&new)].concat()), [made[2].clone(), new]);
        // What somebody has put back to what the image has is not as it was made.
        assert_eq!(since(&made[..2]), [made[2].clone()]);

        let places: Vec<_> = ["/opt/data", "/opt/data/deep"].map(|path| file(path, How::Added)).into();
        write("opt/data/deep/file", "left");
        let places = [places, vec![file("/opt/data/deep/file", How::Added)]].concat();
        remember_places(folder.path(), &["/opt/data"]).unwrap();
        let of = |changed: &[ChangedFile]| since(&[&made[..2], changed].concat()).len() - 1;
        assert_eq!(of(&places), 2, "what is below is told");
        remember_places(folder.path(), &["/opt/data/deep"]).unwrap();
        assert_eq!(of(&places), 1);
        assert_eq!(of(&[file("/opt/data", How::Changed)]), 1);
    }

    #[test]
    fn what_a_role_does_is_known_and_what_was_done_before_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("upper");
        fs::create_dir_all(own.join("etc")).unwrap();
        let write = |path: &str, text: &str| fs::write(own.join(path), text).unwrap();
        let file = |name: &str, how| ChangedFile { path: format!("/etc/{name}"), how, is_file: true };
        ["hand", "healed", "undone"].iter().for_each(|name| write(&format!("etc/{name}"), "by hand"));
        let hand = ["hand", "healed", "undone"].map(|name| file(name, How::Changed));
        let before = prints(&own, &hand).unwrap();
        // The role writes one that was changed, puts another one back, and brings a third.
        write("etc/healed", "by the role");
        write("etc/new", "by the role");
        let now = [hand[0].clone(), hand[1].clone(), file("new", How::Added)];
        adopt(folder.path(), &before, &prints(&own, &now).unwrap()).unwrap();
        let since = |changed: &[ChangedFile]| since(folder.path(), &own, changed.to_vec()).unwrap();
        assert_eq!(since(&now), [hand[0].clone()]);
        write("etc/new", "by hand");
        assert_eq!(since(&now), [hand[0].clone(), now[2].clone()]);
        let lost = ChangedFile { is_file: false, ..file("new", How::Changed) };
        assert_eq!(since(&now[..2]), [hand[0].clone(), lost], "what the role brought is gone");
        // A role that does nothing takes nothing for its own.
        let all = prints(&own, &now).unwrap();
        adopt(folder.path(), &all, &all).unwrap();
        assert_eq!(since(&now), [hand[0].clone(), now[2].clone()]);
    }
}
