//! Lints: what each finds, what it passes over, how it is switched, and the page that lists them.

use std::collections::BTreeSet;

use andon_lang::{check, lint, lints, load};
use andon_text::{Diagnostic, Diagnostics, Severity};

use crate::files;
use crate::schemas::schemas;

/// All that is said of a project.
fn said(given: &str) -> (Diagnostics, andon_lang::definitions::Project) {
    let (project, mut found) = load(files(given), "shop");
    found.extend(check(&project, &schemas()));
    found.extend(lint(&project));
    found.sort();
    (found, project)
}

/// The lints of a project, each as `path:line NAME`, or `NAME` alone in `main.tf`.
fn names(given: &str) -> String {
    let (found, project) = said(given);
    let one = |diagnostic: &Diagnostic| {
        let place = diagnostic.span.map(|span| project.sources.locate(span)).unwrap_or_default();
        let place = place.rsplit_once(':').map_or("", |(line, _)| line).to_owned();
        let name = diagnostic.name.unwrap_or(&diagnostic.summary);
        format!("{} {name}", place.strip_prefix("main.tf:").unwrap_or(&place))
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A `main.tf`.
fn tf(given: &str, expected: &str) {
    assert_eq!(names(&format!("== main.tf\n{given}\n")), expected, "{given}");
}

/// Files.
fn project(given: &str, expected: &str) {
    assert_eq!(names(given), expected, "{given}");
}

#[test]
fn every_lint_finds_what_its_example_shows_and_nothing_in_the_better_one() {
    let all: BTreeSet<&str> = lints().iter().map(|lint| lint.name).collect();
    assert_eq!(all.len(), lints().len(), "a name is there twice");
    for it in lints() {
        assert!(it.name.split('-').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())));
        let switch = if it.on { String::new() } else { format!("  lint {{ enable = [\"{}\"] }}\n", it.name) };
        let found = |text: &str, switch: &str| {
            let (found, _) = said(&format!("== andon.hcl\nproject \"x\" {{\n{switch}}}\n== main.tf\n{text}"));
            let ours = |found: &&Diagnostic| found.name.is_some_and(|name| all.contains(name));
            found.iter().filter(ours).filter_map(|found| found.name).collect::<Vec<_>>()
        };
        assert_eq!(found(it.bad, &switch), [it.name], "{}", it.bad);
        assert_eq!(found(it.good, &switch), Vec::<&str>::new(), "{}: {}", it.name, it.good);
        // Off where it is not switched on, and where it is switched off.
        assert_eq!(found(it.bad, "").is_empty(), !it.on, "{}", it.name);
        let off = format!("  lint {{ disable = [\"{}\"] }}\n", it.name);
        assert_eq!(found(it.bad, &off), Vec::<&str>::new(), "{}", it.name);
        // The formatter mends these by itself.
        let mended = ["interpolation-only", "deprecated-type"].contains(&it.name);
        assert!(mended || andon_hcl::format(it.bad) == it.bad, "{}", it.bad);
        assert_eq!(andon_hcl::format(it.good), it.good);
    }
}

