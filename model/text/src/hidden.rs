//! Ranges of source texts that nobody may see, as they hold a secret: a file that gives a sensitive variable its value
//! is quoted beside an error of the line next to it, too. Where they are is for others to say
//! ([`SourceMap::hide`](crate::SourceMap::hide)); that they are never shown is seen to here, for every renderer.

use std::borrow::Cow;
use std::ops::Range;

use crate::{Diagnostic, Span};

/// What stands for a hidden text.
const MARKER: &str = "(sensitive value)";

/// The hidden ranges of one source: in order, and apart from each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hidden(Vec<Range<u32>>);

impl Hidden {
    pub(crate) fn add(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|other| other.end < range.start);
        let last = self.0.partition_point(|other| other.start <= range.end);
        let joined = self.0.get(first..last).unwrap_or_default();
        let start = joined.first().map_or(range.start, |other| other.start.min(range.start));
        let end = joined.last().map_or(range.end, |other| other.end.max(range.end));
        self.0.splice(first..last, std::iter::once(start..end));
    }

    /// The hidden texts that a span touches.
    pub(crate) fn touched<'t>(&self, span: Span, text: &'t str) -> impl Iterator<Item = &'t str> {
        let touches = move |range: &&Range<u32>| {
            range.start < span.end.max(span.start.saturating_add(1)) && span.start < range.end
        };
        self.0.iter().filter(touches).filter_map(|range| text.get(range.start as usize..range.end as usize))
    }

    /// The text without what is hidden: line by line, so that every line keeps its number.
    pub(crate) fn shown<'t>(&self, text: &'t str) -> Shown<'t> {
        if self.0.is_empty() {
            return Shown { text: Cow::Borrowed(text), cuts: Vec::new() };
        }
        let (mut shown, mut cuts, mut at) = (String::with_capacity(text.len()), Vec::new(), 0);
        for range in &self.0 {
            let (start, end) = (floor(text, range.start as usize).max(at), ceiling(text, range.end as usize));
            shown.push_str(text.get(at..start).unwrap_or_default());
            at = start;
            for line in text.get(start..end).unwrap_or_default().split_inclusive('\n') {
                let content = line.trim_end_matches(['\n', '\r']);
                if !content.is_empty() {
                    let from = shown.len();
                    shown.push_str(MARKER);
                    cuts.push((at..at + content.len(), from..shown.len()));
                }
                shown.push_str(line.get(content.len()..).unwrap_or_default());
                at += line.len();
            }
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        Shown { text: Cow::Owned(shown), cuts }
    }
}

/// A source's text as it may be shown: `(sensitive value)` stands for each line of what is hidden.
#[derive(Debug, Clone)]
pub struct Shown<'t> {
    text: Cow<'t, str>,
    /// What was taken out of the whole text, and where the marker is in this one.
    cuts: Vec<(Range<usize>, Range<usize>)>,
}

impl Shown<'_> {
    /// The text. It has as many lines as the whole one.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a range of bytes of the whole text is in this one. What is in a hidden range is all of its marker.
    pub fn range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.offset(range.start, |marker| marker.start);
        let end = if range.is_empty() { start } else { self.offset(range.end, |marker| marker.end) };
        start..end.max(start)
    }

    fn offset(&self, at: usize, inside: impl Fn(&Range<usize>) -> usize) -> usize {
        let next = self.cuts.partition_point(|(cut, _)| cut.end <= at);
        let moved = match next.checked_sub(1).and_then(|before| self.cuts.get(before)) {
            Some((cut, marker)) => marker.end + (at - cut.end),
            None => at,
        };
        match self.cuts.get(next) {
            Some((cut, marker)) if cut.start < at => inside(marker),
            _ => moved,
        }
    }
}

