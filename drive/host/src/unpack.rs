//! Archives: unpacked into a directory, with a record of what came of it, so that a look reads no archive.
//!
//! The record is text: the line `andon unpacked 1`, the key, and a line for each entry: `f`, `d` or `l` for a file,
//! directory or link, its length, its time of change in nanoseconds, its permission bits in octal, and its path.
//! It is removed before anything is unpacked and written at the end, so that an interrupted act is done again.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use andon_schema::host::{Origin, Sight, Unpacked};

use crate::files::{beside, open};
use crate::{fetch, run};

const MAGIC: &str = "andon unpacked 1";

/// An archive of more entries is refused.
const MOST_ENTRIES: usize = 2_000_000;

/// How many changed paths a look names.
const NAMED: usize = 5;

/// Which entries of an archive are unpacked, and under which names.
pub(crate) struct Choice<'a> {
    pub strip: u32,
    pub only: &'a [Arc<str>],
    pub except: &'a [Arc<str>],
}

/// Whether what a record tells of is still as it was.
pub(crate) fn look(record: &str) -> Sight {
    let text = match fs::read_to_string(record) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Sight::Unpacked(None),
        Err(error) => return Sight::Failed(format!("{record} could not be read: {error}")),
    };
    let mut lines = text.lines();
    if lines.next() != Some(MAGIC) {
        return Sight::Unpacked(None);
    }
    let key = lines.next().unwrap_or_default().into();
    let changed = lines.filter_map(|line| {
        let path = line.splitn(5, ' ').nth(4)?;
        (line_of(path).as_deref() != Some(line)).then(|| path.into())
    });
    Sight::Unpacked(Some(Unpacked { key, changed: changed.take(NAMED).collect() }))
}

/// What a record says of a path; `None` where nothing is there.
fn line_of(path: &str) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let kind = metadata.file_type();
    // What is in a directory changes its time, and others may put something there.
    if kind.is_dir() {
        return Some(format!("d 0 0 {:o} {path}", metadata.mode() & 0o7777));
    }
    let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let letter = if kind.is_symlink() { 'l' } else { 'f' };
    Some(format!("{letter} {} {time} {:o} {path}", metadata.len(), metadata.mode() & 0o7777))
}

/// Unpacks, and leaves the record.
pub(crate) fn unpack(
    from: &Origin,
    to: &str,
    choice: &Choice,
    owner: (u32, u32),
    record: &str,
    key: &str,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("{record} could not be written: {error}");
    match fs::remove_file(record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if let Some((directory, _)) = record.rsplit_once('/') {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut unpacking = Unpacking { to, choice, owner, entries: 0, lines: format!("{MAGIC}\n{key}\n") };
    let outcome = match from {
        Origin::Bytes(bytes) => unpacking.archive(&mut Cursor::new(&*bytes.0)),
        Origin::Path(path) => match open(path) {
            Ok(file) => unpacking.archive(&mut BufReader::new(file)),
            Err(error) => return Err(format!("{path} could not be read: {error}")),
        },
        Origin::Url { .. } => {
            let kept = format!("{record}.archive");
            let _ = fs::remove_file(&kept);
            let make = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&kept);
            let mut file = make.map_err(failed)?;
            fs::remove_file(&kept).map_err(failed)?;
            fetch::fetch(from, &mut file)?;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            unpacking.archive(&mut BufReader::new(file))
        }
    };
    outcome.map_err(|why| format!("the archive could not be unpacked to {to}: {why}"))?;
    if unpacking.entries == 0 {
        return Err(format!("nothing of the archive was unpacked to {to}: no entry of it fits"));
    }
    let new = format!("{record}.new");
    fs::write(&new, unpacking.lines).and_then(|()| fs::rename(&new, record)).map_err(failed)
}

struct Unpacking<'a> {
    to: &'a str,
    choice: &'a Choice<'a>,
    owner: (u32, u32),
    entries: usize,
    lines: String,
}

trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// What an entry of an archive is, beside a file.
enum Made {
    Directory,
    Link(String),
    /// Another name of a file that was unpacked before, by that name in the archive.
    Another(String),
}

