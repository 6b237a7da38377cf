//! `import`, and `state resolve --id`: an object that is there already becomes ours. Nothing is done to it.

use std::sync::Arc;

use andon_engine::{Machine, plan};
use andon_hcl::ast::Ident;
use andon_hcl::parse_expression;
use andon_lang::definitions::{Import, ImportBy, ImportTarget, ResourceKey};
use andon_lang::eval::Moment;
use andon_ledger::{EnvironmentState, Event};
use andon_plan::{PlanInput, PlanMode, Scope};
use andon_schema::{InstanceAddress, InstanceKey, Mode, Object, TargetAddress};
use andon_text::{Diagnostic, SourceId, Span};
use serde_json::json;

use super::change::identities;
use super::state::{Decided, instance, record};
use crate::args::ImportArguments;
use crate::context::{Context, Project, Stop, interrupt};
use crate::terminal::Follower;

/// `andon import`
pub fn run(context: &Context, arguments: &ImportArguments) -> Result<(), Stop> {
    let project = context.open_sound_with_plugins()?;
    let address = meant(&project, instance(&arguments.address)?);
    let id = &arguments.id;
    let decide = |state: &EnvironmentState| -> Result<Decided, Stop> {
        if state.current(&address).is_some() {
            return Err(Diagnostic::error(format!("there is an object at {address} already"))
                .help("`andon state rm` has it forgotten, without anything done to it; nothing was done.")
                .into());
        }
        let found = found(context, &project, state, &address, id)?;
        let mut identity = identities();
        let object = Object { identity: identity(), ..found };
        let event = Event::Adopted { address: address.clone(), object, deposed: false };
        let lines = vec![format!("{address} is known from now on, as `{id}`.")];
        Ok(Decided { events: vec![event], lines, data: json!({ "address": address.to_string(), "id": id }) })
    };
    record(context, &format!("import {address}"), &arguments.lock, false, decide)
}

/// What a provider finds by a name of its own: what an `import` block would take over. Its identity stands for it.
pub fn found(
    context: &Context,
    project: &Project,
    state: &EnvironmentState,
    address: &InstanceAddress,
    id: &str,
) -> Result<Object, Stop> {
    let environment = &context.environment(project)?.name;
    let mut definitions = (**project.session.project()).clone();
    let text = format!("import {{\n  to = {}\n  id = {}\n}}\n", address.within_stack(), quoted(id));
    let source = definitions.sources.add("the command line", text.as_str());
    let stack = definitions.stacks.get_mut(&address.resource.stack);
    let Some(stack) = stack.filter(|_| address.resource.mode == Mode::Managed) else {
        return Err(Diagnostic::error(format!("nothing can be imported into {address}"))
            .help("An object is imported into a resource that a stack of the project defines.")
            .into());
    };
    let import = block(address, id, source, Span::new(source, 0, text.len()));
    Arc::make_mut(&mut stack.module).imports.push(import);
    let target =
        TargetAddress::parse(&address.to_string()).map_err(|error| Stop::from(Diagnostic::error(error.to_string())))?;
    let definitions = Arc::new(definitions);
    let input = PlanInput {
        project: Arc::clone(&definitions),
        schemas: Arc::clone(&project.schemas),
        environment: Arc::clone(environment),
        stacks: Vec::new(),
        state: Arc::new(state.clone()),
        sequence: project.session.state().sequence,
        mode: PlanMode::Normal,
        refresh: true,
        scope: Scope { targets: vec![target], ..Scope::default() },
        moment: Arc::new(Moment::planning(andon_engine::now().0 / 1000)),
    };
    let mut machine = Machine::new(project.providers.clone().in_environment(environment), 32, interrupt());
    let mut follower = Follower::new(context);
    let planned = plan(input, &mut machine, &mut follower);
    drop(follower);
    let planned = planned.map_err(|diagnostics| {
        context.say_diagnostics(&diagnostics, &definitions.sources);
        context.say("Nothing was done.");
        Stop::Code(1)
    })?;
    let depends = planned.depends.into_iter().find(|depends| depends.address == *address);
    let adoption = planned.adopted.into_iter().find(|adoption| adoption.address == *address);
    let adoption = adoption.ok_or_else(|| {
        Diagnostic::error(format!("nothing was found to import into {address}")).help("Nothing was done.")
    })?;
    let dependencies = depends.map_or(adoption.object.dependencies, |depends| depends.dependencies);
    Ok(Object { dependencies, ..adoption.object })
}

/// An instance in the project's only stack need not name that.
pub fn meant(project: &Project, mut address: InstanceAddress) -> InstanceAddress {
    let mut stacks = project.session.project().stacks.keys();
    if let (Some(only), None, true) = (stacks.next(), stacks.next(), address.resource.stack.is_empty()) {
        address.resource.stack = Arc::clone(only);
    }
    address
}

/// The block that says the same as the command.
fn block(address: &InstanceAddress, id: &str, source: SourceId, span: Span) -> Import {
    let key = |key: &Option<InstanceKey>| {
        key.as_ref().map(|key| match key {
            InstanceKey::Index(index) => parse_expression(source, &index.to_string()).0,
            InstanceKey::Name(name) => parse_expression(source, &quoted(name)).0,
        })
    };
    let resource = &address.resource;
    let module =
        resource.module.iter().map(|step| (Ident { name: Arc::clone(&step.name), span }, key(&step.key))).collect();
    let (mode, kind, name) = (resource.mode, Arc::clone(&resource.kind), Arc::clone(&resource.name));
    Import {
        to: ImportTarget { module, resource: ResourceKey { mode, kind, name }, key: key(&address.key), span },
        by: ImportBy::Id(parse_expression(source, &quoted(id)).0),
        provider: None,
        for_each: None,
        span,
    }
}

/// A text as a string of the definitions' language, which reads nothing into it.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            letter => letter.to_string(),
        })
        .collect();
    format!("\"{}\"", escaped.replace("${", "$${").replace("%{", "%%{"))
}
