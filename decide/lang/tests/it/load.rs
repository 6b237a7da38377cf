//! Projects as they are read: what is there, and what is said of what is wrong.

use andon_lang::{load, not_carried_out};

use crate::{files, render, render_all};

fn check(given: &str, expected: &str) {
    let (project, diagnostics) = load(files(given), "shop");
    assert_eq!(render(&diagnostics, &project.sources).trim(), expected.trim(), "{given}");
}

/// One `main.tf` in the project's own directory.
fn check_tf(given: &str, expected: &str) {
    let (project, diagnostics) = load(files(&format!("== main.tf\n{given}\n")), "shop");
    let said = render(&diagnostics, &project.sources).replace("main.tf:", "");
    assert_eq!(said.trim(), expected.trim(), "{given}");
}

fn check_role(given: &str, expected: &str) {
    let (project, diagnostics) = load(files(&format!("== roles/web.role.hcl\n{given}\n")), "shop");
    let said = render(&diagnostics, &project.sources).replace("roles/web.role.hcl:", "");
    assert_eq!(said.trim(), expected.trim(), "{given}");
}

#[test]
fn a_directory_of_tf_files_is_a_stack_without_a_name() {
    let (project, diagnostics) =
        load(files("== main.tf\nvariable \"a\" {}\n== out.tf\noutput \"b\" { value = 1 }\n"), "shop");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(&*project.name, "shop");
    assert_eq!(project.environments.keys().map(|name| &**name).collect::<Vec<_>>(), ["default"]);
    let stack = &project.stacks[""];
    assert_eq!(stack.module.variables.len() + stack.module.outputs.len(), 2);
}

#[test]
fn every_part_of_a_project_is_read() {
    let (project, diagnostics) = load(
        files(
            r#"
== andon.hcl
project "market" { required_version = ">= 0.1" }
environment "dev" { variables = { amount = 2 } }
environment "production" {
  variables = { amount = 4 }
  protected = true
}
== stacks/network/main.tf
resource "lab_network" "app" {}
== stacks/web/main.tf
variable "amount" { type = number }
module "servers" {
  source = "./servers"
  count  = 2
  size   = 3
}
== stacks/web/terraform.tfvars
amount = 7
== stacks/web/x.auto.tfvars
amount = 8
== stacks/web/servers/main.tf
variable "size" {}
== roles/base.role.hcl
role "base" {
  param "zone" { default = "UTC" }
  locals { a = 1 }
  package "curl" {}
  file "/etc/motd" {
    content = param.zone
    reloads = [service.nginx]
    when    = true
  }
  check "up" { port "tcp/${80}" { listening = true } }
}
== roles/base/motd.txt
hello
== images/web.image.hcl
image "web" {
  from  = "debian:bookworm"
  roles = ["base"]
}
== tests/web.test.hcl
test "web serves" {
  server { image = "web" }
  role   = "base"
  expect { changes = 0 }
  check "answers" { http "http://${server.address}/" { status = 200 } }
}
== tests/web.tftest.hcl
run "x" {}
"#,
        ),
        "shop",
    );
    assert!(diagnostics.is_empty(), "{}", render(&diagnostics, &project.sources));
    assert_eq!(&*project.name, "market");
    assert!(project.environments["production"].protected && !project.environments["dev"].protected);
    assert_eq!(project.stacks.keys().map(|name| &**name).collect::<Vec<_>>(), ["network", "web"]);
    let web = &project.stacks["web"];
    assert_eq!(&*web.module.calls["servers"].module.directory, "stacks/web/servers");
    assert_eq!(web.module.calls["servers"].arguments.items.len(), 1);
    assert_eq!(project.sources.text(web.assignments["amount"].value.span), "8");
    let role = &project.roles["base"];
    assert_eq!((role.resources.len(), role.checks.len(), role.params.len(), role.locals.len()), (2, 1, 1, 1));
    assert_eq!(&*role.directory, "roles");
    assert_eq!(role.resources[1].body.items.len(), 1, "meta-arguments are taken out");
    assert_eq!(role.resources[1].reloads.len(), 1);
    assert_eq!(&*project.images["web"].roles[0].name, "base");
    assert_eq!(&*project.tests[0].name.name, "web serves");
}

