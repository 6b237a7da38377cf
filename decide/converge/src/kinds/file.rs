use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Headers, Look, Node, Origin};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::content::{self, Wanted, back_up, check_file, check_parent, remove_file, update_meta};
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_path, look_at, optional, parent, parse_duration_ms};
use crate::bytes::{decode_base64, encode};
use crate::formats;
use crate::world::World;

/// A regular file. A link at its path is replaced, never written through: what is defined is this path, and a
/// file elsewhere must not change in its stead.
pub(super) const KIND: Kind = Kind { name: "file", schema, check, looks, decide };

fn schema() -> Block {
    let mut attributes = vec![
        ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
        (
            "content",
            optional(
                Type::String,
                "All of its content. Without this, `content_base64` or `source`, the content is left alone, and a \
                 missing file is made empty.",
            ),
        ),
        ("content_base64", optional(Type::String, "All of its content, in Base64: for bytes that are no text.")),
        (
            "source",
            optional(
                Type::String,
                "Where its content is: a file of the project, by its path from the role's directory; a file of the \
                 server, by its absolute path; or an address with `http://` or `https://`, from which the server \
                 gets it.",
            ),
        ),
        ("sha256", optional(Type::String, SHA256).format(formats::SHA256)),
        ("headers", optional(Type::Map(Type::String.into()), "More headers of the request for an address.")),
        ("timeout", optional(Type::String, "How long the request may take; 5m without it.").format(formats::DURATION)),
        (
            "encoding",
            optional(Type::String, "What `content` is encoded in; `utf-8` without it.").format(formats::ENCODING),
        ),
        (
            "replace",
            optional(Type::Bool, "Whether the content of a file that is there is replaced; it is, without it."),
        ),
        ("sensitive", optional(Type::Bool, "Never show its content, as if it held a secret.")),
    ];
    attributes.extend(content::schema());
    block("A regular file. A link at its path is replaced, not followed.", &attributes)
}

const SHA256: &str = "The SHA-256 of the content of a `source`. The file is got again where it differs, and refused where \
                      what comes is another. Of an address without it, a file that is there is taken as right.";

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Meta::check(args);
    wrong.extend(check_path(&args.subject("path")));
    wrong.extend(check_kept(&args.subject("path")));
    let given: Vec<&str> =
        ["content", "content_base64", "source"].into_iter().filter(|attribute| args.has(attribute)).collect();
    if let [first, second, ..] = *given {
        wrong.push(format!("`{first}` and `{second}` both say what is in the file"));
    }
    if given.is_empty() && !args.absent {
        let of_content = ["validate", "backup", "replace"].into_iter().filter(|attribute| args.has(attribute));
        wrong.extend(
            of_content.map(|attribute| format!("`{attribute}` is about new content, and there is no `content`")),
        );
    }
    if args.has("encoding") && !args.has("content") {
        wrong.push("`encoding` says how `content` is encoded, and there is no `content`".to_owned());
    }
    for attribute in ["sha256", "headers", "timeout"] {
        if args.has(attribute) && !args.has("source") {
            wrong.push(format!("`{attribute}` is about a `source`, and there is none"));
        }
    }
    if args.text("content_base64").is_some_and(|text| decode_base64(&text).is_none()) {
        wrong.push("`content_base64` is not Base64".to_owned());
    }
    if let (Some(content), Some(encoding)) = (args.text("content"), args.text("encoding"))
        && let Err(letter) = encode(&content, &encoding)
        && !args.is_secret("content")
    {
        wrong.push(format!("`content` holds {letter:?}, which {encoding} cannot write"));
    }
    wrong
}

/// What is wrong with a path where nothing is kept, if that is such a one.
pub(super) fn check_kept(path: &str) -> Option<String> {
    let kernel = ["/proc/", "/sys/"].iter().any(|above| path.starts_with(above));
    kernel.then(|| {
        format!(
            "`{path}` is the kernel's own and keeps no file: `sysctl` gives it settings, and `exec` can write to it"
        )
    })
}

/// What a resource says that a file holds.
enum Content {
    /// Nothing is said.
    Free,
    Known(Bytes),
    /// The server gets it.
    Origin(Origin),
}

fn content_of(args: &Args, world: &World) -> Result<Content, String> {
    if let Some(text) = args.text("content") {
        let encoded = match args.text("encoding") {
            None => Bytes::from(text),
            Some(encoding) => encode(&text, &encoding).map_err(|_| format!("{encoding} cannot write the content"))?,
        };
        return Ok(Content::Known(encoded));
    }
    if let Some(text) = args.text("content_base64") {
        return decode_base64(&text).map(Content::Known).ok_or_else(|| "`content_base64` is not Base64".to_owned());
    }
    let Some(source) = args.text("source") else { return Ok(Content::Free) };
    match origin_of(args, &source) {
        Some(origin) => Ok(Content::Origin(origin)),
        None => match world.file(args, &source) {
            Some(bytes) => Ok(Content::Known(bytes.clone())),
            None => Err(no_source(&source)),
        },
    }
}

