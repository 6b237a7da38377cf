//! The vocabulary that decisions and drivers share: addresses, schemas, questions and answers, commands and
//! outcomes, catalogs and reports. Nouns only: nothing here decides and nothing here acts.

mod act;
mod address;
mod block;
mod catalog;
mod checked;
mod configured;
mod exclusive;
mod format;
pub mod host;
mod identity;
mod kept;
mod object;
mod provider;
mod report;
mod secrets;
pub mod source;
mod standing;
mod talk;
mod target;
pub mod units;
mod version;

pub use address::{AddressError, InstanceAddress, InstanceKey, Mode, ModuleStep, ResourceAddress};
pub use block::{
    Attribute, Block, Capabilities, FunctionSchema, NestedAttributes, NestedBlock, Nesting, NoSuchType,
    ParameterSchema, ProviderSchema, Schemas, TypeSchema,
};
pub use checked::{CheckStatus, Checked, CheckedKind};
pub use configured::{Complaint, ConfiguredProvider, Kept, ProviderConfigAddress, Via};
pub use exclusive::{Exclusive, Extent};
pub use format::Format;
pub use identity::{IdentityAttribute, IdentitySchema};
pub use kept::{KeptDeed, KeptPath, KeptRun, KeptState};
pub use object::{Identity, Object, ObjectStatus};
pub use provider::{BUILT_IN_HOST, BUILT_IN_NAMESPACE, DEFAULT_HOST, ProviderAddress, ProviderAddressError};
pub use report::{Change, CheckResult, EntryStatus, HostEntry, HostReport};
pub use secrets::{SECRET_FUNCTION, Secrets, wrong_secret_name};
pub use standing::{OpenPort, Performance, Standing};
pub use talk::{
    Answer, Command, Failure, FoundObject, FunctionAnswer, FunctionCall, FunctionFault, ImportBy, Outcome, Planned,
    ProvisionerRun, Question,
};
pub use target::{TargetAddress, TargetResource};
pub use version::{Version, VersionConstraint, VersionError};
