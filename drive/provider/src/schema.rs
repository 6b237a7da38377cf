//! What a plugin says that it offers, as it came, and read into the project's own schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{
    Attribute, Block, Capabilities, FunctionSchema, IdentityAttribute, IdentitySchema, Mode, NestedAttributes,
    NestedBlock, Nesting, ParameterSchema, TypeSchema,
};
use andon_value::{Type, type_from_json};
use prost::Message;
use prost::bytes::Bytes;

use crate::wire::{plugin as wire, schema5, schema6};

/// The major version of the provider protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Protocol 5.
    Five,
    /// Protocol 6: attributes may have nested attributes.
    Six,
}

/// The answer of a plugin to what it offers. Each schema in it is as it came: reading all of a large plugin's takes
/// tens of times its size in memory, and a project uses few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSchema {
    pub(crate) protocol: Protocol,
    pub(crate) config: Bytes,
    pub(crate) meta: Bytes,
    pub(crate) types: BTreeMap<Mode, BTreeMap<String, Bytes>>,
    pub(crate) functions: BTreeMap<String, Bytes>,
    /// The schemas of the identities of resource types, by type.
    pub(crate) identities: BTreeMap<String, Bytes>,
    pub(crate) capabilities: Capabilities,
}

/// What is wrong with a schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is no message of the protocol.
    #[error("{what}: {source}")]
    Message {
        /// Whose schema it is.
        what: String,
        /// Why.
        source: prost::DecodeError,
    },
    /// It is a message, but of no schema.
    #[error("{what}: {why}")]
    Content {
        /// Whose schema it is.
        what: String,
        /// Why.
        why: String,
    },
}

/// Why a part of a schema is none.
type Wrong = String;

impl RawSchema {
    pub(crate) fn new(
        protocol: Protocol,
        answer: wire::GetProviderSchema,
        identities: BTreeMap<String, Bytes>,
    ) -> RawSchema {
        let types = [
            (Mode::Managed, answer.resource_schemas),
            (Mode::Data, answer.data_source_schemas),
            (Mode::Ephemeral, answer.ephemeral_resource_schemas),
        ];
        RawSchema {
            protocol,
            config: answer.provider,
            meta: answer.provider_meta,
            types: types.into(),
            functions: answer.functions,
            identities,
            capabilities: capabilities(answer.server_capabilities.unwrap_or_default()),
        }
    }

    /// The names of all types of a mode.
    pub fn names(&self, mode: Mode) -> BTreeSet<&str> {
        self.types.get(&mode).into_iter().flat_map(BTreeMap::keys).map(String::as_str).collect()
    }
}

/// Reads the schema of a type, or of a provider's configuration; of no bytes at all, one without arguments.
pub(crate) fn type_schema(protocol: Protocol, what: &str, bytes: &[u8]) -> Result<TypeSchema, SchemaError> {
    let message = |source| SchemaError::Message { what: what.to_owned(), source };
    let content = |why| SchemaError::Content { what: what.to_owned(), why };
    let schema = match protocol {
        Protocol::Five => schema5::Schema::decode(bytes).map(upgraded),
        Protocol::Six => schema6::Schema::decode(bytes),
    };
    let schema = schema.map_err(message)?;
    let version = u64::try_from(schema.version).map_err(|_| content("its version is below 0".to_owned()))?;
    Ok(TypeSchema { block: block(schema.block.unwrap_or_default()).map_err(content)?, version, identity: None })
}

pub(crate) fn capabilities(sent: wire::ServerCapabilities) -> Capabilities {
    Capabilities {
        plan_destroy: sent.plan_destroy,
        schema_optional: sent.get_provider_schema_optional,
        move_state: sent.move_resource_state,
        generate_config: sent.generate_resource_config,
    }
}

