use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Command, Entry, Look, Node, Sight};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, check_account, check_duration, check_mode, check_path, look_at, optional};
use crate::args::{parse_duration_ms, parse_mode};
use crate::formats;
use crate::world::World;

/// A command. What else a role can say tells the same of a server each time; of a command somebody must say when it
/// has nothing to do, so that one without such words is refused.
pub(super) const KIND: Kind = Kind { name: "exec", schema, check, looks, decide };

/// How long a command may take where nothing is said, in milliseconds: an hour.
const PATIENCE_MS: u64 = 3_600_000;

fn schema() -> Block {
    block(
        "A command, run where `unless`, `only_if`, `creates` or `only_on` say so; one of them must be given. In a plan \
         it is said that it would run, unless what it asks is there already.",
        &[
            (
                "command",
                optional(Type::Dynamic, "What is run: a line for `/bin/sh`, or a list of a program and its arguments."),
            ),
            ("unless", optional(Type::String, "A line for the shell. Where it ends with 0, nothing is run.")),
            ("only_if", optional(Type::String, "A line for the shell. Unless it ends with 0, nothing is run.")),
            (
                "creates",
                optional(Type::String, "A path. Where something is there, nothing is run.").format(formats::PATH),
            ),
            ("environment", optional(Type::map(Type::String), "More variables of its environment, by name.")),
            ("cwd", optional(Type::String, "The directory that it starts in; without it, `/`.").format(formats::PATH)),
            (
                "user",
                optional(Type::String, "The user that it runs as, with that user's groups and home; without it, root.")
                    .format(formats::ACCOUNT),
            ),
            (
                "umask",
                optional(Type::String, "The permission bits, in octal, that files made by it do not get.")
                    .format(formats::MODE),
            ),
            (
                "timeout",
                optional(
                    Type::String,
                    "How long it, and each of `unless` and `only_if`, may take; without it, an hour.",
                )
                .format(formats::DURATION),
            ),
            (
                "returns",
                optional(Type::list(Type::Number), "The exit statuses that are a success; without it, 0 alone."),
            ),
            ("stdin", optional(Type::String, "What it reads from standard input; without it, nothing.")),
            (
                "sensitive",
                optional(Type::Bool, "Neither the command nor what it says is shown, as where it is given a secret."),
            ),
        ],
    )
}

/// The command as words, whichever way it is written.
fn words(args: &Args) -> Vec<Arc<str>> {
    match args.text("command") {
        Some(line) => ["/bin/sh".into(), "-c".into(), line].into(),
        None => args.texts("command"),
    }
}

fn statuses(args: &Args) -> Vec<i32> {
    args.wholes("returns").into_iter().filter_map(|status| status.try_into().ok()).collect()
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    if args.absent {
        wrong.push("a command cannot be absent; leave it out with `when`".to_owned());
    }
    if ["unless", "only_if", "creates"].iter().all(|name| !args.has(name)) && args.due.is_none() {
        wrong.push(
            "nothing says when this command has nothing to do, so that it would run every time; give it `unless` or \
             `only_if` (a command that tells), `creates` (a path) or `only_on` (what must have changed)"
                .to_owned(),
        );
    }
    match words(args).first() {
        None => wrong.push("an exec needs a `command`: a line for the shell, or a list of words".to_owned()),
        Some(program) if program.is_empty() => wrong.push("the first word of `command` is empty".to_owned()),
        Some(_) if args.text("command").is_some_and(|line| line.trim().is_empty()) => {
            wrong.push("`command` is empty".to_owned());
        }
        Some(_) => {}
    }
    if args.text("command").is_none() && args.is_secret("command") {
        wrong.push(
            "`command` holds a secret, and everyone on a server sees the words of a process; give it by `environment` \
             or `stdin`"
                .to_owned(),
        );
    }
    if args.count("command") > args.texts("command").len() {
        wrong.push("`command` is a text, or a list of texts".to_owned());
    }
    let statuses = args.count("returns");
    let sound = args.wholes("returns").into_iter().filter(|status| *status < 256).count();
    if args.has("returns") && (statuses == 0 || statuses > sound) {
        wrong.push("`returns` lists exit statuses, which are from 0 to 255".to_owned());
    }
    let paths = ["creates", "cwd"].into_iter().filter_map(|attribute| args.text(attribute));
    wrong.extend(paths.filter_map(|path| check_path(&path)));
    wrong.extend(args.text("user").and_then(|user| check_account(&user)));
    wrong.extend(args.text("umask").and_then(|umask| check_mode(&umask)));
    wrong.extend(args.text("timeout").and_then(|timeout| check_duration(&timeout)));
    let sound = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    let names = args.pairs("environment").into_iter().map(|(name, _)| name);
    wrong.extend(names.filter(|name| !sound(name)).map(|name| format!("`{name}` is not a name in an environment")));
    wrong
}

