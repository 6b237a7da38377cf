//! Images, made for real: over small root file systems, and over Debian's packages where a mirror answers.
//!
//! There is no test harness: this program starts itself again, as the process to kill.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once; the lints know tests only by their harness"
)]

mod bases;
mod bills;
mod boot;
mod debian;
mod disk;
mod engines;
mod kept;
mod oci;
mod pulls;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use andon_image::{ContainerConfig, Digest, Images, RecipeKey, Reference, Registries, Settings, Source};
use andon_schema::Identity;

use tree::{Data, bake, everything, in_overlay, root_file_system};

type Test = (&'static str, fn());
type Change = fn(&Path);

const TESTS: &[Test] = &[
    ("bases come from directories and archives", bases_come_from_directories_and_archives),
    ("the digest is of the content alone", the_digest_is_of_the_content_alone),
    ("every kind of change counts", every_kind_of_change_counts),
    ("images go over images", images_go_over_images),
    ("one image is made by one process", one_image_is_made_by_one_process),
    ("a base is made once", a_base_is_made_once),
    ("a killed bake leaves nothing after a sweep", a_killed_bake_leaves_nothing_after_a_sweep),
    ("the next bake removes what a killed one left", the_next_bake_removes_what_a_killed_one_left),
    ("a workplace is its holder's alone", a_workplace_is_its_holders_alone),
    ("whoever waits for another process can be stopped", whoever_waits_for_another_process_can_be_stopped),
    ("what cannot be made leaves nothing", what_cannot_be_made_leaves_nothing),
    ("a full disk is said so", a_full_disk_is_said_so),
    ("hashing is quick", hashing_is_quick),
    ("bases: a copied server is none any more", bases::a_copied_server_is_none_any_more),
    ("bases: a link leads nowhere out of a base", bases::a_link_leads_nowhere_out_of_a_base),
    ("bases: layers say what other tools read of them", bases::layers_say_what_other_tools_read_of_them),
    (
        "bases: what was fetched is for those who trust the same",
        bases::what_was_fetched_is_for_those_who_trust_the_same,
    ),
    ("bases: what an image plants is for itself", bases::what_an_image_plants_is_for_itself),
    ("oci: a layout comes back as the same image", oci::a_layout_comes_back_as_the_same_image),
    ("oci: a layout holds several images", oci::a_layout_holds_several_images),
    ("oci: engines run it unchanged", engines::engines_run_it_unchanged),
    ("oci: a registry lets in whom it knows", oci::a_registry_lets_in_whom_it_knows),
    ("oci: a root file system is written as it is", oci::a_root_file_system_is_written_as_it_is),
    ("oci: other tools take a layout", oci::other_tools_take_a_layout),
    ("oci: a registry takes an image and gives it back", oci::a_registry_takes_an_image_and_gives_it_back),
    ("oci: a locked image is fetched by its manifest", oci::a_locked_image_is_fetched_by_its_manifest),
    ("kept: what an end is asked for leaves nothing", kept::what_an_end_is_asked_for_leaves_nothing),
    ("kept: what an earlier version kept goes with a prune", kept::what_an_earlier_version_kept_goes_with_a_prune),
    ("pulls: what unpacks to too much is refused", pulls::what_unpacks_to_too_much_is_refused),
    ("pulls: names of a file below are one file", pulls::names_of_a_file_below_are_one_file),
    ("pulls: an image of many layers is one", pulls::an_image_of_many_layers_is_one),
    ("pulls: how containers run is kept", pulls::how_containers_run_is_kept),
    ("pulls: several pulls and a prune at once", pulls::several_pulls_and_a_prune_at_once),
    ("pulls: several writers of one layout", pulls::several_writers_of_one_layout),
    ("pulls: a registry that is busy is asked again", pulls::a_registry_that_is_busy_is_asked_again),
    ("pulls: a registry that stalls is not waited for", pulls::a_registry_that_stalls_is_not_waited_for),
    ("disk: a disk is sound and holds the image", disk::a_disk_is_sound_and_holds_the_image),
    ("disk: the same image gives the same disk", disk::the_same_image_gives_the_same_disk),
    ("disk: what is no disk is said before anything is made", disk::what_is_no_disk_is_said_before_anything_is_made),
    ("disk: the disk of an image goes with it", disk::the_disk_of_an_image_goes_with_it),
    ("boot: a disk boots by BIOS and by UEFI", boot::a_disk_boots_by_bios_and_by_uefi),
    ("bills: they are as their schemas say", bills::bills_are_as_their_schemas_say),
    ("debian: a mirror that is not there is said so", debian::a_mirror_that_is_not_there_is_said_so),
    ("debian: any mirror gives what is locked", debian::any_mirror_gives_what_is_locked),
    ("debian: the same packages give the same image", debian::the_same_packages_give_the_same_image),
    ("debian: a release of Ubuntu is a base", debian::a_release_of_ubuntu_is_a_base),
    ("debian: a killed base leaves nothing after a sweep", debian::a_killed_base_leaves_nothing_after_a_sweep),
];

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "worker" => worker(arguments),
        filter => run_all(filter.map(|filter| filter.to_string_lossy().into_owned())),
    }
}

