//! The reference of the language itself, from the same tables that checks, completion and errors come from.

use andon_lang::functions::functions;
use andon_lang::{Shape, Times, host_resource, language, lints};
use andon_schema::{Attribute, Block, Schemas};
use andon_value::Type;

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

/// Every kind of file, and what may be in it; what is built in of resources and checks; and the lints.
pub fn language_reference(schemas: &Schemas) -> Document {
    let mut out = Document { title: "Definition files".to_owned(), parts: Vec::new() };
    for kind in language() {
        out.heading(1, Text::code(kind.files));
        out.paragraph(Text::words(kind.description));
        shape(&mut out, kind.shape, &mut Vec::new());
    }
    out.heading(1, Text::words("Host resources of roles"));
    out.paragraph(Text::words("Every one of them takes these arguments, and those of its kind:"));
    names(&mut out, host_resource());
    kinds(&mut out, schemas.host.iter().map(|(name, block)| (name, "\"NAME\"", block)));
    out.heading(1, Text::words("Assertions of checks"));
    out.paragraph(Text::words("In the ").and_code("check").and(" blocks of roles and tests:"));
    kinds(&mut out, schemas.checks.iter().map(|(name, block)| (name, "\"NAME\"", block)));
    out.heading(1, Text::words("Built-in resources of stacks"));
    kinds(&mut out, schemas.resources.iter().map(|(name, schema)| (name, "", &schema.block)));
    out.heading(1, Text::words("Built-in data sources of stacks"));
    kinds(&mut out, schemas.data.iter().map(|(name, schema)| (name, "", &schema.block)));
    out.heading(1, Text::words("Lints"));
    let rows = lints().iter().map(|lint| {
        let on = if lint.on { "on" } else { "off" };
        vec![Text::code(lint.name), Text::words(on), Text::words(format!("{} {}", lint.what, lint.why))]
    });
    out.parts.push(Part::Table(vec!["Name", "Unless switched", "What it finds, and why"], rows.collect()));
    out
}

fn kinds<'s>(out: &mut Document, all: impl Iterator<Item = (&'s String, &'static str, &'s Block)>) {
    for (name, label, block) in all {
        out.heading(2, Text::code(format!("{name} {label}").trim_end()));
        if !block.description.is_empty() {
            out.paragraph(marked(&block.description));
        }
        attributes(out, block);
        for (kind, nested) in &block.blocks {
            out.heading(3, Text::code(format!("{name} › {kind}")));
            attributes(out, &nested.block);
        }
    }
}

fn attributes(out: &mut Document, block: &Block) {
    let rows = block.attributes.iter().map(|(name, attribute)| {
        let needed = match attribute {
            Attribute { required: true, .. } => "required",
            Attribute { optional: true, .. } => "",
            _ => "given out",
        };
        let ty = if attribute.ty == Type::Dynamic { "any".to_owned() } else { attribute.ty.to_string() };
        let ty = match &attribute.format {
            Some(format) => {
                Text::code(ty).next_line().and(format!("{}, such as ", format.name)).and_code(format.example)
            }
            None => Text::code(ty),
        };
        vec![Text::code(name), ty, Text::words(needed), marked(&attribute.description)]
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    if !rows.is_empty() {
        out.parts.push(Part::Table(vec!["Name", "Type", "Given", "What for"], rows));
    }
}

/// Text with code between backticks.
fn marked(text: &str) -> Text {
    let pieces = text.split('`').enumerate();
    pieces.fold(Text::default(), |text, (at, piece)| if at % 2 == 0 { text.and(piece) } else { text.and_code(piece) })
}

/// Blocks are at most so deep in one another.
const DEEPEST: usize = 8;

fn shape(out: &mut Document, of: &Shape, path: &mut Vec<&'static str>) {
    names(out, of);
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

/// A table of the arguments and blocks of a shape.
fn names(out: &mut Document, of: &Shape) {
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
}
