//! Helpers, as they are: this program is its own helper, and enters real namespaces.
//!
//! There is no test harness, since a helper must have one thread: `main` is the first thing that runs in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once; the lints know tests only by their harness"
)]

mod place;
mod work;

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use andon_reach::{AGENT_ARGUMENT, Contact, ReachError, Target, agent_main, exec, run_agent};

use place::{Place, Root, Server, await_none_named, helper, leaves, pids_named};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("answers come back whole", answers_come_back_whole),
    ("a failing agent says how it ended", a_failing_agent_says_how_it_ended),
    ("other programs are no helpers", other_programs_are_no_helpers),
    ("a root has what packages need", a_root_has_what_packages_need),
    ("a root opens no device but those it is given", a_root_opens_no_device_but_those_it_is_given),
    ("a root keeps only what the work wrote", a_root_keeps_only_what_the_work_wrote),
    ("a root that cannot be entered says why", a_root_that_cannot_be_entered_says_why),
    ("a server is entered wholly", a_server_is_entered_wholly),
    ("many agents work at once", many_agents_work_at_once),
    ("a server that ended is gone", a_server_that_ended_is_gone),
    ("work on a root ends soon once nobody awaits it", work_on_a_root_ends_soon_once_nobody_awaits_it),
    ("nothing outlives a killed caller", nothing_outlives_a_killed_caller),
    ("a caller that panics leaves nothing", a_caller_that_panics_leaves_nothing),
    ("what the work leaves running holds nobody up", what_the_work_leaves_running_holds_nobody_up),
    ("commands hand on their status", commands_hand_on_their_status),
    ("a shell has a terminal of its own", a_shell_has_a_terminal_of_its_own),
];

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == AGENT_ARGUMENT => std::process::exit(agent_main(arguments, work::work)),
        Some(first) if first == "caller" => caller(arguments),
        filter => run_all(filter.map(|filter| filter.to_string_lossy().into_owned())),
    }
}

/// A caller to kill, and one to give a terminal: `caller <place> agent|exec <words…>`.
fn caller(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let place = Place::read(&mut arguments);
    let mode = arguments.next().unwrap();
    let words: Vec<OsString> = arguments.collect();
    let status = match mode.to_str() {
        Some("exec") => exec(&place.target(), &helper(), &words).unwrap(),
        _ => {
            let request = words[0].to_str().unwrap().as_bytes().to_owned();
            run_agent(&place.target(), &helper(), &request, &mut Contact::to_the_end(&mut |_| {})).unwrap();
            0
        }
    };
    drop(place);
    std::process::exit(status)
}

fn run_all(filter: Option<String>) {
    let listed = filter.as_deref() == Some("--list");
    let filter = filter.filter(|filter| !filter.starts_with('-'));
    let mut failed = 0;
    for (name, test) in TESTS {
        if listed {
            println!("{name}: test");
        } else if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            let start = Instant::now();
            let result = match place::unable() {
                Some(reason) => format!("skipped: {reason}"),
                None if std::panic::catch_unwind(test).is_ok() => "ok".to_owned(),
                None => {
                    failed += 1;
                    "FAILED".to_owned()
                }
            };
            println!("test {name} ... {result} ({} ms)", start.elapsed().as_millis());
        }
    }
    if failed > 0 {
        println!("{failed} failed");
        std::process::exit(101);
    }
}

fn ask(target: &Target, request: &str) -> Result<String, ReachError> {
    run_agent(target, &helper(), request.as_bytes(), &mut Contact::to_the_end(&mut |_| {}))
        .map(|reply| String::from_utf8(reply).unwrap())
}

/// What a shell inside says.
fn shell(target: &Target, script: &str) -> String {
    ask(target, &format!("sh {script}")).unwrap()
}

fn answers_come_back_whole() {
    let (root, server) = (Root::new(), Server::new());
    for target in [Target::Local, root.target(), server.target()] {
        assert_eq!(ask(&target, "echo hello").unwrap(), "hello");
        let mut lines = Vec::new();
        let reply = run_agent(
            &target,
            &helper(),
            b"count 1000",
            &mut Contact::to_the_end(&mut |line| lines.push(line.to_owned())),
        )
        .unwrap();
        assert_eq!(reply, b"counted");
        assert_eq!(lines, (0..1000).map(|number| format!("line {number}")).collect::<Vec<_>>());
        let big = format!("echo {}", "x".repeat(10 << 20));
        assert_eq!(ask(&target, &big).unwrap().len(), 10 << 20);
        // A reply, many lines and an unread request at once: neither side may wait for the other.
        let big = format!("babble {}", "x".repeat(4 << 20));
        assert_eq!(ask(&target, &big).unwrap().len(), (4 << 20) + 7);
    }
}

