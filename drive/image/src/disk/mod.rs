//! An image as a disk that a machine boots from: a partition table, a loader, and the root file system.
//!
//! ```text
//! 1  1 MiB    the loader's own, for machines that start by BIOS; its first sector is that of the disk
//! 2  33 MiB   FAT: the loader for UEFI, and what both loaders do
//! 3  rest     ext4: the root file system. The last, so that it can grow with the disk
//! ```
//!
//! The same image, size and arguments give the same bytes with the same versions of the tools: numbers that others draw at
//! random come from the image's digest, and times are all one. The kernel is the image's own; the loader is GRUB, as this
//! machine has it.

mod boot;
mod ext4;
mod fat;
mod qcow2;
mod table;
mod tools;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use andon_schema::Failure;
use andon_schema::units::format_bytes;
use sha2::{Digest as _, Sha256};

use crate::draft::Draft;
use crate::images::names;
use crate::lock::Lock;
use crate::patience::stopped;
use crate::tree::Tree;
use crate::trouble::Trouble;
use crate::{Digest, Images};
use boot::{Kernel, Loader};
use table::Partition;

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Where partitions begin, in bytes: whole ones of this.
const MIB: u64 = 1 << 20;
const LOADER_BYTES: u64 = MIB;
/// FAT32, which is what UEFI asks for, is not smaller.
const FIRMWARE_BYTES: u64 = 34 * MIB;
/// All that is before the root file system and behind it.
const AROUND: u64 = MIB + LOADER_BYTES + FIRMWARE_BYTES + MIB;
/// What is free on a disk whose size nobody gave, beside a fifth of what is in use.
const FREE: u64 = 256 * MIB;
/// The form of the disks that are kept; another one when what is written here changes.
const FORM: u32 = 2;

/// How a disk's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// As they are, with holes where nothing is.
    Raw,
    /// As QEMU's own format, of version 3.
    Qcow2,
}

/// How a disk is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// How its bytes are written.
    pub format: DiskFormat,
    /// Its size in bytes; without it, what the image needs and some room.
    pub size: Option<u64>,
    /// What the kernel is told, beside where its root is.
    pub kernel_arguments: Vec<String>,
}

impl Default for DiskConfig {
    /// Raw, of the size that is needed, with a console on the screen and on the serial port.
    fn default() -> DiskConfig {
        let console = ["console=tty0", "console=ttyS0,115200"];
        DiskConfig { format: DiskFormat::Raw, size: None, kernel_arguments: console.map(str::to_owned).to_vec() }
    }
}

impl DiskConfig {
    /// What is wrong with an argument of the kernel.
    pub fn check_argument(argument: &str) -> Result<(), Failure> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:=/@+%".contains(&byte);
        if !argument.is_empty() && argument.bytes().all(is_sound) {
            return Ok(());
        }
        Err(Failure::new(
            format!("`{argument}` is no argument of a kernel"),
            "An argument has letters, digits and -_.,:=/@+% only.",
        )
        .help("Write one such as `console=ttyS0`, each as an element of its own."))
    }
}

impl Images {
    /// Writes an image as a disk. Where this fails, what was at `path` is as it was.
    pub fn write_disk(&self, image: &Digest, config: &DiskConfig, path: &Path) -> Result<(), Failure> {
        let (draft, _) = Draft::of_file(path, &self.interrupt)?;
        self.make_disk(image, config, |disk, size| match config.format {
            DiskFormat::Raw => copy_sparse(disk, size, draft.path(), &self.interrupt),
            DiskFormat::Qcow2 => qcow2::write(disk, size, draft.path(), &self.interrupt),
        })?;
        draft.finish()
    }

