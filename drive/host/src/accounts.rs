//! Users and groups: read from their files, never through the name service, and changed by the server's own tools.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::host::{Account, Ageing, Command, Group, User, UserWish};

use crate::commands;
use crate::run::must;

/// What `/etc/passwd`, `/etc/group` and `/etc/shadow` say.
pub(crate) struct Accounts {
    users: BTreeMap<Arc<str>, User>,
    groups: BTreeMap<Arc<str>, Group>,
    user_names: BTreeMap<u32, Arc<str>>,
    group_names: BTreeMap<u32, Arc<str>>,
}

impl Accounts {
    /// Reads the files; one that is missing has nobody in it, and one that may not be read says nothing.
    pub fn read() -> Accounts {
        let text = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let [passwd, group, shadow] =
            ["/etc/passwd", "/etc/group", "/etc/shadow"].map(|path| text(path).unwrap_or_default());
        Accounts::parse(&passwd, &group, &shadow)
    }

    /// The formats of passwd(5), group(5) and shadow(5). Of several lines for one name or number the first counts.
    pub fn parse(passwd: &str, group: &str, shadow: &str) -> Accounts {
        let mut accounts = Accounts {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            user_names: BTreeMap::new(),
            group_names: BTreeMap::new(),
        };
        for line in passwd.lines() {
            let mut fields = line.split(':');
            let mut next = || fields.next();
            let (Some(name), _, Some(uid), Some(gid)) = (next(), next(), number(next()), number(next())) else {
                continue;
            };
            let (comment, home, shell) = (next().unwrap_or(""), next().unwrap_or(""), next().unwrap_or(""));
            let name: Arc<str> = name.into();
            let shell = if shell.is_empty() { "/bin/sh" } else { shell };
            let user =
                User { uid, gid, home: home.into(), shell: shell.into(), comment: comment.into(), ..User::default() };
            accounts.user_names.entry(uid).or_insert_with(|| name.clone());
            accounts.users.entry(name).or_insert(user);
        }
        accounts.take_groups(group);
        accounts.take_shadow(shadow);
        accounts
    }

    fn take_groups(&mut self, group: &str) {
        for line in group.lines() {
            let mut fields = line.split(':');
            let mut next = || fields.next();
            let (Some(name), _, Some(gid)) = (next(), next(), number(next())) else {
                continue;
            };
            let name: Arc<str> = name.into();
            let mut members: Vec<Arc<str>> =
                next().unwrap_or("").split(',').filter(|member| !member.is_empty()).map(Arc::from).collect();
            members.sort();
            members.dedup();
            for member in &members {
                if let Some(user) = self.users.get_mut(member) {
                    user.groups.push(name.clone());
                }
            }
            self.group_names.entry(gid).or_insert_with(|| name.clone());
            self.groups.entry(name).or_insert(Group { gid, members });
        }
        for user in self.users.values_mut() {
            user.groups.sort();
        }
    }

    fn take_shadow(&mut self, shadow: &str) {
        let mut seen = BTreeSet::new();
        for line in shadow.lines() {
            let mut fields = line.split(':');
            let Some(name) = fields.next() else { continue };
            let Some(user) = self.users.get_mut(name).filter(|_| seen.insert(name)) else { continue };
            user.password = fields.next().unwrap_or("").into();
            let mut days = fields.map(|field| Some(field.parse().unwrap_or(-1)));
            let (_changed, mut next) = (days.next(), || days.next().unwrap_or(Some(-1)));
            user.ageing = Ageing {
                min_days: next(),
                max_days: next(),
                warn_days: next(),
                inactive_days: next(),
                expires: next(),
            };
        }
    }

    pub fn user(&self, name: &str) -> Option<User> {
        self.users.get(name).cloned()
    }

    pub fn group(&self, name: &str) -> Option<Group> {
        self.groups.get(name).cloned()
    }

    pub fn owner(&self, uid: u32) -> Account {
        Account { id: uid, name: self.user_names.get(&uid).cloned().unwrap_or_else(|| "".into()) }
    }

    pub fn owning_group(&self, gid: u32) -> Account {
        Account { id: gid, name: self.group_names.get(&gid).cloned().unwrap_or_else(|| "".into()) }
    }

    /// The number of a user given by name or number.
    pub fn uid(&self, name: &str) -> Result<u32, String> {
        let by_name = || self.users.get(name).map(|user| user.uid);
        name.parse().ok().or_else(by_name).ok_or_else(|| format!("there is no user `{name}` on this server"))
    }

    /// The number of a group given by name or number.
    pub fn gid(&self, name: &str) -> Result<u32, String> {
        let by_name = || self.groups.get(name).map(|group| group.gid);
        name.parse().ok().or_else(by_name).ok_or_else(|| format!("there is no group `{name}` on this server"))
    }
}

fn number(field: Option<&str>) -> Option<u32> {
    field?.parse().ok()
}

pub(crate) fn add_group(name: &str, gid: Option<u32>, system: bool) -> Result<(), String> {
    let gid = gid.map(|gid| gid.to_string());
    let mut arguments = Vec::new();
    arguments.extend(system.then_some("--system"));
    arguments.extend(gid.iter().flat_map(|gid| ["--gid", gid]));
    arguments.push(name);
    must("groupadd", &arguments)
}

