use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Catalog, Command, Firewall, Look, Stage, Verb};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::firewall::{CHAINS, KEPT, Line, Says, ordered, policy, read, script};
use super::{Decision, Kind, unit_of};
use crate::args::{Args, block, look_at, optional};
use crate::text::show;
use crate::world::{World, bytes_of};

/// A rule of the firewall, nftables. All changed rules come into force in one step, with the first of them.
pub(super) const KIND: Kind = Kind { name: "firewall_rule", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/nftables.d";

/// What is read at boot, by family: the first that is there counts, else the first.
const MAIN: [&str; 3] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"];

fn schema() -> Block {
    let text = |description: &str| optional(Type::String, description);
    let texts = |description: &str| optional(Type::list(Type::String), description);
    block(
        "A rule of the firewall, in force at once and after the next boot. All rules are in one table of nftables, \
         `inet andon`: it has the rules that roles define and no others, those of one role beside those of another; \
         an absent one takes out those of its name, whichever role they are of. What is in other tables is left alone. With `policy` it says what becomes of what no rule matches.",
        &[
            ("name", text("What it is called; without it, the label.")),
            ("direction", text("What it is for: `input`, `output` or `forward`; without it, `input`.")),
            ("action", text("What becomes of what it matches: `accept`, `drop` or `reject`.")),
            (
                "policy",
                text("Instead of `action`: what becomes of what no rule of its direction matches, `accept` or `drop`."),
            ),
            ("protocol", texts("The protocols, such as `tcp`, `udp`, `icmp` or `icmpv6`; without it and ports, all.")),
            (
                "ports",
                texts("The ports that it goes to, such as `22` or `8000-8100`, of `tcp` where no protocol is given."),
            ),
            ("source_ports", texts("The ports that it comes from.")),
            ("source", texts("The addresses that it comes from, such as `10.0.0.0/8` or `fd00::1`.")),
            ("destination", texts("The addresses that it goes to.")),
            ("interface", texts("The interfaces that it comes in by; `*` at the end stands for any rest.")),
            ("out_interface", texts("The interfaces that it goes out by.")),
            ("state", texts("The states of its connection: `new`, `established`, `related`, `invalid`.")),
            ("limit", text("How often it matches at most, such as `10/second` or `5/minute burst 20`.")),
            ("log", text("Words for the kernel's log with each match; may be empty.")),
            (
                "priority",
                optional(Type::Number, "Its place: lower ones come first, 0 without it; else as they are defined."),
            ),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = args.subject("name");
    if name.is_empty() || name.len() > 60 || name.contains(['"', '\\', '\n', '\t']) {
        wrong.push(format!("`{name}` cannot be the name of a rule: 60 bytes at most, without quotes"));
    }
    if args.absent {
        return wrong;
    }
    let one_of = |attribute: &str, known: &[&str]| {
        let given = args.text(attribute).filter(|given| !known.contains(&&**given));
        given.map(|given| format!("`{attribute}` is `{given}`, not one of {}", known.join(", ")))
    };
    wrong.extend(one_of("direction", &CHAINS));
    wrong.extend(one_of("action", &["accept", "drop", "reject"]));
    wrong.extend(one_of("policy", &["accept", "drop"]));
    let matches = ["protocol", "ports", "source_ports", "source", "destination", "interface", "out_interface", "state"];
    let given: Vec<&str> =
        matches.into_iter().chain(["limit", "log", "action"]).filter(|name| args.has(name)).collect();
    match (args.has("policy"), args.has("action")) {
        (true, _) if !given.is_empty() => {
            wrong.push(format!(
                "`policy` is for what no rule matches, so that `{}` has no meaning beside it",
                given.join("`, `")
            ));
        }
        (false, false) => wrong.push("a rule needs an `action`: `accept`, `drop` or `reject`".to_owned()),
        _ => {}
    }
    let mut each = |attribute: &str, what: &str, sound: &dyn Fn(&str) -> bool| {
        let broken = args.texts(attribute).into_iter().filter(|text| !sound(text));
        wrong.extend(broken.map(|text| format!("`{text}` in `{attribute}` is not {what}")));
        if args.has(attribute) && args.texts(attribute).is_empty() {
            wrong.push(format!("`{attribute}` is empty, so that nothing would match; leave it out for anything"));
        }
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    each("protocol", "the name of a protocol", &word);
    each("ports", "a port, or a range such as `8000-8100`", &is_port);
    each("source_ports", "a port, or a range such as `8000-8100`", &is_port);
    each("source", "an address, or a network such as `10.0.0.0/8`", &|text| version_of(text).is_some());
    each("destination", "an address, or a network such as `10.0.0.0/8`", &|text| version_of(text).is_some());
    each("interface", "the name of an interface", &is_interface);
    each("out_interface", "the name of an interface", &is_interface);
    each("state", "the state of a connection", &|text| {
        ["new", "established", "related", "invalid", "untracked"].contains(&text)
    });
    let ports = args.has("ports") || args.has("source_ports");
    let portless =
        args.texts("protocol").into_iter().find(|name| !["tcp", "udp", "sctp", "dccp", "udplite"].contains(&&**name));
    if let Some(portless) = portless.filter(|_| ports) {
        wrong.push(format!("`{portless}` has no ports"));
    }
    if let Some(limit) = args.text("limit").filter(|limit| rate(limit).is_none()) {
        wrong.push(format!("`limit` is `{limit}`, not a rate such as `10/second` or `5/minute burst 20`"));
    }
    if args.text("log").is_some_and(|log| log.len() > 64 || log.contains(['"', '\\', '\n'])) {
        wrong.push("`log` is 64 bytes at most, without quotes".to_owned());
    }
    if args.has("priority") && args.signed("priority").is_none() {
        wrong.push("`priority` is not a whole number".to_owned());
    }
    if wrong.is_empty() && !args.has("policy") && expressions(args).is_empty() {
        wrong
            .push("`source` and `destination` are of different versions of IP, so that nothing would match".to_owned());
    }
    wrong
}

fn is_port(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match text.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
        None => number(text).is_some(),
    }
}

fn is_interface(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@+-".contains(&byte);
    let name = text.strip_suffix('*').unwrap_or(text);
    !name.is_empty() && name.len() < 16 && name.bytes().all(letter)
}

/// 4 or 6, by how an address, a network or a range is written.
fn version_of(text: &str) -> Option<u8> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    if let (Some((from, to)), None) = (address.split_once('-'), bits) {
        return version_of(from).filter(|version| version_of(to) == Some(*version));
    }
    let parts: Vec<&str> = address.split('.').collect();
    let octet = |part: &&str| (1..=3).contains(&part.len()) && part.parse::<u8>().is_ok();
    if parts.len() == 4 && parts.iter().all(octet) {
        return bits.is_none_or(|bits| bits <= 32).then_some(4);
    }
    let colons = address.matches(':').count();
    let sound =
        (2..=7).contains(&colons) && address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
    (sound && bits.is_none_or(|bits| bits <= 128)).then_some(6)
}

/// A rate as nft writes it.
fn rate(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (count, unit) = words.next()?.split_once('/')?;
    let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
    let unit = ["second", "minute", "hour", "day"].into_iter().find(|known| *known == unit)?;
    let rate = format!("limit rate {count}/{unit}");
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Some(rate),
        (Some("burst"), Some(burst), None) => {
            let burst: u32 = burst.parse().ok().filter(|burst| *burst > 0)?;
            Some(format!("{rate} burst {burst} packets"))
        }
        _ => None,
    }
}

/// One of these, or one thing.
fn set(values: &[Arc<str>]) -> String {
    match values {
        [one] => one.to_string(),
        values => format!("{{ {} }}", values.join(", ")),
    }
}

/// What nft is told, without comments: one for each version of IP that is named.
fn expressions(args: &Args) -> Vec<String> {
    let named = |attribute: &str, version: u8| -> Vec<Arc<str>> {
        args.texts(attribute).into_iter().filter(|text| version_of(text) == Some(version)).collect()
    };
    if !args.has("source") && !args.has("destination") {
        return vec![expression(args, "")];
    }
    let mut all = Vec::new();
    for (version, word) in [(4, "ip"), (6, "ip6")] {
        let mut addresses = String::new();
        let mut possible = true;
        for (attribute, side) in [("source", "saddr"), ("destination", "daddr")] {
            let values = named(attribute, version);
            possible &= !args.has(attribute) || !values.is_empty();
            if !values.is_empty() {
                addresses.push_str(&format!("{word} {side} {} ", set(&values)));
            }
        }
        if possible {
            all.push(expression(args, &addresses));
        }
    }
    all
}

fn expression(args: &Args, addresses: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for (attribute, side) in [("interface", "iifname"), ("out_interface", "oifname")] {
        let names: Vec<Arc<str>> = args.texts(attribute).iter().map(|name| format!("\"{name}\"").into()).collect();
        if !names.is_empty() {
            words.push(format!("{side} {}", set(&names)));
        }
    }
    if !addresses.is_empty() {
        words.push(addresses.trim_end().to_owned());
    }
    let mut protocols: Vec<Arc<str>> = args.texts("protocol");
    let ports = [("ports", "dport"), ("source_ports", "sport")];
    let with_ports = ports.iter().any(|(attribute, _)| args.has(attribute));
    if with_ports && protocols.is_empty() {
        protocols.push("tcp".into());
    }
    // Words of nft itself, which need no list of protocols on the server.
    let names: Vec<Arc<str>> =
        protocols.iter().map(|name| if &**name == "ipv6-icmp" { "icmpv6".into() } else { name.clone() }).collect();
    let head = match &*names {
        [one] if with_ports => one.to_string(),
        [] => String::new(),
        several => {
            words.push(format!("meta l4proto {}", set(several)));
            "th".to_owned()
        }
    };
    for (attribute, side) in ports {
        let values = args.texts(attribute);
        if !values.is_empty() {
            words.push(format!("{head} {side} {}", set(&values)));
        }
    }
    if args.has("state") {
        words.push(format!("ct state {}", set(&args.texts("state"))));
    }
    words.extend(args.text("limit").and_then(|limit| rate(&limit)));
    if let Some(log) = args.text("log") {
        words.push(if log.is_empty() { "log".to_owned() } else { format!("log prefix \"{log}\"") });
    }
    words.push(args.text("action").map(|action| action.to_string()).unwrap_or_default());
    words.join(" ")
}

/// The lines of one resource.
fn lines(args: &Args, role: &str) -> Vec<Line> {
    if args.absent {
        return Vec::new();
    }
    let direction = args.text("direction");
    let chain = CHAINS.into_iter().find(|chain| direction.as_deref() == Some(chain)).unwrap_or("input");
    let says = match args.text("policy") {
        Some(policy) => vec![Says::Policy(policy.to_string())],
        None => expressions(args).into_iter().map(Says::Rule).collect(),
    };
    let priority = args.signed("priority").unwrap_or(0);
    let line = |says| Line { chain, priority, role: role.to_owned(), name: args.subject("name").to_string(), says };
    says.into_iter().map(line).collect()
}

/// What all rules of a catalog come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// The roles whose rules these are.
    roles: Vec<String>,
    /// The names of rules that must not be there, whichever role they are of.
    removed: BTreeSet<Arc<str>>,
    /// The names of the resources, in order, with what each says.
    defined: Vec<(Arc<str>, Vec<Line>)>,
}