#[test]
fn what_is_read_anywhere_is_used() {
    for (given, expected) in [
        ("variable \"a\" {}", "1 unused-variable"),
        ("variable \"a\" {}\nvariable \"b\" {}\noutput \"x\" { value = var.b }", "1 unused-variable"),
        ("variable \"a\" {}\noutput \"x\" { value = \"is ${upper(var.a)}\" }", ""),
        ("variable \"a\" {}\noutput \"x\" { value = [for x in [1] : { (var.a) = x }] }", ""),
        ("variable \"a\" {}\noutput \"x\" { value = [for x in [1] : x if var.a] }", ""),
        ("variable \"a\" {}\noutput \"x\" {\n  value = <<-EOT\n    %{ if var.a }yes%{ endif }\n  EOT\n}", ""),
        ("variable \"a\" {}\noutput \"x\" { value = { \"${var.a}\" = 1 } }", ""),
        ("variable \"a\" {}\nresource \"lab_network\" \"n\" {\n  count = var.a\n}", ""),
        (
            "variable \"a\" {}\nresource \"lab_server\" \"n\" {\n  name = \"n\"\n  image = \"i\"\n  dynamic \"disk\" {\n    for_each = var.a\n    content { size = disk.value }\n  }\n}",
            "",
        ),
        ("variable \"a\" {}\nterraform {\n  backend \"local\" {\n    path = var.a\n  }\n}", ""),
        // Only its own validation reads it.
        (
            "variable \"a\" {\n  validation {\n    condition = var.a != \"\"\n    error_message = \"Say it.\"\n  }\n}",
            "1 unused-variable",
        ),
        (
            "variable \"a\" {}\nvariable \"b\" {\n  validation {\n    condition = var.a != var.b\n    error_message = \"Say it.\"\n  }\n}",
            "2 unused-variable",
        ),
        ("locals {\n  a = 1\n  b = local.a\n}", "3 unused-local"),
        ("data \"aws_vpc\" \"a\" {\n  name = \"\"\n}", "1 unused-data"),
        (
            "data \"aws_vpc\" \"a\" {\n  name = \"\"\n}\nresource \"lab_network\" \"n\" {\n  depends_on = [data.aws_vpc.a]\n}",
            "",
        ),
        (
            "data \"aws_vpc\" \"a\" {\n  name = \"\"\n  lifecycle {\n    postcondition {\n      condition = self.name == \"\"\n      error_message = \"No.\"\n    }\n  }\n}",
            "",
        ),
        (
            "check \"a\" {\n  data \"aws_vpc\" \"a\" {\n    name = \"\"\n  }\n  assert {\n    condition = data.aws_vpc.a.name == \"\"\n    error_message = \"No.\"\n  }\n}",
            "",
        ),
        (
            "data \"aws_vpc\" \"a\" {\n  name = \"\"\n}\nresource \"lab_network\" \"n\" {\n  depends_on = [\"data.aws_vpc.a\"]\n}",
            "5 deprecated-quotes",
        ),
    ] {
        tf(given, expected);
    }
}

#[test]
fn tests_of_a_stack_read_what_is_in_it() {
    let variable = "== main.tf\nvariable \"a\" {}\n";
    let run = "run \"r\" {\n  assert {\n    condition = var.a == 1\n    error_message = \"No.\"\n  }\n}\n";
    for path in ["a.tftest.hcl", "tests/a.tftest.hcl"] {
        project(&format!("{variable}== {path}\n{run}"), "");
        project(&format!("{variable}== {path}\nvariables {{\n  a = 1\n}}\n"), "1 unused-variable");
    }
    // The tests of one stack are no use of another's.
    let stack = |name: &str| format!("== stacks/{name}/main.tf\nvariable \"a\" {{}}\n");
    project(
        &format!("{}{}== stacks/x/tests/a.tftest.hcl\n{run}", stack("x"), stack("y")),
        "stacks/y/main.tf:1 unused-variable",
    );
}

