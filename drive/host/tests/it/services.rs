use std::fs;

use andon_converge::Mode;
use andon_host::{act, observe};
use andon_schema::host::{Act, Due, Look, Notify, Sight, Stage, Unit, Verb};
use andon_value::Value;

use crate::root::in_a_root;

const UNIT: &str = "andon-probe.service";
const PATH: &str = "/etc/systemd/system/andon-probe.service";

fn look(unit: &str, stage: Stage) -> Option<Unit> {
    match observe(&[Look::Service("no-such.service".into()), Look::Service(unit.into())], stage).remove(1) {
        Sight::Service(unit) => unit,
        other => unreachable!("{other:?}"),
    }
}

fn done(verb: Verb) {
    act(&[Act::Service { unit: UNIT.into(), verb }], Stage::Live).remove(0).unwrap();
}

/// Only in a container of its own does a test add units to a running systemd.
#[test]
fn units_of_a_running_systemd() {
    if !fs::metadata("/run/systemd/container").is_ok_and(|_| nix::unistd::geteuid().is_root()) {
        return println!("skipped: this is not a container with systemd");
    }
    assert_eq!(look(UNIT, Stage::Live), None);
    let unit =
        |line: &str| format!("[Service]\nExecStart=/bin/sh -c '{line}'\n[Install]\nWantedBy=multi-user.target\n");
    fs::write(PATH, unit("exec sleep 1000")).unwrap();
    assert!(look(UNIT, Stage::Live).is_some_and(|unit| !unit.running && &*unit.enablement == "disabled"));
    done(Verb::Enable);
    done(Verb::Start);
    let state = look(UNIT, Stage::Live).unwrap();
    assert!(state.running && &*state.enablement == "enabled" && !state.stale);
    assert_eq!(look(UNIT, Stage::Image).map(|unit| unit.enablement), Some("enabled".into()));
    done(Verb::Reload);
    fs::write(PATH, format!("{}# changed\n", unit("exec sleep 2000"))).unwrap();
    act(&[Act::ReadUnits], Stage::Live).remove(0).unwrap();
    done(Verb::Restart);
    assert!(look(UNIT, Stage::Live).is_some_and(|unit| unit.running));
    done(Verb::Stop);
    done(Verb::Disable);
    assert!(look(UNIT, Stage::Live).is_some_and(|unit| !unit.running && &*unit.enablement == "disabled"));
    let failing = unit("echo the configuration is wrong; exit 1").replace("[Service]", "[Service]\nType=oneshot");
    fs::write(PATH, failing).unwrap();
    act(&[Act::ReadUnits], Stage::Live).remove(0).unwrap();
    let reason = act(&[Act::Service { unit: UNIT.into(), verb: Verb::Start }], Stage::Live).remove(0).unwrap_err();
    println!("{reason}");
    assert!(reason.starts_with("systemctl start andon-probe.service failed: "), "{reason}");
    let notices = vec![Due::Notify(Notify { service: UNIT.into(), restart: true })];
    act(&[Act::Owe(notices.clone())], Stage::Live).remove(0).unwrap();
    assert_eq!(observe(&[Look::Owed], Stage::Live), [Sight::Owed(notices.clone())]);
    act(&[Act::Settle(notices)], Stage::Live).remove(0).unwrap();
    assert_eq!(observe(&[Look::Owed], Stage::Live), [Sight::Owed(Vec::new())]);
    fs::remove_file(PATH).unwrap();
    act(&[Act::ReadUnits], Stage::Live).remove(0).unwrap();
}