/// Changes the number of a group, and its members: all of them are given.
pub(crate) fn change_group(name: &str, gid: Option<u32>, members: Option<&[Arc<str>]>) -> Result<(), String> {
    if let Some(gid) = gid {
        must("groupmod", &["--gid", &gid.to_string(), name])?;
    }
    members.map_or(Ok(()), |members| must("gpasswd", &["--members", &members.join(","), name]))
}

pub(crate) fn add_user(name: &str, wish: &UserWish, system: bool) -> Result<(), String> {
    let groups = wish.groups.join(",");
    let mut arguments = if system { vec!["--system"] } else { Vec::new() };
    arguments.push(if wish.create_home.unwrap_or(!system) { "--create-home" } else { "--no-create-home" });
    if wish.group.is_none() {
        arguments.push("--user-group");
    }
    if !groups.is_empty() {
        arguments.extend(["--groups", &groups]);
    }
    with_wish("useradd", arguments, name, wish)?;
    set_shadow(name, wish)
}

pub(crate) fn change_user(name: &str, wish: &UserWish) -> Result<(), String> {
    let groups = wish.groups.join(",");
    let mut arguments = Vec::new();
    if wish.exclusive {
        arguments.extend(["--groups", &groups]);
    } else if !groups.is_empty() {
        arguments.extend(["--append", "--groups", &groups]);
    }
    if wish.move_home {
        arguments.push("--move-home");
    }
    with_wish("usermod", arguments, name, wish)?;
    set_shadow(name, wish)
}

/// Runs a tool with what a wish asks for beside the shadow; `usermod` with nothing to change is not run.
fn with_wish<'a>(tool: &str, first: Vec<&'a str>, name: &'a str, wish: &'a UserWish) -> Result<(), String> {
    let uid = wish.uid.map(|uid| uid.to_string());
    let mut arguments: Vec<&str> = first;
    let options = [
        ("--uid", uid.as_deref()),
        ("--gid", wish.group.as_deref()),
        ("--home", wish.home.as_deref()),
        ("--shell", wish.shell.as_deref()),
        ("--comment", wish.comment.as_deref()),
    ];
    for (option, value) in options {
        arguments.extend(value.into_iter().flat_map(|value| [option, value]));
    }
    if arguments.is_empty() && tool == "usermod" {
        return Ok(());
    }
    arguments.push(name);
    must(tool, &arguments)
}

/// Sets what shadow(5) keeps. A hash goes to the tool by its standard input, as everybody sees the words of a process.
fn set_shadow(name: &str, wish: &UserWish) -> Result<(), String> {
    if let Some(password) = &wish.password {
        let line = [name.as_bytes(), b":", &password.0, b"\n"].concat();
        let input = Some(line.into());
        commands::act(&Command { input, secret: true, ..Command::new(["chpasswd", "--encrypted"]) })?;
    }
    let Ageing { min_days, max_days, warn_days, inactive_days, expires } = wish.ageing;
    let options = [
        ("--mindays", min_days),
        ("--maxdays", max_days),
        ("--warndays", warn_days),
        ("--inactive", inactive_days),
        ("--expiredate", expires),
    ];
    let given = options.into_iter().filter_map(|(option, days)| Some((option, days?.to_string())));
    let given: Vec<_> = given.collect();
    if given.is_empty() {
        return Ok(());
    }
    let mut arguments: Vec<&str> = given.iter().flat_map(|(option, days)| [*option, days.as_str()]).collect();
    arguments.push(name);
    must("chage", &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_are() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\nbroken\n+nis\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n",
            "root:x:0:\nsudo:x:27:ghost,deploy\nadm:x:4:deploy\n",
            "root:*:1:0:99999:7:::\ndeploy:!$6$salt$hash:19000:1:90::14:22000:\ndeploy:later:::::::\nghost:x\n",
        );
        assert_eq!(&*accounts.owner(0).name, "root");
        assert_eq!(&*accounts.owner(77).name, "");
        let deploy = accounts.user("deploy").unwrap();
        assert_eq!((deploy.uid, deploy.gid, &*deploy.home), (1000, 1000, "/home/deploy"));
        assert_eq!(deploy.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["adm", "sudo"]);
        assert_eq!(
            (&*deploy.password.0, &*accounts.user("toor").unwrap().password.0),
            (&b"!$6$salt$hash"[..], &b""[..])
        );
        let days = [deploy.ageing.min_days, deploy.ageing.max_days, deploy.ageing.warn_days];
        assert_eq!(days, [Some(1), Some(90), Some(-1)]);
        assert_eq!((deploy.ageing.inactive_days, deploy.ageing.expires), (Some(14), Some(22000)));
        let members = accounts.group("sudo").unwrap().members;
        assert_eq!(members.iter().map(|member| &**member).collect::<Vec<_>>(), ["deploy", "ghost"]);
        assert_eq!(&*accounts.user("toor").unwrap().shell, "/bin/sh");
        assert_eq!(accounts.gid("sudo"), Ok(27));
        assert_eq!(accounts.gid("4242"), Ok(4242));
        assert!(accounts.uid("nobody-here").is_err());
        assert_eq!(&*accounts.owning_group(27).name, "sudo");
    }
}
