//! Users and groups, as their files tell.

use andon_value::{Type, Value};

use super::machine::Machine;
use super::{map, number, text};

pub(super) fn users(machine: &Machine) -> Option<Value> {
    let passwd = machine.read("/etc/passwd")?;
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let user = Value::object([
            ("uid", number(Some(uid.parse().ok()?))),
            ("gid", number(gid.parse().ok())),
            ("home", text(Some(*home))),
            ("shell", text(Some(*shell))),
        ]);
        Some(((*name).to_owned(), user))
    };
    map("users", passwd.lines().filter_map(user))
}

pub(super) fn groups(machine: &Machine) -> Option<Value> {
    let file = machine.read("/etc/group")?;
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.as_slice() else { return None };
        let members = members.split(',').filter(|member| !member.is_empty()).map(Value::from);
        let group = Value::object([
            ("gid", number(Some(gid.parse().ok()?))),
            ("members", Value::list(Type::String, members.collect::<Vec<_>>())),
        ]);
        Some(((*name).to_owned(), group))
    };
    map("groups", file.lines().filter_map(group))
}
