//! `andon docs`: what it says of a project, and how it keeps a README current.

use std::fs;

use crate::support::Project;

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write(
        "main.tf",
        "variable \"shape\" {\n  type = object({ a = string, b = optional(list(number)) })\n  description = \"A | <b>\\n*c*\"\n  nullable = false\n}\n\
         variable \"token\" {\n  default = \"hush\"\n  sensitive = true\n}\n\
         variable \"size\" {\n  default = 2\n  validation {\n    condition = var.size > 0\n    error_message = \"Size is above 0.\"\n  }\n}\n\
         resource \"terraform_data\" \"one\" { count = var.size }\n\
         module \"inner\" { source = \"./inner\" }\n\
         output \"out\" {\n  description = \"What comes.\"\n  value = var.size\n}\n",
    );
    project.write("inner/main.tf", "output \"x\" { value = 1 }\n");
    project
}

#[test]
fn a_reference_in_markdown_html_and_json() {
    let project = project("docs-forms");
    let text = project.ok(&["docs"]).out;
    for expected in [
        "| `shape` | `object({ a = string, b = optional(list(number)) })` | required | A \\| &lt;b&gt;<br>\\*c\\*<br>(not null) |",
        "| `token` | `any` | (sensitive value) | (sensitive) |",
        "| `size` | `any` | `2` | Must hold: Size is above 0. |",
        "| `out` | What comes. |",
        "| `inner` | `./inner` |  |",
        "| `terraform_data.one` | resource | `count = var.size` |",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
    let page = project.ok(&["docs", "--format", "html"]).out;
    assert!(page.starts_with("<!doctype html>") && page.contains("A | &lt;b&gt;<br>*c*") && !page.contains("hush"));
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("url(http"), "{page}");
    let data: serde_json::Value = serde_json::from_str(&project.ok(&["docs", "--json"]).out).unwrap();
    let inputs = data["sections"].as_array().unwrap().iter().find(|section| section["heading"] == "Inputs").unwrap();
    assert_eq!(inputs["rows"].as_array().unwrap().len(), 3, "{data}");
    assert!(project.ok(&["docs", "inner"]).out.contains("| `x` |"));
    assert!(project.ok(&["docs", "--functions"]).out.contains("| `upper("));
    assert!(project.ok(&["docs", "--language"]).out.contains("### `resource › lifecycle`"));
}

#[test]
fn a_readme_is_kept_current() {
    let project = project("docs-inject");
    let readme = project.directory.join("README.md");
    fs::write(&readme, "# Mine\r\n\r\ntext  \r\n").unwrap();
    let refused = project.exits(1, &["docs", "--inject", "README.md"]);
    assert!(refused.err.contains("--add-markers"), "{refused}");
    project.ok(&["docs", "--inject", "README.md", "--add-markers"]);
    let first = fs::read_to_string(&readme).unwrap();
    assert!(first.starts_with("# Mine\r\n\r\ntext  \r\n\r\n<!-- andon docs begin -->\r\n"), "{first}");
    assert_eq!(first.matches('\n').count(), first.matches("\r\n").count());
    project.ok(&["docs", "--inject", "README.md"]);
    assert_eq!(fs::read_to_string(&readme).unwrap(), first, "a second time changes nothing");
    project.ok(&["docs", "--inject", "README.md", "--check"]);
    project.edit("main.tf", "What comes.", "What goes.");
    project.exits(3, &["docs", "--inject", "README.md", "--check"]);
    assert_eq!(fs::read_to_string(&readme).unwrap(), first, "a check writes nothing");
    project.ok(&["docs", "--inject", "README.md"]);
    assert!(fs::read_to_string(&readme).unwrap().contains("What goes."));
    project.write("README.md", "<!-- andon docs end -->\n<!-- andon docs begin -->\n");
    project.exits(1, &["docs", "--inject", "README.md"]);
}

#[test]
fn what_cannot_be_written_of() {
    let project = project("docs-bad");
    for (words, expected) in [
        (&["docs", "nowhere"][..], "is no directory"),
        (&["docs", "-o", "no/such/file.md"], "cannot be written"),
        (&["docs", "--inject", "missing.md"], "cannot be read"),
        (&["docs", "--stack", "nope"], "there is no stack `nope`"),
    ] {
        let ran = project.exits(1, words);
        assert!(ran.err.contains(expected), "{ran}");
    }
    project.write("broken.tf", "output \"x\" {\n");
    let ran = project.exits(1, &["docs"]);
    assert!(ran.err.contains("broken.tf:1"), "{ran}");
}
