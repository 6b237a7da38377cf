use std::fmt::Write as _;
use std::sync::Arc;

use andon_schema::host::{Act, Init, Look, Unit};
use andon_schema::{Block, Change, NestedBlock, Nesting};
use andon_value::{Type, Value};

use super::own_file::OwnFile;
use super::service::{self, Wish};
use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::world::World;

/// A unit of systemd, or a drop-in for one, and whether the unit runs.
pub(super) const KIND: Kind = Kind { name: "unit", schema, check, looks, decide };

const DIRECTORY: &str = "/etc/systemd/system";

/// The blocks of a unit: the name of each, that of its section, and the suffix of units that have it.
const SECTIONS: [(&str, &str, Option<&str>); 10] = [
    ("unit", "Unit", None),
    ("service", "Service", Some(".service")),
    ("socket", "Socket", Some(".socket")),
    ("timer", "Timer", Some(".timer")),
    ("path", "Path", Some(".path")),
    ("mount", "Mount", Some(".mount")),
    ("automount", "Automount", Some(".automount")),
    ("swap", "Swap", Some(".swap")),
    ("slice", "Slice", Some(".slice")),
    ("install", "Install", None),
];

fn schema() -> Block {
    let mut schema = block(
        "A unit of systemd, in `/etc/systemd/system`. Each of its sections is a block, whose arguments are systemd's own \
         words: `service { ExecStart = \"/usr/bin/app\" }`. A list gives one line for each of its elements, a map one \
         for each `name=value`, such as those of `Environment`. `absent` stops, disables and removes it.",
        &[
            (
                "name",
                optional(
                    Type::String,
                    "The unit; its suffix may be left out where a block says it; without it, the label.",
                ),
            ),
            ("content", optional(Type::String, "All of its content, in the place of blocks.")),
            (
                "drop_in",
                optional(
                    Type::String,
                    "The name of a drop-in, such as `\"10-limits\"`: only what it says is added to the unit, which some \
                     package brings.",
                ),
            ),
            (
                "running",
                optional(Type::Bool, "Whether it runs. With `true`, it is restarted when its definition changes."),
            ),
            ("enabled", optional(Type::Bool, "Whether it is started at boot.")),
            (
                "verify",
                optional(
                    Type::Bool,
                    "Whether `systemd-analyze verify` must find nothing wrong with it before it takes its place, where \
                     the server has that; true unless given.",
                ),
            ),
        ],
    );
    for (name, section, _) in SECTIONS {
        let description = format!("The section `[{section}]`, in systemd's own words.");
        let block = Block { open: true, description, ..Block::default() };
        let nested = NestedBlock { nesting: Nesting::Single, block, min_items: 0, max_items: 1 };
        schema.blocks.insert(name.to_owned(), nested);
    }
    schema
}

/// The sections that are given, in their order.
fn sections<'a>(args: &Args<'a>) -> Vec<(&'static str, &'a Value)> {
    let given = SECTIONS.iter().filter_map(|(name, section, _)| Some((*section, args.value(name)?)));
    given.filter(|(_, value)| !value.is_null()).collect()
}

/// The name of the unit, with its suffix.
pub(crate) fn unit_name(args: &Args) -> Arc<str> {
    let name = args.subject("name");
    let is_whole = SECTIONS.iter().filter_map(|(_, _, suffix)| *suffix).chain([".target", ".scope"]);
    if is_whole.into_iter().any(|suffix| name.ends_with(suffix)) {
        return name;
    }
    let given = SECTIONS.iter().find(|(block, _, suffix)| suffix.is_some() && args.has(block));
    format!("{name}{}", given.and_then(|(_, _, suffix)| *suffix).unwrap_or(".service")).into()
}

