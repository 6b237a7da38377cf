use andon_converge::Mode;
use andon_schema::host::{Act, HostResource};
use andon_value::Value;

use crate::cases::check;
use crate::catalog::{absent, catalog, file, list, resource};
use crate::host::Host;

fn package(name: &str, given: &[(&str, Value)]) -> HostResource {
    resource("package", name, given)
}

/// A server that has some packages, in which others can be had.
fn host(installed: &[(&str, &str)], offered: &[(&str, &[&str])]) -> Host {
    let mut host = Host::new();
    host.index_age_ms = Some(1000);
    host.packages = installed.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    let versions = |versions: &[&str]| versions.iter().map(|version| (*version).to_owned()).collect();
    host.offered = offered.iter().map(|(name, all)| ((*name).to_owned(), versions(all))).collect();
    host
}

fn count(host: &Host, wanted: fn(&Act) -> bool) -> usize {
    host.log.iter().filter(|act| wanted(act)).count()
}

/// A catalog of one resource that cannot be made so.
fn refused(mut host: Host, resource: HostResource, words: &str) {
    let report = host.apply(&catalog(vec![resource]));
    let status = format!("{:?}", report.entries[0].status);
    assert!(status.contains(words), "{status}");
    assert_eq!(count(&host, |act| !matches!(act, Act::RefreshPackages)), 0, "{:?}", host.log);
}

#[test]
fn packages() {
    let offered: &[(&str, &[&str])] = &[("b", &["2.1", "2.0", "1.9"])];
    let host = check(
        host(&[], offered),
        vec![package("a", &[]), package("b", &[("version", "2.*".into())]), file("/etc/x", ""), package("c", &[])],
        &[
            "package \"a\" Create version not installed → installed",
            "package \"b\" Create version not installed → 2.1",
            "file \"/etc/x\" Create",
            "package \"c\" Create version not installed → installed",
        ],
    );
    let installs = |act: &Act| matches!(act, Act::InstallPackages(_));
    assert_eq!(count(&host, installs), 2, "neighbours are installed at once: {:?}", host.log);
    check(host.clone(), vec![package("b", &[("version", "3".into())])], &["package \"b\" Update version 2.1 → 3"]);
    check(host, vec![absent(package("a", &[]))], &["package \"a\" Remove version 1.0 → not installed"]);
    let mut broken = Host::new();
    broken.broken = true;
    let two = vec![package("a", &[]), package("b", &[])];
    let shown = ["a", "b"].map(|name| format!("package \"{name}\" Create version not installed → installed"));
    let host = check(broken, two, &shown.each_ref().map(String::as_str));
    assert_eq!(host.log[0], Act::RepairPackages);
    assert_eq!(host.log.len(), 2, "{:?}", host.log);
}

#[test]
fn many_at_once() {
    let names = |names: &[&str]| package("tools", &[("names", list(names))]);
    let host = check(
        host(&[("jq", "1.7")], &[]),
        vec![names(&["curl", "jq", "git"])],
        &["package \"tools\" Update curl version not installed → installed, git version not installed → installed"],
    );
    assert_eq!(host.log.len(), 1);
    let host = check(
        host,
        vec![absent(names(&["curl", "jq", "vim"])), absent(package("git", &[]))],
        &[
            "package \"tools\" Remove curl version 1.0 → not installed, jq version 1.7 → not installed",
            "package \"git\" Remove version 1.0 → not installed",
        ],
    );
    assert_eq!(host.log.len(), 2, "removals are joined: {:?}", host.log);
}

#[test]
fn versions() {
    let offered: &[(&str, &[&str])] = &[("nginx", &["1.26-1", "1.22-9", "1.18-1"])];
    let wants = |version: &str| vec![package("nginx", &[("version", version.into())])];
    check(host(&[("nginx", "1.22-9")], offered), wants(">= 1.20, < 2"), &[]);
    check(
        host(&[("nginx", "1.18-1")], offered),
        wants(">= 1.20, < 1.25"),
        &["package \"nginx\" Update version 1.18-1 → 1.22-9"],
    );
    refused(
        host(&[("nginx", "1.26-1")], offered),
        wants("1.18*").remove(0),
        "`downgrade = true` puts the older one back",
    );
    let back = package("nginx", &[("version", "1.18*".into()), ("downgrade", true.into())]);
    check(host(&[("nginx", "1.26-1")], offered), vec![back], &["package \"nginx\" Update version 1.26-1 → 1.18-1"]);
    refused(host(&[], offered), wants(">= 3").remove(0), "that can be had is `>= 3`; there is 1.26-1, 1.22-9, 1.18-1");
    refused(host(&[], &[]), wants(">= 3").remove(0), "no version of `nginx` can be had");
}

