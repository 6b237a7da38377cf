//! Users and groups: read from their files, never through the name service, and changed by the server's own tools.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::host::{Account, Group, User, UserWish};

use crate::run::must;

/// What `/etc/passwd` and `/etc/group` say.
pub(crate) struct Accounts {
    users: BTreeMap<Arc<str>, User>,
    groups: BTreeMap<Arc<str>, Group>,
    user_names: BTreeMap<u32, Arc<str>>,
    group_names: BTreeMap<u32, Arc<str>>,
}

impl Accounts {
    /// Reads both files; one that is missing has nobody in it.
    pub fn read() -> Accounts {
        let text = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Accounts::parse(&text("/etc/passwd").unwrap_or_default(), &text("/etc/group").unwrap_or_default())
    }

    /// The formats of passwd(5) and group(5). Of several lines for one name or number the first counts.
    pub fn parse(passwd: &str, group: &str) -> Accounts {
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
            let (_, home, shell) = (next(), next().unwrap_or(""), next().unwrap_or(""));
            let name: Arc<str> = name.into();
            let shell = if shell.is_empty() { "/bin/sh" } else { shell };
            let user = User { uid, gid, home: home.into(), shell: shell.into(), groups: Vec::new() };
            accounts.user_names.entry(uid).or_insert_with(|| name.clone());
            accounts.users.entry(name).or_insert(user);
        }
        for line in group.lines() {
            let mut fields = line.split(':');
            let mut next = || fields.next();
            let (Some(name), _, Some(gid)) = (next(), next(), number(next())) else {
                continue;
            };
            let name: Arc<str> = name.into();
            for member in next().unwrap_or("").split(',').filter(|member| !member.is_empty()) {
                if let Some(user) = accounts.users.get_mut(member) {
                    user.groups.push(name.clone());
                }
            }
            accounts.group_names.entry(gid).or_insert_with(|| name.clone());
            accounts.groups.entry(name).or_insert(Group { gid });
        }
        for user in accounts.users.values_mut() {
            user.groups.sort();
        }
        accounts
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

pub(crate) fn add_user(name: &str, wish: &UserWish, system: bool) -> Result<(), String> {
    let groups = wish.groups.join(",");
    let mut arguments = if system { vec!["--system", "--no-create-home"] } else { vec!["--create-home"] };
    if wish.group.is_none() {
        arguments.push("--user-group");
    }
    if !groups.is_empty() {
        arguments.extend(["--groups", &groups]);
    }
    with_wish("useradd", arguments, name, wish)
}

pub(crate) fn change_user(name: &str, wish: &UserWish) -> Result<(), String> {
    let groups = wish.groups.join(",");
    let mut arguments = Vec::new();
    if !groups.is_empty() {
        arguments.extend(["--append", "--groups", &groups]);
    }
    with_wish("usermod", arguments, name, wish)
}

fn with_wish<'a>(tool: &str, first: Vec<&'a str>, name: &'a str, wish: &'a UserWish) -> Result<(), String> {
    let uid = wish.uid.map(|uid| uid.to_string());
    let mut arguments: Vec<&str> = first;
    let options = [("--uid", uid.as_deref()), ("--gid", wish.group.as_deref()), ("--home", wish.home.as_deref())];
    for (option, value) in options.into_iter().chain([("--shell", wish.shell.as_deref())]) {
        arguments.extend(value.into_iter().flat_map(|value| [option, value]));
    }
    arguments.push(name);
    must(tool, &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_are() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\nbroken\n+nis\ndeploy:x:1000:1000::/home/deploy:/bin/sh\n",
            "root:x:0:\nsudo:x:27:deploy,ghost\nadm:x:4:deploy\n",
        );
        assert_eq!(&*accounts.owner(0).name, "root");
        assert_eq!(&*accounts.owner(77).name, "");
        let deploy = accounts.user("deploy").unwrap();
        assert_eq!((deploy.uid, deploy.gid, &*deploy.home), (1000, 1000, "/home/deploy"));
        assert_eq!(deploy.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["adm", "sudo"]);
        assert_eq!(&*accounts.user("toor").unwrap().shell, "/bin/sh");
        assert_eq!(accounts.gid("sudo"), Ok(27));
        assert_eq!(accounts.gid("4242"), Ok(4242));
        assert!(accounts.uid("nobody-here").is_err());
        assert_eq!(&*accounts.owning_group(27).name, "sudo");
    }
}
