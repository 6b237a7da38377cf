use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Diagnostic;
use crate::hidden::{self, Hidden, Shown};

/// Names one source in a [`SourceMap`]. Small and `Copy`, so that every syntax node can carry one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A half-open range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The source that the range is in.
    pub source: SourceId,
    /// Byte offset of the first byte.
    pub start: u32,
    /// Byte offset just past the last byte; never less than `start`.
    pub end: u32,
}

impl Span {
    /// A range of bytes; `end` is raised to `start` where it is less.
    pub fn new(source: SourceId, start: usize, end: usize) -> Span {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { source, start: clamp(start), end: clamp(end.max(start)) }
    }

    /// The empty range at the start of this one.
    pub fn head(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty range at the end of this one.
    pub fn tail(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// The smallest range that covers both; `self` where they are in different sources.
    pub fn to(self, other: Span) -> Span {
        if self.source != other.source {
            return self;
        }
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A place in a source as people count: both from 1, columns in Unicode scalar values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, counted in Unicode scalar values.
    pub column: u32,
}

/// One definition file: its path as the user would write it, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[u32]>,
}

impl Source {
    fn new(path: Arc<str>, text: Arc<str>) -> Source {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)));
        let line_starts = starts.collect();
        Source { path, text, line_starts }
    }

    /// The path, relative to the project where it is inside it, with `/` between its parts.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Where a byte offset is. An offset past the end is the end.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0) as usize;
        let end = (offset as usize).min(self.text.len());
        let before = self.text.as_bytes().get(start..end).unwrap_or_default();
        // Bytes that continue a UTF-8 sequence do not begin a scalar value.
        let column = before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
        Position { line: line as u32, column: u32::try_from(column).unwrap_or(u32::MAX) }
    }

    /// One line's text without its line break; lines count from 1.
    pub fn line(&self, line: u32) -> &str {
        let at = |index: u32| self.line_starts.get(index as usize).copied();
        let start = line.checked_sub(1).and_then(at).map_or(self.text.len(), |start| start as usize);
        let end = at(line).map_or(self.text.len(), |end| end as usize);
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
}

/// Every source of one run. Ids are given in the order of addition.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
    hidden: BTreeMap<SourceId, Hidden>,
}

impl SourceMap {
    /// A map with no sources.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Adds a source. The same path may be added twice and gets two ids.
    pub fn add(&mut self, path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(Source::new(path.into(), text.into()));
        id
    }

    /// The source of an id; `None` for an id of another map.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// The source that was added last under a path.
    pub fn find(&self, path: &str) -> Option<SourceId> {
        let index = self.sources.iter().rposition(|source| &*source.path == path)?;
        Some(SourceId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The text that a span covers; empty for a span of another map.
    pub fn text(&self, span: Span) -> &str {
        let range = span.start as usize..span.end as usize;
        self.get(span.source).and_then(|source| source.text.get(range)).unwrap_or("")
    }

    /// Has what a span covers shown to nobody: it is a secret.
    pub fn hide(&mut self, span: Span) {
        self.hidden.entry(span.source).or_default().add(span.start..span.end);
    }

    /// The text of a source as it may be shown.
    pub fn shown(&self, id: SourceId) -> Option<Shown<'_>> {
        let text = &self.get(id)?.text;
        Some(self.hidden.get(&id).map_or_else(|| Hidden::default().shown(text), |hidden| hidden.shown(text)))
    }

    /// A diagnostic as it may be said: where it points into what is hidden, its words do not quote it.
    pub fn discreet<'d>(&self, diagnostic: &'d Diagnostic) -> Cow<'d, Diagnostic> {
        if self.hidden.is_empty() {
            return Cow::Borrowed(diagnostic);
        }
        hidden::discreet(diagnostic, |span| {
            let both = self.hidden.get(&span.source).zip(self.get(span.source));
            both.map(|(hidden, source)| hidden.touched(span, &source.text).map(str::to_owned).collect())
                .unwrap_or_default()
        })
    }

    /// `path:line:column` of a span's start, as people and editors write it.
    pub fn locate(&self, span: Span) -> String {
        match self.get(span.source) {
            Some(source) => {
                let Position { line, column } = source.position(span.start);
                format!("{}:{line}:{column}", source.path)
            }
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_scalar_values_from_one() {
        let mut map = SourceMap::new();
        let id = map.add("a.tf", "één\nb = \"ü\" x\r\n");
        let source = map.get(id).unwrap();
        for (offset, line, column) in [(0, 1, 1), (2, 1, 2), (5, 1, 4), (6, 2, 1), (11, 2, 6), (14, 2, 8), (99, 3, 1)] {
            assert_eq!(source.position(offset), Position { line, column }, "offset {offset}");
        }
        assert_eq!(source.line(2), "b = \"ü\" x");
        assert_eq!(source.line(9), "");
        assert_eq!(map.locate(Span::new(id, 6, 7)), "a.tf:2:1");
    }
}
