//! What fails midway leaves a true state, exit code 1 and words on what was done and what was not; and once the cause
//! is mended, the next run goes on from there and makes nothing twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kills::known_and_unknown;
use crate::support::{ANDON, Project, Ran, get, need_lab, share_images};

/// A failed run says each of these, exits with 1, and leaves nothing of which the ledger does not know.
#[track_caller]
fn fails(project: &Project, words: &[&str], said: &[&str]) -> Ran {
    let ran = project.exits(1, words);
    tells(&ran, said);
    is_true(project, &ran);
    ran
}

#[track_caller]
fn tells(ran: &Ran, said: &[&str]) {
    for expected in said {
        assert!(ran.err.contains(expected), "`{expected}` is not said\n{ran}");
    }
}

#[track_caller]
fn is_true(project: &Project, ran: &Ran) {
    let (_, unknown) = known_and_unknown(project, |_| true);
    assert!(unknown.is_empty(), "of this the ledger does not know: {unknown:#?}\n{ran}");
    let status = project.ok(&["status", "--json"]);
    assert!(status.out.contains("\"effects_without_outcome\":0"), "{status}\n{ran}");
}

/// The next run finishes, keeps what there was, and then everything is as defined.
#[track_caller]
fn goes_on(project: &Project, kept: &BTreeSet<String>) {
    let ran = project.ok(&["up", "-y"]);
    let after = project.identities();
    let lost: Vec<_> = kept.difference(&after).collect();
    assert!(lost.is_empty(), "made anew: {lost:?}\n{ran}");
    let objects = project.objects();
    let addresses: BTreeSet<&str> = objects.iter().map(|object| object["address"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), objects.len(), "something is there twice: {objects:#?}\n{ran}");
    assert_eq!(objects.len(), 7, "{objects:#?}\n{ran}");
    is_true(project, &ran);
    project.ok(&["drift"]);
    let (status, _) = get(&format!("127.0.0.1:{}", project.port), "/", Duration::from_secs(10)).unwrap();
    assert_eq!(status, 200);
    let again = project.ok(&["up", "-y"]);
    assert!(again.out.contains("no changes"), "{again}");
}

/// The servers' role gets more to do than the image has: this, in a role of its own.
fn more_to_do(project: &Project, what: &str) {
    project.write("roles/more.role.hcl", &format!("role \"more\" {{\n  inherits = [\"web\"]\n\n{what}\n}}\n"));
    project.edit("stacks/web/main.tf", "role       = \"web\"", "role       = \"more\"");
}

#[test]
fn a_package_that_does_not_exist_in_a_server() {
    need_lab!();
    let project = Project::shop("package");
    more_to_do(&project, "  file \"/etc/before\" { content = \"1\" }\n\n  package \"andon-no-such-package\" {}");
    let said = [
        "web/andon_host.web[0] failed",
        "role `more` did not come about",
        "roles/more.role.hcl:6",
        "andon-no-such-package",
        "not done: create web/lab_balancer.web: it needs web/andon_host.web",
        ": 4 done, 2 failed, 1 not done. Run it again to go on from here.",
    ];
    fails(&project, &["up", "-y"], &said);
    let kept = project.identities();
    assert_eq!(project.in_server("web-0", "cat /etc/before"), "1", "what came before it is done");
    fails(&project, &["up", "-y"], &["andon-no-such-package", "0 done, 2 failed, 1 not done"]);
    project.edit("roles/more.role.hcl", "package \"andon-no-such-package\" {}", "");
    goes_on(&project, &kept);
}

#[test]
fn a_package_that_does_not_exist_in_an_image() {
    need_lab!();
    let project = Project::shop("image-package");
    project.ok(&["up", "-y"]);
    let kept = project.identities();
    let package = "package \"nginx\" {}\n\n  package \"andon-no-such-package\" {}";
    project.edit("roles/web.role.hcl", "package \"nginx\" {}", package);
    let said = [
        "the image `web` was not baked",
        "roles/web.role.hcl:19",
        "andon-no-such-package",
        "not done: replace web/lab_server.web[0, 1] (2 instances): it needs web/andon_image.web",
    ];
    fails(&project, &["up", "-y"], &said);
    let (status, _) = get(&format!("127.0.0.1:{}", project.port), "/", Duration::from_secs(10)).unwrap();
    assert_eq!(status, 200, "what was up stays up");
    project.edit("roles/web.role.hcl", package, "package \"nginx\" {}");
    goes_on(&project, &kept);
}

