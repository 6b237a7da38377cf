use andon_value::{Path, PathStep, Value};

use crate::Failure;

/// How the value of an attribute is written, beyond its type: `256M` for an amount of memory. Checking asks it where a
/// value is known, documentation and completion show it.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// What such a value is, in a few words: `an amount of memory`.
    pub name: &'static str,
    /// One such value, as it is written in a definition.
    pub example: &'static str,
    /// What is wrong with a known value, if anything is: a text, a number or a truth value.
    pub check: fn(&Value) -> Result<(), Failure>,
}

impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        (self.name, self.example) == (other.name, other.example)
    }
}

impl Eq for Format {}

impl Format {
    /// What is wrong with a value; for a collection, with the first of its elements that is wrong, which comes with it.
    /// What is not known, null or a secret is not judged.
    ///
    /// # Errors
    /// Where the value, or an element of it, is not written so.
    pub fn judge<'v>(&self, value: &'v Value) -> Result<(), (&'v Value, Failure)> {
        let judged = |value: &Value| !value.is_null() && !value.is_unknown() && !value.is_sensitive();
        if !judged(value) {
            return Ok(());
        }
        let mut elements = value.children().peekable();
        if elements.peek().is_none() {
            return (self.check)(value).map_err(|failure| (value, failure));
        }
        let mut elements = elements.filter(|element| judged(element));
        elements.try_for_each(|element| (self.check)(element).map_err(|failure| (element, failure)))
    }

    /// The same of an argument, at the element of it that is wrong.
    ///
    /// # Errors
    /// Where the value, or an element of it, is not written so.
    pub fn judge_argument(&self, argument: &str, value: &Value) -> Result<(), Failure> {
        self.judge(value).map_err(|(wrong, failure)| {
            let step = value.steps().find(|(_, element)| std::ptr::eq(*element, wrong)).map(|(step, _)| step);
            failure.at(Path::from_iter([PathStep::Attribute(argument.into())].into_iter().chain(step)))
        })
    }
}
