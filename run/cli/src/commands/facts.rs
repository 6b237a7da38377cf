//! `facts`: what servers say of themselves, as roles read it.

use std::sync::Arc;

use andon_engine::errand::facts_of;
use andon_host::fact_names;
use andon_schema::Failure;
use andon_text::{Diagnostic, nearest};
use andon_value::Value;
use andon_view::FactsOutcome;

use crate::context::{Context, Stop};
use crate::look_args::FactsArguments;
use crate::servers::{Chosen, STOPPED, Work, helper, on_all, refused, stopped_by_hand};
use crate::terminal::print_json;

/// `andon facts`
pub fn run(context: &Context, arguments: &FactsArguments) -> Result<(), Stop> {
    for name in &arguments.names {
        if !fact_names().any(|known| known == name) {
            let diagnostic = Diagnostic::error(format!("there is no fact `{name}`"));
            let near = nearest(name, fact_names());
            let help =
                near.map_or_else(|| "`andon facts` shows all.".to_owned(), |near| format!("Did you mean `{near}`?"));
            return Err(diagnostic.help(help).into());
        }
    }
    let chosen = Chosen::find(context, &arguments.servers.on)?;
    let wanted: Vec<Arc<str>> = arguments.names.iter().map(|name| name.as_str().into()).collect();
    let look = |place: usize, say: &dyn Fn(&str)| -> FactsOutcome {
        let host = chosen.hosts.get(place).ok_or_else(|| Failure::new("there is no such server", ""))?;
        let facts = facts_of(&chosen.target(host)?, helper(), &wanted, &mut |line| say(line))?;
        // Some facts are gathered together.
        let entries = facts.as_entries().into_iter().flat_map(|entries| entries.iter());
        let entries = entries.filter(|(name, _)| wanted.is_empty() || wanted.contains(*name));
        Ok(Value::object(entries.map(|(name, value)| (name.clone(), value.clone()))))
    };
    let words = |outcome: &FactsOutcome| match outcome {
        Ok(_) => "done".to_owned(),
        Err(failure) => failure.summary.clone(),
    };
    let work = Work { on: &look, has_failed: &Result::is_err, words: &words };
    let names = chosen.names();
    let answers = on_all(context, &names, arguments.servers.strategy(), &work).into_iter();
    let answers = answers.map(|answer| answer.unwrap_or_else(|why| Err(Failure::new("it was not asked", why))));
    let outcomes: Vec<(Arc<str>, FactsOutcome)> = names.into_iter().zip(answers).collect();
    match outcomes.as_slice() {
        [(_, Ok(facts))] if arguments.servers.is_local() && context.arguments.json => {
            print_json(&andon_view::value_json(facts));
        }
        _ if context.arguments.json => outcomes.iter().for_each(|outcome| print_json(&andon_view::facts_json(outcome))),
        [(_, Ok(facts))] => context.print(&andon_view::facts_lines(facts)),
        [(_, Err(failure))] => return Err(refused(failure)),
        _ => context.print(&andon_view::facts_grouped(&outcomes, context.look(false))),
    }
    match outcomes.iter().any(|(_, outcome)| outcome.is_err()) {
        true if stopped_by_hand() => Err(Stop::Code(STOPPED)),
        true => Err(Stop::Code(1)),
        false => Ok(()),
    }
}
