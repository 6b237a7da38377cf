//! Whether what came of a plan is what was planned, with only the unknown filled in.

use andon_schema::{Attribute, Block, NestedBlock, Nesting};
use andon_value::{Kind, PathStep, Type, Value};

use super::equal::{equal, unrefined};
use super::shape::{Member, Shape, attribute_has, element, part};
use super::{Fault, Faults, shown};

/// Judges a later word on an object against an earlier one: the plan at the time of the apply against the plan that was
/// agreed to, or the object that an apply made against its plan. What was known stays; what was unknown may become
/// anything of its type and range.
pub fn check_completion(schema: &Block, planned: &Value, actual: &Value) -> Vec<Fault> {
    let mut faults = Faults::default();
    block(schema, planned, actual, &mut faults);
    faults.found
}

fn block(schema: &Block, planned: &Value, actual: &Value, faults: &mut Faults) {
    match (planned.is_null(), actual.is_null()) {
        (true, true) => return,
        (true, false) => return faults.add("was planned to be absent, but is there now"),
        (false, true) => return faults.add("was planned to be there, but is absent now"),
        (false, false) => {}
    }
    let shape = Shape::from(schema);
    for (name, schema) in shape.attributes {
        let [planned, actual] = [planned, actual].map(|it| part(it, name, Member::Attribute(schema)));
        faults.within(PathStep::Attribute(name.as_str().into()), |faults| attribute(schema, &planned, &actual, faults));
    }
    for (name, nested) in shape.blocks {
        let [planned, actual] = [planned, actual].map(|it| part(it, name, Member::Block(nested)));
        faults.within(PathStep::Attribute(name.as_str().into()), |faults| blocks(nested, &planned, &actual, faults));
    }
}

fn attribute(schema: &Attribute, planned: &Value, actual: &Value, faults: &mut Faults) {
    let secret = attribute_has(schema, |attribute| attribute.sensitive) || planned.is_secret() || actual.is_secret();
    let mut own = Faults { path: faults.path.clone(), found: Vec::new() };
    value(&schema.ty, planned, actual, secret, &mut own);
    match secret && !own.found.is_empty() {
        // Which part of a secret differs tells of it.
        true => faults.add("was planned as another value than it has now (sensitive value)"),
        false => faults.found.append(&mut own.found),
    }
}

fn value(ty: &Type, planned: &Value, actual: &Value, secret: bool, faults: &mut Faults) {
    // Of a value whose type is left open, and is open in the plan too, nothing was said.
    let open = matches!(planned.kind(), Kind::Null(Type::Dynamic) | Kind::Unknown(Type::Dynamic, _));
    if open && *ty == Type::Dynamic {
        return;
    }
    let now = |actual: &Value| shown(actual, secret);
    match (planned.kind(), actual.kind()) {
        (Kind::Unknown(..), _) if planned.allows(actual) => {}
        (Kind::Unknown(_, known), Kind::Null(_)) if known.not_null => {
            faults.add("was planned as something other than null, but is null now");
        }
        (Kind::Unknown(own, _), _) if matches_type(own, actual) => {
            faults.add(format!("is {} now, which is outside of what was planned", now(actual)));
        }
        (Kind::Unknown(own, _), _) => {
            faults.add(format!("was planned to be {}, but is {} now", own.in_words(), actual.ty().in_words()));
        }
        (Kind::Null(_), Kind::Null(_)) => {}
        (Kind::Null(_), _) => faults.add(format!("was planned as null, but is {} now", now(actual))),
        (_, Kind::Null(_)) => faults.add(format!("was planned as {}, but is null now", now(planned))),
        (_, Kind::Unknown(..)) => faults.add(format!("was planned as {}, but is unknown now", now(planned))),
        (Kind::List(..), Kind::List(..)) | (Kind::Map(..), Kind::Map(..)) | (Kind::Tuple(_), Kind::Tuple(_)) => {
            composite(ty, planned, actual, secret, faults);
        }
        (Kind::Object(_), Kind::Object(_)) => composite(ty, planned, actual, secret, faults),
        (Kind::Set(..), Kind::Set(..)) => {
            let inner = ty.element().unwrap_or(&Type::Dynamic);
            set(planned, actual, secret, faults, |planned, actual, faults| {
                value(inner, planned, actual, secret, faults);
            });
        }
        _ if equal(planned, actual) => {}
        _ => faults.add(format!("was planned as {}, but is {} now", now(planned), now(actual))),
    }
}

