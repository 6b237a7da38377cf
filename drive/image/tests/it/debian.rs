//! Images over Debian, made from the packages of its mirror.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use andon_image::{Digest, Images, RecipeKey, Settings, Source};
use andon_schema::Identity;

use crate::start_worker;
use crate::tree::{Data, overlay};

const RELEASE: &str = "debian:bookworm";

/// Why Debian's packages cannot be had here.
pub fn unable() -> Option<String> {
    if !Path::new("/usr/bin/mmdebstrap").exists() {
        return Some("mmdebstrap is not installed".into());
    }
    let fetched = Command::new("apt-get").args(["-qq", "indextargets"]).output();
    let mirror =
        ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=5", "-qq", "download", "--print-uris", "hello"];
    match (fetched, Command::new("apt-get").args(mirror).output()) {
        (Ok(targets), Ok(_)) if targets.status.success() && !targets.stdout.is_empty() => None,
        _ => Some("no package mirror is configured".into()),
    }
}

pub fn source() -> Source {
    Source::parse(RELEASE, Path::new("/")).unwrap()
}

/// A base takes a while: it stays for the next run, beside what the compiler made.
pub fn kept() -> Images {
    Images::open(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("debian"), Settings::default()).unwrap()
}

fn install(images: &Images, base: &Digest, identity: &str, recipe: &str, packages: &str) -> Digest {
    install_and(images, base, identity, recipe, packages, |_| {})
}

/// Bakes packages, and what is written after that, over a base.
pub fn install_and(
    images: &Images,
    base: &Digest,
    identity: &str,
    recipe: &str,
    packages: &str,
    write: impl Fn(&Path) + Sync,
) -> Digest {
    let bake = images.begin(&Identity::parse(identity).unwrap(), base).unwrap();
    overlay(bake.lower(), &bake.upper(), &bake.work(), |root| {
        let script = "mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs tmpfs /run; mount -t proc proc /proc; \
             mount -t devtmpfs devtmpfs /dev; apt-get -qq update && apt-get -qqy install --no-install-recommends $0 && useradd worker";
        let resolver = root.join("etc/resolv.conf");
        nix::mount::mount(
            Some("/etc/resolv.conf"),
            &resolver,
            None::<&str>,
            nix::mount::MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
        let output = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "chroot"])
            .arg(root)
            .args(["sh", "-c", &script.replace("$0", packages)])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("SOURCE_DATE_EPOCH", "1704067200")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        write(root);
    });
    bake.commit(&RecipeKey::of([recipe.as_bytes()])).unwrap()
}

