//! What core proposes to a provider as the new state of an object: the configuration, and where that leaves a value to
//! the provider, the value that there is.

use andon_schema::{Attribute, Block, NestedBlock, Nesting};
use andon_text::deeper;
use andon_value::{Kind, PathStep, Type, Value};

use super::equal::equal;
use super::shape::{Member, Shape, element, empty, map_elements, map_members, part};

/// The new state to propose, given the object as it is (null where there is none) and the configuration.
pub fn proposed(schema: &Block, prior: &Value, config: &Value) -> Value {
    if prior.is_null() && config.is_null() {
        return prior.clone();
    }
    block(schema, prior, config)
}

/// What is known of data, or of anything else that is made of its configuration only later: the configuration, and
/// unknown wherever the provider decides.
pub fn planned_unknown(schema: &Block, config: &Value) -> Value {
    block(schema, &Value::unknown(schema.implied_type()), config)
}

fn block(schema: &Block, prior: &Value, config: &Value) -> Value {
    if config.is_null() || config.is_unknown() {
        return if prior.is_null() { empty(schema) } else { prior.clone() };
    }
    object(Shape::from(schema), prior, config)
}

fn object(shape: Shape, prior: &Value, config: &Value) -> Value {
    map_members(shape, config, |name, member, config| {
        let prior = part(prior, name, member);
        match member {
            Member::Attribute(schema) => attribute(schema, &prior, config),
            Member::Block(nested) => blocks(nested, &prior, config),
        }
    })
}

fn attribute(schema: &Attribute, prior: &Value, config: &Value) -> Value {
    if schema.computed && config.is_null() {
        return if came_from_config(schema, prior) { config.clone() } else { prior.clone() };
    }
    let Some(nested) = schema.nested.as_deref() else { return config.clone() };
    if config.is_null() || config.is_unknown() {
        return config.clone();
    }
    let shape = Shape::from(nested);
    let inner = |prior: &Value, config: &Value| match config.kind() {
        Kind::Object(_) => object(shape, prior, config),
        _ => config.clone(),
    };
    match nested.nesting {
        Nesting::Single | Nesting::Group => inner(prior, config),
        nesting => collection(shape, nesting, prior, config, &inner),
    }
}

fn blocks(nested: &NestedBlock, prior: &Value, config: &Value) -> Value {
    if config.is_unknown() || config.is_null() && nested.nesting != Nesting::Group {
        return config.clone();
    }
    let inner = |prior: &Value, config: &Value| block(&nested.block, prior, config);
    match nested.nesting {
        Nesting::Single | Nesting::Group => deeper(|| inner(prior, config)),
        nesting => collection(Shape::from(&nested.block), nesting, prior, config, &inner),
    }
}

/// Each object of the configuration with the object that it was: the one in the same place, or of a set one that could
/// have come from it.
fn collection(
    shape: Shape,
    nesting: Nesting,
    prior: &Value,
    config: &Value,
    inner: &dyn Fn(&Value, &Value) -> Value,
) -> Value {
    let mut unused: Vec<&Value> = if nesting == Nesting::Set { prior.children().collect() } else { Vec::new() };
    map_elements(config, |step, config| {
        if prior.is_unknown() {
            return inner(&Value::unknown(config.ty()), config);
        }
        if let PathStep::Element(_) = step {
            let found = unused.iter().position(|prior| could_come_from(shape, prior, config));
            let prior = found.map(|index| unused.remove(index));
            return inner(prior.unwrap_or(&Value::null(Type::Dynamic)), config);
        }
        match element(prior, step) {
            Some(prior) => inner(prior, config),
            None => config.clone(),
        }
    })
}

/// Whether a value that the configuration leaves out now must have come from it before: something in it is of an
/// attribute that a provider cannot give.
fn came_from_config(schema: &Attribute, prior: &Value) -> bool {
    let Some(nested) = schema.nested.as_deref().filter(|_| schema.optional) else { return false };
    let shape = Shape::from(nested);
    if !shape.any(|attribute| !attribute.computed) {
        return false;
    }
    let mut found = false;
    prior.walk(&mut |path, value| {
        if !found && !value.is_null() {
            found = shape.attribute_at(path).is_some_and(|attribute| !attribute.computed);
        }
    });
    found
}

/// Whether an object could be what a provider made of a configuration: they differ only where the provider gives what
/// the configuration leaves out.
fn could_come_from(shape: Shape, prior: &Value, config: &Value) -> bool {
    if equal(prior, config) {
        return true;
    }
    let Kind::Object(entries) = prior.kind() else { return true };
    if config.is_null() {
        return false;
    }
    entries.iter().all(|(name, prior)| {
        let Some(member) = shape.member(name) else { return false };
        let config = part(config, name, member);
        if equal(prior, &config) {
            return true;
        }
        let (nesting, inner) = match member {
            Member::Attribute(schema) => match schema.nested.as_deref() {
                Some(nested) => (nested.nesting, Shape::from(nested)),
                None => return schema.computed && config.is_null(),
            },
            Member::Block(nested) => (nested.nesting, Shape::from(&nested.block)),
        };
        match nesting {
            Nesting::Single | Nesting::Group => deeper(|| could_come_from(inner, prior, &config)),
            // Which element was which cannot be told.
            Nesting::Set => false,
            Nesting::List | Nesting::Map => prior.steps().all(|(step, prior)| {
                element(&config, &step).is_some_and(|config| deeper(|| could_come_from(inner, prior, config)))
            }),
        }
    })
}