fn matches_type(ty: &Type, value: &Value) -> bool {
    super::conforms(value, ty).is_ok()
}

/// Lists, maps, tuples and objects: the same keys, and each element as it was planned.
fn composite(ty: &Type, planned: &Value, actual: &Value, secret: bool, faults: &mut Faults) {
    for (step, planned) in planned.steps() {
        let inner = match (ty, &step) {
            (Type::Tuple(types), PathStep::Index(index)) => types.get(*index),
            (ty, PathStep::Attribute(name)) => ty.attribute(name),
            (ty, _) => ty.element(),
        };
        let actual = element(actual, &step);
        faults.within(step, |faults| match actual {
            Some(actual) => value(inner.unwrap_or(&Type::Dynamic), planned, actual, secret, faults),
            None => faults.add("was planned, but is not there now"),
        });
    }
    appeared(planned, actual, faults);
}

fn appeared(planned: &Value, actual: &Value, faults: &mut Faults) {
    for (step, _) in actual.steps() {
        if element(planned, &step).is_none() {
            faults.within(step, |faults| faults.add("was not planned, but is there now"));
        }
    }
}

/// Each planned element became one of those that are there, and each of those was one that was planned. Unknown elements
/// may turn out to be the same, so there may be fewer, but never more.
fn set(
    planned: &Value,
    actual: &Value,
    secret: bool,
    faults: &mut Faults,
    judge: impl Fn(&Value, &Value, &mut Faults),
) {
    let bare = |set: &Value| set.children().map(|element| (unrefined(element), element.clone())).collect::<Vec<_>>();
    let (mut planned_elements, mut actual_elements) = (bare(planned), bare(actual));
    planned_elements.sort();
    actual_elements.sort();
    let fits = |planned: &Value, actual: &Value| {
        let mut faults = Faults::default();
        andon_text::deeper(|| judge(planned, actual, &mut faults));
        faults.found.is_empty()
    };
    let has =
        |elements: &[(Value, Value)], element: &Value| elements.binary_search_by(|(bare, _)| bare.cmp(element)).is_ok();
    // What is in both became itself; most elements of most sets are.
    let vanished = planned_elements.iter().find(|(bare, planned)| {
        !has(&actual_elements, bare) && !actual_elements.iter().any(|(_, actual)| fits(planned, actual))
    });
    if let Some((_, planned)) = vanished {
        return faults.add(format!("was planned with {}, but has no such element now", shown(planned, secret)));
    }
    let new = actual_elements.iter().find(|(bare, actual)| {
        !has(&planned_elements, bare) && !planned_elements.iter().any(|(_, planned)| fits(planned, actual))
    });
    if let Some((_, actual)) = new {
        return faults.add(format!("has {} now, which was not planned", shown(actual, secret)));
    }
    let (before, after) = (planned_elements.len(), actual_elements.len());
    if before < after {
        faults.add(format!("was planned with {before} elements, but has {after} now"));
    }
}

fn blocks(nested: &NestedBlock, planned: &Value, actual: &Value, faults: &mut Faults) {
    // An unknown number of blocks may become any number.
    if planned.is_unknown() && (actual.is_null() || !matches!(nested.nesting, Nesting::Single | Nesting::Group)) {
        return;
    }
    if matches!(nested.nesting, Nesting::Single | Nesting::Group) {
        return block(&nested.block, planned, actual, faults);
    }
    // Legacy providers take null and no block for the same.
    if planned.is_null() || actual.is_null() || actual.is_unknown() {
        return;
    }
    match nested.nesting {
        Nesting::Set => {
            let secret = Shape::from(&nested.block).any(|attribute| attribute.sensitive)
                || planned.is_secret()
                || actual.is_secret();
            set(planned, actual, secret, faults, |planned, actual, faults| {
                block(&nested.block, planned, actual, faults);
            });
        }
        _ => {
            if planned.as_elements().is_some() && planned.length_bounds() != actual.length_bounds() {
                let (before, after) = (planned.length_bounds().0, actual.length_bounds().0);
                return faults.add(format!("was planned with {before} blocks, but has {after} now"));
            }
            for (step, planned) in planned.steps() {
                let actual = element(actual, &step);
                faults.within(step, |faults| match actual {
                    Some(actual) => block(&nested.block, planned, actual, faults),
                    None => faults.add("was planned, but is not there now"),
                });
            }
            appeared(planned, actual, faults);
        }
    }
}