impl Unpacking<'_> {
    fn archive(&mut self, from: &mut dyn ReadSeek) -> Result<(), String> {
        let mut magic = Vec::new();
        from.take(6).read_to_end(&mut magic).map_err(said)?;
        from.seek(SeekFrom::Start(0)).map_err(said)?;
        match *magic {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => self.zip(from),
            [0x1f, 0x8b, ..] => self.tar(flate2::read::MultiGzDecoder::new(from)),
            [b'B', b'Z', b'h', ..] => self.tar(bzip2::read::MultiBzDecoder::new(from)),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => self.tar(lzma_rust2::XzReader::new(from, true)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => self.zstd(from),
            _ => self.tar(from),
        }
    }

    /// There is a program for this on servers that have such archives.
    fn zstd(&mut self, from: &mut dyn ReadSeek) -> Result<(), String> {
        let mut command = Command::new("zstd");
        run::clean(&mut command);
        command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("`zstd` could not be run: {error}"))?;
        let (Some(mut into), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("`zstd` could not be run".to_owned());
        };
        let mut compressed = Vec::new();
        from.read_to_end(&mut compressed).map_err(said)?;
        let feeding = std::thread::spawn(move || io::Write::write_all(&mut into, &compressed));
        let outcome = self.tar(out);
        let _ = feeding.join();
        let status = child.wait().map_err(said)?;
        outcome.and_then(|()| if status.success() { Ok(()) } else { Err("`zstd` finds it damaged".to_owned()) })
    }

    fn zip(&mut self, from: &mut dyn ReadSeek) -> Result<(), String> {
        let broken = |error: zip::result::ZipError| error.to_string();
        let mut archive = zip::ZipArchive::new(from).map_err(broken)?;
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).map_err(broken)?;
            let name = entry.name().replace('\\', "/");
            let mode = entry.unix_mode();
            let is_link = mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000);
            let bits = mode.map(|mode| mode & 0o7777).filter(|bits| *bits != 0);
            if entry.is_dir() {
                self.make(&name, Made::Directory, bits.unwrap_or(0o755))?;
            } else if is_link {
                let mut target = String::new();
                (&mut entry).take(4096).read_to_string(&mut target).map_err(said)?;
                self.make(&name, Made::Link(target), 0o777)?;
            } else {
                self.file(&name, &mut entry, bits.unwrap_or(0o644), None)?;
            }
        }
        Ok(())
    }

    fn tar(&mut self, stream: impl Read) -> Result<(), String> {
        let mut archive = tar::Archive::new(stream);
        for entry in archive.entries().map_err(said)? {
            let mut entry = entry.map_err(said)?;
            let kind = entry.header().entry_type();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mode = entry.header().mode().map_err(said)? & 0o7777;
            let target = || -> Result<String, String> {
                let target = entry.link_name_bytes().ok_or("a link has no target")?;
                Ok(String::from_utf8_lossy(&target).into_owned())
            };
            match kind {
                tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
                tar::EntryType::Directory => self.make(&name, Made::Directory, mode)?,
                tar::EntryType::Symlink => self.make(&name, Made::Link(target()?), mode)?,
                tar::EntryType::Link => self.make(&name, Made::Another(target()?), mode)?,
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    let time = entry.header().mtime().ok();
                    self.file(&name, &mut entry, mode, time)?;
                }
                _ => return Err(format!("`{name}` is neither a file, a directory nor a link")),
            }
        }
        Ok(())
    }

    /// Where an entry goes; `None` for one that is not asked for. What leads out of the directory, or goes through a
    /// link in it, is refused.
    fn place(&self, name: &str) -> Result<Option<String>, String> {
        let mut steps = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => steps.push(part.to_str().ok_or_else(|| format!("`{name}` is no text"))?),
                Component::CurDir | Component::RootDir => {}
                _ => return Err(format!("`{name}` leads out of the archive")),
            }
        }
        let strip = usize::try_from(self.choice.strip).unwrap_or(usize::MAX);
        let Some(steps) = steps.get(strip..).filter(|steps| !steps.is_empty()) else { return Ok(None) };
        let inside = steps.join("/");
        let fits = |patterns: &[Arc<str>]| patterns.iter().any(|pattern| is_like(pattern, &inside));
        if !self.choice.only.is_empty() && !fits(self.choice.only) || fits(self.choice.except) {
            return Ok(None);
        }
        let mut above = self.to.trim_end_matches('/').to_owned();
        for step in steps.iter().take(steps.len() - 1) {
            above = format!("{above}/{step}");
            if fs::symlink_metadata(&above).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(format!("`{name}` goes through the link {above}"));
            }
        }
        Ok(Some(format!("{}/{inside}", self.to.trim_end_matches('/'))))
    }

    fn count(&mut self, name: &str) -> Result<(), String> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(format!("it has more than {MOST_ENTRIES} entries"));
        }
        // The record is lines.
        if name.contains('\n') { Err(format!("the name {name:?} has more than one line")) } else { Ok(()) }
    }

    fn parents(&self, path: &str) -> Result<(), String> {
        let Some((above, _)) = path.rsplit_once('/') else { return Ok(()) };
        if fs::symlink_metadata(above).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        self.parents(above)?;
        self.directory(above, 0o755)
    }

    fn directory(&self, path: &str, mode: u32) -> Result<(), String> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && Path::new(path).is_dir() => {}
            outcome => outcome.map_err(|error| format!("{path} could not be made: {error}"))?,
        }
        self.give(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| format!("{path}: {error}"))
    }

    fn give(&self, path: &str) -> Result<(), String> {
        let metadata = fs::symlink_metadata(path).map_err(said)?;
        let (uid, gid) = self.owner;
        if (metadata.uid(), metadata.gid()) == (uid, gid) {
            return Ok(());
        }
        lchown(path, Some(uid), Some(gid)).map_err(|error| format!("{path} could not be given away: {error}"))
    }

    fn make(&mut self, name: &str, made: Made, mode: u32) -> Result<(), String> {
        let Some(path) = self.place(name)? else { return Ok(()) };
        self.count(name)?;
        self.parents(&path)?;
        let temporary = beside(&path);
        let put = |made: io::Result<()>| {
            made.and_then(|()| fs::rename(&temporary, &path)).map_err(|error| format!("{path}: {error}"))
        };
        match made {
            Made::Directory => self.directory(&path, mode)?,
            Made::Link(target) => {
                let _ = fs::remove_file(&temporary);
                put(symlink(target, &temporary))?;
                self.give(&path)?;
            }
            Made::Another(target) => {
                let there = self
                    .place(&target)?
                    .filter(|there| fs::symlink_metadata(there).is_ok_and(|metadata| metadata.is_file()));
                let there =
                    there.ok_or_else(|| format!("`{name}` is a name for `{target}`, which was not unpacked"))?;
                let _ = fs::remove_file(&temporary);
                put(fs::hard_link(there, &temporary))?;
                // Where both names were one file already, the rename did nothing.
                let _ = fs::remove_file(&temporary);
            }
        }
        self.tell(&path);
        Ok(())
    }

    fn file(&mut self, name: &str, from: &mut dyn Read, mode: u32, time: Option<u64>) -> Result<(), String> {
        let Some(path) = self.place(name)? else { return Ok(()) };
        self.count(name)?;
        self.parents(&path)?;
        let temporary = beside(&path);
        let _ = fs::remove_file(&temporary);
        let mut fill = || -> io::Result<()> {
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            io::copy(from, &mut file)?;
            let (uid, gid) = self.owner;
            let metadata = file.metadata()?;
            if (metadata.uid(), metadata.gid()) != (uid, gid) {
                std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            }
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            if let Some(time) = time {
                file.set_modified(UNIX_EPOCH + Duration::from_secs(time))?;
            }
            fs::rename(&temporary, &path)
        };
        fill().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            format!("{path}: {error}")
        })?;
        self.tell(&path);
        Ok(())
    }

    fn tell(&mut self, path: &str) {
        if let Some(line) = line_of(path) {
            let _ = writeln!(self.lines, "{line}");
        }
    }
}

