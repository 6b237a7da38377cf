//! `providers`: which providers a project needs and why, what they offer, and packages of them for other platforms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use andon_engine::init::{
    Event, InitError, Looked, Origin, Packages, PackagesOutcome, Platform, Request, Sink, lock_packages,
    mirror_packages,
};
use andon_engine::{Requirements, named};
use andon_schema::ProviderAddress;
use andon_source::Settings;
use andon_text::Diagnostic;
use serde_json::{Value as Json, json};

use crate::args::{LockPackagesArguments, MirrorArguments, ProvidersCommand};
use crate::context::{Context, Project, Stop, interrupt, schema_cache};
use crate::terminal::print_json;

/// `andon providers …`
pub fn run(context: &Context, command: Option<&ProvidersCommand>) -> Result<(), Stop> {
    match command {
        None => tree(context),
        Some(ProvidersCommand::Schema) => schema(context),
        Some(ProvidersCommand::Lock(arguments)) => lock(context, arguments),
        Some(ProvidersCommand::Mirror(arguments)) => mirror(context, arguments),
    }
}

fn tree(context: &Context) -> Result<(), Stop> {
    let project = context.open()?;
    let definitions = project.session.project();
    let kept = andon_engine::kept_providers(project.session.state());
    let stacks = definitions.stacks.values().map(|stack| (&*stack.name, Requirements::of(&stack.module)));
    let stacks: Vec<(&str, Requirements)> = stacks.collect();
    if context.arguments.json {
        let stacks: BTreeMap<&str, Json> =
            stacks.iter().map(|(name, needs)| (*name, requirements_json(needs))).collect();
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        print_json(&json!({ "format_version": "1.0", "stacks": stacks, "state": kept }));
        return Ok(());
    }
    let mut text = String::from("\nProviders required by configuration:\n");
    for (name, needs) in &stacks {
        text.push_str(&format!("{}\n", if name.is_empty() { "." } else { name }));
        add_lines(&mut text, "", needs);
    }
    if !kept.is_empty() {
        text.push_str("\nProviders required by state:\n\n");
        text.extend(kept.iter().map(|address| format!("    provider[{address}]\n")));
    }
    context.print(&(text + "\n"));
    Ok(())
}

/// The providers of a module, then the modules that it calls, each below its line. Modules nest as deep as the loader
/// lets them.
fn add_lines(text: &mut String, before: &str, needs: &Requirements) {
    let count = needs.providers.len() + needs.modules.len();
    let branch = |at: usize| if at + 1 == count { ("└── ", "    ") } else { ("├── ", "│   ") };
    for (at, (address, constraint)) in needs.providers.iter().enumerate() {
        let space = if constraint.is_empty() { "" } else { " " };
        text.push_str(&format!("{before}{}provider[{address}]{space}{constraint}\n", branch(at).0));
    }
    for (at, (name, inner)) in needs.modules.iter().enumerate() {
        let (own, below) = branch(needs.providers.len() + at);
        text.push_str(&format!("{before}{own}module.{name}\n"));
        add_lines(text, &format!("{before}{below}"), inner);
    }
}

fn requirements_json(needs: &Requirements) -> Json {
    let providers =
        needs.providers.iter().map(|(address, it)| json!({ "source": address.to_string(), "versions": it }));
    let modules = needs.modules.iter().map(|(name, inner)| ((**name).to_owned(), requirements_json(inner)));
    json!({ "providers": providers.collect::<Vec<_>>(), "modules": modules.collect::<serde_json::Map<_, _>>() })
}

fn schema(context: &Context) -> Result<(), Stop> {
    if !context.arguments.json {
        return Err(Diagnostic::error("schemas are printed as data alone").help("Ask for it: -json.").into());
    }
    let project = context.open_any_with_plugins()?;
    let offered = project.plugins.terraform_schemas();
    let mut schemas = offered.map_err(|found| {
        context.say_diagnostics(&found, project.sources());
        Stop::Code(1)
    })?;
    schemas.extend(built_in(&project));
    let schemas: BTreeMap<String, Json> = schemas.into_iter().map(|(address, it)| (address.to_string(), it)).collect();
    print_json(&json!({ "format_version": "1.0", "provider_schemas": schemas }));
    Ok(())
}

/// What is built in, of what the project uses.
fn built_in(project: &Project) -> Vec<(ProviderAddress, Json)> {
    let used = andon_engine::built_in_used(project.session.project());
    used.into_iter().map(|address| (address.clone(), andon_view::built_in_schema(&address, &project.schemas))).collect()
}

