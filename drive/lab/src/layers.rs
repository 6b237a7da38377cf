//! A server's root file system: its own layer over those of its image, as a mount that is nowhere yet.
//!
//! Made in the spawner's mount namespace, which is nobody else's, and handed to the server's first process. Where the
//! server has numbers of users of its own, every layer is seen through a mapping (`mount_setattr(2)`, "ID-mapped
//! mounts"): what is user 0 inside is user 0 in the files, too, whatever number the kernel counts it under. So layers are
//! shared by servers whose numbers differ, and a layer can be read by anybody as it is.

use std::ffi::{CStr, CString, c_long, c_ulong};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::helper::check;
use crate::spawn::Order;

/// Gives the calling process mounts of its own, which follow those of the machine but not the other way round.
pub(crate) fn part_from_the_machine() -> io::Result<()> {
    // SAFETY: touches no memory.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_SLAVE, "")
}

/// Where in a server's directory its own layer over something is, and where the kernel works on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub upper: &'static str,
    pub work: &'static str,
}

/// A server's layer over its image.
pub(crate) const ROOT: Own = Own { upper: "upper", work: "work" };
/// Its layer over this machine's own `/usr`.
pub(crate) const USR: Own = Own { upper: "usr-upper", work: "usr-work" };

/// Lays a server's own layer over others, the topmost first; `users` is the user namespace whose numbers it is seen in, and
/// the number that is 0 there.
pub(crate) fn lay(order: &Order, lower: &[PathBuf], layer: Own, users: Option<(&File, u32)>) -> io::Result<OwnedFd> {
    let place = order.directory.join("root");
    let mut placed = Placed { place: &place, count: 0 };
    let mut layers = Vec::new();
    for path in lower.iter().chain([&order.directory]) {
        let tree = tree(path, libc::OPEN_TREE_CLONE)?;
        if let Some((users, _)) = users {
            map(&tree, users)?;
        }
        // An overlay takes no layer that is nowhere: they lie one over the other for a moment.
        placed.put(&tree)?;
        layers.push(tree);
    }
    // Layers are named by descriptor: no character of a path can be mistaken for an option, and many fit on the one page
    // that mount(2) takes.
    let names: Vec<String> = layers.iter().map(|tree| format!("/proc/self/fd/{}", tree.as_raw_fd())).collect();
    let Some((own, image)) = names.split_last() else { return Err(ErrorKind::InvalidInput.into()) };
    // Its files outlive it, and what it has waited for is on the disk: so without `volatile`.
    // Whoever is root of a user namespace alone may set none but users' attributes.
    let attributes = if order.in_realm { ",userxattr" } else { "" };
    let options =
        format!("lowerdir={},upperdir={own}/{},workdir={own}/{}{attributes}", image.join(":"), layer.upper, layer.work);
    let as_user = users.map(|(_, first)| AsUser::take(first)).transpose()?;
    // An image may bring device files. The server's root can undo this where its control group does not see to it.
    let mounted = mount("overlay", &place, "overlay", libc::MS_NODEV, &options);
    if users.is_some() {
        mounted.map_err(unmappable)?
    } else {
        mounted?
    };
    drop(as_user);
    placed.count += 1;
    tree(&place, libc::OPEN_TREE_CLONE)
}

/// Puts a mount that is nowhere on a directory of the calling process's mount namespace.
pub(crate) fn put(tree: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    let place = CString::new(place.as_os_str().as_bytes())?;
    // SAFETY: both paths end with a zero byte.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            place.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    check(moved).map(drop)
}

/// What lies on a directory only for the time of the work.
struct Placed<'a> {
    place: &'a Path,
    count: usize,
}

impl Placed<'_> {
    fn put(&mut self, tree: &OwnedFd) -> io::Result<()> {
        put(tree.as_fd(), self.place)?;
        self.count += 1;
        Ok(())
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        let Ok(place) = CString::new(self.place.as_os_str().as_bytes()) else { return };
        for _ in 0..self.count {
            // SAFETY: the path ends with a zero byte.
            unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

/// A copy of what is mounted at a directory, without what is mounted below it.
fn tree(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = flags | libc::O_CLOEXEC as u32;
    // SAFETY: the path ends with a zero byte; the descriptor is new and nobody else's.
    unsafe {
        let tree = check(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
        Ok(OwnedFd::from_raw_fd(tree as i32))
    }
}

/// Has a mount that is nowhere be seen in the numbers of a user namespace.
pub(crate) fn map(tree: &OwnedFd, users: &File) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_raw_fd() as u64,
    };
    // SAFETY: the path ends with a zero byte, and the attributes are as long as they are said to be.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(mapped).map(drop).map_err(unmappable)
}

/// Tells by its kind where this kernel, or a file system, cannot do with users of a server's own what it does without:
/// nothing else may make a server share those of the machine.
pub(crate) fn unmappable(error: io::Error) -> io::Error {
    let means_so = [libc::EINVAL, libc::EPERM, libc::ENOSYS, libc::EOPNOTSUPP];
    match error.raw_os_error() {
        Some(number) if means_so.contains(&number) => io::Error::new(ErrorKind::Unsupported, error),
        _ => error,
    }
}

/// The calling thread makes files as another user, while it may do all that it may: an overlay remembers who mounted it,
/// and writes its own files as that one, who must have a number in the layer.
pub(crate) struct AsUser;

/// `struct __user_cap_header_struct` and `struct __user_cap_data_struct` of version 3, capget(2).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

impl AsUser {
    pub fn take(user: u32) -> io::Result<AsUser> {
        // SAFETY: take numbers.
        unsafe {
            libc::setfsgid(user);
            libc::setfsuid(user);
        }
        let taken = AsUser;
        let header = CapabilityHeader { version: 0x2008_0522, process: 0 };
        let mut words = [CapabilityWords::default(); 2];
        // SAFETY: the header is of the version that has two words, and both live through the calls.
        unsafe {
            check(libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()))?;
            words.iter_mut().for_each(|word| word.effective = word.permitted);
            check(libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()))?;
        }
        Ok(taken)
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        // SAFETY: take numbers. Being the first user again brings all capabilities back into effect.
        unsafe {
            libc::setfsuid(0);
            libc::setfsgid(0);
        }
    }
}

/// `mount(2)`.
pub(crate) fn mount(source: &str, target: &Path, kind: &str, flags: c_ulong, options: &str) -> io::Result<()> {
    let text = |text: &str| CString::new(text);
    let (source, kind, options) = (text(source)?, text(kind)?, text(options)?);
    let target = CString::new(target.as_os_str().as_bytes())?;
    let or_none = |text: &CStr| if text.is_empty() { std::ptr::null() } else { text.as_ptr() };
    // SAFETY: every string ends with a zero byte and lives until the call returns.
    let result =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), or_none(&kind), flags, or_none(&options).cast()) };
    check(c_long::from(result)).map(drop)
}
