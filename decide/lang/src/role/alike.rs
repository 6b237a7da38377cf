//! Roles that know nothing of each other, on one server, may have a host resource in common.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::host::{HostResource, Notify};
use andon_text::{Diagnostic, Span};
use andon_value::Value;

/// Where a host resource was defined first, and its place in the catalog.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub role: usize,
    pub span: Span,
    pub place: usize,
}

/// What is wrong where two roles have a host resource of one kind and name: nothing, as long as they say the same of it.
pub(super) fn at_odds(one: &HostResource, other: &HostResource) -> Option<Diagnostic> {
    let differs = |name: &Arc<str>| {
        let [one, other] = [one, other].map(|it| it.attributes.get(name).cloned().unwrap_or(Value::NULL));
        // What is not known yet is held against the other when it is.
        let both = one.is_wholly_known() && other.is_wholly_known();
        both && one != other && !(one.is_null() && other.is_null())
    };
    let entries = [one, other].map(|it| it.attributes.as_entries());
    let names: BTreeSet<&Arc<str>> = entries.into_iter().flatten().flat_map(|entries| entries.keys()).collect();
    let mut odds: Vec<&str> = names.into_iter().filter(|name| differs(name)).map(|name| &**name).collect();
    odds.extend((one.absent != other.absent).then_some("absent"));
    odds.extend((one.only_on != other.only_on).then_some("only_on"));
    (!odds.is_empty()).then(|| {
        Diagnostic::error(format!("{} \"{}\" is defined twice, and not alike", one.kind, one.name))
            .label(format!("another {}", odds.join(", ")))
            .help("A server has only one: have both roles say the same of it, or take it out of one of them.")
    })
}

/// What either notifies.
pub(super) fn union(one: &[Notify], other: &[Notify]) -> Vec<Notify> {
    one.iter().chain(other).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}
