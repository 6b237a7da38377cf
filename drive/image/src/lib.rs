//! Images: root file systems, made from a base and roles, kept as layers and named by the digest of their content.
//!
//! A layer is a directory in the form that an overlay reads; an image is its own layer over those of its parents, down
//! to a base, which is a layer over nothing. Everything is below one directory:
//!
//! ```text
//! images/
//!   sha256-…/upper/    the layer; the rename that brings a whole image to its place is the moment it exists
//!   sha256-…/meta      its parent and its size
//!   bases/             a base as the user names it → digest
//!   recipes/           what an image was made from → digest
//!   tmp/               work in progress, each with a lock that its process holds
//! ```
//!
//! The same content always gives the same digest: a bake removes what depends on the time, the machine and the run,
//! before it is counted. This crate does not know what a role is, runs nothing inside an image, and mounts nothing:
//! whoever bakes enters [`Bake::lower`] and [`Bake::upper`] by its own means.

mod bake;
mod base;
mod bootstrap;
mod clean;
mod digest;
mod images;
mod layer;
mod lock;
mod mirror;
mod source;
mod trouble;

pub use bake::Bake;
pub use base::Base;
pub use digest::{Digest, RecipeKey};
pub use images::{Images, Kept, Settings};
pub use source::Source;
