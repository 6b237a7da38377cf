//! What there is to say of a project, from its definitions alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr, ExprKind, Ident};
use andon_lang::definitions::{Condition, Module, Project, Role, Variable};
use andon_lang::{Defaults, written_string};
use andon_schema::Mode;
use andon_text::{SourceMap, deeper};
use andon_value::Type;

use super::{Document, Part, Run, Text, readable};
use crate::graph;

/// The reference of a project; where stacks are named, of those alone.
pub fn reference(project: &Project, stacks: &[Arc<str>]) -> Document {
    let mut out = Document { title: project.name.to_string(), parts: Vec::new() };
    let all = stacks.is_empty();
    let sources = &project.sources;
    let picture = readable(graph::picture(project, stacks));
    if picture.nodes.len() > 1 {
        out.parts.push(Part::Picture(Box::new(picture)));
    }
    for (name, stack) in project.stacks.iter().filter(|(name, _)| all || stacks.contains(name)) {
        let level = if name.is_empty() {
            1
        } else {
            out.heading(1, Text::words("Stack ").and_code(&**name));
            2
        };
        module(&mut out, level, &stack.module, sources);
    }
    if all {
        for (name, role) in &project.roles {
            out.heading(1, Text::words("Role ").and_code(&**name));
            document_role(&mut out, project, role);
        }
        images(&mut out, project);
        environments(&mut out, project);
        tests(&mut out, project);
    }
    out
}

fn module(out: &mut Document, level: u8, module: &Module, sources: &SourceMap) {
    if let Some(text) = requirements(module) {
        out.paragraph(text);
    }
    let inputs = module.variables.values().map(|variable| input(variable, None, sources));
    out.table(level, "Inputs", vec!["Name", "Type", "Default", "Description"], inputs.collect());
    let outputs = module.outputs.values().map(|output| {
        let description =
            with_flags(&output.description, &[("sensitive", output.sensitive), ("ephemeral", output.ephemeral)]);
        vec![Text::code(&*output.name.name), description]
    });
    out.table(level, "Outputs", vec!["Name", "Description"], outputs.collect());
    let providers: BTreeSet<Arc<str>> = (module.settings.required_providers.keys().cloned())
        .chain(module.providers.keys().map(|(name, _)| name.clone()))
        .chain(module.resources.values().map(|resource| Arc::from(resource.provider_name())))
        .collect();
    let providers = providers.iter().map(|name| {
        let required = module.settings.required_providers.get(name);
        let version = required.and_then(|required| required.version.as_ref()).map_or("", |version| &version.name);
        let address = module.provider_address(name);
        let source = if address.is_built_in() { "built in".to_owned() } else { address.to_string() };
        vec![Text::code(&**name), Text::words(source), Text::code(version)]
    });
    out.table(level, "Providers", vec!["Name", "Source", "Version"], providers.collect());
    let text = |ident: &Option<Ident>| Text::code(ident.as_ref().map_or("", |ident| &ident.name));
    let calls =
        module.calls.values().map(|call| vec![Text::code(&*call.name.name), text(&call.source), text(&call.version)]);
    out.table(level, "Modules", vec!["Name", "Source", "Version"], calls.collect());
    let resources = module.resources.iter().map(|(key, definition)| {
        let kind = match key.mode {
            Mode::Managed => "resource",
            Mode::Data => "data source",
            Mode::Ephemeral => "ephemeral resource",
        };
        let times = match (&definition.count, &definition.for_each) {
            (Some(expr), _) => Text::code(format!("count = {}", source(expr, sources))),
            (None, Some(expr)) => Text::code(format!("for_each = {}", source(expr, sources))),
            (None, None) => Text::default(),
        };
        vec![Text::code(format!("{}{}.{}", key.mode.prefix(), key.kind, key.name)), Text::words(kind), times]
    });
    out.table(level, "Resources", vec!["Name", "Kind", "Instances"], resources.collect());
}

