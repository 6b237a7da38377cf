//! Users and groups of a server without the tools of shadow, such as Alpine: its files are edited here, under the lock
//! that all tools take, each replaced whole or not at all. The formats are those of passwd(5), group(5), shadow(5) and
//! gshadow(5).

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use andon_schema::host::{Act, UserWish};

use crate::run::must;

const LOCK: &str = "/etc/.pwd.lock";
/// How long is waited for whoever has the lock.
const WAIT: Duration = Duration::from_secs(15);

/// Whether users are changed here: the tools of shadow are not installed.
pub(crate) fn are_edited() -> bool {
    !["/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd"].iter().any(|path| Path::new(path).exists())
}

/// Does an act on users and groups.
pub(crate) fn act(act: &Act) -> Result<(), String> {
    let _lock = lock()?;
    let mut files = Files::read()?;
    let after = match act {
        Act::AddGroup { name, gid, system } => files.add_group(name, *gid, *system).map(|_| None),
        Act::ChangeGroup { name, gid, members } => files.change_group(name, *gid, members.as_deref()).map(|()| None),
        Act::RemoveGroup(name) => files.remove_group(name).map(|()| None),
        Act::AddUser { name, wish, system } => files.add_user(name, wish, *system),
        Act::ChangeUser { name, wish } => files.change_user(name, wish),
        Act::RemoveUser { name, home } => files.remove_user(name, *home),
        other => Err(format!("{other:?} is not an act on accounts")),
    }?;
    files.write()?;
    after.map_or(Ok(()), Home::take)
}

/// The lock of lckpwdf(3): it is given back when the file is closed.
fn lock() -> Result<fs::File, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the lock of users and groups could not be taken: {error}");
    let mut open = fs::OpenOptions::new();
    let file = open.write(true).create(true).truncate(false).mode(0o600).open(LOCK).map_err(|error| failed(&error))?;
    let deadline = Instant::now() + WAIT;
    loop {
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&whole)) {
            Ok(_) => return Ok(file),
            Err(error) if Instant::now() >= deadline => return Err(failed(&error)),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// What is done with home directories once the files say it.
enum Home {
    Make { path: String, uid: u32, gid: u32 },
    Move { from: String, to: String },
    Give { path: String, uid: u32 },
    Remove(String),
}

impl Home {
    fn take(self) -> Result<(), String> {
        match self {
            Home::Make { path, uid, gid } if !Path::new(&path).exists() => {
                let failed = |error: std::io::Error| format!("the home {path} could not be made: {error}");
                fs::create_dir_all(&path).map_err(failed)?;
                if Path::new("/etc/skel").is_dir() {
                    must("cp", &["-R", "/etc/skel/.", &path])?;
                }
                must("chown", &["-R", &format!("{uid}:{gid}"), &path])
            }
            Home::Make { .. } => Ok(()),
            Home::Move { from, to } if Path::new(&from).is_dir() => must("mv", &[&from, &to]),
            Home::Move { .. } => Ok(()),
            Home::Give { path, uid } if Path::new(&path).is_dir() => must("chown", &["-R", &uid.to_string(), &path]),
            Home::Give { .. } => Ok(()),
            Home::Remove(path) => match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(format!("the home {path} could not be removed: {error}"))
                }
                _ => Ok(()),
            },
        }
    }
}

/// One of the files: a record a line, its fields parted by colons.
struct Table {
    path: &'static str,
    rows: Vec<Vec<String>>,
    old: String,
}

impl Table {
    fn read(path: &'static str) -> Result<Table, String> {
        let old = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{path} could not be read: {error}")),
        };
        Ok(Table { path, rows: Table::parse(&old), old })
    }

    fn parse(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| row.join(":") + "\n").collect()
    }

    fn row(&self, name: &str) -> Option<&Vec<String>> {
        self.rows.iter().find(|row| row.first().is_some_and(|first| first == name))
    }

    /// Sets a field of a record, whose line may be too short.
    fn set(&mut self, name: &str, field: usize, value: &str) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.first().is_some_and(|first| first == name)) {
            row.resize(row.len().max(field + 1), String::new());
            if let Some(place) = row.get_mut(field) {
                value.clone_into(place);
            }
        }
    }

    fn add(&mut self, fields: &[&str]) {
        self.rows.push(fields.iter().map(|field| (*field).to_owned()).collect());
    }

    fn remove(&mut self, name: &str) {
        self.rows.retain(|row| row.first().is_none_or(|first| first != name));
    }

    fn number(row: &[String], field: usize) -> Option<u32> {
        row.get(field)?.parse().ok()
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.rows.iter().filter_map(|row| Table::number(row, 2)).collect()
    }

    /// Replaces the file, whose owner and mode stay.
    fn write(&self) -> Result<(), String> {
        let text = self.text();
        if text == self.old {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("{} could not be written: {error}", self.path);
        let temporary = format!("{}.andon", self.path);
        let kept = fs::metadata(self.path).ok();
        let _ = fs::remove_file(&temporary);
        let mut open = fs::OpenOptions::new();
        let mut file = open.write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        if let Some(kept) = &kept {
            chown(&temporary, Some(kept.uid()), Some(kept.gid())).map_err(failed)?;
        }
        let mode = kept.map_or(0o644, |kept| kept.permissions().mode() & 0o7777);
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, self.path).map_err(failed)
    }
}

