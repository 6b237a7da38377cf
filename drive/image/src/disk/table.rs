//! A partition table as UEFI has it: <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flate2::Crc;

use super::SECTOR;

/// The kinds of partition, as texts.
pub(super) const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
pub(super) const EFI_SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// The root of a system for x86-64, by which systemd knows it (the Discoverable Partitions Specification).
pub(super) const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

/// Entries of a table, and the bytes of one.
const ENTRIES: u64 = 128;
const ENTRY: u64 = 128;
const HEADER: usize = 92;
/// The sectors of the entries.
const LIST: u64 = ENTRIES * ENTRY / SECTOR;
/// Where the old kind of table is in the first sector, which tells those who know no other that all is taken.
const OLD_TABLE: u64 = 446;

/// A part of a disk.
pub(super) struct Partition {
    /// What it is for: a GUID.
    pub kind: &'static str,
    pub name: &'static str,
    /// Its own GUID, in the order of its text.
    pub identity: [u8; 16],
    /// In bytes, whole sectors.
    pub start: u64,
    pub bytes: u64,
}

impl Partition {
    /// Its own GUID as a text, as the kernel's `root=PARTUUID=` takes it.
    pub(super) fn uuid(&self) -> String {
        text(&self.identity)
    }

    fn entry(&self) -> Vec<u8> {
        let mut entry = Vec::new();
        entry.extend(mixed(&parse(self.kind)));
        entry.extend(mixed(&self.identity));
        let (first, last) = (self.start / SECTOR, (self.start + self.bytes) / SECTOR - 1);
        for number in [first, last, 0] {
            entry.extend(number.to_le_bytes());
        }
        entry.extend(self.name.encode_utf16().flat_map(u16::to_le_bytes));
        entry.resize(ENTRY as usize, 0);
        entry
    }
}

/// A GUID as it is written.
pub(super) fn text(bytes: &[u8; 16]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    parts.join("-")
}

fn parse(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes()
}

/// A GUID as it is stored: its first three numbers are little-endian.
fn mixed(bytes: &[u8; 16]) -> Vec<u8> {
    [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        .iter()
        .filter_map(|at: &usize| bytes.get(*at))
        .copied()
        .collect()
}

/// Writes the table of a disk, at its start and its end. The first sector keeps the loader that is in it.
pub(super) fn write(disk: &File, size: u64, identity: &[u8; 16], partitions: &[Partition]) -> io::Result<()> {
    let last = size / SECTOR - 1;
    let mut list: Vec<u8> = partitions.iter().flat_map(Partition::entry).collect();
    list.resize((LIST * SECTOR) as usize, 0);
    disk.write_all_at(&protection(last), OLD_TABLE)?;
    for (here, other, entries) in [(1, last, 2), (last, 1, last - LIST)] {
        disk.write_all_at(&list, entries * SECTOR)?;
        disk.write_all_at(&header(here, other, entries, last, identity, &list), here * SECTOR)?;
    }
    Ok(())
}

fn header(here: u64, other: u64, entries: u64, last: u64, identity: &[u8; 16], list: &[u8]) -> Vec<u8> {
    let with = |checksum: u32| {
        let mut header = Vec::with_capacity(HEADER);
        header.extend(b"EFI PART");
        for number in [0x0001_0000, HEADER as u32, checksum, 0] {
            header.extend(number.to_le_bytes());
        }
        for number in [here, other, 2 + LIST, last - LIST - 1] {
            header.extend(number.to_le_bytes());
        }
        header.extend(mixed(identity));
        header.extend(entries.to_le_bytes());
        for number in [ENTRIES as u32, ENTRY as u32, sum(list)] {
            header.extend(number.to_le_bytes());
        }
        header
    };
    with(sum(&with(0)))
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// An old table with one partition that covers all. It is marked active, since some firmware starts nothing else.
fn protection(last: u64) -> Vec<u8> {
    let mut table = vec![0x80, 0x00, 0x02, 0x00, 0xEE, 0xFF, 0xFF, 0xFF];
    table.extend(1_u32.to_le_bytes());
    table.extend(u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    table.resize(64, 0);
    table.extend([0x55, 0xAA]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_stored_as_uefi_has_them() {
        // The example of the specification's appendix on GUIDs: EFI's own partition.
        let stored = mixed(&parse(EFI_SYSTEM));
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "28732ac11ff8d211ba4b00a0c93ec93b");
        assert_eq!(text(&parse(EFI_SYSTEM)), EFI_SYSTEM);
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        assert_eq!(sum(b"123456789"), 0xCBF4_3926);
    }
}
