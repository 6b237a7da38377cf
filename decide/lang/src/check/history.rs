//! `moved`, `removed` and `import` blocks: what they say of objects against what is defined, and against each other.

use std::collections::{BTreeMap, BTreeSet};

use andon_schema::InstanceKey;
use andon_text::{Diagnostic, Span};
use andon_value::{Type, Value, convert};

use super::provisioner;
use super::scope::{At, Checked};
use crate::definitions::{
    Import, ImportBy, ImportTarget, Module, Moved, ProviderReference, ResourceDefinition, Target,
};
use crate::reference::static_traversals;

pub(super) fn check(checked: &Checked<'_>) {
    moves(checked);
    for removed in &checked.module.removed {
        let at = At { this: Some(Value::UNKNOWN), ..checked.plain() };
        provisioner::each(&at, &removed.provisioners, None);
        if let Some(definition) = still_there(checked.module, &removed.from) {
            let diagnostic = Diagnostic::error(format!("{} is removed, and still defined", text(&removed.from)));
            let diagnostic = diagnostic.at(removed.from.span).related(definition, "it is defined here");
            checked.report([diagnostic.help("Take out one of the two.")]);
        }
    }
    let mut taken: BTreeMap<String, Span> = BTreeMap::new();
    for import in &checked.module.imports {
        if !checked.is_root() {
            let diagnostic = Diagnostic::error("only a stack's own module may import").at(import.span);
            checked.report([
                diagnostic.help("Move this block to the stack, and write the way into the module in \"to\".")
            ]);
            continue;
        }
        imported(checked, import);
        // What is computed differs from import to import.
        if let Some(address) = written(&import.to)
            && let Some(first) = taken.insert(address.clone(), import.span)
        {
            let diagnostic = Diagnostic::error(format!("two objects are imported into {address}")).at(import.span);
            checked.report([diagnostic.related(first, "the other one").help("Take one of these blocks out.")]);
        }
    }
}

/// The first line of what an address without a key names in a module or below it.
fn still_there(module: &Module, target: &Target) -> Option<Span> {
    let mut module = module;
    let (last, way) = match target.resource {
        Some(_) => (None, &*target.module),
        None => target.module.split_last().map(|(last, way)| (Some(last), way))?,
    };
    for step in way {
        let call = module.calls.get(&step.name).filter(|call| call.found && step.key.is_none())?;
        module = &call.module;
    }
    match (&target.resource, last) {
        (Some((key, None)), _) => module.resources.get(key).map(|definition| definition.span),
        (None, Some(last)) if last.key.is_none() => module.calls.get(&last.name).map(|call| call.span),
        _ => None,
    }
}

