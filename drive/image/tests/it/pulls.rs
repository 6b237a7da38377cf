//! Images from elsewhere: ones that are too large, too deep or never come, and several at once.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use andon_image::{ContainerConfig, Digest, Images, PruneRule, Reference, Registries, Settings, Source};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::tree::{Data, bake, everything, in_overlay, root_file_system};

fn source(text: &str) -> Source {
    Source::parse(text, Path::new("/")).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn manifest(config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let described = |kind: &str, bytes: &[u8]| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len() });
    let layers: Vec<Json> = layers.iter().map(|layer| described("layer.v1.tar", layer)).collect();
    let text = json!({ "schemaVersion": 2, "config": described("config.v1+json", config), "layers": layers });
    text.to_string().into_bytes()
}

/// A layout of one image with these layers.
pub fn layout(place: &Path, layers: &[Vec<u8>]) -> Source {
    let blobs = place.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let config = br#"{"config":{}}"#;
    let manifest = manifest(config, layers);
    for bytes in layers.iter().map(|layer| &**layer).chain([&config[..], &manifest]) {
        fs::write(blobs.join(digest(bytes).trim_start_matches("sha256:")), bytes).unwrap();
    }
    let entry = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest), "size": manifest.len() });
    fs::write(place.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
    source(&format!("oci:{}", place.display()))
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(size);
    for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
        set(&mut header, 0);
    }
    header
}

