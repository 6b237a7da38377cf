use std::sync::Arc;

use andon_schema::host::{Account, Act, Bytes, Command, Entry, Look, Node, Sight, User, UserWish};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::group::{check_id, id};
use super::shadow::{self, ageing, check_password, check_shadow, password};
use super::{Decision, Kind, authorized_key};
use crate::args::{Args, block, check_account, check_path, look_at, optional};
use crate::formats;
use crate::world::{World, bytes_of};

/// A user.
pub(super) const KIND: Kind = Kind { name: "user", schema, check, looks, decide };

fn schema() -> Block {
    let texts = || Type::Set(Type::String.into());
    let mut attributes = vec![
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
                texts(),
                "Groups that it is a member of beside its primary group. It stays in others that it is in.",
            )
            .format(formats::ACCOUNT),
        ),
        ("exclusive", optional(Type::Bool, "Whether it leaves all groups that are not in `groups`.")),
        ("comment", optional(Type::String, "What is said of it, such as its real name.").format(formats::LINE)),
        (
            "home",
            optional(Type::String, "The home directory; that of a new one is `/home/NAME`.").format(formats::PATH),
        ),
        (
            "create_home",
            optional(
                Type::Bool,
                "Whether the home directory is made; without it, that of a new user that is not of the system.",
            ),
        ),
        ("move_home", optional(Type::Bool, "Whether what is in the home directory moves where `home` changes.")),
        ("shell", optional(Type::String, "The login shell; that of a new one is `/bin/sh`.").format(formats::PATH)),
        (
            "system",
            optional(Type::Bool, "Take the number of a new one from those for the system, and make no home directory."),
        ),
        ("keys", optional(texts(), "Public keys, a line each, that may log in as it over SSH. Others stay.")),
        (
            "exclusive_keys",
            optional(
                Type::Bool,
                "Whether keys that are not in `keys`, and that no `authorized_key` of the role is about, may no longer \
                 log in.",
            ),
        ),
        ("remove_home", optional(Type::Bool, "Whether `absent` removes the home directory and the mail, too.")),
    ];
    attributes.extend(shadow::schema());
    block("A user. `absent` removes it, and keeps its home directory unless `remove_home` says otherwise.", &attributes)
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_account(&args.subject("name")).into_iter().collect();
    wrong.extend(["uid", "gid"].into_iter().filter_map(|attribute| check_id(args, attribute)));
    let paths = ["home", "shell"].into_iter().filter_map(|attribute| args.text(attribute));
    wrong.extend(paths.filter_map(|path| check_path(&path)));
    for attribute in ["home", "shell", "comment"] {
        let broken = args.text(attribute).is_some_and(|text| text.contains([':', '\n']));
        wrong.extend(broken.then(|| format!("`{attribute}` holds a `:`, or more than one line")));
    }
    wrong.extend(args.texts("groups").iter().chain(&args.text("group")).filter_map(|group| check_account(group)));
    if args.has("gid") && args.has("group") {
        wrong.push("`gid` and `group` both say which group is the primary one".to_owned());
    }
    if args.truth("move_home") == Some(true) && !args.has("home") && !args.absent {
        wrong.push("`move_home` says what happens where `home` changes, and there is no `home`".to_owned());
    }
    if !args.absent && id(args, "uid") == Some(0) && &*args.subject("name") != "root" {
        wrong.push("`uid` 0 is that of `root`: give another, and let `sudoers` say what the user may do".to_owned());
    }
    if args.absent && &*args.subject("name") == "root" {
        wrong.push("a server without the user `root` cannot be used any more: it is not removed".to_owned());
    }
    for (attribute, of) in [("exclusive", "groups"), ("exclusive_keys", "keys")] {
        if args.truth(attribute) == Some(true) && !args.has(of) {
            wrong.push(format!("`{attribute}` needs `{of}`, which may be empty"));
        }
    }
    let broken = args.texts("keys").into_iter().filter(|key| key_of(key).is_none());
    wrong.extend(broken.map(|key| {
        let start: String = key.chars().take(24).collect();
        format!("`{start}…` is not a public key on one line, such as `ssh-ed25519 AAAA… name`")
    }));
    wrong.extend(check_password(args).into_iter().chain(check_shadow(args)));
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let name = args.subject("name");
    let mut looks = vec![Look::User(name.clone())];
    if args.absent {
        return looks;
    }
    looks.push(Look::Group(name));
    looks.extend(args.texts("groups").into_iter().chain(args.text("group")).map(Look::Group));
    let Ok(user) = world.user(&args.subject("name")) else { return looks };
    let home = home(args, user);
    if user.is_some() && args.truth("create_home") == Some(true) {
        looks.push(look_at(&home));
    }
    if args.has("keys") {
        // A home that moves takes its keys along.
        for home in [Some(&home), user.map(|user| &user.home)].into_iter().flatten() {
            looks.push(look_at(&format!("{home}/.ssh")));
            looks.push(Look::Path { path: format!("{home}/.ssh/authorized_keys").into(), content: true });
        }
    }
    looks
}

