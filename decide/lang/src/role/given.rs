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
                    match evaluate(&assignment.value, &scope) {
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
    if variable.takes_text() {
        return Ok(Value::string(text));
    }
    let name = &variable.name.name;
    let id = sources.add(format!("--param {name}"), text);
    if names.hides(name) {
        sources.hide(Span::new(id, 0, text.len()));
    }
    let (expr, problems) = andon_hcl::parse_expression(id, text);
    let value = if problems.has_errors() { Err(problems) } else { evaluate(&expr, scope) };
    let help = format!("The type of \"{name}\" is {}: write the value as an expression.", variable.ty);
    value.map_err(|problems| problems.into_iter().map(|problem| problem.help(help.clone())).collect())
}
