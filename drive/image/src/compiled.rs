//! What Python compiled: beside a program, in `__pycache__`, with the time and the size of the program that it is of
//! (<https://peps.python.org/pep-3147/>, <https://peps.python.org/pep-0552/>).
//!
//! Whoever gives a program another time has Python compile it anew at each start, where it may not write, or else once: all of
//! what a machine's first boot runs. So a program that was compiled keeps its time, which is in what was compiled of it, too.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was compiled in a directory, which is kept from one of its programs to the next.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    directory: Option<PathBuf>,
    /// Times and sizes, both without what is above 32 bits, by the name of a program without its end.
    stamps: BTreeMap<OsString, Vec<(u32, u32)>>,
}

impl Compiled {
    /// The time of a program for which something was compiled that counts, in seconds since 1970.
    pub(crate) fn time_of(&mut self, path: &Path, metadata: &Metadata) -> Option<u64> {
        if path.extension() != Some(OsStr::new("py")) || !metadata.is_file() {
            return None;
        }
        let (directory, name) = (path.parent()?, path.file_stem()?);
        if self.directory.as_deref() != Some(directory) {
            self.stamps = stamps(directory);
            self.directory = Some(directory.to_owned());
        }
        let now = (metadata.mtime() as u32, metadata.len() as u32);
        self.stamps.get(name)?.contains(&now).then(|| u64::try_from(metadata.mtime()).ok())?
    }
}

fn stamps(directory: &Path) -> BTreeMap<OsString, Vec<(u32, u32)>> {
    let mut stamps: BTreeMap<OsString, Vec<(u32, u32)>> = BTreeMap::new();
    let compiled = directory.join("__pycache__");
    // A link of an image leads to somewhere on this machine.
    if !fs::symlink_metadata(&compiled).is_ok_and(|it| it.is_dir()) {
        return stamps;
    }
    for entry in fs::read_dir(&compiled).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if path.extension() != Some(OsStr::new("pyc")) || !is_file {
            continue;
        }
        // NAME.TAG.pyc, and NAME.TAG.opt-1.pyc where it was optimised: a name has no dot.
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let (Some((name, _)), Some(stamp)) = (name.split_once('.'), stamp(&path)) else { continue };
        stamps.entry(name.into()).or_default().push(stamp);
    }
    stamps
}

/// The time and the size that a compiled program has of its source; `None` where it has a hash in their place.
fn stamp(path: &Path) -> Option<(u32, u32)> {
    let mut header = [0; 16];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    match header {
        [_, _, b'\r', b'\n', 0, 0, 0, 0, a, b, c, d, e, f, g, h] => {
            Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_program_that_was_compiled_keeps_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("one.py");
        let at = |seconds: u64| {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
        };
        let time = || Compiled::default().time_of(&source, &fs::symlink_metadata(&source).unwrap());
        fs::write(&source, "ONE = 1\n").unwrap();
        at(1_600_000_000);
        assert_eq!(time(), None);
        let compile = |how: &str| {
            let program = format!(
                "import sys, py_compile as p; p.compile(sys.argv[1], invalidation_mode=p.PycInvalidationMode.{how})"
            );
            Command::new("python3").args(["-c", &program]).arg(&source).status()
        };
        match compile("TIMESTAMP") {
            Ok(status) => assert!(status.success()),
            Err(_) => return println!("skipped: python3 is not installed"),
        }
        assert_eq!(time(), Some(1_600_000_000));
        at(1_600_000_001);
        assert_eq!(time(), None, "what was compiled is of another time");
        at(1_600_000_000);
        fs::write(&source, "ONE = 1000\n").unwrap();
        at(1_600_000_000);
        assert_eq!(time(), None, "what was compiled is of another size");
        assert!(compile("CHECKED_HASH").unwrap().success());
        assert_eq!(time(), None, "what is known by its hash needs no time");
        // Others of the same directory are looked at once, and others' files not at all.
        let mut compiled = Compiled::default();
        assert!(compile("TIMESTAMP").unwrap().success());
        fs::write(folder.path().join("two.py"), "").unwrap();
        let of = |compiled: &mut Compiled, name: &str| {
            let path = folder.path().join(name);
            compiled.time_of(&path, &fs::symlink_metadata(&path).unwrap())
        };
        assert_eq!(
            ["one.py", "two.py", "__pycache__"].map(|name| of(&mut compiled, name).is_some()),
            [true, false, false]
        );
        // Nor is what a link leads to.
        let (cache, other) = (folder.path().join("__pycache__"), folder.path().join("other"));
        assert_eq!(time(), Some(1_600_000_000));
        fs::rename(&cache, &other).unwrap();
        std::os::unix::fs::symlink(&other, &cache).unwrap();
        assert_eq!(time(), None);
    }
}
