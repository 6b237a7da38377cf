use andon_schema::host::{Act, Look};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, check_account, optional};
use crate::formats;
use crate::world::World;

/// A group of users.
pub(super) const KIND: Kind = Kind { name: "group", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "A group.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.").format(formats::ACCOUNT)),
            ("gid", optional(Type::Number, "Its number; without it, the next free.").format(formats::ID)),
            ("system", optional(Type::Bool, "Take the number of a new one from those for the system.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    check_account(&args.subject("name")).into_iter().chain(check_id(args, "gid")).collect()
}

/// What is wrong with the number of a user or group, if anything is.
pub(super) fn check_id(args: &Args, attribute: &str) -> Option<String> {
    let sound = args.whole(attribute).is_some_and(|id| id < u64::from(u32::MAX));
    (args.has(attribute) && !sound).then(|| format!("`{attribute}` is not a whole number from 0 to 4294967294"))
}

/// The number that is asked for.
pub(super) fn id(args: &Args, attribute: &str) -> Option<u32> {
    args.whole(attribute).and_then(|id| id.try_into().ok())
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    vec![Look::Group(args.subject("name"))]
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let gid = id(args, "gid");
    Ok(match (world.group(&name)?, args.absent) {
        (None, true) => Decision::nothing(),
        (Some(_), true) => Decision::new(Change::Remove, Vec::new(), vec![Act::RemoveGroup(name)]),
        (None, false) => {
            let differences = gid.map(|gid| args.difference("gid", "", &gid.to_string())).into_iter().collect();
            let acts = vec![Act::AddGroup { name, gid, system: args.truth("system") == Some(true) }];
            Decision::new(Change::Create, differences, acts)
        }
        (Some(group), false) => match gid.filter(|gid| *gid != group.gid) {
            Some(gid) => {
                let difference = args.difference("gid", &group.gid.to_string(), &gid.to_string());
                Decision::update(vec![difference], vec![Act::ChangeGroup { name, gid }])
            }
            None => Decision::nothing(),
        },
    })
}
