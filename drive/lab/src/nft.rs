//! A network's rules in the kernel's packet filter, by the program `nft`.
//!
//! A network has one table, of rules about its range: none for each server. What has its packets pass the firewalls of others
//! is in their chains, and leaves with the network: [`crate::firewall`].

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use andon_schema::Failure;
use ipnet::Ipv4Net;
use serde_json::Value as Json;

use crate::failure::{OrFail, sentence};
use crate::firewall;
use crate::machine;
use crate::policy::Policy;
use crate::records::Lock;

/// The name of a network's table.
pub(crate) fn table(identity: &str) -> String {
    format!("{OWN}{}", identity.replace('-', "_"))
}

/// What the names of all networks' tables begin with.
pub(crate) const OWN: &str = "andon_";

/// The group of the links of all servers, "an" as a number: by it they are known whatever they are called.
pub(crate) const LINKS: u32 = 0x616E;

/// What a kernel may not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Able {
    /// To look up the routes of a packet's sender.
    routes: bool,
    /// To stop what comes by IPv6. One that has none of it need not.
    version_6: bool,
}

/// Puts a network's rules in place of whatever it had. Gives a note where this kernel cannot do all of it.
pub(crate) fn apply(
    lock: &Lock,
    identity: &str,
    net: &Ipv4Net,
    masquerade: bool,
    policy: Option<&Policy>,
) -> Result<Option<String>, Failure> {
    let ruleset = list("ruleset")?;
    let has_version_6 = has_version_6();
    let mut able = Able { routes: true, version_6: has_version_6 };
    loop {
        // `nft` repeats what the kernel refused.
        match run(lock, &script(&ruleset, identity, net, masquerade, policy, able)) {
            Ok(()) => break,
            Err(failure) if able.routes && failure.to_string().contains("fib saddr") => able.routes = false,
            Err(failure) if able.version_6 && failure.to_string().contains(" ip6 ") => able.version_6 = false,
            Err(failure) => return Err(failure),
        }
    }
    let no_routes = (!able.routes).then_some(
        "This kernel's packet filter knows of no routes (`nft_fib_ipv4`): a server can send with the address of another one \
         where the links' own filter is turned off.",
    );
    let no_version_6 = (has_version_6 && !able.version_6).then_some(
        "This kernel's packet filter knows nothing of IPv6: where that is turned on for the links of servers, they can send by it.",
    );
    let closed = firewall::closed(&ruleset, net);
    let notes: Vec<&str> = no_routes.into_iter().chain(no_version_6).chain(closed.as_deref()).collect();
    Ok((!notes.is_empty()).then(|| notes.join(" ")))
}

/// Whether this machine has IPv6 at all.
fn has_version_6() -> bool {
    std::path::Path::new("/proc/sys/net/ipv6").exists()
}

/// The chain that looks at who sends. What is named otherwise does not stop IPv6.
const ORIGIN: &str = "origin";
const ORIGIN_OF_VERSION_4: &str = "origin_ipv4";

/// The rules of a network. What comes by the link of any server and says that it is from elsewhere is
/// stopped, and so is all that comes there by IPv6, which the lab has none of. The links' own settings do both, too,
/// but not where this machine's udev turns them off: systemd's applies the settings of `sysctl.d` to every new link.
fn script(
    ruleset: &[Json],
    identity: &str,
    net: &Ipv4Net,
    masquerade: bool,
    policy: Option<&Policy>,
    able: Able,
) -> String {
    let table = table(identity);
    let mut script = format!("add table ip {table}\ndelete table ip {table}\nadd table ip {table}\n");
    script += &remove_version_6(ruleset, &table);
    if masquerade {
        script += &format!(
            "add chain ip {table} outside {{ type nat hook postrouting priority srcnat; policy accept; }}\n\
             add rule ip {table} outside ip saddr {net} oifname != \"av*\" masquerade\n"
        );
    }
    if let Some(Policy { chain, rules }) = policy {
        script +=
            &format!("add chain ip {table} {chain} {{ type filter hook forward priority filter; policy accept; }}\n");
        rules.iter().for_each(|rule| script += &format!("add rule ip {table} {chain} {rule}\n"));
    }
    let first = "type filter hook prerouting priority raw; policy accept;";
    let origin = if able.version_6 { ORIGIN } else { ORIGIN_OF_VERSION_4 };
    script += &format!("add chain ip {table} {origin} {{ {first} }}\n");
    if able.routes {
        script += &format!("add rule ip {table} {origin} iifgroup {LINKS} fib saddr . iif oif missing drop\n");
    }
    if able.version_6 {
        script += &format!(
            "add table ip6 {table}\nadd chain ip6 {table} {ORIGIN} {{ {first} }}\n\
             add rule ip6 {table} {ORIGIN} iifgroup {LINKS} drop\n"
        );
    }
    script += &firewall::remove(ruleset, &table);
    script += &firewall::pass(ruleset, &table, net);
    script
}

/// A script that removes a network's table of IPv6, where there is one.
fn remove_version_6(ruleset: &[Json], table: &str) -> String {
    match has_version_6_table(ruleset, table) {
        true => format!("delete table ip6 {table}\n"),
        false => String::new(),
    }
}

