//! What is written beside its place first, and takes that place when it is whole: nobody sees half of it, and what was there
//! stays where it fails.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use andon_schema::Failure;
use nix::unistd::geteuid;

use crate::images::remove_all;
use crate::lock::Lock;
use crate::output::make_parent;
use crate::patience::stopped;
use crate::trouble::Trouble;

/// A file or a directory in the making, `.NAME.andon-draft` beside its place. Who writes to the same place at the same time
/// waits; what a process of the same user left of one when it was killed is taken over. What another user put there is refused,
/// and so is a link, as what it leads to is somebody else's. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    place: PathBuf,
    is_there: bool,
    _lock: Lock,
}

impl Draft {
    /// Of a file, whose directory is made with it: an empty one, to be written to by its path or here.
    pub(crate) fn of_file(place: &Path, interrupt: &AtomicBool) -> Result<(Draft, File), Failure> {
        make_parent(place)?;
        let path = draft_of(place);
        let make = || File::options().create_new(true).write(true).open(&path).map(drop);
        // A pipe is not waited at.
        let open =
            || opened(&path, make, File::options().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK));
        let lock = Lock::of_what_is_at(&path, open, interrupt).doing("write", place)?.ok_or_else(stopped)?;
        let draft = Draft { path: path.clone(), place: place.to_owned(), is_there: true, _lock: lock };
        let mut again = File::options();
        let again = again.truncate(true).write(true).custom_flags(libc::O_NOFOLLOW);
        let file = again.open(&path).doing("write", place)?;
        Ok((draft, file))
    }

    /// Of a directory, an empty one.
    pub(crate) fn of_directory(place: &Path, interrupt: &AtomicBool) -> Result<Draft, Failure> {
        make_parent(place)?;
        let path = draft_of(place);
        let make = || fs::create_dir(&path);
        let open =
            || opened(&path, make, File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY));
        let lock = Lock::of_what_is_at(&path, open, interrupt).doing("write", place)?.ok_or_else(stopped)?;
        let draft = Draft { path: path.clone(), place: place.to_owned(), is_there: true, _lock: lock };
        for entry in fs::read_dir(&path).doing("read", &path)? {
            let left = entry.doing("read", &path)?.path();
            match fs::symlink_metadata(&left).is_ok_and(|it| it.is_dir()) {
                true => remove_all(&left)?,
                false => fs::remove_file(&left).doing("remove", &left)?,
            }
        }
        Ok(draft)
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings it to its place.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        fs::rename(&self.path, &self.place).doing("write", &self.place)?;
        // What is at the path from now on is somebody else's.
        self.is_there = false;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_there {
            return;
        }
        // The lock is held until after this.
        let _ = match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => remove_all(&self.path).map_err(io::Error::other),
            Ok(_) => fs::remove_file(&self.path),
            Err(error) => Err(error),
        };
    }
}

/// Writes a small file so that it is there as a whole, or not.
///
/// # Errors
/// Where that cannot be, or an end is asked for while somebody else writes there.
pub fn write_document(place: &Path, bytes: &[u8], interrupt: &AtomicBool) -> Result<(), Failure> {
    let (draft, mut file) = Draft::of_file(place, interrupt)?;
    file.write_all(bytes).doing("write", place)?;
    draft.finish()
}