fn a_failing_agent_says_how_it_ended() {
    let (root, server) = (Root::new(), Server::new());
    for target in [Target::Local, root.target(), server.target()] {
        let check = |request: &str, expected_how: &str, expected_said: &str| match ask(&target, request) {
            Err(error @ ReachError::Died { .. }) => {
                let ReachError::Died { how, said } = &error else { unreachable!() };
                assert_eq!(how, expected_how, "{request}");
                assert!(said.contains(expected_said), "{request}: {said}");
                assert!(error.failure().detail.contains(expected_said));
            }
            other => panic!("{request}: {other:?}"),
        };
        check("exit 3", "exit status 3", "");
        check("panic", "exit status 101", "the work has a mistake");
        check("kill", "killed by signal 9", "");
        check("complain", "exit status 1", "last words");
    }
}

fn other_programs_are_no_helpers() {
    let with = |helper: &str| run_agent(&Target::Local, helper.as_ref(), b"x", &mut Contact::to_the_end(&mut |_| {}));
    assert!(matches!(with("/not/there"), Err(ReachError::Start { .. })));
    assert!(matches!(with("/bin/echo"), Err(ReachError::Garbled { .. })));
    assert!(matches!(with("/bin/false"), Err(ReachError::Died { .. })));
    let status = Command::new(helper()).arg(AGENT_ARGUMENT).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(125));
}

fn a_root_has_what_packages_need() {
    let root = Root::new();
    let target = root.target();
    assert_eq!(shell(&target, "echo x > /dev/null && head -c 3 /dev/zero | wc -c"), "3\n");
    assert_eq!(shell(&target, "hostname; stat -c %a /tmp /run/lock"), "localhost\n1777\n1777\n");
    assert_eq!(shell(&target, "test -d /proc/1 && test -d /sys/class && ls /proc | grep -c '^[0-9]'").trim().len(), 1);
    assert_eq!(shell(&target, "/usr/sbin/policy-rc.d; echo $?"), "101\n");
    assert_eq!(shell(&target, "cat /etc/resolv.conf"), std::fs::read_to_string("/etc/resolv.conf").unwrap());
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::S_IRWXG | nix::sys::stat::Mode::S_IRWXO);
    assert_eq!(shell(&target, "umask"), "0022\n");
    nix::sys::stat::umask(before);
    assert_eq!(shell(&target, "echo $SOURCE_DATE_EPOCH | grep -c ."), "1\n");
    assert_eq!(shell(&target, "tty; test -t 0 || echo none; cat"), "not a tty\nnone\n");
    // What is this machine's stays as it is.
    assert_eq!(shell(&target, "echo 1 2>/dev/null > /proc/sys/kernel/sysrq || echo refused"), "refused\n");
    assert_eq!(shell(&target, "mount -t tmpfs x /mnt 2>/dev/null || echo refused"), "refused\n");
    assert_eq!(shell(&target, "touch /tmp/andon-trace /run/andon-trace; echo done"), "done\n");
    assert!(!std::path::Path::new("/tmp/andon-trace").exists());
}

fn a_root_opens_no_device_but_those_it_is_given() {
    let root = Root::new();
    let layer = root.layer();
    let node = |place: &std::path::Path| {
        let kind = nix::sys::stat::SFlag::S_IFCHR;
        nix::sys::stat::mknod(place, kind, nix::sys::stat::Mode::S_IRUSR, libc::makedev(1, 5)).unwrap();
    };
    // One that a layer brings, one in a directory that is laid over another, and ones that a script makes.
    node(&layer.join("brought"));
    std::fs::create_dir_all(layer.join("laid")).unwrap();
    let target = root.target_over(&layer, "laid", |fetched| node(&fetched.join("fetched")));
    let makes =
        "for place in /made /laid/made /dev/made /tmp/made /run/made /dev/shm/made; do mknod $place c 1 5; done";
    let reads = "for place in /brought /laid/fetched /made /laid/made /dev/made /tmp/made /run/made /dev/shm/made; do \
        test -c $place || echo missing $place; head -c 1 $place 2>&1 >/dev/null | grep -o 'Permission denied' || echo opened $place; done";
    assert_eq!(shell(&target, &format!("{makes}; {reads}")), "Permission denied\n".repeat(8));
    assert_eq!(shell(&target, "mknod /disk b 7 0 && dd if=/disk count=1 2>/dev/null || echo refused"), "refused\n");
    for device in ["null", "zero", "full", "random", "urandom"] {
        assert_eq!(
            shell(&target, &format!("head -c 1 /dev/{device} >/dev/null && echo opened")),
            "opened\n",
            "{device}"
        );
    }
    // By a number a file is found past all mounts: open_by_handle_at(2).
    let bounds = shell(&target, "sed -n 's/^CapBnd:\t//p' /proc/self/status");
    let bounds = u64::from_str_radix(bounds.trim(), 16).unwrap();
    let named = [("dac_read_search", 2), ("net_raw", 13), ("sys_rawio", 17), ("sys_ptrace", 19), ("sys_admin", 21)];
    let kept: Vec<_> = named.iter().filter(|(_, number)| bounds & (1 << number) != 0).collect();
    assert!(kept.is_empty(), "{kept:?}");
}

