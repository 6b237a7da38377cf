//! Images as disks, judged by the tools that know tables, file systems and QEMU's format.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use andon_image::{Digest, DiskConfig, DiskFormat, Images, Source};

use crate::tree::{Data, bake, root_file_system, set_attribute, set_mode};

/// Why disks cannot be made or judged here.
pub fn unable() -> Option<String> {
    let programs = ["mke2fs", "e2fsck", "debugfs", "grub-mkimage", "qemu-img", "sfdisk", "fsck.fat", "mtype"];
    let missing = programs.iter().find(|program| !has(program))?;
    Some(format!("{missing} is not installed"))
}

fn has(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|place| Path::new(place).join(program).exists())
}

/// What a program said, which must be content.
fn judge(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said.into_owned()
}

/// An image with what looks like a kernel.
fn image(data: &Data, images: &Images) -> Digest {
    let root = root_file_system(&data.0.join("root"));
    let from = Source::parse(root.to_str().unwrap(), Path::new("/")).unwrap();
    let base = images.base(&from, &|_| {}).unwrap().digest;
    bake(images, &base, "disk", "disk", |root| {
        fs::create_dir(root.join("boot")).unwrap();
        fs::write(root.join("boot/vmlinuz-6.1.0-1-amd64"), "kernel").unwrap();
        fs::write(root.join("boot/initrd.img-6.1.0-1-amd64"), "first system").unwrap();
        fs::write(root.join("etc/secret"), "x".repeat(100_000)).unwrap();
        std::os::unix::fs::chown(root.join("etc/secret"), Some(1234), Some(70_000)).unwrap();
        set_mode(&root.join("etc/secret"), 0o640);
        set_attribute(&root.join("etc/secret"), "user.note", "said");
        symlink("../usr/x", root.join("etc/link")).unwrap();
        fs::create_dir_all(root.join("opt/a program/__pycache__")).unwrap();
        fs::write(root.join("opt/a program/it.py"), "ONE = 1\n").unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        File::options().write(true).open(root.join("opt/a program/it.py")).unwrap().set_modified(time).unwrap();
        // As Python writes it: what it is, that times and sizes are compared, the time, and the size.
        let compiled = [&b"\xA7\x0D\r\n\0\0\0\0"[..], &1_600_000_000_u32.to_le_bytes(), &8_u32.to_le_bytes()].concat();
        fs::write(root.join("opt/a program/__pycache__/it.cpython-311.pyc"), compiled).unwrap();
        fs::create_dir(root.join("opt/many")).unwrap();
        (0..300).for_each(|number| fs::write(root.join(format!("opt/many/{number}")), "x").unwrap());
    })
}

fn config(format: DiskFormat, size: u64) -> DiskConfig {
    DiskConfig { format, size: Some(size), ..DiskConfig::default() }
}

/// A partition as sfdisk reads it, in a file of its own.
fn partition(disk: &Path, number: usize, to: &Path) {
    let table = judge("sfdisk", &["--dump", disk.to_str().unwrap()]);
    let line = table.lines().filter(|line| line.contains(" start=")).nth(number - 1).unwrap();
    let field = |name: &str| -> u64 {
        let rest = line.split_once(name).unwrap().1;
        rest.split(',').next().unwrap().trim().parse().unwrap()
    };
    let mut from = File::open(disk).unwrap();
    from.seek(SeekFrom::Start(field("start=") * 512)).unwrap();
    std::io::copy(&mut from.take(field("size=") * 512), &mut File::create(to).unwrap()).unwrap();
}

