use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Bytes, Command, CommandOutput, Look, Node, Sight};
use andon_value::Type;

use super::content::text_of;
use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional};
use crate::formats;
use crate::world::World;

/// A language of the server: made, and used by whoever says nothing else.
pub(super) const KIND: Kind = Kind { name: "locale", schema, check, looks, decide };

/// What is to be made, a line each: Debian, Ubuntu, Arch and their like.
const LIST: &str = "/etc/locale.gen";

/// Where the settings are: of Debian and its like, and of systemd.
const DEBIAN: &str = "/etc/default/locale";
const SYSTEMD: &str = "/etc/locale.conf";

fn schema() -> Block {
    block(
        "A language and its customs. It is made where the server makes its own (`/etc/locale.gen`), and set for whoever \
         says nothing else. `absent` no longer makes it at the next time, and it is no longer `LANG`.",
        &[
            (
                "name",
                optional(Type::String, "The locale, such as `de_DE.UTF-8`; without it, the label.")
                    .format(formats::LOCALE),
            ),
            ("default", optional(Type::Bool, "Set it as `LANG` of the server.")),
            (
                "variables",
                optional(Type::map(Type::String), "More settings by name, such as `LC_TIME` and `LC_COLLATE`."),
            ),
        ],
    )
}

/// What is wrong with the name of a locale, if anything is.
pub(crate) fn check_locale(name: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
    let sound = name.bytes().all(letter) && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    (!sound).then(|| format!("`{name}` is not a locale, such as `de_DE.UTF-8` or `C.UTF-8`"))
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_locale(&args.subject("name")).into_iter().collect();
    for (name, value) in args.pairs("variables") {
        if name.starts_with("LC_") || matches!(&*name, "LANGUAGE" | "LANG") {
            wrong.extend(check_locale(value.split(':').next().unwrap_or_default()));
        } else {
            wrong.push(format!("`{name}` is no setting of a locale: `LANGUAGE`, or one that begins with `LC_`"));
        }
    }
    if args.absent && (args.has("default") || args.has("variables")) {
        wrong.push("a locale that is absent is not set".to_owned());
    }
    wrong
}

/// What every server has.
fn is_built_in(name: &str) -> bool {
    matches!(plain(name).as_str(), "c" | "posix" | "c.utf8")
}

/// A name as `locale -a` and people write it: `de_DE.UTF-8` is `de_DE.utf8`.
fn plain(name: &str) -> String {
    let (language, rest) = name.split_once('.').unwrap_or((name, ""));
    let (charset, variant) = rest.split_once('@').map_or((rest, ""), |(charset, variant)| (charset, variant));
    let charset: String = charset.chars().filter(char::is_ascii_alphanumeric).collect();
    let dot = if charset.is_empty() { "" } else { "." };
    let at = if variant.is_empty() { "" } else { "@" };
    format!("{language}{dot}{charset}{at}{variant}").to_ascii_lowercase()
}

/// Where what a server knows of languages is: its own, and what was added.
const DEFINITIONS: [&str; 2] = ["/usr/share/i18n/locales", "/usr/local/share/i18n/locales"];

/// The definition that a locale is made of: that of `de_DE.UTF-8@euro` is `de_DE@euro`.
fn definition(name: &str) -> String {
    let (name, variant) = name.split_once('@').map_or((name, ""), |(name, variant)| (name, variant));
    let language = name.split('.').next().unwrap_or(name);
    if variant.is_empty() { language.to_owned() } else { format!("{language}@{variant}") }
}

/// Makes all in the list. That it tells of one it does not know only in passing, so that is asked for.
fn make(name: &str) -> Command {
    const SCRIPT: &str = "locale-gen || exit\n\
        locale -a | tr A-Z a-z | grep -qxF -e \"$1\" && exit\n\
        echo \"the server does not know the locale $2\" >&2\n\
        exit 1";
    let command = Command::new(["/bin/sh", "-c", SCRIPT, "sh", &plain(name), name]);
    Command { timeout_ms: Some(900_000), ..command }
}

