//! Which failures a run expects, and which of those it saw.

use andon_hcl::ast::Expr;
use andon_text::{Diagnostic, Diagnostics, SourceMap};

/// What has conditions and is expected to fail, by its address.
pub(super) struct Expected {
    /// Addresses, the expressions that name them, and whether each was seen to fail.
    all: Vec<(String, Expr, bool)>,
}

impl Expected {
    pub fn new(expressions: &[Expr], sources: &SourceMap) -> Expected {
        let address = |expr: &Expr| {
            let text: String = sources.text(expr.span).chars().filter(|letter| !letter.is_whitespace()).collect();
            let text = text.trim_matches('"');
            text.strip_prefix("resource.").unwrap_or(text).to_owned()
        };
        Expected { all: expressions.iter().map(|expr| (address(expr), expr.clone(), false)).collect() }
    }

    /// What is left of complaints without those that were expected.
    pub fn sift(&mut self, said: Diagnostics) -> Diagnostics {
        let mut rest = Diagnostics::new();
        for diagnostic in said {
            match condition_of(&diagnostic).and_then(|of| self.all.iter_mut().find(|(address, ..)| names(address, of)))
            {
                Some((_, _, seen)) => *seen = true,
                None => rest.push(diagnostic),
            }
        }
        rest
    }

    /// Whether something was expected, and came.
    pub fn any_seen(&self) -> bool {
        self.all.iter().any(|(.., seen)| *seen)
    }

    /// What was expected and did not come.
    pub fn missed(&self) -> Diagnostics {
        let missed = self.all.iter().filter(|(.., seen)| !seen);
        let told = missed.map(|(address, expr, _)| {
            Diagnostic::error(format!("{address} was expected to fail, and did not"))
                .at(expr.span)
                .label("none of its conditions was broken")
                .help("Give values that it refuses, or take it out of expect_failures.")
        });
        told.collect()
    }
}

/// What a complaint is about, where it is that a condition does not hold.
pub(super) fn condition_of(diagnostic: &Diagnostic) -> Option<&str> {
    let subject = diagnostic.subject.as_deref()?;
    let subject = match subject.split_once('/') {
        Some((stack, rest)) if !stack.contains(['.', '[', '"']) => rest,
        _ => subject,
    };
    let kinds =
        ["a validation of ", "a precondition of ", "a postcondition of ", "a assertion of ", "an assertion of "];
    let is_condition = kinds.iter().any(|kind| diagnostic.summary.starts_with(kind));
    (is_condition || subject.starts_with("check.")).then_some(subject)
}

/// Whether an address names what a complaint is about: an instance of it, or, where many instances fail alike, the first
/// of them.
fn names(address: &str, subject: &str) -> bool {
    match subject.strip_prefix(address) {
        Some(rest) => rest.is_empty() || rest.starts_with('[') || rest.starts_with(" and "),
        None => false,
    }
}