fn run_all(filter: Option<String>) {
    let listed = filter.as_deref() == Some("--list");
    let filter = filter.filter(|filter| !filter.starts_with('-'));
    let mut failed = 0;
    for (name, test) in TESTS {
        if listed {
            println!("{name}: test");
        } else if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            let start = Instant::now();
            let debian = name.starts_with("debian").then(debian::unable).flatten();
            let disk = name.starts_with("disk").then(disk::unable).flatten();
            let boot = name.starts_with("boot").then(boot::unable).flatten();
            let result = match tree::unable().or(debian).or(disk).or(boot) {
                Some(reason) => format!("skipped: {reason}"),
                None if std::panic::catch_unwind(test).is_ok() => "ok".to_owned(),
                None => {
                    failed += 1;
                    "FAILED".to_owned()
                }
            };
            println!("test {name} ... {result} ({} ms)", start.elapsed().as_millis());
        }
    }
    if failed > 0 {
        println!("{failed} failed");
        std::process::exit(101);
    }
}

/// A process of its own: `worker <data directory> base <from>`, `… bake <from>`, `… hang <from>`, or
/// `… push <from> <reference>`.
fn worker(mut arguments: impl Iterator<Item = OsString>) {
    let data = PathBuf::from(arguments.next().unwrap());
    let verb = arguments.next().unwrap();
    let from = arguments.next().unwrap();
    let images = Images::open(&data, Settings::default()).unwrap();
    let source = Source::parse(from.to_str().unwrap(), Path::new("/")).unwrap();
    let base = match images.base(&source, &|line| println!("{line}")) {
        Ok(base) => base,
        Err(failure) => return println!("{failure}"),
    };
    println!("fetched {}", base.fetched);
    if verb == "push" {
        let to = Reference::parse(arguments.next().unwrap().to_str().unwrap()).unwrap();
        let image = images.oci(&base.digest, &ContainerConfig::default(), &mut |_| {}).unwrap();
        match Registries::new().push(&image, &to, &mut |_| {}) {
            Ok(()) => println!("pushed"),
            Err(failure) => println!("{}", failure.summary),
        }
    }
    if verb == "hang" {
        let _bake = images.begin(&Identity::parse("killed").unwrap(), &base.digest).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }
    if verb == "bake" {
        let digest = bake(&images, &base.digest, "killed", "killed", |root| {
            for number in 0..100 {
                fs::write(root.join(format!("usr/{number}")), vec![b'x'; 4096]).unwrap();
            }
        });
        println!("{digest}");
    }
}

fn start_worker(data: &Path, verb: &str, from: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("worker").arg(data).args([verb, from]).stdout(Stdio::piped()).spawn().unwrap()
}

fn source(path: &Path) -> Source {
    Source::parse(path.to_str().unwrap(), Path::new("/")).unwrap()
}

fn recipe(text: &str) -> RecipeKey {
    RecipeKey::of([text.as_bytes()])
}

fn quiet(_line: &str) {}

