//! Arguments that may be written as blocks. Older providers describe as an argument, a list or a set of objects, what
//! their users write as blocks, so that `name = []` can say that there is none
//! (<https://developer.hashicorp.com/terraform/language/attr-as-blocks>).

use std::borrow::Cow;
use std::collections::BTreeSet;

use andon_hcl::ast::Body;
use andon_schema::{Attribute, Block as Schema, NestedBlock, Nesting};
use andon_value::Type;

/// The schema that a body is meant for: the one given, with those arguments as blocks that the body writes so.
pub(super) fn effective<'s>(schema: &'s Schema, body: &Body) -> Cow<'s, Schema> {
    let written: BTreeSet<&str> = body
        .blocks()
        .map(|block| match (&*block.kind.name, block.labels.first()) {
            ("dynamic", Some(kind)) => &*kind.name,
            (kind, _) => kind,
        })
        .filter(|name| schema.attributes.contains_key(*name) && body.attribute(name).is_none())
        .collect();
    if written.is_empty() || !schema.attributes.values().all(is_legacy) {
        return Cow::Borrowed(schema);
    }
    let mut schema = Cow::Borrowed(schema);
    for name in written {
        let Some(nested) = schema.attributes.get(name).and_then(as_blocks) else { continue };
        let changed = schema.to_mut();
        changed.attributes.remove(name);
        changed.blocks.insert(name.to_owned(), nested);
    }
    schema
}

/// Whether an attribute could be of a provider from the time before arguments had attributes of their own.
fn is_legacy(attribute: &Attribute) -> bool {
    let plain = |ty: &Type| !matches!(ty, Type::Tuple(_) | Type::Object { .. });
    let flat = match &attribute.ty {
        Type::Map(element) => plain(element),
        ty => plain(ty),
    };
    flat && attribute.nested.is_none()
}

fn as_blocks(attribute: &Attribute) -> Option<NestedBlock> {
    let nesting = match &attribute.ty {
        Type::List(_) => Nesting::List,
        Type::Set(_) => Nesting::Set,
        _ => return None,
    };
    let Type::Object { attributes, .. } = attribute.ty.element()? else { return None };
    let inner = |ty: &Type| Attribute { sensitive: attribute.sensitive, ..Attribute::optional(ty.clone(), "") };
    let attributes = attributes.iter().map(|(name, ty)| (name.to_string(), inner(ty))).collect();
    let block = Schema { attributes, ..Schema::default() };
    Some(NestedBlock { nesting, block, min_items: u32::from(attribute.required), max_items: 0 })
}
