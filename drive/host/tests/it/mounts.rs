//! Mounts in a mount namespace of the test's own.

use andon_converge::Mode;
use andon_schema::host::HostResource;
use andon_value::{Type, Value};

use crate::converge::{apply, catalog, converge, resource};
use crate::root::{in_a_root, mounts, text};

fn mount(path: &str, given: &[(&str, Value)]) -> HostResource {
    resource("mount", path, given)
}

fn options(words: &[&str]) -> Value {
    Value::list(Type::String, words.iter().map(|word| Value::from(*word)))
}

fn at(path: &str) -> Option<String> {
    mounts().lines().rev().find(|line| line.split(' ').nth(4) == Some(path)).map(str::to_owned)
}

#[test]
fn mounts_come_change_and_go() {
    in_a_root(|| {
        std::fs::write("/etc/fstab", "# kept\n").unwrap();
        let memory = |words: &[&str]| {
            mount(
                "/srv/my data",
                &[("device", "tmpfs".into()), ("fstype", "tmpfs".into()), ("options", options(words))],
            )
        };
        apply(vec![memory(&["size=1M", "mode=0750", "nosuid"])], 1);
        let fstab = || text("/etc/fstab").unwrap();
        assert_eq!(fstab(), "# kept\ntmpfs /srv/my\\040data tmpfs size=1M,mode=0750,nosuid 0 0\n");
        assert!(at("/srv/my\\040data").unwrap().contains("size=1024k"), "{}", mounts());
        // By other hands.
        std::process::Command::new("mount").args(["-o", "remount,exec,ro", "/srv/my data"]).status().unwrap();
        apply(vec![memory(&["size=1M", "mode=0750", "nosuid"])], 1);
        apply(vec![memory(&["mode=0750", "nosuid", "size=1024k"])], 1);
        apply(vec![memory(&["size=2M", "noexec"])], 1);
        let line = at("/srv/my\\040data").unwrap();
        assert!(line.contains("noexec") && !line.contains("nosuid") && line.contains("size=2048k"), "{line}");

        std::fs::create_dir("/srv/from").unwrap();
        std::fs::write("/srv/from/x", "x").unwrap();
        std::fs::write("/srv/file", "bound").unwrap();
        let bind = |path: &str, from: &str, words: &[&str]| {
            mount(path, &[("device", from.into()), ("options", options(words))])
        };
        apply(vec![bind("/srv/bound", "/srv/from", &["bind", "ro"]), bind("/srv/one", "/srv/file", &["bind"])], 2);
        assert_eq!((text("/srv/bound/x").as_deref(), text("/srv/one").as_deref()), (Some("x"), Some("bound")));
        assert!(std::fs::write("/srv/bound/y", "").is_err(), "it is read-only");
        apply(vec![bind("/srv/bound", "/srv/from", &["bind"])], 1);
        std::fs::write("/srv/bound/y", "").unwrap();
        apply(vec![bind("/srv/bound", "/srv/my data", &["bind"])], 1);
        assert_eq!(text("/srv/bound/x"), None);

        let gone = |path: &str| HostResource { absent: true, ..mount(path, &[]) };
        apply(vec![gone("/srv/bound"), gone("/srv/one"), gone("/srv/my data"), gone("/srv/never")], 3);
        assert_eq!((fstab().as_str(), at("/srv/my\\040data"), at("/srv/bound")), ("# kept\n", None, None));
    });
}

#[test]
fn a_file_is_mounted_by_way_of_a_loop_device() {
    in_a_root(|| {
        let made = std::process::Command::new("sh")
            .args([
                "-c",
                "truncate -s 4M /srv/disk && mkfs.ext4 -q /srv/disk && mount -o loop /srv/disk /mnt && umount /mnt",
            ])
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            return println!("skipped: this machine gives no loop device or has no mkfs.ext4");
        }
        let disk = |words: &[&str]| {
            mount(
                "/srv/data",
                &[("device", "/srv/disk".into()), ("fstype", "ext4".into()), ("options", options(words))],
            )
        };
        apply(vec![disk(&["loop", "noatime"])], 1);
        apply(vec![disk(&["loop", "noatime", "ro"])], 1);
        apply(vec![disk(&["loop"])], 1);
        apply(vec![HostResource { absent: true, ..mount("/srv/data", &[]) }], 1);
        assert_eq!(at("/srv/data"), None);
    });
}

#[test]
fn what_is_in_use_cannot_be_unmounted_and_says_so() {
    in_a_root(|| {
        apply(vec![mount("/srv/a", &[("device", "tmpfs".into()), ("fstype", "tmpfs".into())])], 1);
        let _open = std::fs::File::create("/srv/a/open").unwrap();
        let gone = HostResource { absent: true, ..mount("/srv/a", &[]) };
        let report = converge(&catalog(vec![gone]), Mode::Apply);
        assert!(format!("{report:?}").contains("target is busy"), "{report:?}");
    });
}
