use std::collections::BTreeMap;

use andon_value::Type;

/// The shape of a block's body, as data: errors, completion, documentation and decoding come from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Nested blocks by kind.
    pub blocks: BTreeMap<String, NestedBlock>,
    /// What it is for, in Markdown.
    pub description: String,
}

/// One attribute of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its type constraint; a given value is converted to it.
    pub ty: Type,
    /// The user must give it.
    pub required: bool,
    /// The user may give it.
    pub optional: bool,
    /// The provider gives it where the user does not; unknown until then.
    pub computed: bool,
    /// Its value is a secret.
    pub sensitive: bool,
    /// What it is for, in Markdown.
    pub description: String,
}

/// A kind of block inside a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedBlock {
    /// How many there may be, and what value they make.
    pub nesting: Nesting,
    /// The shape of each.
    pub block: Block,
    /// At least as many.
    pub min_items: u32,
    /// At most as many; 0 for any number.
    pub max_items: u32,
}

/// How nested blocks become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    /// One or none: an object or null.
    Single,
    /// Any number: a list of objects.
    List,
    /// Any number, without order: a set of objects.
    Set,
    /// One label each: a map of objects.
    Map,
}

/// The schema of one resource type or data source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeSchema {
    /// The body.
    pub block: Block,
    /// Raised by the provider when stored objects must be upgraded.
    pub version: u64,
}

/// Every schema at hand: what an installation's providers offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schemas {
    /// Resource types by name.
    pub resources: BTreeMap<String, TypeSchema>,
    /// Data sources by name.
    pub data: BTreeMap<String, TypeSchema>,
    /// Kinds of host resource, such as `file`, by name.
    pub host: BTreeMap<String, Block>,
    /// Kinds of check, such as `http`, by name.
    pub checks: BTreeMap<String, Block>,
}

impl Attribute {
    /// An attribute that the user must give.
    pub fn required(ty: Type, description: &str) -> Attribute {
        Attribute { required: true, optional: false, ..Attribute::optional(ty, description) }
    }

    /// An attribute that the user may give.
    pub fn optional(ty: Type, description: &str) -> Attribute {
        Attribute {
            ty,
            required: false,
            optional: true,
            computed: false,
            sensitive: false,
            description: description.to_owned(),
        }
    }

    /// An attribute that only the provider gives.
    pub fn computed(ty: Type, description: &str) -> Attribute {
        Attribute { optional: false, computed: true, ..Attribute::optional(ty, description) }
    }

    /// An attribute that the provider gives where the user does not.
    pub fn optional_computed(ty: Type, description: &str) -> Attribute {
        Attribute { computed: true, ..Attribute::optional(ty, description) }
    }
}
