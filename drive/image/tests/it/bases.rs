//! What becomes of bases that others made.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use andon_image::{Digest, Images, RecipeKey, Source};
use andon_schema::Identity;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::oci::{has, run};
use crate::pulls;
use crate::tree::{Data, everything, in_overlay, root_file_system, set_mode};

fn base(images: &Images, from: &str) -> Digest {
    images.base(&Source::parse(from, Path::new("/")).unwrap(), &|_| {}).unwrap().digest
}

/// An entry of a layer: its path, and a directory, a file's content, a link's target or another name of a file.
enum Entry {
    Directory(u32),
    File(&'static str),
    Link(&'static str),
    Name(&'static str),
}

/// A layout with these layers.
fn layout(place: &Path, layers: &[&[(&str, Entry)]]) -> String {
    let blobs = place.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), bytes).unwrap();
        json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let with = |mut blob: serde_json::Value, media_type: &str| {
        blob["mediaType"] = format!("application/vnd.oci.image.{media_type}").into();
        blob
    };
    let packed: Vec<_> = layers.iter().map(|entries| blob(&archive(entries))).collect();
    let ids: Vec<_> = packed.iter().map(|it| it["digest"].clone()).collect();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": layers.iter().map(|_| json!({ "created": "2024-01-01T00:00:00Z" })).collect::<Vec<_>>(),
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": with(blob(config.to_string().as_bytes()), "config.v1+json"),
        "layers": packed.into_iter().map(|it| with(it, "layer.v1.tar")).collect::<Vec<_>>(),
    });
    let mut named = with(blob(manifest.to_string().as_bytes()), "manifest.v1+json");
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": "web" });
    fs::write(place.join("index.json"), json!({ "schemaVersion": 2, "manifests": [named] }).to_string()).unwrap();
    fs::write(place.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    format!("oci:{}:web", place.display())
}

fn archive(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in entries {
        let mut header = Header::new_gnu();
        let (kind, mode, content, link) = match entry {
            Entry::Directory(mode) => (EntryType::Directory, *mode, "", None),
            Entry::File(text) => (EntryType::Regular, 0o644, *text, None),
            Entry::Link(target) => (EntryType::Symlink, 0o777, "", Some(target)),
            Entry::Name(target) => (EntryType::Link, 0o644, "", Some(target)),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_704_067_200);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        match link {
            Some(target) => archive.append_link(&mut header, path, target).unwrap(),
            None => archive.append_data(&mut header, path, content.as_bytes()).unwrap(),
        }
    }
    archive.into_inner().unwrap()
}

/// A server's files, of which only the last three are an image's business.
const OF_A_SERVER: &[(&str, Option<&str>)] = &[
    ("etc/ssh/ssh_host_ed25519_key", None),
    ("etc/ssh/ssh_host_ed25519_key.pub", None),
    ("etc/machine-id", Some("")),
    ("etc/hostname", Some("localhost\n")),
    ("etc/resolv.conf", Some("")),
    ("etc/hostid", None),
    ("root/.bash_history", None),
    ("home/somebody/.python_history", None),
    ("var/lib/systemd/random-seed", None),
    ("var/lib/cloud/instances/i-1/user-data.txt", None),
    ("etc/shadow-", None),
    ("etc/ssl/private/ssl-cert-snakeoil.key", None),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", None),
    ("var/lib/dpkg/status-old", None),
    ("var/cache/apt/pkgcache.bin", None),
    ("var/lib/apt/lists/deb.example_dists_InRelease", None),
    ("var/log/dpkg.log", None),
    ("var/log/journal/0123/system.journal", None),
    ("var/log/nginx/access.log", Some("")),
    ("run/nginx.pid", None),
    ("tmp/session", None),
    ("var/lib/cloud/seed/nocloud/meta-data", Some("secret")),
    ("etc/ssh/sshd_config", Some("secret")),
    ("home/somebody/.profile", Some("secret")),
];

