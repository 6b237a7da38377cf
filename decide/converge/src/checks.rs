//! The kinds of check, and the loop that makes them until they hold or their time is up.

use std::sync::Arc;

use andon_schema::host::{Act, Assertion, Catalog, Look, Node, Package, Sight};
use andon_schema::{Block, CheckResult};
use andon_value::Type;

use crate::args::{
    Args, block, check_account, check_duration, check_mode, check_path, optional, parse_duration_ms, parse_mode,
};
use crate::converge::{Step, assertions};
use crate::formats;
use crate::kinds::{is_account, unit_of};
use crate::world::{World, bytes_of};

/// How long a check is tried again, unless it says.
const TIMEOUT_MS: u64 = 10_000;
/// How long is waited between two tries.
const PAUSE_MS: u64 = 100;
/// How long one HTTP request may take, at most.
const REQUEST_MS: u64 = 5_000;

/// One kind of check.
pub(crate) struct CheckKind {
    pub name: &'static str,
    pub schema: fn() -> Block,
    check: fn(&Args) -> Vec<String>,
    looks: fn(&Args) -> Vec<Look>,
    /// Why the assertion does not hold, if it does not.
    judge: fn(&Args, &World) -> Result<(), String>,
}

const KINDS: [CheckKind; 7] = [
    CheckKind { name: "file", schema: file_schema, check: file_check, looks: file_looks, judge: judge_file },
    CheckKind { name: "http", schema: http_schema, check: http_check, looks: http_looks, judge: judge_http },
    CheckKind {
        name: "package",
        schema: package_schema,
        check: |_| Vec::new(),
        looks: |args| vec![Look::Package(args.subject("name"))],
        judge: judge_package,
    },
    CheckKind { name: "port", schema: port_schema, check: port_check, looks: port_looks, judge: judge_port },
    CheckKind {
        name: "process",
        schema: process_schema,
        check: |_| Vec::new(),
        looks: |args| vec![Look::Process(args.subject("name"))],
        judge: judge_process,
    },
    CheckKind {
        name: "service",
        schema: service_schema,
        check: |_| Vec::new(),
        looks: |args| vec![Look::Service(unit_of(&args.subject("name")))],
        judge: judge_service,
    },
    CheckKind {
        name: "user",
        schema: user_schema,
        check: |args| check_account(&args.subject("name")).into_iter().collect(),
        looks: |args| vec![Look::User(args.subject("name"))],
        judge: judge_user,
    },
];

/// All kinds of check, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static CheckKind> {
    KINDS.iter()
}

/// A kind of check by its name.
pub(crate) fn find(name: &str) -> Option<&'static CheckKind> {
    all().find(|kind| kind.name == name)
}

/// What is wrong with the values of an assertion.
pub(crate) fn check(kind: &CheckKind, args: &Args) -> Vec<String> {
    let mut wrong = (kind.check)(args);
    wrong.extend(args.text("timeout").and_then(|text| check_duration(&text)));
    wrong
}

/// The checks of one run.
pub(crate) struct Checks {
    again: bool,
    pending: Vec<Pending>,
    /// When the first look was, by the server's clock.
    began_ms: Option<u64>,
    /// A look is under way.
    looking: bool,
}

struct Pending {
    result: CheckResult,
    assertion: Assertion,
    timeout_ms: u64,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Open,
    Settled,
}

impl Checks {
    /// With `again`, each check is made again until it holds or its time is up.
    pub fn new(catalog: &Catalog, again: bool) -> Checks {
        let mut pending = Vec::new();
        for check in &catalog.checks {
            for (address, assertion) in assertions(check) {
                let text = Args::of_assertion(assertion).text("timeout");
                pending.push(Pending {
                    result: CheckResult {
                        check: check.name.to_string(),
                        assertion: address,
                        origin: assertion.origin.to_string(),
                        failure: None,
                    },
                    assertion: assertion.clone(),
                    timeout_ms: text.and_then(|text| parse_duration_ms(&text)).unwrap_or(TIMEOUT_MS),
                    state: State::Open,
                });
            }
        }
        Checks { again, pending, began_ms: None, looking: false }
    }

    /// The results of the checks that were made.
    pub fn results(&self) -> Vec<CheckResult> {
        let made = self.pending.iter().filter(|pending| pending.state == State::Settled);
        made.map(|pending| pending.result.clone()).collect()
    }

