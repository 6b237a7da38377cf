use std::sync::Arc;

use andon_schema::Block;
use andon_schema::Change;
use andon_schema::host::{Act, Bytes, Look, Stage};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional};
use crate::formats;
use crate::world::{World, bytes_of};

/// A kernel setting, now and after the next boot.
pub(super) const KIND: Kind = Kind { name: "sysctl", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/sysctl.d";

fn schema() -> Block {
    block(
        "A kernel setting. It is kept in a file of its own in `/etc/sysctl.d`, and given to the running kernel; in an \
         image it is only kept. `absent` no longer keeps it.",
        &[
            ("key", optional(Type::String, "The setting, such as `net.core.somaxconn`; without it, the label.")),
            ("value", optional(Type::String, "Its value.").format(formats::LINE)),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let key = args.subject("key");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let sound =
        key.bytes().all(letter) && key.split(['.', '/']).all(|step| !step.is_empty()) && key.contains(['.', '/']);
    let mut wrong = Vec::new();
    if !sound {
        wrong.push(format!("`{key}` is not a kernel setting, such as `net.core.somaxconn`"));
    }
    match args.text("value") {
        Some(value) if value.contains('\n') => wrong.push("`value` holds more than one line".to_owned()),
        None if !args.absent => wrong.push("a kernel setting needs a `value`".to_owned()),
        _ => {}
    }
    wrong
}

fn file_of(key: &str) -> Arc<str> {
    format!("{DIRECTORY}/90-andon-{}.conf", key.replace('/', ".")).into()
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let key = args.subject("key");
    let mut looks = vec![Look::Path { path: file_of(&key), content: true }];
    if !args.absent {
        looks.push(look_at(DIRECTORY));
        if world.stage == Stage::Live {
            looks.push(Look::Sysctl(key));
        }
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let key = args.subject("key");
    let path = file_of(&key);
    let kept = bytes_of(world.entry(&path)?);
    if args.absent {
        return Ok(match kept {
            Some(_) => Decision::new(Change::Remove, Vec::new(), vec![Act::Remove { path }]),
            None => Decision::nothing(),
        });
    }
    let words = args.text("value").ok_or("a kernel setting needs a `value`")?;
    let value: Arc<str> = words.split_whitespace().collect::<Vec<_>>().join(" ").into();
    let content = Bytes::from(format!("{key} = {value}\n").as_str());
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    let known = if world.stage == Stage::Live { world.sysctl(&key)?.cloned() } else { None };
    if kept != Some(&content) {
        if world.entry(DIRECTORY)?.is_none() {
            acts.push(Act::MakeDirectory { path: DIRECTORY.into(), mode: None, owner: None, group: None });
        }
        differences.push(if kept.is_some() { format!("{path} differs") } else { format!("{path} is missing") });
        // Where the kernel has another one, that is told with it.
        if known.as_ref().is_none_or(|known| *known == value) {
            differences.push(args.difference("value", "", &value));
        }
        acts.push(Act::WriteFile { path, content, mode: Some(0o644), owner: None, group: None, validate: None });
    }
    if world.stage == Stage::Live {
        match world.sysctl(&key)? {
            Some(now) if *now == value => {}
            Some(now) => {
                differences.push(args.difference("value", now, &value));
                acts.push(Act::SetSysctl { key, value });
            }
            None if world.loose => {}
            None => return Err(format!("this server's kernel has no setting `{key}`")),
        }
    }
    Ok(Decision::update(differences, acts))
}