pub fn a_copied_server_is_none_any_more() {
    let data = Data::new("copied");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    for (path, _) in OF_A_SERVER {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), "secret").unwrap();
    }
    set_mode(&root.join("etc/hostname"), 0o640);
    chown(root.join("etc/hostname"), Some(7), Some(8)).unwrap();
    // A name that a file has elsewhere, too.
    fs::hard_link(root.join("etc/hostname"), root.join("etc/other")).unwrap();
    symlink("ssl-cert-snakeoil.pem", root.join("etc/ssl/certs/0123abcd.0")).unwrap();
    symlink("own.pem", root.join("etc/ssl/certs/4567abcd.0")).unwrap();
    let archive = data.0.join("root.tar.gz");
    run("tar", &["-C", root.to_str().unwrap(), "-czf", archive.to_str().unwrap(), "."]);
    let before = everything(&root);
    let bases = [base(&images, root.to_str().unwrap()), base(&images, archive.to_str().unwrap())];
    assert_eq!(everything(&root), before, "what it was copied of is as it was");
    assert_eq!(bases[0], bases[1]);
    // The same in a layout, whose layers stay as they are, comes to the same.
    let packed = fs::read(&archive).unwrap();
    let of_layer = pulls::layout(&data.0.join("packed"), &[packed]);
    assert_eq!(images.base(&of_layer, &|_| {}).unwrap().digest, bases[0]);
    for directory in images.lower_dirs(&bases[0]).unwrap() {
        for (path, expected) in OF_A_SERVER {
            let found = fs::read_to_string(directory.join(path)).ok();
            assert_eq!(found.as_deref(), *expected, "{path}");
        }
        let hostname = fs::metadata(directory.join("etc/hostname")).unwrap();
        assert_eq!((hostname.mode() & 0o777, hostname.uid(), hostname.gid()), (0o640, 7, 8));
        assert_eq!(fs::read_to_string(directory.join("etc/other")).unwrap(), "secret");
        assert!(directory.join("etc/systemd/system/ssh.service.d/host-keys.conf").exists(), "new keys are made");
    }
    // One in a layout keeps its layers, and has another one over them.
    let entries: Vec<_> = OF_A_SERVER.iter().map(|(path, _)| (*path, Entry::File("secret"))).collect();
    let etc =
        [("etc", Entry::Directory(0o750)), ("usr", Entry::Directory(0o755)), ("run/web", Entry::Directory(0o755))];
    let from = layout(&data.0.join("layout"), &[&etc, &entries]);
    let of_layout = base(&images, &from);
    assert_eq!(images.stack(&of_layout).unwrap().layers().len(), 3);
    in_overlay(&images, &of_layout, |root| {
        for (path, expected) in OF_A_SERVER {
            assert_eq!(fs::read_to_string(root.join(path)).ok().as_deref(), *expected, "{path}");
        }
        assert!(!root.join("var/lib/cloud/instances").exists());
        assert!(root.join("run/web").is_dir(), "a container has nobody who makes it");
        assert!(root.join("etc/systemd/system/ssl-cert-snakeoil.service").exists());
        assert_eq!(fs::metadata(root.join("etc")).unwrap().mode() & 0o777, 0o750);
    });
}

pub fn a_link_leads_nowhere_out_of_a_base() {
    let data = Data::new("link-out");
    let images = data.images();
    let outside = data.0.join("outside");
    fs::create_dir_all(outside.join("system/ssh.service.d")).unwrap();
    fs::write(outside.join("hostname"), "mine").unwrap();
    let root = root_file_system(&data.0.join("root"));
    fs::create_dir(root.join("etc/ssh")).unwrap();
    fs::write(root.join("etc/ssh/ssh_host_rsa_key"), "x").unwrap();
    symlink(&outside, root.join("etc/systemd")).unwrap();
    symlink(outside.join("hostname"), root.join("etc/hostname")).unwrap();
    symlink(&outside, root.join("root")).unwrap();
    let before = everything(&outside);
    base(&images, root.to_str().unwrap());
    assert_eq!(everything(&outside), before);
}

pub fn layers_say_what_other_tools_read_of_them() {
    use Entry::{Directory, File, Link, Name};
    let data = Data::new("parents");
    let images = data.images();
    let from = layout(
        &data.0.join("layout"),
        &[
            &[
                ("usr", Directory(0o755)),
                ("usr/bin", Directory(0o711)),
                ("usr/bin/sh", File("shell")),
                ("bin", Link("usr/bin")),
                ("srv", Directory(0o750)),
                ("srv/old", Directory(0o755)),
                ("srv/old/a", File("a")),
                ("srv/file", File("f")),
                ("srv/stays", Directory(0o755)),
                ("srv/stays/a", File("a")),
            ],
            // No directory is said again; one path is below a link of the layer below.
            &[
                ("usr/bin/new", File("new")),
                ("bin/through", File("through the link")),
                ("srv/name", Name("usr/bin/sh")),
                ("srv/.wh.old", File("")),
                ("srv/old/b", File("b")),
                ("srv/stays/b", File("b")),
                ("srv/stays/.wh.a", File("")),
                ("srv/.wh.file", File("")),
                ("srv/file", Directory(0o700)),
                ("srv/file/x", File("x")),
            ],
        ],
    );
    let digest = base(&images, &from);
    let out = data.0.join("out");
    images.write_root(&digest, &out).unwrap();
    let mode = |path: &str| fs::metadata(out.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("usr/bin"), mode("srv"), mode("srv/file")), (0o711, 0o750, 0o700));
    assert_eq!(fs::read_link(out.join("bin")).unwrap(), Path::new("usr/bin"));
    assert_eq!(fs::read_to_string(out.join("usr/bin/through")).unwrap(), "through the link");
    assert_eq!(fs::read_to_string(out.join("srv/name")).unwrap(), "shell");
    let names =
        |path: &str| fs::read_dir(out.join(path)).unwrap().flatten().map(|it| it.file_name()).collect::<Vec<_>>();
    assert_eq!(
        (names("srv/old"), names("srv/stays"), names("srv/file")),
        (vec!["b".into()], vec!["b".into()], vec!["x".into()])
    );
    if has("umoci") {
        let bundle = data.0.join("bundle");
        run("umoci", &["unpack", "--image", from.strip_prefix("oci:").unwrap(), bundle.to_str().unwrap()]);
        assert_eq!(everything(&bundle.join("rootfs")), everything(&out));
    }
}

