//! Lints of blocks: what they lack, and what they hold for nothing.

use std::collections::BTreeMap;

use andon_hcl::ast::{Block, Expr, ExprKind};
use andon_schema::ProviderAddress;
use andon_schema::source::{ModuleSource, Package};
use andon_text::{Diagnostic, Span};

use super::unused::text;
use super::{File, Report, name, of_kind};
use crate::definitions::implied_name;
use crate::modules::parse_source;
use crate::reference::as_reference;

/// A top-level block of a module.
pub(super) fn check(block: &Block, out: &mut Report<'_>) {
    match (&*block.kind.name, &*block.labels) {
        ("resource" | "data" | "ephemeral", [_, _]) => {
            empty_lifecycle(block, out);
            constant_count(block, out);
        }
        ("module", [_]) => {
            constant_count(block, out);
            unpinned(block, out);
        }
        ("provider", [it]) => provider_version(block, &it.name, out),
        ("variable", [it]) => variable(block, &it.name, out),
        ("output", [it]) if is_undocumented(block) => out.say(name::UNDOCUMENTED_OUTPUT, block.head, || {
            let diagnostic = Diagnostic::warning(format!("output \"{}\" has no description", it.name));
            diagnostic.help("Say what it is: description = \"…\"")
        }),
        _ => {}
    }
}

fn empty_lifecycle(block: &Block, out: &mut Report<'_>) {
    let empty = |inner: &&Block| &*inner.kind.name == "lifecycle" && inner.body.items.is_empty();
    for lifecycle in block.body.blocks().filter(empty) {
        out.say(name::EMPTY_LIFECYCLE, lifecycle.head, || {
            Diagnostic::warning("this lifecycle block says nothing").help("Take it out.")
        });
    }
}

fn constant_count(block: &Block, out: &mut Report<'_>) {
    let Some(count) = block.body.attribute("count") else { return };
    let ExprKind::Number(digits) = &count.value.kind else { return };
    let words = match &**digits {
        "0" => "there is none of this, ever",
        "1" => "there is one of this, with an index in its name",
        _ => return,
    };
    out.say(name::CONSTANT_COUNT, count.span, || {
        Diagnostic::warning(format!("\"count\" is always {digits}")).label(words).help("Take it out.")
    });
}

fn unpinned(block: &Block, out: &mut Report<'_>) {
    let Some(source) = block.body.attribute("source") else { return };
    let Some(written) = text(&source.value) else { return };
    let help = match parse_source(written) {
        Ok(ModuleSource::Package { package: Package::Git { reference: None, .. }, .. }) => {
            let sign = if written.contains('?') { '&' } else { '?' };
            format!("Name a tag or a commit: \"{written}{sign}ref=…\"")
        }
        Ok(ModuleSource::Registry { .. }) if block.body.attribute("version").is_none() => {
            "Say which versions will do: version = \"…\"".to_owned()
        }
        _ => return,
    };
    out.say(name::UNPINNED_MODULE, source.value.span, || {
        let diagnostic = Diagnostic::warning("this module is whatever is there on the day that it is fetched");
        diagnostic.help(help)
    });
}

fn provider_version(block: &Block, provider: &str, out: &mut Report<'_>) {
    let Some(version) = block.body.attribute("version") else { return };
    let written = out.text(version.value.span).to_owned();
    out.say(name::PROVIDER_VERSION, version.span, || {
        let diagnostic = Diagnostic::warning("the version of a provider in its configuration is an old form");
        diagnostic.help(format!("Move it to required_providers: {provider} = {{ version = {written} }}"))
    });
}

