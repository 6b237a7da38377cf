//! `remote-exec` (<https://developer.hashicorp.com/terraform/language/resources/provisioners/remote-exec>).

use std::io::{Read, Write};
use std::path::Path;

use andon_schema::Failure;
use andon_value::Value;

use crate::connection::Connection;
use crate::process::{self, End};
use crate::ssh::{Server, quoted};
use crate::{Place, Told, text, texts};

pub(crate) fn run(config: &Value, connection: &Value, place: &Place<'_>, told: &mut Told<'_>) -> Result<(), Failure> {
    let scripts = scripts(config, place.directory, told)?;
    let connection = Connection::new(connection, has_agent())?;
    let server = Server::reach(connection, place, told)?;
    for (name, script) in scripts {
        one(&server, &name, script, told)?;
    }
    Ok(())
}

/// Whether an agent is at hand that holds keys.
pub(crate) fn has_agent() -> bool {
    std::env::var_os("SSH_AUTH_SOCK").is_some_and(|path| !path.is_empty())
}

/// The scripts, each with its name.
fn scripts(config: &Value, directory: &Path, told: &Told<'_>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let inline = texts(config, "inline");
    let mut files = texts(config, "scripts").unwrap_or_default();
    files.extend(text(config, "script").map(str::to_owned));
    let mut scripts = Vec::new();
    if let Some(lines) = inline {
        if lines.iter().any(String::is_empty) {
            return Err(told.failed("a line of `inline` is empty", "Each is a command."));
        }
        scripts.push(("the inline script".to_owned(), format!("{}\n", lines.join("\n")).into_bytes()));
    }
    for file in files {
        let script = std::fs::read(directory.join(&file))
            .map_err(|error| told.failed("a script cannot be read", &format!("{file}: {error}")))?;
        scripts.push((file, script));
    }
    for (_, script) in &mut scripts {
        if !script.starts_with(b"#!") {
            script.splice(0..0, *b"#!/bin/sh\n");
        }
    }
    Ok(scripts)
}

fn one(server: &Server, name: &str, script: Vec<u8>, told: &mut Told<'_>) -> Result<(), Failure> {
    let path = server.connection.script_path.replace("%RAND%", &random());
    let path = quoted(&path);
    let feed = Box::new(move |mut stdin: std::process::ChildStdin| stdin.write_all(&script));
    // Nobody else reads it: it may hold secrets.
    let put = format!("umask 077 && cat > {path} && chmod 0700 {path}");
    server.quietly(&put, Some(feed), "the script could not be put on the server", told)?;
    let run = format!("{path}; end=$?; rm -f {path}; exit $end");
    match server.run(&run, true, None, None, &mut |line| told.line(line)) {
        Ok(End::Exited(status)) if status.success() => Ok(()),
        Ok(End::Exited(status)) => {
            let lost = match status.code() {
                Some(255) => " That is also how it ends where the connection is lost.",
                _ => "",
            };
            Err(told.failed(&process::how(status), &format!("It was {name}.{lost}")))
        }
        Ok(End::TimedOut) => Err(told.failed("it took too long", "")),
        Err(error) => Err(told.failed("it could not be started", &error.to_string())),
    }
}

/// A number that no other script has.
fn random() -> String {
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes).to_string(),
        Err(_) => std::process::id().to_string(),
    }
}
