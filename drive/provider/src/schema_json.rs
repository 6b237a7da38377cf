//! What a plugin offers as Terraform's `providers schema -json` writes it
//! (<https://developer.hashicorp.com/terraform/cli/commands/providers/schema>). It is made of the plugin's own words, as
//! the project's own schemas leave out what only this needs.

use prost::Message;
use prost::bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use andon_schema::Mode;

use crate::schema::{Protocol, RawSchema, SchemaError, upgraded};
use crate::wire::{plugin as wire, schema5, schema6};

/// Schemas in schemas at most so deep.
const DEEPEST: usize = 128;

/// Why a part of a schema is none.
type Wrong = String;

impl RawSchema {
    /// All of it, in the format 1.0 of `providers schema -json`: one of its `provider_schemas`.
    pub fn terraform_json(&self) -> Result<Json, SchemaError> {
        let mut out = Map::new();
        out.insert("provider".to_owned(), self.schema_json("the provider's configuration", &self.config)?);
        let names = [
            (Mode::Managed, "resource_schemas"),
            (Mode::Data, "data_source_schemas"),
            (Mode::Ephemeral, "ephemeral_resource_schemas"),
        ];
        for (mode, key) in names {
            let types = self.types.get(&mode).into_iter().flatten();
            let all = types.map(|(name, bytes)| Ok((name.clone(), self.schema_json(name, bytes)?)));
            insert_all(&mut out, key, all.collect::<Result<_, SchemaError>>()?);
        }
        let functions = self.functions.iter().map(|(name, bytes)| Ok((name.clone(), function_json(name, bytes)?)));
        insert_all(&mut out, "functions", functions.collect::<Result<_, SchemaError>>()?);
        Ok(Json::Object(out))
    }

    fn schema_json(&self, what: &str, bytes: &Bytes) -> Result<Json, SchemaError> {
        let schema = match self.protocol {
            Protocol::Five => schema5::Schema::decode(&**bytes).map(upgraded),
            Protocol::Six => schema6::Schema::decode(&**bytes),
        };
        let schema = schema.map_err(|source| SchemaError::Message { what: what.to_owned(), source })?;
        let block = match &schema.block {
            Some(block) => {
                Some(block_json(block, 0).map_err(|why| SchemaError::Content { what: what.to_owned(), why })?)
            }
            None => None,
        };
        let mut out = Map::new();
        out.insert("version".to_owned(), schema.version.into());
        out.extend(block.map(|block| ("block".to_owned(), block)));
        Ok(Json::Object(out))
    }
}

fn insert_all(out: &mut Map<String, Json>, key: &str, all: Map<String, Json>) {
    if !all.is_empty() {
        out.insert(key.to_owned(), Json::Object(all));
    }
}

fn insert_true(out: &mut Map<String, Json>, key: &str, is: bool) {
    if is {
        out.insert(key.to_owned(), true.into());
    }
}

fn insert_text(out: &mut Map<String, Json>, key: &str, text: &str) {
    if !text.is_empty() {
        out.insert(key.to_owned(), text.into());
    }
}

fn block_json(block: &schema6::Block, depth: usize) -> Result<Json, Wrong> {
    if depth > DEEPEST {
        return Err(format!("its blocks are more than {DEEPEST} deep"));
    }
    let mut out = Map::new();
    insert_all(&mut out, "attributes", attributes_json(&block.attributes, depth)?);
    let mut nested = Map::new();
    for it in &block.block_types {
        let inner = it
            .block
            .as_ref()
            .map_or_else(|| block_json(&schema6::Block::default(), depth + 1), |inner| block_json(inner, depth + 1));
        let mut json = Map::new();
        json.insert("nesting_mode".to_owned(), nesting(it.nesting)?.into());
        json.insert("block".to_owned(), inner?);
        for (key, count) in [("min_items", it.min_items), ("max_items", it.max_items)] {
            if count != 0 {
                json.insert(key.to_owned(), count.into());
            }
        }
        nested.insert(it.type_name.clone(), Json::Object(json));
    }
    insert_all(&mut out, "block_types", nested);
    insert_text(&mut out, "description", &block.description);
    out.insert("description_kind".to_owned(), description_kind(block.description_kind).into());
    insert_true(&mut out, "deprecated", block.deprecated);
    Ok(Json::Object(out))
}

