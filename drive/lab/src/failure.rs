//! Errors of the operating system, told as failures.

use std::fmt::Display;

use andon_schema::Failure;

/// Gives an error the operation that it stopped.
pub(crate) trait OrFail<T> {
    /// The failure's summary is `what`; its detail is the error.
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), sentence(&error.to_string())))
    }
}

/// Text as a sentence with its full stop.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
