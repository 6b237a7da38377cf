//! The language: expressions, functions, modules, project files, roles and images; from a [`FileSet`] to checked
//! definitions, and from those to values, on demand.
//!
//! What this crate does not know: where files are, what time it is, and how anything is done to the world.

pub mod definitions;
mod files;

pub use files::FileSet;
