//! What a converge has promised and not yet done. Reloads and restarts are kept where a reboot forgets them, because a
//! reboot does them; commands that are to run are kept where it does not.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use andon_schema::host::{Due, Notify};

use crate::places;

/// Where reloads and restarts are kept: a line each, `reload UNIT` or `restart UNIT`.
fn notices() -> String {
    format!("{}/owed", places::passing())
}

/// Where commands are kept: a line each, `run ADDRESS`.
fn runs() -> String {
    format!("{}/owed", places::lasting())
}

/// Those of this server.
pub(crate) fn read() -> Result<Vec<Due>, String> {
    let mut all = Vec::new();
    for file in [notices(), runs()] {
        all.extend(read_from(Path::new(&file)).map_err(|error| format!("{file} could not be read: {error}"))?);
    }
    Ok(all)
}

/// Adds some.
pub(crate) fn owe(more: &[Due]) -> Result<(), String> {
    for file in [notices(), runs()] {
        change(Path::new(&file), |owed| owed.extend(more.iter().filter(|due| file_of(due) == file).cloned()))?;
    }
    Ok(())
}

/// Takes some away.
pub(crate) fn settle(done: &[Due]) -> Result<(), String> {
    for file in done.iter().map(file_of).collect::<BTreeSet<_>>() {
        change(Path::new(&file), |owed| owed.retain(|due| !done.contains(due)))?;
    }
    Ok(())
}

fn file_of(due: &Due) -> String {
    match due {
        Due::Notify(_) => notices(),
        Due::Run(_) => runs(),
    }
}

fn read_from(file: &Path) -> std::io::Result<Vec<Due>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let parse = |line: &str| {
        let (verb, what) = line.split_once(' ')?;
        Some(match verb {
            "run" => Due::Run(what.into()),
            verb => Due::Notify(Notify { service: what.into(), restart: verb == "restart" }),
        })
    };
    Ok(text.lines().filter_map(parse).collect())
}

fn line(due: &Due) -> String {
    match due {
        Due::Notify(notify) => format!("{} {}\n", if notify.restart { "restart" } else { "reload" }, notify.service),
        Due::Run(address) => format!("run {}\n", address.replace('\n', " ")),
    }
}

fn change(file: &Path, how: impl FnOnce(&mut BTreeSet<Due>)) -> Result<(), String> {
    let apply = || -> std::io::Result<()> {
        let before: BTreeSet<Due> = read_from(file)?.into_iter().collect();
        let mut owed = before.clone();
        how(&mut owed);
        if owed == before {
            return Ok(());
        }
        if owed.is_empty() {
            return fs::remove_file(file);
        }
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        let new = file.with_extension("new");
        fs::write(&new, owed.iter().map(line).collect::<String>())?;
        fs::rename(&new, file)
    };
    apply().map_err(|error| format!("what is owed could not be remembered in {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/owed");
        let notify = |service: &str, restart| Due::Notify(Notify { service: service.into(), restart });
        let (a, b) = (notify("a.service", false), notify("b.service", true));
        let run = Due::Run("exec \"make it\"".into());
        assert_eq!(read_from(&file).unwrap(), []);
        change(&file, |owed| owed.extend([run.clone(), b.clone(), a.clone(), a.clone()])).unwrap();
        assert_eq!(read_from(&file).unwrap(), [a.clone(), b.clone(), run.clone()]);
        change(&file, |owed| owed.retain(|known| *known != a)).unwrap();
        assert_eq!(read_from(&file).unwrap(), [b, run]);
        change(&file, BTreeSet::clear).unwrap();
        assert!(!file.exists());
    }
}
