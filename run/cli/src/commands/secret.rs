//! `secret`: keeps the project's secrets in age files. Only `get` prints one.

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use andon_schema::wrong_secret_name;
use andon_secret::{Identities, Place, Recipients, SealError, Vault, generate, seal};
use andon_text::Diagnostic;
use serde_json::json;

use crate::context::{Context, Stop};
use crate::secret_args::{KeygenArguments, SecretCommand, SetArguments};
use crate::terminal::{print_json, write_file};
use crate::variables::typed_in_silence;

/// What a new list of recipients begins with.
const RECIPIENTS: &str = "# Whom the secrets of this project are sealed for, a line each: age1… or ssh-ed25519 …\n\
    # After a change: andon secret rekey\n";

/// `andon secret`
pub fn run(context: &Context, command: &SecretCommand) -> Result<(), Stop> {
    if let SecretCommand::Keygen(arguments) = command {
        return keygen(context, arguments);
    }
    let vault = Vault::at(context.project_directory()?);
    match command {
        SecretCommand::Set(arguments) => set(context, &vault, arguments),
        SecretCommand::Get(arguments) => get(context, &vault, &arguments.name),
        SecretCommand::List => list(context, &vault),
        SecretCommand::Edit(arguments) => edit(context, &vault, arguments.name.as_deref()),
        SecretCommand::Rekey => rekey(context, &vault),
        SecretCommand::Keygen(_) => Ok(()),
    }
}

fn set(context: &Context, vault: &Vault, arguments: &SetArguments) -> Result<(), Stop> {
    let name = sound(&arguments.name)?;
    let recipients = recipients(context, vault)?;
    let bytes = match &arguments.from {
        Some(path) => fs::read(path)
            .map_err(|error| Stop::from(Diagnostic::error(format!("`{}` cannot be read: {error}", path.display()))))?,
        None if std::io::stdin().is_terminal() => {
            typed_in_silence(context, &format!("Enter the secret `{name}`: "))?.into_bytes()
        }
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Diagnostic::error(format!("standard input cannot be read: {error}")))?;
            bytes
        }
    };
    let path = vault.file_of(name);
    seal_into(&path, &bytes, &recipients)?;
    said(context, name, &path, &recipients)
}

/// What is asked for by its name is no leak: it goes to standard output, and nowhere else.
fn get(context: &Context, vault: &Vault, name: &str) -> Result<(), Stop> {
    let name = sound(name)?;
    let value = vault.get(name).map_err(|error| Diagnostic::error(error.to_string()))?;
    if context.arguments.json {
        print_json(&json!({ "name": name, "value": &*value }));
    } else {
        context.print(&format!("{value}\n"));
    }
    Ok(())
}

fn list(context: &Context, vault: &Vault) -> Result<(), Stop> {
    let stored = vault.stored().map_err(|error| Diagnostic::error(error.to_string()))?;
    if context.arguments.json {
        let entry = |stored: &andon_secret::Stored| {
            let (file, alone) = match &stored.place {
                Place::File(path) => (path, true),
                Place::Many(path) => (path, false),
            };
            json!({ "name": &*stored.name, "file": shown(context, file), "alone": alone })
        };
        print_json(&json!({ "secrets": stored.iter().map(entry).collect::<Vec<_>>() }));
        return Ok(());
    }
    if stored.is_empty() {
        context.say("This project has no secrets in files; `andon secret set NAME` makes one.");
    }
    for stored in stored {
        context.print(&format!("{}\n", stored.name));
    }
    Ok(())
}

fn edit(context: &Context, vault: &Vault, name: Option<&str>) -> Result<(), Stop> {
    let path = match name {
        Some(name) => vault.file_of(sound(name)?),
        None => vault.many_file(),
    };
    let recipients = recipients(context, vault)?;
    let before = match path.exists() {
        true => vault.open_file(&path).map_err(|error| Diagnostic::error(error.to_string()))?,
        false => Vec::new(),
    };
    let after = edited(&before)?;
    if after == before {
        context.say("Nothing was changed.");
        return Ok(());
    }
    seal_into(&path, &after, &recipients)?;
    said(context, name.unwrap_or("secrets.age"), &path, &recipients)
}

/// What an editor makes of it. The clear text is in a file that only this user reads, in memory where that is possible.
fn edited(before: &[u8]) -> Result<Vec<u8>, Stop> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Stop::from(Diagnostic::error(format!("{what}: {error}")));
    let places = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let place = places.iter().find(|place| place.is_dir()).cloned().unwrap_or_default();
    let directory = place.join(format!("andon-secret-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| failed("no place to edit in", &error))?;
    let directory = Gone(directory);
    let path = directory.0.join("secret");
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = made.and_then(|mut file| file.write_all(before));
    written.map_err(|error| failed("no place to edit in", &error))?;
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(&path).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => return Err(Diagnostic::error(format!("`{editor}` failed; nothing was changed")).into()),
        Err(error) => {
            let diagnostic = Diagnostic::error(format!("`{editor}` could not be started: {error}"));
            return Err(diagnostic.help("Name an editor in EDITOR.").into());
        }
    }
    fs::read(&path).map_err(|error| failed("what was edited cannot be read", &error))
}

