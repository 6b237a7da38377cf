mod imagined;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::host::{
    Account, Act, Bytes, Catalog, Certificate, CertificatePlace, Command, CommandOutput, Entry, Firewall, Group, Init,
    Look, Node, Origin, Package, PackageFile, Packages, Sight, Stage, Unit, Unpacked, User, UserWish, Verb,
};

use crate::args::{Args, parent, resolve};
use crate::kinds::{Meta, Rules};
use crate::units::unit_of_file;

/// What is known of a server at this point of a run: the sights that are still true.
///
/// After an act in the world, the sights that it may have changed are forgotten, and taken again where they are
/// needed. In a plan nothing acts: there the act's effect is imagined, so that what comes later is planned on it.
pub(crate) struct World {
    pub stage: Stage,
    /// Nothing is acted upon: what an act does is imagined.
    pub is_plan: bool,
    /// Where packages come from changed since the index of what can be had was fetched.
    pub sources_changed: bool,
    /// That index was fetched in this run, or could not be and why.
    pub refreshed: Option<Result<(), String>>,
    sights: BTreeMap<Look, Sight>,
    firewall: Option<Sight>,
    /// The firewall rules of the catalog, which come into force together.
    pub rules: Rules,
    /// A plan holds something whose effects cannot all be foreseen, such as a package to install. What is missing
    /// now may be there then.
    pub loose: bool,
    /// What is imagined to be removed.
    gone: BTreeSet<Arc<str>>,
    /// Units whose files are imagined to be there.
    new_units: BTreeMap<Arc<str>, Unit>,
    /// Paths that some resource of the catalog wants to be there.
    defined: BTreeSet<Arc<str>>,
    /// Paths of which some resource of the catalog holds a secret.
    secret: BTreeSet<Arc<str>>,
    /// Kinds of which some resource of the catalog holds a secret.
    secret_kinds: BTreeSet<Arc<str>>,
    catalog: Arc<Catalog>,
}

impl World {
    pub fn new(catalog: &Arc<Catalog>, stage: Stage) -> World {
        let paths = catalog.resources.iter().filter(|resource| is_path_kind(&resource.kind));
        let (mut defined, mut secret) = (BTreeSet::new(), BTreeSet::new());
        for resource in paths {
            let args = Args::of_resource(resource);
            let path = args.subject("path");
            if !args.absent || matches!(&*resource.kind, "line" | "block") {
                defined.insert(path.clone());
            }
            if resource.attributes.is_secret() || args.truth("sensitive") == Some(true) {
                secret.insert(path);
            }
        }
        let with_secrets = catalog.resources.iter().filter(|resource| resource.attributes.is_secret());
        World {
            stage,
            is_plan: false,
            sources_changed: false,
            refreshed: None,
            sights: BTreeMap::new(),
            firewall: None,
            rules: Rules::of(catalog),
            loose: false,
            gone: BTreeSet::new(),
            new_units: BTreeMap::new(),
            defined,
            secret,
            secret_kinds: with_secrets.map(|resource| resource.kind.clone()).collect(),
            catalog: catalog.clone(),
        }
    }

    /// The catalog, in which a resource sees what others ask.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A file of the project that travelled with the role.
    pub fn file(&self, args: &Args, source: &str) -> Option<&Bytes> {
        self.catalog.files.get(&*resolve(args.directory(), source)?)
    }

    /// The files of the project below a directory, by their paths from there, and whether each may be executed.
    pub fn files_below(&self, args: &Args, source: &str) -> Vec<(&str, &Bytes, bool)> {
        let Some(directory) = resolve(args.directory(), source) else { return Vec::new() };
        let below: Arc<str> = if directory.is_empty() { "".into() } else { format!("{directory}/").into() };
        let from = self.catalog.files.range(below.clone()..);
        let executable = &self.catalog.executable;
        from.map_while(|(path, bytes)| Some((path.strip_prefix(&*below)?, bytes, executable.contains(path)))).collect()
    }

    /// Whether a look's answer is known.
    pub fn knows(&self, look: &Look) -> bool {
        self.sight(look).is_some()
    }

    pub fn learn(&mut self, look: Look, sight: Sight) {
        if look == Look::Firewall {
            self.firewall.get_or_insert(sight);
            return;
        }
        self.sights.insert(look, sight);
    }

