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
mod hashes;
mod installation;
mod judged;
mod lock;
mod msgpack;
mod output;
pub mod package;
mod platform;
mod plugin;
mod pool;
mod process;
mod runtime;
mod schema;
mod schema_json;
mod tls;
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
pub use find::{Found, NotFound, Program, Request, available, find, program_in};
pub use hashes::{HashCache, can_be_checked, digest_archive, hash_archive, hash_directory};
pub use installation::{Installation, Origin, Places};
pub use judged::Judged;
pub use lock::{LockFile, LockFileError, LockedProvider, PROVIDER_LOCK_FILE};
pub use msgpack::{CodecError, decode, encode};
pub use output::{Listener, LogLevel, PluginLine};
pub use platform::{NoPlatform, Platform};
pub use plugin::{Plugin, StartSettings};
pub use pool::{Configured, Key, Pool, PoolFailure, Source};
pub use schema::{Protocol, RawSchema, SchemaError};
pub use values::{Deferral, PluginDiagnostic};
