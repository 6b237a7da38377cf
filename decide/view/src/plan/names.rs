//! Names of many instances in short: `terraform_data.web[0..997, 999]`, `module.shop["a", "b"].lab_server.web[0..2]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use andon_schema::{InstanceAddress, InstanceKey, ModuleStep};

use crate::fold::inline;

/// How much of a list of names is written out; the rest is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Ranges of numbers, or keys, in one pair of brackets.
    pub keys: usize,
    /// Names beside each other.
    pub names: usize,
}

impl Room {
    /// Enough to know what is meant.
    pub(crate) const SHORT: Room = Room { keys: 6, names: 4 };
    /// For what is deleted or replaced.
    pub(crate) const LONG: Room = Room { keys: 40, names: 12 };
    /// All of it.
    pub(crate) const ALL: Room = Room { keys: usize::MAX, names: usize::MAX };
}

/// The keys of an instance, from the outermost module call to its own: one for each call, and one for itself.
pub(crate) fn keys(address: &InstanceAddress) -> impl Iterator<Item = Option<&InstanceKey>> {
    address.resource.module.iter().map(|step| step.key.as_ref()).chain([address.key.as_ref()])
}

/// What the instances of one resource have in common, in all instances of the modules around it: the address without keys.
pub(crate) fn family(address: &InstanceAddress) -> String {
    let own = &address.resource;
    let mut text = if own.stack.is_empty() { String::new() } else { format!("{}/", own.stack) };
    for step in own.module.iter() {
        let _ = write!(text, "module.{}.", step.name);
    }
    let _ = write!(text, "{}{}.{}", own.mode.prefix(), own.kind, own.name);
    text
}

/// An address as it may be shown.
pub(crate) fn name(address: &InstanceAddress) -> String {
    inline(&address.to_string()).into_owned()
}

/// A way into modules as it may be shown: `module.app["x"].module.db`.
pub(crate) fn way(steps: &[ModuleStep]) -> String {
    let step = |step: &ModuleStep| {
        format!("module.{}{}", step.name, step.key.iter().map(ToString::to_string).collect::<String>())
    };
    inline(&steps.iter().map(step).collect::<Vec<_>>().join(".")).into_owned()
}

/// Which keys the members of one family have, call by call.
pub(crate) fn key_sets(members: &[&InstanceAddress]) -> Vec<BTreeSet<Option<InstanceKey>>> {
    let mut sets: Vec<BTreeSet<Option<InstanceKey>>> = Vec::new();
    for member in members {
        for (at, key) in keys(member).enumerate() {
            match sets.get_mut(at) {
                Some(set) if set.len() == 1 && set.first().is_some_and(|first| first.as_ref() == key) => {}
                Some(set) => drop(set.insert(key.cloned())),
                None => sets.push([key.cloned()].into()),
            }
        }
    }
    sets
}

/// The names of members of one family.
pub(crate) fn together(members: &[&InstanceAddress], room: Room) -> String {
    let Some(first) = members.first() else { return String::new() };
    if members.len() == 1 {
        return name(first);
    }
    let sets = key_sets(members);
    let product = sets.iter().try_fold(1usize, |product, set| product.checked_mul(set.len()));
    if product == Some(members.len()) {
        return with_keys(first, |at| sets.get(at).map(|set| brackets(set, room)).unwrap_or_default());
    }
    // Not every combination is there: one name for each way to the last key that differs.
    let last = sets.iter().rposition(|set| set.len() > 1).unwrap_or_default();
    let mut parts: BTreeMap<Vec<Option<&InstanceKey>>, Vec<&InstanceAddress>> = BTreeMap::new();
    for member in members {
        let others = keys(member).enumerate().filter(|(at, _)| *at != last).map(|(_, key)| key).collect();
        parts.entry(others).or_default().push(member);
    }
    let names = parts.values().map(|part| {
        let own = key_sets(part);
        let first = part.first().unwrap_or(first);
        with_keys(first, |at| own.get(at).map(|set| brackets(set, room)).unwrap_or_default())
    });
    listed(names, parts.len(), room.names)
}

/// Names beside each other; those for which there is no room are counted.
pub(crate) fn listed(names: impl Iterator<Item = String>, count: usize, most: usize) -> String {
    // One more is as short as saying that there is one more.
    let shown = if count <= most.saturating_add(1) { count } else { most };
    let mut text = names.take(shown).collect::<Vec<_>>().join(", ");
    if shown < count {
        let _ = write!(text, " … and {} more", number(count - shown));
    }
    text
}