pub fn a_disk_is_sound_and_holds_the_image() {
    let data = Data::new("disk");
    let images = data.images();
    let digest = image(&data, &images);
    let disk = data.0.join("disk.raw");
    images.write_disk(&digest, &config(DiskFormat::Raw, 300 << 20), &disk).unwrap();
    assert_eq!(fs::metadata(&disk).unwrap().len(), 300 << 20);
    let table = judge("sfdisk", &["--verify", disk.to_str().unwrap()]);
    assert!(table.contains("No errors detected"), "{table}");
    let (firmware, system) = (data.0.join("firmware"), data.0.join("system"));
    partition(&disk, 2, &firmware);
    partition(&disk, 3, &system);
    judge("fsck.fat", &["-n", firmware.to_str().unwrap()]);
    let menu = judge("mtype", &["-i", firmware.to_str().unwrap(), "::/grub/grub.cfg"]);
    assert!(menu.contains("linux /boot/vmlinuz-6.1.0-1-amd64 root=PARTUUID="), "{menu}");
    let system = system.to_str().unwrap();
    judge("e2fsck", &["-f", "-n", system]);
    let asked = |request: &str| judge("debugfs", &["-R", request, system]);
    assert!(asked("cat /boot/vmlinuz-6.1.0-1-amd64").contains("kernel"));
    let secret = asked("stat /etc/secret");
    for word in ["Mode:  0640", "User:  1234", "Group: 70000", "Size: 100000", "user.note", "Mon Jan  1 00:00:00 2024"]
    {
        assert!(secret.contains(word), "{word}: {secret}");
    }
    let program = asked("stat \"/opt/a program/it.py\"");
    assert!(program.contains("Sun Sep 13 12:26:40 2020"), "what was compiled of it counts: {program}");
    assert!(asked("stat /etc/link").contains("../usr/x"));
    assert!(!asked("ls /usr").contains("removed removed"), "what a layer took away");
}

pub fn the_same_image_gives_the_same_disk() {
    let (data, other) = (Data::new("disk-one"), Data::new("disk-other"));
    let digests = [&data, &other].map(|data| {
        let images = data.images();
        let digest = image(data, &images);
        images.write_disk(&digest, &config(DiskFormat::Raw, 200 << 20), &data.0.join("disk.raw")).unwrap();
        images.write_disk(&digest, &config(DiskFormat::Qcow2, 200 << 20), &data.0.join("disk.qcow2")).unwrap();
        digest
    });
    assert_eq!(digests[0], digests[1]);
    for name in ["disk.raw", "disk.qcow2"] {
        let (one, two) = (data.0.join(name), other.0.join(name));
        let same = Command::new("cmp").args([&one, &two]).output().unwrap();
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }
    let [raw, qcow] = ["disk.raw", "disk.qcow2"].map(|name| data.0.join(name).to_str().unwrap().to_owned());
    let found = judge("qemu-img", &["check", &qcow]);
    assert!(found.contains("No errors were found"), "{found}");
    judge("qemu-img", &["compare", "-f", "raw", "-F", "qcow2", &raw, &qcow]);
    assert!(fs::metadata(&qcow).unwrap().len() < 60 << 20, "only what holds something is written");
}

pub fn what_is_no_disk_is_said_before_anything_is_made() {
    let data = Data::new("disk-wrong");
    let images = data.images();
    let digest = image(&data, &images);
    let place = data.0.join("disk.raw");
    let refused = |digest: &Digest, config: &DiskConfig| {
        let failure = images.write_disk(digest, config, &place).unwrap_err();
        assert!(!place.exists() && !data.0.join("disk.raw.draft").exists());
        assert!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().next().is_none(), "a workplace was left");
        failure
    };
    let small = refused(&digest, &config(DiskFormat::Raw, 37 << 20));
    assert_eq!(small.summary, "the disk is too small for the image");
    let arguments = vec!["quiet; halt".to_owned()];
    refused(&digest, &DiskConfig { kernel_arguments: arguments, ..DiskConfig::default() });
    let from = Source::parse(data.0.join("root").to_str().unwrap(), Path::new("/")).unwrap();
    let without = images.base(&from, &|_| {}).unwrap().digest;
    assert_eq!(refused(&without, &DiskConfig::default()).summary, "the image has no kernel");
    // What is said to be needed is enough.
    let (_, needed) = small.detail.split_once("needs ").unwrap();
    let needed: u64 = needed.trim_end_matches("M.").parse().unwrap();
    images.write_disk(&digest, &config(DiskFormat::Raw, needed << 20), &place).unwrap();
}

pub fn the_disk_of_an_image_goes_with_it() {
    let data = Data::new("disk-kept");
    let images = data.images();
    let digest = image(&data, &images);
    let disk = std::thread::scope(|scope| {
        let two = [(); 2].map(|()| scope.spawn(|| images.disk(&digest).unwrap()));
        let [one, other] = two.map(|made| made.join().unwrap());
        assert_eq!(one, other);
        one
    });
    let made = fs::metadata(&disk).unwrap().modified().unwrap();
    assert_eq!(images.disk(&digest).unwrap(), disk);
    assert_eq!(fs::metadata(&disk).unwrap().modified().unwrap(), made, "it is made once");
    images.remove(&digest).unwrap();
    assert!(!disk.exists());
    assert!(images.disk(&digest).is_err());
}
