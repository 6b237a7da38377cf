//! `andon.hcl`: the project and its environments.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::Body;
use andon_text::Diagnostic;

use super::{Loader, blocks, version};
use crate::definitions::{Environment, Project};
use crate::lint::names;
use crate::shape::{PROJECT_FILE, suggest};

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project) {
    let path: Arc<str> = "andon.hcl".into();
    if loader.files.read("", &path).is_none() {
        return;
    }
    let body = loader.body(&path, &PROJECT_FILE);
    for block in blocks(&body, "project", 1) {
        if let Some(name) = loader.named(block, 0) {
            project.name = name.name.clone();
            project.named = true;
        }
        if let Some(wanted) = loader.text(&block.body, "required_version") {
            let have = env!("CARGO_PKG_VERSION");
            loader.out.extend(version::unmet(&wanted, "Andon", have));
        }
    }
    let projects = blocks(&body, "project", 1);
    for lint in projects.flat_map(|block| blocks(&block.body, "lint", 0)) {
        project.silenced = lints(loader, &lint.body, "disable");
        project.wanted = lints(loader, &lint.body, "enable");
    }
    for block in blocks(&body, "environment", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("environment", &path, name) {
            continue;
        }
        let environment = Environment {
            name: name.name.clone(),
            variables: block.body.attribute("variables").map(|attribute| attribute.value.clone()),
            protected: loader.flag(&block.body, "protected", false),
            span: Some(block.head),
        };
        project.environments.insert(name.name.clone(), environment);
    }
}

/// The lints that an argument of the `lint` block names.
fn lints(loader: &mut Loader<'_>, body: &Body, argument: &str) -> BTreeSet<Arc<str>> {
    let named = loader.texts(body, argument);
    for name in named.iter().filter(|name| !names().any(|lint| *lint == *name.name)) {
        let diagnostic = Diagnostic::error(format!("there is no lint \"{}\"", name.name)).at(name.span);
        loader.out.push(suggest(diagnostic, &name.name, names()));
    }
    named.into_iter().map(|name| name.name).collect()
}
