//! Secrets. Whoever may open them is asked, as a provider is for what its functions give: nothing here reads one.

use andon_schema::{ProviderAddress, SECRET_FUNCTION, wrong_secret_name};
use andon_value::{Marks, Type, Value, quote};

use super::{Fault, Function, row};
use crate::eval::Call;

/// The functions that the language has beside Terraform's.
pub(super) fn table() -> Vec<Function> {
    vec![
        row(
            SECRET_FUNCTION,
            Type::String,
            secret,
            "A secret of the project or the environment, which is shown nowhere.",
        )
        .takes("name", Type::String)
        .foresees(|call| ask(call).unwrap_or_else(|_| unknown())),
    ]
}

fn secret(call: &Call<'_>) -> Result<Value, Fault> {
    if let Some(wrong) = wrong_secret_name(call.text(0)) {
        return Err(Fault::at(0, format!("the name of the secret {wrong}")));
    }
    ask(call)
}

/// Asks even where the name is not known yet: whoever gathers what a role reads has to know of it.
fn ask(call: &Call<'_>) -> Result<Value, Fault> {
    let name = call.value(0).clone();
    match call.scope.ask_provider(&ProviderAddress::of_secrets(), SECRET_FUNCTION, &[name]) {
        None => Ok(unknown()),
        Some(Ok(value)) => Ok(value.mark(Marks::SENSITIVE)),
        Some(Err(fault)) => Err(Fault::new(format!("{} cannot be read", quote(call.text(0)))).detail(fault.message)),
    }
}

fn unknown() -> Value {
    Value::unknown(Type::String).not_null().mark(Marks::SENSITIVE)
}
