use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_value::Type;

use crate::{Exclusive, Format, IdentitySchema, Mode, ProviderAddress};

/// The shape of a block's body, as data: errors, completion, documentation and decoding come from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Nested blocks by kind.
    pub blocks: BTreeMap<String, NestedBlock>,
    /// Other attributes may be given, too, with values of any type.
    pub open: bool,
    /// What it is for, in Markdown.
    pub description: String,
    /// Whether its use is advised against.
    pub deprecated: bool,
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
    /// Its value goes to the provider and is never stored.
    pub write_only: bool,
    /// Whether its use is advised against.
    pub deprecated: bool,
    /// The attributes of its object or objects, where the provider describes them; `ty` is then what they imply.
    pub nested: Option<Arc<NestedAttributes>>,
    /// How its value is written, where the type does not say it all.
    pub format: Option<Format>,
    /// What of its value, or of an element of it, no two objects can have at once, if anything.
    pub exclusive: Option<Exclusive>,
    /// What it is for, in Markdown.
    pub description: String,
}

/// The attributes of an object, or of each object of a collection, that is the value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedAttributes {
    /// What collection the objects are in, if any.
    pub nesting: Nesting,
    /// The attributes of each object.
    pub attributes: BTreeMap<String, Attribute>,
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
    /// One or none: an object, of nulls where there is none.
    Group,
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
    /// What tells one of its objects from all others, where the provider says it.
    pub identity: Option<Arc<IdentitySchema>>,
}

impl TypeSchema {
    /// One whose stored objects were never upgraded, without an identity.
    pub fn of(block: Block) -> TypeSchema {
        TypeSchema { block, version: 0, identity: None }
    }
}

/// All that one provider plugin offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderSchema {
    /// The body of a `provider` block.
    pub config: Block,
    /// The body of a `provider_meta` block.
    pub meta: Block,
    /// Resource types by name.
    pub resources: BTreeMap<String, TypeSchema>,
    /// Data sources by name.
    pub data: BTreeMap<String, TypeSchema>,
    /// Ephemeral resource types by name.
    pub ephemeral: BTreeMap<String, TypeSchema>,
    /// Functions by name.
    pub functions: BTreeMap<String, FunctionSchema>,
    /// The names of all types that it offers: of a large provider only the schemas that are used are at hand.
    pub offered: BTreeMap<Mode, BTreeSet<String>>,
    /// What it can do that not every provider can.
    pub capabilities: Capabilities,
}

/// What a provider plugin can do that not every one can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It wants to be asked about the plan to delete an object, too.
    pub plan_destroy: bool,
    /// Its process answers without having been asked for its schemas first.
    pub schema_optional: bool,
    /// It makes objects of its types of those of other types.
    pub move_state: bool,
    /// It writes the configuration of an object that is there.
    pub generate_config: bool,
}

impl ProviderSchema {
    /// The types of a mode whose schemas are at hand, by name.
    pub fn types(&self, mode: Mode) -> &BTreeMap<String, TypeSchema> {
        match mode {
            Mode::Managed => &self.resources,
            Mode::Data => &self.data,
            Mode::Ephemeral => &self.ephemeral,
        }
    }

    /// The same, to be added to.
    pub fn types_mut(&mut self, mode: Mode) -> &mut BTreeMap<String, TypeSchema> {
        match mode {
            Mode::Managed => &mut self.resources,
            Mode::Data => &mut self.data,
            Mode::Ephemeral => &mut self.ephemeral,
        }
    }
}

/// One function of a provider plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSchema {
    /// The parameters in order.
    pub parameters: Vec<ParameterSchema>,
    /// What all further arguments are, where it takes any number.
    pub rest: Option<ParameterSchema>,
    /// The type of the result.
    pub returns: Type,
    /// What it is for, in Markdown.
    pub description: String,
    /// What its use is advised against for; empty where it is not.
    pub deprecation: String,
}

/// One parameter of a [`FunctionSchema`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSchema {
    /// The name.
    pub name: String,
    /// The type that an argument is converted to.
    pub ty: Type,
    /// Whether it may be null.
    pub nulls: bool,
    /// Whether the function itself handles unknown arguments.
    pub unknowns: bool,
}

/// Every schema at hand: what an installation's providers offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schemas {
    /// Resource types of the built-in providers by name.
    pub resources: BTreeMap<String, TypeSchema>,
    /// Data sources of the built-in providers by name.
    pub data: BTreeMap<String, TypeSchema>,
    /// What provider plugins offer, of those whose schemas are at hand.
    pub providers: BTreeMap<ProviderAddress, Arc<ProviderSchema>>,
    /// Kinds of host resource, such as `file`, by name.
    pub host: BTreeMap<String, Block>,
    /// Kinds of check, such as `http`, by name.
    pub checks: BTreeMap<String, Block>,
}

impl Schemas {
    /// The types of the built-in providers by name.
    pub fn built_in(&self, mode: Mode) -> &BTreeMap<String, TypeSchema> {
        static NONE: BTreeMap<String, TypeSchema> = BTreeMap::new();
        match mode {
            Mode::Managed => &self.resources,
            Mode::Data => &self.data,
            Mode::Ephemeral => &NONE,
        }
    }

    /// The schema of a type of a provider: `Ok(None)` where the provider's schemas are not at hand, an error where they
    /// are and it offers no such type.
    pub fn type_of(
        &self,
        provider: &ProviderAddress,
        mode: Mode,
        kind: &str,
    ) -> Result<Option<&TypeSchema>, NoSuchType> {
        let types = if provider.is_built_in() {
            self.built_in(mode)
        } else {
            let Some(provider) = self.providers.get(provider) else { return Ok(None) };
            provider.types(mode)
        };
        types.get(kind).map(Some).ok_or(NoSuchType)
    }
}

impl Block {
    /// The type of the object that a body of this shape gives: what a provider is sent. That of an open one is not known
    /// before.
    pub fn implied_type(&self) -> Type {
        if self.open {
            return Type::Dynamic;
        }
        let attributes = self.attributes.iter().map(|(name, attribute)| (name, attribute.ty.without_optional()));
        let blocks = self.blocks.iter().map(|(name, nested)| (name, nested.implied_type()));
        Type::object(attributes.chain(blocks).map(|(name, ty)| (name.as_str(), ty)))
    }
}

impl NestedBlock {
    /// The type of the value that all blocks of this kind make together.
    pub fn implied_type(&self) -> Type {
        let inner = self.block.implied_type();
        match self.nesting {
            Nesting::Single | Nesting::Group => inner,
            // Blocks whose attributes may differ in type have no common element type.
            Nesting::List | Nesting::Set | Nesting::Map if inner.has_dynamic() => Type::Dynamic,
            Nesting::List => Type::list(inner),
            Nesting::Set => Type::set(inner),
            Nesting::Map => Type::map(inner),
        }
    }
}

/// A provider whose schemas are at hand offers no such type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchType;

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
            write_only: false,
            deprecated: false,
            nested: None,
            format: None,
            exclusive: None,
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

    /// The same, whose value is written so.
    pub fn format(self, format: Format) -> Attribute {
        Attribute { format: Some(format), ..self }
    }

    /// The same, of whose value no two objects can have this at once.
    pub fn exclusive(self, exclusive: Exclusive) -> Attribute {
        Attribute { exclusive: Some(exclusive), ..self }
    }
}
