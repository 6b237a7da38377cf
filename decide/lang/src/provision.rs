//! What provisioners and their connections are given, and what that comes to
//! (<https://developer.hashicorp.com/terraform/language/resources/provisioners/syntax>).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use andon_hcl::ast::{Body, Item};
use andon_schema::{Attribute, Block, ProvisionerRun};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Type, Value};

use crate::definitions::Provisioner;
use crate::eval::{Scope, evaluate_block};

/// What a provisioner comes to, laid over the connection of its resource, where `self` is in scope.
pub fn provisioner_run(
    provisioner: &Provisioner,
    common: Option<&Body>,
    scope: &dyn Scope,
) -> Result<ProvisionerRun, Diagnostics> {
    let Some(schema) = KINDS.get(&*provisioner.kind.name) else {
        let name = &provisioner.kind.name;
        return Err(Diagnostic::error(format!("there is no provisioner \"{name}\"")).at(provisioner.kind.span).into());
    };
    let body = Body { span: Some(provisioner.span), ..provisioner.body.clone() };
    let config = evaluate_block(&body, schema, scope)?;
    let connection = match (&provisioner.connection, common) {
        // A command on this machine has no use for the resource's connection, which may not even have a value.
        (None, Some(_)) if &*provisioner.kind.name == "local-exec" => Value::NULL,
        (Some(own), common) => evaluate_block(&over(own, common), &CONNECTION, scope)?,
        (None, Some(common)) => evaluate_block(common, &CONNECTION, scope)?,
        (None, None) => Value::NULL,
    };
    let kind = Arc::clone(&provisioner.kind.name);
    Ok(ProvisionerRun { kind, config, connection, continues: provisioner.continues })
}

/// The arguments of each type of provisioner.
pub(crate) static KINDS: LazyLock<BTreeMap<&str, Block>> = LazyLock::new(|| {
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

/// What each provisioner must have exactly one of.
pub(crate) const ONE_OF: [(&str, &[&str]); 2] =
    [("remote-exec", &["inline", "script", "scripts"]), ("file", &["source", "content"])];

/// The arguments of a connection.
pub(crate) static CONNECTION: LazyLock<Block> = LazyLock::new(|| {
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

/// A provisioner's own connection, with what only the common one gives.
pub(crate) fn over(own: &Body, common: Option<&Body>) -> Body {
    let mut body = own.clone();
    let more = common.into_iter().flat_map(Body::attributes).filter(|it| own.attribute(&it.name.name).is_none());
    Arc::make_mut(&mut body.items).extend(more.cloned().map(Item::Attribute));
    body
}
