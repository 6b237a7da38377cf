//! Servers that are listed by hand: from `*.hosts.hcl` to names, addresses, tags, roles and connections.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::{Expr, ExprKind};
use andon_text::{Diagnostic, Diagnostics, Span, deeper};
use andon_value::{Kind, Type, Value, convert};

use crate::definitions::{ListedHost, Project};
use crate::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use crate::role::{find, for_each, lineage, no_each, refused_params, together};
use crate::shape::suggest;

/// A server that is listed by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: Arc<str>,
    /// Its tags.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    /// The roles that it has.
    pub roles: Vec<Arc<str>>,
    /// Values of their parameters: an object.
    pub params: Value,
    /// How it is reached: an object with a `kind`.
    pub connection: Value,
    /// Where it is listed.
    pub span: Span,
}

/// The arguments of a `connection` block: each is taken over as it is.
const CONNECTION: [&str; 6] = ["kind", "user", "port", "identity_file", "options", "become"];

/// The servers that a project lists, in the order of its files.
pub fn hosts(project: &Project) -> Result<Vec<Host>, Diagnostics> {
    let names = Names { project, values: RefCell::default(), open: RefCell::default() };
    let mut all: Vec<Host> = Vec::new();
    let mut out = Diagnostics::new();
    let mut first: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    for listed in &project.hosts.hosts {
        match of_block(&names, listed) {
            Ok(some) => {
                for host in some {
                    if let Some(earlier) = first.insert(host.name.clone(), host.span) {
                        out.push(
                            Diagnostic::error(format!("there are two hosts \"{}\"", host.name))
                                .at(host.span)
                                .related(earlier, "the first one is here"),
                        );
                    }
                    all.push(host);
                }
            }
            Err(errors) => out.extend(errors),
        }
    }
    if out.has_errors() { Err(out) } else { Ok(all) }
}

/// Holds the list against the project's roles.
pub(crate) fn check_hosts(project: &Project, out: &mut Diagnostics) {
    let hosts = match hosts(project) {
        Ok(hosts) => hosts,
        Err(errors) => return out.extend(errors),
    };
    for host in hosts {
        let role = together(host.roles.iter().map(|role| &**role));
        let found = find(&project.roles, &role, None).and_then(|role| lineage(&project.roles, &role));
        // A host without roles has the parameters of whichever it is given.
        if let Ok(lineage) = found {
            out.extend(refused_params(&lineage, &host.name, &host.params, host.span));
        }
        for role in host.roles.iter().filter(|role| !project.roles.contains_key(*role)) {
            let diagnostic = Diagnostic::error(format!("there is no role \"{role}\"")).named(Diagnostic::UNDECLARED);
            let diagnostic = diagnostic.at(host.span).label(format!("host \"{}\" has it", host.name));
            out.push(suggest(diagnostic, role, project.roles.keys().map(|name| &**name)));
        }
    }
}

fn of_block(names: &Names<'_>, listed: &ListedHost) -> Result<Vec<Host>, Diagnostics> {
    let Some(expr) = &listed.for_each else { return Ok(vec![one(names, listed, None)?]) };
    let value = evaluate(expr, &At { names, each: None })?;
    let Some(keys) = for_each(&value, expr.span)? else { return Ok(Vec::new()) };
    if keys.len() > 1 && matches!(&listed.label.kind, ExprKind::Template(it) if it.parts.len() == 1) {
        let diagnostic = Diagnostic::error("several hosts would have one name").at(listed.label.span);
        return Err(diagnostic.help("Have the name tell them apart: host \"web-${each.key}\"").into());
    }
    let each = |(key, value)| one(names, listed, Some((Value::string(key), value)));
    keys.into_iter().map(each).collect()
}

