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
}

#[test]
fn the_reference_of_the_language_has_all_that_is_built_in() {
    let project = Project::empty("docs-language");
    let text = project.ok(&["docs", "--language"]).out;
    for expected in [
        "### `resource › lifecycle`",
        "## Host resources of roles",
        "| `reloads` |  | Services that are reloaded when it changes. |",
        "### `file \"NAME\"`",
        "### `http \"NAME\"`",
        "### `lab_server`",
        "### `terraform_data`",
        "### `andon_stack`",
        "| `unused-variable` | on |",
        "| `memory` | `string`<br>an amount of memory, such as `\"256M\"` |",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn defaults_stand_in_types() {
    let project = Project::empty("docs-defaults");
    let object =
        "object({ a = optional(string, \"x|y\"), b = optional(list(object({ c = optional(number, 1) }))), d = bool })";
    project.write(
        "main.tf",
        &format!(
            "variable \"plain\" {{\n  type = {object}\n}}\nvariable \"secret\" {{\n  type = map(object({{ a = optional(string, \"hush\") }}))\n  sensitive = true\n}}\n\
             variable \"both\" {{\n  type = tuple([string, object({{ a = optional(string, null) }})])\n}}\n"
        ),
    );
    let text = project.ok(&["docs"]).out;
    for expected in [
        object.replace('|', "\\|").as_str(),
        "`map(object({ a = optional(string) }))`",
        "`tuple([string, object({ a = optional(string, null) })])`",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn the_example_says_what_it_holds() {
    let project = Project::shop("docs-example");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop");
    let readme = fs::read_to_string(format!("{root}/README.md")).unwrap();
    project.write("README.md", &readme);
    project.ok(&["docs", "--inject", "README.md", "--check"]);
}

/// What is wrong with a page as XML would see it: tags that do not match, links that lead nowhere, a name twice.
fn page_problems(page: &str) -> Vec<String> {
    const ALONE: [&str; 4] = ["meta", "br", "img", "!doctype"];
    let (mut open, mut wrong) = (Vec::new(), Vec::new());
    let (mut ids, mut links) = (std::collections::BTreeSet::new(), Vec::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else { return vec!["a tag has no end".to_owned()] };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        let name = tag.trim_end_matches('/').split([' ', '\n']).next().unwrap_or("");
        if let Some(closed) = name.strip_prefix('/') {
            if open.pop() != Some(closed) {
                wrong.push(format!("</{closed}> closes what is not open"));
            }
        } else if !tag.ends_with('/') && !ALONE.contains(&name) {
            open.push(name);
        }
        let value = |key: &str| tag.split(&format!(" {key}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        if let Some(id) = value("id")
            && !ids.insert(id)
        {
            wrong.push(format!("the id {id} is there twice"));
        }
        links.extend(value("href"));
    }
    wrong.extend(open.iter().map(|name| format!("<{name}> is never closed")));
    let known = |link: &&str| link.strip_prefix('#').is_some_and(|id| ids.contains(id));
    wrong.extend(links.iter().filter(|link| !known(link)).map(|link| format!("{link} leads nowhere")));
    wrong
}

#[test]
fn pages_are_well_formed_and_their_links_lead_somewhere() {
    let plain = project("docs-page");
    let shop = Project::shop("docs-page-shop");
    for page in [
        plain.ok(&["docs", "--format", "html"]).out,
        shop.ok(&["docs", "--format", "html"]).out,
        plain.ok(&["docs", "--language", "--format", "html"]).out,
        plain.ok(&["docs", "--functions", "--format", "html"]).out,
    ] {
        assert_eq!(page_problems(&page), Vec::<String>::new());
    }
    assert_eq!(page_problems("<p><b></p></b>").len(), 2);
    assert_eq!(page_problems("<a href=\"#x\"></a>").len(), 1);
}

/// The contrast of two colours, from 1 to 21: <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>.
fn contrast(one: &str, other: &str) -> f64 {
    let light = |colour: &str| {
        let digits = colour.trim_start_matches('#');
        let digits =
            if digits.len() == 3 { digits.chars().flat_map(|digit| [digit; 2]).collect() } else { digits.to_owned() };
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn pages_are_read_by_day_and_by_night() {
    let page = project("docs-colours").ok(&["docs", "--format", "html"]).out;
    let (_, style) = page.split_once("<style>").unwrap();
    let sets: Vec<&str> = style.split(":root{").skip(1).filter_map(|set| set.split('}').next()).collect();
    assert_eq!(sets.len(), 2, "one set of colours for each scheme");
    assert!(style.contains("@media(prefers-color-scheme:dark)") && style.contains("color-scheme:light dark"));
    for set in sets {
        let colour =
            |name: &str| set.split(&format!("--{name}:")).nth(1).and_then(|rest| rest.split(';').next()).unwrap();
        for text in ["text", "soft", "link"] {
            for back in ["back", "code"] {
                let ratio = contrast(colour(text), colour(back));
                assert!(ratio >= 4.5, "{text} on {back}: {ratio:.2} in {set}");
            }
        }
    }
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
