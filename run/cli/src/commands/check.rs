//! `check`: all that can be said of definitions without asking the world.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_engine::project::is_project;
use andon_lang::definitions::{Module, Project as Definitions};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span, nearest};

use crate::args::CheckArguments;
use crate::context::{Context, Stop};
use crate::terminal::print_json;

/// `andon check [DIR|STACK…]`
pub fn run(context: &Context, arguments: &CheckArguments) -> Result<(), Stop> {
    let directory = &context.arguments.directory;
    let here = directory.is_dir() && !is_project(directory);
    match arguments.targets.as_slice() {
        [] if here => nothing(context),
        [] => check(context, &[]),
        [target] if directory.join(target).is_dir() => {
            let mut arguments = context.arguments.clone();
            arguments.directory = directory.join(target);
            let inner = Context::new(arguments);
            if is_project(&inner.arguments.directory) { check(&inner, &[]) } else { nothing(&inner) }
        }
        stacks => check(context, stacks),
    }
}

/// A directory without definitions has none that are wrong.
fn nothing(context: &Context) -> Result<(), Stop> {
    if context.arguments.json {
        say_json(&Diagnostics::new(), &SourceMap::new());
    } else {
        context.print("Nothing is defined in this directory.\n");
    }
    Ok(())
}

fn check(context: &Context, stacks: &[String]) -> Result<(), Stop> {
    let project = context.open_with_plugins()?;
    let definitions = project.session.project();
    let mut found = project.check();
    found.extend(project.plugins.unchecked());
    let mut lints = andon_lang::lint(definitions);
    if !stacks.is_empty() {
        let directories = directories(definitions, stacks)?;
        let parent = |span: Span| {
            let path = definitions.sources.get(span.source)?.path();
            Some(path.rsplit_once('/').map_or("", |(parent, _)| parent))
        };
        let inside = |diagnostic: &Diagnostic| match diagnostic.span {
            Some(span) => parent(span).is_none_or(|parent| directories.contains(parent)),
            None => true,
        };
        found = found.into_iter().filter(inside).collect();
        lints = lints.into_iter().filter(inside).collect();
    }
    let failed = found.has_errors();
    // What is unused may be what a mistake elsewhere fails to name.
    if !failed {
        found.extend(lints);
        found.sort();
    }
    if context.arguments.json {
        say_json(&found, project.sources());
    } else if !found.is_empty() {
        context.say_diagnostics(&found, project.sources());
    }
    if failed {
        return Err(Stop::Code(1));
    }
    if !context.arguments.json {
        context.print(&sound(definitions, stacks));
    }
    Ok(())
}

/// The answer of `terraform validate -json`, and what we have beside it.
fn say_json(found: &Diagnostics, sources: &SourceMap) {
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    print_json(&serde_json::json!({
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": found.len() - errors,
        "diagnostics": andon_view::diagnostics_json(found, sources),
    }));
}

/// The directories of stacks and of the modules that they call.
fn directories(project: &Definitions, stacks: &[String]) -> Result<BTreeSet<Arc<str>>, Stop> {
    fn add(module: &Module, found: &mut BTreeSet<Arc<str>>) {
        if found.insert(module.directory.clone()) {
            module.calls.values().for_each(|call| add(&call.module, found));
        }
    }
    let mut found = BTreeSet::new();
    for name in stacks {
        match project.stacks.get(name.as_str()) {
            Some(stack) => add(&stack.module, &mut found),
            None => {
                let diagnostic = Diagnostic::error(format!("there is no stack or directory \"{name}\""));
                let near = nearest(name, project.stacks.keys().map(|name| &**name));
                return Err(match near {
                    Some(near) => diagnostic.help(format!("Did you mean \"{near}\"?")).into(),
                    None => diagnostic.into(),
                });
            }
        }
    }
    Ok(found)
}

fn sound(project: &Definitions, stacks: &[String]) -> String {
    if !stacks.is_empty() {
        return format!("The definitions of {} are sound.\n", stacks.join(", "));
    }
    let counts = [
        (project.stacks.len(), "stack"),
        (project.roles.len(), "role"),
        (project.images.len(), "image"),
        (project.environments.len(), "environment"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let parts = counts.map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }));
    format!("The definitions are sound: {}.\n", parts.collect::<Vec<_>>().join(", "))
}