#[test]
fn providers_are_used_by_name_by_type_and_by_modules() {
    let aws = |rest: &str| {
        format!("terraform {{\n  required_providers {{\n    aws = {{ source = \"hashicorp/aws\" }}\n  }}\n}}\n{rest}")
    };
    for (given, expected) in [
        ("", "3 unused-required-provider"),
        ("resource \"aws_vpc\" \"a\" {}", ""),
        ("data \"aws_vpc\" \"a\" {}\noutput \"x\" { value = data.aws_vpc.a.id }", ""),
        ("ephemeral \"aws_secret\" \"a\" {}", ""),
        ("resource \"other_vpc\" \"a\" {\n  provider = aws\n}", ""),
        ("provider \"aws\" {}", ""),
        ("output \"x\" { value = provider::aws::arn_parse(\"x\") }", ""),
        ("removed {\n  from = aws_vpc.a\n  lifecycle {\n    destroy = false\n  }\n}", ""),
        ("resource \"random_pet\" \"a\" {}", "3 unused-required-provider"),
        ("provider \"aws\" {\n  alias = \"west\"\n}", "6 unused-provider-alias"),
        ("provider \"aws\" {\n  alias = \"west\"\n}\nresource \"aws_vpc\" \"a\" {\n  provider = aws.west\n}", ""),
        ("module \"m\" {\n  source = \"./m\"\n}\n== m/a.tf\nresource \"aws_vpc\" \"a\" {}", ""),
        (
            "module \"m\" {\n  source = \"./m\"\n}\n== m/a.tf\nresource \"lab_network\" \"a\" {}",
            "3 unused-required-provider",
        ),
        (
            "provider \"aws\" {\n  alias = \"west\"\n}\nmodule \"m\" {\n  source = \"./m\"\n  providers = { aws.other = aws.west }\n}\n== m/a.tf\nterraform {\n  required_providers {\n    aws = {\n      source = \"hashicorp/aws\"\n      configuration_aliases = [aws.other]\n    }\n  }\n}",
            "",
        ),
        (
            "provider \"aws\" {\n  alias = \"west\"\n  for_each = toset([\"a\"])\n}\nresource \"aws_vpc\" \"a\" {\n  for_each = toset([\"a\"])\n  provider = aws.west[each.key]\n}",
            "",
        ),
    ] {
        tf(&aws(given), expected);
    }
}

#[test]
fn forms_of_expressions() {
    let value = |text: &str| {
        format!(
            "variable \"l\" {{\n  type = list(string)\n}}\nvariable \"m\" {{\n  type = map(any)\n}}\nvariable \"t\" {{}}\noutput \"x\" {{ value = {text} }}\noutput \"y\" {{ value = [var.l, var.m, var.t] }}"
        )
    };
    for (given, expected) in [
        ("\"${var.l}\"", "8 interpolation-only"),
        ("\"${var.t}-\"", ""),
        ("[\"${var.t}\", upper(\"${var.t}\")]", "8 interpolation-only, 8 interpolation-only"),
        ("{ \"${var.t}\" = 1 }", ""),
        ("{ a = \"${var.t}\" }", "8 interpolation-only"),
        ("\"%{ if var.t }a%{ endif }\"", ""),
        ("\"$${var.t}\"", ""),
        ("var.l.0", "8 deprecated-index"),
        ("var.t.0.a", "8 deprecated-index"),
        ("var.t[0].a", ""),
        ("var.t.*.0", "8 deprecated-index"),
        ("lookup(var.m, \"a\")", "8 deprecated-lookup"),
        ("lookup(var.m, \"a\", 1)", ""),
        ("lookup([var.m, \"a\"]...)", ""),
        ("var.l == []", "8 empty-comparison"),
        ("[] != (var.l)", "8 empty-comparison"),
        ("var.m == {}", "8 empty-comparison"),
        ("toset([]) == []", "8 empty-comparison"),
        ("var.t == []", ""),
        ("[for x in var.l : x] == []", ""),
        ("var.l == tolist([])", ""),
        ("[] == {}", ""),
        ("{ a = 1, b = 2, \"a\" = 3 }", "8 duplicate-key"),
        ("{ a = 1, (var.t) = 2, (\"a\") = 3 }", ""),
        ("{ 1 = 1, \"1\" = 2 }", "8 duplicate-key"),
        ("{ a = { b = 1 }, c = { b = 1 } }", ""),
    ] {
        tf(&value(given), expected);
    }
}

#[test]
fn a_heredoc_is_text() {
    tf("variable \"a\" {}\noutput \"x\" {\n  value = <<EOT\n${var.a}\nEOT\n}", "");
}

#[test]
fn validations_that_hold_always() {
    for (condition, expected) in [
        ("length(var.a) >= 0", "1 unreachable-validation"),
        ("var.a == [] || true || length(var.a) > 3", "1 empty-comparison, 1 unreachable-validation"),
        ("length(var.a) > 0", ""),
        ("alltrue([for it in var.a : it != \"\"])", ""),
        ("var.a != null", ""),
        ("can(var.a[0])", ""),
    ] {
        let text = format!(
            "variable \"a\" {{ # line 1\n  type = list(string)\n  validation {{\n    condition = {condition}\n    error_message = \"No.\"\n  }}\n}}\noutput \"x\" {{ value = var.a }}"
        );
        tf(&text, &expected.replace("1 ", "4 "));
    }
}

