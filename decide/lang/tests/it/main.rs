//! The language, from files to answers. A case is the files of a project, one text with a `== path` line before each,
//! and what is said of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "tests may stop at once, and may read files to compare with"
)]

mod answers;
mod check;
mod complete;
mod console;
mod evaluation;
mod expressions;
mod foresight;
mod generated;
mod jinja;
mod json;
mod lints;
mod load;
mod modules;
mod moments;
mod oracle;
mod role;
mod role_secrets;
mod schemas;
mod shop;
mod signatures;
mod sources;
mod stack_tests;
mod unknowns;
mod variables;

use std::sync::Arc;

use andon_lang::FileSet;
use andon_text::{Diagnostics, Severity, SourceMap};

/// The files of a case.
pub fn files(text: &str) -> Arc<FileSet> {
    let mut files = FileSet::new();
    let mut path: Option<&str> = None;
    let mut content = String::new();
    for line in text.lines() {
        match line.strip_prefix("== ") {
            Some(next) => {
                if let Some(path) = path.replace(next) {
                    files.insert(path, std::mem::take(&mut content).into_bytes());
                }
            }
            None => {
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    if let Some(path) = path {
        files.insert(path, content.into_bytes());
    }
    Arc::new(files)
}

/// Diagnostics, a line each: `path:line:column summary`, with `warning` before a warning's summary; then what helps
/// and what is related, indented.
pub fn render(diagnostics: &Diagnostics, sources: &SourceMap) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let place = diagnostic.span.map(|span| sources.locate(span)).unwrap_or_else(|| "-".to_owned());
        let word = if diagnostic.severity == Severity::Warning { "warning: " } else { "" };
        text.push_str(&format!("{place} {word}{}\n", diagnostic.summary));
    }
    text
}

/// The same with details, helps and related places, indented.
pub fn render_all(diagnostics: &Diagnostics, sources: &SourceMap) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&render(&Diagnostics::from(diagnostic.clone()), sources));
        for line in diagnostic.detail.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        for (span, words) in &diagnostic.related {
            text.push_str(&format!("  {}: {words}\n", sources.locate(*span)));
        }
        for help in &diagnostic.help {
            text.push_str(&format!("  {help}\n"));
        }
    }
    text
}
