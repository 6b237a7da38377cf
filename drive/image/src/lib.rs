//! Images: root file systems, made from a base and roles, kept as layers and named by the digest of their content.
//!
//! A layer is a directory in the form that an overlay reads; an image is some layers over each other, the first of which
//! is its base. Its name is the digest of what they come to, so that it says nothing of how it is cut into layers.
//! Everything is below one directory:
//!
//! ```text
//! images/
//!   layers/sha256-…/upper/   a layer, named by what it holds; the rename that brings it here is the moment it exists
//!   layers/sha256-…/tree     a line for each path in it
//!   sha256-…/meta            an image: its layers and its size
//!   sha256-…/trust           what its packages are trusted by: a release of a distribution, or the image that it is over
//!   bases/                   a base as the user names it → image
//!   recipes/                 what an image was made from → image
//!   steps/                   what a layer was made from, and over which others → layer
//!   history                  what was baked, of what, when and by whom: a line each
//!   mirrors/                 where the packages of each release came from
//!   references/              what each project refers to
//!   disks/                   images as disks, for servers that are machines of their own
//!   blobs/                   layers as they are packed for registries
//!   notes/                   what was found out about layers
//!   cache/                   what package managers fetched
//!   tmp/                     work in progress, each with a lock that its process holds
//! ```
//!
//! The same content always gives the same digest: a bake removes what depends on the time, the machine and the run,
//! before it is counted. This crate does not know what a role is, runs nothing inside an image, and mounts nothing:
//! whoever bakes enters [`Bake::lower`] and [`Bake::upper`] by its own means.

mod bake;
mod base;
mod bootstrap;
mod cache;
mod clean;
mod compare;
mod compiled;
mod digest;
mod disk;
mod draft;
mod export;
mod held;
mod history;
mod host;
mod images;
mod keyring;
mod layer;
mod lock;
mod mirror;
mod oci;
mod output;
mod owners;
mod packages;
mod patience;
pub mod provenance;
pub mod sbom;
mod source;
mod tree;
mod trouble;
mod trust;
mod zstd;

pub use bake::{Bake, Turn};
pub use base::{Base, Choice};
pub use cache::{Fetched, Fetching};
pub use compare::{Changed, Differences};
pub use digest::{Digest, RecipeKey};
pub use disk::{DiskConfig, DiskFormat};
pub use draft::write_document;
pub use held::{digest_of_root, images_of_layout, is_layout};
pub use history::{Baked, PruneRule, Pruned};
pub use images::{Images, Kept, Settings, Stack};
pub use oci::{ContainerConfig, Document, OciImage, Reference, Referrer, Registries};
pub use output::{can_be_directory, can_be_file, can_be_layout};
pub use owners::Owner;
pub use packages::Package;
pub use source::{Distribution, Source};
