//! Which attributes had a part in what a plan decides: what the definitions read of everything that changes. It is found
//! in the text alone, as the format has it: all that a local value, a variable or an output is made of counts, whatever
//! is then taken from it; so does what an argument of a resource is made of where that argument is read. A path ends
//! where a key must be evaluated. What a definition reads beside its own arguments (how many there are, conditions,
//! provisioners) does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_hcl::ast::{Body, Expr};
use andon_hcl::{Reference, Step};
use andon_lang::definitions::{Module, ModuleCall, OutputDefinition, ResourceDefinition, ResourceKey};
use andon_lang::eval::resolved;
use andon_schema::{InstanceAddress, InstanceKey, Mode, ModuleStep, Nesting, ResourceAddress, Schemas};
use andon_text::deeper;
use serde_json::{Value as Json, json};

/// One instance of a module, and the call that makes it in the one around it.
#[derive(Clone)]
struct Place<'a> {
    module: &'a Module,
    /// As addresses begin in it: `module.a[0].`; empty in the root module.
    prefix: String,
    outer: Option<Arc<(Place<'a>, &'a ModuleCall)>>,
}

impl<'a> Place<'a> {
    fn root(module: &'a Module) -> Place<'a> {
        Place { module, prefix: String::new(), outer: None }
    }

    fn within(&self, call: &'a ModuleCall, key: Option<&InstanceKey>) -> Place<'a> {
        let key = key.map(InstanceKey::to_string).unwrap_or_default();
        let prefix = format!("{}module.{}{key}.", self.prefix, call.name.name);
        Place { module: &call.module, prefix, outer: Some(Arc::new((self.clone(), call))) }
    }

    fn at(&self, steps: &[ModuleStep]) -> Option<Place<'a>> {
        steps.iter().try_fold(self.clone(), |place, step| {
            let call = place.module.calls.get(&step.name)?;
            Some(place.within(call, step.key.as_ref()))
        })
    }

    fn resource(&self, key: &ResourceKey) -> Option<&'a ResourceDefinition> {
        let of_checks = self.module.checks.values().filter_map(|check| check.data.as_ref());
        let own = self.module.resources.get(key);
        own.or_else(|| of_checks.into_iter().find(|data| data.key == *key)).map(|resource| &**resource)
    }
}

/// Follows what definitions read, down to the resources.
pub(super) struct Reads<'a> {
    root: Place<'a>,
    schemas: &'a Schemas,
    /// The addresses of what was followed.
    seen: BTreeSet<String>,
    /// A resource or an instance of one, and a path in it as JSON.
    found: BTreeMap<(String, String), Json>,
}

