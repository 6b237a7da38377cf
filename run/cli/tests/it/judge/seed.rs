//! A seed: what one imaginary server has, and what it is to have, said for both tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value as Json, json};

use super::machine;
use crate::support::Random;

/// All of one seed.
pub struct Seed {
    pub number: u64,
    pub random: Random,
    pub start: Vec<Start>,
    pub tasks: Vec<Task>,
    /// Files of the project, by their path in its `roles`.
    pub files: Vec<(String, String)>,
}

/// Something that is there before.
#[derive(Debug, Clone)]
pub enum Start {
    File {
        path: String,
        content: String,
        meta: Meta,
    },
    Directory {
        path: String,
        meta: Meta,
    },
    Link {
        path: String,
        target: String,
    },
    /// A line at the end of a file of the system.
    Line {
        path: &'static str,
        line: String,
    },
    /// What a command of the shell makes, below a path.
    Made {
        path: String,
        by: String,
    },
}

/// Mode, owner and group of what is there before.
#[derive(Debug, Clone, Copy)]
pub struct Meta(pub u32, pub u32, pub u32);

pub const PLAIN: Meta = Meta(0o644, 0, 0);

/// One wish, in the words of each tool.
pub struct Task {
    /// What it is about: a part of each path and line that it may change.
    pub subject: String,
    /// Tasks of a playbook.
    pub ansible: Vec<Json>,
    /// A resource of a role.
    pub andon: String,
}

impl Seed {
    pub fn new(number: u64) -> Seed {
        let mut seed =
            Seed { number, random: Random::new(number), start: Vec::new(), tasks: Vec::new(), files: Vec::new() };
        let home = seed.directory();
        seed.start.push(Start::Directory { path: home, meta: Meta(0o755, 0, 0) });
        seed
    }

    /// The name of the server, and of the role.
    pub fn name(&self) -> String {
        format!("seed{}", self.number)
    }

    /// Where its files are.
    pub fn directory(&self) -> String {
        format!("/srv/judge/{}", self.number)
    }

    /// A path below its directory that nothing else has.
    pub fn path(&mut self, name: &str) -> String {
        format!("{}/{}-{name}", self.directory(), self.tasks.len())
    }

    /// A name of a user or group that nothing else has.
    pub fn account(&mut self, letter: char) -> String {
        format!("j{}{letter}{}", self.number, self.tasks.len())
    }

    /// A free number for a user or group, which `account` stands for.
    pub fn id(&self) -> u32 {
        20_000 + self.number as u32 * 100 + self.tasks.len() as u32
    }

    pub fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        *self.random.pick(of)
    }

    /// Either of two, or none at all.
    pub fn maybe<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!self.chance(3)).then(|| self.pick(of))
    }

    /// A wish, as a module with its arguments and as a resource with its attributes; what is null is not said.
    pub fn wish(&mut self, subject: &str, task: (&str, Json), resource: (&str, Json)) {
        self.wishes(subject, vec![task], resource);
    }

    /// The same, where a playbook says it in several tasks.
    pub fn wishes(&mut self, subject: &str, tasks: Vec<(&str, Json)>, (kind, attributes): (&str, Json)) {
        let mut andon = format!("{kind} {} {{\n", hcl(&json!(subject)));
        for (name, value) in said(attributes) {
            writeln!(andon, "  {name} = {}", hcl(&value)).unwrap();
        }
        andon.push('}');
        let task = |(module, arguments): (&str, Json)| {
            let module = if module.contains('.') { module.to_owned() } else { format!("ansible.builtin.{module}") };
            json!({ "name": format!("{module} {subject}"), module: said(arguments) })
        };
        let ansible = tasks.into_iter().map(task).collect();
        self.tasks.push(Task { subject: subject.to_owned(), ansible, andon });
    }

    /// The play of this server.
    pub fn play(&self) -> Json {
        let tasks: Vec<&Json> = self.tasks.iter().flat_map(|task| &task.ansible).collect();
        json!({ "hosts": self.name(), "gather_facts": false, "tasks": tasks })
    }

    /// The role of this server.
    pub fn role(&self) -> String {
        let resources: Vec<String> = self.tasks.iter().map(|task| format!("  {}\n", task.andon)).collect();
        format!("role \"{}\" {{\n{}}}\n", self.name(), resources.concat())
    }

    /// All that is known of a path or a line that came out wrong.
    pub fn tell(&self, place: &str) -> String {
        let mut told = String::new();
        let about = |subject: &str| place.contains(subject);
        for start in self.start.iter().skip(1).filter(|start| about(start.subject())) {
            writeln!(told, "  before: {start:?}").unwrap();
        }
        for task in self.tasks.iter().filter(|task| about(&task.subject)) {
            writeln!(told, "  {}\n  {}", json!(task.ansible), task.andon.replace('\n', "\n  ")).unwrap();
        }
        told
    }
}

