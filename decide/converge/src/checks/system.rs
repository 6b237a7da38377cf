//! Checks of what is on a server and runs on it.

use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Command, Look, Package, Sight};
use andon_value::Type;

use super::{CheckKind, TIMEOUT_MS, check_texts, failed, judge_text, name, of_text, quoted, timed};
use crate::args::{Args, check_account, check_path, optional, parse_duration_ms};
use crate::formats;
use crate::kinds::unit_of;
use crate::world::{World, bytes_of};

pub(super) const KINDS: [CheckKind; 8] = [
    CheckKind {
        name: "command",
        schema: command_schema,
        check: command_check,
        looks: command_looks,
        judge: judge_command,
    },
    CheckKind {
        name: "group",
        schema: group_schema,
        check: |args| check_account(&args.subject("name")).into_iter().collect(),
        looks: |args| vec![Look::Group(args.subject("name"))],
        judge: judge_group,
    },
    CheckKind {
        name: "mount",
        schema: mount_schema,
        check: |args| check_path(&args.subject("path")).into_iter().collect(),
        looks: |_| vec![mounts()],
        judge: judge_mount,
    },
    CheckKind {
        name: "package",
        schema: package_schema,
        check: |_| Vec::new(),
        looks: |args| vec![Look::Package(args.subject("name"))],
        judge: judge_package,
    },
    CheckKind {
        name: "process",
        schema: process_schema,
        check: |_| Vec::new(),
        looks: |args| vec![process_look(args)],
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
        name: "sysctl",
        schema: sysctl_schema,
        check: |_| Vec::new(),
        looks: |args| vec![Look::Sysctl(args.subject("key"))],
        judge: judge_sysctl,
    },
    CheckKind {
        name: "user",
        schema: user_schema,
        check: |args| check_account(&args.subject("name")).into_iter().collect(),
        looks: |args| vec![Look::User(args.subject("name"))],
        judge: judge_user,
    },
];

fn service_schema() -> Block {
    timed(
        "The state of a service. Without `running` and `enabled`, it must run.",
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
            ("name", name("name")),
            ("running", optional(Type::Bool, "Whether it should; true unless given.")),
            ("count", optional(Type::Number, "How many run, exactly.").format(formats::COUNT)),
            ("least", optional(Type::Number, "How many run, at least.").format(formats::COUNT)),
            ("most", optional(Type::Number, "How many run, at most.").format(formats::COUNT)),
            ("user", optional(Type::String, "Only those of this user, by name or number.").format(formats::OWNER)),
        ],
    )
}

fn process_look(args: &Args) -> Look {
    Look::Process { name: args.subject("name"), user: args.text("user") }
}

