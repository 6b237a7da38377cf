//! `andon.hcl`: the project and its environments.

use super::{Loader, blocks, version};
use crate::definitions::{Environment, Project};
use crate::shape::PROJECT_FILE;

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
