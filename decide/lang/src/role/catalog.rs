//! The evaluation of one role for one server.

mod links;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_schema::host::{Assertion, Bytes, Check, HostResource};
use andon_schema::{Block, FunctionAnswer, FunctionFault, Schemas};
use andon_text::{Diagnostic, Diagnostics, SourceMap, Span};
use andon_value::{Kind, Type, Value, convert};

use super::alike::{Seen, at_odds, union};
use super::lineage::{Places, apart, find, lineage, params, sees};
use super::made::{Instance, Made};
use super::scope::At;
use super::{Prediction, Roles, SecretsAtHand, Server, Undecided};
use crate::FileSet;
use crate::definitions::{CheckDefinition, Condition, HostDefinition, Role};
use crate::eval::{evaluate, evaluate_block, evaluate_given};
use crate::functions::Templates;
use crate::literal;
use crate::load::in_order;
use crate::order::{order, sorted};
use crate::reference::{Reference, name_at, static_traversals};
use crate::shape::{suggest, twice};
use crate::walk::references_of;

/// A role being evaluated for one server. Everything is evaluated once, after all that it needs; an error is reported
/// once, and what depends on it goes on with an unknown value.
pub(crate) struct Evaluation<'a> {
    /// The role's ancestors, parents first, then the role.
    pub lineage: Vec<Arc<Role>>,
    /// The roles that the server was said to have.
    named: Vec<Arc<str>>,
    /// For each of the lineage the first of those that is made of it.
    of: Vec<Arc<str>>,
    /// For each of the lineage, which of them it is made of.
    sees: Vec<BTreeSet<usize>>,
    /// Every host resource in the order written: its role, and its place there.
    places: Vec<(usize, usize)>,
    /// Those of a kind and a name: several, where roles that know nothing of each other say the same.
    by_name: BTreeMap<(Arc<str>, Arc<str>), Vec<usize>>,
    params: BTreeMap<Arc<str>, Value>,
    pub facts: &'a Value,
    secrets: SecretsAtHand<'a>,
    /// The names of secrets that were read; none for one that is not known.
    asked: RefCell<BTreeSet<Option<Arc<str>>>>,
    sources: &'a SourceMap,
    /// What a server has of the project: the files beside the roles.
    pub files: FileSet,
    /// Those of them that were used as templates.
    pub templates: Templates,
    pub schemas: &'a Schemas,
    locals: RefCell<BTreeMap<(usize, Arc<str>), Value>>,
    made: RefCell<BTreeMap<usize, Made>>,
    out: RefCell<Diagnostics>,
}

/// The keys and values of a `for_each`.
pub(crate) type Keys = Vec<(Arc<str>, Value)>;

/// What has an order among its like: a local of a role of the lineage, or a host resource.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Local(usize, Arc<str>),
    Resource(usize),
}

/// Whether a block is there.
enum Decision {
    Yes,
    No,
    Unknown,
}

