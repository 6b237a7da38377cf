use andon_converge::{Mode, validate};
use andon_schema::EntryStatus;
use andon_schema::host::{Act, HostResource, Node};
use andon_value::{Marks, Type, Value};

use crate::catalog::{absent, catalog, file, resource, service, texts};
use crate::host::{Host, assert_settled, changes, directory};

/// Plan and apply both show the same, and then nothing is left to do.
pub fn check(mut host: Host, resources: Vec<HostResource>, shown: &[&str]) -> Host {
    let catalog = catalog(resources);
    assert_eq!(validate(&catalog), [], "the catalog is not sound");
    let planned = host.plan(&catalog);
    let applied = host.apply(&catalog);
    for report in [&planned, &applied] {
        let lines = report.changes().map(|entry| {
            let text = format!("{} {:?} {}", entry.address, entry.change, entry.differences.join(", "));
            text.trim_end().to_owned()
        });
        assert_eq!(lines.collect::<Vec<_>>(), shown, "{report:#?}");
        assert_eq!(report.entries.len(), catalog.resources.len());
    }
    assert!(planned.entries.iter().all(|entry| entry.status == EntryStatus::Planned));
    assert!(applied.entries.iter().all(|entry| entry.status == EntryStatus::Done));
    assert_eq!(
        planned.entries.iter().map(|entry| &entry.diff).collect::<Vec<_>>(),
        applied.entries.iter().map(|entry| &entry.diff).collect::<Vec<_>>()
    );
    assert_settled(&mut host, &catalog);
    host
}

#[test]
fn files() {
    let host = || Host::new().with_file("/etc/motd", "old\n");
    let with = |given: &[(&str, Value)]| vec![resource("file", "/etc/motd", given)];
    check(host(), vec![file("/etc/motd", "old\n")], &[]);
    check(host(), vec![file("/etc/motd", "new\n")], &["file \"/etc/motd\" Update"]);
    check(host(), vec![file("/etc/issue", "new\n")], &["file \"/etc/issue\" Create"]);
    check(host(), vec![absent(file("/etc/motd", "x"))], &["file \"/etc/motd\" Remove"]);
    check(host(), vec![absent(file("/etc/nothing", "x"))], &[]);
    check(host(), with(&[("mode", "0600".into())]), &["file \"/etc/motd\" Update mode 0644 → 0600"]);
    check(host(), with(&[("group", "sudo".into())]), &["file \"/etc/motd\" Update group root → sudo"]);
    check(host(), with(&[("owner", "0".into()), ("mode", "644".into())]), &[]);
    let both = with(&[("content", "new\n".into()), ("mode", "0640".into())]);
    let host = check(host(), both, &["file \"/etc/motd\" Update mode 0644 → 0640"]);
    assert_eq!(host.log.len(), 1, "one act does both");
    check(Host::new(), vec![resource("file", "/etc/empty", &[])], &["file \"/etc/empty\" Create"]);
    let named = resource("file", "motd[\"a\"]", &[("path", "/etc/motd".into()), ("content", "a".into())]);
    check(Host::new(), vec![named], &["file \"motd\"[\"a\"] Create"]);
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced() {
    let mut host = Host::new().with_file("/etc/real", "kept");
    let mut link = directory();
    link.node = Node::Link("real".into());
    host.paths.insert("/etc/a".into(), link);
    let host = check(host, vec![file("/etc/a", "new")], &["file \"/etc/a\" Update link to real → file"]);
    assert_eq!(host.text("/etc/real").as_deref(), Some("kept"));
}

#[test]
fn diffs() {
    let mut host = Host::new().with_file("/etc/a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let report = host.plan(&catalog(vec![file("/etc/a", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n")]));
    let diff = report.entries[0].diff.clone().unwrap();
    assert_eq!(diff, "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    let report = host.plan(&catalog(vec![file("/etc/new", "a\nb")]));
    assert_eq!(report.entries[0].diff.as_deref().unwrap(), "@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n");
    let large = "x\n".repeat(200_000);
    let report = host.plan(&catalog(vec![file("/etc/a", &large)]));
    assert_eq!(report.entries[0].diff, None);
    assert!(report.entries[0].differences[0].starts_with("content 18 bytes → 400000 bytes, sha256 "), "{report:?}");
}

