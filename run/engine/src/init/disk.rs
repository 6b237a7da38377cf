//! Installed packages on the disk: `.andon/modules`, which one run at a time changes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use andon_lang::modules::{INSTALLED, RECORD, Record, tree_hash};
use andon_source::FetchError;
use andon_text::{Diagnostic, Diagnostics};
use sha2::{Digest, Sha256};

use super::{Event, InitError, Request, Sink};

/// What unfinished directories and files begin with.
const UNFINISHED: &str = "tmp-";

/// The directory of installed packages, locked.
pub(super) struct Store {
    project: PathBuf,
    next: AtomicUsize,
    _lock: File,
}

impl Store {
    /// Takes the lock, waiting for another run where there is one, and sweeps up what a killed one left.
    pub fn open(request: &Request, sink: Sink<'_>) -> Result<Store, InitError> {
        let place = request.directory.join(INSTALLED);
        fs::create_dir_all(&place).map_err(failed(&place))?;
        let path = request.directory.join(".andon/modules.lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        let mut told = false;
        loop {
            // SAFETY: the descriptor is open as long as the file is.
            if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                break;
            }
            let error = io::Error::last_os_error();
            if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                return Err(failed(&path)(error));
            }
            if !told {
                told = true;
                sink(Event::Waiting);
            }
            if request.interrupt.load(Ordering::Relaxed) {
                return Err(InitError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for entry in fs::read_dir(&place).map_err(failed(&place))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                remove(&entry.path())?;
            }
        }
        Ok(Store { project: request.directory.clone(), next: AtomicUsize::new(0), _lock: lock })
    }

    /// What is recorded and still as it was. What was changed is said, and is not in it.
    pub fn whole(&self, found: &mut Diagnostics) -> Record {
        let mut record = match fs::read(self.project.join(RECORD)) {
            Ok(text) => Record::read(&text).unwrap_or_default(),
            Err(_) => Record::default(),
        };
        record.modules.retain(|module| {
            let place = self.project.join(&*module.root);
            if !place.is_dir() {
                return false;
            }
            let same = hash(&place).is_ok_and(|hash| hash == module.hash);
            if !same {
                found.push(
                    Diagnostic::warning(format!("{} was changed after it was installed", module.root))
                        .detail(format!("It is {}, and is taken anew.", module.source))
                        .help("Keep changes in a copy of the module in the project, and call that."),
                );
            }
            same
        });
        record
    }

    /// A path for a package that is being fetched.
    pub fn unfinished(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.project.join(INSTALLED).join(format!("{UNFINISHED}{}-{number}", std::process::id()))
    }

    /// Moves a package to its place, and gives that, relative to the project.
    pub fn place(&self, from: &Path, name: &str, hash: &str) -> Result<String, InitError> {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' };
        let name: String = name.chars().map(plain).take(48).collect();
        let name = name.trim_matches(['.', '-']);
        let digest = Sha256::digest(hash.as_bytes());
        let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let relative = match name {
            "" => format!("{INSTALLED}/module-{digits}"),
            name => format!("{INSTALLED}/{name}-{digits}"),
        };
        let place = self.project.join(&relative);
        if place.exists() {
            // Another package with the same content; or what somebody left of it.
            if self::hash(&place).is_ok_and(|there| there == hash) {
                remove(from)?;
                return Ok(relative);
            }
            remove(&place)?;
        }
        fs::rename(from, &place).map_err(failed(&place))?;
        Ok(relative)
    }

    pub fn write_record(&self, record: &Record) -> Result<(), InitError> {
        let path = self.project.join(RECORD);
        let text = record.write();
        // A run that changes nothing writes nothing.
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        replace(&path, text.as_bytes())
    }

    /// Removes every package that the record does not name, and says how many there were.
    pub fn remove_all_but(&self, record: &Record) -> Result<usize, InitError> {
        let place = self.project.join(INSTALLED);
        let mut removed = 0;
        for entry in fs::read_dir(&place).map_err(failed(&place))?.flatten() {
            let relative = format!("{INSTALLED}/{}", entry.file_name().to_string_lossy());
            if relative != RECORD && !record.modules.iter().any(|module| *module.root == *relative) {
                remove(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// A word on every installed package of a project that is not what was installed. Only one in which something is newer
/// than the record is read whole, so that this costs a look at each file's time.
pub fn changed(directory: &Path) -> Diagnostics {
    let path = directory.join(RECORD);
    let Ok(recorded) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { return Diagnostics::new() };
    let record = fs::read(&path).ok().and_then(|text| Record::read(&text).ok()).unwrap_or_default();
    let is_changed = |module: &&andon_lang::modules::Installed| {
        let place = directory.join(&*module.root);
        is_newer(&place, recorded) && !module.hash.is_empty() && hash(&place).is_ok_and(|hash| hash != module.hash)
    };
    let changed = record.modules.iter().filter(is_changed);
    changed
        .map(|module| {
            Diagnostic::warning(format!("{} was changed after it was installed", module.root))
                .detail(format!("It is {}, and is used as it is now.", module.source))
                .help("`andon init` takes it anew. Keep changes in a copy of the module in the project, and call that.")
        })
        .collect()
}

/// Whether something at a place was changed after a time.
fn is_newer(place: &Path, than: SystemTime) -> bool {
    let mut open = vec![place.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.modified().is_ok_and(|modified| modified > than) {
            return true;
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    false
}

/// The digest of a package's files.
pub(super) fn hash(place: &Path) -> Result<String, FetchError> {
    let files = andon_source::tree(place)?;
    Ok(tree_hash(files.iter().map(|(path, digest)| (path.as_str(), *digest))))
}

pub(super) fn remove(path: &Path) -> Result<(), InitError> {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Replaces a file whole, or not at all.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), InitError> {
    let temporary = path.with_extension(format!("andon-{}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> InitError + use<'_> {
    move |source| InitError::Write { path: path.to_owned(), source }
}
