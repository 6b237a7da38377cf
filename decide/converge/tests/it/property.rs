//! Over generated servers and catalogs: a plan foretells the apply, and an apply leaves nothing to do.

use std::collections::BTreeSet;

use andon_converge::{Converge, Mode, Step, validate};
use andon_schema::host::{Entry, HostResource, Node, Unit};
use andon_value::Value;
use proptest::prelude::*;

use crate::catalog::{absent, catalog, reloads, resource, restarts, texts};
use crate::host::{Host, assert_settled, changes, directory, regular};

const PATHS: [&str; 6] = ["/srv/a", "/srv/b", "/srv/d/a", "/srv/d/b", "/srv/d/e/f", "/etc/c"];

fn host() -> impl Strategy<Value = Host> {
    let content = prop_oneof![Just(""), Just("one\n"), Just("one\ntwo"), Just("two\none\n")];
    let node = prop_oneof![
        3 => Just(None),
        3 => content.prop_map(|content| Some(regular(content, 0o644))),
        1 => Just(Some(Entry { node: Node::Link("x".into()), ..directory() })),
    ];
    (prop::collection::vec(node, PATHS.len()), any::<[bool; 6]>()).prop_map(|(nodes, flags)| {
        let mut host = Host::new();
        for (path, node) in PATHS.iter().zip(nodes) {
            let Some(node) = node else { continue };
            for (at, _) in path.match_indices('/').skip(1) {
                host.paths.insert(path[..at].to_owned(), directory());
            }
            host.paths.insert((*path).to_owned(), node);
        }
        for (name, running) in [("app", flags[0]), ("web", flags[1])] {
            let enablement = if flags[2] { "enabled" } else { "disabled" };
            host.units.insert(format!("{name}.service"), Unit { running, enablement: enablement.into(), stale: false });
        }
        if flags[3] {
            host.packages.insert("p".into(), "1".into());
        }
        host.broken = flags[4];
        if flags[5] {
            host.groups.insert("team".into(), andon_schema::host::Group { gid: 500, members: Vec::new() });
        }
        host
    })
}

fn one_resource() -> impl Strategy<Value = HostResource> {
    let path = prop::sample::select(PATHS.to_vec());
    let content = prop::sample::select(vec!["", "one\n", "one\ntwo", "three\n"]);
    let mode = prop::option::of(prop::sample::select(vec!["0644", "0600"]));
    let given = |pairs: Vec<(&'static str, Option<Value>)>| -> Vec<(&'static str, Value)> {
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    };
    let kinds = prop_oneof![
        5 => (path.clone(), content, mode.clone()).prop_map(move |(path, content, mode)| {
            resource("file", path, &given(vec![("content", Some(content.into())), ("mode", mode.map(Value::from))]))
        }),
        3 => (prop::sample::select(vec!["/srv/d", "/srv/d/e", "/srv/n/m"]), any::<bool>(), mode).prop_map(
            move |(path, purge, mode)| {
                resource("directory", path, &given(vec![("purge", Some(purge.into())), ("mode", mode.map(Value::from))]))
            }
        ),
        3 => (path.clone(), prop::sample::select(vec!["one", "two", "x=1"]), any::<bool>()).prop_map(
            move |(path, line, matching)| {
                let pattern = matching.then(|| Value::from("^t"));
                let name = format!("{path} {line}");
                resource("line", &name, &given(vec![
                    ("path", Some(path.into())), ("line", Some(line.into())), ("match", pattern),
                ]))
            }
        ),
        2 => (path.clone(), prop::sample::select(vec!["x", "y"])).prop_map(|(path, target)| {
            resource("link", path, &[("target", target.into())])
        }),
        2 => (path, prop::sample::select(vec!["", "x\n", "one\ntwo"])).prop_map(|(path, content)| {
            resource("block", &format!("{path} block"), &[("path", path.into()), ("content", content.into())])
        }),
        1 => (prop::sample::select(vec!["db", "web"]), prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "::1"]))
            .prop_map(|(name, address)| resource("host_entry", name, &[("address", address.into())])),
        1 => prop::sample::select(vec!["@daily", "0 1 * * *"]).prop_map(|schedule| {
            resource("cron", "job", &[("schedule", schedule.into()), ("command", "a %b".into())])
        }),
        1 => prop::sample::select(vec!["/srv/d", "/srv/d/e"]).prop_map(|path| {
            resource("directory", path, &[("recurse", true.into()), ("file_mode", "0640".into())])
        }),
        1 => prop::sample::select(vec!["p", "q"]).prop_map(|name| resource("package", name, &[])),
        2 => (prop::sample::select(vec!["app", "web"]), any::<[bool; 2]>()).prop_map(|(name, [running, enabled])| {
            resource("service", name, &[("running", running.into()), ("enabled", enabled.into())])
        }),
        1 => Just(resource("group", "team", &[])),
        1 => any::<bool>().prop_map(|sudo| {
            resource("user", "u", &[("groups", if sudo { texts(&["sudo"]) } else { texts(&[]) })])
        }),
    ];
    (kinds, 0..10, 0..8, 0..2_usize).prop_map(|(resource, gone, notice, which)| {
        let service = ["app", "web"][which];
        let resource = match notice {
            0 => restarts(resource, service),
            1 | 2 => reloads(resource, service),
            _ => resource,
        };
        if gone == 0 { absent(resource) } else { resource }
    })
}

