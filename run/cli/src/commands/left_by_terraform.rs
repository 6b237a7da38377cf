//! What Terraform left in a directory: a state that nobody took over would be planned as if nothing was there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_lang::definitions::Environment;
use andon_text::Diagnostic;
use serde_json::Value as Json;

use crate::context::{Context, DEFAULT, Project, Stop};

/// Refuses to plan an environment of which nothing was ever recorded, where Terraform knows of objects.
pub fn refuse(
    context: &Context,
    project: &Project,
    environment: &Environment,
    stacks: &[Arc<str>],
) -> Result<(), Stop> {
    if project.session.state().environments.contains_key(&environment.name) {
        return Ok(());
    }
    let defined = &project.session.project().stacks;
    for stack in defined.values().filter(|stack| stacks.is_empty() || stacks.contains(&stack.name)) {
        let at = |path: PathBuf| Path::new(&*stack.module.directory).join(path);
        let after = if stack.name.is_empty() { String::new() } else { format!(" {}", stack.name) };
        let refused = |path: &Path, summary: String, how: String| {
            let diagnostic = Diagnostic::error(summary).subject(path.display().to_string());
            let diagnostic = diagnostic.detail("Nothing is recorded here yet: a plan would make all of it once more.");
            diagnostic.help(how).help(format!("To go on without it, move `{}` away.", path.display())).into()
        };
        for path in state_files(project, &environment.name).into_iter().map(at) {
            if read(context, &path).is_some_and(|state| has_objects(&state)) {
                let how = format!("Take it over: andon state push {}{after}", path.display());
                return Err(refused(&path, "Terraform's state has objects that nobody took over".to_owned(), how));
            }
        }
        let path = at(".terraform/terraform.tfstate".into());
        let kept = read(context, &path).and_then(|it| Some(it.get("backend")?.get("type")?.as_str()?.to_owned()));
        if let Some(kind) = kept {
            let how = format!(
                "Take it over: `terraform state pull > FILE` with the backend's block in place, then `andon state push \
                 FILE{after}` without it."
            );
            return Err(refused(&path, format!("Terraform keeps a state in the backend \"{kind}\""), how));
        }
    }
    Ok(())
}

/// Where Terraform keeps the state of an environment. The first file may be meant, too, where none has that name.
fn state_files(project: &Project, environment: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if environment == DEFAULT || !project.session.project().environments.contains_key(DEFAULT) {
        files.push("terraform.tfstate".into());
    }
    if environment != DEFAULT {
        files.push(Path::new("terraform.tfstate.d").join(environment).join("terraform.tfstate"));
    }
    files
}

/// What cannot be read as JSON holds no state.
fn read(context: &Context, path: &Path) -> Option<Json> {
    serde_json::from_slice(&std::fs::read(context.arguments.directory.join(path)).ok()?).ok()
}

/// Whether any resource is managed. Before version 4 resources were in modules.
fn has_objects(state: &Json) -> bool {
    let list = |json: &Json, name: &str| json.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    let managed = |it: &Json| it.get("mode").is_some_and(|mode| mode == "managed") && !list(it, "instances").is_empty();
    let older = |it: &Json| it.get("resources").and_then(Json::as_object).is_some_and(|all| !all.is_empty());
    list(state, "resources").iter().any(managed) || list(state, "modules").iter().any(older)
}
