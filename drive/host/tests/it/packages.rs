use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_host::{act, observe};
use andon_schema::host::{Act, Look, Package, Sight, Stage};

use crate::root::in_a_root;

const SOURCE: &str = "/srv/repository";

/// Makes a source of packages out of nothing, the only one that apt knows.
pub fn source(packages: &[(&str, &str, &str)]) {
    let list = packages.iter().map(|(name, version, script)| {
        let tree = format!("/srv/build/{name}_{version}");
        fs::create_dir_all(format!("{tree}/DEBIAN")).unwrap();
        fs::create_dir_all(format!("{tree}/etc/{name}")).unwrap();
        fs::write(format!("{tree}/etc/{name}/shipped"), version).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.org>\n\
             Provides: {name}-provided\nDescription: made for a test\n"
        );
        fs::write(format!("{tree}/DEBIAN/control"), &control).unwrap();
        let postinst = format!("{tree}/DEBIAN/postinst");
        fs::write(&postinst, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
        run("chmod", &["755", &postinst]);
        fs::create_dir_all(SOURCE).unwrap();
        let file = format!("{name}_{version}.deb");
        run("dpkg-deb", &["--build", &tree, &format!("{SOURCE}/{file}")]);
        let size = fs::metadata(format!("{SOURCE}/{file}")).unwrap().len();
        let digest = Command::new("sha256sum").arg(format!("{SOURCE}/{file}")).output().unwrap().stdout;
        let digest = String::from_utf8_lossy(&digest).split(' ').next().unwrap().to_owned();
        format!("{control}Filename: ./{file}\nSize: {size}\nSHA256: {digest}\n\n")
    });
    let list: String = list.collect();
    fs::write(format!("{SOURCE}/Packages"), list).unwrap();
    for directory in ["/etc/apt/sources.list.d", "/var/lib/apt/lists"] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).unwrap();
    }
    fs::write("/etc/apt/sources.list", format!("deb [trusted=yes] file:{SOURCE} ./\n")).unwrap();
}

fn run(tool: &str, arguments: &[&str]) {
    let output = Command::new(tool).args(arguments).output().unwrap();
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
}

fn look(name: &str) -> Package {
    match observe(&[Look::Package(name.into())], Stage::Image).remove(0) {
        Sight::Package(package) => package,
        other => unreachable!("{other:?}"),
    }
}

fn broken() -> bool {
    observe(&[Look::Packages], Stage::Image) == [Sight::Packages { broken: true }]
}

fn install(names: &[&str]) -> Result<(), String> {
    act(&[Act::InstallPackages(names.iter().map(|name| Arc::from(*name)).collect())], Stage::Image).remove(0)
}

pub fn has_apt() -> bool {
    let has = std::path::Path::new("/usr/bin/apt-get").exists();
    if !has {
        println!("skipped: this machine has no apt");
    }
    has
}

#[test]
fn packages_come_change_and_go() {
    if !has_apt() {
        return;
    }
    in_a_root(|| {
        source(&[("andon-one", "1.0", ""), ("andon-one", "2.0", ""), ("andon-two", "1.0", "false")]);
        assert_eq!(look("andon-one"), Package::Missing);
        install(&["andon-one=1.0"]).unwrap();
        assert_eq!(look("andon-one"), Package::Installed("1.0".into()));
        assert_eq!(look("andon-one-provided"), Package::Provided);
        fs::write("/etc/andon-one/shipped", "mine").unwrap();
        install(&["andon-one=2.*"]).unwrap();
        assert_eq!(look("andon-one"), Package::Installed("2.0".into()));
        install(&["andon-one=1.0"]).unwrap();
        assert_eq!(look("andon-one"), Package::Installed("1.0".into()), "a version is what is asked");
        act(&[Act::RemovePackages(vec!["andon-one".into()])], Stage::Image).remove(0).unwrap();
        assert_eq!(look("andon-one"), Package::Missing);
        let reason = install(&["andon-one", "andon-none"]).unwrap_err();
        assert!(reason.contains("E: Unable to locate package andon-none"), "{reason}");
        assert!(!reason.contains("Reading package lists"), "{reason}");
        let reason = install(&["andon-two"]).unwrap_err();
        assert!(reason.contains("andon-two"), "{reason}");
        assert_eq!(look("andon-two"), Package::Missing, "half-configured is not installed");
        assert!(broken());
    });
}

#[test]
fn an_installation_that_was_killed_is_finished() {
    if !has_apt() {
        return;
    }
    in_a_root(|| {
        source(&[("andon-slow", "1.0", "test -e /srv/fast || sleep 60")]);
        let mut child = Command::new("sh")
            .args(["-c", "apt-get update -q && exec apt-get install -y andon-slow"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let is_under_way = || {
            fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| line.starts_with(b"/bin/sh\0/var/lib/dpkg/info/andon-slow"))
            })
        };
        while !is_under_way() {
            assert!(Instant::now() < deadline, "the installation does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_tree(child.id());
        child.wait().unwrap();
        assert_eq!(look("andon-slow"), Package::Missing);
        assert!(broken());
        fs::write("/srv/fast", "").unwrap();
        let outcomes = act(&[Act::RepairPackages, Act::InstallPackages(vec!["andon-slow".into()])], Stage::Image);
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        assert_eq!(look("andon-slow"), Package::Installed("1.0".into()));
        assert!(!broken());
    });
}

/// Kills a process and all that it started, at once.
fn kill_tree(process: u32) {
    let mut tree = vec![process];
    let mut at = 0;
    while at < tree.len() {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", tree[at])).unwrap_or_default();
        tree.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        at += 1;
    }
    for process in tree {
        let process = nix::unistd::Pid::from_raw(process.try_into().unwrap());
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL);
    }
}
