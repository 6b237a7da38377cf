//! A role read from its files, without the rest of a project: what `andon run` needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_lang::definitions::Project;
use andon_lang::{Bundle, FileSet, apart, bundle, check_ancestors, load_roles};
use andon_schema::Secrets;
use andon_secret::Vault;
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span, nearest};
use andon_value::Value;

use crate::agent;
use crate::project::{is_own, read_tree};

/// What files of roles are called.
const SUFFIX: &str = ".role.hcl";

/// The most that may lie beside a role: it travels to every server.
const MOST_BYTES: usize = 64 << 20;

/// A role with all that it may read.
#[derive(Debug, Clone)]
pub struct FoundRole {
    /// Its name.
    pub name: Arc<str>,
    /// It, the roles that it inherits, and the files beside them.
    pub bundle: Bundle,
    /// The directory of the project that it is in, where the secrets are.
    pub directory: PathBuf,
}

/// Why there is no such role: what is wrong, and the texts that it points into.
#[derive(Debug, Clone)]
pub struct NoRole {
    /// What is wrong.
    pub diagnostics: Diagnostics,
    /// The texts.
    pub sources: SourceMap,
}

impl From<Diagnostic> for NoRole {
    fn from(diagnostic: Diagnostic) -> NoRole {
        NoRole { diagnostics: diagnostic.into(), sources: SourceMap::new() }
    }
}

/// Finds a role by its name, or several by their names as one, in the files of `roles/` and of the directory itself, or
/// one by the path of its file. The roles that it inherits are beside it. Mistakes in files that it has nothing to do with are no matter.
pub fn find_role(directory: &Path, wanted: &str) -> Result<FoundRole, NoRole> {
    if wanted.ends_with(SUFFIX) {
        let (base, below, path) = of_path(&directory.join(wanted), wanted)?;
        let role_files = read_role_files(&base, &below)?;
        let (project, diagnostics) = load_roles(Arc::new(role_files));
        let name = the_role_of(&project, &diagnostics, &path, wanted)?;
        return with_files_beside(&base, &below, project, &diagnostics, name);
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut wrong: Option<NoRole> = None;
    // Of several the one to complain about: the first that is not where another one is.
    let mut wanted_alone = apart(wanted).next().unwrap_or(wanted);
    for below in ["roles", ""] {
        let role_files = read_role_files(directory, below)?;
        if role_files.paths().next().is_none() {
            continue;
        }
        let (project, diagnostics) = load_roles(Arc::new(role_files));
        let missing: Vec<&str> = apart(wanted).filter(|name| !project.roles.contains_key(*name)).collect();
        if missing.is_empty() {
            return with_files_beside(directory, below, project, &diagnostics, wanted.into());
        }
        if missing.len() < apart(wanted).count() {
            wanted_alone = missing.first().copied().unwrap_or(wanted);
        }
        names.extend(project.roles.keys().cloned());
        if !project.unparsed.is_empty() {
            wrong.get_or_insert(NoRole { diagnostics: errors_of(&diagnostics), sources: project.sources });
        }
    }
    // The file that cannot be understood may be the one, unless another role was meant.
    let wanted = wanted_alone;
    let near = nearest(wanted, names.iter().map(|name| &**name));
    if let (Some(wrong), None) = (wrong, near) {
        return Err(wrong);
    }
    let diagnostic = Diagnostic::error(format!("there is no role `{wanted}`"));
    let help = match near {
        Some(near) => format!("Did you mean `{near}`?"),
        None if names.is_empty() => {
            "Roles are defined in `roles/NAME.role.hcl`; a path to such a file will do, too.".to_owned()
        }
        None => format!("There are {}.", names.join(", ")),
    };
    Err(diagnostic.help(help).into())
}

/// The directory that paths start from, the directory of roles in it, and a role file's path from there.
fn of_path(file: &Path, typed: &str) -> Result<(PathBuf, String, String), NoRole> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Diagnostic::error(format!("`{typed}` cannot be read: {error}"))
            .help("Name a role, or the path of a file whose name ends in `.role.hcl`.")
    };
    let file = file.canonicalize().map_err(|error| unreadable(&error))?;
    let parts = (file.parent(), file.file_name().and_then(|name| name.to_str()));
    let (Some(parent), Some(name)) = parts else { return Err(unreadable(&"it is no file").into()) };
    match (parent.file_name(), parent.parent()) {
        (Some(below), Some(base)) if below == "roles" => {
            Ok((base.to_owned(), "roles".to_owned(), format!("roles/{name}")))
        }
        _ => Ok((parent.to_owned(), String::new(), name.to_owned())),
    }
}

