//! Modules from elsewhere: what sources mean, what was installed, and which versions are taken. Pure: what fetches them
//! is the engine's business.

mod source;

pub use source::{SourceError, parse_source};
