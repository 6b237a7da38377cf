use andon_converge::Mode;
use andon_schema::host::{Command, CommandOutput, Group};
use andon_value::Value;

use crate::catalog::{catalog, file, with_check};
use crate::host::{Host, Program};

fn check(mut host: Host, kind: &str, name: &str, given: &[(&str, Value)], failure: Option<&str>) -> u64 {
    let catalog = with_check(catalog(Vec::new()), kind, name, given);
    let report = host.apply(&catalog);
    assert_eq!(report.checks.len(), 1);
    assert_eq!(report.checks[0].failure.as_deref(), failure);
    assert_eq!(report.has_failed(), failure.is_some());
    host.clock_ms
}

#[test]
fn checks_are_made_again_until_their_time_is_up() {
    let mut host = Host::new();
    host.ports.insert(80, 350);
    assert_eq!(check(host.clone(), "port", "tcp/80", &[], None), 400);
    let short = [("timeout", Value::from("200ms"))];
    assert_eq!(check(host.clone(), "port", "tcp/80", &short, Some("nothing listens on tcp/80")), 200);
    assert_eq!(check(host.clone(), "port", "tcp/81", &[], Some("nothing listens on tcp/81")), 10_000);
    assert_eq!(check(host, "port", "tcp/81", &[("listening", false.into())], None), 0);
    let refused = Some("connection refused from http://127.0.0.1/");
    check(Host::new(), "http", "http://127.0.0.1/", &short, refused);
}

#[test]
fn what_checks_say() {
    let host = || Host::new().with_unit("nginx", false, "disabled").with_file("/etc/a", "text");
    let now = ("timeout", Value::from("0"));
    for (kind, name, given, failure) in [
        ("service", "nginx", vec![], Some("nginx.service does not run")),
        ("service", "nginx", vec![("running", false.into())], None),
        ("service", "nginx", vec![("enabled", true.into())], Some("nginx.service is disabled")),
        ("service", "ghost", vec![("enabled", true.into())], Some("ghost.service is not known to systemd")),
        ("file", "/etc/a", vec![("mode", "0600".into())], Some("/etc/a has the mode 0644, not 0600")),
        ("file", "/etc/a", vec![("contains", "ex".into()), ("owner", "root".into())], None),
        ("file", "/etc/a", vec![("contains", "z".into())], Some("/etc/a does not hold \"z\"")),
        ("file", "/etc/a", vec![("exists", false.into())], Some("/etc/a exists")),
        ("file", "/etc/b", vec![], Some("/etc/b does not exist")),
        ("package", "nginx", vec![], Some("the package nginx is not installed")),
        ("user", "root", vec![("shell", "/bin/sh".into())], Some("the shell of root is /bin/bash, not /bin/sh")),
        ("user", "ghost", vec![], Some("there is no user ghost")),
        ("process", "nginx", vec![], Some("no process nginx runs")),
    ] {
        let given: Vec<_> = given.into_iter().chain([now.clone()]).collect();
        check(host(), kind, name, &given, failure);
    }
}

#[test]
fn a_plan_checks_only_what_will_stay() {
    let with = |resources| with_check(catalog(resources), "port", "tcp/80", &[]);
    let mut host = Host::new();
    let changing = host.plan(&with(vec![file("/etc/a", "")]));
    assert_eq!(changing.checks, []);
    let settled = host.plan(&with(Vec::new()));
    assert_eq!(settled.checks[0].failure.as_deref(), Some("nothing listens on tcp/80"));
    assert_eq!(host.clock_ms, 0, "a plan does not wait");
    let report = host.run(&with(vec![file("/etc/a", "")]), Mode::Check).unwrap();
    assert!(report.entries.is_empty() && report.has_failed() && host.text("/etc/a").is_none());
}

/// A server with a bit of everything.
fn furnished() -> Host {
    let mounts =
        "/dev/sda1 / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw,nosuid,noexec 0 0\n/dev/b /my\\040data xfs ro 0 0\n";
    let mut host = Host::new().with_file("/etc/a", "one\ntwo\n").with_file("/proc/self/mounts", mounts);
    host.groups.insert("web".to_owned(), Group { gid: 33, members: vec!["deploy".into()] });
    host.sysctl.insert("net.core.somaxconn".to_owned(), "4096".to_owned());
    host.sysctl.insert("net.ipv4.ip_local_port_range".to_owned(), "32768 60999".to_owned());
    let program = |_: &mut Host, command: &Command| CommandOutput {
        status: Some(if command.input.is_some() { 3 } else { 0 }),
        output: "version 1.2.3\n".into(),
        errors: "a warning\n".into(),
    };
    host.programs.insert("/bin/sh -c app --version".to_owned(), Program(program));
    host.programs.insert("app --version".to_owned(), Program(program));
    host
}

