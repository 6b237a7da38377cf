//! `# andon:ignore NAME`: a comment on the line of a finding or on the one before it passes over that place.

use andon_text::{Diagnostic, Source, Span};

use super::{Report, name, table};
use crate::shape::suggest;

/// What such a comment begins with, after its sign.
const WORD: &str = "andon:ignore";

/// Whether a comment passes over a lint at a place.
pub(super) fn is_at(source: &Source, span: Span, lint: &str) -> bool {
    let line = source.position(span.start).line;
    let here = names(source.line(line)).any(|(_, name)| name == lint);
    // What follows code is about that code.
    let alone = |line: &str| line.trim_start().starts_with(['#', '/']);
    let before = line.checked_sub(1).filter(|line| *line > 0).map(|line| source.line(line));
    here || before.is_some_and(|before| alone(before) && names(before).any(|(_, name)| name == lint))
}

/// The names in the comment at the end of a line, each with the byte that it begins at.
fn names(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = line.match_indices(WORD).map(|(at, _)| at).find(|at| {
        let before = line.get(..*at).unwrap_or_default().trim_end();
        before.ends_with('#') || before.ends_with("//") || before.ends_with("/*")
    });
    let start = start.map_or(line.len(), |at| at + WORD.len());
    let rest = line.get(start..).unwrap_or_default();
    // A reason may follow the names.
    let rest = rest.split([':', '(']).next().unwrap_or_default();
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '-';
    let words = rest.split(move |letter| !is_name(letter)).filter(|word| !word.is_empty());
    words.map(move |word| (word.as_ptr().addr() - line.as_ptr().addr(), word))
}

/// Warns of names in such comments that no lint has.
pub(super) fn check(path: &str, out: &mut Report<'_>) {
    let sources = &out.project.sources;
    let Some(id) = sources.find(path) else { return };
    let Some(source) = sources.get(id).filter(|source| source.text().contains(WORD)) else { return };
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        for (at, word) in names(line).filter(|(_, word)| table::find(word).is_none()) {
            let span = Span::new(id, start + at, start + at + word.len());
            out.say(name::UNKNOWN_LINT, span, || {
                let diagnostic = Diagnostic::warning(format!("there is no lint \"{word}\""));
                suggest(diagnostic, word, table::names())
            });
        }
        start += line.len();
    }
}
