//! Servers that are machines of their own: a real kernel of Debian's, its cloud-init and its ssh server, in QEMU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{ANDON, Project, eventually, need_lab, share_images, traces};

/// What the kernel would have for processors that there are: each module is tested when it is loaded, which takes an emulated
/// one several seconds.
const ROLE: &str = r#"role "machine" {
  package "linux-image-cloud-amd64" {}
  package "cloud-init" {}
  package "openssh-server" {}
  package "iproute2" {}
  file "/etc/modprobe.d/emulated.conf" {
    content = <<-EOT
      blacklist aesni_intel
      blacklist ghash_clmulni_intel
      blacklist sha1_ssse3
      blacklist sha256_ssse3
      blacklist sha512_ssse3
      blacklist crc32_pclmul
      blacklist crct10dif_pclmul
      blacklist edac_mce_amd
      blacklist psmouse
      blacklist evdev
      blacklist i2c_piix4
      EOT
  }
}
"#;

const IMAGE: &str = "image \"machine\" {\n  from  = \"debian:bookworm\"\n  roles = [\"machine\"]\n}\n";

const STACK: &str = r##"resource "andon_image" "machine" { definition = "machine" }
resource "lab_network" "app" { name = "app" }
resource "lab_volume" "data" {
  size = "64M"
}
resource "lab_volume" "more" {
  size = "16M"
}
resource "lab_server" "db" {
  name       = "db"
  image      = andon_image.machine.digest
  network    = lab_network.app.id
  vm         = true
  emulate    = true
  memory     = "512M"
  disk       = "3G"
  volumes    = { "/srv" = lab_volume.data.id }
  performance {
    cpu  = "100K"
    disk = "10K"
  }
  cloud_init = "#cloud-config\nbootcmd:\n- echo first >/etc/first\nwrite_files:\n- path: /etc/told\n  content: told\n"
}
"##;

/// Why no machine can be run here.
fn is_unable() -> Option<&'static str> {
    let is_there = |path: &str| Path::new(path).exists();
    if !is_there("/usr/bin/qemu-system-x86_64") || !is_there("/usr/bin/qemu-img") {
        return Some("qemu-system-x86 is not installed");
    }
    if !is_there("/usr/bin/grub-mkimage") || !is_there("/usr/lib/grub/i386-pc/normal.mod") {
        return Some("grub-pc-bin is not installed");
    }
    (!is_there("/dev/net/tun")).then_some("there is no /dev/net/tun")
}

#[test]
fn a_machine_boots_its_image_keeps_its_files_and_comes_back() {
    need_lab!();
    if let Some(why) = is_unable() {
        return println!("skipped: {why}");
    }
    let mut project = Project::empty("machine");
    project.write("andon.hcl", "project \"machines\" {}\nenvironment \"dev\" {}\n");
    project.write("roles/machine.role.hcl", ROLE);
    project.write("images/machine.image.hcl", IMAGE);
    project.write("stacks/app/main.tf", STACK);
    // A kernel takes a while to install: its image stays for the next run.
    project.ok(&["bake", "machine"]);
    project.data_dir = project.directory.join(".data");
    share_images(&project.data_dir);
    project.program = small_program(&project);
    project.ok(&["up", "-y"]);

    let asked = |script: &str| project.ok(&["exec", script, "--on", "db"]).out;
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let said = asked(
        "uname -r; cat /etc/told; echo; cat /etc/first; hostname; findmnt -no FSTYPE /; getent hosts db.app.lab; systemctl is-system-running; \
         echo $(findmnt -no FSTYPE /srv) on /srv; [ $(df --output=size -m / | tail -1) -gt 2800 ] && echo grown; \
         echo kept >/root/kept; echo kept >/srv/kept; sync",
    );
    assert!(said.contains("cloud-amd64") && !said.contains(host.trim()), "{said}");
    for word in ["told", "first", "db", "ext4", "running", "ext4 on /srv", "grown"] {
        assert!(said.lines().any(|line| line.trim() == word), "{word}: {said}");
    }
    let console = project.ok(&["logs", "--console", "db"]).out;
    assert!(console.contains("Linux version"), "{console}");
    assert!(!console.contains("Invalid cloud-config"), "{console}");

    // Its disks come and go, and grow, while it runs.
    let identity = project.identities().into_iter().find(|identity| is_machine(identity)).unwrap();
    let process = machine(&identity);
    let status = fs::read_to_string(format!("/proc/{}/status", process.unwrap())).unwrap();
    let root = "Uid:\t0\t";
    assert!(!status.contains(root) && status.contains("CapEff:\t0000000000000000\n"), "it is nobody here: {status}");
    project.edit("stacks/app/main.tf", "64M", "96M");
    project.edit(
        "stacks/app/main.tf",
        "lab_volume.data.id }",
        "lab_volume.data.id, \"/opt/more\" = lab_volume.more.id }",
    );
    project.edit("stacks/app/main.tf", "3G", "4G");
    project.ok(&["up", "-y"]);
    let said = asked("df --output=size,target -m / /srv /opt/more");
    let sizes = said.lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok());
    let sizes: Vec<u64> = sizes.collect();
    assert!(matches!(*sizes, [3800..4096, 80..97, 8..17]), "{sizes:?}");
    project.edit("stacks/app/main.tf", ", \"/opt/more\" = lab_volume.more.id }", " }");
    project.write("stacks/app/backup.tf", "resource \"lab_snapshot\" \"data\" { volume = lab_volume.data.id }\n");
    project.ok(&["up", "-y"]);
    let said = asked("ls /dev/disk/by-id | wc -l; cat /proc/mounts /etc/fstab; echo after >/srv/after");
    assert!(said.lines().any(|line| line.trim() == "1") && !said.contains("/opt/more"), "{said}");
    assert_eq!(machine(&identity), process, "it was not started again");
    assert!(project.ok(&["drift"]).out.contains("everything is as defined"));

    // As after a loss of power; and another size of it.
    // SAFETY: a signal to the process that was just found.
    unsafe { libc::kill(process.unwrap(), libc::SIGKILL) };
    eventually("the machine is dead", Duration::from_secs(60), || machine(&identity).is_none());
    project.edit("stacks/app/main.tf", "512M", "640M");
    let planned = project.ok(&["plan"]).out;
    assert!(planned.contains("running") && planned.contains("640M"), "{planned}");
    project.ok(&["up", "-y"]);
    let said = asked("cat /root/kept /srv/kept; findmnt -no SOURCE /srv");
    assert!(said.matches("kept").count() == 2 && said.contains("/dev/vd"), "{said}");
    assert!(project.ok(&["plan", "--detailed-exitcode"]).out.contains("no changes"));

    project.ok(&["down", "-y"]);
    assert!(machine(&identity).is_none());
    let left = traces(&project.data_dir);
    assert!(left.iter().all(|name| !name.contains(&identity)), "{left:?}");
}

/// The binary without what only a debugger needs, which is most of it: it is sent into a machine whose processor is emulated.
fn small_program(project: &Project) -> PathBuf {
    let small = project.directory.join("andon");
    let stripped = Command::new("strip").arg("-o").arg(&small).arg(ANDON).status();
    if stripped.is_ok_and(|status| status.success()) { small } else { ANDON.into() }
}

fn is_machine(identity: &str) -> bool {
    machine(identity).is_some()
}

/// The process of a machine, found by its control group.
fn machine(identity: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|process| {
            let is_qemu = fs::read_link(format!("/proc/{process}/exe"))
                .is_ok_and(|program| program.to_string_lossy().contains("qemu-system"));
            let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
            is_qemu && groups.contains(identity)
        })
        .min()
}
