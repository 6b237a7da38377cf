//! `plan -generate-config-out`: definitions of what is imported and not defined yet.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use andon_engine::{Completion, Job, Machine, Ticket, World, plan};
use andon_hcl::ast::Body;
use andon_lang::definitions::{IgnoreChanges, Import, Lifecycle, Module, ResourceDefinition, ResourceKey};
use andon_lang::eval::Moment;
use andon_plan::{Adoption, PlanInput, PlanMode, Scope};
use andon_schema::{Block, ImportBy, InstanceAddress, Planned, Question, Schemas, TargetAddress};
use andon_text::{Diagnostic, Diagnostics};
use andon_view::terraform::generated_resource;

use crate::args::PlanArguments;
use crate::context::{Context, Project, Stop, interrupt};
use crate::terminal::Follower;

/// What the file begins with.
const HEAD: &str = "\
# __generated__ by Andon
# Look these resources over, and move them to the definitions that they belong to.
";

/// Has definitions be written for what the project imports and does not define, and says of what; no file where there is
/// no such thing.
pub fn generate(context: &Context, arguments: &PlanArguments, path: &Path) -> Result<Vec<InstanceAddress>, Stop> {
    let place = context.project_directory()?.join(path);
    if place.exists() {
        return Err(Diagnostic::error(format!("the file `{}` is there already", path.display()))
            .detail("Definitions are generated into a new file.")
            .help("Name another file, or move what is in this one elsewhere and delete it; nothing was done.")
            .into());
    }
    let project = context.open_sound_with_plugins()?;
    let found = look(context, &project, arguments, &place)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut text = HEAD.to_owned();
    for (adoption, import) in &found {
        text.push_str(&described(&project, adoption, import));
    }
    let written = OpenOptions::new().write(true).create_new(true).open(&place);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        Diagnostic::error(format!("the file `{}` cannot be written", path.display())).detail(format!("{error}."))
    })?;
    let count = if found.len() == 1 { "1 object".to_owned() } else { format!("{} objects", found.len()) };
    context.say(&format!("Wrote the definitions of {count} to {}: look them over.", path.display()));
    Ok(found.into_iter().map(|(adoption, _)| adoption.address).collect())
}

