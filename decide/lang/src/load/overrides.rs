//! Override files (<https://developer.hashicorp.com/terraform/language/files/override>): `override.tf` and
//! `*_override.tf` are laid over the other files of their module, argument by argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Attribute, Block, Body, ExprKind, Item};
use andon_text::{Diagnostic, Diagnostics};

use crate::literal;
use crate::shape::{STACK_FILE, suggest, twice, with_article};

pub(super) fn is_override(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.strip_suffix(".json").unwrap_or(file);
    stem == "override.tf" || stem.ends_with("_override.tf")
}

/// What tells the blocks of a module apart: the kind, the labels, and the alias of a provider.
type Key = (Arc<str>, Vec<Arc<str>>, Option<Arc<str>>);

/// The blocks of a module, with the override files laid over them.
pub(super) struct Base {
    blocks: Vec<Block>,
    index: BTreeMap<Key, usize>,
    locals: BTreeMap<Arc<str>, usize>,
}

impl Base {
    pub fn new(blocks: Vec<Block>) -> Base {
        let (mut index, mut locals) = (BTreeMap::new(), BTreeMap::new());
        for (at, block) in blocks.iter().enumerate() {
            index.entry(key(block)).or_insert(at);
            if &*block.kind.name == "locals" {
                for attribute in block.body.attributes() {
                    locals.entry(attribute.name.name.clone()).or_insert(at);
                }
            }
        }
        Base { blocks, index, locals }
    }

    pub fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// Lays the blocks of an override file over those of the module.
    pub fn apply(&mut self, over: &Body, out: &mut Diagnostics) {
        let mut backend: Option<&Block> = None;
        for block in over.blocks().filter(|block| STACK_FILE.has_block(&block.kind.name)) {
            match &*block.kind.name {
                "locals" => self.locals(block, out),
                "terraform" => self.settings(block, &mut backend, out),
                "removed" => out.push(
                    Diagnostic::warning("a removed block in an override file does nothing")
                        .at(block.head)
                        .help("Move it to a file whose name does not end in \"override.tf\"."),
                ),
                "moved" | "import" | "check" => out.push(
                    Diagnostic::error(format!("{} cannot be in an override file", with_article(&block.kind.name)))
                        .at(block.head)
                        .help("Move it to a file whose name does not end in \"override.tf\"."),
                ),
                _ => match self.index.get(&key(block)).and_then(|at| self.blocks.get_mut(*at)) {
                    Some(base) => {
                        refuse(&block.body, out);
                        merge(base, block, out);
                    }
                    // A provider is configured by nothing, where it is by no block.
                    None if &*block.kind.name == "provider" && key(block).2.is_none() => {
                        self.blocks.push(block.clone())
                    }
                    None => self.missing(block, out),
                },
            }
        }
    }

    fn missing(&self, block: &Block, out: &mut Diagnostics) {
        let diagnostic = Diagnostic::error("nothing to override")
            .at(block.head)
            .label("no other file of the module defines this")
            .help("Define it in a file whose name does not end in \"override.tf\".");
        let name = block.labels.last().map_or("", |label| &label.name);
        let same_kind = self.index.keys().filter(|(kind, labels, _)| {
            *kind == block.kind.name && labels.iter().rev().skip(1).eq(labels_of(block).iter().rev().skip(1))
        });
        out.push(suggest(diagnostic, name, same_kind.filter_map(|(_, labels, _)| labels.last().map(|name| &**name))));
    }

    fn locals(&mut self, over: &Block, out: &mut Diagnostics) {
        for attribute in over.body.attributes() {
            let name = &attribute.name;
            match self.locals.get(&name.name).and_then(|at| self.blocks.get_mut(*at)) {
                Some(base) => replace(Arc::make_mut(&mut base.body.items), attribute),
                None => {
                    let diagnostic = Diagnostic::error("nothing to override").at(name.span);
                    let diagnostic = diagnostic.label("no other file of the module defines this local");
                    out.push(suggest(diagnostic, &name.name, self.locals.keys().map(|name| &**name)));
                }
            }
        }
    }

    /// Settings are replaced one by one, required providers each by itself, and a backend replaces whatever says where
    /// the state is.
    fn settings<'b>(&mut self, over: &'b Block, backend: &mut Option<&'b Block>, out: &mut Diagnostics) {
        let terraform = |block: &Block| &*block.kind.name == "terraform" && block.labels.is_empty();
        let replaces = |new: &Item, old: &Item| match (new, old) {
            (Item::Attribute(new), Item::Attribute(old)) => new.name.name == old.name.name,
            (Item::Block(new), Item::Block(old)) => match &*new.kind.name {
                "backend" | "cloud" => ["backend", "cloud"].contains(&&*old.kind.name),
                _ => new.kind.name == old.kind.name && labels_of(new) == labels_of(old),
            },
            _ => false,
        };
        for item in over.body.items.iter() {
            if let Item::Block(block) = item
                && ["backend", "cloud"].contains(&&*block.kind.name)
                && let Some(first) = backend.replace(block)
            {
                out.push(twice("block", &block.kind.name, block.head, first.head));
            }
            let mut place = None;
            for (at, base) in self.blocks.iter_mut().enumerate().filter(|(_, block)| terraform(block)) {
                place.get_or_insert(at);
                let items = Arc::make_mut(&mut base.body.items);
                match item {
                    Item::Block(required) if &*required.kind.name == "required_providers" => {
                        for old in items.iter_mut() {
                            if let Item::Block(old) = old
                                && old.kind.name == required.kind.name
                            {
                                let own = Arc::make_mut(&mut old.body.items);
                                own.retain(|own| !required.body.items.iter().any(|new| replaces(new, own)));
                                place = Some(at);
                            }
                        }
                    }
                    _ => items.retain(|old| !replaces(item, old)),
                }
            }
            match place.and_then(|at| self.blocks.get_mut(at)) {
                Some(base) => add(Arc::make_mut(&mut base.body.items), item),
                None => {
                    let body = Body { items: Arc::new(vec![item.clone()]), span: over.body.span };
                    self.blocks.push(Block { body, ..over.clone() });
                }
            }
        }
    }
}

