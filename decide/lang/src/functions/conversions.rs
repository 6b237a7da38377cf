//! Types, marks, and what to do when something may be missing.

use andon_value::{Kind, Marks, Type, Value, convert};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Bool, Dynamic, Number, String as S};
    let to = |name, ty: Type, run, description| {
        row(name, ty, run, description).takes("v", Dynamic).nulls().unknowns().marks().nullable()
    };
    let over = |name, returns, run, description| {
        row(name, returns, run, description).takes("value", Dynamic).nulls().unknowns().marks().nullable()
    };
    vec![
        // The evaluator calls these two itself, as it must not fail before they do.
        row("can", Bool, itself, "Whether an expression has a value rather than an error.")
            .takes("expression", Dynamic),
        row("try", Dynamic, itself, "The first expression that has a value rather than an error.")
            .takes_rest("expressions", Dynamic),
        over("ephemeralasnull", Dynamic, ephemeral_as_null, "A value in which all that must not be stored is null."),
        over("issensitive", Bool, is_sensitive, "Whether a value is marked as a secret."),
        over("nonsensitive", Dynamic, non_sensitive, "A value without its mark as a secret."),
        over(
            "sensitive",
            Dynamic,
            |call| Ok(call.value(0).clone().mark(Marks::SENSITIVE)),
            "A value marked as a secret.",
        ),
        to("tobool", Bool, |call| to_type(call, &Type::Bool), "A value as a bool."),
        to("tolist", Type::list(Dynamic), |call| to_type(call, &Type::list(Type::Dynamic)), "A value as a list."),
        to("tomap", Type::map(Dynamic), |call| to_type(call, &Type::map(Type::Dynamic)), "A value as a map."),
        to("tonumber", Number, |call| to_type(call, &Type::Number), "A value as a number."),
        to("toset", Type::set(Dynamic), |call| to_type(call, &Type::set(Type::Dynamic)), "A value as a set."),
        to("tostring", S, |call| to_type(call, &Type::String), "A value as a string."),
    ]
}

fn itself(_: &Call<'_>) -> Result<Value, Fault> {
    Err(Fault::new("it cannot be called here").safe())
}

fn to_type(call: &Call<'_>, ty: &Type) -> Result<Value, Fault> {
    convert(call.value(0), ty).map_err(|error| Fault::at(0, error.to_string()).safe())
}

/// What is not known yet may turn out to be a secret.
fn is_sensitive(call: &Call<'_>) -> Result<Value, Fault> {
    let value = call.value(0);
    match value.marks().sensitive {
        false if value.is_unknown() => Ok(Value::unknown(Type::Bool).not_null()),
        sensitive => Ok(Value::from(sensitive)),
    }
}

fn non_sensitive(call: &Call<'_>) -> Result<Value, Fault> {
    let (value, marks) = call.value(0).clone().unmark();
    Ok(value.mark(Marks { sensitive: false, ..marks }))
}

fn ephemeral_as_null(call: &Call<'_>) -> Result<Value, Fault> {
    let without = |value: Value| {
        let (bare, marks) = value.unmark();
        let rest = Marks { ephemeral: false, ..marks };
        match bare.kind() {
            _ if !marks.ephemeral => bare.mark(rest),
            Kind::Null(_) => bare.mark(rest),
            _ => Value::null(bare.ty()).mark(rest),
        }
    };
    Ok(call.value(0).map_deep(&mut { without }))
}
