//! The language: expressions, functions, modules, project files, roles and images; from a [`FileSet`] to checked
//! definitions, and from those to values, on demand.
//!
//! What this crate does not know: where files are, what time it is, and how anything is done to the world.

mod constraint;
pub mod definitions;
pub mod eval;
mod files;
pub mod functions;
mod literal;
mod load;
mod shape;

pub use constraint::Defaults;
pub use files::FileSet;
pub use load::load;
