//! Objects that become ours while planning: those that `import` blocks name, and those that move to another type.
//!
//! A resource that a block may import into is not planned before it is known whether it does. What is found then is in
//! the state from then on, as far as the plan goes, so that the rest of planning sees an object like any other. Its
//! name is made up until an apply gives it one.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use andon_lang::definitions::Import;
use andon_schema::{
    ConfiguredProvider, FoundObject, Identity, ImportBy, InstanceAddress, Kept, Mode, Object, ObjectStatus,
    ProviderConfigAddress, Question, Via,
};
use andon_text::{Diagnostic, Span};
use andon_value::Value;

use super::Moves;
use crate::compare::with_marks_of_schema;
use crate::duties;
use crate::graph::{Configured, Imported, NodeId, Standing};
use crate::planner::{Asked, Found, Planner};
use crate::{Adoption, PlanMode};

/// What is to be imported, and how far that has come.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// Blocks that are not evaluated yet.
    open: Vec<(NodeId, Arc<str>, Import)>,
    /// What is to be imported, by where to.
    wanted: BTreeMap<InstanceAddress, Imported>,
    /// Instances that wait for blocks that may import into them.
    parked: Vec<Configured>,
    /// What was adopted so far.
    pub adopted: Vec<Adoption>,
    /// Objects that have moved to another type: which they were of, by where they are now.
    pub retyped: BTreeMap<InstanceAddress, InstanceAddress>,
}

impl Imports {
    /// With the objects that have moved to another type.
    pub fn after(moves: &Moves) -> Imports {
        let retyped = moves.moves.iter().filter(|(from, to)| from.resource.kind != to.resource.kind);
        Imports { retyped: retyped.map(|(from, to)| (to.clone(), from.clone())).collect(), ..Imports::default() }
    }

    /// What was adopted, by address.
    pub fn take_adopted(&mut self) -> Vec<Adoption> {
        let mut adopted = std::mem::take(&mut self.adopted);
        adopted.sort_by(|one, other| one.address.cmp(&other.address));
        adopted
    }
}

impl Planner {
    /// Has what is imported found out. An instance that has an object already is not imported again.
    pub(crate) fn begin_imports(&mut self) {
        if self.input().mode == PlanMode::Normal {
            self.imports.open = self.graph.want_imports();
        }
    }

    /// Takes up the blocks that have been evaluated; instances that waited for them go on.
    pub(crate) fn take_imports(&mut self) {
        let (settled, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.imports.open).into_iter().partition(|(node, ..)| self.graph.is_settled(*node));
        self.imports.open = open;
        if settled.is_empty() {
            return;
        }
        for (node, ..) in settled {
            let imports = self.graph.imported(node).cloned().unwrap_or_default();
            for import in imports.iter() {
                let Some(other) = self.imports.wanted.insert(import.to.clone(), import.clone()) else { continue };
                let diagnostic = Diagnostic::error(format!("two objects are imported into {}", import.to));
                let diagnostic = diagnostic.at(import.span).help("Take one of these blocks out.");
                self.problems.push(match other.span == import.span {
                    true => diagnostic,
                    false => diagnostic.related(other.span, "the other one"),
                });
            }
        }
        for configured in std::mem::take(&mut self.imports.parked) {
            self.configured(configured);
        }
    }

    /// Has an instance without an object wait, or asks for what is to be imported into it. The instance, where there
    /// is no such thing.
    pub(crate) fn import_first(&mut self, configured: Configured) -> Option<Configured> {
        let address = &configured.address;
        if address.resource.mode != Mode::Managed {
            return Some(configured);
        }
        if self.imports.open.iter().any(|(_, stack, import)| may_mean(stack, import, address)) {
            self.imports.parked.push(configured);
            return None;
        }
        let Some(import) = self.imports.wanted.get(address).cloned() else { return Some(configured) };
        match self.via(&configured, Kept::default()) {
            Some(via) => {
                let question = Question::Import { address: address.clone(), via, by: import.by };
                self.ask(Asked::Import(Box::new(configured)), question);
            }
            None => match built_in(&configured, &import.by) {
                Some(value) => self.adopt(configured, value, Kept::default()),
                None => {
                    let kind = &address.resource.kind;
                    let diagnostic = Diagnostic::error(format!("objects of {kind} cannot be imported"));
                    self.problems.push(diagnostic.at(import.span).subject(address.to_string()));
                    self.graph.fail(configured.node);
                }
            },
        }
        None
    }