    /// Takes what was seen now: of what is imagined gone with its directory, nothing.
    pub fn see(&mut self, look: Look, sight: Sight) {
        let sight = match &look {
            Look::Path { path, .. } if self.is_gone(path) => Sight::Path(None),
            Look::Same { path, .. } if self.is_gone(path) => Sight::Same { entry: None, length: 0, same: false },
            Look::Digest(path) if self.is_gone(path) => Sight::Digest(None),
            Look::Listing(path) if self.is_gone(path) => Sight::Listing(None),
            Look::Tree(path) if self.is_gone(path) => Sight::Tree(None),
            Look::Service(unit) if sight == Sight::Service(None) => Sight::Service(self.new_units.get(unit).cloned()),
            _ => sight,
        };
        match (&look, &sight) {
            // The bytes are those that are wanted: to know them costs nothing.
            (Look::Same { path, content }, Sight::Same { entry: Some(entry), same: true, .. }) => {
                let entry = Entry { node: Node::File(Some(content.clone())), ..entry.clone() };
                self.learn(Look::Path { path: path.clone(), content: true }, Sight::Path(Some(entry)));
            }
            (Look::Tree(top), Sight::Tree(Some(tree))) => {
                let tree = self.as_imagined(top, tree);
                self.learn(look, Sight::Tree(Some(tree)));
            }
            (Look::Same { path, .. }, Sight::Same { entry, .. }) => {
                self.learn(Look::Path { path: path.clone(), content: false }, Sight::Path(entry.clone()));
                self.learn(look, sight);
            }
            _ => self.learn(look, sight),
        }
    }

    fn is_gone(&self, path: &str) -> bool {
        let mut above = path;
        while !self.gone.is_empty() && above != "/" {
            above = parent(above);
            if self.gone.contains(above) {
                return true;
            }
        }
        false
    }

    pub fn forget_all(&mut self) {
        self.sights.clear();
    }

    /// What was seen; a path with its content answers for one without.
    pub fn sight(&self, look: &Look) -> Option<&Sight> {
        if *look == Look::Firewall {
            return self.firewall.as_ref();
        }
        self.sights.get(look).or_else(|| match look {
            Look::Path { path, content: false } | Look::Same { path, .. } => {
                self.sights.get(&Look::Path { path: path.clone(), content: true })
            }
            _ => None,
        })
    }

    /// How long a file is that is not as it should be, where it was compared with that.
    pub fn length(&self, path: &str, content: &Bytes) -> Option<u64> {
        match self.sights.get(&Look::Same { path: path.into(), content: content.clone() }) {
            Some(Sight::Same { length, .. }) => Some(*length),
            _ => None,
        }
    }

    /// The SHA-256 of a file.
    pub fn digest(&self, path: &str) -> Result<Option<&Arc<str>>, String> {
        match self.sights.get(&Look::Digest(path.into())) {
            Some(Sight::Digest(digest)) => Ok(digest.as_ref()),
            other => Err(unseen(other)),
        }
    }

    /// All that is beneath a directory.
    pub fn tree(&self, path: &str) -> Result<&[(Arc<str>, Entry)], String> {
        match self.sights.get(&Look::Tree(path.into())) {
            Some(Sight::Tree(entries)) => Ok(entries.as_deref().unwrap_or_default()),
            other => Err(unseen(other)),
        }
    }

    /// What a record says of an archive that was unpacked.
    pub fn unpacked(&self, record: &str) -> Result<Option<&Unpacked>, String> {
        match self.sights.get(&Look::Unpacked(record.into())) {
            Some(Sight::Unpacked(unpacked)) => Ok(unpacked.as_ref()),
            other => Err(unseen(other)),
        }
    }

    /// What is at a path.
    pub fn entry(&self, path: &str) -> Result<Option<&Entry>, String> {
        let look = |content| Look::Path { path: path.into(), content };
        match self.sights.get(&look(true)).or_else(|| self.sights.get(&look(false))) {
            Some(Sight::Path(entry)) => Ok(entry.as_ref()),
            other => Err(unseen(other)),
        }
    }

    pub fn listing(&self, path: &str) -> Result<&[Arc<str>], String> {
        match self.sights.get(&Look::Listing(path.into())) {
            Some(Sight::Listing(names)) => Ok(names.as_deref().unwrap_or_default()),
            other => Err(unseen(other)),
        }
    }