fn a_root_keeps_only_what_the_work_wrote() {
    let root = Root::new();
    let target = root.target();
    shell(&target, "mkdir -p /opt/a && echo new > /opt/a/b && echo x > /run/gone && echo x > /tmp/gone");
    assert_eq!(root.written(), ["opt", "opt/a", "opt/a/b"]);
    // The next entry goes on from there.
    assert_eq!(shell(&target, "cat /opt/a/b; rm -r /opt/a"), "new\n");
    // An agent that dies leaves traces for the next to take away.
    assert!(ask(&target, "kill").is_err());
    shell(&target, "true");
    assert!(!root.written().iter().any(|path| path.contains("policy")), "{:?}", root.written());
}

fn a_root_that_cannot_be_entered_says_why() {
    let root = Root::new();
    let Target::Root { upper, work, .. } = root.target() else { unreachable!() };
    let target = Target::Root { lower: vec!["/not/there".into()], upper, work, covers: Vec::new() };
    match ask(&target, "echo x") {
        Err(error @ ReachError::Enter { .. }) => {
            let failure = error.failure();
            assert_eq!(failure.summary, "the target cannot be entered");
            assert_eq!(failure.detail, "Open the layer /not/there: No such file or directory.");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(exec(&target, &helper(), &["true".into()]), Err(ReachError::Enter { .. })));
}

fn a_server_is_entered_wholly() {
    let server = Server::new();
    let target = server.target();
    for name in ["mnt", "pid", "net", "uts", "ipc", "cgroup"] {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{name}", server.init)).unwrap();
        let seen = shell(&target, &format!("readlink /proc/self/ns/{name}"));
        assert_eq!(seen.trim(), theirs.to_str().unwrap());
    }
    assert_eq!(shell(&target, "hostname"), "inner\n");
    assert_eq!(shell(&target, "pwd; grep -c CapBnd /proc/self/status"), "/\n1\n");
    let Some(group) = &server.group else { return };
    // The shell's own number here is another than in the server, so the group is looked at from outside.
    let mut inside = String::new();
    run_agent(
        &target,
        &helper(),
        b"wait",
        &mut Contact::to_the_end(&mut |_| {
            inside =
                leaves(group).iter().map(|leaf| std::fs::read_to_string(leaf.join("cgroup.procs")).unwrap()).collect();
        }),
    )
    .unwrap();
    assert!(inside.lines().count() >= 2, "supervisor and agent: {inside:?}");
    assert_eq!(leaves(group), [""; 0].map(std::path::PathBuf::from), "the group for the work goes with it");
}

fn many_agents_work_at_once() {
    let (server, root) = (Server::new(), Root::new());
    let (server, root) = (server.target(), root.target());
    std::thread::scope(|scope| {
        for number in 0..24 {
            let target = if number == 0 { &root } else { &server };
            scope.spawn(move || {
                for round in 0..5 {
                    let text = format!("{number} {round}");
                    assert_eq!(ask(target, &format!("echo {text}")).unwrap(), text);
                }
            });
        }
    });
}

fn a_server_that_ended_is_gone() {
    let server = Server::new();
    let Target::Server { init, started } = server.target() else { unreachable!() };
    let reused = Target::Server { init, started: started + 1 };
    for target in [reused, Target::Server { init: i32::MAX, started: 1 }] {
        let error = ask(&target, "echo x").unwrap_err();
        assert!(matches!(error, ReachError::Gone { .. }), "{error:?}");
        assert_eq!(error.failure().summary, "the server does not run");
    }
    let target = server.target();
    drop(server);
    assert!(matches!(ask(&target, "echo x"), Err(ReachError::Gone { .. })));
}

fn work_on_a_root_ends_soon_once_nobody_awaits_it() {
    let root = Root::new();
    let (started, seconds) = (std::cell::Cell::new(false), format!("97{}", std::process::id()));
    let mut say = |_: &str| started.set(true);
    let mut contact = Contact { say: &mut say, is_awaited: &|| !started.get() };
    let request = format!("tell-and-sleep {seconds}");
    let error = run_agent(&root.target(), &helper(), request.as_bytes(), &mut contact).unwrap_err();
    assert_eq!(error.failure().summary, "the run was stopped before its end");
    let left = std::process::Command::new("pgrep").args(["-f", &format!("sleep {seconds}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    // What is under way on a server has as long as it takes.
    let mut say = |_: &str| ();
    let server = Server::new();
    let mut contact = Contact { say: &mut say, is_awaited: &|| false };
    assert_eq!(run_agent(&server.target(), &helper(), b"sh sleep 3; echo done", &mut contact).unwrap(), b"done\n");
}

fn nothing_outlives_a_killed_caller() {
    for (number, place) in ["local", "root", "server"].iter().enumerate() {
        for delay_ms in [0, 3, 10, 30, 100, 300] {
            let own = Server::new();
            let seconds = format!("98{}{number}{delay_ms:03}", std::process::id() % 1000);
            let script = format!("sh (setsid sleep {seconds} & ) ; sleep {seconds} & sleep {seconds}");
            let mut caller = Command::new(helper())
                .args(["caller", place, &own.init.to_string(), "agent", &script])
                .process_group(0)
                .spawn()
                .unwrap();
            if delay_ms == 300 {
                wait_until(|| pids_named(&seconds).len() >= 3);
            } else {
                std::thread::sleep(Duration::from_millis(delay_ms));
            }
            caller.kill().unwrap();
            caller.wait().unwrap();
            await_none_named(&seconds);
            Root::remove_of(caller.id());
        }
    }
}

fn a_caller_that_panics_leaves_nothing() {
    let seconds = format!("96{}", std::process::id());
    let script = format!("tell-and-sleep {seconds}");
    let ended = std::panic::catch_unwind(|| {
        run_agent(
            &Target::Local,
            &helper(),
            script.as_bytes(),
            &mut Contact::to_the_end(&mut |_| std::panic::resume_unwind(Box::new("mistake"))),
        )
    });
    assert!(ended.is_err());
    await_none_named(&seconds);
}

fn what_the_work_leaves_running_holds_nobody_up() {
    let seconds = format!("97{}", std::process::id());
    let start = Instant::now();
    assert_eq!(shell(&Target::Local, &format!("setsid sleep {seconds} & echo started")), "started\n");
    assert!(start.elapsed() < Duration::from_secs(5));
    // A service that was started goes on.
    wait_until(|| pids_named(&seconds).len() == 1);
    let left = pids_named(&seconds);
    for pid in left {
        // SAFETY: kill takes two numbers.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    await_none_named(&seconds);
}

fn commands_hand_on_their_status() {
    let (root, server) = (Root::new(), Server::new());
    for target in [Target::Local, root.target(), server.target()] {
        let check = |words: &[&str], expected: i32| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(exec(&target, &helper(), &words).unwrap(), expected, "{words:?}");
        };
        check(&["true"], 0);
        check(&["sh", "-c", "exit 7"], 7);
        check(&["sh", "-c", "kill -9 $$"], 137);
        check(&["sh", "-c", "exec 2>&-; no-such-program"], 127);
        check(&["/etc"], 126);
    }
    let output = Command::new(helper())
        .args(["caller", "root", "0", "exec", "sh", "-c", "cat; echo $HOME; pwd"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"typed\n")?;
            child.wait_with_output()
        })
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "typed\n/root\n/root\n");
}

fn a_shell_has_a_terminal_of_its_own() {
    for place in ["root", "server"] {
        let own = Server::new();
        let (ours, theirs) = terminal(33, 101);
        let mut caller = Command::new(helper());
        caller.args(["caller", place, &own.init.to_string(), "exec", "sh"]).env("TERM", "dumb");
        caller.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        // SAFETY: setsid and ioctl are async-signal-safe.
        unsafe {
            caller.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let mut child = caller.spawn().unwrap();
        drop(caller);
        let mut ours = std::fs::File::from(ours);
        std::io::Write::write_all(&mut ours, b"tty; stty size; sleep 9 & jobs; kill %1; echo T=$TERM; exit 5\n")
            .unwrap();
        let mut seen = Vec::new();
        // Reading ends with an error when the last holder of the other side is gone.
        let _ = ours.read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen).into_owned();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{seen}");
        Root::remove_of(child.id());
        for expected in ["/dev/pts/", "33 101", "T=dumb"] {
            assert!(seen.contains(expected), "{place}: {expected}: {seen}");
        }
        assert!(!seen.contains("job control turned off"), "{seen}");
    }
}

fn terminal(rows: u16, columns: u16) -> (OwnedFd, OwnedFd) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: both numbers are filled with new descriptors; no name and no settings are asked for.
    let opened = unsafe { libc::openpty(&raw mut ours, &raw mut theirs, null, null.cast(), &raw const size as _) };
    assert_eq!(opened, 0);
    // SAFETY: see above.
    let pair = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    for side in [pair.0.as_fd(), pair.1.as_fd()] {
        nix::fcntl::fcntl(side, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
    }
    pair
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
