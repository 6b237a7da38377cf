//! Override files (<https://developer.hashicorp.com/terraform/language/files/override>): `override.tf` and
//! `*_override.tf` are laid over the other files of their module, argument by argument.

use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Item};
use andon_text::{Diagnostic, Diagnostics};

pub(super) fn is_override(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    file == "override.tf" || file.ends_with("_override.tf")
}

/// Lays the blocks of an override file over those of a module.
pub(super) fn apply(base: &mut [Block], over: &Body, out: &mut Diagnostics) {
    for block in over.blocks() {
        let same = |other: &&mut Block| other.kind.name == block.kind.name && labels(other).eq(labels(block));
        let found = match &*block.kind.name {
            "locals" => base.iter_mut().filter(same).find(|other| shares_a_name(other, block)),
            _ => base.iter_mut().find(same),
        };
        match found {
            Some(other) => merge(other, block),
            None => out.push(
                Diagnostic::error("nothing to override")
                    .at(block.head)
                    .label("no other file of the module defines this")
                    .help("Define it in a file whose name does not end in \"override.tf\"."),
            ),
        }
    }
}

fn labels(block: &Block) -> impl Iterator<Item = &str> {
    block.labels.iter().map(|label| &*label.name)
}

fn shares_a_name(base: &Block, over: &Block) -> bool {
    over.body.attributes().any(|attribute| base.body.attribute(&attribute.name.name).is_some())
}

/// Arguments are replaced one by one; nested blocks of a kind are replaced all together, but `lifecycle` is merged.
fn merge(base: &mut Block, over: &Block) {
    let items = Arc::make_mut(&mut base.body.items);
    for item in over.body.items.iter() {
        match item {
            Item::Attribute(attribute) => {
                let name = &attribute.name.name;
                items.retain(|item| !matches!(item, Item::Attribute(other) if other.name.name == *name));
                items.push(item.clone());
            }
            Item::Block(block) if &*block.kind.name == "lifecycle" => {
                let own = items.iter_mut().find_map(|item| match item {
                    Item::Block(own) if own.kind.name == block.kind.name => Some(own),
                    _ => None,
                });
                match own {
                    Some(own) => merge(own, block),
                    None => items.push(item.clone()),
                }
            }
            Item::Block(_) => {}
        }
    }
    let replaced = |kind: &str| kind != "lifecycle" && over.body.blocks().any(|block| &*block.kind.name == kind);
    items.retain(|item| !matches!(item, Item::Block(block) if replaced(&block.kind.name)));
    let blocks = over.body.blocks().filter(|block| &*block.kind.name != "lifecycle").cloned();
    items.extend(blocks.map(Item::Block));
}
