//! `andon init`: modules from registries, repositories and archives, against servers of the test's own; and beside a real
//! `terraform`, where there is one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::{Project, eventually};

/// A web server with a registry, `registry.example`, whose module `a/net/aws` has many versions, each an archive.
struct World {
    url: String,
    asked: Arc<AtomicUsize>,
    /// While it is set, archives are not answered.
    stalled: Arc<AtomicBool>,
    /// What the module says, by version; other versions say their own name.
    content: Arc<Mutex<BTreeMap<String, String>>>,
}

const VERSIONS: [&str; 11] = [
    "0.9.0",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.2.5",
    "1.3.0-beta1",
    "1.10.0",
    "2.0.0-rc.1",
    "2.0.0",
    "2.1.0",
    "3.0.0-alpha.2",
];

fn world() -> World {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let world = World { url, asked: Arc::default(), stalled: Arc::default(), content: Arc::default() };
    let (url, asked, stalled) = (world.url.clone(), Arc::clone(&world.asked), Arc::clone(&world.stalled));
    let content = Arc::clone(&world.content);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (url, asked, stalled) = (url.clone(), Arc::clone(&asked), Arc::clone(&stalled));
            let content = Arc::clone(&content);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                asked.fetch_add(1, Ordering::Relaxed);
                let (status, headers, body) = answer(&url, &path, &stalled, &content.lock().unwrap().clone());
                let head = format!(
                    "HTTP/1.1 {status} x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                let mut stream = stream;
                let body = if first.starts_with("HEAD") { Vec::new() } else { body };
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    world
}

fn answer(url: &str, path: &str, stalled: &AtomicBool, content: &BTreeMap<String, String>) -> (u16, String, Vec<u8>) {
    if path == "/v1/a/net/aws/versions" {
        let versions: Vec<Json> = VERSIONS.iter().map(|version| serde_json::json!({ "version": version })).collect();
        return (200, String::new(), serde_json::json!({"modules": [{"versions": versions}]}).to_string().into_bytes());
    }
    if let Some(version) = path.strip_prefix("/v1/a/net/aws/").and_then(|rest| rest.strip_suffix("/download")) {
        let place = format!("X-Terraform-Get: {url}/net-{version}.tgz//net-{version}\r\n");
        return (204, place, Vec::new());
    }
    if let Some(version) = path.strip_prefix("/net-").and_then(|rest| rest.strip_suffix(".tgz")) {
        while stalled.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = content.get(version).map_or(version, String::as_str);
        let main = format!("output \"version\" {{ value = \"{text}\" }}\n");
        return (200, String::new(), archive(&format!("net-{version}/main.tf"), &main));
    }
    (404, String::new(), Vec::new())
}

/// A `.tgz` with one file, packed without compression by hand: a stored deflate block in a gzip frame.
fn archive(name: &str, text: &str) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(124, &format!("{:011o}\0", text.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(text.as_bytes());
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let length = u16::try_from(tar.len()).unwrap();
    let mut whole = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    whole.extend(length.to_le_bytes());
    whole.extend((!length).to_le_bytes());
    whole.extend(&tar);
    let crc = tar.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    whole.extend((!crc).to_le_bytes());
    whole.extend(u32::from(length).to_le_bytes());
    whole
}

impl World {
    /// A project whose settings say where the registry is.
    fn project(&self, name: &str, main: &str) -> Project {
        let project = Project::empty(name);
        project.write("main.tf", &main.replace("REGISTRY", "registry.example").replace("WEB", &self.url));
        let settings = format!(
            "host \"registry.example\" {{\n  services = {{\n    \"modules.v1\" = \"{}/v1/\"\n  }}\n}}\n",
            self.url
        );
        project.write("settings/rc", &settings);
        project
    }
}

/// A program in a project, with the settings of this test and nobody else's.
fn within(project: &Project, mut command: Command) -> Command {
    command
        .env("TF_CLI_CONFIG_FILE", project.directory.join("settings/rc"))
        .env("HOME", project.directory.join("settings"))
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .env("CHECKPOINT_DISABLE", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// Runs `andon`, and gives its exit code and both streams.
fn run(project: &Project, words: &[&str]) -> (i32, String, String) {
    let output = within(project, project.command(words)).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn ok(project: &Project, words: &[&str]) -> String {
    let (code, out, err) = run(project, words);
    assert_eq!(code, 0, "andon {}\n{out}{err}", words.join(" "));
    out + &err
}

fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository beside a project, whose tag `v1` is its first commit, and that calls a module of its own.
fn repository(project: &Project) -> PathBuf {
    let place = project.directory.join("settings/repository");
    fs::create_dir_all(place.join("modules/sub")).unwrap();
    git(&place, &["init", "--quiet"]);
    fs::write(
        place.join("main.tf"),
        "module \"sub\" { source = \"./modules/sub\" }\noutput \"text\" { value = file(\"${path.module}/text\") }\n",
    )
    .unwrap();
    fs::write(place.join("modules/sub/main.tf"), "output \"sub\" { value = 1 }\n").unwrap();
    for (text, tag) in [("one", "v1"), ("two", "v2")] {
        fs::write(place.join("text"), text).unwrap();
        git(&place, &["add", "-A"]);
        git(&place, &["commit", "--quiet", "-m", text]);
        git(&place, &["tag", tag]);
    }
    place
}

/// The names in `.andon/modules`.
fn installed(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.directory.join(".andon/modules")).unwrap();
    let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const ALL_SORTS: &str = r#"
module "net" {
  source  = "REGISTRY/a/net/aws"
  version = "~> 1.0"
}
module "again" {
  source  = "REGISTRY/a/net/aws"
  version = ">= 1.0, < 2.0"
}
module "archive" { source = "WEB/net-2.0.0.tgz//net-2.0.0" }
module "repo" {
  source = "git::file://REPO?ref=v1"
  count  = 2
}
output "all" { value = [module.net.version, module.again.version, module.archive.version, module.repo[1].text] }
"#;

#[test]
fn modules_of_all_sorts_are_installed_once_and_work_offline() {
    let world = world();
    let project = world.project("init-sorts", ALL_SORTS);
    let place = repository(&project);
    project.edit("main.tf", "REPO", &place.display().to_string());
    let (code, _, err) = run(&project, &["check"]);
    assert_eq!((code, err.matches("is not installed").count(), err.matches("error").count()), (1, 4, 5), "{err}");
    let said = ok(&project, &["init"]);
    assert!(said.contains("Installed registry.example/a/net/aws 1.10.0\n"), "{said}");
    assert!(said.contains("Done: 3 module packages installed."), "{said}");
    let plan = ok(&project, &["plan"]);
    for value in ["\"1.10.0\"", "\"2.0.0\"", "\"one\""] {
        assert!(plan.contains(value), "{plan}");
    }
    // Nothing is asked again, nor changed.
    let before = (
        world.asked.load(Ordering::Relaxed),
        fs::metadata(project.directory.join(".andon/modules/modules.json")).unwrap().modified().unwrap(),
    );
    let away = place.with_extension("away");
    fs::rename(&place, &away).unwrap();
    let said = ok(&project, &["init"]);
    assert!(said.contains("All 3 module packages are installed."), "{said}");
    ok(&project, &["check"]);
    let after = (
        world.asked.load(Ordering::Relaxed),
        fs::metadata(project.directory.join(".andon/modules/modules.json")).unwrap().modified().unwrap(),
    );
    assert_eq!(before, after);
    fs::rename(&away, &place).unwrap();
    // The record and the lock file say what was taken.
    let commit = git(&place, &["rev-parse", "v1"]);
    let json: Json = serde_json::from_str(&run(&project, &["init", "--json"]).1).unwrap();
    let of = |source: &str| {
        json["modules"].as_array().unwrap().iter().find(|it| it["source"].as_str().unwrap().contains(source)).unwrap()
    };
    assert_eq!(of("git::file://")["commit"], commit);
    assert_eq!(of("a/net/aws")["calls"], serde_json::json!(["module.again", "module.net"]));
    assert_eq!((of("a/net/aws")["version"].as_str(), &json["complete"]), (Some("1.10.0"), &Json::Bool(true)));
    let lock = fs::read_to_string(project.directory.join(".andon.lock.hcl")).unwrap();
    assert!(lock.contains("version = \"1.10.0\"") && lock.contains(&commit), "{lock}");
    // What was changed by hand is said, and put right.
    let root = of("git::file://")["directory"].as_str().unwrap().to_owned();
    assert!(!run(&project, &["check"]).2.contains("was changed"));
    project.write(&format!("{root}/text"), "changed");
    for command in ["check", "plan"] {
        let (_, _, err) = run(&project, &[command]);
        assert!(
            err.contains(&format!("{root} was changed after it was installed")) && err.contains("andon init"),
            "{err}"
        );
    }
    let said = ok(&project, &["init"]);
    assert!(!run(&project, &["check"]).2.contains("was changed"));
    assert!(said.contains(&format!("warning: {root} was changed after it was installed")), "{said}");
    assert_eq!(fs::read_to_string(project.directory.join(&root).join("text")).unwrap(), "one");
    // What nothing calls any more goes.
    project.write("main.tf", "locals {}\n");
    let said = ok(&project, &["init"]);
    assert!(said.contains("nothing to install") && said.contains("Removed 3 module packages"), "{said}");
    assert_eq!(installed(&project), ["modules.json"]);
}

#[test]
fn what_is_locked_is_taken_until_an_upgrade() {
    let world = world();
    let main = "module \"net\" {\n  source = \"REGISTRY/a/net/aws\"\n  version = \"1.2.0\"\n}\nmodule \"repo\" { source = \"git::file://REPO?ref=main\" }\nmodule \"tag\" { source = \"git::file://REPO?ref=v1\" }\n";
    let project = world.project("init-locked", main);
    let place = repository(&project);
    project.edit("main.tf", "file://REPO?ref=main", &format!("file://{}?ref=main", place.display()));
    project.edit("main.tf", "file://REPO?ref=v1", &format!("file://{}?ref=v1", place.display()));
    ok(&project, &["init"]);
    let old = git(&place, &["rev-parse", "main"]);
    fs::write(place.join("text"), "three").unwrap();
    git(&place, &["commit", "--quiet", "-am", "three"]);
    git(&place, &["tag", "-f", "v1"]);
    let new = git(&place, &["rev-parse", "main"]);
    // Another version would do, too; and a new clone of the project has only the lock file.
    project.edit("main.tf", "\"1.2.0\"", "\"~> 1.0\"");
    fs::remove_dir_all(project.directory.join(".andon")).unwrap();
    let said = ok(&project, &["init"]);
    assert!(said.contains("a/net/aws 1.2.0") && said.contains(&format!("ref=main at {}", &old[..12])), "{said}");
    assert!(said.contains("warning: the tag of module \"tag\" was moved") && said.contains(&new), "{said}");
    let said = ok(&project, &["init", "--upgrade"]);
    assert!(said.contains("a/net/aws 1.10.0") && said.contains(&format!("ref=v1 at {}", &new[..12])), "{said}");
    // The same version with another content is refused.
    world.content.lock().unwrap().insert("1.10.0".into(), "other".into());
    fs::remove_dir_all(project.directory.join(".andon")).unwrap();
    let (code, out, err) = run(&project, &["init"]);
    assert!(code == 1 && err.contains("error: module \"net\" is not what it was"), "{out}{err}");
    assert!(err.contains("andon init --upgrade") && !out.contains("net/aws"), "{out}{err}");
    ok(&project, &["init", "--upgrade"]);
}

#[test]
fn what_cannot_be_had_is_said_at_its_place() {
    let world = world();
    let main = r#"
module "none" {
  source  = "REGISTRY/a/net/aws"
  version = "~> 9.0"
}
module "unknown" { source = "REGISTRY/a/nothing/aws" }
module "gone" { source = "WEB/gone.zip" }
module "ref" { source = "git::file://REPO?ref=v9" }
module "sub" { source = "git::file://REPO//nothing?ref=v1" }
module "odd" { source = "modules/x" }
module "fine" { source = "git::file://REPO?ref=v1" }
"#;
    let project = world.project("init-errors", main);
    let place = repository(&project).display().to_string();
    let text = fs::read_to_string(project.directory.join("main.tf")).unwrap();
    project.write("main.tf", &text.replace("REPO", &place));
    let (code, out, err) = run(&project, &["init"]);
    assert_eq!(code, 1);
    for part in [
        "error: no version of module \"none\" is allowed by \"~> 9.0\"\n --> main.tf:4:13",
        "There are 3.0.0-alpha.2, 2.1.0, 2.0.0, 2.0.0-rc.1, 1.10.0, 1.3.0-beta1, 1.2.5, 1.2.0, 1.0.1, 1.0.0 and 1 older.",
        "registry.example has no module registry.example/a/nothing/aws.",
        "gone.zip answers 404 (not found).",
        "the repository has no branch, tag or commit `v9`.",
        "error: the package has no module in \"nothing\"",
        "Write \"./modules/x\" if a local path is meant.",
        "6 errors",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
    // What could be had is there.
    assert!(out.contains("?ref=v1 at"), "{out}");
    let (_, _, err) = run(&project, &["check"]);
    assert!(!err.contains("\"fine\"") && err.contains("module \"none\" is not installed"), "{err}");
    let (code, out, _) = run(&project, &["init", "--json"]);
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["diagnostics"].as_array().unwrap().len(), &json["complete"]), (1, 6, &Json::Bool(false)));
}

#[test]
fn a_run_that_ends_early_leaves_nothing_half_done() {
    let world = world();
    let main = "module \"net\" {\n  source = \"REGISTRY/a/net/aws\"\n}\n";
    for signal in [libc::SIGKILL, libc::SIGINT] {
        let project = world.project("init-killed", main);
        world.stalled.store(true, Ordering::Relaxed);
        let before = world.asked.load(Ordering::Relaxed);
        let mut command = within(&project, project.command(&["init"]));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("the archive is asked for", Duration::from_secs(60), || {
            world.asked.load(Ordering::Relaxed) >= before + 3
        });
        // SAFETY: the child is this test's, and was not waited for.
        unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) };
        if signal == libc::SIGINT {
            // A request that is on its way is let go by the server.
            std::thread::sleep(Duration::from_millis(100));
            world.stalled.store(false, Ordering::Relaxed);
        }
        let output = child.wait_with_output().unwrap();
        world.stalled.store(false, Ordering::Relaxed);
        if signal == libc::SIGINT {
            assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(installed(&project), ["modules.json"]);
        }
        let (_, _, err) = run(&project, &["check"]);
        assert!(err.contains("module \"net\" is not installed"), "{err}");
        ok(&project, &["init"]);
        assert_eq!(installed(&project).len(), 2, "{:?}", installed(&project));
        ok(&project, &["check"]);
    }
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let world = world();
    let project = world.project("init-twice", "module \"net\" {\n  source = \"REGISTRY/a/net/aws\"\n}\n");
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = within(&project, project.command(&["init"]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(world.asked.load(Ordering::Relaxed), 3, "versions, location and archive, once");
    ok(&project, &["check"]);
}

#[test]
fn a_project_may_call_modules_around_it() {
    let project = Project::empty("init-around");
    project.write(
        "envs/prod/main.tf",
        "module \"a\" { source = \"../../modules/a\" }\noutput \"x\" { value = module.a.x }\n",
    );
    project.write("modules/a/main.tf", "module \"b\" { source = \"../b\" }\noutput \"x\" { value = \"${file(\"${path.module}/t\")} ${module.b.y}\" }\n");
    project.write("modules/a/t", "text");
    project.write("modules/b/main.tf", "output \"y\" { value = 7 }\n");
    let plan = ok(&project, &["-C", "envs/prod", "plan"]);
    assert!(plan.contains("\"text 7\""), "{plan}");
    let said = ok(&project, &["-C", "envs/prod", "init"]);
    assert!(said.contains("there is nothing to install"), "{said}");
    assert!(!project.directory.join("envs/prod/.andon.lock.hcl").exists());
    project.write("modules/b/main.tf", "output \"y\" {}\n");
    let (_, _, err) = run(&project, &["-C", "envs/prod", "check"]);
    assert!(err.contains("../../modules/b/main.tf:1:1"), "{err}");
}

#[test]
fn an_example_may_call_the_module_that_it_is_of() {
    let project = Project::empty("init-example");
    project.write("repo/main.tf", "module \"n\" { source = \"./nested\" }\noutput \"x\" { value = module.n.x }\n");
    project.write("repo/nested/main.tf", "output \"x\" { value = \"nested\" }\n");
    project.write("other/main.tf", "output \"y\" { value = \"other\" }\n");
    let main = "module \"root\" { source = \"../../\" }\nmodule \"o\" { source = \"../../../other\" }\noutput \"all\" { value = [module.root.x, module.o.y] }\n";
    project.write("repo/examples/complete/main.tf", main);
    let plan = ok(&project, &["-C", "repo/examples/complete", "plan"]);
    assert!(plan.contains("\"nested\"") && plan.contains("\"other\""), "{plan}");
}

/// The real program, where there is one.
fn terraform() -> Option<PathBuf> {
    let named = std::env::var_os("ANDON_TERRAFORM").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|directory| directory.join("terraform")).find(|path| path.is_file())
    });
    if found.is_none() {
        println!("skipped: there is no terraform to compare with");
    }
    found
}

/// What `terraform get` took: the version of each call, and its directory.
fn terraform_took(program: &Path, project: &Project) -> BTreeMap<String, (Option<String>, PathBuf)> {
    let mut command = Command::new(program);
    command.args(["get", "-no-color"]).current_dir(&project.directory).stdin(Stdio::null());
    let output = within(project, command).output().unwrap();
    let record = fs::read(project.directory.join(".terraform/modules/modules.json"));
    let record = record.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let record: Json = serde_json::from_slice(&record).unwrap();
    let modules = record["Modules"].as_array().unwrap().iter();
    let taken = modules.filter(|it| it["Key"] != "").map(|it| {
        let directory = project.directory.join(it["Dir"].as_str().unwrap());
        (it["Key"].as_str().unwrap().to_owned(), (it["Version"].as_str().map(str::to_owned), directory))
    });
    taken.collect()
}

#[test]
fn versions_are_those_that_terraform_takes() {
    let Some(program) = terraform() else { return };
    let world = world();
    let mut constraints: Vec<String> = Vec::new();
    for version in [
        "0",
        "0.9",
        "1",
        "1.0",
        "1.0.0",
        "1.2",
        "1.2.0",
        "1.9",
        "2",
        "2.0.0",
        "2.0.0-rc.1",
        "1.3.0-beta1",
        "3.0.0-alpha.2",
    ] {
        for operator in ["", "= ", "!= ", "> ", ">= ", "< ", "<= ", "~> "] {
            constraints.push(format!("{operator}{version}"));
        }
    }
    let more = [
        ">= 1.0, < 1.2.5",
        "~> 1.0, != 1.10.0",
        "> 1.0.0,< 2",
        " >=1.2 , <=1.10.0 ",
        "~>1.2",
        "1.2.0, 1.2.0",
        ">= 1.0, 1.3.0-beta1",
        ">= 2.0.0-rc.1, < 2.0.0",
        "~> 2.0.0-rc.1",
        "> 5",
        "< 0.1",
        "1.2.0, 1.2.5",
        "v1.2.0",
        "= v1.2.0",
        "~> 1.0.0, ~> 1.0",
        "!= 2.1.0, != 2.0.0",
    ];
    constraints.extend(more.map(str::to_owned));
    let calls: String = constraints
        .iter()
        .enumerate()
        .map(|(at, it)| format!("module \"m{at}\" {{\n  source  = \"REGISTRY/a/net/aws\"\n  version = \"{it}\"\n}}\n"))
        .collect();
    let project = world.project("init-oracle", &calls);
    // With an error anywhere there is no record; what it says it downloads tells as much.
    let mut command = Command::new(&program);
    command.args(["get", "-no-color"]).current_dir(&project.directory).stdin(Stdio::null());
    let output = within(&project, command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs: BTreeMap<&str, &str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("Downloading registry.example/a/net/aws ")?.strip_suffix("..."))
        .filter_map(|line| line.split_once(" for ").map(|(version, call)| (call, version)))
        .collect();
    fs::remove_dir_all(project.directory.join(".terraform")).unwrap();
    run(&project, &["init"]);
    let record = fs::read(project.directory.join(".andon/modules/modules.json")).unwrap();
    let record: Json = serde_json::from_slice(&record).unwrap();
    let mut ours: BTreeMap<&str, &str> = BTreeMap::new();
    for module in record["modules"].as_array().unwrap() {
        for call in module["calls"].as_array().unwrap() {
            ours.insert(call.as_str().unwrap(), module["version"].as_str().unwrap());
        }
    }
    let mut wrong = Vec::new();
    for (at, constraint) in constraints.iter().enumerate() {
        let their = theirs.get(&*format!("m{at}")).copied();
        let our = ours.get(&*format!("module.m{at}")).copied();
        // An exact early version is taken as documented however it is written; terraform takes the bare form alone.
        let early = their.is_none() && our.is_some_and(|version| version.contains('-') && constraint.contains(version));
        if their != our && !early {
            wrong.push(format!("\"{constraint}\": terraform takes {their:?}, we take {our:?}"));
        }
    }
    assert!(theirs.len() > 60 && wrong.is_empty(), "{} of {}:\n{}", wrong.len(), constraints.len(), wrong.join("\n"));
}

#[test]
fn sources_are_what_they_are_to_terraform() {
    let Some(program) = terraform() else { return };
    let world = world();
    let project = world.project("init-same", "");
    let place = repository(&project);
    let first = git(&place, &["rev-parse", "v1"]);
    let sources = [
        "git::file://REPO".to_owned(),
        "git::file://REPO?ref=v1".to_owned(),
        "git::file://REPO?ref=main&depth=1".to_owned(),
        format!("git::file://REPO?ref={first}"),
        format!("git::file://REPO//modules/sub?ref={}", &first[..10]),
        "git::file://REPO//modules/../modules/sub".to_owned(),
        "REPO".to_owned(),
        "REPO//modules/sub".to_owned(),
        "file://REPO".to_owned(),
        "WEB/net-1.0.0.tgz//net-1.0.0".to_owned(),
        "WEB/net-1.0.0.tgz//net-1.0.0?archive=tgz".to_owned(),
        "REGISTRY/a/net/aws".to_owned(),
    ];
    let calls: Vec<String> =
        sources.iter().enumerate().map(|(at, it)| format!("module \"m{at}\" {{ source = \"{it}\" }}\n")).collect();
    let main = calls.concat().replace("REPO", &place.display().to_string());
    project.write("main.tf", &main.replace("REGISTRY", "registry.example").replace("WEB", &world.url));
    let theirs = terraform_took(&program, &project);
    ok(&project, &["init"]);
    let record = fs::read(project.directory.join(".andon/modules/modules.json")).unwrap();
    let record: Json = serde_json::from_slice(&record).unwrap();
    let texts = |directory: &Path| -> BTreeMap<String, String> {
        let files = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).filter(|path| path.is_file());
        files
            .map(|path| (path.file_name().unwrap().to_string_lossy().into(), fs::read_to_string(&path).unwrap()))
            .collect()
    };
    for (at, source) in sources.iter().enumerate() {
        let (_, their) = &theirs[&format!("m{at}")];
        let call = Json::from(format!("module.m{at}"));
        let modules = record["modules"].as_array().unwrap();
        let module = modules.iter().find(|it| it["calls"].as_array().unwrap().contains(&call)).expect(source);
        let below = source.split("//").nth(if source.contains("://") { 2 } else { 1 }).unwrap_or("");
        let below = below.split('?').next().unwrap_or_default();
        let ours = project.directory.join(module["directory"].as_str().unwrap());
        let ours = ours.join(module["inner"].as_str().unwrap()).join(below);
        assert_eq!(texts(&ours), texts(their), "{source}");
    }
    // A project that was initialised by terraform works as it is.
    fs::remove_dir_all(project.directory.join(".andon")).unwrap();
    ok(&project, &["check"]);
}
