//! Whether a new server may count as made: what it must be, against what was seen of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::units::format_bytes;
use andon_schema::{OpenPort, Performance, Standing};

/// What a new server must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// No unit may have failed.
    pub units: bool,
    /// These services run, and no others; any where none is given.
    pub services: Option<BTreeSet<Arc<str>>>,
    /// It has these users, and no others; any where none is given.
    pub users: Option<BTreeSet<Arc<str>>>,
    /// These ports can be reached, and no others; any where none is given.
    pub ports: Option<BTreeSet<OpenPort>>,
}

/// What is wrong with a new server, a sentence each; nothing where it may count as made.
pub fn judge(expected: &Expected, seen: &Standing) -> Vec<String> {
    let mut wrong = Vec::new();
    if expected.units {
        match seen.failed.as_slice() {
            [] => {}
            [one] => wrong.push(format!("The unit {one} has failed.")),
            many => wrong.push(format!("These units have failed: {}.", many.join(", "))),
        }
        if seen.is_starting {
            wrong.push("It is still starting.".to_owned());
        }
    }
    let services = seen.services.clone().unwrap_or_default();
    sets(&mut wrong, expected.services.as_ref(), &services, "The service", "does not run", "runs");
    sets(&mut wrong, expected.users.as_ref(), &seen.users, "The user", "is not there", "is there");
    sets(&mut wrong, expected.ports.as_ref(), &seen.ports, "The port", "is not open", "is open");
    wrong
}

/// What of a new server does not answer this machine, a sentence each. `closed` are the TCP ports that took no connection.
pub fn unreached(answers: bool, closed: &[u16]) -> Vec<String> {
    if !answers {
        return vec!["Nothing answers at its address.".to_owned()];
    }
    closed.iter().map(|port| format!("The port {port} takes no connection from this machine.")).collect()
}

fn sets<T: Ord + std::fmt::Display>(
    wrong: &mut Vec<String>,
    expected: Option<&BTreeSet<T>>,
    seen: &[T],
    what: &str,
    lacks: &str,
    has: &str,
) {
    let Some(expected) = expected else { return };
    let missing = expected.iter().filter(|it| !seen.contains(it));
    wrong.extend(missing.map(|it| format!("{what} {it} {lacks}.")));
    let others = seen.iter().filter(|it| !expected.contains(it));
    wrong.extend(others.map(|it| format!("{what} {it} {has}, and is not expected.")));
}

/// What of a server is slower than it must be, a sentence each.
pub fn too_slow(floor: &Performance, measured: &Performance) -> Vec<String> {
    let what = [
        ("processor", floor.cpu, measured.cpu),
        ("disk", floor.disk, measured.disk),
        ("network", floor.network, measured.network),
    ];
    let slow = what.into_iter().filter_map(|(what, floor, measured)| {
        let (floor, measured) = (floor?, measured.unwrap_or(0));
        (measured < floor).then(|| {
            let whole = measured >> 20 << 20;
            let (measured, floor) = (format_bytes(if whole > 0 { whole } else { measured }), format_bytes(floor));
            format!("Its {what} does {measured} a second, and must do {floor}.")
        })
    });
    slow.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn ports(ports: &[&str]) -> BTreeSet<OpenPort> {
        ports.iter().map(|port| OpenPort::parse(port).unwrap()).collect()
    }

    #[test]
    fn a_new_server_is_judged() {
        let sound = Standing {
            services: Some(vec!["nginx".into(), "ssh".into()]),
            users: vec!["deploy".into()],
            ports: ports(&["22", "80"]).into_iter().collect(),
            ..Standing::default()
        };
        let any = Expected { units: true, services: None, users: None, ports: None };
        let check = |expected: &Expected, seen: &Standing, wrong: &[&str]| assert_eq!(judge(expected, seen), wrong);
        check(&any, &sound, &[]);
        check(&any, &Standing::default(), &[]);
        let failed = Standing { failed: vec!["nginx.service".into()], ..sound.clone() };
        check(&any, &failed, &["The unit nginx.service has failed."]);
        check(&Expected { units: false, ..any.clone() }, &failed, &[]);
        check(&any, &Standing { is_starting: true, ..sound.clone() }, &["It is still starting."]);
        let exact = Expected {
            services: Some(names(&["nginx", "ssh"])),
            users: Some(names(&["deploy"])),
            ports: Some(ports(&["22", "80"])),
            ..any.clone()
        };
        check(&exact, &sound, &[]);
        let other = Expected {
            services: Some(names(&["nginx"])),
            users: Some(names(&["deploy", "shop"])),
            ports: Some(ports(&["22", "53/udp"])),
            ..any.clone()
        };
        let wrong = [
            "The service ssh runs, and is not expected.",
            "The user shop is not there.",
            "The port 53/udp is not open.",
            "The port 80 is open, and is not expected.",
        ];
        check(&other, &sound, &wrong);
        let none = Expected { ports: Some(ports(&[])), ..any };
        check(
            &none,
            &sound,
            &["The port 22 is open, and is not expected.", "The port 80 is open, and is not expected."],
        );
    }

    #[test]
    fn what_does_not_answer_is_told() {
        assert_eq!(unreached(true, &[]), Vec::<String>::new());
        assert_eq!(unreached(true, &[80]), ["The port 80 takes no connection from this machine."]);
        assert_eq!(unreached(false, &[80]), ["Nothing answers at its address."]);
    }

    #[test]
    fn what_is_too_slow_is_told() {
        let floor = Performance { cpu: Some(100 << 20), disk: None, network: Some(1 << 30) };
        let measured = Performance { cpu: Some((50 << 20) + 5), disk: Some(1), network: Some(2 << 30) };
        assert_eq!(too_slow(&floor, &measured), ["Its processor does 50M a second, and must do 100M."]);
        assert_eq!(too_slow(&Performance::default(), &Performance::default()), Vec::<String>::new());
        assert_eq!(too_slow(&floor, &Performance::default()).len(), 2);
    }

    #[test]
    fn ports_are_read() {
        let check = |text: &str, expected: Option<(u16, bool)>| {
            assert_eq!(OpenPort::parse(text).map(|port| (port.number, port.udp)), expected, "{text}");
        };
        check("80", Some((80, false)));
        check("80/tcp", Some((80, false)));
        check("53/udp", Some((53, true)));
        for wrong in ["", "0", "70000", "80/icmp", "http", "-1", "80/"] {
            check(wrong, None);
        }
    }
}
