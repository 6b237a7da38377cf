use andon_schema::host::{Act, Look, UserWish};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::group::{check_id, id};
use super::{Decision, Kind};
use crate::args::{Args, block, check_account, check_path, optional};
use crate::formats;
use crate::world::World;

/// A user.
pub(super) const KIND: Kind = Kind { name: "user", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "A user. `absent` removes it and keeps its home directory.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.").format(formats::ACCOUNT)),
            ("uid", optional(Type::Number, "Its number; without it, the next free.").format(formats::ID)),
            ("gid", optional(Type::Number, "The number of its primary group, which must exist.").format(formats::ID)),
            (
                "group",
                optional(
                    Type::String,
                    "The name of its primary group, which must exist; without it and `gid`, a group of its own name.",
                )
                .format(formats::ACCOUNT),
            ),
            (
                "groups",
                optional(
                    Type::Set(Type::String.into()),
                    "Groups that it is a member of beside its primary group. It stays in others that it is in.",
                )
                .format(formats::ACCOUNT),
            ),
            (
                "home",
                optional(Type::String, "The home directory; that of a new one is `/home/NAME`.").format(formats::PATH),
            ),
            ("shell", optional(Type::String, "The login shell; that of a new one is `/bin/sh`.").format(formats::PATH)),
            (
                "system",
                optional(
                    Type::Bool,
                    "Take the number of a new one from those for the system, and make no home directory.",
                ),
            ),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_account(&args.subject("name")).into_iter().collect();
    wrong.extend(["uid", "gid"].into_iter().filter_map(|attribute| check_id(args, attribute)));
    let paths = ["home", "shell"].into_iter().filter_map(|attribute| args.text(attribute));
    wrong.extend(paths.filter_map(|path| check_path(&path)));
    wrong.extend(args.text("shell").filter(|shell| shell.contains(':')).map(|_| "`shell` holds a `:`".to_owned()));
    wrong.extend(args.texts("groups").iter().chain(&args.text("group")).filter_map(|group| check_account(group)));
    if args.has("gid") && args.has("group") {
        wrong.push("`gid` and `group` both say which group is the primary one".to_owned());
    }
    wrong
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    let mut looks = vec![Look::User(args.subject("name"))];
    if !args.absent {
        looks.push(Look::Group(args.subject("name")));
        looks.extend(args.texts("groups").into_iter().chain(args.text("group")).map(Look::Group));
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let Some(user) = world.user(&name)? else {
        return if args.absent { Ok(Decision::nothing()) } else { create(args, world) };
    };
    if args.absent {
        return Ok(Decision::new(Change::Remove, Vec::new(), vec![Act::RemoveUser(name)]));
    }
    let mut wish = UserWish::default();
    let mut differences = Vec::new();
    if let Some(uid) = id(args, "uid").filter(|uid| *uid != user.uid) {
        differences.push(args.difference("uid", &user.uid.to_string(), &uid.to_string()));
        wish.uid = Some(uid);
    }
    if let Some(gid) = id(args, "gid").filter(|gid| *gid != user.gid) {
        differences.push(args.difference("gid", &user.gid.to_string(), &gid.to_string()));
        wish.group = Some(gid.to_string().into());
    }
    if let Some(group) = args.text("group") {
        let known = world.group(&group)?;
        if known.map(|known| known.gid) != Some(user.gid) {
            differences.push(args.difference("group", &user.gid.to_string(), &group));
            wish.group = Some(group);
        }
    }
    if let Some(home) = args.text("home").filter(|home| *home != user.home) {
        differences.push(args.difference("home", &user.home, &home));
        wish.home = Some(home);
    }
    if let Some(shell) = args.text("shell").filter(|shell| *shell != user.shell) {
        differences.push(args.difference("shell", &user.shell, &shell));
        wish.shell = Some(shell);
    }
    for group in args.texts("groups") {
        let primary = world.group(&group)?.is_some_and(|known| known.gid == user.gid);
        if !primary && !user.groups.contains(&group) {
            differences.push(args.difference("groups", "", &group));
            wish.groups.push(group);
        }
    }
    if wish == UserWish::default() {
        return Ok(Decision::nothing());
    }
    check_groups(&wish, world)?;
    Ok(Decision::update(differences, vec![Act::ChangeUser { name, wish }]))
}

fn create(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let mut wish = UserWish {
        uid: id(args, "uid"),
        group: args.text("group").or_else(|| id(args, "gid").map(|gid| gid.to_string().into())),
        home: args.text("home"),
        shell: args.text("shell"),
        groups: args.texts("groups"),
    };
    // A group of the user's own name that is there already would make `useradd` refuse: it becomes the primary one.
    if wish.group.is_none() && world.group(&name)?.is_some() {
        wish.group = Some(name.clone());
    }
    check_groups(&wish, world)?;
    let mut differences = Vec::new();
    differences.extend(wish.uid.map(|uid| args.difference("uid", "", &uid.to_string())));
    differences.extend(wish.shell.as_ref().map(|shell| args.difference("shell", "", shell)));
    differences.extend(wish.groups.iter().map(|group| args.difference("groups", "", group)));
    let system = args.truth("system") == Some(true);
    Ok(Decision::new(Change::Create, differences, vec![Act::AddUser { name, wish, system }]))
}

fn check_groups(wish: &UserWish, world: &World) -> Result<(), String> {
    let named = wish.group.iter().filter(|group| group.parse::<u32>().is_err());
    for group in wish.groups.iter().chain(named) {
        if world.group(group)?.is_none() && !world.loose {
            return Err(format!(
                "there is no group `{group}` on this server; define it before this user, with `group \"{group}\" {{}}`"
            ));
        }
    }
    Ok(())
}
