use std::sync::Arc;

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
            (
                "members",
                optional(
                    Type::Set(Type::String.into()),
                    "Users, which must exist, that it is a group of beside their primary one. Other members stay.",
                )
                .format(formats::ACCOUNT),
            ),
            ("exclusive", optional(Type::Bool, "Whether users that are not in `members` leave it.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> =
        check_account(&args.subject("name")).into_iter().chain(check_id(args, "gid")).collect();
    wrong.extend(args.texts("members").iter().filter_map(|member| check_account(member)));
    if args.absent && &*args.subject("name") == "root" {
        wrong.push("the group `root` owns what the server is made of: it is not removed".to_owned());
    }
    if args.truth("exclusive") == Some(true) && !args.has("members") {
        wrong.push("`exclusive` needs `members`, which may be empty".to_owned());
    }
    wrong
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
    let members = if args.absent { Vec::new() } else { args.texts("members") };
    members.into_iter().map(Look::User).chain([Look::Group(args.subject("name"))]).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let group = world.group(&name)?;
    if args.absent {
        return Ok(match group {
            Some(_) => Decision::new(Change::Remove, Vec::new(), vec![Act::RemoveGroup(name)]),
            None => Decision::nothing(),
        });
    }
    let now: &[Arc<str>] = group.map_or(&[], |group| &group.members);
    let wanted = args.texts("members");
    for member in wanted.iter().filter(|member| !now.contains(member)) {
        if world.user(member)?.is_none() && !world.loose {
            return Err(format!("there is no user `{member}` on this server; define it before this group"));
        }
    }
    let stay = now.iter().filter(|_| args.truth("exclusive") != Some(true));
    let mut members: Vec<Arc<str>> = stay.chain(&wanted).cloned().collect();
    members.sort();
    members.dedup();
    let gid = id(args, "gid").filter(|gid| group.is_none_or(|group| group.gid != *gid));
    let from = group.map(|group| group.gid.to_string()).unwrap_or_default();
    let mut differences: Vec<String> =
        gid.map(|gid| args.difference("gid", &from, &gid.to_string())).into_iter().collect();
    let gained = members.iter().filter(|member| !now.contains(member));
    differences.extend(gained.map(|member| args.difference("members", "", member)));
    let lost = now.iter().filter(|member| !members.contains(member));
    differences.extend(lost.map(|member| args.difference("members", member, "")));
    let changed = (members != now).then_some(members);
    if group.is_some() {
        let acts = (gid.is_some() || changed.is_some()).then_some(Act::ChangeGroup { name, gid, members: changed });
        return Ok(Decision::update(differences, acts.into_iter().collect()));
    }
    let mut acts = vec![Act::AddGroup { name: name.clone(), gid, system: args.truth("system") == Some(true) }];
    acts.extend(changed.map(|members| Act::ChangeGroup { name, gid: None, members: Some(members) }));
    Ok(Decision::new(Change::Create, differences, acts))
}
