//! A picture in Graphviz' language (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write;

use super::{NodeKind, Picture, contents};

/// The picture as DOT text.
pub fn dot(picture: &Picture) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quote(&picture.title));
    out.push_str(
        "  rankdir = \"RL\"\n  node [shape = box, style = rounded, fontname = \"sans-serif\", fontsize = 11]\n",
    );
    out.push_str("  edge [arrowsize = 0.7]\n");
    inside(&mut out, picture, &contents(picture), picture.clusters.len(), 1);
    for (from, to) in &picture.edges {
        let address = |at: &usize| picture.nodes.get(*at).map_or_else(String::new, |node| quote(&node.address));
        let _ = writeln!(out, "  {} -> {}", address(from), address(to));
    }
    out.push_str("}\n");
    out
}

/// What is in a box; the one past the last is what is in none.
fn inside(out: &mut String, picture: &Picture, contents: &[(Vec<usize>, Vec<usize>)], place: usize, depth: usize) {
    let Some((nodes, clusters)) = contents.get(place) else { return };
    let indent = "  ".repeat(depth);
    for node in nodes.iter().filter_map(|at| picture.nodes.get(*at)) {
        let label = format!("{}\n{}", node.what, node.name);
        let _ = writeln!(out, "{indent}{} [label = {}{}]", quote(&node.address), quote(&label), looks(node.kind));
    }
    for (at, inner) in clusters.iter().filter_map(|at| Some((*at, picture.clusters.get(*at)?))) {
        let _ = writeln!(out, "{indent}subgraph cluster_{at} {{");
        let _ = writeln!(out, "{indent}  label = {}", quote(&inner.caption()));
        let _ = writeln!(out, "{indent}  style = rounded");
        inside(out, picture, contents, at, depth + 1);
        let _ = writeln!(out, "{indent}}}");
    }
}

fn looks(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Resource => "",
        NodeKind::Data => ", style = \"rounded,dashed\"",
        NodeKind::Host => ", shape = component, style = \"\"",
        NodeKind::Image => ", shape = cylinder, style = \"\"",
        NodeKind::Role => ", shape = hexagon, style = \"\"",
        NodeKind::Value => ", shape = note, style = \"\"",
        NodeKind::Module => ", shape = folder, style = \"\"",
        NodeKind::Stack => ", shape = box3d, style = \"\"",
    }
}

/// A quoted string: a backslash begins an escape in a label, and a line break may not stand in one as it is.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
