//! File systems in files: how they are made, mounted, grown and copied.
//!
//! A file system is mounted through a loop device that the kernel frees by itself with the last that uses it, and the mount
//! belongs to nobody's mount table until it is put somewhere: whoever is killed on the way leaves neither behind.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use andon_schema::Failure;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use crate::failure::{OrFail, sentence};
use crate::helper::check;
use crate::records::Lock;

/// A file system that a volume can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
}

// linux/loop.h
const LOOP_CTL_GET_FREE: u64 = 0x4C82;
const LOOP_CONFIGURE: u64 = 0x4C0A;
const LOOP_SET_CAPACITY: u64 = 0x4C07;
const LOOP_GET_STATUS64: u64 = 0x4C05;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
// linux/fs.h, linux/ext4.h, linux/btrfs.h, and xfs_fs.h of xfsprogs
const FIFREEZE: u64 = 0xC004_5877;
const FITHAW: u64 = 0xC004_5878;
const EXT4_IOC_RESIZE_FS: u64 = 0x4008_6610;
const BTRFS_IOC_RESIZE: u64 = 0x5000_9403;
const XFS_IOC_FSGROWFSDATA: u64 = 0x4010_586E;

/// The free bytes that a disk has to have beside what a file system is known to need when it grows.
const GROWTH_RESERVE: u64 = 16 << 20;

#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Fails where a disk has not enough free bytes for what a file system of so many writes about itself when it grows: bitmaps
/// and descriptors of its groups, and a reserve.
fn has_room(free: u64, bytes: u64) -> Result<(), Failure> {
    let needed = GROWTH_RESERVE + bytes / 8192;
    if free >= needed {
        return Ok(());
    }
    let detail = format!("It has {} MiB left, and {} MiB are needed.", free >> 20, needed.div_ceil(1 << 20));
    Err(Failure::new("the disk is too full to grow the volume", detail)
        .help("Make room on the disk of the data directory, then apply again. Nothing was done to the volume."))
}