/// The role that a file defines; of several the one that has the file's name, or that no other one inherits.
fn the_role_of(project: &Project, diagnostics: &Diagnostics, path: &str, typed: &str) -> Result<Arc<str>, NoRole> {
    let in_file = |span: Span| project.sources.get(span.source).is_some_and(|it| **it.path() == *path);
    let roles: Vec<_> = project.roles.values().filter(|role| in_file(role.span)).collect();
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(SUFFIX);
    let is_inherited = |name: &str| roles.iter().flat_map(|role| &role.inherits).any(|parent| *parent.name == *name);
    let last: Vec<_> = roles.iter().filter(|role| !is_inherited(&role.name.name)).collect();
    if let Some(role) = roles.iter().find(|role| *role.name.name == *stem) {
        return Ok(role.name.name.clone());
    }
    if let [role] = last.as_slice() {
        return Ok(role.name.name.clone());
    }
    let is_wrong = |diagnostic: &Diagnostic| diagnostic.is_error() && diagnostic.span.is_some_and(in_file);
    if project.unparsed.contains(path) || roles.is_empty() && diagnostics.iter().any(is_wrong) {
        return Err(NoRole { diagnostics: errors_of(diagnostics), sources: project.sources.clone() });
    }
    let names: Vec<&str> = roles.iter().map(|role| &*role.name.name).collect();
    Err(match names.as_slice() {
        [] => {
            Diagnostic::error(format!("`{typed}` defines no role")).help("Write one into it, like: role \"web\" { … }")
        }
        names => Diagnostic::error(format!("`{typed}` defines several roles: {}", names.join(", ")))
            .help("Name one of them instead of the file; `-C DIR` says where it is."),
    }
    .into())
}

/// The files of roles directly in a directory; none where there is no such directory.
fn read_role_files(base: &Path, below: &str) -> Result<FileSet, NoRole> {
    let place = base.join(below);
    let mut files = FileSet::new();
    let failed = |place: &Path, error: &io::Error| {
        Diagnostic::error(format!("`{}` cannot be read: {error}", place.display()))
            .help("Have it be one that you may read, or name another directory with -C.")
    };
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if !below.is_empty() && error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(failed(&place, &error).into()),
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(SUFFIX) && !name.starts_with('.') {
            let content = fs::read(entry.path()).map_err(|error| failed(&entry.path(), &error))?;
            files.insert(if below.is_empty() { name } else { format!("{below}/{name}") }, content);
        }
    }
    Ok(files)
}

/// Adds what lies beside the role, and keeps what the role has to do with.
fn with_files_beside(
    base: &Path,
    below: &str,
    mut project: Project,
    diagnostics: &Diagnostics,
    name: Arc<str>,
) -> Result<FoundRole, NoRole> {
    refuse_wrong(&project, diagnostics, &name)?;
    let files = Arc::make_mut(&mut project.files);
    let mut bytes = 0;
    read_tree(base, below, is_own, &mut |found| {
        bytes += found.content.len();
        if !found.path.ends_with(SUFFIX) {
            found.put(files);
        }
        if bytes > MOST_BYTES { Err(io::Error::other("more than 64 MiB lie beside the role")) } else { Ok(()) }
    })
    .map_err(|error| {
        Diagnostic::error(error.to_string()).help(
            "What lies in the directory of a role, and below it, travels with the role: \
             have the role in a directory with nothing but what it reads.",
        )
    })?;
    let bundle = bundle(&project, [&*name]);
    Ok(FoundRole { name, bundle, directory: base.to_owned() })
}

/// The secrets that a role reads with these parameters, opened.
pub fn secrets_of(bundle: &Bundle, role: &str, params: &Value, vault: &Vault) -> Result<Secrets, Diagnostics> {
    let names = bundle
        .secrets(role, params, &agent::schemas())
        .map_err(|found| agent::without_params(found, bundle, role, params))?;
    vault.take(&names).map_err(|error| {
        Diagnostic::error(format!("role `{role}` cannot be given its secrets")).detail(format!("{error}.")).into()
    })
}

/// Refuses a role where something is wrong in its own file or in that of a role that it inherits.
fn refuse_wrong(project: &Project, diagnostics: &Diagnostics, name: &str) -> Result<(), NoRole> {
    let own = bundle(project, [name]);
    let in_own_file = |span: Span| match project.sources.get(span.source) {
        Some(source) => own.files().read("", source.path()).is_some(),
        None => true,
    };
    // What is defined a second time somewhere else has to do with the role as well.
    let is_own = |diagnostic: &Diagnostic| match diagnostic.span {
        Some(span) => in_own_file(span) || diagnostic.related.iter().any(|(span, _)| in_own_file(*span)),
        None => true,
    };
    let in_unparsed_file =
        |span: Span| project.sources.get(span.source).is_some_and(|source| project.unparsed.contains(source.path()));
    let wrong: Diagnostics = match check_ancestors(project, name) {
        Ok(()) => errors_of(diagnostics).into_iter().filter(is_own).collect(),
        // An ancestor that seems to be missing may be in a file that cannot be understood.
        Err(error) => {
            let unparsed = errors_of(diagnostics).into_iter().filter(|it| it.span.is_some_and(in_unparsed_file));
            unparsed.chain([error]).collect()
        }
    };
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(NoRole { diagnostics: wrong, sources: project.sources.clone() }),
    }
}

fn errors_of(diagnostics: &Diagnostics) -> Diagnostics {
    diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).cloned().collect()
}