pub fn the_same_packages_give_the_same_image() {
    let images = kept();
    images.sweep().unwrap();
    let start = Instant::now();
    let base = images.base(&source(), &|line| println!("  {line}")).unwrap();
    println!("  base {} in {} ms", base.digest, start.elapsed().as_millis());
    for file in ["etc/machine-id", "etc/resolv.conf"] {
        assert_eq!(fs::read_to_string(base.lower[0].join(file)).unwrap(), "", "{file}");
    }
    assert!(
        base.lower[0].join("usr/lib/systemd/systemd").exists() || base.lower[0].join("lib/systemd/systemd").exists()
    );
    let digests: Vec<Digest> = ["first", "second"]
        .iter()
        .map(|name| {
            let start = Instant::now();
            let digest = install(&images, &base.digest, name, name, "cron ssl-cert");
            println!("  image {digest} in {} ms", start.elapsed().as_millis());
            digest
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    images.remove(&digests[0]).unwrap();
}

pub fn a_killed_base_leaves_nothing_after_a_sweep() {
    let data = Data::new("debian-killed");
    let directory = data.0.join("data");
    for delay_ms in [300, 2500] {
        let mut worker = start_worker(&directory, "base", RELEASE);
        std::thread::sleep(Duration::from_millis(delay_ms));
        worker.kill().unwrap();
        worker.wait().unwrap();
        data.images().sweep().unwrap();
        assert_eq!(fs::read_dir(directory.join("images/tmp")).into_iter().flatten().count(), 0);
        let start = Instant::now();
        while mentioned(&directory) {
            assert!(start.elapsed() < Duration::from_secs(30), "a process of the killed one is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert_eq!(data.images().list().unwrap(), []);
}

pub fn any_mirror_gives_what_is_locked() {
    let data = Data::new("debian-mirrors");
    // The same mirror by another name.
    let settings = Settings { debian_mirror: Some("http://deb.debian.org:80/debian".into()), ..Settings::default() };
    let images = Images::open(&data.0.join("data"), settings).unwrap();
    let own = Settings { debian_mirror: Some("http://deb.debian.org/debian".into()), ..Settings::default() };
    let elsewhere = Images::open(&data.0.join("elsewhere"), own).unwrap();
    let one = images.base(&source(), &|_| {}).unwrap().digest;
    let other = elsewhere.base(&source(), &|_| {}).unwrap().digest;
    assert_eq!(one, other, "an image says nothing of the mirror that it was made from");
    let list = fs::read_to_string(images.lower_dirs(&one).unwrap()[0].join("etc/apt/sources.list")).unwrap();
    assert!(list.starts_with("deb http://deb.debian.org/debian "), "{list}");
    // What is baked over it asks that mirror, and not the one that it names.
    let seen = |images: &Images| -> Vec<String> {
        let bake = images.begin(&Identity::parse("look").unwrap(), &one).unwrap();
        let places = bake.fetched().iter().flat_map(|it| &it.lower).map(|place| place.join("andon-sources"));
        places.filter_map(|place| fs::read_to_string(place).ok()).collect()
    };
    assert_eq!(seen(&elsewhere), Vec::<String>::new());
    assert!(matches!(&*seen(&images), [text] if text.starts_with("deb http://deb.debian.org:80/debian ")));
    let source = source();
    let locked = images.lock_digest(&source, &one).unwrap();
    assert_eq!(elsewhere.lock_digest(&source, &other).unwrap(), locked);
    // Somebody's image is locked to what it is, also where it holds the same.
    let registry = Source::parse("registry.example/team/base:1", Path::new("/")).unwrap();
    assert_eq!(images.lock_digest(&registry, &one).unwrap(), one);
    assert_eq!(images.locked_base(&registry, &locked), None);
    let found = (images.locked_base(&source, &locked), elsewhere.locked_base(&source, &locked));
    assert_eq!(found, (Some(one), Some(other)));
    assert_eq!(images.locked_base(&source, &Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap()), None);
}

pub fn a_mirror_that_is_not_there_is_said_so() {
    let data = Data::new("debian-mirror");
    let settings = Settings { debian_mirror: Some("http://127.0.0.1:9/debian".into()), ..Settings::default() };
    let images = Images::open(&data.0.join("data"), settings).unwrap();
    let failure = images.base(&source(), &|_| {}).unwrap_err();
    assert_eq!(failure.summary, "the package mirror cannot be reached", "{failure}");
    assert!(failure.detail.contains("http://127.0.0.1:9/debian"), "{failure}");
    assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().count(), 0);
}

/// Whether any process's command names the directory.
fn mentioned(directory: &Path) -> bool {
    let name = directory.to_str().unwrap().as_bytes();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.windows(name.len()).any(|part| part == name))
    })
}

pub fn a_release_of_ubuntu_is_a_base() {
    let ubuntu = Source::parse("ubuntu:jammy", Path::new("/")).unwrap();
    let archive = ["-sfI", "--max-time", "10", "http://archive.ubuntu.com/ubuntu/dists/jammy/Release"];
    if !Command::new("curl").args(archive).output().is_ok_and(|it| it.status.success()) {
        println!("  skipped: Ubuntu's mirror cannot be reached");
        return;
    }
    let images = kept();
    let base = images.base(&ubuntu, &|line| println!("  {line}")).unwrap();
    let packages = images.packages(&base.digest).unwrap();
    let has =
        |name: &str| packages.iter().any(|package| package.name == name && package.url().contains("pkg:deb/ubuntu/"));
    assert!(has("apt") && has("ubuntu-keyring") && packages.len() > 80, "{} packages", packages.len());
    // It is a base as any other: what Ubuntu has is installed over it.
    let image = install(&images, &base.digest, "0bad00000123", "ubuntu with hello", "hello");
    assert!(images.packages(&image).unwrap().iter().any(|package| package.name == "hello"));
    assert_eq!(images.base(&ubuntu, &|_| {}).unwrap().digest, base.digest);
}