/// Reads the schema of the identities of a resource type.
pub(crate) fn identity_schema(kind: &str, bytes: &[u8]) -> Result<IdentitySchema, SchemaError> {
    let what = || format!("the identity of {kind}");
    let schema = wire::IdentitySchema::decode(bytes).map_err(|source| SchemaError::Message { what: what(), source })?;
    let content = |why| SchemaError::Content { what: what(), why };
    let version = u64::try_from(schema.version).map_err(|_| content("its version is below 0".to_owned()))?;
    let attributes = schema.identity_attributes.into_iter().map(|it| {
        let ty = ty(&it.r#type).map_err(|why| content(format!("{}: {why}", it.name)))?;
        let attribute = IdentityAttribute {
            ty,
            required: it.required_for_import,
            optional: it.optional_for_import,
            description: it.description,
        };
        Ok((it.name, attribute))
    });
    Ok(IdentitySchema { version, attributes: attributes.collect::<Result<_, _>>()? })
}

/// Reads the schema of a function.
pub(crate) fn function_schema(name: &str, bytes: &[u8]) -> Result<FunctionSchema, SchemaError> {
    let what = || format!("the function {name}");
    let function = wire::Function::decode(bytes).map_err(|source| SchemaError::Message { what: what(), source })?;
    function_of(function).map_err(|why| SchemaError::Content { what: what(), why })
}

fn function_of(function: wire::Function) -> Result<FunctionSchema, Wrong> {
    let parameter = |parameter: wire::function::Parameter| {
        Ok::<_, Wrong>(ParameterSchema {
            ty: ty(&parameter.r#type)?,
            name: parameter.name,
            nulls: parameter.allow_null_value,
            unknowns: parameter.allow_unknown_values,
        })
    };
    let summary = [function.summary, function.description];
    let summary: Vec<String> = summary.into_iter().filter(|text| !text.is_empty()).collect();
    Ok(FunctionSchema {
        parameters: function.parameters.into_iter().map(parameter).collect::<Result<_, _>>()?,
        rest: function.variadic_parameter.map(parameter).transpose()?,
        returns: ty(&function.r#return.ok_or("it returns nothing")?.r#type)?,
        description: summary.join("\n\n"),
        deprecation: function.deprecation_message,
    })
}

fn ty(json: &[u8]) -> Result<Type, Wrong> {
    let json = serde_json::from_slice(json).map_err(|error| format!("a type is no JSON: {error}"))?;
    type_from_json(&json).map_err(|error| error.to_string())
}

fn nesting(number: i32) -> Result<Nesting, Wrong> {
    match number {
        1 => Ok(Nesting::Single),
        2 => Ok(Nesting::List),
        3 => Ok(Nesting::Set),
        4 => Ok(Nesting::Map),
        5 => Ok(Nesting::Group),
        _ => Err(format!("there is no nesting {number}")),
    }
}

fn block(block: schema6::Block) -> Result<Block, Wrong> {
    let attributes = attributes(block.attributes)?;
    let mut blocks = BTreeMap::new();
    for nested in block.block_types {
        let name = nested.type_name;
        if attributes.contains_key(&name) {
            return Err(format!("{name} is both an argument and a block"));
        }
        let count = |count: i64| u32::try_from(count).map_err(|_| format!("{name}: {count} is no number of blocks"));
        let schema = NestedBlock {
            nesting: nesting(nested.nesting).map_err(|why| format!("{name}: {why}"))?,
            min_items: count(nested.min_items)?,
            max_items: count(nested.max_items)?,
            block: self::block(nested.block.unwrap_or_default()).map_err(|why| format!("{name}: {why}"))?,
        };
        blocks.insert(name, schema);
    }
    Ok(Block { attributes, blocks, open: false, description: block.description, deprecated: block.deprecated })
}

fn attributes(attributes: Vec<schema6::Attribute>) -> Result<BTreeMap<String, Attribute>, Wrong> {
    let named = attributes.into_iter().map(|it| {
        let name = it.name.clone();
        let schema = attribute(it).map_err(|why| format!("{name}: {why}"))?;
        Ok((name, schema))
    });
    named.collect()
}

fn attribute(attribute: schema6::Attribute) -> Result<Attribute, Wrong> {
    let nested = attribute.nested_type.map(|nested| {
        let nesting = nesting(nested.nesting)?;
        if nesting == Nesting::Group {
            return Err("an attribute is no group".to_owned());
        }
        Ok(Arc::new(NestedAttributes { nesting, attributes: attributes(nested.attributes)? }))
    });
    let nested = nested.transpose()?;
    Ok(Attribute {
        ty: nested.as_deref().map_or_else(|| ty(&attribute.r#type), |nested| Ok(nested_type(nested)))?,
        required: attribute.required,
        optional: attribute.optional,
        computed: attribute.computed,
        sensitive: attribute.sensitive,
        write_only: attribute.write_only,
        deprecated: attribute.deprecated,
        nested,
        format: None,
        exclusive: None,
        description: attribute.description,
    })
}

/// What nested attributes imply: a given object may leave out those that are not required.
fn nested_type(nested: &NestedAttributes) -> Type {
    let types = nested.attributes.iter().map(|(name, attribute)| (name.as_str(), attribute.ty.clone()));
    let optional = nested.attributes.iter().filter(|(_, attribute)| !attribute.required);
    let object = Type::object_with_optional(types, optional.map(|(name, _)| name.as_str().into()));
    match nested.nesting {
        Nesting::Single | Nesting::Group => object,
        Nesting::List => Type::list(object),
        Nesting::Set => Type::set(object),
        Nesting::Map => Type::map(object),
    }
}

/// A schema of protocol 5 as protocol 6 would have it.
pub(crate) fn upgraded(schema: schema5::Schema) -> schema6::Schema {
    schema6::Schema { version: schema.version, block: schema.block.map(upgraded_block) }
}

fn upgraded_block(block: schema5::Block) -> schema6::Block {
    let attribute = |it: schema5::Attribute| schema6::Attribute {
        name: it.name,
        r#type: it.r#type,
        description: it.description,
        description_kind: it.description_kind,
        required: it.required,
        optional: it.optional,
        computed: it.computed,
        sensitive: it.sensitive,
        deprecated: it.deprecated,
        nested_type: None,
        write_only: it.write_only,
    };
    let nested = |it: schema5::NestedBlock| schema6::NestedBlock {
        type_name: it.type_name,
        block: it.block.map(upgraded_block),
        nesting: it.nesting,
        min_items: it.min_items,
        max_items: it.max_items,
    };
    schema6::Block {
        version: block.version,
        attributes: block.attributes.into_iter().map(attribute).collect(),
        block_types: block.block_types.into_iter().map(nested).collect(),
        description: block.description,
        description_kind: block.description_kind,
        deprecated: block.deprecated,
    }
}