impl Rules {
    pub fn of(catalog: &Catalog) -> Rules {
        let named =
            |role: &str| role.chars().filter(|letter| !matches!(letter, '"' | '\\' | '/')).take(40).collect::<String>();
        let rules = catalog.resources.iter().filter(|resource| &*resource.kind == "firewall_rule");
        let defined = rules.clone().map(|resource| {
            let args = Args::of_resource(resource);
            (args.subject("name"), lines(&args, &named(&resource.role)))
        });
        let defined: Vec<_> = defined.collect();
        let removed = rules.filter(|resource| resource.absent).map(|it| Args::of_resource(it).subject("name"));
        let removed = removed.collect();
        Rules { defined, removed, roles: catalog.roles.iter().map(|role| named(role)).collect() }
    }

    /// Whether it is for these to say what becomes of a line.
    fn are_of(&self, line: &Line) -> bool {
        self.roles.contains(&line.role) || self.removed.contains(&*line.name)
    }

    /// Whether the roles have none.
    pub fn is_empty(&self) -> bool {
        self.defined.is_empty()
    }

    /// The whole table as it is to be: those of other roles stay.
    fn table(&self, kept: &[Line]) -> Vec<Line> {
        let others = kept.iter().filter(|line| !self.are_of(line)).cloned();
        ordered(others.chain(self.defined.iter().flat_map(|(_, lines)| lines.iter().cloned())).collect())
    }

