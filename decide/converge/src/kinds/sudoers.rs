use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Look, Node};
use andon_value::Type;

use super::content::{Wanted, remove_file};
use super::{Decision, Kind};
use crate::args::{Args, block, check_account, look_at, optional};
use crate::formats;
use crate::world::World;

/// What a user or group may run as another, in a file of its own below `/etc/sudoers.d`.
pub(super) const KIND: Kind = Kind { name: "sudoers", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/sudoers.d";

/// Where the program that judges such a file may be.
const VISUDO: [&str; 2] = ["/usr/sbin/visudo", "/usr/bin/visudo"];

fn schema() -> Block {
    block(
        "What a user or group may run as another with sudo, in a file of its own in `/etc/sudoers.d`. `visudo` judges it \
         before it takes its place.",
        &[
            ("name", optional(Type::String, "The name of the file; without it, the label.")),
            ("user", optional(Type::String, "The user who may.").format(formats::ACCOUNT)),
            ("group", optional(Type::String, "The group whose members may.").format(formats::ACCOUNT)),
            (
                "commands",
                optional(Type::list(Type::String), "What may be run, each with its whole path; without it, anything."),
            ),
            ("run_as", optional(Type::String, "As whom: `USER`, `USER:GROUP` or `:GROUP`; without it, as anybody.")),
            ("hosts", optional(Type::list(Type::String), "On which hosts; without it, on all.")),
            ("password", optional(Type::Bool, "Whether the user's own password is asked for; it is, without it.")),
            (
                "environment",
                optional(Type::Bool, "Whether the user may keep variables of the environment; not, without it."),
            ),
            (
                "content",
                optional(Type::String, "The lines of the file as sudoers(5) has them, in the place of all of these."),
            ),
        ],
    )
}

const RULE: [&str; 7] = ["user", "group", "commands", "run_as", "hosts", "password", "environment"];

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || !name.bytes().all(letter) {
        wrong.push(format!(
            "`{name}` is no name for a file of sudo's, which passes over those with a dot or `~`: letters, digits, `_`, `-`"
        ));
    }
    let given: Vec<&str> = RULE.into_iter().filter(|attribute| args.has(attribute)).collect();
    match (args.text("content"), &*given) {
        (Some(_), [first, ..]) => wrong.push(format!("`content` and `{first}` both say what may be run")),
        (None, _) if !args.absent && args.has("user") == args.has("group") => {
            wrong.push("a rule of sudo is for a `user` or for a `group`".to_owned());
        }
        _ => {}
    }
    wrong.extend(["user", "group"].into_iter().filter_map(|it| args.text(it)).filter_map(|name| check_account(&name)));
    let sound = |command: &str| {
        let bare = command.strip_prefix('!').unwrap_or(command);
        let word = bare.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        (bare.starts_with('/') || word || bare.starts_with("sudoedit ")) && !bare.is_empty() && !bare.contains('\n')
    };
    for command in args.texts("commands").iter().filter(|command| !sound(command)) {
        wrong.push(format!("`{command}` is no command of sudo's: an absolute path with its arguments, or `ALL`"));
    }
    wrong
}

fn content(args: &Args) -> String {
    if let Some(content) = args.text("content") {
        return if content.ends_with('\n') || content.is_empty() {
            content.to_string()
        } else {
            format!("{content}\n")
        };
    }
    let who = match (args.text("user"), args.text("group")) {
        (_, Some(group)) => format!("%{group}"),
        (user, None) => user.unwrap_or_default().to_string(),
    };
    let listed = |attribute: &str| {
        let all = args.texts(attribute);
        if all.is_empty() { "ALL".to_owned() } else { all.join(", ") }
    };
    let run_as = args.text("run_as").unwrap_or_else(|| "ALL:ALL".into());
    let password = if args.truth("password") == Some(false) { "NOPASSWD: " } else { "" };
    let environment = if args.truth("environment") == Some(true) { "SETENV: " } else { "" };
    format!("{who} {}=({run_as}) {password}{environment}{}\n", listed("hosts"), listed("commands"))
}

fn path(args: &Args) -> Arc<str> {
    format!("{DIRECTORY}/{}", args.subject("name")).into()
}

fn wanted(args: &Args, visudo: &str) -> Wanted {
    let validate = Some(format!("{visudo} -cf %s").into());
    Wanted { validate, ..Wanted::plain(&path(args), &content(args), Some(0o440)).of_root() }
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    if args.absent {
        return vec![Look::Path { path: path(args), content: true }];
    }
    let mut looks = wanted(args, "").looks(world);
    looks.push(look_at(DIRECTORY));
    looks.extend(VISUDO.map(look_at));
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    if args.absent {
        return remove_file(path(args), world);
    }
    let mut visudo = None;
    for program in VISUDO {
        let there = matches!(world.entry(program)?.map(|entry| &entry.node), Some(Node::File(_) | Node::Link(_)));
        visudo = visudo.or(there.then_some(program));
    }
    let visudo = match visudo {
        Some(program) => program,
        None if world.loose => "visudo",
        None => {
            return Err("there is no `visudo` on this server to judge it; is `package \"sudo\" {}` defined before it?"
                .to_owned());
        }
    };
    wanted(args, visudo).in_directory(DIRECTORY, 0o750, world)?.decide(args, world)
}