impl<'a> Evaluation<'a> {
    pub fn new(from: Roles<'a>, role: &str, server: Server<'a>) -> Result<Evaluation<'a>, Diagnostics> {
        let Roles { roles, sources, files, schemas } = from;
        let lineage = lineage(roles, &find(roles, role, None)?)?;
        let params = params(&lineage, server.params, &Places { of: &|_| None, key: &|_| None, head: None })?;
        let sees = sees(&lineage);
        let named: Vec<Arc<str>> = apart(role).map(Arc::from).collect();
        let place = |name: &Arc<str>| lineage.iter().position(|role| role.name.name == *name);
        let made_of =
            |name: &&Arc<str>, index| place(name).and_then(|at| sees.get(at)).is_some_and(|it| it.contains(&index));
        let first = |index| named.iter().find(|name| made_of(name, index)).cloned().unwrap_or_default();
        let of = (0..lineage.len()).map(first).collect();
        let resources = |(index, role): (usize, &Arc<Role>)| (0..role.resources.len()).map(move |at| (index, at));
        let places: Vec<(usize, usize)> = lineage.iter().enumerate().flat_map(resources).collect();
        let mut by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, (role, at)) in places.iter().enumerate() {
            let definition = lineage.get(*role).and_then(|role| role.resources.get(*at));
            if let Some(definition) = definition
                && let Some(label) = literal::string(&definition.label)
            {
                by_name.entry((definition.kind.name.clone(), label)).or_default().push(index);
            }
        }
        let mut beside = FileSet::new();
        for directory in lineage.iter().map(|role| &*role.directory).collect::<BTreeSet<_>>() {
            files.under(directory).for_each(|(path, _)| beside.copy(files, path));
        }
        Ok(Evaluation {
            lineage,
            named,
            of,
            sees,
            places,
            by_name,
            params,
            facts: server.facts,
            secrets: server.secrets,
            asked: RefCell::default(),
            sources,
            files: beside,
            templates: Templates::default(),
            schemas,
            locals: RefCell::default(),
            made: RefCell::default(),
            out: RefCell::default(),
        })
    }

    /// Evaluates everything. Unless `predict`, all of it must be known.
    pub fn finish(self, predict: bool) -> Result<Prediction, Diagnostics> {
        let mut prediction = Prediction::default();
        prediction.catalog.roles = self.named.clone();
        let nodes = self.nodes();
        let needs = self.needs(&nodes);
        if let Err(circle) = order(&needs) {
            self.report(self.circle(&nodes, &circle));
        }
        // Each after those that it needs, so that a long chain of them is no deep recursion.
        let order: Vec<&Node> = sorted(&needs).into_iter().filter_map(|index| nodes.get(index)).collect();
        for node in &order {
            match node {
                Node::Local(role, name) => self.evaluate_local(*role, name),
                Node::Resource(index) => self.evaluate_resource(*index),
            }
        }
        let resources: Vec<usize> = (order.iter())
            .filter_map(|node| match node {
                Node::Resource(index) => Some(*index),
                Node::Local(..) => None,
            })
            .collect();
        self.resources(&resources, &mut prediction);
        for (index, role) in self.lineage.iter().enumerate() {
            self.validate(index, role);
            for check in &role.checks {
                self.check(index, check, &mut prediction);
            }
        }
        let files = self.files.under("").map(|(path, content)| (path.clone(), Bytes(content.clone())));
        prediction.catalog.files = files.collect();
        let executable = prediction.catalog.files.keys().filter(|path| self.files.is_executable(path));
        prediction.catalog.executable = executable.cloned().collect();
        let mut out = self.out.take();
        if !predict && !out.has_errors() {
            out.extend(prediction.undecided.iter().map(|undecided| {
                Diagnostic::error(format!("{} cannot be decided", undecided.address))
                    .subject(undecided.origin.clone())
                    .detail(format!("{}.", undecided.reason))
            }));
            let open = |value: &Value| !value.is_wholly_known();
            for resource in prediction.catalog.resources.iter().filter(|resource| open(&resource.attributes)) {
                out.push(
                    Diagnostic::error(format!("{} \"{}\" depends on what is not known", resource.kind, resource.name))
                        .subject(resource.origin.to_string()),
                );
            }
        }
        let asked = self.asked.take();
        prediction.unknown_secrets = asked.contains(&None);
        prediction.secrets = asked.into_iter().flatten().collect();
        if out.has_errors() { Err(in_order(out, self.sources)) } else { Ok(prediction) }
    }

    /// References that name nothing, wherever they are written: evaluation may pass some over.
    pub fn undeclared(&self) -> Diagnostics {
        let mut out = Diagnostics::new();
        for (index, role) in self.lineage.iter().enumerate() {
            let at = |each: bool| At {
                evaluation: self,
                role: index,
                each: each.then(|| (Value::unknown(Type::String), Value::UNKNOWN)),
            };
            for definition in &role.resources {
                let scope = at(definition.for_each.is_some());
                references_of(&definition.body, &mut |reference| out.extend(scope.undeclared(&reference)));
            }
            let scope = at(false);
            let assertions = role.checks.iter().flat_map(|check| &check.assertions);
            for assertion in assertions {
                references_of(&assertion.body, &mut |reference| out.extend(scope.undeclared(&reference)));
            }
            for reference in role.locals.values().flat_map(|local| static_traversals(&local.value)) {
                out.extend(scope.undeclared(&reference));
            }
        }
        out
    }

    fn resources(&self, order: &[usize], prediction: &mut Prediction) {
        let mut seen: BTreeMap<(Arc<str>, Arc<str>), Seen> = BTreeMap::new();
        for index in order {
            let Some((role, definition)) = self.definition(*index) else { continue };
            let made = self.made.borrow().get(index).cloned().unwrap_or_default();
            let origin = self.origin(definition.span);
            if let Some(reason) = made.undecided {
                let label = self.sources.text(definition.label.span).trim_matches('"');
                let address = format!("{} \"{label}\"", definition.kind.name);
                prediction.undecided.push(Undecided { address, origin: origin.to_string(), reason });
            }
            let notifies = self.notifies(role, definition);
            let only_on = self.only_on(role, definition);
            for instance in made.instances {
                let resource = HostResource {
                    kind: definition.kind.name.clone(),
                    name: instance.name,
                    attributes: instance.attributes,
                    absent: instance.absent,
                    notifies: notifies.clone(),
                    only_on: only_on.clone(),
                    role: self.of.get(role).cloned().unwrap_or_default(),
                    origin: origin.clone(),
                };
                let resources = &mut prediction.catalog.resources;
                let here = Seen { role, span: definition.span, place: resources.len() };
                let first = *seen.entry((resource.kind.clone(), resource.name.clone())).or_insert(here);
                match resources.get_mut(first.place) {
                    None => resources.push(resource),
                    Some(_) if first.role == role => {
                        self.report(twice(&resource.kind, &resource.name, here.span, first.span));
                    }
                    Some(other) => match at_odds(other, &resource) {
                        None => other.notifies = union(&other.notifies, &resource.notifies),
                        Some(odds) => self.report(odds.at(here.span).related(first.span, "first defined here")),
                    },
                }
            }
        }
    }

    /// Everything that has an order. Locals come first: one that may be evaluated holds no host resource back.
    fn nodes(&self) -> Vec<Node> {
        let locals = |(index, role): (usize, &Arc<Role>)| {
            role.locals.keys().map(|name| Node::Local(index, name.clone())).collect::<Vec<_>>()
        };
        let locals = self.lineage.iter().enumerate().flat_map(locals);
        locals.chain((0..self.places.len()).map(Node::Resource)).collect()
    }

    /// What each must come after.
    fn needs(&self, nodes: &[Node]) -> Vec<BTreeSet<usize>> {
        let indexes: BTreeMap<&Node, usize> = nodes.iter().zip(0..).collect();
        let alike: BTreeMap<usize, &[usize]> =
            self.by_name.values().filter_map(|group| group.split_first()).map(|(first, more)| (*first, more)).collect();
        let each = nodes.iter().map(|node| {
            let mut needs = BTreeSet::new();
            let mut need = |role: usize, reference: &Reference<'_>| {
                let Some((name, _)) = name_at(reference, 0) else { return };
                let node = match &**reference.root {
                    "local" => Some(Node::Local(role, name.into())),
                    kind => self.of_name(role, kind, name).map(Node::Resource),
                };
                needs.extend(node.and_then(|node| indexes.get(&node).copied()));
            };
            match node {
                Node::Local(role, name) => {
                    let local = self.lineage.get(*role).and_then(|role| role.locals.get(name));
                    let references = local.map(|local| static_traversals(&local.value)).unwrap_or_default();
                    references.iter().for_each(|reference| need(*role, reference));
                }
                Node::Resource(index) => {
                    // Where several are one, that one comes after what any of them needs.
                    let others = alike.get(index).copied().unwrap_or_default();
                    for (role, definition) in [index].into_iter().chain(others).filter_map(|at| self.definition(*at)) {
                        references_of(&definition.body, &mut |reference| need(role, &reference));
                        let optional = [&definition.when, &definition.for_each, &definition.absent];
                        let expressions = optional.into_iter().flatten().chain([&definition.label]);
                        let named = definition.after.iter().chain(definition.only_on.iter().flatten());
                        let references = expressions.chain(named).flat_map(static_traversals);
                        references.for_each(|reference| need(role, &reference));
                    }
                    if let Some((role, definition)) = self.definition(*index) {
                        for after in &definition.after {
                            self.named(role, after, "after");
                        }
                    }
                }
            }
            needs
        });
        each.collect()
    }

    fn circle(&self, nodes: &[Node], circle: &[usize]) -> Diagnostic {
        let found = |node: &Node| match node {
            Node::Local(role, name) => {
                let local = self.lineage.get(*role)?.locals.get(name)?;
                Some((format!("local.{name}"), local.name.span))
            }
            Node::Resource(index) => {
                let (_, definition) = self.definition(*index)?;
                let label = literal::string(&definition.label).unwrap_or_default();
                Some((format!("{} \"{label}\"", definition.kind.name), definition.span))
            }
        };
        let found: Vec<(String, Span)> = circle.iter().filter_map(|at| nodes.get(*at)).filter_map(found).collect();
        circle_of("these need each other in a circle", &found)
    }

    fn definition(&self, index: usize) -> Option<(usize, &HostDefinition)> {
        let (role, at) = *self.places.get(index)?;
        Some((role, self.lineage.get(role)?.resources.get(at)?))
    }

    /// Evaluates a definition, after all that it needs.
    fn evaluate_resource(&self, index: usize) {
        if let Some((role, definition)) = self.definition(index) {
            let made = self.make(role, definition);
            self.made.borrow_mut().insert(index, made);
        }
    }

    fn make(&self, role: usize, definition: &HostDefinition) -> Made {
        let kind = &definition.kind;
        let Some(schema) = self.schemas.host.get(&*kind.name) else {
            let diagnostic = Diagnostic::error(format!("unknown host resource \"{}\"", kind.name)).at(kind.span);
            let own = ["param", "locals", "check"];
            let known = self.schemas.host.keys().map(String::as_str).chain(own);
            self.report(match self.schemas.checks.contains_key(&*kind.name) {
                true => diagnostic
                    .help(format!("It is an assertion of a check: check \"NAME\" {{ {} \"…\" {{ … }} }}", kind.name)),
                false => suggest(diagnostic, &kind.name, known),
            });
            return Made { undecided: Some("its kind is unknown".to_owned()), ..Made::default() };
        };
        let at = |each| At { evaluation: self, role, each };
        let decision = self.decide(definition.when.as_ref(), &at(None));
        let keys = match &definition.for_each {
            None => Some(vec![(None, at(None))]),
            Some(expr) => self.keys(expr, &at(None)).map(|keys| {
                let each = |(key, value): (Arc<str>, Value)| (Some(key.clone()), at(Some((Value::string(key), value))));
                keys.into_iter().map(each).collect()
            }),
        };
        // Those of which it is not known whether they are there are still held against their schema.
        let unknown = || vec![(None, at(Some((Value::unknown(Type::String), Value::UNKNOWN))))];
        let undecided = match (&decision, &keys) {
            (Decision::No, _) => return Made::default(),
            (Decision::Unknown, _) => Some("its \"when\" is not known yet".to_owned()),
            (_, None) => Some("its \"for_each\" is not known yet".to_owned()),
            _ => None,
        };
        let mut made = Made { undecided, keyed: definition.for_each.is_some(), ..Made::default() };
        for (key, scope) in keys.unwrap_or_else(unknown) {
            match self.instance(definition, schema, key, &scope) {
                Some(instance) => made.instances.push(instance),
                None => {
                    let reason = || "its name, or whether it is absent, is not known yet".to_owned();
                    made.undecided.get_or_insert_with(reason);
                }
            }
        }
        if made.undecided.is_some() {
            made.instances.clear();
        }
        made
    }

    fn instance(
        &self,
        definition: &HostDefinition,
        schema: &Block,
        key: Option<Arc<str>>,
        scope: &At<'_, '_>,
    ) -> Option<Instance> {
        let absent = match &definition.absent {
            None => Some(false),
            Some(expr) => self.truth(expr, scope),
        };
        // What is removed need not be described.
        let lax = definition.absent.as_ref().map(|_| {
            let mut lax = schema.clone();
            lax.attributes.values_mut().for_each(|attribute| attribute.required = false);
            lax
        });
        let attributes = evaluate_given(&definition.body, lax.as_ref().unwrap_or(schema), scope);
        let attributes = attributes.unwrap_or_else(|errors| {
            self.out.borrow_mut().extend(errors);
            Value::UNKNOWN
        });
        let label = self.label(&definition.label, scope)?;
        let own = static_traversals(&definition.label).iter().any(|reference| &**reference.root == "each");
        let name = match &key {
            Some(key) if !own => format!("{label}[{key}]").into(),
            _ => label.clone(),
        };
        Some(Instance { key, name, label, attributes, absent: absent? })
    }

    fn check(&self, role: usize, check: &CheckDefinition, prediction: &mut Prediction) {
        let scope = At { evaluation: self, role, each: None };
        let decision = self.decide(check.when.as_ref(), &scope);
        let assertions: Vec<Option<Assertion>> = match decision {
            Decision::No => return,
            _ => check.assertions.iter().map(|assertion| self.assertion(assertion, &scope)).collect(),
        };
        let reason = match decision {
            Decision::Unknown => Some("its \"when\" is not known yet"),
            _ if assertions.iter().any(Option::is_none) => Some("what it asks is not known yet"),
            _ => None,
        };
        match reason {
            None => {
                let assertions = assertions.into_iter().flatten().collect();
                prediction.catalog.checks.push(Check { name: check.name.name.clone(), assertions });
            }
            Some(reason) => prediction.undecided.push(Undecided {
                address: format!("check \"{}\"", check.name.name),
                origin: self.origin(check.span).to_string(),
                reason: reason.to_owned(),
            }),
        }
    }

    fn assertion(&self, assertion: &crate::definitions::AssertionDefinition, scope: &At<'_, '_>) -> Option<Assertion> {
        match evaluate_assertion(assertion, scope, self.schemas, self.sources) {
            Ok(assertion) => assertion,
            Err(errors) => {
                self.out.borrow_mut().extend(errors);
                None
            }
        }
    }

    fn validate(&self, index: usize, role: &Role) {
        let scope = At { evaluation: self, role: index, each: None };
        for validation in role.params.values().flat_map(|param| &param.validations) {
            if self.truth(&validation.condition, &scope) == Some(false) {
                self.report(refused(validation, &scope));
            }
        }
    }

    fn decide(&self, when: Option<&Expr>, scope: &At<'_, '_>) -> Decision {
        match when.map(|when| self.truth(when, scope)) {
            None | Some(Some(true)) => Decision::Yes,
            Some(Some(false)) => Decision::No,
            Some(None) => Decision::Unknown,
        }
    }

    /// A condition; `None` where it is not known, after a complaint where it is no condition.
    fn truth(&self, expr: &Expr, scope: &At<'_, '_>) -> Option<bool> {
        let value = self.value(expr, scope)?;
        match convert(&value, &Type::Bool) {
            Ok(value) if value.is_null() => {
                self.report(Diagnostic::error("a condition is null").at(expr.span).label("must be true or false"));
                None
            }
            Ok(value) => value.as_bool(),
            Err(error) => {
                let diagnostic = Diagnostic::error("a condition must be true or false").at(expr.span);
                self.report(diagnostic.label(error.to_string()));
                None
            }
        }
    }

    /// The keys and values of a `for_each`; `None` where they are not known.
    fn keys(&self, expr: &Expr, scope: &At<'_, '_>) -> Option<Keys> {
        let value = self.value(expr, scope)?;
        match for_each(&value, expr.span) {
            Ok(keys) => keys,
            Err(diagnostic) => {
                self.report(diagnostic);
                None
            }
        }
    }

    fn label(&self, expr: &Expr, scope: &At<'_, '_>) -> Option<Arc<str>> {
        let value = self.value(expr, scope)?;
        if let Some(refused) = shown(&value, expr, "a host resource") {
            self.report(refused);
            return None;
        }
        let text = convert(&value, &Type::String).ok()?;
        let text = text.as_str()?;
        if text.is_empty() {
            self.report(Diagnostic::error("the name is empty").at(expr.span));
            return None;
        }
        Some(text.clone())
    }

    fn value(&self, expr: &Expr, scope: &At<'_, '_>) -> Option<Value> {
        match evaluate(expr, scope) {
            Ok(value) => Some(value),
            Err(errors) => {
                self.out.borrow_mut().extend(errors);
                None
            }
        }
    }

    /// `param.name`, as a role of the lineage sees it.
    pub fn param(&self, role: usize, name: &str, span: Span) -> Result<Value, Diagnostic> {
        let seen = || self.seen(role).flat_map(|(_, role)| role.params.keys());
        match self.params.get(name) {
            Some(value) if seen().any(|seen| &**seen == name) => Ok(value.clone()),
            _ => {
                let diagnostic = Diagnostic::error(format!("there is no parameter \"{name}\""))
                    .named(Diagnostic::UNDECLARED)
                    .at(span);
                let diagnostic = diagnostic.label(format!("{} has no such parameter", self.role_in_words(role)));
                Err(suggest(diagnostic, name, seen().map(|name| &**name)))
            }
        }
    }

    /// `local.name`, as a role of the lineage sees it.
    pub fn local(&self, role: usize, name: &str, span: Span) -> Result<Value, Diagnostic> {
        let Some(definition) = self.lineage.get(role) else { return Ok(Value::UNKNOWN) };
        let Some(local) = definition.locals.get(name) else {
            let diagnostic =
                Diagnostic::error(format!("there is no local \"{name}\"")).named(Diagnostic::UNDECLARED).at(span);
            let diagnostic = diagnostic.label(format!("{} has no such local", self.role_in_words(role)));
            return Err(suggest(diagnostic, name, definition.locals.keys().map(|name| &**name)));
        };
        // One of a circle, or behind one, has no value; the circle has been complained about.
        let key = (role, local.name.name.clone());
        Ok(self.locals.borrow().get(&key).cloned().unwrap_or(Value::UNKNOWN))
    }

    fn evaluate_local(&self, role: usize, name: &Arc<str>) {
        let Some(local) = self.lineage.get(role).and_then(|role| role.locals.get(name)) else { return };
        let value = evaluate(&local.value, &At { evaluation: self, role, each: None }).unwrap_or_else(|errors| {
            self.out.borrow_mut().extend(errors);
            Value::UNKNOWN
        });
        self.locals.borrow_mut().insert((role, name.clone()), value);
    }

    /// `secret(name)`; `None` where it is not known here.
    pub fn secret(&self, name: &Value) -> Option<FunctionAnswer> {
        let name = name.as_str();
        self.asked.borrow_mut().insert(name.cloned());
        let refused = |message: &str| Some(Err(FunctionFault { message: message.to_owned(), argument: Some(0) }));
        match (self.secrets, name) {
            (SecretsAtHand::Unknown, _) | (_, None) => None,
            (SecretsAtHand::Image, _) => refused(
                "Whoever has the image could read it. Leave what reads it out of images (`when = !fact.image`): it \
                 comes about when the server is converged.",
            ),
            (SecretsAtHand::Handed(secrets), Some(name)) => match secrets.get(name) {
                Some(value) => Some(Ok(Value::string(Arc::clone(value)))),
                None => refused(
                    "It was not sealed for this server: which secrets a role reads must be known without the server's \
                     facts.",
                ),
            },
        }
    }

    /// `kind.name`, as a role of the lineage sees it.
    pub fn resource(&self, role: usize, kind: &str, name: &str, span: Span) -> Result<Value, Diagnostic> {
        let index = self.of_name(role, kind, name).filter(|index| self.is_seen(role, *index));
        let Some(index) = index else { return Err(self.no_resource(role, kind, name, span)) };
        // One of a circle, or behind one, is not made; the circle has been complained about.
        let made = self.made.borrow();
        let (Some(made), Some(schema)) = (made.get(&index), self.schemas.host.get(kind)) else {
            return Ok(Value::UNKNOWN);
        };
        Ok(made.value.get_or_init(|| made.readable(schema)).clone())
    }

    fn no_resource(&self, role: usize, kind: &str, name: &str, span: Span) -> Diagnostic {
        let diagnostic =
            Diagnostic::error(format!("there is no {kind} \"{name}\"")).named(Diagnostic::UNDECLARED).at(span);
        let diagnostic = diagnostic.label(format!("{} has no such host resource", self.role_in_words(role)));
        let names = self.by_name.keys().filter(|(other, _)| &**other == kind).map(|(_, name)| &**name);
        suggest(diagnostic, name, names)
    }

    fn seen(&self, role: usize) -> impl Iterator<Item = (usize, &Arc<Role>)> {
        let sees = self.sees.get(role);
        self.lineage.iter().enumerate().filter(move |(index, _)| sees.is_some_and(|sees| sees.contains(index)))
    }

    fn role_in_words(&self, role: usize) -> String {
        self.lineage.get(role).map(|role| format!("role \"{}\"", role.name.name)).unwrap_or_default()
    }

    fn origin(&self, span: Span) -> Arc<str> {
        origin(self.sources, span)
    }

    fn report(&self, diagnostic: Diagnostic) {
        self.out.borrow_mut().push(diagnostic);
    }
}