/// The moves of a module: each object goes one way and comes from one, no way leads back, and what has moved away is
/// no longer defined.
fn moves(checked: &Checked<'_>) {
    let mut from: BTreeMap<String, &Moved> = BTreeMap::new();
    let mut to: BTreeMap<String, &Moved> = BTreeMap::new();
    for moved in &checked.module.moved {
        let (source, goal) = (text(&moved.from), text(&moved.to));
        let at = |diagnostic: Diagnostic| diagnostic.at(moved.from.span);
        if source == goal {
            let diagnostic = at(Diagnostic::error(format!("{source} is moved to where it is")));
            checked.report([diagnostic.help("Take this block out.")]);
            continue;
        }
        if let Some(definition) = still_there(checked.module, &moved.from)
            && !goal.starts_with(&format!("{source}["))
        {
            let diagnostic = at(Diagnostic::error(format!("{source} is moved away, and still defined")));
            let diagnostic = diagnostic.related(definition, "it is defined here");
            checked.report([diagnostic.help("Take out one of the two.")]);
        }
        match (from.get(&source), to.get(&goal)) {
            (Some(first), _) if text(&first.to) != goal => {
                let diagnostic = at(Diagnostic::error(format!("{source} is moved to two places")));
                checked.report([diagnostic.related(first.to.span, "one is here").label("and here it is moved again")]);
            }
            (_, Some(first)) if text(&first.from) != source => {
                let diagnostic = Diagnostic::error(format!("two objects are moved to {goal}")).at(moved.to.span);
                checked.report([diagnostic.related(first.to.span, "the other one is here")]);
            }
            _ => {}
        }
        from.entry(source).or_insert(moved);
        to.entry(goal).or_insert(moved);
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for (start, first) in &from {
        let (mut way, mut next) = (vec![start.as_str()], text(&first.to));
        while let Some((name, moved)) = from.get_key_value(&next) {
            if done.contains(name.as_str()) {
                break;
            }
            if let Some(at) = way.iter().position(|other| *other == name.as_str()) {
                let circle: Vec<&str> = way.iter().skip(at).copied().chain([name.as_str()]).collect();
                let diagnostic = Diagnostic::error("objects are moved in a circle").at(moved.from.span);
                let diagnostic = diagnostic.detail(format!("{}.", circle.join(" → ")));
                checked.report([diagnostic.help("Take one of these blocks out.")]);
                break;
            }
            way.push(name);
            next = text(&moved.to);
        }
        done.extend(way);
    }
}

fn is_repeated(definition: &ResourceDefinition) -> bool {
    definition.count.is_some() || definition.for_each.is_some()
}

fn key_text(key: Option<&InstanceKey>) -> String {
    match key {
        None => String::new(),
        Some(InstanceKey::Index(index)) => format!("[{index}]"),
        Some(InstanceKey::Name(name)) => format!("[\"{name}\"]"),
    }
}

fn text(target: &Target) -> String {
    let modules = target.module.iter().map(|step| format!("module.{}{}", step.name, key_text(step.key.as_ref())));
    let resource = target.resource.iter().map(|(key, instance)| {
        format!("{}{}.{}{}", key.mode.prefix(), key.kind, key.name, key_text(instance.as_ref()))
    });
    modules.chain(resource).collect::<Vec<_>>().join(".")
}

/// The address as it is written, where every key in it is.
fn written(to: &ImportTarget) -> Option<String> {
    let key = |key: &Option<andon_hcl::ast::Expr>| match key {
        None => Some(String::new()),
        Some(expr) => match &expr.kind {
            andon_hcl::ast::ExprKind::Number(digits) => Some(format!("[{digits}]")),
            _ => crate::literal::string(expr).map(|name| format!("[\"{name}\"]")),
        },
    };
    let mut text = String::new();
    for (name, index) in &to.module {
        text.push_str(&format!("module.{}{}.", name.name, key(index)?));
    }
    Some(format!("{text}{}.{}{}", to.resource.kind, to.resource.name, key(&to.key)?))
}

/// The configuration that is named: its local name and its alias.
fn named(provider: &ProviderReference) -> (&str, Option<&str>) {
    (&provider.name.name, provider.alias.as_ref().map(|alias| &*alias.name))
}

fn imported(checked: &Checked<'_>, import: &Import) {
    let at = checked.plain().repeated(None, import.for_each.as_ref());
    let keys = import.to.module.iter().filter_map(|(_, key)| key.as_ref()).chain(&import.to.key);
    keys.for_each(|key| drop(at.value(key)));
    target(checked, import);
    // What has no block yet is to be generated, and is of the provider that is named here.
    let own = checked.module.resources.get(&import.to.resource).filter(|_| import.to.module.is_empty());
    if let (Some(provider), Some(own)) = (&import.provider, own)
        && own.provider.as_ref().is_none_or(|own| named(own) != named(provider))
    {
        let diagnostic = Diagnostic::error("an import takes the provider of its resource").at(provider.span);
        checked.report([diagnostic.help("Write this argument in the block of the resource.")]);
    }
    let ImportBy::Id(id) = &import.by else {
        if let ImportBy::Identity(identity) = &import.by {
            drop(at.value(identity));
        }
        return;
    };
    let own = |(kind, name): (&str, &str)| {
        kind == &*import.to.resource.kind && name == &*import.to.resource.name && import.to.module.is_empty()
    };
    let reads = static_traversals(id);
    let itself =
        reads.iter().find(|read| crate::reference::name_at(read, 0).is_some_and(|(name, _)| own((read.root, name))));
    if let Some(read) = itself {
        let diagnostic = Diagnostic::error("the id of an object is not known before it is imported").at(read.span);
        return checked.report([diagnostic.label("this is the resource that is imported into")]);
    }
    let value = at.value(id);
    let wrong = |label: &str| {
        checked.report([Diagnostic::error("an object is imported by its id, which is text").at(id.span).label(label)]);
    };
    match convert(&value, &Type::String) {
        Err(problem) => wrong(&problem.to_string()),
        Ok(value) if value.is_null() => wrong("this is null"),
        Ok(value) if value.marks().ephemeral => wrong("this is ephemeral"),
        Ok(value) if value.unmark_deep().0 == Value::from("") => wrong("this is empty"),
        Ok(_) => {}
    }
}

/// Whether what is imported into is there, and has the instances that are named.
fn target(checked: &Checked<'_>, import: &Import) {
    let ImportTarget { module: way, resource, key, span } = &import.to;
    let error = |summary: String| Diagnostic::error(summary).at(*span);
    let mut module = checked.module;
    for (name, _) in way {
        match module.calls.get(&name.name) {
            Some(call) if call.found => module = &call.module,
            Some(_) => return,
            None => {
                let diagnostic = Diagnostic::error(format!("there is no module \"{}\"", name.name)).at(name.span);
                return checked.report([diagnostic.named(Diagnostic::UNDECLARED)]);
            }
        }
    }
    let written = format!("{}.{}", resource.kind, resource.name);
    let Some(definition) = module.resources.get(resource) else {
        if !way.is_empty() {
            let diagnostic = error(format!("there is no resource \"{written}\" in the module"));
            checked.report([diagnostic.named(Diagnostic::UNDECLARED)]);
        }
        return;
    };
    let word = if definition.count.is_some() { "count" } else { "for_each" };
    match (is_repeated(definition), key) {
        (true, None) => {
            let diagnostic = error(format!("{written} has many instances, and one is imported"));
            checked.report([diagnostic.label(format!("it has \"{word}\"")).help(format!("Write {written}[KEY]."))]);
        }
        (false, Some(key)) => {
            let diagnostic = Diagnostic::error(format!("{written} has no instances to pick from")).at(key.span);
            let diagnostic = diagnostic.label("it has neither \"count\" nor \"for_each\"");
            checked.report([diagnostic.help(format!("Write {written} alone."))]);
        }
        _ => {}
    }
}
