//! Packages of Arch: what is installed is read from pacman's own directory.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use andon_schema::host::Install;

use super::{Installed, Tool};
use crate::processes;

pub(super) const DATABASE: &str = "/var/lib/pacman/local";

const LOCK: &str = "/var/lib/pacman/db.lck";

/// What pacman says where its index is too old, or not there.
pub(super) const STALE: &[&str] = &["target not found", "failed retrieving file", "database file for"];

pub(super) fn read() -> Result<Installed, String> {
    let entries =
        fs::read_dir(DATABASE).map_err(|error| format!("what pacman has installed could not be read: {error}"))?;
    let mut installed = Installed::default();
    for entry in entries.flatten() {
        if let Ok(text) = fs::read_to_string(entry.path().join("desc")) {
            parse(&text, &mut installed);
        }
    }
    installed.broken = is_left(LOCK);
    Ok(installed)
}

/// Whether a pacman that is gone left its lock: it is a file, which nothing takes away when its process is killed.
fn is_left(lock: &str) -> bool {
    fs::exists(lock).unwrap_or(false) && processes::count("pacman", None) == 0
}

/// Takes away the lock of a pacman that was killed.
pub(super) fn repair() -> Result<(), String> {
    if !is_left(LOCK) {
        return Ok(());
    }
    fs::remove_file(LOCK).map_err(|error| format!("{LOCK} was left by a pacman that is gone, and stays: {error}"))
}

/// One `desc` file: a field's name between `%`, its values a line each, an empty line.
fn parse(text: &str, installed: &mut Installed) {
    let (mut name, mut version, mut architecture) = ("", "", "");
    let mut field = "";
    for line in text.lines() {
        match field {
            _ if line.starts_with('%') && line.ends_with('%') => field = line.trim_matches('%'),
            _ if line.is_empty() => field = "",
            "NAME" => name = line,
            "VERSION" => version = line,
            "ARCH" => architecture = line,
            "PROVIDES" => drop(installed.provided.insert(line.split(['=', '<', '>']).next().unwrap_or(line).into())),
            _ => {}
        }
    }
    if !name.is_empty() {
        installed.add(name, architecture, version);
    }
}

/// What `pacman -Si` says, a field a line; the repositories come in the order of their choice.
pub(super) fn parse_info(text: &str) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut all: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    let mut name: Arc<str> = "".into();
    for line in text.lines() {
        match line.split_once(" : ").map(|(field, value)| (field.trim(), value.trim())) {
            Some(("Name", value)) => name = value.into(),
            Some(("Version", value)) => all.entry(name.clone()).or_default().push(value.into()),
            _ => {}
        }
    }
    all
}

pub(super) fn install(tool: &mut Tool, install: &Install) -> Result<(), String> {
    let (files, names): (Vec<Arc<str>>, Vec<Arc<str>>) =
        install.packages.iter().cloned().partition(|package| package.starts_with('/'));
    let options: Vec<&str> = install.options.iter().map(|option| &**option).collect();
    for (word, packages) in [("-S", names), ("-U", files)] {
        if !packages.is_empty() {
            tool.must("pacman", &[&["--noconfirm", "--needed", word], &*options].concat(), &packages)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use andon_schema::host::Package;

    use super::*;

    #[test]
    fn what_is_installed_and_can_be_had() {
        let mut installed = Installed::default();
        parse(
            "%NAME%\nbash\n\n%VERSION%\n5.2.037-1\n\n%BASE%\nbash\n\n%DESC%\nThe GNU Bourne Again shell\n\n%ARCH%\n\
             x86_64\n\n%PROVIDES%\nsh\nlibreadline.so=8-64\n\n",
            &mut installed,
        );
        assert_eq!(installed.find("bash"), Package::Installed { version: "5.2.037-1".into(), held: false });
        assert_eq!(installed.find("sh"), Package::Provided);
        assert_eq!(installed.find("libreadline.so"), Package::Provided);
        assert_eq!(installed.find("zsh"), Package::Missing);
        let found = parse_info(
            "Repository      : core\nName            : bash\nVersion         : 5.2.037-1\nDescription     : The shell\n\n\
             Repository      : testing\nName            : bash\nVersion         : 5.3-1\n",
        );
        assert_eq!(&*found["bash"][0], "5.2.037-1");
    }
}
