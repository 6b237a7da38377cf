use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::Block;
use andon_schema::host::{Act, Bytes, Catalog, Look, Node};
use andon_value::Type;

use super::content::{Wanted, text_of};
use super::lines::bare;
use super::{Decision, Kind, Meta};
use crate::args::{Args, block, check_account, check_path, look_at, optional, parent};
use crate::bytes::decode_base64;
use crate::formats;
use crate::world::World;

/// A key with which a user may log in, in that user's `authorized_keys`.
pub(super) const KIND: Kind = Kind { name: "authorized_key", schema, check, looks, decide };

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn schema() -> Block {
    block(
        "A key with which a user may log in by SSH, in `.ssh/authorized_keys` in the user's home; both are made, and \
         are the user's alone. Keys are the same whatever their comment. The label is free.",
        &[
            ("user", optional(Type::String, "The user.").format(formats::ACCOUNT)),
            ("key", optional(Type::String, "The public key as in a `.pub` file: its type, its data, a comment.")),
            ("options", optional(Type::String, "What the key may do: `no-pty,command=\"/usr/bin/backup\"`.")),
            (
                "exclusive",
                optional(Type::Bool, "Remove all keys of the file that no resource of this role defines for it."),
            ),
            (
                "path",
                optional(Type::String, "Another file of keys, which belongs to root where there is no `user`.")
                    .format(formats::PATH),
            ),
        ],
    )
}

/// A line of a file of keys.
struct Key {
    options: String,
    kind: String,
    /// Its data in Base64: what tells it from all others.
    data: String,
}

impl Key {
    /// The format of sshd(8): options, which may hold blanks in quotes, a type, data and a comment.
    fn parse(line: &str) -> Option<Key> {
        let line = line.trim();
        let kind_of = |rest: &str| TYPES.into_iter().find(|kind| rest.split_whitespace().next() == Some(*kind));
        let (options, rest) = match kind_of(line) {
            Some(_) => ("", line),
            None => split_options(line)?,
        };
        let mut words = rest.split_whitespace();
        let kind = words.next().filter(|_| kind_of(rest).is_some())?.to_owned();
        let data = words.next()?.to_owned();
        Some(Key { options: options.to_owned(), kind, data })
    }

    fn is(&self, other: &Key) -> bool {
        self.kind == other.kind && self.data == other.data
    }
}

fn split_options(line: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                return line.split_at_checked(at).map(|(options, rest)| (options, rest.trim_start()));
            }
            _ => {}
        }
    }
    None
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(args.text("user").and_then(|user| check_account(&user)));
    wrong.extend(args.text("path").and_then(|path| check_path(&path)));
    if !args.has("user") && !args.has("path") {
        wrong.push("an authorized key needs a `user`".to_owned());
    }
    match args.text("key") {
        None => wrong.push("an authorized key needs its `key`".to_owned()),
        Some(key) => wrong.extend(check_key(&key)),
    }
    if args.text("options").is_some_and(|options| options.contains(['\n', '\r'])) {
        wrong.push("`options` holds more than one line".to_owned());
    }
    wrong
}

/// What is wrong with a public key, if anything is.
fn check_key(key: &str) -> Option<String> {
    if key.contains("PRIVATE KEY") {
        return Some("this is a private key, which no server must have; give the text of the `.pub` file".to_owned());
    }
    if key.trim().contains('\n') {
        return Some("`key` holds more than one line; give each key a resource of its own".to_owned());
    }
    let Some(parsed) = Key::parse(key).filter(|key| key.options.is_empty()) else {
        return Some("`key` is not a public key: a type such as `ssh-ed25519`, its data, and a comment".to_owned());
    };
    // The data begins with the length of the type and the type (RFC 4253).
    let bytes = decode_base64(&parsed.data).unwrap_or_default();
    let named = bytes.0.get(4..4 + parsed.kind.len());
    let whole = named == Some(parsed.kind.as_bytes()) && bytes.0.len() > 4 + parsed.kind.len() + 4;
    (!whole).then(|| format!("the data of the `{}` key is damaged: some of it may be missing", parsed.kind))
}

