//! All that can be said of definitions without asking the world: what the language says, what host resources say of the
//! values that are written out, and what provider plugins say of the bodies that fit their schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use andon_image::Source;
use andon_lang::definitions::Project;
use andon_lang::{Answers, Found, Roles, predict, written_string};
use andon_schema::Schemas;
use andon_schema::host::fact_types;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use crate::Plugins;

/// A project that calls more functions of providers than this is checked without asking for the rest.
const MOST_CALLS: usize = 100_000;

/// Every complaint about a project's definitions, beside those of loading it.
pub fn check(project: &Project, schemas: &Schemas, plugins: &Plugins) -> Diagnostics {
    let mut answers = Answers::new();
    let Found { diagnostics: mut found, bodies, absent, .. } = loop {
        let mut found = andon_lang::check_and_ask(project, schemas, &answers);
        let calls = std::mem::take(&mut found.calls);
        // What a function gives may be the argument of another.
        if calls.is_empty() || answers.len() > MOST_CALLS {
            break found;
        }
        answers.extend(plugins.call_all(calls));
    };
    found.extend(plugins.uncalled(&absent));
    found.extend(plugins.judge(&bodies));
    found.extend(plugins.failures().iter().cloned());
    found.extend(bases(project));
    if found.has_errors() {
        return found;
    }
    let facts = Value::unknown(fact_types());
    let mut said: BTreeSet<(Arc<str>, String)> = BTreeSet::new();
    for name in project.roles.keys() {
        let roles = Roles::of(project, schemas);
        let Ok(foreseen) = predict(roles, name, &Value::UNKNOWN, &facts) else { continue };
        // What may or may not be there is judged on the server.
        if !foreseen.undecided.is_empty() {
            continue;
        }
        let resources = foreseen.catalog.resources.iter().map(|it| (&it.origin, &it.attributes));
        let assertions = foreseen.catalog.checks.iter().flat_map(|check| &check.assertions);
        let all = resources.chain(assertions.map(|it| (&it.origin, &it.attributes)));
        let open: BTreeSet<&Arc<str>> = all.filter(|(_, it)| !it.is_wholly_known()).map(|(origin, _)| origin).collect();
        let wrong = andon_converge::validate(&foreseen.catalog).into_iter();
        said.extend(wrong.filter(|(origin, _)| !open.contains(origin)));
    }
    let places = places(project);
    let place = |(origin, message): (Arc<str>, String)| Diagnostic {
        span: places.get(&*origin).copied(),
        ..Diagnostic::error(message)
    };
    found.extend(said.into_iter().map(place));
    found
}

/// What is wrong with the `from` of images. A path may be there by the time that the image is baked.
fn bases(project: &Project) -> Diagnostics {
    let directory = Path::new(&*project.directory);
    let wrong = project.images.values().filter_map(|image| {
        let text = written_string(&image.from).filter(|text| !Source::is_path(text))?;
        let failure = Source::parse(&text, directory).err()?;
        let diagnostic = Diagnostic::error(failure.summary).at(image.from.span).detail(failure.detail);
        Some(failure.help.into_iter().fold(diagnostic, Diagnostic::help))
    });
    wrong.collect()
}

/// Where host resources and assertions are defined, by their origins: `roles/web.role.hcl:12`.
fn places(project: &Project) -> BTreeMap<String, Span> {
    let roles = project.roles.values();
    let spans = roles.flat_map(|role| {
        let assertions = role.checks.iter().flat_map(|check| &check.assertions).map(|assertion| assertion.span);
        role.resources.iter().map(|resource| resource.span).chain(assertions).collect::<Vec<_>>()
    });
    let origin = |span| project.sources.locate(span).rsplit_once(':').map(|(origin, _)| (origin.to_owned(), span));
    spans.filter_map(origin).collect()
}