/// The path of the file that the resource is.
pub(crate) fn unit_file(args: &Args) -> Arc<str> {
    let unit = unit_name(args);
    match args.text("drop_in") {
        Some(name) => format!("{DIRECTORY}/{unit}.d/{}.conf", name.strip_suffix(".conf").unwrap_or(&name)).into(),
        None => format!("{DIRECTORY}/{unit}").into(),
    }
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let is_name = |name: &str| !name.is_empty() && !name.starts_with(['-', '.']) && name.bytes().all(letter);
    let name = args.subject("name");
    if !is_name(&name) || name.len() > 240 {
        wrong.push(format!("`{name}` is not the name of a unit"));
    }
    wrong.extend(
        args.text("drop_in").filter(|name| !is_name(name)).map(|name| format!("`{name}` is not the name of a drop-in")),
    );
    let sections = sections(args);
    if args.has("content") && !sections.is_empty() {
        wrong.push("`content` is the whole unit: it has no blocks beside it".to_owned());
    }
    if !args.absent && !args.has("content") && sections.is_empty() {
        wrong.push("a unit needs `content`, or blocks such as `service { ExecStart = \"/usr/bin/app\" }`".to_owned());
    }
    for (section, value) in sections {
        for (key, value) in value.as_entries().into_iter().flat_map(|entries| entries.iter()) {
            if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
                wrong.push(format!("`{key}` of [{section}] is not a word of systemd"));
            }
            if let Err(reason) = lines(value) {
                wrong.push(format!("`{key}` of [{section}] {reason}"));
            }
        }
    }
    wrong
}

/// The text of a unit file from its sections, each with its keys in the order of the alphabet.
pub(super) fn render(sections: &[(&str, &Value)]) -> String {
    let mut text = String::new();
    for (section, value) in sections {
        let _ = writeln!(text, "{}[{section}]", if text.is_empty() { "" } else { "\n" });
        for (key, value) in value.as_entries().into_iter().flat_map(|entries| entries.iter()) {
            lines(value).unwrap_or_default().iter().for_each(|line| {
                let _ = writeln!(text, "{key}={line}");
            });
        }
    }
    text
}

/// What is given to a key, a line each.
fn lines(value: &Value) -> Result<Vec<String>, &'static str> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    if let Some(entries) = value.as_entries() {
        let pair = |(name, value): (&Arc<str>, &Value)| {
            let value = plain(value).ok_or("holds what is no text")?;
            Ok::<_, &str>(format!("\"{}\"", format!("{name}={value}").replace('\\', "\\\\").replace('"', "\\\"")))
        };
        let pairs: Vec<String> = entries.iter().map(pair).collect::<Result<_, _>>()?;
        return pairs.iter().all(|pair| !pair.contains('\n')).then_some(pairs).ok_or("holds more than one line");
    }
    let texts: Vec<String> = match plain(value) {
        Some(text) => vec![text],
        None => value.children().map(|child| plain(child).ok_or("holds what is no text")).collect::<Result<_, _>>()?,
    };
    if texts.iter().any(|text| text.contains('\n')) {
        return Err("holds more than one line");
    }
    Ok(texts)
}

fn plain(value: &Value) -> Option<String> {
    let text = value.as_str().map(|text| text.to_string());
    let truth = || value.as_bool().map(|truth| if truth { "yes" } else { "no" }.to_owned());
    text.or_else(truth).or_else(|| value.as_number().map(ToString::to_string))
}

fn own_file(args: &Args) -> OwnFile {
    let sections = sections(args);
    let secret = args.is_secret("content") || sections.iter().any(|(_, value)| value.is_sensitive());
    let path = unit_file(args);
    let content = match args.text("content") {
        _ if args.absent => None,
        Some(content) => Some(content.to_string()),
        None => Some(render(&sections)),
    };
    let validate = (args.truth("verify") != Some(false)).then(|| verify(&path));
    OwnFile { path, content, secret, validate }
}

