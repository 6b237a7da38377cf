//! Roles: from definitions, parameters and facts to what one server must have. Pure, so that it runs anywhere: on the
//! server itself when it converges, and here when a plan or an image foresees what a server will say.

mod alike;
mod catalog;
mod facts;
mod given;
mod lineage;
mod made;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::host::Catalog;
use andon_schema::{Schemas, Secrets};
use andon_text::{Diagnostics, SourceMap};
use andon_value::Value;

use crate::FileSet;
use crate::definitions::{Project, Role};

pub(crate) use catalog::{Evaluation, circle_of, evaluate_assertion, for_each, origin, refused};
pub(crate) use facts::facts_read;
pub(crate) use given::{given, refused_params};
pub(crate) use lineage::{Places, find, lineage, params};
pub use lineage::{apart, together};
pub(crate) use scope::no_each;

/// What a role will be on a server of which not everything is known yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    /// The host resources and checks that are sure to be there; their attributes may be unknown.
    pub catalog: Catalog,
    /// Those of which it is not known whether or how often they will be there, in the order of their run.
    pub undecided: Vec<Undecided>,
    /// The names of the secrets that it reads, or may read.
    pub secrets: BTreeSet<Arc<str>>,
    /// It may read secrets whose names are not known.
    pub unknown_secrets: bool,
}

/// A host resource or check that depends on what is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// As the definition writes it: `file "/etc/motd"`.
    pub address: String,
    /// Where it is defined: `roles/web.role.hcl:12`.
    pub origin: String,
    /// What it depends on, as a clause: `its "when" is not known yet`.
    pub reason: String,
}

/// Roles, and all that their evaluation needs whatever the server is.
#[derive(Debug, Clone, Copy)]
pub struct Roles<'a> {
    /// The roles by name, with all their ancestors.
    pub roles: &'a BTreeMap<Arc<str>, Arc<Role>>,
    /// The text of their files.
    pub sources: &'a SourceMap,
    /// The files that they may read.
    pub files: &'a FileSet,
    /// The kinds of host resource and check.
    pub schemas: &'a Schemas,
}

/// What a role is evaluated with for one server.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// Values of the role's parameters.
    pub params: &'a Value,
    /// What the server says of itself.
    pub facts: &'a Value,
    /// What it may know.
    pub secrets: SecretsAtHand<'a>,
}

/// Where the secrets of a role come from.
#[derive(Debug, Clone, Copy)]
pub enum SecretsAtHand<'a> {
    /// Nobody is asked: they are unknown.
    Unknown,
    /// These are all that there are.
    Handed(&'a Secrets),
    /// There are none in an image, which others may read.
    Image,
}

impl<'a> Roles<'a> {
    /// The roles of a project.
    pub fn of(project: &'a Project, schemas: &'a Schemas) -> Roles<'a> {
        Roles { roles: &project.roles, sources: &project.sources, files: &project.files, schemas }
    }
}

/// What a server with these facts must have. Everything in the answer is known.
pub fn catalog(roles: Roles<'_>, role: &str, server: Server<'_>) -> Result<Catalog, Diagnostics> {
    Evaluation::new(roles, role, server)?.finish(false).map(|prediction| prediction.catalog)
}

/// What a server must have, as far as its parameters and facts tell: both may hold unknown values. No secret is known.
pub fn predict(roles: Roles<'_>, role: &str, params: &Value, facts: &Value) -> Result<Prediction, Diagnostics> {
    let server = Server { params, facts, secrets: SecretsAtHand::Unknown };
    Evaluation::new(roles, role, server)?.finish(true)
}
