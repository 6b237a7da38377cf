use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Bytes, Look, Node};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, look_at, required};
use crate::world::{World, bytes_of};

/// The time zone of a server: the target of `/etc/localtime`, and the text of `/etc/timezone` where that is there.
pub(super) const KIND: Kind = Kind { name: "timezone", schema, check, looks, decide };

const LOCALTIME: &str = "/etc/localtime";
const TIMEZONE: &str = "/etc/timezone";
const ZONES: &str = "/usr/share/zoneinfo/";

fn schema() -> Block {
    let name = "The zone, as in `/usr/share/zoneinfo`: `UTC`, `Europe/Paris`.";
    block("The time zone of the server. The label is free.", &[("name", required(Type::String, name))])
}

fn check(args: &Args) -> Vec<String> {
    let Some(name) = args.text("name") else { return Vec::new() };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_/".contains(&byte);
    let sound = !name.is_empty() && name.bytes().all(letter) && name.split('/').all(|step| !step.is_empty());
    let mut wrong = Vec::new();
    if !sound {
        wrong.push(format!("`{name}` is not a time zone, such as `Europe/Paris`"));
    }
    if args.absent {
        wrong.push("a server always has a time zone: it cannot be absent".to_owned());
    }
    wrong
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    let zone = args.text("name").map(|name| look_at(&format!("{ZONES}{name}")));
    let timezone = Look::Path { path: TIMEZONE.into(), content: true };
    [look_at(LOCALTIME), timezone].into_iter().chain(zone).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.text("name").ok_or("a time zone needs a `name`")?;
    let target: Arc<str> = format!("{ZONES}{name}").into();
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    let now = match world.entry(LOCALTIME)?.map(|entry| &entry.node) {
        Some(Node::Link(link)) => link.rsplit_once("zoneinfo/").map_or(&**link, |(_, zone)| zone),
        Some(Node::File(_)) => "(a file)",
        Some(_) => return Err(format!("{LOCALTIME} is neither a link nor a file")),
        // Without the link a server's time is UTC.
        None => "UTC",
    };
    if !is_same(now, &name) {
        if world.entry(&target)?.is_none() && !world.loose {
            return Err(format!(
                "there is no time zone `{name}` on this server; is `package \"tzdata\" {{}}` defined before it?"
            ));
        }
        differences.push(args.difference("name", now, &name));
        acts.push(Act::MakeLink { path: LOCALTIME.into(), target });
    }
    let content = Bytes::from(format!("{name}\n").as_str());
    let kept = bytes_of(world.entry(TIMEZONE)?).map(|kept| String::from_utf8_lossy(&kept.0));
    if kept.is_some_and(|kept| !is_same(kept.trim(), &name)) {
        differences.push(format!("{TIMEZONE} differs"));
        let path = TIMEZONE.into();
        acts.push(Act::WriteFile { path, content, mode: None, owner: None, group: None, validate: None });
    }
    Ok(Decision::update(differences, acts))
}

/// `Etc/UTC` and `UTC` are two names of one zone, as are the others of which both are there.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |name| str::strip_prefix(name, "Etc/").unwrap_or(name);
    plain(one) == plain(other)
}