/// The command that judges a new unit file. It is shown to systemd under its own name in a directory of its own, before
/// all others; only what is said of this file counts, and not that a program is still to come.
pub(super) fn verify(path: &str) -> Arc<str> {
    let relative = path.strip_prefix(DIRECTORY).unwrap_or(path).trim_start_matches('/');
    let unit = relative.split('/').next().unwrap_or_default();
    let unit = unit.strip_suffix(".d").unwrap_or(unit);
    format!(
        "# systemd-analyze verify {unit}\n\
         command -v systemd-analyze >/dev/null || exit 0\n\
         at=$(mktemp -d) || exit 0\n\
         mkdir -p \"$at/\"'{directory}' && cp %s \"$at/\"'{relative}'\n\
         said=$(SYSTEMD_UNIT_PATH=\"$at:\" systemd-analyze --man=no verify '{unit}' 2>&1 | sed \"s|$at/||g\")\n\
         rm -r \"$at\"\n\
         said=$(echo \"$said\" | grep -v 'is not executable' | grep -F -e '{relative}:' -e '{unit}: ')\n\
         echo \"$said\"; test -z \"$said\"\n",
        directory = relative.rsplit_once('/').map_or("", |(directory, _)| directory),
    )
    .into()
}

/// Why units cannot be on a server, if they cannot.
pub(super) fn check_init(world: &World) -> Result<(), String> {
    match world.init()? {
        Init::Systemd => Ok(()),
        _ if world.loose => Ok(()),
        init => {
            let name = match init {
                Init::OpenRc => "OpenRC",
                Init::Runit => "runit",
                _ => "System V's",
            };
            Err(format!(
                "the init of this server is {name}, not systemd; a `service` and a `file` say what it is to run"
            ))
        }
    }
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    let mut looks = own_file(args).looks();
    looks.extend([Look::Init, Look::Service(unit_name(args))]);
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let unit = unit_name(args);
    let is_drop_in = args.has("drop_in");
    if !args.absent {
        check_init(world)?;
    }
    let file = own_file(args).decide(world)?;
    let there = world.service(&unit)?.cloned();
    let state = there.clone().unwrap_or_default();
    if is_drop_in && there.is_none() && !args.absent && !world.loose {
        return Err(format!("this server knows no unit `{unit}`, which the drop-in is for"));
    }
    let wish = match (args.absent, is_drop_in) {
        (true, false) if file.change == Change::None => return Ok(Decision::nothing()),
        (true, false) => Wish { running: Some(false), enabled: Some(false), masked: None },
        (true, true) => Wish::default(),
        (false, _) => Wish { running: args.truth("running"), enabled: args.truth("enabled"), masked: None },
    };
    // A unit that can be enabled only with its new content is known by that.
    let now = Unit { enablement: enablement(args, &state), ..state.clone() };
    let (differences, acts) = service::change(args, world, &unit, &now, wish)?;
    let restarts = state.running && args.truth("running") == Some(true) && file.change != Change::None;
    let mut decision = combine(file, differences, acts, args.absent);
    decision.restarts = restarts.then_some(unit);
    Ok(decision)
}

/// Whether the unit is enabled once its definition is there: `static` where nothing says how.
fn enablement(args: &Args, state: &Unit) -> Arc<str> {
    let says = args.has("install") || args.text("content").is_some_and(|text| text.contains("[Install]"));
    match &*state.enablement {
        "" if says => "disabled".into(),
        "" => "static".into(),
        "static" if says => "disabled".into(),
        _ => state.enablement.clone(),
    }
}

/// Both a file and the state of its service: a service is stopped before its file is removed.
pub(super) fn combine(file: Decision, differences: Vec<String>, acts: Vec<Act>, absent: bool) -> Decision {
    let change = match file.change {
        Change::None if acts.is_empty() => Change::None,
        Change::None => Change::Update,
        change => change,
    };
    let acts = if absent { [acts, file.acts].concat() } else { [file.acts, acts].concat() };
    let differences = [file.differences, differences].concat();
    Decision { change, differences, acts, ..file }
}