fn home(args: &Args, user: Option<&User>) -> Arc<str> {
    let known = args.text("home").or_else(|| user.map(|user| user.home.clone()));
    known.unwrap_or_else(|| format!("/home/{}", args.subject("name")).into())
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let user = world.user(&name)?;
    if args.absent {
        if user.is_none() {
            return Ok(Decision::nothing());
        }
        let home = args.truth("remove_home") == Some(true);
        return Ok(Decision::new(Change::Remove, Vec::new(), vec![Act::RemoveUser { name, home }]));
    }
    let mut decision = match user {
        Some(user) => update(args, user, world)?,
        None => create(args, world)?,
    };
    let (differences, acts) = authorize(args, user, world)?;
    if decision.change == Change::None && !acts.is_empty() {
        decision.change = Change::Update;
    }
    decision.differences.extend(differences);
    decision.acts.extend(acts);
    Ok(decision)
}

fn update(args: &Args, user: &User, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
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
    let mut text = |attribute: &str, now: &Arc<str>| {
        let wanted = args.text(attribute).filter(|wanted| wanted != now)?;
        differences.push(args.difference(attribute, now, &wanted));
        Some(wanted)
    };
    wish.home = text("home", &user.home);
    wish.shell = text("shell", &user.shell);
    wish.comment = text("comment", &user.comment);
    wish.move_home = wish.home.is_some() && args.truth("move_home") == Some(true);
    let mut wanted = Vec::new();
    for group in args.texts("groups") {
        let primary = world.group(&group)?.is_some_and(|known| known.gid == user.gid);
        if !primary {
            wanted.push(group);
        }
    }
    let exclusive = args.truth("exclusive") == Some(true);
    let gained: Vec<Arc<str>> = wanted.iter().filter(|group| !user.groups.contains(group)).cloned().collect();
    let lost: Vec<&Arc<str>> = user.groups.iter().filter(|group| exclusive && !wanted.contains(group)).collect();
    differences.extend(gained.iter().map(|group| args.difference("groups", "", group)));
    differences.extend(lost.iter().map(|group| args.difference("groups", group, "")));
    if lost.is_empty() {
        wish.groups = gained;
    } else {
        wish.groups = wanted;
        wish.exclusive = true;
    }
    wish.password = password(args, Some(user))?;
    differences.extend(wish.password.iter().map(|new| locked(args, &user.password, new)));
    let (days, changed) = ageing(args, user);
    wish.ageing = days;
    differences.extend(changed);
    check_groups(&wish, world)?;
    let mut acts = Vec::new();
    let at = home(args, Some(user));
    if wish != UserWish::default() {
        acts.push(Act::ChangeUser { name: name.clone(), wish: wish.clone() });
    }
    if args.truth("create_home") == Some(true) && !wish.move_home && world.entry(&at)?.is_none() {
        differences.push(format!("{at} is missing"));
        let group = wish.group.or_else(|| Some(user.gid.to_string().into()));
        acts.push(make_home(&at, &name, &group.unwrap_or_default()));
    }
    Ok(Decision::update(differences, acts))
}

