//! Services of other inits than systemd, by their real tools, in a root file system of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use andon_host::{act, observe};
use andon_schema::host::{Act, Init, Look, Sight, Stage, Verb};

use crate::root::in_a_root;

fn write_script(path: &str, text: &str) {
    fs::create_dir_all(path.rsplit_once('/').unwrap().0).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether it runs, and whether it is enabled.
fn look(name: &str) -> Option<(bool, bool)> {
    match observe(&[Look::Service(format!("{name}.service").into())], Stage::Live).remove(0) {
        Sight::Service(unit) => unit.map(|unit| (unit.running, &*unit.enablement == "enabled")),
        other => unreachable!("{other:?}"),
    }
}

fn init() -> Init {
    match observe(&[Look::Init], Stage::Live).remove(0) {
        Sight::Init(init) => init,
        other => unreachable!("{other:?}"),
    }
}

fn tried(name: &str, verb: Verb) -> Result<(), String> {
    act(&[Act::Service { unit: format!("{name}.service").into(), verb }], Stage::Live).remove(0)
}

/// What every init must do with a service that is there and does not run.
fn check_life(name: &str) {
    assert_eq!(look(name), Some((false, false)), "at first");
    for (verb, expected) in [
        (Verb::Enable, None),
        (Verb::Start, Some((true, true))),
        (Verb::Restart, Some((true, true))),
        (Verb::Reload, Some((true, true))),
        (Verb::Stop, Some((false, true))),
        (Verb::Disable, Some((false, false))),
    ] {
        assert_eq!(tried(name, verb), Ok(()), "{verb:?}");
        assert!(expected.is_none() || look(name) == expected, "after {verb:?}: {:?}", look(name));
    }
    assert!(tried(name, Verb::Mask).is_err_and(|reason| reason.contains("mask")));
}

/// Installs what the test needs from the distribution; says why where it cannot.
fn install(packages: &[&str]) -> bool {
    let output = Command::new("apt-get").args(["install", "-y", "--no-install-recommends"]).args(packages).output();
    let done = output.is_ok_and(|output| output.status.success());
    if !done {
        println!("skipped: {} cannot be installed here", packages.join(" and "));
    }
    done
}

fn is_free() -> bool {
    let runs = fs::metadata("/run/systemd/system").is_ok()
        || fs::read_to_string("/proc/1/comm").is_ok_and(|comm| comm.trim() == "systemd");
    if runs {
        println!("skipped: systemd runs on this machine, so that it is the init of every root file system");
    }
    !runs
}

const DAEMON: &str = "start-stop-daemon --start --quiet --background --make-pidfile --pidfile /run/andon-probe.pid \
    --exec /bin/sleep -- 1000";
const END: &str = "start-stop-daemon --stop --quiet --retry 2 --pidfile /run/andon-probe.pid --remove-pidfile";

#[test]
fn scripts_of_system_v() {
    if !is_free() {
        return;
    }
    in_a_root(|| {
        if fs::metadata("/usr/sbin/update-rc.d").is_err() {
            return println!("skipped: this machine has no update-rc.d");
        }
        assert_eq!(init(), Init::SysV);
        let script = format!(
            "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: andon-probe\n# Required-Start:\n# Required-Stop:\n\
             # Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\ncase \"$1\" in\n\
             start) {DAEMON} ;;\nstop) {END} ;;\nrestart) $0 stop; $0 start ;;\n\
             status) kill -0 \"$(cat /run/andon-probe.pid 2>/dev/null)\" 2>/dev/null || exit 3 ;;\n\
             *) exit 3 ;;\nesac\n"
        );
        write_script("/etc/init.d/andon-probe", &script);
        check_life("andon-probe");
        write_script("/etc/init.d/andon-hangs", "#!/bin/sh\n[ \"$1\" = status ] && sleep 600\n");
        let began = std::time::Instant::now();
        let sight = observe(&[Look::Service("andon-hangs.service".into())], Stage::Live).remove(0);
        assert!(matches!(&sight, Sight::Failed(reason) if reason.contains("hangs")), "{sight:?}");
        assert!(began.elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn openrc_and_runit() {
    if !is_free() {
        return;
    }
    in_a_root(|| {
        if !install(&["openrc", "runit"]) {
            return;
        }
        // The daemon has a program of its own: `start-stop-daemon` takes any process of it for the service, also one of
        // another run of this test.
        let waits = format!("/usr/bin/waits-{}", std::process::id());
        fs::copy("/bin/sleep", &waits).unwrap();
        fs::create_dir_all("/run/openrc/started").unwrap();
        fs::write("/run/openrc/softlevel", "default\n").unwrap();
        assert_eq!(init(), Init::OpenRc);
        write_script(
            "/etc/init.d/andon-probe",
            &format!(
                "#!/sbin/openrc-run\ncommand={waits}\ncommand_args=1000\ncommand_background=yes\n\
                 pidfile=/run/andon-probe.pid\n\
                 start_post() {{ until readlink /proc/$(cat $pidfile)/exe | grep -q waits; do sleep 0.02; done; }}\n"
            ),
        );
        check_life("andon-probe");
        assert_eq!(look("andon-none"), None);
        tried("andon-probe", Verb::Start).unwrap();
        let process = fs::read_to_string("/run/andon-probe.pid").unwrap();
        Command::new("kill").args(["-9", process.trim()]).status().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while look("andon-probe") != Some((false, false)) {
            assert!(std::time::Instant::now() < deadline, "what crashed does not run: {:?}", look("andon-probe"));
            std::thread::sleep(Duration::from_millis(20));
        }
        tried("andon-probe", Verb::Start).unwrap();
        assert_eq!(look("andon-probe"), Some((true, false)), "what crashed is started again");
        tried("andon-probe", Verb::Stop).unwrap();

        fs::remove_dir_all("/run/openrc").unwrap();
        fs::create_dir_all("/run/runit/runsvdir").unwrap();
        assert_eq!(init(), Init::Runit);
        write_script("/etc/sv/andon-probe/run", "#!/bin/sh\ntrap '' HUP\nexec sleep 1000\n");
        fs::create_dir_all("/etc/service").unwrap();
        let supervisor =
            Command::new("runsvdir").arg("/etc/service").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut supervisor = supervisor.unwrap();
        let ran = std::panic::catch_unwind(|| check_life("andon-probe"));
        // It ends all that it supervises.
        Command::new("kill").args(["-HUP", &supervisor.id().to_string()]).status().unwrap();
        supervisor.wait().unwrap();
        if let Err(panic) = ran {
            std::panic::resume_unwind(panic);
        }
    });
}