#[test]
fn secrets_are_never_shown() {
    let secret = |text: &str| Value::from(text).mark(Marks::SENSITIVE);
    let mut host = Host::new().with_file("/etc/token", "hunter1\n");
    let resources = vec![
        resource("file", "/etc/token", &[("content", secret("hunter2\n"))]),
        resource("line", "more", &[("path", "/etc/token".into()), ("line", "open".into())]),
        resource("line", "etc", &[("path", "/etc/other".into()), ("line", secret("hunter3"))]),
        absent(file("/etc/gone", "")),
        resource("sysctl", "net.core.somaxconn", &[("value", secret("31337"))]),
    ];
    let catalog = catalog(resources);
    let plan = format!("{:?}", host.plan(&catalog));
    let applied = format!("{:?}", host.apply(&catalog));
    for text in [&plan, &applied, &format!("{:?}", host.log)] {
        assert!(!text.contains("hunter"), "{text}");
    }
    for text in [plan, applied] {
        assert!(!text.contains("31337") && text.contains("(sensitive content differs)"), "{text}");
    }
    assert_eq!(host.text("/etc/token").as_deref(), Some("hunter2\nopen\n"));
}

#[test]
fn of_a_resource_with_a_secret_neither_the_old_nor_the_new_is_shown() {
    let secret = |text: &str| Value::from(text).mark(Marks::SENSITIVE);
    let job = |command: Value| resource("cron", "job", &[("schedule", "@daily".into()), ("command", command)]);
    let alias = |name: &str, aliases: Value| {
        resource("host_entry", name, &[("address", "10.0.0.1".into()), ("aliases", aliases)])
    };
    let old = "127.0.0.1 localhost\n10.0.0.1 a oldold\n";
    let mut host = Host::new().with_file("/etc/cron.d/job", "@daily root echo oldold\n").with_file("/etc/hosts", old);
    let wanted = catalog(vec![
        job(secret("echo newnew")),
        alias("a", Value::set(Type::String, [secret("newnew")])),
        alias("b", Value::set(Type::String, [Value::from("open")])),
        resource("file", "/srv/f", &[("content", "plain".into()), ("owner", secret("root"))]),
    ]);
    for report in [host.plan(&wanted), host.apply(&wanted)] {
        let text = format!("{report:?}");
        assert!(!text.contains("oldold") && !text.contains("newnew") && !text.contains("plain"), "{text}");
        assert_eq!(report.entries.iter().filter(|entry| entry.diff.is_some()).count(), 0, "{text}");
    }
}

#[test]
fn a_secret_is_not_among_the_words_of_a_validation() {
    let secret = Value::from("test x != hush").mark(Marks::SENSITIVE);
    let wrong = andon_converge::validate(&catalog(vec![resource(
        "file",
        "/etc/a",
        &[("content", "a".into()), ("validate", secret)],
    )]));
    assert!(wrong.iter().any(|(_, message)| message.starts_with("`validate` holds a secret")), "{wrong:?}");
}

#[test]
fn what_comes_earlier_is_planned_on() {
    let line =
        |name: &str, line: &str| resource("line", name, &[("path", "/srv/a/hosts".into()), ("line", line.into())]);
    let host = check(
        Host::new(),
        vec![
            resource("directory", "/srv/a", &[("mode", "0750".into())]),
            line("one", "one"),
            line("two", "two"),
            line("three", "three"),
            resource("link", "/srv/b", &[("target", "a/hosts".into())]),
        ],
        &[
            "directory \"/srv/a\" Create mode 0750",
            "line \"one\" Create",
            "line \"two\" Update",
            "line \"three\" Update",
            "link \"/srv/b\" Create target a/hosts",
        ],
    );
    assert_eq!(host.text("/srv/a/hosts").as_deref(), Some("one\ntwo\nthree\n"));
    check(
        Host::new(),
        vec![
            resource("group", "web", &[("gid", 700.into())]),
            resource("user", "deploy", &[("groups", texts(&["sudo", "web"])), ("shell", "/bin/bash".into())]),
            resource(
                "file",
                "/home/deploy/x",
                &[("content", "x".into()), ("owner", "deploy".into()), ("group", "web".into())],
            ),
        ],
        &[
            "group \"web\" Create gid 700",
            "user \"deploy\" Create shell /bin/bash, groups sudo, groups web",
            "file \"/home/deploy/x\" Create owner deploy, group web",
        ],
    );
}

#[test]
fn accounts() {
    let deploy = |given: &[(&str, Value)]| vec![resource("user", "deploy", given)];
    let host = check(Host::new(), deploy(&[]), &["user \"deploy\" Create"]);
    check(host.clone(), deploy(&[("groups", texts(&["sudo"]))]), &["user \"deploy\" Update groups sudo"]);
    check(host.clone(), deploy(&[("uid", 77.into())]), &["user \"deploy\" Update uid 1001 → 77"]);
    check(host.clone(), deploy(&[("group", "adm".into())]), &["user \"deploy\" Update group 1001 → adm"]);
    check(host.clone(), deploy(&[("gid", 4.into())]), &["user \"deploy\" Update gid 1001 → 4"]);
    check(host.clone(), vec![absent(resource("user", "deploy", &[]))], &["user \"deploy\" Remove"]);
    check(host.clone(), deploy(&[("groups", texts(&["deploy"]))]), &[]);
    check(host, vec![resource("group", "deploy", &[("gid", 5.into())])], &["group \"deploy\" Update gid 1001 → 5"]);
    let own = vec![resource("group", "deploy", &[]), resource("user", "deploy", &[])];
    check(Host::new(), own, &["group \"deploy\" Create", "user \"deploy\" Create"]);
}

