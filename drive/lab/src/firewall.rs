//! The firewalls of others on this machine, as the kernel's packet filter has them: where they drop what they do not know.
//!
//! An accepting table cannot overrule them. So accepting rules go into their own chains, with the name of a network's table
//! as their comment: for what servers send and get, where packets are passed on, and for their questions for names, where
//! packets end here. Whatever else a firewall keeps from this machine it goes on to keep from servers, too.

use ipnet::Ipv4Net;
use serde_json::Value as Json;

use crate::address;
use crate::nft::{OWN, chain_name, in_chain, text};

/// Where packets of servers meet a firewall, by the name of the hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Forward,
    Input,
}

/// A chain that drops what no rule before accepts.
#[derive(Debug, PartialEq, Eq)]
struct Dropping {
    /// Its family, its table and its name.
    chain: String,
    hook: Hook,
}

impl Hook {
    /// What is to pass, for a network: in words that `iptables` reads, too, as it would show none of a chain in which there is
    /// something that it does not know.
    fn accepted(self, net: &Ipv4Net) -> [String; 2] {
        match self {
            Hook::Forward => ["saddr", "daddr"].map(|direction| format!("ip {direction} {net}")),
            Hook::Input => {
                let gateway = address::gateway(net);
                ["udp", "tcp"]
                    .map(|protocol| format!("iifname \"av*\" ip saddr {net} ip daddr {gateway} {protocol} dport 53"))
            }
        }
    }
}

/// A script that has a network's packets pass.
pub(crate) fn pass(ruleset: &[Json], table: &str, net: &Ipv4Net) -> String {
    let rule = |chain: &str, what: String| format!("insert rule {chain} {what} accept comment \"{table}\"\n");
    let chains = dropping(ruleset).into_iter();
    chains.flat_map(|it| it.hook.accepted(net).map(|what| rule(&it.chain, what))).collect()
}

/// Whether they pass, also those chains that came later.
pub(crate) fn passes(ruleset: &[Json], table: &str) -> bool {
    let accepts = |it: &Dropping| {
        let accepting = ruleset.iter().filter(|rule| text(rule, "comment") == table);
        accepting.filter(|rule| in_chain(rule) == it.chain).count() >= 2
    };
    dropping(ruleset).iter().all(accepts)
}

/// A script that removes the rules whose comment is `table` from the chains of others.
pub(crate) fn remove(ruleset: &[Json], table: &str) -> String {
    let rules = ruleset.iter().filter(|rule| text(rule, "comment") == table);
    let delete = |rule: &Json| {
        let handle = rule.get("handle").and_then(Json::as_u64)?;
        Some(format!("delete rule {} handle {handle}\n", in_chain(rule)))
    };
    rules.filter_map(delete).collect()
}

/// What is to be said of firewalls that let nobody else write into their tables, as firewalld's newer versions do.
pub(crate) fn closed(ruleset: &[Json], net: &Ipv4Net) -> Option<String> {
    let chain = all_dropping(ruleset).find(|chain| is_owned(ruleset, chain))?;
    let table = text(chain, "table");
    let how = match table {
        "firewalld" => format!(
            "Have root run `firewall-cmd --permanent --zone=trusted --add-source={net}` and `firewall-cmd --reload`."
        ),
        _ => format!("Have it let through what comes from and goes to {net}."),
    };
    Some(format!(
        "The firewall of the table `{table}` drops what it does not know, and lets nobody else write its rules: servers may reach \
         neither the outside nor each other, and learn no names. {how}"
    ))
}

/// The chains of others that are to be written into.
fn dropping(ruleset: &[Json]) -> Vec<Dropping> {
    let chains = all_dropping(ruleset).filter(|chain| !is_owned(ruleset, chain));
    let hooked = |chain: &Json| {
        let hook = if text(chain, "hook") == "input" { Hook::Input } else { Hook::Forward };
        Dropping { chain: chain_name(chain), hook }
    };
    chains.map(hooked).collect()
}

fn all_dropping(ruleset: &[Json]) -> impl Iterator<Item = &Json> {
    ruleset.iter().filter(|chain| {
        matches!(text(chain, "hook"), "forward" | "input")
            && text(chain, "type") == "filter"
            && matches!(text(chain, "family"), "ip" | "inet")
            && !text(chain, "table").starts_with(OWN)
            && (text(chain, "policy") == "drop" || ends_with_drop(ruleset, chain))
    })
}

/// Whether the last rule of a chain drops or refuses all that comes as far, as firewalld has it in place of a policy.
fn ends_with_drop(ruleset: &[Json], chain: &Json) -> bool {
    let name = chain_name(chain);
    let last = ruleset.iter().rev().find(|found| found.get("expr").is_some() && in_chain(found) == name);
    let Some(steps) = last.and_then(|rule| rule.get("expr")).and_then(Json::as_array) else { return false };
    let has = |step: &Json, names: &[&str]| names.iter().any(|name| step.get(name).is_some());
    // What REJECT of iptables is here, where `nft` knows its name.
    let is_foreign = |step: &Json| step.get("xt").is_some_and(|xt| matches!(text(xt, "name"), "REJECT" | "DROP"));
    let ends = |step: &Json| has(step, &["drop", "reject"]) || is_foreign(step);
    steps.iter().any(ends) && steps.iter().all(|step| ends(step) || has(step, &["counter", "log"]))
}