/// A layer with these files.
fn files(files: &[(String, &str)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (path, text) in files {
        archive.append_data(&mut header(EntryType::Regular, text.len() as u64), path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A process that makes a base, with what an image may come to.
fn attempt(data: &Path, from: &Source, most: &str) -> String {
    let Source::Layout { path, .. } = from else { panic!("a layout") };
    let mut worker = Command::new(std::env::current_exe().unwrap());
    worker.arg("worker").arg(data).arg("base").arg(format!("oci:{}", path.display())).env("ANDON_IMAGE_MAX", most);
    String::from_utf8(worker.output().unwrap().stdout).unwrap()
}

pub fn what_unpacks_to_too_much_is_refused() {
    let data = Data::new("bomb");
    let store = data.0.join("data");
    let mut zeros = GzEncoder::new(Vec::new(), Compression::best());
    {
        let mut archive = Builder::new(&mut zeros);
        let size = 256 << 20;
        archive.append_data(&mut header(EntryType::Regular, size), "usr/zeros", std::io::repeat(0).take(size)).unwrap();
        archive.finish().unwrap();
    }
    // A file of one hole: of the old GNU form, with no map and the size that it claims.
    let mut hole = header(EntryType::GNUSparse, 0);
    hole.set_path("usr/hole").unwrap();
    let gnu = hole.as_gnu_mut().unwrap();
    gnu.realsize.copy_from_slice(format!("{:011o}\0", 1_u64 << 30).as_bytes());
    gnu.sparse[0].offset.copy_from_slice(format!("{:011o}\0", 1_u64 << 30).as_bytes());
    gnu.sparse[0].numbytes.copy_from_slice(format!("{:011o}\0", 0).as_bytes());
    hole.set_cksum();
    let hole = [hole.as_bytes().as_slice(), &[0; 1024]].concat();
    // Attributes that would be read at once.
    let mut head = GzEncoder::new(Vec::new(), Compression::best());
    let mut pax = header(EntryType::XHeader, 1 << 30);
    pax.set_path("x").unwrap();
    pax.set_cksum();
    head.write_all(pax.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(b'x').take(64 << 20), &mut head).unwrap();
    for (name, layer, most, expected) in [
        ("zeros", zeros.finish().unwrap(), "16M", "unpacks to more than 16M"),
        ("hole", hole, "16M", "unpacks to more than 16M"),
        ("head", head.finish().unwrap(), "10G", "a name or attributes of many megabytes"),
        ("word", files(&[("usr/a".into(), "a")]), "plenty", "`plenty` is no size"),
    ] {
        let from = layout(&data.0.join(name), &[files(&[("usr/b".into(), "b")]), layer]);
        let said = attempt(&store, &from, most);
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(fs::read_dir(store.join("images/tmp")).into_iter().flatten().count(), 0, "{name}");
    }
    let from = layout(&data.0.join("small"), &[files(&[("usr/b".into(), "b")])]);
    assert!(attempt(&store, &from, "16M").contains("fetched true"));
}

pub fn names_of_a_file_below_are_one_file() {
    let data = Data::new("names");
    let store = data.0.join("data");
    let big = "b".repeat(4 << 20);
    let below = files(&[("usr/big".into(), &big), ("usr/other".into(), &big)]);
    let mut archive = Builder::new(Vec::new());
    let mut link = |name: &str, to: &str| archive.append_link(&mut header(EntryType::Link, 0), name, to).unwrap();
    (0..200).for_each(|number| link(&format!("usr/names/{number}"), "usr/big"));
    // A copy that is replaced is none any more.
    link("usr/again", "usr/other");
    link("usr/again", "usr/names/7");
    link("usr/last", "usr/other");
    archive.append_data(&mut header(EntryType::Regular, 0), "usr/.wh.big", std::io::empty()).unwrap();
    let above = archive.into_inner().unwrap();
    let from = layout(&data.0.join("layout"), &[below, above]);
    let said = attempt(&store, &from, "24M");
    assert!(said.contains("fetched true"), "{said}");
    let images = data.images();
    let base = images.known_base(&from).unwrap().unwrap();
    let upper = &base.lower[0];
    let inode = |name: &str| fs::metadata(upper.join(name)).map(|metadata| (metadata.ino(), metadata.nlink()));
    assert_eq!((inode("usr/names/0").unwrap(), inode("usr/again").unwrap().1), (inode("usr/names/199").unwrap(), 201));
    assert_eq!(fs::read_to_string(upper.join("usr/last")).unwrap(), big);
    in_overlay(&images, &base.digest, |root| {
        assert!(!root.join("usr/big").exists() && root.join("usr/other").exists());
        assert!(fs::read_to_string(root.join("usr/names/150")).unwrap() == big);
    });
    // The copies count: of three files there is room for no more than one and a half of four megabytes.
    let said = attempt(&data.0.join("small"), &from, "14M");
    assert!(said.contains("unpacks to more than 14M"), "{said}");
    assert_eq!(fs::read_dir(data.0.join("small/images/tmp")).unwrap().count(), 0);
}

pub fn an_image_of_many_layers_is_one() {
    let (data, other) = (Data::new("deep"), Data::new("deep-other"));
    let text = |number: usize| format!("opt/{number}");
    let layers: Vec<Vec<u8>> = (0..150)
        .map(|number| match number {
            0 => files(&[("usr/a".into(), "a"), (text(0), "x")]),
            number => files(&[(text(number), "x"), (format!("opt/.wh.{}", number - 1), "")]),
        })
        .collect();
    let images = data.images();
    let deep = images.base(&layout(&data.0.join("layout"), &layers), &|_| {}).unwrap().digest;
    let flat = layout(&data.0.join("flat"), &[files(&[("usr/a".into(), "a"), (text(149), "x")])]);
    let elsewhere = other.images();
    assert_eq!(elsewhere.base(&flat, &|_| {}).unwrap().digest, deep, "it holds the same");
    assert!(images.lower_dirs(&deep).unwrap().len() < 60);
    let baked = bake(&images, &deep, "over", "over", |root| fs::write(root.join("opt/over"), "x").unwrap());
    let mut found = Vec::new();
    in_overlay(&images, &baked, |root| found = everything(&root.join("opt")));
    assert_eq!(found.iter().filter(|(path, _)| !path.is_empty()).count(), 2, "{found:?}");
    // What is baked over many becomes one, too.
    let mut stack = images.stack(&deep).unwrap();
    assert_eq!(images.shallow(&stack).unwrap(), None);
    while stack.layers().len() < 100 {
        let layer = stack.layers().last().cloned();
        stack.push(layer);
    }
    let shallow = images.shallow(&stack).unwrap().unwrap();
    assert_eq!((shallow.layers().len(), images.shallow(&stack).unwrap()), (1, Some(shallow.clone())));
    assert_eq!(images.finish(&shallow, &andon_image::RecipeKey::of([&b"flat"[..]])).unwrap(), deep);
}

pub fn how_containers_run_is_kept() {
    let (data, other) = (Data::new("config"), Data::new("config-other"));
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let digest = images.base(&source(root.to_str().unwrap()), &|_| {}).unwrap().digest;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let of = |name: &str| [(name.to_owned(), "x".to_owned())].into();
    let config = ContainerConfig {
        entrypoint: texts(&["/run"]),
        command: texts(&["serve"]),
        environment: of("MODE"),
        user: Some("web".into()),
        working_dir: Some("/srv".into()),
        ports: texts(&["80", "53/udp"]),
        labels: of("team"),
        stop_signal: Some("SIGQUIT".into()),
        volumes: texts(&["/data"]),
        plain: false,
    };
    let written = images.oci(&digest, &config, &mut |_| {}).unwrap();
    let layout = data.0.join("layout");
    written.write_layout(&layout, "web").unwrap();
    let elsewhere = other.images();
    let from = source(&format!("oci:{}:web", layout.display()));
    let base = elsewhere.base(&from, &|_| {}).unwrap().digest;
    let kept = elsewhere.config_of(&base, &from).unwrap();
    let again = elsewhere.oci(&base, &ContainerConfig::default().over(&kept), &mut |_| {}).unwrap();
    assert_eq!(again.digest, written.digest, "the same image in all");
    let own = ContainerConfig { command: texts(&["other"]), user: Some("me".into()), ..Default::default() }.over(&kept);
    assert_eq!((own.entrypoint, own.command, own.user.as_deref()), (texts(&["/run"]), texts(&["other"]), Some("me")));
    let own = ContainerConfig { entrypoint: texts(&["/own"]), ..ContainerConfig::default() }.over(&kept);
    assert_eq!((own.entrypoint, own.command, own.stop_signal), (texts(&["/own"]), texts(&[]), None));
}

pub fn several_pulls_and_a_prune_at_once() {
    let data = Data::new("pulls");
    let layers: Vec<Vec<u8>> = (0..12).map(|number| files(&[(format!("usr/{number}"), "x")])).collect();
    let froms: Vec<String> = (0..6)
        .map(|number| {
            let own = files(&[(format!("usr/own-{number}"), "x")]);
            let place = data.0.join(format!("layout-{number}"));
            layout(&place, &layers.iter().cloned().chain([own]).collect::<Vec<_>>());
            format!("oci:{}", place.display())
        })
        .collect();
    let store = data.0.join("data");
    let start = |from: &String| {
        let mut worker = Command::new(std::env::current_exe().unwrap());
        worker.arg("worker").arg(&store).args(["base", from]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut workers: Vec<_> = froms.iter().map(start).collect();
    let images = data.images();
    let rule = PruneRule { unused_for: Duration::from_secs(3600), keep: 1, gone: false, dry_run: false };
    while workers.iter_mut().any(|worker| worker.try_wait().unwrap().is_none()) {
        images.prune(&rule, &Default::default()).unwrap();
    }
    for worker in workers {
        let said = String::from_utf8(worker.wait_with_output().unwrap().stdout).unwrap();
        assert!(said.contains("fetched true"), "{said}");
    }
    for from in &froms {
        let base = images.known_base(&source(from)).unwrap().unwrap();
        assert_eq!(images.verify(&base.digest).unwrap(), []);
        assert_eq!(base.lower.len(), 13);
    }
}

pub fn several_writers_of_one_layout() {
    let data = Data::new("writers");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(root.to_str().unwrap()), &|_| {}).unwrap().digest;
    let layout = data.0.join("layout");
    let written: Vec<(String, Digest)> = (0..8)
        .map(|number| {
            let name = format!("image-{number}");
            let change = |root: &Path| fs::write(root.join("opt/number"), number.to_string()).unwrap();
            (name.clone(), bake(&images, &base, &name, &name, change))
        })
        .collect();
    std::thread::scope(|scope| {
        for (tag, digest) in &written {
            let (images, layout) = (&images, &layout);
            let config = ContainerConfig { plain: true, ..ContainerConfig::default() };
            let image = images.oci(digest, &config, &mut |_| {}).unwrap();
            scope.spawn(move || image.write_layout(layout, tag).unwrap());
        }
    });
    let elsewhere = Data::new("writers-other");
    for (tag, digest) in &written {
        let from = source(&format!("oci:{}:{tag}", layout.display()));
        assert_eq!(elsewhere.images().base(&from, &|_| {}).unwrap().digest, *digest, "{tag}");
    }
}

/// A registry that is busy, ends a connection, and loses what it was sent halfway, each once; then it takes all. What it
/// was asked, each without what follows the digest or the upload.
fn moody(listener: &TcpListener, asked_of: &Mutex<Vec<String>>) {
    let mut sent = 0;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        let (mut first, mut bytes) = (String::new(), 0);
        stream.read_line(&mut first).unwrap();
        let mut line = first.clone();
        while !line.trim().is_empty() {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                bytes = length.trim().parse().unwrap();
            }
        }
        let mut words = first.split(' ');
        let (Some(method @ ("HEAD" | "POST" | "PUT")), Some(path)) = (words.next(), words.next()) else { return };
        sent += 1;
        let place = if path.contains("/manifests/") { "manifest" } else { "blob" };
        asked_of.lock().unwrap().push(format!("{method} {place}"));
        let answer = match (sent, method) {
            (1, _) => continue,
            (2, _) => "429 Too Many Requests\r\nretry-after: 0",
            (3, _) => "503 Service Unavailable\r\nretry-after: 0",
            (_, "HEAD") => "404 Not Found",
            (_, "POST") => "202 Accepted\r\nlocation: /v2/team/web/blobs/uploads/1?state=x",
            (6, _) => continue,
            _ => "201 Created",
        };
        std::io::copy(&mut stream.by_ref().take(bytes), &mut std::io::sink()).unwrap();
        let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
    }
}

pub fn a_registry_that_is_busy_is_asked_again() {
    let data = Data::new("busy");
    let images = data.images();
    let root = root_file_system(&data.0.join("root"));
    let base = images.base(&source(root.to_str().unwrap()), &|_| {}).unwrap().digest;
    let image = images.oci(&base, &ContainerConfig::default(), &mut |_| {}).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let of = Reference::parse(&format!("{address}/team/web:1")).unwrap();
    let asked = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| moody(&listener, &asked));
        let pushed = Registries::new().push(&image, &of, &mut |_| {});
        // The last word, after which it listens no more.
        TcpStream::connect(address).and_then(|mut stream| stream.write_all(b"END x\r\n\r\n")).unwrap();
        pushed.unwrap();
    });
    let asked = asked.into_inner().unwrap();
    let layer = ["HEAD blob", "HEAD blob", "HEAD blob", "HEAD blob", "POST blob", "PUT blob", "POST blob", "PUT blob"];
    let config = ["HEAD blob", "POST blob", "PUT blob"];
    assert_eq!(asked, [&layer[..], &config, &["PUT manifest"]].concat());
}

