//! Images from the command line, over a root file system that is small enough to be made anew by every test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value as Json;

use crate::support::{Project, need_lab};

pub const ROLE: &str = r#"role "web" {
  param "greeting" { default = "hi" }

  directory "/srv/site" { source = "site" }
  file "/etc/motd" { content = "${param.greeting}\n" }
}
"#;

pub const IMAGE: &str = "image \"web\" {\n  from  = \"./root\"\n  roles = [\"web\"]\n}\n";

/// A project with an image over a small root, and a place of its own for images.
pub fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    let root = project.directory.join("root");
    for directory in
        ["etc", "opt", "srv", "usr/lib", "var/lib/dpkg/info", "var/log", "proc", "sys", "dev", "run", "tmp"]
    {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    symlink("usr/lib", root.join("lib")).unwrap();
    project.write("root/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    project.write("root/var/lib/dpkg/status", &package("base-files", "12"));
    project.write("root/var/lib/dpkg/info/base-files.list", "/.\n/lib\n/lib/os-release\n");
    project.write("andon.hcl", "project \"p\" {}\n");
    project.write("roles/web.role.hcl", ROLE);
    project.write("roles/site/index.html", "one\n");
    project.write("images/web.image.hcl", IMAGE);
    project
}

fn package(name: &str, version: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n")
}

pub fn digest(project: &Project) -> String {
    project.ok(&["bake", "web"]).out.trim().to_owned()
}

fn layers(project: &Project, image: &str) -> Vec<String> {
    let json: Json = serde_json::from_str(&project.ok(&["image", "show", image, "--json"]).out).unwrap();
    json["layers"].as_array().unwrap().iter().map(|layer| layer.as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_what_changed_is_made_again() {
    need_lab!();
    let project = project("layers");
    let first = digest(&project);
    let before = layers(&project, &first);
    assert_eq!(before.len(), 3);
    let again = project.ok(&["bake", "web"]);
    assert!(again.err.contains("is there already") && again.out.trim() == first, "{again}");
    // The last layer alone.
    project.edit("roles/web.role.hcl", "default = \"hi\"", "default = \"ho\"");
    let ran = project.ok(&["bake", "web"]);
    assert!(!ran.err.contains("/srv/site") && ran.err.contains("file \"/etc/motd\""), "{ran}");
    let second = ran.out.trim().to_owned();
    let after = layers(&project, &second);
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2]);
    // A file that a `source` names, in the layer below; what is above is made again and comes to the same.
    project.write("roles/site/index.html", "two\n");
    let third = digest(&project);
    assert_ne!(third, second);
    assert_eq!(layers(&project, &third)[2], after[2]);
    project.write("roles/site/index.html", "one\n");
    assert_eq!(digest(&project), second, "what it was before");
    let text = project.ok(&["image", "diff", &second, &third]).out;
    assert_eq!(text, "~ /srv/site/index.html 0644 0:0 4 bytes, other content\n");
    let history = project.ok(&["image", "history"]).out;
    assert_eq!(history.lines().count(), 3, "{history}");
}

#[test]
fn what_the_layers_are_cut_into_does_not_count() {
    need_lab!();
    let project = project("cuts");
    let first = digest(&project);
    let cut = layers(&project, &first);
    // The other way round there is one layer less. It stays as it was cut: servers may stand on its layers.
    let (head, rest) = ROLE.split_once("  directory").unwrap();
    let (directory, file) = rest.split_once("  file").unwrap();
    let file = file.trim_end().trim_end_matches('}');
    project.write("roles/web.role.hcl", &format!("{head}  file{file}  directory{directory}}}\n"));
    assert_eq!(digest(&project), first);
    assert_eq!(layers(&project, &first), cut);
}

#[test]
fn the_same_on_another_machine() {
    need_lab!();
    let (one, other) = (project("here"), project("there"));
    for project in [&one, &other] {
        project.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        project.write("root/etc/group", "root:x:0:\n");
        project.write("root/etc/shadow", "root:*:1::::::\n");
        project.edit("roles/web.role.hcl", "  directory", "  user \"app\" { system = true }\n  directory");
    }
    let here = digest(&one);
    // A checkout of another day, by somebody with other habits.
    let old = "find . -exec touch -h -d 2001-02-03T04:05:06Z {} + && chmod -R go= roles images";
    let status = Command::new("sh").args(["-c", old]).current_dir(&other.directory).status().unwrap();
    assert!(status.success());
    let script =
        "hostname somewhere-else; umask 077; exec \"$0\" bake web -o oci:layout -o web.tar.gz --no-attestations";
    let mut command = Command::new("unshare");
    let words = ["--uts", "--", "sh", "-c", script, crate::support::ANDON];
    command.args(words).current_dir(&other.directory).env("ANDON_DATA_DIR", &other.data_dir).env("USER", "somebody");
    command.env("TZ", "Asia/Tokyo").env("http_proxy", "http://127.0.0.1:9").env("LC_ALL", "tr_TR.UTF-8");
    let output = command.env("SOURCE_DATE_EPOCH", "86400").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), here, "{}", String::from_utf8_lossy(&output.stderr));
    one.ok(&["bake", "web", "-o", "oci:layout", "-o", "web.tar.gz", "--no-attestations"]);
    for file in ["web.tar.gz", "layout/index.json"] {
        let read = |project: &Project| fs::read(project.directory.join(file)).unwrap();
        assert!(read(&one) == read(&other), "{file}");
    }
    // Nothing of the machine is in it, nor the day.
    let out = other.directory.join("out");
    other.ok(&["bake", "web", "-o", out.to_str().unwrap()]);
    let shadow = fs::read_to_string(out.join("etc/shadow")).unwrap();
    assert!(shadow.contains("app:!:19723:"), "{shadow}");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for word in ["somewhere-else", "somebody", "127.0.0.1:9", host.trim()] {
        let found = Command::new("grep").args(["-rl", "--", word]).arg(&out).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{word}");
    }
    assert!(!out.join("etc/resolv.conf").exists());
}

