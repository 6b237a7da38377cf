//! The project's lock file on the disk. Who changes it reads it again at that moment, so that a bake, another bake and an
//! `init` beside each other lose nothing of one another.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use andon_lang::modules::{LOCK_FILE, Lock};
use andon_schema::Failure;

/// What the lock file of a project says; nothing where there is none.
///
/// # Errors
/// Where it cannot be read or is not understood: it is never taken for an empty one.
pub(crate) fn read(project: &Path) -> Result<Lock, Failure> {
    let path = project.join(LOCK_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(error) => {
            let detail = format!("{}: {error}.", path.display());
            return Err(Failure::new(format!("{LOCK_FILE} cannot be read"), detail));
        }
    };
    let wrong = |why: String| {
        Failure::new(format!("{LOCK_FILE} is not understood"), why)
            .help("Restore it from version control, or delete it.")
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("{LOCK_FILE}:{line}: this is no text in UTF-8."))
    })?;
    let mut sources = andon_text::SourceMap::new();
    let (lock, errors) = Lock::read(sources.add(LOCK_FILE, text.as_str()), &text);
    match errors.is_empty() {
        true => Ok(lock),
        false => Err(wrong(crate::agent::lines(&errors, &sources))),
    }
}

/// Changes what the lock file says, as it is at this moment. What it says then, and whether that is something else.
pub(crate) fn change(project: &Path, change: impl FnOnce(&mut Lock)) -> Result<(Lock, bool), Failure> {
    let path = project.join(LOCK_FILE);
    let failed =
        |error: io::Error| Failure::new("the lock file cannot be written", format!("{}: {error}.", path.display()));
    let _held = hold(project).map_err(failed)?;
    let before = read(project)?;
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok((after, false));
    }
    replace(&path, after.write().as_bytes()).map_err(failed)?;
    Ok((after, true))
}

/// Held for a moment: the project's directory itself, so that nothing of it is left there.
fn hold(project: &Path) -> io::Result<File> {
    let place = if project.as_os_str().is_empty() { Path::new(".") } else { project };
    let directory = File::open(place)?;
    loop {
        // SAFETY: the descriptor is open as long as the directory is.
        if unsafe { libc::flock(directory.as_raw_fd(), libc::LOCK_EX) } == 0 {
            return Ok(directory);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("andon-{}-{count}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    written.inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use andon_lang::modules::LockedImage;

    use super::*;

    fn project(name: &str) -> std::path::PathBuf {
        let place = std::env::temp_dir().join(format!("andon-lock-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        place
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let project = project("unread");
        assert_eq!(read(&project).unwrap(), Lock::default());
        for (bytes, place) in [(&b"# a\n\nimage \"w\xe9b\" {}\n"[..], ":3"), (b"# a\nimage \"web\" {\n", ":2")] {
            fs::write(project.join(LOCK_FILE), bytes).unwrap();
            let refusal = read(&project).unwrap_err();
            assert!(refusal.summary.contains("is not understood") && refusal.detail.contains(place), "{refusal}");
            assert!(change(&project, |lock| lock.images.clear()).is_err());
            assert_eq!(fs::read(project.join(LOCK_FILE)).unwrap(), bytes, "left as it is");
        }
        fs::remove_file(project.join(LOCK_FILE)).unwrap();
        fs::create_dir(project.join(LOCK_FILE)).unwrap();
        assert!(read(&project).unwrap_err().summary.contains("cannot be read"));
        fs::remove_dir_all(project).unwrap();
    }

    #[test]
    fn writers_at_once_lose_nothing_of_each_other() {
        let project = project("writers");
        let image = |name: &str| LockedImage {
            from: name.into(),
            base: "b".into(),
            manifest: None,
            packages: Default::default(),
        };
        std::thread::scope(|scope| {
            for number in 0..16 {
                let (project, image) = (&project, &image);
                scope.spawn(move || {
                    let name: Arc<str> = format!("image-{number}").into();
                    let (_, is_changed) =
                        change(project, |lock| drop(lock.images.insert(Arc::clone(&name), image(&name)))).unwrap();
                    assert!(is_changed);
                });
            }
        });
        assert_eq!(read(&project).unwrap().images.len(), 16);
        let (_, is_changed) = change(&project, |_| {}).unwrap();
        assert!(!is_changed);
        assert_eq!(fs::read_dir(&project).unwrap().count(), 1, "no drafts are left");
        fs::remove_dir_all(project).unwrap();
    }
}
