//! `roles/*.role.hcl`: what kinds of server must be.

use std::sync::Arc;

use andon_hcl::ast::{Body, Expr, ExprKind, Ident, Template, TemplatePart};

use super::{Loader, blocks, module, parent};
use crate::definitions::{AssertionDefinition, CheckDefinition, HostDefinition, Project, Role};
use crate::shape::{HOST, check_body, check_labels, with_article};

pub(super) fn load(loader: &mut Loader<'_>, project: &mut Project, path: &str, body: &Body) {
    let scope: Arc<str> = "".into();
    for block in blocks(body, "role", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if !loader.define("role", &scope, name) {
            continue;
        }
        let within: Arc<str> = format!("role {}", name.name).into();
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
        let [label] = &*block.labels else { continue };
        let named = Ident { name: format!("{} \"{}\"", block.kind.name, label.name).into(), span: block.head };
        if !loader.define("host resource", within, &named) {
            continue;
        }
        let value = |name: &str| block.body.attribute(name).map(|attribute| attribute.value.clone());
        resources.push(HostDefinition {
            kind: block.kind.clone(),
            label: template(loader, label),
            when: value("when"),
            for_each: value("for_each"),
            absent: value("absent"),
            after: loader.list(&block.body, "after"),
            reloads: loader.list(&block.body, "reloads"),
            restarts: loader.list(&block.body, "restarts"),
            body: HOST.rest(&block.body),
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
        let mut assertions = Vec::new();
        for assertion in block.body.blocks() {
            check_labels(assertion, &["name"], &mut loader.out);
            let [label] = &*assertion.labels else { continue };
            assertions.push(AssertionDefinition {
                kind: assertion.kind.clone(),
                label: template(loader, label),
                body: assertion.body.clone(),
                span: assertion.head,
            });
        }
        let when = block.body.attribute("when").map(|attribute| attribute.value.clone());
        checks.push(CheckDefinition { name: name.clone(), when, assertions, span: block.head });
    }
    checks
}

/// A label as a template: what is between its quotes may have holes.
fn template(loader: &mut Loader<'_>, label: &Ident) -> Expr {
    let literal = |name: &Arc<str>| {
        let parts = vec![TemplatePart::Literal(name.clone(), label.span)];
        Expr { kind: ExprKind::Template(Template { parts, heredoc: false }), span: label.span }
    };
    let raw = loader.sources.text(label.span);
    if !raw.starts_with('"') || !(raw.contains("${") || raw.contains("%{")) {
        return literal(&label.name);
    }
    // Read again as an expression at the same place in the file, so that its spans are right.
    let padded = format!("{}{raw}", " ".repeat(label.span.start as usize));
    let (expr, errors) = andon_hcl::parse_expression(label.span.source, &padded);
    loader.out.extend(errors);
    expr
}