#[test]
fn shapes_of_blocks_in_stacks() {
    for (given, expected) in [
        ("variable \"a\" {\n  typ = string\n}", "2:3 unsupported argument \"typ\""),
        ("variable \"a\" {\n  validaton {}\n}", "2:3 unsupported block \"validaton\""),
        ("variable \"a\" \"b\" {}", "1:1 a variable block takes 1 label, the name"),
        ("variable {}", "1:1 a variable block takes 1 label, the name"),
        ("resource \"lab_server\" {}", "1:1 a resource block takes 2 labels: type and name"),
        ("locals \"x\" {}", "1:1 a locals block takes no label"),
        ("variable \"a b\" {}", "1:10 \"a b\" cannot be a name"),
        ("output \"a\" {}", "1:1 missing argument \"value\""),
        ("varable \"a\" {}", "1:1 unsupported block \"varable\""),
        ("a = 1", "1:1 unsupported argument \"a\""),
        ("variable = 1", "1:1 unsupported argument \"variable\""),
        ("variable \"a\" {}\nvariable \"a\" {}", "2:10 duplicate variable \"a\""),
        ("locals { a = 1 }\nlocals { a = 2 }", "2:10 duplicate local \"a\""),
        ("output \"a\" { value = 1 }\noutput \"a\" { value = 1 }", "2:8 duplicate output \"a\""),
        ("resource \"x_y\" \"a\" {}\nresource \"x_y\" \"a\" {}", "2:1 duplicate resource \"x_y.a\""),
        ("resource \"x_y\" \"a\" {}\ndata \"x_y\" \"a\" {}", ""),
        ("resource \"x_y\" \"a\" {\n  anything = 1\n  nested {}\n}", ""),
        (
            "resource \"x_y\" \"a\" {\n  lifecycle { prevent_destory = true }\n}",
            "2:15 unsupported argument \"prevent_destory\"",
        ),
        ("resource \"x_y\" \"a\" {\n  lifecycle {}\n  lifecycle {}\n}", "3:3 duplicate block \"lifecycle\""),
        (
            "resource \"x_y\" \"a\" {\n  lifecycle { prevent_destroy = var.x }\n}",
            "2:33 \"prevent_destroy\" must be written out as true or false",
        ),
        (
            "resource \"x_y\" \"a\" {\n  count = 1\n  for_each = {}\n}",
            "3:3 \"count\" and \"for_each\" cannot be used together",
        ),
        ("resource \"x_y\" \"a\" {\n  depends_on = x_y.b\n}", "2:16 \"depends_on\" must be a list"),
        (
            "resource \"x_y\" \"a\" {\n  lifecycle {\n    precondition { condition = true }\n  }\n}",
            "3:5 missing argument \"error_message\"",
        ),
        (
            "data \"x_y\" \"a\" {\n  lifecycle { prevent_destroy = true }\n}",
            "2:15 unsupported argument \"prevent_destroy\"",
        ),
        ("variable \"a\" {\n  nullable = \"no\"\n}", "2:14 \"nullable\" must be written out as true or false"),
        ("variable \"a\" {\n  nullable = !false\n  description = 5\n}", ""),
        ("variable \"a\" {\n  sensitive = tobool(1)\n}", "2:15 \"sensitive\" must be written out as true or false"),
        ("variable \"a\" {\n  description = null\n}", "2:17 \"description\" must be written out as text"),
        ("variable \"a\" {\n  description = var.b\n}", "2:17 \"description\" must be written out as text"),
    ] {
        check_tf(given, expected);
    }
}

/// What a plan would refuse of a `main.tf` that is otherwise fine.
fn check_refused(given: &str, expected: &str) {
    let (project, diagnostics) = load(files(&format!("== main.tf\n{given}\n")), "shop");
    assert!(!diagnostics.has_errors(), "{given}\n{}", render(&diagnostics, &project.sources));
    let said = render(&not_carried_out(&project, &[]), &project.sources).replace("main.tf:", "");
    assert_eq!(said.trim(), expected.trim(), "{given}");
}

