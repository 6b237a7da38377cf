//! A server that is a map. It shares no code with the crate's own idea of what acts do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_converge::{Converge, Mode, Step};
use andon_schema::host::{
    Account, Act, Bytes, Catalog, Certificate, Command, CommandOutput, Due, Entry, Firewall, FirewallChain, Group,
    Init, Look, Manager, Node, Origin, Package, PackageFile, Packages, Sight, Unit, Unpacked, User, UserWish, Verb,
};
use andon_schema::{Change, HostReport};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub paths: BTreeMap<String, Entry>,
    pub packages: BTreeMap<String, String>,
    pub held: BTreeSet<String>,
    /// Packages of which only the configuration is there.
    pub kept: BTreeSet<String>,
    /// What can be had, the newest first, once the index is fetched.
    pub offered: BTreeMap<String, Vec<String>>,
    pub index_age_ms: Option<u64>,
    pub manager: Option<Manager>,
    pub init: Option<Init>,
    pub broken: bool,
    pub units: BTreeMap<String, Unit>,
    pub users: BTreeMap<String, User>,
    pub groups: BTreeMap<String, Group>,
    pub sysctl: BTreeMap<String, String>,
    pub owed: Vec<Due>,
    pub unpacked: BTreeMap<String, Unpacked>,
    pub firewall: Vec<FirewallChain>,
    pub certificates: BTreeMap<String, Certificate>,
    pub clock_ms: u64,
    pub ports: BTreeMap<u16, u64>,
    /// What commands do and say, by their words with blanks between; others are not there.
    pub programs: BTreeMap<String, Program>,
    /// What other commands say, by their words; an act that runs one makes its answers so.
    pub answers: BTreeMap<String, CommandOutput>,
    /// Commands of which nothing is known end with 0.
    pub obliging: bool,
    /// An act whose debug text holds this fails.
    pub fails: Option<String>,
    /// What it says then.
    pub says: Option<String>,
    /// Acts until the process is killed.
    pub kill_after: Option<usize>,
    pub log: Vec<Act>,
    pub looks: usize,
    pub steps: usize,
}

/// What a command does to a server, and says.
#[derive(Clone, Copy)]
pub struct Program(pub fn(&mut Host, &Command) -> CommandOutput);

impl PartialEq for Program {
    fn eq(&self, _: &Program) -> bool {
        true
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Program")
    }
}

pub fn root() -> Account {
    Account { id: 0, name: "root".into() }
}

pub fn regular(content: &str, mode: u32) -> Entry {
    Entry { node: Node::File(Some(Bytes::from(content))), mode, owner: root(), group: root() }
}

pub fn directory() -> Entry {
    Entry { node: Node::Directory, mode: 0o755, owner: root(), group: root() }
}

/// What is got from the web holds the digest that it must have: here a text of that length is its own digest.
fn digest_of(text: &str) -> String {
    let digits: String = text.bytes().take(32).map(|byte| format!("{byte:02x}")).collect();
    if text.len() == 64 { text.to_owned() } else { format!("{digits:f>64}") }
}

/// An entry without its bytes.
fn bare(entry: &Entry) -> Entry {
    let node = if let Node::File(_) = entry.node { Node::File(None) } else { entry.node.clone() };
    Entry { node, ..entry.clone() }
}

impl Host {
    pub fn new() -> Host {
        let mut host = Host::default();
        for path in ["/", "/etc", "/srv", "/home", "/etc/sysctl.d", "/usr/share/zoneinfo"] {
            host.paths.insert(path.to_owned(), directory());
        }
        host.users.insert("root".into(), User { home: "/root".into(), shell: "/bin/bash".into(), ..User::default() });
        for (name, gid) in [("root", 0), ("sudo", 27), ("adm", 4)] {
            host.groups.insert(name.into(), Group { gid, members: Vec::new() });
        }
        host.sysctl.insert("net.core.somaxconn".into(), "128".into());
        host
    }

    pub fn with_file(mut self, path: &str, content: &str) -> Host {
        self.paths.insert(path.into(), regular(content, 0o644));
        self
    }

    pub fn with_unit(mut self, name: &str, running: bool, enablement: &str) -> Host {
        let unit = Unit { running, enablement: enablement.into(), stale: false };
        self.units.insert(format!("{name}.service"), unit);
        self
    }

