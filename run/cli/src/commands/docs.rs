//! `docs`: the reference of a project, of one module, or of the language.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use andon_engine::project::read_files;
use andon_lang::load;
use andon_text::{Diagnostic, Diagnostics};
use andon_view::docs::{self, Document, InjectError};

use crate::args::{DocsArguments, DocsFormat};
use crate::context::{Context, Stop};
use crate::terminal::write_file;

/// `andon docs`
pub fn run(context: &Context, arguments: &DocsArguments) -> Result<(), Stop> {
    let document = document(context, arguments)?;
    if let Some(path) = &arguments.inject {
        return inject(context, arguments, path, &document);
    }
    let text = match arguments.format {
        _ if context.arguments.json => format!("{}\n", docs::docs_json(&document)),
        DocsFormat::Json => format!("{}\n", docs::docs_json(&document)),
        DocsFormat::Markdown => docs::markdown(&document, true),
        DocsFormat::Html => docs::html(&document),
    };
    match &arguments.output {
        Some(path) if arguments.check => {
            let present = fs::read_to_string(path).unwrap_or_default();
            current(context, path, present == text)
        }
        Some(path) => write_file(path, &text),
        None => {
            context.print(&text);
            Ok(())
        }
    }
}

fn document(context: &Context, arguments: &DocsArguments) -> Result<Document, Stop> {
    if arguments.functions {
        return Ok(docs::functions_reference());
    }
    if arguments.language {
        return Ok(docs::language_reference(&andon_engine::provider::built_in_schemas()));
    }
    if let Some(module) = &arguments.module {
        return of_module(context, &context.arguments.directory.join(module));
    }
    let project = context.open_definitions()?;
    let found = project.session.diagnostics();
    if found.has_errors() {
        context.say_diagnostics(found, project.sources());
        return Err(Stop::Code(1));
    }
    let mut stacks = context.stacks(&project, &arguments.stack)?;
    // The only stack of a project without `stacks/` has no name, and is all there is.
    stacks.retain(|name| !name.is_empty());
    Ok(docs::reference(project.session.project(), &stacks))
}

/// A directory of `*.tf` files by itself, whatever calls it.
fn of_module(context: &Context, directory: &Path) -> Result<Document, Stop> {
    let shown = directory.display();
    if !directory.is_dir() {
        return Err(Diagnostic::error(format!("`{shown}` is no directory"))
            .help("Name the directory of a module, or none for the project.")
            .into());
    }
    let name = directory.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let files = read_files(directory).map_err(|error| Diagnostic::error(error.to_string()))?;
    let (project, found) = load(Arc::new(files), name.as_deref().unwrap_or("module"));
    // What it calls may be outside of it: only what is wrong in its own syntax makes it unreadable.
    if !project.unparsed.is_empty() {
        let errors: Diagnostics = found.into_iter().collect();
        context.say_diagnostics(&errors, &project.sources);
        return Err(Stop::Code(1));
    }
    if project.stacks.is_empty() && project.roles.is_empty() && project.images.is_empty() {
        return Err(Diagnostic::error(format!("`{shown}` holds no definitions"))
            .help("Name a directory with `*.tf` files.")
            .into());
    }
    Ok(docs::reference(&project, &[]))
}

fn inject(context: &Context, arguments: &DocsArguments, path: &Path, document: &Document) -> Result<(), Stop> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::error(format!("`{}` cannot be read: {error}", path.display()))
            .help("Name a Markdown file in UTF-8 that exists.")
    };
    let before = fs::read_to_string(path).map_err(unreadable)?;
    let generated = docs::markdown(document, false);
    let marked = if arguments.add_markers && docs::inject(&before, "") == Err(InjectError::NoMarks) {
        docs::with_markers(&before)
    } else {
        before.clone()
    };
    let after = docs::inject(&marked, &generated).map_err(|error| {
        let shown = path.display();
        match error {
            InjectError::NoMarks => Diagnostic::error(format!("`{shown}` does not say where the reference belongs"))
                .help(format!("Write the lines `{}` and `{}` at its place.", docs::BEGIN, docs::END))
                .help("Or have them added at its end with --add-markers."),
            InjectError::UnclearMarks => Diagnostic::error(format!("the marks in `{shown}` are unclear"))
                .detail("There must be one line that begins the reference, and after it one that ends it.")
                .help(format!("They are `{}` and `{}`.", docs::BEGIN, docs::END)),
        }
    })?;
    if arguments.check {
        return current(context, path, after == before);
    }
    if after == before { Ok(()) } else { write_file(path, &after) }
}

fn current(context: &Context, path: &Path, is: bool) -> Result<(), Stop> {
    if is {
        return Ok(());
    }
    context.say(&format!("`{}` is out of date: the same without --check brings it up to date.", path.display()));
    Err(Stop::Code(3))
}