pub fn what_was_fetched_is_for_those_who_trust_the_same() {
    let data = Data::new("trust");
    let images = data.images();
    let root = |name: &str| {
        let root = root_file_system(&data.0.join(name));
        for path in ["var/lib/apt/lists", "var/cache/apt/archives", "etc/apt", "usr/lib"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("etc/apt/sources.list"), "deb http://m.example/debian bookworm main\n").unwrap();
        fs::write(root.join("usr/lib/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
        root
    };
    let (own, other) = (root("own"), root("other"));
    fs::write(other.join("usr/bad"), "x").unwrap();
    let (own, other) = (base(&images, own.to_str().unwrap()), base(&images, other.to_str().unwrap()));
    let seen = |over: &Digest| -> Vec<PathBuf> {
        let bake = images.begin(&Identity::parse("look").unwrap(), over).unwrap();
        let lower = bake.fetched().iter().flat_map(|it| &it.lower);
        let places = lower.map(|place| place.join("archives/nginx_1_all.deb")).filter(|place| place.exists());
        places.collect()
    };
    assert_eq!(seen(&own), Vec::<PathBuf>::new());
    let bake = images.begin(&Identity::parse("plant").unwrap(), &other).unwrap();
    let archives = bake.fetched().iter().find(|it| it.at.ends_with("apt")).unwrap().upper.join("archives");
    fs::create_dir_all(&archives).unwrap();
    let mut package = fs::File::create(archives.join("nginx_1_all.deb")).unwrap();
    package.write_all(b"planted").unwrap();
    fs::create_dir_all(bake.upper().join("opt")).unwrap();
    fs::write(bake.upper().join("opt/x"), "x").unwrap();
    let over = bake.commit(&RecipeKey::of([&b"plant"[..]])).unwrap();
    assert_eq!((seen(&other).len(), seen(&over).len()), (1, 1), "who has the same base sees it");
    assert_eq!(seen(&own), Vec::<PathBuf>::new(), "who has another one does not");
}

/// What somebody's image plants is for nobody else, whatever its layers have in common with others, and wherever its files
/// lead.
pub fn what_an_image_plants_is_for_itself() {
    use Entry::{Directory, File};
    let data = Data::new("planted");
    let images = data.images();
    let bottom: &[(&str, Entry)] = &[
        ("usr", Directory(0o755)),
        ("usr/lib/os-release", File("ID=debian\nVERSION_ID=\"12\"\n")),
        ("etc/apt/sources.list", File("deb http://m.example/debian bookworm main\n")),
        ("var/lib/apt/lists", Directory(0o755)),
        ("var/cache/apt/archives", Directory(0o755)),
    ];
    let good = base(&images, &layout(&data.0.join("good"), &[bottom]));
    let bad = base(&images, &layout(&data.0.join("bad"), &[bottom, &[("usr/bin/apt-get", File("bad"))]]));
    let lowest = |image: &Digest| images.stack(image).unwrap().layers()[0].clone();
    assert_eq!(lowest(&good), lowest(&bad), "the layer is the same");
    let outside = data.0.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious_1_all.deb"), "precious").unwrap();
    for (number, is_link) in [(0, false), (1, true)] {
        let name = format!("plant-{number}");
        let bake = images.begin(&Identity::parse(&name).unwrap(), &bad).unwrap();
        let archives = bake.fetched().iter().find(|it| it.at.ends_with("apt")).unwrap().upper.join("archives");
        match is_link {
            true => symlink(&outside, &archives).unwrap(),
            false => {
                fs::create_dir_all(&archives).unwrap();
                fs::write(archives.join("nginx_1_all.deb"), "planted").unwrap();
            }
        }
        fs::create_dir_all(bake.upper().join("opt")).unwrap();
        fs::write(bake.upper().join("opt/x"), &name).unwrap();
        bake.commit(&RecipeKey::of([name.as_bytes()])).unwrap();
    }
    let seen = |over: &Digest, package: &str| {
        let bake = images.begin(&Identity::parse("look").unwrap(), over).unwrap();
        let is_there = |place: &PathBuf| place.join("archives").join(package).exists();
        bake.fetched().iter().flat_map(|it| &it.lower).any(is_there)
    };
    assert!(seen(&bad, "nginx_1_all.deb") && !seen(&good, "nginx_1_all.deb"));
    assert!(!seen(&bad, "precious_1_all.deb"));
    assert_eq!(fs::read_to_string(outside.join("precious_1_all.deb")).unwrap(), "precious", "it stays where it is");
}