impl FileSystem {
    pub const ALL: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs];

    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    pub fn parse(name: &str) -> Option<FileSystem> {
        FileSystem::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The smallest that its tools make, in bytes.
    pub fn least(self) -> u64 {
        match self {
            FileSystem::Ext4 => 8 << 20,
            FileSystem::Xfs => 300 << 20,
            FileSystem::Btrfs => 112 << 20,
        }
    }

    /// The package of Debian that has its tools.
    fn package(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "e2fsprogs",
            FileSystem::Xfs => "xfsprogs",
            FileSystem::Btrfs => "btrfs-progs",
        }
    }

    /// Makes an empty one that fills a file.
    pub fn make(self, lock: &Lock, image: &Path) -> Result<(), Failure> {
        match self {
            FileSystem::Ext4 => {
                self.tool(lock, "mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,nodiscard"], image)
            }
            FileSystem::Xfs => self.tool(lock, "mkfs.xfs", &["-q", "-f", "-K"], image),
            FileSystem::Btrfs => self.tool(lock, "mkfs.btrfs", &["-q", "-f", "-K", "-m", "single"], image),
        }
    }

    /// Gives a copy an identity of its own, where the kernel would take two for one.
    pub fn make_distinct(self, lock: &Lock, image: &Path) -> Result<(), Failure> {
        match self {
            FileSystem::Ext4 | FileSystem::Xfs => Ok(()),
            FileSystem::Btrfs => self.tool(lock, "btrfstune", &["-f", "-m"], image),
        }
    }

    /// Grows one that is not mounted to the size of its file.
    pub fn grow_offline(self, lock: &Lock, image: &Path) -> Result<(), Failure> {
        match self {
            FileSystem::Ext4 => {
                // Without a kernel that keeps a journal, what ends in the middle leaves a file system that is broken.
                let failed = || format!("cannot grow {}", image.display());
                let disk = rustix::fs::statvfs(image).or_fail(failed)?;
                let bytes = fs::metadata(image).or_fail(failed)?.len();
                // Some, as a tmpfs without a limit, do not count.
                if disk.f_blocks > 0 {
                    has_room(disk.f_bfree.saturating_mul(disk.f_frsize), bytes)?;
                }
                self.tool(lock, "e2fsck", &["-f", "-p"], image)?;
                self.tool(lock, "resize2fs", &[], image).inspect_err(|_| {
                    // As it advises. The failure says enough; what cannot be repaired is said when it is used next.
                    let _ = self.tool(lock, "e2fsck", &["-f", "-y"], image);
                })
            }
            FileSystem::Xfs | FileSystem::Btrfs => {
                let failed = || format!("cannot grow {}", image.display());
                let mount = mount_image(image, self).or_fail(failed)?;
                self.grow_mounted(mount.as_fd()).or_fail(failed)
            }
        }
    }

    /// Grows a mounted one to the size of its device.
    pub fn grow_mounted(self, mount: BorrowedFd<'_>) -> io::Result<()> {
        let root = openat(mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let blocks = |size: u64| -> io::Result<u64> { Ok(size / rustix::fs::fstatfs(&root)?.f_bsize as u64) };
        let size = || -> io::Result<u64> {
            let device = fs::metadata(format!("/proc/self/fd/{}", root.as_raw_fd()))?.dev();
            let (major, minor) = (libc::major(device), libc::minor(device));
            let sectors = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/size"))?;
            Ok(sectors.trim().parse::<u64>().map_err(io::Error::other)? * 512)
        };
        match self {
            FileSystem::Ext4 => {
                let blocks = blocks(size()?)?;
                // SAFETY: the request reads one number, which lives through the call.
                check(unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_RESIZE_FS as _, &raw const blocks) }.into())?;
            }
            FileSystem::Xfs => {
                // A quarter of the space may be inodes, as mkfs.xfs has it.
                let request = (blocks(size()?)?, 25_u64);
                // SAFETY: the request reads two numbers, of 8 and of 4 bytes, in 16 bytes that live through the call.
                check(unsafe { libc::ioctl(root.as_raw_fd(), XFS_IOC_FSGROWFSDATA as _, &raw const request) }.into())?;
            }
            FileSystem::Btrfs => {
                let mut request = [0_u8; 4096];
                request.iter_mut().skip(8).zip(b"max").for_each(|(to, from)| *to = *from);
                // SAFETY: the request reads 4,096 bytes, which live through the call.
                check(unsafe { libc::ioctl(root.as_raw_fd(), BTRFS_IOC_RESIZE as _, request.as_ptr()) }.into())?;
            }
        }
        Ok(())
    }

    /// Runs a program of its tools on a file. The lock goes along: who takes it next finds the program at its end.
    fn tool(self, lock: &Lock, program: &str, arguments: &[&str], image: &Path) -> Result<(), Failure> {
        let failed = || format!("cannot run `{program}`");
        let search = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&search).chain(["/usr/sbin".into(), "/sbin".into()]);
        let path = folders.map(|folder| folder.join(program)).find(|path| path.is_file()).ok_or_else(|| {
            Failure::new(
                format!("the program `{program}` is missing"),
                format!("A volume with {} needs it.", self.name()),
            )
            .help(format!("Install it: `apt-get install {}`.", self.package()))
        })?;
        let output = Command::new(path)
            .args(arguments)
            .arg(image)
            .process_group(0)
            .stdin(lock.share().or_fail(failed)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .or_fail(failed)?;
        // For e2fsck(8), 1 says that it repaired what it found.
        if output.status.success() || (program == "e2fsck" && output.status.code() == Some(1)) {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(Failure::new(format!("`{program}` failed"), sentence(&format!("It said: {said}"))))
    }
}

/// A mount of a file system in a file that is in no mount table yet.
pub(crate) fn mount_image(image: &Path, system: FileSystem) -> io::Result<OwnedFd> {
    let (device, path) = loop_of(image)?;
    let context = fsopen(system.name(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", &path)?;
    if system == FileSystem::Xfs {
        // A copy has the identity of what it was copied from.
        fsconfig_set_flag(&context, "nouuid")?;
    }
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)?;
    // The mount holds it now.
    drop(device);
    Ok(mount)
}

/// A mount of a directory that is in no mount table yet.
pub(crate) fn mount_directory(path: &Path, read_only: bool) -> io::Result<OwnedFd> {
    let mount = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    // SAFETY: all zeros are a sound `mount_attr`.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = libc::MOUNT_ATTR_NODEV | if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path ends with a zero byte, and the attributes live through the call.
    let set = unsafe {
        let attributes = &raw const attributes;
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, attributes, size)
    };
    check(set)?;
    Ok(mount)
}

/// The loop devices whose file this is, whoever set them up.
pub(crate) fn loops_of(image: &Path) -> Vec<PathBuf> {
    let Ok(wanted) = fs::metadata(image) else { return Vec::new() };
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let is_it = |path: &PathBuf| {
        let Ok(device) = File::open(path) else { return false };
        // SAFETY: all zeros are a sound `LoopInfo`, and the request writes no more than that.
        let mut info: LoopInfo = unsafe { std::mem::zeroed() };
        let got = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64 as _, &raw mut info) };
        got == 0 && (info.device, info.inode) == (wanted.dev(), wanted.ino())
    };
    devices
        .filter(|entry| entry.path().join("loop/backing_file").exists())
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .filter(is_it)
        .collect()
}

