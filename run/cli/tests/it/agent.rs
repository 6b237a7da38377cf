//! The agent: a server kept in sync with definitions from elsewhere.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::ANDON;

/// A directory with a project, a place that its role is about, and what the agent keeps.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.path("shop/roles")).unwrap();
        fs::create_dir(place.path("server")).unwrap();
        place.define("one");
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("server/motd")).unwrap_or_default()
    }

    fn define(&self, text: &str) {
        self.write_role(&format!(
            "role \"web\" {{\n  param \"place\" {{}}\n  param \"more\" {{ default = \"\" }}\n  \
             file \"${{param.place}}/motd\" {{ content = \"{text}${{param.more}}\" }}\n}}\n"
        ));
    }

    fn write_role(&self, text: &str) {
        fs::write(self.path("shop/roles/web.role.hcl"), text).unwrap();
    }

    fn command(&self, from: &str, more: &[&str]) -> Command {
        let mut command = Command::new(ANDON);
        command
            .args(["agent", "web", "--from", from, "--param"])
            .arg(format!("place={}", self.path("server").display()));
        command.arg("--state").arg(self.path("kept")).args(more).env("NO_COLOR", "1").current_dir(self.0.path());
        command
    }

    /// The exit code and all that is said.
    fn sync(&self, from: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = self.command(from, more).arg("--once").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).replace(&self.0.path().display().to_string(), "/T"))
    }

    fn show(&self, what: &str) -> String {
        let output = Command::new(ANDON).args(["agent", what, "--state"]).arg(self.path("kept")).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().replace(&self.0.path().display().to_string(), "/T")
    }
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("skipped: a server is converged by root");
    }
    root
}

#[test]
fn drift_is_put_right_and_remembered() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let (code, said) = place.sync("shop", &[]);
    assert_eq!((code, place.text()), (Some(0), "one".into()), "{said}");
    assert!(said.starts_with("role web changed:\n  + file \"/T/server/motd\"\n"), "{said}");
    assert_eq!(place.sync("shop", &[]), (Some(0), String::new()), "the second time there is nothing to say");
    assert!(place.show("--status").contains(": unchanged\n"));

    fs::write(place.path("server/motd"), "by hand").unwrap();
    let (code, said) = place.sync("shop", &["--plan"]);
    assert_eq!((code, place.text()), (Some(2), "by hand".into()), "{said}");
    assert!(place.show("--status").contains(": differs\n  file \"/T/server/motd\": content\n"));
    let (code, said) = place.sync("shop", &[]);
    assert_eq!((code, place.text()), (Some(0), "one".into()), "{said}");
    assert!(said.starts_with("role web drifted, and was put right:\n"), "{said}");

    let history = place.show("--history");
    let told: Vec<&str> =
        history.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest.trim())).collect();
    assert_eq!(told.len(), 4, "{history}");
    assert_eq!(
        told[..3],
        ["web file \"/T/server/motd\": is not there", "new definition, done", "web file \"/T/server/motd\": content"]
            .map(|it| it)
    );
    assert!(told[3].starts_with("drift, put right by the agent"), "{history}");
}

