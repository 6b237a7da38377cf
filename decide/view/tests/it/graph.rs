use std::collections::BTreeSet;
use std::fmt::Write;

use andon_view::graph::{Cluster, ClusterKind, Collapse, Node, NodeKind, Picture, dot, mermaid, picture, svg};
use proptest::prelude::*;

use crate::project;

/// The arrows of a picture: `reader > read`.
fn arrows(picture: &Picture) -> String {
    let address = |at: usize| picture.nodes[at].address.as_str();
    let all: Vec<String> =
        picture.edges.iter().map(|(from, to)| format!("{} > {}", address(*from), address(*to))).collect();
    all.join(", ")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(arrows(&picture(&project(&[("main.tf", text)]), &[])), expected, "{text}");
}

#[test]
fn references_are_followed_through_values() {
    let base = "resource \"t\" \"a\" {}\nresource \"t\" \"b\" {\n  x = 1\n}\n";
    let with = |rest: &str| format!("{base}{rest}");
    for (text, expected) in [
        ("resource \"t\" \"c\" {\n  x = t.a.id\n}\n", "t.c > t.a"),
        ("resource \"t\" \"c\" {\n  x = [t.a[0].id, t.a[1].id, t.b]\n}\n", "t.c > t.a, t.c > t.b"),
        ("locals {\n  l = t.a\n  m = local.l\n}\nresource \"t\" \"c\" {\n  x = local.m\n}\n", "t.c > t.a"),
        ("resource \"t\" \"c\" {\n  count = t.a.n\n}\n", "t.c > t.a"),
        ("resource \"t\" \"c\" {\n  for_each = t.a.n\n}\n", "t.c > t.a"),
        ("resource \"t\" \"c\" {\n  depends_on = [t.a]\n}\n", "t.c > t.a"),
        ("resource \"t\" \"c\" {\n  b {\n    c {\n      x = \"-${t.a.id}-\"\n    }\n  }\n}\n", "t.c > t.a"),
        (
            "resource \"t\" \"c\" {\n  dynamic \"t\" {\n    for_each = t.a.all\n    content {\n      x = t.value\n    }\n  }\n}\n",
            "t.c > t.a",
        ),
        ("resource \"t\" \"c\" {\n  lifecycle {\n    replace_triggered_by = [t.b]\n  }\n}\n", "t.c > t.b"),
        (
            "data \"t\" \"c\" {\n  x = t.a.id\n}\nresource \"t\" \"d\" {\n  x = data.t.c.id\n}\n",
            "t.d > data.t.c, data.t.c > t.a",
        ),
        ("resource \"t\" \"c\" {\n  x = [for a in [1] : a]\n}\n", ""),
        ("resource \"t\" \"c\" {\n  x = [for t in [1] : t.a]\n}\n", ""),
        ("resource \"t\" \"c\" {\n  x = self.a\n  y = path.module\n  z = nothing.here\n}\n", ""),
        ("output \"o\" {\n  value = t.a\n}\n", ""),
    ] {
        check(&with(text), expected);
    }
}

#[test]
fn references_are_followed_through_modules() {
    let inner = "variable \"i\" {}\nresource \"t\" \"in\" {\n  x = var.i\n}\noutput \"o\" {\n  value = t.in.id\n}\n";
    for (main, expected) in [
        ("module \"m\" {\n  source = \"./m\"\n  i = t.a.id\n}\nresource \"t\" \"a\" {}\n", "module.m.t.in > t.a"),
        (
            "module \"m\" {\n  source = \"./m\"\n  i = 1\n}\nresource \"t\" \"a\" {\n  x = module.m.o\n}\n",
            "t.a > module.m.t.in",
        ),
        (
            "module \"m\" {\n  source = \"./m\"\n  i = 1\n}\nresource \"t\" \"a\" {\n  x = module.m\n}\n",
            "t.a > module.m.t.in",
        ),
        (
            "module \"m\" {\n  source = \"./m\"\n  i = 1\n  count = 2\n}\nresource \"t\" \"a\" {\n  x = module.m[0].o\n}\n",
            "t.a > module.m.t.in",
        ),
        (
            "module \"m\" {\n  source = \"./m\"\n  i = 1\n  depends_on = [t.a]\n}\nresource \"t\" \"a\" {}\n",
            "module.m.t.in > t.a",
        ),
        (
            "module \"m\" {\n  source = \"./m\"\n  i = module.n.o\n}\nmodule \"n\" {\n  source = \"./m\"\n  i = 1\n}\n",
            "module.m.t.in > module.n.t.in",
        ),
    ] {
        let project = project(&[("main.tf", main), ("m/main.tf", inner)]);
        assert_eq!(arrows(&picture(&project, &[])), expected, "{main}");
    }
}