#[test]
fn what_more_checks_say() {
    let texts = |texts: &[&str]| Value::tuple(texts.iter().map(|text| Value::from(*text)));
    let set = |texts: &[&str]| Value::set(andon_value::Type::String, texts.iter().map(|text| Value::from(*text)));
    let now = ("timeout", Value::from("0"));
    for (kind, name, given, failure) in [
        ("group", "web", vec![("gid", 33.into()), ("members", set(&["deploy"]))], None),
        ("group", "web", vec![("gid", 34.into())], Some("the gid of web is 33, not 34")),
        ("group", "web", vec![("members", set(&["bob"]))], Some("the user bob is not in the group web")),
        ("group", "ghost", vec![], Some("there is no group ghost")),
        ("group", "web", vec![("exists", false.into())], Some("there is a group web")),
        ("sysctl", "net.core.somaxconn", vec![("value", "4096".into())], None),
        ("sysctl", "net.core.somaxconn", vec![("value", "128".into())], Some("net.core.somaxconn is 4096, not 128")),
        ("sysctl", "net.ipv4.ip_local_port_range", vec![("value", "32768\t60999".into())], None),
        ("sysctl", "no.such", vec![], Some("the kernel has no setting no.such")),
        ("mount", "/", vec![("type", "ext4".into()), ("source", "/dev/sda1".into())], None),
        ("mount", "/run", vec![("options", set(&["noexec"]))], None),
        ("mount", "/run", vec![("options", set(&["ro"]))], Some("what is mounted at /run lacks the option ro")),
        (
            "mount",
            "/my data",
            vec![("type", "ext4".into())],
            Some("the type of what is mounted at /my data is xfs, not ext4"),
        ),
        ("mount", "/srv", vec![], Some("nothing is mounted at /srv")),
        ("mount", "/run", vec![("mounted", false.into())], Some("something is mounted at /run")),
        ("command", "app --version", vec![("matches", "^version [0-9.]+".into())], None),
        ("command", "x", vec![("words", texts(&["app", "--version"])), ("contains", texts(&["1.2", "3"]))], None),
        (
            "command",
            "app --version",
            vec![("contains", "2.0".into())],
            Some("what `app --version` says does not hold \"2.0\""),
        ),
        ("command", "app --version", vec![("lacks", "1.2".into())], Some("what `app --version` says holds \"1.2\"")),
        ("command", "app --version", vec![("output", " version 1.2.3".into()), ("errors", texts(&["warn"]))], None),
        (
            "command",
            "app --version",
            vec![("input", "x".into())],
            Some("`app --version` ended with 3, not 0: a warning"),
        ),
        ("command", "app --version", vec![("input", "x".into()), ("status", 3.into())], None),
        ("command", "nothing", vec![], Some("`nothing` ended with 127, not 0")),
        ("file", "/etc/a", vec![("matches", "(?m)^two$".into()), ("size", 8.into()), ("kind", "file".into())], None),
        ("file", "/etc/a", vec![("contains", texts(&["one", "three"]))], Some("/etc/a does not hold \"three\"")),
        ("file", "/etc/a", vec![("lacks", "two".into())], Some("/etc/a holds \"two\"")),
        ("file", "/etc/a", vec![("kind", "directory".into())], Some("/etc/a is of the kind file, not directory")),
        ("file", "/etc/a", vec![("target", "/b".into())], Some("/etc/a is no link")),
        (
            "file",
            "/etc/a",
            vec![("sha256", "0".repeat(64).into())],
            Some("the SHA-256 of /etc/a is 3f786850e387550fdab836ed7e6dc881de23001b, not 0"),
        ),
        ("dns", "db.internal", vec![("addresses", set(&["10.0.0.1"])), ("only", true.into())], None),
        ("dns", "db.internal", vec![("addresses", set(&["10.0.0.2"]))], Some("db.internal is 10.0.0.1, not 10.0.0.2")),
        ("dns", "db.internal", vec![("resolves", false.into())], Some("db.internal has the address 10.0.0.1")),
        ("address", "tcp://db:5432", vec![], Some("connection refused to tcp://db:5432")),
        ("address", "tcp://[::1]:80", vec![("reachable", false.into())], None),
        ("address", "10.0.0.1", vec![], None),
        ("address", "10.0.0.9", vec![], Some("the server does not have the address 10.0.0.9")),
        ("process", "nginx", vec![("least", 1.into())], Some("0 processes nginx run, not at least 1")),
        ("process", "nginx", vec![("count", 0.into())], None),
        ("process", "nginx", vec![("running", false.into()), ("user", "www-data".into())], None),
        ("user", "root", vec![("uid", 0.into()), ("home", "/root".into())], None),
        ("user", "root", vec![("uid", 7.into())], Some("the uid of root is 0, not 7")),
        (
            "http",
            "https://127.0.0.1/",
            vec![("statuses", Value::tuple([200.into(), 204.into()]))],
            Some("connection refused from https://127.0.0.1/"),
        ),
    ] {
        let given: Vec<_> = given.into_iter().chain([now.clone()]).collect();
        let catalog = with_check(catalog(Vec::new()), kind, name, &given);
        assert_eq!(andon_converge::validate(&catalog), [], "{kind} {name}");
        let report = furnished().apply(&catalog);
        let said = report.checks[0].failure.as_deref();
        let same = match failure {
            Some(failure) if name == "/etc/a" && failure.contains("SHA") => {
                said.is_some_and(|said| said.starts_with("the SHA-256 of /etc/a is "))
            }
            failure => said == failure,
        };
        assert!(same, "{kind} {name} {given:?}\n{said:?}\n{failure:?}");
    }
}

