//! Values of input variables: where they come from, which counts, and what becomes of them.

use andon_lang::{Given, GivenArgument, check as check_project, give, given_value, load, missing_values};

use crate::schemas::schemas;
use crate::{files, render};

/// Words of a command line, as `-var a=1`, `-var-file x.tfvars`, and `TF_VAR_a=1`, one a line; a file's content is one
/// of the given files.
fn given(words: &str, project: &andon_lang::FileSet) -> Given {
    let mut given = Given::default();
    for line in words.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(path) = line.strip_prefix("-var-file ") {
            let content = project.read("", path).unwrap().clone();
            given.arguments.push(GivenArgument::File { path: path.to_owned(), content });
            continue;
        }
        let (name, text) = line.trim_start_matches("-var ").split_once('=').unwrap();
        let text = text.to_owned();
        match name.strip_prefix("TF_VAR_") {
            Some(name) => given.environment.push((name.to_owned(), text)),
            None => given.arguments.push(GivenArgument::Text { name: name.to_owned(), text }),
        }
    }
    given
}

/// The values of the variables of the one stack in the environment `default`, or what is wrong with them; and what
/// is said of the values given.
fn values(of: &str, words: &str) -> String {
    let files = files(of);
    let given = given(words, &files);
    let (mut project, mut diagnostics) = load(files, "shop");
    diagnostics.extend(give(&mut project, &given));
    let mut said = render(&diagnostics, &project.sources);
    let stack = project.stacks.values().next().unwrap();
    for (name, variable) in &stack.module.variables {
        let value = given_value(&project, "default", stack, variable)
            .and_then(|given| variable.value(given.map(|given| given.value), "variable"));
        said.push_str(&match value {
            Ok(value) => format!("{name} = {}\n", andon_value::render(&value, 0).replace('\n', "")),
            Err(errors) => render(&errors, &project.sources),
        });
    }
    said
}

fn check(of: &str, words: &str, expected: &str) {
    assert_eq!(values(of, words).trim(), expected.trim(), "{of}\n{words}");
}

#[test]
fn the_strongest_counts() {
    let mut of = "== main.tf\nvariable \"a\" {\n  type    = string\n  default = \"default\"\n}\n".to_owned();
    check(&of, "", "a = \"default\"");
    check(&of, "TF_VAR_a=env", "a = \"env\"");
    of += "== terraform.tfvars\na = \"tfvars\"\n";
    check(&of, "TF_VAR_a=env", "a = \"tfvars\"");
    of += "== z.auto.tfvars\na = \"z\"\n== b.auto.tfvars\na = \"b\"\n== x-terraform.tfvars\na = \"not read\"\n";
    check(&of, "TF_VAR_a=env", "a = \"z\"");
    of += "== andon.hcl\nenvironment \"default\" { variables = { a = \"environment\" } }\n";
    check(&of, "TF_VAR_a=env", "a = \"environment\"");
    check(&of, "-var a=line", "a = \"line\"");
    of += "== c.tfvars\na = \"file\"\n";
    check(&of, "-var a=line\n-var-file c.tfvars", "a = \"file\"");
    check(&of, "-var-file c.tfvars\n-var a=line", "a = \"line\"");
}

#[test]
fn text_is_a_value_or_an_expression_by_the_variables_type() {
    for (ty, text, expected) in [
        ("type = string", "[1]", "\"[1]\""),
        ("type = string", "null", "\"null\""),
        ("type = string", "a=b", "\"a=b\""),
        ("type = string", "${1+1}", "\"$${1+1}\""),
        ("type = number", "1e2", "100"),
        ("type = bool", "true", "true"),
        ("", "[1]", "\"[1]\""),
        ("default = 5", "null", "\"null\""),
        ("type = any", "[1]", "[1]"),
        ("type = list(string)", "[\"x\", 1]", "[\"x\",\"1\"]"),
        ("type = list", "null", "null"),
        ("type = map(number)", "{ a = 1 }", "{a = 1}"),
        ("type = object({ a = optional(number, 3) })", "{}", "{a = 3}"),
        ("type = any", "\"x${1 + 1}\"", "\"x2\""),
    ] {
        let of = format!("== main.tf\nvariable \"a\" {{\n{ty}\n}}\n");
        let said = values(&of, &format!("-var a={text}"));
        let said = said.trim().replace(' ', "").replace(",]", "]");
        assert_eq!(said, format!("a={}", expected.replace(' ', "")), "{ty} {text}");
    }
}

#[test]
fn what_is_wrong_with_given_values() {
    for (of, words, expected) in [
        ("variable \"a\" { type = number }", "-var a=x", "- variable \"a\" has a value of the wrong type"),
        (
            "variable \"a\" { type = any }",
            "-var a=x",
            "-var a:1:1 nothing can be referred to here, and \"x\" is a reference",
        ),
        (
            "variable \"count_of\" { default = 1 }",
            "-var cout_of=1",
            "- no stack has a variable \"cout_of\"\ncount_of = 1",
        ),
        ("variable \"a\" { default = 1 }", "TF_VAR_b=1", "a = 1"),
        ("variable \"a\" {}", "", "- variable \"a\" has no value"),
        (
            "variable \"a\" { default = 1 }\n== v.tfvars\nb = 1\nc = 1\nd = 1\ne = 1\n",
            "-var-file v.tfvars",
            "v.tfvars:1:1 warning: the stack has no variable \"b\"\nv.tfvars:2:1 warning: the stack has no variable \"c\"\nv.tfvars:3:1 warning: 2 more values have no variable\na = 1",
        ),
        (
            "variable \"a\" { default = 1 }\n== v.tfvars\nvariable \"a\" {}\n",
            "-var-file v.tfvars",
            "v.tfvars:1:1 a file of values holds no blocks\na = 1",
        ),
    ] {
        check(&format!("== main.tf\n{of}"), words, expected);
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_shown() {
    for ty in ["any", "number", "list(string)"] {
        let of = format!("== main.tf\nvariable \"a\" {{\n  type = {ty}\n  sensitive = true\n}}\n");
        let files = files(&of);
        let given = given("-var a=hunter2 x", &files);
        let (mut project, _) = load(files, "shop");
        give(&mut project, &given);
        let found = check_project(&project, &schemas());
        assert!(found.has_errors(), "{ty}");
        for diagnostic in &found {
            let line = diagnostic.span.map(|span| project.sources.shown(span.source).unwrap());
            let diagnostic = project.sources.discreet(diagnostic);
            assert!(!format!("{diagnostic:?}{:?}", line.map(|line| line.text().to_owned())).contains("hunter2"));
        }
    }
}

#[test]
fn what_is_missing_is_known_before_a_plan() {
    let of = "== andon.hcl\nenvironment \"dev\" { variables = { b = 1 } }\n== stacks/x/main.tf\nvariable \"a\" {}\nvariable \"b\" {}\nvariable \"c\" { default = 1 }\n== stacks/y/main.tf\nvariable \"a\" {}\nvariable \"d\" {}\n== stacks/y/terraform.tfvars\nd = 1\n";
    let (mut project, _) = load(files(of), "shop");
    let missing = missing_values(&project, "dev", &[]);
    let names: Vec<String> = missing.iter().map(|(name, stacks)| format!("{name} {}", stacks.len())).collect();
    assert_eq!(names, ["a 2"]);
    assert_eq!(missing_values(&project, "other", &["x".into()]).len(), 2);
    let files = project.files.clone();
    give(&mut project, &given("-var a=1", &files));
    assert!(missing_values(&project, "dev", &[]).is_empty());
}
