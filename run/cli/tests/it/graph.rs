//! `andon graph`: whole terminals, and Graphviz as the judge of what is said to be its language.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Project;

fn small() -> Project {
    let project = Project::empty("graph");
    project.write("main.tf", "resource \"terraform_data\" \"a\" {}\n\nmodule \"m\" {\n  source = \"./m\"\n  id     = terraform_data.a.id\n}\n");
    project.write("m/main.tf", "variable \"id\" {}\n\nresource \"terraform_data\" \"b\" {\n  input = var.id\n}\n");
    project.write("andon.hcl", "project \"small\" {}\n");
    project
}

/// Whether Graphviz reads it; `None` where there is no Graphviz.
fn graphviz_reads(text: &str) -> Option<bool> {
    let child = Command::new("dot").arg("-Tcanon").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: there is no `dot` on PATH");
        return None;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait().unwrap().success())
}

#[test]
fn a_project_is_drawn_in_each_format() {
    let project = small();
    insta::assert_snapshot!(project.ok(&["graph"]).out, @r#"
    digraph "small" {
      rankdir = "RL"
      node [shape = box, style = rounded, fontname = "sans-serif", fontsize = 11]
      edge [arrowsize = 0.7]
      subgraph cluster_0 {
        label = "stack small"
        style = rounded
        "terraform_data.a" [label = "terraform_data\na"]
        subgraph cluster_1 {
          label = "module.m"
          style = rounded
          "module.m.terraform_data.b" [label = "terraform_data\nb"]
        }
      }
      "module.m.terraform_data.b" -> "terraform_data.a"
    }
    "#);
    insta::assert_snapshot!(project.ok(&["graph", "--format", "mermaid"]).out, @r#"
    flowchart RL
      subgraph c0["stack small"]
        n0["terraform_data<br>a"]
        subgraph c1["module.m"]
          n1["terraform_data<br>b"]
        end
      end
      n1 --> n0
    "#);
    insta::assert_snapshot!(project.ok(&["graph", "--json"]).out, @r#"{"edges":[{"from":"module.m.terraform_data.b","to":"terraform_data.a"}],"format_version":"1.0","nodes":[{"address":"terraform_data.a","kind":"resource","name":"a","type":"terraform_data","within":["small"]},{"address":"module.m.terraform_data.b","kind":"resource","name":"b","type":"terraform_data","within":["small","module.m"]}],"project":"small"}"#);
    insta::assert_snapshot!(project.ok(&["graph", "--collapse", "modules", "-f", "mermaid"]).out, @r#"
    flowchart RL
      subgraph c0["stack small"]
        n0["terraform_data<br>a"]
        n1[/"module of 1<br>m"/]
      end
      n1 --> n0
    "#);
    let svg = project.ok(&["graph", "-f", "svg"]).out;
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains("<title id=\"andon-graph-title\">small</title>"), "{svg}");
    project.ok(&["graph", "-f", "svg", "-o", "picture.svg"]);
    assert_eq!(std::fs::read_to_string(project.directory.join("picture.svg")).unwrap(), svg);
}

#[test]
fn graphviz_reads_what_is_said_to_be_dot() {
    for project in [small(), Project::shop("graph-shop")] {
        for words in [&["graph"][..], &["graph", "--collapse", "types"], &["graph", "--collapse", "stacks"]] {
            let text = project.ok(words).out;
            assert_ne!(graphviz_reads(&text), Some(false), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let project = Project::shop("graph-bad");
    insta::assert_snapshot!(project.exits(1, &["graph", "wbe"]).err, @r"
    error: there is no stack `wbe`
      help: Did you mean `web`?
    ");
    insta::assert_snapshot!(project.exits(1, &["graph", "--stack", "wbe"]).err, @r"
    error: there is no stack `wbe`
      help: Did you mean `web`?
    ");
    insta::assert_snapshot!(project.exits(1, &["graph", "-o", "nowhere/x.dot"]).err, @r"
    error: `nowhere/x.dot` cannot be written: No such file or directory (os error 2)
      help: Make the directory first.
    ");
    insta::assert_snapshot!(project.exits(1, &["graph", "--format", "png"]).err, @r"
    error: invalid value 'png' for '--format <FORMAT>'
      [possible values: dot, mermaid, svg]

    For more information, try '--help'.
    ");
    project.write("stacks/web/broken.tf", "output \"o\" {\n  value = local.nothing\n}\n");
    insta::assert_snapshot!(project.exits(1, &["graph"]).err, @r#"
    error: there is no local "nothing"
     --> stacks/web/broken.tf:2:11
      |
    2 |   value = local.nothing
      |           ^^^^^^^^^^^^^
      |
      = help: Define it: locals { nothing = … }
    "#);
}

#[test]
fn a_picture_needs_no_values() {
    let project = small();
    project.write("needed.tf", "variable \"needed\" {}\n");
    project.write("andon.hcl", "project \"small\" {}\nenvironment \"dev\" {}\n");
    assert!(project.exits(1, &["check"]).err.contains("gives no value"));
    let ran = project.ok(&["graph"]);
    assert!(ran.err.is_empty() && ran.out.contains("terraform_data.a"), "{ran}");
}
