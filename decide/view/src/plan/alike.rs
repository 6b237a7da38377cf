//! What is alike is said once: instances of one resource, in all instances of the modules around it, to which the same
//! happens for the same reasons, in the same attributes. What differs between them is their keys, and values.
//!
//! A value in which only the instance's own key differs (`web-0`, `web-1`) counts as the same: the key is replaced by a
//! letter that stands for it. As that can be undone, nothing is lost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use andon_plan::ReplaceOrder;
use andon_schema::{HostReport, InstanceAddress, InstanceKey};
use andon_value::{Kind, Marks, Path, Value};

use super::names::{self, Room, brackets, family, key_sets};
use crate::{Look, report};

/// What is said of an instance, from what asks for no care to what asks for most: the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// Its server differs from its role.
    NotAsDefined,
    /// It was changed by others.
    Drifted,
    /// It was removed by others.
    Gone,
    /// It becomes ours.
    Import,
    /// It is read by the apply.
    Read,
    /// It is ours no more.
    Forget,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// What was replaced before is deleted.
    DeleteDeposed,
    /// It is replaced.
    Replace(ReplaceOrder),
    /// It is deleted.
    Delete,
}

/// A reason, or what follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It holds for every instance in these words.
    Plain(String),
    /// It names the keys of its instance.
    Keyed(String),
}

/// What is said of one instance.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub address: &'a InstanceAddress,
    pub sort: Sort,
    /// Why, and what follows: a line each.
    pub why: Vec<Why>,
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
    /// What of it cannot change in place.
    pub fixed: &'a [Path],
    pub report: Option<&'a HostReport>,
}

/// An attribute that differs, and in which way: all that counts for being alike.
pub(crate) type Shape = Vec<(Arc<str>, Way)>;

/// How an attribute differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// It is given a value.
    Set,
    /// It is not known what it will be.
    Unknown,
    /// It has no value any more.
    Unset,
    /// It has another value.
    Changed,
    /// It is a secret, or holds one.
    Secret,
}

/// Items that are alike.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub items: Vec<&'a Item<'a>>,
    pub why: Vec<Why>,
    pub shape: Shape,
    pub report: String,
}

/// What an attribute is before and after, and who has that.
type Values<'a> = BTreeMap<(Value, Value), Vec<&'a InstanceAddress>>;

/// Into as many groups at most one is parted whose members differ in what takes several lines.
const PARTS: usize = 4;