fn one(names: &Names<'_>, listed: &ListedHost, each: Option<(Value, Value)>) -> Result<Host, Diagnostics> {
    let at = At { names, each };
    let name = text(&evaluate(&listed.label, &at)?, listed.label.span, "a host's name")?;
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || ",=!*?[]{}".contains(letter);
    if name.is_empty() || name.starts_with('-') || name.contains(odd) || matches!(&*name, "all" | "local") {
        return Err(Diagnostic::error(format!("\"{name}\" cannot be the name of a host"))
            .at(listed.label.span)
            .help("A name has no spaces and none of , = ! * ? [ ] in it; `all` and `local` mean something already.")
            .into());
    }
    let tags = listed.tags.as_ref().map_or(Ok(BTreeMap::new()), |expr| texts(&at, expr))?;
    let roles = listed.roles.as_ref().map_or(Ok(Vec::new()), |expr| list(&at, expr))?;
    let params = match &listed.params {
        Some(expr) => {
            let params = evaluate(expr, &at)?;
            if !matches!(params.kind(), Kind::Object(_) | Kind::Map(..) | Kind::Null(_)) {
                let label = format!("this is {}", params.ty().in_words());
                let diagnostic = Diagnostic::error("parameters are an object of values by name").at(expr.span);
                return Err(diagnostic.label(label).into());
            }
            params
        }
        None => Value::NULL,
    };
    let params = if params.is_null() { Value::object::<&str>([]) } else { params };
    Ok(Host { connection: connection(&at, listed, &name)?, name, tags, roles, params, span: listed.span })
}

fn connection(at: &At<'_, '_>, listed: &ListedHost, name: &Arc<str>) -> Result<Value, Diagnostics> {
    let address = match &listed.address {
        Some(expr) => text(&evaluate(expr, at)?, expr.span, "an address")?,
        None => name.clone(),
    };
    let mut values =
        BTreeMap::from([(Arc::from("kind"), Value::from("ssh")), (Arc::from("address"), Value::string(address))]);
    let arguments = listed.connection.iter().flat_map(|body| body.attributes());
    for attribute in arguments.filter(|attribute| CONNECTION.contains(&&*attribute.name.name)) {
        let value = evaluate(&attribute.value, at)?;
        let wanted = match &*attribute.name.name {
            "port" => Type::Number,
            "become" => Type::Bool,
            "options" => Type::map(Type::String),
            _ => Type::String,
        };
        let value = convert(&value, &wanted).map_err(|error| {
            Diagnostic::error(format!("`{}` of a connection is of another type", attribute.name.name))
                .at(attribute.value.span)
                .label(error.to_string())
        })?;
        let is_odd =
            &*attribute.name.name == "kind" && value.as_str().is_some_and(|it| !["ssh", "local"].contains(&&**it));
        if is_odd {
            let diagnostic = Diagnostic::error("no server can be reached in this way").at(attribute.value.span);
            return Err(diagnostic.help("A listed host is reached by \"ssh\", or is this machine: \"local\".").into());
        }
        if !value.is_null() {
            values.insert(attribute.name.name.clone(), value);
        }
    }
    Ok(Value::object(values))
}

fn text(value: &Value, place: Span, what: &str) -> Result<Arc<str>, Diagnostics> {
    let value = convert(value, &Type::String).unwrap_or(Value::NULL);
    value.as_str().filter(|_| !value.is_secret()).cloned().ok_or_else(|| {
        let diagnostic = Diagnostic::error(format!("{what} is text")).at(place);
        diagnostic.help("Text goes in quotes; it can be neither null nor a secret.").into()
    })
}

fn texts(at: &At<'_, '_>, expr: &Expr) -> Result<BTreeMap<Arc<str>, Arc<str>>, Diagnostics> {
    let value = evaluate(expr, at)?;
    let wrong = || Diagnostic::error("tags are texts by name").at(expr.span).help("Write them like: { env = \"dev\" }");
    let value = convert(&value, &Type::map(Type::String)).map_err(|error| wrong().label(error.to_string()))?;
    let entries = value.as_entries().filter(|_| !value.is_secret()).ok_or_else(wrong)?;
    let tag = |(name, value): (&Arc<str>, &Value)| Some((name.clone(), value.as_str()?.clone()));
    entries.iter().map(tag).collect::<Option<_>>().ok_or_else(|| wrong().into())
}