    /// The disk of an image, which is made once and kept beside it: in QEMU's own format, of the size that is needed.
    /// It is to be read only.
    pub fn disk(&self, image: &Digest) -> Result<PathBuf, Failure> {
        let directory = self.disks();
        let path = directory.join(format!("{}.{FORM}.qcow2", image.directory_name()));
        drop(self.lock()?);
        fs::create_dir_all(&directory).doing("make", &directory)?;
        let lock = directory.join(format!("{}.lock", image.directory_name()));
        let _lock = Lock::wait_unless(&lock, &self.interrupt).doing("lock", &lock)?.ok_or_else(stopped)?;
        if path.is_file() && self.has(image) {
            return Ok(path);
        }
        let draft = directory.join(format!("{}.draft", image.directory_name()));
        self.make_disk(image, &DiskConfig::default(), |disk, size| qcow2::write(disk, size, &draft, &self.interrupt))
            .inspect_err(|_| drop(fs::remove_file(&draft)))?;
        fs::rename(&draft, &path).doing("make", &path)?;
        Ok(path)
    }

    /// Makes a disk as it is, and hands it on.
    fn make_disk(
        &self,
        image: &Digest,
        config: &DiskConfig,
        write: impl FnOnce(&File, u64) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        config.kernel_arguments.iter().try_for_each(|argument| DiskConfig::check_argument(argument))?;
        let tree = self.tree(&self.stack(image)?)?;
        let kernel = Kernel::of(&tree, image)?;
        let size = size(&tree, config.size)?;
        let loader = Loader::find()?;
        tools::require(&["mke2fs", "debugfs", "dumpe2fs"], "e2fsprogs")?;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let workplace = self.workplace(&format!("disk-{}-{count}", std::process::id()))?;
        let (raw, root) = (workplace.work().join("raw"), workplace.upper());
        self.copy_root(image, &root)?;
        let identity = Numbers(image);
        let disk = File::options().create(true).truncate(true).read(true).write(true).open(&raw).doing("make", &raw)?;
        disk.set_len(size).doing("write", &raw)?;
        let partitions = partitions(size, &identity);
        let [loaders, firmware, system] = &partitions;
        let uuid = identity.uuid("file system");
        ext4::make(&root, &raw, system, (&uuid, &identity.uuid("names")), &self.interrupt)?;
        let menu = kernel.menu(&uuid, &system.uuid(), &config.kernel_arguments);
        let scratch = workplace.work();
        let number = identity.word("firmware");
        loader.install(&disk, loaders, firmware, number, &menu, (&scratch, &self.interrupt))?;
        table::write(&disk, size, &identity.bytes("disk"), &partitions).doing("write", &raw)?;
        match write(&disk, size) {
            Err(_) if self.interrupt.load(Ordering::Relaxed) => Err(stopped()),
            written => written.doing("write a disk of", &self.place(image)),
        }
    }

    /// What an image lacks to be the disk of a machine; nothing where it can be.
    pub fn can_boot(&self, image: &Digest) -> Result<(), Failure> {
        Kernel::of(&self.tree(&self.stack(image)?)?, image).map(drop)
    }

    /// Removes the disks of images that are gone, and those of another form.
    pub(crate) fn drop_disks(&self) -> Result<(), Failure> {
        let directory = self.disks();
        for name in names(&directory)? {
            let (image, rest) = name.split_once('.').unwrap_or((&name, ""));
            let image = Digest::from_directory_name(image);
            let is_known = [format!("{FORM}.qcow2").as_str(), "lock", "draft"].contains(&rest);
            if !(is_known && image.is_some_and(|image| self.look(&image).is_some())) {
                let path = directory.join(&name);
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    fn disks(&self) -> PathBuf {
        self.directory.join("disks")
    }
}

/// Numbers that are to differ from one image to another, and not from one disk of an image to another.
struct Numbers<'a>(&'a Digest);

impl Numbers<'_> {
    /// A UUID of version 8 (RFC 9562), as its bytes in the order of its text.
    fn bytes(&self, of: &str) -> [u8; 16] {
        let hash = Sha256::digest(format!("{of} of {}", self.0));
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let number = u128::from_be_bytes(bytes) & !(0xF << 76 | 0x3 << 62) | 0x8 << 76 | 0x2 << 62;
        number.to_be_bytes()
    }

    fn uuid(&self, of: &str) -> String {
        table::text(&self.bytes(of))
    }

    fn word(&self, of: &str) -> u32 {
        (u128::from_be_bytes(self.bytes(of)) >> 96) as u32
    }
}

fn partitions(size: u64, identity: &Numbers<'_>) -> [Partition; 3] {
    let partition = |kind, name: &'static str, start: u64, bytes: u64| Partition {
        kind,
        name,
        identity: identity.bytes(name),
        start,
        bytes,
    };
    let firmware = MIB + LOADER_BYTES;
    let system = firmware + FIRMWARE_BYTES;
    [
        partition(table::BIOS_BOOT, "loader", MIB, LOADER_BYTES),
        partition(table::EFI_SYSTEM, "firmware", firmware, FIRMWARE_BYTES),
        partition(table::ROOT, "root", system, size - MIB - system),
    ]
}

