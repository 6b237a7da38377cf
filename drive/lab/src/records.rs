//! What the lab knows of its objects, on disk: a record for each, and locks.
//!
//! An object's record is written before anything else is made for it and removed after everything else is gone; it is
//! replaced in one step, so nobody reads half of one.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use andon_schema::{Failure, Identity};
use andon_value::{Type, Value};
use serde_json::json;

use crate::codec::{from_json, to_json};
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::realm::Realm;
use crate::schema;

/// The records under one data directory.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    data: PathBuf,
    realm: Option<Arc<Realm>>,
}

/// What is known of one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub kind: Kind,
    /// Which project it belongs to.
    pub owner: String,
    /// Of a network, the environment of the project in which its names count; `None` where they count in all of them, as they
    /// did before this was recorded.
    pub environment: Option<String>,
    /// Its attributes; null where they are not decided yet.
    pub value: Value,
}

impl Record {
    /// Of an object that belongs to no one environment more than to another.
    pub fn new(kind: Kind, owner: &str, value: Value) -> Record {
        Record { kind, owner: owner.to_owned(), environment: None, value }
    }

    /// Whether this is of an environment of a project. What was recorded of none may be of any.
    pub fn is_of(&self, owner: &str, environment: Option<&str>) -> bool {
        let environments = self.environment.as_deref().zip(environment);
        self.owner == owner && environments.is_none_or(|(own, other)| own == other)
    }
}

/// Makes a directory that is nobody else's to read: whoever reads an image reads all that is in it.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// An exclusive lock, held until it is dropped or until the last process that inherited it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// The right to measure how fast a server is: whoever is measured has the machine for itself. Held until it is dropped.
#[derive(Debug)]
pub struct Measuring(Lock);

impl Drop for Measuring {
    fn drop(&mut self) {
        // Whoever waits takes a new one.
        let _ = fs::remove_file(&self.0.path);
    }
}

impl Records {
    /// The records in a data directory, which need not exist yet.
    pub fn new(data: PathBuf) -> Records {
        Records { data, realm: None }
    }

    /// The same on the realm that this process is on, if it is on one.
    pub fn on(self, realm: Option<Realm>) -> Records {
        Records { realm: realm.map(Arc::new), ..self }
    }

    /// The realm that these objects are on. It stays the one that it was, also when its holder ends.
    pub fn realm(&self) -> Option<&Realm> {
        self.realm.as_deref()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// When a record was last made, replaced or removed.
    pub fn changed(&self) -> Option<SystemTime> {
        fs::metadata(self.data.join("lab/objects")).and_then(|metadata| metadata.modified()).ok()
    }

    /// The directory of one object's files.
    pub fn directory(&self, kind: Kind, identity: &str) -> PathBuf {
        let folder = match kind {
            Kind::Network => "networks",
            Kind::Pool => "pools",
            Kind::Server => "servers",
            Kind::Balancer => "balancers",
            Kind::Key => "keys",
            Kind::Bucket => "buckets",
            Kind::Volume => "volumes",
            Kind::Snapshot => "snapshots",
            Kind::Share => "shares",
        };
        self.data.join(folder).join(identity)
    }

    /// The directory of an object store's process, by the address at which it listens.
    pub fn store(&self, listen: &str) -> PathBuf {
        self.data.join("stores").join(listen)
    }

    /// The lock on something that has no identity.
    pub fn path_of_lock(&self, name: &str) -> PathBuf {
        self.data.join("lab").join(name)
    }

    /// Waits until no other thread or process measures anything, and keeps others from it.
    pub fn measuring(&self) -> Result<Measuring, Failure> {
        let path = self.path_of_lock("measuring");
        Lock::take(&path).map(Measuring).or_fail(|| format!("cannot lock {}", path.display()))
    }

    /// The directory of the ranges of user numbers that are taken.
    pub fn users(&self) -> PathBuf {
        self.data.join("lab/users")
    }

    /// Waits until no other thread or process works on this object, and keeps others out.
    pub fn lock(&self, identity: &Identity) -> Result<Lock, Failure> {
        let path = self.lock_path(identity);
        Lock::take(&path).or_fail(|| format!("cannot lock {}", path.display()))
    }

    /// Keeps others from working on this object, unless one does already.
    pub fn attempt_lock(&self, identity: &Identity) -> Result<Option<Lock>, Failure> {
        let path = self.lock_path(identity);
        Lock::attempt(&path).or_fail(|| format!("cannot lock {}", path.display()))
    }

    /// Writes an object's record. A new one is on the disk on return: after a power cut nothing that was made later lies
    /// there without it.
    pub fn write(&self, identity: &Identity, record: &Record) -> Result<(), Failure> {
        let is_new = !self.exists(identity);
        self.write_soon(identity, record)?;
        if is_new { self.sync(identity) } else { Ok(()) }
    }

    /// Has an object's record be on the disk on return.
    pub fn sync(&self, identity: &Identity) -> Result<(), Failure> {
        let path = self.path(identity);
        let synced = File::open(&path).and_then(|file| file.sync_data());
        synced.or_fail(|| format!("cannot write {}", path.display()))
    }

    /// Writes an object's record, which is on the disk after [`Records::sync`].
    pub fn write_soon(&self, identity: &Identity, record: &Record) -> Result<(), Failure> {
        let path = self.path(identity);
        let mut json = json!({
            "format": 1,
            "kind": record.kind.name(),
            "owner": record.owner,
            "value": to_json(&record.value),
        });
        if let (Some(environment), Some(json)) = (&record.environment, json.as_object_mut()) {
            json.insert("environment".to_owned(), environment.as_str().into());
        }
        write_whole(&path, json.to_string().as_bytes()).or_fail(|| format!("cannot write {}", path.display()))
    }

    /// An object's record. One that cannot be read is no record: whatever was made for it is found by identity.
    pub fn read(&self, identity: &str) -> Option<Record> {
        let text = fs::read(self.data.join("lab/objects").join(identity)).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let kind = Kind::parse(json.get("kind")?.as_str()?).ok()?;
        let Type::Object { attributes, .. } = schema::schema(kind).block.implied_type() else { return None };
        let value = json.get("value")?;
        let attribute = |name: &str, ty: &Type| from_json(value.get(name).unwrap_or(&serde_json::Value::Null), ty);
        let value = attributes.iter().map(|(name, ty)| (name.clone(), attribute(name, ty)));
        let environment = json.get("environment").and_then(|name| name.as_str()).map(str::to_owned);
        Some(Record { environment, ..Record::new(kind, json.get("owner")?.as_str()?, Value::object(value)) })
    }

    /// Whether anything is recorded of an object, readable or not.
    pub fn exists(&self, identity: &Identity) -> bool {
        self.path(identity).exists()
    }

    /// Forgets an object whose every trace is gone, and gives its lock back.
    pub fn forget(&self, identity: &Identity, lock: Lock) -> Result<(), Failure> {
        let path = self.path(identity);
        for path in [unfinished(&path), path] {
            absent_is_fine(fs::remove_file(&path)).or_fail(|| format!("cannot remove {}", path.display()))?;
        }
        absent_is_fine(fs::remove_file(&lock.path)).or_fail(|| format!("cannot remove {}", lock.path.display()))
    }

    /// Removes the directories in which nothing is.
    pub fn remove_empty(&self) {
        for directory in [
            "servers",
            "pools",
            "networks",
            "balancers",
            "buckets",
            "stores",
            "volumes",
            "snapshots",
            "shares",
            "lab/locks",
            "lab/objects",
            "lab/users",
            "lab",
        ] {
            // One that holds something stays, and one that is not there need not go.
            let _ = fs::remove_dir(self.data.join(directory));
        }
    }

    /// Every recorded identity with its record, or `None` where it cannot be read.
    pub fn all(&self) -> Vec<(Identity, Option<Record>)> {
        let Ok(entries) = fs::read_dir(self.data.join("lab/objects")) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let identities = names.filter_map(|name| Identity::parse(name.strip_suffix(".new").unwrap_or(&name)));
        let identities: std::collections::BTreeSet<Identity> = identities.collect();
        identities.into_iter().map(|identity| (identity.clone(), self.read(identity.as_str()))).collect()
    }

    fn lock_path(&self, identity: &Identity) -> PathBuf {
        self.data.join("lab/locks").join(identity.as_str())
    }

    fn path(&self, identity: &Identity) -> PathBuf {
        self.data.join("lab/objects").join(identity.as_str())
    }
}

impl Lock {
    /// Takes a lock on a file, which is made where it is absent.
    pub fn take(path: &Path) -> io::Result<Lock> {
        // One that waits comes back with the lock.
        Lock::acquire(path, libc::LOCK_EX)?.ok_or_else(|| ErrorKind::WouldBlock.into())
    }