fn lock(context: &Context, arguments: &LockPackagesArguments) -> Result<(), Stop> {
    let origin = match (&arguments.fs_mirror, &arguments.net_mirror) {
        (Some(directory), _) => Origin::Directory(directory.clone()),
        (_, Some(url)) => Origin::Mirror(url.clone()),
        _ => Origin::Registry,
    };
    let only = arguments.providers.iter().map(|text| {
        ProviderAddress::parse(text)
            .map_err(|error| Stop::from(Diagnostic::error(format!("`{text}` is no provider: {error}"))))
    });
    let only = only.collect::<Result<Vec<_>, _>>()?;
    let project = context.open_definitions()?;
    let request = request(context)?;
    let packages = Packages { init: &request, platforms: platforms(&arguments.platform), only, origin, locked: true };
    let done = followed(context, |sink| lock_packages(&packages, project.session.project(), sink))?;
    tell(context, &project, &done, |looked| {
        let name = format!("{} {}", named(&looked.address), looked.version);
        let line = |(platform, new): &(Platform, bool)| match new {
            true => format!("Locked {name} for {platform}\n"),
            false => format!("Locked {name} for {platform} already\n"),
        };
        looked.platforms.iter().map(line).collect()
    })?;
    if !context.arguments.json {
        context.print(match done.outcome.locked {
            true => "Wrote .terraform.lock.hcl: commit it, so that everybody gets the same.\n",
            false => "The lock file says all of it already.\n",
        });
    }
    Ok(())
}

fn mirror(context: &Context, arguments: &MirrorArguments) -> Result<(), Stop> {
    let project = context.open_definitions()?;
    let request = request(context)?;
    let packages = Packages {
        init: &request,
        platforms: platforms(&arguments.platform),
        only: Vec::new(),
        origin: Origin::Registry,
        locked: arguments.lock_file,
    };
    let directory = &arguments.to;
    let done = followed(context, |sink| mirror_packages(&packages, project.session.project(), directory, sink))?;
    tell(context, &project, &done, |looked| {
        let name = format!("{} {}", named(&looked.address), looked.version);
        let signer = looked.signer.as_ref().map(|key| format!(", signed with the key {key}")).unwrap_or_default();
        let line = |(platform, new): &(Platform, bool)| match new {
            true => format!("Mirrored {name} for {platform}{signer}\n"),
            false => format!("Mirrored {name} for {platform} already\n"),
        };
        looked.platforms.iter().map(line).collect()
    })
}

fn platforms(named: &[Platform]) -> Vec<Platform> {
    if named.is_empty() { vec![Platform::current()] } else { named.to_vec() }
}

fn request(context: &Context) -> Result<Request, Stop> {
    Ok(Request {
        directory: context.project_directory()?.clone(),
        upgrade: false,
        modules: false,
        read_only_lock: false,
        plugin_directories: Vec::<PathBuf>::new(),
        cache: schema_cache(),
        hosts: Settings::from_environment(),
        interrupt: interrupt(),
        kept: Vec::new(),
    })
}

/// Says what is being fetched meanwhile.
fn followed(
    context: &Context,
    work: impl FnOnce(Sink<'_>) -> Result<PackagesOutcome, InitError>,
) -> Result<PackagesOutcome, Stop> {
    let quiet = context.arguments.json;
    let done = work(&|event| {
        if let Event::Fetching(what) = event
            && !quiet
        {
            context.say(&format!("Fetching {what}"));
        }
    });
    done.map_err(|error| Diagnostic::error(error.to_string()).into())
}

fn tell(
    context: &Context,
    project: &Project,
    done: &PackagesOutcome,
    lines: impl Fn(&Looked) -> String,
) -> Result<(), Stop> {
    let outcome = &done.outcome;
    let failed = outcome.diagnostics.has_errors();
    if context.arguments.json {
        let providers = done.looked.iter().map(|looked| {
            let platforms =
                looked.platforms.iter().map(|(platform, new)| json!({ "platform": platform.to_string(), "new": new }));
            json!({
                "address": looked.address.to_string(),
                "version": looked.version.to_string(),
                "platforms": platforms.collect::<Vec<_>>(),
                "signed_with": looked.signer,
            })
        });
        print_json(&json!({
            "format_version": "1.0",
            "complete": !failed && !outcome.interrupted,
            "providers": providers.collect::<Vec<_>>(),
            "lock_file_written": outcome.locked,
            "diagnostics": andon_view::diagnostics_json(&outcome.diagnostics, project.sources()),
        }));
    } else {
        if !outcome.diagnostics.is_empty() {
            context.say_diagnostics(&outcome.diagnostics, project.sources());
        }
        context.print(&done.looked.iter().map(lines).collect::<String>());
    }
    match (outcome.interrupted, failed) {
        (true, _) => Err(Stop::Code(130)),
        (_, true) => Err(Stop::Code(1)),
        _ => Ok(()),
    }
}