fn requirements(module: &Module) -> Option<Text> {
    let versions: Vec<&str> = module.settings.required_versions.iter().map(|version| &*version.name).collect();
    (!versions.is_empty()).then(|| Text::words("Requires Terraform ").and_code(versions.join(", ")).and("."))
}

/// A row for a variable or a parameter; `from` is the role that it is inherited from.
fn input(variable: &Variable, from: Option<&str>, sources: &SourceMap) -> Vec<Text> {
    let default = match &variable.default {
        None => Text::words("required"),
        Some(_) if variable.is_secret() => Text::words("(sensitive value)"),
        Some(expr) => Text::code(source(expr, sources)),
    };
    let flags =
        [("sensitive", variable.sensitive), ("ephemeral", variable.ephemeral), ("not null", !variable.nullable)];
    let mut description = with_flags(&variable.description, &flags);
    for validation in &variable.validations {
        description = description.next_line().and("Must hold: ").and(message(validation, sources));
    }
    if let Some(from) = from {
        description = description.next_line().and("From role ").and_code(from).and(".");
    }
    let shown = Some(&variable.defaults).filter(|_| !variable.is_secret());
    let ty = if variable.ty == Type::Dynamic { "any".to_owned() } else { spaced(&variable.ty, shown, sources) };
    vec![Text::code(&*variable.name.name), Text::code(ty), default, description]
}

fn with_flags(description: &str, flags: &[(&str, bool)]) -> Text {
    let flags: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(word, _)| *word).collect();
    let mut text = Text::default();
    for line in description.trim().lines() {
        text = text.next_line().and(line);
    }
    if flags.is_empty() { text } else { text.next_line().and(format!("({})", flags.join(", "))) }
}

fn message(condition: &Condition, sources: &SourceMap) -> String {
    match written_string(&condition.error_message) {
        Some(text) => text.to_string(),
        None => source(&condition.error_message, sources),
    }
}