/// Whether all that comes by IPv6 is stopped.
fn has_version_6_table(ruleset: &[Json], table: &str) -> bool {
    ruleset.iter().any(|found| text(found, "family") == "ip6" && in_table(found) == table)
}

/// The name of the table that something is, or is in.
fn in_table(found: &Json) -> &str {
    match text(found, "table") {
        "" => text(found, "name"),
        table => table,
    }
}

/// Removes a network's rules, if there are any.
pub(crate) fn remove(lock: &Lock, identity: &str) -> Result<(), Failure> {
    let table = table(identity);
    let ruleset = list("ruleset")?;
    let rest = remove_version_6(&ruleset, &table) + &firewall::remove(&ruleset, &table);
    run(lock, &format!("add table ip {table}\ndelete table ip {table}\n{rest}"))
}

/// The identities of which there are tables; those alone that can be told from a table's name.
pub(crate) fn identities() -> Result<Vec<String>, Failure> {
    let tables = list("tables")?;
    let named = tables.iter().filter(|table| text(table, "family") == "ip").map(|table| text(table, "name"));
    let identities = named.filter_map(|name| name.strip_prefix(OWN));
    let is_whole = |identity: &&str| identity.len() == 12 && identity.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(identities.filter(is_whole).map(str::to_owned).collect())
}

/// What a network's table does.
pub(crate) struct State {
    pub masquerade: bool,
    /// The chain that stops who is not let in.
    pub policy: Option<String>,
    /// Whether who sends is looked at, as far as this kernel can.
    pub origin: bool,
    /// Whether firewalls that drop what they do not know let its packets pass, those too that came later.
    pub passes: bool,
}

/// What a network's table does; `None` where it is not there.
pub(crate) fn state(identity: &str) -> Result<Option<State>, Failure> {
    let table = table(identity);
    let ruleset = list("ruleset")?;
    let is_own = |found: &&Json| text(found, "family") == "ip" && in_table(found) == table;
    let own: Vec<&Json> = ruleset.iter().filter(is_own).collect();
    let has_table = !own.is_empty();
    let at =
        |hook: &str| own.iter().find(|chain| text(chain, "hook") == hook).map(|chain| text(chain, "name").to_owned());
    let (has_chain, policy) = (at("postrouting").is_some(), at("forward"));
    let origin = match at("prerouting").as_deref() {
        Some(ORIGIN) => has_version_6_table(&ruleset, &table),
        found => found.is_some(),
    };
    let passes = firewall::passes(&ruleset, &table);
    Ok(has_table.then_some(State { masquerade: has_chain, policy, origin, passes }))
}

/// The chain that a rule is in, as [`chain_name`] has it.
pub(crate) fn in_chain(rule: &Json) -> String {
    format!("{} {} {}", text(rule, "family"), text(rule, "table"), text(rule, "chain"))
}

/// A chain as `nft` names it: its family, its table, its own name.
pub(crate) fn chain_name(chain: &Json) -> String {
    format!("{} {} {}", text(chain, "family"), text(chain, "table"), text(chain, "name"))
}

/// A text of an object by its name, which is empty where it has none.
pub(crate) fn text<'a>(object: &'a Json, name: &str) -> &'a str {
    object.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// What `nft -j list` answers, each object without the name of its kind.
fn list(what: &str) -> Result<Vec<Json>, Failure> {
    let program = program()?;
    let output = Command::new(program).args(["-j", "-a", "list", what]).output();
    let output = output.or_fail(|| "cannot run `nft`".into())?;
    if !output.status.success() {
        return Err(refusal(&output.stderr));
    }
    let answer: Json =
        serde_json::from_slice(&output.stdout).or_fail(|| "`nft` gave an answer that is not JSON".into())?;
    let objects = answer.get("nftables").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(objects.iter().filter_map(|object| object.as_object()?.values().next().cloned()).collect())
}

/// Runs a script in one transaction. The lock travels with the child as its standard output, to which it writes
/// nothing: whoever takes the lock after we were killed finds the transaction done or never begun.
fn run(lock: &Lock, script: &str) -> Result<(), Failure> {
    let program = program()?;
    let mut command = Command::new(program);
    let lock = lock.share().or_fail(|| "cannot share a lock".into())?;
    command.args(["-f", "-"]).process_group(0).stdin(Stdio::piped()).stdout(lock).stderr(Stdio::piped());
    let mut child = command.spawn().or_fail(|| "cannot run `nft`".into())?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes()).or_fail(|| "cannot write to `nft`".into())?;
    }
    let output = child.wait_with_output().or_fail(|| "cannot wait for `nft`".into())?;
    if output.status.success() { Ok(()) } else { Err(refusal(&output.stderr)) }
}

fn program() -> Result<std::path::PathBuf, Failure> {
    machine::nft().ok_or_else(|| {
        Failure::new("the program `nft` is missing", "A network's way outside goes through the kernel's packet filter.")
            .help("Install it: `apt-get install nftables`.")
    })
}

fn refusal(stderr: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(stderr);
    Failure::new("the packet filter refused a network's rules", sentence(&format!("`nft` said: {}", said.trim())))
}
