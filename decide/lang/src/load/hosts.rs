//! `*.hosts.hcl`, in the project's directory and in `hosts/`: servers that are listed by hand.

use std::sync::Arc;

use andon_hcl::ast::Body;

use super::role::label;
use super::{Loader, blocks, module};
use crate::definitions::{ListedHost, Project};
use crate::shape::check_labels;

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project, body: &Body) {
    let scope: Arc<str> = "hosts".into();
    project.hosts.locals.extend(module::locals(loader, &scope, body));
    for block in blocks(body, "host", 1) {
        check_labels(block, &["name"], &mut loader.out);
        let Some(name) = block.labels.first() else { continue };
        // A label with holes in it names several.
        if block.label_templates.first().is_none_or(Option::is_none) && !loader.define("host", &scope, name) {
            continue;
        }
        let value = |name: &str| block.body.attribute(name).map(|attribute| attribute.value.clone());
        let connection = blocks(&block.body, "connection", 0).next();
        project.hosts.hosts.push(ListedHost {
            label: label(block, name),
            for_each: value("for_each"),
            address: value("address"),
            tags: value("tags"),
            roles: value("roles"),
            params: value("params"),
            connection: connection.map(|block| Body { span: Some(block.head), ..block.body.clone() }),
            span: block.head,
        });
    }
}
