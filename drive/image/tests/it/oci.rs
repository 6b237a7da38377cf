//! Images in the form of containers' tools, which are the judges: skopeo, umoci, podman and Debian's registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use andon_image::{Choice, ContainerConfig, Digest, Images, Reference, Registries, Source};

use crate::tree::{Data, bake, everything, make_node, root_file_system, set_attribute, set_mode};

/// An image of two layers with all that a layer can hold.
fn image(data: &Data, images: &Images) -> Digest {
    let root = root_file_system(&data.0.join("root"));
    fs::create_dir(root.join("usr/share")).unwrap();
    fs::write(root.join("usr/share/a"), "a").unwrap();
    let from = Source::parse(root.to_str().unwrap(), Path::new("/")).unwrap();
    let base = images.base(&from, &|_| {}).unwrap().digest;
    bake(images, &base, "oci", "oci", |root| {
        fs::write(root.join("etc/new file"), "content").unwrap();
        set_mode(&root.join("etc/new file"), 0o4755);
        symlink("new file", root.join("etc/link")).unwrap();
        fs::remove_file(root.join("usr/removed")).unwrap();
        fs::remove_dir_all(root.join("usr/share")).unwrap();
        fs::create_dir(root.join("usr/share")).unwrap();
        fs::write(root.join("usr/share/b"), "b").unwrap();
        let long = root.join("opt").join("d".repeat(90)).join("e".repeat(90));
        fs::create_dir_all(&long).unwrap();
        fs::write(long.join("f".repeat(90)), "deep").unwrap();
        std::os::unix::fs::chown(root.join("etc/new file"), Some(1234), Some(70_000)).unwrap();
        set_mode(&root.join("etc/new file"), 0o4755);
        make_node(&root.join("opt/null"), libc::S_IFCHR, libc::makedev(1, 3));
        make_node(&root.join("opt/pipe"), libc::S_IFIFO, 0);
        set_attribute(&root.join("etc/hosts"), "user.note", "said");
    })
}

fn all(config: &ContainerConfig, images: &Images, digest: &Digest) -> andon_image::OciImage {
    images.oci(digest, config, &mut |_| {}).unwrap()
}

pub fn a_layout_comes_back_as_the_same_image() {
    let (data, other) = (Data::new("layout"), Data::new("layout-other"));
    let images = data.images();
    let digest = image(&data, &images);
    for (plain, tag) in [(false, "packed"), (true, "plain")] {
        let config = ContainerConfig { plain, ..ContainerConfig::default() };
        let layout = data.0.join(tag);
        let image = all(&config, &images, &digest);
        image.write_layout(&layout, "web").unwrap();
        let again = data.0.join("again");
        all(&config, &images, &digest).write_layout(&again, "web").unwrap();
        assert_eq!(everything(&layout), everything(&again), "the same bytes");
        let from = |tag: &str| Source::parse(&format!("oci:{}{tag}", layout.display()), Path::new("/")).unwrap();
        let elsewhere = other.images();
        assert_eq!(elsewhere.base(&from(":web"), &|_| {}).unwrap().digest, digest, "{tag}");
        assert_eq!(elsewhere.base(&from(""), &|_| {}).unwrap().digest, digest, "{tag}");
        let refusal = elsewhere.base(&from(":other"), &|_| {}).unwrap_err();
        assert_eq!(refusal.summary, "the image is not for this machine");
        // What was damaged is not taken.
        for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap().flatten() {
            let mut bytes = fs::read(entry.path()).unwrap();
            if bytes[0] != b'{' {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(entry.path(), bytes).unwrap();
            }
        }
        elsewhere.purge().unwrap();
        assert!(elsewhere.base(&from(":web"), &|_| {}).is_err());
        assert_eq!(elsewhere.list().unwrap(), []);
        // Writing it again mends it; what is damaged where it is kept is not handed on, and packed anew.
        image.write_layout(&layout, "web").unwrap();
        assert_eq!(everything(&layout), everything(&again), "mended");
        let end = if plain { ".tar" } else { ".tar.gz" };
        let kept = fs::read_dir(data.0.join("data/images/blobs")).unwrap().flatten();
        for path in kept.map(|entry| entry.path()).filter(|path| path.to_str().unwrap().ends_with(end)) {
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }
        image.write_layout(&layout, "web").unwrap();
        let fresh = data.0.join("fresh");
        for _ in 0..2 {
            let refusal = all(&config, &images, &digest).write_layout(&fresh, "web").unwrap_err();
            assert_eq!(refusal.summary, "a packed layer was damaged");
        }
        all(&config, &images, &digest).write_layout(&fresh, "web").unwrap();
        assert_eq!(everything(&fresh), everything(&layout));
        fs::remove_dir_all(fresh).unwrap();
        fs::remove_dir_all(again).unwrap();
    }
}