/// The size of a disk, in whole MiB: what is asked for, where the image fits into that, else what is needed.
fn size(tree: &Tree, asked: Option<u64>) -> Result<u64, Failure> {
    let (mut entries, mut blocks) = (0_u64, 0_u64);
    for (_, line) in tree.iter() {
        entries += 1;
        blocks += crate::tree::size(line).unwrap_or_default().div_ceil(ext4::BLOCK) + 1;
    }
    let files = blocks * ext4::BLOCK;
    let whole = |bytes: u64| bytes.div_ceil(MIB) * MIB;
    let wanted = asked.map_or_else(|| whole(AROUND + files + files / 5 + FREE), |asked| asked / MIB * MIB);
    // A file system has a node for each so many bytes, and its tables and its journal take some.
    let room = wanted.saturating_sub(AROUND);
    let tables = room / ext4::BYTES_PER_NODE * ext4::NODE + room / 32 + 8 * MIB;
    if room / ext4::BYTES_PER_NODE > entries && room > files + tables {
        return Ok(wanted);
    }
    let needed = whole(AROUND + (files + 8 * MIB).max(entries * ext4::BYTES_PER_NODE) * 10 / 9);
    Err(Failure::new(
        "the disk is too small for the image",
        format!("A disk of {} was asked for; the image needs {}.", format_bytes(wanted), format_bytes(needed)),
    )
    .help("Give the output a larger `size`, or none."))
}

/// Copies a file without its holes.
fn copy_sparse(from: &File, size: u64, to: &Path, interrupt: &AtomicBool) -> std::io::Result<()> {
    let target = File::create(to)?;
    target.set_len(size)?;
    qcow2::each_cluster(from, size, interrupt, |offset, cluster| target.write_all_at(cluster, offset))?;
    target.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let mut tree = Tree::default();
        tree.insert(b"", "d 755 0 0".to_owned());
        assert_eq!(size(&tree, None).unwrap() % MIB, 0);
        assert!(size(&tree, Some(1 << 30)).is_ok());
        assert_eq!(size(&tree, Some((1 << 30) + 5)).unwrap(), 1 << 30);
        let failure = size(&tree, Some(10 << 20)).unwrap_err();
        assert!(failure.detail.contains("10M"), "{failure}");
    }

    #[test]
    fn numbers_follow_from_the_digest() {
        let digest = |letter: &str| Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap();
        let (one, other) = (digest("a"), digest("b"));
        assert_eq!(Numbers(&one).uuid("x"), Numbers(&one).uuid("x"));
        assert_ne!(Numbers(&one).uuid("x"), Numbers(&one).uuid("y"));
        assert_ne!(Numbers(&one).uuid("x"), Numbers(&other).uuid("x"));
        assert_eq!(Numbers(&one).uuid("x").chars().nth(14), Some('8'));
    }

    #[test]
    fn arguments_of_the_kernel() {
        for sound in ["quiet", "console=ttyS0,115200n8", "systemd.unit=rescue.target"] {
            assert!(DiskConfig::check_argument(sound).is_ok(), "{sound}");
        }
        for wrong in ["", "a b", "a;b", "a\nb", "$x", "\"", "{", "ä"] {
            assert!(DiskConfig::check_argument(wrong).is_err(), "{wrong}");
        }
    }
}
