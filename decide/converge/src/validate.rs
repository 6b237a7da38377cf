use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::host::{Bytes, Catalog, HostResource};

use crate::args::{Args, resolve, split_key};
use crate::converge::address_of;
use crate::kinds::unit_file;
use crate::notices::Services;
use crate::world::is_path_kind;
use crate::{checks, kinds};

/// What is wrong with a catalog, whatever the server: values that cannot be meant, resources that are defined twice,
/// and notices to services that it does not have. Each with where it is defined.
pub fn validate(catalog: &Catalog) -> Vec<(Arc<str>, String)> {
    let services = Services::of(catalog);
    let mut wrong = Vec::new();
    let whole_files: BTreeMap<Arc<str>, &Arc<str>> = catalog
        .resources
        .iter()
        .filter(|resource| &*resource.kind == "file")
        .map(|resource| (Args::of_resource(resource), &resource.origin))
        .filter(|(args, _)| args.absent || ["content", "content_base64", "source"].iter().any(|it| args.has(it)))
        .map(|(args, origin)| (args.subject("path"), origin))
        .collect();
    let paths: BTreeMap<Arc<str>, &Arc<str>> = (catalog.resources.iter())
        .filter(|resource| is_path_kind(&resource.kind) && !resource.absent)
        .map(|resource| (Args::of_resource(resource).subject("path"), &resource.origin))
        .collect();
    let mut seen: BTreeMap<(&str, Arc<str>), &HostResource> = BTreeMap::new();
    for resource in &catalog.resources {
        let args = Args::of_resource(resource);
        let Some(kind) = kinds::find(&resource.kind) else {
            wrong.push((resource.origin.clone(), format!("there is no kind of host resource `{}`", resource.kind)));
            continue;
        };
        wrong.extend((kind.check)(&args).into_iter().map(|message| (resource.origin.clone(), message)));
        if args.is_secret("validate") {
            let message = "`validate` holds a secret, and everyone on a server sees the words of a process; have the \
                           command read it from a file";
            wrong.push((resource.origin.clone(), message.to_owned()));
        }
        // A source on the server, or of the web, is found when it is looked for.
        let source = args.text("source").filter(|source| !source.starts_with('/') && !source.contains("://"));
        if let Some(source) = source.filter(|_| !args.absent && matches!(&*resource.kind, "file" | "archive"))
            && resolve(args.directory(), &source).is_none_or(|path| !catalog.files.contains_key(&*path))
        {
            wrong.push((resource.origin.clone(), kinds::no_source(&source)));
        }
        if let Some(source) = args.text("source").filter(|_| !args.absent && &*resource.kind == "directory")
            && !has_files(catalog, &args, &source)
        {
            let message = format!(
                "there are no files in `{source}` beside the role; a path of the project begins at the role's directory"
            );
            wrong.push((resource.origin.clone(), message));
        }
        let inside: Arc<str> = format!("{}/", args.subject("path")).into();
        if &*resource.kind == "file"
            && !args.absent
            && let Some((path, origin)) = paths.range(inside.clone()..).next().filter(|it| it.0.starts_with(&*inside))
        {
            let message = format!("{} is a file, and {path}, at {origin}, would be in it", args.subject("path"));
            wrong.push((resource.origin.clone(), message));
        }
        let attribute = subject_attribute(&resource.kind);
        if let (Some(_), Some(attribute)) = (split_key(&resource.name).1, attribute)
            && !args.has(attribute)
        {
            // The instances of a `for_each` share the label, so that it cannot say what each is about. For all of them
            // that is said once.
            let message = format!(
                "{} \"{}\" needs `{attribute}`, as its label is the same for each of its `for_each`; or write \
                 ${{each.key}} into the label",
                resource.kind,
                split_key(&resource.name).0
            );
            if wrong.last() != Some(&(resource.origin.clone(), message.clone())) {
                wrong.push((resource.origin.clone(), message));
            }
        } else if let Some((space, subject)) = subject_of(&resource.kind, &args)
            && let Some(first) = seen.insert((space, subject.clone()), resource)
        {
            let [address, other] = [resource, first].map(|it| address_of(&it.kind, &it.name));
            let place = &first.origin;
            let message = match attribute {
                _ if address == other => format!("{address} is defined already, at {place}"),
                Some(attribute) => {
                    format!("{address} and {other} at {place} are both about the {attribute} `{subject}`")
                }
                None => format!("{address} and {other} at {place} are about the same"),
            };
            wrong.push((resource.origin.clone(), message));
        }
        if matches!(&*resource.kind, "line" | "block")
            && let Some(whole) = whole_files.get(&args.subject("path"))
        {
            let message = format!("it edits a file whose whole content is defined, at {whole}");
            wrong.push((resource.origin.clone(), message));
        }
        for notify in &resource.notifies {
            if services.find(&notify.service).is_none() {
                let verb = if notify.restart { "restarts" } else { "reloads" };
                let message = format!("it {verb} the service `{}`, which this role does not define", notify.service);
                wrong.push((resource.origin.clone(), message));
            }
        }
    }
    for assertion in catalog.checks.iter().flat_map(|check| &check.assertions) {
        match checks::find(&assertion.kind) {
            Some(kind) => {
                let messages = checks::check(kind, &Args::of_assertion(assertion));
                wrong.extend(messages.into_iter().map(|message| (assertion.origin.clone(), message)));
            }
            None => {
                wrong.push((assertion.origin.clone(), format!("there is no kind of check `{}`", assertion.kind)));
            }
        }
    }
    wrong
}

/// The files of the project that a catalog's resources are made of, by their paths.
pub fn sources(catalog: &Catalog) -> BTreeMap<&str, &Bytes> {
    let named = catalog.resources.iter().filter(|resource| !resource.absent).filter_map(|resource| {
        let args = Args::of_resource(resource);
        let path = resolve(args.directory(), &args.text("source")?)?;
        Some((&*resource.kind == "directory", path))
    });
    let mut files = BTreeMap::new();
    for (whole, path) in named {
        let below: Arc<str> = format!("{path}/").into();
        let inside = catalog.files.range(below.clone()..).take_while(|(path, _)| whole && path.starts_with(&*below));
        files.extend(inside.chain(catalog.files.get_key_value(&*path)).map(|(path, content)| (&**path, content)));
    }
    files
}

/// Whether anything is beneath a directory of the project.
fn has_files(catalog: &Catalog, args: &Args, source: &str) -> bool {
    let Some(directory) = resolve(args.directory(), source) else { return false };
    let below: Arc<str> = format!("{directory}/").into();
    catalog.files.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&*below))
}

/// What two resources must not both be about. Lines and blocks share their files, archives their directories.
fn subject_of<'a>(kind: &'a str, args: &Args) -> Option<(&'a str, Arc<str>)> {
    let space = if matches!(kind, "file" | "directory" | "link") { "path" } else { kind };
    let subject = || match kind {
        // A unit and its drop-ins are files of their own.
        "unit" => unit_file(args),
        _ => subject_attribute(kind).map_or_else(|| "".into(), |attribute| args.subject(attribute)),
    };
    (!matches!(kind, "archive" | "authorized_key" | "block" | "exec" | "line")).then(|| (space, subject()))
}

/// The attribute that says what a resource is about, in the place of its label.
fn subject_attribute(kind: &str) -> Option<&'static str> {
    match kind {
        "timezone" | "authorized_key" | "exec" => None,
        "sysctl" => Some("key"),
        "certificate" | "mount" => Some("path"),
        kind if is_path_kind(kind) => Some("path"),
        _ => Some("name"),
    }
}