    pub fn package(&self, name: &str) -> Result<&Package, String> {
        match self.sights.get(&Look::Package(name.into())) {
            Some(Sight::Package(package)) => Ok(package),
            other => Err(unseen(other)),
        }
    }

    /// The package manager, and how it is.
    pub fn packages(&self) -> Result<Packages, String> {
        match self.sights.get(&Look::Packages) {
            Some(Sight::Packages(packages)) => Ok(*packages),
            other => Err(unseen(other)),
        }
    }

    /// The versions in which a package can be had.
    pub fn candidates(&self, name: &str) -> Result<&[Arc<str>], String> {
        match self.sights.get(&Look::Candidates(name.into())) {
            Some(Sight::Candidates(versions)) => Ok(versions),
            other => Err(unseen(other)),
        }
    }

    /// What package is in a file.
    pub fn package_file(&self, path: &str) -> Result<Option<&PackageFile>, String> {
        match self.sights.get(&Look::PackageFile(path.into())) {
            Some(Sight::PackageFile(file)) => Ok(file.as_ref()),
            other => Err(unseen(other)),
        }
    }

    /// What starts and stops services.
    pub fn init(&self) -> Result<Init, String> {
        match self.sights.get(&Look::Init) {
            Some(Sight::Init(init)) => Ok(*init),
            other => Err(unseen(other)),
        }
    }

    pub fn service(&self, unit: &str) -> Result<Option<&Unit>, String> {
        match self.sights.get(&Look::Service(unit.into())) {
            Some(Sight::Service(unit)) => Ok(unit.as_ref()),
            other => Err(unseen(other)),
        }
    }

    pub fn certificate(&self, place: &CertificatePlace) -> Result<Option<&Certificate>, String> {
        match self.sights.get(&Look::Certificate(place.clone())) {
            Some(Sight::Certificate(certificate)) => Ok(certificate.as_ref()),
            other => Err(unseen(other)),
        }
    }

    /// The firewall as it was seen first: all its rules are decided on that, and changed in one step.
    pub fn firewall(&self) -> Result<&Firewall, String> {
        match &self.firewall {
            Some(Sight::Firewall(firewall)) => Ok(firewall),
            other => Err(unseen(other.as_ref())),
        }
    }

    pub fn user(&self, name: &str) -> Result<Option<&User>, String> {
        match self.sights.get(&Look::User(name.into())) {
            Some(Sight::User(user)) => Ok(user.as_ref()),
            other => Err(unseen(other)),
        }
    }

    pub fn group(&self, name: &str) -> Result<Option<&Group>, String> {
        match self.sights.get(&Look::Group(name.into())) {
            Some(Sight::Group(group)) => Ok(group.as_ref()),
            other => Err(unseen(other)),
        }
    }

    pub fn sysctl(&self, key: &str) -> Result<Option<&Arc<str>>, String> {
        match self.sights.get(&Look::Sysctl(key.into())) {
            Some(Sight::Sysctl(value)) => Ok(value.as_ref()),
            other => Err(unseen(other)),
        }
    }

    /// What a command that looks said.
    pub fn command(&self, command: &Command) -> Result<&CommandOutput, String> {
        match self.sights.get(&Look::Command(command.clone())) {
            Some(Sight::Command(output)) => Ok(output),
            other => Err(unseen(other)),
        }
    }

    /// Whether a resource of the catalog is about this very path.
    pub fn defines(&self, path: &str) -> bool {
        self.defined.contains(path)
    }

    /// Whether a resource of the catalog wants something at a path or beneath it.
    pub fn is_defined(&self, path: &str) -> bool {
        let beneath: Arc<str> = format!("{path}/").into();
        self.defined.contains(path)
            || self.defined.range(beneath.clone()..).next().is_some_and(|next| next.starts_with(&*beneath))
    }

    /// The paths whose content must not be shown.
    pub fn secret_paths(&self) -> &BTreeSet<Arc<str>> {
        &self.secret
    }

    /// From now on, what is in a file must not be shown.
    pub fn hide(&mut self, path: &Arc<str>) {
        self.secret.insert(path.clone());
    }

    /// The kinds of which some resource holds a secret.
    pub fn secret_kinds(&self) -> &BTreeSet<Arc<str>> {
        &self.secret_kinds
    }

