//! A document as GitHub's Markdown (<https://github.github.com/gfm/>), with pictures in Mermaid.

use std::fmt::Write;

use super::{Document, Part, Run, Text};
use crate::graph::mermaid;

/// The document; its title is a heading of the first level, unless it is to be put below another.
pub fn markdown(document: &Document, with_title: bool) -> String {
    let mut out = String::new();
    if with_title {
        let _ = writeln!(out, "# {}", escape(&document.title));
    }
    for part in &document.parts {
        if !out.is_empty() {
            out.push('\n');
        }
        match part {
            Part::Heading(level, text) => {
                let _ = writeln!(out, "{} {}", "#".repeat(usize::from(*level) + 1), inline(text));
            }
            Part::Paragraph(text) => {
                let _ = writeln!(out, "{}", inline(text));
            }
            Part::Table(columns, rows) => {
                let _ = writeln!(out, "| {} |", columns.join(" | "));
                let _ = writeln!(out, "|{}", " --- |".repeat(columns.len()));
                for row in rows {
                    let cells: Vec<String> = row.iter().map(|cell| inline(cell).replace('|', "\\|")).collect();
                    let _ = writeln!(out, "| {} |", cells.join(" | "));
                }
            }
            Part::Picture(picture) => {
                let _ = writeln!(out, "```mermaid\n{}```", mermaid(picture));
            }
        }
    }
    out
}

fn inline(text: &Text) -> String {
    let run = |run: &Run| match run {
        Run::Words(words) => escape(words),
        Run::Code(code) => in_backticks(code),
        Run::Break => "<br>".to_owned(),
    };
    text.0.iter().map(run).collect()
}

/// Code with as many backticks around it as it needs.
fn in_backticks(code: &str) -> String {
    let code = code.replace(['\n', '\r'], " ");
    let longest = code.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{code}{space}{fence}")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '[' | ']' | '#' | '~' => out.extend(['\\', letter]),
            '_' => out.push_str("\\_"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