/// What is written, in one line.
fn source(expr: &Expr, sources: &SourceMap) -> String {
    sources.text(expr.span).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A type as people write it, with the defaults of its optional attributes.
fn spaced(ty: &Type, defaults: Option<&Defaults>, sources: &SourceMap) -> String {
    let spaced = |ty: &Type, defaults| deeper(|| spaced(ty, defaults, sources));
    let element = |ty: &Type| spaced(ty, defaults.and_then(Defaults::in_element));
    match ty {
        Type::List(inner) => format!("list({})", element(inner)),
        Type::Set(inner) => format!("set({})", element(inner)),
        Type::Map(inner) => format!("map({})", element(inner)),
        Type::Tuple(elements) => {
            let one = |(at, ty)| spaced(ty, defaults.and_then(|defaults| defaults.in_index(at)));
            format!("tuple([{}])", elements.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
        }
        Type::Object { attributes, optional } => {
            let one = |(name, ty): (&Arc<str>, &Type)| {
                let ty = spaced(ty, defaults.and_then(|defaults| defaults.in_attribute(name)));
                let default = defaults.and_then(|defaults| defaults.of(name));
                let ty = match default.map(|default| source(default, sources)) {
                    Some(default) => format!("optional({ty}, {default})"),
                    None if optional.iter().any(|other| other == name) => format!("optional({ty})"),
                    None => ty,
                };
                let name = if andon_value::is_identifier(name) { name.to_string() } else { andon_value::quote(name) };
                format!("{name} = {ty}")
            };
            let inner: Vec<String> = attributes.iter().map(one).collect();
            if inner.is_empty() { "object({})".to_owned() } else { format!("object({{ {} }})", inner.join(", ")) }
        }
        simple => simple.to_string(),
    }
}

fn names(idents: &[Ident]) -> Text {
    let mut text = Text::default();
    for (at, ident) in idents.iter().enumerate() {
        text = text.and(if at == 0 { "" } else { ", " }).and_code(&*ident.name);
    }
    text
}

fn document_role(out: &mut Document, project: &Project, role: &Role) {
    let sources = &project.sources;
    if !role.inherits.is_empty() {
        let mut text = Text::words("Inherits ");
        text.0.extend(names(&role.inherits).0);
        out.paragraph(text.and("."));
    }
    let mut known: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut rows = Vec::new();
    // The role's own first; a child's parameter stands for its parents' of the same name.
    for ancestor in lineage(project, role) {
        for (_, param) in ancestor.params.iter().filter(|(name, _)| known.insert(Arc::clone(name))) {
            let from = (ancestor.name.name != role.name.name).then_some(&*ancestor.name.name);
            rows.push(input(param, from, sources));
        }
    }
    out.table(2, "Parameters", vec!["Name", "Type", "Default", "Description"], rows);
    let label = |expr: &Expr| written_string(expr).map_or_else(|| source(expr, sources), |text| text.to_string());
    let managed = role.resources.iter().map(|resource| {
        let when = resource.when.as_ref().map_or_else(Text::default, |expr| Text::code(source(expr, sources)));
        vec![Text::words(&*resource.kind.name), Text::code(label(&resource.label)), when]
    });
    out.table(2, "Manages", vec!["Kind", "Name", "When"], managed.collect());
    let checks = role.checks.iter().flat_map(|check| {
        check.assertions.iter().map(|assertion| {
            vec![
                Text::words(&*check.name.name),
                Text::words(format!("{} ", assertion.kind.name)).and_code(label(&assertion.label)),
                Text::code(body(&assertion.body, sources)),
            ]
        })
    });
    out.table(2, "Checks", vec!["Name", "Looks at", "Expects"], checks.collect());
}

/// A role and all that it inherits, each once.
fn lineage<'a>(project: &'a Project, role: &'a Role) -> Vec<&'a Role> {
    let mut found: Vec<&Role> = vec![role];
    let mut at = 0;
    while let Some(role) = found.get(at).copied() {
        at += 1;
        for parent in role.inherits.iter().filter_map(|parent| project.roles.get(&parent.name)) {
            if !found.iter().any(|known| known.name.name == parent.name.name) {
                found.push(parent);
            }
        }
    }
    found
}

fn body(body: &Body, sources: &SourceMap) -> String {
    let one = |attribute: &andon_hcl::ast::Attribute| {
        format!("{} = {}", attribute.name.name, source(&attribute.value, sources))
    };
    body.attributes().map(one).collect::<Vec<_>>().join(", ")
}

fn images(out: &mut Document, project: &Project) {
    let sources = &project.sources;
    let rows = project.images.values().map(|image| {
        let params = image.params.as_ref().map_or_else(Text::default, keys);
        vec![Text::code(&*image.name.name), Text::code(source(&image.from, sources)), names(&image.roles), params]
    });
    out.table(1, "Images", vec!["Name", "From", "Roles", "Parameters given"], rows.collect());
}

/// The names in an object that is written out: what they are given may be a secret.
fn keys(expr: &Expr) -> Text {
    let ExprKind::Object(items) = &expr.kind else { return Text::default() };
    let mut text = Text::default();
    for item in items {
        let name = match &item.key.kind {
            ExprKind::Variable(name) => name.to_string(),
            _ => written_string(&item.key).map(|name| name.to_string()).unwrap_or_default(),
        };
        let comma = if text == Text::default() { "" } else { ", " };
        text = text.and(comma).and_code(name);
    }
    text
}

fn environments(out: &mut Document, project: &Project) {
    let rows = project.environments.values().filter(|environment| environment.span.is_some()).map(|environment| {
        let variables = environment.variables.as_ref().map_or_else(Text::default, keys);
        let protected = if environment.protected { "yes" } else { "" };
        vec![Text::code(&*environment.name), Text::words(protected), variables]
    });
    out.table(1, "Environments", vec!["Name", "Protected", "Variables given"], rows.collect());
}

fn tests(out: &mut Document, project: &Project) {
    let rows = project.tests.iter().map(|test| {
        let role = test.role.as_ref().map_or_else(Text::default, |role| Text(vec![Run::Code(role.name.to_string())]));
        vec![Text::words(&*test.name.name), role]
    });
    out.table(1, "Tests", vec!["Name", "Role"], rows.collect());
}
