use std::sync::Arc;

use andon_schema::host::{Act, Look, Node, Origin};
use andon_schema::{Block, Change};
use andon_value::Type;
use sha2::{Digest, Sha256};

use super::file::{no_source, origin_of};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, look_at, optional};
use crate::formats;
use crate::world::World;

/// What is in an archive, in a directory of the server.
pub(super) const KIND: Kind = Kind { name: "archive", schema, check, looks, decide };

/// Where it is recorded what was unpacked.
const RECORDS: &str = "/var/lib/andon/unpacked";

fn schema() -> Block {
    let patterns = |description| optional(Type::list(Type::String), description);
    let [_, owner, group] = Meta::schema("0755");
    block(
        "What is in an archive (tar, plain or with gzip, bzip2, xz or zstd, or zip), unpacked into a directory, which is \
         made. What was unpacked is recorded, and unpacked again where one of its files is gone or was changed.",
        &[
            (
                "path",
                optional(Type::String, "The absolute path of the directory; without it, the label.")
                    .format(formats::PATH),
            ),
            (
                "source",
                optional(
                    Type::String,
                    "Where the archive is: a file of the project, by its path from the role's directory; a file of the \
                     server, by its absolute path; or an address with `http://` or `https://`.",
                ),
            ),
            ("sha256", optional(Type::String, SHA256_OF_ARCHIVE).format(formats::SHA256)),
            ("headers", optional(Type::map(Type::String), "More headers of the request for an address.")),
            (
                "timeout",
                optional(Type::String, "How long the request may take; 5m without it.").format(formats::DURATION),
            ),
            (
                "strip",
                optional(Type::Number, "How many directories are taken off the front of each name; 0 without it.")
                    .format(formats::COUNT),
            ),
            ("only", patterns("Which names are unpacked, after that: patterns with `*`, `**` and `?`.")),
            ("except", patterns("Which names are not.")),
            (
                "creates",
                optional(
                    Type::String,
                    "A path. Where it is there already and nothing is recorded, nothing is unpacked.",
                )
                .format(formats::PATH),
            ),
            owner,
            group,
        ],
    )
}

const SHA256_OF_ARCHIVE: &str = "The SHA-256 of the archive. What has another is refused, and another here is unpacked. \
                                 Of an address without it, what was unpacked once is taken as right.";

fn check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_path(&args.subject("path")).into_iter().collect();
    wrong.extend(Meta::check(args));
    wrong.extend(args.text("creates").and_then(|path| check_path(&path)));
    if args.absent {
        wrong.push("an archive cannot be absent; remove its directory with `directory` and `absent`".to_owned());
    } else if args.text("source").is_none_or(|source| source.is_empty()) {
        wrong.push("an archive needs a `source`".to_owned());
    }
    wrong
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(args: &Args) -> Arc<str> {
    let whole = hexadecimal(&Sha256::digest(format!("{}\0{}", args.subject("path"), args.label())));
    format!("{RECORDS}/{}", whole.get(..24).unwrap_or(&whole)).into()
}

fn origin(args: &Args, world: &World) -> Result<Origin, String> {
    let source = args.text("source").ok_or("an archive needs a `source`")?;
    match origin_of(args, &source) {
        Some(origin) => Ok(origin),
        None => world.file(args, &source).cloned().map(Origin::Bytes).ok_or_else(|| no_source(&source)),
    }
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let mut looks = vec![look_at(&args.subject("path")), Look::Unpacked(record(args))];
    looks.extend(Meta::of(args).looks());
    looks.extend(args.text("creates").map(|path| look_at(&path)));
    if let Ok(Origin::Path(path)) = origin(args, world) {
        looks.push(look_at(&path));
        looks.extend((!args.has("sha256")).then_some(Look::Digest(path)));
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let from = origin(args, world)?;
    let unpacked = world.unpacked(&record(args))?;
    if let Some(made) = args.text("creates")
        && unpacked.is_none()
        && world.entry(&made)?.is_some()
    {
        return Ok(Decision::nothing());
    }
    let shown = shown(args);
    let key = key(args, &from, world)?;
    let mut differences = Vec::new();
    match unpacked {
        Some(unpacked) if unpacked.key != key => differences.push(format!("from {shown}, which is another")),
        Some(unpacked) if !unpacked.changed.is_empty() => {
            differences
                .extend(unpacked.changed.iter().map(|path| format!("{path} is gone, or is not as it was unpacked")));
        }
        Some(_) => return Ok(Decision::nothing()),
        None => differences.push(format!("from {shown}")),
    }
    let meta = Meta::of(args);
    meta.check_known(world)?;
    let Meta { owner, group, .. } = meta;
    let mut acts = Vec::new();
    match world.entry(&path)?.map(|entry| &entry.node) {
        Some(Node::Directory | Node::Link(_)) => {}
        Some(_) => return Err(format!("{path} is there, and is not a directory")),
        None => {
            let (path, owner, group) = (path.clone(), owner.clone(), group.clone());
            acts.push(Act::MakeDirectory { path, mode: None, owner, group });
        }
    }
    let change = if unpacked.is_none() { Change::Create } else { Change::Update };
    let strip = args.whole("strip").and_then(|strip| u32::try_from(strip).ok()).unwrap_or(0);
    let (only, except) = (args.texts("only"), args.texts("except"));
    acts.push(Act::Unpack { from, path, strip, only, except, owner, group, record: record(args), key });
    Ok(Decision::new(change, differences, acts))
}

/// Where the archive is, without what may be secret of an address.
fn shown(args: &Args) -> String {
    let source = args.text("source").unwrap_or_default();
    source.split(['?', '#']).next().unwrap_or(&source).to_owned()
}

/// What the record says of where all came from: another is another archive, or another way to unpack it.
fn key(args: &Args, from: &Origin, world: &World) -> Result<Arc<str>, String> {
    let content = match (args.text("sha256"), from) {
        (Some(digest), _) => digest.to_ascii_lowercase(),
        (None, Origin::Bytes(bytes)) => hexadecimal(&Sha256::digest(&*bytes.0)),
        (None, Origin::Path(path)) => match (world.entry(path)?, world.digest(path)?) {
            (_, Some(digest)) => digest.to_string(),
            (None, None) if !world.loose => return Err(format!("there is no file {path} on this server")),
            _ => String::new(),
        },
        // An address may hold a secret.
        (None, Origin::Url { url, .. }) => hexadecimal(&Sha256::digest(url.as_bytes())),
    };
    let strip = args.whole("strip").unwrap_or(0);
    let (only, except) = (args.texts("only"), args.texts("except"));
    let (owner, group) = (args.text("owner").unwrap_or_default(), args.text("group").unwrap_or_default());
    Ok(format!("{content} strip {strip} only {only:?} except {except:?} owner {owner:?} group {group:?}").into())
}
