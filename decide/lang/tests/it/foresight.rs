//! What is said before everything is known holds once it is: an unknown result allows the known one, and an error
//! stays one. And no mark is lost on the way. For every function and every operator.

use andon_lang::FileSet;
use andon_value::{Bound, Marks, Type, Value, convert};

use crate::answers::{OPERATORS, POOL, calls};
use crate::expressions::{Values, value_of};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn value(text: &str) -> Value {
    value_of(text, &scope(&[])).expect("a value")
}

fn scope(values: &[Value]) -> Values {
    Values { values: NAMES.into_iter().zip(values.iter().cloned()).collect(), files: FileSet::new() }
}

/// Unknown values that may turn out to be this one, less and less of which is known.
fn before(known: &Value) -> Vec<Value> {
    let ty = known.ty();
    let mut before = vec![Value::UNKNOWN, Value::unknown(ty.clone())];
    if known.is_null() {
        return before;
    }
    before.push(Value::unknown(ty.clone()).not_null());
    match &ty {
        Type::String => before.push(Value::unknown(ty).with_prefix(known.known_prefix())),
        Type::Number => {
            let number = known.as_number().expect("a number");
            let around = |by: i64| number.add(&by.into()).map(Bound::inclusive);
            before.push(Value::unknown(ty.clone()).between(around(-1), around(1)));
            before.push(Value::unknown(ty).between(around(0), None));
        }
        Type::List(_) | Type::Set(_) | Type::Map(_) => {
            let (least, most) = known.length_bounds();
            before.push(Value::unknown(ty.clone()).with_length(least, most.map(|most| most + 1)));
            before.push(Value::unknown(ty).with_length(least, most));
        }
        _ => {}
    }
    // Unknown inside.
    let mut changed = false;
    before.push(known.map_deep(&mut |part| {
        if changed || !part.ty().is_primitive() || part.is_null() {
            return part;
        }
        changed = true;
        Value::unknown(part.ty())
    }));
    before
}

fn becomes(foreseen: &Value, known: &Value) -> bool {
    convert(foreseen, &known.ty()).is_ok_and(|foreseen| foreseen.allows(known))
}

/// Checks an expression over `arguments` with each of them unknown in every way.
fn check(text: &str, arguments: &[Value], wrong: &mut Vec<String>) {
    let known = value_of(text, &scope(arguments));
    for at in 0..arguments.len() {
        for unknown in before(&arguments[at]) {
            assert!(unknown.allows(&arguments[at]), "{unknown:?} is for {:?}", arguments[at]);
            let mut arguments = arguments.to_vec();
            arguments[at] = unknown.clone();
            match (value_of(text, &scope(&arguments)), &known) {
                // As in Terraform, a side that is not taken changes nothing before its type is known: only then is the
                // other one converted.
                (Ok(foreseen), Ok(known)) if text.contains('?') && becomes(&foreseen, known) => {}
                (Ok(foreseen), Ok(known)) if !foreseen.allows(known) => {
                    wrong.push(format!("{text} with {arguments:?}\n  foreseen {foreseen:?}\n  came to  {known:?}"));
                }
                (Err(error), Ok(known)) => {
                    wrong.push(format!("{text} with {arguments:?}\n  foreseen {error}\n  came to  {known:?}"));
                }
                _ => {}
            }
        }
    }
}

fn arguments(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| value(text)).collect()
}

#[test]
fn what_functions_foresee_comes_true() {
    let mut wrong = Vec::new();
    for (name, texts) in calls() {
        let text = format!("{name}({})", NAMES[..texts.len()].join(", "));
        for at in 0..texts.len() {
            for other in POOL {
                let mut texts = texts.clone();
                texts[at] = other;
                check(&text, &arguments(&texts), &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_operators_foresee_comes_true() {
    let mut wrong = Vec::new();
    let pool: Vec<Value> = POOL.iter().map(|text| value(text)).collect();
    for one in &pool {
        for text in ["-a", "!a", "\"<${a}>\"", "a[*]", "a[0]", "a ? 1 : 2", "[for x in a : x]", "true ? a : null"] {
            check(text, std::slice::from_ref(one), &mut wrong);
        }
        for other in &pool {
            for operator in OPERATORS {
                check(&format!("a {operator} b"), &[one.clone(), other.clone()], &mut wrong);
            }
            for condition in [true, false] {
                check("c ? a : b", &[one.clone(), other.clone(), condition.into()], &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_mark_is_lost() {
    let ephemeral = Marks { ephemeral: true, ..Marks::NONE };
    for (name, texts) in calls() {
        // These are there to take a mark off, or to say whether there is one.
        if matches!(name, "nonsensitive" | "issensitive" | "ephemeralasnull") {
            continue;
        }
        let text = format!("{name}({})", NAMES[..texts.len()].join(", "));
        let plain = arguments(&texts);
        for at in 0..plain.len() {
            // What is not looked at marks nothing: an argument after the one that was taken.
            if name == "coalescelist" && at == 0 || name == "lookup" && at == 2 {
                continue;
            }
            for marks in [Marks::SENSITIVE, ephemeral] {
                let mut arguments = plain.clone();
                arguments[at] = arguments[at].clone().mark(marks);
                let result = value_of(&text, &scope(&arguments)).expect("a result").marks_within();
                assert_eq!(result.union(marks), result, "{text} with {marks:?} at {at}");
            }
        }
    }
}
