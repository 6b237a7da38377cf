//! `workspace`: Terraform's word for what an environment is. Environments are defined in `andon.hcl`, so that none is
//! made or deleted here; `-e` picks one.

use serde_json::json;

use crate::context::{Context, Stop};
use crate::state_args::WorkspaceCommand;
use crate::terminal::print_json;

/// `andon workspace …`
pub fn run(context: &Context, command: &WorkspaceCommand) -> Result<(), Stop> {
    let project = context.open_definitions()?;
    let current = context.environment(&project)?;
    match command {
        WorkspaceCommand::Show if context.arguments.json => print_json(&json!({ "environment": &*current.name })),
        WorkspaceCommand::Show => context.print(&format!("{}\n", current.name)),
        WorkspaceCommand::List => {
            let all = project.session.project().environments.values();
            if context.arguments.json {
                let rows = all.map(|it| json!({ "name": &*it.name, "current": it.name == current.name }));
                print_json(&json!(rows.collect::<Vec<_>>()));
            } else {
                let line = |name: &str| format!("{} {name}\n", if *name == *current.name { '*' } else { ' ' });
                context.print(&all.map(|it| line(&it.name)).collect::<String>());
            }
        }
    }
    Ok(())
}
