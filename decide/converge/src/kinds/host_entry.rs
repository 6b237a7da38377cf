use core::net::IpAddr;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Bytes, Look};
use andon_value::Type;

use super::content::{Wanted, text_looks, text_of};
use super::lines::{bare, ending};
use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::formats;
use crate::world::World;

/// A name of a host and its address, in `/etc/hosts`.
pub(super) const KIND: Kind = Kind { name: "host_entry", schema, check, looks, decide };

pub(super) const HOSTS: &str = "/etc/hosts";

fn schema() -> Block {
    block(
        "The address of a host, in `/etc/hosts`. A line that says another of the same name, of the same kind of address, \
         is taken out. `absent` takes out the name, with the address where one is given.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.").format(formats::HOST)),
            ("address", optional(Type::String, "Its IPv4 or IPv6 address.").format(formats::ADDRESS)),
            (
                "aliases",
                optional(Type::list(Type::String), "More names of the same host, in their order.")
                    .format(formats::HOST),
            ),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_host(&args.subject("name")).into_iter().collect();
    wrong.extend(args.texts("aliases").iter().filter_map(|alias| check_host(alias)));
    match args.text("address") {
        Some(address) if address.parse::<IpAddr>().is_err() => wrong.push(format!("`{address}` is not an IP address")),
        None if !args.absent => wrong.push("a host needs its `address`".to_owned()),
        _ => {}
    }
    wrong
}

/// What is wrong with the name of a host, if anything is (RFC 1123; underscores are in use, too).
pub(crate) fn check_host(name: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let sound = |label: &str| {
        (1..64).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    let sound = name.len() < 254 && name.split('.').all(sound);
    (!sound)
        .then(|| format!("`{name}` is not the name of a host: labels of letters, digits and `-`, with dots between"))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    text_looks(&HOSTS.into(), args, world)
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let old = text_of(HOSTS, world)?;
    let address = args.text("address").and_then(|address| address.parse().ok());
    let wanted = (!args.absent).then(|| args.texts("aliases"));
    let new = edit(old.unwrap_or_default(), address, &args.subject("name"), wanted.as_deref());
    if old.unwrap_or_default() == new {
        return Ok(Decision::nothing());
    }
    let content = Bytes::from(Arc::<str>::from(new));
    Wanted { content, ..Wanted::plain(HOSTS, "", None) }.decide(args, world)
}

/// The text of `/etc/hosts` in which a name has an address and aliases; without them it has none.
pub(super) fn edit(text: &str, address: Option<IpAddr>, name: &str, aliases: Option<&[Arc<str>]>) -> String {
    let ending = ending(text);
    let line = address.zip(aliases).map(|(address, aliases)| {
        let names: Vec<&str> = std::iter::once(name).chain(aliases.iter().map(|alias| &**alias)).collect();
        format!("{address}\t{}", names.join(" "))
    });
    let mut told = false;
    let mut lines: Vec<String> = Vec::new();
    for old in text.split_inclusive('\n') {
        let (words, remark) = bare(old).split_once('#').map_or((bare(old), None), |(words, rest)| (words, Some(rest)));
        let mut words = words.split_whitespace();
        let (Some(Ok(at)), names) = (words.next().map(str::parse::<IpAddr>), words.collect::<Vec<_>>()) else {
            lines.push(old.to_owned());
            continue;
        };
        let alike = address.is_none_or(|address| match aliases {
            Some(_) => address.is_ipv4() == at.is_ipv4(),
            None => address == at,
        });
        if !alike || !names.contains(&name) {
            lines.push(old.to_owned());
            continue;
        }
        let is_first = names.first() == Some(&name);
        if let Some(line) = line.as_ref().filter(|_| is_first && !told) {
            told = true;
            let mut own = line.split_whitespace();
            let same = own.next().and_then(|it| it.parse().ok()) == Some(at) && own.eq(names.iter().copied());
            let remark = remark.map(|remark| format!(" #{remark}")).unwrap_or_default();
            lines.push(if same { old.to_owned() } else { format!("{line}{remark}{ending}") });
            continue;
        }
        // Others that share the line keep it.
        let others: Vec<&str> = names.into_iter().filter(|other| *other != name).collect();
        if !is_first {
            let remark = remark.map(|remark| format!(" #{remark}")).unwrap_or_default();
            lines.push(format!("{at}\t{}{remark}{ending}", others.join(" ")));
        }
    }
    if let Some(line) = line.filter(|_| !told) {
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push_str(ending);
        }
        lines.push(line + ending);
    }
    lines.concat()
}
