//! `andon_value`: published by a stack, read by another one, and by another environment.

use crate::state::{calm, told};
use crate::support::{Project, snapshot};

fn project(name: &str) -> Project {
    let mut project = Project::empty(name);
    project.data_dir = project.directory.join(".data");
    project.write("andon.hcl", "project \"shop\" {}\nenvironment \"dev\" {}\nenvironment \"production\" {}\n");
    project.write(
        "stacks/network/main.tf",
        "variable \"range\" { default = \"10.0.0.0/8\" }\n\
         resource \"terraform_data\" \"id\" { input = var.range }\n\
         resource \"andon_value\" \"range\" {\n  name  = \"range\"\n  value = { cidr = terraform_data.id.output }\n}\n\
         resource \"andon_value\" \"token\" {\n  name  = \"token\"\n  value = sensitive(\"hush\")\n}\n\
         output \"zone\" { value = \"a\" }\n",
    );
    project.write(
        "stacks/web/main.tf",
        "data \"andon_value\" \"range\" {\n  name  = \"range\"\n  stack = \"network\"\n}\n\
         data \"andon_value\" \"token\" {\n  name  = \"token\"\n  stack = \"network\"\n}\n\
         data \"andon_value\" \"zone\" {\n  name  = \"zone\"\n  stack = \"network\"\n}\n\
         data \"andon_value\" \"other\" {\n  name        = \"range\"\n  stack       = \"network\"\n  environment = \"production\"\n  default     = \"none\"\n}\n\
         resource \"terraform_data\" \"web\" { input = data.andon_value.range.value.cidr }\n\
         output \"range\" { value = data.andon_value.range.value }\n\
         output \"token\" {\n  value     = data.andon_value.token.value\n  sensitive = true\n}\n\
         output \"zone\" { value = data.andon_value.zone.value }\n\
         output \"other\" { value = data.andon_value.other.value }\n",
    );
    project
}

#[test]
fn values_are_published_read_changed_and_taken_back() {
    let project = project("published-values");
    let text = told(
        &project,
        &[
            "plan web",
            "apply -y",
            "plan",
            "apply -y -var range=10.1.0.0/16",
            "apply -y -e production network",
            "apply -y -var range=10.1.0.0/16 web",
            "destroy -y",
            "apply -y web",
        ],
    );
    assert!(!text.contains("hush"), "{text}");
    snapshot("published_values.txt", &calm(&text));
}

#[test]
fn a_name_stands_for_one_value() {
    let project = project("published-twice");
    project
        .write("stacks/network/more.tf", "resource \"andon_value\" \"zone\" {\n  name  = \"zone\"\n  value = 1\n}\n");
    let ran = project.andon(&["plan"]);
    assert!(ran.err.contains("dev/network/zone is published by something else"), "{}", ran.err);
    project.write(
        "stacks/network/more.tf",
        "resource \"andon_value\" \"again\" {\n  name       = \"range\"\n  value      = 1\n  depends_on = [andon_value.range]\n}\n",
    );
    let ran = project.andon(&["apply", "-y", "network"]);
    assert!(ran.err.contains("andon_value.range publishes a value by that name"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_value_may_move_to_another_name() {
    let mut project = Project::empty("published-renamed");
    project.data_dir = project.directory.join(".data");
    let definitions = |name: &str, resource: &str| {
        format!(
            "resource \"andon_value\" \"{resource}\" {{\n  name  = \"{name}\"\n  value = [1, \"two\", null]\n}}\n\
             data \"andon_value\" \"it\" {{\n  name       = \"{name}\"\n  depends_on = [andon_value.{resource}]\n}}\n\
             output \"it\" {{ value = data.andon_value.it.value }}\n\
             output \"at\" {{ value = andon_value.{resource}.id }}\n"
        )
    };
    for (name, resource) in [("a", "x"), ("b", "x"), ("käse/ü", "x")] {
        project.write("main.tf", &definitions(name, resource));
        project.ok(&["apply", "-y"]);
        let out = project.ok(&["output", "-json"]).out;
        assert!(out.contains(&format!("default/{name}")) && out.contains("two"), "{out}");
        assert!(project.ok(&["plan"]).out.contains("no changes"), "{name}");
    }
    // A run that is cut short in between leaves nothing that the next one could not go on from.
    project.write("main.tf", "data \"andon_value\" \"it\" {\n  name = \"käse/u\"\n}\n");
    let ran = project.andon(&["plan"]);
    assert!(ran.err.contains("Something is published there as \"käse/ü\""), "{}", ran.err);
}
