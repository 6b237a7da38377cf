//! `images/*.image.hcl`: server templates.

use std::sync::Arc;

use andon_hcl::ast::Body;
use andon_text::Diagnostic;

use super::{Loader, blocks};
use crate::definitions::{Image, Project};

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project, body: &Body) {
    let scope: Arc<str> = "".into();
    for block in blocks(body, "image", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("image", &scope, name) {
            continue;
        }
        for output in blocks(&block.body, "output", 1) {
            loader.out.push(
                Diagnostic::warning("outputs of images are not supported yet")
                    .at(output.head)
                    .label("nothing is written for this one"),
            );
        }
        let roles = loader.texts(&block.body, "roles");
        let Some(from) = block.body.attribute("from") else { continue };
        let image = Image {
            name: name.clone(),
            from: from.value.clone(),
            roles,
            params: block.body.attribute("params").map(|attribute| attribute.value.clone()),
            span: block.head,
        };
        project.images.insert(name.name.clone(), Arc::new(image));
    }
}
