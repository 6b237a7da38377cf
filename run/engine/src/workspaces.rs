//! Environments that no `andon.hcl` defines, as Terraform's `workspace` makes them, and which environment is in use.
//!
//! Both are remembered in a file of the project's records: they are of this copy of the project, as in Terraform.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_schema::Failure;
use serde_json::{Value, json};

use crate::provider::lab_place::name_of;
use crate::session::records;

/// The variable that names the environment in use, whatever is remembered.
pub const WORKSPACE_VARIABLE: &str = "TF_WORKSPACE";

/// The file, in the directory of the project's records.
const FILE: &str = "workspaces.json";

/// What is remembered of a project's environments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workspaces {
    /// The environment in use; `None` where none was selected.
    pub selected: Option<Arc<str>>,
    /// Environments that were made.
    pub made: BTreeSet<Arc<str>>,
}

impl Workspaces {
    /// What is remembered in a project's directory.
    pub fn read(directory: &Path) -> Result<Workspaces, Failure> {
        let path = file(directory);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Workspaces::default()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(forbidden(directory, &path)),
            Err(error) => return Err(unreadable(&path, &error.to_string())),
        };
        Workspaces::parse(&text).map_err(|why| unreadable(&path, &why))
    }

    fn parse(text: &str) -> Result<Workspaces, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("version").and_then(Value::as_u64) != Some(1) {
            return Err("It is not of version 1, which is the one that is known here.".to_owned());
        }
        let names = value.get("made").and_then(Value::as_array);
        let made = names.into_iter().flatten().filter_map(Value::as_str).filter(|name| is_name(name));
        let selected = value.get("selected").and_then(Value::as_str).map(Arc::from);
        Ok(Workspaces { selected, made: made.map(Arc::from).collect() })
    }

    /// Remembers this. The file appears whole or not at all.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        let path = file(directory);
        let failed =
            |error: std::io::Error| Failure::new(format!("`{}` cannot be written", path.display()), error.to_string());
        let value = json!({
            "version": 1,
            "selected": self.selected.as_deref(),
            "made": self.made.iter().map(|name| &**name).collect::<Vec<_>>(),
        });
        std::fs::create_dir_all(records(directory)).map_err(failed)?;
        let new = records(directory).join(format!("{FILE}.{:016x}", crate::random()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&new).map_err(failed)?;
        let written = file.write_all(format!("{value:#}\n").as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| std::fs::rename(&new, &path)).map_err(|error| {
            let _ = std::fs::remove_file(&new);
            failed(error)
        })
    }
}

/// The environment that the process's environment names, whatever is remembered.
pub fn named_by_variable() -> Option<Arc<str>> {
    let name = std::env::var(WORKSPACE_VARIABLE).ok()?;
    (!name.is_empty()).then(|| name.into())
}

/// Whether an environment can be called so: what stands in an address of the web as it is, and is no path.
pub fn is_name(name: &str) -> bool {
    let fine = |letter: char| letter.is_ascii_alphanumeric() || "-_.~$&+=:@".contains(letter);
    !name.is_empty() && name != "." && name != ".." && name.chars().all(fine)
}

fn file(directory: &Path) -> PathBuf {
    records(directory).join(FILE)
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(format!("`{}` cannot be read", path.display()), why)
        .help("It only says which environments were made with `andon workspace new`, and which is in use: put it right, or delete it.")
}

/// What is said to somebody who may not look into a project's records.
fn forbidden(directory: &Path, path: &Path) -> Failure {
    let records = records(directory);
    // In the realm of a user without root, whatever is not the user's looks like nobody's.
    let owner = match andon_lab::seen_outside(&records) {
        Some(seen) => seen.ok().map(|seen| seen.user),
        None => std::fs::metadata(&records).ok().map(|found| found.uid()),
    };
    let owner = owner.map(name_of);
    let owner = owner.unwrap_or_else(|| "somebody else".to_owned());
    let detail = format!("The project's records belong to `{owner}`, who lets nobody else read them.");
    Failure::new(format!("`{}` cannot be read", path.display()), detail)
        .help(format!("Run this as `{owner}`, or in a copy of the project of your own."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_need_no_escape() {
        for (name, expected) in [
            ("dev", true),
            ("team.a-b_c~1", true),
            ("a@b:c", true),
            ("", false),
            (".", false),
            ("..", false),
            ("../bad", false),
            ("a b", false),
            ("käse", false),
            ("50%", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }

    #[test]
    fn only_its_own_version_is_read() {
        let sound = r#"{"version": 1, "selected": "x", "made": ["x", "../no"]}"#;
        let read = Workspaces::parse(sound).unwrap();
        assert_eq!((read.selected.as_deref(), read.made.len()), (Some("x"), 1));
        for text in ["", "{}", "[]", r#"{"version": 2}"#] {
            assert!(Workspaces::parse(text).is_err(), "{text}");
        }
    }
}
