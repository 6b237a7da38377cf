//! The versions of packages that a lock file names, by whole bakes: over a root file system with little more than apt, from a
//! repository on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::support::{Project, need_lab, serve};

/// What apt and dpkg run, and what the scripts of packages need.
const PROGRAMS: [&str; 17] = [
    "usr/bin/apt-get",
    "usr/bin/apt-cache",
    "usr/bin/apt-mark",
    "usr/bin/apt-config",
    "usr/bin/dpkg",
    "usr/bin/dpkg-deb",
    "usr/bin/dpkg-query",
    "usr/bin/dpkg-split",
    "usr/bin/rm",
    "usr/bin/tar",
    "usr/bin/diff",
    "usr/bin/cat",
    "usr/bin/env",
    "usr/lib/apt/methods/http",
    "usr/lib/apt/methods/store",
    "usr/lib/apt/methods/copy",
    "usr/bin/sh",
];

/// Copies apt, dpkg and the libraries that they need out of a Debian root file system. `false` where it is none.
fn root_with_apt(from: &Path, root: &Path) -> bool {
    for directory in [
        "dev",
        "etc/apt/preferences.d",
        "etc/apt/apt.conf.d",
        "etc/apt/sources.list.d",
        "proc",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "usr/sbin",
        "usr/lib/apt/methods",
        "var/cache/apt/archives/partial",
        "var/lib/apt/lists/partial",
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/triggers",
        "var/log/apt",
    ] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for (link, target) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(target, root.join(link)).unwrap();
    }
    let mut wanted: BTreeSet<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
    for program in PROGRAMS {
        let told = Command::new("chroot").arg(from).args(["ldd", &format!("/{program}")]).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        wanted.extend(told.split_whitespace().filter_map(|word| Some(word.strip_prefix('/')?.into())));
    }
    for path in wanted {
        let Ok(real) = fs::canonicalize(from.join(&path)) else { return false };
        // `/lib` is a link to `/usr/lib`.
        let to = match path.starts_with("usr") {
            true => root.join(&path),
            false => root.join("usr").join(&path),
        };
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(real, to).unwrap();
    }
    // dpkg asks for them before it does anything.
    for program in ["usr/sbin/ldconfig", "usr/sbin/start-stop-daemon"] {
        symlink("/usr/bin/true", root.join(program)).unwrap();
    }
    fs::create_dir_all(root.join("usr/share/dpkg")).unwrap();
    for file in ["usr/bin/true", "usr/share/dpkg/cputable", "usr/share/dpkg/ostable", "usr/share/dpkg/tupletable"] {
        fs::copy(from.join(file), root.join(file)).unwrap();
    }
    for (file, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        ("var/lib/dpkg/status", ""),
        ("var/lib/dpkg/available", ""),
    ] {
        fs::write(root.join(file), text).unwrap();
    }
    true
}

/// A package with one file, which is its version.
fn package(directory: &Path, version: &str) -> String {
    let tree = directory.join(format!("tool_{version}"));
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/tool")).unwrap();
    fs::write(tree.join("usr/share/tool/version"), version).unwrap();
    let control = format!(
        "Package: tool\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: made for a test\n"
    );
    fs::write(tree.join("DEBIAN/control"), &control).unwrap();
    let file = directory.join(format!("tool_{version}.deb"));
    let built = Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&tree).arg(&file).output();
    assert!(built.unwrap().status.success());
    let bytes = fs::read(&file).unwrap();
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{control}Filename: ./tool_{version}.deb\nSize: {}\nSHA256: {sum}\n\n", bytes.len())
}

#[test]
fn the_versions_that_are_locked_are_baked_while_they_can_be_had() {
    need_lab!();
    let from = std::env::var("ANDON_TEST_ROOT").map(PathBuf::from).unwrap_or_else(|_| "/".into());
    let mut project = Project::empty("locked-versions");
    let root = project.directory.join("root");
    if !from.join("usr/bin/apt-get").is_file() || !root_with_apt(&from, &root) {
        println!("skipped: there is no apt in {}", from.display());
        return;
    }
    let repository = project.directory.join("repository");
    fs::create_dir(&repository).unwrap();
    let (one, two) = (package(&repository, "1.0"), package(&repository, "2.0"));
    let offer = |packages: &[&str]| fs::write(repository.join("Packages"), packages.concat()).unwrap();
    let served = repository.clone();
    let port = serve("127.0.0.1:0", move |path| fs::read(served.join(path.trim_start_matches(['.', '/']))).ok());
    project.write("root/etc/apt/sources.list", &format!("deb [trusted=yes] http://127.0.0.1:{port}/ ./\n"));
    project.write("andon.hcl", "project \"p\" {}\n");
    project.write("roles/tool.role.hcl", "role \"tool\" {\n  package \"tool\" {}\n}\n");
    project.write("images/web.image.hcl", "image \"web\" {\n  from  = \"./root\"\n  roles = [\"tool\"]\n}\n");
    let lock = |project: &Project| fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    let bake = |project: &Project, words: &[&str]| -> String {
        project.ok(&[&["bake", "web"], words].concat()).out.trim().to_owned()
    };
    let another_machine = |project: &mut Project, name: &str| project.data_dir = project.directory.join(name);

    another_machine(&mut project, ".first");
    offer(&[&one]);
    let first = bake(&project, &[]);
    let locked = lock(&project);
    assert!(locked.contains("\"tool:all\" = \"1.0\""), "{locked}");
    // There is a newer one, on a machine that has nothing of the image yet.
    offer(&[&one, &two]);
    another_machine(&mut project, ".second");
    assert_eq!(bake(&project, &[]), first);
    assert_eq!(lock(&project), locked);
    // The newer one is taken where that is asked for, also on the machine that has seen the older list just now.
    another_machine(&mut project, ".first");
    let second = bake(&project, &["--update"]);
    assert_ne!(second, first);
    let updated = lock(&project);
    assert!(updated.contains("\"tool:all\" = \"2.0\""), "{updated}");
    let said = project.ok(&["image", "diff", &first, &second]).out;
    assert!(said.starts_with("~ package tool 1.0 → 2.0"), "{said}");
    // What is locked is newer than the list that a machine has.
    another_machine(&mut project, ".second");
    assert_eq!(bake(&project, &[]), second);
    // What is locked is to be had no longer.
    offer(&[&two]);
    project.write(".andon.lock.hcl", &locked);
    another_machine(&mut project, ".third");
    let ran = project.exits(1, &["bake", "web"]);
    let names_it = ran.err.contains("is not as it is locked") && ran.err.contains("tool 2.0");
    assert!(names_it && ran.err.contains("andon bake --update"), "{ran}");
    assert_eq!(lock(&project), locked);
    project.write(".andon.lock.hcl", &updated);
    assert_eq!(bake(&project, &[]), second);
}
