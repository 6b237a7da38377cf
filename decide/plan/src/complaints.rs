//! What providers say of what they are given, as complaints at its places.

use andon_lang::definitions::ResourceDefinition;
use andon_lang::place_in;
use andon_schema::{Complaint, Failure, InstanceAddress};
use andon_text::{Diagnostic, Diagnostics};

/// What a provider says, without a place.
pub(crate) fn diagnostic(complaint: &Complaint, address: &InstanceAddress) -> Diagnostic {
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
    failure.complaints.iter().map(|complaint| placed(complaint, address, definition)).collect()
}
