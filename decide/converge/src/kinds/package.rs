use andon_schema::host::{Act, Look, Package, Sight};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, optional};
use crate::world::World;

/// A package of the distribution.
pub(super) const KIND: Kind = Kind { name: "package", schema, check, looks, decide };

fn schema() -> Block {
    block(
        "A package of the distribution (apt). Any installed version will do, unless one is asked for.",
        &[
            ("name", optional(Type::String, "The package, or `package:architecture`; without it, the label.")),
            ("version", optional(Type::String, "The exact version; a `*` at its end stands for anything.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let name = args.subject("name");
    let plain = |text: &str, more: &[u8]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
    let mut wrong = Vec::new();
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !first || !plain(&name, b"+-.:") || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        wrong.push(format!("`{name}` is not the name of a package"));
    }
    if let Some(version) = args.text("version")
        && (version.is_empty() || !plain(version.strip_suffix('*').unwrap_or(&version), b"+-.:~"))
    {
        wrong.push(format!("`{version}` is not the version of a package"));
    }
    wrong
}

fn looks(args: &Args, _: &World) -> Vec<Look> {
    vec![Look::Package(args.subject("name")), Look::Packages]
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let name = args.subject("name");
    let installed = world.package(&name)?;
    let repair = match world.sight(&Look::Packages) {
        Some(Sight::Packages { broken: true }) => Some(Act::RepairPackages),
        _ => None,
    };
    let wanted = args.text("version");
    let (change, act) = match (installed, args.absent) {
        (Package::Installed(_), true) => (Change::Remove, Act::RemovePackages(vec![name])),
        (_, true) => return Ok(Decision::nothing()),
        (Package::Installed(version), false) if fits(version, wanted.as_deref()) => return Ok(Decision::nothing()),
        (Package::Provided, false) if wanted.is_none() => return Ok(Decision::nothing()),
        (installed, false) => {
            let package = match &wanted {
                Some(version) => format!("{name}={version}").into(),
                None => name,
            };
            let change = if matches!(installed, Package::Installed(_)) { Change::Update } else { Change::Create };
            (change, Act::InstallPackages(vec![package]))
        }
    };
    let from = if let Package::Installed(version) = installed { version } else { "not installed" };
    let to = if args.absent { "not installed" } else { wanted.as_deref().unwrap_or("installed") };
    let differences = vec![args.difference("version", from, to)];
    Ok(Decision::new(change, differences, repair.into_iter().chain([act]).collect()))
}

fn fits(version: &str, wanted: Option<&str>) -> bool {
    match wanted {
        None => true,
        Some(wanted) => wanted.strip_suffix('*').map_or(version == wanted, |start| version.starts_with(start)),
    }
}