#[test]
fn directories() {
    let host = Host::new().with_file("/srv/a", "").with_file("/srv/b", "").with_file("/etc/keep", "");
    let purge = || resource("directory", "/srv/web", &[("purge", true.into())]);
    let mut full = host;
    full.paths.insert("/srv/web".into(), directory());
    full.paths.insert("/srv/web/sub".into(), directory());
    let full = full.with_file("/srv/web/old", "").with_file("/srv/web/kept", "k").with_file("/srv/web/sub/x", "x");
    let host = check(
        full.clone(),
        vec![purge(), file("/srv/web/kept", "k"), file("/srv/web/new", "n"), file("/srv/web/sub/x", "x")],
        &["directory \"/srv/web\" Update removes /srv/web/old", "file \"/srv/web/new\" Create"],
    );
    assert_eq!(host.text("/srv/web/sub/x").as_deref(), Some("x"));
    let host = check(
        full.clone(),
        vec![purge()],
        &["directory \"/srv/web\" Update removes /srv/web/kept, removes /srv/web/old, removes /srv/web/sub"],
    );
    assert_eq!(host.text("/srv/web/sub/x"), None);
    check(full, vec![absent(resource("directory", "/srv/web", &[]))], &["directory \"/srv/web\" Remove"]);
    let deep = resource("directory", "/srv/x/y/z", &[]);
    check(
        Host::new(),
        vec![deep, file("/srv/x/y/f", "")],
        &["directory \"/srv/x/y/z\" Create", "file \"/srv/x/y/f\" Create"],
    );
}

#[test]
fn services() {
    let host = |running, enablement| Host::new().with_unit("nginx", running, enablement);
    check(host(true, "enabled"), vec![service("nginx")], &[]);
    check(host(true, "static"), vec![service("nginx")], &[]);
    check(
        host(false, "disabled"),
        vec![service("nginx")],
        &["service \"nginx\" Update enabled false → true, running false → true"],
    );
    check(
        host(true, "enabled"),
        vec![absent(service("nginx"))],
        &["service \"nginx\" Update enabled true → false, running true → false"],
    );
    check(Host::new(), vec![absent(service("nginx"))], &[]);
    check(host(true, "disabled"), vec![resource("service", "nginx", &[("running", true.into())])], &[]);
    let mut stale = host(false, "enabled");
    stale.units.get_mut("nginx.service").unwrap().stale = true;
    let host = check(stale, vec![service("nginx")], &["service \"nginx\" Update running false → true"]);
    assert_eq!(host.log[0], Act::ReadUnits);
}

#[test]
fn unit_files_are_read_again() {
    let mut host = Host::new().with_unit("app", false, "disabled");
    host.paths.insert("/etc/systemd".into(), directory());
    host.paths.insert("/etc/systemd/system".into(), directory());
    let unit = file("/etc/systemd/system/app.service", "[Service]\n");
    host.apply(&catalog(vec![unit, service("app")]));
    let acts = format!("{:?}", host.log);
    let at = |text: &str| acts.find(text).unwrap_or_else(|| panic!("no {text} in {acts}"));
    assert!(at("WriteFile") < at("ReadUnits") && at("ReadUnits") < at("Enable") && at("Enable") < at("Start"));
}

#[test]
fn a_package_brings_what_later_resources_need() {
    let mut host = Host::new();
    let owned = resource("file", "/etc/nginx/site", &[("content", "s".into()), ("owner", "www-data".into())]);
    let catalog = catalog(vec![resource("package", "nginx", &[]), owned, service("nginx")]);
    let plan = host.plan(&catalog);
    assert!(!plan.has_failed(), "{plan:?}");
    assert_eq!(changes(&plan)[..2], ["package \"nginx\": Create", "file \"/etc/nginx/site\": Create"]);
    let applied = host.apply(&catalog);
    assert!(!applied.has_failed(), "{applied:?}");
    assert_eq!(&*host.paths["/etc/nginx/site"].owner.name, "www-data");
    assert_settled(&mut host, &catalog);
}