/// Two stacks, an image and roles.
fn shop() -> andon_lang::definitions::Project {
    project(&[
        ("andon.hcl", "project \"shop\" {}\n"),
        (
            "stacks/net/main.tf",
            "resource \"t\" \"n\" {}\nresource \"t\" \"other\" {}\noutput \"net\" {\n  value = t.n.id\n}\noutput \"other\" {\n  value = t.other.id\n}\n",
        ),
        (
            "stacks/web/main.tf",
            "data \"andon_stack\" \"net\" {\n  name = \"net\"\n}\nresource \"t\" \"s\" {\n  x = data.andon_stack.net.outputs.net\n}\n\
             resource \"andon_host\" \"h\" {\n  connection = t.s.c\n  roles = [\"web\"]\n}\nresource \"andon_image\" \"i\" {\n  definition = \"web\"\n}\n",
        ),
        (
            "images/web.image.hcl",
            "image \"base\" {\n  from = \"debian:bookworm\"\n}\nimage \"web\" {\n  from  = image.base\n  roles = [\"web\"]\n}\n",
        ),
        ("roles/web.role.hcl", "role \"base\" {}\nrole \"web\" {\n  inherits = [\"base\"]\n}\n"),
    ])
}

#[test]
fn stacks_images_and_roles_are_one_picture() {
    assert_eq!(
        arrows(&picture(&shop(), &[])),
        "web/andon_host.h > web/t.s, web/andon_host.h > role.web, web/andon_image.i > image.web, \
         web/t.s > web/data.andon_stack.net, web/data.andon_stack.net > net/t.n, image.web > image.base, \
         image.web > role.web, role.web > role.base"
    );
    assert_eq!(
        arrows(&picture(&shop(), &["web".into()])),
        "web/andon_host.h > web/t.s, web/andon_host.h > role.web, web/andon_image.i > image.web, \
         web/t.s > web/data.andon_stack.net, web/data.andon_stack.net > net, image.web > image.base, \
         image.web > role.web, role.web > role.base"
    );
    assert_eq!(picture(&shop(), &["net".into()]).nodes.len(), 2);
    assert_eq!(
        arrows(&picture(&shop(), &[]).collapsed(Collapse::Stacks)),
        "web > net, web > image.web, web > role.web, image.web > image.base, image.web > role.web, role.web > role.base"
    );
}

