//! Objects that are there already and become ours: found by what their provider calls them. Nothing is done to them.

use std::sync::Arc;

use andon_hcl::ast::Ident;
use andon_hcl::parse_expression;
use andon_lang::definitions::{Import, ImportBy, ImportTarget, Project, ResourceKey};
use andon_lang::eval::Moment;
use andon_ledger::{EnvironmentState, Event, OutcomeRecord, Result as Tried};
use andon_plan::{PlanInput, PlanMode, Scope};
use andon_schema::{InstanceAddress, InstanceKey, Mode, Object, ObjectStatus, Schemas, TargetAddress};
use andon_text::{Diagnostic, Diagnostics, SourceId, Span};

use crate::{Sink, World, plan};

/// An object that is to be found.
pub struct Sought<'a> {
    /// The definitions, one of which it is to belong to.
    pub project: &'a Project,
    /// Every schema at hand.
    pub schemas: &'a Arc<Schemas>,
    /// The environment.
    pub environment: &'a Arc<str>,
    /// What there is.
    pub state: &'a EnvironmentState,
    /// The ledger entry that the state goes up to.
    pub sequence: u64,
    /// The instance that it is to become.
    pub address: &'a InstanceAddress,
    /// What its provider calls it.
    pub id: &'a str,
    /// The time, in seconds since 1970.
    pub planned: i64,
}

/// Why an object was not found.
#[derive(Debug)]
pub struct NotFound {
    /// The reasons.
    pub diagnostics: Diagnostics,
    /// The definitions that they are about: those given, and what was asked for.
    pub definitions: Arc<Project>,
}

/// What a provider finds by a name of its own: what an `import` block would take over. Its identity stands for it.
pub fn find(sought: &Sought<'_>, world: &mut dyn World, sink: &mut dyn Sink) -> Result<Object, NotFound> {
    let Sought { address, id, .. } = sought;
    let mut definitions = sought.project.clone();
    let text = format!("import {{\n  to = {}\n  id = {}\n}}\n", address.within_stack(), quoted(id));
    let source = definitions.sources.add("the command line", text.as_str());
    // Nobody wrote that block: it is no place to point at.
    let unplaced = |it: Diagnostic| Diagnostic { span: it.span.filter(|span| span.source != source), ..it };
    let not_found = |diagnostics: Diagnostics, definitions: Arc<Project>| NotFound {
        diagnostics: diagnostics.into_iter().map(unplaced).collect(),
        definitions,
    };
    let stack = definitions.stacks.get_mut(&address.resource.stack);
    let Some(stack) = stack.filter(|_| address.resource.mode == Mode::Managed) else {
        let diagnostic = Diagnostic::error(format!("nothing can be imported into {address}"))
            .help("An object is imported into a resource that a stack of the project defines.");
        return Err(not_found(diagnostic.into(), Arc::new(definitions)));
    };
    let import = block(address, id, source, Span::new(source, 0, text.len()));
    Arc::make_mut(&mut stack.module).imports.push(import);
    let definitions = Arc::new(definitions);
    let target = match TargetAddress::parse(&address.to_string()) {
        Ok(target) => target,
        Err(error) => return Err(not_found(Diagnostic::error(error.to_string()).into(), definitions)),
    };
    let input = PlanInput {
        project: Arc::clone(&definitions),
        schemas: Arc::clone(sought.schemas),
        environment: Arc::clone(sought.environment),
        stacks: Vec::new(),
        state: Arc::new(sought.state.clone()),
        sequence: sought.sequence,
        mode: PlanMode::Normal,
        refresh: true,
        scope: Scope { targets: vec![target], unsaid: true, ..Scope::default() },
        moment: Arc::new(Moment::planning(sought.planned)),
    };
    if input.definition(&address.resource).is_none() {
        let diagnostic = Diagnostic::error(format!("{} is not defined", address.resource))
            .help("Write a `resource` block for it first.");
        return Err(not_found(diagnostic.into(), definitions));
    }
    let planned = match plan(input, world, sink) {
        Ok(planned) => planned,
        Err(diagnostics) => return Err(not_found(diagnostics, definitions)),
    };
    match planned.adopted.into_iter().find(|adoption| adoption.address == **address) {
        Some(adoption) => Ok(adoption.object),
        None => {
            let diagnostic = Diagnostic::error(format!("nothing was found to import into {address}"));
            Err(not_found(diagnostic.into(), definitions))
        }
    }
}

/// The state in which an object is looked for that an open intent of an instance has made, as a user says: without what
/// the object takes the place of, and without what nobody knows yet, as this look is how it becomes known.
pub fn state_to_resolve(state: &EnvironmentState, address: &InstanceAddress) -> EnvironmentState {
    let mut state = state.clone();
    state.instances.remove(address);
    state.pending.clear();
    state
}

/// What takes the place of the outcomes of an instance's open intents: the user says what came of them. Empty where
/// nothing is open.
pub fn resolutions(state: &EnvironmentState, address: &InstanceAddress, found: Option<&Object>) -> Vec<Event> {
    let open = state.pending.values().filter(|intent| intent.address == *address);
    let outcomes = open.map(|intent| OutcomeRecord {
        address: intent.address.clone(),
        action: intent.action,
        identity: intent.identity.clone(),
        result: Tried::Resolved,
        object: found.map(|found| Object {
            identity: intent.identity.clone(),
            // Its provisioners have not come to their end.
            status: if intent.provisioned { ObjectStatus::Tainted } else { found.status },
            dependencies: intent.dependencies.clone(),
            create_before_destroy: intent.create_before_destroy,
            ..found.clone()
        }),
        report: None,
    });
    outcomes.map(Event::Outcome).collect()
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
