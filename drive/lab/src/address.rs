//! Which ranges networks take and which addresses servers take.
//!
//! An address is taken by making a symbolic link named as the address and pointing at the identity: one system call
//! that either takes it or does not, and that says who has it.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;

use ipnet::Ipv4Net;

use crate::records::absent_is_fine;

/// The /24s from which networks without a `cidr` are taken, as first address and prefix length.
const POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 64, 0, 0), 12);

/// The first /24 of the pool that overlaps nothing that is taken. The search begins at a place that is the data directory's:
/// so labs of one machine seldom want the same range, also where one of them cannot be seen to have it, as its network is
/// down.
pub(crate) fn free_range(taken: &[Ipv4Net], data: &Path) -> Option<Ipv4Net> {
    let pool = Ipv4Net::new(POOL.0, POOL.1).ok()?;
    let count = 1 << (24 - POOL.1);
    let first = usize::try_from(fnv(data.as_os_str().as_encoded_bytes()) % count).ok()?;
    let (from, before) = (pool.subnets(24).ok()?.skip(first), pool.subnets(24).ok()?.take(first));
    from.chain(before).find(|range| overlapping(range, taken).is_none())
}

/// FNV-1a (Fowler, Noll, Vo), of 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One of the taken ranges that shares addresses with this one. The default route is none: it takes nothing.
pub(crate) fn overlapping<'a>(range: &Ipv4Net, taken: &'a [Ipv4Net]) -> Option<&'a Ipv4Net> {
    taken.iter().find(|other| other.prefix_len() > 0 && (other.contains(range) || range.contains(*other)))
}

/// This machine's address in a network.
pub(crate) fn gateway(range: &Ipv4Net) -> Ipv4Addr {
    range.hosts().next().unwrap_or_else(|| range.network())
}

/// Takes the first free address of a network, or the wanted one. `None` where it, or all, are taken.
pub(crate) fn take(
    folder: &Path,
    range: &Ipv4Net,
    wanted: Option<Ipv4Addr>,
    identity: &str,
) -> io::Result<Option<Ipv4Addr>> {
    fs::create_dir_all(folder)?;
    let mut candidates: Box<dyn Iterator<Item = Ipv4Addr>> = match wanted {
        Some(wanted) => Box::new(std::iter::once(wanted)),
        None => {
            let taken: std::collections::HashSet<Ipv4Addr> =
                fs::read_dir(folder)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
            Box::new(range.hosts().skip(1).filter(move |address| !taken.contains(address)))
        }
    };
    candidates
        .find_map(|address| match symlink(identity, folder.join(address.to_string())) {
            Ok(()) => Some(Ok(address)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
            Err(error) => Some(Err(error)),
        })
        .transpose()
}

/// Gives one address of an identity back.
pub(crate) fn give_one_back(folder: &Path, address: Ipv4Addr, identity: &str) -> io::Result<()> {
    let place = folder.join(address.to_string());
    match fs::read_link(&place) {
        Ok(holder) if holder.to_str() == Some(identity) => absent_is_fine(fs::remove_file(place)),
        _ => Ok(()),
    }
}

/// Gives back every address that an identity has in a network.
pub(crate) fn give_back(folder: &Path, identity: &str) -> io::Result<()> {
    let mut own = holders(folder).into_iter().filter(|(_, holder)| holder == identity);
    own.try_for_each(|(address, _)| absent_is_fine(fs::remove_file(folder.join(address.to_string()))))
}

/// Who has which address in a network.
pub(crate) fn holders(folder: &Path) -> Vec<(Ipv4Addr, String)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let holder = |entry: fs::DirEntry| {
        let address = entry.file_name().to_str()?.parse().ok()?;
        Some((address, fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
    };
    entries.flatten().filter_map(holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_avoid_what_is_taken() {
        let free = |taken: &[&str], data: &str| {
            let taken: Vec<Ipv4Net> = taken.iter().map(|text| net(text)).collect();
            free_range(&taken, Path::new(data)).map(|range| range.to_string())
        };
        let check = |taken: &[&str], range: &str| {
            assert_eq!(free(taken, "/var/lib/andon").as_deref(), Some(range), "{taken:?}");
        };
        check(&[], "10.68.24.0/24");
        check(&["0.0.0.0/0"], "10.68.24.0/24");
        check(&["10.68.24.0/24", "10.68.25.128/25"], "10.68.26.0/24");
        check(&["10.68.24.7/32"], "10.68.25.0/24");
        check(&["10.68.0.0/16"], "10.69.0.0/24");
        // What is after the last is before the first.
        check(&["10.65.0.0/16", "10.66.0.0/15", "10.68.0.0/14", "10.72.0.0/13"], "10.64.0.0/24");
        assert_eq!(free(&["10.0.0.0/8"], "/var/lib/andon"), None);
        assert_ne!(free(&[], "/var/lib/andon"), free(&[], "/srv/andon"));
    }

    #[test]
    fn addresses_are_taken_once_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let range = net("10.64.3.0/29");
        let address = |text: &str| text.parse::<Ipv4Addr>().ok();
        let take = |wanted, who: &str| take(folder.path(), &range, wanted, who).unwrap();
        assert_eq!(gateway(&range), address("10.64.3.1").unwrap());
        assert_eq!(take(None, "a"), address("10.64.3.2"));
        assert_eq!(take(address("10.64.3.4"), "b"), address("10.64.3.4"));
        assert_eq!(take(address("10.64.3.4"), "c"), None);
        assert_eq!(take(None, "c"), address("10.64.3.3"));
        assert_eq!(take(None, "d"), address("10.64.3.5"));
        assert_eq!(take(None, "e"), address("10.64.3.6"));
        assert_eq!(take(None, "f"), None);
        give_back(folder.path(), "c").unwrap();
        assert_eq!(take(None, "f"), address("10.64.3.3"));
        assert_eq!(holders(folder.path()).len(), 5);
    }
}