/// A diagnostic that says nothing of the hidden texts that it touches: where its words could quote one, others take
/// their place.
pub(crate) fn discreet<'d>(diagnostic: &'d Diagnostic, touched: impl Fn(Span) -> Vec<String>) -> Cow<'d, Diagnostic> {
    let places = diagnostic.span.into_iter().chain(diagnostic.related.iter().map(|(span, _)| *span));
    let secrets: Vec<String> = places.flat_map(touched).collect();
    if secrets.is_empty() {
        return Cow::Borrowed(diagnostic);
    }
    let words = [diagnostic.summary.as_str(), &diagnostic.label, &diagnostic.detail].into_iter();
    let words = words.chain(diagnostic.help.iter().map(String::as_str));
    let mut words = words.chain(diagnostic.related.iter().map(|(_, words)| words.as_str()));
    let values = diagnostic.values.iter().map(|(_, value)| value.as_str());
    if !words.any(|words| secrets.iter().any(|secret| may_quote(words, secret)))
        && !values.into_iter().any(|value| secrets.iter().any(|secret| may_quote(value, secret)))
    {
        return Cow::Borrowed(diagnostic);
    }
    let mut other = diagnostic.clone();
    other.summary = "a secret value is not written as it should be".to_owned();
    other.label = "what is wrong is not said, as that would show a part of it".to_owned();
    other.related = other.related.into_iter().map(|(span, _)| (span, String::new())).collect();
    other.detail = String::new();
    other.values = Vec::new();
    other.help = vec!["Look at its quotes, brackets, escapes and names; text goes in quotes.".to_owned()];
    Cow::Owned(other)
}

/// Whether a sentence could have a piece of a secret in it: anything that it has in quotes, or any longer word.
fn may_quote(sentence: &str, secret: &str) -> bool {
    let is_quote = ['`', '"'];
    let in_quotes = sentence.find(is_quote).zip(sentence.rfind(is_quote)).and_then(|(from, to)| sentence.get(from..to));
    let quoted = runs(in_quotes.unwrap_or_default()).any(|run| secret.contains(run));
    let said = || runs(sentence);
    quoted
        || said().any(|run| run.len() > 3 && secret.contains(run))
        || runs(secret).any(|own| own.len() == 3 && said().any(|run| run == own))
}

/// The words of a text.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty())
}

fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn ceiling(text: &str, offset: usize) -> usize {
    (offset.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceMap;

    #[test]
    fn what_is_hidden_is_not_shown_and_the_rest_keeps_its_place() {
        let text = "a = \"één\" x\nb = <<E\nü\n\nE\nc";
        let mut map = SourceMap::new();
        let id = map.add("a", text);
        let at = |piece: &str| text.find(piece).unwrap();
        map.hide(Span::new(id, at("\"één"), at(" x")));
        map.hide(Span::new(id, at("<<E"), at("\nc")));
        map.hide(Span::new(id, at("ü"), at("ü") + 2));
        let shown = map.shown(id).unwrap();
        let m = MARKER;
        assert_eq!(shown.text(), format!("a = {m} x\nb = {m}\n{m}\n\n{m}\nc"));
        for (range, piece) in [
            (0..3, "a ="),
            (at("\"één")..at(" x"), m),
            (at("één")..at("én"), m),
            (at("x")..at("x") + 1, "x"),
            (at("b =")..at("b =") + 3, "b ="),
            (at("ü")..at("ü") + 2, m),
            (at("c")..text.len(), "c"),
            (text.len()..text.len(), ""),
        ] {
            assert_eq!(&shown.text()[shown.range(range.clone())], piece, "{range:?}");
        }
    }

    #[test]
    fn words_that_could_quote_a_secret_are_not_said() {
        let text = "password = \"hunter2 is \\q\"\nsize = 1";
        let mut map = SourceMap::new();
        let id = map.add("a", text);
        map.hide(Span::new(id, 11, 26));
        let here = Span::new(id, 12, 14);
        let elsewhere = Span::new(id, 27, 31);
        for (diagnostic, said) in [
            (Diagnostic::error("unexpected `hunter2`").at(here), false),
            (Diagnostic::error("unexpected hunter2").at(here), false),
            (Diagnostic::error("unexpected hunt").at(here), false),
            (Diagnostic::error("unknown escape `\\q`").at(here), false),
            (Diagnostic::error("wrong").at(here).help("write \"hunter\""), false),
            (Diagnostic::error("wrong").at(here).label("hunter2"), false),
            (Diagnostic::error("wrong").at(elsewhere).related(here, "`q`"), false),
            (Diagnostic::error("string is not closed: `\"`").at(here), true),
            (Diagnostic::error("unexpected `hunter2`").at(elsewhere), true),
            (Diagnostic::error("variable \"password\" has a value of the wrong type").at(here), true),
        ] {
            assert_eq!(*map.discreet(&diagnostic) == diagnostic, said, "{diagnostic:?}");
        }
    }
}