    /// The names of those that are to change, in order; and what else is not as it is to be, a line each.
    fn differing(&self, firewall: &Firewall, stage: Stage) -> (Vec<Arc<str>>, Vec<String>) {
        let kept = read(&firewall.kept);
        let table = self.table(&kept);
        let lives: Vec<&str> = firewall.live.iter().flat_map(|chain| &chain.rules).map(|comment| &**comment).collect();
        let is_live = |line: &Line| match &line.says {
            Says::Rule(_) => lives.contains(&&*line.comment()),
            Says::Policy(_) => {
                let live = firewall.live.iter().find(|chain| *chain.name == *line.chain);
                live.is_some_and(|live| *live.policy == *policy(&table, line.chain))
            }
        };
        let sound = |line: &Line| kept.contains(line) && (stage == Stage::Image || is_live(line));
        let mut names = Vec::new();
        for (name, lines) in &self.defined {
            let before = kept.iter().filter(|line| self.are_of(line) && *line.name == **name).count();
            if before != lines.len() || !lines.iter().all(sound) {
                names.push(name.clone());
            }
        }
        let known = |name: &str| self.defined.iter().any(|(known, _)| **known == *name);
        let mut others: Vec<String> = Vec::new();
        for line in kept.iter().filter(|line| self.are_of(line) && !known(&line.name)) {
            let text = format!("takes out \"{}\", which is defined no more", line.name);
            if !others.contains(&text) {
                others.push(text);
            }
        }
        if stage == Stage::Live && names.is_empty() && others.is_empty() && !is_in_force(&table, firewall) {
            others.push("the rules in force are not those of the table".to_owned());
        }
        if names.is_empty() && others.is_empty() && script(&table) != *firewall.kept {
            others.push(format!("{KEPT} differs"));
        }
        (names, others)
    }
}

