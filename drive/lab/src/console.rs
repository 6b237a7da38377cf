//! What a server's init, and what it started, wrote before they had a journal: a file in the server's directory.
//!
//! It is kept short by whoever is there for as long as the server is: its supervisor where that is its init, else the process
//! that answers for the names of its network. The older part is given up where it lies, and becomes a hole: whoever
//! writes at the end of the file need not know, and no line is lost that is written meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

/// The name of the file.
pub(crate) const CONSOLE: &str = "console.log";
/// How often its length is looked at.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);
/// How much of it is kept, in bytes; and how much more there may be until the older part is given up.
const KEPT: i64 = 1 << 20;
const MORE: i64 = 1 << 20;

/// What the file of a server's directory says at its end. The older part may have been given up: then it begins with a hole,
/// and with the rest of a line. What is written while it is read is left: a server may write faster than anybody reads.
pub(crate) fn read(directory: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(directory.join(CONSOLE))?;
    // SAFETY: touches no memory. Where there is nothing but a hole, or holes are not known, it is read from its beginning.
    let data = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_DATA) }.max(0);
    let end = file.metadata()?.len();
    // It may have become long since it was looked at.
    let first = (data as u64).max(end.saturating_sub((KEPT + MORE) as u64));
    file.seek(SeekFrom::Start(first))?;
    let mut said = Vec::new();
    file.take(end.saturating_sub(first)).read_to_end(&mut said)?;
    if first > 0 {
        let end = said.iter().position(|byte| *byte == b'\n').map_or(said.len(), |end| end + 1);
        said.drain(..end);
    }
    Ok(said)
}

/// Gives up the older part of the file of a server's directory, where it has become long. Where there is no such file there
/// is nothing to do.
pub(crate) fn shorten_in(directory: &Path) {
    if let Ok(file) = File::options().write(true).open(directory.join(CONSOLE)) {
        shorten(&file);
    }
}

/// Gives up the older part of such a file, where it has become long.
pub(crate) fn shorten(file: &impl AsFd) {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: all zeros are a sound `stat`, and the calls write no more than that.
    unsafe {
        let mut log: libc::stat = std::mem::zeroed();
        if libc::fstat(file, &raw mut log) != 0 || log.st_blocks * 512 <= KEPT + MORE {
            return;
        }
        // What cannot be given up, on a file system without holes, is kept.
        libc::fallocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, 0, log.st_size - KEPT);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_end_is_kept() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join(CONSOLE);
        shorten_in(folder.path());
        assert!(!path.exists());
        let mut writer = File::options().create(true).append(true).open(&path).unwrap();
        let mut next = 0;
        let mut write = |lines: usize| {
            let text: String = (next..next + lines).map(|number| format!("line {number}\n")).collect();
            next += lines;
            writer.write_all(text.as_bytes()).unwrap();
            next - 1
        };
        write(10);
        shorten_in(folder.path());
        assert!(read(folder.path()).unwrap().starts_with(b"line 0\n"), "what is short stays whole");
        for round in 0..3 {
            let last = write(300_000);
            let before = std::fs::metadata(&path).unwrap();
            let said = read(folder.path()).unwrap();
            let lines = format!("line {}\nline {last}\n", last - 1);
            assert!(said.len() <= (KEPT + MORE) as usize && said.ends_with(lines.as_bytes()), "not all is read");
            assert!(said.starts_with(b"line "), "what it begins with is a whole line");
            shorten_in(folder.path());
            let after = std::fs::metadata(&path).unwrap();
            assert_eq!(before.len(), after.len());
            assert!(after.blocks() * 512 <= (KEPT + MORE) as u64, "round {round}: {after:?}");
            let said = String::from_utf8(read(folder.path()).unwrap()).unwrap();
            let numbers: Vec<usize> =
                said.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
            assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]) && numbers.last() == Some(&last));
            assert!(said.len() > KEPT as usize / 2, "{}", said.len());
        }
    }
}