    /// The next step, or `None` when all are settled.
    pub fn next(&mut self, world: &mut World) -> Option<Step> {
        if self.looking {
            self.looking = false;
            self.judge(world);
            let open = self.pending.iter().any(|pending| pending.state == State::Open);
            return open.then_some(Step::Act(vec![Act::Pause { ms: PAUSE_MS }]));
        }
        let open = self.pending.iter().filter(|pending| pending.state == State::Open);
        let mut looks: Vec<Look> = open
            .flat_map(|pending| {
                let args = Args::of_assertion(&pending.assertion);
                find(&pending.assertion.kind).map(|kind| (kind.looks)(&args)).unwrap_or_default()
            })
            .collect();
        if self.pending.iter().all(|pending| pending.state == State::Settled) {
            return None;
        }
        world.forget_all();
        looks.sort();
        looks.dedup();
        looks.push(Look::Clock);
        self.looking = true;
        Some(Step::Look(looks))
    }

    fn judge(&mut self, world: &World) {
        let now_ms = match world.sight(&Look::Clock) {
            Some(Sight::Clock(ms)) => Some(*ms),
            _ => None,
        };
        let began_ms = *self.began_ms.get_or_insert(now_ms.unwrap_or(0));
        for pending in self.pending.iter_mut().filter(|pending| pending.state == State::Open) {
            let args = Args::of_assertion(&pending.assertion);
            let outcome = match find(&pending.assertion.kind) {
                Some(kind) => (kind.judge)(&args, world),
                None => Err(format!("there is no kind of check `{}`", pending.assertion.kind)),
            };
            let late = now_ms.is_none_or(|now| now.saturating_sub(began_ms) >= pending.timeout_ms);
            if outcome.is_ok() || !self.again || late {
                pending.result.failure = outcome.err();
                pending.state = State::Settled;
            }
        }
    }
}

fn timed(description: &str, attributes: &[(&str, andon_schema::Attribute)]) -> Block {
    let timeout = optional(Type::String, "How long it is tried again until it holds: `\"10s\"` unless given.");
    let timeout = timeout.format(formats::DURATION);
    let mut all = attributes.to_vec();
    all.push(("timeout", timeout));
    block(description, &all)
}

fn port_schema() -> Block {
    timed(
        "Whether anything listens on a port of the server. The label is `tcp/80` or `udp/53`.",
        &[("listening", optional(Type::Bool, "Whether it should; true unless given."))],
    )
}

fn port_of(args: &Args) -> Option<(bool, u16)> {
    let (protocol, port) = args.label().split_once('/')?;
    let tcp = match protocol {
        "tcp" => true,
        "udp" => false,
        _ => return None,
    };
    port.parse().ok().filter(|port| *port != 0).map(|port| (tcp, port))
}

fn port_check(args: &Args) -> Vec<String> {
    let wrong = port_of(args).is_none();
    wrong.then(|| format!("`{}` is not a port, such as `tcp/80`", args.label())).into_iter().collect()
}

fn port_looks(args: &Args) -> Vec<Look> {
    port_of(args).map(|(tcp, port)| Look::Port { tcp, port }).into_iter().collect()
}

fn judge_port(args: &Args, world: &World) -> Result<(), String> {
    let wanted = args.truth("listening").unwrap_or(true);
    let look = port_looks(args).into_iter().next();
    match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Port(true)) if !wanted => Err(format!("something listens on {}", args.label())),
        Some(Sight::Port(false)) if wanted => Err(format!("nothing listens on {}", args.label())),
        Some(Sight::Port(_)) => Ok(()),
        other => Err(failed(other)),
    }
}

fn http_schema() -> Block {
    timed(
        "The answer to an HTTP GET from the server itself. The label is the address, by number, `localhost` or a name \
         in its `/etc/hosts`. Redirects are not followed.",
        &[
            ("url", optional(Type::String, "The address; without it, the label.")),
            ("status", optional(Type::Number, "The status; without it, any from 200 to 399.").format(formats::STATUS)),
            ("contains", optional(Type::String, "Text that the body holds.")),
            ("body", optional(Type::String, "All of the body, blanks at its ends aside.")),
            ("headers", optional(Type::Map(Type::String.into()), "Headers of the request, such as `Host`.")),
        ],
    )
}

