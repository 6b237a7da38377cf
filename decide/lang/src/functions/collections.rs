//! Lists, tuples, maps and objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_text::{deeper, nearest};
use andon_value::{Bound, Kind, Number, Type, Value, convert, equals, quote, unify};
use unicode_segmentation::UnicodeSegmentation;

use super::{Fault, Function, foresight, row};
use crate::eval::Call;

/// How many numbers `range` gives at most.
const LONGEST_RANGE: usize = 1024;

pub(super) fn table() -> Vec<Function> {
    use Type::{Bool, Dynamic, Number as N, String as S};
    let any_list = || Type::list(Dynamic);
    let strings = || Type::list(S);
    vec![
        row("alltrue", Bool, |call| truths(call, true), "Whether every element is true.")
            .takes("list", Type::list(Bool))
            .unknown_inside(),
        row("anytrue", Bool, |call| truths(call, false), "Whether any element is true.")
            .takes("list", Type::list(Bool))
            .unknown_inside(),
        row("chunklist", Type::list(any_list()), chunk_list, "A list cut into lists of a size.")
            .takes("list", any_list())
            .unknown_inside()
            .marks()
            .takes("size", N)
            .foresees(foresight::chunks),
        row("coalesce", Dynamic, coalesce, "The first argument that is neither null nor the empty string.")
            .takes_rest("vals", Dynamic)
            .nulls()
            .unknowns(),
        row("coalescelist", Dynamic, coalesce_list, "The first list that is not empty.")
            .takes_rest("vals", Dynamic)
            .unknown_inside()
            .marks(),
        row("compact", strings(), compact, "A list of strings without null and empty ones.")
            .takes("list", strings())
            .foresees(foresight::some),
        row("concat", Dynamic, concat, "Lists one after the other.")
            .takes_rest("seqs", Dynamic)
            .unknown_inside()
            .marks()
            .foresees(foresight::concat),
        row("contains", Bool, contains, "Whether a list, set or tuple has a value as an element.")
            .takes("list", Dynamic)
            .unknown_inside()
            .takes("value", Dynamic)
            .unknowns(),
        row("distinct", any_list(), distinct, "A list without repeated elements.")
            .takes("list", any_list())
            .foresees(foresight::distinct),
        row("element", Dynamic, element, "One element of a list; past its end it starts over.")
            .takes("list", Dynamic)
            .unknown_inside()
            .marks()
            .takes("index", N)
            .nullable()
            .foresees(foresight::element),
        row("flatten", Dynamic, flatten, "The elements of lists in lists, in one list.")
            .takes("list", Dynamic)
            .unknown_inside()
            .marks(),
        row("index", N, index, "The place of a value in a list.")
            .takes("list", Dynamic)
            .unknown_inside()
            .takes("value", Dynamic)
            .unknowns()
            .nulls(),
        row("keys", Dynamic, keys, "The keys of a map or object, in order.")
            .takes("inputMap", Dynamic)
            .unknown_inside()
            .marks()
            .foresees(foresight::keys),
        row("length", N, length, "How many elements a collection has, or characters a string.")
            .takes("value", Dynamic)
            .unknowns()
            .marks(),
        row("lookup", Dynamic, lookup, "The entry of a map, or a default where it has none.")
            .takes("inputMap", Dynamic)
            .unknown_inside()
            .marks()
            .takes("key", S)
            .may_take("default", Dynamic)
            .nulls()
            .unknowns()
            .marks()
            .nullable()
            .foresees(foresight::lookup),
        row("matchkeys", any_list(), match_keys, "The elements at whose place another list has one of some values.")
            .takes("values", any_list())
            .takes("keys", any_list())
            .takes("searchset", any_list())
            .foresees(foresight::some),
        row("merge", Dynamic, merge, "The entries of all maps or objects; the last has its way.")
            .takes_rest("maps", Dynamic)
            .nulls()
            .unknown_inside()
            .marks()
            .foresees(foresight::merge),
        row("one", Dynamic, one, "The only element of a list or set, or null where it is empty.")
            .takes("list", Dynamic)
            .unknown_inside()
            .marks()
            .nullable()
            .foresees(foresight::one),
        row("range", Type::list(N), range, "The numbers from a start to before an end, by a step.")
            .takes_rest("params", N),
        row("reverse", Dynamic, reverse, "A list backwards.")
            .takes("list", Dynamic)
            .unknown_inside()
            .marks()
            .foresees(foresight::reverse),
        row("slice", Dynamic, slice, "The elements from a place to before another.")
            .takes("list", Dynamic)
            .unknown_inside()
            .marks()
            .takes("start_index", N)
            .takes("end_index", N)
            .foresees(foresight::some),
        row("sort", strings(), sort, "Strings in order.").takes("list", strings()).foresees(foresight::as_long),
        row("transpose", Type::map(strings()), transpose, "A map of lists with keys and elements swapped.")
            .takes("values", Type::map(strings())),
        row("values", Dynamic, values, "The values of a map or object, in the order of their keys.")
            .takes("mapping", Dynamic)
            .unknown_inside()
            .marks()
            .foresees(foresight::values),
        row("zipmap", Dynamic, zip_map, "A map of the given keys and values.")
            .takes("keys", strings())
            .takes("values", Dynamic)
            .unknown_inside()
            .marks()
            .foresees(foresight::zip_map),
    ]
}