/// Makes the home of a user who is there as `useradd` makes that of a new one: with what is in `/etc/skel`, and the mode that
/// `/etc/login.defs` says. It appears whole.
fn make_home(home: &Arc<str>, name: &str, group: &str) -> Act {
    const SCRIPT: &str = "set -e\n\
        said() { sed -n \"s/^$1[[:space:]][[:space:]]*\\([0-7][0-7]*\\).*/\\1/p\" /etc/login.defs 2>/dev/null | tail -n 1; }\n\
        mode=$(said HOME_MODE)\n\
        if [ -z \"$mode\" ]; then mask=$(said UMASK); mode=$(printf %o $((0777 & ~0${mask:-22}))); fi\n\
        mkdir -p \"$(dirname \"$1\")\"\n\
        new=\"$1.andon-new\"\n\
        rm -rf \"$new\"\n\
        mkdir -m 700 \"$new\"\n\
        if [ -d /etc/skel ]; then cp -R /etc/skel/. \"$new\"; fi\n\
        chown -R \"$2:$3\" \"$new\"\n\
        chmod \"$mode\" \"$new\"\n\
        mv \"$new\" \"$1\"";
    let command = Command::new(["/bin/sh", "-c", SCRIPT, "sh", home, name, group]);
    let by_name = |name: &str| Account { id: u32::MAX, name: name.into() };
    let entry = Entry { node: Node::Directory, mode: 0o755, owner: by_name(name), group: by_name(group) };
    Act::Run { command, doing: None, makes: vec![(look_at(home), Sight::Path(Some(entry)))], only: true }
}

/// How a change of the password is told: whether one can log in with it is no secret.
fn locked(args: &Args, old: &Bytes, new: &Bytes) -> String {
    let is_locked = |bytes: &Bytes| bytes.0.starts_with(b"!");
    match (is_locked(old), is_locked(new)) {
        (old, new) if old != new => args.difference("locked", &old.to_string(), &new.to_string()),
        _ => "password (sensitive value differs)".to_owned(),
    }
}