#[test]
fn outputs_of_the_definition_are_written() {
    need_lab!();
    let project = project("outputs");
    let outputs = r#"
  output "oci" {
    path    = "out/layout"
    command = ["/bin/true"]
    labels  = { team = "shop" }
  }
  output "archive" { path = "out/root.tar" }
  output "directory" { path = "out/root" }
}
"#;
    fs::create_dir(project.directory.join("out")).unwrap();
    project.write("images/web.image.hcl", &IMAGE.replace("\n}\n", outputs));
    let ran = project.ok(&["bake", "web", "--json"]);
    let json: Json = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["outputs"].as_array().unwrap().len(), 3, "{ran}");
    let out = |path: &str| -> PathBuf { project.directory.join("out").join(path) };
    assert_eq!(fs::read_to_string(out("root/etc/motd")).unwrap(), "hi\n");
    let index: Json = serde_json::from_slice(&fs::read(out("layout/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], json["outputs"][0]["manifest"]);
    // With each goes what is in it, and where it comes from.
    for path in ["layout.web", "root.tar", "root"] {
        let read =
            |end: &str| -> Json { serde_json::from_slice(&fs::read(out(&format!("{path}.{end}"))).unwrap()).unwrap() };
        assert_eq!(read("spdx.json")["spdxVersion"], "SPDX-2.3");
        assert_eq!(read("cdx.json")["bomFormat"], "CycloneDX");
        assert_eq!(read("provenance.json")["predicate"]["buildDefinition"]["externalParameters"]["image"], "web");
    }
    // What it wrote is a base that comes to the same.
    for from in ["out/root.tar", "./out/root", "oci:out/layout:web"] {
        project.write("images/web.image.hcl", &format!("image \"web\" {{\n  from = \"{from}\"\n}}\n"));
        assert_eq!(digest(&project), json["digest"].as_str().unwrap(), "{from}");
    }
}

#[test]
fn disks_are_written_where_there_is_a_kernel() {
    need_lab!();
    let is_there = |path: &str| std::path::Path::new(path).exists();
    if !["/usr/bin/grub-mkimage", "/usr/lib/grub/i386-pc/normal.mod", "/usr/bin/qemu-img"].into_iter().all(is_there) {
        println!("skipped: GRUB or qemu-img is not installed");
        return;
    }
    let project = project("disks");
    let output = "\n  output \"disk\" {\n    size = \"200M\"\n    kernel_arguments = [\"quiet\"]\n  }\n}\n";
    project.write("images/web.image.hcl", &IMAGE.replace("\n}\n", output));
    let ran = project.exits(1, &["bake", "web"]);
    assert!(ran.err.contains("the image has no kernel") && ran.err.contains("linux-image-cloud-amd64"), "{ran}");
    project.write("root/boot/vmlinuz-6.1", "kernel");
    project.ok(&["bake", "web", "-o", project.directory.join("other.raw").to_str().unwrap()]);
    let disk = project.directory.join("web.qcow2");
    let told = Command::new("qemu-img").args(["info", "--output=json"]).arg(&disk).output().unwrap();
    let told: Json = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((told["format"].as_str(), told["virtual-size"].as_u64()), (Some("qcow2"), Some(200 << 20)));
    assert!(fs::metadata(project.directory.join("other.raw")).unwrap().len() > 200 << 20);
    project.write("images/web.image.hcl", &IMAGE.replace("\n}\n", &output.replace("200M", "64M")));
    let ran = project.ok(&["bake", "web", "--no-outputs"]);
    assert!(!ran.err.contains("wrote"), "{ran}");
}

#[test]
fn outputs_that_are_wrong_are_said_with_their_place() {
    let project = project("wrong-outputs");
    for (output, expected) in [
        ("output \"ocl\" {}", "there is no form of images \"ocl\""),
        ("output \"oci\" { paht = \"x\" }", "paht"),
        ("output \"oci\" { compression = \"rar\" }", "there is no compression \"rar\""),
        ("output \"oci\" { push = [\"web:1\"] }", "this is no reference to a registry"),
        ("output \"oci\" { push = [\"r.example/web@sha256:0\"] }", "nothing can be pushed to a digest"),
        ("output \"directory\" {}", "\"path\""),
        ("output \"archive\" { path = \"web.rar\" }", "`web.rar` is no name of an archive"),
        ("output \"disk\" { format = \"vdi\" }", "there is no format of disks \"vdi\""),
        ("output \"disk\" { size = \"2\" }", "`2` is no size of a disk"),
        ("output \"disk\" { kernel_arguments = [\"a b\"] }", "`a b` is no argument of a kernel"),
    ] {
        project.write("images/web.image.hcl", &IMAGE.replace("\n}\n", &format!("\n  {output}\n}}\n")));
        for command in [&["bake", "web"][..], &["check"]] {
            let ran = project.exits(1, command);
            assert!(ran.err.contains(expected) && ran.err.contains("images/web.image.hcl:4"), "{output}: {ran}");
        }
        assert!(!project.data_dir.exists(), "nothing was begun");
    }
    project.write("images/web.image.hcl", &IMAGE.replace("./root", "./not/there"));
    let ran = project.exits(1, &["bake", "web"]);
    assert!(
        ran.err.contains("there is no such base") && ran.err.contains("images/web.image.hcl:2:11: Cannot"),
        "{ran}"
    );
    project.write("images/web.image.hcl", IMAGE);
    let ran = project.exits(1, &["bake", "wep"]);
    assert!(ran.err.contains("Did you mean `web`?"), "{ran}");
}

#[test]
fn packages_are_locked_compared_and_billed() {
    need_lab!();
    let project = project("packages");
    let first = digest(&project);
    let lock = fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    assert!(lock.contains("\"base-files:all\" = \"12\""), "{lock}");
    project.write("root/var/lib/dpkg/status", &(package("base-files", "13") + &package("new", "1")));
    let refused = project.exits(1, &["bake", "web"]);
    assert!(refused.err.contains("is not as it is locked") && refused.err.contains("base-files 13"), "{refused}");
    let second = project.ok(&["bake", "web", "--update"]).out.trim().to_owned();
    let lock = fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    assert!(lock.contains("\"base-files:all\" = \"13\""), "{lock}");
    assert!(project.ok(&["bake", "web"]).err.contains("is there already"));
    let text = project.ok(&["image", "diff", &first, &second]).out;
    assert!(text.starts_with("~ package base-files 12 → 13\n+ package new 1\n~ /var/lib/dpkg/status"), "{text}");
    let bill: Json = serde_json::from_str(&project.ok(&["image", "show", "web", "--sbom", "spdx"]).out).unwrap();
    assert_eq!(
        bill["packages"][1]["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/base-files@13?arch=all&distro=debian-12"
    );
    let bill: Json = serde_json::from_str(&project.ok(&["image", "show", "web", "--sbom", "cyclonedx"]).out).unwrap();
    assert_eq!(bill["components"].as_array().unwrap().len(), 2);
}

#[test]
fn what_an_image_is_made_over_is_locked_with_it() {
    need_lab!();
    let project = project("locked-parents");
    project.write("images/base.image.hcl", "image \"base\" { from = \"./root\" }\n");
    project.write("images/web.image.hcl", &IMAGE.replace("\"./root\"", "image.base"));
    project.ok(&["bake"]);
    assert!(project.ok(&["bake", "web"]).err.contains("is there already"));
    project.write("root/var/lib/dpkg/status", &package("base-files", "13"));
    let refused = project.exits(1, &["bake", "web"]);
    assert!(refused.err.contains("the image `base` is not as it is locked"), "{refused}");
    project.ok(&["bake", "web", "--update"]);
    let lock = fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    assert_eq!(lock.matches("\"base-files:all\" = \"13\"").count(), 2, "{lock}");
    for name in ["web", "base"] {
        assert!(project.ok(&["bake", name]).err.contains("is there already"), "{name}");
    }
    assert_eq!(fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap(), lock);
}

#[test]
fn what_images_have_in_common_is_taken_afresh_once() {
    need_lab!();
    let project = project("afresh");
    project.write("roles/base.role.hcl", "role \"base\" {\n  file \"/etc/base\" { content = \"x\" }\n}\n");
    project.write("images/base.image.hcl", "image \"base\" {\n  from  = \"./root\"\n  roles = [\"base\"]\n}\n");
    for name in ["web", "db"] {
        let head = format!("image \"{name}\" {{\n  params = {{ greeting = \"{name}\" }}");
        let text = IMAGE.replace("\"./root\"", "image.base").replace("image \"web\" {", &head);
        project.write(&format!("images/{name}.image.hcl"), &text);
    }
    project.ok(&["bake"]);
    let ran = project.ok(&["bake", "--update"]);
    assert_eq!(ran.err.matches("baking file \"/etc/base\"").count(), 1, "{ran}");
    assert_eq!(ran.err.matches("copying ").count(), 1, "{ran}");
    assert_eq!(ran.err.matches("baking file \"/etc/motd\"").count(), 2, "{ran}");
    assert_eq!(ran.out.lines().count(), 3, "{ran}");
}

#[test]
fn a_tag_that_moved_is_not_followed() {
    need_lab!();
    let Some((project, _registry, reference)) = over_a_registry("moved-tag") else { return };
    project.ok(&["bake", "base", "--push", &reference]);
    let first = digest(&project);
    let lock = || fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    let manifest = lock().lines().find_map(|line| line.trim().strip_prefix("manifest = ").map(str::to_owned)).unwrap();
    // Another one by that name, and a machine that has none of them.
    project.write("root/etc/moved", "x");
    project.ok(&["bake", "base", "--push", &reference]);
    fs::rename(project.data_dir.join("images"), project.directory.join("elsewhere")).unwrap();
    assert_eq!(digest(&project), first);
    let second = project.ok(&["bake", "web", "--update"]).out;
    assert!(second.trim() != first && !lock().contains(&manifest), "{second}");
    let now = lock();
    let gone = format!("\"sha256:{}\"", "0".repeat(64));
    let lines = now.lines().map(|line| match line.trim().starts_with("manifest = ") {
        true => format!("  manifest = {gone}\n"),
        false if line.trim().starts_with("base     = ") => format!("  base     = {gone}\n"),
        false => format!("{line}\n"),
    });
    project.write(".andon.lock.hcl", &lines.collect::<String>());
    let ran = project.exits(1, &["bake", "web"]);
    assert!(ran.err.contains("gone from its registry") && ran.err.contains("andon bake --update"), "{ran}");
}

#[test]
fn what_is_not_there_is_said() {
    let project = project("nothing");
    for words in [&["list"][..], &["history"], &["verify"], &["prune"], &["prune", "--dry-run"]] {
        let ran = project.ok(&[&["image"], words].concat());
        assert!(ran.out.is_empty() && ran.err.contains("There are no images on this machine yet"), "{words:?}: {ran}");
        let ran = project.ok(&[&["image"], words, &["--json"]].concat());
        let json: Json = serde_json::from_str(&ran.out).unwrap();
        let list = ["images", "history", "verified"].iter().find_map(|name| json[*name].as_array());
        assert!(list.is_some_and(Vec::is_empty), "{words:?}: {ran}");
    }
    for (words, expected) in [
        (&["show", "web"][..], "the image `web` was not baked on this machine"),
        (&["history", "web"], "Bake it: `andon bake web`"),
        (&["history", "wep"], "Did you mean `web`?"),
        (&["diff", "wep", "web"], "Did you mean `web`?"),
        (&["show", "database"], "there is no image `database` on this machine"),
        (&["verify", "out/web.tar"], "there is no file `out/web.tar`"),
    ] {
        let ran = project.exits(1, &[&["image"], words].concat());
        assert!(ran.err.contains(expected), "{words:?}: {ran}");
    }
    assert!(!project.data_dir.join("images").exists(), "who looks makes nothing");
}

#[test]
fn damage_and_forgery_are_found() {
    need_lab!();
    let project = project("verify");
    let image = digest(&project);
    let file = |name: &str| project.directory.join(name).display().to_string();
    let public = project.ok(&["image", "keygen", &file("key")]).out;
    fs::write(file("key.pub"), &public).unwrap();
    let envelope = project.ok(&["image", "attest", "web", "--key", &file("key")]).out;
    fs::write(file("provenance"), &envelope).unwrap();
    let verify = ["image", "verify", "--provenance", &file("provenance"), "--key", &file("key.pub")];
    assert!(project.ok(&verify).out.contains(&image));
    // OpenSSL believes the same key of the same bytes.
    let json: Json = serde_json::from_str(&envelope).unwrap();
    let decoded = |text: &Json, to: &str| {
        let script = format!("printf %s '{}' | base64 -d > '{}'", text.as_str().unwrap(), file(to));
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    };
    decoded(&json["payload"], "payload");
    decoded(&json["signatures"][0]["sig"], "signature");
    let payload = fs::read(file("payload")).unwrap();
    let kind = "application/vnd.in-toto+json";
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend(&payload);
    fs::write(file("signed"), signed).unwrap();
    let openssl = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", &file("key.pub")])
        .args(["-sigfile", &file("signature"), "-in", &file("signed")])
        .output();
    match openssl {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => println!("skipped: openssl is not installed"),
    }
    fs::write(file("provenance"), envelope.replacen("\"payload\":\"ey", "\"payload\":\"eX", 1)).unwrap();
    assert!(project.exits(1, &verify).err.contains("not to be trusted"));
    // A file of a layer that somebody changed.
    let layer = layers(&project, &image).pop().unwrap().replace(':', "-");
    let place = project.data_dir.join("images/layers").join(layer).join("upper/etc/motd");
    fs::write(&place, "HI\n").unwrap();
    let ran = project.exits(1, &["image", "verify", "web"]);
    assert!(ran.out.contains("/etc/motd of layer"), "{ran}");
}

#[test]
fn what_is_said_of_an_image_goes_with_it() {
    need_lab!();
    let project = project("attestations");
    let file = |name: &str| project.directory.join(name).display().to_string();
    for key in ["key", "other"] {
        let public = project.ok(&["image", "keygen", &file(key)]).out;
        fs::write(file(&format!("{key}.pub")), public).unwrap();
    }
    project.ok(&["bake", "web", "-o", &file("web.tar"), "--key", &file("key")]);
    let verify = |key: &str| {
        let (said, key) = (file("web.tar.provenance.json"), file(key));
        project.andon(&["image", "verify", "web", "--provenance", &said, "--key", &key])
    };
    assert_eq!((verify("key.pub").code, verify("other.pub").code), (Some(0), Some(1)));
    project.ok(&["bake", "web", "-o", &file("alone.tar"), "--no-attestations"]);
    assert!(!project.directory.join("alone.tar.spdx.json").exists());
    let Some(registry) = Registry::start(&project.directory) else {
        println!("skipped: docker-registry is not installed");
        return;
    };
    let reference = |tag: &str| format!("{}/team/web:{tag}", registry.address);
    let verify = |tag: &str, key: &str| project.andon(&["image", "verify", &reference(tag), "--key", &file(key)]);
    project.ok(&["bake", "web", "--push", &reference("unsigned")]);
    let ran = verify("unsigned", "key.pub");
    assert!(ran.code == Some(1) && ran.err.contains("the image has no provenance"), "{ran}");
    project.ok(&["bake", "web", "--push", &reference("1"), "--key", &file("key")]);
    project.ok(&["bake", "web", "--push", &reference("1"), "--key", &file("key")]);
    let ran = verify("1", "key.pub");
    assert!(ran.code == Some(0) && ran.out.contains("made by urn:andon:"), "{ran}");
    let ran = verify("1", "other.pub");
    assert!(ran.code == Some(1) && ran.err.contains("None of these keys"), "{ran}");
    // Another image may not have the first one's.
    project.edit("roles/web.role.hcl", "default = \"hi\"", "default = \"ho\"");
    project.ok(&["bake", "web", "--push", &reference("2"), "--no-attestations"]);
    let ran = verify("2", "key.pub");
    assert!(ran.code == Some(1) && ran.err.contains("the image has no provenance"), "{ran}");
    let ran = project.exits(1, &["image", "verify", &reference("1")]);
    assert!(ran.err.contains("there is no key"), "{ran}");
}

#[test]
fn a_lock_file_that_cannot_be_read_is_left_as_it_is() {
    let project = project("unread-lock");
    for bytes in [&b"# caf\xe9\n"[..], b"image \"web\" {\n  from = 1\n}\n"] {
        fs::write(project.directory.join(".andon.lock.hcl"), bytes).unwrap();
        let ran = project.exits(1, &["bake", "web"]);
        assert!(ran.err.contains(".andon.lock.hcl:1") && ran.err.contains("is not understood"), "{ran}");
        assert_eq!(fs::read(project.directory.join(".andon.lock.hcl")).unwrap(), bytes);
        assert!(!project.data_dir.join("images").exists(), "nothing was begun");
    }
}

#[test]
fn a_written_file_is_held_against_what_was_signed() {
    need_lab!();
    let project = project("signed-files");
    let file = |name: &str| project.directory.join("out").join(name).display().to_string();
    fs::write(project.directory.join("key.pub"), project.ok(&["image", "keygen", &file("key")]).out).unwrap();
    let public = project.directory.join("key.pub").display().to_string();
    // The directory that they are in is made.
    for name in ["web.tar", "deep/web.tgz"] {
        project.ok(&["bake", "web", "-o", &file(name), "--key", &file("key")]);
        let ran = project.ok(&["image", "verify", &file(name), "--key", &public]);
        assert!(ran.out.contains("made by urn:andon:"), "{ran}");
    }
    assert_eq!(fs::read(file("deep/web.tgz")).unwrap()[..2], [0x1f, 0x8b], "packed by gzip");
    project.ok(&["bake", "web", "-o", &format!("oci:{}", file("layout.tar")), "--key", &file("key")]);
    project.ok(&["image", "verify", &file("layout.tar"), "--key", &public]);
    let words = ["image", "verify", &file("web.tar"), &file("layout.tar"), "--key", &public, "--json"];
    let json: Json = serde_json::from_str(&project.ok(&words).out).unwrap();
    assert_eq!(json["verified"].as_array().map(Vec::len), Some(2), "{json}");
    assert_eq!(json["verified"][1]["file"], file("layout.tar").as_str());
    let json: Json = serde_json::from_str(&project.ok(&["image", "verify", "--json"]).out).unwrap();
    assert_eq!(json["verified"][1]["damaged"], serde_json::json!([]), "{json}");
    let mut bytes = fs::read(file("web.tar")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file("web.tar"), bytes).unwrap();
    let ran = project.exits(1, &["image", "verify", &file("web.tar"), "--key", &public]);
    assert!(ran.err.contains("the provenance is of something else"), "{ran}");
    let ran = project.exits(1, &["image", "verify", &file("web.tar")]);
    assert!(ran.err.contains("there is no key"), "{ran}");
    // A key that nothing is held against proves nothing.
    let ran = project.exits(1, &["image", "verify", "web", "--key", &public]);
    assert!(ran.err.contains("there is nothing to hold the key against"), "{ran}");
    // What was said of an earlier image does not stay beside another one.
    project.ok(&["bake", "web", "-o", &file("web.tar"), "--no-attestations"]);
    for end in ["spdx.json", "cdx.json", "provenance.json"] {
        assert!(!project.directory.join("out").join(format!("web.tar.{end}")).exists(), "{end}");
    }
}

#[test]
fn the_same_image_of_another_project_is_said_to_be_this_ones() {
    need_lab!();
    let one = project("first-maker");
    let mut other = project("second-maker");
    other.data_dir.clone_from(&one.data_dir);
    fs::rename(other.directory.join("images/web.image.hcl"), other.directory.join("images/shop.image.hcl")).unwrap();
    other.write("images/shop.image.hcl", &IMAGE.replace("\"web\" {", "\"shop\" {"));
    let made = digest(&one);
    let out = other.directory.join("shop.tar").display().to_string();
    for _ in 0..2 {
        let ran = other.ok(&["bake", "shop", "-o", &out]);
        assert_eq!(ran.out.trim(), made);
        let said: Json = serde_json::from_slice(&fs::read(format!("{out}.provenance.json")).unwrap()).unwrap();
        assert_eq!(said["subject"][0]["name"], "shop");
        assert_eq!(said["predicate"]["buildDefinition"]["externalParameters"]["image"], "shop");
    }
    let said: Json = serde_json::from_str(&one.ok(&["image", "attest", "web"]).out).unwrap();
    assert_eq!(said["subject"][0]["name"], "web");
    assert_eq!(one.ok(&["image", "history", "--all"]).out.lines().count(), 2);
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_baked() {
    let project = project("no-place");
    let place = |name: &str| project.directory.join(name).display().to_string();
    fs::create_dir(place("full")).unwrap();
    for path in ["full/letter", "file"] {
        fs::write(place(path), "x").unwrap();
    }
    for (output, expected) in [
        (place("file/web.tar"), "which is no directory"),
        (place("full"), "the directory is not empty"),
        (format!("oci:{}", place("full")), "the directory is no layout"),
        (place("web.tar.xz"), "is no name of an archive"),
        (place("file"), "is no directory"),
        (format!("oci:{}", place("file")), "is no directory"),
        ("oci:".to_owned(), "the layout has no place"),
    ] {
        let ran = project.exits(1, &["bake", "web", "-o", &output]);
        assert!(ran.err.contains(expected), "{output}: {ran}");
        assert!(!project.data_dir.join("images").exists(), "{output}: nothing was begun");
    }
    need_lab!();
    // A layout that was cut short is gone on with.
    fs::create_dir_all(place("layout/blobs/sha256")).unwrap();
    fs::write(place("layout/blobs/sha256/.draft"), "x").unwrap();
    project.ok(&["bake", "web", "-o", &format!("oci:{}", place("layout"))]);
}

/// Debian's registry, on a port that nobody else has.
pub struct Registry {
    process: std::process::Child,
    pub address: String,
}

impl Registry {
    pub fn start(directory: &std::path::Path) -> Option<Registry> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let store = directory.join("registry").display().to_string();
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {store}}}}}\nhttp: {{addr: {address}}}\n"
        );
        fs::write(directory.join("registry.yml"), text).unwrap();
        let quiet = std::process::Stdio::null;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(directory.join("registry.yml")).stdout(quiet()).stderr(quiet());
        let registry = Registry { process: command.spawn().ok()?, address };
        while std::net::TcpStream::connect(&registry.address).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(registry)
    }
}