    pub fn text(&self, path: &str) -> Option<String> {
        match &self.paths.get(path)?.node {
            Node::File(bytes) => Some(String::from_utf8_lossy(&bytes.as_ref()?.0).into_owned()),
            _ => None,
        }
    }

    pub fn apply(&mut self, catalog: &Catalog) -> HostReport {
        self.run(catalog, Mode::Apply).expect("nothing kills it")
    }

    pub fn plan(&mut self, catalog: &Catalog) -> HostReport {
        let before = self.clone();
        let report = self.run(catalog, Mode::Plan).expect("a plan acts on nothing");
        assert_eq!(self.log, before.log, "a plan acted");
        report
    }

    /// `None` where it was killed.
    pub fn run(&mut self, catalog: &Catalog, mode: Mode) -> Option<HostReport> {
        let mut converge = Converge::new(catalog.clone(), mode);
        loop {
            self.steps += 1;
            match converge.next() {
                Step::Look(looks) => {
                    self.looks += looks.len();
                    converge.seen(looks.iter().map(|look| self.look(look)).collect());
                }
                Step::Act(acts) => {
                    let mut outcomes = Vec::new();
                    for act in &acts {
                        if self.kill_after == Some(0) {
                            return None;
                        }
                        self.kill_after = self.kill_after.map(|left| left - 1);
                        outcomes.push(self.act(act));
                        if outcomes.last().unwrap().is_err() {
                            break;
                        }
                    }
                    converge.acted(outcomes);
                }
                Step::Done(report) => return Some(report),
            }
        }
    }

    pub fn look(&self, look: &Look) -> Sight {
        match look {
            Look::Path { path, content } => Sight::Path(self.paths.get(&**path).cloned().map(|mut entry| {
                if let (Node::File(bytes), false) = (&mut entry.node, content) {
                    *bytes = None;
                }
                entry
            })),
            Look::Listing(path) => {
                let start = format!("{path}/");
                let inside = |known: &String| {
                    known.strip_prefix(&start).filter(|rest| !rest.is_empty() && !rest.contains('/')).map(Into::into)
                };
                let there = self.paths.get(&**path).is_some_and(|entry| entry.node == Node::Directory);
                Sight::Listing(there.then(|| self.paths.keys().filter_map(inside).collect()))
            }
            Look::Same { path, content } => {
                let entry = self.paths.get(&**path);
                let bytes = match entry.map(|entry| &entry.node) {
                    Some(Node::File(bytes)) => bytes.clone(),
                    _ => None,
                };
                let length = bytes.as_ref().map_or(0, |bytes| bytes.0.len() as u64);
                Sight::Same { entry: entry.map(bare), length, same: bytes.as_ref() == Some(content) }
            }
            Look::Digest(path) => Sight::Digest(self.text(path).map(|text| digest_of(&text).into())),
            Look::Tree(path) => {
                let beneath = format!("{path}/");
                let inside = self.paths.iter().filter(|(known, _)| known.starts_with(&beneath));
                let there = self.paths.get(&**path).is_some_and(|entry| entry.node == Node::Directory);
                Sight::Tree(there.then(|| inside.map(|(path, entry)| (path.as_str().into(), bare(entry))).collect()))
            }
            Look::Unpacked(record) => Sight::Unpacked(self.unpacked.get(&**record).cloned()),
            Look::Package(name) => Sight::Package(match self.packages.get(&**name) {
                Some(version) => {
                    Package::Installed { version: version.as_str().into(), held: self.held.contains(&**name) }
                }
                None if self.kept.contains(&**name) => Package::Kept,
                None => Package::Missing,
            }),
            Look::Packages => Sight::Packages(Packages {
                manager: self.manager.unwrap_or(Manager::Apt),
                broken: self.broken,
                index_age_ms: self.index_age_ms,
            }),
            Look::Candidates(name) => {
                let offered = self.offered.get(&**name).filter(|_| self.index_age_ms.is_some());
                Sight::Candidates(offered.into_iter().flatten().map(|version| version.as_str().into()).collect())
            }
            Look::PackageFile(path) => {
                Sight::PackageFile(self.package_in(path).map(|(name, version)| PackageFile {
                    name: name.as_str().into(),
                    version: version.as_str().into(),
                }))
            }
            Look::Init => Sight::Init(self.init.unwrap_or(Init::Systemd)),
            Look::Service(unit) => Sight::Service(self.units.get(&**unit).cloned()),
            Look::User(name) => Sight::User(self.users.get(&**name).cloned()),
            Look::Group(name) => Sight::Group(self.groups.get(&**name).cloned()),
            Look::Sysctl(key) => Sight::Sysctl(self.sysctl.get(&**key).map(|value| value.as_str().into())),
            Look::Owed => Sight::Owed(self.owed.clone()),
            Look::Port { port, .. } => Sight::Port(self.ports.get(port).is_some_and(|from| *from <= self.clock_ms)),
            Look::Http { .. } => Sight::Http(Err("connection refused".into())),
            Look::Process { .. } => Sight::Process(0),
            Look::Addresses { .. } | Look::OwnAddresses => Sight::Addresses(Ok(vec!["10.0.0.1".into()])),
            Look::Reach { .. } => Sight::Reach(Err("connection refused".into())),
            Look::Command(command) => Sight::Command(self.clone().run_program(command)),
            Look::Certificate(place) => Sight::Certificate(self.certificates.get(&*place.certificate).cloned()),
            Look::Firewall => {
                let kept = self.text("/etc/nftables.d/andon.nft").unwrap_or_default().as_str().into();
                Sight::Firewall(Firewall { live: self.firewall.clone(), kept })
            }
            Look::Clock => Sight::Clock(self.clock_ms),
        }
    }