pub fn a_root_file_system_is_written_as_it_is() {
    let (data, other) = (Data::new("export"), Data::new("export-other"));
    let images = data.images();
    let digest = image(&data, &images);
    let directory = data.0.join("out");
    images.write_root(&digest, &directory).unwrap();
    images.write_root(&digest, &directory).unwrap();
    assert!(!directory.join("usr/removed").exists() && !directory.join("usr/share/a").exists());
    let archives = ["out.tar", "out.tar.gz", "out.tar.zst"].map(|name| data.0.join(name));
    for archive in &archives {
        images.write_root_archive(&digest, archive).unwrap();
        let first = fs::read(archive).unwrap();
        images.write_root_archive(&digest, archive).unwrap();
        assert_eq!(fs::read(archive).unwrap(), first, "the same bytes");
    }
    // A base that is packed by Zstandard is unpacked by tar and zstd.
    let [plain, packed, zstd] = &archives;
    let unpacked = Command::new("zstd").args(["--decompress", "--stdout", "--quiet"]).arg(zstd).output();
    let bases = match unpacked {
        Ok(unpacked) => {
            assert!(unpacked.stdout == fs::read(plain).unwrap(), "{}", String::from_utf8_lossy(&unpacked.stderr));
            vec![&directory, plain, packed, zstd]
        }
        Err(_) => {
            println!("  skipped: zstd is not installed");
            vec![&directory, plain, packed]
        }
    };
    for path in bases {
        let from = Source::parse(path.to_str().unwrap(), Path::new("/")).unwrap();
        assert_eq!(other.images().base(&from, &|_| {}).unwrap().digest, digest, "{}", path.display());
    }
    let full = data.0.join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter"), "x").unwrap();
    assert_eq!(images.write_root(&digest, &full).unwrap_err().summary, "the directory is not empty");
    assert!(full.join("letter").exists());
    // Nor what somebody put where an image was.
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("letter"), "x").unwrap();
    assert_eq!(images.write_root(&digest, &directory).unwrap_err().summary, "the directory is not empty");
    assert!(directory.join("letter").exists());
}

pub fn a_layout_holds_several_images() {
    let data = Data::new("several");
    let images = data.images();
    let digest = image(&data, &images);
    let other = bake(&images, &digest, "other", "other", |root| fs::write(root.join("opt/other"), "x").unwrap());
    let layout = data.0.join("layout");
    let write = |digest: &Digest, tag: &str| {
        all(&ContainerConfig::default(), &images, digest).write_layout(&layout, tag).unwrap();
    };
    let from = |tag: &str| Source::parse(&format!("oci:{}:{tag}", layout.display()), Path::new("/")).unwrap();
    let count = || fs::read_dir(layout.join("blobs/sha256")).unwrap().count();
    write(&digest, "one");
    let alone = count();
    write(&other, "two");
    assert_eq!(count(), alone + 3, "a layer, a configuration and a manifest more");
    let elsewhere = Data::new("several-other");
    for (tag, digest) in [("one", &digest), ("two", &other)] {
        assert_eq!(elsewhere.images().base(&from(tag), &|_| {}).unwrap().digest, *digest, "{tag}");
        if has("skopeo") {
            run("skopeo", &["inspect", &format!("oci:{}:{tag}", layout.display())]);
        }
    }
    // What only the replaced one had goes, also where the layout is known by a link.
    let link = data.0.join("link");
    std::os::unix::fs::symlink(&layout, &link).unwrap();
    all(&ContainerConfig::default(), &images, &digest).write_layout(&link, "two").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(count(), alone);
    assert_eq!(elsewhere.images().base(&from("two"), &|_| {}).unwrap().digest, digest);
    // What is no layout is left alone.
    let full = data.0.join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter"), "x").unwrap();
    let refused = all(&ContainerConfig::default(), &images, &digest).write_layout(&full, "one").unwrap_err();
    assert_eq!(refused.summary, "the directory is no layout");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
}

