use std::sync::Arc;

use andon_schema::Attribute;
use andon_schema::host::{Account, Act, Entry, Look};
use andon_value::Type;

use crate::args::{Args, check_account, check_mode, optional, parse_mode};
use crate::formats;
use crate::world::World;

/// The mode, owner and group asked of something at a path; `None` asks nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub mode: Option<u32>,
    pub owner: Option<Arc<str>>,
    pub group: Option<Arc<str>>,
}

impl Meta {
    pub fn new(mode: Option<u32>, owner: &Option<Arc<str>>, group: &Option<Arc<str>>) -> Meta {
        Meta { mode, owner: owner.clone(), group: group.clone() }
    }

    pub fn of(args: &Args) -> Meta {
        Meta {
            mode: args.text("mode").and_then(|text| parse_mode(&text)),
            owner: args.text("owner"),
            group: args.text("group"),
        }
    }

    pub fn schema(default_mode: &str) -> [(&'static str, Attribute); 3] {
        let mode = format!(
            "The permission bits, in octal such as `\"{default_mode}\"`, which is that of a new one, or as \
             `\"u=rw,g=r,o=\"`."
        );
        [
            ("mode", optional(Type::String, &mode).format(formats::MODE)),
            (
                "owner",
                optional(Type::String, "The user that owns it, by name or number; a new one is root's.")
                    .format(formats::OWNER),
            ),
            (
                "group",
                optional(Type::String, "Its group, by name or number; that of a new one is root.")
                    .format(formats::OWNER),
            ),
        ]
    }

    pub fn check(args: &Args) -> Vec<String> {
        let mut wrong: Vec<String> = args.text("mode").and_then(|text| check_mode(&text)).into_iter().collect();
        for attribute in ["owner", "group"] {
            if let Some(name) = args.text(attribute)
                && name.parse::<u32>().is_err()
            {
                wrong.extend(check_account(&name));
            }
        }
        wrong
    }

    pub fn looks(&self) -> Vec<Look> {
        let by_name = |name: &Option<Arc<str>>| name.clone().filter(|name| name.parse::<u32>().is_err());
        let user = by_name(&self.owner).map(Look::User);
        user.into_iter().chain(by_name(&self.group).map(Look::Group)).collect()
    }

    /// Whether the users and groups are there to be given something.
    pub fn check_known(&self, world: &World) -> Result<(), String> {
        for look in self.looks() {
            let (what, name, known) = match &look {
                Look::User(name) => ("user", name, world.user(name)?.is_some()),
                Look::Group(name) => ("group", name, world.group(name)?.is_some()),
                _ => continue,
            };
            if !known && !world.loose {
                return Err(format!("there is no {what} `{name}` on this server; define it before this resource"));
            }
        }
        Ok(())
    }

    /// A line for each that something new is given. That it is root's goes without saying.
    pub fn of_new(&self, args: &Args) -> Vec<String> {
        let mode = self.mode.map(|mode| args.difference("mode", "", &format!("{mode:04o}")));
        let account = |attribute: &str, name: &Option<Arc<str>>| {
            let name = name.as_ref().filter(|name| !matches!(&***name, "root" | "0"))?;
            Some(args.difference(attribute, "", name))
        };
        let accounts = [account("owner", &self.owner), account("group", &self.group)];
        mode.into_iter().chain(accounts.into_iter().flatten()).collect()
    }

    /// A line for each that differs, and the act that puts them right.
    pub fn decide(&self, args: &Args, path: &Arc<str>, entry: &Entry) -> (Vec<String>, Option<Act>) {
        let mode = self.mode.filter(|mode| *mode != entry.mode);
        let owner = self.owner.clone().filter(|name| !is_account(&entry.owner, name));
        let group = self.group.clone().filter(|name| !is_account(&entry.group, name));
        let mut differences = Vec::new();
        if let Some(mode) = mode {
            differences.push(args.difference("mode", &format!("{:04o}", entry.mode), &format!("{mode:04o}")));
        }
        if let Some(name) = &owner {
            differences.push(args.difference("owner", &shown(&entry.owner), name));
        }
        if let Some(name) = &group {
            differences.push(args.difference("group", &shown(&entry.group), name));
        }
        let act = (!differences.is_empty()).then(|| Act::SetMeta { path: path.clone(), mode, owner, group });
        (differences, act)
    }
}

/// Whether an account is the one that a definition names by name or number.
pub(crate) fn is_account(account: &Account, wanted: &str) -> bool {
    *account.name == *wanted || wanted.parse() == Ok(account.id)
}

fn shown(account: &Account) -> String {
    if account.name.is_empty() { account.id.to_string() } else { account.name.to_string() }
}