    /// In a file of a package there are the name and the version, a blank between; one from the web is version 9 of
    /// what its own name says.
    fn package_in(&self, path: &str) -> Option<(String, String)> {
        let text = self.text(path)?;
        let from_web = || path.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned();
        Some(text.split_once(' ').map_or_else(|| (from_web(), "9".to_owned()), |(a, b)| (a.to_owned(), b.to_owned())))
    }

    fn run_program(&mut self, command: &Command) -> CommandOutput {
        let words = command.words.join(" ");
        if let Some(Program(program)) = self.programs.get(&words).copied() {
            return program(self, command);
        }
        let status = if self.obliging { 0 } else { 127 };
        let unknown = CommandOutput { status: Some(status), ..CommandOutput::default() };
        self.answers.get(&words).cloned().unwrap_or(unknown)
    }

    /// What a command that an act ran will be seen to have made.
    fn make(&mut self, look: &Look, sight: &Sight) {
        match (look, sight) {
            (Look::Command(command), Sight::Command(output)) => {
                self.answers.insert(command.words.join(" "), output.clone());
            }
            (Look::Path { path, .. }, Sight::Path(Some(entry))) => {
                self.paths.insert(path.to_string(), entry.clone());
            }
            (Look::Path { path, .. }, Sight::Path(None)) => drop(self.paths.remove(&**path)),
            (look, _) => assert!(self.obliging, "{look:?} is made by a command, and nobody says how"),
        }
    }

    fn account(&self, name: &str, user: bool) -> Result<Account, String> {
        if let Ok(id) = name.parse() {
            return Ok(Account { id, name: "".into() });
        }
        let id = if user { self.users.get(name).map(|it| it.uid) } else { self.groups.get(name).map(|it| it.gid) };
        id.map(|id| Account { id, name: name.into() }).ok_or(format!("no account {name}"))
    }

    fn put(
        &mut self,
        path: &str,
        node: Node,
        default_mode: u32,
        wish: [Option<&str>; 2],
        mode: Option<u32>,
    ) -> Result<(), String> {
        let parent = path.rsplit_once('/').map(|(parent, _)| if parent.is_empty() { "/" } else { parent }).unwrap();
        if !self.paths.contains_key(parent) {
            return Err(format!("no directory {parent}"));
        }
        let old = self.paths.get(path).filter(|old| std::mem::discriminant(&old.node) == std::mem::discriminant(&node));
        let (old_mode, owner, group) =
            old.map_or((default_mode, root(), root()), |old| (old.mode, old.owner.clone(), old.group.clone()));
        let owner = wish[0].map_or(Ok(owner), |name| self.account(name, true))?;
        let group = wish[1].map_or(Ok(group), |name| self.account(name, false))?;
        self.paths.insert(path.into(), Entry { node, mode: mode.unwrap_or(old_mode), owner, group });
        Ok(())
    }