fn judge_process(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    let count = match world.sight(&process_look(args)) {
        Some(Sight::Process(count)) => *count as u64,
        other => return Err(failed(other)),
    };
    let whose = args.text("user").map(|user| format!(" of {user}")).unwrap_or_default();
    let counted = ["count", "least", "most"].iter().any(|attribute| args.has(attribute));
    let [exactly, least, most] = ["count", "least", "most"].map(|attribute| args.whole(attribute));
    match args.truth("running").unwrap_or(true) {
        false if count > 0 => return Err(format!("{count} processes {name}{whose} run")),
        true if count == 0 && !counted => return Err(format!("no process {name}{whose} runs")),
        _ => {}
    }
    let asked =
        [(exactly, exactly.is_none_or(|it| count == it), ""), (least, least.is_none_or(|it| count >= it), "at least ")];
    let asked = asked.into_iter().chain([(most, most.is_none_or(|it| count <= it), "at most ")]);
    match asked.into_iter().find(|(_, holds, _)| !holds) {
        Some((Some(wanted), _, words)) => Err(format!("{count} processes {name}{whose} run, not {words}{wanted}")),
        _ => Ok(()),
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
            ("home", optional(Type::String, "The home directory.")),
            ("uid", optional(Type::Number, "Its number.").format(formats::ID)),
            ("gid", optional(Type::Number, "The number of its primary group.").format(formats::ID)),
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
    for (attribute, is) in [("uid", user.uid), ("gid", user.gid)] {
        if let Some(wanted) = args.whole(attribute).filter(|wanted| *wanted != u64::from(is)) {
            return Err(format!("the {attribute} of {name} is {is}, not {wanted}"));
        }
    }
    if let Some(home) = args.text("home").filter(|home| *home != user.home) {
        return Err(format!("the home of {name} is {}, not {home}", user.home));
    }
    match args.text("shell") {
        Some(shell) if shell != user.shell => Err(format!("the shell of {name} is {}, not {shell}", user.shell)),
        _ => Ok(()),
    }
}

fn group_schema() -> Block {
    timed(
        "A group of the server.",
        &[
            ("name", name("name")),
            ("exists", optional(Type::Bool, "Whether there is one; true unless given.")),
            ("gid", optional(Type::Number, "Its number.").format(formats::ID)),
            ("members", optional(Type::Set(Type::String.into()), "Users that it is a supplementary group of.")),
        ],
    )
}

fn judge_group(args: &Args, world: &World) -> Result<(), String> {
    let name = args.subject("name");
    let group = match (world.group(&name)?, args.truth("exists").unwrap_or(true)) {
        (None, true) => return Err(format!("there is no group {name}")),
        (Some(_), false) => return Err(format!("there is a group {name}")),
        (None, false) => return Ok(()),
        (Some(group), true) => group,
    };
    if let Some(wanted) = args.whole("gid").filter(|wanted| *wanted != u64::from(group.gid)) {
        return Err(format!("the gid of {name} is {}, not {wanted}", group.gid));
    }
    match args.texts("members").into_iter().find(|member| !group.members.contains(member)) {
        Some(member) => Err(format!("the user {member} is not in the group {name}")),
        None => Ok(()),
    }
}

fn sysctl_schema() -> Block {
    timed(
        "A setting of the running kernel.",
        &[
            ("key", name("setting, such as `net.core.somaxconn`")),
            ("value", optional(Type::String, "Its value; without it, the kernel only has to know the setting.")),
        ],
    )
}

fn judge_sysctl(args: &Args, world: &World) -> Result<(), String> {
    let key = args.subject("key");
    let Some(value) = world.sysctl(&key)? else { return Err(format!("the kernel has no setting {key}")) };
    let single = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match args.text("value").map(|wanted| single(&wanted)).filter(|wanted| *wanted != single(value)) {
        Some(wanted) => Err(format!("{key} is {value}, not {wanted}")),
        None => Ok(()),
    }
}

/// The mounts of this process, as proc(5) lists them.
fn mounts() -> Look {
    Look::Path { path: "/proc/self/mounts".into(), content: true }
}

fn mount_schema() -> Block {
    timed(
        "What is mounted at a path.",
        &[
            ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
            ("mounted", optional(Type::Bool, "Whether anything is; true unless given.")),
            ("type", optional(Type::String, "The type of the file system: `ext4`.")),
            ("source", optional(Type::String, "What is mounted: `/dev/sda1`.")),
            ("options", optional(Type::Set(Type::String.into()), "Options that it is mounted with: `noexec`.")),
        ],
    )
}

fn judge_mount(args: &Args, world: &World) -> Result<(), String> {
    let path = args.subject("path");
    let table = match world.sight(&mounts()) {
        Some(Sight::Path(entry)) => {
            bytes_of(entry.as_ref()).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())
        }
        other => return Err(failed(other)),
    };
    let table = table.ok_or("the mounts of this server could not be read")?;
    // Blanks in a path are written in octal; what was mounted last is seen.
    let plain = |field: &str| field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    let mut fields = table.lines().map(|line| line.split(' ').map(plain).collect::<Vec<_>>());
    let found = fields.rfind(|fields| fields.get(1).is_some_and(|at| **at == *path));
    let fields = match (found, args.truth("mounted").unwrap_or(true)) {
        (None, true) => return Err(format!("nothing is mounted at {path}")),
        (Some(_), false) => return Err(format!("something is mounted at {path}")),
        (None, false) => return Ok(()),
        (Some(fields), true) => fields,
    };
    let field = |at: usize| fields.get(at).map_or("", String::as_str);
    for (attribute, is) in [("source", field(0)), ("type", field(2))] {
        if let Some(wanted) = args.text(attribute).filter(|wanted| **wanted != *is) {
            return Err(format!("the {attribute} of what is mounted at {path} is {is}, not {wanted}"));
        }
    }
    let options: Vec<&str> = field(3).split(',').collect();
    match args.texts("options").into_iter().find(|wanted| !options.contains(&&**wanted)) {
        Some(option) => Err(format!("what is mounted at {path} lacks the option {option}")),
        None => Ok(()),
    }
}

