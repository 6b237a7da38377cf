//! Versions that definitions ask for
//! (<https://developer.hashicorp.com/terraform/language/expressions/version-constraints>).

use andon_hcl::ast::Ident;
use andon_schema::{Version, VersionConstraint};
use andon_text::Diagnostic;

/// What to say where a version does not meet a constraint, or the constraint is none.
pub(super) fn unmet(wanted: &Ident, what: &str, have: &str) -> Option<Diagnostic> {
    let constraint = match wanted.name.parse::<VersionConstraint>() {
        Ok(constraint) if !wanted.name.trim().is_empty() && !wanted.name.contains('-') => constraint,
        _ => return Some(no_constraint(wanted)),
    };
    let met = have.parse::<Version>().is_ok_and(|version| constraint.allows(&version));
    (!met).then(|| {
        Diagnostic::error(format!("{what} {} is required, and this is {have}", wanted.name))
            .at(wanted.span)
            .help("Use a version that meets the constraint, or change it where this version will do.")
    })
}

/// What to say where text is no version constraint.
pub(super) fn wrong(wanted: &Ident) -> Option<Diagnostic> {
    wanted.name.parse::<VersionConstraint>().is_err().then(|| no_constraint(wanted))
}

fn no_constraint(wanted: &Ident) -> Diagnostic {
    Diagnostic::error(format!("\"{}\" is not a version constraint", wanted.name))
        .at(wanted.span)
        .help("Write it like \">= 1.5\", \"~> 1.5.0\" or \">= 1.2, < 2.0\".")
}