fn said(arguments: Json) -> Map<String, Json> {
    let Json::Object(all) = arguments else { panic!("{arguments} is not an object") };
    all.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// A value, as an expression. JSON's strings are those of the language, but for templates; an object with the one key
/// `expression` is what that says.
pub fn hcl(value: &Json) -> String {
    if let Some(text) = value.get("expression").and_then(Json::as_str) {
        return text.to_owned();
    }
    value.to_string().replace("${", "$${").replace("%{", "%%{")
}

impl Start {
    /// The path or name that it is about.
    pub fn subject(&self) -> &str {
        match self {
            Start::File { path, .. }
            | Start::Directory { path, .. }
            | Start::Link { path, .. }
            | Start::Made { path, .. } => path,
            Start::Line { line, .. } => line.split(':').next().unwrap_or_default(),
        }
    }

    fn lay(&self, lines: &mut BTreeMap<&'static str, String>) {
        match self {
            Start::File { path, content, meta } => {
                fs::write(path, content).unwrap();
                meta.lay(path);
            }
            Start::Directory { path, meta } => {
                fs::create_dir_all(path).unwrap();
                meta.lay(path);
            }
            Start::Link { path, target } => symlink(target, path).unwrap(),
            Start::Line { path, line } => {
                let text = lines.entry(path).or_insert_with(|| fs::read_to_string(path).unwrap_or_default());
                writeln!(text, "{line}").unwrap();
            }
            Start::Made { path, by } => {
                let (made, out, err) = machine::run(Command::new("sh").args(["-euc", by, "sh", path]));
                assert!(made, "{by}\n{out}{err}");
            }
        }
    }
}

impl Meta {
    fn lay(self, path: &str) {
        chown(path, Some(self.1), Some(self.2)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(self.0)).unwrap();
    }
}

/// The unit of systemd that a task is about.
pub fn unit(task: &Task) -> Option<&str> {
    [".service", ".socket", ".timer"].iter().any(|end| task.subject.ends_with(end)).then_some(&task.subject)
}

/// A program of the shell that lays down how a server with systemd is before: files first, then what was done with them.
pub fn script(seeds: &[Seed]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let (mut files, mut done) = (String::new(), String::new());
    let meta =
        |Meta(mode, owner, group): Meta, path: &str| format!("chown {owner}:{group} {path}; chmod {mode:o} {path}\n");
    for start in seeds.iter().flat_map(|seed| &seed.start) {
        let path = quoted(start.subject());
        files += &match start {
            Start::File { content, meta: it, .. } => {
                format!("printf %s {} > {path}; {}", quoted(content), meta(*it, &path))
            }
            Start::Directory { meta: it, .. } => format!("mkdir -p {path}; {}", meta(*it, &path)),
            Start::Link { target, .. } => format!("ln -s {} {path}\n", quoted(target)),
            Start::Line { path, line } => format!("echo {} >> {path}\n", quoted(line)),
            Start::Made { by, .. } => {
                done += &format!("set -- {path}\n{by}\n");
                continue;
            }
        };
    }
    format!("{files}systemctl daemon-reload\n{done}")
}

/// Lays down how all servers are before, on this thread's machine.
pub fn lay(seeds: &[Seed]) {
    let mut lines = BTreeMap::new();
    for start in seeds.iter().flat_map(|seed| &seed.start) {
        start.lay(&mut lines);
    }
    for (path, text) in lines {
        let mode = fs::metadata(path).map_or(Meta(0o644, 0, 0).0, |metadata| metadata.permissions().mode());
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}
