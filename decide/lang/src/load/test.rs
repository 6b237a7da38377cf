//! `tests/*.test.hcl`: tests of roles and images on throw-away servers.

use std::sync::Arc;

use andon_hcl::ast::{Body, Ident};

use super::{Loader, blocks, role};
use crate::definitions::{Project, Test};

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project, body: &Body) {
    let scope: Arc<str> = "".into();
    for block in blocks(body, "test", 1) {
        // The name of a test is a sentence, not an identifier.
        let Some(name) = block.labels.first() else { continue };
        if !loader.define("test", &scope, name) {
            continue;
        }
        let within: Arc<str> = format!("test {}", name.name).into();
        let value = |body: &Body, name: &str| body.attribute(name).map(|attribute| attribute.value.clone());
        let server = blocks(&block.body, "server", 0).next();
        let expect = blocks(&block.body, "expect", 0).next();
        let role: Option<Ident> = loader.text(&block.body, "role");
        let test = Test {
            name: name.clone(),
            server: server.map(|server| server.body.clone()).unwrap_or_default(),
            role,
            params: value(&block.body, "params"),
            expect_changes: expect.and_then(|expect| value(&expect.body, "changes")),
            checks: role::checks(loader, &within, &block.body),
            span: block.head,
        };
        project.tests.push(Arc::new(test));
    }
}