#[test]
fn what_no_plan_carries_out_yet_is_refused_at_its_place() {
    for (given, expected) in [
        ("moved {\n  from = a.b\n  to = a.c\n}", ""),
        ("removed {\n  from = a.b\n}", ""),
        ("import {\n  to = a.b\n  id = \"x\"\n}", ""),
        ("ephemeral \"a_b\" \"c\" {}", ""),
        ("check \"a\" {\n  assert {\n    condition = true\n    error_message = \"x\"\n  }\n}", ""),
        ("terraform {\n  backend \"s3\" {}\n}", "2:3 state is kept in the ledger, and nowhere else"),
        ("terraform {\n  cloud {}\n}", "2:3 state is kept in the ledger, and nowhere else"),
        ("resource \"lab_y\" \"a\" {\n  provisioner \"local-exec\" {}\n}", ""),
        ("resource \"x_y\" \"a\" {}", ""),
        ("variable \"a\" {\n  ephemeral = true\n}", ""),
        ("provider \"aws\" {\n  region = \"x\"\n}", ""),
        ("terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}", ""),
        ("terraform {\n  required_providers {\n    lab = {}\n  }\n}\nprovider \"lab\" {}", ""),
    ] {
        check_refused(given, expected);
    }
}

#[test]
fn settings_of_modules() {
    for (given, expected) in [
        ("provider \"lab\" {\n  region = 1\n}", "2:3 unsupported argument \"region\""),
        ("terraform {\n  required_version = \">= 1.5\"\n}", ""),
        ("terraform {\n  required_version = \">= 9.5\"\n}", "2:22 Terraform >= 9.5 is required, and this is 1.11.4"),
        ("terraform {\n  required_version = \"latest\"\n}", "2:22 \"latest\" is not a version constraint"),
    ] {
        check_tf(given, expected);
    }
}

#[test]
fn type_constraints() {
    for (given, expected) in [
        ("string", "string"),
        ("list", "list(any)"),
        ("map", "map(any)"),
        ("list(object({a=string, b=optional(number, 1)}))", "list(object({a=string,b=optional(number)}))"),
        ("map(set(bool))", "map(set(bool))"),
        ("tuple([string, number])", "tuple([string,number])"),
        (
            "object({\n  a = optional(object({ b = optional(string, \"x\") }), {})\n})",
            "object({a=optional(object({b=optional(string)}))})",
        ),
        ("any", "any"),
    ] {
        let (project, diagnostics) =
            load(files(&format!("== main.tf\nvariable \"a\" {{\n  type = {given}\n}}\n")), "shop");
        assert!(diagnostics.is_empty(), "{given}: {diagnostics:?}");
        assert_eq!(project.stacks[""].module.variables["a"].ty.to_string(), expected);
    }
    for (given, expected) in [
        ("strnig", "2:10 \"strnig\" is not a type"),
        ("lst(string)", "2:10 \"lst\" is not a type"),
        ("list(strin)", "2:15 \"strin\" is not a type"),
        ("list()", "2:10 the type list must say what is in it"),
        ("object", "2:10 the type object must say what is in it"),
        ("object({a=string, a=number})", "2:28 duplicate attribute \"a\""),
        ("optional(string)", "2:10 \"optional\" may stand only for the type of an object's attribute"),
        ("object({a=optional()})", "2:20 \"optional\" takes a type, and perhaps a default"),
        ("\"string\"", "2:10 a type is written without quotes"),
        ("set", "2:10 the type set must say what is in it"),
        ("list(list)", "2:15 the type list must say what is in it"),
        ("(bool)", "2:10 this is not a type"),
        ("object({ \"a\" = string })", "2:19 the name of an attribute must be written out"),
        ("1", "2:10 this is not a type"),
        ("\"text\"", "2:10 this is not a type"),
    ] {
        check_tf(&format!("variable \"a\" {{\n  type = {given}\n}}"), expected);
    }
}

