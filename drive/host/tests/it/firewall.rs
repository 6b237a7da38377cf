//! The firewall, in a network namespace of the test's thread.

use std::process::Command;

use andon_converge::Mode;
use andon_schema::host::{Catalog, HostResource};
use andon_value::{Type, Value};

use crate::converge::{catalog, changes, converge, resource};
use crate::root::{in_a_root, text};

fn nft(words: &str) -> Result<String, String> {
    let output = Command::new("nft").args(words.split(' ')).output().map_err(|error| error.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn texts(texts: &[&str]) -> Value {
    Value::list(Type::String, texts.iter().map(|text| Value::from(*text)))
}

fn rule(name: &str, given: &[(&str, Value)]) -> HostResource {
    resource("firewall_rule", name, given)
}

fn apply(catalog: &Catalog, count: usize) {
    let (plan, report) = (converge(catalog, Mode::Plan), converge(catalog, Mode::Apply));
    assert!(!plan.has_failed() && !report.has_failed(), "{plan:#?} {report:#?}");
    assert_eq!((changes(&plan), changes(&report)), (count, count), "{plan:#?} {report:#?}");
    let again = converge(catalog, Mode::Apply);
    assert!(again.is_clean(), "{again:#?}");
}

#[test]
fn rules_come_into_force_together_and_go() {
    in_a_root(|| {
        if let Err(error) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            return println!("skipped: this machine gives no network namespace: {error}");
        }
        if let Err(error) = nft("list ruleset") {
            return println!("skipped: nft does not work here: {error}");
        }
        let _ = std::fs::remove_dir_all("/etc/nftables.d");
        std::fs::write("/etc/nftables.conf", "#!/usr/sbin/nft -f\nflush ruleset\n").unwrap();
        nft("add table inet mine").unwrap();
        nft("add chain inet mine a").unwrap();
        let accept = || ("action", Value::from("accept"));
        let addresses: Vec<String> = (0..60).map(|number| format!("10.0.{number}.0/24")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let rules = || {
            vec![
                rule("default", &[("policy", "drop".into())]),
                rule("established", &[("state", texts(&["established", "related"])), accept()]),
                rule("loopback", &[("interface", texts(&["lo"])), accept()]),
                rule(
                    "ssh",
                    &[("ports", texts(&["22", "2200-2210"])), ("limit", "10/minute burst 20".into()), accept()],
                ),
                rule("both", &[("protocol", texts(&["tcp", "udp"])), ("ports", texts(&["53"])), accept()]),
                rule("ping", &[("protocol", texts(&["icmp", "icmpv6"])), ("log", "ping ".into()), accept()]),
                rule("many", &[("source", texts(&addresses)), ("ports", texts(&["80"])), accept()]),
                rule("six", &[("source", texts(&["fd00::/8", "192.0.2.1"])), ("action", "reject".into())]),
                rule("out", &[("direction", "output".into()), ("out_interface", texts(&["eth*"])), accept()]),
            ]
        };
        apply(&catalog(rules()), 9);
        let listed = nft("list table inet andon").unwrap();
        assert!(listed.contains("policy drop;") && listed.contains("web/six"), "{listed}");
        assert!(nft("list table inet mine").is_ok(), "what others made stays");
        assert!(text("/etc/nftables.conf").unwrap().ends_with("include \"/etc/nftables.d/andon.nft\"\n"));
        // By other hands: a rule goes, a rule comes, the policy, all of it.
        for words in [
            "flush chain inet andon output",
            "insert rule inet andon input tcp dport 23 accept",
            "chain inet andon input { policy accept; }",
            "flush ruleset",
        ] {
            nft(words).unwrap();
            let report = converge(&catalog(rules()), Mode::Apply);
            assert!(!report.has_failed() && changes(&report) >= 1, "{words}: {report:#?}");
            assert!(converge(&catalog(rules()), Mode::Apply).is_clean(), "{words}");
        }
        // As at boot.
        let file = nft("list table inet andon").unwrap();
        nft("-f /etc/nftables.conf").unwrap();
        assert_eq!(nft("list table inet andon").unwrap(), file);
        assert!(converge(&catalog(rules()), Mode::Apply).is_clean());
        // Two roles beside each other.
        let other = HostResource { role: "other".into(), ..rule("ssh", &[("ports", texts(&["25"])), accept()]) };
        let others = |rules| Catalog { roles: vec!["other".into()], ..catalog(rules) };
        apply(&others(vec![other.clone()]), 1);
        assert!(converge(&catalog(rules()), Mode::Apply).is_clean());
        // Both as one: nothing is other than it was, as the name of a rule is its own role's.
        let both = |rules| Catalog { roles: vec!["web".into(), "other".into()], ..catalog(rules) };
        let renamed = HostResource { name: "mail".into(), ..other.clone() };
        let all: Vec<HostResource> = rules().into_iter().chain([renamed.clone()]).collect();
        apply(&both(all.clone()), 2);
        assert!(converge(&both(all), Mode::Apply).is_clean());
        assert!(converge(&others(vec![renamed]), Mode::Apply).is_clean());
        assert!(converge(&catalog(rules()), Mode::Apply).is_clean());
        apply(&others(vec![other]), 1);
        // One is changed, one is taken out.
        let mut fewer = rules();
        fewer.remove(8);
        fewer[3] = rule("ssh", &[("ports", texts(&["22"])), accept()]);
        apply(&catalog(fewer), 2);
        let listed = nft("list table inet andon").unwrap();
        assert!(
            !listed.contains("2200") && !listed.contains("chain output") && listed.contains("other/ssh"),
            "{listed}"
        );
        // The role has no rules any more.
        apply(&catalog(vec![resource("file", "/srv/a", &[])]), 2);
        let listed = nft("list table inet andon").unwrap();
        assert!(!listed.contains("web/") && listed.contains("other/ssh"), "{listed}");
    });
}

#[test]
fn a_refused_table_leaves_the_old_one() {
    in_a_root(|| {
        if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() || nft("list ruleset").is_err() {
            return println!("skipped: this machine gives no network namespace, or has no nft");
        }
        let _ = std::fs::remove_dir_all("/etc/nftables.d");
        let sound = rule("ssh", &[("ports", texts(&["22"])), ("action", "accept".into())]);
        converge(&catalog(vec![sound.clone()]), Mode::Apply);
        let before = nft("list table inet andon").unwrap();
        let broken = rule("x", &[("protocol", texts(&["no-such"])), ("action", "accept".into())]);
        let report = converge(&catalog(vec![sound, broken]), Mode::Apply);
        assert!(report.has_failed(), "{report:#?}");
        assert_eq!(nft("list table inet andon").unwrap(), before);
    });
}
