//! `andon.hcl`: the project and its environments.

use andon_text::Diagnostic;

use super::{Loader, blocks, version};
use crate::definitions::{Environment, Project};
use crate::shape::{PROJECT_FILE, suggest};

/// The names of the warnings that can be switched off.
const LINTS: [&str; 1] = [super::QUOTES];

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project) {
    let path: std::sync::Arc<str> = "andon.hcl".into();
    if loader.files.read("", &path).is_none() {
        return;
    }
    let body = loader.body(&path, &PROJECT_FILE);
    for block in blocks(&body, "project", 1) {
        if let Some(name) = loader.named(block, 0) {
            project.name = name.name.clone();
        }
        if let Some(wanted) = loader.text(&block.body, "required_version") {
            let have = env!("CARGO_PKG_VERSION");
            loader.out.extend(version::unmet(&wanted, "Andon", have));
        }
    }
    let projects = blocks(&body, "project", 1);
    for lint in projects.flat_map(|block| blocks(&block.body, "lint", 0)) {
        for name in loader.texts(&lint.body, "disable") {
            if !LINTS.contains(&&*name.name) {
                let diagnostic = Diagnostic::warning(format!("there is no warning \"{}\"", name.name)).at(name.span);
                loader.out.push(suggest(diagnostic, &name.name, LINTS));
            }
            project.silenced.insert(name.name.clone());
        }
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
