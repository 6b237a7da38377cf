//! What a machine is told to do while it runs, over ssh: scripts for any shell, which do what is not done yet.
//!
//! That a volume is one of its disks does not mount it, and that a disk is larger does not grow what is on it: both is for
//! the machine's own kernel to do.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use andon_schema::Failure;

use super::{Login, disks};
use crate::block::FileSystem;
use crate::failure::{OrFail, sentence};

/// What marks the lines of its table of file systems that are ours.
const MARK: &str = "x-andon";
/// What `umount` says of what is in use, in English.
const BUSY: &str = "target is busy";

/// A volume at a path of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The volume's.
    pub id: String,
    pub path: String,
    pub system: FileSystem,
}

/// Before all scripts. A mounted ext4 is grown by the kernel itself (`EXT4_IOC_RESIZE_FS`, linux/ext4.h), which takes no more than
/// the Python that cloud-init is written in: an image need not have the tools of ext4.
const OPENING: &str = "set -eu\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH LC_ALL=C\n\
    is_mounted() { [ -b \"$1\" ] && grep -q \"^$(readlink -f \"$1\") \" /proc/self/mounts; }\n\
    await() { n=0; until eval \"$1\"; do n=$((n+1)); if [ $n -gt 600 ]; then echo \"$2\" >&2; exit 1; fi; sleep 0.1; done; }\n\
    grow_ext4() { python3 -c 'import fcntl,os,struct,sys; d=os.open(sys.argv[1],os.O_RDONLY); \
    fcntl.ioctl(d,0x40086610,struct.pack(\"Q\",int(sys.argv[2])//os.fstatvfs(d).f_bsize))' \"$1\" \"$2\"; }\n";

/// Has a machine mount its volumes, all of them, now and whenever it boots: before what needs its local file systems.
pub(super) fn mounting(all: &[Mount]) -> String {
    let mut script = format!(
        "{OPENING}touch /etc/fstab\n{{ grep -v {MARK} /etc/fstab || :; cat <<'END'\n{}END\n}} >/etc/fstab.andon\n\
         if cmp -s /etc/fstab.andon /etc/fstab; then rm /etc/fstab.andon\n\
         else chmod 644 /etc/fstab.andon; mv /etc/fstab.andon /etc/fstab\n\
         if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi; fi\n",
        table(all)
    );
    for mount in all {
        let (device, path) = (disks::device(&mount.id), quoted(&mount.path));
        let _ = writeln!(
            script,
            "await '[ -b {device} ]' 'There is no {device}.'\n\
             is_mounted {device} || {{ mkdir -p {path}; mount -t {} -o nodev {device} {path}; }}",
            mount.system.name()
        );
    }
    script
}

/// The lines of its table: fstab(5), systemd.mount(5).
fn table(all: &[Mount]) -> String {
    let line = |mount: &Mount| {
        let options = format!("nodev,nofail,x-systemd.before=local-fs.target,x-systemd.device-timeout=60s,{MARK}");
        let path: String = mount.path.chars().map(escaped).collect();
        format!("{} {path} {} {options} 0 2\n", disks::device(&mount.id), mount.system.name())
    };
    all.iter().map(line).collect()
}

/// What fstab(5) takes for an end is written as an octal number.
fn escaped(character: char) -> String {
    match character {
        ' ' | '\t' | '\\' | '#' => format!("\\{:03o}", u32::from(character)),
        other => other.to_string(),
    }
}

/// Has a machine no longer use a volume.
pub(super) fn unmounting(id: &str) -> String {
    let device = disks::device(id);
    format!("{OPENING}sync\nwhile is_mounted {device}; do umount {device}; done\n")
}

/// Has a machine use all of a volume that has become larger.
pub(super) fn growing(mount: &Mount, bytes: u64) -> String {
    let (device, path) = (disks::device(&mount.id), quoted(&mount.path));
    let grow = match mount.system {
        FileSystem::Ext4 => format!("grow_ext4 {path} {bytes}"),
        FileSystem::Xfs => format!("xfs_growfs {path}"),
        FileSystem::Btrfs => format!("btrfs filesystem resize max {path}"),
    };
    format!(
        "{OPENING}await '[ \"$(blockdev --getsize64 {device})\" = {bytes} ]' 'The disk is not larger yet.'\n{grow}\n"
    )
}

/// Has a machine use all of the disk that it boots from: its root file system is on the last partition.
pub(super) fn growing_root(bytes: u64) -> String {
    format!(
        "{OPENING}part=$(readlink -f \"/sys/dev/block/$(mountpoint -d /)\")\ndisk=/dev/$(basename \"$(dirname \"$part\")\")\n\
         number=$(cat \"$part/partition\")\nroot=/dev/${{part##*/}}\n\
         await '[ \"$(blockdev --getsize64 $disk)\" = {bytes} ]' 'The disk is not larger yet.'\n\
         {}partx -u --nr \"$number\" \"$disk\"\ngrow_ext4 / \"$(blockdev --getsize64 \"$root\")\"\n",
        table_growing("$disk", "$root")
    )
}

/// Writes the partition table of a disk anew so that a partition, the last, reaches to the end: the table itself comes to
/// the new end with it.
fn table_growing(disk: &str, partition: &str) -> String {
    format!(
        "sfdisk -d \"{disk}\" | sed -e '/^last-lba:/d' -e \"\\\\#^{partition} #s/size= *[0-9]*, *//\" >/run/andon-table\n\
         sfdisk --no-reread --no-tell-kernel --force -q \"{disk}\" </run/andon-table\nrm /run/andon-table\n"
    )
}