#[test]
fn a_health_check_that_never_passes() {
    need_lab!();
    let project = Project::shop("health");
    project.edit("stacks/web/main.tf", "health  = \"/healthz\"", "health  = \"/nowhere\"\n  wait    = \"1s\"");
    let said = ["web/lab_balancer.web failed", "404", "/nowhere", "6 done, 1 failed, 0 not done"];
    fails(&project, &["up", "-y"], &said);
    let kept = project.identities();
    project.edit("stacks/web/main.tf", "/nowhere", "/healthz");
    goes_on(&project, &kept);

    // The same while it serves: what served goes on.
    project.edit("stacks/web/main.tf", "\"/healthz\"", "\"/elsewhere\"");
    fails(&project, &["up", "-y"], &["web/lab_balancer.web failed", "/elsewhere"]);
    let (status, _) = get(&format!("127.0.0.1:{}", project.port), "/", Duration::from_secs(10)).unwrap();
    assert_eq!(status, 200);
    project.edit("stacks/web/main.tf", "\"/elsewhere\"", "\"/healthz\"");
    goes_on(&project, &kept);
}

#[test]
fn a_check_of_a_role_that_never_passes() {
    need_lab!();
    let project = Project::shop("check");
    more_to_do(&project, "  check \"more\" {\n    port \"tcp/81\" { listening = true }\n  }");
    let said = ["role `more` did not come about", "roles/more.role.hcl:5", "check \"more\"", "tcp/81", "2 failed"];
    fails(&project, &["up", "-y"], &said);
    let kept = project.identities();
    project.edit("roles/more.role.hcl", "tcp/81", "tcp/80");
    goes_on(&project, &kept);
}

#[test]
fn a_port_that_somebody_else_uses() {
    need_lab!();
    let project = Project::shop("port");
    let other = TcpListener::bind(("127.0.0.1", project.port)).unwrap();
    let said = [
        &*format!("cannot listen on 127.0.0.1:{}", project.port),
        "already listens there",
        "choose another port",
        "6 done, 1 failed, 0 not done",
    ];
    fails(&project, &["up", "-y"], &said);
    let kept = project.identities();
    drop(other);
    goes_on(&project, &kept);
}

/// A project on small file systems of its own, which are mounted where nobody else sees them.
struct Small {
    project: Project,
    inside: Child,
}

