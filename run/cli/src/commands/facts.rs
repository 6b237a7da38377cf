//! `facts`: what a server says of itself, as roles read it.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_host::{fact_names, facts};
use andon_schema::host::Stage;
use andon_text::{Diagnostic, nearest};
use andon_value::{Value, render};

use crate::context::{Context, Stop};
use crate::look_args::FactsArguments;
use crate::terminal::print_json;

/// `andon facts`
pub fn run(context: &Context, arguments: &FactsArguments) -> Result<(), Stop> {
    only_here(&arguments.on)?;
    for name in &arguments.names {
        if !fact_names().any(|known| known == name) {
            let diagnostic = Diagnostic::error(format!("there is no fact `{name}`"));
            let near = nearest(name, fact_names());
            let help =
                near.map_or_else(|| "`andon facts` shows all.".to_owned(), |near| format!("Did you mean `{near}`?"));
            return Err(diagnostic.help(help).into());
        }
    }
    let wanted: BTreeSet<Arc<str>> = arguments.names.iter().map(|name| name.as_str().into()).collect();
    let found = facts(Stage::Live, Some(&wanted).filter(|wanted| !wanted.is_empty()));
    let shown = found.as_entries().into_iter().flat_map(|entries| entries.iter());
    let shown: Vec<(&Arc<str>, &Value)> =
        shown.filter(|(name, _)| wanted.is_empty() || wanted.contains(*name)).collect();
    if context.arguments.json {
        print_json(&andon_view::value_json(&Value::object(
            shown.into_iter().map(|(name, it)| (name.clone(), it.clone())),
        )));
        return Ok(());
    }
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in shown {
        context.print(&format!("{name:width$} = {}\n", render(value, 0)));
    }
    Ok(())
}

/// Refuses what is not this machine.
pub fn only_here(on: &str) -> Result<(), Stop> {
    if on == andon_engine::hosts::LOCAL {
        return Ok(());
    }
    Err(Diagnostic::error(format!("`{on}` is not this machine, and only this machine can be looked at so"))
        .help("Run the same command there: andon exec 'andon facts' --on SERVERS")
        .into())
}
