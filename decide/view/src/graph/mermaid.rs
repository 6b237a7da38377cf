//! A picture in Mermaid's language for flowcharts (<https://mermaid.js.org/syntax/flowchart.html>).

use std::fmt::Write;

use super::{NodeKind, Picture, contents};

/// The picture as Mermaid text.
pub fn mermaid(picture: &Picture) -> String {
    let mut out = String::from("flowchart RL\n");
    inside(&mut out, picture, &contents(picture), picture.clusters.len(), 1);
    for (from, to) in &picture.edges {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    out
}

/// What is in a box; the one past the last is what is in none.
fn inside(out: &mut String, picture: &Picture, contents: &[(Vec<usize>, Vec<usize>)], place: usize, depth: usize) {
    let Some((nodes, clusters)) = contents.get(place) else { return };
    let indent = "  ".repeat(depth);
    for (at, node) in nodes.iter().filter_map(|at| Some((*at, picture.nodes.get(*at)?))) {
        let (open, close) = shape(node.kind);
        let _ = writeln!(out, "{indent}n{at}{open}\"{}<br>{}\"{close}", escape(&node.what), escape(&node.name));
    }
    for (at, inner) in clusters.iter().filter_map(|at| Some((*at, picture.clusters.get(*at)?))) {
        let _ = writeln!(out, "{indent}subgraph c{at}[\"{}\"]", escape(&inner.caption()));
        inside(out, picture, contents, at, depth + 1);
        let _ = writeln!(out, "{indent}end");
    }
}

fn shape(kind: NodeKind) -> (&'static str, &'static str) {
    match kind {
        NodeKind::Resource => ("[", "]"),
        NodeKind::Data => ("([", "])"),
        NodeKind::Host => ("[[", "]]"),
        NodeKind::Image => ("[(", ")]"),
        NodeKind::Role => ("{{", "}}"),
        NodeKind::Value => (">", "]"),
        NodeKind::Module | NodeKind::Stack => ("[/", "/]"),
    }
}

/// Text inside quotes: whatever could end it, or be read as markup, is written as an entity code.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | ';' | '`' | '\\' | '[' | ']' | '{' | '}' | '*' | '|' => {
                let _ = write!(out, "#{};", u32::from(character));
            }
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