#[test]
fn what_checks_cannot_mean() {
    let secret = |text: &str| Value::from(text).mark(andon_value::Marks::SENSITIVE);
    for (kind, name, given, expected) in [
        (
            "command",
            "x",
            vec![("words", Value::tuple([secret("a")]))],
            "`words` hold a secret, which every user of the server could see",
        ),
        ("command", "x", vec![("words", Value::tuple([]))], "`words` are empty"),
        ("command", "x", vec![("matches", "(".into())], "\"(\" is no regular expression"),
        ("file", "/x", vec![("contains", 1.into())], "`contains` is neither a text nor a list of texts"),
        ("file", "/x", vec![("kind", "socket".into())], "there is no kind of file `socket`"),
        ("address", "db:5432", vec![], "`db:5432` is neither an address nor like `tcp://db.internal:5432`"),
        ("address", "tcp://db:0", vec![], "is neither an address"),
        ("mount", "srv", vec![], "the path `srv` is not absolute"),
        ("port", "80", vec![("address", "localhost".into())], "`localhost` is not an address"),
        ("http", "http://x/", vec![("method", "GE T".into())], "`method` is not one of HTTP"),
        ("http", "ftp://x/", vec![], "`ftp://x/` is not an address"),
        ("group", "a b", vec![], "is not a name for a user or group"),
        ("dns", "x", vec![("interval", "often".into())], "`often` is not a span of time"),
    ] {
        let wrong = andon_converge::validate(&with_check(catalog(Vec::new()), kind, name, &given));
        assert!(wrong.iter().any(|(_, message)| message.contains(expected)), "{kind} {name}: {wrong:?}");
    }
}

#[test]
fn tries_have_a_number_and_a_rhythm() {
    let mut host = Host::new();
    host.ports.insert(80, 350);
    let nothing = Some("nothing listens on tcp/80");
    let seconds = |interval: &str| ("interval", Value::from(interval));
    for (given, failure, took_ms) in [
        (vec![seconds("1s")], None, 1_000),
        (vec![("retries", 0.into())], nothing, 0),
        (vec![("retries", 2.into())], nothing, 200),
        (vec![("retries", 2.into()), seconds("200ms")], None, 400),
        (vec![("retries", 100.into()), seconds("1s"), ("timeout", "0".into())], nothing, 0),
    ] {
        assert_eq!(check(host.clone(), "port", "tcp/80", &given, failure), took_ms, "{given:?}");
    }
    // Each has its own.
    let two = with_check(catalog(Vec::new()), "port", "tcp/80", &[seconds("250ms")]);
    let two = with_check(two, "port", "tcp/81", &[("timeout", "300ms".into())]);
    let report = host.apply(&two);
    let failures: Vec<bool> = report.checks.iter().map(|check| check.failure.is_some()).collect();
    assert_eq!((failures, host.clock_ms), (vec![false, true], 500));
}