/// `roles/web.role.hcl:12`
pub(crate) fn origin(sources: &SourceMap, span: Span) -> Arc<str> {
    match sources.get(span.source) {
        Some(source) => format!("{}:{}", source.path(), source.position(span.start).line).into(),
        None => "".into(),
    }
}

/// One assertion of a check; `None` where its name is not known yet.
pub(crate) fn evaluate_assertion(
    assertion: &crate::definitions::AssertionDefinition,
    scope: &dyn crate::eval::Scope,
    schemas: &Schemas,
    sources: &SourceMap,
) -> Result<Option<Assertion>, Diagnostics> {
    let kind = &assertion.kind;
    let Some(schema) = schemas.checks.get(&*kind.name) else {
        let diagnostic = Diagnostic::error(format!("unknown check \"{}\"", kind.name)).at(kind.span);
        return Err(suggest(diagnostic, &kind.name, schemas.checks.keys().map(String::as_str)).into());
    };
    let attributes = evaluate_block(&assertion.body, schema, scope);
    let label = evaluate(&assertion.label, scope);
    let (attributes, label) = match (attributes, label) {
        (Ok(attributes), Ok(label)) => (attributes, label),
        (attributes, label) => return Err(attributes.err().into_iter().chain(label.err()).flatten().collect()),
    };
    if let Some(refused) = shown(&label, &assertion.label, "an assertion") {
        return Err(refused.into());
    }
    let name = convert(&label, &Type::String).ok().and_then(|label| label.as_str().cloned());
    Ok(name.map(|name| Assertion {
        kind: kind.name.clone(),
        name,
        attributes,
        origin: origin(sources, assertion.span),
    }))
}

