//! What core owes around the calls of a provider: what it proposes, what of an answer it accepts, what it stores.
//!
//! A provider is asked what would become of an object and told to make it so; between these calls core proposes a new
//! state, judges every answer, and remembers what the provider must not see (marks) or what nobody may store (write-only
//! values). All of it is a function of the type's schema and of values that conform to it.
//!
//! Values may carry marks: they take no part in any comparison, and what is marked, or sensitive by its schema, is in no
//! sentence of a [`Fault`]. The behaviour is Terraform's, as its provider protocol documents it
//! (<https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol>), so that providers that pass there
//! pass here. What this module does not know: who asks the provider, and when.

mod completion;
mod conform;
mod equal;
mod ignore;
mod marks;
mod planned;
mod propose;
mod replace;
mod shape;
mod stored;

use std::fmt;

use andon_value::{Path, PathStep, Value, render};

pub use completion::check_completion;
pub use conform::conforms;
pub(crate) use equal::same;
pub use ignore::{ignore_all, ignore_changes};
pub use marks::{marked, sensitive_paths};
pub(crate) use marks::{marks_agree, with_marks_of, with_marks_of_schema};
pub use planned::{check_planned, check_planned_type};
pub use propose::{planned_unknown, proposed};
pub use replace::replaces;
pub(crate) use shape::empty;
pub use stored::{Stored, check_applied, check_read, normalised, without_write_only};

/// A way in which a provider's answer breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The part of the answer that is at fault; empty for all of it.
    pub path: Path,
    /// What is wrong with it, as a clause without its subject: `is planned as 1, but the configuration has 2`. Shows no
    /// secret.
    pub what: String,
}

impl Fault {
    fn new(path: &Path, what: impl Into<String>) -> Fault {
        Fault { path: path.clone(), what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(out, "The object {}", self.what)
        } else {
            write!(out, "{} {}", self.path.to_string().trim_start_matches('.'), self.what)
        }
    }
}

impl std::error::Error for Fault {}

/// Where a walk through an answer is, and what it found so far.
#[derive(Default)]
struct Faults {
    path: Path,
    found: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, what: impl Into<String>) {
        self.found.push(Fault::new(&self.path, what));
    }

    /// Does `work` one step further in.
    fn within<T>(&mut self, step: PathStep, work: impl FnOnce(&mut Faults) -> T) -> T {
        self.path.push(step);
        let done = andon_text::deeper(|| work(self));
        self.path.pop();
        done
    }
}

/// A value in a sentence, unless that would tell a secret. What is long is cut.
fn shown(value: &Value, secret: bool) -> String {
    const LONGEST: usize = 80;
    if secret || value.is_secret() {
        return "(sensitive value)".to_owned();
    }
    if value.is_unknown() {
        return "something not known yet".to_owned();
    }
    let text = render(value, 0).split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
