//! What becomes of outputs that are cut short, and of what earlier versions kept.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use andon_image::{ContainerConfig, Digest, DiskConfig, DiskFormat, Images, PruneRule, Settings, Source};

use crate::tree::{Data, everything, root_file_system};

pub fn what_an_end_is_asked_for_leaves_nothing() {
    let data = Data::new("ended");
    let interrupt = Arc::new(AtomicBool::new(false));
    let images =
        Images::open(&data.0.join("data"), Settings::default()).unwrap().interrupted_by(Arc::clone(&interrupt));
    let root = root_file_system(&data.0.join("root"));
    fs::create_dir(root.join("boot")).unwrap();
    fs::write(root.join("boot/vmlinuz-6.1.0"), "kernel").unwrap();
    let digest = images.base(&Source::Directory(root.clone()), &|_| {}).unwrap().digest;
    let image = images.oci(&digest, &ContainerConfig::default(), &mut |_| {}).unwrap();
    let there = data.0.join("there");
    image.write_layout(&there, "one").unwrap();
    let before = everything(&data.0);
    interrupt.store(true, Ordering::Relaxed);
    let changed = {
        let other = data.images();
        let config = ContainerConfig { plain: true, ..ContainerConfig::default() };
        let image = other.oci(&digest, &config, &mut |_| {}).unwrap();
        drop(image);
        images.oci(&digest, &config, &mut |_| {}).unwrap()
    };
    let out = |name: &str| data.0.join("out").join(name);
    let disk = |format| DiskConfig { format, ..DiskConfig::default() };
    let after = |what: &str, failure: andon_schema::Failure| {
        println!("  {what}: {failure}");
        assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).into_iter().flatten().count(), 0, "{what}");
        assert_eq!(fs::read_dir(data.0.join("out")).into_iter().flatten().count(), 0, "{what}");
    };
    after("a layout", image.write_layout(&out("layout"), "web").unwrap_err());
    assert!(!data.0.join("out").exists(), "nor are the directories on the way");
    after("a layout as one file", image.write_archive(&out("layout.tar"), "web").unwrap_err());
    after("an archive", images.write_root_archive(&digest, &out("web.tar.gz")).unwrap_err());
    after("a directory", images.write_root(&digest, &out("root")).unwrap_err());
    after("a raw disk", images.write_disk(&digest, &disk(DiskFormat::Raw), &out("web.raw")).unwrap_err());
    after("a disk", images.write_disk(&digest, &disk(DiskFormat::Qcow2), &out("web.qcow2")).unwrap_err());
    for source in [Source::Host, Source::HostSettings] {
        // Where this machine cannot be one, that is said first.
        let before = images.list().unwrap();
        after("a base", images.base(&source, &|_| {}).unwrap_err());
        assert_eq!(images.list().unwrap(), before);
    }
    // One that was there stays as it was.
    assert_eq!(changed.write_layout(&there, "one").unwrap_err().summary, "it was stopped");
    let is_output = |(path, _): &&(String, String)| path.starts_with("there");
    let (before, now) = (before, everything(&data.0));
    assert_eq!(before.iter().filter(is_output).collect::<Vec<_>>(), now.iter().filter(is_output).collect::<Vec<_>>());
}

pub fn what_an_earlier_version_kept_goes_with_a_prune() {
    let data = Data::new("earlier");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let kept = images.base(&Source::Directory(root), &|_| {}).unwrap().digest;
    let store = data.0.join("data/images");
    let digest = |letter: &str| Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap();
    let (old, used) = (digest("a"), digest("b"));
    let place = |digest: &Digest| store.join(digest.as_str().replace(':', "-"));
    for digest in [&old, &used] {
        fs::create_dir_all(place(digest).join("upper/usr")).unwrap();
        fs::write(place(digest).join("upper/usr/file"), "x").unwrap();
        fs::write(place(digest).join("meta"), "andon image 1\nbytes 1\n").unwrap();
    }
    // What a process that was killed had begun, and a name that points to nothing any more.
    fs::create_dir_all(store.join("tmp/bake-x/layer/upper")).unwrap();
    fs::write(store.join("bases/debian-bookworm"), format!("{old}\n")).unwrap();
    let in_use = [used.clone()].into();
    assert_eq!(images.list().unwrap().len(), 1, "they are none of this version's");
    let rule = |dry_run| PruneRule { unused_for: Duration::from_secs(3600), keep: 1, gone: false, dry_run };
    images.prune(&rule(true), &in_use).unwrap();
    assert!(place(&old).exists() && place(&used).exists());
    images.prune(&rule(false), &in_use).unwrap();
    assert_eq!((place(&old).exists(), place(&used).exists()), (false, true), "a server may run on the second");
    assert!(!store.join("tmp/bake-x").exists() && !store.join("bases/debian-bookworm").exists());
    assert_eq!(images.verify(&kept).unwrap(), []);
    images.prune(&rule(false), &Default::default()).unwrap();
    assert!(!place(&used).exists());
}
