use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_value::{Kind, Path, PathStep, Type, Value};

/// What an object may hold, be it of a block or of an attribute whose objects the provider describes.
#[derive(Clone, Copy)]
pub(super) struct Shape<'s> {
    pub(super) attributes: &'s BTreeMap<String, Attribute>,
    pub(super) blocks: &'s BTreeMap<String, NestedBlock>,
}

/// What stands under one name of a [`Shape`].
#[derive(Clone, Copy)]
pub(super) enum Member<'s> {
    Attribute(&'s Attribute),
    Block(&'s NestedBlock),
}

static NO_BLOCKS: BTreeMap<String, NestedBlock> = BTreeMap::new();

impl<'s> From<&'s Block> for Shape<'s> {
    fn from(block: &'s Block) -> Shape<'s> {
        Shape { attributes: &block.attributes, blocks: &block.blocks }
    }
}

impl<'s> From<&'s NestedAttributes> for Shape<'s> {
    fn from(nested: &'s NestedAttributes) -> Shape<'s> {
        Shape { attributes: &nested.attributes, blocks: &NO_BLOCKS }
    }
}

impl<'s> Shape<'s> {
    pub(super) fn member(self, name: &str) -> Option<Member<'s>> {
        let attribute = self.attributes.get(name).map(Member::Attribute);
        attribute.or_else(|| self.blocks.get(name).map(Member::Block))
    }

    /// The attribute that a path ends at. Steps into collections count for nothing, as all elements have one shape.
    pub(super) fn attribute_at(self, path: &Path) -> Option<&'s Attribute> {
        let names = path.steps().iter().filter_map(|step| match step {
            PathStep::Attribute(name) => Some(name),
            _ => None,
        });
        let mut shape = Some(self);
        let mut found = None;
        for name in names {
            (shape, found) = match shape?.member(name)? {
                Member::Attribute(attribute) => (attribute.nested.as_deref().map(Shape::from), Some(attribute)),
                Member::Block(nested) => (Some(Shape::from(&nested.block)), None),
            };
        }
        found
    }

    /// Whether anything in it, however deep, has a property.
    pub(super) fn any(self, has: fn(&Attribute) -> bool) -> bool {
        let attributes = self.attributes.values();
        attributes.into_iter().any(|attribute| attribute_has(attribute, has))
            || self.blocks.values().any(|nested| andon_text::deeper(|| Shape::from(&nested.block).any(has)))
    }
}

/// Whether an attribute, or any in it, has a property.
pub(super) fn attribute_has(attribute: &Attribute, has: fn(&Attribute) -> bool) -> bool {
    has(attribute)
        || attribute.nested.as_deref().is_some_and(|nested| andon_text::deeper(|| Shape::from(nested).any(has)))
}

impl Member<'_> {
    /// The type of its value.
    pub(super) fn ty(self) -> Type {
        match self {
            Member::Attribute(attribute) => attribute.ty.without_optional(),
            Member::Block(nested) => nested.implied_type(),
        }
    }
}

/// One part of an object: of a null all parts are null, of an unknown one unknown. Marks of the whole are on it.
pub(super) fn part(value: &Value, name: &str, member: Member) -> Value {
    match value.kind() {
        Kind::Unknown(..) => Value::unknown(member.ty()).mark(value.marks()),
        _ => match value.get(name) {
            Some(part) => part.clone().mark(value.marks()),
            None => Value::null(member.ty()).mark(value.marks()),
        },
    }
}

/// What becomes of each value in a collection of objects of one shape; the collection stays of its kind.
pub(super) fn map_elements(value: &Value, mut change: impl FnMut(&PathStep, &Value) -> Value) -> Value {
    let mut step = |step: PathStep, element: &Value| andon_text::deeper(|| change(&step, element));
    let changed = match value.kind() {
        Kind::List(ty, elements) => {
            let changed: Vec<Value> =
                elements.iter().enumerate().map(|(index, element)| step(PathStep::Index(index), element)).collect();
            Value::list(ty.clone(), changed)
        }
        Kind::Tuple(elements) => {
            Value::tuple(elements.iter().enumerate().map(|(index, element)| step(PathStep::Index(index), element)))
        }
        Kind::Set(ty, elements) => {
            let changed = elements.iter().map(|element| step(PathStep::Element(element.clone()), element));
            Value::set(ty.clone(), changed)
        }
        Kind::Map(ty, entries) => {
            let changed = entries.iter().map(|(key, entry)| (key.clone(), step(PathStep::Key(key.clone()), entry)));
            Value::map(ty.clone(), changed)
        }
        Kind::Object(entries) => {
            let changed =
                entries.iter().map(|(key, entry)| (key.clone(), step(PathStep::Attribute(key.clone()), entry)));
            Value::object(changed)
        }
        _ => return value.clone(),
    };
    changed.mark(value.marks())
}

/// What becomes of each member of an object.
pub(super) fn map_members(
    shape: Shape,
    value: &Value,
    mut change: impl FnMut(&Arc<str>, Member, &Value) -> Value,
) -> Value {
    let Kind::Object(entries) = value.kind() else { return value.clone() };
    let changed = entries.iter().map(|(name, part)| match shape.member(name) {
        Some(member) => (name.clone(), andon_text::deeper(|| change(name, member, part))),
        None => (name.clone(), part.clone()),
    });
    Value::object(changed).mark(value.marks())
}

/// What becomes of each object of a nested attribute or of a kind of block.
pub(super) fn map_objects(nesting: Nesting, value: &Value, mut change: impl FnMut(&Value) -> Value) -> Value {
    match nesting {
        Nesting::Single | Nesting::Group => andon_text::deeper(|| change(value)),
        Nesting::List | Nesting::Set | Nesting::Map => map_elements(value, |_, element| change(element)),
    }
}

/// The object of a body in which nothing is given: attributes are null, and there are no blocks.
pub(crate) fn empty(block: &Block) -> Value {
    let attributes =
        block.attributes.iter().map(|(name, attribute)| (name, Value::null(attribute.ty.without_optional())));
    let blocks = block.blocks.iter().map(|(name, nested)| (name, andon_text::deeper(|| no_blocks(nested))));
    Value::object(attributes.chain(blocks).map(|(name, value)| (name.as_str(), value)))
}

/// The value of a kind of block of which there is none.
pub(super) fn no_blocks(nested: &NestedBlock) -> Value {
    let inner = nested.block.implied_type();
    match nested.nesting {
        Nesting::Single => Value::null(inner),
        Nesting::Group => empty(&nested.block),
        Nesting::List | Nesting::Set if inner.has_dynamic() => Value::tuple([]),
        Nesting::List => Value::list(inner, []),
        Nesting::Set => Value::set(inner, []),
        Nesting::Map if inner.has_dynamic() => Value::object::<&str>([]),
        Nesting::Map => Value::map::<&str>(inner, []),
    }
}

/// The element of a collection, or the entry of an object that stands for a map, that a step leads to.
pub(super) fn element<'v>(value: &'v Value, step: &PathStep) -> Option<&'v Value> {
    match (value.kind(), step) {
        (Kind::List(_, elements) | Kind::Tuple(elements), PathStep::Index(index)) => elements.get(*index),
        (Kind::Map(_, entries) | Kind::Object(entries), PathStep::Key(name) | PathStep::Attribute(name)) => {
            entries.get(name)
        }
        (Kind::Set(_, elements), PathStep::Element(element)) => elements.get(element),
        _ => None,
    }
}