/// Whether a chain is in a table that only the process which made it may change (`flags owner` of nft(8)).
fn is_owned(ruleset: &[Json], chain: &Json) -> bool {
    let is_its =
        |found: &&Json| text(found, "family") == text(chain, "family") && text(found, "name") == text(chain, "table");
    let table = ruleset.iter().filter(is_its).find(|found| found.get("table").is_none());
    table.and_then(|table| table.get("flags")).is_some_and(|flags| match flags {
        Json::Array(flags) => flags.iter().any(|flag| flag == "owner"),
        flag => flag == "owner",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain(family: &str, table: &str, name: &str, hook: &str, policy: &str) -> Json {
        json!({ "family": family, "table": table, "name": name, "type": "filter", "hook": hook, "policy": policy })
    }

    fn rule(chain: &str, expr: Json) -> Json {
        let [family, table, name] = chain.split(' ').collect::<Vec<_>>().try_into().unwrap();
        json!({ "family": family, "table": table, "chain": name, "handle": 7, "expr": expr })
    }

    #[test]
    fn chains_that_drop_what_they_do_not_know_are_found() {
        let check = |ruleset: &[Json], expected: &[(&str, Hook)]| {
            let expected: Vec<_> =
                expected.iter().map(|(chain, hook)| Dropping { chain: (*chain).to_owned(), hook: *hook }).collect();
            assert_eq!(dropping(ruleset), expected, "{ruleset:?}");
        };
        let forward = chain("ip", "filter", "FORWARD", "forward", "drop");
        let input = chain("inet", "filter", "input", "input", "drop");
        check(
            &[forward.clone(), input.clone()],
            &[("ip filter FORWARD", Hook::Forward), ("inet filter input", Hook::Input)],
        );
        check(&[chain("ip6", "filter", "FORWARD", "forward", "drop"), chain("ip", "f", "out", "output", "drop")], &[]);
        let mut translating = chain("ip", "nat", "in", "input", "drop");
        translating["type"] = "nat".into();
        check(&[translating], &[]);
        // What a network does not let in is none of others' business.
        check(&[chain("ip", "andon_0123456789ab", "allow", "forward", "drop")], &[]);
        // What accepts by default ends with a rule that does not, whatever it counts and notes.
        let open = chain("inet", "firewalld", "filter_FORWARD", "forward", "accept");
        let named = "inet firewalld filter_FORWARD";
        let found = [(named, Hook::Forward)];
        let jump = rule(named, json!([{ "jump": { "target": "zones" } }]));
        let reject = rule(named, json!([{ "reject": { "type": "icmpx", "expr": "admin-prohibited" } }]));
        check(&[open.clone(), jump.clone(), reject.clone()], &found);
        check(
            &[open.clone(), jump.clone(), rule(named, json!([{ "counter": {} }, { "log": null }, { "drop": null }]))],
            &found,
        );
        let foreign = json!([{ "counter": {} }, { "xt": { "type": "target", "name": "REJECT" } }]);
        check(&[open.clone(), rule(named, foreign)], &found);
        check(&[open.clone(), rule(named, json!([{ "xt": null }]))], &[]);
        check(&[open.clone(), reject.clone(), jump.clone()], &[]);
        let some = json!([{ "match": { "op": "in" } }, { "drop": null }]);
        check(&[open.clone(), jump.clone(), rule(named, some)], &[]);
        check(&[open.clone(), rule("inet firewalld other", json!([{ "drop": null }]))], &[]);
        // Who may not write there does not try.
        for flags in [json!(["owner"]), json!(["dormant", "owner"]), json!("owner")] {
            let table = json!({ "family": "inet", "name": "firewalld", "flags": flags });
            let ruleset = [table, open.clone(), reject.clone()];
            check(&ruleset, &[]);
            let said = closed(&ruleset, &"10.64.0.0/24".parse().unwrap()).unwrap();
            assert!(said.contains("`firewalld`") && said.contains("--add-source=10.64.0.0/24"), "{said}");
        }
        assert_eq!(closed(&[open, reject, forward, input], &"10.64.0.0/24".parse().unwrap()), None);
    }

    #[test]
    fn what_passes_has_its_rules_in_each_chain() {
        let net = "10.64.0.0/24".parse().unwrap();
        let chains =
            [chain("ip", "filter", "FORWARD", "forward", "drop"), chain("inet", "host", "input", "input", "drop")];
        assert_eq!(
            pass(&chains, "andon_x", &net),
            "insert rule ip filter FORWARD ip saddr 10.64.0.0/24 accept comment \"andon_x\"\n\
             insert rule ip filter FORWARD ip daddr 10.64.0.0/24 accept comment \"andon_x\"\n\
             insert rule inet host input iifname \"av*\" ip saddr 10.64.0.0/24 ip daddr 10.64.0.1 udp dport 53 accept comment \"andon_x\"\n\
             insert rule inet host input iifname \"av*\" ip saddr 10.64.0.0/24 ip daddr 10.64.0.1 tcp dport 53 accept comment \"andon_x\"\n"
        );
        let own = |chain: &str, table: &str| {
            let mut rule = rule(chain, json!([{ "accept": null }]));
            rule["comment"] = table.into();
            rule
        };
        let in_one = [&chains[..], &vec![own("ip filter FORWARD", "andon_x"); 2]].concat();
        assert!(!passes(&in_one, "andon_x"));
        let others = [&in_one[..], &vec![own("inet host input", "andon_y"); 2]].concat();
        assert!(!passes(&others, "andon_x"));
        let whole = [&others[..], &vec![own("inet host input", "andon_x"); 2]].concat();
        assert!(passes(&whole, "andon_x") && passes(&[], "andon_x"));
        assert_eq!(remove(&in_one, "andon_x"), "delete rule ip filter FORWARD handle 7\n".repeat(2));
    }
}
