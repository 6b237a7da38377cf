//! What is said of images: of which commit and base they are, whose they are, and what of that is believed.

use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use crate::images::{IMAGE, ROLE, digest, over_a_registry, project};
use crate::support::{Project, need_lab};

fn read(project: &Project, path: &str) -> Json {
    serde_json::from_slice(&fs::read(project.directory.join(path)).unwrap()).unwrap()
}

/// A key in `key`, its public half in `key.pub`, whose paths these are.
fn key(project: &Project) -> (String, String) {
    let file = |name: &str| project.directory.join(name).display().to_string();
    fs::write(file("key.pub"), project.ok(&["image", "keygen", &file("key")]).out).unwrap();
    (file("key"), file("key.pub"))
}

#[test]
fn an_image_is_of_a_commit_also_where_the_checkout_is_somebody_elses() {
    need_lab!();
    let project = project("of-a-commit");
    let own = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main", "-C"];
    let git = |words: &[&str]| Command::new("git").args(own).arg(&project.directory).args(words).output();
    if !git(&["init", "--quiet"]).is_ok_and(|ran| ran.status.success()) {
        println!("skipped: git is not installed");
        return;
    }
    let role = ROLE.replace(
        "role \"web\" {",
        "role \"web\" {\n  param \"token\" {\n    default   = \"in-no-statement\"\n    sensitive = true\n  }\n",
    );
    project.write("roles/web.role.hcl", &role);
    project.write(".gitignore", ".data\n.andon\n");
    let commit = || {
        assert!(git(&["add", "."]).unwrap().status.success());
        assert!(git(&["commit", "--quiet", "-m", "a"]).unwrap().status.success());
        String::from_utf8_lossy(&git(&["rev-parse", "HEAD"]).unwrap().stdout).trim().to_owned()
    };
    let first = commit();
    let out = project.directory.join(".data/web.tar").display().to_string();
    let statement = || {
        project.ok(&["bake", "web", "-o", &out]);
        let said = read(&project, ".data/web.tar.provenance.json");
        assert!(!said.to_string().contains("in-no-statement"), "{said}");
        let params = &said["predicate"]["buildDefinition"]["externalParameters"]["params"];
        assert_eq!(*params, serde_json::json!({"web": {"greeting": "hi", "token": "(sensitive)"}}));
        said["predicate"]["buildDefinition"]["resolvedDependencies"][1].clone()
    };
    let said = statement();
    assert_eq!((said["digest"]["gitCommit"].as_str(), &said["annotations"]["changed"]), (Some(&*first), &false.into()));
    // The owner of the checkout is another user.
    project.write("roles/site/index.html", "two\n");
    let second = commit();
    let owned = |who: &str, of: &str| {
        let status = Command::new("chown").args(["-R", who]).arg(project.directory.join(of)).status();
        assert!(status.unwrap().success());
    };
    owned("4711:4711", ".");
    owned("0:0", "root");
    let said = statement();
    assert_eq!(said["digest"]["gitCommit"].as_str(), Some(&*second), "{said}");
    // Whose it is can no longer be told: no commit, and a word.
    owned("0:0", ".");
    owned("4711:4711", ".git");
    project.write("roles/site/index.html", "three\n");
    let ran = project.ok(&["bake", "web"]);
    assert!(ran.err.contains("it is not known of which commit the project is"), "{ran}");
    let history = project.ok(&["image", "history", "web"]).out;
    let commits: Vec<bool> = history.lines().map(|line| line.contains(", commit ")).collect();
    assert_eq!(commits, [false, true, true], "{history}");
}

