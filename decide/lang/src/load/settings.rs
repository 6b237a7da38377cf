//! `terraform` and `provider` blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Attribute, Block, Body, Expr, ExprKind, Ident};
use andon_schema::ProviderAddress;
use andon_text::Diagnostic;

use super::{Loader, blocks, version};
use crate::definitions::{Backend, ProviderDefinition, ProviderKey, ProviderReference, RequiredProvider, Settings};
use crate::literal::string;
use crate::shape::{BUILT_IN_PROVIDER, PROVIDER, check_body, suggest, twice};

/// The version of the Terraform language that `required_version` of a stack or module is held against.
pub const TERRAFORM_VERSION: &str = "1.11.4";

pub(super) fn settings(loader: &mut Loader<'_>, body: &Body) -> Settings {
    let mut settings = Settings::default();
    let mut providers: Option<&Block> = None;
    for block in blocks(body, "terraform", 0) {
        if let Some(wanted) = loader.text(&block.body, "required_version") {
            loader.out.extend(version::unmet(&wanted, "Terraform", TERRAFORM_VERSION));
            settings.required_versions.push(wanted);
        }
        experiments(loader, &block.body);
        for required in blocks(&block.body, "required_providers", 0) {
            match providers {
                Some(first) => loader.out.push(twice("block", "required_providers", required.head, first.head)),
                None => {
                    providers = Some(required);
                    settings.required_providers = required_providers(loader, &required.body);
                }
            }
        }
        for meta in blocks(&block.body, "provider_meta", 1) {
            let Some(name) = meta.labels.first() else { continue };
            let place = Body { span: Some(meta.head), ..meta.body.clone() };
            if settings.provider_meta.insert(name.name.clone(), place).is_some() {
                let diagnostic = Diagnostic::error(format!("duplicate provider_meta \"{}\"", name.name));
                loader.out.push(diagnostic.at(meta.head).help("Keep one for each provider."));
            }
        }
        backend(loader, &mut settings, block);
    }
    settings
}

fn backend(loader: &mut Loader<'_>, settings: &mut Settings, block: &Block) {
    let backends = blocks(&block.body, "backend", 1).chain(blocks(&block.body, "cloud", 0));
    for backend in backends {
        match &settings.backend {
            Some(first) => loader.out.push(
                Diagnostic::error("a stack's state is kept in one place only")
                    .at(backend.head)
                    .related(first.span, "this says where already")
                    .help("Keep one backend or cloud block."),
            ),
            None => {
                let body = Body { span: Some(backend.head), ..backend.body.clone() };
                settings.backend = Some(Backend { kind: backend.labels.first().cloned(), body, span: backend.head });
            }
        }
    }
}

fn experiments(loader: &mut Loader<'_>, body: &Body) {
    if let Some(language) = body.attribute("language")
        && !matches!(&language.value.kind, ExprKind::Variable(word) if &**word == "TF2021")
    {
        let diagnostic = Diagnostic::error("there is no such edition of the language").at(language.value.span);
        loader.out.push(diagnostic.help("The only one is TF2021: take the argument out."));
    }
    let Some(experiments) = body.attribute("experiments") else { return };
    let diagnostic = Diagnostic::error("there are no experiments to switch on").at(experiments.name.span);
    loader.out.push(diagnostic.help("Take this argument out."));
}

fn required_providers(loader: &mut Loader<'_>, body: &Body) -> BTreeMap<Arc<str>, RequiredProvider> {
    let mut required = BTreeMap::new();
    for attribute in body.attributes() {
        let name = &attribute.name;
        if name.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let diagnostic = Diagnostic::error(format!("\"{}\" cannot be the name of a provider", name.name));
            loader.out.push(diagnostic.at(name.span).help("Write it in lower case."));
            continue;
        }
        if let Some(provider) = required_provider(loader, attribute) {
            required.entry(name.name.clone()).or_insert(provider);
        }
    }
    for block in body.blocks() {
        let diagnostic = Diagnostic::error("\"required_providers\" holds no blocks").at(block.head);
        let name = &block.kind.name;
        loader.out.push(diagnostic.help(format!("Write it as: {name} = {{ source = \"NAMESPACE/{name}\" }}")));
    }
    required
}

