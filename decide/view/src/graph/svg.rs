//! A picture as SVG: one self-contained file, legible on light and dark ground, with a title and a description for
//! those who do not see it.

use std::collections::BTreeSet;
use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::layered::Link;
use super::layout::{HEAD, Layout, PADDING, layout};
use super::{NodeKind, Picture};

/// A node's height.
const NODE_HEIGHT: f64 = 40.0;
/// How wide one letter of a node's name is, about: 12 px of a sans-serif face.
const LETTER: f64 = 7.1;
/// A longer name is cut; the whole is in the node's title.
const LONGEST: usize = 34;
/// The height of the legend.
const LEGEND: f64 = 30.0;

const STYLE: &str = "
  .andon-graph { --ground: #ffffff; --box: #f5f7f9; --inner: #ffffff; --line: #8a97a6; --edge: #d3dae2; --text: #17212b; \
--soft: #5b6875;
    --resource: #2f6fb5; --data: #6b7b8c; --host: #b0562a; --image: #7a4fb3; --role: #1f8a5b; --value: #9a7b12; \
--module: #2b7f8c; --stack: #37475a;
    background: var(--ground); font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
  @media (prefers-color-scheme: dark) { .andon-graph { --ground: #12171d; --box: #192028; --inner: #202933; --line: #77879a; \
--edge: #344252; --text: #e8edf2; --soft: #9fb0c0;
    --resource: #69a8ec; --data: #95a5b6; --host: #e58d5c; --image: #b48cf0; --role: #57c694; --value: #d9b840; \
--module: #63bccb; --stack: #a3b4c7; } }
  .andon-graph .box { fill: var(--box); stroke: var(--edge); }
  .andon-graph .box.inner { fill: var(--ground); }
  .andon-graph .head { font-size: 12px; font-weight: 600; fill: var(--soft); }
  .andon-graph .node rect.body { fill: var(--inner); stroke: var(--edge); }
  .andon-graph .node.data rect.body { stroke-dasharray: 4 3; stroke: var(--line); }
  .andon-graph .name { font-size: 12px; font-weight: 600; fill: var(--text); }
  .andon-graph .what { font-size: 10.5px; fill: var(--soft); }
  .andon-graph .link { fill: none; stroke: var(--line); stroke-width: 1.3; }
  .andon-graph .tip { fill: var(--line); }
";

/// The picture as an SVG document.
pub fn svg(picture: &Picture) -> String {
    let sizes: Vec<(f64, f64)> = picture
        .nodes
        .iter()
        .map(|node| {
            let longest = shortened(&node.name).width().max(shortened(&node.what).width());
            ((longest as f64 * LETTER + 30.0).max(96.0).round(), NODE_HEIGHT)
        })
        .collect();
    let layout = layout(picture, &sizes);
    let kinds: BTreeSet<NodeKind> = picture.nodes.iter().map(|node| node.kind).collect();
    let width = layout.width.max(kinds.len() as f64 * 92.0 + 32.0).ceil();
    let height = (layout.height + LEGEND).ceil();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"andon-graph\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"andon-graph-title andon-graph-desc\">\n"
    );
    let _ = writeln!(out, "<title id=\"andon-graph-title\">{}</title>", escape(&picture.title));
    let _ = writeln!(out, "<desc id=\"andon-graph-desc\">{}</desc>", escape(&description(picture)));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    out.push_str(
        "<defs><marker id=\"andon-graph-tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0 0.8 L8 4 L0 7.2 z\"/></marker></defs>\n",
    );
    clusters(&mut out, picture, &layout);
    out.push_str("<g class=\"links\">\n");
    layout.links.iter().for_each(|link| draw_link(&mut out, link));
    out.push_str("</g>\n");
    nodes(&mut out, picture, &layout);
    legend(&mut out, &kinds, layout.height);
    out.push_str("</svg>\n");
    out
}

fn description(picture: &Picture) -> String {
    let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut parts = Vec::new();
    for kind in NodeKind::ALL {
        let found = picture.nodes.iter().filter(|node| node.kind == kind).count();
        if found > 0 {
            parts.push(count(found, kind.legend()));
        }
    }
    let things = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    let edges = count(picture.edges.len(), "reference");
    format!("{things} and {edges}. An arrow goes from what reads to what it reads.")
}

fn clusters(out: &mut String, picture: &Picture, layout: &Layout) {
    for (cluster, (x, y, width, height)) in picture.clusters.iter().zip(&layout.clusters) {
        let depth = std::iter::successors(cluster.parent, |at| picture.clusters.get(*at).and_then(|it| it.parent));
        let inner = if depth.count() % 2 == 1 { " inner" } else { "" };
        let label = cluster.caption();
        let room = ((width - 2.0 * PADDING) / LETTER).max(4.0) as usize;
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect class=\"box{inner}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>\
             <text class=\"head\" x=\"{}\" y=\"{}\">{}</text></g>",
            escape(&label),
            number(*x),
            number(*y),
            number(*width),
            number(*height),
            number(x + PADDING),
            number(y + HEAD - 7.0),
            escape(&cut(&label, room)),
        );
    }
}

fn draw_link(out: &mut String, link: &Link) {
    let ((from, begin, from_y), (end, to, to_y)) = (link.from, link.to);
    let half = ((begin - end) / 2.0).max(24.0);
    let mut path = format!("M{} {}", number(from), number(from_y));
    if (from - begin).abs() > 0.05 {
        let _ = write!(path, "H{}", number(begin));
    }
    let _ = write!(
        path,
        "C{} {} {} {} {} {}",
        number(begin - half),
        number(from_y),
        number(end + half),
        number(to_y),
        number(end),
        number(to_y)
    );
    if (end - to).abs() > 0.05 {
        let _ = write!(path, "H{}", number(to));
    }
    let tip = |drawn: bool, place: &str| match drawn {
        true => format!(" marker-{place}=\"url(#andon-graph-tip)\""),
        false => String::new(),
    };
    let (tail, head) = (tip(link.heads.1, "start"), tip(link.heads.0, "end"));
    let _ = writeln!(out, "<path class=\"link\" d=\"{path}\"{tail}{head}/>");
}

fn nodes(out: &mut String, picture: &Picture, layout: &Layout) {
    for (node, (x, y, width, height)) in picture.nodes.iter().zip(&layout.nodes) {
        let word = node.kind.word();
        let _ = writeln!(
            out,
            "<g class=\"node {word}\"><title>{}</title>\
             <rect class=\"body\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\"/>\
             <rect x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\" rx=\"2\" fill=\"var(--{word})\"/>\
             <text class=\"name\" x=\"{}\" y=\"{}\">{}</text><text class=\"what\" x=\"{}\" y=\"{}\">{}</text></g>",
            escape(&node.address),
            number(*x),
            number(*y),
            number(*width),
            number(*height),
            number(x + 5.0),
            number(y + 6.0),
            number(height - 12.0),
            number(x + 16.0),
            number(y + 17.0),
            escape(&shortened(&node.name)),
            number(x + 16.0),
            number(y + 31.0),
            escape(&shortened(&node.what)),
        );
    }
}

fn legend(out: &mut String, kinds: &BTreeSet<NodeKind>, top: f64) {
    let mut x = 16.0;
    for kind in NodeKind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        let _ = writeln!(
            out,
            "<g><rect x=\"{}\" y=\"{}\" width=\"4\" height=\"12\" rx=\"2\" fill=\"var(--{})\"/>\
             <text class=\"what\" x=\"{}\" y=\"{}\">{}</text></g>",
            number(x),
            number(top + 4.0),
            kind.word(),
            number(x + 9.0),
            number(top + 14.0),
            kind.legend(),
        );
        x += kind.legend().len() as f64 * 6.4 + 32.0;
    }
}

fn shortened(text: &str) -> String {
    cut(text, LONGEST)
}

fn cut(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    for character in text.chars() {
        if out.width() + 2 > most {
            break;
        }
        out.push(character);
    }
    out.push('…');
    out
}

/// One digit behind the point is enough.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text in an element or an attribute. Control characters have no place in XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