#[test]
fn shapes_of_blocks_in_roles() {
    for (given, expected) in [
        ("role \"a\" {}\nrole \"a\" {}", "2:6 duplicate role \"a\""),
        ("roles \"a\" {}", "1:1 unsupported block \"roles\""),
        ("role \"a\" {\n  inherits = \"b\"\n}", "2:14 \"inherits\" must be a list of names"),
        ("role \"a\" {\n  inherits = [b]\n}", "2:15 \"inherits\" must be written out as text"),
        ("role \"a\" {\n  package {}\n}", "2:3 a package block takes 1 label, the name"),
        ("role \"a\" {\n  param \"x\" { defualt = 1 }\n}", "2:15 unsupported argument \"defualt\""),
        ("role \"a\" {\n  param \"x\" {}\n  param \"x\" {}\n}", "3:9 duplicate param \"x\""),
        ("role \"a\" {\n  file \"/x\" {}\n  file \"/x\" {}\n}", "3:3 duplicate host resource \"file /x\""),
        ("role \"a\" {\n  file \"/x\" {\n    reloads = service.x\n  }\n}", "3:15 \"reloads\" must be a list"),
        ("role \"a\" {\n  check \"x\" { http {} }\n}", "2:15 an http block takes 1 label, the name"),
    ] {
        check_role(given, expected);
    }
}

#[test]
fn shapes_of_the_other_files() {
    for (given, expected) in [
        (
            "== andon.hcl\nproject \"a\" { required_version = \">= 7\" }",
            "andon.hcl:1:34 Andon >= 7 is required, and this is 0.1.0",
        ),
        ("== andon.hcl\nproject \"a\" {}\nproject \"b\" {}", "andon.hcl:2:1 duplicate block \"project\""),
        ("== andon.hcl\nenvironment \"a\" { protect = true }", "andon.hcl:1:19 unsupported argument \"protect\""),
        ("== andon.hcl\nenvironment \"a\" {}\nenvironment \"a\" {}", "andon.hcl:2:13 duplicate environment \"a\""),
        ("== images/a.image.hcl\nimage \"a\" {}", "images/a.image.hcl:1:1 missing argument \"from\""),
        ("== tests/a.test.hcl\ntest \"a\" {}", "tests/a.test.hcl:1:1 missing block \"server\""),
        (
            "== tests/a.test.hcl\ntest \"a\" {\n  server {}\n  expect { change = 0 }\n}",
            "tests/a.test.hcl:3:12 unsupported argument \"change\"",
        ),
        ("== README.md\nhello", "- this directory defines nothing"),
        ("== main.tf\n== stacks/a/x.tf\n", "main.tf:1:1 warning: *.tf files beside stacks/ are not used"),
        ("== main.tf\n== web.image.hcl\n", "- warning: web.image.hcl is not read"),
        ("== main.tf\n== roles/web.role.hcl\n== web/x.image.hcl\n", ""),
    ] {
        check(given, expected);
    }
}

#[test]
fn modules() {
    for (given, expected) in [
        ("== main.tf\nmodule \"a\" {\n  source = \"./a\"\n}\n== a/x.tf\n", ""),
        (
            "== main.tf\nmodule \"a\" {\n  source = \"./b\"\n}\n== a/x.tf\n",
            "main.tf:2:12 there is no module in \"./b\"",
        ),
        ("== main.tf\nmodule \"a\" {\n  source = \"../b\"\n}", "main.tf:2:12 there is no module in \"../b\""),
        ("== main.tf\nmodule \"a\" {}", "main.tf:1:1 missing argument \"source\""),
        ("== main.tf\nmodule \"a\" {\n  source = var.x\n}", "main.tf:2:12 \"source\" must be written out as text"),
        (
            "== main.tf\nmodule \"a\" {\n  source = \"./a\"\n}\n== a/x.tf\nmodule \"b\" {\n  source = \"../b\"\n}\n== b/x.tf\nmodule \"c\" {\n  source = \"../a\"\n}",
            "b/x.tf:2:12 modules call each other in a circle",
        ),
        // Errors of a module that is called twice are said once.
        (
            "== main.tf\nmodule \"a\" {\n  source = \"./a\"\n}\nmodule \"b\" {\n  source = \"./a\"\n}\n== a/x.tf\noutput \"x\" {}",
            "a/x.tf:1:1 missing argument \"value\"",
        ),
    ] {
        check(given, expected);
    }
    let circle = "== main.tf\nmodule \"a\" {\n  source = \"./a\"\n}\n== a/x.tf\nmodule \"b\" {\n  source = \"../b\"\n}\n== b/x.tf\nmodule \"c\" {\n  source = \"../a\"\n}";
    let (project, diagnostics) = load(files(circle), "shop");
    assert!(render_all(&diagnostics, &project.sources).contains("a → b → a."));
}