/// Holds a volume still, or lets it go on: fsfreeze(8).
pub(super) fn freezing(path: &str, freeze: bool) -> String {
    format!("{OPENING}fsfreeze {} {}\n", if freeze { "--freeze" } else { "--unfreeze" }, quoted(path))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// How long a machine may take until it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Has it end all that it does, and itself, without waiting for that.
pub(super) const SHUTDOWN: &str = "sync; systemctl --no-block poweroff || poweroff\n";

/// Has a machine run a script as root.
pub(super) fn run(login: &Login, what: &str, script: &str) -> Result<(), Failure> {
    run_within(login, what, script, ANSWER_LIMIT)
}

/// The same where it answers in time.
pub(super) fn run_within(login: &Login, what: &str, script: &str, limit: Duration) -> Result<(), Failure> {
    let failed = || format!("the machine cannot {what}");
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-T", "-x", "-l", "root", "-i"]).arg(&login.key);
    let known = format!("UserKnownHostsFile=\"{}\"", login.known_hosts.display());
    let options = ["GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "HostKeyAlgorithms=ssh-ed25519"];
    let limits = ["IdentitiesOnly=yes", "BatchMode=yes", "ServerAliveInterval=15"];
    let limit = format!("ConnectTimeout={}", limit.as_secs());
    for option in options.into_iter().chain(limits).chain([&*known, &*limit]) {
        command.args(["-o", option]);
    }
    command.args(["--", &login.address.to_string(), "exec /bin/sh -s"]).env("LC_ALL", "C").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().or_fail(|| "cannot run ssh".into())?;
    // One that ends early says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().or_fail(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let failure = Failure::new(failed(), if said.is_empty() { output.status.to_string() } else { sentence(said) });
    Err(if said.contains(BUSY) { failure.help("Stop what uses it in the machine, then try again.") } else { failure })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn mount(id: &str, path: &str, system: FileSystem) -> Mount {
        Mount { id: id.to_owned(), path: path.to_owned(), system }
    }

    #[test]
    fn scripts_are_sound() {
        let mounts = [mount("1", "/srv/it's", FileSystem::Ext4), mount("2", "/data b", FileSystem::Xfs)];
        let mut scripts = vec![mounting(&mounts), mounting(&[]), unmounting("1"), growing_root(1 << 30)];
        scripts.extend(FileSystem::ALL.map(|system| growing(&mount("1", "/a b", system), 1 << 30)));
        scripts.extend([true, false].map(|freeze| freezing("/it's", freeze)));
        for script in scripts {
            let output = Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let words = "nodev,nofail,x-systemd.before=local-fs.target,x-systemd.device-timeout=60s,x-andon 0 2";
        let lines = format!(
            "/dev/disk/by-id/virtio-1 /srv/it's ext4 {words}\n/dev/disk/by-id/virtio-2 /data\\040b xfs {words}\n"
        );
        assert_eq!(table(&mounts), lines);
    }

    #[test]
    fn the_table_of_file_systems_keeps_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let fstab = folder.path().join("fstab");
        fs::write(&fstab, "# mine\n/dev/vda3 / ext4 defaults 0 1\n").unwrap();
        let run = |all: &[Mount]| {
            // Its first half, on a table of the test's own.
            let script = mounting(all).replace("/etc/fstab", fstab.to_str().unwrap());
            let table = script.split("if [ -d /run/systemd/system ]").next().unwrap().to_owned() + "fi\n";
            let output = Command::new("sh").args(["-c", &table]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::read_to_string(&fstab).unwrap()
        };
        let one = mount("1", "/srv", FileSystem::Ext4);
        let (before, with) = (fs::read_to_string(&fstab).unwrap(), run(std::slice::from_ref(&one)));
        assert_eq!(with, format!("{before}{}", table(std::slice::from_ref(&one))));
        assert_eq!(run(std::slice::from_ref(&one)), with);
        assert_eq!(run(&[]), before);
        assert!(!folder.path().join("fstab.andon").exists());
    }

    #[test]
    fn a_partition_grows_with_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        File::create(&disk).unwrap().set_len(64 << 20).unwrap();
        let sh = |script: &str| {
            let mut command = Command::new("sh");
            let output = command.args(["-euc", script]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (output.status.success(), said)
        };
        if !sh("command -v sfdisk").0 {
            return println!("skipped: sfdisk is not installed");
        }
        let place = disk.to_str().unwrap();
        let made = sh(&format!("printf 'label: gpt\\nstart=2048, size=2048\\nstart=4096\\n' | sfdisk -q {place}"));
        assert!(made.0, "{}", made.1);
        let identities = || -> Vec<String> {
            let dumped = sh(&format!("sfdisk -d {place}")).1;
            let words = dumped.split([' ', '\n', ',']).filter(|word| word.starts_with("uuid=")).map(str::to_owned);
            words.chain(dumped.lines().filter(|line| line.starts_with("label-id")).map(str::to_owned)).collect()
        };
        let before = identities();
        File::options().write(true).open(&disk).unwrap().set_len(128 << 20).unwrap();
        let script = table_growing(place, &format!("{place}2"));
        let grown = sh(&script.replace("/run/andon-table", &format!("{place}.table")));
        assert!(grown.0, "{}", grown.1);
        let (is_sound, said) = sh(&format!("sfdisk --verify {place} && sfdisk -d {place}"));
        assert!(is_sound && said.contains("No errors"), "{said}");
        assert_eq!(identities(), before);
        let size = |number: usize| -> u64 {
            let line = said.lines().find(|line| line.starts_with(&format!("{place}{number} "))).unwrap();
            line.split("size=").nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap()
        };
        assert_eq!(size(1), 2048);
        // All but the table's second copy, in whole MiB.
        assert!((size(2) + 4096) * 512 >= 127 << 20, "{said}");
    }
}
