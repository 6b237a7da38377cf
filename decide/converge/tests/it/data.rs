//! Decisions as data: what a role asks and what a server is, in; what is reported and done, out. The cases are the files
//! in `cases/`, one for each kind or two; `BLESS=1` writes what comes out now into them.
//!
//! A file is cases, each under a title, and each made of sections:
//!
//! ```text
//! ## A file is made            the title
//! --- role                     host resources, or whole roles of which the last counts
//! --- beside web/site.conf     a file in the directory of the roles; ` (executable)` behind it says that it is that
//! --- facts                    `os.family = debian`, a line each; other facts are empty
//! --- server                   what is there beside `Host::new`, a line each; see `put`
//! --- wrong                    out: why the role cannot be meant
//! --- report                   out: a line for each resource that changes, what differs, the diff
//! --- acts                     out: what is done, in order
//! ```
//!
//! Of every case it is shown, too, that a plan foretells it and that a second run does nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use andon_converge::{Mode, schemas, validate};
use andon_lang::{FileSet, Roles, SecretsAtHand, Server, catalog, load};
use andon_schema::host::{
    Account, Act, Ageing, Bytes, Catalog, Certificate, CommandOutput, Due, Entry, FirewallChain, Group, Init, KeyKind,
    Manager, Node, Notify, Origin, Unit, User, fact_types,
};
use andon_schema::{Change, EntryStatus, HostReport, Schemas};
use andon_value::{Kind, Type, Value};

use crate::host::{Host, assert_settled, directory, regular};

#[test]
fn decisions() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases");
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let bless = std::env::var_os("BLESS").is_some();
    let mut differ = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "case")) {
        let text = std::fs::read_to_string(path).unwrap();
        let now: String = cases(&text).into_iter().map(|case| case.tell(path)).collect::<Vec<_>>().join("\n");
        if now != text && bless {
            std::fs::write(path, &now).unwrap();
        } else if now != text {
            differ.push(format!("{}:\n{}", path.display(), difference(&text, &now)));
        }
    }
    assert!(differ.is_empty(), "cases come out otherwise (BLESS=1 accepts them):\n{}", differ.join("\n"));
}

/// The first lines that differ, with those before them.
fn difference(old: &str, new: &str) -> String {
    let at = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let around = |text: &str| {
        text.lines().skip(at.saturating_sub(12)).take(24).map(|line| format!("    {line}\n")).collect::<String>()
    };
    format!("  in the file, at line {}:\n{}  now:\n{}", at + 1, around(old), around(new))
}