/// Where a source is that is no file of the project.
pub(super) fn origin_of(args: &Args, source: &Arc<str>) -> Option<Origin> {
    if source.starts_with('/') {
        return Some(Origin::Path(source.clone()));
    }
    let timeout = args.text("timeout").and_then(|text| parse_duration_ms(&text));
    is_url(source).then(|| Origin::Url {
        url: source.clone(),
        headers: Headers(args.pairs("headers")),
        sha256: args.text("sha256").map(|digest| digest.to_ascii_lowercase().into()),
        timeout_ms: timeout.unwrap_or(300_000),
    })
}

pub(super) fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// A source that is no file of the project.
pub(crate) fn no_source(source: &str) -> String {
    format!("there is no file `{source}` beside the role; a path of the project begins at the role's directory")
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let meta = Meta::of(args);
    if args.absent {
        return vec![Look::Path { path, content: true }];
    }
    let bare = || {
        let above = matches!(world.entry(&path), Ok(None)).then(|| look_at(parent(&path)));
        [look_at(&path)].into_iter().chain(above).chain(meta.looks()).collect::<Vec<_>>()
    };
    match content_of(args, world) {
        Ok(Content::Known(content))
            if args.truth("replace") != Some(false) || matches!(world.entry(&path), Ok(None)) =>
        {
            Wanted::of(args, path, content).looks(world)
        }
        Ok(Content::Origin(origin)) => {
            let mut looks = bare();
            let there = !matches!(world.entry(&path), Ok(None));
            match &origin {
                Origin::Path(from) => looks.extend([look_at(from), Look::Digest(from.clone())]),
                _ if !args.has("sha256") => return looks,
                _ => {}
            }
            if there && args.truth("replace") != Some(false) {
                looks.push(Look::Digest(path.clone()));
                if args.has("backup") {
                    looks.push(Look::Listing(parent(&path).into()));
                }
            }
            looks
        }
        _ => bare(),
    }
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let entry = world.entry(&path)?;
    check_file(&path, entry.map(|entry| &entry.node))?;
    if args.absent {
        return remove_file(path, world);
    }
    let meta = Meta::of(args);
    let is_link = matches!(entry.map(|entry| &entry.node), Some(Node::Link(_)));
    if args.truth("replace") == Some(false) && entry.is_some() && !is_link {
        return update_meta(args, &path, &meta, world);
    }
    match content_of(args, world)? {
        Content::Known(content) => Wanted::of(args, path, content).decide(args, world),
        Content::Origin(origin) => fetch(args, world, path, origin),
        Content::Free => match entry.map(|entry| &entry.node) {
            None => Wanted::of(args, path, Bytes::default()).decide(args, world),
            Some(Node::Link(target)) => {
                Err(format!("{path} is a link to {target}, and no content is given to replace it with"))
            }
            Some(_) => update_meta(args, &path, &meta, world),
        },
    }
}

/// A file whose content the server gets itself.
fn fetch(args: &Args, world: &World, path: Arc<str>, from: Origin) -> Result<Decision, String> {
    let entry = world.entry(&path)?;
    let meta = Meta::of(args);
    let is_file = entry.is_some_and(|entry| matches!(entry.node, Node::File(_)));
    let wanted = match &from {
        Origin::Path(source) => match (world.entry(source)?.map(|entry| &entry.node), world.digest(source)?) {
            (Some(Node::File(_)), Some(digest)) => Some(digest.clone()),
            (Some(Node::File(_)), None) => None,
            (None, _) if world.loose => None,
            (None, _) => return Err(format!("there is no file {source} on this server")),
            _ => return Err(format!("{source} is not a file")),
        },
        Origin::Url { sha256, .. } => sha256.clone(),
        Origin::Bytes(_) => None,
    };
    let now = if is_file && wanted.is_some() { world.digest(&path)?.cloned() } else { None };
    let by_its_digest = args.has("sha256") || matches!(from, Origin::Path(_));
    if is_file && (now == wanted && now.is_some() || !by_its_digest) {
        return update_meta(args, &path, &meta, world);
    }
    meta.check_known(world)?;
    check_parent(&path, world)?;
    let mut differences = Vec::new();
    let source = match &from {
        Origin::Url { url, .. } => url.split(['?', '#']).next().unwrap_or(url).to_owned(),
        Origin::Path(source) => source.to_string(),
        Origin::Bytes(_) => "the project".to_owned(),
    };
    let short = |digest: &str| format!("sha256 {}…", digest.get(..12).unwrap_or(digest));
    let to = wanted.as_ref().map_or_else(String::new, |digest| format!(", {}", short(digest)));
    let was = now.map(|digest| format!("{} → ", short(&digest))).unwrap_or_default();
    differences.push(format!("content {was}from {source}{to}"));
    let mut acts = Vec::new();
    if let Some(entry) = entry {
        differences.extend(meta.decide(args, &path, entry).0);
        if let (true, Some(backups @ 1..)) = (is_file, args.whole("backup")) {
            acts.extend(back_up(&path, backups, world)?);
        }
    }
    if entry.is_none() {
        differences.extend(meta.of_new(args));
    }
    let Meta { mode, owner, group } = meta;
    let validate = args.text("validate");
    acts.push(Act::FetchFile { from, path, mode, owner, group, validate });
    let change = if entry.is_none() { Change::Create } else { Change::Update };
    Ok(Decision::new(change, differences, acts))
}