impl Small {
    fn new(name: &str, mount: &str) -> Small {
        let mut project = Project::shop(name);
        project.data_dir = project.directory.join(".data");
        share_images(&project.data_dir);
        for directory in ["servers", "balancers", "networks", "lab"] {
            fs::create_dir_all(project.data_dir.join(directory)).unwrap();
        }
        fs::create_dir_all(project.directory.join(".andon")).unwrap();
        let inside = Command::new("unshare")
            .args(["-m", "sh", "-ec", &format!("{mount}; echo ready; exec sleep 1000")])
            .current_dir(&project.directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut small = Small { project, inside };
        let mut line = String::new();
        BufReader::new(small.inside.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        small
    }

    /// Runs a program where the small file systems are.
    fn run(&self, program: &str, words: &[&str]) -> Ran {
        let began = Instant::now();
        // The directory is entered inside: from outside, what is mounted on it would not be seen.
        let output = Command::new("nsenter")
            .args(["-m", "-t", &self.inside.id().to_string(), "sh", "-c", "cd \"$0\" && exec \"$@\""])
            .arg(&self.project.directory)
            .arg(program)
            .args(words)
            .env("ANDON_DATA_DIR", &self.project.data_dir)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::new(words, &output, began.elapsed())
    }

    fn shell(&self, script: &str) -> Ran {
        self.run("sh", &["-c", script])
    }

    /// Fills a small file system but for so many KiB.
    fn fill(&self, place: &str, left: u32) {
        let script = format!(
            "mountpoint -q {place} && rm -f {place}/full && \
             more=$(( $(df --output=avail -k {place} | tail -1) - {left} )) && \
             test $more -gt 0 && head -c ${{more}}K /dev/zero > {place}/full"
        );
        let ran = self.shell(&script);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.run(ANDON, &["down", "-y"]);
        let _ = self.inside.kill();
        let _ = self.inside.wait();
    }
}

#[test]
fn a_full_disk_under_servers() {
    need_lab!();
    let small = Small::new("disk", "mount -t tmpfs -o size=32m tmpfs .data/servers");
    // Nothing is left, or a little: then it comes further.
    for left in [0, 20, 40] {
        small.fill(".data/servers", left);
        let ran = small.run(ANDON, &["up", "-y"]);
        if ran.code != Some(0) || left == 0 {
            assert_eq!(ran.code, Some(1), "{ran}");
            tells(&ran, &["No space left on device", "not done", "Run it again to go on from here."]);
        }
        let found = small.shell("ls .data/servers .data/lab/objects").out;
        let status = small.run(ANDON, &["status", "--json"]).out;
        let strange: Vec<_> = found
            .lines()
            .filter(|line| line.len() == 12 && line.chars().all(|letter| letter.is_ascii_hexdigit()))
            .filter(|identity| !status.contains(*identity))
            .collect();
        assert_eq!(strange, Vec::<&str>::new(), "{found}\n{ran}");
    }
    let before: BTreeSet<String> = small.project.identities();
    small.shell("rm .data/servers/full");
    let ran = small.run(ANDON, &["up", "-y"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let network = |project: &Project| {
        let objects = project.objects().into_iter();
        objects.filter(|object| object["address"] == "network/lab_network.app").count()
    };
    assert_eq!((network(&small.project), small.project.objects().len()), (1, 7), "before: {before:?}\n{ran}");
    let drift = small.run(ANDON, &["drift"]);
    assert_eq!(drift.code, Some(0), "{drift}");
}

#[test]
fn a_full_disk_under_images() {
    need_lab!();
    let small = Small::new(
        "bake",
        // The images of all tests are in it, however many there are, and room for another.
        "mount -t tmpfs -o size=$(( $(du -sm .data/images | cut -f1) + 260 ))m tmpfs .data/servers; mkdir .data/servers/images; cp -a .data/images/. .data/servers/images/; mount --bind .data/servers/images .data/images",
    );
    let up = small.run(ANDON, &["up", "-y"]);
    assert_eq!(up.code, Some(0), "{up}");
    fs::write(small.project.directory.join("roles/web/large.txt"), "all work and no play\n".repeat(200_000)).unwrap();
    small.project.edit(
        "roles/web.role.hcl",
        "package \"nginx\" {}",
        "package \"nginx\" {}\n\n  file \"/srv/large.txt\" {\n    content = file(\"web/large.txt\")\n  }",
    );
    small.fill(".data/servers", 500);
    let ran = small.run(ANDON, &["up", "-y"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    tells(
        &ran,
        &["No space left on device", "web/andon_image.web failed", "not done: replace web/lab_server.web[0, 1]"],
    );
    let left = small.shell("ls .data/images/tmp").out;
    assert_eq!(left, "", "half an image is left\n{ran}");
    let (status, _) = get(&format!("127.0.0.1:{}", small.project.port), "/", Duration::from_secs(10)).unwrap();
    assert_eq!(status, 200);
    small.shell("rm .data/servers/full");
    let ran = small.run(ANDON, &["up", "-y"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let drift = small.run(ANDON, &["drift"]);
    assert_eq!(drift.code, Some(0), "{drift}");
}

#[test]
fn a_full_disk_under_the_ledger() {
    need_lab!();
    let small = Small::new("ledger", "mount -t tmpfs -o size=4m tmpfs .andon");
    let mut codes = Vec::new();
    for left in [0, 40, 100, 120, 140, 160, 180, 200, 240] {
        small.fill(".andon", left);
        let ran = small.run(ANDON, &["up", "-y"]);
        if ran.code != Some(0) {
            assert_eq!(ran.code, Some(1), "{left} KB: {ran}");
            assert!(ran.err.contains("is full") || ran.err.contains("No space left"), "{left} KB: {ran}");
        }
        codes.push(ran.code);
    }
    assert!(codes.contains(&Some(1)));
    small.shell("rm .andon/full");
    let ran = small.run(ANDON, &["up", "-y"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let status = small.run(ANDON, &["status", "--json"]).out;
    let records = fs::read_dir(small.project.data_dir.join("lab/objects")).unwrap().flatten();
    let records: Vec<String> = records.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(records.len(), 4, "{records:?}\n{status}\n{ran}");
    assert!(records.iter().all(|identity| status.contains(identity.as_str())), "{records:?}\n{status}");
    let drift = small.run(ANDON, &["drift"]);
    assert_eq!(drift.code, Some(0), "{drift}");
}

/// A run in a process group of its own, as a shell starts it.
struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    read: String,
}

impl Running {
    fn start(project: &Project, words: &[&str]) -> Running {
        let mut command = project.command(words);
        let mut child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Running { child, err, read: String::new() }
    }

    /// Reads until something is said.
    fn until(&mut self, said: &str) {
        let from = self.read.len();
        while !self.read[from..].contains(said) {
            let read = self.err.read_line(&mut self.read).unwrap();
            assert!(read > 0, "`{said}` was never said\n{}", self.read);
        }
    }

    /// To the process alone, or to its whole group, as a terminal does.
    fn signal(&self, signal: i32, group: bool) {
        let process = self.child.id() as i32;
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(if group { -process } else { process }, signal) };
    }

    fn end(mut self) -> Ran {
        self.err.read_to_string(&mut self.read).unwrap();
        let status = self.child.wait().unwrap();
        Ran { words: "up -y".to_owned(), code: status.code(), out: String::new(), err: self.read, took: Duration::ZERO }
    }
}

/// Something that takes its time in a server: the check of a file before it replaces the old one.
const SLOW: &str = "  file \"/etc/slow\" {\n    content  = \"1\"\n    validate = \"sleep 2\"\n  }";

#[test]
fn ctrl_c_lets_what_runs_finish() {
    need_lab!();
    for (signal, group) in [(libc::SIGINT, false), (libc::SIGINT, true), (libc::SIGTERM, false)] {
        let project = Project::shop("stop");
        more_to_do(&project, SLOW);
        let mut run = Running::start(&project, &["up", "-y"]);
        // Both of them, in whichever order.
        run.until("creating web/andon_host.web[");
        run.until("creating web/andon_host.web[");
        std::thread::sleep(Duration::from_millis(300));
        run.signal(signal, group);
        run.until("Stopping");
        let ran = run.end();
        assert_eq!(ran.code, Some(1), "{ran}");
        let said = [
            "created web/andon_host.web[0]",
            "created web/andon_host.web[1]",
            "not done: create web/lab_balancer.web: it was stopped",
            ": 6 done, 0 failed, 1 not done. Run it again to go on from here.",
        ];
        tells(&ran, &said);
        is_true(&project, &ran);
        let kept = project.identities();
        assert_eq!(kept.len(), 6, "{ran}");
        assert_eq!(project.in_server("web-0", "cat /etc/slow"), "1", "the helper was let finish");
        goes_on(&project, &kept);
    }
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    need_lab!();
    let project = Project::shop("twice");
    more_to_do(&project, &SLOW.replace("sleep 2", "sleep 20"));
    let mut run = Running::start(&project, &["up", "-y"]);
    run.until("creating web/andon_host.web[0]");
    std::thread::sleep(Duration::from_millis(300));
    run.signal(libc::SIGINT, true);
    run.until("Stopping");
    let began = Instant::now();
    run.signal(libc::SIGINT, true);
    let ran = run.end();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}\n{ran}", began.elapsed());
    assert_eq!(ran.code, Some(130), "{ran}");
    let kept: BTreeSet<String> = project
        .objects()
        .iter()
        .filter(|object| object["address"].as_str().unwrap().contains("/lab_"))
        .map(|object| object["identity"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kept.len(), 3, "{ran}");
    project.edit("roles/more.role.hcl", "sleep 20", "true");
    goes_on(&project, &kept);
}

#[test]
fn ctrl_c_before_anything_is_done_does_nothing() {
    need_lab!();
    let project = Project::shop("early");
    project.ok(&["up", "-y"]);
    let kept = project.identities();
    // While it waits for the environment's lock.
    more_to_do(&project, SLOW);
    let mut holder = Running::start(&project, &["up", "-y"]);
    holder.until("updating web/andon_host.web[0]");
    let mut waiting = Running::start(&project, &["up", "-y", "--lock-timeout", "60s"]);
    waiting.until("waiting for it to end");
    waiting.signal(libc::SIGINT, true);
    let ran = waiting.end();
    assert_eq!(ran.code, Some(1), "{ran}");
    let held = holder.end();
    assert_eq!(held.code, Some(0), "{held}");
    goes_on(&project, &kept);
}

#[test]
fn a_run_that_is_cut_off_from_its_reader_finishes() {
    need_lab!();
    let project = Project::shop("pipe");
    // `andon up -y | head -1`
    let mut child = project.command(&["up", "-y"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.wait().unwrap();
    assert!(Path::new(&project.directory).join(".andon/ledger.db").exists());
    project.ok(&["up", "-y"]);
    let kept = project.identities();
    goes_on(&project, &kept);
}
