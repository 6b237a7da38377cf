//! The firmware's file system: FAT32 with a few files of short names, in the order in which they are given. Source:
//! Microsoft's "FAT: General Overview of On-Disk Format", version 1.03, which UEFI refers to.
//!
//! Not a driver: it writes once, and reads nothing. (The crate `fatfs` gives directories entries that fsck.fat refuses.)

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::SECTOR;
use super::table::Partition;

/// Sectors before the first table: the boot sector, what is free, and copies of both.
const RESERVED: u64 = 32;
const COPY: u64 = 6;
const TABLES: u64 = 2;
/// The first cluster is the root directory's; clusters are as large as sectors.
const ROOT: u32 = 2;
const LAST: u32 = 0x0FFF_FFFF;
const DIRECTORY: u8 = 0x10;
const LABEL: u8 = 0x08;
/// 2024-01-01, as years since 1980, month and day.
const DATE: u16 = 44 << 9 | 1 << 5 | 1;

/// A directory, or a file.
enum Node<'a> {
    Directory(Vec<(String, Node<'a>)>),
    File(&'a [u8]),
}

/// What is written, from the first cluster on.
struct Clusters {
    table: Vec<u32>,
    data: Vec<u8>,
}

/// Makes the file system of a partition with these files. Each part of a path has a name of at most eight letters, and
/// three behind a dot.
pub(super) fn write(disk: &File, partition: &Partition, number: u32, files: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let sectors = partition.bytes / SECTOR;
    // Each cluster has four bytes in each table.
    let table = ((sectors - RESERVED) * 4).div_ceil(SECTOR + 4 * TABLES);
    let mut root = Vec::new();
    for (path, content) in files {
        insert(&mut root, path, content)?;
    }
    let mut clusters = Clusters { table: vec![0x0FFF_FFF8, LAST, LAST], data: vec![0; SECTOR as usize] };
    let mut entries = entry(b"FIRMWARE   ", LABEL, 0, 0);
    clusters.fill(&root, &mut entries, ROOT)?;
    clusters.set(ROOT, &entries)?;
    let all = sectors - RESERVED - TABLES * table;
    let used = clusters.table.len() as u64 - 2;
    if used > all {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the firmware's partition is too small for the loader"));
    }
    let at = |sector: u64| partition.start + sector * SECTOR;
    for copy in [0, COPY] {
        disk.write_all_at(&boot_sector(partition, number, table), at(copy))?;
        disk.write_all_at(&free_space(all - used, used), at(copy + 1))?;
    }
    let chains: Vec<u8> = clusters.table.iter().flat_map(|next| next.to_le_bytes()).collect();
    for copy in 0..TABLES {
        disk.write_all_at(&chains, at(RESERVED + copy * table))?;
    }
    disk.write_all_at(&clusters.data, at(RESERVED + TABLES * table))
}

fn insert<'a>(into: &mut Vec<(String, Node<'a>)>, path: &str, content: &'a [u8]) -> io::Result<()> {
    let Some((first, rest)) = path.split_once('/') else {
        into.push((path.to_owned(), Node::File(content)));
        return Ok(());
    };
    if !into.iter().any(|(name, _)| name == first) {
        into.push((first.to_owned(), Node::Directory(Vec::new())));
    }
    match into.iter_mut().find(|(name, _)| name == first) {
        Some((_, Node::Directory(inside))) => insert(inside, rest, content),
        _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
    }
}

