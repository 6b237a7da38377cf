//! Files of the project, and paths.

use std::sync::Arc;

use andon_text::nearest;
use andon_value::{Type, Value, quote};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Fault, Function, row};
use crate::eval::Call;
use crate::files::clean;

pub(super) fn table() -> Vec<Function> {
    use Type::{Bool, String as S};
    vec![
        row("abspath", S, abs_path, "A path from the root of the file system.").takes("path", S),
        row("basename", S, base_name, "The last part of a path.").takes("path", S),
        row("dirname", S, dir_name, "A path without its last part.").takes("path", S),
        row("file", S, file, "The text of a file.").takes("path", S),
        row("filebase64", S, |call| Ok(STANDARD.encode(content(call, 0)?).into()), "The content of a file, in Base64.")
            .takes("path", S),
        row("fileexists", Bool, |call| Ok(found(call, 0).is_some().into()), "Whether there is a file.")
            .takes("path", S),
        row("fileset", Type::set(S), file_set, "The files below a directory whose paths match a pattern.")
            .takes("path", S)
            .takes("pattern", S),
        row("pathexpand", S, path_expand, "A path with `~` as the home directory.").takes("path", S),
    ]
}

/// The content of the file that an argument names.
pub(super) fn content<'a>(call: &'a Call<'_>, at: usize) -> Result<&'a Arc<[u8]>, Fault> {
    if let Some(content) = found(call, at) {
        return Ok(content);
    }
    let files = call.inputs.files;
    let Some(resolved) = call.inputs.locate(call.text(at)).filter(|path| !path.starts_with("../")) else {
        return Err(Fault::at(at, "the path leads out of the project")
            .help("Only files of the project can be read; move the file into it."));
    };
    let fault = Fault::at(at, "there is no such file").detail(format!("The path leads to {}.", quote(&resolved)));
    let same_name = |path: &&Arc<str>| path.rsplit('/').next() == resolved.rsplit('/').next();
    let near = nearest(&resolved, files.paths().map(|path| &**path))
        .or_else(|| files.paths().find(same_name).map(|path| &**path));
    Err(match near {
        Some(near) => fault.help(format!("There is {}. Did you mean that?", quote(near))),
        None => fault.help("Make this file, or correct the path."),
    })
}

fn found<'a>(call: &'a Call<'_>, at: usize) -> Option<&'a Arc<[u8]>> {
    call.inputs.files.read("", &call.inputs.locate(call.text(at))?)
}

/// The text of the file that an argument names.
pub(super) fn text<'a>(call: &'a Call<'_>, at: usize) -> Result<&'a str, Fault> {
    std::str::from_utf8(content(call, at)?)
        .map_err(|_| Fault::at(at, "the file is not text in UTF-8").help("Read it with `filebase64`."))
}

fn file(call: &Call<'_>) -> Result<Value, Fault> {
    Ok(text(call, 0)?.into())
}

fn abs_path(call: &Call<'_>) -> Result<Value, Fault> {
    match call.inputs.absolute(call.text(0)) {
        Some(path) => Ok(path.into()),
        None => Err(Fault::at(0, "where the project is in the file system is not known here")
            .help("Roles run on servers, where the project is not: write a path relative to the project.")),
    }
}

fn path_expand(call: &Call<'_>) -> Result<Value, Fault> {
    let path = call.text(0);
    if let Some(rest) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        if !call.inputs.home.is_empty() {
            return Ok(clean(&format!("{}{rest}", call.inputs.home)).into());
        }
        return Err(Fault::at(0, "what `~` stands for differs from machine to machine")
            .help("Write the path from the root, or relative to the project."));
    }
    Ok(path.into())
}

fn base_name(call: &Call<'_>) -> Result<Value, Fault> {
    let path = call.text(0);
    let trimmed = path.trim_end_matches('/');
    Ok(match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".",
        (_, true) => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
    .into())
}

fn dir_name(call: &Call<'_>) -> Result<Value, Fault> {
    let path = call.text(0);
    Ok(match path.rfind('/') {
        Some(at) => clean(path.get(..=at).unwrap_or(path)),
        None => ".".to_owned(),
    }
    .into())
}

fn file_set(call: &Call<'_>) -> Result<Value, Fault> {
    let directory =
        call.inputs.locate(call.text(0)).ok_or_else(|| Fault::at(0, "the path leads out of the project"))?;
    let pattern = glob(call.text(1)).ok_or_else(|| Fault::at(1, "not a pattern of paths"))?;
    let below = call.inputs.files.under(&directory).filter_map(|(path, _)| {
        if directory.is_empty() { Some(&**path) } else { path.strip_prefix(&*directory)?.strip_prefix('/') }
    });
    Ok(Value::set(Type::String, below.filter(|path| pattern.is_match(path)).map(Value::from).collect::<Vec<_>>()))
}

/// A pattern of paths as a regular expression: `*` and `?` stay in one part, `**` goes through any number of them,
/// `{a,b}` is either, `[a-z]` any of them.
fn glob(pattern: &str) -> Option<regex::Regex> {
    let mut out = String::from("^(?s:");
    let mut alternatives = 0;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            out.push_str("(?:[^/]+/)*");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            out.push_str(".*");
            rest = after;
            continue;
        }
        rest = rest.get(character.len_utf8()..)?;
        match character {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                alternatives += 1;
                out.push_str("(?:");
            }
            '}' if alternatives > 0 => {
                alternatives -= 1;
                out.push(')');
            }
            ',' if alternatives > 0 => out.push('|'),
            '[' => {
                let (class, after) = rest.split_once(']')?;
                let class = class.strip_prefix(['!', '^']).map_or_else(|| class.to_owned(), |rest| format!("^{rest}"));
                out.push_str(&format!("[{}]", class.replace('[', "\\[").replace('&', "\\&")));
                rest = after;
            }
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = rest.get(escaped.len_utf8()..)?;
                out.push_str(&regex::escape(&escaped.to_string()));
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push_str(")$");
    regex::Regex::new(&out).ok()
}
