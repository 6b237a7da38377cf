//! Which directory a `module` block calls.

use std::collections::BTreeSet;

use andon_hcl::ast::{Block, Ident};
use andon_text::{Diagnostic, Span, nearest};

use super::{Loader, parent};
use crate::files::resolve;

/// The directory of the module that a block in the directory `from` calls, and where the block says so; `None`, with a
/// complaint, where there is none.
pub(super) fn directory(loader: &mut Loader<'_>, from: &str, block: &Block) -> Option<(String, Span)> {
    let source = loader.text(&block.body, "source")?;
    Some((local(loader, from, &source)?, source.span))
}

fn local(loader: &mut Loader<'_>, from: &str, source: &Ident) -> Option<String> {
    let text = &*source.name;
    if !(text.starts_with("./") || text.starts_with("../")) {
        loader.out.push(
            Diagnostic::error(format!("module source \"{text}\" is not supported yet"))
                .at(source.span)
                .label("only local paths are")
                .help("Copy the module into the project and name its directory, beginning with \"./\" or \"../\"."),
        );
        return None;
    }
    let Some(path) = resolve(from, text) else {
        loader.out.push(
            Diagnostic::error(format!("module source \"{text}\" leads out of the project"))
                .at(source.span)
                .help("Copy the module into the project."),
        );
        return None;
    };
    if loader.paths(&path, ".tf").is_empty() {
        let directories: BTreeSet<&str> =
            loader.files.paths().filter(|path| path.ends_with(".tf")).map(|path| parent(path)).collect();
        let diagnostic = Diagnostic::error(format!("there is no module in \"{text}\""))
            .at(source.span)
            .label(format!("{path} has no *.tf files"));
        loader.out.push(match nearest(&path, directories.iter().copied()) {
            Some(near) => diagnostic.help(format!("There is one in {near}.")),
            None => diagnostic,
        });
        return None;
    }
    Some(path)
}
