use std::cmp::Ordering;
use std::sync::Arc;

use andon_schema::host::{Act, Install, Look, Manager, Origin, Package, Packages, Uninstall};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::file::{is_url, no_source, origin_of};
use super::own_file::{content_digest, short_digest};
use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional, parent, parse_duration_ms};
use crate::formats;
use crate::versions::{Wish, compare};
use crate::world::World;

/// Packages of the distribution, by whatever package manager the server has.
pub(super) const KIND: Kind = Kind { name: "package", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "A package of the distribution, or several: apt, dnf, yum, zypper, apk or pacman, whichever the server has. \
         Any installed version will do, unless one is asked for.",
        &[
            ("name", optional(Type::String, "The package, or `package:architecture`; without it, the label.")),
            ("names", optional(Type::list(Type::String), "Several packages, in the place of `name`.")),
            (
                "version",
                optional(
                    Type::String,
                    "The exact version; with a `*` at its end any that starts so; or bounds, such as `\">= 1.2, < 2\"`.",
                ),
            ),
            (
                "latest",
                optional(
                    Type::Bool,
                    "Bring it to the newest version. What can be had is fetched before, once in a run, where it is \
                     older than `index_age`, or an hour.",
                ),
            ),
            (
                "downgrade",
                optional(Type::Bool, "Whether an installed version that is newer than asked may be put back."),
            ),
            ("hold", optional(Type::Bool, "Whether the package manager leaves it as it is when it upgrades others.")),
            (
                "source",
                optional(
                    Type::String,
                    "The file that holds the package, such as a `.deb`: a file of the project, a path on the server, or \
                     an address on the web. It is installed in the version that is in the file.",
                ),
            ),
            ("sha256", optional(Type::String, "The SHA-256 of a `source` on the web.").format(formats::SHA256)),
            ("headers", optional(Type::map(Type::String), "More headers of the request for a `source` on the web.")),
            ("timeout", optional(Type::String, "How long a `source` may take to come.").format(formats::DURATION)),
            (
                "purge",
                optional(
                    Type::Bool,
                    "With `absent`, remove its configuration and what else it keeps, too (apt, apk, pacman).",
                ),
            ),
            (
                "remove_unneeded",
                optional(Type::Bool, "With `absent`, remove what came with it and nothing else needs, too."),
            ),
            (
                "install_recommends",
                optional(Type::Bool, "Whether what it recommends is installed, too (apt, dnf, zypper)."),
            ),
            (
                "index_age",
                optional(
                    Type::String,
                    "How old the index of what can be had may be when something is installed, such as `\"6h\"`; \
                     without it, the index is fetched where a package is not found.",
                )
                .format(formats::DURATION),
            ),
            (
                "options",
                optional(
                    Type::list(Type::String),
                    "More arguments for the package manager when it installs, such as `[\"-t\", \"bookworm-backports\"]`.",
                ),
            ),
        ],
    )
}

/// Where packages are kept that came from elsewhere.
const KEPT: &str = "/var/cache/andon/packages";