struct Files {
    passwd: Table,
    shadow: Table,
    group: Table,
    gshadow: Table,
}

impl Files {
    fn read() -> Result<Files, String> {
        Ok(Files {
            passwd: Table::read("/etc/passwd")?,
            shadow: Table::read("/etc/shadow")?,
            group: Table::read("/etc/group")?,
            gshadow: Table::read("/etc/gshadow")?,
        })
    }

    /// What others refer to comes first.
    fn write(&self) -> Result<(), String> {
        [&self.group, &self.gshadow, &self.shadow, &self.passwd].into_iter().try_for_each(Table::write)
    }

    fn add_group(&mut self, name: &str, gid: Option<u32>, system: bool) -> Result<u32, String> {
        if self.group.row(name).is_some() {
            return Err(format!("there is a group `{name}` already"));
        }
        let taken = self.group.numbers();
        if let Some(gid) = gid.filter(|gid| taken.contains(gid)) {
            return Err(format!("another group has the number {gid}"));
        }
        let gid = gid.or_else(|| free(&taken, system)).ok_or("no number is free for a group")?;
        self.group.add(&[name, "x", &gid.to_string(), ""]);
        if !self.gshadow.old.is_empty() {
            self.gshadow.add(&[name, "!", "", ""]);
        }
        Ok(gid)
    }

    fn change_group(&mut self, name: &str, gid: Option<u32>, members: Option<&[Arc<str>]>) -> Result<(), String> {
        let old = self.group.row(name).ok_or_else(|| format!("there is no group `{name}`"))?;
        let old = Table::number(old, 2);
        if let Some(gid) = gid {
            self.group.set(name, 2, &gid.to_string());
            // Those whose primary group it is keep it.
            for row in self.passwd.rows.iter_mut().filter(|row| old.is_some() && Table::number(row, 3) == old) {
                row.splice(3..4, [gid.to_string()]);
            }
        }
        if let Some(members) = members {
            self.set_members(name, &members.join(","));
        }
        Ok(())
    }

    fn set_members(&mut self, group: &str, members: &str) {
        self.group.set(group, 3, members);
        self.gshadow.set(group, 3, members);
    }

    fn remove_group(&mut self, name: &str) -> Result<(), String> {
        let row = self.group.row(name).ok_or_else(|| format!("there is no group `{name}`"))?;
        let gid = Table::number(row, 2);
        if let Some(user) = self.passwd.rows.iter().find(|row| gid.is_some() && Table::number(row, 3) == gid) {
            let user = user.first().map_or("", String::as_str);
            return Err(format!("`{name}` is the primary group of the user `{user}`"));
        }
        self.group.remove(name);
        self.gshadow.remove(name);
        Ok(())
    }

    fn gid(&self, group: &str) -> Result<u32, String> {
        let known = || Table::number(self.group.row(group)?, 2);
        group.parse().ok().or_else(known).ok_or_else(|| format!("there is no group `{group}`"))
    }

    fn add_user(&mut self, name: &str, wish: &UserWish, system: bool) -> Result<Option<Home>, String> {
        if self.passwd.row(name).is_some() {
            return Err(format!("there is a user `{name}` already"));
        }
        let taken = self.passwd.numbers();
        if let Some(uid) = wish.uid.filter(|uid| taken.contains(uid)) {
            return Err(format!("another user has the number {uid}"));
        }
        let both: BTreeSet<u32> = taken.union(&self.group.numbers()).copied().collect();
        let uid = wish.uid.or_else(|| free(&both, system)).ok_or("no number is free for a user")?;
        let gid = match &wish.group {
            Some(group) => self.gid(group)?,
            None => {
                let own = (!self.group.numbers().contains(&uid)).then_some(uid);
                self.add_group(name, own, system)?
            }
        };
        let home = wish.home.as_deref().map_or_else(|| format!("/home/{name}"), str::to_owned);
        let (shell, comment) = (wish.shell.as_deref().unwrap_or("/bin/sh"), wish.comment.as_deref().unwrap_or(""));
        self.passwd.add(&[name, "x", &uid.to_string(), &gid.to_string(), comment, &home, shell]);
        self.shadow.add(&[name, "!", &today(), "0", "99999", "7", "", "", ""]);
        self.set_groups(name, &wish.groups, false)?;
        self.set_shadow(name, wish);
        let with_home = wish.create_home.unwrap_or(!system);
        Ok(with_home.then_some(Home::Make { path: home, uid, gid }))
    }