/// Adds a setting: required providers go where those of the module are.
fn add(items: &mut Vec<Item>, item: &Item) {
    if let Item::Block(required) = item
        && &*required.kind.name == "required_providers"
    {
        for own in items.iter_mut() {
            if let Item::Block(own) = own
                && own.kind.name == required.kind.name
            {
                Arc::make_mut(&mut own.body.items).extend(required.body.items.iter().cloned());
                return;
            }
        }
    }
    items.push(item.clone());
}

fn key(block: &Block) -> Key {
    let alias = match &*block.kind.name {
        "provider" => block.body.attribute("alias").and_then(|alias| literal::string(&alias.value)),
        _ => None,
    };
    (block.kind.name.clone(), labels_of(block), alias)
}

fn labels_of(block: &Block) -> Vec<Arc<str>> {
    block.labels.iter().map(|label| label.name.clone()).collect()
}

/// Refuses what may not be overridden.
fn refuse(over: &Body, out: &mut Diagnostics) {
    if let Some(attribute) = over.attribute("depends_on")
        && !matches!(&attribute.value.kind, ExprKind::Tuple(elements) if elements.is_empty())
    {
        let diagnostic = Diagnostic::error("\"depends_on\" cannot be overridden").at(attribute.name.span);
        out.push(diagnostic.help("Write it where the block is defined."));
    }
    let conditions = ["validation", "precondition", "postcondition"];
    let lifecycle =
        over.blocks().filter(|block| &*block.kind.name == "lifecycle").flat_map(|block| block.body.blocks());
    for block in over.blocks().chain(lifecycle).filter(|block| conditions.contains(&&*block.kind.name)) {
        let diagnostic = Diagnostic::error(format!("a {} cannot be overridden", block.kind.name)).at(block.head);
        out.push(diagnostic.help("Write it where the block is defined."));
    }
}

/// Arguments are replaced one by one; nested blocks of a kind are replaced all together, written out or `dynamic`, but
/// `lifecycle` is merged.
fn merge(base: &mut Block, over: &Block, out: &mut Diagnostics) {
    let items = Arc::make_mut(&mut base.body.items);
    let made = |block: &Block| match (&*block.kind.name, block.labels.first()) {
        ("dynamic", Some(label)) => label.name.clone(),
        _ => block.kind.name.clone(),
    };
    let replaced: BTreeSet<Arc<str>> = over.body.blocks().map(made).filter(|kind| &**kind != "lifecycle").collect();
    items.retain(|item| !matches!(item, Item::Block(block) if replaced.contains(&made(block))));
    for item in over.body.items.iter() {
        match item {
            Item::Attribute(attribute) => repeated(items, attribute, out),
            Item::Block(block) if &*block.kind.name == "lifecycle" => {
                let own = items.iter_mut().find_map(|item| match item {
                    Item::Block(own) if own.kind.name == block.kind.name => Some(own),
                    _ => None,
                });
                match own {
                    Some(own) => merge(own, block, out),
                    None => items.push(item.clone()),
                }
            }
            Item::Block(_) => items.push(item.clone()),
        }
    }
}

/// An attribute of an override. Where the block is repeated by the other of `count` and `for_each`, `count` wins.
fn repeated(items: &mut Vec<Item>, attribute: &Attribute, out: &mut Diagnostics) {
    let is = |item: &Item, name: &str| matches!(item, Item::Attribute(other) if &*other.name.name == name);
    match &*attribute.name.name {
        "count" => items.retain(|item| !is(item, "for_each")),
        "for_each" if items.iter().any(|item| is(item, "count")) => {
            let diagnostic = Diagnostic::warning("\"for_each\" does not override \"count\"").at(attribute.name.span);
            out.push(diagnostic.help("Use one of the two in both files."));
            return;
        }
        _ => {}
    }
    replace(items, attribute);
}

fn replace(items: &mut Vec<Item>, attribute: &Attribute) {
    let name = &attribute.name.name;
    match items.iter_mut().find(|item| matches!(item, Item::Attribute(other) if other.name.name == *name)) {
        Some(item) => *item = Item::Attribute(attribute.clone()),
        None => items.push(Item::Attribute(attribute.clone())),
    }
}