/// The age of an index that is good enough to say what is the newest, unless it is asked for, in milliseconds.
const FRESH_MS: u64 = 3_600_000;

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in names(args) {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:@".contains(&byte);
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !first || !name.bytes().all(letter) {
            wrong.push(format!("`{name}` is not the name of a package"));
        }
    }
    if args.has("names") {
        let conflicts = ["name", "version", "source"].into_iter().filter(|attribute| args.has(attribute));
        wrong.extend(
            conflicts.map(|attribute| format!("`{attribute}` is about one package, and `names` gives several")),
        );
    }
    let version = args.text("version");
    if let Some(version) = version.as_deref().filter(|version| Wish::read(version).is_none()) {
        wrong.push(format!("`{version}` is not the version of a package, such as `1.2-3`, `1.2*` or `>= 1.2`"));
    }
    let latest = args.truth("latest") == Some(true);
    if latest && version.is_some() {
        wrong.push("`latest` and `version` both say which version is wanted".to_owned());
    }
    if latest && args.truth("hold") == Some(true) {
        wrong.push("what is held is never brought to the newest version: give `hold` or `latest`".to_owned());
    }
    if args.has("source") && (version.is_some() || latest) {
        wrong.push("`source` is one file with one version: `version` and `latest` have no meaning".to_owned());
    }
    for attribute in ["sha256", "headers", "timeout"] {
        if args.has(attribute) && !args.has("source") {
            wrong.push(format!("`{attribute}` is about a `source`, and there is none"));
        }
    }
    for attribute in ["purge", "remove_unneeded"] {
        if args.truth(attribute) == Some(true) && !args.absent {
            wrong.push(format!("`{attribute}` is about a package that is removed; give `absent = true`, too"));
        }
    }
    wrong.extend(
        args.texts("options").iter().filter(|option| option.is_empty()).map(|_| "an option is empty".to_owned()),
    );
    wrong
}

fn names(args: &Args) -> Vec<Arc<str>> {
    if args.has("names") { args.texts("names") } else { vec![args.subject("name")] }
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let mut looks: Vec<Look> = names(args).into_iter().map(Look::Package).collect();
    looks.push(Look::Packages);
    if args.absent {
        return looks;
    }
    if let Ok(Some(source)) = source(args, world) {
        looks.push(Look::PackageFile(source.path.clone()));
        looks.extend(source.origin.is_some().then(|| look_at(parent(&source.path))));
    }
    // What can be had is only asked for where it decides something.
    if let Ok(packages) = world.packages() {
        let version = args.text("version");
        let wish = version.as_deref().and_then(Wish::read);
        let asks = |name: &Arc<str>| match (world.package(name), &wish) {
            (_, Some(Wish::Exactly(_))) => false,
            (Ok(Package::Installed { version, .. }), Some(wish)) => !wish.fits(packages.manager, version),
            (Ok(_), Some(_)) => true,
            (Ok(Package::Installed { .. }), None) => args.truth("latest") == Some(true),
            _ => false,
        };
        looks.extend(names(args).into_iter().filter(asks).map(Look::Candidates));
    }
    looks
}

/// Whether the index is to be fetched before what can be had is looked up.
pub(crate) fn wants_fresh_index(args: &Args, packages: Packages) -> bool {
    let most = args.text("index_age").and_then(|age| parse_duration_ms(&age)).unwrap_or(FRESH_MS);
    packages.index_age_ms.is_none_or(|age| age > most)
}

/// The file that a package comes from.
struct Source {
    path: Arc<str>,
    /// Where it is got; `None` where it is on the server already.
    origin: Option<Origin>,
}

/// What is got is kept under a name that says what it is: it tells later runs which version is the right one.
fn source(args: &Args, world: &World) -> Result<Option<Source>, String> {
    let Some(given) = args.text("source") else { return Ok(None) };
    if given.starts_with('/') {
        return Ok(Some(Source { path: given, origin: None }));
    }
    let (of, origin) = if is_url(&given) {
        (format!("{given} {}", args.text("sha256").unwrap_or_default()), origin_of(args, &given))
    } else {
        let bytes = world.file(args, &given).cloned().ok_or_else(|| no_source(&given))?;
        (given.to_string() + &content_digest(&bytes.0), Some(Origin::Bytes(bytes)))
    };
    let plain = given.split(['?', '#']).next().unwrap_or(&given);
    let suffix =
        plain.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("package", |(_, suffix)| suffix);
    let path = format!("{KEPT}/{}-{}.{suffix}", args.label().replace(['/', ':'], "-"), short_digest(&of));
    Ok(Some(Source { path: path.into(), origin }))
}