fn command_schema() -> Block {
    timed(
        "What a command says that changes nothing. The label is a command for `/bin/sh`, unless `words` are given.",
        &[
            ("words", optional(Type::list(Type::String), "The program and its arguments, without a shell.")),
            ("status", optional(Type::Number, "Its exit status; 0 unless given.").format(formats::COUNT)),
            ("output", optional(Type::String, "All of its standard output, blanks at the ends aside.")),
            ("errors", optional(Type::list(Type::String), "Texts that its standard error holds.")),
            ("user", optional(Type::String, "The user that it runs as; root unless given.").format(formats::ACCOUNT)),
            ("cwd", optional(Type::String, "The directory that it starts in.").format(formats::PATH)),
            ("environment", optional(Type::Map(Type::String.into()), "More variables of its environment.")),
            ("input", optional(Type::String, "What it reads from standard input.")),
            (
                "limit",
                optional(Type::String, "How long one try may take: `\"10s\"` unless given.").format(formats::DURATION),
            ),
        ]
        .into_iter()
        .chain(of_text("the standard output"))
        .collect::<Vec<_>>(),
    )
}

fn command_check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_texts(args);
    if args.is_secret("words") {
        let words = "`words` hold a secret, which every user of the server could see among the processes";
        wrong.push(format!("{words}: give it in `environment` or `input`"));
    }
    if args.has("words") && args.texts("words").is_empty() {
        wrong.push("`words` are empty".to_owned());
    }
    wrong
}

fn command_of(args: &Args) -> Command {
    let words = args.texts("words");
    let shell = || ["/bin/sh", "-c", args.label()].into_iter().map(Arc::from).collect();
    let limit = args.text("limit").and_then(|text| parse_duration_ms(&text)).unwrap_or(TIMEOUT_MS);
    Command {
        words: if words.is_empty() { shell() } else { words },
        environment: args.pairs("environment"),
        directory: args.text("cwd"),
        user: args.text("user").filter(|user| **user != *"root"),
        input: args.text("input").map(|text| (&*text).into()),
        timeout_ms: Some(limit),
        secret: args.is_secret("environment") || args.is_secret("input"),
        ..Command::default()
    }
}

fn command_looks(args: &Args) -> Vec<Look> {
    vec![Look::Command(command_of(args))]
}

fn judge_command(args: &Args, world: &World) -> Result<(), String> {
    let command = command_of(args);
    let ran = world.command(&command)?;
    let what = command.words.first().filter(|_| args.has("words")).map_or(args.label(), |word| word);
    let text = |bytes: &andon_schema::host::Bytes| String::from_utf8_lossy(&bytes.0).into_owned();
    let (output, errors) = (text(&ran.output), text(&ran.errors));
    let wanted = args.whole("status").unwrap_or(0);
    let status = match ran.status {
        None => return Err(format!("`{what}` did not end in its time")),
        Some(status) => status,
    };
    if i64::try_from(wanted) != Ok(i64::from(status)) {
        let said = errors.trim().lines().last().filter(|_| !command.secret).unwrap_or_default();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(format!("`{what}` ended with {status}, not {wanted}{said}"));
    }
    if let Some(wanted) = args.text("output").filter(|wanted| wanted.trim() != output.trim()) {
        return Err(format!("what `{what}` says is not {}", quoted(args, "output", &wanted)));
    }
    if let Some(missing) = args.texts("errors").into_iter().find(|wanted| !errors.contains(&**wanted)) {
        return Err(format!("the errors of `{what}` do not hold {}", quoted(args, "errors", &missing)));
    }
    judge_text(args, &format!("what `{what}` says"), &output)
}
