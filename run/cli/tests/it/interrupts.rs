//! Ctrl-C while many servers are worked on: what was done, what was cut short and what was not begun is told, and nothing
//! is left running.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::servers::{project, server};
use crate::support::{Project, eventually, need_lab};

fn started(project: &Project, words: &[&str]) -> Child {
    project.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn count(directory: &Path) -> usize {
    let is_whole = |name: String| !name.starts_with('.');
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    names.filter(|entry| is_whole(entry.file_name().to_string_lossy().into_owned())).count()
}

/// Whether a process has this word in its command line.
fn runs(word: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", "--", word]).output().unwrap();
    !found.stdout.is_empty()
}

#[test]
fn an_end_asked_for_once_finishes_the_act_at_hand() {
    let Some(server) = server() else { return };
    let project = project(&server, "");
    let directory = project.directory.join("slow");
    let word = format!("directory={}", directory.display());
    let on = ["--on", "web-0", "--on", "web-1", "--on", "web-2", "--parallelism", "1"];
    let child = started(&project, &[&["run", "slow", "--param", &word], &on[..]].concat());
    eventually("something is done", Duration::from_secs(60), || count(&directory) >= 3);
    interrupt(&child);
    let (code, out, err) = end(child);
    assert_eq!(code, Some(130), "{out}{err}");
    let done = count(&directory);
    assert!((3..30).contains(&done), "{done} were written");
    assert!(out.contains(&format!("web-0: cut short, {} changed\n", done + 1)), "{out}{err}");
    assert!(out.contains("  stopped: the run was stopped before its end\n"), "{out}");
    assert!(out.contains("web-1, web-2: not tried: it was stopped by hand\n"), "{out}");
    assert!(out.contains("\n3 servers: 1 cut short, 2 not tried.\n"), "{out}");
    assert!(err.contains("Stopping: nothing new begins"), "{err}");
    // The next run goes on from there.
    let ran = project.ok(&["run", "slow", "--param", &word, "--on", "web-0"]);
    assert!(ran.out.starts_with(&format!("web-0: {} changed\n", 30 - done)), "{ran}");
}

#[test]
fn a_second_one_ends_at_once_and_leaves_nothing() {
    let Some(server) = server() else { return };
    let project = project(&server, "");
    // A number that no other process has among its words.
    let word = format!("sleep 3{:05}", std::process::id());
    let mark = project.directory.join("begun");
    let line = format!("touch {}; {word}; true", mark.display());
    let child = started(&project, &["exec", &line, "--on", "web-0", "--on", "web-1", "--parallelism", "1"]);
    eventually("the command runs", Duration::from_secs(60), || mark.exists() && runs(&word));
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&child);
    let (code, out, err) = end(child);
    assert_eq!((code, &*out), (Some(130), ""), "{err}");
    eventually("nothing is left", Duration::from_secs(60), || !runs(&word));
}

/// A process of this program that would be told of an interrupt.
fn heeds_interrupts(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    caught.is_some_and(|caught| caught & 1 << (libc::SIGINT - 1) != 0)
}

#[test]
fn a_look_that_is_cut_short_does_not_end_well() {
    need_lab!();
    let project = Project::empty("look");
    let listen = format!("127.0.0.1:{}", project.port);
    let balancer = format!("resource \"lab_balancer\" \"web\" {{\n  listen = \"{listen}\"\n  targets = []\n}}\n");
    project.write("main.tf", &balancer);
    project.ok(&["up", "-y"]);
    let identity = project.identities().into_iter().next().unwrap();
    let groups =
        ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(|root| format!("{root}/andon/{identity}/cgroup.procs"));
    let process = groups.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).unwrap();
    let signal = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), signal).unwrap();
    // It does not answer, for longer than it takes to interrupt who asks.
    signal(nix::sys::signal::Signal::SIGSTOP);
    let child = started(&project, &["status"]);
    eventually("it heeds interrupts", Duration::from_secs(60), || heeds_interrupts(&child));
    interrupt(&child);
    let (code, out, err) = end(child);
    signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(code, Some(130), "{out}{err}");
    assert!(out.contains("it was not looked at"), "{out}{err}");
    assert!(project.ok(&["status"]).out.contains("ok    lab_balancer.web"));
}
