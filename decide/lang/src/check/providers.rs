//! Which provider configurations are named, and whether they are there.

use andon_hcl::ast::Expr;
use andon_text::{Diagnostic, Span};
use andon_value::{Type, Value, convert};

use super::EvaluatedBody;
use super::scope::{At, Checked};
use crate::definitions::{Module, ModuleCall, ProviderDefinition, ProviderKey, ProviderReference};
use crate::eval::evaluate;
use crate::reference::static_traversals;
use crate::shape::suggest;

/// What is known before any provider is configured.
const EARLY: [&str; 6] = ["var", "local", "each", "count", "path", "terraform"];

pub(super) fn check(checked: &Checked<'_>) {
    let module = checked.module;
    let own = module.checks.values().filter_map(|check| check.data.as_ref());
    for definition in module.resources.values().map(|definition| &**definition).chain(own.map(|data| &**data)) {
        if let Some(reference) = definition.provider.as_deref() {
            named(checked, reference, definition.count.as_deref(), definition.for_each.as_deref());
        }
    }
    for import in &module.imports {
        import.provider.iter().for_each(|reference| named(checked, reference, None, import.for_each.as_ref()));
    }
    for call in module.calls.values() {
        passed(checked, call);
    }
    for definition in module.providers.values() {
        block(checked, definition);
    }
}

/// A configuration is there where a block defines it, or the module's caller passes it, or its test; one without an alias
/// always is.
fn is_there(checked: &Checked<'_>, key: &ProviderKey) -> bool {
    let tested = || checked.project.stack_tests.iter().any(|test| test.providers.contains_key(key));
    let passed = || (!checked.is_root() || tested()) && aliases(checked.module).any(|alias| alias == *key);
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

/// A reference in a block that may be repeated.
fn named(checked: &Checked<'_>, reference: &ProviderReference, count: Option<&Expr>, keys: Option<&Expr>) {
    let module = checked.module;
    let key = reference.block();
    if is_there(checked, &key) {
        return one_of(checked, reference, count, keys);
    }
    let diagnostic = Diagnostic::error(format!("there is no provider configuration \"{}\"", written(&key)));
    let diagnostic = diagnostic.at(reference.span).named(Diagnostic::UNDECLARED);
    let known: Vec<String> = module.providers.keys().cloned().chain(aliases(module)).map(|key| written(&key)).collect();
    let alias = key.1.as_deref().unwrap_or_default();
    let help = format!("Add: provider \"{}\" {{ alias = \"{alias}\" }}", key.0);
    checked.report([suggest(diagnostic, &written(&key), known.iter().map(String::as_str)).help(help)]);
}

/// Whether a reference names one of the configurations that a block with `for_each` stands for, or a single one.
fn one_of(checked: &Checked<'_>, reference: &ProviderReference, count: Option<&Expr>, keys: Option<&Expr>) {
    let written = written(&reference.block());
    let keys_of_block = checked.module.providers.get(&reference.block()).and_then(|block| block.for_each.as_ref());
    let error = |summary: String, span| Diagnostic::error(summary).at(span);
    match (keys_of_block, &reference.key) {
        (None, None) => {}
        (None, Some(key)) => {
            let diagnostic = error(format!("{written} is one configuration, and takes no key"), key.span);
            checked.report([diagnostic.help(format!("Write it as: {written}"))]);
        }
        (Some(for_each), None) => {
            let diagnostic = error(format!("{written} stands for many configurations"), reference.span);
            let diagnostic = diagnostic.related(for_each.span, "one for each of these");
            checked.report([diagnostic.help(format!("Say which: {written}[each.key], or {written}[\"KEY\"]"))]);
        }
        (Some(for_each), Some(key)) => {
            let each = keys.map(|_| (Value::UNKNOWN, Value::UNKNOWN));
            let at = At { count: count.is_some(), each, ..checked.plain() };
            if !is_early(checked, key) {
                return;
            }
            let Ok(key_value) = convert(&at.value(key).unmark_deep().0, &Type::String) else {
                let diagnostic = error("a configuration is named by its key, which is text".to_owned(), key.span);
                return checked.report([diagnostic]);
            };
            let known = evaluate(for_each, &checked.plain()).map(|value| value.unmark_deep().0);
            let (Some(wanted), Ok(known)) = (key_value.as_str(), known) else { return };
            let there: Option<Vec<String>> = match known.ty() {
                Type::Set(_) => {
                    known.elements().map(|all| all.filter_map(|it| it.as_str().map(|text| text.to_string())).collect())
                }
                _ => known.as_entries().map(|all| all.keys().map(|name| name.to_string()).collect()),
            };
            let Some(there) = there.filter(|there| there.iter().all(|it| **it != **wanted)) else { return };
            let diagnostic = error(format!("{written} has no configuration \"{wanted}\""), key.span);
            let diagnostic = diagnostic.related(for_each.span, "these are its keys");
            checked.report([suggest(diagnostic, wanted, there.iter().map(String::as_str))]);
        }
    }
}

/// Whether an expression reads nothing that is known only when providers are at work: configurations come before.
fn is_early(checked: &Checked<'_>, expr: &Expr) -> bool {
    let late = static_traversals(expr);
    let late = late.iter().find(|read| !EARLY.contains(&&**read.root));
    checked.report(late.map(|read| {
        let diagnostic = Diagnostic::error("which configurations there are is decided before anything is read or made");
        let diagnostic = diagnostic.at(read.span).label("this is known only later");
        diagnostic.help("Take it from variables and locals.")
    }));
    late.is_none()
}

/// What a `module` block passes, and what the module needs.
fn passed(checked: &Checked<'_>, call: &ModuleCall) {
    for reference in call.providers.values() {
        named(checked, reference, call.count.as_ref(), call.for_each.as_ref());
    }
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
    if let Some(keys) = &definition.for_each {
        is_early(checked, keys);
    }
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
