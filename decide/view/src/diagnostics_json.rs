//! Diagnostics as data, in the shape of the `diagnostics` of `terraform validate -json`
//! (<https://developer.hashicorp.com/terraform/cli/commands/validate#json>), and what we have beside that.

use std::collections::BTreeMap;

use andon_hcl::ast::{Block, Body};
use andon_text::{Diagnostic, Diagnostics, Shown, Source, SourceId, SourceMap, Span};
use serde_json::{Map, Value as Json, json};
use unicode_segmentation::UnicodeSegmentation;

/// Diagnostics as data: `severity`, `summary`, `detail`, and where there is a place `range` and `snippet`, as Terraform
/// has them; then our own `label`, `help`, `name`, `subject` and `related`.
///
/// Lines and columns count from 1, columns in grapheme clusters; bytes count from 0. The offsets of a snippet are in
/// bytes of its `code`.
pub fn diagnostics_json(all: &Diagnostics, sources: &SourceMap) -> Json {
    let mut bodies = BTreeMap::new();
    all.iter().map(|diagnostic| one(&sources.discreet(diagnostic), sources, &mut bodies)).collect()
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap, bodies: &mut BTreeMap<SourceId, Body>) -> Json {
    let said = [diagnostic.label.as_str(), diagnostic.detail.as_str()];
    let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
    let mut data = Map::new();
    let mut put = |key: &str, value: Json| drop(data.insert(key.to_owned(), value));
    put("severity", if diagnostic.is_error() { "error" } else { "warning" }.into());
    put("summary", diagnostic.summary.as_str().into());
    put("detail", said.join("\n").into());
    if let Some((span, source)) = diagnostic.span.and_then(|span| Some((span, sources.get(span.source)?))) {
        put("range", range(span, source));
        let body = bodies.entry(span.source).or_insert_with(|| andon_hcl::parse_body(span.source, source.text()).0);
        put("snippet", snippet(diagnostic, span, sources, source, body));
    }
    put("label", diagnostic.label.as_str().into());
    put("help", diagnostic.help.as_slice().into());
    put("name", diagnostic.name.into());
    put("subject", diagnostic.subject.as_deref().into());
    let related = |(span, words): &(Span, String)| {
        let place = sources.get(span.source).map_or(Json::Null, |source| range(*span, source));
        json!({ "range": place, "words": words })
    };
    put("related", diagnostic.related.iter().map(related).collect());
    Json::Object(data)
}

fn range(span: Span, source: &Source) -> Json {
    let point = |offset: u32| {
        let line = source.position(offset).line;
        let start = line_start(source, line);
        let before = source.text().get(start..offset as usize).unwrap_or_default();
        json!({ "line": line, "column": before.graphemes(true).count() + 1, "byte": offset })
    };
    json!({ "filename": &**source.path(), "start": point(span.start), "end": point(span.end) })
}

/// The byte at which a line starts; lines count from 1.
fn line_start(source: &Source, line: u32) -> usize {
    let breaks = source.text().bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(breaks).nth(line.saturating_sub(1) as usize).unwrap_or(0)
}

/// The lines of a place, and where it is in them.
fn snippet(diagnostic: &Diagnostic, span: Span, sources: &SourceMap, source: &Source, body: &Body) -> Json {
    let (first, last) = (source.position(span.start).line, source.position(span.end).line);
    let last = if span.end > span.start && source.position(span.end).column == 1 { last - 1 } else { last };
    // A hidden text leaves as many lines behind as it had.
    let shown = sources.shown(span.source);
    let text = shown.as_ref().map_or("", Shown::text);
    let lines = text.split('\n').skip(first.saturating_sub(1) as usize).take((last.max(first) - first + 1) as usize);
    let code = lines.map(|line| line.trim_end_matches('\r')).collect::<Vec<_>>().join("\n");
    let from =
        shown.as_ref().map_or(0, |shown| shown.range(line_start(source, first)..line_start(source, first)).start);
    let range = shown.as_ref().map_or(0..0, |shown| shown.range(span.start as usize..span.end as usize));
    let start = range.start.saturating_sub(from).min(code.len());
    let end = (start + range.len()).max(start + 1).min(code.len()).max(start);
    let values = diagnostic.values.iter();
    let values = values.map(|(traversal, value)| json!({ "traversal": traversal, "statement": format!("is {value}") }));
    json!({
        "context": body.blocks().find(|block| around(block, span)).map(title),
        "code": code,
        "start_line": first,
        "highlight_start_offset": start,
        "highlight_end_offset": end,
        "values": values.collect::<Vec<_>>(),
    })
}

/// Whether a place is within a block; a block's own beginning is not.
fn around(block: &Block, span: Span) -> bool {
    block.span.start < span.start && span.start < block.span.end
}

/// A block's first line: `resource "type" "name"`.
fn title(block: &Block) -> String {
    let labels: String = block.labels.iter().map(|label| format!(" {}", andon_value::quote(&label.name))).collect();
    format!("{}{labels}", block.kind.name)
}