/// Whether the kernel has these rules in this order, and no others.
fn is_in_force(table: &[Line], firewall: &Firewall) -> bool {
    CHAINS.iter().all(|chain| {
        let mine = table.iter().filter(|line| line.chain == *chain);
        let wanted: Vec<String> =
            mine.clone().filter(|line| matches!(line.says, Says::Rule(_))).map(Line::comment).collect();
        match firewall.live.iter().find(|live| *live.name == **chain) {
            Some(live) => {
                *live.policy == *policy(table, chain)
                    && live.rules.len() == wanted.len()
                    && live.rules.iter().zip(&wanted).all(|(live, wanted)| **live == **wanted)
            }
            None => mine.count() == 0,
        }
    })
}

fn looks(_: &Args, world: &World) -> Vec<Look> {
    let mut looks = vec![Look::Firewall, look_at(DIRECTORY), Look::Service(unit_of("nftables"))];
    looks.extend(MAIN.map(|path| Look::Path { path: path.into(), content: true }));
    looks.retain(|look| world.stage == Stage::Live || !matches!(look, Look::Service(_)));
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let rules = &world.rules;
    let firewall = world.firewall()?;
    let (differing, mut others) = rules.differing(firewall, world.stage);
    let name = args.subject("name");
    let is_first = rules.defined.first().is_some_and(|(first, _)| *first == name);
    let (include, includes) = include(world)?;
    others.extend(includes);
    // What is of no single rule is the first one's, which then changes, too.
    let changes = differing.contains(&name) || (is_first && !others.is_empty());
    if !changes {
        return Ok(Decision::nothing());
    }
    let carries = is_first || (others.is_empty() && differing.first() == Some(&name));
    let kept = read(&firewall.kept);
    let mine = |lines: &[Line]| -> String {
        let mine = lines.iter().filter(|line| *line.name == *name && rules.are_of(line));
        mine.map(|line| match &line.says {
            Says::Rule(text) => format!("{} {text}\n", line.chain),
            Says::Policy(policy) => format!("{} policy {policy}\n", line.chain),
        })
        .collect()
    };
    let (old, new) = (mine(&kept), mine(&rules.table(&kept)));
    let shown = show(Some(old.as_bytes()), Some(new.as_bytes()), false);
    let mut differences = if is_first { others } else { Vec::new() };
    if old == new && differing.contains(&name) {
        differences.push("is not in force".to_owned());
    }
    let mut acts = Vec::new();
    if carries {
        acts = load(&rules.table(&kept), world);
        acts.extend(include);
    }
    let change = match (old.is_empty(), new.is_empty()) {
        (true, false) => Change::Create,
        (false, true) => Change::Remove,
        _ => Change::Update,
    };
    Ok(Decision { diff: shown.diff, ..Decision::new(change, differences, acts) })
}