    /// Whether what is in a file must not be shown.
    pub fn is_secret(&self, path: &str) -> bool {
        self.secret.contains(path)
    }

    /// Forgets what an act may change. Looks at packages stay known while an install is only queued, so that its
    /// neighbours can join it.
    pub fn forget(&mut self, act: &Act, queued: bool) {
        self.forget_commands(act);
        match act {
            Act::WriteFile { path, .. } | Act::FetchFile { path, .. } | Act::SetMeta { path, .. } => {
                self.forget_path(path);
            }
            Act::Unpack { path, record, .. } => {
                self.forget_path(path);
                self.forget_beneath(path);
                self.sights.remove(&Look::Unpacked(record.clone()));
            }
            Act::MakeDirectory { path, .. } => {
                let mut path: &str = path;
                while path != "/" {
                    self.forget_path(path);
                    path = parent(path);
                }
            }
            Act::MakeLink { path, .. } | Act::Remove { path } => {
                self.forget_path(path);
                self.forget_beneath(path);
            }
            Act::InstallPackages(_) | Act::RemovePackages(_) | Act::RepairPackages | Act::HoldPackages { .. }
                if queued =>
            {
                self.sights.retain(|look, _| is_about_packages(look));
                if matches!(act, Act::RepairPackages) {
                    self.imagine_packages(|packages| packages.broken = false);
                }
            }
            Act::InstallPackages(_) | Act::RemovePackages(_) | Act::RepairPackages => self.forget_all(),
            Act::HoldPackages { .. } => self.sights.retain(|look, _| !is_about_packages(look)),
            // What comes next is decided as if it had been fetched.
            Act::RefreshPackages if queued => self.imagine_packages(|packages| packages.index_age_ms = Some(0)),
            Act::RefreshPackages => self.sights.retain(|look, _| !matches!(look, Look::Candidates(_))),
            Act::Service { verb: Verb::Enable | Verb::Disable | Verb::Mask | Verb::Unmask, .. } | Act::ReadUnits => {
                self.sights.retain(|look, _| !matches!(look, Look::Service(_)));
            }
            Act::Service { .. } => self.forget_all(),
            Act::AddGroup { .. }
            | Act::ChangeGroup { .. }
            | Act::RemoveGroup(_)
            | Act::AddUser { .. }
            | Act::ChangeUser { .. }
            | Act::RemoveUser { .. } => self.forget_accounts(act),
            Act::SetSysctl { key, .. } => {
                self.sights.remove(&Look::Sysctl(key.clone()));
            }
            Act::MakeCertificate { place, wish } => {
                [&place.certificate, &place.key].into_iter().chain(&wish.chain).for_each(|path| self.forget_path(path));
            }
            Act::Run { makes, only: true, .. } => makes.iter().for_each(|(look, _)| self.forget_look(look)),
            Act::Run { .. } => self.forget_all(),
            Act::Owe(_) | Act::Settle(_) | Act::Pause { .. } => {}
        }
    }

    /// What a command says may come from anything, and a certificate is of several files.
    fn forget_commands(&mut self, act: &Act) {
        if matches!(act, Act::Owe(_) | Act::Settle(_) | Act::Pause { .. } | Act::Run { only: true, .. }) {
            return;
        }
        let commands = self.sights.range(Look::Command(Command::default())..);
        let commands = commands.take_while(|(look, _)| matches!(look, Look::Command(_) | Look::Certificate(_)));
        for look in commands.map(|(look, _)| look.clone()).collect::<Vec<_>>() {
            self.sights.remove(&look);
        }
    }

    /// Forgets how a service is.
    pub fn forget_service(&mut self, unit: &str) {
        self.sights.remove(&Look::Service(unit.into()));
    }

    /// Forgets what can be had: it comes from elsewhere now.
    pub fn forget_candidates(&mut self) {
        self.sights.retain(|look, _| !matches!(look, Look::Candidates(_)));
    }

    fn imagine_packages(&mut self, change: impl FnOnce(&mut Packages)) {
        if let Some(Sight::Packages(packages)) = self.sights.get_mut(&Look::Packages) {
            change(packages);
        }
    }

    fn forget_look(&mut self, look: &Look) {
        match look {
            Look::Path { path, .. } | Look::Listing(path) | Look::Tree(path) => {
                self.forget_path(path);
                self.forget_beneath(path);
            }
            look => drop(self.sights.remove(look)),
        }
    }

