//! The kinds of things that the simulated world is made of: their schemas, and what becomes of their attributes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use andon_schema::{Attribute, Block, Identity, ProviderAddress, ProviderSchema, Schemas, TypeSchema};
use andon_value::{Type, Value, to_json};

pub(crate) const NETWORK: &str = "sim_network";
pub(crate) const SERVER: &str = "sim_server";
pub(crate) const DISK: &str = "sim_disk";
pub(crate) const BALANCER: &str = "sim_balancer";
/// What is built in, whoever makes the rest.
pub(crate) const HOST: &str = "own_host";
pub(crate) const DATA: &str = "own_data";
/// A data source: the zone of a network, which follows from the network's range as it is.
pub(crate) const ZONE: &str = "sim_zone";

/// The `health` of a thing that is whole.
pub(crate) const WHOLE: &str = "whole";
/// The `health` of a thing of which something is missing.
pub(crate) const BROKEN: &str = "broken";

/// The attributes whose change replaces the object.
const REPLACES: [(&str, &str); 8] = [
    (NETWORK, "name"),
    (SERVER, "name"),
    (SERVER, "image"),
    (SERVER, "network"),
    (DISK, "server"),
    (BALANCER, "listen"),
    (BALANCER, "flavor"),
    (DATA, "triggers_replace"),
];

static SCHEMAS: LazyLock<Arc<Schemas>> = LazyLock::new(|| Arc::new(schemas_of_everything()));

/// What a plugin offers where it is the one that makes what is physical.
static PROVIDER: LazyLock<Arc<ProviderSchema>> = LazyLock::new(|| {
    let theirs = |(kind, _): &(&String, &TypeSchema)| kind.starts_with("sim_");
    let owned = |(kind, schema): (&String, &TypeSchema)| (kind.clone(), schema.clone());
    Arc::new(ProviderSchema {
        resources: SCHEMAS.resources.iter().filter(theirs).map(owned).collect(),
        data: SCHEMAS.data.iter().filter(theirs).map(owned).collect(),
        ..ProviderSchema::default()
    })
});

static SCHEMAS_WITH_PLUGIN: LazyLock<Arc<Schemas>> = LazyLock::new(|| {
    let mut all = Schemas::clone(&SCHEMAS);
    all.resources.retain(|kind, _| !kind.starts_with("sim_"));
    all.data.retain(|kind, _| !kind.starts_with("sim_"));
    all.providers.insert(ProviderAddress::implied("sim"), provider_schema());
    Arc::new(all)
});

/// Every schema; those of what is physical are a plugin's where there is one.
pub(crate) fn schemas(plugged: bool) -> Arc<Schemas> {
    Arc::clone(if plugged { &SCHEMAS_WITH_PLUGIN } else { &SCHEMAS })
}

/// What the plugin offers.
pub(crate) fn provider_schema() -> Arc<ProviderSchema> {
    Arc::clone(&PROVIDER)
}

fn schemas_of_everything() -> Schemas {
    let required = |ty| Attribute::required(ty, "");
    let optional = |ty| Attribute::optional(ty, "");
    let computed = |ty| Attribute::computed(ty, "");
    let secret = Attribute { sensitive: true, ..computed(Type::String) };
    let id = || ("id", computed(Type::String));
    let health = || ("health", computed(Type::String));
    let resources = [
        (
            NETWORK,
            vec![
                ("name", required(Type::String)),
                ("cidr", Attribute::optional_computed(Type::String, "")),
                id(),
                health(),
            ],
        ),
        (
            SERVER,
            vec![
                ("name", required(Type::String)),
                ("image", required(Type::String)),
                ("network", required(Type::String)),
                ("memory", optional(Type::Number)),
                ("labels", optional(Type::map(Type::String))),
                ("address", computed(Type::String)),
                ("password", secret),
                id(),
                health(),
            ],
        ),
        (DISK, vec![("server", required(Type::String)), ("size", required(Type::Number)), id(), health()]),
        (
            BALANCER,
            vec![
                ("listen", required(Type::String)),
                ("flavor", optional(Type::String)),
                ("targets", required(Type::list(Type::String))),
                ("url", computed(Type::String)),
                id(),
                health(),
            ],
        ),
        (
            HOST,
            vec![
                ("server", required(Type::String)),
                ("role", required(Type::String)),
                ("params", optional(Type::Dynamic)),
                ("catalog", computed(Type::String)),
            ],
        ),
        (
            DATA,
            vec![
                ("input", optional(Type::Dynamic)),
                ("triggers_replace", optional(Type::Dynamic)),
                ("output", computed(Type::Dynamic)),
                id(),
            ],
        ),
    ];
    let zone = vec![("network", required(Type::String)), ("zone", computed(Type::String))];
    let schema = |attributes: Vec<(&str, Attribute)>| {
        let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
        TypeSchema::of(Block { attributes, ..Block::default() })
    };
    let mut all = Schemas::default();
    all.resources.extend(resources.into_iter().map(|(kind, attributes)| (kind.to_owned(), schema(attributes))));
    all.data.insert(ZONE.to_owned(), schema(zone));
    all.data.insert(andon_plan::STACK_DATA.to_owned(), andon_plan::stack_schema());
    all
}

