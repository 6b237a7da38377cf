//! Circles of need, found in what is written: among the parts of a stack, through its modules, and among stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr};
use andon_schema::Mode;
use andon_text::{Diagnostic, Diagnostics, Span};

use crate::definitions::{Condition, Module, Project};
use crate::literal;
use crate::reference::{Reference, StaticStep, name_at, static_traversals};
use crate::walk::references_of;

/// Ends the name of the node that stands for all of a module.
const WHOLE: &str = " as a whole";

/// What needs what, and where it says so.
type Graph = BTreeMap<String, Vec<(String, Span)>>;

pub(super) fn check(project: &Project, out: &mut Diagnostics) {
    for stack in project.stacks.values() {
        let mut graph = Graph::new();
        add_module(&mut graph, "", &stack.module, None);
        report(&graph, "these need each other in a circle", out);
    }
    let mut graph = Graph::new();
    for stack in project.stacks.values() {
        let mut needs = Vec::new();
        read_stacks(&stack.module, &mut needs);
        let needs = needs.into_iter().filter(|(other, _)| project.stacks.contains_key(&**other));
        let needs = needs.map(|(other, span)| (format!("stack {other}"), span)).collect();
        graph.insert(format!("stack {}", stack.name), needs);
    }
    report(&graph, "stacks read from each other in a circle", out);
}

/// The stacks that a module and those it calls read from.
pub(super) fn read_stacks(module: &Module, found: &mut Vec<(Arc<str>, Span)>) {
    for (key, resource) in &module.resources {
        let reads = match &*key.kind {
            "andon_stack" => "name",
            "andon_value" if resource.body.attribute("environment").is_none() => "stack",
            _ => continue,
        };
        if key.mode == Mode::Data
            && let Some(name) = resource.body.attribute(reads)
            && let Some(stack) = literal::string(&name.value)
        {
            found.push((stack, name.value.span));
        }
    }
    module.calls.values().for_each(|call| read_stacks(&call.module, found));
}

fn add_module(graph: &mut Graph, prefix: &str, module: &Module, caller: Option<(&str, Span)>) {
    let mut add = |name: String, expressions: Vec<&Expr>, body: Option<&Body>| {
        let mut needs: Vec<(String, Span)> = caller.into_iter().map(|(call, span)| (call.to_owned(), span)).collect();
        let mut visit = |reference: Reference<'_>| add_needs(&mut needs, prefix, &reference);
        expressions.into_iter().flat_map(static_traversals).for_each(&mut visit);
        body.iter().for_each(|body| references_of(body, &mut visit));
        graph.entry(format!("{prefix}{name}")).or_default().extend(needs);
    };
    for (name, local) in &module.locals {
        add(format!("local.{name}"), vec![&local.value], None);
    }
    for (name, output) in &module.outputs {
        let conditions = conditions(&output.preconditions);
        add(
            format!("output.{name}"),
            [&output.value].into_iter().chain(&output.depends_on).chain(conditions).collect(),
            None,
        );
    }
    for (key, resource) in &module.resources {
        let lifecycle = &resource.lifecycle;
        let mut expressions: Vec<&Expr> =
            resource.count.as_deref().into_iter().chain(resource.for_each.as_deref()).collect();
        expressions.extend(resource.depends_on.iter().chain(&lifecycle.replace_triggered_by));
        expressions.extend(conditions(&lifecycle.preconditions));
        let data = if key.mode == Mode::Data { "data." } else { "" };
        add(format!("{data}{}.{}", key.kind, key.name), expressions, Some(&resource.body));
    }
    for (name, call) in &module.calls {
        let expressions = call.count.iter().chain(&call.for_each).chain(&call.depends_on).collect();
        add(format!("module.{name}"), expressions, None);
    }
    for (name, variable) in &module.variables {
        // Whoever reads a variable waits for its validations, which may read the variable itself.
        let own = |reference: &Reference<'_>| {
            &**reference.root == "var" && name_at(reference, 0).is_some_and(|(read, _)| read == &**name)
        };
        let mut needs = Vec::new();
        for reference in conditions(&variable.validations).flat_map(static_traversals) {
            if !own(&reference) {
                add_needs(&mut needs, prefix, &reference);
            }
        }
        graph.entry(format!("{prefix}var.{name}")).or_default().extend(needs);
    }
    for (name, call) in &module.calls {
        let inner = format!("{prefix}module.{name}.");
        let node = format!("{prefix}module.{name}");
        add_module(graph, &inner, &call.module, Some((&node, call.span)));
        for attribute in call.arguments.attributes() {
            let mut needs = Vec::new();
            for reference in static_traversals(&attribute.value) {
                add_needs(&mut needs, prefix, &reference);
            }
            graph.entry(format!("{inner}var.{}", attribute.name.name)).or_default().extend(needs);
        }
        // Whoever needs a module as a whole needs all that is in it.
        let below = |name: &&String| name.starts_with(&inner);
        let all = graph.range(inner.clone()..).map(|(name, _)| name).take_while(below);
        let all = all.map(|name| (name.clone(), call.span)).collect();
        graph.insert(format!("{prefix}module.{name}{WHOLE}"), all);
    }
}

