use std::sync::Arc;

use andon_schema::host::{Account, Act, Bytes, Command, Entry, Look, Node, Sight, Stage};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional};
use crate::text::show;
use crate::world::{World, bytes_of};

/// A module of the kernel: now, and after the next boot.
pub(super) const KIND: Kind = Kind { name: "kernel_module", schema, check, looks, decide };

const AT_BOOT: &str = "/etc/modules-load.d";
const SETTINGS: &str = "/etc/modprobe.d";
const RELEASE: &str = "/proc/sys/kernel/osrelease";

fn schema() -> Block {
    block(
        "A module of the kernel, loaded now and at each boot. In an image it is only loaded at boot. `absent` unloads it \
         and takes out what was kept for the boot.",
        &[
            ("name", optional(Type::String, "The module; without it, the label.")),
            ("loaded", optional(Type::Bool, "Whether it is loaded; without it, it is unless it is blacklisted.")),
            (
                "at_boot",
                optional(Type::Bool, "Whether it is loaded at boot; without it, it is unless it is blacklisted."),
            ),
            (
                "options",
                optional(
                    Type::map(Type::String),
                    "Its options, by name; one that is loaded takes them up when it is loaded again.",
                ),
            ),
            ("blacklisted", optional(Type::Bool, "Whether it is not loaded for a device that it fits.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let mut wrong = Vec::new();
    if name.is_empty() || name.starts_with('-') || name.len() > 64 || !name.bytes().all(letter) {
        wrong.push(format!("`{name}` is not the name of a module"));
    }
    for (option, value) in args.pairs("options") {
        if option.is_empty()
            || !option.bytes().all(|byte| letter(byte) || byte == b'.')
            || value.contains(['"', '\n', '\\'])
        {
            wrong.push(format!("`{option}` cannot be an option of a module, or have this value"));
        }
    }
    let asks = |attribute: &str| args.truth(attribute) == Some(true);
    if asks("blacklisted") && (asks("loaded") || asks("at_boot")) {
        wrong.push("a module that is blacklisted is not loaded, so that `loaded` and `at_boot` gainsay it".to_owned());
    }
    wrong
}

/// The name as the kernel has it.
fn known_as(name: &str) -> String {
    name.replace('-', "_")
}

fn loaded_at(name: &str) -> String {
    format!("/sys/module/{}", known_as(name))
}

fn at_boot_of(name: &str) -> String {
    format!("{AT_BOOT}/andon-{name}.conf")
}

fn settings_of(name: &str) -> String {
    format!("{SETTINGS}/andon-{name}.conf")
}

/// The list of what the kernel that runs has built in.
fn built_in(world: &World) -> Option<String> {
    let release = bytes_of(world.entry(RELEASE).ok()?)?;
    Some(format!("/lib/modules/{}/modules.builtin", String::from_utf8_lossy(&release.0).trim()))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let name = args.subject("name");
    let text = |path: String| Look::Path { path: path.into(), content: true };
    let mut looks = vec![text(at_boot_of(&name)), text(settings_of(&name)), look_at(AT_BOOT), look_at(SETTINGS)];
    if world.stage == Stage::Live {
        looks.push(look_at(&loaded_at(&name)));
        // What is built in is not always shown among the modules.
        if matches!(world.entry(&loaded_at(&name)), Ok(None)) {
            looks.push(text(RELEASE.to_owned()));
            looks.extend(built_in(world).map(text));
        }
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let blacklisted = !args.absent && args.truth("blacklisted") == Some(true);
    let wanted = |attribute: &str| match args.truth(attribute) {
        _ if args.absent => false,
        None => !blacklisted,
        Some(given) => given,
    };
    let mut settings = String::new();
    if blacklisted {
        settings.push_str(&format!("blacklist {name}\n"));
    }
    let options: Vec<String> = args
        .pairs("options")
        .iter()
        .map(
            |(option, value)| {
                if value.contains(' ') { format!("{option}=\"{value}\"") } else { format!("{option}={value}") }
            },
        )
        .collect();
    if !options.is_empty() && !args.absent {
        settings.push_str(&format!("options {name} {}\n", options.join(" ")));
    }
    let (mut acts, mut differences) = (Vec::new(), Vec::new());
    let mut was_there = false;
    let at_boot = if wanted("at_boot") { format!("{name}\n") } else { String::new() };
    let mut diff = None;
    for (directory, path, content) in [(SETTINGS, settings_of(&name), settings), (AT_BOOT, at_boot_of(&name), at_boot)]
    {
        let old = bytes_of(world.entry(&path)?);
        was_there |= old.is_some();
        let path: Arc<str> = path.into();
        match old {
            Some(_) if content.is_empty() => {
                differences.push(format!("{path} goes"));
                acts.push(Act::Remove { path });
            }
            None if content.is_empty() => {}
            Some(old) if *old.0 == *content.as_bytes() => {}
            old => {
                if directory == SETTINGS {
                    let secret = args.is_secret("options");
                    diff = show(old.map(|old| &*old.0), Some(content.as_bytes()), secret).diff;
                }
                differences.push(format!("{path} {}", if old.is_some() { "differs" } else { "is missing" }));
                if world.entry(directory)?.is_none() {
                    let path = directory.into();
                    acts.push(Act::MakeDirectory { path, mode: None, owner: None, group: None });
                }
                let content = Bytes::from(&*content);
                acts.push(Act::WriteFile {
                    path,
                    content,
                    mode: Some(0o644),
                    owner: None,
                    group: None,
                    validate: None,
                });
            }
        }
    }
    if world.stage == Stage::Live {
        let is_loaded = is_loaded(&name, world)?;
        was_there |= is_loaded && !args.absent;
        let given = args.absent || args.has("loaded") || !blacklisted;
        if given && wanted("loaded") != is_loaded {
            differences.push(args.difference("loaded", &is_loaded.to_string(), &(!is_loaded).to_string()));
            acts.push(load(&name, !is_loaded));
        }
    }
    let change = match (acts.is_empty(), args.absent, was_there) {
        (true, ..) => Change::None,
        (_, true, _) => Change::Remove,
        (_, _, true) => Change::Update,
        (_, _, false) => Change::Create,
    };
    Ok(Decision { diff, ..Decision::new(change, differences, acts) })
}

fn is_loaded(name: &str, world: &World) -> Result<bool, String> {
    if world.entry(&loaded_at(name))?.is_some() {
        return Ok(true);
    }
    let Some(list) = built_in(world) else { return Ok(false) };
    let text = bytes_of(world.entry(&list)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let file = |line: &str| {
        let file = line.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".ko").map(known_as) == Some(known_as(name))
    };
    Ok(text.unwrap_or_default().lines().any(file))
}

fn load(name: &str, load: bool) -> Act {
    let words: &[&str] = if load { &["modprobe", "--", name] } else { &["modprobe", "-r", "--", name] };
    let root = || Account { id: 0, name: "root".into() };
    let entry = Entry { node: Node::Directory, mode: 0o755, owner: root(), group: root() };
    let seen = (look_at(&loaded_at(name)), Sight::Path(load.then_some(entry)));
    Act::Run { command: Command::new(words.iter().copied()), doing: None, makes: vec![seen], only: true }
}
