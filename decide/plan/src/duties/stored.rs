//! What of an answer is stored.

use andon_schema::{Attribute, Block, Nesting};
use andon_text::deeper;
use andon_value::{Kind, Path, PathStep, Value};

use super::completion::check_completion;
use super::conform::{misfits, unknown_parts};
use super::shape::{Member, Shape, attribute_has, empty, map_members, map_objects, no_blocks, part};
use super::{Fault, Faults};

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What to store: wholly known and without write-only values. `None` where the answer is not of the schema's type,
    /// so that nothing of it can be.
    pub value: Option<Value>,
    /// What is wrong with the answer; it is stored all the same.
    pub faults: Vec<Fault>,
    /// What would be wrong with it, but is not held against a provider that answers with the legacy type system.
    pub tolerated: Vec<Fault>,
}

/// Judges the object that an apply gave. `planned` is what was planned of it: null for a delete, and `None` where the
/// provider told of errors, as what it gives then may be unfinished.
pub fn check_applied(schema: &Block, planned: Option<&Value>, found: &Value, legacy: bool) -> Stored {
    let mut stored = check_read(schema, found);
    let (Some(value), Some(planned)) = (&stored.value, planned) else { return stored };
    if planned.is_null() != found.is_null() {
        let what = match planned.is_null() {
            true => "is still there after its deletion",
            false => "is gone after the provider made or changed it",
        };
        stored.faults.push(Fault::new(&Path::new(), what));
        return stored;
    }
    if stored.faults.is_empty() {
        let broken = check_completion(schema, planned, value);
        if legacy { stored.tolerated = broken } else { stored.faults = broken }
    }
    stored
}

/// Judges an object as a provider read it, or data: it is of the schema's type and wholly known, and gives nothing that
/// is write-only.
pub fn check_read(schema: &Block, found: &Value) -> Stored {
    let mut faults = Faults::default();
    misfits(found, &schema.implied_type(), &mut faults);
    if !faults.found.is_empty() {
        return Stored { value: None, faults: faults.found, tolerated: Vec::new() };
    }
    write_only_given(schema, found, &mut faults);
    let mut value = normalised(schema, &without_write_only(schema, found));
    let unknown = unknown_parts(&value);
    if !unknown.is_empty() {
        faults.found.extend(unknown.iter().map(|path| Fault::new(path, "is still unknown, and is stored as null")));
        value = value.map_deep(&mut |value| match value.kind() {
            Kind::Unknown(ty, _) => Value::null(ty.clone()).mark(value.marks()),
            _ => value,
        });
    }
    Stored { value: Some(value), faults: faults.found, tolerated: Vec::new() }
}

/// The object with its blocks as a configuration has them, which answers in the legacy type system may not be: where
/// there are no blocks is an empty list or set, not null, and no object of blocks is unknown as a whole.
pub fn normalised(schema: &Block, value: &Value) -> Value {
    map_members(Shape::from(schema), value, |_, member, value| match member {
        Member::Block(nested) if !nested.block.implied_type().has_dynamic() => {
            if value.is_null() && nested.nesting != Nesting::Map {
                return no_blocks(nested).mark(value.marks());
            }
            if value.is_unknown() {
                let stub = unknown_in(&nested.block);
                let inner = nested.block.implied_type();
                let stub = match nested.nesting {
                    Nesting::Single | Nesting::Group => stub,
                    Nesting::List => Value::list(inner, [stub]),
                    Nesting::Set => Value::set(inner, [stub]),
                    Nesting::Map => return value.clone(),
                };
                return stub.mark(value.marks());
            }
            map_objects(nested.nesting, value, |value| normalised(&nested.block, value))
        }
        _ => value.clone(),
    })
}

/// An object of a block that is there, of which nothing else is known.
fn unknown_in(schema: &Block) -> Value {
    map_members(Shape::from(schema), &empty(schema), |_, member, value| match member {
        Member::Attribute(attribute) => Value::unknown(attribute.ty.without_optional()),
        Member::Block(nested) => {
            let stub = || deeper(|| unknown_in(&nested.block));
            match nested.nesting {
                Nesting::Single | Nesting::Group => stub(),
                Nesting::List => Value::list(nested.block.implied_type(), [stub()]),
                Nesting::Set => Value::set(nested.block.implied_type(), [stub()]),
                Nesting::Map => value.clone(),
            }
        }
    })
}

/// The value with null for all that is write-only: what may be stored or shown of it.
pub fn without_write_only(schema: &Block, value: &Value) -> Value {
    fn clear(shape: Shape, value: &Value) -> Value {
        if !shape.any(is_write_only) {
            return value.clone();
        }
        map_members(shape, value, |_, member, value| match member {
            Member::Attribute(attribute) if attribute.write_only => Value::null(attribute.ty.without_optional()),
            Member::Attribute(Attribute { nested: Some(nested), .. }) => {
                map_objects(nested.nesting, value, |value| clear(Shape::from(&**nested), value))
            }
            Member::Attribute(_) => value.clone(),
            Member::Block(nested) => {
                map_objects(nested.nesting, value, |value| clear(Shape::from(&nested.block), value))
            }
        })
    }
    clear(Shape::from(schema), value)
}

fn is_write_only(attribute: &Attribute) -> bool {
    attribute.write_only
}

/// Says of every write-only attribute that has a value that it must have none.
pub(super) fn write_only_given(schema: &Block, value: &Value, faults: &mut Faults) {
    fn look(shape: Shape, value: &Value, faults: &mut Faults) {
        if value.is_null() || value.is_unknown() || !shape.any(is_write_only) {
            return;
        }
        for (name, attribute) in
            shape.attributes.iter().filter(|(_, attribute)| attribute_has(attribute, is_write_only))
        {
            let value = part(value, name, Member::Attribute(attribute));
            faults.within(PathStep::Attribute(name.as_str().into()), |faults| {
                if attribute.write_only {
                    if !value.is_null() {
                        faults.add("is write-only, so that the provider must answer with null");
                    }
                } else if let Some(nested) = attribute.nested.as_deref() {
                    each(nested.nesting, Shape::from(nested), &value, faults);
                }
            });
        }
        for (name, nested) in shape.blocks {
            let value = part(value, name, Member::Block(nested));
            faults.within(PathStep::Attribute(name.as_str().into()), |faults| {
                each(nested.nesting, Shape::from(&nested.block), &value, faults);
            });
        }
    }
    fn each(nesting: Nesting, shape: Shape, value: &Value, faults: &mut Faults) {
        match nesting {
            Nesting::Single | Nesting::Group => look(shape, value, faults),
            Nesting::List | Nesting::Set | Nesting::Map => {
                for (step, element) in value.steps() {
                    faults.within(step, |faults| look(shape, element, faults));
                }
            }
        }
    }
    look(Shape::from(schema), value, faults);
}
