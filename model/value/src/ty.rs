use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A type of the Terraform language (<https://developer.hashicorp.com/terraform/language/expressions/type-constraints>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `any`: no constraint; as the type of a value, one that is not known yet.
    Dynamic,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(element)`
    List(Arc<Type>),
    /// `set(element)`
    Set(Arc<Type>),
    /// `map(element)`
    Map(Arc<Type>),
    /// `tuple([…])`
    Tuple(Arc<[Type]>),
    /// `object({…})`
    Object {
        /// The attributes and their types.
        attributes: Arc<BTreeMap<Arc<str>, Type>>,
        /// Those of the attributes that a given value may leave out (`optional(…)` in a constraint); empty for the
        /// type of a value.
        optional: Arc<BTreeSet<Arc<str>>>,
    },
}