/// One case: its title with remarks, and its sections.
struct Case<'a> {
    head: String,
    sections: Vec<(&'a str, String)>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("## ") || cases.is_empty() {
            cases.push(Case { head: format!("{line}\n"), sections: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match (line.strip_prefix("--- "), case.sections.last_mut()) {
            (Some(name), _) => case.sections.push((name, String::new())),
            (None, Some((_, section))) => section.push_str(&format!("{line}\n")),
            (None, None) => case.head.push_str(&format!("{line}\n")),
        }
    }
    cases
}

impl Case<'_> {
    fn section(&self, name: &str) -> &str {
        self.sections.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
    }

    /// The case as it comes out now.
    fn tell(&self, path: &Path) -> String {
        let mut told = self.head.clone();
        for (name, text) in &self.sections {
            if !matches!(*name, "wrong" | "report" | "acts") {
                let _ = write!(told, "--- {name}\n{}\n", text.trim_end());
            }
        }
        let place = format!("{}: {}", path.display(), self.head.lines().next().unwrap());
        println!("{place}");
        let catalog = match self.catalog() {
            Ok(catalog) => catalog,
            Err(wrong) => return format!("{told}--- wrong\n{}\n", wrong.trim_end()),
        };
        let wrong: Vec<String> = validate(&catalog).into_iter().map(|(_, message)| message).collect();
        if !wrong.is_empty() {
            return format!("{told}--- wrong\n{}\n", wrong.join("\n"));
        }
        let mut host = Host { obliging: true, ..Host::new() };
        let mode = put(&mut host, self.section("server"));
        let planned = (mode == Mode::Apply).then(|| host.plan(&catalog));
        let report = host.run(&catalog, mode).unwrap();
        let _ = write!(told, "--- report\n{}", shown_report(&report));
        if let Some(planned) = planned.filter(|_| !report.has_failed()) {
            assert_eq!(shown_report(&planned), shown_report(&report), "{place}: the plan says another thing");
        }
        if !host.log.is_empty() {
            let acts: Vec<String> = host.log.iter().map(shown_act).collect();
            let _ = write!(told, "--- acts\n{}\n", acts.join("\n"));
        }
        if !report.has_failed() && mode == Mode::Apply {
            assert_settled(&mut host, &catalog);
        }
        told
    }

    fn catalog(&self) -> Result<Catalog, String> {
        let mut files = FileSet::new();
        let role = self.section("role");
        let whole = role.starts_with("role ") || role.contains("\nrole ");
        let text = if whole { role.to_owned() } else { format!("role \"case\" {{\n{role}}}\n") };
        files.insert("roles/case.role.hcl", text.as_bytes());
        for (name, text) in &self.sections {
            if let Some(path) = name.strip_prefix("beside ") {
                let path = match path.strip_suffix(" (executable)") {
                    Some(path) => {
                        files.mark_executable(format!("roles/{path}"));
                        path
                    }
                    None => path,
                };
                files.insert(format!("roles/{path}"), format!("{}\n", text.trim_end()).as_bytes());
            }
        }
        let (host, checks) = schemas();
        let schemas = Schemas { host, checks, ..Schemas::default() };
        let (project, diagnostics) = load(Arc::new(files), "case");
        let said = |diagnostics: &andon_text::Diagnostics| {
            let line = |it: &andon_text::Diagnostic| {
                let words = [&it.summary, &it.label, &it.detail].map(String::clone);
                words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ")
            };
            diagnostics.iter().filter(|it| it.is_error()).map(line).collect::<Vec<_>>().join("\n")
        };
        if diagnostics.has_errors() {
            return Err(said(&diagnostics));
        }
        let mut names = text.lines().filter_map(|line| line.strip_prefix("role \"")?.split('"').next());
        let name = names.next_back().unwrap();
        let (params, facts) = (Value::object::<&str>([]), facts(self.section("facts")));
        let server = Server { params: &params, facts: &facts, secrets: SecretsAtHand::Unknown };
        catalog(Roles::of(&project, &schemas), name, server).map_err(|diagnostics| said(&diagnostics))
    }
}

/// Facts of which only those given are not empty.
fn facts(text: &str) -> Value {
    let mut facts = empty(&fact_types());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(" = ").expect("a fact is `name = value`");
        facts = with(&facts, &name.split('.').collect::<Vec<_>>(), value);
    }
    facts
}

fn empty(ty: &Type) -> Value {
    match ty {
        Type::String => Value::from(""),
        Type::Number => Value::from(0),
        Type::Bool => Value::from(false),
        Type::List(element) => Value::list((**element).clone(), []),
        Type::Object { attributes, .. } => Value::object(attributes.iter().map(|(name, ty)| (&**name, empty(ty)))),
        other => Value::null(other.clone()),
    }
}

fn with(value: &Value, path: &[&str], text: &str) -> Value {
    let Some((first, rest)) = path.split_first() else {
        let number = text.parse::<i64>().ok().filter(|_| matches!(value.kind(), Kind::Number(_)));
        return number.map_or_else(|| Value::from(text), Value::from);
    };
    let entries = value.as_entries().expect("facts are objects");
    assert!(entries.contains_key(*first), "there is no fact {first}");
    Value::object(
        entries
            .iter()
            .map(|(name, value)| (&**name, if **name == **first { with(value, rest, text) } else { value.clone() })),
    )
}

