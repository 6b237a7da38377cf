//! What starts a disk: GRUB, for machines with BIOS and with UEFI, and the menu of one entry that both read.
//!
//! The loaders hold all their modules, so that nothing of them is in the root file system; the menu is on the firmware's
//! partition. How a loader finds its rest is written as GRUB's own `grub-bios-setup` does:
//! <https://www.gnu.org/software/grub/manual/grub/grub.html#Images>.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use andon_schema::Failure;

use super::table::Partition;
use super::tools::{find, missing, run};
use super::{LOADER_BYTES, SECTOR, fat};
use crate::Digest;
use crate::tree::Tree;
use crate::trouble::Trouble;

const MODULES: &str = "/usr/lib/grub";
/// What the loaders can do: find the root file system, show what they do, and start Linux.
const COMMON: [&str; 14] = [
    "part_gpt",
    "fat",
    "ext2",
    "normal",
    "configfile",
    "search",
    "search_fs_uuid",
    "test",
    "echo",
    "linux",
    "terminal",
    "serial",
    "reboot",
    "halt",
];
/// Where the loaders look for their menu: beside where the firmware found them.
const PREFIX: &str = "(,gpt2)/grub";
/// In the first sector of a disk: where its loader is, in sectors.
const FIRST_SECTOR: usize = 0x5C;
/// How much of the first sector is the loader's; then come the disk's number and the old table.
const CODE: usize = 440;
/// In the loader's first sector: where the rest of it is, in sectors, how many these are, and where in memory they go.
const REST: usize = 0x1F4;
const REST_SEGMENT: u16 = 0x820;

/// The kernel of an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// From the root of the image.
    kernel: String,
    /// What it starts with, where there is one.
    first_system: Option<String>,
}

impl Kernel {
    /// The newest of an image.
    pub(super) fn of(tree: &Tree, image: &Digest) -> Result<Kernel, Failure> {
        let in_boot = |path: &[u8]| Some(std::str::from_utf8(path).ok()?.strip_prefix("boot/")?.to_owned());
        let names: Vec<String> =
            tree.iter().filter(|(_, line)| line.starts_with("f ")).filter_map(|(path, _)| in_boot(path)).collect();
        let versions = names.iter().filter_map(|name| name.strip_prefix("vmlinuz-"));
        let versions = versions.filter(|version| !version.contains(['/', ' ']) && !version.ends_with(".hmac"));
        let newest = versions.max_by(|one, other| parts(one).cmp(&parts(other)));
        let version = newest.ok_or_else(|| {
            Failure::new("the image has no kernel", format!("There is no /boot/vmlinuz-VERSION in the image {image}."))
                .help("Give one of its roles the distribution's kernel: `package \"linux-image-cloud-amd64\" {}` on Debian.")
        })?;
        let candidates = [
            format!("initrd.img-{version}"),
            format!("initramfs-{version}.img"),
            format!("initrd-{version}"),
            format!("initramfs-{version}"),
        ];
        let first_system = candidates.into_iter().find(|name| names.contains(name));
        Ok(Kernel {
            kernel: format!("/boot/vmlinuz-{version}"),
            first_system: first_system.map(|name| format!("/boot/{name}")),
        })
    }

    /// What the loaders do. Where the distribution keeps links to its newest kernel, as Debian does, these count, so that a
    /// machine that was brought up to date starts what it then has.
    pub(super) fn menu(&self, file_system: &str, partition: &str, arguments: &[String]) -> String {
        let arguments = std::iter::once(format!("root=PARTUUID={partition} rootwait rw"))
            .chain(arguments.iter().cloned())
            .collect::<Vec<_>>()
            .join(" ");
        let start = |kernel: &str, first_system: Option<&str>| {
            let first_system = first_system.map(|path| format!("\n  initrd {path}")).unwrap_or_default();
            format!("\n  linux {kernel} {arguments}{first_system}\n")
        };
        let link = |directory: &str| {
            let (kernel, first_system) = (format!("{directory}/vmlinuz"), format!("{directory}/initrd.img"));
            let is_there = format!("[ -s {kernel} -a -s {first_system} ]; then");
            format!("{is_there}{}", start(&kernel, Some(&first_system)))
        };
        format!(
            "if serial --unit=0 --speed=115200; then\n  terminal_output console serial\nfi\n\
             search --no-floppy --set=root --fs-uuid {file_system}\n\
             if {}elif {}else{}fi\nboot\n",
            link(""),
            link("/boot"),
            start(&self.kernel, self.first_system.as_deref())
        )
    }
}

