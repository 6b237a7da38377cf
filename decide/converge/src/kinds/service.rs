use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Look, Stage, Unit, Verb};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::world::World;

/// A unit of systemd: whether it runs, and whether it is started at boot.
pub(super) const KIND: Kind = Kind { name: "service", schema, check, looks, decide };

const SUFFIXES: [&str; 6] = [".service", ".socket", ".timer", ".path", ".target", ".mount"];

fn schema() -> Block {
    block(
        "A service of systemd. In an image it is only enabled or disabled. `absent` stops and disables it.",
        &[
            ("name", optional(Type::String, "The unit, with or without `.service`; without it, the label.")),
            ("running", optional(Type::Bool, "Whether it runs.")),
            ("enabled", optional(Type::Bool, "Whether it is started at boot.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let sound = !name.is_empty() && !name.starts_with('-') && name.len() < 250 && name.bytes().all(letter);
    (!sound).then(|| format!("`{name}` is not the name of a service")).into_iter().collect()
}

/// The name of a unit: `.service` is what has no suffix.
pub(crate) fn unit_of(name: &str) -> Arc<str> {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) { name.into() } else { format!("{name}.service").into() }
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    vec![Look::Service(unit_of(&args.subject("name")))]
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let unit = unit_of(&name);
    let (running, enabled) =
        if args.absent { (Some(false), Some(false)) } else { (args.truth("running"), args.truth("enabled")) };
    let nothing_there = Unit::default();
    let state = match world.service(&unit)? {
        Some(state) => state,
        None if world.loose => &nothing_there,
        None if running == Some(true) || enabled == Some(true) => {
            return Err(format!("systemd knows no unit `{unit}`; is its package defined before this resource?"));
        }
        None => return Ok(Decision::nothing()),
    };
    let mut differences = Vec::new();
    let mut acts = Vec::new();
    let mut act = |attribute: &str, from: bool, verb: Verb| {
        differences.push(args.difference(attribute, &from.to_string(), &(!from).to_string()));
        acts.push(Act::Service { unit: unit.clone(), verb });
    };
    match enabled {
        Some(true) if !counts_as_enabled(state) => act("enabled", false, Verb::Enable),
        Some(false) if matches!(&*state.enablement, "enabled" | "enabled-runtime" | "linked") => {
            act("enabled", true, Verb::Disable);
        }
        _ => {}
    }
    if world.stage == Stage::Live {
        match running {
            Some(true) if !state.running => act("running", false, Verb::Start),
            Some(false) if state.running => act("running", true, Verb::Stop),
            _ => {}
        }
    }
    if state.stale && !acts.is_empty() {
        acts.insert(0, Act::ReadUnits);
    }
    Ok(Decision::update(differences, acts))
}

/// Units without an `[Install]` section cannot be enabled, and are started by what needs them.
fn counts_as_enabled(unit: &Unit) -> bool {
    matches!(&*unit.enablement, "enabled" | "static" | "indirect" | "alias" | "generated" | "transient")
}
