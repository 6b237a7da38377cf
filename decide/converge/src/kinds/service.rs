use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Look, Stage, Unit, Verb};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::world::World;

/// A service: whether it runs, and whether it is started at boot, by whatever init the server has.
pub(super) const KIND: Kind = Kind { name: "service", schema, check, looks, decide };

const SUFFIXES: [&str; 6] = [".service", ".socket", ".timer", ".path", ".target", ".mount"];

fn schema() -> Block {
    block(
        "A service of systemd, OpenRC, runit or System V's init, whichever the server has. In an image it is only enabled \
         or disabled. `absent` stops and disables it. What changes below it says with `reloads` and `restarts` what \
         the service is to do about it.",
        &[
            (
                "name",
                optional(
                    Type::String,
                    "The service, a unit of systemd with or without `.service`; without it, the label.",
                ),
            ),
            ("running", optional(Type::Bool, "Whether it runs.")),
            ("enabled", optional(Type::Bool, "Whether it is started at boot.")),
            ("masked", optional(Type::Bool, "Whether nothing can start it, not even by hand (systemd).")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let sound = !name.is_empty() && !name.starts_with('-') && name.len() < 250 && name.bytes().all(letter);
    let mut wrong: Vec<String> =
        (!sound).then(|| format!("`{name}` is not the name of a service")).into_iter().collect();
    for attribute in ["running", "enabled"] {
        if args.truth("masked") == Some(true) && args.truth(attribute) == Some(true) {
            wrong.push(format!("what is `masked` can be neither running nor enabled, and `{attribute}` asks for it"));
        }
    }
    wrong
}

/// The name of a unit: `.service` is what has no suffix.
pub(crate) fn unit_of(name: &str) -> Arc<str> {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) { name.into() } else { format!("{name}.service").into() }
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    vec![Look::Service(unit_of(&args.subject("name")))]
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let unit = unit_of(&args.subject("name"));
    let wish = if args.absent {
        Wish { running: Some(false), enabled: Some(false), masked: None }
    } else {
        Wish { running: args.truth("running"), enabled: args.truth("enabled"), masked: args.truth("masked") }
    };
    let state = match world.service(&unit)? {
        Some(state) => state.clone(),
        None if world.loose => Unit::default(),
        None if [wish.running, wish.enabled, wish.masked].contains(&Some(true)) => {
            return Err(format!("this server knows no service `{unit}`; is its package defined before this resource?"));
        }
        None => return Ok(Decision::nothing()),
    };
    let (differences, acts) = change(args, world, &unit, &state, wish)?;
    Ok(Decision::update(differences, acts))
}

/// What is asked of a service; `None` asks nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub running: Option<bool>,
    pub enabled: Option<bool>,
    pub masked: Option<bool>,
}

/// The acts that make a service so, and a line for each.
pub(super) fn change(
    args: &Args,
    world: &World,
    unit: &Arc<str>,
    state: &Unit,
    wish: Wish,
) -> Result<(Vec<String>, Vec<Act>), String> {
    let mut differences = Vec::new();
    let mut acts = Vec::new();
    let mut act = |attribute: &str, from: bool, verb: Verb| {
        differences.push(args.difference(attribute, &from.to_string(), &(!from).to_string()));
        acts.push(Act::Service { unit: unit.clone(), verb });
    };
    let is_masked = state.enablement.starts_with("masked");
    let live = world.stage == Stage::Live;
    if is_masked && wish.masked != Some(false) && [wish.running, wish.enabled].contains(&Some(true)) {
        return Err(format!("`{unit}` is masked, so that nothing can start it; `masked = false` takes that back"));
    }
    match wish.masked {
        Some(false) if is_masked => act("masked", true, Verb::Unmask),
        _ => {}
    }
    match wish.enabled {
        Some(true) if !counts_as_enabled(state) => act("enabled", false, Verb::Enable),
        // What is enabled until the next boot, or only linked, is not started by it.
        Some(false) if &*state.enablement == "enabled" => act("enabled", true, Verb::Disable),
        _ => {}
    }
    match wish.running {
        Some(true) if live && !state.running => act("running", false, Verb::Start),
        Some(false) if live && state.running => act("running", true, Verb::Stop),
        _ => {}
    }
    match wish.masked {
        Some(true) if !is_masked => act("masked", false, Verb::Mask),
        _ => {}
    }
    // A mask hides whether a unit is enabled.
    if is_masked && wish.enabled == Some(false) && wish.masked == Some(false) {
        acts.push(Act::Service { unit: unit.clone(), verb: Verb::Disable });
    }
    if state.stale && !acts.is_empty() {
        acts.insert(0, Act::ReadUnits);
    }
    Ok((differences, acts))
}

/// Units without an `[Install]` section cannot be enabled, and are started by what needs them.
fn counts_as_enabled(unit: &Unit) -> bool {
    matches!(&*unit.enablement, "enabled" | "static" | "indirect" | "alias" | "generated" | "transient")
}
