use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_host::{Progress, act, act_while, observe};
use andon_schema::host::{Act, Install, Look, Package, Sight, Stage, Uninstall};

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
        fs::write(format!("{tree}/DEBIAN/conffiles"), format!("/etc/{name}/shipped\n")).unwrap();
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
    matches!(&*observe(&[Look::Packages], Stage::Image), [Sight::Packages(packages)] if packages.broken)
}

fn install(names: &[&str]) -> Result<(), String> {
    install_so(names, Install::default())
}

fn install_so(names: &[&str], how: Install) -> Result<(), String> {
    let packages = names.iter().map(|name| Arc::from(*name)).collect();
    act(&[Act::InstallPackages(Install { packages, ..how })], Stage::Image).remove(0)
}

fn installed(version: &str) -> Package {
    Package::Installed { version: version.into(), held: false }
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
        assert_eq!(look("andon-one"), installed("1.0"));
        assert_eq!(look("andon-one-provided"), Package::Provided);
        fs::write("/etc/andon-one/shipped", "mine").unwrap();
        install(&["andon-one=2.*"]).unwrap();
        assert_eq!(look("andon-one"), installed("2.0"));
        let candidates = observe(&[Look::Candidates("andon-one".into())], Stage::Image);
        assert_eq!(candidates, [Sight::Candidates(vec!["2.0".into(), "1.0".into()])]);
        assert!(install(&["andon-one=1.0"]).is_err(), "nothing is put back by itself");
        install_so(&["andon-one=1.0"], Install { downgrade: true, ..Install::default() }).unwrap();
        assert_eq!(look("andon-one"), installed("1.0"), "a version is what is asked");
        let hold =
            |hold| act(&[Act::HoldPackages { packages: vec!["andon-one".into()], hold }], Stage::Image).remove(0);
        hold(true).unwrap();
        assert_eq!(look("andon-one"), Package::Installed { version: "1.0".into(), held: true });
        hold(false).unwrap();
        assert_eq!(look("andon-one"), installed("1.0"));
        let file = format!("{SOURCE}/andon-one_2.0.deb");
        let found = observe(&[Look::PackageFile(file.as_str().into())], Stage::Image).remove(0);
        assert!(matches!(found, Sight::PackageFile(Some(it)) if &*it.name == "andon-one" && &*it.version == "2.0"));
        install(&[&file]).unwrap();
        assert_eq!(look("andon-one"), installed("2.0"));
        let remove = |purge| {
            let packages = vec!["andon-one".into()];
            act(&[Act::RemovePackages(Uninstall { packages, purge, unneeded: true })], Stage::Image).remove(0).unwrap();
        };
        remove(false);
        assert_eq!(look("andon-one"), Package::Kept);
        remove(true);
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
        let packages = Install { packages: vec!["andon-slow".into()], ..Install::default() };
        let outcomes = act(&[Act::RepairPackages, Act::InstallPackages(packages)], Stage::Image);
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        assert_eq!(look("andon-slow"), installed("1.0"));
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

#[test]
fn a_lock_is_waited_for() {
    if !has_apt() {
        return;
    }
    in_a_root(|| {
        source(&[("andon-one", "1.0", "")]);
        // The lock is of another process, as one of this process would not be in its way.
        let script = "import fcntl, sys, time\nfile = open('/var/lib/dpkg/lock-frontend', 'w')\n\
            fcntl.lockf(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()\n";
        let child = Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return println!("skipped: this machine has no python3") };
        let mut line = [0; 4];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let install = Install { packages: vec!["andon-one".into()], ..Install::default() };
        let mut said = Vec::new();
        let mut stdin = child.stdin.take();
        let outcomes = act_while(&[Act::InstallPackages(install)], Stage::Image, None, &mut |progress| {
            if let Progress::Waits(line) = progress {
                said.push(line.to_owned());
                drop(line.starts_with("waiting").then(|| stdin.take()));
            }
            true
        });
        child.wait().unwrap();
        assert_eq!(outcomes, [Ok(())]);
        let expected = format!("waiting for python3 (process {}) to release the package database", child.id());
        assert!(said.contains(&expected), "{said:?}");
    });
}
