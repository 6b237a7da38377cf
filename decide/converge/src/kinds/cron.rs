use std::fmt::Write as _;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::Look;
use andon_value::Type;

use super::content::{Wanted, remove_file};
use super::{Decision, Kind};
use crate::args::{Args, block, check_account, look_at, optional};
use crate::formats;
use crate::world::World;

/// A command that cron runs, in a file of its own below `/etc/cron.d`.
pub(super) const KIND: Kind = Kind { name: "cron", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/cron.d";

fn schema() -> Block {
    block(
        "A command that cron runs again and again, in a file of its own in `/etc/cron.d`.",
        &[
            ("name", optional(Type::String, "The name of the file; without it, the label.")),
            (
                "schedule",
                optional(
                    Type::String,
                    "When: minute, hour, day of the month, month and day of the week, or a word such as `@daily`.",
                )
                .format(formats::SCHEDULE),
            ),
            ("command", optional(Type::String, "The line for the shell.").format(formats::LINE)),
            ("user", optional(Type::String, "Who runs it; root, without it.").format(formats::ACCOUNT)),
            (
                "environment",
                optional(Type::map(Type::String), "Variables of its environment, such as `PATH` and `MAILTO`."),
            ),
            ("comment", optional(Type::String, "What it is for: a line above it.").format(formats::LINE)),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let mut wrong = Vec::new();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || !name.bytes().all(letter) {
        wrong.push(format!(
            "`{name}` is no name for a file of cron's, which passes over those with other letters: letters, digits, `_`, `-`"
        ));
    }
    wrong.extend(args.text("user").and_then(|user| check_account(&user)));
    if args.absent {
        return wrong;
    }
    match args.text("schedule") {
        None => wrong.push("a cron job needs a `schedule`".to_owned()),
        Some(schedule) => wrong.extend(check_schedule(&schedule)),
    }
    match args.text("command") {
        None => wrong.push("a cron job needs a `command`".to_owned()),
        Some(command) if command.trim().is_empty() => wrong.push("`command` is empty".to_owned()),
        Some(command) if command.contains(['\n', '\r']) => {
            wrong.push("`command` holds more than one line; put them into a script".to_owned());
        }
        Some(_) => {}
    }
    for (name, value) in args.pairs("environment") {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(sound) || value.contains(['\n', '\r']) {
            wrong.push(format!("the variable `{name}` cannot be in a file of cron's: a word and one line"));
        }
    }
    wrong
}

const WORDS: [&str; 8] = ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What is wrong with a schedule of crontab(5), if anything is.
pub(crate) fn check_schedule(schedule: &str) -> Option<String> {
    if schedule.starts_with('@') {
        let known = WORDS.contains(&schedule);
        return (!known).then(|| format!("`{schedule}` is no schedule of cron's; there are {}", WORDS.join(", ")));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 {
        return Some(format!(
            "`{schedule}` has {} fields, and a schedule has five: minute, hour, day of the month, month, day of the week",
            fields.len()
        ));
    }
    let ranges = [("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12)];
    let ranges = ranges.into_iter().chain([("day of the week", 0, 7)]);
    fields.into_iter().zip(ranges).find_map(|(field, (what, least, most))| {
        let names: &[&str] = match what {
            "month" => &MONTHS,
            "day of the week" => &DAYS,
            _ => &[],
        };
        let number = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name)).map(|at| at + least);
            let number = || text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
            named.or_else(number).filter(|number| (least..=most).contains(number))
        };
        let sound = |part: &str| {
            let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let stepped = step.is_none_or(|step| step.parse::<usize>().is_ok_and(|step| (1..=most).contains(&step)));
            let ranged = match range.split_once('-') {
                _ if range == "*" => true,
                Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
                // A step of a single number is a mistake that cron takes for that number alone.
                None => number(range).is_some() && step.is_none(),
            };
            stepped && ranged
        };
        let wrong = !field.split(',').all(sound);
        wrong.then(|| {
            format!("`{field}` is no {what} of a schedule: `*`, numbers from {least} to {most}, ranges, `*/STEP`")
        })
    })
}

fn path(args: &Args) -> Arc<str> {
    format!("{DIRECTORY}/{}", args.subject("name")).into()
}

fn wanted(args: &Args) -> Wanted {
    let mut text = String::new();
    if let Some(comment) = args.text("comment") {
        let _ = writeln!(text, "# {comment}");
    }
    for (name, value) in args.pairs("environment") {
        let _ = writeln!(text, "{name}={value}");
    }
    let (schedule, command) = (args.text("schedule").unwrap_or_default(), args.text("command").unwrap_or_default());
    let user = args.text("user").unwrap_or_else(|| "root".into());
    // To cron a percent sign ends the line.
    let command = command.replace("\\%", "%").replace('%', "\\%");
    let schedule = schedule.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(text, "{schedule} {user} {command}");
    let mode = if args.holds_secret() { 0o600 } else { 0o644 };
    Wanted::plain(&path(args), &text, Some(mode)).of_root()
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    if args.absent {
        return vec![Look::Path { path: path(args), content: true }];
    }
    let mut looks = wanted(args).looks(world);
    looks.push(look_at(DIRECTORY));
    looks.extend(args.text("user").map(Look::User));
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    if args.absent {
        return remove_file(path(args), world);
    }
    if let Some(user) = args.text("user")
        && world.user(&user)?.is_none()
        && !world.loose
    {
        return Err(format!("there is no user `{user}` on this server; define it before this resource"));
    }
    wanted(args).in_directory(DIRECTORY, 0o755, world)?.decide(args, world)
}