/// Puts together what is alike, in the order in which it is shown: by what asks for most care, then as it came.
pub(crate) fn grouped<'a>(items: &'a [Item<'a>], look: Look) -> Vec<Group<'a>> {
    let mut found: BTreeMap<(Sort, String, Vec<Why>, Shape, String), usize> = BTreeMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for item in items {
        let own = Keys::of(item.address);
        let why = item.why.iter().map(|why| match why {
            Why::Plain(_) => why.clone(),
            Why::Keyed(text) => Why::Keyed(own.taken_from(text).into_owned()),
        });
        let why: Vec<Why> = why.collect();
        let shape = shape(item);
        let report = item.report.map(|inside| report(inside, look.paint, 4)).unwrap_or_default();
        if look.full {
            groups.push(Group { items: vec![item], why, shape, report });
            continue;
        }
        let key = (item.sort, family(item.address), why, shape, report);
        match found.get(&key).and_then(|at| groups.get_mut(*at)) {
            Some(group) => group.items.push(item),
            None => {
                let (_, _, why, shape, report) = key.clone();
                found.insert(key, groups.len());
                groups.push(Group { items: vec![item], why, shape, report });
            }
        }
    }
    let mut groups: Vec<Group<'a>> = groups.into_iter().flat_map(Group::parted).collect();
    groups.sort_by_key(|group| group.items.first().map(|item| item.sort));
    groups
}

impl<'a> Group<'a> {
    /// The groups of those that have the same in an attribute that takes several lines to show, where they are few.
    fn parted(self) -> Vec<Group<'a>> {
        let many = self.items.len() > 1;
        let large = |(was, is, _): &(Value, Value, Vec<_>)| !is.is_unknown() && (is_large(was) || is_large(is));
        for (name, _) in self.shape.iter().filter(|_| many) {
            let is_large = |value: Option<&Value>| value.and_then(|it| it.get(name)).is_some_and(is_large);
            if !self.items.iter().any(|item| is_large(item.before) || is_large(item.after)) {
                continue;
            }
            let values = self.values(name);
            if values.len() < 2 || values.len() > PARTS || !values.iter().any(large) {
                continue;
            }
            let items: BTreeMap<&InstanceAddress, &'a Item<'a>> =
                self.items.iter().map(|item| (item.address, *item)).collect();
            let part = |members: Vec<&'a InstanceAddress>| Group {
                items: members.iter().filter_map(|member| items.get(member).copied()).collect(),
                why: self.why.clone(),
                shape: self.shape.clone(),
                report: self.report.clone(),
            };
            return values.into_iter().flat_map(|(_, _, members)| part(members).parted()).collect();
        }
        vec![self]
    }

    pub fn addresses(&self) -> Vec<&'a InstanceAddress> {
        self.items.iter().map(|item| item.address).collect()
    }

    /// The items with what they have in an attribute: what is the same but for their keys together, most first.
    pub fn values(&self, name: &str) -> Vec<(Value, Value, Vec<&'a InstanceAddress>)> {
        let of = |item: &Item<'_>| {
            let one = |value: Option<&Value>| value.and_then(|it| it.get(name)).cloned().unwrap_or(Value::NULL);
            veiled(one(item.before), one(item.after))
        };
        let Some((was, is)) = self.items.first().map(|item| of(item)) else { return Vec::new() };
        if self.items.iter().skip(1).all(|item| of(item) == (was.clone(), is.clone())) {
            return vec![(was, is, self.addresses())];
        }
        let mut all: Values<'a> = BTreeMap::new();
        for item in &self.items {
            all.entry(of(item)).or_default().push(item.address);
        }
        // By whichever way of taking the keys out leaves least that differs.
        for strict in [true, false] {
            let less = self.without_keys(&all, strict);
            if less.len() < all.len() {
                all = less;
            }
        }
        let mut all: Vec<_> = all.into_iter().map(|((was, is), members)| (was, is, members)).collect();
        all.sort_by_key(|(_, _, members)| (std::cmp::Reverse(members.len()), members.first().copied()));
        all
    }

    /// Values with what stands for the keys of who has them, where that makes them the same as those of others.
    fn without_keys(&self, all: &Values<'a>, strict: bool) -> Values<'a> {
        let mut less = Values::new();
        let mut origins: BTreeMap<(Value, Value), (Value, Value)> = BTreeMap::new();
        for ((was, is), members) in all {
            for member in members {
                let keys = Keys { strict, ..Keys::of(member) };
                let values = (keys.taken_from_value(was), keys.taken_from_value(is));
                origins.insert(values.clone(), (was.clone(), is.clone()));
                less.entry(values).or_default().push(member);
            }
        }
        // Who is alone with a value keeps it as it is.
        less.into_iter()
            .map(|(values, members)| match (members.len(), origins.remove(&values)) {
                (1, Some(own)) => (own, members),
                _ => (values, members),
            })
            .collect()
    }

    /// Text in which letters stand for keys, with the keys of these members.
    pub fn with_keys(text: &str, members: &[&InstanceAddress]) -> String {
        if !text.contains(|letter| (FIRST..LAST).contains(&letter)) {
            return text.to_owned();
        }
        let mut text = text.to_owned();
        for (at, set) in key_sets(members).iter().enumerate() {
            let Some(letter) = stand_in(at) else { break };
            if !text.contains(letter) {
                continue;
            }
            let (keys, letter) = (brackets(set, Room { keys: 3, names: 3 }), letter.to_string());
            let bare = keys.strip_prefix('[').and_then(|keys| keys.strip_suffix(']')).unwrap_or(&keys);
            let one = set.len() == 1;
            text = text.replace(&format!("[\"{letter}\"]"), &keys).replace(&format!("[{letter}]"), &keys);
            text = match one {
                true => text.replace(&letter, bare.trim_matches('"')),
                false => text.replace(&format!("\"{letter}\""), &keys).replace(&letter, &keys.replace('"', "")),
            };
        }
        text
    }

    /// Which members are meant, beside what they have: their keys where that is short, or how many they are.
    pub fn which(members: &[&InstanceAddress]) -> String {
        let sets = key_sets(members);
        let mut varying = sets.iter().filter(|set| set.len() > 1);
        let keys = match (varying.next(), varying.next(), members) {
            (None, _, [only]) => {
                let all: Vec<String> = names::keys(only).flatten().map(ToString::to_string).collect();
                crate::fold::inline(&all.join("")).into_owned()
            }
            (Some(set), None, _) => brackets(set, Room { keys: 5, names: 3 }),
            _ => String::new(),
        };
        match keys.chars().count() {
            1..40 if members.len() <= 20 => format!("in {keys}"),
            _ => format!("in {} of them", names::number(members.len())),
        }
    }
}