/// What is wrong with a name that everybody sees, if it is a secret.
fn shown(name: &Value, expr: &Expr, of: &str) -> Option<Diagnostic> {
    let secret = name.marks().sensitive;
    secret.then(|| {
        let diagnostic = Diagnostic::error(format!("the name of {of} is a secret: it is shown")).at(expr.span);
        diagnostic.help("If it is none, say so: nonsensitive(…)")
    })
}

/// The keys and values of a `for_each`: a set of strings, a map or an object. `None` where they are not known.
pub(crate) fn for_each(value: &Value, place: Span) -> Result<Option<Keys>, Diagnostic> {
    let told = |label: &str, help: &str| {
        let diagnostic = Diagnostic::error("\"for_each\" takes a map, or a set of strings").at(place).label(label);
        Err(diagnostic.help(help))
    };
    let error = |label: &str| told(label, "Make a set of a list with toset(…).");
    let no_strings = || {
        told("the elements of this set are no strings", "Make a map with a key for each: { for x in … : x.NAME => x }")
    };
    if value.marks().sensitive {
        let help = "If the keys are no secret, say so: for_each = nonsensitive(…)";
        return told("this is a secret, and keys are shown", help);
    }
    match value.kind() {
        Kind::Unknown(Type::List(_) | Type::Tuple(_), _) | Kind::List(..) | Kind::Tuple(_) => error("this is a list"),
        Kind::Unknown(Type::Set(element), _) if !matches!(**element, Type::String | Type::Dynamic) => no_strings(),
        Kind::Unknown(Type::Dynamic | Type::Set(_) | Type::Map(_) | Type::Object { .. }, _) => Ok(None),
        Kind::Null(_) => error("this is null"),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            Ok(Some(entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        Kind::Set(Type::String | Type::Dynamic, elements) => {
            if elements.iter().any(Value::is_unknown) {
                return Ok(None);
            }
            let key = |element: &Value| element.as_str().map(|key| (key.clone(), element.clone()));
            match elements.iter().map(key).collect() {
                Some(keys) => Ok(Some(keys)),
                None => error("an element is null"),
            }
        }
        Kind::Set(..) => no_strings(),
        _ => error(&format!("this is {}", value.ty().in_words())),
    }
}

/// A validation that does not hold, with what its definition has to say.
pub(crate) fn refused(condition: &Condition, scope: &dyn crate::eval::Scope) -> Diagnostic {
    let message = evaluate(&condition.error_message, scope).ok();
    let message = message.filter(|message| !message.is_secret()).and_then(|message| message.as_str().cloned());
    Diagnostic::error("a value is refused by its definition")
        .at(condition.condition.span)
        .label("this does not hold")
        .detail(message.map(|message| message.to_string()).unwrap_or_default())
}

/// A circle of needs, each with its place.
pub(crate) fn circle_of(summary: &str, circle: &[(String, Span)]) -> Diagnostic {
    let names: Vec<&str> = circle.iter().chain(circle.first()).map(|(name, _)| &**name).collect();
    let diagnostic = Diagnostic::error(summary).detail(format!("{}.", names.join(" → ")));
    let diagnostic = diagnostic.help("Take out one of these references.");
    let Some((_, first)) = circle.first() else { return diagnostic };
    let others = circle.iter().skip(1);
    others.fold(diagnostic.at(*first), |diagnostic, (name, span)| diagnostic.related(*span, format!("{name} is here")))
}
