use std::fmt::Write as _;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::Change;
use andon_schema::host::{Act, Look, Unit};
use andon_value::Type;

use super::own_file::{OwnFile, decide_all};
use super::service::{self, Wish};
use super::unit::{check_init, combine, verify};
use super::{Decision, Kind};
use crate::args::{Args, block, check_account, check_path, optional};
use crate::formats;
use crate::world::World;

/// Something that systemd does at times: a timer, and the service that it starts.
pub(super) const KIND: Kind = Kind { name: "timer", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/systemd/system";

fn schema() -> Block {
    block(
        "Something that systemd does at times: the units `NAME.timer` and `NAME.service`, enabled and running. \
         `absent` stops and removes both.",
        &[
            ("name", optional(Type::String, "The name of both units, without a suffix; without it, the label.")),
            (
                "schedule",
                optional(
                    Type::Dynamic,
                    "When: `\"daily\"`, or `[\"Mon..Fri 08:00\", \"Sat 10:00\"]`, as systemd.time(7) writes it.",
                ),
            ),
            ("on_boot", optional(Type::String, "How long after the boot: `\"5min\"`.")),
            ("every", optional(Type::String, "How long after the last time: `\"15min\"`.")),
            ("command", optional(Type::String, "The line for the shell that is run.")),
            ("unit", optional(Type::String, "The unit that is started in the place of a command.")),
            (
                "user",
                optional(Type::String, "The user that runs the command; root unless given.").format(formats::ACCOUNT),
            ),
            ("directory", optional(Type::String, "The directory that the command starts in.").format(formats::PATH)),
            ("environment", optional(Type::map(Type::String), "Variables of the command's environment.")),
            (
                "persistent",
                optional(Type::Bool, "Whether what was missed while the server was off is done after it boots."),
            ),
            ("randomized_delay", optional(Type::String, "Up to how much later, at random: `\"10min\"`.")),
            ("accuracy", optional(Type::String, "How exact the time is kept: `\"1s\"`; a minute unless given.")),
            ("description", optional(Type::String, "What it is for, in a line.").format(formats::LINE)),
            ("enabled", optional(Type::Bool, "Whether it is started at boot; true unless given.")),
            ("running", optional(Type::Bool, "Whether it waits for its times now; true unless given.")),
        ],
    )
}

fn name(args: &Args) -> Arc<str> {
    let name = args.subject("name");
    name.strip_suffix(".timer").map_or(name.clone(), Arc::from)
}

/// The times, of which there may be one or several.
fn schedules(args: &Args) -> Vec<Arc<str>> {
    args.text("schedule").map_or_else(|| args.texts("schedule"), |one| vec![one])
}

/// Whether a span of time is one of systemd: numbers and units, such as `1h 30min`.
fn is_span(text: &str) -> bool {
    let digits = text.contains(|letter: char| letter.is_ascii_digit());
    digits && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, ' ' | '.'))
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = name(args);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.".contains(&byte);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.bytes().all(letter) || name.len() > 240 {
        wrong.push(format!("`{name}` is not the name of a timer"));
    }
    for attribute in ["on_boot", "every", "randomized_delay", "accuracy"] {
        if let Some(span) = args.text(attribute).filter(|span| !is_span(span)) {
            wrong.push(format!("`{span}` is not a span of time, such as `\"15min\"`"));
        }
    }
    if args.has("schedule") && schedules(args).is_empty() {
        wrong.push("`schedule` is neither a text nor a list of texts".to_owned());
    }
    for schedule in schedules(args) {
        let fields = schedule.split_whitespace().collect::<Vec<_>>();
        if fields.len() == 5 && fields.iter().all(|field| field.bytes().all(|byte| b"0123456789*/,-".contains(&byte))) {
            wrong.push(format!("`{schedule}` is written as for cron; a timer says it like `\"*-*-* 04:00\"`"));
        } else if schedule.trim().is_empty() || schedule.contains('\n') {
            wrong.push("`schedule` holds what is no time".to_owned());
        }
    }
    if let Some(user) = args.text("user") {
        wrong.extend(check_account(&user));
    }
    wrong.extend(args.text("directory").and_then(|path| check_path(&path)));
    if !args.absent {
        match (args.has("command"), args.has("unit")) {
            (true, true) => wrong.push("`command` and `unit` both say what is done".to_owned()),
            (false, false) => wrong.push("a timer needs a `command`, or the `unit` that it starts".to_owned()),
            _ => {}
        }
        if !["schedule", "on_boot", "every"].iter().any(|attribute| args.has(attribute)) {
            wrong.push("a timer needs a `schedule`, `on_boot` or `every`".to_owned());
        }
        for attribute in ["user", "directory", "environment"] {
            if args.has("unit") && args.has(attribute) {
                wrong.push(format!("`{attribute}` is about a command, and the unit says that itself"));
            }
        }
    }
    if args.text("command").is_some_and(|command| command.contains('\n')) {
        wrong.push("`command` is more than one line; put them into a file, and run that".to_owned());
    }
    wrong
}

