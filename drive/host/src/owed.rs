//! The reloads and restarts that a converge has promised and not yet done. They are kept where a reboot forgets them,
//! because a reboot does them.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use andon_schema::host::Notify;

/// Where they are kept: a line each, `reload UNIT` or `restart UNIT`.
const FILE: &str = "/run/andon/owed";

/// Those of this server.
pub(crate) fn read() -> Result<Vec<Notify>, String> {
    read_from(Path::new(FILE)).map_err(|error| format!("{FILE} could not be read: {error}"))
}

/// Adds some.
pub(crate) fn owe(more: &[Notify]) -> Result<(), String> {
    change(Path::new(FILE), |owed| owed.extend(more.iter().cloned()))
}

/// Takes some away.
pub(crate) fn settle(done: &[Notify]) -> Result<(), String> {
    change(Path::new(FILE), |owed| owed.retain(|notify| !done.contains(notify)))
}

fn read_from(file: &Path) -> std::io::Result<Vec<Notify>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let parse = |line: &str| {
        let (verb, service) = line.split_once(' ')?;
        Some(Notify { service: service.into(), restart: verb == "restart" })
    };
    Ok(text.lines().filter_map(parse).collect())
}

fn change(file: &Path, how: impl FnOnce(&mut BTreeSet<Notify>)) -> Result<(), String> {
    let apply = || -> std::io::Result<()> {
        let before: BTreeSet<Notify> = read_from(file)?.into_iter().collect();
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
        let line =
            |notify: &Notify| format!("{} {}\n", if notify.restart { "restart" } else { "reload" }, notify.service);
        let new = file.with_extension("new");
        fs::write(&new, owed.iter().map(line).collect::<String>())?;
        fs::rename(&new, file)
    };
    apply().map_err(|error| format!("what is owed to services could not be remembered in {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/owed");
        let notify = |service: &str, restart| Notify { service: service.into(), restart };
        let (a, b) = (notify("a.service", false), notify("b.service", true));
        assert_eq!(read_from(&file).unwrap(), []);
        change(&file, |owed| owed.extend([b.clone(), a.clone(), a.clone()])).unwrap();
        assert_eq!(read_from(&file).unwrap(), [a.clone(), b.clone()]);
        change(&file, |owed| owed.retain(|known| *known != a)).unwrap();
        assert_eq!(read_from(&file).unwrap(), [b]);
        change(&file, BTreeSet::clear).unwrap();
        assert!(!file.exists());
    }
}
