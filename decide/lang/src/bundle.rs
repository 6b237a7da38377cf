//! What a server needs to evaluate roles, as one piece: the files that define them and their ancestors, and the files
//! beside those that they may read. Nothing else of the project.
//!
//! The form, version 1: the line `andon bundle 1`; then for each file, in order of path, the lengths of its path and
//! of its content (32 bits each, little endian), its path and its content. The highest bit of the length of a path says
//! that the file may be executed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use andon_schema::host::Catalog;
use andon_schema::{SECRET_FUNCTION, Schemas};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use andon_value::{Marks, Value};

use crate::definitions::{Project, Role};
use crate::role::{Roles, Server, catalog, facts_read, find, lineage, predict, refused_params};
use crate::{FileSet, GivenArgument};

const MAGIC: &[u8] = b"andon bundle 1\n";

/// What is added to the length of the path of a file that may be executed.
const EXECUTABLE: usize = 1 << 31;

/// Roles and all that they may read.
#[derive(Debug, Clone)]
pub struct Bundle {
    roles: BTreeMap<Arc<str>, Arc<Role>>,
    sources: SourceMap,
    files: Arc<FileSet>,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleError {
    /// They do not begin like one, or like one of another version.
    Unknown,
    /// They end before the bundle does, or a path in them is no text.
    Damaged,
    /// The definitions in it are wrong: the first complaint, with its place.
    Definitions(String),
}

impl fmt::Display for BundleError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BundleError::Unknown => to.write_str("this is no bundle of roles, or one of another version of Andon"),
            BundleError::Damaged => to.write_str("the bundle of roles is damaged"),
            BundleError::Definitions(first) => write!(to, "the roles in the bundle are wrong: {first}"),
        }
    }
}

impl std::error::Error for BundleError {}

/// What a server needs to evaluate these roles. A name that is no role's adds nothing.
pub fn bundle<'n>(project: &Project, roles: impl IntoIterator<Item = &'n str>) -> Bundle {
    let mut kept: BTreeMap<Arc<str>, Arc<Role>> = BTreeMap::new();
    for name in roles {
        let found = find(&project.roles, name, None).and_then(|role| lineage(&project.roles, &role));
        let defined = found.into_iter().flatten().filter(|role| project.roles.contains_key(&role.name.name));
        kept.extend(defined.map(|role| (role.name.name.clone(), role)));
    }
    let defining: BTreeSet<&str> = (kept.values())
        .filter_map(|role| project.sources.get(role.span.source))
        .map(|source| &**source.path())
        .collect();
    let beside: BTreeSet<&str> = kept.values().map(|role| &*role.directory).collect();
    let mut files = FileSet::new();
    for (path, _) in beside.into_iter().flat_map(|directory| project.files.under(directory)) {
        if defining.contains(&**path) || !is_left_behind(path) {
            files.copy(&project.files, path);
        }
    }
    Bundle { roles: kept, sources: project.sources.clone(), files: Arc::new(files) }
}

/// Refuses a role that inherits what is no role, or itself.
pub fn check_ancestors(project: &Project, role: &str) -> Result<(), Diagnostic> {
    lineage(&project.roles, &find(&project.roles, role, None)?).map(drop)
}