#[test]
fn a_comment_passes_over_one_place() {
    for (given, expected) in [
        ("# andon:ignore unused-variable\nvariable \"a\" {}\nvariable \"b\" {}", "3 unused-variable"),
        ("variable \"a\" {} # andon:ignore unused-variable", ""),
        ("variable \"a\" {} // andon:ignore unused-variable (an older caller gives it)", ""),
        ("/* andon:ignore unused-variable */\nvariable \"a\" {}", ""),
        ("variable \"a\" {} # andon:ignore unused-variable\nvariable \"b\" {}", "2 unused-variable"),
        ("# andon:ignore unused-variable\n\nvariable \"a\" {}", "3 unused-variable"),
        ("# andon:ignore unused-local\nvariable \"a\" {}", "2 unused-variable"),
        ("# andon:ignore untyped-variable, unused-variable: kept for older callers\nvariable \"a\" {}", ""),
        ("# andon:ignore unused-varable\nvariable \"a\" {}", "1 unknown-lint, 2 unused-variable"),
        ("# andon:ignoring is no such comment\noutput \"x\" { value = 1 }", ""),
        ("output \"x\" {\n  value = \"andon:ignore nothing\"\n}", ""),
        (
            "resource \"lab_network\" \"a\" {}\nresource \"lab_network\" \"b\" {\n  # andon:ignore deprecated-quotes\n  depends_on = [\"lab_network.a\"]\n}",
            "",
        ),
    ] {
        tf(given, expected);
    }
}

#[test]
fn modules_are_looked_at_once_and_only_where_they_are_the_projects() {
    project(
        "== main.tf\nmodule \"a\" {\n  source = \"./m\"\n}\nmodule \"b\" {\n  source = \"./m\"\n}\n== m/a.tf\nvariable \"x\" {\n  default = 1\n}\n",
        "m/a.tf:1 unused-variable",
    );
    project(
        "== main.tf\nmodule \"a\" {\n  source = \"../m\"\n}\n== ../m/a.tf\nvariable \"x\" {\n  default = 1\n}\noutput \"x\" {\n  value = \"${path.module}\"\n}\nresource \"terraform_data\" \"a\" {}\nresource \"terraform_data\" \"b\" {\n  depends_on = [\"terraform_data.a\"]\n}\n",
        "",
    );
    // A directory that nothing calls is no part of the project.
    project("== main.tf\noutput \"x\" { value = 1 }\n== m/a.tf\nvariable \"x\" {}\n", "");
    // What is used in another file of the module is used; in another module it is not.
    project("== main.tf\nvariable \"x\" {}\n== other.tf\noutput \"x\" { value = var.x }\n", "");
    project(
        "== stacks/a/main.tf\nvariable \"x\" {}\n== stacks/b/main.tf\nvariable \"x\" {}\noutput \"x\" { value = var.x }\n",
        "stacks/a/main.tf:1 unused-variable",
    );
}

#[test]
fn json_has_its_own_ways() {
    project(
        "== main.tf.json\n{\"variable\": {\"a\": {}, \"b\": {\"type\": \"string\"}}, \"output\": {\"x\": {\"value\": \"${var.b}\"}}}\n",
        "main.tf.json:1 unused-variable",
    );
    project(
        "== main.tf.json\n{\"resource\": {\"terraform_data\": {\"a\": {}, \"b\": {\"input\": \"${var.v}\", \"depends_on\": [\"terraform_data.a\"]}}}, \"variable\": {\"v\": {}}}\n",
        "",
    );
}