fn variable(block: &Block, label: &str, out: &mut Report<'_>) {
    match block.body.attribute("type").map(|attribute| &attribute.value) {
        Some(Expr { kind: ExprKind::Variable(word), span }) if matches!(&**word, "list" | "map") => {
            out.say(name::BARE_TYPE, *span, || {
                let diagnostic =
                    Diagnostic::warning(format!("\"{word}\" without a type of its elements is an old form"));
                diagnostic.help(format!("Write it as: {word}(string), or {word}(any) for what it is now"))
            });
        }
        Some(_) => {}
        None => out.say(name::UNTYPED, block.head, || {
            let diagnostic = Diagnostic::warning(format!("variable \"{label}\" has no type"));
            diagnostic.help("Say what it takes: type = string")
        }),
    }
    if is_undocumented(block) {
        out.say(name::UNDOCUMENTED_VARIABLE, block.head, || {
            let diagnostic = Diagnostic::warning(format!("variable \"{label}\" has no description"));
            diagnostic.help("Say what it is for: description = \"…\"")
        });
    }
}

fn is_undocumented(block: &Block) -> bool {
    let said = block.body.attribute("description").map(|attribute| &attribute.value);
    said.is_none_or(|said| text(said).is_some_and(|said| said.trim().is_empty()) || is_empty_text(said))
}

fn is_empty_text(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Template(template) if template.parts.is_empty())
}

/// What a module as a whole should say of itself.
pub(super) fn check_module(files: &[File<'_>], out: &mut Report<'_>) {
    let settings = || of_kind(files, "terraform");
    let first = files.iter().flat_map(|file| file.body.blocks()).next();
    if let (Some(first), false) = (first, settings().any(|block| block.body.attribute("required_version").is_some())) {
        out.say(name::NO_LANGUAGE_VERSION, first.head, || {
            let diagnostic =
                Diagnostic::warning("the module does not say which versions of the language it works with");
            diagnostic.help("Add: terraform { required_version = \">= 1.5\" }")
        });
    }
    let entries = settings().flat_map(|block| block.body.blocks());
    let entries = entries.filter(|block| &*block.kind.name == "required_providers");
    let mut required: Vec<&str> = Vec::new();
    for entry in entries.flat_map(|block| block.body.attributes()) {
        let label = &entry.name.name;
        required.push(label);
        if let ExprKind::Object(items) = &entry.value.kind {
            let value = |wanted: &str| {
                let named = |key: &Expr| match &key.kind {
                    ExprKind::Variable(word) => &**word == wanted,
                    _ => text(key) == Some(wanted),
                };
                items.iter().find(|item| named(&item.key)).map(|item| &item.value)
            };
            let address = match value("source").and_then(text).map(ProviderAddress::parse) {
                Some(Ok(address)) => address,
                Some(Err(_)) => continue,
                None => ProviderAddress::implied(label),
            };
            if value("version").is_none() && !address.is_built_in() {
                out.say(name::NO_PROVIDER_VERSION, entry.name.span, || {
                    let diagnostic = Diagnostic::warning(format!("any version of the provider {label} will do"));
                    diagnostic.help("Say which ones the module works with: version = \"~> …\"")
                });
            }
        }
    }
    for (provider, span) in named(files) {
        if !required.contains(&&*provider) && !ProviderAddress::implied(&provider).is_built_in() {
            out.say(name::NO_REQUIRED_PROVIDER, span, || {
                let diagnostic = Diagnostic::warning(format!("required_providers does not name {provider}"));
                diagnostic
                    .help(format!("Add: {provider} = {{ source = \"hashicorp/{provider}\", version = \"~> …\" }}"))
            });
        }
    }
}

/// The local names of the providers that resources and configurations belong to, and where each is first.
fn named(files: &[File<'_>]) -> BTreeMap<String, Span> {
    let mut found = BTreeMap::new();
    for block in files.iter().flat_map(|file| file.body.blocks()) {
        let name = match (&*block.kind.name, &*block.labels) {
            ("provider", [it]) => it.name.to_string(),
            ("resource" | "data" | "ephemeral", [kind, _]) => {
                let given = block.body.attribute("provider").map(|attribute| &attribute.value);
                match given.and_then(as_reference) {
                    Some(reference) => reference.root.to_string(),
                    None => implied_name(&kind.name).to_owned(),
                }
            }
            _ => continue,
        };
        found.entry(name).or_insert(block.head);
    }
    found
}
