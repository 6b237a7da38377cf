//! Calls of modules from elsewhere: what was installed is found, and what was not is said once, at its place.

use andon_lang::load;
use andon_lang::modules::{Installed, RECORD, Record, choose, tree_hash};
use andon_schema::{Version, VersionConstraint};

use crate::{files, render_all};

/// A project with one installed registry module in two versions, and one repository.
const INSTALLED: &str = r#"
== .andon/modules/modules.json
{"format":1,"modules":[
 {"source":"registry.terraform.io/a/net/aws","version":"1.2.0","directory":".andon/modules/net-1","inner":"net-1.2.0"},
 {"source":"registry.terraform.io/a/net/aws","version":"1.10.0","directory":".andon/modules/net-2","inner":""},
 {"source":"git::https://example.com/x.git?ref=v1","directory":".andon/modules/x-1","inner":"","commit":"abc"}]}
== .andon/modules/net-1/net-1.2.0/main.tf
output "old" { value = 1 }
== .andon/modules/net-2/main.tf
module "sub" { source = "./modules/sub" }
output "new" { value = file("${path.module}/x.txt") }
== .andon/modules/net-2/x.txt
hello
== .andon/modules/net-2/modules/sub/main.tf
output "sub" { value = 1 }
== .andon/modules/net-2/modules/out/main.tf
module "x" { source = "../../../net-1" }
== .andon/modules/net-2/examples/main.tf
this is never read {
== .andon/modules/x-1/main.tf
module "net" {
  source  = "a/net/aws"
  version = "< 1.5"
}
"#;

/// What is said of a project with this `main.tf` and the installed modules.
fn said(main: &str) -> String {
    let (project, diagnostics) = load(files(&format!("== main.tf\n{main}{INSTALLED}")), "shop");
    render_all(&diagnostics, &project.sources).trim_end().to_owned()
}

#[test]
fn installed_modules_are_found() {
    for main in [
        "module \"a\" { source = \"a/net/aws\" }",
        "module \"a\" {\n  source = \"a/net/aws\"\n  version = \"1.2.0\"\n}",
        "module \"a\" { source = \"registry.terraform.io/a/net/aws\" }",
        "module \"a\" { source = \"a/net/aws//modules/sub\" }",
        "module \"a\" { source = \"git::https://example.com/x.git?ref=v1\" }",
        "module \"a\" { source = \"git::https://example.com/x.git//.?ref=v1\" }",
    ] {
        assert_eq!(said(main), "", "{main}");
    }
    let main = "== main.tf\nmodule \"a\" { source = \"a/net/aws\" }\nmodule \"b\" {\n  source = \"a/net/aws\"\n  version = \"~> 1.2.0\"\n}\nmodule \"c\" { source = \"a/net/aws\" }";
    let (project, _) = load(files(&format!("{main}{INSTALLED}")), "shop");
    let calls = &project.stacks[""].module.calls;
    let directories = ["a", "b", "c"].map(|name| calls[name].module.directory.to_string());
    assert_eq!(directories, [".andon/modules/net-2", ".andon/modules/net-1/net-1.2.0", ".andon/modules/net-2"]);
    assert!(std::sync::Arc::ptr_eq(&calls["a"].module, &calls["c"].module), "one module, however often it is called");
}

#[test]
fn what_is_not_there_is_said_once_at_its_place() {
    for (main, expected) in [
        ("module \"a\" { source = \"b/net/aws\" }", "main.tf:1:23 module \"a\" is not installed\n  Run `andon init`."),
        (
            "module \"a\" {\n  source = \"a/net/aws\"\n  version = \"~> 2.0\"\n}",
            "main.tf:3:13 module \"a\" is installed at version 1.10.0, and \"~> 2.0\" is wanted\n  Run `andon init`.",
        ),
        (
            "module \"a\" { source = \"git::https://example.com/x.git?ref=v2\" }\noutput \"x\" { value = module.a.anything.at.all }",
            "main.tf:1:23 module \"a\" is not installed\n  Run `andon init`.",
        ),
        (
            "module \"a\" { source = \"a/net/aws//modules/sup\" }",
            "main.tf:1:23 the package has no module in \"modules/sup\"\n  The package is in .andon/modules/net-2.\n  There is one in .andon/modules/net-2/modules/sub.",
        ),
        (
            "module \"a\" { source = \"a/net/aws//modules/out\" }",
            ".andon/modules/net-2/modules/out/main.tf:1:23 a local path leads out of the module's package\n  A module that is installed can call what is in its package, and what it names by its own source.",
        ),
        (
            "module \"a\" { source = \"modules/a\" }",
            "main.tf:1:23 the module's source is not understood\n  Write \"./modules/a\" if a local path is meant. Write a path that begins with \"./\", a registry's module as NAMESPACE/NAME/SYSTEM, a repository as \"git::https://…\", or the URL of an archive.",
        ),
        (
            "module \"a\" {\n  source = \"a/net/aws\"\n  version = \"latest\"\n}",
            "main.tf:3:13 \"latest\" is not a version constraint\n  Write it like \"1.2.3\", \"~> 1.2\" or \">= 1.2, < 2.0\".",
        ),
        (
            "module \"a\" {\n  source = \"git::https://example.com/x.git?ref=v1\"\n  version = \"1.0\"\n}",
            "main.tf:3:13 only a module of a registry has versions to choose from\n  main.tf:2:12: this is no registry\n  Leave \"version\" out; a git repository takes \"?ref=\" in its source.",
        ),
    ] {
        assert_eq!(said(main), expected, "{main}");
    }
}

#[test]
fn what_terraform_installed_will_do() {
    let project = r#"
== stacks/web/main.tf
module "net" {
  source  = "a/net/aws//modules/sub"
  version = "~> 1.0"
}
module "x" { source = "git::https://example.com/x.git?ref=v1" }
module "other" { source = "a/other/aws" }
== stacks/web/.terraform/modules/other/other-1.0.0/main.tf
locals {}
== stacks/web/.terraform/modules/modules.json
{"Modules":[{"Key":"","Source":"","Dir":"."},
 {"Key":"net","Source":"registry.terraform.io/a/net/aws//modules/sub","Version":"1.2.0","Dir":".terraform/modules/net/net-1.2.0/modules/sub"},
 {"Key":"other","Source":"registry.terraform.io/a/other/aws","Version":"1.0.0","Dir":".terraform/modules/other/other-1.0.0"},
 {"Key":"x","Source":"git::https://example.com/x.git?ref=v1","Dir":".terraform/modules/x"},
 {"Key":"x.y","Source":"./y","Dir":".terraform/modules/x/y"}]}
== stacks/web/.terraform/modules/net/net-1.2.0/modules/sub/main.tf
output "a" { value = 1 }
== stacks/web/.terraform/modules/x/main.tf
module "y" { source = "./y" }
== stacks/web/.terraform/modules/x/y/main.tf
output "b" { value = 1 }
"#;
    let (project, diagnostics) = load(files(project.trim_start()), "shop");
    assert_eq!(render_all(&diagnostics, &project.sources), "");
    let calls = &project.stacks["web"].module.calls;
    assert_eq!(&*calls["net"].module.directory, "stacks/web/.terraform/modules/net/net-1.2.0/modules/sub");
    assert_eq!(calls["x"].module.calls["y"].module.outputs.len(), 1);
}

#[test]
fn the_record_is_read_as_it_was_written() {
    let record = Record {
        modules: vec![Installed {
            source: "registry.terraform.io/a/net/aws".into(),
            version: Some("1.2.0-rc1".parse().unwrap()),
            root: ".andon/modules/net-1".into(),
            inner: "x".into(),
            from: Some("git::https://example.com/x.git?ref=v1".into()),
            commit: Some("abc".into()),
            hash: "h1:x".into(),
            calls: vec!["stacks/web: module.net".into()],
        }],
    };
    assert_eq!(Record::read(record.write().as_bytes()), Ok(record));
    for (text, expected) in [
        ("", "EOF while parsing"),
        ("{}", "another version"),
        ("{\"format\":2,\"modules\":[]}", "another version"),
        ("{\"format\":1}", "no modules"),
        ("{\"format\":1,\"modules\":[{}]}", "not described whole"),
        ("{\"format\":1,\"modules\":[{\"source\":\"a\",\"directory\":\"../../etc\"}]}", "not described whole"),
        ("{\"format\":1,\"modules\":[{\"source\":\"a\",\"directory\":\".andon/modules/../../etc\"}]}", "not described"),
    ] {
        let error = Record::read(text.as_bytes()).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let broken = format!("== main.tf\nlocals {{}}\n== {RECORD}\nx");
    let (project, diagnostics) = load(files(&broken), "shop");
    let said = render_all(&diagnostics, &project.sources);
    assert!(said.contains("warning: .andon/modules/modules.json is not understood"), "{said}");
}

#[test]
fn versions_are_chosen() {
    let there = ["0.9.0", "1.0.0", "1.2.0", "1.2.5", "1.10.0", "2.0.0-beta1", "2.0.0", "3.0.0-rc.1"];
    let there: Vec<Version> = there.iter().map(|text| text.parse().unwrap()).collect();
    for (constraint, locked, expected) in [
        ("", "", "2.0.0"),
        ("~> 1.2", "", "1.10.0"),
        ("~> 1.2, != 1.10.0", "", "1.2.5"),
        ("~> 1.2", "1.2.0", "1.2.0"),
        ("~> 1.2", "1.2.0 1.2.5 2.0.0", "1.2.5"),
        ("~> 2.0", "1.2.0", "2.0.0"),
        // What is locked and gone is not taken.
        ("~> 1.2", "1.3.0", "1.10.0"),
        ("> 2.0.0", "", ""),
        ("3.0.0-rc.1", "", "3.0.0-rc.1"),
        (">= 3.0.0-rc.1", "", ""),
    ] {
        let locked: Vec<Version> = locked.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let constraint: VersionConstraint = constraint.parse().unwrap();
        let chosen = choose(&constraint, &locked, &there).map(Version::to_string).unwrap_or_default();
        assert_eq!(chosen, expected, "{constraint} {locked:?}");
    }
}

#[test]
fn the_digest_of_a_tree_is_gos() {
    // The digest of no files is the one that is published for empty packages.
    assert_eq!(tree_hash([]), "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}