#[test]
fn settings_and_zones() {
    let somaxconn = |value: &str| vec![resource("sysctl", "net.core.somaxconn", &[("value", value.into())])];
    let missing = "/etc/sysctl.d/90-andon-net.core.somaxconn.conf is missing";
    let host = check(
        Host::new(),
        somaxconn("4096"),
        &[&format!("sysctl \"net.core.somaxconn\" Update {missing}, value 128 → 4096")],
    );
    assert_eq!(
        host.text("/etc/sysctl.d/90-andon-net.core.somaxconn.conf").as_deref(),
        Some("net.core.somaxconn = 4096\n")
    );
    check(Host::new(), somaxconn(" 128 "), &[&format!("sysctl \"net.core.somaxconn\" Update {missing}, value 128")]);
    let zone = |name: &str| vec![resource("timezone", "current", &[("name", name.into())])];
    check(Host::new(), zone("UTC"), &[]);
    check(Host::new().with_file("/etc/timezone", "Etc/UTC\n"), zone("UTC"), &[]);
    let host =
        Host::new().with_file("/usr/share/zoneinfo/Europe/Paris", "TZif").with_file("/etc/timezone", "Etc/UTC\n");
    check(host, zone("Europe/Paris"), &["timezone \"current\" Update name UTC → Europe/Paris, /etc/timezone differs"]);
}

#[test]
fn an_image_is_made_without_starting_anything() {
    let mut host = Host::new().with_unit("nginx", false, "disabled");
    let resources = vec![
        crate::catalog::reloads(file("/etc/a", "a"), "nginx"),
        service("nginx"),
        resource("sysctl", "net.core.somaxconn", &[("value", "4096".into())]),
    ];
    let catalog = crate::catalog::with_check(catalog(resources), "port", "tcp/80", &[]);
    let report = host.run(&catalog, Mode::Image).unwrap();
    assert_eq!(changes(&report).len(), 3);
    assert!(!report.has_failed() && report.checks.is_empty());
    assert!(!host.units["nginx.service"].running && &*host.units["nginx.service"].enablement == "enabled");
    assert_eq!(host.sysctl["net.core.somaxconn"], "128");
    assert!(!host.log.iter().any(|act| matches!(act, Act::Owe(_) | Act::SetSysctl { .. })), "{:?}", host.log);
    let again = host.run(&catalog, Mode::Image).unwrap();
    assert_eq!(changes(&again), Vec::<String>::new());
}

#[test]
fn many_files_are_few_steps() {
    let mut resources = vec![resource("directory", "/srv/many", &[])];
    resources.extend((0..10_000).map(|number| file(&format!("/srv/many/{number}"), "x")));
    let catalog = catalog(resources);
    let mut host = Host::new();
    host.apply(&catalog);
    assert!(host.steps < 30, "{} steps", host.steps);
    host.steps = 0;
    assert_settled(&mut host, &catalog);
    assert!(host.steps < 20, "{} steps", host.steps);
}

#[test]
fn commands() {
    let host = |status| {
        let mut host = Host::new();
        let made = crate::host::Program(|host, _| {
            host.paths.insert("/srv/made".into(), crate::host::regular("m", 0o644));
            andon_schema::host::CommandOutput { status: Some(0), ..Default::default() }
        });
        host.programs.insert("/bin/sh -c make".into(), made);
        host.programs.insert("make it".into(), made);
        host.programs.insert("/bin/sh -c is-made".into(), status);
        host
    };
    let asks = crate::host::Program(|host, _| andon_schema::host::CommandOutput {
        status: Some(i32::from(!host.paths.contains_key("/srv/made"))),
        ..Default::default()
    });
    let exec = |given: &[(&str, Value)]| vec![resource("exec", "make", given)];
    let line = ("command", Value::from("make"));
    check(host(asks), exec(&[line.clone(), ("unless", "is-made".into())]), &["exec \"make\" Run make"]);
    check(host(asks), exec(&[line.clone(), ("creates", "/srv/made".into())]), &["exec \"make\" Run make"]);
    check(host(asks), exec(&[line.clone(), ("only_if", "is-made".into())]), &[]);
    let words = Value::tuple([Value::from("make"), Value::from("it")]);
    check(host(asks), exec(&[("command", words), ("creates", "/srv/made".into())]), &["exec \"make\" Run make it"]);
    let mut on = exec(&[line]);
    on[0].only_on = Some(vec![("file".into(), "/srv/a".into())]);
    let with = |content: &str| vec![file("/srv/a", content), on[0].clone()];
    check(host(asks), with("a"), &["file \"/srv/a\" Create", "exec \"make\" Run make"]);
    check(host(asks).with_file("/srv/a", "a"), with("a"), &[]);
}
