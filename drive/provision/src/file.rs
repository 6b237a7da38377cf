//! `file` (<https://developer.hashicorp.com/terraform/language/resources/provisioners/file>).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;

use andon_schema::Failure;
use andon_value::Value;

use crate::connection::Connection;
use crate::remote::has_agent;
use crate::ssh::{Server, quoted};
use crate::{Place, Told, text};

/// What is put on a server.
enum Source {
    Text(String),
    File(PathBuf),
    /// A directory, and the name that it keeps; without one only what is in it is meant.
    Directory(PathBuf, Option<String>),
}

pub(crate) fn run(config: &Value, connection: &Value, place: &Place<'_>, told: &mut Told<'_>) -> Result<(), Failure> {
    let source = source(config, place.directory, told)?;
    let destination = text(config, "destination").unwrap_or_default();
    if destination.is_empty() {
        return Err(told.failed("its destination is empty", "Nothing says where the file goes."));
    }
    let connection = Connection::new(connection, has_agent())?;
    let server = Server::reach(connection, place, told)?;
    if !told.secret {
        told.step(&format!("puts {destination} on the server"));
    }
    let place = quoted(destination);
    let plain = format!("cat > {place}");
    let (script, feed): (String, crate::process::Feed) = match source {
        Source::Text(text) => (plain, Box::new(move |mut stdin: ChildStdin| stdin.write_all(text.as_bytes()))),
        Source::File(path) => {
            let feed = move |mut stdin: ChildStdin| io::copy(&mut File::open(path)?, &mut stdin).map(drop);
            (plain, Box::new(feed))
        }
        Source::Directory(path, name) => {
            // As `scp -r` does: into a directory that is there, or as one that is not.
            let at = match name {
                Some(name) => format!("if [ -d {place} ]; then to={place}/{}; else to={place}; fi", quoted(&name)),
                None => format!("to={place}"),
            };
            let script = format!("{at}; mkdir -p -- \"$to\" && tar -xomf - -C \"$to\"");
            (script, Box::new(move |stdin: ChildStdin| archive(&path, stdin)))
        }
    };
    server.quietly(&script, Some(feed), &format!("{destination} could not be written"), told)
}

fn source(config: &Value, directory: &Path, told: &Told<'_>) -> Result<Source, Failure> {
    if let Some(content) = text(config, "content") {
        return Ok(Source::Text(content.to_owned()));
    }
    let given = text(config, "source").unwrap_or_default();
    let path = directory.join(given);
    let unreadable = |error: io::Error| told.failed("its source cannot be read", &format!("{given}: {error}"));
    let about = std::fs::metadata(&path).map_err(unreadable)?;
    if about.is_dir() {
        let name = path.canonicalize().map_err(unreadable)?.file_name().map(|name| name.to_string_lossy().into_owned());
        return Ok(Source::Directory(path, name.filter(|_| !given.ends_with('/'))));
    }
    File::open(&path).map_err(unreadable)?;
    Ok(Source::File(path))
}

/// What is in a directory; links as what they lead to.
fn archive(path: &Path, to: ChildStdin) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(to));
    archive.follow_symlinks(true);
    archive.append_dir_all(".", path)?;
    archive.into_inner()?.flush()
}