fn http_check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let url = args.subject("url");
    if url.starts_with("https://") {
        wrong.push("a check cannot speak HTTPS yet; give an `http://` address".to_owned());
    } else if url.strip_prefix("http://").is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
        || url.contains(char::is_whitespace)
    {
        wrong.push(format!("`{url}` is not an address, such as `http://127.0.0.1:80/healthz`"));
    }
    if args.has("status") && args.whole("status").is_none_or(|status| !(100..600).contains(&status)) {
        wrong.push("`status` is not one of HTTP, from 100 to 599".to_owned());
    }
    let broken = |(name, value): &(Arc<str>, Arc<str>)| {
        name.is_empty() || name.contains([':', ' ', '\r', '\n']) || value.contains(['\r', '\n'])
    };
    if args.pairs("headers").iter().any(broken) {
        wrong.push("`headers` holds one that HTTP does not allow".to_owned());
    }
    wrong
}

fn http_looks(args: &Args) -> Vec<Look> {
    let asked = args.text("timeout").and_then(|text| parse_duration_ms(&text)).unwrap_or(TIMEOUT_MS);
    let timeout_ms = asked.clamp(PAUSE_MS, REQUEST_MS);
    vec![Look::Http { url: args.subject("url"), headers: args.pairs("headers"), timeout_ms }]
}

fn judge_http(args: &Args, world: &World) -> Result<(), String> {
    let look = http_looks(args).into_iter().next();
    let url = args.subject("url");
    let answer = match look.as_ref().and_then(|look| world.sight(look)) {
        Some(Sight::Http(Ok(answer))) => answer,
        Some(Sight::Http(Err(reason))) => return Err(format!("{reason} from {url}")),
        other => return Err(failed(other)),
    };
    let status = u64::from(answer.status);
    if !args.whole("status").map_or((200..400).contains(&status), |wanted| wanted == status) {
        let wanted = args.whole("status").map_or("2xx or 3xx".to_owned(), |wanted| wanted.to_string());
        return Err(format!("HTTP {status} from {url}, not {wanted}"));
    }
    let body = String::from_utf8_lossy(&answer.body.0);
    if let Some(wanted) = args.text("contains")
        && !body.contains(&*wanted)
    {
        return Err(format!("the answer from {url} does not hold {}", quoted(args, "contains", &wanted)));
    }
    if let Some(wanted) = args.text("body")
        && body.trim() != wanted.trim()
    {
        return Err(format!("the answer from {url} is not {}", quoted(args, "body", &wanted)));
    }
    Ok(())
}

fn quoted(args: &Args, attribute: &str, text: &str) -> String {
    if args.is_secret(attribute) { "(a sensitive text)".to_owned() } else { format!("{text:?}") }
}

fn service_schema() -> Block {
    timed(
        "The state of a service of systemd. Without `running` and `enabled`, it must run.",
        &[
            ("name", optional(Type::String, "The unit; without it, the label.")),
            ("running", optional(Type::Bool, "Whether it runs.")),
            ("enabled", optional(Type::Bool, "Whether it is started at boot.")),
        ],
    )
}

fn judge_service(args: &Args, world: &World) -> Result<(), String> {
    let unit = unit_of(&args.subject("name"));
    let state = world.service(&unit)?.cloned().unwrap_or_default();
    let running = args.truth("running").or_else(|| (!args.has("enabled")).then_some(true));
    match running {
        Some(true) if !state.running => return Err(format!("{unit} does not run")),
        Some(false) if state.running => return Err(format!("{unit} runs")),
        _ => {}
    }
    if let Some(wanted) = args.truth("enabled") {
        let is = matches!(&*state.enablement, "enabled" | "static" | "indirect" | "alias" | "generated");
        let shown = if state.enablement.is_empty() { "not known to systemd" } else { &state.enablement };
        if is != wanted {
            return Err(format!("{unit} is {shown}"));
        }
    }
    Ok(())
}

fn file_schema() -> Block {
    timed(
        "What is at a path of the server.",
        &[
            ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
            ("exists", optional(Type::Bool, "Whether anything is there; true unless given.")),
            ("mode", optional(Type::String, "The permission bits in octal.").format(formats::MODE)),
            ("owner", optional(Type::String, "The user that owns it, by name or number.").format(formats::OWNER)),
            ("group", optional(Type::String, "Its group, by name or number.").format(formats::OWNER)),
            ("contains", optional(Type::String, "Text that the file holds.")),
        ],
    )
}