#[test]
fn units_of_an_image_are_read_from_files() {
    in_a_root(|| {
        let units = "/etc/systemd/system";
        fs::create_dir_all(format!("{units}/multi-user.target.wants")).unwrap();
        let put = |name: &str, text: &str| fs::write(format!("{units}/{name}"), text).unwrap();
        put("andon-off.service", "[Service]\n[Install]\nWantedBy=multi-user.target\n");
        put("andon-on.service", "[Service]\n[Install]\nWantedBy=multi-user.target\n");
        put("andon-plain.service", "[Service]\n");
        put("andon-many@.service", "[Service]\n[Install]\nWantedBy=multi-user.target\n");
        let wants = format!("{units}/multi-user.target.wants");
        for name in ["andon-on.service", "andon-many@one.service"] {
            std::os::unix::fs::symlink("/anywhere", format!("{wants}/{name}")).unwrap();
        }
        std::os::unix::fs::symlink("/dev/null", format!("{units}/andon-masked.service")).unwrap();
        fs::write("/etc/init.d/andon-old", "#!/bin/sh\n").unwrap();
        for (name, enablement) in [
            ("andon-off", Some("disabled")),
            ("andon-on", Some("enabled")),
            ("andon-plain", Some("static")),
            ("andon-many@one", Some("enabled")),
            ("andon-many@two", Some("disabled")),
            ("andon-masked", Some("masked")),
            ("andon-old", Some("disabled")),
            ("andon-none", None),
        ] {
            let found = look(&format!("{name}.service"), Stage::Image);
            assert_eq!(found.as_ref().map(|unit| &*unit.enablement), enablement, "{name}");
        }
        let enable = |verb| act(&[Act::Service { unit: "andon-off.service".into(), verb }], Stage::Image).remove(0);
        enable(Verb::Enable).unwrap();
        assert!(look("andon-off.service", Stage::Image).is_some_and(|unit| &*unit.enablement == "enabled"));
        enable(Verb::Disable).unwrap();
        assert!(look("andon-off.service", Stage::Image).is_some_and(|unit| &*unit.enablement == "disabled"));
    });
}

/// A file of units is judged by systemd before it takes its place; a program that is still to come is no fault.
#[test]
fn what_systemd_would_not_read_is_refused() {
    if fs::metadata("/usr/bin/systemd-analyze").is_err() {
        return println!("skipped: this machine has no systemd-analyze");
    }
    in_a_root(|| {
        let section =
            |entries: &[(&str, &str)]| Value::object(entries.iter().map(|(key, value)| (*key, Value::from(*value))));
        let unit = |name: &str, given: &[(&str, Value)]| {
            let mut resource = crate::converge::resource("unit", name, &[]);
            let mut entries: Vec<(String, Value)> = Vec::new();
            for (key, value) in resource.attributes.as_entries().unwrap().iter() {
                entries.push((key.to_string(), value.clone()));
            }
            entries.extend(given.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            resource.attributes = Value::object(entries.iter().map(|(key, value)| (key.as_str(), value.clone())));
            resource
        };
        let good = [("ExecStart", "/opt/still/to/come --port 80"), ("Restart", "always")];
        let sound = unit("andon-good", &[("service", section(&good))]);
        let drop_in =
            unit("andon-good", &[("drop_in", "10-more".into()), ("service", section(&[("LimitNOFILE", "4096")]))]);
        let report = crate::converge::converge(&crate::converge::catalog(vec![sound, drop_in]), Mode::Image);
        assert!(!report.has_failed(), "{report:#?}");
        for (key, value, words) in [("ExecStartt", "/bin/true", "ExecStartt"), ("Restart", "sometimes", "sometimes")] {
            let bad = unit("andon-bad", &[("service", section(&[("ExecStart", "/bin/true"), (key, value)]))]);
            let report = crate::converge::converge(&crate::converge::catalog(vec![bad]), Mode::Image);
            let status = format!("{:?}", report.entries[0].status);
            println!("{status}");
            assert!(status.contains("is refused by `systemd-analyze verify andon-bad.service`"), "{key}: {status}");
            assert!(status.contains(words), "{status}");
            assert!(fs::metadata("/etc/systemd/system/andon-bad.service").is_err());
        }
    });
}
