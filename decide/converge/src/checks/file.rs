//! The check of a file.

use andon_schema::Block;
use andon_schema::host::{Look, Node};
use andon_value::Type;
use sha2::{Digest, Sha256};

use super::{CheckKind, check_texts, judge_text, of_text, timed};
use crate::args::{Args, check_mode, check_path, optional, parse_mode};
use crate::formats;
use crate::kinds::is_account;
use crate::world::{World, bytes_of};

pub(super) const KINDS: [CheckKind; 1] =
    [CheckKind { name: "file", schema: file_schema, check: file_check, looks: file_looks, judge: judge_file }];

/// The arguments for which the file is read.
const READING: [&str; 5] = ["contains", "matches", "lacks", "size", "sha256"];

fn file_schema() -> Block {
    timed(
        "What is at a path of the server.",
        &[
            ("path", optional(Type::String, "The absolute path; without it, the label.").format(formats::PATH)),
            ("exists", optional(Type::Bool, "Whether anything is there; true unless given.")),
            ("mode", optional(Type::String, "The permission bits in octal.").format(formats::MODE)),
            ("owner", optional(Type::String, "The user that owns it, by name or number.").format(formats::OWNER)),
            ("group", optional(Type::String, "Its group, by name or number.").format(formats::OWNER)),
            ("kind", optional(Type::String, "What is there: `file`, `directory`, `link` or `other`.")),
            ("target", optional(Type::String, "Where a link points to.")),
            ("size", optional(Type::Number, "How many bytes a file has.").format(formats::COUNT)),
            ("sha256", optional(Type::String, "The digest of a file's bytes.").format(formats::SHA256)),
        ]
        .into_iter()
        .chain(of_text("the file"))
        .collect::<Vec<_>>(),
    )
}

fn file_check(args: &Args) -> Vec<String> {
    let mut wrong: Vec<String> = check_path(&args.subject("path")).into_iter().collect();
    wrong.extend(args.text("mode").and_then(|text| check_mode(&text)));
    wrong.extend(check_texts(args));
    let kind = args.text("kind").filter(|kind| !matches!(&**kind, "file" | "directory" | "link" | "other"));
    wrong
        .extend(kind.map(|kind| format!("there is no kind of file `{kind}`: `file`, `directory`, `link` and `other`")));
    wrong
}

fn file_looks(args: &Args) -> Vec<Look> {
    vec![Look::Path { path: args.subject("path"), content: READING.iter().any(|name| args.has(name)) }]
}

fn judge_file(args: &Args, world: &World) -> Result<(), String> {
    let path = args.subject("path");
    let wanted = args.truth("exists").unwrap_or(true);
    let entry = match (world.entry(&path)?, wanted) {
        (Some(_), false) => return Err(format!("{path} exists")),
        (None, true) => return Err(format!("{path} does not exist")),
        (None, false) => return Ok(()),
        (Some(entry), true) => entry,
    };
    if let Some(mode) = args.text("mode").and_then(|text| parse_mode(&text))
        && mode != entry.mode
    {
        return Err(format!("{path} has the mode {:04o}, not {mode:04o}", entry.mode));
    }
    for (attribute, account) in [("owner", &entry.owner), ("group", &entry.group)] {
        if let Some(name) = args.text(attribute)
            && !is_account(account, &name)
        {
            return Err(format!("the {attribute} of {path} is {} ({}), not {name}", account.name, account.id));
        }
    }
    let kind = match &entry.node {
        Node::File(_) => "file",
        Node::Directory => "directory",
        Node::Link(_) => "link",
        Node::Other => "other",
    };
    if let Some(wanted) = args.text("kind").filter(|wanted| **wanted != *kind) {
        return Err(format!("{path} is of the kind {kind}, not {wanted}"));
    }
    if let Some(wanted) = args.text("target")
        && entry.node != Node::Link(wanted.clone())
    {
        return Err(match &entry.node {
            Node::Link(target) => format!("{path} points to {target}, not {wanted}"),
            _ => format!("{path} is no link"),
        });
    }
    if !READING.iter().any(|name| args.has(name)) {
        return Ok(());
    }
    let Some(bytes) = bytes_of(Some(entry)) else {
        return Err(format!("{path} is of the kind {kind}, and has no content"));
    };
    if let Some(size) = args.whole("size").filter(|size| *size != bytes.0.len() as u64) {
        return Err(format!("{path} has {} bytes, not {size}", bytes.0.len()));
    }
    if let Some(wanted) = args.text("sha256") {
        let digest: String = Sha256::digest(&bytes.0).iter().map(|byte| format!("{byte:02x}")).collect();
        if !digest.eq_ignore_ascii_case(&wanted) {
            return Err(format!("the SHA-256 of {path} is {digest}, not {wanted}"));
        }
    }
    judge_text(args, &path, &String::from_utf8_lossy(&bytes.0))
}