/// A project whose image `web` is over one of a registry, which its image `base` is to be pushed to: its reference. `None` where
/// there is no registry to be had.
pub fn over_a_registry(name: &str) -> Option<(Project, Registry, String)> {
    let project = project(name);
    let Some(registry) = Registry::start(&project.directory) else {
        println!("skipped: docker-registry is not installed");
        return None;
    };
    let reference = format!("{}/team/base:1", registry.address);
    project.write("images/base.image.hcl", "image \"base\" { from = \"./root\" }\n");
    project.write("images/web.image.hcl", &IMAGE.replace("./root", &reference));
    Some((project, registry, reference))
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_prune_spares_what_is_referred_to() {
    need_lab!();
    let project = project("prune");
    project.write("stacks/s/main.tf", "resource \"andon_image\" \"web\" { definition = \"web\" }\n");
    project.ok(&["apply", "-y"]);
    let referred = project.ok(&["bake", "web"]).out.trim().to_owned();
    for greeting in ["a", "b", "c"] {
        project.write("roles/web.role.hcl", &ROLE.replace("\"hi\"", &format!("\"{greeting}\"")));
        digest(&project);
    }
    let count = || project.ok(&["image", "list"]).out.lines().count();
    assert_eq!(count(), 5, "the base and four images");
    let said = project.ok(&["image", "prune", "--dry-run"]).out;
    assert_eq!(said.matches("- remove").count(), 2, "{said}");
    assert_eq!(count(), 5);
    assert_eq!(project.ok(&["image", "prune", "--unused-for", "1h"]).out.matches("- remove").count(), 0);
    let said = project.ok(&["image", "prune"]).out;
    assert_eq!(said.matches("- removed").count(), 2, "{said}");
    assert_eq!(count(), 3);
    project.ok(&["image", "verify", &referred]);
    assert!(project.ok(&["plan"]).out.contains("to update") || !project.ok(&["plan"]).out.is_empty());
    // The layers of those that went are gone, those of the others are not.
    let left = fs::read_dir(project.data_dir.join("images/layers")).unwrap().count();
    assert_eq!(left, 4, "the base, the site, and two greetings");
    let again = project.ok(&["bake", "web"]);
    assert!(again.err.contains("is there already"), "{again}");
}

#[test]
fn who_bakes_the_same_at_once_has_it_baked_once() {
    need_lab!();
    let project = project("at-once");
    let pipe = std::process::Stdio::piped;
    let start = || project.command(&["bake", "web"]).stdout(pipe()).stderr(pipe()).spawn().unwrap();
    let all: Vec<_> = (0..6).map(|_| start()).collect::<Vec<_>>().into_iter().map(|it| it.wait_with_output()).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said: String = all.iter().map(|ran| text(&ran.as_ref().unwrap().stderr)).collect();
    let digests: std::collections::BTreeSet<String> =
        all.iter().map(|ran| text(&ran.as_ref().unwrap().stdout)).collect();
    assert!(digests.len() == 1 && digests.iter().all(|digest| digest.starts_with("sha256:")), "{said}");
    assert_eq!(said.matches("baking directory \"/srv/site\"").count(), 1, "{said}");
    assert_eq!(fs::read_dir(project.data_dir.join("images/tmp")).unwrap().count(), 0);
}

#[test]
fn a_failed_bake_leaves_nothing_and_says_where() {
    need_lab!();
    let project = project("failed");
    project.write(
        "roles/web.role.hcl",
        "role \"web\" {\n  file \"/etc/motd\" {\n    content  = \"x\"\n    validate = \"false %s\"\n  }\n}\n",
    );
    let ran = project.exits(1, &["bake", "web"]);
    assert!(ran.err.contains("roles/web.role.hcl:2"), "{ran}");
    assert_eq!(fs::read_dir(project.data_dir.join("images/tmp")).unwrap().count(), 0);
    assert_eq!(project.ok(&["image", "list"]).out.lines().count(), 1, "the base");
}