/// Resources that do not undo each other: each path, user and package once, and lines that no other removes.
fn resources() -> impl Strategy<Value = Vec<HostResource>> {
    prop::collection::vec(one_resource(), 0..10).prop_map(|resources| {
        let mut seen = BTreeSet::new();
        let path = |resource: &HostResource| {
            resource.attributes.get_str("path").map_or(resource.name.to_string(), str::to_owned)
        };
        let mut kept: Vec<HostResource> = Vec::new();
        for resource in resources {
            let gone = kept.iter().any(|other| {
                other.absent && path(&resource).starts_with(&path(other))
                    || resource.absent && path(other).starts_with(&path(&resource))
            });
            if !gone && seen.insert(path(&resource)) {
                kept.push(resource);
            }
        }
        kept
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_foretells_an_apply_and_an_apply_settles(host in host(), resources in resources()) {
        let mut host = host;
        let mut catalog = catalog(resources);
        catalog.resources.push(resource("service", "app", &[]));
        catalog.resources.push(resource("service", "web", &[]));
        let sound = validate(&catalog).iter().all(|(_, message)| message.contains("already"));
        prop_assume!(sound);
        let plan = host.plan(&catalog);
        let applied = host.apply(&catalog);
        if !plan.has_failed() && !applied.has_failed() {
            prop_assert_eq!(changes(&plan), changes(&applied));
            for (planned, done) in plan.entries.iter().zip(&applied.entries) {
                prop_assert_eq!(&planned.diff, &done.diff);
                prop_assert_eq!(&planned.differences, &done.differences);
            }
            assert_settled(&mut host, &catalog);
        }
        // What fails is foretold, unless a package or a service may still bring what is missing.
        let loose = catalog.resources.iter().any(|resource| matches!(&*resource.kind, "package" | "service"));
        prop_assert!(loose || plan.has_failed() == applied.has_failed());
    }

    #[test]
    fn what_is_not_mentioned_is_not_touched(host in host(), resources in resources()) {
        let mut catalog = catalog(resources);
        catalog.resources.push(resource("service", "app", &[]));
        catalog.resources.push(resource("service", "web", &[]));
        let before = host.clone();
        let mut host = host;
        host.apply(&catalog);
        let about = |path: &str| catalog.resources.iter().any(|resource| {
            let subject = resource.attributes.get_str("path").unwrap_or(&resource.name);
            let whole = resource.absent || ["purge", "recurse"].iter().any(|it| {
                resource.attributes.get(it).and_then(Value::as_bool) == Some(true)
            });
            let beneath = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
            // Directories above what is made are made, too.
            *subject == *path || whole && beneath(subject) || subject.strip_prefix(path).is_some_and(|it| it.starts_with('/'))
        });
        let own = |path: &str| {
            let kinds = [("/etc/hosts", "host_entry"), ("/etc/cron.d", "cron"), ("/home/u", "user")];
            let made = |(top, kind): &(&str, &str)| {
                path.starts_with(top) && catalog.resources.iter().any(|resource| *resource.kind == **kind)
            };
            kinds.iter().any(made)
        };
        for path in before.paths.keys().chain(host.paths.keys()).filter(|path| !about(path) && !own(path)) {
            prop_assert_eq!(before.paths.get(path), host.paths.get(path), "{}", path);
        }
        for name in before.users.keys().filter(|name| &***name != "u") {
            prop_assert_eq!(before.users.get(name), host.users.get(name), "{}", name);
        }
        prop_assert_eq!(&before.sysctl, &host.sysctl);
    }

    #[test]
    fn the_order_of_looks_does_not_matter(host in host(), resources in resources()) {
        let mut catalog = catalog(resources);
        catalog.resources.push(resource("service", "app", &[]));
        catalog.resources.push(resource("service", "web", &[]));
        // The same in one answer, and with each look answered after all that come after it.
        let mut backwards = host.clone();
        let mut forwards = host;
        let report = forwards.apply(&catalog);
        let mut converge = Converge::new(catalog, Mode::Apply);
        let other = loop {
            match converge.next() {
                Step::Look(looks) => {
                    let mut sights: Vec<_> = looks.iter().rev().map(|look| backwards.look(look)).collect();
                    sights.reverse();
                    converge.seen(sights);
                }
                Step::Act(acts) => {
                    let mut outcomes = Vec::new();
                    for act in acts {
                        outcomes.push(backwards.act(&act));
                        if outcomes.last().is_some_and(Result::is_err) {
                            break;
                        }
                    }
                    converge.acted(outcomes);
                }
                Step::Done(report) => break report,
            }
        };
        prop_assert_eq!(&report, &other);
        prop_assert_eq!(&forwards.log, &backwards.log);
        prop_assert_eq!(&forwards.paths, &backwards.paths);
    }

    #[test]
    fn a_kill_anywhere_is_made_good(host in host(), resources in resources(), kill_after in 0..20_usize) {
        let mut catalog = catalog(resources);
        catalog.resources.push(resource("service", "app", &[]));
        catalog.resources.push(resource("service", "web", &[]));
        let mut whole = host.clone();
        let report = whole.apply(&catalog);
        prop_assume!(!report.has_failed());
        let mut killed = host;
        killed.kill_after = Some(kill_after);
        killed.run(&catalog, Mode::Apply);
        killed.kill_after = None;
        let report = killed.apply(&catalog);
        prop_assert!(!report.has_failed(), "{report:?}");
        prop_assert_eq!(&killed.paths, &whole.paths);
        prop_assert_eq!(&killed.units, &whole.units);
        prop_assert_eq!(&killed.packages, &whole.packages);
        prop_assert_eq!(killed.users.keys().collect::<Vec<_>>(), whole.users.keys().collect::<Vec<_>>());
        prop_assert!(killed.owed.is_empty());
    }
}