fn truths(call: &Call<'_>, all: bool) -> Result<Value, Fault> {
    let elements = call.elements(0)?;
    // One that decides is enough, whatever the unknown ones are. Null is not true.
    let decides = |element: &&Value| !element.is_unknown() && (element.as_bool() == Some(true)) != all;
    let open = elements.iter().any(|element| element.is_unknown());
    Ok(match elements.iter().any(decides) {
        true => Value::from(!all),
        false if open => Value::unknown(Type::Bool),
        false => Value::from(all),
    })
}

fn chunk_list(call: &Call<'_>) -> Result<Value, Fault> {
    let (list, size) = (call.value(0), call.count(1)?);
    let element = list.ty().element().cloned().unwrap_or(Type::Dynamic);
    let elements: Vec<Value> = call.elements(0)?.into_iter().cloned().collect();
    let size = if size == 0 { elements.len().max(1) } else { size };
    let chunks: Vec<Value> = elements.chunks(size).map(|chunk| Value::list(element.clone(), chunk.to_vec())).collect();
    Ok(Value::list(Type::list(element), chunks).mark(list.marks()))
}

fn coalesce(call: &Call<'_>) -> Result<Value, Fault> {
    let types: Vec<Type> = call.arguments.iter().map(Value::ty).collect();
    // Beside an untyped null, the others need not agree: what comes of them is of its own type.
    let ty = if call.arguments.iter().any(|argument| argument.is_unknown() && argument.ty() == Type::Dynamic) {
        // Beside strings alone, whatever becomes known must become a string.
        let known: Vec<Type> = types.into_iter().filter(|ty| *ty != Type::Dynamic).collect();
        let untyped = call.arguments.iter().any(|argument| argument.is_null() && argument.ty() == Type::Dynamic);
        match unify(&known) {
            Some(Type::String) if !untyped => Some(Type::String),
            _ => return Ok(Value::UNKNOWN),
        }
    } else {
        unify(&types).filter(|_| !types.is_empty())
    };
    let ty = ty.ok_or_else(|| Fault::new("all arguments must have the same type"))?;
    for argument in &call.arguments {
        if argument.is_unknown() {
            let value = convert(argument, &ty).map_err(|error| Fault::new(error.to_string()))?;
            // The empty string does not count either.
            let counts = value.is_never_null() && (ty != Type::String || !value.known_prefix().is_empty());
            return Ok(if counts { value } else { Value::unknown(ty) });
        }
        let value = convert(argument, &ty).map_err(|error| Fault::new(error.to_string()))?;
        if !value.is_null() && (ty != Type::String || value.as_str().is_none_or(|text| !text.is_empty())) {
            return Ok(value);
        }
    }
    Err(Fault::new("every argument is null or the empty string"))
}

fn coalesce_list(call: &Call<'_>) -> Result<Value, Fault> {
    if let Some(at) = call.arguments.iter().position(|argument| argument.as_elements().is_none()) {
        return Err(Fault::at(at, "a list or tuple is required"));
    }
    let full = |argument: &&Value| argument.as_elements().is_some_and(|elements| !elements.is_empty());
    if let Some(first) = call.arguments.iter().find(full) {
        return Ok(first.clone());
    }
    Err(Fault::new("every list is empty"))
}

fn compact(call: &Call<'_>) -> Result<Value, Fault> {
    let full = |element: &&Value| element.as_str().is_some_and(|text| !text.is_empty());
    Ok(Value::list(Type::String, call.elements(0)?.into_iter().filter(full).cloned().collect::<Vec<_>>()))
}

