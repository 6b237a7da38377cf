//! What is written down of a realm: who holds it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::cgroup::{Group, PARENT, processes_below};

/// How long the kernel may take to end processes.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Who holds a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub process: i32,
    /// When that process was started, as `/proc` has it: numbers of processes are used again.
    pub started: u64,
    /// The control group that holds those of the realm, as this machine names it.
    pub group: Option<PathBuf>,
    /// Why servers cannot reach anything outside; `None` where they can.
    pub alone: Option<String>,
    /// Which user, mount and network namespaces these are, as `/proc` names them; empty until they are made.
    pub namespaces: Vec<String>,
}

/// The namespaces that are the same for whoever is in a realm.
const NAMED: [&str; 3] = ["user", "mnt", "net"];

/// The names of a process's namespaces.
pub(super) fn namespaces(process: &str) -> Option<Vec<String>> {
    let name =
        |kind: &&str| fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?.into_os_string().into_string().ok();
    NAMED.iter().map(name).collect()
}

impl Note {
    pub fn path(data: &Path) -> PathBuf {
        data.join("lab/realm")
    }

    pub fn read(data: &Path) -> Option<Note> {
        let json: Json = serde_json::from_slice(&fs::read(Note::path(data)).ok()?).ok()?;
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Note {
            process: i32::try_from(json.get("process")?.as_i64()?).ok()?,
            started: json.get("started")?.as_u64()?,
            group: text("group").map(PathBuf::from),
            alone: text("alone"),
            namespaces: json
                .get("namespaces")
                .and_then(Json::as_array)
                .map(|names| names.iter().filter_map(Json::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }

    pub fn write(&self, data: &Path) -> io::Result<()> {
        let json = json!({
            "process": self.process,
            "started": self.started,
            "group": self.group,
            "alone": self.alone,
            "namespaces": self.namespaces,
        });
        let path = Note::path(data);
        let new = path.with_extension("new");
        fs::write(&new, json.to_string())?;
        fs::rename(new, path)
    }

    pub fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.process).into()
    }

    /// Whether its holder lives.
    pub fn is_held(&self) -> bool {
        started(self.process) == Some(self.started)
    }

    /// Ends its holder.
    pub fn end(&self) {
        let deadline = Instant::now() + END_LIMIT;
        while self.is_held() && Instant::now() < deadline {
            // SAFETY: touches no memory.
            unsafe { libc::kill(self.process, libc::SIGKILL) };
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A process that is in all of the realm's namespaces, such as one that answers for names: by it they can be entered
    /// where their holder has ended.
    pub fn someone_inside(&self) -> Option<i32> {
        let numbers = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut inside = numbers
            .filter(|number| namespaces(number).is_some_and(|names| !names.is_empty() && names == self.namespaces));
        inside.find_map(|number| number.parse().ok())
    }

    /// How many processes of the lab's objects run.
    pub fn left(&self, data: &Path) -> usize {
        let group = self.group.as_ref().map(|group| group.join(PARENT));
        let places = [group, Some(data.join("lab/groups").join(PARENT))];
        places.into_iter().flatten().map(|place| processes_below(&place).len()).sum()
    }

    /// Ends what is left of a realm that nobody holds any more: it is on a network that nobody can enter. Servers
    /// are then started again as after a reboot.
    pub fn clear(&self, data: &Path) -> io::Result<()> {
        if let Some(group) = &self.group {
            let deadline = Instant::now() + END_LIMIT;
            while group.is_dir() && Instant::now() < deadline {
                let _ = fs::write(group.join("cgroup.kill"), "1");
                if crate::cgroup::remove_tree(group).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let listed = data.join("lab/groups").join(PARENT);
        for entry in fs::read_dir(&listed).into_iter().flatten().flatten() {
            Group::listed(&data.join("lab/groups"), &entry.file_name().to_string_lossy())
                .destroy()
                .map_err(|failure| io::Error::other(failure.to_string()))?;
        }
        Ok(())
    }
}

/// When a process was started, in ticks since this machine was (`/proc/PID/stat`, proc_pid_stat(5)). `None` where it has
/// ended.
pub(crate) fn started(process: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program is in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_process() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("lab")).unwrap();
        assert_eq!(Note::read(data.path()), None);
        let process = std::process::id() as i32;
        let note = Note {
            process,
            started: started(process).unwrap(),
            group: Some("/sys/fs/cgroup/x".into()),
            alone: Some("no device".into()),
            namespaces: namespaces("self").unwrap(),
        };
        note.write(data.path()).unwrap();
        assert_eq!(Note::read(data.path()), Some(note.clone()));
        assert!(note.is_held());
        assert!(!Note { started: note.started + 1, ..note.clone() }.is_held());
        // Who is in the same namespaces is found; nobody is where they were never made.
        assert!(note.someone_inside().is_some());
        assert_eq!(Note { namespaces: Vec::new(), ..note }.someone_inside(), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id() as i32;
        child.wait().unwrap();
        assert_eq!(started(number), None);
    }
}
