//! Provider plugins: where they are installed, what they offer, and what they say of configurations.
//!
//! A plugin is a program that serves gRPC on a private Unix socket, in protocol 5 or 6
//! (<https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol>). [`find`] looks for its file,
//! [`Plugin`] starts it and asks it, [`SchemaCache`] keeps what it offers, so that most runs start none.
//!
//! Everything here blocks; calls of one plugin may come from many threads at once. The event loop that gRPC needs is
//! inside. Nothing is downloaded here, and nothing in the world is changed.

mod cache;
mod error;
mod find;
mod installation;
mod judged;
mod msgpack;
mod plugin;
mod process;
mod schema;
mod tail;
mod wire;

pub use cache::{SchemaCache, Wanted};
pub use error::{CallError, PluginError, StartFailure};
pub use find::{Found, NotFound, Program, Request, find};
pub use installation::{Installation, Places, locked_versions};
pub use judged::Judged;
pub use msgpack::{CodecError, decode, encode};
pub use plugin::{FunctionFailure, Plugin, PluginDiagnostic, StartSettings};
pub use schema::{Protocol, RawSchema, SchemaError};