fn attributes_json(attributes: &[schema6::Attribute], depth: usize) -> Result<Map<String, Json>, Wrong> {
    attributes.iter().map(|it| Ok((it.name.clone(), attribute_json(it, depth)?))).collect()
}

fn attribute_json(attribute: &schema6::Attribute, depth: usize) -> Result<Json, Wrong> {
    if depth > DEEPEST {
        return Err(format!("its attributes are more than {DEEPEST} deep"));
    }
    let mut out = Map::new();
    match &attribute.nested_type {
        Some(object) => {
            let mut nested = Map::new();
            insert_all(&mut nested, "attributes", attributes_json(&object.attributes, depth + 1)?);
            nested.insert("nesting_mode".to_owned(), nesting(object.nesting)?.into());
            out.insert("nested_type".to_owned(), Json::Object(nested));
        }
        None => drop(out.insert("type".to_owned(), ty(&attribute.r#type)?)),
    }
    insert_text(&mut out, "description", &attribute.description);
    out.insert("description_kind".to_owned(), description_kind(attribute.description_kind).into());
    insert_true(&mut out, "deprecated", attribute.deprecated);
    insert_true(&mut out, "required", attribute.required);
    insert_true(&mut out, "optional", attribute.optional);
    insert_true(&mut out, "computed", attribute.computed);
    insert_true(&mut out, "sensitive", attribute.sensitive);
    insert_true(&mut out, "write_only", attribute.write_only);
    Ok(Json::Object(out))
}

fn function_json(name: &str, bytes: &Bytes) -> Result<Json, SchemaError> {
    let what = || format!("the function {name}");
    let function = wire::Function::decode(&**bytes).map_err(|source| SchemaError::Message { what: what(), source })?;
    let content = |why| SchemaError::Content { what: what(), why };
    let parameter = |it: &wire::function::Parameter| {
        let mut out = Map::new();
        insert_text(&mut out, "name", &it.name);
        insert_text(&mut out, "description", &it.description);
        insert_true(&mut out, "is_nullable", it.allow_null_value);
        out.insert("type".to_owned(), ty(&it.r#type)?);
        Ok(Json::Object(out))
    };
    let mut out = Map::new();
    insert_text(&mut out, "description", &function.description);
    insert_text(&mut out, "summary", &function.summary);
    insert_text(&mut out, "deprecation_message", &function.deprecation_message);
    let returns = function.r#return.as_ref().ok_or_else(|| content("it returns nothing".to_owned()))?;
    out.insert("return_type".to_owned(), ty(&returns.r#type).map_err(content)?);
    let parameters: Vec<Json> =
        function.parameters.iter().map(parameter).collect::<Result<_, Wrong>>().map_err(content)?;
    if !parameters.is_empty() {
        out.insert("parameters".to_owned(), json!(parameters));
    }
    if let Some(rest) = &function.variadic_parameter {
        out.insert("variadic_parameter".to_owned(), parameter(rest).map_err(content)?);
    }
    Ok(Json::Object(out))
}

fn ty(json: &[u8]) -> Result<Json, Wrong> {
    serde_json::from_slice(json).map_err(|error| format!("a type is no JSON: {error}"))
}

fn nesting(number: i32) -> Result<&'static str, Wrong> {
    match number {
        1 => Ok("single"),
        2 => Ok("list"),
        3 => Ok("set"),
        4 => Ok("map"),
        5 => Ok("group"),
        _ => Err(format!("there is no nesting {number}")),
    }
}

fn description_kind(number: i32) -> &'static str {
    if number == 1 { "markdown" } else { "plain" }
}