/// The file of keys; the user's home must have been seen.
fn file(args: &Args, world: &World) -> Result<Option<Arc<str>>, String> {
    if let Some(path) = args.text("path") {
        return Ok(Some(path));
    }
    let Some(user) = args.text("user") else { return Ok(None) };
    Ok(world.user(&user)?.map(|user| format!("{}/.ssh/authorized_keys", user.home.trim_end_matches('/')).into()))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let mut looks: Vec<Look> = args.text("user").map(Look::User).into_iter().collect();
    if let Ok(Some(path)) = file(args, world) {
        looks.extend([look_at(parent(&path)), Look::Path { path, content: true }]);
    }
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let user = args.text("user");
    let Some(path) = file(args, world)? else {
        let user = user.unwrap_or_default();
        return match args.absent || world.loose {
            true => Ok(Decision::nothing()),
            false => Err(format!("there is no user `{user}` on this server; define it before this resource")),
        };
    };
    let owner = match &user {
        Some(name) => world.user(name)?.map(|user| (name.clone(), Arc::<str>::from(user.gid.to_string()))),
        None => None,
    };
    let directory = parent(&path);
    // Whoever owns the directory could make it lead elsewhere, and root would write there.
    if let Some(Node::Link(target)) = world.entry(directory)?.map(|entry| &entry.node) {
        return Err(format!("{directory} is a link to {target}; keys are not written through a link"));
    }
    let old = text_of(&path, world)?;
    let text = args.text("key").unwrap_or_default();
    let Some(key) = Key::parse(&text) else { return Err("`key` is not a public key".to_owned()) };
    let options = args.text("options").unwrap_or_default();
    let wanted = if options.is_empty() { text.trim().to_owned() } else { format!("{options} {}", text.trim()) };
    let others = others(world.catalog(), args, &path);
    let new = edit(old.unwrap_or_default(), &key, (!args.absent).then_some((&*wanted, &*options)), others.as_ref());
    let (owner, group) = owner.map_or((None, None), |(owner, group)| (Some(owner), Some(group)));
    if args.absent && old.unwrap_or_default() == new {
        return Ok(Decision::nothing());
    }
    let above = world.entry(directory)?.is_none().then(|| Act::MakeDirectory {
        path: directory.into(),
        mode: Some(0o700),
        owner: owner.clone(),
        group: group.clone(),
    });
    // A file that is there keeps what it has of these.
    let meta = if old.is_none() { Meta { mode: Some(0o600), owner, group } } else { Meta::default() };
    let content = Bytes::from(Arc::<str>::from(new));
    let wanted = Wanted { path: path.clone(), content, meta, validate: None, backups: 0, above };
    wanted.decide(args, world)
}

/// The data of all keys that may be in the file, where no other may be in it.
fn others(catalog: &Catalog, args: &Args, path: &str) -> Option<BTreeSet<String>> {
    let exclusive = !args.absent && args.truth("exclusive") == Some(true);
    exclusive.then(|| defined(catalog, &args.text("user").unwrap_or_default(), path))
}

/// The data of all keys that the catalog defines for a user, or in a file.
pub(super) fn defined(catalog: &Catalog, user: &str, path: &str) -> BTreeSet<String> {
    let of_kind = |kind: &'static str| {
        let resources = catalog.resources.iter().filter(move |resource| &*resource.kind == kind && !resource.absent);
        resources.map(Args::of_resource)
    };
    let is_same = |other: &Args| match other.text("path") {
        Some(other) => *other == *path,
        None => other.text("user").is_some_and(|other| *other == *user),
    };
    let keys = of_kind(KIND.name).filter(is_same).filter_map(|other| other.text("key"));
    let of_user = of_kind("user").filter(|other| *other.subject("name") == *user).flat_map(|other| other.texts("keys"));
    keys.chain(of_user).filter_map(|text| Some(Key::parse(&text)?.data)).collect()
}

/// The file with the key in it once, or without it; and without all others that are not `allowed`.
fn edit(text: &str, key: &Key, wanted: Option<(&str, &str)>, allowed: Option<&BTreeSet<String>>) -> String {
    let mut told = false;
    let mut lines: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        let content = bare(line).trim();
        if content.is_empty() || content.starts_with('#') {
            lines.push(line.to_owned());
            continue;
        }
        let parsed = Key::parse(content);
        match (&parsed, wanted) {
            (Some(known), Some((wanted, options))) if known.is(key) => {
                if !told {
                    lines.push(if known.options == options { line.to_owned() } else { format!("{wanted}\n") });
                }
                told = true;
            }
            (Some(known), None) if known.is(key) => {}
            (Some(known), _) if allowed.is_some_and(|allowed| !allowed.contains(&known.data)) => {}
            (None, _) if allowed.is_some() => {}
            _ => lines.push(line.to_owned()),
        }
    }
    if let Some((wanted, _)) = wanted.filter(|_| !told) {
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        lines.push(format!("{wanted}\n"));
    }
    lines.concat()
}