/// Puts what the lines say on a server. Lines after a file that begin with `|` are lines of its content.
fn put(host: &mut Host, text: &str) -> Mode {
    let mut mode = Mode::Apply;
    let mut last = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(content) = line.strip_prefix('|') {
            let so_far = host.text(&last).unwrap();
            let content = format!("{so_far}{}\n", content.strip_prefix(' ').unwrap_or(content));
            host.paths.get_mut(&last).unwrap().node = Node::File(Some(Bytes::from(&*content)));
            continue;
        }
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &*words {
            ["image"] => mode = Mode::Image,
            ["file", path, rest @ ..] => {
                let (content, meta) = match rest.split_last() {
                    Some((content, meta)) if line.ends_with('"') => (*content, meta),
                    _ => ("", rest),
                };
                place(host, path, meta, regular(content, 0o644));
                last = (*path).to_owned();
            }
            ["directory", path, meta @ ..] => place(host, path, meta, directory()),
            ["link", path, "->", target] => {
                let entry = Entry { node: Node::Link((*target).into()), mode: 0o777, ..directory() };
                place(host, path, &[], entry);
            }
            ["nothing", path] => drop(host.paths.remove(*path)),
            ["group", name, gid, members @ ..] => {
                let members = members.iter().map(|member| (*member).into()).collect();
                host.groups.insert((*name).into(), Group { gid: gid.parse().unwrap(), members });
            }
            ["shadow", name, password, days @ ..] => {
                let user = host.users.get_mut(*name).unwrap();
                user.password = (*password).into();
                let mut days = days.iter().map(|days| Some(days.parse().unwrap()));
                let mut next = || days.next().unwrap_or(Some(-1));
                user.ageing = Ageing {
                    min_days: next(),
                    max_days: next(),
                    warn_days: next(),
                    inactive_days: next(),
                    expires: next(),
                };
            }
            ["comment", name, comment] => host.users.get_mut(*name).unwrap().comment = (*comment).into(),
            ["user", name, uid, gid, home, shell, groups @ ..] => {
                let user = User {
                    uid: uid.parse().unwrap(),
                    gid: gid.parse().unwrap(),
                    home: (*home).into(),
                    shell: (*shell).into(),
                    groups: groups.iter().map(|group| (*group).into()).collect(),
                    ..User::default()
                };
                host.users.insert((*name).into(), user);
            }
            ["package", name, version] => drop(host.packages.insert((*name).into(), (*version).into())),
            ["held", name] => drop(host.held.insert((*name).into())),
            ["index", ms] => host.index_age_ms = Some(ms.parse().unwrap()),
            ["offered", name, versions @ ..] => {
                let versions = versions.iter().map(|version| (*version).to_owned()).collect();
                host.offered.insert((*name).into(), versions);
            }
            ["manager", name] => {
                let all = [Manager::Apt, Manager::Dnf, Manager::Yum, Manager::Zypper, Manager::Apk, Manager::Pacman];
                host.manager = all.into_iter().find(|it| format!("{it:?}").to_lowercase() == *name);
            }
            ["init", name] => {
                let all = [Init::Systemd, Init::OpenRc, Init::Runit, Init::SysV];
                host.init = all.into_iter().find(|it| format!("{it:?}").to_lowercase() == *name);
            }
            ["unit", name, running, enablement] => {
                let unit = Unit { running: *running == "running", enablement: (*enablement).into(), ..Unit::default() };
                host.units.insert((*name).into(), unit);
            }
            ["sysctl", key, value] => drop(host.sysctl.insert((*key).into(), (*value).into())),
            ["owed", verb, unit] => host.owed.push(match *verb {
                "run" => Due::Run((*unit).into()),
                verb => Due::Notify(Notify { service: (*unit).into(), restart: verb == "restart" }),
            }),
            ["command", words, status, output @ ..] => {
                let output = CommandOutput {
                    status: Some(status.parse().unwrap()),
                    output: output.concat().into_bytes().into(),
                    ..CommandOutput::default()
                };
                host.answers.insert((*words).into(), output);
            }
            ["chain", name, policy, rules @ ..] => host.firewall.push(FirewallChain {
                name: (*name).into(),
                policy: (*policy).into(),
                rules: rules.iter().map(|rule| (*rule).into()).collect(),
            }),
            ["certificate", path, days, names @ ..] => {
                let certificate = Certificate {
                    subject: vec![("CN".into(), "old".into())],
                    dns: names.iter().map(|name| (*name).into()).collect(),
                    ips: vec!["fd00::1".into()],
                    usages: vec!["digital_signature".into()],
                    authority: false,
                    key: Some(KeyKind::P256),
                    key_fits: true,
                    signed: true,
                    lasts_s: days.parse::<i64>().unwrap() * 86_400,
                };
                host.certificates.insert((*path).into(), certificate);
                place(host, path, &[], regular("PEM", 0o644));
                place(host, &path.replace(".crt", ".key"), &[], regular("KEY", 0o600));
            }
            ["fails", act] => host.fails = Some((*act).into()),
            _ => panic!("nobody knows what this says of a server: {line}"),
        }
    }
    mode
}

fn place(host: &mut Host, path: &str, meta: &[&str], mut entry: Entry) {
    for (at, _) in path.match_indices('/').skip(1) {
        host.paths.entry(path[..at].to_owned()).or_insert_with(directory);
    }
    if let Some(mode) = meta.first() {
        entry.mode = u32::from_str_radix(mode, 8).unwrap();
    }
    let account = |name: &str, id: Option<u32>| Account { id: id.unwrap_or(4242), name: name.into() };
    if let Some(owner) = meta.get(1) {
        entry.owner = account(owner, host.users.get(*owner).map(|user| user.uid));
    }
    if let Some(group) = meta.get(2) {
        entry.group = account(group, host.groups.get(*group).map(|group| group.gid));
    }
    host.paths.insert(path.into(), entry);
}