    /// Takes a lock unless somebody has it.
    pub fn attempt(path: &Path) -> io::Result<Option<Lock>> {
        Lock::acquire(path, libc::LOCK_EX | libc::LOCK_NB)
    }

    /// Whoever removes such a file holds its lock, so a lock on a file that is no longer there is taken again.
    fn acquire(path: &Path, operation: i32) -> io::Result<Option<Lock>> {
        loop {
            // Whoever removed the last of its files may have taken the folder along.
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = match File::options().create(true).append(true).open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            // SAFETY: the descriptor is open, and flock touches no memory.
            while unsafe { libc::flock(file.as_raw_fd(), operation) } != 0 {
                match io::Error::last_os_error() {
                    error if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                    error if error.kind() == ErrorKind::Interrupted => {}
                    error => return Err(error),
                }
            }
            let held = file.metadata()?;
            if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
                return Ok(Some(Lock { file, path: path.to_owned() }));
            }
        }
    }

    /// The lock for a child process to inherit: it stays held until the child has ended too.
    pub fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl AsFd for Lock {
    /// The lock for another process: it stays held until that has let go of it too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes or replaces a file in one step.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    // A record can hold a secret.
    let open = || File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let mut file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    fs::rename(unfinished, path)
}

/// Success where what should be gone is gone already.
pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn one_process_measures_at_a_time() {
        let data = tempfile::tempdir().unwrap();
        let records = Records::new(data.path().to_owned());
        let path = records.path_of_lock("measuring");
        let other = |options: &[&str], command: &[&str]| {
            let mut flock = Command::new("flock");
            flock.args(options).arg(&path).args(command).stdout(Stdio::piped());
            flock
        };
        let held = records.measuring().unwrap();
        let Ok(status) = other(&["--nonblock"], &["true"]).status() else {
            return println!("skipped: flock is not installed");
        };
        assert!(!status.success(), "another process measures, too");
        drop(held);
        assert!(!path.exists(), "nothing is left of it");
        assert!(other(&["--nonblock"], &["true"]).status().unwrap().success());
        // Who comes later waits for one that is another process.
        let done = data.path().join("done");
        let script = format!("echo begun; sleep 0.3; touch {}", done.display());
        let mut child = other(&[], &["sh", "-c", &script]).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        drop(records.measuring().unwrap());
        assert!(done.exists(), "it did not wait");
        child.wait().unwrap();
    }
}
