//! What a built-in provider offers, as Terraform's `providers schema -json` writes what a plugin offers
//! (<https://developer.hashicorp.com/terraform/cli/commands/providers/schema>).

use std::collections::BTreeMap;

use andon_schema::{Attribute, Block, Mode, Nesting, ProviderAddress, Schemas, TypeSchema};
use andon_value::type_to_json;
use serde_json::{Map, Value as Json, json};

/// One of the `provider_schemas`: the types whose names begin with the provider's.
pub fn built_in_schema(address: &ProviderAddress, schemas: &Schemas) -> Json {
    let prefix = format!("{}_", address.name);
    let types = |mode: Mode| -> Map<String, Json> {
        let own = schemas.built_in(mode).iter().filter(|(name, _)| name.starts_with(&prefix));
        own.map(|(name, schema)| (name.clone(), type_json(schema))).collect()
    };
    let mut out = Map::from_iter([("provider".to_owned(), json!({ "version": 0 }))]);
    for (key, types) in [("resource_schemas", types(Mode::Managed)), ("data_source_schemas", types(Mode::Data))] {
        if !types.is_empty() {
            out.insert(key.to_owned(), Json::Object(types));
        }
    }
    Json::Object(out)
}

fn type_json(schema: &TypeSchema) -> Json {
    json!({ "version": schema.version, "block": block_json(&schema.block) })
}

/// Blocks of what is built in are a few deep.
fn block_json(block: &Block) -> Json {
    let mut out = Map::new();
    if !block.attributes.is_empty() {
        out.insert("attributes".to_owned(), attributes_json(&block.attributes));
    }
    let nested = block.blocks.iter().map(|(name, nested)| {
        let mut json = Map::from_iter([
            ("nesting_mode".to_owned(), nesting(nested.nesting).into()),
            ("block".to_owned(), block_json(&nested.block)),
        ]);
        let counts = [("min_items", nested.min_items), ("max_items", nested.max_items)];
        json.extend(counts.into_iter().filter(|(_, it)| *it > 0).map(|(key, it)| (key.to_owned(), it.into())));
        (name.clone(), Json::Object(json))
    });
    let nested: Map<String, Json> = nested.collect();
    if !nested.is_empty() {
        out.insert("block_types".to_owned(), Json::Object(nested));
    }
    described(&mut out, &block.description);
    Json::Object(out)
}

fn attributes_json(attributes: &BTreeMap<String, Attribute>) -> Json {
    let all = attributes.iter().map(|(name, attribute)| {
        let mut out = Map::from_iter([("type".to_owned(), type_to_json(&attribute.ty))]);
        described(&mut out, &attribute.description);
        let flags = [
            ("deprecated", attribute.deprecated),
            ("required", attribute.required),
            ("optional", attribute.optional),
            ("computed", attribute.computed),
            ("sensitive", attribute.sensitive),
            ("write_only", attribute.write_only),
        ];
        out.extend(flags.into_iter().filter(|(_, is)| *is).map(|(key, _)| (key.to_owned(), true.into())));
        (name.clone(), Json::Object(out))
    });
    Json::Object(all.collect())
}

fn described(out: &mut Map<String, Json>, description: &str) {
    if !description.is_empty() {
        out.insert("description".to_owned(), description.into());
    }
    out.insert("description_kind".to_owned(), if description.is_empty() { "plain" } else { "markdown" }.into());
}

fn nesting(nesting: Nesting) -> &'static str {
    match nesting {
        Nesting::Single => "single",
        Nesting::Group => "group",
        Nesting::List => "list",
        Nesting::Set => "set",
        Nesting::Map => "map",
    }
}
