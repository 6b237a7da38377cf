use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Bytes, Look, Stage};
use andon_value::Type;

use super::content::{Wanted, text_of};
use super::host_entry::{self, HOSTS, check_host};
use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::formats;
use crate::world::World;

/// What a server calls itself: now, and after the next boot.
pub(super) const KIND: Kind = Kind { name: "hostname", schema, check, looks, decide };

const FILE: &str = "/etc/hostname";
const LIVE: &str = "kernel.hostname";

fn schema() -> Block {
    block(
        "The name of the server: in `/etc/hostname` and, of a running one, now.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.").format(formats::HOST)),
            (
                "hosts",
                optional(
                    Type::Bool,
                    "Also give the name the address 127.0.1.1 in `/etc/hosts`, as Debian does; of a name with dots, its \
                     first part is another name of it.",
                ),
            ),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let mut wrong: Vec<String> = check_host(&name).into_iter().collect();
    if name.len() > 64 {
        wrong.push(format!("`{name}` is longer than the 64 letters that the kernel keeps of a name"));
    }
    if args.absent {
        wrong.push("a server always has a name: it cannot be absent".to_owned());
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let mut looks = vec![Look::Path { path: FILE.into(), content: true }];
    looks.extend((world.stage == Stage::Live).then(|| Look::Sysctl(LIVE.into())));
    if args.truth("hosts") == Some(true) {
        looks.push(Look::Path { path: HOSTS.into(), content: true });
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    let kept = text_of(FILE, world)?;
    if kept.map(str::trim) != Some(&*name) {
        let change = Wanted::plain(FILE, &format!("{name}\n"), None);
        let differs = args.difference("name", kept.unwrap_or_default().trim(), &name);
        differences.push(format!("in {FILE}: {differs}"));
        acts.push(write(change));
    }
    if args.truth("hosts") == Some(true) {
        let old = text_of(HOSTS, world)?.unwrap_or_default();
        let short: Vec<Arc<str>> = name.split_once('.').map(|(short, _)| short.into()).into_iter().collect();
        let new = with_name(old, &name, &short);
        if new != old {
            differences.push(format!("in {HOSTS}, for 127.0.1.1: {}", args.difference("name", "", &name)));
            acts.push(write(Wanted::plain(HOSTS, &new, None)));
        }
    }
    if world.stage == Stage::Live {
        match world.sysctl(LIVE)? {
            Some(now) if *now == name => {}
            now => {
                let now = now.map_or("", |now| now);
                differences.push(format!("of the running server: {}", args.difference("name", now, &name)));
                acts.push(Act::SetSysctl { key: LIVE.into(), value: name });
            }
        }
    }
    Ok(Decision::update(differences, acts))
}

/// The hosts with a line for the server's own name, in the place of one that says another.
fn with_name(text: &str, name: &str, short: &[Arc<str>]) -> String {
    let own = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));
    let first = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<IpAddr>().ok());
    let told = host_entry::edit(text, Some(own), name, Some(short));
    let says = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().nth(1) == Some(name);
    told.split_inclusive('\n').filter(|line| first(line) != Some(own) || says(line)).collect()
}

fn write(wanted: Wanted) -> Act {
    let Wanted { path, content, .. } = wanted;
    Act::WriteFile { path, content: Bytes(content.0), mode: None, owner: None, group: None, validate: None }
}
