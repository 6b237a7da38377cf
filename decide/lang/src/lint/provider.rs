//! Entries of `required_providers` that nothing needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::ProviderAddress;
use andon_text::Diagnostic;

use super::unused::Declarations;
use super::{Report, name};
use crate::definitions::Module;

/// Says which entries neither a module itself nor any that it calls needs: a module may say which version those get
/// that it calls.
pub(super) fn unused(module: &Module, declared: &Declarations<'_>, out: &mut Report<'_>) {
    let unnamed = module.settings.required_providers.values();
    let unnamed: Vec<_> = unnamed
        .filter(|required| required.aliases.is_empty() && !declared.names_provider(&required.name.name))
        .collect();
    if unnamed.is_empty() {
        return;
    }
    let mut needed = Some(BTreeSet::new());
    below(module, &mut BTreeSet::new(), &mut needed);
    let Some(needed) = needed else { return };
    for required in unnamed.into_iter().filter(|required| !needed.contains(&required.address)) {
        out.say(name::UNUSED_PROVIDER, required.name.span, || {
            let diagnostic = Diagnostic::warning(format!("the provider {} is never used", required.name.name));
            diagnostic.help("Take the entry out, or use it.")
        });
    }
}

/// The providers that the modules called by one need; `None` where not all of these are there.
fn below<'m>(module: &'m Module, seen: &mut BTreeSet<&'m str>, needed: &mut Option<BTreeSet<ProviderAddress>>) {
    for call in module.calls.values() {
        if !call.found {
            *needed = None;
        }
        let inner = &*call.module;
        if !seen.insert(&inner.directory) {
            continue;
        }
        let Some(all) = needed else { return };
        all.extend(inner.resources.values().map(|resource| inner.provider_of(resource)));
        all.extend(inner.settings.required_providers.values().map(|required| required.address.clone()));
        all.extend(inner.providers.keys().map(|(name, _)| inner.provider_address(name)));
        below(inner, seen, needed);
    }
}

/// Every module of a project, by its directory.
pub(super) fn modules(project: &crate::definitions::Project) -> BTreeMap<Arc<str>, Arc<Module>> {
    let mut found = BTreeMap::new();
    let mut left: Vec<Arc<Module>> = project.stacks.values().map(|stack| stack.module.clone()).collect();
    while let Some(module) = left.pop() {
        if !found.contains_key(&module.directory) {
            left.extend(module.calls.values().filter(|call| call.found).map(|call| call.module.clone()));
            found.insert(module.directory.clone(), module);
        }
    }
    found
}
