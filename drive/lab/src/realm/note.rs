//! What is written down of a realm: who holds it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::cgroup::Group;

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
        })
    }

    pub fn write(&self, data: &Path) -> io::Result<()> {
        let json = json!({
            "process": self.process,
            "started": self.started,
            "group": self.group,
            "alone": self.alone,
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
        let listed = data.join("lab/groups/andon");
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
        };
        note.write(data.path()).unwrap();
        assert_eq!(Note::read(data.path()), Some(note.clone()));
        assert!(note.is_held());
        assert!(!Note { started: note.started + 1, ..note }.is_held());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id() as i32;
        child.wait().unwrap();
        assert_eq!(started(number), None);
    }
}
