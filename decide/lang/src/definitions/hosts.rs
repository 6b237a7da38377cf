//! Servers that are listed by hand: `*.hosts.hcl`.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr};
use andon_text::Span;

use super::Local;

/// All that the project's `*.hosts.hcl` say.
#[derive(Debug, Clone, Default)]
pub struct HostList {
    /// The `host` blocks, in the order of the files.
    pub hosts: Vec<ListedHost>,
    /// The entries of the `locals` blocks: one namespace for all of these files.
    pub locals: BTreeMap<Arc<str>, Local>,
}

/// `host "name" { … }`: a server, or with `for_each` one for each element.
#[derive(Debug, Clone)]
pub struct ListedHost {
    /// The label; a template, for `for_each`.
    pub label: Expr,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// `address`: its name where none is given.
    pub address: Option<Expr>,
    /// `tags`
    pub tags: Option<Expr>,
    /// `roles`
    pub roles: Option<Expr>,
    /// `params`
    pub params: Option<Expr>,
    /// The `connection` block.
    pub connection: Option<Body>,
    /// The first line of the block.
    pub span: Span,
}