/// The parts of a version: numbers are compared as such.
fn parts(version: &str) -> Vec<(u64, String)> {
    version.split(['.', '-', '_', '+', '~']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

/// The loaders that this machine has.
#[derive(Debug)]
pub(super) struct Loader {
    modules: PathBuf,
    for_firmware: Option<PathBuf>,
}

impl Loader {
    /// That for BIOS must be there; one for UEFI is written where it is there, too.
    pub(super) fn find() -> Result<Loader, Failure> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Failure::new(
                "no disks for this kind of machine",
                "Disks that boot are made for x86-64, on such a machine.",
            ));
        }
        if find("grub-mkimage").is_none() {
            return Err(missing("grub-mkimage", "grub-common grub-pc-bin grub-efi-amd64-bin"));
        }
        let modules = |kind: &str| Some(Path::new(MODULES).join(kind)).filter(|path| path.join("normal.mod").is_file());
        let bios = modules("i386-pc").ok_or_else(|| missing("GRUB for BIOS", "grub-pc-bin"))?;
        Ok(Loader { modules: bios, for_firmware: modules("x86_64-efi") })
    }

    /// Writes the loaders to a disk, and their menu. `scratch` takes what is made on the way.
    pub(super) fn install(
        &self,
        disk: &File,
        own: &Partition,
        firmware: &Partition,
        number: u32,
        menu: &str,
        (scratch, interrupt): (&Path, &AtomicBool),
    ) -> Result<(), Failure> {
        let core = image(&self.modules, "i386-pc", &["biosdisk"], &scratch.join("core.img"), interrupt)?;
        let first = self.modules.join("boot.img");
        let first = fs::read(&first).doing("read", &first)?;
        put_bios(disk, own, &first, core).doing("write", scratch)?;
        let mut files = vec![("grub/grub.cfg", menu.as_bytes().to_vec())];
        if let Some(modules) = &self.for_firmware {
            files.push((
                "EFI/BOOT/BOOTX64.EFI",
                image(modules, "x86_64-efi", &[], &scratch.join("grub.efi"), interrupt)?,
            ));
        }
        fat::write(disk, firmware, number, &files).doing("write", scratch)
    }
}

fn image(modules: &Path, format: &str, more: &[&str], to: &Path, interrupt: &AtomicBool) -> Result<Vec<u8>, Failure> {
    let mut arguments: Vec<OsString> = ["-O", format, "-p", PREFIX, "-d"].map(OsString::from).to_vec();
    arguments.extend([modules.into(), "-o".into(), to.into()]);
    arguments.extend(COMMON.iter().chain(more).map(OsString::from));
    run("grub-mkimage", arguments, None, interrupt)?;
    fs::read(to).doing("read", to)
}

/// Writes the first sector, and the loader that it starts.
fn put_bios(disk: &File, own: &Partition, first: &[u8], mut core: Vec<u8>) -> io::Result<()> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "GRUB's files are of a kind that is not known");
    if core.len() as u64 > LOADER_BYTES {
        return Err(wrong());
    }
    let place = own.start / SECTOR;
    let rest = (core.len() as u64).div_ceil(SECTOR) - 1;
    let set = |bytes: &mut [u8], at: usize, what: &[u8]| {
        bytes.get_mut(at..at + what.len()).map(|place| place.copy_from_slice(what)).ok_or_else(wrong)
    };
    set(&mut core, REST, &(place + 1).to_le_bytes())?;
    set(&mut core, REST + 8, &u16::try_from(rest).map_err(|_| wrong())?.to_le_bytes())?;
    set(&mut core, REST + 10, &REST_SEGMENT.to_le_bytes())?;
    let mut code = first.get(..CODE).ok_or_else(wrong)?.to_vec();
    set(&mut code, FIRST_SECTOR, &place.to_le_bytes())?;
    disk.write_all_at(&core, own.start)?;
    disk.write_all_at(&code, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.insert(path.as_bytes(), "f 644 0 0 1 x".to_owned());
        }
        tree
    }

    #[test]
    fn the_newest_kernel_is_started_with_what_belongs_to_it() {
        let image = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
        let check = |paths: &[&str], kernel: &str, first: Option<&str>| {
            let expected = Kernel { kernel: kernel.to_owned(), first_system: first.map(str::to_owned) };
            assert_eq!(Kernel::of(&tree(paths), &image).unwrap(), expected, "{paths:?}");
        };
        check(&["boot/vmlinuz-6.1.0-9-amd64"], "/boot/vmlinuz-6.1.0-9-amd64", None);
        check(
            &["boot/vmlinuz-6.1.0-9-amd64", "boot/vmlinuz-6.1.0-21-amd64", "boot/initrd.img-6.1.0-21-amd64"],
            "/boot/vmlinuz-6.1.0-21-amd64",
            Some("/boot/initrd.img-6.1.0-21-amd64"),
        );
        check(&["boot/vmlinuz-6.9", "boot/initramfs-6.9.img"], "/boot/vmlinuz-6.9", Some("/boot/initramfs-6.9.img"));
        let failure = Kernel::of(&tree(&["boot/config-6.1", "vmlinuz-6.1"]), &image).unwrap_err();
        assert_eq!(failure.summary, "the image has no kernel");
    }

    #[test]
    fn the_menu_starts_what_is_there() {
        let kernel = Kernel { kernel: "/boot/vmlinuz-1".into(), first_system: Some("/boot/initrd.img-1".into()) };
        let menu = kernel.menu("fs", "part", &["quiet".to_owned()]);
        for line in [
            "search --no-floppy --set=root --fs-uuid fs",
            "if [ -s /vmlinuz -a -s /initrd.img ]; then",
            "  linux /boot/vmlinuz-1 root=PARTUUID=part rootwait rw quiet",
            "  initrd /boot/initrd.img-1",
        ] {
            assert!(menu.lines().any(|it| it == line), "{line} in {menu}");
        }
    }
}
