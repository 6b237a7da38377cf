//! What is left of a realm that was lost: processes of servers on a network that nobody can enter any more.
//!
//! Nobody ends them before something is changed in the lab. Until then they are known apart from the processes of the realm
//! that came after, where none of them is seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::note::{END_LIMIT, Note};
use crate::cgroup::{Group, PARENT, processes_below, remove_tree};
use crate::records::absent_is_fine;

/// Where the processes of a realm that was lost are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// The control group that holds theirs, as this machine names it.
    pub group: Option<PathBuf>,
    /// The directory with lists of them, where they have no control groups.
    pub lists: Option<PathBuf>,
}

impl Lost {
    /// Where the processes of a realm are whose holder has ended. The lists are not there yet: [`set_aside`] takes them there.
    pub fn of(note: &Note, data: &Path) -> Lost {
        let is_free = |place: &PathBuf| {
            !place.exists() && note.lost.iter().all(|lost| lost.lists.as_ref().is_none_or(|other| other != place))
        };
        let places = (0_u32..).map(|number| data.join(format!("lab/groups.lost-{number}")));
        let lists = places.into_iter().find(is_free).filter(|_| lists(data).join(PARENT).exists());
        Lost { group: note.group.clone(), lists }
    }

    pub fn from_json(json: &Json) -> Lost {
        let path = |name: &str| json.get(name).and_then(Json::as_str).map(PathBuf::from);
        Lost { group: path("group"), lists: path("lists") }
    }

    pub fn to_json(&self) -> Json {
        json!({ "group": self.group, "lists": self.lists })
    }

    /// How many processes of the lab's objects run there. `group` is where the control group is to be found.
    pub fn count(&self, group: Option<&Path>) -> usize {
        let places = [group, self.lists.as_deref()];
        places.into_iter().flatten().map(|place| processes_below(&place.join(PARENT)).len()).sum()
    }

    /// Ends them.
    pub fn end(&self, group: Option<&Path>) -> io::Result<()> {
        if let Some(group) = group {
            end_group(group)?;
        }
        if let Some(lists) = &self.lists {
            end_listed(lists)?;
            absent_is_fine(fs::remove_dir_all(lists))?;
        }
        Ok(())
    }
}

/// Takes the lists of a realm's processes to where they are known as lost.
pub(super) fn set_aside(lost: &Lost, data: &Path) -> io::Result<()> {
    lost.lists.as_ref().map_or(Ok(()), |place| absent_is_fine(fs::rename(lists(data), place)))
}

/// Where lists of the processes of a realm are, while it is held.
pub(super) fn lists(data: &Path) -> PathBuf {
    data.join("lab/groups")
}

/// Ends all processes in a control group and in those below it, and removes them.
pub(super) fn end_group(group: &Path) -> io::Result<()> {
    let deadline = Instant::now() + END_LIMIT;
    while group.is_dir() {
        let _ = fs::write(group.join("cgroup.kill"), "1");
        match remove_tree(group) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    Ok(())
}

/// Ends the processes of all lists in a directory of such lists.
pub(super) fn end_listed(lists: &Path) -> io::Result<()> {
    for entry in fs::read_dir(lists.join(PARENT)).into_iter().flatten().flatten() {
        let listed = Group::listed(lists, &entry.file_name().to_string_lossy());
        listed.destroy().map_err(|failure| io::Error::other(failure.to_string()))?;
    }
    Ok(())
}

/// What is to be said of processes that were lost; nothing where there are none any more.
pub(super) fn said(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "the lab's realm was lost: {} Until something is changed they run on; `andon up` ends them, and starts the servers \
             again with their files and addresses.",
            what(count)
        )
    })
}

/// What has happened where processes are lost.
pub(super) fn what(count: usize) -> String {
    let processes = if count == 1 { "one process".to_owned() } else { format!("{count} processes") };
    format!(
        "The process that held it has ended, and with it the network of the servers: {processes} of theirs cannot be reached."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(group: Option<PathBuf>, lost: Vec<Lost>) -> Note {
        Note { group, lost, ..Note::default() }
    }

    #[test]
    fn lists_are_set_aside_and_ended_apart() {
        let data = tempfile::tempdir().unwrap();
        let own = lists(data.path());
        // Where nothing is listed, nothing is to be set aside.
        let group = Some(PathBuf::from("/sys/fs/cgroup/x"));
        assert_eq!(Lost::of(&note(group.clone(), Vec::new()), data.path()), Lost { group: group.clone(), lists: None });
        let start = || {
            let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
            let list = Group::listed(&own, "web");
            fs::create_dir_all(&own).unwrap();
            list.create().unwrap();
            list.list(child.id() as i32).unwrap();
            child
        };
        let mut first = start();
        let one = Lost::of(&note(None, Vec::new()), data.path());
        set_aside(&one, data.path()).unwrap();
        assert!(!own.exists());
        // A second one finds a place of its own, also where the first one was noted and not yet set aside.
        let mut second = start();
        let other = Lost::of(&note(None, vec![one.clone()]), data.path());
        assert!(other.lists.is_some() && other.lists != one.lists);
        let noted = Lost { lists: Some(data.path().join("lab/groups.lost-1")), group: None };
        assert_eq!(
            Lost::of(&note(None, vec![one.clone(), noted]), data.path()).lists,
            Some(data.path().join("lab/groups.lost-2"))
        );
        assert_eq!((one.count(None), other.count(None)), (1, 0));
        assert_eq!(Lost::from_json(&one.to_json()), one);
        let waits = std::thread::spawn(move || first.wait().unwrap());
        one.end(None).unwrap();
        assert!(!waits.join().unwrap().success());
        assert!(second.try_wait().unwrap().is_none() && !one.lists.as_ref().unwrap().exists());
        second.kill().unwrap();
        second.wait().unwrap();
        one.end(None).unwrap();
        assert_eq!(one.count(None), 0);
    }

    #[test]
    fn the_lost_are_said_of_while_they_run() {
        assert_eq!(said(0), None);
        assert!(said(1).unwrap().contains("one process of theirs"));
        assert!(said(3).unwrap().contains("3 processes of theirs"));
    }
}
