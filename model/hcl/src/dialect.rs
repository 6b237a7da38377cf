//! What Terraform's own files may not hold, though the grammar here takes it: roles, tests and images may.

use andon_text::{Diagnostic, Diagnostics, deeper};

use crate::ast::{Block, Body};

/// An error at each label with interpolations, and at each block inside a block that is written on one line: Terraform
/// refuses both wherever they are. `text` is what the body was read from.
pub fn beyond_terraform(body: &Body, text: &str) -> Diagnostics {
    let mut out = Diagnostics::new();
    for block in body.blocks() {
        look_into(block, text, &mut out);
    }
    out
}

fn look_into(block: &Block, text: &str, out: &mut Diagnostics) {
    for (label, template) in block.labels.iter().zip(&block.label_templates) {
        if template.is_some() {
            let diagnostic = Diagnostic::error("a label cannot be computed").at(label.span);
            let diagnostic = diagnostic.label("this holds ${…} or %{…}");
            out.push(diagnostic.help("Write the label out. For the characters themselves, write $${ or %%{."));
        }
    }
    let line_start = block.body.span.map_or(block.head.end, |span| span.start);
    for (at, inner) in block.body.blocks().enumerate() {
        let before = text.get(line_start as usize..inner.head.start as usize).unwrap_or("");
        if at == 0 && !before.contains('\n') {
            let diagnostic = Diagnostic::error("a block in a block that is on one line").at(inner.head);
            let help = "Put it on a line of its own, or write = after its name if it is an argument.";
            out.push(diagnostic.label("a block on one line holds at most one argument").help(help));
        }
        deeper(|| look_into(inner, text, out));
    }
}