/// A command of this resource: itself, or one of those that say whether it is run.
fn command(args: &Args, words: Vec<Arc<str>>) -> Command {
    Command {
        words,
        environment: args.pairs("environment"),
        directory: args.text("cwd"),
        user: args.text("user"),
        umask: args.text("umask").and_then(|umask| parse_mode(&umask)),
        timeout_ms: Some(args.text("timeout").and_then(|text| parse_duration_ms(&text)).unwrap_or(PATIENCE_MS)),
        secret: is_secret(args),
        ..Command::default()
    }
}

fn is_secret(args: &Args) -> bool {
    let may_hold = ["command", "unless", "only_if", "environment", "stdin"];
    args.truth("sensitive") == Some(true) || may_hold.iter().any(|name| args.is_secret(name))
}

/// A line for the shell. One with a secret is not among the words of the process: it is given by the environment, which
/// only the user that runs it can see.
fn line(args: &Args, attribute: &str, line: &Arc<str>) -> Command {
    if !args.is_secret(attribute) {
        return command(args, ["/bin/sh".into(), "-c".into(), line.clone()].into());
    }
    let eval = "eval \"unset ANDON_LINE; $ANDON_LINE\"";
    let mut command = command(args, ["/bin/sh".into(), "-c".into(), eval.into()].into());
    command.environment.push(("ANDON_LINE".into(), line.clone()));
    command
}

fn guard(args: &Args, attribute: &str) -> Option<Command> {
    args.text(attribute).map(|text| line(args, attribute, &text))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    if args.due == Some(false) {
        return Vec::new();
    }
    let mut looks = Vec::new();
    if let Some(path) = args.text("creates") {
        looks.push(look_at(&path));
        if matches!(world.entry(&path), Ok(Some(_))) {
            return looks;
        }
    }
    looks.extend(args.text("cwd").map(|path| look_at(&path)));
    looks.extend(args.text("user").map(Look::User));
    looks.extend(["unless", "only_if"].into_iter().filter_map(|name| guard(args, name)).map(Look::Command));
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    if args.due == Some(false) {
        return Ok(Decision::nothing());
    }
    if let Some(path) = args.text("creates")
        && world.entry(&path)?.is_some()
    {
        return Ok(Decision::nothing());
    }
    if let Some(user) = args.text("user")
        && world.user(&user)?.is_none()
        && !world.loose
    {
        return Err(format!("there is no user `{user}` on this server; define it before this resource"));
    }
    if let Some(path) = args.text("cwd")
        && world.entry(&path)?.is_none()
        && !world.loose
    {
        return Err(format!("there is no directory {0}; define it with `directory \"{0}\" {{}}`", path));
    }
    if holds(args, "unless", world)? == Some(true) || holds(args, "only_if", world)? == Some(false) {
        return Ok(Decision::nothing());
    }
    let mut run = match args.text("command") {
        Some(text) => line(args, "command", &text),
        None => command(args, words(args)),
    };
    run.input = args.text("stdin").map(|text| Bytes::from(&*text));
    run.returns = statuses(args);
    let shown = (!is_secret(args)).then(|| shown(args));
    let made = |path| {
        let entry = Entry { node: Node::File(None), mode: 0o644, owner: root(), group: root() };
        (look_at(path), Sight::Path(Some(entry)))
    };
    let act = Act::Run {
        command: run,
        doing: Some(
            shown.as_ref().map_or_else(|| format!("running {}", args.label()), |text| format!("running {text}")).into(),
        ),
        makes: args.text("creates").iter().map(|path| made(path)).collect(),
        only: false,
    };
    Ok(Decision::new(Change::Run, shown.into_iter().collect(), vec![act]))
}

fn root() -> andon_schema::host::Account {
    andon_schema::host::Account { id: 0, name: "root".into() }
}

/// Whether a line of the shell ends with 0; `None` where there is none, or where it cannot be known: what it needs is
/// only foreseen.
fn holds(args: &Args, attribute: &str, world: &World) -> Result<Option<bool>, String> {
    let Some(command) = guard(args, attribute) else { return Ok(None) };
    match world.command(&command) {
        Ok(output) if output.status.is_some() => Ok(Some(output.succeeded())),
        Ok(_) => Err(format!("`{attribute}` was stopped, because its time was up")),
        // Its directory and its user are there, or will be.
        Err(_) if args.has("cwd") || args.has("user") => Ok(None),
        Err(reason) => Err(reason),
    }
}

/// The command on one line, shortened.
fn shown(args: &Args) -> String {
    let text = match args.text("command") {
        Some(line) => line.to_string(),
        None => args.texts("command").iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    };
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    let short: String = first.chars().take(100).collect();
    let more = lines.next().is_some() || short.len() < first.len();
    if more { format!("{short} …") } else { short }
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
