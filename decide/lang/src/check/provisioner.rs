//! Provisioners and their connections
//! (<https://developer.hashicorp.com/terraform/language/resources/provisioners/syntax>).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use andon_hcl::ast::{Body, Item};
use andon_schema::{Attribute, Block};
use andon_text::Diagnostic;
use andon_value::Type;

use super::scope::{At, Checked};
use crate::definitions::{Provisioner, ResourceDefinition};
use crate::reference::{Reference, name_at};
use crate::shape::suggest;
use crate::walk::references_of;

static KINDS: LazyLock<BTreeMap<&str, Block>> = LazyLock::new(|| {
    let text = || Attribute::optional(Type::String, "");
    let texts = || Attribute::optional(Type::list(Type::String), "");
    BTreeMap::from([
        (
            "local-exec",
            block([
                ("command", Attribute::required(Type::String, "")),
                ("working_dir", text()),
                ("interpreter", texts()),
                ("environment", Attribute::optional(Type::map(Type::String), "")),
                ("quiet", Attribute::optional(Type::Bool, "")),
            ]),
        ),
        ("remote-exec", block([("inline", texts()), ("script", text()), ("scripts", texts())])),
        (
            "file",
            block([("source", text()), ("content", text()), ("destination", Attribute::required(Type::String, ""))]),
        ),
    ])
});

/// Provisioners that older versions of the language had.
const GONE: [&str; 4] = ["chef", "habitat", "puppet", "salt-masterless"];

/// What each provisioner must have exactly one of.
const ONE_OF: [(&str, &[&str]); 2] =
    [("remote-exec", &["inline", "script", "scripts"]), ("file", &["source", "content"])];

static CONNECTION: LazyLock<Block> = LazyLock::new(|| {
    let texts = [
        "type",
        "user",
        "password",
        "timeout",
        "script_path",
        "target_platform",
        "private_key",
        "certificate",
        "host_key",
        "agent_identity",
        "proxy_scheme",
        "proxy_host",
        "proxy_user_name",
        "proxy_user_password",
        "bastion_host",
        "bastion_host_key",
        "bastion_user",
        "bastion_password",
        "bastion_private_key",
        "bastion_certificate",
        "cacert",
    ];
    let numbers = ["port", "proxy_port", "bastion_port"];
    let flags = ["agent", "https", "insecure", "use_ntlm"];
    let typed = |names: &[&'static str], ty: Type| -> Vec<(&'static str, Attribute)> {
        names.iter().map(|name| (*name, Attribute::optional(ty.clone(), ""))).collect()
    };
    let all = [typed(&texts, Type::String), typed(&numbers, Type::Number), typed(&flags, Type::Bool)];
    block(all.into_iter().flatten().chain([("host", Attribute::required(Type::String, ""))]))
});

fn block(attributes: impl IntoIterator<Item = (&'static str, Attribute)>) -> Block {
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    Block { attributes, ..Block::default() }
}

/// The provisioners of a resource; `at` is within its block, with `self`.
pub(super) fn check(at: &At<'_, '_>, definition: &ResourceDefinition) {
    each(at, &definition.provisioners, definition.connection.as_ref());
    let Some(connection) = &definition.connection else { return };
    // What no provisioner uses may refer to what is not there.
    if definition.provisioners.iter().any(|provisioner| provisioner.connection.is_none()) {
        at.written_in(connection);
    }
    if !definition.provisioners.is_empty() {
        at.body_value(connection, &CONNECTION);
    }
    if definition.provisioners.iter().any(|provisioner| provisioner.on_destroy) {
        late(at.checked, connection);
    }
}

/// Provisioners wherever they are, with the connection that theirs are laid over.
pub(super) fn each(at: &At<'_, '_>, provisioners: &[Provisioner], common: Option<&Body>) {
    for provisioner in provisioners {
        at.written_in(&provisioner.body);
        if provisioner.on_destroy {
            late(at.checked, &provisioner.body);
        }
        if let Some(connection) = &provisioner.connection {
            at.written_in(connection);
            at.body_value(&over(connection, common), &CONNECTION);
            if provisioner.on_destroy {
                late(at.checked, connection);
            }
        }
        let kind = &provisioner.kind;
        let Some(schema) = KINDS.get(&*kind.name) else {
            let diagnostic = Diagnostic::error(format!("there is no provisioner \"{}\"", kind.name)).at(kind.span);
            let diagnostic = if GONE.contains(&&*kind.name) {
                diagnostic
                    .label("newer versions of the language have it no longer")
                    .help("Use local-exec or remote-exec.")
            } else {
                suggest(diagnostic, &kind.name, KINDS.keys().copied())
            };
            at.checked.report([diagnostic]);
            continue;
        };
        let body = Body { span: Some(provisioner.span), ..provisioner.body.clone() };
        let value = at.body_value(&body, schema);
        let one_of = ONE_OF.iter().find(|(name, _)| *name == &*kind.name).map(|(_, names)| *names).unwrap_or_default();
        let given = one_of.iter().filter(|name| value.get(name).is_none_or(|value| !value.is_null())).count();
        if !one_of.is_empty() && given != 1 && !value.is_unknown() {
            let names = one_of.join("\" and \"");
            let diagnostic = Diagnostic::error(format!("one of \"{names}\" must be given")).at(provisioner.span);
            at.checked.report([diagnostic.label(if given == 0 { "none is" } else { "more than one is" })]);
        }
    }
}

/// A provisioner's own connection, with what only the common one gives.
fn over(own: &Body, common: Option<&Body>) -> Body {
    let mut body = own.clone();
    let more = common.into_iter().flat_map(Body::attributes).filter(|it| own.attribute(&it.name.name).is_none());
    Arc::make_mut(&mut body.items).extend(more.cloned().map(Item::Attribute));
    body
}

/// When an object is deleted, nothing but the object itself is sure to be there still.
fn late(checked: &Checked<'_>, body: &Body) {
    references_of(body, &mut |reference: Reference<'_>| {
        let name = name_at(&reference, 0).map(|(name, _)| name);
        let allowed = matches!(
            (&**reference.root, name),
            ("self" | "path" | "terraform", _) | ("count", Some("index")) | ("each", Some("key"))
        );
        if !allowed {
            let diagnostic = Diagnostic::error("what runs on deletion may refer only to the object itself");
            let diagnostic = diagnostic.at(reference.span).label("this may be gone by then");
            checked.report([diagnostic.help("Use self, count.index or each.key; keep what is needed in the object.")]);
        }
    });
}