    /// Takes a script of nft: the table of it takes the place of the one before.
    fn load_firewall(&mut self, script: &str) {
        assert!(script.contains("delete table inet andon"), "rules would be added to those before: {script}");
        self.firewall.clear();
        for line in script.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("chain ") {
                let name = name.trim_end_matches(" {").into();
                self.firewall.push(FirewallChain { name, policy: "accept".into(), rules: Vec::new() });
            } else if let (Some((_, policy)), Some(chain)) = (line.split_once("; policy "), self.firewall.last_mut()) {
                chain.policy = policy.trim_end_matches(';').into();
            } else if let (Some((_, comment)), Some(chain)) = (line.split_once(" comment \""), self.firewall.last_mut())
            {
                chain.rules.push(comment.trim_end_matches('"').into());
            }
        }
    }

    fn change_user(&mut self, name: &Arc<str>, wish: &UserWish) -> Result<(), String> {
        let gid = wish.group.as_ref().map(|group| self.account(group, false)).transpose()?;
        let user = self.users.get_mut(&**name).unwrap();
        user.uid = wish.uid.unwrap_or(user.uid);
        user.gid = gid.map_or(user.gid, |group| group.id);
        user.shell = wish.shell.clone().unwrap_or(user.shell.clone());
        user.comment = wish.comment.clone().unwrap_or(user.comment.clone());
        user.password = wish.password.clone().unwrap_or(user.password.clone());
        let (old, new) = (&mut user.ageing, &wish.ageing);
        old.min_days = new.min_days.or(old.min_days);
        old.max_days = new.max_days.or(old.max_days);
        old.warn_days = new.warn_days.or(old.warn_days);
        old.inactive_days = new.inactive_days.or(old.inactive_days);
        old.expires = new.expires.or(old.expires);
        if wish.exclusive {
            user.groups.clear();
        }
        user.groups.extend(wish.groups.iter().cloned());
        user.groups.sort();
        user.groups.dedup();
        for (group, known) in &mut self.groups {
            known.members.retain(|member| member != name);
            known.members.extend(user.groups.iter().any(|member| **member == **group).then(|| name.clone()));
            known.members.sort();
        }
        if let Some(home) = &wish.home {
            let old = std::mem::replace(&mut user.home, home.clone());
            let paths: Vec<String> = self.paths.keys().filter(|path| path.starts_with(&*old)).cloned().collect();
            for path in paths.into_iter().filter(|_| wish.move_home && !old.is_empty()) {
                let entry = self.paths.remove(&path).unwrap();
                self.paths.insert(path.replacen(&*old, home, 1), entry);
            }
        }
        Ok(())
    }

    pub fn act(&mut self, act: &Act) -> Result<(), String> {
        if self.fails.as_ref().is_some_and(|fails| format!("{act:?}").contains(fails.as_str())) {
            return Err(self.says.clone().unwrap_or_else(|| format!("the tool failed: {act:?}")));
        }
        self.log.push(act.clone());
        match act {
            Act::WriteFile { path, content, mode, owner, group, .. } => {
                let node = Node::File(Some(content.clone()));
                self.put(path, node, 0o644, [owner.as_deref(), group.as_deref()], *mode)?;
                if let Some(unit) = path.strip_prefix("/etc/systemd/system/").filter(|rest| !rest.contains('/')) {
                    let install = self.text(path).is_some_and(|text| text.contains("[Install]"));
                    let enablement = if install { "disabled" } else { "static" };
                    let new = Unit { running: false, enablement: enablement.into(), stale: false };
                    self.units.entry(unit.into()).and_modify(|unit| unit.stale = true).or_insert(new);
                }
            }
            Act::FetchFile { from, path, mode, owner, group, .. } => {
                let content = match from {
                    Origin::Bytes(bytes) => bytes.clone(),
                    Origin::Path(from) => Bytes::from(&*self.text(from).ok_or("no such source")?),
                    Origin::Url { sha256, .. } => Bytes::from(&*sha256.clone().unwrap_or_default()),
                };
                self.put(path, Node::File(Some(content)), 0o644, [owner.as_deref(), group.as_deref()], *mode)?;
            }
            Act::Unpack { record, key, path, .. } => {
                assert!(self.paths.contains_key(&**path), "an archive needs its directory");
                self.unpacked.insert(record.to_string(), Unpacked { key: key.clone(), changed: Vec::new() });
            }
            Act::SetMeta { path, mode, owner, group } => {
                let node = self.paths.get(&**path).ok_or("nothing there")?.node.clone();
                self.put(path, node, 0, [owner.as_deref(), group.as_deref()], *mode)?;
            }
            Act::MakeDirectory { path, mode, owner, group } => {
                let steps: Vec<usize> = path.match_indices('/').map(|(at, _)| at).skip(1).collect();
                for at in steps {
                    self.paths.entry(path[..at].to_owned()).or_insert_with(directory);
                }
                self.put(path, Node::Directory, 0o755, [owner.as_deref(), group.as_deref()], *mode)?;
            }
            Act::MakeLink { path, target } => self.put(path, Node::Link(target.clone()), 0o777, [None, None], None)?,
            Act::Remove { path } => {
                let beneath = format!("{path}/");
                self.paths.retain(|known, _| **known != **path && !known.starts_with(&beneath));
                self.units.retain(|unit, _| **path != *format!("/etc/systemd/system/{unit}"));
            }
            Act::RepairPackages => self.broken = false,
            Act::RefreshPackages => self.index_age_ms = Some(0),
            Act::InstallPackages(install) => {
                assert!(!self.broken, "an install without a repair");
                for package in &install.packages {
                    let in_file = self.package_in(package).map(|(name, version)| format!("{name}={version}"));
                    let spec = in_file.unwrap_or_else(|| package.to_string());
                    let newest = self.offered.get(&spec).map_or("1.0", |offered| &offered[0]).to_owned();
                    let (name, version) = spec.split_once('=').unwrap_or((&spec, &newest));
                    self.packages.insert(name.into(), version.into());
                    if name == "nginx" {
                        self.paths.entry("/etc/nginx".into()).or_insert_with(directory);
                        self.users.insert("www-data".into(), User { uid: 33, gid: 33, ..User::default() });
                        self.groups.insert("www-data".into(), Group { gid: 33, members: Vec::new() });
                        let unit = Unit { running: true, enablement: "enabled".into(), stale: false };
                        self.units.insert("nginx.service".into(), unit);
                    }
                }
            }
            Act::RemovePackages(uninstall) => {
                for name in &uninstall.packages {
                    let was_there = self.packages.remove(&**name).is_some();
                    assert!(was_there || self.kept.contains(&**name), "{name} is not there");
                    if uninstall.purge {
                        self.kept.remove(&**name)
                    } else {
                        self.kept.insert(name.to_string())
                    };
                }
            }
            Act::HoldPackages { packages, hold } => {
                for name in packages {
                    assert!(self.packages.contains_key(&**name), "{name} is not there");
                    let differs = if *hold { self.held.insert(name.to_string()) } else { self.held.remove(&**name) };
                    assert!(differs, "{name} is held already, or is not");
                }
            }
            Act::ReadUnits => self.units.values_mut().for_each(|unit| unit.stale = false),
            Act::Service { unit, verb } => {
                let unit = self.units.get_mut(&**unit).ok_or("no such unit")?;
                match verb {
                    Verb::Start | Verb::Restart => unit.running = true,
                    Verb::Reload => assert!(unit.running, "reload of what does not run"),
                    Verb::Stop => unit.running = false,
                    Verb::Enable => unit.enablement = "enabled".into(),
                    Verb::Disable | Verb::Unmask => unit.enablement = "disabled".into(),
                    Verb::Mask => unit.enablement = "masked".into(),
                }
            }
            Act::AddGroup { name, gid, .. } => {
                let gid = gid.unwrap_or(1000 + self.groups.len() as u32);
                assert!(self.groups.insert(name.to_string(), Group { gid, members: Vec::new() }).is_none());
            }
            Act::ChangeGroup { name, gid, members } => {
                let group = self.groups.get_mut(&**name).unwrap();
                group.gid = gid.unwrap_or(group.gid);
                if let Some(members) = members {
                    group.members = members.clone();
                    for (user, known) in &mut self.users {
                        known.groups.retain(|known| known != name);
                        known.groups.extend(members.iter().any(|member| **member == **user).then(|| name.clone()));
                        known.groups.sort();
                    }
                }
            }
            Act::RemoveGroup(name) => drop(self.groups.remove(&**name).unwrap()),
            Act::AddUser { name, wish, system } => {
                let uid = wish.uid.unwrap_or(1000 + self.users.len() as u32);
                let gid = match &wish.group {
                    Some(group) => self.account(group, false)?.id,
                    None => {
                        assert!(
                            self.groups.insert(name.to_string(), Group { gid: uid, members: Vec::new() }).is_none(),
                            "the group exists"
                        );
                        uid
                    }
                };
                let home: Arc<str> = wish.home.clone().unwrap_or(format!("/home/{name}").into());
                let user = User { uid, gid, home: home.clone(), password: "!".into(), ..User::default() };
                self.users.insert(name.to_string(), user);
                let shell = Some(wish.shell.clone().unwrap_or("/bin/sh".into()));
                self.change_user(name, &UserWish { shell, ..wish.clone() })?;
                if wish.create_home.unwrap_or(!system) && !self.paths.contains_key(&*home) {
                    self.put(&home, Node::Directory, 0o755, [Some(name), None], None)?;
                }
            }
            Act::ChangeUser { name, wish } => self.change_user(name, wish)?,
            Act::RemoveUser { name, home } => {
                let user = self.users.remove(&**name).unwrap();
                let beneath = format!("{}/", user.home);
                self.paths.retain(|path, _| !home || (*path != *user.home && !path.starts_with(&beneath)));
                self.groups.values_mut().for_each(|group| group.members.retain(|member| member != name));
            }
            Act::SetSysctl { key, value } => drop(self.sysctl.insert(key.to_string(), value.to_string())),
            Act::Owe(notices) => self.owed.extend(notices.iter().cloned()),
            Act::Settle(notices) => self.owed.retain(|notice| !notices.contains(notice)),
            Act::Pause { ms } => self.clock_ms += ms,
            Act::MakeCertificate { place, wish } => {
                let owner = [wish.owner.as_deref(), wish.group.as_deref()];
                let key = self.certificates.get(&*place.certificate).and_then(|old| old.key);
                for (path, mode) in [(&place.certificate, wish.mode), (&place.key, wish.key_mode)] {
                    self.put(path, Node::File(Some("PEM".into())), mode, owner, Some(mode))?;
                }
                let mut subject = wish.subject.clone();
                subject.sort();
                let made = Certificate {
                    subject,
                    dns: wish.dns.clone(),
                    ips: wish.ips.clone(),
                    usages: wish.usages.clone(),
                    authority: wish.is_authority,
                    key: wish.new_key.or(key),
                    key_fits: true,
                    signed: true,
                    lasts_s: i64::from(wish.days) * 86_400,
                };
                self.certificates.insert(place.certificate.to_string(), made);
            }
            Act::Run { command, .. } if command.words.join(" ") == "nft -f -" => {
                self.load_firewall(&String::from_utf8_lossy(&command.input.as_ref().unwrap().0));
            }
            Act::Run { command, makes, .. } => {
                let output = self.run_program(command);
                if !output.succeeded() {
                    return Err(format!("{:?} ended with {:?}", command.words, output.status));
                }
                if self.obliging {
                    makes.iter().for_each(|(look, sight)| self.make(look, sight));
                }
            }
        }
        Ok(())
    }
}

/// The changes of a report, a line each: `file "/etc/a": Update`.
pub fn changes(report: &HostReport) -> Vec<String> {
    report.changes().map(|entry| format!("{}: {:?}", entry.address, entry.change)).collect()
}

/// Whether nothing changes, and says so.
pub fn assert_settled(host: &mut Host, catalog: &Catalog) {
    for mode in [Mode::Plan, Mode::Apply] {
        let acts = host.log.len();
        let report = host.run(catalog, mode).unwrap();
        assert_eq!(changes(&report), Vec::<String>::new(), "{mode:?} {report:?}");
        assert_eq!(host.log[acts..], [], "{mode:?} acts on what is settled");
        assert!(report.entries.iter().all(|entry| entry.change == Change::None && entry.diff.is_none()));
    }
}
