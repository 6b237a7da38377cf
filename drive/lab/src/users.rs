//! Which numbers the kernel counts a server's users under: a range of its own, so that its root is nobody elsewhere.
//!
//! Files on the disk keep the numbers that they have inside, so a range means nothing beyond the server's processes. It is
//! taken as an address is: by a symbolic link named as the range and pointing at the identity.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::records::absent_is_fine;

/// How many numbers a range has: all that the files of a usual system use.
pub(crate) const COUNT: u32 = 1 << 16;
/// The ranges that systemd's documentation ("Users, Groups, UIDs and GIDs on systemd Systems") keeps for containers.
const FIRST: u32 = 0x0008_0000 / COUNT;
const LAST: u32 = 0x6FFF_0000 / COUNT;

/// The first number of the range of an identity, which it has or takes now. `is_known` says whether an identity that has
/// one is anybody. `intend` is told of the range before it is taken, so that whoever is cut off can give it back.
pub(crate) fn take(
    folder: &Path,
    identity: &str,
    is_known: impl Fn(&str) -> bool,
    intend: impl Fn(u32) -> io::Result<()>,
) -> io::Result<u32> {
    fs::create_dir_all(folder)?;
    // FNV-1a (Fowler, Noll, Vo): where to look first, so that labs which do not know of each other seldom meet.
    let hash = identity.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let count = LAST - FIRST + 1;
    for step in 0..count {
        let range = FIRST + (hash.wrapping_add(step)) % count;
        let place = folder.join(range.to_string());
        intend(range * COUNT)?;
        match symlink(identity, &place) {
            Ok(()) => return Ok(range * COUNT),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match fs::read_link(&place) {
            Ok(holder) if holder.to_str() == Some(identity) => return Ok(range * COUNT),
            // Of one that was cut off before it could be given back.
            Ok(holder) if !holder.to_str().is_some_and(&is_known) && take_over(folder, &place, &holder, identity)? => {
                return Ok(range * COUNT);
            }
            _ => {}
        }
    }
    Err(io::Error::other("all ranges of user numbers are taken"))
}

/// Takes a range from one that is nobody. False where another one was quicker: whoever takes one over looks again while
/// nobody else does, so that what was just taken is never taken away.
fn take_over(folder: &Path, place: &Path, holder: &Path, identity: &str) -> io::Result<bool> {
    let folder = fs::File::open(folder)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    if fs::read_link(place).is_ok_and(|now| now != holder) {
        return Ok(false);
    }
    absent_is_fine(fs::remove_file(place))?;
    Ok(symlink(identity, place).is_ok())
}

/// Gives a range back.
pub(crate) fn give_back(folder: &Path, identity: &str, first: u32) -> io::Result<()> {
    let place = folder.join((first / COUNT).to_string());
    match fs::read_link(&place) {
        Ok(holder) if holder.to_str() == Some(identity) => absent_is_fine(fs::remove_file(place)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_once_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let take = |identity: &str| {
            let intended = std::cell::Cell::new(0);
            let intend = |first| {
                intended.set(first);
                Ok(())
            };
            let first = take(folder.path(), identity, |holder| holder != "nobody", intend).unwrap();
            assert_eq!(intended.get(), first, "whoever is cut off knows of it");
            first
        };
        let holders = || fs::read_dir(folder.path()).unwrap().count() - 1;
        let (one, other) = (take("one"), take("other"));
        assert!(one != other && one % COUNT == 0 && (0x8_0000..0x7000_0000).contains(&one));
        assert_eq!(take("one"), one);
        // Where the first choice is somebody's, the next is taken; where it is nobody's, that one.
        let place = folder.path().join((one / COUNT).to_string());
        fs::remove_file(&place).unwrap();
        symlink("two", &place).unwrap();
        assert_eq!(take("one"), one + COUNT);
        give_back(folder.path(), "one", one + COUNT).unwrap();
        give_back(folder.path(), "one", one).unwrap();
        assert_eq!(fs::read_link(&place).unwrap().to_str(), Some("two"));
        fs::remove_file(&place).unwrap();
        symlink("nobody", &place).unwrap();
        assert_eq!(take("one"), one);
        let refused = super::take(folder.path(), "three", |_| true, |_| Err(ErrorKind::StorageFull.into()));
        assert!(refused.is_err() && holders() == 1, "nothing is taken that could not be given back");
        // Whoever still believes that it is nobody's does not take it away.
        assert!(!take_over(folder.path(), &place, Path::new("nobody"), "late").unwrap());
        assert_eq!(fs::read_link(&place).unwrap().to_str(), Some("one"));
    }

    #[test]
    fn of_many_who_take_over_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("8");
        for _ in 0..200 {
            symlink("nobody", &place).unwrap();
            let names: Vec<String> = (0..4).map(|number| number.to_string()).collect();
            let won: Vec<&String> = std::thread::scope(|scope| {
                let (folder, place) = (folder.path(), &place);
                let take = |name: &str| take_over(folder, place, Path::new("nobody"), name).unwrap();
                let takers: Vec<_> = names.iter().map(|name| (name, scope.spawn(move || take(name)))).collect();
                takers.into_iter().filter_map(|(name, taker)| taker.join().unwrap().then_some(name)).collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(fs::read_link(&place).unwrap().to_str(), Some(&**won[0]));
            fs::remove_file(&place).unwrap();
        }
    }
}
