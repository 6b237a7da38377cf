use std::collections::BTreeMap;

use andon_text::{Diagnostic, Diagnostics, Severity, Shown, SourceId, SourceMap, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::Paint;
use crate::fold::clean;

/// More diagnostics than this nobody reads.
const MOST: usize = 100;

/// More places of one diagnostic than this nobody reads.
const MOST_PLACES: usize = 6;

/// Diagnostics as people read them: each with its lines of the file, a blank line between them, and a count at the end
/// where there is more than one error.
pub fn diagnostics(all: &Diagnostics, sources: &SourceMap, paint: Paint, width: usize) -> String {
    let renderer = if paint.colour { Renderer::styled() } else { Renderer::plain() }.term_width(width.max(40));
    let mut text = String::new();
    // Errors come before warnings where not all are shown.
    let cut = all.len() > MOST;
    let mut shown: Vec<&Diagnostic> = all.iter().collect();
    if cut {
        shown.sort_by_key(|diagnostic| !diagnostic.is_error());
        shown.truncate(MOST);
    }
    let mut texts = BTreeMap::new();
    for diagnostic in shown {
        let diagnostic = harmless(&sources.discreet(diagnostic));
        text.push_str(&match diagnostic.span {
            Some(_) => one(&diagnostic, sources, &mut texts, &renderer),
            None => placeless(&diagnostic, paint),
        });
        text.push_str("\n\n");
    }
    let errors = all.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if cut {
        text.push_str(&format!(
            "and {} more: {errors} errors and {} warnings in all\n",
            all.len() - MOST,
            all.len() - errors
        ));
    } else if errors > 1 {
        text.push_str(&format!("{errors} errors\n"));
    } else if text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// The same without anything in its words that a terminal would obey: some of them are those of providers and programs.
fn harmless(diagnostic: &Diagnostic) -> Diagnostic {
    let text = |text: &str| clean(&text.replace('\t', "    ")).into_owned();
    Diagnostic {
        summary: text(&diagnostic.summary),
        label: text(&diagnostic.label),
        related: diagnostic.related.iter().map(|(span, label)| (*span, text(label))).collect(),
        subject: diagnostic.subject.as_deref().map(text),
        detail: text(&diagnostic.detail),
        values: diagnostic.values.iter().map(|(name, value)| (text(name), text(value))).collect(),
        help: diagnostic.help.iter().map(|help| text(help)).collect(),
        ..diagnostic.clone()
    }
}

/// The name by which a warning is switched off.
fn switch(diagnostic: &Diagnostic) -> Option<&'static str> {
    diagnostic.name.filter(|name| !diagnostic.is_error() && *name != Diagnostic::UNDECLARED)
}

/// One that is about no place in a file.
fn placeless(diagnostic: &Diagnostic, paint: Paint) -> String {
    let word = match diagnostic.severity {
        Severity::Error => paint.red("error"),
        Severity::Warning => paint.yellow("warning"),
    };
    let mut lines = vec![format!("{word}: {}", paint.bold(&diagnostic.summary))];
    lines.extend(diagnostic.subject.iter().map(|subject| format!("  about {subject}")));
    lines.extend(diagnostic.detail.lines().map(|line| format!("  {line}")));
    lines.extend(diagnostic.help.iter().map(|help| format!("  {} {help}", paint.cyan("help:"))));
    lines.join("\n")
}

/// The texts of sources as they may be shown.
type Texts<'a> = BTreeMap<SourceId, Shown<'a>>;

fn one<'a>(diagnostic: &Diagnostic, sources: &'a SourceMap, texts: &mut Texts<'a>, renderer: &Renderer) -> String {
    let places = diagnostic.span.into_iter().chain(diagnostic.related.iter().map(|(span, _)| *span));
    for span in places.take(MOST_PLACES + 1) {
        if let Some(shown) = sources.shown(span.source) {
            texts.entry(span.source).or_insert(shown);
        }
    }
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.summary.as_str());
    let title = match switch(diagnostic) {
        Some(name) => title.id(name),
        None => title,
    };
    let mut group = title.elements(snippets(diagnostic, sources, texts));
    // Where the words do not say what it is about, a line of its own does.
    if let Some(subject) = diagnostic.subject.as_deref()
        && !diagnostic.label.is_empty()
        && !diagnostic.summary.contains(subject)
    {
        group = group.element(Level::NOTE.no_name().message(format!("This is about {subject}.")));
    }
    if !diagnostic.detail.is_empty() {
        group = group.element(Level::NOTE.no_name().message(diagnostic.detail.as_str()));
    }
    let more = diagnostic.related.len().saturating_sub(MOST_PLACES);
    if more > 0 {
        group = group.element(Level::NOTE.no_name().message(format!("and {more} more such places")));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let report: &[Group<'_>] = &[group];
    renderer.render(report)
}

/// One snippet a file, the main place's file first.
fn snippets<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
    texts: &'a Texts<'a>,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    // Where the words do not say it, what it is about tells one instance of a block from another.
    let label = match diagnostic.label.as_str() {
        "" => diagnostic.subject.as_deref().unwrap_or_default(),
        label => label,
    };
    let main = diagnostic.span.map(|span| (span, label, AnnotationKind::Primary));
    let related = diagnostic
        .related
        .iter()
        .take(MOST_PLACES)
        .map(|(span, words)| (*span, words.as_str(), AnnotationKind::Context));
    let mut snippets: Vec<(SourceId, Snippet<'a, annotate_snippets::Annotation<'a>>)> = Vec::new();
    for (span, words, kind) in main.into_iter().chain(related) {
        let Some((source, text)) = sources.get(span.source).zip(texts.get(&span.source)) else { continue };
        let annotation = kind.span(range(span, source.text(), text)).label((!words.is_empty()).then_some(words));
        match snippets.iter_mut().find(|(id, _)| *id == span.source) {
            Some((_, snippet)) => *snippet = snippet.clone().annotation(annotation),
            None => {
                let snippet = Snippet::source(text.text()).path(&**source.path()).annotation(annotation);
                snippets.push((span.source, snippet));
            }
        }
    }
    snippets.into_iter().map(|(_, snippet)| snippet).collect()
}

/// The span's bytes in the text as it is shown, kept to the first line of a long text and within it.
fn range(span: Span, text: &str, shown: &Shown<'_>) -> std::ops::Range<usize> {
    let floor = |offset: usize| (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(span.start as usize);
    let end = floor(span.end as usize).max(start);
    let first_line = text.get(start..end).and_then(|covered| covered.find('\n')).map_or(end, |at| start + at);
    shown.range(start..first_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_file_line_cause_and_remedy() {
        let mut sources = SourceMap::new();
        let id = sources.add("stacks/web/main.tf", "a = 1\nresource \"lab_sever\" \"web\" {}\n");
        let diagnostic = Diagnostic::error("unknown resource type \"lab_sever\"")
            .at(Span::new(id, 15, 26))
            .label("no provider has this type")
            .help("did you mean \"lab_server\"?");
        let text = diagnostics(&diagnostic.into(), &sources, Paint::PLAIN, 100);
        insta::assert_snapshot!(text, @r#"
        error: unknown resource type "lab_sever"
         --> stacks/web/main.tf:2:10
          |
        2 | resource "lab_sever" "web" {}
          |          ^^^^^^^^^^^ no provider has this type
          |
          = help: did you mean "lab_server"?
        "#);
    }
}