/// A directory that goes with this.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rekey(context: &Context, vault: &Vault) -> Result<(), Stop> {
    let recipients = recipients(context, vault)?;
    let stored = vault.stored().map_err(|error| Diagnostic::error(error.to_string()))?;
    let mut paths: Vec<&PathBuf> = stored
        .iter()
        .map(|stored| match &stored.place {
            Place::File(path) | Place::Many(path) => path,
        })
        .collect();
    paths.dedup();
    // All are opened before any is written: who cannot open one changes none.
    let mut opened = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = vault.open_file(path).map_err(|error| {
            Diagnostic::error(error.to_string()).detail("Nothing was changed: all are sealed anew, or none.")
        })?;
        opened.push((path, bytes));
    }
    for (path, bytes) in &opened {
        seal_into(path, bytes, &recipients)?;
    }
    let count = recipients.count();
    if context.arguments.json {
        print_json(&json!({ "files": opened.len(), "recipients": count }));
    } else {
        context.print(&format!("{} sealed for {}.\n", counted(opened.len(), "file"), counted(count, "recipient")));
    }
    Ok(())
}

fn keygen(context: &Context, arguments: &KeygenArguments) -> Result<(), Stop> {
    let usual = || Identities::usual_file(&|name| std::env::var_os(name));
    let Some(path) = arguments.file.clone().or_else(usual) else {
        return Err(Diagnostic::error("there is no home directory to keep an identity in").help("Name a file.").into());
    };
    let failed = |error: std::io::Error| {
        let diagnostic = Diagnostic::error(format!("`{}` cannot be written: {error}", path.display()));
        Stop::from(match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                diagnostic.help("An identity is never replaced: what is sealed for it could not be opened any more.")
            }
            _ => diagnostic,
        })
    };
    let (identity, recipient) = generate();
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(format!("# public key: {recipient}\n{identity}\n").as_bytes()).map_err(failed)?;
    if context.arguments.json {
        print_json(&json!({ "file": path.display().to_string(), "recipient": recipient }));
    } else {
        context.print(&format!("{recipient}\n"));
        context.say(&format!(
            "The identity is in `{}`; others add the line above to `secrets/recipients`.",
            path.display()
        ));
    }
    Ok(())
}

fn sound(name: &str) -> Result<&str, Stop> {
    match wrong_secret_name(name) {
        None => Ok(name),
        Some(wrong) => Err(Diagnostic::error(format!("the name of the secret {wrong}"))
            .help("A name is like `db/password`.")
            .into()),
    }
}

/// Whom secrets are sealed for. Where nobody is named yet, it is who asks, and that is written down.
fn recipients(context: &Context, vault: &Vault) -> Result<Recipients, Stop> {
    let path = vault.recipients_file();
    let from = "`secrets/recipients`";
    let wrong = |error: andon_secret::RecipientError| Stop::from(Diagnostic::error(error.to_string()));
    match fs::read_to_string(&path) {
        Ok(text) => return Recipients::parse(&text, from).map_err(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Diagnostic::error(format!("`{}` cannot be read: {error}", path.display())).into());
        }
    }
    let identities = vault.identities().map_err(|error| Diagnostic::error(error.to_string()))?;
    let Some(identities) = identities else {
        return Err(Diagnostic::error("there is nobody to seal a secret for")
            .help("Make a key with `andon secret keygen`, or name yours in ANDON_AGE_IDENTITY.")
            .help("Or write `secrets/recipients`: a line for each who may open them, `age1…` or `ssh-ed25519 …`.")
            .into());
    };
    let lines: String = identities.recipients().iter().map(|line| format!("{line}\n")).collect();
    let recipients = Recipients::parse(&lines, from).map_err(wrong)?;
    make_parent(&path)?;
    write_file(&path, &format!("{RECIPIENTS}{lines}"))?;
    context.say("Made `secrets/recipients`: secrets are sealed for you alone until it names others.");
    Ok(recipients)
}

fn seal_into(path: &Path, bytes: &[u8], recipients: &Recipients) -> Result<(), Stop> {
    if bytes.iter().all(|byte| matches!(byte, b'\n' | b'\r')) {
        return Err(Diagnostic::error("the secret is empty; nothing was changed").into());
    }
    let sealed = seal(bytes, recipients).map_err(|error: SealError| Diagnostic::error(error.to_string()))?;
    make_parent(path)?;
    write_file(path, &String::from_utf8_lossy(&sealed))
}

fn make_parent(path: &Path) -> Result<(), Stop> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let failed = |error| Diagnostic::error(format!("`{}` cannot be made: {error}", parent.display())).into();
    fs::create_dir_all(parent).map_err(failed)
}

fn said(context: &Context, name: &str, path: &Path, recipients: &Recipients) -> Result<(), Stop> {
    let (file, count) = (shown(context, path), recipients.count());
    if context.arguments.json {
        print_json(&json!({ "secret": name, "file": file, "recipients": count }));
    } else {
        context.say(&format!("Sealed `{file}` for {}.", counted(count, "recipient")));
    }
    Ok(())
}

fn shown(context: &Context, path: &Path) -> String {
    path.strip_prefix(&context.arguments.directory).unwrap_or(path).display().to_string()
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