fn concat(call: &Call<'_>) -> Result<Value, Fault> {
    if call.arguments.is_empty() {
        return Err(Fault::new("at least one list is required"));
    }
    let mut elements = Vec::new();
    let mut marks = andon_value::Marks::NONE;
    for (at, argument) in call.arguments.iter().enumerate() {
        let list = argument.as_elements().ok_or_else(|| Fault::at(at, "a list or tuple is required"))?;
        marks = marks.union(argument.marks());
        elements.extend(list.iter().cloned());
    }
    let types: Vec<Type> = call.arguments.iter().map(Value::ty).collect();
    let lists = types.iter().all(|ty| matches!(ty, Type::List(_)));
    let together = match unify(&types) {
        Some(ty @ Type::List(_)) if lists => convert(&Value::tuple(elements.clone()), &ty).ok(),
        _ => None,
    };
    Ok(together.unwrap_or_else(|| Value::tuple(elements)).mark(marks))
}

/// Whether a value is an element, for certain; unknown elements do not come here.
fn is_in<'v>(value: &Value, mut elements: impl Iterator<Item = &'v Value>) -> bool {
    elements.any(|element| equals(element, value).as_bool() == Some(true))
}

fn contains(call: &Call<'_>) -> Result<Value, Fault> {
    // One that is equal for certain is enough; one that may be equal leaves it open.
    let mut answer = Value::from(false);
    for element in call.elements(0)? {
        let equal = equals(element, call.value(1));
        match equal.as_bool() {
            Some(true) => return Ok(equal),
            Some(false) => {}
            None => answer = equal,
        }
    }
    Ok(answer)
}

fn distinct(call: &Call<'_>) -> Result<Value, Fault> {
    let mut seen = BTreeSet::new();
    let kept: Vec<Value> = call.elements(0)?.into_iter().filter(|element| seen.insert(*element)).cloned().collect();
    Ok(Value::list(call.value(0).ty().element().cloned().unwrap_or(Type::Dynamic), kept))
}

fn element(call: &Call<'_>) -> Result<Value, Fault> {
    let list = call.value(0);
    let elements = list.as_elements().ok_or_else(|| Fault::at(0, "a list or tuple is required"))?;
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let at = call.whole(1)?;
    let at = at.checked_rem(length).ok_or_else(|| Fault::at(0, "an empty list has no element"))?;
    let found = usize::try_from(at).ok().and_then(|at| elements.get(at)).cloned();
    let found = found.ok_or_else(|| {
        Fault::at(1, "must not be negative").help("For the last element write `list[length(list) - 1]`.")
    })?;
    Ok(found.mark(list.marks()))
}

fn flatten(call: &Call<'_>) -> Result<Value, Fault> {
    /// `None` where a part is of a type not known yet, or a list of unknown length.
    fn go(value: &Value, out: &mut Vec<Value>, marks: &mut andon_value::Marks) -> Option<()> {
        *marks = marks.union(value.marks());
        for child in value.children() {
            match child.kind() {
                _ if is_unordered(child) => return None,
                Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => deeper(|| go(child, out, marks))?,
                Kind::Unknown(Type::Dynamic | Type::List(_) | Type::Set(_) | Type::Tuple(_), _) => return None,
                _ => out.push(child.clone()),
            }
        }
        Some(())
    }
    call.elements(0)?;
    if is_unordered(call.value(0)) {
        return Ok(Value::UNKNOWN.mark(call.value(0).marks()));
    }
    let (mut out, mut marks) = (Vec::new(), andon_value::Marks::NONE);
    match go(call.value(0), &mut out, &mut marks) {
        Some(()) => Ok(Value::tuple(out).mark(marks)),
        None => Ok(Value::UNKNOWN.mark(marks)),
    }
}

fn index(call: &Call<'_>) -> Result<Value, Fault> {
    let list = call.value(0).as_elements().ok_or_else(|| Fault::at(0, "a list or tuple is required"))?;
    for (at, element) in list.iter().enumerate() {
        match equals(element, call.value(1)).as_bool() {
            Some(true) => return Ok(Value::from(Number::from(at))),
            Some(false) => {}
            // It may be this one.
            None => return Ok(Value::unknown(Type::Number).not_null()),
        }
    }
    Err(Fault::at(1, "the list has no such element"))
}

/// The entries of a map or object.
fn entries<'a>(call: &'a Call<'_>, at: usize) -> Result<&'a Arc<BTreeMap<Arc<str>, Value>>, Fault> {
    call.value(at).as_entries().ok_or_else(|| Fault::at(at, "a map or object is required"))
}

fn keys(call: &Call<'_>) -> Result<Value, Fault> {
    let keys: Vec<Value> = entries(call, 0)?.keys().map(|key| Value::string(key.clone())).collect();
    let map = call.value(0);
    Ok(if matches!(map.kind(), Kind::Map(..)) { Value::list(Type::String, keys) } else { Value::tuple(keys) }
        .mark(map.marks()))
}

