use andon_converge::Mode;
use andon_schema::host::{Act, CommandOutput, Due, HostResource, Notify, Verb};
use andon_schema::{Change, EntryStatus};

use crate::catalog::{catalog, file, reloads, resource, restarts, service};
use crate::host::{Host, Program, assert_settled, changes};

fn verbs(host: &Host) -> Vec<(String, Verb)> {
    let verb = |act: &Act| match act {
        Act::Service { unit, verb } => Some((unit.to_string(), *verb)),
        _ => None,
    };
    host.log.iter().filter_map(verb).collect()
}

fn check(mut host: Host, resources: Vec<HostResource>, expected: &[(&str, Verb)], shown: &[&str]) {
    let catalog = catalog(resources);
    let plan = host.plan(&catalog);
    let applied = host.apply(&catalog);
    assert_eq!(changes(&plan), shown);
    assert_eq!(changes(&applied), shown);
    let expected: Vec<_> = expected.iter().map(|(unit, verb)| ((*unit).to_owned(), *verb)).collect();
    assert_eq!(verbs(&host), expected);
    assert_eq!(host.owed, [], "something is left owed");
    assert_settled(&mut host, &catalog);
}

#[test]
fn once_after_all() {
    let host = || Host::new().with_unit("nginx", true, "enabled");
    let (a, b) = ("file \"/etc/a\": Create", "file \"/etc/b\": Create");
    let reload = "service \"nginx\": Reload";
    let restart = "service \"nginx\": Restart";
    check(
        host(),
        vec![reloads(file("/etc/a", "a"), "nginx"), reloads(file("/etc/b", "b"), "nginx"), service("nginx")],
        &[("nginx.service", Verb::Reload)],
        &[a, b, reload],
    );
    check(
        host(),
        vec![reloads(file("/etc/a", "a"), "nginx"), restarts(file("/etc/b", "b"), "nginx"), service("nginx")],
        &[("nginx.service", Verb::Restart)],
        &[a, b, restart],
    );
    check(
        host(),
        vec![restarts(file("/etc/a", "a"), "nginx"), reloads(file("/etc/b", "b"), "nginx"), service("nginx")],
        &[("nginx.service", Verb::Restart)],
        &[a, b, restart],
    );
    check(host().with_file("/etc/a", "a"), vec![reloads(file("/etc/a", "a"), "nginx"), service("nginx")], &[], &[]);
    let stopped = || Host::new().with_unit("nginx", false, "enabled");
    check(
        stopped(),
        vec![reloads(file("/etc/a", "a"), "nginx"), service("nginx")],
        &[("nginx.service", Verb::Start)],
        &[a, "service \"nginx\": Update"],
    );
    check(
        stopped(),
        vec![service("nginx"), restarts(file("/etc/a", "a"), "nginx")],
        &[("nginx.service", Verb::Start), ("nginx.service", Verb::Restart)],
        &["service \"nginx\": Update", a, restart],
    );
    check(
        stopped(),
        vec![restarts(file("/etc/a", "a"), "nginx"), resource("service", "nginx", &[("enabled", true.into())])],
        &[],
        &[a],
    );
    check(
        host(),
        vec![resource("service", "web", &[("name", "nginx".into())]), reloads(file("/etc/a", "a"), "web")],
        &[("nginx.service", Verb::Reload)],
        &[a, reload],
    );
}

#[test]
fn the_report_says_what_asked() {
    let mut host = Host::new().with_unit("nginx", true, "enabled");
    let report = host.plan(&catalog(vec![reloads(file("/etc/a", "a"), "nginx"), service("nginx")]));
    let entry = report.entries.last().unwrap();
    assert_eq!((entry.change, &entry.status), (Change::Reload, &EntryStatus::Planned));
    assert_eq!(entry.differences, ["asked for by file \"/etc/a\""]);
    assert_eq!(entry.origin, "service.role.hcl:5");
}

/// Killed after any number of acts, the next run leaves the server as one run would, the reload included.
#[test]
fn a_kill_loses_no_reload() {
    let catalog = catalog(vec![
        reloads(file("/etc/a", "a"), "nginx"),
        restarts(file("/etc/b", "b"), "app"),
        service("nginx"),
        service("app"),
    ]);
    let host = || Host::new().with_unit("nginx", true, "enabled").with_unit("app", true, "enabled");
    let mut whole = host();
    whole.apply(&catalog);
    for kill_after in 0..whole.log.len() {
        let mut killed = host();
        killed.kill_after = Some(kill_after);
        assert_eq!(killed.run(&catalog, Mode::Apply), None);
        killed.kill_after = None;
        let plan = killed.plan(&catalog);
        let applied = killed.apply(&catalog);
        assert_eq!(changes(&plan), changes(&applied), "killed after {kill_after}");
        let done = verbs(&killed);
        assert!(done.contains(&("nginx.service".into(), Verb::Reload)), "killed after {kill_after}: {done:?}");
        assert!(done.contains(&("app.service".into(), Verb::Restart)), "killed after {kill_after}: {done:?}");
        assert_eq!((killed.owed.len(), &killed.paths), (0, &whole.paths));
        assert_settled(&mut killed, &catalog);
    }
}

#[test]
fn what_an_earlier_run_owes_is_shown() {
    let mut host = Host::new().with_unit("nginx", true, "enabled");
    host.owed = vec![Due::Notify(Notify { service: "nginx.service".into(), restart: false })];
    let report = host.plan(&catalog(vec![service("nginx")]));
    assert_eq!(changes(&report), ["service \"nginx\": Reload"]);
    assert_eq!(report.entries[1].differences, ["owed since an earlier run that did not finish"]);
}

/// A command that runs on a change is run once, however often the run before it was killed.
#[test]
fn a_kill_loses_no_command() {
    let mut on = resource("exec", "build", &[("command", "build".into())]);
    on.only_on = Some(vec![("file".into(), "/etc/a".into())]);
    let catalog = catalog(vec![file("/etc/a", "a"), file("/etc/b", "b"), on]);
    let host = || {
        let mut host = Host::new();
        let built = Program(|host, _| {
            host.clock_ms += 1;
            CommandOutput { status: Some(0), ..CommandOutput::default() }
        });
        host.programs.insert("/bin/sh -c build".into(), built);
        host
    };
    let mut whole = host();
    assert_eq!(changes(&whole.plan(&catalog)), changes(&whole.apply(&catalog)));
    assert_eq!((whole.clock_ms, whole.owed.len()), (1, 0));
    assert_settled(&mut whole, &catalog);
    for kill_after in 0..whole.log.len() {
        let mut killed = host();
        killed.kill_after = Some(kill_after);
        assert_eq!(killed.run(&catalog, Mode::Apply), None);
        killed.kill_after = None;
        assert_eq!(changes(&killed.plan(&catalog)), changes(&killed.apply(&catalog)), "killed after {kill_after}");
        // Killed between the command and its being crossed out, it is run again: once too often, never too seldom.
        assert!(killed.clock_ms >= 1 && killed.owed.is_empty(), "killed after {kill_after}");
        assert_settled(&mut killed, &catalog);
    }
}
