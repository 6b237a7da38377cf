//! `provider` blocks against the schemas of the providers' configurations.

use super::EvaluatedBody;
use super::scope::Checked;
use crate::definitions::ProviderDefinition;
use crate::eval::evaluate_block;

pub(super) fn check(checked: &Checked<'_>, definition: &ProviderDefinition) {
    let at = checked.plain().repeated(None, definition.for_each.as_ref());
    at.written_in(&definition.body);
    let provider = checked.module.provider_address(&definition.name.name);
    let Some(schema) = checked.schemas.providers.get(&provider) else { return };
    match evaluate_block(&definition.body, &schema.config, &at) {
        Ok(value) => {
            let body = definition.body.clone();
            checked.keep(EvaluatedBody { provider, of: None, value, body, span: definition.span });
        }
        Err(errors) => checked.report(errors),
    }
}
