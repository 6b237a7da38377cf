//! `andon init` with provider plugins: from a registry, from directories and from a mirror, all of the test's own; and
//! beside a real `terraform`, where there is one.

mod commands;
mod origins;
mod registry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::{Project, Ran, eventually};
use registry::{ELSE, Registry, Reply, own, public, reply, required, sha256, sign, zip};

/// A program with the settings of this test and nobody else's.
fn within(project: &Project, mut command: Command) -> Command {
    command
        .env("TF_CLI_CONFIG_FILE", project.directory.join("settings/rc"))
        .env("HOME", project.directory.join("settings"))
        .env("XDG_CACHE_HOME", project.directory.join("settings/cache"))
        .env_remove("XDG_DATA_HOME")
        .env("XDG_DATA_DIRS", project.directory.join("settings/share"))
        .env_remove("TF_PLUGIN_CACHE_DIR")
        .env_remove("ANDON_PLUGIN_MIRROR")
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .env("CHECKPOINT_DISABLE", "1");
    command
}

fn run(project: &Project, words: &[&str]) -> Ran {
    let output = within(project, project.command(words)).output().unwrap();
    Ran::new(words, &output, Duration::ZERO)
}

#[track_caller]
fn ok(project: &Project, words: &[&str]) -> String {
    let ran = run(project, words);
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.all()
}

#[track_caller]
fn fails(project: &Project, words: &[&str], parts: &[&str]) {
    let ran = run(project, words);
    assert_eq!(ran.code, Some(1), "{ran}");
    for part in parts {
        assert!(ran.err.contains(part), "no `{part}` in\n{ran}");
    }
}

fn lock(project: &Project) -> Option<String> {
    fs::read_to_string(project.directory.join(".terraform.lock.hcl")).ok()
}

