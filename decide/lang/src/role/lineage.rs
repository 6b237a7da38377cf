//! The roles that a role is made of, and the values of their parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::Ident;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Kind, Type, Value, convert};

use super::circle_of;
use crate::definitions::{Role, Variable};
use crate::shape::suggest;

/// A role's ancestors, depth first and each once, then the role itself. Inherited names are held against `roles`.
pub(crate) fn lineage(roles: &BTreeMap<Arc<str>, Arc<Role>>, role: &Arc<Role>) -> Result<Vec<Arc<Role>>, Diagnostic> {
    let mut done = Vec::new();
    descend(roles, role, &mut Vec::new(), &mut done)?;
    Ok(done)
}

/// What stands between the names of several roles; no name has it.
const AND: char = '+';

/// The name of several roles as one: `base+web`. It can be used wherever a role is evaluated, and means a role that
/// inherits each of them in this order and adds nothing: what two of them inherit is done once, and what one removes
/// for the others' sake stays.
pub fn together<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(&AND.to_string())
}

/// The names of roles that are named as one.
pub fn apart(name: &str) -> impl Iterator<Item = &str> {
    name.split(AND)
}

/// The role of a name, or of several names as one.
pub(crate) fn find(
    roles: &BTreeMap<Arc<str>, Arc<Role>>,
    name: &str,
    place: Option<Span>,
) -> Result<Arc<Role>, Diagnostic> {
    let Some((first, _)) = name.split_once(AND) else { return one(roles, name, place).cloned() };
    let first = one(roles, first, place)?;
    let span = place.unwrap_or(first.span);
    let parent = |name| Ok(Ident { name: one(roles, name, place)?.name.name.clone(), span });
    Ok(Arc::new(Role {
        name: Ident { name: name.into(), span },
        inherits: apart(name).map(parent).collect::<Result<_, Diagnostic>>()?,
        params: BTreeMap::new(),
        locals: BTreeMap::new(),
        resources: Vec::new(),
        checks: Vec::new(),
        directory: first.directory.clone(),
        span,
    }))
}

fn one<'r>(
    roles: &'r BTreeMap<Arc<str>, Arc<Role>>,
    name: &str,
    place: Option<Span>,
) -> Result<&'r Arc<Role>, Diagnostic> {
    roles.get(name).ok_or_else(|| {
        let diagnostic = Diagnostic::error(format!("there is no role \"{name}\"")).named(Diagnostic::UNDECLARED);
        suggest(Diagnostic { span: place, ..diagnostic }, name, roles.keys().map(|name| &**name))
    })
}

/// For each role of a lineage the places of those that it is made of, and its own.
pub(super) fn sees(lineage: &[Arc<Role>]) -> Vec<BTreeSet<usize>> {
    let mut sees: Vec<BTreeSet<usize>> = Vec::new();
    for (index, role) in lineage.iter().enumerate() {
        let parents = lineage.iter().zip(&sees);
        let parents = parents.filter(|(other, _)| role.inherits.iter().any(|name| name.name == other.name.name));
        let mut seen: BTreeSet<usize> = parents.flat_map(|(_, sees)| sees.iter().copied()).collect();
        seen.insert(index);
        sees.push(seen);
    }
    sees
}

fn descend<'r>(
    roles: &'r BTreeMap<Arc<str>, Arc<Role>>,
    role: &'r Arc<Role>,
    way: &mut Vec<&'r Arc<Role>>,
    done: &mut Vec<Arc<Role>>,
) -> Result<(), Diagnostic> {
    if done.iter().any(|other| other.name.name == role.name.name) {
        return Ok(());
    }
    way.push(role);
    for parent in &role.inherits {
        if let Some(from) = way.iter().position(|other| other.name.name == parent.name) {
            let circle: Vec<&Arc<Role>> = way.iter().skip(from).copied().collect();
            return Err(circle_of_roles(&circle));
        }
        descend(roles, one(roles, &parent.name, Some(parent.span))?, way, done)?;
    }
    way.pop();
    done.push(role.clone());
    Ok(())
}

/// A circle of roles, each of which inherits the next. It is told alike from wherever in it one begins.
fn circle_of_roles(circle: &[&Arc<Role>]) -> Diagnostic {
    let first = (0..circle.len()).min_by_key(|at| circle.get(*at).map(|role| &role.name.name)).unwrap_or(0);
    let (end, start) = circle.split_at(first);
    let roles: Vec<&Arc<Role>> = start.iter().chain(end).copied().collect();
    let next = roles.iter().skip(1).chain(roles.first());
    let parts = roles.iter().zip(next).map(|(role, next)| {
        let inherited = role.inherits.iter().find(|parent| parent.name == next.name.name);
        (format!("role {}", role.name.name), inherited.map_or(role.span, |parent| parent.span))
    });
    circle_of("roles inherit from each other in a circle", &parts.collect::<Vec<_>>())
}