impl Bundle {
    /// Its form for the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (path, content) in self.files.under("") {
            let mark = if self.files.is_executable(path) { EXECUTABLE } else { 0 };
            for length in [path.len() | mark, content.len()] {
                bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            }
            bytes.extend(path.as_bytes());
            bytes.extend(content.iter());
        }
        bytes
    }

    /// Reads what [`Bundle::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Bundle, BundleError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BundleError::Unknown)?;
        let mut files = FileSet::new();
        while !rest.is_empty() {
            let path_length = take_length(&mut rest)?;
            let content_length = take_length(&mut rest)?;
            let path =
                std::str::from_utf8(take(&mut rest, path_length & !EXECUTABLE)?).map_err(|_| BundleError::Damaged)?;
            files.insert(path, take(&mut rest, content_length)?);
            if path_length & EXECUTABLE != 0 {
                files.mark_executable(path);
            }
        }
        let (project, diagnostics) = crate::load_roles(Arc::new(files));
        match diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
            Some(error) => {
                let place = error.span.map(|span| project.sources.locate(span)).unwrap_or_default();
                Err(BundleError::Definitions(format!("{place}: {}", error.summary)))
            }
            None => Ok(Bundle { roles: project.roles, sources: project.sources, files: project.files }),
        }
    }

    /// The catalog of one of its roles; see [`crate::catalog`].
    pub fn catalog(&self, role: &str, server: Server<'_>, schemas: &Schemas) -> Result<Catalog, Diagnostics> {
        catalog(self.evaluated(schemas), role, server)
    }

    /// The names of the secrets that one of its roles reads with these parameters: those to seal for its server. They
    /// are known without the server's facts, as a server could claim any; a name that is not is an error.
    pub fn secrets(&self, role: &str, params: &Value, schemas: &Schemas) -> Result<BTreeSet<Arc<str>>, Diagnostics> {
        // Most roles read none.
        let word = SECRET_FUNCTION.as_bytes();
        let reads = |content: &[u8]| content.windows(word.len()).any(|window| window == word);
        if !self.files.under("").any(|(_, content)| reads(content)) {
            return Ok(BTreeSet::new());
        }
        let foreseen = predict(self.evaluated(schemas), role, params, &Value::UNKNOWN)?;
        if foreseen.unknown_secrets {
            return Err(Diagnostic::error(format!("role \"{role}\" reads a secret whose name depends on a fact"))
                .detail("A server could claim any fact, and would be given any secret.")
                .help("Make the name of what is known here, such as a parameter.")
                .into());
        }
        Ok(foreseen.secrets)
    }

    /// The names of the facts that one of its roles may read, at the first step of each reference; `None` for all of them.
    pub fn facts(&self, role: &str) -> Option<BTreeSet<Arc<str>>> {
        let lineage = self.lineage(role).ok()?;
        facts_read(&lineage)
    }

    fn evaluated<'a>(&'a self, schemas: &'a Schemas) -> Roles<'a> {
        Roles { roles: &self.roles, sources: &self.sources, files: &self.files, schemas }
    }

    /// Values of a role's parameters, an object, as a command line gives them; a later one wins. Text is taken as the
    /// parameter's type has it: as it is, or as an expression where the type is no text, number or truth. What the
    /// diagnostics point into is added to [`Bundle::sources`].
    pub fn give(&mut self, role: &str, given: &[GivenArgument]) -> Result<Value, Diagnostics> {
        let lineage = self.lineage(role)?;
        crate::role::given(&lineage, &mut self.sources, given)
    }

    /// Whether a role, or one that it inherits, has a parameter of this name.
    pub fn has_param(&self, role: &str, name: &str) -> bool {
        self.lineage(role).is_ok_and(|lineage| lineage.iter().any(|role| role.params.contains_key(name)))
    }

    /// What of the parameters of a role is a secret, as the role, or one that it inherits, says so of them.
    pub fn secret_params(&self, role: &str, params: &Value) -> Value {
        let is_secret = |name: &str| {
            let lineage = self.lineage(role).unwrap_or_default();
            lineage.iter().any(|role| role.params.get(name).is_some_and(|param| param.is_secret()))
        };
        let given = params.as_entries().into_iter().flat_map(|entries| entries.iter());
        let secret = given.filter(|(name, _)| is_secret(name));
        Value::object(secret.map(|(name, value)| (name.clone(), value.clone().mark(Marks::SENSITIVE))))
    }

    /// What is wrong with the parameters of a host that is listed at `place`: those that the role does not have, and those
    /// that have a value of another type.
    pub fn refused_params(&self, role: &str, host: &str, params: &Value, place: Span) -> Diagnostics {
        self.lineage(role).map_or_else(Diagnostics::from, |lineage| refused_params(&lineage, host, params, place))
    }

    fn lineage(&self, role: &str) -> Result<Vec<Arc<Role>>, Diagnostic> {
        lineage(&self.roles, &find(&self.roles, role, None)?)
    }

    /// Its roles by name, with all their ancestors.
    pub fn roles(&self) -> &BTreeMap<Arc<str>, Arc<Role>> {
        &self.roles
    }

    /// The text of its definition files: what diagnostics point into.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Its files.
    pub fn files(&self) -> &FileSet {
        &self.files
    }
}

/// Whether a file beside roles is none that they read: other definitions, values and records of stacks, and what is sealed
/// for other readers.
fn is_left_behind(path: &str) -> bool {
    let endings = [".role.hcl", ".tf", ".tf.json", ".tfvars", ".tfvars.json", ".tfstate", ".tfstate.backup", ".age"];
    endings.iter().any(|ending| path.ends_with(ending))
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], BundleError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(BundleError::Damaged)?;
    *rest = left;
    Ok(taken)
}

fn take_length(rest: &mut &[u8]) -> Result<usize, BundleError> {
    let bytes = take(rest, 4)?.try_into().map_err(|_| BundleError::Damaged)?;
    usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| BundleError::Damaged)
}