fn list_made() -> Command {
    Command::new(["locale", "-a"])
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let name = args.subject("name");
    let file = |path: &str| Look::Path { path: path.into(), content: true };
    let mut looks = Vec::new();
    if !is_built_in(&name) {
        looks.push(file(LIST));
        if matches!(world.entry(LIST), Ok(Some(_))) && !args.absent {
            looks.push(Look::Command(list_made()));
            for directory in DEFINITIONS {
                looks.extend([look_at(directory), look_at(&format!("{directory}/{}", definition(&name)))]);
            }
        }
    }
    if !settings(args).is_empty() || args.absent {
        looks.extend([file(DEBIAN), file(SYSTEMD), look_at("/etc/default")]);
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    if !is_built_in(&name)
        && let Some(list) = text_of(LIST, world)?
    {
        let new = edit_list(list, &name, args.absent);
        let changed = new != list;
        if changed {
            differences.push(if args.absent { format!("not in {LIST}") } else { format!("in {LIST}") });
            acts.push(write(LIST, new));
        }
        if !args.absent && !is_made(&name, world)? {
            check_known(&name, world)?;
            let made = world.command(&list_made())?;
            differences.push("made".to_owned());
            let output = CommandOutput { output: Bytes::from(&*format!("{}{name}\n", made.text())), ..made.clone() };
            acts.push(Act::Run {
                command: make(&name),
                doing: Some(format!("making the locale {name}").into()),
                makes: vec![(Look::Command(list_made()), Sight::Command(output))],
                only: true,
            });
        }
    }
    let settings = settings(args);
    if args.absent {
        for path in [DEBIAN, SYSTEMD] {
            // One of them may be a link to the other.
            if !matches!(world.entry(path)?.map(|entry| &entry.node), Some(Node::File(_))) {
                continue;
            }
            let old = text_of(path, world)?.unwrap_or_default();
            let new: String = old.split_inclusive('\n').filter(|line| !is_language(line, &name)).collect();
            if new != old {
                differences.push(format!("not LANG in {path}"));
                acts.push(write(path, new));
            }
        }
    }
    if !settings.is_empty() {
        let on_debian =
            world.entry(DEBIAN)?.is_some() || world.entry(SYSTEMD)?.is_none() && world.entry("/etc/default")?.is_some();
        let debian = on_debian && !matches!(world.entry(SYSTEMD)?.map(|entry| &entry.node), Some(Node::File(_)));
        let path = if debian { DEBIAN } else { SYSTEMD };
        let old = text_of(path, world).or_else(|error| match world.entry(path) {
            // Debian's newer releases make one a link to the other.
            Ok(Some(entry)) if matches!(entry.node, Node::Link(_)) => text_of(SYSTEMD, world),
            _ => Err(error),
        })?;
        let (new, changed) = edit_settings(old.unwrap_or_default(), &settings);
        if !changed.is_empty() {
            differences.extend(changed);
            acts.push(write(path, new));
        }
    }
    Ok(Decision::update(differences, acts))
}

fn is_made(name: &str, world: &World) -> Result<bool, String> {
    Ok(world.command(&list_made())?.text().lines().any(|known| plain(known.trim()) == plain(name)))
}

/// A server that keeps the definitions where others do, and not this one, cannot make the locale.
fn check_known(name: &str, world: &World) -> Result<(), String> {
    let (mut keeps, mut known) = (false, world.loose);
    for directory in DEFINITIONS {
        keeps |= world.entry(directory)?.is_some();
        known |= world.entry(&format!("{directory}/{}", definition(name)))?.is_some();
    }
    if keeps && !known {
        let [directory, _] = DEFINITIONS;
        return Err(format!(
            "this server does not know the locale `{name}`: there is no {directory}/{}",
            definition(name)
        ));
    }
    Ok(())
}

fn write(path: &str, text: String) -> Act {
    let content = Bytes::from(Arc::<str>::from(text));
    Act::WriteFile { path: path.into(), content, mode: None, owner: None, group: None, validate: None }
}

/// Whether a line of the settings makes this the language of all.
fn is_language(line: &str, name: &str) -> bool {
    let set = line.trim().strip_prefix("LANG=").map(|value| value.trim_matches('"'));
    set.is_some_and(|value| plain(value) == plain(name))
}

fn settings(args: &Args) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut settings: BTreeMap<Arc<str>, Arc<str>> = args.pairs("variables").into_iter().collect();
    if args.truth("default") == Some(true) && !args.absent {
        settings.insert("LANG".into(), args.subject("name"));
    }
    settings
}

/// The list with the locale in it or not; one that is there as a remark takes its place.
fn edit_list(text: &str, name: &str, absent: bool) -> String {
    let charset = name.split_once('.').map_or("ISO-8859-1", |(_, rest)| rest.split('@').next().unwrap_or(rest));
    let is = |line: &str| line.split_whitespace().next().is_some_and(|word| plain(word) == plain(name));
    let (mut told, mut new) = (text.lines().any(is), String::with_capacity(text.len() + name.len()));
    for line in text.split_inclusive('\n') {
        let remark = line.trim_start().strip_prefix('#').map(str::trim_start);
        match remark {
            None if absent && is(line) => new.push_str(&format!("# {line}")),
            Some(rest) if !absent && !told && is(rest) => {
                told = true;
                new.push_str(rest);
            }
            _ => new.push_str(line),
        }
    }
    if !told && !absent {
        let end = if new.is_empty() || new.ends_with('\n') { "" } else { "\n" };
        new.push_str(&format!("{end}{name} {charset}\n"));
    }
    new
}

/// The settings with these in them, and a line of the report for each that differs.
fn edit_settings(text: &str, settings: &BTreeMap<Arc<str>, Arc<str>>) -> (String, Vec<String>) {
    let (mut new, mut changed, mut told) = (String::new(), Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let (name, value) = line.trim().split_once('=').unwrap_or((line, ""));
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        let Some((known, wanted)) = settings.get_key_value(name) else {
            new.push_str(&format!("{line}\n"));
            continue;
        };
        if told.insert(known.clone(), ()).is_some() {
            continue;
        }
        if **wanted == *value {
            new.push_str(&format!("{line}\n"));
        } else {
            changed.push(format!("{name} {value} → {wanted}"));
            new.push_str(&format!("{name}={wanted}\n"));
        }
    }
    for (name, wanted) in settings.iter().filter(|(name, _)| !told.contains_key(*name)) {
        changed.push(format!("{name} {wanted}"));
        new.push_str(&format!("{name}={wanted}\n"));
    }
    (new, changed)
}