fn values(call: &Call<'_>) -> Result<Value, Fault> {
    let values: Vec<Value> = entries(call, 0)?.values().cloned().collect();
    let map = call.value(0);
    Ok(match map.kind() {
        Kind::Map(element, _) => Value::list(element.clone(), values),
        _ => Value::tuple(values),
    }
    .mark(map.marks()))
}

fn length(call: &Call<'_>) -> Result<Value, Fault> {
    let value = call.value(0);
    let count = match value.kind() {
        Kind::Unknown(Type::Tuple(types), _) => types.len(),
        Kind::Unknown(Type::Object { attributes, .. }, _) => attributes.len(),
        Kind::Unknown(Type::Bool | Type::Number, _) | Kind::Bool(_) | Kind::Number(_) => {
            return Err(Fault::at(0, "a collection or a string is required"));
        }
        Kind::Unknown(Type::String, _) => {
            // What follows may join with the last of it, so that one cluster less is certain.
            let known = value.known_prefix().graphemes(true).count();
            return Ok(length_between(known.saturating_sub(1), None).mark(value.marks()));
        }
        Kind::Unknown(..) => {
            let (least, most) = value.length_bounds();
            return Ok(length_between(least, most).mark(value.marks()));
        }
        // Two unknown elements of a set may turn out to be one.
        Kind::Set(_, elements) if elements.len() > 1 && !value.is_wholly_known() => {
            let (least, most) = value.length_bounds();
            return Ok(length_between(least, most).mark(value.marks()));
        }
        Kind::String(text) => text.graphemes(true).count(),
        _ => value.children().count(),
    };
    Ok(Value::from(Number::from(count)).mark(value.marks()))
}

/// A length that is only known to be between two.
fn length_between(least: usize, most: Option<usize>) -> Value {
    let bound = |length: usize| Bound::inclusive(Number::from(length));
    Value::unknown(Type::Number).between(Some(bound(least)), most.map(bound))
}

fn lookup(call: &Call<'_>) -> Result<Value, Fault> {
    let (map, key) = (call.value(0), call.text(1));
    let entries = entries(call, 0)?;
    // Whether it is there or not, the answer tells something about the map.
    let marks = map.marks().union(call.value(1).marks());
    if let Some(found) = entries.get(key) {
        return Ok(found.clone().mark(marks));
    }
    if call.arguments.len() < 3 {
        let fault = Fault::at(1, "the map has no such key and no default is given");
        return Err(match nearest(key, entries.keys().map(|name| &**name)) {
            Some(near) => fault.help(format!("Did you mean {}?", quote(near))),
            None => fault,
        });
    }
    let default = call.value(2);
    let ty = match map.kind() {
        Kind::Map(element, _) => element,
        _ => &Type::Dynamic,
    };
    let default = convert(default, ty).map_err(|error| Fault::at(2, error.to_string()))?;
    Ok(default.mark(marks))
}

fn match_keys(call: &Call<'_>) -> Result<Value, Fault> {
    let (values, keys, search) = (call.elements(0)?, call.elements(1)?, call.elements(2)?);
    if values.len() != keys.len() {
        return Err(Fault::at(1, "there must be as many keys as values"));
    }
    let ty = unify(&[call.value(1).ty(), call.value(2).ty()])
        .ok_or_else(|| Fault::at(2, "what is searched for must be of the type of the keys"))?;
    let ty = ty.element().cloned().unwrap_or(Type::Dynamic);
    let as_agreed = |value: &Value| convert(value, &ty).unwrap_or_else(|_| value.clone());
    let search: Vec<Value> = search.into_iter().map(as_agreed).collect();
    let kept = values.into_iter().zip(keys).filter(|(_, key)| is_in(&as_agreed(key), search.iter()));
    let element = call.value(0).ty().element().cloned().unwrap_or(Type::Dynamic);
    Ok(Value::list(element, kept.map(|(value, _)| value.clone()).collect::<Vec<_>>()))
}