    fn forget_path(&mut self, path: &str) {
        for content in [false, true] {
            self.sights.remove(&Look::Path { path: path.into(), content });
        }
        self.sights.remove(&Look::PackageFile(path.into()));
        self.sights.remove(&Look::Listing(path.into()));
        self.sights.remove(&Look::Listing(parent(path).into()));
        self.forget_comparisons(path);
        self.forget_trees(path);
    }

    /// What was compared at a path, or digested.
    fn forget_comparisons(&mut self, path: &str) {
        let from = Look::Same { path: path.into(), content: Bytes::default() };
        let same = self.sights.range(from..).map_while(|(look, _)| match look {
            Look::Same { path: known, .. } if **known == *path => Some(look.clone()),
            _ => None,
        });
        for look in same.collect::<Vec<_>>() {
            self.sights.remove(&look);
        }
        self.sights.remove(&Look::Digest(path.into()));
    }

    fn forget_beneath(&mut self, path: &str) {
        let beneath: Arc<str> = format!("{}/", path.trim_end_matches('/')).into();
        let first = [
            Look::Path { path: beneath.clone(), content: false },
            Look::Same { path: beneath.clone(), content: Bytes::default() },
            Look::Digest(beneath.clone()),
            Look::Listing(beneath.clone()),
            Look::Tree(beneath.clone()),
        ];
        for first in first {
            // Those of one sort stand in the order of their paths.
            let is_beneath = |look: &&Look| match (&first, look) {
                (Look::Path { .. }, Look::Path { path, .. })
                | (Look::Same { .. }, Look::Same { path, .. })
                | (Look::Digest(_), Look::Digest(path))
                | (Look::Listing(_), Look::Listing(path))
                | (Look::Tree(_), Look::Tree(path)) => path.starts_with(&*beneath),
                _ => false,
            };
            let looks = self.sights.range(&first..).map(|(look, _)| look).take_while(is_beneath);
            for look in looks.cloned().collect::<Vec<_>>() {
                self.sights.remove(&look);
            }
        }
    }

    /// Numbers of users and groups are part of what is seen at a path; homes appear with users.
    fn forget_accounts(&mut self, act: &Act) {
        self.sights.retain(|look, _| !matches!(look, Look::User(_) | Look::Group(_)));
        if let Act::AddUser { name, wish, .. } = act {
            let home = home_of(name, wish);
            self.forget_path(&home);
            self.forget_beneath(&home);
        }
    }

