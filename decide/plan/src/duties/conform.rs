use andon_value::{Kind, Path, PathStep, Type, Value};

use super::{Fault, Faults};

/// Whether a value is of a type, in which `any` stands for whatever the value has there. A null without a type of its
/// own, and an unknown without one, are of any type. The first part that is not, else.
pub fn conforms(value: &Value, ty: &Type) -> Result<(), Fault> {
    let mut faults = Faults::default();
    judge(value, ty, &mut faults);
    faults.found.into_iter().next().map_or(Ok(()), Err)
}

/// All parts of a value that are not of its type.
pub(super) fn misfits(value: &Value, ty: &Type, faults: &mut Faults) {
    judge(value, ty, faults);
}

fn judge(value: &Value, ty: &Type, faults: &mut Faults) {
    let elements = |faults: &mut Faults, own: &Type, element: &Type| {
        if suits(own, element) {
            for (step, child) in value.steps() {
                // An element is of the collection's own type, which may say more than the one asked for.
                faults.within(step, |faults| judge(child, own, faults));
            }
        } else {
            misfit(value, ty, faults);
        }
    };
    match (value.kind(), ty) {
        (_, Type::Dynamic) | (Kind::Null(Type::Dynamic), _) | (Kind::Unknown(Type::Dynamic, _), _) => {}
        (Kind::Null(own), _) | (Kind::Unknown(own, _), _) if suits(own, ty) => {}
        (Kind::Bool(_), Type::Bool) | (Kind::Number(_), Type::Number) | (Kind::String(_), Type::String) => {}
        (Kind::List(own, _), Type::List(element))
        | (Kind::Set(own, _), Type::Set(element))
        | (Kind::Map(own, _), Type::Map(element)) => elements(faults, own, element),
        (Kind::Tuple(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            for (index, (element, ty)) in elements.iter().zip(types.iter()).enumerate() {
                faults.within(PathStep::Index(index), |faults| judge(element, ty, faults));
            }
        }
        (Kind::Object(entries), Type::Object { attributes, .. }) => {
            for (name, ty) in attributes.iter() {
                faults.within(PathStep::Attribute(name.clone()), |faults| match entries.get(name) {
                    Some(value) => judge(value, ty, faults),
                    None => faults.add("is missing"),
                });
            }
            for name in entries.keys().filter(|name| !attributes.contains_key(*name)) {
                faults.within(PathStep::Attribute(name.clone()), |faults| faults.add("is not in the schema"));
            }
        }
        _ => misfit(value, ty, faults),
    }
}

fn misfit(value: &Value, ty: &Type, faults: &mut Faults) {
    let (own, wanted) = (value.ty(), ty.in_words());
    let (own, wanted) = match own.in_words() {
        words if words == wanted => (own.to_string(), ty.to_string()),
        words => (words, wanted),
    };
    faults.add(format!("must be {wanted}, but is {own}"));
}

/// Whether a value of one type is of another.
fn suits(own: &Type, wanted: &Type) -> bool {
    andon_text::deeper(|| match (own, wanted) {
        (_, Type::Dynamic) => true,
        (Type::List(own), Type::List(wanted))
        | (Type::Set(own), Type::Set(wanted))
        | (Type::Map(own), Type::Map(wanted)) => suits(own, wanted),
        (Type::Tuple(own), Type::Tuple(wanted)) => {
            own.len() == wanted.len() && own.iter().zip(wanted.iter()).all(|(own, wanted)| suits(own, wanted))
        }
        (Type::Object { attributes: own, .. }, Type::Object { attributes: wanted, .. }) => {
            own.keys().eq(wanted.keys()) && own.values().zip(wanted.values()).all(|(own, wanted)| suits(own, wanted))
        }
        (own, wanted) => own == wanted,
    })
}

/// The paths of all parts that are unknown.
pub(super) fn unknown_parts(value: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    if value.is_wholly_known() {
        return found;
    }
    value.walk(&mut |path, value| {
        if value.is_unknown() {
            found.push(path.clone());
        }
    });
    found
}
