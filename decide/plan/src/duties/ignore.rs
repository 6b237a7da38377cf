//! `ignore_changes`: what of a configuration is kept as the object has it.

use std::sync::Arc;

use andon_schema::Block;
use andon_value::{Kind, Path, PathStep, Type, Value};

use super::equal::same;
use super::shape::{Member, Shape, element, map_elements, map_members, map_objects, part};

/// The configuration in which what the paths lead to is as the object has it, and those of the paths where the two
/// differed. A path may end in a key of a map that only one of the two has: it is added, or taken away.
///
/// Applied again to what a provider with the legacy type system plans, it takes back what that changes all the same.
pub fn ignore_changes(schema: &Block, config: &Value, prior: &Value, paths: &[Path]) -> (Value, Vec<Path>) {
    if config.is_null() || prior.is_null() {
        return (config.clone(), Vec::new());
    }
    let shape = Shape::from(schema);
    let mut differing: Vec<Path> = Vec::new();
    let kept = paths.iter().fold(config.clone(), |kept, path| {
        let (changed, differs) = keep(&kept, prior, path.steps());
        let left_out = || {
            let computed = shape.attribute_at(path).is_some_and(|attribute| attribute.computed);
            computed && config.at(path).is_none_or(Value::is_null)
        };
        if differs && !differing.contains(path) && !left_out() {
            differing.push(path.clone());
        }
        changed
    });
    (kept, differing)
}

/// The configuration that the object is as it is, and the paths of the arguments in which the true one differed: what
/// only the provider gives is left to it.
pub fn ignore_all(schema: &Block, config: &Value, prior: &Value) -> (Value, Vec<Path>) {
    if config.is_null() || prior.is_null() {
        return (config.clone(), Vec::new());
    }
    let shape = Shape::from(schema);
    let kept = given(shape, prior);
    let members = config.as_entries().into_iter().flat_map(|entries| entries.iter());
    let differing = members.filter(|(name, config)| {
        let Some(member) = shape.member(name) else { return false };
        let computed = matches!(member, Member::Attribute(attribute) if attribute.computed);
        let left_out = computed && config.is_null();
        !left_out && !same(config, &part(&kept, name, member))
    });
    let differing = differing.map(|(name, _)| Path::from_iter([PathStep::Attribute(name.clone())])).collect();
    (kept, differing)
}

/// The object without what only the provider gives.
fn given(shape: Shape, value: &Value) -> Value {
    map_members(shape, value, |_, member, value| match member {
        Member::Attribute(attribute) if attribute.computed && !attribute.optional => {
            Value::null(attribute.ty.without_optional())
        }
        Member::Attribute(attribute) => match attribute.nested.as_deref() {
            Some(nested) => map_objects(nested.nesting, value, |value| given(Shape::from(nested), value)),
            None => value.clone(),
        },
        Member::Block(nested) => map_objects(nested.nesting, value, |value| given(Shape::from(&nested.block), value)),
    })
}

/// The value with the part at the end of a way as `prior` has it, and whether it differed there. Where the way leads
/// nowhere in one of the two, nothing is kept, but for the last key of a map. A last key of anything else keeps all of
/// it, as it does in Terraform.
fn keep(config: &Value, prior: &Value, way: &[PathStep]) -> (Value, bool) {
    let Some((step, rest)) = way.split_first() else {
        return (prior.clone(), !same(config, prior));
    };
    if let (PathStep::Key(key), []) = (step, rest) {
        return match map_of(config, prior) {
            Some(ty) => keep_key(config, prior, key, ty),
            None => (prior.clone(), !same(config, prior)),
        };
    }
    let mut differed = false;
    let kept = map_elements(config, |at, config| {
        let found = (at == step).then(|| element(prior, at)).flatten();
        let Some(prior) = found else { return config.clone() };
        let (kept, differs) = keep(config, prior, rest);
        differed = differs;
        kept
    });
    (kept, differed)
}

/// One key of a map is kept as it is in `prior`, or kept out. Of a map that is not known yet no key can be.
fn keep_key(config: &Value, prior: &Value, key: &Arc<str>, ty: Type) -> (Value, bool) {
    if config.is_unknown() {
        return (config.clone(), false);
    }
    let (old, new) = (prior.get(key), config.get(key));
    let differs = match (old, new) {
        (Some(old), Some(new)) => !same(old, new),
        (old, new) => old.is_some() || new.is_some(),
    };
    if !differs {
        return (config.clone(), false);
    }
    let mut entries = config.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
    match old {
        Some(old) => drop(entries.insert(key.clone(), old.clone())),
        None => drop(entries.remove(key)),
    }
    (Value::map(ty, entries).mark(config.marks()), true)
}

/// The element type where both are maps, or one is and the other is null.
fn map_of(one: &Value, other: &Value) -> Option<Type> {
    let element = |value: &Value| match value.kind() {
        Kind::Map(ty, _) => Some(ty.clone()),
        Kind::Null(Type::Map(ty)) | Kind::Unknown(Type::Map(ty), _) => Some((**ty).clone()),
        _ => None,
    };
    match (element(one), element(other)) {
        (Some(ty), Some(_)) => Some(ty),
        (Some(ty), None) if other.is_null() => Some(ty),
        (None, Some(ty)) if one.is_null() => Some(ty),
        _ => None,
    }
}
