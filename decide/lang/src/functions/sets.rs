//! Sets, and what treats lists as sets.

use andon_value::{Elements, Kind, Type, Value, convert, unify};

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    let any_set = || Type::set(Type::Dynamic);
    vec![
        row(
            "setintersection",
            any_set(),
            |call| combine(call, |one, other| one.iter().filter(|it| other.contains(it)).cloned().collect()),
            "The elements that all sets have.",
        )
        .takes("first_set", any_set())
        .takes_rest("other_sets", any_set())
        .foresees(foresight::set),
        row("setproduct", Type::Dynamic, product, "Every combination of one element of each set or list.")
            .takes_rest("sets", Type::Dynamic),
        row(
            "setsubtract",
            any_set(),
            |call| combine(call, |one, other| one.iter().filter(|it| !other.contains(it)).cloned().collect()),
            "The elements that only the first set has.",
        )
        .takes("a", any_set())
        .takes("b", any_set())
        .foresees(foresight::set),
        row("setunion", any_set(), |call| combine(call, union), "The elements that any set has.")
            .takes("first_set", any_set())
            .takes_rest("other_sets", any_set())
            .foresees(|call| {
                // Elements that are not known yet are in the union as much as the others.
                let sets = call.arguments.iter().all(|argument| matches!(argument.kind(), Kind::Set(..)));
                let union = sets.then(|| combine(call, union).ok()).flatten();
                union.unwrap_or_else(|| foresight::set(call))
            }),
    ]
}

fn union(one: &Elements, other: &Elements) -> Elements {
    one.iter().chain(other.iter()).cloned().collect()
}

fn combine(call: &Call<'_>, operation: impl Fn(&Elements, &Elements) -> Elements) -> Result<Value, Fault> {
    let types: Vec<Type> = call.arguments.iter().map(Value::ty).collect();
    let ty = unify(&types).ok_or_else(|| Fault::new("all sets must have elements of one type"))?;
    let mut combined: Option<Elements> = None;
    for argument in &call.arguments {
        let set = convert(argument, &ty).map_err(|error| Fault::new(error.to_string()))?;
        let Kind::Set(_, elements) = set.kind() else { continue };
        combined = Some(match combined {
            None => (**elements).clone(),
            Some(combined) => operation(&combined, elements),
        });
    }
    let combined = combined.ok_or_else(|| Fault::new("at least one set is required"))?;
    Ok(Value::set(ty.element().cloned().unwrap_or(Type::Dynamic), combined.iter().cloned()))
}

/// The most combinations that `setproduct` makes.
const MOST_COMBINATIONS: usize = 1 << 20;

fn product(call: &Call<'_>) -> Result<Value, Fault> {
    if call.arguments.len() < 2 {
        return Err(Fault::new("at least two sets or lists are required"));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    let mut columns = Vec::new();
    let mut all_lists = true;
    for at in 0..call.arguments.len() {
        let argument = call.value(at);
        let elements = call.elements(at)?;
        all_lists &= !matches!(argument.kind(), Kind::Set(..));
        // The elements of one argument become of one type, so that all rows are of one type.
        let types: Vec<Type> = elements.iter().map(|element| element.ty()).collect();
        let ty = match argument.ty().element() {
            Some(element) => element.clone(),
            None => unify(&types).ok_or_else(|| Fault::at(at, "all elements must have the same type"))?,
        };
        let elements: Result<Vec<Value>, _> = elements.into_iter().map(|element| convert(element, &ty)).collect();
        let elements = elements.map_err(|error| Fault::at(at, error.to_string()))?;
        columns.push(ty);
        if rows.len().saturating_mul(elements.len()) > MOST_COMBINATIONS {
            return Err(Fault::new(format!("there are more than {MOST_COMBINATIONS} combinations")));
        }
        rows = rows
            .iter()
            .flat_map(|row| elements.iter().map(|element| [row.as_slice(), std::slice::from_ref(element)].concat()))
            .collect();
    }
    let ty = Type::tuple(columns);
    let rows = rows.into_iter().map(Value::tuple);
    Ok(if all_lists { Value::list(ty, rows) } else { Value::set(ty, rows) })
}