/// The words of a line; one in quotes has escapes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut word, mut letters) = (String::new(), quoted.char_indices());
            let end = loop {
                match letters.next() {
                    Some((at, '"')) => break at,
                    Some((_, '\\')) => match letters.next().unwrap().1 {
                        'n' => word.push('\n'),
                        't' => word.push('\t'),
                        'r' => word.push('\r'),
                        '0' => word.push('\0'),
                        other => word.push(other),
                    },
                    Some((_, letter)) => word.push(letter),
                    None => panic!("a quote is not closed: {line}"),
                }
            };
            words.push(word);
            rest = quoted[end + 1..].trim_start();
        } else {
            let (word, others) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push(word.to_owned());
            rest = others.trim_start();
        }
    }
    words
}

fn shown_report(report: &HostReport) -> String {
    let mut told = String::new();
    for entry in &report.entries {
        let sign = match entry.change {
            Change::None => " ",
            Change::Create => "+",
            Change::Update => "~",
            Change::Remove => "-",
            Change::Reload => "reload",
            Change::Restart => "restart",
            Change::Run => "run",
        };
        let failure = match &entry.status {
            EntryStatus::Failed(reason) | EntryStatus::Skipped(reason) => Some(reason),
            EntryStatus::Planned | EntryStatus::Done => None,
        };
        if entry.change == Change::None && failure.is_none() {
            continue;
        }
        let _ = writeln!(told, "{sign} {}", entry.address);
        entry.differences.iter().for_each(|line| told.push_str(&format!("    {line}\n")));
        let diff = entry.diff.iter().flat_map(|diff| diff.lines());
        diff.for_each(|line| told.push_str(&format!("    {line}\n")));
        failure.into_iter().for_each(|reason| told.push_str(&format!("    ! {reason}\n")));
    }
    if told.is_empty() { "nothing changes\n".to_owned() } else { told }
}

fn shown_origin(origin: &Origin) -> String {
    match origin {
        Origin::Bytes(bytes) => format!("{bytes:?}"),
        Origin::Path(path) => path.to_string(),
        Origin::Url { url, headers, sha256, timeout_ms } => {
            let sha256 = sha256.as_ref().map(|digest| format!(" sha256 {}…", &digest[..8])).unwrap_or_default();
            format!("{url} {headers:?}{sha256} {timeout_ms} ms")
        }
    }
}

/// An act on one line.
/// Of a script its first line says what it comes to.
fn shown_trial(validate: &Option<Arc<str>>) -> String {
    let line = validate.as_ref().map(|command| command.lines().next().unwrap_or_default());
    line.map(|line| format!(" validate `{line}`")).unwrap_or_default()
}

fn shown_act(act: &Act) -> String {
    let meta = |mode: &Option<u32>, owner: &Option<Arc<str>>, group: &Option<Arc<str>>| {
        let mode = mode.map(|mode| format!(" {mode:04o}")).unwrap_or_default();
        let owner = owner.as_ref().map(|name| format!(" owner {name}")).unwrap_or_default();
        let group = group.as_ref().map(|name| format!(" group {name}")).unwrap_or_default();
        format!("{mode}{owner}{group}")
    };
    match act {
        Act::WriteFile { path, content, mode, owner, group, validate } => {
            format!("write {path} {content:?}{}{}", meta(mode, owner, group), shown_trial(validate))
        }
        Act::FetchFile { from, path, mode, owner, group, validate } => {
            let (origin, meta) = (shown_origin(from), meta(mode, owner, group));
            format!("fetch {path} from {origin}{meta}{}", shown_trial(validate))
        }
        Act::Unpack { from, path, strip, only, except, owner, group, record, key } => {
            let choice = format!("strip {strip} only {only:?} except {except:?}");
            let meta = meta(&None, owner, group);
            format!("unpack {path} from {}{meta} {choice}\n  record {record}: {key}", shown_origin(from))
        }
        Act::SetMeta { path, mode, owner, group } => format!("set {path}{}", meta(mode, owner, group)),
        Act::MakeDirectory { path, mode, owner, group } => format!("mkdir {path}{}", meta(mode, owner, group)),
        Act::MakeLink { path, target } => format!("link {path} -> {target}"),
        Act::Remove { path } => format!("remove {path}"),
        Act::Run { command, .. } => format!("run {}", command.words.join(" ").replace('\n', "\\n")),
        other => format!("{other:?}"),
    }
}