fn bases_come_from_directories_and_archives() {
    let data = Data::new("bases");
    let images = data.images();
    let root = root_file_system(&data.0.join("a root, with: odd name"));
    assert_eq!(images.known_base(&source(&root)).unwrap(), None);
    assert_eq!(images.list().unwrap(), []);
    let base = images.base(&source(&root), &quiet).unwrap();
    assert!(base.fetched);
    let again = images.base(&source(&root), &quiet).unwrap();
    assert_eq!((again.fetched, &again.digest, &again.lower), (false, &base.digest, &base.lower));
    assert_eq!(images.known_base(&source(&root)).unwrap(), Some(again));
    assert_eq!(everything(&base.lower[0]), everything(&root));
    let archive = data.0.join("root:1.tar.gz");
    let status =
        Command::new("tar").arg("-C").arg(&root).args(["--force-local", "-czf"]).arg(&archive).arg(".").status();
    assert!(status.unwrap().success());
    let unpacked = images.base(&source(&archive), &quiet).unwrap();
    assert_eq!(unpacked.digest, base.digest, "the same content by another way");
    assert!(!images.base(&source(&archive), &quiet).unwrap().fetched);
    fs::write(root.join("etc/added"), "x").unwrap();
    assert_eq!(images.known_base(&source(&root)).unwrap(), None, "changed content is another base");
    assert_ne!(images.base(&source(&root), &quiet).unwrap().digest, base.digest);
    assert_eq!(images.list().unwrap().len(), 2);
}

fn the_digest_is_of_the_content_alone() {
    let (data, other) = (Data::new("digest"), Data::new("digest-other"));
    let root = root_file_system(&data.0.join("root"));
    let (images, elsewhere) = (data.images(), other.images());
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    assert_eq!(elsewhere.base(&source(&root), &quiet).unwrap().digest, base);
    let straight = bake(&images, &base, "one", "straight", |root| {
        fs::write(root.join("etc/new"), "content").unwrap();
        fs::create_dir_all(root.join("opt/app")).unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
        symlink("new", root.join("etc/link")).unwrap();
    });
    assert_eq!(images.known(&recipe("straight")), Some(straight.clone()));
    assert_eq!(images.known(&recipe("other")), None);
    std::thread::sleep(Duration::from_millis(1100));
    let roundabout = bake(&elsewhere, &base, "two", "roundabout", |root| {
        // The same in another order, with detours that end where they began.
        symlink("new", root.join("etc/link")).unwrap();
        fs::create_dir(root.join("opt/other")).unwrap();
        fs::create_dir_all(root.join("opt/app")).unwrap();
        fs::remove_dir(root.join("opt/other")).unwrap();
        fs::write(root.join("etc/hosts"), "changed").unwrap();
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
        fs::write(root.join("usr/removed"), "back").unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
        fs::remove_dir_all(root.join("srv/data")).unwrap();
        fs::create_dir(root.join("srv/data")).unwrap();
        fs::remove_dir(root.join("srv/data")).unwrap();
        fs::create_dir(root.join("srv/data")).unwrap();
        fs::write(root.join("srv/data/kept"), "kept").unwrap();
        fs::create_dir(root.join("srv/fresh")).unwrap();
        fs::remove_dir(root.join("srv/fresh")).unwrap();
        fs::write(root.join("etc/draft"), "content").unwrap();
        fs::rename(root.join("etc/draft"), root.join("etc/new")).unwrap();
        fs::write(root.join("var/log/run.log"), "at some time").unwrap();
        fs::write(root.join("etc/machine-id"), "0123").unwrap();
    });
    let (left, right) = (images.lower_dirs(&straight).unwrap(), elsewhere.lower_dirs(&roundabout).unwrap());
    // The one thing that says more: the log file is there, and so is a directory that hides what was below it.
    let mut expected = everything(&left[0]);
    let mut found = everything(&right[0]);
    for path in ["srv", "srv/data", "srv/data/kept", "var", "var/log", "var/log/run.log"] {
        found.retain(|(name, _)| name != path);
        expected.retain(|(name, _)| name != path);
    }
    assert_eq!(found, expected);
    let third = bake(&elsewhere, &base, "three", "straight", |root| {
        symlink("new", root.join("etc/link")).unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
        fs::create_dir_all(root.join("opt/app")).unwrap();
        fs::write(root.join("etc/new"), "content").unwrap();
    });
    assert_eq!(third, straight);
}

