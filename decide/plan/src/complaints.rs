//! What providers say of what they are given, as complaints at its places.

use std::collections::BTreeMap;
use std::fmt::Display;

use andon_lang::definitions::{ProviderDefinition, ResourceDefinition};
use andon_lang::place_in;
use andon_ledger::{EnvironmentState, Intent};
use andon_schema::{Complaint, Failure, InstanceAddress, ProviderConfigAddress};
use andon_text::{Diagnostic, Diagnostics, Span};

/// What a provider says, without a place.
pub(crate) fn diagnostic(complaint: &Complaint, address: impl Display) -> Diagnostic {
    let summary = complaint.summary.trim();
    let (summary, more) = summary.split_once('\n').unwrap_or((summary, ""));
    let summary = summary.trim_end_matches('.');
    let summary = if summary.is_empty() { "the provider refuses this" } else { summary };
    let detail: Vec<&str> =
        [more.trim(), complaint.detail.trim()].into_iter().filter(|text| !text.is_empty()).collect();
    let diagnostic = if complaint.error { Diagnostic::error(summary) } else { Diagnostic::warning(summary) };
    diagnostic.detail(detail.join("\n")).subject(address.to_string())
}

/// The same, at the part of a definition that it is about.
pub(crate) fn placed(complaint: &Complaint, address: &InstanceAddress, definition: &ResourceDefinition) -> Diagnostic {
    let place = place_in(&definition.body, &complaint.path).unwrap_or(definition.span);
    diagnostic(complaint, address).at(place)
}

/// Why a provider refused, and whatever else it said.
pub(crate) fn refusal(failure: &Failure, address: &InstanceAddress, definition: &ResourceDefinition) -> Diagnostics {
    if failure.complaints.is_empty() {
        let diagnostic = failure.diagnostic(address);
        return Diagnostic { span: diagnostic.span.or(Some(definition.span)), ..diagnostic }.into();
    }
    let mut all: Vec<Diagnostic> =
        failure.complaints.iter().map(|complaint| placed(complaint, address, definition)).collect();
    if let Some(first) = all.iter_mut().find(|diagnostic| diagnostic.is_error()) {
        first.help.extend(failure.help.iter().cloned());
    }
    all.into_iter().collect()
}

/// Why a provider takes no question in its configuration: the same whatever was to be asked.
pub(crate) fn misconfigured(
    complaints: &[Complaint],
    provider: &ProviderConfigAddress,
    block: Option<&ProviderDefinition>,
) -> Diagnostics {
    let placed = |complaint: &Complaint| {
        let place = block.map(|block| place_in(&block.body, &complaint.path).unwrap_or(block.span));
        Diagnostic { span: place, ..diagnostic(complaint, provider) }
    };
    complaints.iter().map(placed).collect()
}

/// Sorted by place, then by subject and summary: the same whatever the order of the answers.
pub(crate) fn in_order(problems: Diagnostics) -> Diagnostics {
    let mut all: Vec<Diagnostic> = problems.into_iter().collect();
    all.sort_by(|one, other| {
        (&one.subject, &one.summary, &one.detail).cmp(&(&other.subject, &other.summary, &other.detail))
    });
    let mut sorted: Diagnostics = merged(all).into_iter().collect();
    sorted.sort();
    sorted
}

/// What is wrong with many instances of one block alike is said once, of the first and how many more there are.
fn merged(all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut merged: Vec<(Diagnostic, usize)> = Vec::with_capacity(all.len());
    let mut first: BTreeMap<(Option<Span>, String, String, String), usize> = BTreeMap::new();
    for problem in all {
        let key = (problem.span, problem.summary.clone(), problem.label.clone(), problem.detail.clone());
        match first.get(&key).and_then(|at| merged.get_mut(*at)) {
            Some((known, _)) if *known == problem => {}
            Some((known, more)) if known.span.is_some() && known.subject.is_some() => *more += 1,
            _ => {
                first.insert(key, merged.len());
                merged.push((problem, 0));
            }
        }
    }
    let named = |(problem, more): (Diagnostic, usize)| match (&problem.subject, more) {
        (Some(subject), 1..) => Diagnostic { subject: Some(format!("{subject} and {more} more")), ..problem },
        _ => problem,
    };
    merged.into_iter().map(named).collect()
}

/// An object is there, and the configuration of the provider that made it is not.
pub(crate) fn unconfigured(address: &InstanceAddress, provider: &ProviderConfigAddress) -> Diagnostic {
    Diagnostic::error("the provider configuration of an object is gone")
        .subject(address.to_string())
        .detail(format!("It was made with {provider}, which the definitions do not have any more."))
        .help("Put the `provider` block back until the object is deleted.")
        .help(format!("Or have the state forget the object: andon state rm '{address}'"))
}

/// What runs have left that nobody has looked at yet, and how it becomes known; `None` where all is known.
pub fn unresolved(state: &EnvironmentState) -> Option<Diagnostic> {
    // A plugin's new object has no name yet that it could be looked for by.
    let (lost, seen): (Vec<&Intent>, Vec<&Intent>) = state
        .pending
        .values()
        .partition(|intent| intent.provider.is_some() && state.object(&intent.address, &intent.identity).is_none());
    let addresses = |intents: &[&Intent]| -> Vec<String> {
        let mut addresses: Vec<String> = intents.iter().map(|intent| intent.address.to_string()).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    };
    let (lost, seen) = (addresses(&lost), addresses(&seen));
    let all: Vec<&str> = seen.iter().chain(&lost).map(String::as_str).collect();
    if all.is_empty() {
        return None;
    }
    let mut diagnostic = Diagnostic::error("an earlier run was cut short, and what it left is not known yet")
        .detail(format!("Nobody has looked yet what became of {}.", all.join(", ")));
    if !seen.is_empty() {
        diagnostic = diagnostic.help("`andon apply` looks at it first.");
    }
    for address in &lost {
        diagnostic = diagnostic.help(format!("If {address} is there: andon state resolve '{address}' --id ID"));
    }
    if !lost.is_empty() {
        let quoted: Vec<String> = lost.iter().map(|address| format!("'{address}'")).collect();
        diagnostic = diagnostic.help(format!("What is not there: andon state resolve {} --absent", quoted.join(" ")));
    }
    Some(diagnostic)
}
