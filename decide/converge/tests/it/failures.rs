use andon_schema::EntryStatus;
use andon_value::{Marks, Value};

use crate::catalog::{absent, catalog, file, reloads, resource, service, texts};
use crate::host::{Host, changes};

#[test]
fn a_failure_stops_the_run_and_says_so() {
    let mut host = Host::new().with_unit("nginx", true, "enabled").with_file("/etc/b", "old");
    host.fails = Some("WriteFile { path: \"/etc/b\"".into());
    let catalog = catalog(vec![
        reloads(file("/etc/a", "a"), "nginx"),
        reloads(file("/etc/b", "b"), "nginx"),
        file("/etc/c", "c"),
        service("nginx"),
    ]);
    let report = host.apply(&catalog);
    assert_eq!(report.stopped.as_deref(), Some("file \"/etc/b\" failed"));
    let statuses: Vec<_> = report.entries.iter().map(|entry| entry.status.clone()).collect();
    assert_eq!(statuses[0], EntryStatus::Done);
    assert!(matches!(&statuses[1], EntryStatus::Failed(reason) if reason.contains("the tool failed")));
    for status in &statuses[2..] {
        assert_eq!(*status, EntryStatus::Skipped("not reached: file \"/etc/b\" failed".into()));
    }
    assert_eq!(statuses.len(), 4);
    assert_eq!(changes(&report), ["file \"/etc/a\": Create", "file \"/etc/b\": Update"]);
    assert_eq!(host.text("/etc/c"), None);
    assert_eq!(host.owed.len(), 1, "the reload for /etc/a is owed still");
    host.fails = None;
    let report = host.apply(&catalog);
    assert_eq!(changes(&report).last().unwrap(), "service \"nginx\": Reload");
    assert!(!report.has_failed() && host.owed.is_empty());
}

#[test]
fn a_refused_file_owes_nothing() {
    let mut host = Host::new().with_unit("nginx", true, "enabled");
    host.fails = Some("WriteFile".into());
    let report = host.apply(&catalog(vec![reloads(file("/etc/a", "a"), "nginx"), service("nginx")]));
    assert!(report.has_failed());
    assert_eq!(host.owed, []);
}

#[test]
fn a_failed_reload_is_owed_still() {
    let mut host = Host::new().with_unit("nginx", true, "enabled").with_unit("app", true, "enabled");
    host.fails = Some("verb: Reload".into());
    let both = vec![
        reloads(file("/etc/a", "a"), "app"),
        crate::catalog::restarts(file("/etc/b", "b"), "nginx"),
        service("nginx"),
        service("app"),
    ];
    let report = host.apply(&catalog(both.clone()));
    assert_eq!(report.stopped.as_deref(), Some("service \"app\" failed"));
    assert_eq!(host.owed.len(), 1);
    assert!(host.log.iter().any(|act| format!("{act:?}").contains("Restart")), "the other goes on");
    host.fails = None;
    assert_eq!(changes(&host.apply(&catalog(both))), ["service \"app\": Reload"]);
}

#[test]
fn of_several_packages_the_named_one_failed() {
    let mut host = Host::new();
    host.fails = Some("nonesuch".into());
    let package = |name: &str| resource("package", name, &[]);
    let report = host.apply(&catalog(vec![package("a"), package("nonesuch"), package("b"), file("/etc/x", "")]));
    let failed: Vec<_> = report.entries.iter().filter(|entry| matches!(entry.status, EntryStatus::Failed(_))).collect();
    // The simulated tool names all three: the first is blamed.
    assert_eq!(failed.len(), 1);
    assert!(report.entries.iter().skip(1).all(|entry| matches!(entry.status, EntryStatus::Skipped(_))));
}

#[test]
fn what_cannot_be_made_so_is_said() {
    for (resource, words) in [
        (file("/srv/none/x", ""), "there is no directory /srv/none"),
        (file("/etc", "x"), "/etc is a directory, not a file"),
        (absent(file("/srv", "")), "/srv is a directory, not a file"),
        (resource("directory", "/etc/motd", &[]), "is not a directory"),
        (resource("file", "/etc/motd", &[("owner", "ghost".into())]), "there is no user `ghost`"),
        (resource("user", "deploy", &[("groups", texts(&["ghosts"]))]), "there is no group `ghosts`"),
        (service("ghost"), "this server knows no service `ghost.service`"),
        (resource("sysctl", "net.none", &[("value", "1".into())]), "no setting `net.none`"),
        (resource("timezone", "t", &[("name", "Mars/Base".into())]), "there is no time zone `Mars/Base`"),
        (resource("link", "/srv", &[("target", "x".into())]), "`force` says that a link takes its place"),
    ] {
        let mut host = Host::new().with_file("/etc/motd", "m");
        let catalog = catalog(vec![resource, file("/etc/after", "")]);
        let plan = host.plan(&catalog);
        assert!(matches!(&plan.entries[0].status, EntryStatus::Failed(reason) if reason.contains(words)), "{plan:?}");
        assert_eq!(plan.entries[1].status, EntryStatus::Planned);
        let applied = host.apply(&catalog);
        assert!(matches!(&applied.entries[0].status, EntryStatus::Failed(reason) if reason.contains(words)));
        assert!(matches!(&applied.entries[1].status, EntryStatus::Skipped(_)));
        assert_eq!(host.log, [], "nothing is done after it");
    }
}

#[test]
fn a_command_does_not_quote_a_secret() {
    let mut host = Host::new();
    host.fails = Some("WriteFile".into());
    host.says = Some("the new content of /etc/a is refused by `cat /etc/a`:\nhunter2".into());
    let secret = Value::from("hunter2").mark(Marks::SENSITIVE);
    let given = [("content", secret), ("validate", "cat /etc/a".into())];
    let report = host.apply(&catalog(vec![resource("file", "/etc/a", &given)]));
    assert!(report.has_failed() && !format!("{report:?}").contains("hunter2"), "{report:?}");
}
