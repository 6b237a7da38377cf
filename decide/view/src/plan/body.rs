//! What is said of a group under its head: the attributes that differ.

use andon_schema::InstanceAddress;
use andon_value::{Kind, Marks, Path, PathStep, Value};

use super::alike::{Group, Sort, Way, is_large};
use super::names::number;
use crate::difference::{difference, shown};
use crate::{Look, Paint};

/// How far attributes are moved in.
const INDENT: usize = 6;

/// More attributes than this of a new object that nobody knows yet are named in one line.
const LISTED: usize = 6;

/// As many different values of one attribute are shown at most: those that most members have.
const VALUES: usize = 4;

/// A text of more bytes is long.
const LONG: usize = 100;

/// The attributes by which people know an object, whatever its type.
const NAMES: [&str; 12] = [
    "id",
    "name",
    "arn",
    "bucket",
    "identifier",
    "address",
    "function_name",
    "role_name",
    "zone_id",
    "input",
    "key",
    "tags",
];

/// What of a group changes.
pub(super) fn changes(group: &Group<'_>, look: Look) -> String {
    let Some(first) = group.items.first() else { return String::new() };
    let is_new = first.before.is_none();
    let later: Vec<&str> =
        group.shape.iter().filter(|(_, way)| is_new && *way == Way::Unknown).map(|(name, _)| &**name).collect();
    let folded = later.len() > LISTED && !look.full;
    let mut text = String::new();
    for (name, way) in &group.shape {
        if folded && *way == Way::Unknown {
            continue;
        }
        let mark = match first.fixed.iter().any(|path| begins_with(path, name)) {
            true => look.paint.red("  # forces the replacement"),
            false => String::new(),
        };
        text.push_str(&attribute(group, name, &mark, folded, look));
    }
    if folded {
        let line = format!("{:INDENT$}known after the apply: {}", "", later.join(", "));
        text.push_str(&look.paint.dim(&line));
        text.push('\n');
    }
    text
}

fn begins_with(path: &Path, name: &str) -> bool {
    matches!(path.steps().first(), Some(PathStep::Attribute(first)) if **first == *name)
}

/// One attribute, of all that the group has in it: one value, or a few and who has each.
fn attribute(group: &Group<'_>, name: &str, mark: &str, without_empty: bool, look: Look) -> String {
    let values = group.values(name);
    // Of what becomes something that nobody knows, it does not count what all of it is.
    let is_much =
        |was: &Value| is_large(was) || was.as_str().is_some_and(|text| text.len() > LONG && was.marks() == Marks::NONE);
    let becomes_unknown = values.iter().all(|(was, is, _)| is.is_unknown() && is_much(was));
    if becomes_unknown && !look.full {
        let is_text = values.iter().all(|(was, ..)| was.as_str().is_some());
        let old = if is_text { "\"…\"" } else { "{…}" };
        return format!("{:INDENT$}{name} = {old} → (known after apply){mark}\n", "");
    }
    if let [(was, is, members)] = values.as_slice() {
        if without_empty && is_empty(is) {
            return String::new();
        }
        return Group::with_keys(&becoming(name, was, is, mark, look), members);
    }
    let mut text = String::new();
    // One more takes no more room than saying that there is one more.
    let most = if values.len() <= VALUES + 1 { values.len() } else { VALUES };
    for (was, is, members) in values.iter().take(most) {
        let who = format!("{mark}{}", look.paint.dim(&format!("  # {}", Group::which(members))));
        text.push_str(&Group::with_keys(&becoming(name, was, is, &who, look), members));
    }
    if most < values.len() {
        let members: usize = values.iter().skip(most).map(|(_, _, members)| members.len()).sum();
        let (values, members) = (number(values.len() - most), number(members));
        let line = format!("{:INDENT$}{name} = …  # {values} other values in {members} of them; --full shows all", "");
        text.push_str(&look.paint.dim(&line));
        text.push('\n');
    }
    text
}