fn every_kind_of_change_counts() {
    let data = Data::new("changes");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    let changes: &[(&str, Change)] = &[
        ("nothing", |_| {}),
        ("content", |root| fs::write(root.join("etc/hosts"), "127.0.0.1 localhosT\n").unwrap()),
        ("mode", |root| tree::set_mode(&root.join("etc/hosts"), 0o600)),
        ("owner", |root| std::os::unix::fs::chown(root.join("etc/hosts"), Some(33), None).unwrap()),
        ("group", |root| std::os::unix::fs::chown(root.join("etc/hosts"), None, Some(33)).unwrap()),
        ("removed", |root| fs::remove_file(root.join("etc/hosts")).unwrap()),
        ("directory removed", |root| fs::remove_dir_all(root.join("srv/data")).unwrap()),
        ("directory hidden", |root| {
            fs::remove_dir_all(root.join("srv/data")).unwrap();
            fs::create_dir(root.join("srv/data")).unwrap();
        }),
        ("directory's mode", |root| tree::set_mode(&root.join("srv/data"), 0o700)),
        ("root's mode", |root| tree::set_mode(root, 0o700)),
        ("empty directory", |root| fs::create_dir(root.join("opt/new")).unwrap()),
        ("empty file", |root| fs::write(root.join("opt/new"), "").unwrap()),
        ("link", |root| symlink("", root.join("opt/new")).or_else(|_| symlink("a", root.join("opt/new"))).unwrap()),
        ("link elsewhere", |root| symlink("b", root.join("opt/new")).unwrap()),
        ("link for file", |root| {
            fs::remove_file(root.join("etc/hosts")).unwrap();
            symlink("/usr/removed", root.join("etc/hosts")).unwrap();
        }),
        ("attribute", |root| tree::set_attribute(&root.join("etc/hosts"), "user.note", "x")),
        ("other attribute", |root| tree::set_attribute(&root.join("etc/hosts"), "user.note", "y")),
        ("pipe", |root| tree::make_node(&root.join("opt/new"), libc::S_IFIFO, 0)),
        ("device", |root| tree::make_node(&root.join("opt/new"), libc::S_IFCHR, libc::makedev(1, 3))),
        ("other device", |root| tree::make_node(&root.join("opt/new"), libc::S_IFCHR, libc::makedev(1, 5))),
    ];
    let mut seen: Vec<(Digest, &str)> = Vec::new();
    for (name, change) in changes {
        let digest = bake(&images, &base, "change", name, change);
        let again = bake(&images, &base, "change", name, change);
        assert_eq!(digest, again, "{name}");
        if let Some((_, other)) = seen.iter().find(|(other, _)| *other == digest) {
            panic!("{name} is the same as {other}");
        }
        seen.push((digest, name));
    }
    // What is nothing over the base holds the same, and so it is the base.
    assert_eq!(images.known(&recipe("nothing")), Some(base));
}

fn images_go_over_images() {
    let data = Data::new("chain");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    let mut top = base.clone();
    for number in 0..40 {
        top = bake(&images, &top, "chain", &format!("layer {number}"), |root| {
            fs::write(root.join(format!("opt/{number}")), number.to_string()).unwrap();
            if number > 0 {
                fs::remove_file(root.join(format!("opt/{}", number - 1))).unwrap();
            }
        });
    }
    let layers = images.lower_dirs(&top).unwrap();
    assert_eq!(layers.len(), 41);
    let mut found = Vec::new();
    in_overlay(&images, &top, |root| found = fs::read_dir(root.join("opt")).unwrap().flatten().collect());
    assert_eq!(found.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["39"]);
    assert_eq!(images.list().unwrap().len(), 41);
    assert!(images.usage().unwrap() > 0);
    // Its layer stays with those that have it.
    images.remove(&base).unwrap();
    assert_eq!(images.known_base(&source(&root)).unwrap(), None);
    assert_eq!(images.lower_dirs(&top).unwrap(), layers);
    images.remove(&top).unwrap();
    images.remove(&top).unwrap();
    assert_eq!(images.known(&recipe("layer 39")), None);
    assert!(images.lower_dirs(&top).is_err());
    assert!(images.known(&recipe("layer 38")).is_some());
    images.purge().unwrap();
    images.purge().unwrap();
    assert!(!data.0.join("data/images").exists());
    assert_eq!(images.known(&recipe("layer 38")), None);
}