fn said(error: io::Error) -> String {
    error.to_string()
}

/// Whether a name in an archive is like a pattern, or in a directory that is: `*` and `?` stand for what has no slash in
/// it, `**` for anything.
fn is_like(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.trim_end_matches('/').chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Row by row: which beginnings of the name the pattern so far is like.
    let mut fits = vec![false; name.len() + 1];
    if let Some(first) = fits.first_mut() {
        *first = true;
    }
    let mut at = 0;
    while let Some(letter) = pattern.get(at) {
        let deep = *letter == '*' && pattern.get(at + 1) == Some(&'*');
        at += if deep { 2 } else { 1 };
        let mut now = vec![false; name.len() + 1];
        for end in 0..now.len() {
            let before = end.checked_sub(1);
            let last = before.and_then(|before| name.get(before));
            let fitted = |at: Option<usize>, row: &[bool]| at.and_then(|at| row.get(at).copied()).unwrap_or(false);
            let fit = match (letter, last) {
                ('*', last) => {
                    let more = last.is_some_and(|last| deep || *last != '/');
                    fitted(Some(end), &fits) || more && fitted(before, &now)
                }
                ('?', Some(last)) => *last != '/' && fitted(before, &fits),
                (letter, Some(last)) => letter == last && fitted(before, &fits),
                (_, None) => false,
            };
            if let Some(place) = now.get_mut(end) {
                *place = fit;
            }
        }
        fits = now;
    }
    let whole = fits.last() == Some(&true);
    whole || fits.iter().zip(&name).any(|(fit, next)| *fit && *next == '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, like) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "b/a.txt", false),
            ("**.txt", "b/a.txt", true),
            ("b", "b/a.txt", true),
            ("b/", "b/a.txt", true),
            ("b", "bb/a.txt", false),
            ("b/?.txt", "b/a.txt", true),
            ("b?a.txt", "b/a.txt", false),
            ("**/a", "x/y/a", true),
            ("", "a", false),
            ("*", "a/b", true),
        ] {
            assert_eq!(is_like(pattern, name), like, "{pattern} {name}");
        }
    }
}
