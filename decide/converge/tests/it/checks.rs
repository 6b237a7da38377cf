use andon_converge::Mode;
use andon_value::Value;

use crate::catalog::{catalog, file, with_check};
use crate::host::Host;

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