fn conditions(conditions: &[Condition]) -> impl Iterator<Item = &Expr> {
    conditions.iter().flat_map(|condition| [&condition.condition, &condition.error_message])
}

fn add_needs(needs: &mut Vec<(String, Span)>, prefix: &str, reference: &Reference<'_>) {
    let name = |at: usize| name_at(reference, at).map(|(name, _)| name);
    let mut add = |node: String| needs.push((format!("{prefix}{node}"), reference.span));
    match (&**reference.root, name(0), name(1)) {
        (root @ ("local" | "var"), Some(name), _) => add(format!("{root}.{name}")),
        ("data", Some(kind), Some(name)) => add(format!("data.{kind}.{name}")),
        ("module", Some(call), output) => {
            // After the call's name, and perhaps an instance's key, comes the output.
            let output = match reference.steps.get(1) {
                Some(StaticStep::Attribute(..)) => output,
                _ => reference.steps.get(2).and_then(|_| name_at(reference, 2)).map(|(name, _)| name),
            };
            match output {
                Some(output) => add(format!("module.{call}.output.{output}")),
                None => add(format!("module.{call}{WHOLE}")),
            }
        }
        ("resource", Some(kind), Some(name)) => add(format!("{kind}.{name}")),
        (kind, Some(name), _) => add(format!("{kind}.{name}")),
        _ => {}
    }
}

/// Reports each circle once.
fn report(graph: &Graph, summary: &str, out: &mut Diagnostics) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in graph.keys() {
        // The way, each with the needs of it still to be followed and the place by which it was reached.
        let mut way: Vec<(&str, std::slice::Iter<'_, (String, Span)>)> = Vec::new();
        let mut spans: Vec<Span> = Vec::new();
        let enter = |node: &'_ str| graph.get_key_value(node).map(|(name, needs)| (name.as_str(), needs.iter()));
        if done.contains(start.as_str()) {
            continue;
        }
        way.extend(enter(start));
        while let Some((node, needs)) = way.last_mut() {
            let node = *node;
            match needs.next() {
                None => {
                    done.insert(node);
                    way.pop();
                    spans.pop();
                }
                Some((next, _)) if done.contains(next.as_str()) => {}
                Some((next, span)) => match way.iter().position(|(other, _)| other == next) {
                    Some(from) => {
                        let names: Vec<&str> = way.iter().skip(from).map(|(name, _)| *name).collect();
                        let places: Vec<Span> = spans.iter().skip(from).copied().chain([*span]).collect();
                        out.push(circle(&names, &places, summary));
                        // One complaint is enough for all that goes through it.
                        done.extend(names);
                    }
                    None => {
                        if let Some(entered) = enter(next) {
                            way.push(entered);
                            spans.push(*span);
                        }
                    }
                },
            }
        }
    }
}

/// `places` says where each name needs the next.
fn circle(names: &[&str], places: &[Span], summary: &str) -> Diagnostic {
    let first = places.first().copied();
    let chain: Vec<&str> = names.iter().chain(names.first()).copied().collect();
    if let ([name], Some(place)) = (names, first) {
        return Diagnostic::error(format!("{name} needs itself")).at(place).help("Take this reference out.");
    }
    let diagnostic = Diagnostic::error(summary).detail(format!("{}.", chain.join(" → ")));
    let diagnostic = Diagnostic { span: first, ..diagnostic }.help("Take one of these references out.");
    let pairs = names.iter().zip(names.iter().skip(1).chain(names.first())).zip(places);
    let diagnostic = match pairs.clone().next() {
        Some(((one, other), _)) => diagnostic.label(format!("{one} needs {other}")),
        None => diagnostic,
    };
    pairs.skip(1).fold(diagnostic, |diagnostic, ((one, other), place)| {
        diagnostic.related(*place, format!("{one} needs {other}"))
    })
}