fn attributes(kind: &str) -> impl Iterator<Item = (&'static str, &'static Attribute)> {
    let schema = SCHEMAS.resources.get(kind);
    schema.into_iter().flat_map(|schema| &schema.block.attributes).map(|(name, attribute)| (name.as_str(), attribute))
}

/// Whether a kind has a `health`.
pub(crate) fn is_physical(kind: &str) -> bool {
    matches!(kind, NETWORK | SERVER | DISK | BALANCER)
}

/// Whether two values say the same: a list and a tuple of the same elements do.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    one == other || matches!((to_json(one), to_json(other)), (Ok(one), Ok(other)) if one == other)
}

/// What would become of an object, and the attributes that replace it.
pub(crate) fn plan(kind: &str, prior: Option<&Value>, config: &Value) -> (Value, Vec<String>) {
    let null = Value::NULL;
    let given = |name: &str| config.get(name).unwrap_or(&null);
    let Some(prior) = prior else {
        let entries = attributes(kind).map(|(name, attribute)| {
            let decided_later = attribute.computed && given(name).is_null();
            (name, if decided_later { Value::unknown(attribute.ty.clone()) } else { given(name).clone() })
        });
        return (Value::object(entries), Vec::new());
    };
    let decided_by_config = |attribute: &Attribute, name: &str| !attribute.computed || !given(name).is_null();
    let differing: Vec<&str> = attributes(kind)
        .filter(|(name, attribute)| {
            decided_by_config(attribute, name) && !same(&bare(given(name)), &bare(prior.get(name).unwrap_or(&null)))
        })
        .map(|(name, _)| name)
        .collect();
    let is_broken = prior.get_str("health") == Some(BROKEN);
    if differing.is_empty() && !is_broken {
        return (prior.clone(), Vec::new());
    }
    let replaces = |name: &&str| REPLACES.contains(&(kind, *name));
    let mut replace: Vec<String> =
        differing.iter().filter(|name| replaces(name)).map(|name| (*name).to_owned()).collect();
    replace.extend(is_broken.then(|| "health".to_owned()));
    let entries = attributes(kind).map(|(name, attribute)| {
        let value = if decided_by_config(attribute, name) {
            given(name).clone()
        } else {
            follows(kind, name, &given).unwrap_or_else(|| prior.get(name).cloned().unwrap_or(Value::NULL))
        };
        (name, value)
    });
    (Value::object(entries), replace)
}

/// What an object is once it is made or changed.
pub(crate) fn realise(kind: &str, identity: &Identity, prior: Option<&Value>, config: &Value) -> Value {
    let config = bare(config);
    let null = Value::NULL;
    let given = |name: &str| config.get(name).unwrap_or(&null);
    let entries = attributes(kind).map(|(name, attribute)| {
        if !attribute.computed || !given(name).is_null() {
            return (name, given(name).clone());
        }
        let kept = || prior.and_then(|prior| prior.get(name)).cloned();
        let value = follows(kind, name, &given).or_else(kept).unwrap_or_else(|| fresh(kind, name, identity));
        (name, value)
    });
    Value::object(entries)
}

/// An attribute that follows from the configuration.
fn follows<'a>(kind: &str, name: &str, given: &impl Fn(&str) -> &'a Value) -> Option<Value> {
    match (kind, name) {
        (DATA, "output") => Some(given("input").clone()),
        (BALANCER, "url") => Some(match given("listen").as_str() {
            Some(listen) => format!("http://{listen}/").into(),
            None => Value::unknown(Type::String),
        }),
        _ => None,
    }
}

/// An attribute that the world makes up.
fn fresh(kind: &str, name: &str, identity: &Identity) -> Value {
    match name {
        "health" => WHOLE.into(),
        "id" => format!("{kind}-{identity}").into(),
        name => format!("{name}-{identity}").into(),
    }
}

/// A value without marks.
pub(crate) fn bare(value: &Value) -> Value {
    value.unmark_deep().0
}

/// The same object with some attributes changed.
pub(crate) fn with(value: &Value, changes: &[(&str, Value)]) -> Value {
    let mut entries: BTreeMap<Arc<str>, Value> =
        value.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
    entries.extend(changes.iter().map(|(name, value)| ((*name).into(), value.clone())));
    Value::object(entries)
}

/// A digest of all that a role with these parameters makes of a server.
pub(crate) fn catalog(config: &Value) -> String {
    let params = config.get("params").map(bare).unwrap_or(Value::NULL);
    let params = to_json(&params).map(|json| json.to_string()).unwrap_or_default();
    format!("{} with {params}", config.get_str("role").unwrap_or_default())
}