/// What lies below `.terraform/providers`: files, and links with where they lead.
fn installed(project: &Project) -> Vec<String> {
    let base = project.directory.join(".terraform/providers");
    let (mut found, mut open) = (Vec::new(), vec![base.clone()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path != base.join("lock") {
                found.push(path.strip_prefix(&base).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Takes away what `init` made, the lock file but where `lock` says so.
fn forget(project: &Project, lock: bool) {
    let _ = fs::remove_dir_all(project.directory.join(".terraform"));
    if lock {
        let _ = fs::remove_file(project.directory.join(".terraform.lock.hcl"));
    }
}

fn terraform() -> Option<PathBuf> {
    let named = std::env::var_os("ANDON_TERRAFORM").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|directory| directory.join("terraform")).find(|path| path.is_file())
    };
    let found = named.or_else(on_path);
    if found.is_none() {
        println!("skipped: there is no terraform to compare with");
    }
    found
}

/// What `terraform init` does in a project: its lock file, without the comment at the top, or its complaint.
fn theirs(program: &Path, project: &Project, words: &[&str]) -> Result<String, String> {
    let mut command = within(project, Command::new(program));
    command.arg("init").args(["-no-color", "-input=false"]).args(words).current_dir(&project.directory);
    let output = command.output().unwrap();
    match output.status.success() {
        true => Ok(body(&lock(project).unwrap_or_default())),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A lock file without the comment at its top.
fn body(lock: &str) -> String {
    lock.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_registry_is_asked_once() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0", "1.2.0", "1.10.0", "2.0.0-rc1"]);
    registry.publish("two", &["0.1.0"]);
    let project = registry.project("providers-registry", &[("one", "~> 1.0"), ("two", "")]);
    let ran = run(&project, &["init"]);
    assert_eq!(
        ran.out,
        "Installed registry.example/shop/one 1.10.0 from registry.example, signed with the key DE6ECBDF5A70A3B3\n\
         Installed registry.example/shop/two 0.1.0 from registry.example, signed with the key DE6ECBDF5A70A3B3\n\
         Done: 2 providers installed.\n\
         Wrote .terraform.lock.hcl: commit it, so that everybody gets the same.\n",
        "{ran}"
    );
    let mut told: Vec<&str> = ran.err.lines().collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["Fetching registry.example/shop/one 1.10.0", "Fetching registry.example/shop/two 0.1.0"],
        "{ran}"
    );
    let asked = registry.asked();
    let first = lock(&project).unwrap();
    // A second run asks nobody, and changes nothing.
    let written = fs::metadata(project.directory.join(".terraform.lock.hcl")).unwrap().modified().unwrap();
    assert_eq!(run(&project, &["init"]).all(), "All 2 providers are installed.\n");
    assert_eq!(fs::metadata(project.directory.join(".terraform.lock.hcl")).unwrap().modified().unwrap(), written);
    assert_eq!(registry.asked(), asked);
    let report: Json = serde_json::from_str(&run(&project, &["init", "--json"]).out).unwrap();
    assert_eq!(report["providers"][0]["version"], "1.10.0");
    assert_eq!((&report["complete"], &report["lock_file_written"]), (&json!(true), &json!(false)));
    let stem = format!("registry.example/shop/one/1.10.0/{}", own());
    assert!(
        installed(&project).contains(&format!("{stem}/terraform-provider-one_v1.10.0")),
        "{:?}",
        installed(&project)
    );
    // Terraform takes and writes the same, whoever was first.
    let Some(program) = terraform() else { return };
    assert_eq!(theirs(&program, &project, &[]).unwrap(), body(&first));
    forget(&project, true);
    assert_eq!(theirs(&program, &project, &[]).unwrap(), body(&first));
    assert_eq!(run(&project, &["init"]).all(), "All 2 providers are installed.\n");
    assert!(lock(&project).unwrap().starts_with("# This file is maintained automatically by \"terraform init\".\n"));
    assert_eq!(body(&lock(&project).unwrap()), body(&first));
}

#[test]
fn what_is_locked_is_kept_until_an_upgrade() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0", "1.1.0"]);
    let project = registry.project("providers-locked", &[("one", "1.0.0")]);
    ok(&project, &["init"]);
    project.write("main.tf", &required(&[("one", "~> 1.0")]));
    forget(&project, false);
    assert!(ok(&project, &["init"]).contains("shop/one 1.0.0"));
    assert!(lock(&project).unwrap().contains("constraints = \"~> 1.0\""));
    fails(&project, &["init", "--upgrade", "--lockfile=readonly"], &["an upgrade would change the lock file"]);
    assert!(ok(&project, &["init", "-upgrade"]).contains("shop/one 1.1.0"));
    // What was changed by hand is taken anew.
    let program =
        format!(".terraform/providers/registry.example/shop/one/1.1.0/{}/terraform-provider-one_v1.1.0", own());
    project.write(&program, "changed");
    fails(&project, &["check"], &["shop/one 1.1.0 is not the one that was locked", "Run `andon init`."]);
    assert!(ok(&project, &["init"]).contains("Installed registry.example/shop/one 1.1.0"));
    assert!(!fs::read_to_string(project.directory.join(&program)).unwrap().contains("changed"));
    // A version that will not do any more.
    project.write("main.tf", &required(&[("one", "1.0.0")]));
    fails(
        &project,
        &["init"],
        &["is locked to a version that will not do", "names 1.1.0, and 1.0.0 is wanted", "main.tf:3", "init --upgrade"],
    );
    project.write("main.tf", &required(&[("one", "")]));
    fails(&project, &["init", "-lockfile=sometimes"], &[]);
}

#[test]
fn a_package_that_is_not_the_locked_one_is_refused() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0"]);
    let project = registry.project("providers-other", &[("one", "")]);
    ok(&project, &["init"]);
    let whole = lock(&project).unwrap();
    // The same version, published again with other content, and signed by its maker.
    let other = zip(&[("terraform-provider-one_v1.0.0", b"#!/bin/sh\necho other\n")]);
    registry.publish_version("one", "1.0.0", &[(own(), other.clone())]);
    forget(&project, false);
    let found = format!("zh:{}", sha256(&other));
    let hash = whole.lines().find(|line| line.contains("\"h1:")).unwrap().trim().trim_matches(['"', ',']).to_owned();
    fails(&project, &["init"], &["is not the one that was locked", &found, &hash, ".terraform.lock.hcl has"]);
    assert_eq!((lock(&project).unwrap(), installed(&project)), (whole.clone(), Vec::new()));
    // An upgrade does not pass over it either, as the version is the same.
    fails(&project, &["init", "--upgrade"], &["is not the one that was locked"]);
    // One of the hashes is enough; hashes of kinds to come are passed over.
    project.edit(".terraform.lock.hcl", "  hashes = [\n", &format!("  hashes = [\n    \"{found}\",\n    \"zz:1\",\n"));
    ok(&project, &["init"]);
    assert!(lock(&project).unwrap().contains("\"zz:1\""));
    // Without a hash that can be checked, what there is is taken and locked.
    project.write(".terraform.lock.hcl", "provider \"registry.example/shop/one\" {\n  version = \"1.0.0\"\n}\n");
    forget(&project, false);
    ok(&project, &["init"]);
    assert!(lock(&project).unwrap().contains(&found));
    // A lock file that is not understood holds nothing, so that nothing is done.
    project.write(".terraform.lock.hcl", "<<<<<<< HEAD\n");
    fails(&project, &["init"], &[".terraform.lock.hcl is not understood", "line 1"]);
}

#[test]
fn a_lock_file_may_have_to_stay() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0"]);
    let project = registry.project("providers-readonly", &[("one", "")]);
    fails(&project, &["init", "-lockfile=readonly"], &["does not fit the definitions", "shop/one 1.0.0"]);
    assert_eq!(lock(&project), None);
    ok(&project, &["init"]);
    let whole = lock(&project).unwrap();
    ok(&project, &["init", "-lockfile=readonly"]);
    project.write("main.tf", &required(&[("one", ">= 1.0")]));
    assert!(
        ok(&project, &["init", "-lockfile=readonly"]).contains("warning: the lock file of providers would say more")
    );
    project.write("main.tf", "locals {}\n");
    fails(&project, &["init", "-lockfile=readonly"], &["no registry.example/shop/one"]);
    assert_eq!(lock(&project).unwrap(), whole);
    ok(&project, &["init"]);
    assert_eq!(body(&lock(&project).unwrap()), "");
}

/// What a registry may do wrong.
type Wrong = fn(&Registry);

const DOWNLOAD: &str = "/v1/shop/one/1.0.0/download/linux/amd64";
const ARCHIVE: &str = "/files/terraform-provider-one_1.0.0_linux_amd64.zip";
const SUMS: &str = "/files/one_1.0.0_SHA256SUMS";

/// Publishes an archive as the one package, properly signed.
fn packed(registry: &Registry, archive: Vec<u8>) {
    registry.publish_version("one", "1.0.0", &[(own(), archive)]);
}

#[test]
fn what_is_wrong_with_a_registry_is_said_and_leaves_nothing() {
    if own() != "linux_amd64" {
        return println!("skipped: the paths are those of linux_amd64");
    }
    let cases: [(&str, Wrong, &[&str]); 24] = [
        (
            "another archive",
            |it| it.put(ARCHIVE, reply(zip(&[("terraform-provider-one", b"evil")]))),
            &["cannot fetch the provider registry.example/shop/one 1.0.0", "has the checksum sha256:"],
        ),
        (
            "another checksum",
            |it| it.edit(DOWNLOAD, |page| page["shasum"] = json!("0".repeat(64))),
            &["as the registry names it, has the checksum sha256:0000"],
        ),
        (
            "signed by somebody else",
            |it| {
                let sums = it.pages.lock().unwrap()[SUMS].body.clone();
                it.put(&format!("{SUMS}.sig"), reply(sign(&sums, ELSE)));
            },
            &["are not signed by whoever makes it: none of its keys has made the signature", "Do not use it"],
        ),
        (
            "the signature of something else",
            |it| it.put(&format!("{SUMS}.sig"), reply(sign(b"other", registry::MAKER))),
            &["none of its keys has made the signature"],
        ),
        ("no signature", |it| it.put(&format!("{SUMS}.sig"), reply("nonsense")), &["the signature is not understood"]),
        (
            "no key",
            |it| it.edit(DOWNLOAD, |page| page["signing_keys"] = json!({})),
            &["the registry names no key that is understood"],
        ),
        (
            "the key of somebody else",
            |it| {
                it.edit(DOWNLOAD, |page| {
                    page["signing_keys"]["gpg_public_keys"][0]["ascii_armor"] = json!(public(ELSE))
                })
            },
            &["none of its keys has made the signature"],
        ),
        (
            "no line for the package",
            |it| {
                it.put(SUMS, reply("00  other.zip\n"));
                it.put(&format!("{SUMS}.sig"), reply(sign(b"00  other.zip\n", registry::MAKER)));
            },
            &["they have no line for terraform-provider-one_1.0.0_linux_amd64.zip"],
        ),
        (
            "a way out",
            |it| packed(it, zip(&[("terraform-provider-one", b""), ("../../../evil", b"evil")])),
            &["cannot be unpacked", "leads out of the archive"],
        ),
        (
            "an absolute path",
            |it| packed(it, zip(&[("terraform-provider-one", b""), ("/tmp/evil", b"evil")])),
            &["cannot be unpacked"],
        ),
        (
            "half an archive",
            |it| {
                let whole = zip(&[("terraform-provider-one", b"#!/bin/sh\n")]);
                packed(it, whole[..whole.len() / 2].to_vec());
            },
            &["cannot be unpacked"],
        ),
        ("no program", |it| packed(it, zip(&[("README.md", b"")])), &["no file that is called terraform-provider-one"]),
        ("an empty archive", |it| packed(it, zip(&[])), &["no file that is called terraform-provider-one"]),
        (
            "no archive",
            |it| drop(it.pages.lock().unwrap().remove(ARCHIVE)),
            &["_linux_amd64.zip answers 404 (not found)"],
        ),
        (
            "a connection that breaks",
            |it| it.pages.lock().unwrap().get_mut(ARCHIVE).unwrap().cut = 10,
            &["cannot be reached"],
        ),
        (
            "from one address to the next",
            |it| it.put(ARCHIVE, Reply { status: 302, location: Some(ARCHIVE.to_owned()), ..Reply::default() }),
            &["leads from one address to the next"],
        ),
        ("another platform", |it| drop(it.pages.lock().unwrap().remove(DOWNLOAD)), &["has no package for linux_amd64"]),
        (
            "the answer of another platform",
            |it| it.edit(DOWNLOAD, |page| page["arch"] = json!("arm64")),
            &["it is of another platform"],
        ),
        (
            "a new protocol",
            |it| it.edit("/v1/shop/one/versions", |page| page["versions"][0]["protocols"] = json!(["7.0"])),
            &["1.0.0 speaks a protocol that andon does not", "It speaks 7.0; andon speaks 5 and 6", "main.tf:3"],
        ),
        (
            "only an early version",
            |it| it.edit("/v1/shop/one/versions", |page| page["versions"][0]["version"] = json!("1.0.0-beta.1")),
            &[
                "no version of the provider registry.example/shop/one will do",
                "1.0.0-beta.1",
                "must be asked for exactly",
            ],
        ),
        (
            "nobody knows it",
            |it| drop(it.pages.lock().unwrap().remove("/v1/shop/one/versions")),
            &["there is no provider registry.example/shop/one", "Registry.example has no provider", "main.tf:3"],
        ),
        ("no JSON", |it| it.put("/v1/shop/one/versions", reply("<html>")), &["it is no JSON"]),
        (
            "a token is missing",
            |it| it.pages.lock().unwrap().get_mut("/v1/shop/one/versions").unwrap().token = Some("Bearer x".into()),
            &["answers 401 (unauthorized)", "TF_TOKEN_"],
        ),
        (
            "a file for an URL",
            |it| it.edit(DOWNLOAD, |page| page["download_url"] = json!("file:///etc/passwd")),
            &["a package is fetched by http or https"],
        ),
    ];
    std::thread::scope(|scope| {
        for (at, (name, wrong, parts)) in cases.into_iter().enumerate() {
            scope.spawn(move || {
                let registry = Registry::start();
                registry.publish("one", &["1.0.0"]);
                wrong(&registry);
                let project = registry.project(&format!("providers-wrong-{at}"), &[("one", "")]);
                println!("{name}");
                fails(&project, &["init"], parts);
                assert_eq!((lock(&project), installed(&project)), (None, Vec::new()), "{name}");
            });
        }
    });
}

#[test]
fn redirects_are_followed_and_tokens_stay_with_their_host() {
    if own() != "linux_amd64" {
        return println!("skipped: the paths are those of linux_amd64");
    }
    let registry = Registry::start();
    registry.publish("one", &["1.0.0"]);
    let archive = registry.pages.lock().unwrap().remove(ARCHIVE).unwrap();
    registry.put("/elsewhere.zip", archive);
    registry.put(ARCHIVE, Reply { status: 302, location: Some("/elsewhere.zip".to_owned()), ..Reply::default() });
    for page in ["/v1/shop/one/versions", DOWNLOAD] {
        registry.pages.lock().unwrap().get_mut(page).unwrap().token = Some("Bearer secret".to_owned());
    }
    let project = registry.project("providers-token", &[("one", "")]);
    let mut command = within(&project, project.command(&["init"]));
    let output = command.env("TF_TOKEN_registry_example", "secret").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    registry.edit("/v1/shop/one/versions", |page| page["warnings"] = json!(["It is old."]));
    let settings = fs::read_to_string(project.directory.join("settings/rc")).unwrap();
    project.write("settings/rc", &format!("{settings}credentials \"registry.example\" {{\n  token = \"secret\"\n}}\n"));
    let said = ok(&project, &["init", "--upgrade"]);
    assert!(said.contains("warning: the registry says of registry.example/shop/one: It is old\n"), "{said}");
}

#[test]
fn a_run_that_is_killed_leaves_no_half_package() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0"]);
    registry.stalled.store(true, Ordering::Relaxed);
    let project = registry.project("providers-killed", &[("one", "")]);
    let mut child = within(&project, project.command(&["init"])).spawn().unwrap();
    eventually("the archive is asked for", Duration::from_secs(60), || {
        registry.asked.lock().unwrap().iter().any(|path| path.ends_with(".zip"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    registry.stalled.store(false, Ordering::Relaxed);
    assert_eq!(lock(&project), None);
    ok(&project, &["init"]);
    let stem = format!("registry.example/shop/one/1.0.0/{}", own());
    assert_eq!(installed(&project), [format!("{stem}/README.md"), format!("{stem}/terraform-provider-one_v1.0.0")]);
}

#[test]
fn a_shared_directory_serves_runs_at_the_same_time() {
    let registry = Registry::start();
    registry.publish("one", &["1.0.0"]);
    let projects: Vec<Project> = (0..4).map(|_| registry.project("providers-shared", &[("one", "~> 1.0")])).collect();
    let shared = projects[0].directory.join("settings/shared");
    let init = |project: &Project| {
        let mut command = within(project, project.command(&["init"]));
        command.env("TF_PLUGIN_CACHE_DIR", &shared);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // Two runs in one project, and three in others.
    std::thread::scope(|scope| {
        for project in projects.iter().chain([&projects[0]]) {
            scope.spawn(|| init(project));
        }
    });
    let package = shared.join(format!("registry.example/shop/one/1.0.0/{}", own()));
    let mut left: Vec<_> = fs::read_dir(package.parent().unwrap()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [own().as_str(), &format!("{}.lock", own())]);
    for project in &projects {
        let link = project.directory.join(format!(".terraform/providers/registry.example/shop/one/1.0.0/{}", own()));
        assert_eq!(fs::read_link(link).unwrap(), package.canonicalize().unwrap());
        assert_eq!(lock(project), lock(&projects[0]));
    }
    // What is locked is not fetched again; what was changed there is.
    let fetched = || registry.asked.lock().unwrap().iter().filter(|path| path.ends_with(".zip")).count();
    let before = fetched();
    forget(&projects[1], false);
    init(&projects[1]);
    assert_eq!(fetched(), before);
    fs::write(package.join("README.md"), "changed").unwrap();
    init(&projects[1]);
    assert_eq!(fetched(), before + 1);
    assert_eq!(fs::read_to_string(package.join("README.md")).unwrap(), "read me\n");
}
