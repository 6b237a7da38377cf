//! What `moved`, `removed` and `import` say of the objects that are there.

use std::sync::Arc;

use andon_hcl::ast::{Expr, Ident};
use andon_schema::{InstanceKey, ModuleStep};
use andon_text::Span;

use super::{ProviderReference, Provisioner, ResourceKey};

/// What an address in `moved` or `removed` names, from the module that it is written in.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The way into modules.
    pub module: Arc<[ModuleStep]>,
    /// The resource, and perhaps one instance of it; `None` where the address ends at a module.
    pub resource: Option<(ResourceKey, Option<InstanceKey>)>,
    /// All of it.
    pub span: Span,
}

/// `moved { … }`
#[derive(Debug, Clone)]
pub struct Moved {
    /// The address that it had.
    pub from: Target,
    /// The address that it has now.
    pub to: Target,
    /// The first line of its block.
    pub span: Span,
}

/// `removed { … }`
#[derive(Debug, Clone)]
pub struct Removed {
    /// What is no longer defined; without instance keys.
    pub from: Target,
    /// Whether the object is deleted, rather than forgotten.
    pub destroy: bool,
    /// What to run before the object is deleted.
    pub provisioners: Vec<Provisioner>,
    /// The first line of its block.
    pub span: Span,
}

/// `import { … }`
#[derive(Debug, Clone)]
pub struct Import {
    /// The resource instance that takes the object over.
    pub to: ImportTarget,
    /// What names the object.
    pub by: ImportBy,
    /// `provider`
    pub provider: Option<ProviderReference>,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// The first line of its block.
    pub span: Span,
}

/// What names an object that is imported.
#[derive(Debug, Clone)]
pub enum ImportBy {
    /// `id`
    Id(Expr),
    /// `identity`
    Identity(Expr),
}

/// `module.name[key].type.name[key]`, whose keys are expressions: they may use `each`.
#[derive(Debug, Clone)]
pub struct ImportTarget {
    /// The way into modules: the names of calls, each with its key.
    pub module: Vec<(Ident, Option<Expr>)>,
    /// The resource.
    pub resource: ResourceKey,
    /// The instance.
    pub key: Option<Expr>,
    /// All of it.
    pub span: Span,
}
