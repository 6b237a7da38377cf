use std::collections::BTreeMap;

use andon_value::Type;

/// What tells one object of a resource type from all others, beside its state: small, and the same for as long as the
/// object is there (<https://developer.hashicorp.com/terraform/plugin/framework/resources/identity>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentitySchema {
    /// Raised by the provider when stored identities must be upgraded.
    pub version: u64,
    /// Its parts by name.
    pub attributes: BTreeMap<String, IdentityAttribute>,
}

/// One part of an [`IdentitySchema`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityAttribute {
    /// Its type.
    pub ty: Type,
    /// An `import` block by identity must give it.
    pub required: bool,
    /// An `import` block by identity may give it.
    pub optional: bool,
    /// What it is for.
    pub description: String,
}

impl IdentitySchema {
    /// The type of the object that an identity is.
    pub fn implied_type(&self) -> Type {
        Type::object(self.attributes.iter().map(|(name, attribute)| (name.as_str(), attribute.ty.without_optional())))
    }
}