/// The acts that put a table in force, and keep it.
fn load(table: &[Line], world: &World) -> Vec<Act> {
    let content = Bytes::from(&*script(table));
    let (mode, owner, group) = (None, None, None);
    let mut acts = Vec::new();
    if world.stage == Stage::Live {
        let command = Command { input: Some(content.clone()), ..Command::new(["nft", "-f", "-"]) };
        acts.push(Act::Run { command, doing: None, makes: Vec::new(), only: true });
    }
    if matches!(world.entry(DIRECTORY), Ok(None)) {
        acts.push(Act::MakeDirectory { path: DIRECTORY.into(), mode, owner: None, group: None });
    }
    acts.push(Act::WriteFile { path: KEPT.into(), content, mode: Some(0o644), owner, group, validate: None });
    acts
}

/// What makes the boot read the table: acts, and what differs.
fn include(world: &World) -> Result<(Vec<Act>, Vec<String>), String> {
    let (mut acts, mut differences) = (Vec::new(), Vec::new());
    let mut main = MAIN[0];
    for path in MAIN.iter().rev() {
        if world.entry(path)?.is_some() {
            main = path;
        }
    }
    let old = bytes_of(world.entry(main)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let includes = |line: &str| {
        let path = line.trim().strip_prefix("include").map(|rest| rest.trim().trim_matches(['"', ';']).to_owned());
        path.is_some_and(|path| path == KEPT || path == format!("{DIRECTORY}/*.nft"))
    };
    if !old.as_ref().is_some_and(|text| text.lines().any(includes)) {
        differences.push(format!("{main} does not include {KEPT}"));
        let mode = old.is_none().then_some(0o755);
        let mut text = old.unwrap_or_else(|| "#!/usr/sbin/nft -f\n\nflush ruleset\n\n".to_owned());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("include \"{KEPT}\"\n"));
        let content = Bytes::from(&*text);
        acts.push(Act::WriteFile { path: main.into(), content, mode, owner: None, group: None, validate: None });
    }
    let unit = unit_of("nftables");
    if world.stage == Stage::Live
        && world.service(&unit).ok().flatten().is_some_and(|unit| &*unit.enablement == "disabled")
    {
        differences.push("nftables is not started at boot".to_owned());
        acts.push(Act::Service { unit, verb: Verb::Enable });
    }
    Ok((acts, differences))
}

/// What has to be done for a role that has no rules any more, which no resource does.
pub(crate) fn sweep(world: &World) -> Result<Decision, String> {
    let kept = bytes_of(world.entry(KEPT)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let kept = read(&kept.unwrap_or_default());
    let mut differences: Vec<String> = Vec::new();
    for line in kept.iter().filter(|line| world.rules.are_of(line)) {
        let text = format!("takes out \"{}\", which is defined no more", line.name);
        if !differences.contains(&text) {
            differences.push(text);
        }
    }
    if differences.is_empty() {
        return Ok(Decision::nothing());
    }
    Ok(Decision::new(Change::Remove, differences, load(&world.rules.table(&kept), world)))
}