/// Has a loop device take the new size of its file.
pub(crate) fn update_loop(path: &Path) -> io::Result<()> {
    let device = File::open(path)?;
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_CAPACITY as _, 0) }.into()).map(drop)
}

/// Stops what would change a mounted file system, until [`thaw`].
pub(crate) fn freeze(root: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(root.as_raw_fd(), FIFREEZE as _, 0) }.into()).map(drop)
}

/// Lets a frozen file system go on. One that is not frozen is left as it is.
pub(crate) fn thaw(root: &File) {
    // SAFETY: the request takes no argument. It fails where nothing is frozen.
    let _ = unsafe { libc::ioctl(root.as_raw_fd(), FITHAW as _, 0) };
}

/// Copies a file: without its bytes, where the file system can share them, else without its holes.
pub(crate) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (from, mut to) = (File::open(from)?, File::create(to)?);
    if rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let (mut source, mut at) = (from.try_clone()?, 0);
    while at < length {
        let Some(start) = seek(&from, at, libc::SEEK_DATA)? else { break };
        let end = seek(&from, start, libc::SEEK_HOLE)?.unwrap_or(length);
        source.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        io::copy(&mut io::Read::take(&mut source, end - start), &mut to)?;
        at = end;
    }
    Ok(())
}

/// Where the next data or hole begins; `None` where there is none.
fn seek(file: &File, from: u64, what: i32) -> io::Result<Option<u64>> {
    // SAFETY: touches no memory.
    match check(unsafe { libc::lseek(file.as_raw_fd(), from as i64, what) }) {
        Ok(found) => Ok(Some(found as u64)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The loop device of a file: the one that it has, where it is in use, since a second one would be another disk with the
/// same blocks, and what is mounted from both is destroyed; else a new one.
fn loop_of(image: &Path) -> io::Result<(File, PathBuf)> {
    for path in loops_of(image) {
        let device = File::options().read(true).write(true).open(&path)?;
        // Now that it is open it stays; until then it may have been freed, and be another file's.
        if loops_of(image).contains(&path) {
            return Ok((device, path));
        }
    }
    attach_loop(image)
}

/// A new loop device of a file, which the kernel frees once nobody has it open and nothing is mounted from it.
fn attach_loop(image: &Path) -> io::Result<(File, PathBuf)> {
    let file = File::options().read(true).write(true).open(image)?;
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    for _ in 0..100 {
        // SAFETY: the request takes no argument.
        let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _, 0) }.into())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        make_node(&path, number as u32)?;
        let device = File::options().read(true).write(true).open(&path)?;
        // SAFETY: all zeros are a sound `LoopConfig`.
        let mut config: LoopConfig = unsafe { std::mem::zeroed() };
        config.file = file.as_raw_fd() as u32;
        config.info.flags = LO_FLAGS_AUTOCLEAR;
        // SAFETY: the request reads `config`, which lives through the call.
        match check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) }.into()) {
            Ok(_) => return Ok((device, path)),
            // Somebody else was quicker.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "every loop device was taken by somebody else first"))
}

/// Makes the node of a loop device where nothing else does.
fn make_node(path: &Path, number: u32) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|node| node.file_type().is_block_device()) {
        return Ok(());
    }
    let kind = nix::sys::stat::SFlag::S_IFBLK;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    match nix::sys::stat::mknod(path, kind, mode, libc::makedev(7, number)) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nothing_grows_on_a_full_disk() {
        let check = |free: u64, bytes: u64, enough: bool| assert_eq!(has_room(free, bytes).is_ok(), enough, "{free}");
        check(0, 80 << 20, false);
        check(15 << 20, 80 << 20, false);
        check(17 << 20, 80 << 20, true);
        check(100 << 20, 1 << 40, false);
        check(200 << 20, 1 << 40, true);
        let told = has_room(3 << 20, 80 << 20).unwrap_err();
        assert_eq!(told.detail, "It has 3 MiB left, and 17 MiB are needed.");
    }

    #[test]
    fn copies_have_the_bytes_and_the_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let mut file = File::create(&one).unwrap();
        file.set_len(64 << 20).unwrap();
        for at in [0, 5 << 20, (64 << 20) - 3] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(b"abc").unwrap();
        }
        drop(file);
        copy_file(&one, &other).unwrap();
        assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap());
        assert!(fs::metadata(&other).unwrap().blocks() * 512 < 1 << 20);
        let empty = folder.path().join("empty");
        File::create(&empty).unwrap().set_len(1 << 20).unwrap();
        copy_file(&empty, &other).unwrap();
        assert_eq!(fs::metadata(&other).unwrap().len(), 1 << 20);
    }
}
