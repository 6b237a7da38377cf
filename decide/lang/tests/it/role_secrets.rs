//! `secret` in roles: what it gives, what is known of it before the server is, and what must not be made of one.

use andon_lang::{Roles, SecretsAtHand, Server, bundle, catalog};

use crate::render;
use crate::role::{check_body, facts, object, project};
use crate::schemas::schemas;

#[test]
fn a_secret_is_a_sensitive_text() {
    for (body, expected) in [
        ("file \"/x\" { content = secret(\"db\") }", "file /x content=(sensitive value)"),
        ("file \"/x\" { content = \"p=${secret(\"app/key\")}\" }", "file /x content=(sensitive value)"),
        (
            "locals { k = secret(\"db\") }\nfile \"/x\" { content = templatefile(\"hello.tftpl\", { name = local.k }) }",
            "file /x content=(sensitive value)",
        ),
        (
            "file \"/x\" { content = length(secret(\"db\")) == 7 ? \"yes\" : \"no\" }",
            "file /x content=(sensitive value)",
        ),
        ("file \"/x\" { content = nonsensitive(secret(\"db\")) }", "file /x content=\"hunter2\""),
        ("file \"/x\" { content = secret(\"dbx\") }", "2:23 \"secret\" has no result"),
        ("file \"/x\" { content = secret(\"\") }", "2:30 invalid argument \"name\" of \"secret\""),
        ("file \"/x\" { content = secret(\"../db\") }", "2:30 invalid argument \"name\" of \"secret\""),
        // What everybody sees is no secret.
        ("file \"/${secret(\"db\")}\" {}", "2:6 the name of a host resource is a secret: it is shown"),
        (
            "file \"/x\" {\n  for_each = toset([secret(\"db\")])\n}",
            "3:14 \"for_each\" takes a map, or a set of strings",
        ),
        (
            "check \"up\" { http \"http://${secret(\"db\")}/\" {} }",
            "2:19 the name of an assertion is a secret: it is shown",
        ),
    ] {
        check_body(body, expected);
    }
}

/// The names of the secrets of role `a`, or what is wrong.
fn names(body: &str) -> String {
    let text = format!(
        "== roles/a.role.hcl\nrole \"a\" {{\n  inherits = [\"b\"]\n{body}\n}}\n\
        == roles/b.role.hcl\nrole \"b\" {{\n  param \"who\" {{ default = \"x\" }}\n}}\nrole \"c\" {{\n  file \"/c\" {{ content = secret(\"c\") }}\n}}\n\
        == roles/t.tftpl\n${{secret(\"in-template\")}} ${{v}}\n"
    );
    let project = project(&text);
    let bundle = bundle(&project, ["a"]);
    match bundle.secrets("a", &object("{ who = \"al\" }"), &schemas()) {
        Ok(names) => names.iter().map(|name| &**name).collect::<Vec<_>>().join(" "),
        Err(errors) => render(&errors, bundle.sources()),
    }
}

#[test]
fn what_a_role_reads_is_known_before_its_server_is() {
    for (body, expected) in [
        ("", ""),
        ("file \"/x\" { content = secret(\"one\") }", "one"),
        ("file \"/x\" { content = secret(\"db-${param.who}\") }", "db-al"),
        (
            "locals { names = [\"p\", \"q\"] }\nfile \"/${each.key}\" {\n for_each = toset(local.names)\n content = secret(each.key)\n}",
            "p q",
        ),
        ("file \"/x\" { content = templatefile(\"t.tftpl\", { v = fact.hostname }) }", "in-template"),
        // Not on any server.
        ("file \"/x\" {\n when = false\n content = secret(\"one\")\n}", ""),
        // Perhaps on this one.
        ("file \"/x\" {\n when = fact.os.family == \"debian\"\n content = secret(\"one\")\n}", "one"),
        ("file \"/x\" { content = fact.os.family == \"debian\" ? secret(\"d\") : secret(\"r\") }", "d r"),
        ("check \"up\" {\n http \"http://localhost/\" { status = length(secret(\"t\")) }\n}", "t"),
        (
            "file \"/x\" { content = secret(\"db-${fact.hostname}\") }",
            "- role \"a\" reads a secret whose name depends on a fact",
        ),
    ] {
        let said = names(body);
        assert!(said.trim().starts_with(expected) && (expected.len() > 9 || said.trim() == expected), "{body}\n{said}");
    }
}

#[test]
fn no_secret_is_baked() {
    let project = project("== roles/a.role.hcl\nrole \"a\" {\n  file \"/x\" { content = secret(\"db\") }\n}\n");
    let (params, facts) = (object("{}"), facts());
    let server = Server { params: &params, facts: &facts, secrets: SecretsAtHand::Image };
    let errors = catalog(Roles::of(&project, &schemas()), "a", server).unwrap_err();
    let error = errors.iter().next().unwrap();
    assert!(error.detail.starts_with("Whoever has the image could read it."), "{error:?}");
}

#[test]
fn a_bundle_takes_no_files_of_others_along() {
    let text = "== roles/a.role.hcl\nrole \"a\" {\n  file \"/x\" { content = file(\"x.txt\") }\n}\n== roles/x.txt\nx\n\
        == roles/prod.tfvars\n== roles/terraform.tfstate\n{}\n== roles/db.age\nsealed\n== secrets/db.age\nsealed\n== roles/site/a.j2\nx\n";
    let project = project(text);
    let bundle = bundle(&project, ["a"]);
    let paths: Vec<&str> = bundle.files().paths().map(|path| &**path).collect();
    assert_eq!(paths, ["roles/a.role.hcl", "roles/site/a.j2", "roles/x.txt"]);
}