pub fn a_registry_lets_in_whom_it_knows() {
    if !has("docker-registry") || !has("htpasswd") {
        println!("  skipped: docker-registry or htpasswd is not installed");
        return;
    }
    let data = Data::new("login");
    let images = data.images();
    let digest = image(&data, &images);
    let layout = data.0.join("layout");
    all(&ContainerConfig::default(), &images, &digest).write_layout(&layout, "web").unwrap();
    let users = data.0.join("users");
    fs::write(&users, run("htpasswd", &["-Bbn", "somebody", "open sesame"])).unwrap();
    let registry =
        Registry::start_with(&data.0, &format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", users.display()));
    let helper = data.0.join("bin/docker-credential-test");
    fs::create_dir(data.0.join("bin")).unwrap();
    let secret = r#"{"ServerURL":"x","Username":"somebody","Secret":"open sesame"}"#;
    fs::write(&helper, format!("#!/bin/sh\nread -r server; [ \"$1 $server\" = \"get {}\" ] || {{ echo credentials not found in native keychain; exit 1; }}\necho '{secret}'\n", registry.address)).unwrap();
    set_mode(&helper, 0o755);
    let auth = base64_of("somebody:open sesame");
    for (login, is_let_in) in [
        ("{}".to_owned(), false),
        (format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address), true),
        (format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, registry.address), true),
        (r#"{"credsStore":"test"}"#.to_owned(), true),
        (r#"{"credHelpers":{"other.example":"test"}}"#.to_owned(), false),
    ] {
        fs::write(data.0.join("config.json"), &login).unwrap();
        // Who the user is comes from the environment of a process.
        let mut worker = Command::new(std::env::current_exe().unwrap());
        worker.arg("worker").arg(data.0.join("data")).args(["push", &format!("oci:{}:web", layout.display())]);
        worker.arg(format!("{}/team/web:1", registry.address)).env("DOCKER_CONFIG", &data.0).env("HOME", &data.0);
        let path = format!("{}:{}", data.0.join("bin").display(), std::env::var("PATH").unwrap());
        let output = worker.env("PATH", path).env_remove("REGISTRY_AUTH_FILE").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.contains("pushed"), is_let_in, "{login}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said.contains("does not let this user in"), !is_let_in, "{login}: {said}");
    }
}

pub fn a_locked_image_is_fetched_by_its_manifest() {
    if !has("docker-registry") {
        println!("  skipped: docker-registry is not installed");
        return;
    }
    let (data, other) = (Data::new("manifest"), Data::new("manifest-other"));
    let images = data.images();
    let first = image(&data, &images);
    let second = bake(&images, &first, "second", "second", |root| fs::write(root.join("opt/two"), "2").unwrap());
    let registry = Registry::start(&data.0);
    let tag = Reference::parse(&format!("{}/team/web:1", registry.address)).unwrap();
    let push = |digest: &Digest| {
        let image = all(&ContainerConfig::default(), &images, digest);
        Registries::new().push(&image, &tag, &mut |_| {}).unwrap();
        image.digest
    };
    let source = Source::Registry(tag.clone());
    let wanted = push(&first);
    let elsewhere = other.images();
    let base = elsewhere.base(&source, &|_| {}).unwrap().digest;
    assert_eq!((&base, elsewhere.manifest_of(&base, &source)), (&first, Some(wanted.clone())));
    // The tag moves on.
    push(&second);
    let third = Data::new("manifest-third");
    let choice = |manifest: &Digest| Choice { manifest: Some(manifest.clone()), ..Choice::default() };
    let locked = third.images().base_with(&source, &choice(&wanted), &|_| {}).unwrap();
    assert_eq!(locked.digest, first);
    assert!(third.images().config_of(&first, &source).is_some());
    assert_eq!(third.images().known_base(&source).unwrap(), None, "the tag is not known to name it");
    assert_eq!(third.images().base(&source, &|_| {}).unwrap().digest, second);
    let gone = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let refused = third.images().base_with(&source, &choice(&gone), &|_| {}).unwrap_err();
    assert_eq!(refused.summary, "the base of the image is gone from its registry", "{refused}");
    assert!(refused.help[0].contains("andon bake --update"), "{refused}");
}

fn base64_of(text: &str) -> String {
    let output = Command::new("sh").args(["-c", "printf %s \"$0\" | base64", text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn other_tools_take_a_layout() {
    let data = Data::new("judges");
    let images = data.images();
    let digest = image(&data, &images);
    let layout = data.0.join("layout");
    let config = ContainerConfig {
        command: vec!["/bin/sh".into()],
        environment: [("GREETING".to_owned(), "hi".to_owned())].into(),
        ports: vec!["80".into()],
        ..ContainerConfig::default()
    };
    let image = all(&config, &images, &digest);
    image.write_layout(&layout, "web").unwrap();
    image.write_archive(&data.0.join("web.tar"), "web").unwrap();
    images.write_root(&digest, &data.0.join("root-of-it")).unwrap();
    if has("umoci") {
        let bundle = data.0.join("bundle");
        run("umoci", &["unpack", "--image", &format!("{}:web", layout.display()), bundle.to_str().unwrap()]);
        assert_eq!(everything(&bundle.join("rootfs")), everything(&data.0.join("root-of-it")));
        let spec = fs::read_to_string(bundle.join("config.json")).unwrap();
        assert!(spec.contains("GREETING=hi") && spec.contains("/bin/sh"));
    }
    if has("skopeo") {
        for place in [format!("oci:{}:web", layout.display()), format!("oci-archive:{}/web.tar", data.0.display())] {
            let said = run("skopeo", &["inspect", &place]);
            assert!(said.contains(image.digest.as_str()), "{said}");
        }
        let copy = data.0.join("copy");
        run("skopeo", &["copy", &format!("oci:{}:web", layout.display()), &format!("oci:{}:web", copy.display())]);
    }
}

pub fn a_registry_takes_an_image_and_gives_it_back() {
    if !has("docker-registry") {
        println!("  skipped: docker-registry is not installed");
        return;
    }
    let (data, other) = (Data::new("registry"), Data::new("registry-other"));
    let images = data.images();
    let digest = image(&data, &images);
    let registry = Registry::start(&data.0);
    let to = Reference::parse(&format!("{}/team/web:1", registry.address)).unwrap();
    let client = Registries::new();
    let image = all(&ContainerConfig::default(), &images, &digest);
    let mut said = Vec::new();
    client.push(&image, &to, &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    said.clear();
    client.push(&image, &to, &mut |line| said.push(line.to_owned())).unwrap();
    assert!(said.is_empty(), "what is there is not sent again: {said:?}");
    let elsewhere = other.images();
    for text in [to.to_string(), format!("{}/team/web@{}", registry.address, image.digest)] {
        let from = Source::parse(&text, Path::new("/")).unwrap();
        assert_eq!(elsewhere.base(&from, &|_| {}).unwrap().digest, digest);
    }
    let missing = Source::parse(&format!("{}/team/other:1", registry.address), Path::new("/")).unwrap();
    assert_eq!(elsewhere.base(&missing, &|_| {}).unwrap_err().summary, "the registry does not have it");
    if has("skopeo") {
        let said = run("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{to}")]);
        assert!(said.contains(image.digest.as_str()), "{said}");
    }
    drop(registry);
    assert_eq!(client.push(&image, &to, &mut |_| {}).unwrap_err().summary, "the registry cannot be reached");
}

pub fn has(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Debian's registry, on a port of its own.
pub struct Registry {
    process: Child,
    pub address: String,
}

impl Registry {
    pub fn start(directory: &Path) -> Registry {
        Registry::start_with(directory, "")
    }

    fn start_with(directory: &Path, more: &str) -> Registry {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config: PathBuf = directory.join("registry.yml");
        let store = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n{more}",
            store.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        let process = command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Registry { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
