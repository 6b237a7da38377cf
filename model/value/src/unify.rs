use std::collections::BTreeMap;
use std::sync::Arc;

use andon_text::deeper;

use crate::{Type, convert_type};

/// The one type that values of all the given types can be converted to, as a conditional and the elements of a list
/// need it; `None` where there is none. Beside `any`, the type of an untyped null, only bools, numbers and strings keep
/// their type: with anything else, or where the others do not agree, it makes all of them `any`, which changes none.
pub fn unify(types: &[Type]) -> Option<Type> {
    let agreed = deeper(|| unify_known(types));
    if !types.contains(&Type::Dynamic) {
        return agreed;
    }
    match agreed {
        Some(ty) if ty.is_primitive() => Some(ty),
        None if types.iter().any(|ty| matches!(ty, Type::Object { .. }))
            && types.iter().any(|ty| matches!(ty, Type::Tuple(_))) =>
        {
            None
        }
        _ => Some(Type::Dynamic),
    }
}

fn unify_known(types: &[Type]) -> Option<Type> {
    let mut distinct: Vec<&Type> = types.iter().filter(|ty| **ty != Type::Dynamic).collect();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct.as_slice() {
        [] => return Some(Type::Dynamic),
        [only] => return Some((*only).clone()),
        _ => {}
    }
    let all = |kind: fn(&Type) -> bool| distinct.iter().all(|ty| kind(ty));
    if all(|ty| matches!(ty, Type::Object { .. })) {
        // With the same attributes they agree attribute by attribute, or not at all.
        match same_attributes(&distinct) {
            true => unify_objects(&distinct),
            false => Some(Type::map(unify_elements(&distinct)?)),
        }
    } else if all(|ty| matches!(ty, Type::Object { .. } | Type::Map(_))) {
        Some(Type::map(unify_elements(&distinct)?))
    } else if all(|ty| matches!(ty, Type::Tuple(_))) {
        match same_length(&distinct) {
            true => unify_tuples(&distinct),
            false => Some(Type::list(unify_elements(&distinct)?)),
        }
    } else if all(|ty| matches!(ty, Type::Tuple(_) | Type::List(_))) {
        Some(Type::list(unify_elements(&distinct)?))
    } else if all(|ty| matches!(ty, Type::Set(_))) {
        Some(Type::set(unify_elements(&distinct)?))
    } else {
        // One of them that all others can become, the most telling first.
        distinct.sort_by_key(|ty| preference(ty));
        let reached = |target: &Type| distinct.iter().all(|ty| convert_type(ty, target).is_ok());
        distinct.iter().find(|target| reached(target)).map(|target| (*target).clone())
    }
}

fn same_attributes(types: &[&Type]) -> bool {
    types.windows(2).all(|pair| match pair {
        [Type::Object { attributes: one, .. }, Type::Object { attributes: other, .. }] => one.keys().eq(other.keys()),
        _ => false,
    })
}

fn same_length(types: &[&Type]) -> bool {
    types.windows(2).all(|pair| matches!(pair, [Type::Tuple(one), Type::Tuple(other)] if one.len() == other.len()))
}

fn preference(ty: &Type) -> u8 {
    match ty {
        Type::String => 0,
        Type::Number => 1,
        Type::Bool => 2,
        Type::List(_) => 3,
        Type::Set(_) => 4,
        Type::Map(_) => 5,
        Type::Tuple(_) => 6,
        Type::Object { .. } => 7,
        Type::Dynamic => 8,
    }
}

/// Objects with the same attributes agree attribute by attribute.
fn unify_objects(types: &[&Type]) -> Option<Type> {
    let mut columns: BTreeMap<Arc<str>, Vec<Type>> = BTreeMap::new();
    for ty in types {
        let Type::Object { attributes, .. } = ty else { return None };
        for (name, attribute) in attributes.iter() {
            columns.entry(name.clone()).or_default().push(attribute.clone());
        }
    }
    let unified: Option<Vec<_>> = columns
        .into_iter()
        .map(|(name, column)| (column.len() == types.len()).then(|| unify(&column)).flatten().map(|ty| (name, ty)))
        .collect();
    Some(Type::object(unified?))
}

/// Tuples of one length agree place by place.
fn unify_tuples(types: &[&Type]) -> Option<Type> {
    let rows: Option<Vec<&[Type]>> = types
        .iter()
        .map(|ty| match ty {
            Type::Tuple(elements) => Some(&**elements),
            _ => None,
        })
        .collect();
    let rows = rows?;
    let length = rows.first()?.len();
    if rows.iter().any(|row| row.len() != length) {
        return None;
    }
    let column = |at: usize| rows.iter().filter_map(|row| row.get(at).cloned()).collect::<Vec<_>>();
    let unified: Option<Vec<Type>> = (0..length).map(|at| unify(&column(at))).collect();
    Some(Type::tuple(unified?))
}

/// The type that everything in all of them agrees on.
fn unify_elements(types: &[&Type]) -> Option<Type> {
    let mut elements = Vec::new();
    for ty in types {
        match ty {
            Type::List(element) | Type::Set(element) | Type::Map(element) => elements.push((**element).clone()),
            Type::Tuple(inner) => elements.extend(inner.iter().cloned()),
            Type::Object { attributes, .. } => elements.extend(attributes.values().cloned()),
            _ => return None,
        }
    }
    unify(&elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_agree_as_in_conditionals_and_lists() {
        let object = |attributes: &[(&'static str, Type)]| Type::object(attributes.iter().cloned());
        use Type::{Bool, Dynamic, Number, String};
        for (types, expected) in [
            (vec![], Some(Dynamic)),
            (vec![Dynamic, Number], Some(Number)),
            (vec![Dynamic, Type::list(Number)], Some(Dynamic)),
            (vec![Dynamic, String, Type::tuple([])], Some(Dynamic)),
            (vec![Dynamic, object(&[]), Type::tuple([])], None),
            (vec![Type::tuple([Number, String]), Type::tuple([Bool, Number])], None),
            (vec![Number, String], Some(String)),
            (vec![Bool, Number], None),
            (vec![Bool, Number, String], Some(String)),
            (vec![String, Type::tuple([])], None),
            (vec![Type::list(Number), Type::list(String)], Some(Type::list(String))),
            (vec![Type::list(Number), Type::tuple([String, Bool])], Some(Type::list(String))),
            (vec![Type::tuple([Number]), Type::tuple([String])], Some(Type::tuple([String]))),
            (vec![Type::tuple([Number]), Type::tuple([String, String])], Some(Type::list(String))),
            (vec![Type::tuple([Number, Bool]), Type::tuple([Number])], None),
            (vec![Type::list(Number), Type::set(String)], Some(Type::list(Number))),
            (vec![Type::set(Number), Type::tuple([String])], Some(Type::set(Number))),
            (vec![Type::set(Number), Type::set(String)], Some(Type::set(String))),
            (vec![object(&[("a", Number)]), object(&[("a", String)])], Some(object(&[("a", String)]))),
            (vec![object(&[("a", Number)]), object(&[("b", String)])], Some(Type::map(String))),
            (vec![object(&[]), object(&[("b", Bool)])], Some(Type::map(Bool))),
            (vec![object(&[("a", Number)]), Type::map(String)], Some(Type::map(String))),
            (vec![object(&[("a", Dynamic)]), object(&[("a", Number)])], Some(object(&[("a", Number)]))),
            (vec![object(&[]), Type::tuple([])], None),
        ] {
            assert_eq!(unify(&types), expected, "{types:?}");
        }
    }
}