    /// Takes an act as done: what a plan builds on.
    pub fn imagine(&mut self, act: &Act) {
        if let Some(unit) = unit_of_file(act) {
            self.imagine_unit(unit, act);
        }
        match act {
            Act::WriteFile { path, content, mode, owner, group, .. } => {
                let node = Node::File(Some(content.clone()));
                let old = self.entry(path).ok().flatten().filter(|entry| matches!(entry.node, Node::File(_))).cloned();
                self.imagine_entry(path, node, old, 0o644, &Meta::new(*mode, owner, group));
            }
            Act::FetchFile { from, path, mode, owner, group, .. } => {
                let content = match from {
                    Origin::Bytes(content) => Some(content.clone()),
                    Origin::Path(from) => bytes_of(self.entry(from).ok().flatten()).cloned(),
                    Origin::Url { .. } => None,
                };
                let digest = match from {
                    Origin::Url { sha256, .. } => sha256.clone(),
                    Origin::Path(from) => self.digest(from).ok().flatten().cloned(),
                    Origin::Bytes(_) => None,
                };
                let old = self.entry(path).ok().flatten().filter(|entry| matches!(entry.node, Node::File(_))).cloned();
                self.imagine_entry(path, Node::File(content), old, 0o644, &Meta::new(*mode, owner, group));
                if digest.is_some() {
                    self.learn(Look::Digest(path.clone()), Sight::Digest(digest));
                }
            }
            Act::Unpack { record, key, .. } => {
                let unpacked = Unpacked { key: key.clone(), changed: Vec::new() };
                self.learn(Look::Unpacked(record.clone()), Sight::Unpacked(Some(unpacked)));
                // What is in it is seen when it is there.
                self.loose = true;
            }
            Act::SetMeta { path, mode, owner, group } => {
                let known = self.entry(path).ok().flatten().or_else(|| self.entry_in_trees(path));
                if let Some(old) = known.cloned() {
                    self.imagine_entry(path, old.node.clone(), Some(old), 0, &Meta::new(*mode, owner, group));
                }
            }
            Act::MakeDirectory { path, mode, owner, group } => {
                let mut above = parent(path).to_owned();
                while above != "/" && !matches!(self.entry(&above), Ok(Some(_))) {
                    self.imagine_entry(&above, Node::Directory, None, 0o755, &Meta::default());
                    above = parent(&above).to_owned();
                }
                self.imagine_entry(path, Node::Directory, None, 0o755, &Meta::new(*mode, owner, group));
            }
            Act::MakeLink { path, target } => {
                self.imagine_entry(path, Node::Link(target.clone()), None, 0o777, &Meta::default());
            }
            Act::Remove { path } => self.imagine_nothing(path),
            Act::RepairPackages => {
                self.imagine_packages(|packages| packages.broken = false);
                self.loose = true;
            }
            Act::RefreshPackages => self.imagine_packages(|packages| packages.index_age_ms = Some(0)),
            Act::InstallPackages(install) => {
                for package in &install.packages {
                    let (name, version) = package.split_once('=').unwrap_or((package, "newest"));
                    let installed = Package::Installed { version: version.into(), held: false };
                    self.learn(Look::Package(name.into()), Sight::Package(installed));
                }
                self.loose = true;
            }
            Act::RemovePackages(uninstall) => {
                for package in &uninstall.packages {
                    self.learn(Look::Package(package.clone()), Sight::Package(Package::Missing));
                }
                self.loose = true;
            }
            Act::HoldPackages { packages, hold } => {
                for package in packages {
                    if let Some(Sight::Package(Package::Installed { held, .. })) =
                        self.sights.get_mut(&Look::Package(package.clone()))
                    {
                        *held = *hold;
                    }
                }
            }
            Act::Service { unit, verb } => self.imagine_service(unit, *verb),
            Act::AddGroup { name, gid, .. } => {
                let group = Group { gid: gid.unwrap_or(u32::MAX), members: Vec::new() };
                self.learn(Look::Group(name.clone()), Sight::Group(Some(group)));
            }
            Act::ChangeGroup { name, gid, members } => self.imagine_group(name, *gid, members.as_deref()),
            Act::RemoveGroup(name) => self.learn(Look::Group(name.clone()), Sight::Group(None)),
            Act::AddUser { name, wish, system } => self.imagine_user(name, wish, Some(*system)),
            Act::ChangeUser { name, wish } => self.imagine_user(name, wish, None),
            Act::RemoveUser { name, home } => {
                let user = self.user(name).ok().flatten().cloned();
                if let Some(user) = user.filter(|_| *home) {
                    self.imagine_nothing(&user.home);
                }
                self.imagine_membership(name, &[]);
                self.learn(Look::User(name.clone()), Sight::User(None));
            }
            Act::SetSysctl { key, value } => {
                self.learn(Look::Sysctl(key.clone()), Sight::Sysctl(Some(value.clone())));
            }
            Act::MakeCertificate { place, wish } => self.imagine_certificate(place, wish),
            Act::Run { makes, only, .. } => {
                for (look, sight) in makes {
                    self.forget_look(look);
                    self.learn(look.clone(), sight.clone());
                }
                self.loose |= !only;
            }
            Act::ReadUnits | Act::Owe(_) | Act::Settle(_) | Act::Pause { .. } => {}
        }
    }

    /// `old` is what stays of an entry that was there, except what `meta` asks.
    fn imagine_entry(&mut self, path: &str, node: Node, old: Option<Entry>, default_mode: u32, meta: &Meta) {
        let root = || Account { id: 0, name: "root".into() };
        let kept = old.map(|old| (old.mode, old.owner, old.group));
        let (mode, owner, group) = kept.unwrap_or_else(|| (default_mode, root(), root()));
        let entry = Entry {
            node,
            mode: meta.mode.unwrap_or(mode),
            owner: meta.owner.as_ref().map_or(owner, account),
            group: meta.group.as_ref().map_or(group, account),
        };
        self.forget_path_only(path);
        self.in_trees_around(path, |tree| match tree.binary_search_by(|(known, _)| (**known).cmp(path)) {
            Ok(at) => tree.get_mut(at).into_iter().for_each(|known| known.1 = entry.clone()),
            Err(at) => tree.insert(at, (path.into(), entry.clone())),
        });
        self.learn(Look::Path { path: path.into(), content: true }, Sight::Path(Some(entry)));
        let listing = Look::Listing(parent(path).into());
        if let (Some(Sight::Listing(Some(names))), Some((_, name))) =
            (self.sights.get_mut(&listing), path.rsplit_once('/'))
            && let Err(at) = names.binary_search_by(|known| (**known).cmp(name))
        {
            names.insert(at, name.into());
        }
    }