fn create(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let mut wish = UserWish {
        uid: id(args, "uid"),
        group: args.text("group").or_else(|| id(args, "gid").map(|gid| gid.to_string().into())),
        home: args.text("home"),
        shell: args.text("shell"),
        groups: args.texts("groups"),
        create_home: args.truth("create_home"),
        comment: args.text("comment"),
        password: password(args, None)?,
        ..UserWish::default()
    };
    let (days, changed) = ageing(args, &User::default());
    wish.ageing = days;
    // A group of the user's own name that is there already would make `useradd` refuse: it becomes the primary one.
    if wish.group.is_none() && world.group(&name)?.is_some() {
        wish.group = Some(name.clone());
    }
    check_groups(&wish, world)?;
    let mut differences = Vec::new();
    differences.extend(wish.uid.map(|uid| args.difference("uid", "", &uid.to_string())));
    for (attribute, text) in [("comment", &wish.comment), ("home", &wish.home), ("shell", &wish.shell)] {
        differences.extend(text.as_ref().map(|text| args.difference(attribute, "", text)));
    }
    for attribute in ["gid", "group"] {
        let given = args.text(attribute).or_else(|| id(args, attribute).map(|gid| gid.to_string().into()));
        differences.extend(given.map(|given| args.difference(attribute, "", &given)));
    }
    differences.extend(wish.groups.iter().map(|group| args.difference("groups", "", group)));
    if args.has("password") {
        differences.push("password (sensitive value)".to_owned());
    }
    differences.extend(args.truth("locked").map(|locked| args.difference("locked", "", &locked.to_string())));
    differences.extend(changed);
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

/// What tells a public key from others: its kind and its data, without options before and the name behind.
fn key_of(line: &str) -> Option<(&str, &str)> {
    const STARTS: [&str; 4] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    if line.contains(['\n', '\r', '\0']) {
        return None;
    }
    let mut words = line.split_whitespace();
    let kind = words.find(|word| STARTS.iter().any(|start| word.starts_with(start)) && !word.contains('"'))?;
    words.next().map(|data| (kind, data))
}

/// The keys that may log in: what differs, and the acts.
fn authorize(args: &Args, user: Option<&User>, world: &World) -> Result<(Vec<String>, Vec<Act>), String> {
    if !args.has("keys") {
        return Ok((Vec::new(), Vec::new()));
    }
    let home = home(args, user);
    let moves = user.filter(|user| args.truth("move_home") == Some(true) && user.home != home);
    let old = moves.map_or(&home, |user| &user.home);
    let (directory, path) = (format!("{old}/.ssh"), format!("{old}/.ssh/authorized_keys"));
    let there = world.entry(&directory)?;
    for (path, entry) in [(&directory, there), (&path, world.entry(&path)?)] {
        // Whoever owns the home directory could have a file elsewhere written by root.
        if matches!(entry.map(|entry| &entry.node), Some(Node::Link(_))) {
            return Err(format!(
                "{path} is a link, which its user may point to anything; keys are not written through it"
            ));
        }
    }
    let content = bytes_of(world.entry(&path)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let content = content.unwrap_or_default();
    let wanted = args.texts("keys");
    let exclusive = args.truth("exclusive_keys") == Some(true);
    let others = authorized_key::defined(world.catalog(), &args.subject("name"), &path);
    let (mut lines, mut differences, mut placed) = (Vec::new(), Vec::new(), vec![false; wanted.len()]);
    for line in content.lines() {
        let at = key_of(line).and_then(|key| wanted.iter().position(|wanted| key_of(wanted) == Some(key)));
        let Some((wanted, placed)) = at.and_then(|at| Some((wanted.get(at)?, placed.get_mut(at)?))) else {
            let spared = || key_of(line).is_some_and(|(_, data)| others.contains(data));
            if exclusive && key_of(line).is_some() && !spared() {
                differences.push(format!("keys: takes out {}", name_of(line)));
            } else {
                lines.push(line);
            }
            continue;
        };
        if line.trim() != wanted.trim() {
            differences.push(format!("keys: changes {}", name_of(wanted)));
        }
        if !std::mem::replace(placed, true) {
            lines.push(wanted.trim());
        }
    }
    for (wanted, _) in wanted.iter().zip(&placed).filter(|(_, placed)| !**placed) {
        differences.push(format!("keys: {}", name_of(wanted)));
        lines.push(wanted.trim());
    }
    if differences.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let owner = Some(args.subject("name"));
    let group = match (args.text("group"), id(args, "gid").or(user.map(|user| user.gid))) {
        (Some(group), _) => Some(group),
        (None, Some(gid)) if gid != u32::MAX => Some(gid.to_string().into()),
        _ => owner.clone(),
    };
    let mut acts = Vec::new();
    if there.is_none() {
        let path = format!("{home}/.ssh").into();
        acts.push(Act::MakeDirectory { path, mode: Some(0o700), owner: owner.clone(), group: group.clone() });
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    acts.push(Act::WriteFile {
        path: format!("{home}/.ssh/authorized_keys").into(),
        content: Bytes::from(&*text),
        mode: Some(0o600),
        owner,
        group,
        validate: None,
    });
    Ok((differences, acts))
}

/// What a key is called: the words behind its data, else the end of the data.
fn name_of(line: &str) -> String {
    let Some((kind, data)) = key_of(line) else { return String::new() };
    let behind = line.split_once(data).map(|(_, rest)| rest.trim()).unwrap_or_default();
    if behind.is_empty() {
        let end: String = data.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
        return format!("{kind} …{end}");
    }
    format!("{kind} {behind}")
}
