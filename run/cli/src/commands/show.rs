//! `show`: what there is, or what a saved plan would do; for people, and as Terraform's formats have it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use andon_engine::project::is_project;
use andon_engine::{Machine, SavedPlan};
use andon_lang::eval::Moment;
use andon_lang::{TERRAFORM_VERSION, variable_values};
use andon_ledger::state_file::StateFile;
use andon_ledger::{EnvironmentState, Timestamp};
use andon_plan::{PlanInput, prior_state, state_of_file};
use andon_schema::{Failure, Schemas};
use andon_text::Diagnostic;
use andon_view::terraform::{Shown, state_text, terraform_plan_json, terraform_state_json};

use super::change::saved_plan;
use crate::args::ShowArguments;
use crate::clock::rfc3339_seconds;
use crate::context::{Context, Stop, interrupt, open_error};
use crate::terminal::{Follower, print_json};

/// At most so many questions are in the air at once.
const PARALLELISM: usize = 16;

/// `andon show`
pub fn run(context: &Context, arguments: &ShowArguments) -> Result<(), Stop> {
    match &arguments.file {
        None => now(context, arguments),
        Some(path) => match saved_plan(path) {
            Some(sealed) => saved(context, arguments, path, &sealed),
            None => file(context, path),
        },
    }
}

/// What there is in the environment.
fn now(context: &Context, arguments: &ShowArguments) -> Result<(), Stop> {
    let project = context.open_any_with_plugins()?;
    let here = project.session.state().environment(&context.environment(&project)?.name);
    let named = context.stacks(&project, arguments.stack.as_slice())?;
    let defined = project.session.project().stacks.keys();
    let there = here.instances.keys().chain(here.data.keys()).map(|address| &address.resource.stack);
    let mut stacks: Vec<Arc<str>> = if named.is_empty() { defined.chain(there).cloned().collect() } else { named };
    stacks.sort();
    stacks.dedup();
    tell_state(context, &here, &stacks, &project.schemas)
}

/// What a state file of Terraform's says.
fn file(context: &Context, path: &Path) -> Result<(), Stop> {
    let refused = |why: &str| {
        Diagnostic::error(format!("`{}` can be shown neither as a plan nor as a state", path.display()))
            .detail(format!("As a state, {why}."))
            .help("Name a plan that `andon plan -out` saved, or a state file of Terraform's.")
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(&format!("it cannot be read: {error}")))?;
    let file = StateFile::read(&text).map_err(|error| refused(&error.to_string()))?;
    // Only a project says which providers know what is in it.
    let schemas = match is_project(&context.arguments.directory) {
        true => context.open_any_with_plugins()?.schemas,
        false => Arc::new(Schemas::default()),
    };
    let state =
        state_of_file(&file, "", &schemas, andon_engine::random).map_err(|error| refused(&error.to_string()))?;
    tell_state(context, &state, &["".into()], &schemas)
}

fn tell_state(context: &Context, state: &EnvironmentState, stacks: &[Arc<str>], schemas: &Schemas) -> Result<(), Stop> {
    if context.arguments.json {
        print_json(&terraform_state_json(state, one_of(stacks)?, TERRAFORM_VERSION));
        return Ok(());
    }
    let texts: Vec<String> = stacks.iter().map(|stack| state_text(state, stack, schemas)).collect();
    let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    context.print(if text.is_empty() { "There is nothing.\n" } else { &text });
    Ok(())
}

/// What a saved plan would do.
fn saved(context: &Context, arguments: &ShowArguments, path: &Path, sealed: &[u8]) -> Result<(), Stop> {
    let refuse = |failure: Failure| {
        let diagnostic = Diagnostic::error(format!("the plan in `{}` cannot be shown", path.display()))
            .detail(format!("{}: {}", failure.summary, failure.detail));
        Stop::from(failure.help.into_iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help)))
    };
    let bytes = context.settings(context.project_directory()?).unseal(sealed).map_err(refuse)?;
    let saved = SavedPlan::decode(&bytes).map_err(refuse)?;
    let project = context.open_saved_to_look(&saved, &arguments.variables)?;
    // It is shown as it was made, whatever has been done since.
    let then = project.session.state_at(saved.based_on).map_err(|error| open_error(&error))?;
    let definitions = Arc::clone(project.session.project());
    let input = PlanInput {
        project: Arc::clone(&definitions),
        schemas: Arc::clone(&project.schemas),
        environment: Arc::clone(&saved.environment),
        stacks: saved.stacks.clone(),
        state: Arc::new(then.environment(&saved.environment)),
        sequence: saved.based_on,
        mode: saved.mode,
        refresh: saved.refresh,
        scope: saved.scope.clone(),
        moment: Arc::new(Moment::planning(saved.planned)),
    };
    let mut machine = Machine::new(project.providers.clone(), PARALLELISM, interrupt());
    let mut follower = Follower::new(context);
    let plan = saved.replay(input.clone(), &mut machine, &mut follower);
    drop(follower);
    let plan = plan.map_err(|diagnostics| {
        context.say_diagnostics(&diagnostics, project.sources());
        Stop::Code(1)
    })?;
    if !context.arguments.json {
        if !plan.warnings.is_empty() {
            context.say_diagnostics(&plan.warnings, project.sources());
        }
        context.print(&andon_view::plan(&plan, context.out));
        return Ok(());
    }
    let named = context.stacks(&project, arguments.stack.as_slice())?;
    let stack = one_of(if named.is_empty() { &plan.stacks } else { &named })?;
    let variables = definitions.stacks.get(stack).map(|it| variable_values(&definitions, &saved.environment, it));
    let shown = Shown {
        project: &definitions,
        schemas: &project.schemas,
        state: &prior_state(&input, &plan),
        stack,
        variables: &variables.unwrap_or_else(BTreeMap::new),
        terraform_version: TERRAFORM_VERSION,
        timestamp: &rfc3339_seconds(Timestamp(saved.planned.saturating_mul(1000))),
        generated: &saved.generated,
        checks: plan.checks.get(stack).map_or(&[], Vec::as_slice),
    };
    print_json(&terraform_plan_json(&plan, shown));
    Ok(())
}

/// Terraform's formats know one stack.
fn one_of(stacks: &[Arc<str>]) -> Result<&str, Stop> {
    match stacks {
        [] => Ok(""),
        [only] => Ok(only),
        all => {
            let names: Vec<&str> = all.iter().map(|name| &**name).collect();
            let help = format!("There are {}: name one with --stack.", names.join(", "));
            Err(Diagnostic::error("Terraform's format is of one stack, and it is not said which").help(help).into())
        }
    }
}