fn merge(call: &Call<'_>) -> Result<Value, Fault> {
    let mut merged: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut marks = andon_value::Marks::NONE;
    let mut types = BTreeSet::new();
    for (at, argument) in call.arguments.iter().enumerate() {
        marks = marks.union(argument.marks());
        if argument.is_null() && matches!(argument.ty(), Type::Dynamic | Type::Map(_) | Type::Object { .. }) {
            continue;
        }
        let entries = entries(call, at)?;
        types.insert(argument.ty());
        merged.extend(entries.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let result = match types.pop_first() {
        Some(Type::Map(element)) if types.is_empty() => Value::map((*element).clone(), merged),
        _ => Value::object(merged),
    };
    Ok(result.mark(marks))
}

fn one(call: &Call<'_>) -> Result<Value, Fault> {
    let list = call.value(0);
    let mut elements = call.elements(0)?.into_iter();
    let null = || Value::null(list.ty().element().cloned().unwrap_or(Type::Dynamic));
    let first = elements.next().map_or_else(null, Value::clone);
    match elements.next() {
        None => Ok(first.mark(list.marks())),
        Some(_) => Err(Fault::at(0, "there is more than one element")),
    }
}

fn range(call: &Call<'_>) -> Result<Value, Fault> {
    let zero = Number::ZERO;
    let (start, end, step) = match call.arguments.len() {
        1 => (&zero, call.number(0), None),
        2 => (call.number(0), call.number(1), None),
        3 => (call.number(0), call.number(1), Some(call.number(2).clone())),
        _ => return Err(Fault::new("from one to three numbers are required")),
    };
    let down = end < start;
    let step = step.unwrap_or_else(|| Number::from(if down { -1i64 } else { 1 }));
    if step == zero || (step < zero) != down && start != end {
        return Err(Fault::at(2, "this step does not lead from the start to the end"));
    }
    let mut numbers = Vec::new();
    let mut at = start.clone();
    while if down { at > *end } else { at < *end } {
        if numbers.len() == LONGEST_RANGE {
            return Err(Fault::new(format!("it would give more than {LONGEST_RANGE} numbers")));
        }
        numbers.push(Value::from(at.clone()));
        at = at.add(&step).ok_or_else(|| Fault::new("a number is out of range"))?;
    }
    Ok(Value::list(Type::Number, numbers))
}

/// Whether the order of a set hangs on what is not known yet.
fn is_unordered(value: &Value) -> bool {
    matches!(value.kind(), Kind::Set(..)) && !value.is_wholly_known()
}

/// The same kind of sequence with other elements, which are some of its own: of a set, a list.
fn like(sequence: &Value, elements: Vec<Value>) -> Value {
    match sequence.kind() {
        Kind::List(element, _) | Kind::Set(element, _) => Value::list(element.clone(), elements),
        _ => Value::tuple(elements),
    }
    .mark(sequence.marks())
}

fn reverse(call: &Call<'_>) -> Result<Value, Fault> {
    if is_unordered(call.value(0)) {
        return Ok(foresight::reverse(call));
    }
    let mut elements: Vec<Value> = call.elements(0)?.into_iter().cloned().collect();
    elements.reverse();
    Ok(like(call.value(0), elements))
}

fn slice(call: &Call<'_>) -> Result<Value, Fault> {
    let list = call.value(0).as_elements().ok_or_else(|| Fault::at(0, "a list or tuple is required"))?;
    let (start, end) = (call.count(1)?, call.count(2)?);
    if end > list.len() {
        return Err(Fault::at(2, format!("past the end: the list has {} elements", list.len())));
    }
    let part = list.get(start..end).ok_or_else(|| Fault::at(1, "the start is after the end"))?;
    Ok(like(call.value(0), part.to_vec()))
}

fn sort(call: &Call<'_>) -> Result<Value, Fault> {
    let mut texts: Vec<Value> = call.texts(0)?.into_iter().map(|text| Value::string(text.clone())).collect();
    texts.sort();
    Ok(Value::list(Type::String, texts))
}

fn transpose(call: &Call<'_>) -> Result<Value, Fault> {
    let mut turned: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (key, list) in entries(call, 0)?.iter() {
        for element in list.elements().into_iter().flatten() {
            let text = element.as_str().ok_or_else(|| Fault::at(0, "an element of a list is null"))?;
            turned.entry(text.clone()).or_default().push(Value::string(key.clone()));
        }
    }
    let lists = turned.into_iter().map(|(key, list)| (key, Value::list(Type::String, list)));
    Ok(Value::map(Type::list(Type::String), lists))
}

fn zip_map(call: &Call<'_>) -> Result<Value, Fault> {
    let (keys, values) = (call.texts(0)?, call.value(1));
    let elements = values.as_elements().ok_or_else(|| Fault::at(1, "a list or tuple is required"))?;
    if keys.len() != elements.len() {
        return Err(Fault::new(format!("there are {} keys and {} values", keys.len(), elements.len())));
    }
    let entries = keys.into_iter().cloned().zip(elements.iter().cloned());
    Ok(match values.kind() {
        Kind::List(element, _) => Value::map(element.clone(), entries),
        _ => Value::object(entries),
    }
    .mark(values.marks()))
}
