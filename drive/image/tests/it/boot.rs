//! Disks of an image with Debian's kernel, booted by QEMU from firmware on.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_image::{Digest, DiskConfig, DiskFormat, Images, RecipeKey};

use crate::debian;
use crate::tree::Data;

const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// UEFI for it: what it is, and what it remembers.
const UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"];
/// What the kernel starts: it says by what it came here, on what it is, and ends the machine.
const INIT: &str = "#!/bin/sh
by=BIOS
[ -d /sys/firmware/efi ] && by=UEFI
mount -o remount,rw /
echo kept > /kept
echo \"booted by $by: $(uname -r) $(findmnt -no TARGET,FSTYPE --raw /) $(cat /kept)\"
sync
echo o > /proc/sysrq-trigger
# Its power goes a moment later, and its disk before: no program could be read any more, and a shell that ends is a panic.
while :; do :; done
";
/// Without the processor's help, on a busy machine.
const LIMIT: Duration = Duration::from_secs(420);

/// Why no disk can be booted here.
pub fn unable() -> Option<String> {
    if !Path::new(QEMU).exists() {
        return Some("qemu-system-x86 is not installed".into());
    }
    crate::disk::unable().or_else(debian::unable)
}

/// An image with Debian's kernel. Made once, as it takes a while.
fn image(images: &Images) -> Digest {
    let packages = "linux-image-cloud-amd64";
    let recipe = format!("boot {INIT}");
    if let Some(known) = images.known(&RecipeKey::of([recipe.as_bytes()])) {
        return known;
    }
    let base = images.base(&debian::source(), &|line| println!("  {line}")).unwrap();
    debian::install_and(images, &base.digest, "boot", &recipe, packages, |root| {
        let init = root.join("usr/sbin/say");
        fs::write(&init, INIT).unwrap();
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    })
}

/// What a machine says on its serial console until it ends.
fn boot(data: &Data, name: &str, words: &[&str]) -> String {
    let console = data.0.join(name);
    let said = || String::from_utf8_lossy(&fs::read(&console).unwrap()).into_owned();
    let mut command = Command::new(QEMU);
    command
        .args("-nodefaults -display none -accel tcg,thread=multi -cpu max -m 512 -no-reboot -serial stdio".split(' '))
        .args(words);
    let (output, errors) = (File::create(&console).unwrap(), Stdio::inherit());
    let mut machine = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap();
    let start = Instant::now();
    loop {
        match machine.try_wait().unwrap() {
            Some(status) => {
                println!("  booted by {name} in {} ms", start.elapsed().as_millis());
                assert!(status.success(), "{status}: {}", said());
                return said();
            }
            None if start.elapsed() > LIMIT => {
                machine.kill().unwrap();
                machine.wait().unwrap();
                panic!("it did not come to its end: {}", said());
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

pub fn a_disk_boots_by_bios_and_by_uefi() {
    let images = debian::kept();
    let digest = image(&images);
    let data = Data::new("boot");
    let write = |format: DiskFormat, name: &str| {
        let mut config = DiskConfig { format, ..DiskConfig::default() };
        // A kernel that measures its time stamp counter (bit 4) on a busy machine takes seconds for minutes, and does not wait
        // for its disk. What starts it by UEFI does not start without one, so that only the kernel is to have none.
        config.kernel_arguments.extend(["init=/usr/sbin/say", "clearcpuid=4"].map(str::to_owned));
        let path = data.0.join(name);
        images.write_disk(&digest, &config, &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let raw = format!("file={},format=raw,if=virtio,cache=unsafe", write(DiskFormat::Raw, "disk.raw"));
    let check = |by: &str, said: &str| {
        let line = said.lines().find(|line| line.contains("booted by")).unwrap_or_else(|| panic!("{said}"));
        let is_whole = line.contains(&format!("booted by {by}: 6.1.")) && line.contains("-cloud-amd64 / ext4 kept");
        assert!(is_whole, "{line}");
    };
    let by_bios = || check("BIOS", &boot(&data, "BIOS", &["-machine", "pc", "-drive", &raw]));
    if let Some(missing) = UEFI.iter().find(|path| !Path::new(path).exists()) {
        println!("  skipped UEFI: {missing} is not there, as ovmf is not installed");
        return by_bios();
    }
    let qcow = format!("file={},format=qcow2,if=virtio,cache=unsafe", write(DiskFormat::Qcow2, "disk.qcow2"));
    let variables = data.0.join("variables");
    fs::copy(UEFI[1], &variables).unwrap();
    let code = format!("if=pflash,format=raw,unit=0,readonly=on,file={}", UEFI[0]);
    let variables = format!("if=pflash,format=raw,unit=1,file={}", variables.display());
    // Each has one processor busy.
    std::thread::scope(|scope| {
        scope.spawn(by_bios);
        let words = ["-machine", "q35", "-drive", &code, "-drive", &variables, "-drive", &qcow];
        check("UEFI", &boot(&data, "UEFI", &words));
    });
}