/// Two values of which it counts only whether they are the same, where one is a secret: whether two instances have the
/// same one is nobody's business.
fn veiled(was: Value, is: Value) -> (Value, Value) {
    if was.marks() == Marks::NONE && is.marks() == Marks::NONE {
        return (was, is);
    }
    let same = was.unmark_deep().0 == is.unmark_deep().0;
    let veil = |value: Value, text: &str| match value.is_null() || value.is_unknown() {
        true => value,
        false => Value::from(text).mark(value.marks()),
    };
    (veil(was, "a secret"), veil(is, if same { "a secret" } else { "another" }))
}

/// Whether a value takes several lines.
pub(crate) fn is_large(value: &Value) -> bool {
    match value.kind() {
        _ if value.marks().sensitive => false,
        Kind::List(..) | Kind::Tuple(_) | Kind::Set(..) | Kind::Map(..) | Kind::Object(_) => true,
        Kind::String(text) => text.contains('\n') || text.starts_with(['{', '[']),
        _ => false,
    }
}

/// The attributes that differ, and how.
fn shape(item: &Item<'_>) -> Shape {
    let none = Value::NULL;
    let entries = |value: Option<&'_ Value>| value.and_then(Value::as_entries).cloned().unwrap_or_default();
    let (old, new) = (entries(item.before), entries(item.after));
    let way = |was: &Value, is: &Value| {
        if was == is || was.is_null() && is.is_null() {
            return None;
        }
        Some(match () {
            () if was.is_secret() || is.is_secret() => Way::Secret,
            () if is.is_unknown() => Way::Unknown,
            () if was.is_null() => Way::Set,
            () if is.is_null() => Way::Unset,
            () => Way::Changed,
        })
    };
    let mut shape: Shape = new
        .iter()
        .filter_map(|(name, is)| Some((Arc::clone(name), way(old.get(name).unwrap_or(&none), is)?)))
        .collect();
    let left = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let lost: Shape = left.filter_map(|(name, was)| Some((Arc::clone(name), way(was, &none)?))).collect();
    if !lost.is_empty() {
        shape.extend(lost);
        shape.sort();
    }
    shape
}

/// The letters that stand for keys: of a plane that is nobody's.
const FIRST: char = '\u{f0000}';
const LAST: char = '\u{f0100}';

fn stand_in(at: usize) -> Option<char> {
    let letter = char::from_u32(u32::from(FIRST).checked_add(u32::try_from(at).ok()?)?)?;
    (letter < LAST).then_some(letter)
}

/// The keys of one instance, and what stands for each.
struct Keys {
    keys: Vec<(char, String)>,
    /// A number stands alone only where it is no end of a word, either.
    strict: bool,
}

impl Keys {
    fn of(address: &InstanceAddress) -> Keys {
        let keys = names::keys(address).enumerate().filter_map(|(at, key)| {
            let text = match key? {
                InstanceKey::Index(index) => index.to_string(),
                InstanceKey::Name(name) => name.to_string(),
            };
            (!text.is_empty()).then_some((stand_in(at)?, text))
        });
        Keys { keys: keys.collect(), strict: false }
    }

    /// The text with what stands for them in their place, where they stand alone.
    fn taken_from<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (letter, key) in &self.keys {
            if text.contains(key.as_str()) {
                text = Cow::Owned(replaced(&text, key, *letter, self.strict));
            }
        }
        text
    }

    fn taken_from_value(&self, value: &Value) -> Value {
        value.map_deep(&mut |part| {
            let text = match part.kind() {
                Kind::String(text) => self.taken_from(text),
                Kind::Number(number) => match self.taken_from(&number.to_string()) {
                    text if text.chars().count() == 1 && text.starts_with(|it| (FIRST..LAST).contains(&it)) => {
                        Cow::Owned(text.into_owned())
                    }
                    _ => return part,
                },
                _ => return part,
            };
            match text {
                Cow::Borrowed(_) => part,
                Cow::Owned(text) => {
                    let marks = part.marks();
                    Value::string(text).mark(marks)
                }
            }
        })
    }
}

/// A text with a letter for each place where a key stands alone: among digits a number does not.
fn replaced(text: &str, key: &str, letter: char, strict: bool) -> String {
    let is_number = !strict && key.bytes().all(|byte| byte.is_ascii_digit());
    let joins = |next: Option<char>| match is_number {
        true => next.is_some_and(|next| next.is_ascii_digit()),
        false => next.is_some_and(char::is_alphanumeric),
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let (before, from) = rest.split_at(at);
        let after = from.get(key.len()..).unwrap_or_default();
        out.push_str(before);
        match joins(out.chars().next_back()) || joins(after.chars().next()) {
            true => out.push_str(key),
            false => out.push(letter),
        }
        rest = after;
    }
    out + rest
}
