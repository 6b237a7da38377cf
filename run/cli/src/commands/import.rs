//! `import`, and `state resolve --id`: an object that is there already becomes ours. Nothing is done to it.

use std::sync::Arc;

use andon_engine::Machine;
use andon_engine::adopt::{self, NotFound, Sought};
use andon_ledger::{EnvironmentState, Event};
use andon_schema::{InstanceAddress, Object};
use andon_text::Diagnostic;
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
    let sought = Sought {
        project: project.session.project(),
        schemas: &project.schemas,
        environment,
        state,
        sequence: project.session.state().sequence,
        address,
        id,
        planned: andon_engine::now().0 / 1000,
    };
    let mut machine = Machine::new(project.providers.clone().in_environment(environment), 32, interrupt());
    let mut follower = Follower::new(context);
    let found = adopt::find(&sought, &mut machine, &mut follower);
    drop(follower);
    found.map_err(|NotFound { diagnostics, definitions }| {
        context.say_diagnostics(&diagnostics, &definitions.sources);
        context.say("Nothing was done.");
        Stop::Code(1)
    })
}

/// An instance in the project's only stack need not name that.
pub fn meant(project: &Project, mut address: InstanceAddress) -> InstanceAddress {
    let mut stacks = project.session.project().stacks.keys();
    if let (Some(only), None, true) = (stacks.next(), stacks.next(), address.resource.stack.is_empty()) {
        address.resource.stack = Arc::clone(only);
    }
    address
}
