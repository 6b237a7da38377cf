//! `moved`, `removed` and `import` blocks.

use andon_hcl::ast::{Block, Body};
use andon_schema::Mode;
use andon_text::Diagnostic;

use super::{Loader, blocks, resource};
use crate::definitions::{Import, ImportBy, Moved, Removed};
use crate::shape::missing;

pub(super) fn moved(loader: &mut Loader<'_>, body: &Body) -> Vec<Moved> {
    let mut all = Vec::new();
    for block in blocks(body, "moved", 0) {
        let mut target = |name: &str| loader.target(&block.body.attribute(name)?.value);
        let (Some(from), Some(to)) = (target("from"), target("to")) else { continue };
        if from.resource.is_some() != to.resource.is_some() {
            loader.out.push(
                Diagnostic::error("a resource cannot become a module, nor a module a resource")
                    .at(to.span)
                    .related(from.span, "this is what it was")
                    .help("Name two resources, or two modules."),
            );
            continue;
        }
        all.push(Moved { from, to, span: block.head });
    }
    all
}

pub(super) fn removed(loader: &mut Loader<'_>, body: &Body) -> Vec<Removed> {
    let mut all = Vec::new();
    for block in blocks(body, "removed", 0) {
        let Some(attribute) = block.body.attribute("from") else { continue };
        let Some(from) = loader.target(&attribute.value) else { continue };
        let keyed = from.module.iter().any(|step| step.key.is_some())
            || from.resource.as_ref().is_some_and(|(_, key)| key.is_some());
        let error = |summary: &str| Diagnostic::error(summary).at(from.span);
        match &from.resource {
            _ if keyed => loader.out.push(
                error("single instances cannot be removed like this")
                    .help("Name the whole resource or module, without a key in brackets."),
            ),
            Some((key, _)) if key.mode != Mode::Managed => loader.out.push(
                error("only managed resources have objects to remove")
                    .help("Take the definition out; that is all it needs."),
            ),
            _ => {}
        }
        let provisioners = resource::provisioners(loader, &block.body);
        for provisioner in &provisioners {
            if from.resource.is_none() {
                let diagnostic = Diagnostic::error("a module has no provisioners").at(provisioner.span);
                loader.out.push(diagnostic.help("Name a resource in \"from\", or take the provisioner out."));
            } else if !provisioner.on_destroy {
                let diagnostic = Diagnostic::error("nothing is made here").at(provisioner.span);
                loader.out.push(diagnostic.label("this runs once an object is made").help("Add: when = destroy"));
            }
        }
        let lifecycle = blocks(&block.body, "lifecycle", 0).next();
        let destroy = lifecycle.is_none_or(|lifecycle| loader.flag(&lifecycle.body, "destroy", true));
        all.push(Removed { from, destroy, provisioners, span: block.head });
    }
    all
}

pub(super) fn imports(loader: &mut Loader<'_>, body: &Body) -> Vec<Import> {
    let mut all = Vec::new();
    for block in blocks(body, "import", 0) {
        let by = by(loader, block);
        let Some(to) = block.body.attribute("to").and_then(|to| loader.import_target(&to.value)) else { continue };
        let provider = block.body.attribute("provider");
        let provider = provider.and_then(|attribute| loader.provider_reference(&attribute.value));
        let for_each = block.body.attribute("for_each").map(|attribute| attribute.value.clone());
        let Some(by) = by else { continue };
        all.push(Import { to, by, provider, for_each, span: block.head });
    }
    all
}

fn by(loader: &mut Loader<'_>, block: &Block) -> Option<ImportBy> {
    match (block.body.attribute("id"), block.body.attribute("identity")) {
        (Some(id), None) => Some(ImportBy::Id(id.value.clone())),
        (None, Some(identity)) => Some(ImportBy::Identity(identity.value.clone())),
        (None, None) => {
            loader.out.push(missing("argument", "id", Some(block.head)));
            None
        }
        (Some(id), Some(identity)) => {
            loader.out.push(
                Diagnostic::error("\"id\" and \"identity\" cannot be used together")
                    .at(identity.name.span)
                    .related(id.name.span, "\"id\" is here")
                    .help("Keep one of them."),
            );
            None
        }
    }
}
