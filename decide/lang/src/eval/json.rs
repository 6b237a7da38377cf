//! Bodies from JSON, once the schema says what their names are.

use std::sync::Arc;

use andon_hcl::ast::{Block, Body, Item};
use andon_hcl::json::{Meaning, Names, Strings, Unknown, resolve};
use andon_schema::{Block as Schema, Nesting};
use andon_text::{Diagnostics, deeper};

/// The names of one body; what is in its blocks is looked at when they are reached.
struct NamesOf<'a>(&'a Schema);

/// The names of a `dynamic` block.
struct Dynamic;

impl Names for NamesOf<'_> {
    fn meaning(&self, name: &str) -> Meaning<'_> {
        match self.0.blocks.get(name) {
            Some(nested) => Meaning::Block { labels: usize::from(nested.nesting == Nesting::Map), inside: &Unknown },
            None if name == "dynamic" && !self.0.attributes.contains_key(name) => {
                Meaning::Block { labels: 1, inside: &Dynamic }
            }
            None => Meaning::Argument(Strings::Template),
        }
    }
}

impl Names for Dynamic {
    fn meaning(&self, name: &str) -> Meaning<'_> {
        match name {
            "content" => Meaning::Block { labels: 0, inside: &Unknown },
            "iterator" => Meaning::Argument(Strings::Expression),
            _ => Meaning::Argument(Strings::Template),
        }
    }
}

/// A body whose names are those of a schema: what JSON left open is an argument or blocks, in nested blocks too. A body
/// of native syntax comes back as it is.
pub fn resolved(body: &Body, schema: &Schema) -> (Body, Diagnostics) {
    let open = |item: &Item| match item {
        Item::Attribute(attribute) => attribute.json.is_some(),
        // What JSON's `dynamic` makes is open, though the block itself is known before; no other block is.
        Item::Block(block) => &*block.kind.name == "dynamic" && has_open(&block.body),
    };
    if !body.items.iter().any(open) {
        return (body.clone(), Diagnostics::new());
    }
    let (body, mut out) = resolve(body, &NamesOf(schema));
    let items = body.items.iter().map(|item| match item {
        Item::Block(block) => Item::Block(nested(block, schema, &mut out)),
        attribute => attribute.clone(),
    });
    (Body { items: Arc::new(items.collect()), span: body.span }, out)
}

fn nested(block: &Block, schema: &Schema, out: &mut Diagnostics) -> Block {
    let inner = |body: &Body, schema: &Schema, out: &mut Diagnostics| {
        let (body, problems) = deeper(|| resolved(body, schema));
        out.extend(problems);
        body
    };
    if let Some(nested) = schema.blocks.get(&*block.kind.name) {
        return Block { body: inner(&block.body, &nested.block, out), ..block.clone() };
    }
    let made = block.labels.first().filter(|_| &*block.kind.name == "dynamic");
    let Some(nested) = made.and_then(|kind| schema.blocks.get(&*kind.name)) else { return block.clone() };
    let items = block.body.items.iter().map(|item| match item {
        Item::Block(content) if &*content.kind.name == "content" => {
            Item::Block(Block { body: inner(&content.body, &nested.block, out), ..content.clone() })
        }
        other => other.clone(),
    });
    let body = Body { items: Arc::new(items.collect()), span: block.body.span };
    Block { body, ..block.clone() }
}

fn has_open(body: &Body) -> bool {
    body.items.iter().any(|item| match item {
        Item::Attribute(attribute) => attribute.json.is_some(),
        Item::Block(block) => deeper(|| has_open(&block.body)),
    })
}