/// A text as one word of a command line of systemd, in which nothing stands for something else (systemd.service(5)).
fn quoted(text: &str, is_command: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{}\"", if is_command { text.replace('$', "$$") } else { text })
}

fn timer_text(args: &Args, name: &str) -> String {
    let mut text = String::from("[Unit]\n");
    let _ = writeln!(text, "Description={}", args.text("description").as_deref().unwrap_or(name));
    text.push_str("\n[Timer]\n");
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key}={value}");
    };
    schedules(args).iter().for_each(|schedule| line("OnCalendar", schedule));
    if let Some(span) = args.text("on_boot") {
        line("OnBootSec", &span);
    }
    if let Some(span) = args.text("every") {
        if !args.has("on_boot") {
            line("OnActiveSec", &span);
        }
        line("OnUnitActiveSec", &span);
    }
    for (attribute, key) in [("randomized_delay", "RandomizedDelaySec"), ("accuracy", "AccuracySec")] {
        if let Some(span) = args.text(attribute) {
            line(key, &span);
        }
    }
    if let Some(persistent) = args.truth("persistent") {
        line("Persistent", if persistent { "yes" } else { "no" });
    }
    if let Some(unit) = args.text("unit") {
        line("Unit", &service::unit_of(&unit));
    }
    text.push_str("\n[Install]\nWantedBy=timers.target\n");
    text
}

fn service_text(args: &Args, name: &str, command: &str) -> String {
    let mut text = String::from("[Unit]\n");
    let _ = writeln!(text, "Description={}", args.text("description").as_deref().unwrap_or(name));
    let _ = writeln!(text, "\n[Service]\nType=oneshot\nExecStart=/bin/sh -c {}", quoted(command, true));
    for (name, value) in args.pairs("environment") {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}"), false));
    }
    for (attribute, key) in [("user", "User"), ("directory", "WorkingDirectory")] {
        if let Some(value) = args.text(attribute) {
            let _ = writeln!(text, "{key}={value}");
        }
    }
    text
}

fn own_files(args: &Args) -> Vec<OwnFile> {
    let name = name(args);
    let file = |suffix: &str, content: Option<String>, secret: bool| {
        let path: Arc<str> = format!("{DIRECTORY}/{name}.{suffix}").into();
        let validate = Some(verify(&path));
        OwnFile { path, content, secret, validate }
    };
    let secret = args.is_secret("command") || args.is_secret("environment");
    let service = match args.text("command") {
        _ if args.absent => Some(file("service", None, secret)),
        // The timer of a unit has no service of its own: one of its name belongs to somebody else.
        command => command.map(|command| file("service", Some(service_text(args, &name, &command)), secret)),
    };
    let timer = file("timer", (!args.absent).then(|| timer_text(args, &name)), false);
    service.into_iter().chain([timer]).collect()
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    let timer = format!("{}.timer", name(args));
    let files = own_files(args);
    files.iter().flat_map(OwnFile::looks).chain([Look::Init, Look::Service(timer.as_str().into())]).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let timer: Arc<str> = format!("{}.timer", name(args)).into();
    if !args.absent {
        check_init(world)?;
    }
    let mut files = own_files(args);
    // What was made for a `unit` has no service to remove; the timer's file says whether anything is there.
    let is_there = world.entry(&format!("{DIRECTORY}/{timer}"))?.is_some();
    if args.absent && !is_there {
        files.clear();
    }
    let file = decide_all(&files, world)?;
    let state = world.service(&timer)?.cloned().unwrap_or_default();
    let wish = match args.absent {
        true if file.change == Change::None => return Ok(Decision::nothing()),
        true => Wish { running: Some(false), enabled: Some(false), masked: None },
        false => Wish {
            running: args.truth("running").or(Some(true)),
            enabled: args.truth("enabled").or(Some(true)),
            masked: None,
        },
    };
    let now = Unit {
        enablement: if state.enablement.is_empty() { "disabled".into() } else { state.enablement.clone() },
        ..state.clone()
    };
    let (differences, acts) = service::change(args, world, &timer, &now, wish)?;
    let is_timer = |act: &Act| matches!(act, Act::WriteFile { path, .. } if path.ends_with(".timer"));
    let timer_changed = file.acts.iter().any(is_timer);
    let mut decision = combine(file, differences, acts, args.absent);
    // A running timer keeps its old times until it is started anew.
    decision.restarts = (timer_changed && state.running && wish.running == Some(true)).then_some(timer);
    Ok(decision)
}