    /// Asks what an object would be as one of the type that it has moved to.
    pub(crate) fn move_object(&mut self, configured: Configured) {
        let address = configured.address.clone();
        let Some(from) = self.imports.retyped.get(&address).cloned() else { return };
        let object = self.input().state.current(&address).cloned();
        let provider = self.input().schemas.providers.clone();
        let capable = |via: &Via| {
            provider.get(&via.provider.address.provider).is_some_and(|schema| schema.capabilities.move_state)
        };
        let via = object.as_ref().and_then(|object| self.via(&configured, object.kept.clone()));
        let (Some(object), Some(via)) = (object, via.filter(|via| capable(via))) else {
            let detail = format!(
                "It was a {}, and the provider of {} cannot take over objects of another type.",
                from.resource.kind, address.resource.kind
            );
            let diagnostic = Diagnostic::error(format!("{from} cannot become {address}")).detail(detail);
            self.problems.push(diagnostic.at(configured.definition.span));
            return self.graph.fail(configured.node);
        };
        let question = Question::MoveObject {
            address,
            via,
            from: object.provider.as_deref().cloned().unwrap_or_else(|| ProviderConfigAddress::of(built_in_provider())),
            kind: Arc::clone(&from.resource.kind),
            prior: object.value.unmark_deep().0,
        };
        self.ask(Asked::Import(Box::new(configured)), question);
    }

    /// What a provider found of an object that is to become ours.
    pub(crate) fn imported(&mut self, configured: Configured, found: FoundObject) {
        let FoundObject { now, kept, warnings, .. } = found;
        let span = self.imports.wanted.get(&configured.address).map(|import| import.span);
        self.warn(&configured.address, span.or(Some(configured.definition.span)), &warnings);
        match now {
            Some(value) => self.adopt(configured, value, kept),
            None => {
                let diagnostic =
                    Diagnostic::error("there is nothing to import").subject(configured.address.to_string());
                let diagnostic = diagnostic.help("Check what names the object, or take the block out.");
                self.problems.push(Diagnostic { span, ..diagnostic });
                self.graph.fail(configured.node);
            }
        }
    }

    /// Goes on with an instance whose object is known now.
    fn adopt(&mut self, configured: Configured, value: Value, kept: Kept) {
        let address = configured.address.clone();
        let Some(value) = self.as_imported(&configured, value) else { return self.graph.fail(configured.node) };
        let import = self.imports.wanted.get(&address).cloned();
        let before = self.input().state.current(&address).cloned();
        let identity = match &before {
            Some(before) => Some(before.identity.clone()),
            // Whatever comes first: the same questions are asked when the plan is made again.
            None => {
                let hasher = BuildHasherDefault::<DefaultHasher>::default();
                Some(Identity::from_random(hasher.hash_one(&address)))
            }
        };
        let Some(identity) = identity else { return };
        // Nobody knows what an object used that somebody made elsewhere. What its definition reads stands for it, so that
        // none of that goes before it.
        let dependencies = match &before {
            Some(before) => before.dependencies.clone(),
            None => self.graph.dependencies(&address, configured.node),
        };
        let provider =
            configured.provider.as_ref().map(|(it, _): &(Arc<ConfiguredProvider>, _)| Arc::new(it.address.clone()));
        let object = Object {
            identity,
            value: value.clone(),
            status: before.as_ref().map_or(ObjectStatus::Ready, |before| before.status),
            dependencies,
            create_before_destroy: before.as_ref().is_some_and(|before| before.create_before_destroy),
            provider,
            kept: kept.clone(),
        };
        let span: Option<Span> = import.as_ref().map(|import| import.span);
        let by: Option<ImportBy> = import.map(|import| import.by);
        self.graph.put(&address, object.clone());
        self.imports.adopted.push(Adoption { address: address.clone(), object, by, span });
        self.kept.insert(address.clone(), kept);
        // What becomes of another type is what its provider makes of the state, and how it is has to be seen yet.
        if self.imports.retyped.contains_key(&address) && self.input().refresh {
            self.objects.insert(address.clone(), Found::Asked);
            self.ask_object(&address, configured.provider.clone());
            self.parked.insert(address, configured);
            return;
        }
        self.objects.insert(address, Found::Known(Some(value.clone())));
        self.propose(configured, Some(value));
    }