fn one_image_is_made_by_one_process() {
    let data = Data::new("once");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    let identity = Identity::parse("web").unwrap();
    let first = images.begin(&identity, &base).unwrap();
    assert_eq!(images.begin(&identity, &base).unwrap_err().summary, "the image is being made");
    assert_eq!(images.purge().unwrap_err().summary, "the images are in use");
    images.sweep().unwrap();
    assert!(first.upper().is_dir(), "a sweep leaves what is worked on alone");
    let other = images.begin(&Identity::parse("db").unwrap(), &base).unwrap();
    drop(first);
    drop(images.begin(&identity, &base).unwrap());
    drop(other);
    assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().count(), 0);
    let nowhere = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    assert_eq!(images.begin(&identity, &nowhere).unwrap_err().summary, "the image is not there");
}

fn a_base_is_made_once() {
    let data = Data::new("concurrent");
    let root = root_file_system(&data.0.join("root"));
    tree::fill(&root.join("usr/big"), 300);
    let archive = data.0.join("root.tar");
    assert!(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap().success());
    let workers: Vec<Child> =
        (0..4).map(|_| start_worker(&data.0.join("data"), "base", archive.to_str().unwrap())).collect();
    let said: Vec<String> = workers
        .into_iter()
        .map(|worker| String::from_utf8(worker.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    assert_eq!(said.iter().filter(|said| said.contains("fetched true")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.contains("fetched false")).count(), 3, "{said:?}");
}

fn a_killed_bake_leaves_nothing_after_a_sweep() {
    let data = Data::new("killed");
    let root = root_file_system(&data.0.join("root"));
    tree::fill(&root.join("usr/big"), 100);
    let images = data.images();
    // Other programs mount what they like meanwhile.
    let own_mounts = || {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.lines().filter(|line| line.contains(data.0.to_str().unwrap())).map(str::to_owned).collect::<Vec<_>>()
    };
    for round in 0..30 {
        let mut worker = start_worker(&data.0.join("data"), "bake", root.to_str().unwrap());
        std::thread::sleep(Duration::from_millis(round * 11));
        let _ = worker.kill();
        worker.wait().unwrap();
        // What it had started dies with it, a little later: a sweep leaves alone what is still being worked on.
        let sweep = || {
            images.sweep().unwrap();
            fs::read_dir(data.0.join("data/images/tmp")).into_iter().flatten().flatten().collect::<Vec<_>>()
        };
        let mut left = sweep();
        for _ in 0..200 {
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            left = sweep();
        }
        assert!(left.is_empty(), "round {round}: {left:?}");
        for kept in images.list().unwrap() {
            assert!(images.has(&kept.digest), "whole or not there");
        }
        assert_eq!(own_mounts(), Vec::<String>::new());
        if round % 7 == 6 {
            images.purge().unwrap();
        }
    }
    let output = start_worker(&data.0.join("data"), "bake", root.to_str().unwrap()).wait_with_output().unwrap();
    assert!(output.status.success());
    let made = images.known(&recipe("killed")).unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(made.as_str()));
}

fn the_next_bake_removes_what_a_killed_one_left() {
    let data = Data::new("left");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    let left = || {
        let entries = fs::read_dir(data.0.join("data/images/tmp")).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // Another process bakes an image that is not baked again, as its definition is another one then.
    let mut worker = start_worker(&data.0.join("data"), "hang", root.to_str().unwrap());
    let start = Instant::now();
    while left() != ["bake-killed"] {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", left());
        std::thread::sleep(Duration::from_millis(2));
    }
    bake(&images, &base, "meanwhile", "meanwhile", |root| fs::write(root.join("opt/x"), "x").unwrap());
    assert_eq!(left(), ["bake-killed"], "it goes on");
    worker.kill().unwrap();
    worker.wait().unwrap();
    bake(&images, &base, "after", "after", |root| fs::write(root.join("opt/y"), "y").unwrap());
    assert_eq!(left(), [""; 0]);
}

fn a_workplace_is_its_holders_alone() {
    let data = Data::new("alone");
    let root = root_file_system(&data.0.join("root"));
    let base = data.images().base(&source(&root), &quiet).unwrap().digest;
    let identity = Identity::parse("web").unwrap();
    // Four take and leave the same one: nobody takes away what another one has.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let images = data.images();
                let mut taken = 0;
                while taken < 10 {
                    let Ok(bake) = images.begin(&identity, &base) else {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    taken += 1;
                    let upper = bake.upper();
                    tree::fill(&upper.join("opt"), 20);
                    std::thread::sleep(Duration::from_millis(1));
                    assert_eq!(fs::read_dir(upper.join("opt")).unwrap().count(), 20);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().count(), 0);
}

fn whoever_waits_for_another_process_can_be_stopped() {
    let data = Data::new("waits");
    let root = root_file_system(&data.0.join("root"));
    let images = data.images();
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    images.remove(&base).unwrap();
    let bases = fs::read_dir(data.0.join("data/images/bases")).unwrap().flatten().map(|entry| entry.path());
    let lock = bases.into_iter().find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap();
    let lock = nix::fcntl::Flock::lock(fs::File::open(lock).unwrap(), nix::fcntl::FlockArg::LockExclusive).unwrap();
    let interrupt = Arc::new(AtomicBool::new(false));
    let images = images.interrupted_by(Arc::clone(&interrupt));
    let waits = AtomicBool::new(false);
    let failure = std::thread::scope(|scope| {
        let base = scope.spawn(|| {
            let said = |line: &str| waits.store(line.contains("waiting for another process"), Ordering::Relaxed);
            images.base(&source(&root), &said)
        });
        while !waits.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        interrupt.store(true, Ordering::Relaxed);
        base.join().unwrap().unwrap_err()
    });
    assert_eq!(failure.summary, "it was stopped");
    drop(lock);
    interrupt.store(false, Ordering::Relaxed);
    assert_eq!(images.base(&source(&root), &quiet).unwrap().digest, base);
}

fn what_cannot_be_made_leaves_nothing() {
    let data = Data::new("bad");
    let images = data.images();
    let text = data.0.join("text.tar");
    fs::write(&text, "no archive").unwrap();
    assert_eq!(images.base(&source(&text), &quiet).unwrap_err().summary, "the image's base could not be made");
    let empty = data.0.join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(images.base(&source(&empty), &quiet).unwrap_err().summary, "there is no root file system");
    assert!(images.base(&Source::Image("web".into()), &quiet).is_err());
    assert_eq!(images.list().unwrap(), []);
    assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().count(), 0);
}

fn a_full_disk_is_said_so() {
    let data = Data::new("full");
    let small = data.0.join("data");
    fs::create_dir(&small).unwrap();
    let Some(_mount) = tree::Small::mount(&small) else { return };
    let root = root_file_system(&data.0.join("root"));
    fs::create_dir(root.join("usr/big")).unwrap();
    fs::write(root.join("usr/big/file"), vec![b'x'; 8 << 20]).unwrap();
    let images = data.images();
    let failure = images.base(&source(&root), &quiet).unwrap_err();
    assert!(failure.detail.contains("No space left on device"), "{failure}");
    assert_eq!(failure.help.len(), 1);
    assert_eq!(fs::read_dir(small.join("images/tmp")).unwrap().count(), 0);
    fs::remove_dir_all(root.join("usr/big")).unwrap();
    assert!(images.base(&source(&root), &quiet).unwrap().fetched, "goes on once there is room");
}

fn hashing_is_quick() {
    let data = Data::new("quick");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(&root), &quiet).unwrap().digest;
    let work = images.begin(&Identity::parse("big").unwrap(), &base).unwrap();
    fs::create_dir(work.upper().join("opt")).unwrap();
    for number in 0..100_u8 {
        let content: Vec<u8> = (0..1 << 20).map(|at: u32| (at >> 8) as u8 ^ at as u8 ^ number).collect();
        fs::write(work.upper().join("opt").join(number.to_string()), content).unwrap();
    }
    let start = Instant::now();
    let digest = work.commit(&recipe("big")).unwrap();
    let elapsed = start.elapsed();
    assert!(images.list().unwrap().iter().any(|kept| kept.digest == digest && kept.bytes >= 100 << 20));
    println!("  100 MiB in 100 files committed in {} ms", elapsed.as_millis());
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
    assert_eq!(fs::metadata(images.lower_dirs(&digest).unwrap()[0].join("opt/7")).unwrap().size(), 1 << 20);
}