fn required_provider(loader: &mut Loader<'_>, attribute: &Attribute) -> Option<RequiredProvider> {
    let name = &attribute.name;
    let mut provider = RequiredProvider {
        name: name.clone(),
        address: ProviderAddress::implied(&name.name),
        source: None,
        version: None,
        aliases: Vec::new(),
        span: attribute.span,
    };
    let items = match &attribute.value.kind {
        ExprKind::Object(items) => items,
        ExprKind::Invalid => return None,
        // The form of older versions of the language: a version alone.
        _ => {
            let Some(wanted) = string(&attribute.value) else {
                let diagnostic = Diagnostic::error("this says nothing of a provider").at(attribute.value.span);
                let help = format!("Write it as: {0} = {{ source = \"NAMESPACE/{0}\" }}", name.name);
                loader.out.push(diagnostic.help(help));
                return None;
            };
            provider.version = constraint(loader, Ident { name: wanted, span: attribute.value.span });
            return Some(provider);
        }
    };
    for item in items {
        let key = match &item.key.kind {
            ExprKind::Variable(word) => Some(word.clone()),
            _ => string(&item.key),
        };
        match key.as_deref() {
            Some("version") => {
                let wanted = loader.name(&item.value, "version");
                provider.version = wanted.and_then(|wanted| constraint(loader, wanted));
            }
            Some("source") => {
                let Some(source) = loader.name(&item.value, "source") else { continue };
                provider.source = Some(source.span);
                match ProviderAddress::parse(&source.name) {
                    Ok(address) => provider.address = address,
                    Err(problem) => {
                        let diagnostic = Diagnostic::error(format!("\"{}\" is no provider's source", source.name));
                        let diagnostic = diagnostic.at(source.span).label(problem.to_string());
                        loader.out.push(diagnostic.help("Write it like: NAMESPACE/NAME or HOST/NAMESPACE/NAME"));
                    }
                }
            }
            Some("configuration_aliases") => provider.aliases = aliases(loader, name, &item.value),
            _ if item.key.kind == ExprKind::Invalid => {}
            key => {
                let diagnostic = Diagnostic::error("unsupported argument of a required provider").at(item.key.span);
                let words = ["source", "version", "configuration_aliases"];
                loader
                    .out
                    .push(suggest(diagnostic, key.unwrap_or(""), words).help(
                        "It takes source, version and configuration_aliases; settings go into a provider block.",
                    ));
            }
        }
    }
    Some(provider)
}

fn constraint(loader: &mut Loader<'_>, wanted: Ident) -> Option<Ident> {
    let wrong = version::wrong(&wanted);
    let fine = wrong.is_none();
    loader.out.extend(wrong);
    fine.then_some(wanted)
}

fn aliases(loader: &mut Loader<'_>, name: &Ident, expr: &Expr) -> Vec<ProviderReference> {
    let ExprKind::Tuple(elements) = &expr.kind else {
        let diagnostic = Diagnostic::error("\"configuration_aliases\" is a list").at(expr.span);
        loader.out.push(diagnostic.help(format!("Write it like: configuration_aliases = [{}.ALIAS]", name.name)));
        return Vec::new();
    };
    let mut found = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(reference) = loader.provider_reference(element) else { continue };
        if reference.name.name != name.name || reference.alias.is_none() || reference.key.is_some() {
            let diagnostic = Diagnostic::error("this is no alias of the provider").at(reference.span);
            loader.out.push(diagnostic.help(format!("Write it like: {}.ALIAS", name.name)));
            continue;
        }
        found.push(reference);
    }
    found
}

