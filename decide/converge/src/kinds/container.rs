use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Command, Look, Sight, Stage, Verb};
use andon_schema::{Block, Change};
use andon_value::Type;
use sha2::{Digest, Sha256};

use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional};
use crate::world::{World, bytes_of};

/// A container of podman or docker. One cannot be changed: its label says by which definition it was made, and where
/// that is another now, it is made anew.
pub(super) const KIND: Kind = Kind { name: "container", schema, check, looks, decide };

/// The label with the digest of the definition.
const LABEL: &str = "andon.definition";

/// The engines, with where they may be.
const ENGINES: [(&str, &[&str]); 2] = [
    ("podman", &["/usr/bin/podman", "/usr/local/bin/podman"]),
    ("docker", &["/usr/bin/docker", "/usr/local/bin/docker"]),
];

/// Variables that the engine itself reads, so that they cannot be handed through its environment.
const ITS_OWN: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "USER", "TMPDIR", "DOCKER_HOST", "XDG_RUNTIME_DIR"];

fn schema() -> Block {
    let text = |description: &str| optional(Type::String, description);
    let texts = |description: &str| optional(Type::list(Type::String), description);
    let map = |description: &str| optional(Type::map(Type::String), description);
    block(
        "A container of podman or docker, made as it is defined, and made anew where its definition has changed. In an \
         image nothing is made. `absent` stops and removes it, and keeps its volumes.",
        &[
            ("name", text("What it is called; without it, the label.")),
            ("image", text("What it runs, such as `docker.io/library/nginx:1.27`.")),
            ("command", texts("The words of its command, in the place of those of the image.")),
            ("entrypoint", text("The program that takes those words, in the place of that of the image.")),
            ("environment", map("Variables of its environment, by name.")),
            ("ports", texts("The ports that it gets, such as `8080:80` or `127.0.0.1:53:53/udp`.")),
            ("volumes", texts("The directories and volumes that it gets, such as `/srv/data:/data:ro`.")),
            ("network", text("The network that it is in, such as `host`, `none` or a name.")),
            ("restart", text("What follows its end: `no`, `on-failure`, `always` or `unless-stopped`.")),
            (
                "user",
                text("The user that it runs as, by name or number, with `:GROUP` behind it where that is another."),
            ),
            ("hostname", text("What it calls itself.")),
            ("workdir", text("The directory that its command starts in.")),
            ("memory", text("The memory that it may use, such as `256m`.")),
            ("cpus", optional(Type::Number, "The processors that it may use, such as 0.5.")),
            ("labels", map("Its labels, by name.")),
            ("capabilities", texts("The capabilities that it has beside the usual ones, such as `NET_ADMIN`.")),
            ("options", texts("More words for `podman create` or `docker create`, such as `--read-only`.")),
            (
                "pull",
                text(
                    "When its image is fetched as it is made: `missing`, which is so without it, `always` or `never`.",
                ),
            ),
            ("running", optional(Type::Bool, "Whether it runs; without it, it does.")),
            ("enabled", optional(Type::Bool, "Whether systemd starts it at boot, by a unit `container-NAME`.")),
            ("engine", text("What runs it: `podman` or `docker`; without it, the first that the server has.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let mut wrong = Vec::new();
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || name.len() > 128 || !name.bytes().all(letter) {
        wrong.push(format!("`{name}` is not the name of a container: letters, digits, `_`, `.` and `-`"));
    }
    if !args.absent && args.text("image").is_none_or(|image| image.is_empty() || image.starts_with('-')) {
        wrong.push("a container needs an `image`, such as `docker.io/library/nginx:1.27`".to_owned());
    }
    let restart = args.text("restart").map(|restart| restart.split(':').next().unwrap_or_default().to_owned());
    for (attribute, given, known) in [
        ("restart", restart, &["no", "on-failure", "always", "unless-stopped"][..]),
        ("pull", args.text("pull").map(|pull| pull.to_string()), &["missing", "always", "never"]),
        ("engine", args.text("engine").map(|engine| engine.to_string()), &["podman", "docker"]),
    ] {
        if let Some(given) = given.filter(|given| !known.contains(&given.as_str())) {
            wrong.push(format!("`{attribute}` is `{given}`, not one of {}", known.join(", ")));
        }
    }
    let amount = |text: &str| {
        let digits = text.trim_end_matches(|unit: char| "bkmgBKMG".contains(unit));
        text.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    wrong.extend(
        args.text("memory")
            .filter(|it| !amount(it))
            .map(|it| format!("`{it}` is not an amount of memory, such as `256m`")),
    );
    let broken = |port: &Arc<str>| {
        port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":./-[]".contains(&byte))
    };
    wrong.extend(
        args.texts("ports").iter().filter(|it| broken(it)).map(|it| format!("`{it}` is not a port, such as `8080:80`")),
    );
    for attribute in ["environment", "labels"] {
        let names = args.pairs(attribute).into_iter().filter(|(name, _)| name.is_empty() || name.contains(['=', '\n']));
        wrong.extend(names.map(|(name, _)| format!("`{name}` cannot be a name in `{attribute}`")));
    }
    let shown = ["command", "labels", "options", "volumes"].into_iter().find(|attribute| args.is_secret(attribute));
    if let Some(attribute) = shown {
        wrong.push(format!(
            "`{attribute}` holds a secret, and everyone on a server sees the words of a process; give it by `environment`"
        ));
    }
    wrong
}

/// The engine and where it is.
fn engine(args: &Args, world: &World) -> (&'static str, String) {
    let wanted = args.text("engine");
    let possible = || ENGINES.into_iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| **wanted == **name));
    for (name, paths) in possible() {
        if let Some(path) = paths.iter().find(|path| matches!(world.entry(path), Ok(Some(_)))) {
            return (name, (*path).to_owned());
        }
    }
    let first = possible().next().map_or("podman", |(name, _)| name);
    (first, format!("/usr/bin/{first}"))
}

/// Asks for all containers at once, whichever it is for.
fn all(engine: &str) -> Command {
    let label = if engine == "docker" {
        format!("{{{{.Label \"{LABEL}\"}}}}")
    } else {
        format!("{{{{index .Labels \"{LABEL}\"}}}}")
    };
    Command::new([engine, "ps", "--all", "--no-trunc", "--format", &format!("{{{{.Names}}}}\t{{{{.State}}}}\t{label}")])
}

fn unit(args: &Args) -> Arc<str> {
    format!("container-{}.service", args.subject("name")).into()
}

fn unit_path(args: &Args) -> Arc<str> {
    format!("/etc/systemd/system/{}", unit(args)).into()
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    if world.stage == Stage::Image {
        return Vec::new();
    }
    let paths: Vec<&str> = ENGINES.iter().flat_map(|(_, paths)| paths.iter().copied()).collect();
    let mut looks: Vec<Look> = paths.iter().map(|path| look_at(path)).collect();
    if paths.iter().all(|path| world.entry(path).is_ok()) {
        looks.push(Look::Command(all(engine(args, world).0)));
    }
    looks.push(Look::Path { path: unit_path(args), content: true });
    looks.extend(args.has("enabled").then(|| Look::Service(unit(args))));
    looks
}

/// Variables of an environment.
type Variables = Vec<(Arc<str>, Arc<str>)>;

/// What is seen of a container.
struct Seen {
    running: bool,
    definition: String,
}

fn lines(world: &World, engine: &str) -> Result<String, String> {
    let output = world.command(&all(engine))?;
    match output.status {
        Some(0) => Ok(output.text()),
        // It is still to be installed, or nobody can say: what is then made says why not.
        Some(127) => Ok(String::new()),
        _ if world.loose => Ok(String::new()),
        _ => {
            let said = String::from_utf8_lossy(&output.errors.0);
            Err(format!(
                "{engine} does not say which containers there are: {}",
                said.lines().last().unwrap_or_default()
            ))
        }
    }
}

fn find(lines: &str, name: &str) -> Option<Seen> {
    lines.lines().find_map(|line| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (names, state, definition) = (next(), next(), next());
        let running = state == "running" || state == "paused" || state.starts_with("Up ");
        names.split(',').any(|known| known == name).then(|| Seen { running, definition: definition.to_owned() })
    })
}

/// The words that make the container, without the engine, the verb and the label; and the variables that are handed
/// through the engine's own environment, so that a secret is not among the words.
fn definition(args: &Args) -> (Vec<String>, Variables) {
    let mut words = vec![format!("--name={}", args.subject("name"))];
    let mut through = Vec::new();
    for (name, value) in args.pairs("environment") {
        if args.is_secret("environment") && !ITS_OWN.contains(&&*name) {
            words.push(format!("--env={name}"));
            through.push((name, value));
        } else {
            words.push(format!("--env={name}={value}"));
        }
    }
    for (attribute, option) in [("ports", "publish"), ("volumes", "volume"), ("capabilities", "cap-add")] {
        words.extend(args.texts(attribute).iter().map(|value| format!("--{option}={value}")));
    }
    for option in ["network", "restart", "user", "hostname", "workdir", "memory", "entrypoint", "pull"] {
        words.extend(args.text(option).map(|value| format!("--{option}={value}")));
    }
    words.extend(args.number("cpus").map(|cpus| format!("--cpus={cpus}")));
    words.extend(args.pairs("labels").iter().map(|(name, value)| format!("--label={name}={value}")));
    words.extend(args.texts("options").iter().map(|option| option.to_string()));
    (words, through)
}

/// A digest of all that the container is made of.
fn digest(args: &Args, words: &[String], through: &[(Arc<str>, Arc<str>)]) -> String {
    let mut hash = Sha256::new();
    let image = args.text("image").unwrap_or_default();
    let command = args.texts("command");
    let values = through.iter().map(|(_, value)| &**value);
    let parts =
        words.iter().map(String::as_str).chain(values).chain([&*image]).chain(command.iter().map(|word| &**word));
    for part in parts.filter(|part| !part.starts_with("--pull=")) {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    if world.stage == Stage::Image {
        return Ok(Decision::nothing());
    }
    let name = args.subject("name");
    let (engine, path) = engine(args, world);
    let lines = lines(world, engine)?;
    let seen = find(&lines, &name);
    let others: String =
        lines.lines().filter(|line| find(line, &name).is_none()).map(|line| format!("{line}\n")).collect();
    let act = |words: Vec<String>, state: &str, doing: Option<String>| {
        let text = if state.is_empty() { others.clone() } else { format!("{others}{name}\t{state}\n") };
        let output =
            andon_schema::host::CommandOutput { status: Some(0), output: Bytes::from(&*text), ..Default::default() };
        let words = [engine.to_owned()].into_iter().chain(words).map(Arc::from).collect();
        Act::Run {
            command: Command { words, ..Command::default() },
            doing: doing.map(Arc::from),
            makes: vec![(Look::Command(all(engine)), Sight::Command(output))],
            only: false,
        }
    };
    let word = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if args.absent {
        let mut acts = Vec::new();
        if bytes_of(world.entry(&unit_path(args))?).is_some() {
            acts.push(Act::Service { unit: unit(args), verb: Verb::Disable });
            acts.push(Act::Remove { path: unit_path(args) });
        }
        acts.extend(seen.map(|_| act(word(&["rm", "--force", &name]), "", Some(format!("removing {name}")))));
        let change = if acts.is_empty() { Change::None } else { Change::Remove };
        return Ok(Decision::new(change, Vec::new(), acts));
    }
    let (words, through) = definition(args);
    let digest = digest(args, &words, &through);
    let running = args.truth("running") != Some(false);
    let (mut differences, mut acts) = (Vec::new(), Vec::new());
    let mut change = Change::Update;
    let make = || {
        let verb = if running { word(&["run", "--detach"]) } else { word(&["create"]) };
        let label = format!("--label={LABEL}={digest}");
        let image = args.text("image").unwrap_or_default().to_string();
        let command = args.texts("command").into_iter().map(|word| word.to_string());
        let words = verb.into_iter().chain(words.clone()).chain([label, image.clone()]).chain(command);
        let state = format!("{}\t{digest}", if running { "running" } else { "created" });
        match act(words.collect(), &state, Some(format!("making {name} of {image}"))) {
            Act::Run { command, doing, makes, only } => {
                let secret = args.is_secret("environment");
                Act::Run { command: Command { environment: through.clone(), secret, ..command }, doing, makes, only }
            }
            other => other,
        }
    };
    match seen {
        None => {
            change = Change::Create;
            differences.push(format!("image {}", args.text("image").unwrap_or_default()));
            acts.push(make());
        }
        Some(seen) if seen.definition != digest => {
            differences.push(match seen.definition.as_str() {
                "" | "<no value>" => "it was not made by Andon, and is made anew".to_owned(),
                _ => "its definition has changed, and it is made anew".to_owned(),
            });
            acts.push(act(word(&["rm", "--force", &name]), "", None));
            acts.push(make());
        }
        Some(seen) if seen.running != running => {
            differences.push(args.difference("running", &seen.running.to_string(), &running.to_string()));
            let (verb, state) = if running { ("start", "running") } else { ("stop", "exited") };
            acts.push(act(word(&[verb, &name]), &format!("{state}\t{digest}"), Some(format!("{verb} {name}"))));
        }
        Some(_) => {}
    }
    let (more, enabling) = enable(args, &path, world)?;
    differences.extend(more);
    acts.extend(enabling);
    Ok(match acts.is_empty() {
        true => Decision::nothing(),
        false => Decision::new(change, differences, acts),
    })
}

/// Has systemd start it at boot, or not: what differs, and the acts.
fn enable(args: &Args, engine: &str, world: &World) -> Result<(Vec<String>, Vec<Act>), String> {
    let Some(wanted) = args.truth("enabled") else { return Ok((Vec::new(), Vec::new())) };
    let name = args.subject("name");
    let text = format!(
        "# Made by Andon for container \"{name}\".\n[Unit]\nDescription=Container {name}\nWants=network-online.target\n\
         After=network-online.target docker.service\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart={engine} start {name}\nExecStop={engine} stop {name}\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    let content = Bytes::from(&*text);
    let (path, unit) = (unit_path(args), unit(args));
    let old = bytes_of(world.entry(&path)?);
    let is_enabled = world.service(&unit)?.is_some_and(|unit| &*unit.enablement == "enabled");
    let mut acts = Vec::new();
    let mut differences = Vec::new();
    if wanted && old != Some(&content) {
        differences.push(format!("{path} {}", if old.is_some() { "differs" } else { "is missing" }));
        acts.push(Act::WriteFile { path, content, mode: Some(0o644), owner: None, group: None, validate: None });
        acts.push(Act::ReadUnits);
    }
    if wanted != is_enabled && (wanted || old.is_some()) {
        differences.push(args.difference("enabled", &is_enabled.to_string(), &wanted.to_string()));
        acts.push(Act::Service { unit, verb: if wanted { Verb::Enable } else { Verb::Disable } });
    }
    Ok((differences, acts))
}