/// A registry of one image, whose layer begins and never ends.
fn stalling(listener: &TcpListener, manifest: &[u8], config: &[u8], has_begun: &AtomicBool) {
    for stream in listener.incoming() {
        let mut stream: TcpStream = stream.unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => asked.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        let asked = String::from_utf8_lossy(&asked).into_owned();
        let path = asked.split(' ').nth(1).unwrap_or_default();
        let page = match path {
            "" => continue,
            path if path.contains("/manifests/") => manifest,
            path if path.ends_with(&digest(config)) => config,
            _ => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\nbegun").unwrap();
                has_begun.store(true, Ordering::Relaxed);
                // Open until the other side is gone.
                let _ = stream.read(&mut buffer);
                continue;
            }
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page)).unwrap();
    }
}

pub fn a_registry_that_stalls_is_not_waited_for() {
    let data = Data::new("stalls");
    // One that takes connections and says nothing at all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let of = Reference::parse(&format!("{}/team/web:1", silent.local_addr().unwrap())).unwrap();
    let client = Registries::new().giving_up_after(Duration::from_millis(200));
    let failure = client.referrers(&of, &[]).unwrap_err();
    assert!(
        failure.summary == "the registry cannot be reached" && failure.detail.contains("nothing came"),
        "{failure}"
    );
    let interrupt = Arc::new(AtomicBool::new(false));
    let client = Registries::new().interrupted_by(Arc::clone(&interrupt));
    let image = {
        let images = data.images();
        let root = root_file_system(&data.0.join("root"));
        let base = images.base(&source(root.to_str().unwrap()), &|_| {}).unwrap().digest;
        images.oci(&base, &ContainerConfig::default(), &mut |_| {}).unwrap()
    };
    let failure = std::thread::scope(|scope| {
        let pushed = scope.spawn(|| client.push(&image, &of, &mut |_| {}));
        std::thread::sleep(Duration::from_millis(100));
        interrupt.store(true, Ordering::Relaxed);
        pushed.join().unwrap().unwrap_err()
    });
    assert_eq!(failure.summary, "it was stopped");
    // One that stops in the middle of a layer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let from = source(&format!("{}/team/web:1", listener.local_addr().unwrap()));
    let config = br#"{"config":{}}"#.to_vec();
    let layer = vec![b'x'; 4096];
    let manifest = manifest(&config, &[layer]);
    let has_begun = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&has_begun);
    std::thread::spawn(move || stalling(&listener, &manifest, &config, &seen));
    let interrupt = Arc::new(AtomicBool::new(false));
    let images =
        Images::open(&data.0.join("data"), Settings::default()).unwrap().interrupted_by(Arc::clone(&interrupt));
    let (failure, took) = std::thread::scope(|scope| {
        let pulled = scope.spawn(|| images.base(&from, &|_| {}));
        while !has_begun.load(Ordering::Relaxed) {
            assert!(!pulled.is_finished(), "{:?}", pulled.join());
            std::thread::sleep(Duration::from_millis(5));
        }
        interrupt.store(true, Ordering::Relaxed);
        let start = Instant::now();
        (pulled.join().unwrap().unwrap_err(), start.elapsed())
    });
    assert!(failure.detail.contains("it was asked to end"), "{failure}");
    println!("  ended {} ms after it was asked to", took.as_millis());
    assert_eq!(fs::read_dir(data.0.join("data/images/tmp")).unwrap().count(), 0);
}
