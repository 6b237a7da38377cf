//! `output`: what stacks have published.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_text::{Diagnostic, nearest};
use andon_value::{Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::args::OutputArguments;
use crate::context::{Context, Stop};
use crate::terminal::print_json;

/// A stack, the name of one of its outputs, and its value.
type Published = (Arc<str>, Arc<str>, Value);

/// `andon output`
pub fn run(context: &Context, arguments: &OutputArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let environment = context.environment(&project)?;
    let here = project.session.state().environment(&environment.name);
    let all: BTreeMap<String, Published> = here
        .published
        .into_iter()
        .flat_map(|(stack, outputs)| {
            outputs.into_iter().map(move |(name, value)| (path(&stack, &name), (Arc::clone(&stack), name, value)))
        })
        .collect();
    let chosen: Vec<(&String, &Published)> = match &arguments.name {
        None => all.iter().collect(),
        Some(wanted) => all
            .iter()
            .filter(|(path, (stack, name, _))| *path == wanted || **stack == **wanted || **name == **wanted)
            .collect(),
    };
    match (&arguments.name, chosen.as_slice()) {
        (Some(wanted), []) => {
            let diagnostic = Diagnostic::error(format!("no output `{wanted}` is published in {}", environment.name));
            let names = all.iter().flat_map(|(path, (_, name, _))| [path.as_str(), &**name]);
            let help = match nearest(wanted, names) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => "Outputs are published when an apply ends; `andon output` lists them.".to_owned(),
            };
            Err(diagnostic.help(help).into())
        }
        (Some(_), [(_, (_, _, value))]) if arguments.raw => {
            match andon_value::convert(&shown(value), &Type::String).ok().as_ref().and_then(Value::as_str) {
                Some(text) => {
                    context.print(text);
                    Ok(())
                }
                None => Err(Diagnostic::error("only a string, a number or a bool can be printed with --raw").into()),
            }
        }
        (Some(wanted), [(path, (_, name, value))]) if *path == wanted || **name == **wanted => {
            // Asked for by name, a secret is shown: there is no other way to use it.
            if context.arguments.json {
                print_json(&andon_value::to_json(value).unwrap_or(Json::Null));
            } else {
                context.print(&format!("{}\n", andon_value::render(&shown(value), 0)));
            }
            Ok(())
        }
        _ if context.arguments.json => {
            let mut object = Map::new();
            for (path, (_, _, value)) in chosen {
                // As data it goes to programs, which have no other way to a secret: Terraform gives it, too.
                object.insert(
                    path.clone(),
                    json!({
                        "sensitive": value.is_sensitive(),
                        "type": andon_value::type_to_json(&value.ty()),
                        "value": andon_value::to_json(value).unwrap_or(Json::Null),
                    }),
                );
            }
            print_json(&Json::Object(object));
            Ok(())
        }
        _ => {
            if chosen.is_empty() {
                context.say(&format!("Nothing is published in {}.", environment.name));
            }
            let line =
                |(path, (_, _, value)): (&String, &Published)| format!("{path} = {}\n", andon_value::render(value, 0));
            context.print(&chosen.into_iter().map(line).collect::<String>());
            Ok(())
        }
    }
}

fn path(stack: &str, name: &str) -> String {
    if stack.is_empty() { name.to_owned() } else { format!("{stack}.{name}") }
}

fn shown(value: &Value) -> Value {
    value.clone().unmark().0
}