    fn change_user(&mut self, name: &str, wish: &UserWish) -> Result<Option<Home>, String> {
        let row = self.passwd.row(name).ok_or_else(|| format!("there is no user `{name}`"))?;
        let old_home = row.get(5).cloned().unwrap_or_default();
        if let Some(group) = &wish.group {
            let gid = self.gid(group)?;
            self.passwd.set(name, 3, &gid.to_string());
        }
        let uid = wish.uid.map(|uid| uid.to_string());
        let fields =
            [(2, uid.as_deref()), (4, wish.comment.as_deref()), (5, wish.home.as_deref()), (6, wish.shell.as_deref())];
        for (field, value) in fields {
            if let Some(value) = value {
                self.passwd.set(name, field, value);
            }
        }
        self.set_groups(name, &wish.groups, wish.exclusive)?;
        self.set_shadow(name, wish);
        Ok(match (&wish.home, wish.uid) {
            (Some(home), _) if wish.move_home => Some(Home::Move { from: old_home, to: home.to_string() }),
            (_, Some(uid)) => Some(Home::Give { path: old_home, uid }),
            _ => None,
        })
    }

    fn set_groups(&mut self, user: &str, groups: &[Arc<str>], exclusive: bool) -> Result<(), String> {
        if let Some(missing) = groups.iter().find(|group| self.group.row(group).is_none()) {
            return Err(format!("there is no group `{missing}`"));
        }
        let mut changed = Vec::new();
        for row in &self.group.rows {
            let (Some(name), Some(members)) = (row.first(), row.get(3)) else { continue };
            let mut members: Vec<&str> = members.split(',').filter(|member| !member.is_empty()).collect();
            let wanted = groups.iter().any(|group| **group == **name);
            match (members.contains(&user), wanted) {
                (false, true) => members.push(user),
                (true, false) if exclusive => members.retain(|member| *member != user),
                _ => continue,
            }
            changed.push((name.clone(), members.join(",")));
        }
        changed.iter().for_each(|(group, members)| self.set_members(group, members));
        Ok(())
    }

    fn set_shadow(&mut self, name: &str, wish: &UserWish) {
        if let Some(password) = &wish.password {
            self.shadow.set(name, 1, &String::from_utf8_lossy(&password.0));
            self.shadow.set(name, 2, &today());
        }
        let ageing = &wish.ageing;
        let days = [
            (3, ageing.min_days),
            (4, ageing.max_days),
            (5, ageing.warn_days),
            (6, ageing.inactive_days),
            (7, ageing.expires),
        ];
        for (field, days) in days {
            // A negative number stands for none.
            if let Some(days) = days {
                self.shadow.set(name, field, &if days < 0 { String::new() } else { days.to_string() });
            }
        }
    }

    fn remove_user(&mut self, name: &str, home: bool) -> Result<Option<Home>, String> {
        let row = self.passwd.row(name).ok_or_else(|| format!("there is no user `{name}`"))?;
        let (gid, path) = (Table::number(row, 3), row.get(5).cloned().unwrap_or_default());
        self.set_groups(name, &[], true)?;
        self.passwd.remove(name);
        self.shadow.remove(name);
        // A group of its own goes with it, unless it is somebody else's, too.
        let own = self.group.row(name).filter(|row| Table::number(row, 2) == gid);
        if own.is_some_and(|row| row.get(3).is_none_or(String::is_empty)) {
            let _ = self.remove_group(name);
        }
        Ok((home && path.len() > 1).then_some(Home::Remove(path)))
    }
}

/// The first number that is free, of those for the system or for people.
fn free(taken: &BTreeSet<u32>, system: bool) -> Option<u32> {
    let mut range = if system { 100..1000 } else { 1000..60_000 };
    range.find(|number| !taken.contains(number))
}

/// The day, as shadow(5) counts; in an image the one that everything in it is of, as the tools of shadow take it, too.
fn today() -> String {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    (told.unwrap_or_else(now) / 86_400).to_string()
}
