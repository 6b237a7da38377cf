//! `roles/*.role.hcl`: what kinds of server must be.

use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Expr, ExprKind, Ident, Template, TemplatePart};

use super::{Loader, blocks, module, parent};
use crate::definitions::{AssertionDefinition, CheckDefinition, HostDefinition, Project, Role};
use crate::shape::{CHECK, HOST, ROLE, check_body, check_labels, only_arguments_of, with_article};

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project, path: &str, body: &Body) {
    let scope: Arc<str> = "".into();
    for block in blocks(body, "role", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("role", &scope, name) {
            continue;
        }
        let within: Arc<str> = format!("role {}", name.name).into();
        only_arguments_of("role", &ROLE, &block.body, &mut loader.out);
        let role = Role {
            name: name.clone(),
            inherits: loader.texts(&block.body, "inherits"),
            params: module::variables(loader, &within, &block.body, "param"),
            locals: module::locals(loader, &within, &block.body),
            resources: resources(loader, &within, &block.body),
            checks: checks(loader, &within, &block.body),
            directory: parent(path).into(),
            span: block.head,
        };
        project.roles.insert(name.name.clone(), Arc::new(role));
    }
}

fn resources(loader: &mut Loader<'_>, within: &Arc<str>, body: &Body) -> Vec<HostDefinition> {
    let own = |kind: &str| matches!(kind, "param" | "locals" | "check");
    let mut resources = Vec::new();
    for block in body.blocks().filter(|block| !own(&block.kind.name)) {
        check_labels(block, &["name"], &mut loader.out);
        check_body(&with_article(&block.kind.name), Some(block.head), &block.body, &HOST, &mut loader.out);
        let [name] = &*block.labels else { continue };
        let named = Ident { name: format!("{} {}", block.kind.name, name.name).into(), span: block.head };
        if !loader.define("host resource", within, &named) {
            continue;
        }
        let value = |name: &str| block.body.attribute(name).map(|attribute| attribute.value.clone());
        resources.push(HostDefinition {
            kind: block.kind.clone(),
            label: label(block, name),
            when: value("when"),
            for_each: value("for_each"),
            absent: value("absent"),
            after: loader.list(&block.body, "after"),
            reloads: loader.list(&block.body, "reloads"),
            restarts: loader.list(&block.body, "restarts"),
            only_on: block.body.attribute("only_on").map(|_| loader.list(&block.body, "only_on")),
            body: HOST.rest(block),
            span: block.head,
        });
    }
    resources
}

/// The `check` blocks of a role or a test.
pub(super) fn checks(loader: &mut Loader<'_>, within: &Arc<str>, body: &Body) -> Vec<CheckDefinition> {
    let mut checks = Vec::new();
    for block in blocks(body, "check", 1) {
        let Some(name) = block.labels.first() else { continue };
        if !loader.define("check", within, name) {
            continue;
        }
        only_arguments_of("check", &CHECK, &block.body, &mut loader.out);
        let mut assertions = Vec::new();
        for assertion in block.body.blocks() {
            check_labels(assertion, &["name"], &mut loader.out);
            let [name] = &*assertion.labels else { continue };
            assertions.push(AssertionDefinition {
                kind: assertion.kind.clone(),
                label: label(assertion, name),
                body: Body { span: Some(assertion.head), ..assertion.body.clone() },
                span: assertion.head,
            });
        }
        let when = block.body.attribute("when").map(|attribute| attribute.value.clone());
        checks.push(CheckDefinition { name: name.clone(), when, assertions, span: block.head });
    }
    checks
}

/// The label of a block as an expression: it may have holes.
pub(super) fn label(block: &Block, label: &Ident) -> Expr {
    let template = block.label_templates.first().cloned().flatten().unwrap_or_else(|| {
        let parts = vec![TemplatePart::Literal(label.name.clone(), label.span)];
        Template { parts, heredoc: false }
    });
    Expr { kind: ExprKind::Template(template), span: label.span }
}