/// Opens a draft, which is made where there is none.
fn opened(path: &Path, make: impl Fn() -> io::Result<()>, how: &OpenOptions) -> io::Result<File> {
    let foreign = |what: &str| Err(io::Error::other(format!("{} is there, {what}; remove it", path.display())));
    loop {
        let is_new = match make() {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        return match how.open(path) {
            // On some file systems all is somebody else's, also what one makes.
            Ok(file) if is_new || file.metadata()?.uid() == geteuid().as_raw() => Ok(file),
            Ok(_) => foreign("which another user made"),
            // Whoever had it brought it to its place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) => foreign("a symbolic link"),
            Err(error) => Err(error),
        };
    }
}

fn draft_of(place: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".andon-draft");
    place.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names = crate::images::names(directory).unwrap();
        names.sort();
        names
    }

    #[test]
    fn whoever_writes_to_one_place_at_once_leaves_one_of_them_whole() {
        let directory = directory();
        let place = directory.path().join("deep/it.tar");
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let place = &place;
                scope.spawn(move || {
                    let (draft, mut file) = Draft::of_file(place, &AtomicBool::new(false)).unwrap();
                    for _ in 0..50 {
                        file.write_all(&[b'a' + number; 100]).unwrap();
                    }
                    draft.finish().unwrap();
                });
            }
        });
        let bytes = fs::read(&place).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|byte| *byte == bytes[0]), "{} bytes", bytes.len());
        assert_eq!(names(place.parent().unwrap()), ["it.tar"]);
    }

    #[test]
    fn what_was_there_stays_and_what_a_kill_left_does_not_count() {
        let directory = directory();
        let (place, interrupt) = (directory.path().join("it"), AtomicBool::new(false));
        fs::write(&place, "before").unwrap();
        fs::write(directory.path().join("it.draft"), "somebody's own").unwrap();
        fs::write(draft_of(&place), "left by somebody who was killed").unwrap();
        drop(Draft::of_file(&place, &interrupt).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "before");
        write_document(&place, b"after", &interrupt).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "after");
        assert_eq!(fs::read_to_string(directory.path().join("it.draft")).unwrap(), "somebody's own");
        // A directory, of which a killed one left some.
        let tree = directory.path().join("tree");
        fs::create_dir_all(draft_of(&tree).join("left/deep")).unwrap();
        let draft = Draft::of_directory(&tree, &interrupt).unwrap();
        assert_eq!(names(draft.path()), [""; 0]);
        fs::write(draft.path().join("new"), "").unwrap();
        draft.finish().unwrap();
        drop(Draft::of_directory(&tree, &interrupt).unwrap());
        assert_eq!(names(&tree), ["new"]);
        assert_eq!(names(directory.path()), ["it", "it.draft", "tree"]);
    }

    #[test]
    fn a_draft_of_somebody_else_is_refused() {
        let directory = directory();
        let (place, other) = (directory.path().join("it"), directory.path().join("other"));
        let interrupt = AtomicBool::new(false);
        let refusals = || {
            let failures = [
                Draft::of_file(&place, &interrupt).map(drop).unwrap_err(),
                Draft::of_directory(&place, &interrupt).map(drop).unwrap_err(),
            ];
            failures.map(|failure| failure.detail)
        };
        // A link that leads nowhere, to a file and to a directory: neither is made or touched.
        std::os::unix::fs::symlink(&other, draft_of(&place)).unwrap();
        for make in [|_: &Path| {}, |it: &Path| fs::write(it, "own").unwrap(), |it: &Path| fs::create_dir(it).unwrap()]
        {
            drop(fs::remove_file(&other));
            make(&other);
            let before = fs::symlink_metadata(&other).map(|it| (it.len(), it.is_dir())).ok();
            assert!(refusals().iter().all(|said| said.contains("a symbolic link")), "{:?}", refusals());
            assert_eq!(fs::symlink_metadata(&other).map(|it| (it.len(), it.is_dir())).ok(), before);
        }
        if !geteuid().is_root() {
            return println!("skipped: only root makes files of others");
        }
        fs::remove_file(draft_of(&place)).unwrap();
        fs::write(draft_of(&place), "left").unwrap();
        std::os::unix::fs::chown(draft_of(&place), Some(4711), Some(4711)).unwrap();
        let failure = Draft::of_file(&place, &interrupt).map(drop).unwrap_err();
        assert!(failure.detail.contains("another user"), "{failure}");
        assert_eq!(fs::read_to_string(draft_of(&place)).unwrap(), "left");
    }

    #[test]
    fn an_end_is_heard_while_somebody_else_writes() {
        let directory = directory();
        let place = directory.path().join("it");
        let (_other, _) = Draft::of_file(&place, &AtomicBool::new(false)).unwrap();
        let failure = Draft::of_file(&place, &AtomicBool::new(true)).map(drop).unwrap_err();
        assert_eq!(failure.summary, "it was stopped");
    }
}
