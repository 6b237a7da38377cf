//! What was installed, as `andon init` records it in `.andon/modules/modules.json`; and what Terraform recorded, where
//! a project was initialised with that.

use std::sync::Arc;

use andon_schema::Version;
use andon_schema::source::{ModuleSource, Package, RegistryModule};
use serde_json::{Value as Json, json};

use super::parse_source;
use crate::files::{clean, resolve};

/// The directory of installed packages, relative to the project.
pub const INSTALLED: &str = ".andon/modules";

/// The record of them, relative to the project.
pub const RECORD: &str = ".andon/modules/modules.json";

/// The same of a stack that Terraform initialised, relative to the stack.
pub const TERRAFORM_RECORD: &str = ".terraform/modules/modules.json";

const FORMAT: u64 = 1;

/// The packages that a project's modules come from, as they are installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// A package each.
    pub modules: Vec<Installed>,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What calls name it by: a registry's module or a package, without a directory.
    pub source: Arc<str>,
    /// The version that was taken, where a registry knows versions of it.
    pub version: Option<Version>,
    /// The directory that the package is in, relative to the project.
    pub root: Arc<str>,
    /// The directory in it that a call's own directory starts from: a registry may say one.
    pub inner: Arc<str>,
    /// Where a registry said that it is.
    pub from: Option<String>,
    /// The git commit that it is.
    pub commit: Option<String>,
    /// The digest of its files; see [`super::tree_hash`]. Empty where it is not known.
    pub hash: String,
    /// The calls that it is for, each as `DIRECTORY: module.NAME`.
    pub calls: Vec<String>,
}

impl Record {
    /// Reads what [`Record::write`] wrote.
    ///
    /// # Errors
    /// In words, where the text is no record or one of another format.
    pub fn read(text: &[u8]) -> Result<Record, String> {
        let json: Json = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if json.get("format").and_then(Json::as_u64) != Some(FORMAT) {
            return Err("it is of another version of Andon".to_owned());
        }
        let modules = json.get("modules").and_then(Json::as_array).ok_or("it has no modules")?;
        let modules: Option<Vec<Installed>> = modules.iter().map(installed).collect();
        Ok(Record { modules: modules.ok_or("a module in it is not described whole")? })
    }

    /// Its form on the disk.
    pub fn write(&self) -> String {
        let module = |it: &Installed| {
            json!({
                "source": &*it.source,
                "version": it.version.as_ref().map(Version::to_string),
                "directory": &*it.root,
                "inner": &*it.inner,
                "from": it.from,
                "commit": it.commit,
                "hash": it.hash,
                "calls": it.calls,
            })
        };
        let modules: Vec<Json> = self.modules.iter().map(module).collect();
        let text = serde_json::to_string_pretty(&json!({ "format": FORMAT, "modules": modules }));
        text.unwrap_or_default() + "\n"
    }

    /// What Terraform recorded for the stack in the directory `stack`. What is not understood is left out.
    pub fn read_terraform(text: &[u8], stack: &str) -> Record {
        let json: Json = serde_json::from_slice(text).unwrap_or_default();
        let modules = json.get("Modules").and_then(Json::as_array).cloned().unwrap_or_default();
        Record { modules: modules.iter().filter_map(|it| terraform_module(it, stack)).collect() }
    }

    /// The package that was installed for this one.
    pub fn package(&self, package: &Package) -> Option<&Installed> {
        let name = package.to_string();
        self.modules.iter().find(|it| *it.source == *name)
    }

    /// What was installed of a registry's module, newest first.
    pub fn versions(&self, module: &RegistryModule) -> Vec<&Installed> {
        let name = module.to_string();
        let mut found: Vec<&Installed> = self.modules.iter().filter(|it| *it.source == *name).collect();
        found.sort_by(|one, other| other.version.cmp(&one.version));
        found
    }
}

fn installed(json: &Json) -> Option<Installed> {
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let root = text("directory")?;
    // A record says where in the project things are, and nowhere else.
    let inside = clean(root).starts_with(".andon/modules/") || root.contains(".terraform/modules/");
    let calls = json.get("calls").and_then(Json::as_array).cloned().unwrap_or_default();
    inside.then_some(())?;
    Some(Installed {
        source: text("source")?.into(),
        version: match text("version") {
            Some(version) => Some(version.parse().ok()?),
            None => None,
        },
        root: clean(root).into(),
        inner: text("inner").unwrap_or_default().into(),
        from: text("from").map(str::to_owned),
        commit: text("commit").map(str::to_owned),
        hash: text("hash").unwrap_or_default().to_owned(),
        calls: calls.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
    })
}

fn terraform_module(json: &Json, stack: &str) -> Option<Installed> {
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let place = resolve(stack, text("Dir")?)?;
    let (source, directory) = match parse_source(text("Source")?).ok()? {
        ModuleSource::Local(_) => return None,
        ModuleSource::Registry { module, directory } => (module.to_string(), directory),
        ModuleSource::Package { package, directory } => (package.to_string(), directory),
    };
    // The package's own directory is named after the call; what follows is a directory in it.
    let (before, rest) = place.split_once(".terraform/modules/")?;
    let (name, inner) = rest.split_once('/').unwrap_or((rest, ""));
    let inner = match inner.strip_suffix(&*directory) {
        Some(outer) if directory.is_empty() || outer.is_empty() || outer.ends_with('/') => outer.trim_end_matches('/'),
        _ => return None,
    };
    Some(Installed {
        source: source.into(),
        version: text("Version").and_then(|version| version.parse().ok()),
        root: format!("{before}.terraform/modules/{name}").into(),
        inner: inner.into(),
        from: None,
        commit: None,
        hash: String::new(),
        calls: Vec::new(),
    })
}