#[test]
fn override_files_are_laid_over_the_others() {
    let (project, diagnostics) = load(
        files(
            "== main.tf\nvariable \"a\" {\n  default = 1\n  type = number\n}\nresource \"x_y\" \"a\" {\n  p = 1\n  q = 2\n  n {}\n  n {}\n}\nlocals { l = 1 }\n== b_override.tf\nvariable \"a\" { default = 2 }\nresource \"x_y\" \"a\" {\n  q = 3\n  n {}\n  lifecycle { prevent_destroy = true }\n}\nlocals { l = 5 }\n",
        ),
        "shop",
    );
    assert!(diagnostics.is_empty(), "{}", render(&diagnostics, &project.sources));
    let module = &project.stacks[""].module;
    let text = |span| project.sources.text(span);
    assert_eq!(text(module.variables["a"].default.as_ref().unwrap().span), "2");
    assert_eq!(module.variables["a"].ty.to_string(), "number");
    assert_eq!(text(module.locals["l"].value.span), "5");
    let resource = module.resources.values().next().unwrap();
    assert_eq!(text(resource.body.attribute("p").unwrap().value.span), "1");
    assert_eq!(text(resource.body.attribute("q").unwrap().value.span), "3");
    assert_eq!(resource.body.blocks().count(), 1);
    assert!(resource.lifecycle.prevent_destroy);
    check("== override.tf\nvariable \"a\" {}", "override.tf:1:1 nothing to override");
}

#[test]
fn overrides_go_over_each_other_in_order() {
    let (project, diagnostics) = load(
        files(
            r#"
== main.tf
terraform {
  required_version = ">= 99"
  required_providers {
    foo = { source = "a/b" }
    bar = { source = "a/c" }
  }
  backend "s3" {}
}
resource "x_y" "a" {
  n { a = 1 }
  m { a = 1 }
  provisioner "local-exec" {}
  provisioner "local-exec" {}
  lifecycle { prevent_destroy = true }
}
provider "foo" { alias = "x" }
locals { a = 1 }
== a_override.tf
locals { a = 2 }
terraform {
  required_version = ">= 1"
  required_providers {
    foo = { source = "d/e" }
    new = { source = "f/g" }
  }
  backend "local" {}
}
resource "x_y" "a" {
  dynamic "n" {
    for_each = []
    content {}
  }
  provisioner "file" {}
  lifecycle { create_before_destroy = true }
}
provider "foo" {
  alias = "x"
  b     = 1
}
== override.tf
locals { a = 3 }
terraform {
  cloud {}
}
"#,
        ),
        "shop",
    );
    assert!(diagnostics.is_empty(), "{}", render(&diagnostics, &project.sources));
    let module = &project.stacks[""].module;
    assert_eq!(project.sources.text(module.locals["a"].value.span), "3");
    let sources: Vec<String> =
        module.settings.required_providers.values().map(|required| required.address.to_string()).collect();
    assert_eq!(sources, ["registry.terraform.io/a/c", "registry.terraform.io/d/e", "registry.terraform.io/f/g"]);
    assert!(module.settings.backend.as_ref().is_some_and(|backend| backend.kind.is_none()));
    let resource = module.resources.values().next().unwrap();
    let kinds: Vec<&str> = resource.body.blocks().map(|block| &*block.kind.name).collect();
    assert_eq!(kinds, ["m", "dynamic"]);
    assert_eq!(resource.provisioners.len(), 1);
    assert!(resource.lifecycle.prevent_destroy && resource.lifecycle.create_before_destroy);
    assert_eq!(module.providers.values().next().unwrap().body.items.len(), 1);
}

