//! Packages and services.

use std::collections::BTreeMap;

use andon_value::{Type, Value};

use super::machine::Machine;
use super::{map, text};
use crate::run::run;

pub(super) fn package_manager(machine: &Machine) -> Option<Value> {
    let tools = [
        ("/usr/bin/apt-get", "apt"),
        ("/usr/bin/dnf", "dnf"),
        ("/usr/bin/yum", "yum"),
        ("/sbin/apk", "apk"),
        ("/usr/bin/pacman", "pacman"),
        ("/usr/bin/zypper", "zypper"),
    ];
    tools.iter().find(|(path, _)| machine.exists(path)).map(|(_, name)| Value::from(*name))
}

/// Versions by name.
pub(super) fn packages(machine: &Machine) -> Option<Value> {
    let found = dpkg(machine).or_else(|| apk(machine)).or_else(|| pacman(machine)).or_else(|| rpm(machine))?;
    map("packages", found.into_iter().map(|(name, version)| (name, text(Some(version)))))
}

type Versions = BTreeMap<String, String>;

fn dpkg(machine: &Machine) -> Option<Versions> {
    let status = machine.read("/var/lib/dpkg/status")?;
    let package = |entry: &str| {
        let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let there = field("Status:").is_some_and(|status| status.ends_with(" installed"));
        there.then(|| Some((field("Package:")?.to_owned(), field("Version:")?.to_owned()))).flatten()
    };
    Some(status.split("\n\n").filter_map(package).collect())
}

fn apk(machine: &Machine) -> Option<Versions> {
    let file = machine.read("/lib/apk/db/installed").or_else(|| machine.read("/usr/lib/apk/db/installed"))?;
    let package = |entry: &str| {
        let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
        Some((field("P:")?.to_owned(), field("V:")?.to_owned()))
    };
    Some(file.split("\n\n").filter_map(package).collect())
}

fn pacman(machine: &Machine) -> Option<Versions> {
    let names = machine.names("/var/lib/pacman/local");
    if names.is_empty() {
        return None;
    }
    let package = |directory: &String| {
        let file = machine.read(&format!("/var/lib/pacman/local/{directory}/desc"))?;
        let field = |name: &str| file.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
        Some((field("%NAME%")?, field("%VERSION%")?))
    };
    Some(names.iter().filter_map(package).collect())
}

/// Its database is no text: its tool is asked.
fn rpm(machine: &Machine) -> Option<Versions> {
    if !machine.exists("/usr/bin/rpm") || !machine.is_here() {
        return None;
    }
    let output =
        run("rpm", &["-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"]).ok().filter(|output| output.success)?;
    let package = |line: &str| line.split_once(' ').map(|(name, version)| (name.to_owned(), version.to_owned()));
    Some(output.text.lines().filter_map(package).collect())
}

/// Whether each runs, and is started at boot; null where the init does not say.
pub(super) fn services(machine: &Machine) -> Option<Value> {
    let truth = |truth: Option<bool>| truth.map_or(Value::null(Type::Bool), Value::from);
    let entry = |(name, (running, enabled)): (String, (Option<bool>, Option<bool>))| {
        (name, Value::object([("running", truth(running)), ("enabled", truth(enabled))]))
    };
    let found = if machine.exists("/run/systemd/system") && machine.is_here() {
        systemd()?
    } else if machine.exists("/run/openrc") {
        openrc(machine)
    } else {
        let names = machine.names("/etc/init.d").into_iter().filter(|name| name != "README" && name != "functions");
        names.map(|name| (name, (None, None))).collect()
    };
    map("services", found.into_iter().map(entry))
}

type States = BTreeMap<String, (Option<bool>, Option<bool>)>;

fn systemd() -> Option<States> {
    let common = ["--type=service", "--all", "--no-legend", "--plain", "--no-pager", "--full"];
    let ask = |word: &str| {
        let words: Vec<&str> = [word].into_iter().chain(common).collect();
        run("systemctl", &words).ok().filter(|output| output.success).map(|output| output.text)
    };
    let mut found = States::new();
    let name = |unit: &str| unit.strip_suffix(".service").map(str::to_owned);
    for line in ask("list-unit-files")?.lines() {
        let mut words = line.split_whitespace();
        let (Some(unit), Some(state)) = (words.next().and_then(name), words.next()) else { continue };
        found.insert(unit, (Some(false), Some(state.starts_with("enabled"))));
    }
    for line in ask("list-units")?.lines() {
        let mut words = line.split_whitespace();
        let (Some(unit), _, Some(active)) = (words.next().and_then(name), words.next(), words.next()) else { continue };
        found.entry(unit).or_insert((None, None)).0 = Some(active == "active");
    }
    Some(found)
}

fn openrc(machine: &Machine) -> States {
    let started = machine.names("/run/openrc/started");
    let levels = machine.names("/etc/runlevels");
    let enabled: Vec<String> =
        levels.iter().flat_map(|level| machine.names(&format!("/etc/runlevels/{level}"))).collect();
    let state = |name: String| {
        let state = (Some(started.contains(&name)), Some(enabled.contains(&name)));
        (name, state)
    };
    machine.names("/etc/init.d").into_iter().map(state).collect()
}