#[test]
fn the_newest() {
    let offered: &[(&str, &[&str])] = &[("curl", &["8.2"]), ("jq", &["1.7"])];
    let latest = |name: &str| package(name, &[("latest", true.into())]);
    let host_now = || host(&[("curl", "8.1"), ("jq", "1.7")], offered);
    let host_after =
        check(host_now(), vec![latest("curl"), latest("jq")], &["package \"curl\" Update version 8.1 → 8.2"]);
    assert_eq!(host_after.log.len(), 1, "a young index is good enough: {:?}", host_after.log);
    let mut old = host_now();
    old.index_age_ms = Some(100_000_000);
    old.apply(&catalog(vec![latest("curl"), latest("jq")]));
    assert_eq!(old.log[0], Act::RefreshPackages, "{:?}", old.log);
    assert_eq!(count(&old, |act| *act == Act::RefreshPackages), 1);
    assert_eq!(old.packages["curl"], "8.2");
    let mut held = host_now();
    held.held.insert("curl".into());
    refused(held, latest("curl"), "`hold = false` lets it change");
}

#[test]
fn an_old_index_is_fetched_before_an_install() {
    let mut host = host(&[], &[]);
    host.index_age_ms = Some(7_200_000);
    let wants = |name: &str, age: &str| package(name, &[("index_age", age.into())]);
    host.apply(&catalog(vec![wants("a", "3h"), wants("b", "1h"), file("/etc/x", ""), wants("c", "1h")]));
    assert_eq!(count(&host, |act| *act == Act::RefreshPackages), 1, "{:?}", host.log);
}

#[test]
fn a_changed_source_is_read_before_the_next_install() {
    let mut host = host(&[("curl", "8.1")], &[("curl", &["8.2"])]);
    host.paths.insert("/etc/apt".into(), crate::host::directory());
    let source = || file("/etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n");
    let newest = package("curl", &[("latest", true.into())]);
    let resources = vec![source(), package("a", &[]), package("b", &[]), newest];
    let report = host.apply(&catalog(resources.clone()));
    assert!(!report.has_failed(), "{report:?}");
    assert_eq!(count(&host, |act| *act == Act::RefreshPackages), 1, "{:?}", host.log);
    assert!(host.log.iter().position(|act| *act == Act::RefreshPackages).unwrap() == 1, "{:?}", host.log);
    crate::host::assert_settled(&mut host, &catalog(resources));
    let mut alone = Host::new();
    alone.paths.insert("/etc/apt".into(), crate::host::directory());
    alone.apply(&catalog(vec![source()]));
    assert_eq!(count(&alone, |act| *act == Act::RefreshPackages), 0, "nothing is installed");
}

#[test]
fn what_is_held_stays() {
    let hold = |hold: bool| package("nginx", &[("hold", hold.into())]);
    let one = host(&[("nginx", "1")], &[]);
    let held = check(one.clone(), vec![hold(true)], &["package \"nginx\" Update hold false → true"]);
    check(held, vec![hold(false)], &["package \"nginx\" Update hold true → false"]);
    check(one, vec![hold(false)], &[]);
    let host = check(
        host(&[], &[]),
        vec![hold(true), package("b", &[("hold", true.into())])],
        &[
            "package \"nginx\" Create version not installed → installed, hold false → true",
            "package \"b\" Create version not installed → installed, hold false → true",
        ],
    );
    assert_eq!(host.log.len(), 2, "{:?}", host.log);
}

#[test]
fn from_a_file() {
    let tool = || package("tool", &[("source", "/srv/tool.deb".into())]);
    let with_file = |text: &str| Host::new().with_file("/srv/tool.deb", text);
    let host = check(with_file("tool 2"), vec![tool()], &["package \"tool\" Create version not installed → 2"]);
    assert_eq!(host.packages["tool"], "2");
    check(host.with_file("/srv/tool.deb", "tool 3"), vec![tool()], &["package \"tool\" Update version 2 → 3"]);
    refused(with_file("other 2"), tool(), "holds the package `other`, not `tool`");
    refused(Host::new(), tool(), "there is no file /srv/tool.deb");
    let mut host = Host::new();
    let catalog = catalog(vec![file("/srv/tool.deb", "tool 2"), tool()]);
    let plan = host.plan(&catalog);
    assert!(!plan.has_failed() && plan.changes().count() == 2, "{plan:?}");
    assert!(!host.apply(&catalog).has_failed());
}

#[test]
fn what_is_purged_leaves_nothing() {
    let purge = || absent(package("nginx", &[("purge", true.into())]));
    let mut host = host(&[("nginx", "1")], &[]);
    host.apply(&catalog(vec![absent(package("nginx", &[]))]));
    assert!(host.kept.contains("nginx"));
    let host = check(host, vec![purge()], &["package \"nginx\" Remove version configuration kept → not installed"]);
    assert!(host.kept.is_empty());
}

#[test]
fn a_failed_fetch_is_said_where_it_matters() {
    let mut host = host(&[], &[]);
    host.index_age_ms = None;
    host.fails = Some("RefreshPackages".into());
    host.says = Some("the mirror is away".into());
    let report = host.run(&catalog(vec![package("a", &[("version", ">= 2".into())])]), Mode::Apply).unwrap();
    let status = format!("{:?}", report.entries[0].status);
    assert!(status.contains("no version of `a` can be had") && status.contains("the mirror is away"), "{status}");
}