/// Where given parameters are written.
pub(crate) struct Places<'a> {
    /// One parameter's value, by name.
    pub of: &'a dyn Fn(&str) -> Option<Span>,
    /// One parameter's name, by name.
    pub key: &'a dyn Fn(&str) -> Option<Span>,
    /// What to point at where a parameter is missing.
    pub head: Option<Span>,
}

/// Values of the parameters of every role of a lineage by name, held against what is given. A child's definition
/// overrides its parents'.
pub(crate) fn params(
    lineage: &[Arc<Role>],
    given: &Value,
    places: &Places<'_>,
) -> Result<BTreeMap<Arc<str>, Value>, Diagnostics> {
    let name = lineage.last().map(|role| &*role.name.name).unwrap_or_default();
    // Later ones win: the child's.
    let mut declared: BTreeMap<Arc<str>, &Variable> = BTreeMap::new();
    for role in lineage {
        declared.extend(role.params.iter().map(|(name, param)| (name.clone(), param)));
    }
    let mut out = Diagnostics::new();
    let nothing = BTreeMap::new();
    let unknown = given.is_unknown();
    let entries = match given.kind() {
        Kind::Object(entries) | Kind::Map(_, entries) => &**entries,
        Kind::Null(_) | Kind::Unknown(..) => &nothing,
        _ => {
            let message = format!("parameters are an object of values by name, but this is {}", given.ty().in_words());
            return Err(Diagnostic { span: places.head, ..Diagnostic::error(message) }.into());
        }
    };
    for given in entries.keys().filter(|given| !declared.contains_key(*given)) {
        let diagnostic = Diagnostic::error(format!("role \"{name}\" has no parameter \"{given}\""));
        let diagnostic = Diagnostic { span: (places.key)(given).or(places.head), ..diagnostic };
        out.push(suggest(diagnostic, given, declared.keys().map(|name| &**name)));
    }
    let mut values = BTreeMap::new();
    let sees = sees(lineage);
    for (param, variable) in &declared {
        if !unknown && !entries.contains_key(param) {
            out.extend(torn(lineage, &sees, param, places.head));
        }
        let given = entries.get(param).map(|value| value.clone().mark(given.marks()));
        if given.is_none() && (unknown || variable.default.is_none()) {
            if !unknown {
                out.push(missing(name, param, variable, places.head));
            }
            values.insert(param.clone(), Value::unknown(variable.ty.without_optional()));
            continue;
        }
        let place = given.is_some().then(|| (places.of)(param).or(places.head)).flatten();
        match variable.value(given, "parameter") {
            Ok(value) => {
                // A parent may ask for less than the child, never for something else.
                let narrower = lineage.iter().filter_map(|role| role.params.get(param));
                match narrower.map(|other| convert(&value, &other.ty)).find_map(Result::err) {
                    Some(error) => out.push(
                        Diagnostic::error(format!("parameter \"{param}\" has a value that an inherited role refuses"))
                            .at(variable.span)
                            .label(error.to_string()),
                    ),
                    None => drop(values.insert(param.clone(), value)),
                }
            }
            Err(errors) => {
                values.insert(param.clone(), Value::unknown(Type::Dynamic));
                out.extend(errors.into_iter().map(|error| Diagnostic { span: error.span.or(place), ..error }));
            }
        }
    }
    if out.is_empty() { Ok(values) } else { Err(out) }
}

/// A parameter without a value for which roles that know nothing of each other have different defaults.
fn torn(lineage: &[Arc<Role>], sees: &[BTreeSet<usize>], param: &str, head: Option<Span>) -> Option<Diagnostic> {
    let declaring: Vec<(usize, &Variable)> =
        lineage.iter().enumerate().filter_map(|(index, role)| Some((index, role.params.get(param)?))).collect();
    // One that a role below it overrides counts no more.
    let counts = |index: usize| {
        !declaring
            .iter()
            .any(|(other, _)| *other != index && sees.get(*other).is_some_and(|sees| sees.contains(&index)))
    };
    let mut counting = declaring.iter().filter(|(index, variable)| variable.default.is_some() && counts(*index));
    let (first, variable) = counting.next()?;
    let value = variable.value(None, "parameter").ok();
    let (other, different) = counting.find(|(_, other)| other.value(None, "parameter").ok() != value)?;
    let name = |index: &usize| lineage.get(*index).map(|role| &*role.name.name).unwrap_or_default();
    let diagnostic = Diagnostic::error(format!(
        "roles \"{}\" and \"{}\" have different defaults for the parameter \"{param}\"",
        name(first),
        name(other)
    ))
    .related(variable.span, "one is here")
    .related(different.span, "the other is here")
    .help(format!("Give it a value for both: params = {{ {param} = … }}"));
    Some(Diagnostic { span: head, ..diagnostic })
}

fn missing(role: &str, param: &str, variable: &Variable, head: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("role \"{role}\" needs the parameter \"{param}\""))
        .related(variable.span, "defined here without a default")
        .help(format!("Add it to the parameters: params = {{ {param} = … }}"));
    Diagnostic { span: head, ..diagnostic }
}
