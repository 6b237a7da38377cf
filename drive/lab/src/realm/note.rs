//! What is written down of a realm: who holds it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::lost::{self, Lost};

/// How long the kernel may take to end processes.
pub(super) const END_LIMIT: Duration = Duration::from_secs(10);

/// Who holds a realm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// What no other realm has, the source of a mount of whoever is in this one: names of namespaces are used again.
    pub mark: String,
    /// Which run of this machine it is of: numbers and times of processes are used again, too.
    pub boot: String,
    /// The process that is the way outside, and when it was started; `None` where there is none.
    pub outside: Option<(i32, u64)>,
    /// What is left of realms that were lost before.
    pub lost: Vec<Lost>,
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
        let number = |json: &Json| i32::try_from(json.as_i64()?).ok();
        let outside = |json: &Json| Some((number(json.get("process")?)?, json.get("started")?.as_u64()?));
        let lost = json.get("lost").and_then(Json::as_array);
        Some(Note {
            process: number(json.get("process")?)?,
            started: json.get("started")?.as_u64()?,
            mark: text("mark").unwrap_or_default(),
            boot: text("boot").unwrap_or_else(boot),
            outside: json.get("outside").and_then(outside),
            lost: lost.map(|lost| lost.iter().map(Lost::from_json).collect()).unwrap_or_default(),
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
            "mark": self.mark,
            "boot": self.boot,
            "outside": self.outside.map(|(process, started)| json!({ "process": process, "started": started })),
            "lost": self.lost.iter().map(Lost::to_json).collect::<Vec<_>>(),
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
        self.is_of_this_boot() && started(self.process) == Some(self.started)
    }

    /// Whether processes that it knows may be those that it means.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// Whether the way outside that there was has ended.
    pub fn lacks_its_way_outside(&self) -> bool {
        self.outside.is_some_and(|(process, since)| started(process) != Some(since))
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

    /// A process that is in all of the realm's namespaces, such as one that answers for names: by it they
    /// can be entered where their holder has ended.
    pub fn someone_inside(&self) -> Option<i32> {
        if self.mark.is_empty() || !self.is_of_this_boot() {
            return None;
        }
        let numbers = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut inside = numbers.filter(|number| {
            namespaces(number).is_some_and(|names| !names.is_empty() && names == self.namespaces)
                && has_mark(number, &self.mark)
        });
        inside.find_map(|number| number.parse().ok())
    }

    /// How many processes of the lab's objects run.
    pub fn left(&self, data: &Path) -> usize {
        if !self.is_of_this_boot() {
            return 0;
        }
        let own = Lost { group: self.group.clone(), lists: Some(lost::lists(data)) };
        std::iter::once(&own).chain(&self.lost).map(|lost| lost.count(lost.group.as_deref())).sum()
    }

    /// Gives up a realm that nobody holds any more, whose processes run on. Gives all that is lost now.
    pub fn give_up(&self, data: &Path) -> io::Result<Vec<Lost>> {
        if !self.is_of_this_boot() {
            // What lists name is other processes by now, and control groups went with the kernel.
            let lists = self.lost.iter().filter_map(|lost| lost.lists.clone()).chain([lost::lists(data)]);
            lists.into_iter().try_for_each(|lists| crate::records::absent_is_fine(fs::remove_dir_all(lists)))?;
            return Ok(Vec::new());
        }
        let own = Lost { group: self.group.clone(), lists: Some(lost::lists(data)) };
        let runs = |lost: &Lost| lost.count(lost.group.as_deref()) > 0;
        let mut all = self.lost.clone();
        if runs(&own) {
            let lost = Lost::of(self, data);
            all.push(lost.clone());
            // Known before they are elsewhere.
            Note { lost: all.clone(), ..self.clone() }.write(data)?;
            lost::set_aside(&lost, data)?;
        } else {
            self.clear(data)?;
        }
        let (running, ended): (Vec<Lost>, Vec<Lost>) = all.into_iter().partition(runs);
        ended.iter().try_for_each(|lost| lost.end(lost.group.as_deref()))?;
        Ok(running)
    }

    /// Ends what is left of a realm that nobody holds any more.
    pub fn clear(&self, data: &Path) -> io::Result<()> {
        self.group.as_ref().map_or(Ok(()), |group| lost::end_group(group))?;
        lost::end_listed(&lost::lists(data))
    }

    /// Forgets a realm that is no more, and keeps what was lost before it.
    pub fn forget(&self, data: &Path) {
        // Nothing is to be done where it fails: a note that nobody holds is as good.
        let _ = match self.lost.is_empty() {
            true => fs::remove_file(Note::path(data)),
            false => Note { lost: self.lost.clone(), boot: boot(), ..Note::default() }.write(data),
        };
    }
}

/// Which run of this machine this is (random(4)).
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim_end().to_owned()
}

