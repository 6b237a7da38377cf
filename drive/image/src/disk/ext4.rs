//! The root file system on a disk: made and filled without being mounted, by the tools of ext4's own project.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use andon_schema::Failure;

use super::table::Partition;
use super::tools::{TIME, run};
use crate::compiled::Compiled;
use crate::trouble::Trouble;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// A node, which is a file or a directory, for each so many bytes; and the bytes of one.
pub(super) const BYTES_PER_NODE: u64 = 16384;
pub(super) const NODE: u64 = 256;

/// What the file system can do, all of which GRUB 2.04 and kernels from 4.14 on read.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Makes the file system of a partition and fills it with what is in a directory.
pub(super) fn make(
    root: &Path,
    disk: &Path,
    partition: &Partition,
    (uuid, seed): (&str, &str),
    interrupt: &AtomicBool,
) -> Result<(), Failure> {
    let extended = format!("offset={},hash_seed={seed},lazy_itable_init=0,root_owner=0:0", partition.start);
    let mut arguments: Vec<OsString> =
        ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "5"].map(OsString::from).to_vec();
    arguments.extend(["-O", FEATURES, "-L", "root", "-U", uuid, "-E", &extended].map(OsString::from));
    arguments.extend(["-d".into(), root.into(), disk.into()]);
    arguments.push((partition.bytes / BLOCK).to_string().into());
    run("mke2fs", arguments, None, interrupt).map_err(|failure| {
        match failure.detail.contains("Could not allocate") {
            true => Failure::new("the disk is too small for the image", failure.detail)
                .help("Give the output a larger `size`, or none."),
            false => failure,
        }
    })?;
    set_times(root, disk, partition, interrupt)
}

/// Gives all nodes the same time. The tool takes them over from the files that it reads, and nobody else can say when
/// the node of one of these was changed. But what Python compares stays as it is.
fn set_times(root: &Path, disk: &Path, partition: &Partition, interrupt: &AtomicBool) -> Result<(), Failure> {
    let mut place = disk.as_os_str().to_owned();
    place.push(format!("?offset={}", partition.start));
    let listed = run("dumpe2fs", [place.as_os_str()], None, interrupt)?;
    let nodes = used_nodes(&listed)
        .ok_or_else(|| Failure::new("the disk could not be made", "dumpe2fs does not say which nodes are in use."))?;
    let mut orders = String::new();
    for node in nodes {
        for field in ["atime", "mtime", "ctime"] {
            // Writing to a text does not fail.
            let _ = writeln!(orders, "set_inode_field <{node}> {field} @{TIME}");
        }
    }
    for (path, time) in compiled(root).doing("read", root)? {
        let _ = writeln!(orders, "set_inode_field \"/{path}\" mtime @{time}");
    }
    let script = disk.with_extension("times");
    fs::write(&script, orders).doing("write", &script)?;
    let input = File::open(&script).doing("read", &script)?;
    run("debugfs", [OsString::from("-w"), "-f".into(), "-".into(), place], Some(input), interrupt).map(drop)
}

/// The programs that Python has compiled, by their paths below a root file system, with their times. One whose path the tool
/// would not take is compiled anew where it runs.
fn compiled(root: &Path) -> io::Result<Vec<(String, u64)>> {
    let (mut found, mut compiled) = (Vec::new(), Compiled::default());
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            if metadata.is_dir() {
                directories.push(path);
            } else if let Some(time) = compiled.time_of(&path, &metadata) {
                let name = path.strip_prefix(root).ok().and_then(Path::to_str);
                let name = name.filter(|name| !name.contains(['"', '\\']) && !name.contains(char::is_control));
                found.extend(name.map(|name| (name.to_owned(), time)));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The nodes that are in use, as dumpe2fs(8) lists those that are not.
fn used_nodes(listed: &str) -> Option<Vec<u64>> {
    let count: u64 = listed.lines().find_map(|line| line.strip_prefix("Inode count:"))?.trim().parse().ok()?;
    let mut is_free = vec![false; usize::try_from(count).ok()? + 1];
    for line in listed.lines() {
        // That of the whole is a number; those of the groups are indented.
        let Some(ranges) = line.strip_prefix("  Free inodes:") else { continue };
        for range in ranges.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            is_free.get_mut(first..=last)?.fill(true);
        }
    }
    // The first ten are the file system's own, but for its root.
    let used = (2..).zip(is_free.into_iter().skip(2)).filter(|(node, is_free)| !is_free && (*node == 2 || *node > 10));
    Some(used.map(|(node, _)| node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_in_use_are_those_that_are_not_free() {
        let listed =
            "Inode count:              16\nFree inodes:              3\n\nGroup 0:\n  Free inodes: 13, 15-16\n";
        assert_eq!(used_nodes(listed), Some(vec![2, 11, 12, 14]));
        assert_eq!(used_nodes("Inode count: 4\n  Free inodes: 9\n"), None);
        assert_eq!(used_nodes(""), None);
    }
}
