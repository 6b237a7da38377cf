//! Values of a role's parameters as a command line gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use andon_value::Value;

use crate::FileSet;
use crate::definitions::{Role, Variable};
use crate::eval::{Inputs, evaluate};
use crate::given::GivenArgument;
use crate::load::{SecretNames, read_values};
use crate::shape::suggest;
use crate::variable::Constants;

/// The values that the arguments give the parameters of a lineage, by name; a later argument wins. They are held against
/// their types where the role is evaluated.
pub(crate) fn given(
    lineage: &[Arc<Role>],
    sources: &mut SourceMap,
    arguments: &[GivenArgument],
) -> Result<Value, Diagnostics> {
    // Later ones win: the child's.
    let declared: BTreeMap<&str, &Variable> =
        lineage.iter().flat_map(|role| &role.params).map(|(name, param)| (&**name, param)).collect();
    let names = SecretNames::of(declared.values().copied());
    let files = FileSet::new();
    let scope = Constants(Inputs::of_files(&files, "", ""));
    let role = lineage.last().map(|role| &*role.name.name).unwrap_or_default();
    let mut values: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut out = Diagnostics::new();
    for argument in arguments {
        match argument {
            GivenArgument::Text { name, text } => match declared.get(name.as_str()) {
                None => {
                    let diagnostic = Diagnostic::error(format!("role \"{role}\" has no parameter \"{name}\""));
                    out.push(suggest(diagnostic, name, declared.keys().copied()));
                }
                Some(variable) => match of_text(sources, variable, text, &names, &scope) {
                    Ok(value) => drop(values.insert(name.as_str().into(), value)),
                    Err(problems) => out.extend(problems),
                },
            },
            GivenArgument::File { path, content } => {
                let (found, problems) = read_values(sources, path, content, &names);
                out.extend(problems);
                for (name, assignment) in found {
                    if !declared.contains_key(&*name) {
                        let diagnostic = Diagnostic::error(format!("role \"{role}\" has no parameter \"{name}\""));
                        out.push(suggest(diagnostic.at(assignment.name.span), &name, declared.keys().copied()));
                        continue;
                    }
                    let Some(variable) = declared.get(&*name) else { continue };
                    let value = evaluate(&assignment.value, &scope);
                    match value.and_then(|value| fitting(variable, value, assignment.value.span)) {
                        Ok(value) => drop(values.insert(name, value)),
                        Err(problems) => out.extend(problems),
                    }
                }
            }
        }
    }
    if out.has_errors() { Err(out) } else { Ok(Value::object(values)) }
}

fn of_text(
    sources: &mut SourceMap,
    variable: &Variable,
    text: &str,
    names: &SecretNames<'_>,
    scope: &Constants<'_>,
) -> Result<Value, Diagnostics> {
    let name = &variable.name.name;
    let id = sources.add(format!("--param {name}"), text);
    let place = Span::new(id, 0, text.len());
    if names.hides(name) {
        sources.hide(place);
    }
    if variable.takes_text() {
        return fitting(variable, Value::string(text), place);
    }
    let (expr, problems) = andon_hcl::parse_expression(id, text);
    let value = if problems.has_errors() { Err(problems) } else { evaluate(&expr, scope) };
    let help = format!("The type of \"{name}\" is {}: write the value as an expression.", variable.ty);
    let value = value.and_then(|value| fitting(variable, value, place));
    value.map_err(|problems| problems.into_iter().map(|problem| problem.help(help.clone())).collect())
}

/// The value, where it is one that a parameter takes; else why not, at its place.
fn fitting(variable: &Variable, value: Value, place: Span) -> Result<Value, Diagnostics> {
    match variable.value(Some(value.clone()), "parameter") {
        Ok(_) => Ok(value),
        Err(problems) => {
            Err(problems.into_iter().map(|it| Diagnostic { span: it.span.or(Some(place)), ..it }).collect())
        }
    }
}

/// What is wrong with the parameters of a host that is listed at `place`: those that none of its roles has, and those
/// that have a value of another type.
pub(crate) fn refused_params(lineage: &[Arc<Role>], host: &str, given: &Value, place: Span) -> Diagnostics {
    let declared: BTreeMap<&str, &Variable> =
        lineage.iter().flat_map(|role| &role.params).map(|(name, param)| (&**name, param)).collect();
    let mut out = Diagnostics::new();
    for (name, value) in given.as_entries().into_iter().flat_map(|entries| entries.iter()) {
        match declared.get(&**name) {
            Some(variable) => {
                out.extend(fitting(variable, value.clone().mark(given.marks()), place).err().into_iter().flatten());
            }
            None => {
                let diagnostic = Diagnostic::error(format!("no role of host \"{host}\" has a parameter \"{name}\""));
                out.push(suggest(diagnostic.at(place), name, declared.keys().copied()));
            }
        }
    }
    out
}