#[test]
fn a_base_of_a_registry_is_named_by_its_manifest() {
    need_lab!();
    let Some((project, _registry, reference)) = over_a_registry("base-of-a-registry") else { return };
    let pushed: Json =
        serde_json::from_str(&project.ok(&["bake", "base", "--push", &reference, "--json"]).out).unwrap();
    let manifest = pushed["outputs"][0]["manifest"].as_str().unwrap().to_owned();
    project.ok(&["bake", "web"]);
    let said: Json = serde_json::from_str(&project.ok(&["image", "attest", "web"]).out).unwrap();
    // The digest of its files is no file's.
    let web = project.ok(&["bake", "web"]).out;
    let tree = web.trim().trim_start_matches("sha256:");
    assert_eq!(said["subject"], serde_json::json!([{"name": "web", "digest": {"andonTree": tree}}]));
    let base = &said["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!(format!("sha256:{}", base["digest"]["sha256"].as_str().unwrap()), manifest, "{base}");
    let uri = base["uri"].as_str().unwrap();
    let expected = format!("pkg:oci/base@{}?repository_url=", manifest.replace(':', "%3A"));
    assert!(uri.starts_with(&expected) && uri.ends_with("/team/base&tag=1"), "{uri}");
    // A manifest is called by what it holds.
    let ran = project.exits(1, &["bake", "web", "--push", &format!("{reference}@{manifest}")]);
    assert!(ran.err.contains("nothing can be pushed to a digest"), "{ran}");
}

#[test]
fn what_was_written_as_a_directory_is_held_against_what_was_signed() {
    need_lab!();
    let project = project("signed-directories");
    let (key, public) = key(&project);
    let at = |name: &str| project.directory.join(name).display().to_string();
    let layout = format!("oci:{}", at("layouts"));
    project.ok(&["bake", "web", "-o", &at("out"), "-o", &layout, "-o", &at("r.example/web.tar.gz"), "--key", &key]);
    let within = |words: &[&str]| {
        let words = [&["image", "verify"], words, &["--key", &public]].concat();
        let output = project.command(&words).current_dir(&project.directory).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let names = ["out", "./out", "oci:layouts", "oci:layouts:web", "layouts", "r.example/web.tar.gz"];
    for name in names {
        let (code, said) = within(&[name]);
        assert!(code == Some(0) && said.contains("made by urn:andon:"), "{name}: {said}");
    }
    for (name, expected) in [
        ("oci:layouts:other", "there is no image `other` in this layout"),
        ("oci:root", "there is no layout `root`"),
        ("./r.example/other.tar", "there is no file `./r.example/other.tar`"),
    ] {
        let (code, said) = within(&[name]);
        assert!(code == Some(1) && said.contains(expected), "{name}: {said}");
    }
    // One byte of any of them.
    project.write("out/etc/motd", "ho\n");
    let (code, said) = within(&["out"]);
    assert!(code == Some(1) && said.contains("the provenance is of something else"), "{said}");
    let blobs = fs::read_dir(project.directory.join("layouts/blobs/sha256")).unwrap();
    let largest = blobs.flatten().max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path();
    let mut bytes = fs::read(&largest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&largest, bytes).unwrap();
    let (code, said) = within(&["oci:layouts"]);
    assert!(code == Some(1) && said.contains("the layout is damaged"), "{said}");
    fs::remove_file(&largest).unwrap();
    let (code, said) = within(&["oci:layouts"]);
    assert!(code == Some(1) && said.contains("is missing"), "{said}");
}

#[test]
fn a_bill_of_materials_is_the_one_that_was_signed() {
    need_lab!();
    let Some((project, registry, reference)) = over_a_registry("signed-bills") else { return };
    let (private, public) = key(&project);
    let at = |name: &str| project.directory.join(name).display().to_string();
    let layout = format!("oci:{}", at("layout"));
    let words = ["bake", "base", "-o", &at("web.tar.zst"), "-o", &layout, "--push", &reference, "--key", &private];
    project.ok(&words);
    let (archive, reference) = (at("web.tar.zst"), reference.as_str());
    project.ok(&["image", "verify", &archive, &layout, reference, "--key", &public]);
    // One in place of another's, in each form and place; all that is wrong is said at once.
    for end in ["spdx.json", "cdx.json"] {
        let bills = [format!("web.tar.zst.{end}"), format!("layout.base.{end}")];
        let before = bills.each_ref().map(|bill| fs::read_to_string(at(bill)).unwrap());
        bills.iter().zip(&before).for_each(|(bill, text)| project.write(bill, &text.replace("base-files", "other")));
        let ran = project.exits(1, &["image", "verify", &archive, &layout, "--key", &public]);
        assert_eq!(ran.err.matches("a bill of materials is not what was signed").count(), 2, "{ran}");
        assert!(bills.iter().all(|bill| ran.err.contains(bill)), "{ran}");
        bills.iter().zip(&before).for_each(|(bill, text)| project.write(bill, text));
    }
    // What is not there was not forged.
    fs::remove_file(at("web.tar.zst.cdx.json")).unwrap();
    project.ok(&["image", "verify", &archive, &layout, "--key", &public]);
    // The provenance that is at fault is named, and so is the key.
    let provenance = fs::read_to_string(at("web.tar.zst.provenance.json")).unwrap();
    project.write("web.tar.zst.provenance.json", &provenance.replace("\"sig\": \"", "\"sig\": \"AAAA"));
    let ran = project.exits(1, &["image", "verify", &archive, &layout, "--key", &public]);
    assert!(ran.err.contains("web.tar.zst.provenance.json: None of these keys has signed it"), "{ran}");
    assert!(ran.out.contains("layout.base is sha256:"), "{ran}");
    let ran = project.exits(1, &["image", "verify", &layout, "--key", &private]);
    assert!(ran.err.contains("/key` is no public key of Ed25519"), "{ran}");
    let ran = project.exits(1, &["image", "keygen", &private]);
    assert!(ran.err.contains("there is such a file already"), "{ran}");
    // In a registry: the bills are taken away, and others are put there.
    let json: Json = serde_json::from_str(&project.ok(&["bake", "base", "--push", reference, "--json"]).out).unwrap();
    let tag = json["outputs"][0]["manifest"].as_str().unwrap().replace(':', "-");
    let url = format!("http://{}/v2/team/base/manifests/{tag}", registry.address);
    let curl = |words: &[&str]| Command::new("curl").args(["-sf"]).args(words).arg(&url).output().unwrap();
    let accept = "Accept: application/vnd.oci.image.index.v1+json";
    let mut index: Json = serde_json::from_slice(&curl(&["-H", accept]).stdout).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let bill = entries.iter().position(|entry| entry["artifactType"] == "application/spdx+json").unwrap();
    let other = entries.iter().position(|entry| entry["artifactType"] == "application/vnd.cyclonedx+json").unwrap();
    let mut forged = entries[other].clone();
    forged["artifactType"] = "application/spdx+json".into();
    entries[bill] = forged;
    project.write("index.json", &index.to_string());
    let media_type = "Content-Type: application/vnd.oci.image.index.v1+json";
    let put = curl(&["-X", "PUT", "-H", media_type, "--data-binary", &format!("@{}", at("index.json"))]);
    assert!(put.status.success());
    // They may be another tool's, and are nobody's who signed: that is said, and the image is what it was.
    let ran = project.ok(&["image", "verify", reference, "--key", &public]);
    assert!(ran.err.contains("No application/spdx+json beside") && ran.err.contains("somebody else made"), "{ran}");
    assert!(!ran.err.contains("cyclonedx"), "{ran}");
}

#[test]
fn a_layout_is_never_a_packed_archive() {
    let project = project("no-layout");
    let place = format!("oci:{}", project.directory.join("web.tar.gz").display());
    let ran = project.exits(1, &["bake", "web", "-o", &place]);
    assert!(ran.err.contains("is no place of a layout"), "{ran}");
    project.write("images/web.image.hcl", &IMAGE.replace("\n}\n", "\n  output \"oci\" { path = \"x.tar.gz\" }\n}\n"));
    let ran = project.exits(1, &["check"]);
    assert!(
        ran.err.contains("`x.tar.gz` is no place of a layout") && ran.err.contains("images/web.image.hcl:4"),
        "{ran}"
    );
    assert!(!project.data_dir.exists(), "nothing was begun");
}

#[test]
fn a_name_is_never_another_projects_image() {
    need_lab!();
    let one = project("whose-one");
    let mut other = project("whose-other");
    other.data_dir.clone_from(&one.data_dir);
    let made = digest(&one);
    let place = one.directory.canonicalize().unwrap().display().to_string();
    let (key, _) = key(&other);
    for words in [&["attest", "web", "--key", &key][..], &["show", "web"], &["verify", "web"], &["diff", "web", &made]]
    {
        let ran = other.exits(1, &[&["image"], words].concat());
        assert!(ran.out.is_empty() && ran.err.contains("Bake it: `andon bake web`"), "{words:?}: {ran}");
        assert!(ran.err.contains(&place) && ran.err.contains(&made), "{words:?}: {ran}");
    }
    let ran = other.ok(&["image", "history"]);
    assert!(ran.out.is_empty() && ran.err.contains("`--all`"), "{ran}");
    other.exits(1, &["image", "history", "web"]);
    let all = other.ok(&["image", "history", "web", "--all"]).out;
    assert!(all.lines().count() == 1 && all.contains(&place), "{all}");
    other.ok(&["image", "show", &made]);
    assert_eq!(digest(&other), made);
    other.ok(&["image", "show", "web"]);
    assert_eq!(other.ok(&["image", "history"]).out.lines().count(), 1);
    assert_eq!(other.ok(&["image", "history", "--all"]).out.lines().count(), 2);
}

#[test]
fn a_project_that_is_gone_keeps_its_images_until_it_is_let_go() {
    need_lab!();
    let lasting = project("lasting");
    let mut gone = project("gone");
    gone.data_dir.clone_from(&lasting.data_dir);
    gone.write("roles/web.role.hcl", &ROLE.replace("\"hi\"", "\"ho\""));
    for project in [&lasting, &gone] {
        project.write("stacks/s/main.tf", "resource \"andon_image\" \"web\" { definition = \"web\" }\n");
        project.ok(&["apply", "-y"]);
    }
    let place = gone.directory.canonicalize().unwrap();
    fs::rename(&place, place.with_extension("away")).unwrap();
    let prune = |words: &[&str]| lasting.ok(&[&["image", "prune", "--keep", "0"], words].concat()).out;
    let said = prune(&[]);
    assert_eq!(said.matches("is not there: --gone lets it go").count(), 1, "{said}");
    assert_eq!(said.matches("- removed").count(), 0, "{said}");
    let said = prune(&["--gone", "--dry-run"]);
    assert_eq!(said.matches("- remove ").count(), 1, "{said}");
    // It was only away: all is as before.
    fs::rename(place.with_extension("away"), &place).unwrap();
    assert_eq!(prune(&["--gone"]).matches("- removed").count(), 0);
    fs::rename(&place, place.with_extension("away")).unwrap();
    // The last one of its name stays for projects that are there.
    let said = lasting.ok(&["image", "prune", "--gone"]).out;
    assert_eq!((said.matches("- removed").count(), said.matches("  keep ").count()), (1, 2), "{said}");
    fs::rename(place.with_extension("away"), &place).unwrap();
    let references = fs::read_dir(lasting.data_dir.join("images/references")).unwrap().count();
    assert_eq!(references, 1, "the other project is forgotten");
}