/// The `provider` blocks of a module.
pub(super) fn providers(loader: &mut Loader<'_>, body: &Body) -> BTreeMap<ProviderKey, ProviderDefinition> {
    let mut providers: BTreeMap<ProviderKey, ProviderDefinition> = BTreeMap::new();
    for block in blocks(body, "provider", 1) {
        let Some(name) = loader.named(block, 0) else { continue };
        if name.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let diagnostic = Diagnostic::error(format!("\"{}\" cannot be the name of a provider", name.name));
            loader.out.push(diagnostic.at(name.span).help("Write it in lower case."));
            continue;
        }
        reserved(loader, block);
        let alias = loader.text(&block.body, "alias");
        if let Some(alias) = &alias
            && !loader.can_be_a_name(alias)
        {
            continue;
        }
        let version = loader.text(&block.body, "version");
        let definition = ProviderDefinition {
            name: name.clone(),
            version: version.and_then(|wanted| constraint(loader, wanted)),
            for_each: block.body.attribute("for_each").map(|attribute| attribute.value.clone()),
            body: PROVIDER.rest(block),
            span: block.head,
            alias,
        };
        if let (Some(for_each), None) = (block.body.attribute("for_each"), &definition.alias) {
            let diagnostic = Diagnostic::error("a provider with \"for_each\" needs an alias").at(for_each.name.span);
            loader.out.push(diagnostic.help("Add: alias = \"NAME\", and refer to it as PROVIDER.NAME[KEY]."));
        }
        let key = (name.name.clone(), definition.alias.as_ref().map(|alias| alias.name.clone()));
        match providers.get(&key) {
            Some(first) => {
                let full = match &key.1 {
                    Some(alias) => format!("{}.{alias}", key.0),
                    None => key.0.to_string(),
                };
                let diagnostic = twice("provider configuration", &full, block.head, first.span);
                loader.out.push(diagnostic.help("Give this one another alias."));
            }
            None => drop(providers.insert(key, definition)),
        }
    }
    providers
}

/// What a `provider` block may not hold, whatever the provider takes.
fn reserved(loader: &mut Loader<'_>, block: &Block) {
    for attribute in block.body.attributes() {
        if ["count", "depends_on", "source"].contains(&&*attribute.name.name) {
            let name = &attribute.name;
            let diagnostic = Diagnostic::error(format!("unsupported argument \"{}\"", name.name)).at(name.span);
            loader.out.push(diagnostic.label("a provider block has no such argument").help("Remove it."));
        }
    }
    for inner in block.body.blocks() {
        if ["lifecycle", "locals"].contains(&&*inner.kind.name) {
            let name = &inner.kind;
            let diagnostic = Diagnostic::error(format!("unsupported block \"{}\"", name.name)).at(name.span);
            loader.out.push(diagnostic.label("a provider block has no such block").help("Remove it."));
        }
    }
}

/// Holds the `provider` blocks of built-in providers against what those take.
pub(super) fn check_built_in(loader: &mut Loader<'_>, settings: &Settings, body: &Body) {
    for block in blocks(body, "provider", 1) {
        let Some(name) = block.labels.first() else { continue };
        let address = settings.required_providers.get(&name.name).map(|required| required.address.clone());
        if address.unwrap_or_else(|| ProviderAddress::implied(&name.name)).is_built_in() {
            let what = format!("the built-in provider \"{}\"", name.name);
            check_body(&what, Some(block.head), &block.body, &BUILT_IN_PROVIDER, &mut loader.out);
        }
    }
}

/// `providers` of a `module` block.
pub(super) fn passed(loader: &mut Loader<'_>, block: &Block) -> BTreeMap<ProviderKey, ProviderReference> {
    let mut passed: BTreeMap<ProviderKey, ProviderReference> = BTreeMap::new();
    let Some(attribute) = block.body.attribute("providers") else { return passed };
    let items = match &attribute.value.kind {
        ExprKind::Object(items) => items,
        ExprKind::Invalid => return passed,
        _ => {
            let diagnostic = Diagnostic::error("\"providers\" says which configuration is which");
            let diagnostic = diagnostic.at(attribute.value.span);
            loader.out.push(diagnostic.help("Write it like: providers = { NAME = NAME.ALIAS }"));
            return passed;
        }
    };
    for item in items {
        let (Some(inner), Some(outer)) = (loader.provider_reference(&item.key), loader.provider_reference(&item.value))
        else {
            continue;
        };
        if let Some(first) = passed.get(&inner.block()) {
            let name = inner.alias.as_ref().map_or_else(String::new, |alias| format!(".{}", alias.name));
            let name = format!("{}{name}", inner.name.name);
            loader.out.push(twice("provider", &name, item.key.span, first.span));
            continue;
        }
        passed.insert(inner.block(), outer);
    }
    passed
}
