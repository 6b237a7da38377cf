//! Which provider configurations are named, and whether they are there.

use andon_text::{Diagnostic, Span};

use super::EvaluatedBody;
use super::scope::Checked;
use crate::definitions::{Module, ModuleCall, ProviderDefinition, ProviderKey, ProviderReference};
use crate::shape::suggest;

pub(super) fn check(checked: &Checked<'_>) {
    let module = checked.module;
    let resources = module.resources.values().filter_map(|definition| definition.provider.as_deref());
    let own = module.checks.values().filter_map(|check| check.data.as_ref()?.provider.as_deref());
    let imports = module.imports.iter().filter_map(|import| import.provider.as_ref());
    for reference in resources.chain(own).chain(imports) {
        named(checked, reference);
    }
    for call in module.calls.values() {
        passed(checked, call);
    }
    for definition in module.providers.values() {
        block(checked, definition);
    }
}

/// A configuration is there where a block defines it or the module's caller passes it; one without an alias always is.
fn is_there(checked: &Checked<'_>, key: &ProviderKey) -> bool {
    let passed = || !checked.is_root() && aliases(checked.module).any(|alias| alias == *key);
    key.1.is_none() || checked.module.providers.contains_key(key) || passed()
}

fn aliases(module: &Module) -> impl Iterator<Item = ProviderKey> {
    let required = module.settings.required_providers.values();
    required.flat_map(|required| required.aliases.iter().map(ProviderReference::block))
}

fn written((name, alias): &ProviderKey) -> String {
    match alias {
        Some(alias) => format!("{name}.{alias}"),
        None => name.to_string(),
    }
}

fn named(checked: &Checked<'_>, reference: &ProviderReference) {
    let module = checked.module;
    let key = reference.block();
    if is_there(checked, &key) {
        return;
    }
    let diagnostic = Diagnostic::error(format!("there is no provider configuration \"{}\"", written(&key)));
    let diagnostic = diagnostic.at(reference.span).named(Diagnostic::UNDECLARED);
    let known: Vec<String> = module.providers.keys().cloned().chain(aliases(module)).map(|key| written(&key)).collect();
    let alias = key.1.as_deref().unwrap_or_default();
    let help = format!("Add: provider \"{}\" {{ alias = \"{alias}\" }}", key.0);
    checked.report([suggest(diagnostic, &written(&key), known.iter().map(String::as_str)).help(help)]);
}

/// What a `module` block passes, and what the module needs.
fn passed(checked: &Checked<'_>, call: &ModuleCall) {
    call.providers.values().for_each(|reference| named(checked, reference));
    if !call.found {
        return;
    }
    let inner = &call.module;
    for (key, reference) in &call.providers {
        if key.1.is_some() && !aliases(inner).any(|alias| alias == *key) {
            let diagnostic = Diagnostic::warning(format!("the module has no place for {}", written(key)));
            let help = format!("Its required_providers takes: configuration_aliases = [{}]", written(key));
            checked.report([diagnostic.at(reference.span).help(help)]);
            continue;
        }
        let (given, wanted) = (checked.module.provider_address(&reference.name.name), inner.provider_address(&key.0));
        if given != wanted {
            let diagnostic = Diagnostic::error("a configuration of another provider is wanted").at(reference.span);
            let label = format!("{} is {given} here, and {} is {wanted} in the module", reference.name.name, key.0);
            checked.report([diagnostic.label(label).help("Name the provider's source in required_providers.")]);
        }
    }
    for required in inner.settings.required_providers.values() {
        for alias in required.aliases.iter().filter(|alias| !call.providers.contains_key(&alias.block())) {
            let name = written(&alias.block());
            let diagnostic = Diagnostic::error(format!("the module needs a provider configuration {name}"));
            let diagnostic = diagnostic.at(call.span).related(alias.span, "it says so here");
            checked.report([diagnostic.help(format!("Add: providers = {{ {name} = {}.ALIAS }}", required.name.name))]);
        }
    }
    let repeated = [("count", &call.count), ("for_each", &call.for_each)];
    let repeated = repeated.iter().find(|(_, expr)| expr.is_some()).map(|(word, _)| *word);
    let word = repeated.or((!call.depends_on.is_empty()).then_some("depends_on"));
    if let (Some(word), Some(block)) = (word, configured(inner)) {
        let diagnostic = Diagnostic::error(format!("a module with its own provider configuration takes no \"{word}\""));
        checked.report([diagnostic
            .at(call.span)
            .related(block, "the configuration is here")
            .help("Configure the provider here, and pass it with \"providers\".")]);
    }
}

/// A `provider` block in a module or in one that it calls, as far as it configures anything.
fn configured(module: &Module) -> Option<Span> {
    let own = module.providers.values().find(|block| !block.body.items.is_empty());
    let below = || module.calls.values().filter(|call| call.found).find_map(|call| configured(&call.module));
    own.map(|block| block.span).or_else(below)
}

/// A `provider` block against the schema of the provider's configuration.
fn block(checked: &Checked<'_>, definition: &ProviderDefinition) {
    let at = checked.plain().repeated(None, definition.for_each.as_ref());
    at.written_in(&definition.body);
    let provider = checked.module.provider_address(&definition.name.name);
    let Some(schema) = checked.schemas.providers.get(&provider) else { return };
    let value = at.body_value(&definition.body, &schema.config);
    if !value.is_unknown() {
        let body = definition.body.clone();
        checked.keep(EvaluatedBody { provider, of: None, value, body, span: definition.span });
    }
}