/// What has to be done, of all packages of one resource.
#[derive(Default)]
struct Todo {
    differences: Vec<String>,
    install: Vec<Arc<str>>,
    remove: Vec<Arc<str>>,
    hold: Vec<Arc<str>>,
    release: Vec<Arc<str>>,
    was_there: bool,
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let packages = world.packages()?;
    let mut todo = Todo::default();
    for name in names(args) {
        decide_one(args, world, packages.manager, &name, &mut todo)?;
    }
    let Todo { differences, install, remove, hold, release, was_there } = todo;
    let change = match (install.is_empty(), remove.is_empty()) {
        (true, true) if hold.is_empty() && release.is_empty() => return Ok(Decision::nothing()),
        (_, false) => Change::Remove,
        (false, _) if !was_there => Change::Create,
        _ => Change::Update,
    };
    let mut acts = Vec::new();
    if packages.broken {
        acts.push(Act::RepairPackages);
    }
    let held = |packages, hold| Act::HoldPackages { packages, hold };
    acts.extend((!release.is_empty()).then(|| held(release, false)));
    if !install.is_empty() {
        if let Some(Source { path, origin: Some(from) }) = source(args, world)?
            && world.package_file(&path)?.is_none()
        {
            if world.entry(KEPT)?.is_none() {
                acts.push(Act::MakeDirectory { path: KEPT.into(), mode: None, owner: None, group: None });
            }
            acts.push(Act::FetchFile { from, path, mode: None, owner: None, group: None, validate: None });
        }
        if args.has("index_age") && wants_fresh_index(args, packages) {
            acts.push(Act::RefreshPackages);
        }
        acts.push(Act::InstallPackages(Install {
            packages: install,
            recommends: args.truth("install_recommends") == Some(true),
            downgrade: args.truth("downgrade") == Some(true),
            options: args.texts("options"),
        }));
    }
    if !remove.is_empty() {
        let [purge, unneeded] = ["purge", "remove_unneeded"].map(|attribute| args.truth(attribute) == Some(true));
        acts.push(Act::RemovePackages(Uninstall { packages: remove, purge, unneeded }));
    }
    acts.extend((!hold.is_empty()).then(|| held(hold, true)));
    Ok(Decision::new(change, differences, acts))
}

fn decide_one(args: &Args, world: &World, manager: Manager, name: &Arc<str>, todo: &mut Todo) -> Result<(), String> {
    let installed = world.package(name)?;
    let (version, held) = match installed {
        Package::Installed { version, held } => (Some(version), *held),
        _ => (None, false),
    };
    // Of several packages, each line says which it is about.
    let many = args.has("names");
    let subject = |attribute: &str| if many { format!("{name} {attribute}") } else { attribute.to_owned() };
    let now = version.map_or("not installed", |version| version);
    if args.absent {
        let kept = *installed == Package::Kept && args.truth("purge") == Some(true);
        if version.is_some() || kept {
            let from = if kept { "configuration kept" } else { now };
            todo.differences.push(args.difference(&subject("version"), from, "not installed"));
            todo.remove.push(name.clone());
        }
        return Ok(());
    }
    if let Some(target) = target(args, world, manager, name)? {
        let to = target.shown.unwrap_or_else(|| "installed".into());
        let is_older = |version: &Arc<str>| {
            args.truth("downgrade") != Some(true) && compare(manager, &to, version) == Ordering::Less
        };
        if let Some(version) = version.filter(|version| target.is_version && is_older(version)) {
            return Err(format!(
                "`{name}` is installed in {version}, which is newer than {to}; `downgrade = true` puts the older one back"
            ));
        }
        if held && args.truth("hold").is_none() && args.text("version").is_none() {
            return Err(format!("`{name}` is held in version {now}; `hold = false` lets it change"));
        }
        todo.differences.push(args.difference(&subject("version"), now, &to));
        todo.install.push(target.spec);
    }
    todo.was_there |= version.is_some();
    match args.truth("hold") {
        Some(true) if !held => {
            todo.differences.push(args.difference(&subject("hold"), "false", "true"));
            todo.hold.push(name.clone());
        }
        Some(false) if held => {
            todo.differences.push(args.difference(&subject("hold"), "true", "false"));
            todo.release.push(name.clone());
        }
        _ => {}
    }
    Ok(())
}