    fn imagine_nothing(&mut self, path: &str) {
        self.gone.insert(path.into());
        let beneath = format!("{path}/");
        let from = Look::Path { path: beneath.as_str().into(), content: false };
        for (look, sight) in self.sights.range_mut(from..) {
            match look {
                Look::Path { path, .. } if path.starts_with(&beneath) => *sight = Sight::Path(None),
                _ => break,
            }
        }
        self.sights.remove(&Look::Listing(path.into()));
        if let (Some(Sight::Listing(Some(names))), Some((_, name))) =
            (self.sights.get_mut(&Look::Listing(parent(path).into())), path.rsplit_once('/'))
        {
            names.retain(|known| **known != *name);
        }
        self.in_trees_around(path, |tree| tree.retain(|(known, _)| !is_within(known, path)));
        self.forget_path_only(path);
        self.learn(Look::Path { path: path.into(), content: true }, Sight::Path(None));
    }

    fn forget_path_only(&mut self, path: &str) {
        for content in [false, true] {
            self.sights.remove(&Look::Path { path: path.into(), content });
        }
        self.forget_comparisons(path);
    }

    fn imagine_unit(&mut self, unit: &str, act: &Act) {
        let look = Look::Service(unit.into());
        if let Act::WriteFile { content, .. } = act {
            let install = content.0.windows(9).any(|bytes| bytes == b"[Install]");
            let enablement = if install { "disabled" } else { "static" };
            let new = Unit { enablement: enablement.into(), ..Unit::default() };
            if let Some(Sight::Service(state @ None)) = self.sights.get_mut(&look) {
                *state = Some(new.clone());
            }
            self.new_units.insert(unit.into(), new);
        } else {
            self.new_units.remove(unit);
        }
    }

    fn imagine_service(&mut self, unit: &Arc<str>, verb: Verb) {
        let mut state = self.service(unit).ok().flatten().cloned().unwrap_or_default();
        match verb {
            Verb::Start | Verb::Restart | Verb::Reload => state.running = true,
            Verb::Stop => state.running = false,
            Verb::Enable => state.enablement = "enabled".into(),
            Verb::Disable | Verb::Unmask => state.enablement = "disabled".into(),
            Verb::Mask => state.enablement = "masked".into(),
        }
        self.learn(Look::Service(unit.clone()), Sight::Service(Some(state)));
        self.loose = true;
    }
}

pub(crate) fn is_about_packages(look: &Look) -> bool {
    matches!(look, Look::Package(_) | Look::Packages | Look::Candidates(_) | Look::PackageFile(_))
}

/// Whether a path is another, or beneath it.
pub(crate) fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || above.ends_with('/'))
}

/// The kinds whose subject is a path.
pub(crate) fn is_path_kind(kind: &str) -> bool {
    matches!(kind, "archive" | "block" | "directory" | "file" | "git" | "line" | "link")
}

/// The bytes of a regular file.
pub(crate) fn bytes_of(entry: Option<&Entry>) -> Option<&Bytes> {
    match &entry?.node {
        Node::File(bytes) => bytes.as_ref(),
        _ => None,
    }
}

fn home_of(name: &str, wish: &UserWish) -> Arc<str> {
    wish.home.clone().unwrap_or_else(|| format!("/home/{name}").into())
}

fn account(text: &Arc<str>) -> Account {
    match text.parse() {
        Ok(id) => Account { id, name: "".into() },
        Err(_) => Account { id: u32::MAX, name: text.clone() },
    }
}

fn unseen(sight: Option<&Sight>) -> String {
    match sight {
        Some(Sight::Failed(reason)) => reason.clone(),
        _ => "the server did not answer a look".to_owned(),
    }
}