#[test]
fn what_was_there_last_is_kept_while_the_source_is_gone_or_wrong() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let drift = || fs::write(place.path("server/motd"), "by hand").unwrap();
    let shop = place.path("shop").display().to_string();
    assert_eq!(place.sync(&shop, &[]).0, Some(0));
    for (what, wrong) in
        [("no such kind", "role \"web\" {\n  fle \"x\" {}\n}\n"), ("no syntax", "role \"web\" {"), ("no role", "")]
    {
        place.write_role(wrong);
        drift();
        let (code, said) = place.sync(&shop, &[]);
        assert_eq!((code, place.text()), (Some(0), "one".into()), "{what}: {said}");
        assert!(said.contains("the definitions of before are used"), "{what}: {said}");
    }
    fs::rename(place.path("shop"), place.path("away")).unwrap();
    drift();
    let (code, said) = place.sync(&shop, &[]);
    assert_eq!((code, place.text()), (Some(0), "one".into()), "{said}");
    assert!(said.contains("drifted, and was put right") && said.contains("cannot be read"), "{said}");
    // Another place knows nothing.
    fs::rename(place.path("kept"), place.path("kept-elsewhere")).unwrap();
    let (code, said) = place.sync(&shop, &[]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn what_is_given_must_be_taken() {
    let place = Place::new();
    for (from, more, expected) in [
        ("shop", &["--param", "mor=x"][..], "there is no parameter `mor`"),
        ("nowhere", &[], "`nowhere` is no source of definitions"),
        ("hashicorp/consul/aws", &[], "A registry has modules, and no roles."),
        ("shop", &["--every", "soon"], "`soon` is no time"),
    ] {
        let (code, said) = place.sync(from, more);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let output = Command::new(ANDON).args(["agent", "--from", "shop"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("no role is named"));
    assert!(place.show("--status").contains("No sync of this server is recorded"));
    assert_eq!(place.show("--history"), "Nothing differed so far.\n");
}

#[test]
fn a_git_repository_is_fetched_when_it_moved() {
    if !is_root() {
        return;
    }
    if Command::new("git").arg("--version").output().is_err() {
        return println!("skipped: there is no git");
    }
    let place = Place::new();
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
            .args(words)
            .current_dir(place.path("shop"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    let commit = || {
        git(&["add", "-A"]);
        git(&["commit", "--quiet", "-m", "x"]);
    };
    git(&["init", "--quiet"]);
    commit();
    let from = format!("git::file://{}?ref=main", place.path("shop").display());
    assert_eq!((place.sync(&from, &[]).0, place.text()), (Some(0), "one".into()));
    let fetched = || fs::metadata(place.path("kept/definitions")).unwrap().modified().unwrap();
    let before = fetched();
    assert_eq!(place.sync(&from, &[]), (Some(0), String::new()));
    assert_eq!(fetched(), before, "what has not moved is not fetched again");
    place.define("two");
    commit();
    assert_eq!((place.sync(&from, &[]).0, place.text()), (Some(0), "two".into()));
    fs::rename(place.path("shop"), place.path("away")).unwrap();
    fs::remove_file(place.path("server/motd")).unwrap();
    let (code, said) = place.sync(&from, &[]);
    assert_eq!((code, place.text()), (Some(0), "two".into()), "{said}");
    assert!(said.contains("warning: the definitions of before are used"), "{said}");
}

/// Serves a file by its entity tag; says the status of each answer.
fn serve(file: PathBuf, answers: Arc<Mutex<Vec<u16>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let body = fs::read(&file).unwrap_or_default();
            let tag = format!("\"{}-{}\"", body.len(), body.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            let known =
                head.iter().any(|line| line.to_lowercase().starts_with("if-none-match:") && line.contains(&tag));
            let (status, body) = if known { (304, Vec::new()) } else { (200, body) };
            answers.lock().unwrap().push(status);
            let head = format!(
                "HTTP/1.1 {status} x\r\nETag: {tag}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}/shop.tar.gz")
}

#[test]
fn an_archive_on_the_web_is_fetched_when_it_is_newer() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let pack = |directory: &Path| {
        let done =
            Command::new("tar").arg("-czf").arg(place.path("shop.tar.gz")).arg("-C").arg(directory).arg(".").status();
        assert!(done.unwrap().success());
    };
    pack(&place.path("shop"));
    let answers = Arc::new(Mutex::new(Vec::new()));
    let from = serve(place.path("shop.tar.gz"), Arc::clone(&answers));
    assert_eq!((place.sync(&from, &[]).0, place.text()), (Some(0), "one".into()));
    assert_eq!(place.sync(&from, &[]), (Some(0), String::new()));
    place.define("two");
    pack(&place.path("shop"));
    assert_eq!((place.sync(&from, &[]).0, place.text()), (Some(0), "two".into()));
    assert_eq!(*answers.lock().unwrap(), [200, 304, 200]);
    // An archive that is none is no news.
    fs::write(place.path("shop.tar.gz"), "none").unwrap();
    fs::remove_file(place.path("server/motd")).unwrap();
    let (code, said) = place.sync(&from, &[]);
    assert_eq!((code, place.text()), (Some(0), "two".into()), "{said}");
}

/// An agent that goes with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_agent_syncs_until_it_is_told_to_end() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let shop = place.path("shop").display().to_string();
    let mut command = place.command(&shop, &["--every", "1s"]);
    let mut agent = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("the first sync", || place.text() == "one");
    place.define("two");
    until("a later sync", || place.text() == "two");
    let process = nix::unistd::Pid::from_raw(agent.0.id().try_into().unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
    until("its end", || agent.0.try_wait().unwrap().is_some());
    assert!(agent.0.wait().unwrap().success());

    // One that would wait for an hour syncs at once when it is told to.
    let mut command = place.command(&shop, &["--every", "1h"]);
    let mut agent = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let process = nix::unistd::Pid::from_raw(agent.0.id().try_into().unwrap());
    let status = || fs::metadata(place.path("kept/status.json")).unwrap().modified().unwrap();
    let first = status();
    until("its first sync", || status() != first);
    place.define("three");
    until("a sync on demand", || {
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGHUP).unwrap();
        place.text() == "three"
    });
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    until("its end", || agent.0.try_wait().unwrap().is_some());
}