fn list(at: &At<'_, '_>, expr: &Expr) -> Result<Vec<Arc<str>>, Diagnostics> {
    let value = evaluate(expr, at)?;
    let wrong = || Diagnostic::error("roles are a list of names").at(expr.span).help("Write them like: [\"web\"]");
    let value = convert(&value, &Type::list(Type::String)).map_err(|error| wrong().label(error.to_string()))?;
    let elements = value.as_elements().filter(|_| !value.is_secret()).ok_or_else(wrong)?;
    elements.iter().map(|element| element.as_str().cloned()).collect::<Option<_>>().ok_or_else(|| wrong().into())
}

/// The locals of all files, each evaluated when it is first read.
struct Names<'a> {
    project: &'a Project,
    values: RefCell<BTreeMap<Arc<str>, Value>>,
    /// Those under evaluation, the innermost last.
    open: RefCell<Vec<Arc<str>>>,
}

impl Names<'_> {
    fn local(&self, name: &str, span: Span) -> Result<Value, Diagnostic> {
        if let Some(value) = self.values.borrow().get(name) {
            return Ok(value.clone());
        }
        let locals = &self.project.hosts.locals;
        let Some(local) = locals.get(name) else {
            let diagnostic = Diagnostic::error(format!("there is no local \"{name}\"")).named(Diagnostic::UNDECLARED);
            let diagnostic = diagnostic.at(span).label("the files of hosts have no such local");
            return Err(suggest(diagnostic, name, locals.keys().map(|name| &**name)));
        };
        if self.open.borrow().iter().any(|open| **open == *name) {
            let diagnostic = Diagnostic::error(format!("local \"{name}\" reads itself")).at(span);
            return Err(diagnostic.help("Take out one of the references that lead round."));
        }
        self.open.borrow_mut().push(name.into());
        let value = deeper(|| evaluate(&local.value, &At { names: self, each: None }));
        self.open.borrow_mut().pop();
        let first = |errors: Diagnostics| errors.into_iter().next();
        let value = value.map_err(|errors| {
            first(errors).unwrap_or_else(|| Diagnostic::error(format!("local \"{name}\" has no value")).at(span))
        })?;
        self.values.borrow_mut().insert(name.into(), value.clone());
        Ok(value)
    }
}

/// A place in a file of hosts.
struct At<'n, 'a> {
    names: &'n Names<'a>,
    each: Option<(Value, Value)>,
}

impl Scope for At<'_, '_> {
    fn resolve(&self, root: Name<'_>, steps: &[Step]) -> Result<Resolved, Diagnostic> {
        let one = |value: Value| Ok(Resolved { value, used: 1 });
        let step = steps.first().and_then(|step| match step {
            Step::Attribute(name, span) => Some((name.clone(), *span)),
            Step::Key(key, span) => Some((key.as_str()?.clone(), *span)),
        });
        match (&**root.name, step, &self.each) {
            ("local", Some((name, span)), _) => one(self.names.local(&name, span)?),
            ("each", Some((name, _)), Some((key, _))) if &*name == "key" => one(key.clone()),
            ("each", Some((name, _)), Some((_, value))) if &*name == "value" => one(value.clone()),
            ("each", Some((name, span)), Some(_)) => Err(Diagnostic::error(format!("there is no \"each.{name}\""))
                .at(span)
                .help("There are each.key and each.value.")),
            ("each", _, None) => Err(no_each(root.span)),
            _ => Err(Diagnostic::error(format!("\"{}\" means nothing here", root.name))
                .at(root.span)
                .help("A list of hosts may read local.NAME, each.key and each.value; text goes in quotes.")),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        self.names.project.inputs("")
    }
}