impl Clusters {
    /// Writes what is in a directory, and adds an entry for each.
    fn fill(&mut self, directory: &[(String, Node<'_>)], entries: &mut Vec<u8>, own: u32) -> io::Result<()> {
        for (name, node) in directory {
            let name = short(name)?;
            match node {
                Node::File(content) => {
                    let first = self.append(content);
                    entries.extend(entry(&name, 0, first, content.len() as u32));
                }
                Node::Directory(inside) => {
                    let first = self.append(&[]);
                    let above = if own == ROOT { 0 } else { own };
                    let mut its = entry(b".          ", DIRECTORY, first, 0);
                    its.extend(entry(b"..         ", DIRECTORY, above, 0));
                    self.fill(inside, &mut its, first)?;
                    self.set(first, &its)?;
                    entries.extend(entry(&name, DIRECTORY, first, 0));
                }
            }
        }
        Ok(())
    }

    /// Adds a chain, of one cluster at least. Its first.
    fn append(&mut self, content: &[u8]) -> u32 {
        let first = self.table.len() as u32;
        let count = content.len().div_ceil(SECTOR as usize).max(1) as u32;
        self.table.extend((1..count).map(|next| first + next).chain([LAST]));
        self.data.extend(content);
        self.data.resize((self.table.len() - 2) * SECTOR as usize, 0);
        first
    }

    /// Fills a directory of one cluster.
    fn set(&mut self, cluster: u32, entries: &[u8]) -> io::Result<()> {
        let start = (cluster as usize - 2) * SECTOR as usize;
        let place = self.data.get_mut(start..start + entries.len()).filter(|place| place.len() < SECTOR as usize);
        place.ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(entries);
        Ok(())
    }
}

/// A name as an entry has it.
fn short(name: &str) -> io::Result<[u8; 11]> {
    let (stem, end) = name.split_once('.').unwrap_or((name, ""));
    if stem.is_empty() || stem.len() > 8 || end.len() > 3 || !name.is_ascii() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut short = [b' '; 11];
    let (first, second) = short.split_at_mut(8);
    first.iter_mut().zip(stem.bytes()).for_each(|(to, from)| *to = from.to_ascii_uppercase());
    second.iter_mut().zip(end.bytes()).for_each(|(to, from)| *to = from.to_ascii_uppercase());
    Ok(short)
}

fn entry(name: &[u8; 11], kind: u8, first: u32, length: u32) -> Vec<u8> {
    let mut entry = name.to_vec();
    entry.extend([kind, 0, 0]);
    // When it was made, last read, and last written.
    for half in [0, DATE, DATE, (first >> 16) as u16, 0, DATE, first as u16] {
        entry.extend(half.to_le_bytes());
    }
    entry.extend(length.to_le_bytes());
    entry
}

fn boot_sector(partition: &Partition, number: u32, table: u64) -> Vec<u8> {
    let mut sector = vec![0xEB, 0x58, 0x90];
    sector.extend(b"ANDON   ");
    sector.extend((SECTOR as u16).to_le_bytes());
    // One sector a cluster.
    sector.push(1);
    sector.extend((RESERVED as u16).to_le_bytes());
    sector.push(TABLES as u8);
    // No root directory of a fixed size, and no number of sectors that fits here.
    sector.extend([0; 4]);
    // A disk that is not taken out.
    sector.push(0xF8);
    sector.extend([0; 2]);
    // Sectors of a track and heads, which nobody asks for any more.
    sector.extend(32_u16.to_le_bytes());
    sector.extend(64_u16.to_le_bytes());
    for word in [(partition.start / SECTOR) as u32, (partition.bytes / SECTOR) as u32, table as u32, 0, ROOT] {
        sector.extend(word.to_le_bytes());
    }
    sector.extend(1_u16.to_le_bytes());
    sector.extend((COPY as u16).to_le_bytes());
    sector.extend([0; 12]);
    sector.extend([0x80, 0, 0x29]);
    sector.extend(number.to_le_bytes());
    sector.extend(b"FIRMWARE   FAT32   ");
    sector.resize(510, 0);
    sector.extend([0x55, 0xAA]);
    sector
}

fn free_space(free: u64, used: u64) -> Vec<u8> {
    let mut sector = b"RRaA".to_vec();
    sector.resize(484, 0);
    sector.extend(b"rrAa");
    sector.extend((free as u32).to_le_bytes());
    sector.extend((used as u32 + 2).to_le_bytes());
    sector.resize(508, 0);
    sector.extend([0, 0, 0x55, 0xAA]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(&short("grub.cfg").unwrap(), b"GRUB    CFG");
        assert_eq!(&short("BOOTX64.EFI").unwrap(), b"BOOTX64 EFI");
        assert_eq!(&short("EFI").unwrap(), b"EFI        ");
        for wrong in ["", ".x", "longer-than-8", "a.long", "ä"] {
            assert!(short(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sectors_are_whole() {
        let partition = Partition { kind: "", name: "", identity: [0; 16], start: 1 << 20, bytes: 34 << 20 };
        assert_eq!(boot_sector(&partition, 1, 536).len(), 512);
        assert_eq!(free_space(1, 2).len(), 512);
        assert_eq!(entry(b"A          ", 0, 3, 4).len(), 32);
    }
}
