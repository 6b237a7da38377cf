//! Provider plugins: where they are installed, what they offer, and what they say of configurations.
//!
//! A plugin is a program that serves gRPC on a private Unix socket, in protocol 5 or 6
//! (<https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol>). [`find`] looks for its file,
//! [`Plugin`] starts it and asks it, [`SchemaCache`] keeps what it offers, so that most runs start none.
//!
//! What asks blocks until the answer is there, or has itself told of it ([`Call`]); calls of one plugin may come from
//! many threads at once. The event loop that gRPC needs is inside, one for all plugins. Nothing is downloaded here.

mod attach;
mod cache;
mod call;
mod calls;
mod ephemeral;
mod error;
mod find;
mod installation;
mod judged;
mod msgpack;
mod output;
mod plugin;
mod pool;
mod process;
mod runtime;
mod schema;
mod values;
mod wire;

pub use attach::{Address, Attachment, attachments};
pub use cache::{SchemaCache, Wanted};
pub use call::Call;
pub use calls::{
    ApplyAnswer, ApplyRequest, ConfigAnswer, DataAnswer, DataRequest, EphemeralAnswer, EphemeralRequest,
    IdentityAnswer, ImportAnswer, ImportBy, ImportRequest, Imported, Meta, MoveAnswer, MoveRequest, OpenedEphemeral,
    PlanAnswer, PlanRequest, ReadAnswer, ReadRequest, Refused, RenewedEphemeral, StateAnswer, Stored,
    TERRAFORM_VERSION, UpgradeIdentityRequest, UpgradeRequest,
};
pub use ephemeral::{EphemeralEnd, EphemeralKeeper};
pub use error::{CallError, PluginError, StartFailure};
pub use find::{Found, NotFound, Program, Request, find};
pub use installation::{Installation, Places, locked_versions};
pub use judged::Judged;
pub use msgpack::{CodecError, decode, encode};
pub use output::{Listener, LogLevel, PluginLine};
pub use plugin::{Plugin, StartSettings};
pub use pool::{Configured, Key, Pool, PoolFailure, Source};
pub use schema::{Protocol, RawSchema, SchemaError};
pub use values::{Deferral, PluginDiagnostic};
