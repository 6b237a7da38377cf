//! QEMU's own format of disks, version 3: <https://www.qemu.org/docs/master/interop/qcow2.html>.
//!
//! Only what holds something is written, in the order of the disk, so that the same disk always gives the same file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{Whence, lseek64};

use crate::patience::stopped_working;

/// Bytes of a cluster, and which power of two that is.
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Entries of a table that fills a cluster, and counts of one.
const TABLE: u64 = CLUSTER / 8;
const COUNTS: u64 = CLUSTER / 2;
const HEADER: u32 = 104;
/// What is referred to once: nobody need copy it before it is written.
const OWN: u64 = 1 << 63;

/// Calls for each cluster of a disk that is not all zeros, with its offset. Fails soon after an end is asked for.
pub(super) fn each_cluster(
    disk: &File,
    size: u64,
    interrupt: &AtomicBool,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CLUSTER as usize];
    let mut at = 0;
    while at < size {
        if interrupt.load(Ordering::Relaxed) {
            return Err(stopped_working());
        }
        // Past the holes of the file.
        let data = match lseek64(disk, i64::try_from(at).unwrap_or(i64::MAX), Whence::SeekData) {
            Ok(data) => data as u64,
            Err(nix::errno::Errno::ENXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        at = data / CLUSTER * CLUSTER;
        let length = CLUSTER.min(size.saturating_sub(at)) as usize;
        let Some(cluster) = buffer.get_mut(..length) else { break };
        disk.read_exact_at(cluster, at)?;
        if cluster.iter().any(|byte| *byte != 0) {
            each(at, cluster)?;
        }
        at += CLUSTER;
    }
    Ok(())
}

/// Writes a disk.
pub(super) fn write(disk: &File, size: u64, to: &Path, interrupt: &AtomicBool) -> io::Result<()> {
    let target = File::create(to)?;
    let clusters = size.div_ceil(CLUSTER);
    let tables = clusters.div_ceil(TABLE);
    let first_table = 1 + tables.div_ceil(TABLE);
    // The header, the table of tables, each table, then data; last the counts of all of them.
    let mut next = first_table + tables;
    let mut entries = vec![0_u64; usize::try_from(clusters).map_err(io::Error::other)?];
    each_cluster(disk, size, interrupt, |offset, cluster| {
        target.write_all_at(cluster, next * CLUSTER)?;
        if let Some(entry) = usize::try_from(offset / CLUSTER).ok().and_then(|at| entries.get_mut(at)) {
            *entry = (next * CLUSTER) | OWN;
        }
        next += 1;
        Ok(())
    })?;
    let words = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let first: Vec<u64> = (0..tables).map(|table| ((first_table + table) * CLUSTER) | OWN).collect();
    target.write_all_at(&words(&first), CLUSTER)?;
    target.write_all_at(&words(&entries), first_table * CLUSTER)?;
    let (list, blocks) = counts(next);
    let total = next + list + blocks;
    let places: Vec<u64> = (0..blocks).map(|block| (next + list + block) * CLUSTER).collect();
    target.write_all_at(&words(&places), next * CLUSTER)?;
    let ones: Vec<u8> = (0..total).flat_map(|_| 1_u16.to_be_bytes()).collect();
    target.write_all_at(&ones, (next + list) * CLUSTER)?;
    target.write_all_at(&header(size, tables, next, list), 0)?;
    target.set_len(total * CLUSTER)?;
    target.sync_all()
}

/// How many clusters the counts of so many others and of themselves take: their list, and the blocks in it.
fn counts(others: u64) -> (u64, u64) {
    let (mut list, mut blocks) = (1, 1);
    loop {
        let needed = (others + list + blocks).div_ceil(COUNTS);
        let needed_list = needed.div_ceil(TABLE);
        if (needed_list, needed) == (list, blocks) {
            return (list, blocks);
        }
        (list, blocks) = (needed_list.max(list), needed.max(blocks));
    }
}

fn header(size: u64, tables: u64, counts: u64, list: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(b"QFI\xfb");
    header.extend(3_u32.to_be_bytes());
    // No disk below.
    header.extend([0; 12]);
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    // No encryption.
    header.extend([0; 4]);
    header.extend((tables as u32).to_be_bytes());
    header.extend(CLUSTER.to_be_bytes());
    header.extend((counts * CLUSTER).to_be_bytes());
    header.extend((list as u32).to_be_bytes());
    // No snapshots, and no features that a reader must know of, may know of, or must reset.
    header.extend([0; 12 + 24]);
    // Counts have 16 bits.
    header.extend(4_u32.to_be_bytes());
    header.extend(HEADER.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_count_themselves() {
        for others in [1, 5, COUNTS - 3, COUNTS - 2, COUNTS - 1, COUNTS, 3 * COUNTS, COUNTS * TABLE] {
            let (list, blocks) = counts(others);
            assert!(blocks * COUNTS >= others + list + blocks, "{others}");
            assert!((blocks - 1) * COUNTS < others + list + blocks, "{others}");
            assert_eq!(list, blocks.div_ceil(TABLE), "{others}");
        }
    }

    #[test]
    fn the_header_is_as_long_as_it_says() {
        assert_eq!(header(1 << 30, 2, 20, 1).len(), HEADER as usize);
    }
}