impl<'a> Reads<'a> {
    /// Nothing yet, in a stack whose root module is given.
    pub(super) fn new(root: &'a Module, schemas: &'a Schemas) -> Reads<'a> {
        Reads { root: Place::root(root), schemas, seen: BTreeSet::new(), found: BTreeMap::new() }
    }

    /// What the definition of an instance reads; nothing, where it has none any more.
    pub(super) fn resource(&mut self, address: &ResourceAddress) {
        let Some(place) = self.root.at(&address.module) else { return };
        let ResourceAddress { mode, kind, name, .. } = address.clone();
        let Some(definition) = place.resource(&ResourceKey { mode, kind, name }) else { return };
        self.part(&place, definition, &[]);
    }

    /// What an output of the root module reads.
    pub(super) fn output(&mut self, name: &str) {
        if let Some(output) = self.root.module.outputs.get(name) {
            self.of_output(&self.root.clone(), output);
        }
    }

    /// What the outputs of all other modules read, where these instances of resources are: no value of such an output is
    /// kept, so that each is a new one in every plan.
    pub(super) fn outputs_of_modules<'i>(&mut self, there: impl Iterator<Item = &'i InstanceAddress>) {
        let ways = there.flat_map(|address| {
            let way = &address.resource.module;
            (1..=way.len()).filter_map(|count| way.get(..count))
        });
        let ways: BTreeSet<&[ModuleStep]> = ways.collect();
        let mut places: Vec<Place> = ways.iter().filter_map(|way| self.root.at(way)).collect();
        places.push(self.root.clone());
        let mut known: BTreeSet<String> = places.iter().map(|place| place.prefix.clone()).collect();
        while let Some(place) = places.pop() {
            // One without resources is there, too, where there cannot be any other number of it.
            for call in place.module.calls.values().filter(|call| call.count.is_none() && call.for_each.is_none()) {
                let inner = place.within(call, None);
                if known.insert(inner.prefix.clone()) {
                    places.push(inner);
                }
            }
            if place.outer.is_some() {
                place.module.outputs.values().for_each(|output| self.of_output(&place, output));
            }
        }
    }

    /// All that was found, as `relevant_attributes` has it.
    pub(super) fn json(self) -> Vec<Json> {
        let found = self.found.into_iter();
        found.map(|((resource, _), path)| json!({ "resource": resource, "attribute": path })).collect()
    }

    /// What a part of a resource's definition reads. A path to a block is one to all that is beside the block, too, and
    /// none leads to one of several blocks.
    fn part(&mut self, place: &Place<'a>, of: &ResourceDefinition, path: &[Step]) {
        let names: Vec<&str> = path.iter().map_while(name_of).collect();
        if !self.seen.insert(format!(
            "{}{}{}.{} {names:?}",
            place.prefix,
            of.key.mode.prefix(),
            of.key.kind,
            of.key.name
        )) {
            return;
        }
        let provider = place.module.provider_of(of);
        let Some(schema) = self.schemas.type_of(&provider, of.key.mode, &of.key.kind).ok().flatten() else {
            return self.body(place, &of.body, of);
        };
        let (mut body, mut block) = (resolved(&of.body, &schema.block).0, &schema.block);
        let mut steps = path.iter();
        while let Some(step) = steps.next() {
            let Some(name) = name_of(step) else { return };
            match block.blocks.get(name) {
                None => {
                    let given = body.attributes().find(|attribute| *attribute.name.name == *name);
                    return given.into_iter().for_each(|given| self.expression(place, &given.value, Some(of)));
                }
                Some(_) if steps.as_slice().is_empty() => break,
                Some(nested) if matches!(nested.nesting, Nesting::Single | Nesting::Group) => {
                    let inner = body.blocks().find(|inner| *inner.kind.name == *name).map(|inner| inner.body.clone());
                    let Some(inner) = inner else { return };
                    (body, block) = (inner, &nested.block);
                }
                Some(_) => return,
            }
        }
        self.body(place, &body, of);
    }

    fn body(&mut self, place: &Place<'a>, body: &Body, of: &ResourceDefinition) {
        body.attributes().for_each(|attribute| self.expression(place, &attribute.value, Some(of)));
        body.blocks().for_each(|block| deeper(|| self.body(place, &block.body, of)));
    }

    fn of_output(&mut self, place: &Place<'a>, output: &OutputDefinition) {
        if self.seen.insert(format!("{}output.{}", place.prefix, output.name.name)) {
            deeper(|| self.expression(place, &output.value, None));
        }
    }

    /// `of` is the resource whose `each` and `count` may be in it.
    fn expression(&mut self, place: &Place<'a>, expr: &Expr, of: Option<&ResourceDefinition>) {
        expr.references().iter().for_each(|reference| deeper(|| self.reference(place, reference, of)));
    }

    fn reference(&mut self, place: &Place<'a>, reference: &Reference, of: Option<&ResourceDefinition>) {
        let steps = reference.steps.as_slice();
        let first = steps.first().and_then(Step::name);
        match (&*reference.root.name, first) {
            ("each", _) => {
                of.and_then(|of| of.for_each.as_ref()).into_iter().for_each(|it| self.expression(place, it, None))
            }
            ("count", _) => {
                of.and_then(|of| of.count.as_ref()).into_iter().for_each(|it| self.expression(place, it, None))
            }
            ("var", Some(name)) => {
                let Some((outer, call)) = place.outer.as_deref() else { return };
                let given = call.arguments.attributes().find(|argument| *argument.name.name == *name);
                if let Some(given) = given.filter(|_| self.seen.insert(format!("{}var.{name}", place.prefix))) {
                    self.expression(outer, &given.value, None);
                }
            }
            ("local", Some(name)) => {
                let local = place.module.locals.get(name);
                if let Some(local) = local.filter(|_| self.seen.insert(format!("{}local.{name}", place.prefix))) {
                    self.expression(place, &local.value, None);
                }
            }
            ("module", Some(name)) => {
                let Some(call) = place.module.calls.get(name) else { return };
                let (key, rest) = key_of(steps.get(1..).unwrap_or_default());
                let inner = place.within(call, key.as_ref());
                match rest.first().and_then(Step::name).map(|name| inner.module.outputs.get(name)) {
                    Some(output) => output.into_iter().for_each(|output| self.of_output(&inner, output)),
                    None => inner.module.outputs.values().for_each(|output| self.of_output(&inner, output)),
                }
            }
            ("data", Some(kind)) => self.attribute(place, Mode::Data, kind, steps.get(1..).unwrap_or_default()),
            ("ephemeral", Some(kind)) => {
                self.attribute(place, Mode::Ephemeral, kind, steps.get(1..).unwrap_or_default())
            }
            ("resource", Some(kind)) => self.attribute(place, Mode::Managed, kind, steps.get(1..).unwrap_or_default()),
            (kind, _) => self.attribute(place, Mode::Managed, kind, steps),
        }
    }

    /// Notes what is read of a resource: its name, maybe a key, and a path.
    fn attribute(&mut self, place: &Place<'a>, mode: Mode, kind: &str, steps: &[Step]) {
        let Some((name, rest)) = steps.split_first().and_then(|(name, rest)| Some((name.name()?, rest))) else {
            return;
        };
        let key = ResourceKey { mode, kind: kind.into(), name: name.into() };
        let Some(definition) = place.resource(&key) else { return };
        let (key, rest) = key_of(rest);
        let key = key.map(|key| key.to_string()).unwrap_or_default();
        let path: Json = rest
            .iter()
            .map_while(|step| match step {
                Step::Attribute(name) => Some(json!(&*name.name)),
                Step::Key(name, _) => Some(json!(&**name)),
                Step::Number(digits, _) => digits.parse().ok().map(|number: u64| json!(number)),
                Step::Unknown(_) | Step::Splat(_) => None,
            })
            .collect();
        let resource = format!("{}{}{kind}.{name}{key}", place.prefix, mode.prefix());
        self.found.insert((resource, path.to_string()), path);
        let known = rest.iter().take_while(|step| !matches!(step, Step::Unknown(_) | Step::Splat(_))).count();
        deeper(|| self.part(place, definition, rest.get(..known).unwrap_or_default()));
    }
}

/// The name of an attribute, a block or an entry that a step is to.
fn name_of(step: &Step) -> Option<&str> {
    match step {
        Step::Attribute(name) => Some(&name.name),
        Step::Key(name, _) => Some(name),
        _ => None,
    }
}

/// The key that steps begin with, and the steps after it.
fn key_of(steps: &[Step]) -> (Option<InstanceKey>, &[Step]) {
    let Some((first, rest)) = steps.split_first() else { return (None, steps) };
    match first {
        Step::Number(digits, _) => (digits.parse().ok().map(InstanceKey::Index), rest),
        Step::Key(name, _) => (Some(InstanceKey::Name(Arc::clone(name))), rest),
        _ => (None, steps),
    }
}