/// An address with other keys than its own.
fn with_keys(address: &InstanceAddress, key: impl Fn(usize) -> String) -> String {
    let own = &address.resource;
    let mut text = if own.stack.is_empty() { String::new() } else { format!("{}/", own.stack) };
    for (at, step) in own.module.iter().enumerate() {
        let _ = write!(text, "module.{}{}.", step.name, key(at));
    }
    let _ = write!(text, "{}{}.{}{}", own.mode.prefix(), own.kind, own.name, key(own.module.len()));
    inline(&text).into_owned()
}

/// A set of keys: `[0..2, 5]`, `["a", "b" … and 7 more]`; nothing for the one instance that has no key.
pub(crate) fn brackets(keys: &BTreeSet<Option<InstanceKey>>, room: Room) -> String {
    let mut parts: Vec<(String, usize)> = Vec::new();
    let mut run: Option<(u64, u64)> = None;
    let end = |run: &mut Option<(u64, u64)>, parts: &mut Vec<(String, usize)>| {
        let Some((from, to)) = run.take() else { return };
        let count = usize::try_from(to - from).unwrap_or(usize::MAX).saturating_add(1);
        match count {
            1 => parts.push((from.to_string(), 1)),
            2 => parts.extend([(from.to_string(), 1), (to.to_string(), 1)]),
            _ => parts.push((format!("{from}..{to}"), count)),
        }
    };
    for key in keys {
        match (key, &mut run) {
            (Some(InstanceKey::Index(index)), Some((_, to))) if to.checked_add(1) == Some(*index) => *to = *index,
            (Some(InstanceKey::Index(index)), _) => {
                end(&mut run, &mut parts);
                run = Some((*index, *index));
            }
            (Some(name @ InstanceKey::Name(_)), _) => {
                let bracketed = name.to_string();
                let bare = bracketed.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&bracketed);
                parts.push((inline(bare).into_owned(), 1));
            }
            (None, _) => parts.push((String::new(), 1)),
        }
    }
    end(&mut run, &mut parts);
    if parts.iter().all(|(text, _)| text.is_empty()) {
        return String::new();
    }
    let shown = if parts.len() <= room.keys.saturating_add(1) { parts.len() } else { room.keys };
    let text: Vec<&str> =
        parts.iter().take(shown).map(|(text, _)| if text.is_empty() { "no key" } else { text.as_str() }).collect();
    let left: usize = parts.iter().skip(shown).map(|(_, count)| count).sum();
    match left {
        0 => format!("[{}]", text.join(", ")),
        left => format!("[{} … and {} more]", text.join(", "), number(left)),
    }
}

/// A number as people read it: `12,000`.
pub(crate) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_exact() {
        let check = |names: &[&str], expected: &str| {
            let parsed: Vec<InstanceAddress> = names.iter().map(|it| InstanceAddress::parse(it).unwrap()).collect();
            let members: Vec<&InstanceAddress> = parsed.iter().collect();
            assert_eq!(together(&members, Room::SHORT), expected);
        };
        check(&["a.b"], "a.b");
        check(&["a.b[0]"], "a.b[0]");
        check(&["a.b[0]", "a.b[1]"], "a.b[0, 1]");
        check(&["a.b[0]", "a.b[1]", "a.b[2]", "a.b[9]"], "a.b[0..2, 9]");
        check(&["s/a.b[\"x\"]", "s/a.b[\"y\"]"], "s/a.b[\"x\", \"y\"]");
        check(&["a.b", "a.b[0]"], "a.b[no key, 0]");
        check(
            &["module.m[0].a.b[0]", "module.m[0].a.b[1]", "module.m[1].a.b[0]", "module.m[1].a.b[1]"],
            "module.m[0, 1].a.b[0, 1]",
        );
        check(
            &["module.m[0].a.b[0]", "module.m[0].a.b[1]", "module.m[1].a.b[0]"],
            "module.m[0].a.b[0, 1], module.m[1].a.b[0]",
        );
        let many: Vec<String> = (0..20).map(|at| format!("a.b[\"k{at:02}\"]")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, "a.b[\"k00\", \"k01\", \"k02\", \"k03\", \"k04\", \"k05\" … and 14 more]");
        let odd: Vec<String> = (0..20).map(|at| format!("a.b[{}]", at * 2)).collect();
        let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
        check(&odd, "a.b[0, 2, 4, 6, 8, 10 … and 14 more]");
        check(&["a.b[\"x\u{1b}[2J\ny\"]"], "a.b[\"x\\u001b[2J\\ny\"]");
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