#[test]
fn a_thousand_become_few() {
    let mut text = String::from("resource \"net\" \"n\" {}\n");
    for at in 0..1000 {
        let _ = writeln!(text, "resource \"server\" \"s{at}\" {{\n  x = net.n.id\n}}");
    }
    let whole = picture(&project(&[("main.tf", &text)]), &[]);
    assert_eq!((whole.nodes.len(), whole.edges.len()), (1001, 1000));
    let few = whole.collapsed(Collapse::Types);
    assert_eq!(arrows(&few), "server > net.n");
    assert_eq!(few.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n", "1000 ×"]);
}

#[test]
fn a_value_between_many_and_many_is_drawn() {
    let mut text = String::new();
    for at in 0..30 {
        let _ = writeln!(text, "resource \"a\" \"a{at}\" {{}}\nresource \"b\" \"b{at}\" {{\n  x = local.all\n}}");
    }
    let all: Vec<String> = (0..30).map(|at| format!("a.a{at}")).collect();
    let _ = writeln!(text, "locals {{\n  all = [{}]\n}}", all.join(", "));
    let found = picture(&project(&[("main.tf", &text)]), &[]);
    assert_eq!(found.edges.len(), 60);
    assert!(found.nodes.iter().any(|node| node.address == "local.all" && node.kind == NodeKind::Value));
}

#[test]
fn names_are_escaped_in_every_format() {
    let nasty = "a\"b\\c<d>&e;#f]\n]]>é";
    let node = Node {
        name: nasty.into(),
        what: "t".into(),
        address: nasty.into(),
        kind: NodeKind::Resource,
        cluster: Some(0),
    };
    let cluster = Cluster { label: nasty.into(), kind: ClusterKind::Stack, parent: None };
    let picture = Picture { title: nasty.into(), clusters: vec![cluster], nodes: vec![node], edges: vec![] };
    insta::assert_snapshot!(dot(&picture), @r#"
    digraph "a\"b\\c<d>&e;#f]\n]]>é" {
      rankdir = "RL"
      node [shape = box, style = rounded, fontname = "sans-serif", fontsize = 11]
      edge [arrowsize = 0.7]
      subgraph cluster_0 {
        label = "stack a\"b\\c<d>&e;#f]\n]]>é"
        style = rounded
        "a\"b\\c<d>&e;#f]\n]]>é" [label = "t\na\"b\\c<d>&e;#f]\n]]>é"]
      }
    }
    "#);
    insta::assert_snapshot!(mermaid(&picture), @r##"
    flowchart RL
      subgraph c0["stack a#34;b#92;c#60;d#62;#38;e#59;#35;f#93; #93;#93;#62;é"]
        n0["t<br>a#34;b#92;c#60;d#62;#38;e#59;#35;f#93; #93;#93;#62;é"]
      end
    "##);
    let drawn = svg(&picture);
    assert!(drawn.contains("a&quot;b\\c&lt;d&gt;&amp;e;#f]"), "{drawn}");
    assert!(!drawn.contains("<d>"), "{drawn}");
}

#[test]
fn nothing_is_a_picture_too() {
    let nothing = Picture { title: "empty".into(), ..Picture::default() };
    assert!(svg(&nothing).contains("nothing and 0 references"));
    assert_eq!(mermaid(&nothing), "flowchart RL\n");
}

/// The rectangles of the nodes, as the SVG text has them.
fn rectangles(svg: &str) -> Vec<[f64; 4]> {
    let number = |line: &str, name: &str| -> f64 {
        let from = line.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        line[from..].split('"').next().unwrap().parse().unwrap()
    };
    let bodies = svg.lines().filter_map(|line| line.split("<rect class=\"body\"").nth(1));
    bodies.map(|rest| ["x", "y", "width", "height"].map(|name| number(rest, name))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever the arrows, circles among them: no node lies on another, none outside the picture, and it is drawn alike again.
    #[test]
    fn nodes_never_overlap(
        parents in prop::collection::vec(prop::option::of(0usize..8), 0..8),
        places in prop::collection::vec(prop::option::of(0usize..8), 0..40),
        edges in prop::collection::vec((0usize..40, 0usize..40), 0..90),
    ) {
        let clusters: Vec<Cluster> = parents.iter().enumerate().map(|(at, parent)| Cluster {
            label: format!("c{at}"),
            kind: ClusterKind::Module,
            parent: parent.filter(|parent| *parent < at),
        }).collect();
        let nodes: Vec<Node> = places.iter().enumerate().map(|(at, place)| Node {
            name: format!("n{at}"),
            what: "t".repeat(at % 9),
            address: format!("n{at}"),
            kind: NodeKind::Resource,
            cluster: place.filter(|place| *place < clusters.len()),
        }).collect();
        let edges: BTreeSet<(usize, usize)> =
            edges.into_iter().filter(|(from, to)| from != to && *from < nodes.len() && *to < nodes.len()).collect();
        let picture = Picture { title: "p".into(), clusters, nodes, edges: edges.into_iter().collect() };
        let drawn = svg(&picture);
        prop_assert_eq!(&drawn, &svg(&picture));
        let found = rectangles(&drawn);
        prop_assert_eq!(found.len(), picture.nodes.len());
        let size = drawn.split("viewBox=\"0 0 ").nth(1).unwrap().split('"').next().unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        let (width, height): (f64, f64) = (width.parse().unwrap(), height.parse().unwrap());
        for (at, [x, y, w, h]) in found.iter().enumerate() {
            prop_assert!(*x >= 0.0 && *y >= 0.0 && x + w <= width && y + h <= height, "{} is outside", at);
            for [ox, oy, ow, oh] in &found[at + 1..] {
                let apart = x + w <= *ox || ox + ow <= *x || y + h <= *oy || oy + oh <= *y;
                prop_assert!(apart, "{} overlaps another in\n{}", at, drawn);
            }
        }
    }
}
