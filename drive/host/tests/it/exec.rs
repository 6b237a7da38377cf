//! Commands that a role names, run for real.

use andon_converge::Mode;
use andon_schema::host::HostResource;
use andon_schema::{Change, EntryStatus};
use andon_value::{Marks, Type, Value};

use crate::converge::{catalog, changes, converge, resource};
use crate::root::{in_a_root, text};

fn exec(name: &str, given: &[(&str, Value)]) -> HostResource {
    resource("exec", name, given)
}

#[test]
fn commands_run_once_as_they_are_asked_to() {
    in_a_root(|| {
        let words = Value::tuple(["/bin/sh", "-c", "cat > /srv/words; exit 3"].map(Value::from));
        let environment = Value::map(Type::String, [("WHO", Value::from("a b"))]);
        let catalog = catalog(vec![
            resource("directory", "/srv/place", &[("owner", "nobody".into())]),
            exec(
                "as another",
                &[
                    ("command", "id -un > made; echo $WHO >> made; pwd >> made".into()),
                    ("creates", "/srv/place/made".into()),
                    ("user", "nobody".into()),
                    ("cwd", "/srv/place".into()),
                    ("umask", "0077".into()),
                    ("environment", environment),
                ],
            ),
            exec(
                "words",
                &[
                    ("command", words),
                    ("stdin", "in\n".into()),
                    ("returns", Value::list(Type::Number, [Value::from(0), Value::from(3)])),
                    ("unless", "test -e /srv/words".into()),
                ],
            ),
            exec("never", &[("command", "touch /srv/never".into()), ("only_if", "test -e /srv/no".into())]),
        ]);
        let plan = converge(&catalog, Mode::Plan);
        let applied = converge(&catalog, Mode::Apply);
        for report in [&plan, &applied] {
            assert!(!report.has_failed(), "{report:#?}");
            let kinds: Vec<Change> = report.entries.iter().map(|entry| entry.change).collect();
            assert_eq!(kinds, [Change::Create, Change::Run, Change::Run, Change::None]);
        }
        assert_eq!(text("/srv/place/made").as_deref(), Some("nobody\na b\n/srv/place\n"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata("/srv/place/made").unwrap()) & 0o777;
        assert_eq!((mode, text("/srv/words").as_deref()), (0o600, Some("in\n")));
        assert!(converge(&catalog, Mode::Apply).is_clean());
    });
}

#[test]
fn a_failure_says_what_the_command_said_unless_it_is_a_secret() {
    in_a_root(|| {
        let run = |given: &[(&str, Value)]| {
            let report = converge(&catalog(vec![exec("x", given)]), Mode::Apply);
            let EntryStatus::Failed(why) = &report.entries[0].status else { panic!("{report:?}") };
            (why.clone(), format!("{report:?}"))
        };
        let unless = ("unless", Value::from("false"));
        let (why, _) = run(&[("command", "seq 1 50; echo no such luck >&2; exit 9".into()), unless.clone()]);
        assert!(why.starts_with("`/bin/sh` ended with 9:") && why.ends_with("50\nno such luck"), "{why}");
        let secret = Value::from("echo hunter2; exit 1").mark(Marks::SENSITIVE);
        let (_, report) = run(&[("command", secret), unless.clone()]);
        assert!(!report.contains("hunter2"), "{report}");
        let (_, report) =
            run(&[("command", "echo hunter2; exit 1".into()), ("sensitive", true.into()), unless.clone()]);
        assert!(!report.contains("hunter2"), "{report}");
        let (why, _) = run(&[("command", "sleep 60".into()), ("timeout", "100ms".into()), unless]);
        assert!(why.contains("was stopped"), "{why}");
    });
}

/// What waits for a change is remembered where a run that failed left it, on the server's disk.
#[test]
fn a_command_that_waits_for_a_change_is_not_forgotten() {
    in_a_root(|| {
        let file = resource("file", "/srv/a", &[("content", "a".into())]);
        let waiting = |line: &str| HostResource {
            only_on: Some(vec![("file".into(), "/srv/a".into())]),
            ..exec("build", &[("command", line.into())])
        };
        let failing = converge(&catalog(vec![file.clone(), waiting("exit 1")]), Mode::Apply);
        assert!(failing.has_failed());
        assert_eq!(text("/var/lib/andon/owed").as_deref(), Some("run exec \"build\"\n"));
        let sound = catalog(vec![file, waiting("echo x >> /srv/built")]);
        assert_eq!(changes(&converge(&sound, Mode::Plan)), 1);
        assert_eq!(changes(&converge(&sound, Mode::Apply)), 1);
        assert!(converge(&sound, Mode::Apply).is_clean());
        assert_eq!((text("/srv/built").as_deref(), text("/var/lib/andon/owed")), (Some("x\n"), None));
    });
}
