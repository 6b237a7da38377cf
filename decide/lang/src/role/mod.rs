//! Roles: from definitions, parameters and facts to what one server must have. Pure, so that it runs anywhere: on the
//! server itself when it converges, and here when a plan or an image foresees what a server will say.

mod catalog;
mod given;
mod lineage;
mod scope;

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::Schemas;
use andon_schema::host::Catalog;
use andon_text::{Diagnostics, SourceMap};
use andon_value::Value;

use crate::FileSet;
use crate::definitions::Role;

pub(crate) use catalog::{Evaluation, circle_of, evaluate_assertion, for_each, origin, refused};
pub(crate) use given::given;
pub(crate) use lineage::{Places, find, lineage, params};
pub(crate) use scope::no_each;

/// What a role will be on a server of which not everything is known yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    /// The host resources and checks that are sure to be there; their attributes may be unknown.
    pub catalog: Catalog,
    /// Those of which it is not known whether or how often they will be there, in the order of their run.
    pub undecided: Vec<Undecided>,
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

/// What a server with these facts must have. Everything in the answer is known.
pub fn catalog(
    roles: &BTreeMap<Arc<str>, Arc<Role>>,
    sources: &SourceMap,
    files: &FileSet,
    role: &str,
    params: &Value,
    facts: &Value,
    schemas: &Schemas,
) -> Result<Catalog, Diagnostics> {
    let evaluation = Evaluation::new(roles, sources, files, role, params, facts, schemas)?;
    evaluation.finish(false).map(|prediction| prediction.catalog)
}

/// What a server must have, as far as its parameters and facts tell: both may hold unknown values.
pub fn predict(
    roles: &BTreeMap<Arc<str>, Arc<Role>>,
    sources: &SourceMap,
    files: &FileSet,
    role: &str,
    params: &Value,
    facts: &Value,
    schemas: &Schemas,
) -> Result<Prediction, Diagnostics> {
    let evaluation = Evaluation::new(roles, sources, files, role, params, facts, schemas)?;
    evaluation.finish(true)
}