/// The difference of an attribute. Of what is new, only what is given is told: blocks have a null for each argument left out.
fn becoming(name: &str, was: &Value, is: &Value, mark: &str, look: Look) -> String {
    if !was.is_null() {
        return difference(name, was, is, INDENT, mark, look);
    }
    let given = is.map_deep(&mut |part| match part.kind() {
        Kind::Object(entries) if entries.values().any(Value::is_null) => {
            let given = entries.iter().filter(|(_, value)| !value.is_null());
            Value::object(given.map(|(name, value)| (name.clone(), value.clone()))).mark(part.marks())
        }
        _ => part,
    });
    difference(name, was, &given, INDENT, mark, look)
}

/// What an object is that goes or comes as it is: by what people know it, or all of it.
pub(super) fn identification(group: &Group<'_>, look: Look) -> String {
    let Some(first) = group.items.first() else { return String::new() };
    let object = first.before.or(first.after).and_then(Value::as_entries).cloned().unwrap_or_default();
    let is_shown = |value: &Value| !value.is_null() && !is_empty(value);
    if look.full {
        let shown = object.iter().filter(|(_, value)| is_shown(value));
        return shown
            .map(|(name, value)| format!("{:INDENT$}{name} = {}\n", "", shown_in(value, &group.addresses())))
            .collect();
    }
    let is_told =
        |name: &str, way: Way| way != Way::Secret && object.get(name).is_some_and(is_shown) && NAMES.contains(&name);
    let mut text = String::new();
    for name in NAMES {
        let Some((name, _)) = group.shape.iter().find(|(own, way)| **own == *name && is_told(own, *way)) else {
            continue;
        };
        let values = group.values(name);
        let known = |was: &Value, is: &Value| if was.is_null() { is.clone() } else { was.clone() };
        match values.as_slice() {
            [(was, is, members)] => {
                text.push_str(&format!("{:INDENT$}{name} = {}\n", "", shown_in(&known(was, is), members)));
            }
            values if values.len() <= VALUES => {
                for (was, is, members) in values {
                    let (shown, who) = (shown_in(&known(was, is), members), Group::which(members));
                    let who = look.paint.dim(&format!("  # {who}"));
                    text.push_str(&format!("{:INDENT$}{name} = {shown}{who}\n", ""));
                }
            }
            _ => {}
        }
    }
    text
}

fn shown_in(value: &Value, members: &[&InstanceAddress]) -> String {
    Group::with_keys(&shown(value, INDENT), members)
}

/// Whether a collection has nothing in it.
fn is_empty(value: &Value) -> bool {
    match value.kind() {
        Kind::List(_, elements) => elements.is_empty(),
        Kind::Tuple(elements) => elements.is_empty(),
        Kind::Set(_, elements) => elements.is_empty(),
        Kind::Map(_, entries) => entries.is_empty(),
        _ => false,
    }
}

/// The sign of a sort, painted, and its verb.
pub(super) fn sign(sort: Sort, paint: Paint) -> (String, &'static str) {
    use andon_plan::ReplaceOrder::{CreateFirst, DeleteFirst};
    match sort {
        Sort::NotAsDefined | Sort::Drifted => (paint.yellow("!"), ""),
        Sort::Gone => (paint.red("!"), ""),
        Sort::Import => (paint.cyan("<="), "import "),
        Sort::Read => (paint.cyan("<"), "read "),
        Sort::Forget => (paint.cyan("."), "forget "),
        Sort::Create => (paint.green("+"), "create "),
        Sort::Update => (paint.yellow("~"), "update "),
        Sort::DeleteDeposed => (paint.red("-"), "delete the replaced object of "),
        Sort::Replace(CreateFirst) => (paint.red("+/-"), "replace "),
        Sort::Replace(DeleteFirst) => (paint.red("-/+"), "replace "),
        Sort::Delete => (paint.red("-"), "delete "),
    }
}
