//! The reference of the language itself, from the same tables that checks, completion and errors come from.

use andon_lang::functions::functions;
use andon_lang::{Shape, Times, language};

use super::{Document, Part, Text};

/// Every function: how it is called, and what for.
pub fn functions_reference() -> Document {
    let mut out = Document { title: "Functions".to_owned(), parts: Vec::new() };
    let rows = functions().iter().map(|row| {
        vec![Text::code(row.signature()), Text::code(row.returns.to_string()), Text::words(row.description)]
    });
    out.parts.push(Part::Table(vec!["Function", "Gives", "What for"], rows.collect()));
    out
}

/// Every kind of file, and what may be in it.
pub fn language_reference() -> Document {
    let mut out = Document { title: "Definition files".to_owned(), parts: Vec::new() };
    for kind in language() {
        out.heading(1, Text::code(kind.files));
        out.paragraph(Text::words(kind.description));
        shape(&mut out, kind.shape, &mut Vec::new());
    }
    out
}

/// Blocks are at most so deep in one another.
const DEEPEST: usize = 8;

fn shape(out: &mut Document, of: &Shape, path: &mut Vec<&'static str>) {
    let arguments = of.arguments.iter().map(|argument| {
        let needed = if argument.required { "required" } else { "" };
        vec![Text::code(argument.name), Text::words(needed), Text::words(argument.description)]
    });
    let blocks = of.blocks.iter().map(|nested| {
        let labels: String = nested.labels.iter().map(|label| format!(" \"{}\"", label.to_uppercase())).collect();
        let times = match nested.times {
            Times::Any => "any number",
            Times::AtMostOnce => "at most one",
            Times::Once => "one, required",
        };
        vec![
            Text::code(format!("{}{labels} {{ … }}", nested.kind)),
            Text::words(times),
            Text::words(nested.description),
        ]
    });
    let rows: Vec<Vec<Text>> = arguments.chain(blocks).collect();
    if !rows.is_empty() {
        out.parts.push(Part::Table(vec!["Name", "How often", "What for"], rows));
    }
    if of.open {
        out.paragraph(Text::words("More may stand here: what its type, its kind or whoever reads it says."));
    }
    if path.len() >= DEEPEST {
        return;
    }
    for nested in
        of.blocks.iter().filter(|nested| !nested.shape.arguments.is_empty() || !nested.shape.blocks.is_empty())
    {
        path.push(nested.kind);
        out.heading(2, Text::code(path.join(" › ")));
        shape(out, nested.shape, path);
        path.pop();
    }
}