#[test]
fn roles() {
    project(
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"p\" {}\n  locals {\n    l = 1\n  }\n}\n",
        "roles/a.role.hcl:2 unused-variable, roles/a.role.hcl:4 unused-local",
    );
    project(
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"p\" {}\n  file \"/x-${param.p}\" {\n    content = \"\"\n  }\n}\n",
        "",
    );
    // A child reads it; a child gives a default to what its parent reads.
    project(
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"p\" {}\n}\nrole \"b\" {\n  inherits = [\"a\"]\n  file \"/x\" {\n    content = param.p\n  }\n}\n",
        "",
    );
    project(
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"p\" {}\n  file \"/x\" {\n    content = param.p\n  }\n}\nrole \"b\" {\n  inherits = [\"a\"]\n  param \"p\" {\n    default = \"x\"\n  }\n}\n",
        "",
    );
    project(
        "== roles/a.role.hcl\nrole \"a\" {\n  param \"p\" {}\n}\nrole \"b\" {\n  param \"p\" {}\n  file \"/x\" {\n    content = \"${param.p}\"\n  }\n}\n",
        "roles/a.role.hcl:2 unused-variable, roles/a.role.hcl:7 interpolation-only",
    );
}

#[test]
fn a_file_with_syntax_errors_may_read_what_seems_unused() {
    let (found, _) = said("== main.tf\nvariable \"a\" {}\n== b.tf\noutput \"x\" {\n  value = var.a +\n}\n");
    assert!(found.iter().all(|found| found.name != Some("unused-variable")), "{found:?}");
}

#[test]
fn unknown_names_of_lints_are_refused() {
    let text = "== andon.hcl\nproject \"x\" {\n  lint {\n    disable = [\"unused-varable\"]\n    enable  = [\"everything\"]\n  }\n}\n== main.tf\noutput \"x\" { value = 1 }\n";
    let (found, _) = said(text);
    let found: Vec<_> = found.into_iter().collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(Diagnostic::is_error));
    assert_eq!(found[0].help, ["Did you mean \"unused-variable\"?"]);
}

#[test]
fn lints_are_warnings() {
    let (found, _) = said("== main.tf\nvariable \"a\" {}\nlocals {\n  b = \"${1}\"\n}\n");
    assert!(found.len() == 3 && found.iter().all(|found| found.severity == Severity::Warning), "{found:?}");
}

#[test]
fn the_page_of_lints_is_current() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lints.md");
    let current = page_of_lints();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(page, &current).unwrap();
    }
    let there = std::fs::read_to_string(page).unwrap_or_default();
    assert_eq!(there, current, "BLESS=1 writes docs/lints.md anew");
}

fn page_of_lints() -> String {
    let mut text = String::from(
        "# Lints\n\n\
         `andon check` gives a warning for what is no mistake and better written another way. A warning never changes the exit\n\
         status, and lints are given once a project has no errors. What was fetched from elsewhere is not looked at; a module of\n\
         the project is looked at once, however often it is called.\n\n\
         A project switches lints by name, in `andon.hcl`:\n\n\
         ```hcl\nproject \"shop\" {\n  lint {\n    disable = [\"unused-data\"]\n    enable  = [\"undocumented-output\"]\n  }\n}\n```\n\n\
         A comment on the line of a finding, or alone on the line before it, passes over that place:\n\n\
         ```hcl\n# andon:ignore unused-variable: older callers still give it\nvariable \"size\" {}\n```\n\n",
    );
    for (title, on) in [("On", true), ("Off, where `enable` does not name them", false)] {
        text.push_str(&format!("## {title}\n\n| name | what it finds |\n|---|---|\n"));
        for it in lints().iter().filter(|it| it.on == on) {
            text.push_str(&format!("| [{0}](#{0}) | {1} |\n", it.name, it.what));
        }
        text.push('\n');
    }
    for it in lints() {
        text.push_str(&format!(
            "### {}\n\n{} {}\n\n```hcl\n{}```\n\nBetter:\n\n```hcl\n{}```\n\n",
            it.name, it.what, it.why, it.bad, it.good
        ));
    }
    text.pop();
    text
}
