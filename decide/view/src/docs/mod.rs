//! The reference of a project, and of the language: a document as data, then as Markdown, HTML and JSON.

mod collect;
mod html;
mod inject;
mod language;
mod markdown;

use serde_json::{Value as Json, json};

pub use collect::reference;
pub use html::html;
pub use inject::{BEGIN, END, InjectError, inject, with_markers};
pub use language::{functions_reference, language_reference};
pub use markdown::markdown;

use crate::graph::{Collapse, Picture};

/// A document, before anybody thought of how it is written down.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// What it is about.
    pub title: String,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub enum Part {
    /// A heading; 1 is right below the title.
    Heading(u8, Text),
    /// A paragraph.
    Paragraph(Text),
    /// A table: its columns' names, and its rows.
    Table(Vec<&'static str>, Vec<Vec<Text>>),
    /// A picture of the project.
    Picture(Box<Picture>),
}

/// Text of several sorts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Run>);

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Words.
    Words(String),
    /// Something as it is written in a file.
    Code(String),
    /// The beginning of another line.
    Break,
}

impl Text {
    /// Words.
    pub fn words(text: impl Into<String>) -> Text {
        Text::default().and(text)
    }

    /// Code; nothing where it is empty.
    pub fn code(text: impl Into<String>) -> Text {
        Text::default().and_code(text)
    }

    /// With more words.
    pub fn and(mut self, text: impl Into<String>) -> Text {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Run::Words(text));
        }
        self
    }

    /// With code.
    pub fn and_code(mut self, text: impl Into<String>) -> Text {
        let text = text.into();
        if !text.is_empty() {
            self.0.push(Run::Code(text));
        }
        self
    }

    /// In another line, where there is one already.
    pub fn next_line(mut self) -> Text {
        if !self.0.is_empty() {
            self.0.push(Run::Break);
        }
        self
    }

    /// Its letters alone.
    pub fn plain(&self) -> String {
        let run = |run: &Run| match run {
            Run::Words(text) | Run::Code(text) => text.clone(),
            Run::Break => "\n".to_owned(),
        };
        self.0.iter().map(run).collect()
    }
}

impl Document {
    fn heading(&mut self, level: u8, text: Text) {
        self.parts.push(Part::Heading(level, text));
    }

    fn paragraph(&mut self, text: Text) {
        self.parts.push(Part::Paragraph(text));
    }

    /// A table, where it has rows.
    fn table(&mut self, level: u8, title: &str, columns: Vec<&'static str>, rows: Vec<Vec<Text>>) {
        if !rows.is_empty() {
            self.heading(level, Text::words(title));
            self.parts.push(Part::Table(columns, rows));
        }
    }
}

/// A document as data: sections by heading, each with its level, text and rows; a row's cells are by their column.
pub fn docs_json(document: &Document) -> Json {
    let mut sections = Vec::new();
    let mut current = json!({ "level": 0, "heading": document.title, "text": [], "rows": [] });
    let add = |current: &mut Json, key: &str, value: Json| {
        if let Some(list) = current.get_mut(key).and_then(Json::as_array_mut) {
            list.push(value);
        }
    };
    for part in &document.parts {
        match part {
            Part::Heading(level, text) => {
                let next = json!({ "level": level, "heading": text.plain(), "text": [], "rows": [] });
                sections.push(std::mem::replace(&mut current, next));
            }
            Part::Paragraph(text) => add(&mut current, "text", text.plain().into()),
            Part::Table(columns, rows) => {
                for row in rows {
                    let cells =
                        columns.iter().zip(row).map(|(column, cell)| (column.to_lowercase(), cell.plain().into()));
                    add(&mut current, "rows", Json::Object(cells.collect()));
                }
            }
            Part::Picture(_) => {}
        }
    }
    sections.push(current);
    json!({ "format_version": "1.0", "title": document.title, "sections": sections })
}

/// A picture of at most about so many nodes: a larger one is not read.
const MOST_NODES: usize = 60;

/// The picture with as much drawn as can be read.
fn readable(picture: Picture) -> Picture {
    let steps = [Collapse::Nothing, Collapse::Types, Collapse::Modules, Collapse::Stacks];
    let mut last = picture.clone();
    for step in steps {
        last = picture.collapsed(step);
        if last.nodes.len() <= MOST_NODES {
            break;
        }
    }
    last
}