/// What is to be installed.
struct Target {
    /// As the package manager is told.
    spec: Arc<str>,
    /// As the report says it.
    shown: Option<Arc<str>>,
    /// `shown` is one version.
    is_version: bool,
}

/// What is to be installed of one package, if anything.
fn target(args: &Args, world: &World, manager: Manager, name: &Arc<str>) -> Result<Option<Target>, String> {
    let installed = match world.package(name)? {
        Package::Installed { version, .. } => Some(version),
        Package::Provided if !["version", "source"].iter().any(|it| args.has(it)) => return Ok(None),
        _ => None,
    };
    let exactly = |version: &Arc<str>| Target {
        spec: format!("{name}={version}").into(),
        shown: Some(version.clone()),
        is_version: true,
    };
    if let Some(Source { path, origin }) = source(args, world)? {
        let Some(file) = world.package_file(&path)? else {
            if origin.is_some() {
                return Ok(Some(Target { spec: path, shown: args.text("source"), is_version: false }));
            }
            let may_come = world.loose || (world.is_plan && world.is_defined(&path));
            return match (may_come, installed) {
                (true, None) => Ok(Some(Target { spec: path, shown: None, is_version: false })),
                (true, Some(_)) => Ok(None),
                (false, _) => Err(format!("there is no file {path} on this server; define it before this package")),
            };
        };
        let plain = name.split(':').next().unwrap_or(name);
        if *file.name != *plain {
            return Err(format!("{path} holds the package `{}`, not `{name}`", file.name));
        }
        let target = Target { spec: path, shown: Some(file.version.clone()), is_version: true };
        return Ok((installed != Some(&file.version)).then_some(target));
    }
    if args.truth("latest") == Some(true)
        && let Some(installed) = installed
    {
        let newest = world.candidates(name)?.first();
        let newer = newest.filter(|newest| compare(manager, newest, installed) == Ordering::Greater);
        // These are told to upgrade; a version would pin it.
        let by_name = matches!(manager, Manager::Apk | Manager::Pacman);
        return Ok(newer.map(|newest| Target {
            spec: if by_name { name.clone() } else { format!("{name}={newest}").into() },
            ..exactly(newest)
        }));
    }
    let Some(asked) = args.text("version") else {
        return Ok(installed.is_none().then(|| Target { spec: name.clone(), shown: None, is_version: false }));
    };
    let Some(wish) = Wish::read(&asked) else { return Err(format!("`{asked}` is not the version of a package")) };
    if installed.is_some_and(|version| wish.fits(manager, version)) {
        return Ok(None);
    }
    if matches!(wish, Wish::Exactly(_)) {
        return Ok(Some(exactly(&asked)));
    }
    let candidates = world.candidates(name)?;
    match candidates.iter().find(|version| wish.fits(manager, version)) {
        Some(version) => Ok(Some(exactly(version))),
        // The index is fetched when it is so.
        None if world.loose || candidates.is_empty() && world.is_plan => {
            Ok(Some(Target { spec: format!("{name}={asked}").into(), shown: Some(asked), is_version: false }))
        }
        None if candidates.is_empty() => Err(match &world.refreshed {
            Some(Err(reason)) => {
                format!("no version of `{name}` can be had, and the lists could not be fetched: {reason}")
            }
            _ => format!("no version of `{name}` can be had"),
        }),
        None => {
            let known = candidates.iter().take(5).map(|version| &**version).collect::<Vec<_>>().join(", ");
            Err(format!("no version of `{name}` that can be had is `{asked}`; there is {known}"))
        }
    }
}