    /// What a plugin found, made sound; `None` where it cannot be: it is said why.
    fn as_imported(&mut self, configured: &Configured, value: Value) -> Option<Value> {
        let (Some((provider, _)), Some(schema)) = (&configured.provider, self.graph.type_schema(configured)) else {
            return Some(value);
        };
        let read = duties::check_read(&schema.block, &value);
        let found = read.value.map(|value| with_marks_of_schema(&value, &schema.block));
        if found.is_none() {
            let name = provider.address.provider.clone();
            let (address, span) = (configured.address.clone(), Some(configured.definition.span));
            self.blame(&address, span, &name, "found what makes no sense", &read.faults);
        }
        found
    }

    /// Complains about what was to be imported and has nowhere to go.
    pub(crate) fn conclude_imports(&mut self) {
        for configured in std::mem::take(&mut self.imports.parked) {
            let diagnostic =
                Diagnostic::error("what names an imported object hangs on the resource that is imported into");
            self.problems.push(diagnostic.at(configured.definition.span).subject(configured.address.to_string()));
        }
        let adopted: BTreeSet<&InstanceAddress> = self.imports.adopted.iter().map(|it| &it.address).collect();
        let input = self.graph.input();
        let mut lost = Vec::new();
        for import in self.imports.wanted.values() {
            let address = &import.to;
            let known = adopted.contains(address) || self.verdicts.contains_key(address);
            let scope = &input.scope;
            let is_left = !scope.targets.is_empty() && !scope.targets(address)
                || scope.excludes(address)
                || matches!(self.graph.standing(address), Standing::Aside(_));
            if known || is_left || input.state.current(address).is_some() || self.problems.has_errors() {
                continue;
            }
            let diagnostic = match input.definition(&address.resource) {
                None => Diagnostic::error(format!("{address} is imported into, and not defined")).help(
                    "Write a `resource` block for it, or have it written by `andon plan -generate-config-out=FILE`.",
                ),
                Some(definition) => Diagnostic::error(format!("there is no instance {address} to import into"))
                    .related(definition.span, "this has other instances"),
            };
            lost.push(diagnostic.at(import.span));
        }
        self.problems.extend(lost);
        let retyped = self.imports.retyped.iter().filter(|(to, _)| !adopted.contains(to));
        let lost: Vec<Diagnostic> = retyped
            .filter(|(to, _)| input.definition(&to.resource).is_none())
            .map(|(to, from)| {
                Diagnostic::error(format!("{from} is to become {to}, which is not defined"))
                    .help("Define it, so that it is known which provider takes the object over.")
            })
            .collect();
        self.problems.extend(lost);
    }
}

/// Whether a block may import into an instance, whatever the keys.
fn may_mean(stack: &Arc<str>, import: &Import, address: &InstanceAddress) -> bool {
    let resource = &address.resource;
    let key = &import.to.resource;
    *stack == resource.stack
        && key.mode == resource.mode
        && key.kind == resource.kind
        && key.name == resource.name
        && import.to.module.len() == resource.module.len()
        && import.to.module.iter().zip(resource.module.iter()).all(|((name, _), step)| name.name == step.name)
}

/// What an object of a built-in type is that somebody made elsewhere.
fn built_in(configured: &Configured, by: &ImportBy) -> Option<Value> {
    let ImportBy::Id(id) = by else { return None };
    if &*configured.address.resource.kind != "terraform_data" {
        return None;
    }
    let entries = configured.config.as_entries()?.iter().map(|(name, value)| match &**name {
        "id" => (Arc::clone(name), Value::string(&**id)),
        _ => (Arc::clone(name), Value::null(value.ty())),
    });
    Some(Value::object(entries.collect::<Vec<_>>()))
}

fn built_in_provider() -> andon_schema::ProviderAddress {
    andon_schema::ProviderAddress::implied("terraform")
}