#[test]
fn what_cannot_be_overridden() {
    for (base, over, expected) in [
        ("output \"a\" { value = 1 }", "output \"b\" {}", "1:1 nothing to override"),
        ("locals { a = 1 }", "locals { b = 1 }", "1:10 nothing to override"),
        ("provider \"a\" {}", "provider \"a\" { alias = \"x\" }", "1:1 nothing to override"),
        ("resource \"x_y\" \"a\" {}", "resource \"x_y\" \"a\" { depends_on = [] }", ""),
        (
            "resource \"x_y\" \"a\" {}",
            "resource \"x_y\" \"a\" { depends_on = [x_y.b] }",
            "1:22 \"depends_on\" cannot be overridden",
        ),
        ("", "moved {\n  from = a.b\n  to   = a.c\n}", "1:1 a moved block cannot be in an override file"),
        ("", "check \"a\" {}", "1:1 a check block cannot be in an override file"),
        ("", "import {}", "1:1 an import block cannot be in an override file"),
        ("", "removed {\n  from = a.b\n}", "1:1 warning: a removed block in an override file does nothing"),
        ("variable \"a\" {}", "variable \"a\" {\n  validation {}\n}", "2:3 a validation cannot be overridden"),
        (
            "resource \"x_y\" \"a\" {}",
            "resource \"x_y\" \"a\" {\n  lifecycle {\n    precondition {}\n  }\n}",
            "3:5 a precondition cannot be overridden",
        ),
        ("output \"a\" { value = 1 }", "output \"a\" { vale = 2 }", "1:14 unsupported argument \"vale\""),
        (
            "resource \"x_y\" \"a\" { count = 1 }",
            "resource \"x_y\" \"a\" { for_each = {} }",
            "1:22 warning: \"for_each\" does not override \"count\"",
        ),
        ("", "a = 1\nfoo {}", "1:1 unsupported argument \"a\"\n2:1 unsupported block \"foo\""),
        ("", "terraform {\n  backend \"a\" {}\n  cloud {}\n}", "3:3 duplicate block \"cloud\""),
    ] {
        let given = format!("== main.tf\n{base}\n== x_override.tf\n{over}\n");
        let (project, diagnostics) = load(files(&given), "shop");
        let said = render(&diagnostics, &project.sources).replace("x_override.tf:", "");
        assert_eq!(said.trim(), expected, "{given}");
    }
}

#[test]
fn all_syntax_errors_of_all_files_are_said_in_order_and_nothing_else() {
    let (project, diagnostics) = load(
        files(
            "== stacks/a/b.tf\nvariable \"a\" {\n  type = \n}\noutput \"x\" {\n  value = 1 +\n}\n== roles/a.role.hcl\nrole \"a\" {\n  file \"/x\" {\n    content = \"${\"\n  }\n}\n== andon.hcl\nenvironment \"x\" {\n  protected = = true\n}\n",
        ),
        "shop",
    );
    let said = render(&diagnostics, &project.sources);
    let places: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    let files: Vec<&str> = places.iter().filter_map(|place| place.split(':').next()).collect();
    assert_eq!(files, ["andon.hcl", "roles/a.role.hcl", "stacks/a/b.tf", "stacks/a/b.tf"], "{said}");
    assert_eq!(project.unparsed.len(), 3);
}

/// Whatever looks through all names for each of them would take minutes here.
#[test]
fn many_names_are_read_in_time_that_follows_their_number() {
    let names: String = (0..50_000).map(|at| format!("  name_{at} = {at}\n")).collect();
    let (project, diagnostics) = load(files(&format!("== main.tf\nlocals {{\n{names}  name_7 = 0\n}}\n")), "shop");
    assert_eq!(render(&diagnostics, &project.sources), "main.tf:50002:3 `name_7` is set twice\n");
    assert_eq!(project.stacks[""].module.locals.len(), 50_000);
}
