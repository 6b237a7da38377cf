//! What of a server's files was not as in its image once it was made: what cloud-init did is part of what it is to be, and
//! so are the directories at which something is attached.
//!
//! Each file is remembered by a fingerprint of all that counts: one that changes later is told of again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde_json::{Value as Json, json};

use crate::life::{ChangedFile, How};
use crate::records::write_whole;
use crate::store;

/// The files of a server's directory that hold what is remembered.
const FILES: &str = "as_made.json";
const PLACES: &str = "places.json";

/// Whether anything was remembered of a server.
pub(crate) fn is_known(directory: &Path) -> bool {
    directory.join(FILES).exists()
}

/// Remembers what is not as in the image. `own` is the server's own layer.
pub(crate) fn remember(directory: &Path, own: &Path, changed: &[ChangedFile]) -> io::Result<()> {
    let prints = changed.iter().map(|file| Ok((file.path.clone(), Json::from(fingerprint(own, file)?))));
    let prints = prints.collect::<io::Result<serde_json::Map<_, _>>>()?;
    write_whole(&directory.join(FILES), Json::Object(prints).to_string().as_bytes())
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
    let text = fs::read(directory.join(FILES)).unwrap_or_default();
    let mut known: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
    let places = places_of(directory);
    let is_place = |path: &str| places.iter().any(|place| Path::new(place).starts_with(path));
    let mut since = Vec::new();
    for file in changed {
        let was = known.remove(&file.path);
        let is_same = match &was {
            Some(print) => *print == fingerprint(own, &file)?,
            None => file.how == How::Added && is_place(&file.path) && own_path(own, &file.path).is_dir(),
        };
        if !is_same {
            since.push(file);
        }
    }
    since.extend(known.into_keys().map(|path| ChangedFile { path, how: How::Changed }));
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
        let file = |path: &str, how| ChangedFile { path: path.to_owned(), how };
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
}
