//! Functions that need a clock, randomness or a slow hash: the table knows them, so that using one says why it fails.

use andon_value::{Type, Value};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    let later = |name, description| {
        row(name, Type::String, not_yet, description).takes_rest("arguments", Type::Dynamic).nulls()
    };
    vec![
        later("bcrypt", "A bcrypt hash of a string."),
        later("plantimestamp", "The time of the plan."),
        later("timestamp", "The time of the apply."),
        later("uuid", "A random UUID."),
    ]
}

fn not_yet(_: &Call<'_>) -> Result<Value, Fault> {
    Err(Fault::new("this function is not available yet").help("Pass the value in through a variable instead.").safe())
}
