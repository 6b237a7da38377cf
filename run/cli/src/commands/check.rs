//! `check`: all that can be said of definitions without asking the world.

use crate::context::{Context, Stop};
use crate::terminal::print_json;

/// `andon check`
pub fn run(context: &Context) -> Result<(), Stop> {
    let project = context.open_with_plugins()?;
    let mut found = project.check();
    found.extend(project.plugins.unchecked());
    let failed = found.has_errors();
    if context.arguments.json {
        let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
        print_json(&serde_json::json!({
            "format_version": "1.0",
            "valid": !failed,
            "error_count": errors,
            "warning_count": found.len() - errors,
            "diagnostics": andon_view::diagnostics_json(&found, project.sources()),
        }));
    } else if !found.is_empty() {
        context.say_diagnostics(&found, project.sources());
    }
    if failed {
        return Err(Stop::Code(1));
    }
    if !context.arguments.json {
        let project = project.session.project();
        let counts = [
            (project.stacks.len(), "stack"),
            (project.roles.len(), "role"),
            (project.images.len(), "image"),
            (project.environments.len(), "environment"),
        ];
        let parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        context.print(&format!("The definitions are sound: {}.\n", parts.join(", ")));
    }
    Ok(())
}