/// A mark that no other realm has.
pub(super) fn new_mark() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("andon-realm-{:032x}", u128::from_be_bytes(bytes)))
}

/// Whether a process sees the mount that bears a mark (proc_pid_mountinfo(5)).
fn has_mark(process: &str, mark: &str) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    let source = |line: &str| line.split_once(" - ")?.1.split(' ').nth(1).map(str::to_owned);
    mounts.lines().any(|line| source(line).as_deref() == Some(mark))
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
        let since = started(process).unwrap();
        let note = Note {
            process,
            started: since,
            group: Some("/sys/fs/cgroup/x".into()),
            alone: Some("no device".into()),
            namespaces: namespaces("self").unwrap(),
            mark: new_mark().unwrap(),
            boot: boot(),
            outside: Some((process, since)),
            lost: vec![Lost { group: None, lists: Some("/data/lab/groups.lost-0".into()) }],
        };
        note.write(data.path()).unwrap();
        assert_eq!(Note::read(data.path()), Some(note.clone()));
        assert!(note.is_held() && !note.lacks_its_way_outside());
        assert!(!Note { started: since + 1, ..note.clone() }.is_held());
        assert!(!Note { boot: "another".into(), ..note.clone() }.is_held());
        assert!(Note { outside: Some((process, since + 1)), ..note.clone() }.lacks_its_way_outside());
        assert!(!Note { outside: None, ..note.clone() }.lacks_its_way_outside());
        // What was lost before is still known when this one is forgotten, and nothing else.
        note.forget(data.path());
        let kept = Note::read(data.path()).unwrap();
        assert_eq!((kept.process, &kept.lost, kept.is_held()), (0, &note.lost, false));
        Note { lost: Vec::new(), ..note }.forget(data.path());
        assert_eq!(Note::read(data.path()), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id() as i32;
        child.wait().unwrap();
        assert_eq!(started(number), None);
    }

    #[test]
    fn who_only_has_namespaces_of_the_same_names_is_not_inside() {
        // Some process of this machine that is in the namespaces of this one: the mark is what tells a realm from another
        // one that came to have its names.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let source = mounts.lines().find_map(|line| line.split_once(" - ")?.1.split(' ').nth(1)).unwrap();
        let note = Note { namespaces: namespaces("self").unwrap(), boot: boot(), ..Note::default() };
        let inside = |mark: &str, note: Note| Note { mark: mark.to_owned(), ..note }.someone_inside();
        assert!(inside(source, note.clone()).is_some());
        for mark in ["", "andon-realm-0", &source[..source.len() - 1]] {
            assert_eq!(inside(mark, note.clone()), None, "{mark}");
        }
        assert_eq!(inside(source, Note { namespaces: Vec::new(), ..note.clone() }), None);
        assert_eq!(inside(source, Note { boot: "another".into(), ..note }), None);
    }

    #[test]
    fn of_another_run_of_the_machine_nothing_is_left() {
        let data = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let list = crate::cgroup::Group::listed(&lost::lists(data.path()), "web");
        fs::create_dir_all(lost::lists(data.path())).unwrap();
        list.create().unwrap();
        list.list(child.id() as i32).unwrap();
        let note = Note { boot: boot(), ..Note::default() };
        assert_eq!(note.left(data.path()), 1);
        let old = Note { boot: "another".into(), ..note };
        assert_eq!((old.left(data.path()), old.give_up(data.path()).unwrap()), (0, Vec::new()));
        assert!(child.try_wait().unwrap().is_none() && !lost::lists(data.path()).exists());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