/// Asks how the objects are that are imported and not defined.
fn look(
    context: &Context,
    project: &Project,
    arguments: &PlanArguments,
    place: &Path,
) -> Result<Vec<(Adoption, Import)>, Stop> {
    let selected = context.stacks(project, &arguments.stacks.stacks)?;
    let mut definitions = (**project.session.project()).clone();
    let mut schemas = Schemas::clone(&project.schemas);
    let mut wanted: Vec<(TargetAddress, Import)> = Vec::new();
    let mut problems = Diagnostics::new();
    for stack in definitions.stacks.values_mut().filter(|it| selected.is_empty() || selected.contains(&it.name)) {
        let name = Arc::clone(&stack.name);
        let module = Arc::make_mut(&mut stack.module);
        let here = context.arguments.directory.join(&*module.directory);
        for import in module.imports.clone() {
            if !import.to.module.is_empty() || module.resources.contains_key(&import.to.resource) {
                continue;
            }
            if import.for_each.is_some() || import.to.key.is_some() {
                problems.push(
                    Diagnostic::error("no definition can be generated for this import")
                        .at(import.to.span)
                        .label("this may be one of several instances")
                        .detail("What has `count` or `for_each` is only known to whoever writes it.")
                        .help("Write a `resource` block for it."),
                );
                continue;
            }
            if place.parent() != Some(&here) || place.extension().is_none_or(|it| it != "tf") {
                return Err(Diagnostic::error(format!("`{}` would be no part of the stack", place.display()))
                    .at(import.to.span)
                    .label("this is to be defined there")
                    .help(format!("Name a new file `*.tf` in `{}`; nothing was done.", here.display()))
                    .into());
            }
            let prefix = if name.is_empty() { String::new() } else { format!("{name}/") };
            let target = format!("{prefix}{}.{}", import.to.resource.kind, import.to.resource.name);
            let target = TargetAddress::parse(&target).map_err(|error| Diagnostic::error(error.to_string()))?;
            let definition = undemanding(&import);
            relax(&mut schemas, module, &definition);
            module.resources.insert(import.to.resource.clone(), Arc::new(definition));
            wanted.push((target, import));
        }
    }
    let definitions = Arc::new(definitions);
    if problems.has_errors() {
        context.say_diagnostics(&problems, &definitions.sources);
        return Err(Stop::Code(1));
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let state = project.session.state();
    let environment = &context.environment(project)?.name;
    let input = PlanInput {
        project: Arc::clone(&definitions),
        schemas: Arc::new(schemas),
        environment: Arc::clone(environment),
        stacks: selected,
        state: Arc::new(state.environment(environment)),
        sequence: state.sequence,
        mode: PlanMode::Normal,
        refresh: arguments.scope.refreshes(),
        scope: Scope {
            targets: wanted.iter().map(|(target, _)| target.clone()).collect(),
            unsaid: true,
            ..Scope::default()
        },
        moment: Arc::new(Moment::planning(andon_engine::now().0 / 1000)),
    };
    let machine = Machine::new(project.providers.clone(), arguments.parallelism, interrupt());
    let mut world = AsTheyAre { world: machine, targets: input.scope.targets.clone(), ready: VecDeque::new() };
    let mut follower = Follower::new(context);
    let planned = plan(input, &mut world, &mut follower);
    drop(follower);
    let planned = planned.map_err(|diagnostics| {
        context.say_diagnostics(&diagnostics, &definitions.sources);
        Stop::Code(1)
    })?;
    let import_of = |adoption: &Adoption| {
        let found = wanted.iter().find(|(target, _)| target.to_string() == adoption.address.resource.to_string());
        found.map(|(_, import)| import.clone())
    };
    Ok(planned.adopted.into_iter().filter_map(|it| import_of(&it).map(|import| (it, import))).collect())
}

/// A world in which some objects stay as they are, whatever is asked for: no provider hears of definitions that say
/// nothing.
struct AsTheyAre {
    world: Machine,
    targets: Vec<TargetAddress>,
    ready: VecDeque<Completion>,
}

impl World for AsTheyAre {
    fn start(&mut self, ticket: Ticket, job: Job) {
        match job {
            Job::Ask(Question::PlanChange { address, prior: Some(prior), .. })
                if self.targets.iter().any(|target| target.has(&address)) =>
            {
                let planned = Planned { legacy: true, ..Planned::new(prior.unmark_deep().0, &[], None) };
                self.ready.push_back(Completion::Answered(ticket, planned.into()));
            }
            job => self.world.start(ticket, job),
        }
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        match self.ready.pop_front() {
            Some(completion) => completion,
            None => self.world.wait(at_most),
        }
    }
}

/// A definition that asks for nothing: whatever the object is, it may stay.
fn undemanding(import: &Import) -> ResourceDefinition {
    let ResourceKey { mode, kind, name } = import.to.resource.clone();
    ResourceDefinition {
        key: ResourceKey { mode, kind, name },
        body: Body::default(),
        count: None,
        for_each: None,
        depends_on: Vec::new(),
        provider: import.provider.clone().map(Box::new),
        lifecycle: Lifecycle { ignore_changes: IgnoreChanges::All, ..Lifecycle::default() },
        provisioners: Vec::new(),
        connection: None,
        span: import.span,
    }
}

/// Has the type of a definition need no argument.
fn relax(schemas: &mut Schemas, module: &Module, definition: &ResourceDefinition) {
    let provider = schemas.providers.get_mut(&module.provider_of(definition)).map(Arc::make_mut);
    let Some(schema) = provider.and_then(|it| it.resources.get_mut(&*definition.key.kind)) else { return };
    for attribute in schema.block.attributes.values_mut().filter(|attribute| attribute.required) {
        (attribute.required, attribute.optional) = (false, true);
    }
    schema.block.blocks.values_mut().for_each(|nested| nested.min_items = 0);
}

fn described(project: &Project, adoption: &Adoption, import: &Import) -> String {
    let definition = undemanding(import);
    let address = &adoption.address.resource;
    let nothing = Block::default();
    let stack = project.session.project().stacks.get(&address.stack);
    let schema = stack.and_then(|stack| {
        let provider = stack.module.provider_of(&definition);
        project.schemas.type_of(&provider, address.mode, &address.kind).ok().flatten()
    });
    let provider = import.provider.as_ref().map(|provider| match &provider.alias {
        Some(alias) => format!("{}.{}", provider.name.name, alias.name),
        None => provider.name.name.to_string(),
    });
    let from = match &adoption.by {
        // In a remark nothing is evaluated.
        Some(ImportBy::Id(id)) => {
            format!(" from {}", andon_value::quote(id).replace("$${", "${").replace("%%{", "%{"))
        }
        _ => String::new(),
    };
    let block = schema.map_or(&nothing, |schema| &schema.block);
    let text = generated_resource(&address.kind, &address.name, provider.as_deref(), &adoption.object.value, block);
    format!("\n# __generated__ by Andon{from}\n{text}")
}