fn file_check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_path(&args.subject("path")).into_iter().collect();
    wrong.extend(args.text("mode").and_then(|text| check_mode(&text)));
    wrong
}

fn file_looks(args: &Args) -> Vec<Look> {
    vec![Look::Path { path: args.subject("path"), content: args.has("contains") }]
}

fn judge_file(args: &Args, world: &World) -> Result<(), String> {
    let path = args.subject("path");
    let wanted = args.truth("exists").unwrap_or(true);
    let entry = match (world.entry(&path)?, wanted) {
        (Some(_), false) => return Err(format!("{path} exists")),
        (None, true) => return Err(format!("{path} does not exist")),
        (None, false) => return Ok(()),
        (Some(entry), true) => entry,
    };
    if let Some(mode) = args.text("mode").and_then(|text| parse_mode(&text))
        && mode != entry.mode
    {
        return Err(format!("{path} has the mode {:04o}, not {mode:04o}", entry.mode));
    }
    for (attribute, account) in [("owner", &entry.owner), ("group", &entry.group)] {
        if let Some(name) = args.text(attribute)
            && !is_account(account, &name)
        {
            return Err(format!("the {attribute} of {path} is {} ({}), not {name}", account.name, account.id));
        }
    }
    if let Some(text) = args.text("contains") {
        let holds = bytes_of(Some(entry)).is_some_and(|bytes| String::from_utf8_lossy(&bytes.0).contains(&*text));
        if !holds {
            let what = if entry.node == Node::Directory { "is a directory, and" } else { "" };
            return Err(format!("{path} {what} does not hold {}", quoted(args, "contains", &text)).replace("  ", " "));
        }
    }
    Ok(())
}

fn package_schema() -> Block {
    timed(
        "Whether a package is installed.",
        &[
            ("name", optional(Type::String, "The package; without it, the label.")),
            ("installed", optional(Type::Bool, "Whether it should be; true unless given.")),
            ("version", optional(Type::String, "Its exact version.")),
        ],
    )
}

fn judge_package(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    let package = world.package(&name)?;
    let wanted = args.truth("installed").unwrap_or(true);
    match package {
        Package::Missing | Package::Kept if wanted => Err(format!("the package {name} is not installed")),
        Package::Installed { .. } if !wanted => Err(format!("the package {name} is installed")),
        Package::Installed { version, .. } => match args.text("version") {
            Some(asked) if asked != *version => Err(format!("the package {name} is {version}, not {asked}")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn process_schema() -> Block {
    timed(
        "Whether a process runs. The label is its name, without its directory.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.")),
            ("running", optional(Type::Bool, "Whether it should; true unless given.")),
        ],
    )
}

fn judge_process(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    match world.sight(&Look::Process(name.clone())) {
        Some(Sight::Process(count)) => match (args.truth("running").unwrap_or(true), *count) {
            (true, 0) => Err(format!("no process {name} runs")),
            (false, 1..) => Err(format!("{count} processes {name} run")),
            _ => Ok(()),
        },
        other => Err(failed(other)),
    }
}

fn user_schema() -> Block {
    timed(
        "A user of the server.",
        &[
            ("name", optional(Type::String, "The name; without it, the label.")),
            ("exists", optional(Type::Bool, "Whether there is one; true unless given.")),
            ("groups", optional(Type::Set(Type::String.into()), "Groups that it is a member of.")),
            ("shell", optional(Type::String, "The login shell.")),
        ],
    )
}

fn judge_user(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    let user = match (world.user(&name)?, args.truth("exists").unwrap_or(true)) {
        (None, true) => return Err(format!("there is no user {name}")),
        (Some(_), false) => return Err(format!("there is a user {name}")),
        (None, false) => return Ok(()),
        (Some(user), true) => user,
    };
    if let Some(group) = args.texts("groups").into_iter().find(|group| !user.groups.contains(group)) {
        return Err(format!("the user {name} is not in the group {group}"));
    }
    match args.text("shell") {
        Some(shell) if shell != user.shell => Err(format!("the shell of {name} is {}, not {shell}", user.shell)),
        _ => Ok(()),
    }
}

fn failed(sight: Option<&Sight>) -> String {
    match sight {
        Some(Sight::Failed(reason)) => reason.clone(),
        _ => "the server did not answer a look".to_owned(),
    }
}
