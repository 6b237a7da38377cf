//! Terraform's state file, format version 4: read, so that existing work goes on here, and written, so that it can go
//! back. The format is the one that Terraform 1.11 writes; the files in `tests/state_files` are its specification here.
//!
//! These are the file's own nouns. What a project's state is made of them, and they of it, is not decided here.
//! Attributes stay the JSON that the file has, byte for byte: only who has the type's schema knows what they mean, and
//! only its provider may bring them up to date.

mod raw;
mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use andon_schema::{AddressError, InstanceAddress, InstanceKey, Mode, ResourceAddress};
use andon_value::{Path, Value};

pub use raw::RawJson;

/// A state file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateFile {
    /// The version of the program that wrote it.
    pub terraform_version: String,
    /// Raised by each write that changes something.
    pub serial: u64,
    /// A text that all states of one history share, and no others; usually a UUID.
    pub lineage: String,
    /// The outputs of the root module.
    pub outputs: BTreeMap<String, Output>,
    /// The resources, in any order.
    pub resources: Vec<Resource>,
    /// What came of the conditions when they were last checked, in no order that Terraform keeps; `None` where there is nothing to say.
    pub checks: Option<Vec<Check>>,
}

/// An output of the root module. Terraform keeps none that is null.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its value, without marks.
    pub value: Value,
    /// Whether it is defined as a secret.
    pub sensitive: bool,
}

/// A resource: all its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The instance of the module that it is in, as `module.a["k"].module.b`; empty for the root module.
    pub module: String,
    /// Managed or data.
    pub mode: Mode,
    /// The type, such as `aws_vpc`.
    pub kind: String,
    /// The label.
    pub name: String,
    /// The configuration of its provider, as [`andon_schema::ProviderConfigAddress`] writes it.
    pub provider: String,
    /// Its objects, in any order.
    pub instances: Vec<Instance>,
}

/// One object of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which instance of the resource it is.
    pub key: Option<InstanceKey>,
    /// The key of an object that was replaced and is not deleted yet, 8 hexadecimal digits; `None` for the one in use.
    pub deposed: Option<String>,
    /// Whether its creation failed midway.
    pub tainted: bool,
    /// The version of the type's schema that the attributes are written by.
    pub schema_version: u64,
    /// What it is.
    pub attributes: Attributes,
    /// The paths of its secrets, in no order that Terraform keeps.
    pub sensitive: Vec<Path>,
    /// The version of the schema of its identity.
    pub identity_schema_version: Option<u64>,
    /// What identifies it, by that schema.
    pub identity: Option<RawJson>,
    /// What its provider keeps beside it.
    pub private: Vec<u8>,
    /// All resources that it depends on, directly or not, as configurations name them: `module.a.aws_vpc.main`.
    pub dependencies: Vec<String>,
    /// Whether its replacement is made before it is deleted.
    pub create_before_destroy: bool,
}

/// The attributes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    /// An object, by the type of its schema.
    Json(RawJson),
    /// As Terraform before 0.12 had them; only the provider can tell what they mean.
    Flat(BTreeMap<String, String>),
}

/// What came of the conditions of one thing that has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `resource`, `output`, `check` or `var`.
    pub kind: String,
    /// As the configuration names it.
    pub address: String,
    /// `pass`, `fail`, `error` or `unknown`.
    pub status: String,
    /// Its instances; `None` where they are not known.
    pub objects: Option<Vec<CheckObject>>,
}

/// What came of the conditions of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckObject {
    /// The instance.
    pub address: String,
    /// As [`Check::status`].
    pub status: String,
    /// What those say that failed.
    pub messages: Vec<String>,
}

/// Why text is no state file that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateFileError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    Syntax(String),
    /// It does not say which version of the format it has.
    #[error("it has no format version, so that it is no state file")]
    NoVersion,
    /// Its version is older than 4.
    #[error(
        "it has format version {0}, as Terraform before 0.12 wrote it: `terraform state pull` of a later Terraform gives \
         it in version 4, which can be read"
    )]
    Older(u64),
    /// Its version is later than 4.
    #[error("it has format version {0}, and only version 4 can be read")]
    Newer(u64),
    /// A part of it is not what it must be.
    #[error("{place} must be {expected}")]
    Shape {
        /// The part, such as `resources[0].instances[1].index_key`.
        place: String,
        /// What it must be.
        expected: &'static str,
    },
    /// It is nested too deeply.
    #[error("it is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Two objects claim to be the same one.
    #[error("{0} is there twice")]
    Twice(String),
}

impl StateFile {
    /// Reads a file of version 4. What a later program wrote beside what is known here is passed over.
    pub fn read(text: &str) -> Result<StateFile, StateFileError> {
        read::file(text)
    }

    /// Writes it as Terraform does: members in its order, two spaces of indentation, resources and objects sorted.
    pub fn write(&self) -> String {
        write::file(self)
    }
}

impl Resource {
    /// Its address, in a stack.
    ///
    /// # Errors
    /// A part of it is no name.
    pub fn address(&self, stack: &str) -> Result<ResourceAddress, AddressError> {
        let text = self.to_string();
        match InstanceAddress::parse(&text)? {
            InstanceAddress { resource, key: None } if resource.stack.is_empty() => {
                Ok(ResourceAddress { stack: Arc::from(stack), ..resource })
            }
            _ => Err(AddressError { text }),
        }
    }
}

/// As an address, without a stack: `module.a["k"].aws_vpc.main`.
impl fmt::Display for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.module.is_empty() { "" } else { "." };
        write!(out, "{}{dot}{}{}.{}", self.module, self.mode.prefix(), self.kind, self.name)
    }
}
