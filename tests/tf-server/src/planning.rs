//! What a change comes to before it is made.

use crate::schema::{Attribute, Block, Kind, NestedBlock, Nesting, Of, Rule};
use crate::value::{Value, sorted};
use crate::wire::Selector;

/// A planned object, and the places that need another object.
pub struct Planned {
    pub value: Value,
    pub replace: Vec<Vec<Selector>>,
}

/// Plans an object: prior to the change, as proposed, and as configured.
pub fn plan(kind: &Kind, prior: &Value, proposed: &Value, config: &Value) -> Planned {
    if proposed.is_null() {
        return Planned { value: Value::Null, replace: Vec::new() };
    }
    let run = |fresh: bool| {
        let mut planning = Planning { fresh, legacy: kind.legacy, in_set: false, at: Vec::new(), replace: Vec::new() };
        let value = planning.object(&kind.block.attributes, &kind.block.blocks, prior, proposed, config);
        let replace = if prior.is_null() { Vec::new() } else { planning.replace };
        Planned { value, replace }
    };
    let planned = run(false);
    if planned.value == *prior { planned } else { run(true) }
}

/// What is made of a value.
pub fn derived(of: &Value) -> Value {
    let digest = of
        .json()
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Value::String(format!("of-{digest:016x}"))
}

struct Planning {
    /// Something changes, so that what is new with every change is not known.
    fresh: bool,
    legacy: bool,
    in_set: bool,
    at: Vec<Selector>,
    replace: Vec<Vec<Selector>>,
}

impl Planning {
    fn object(
        &mut self,
        attributes: &[Attribute],
        blocks: &[NestedBlock],
        prior: &Value,
        proposed: &Value,
        config: &Value,
    ) -> Value {
        let mut planned = proposed.clone();
        // What is made of others comes after them.
        let (later, first): (Vec<_>, Vec<_>) =
            attributes.iter().partition(|attribute| matches!(attribute.rule, Rule::From(_) | Rule::Late(_)));
        for attribute in first.into_iter().chain(later) {
            let name = attribute.name;
            self.at.push(Selector::Attribute(name.to_owned()));
            let value = self.attribute(attribute, &planned, prior.get(name), proposed.get(name), config.get(name));
            if matches!(attribute.rule, Rule::Replace) && value != *prior.get(name) && !self.in_set {
                self.replace.push(self.at.clone());
            }
            planned.set(name, value);
            self.at.pop();
        }
        for NestedBlock { name, nesting, block, .. } in blocks {
            self.at.push(Selector::Attribute((*name).to_owned()));
            let Block { attributes, blocks } = block;
            let value =
                self.nested(*nesting, attributes, blocks, prior.get(name), proposed.get(name), config.get(name));
            planned.set(name, value);
            self.at.pop();
        }
        planned
    }

    fn attribute(
        &mut self,
        attribute: &Attribute,
        planned: &Value,
        prior: &Value,
        proposed: &Value,
        config: &Value,
    ) -> Value {
        if attribute.write_only {
            return Value::Null;
        }
        if !config.is_null() {
            return match (&attribute.of, &attribute.rule) {
                (Of::Nested(nesting, attributes), _) => self.nested(*nesting, attributes, &[], prior, proposed, config),
                (_, Rule::Fold) if folded(prior).is_some() && folded(prior) == folded(config) => prior.clone(),
                // White space around a text is nothing to the careless.
                _ if self.legacy && trimmed(prior).is_some() && trimmed(prior) == trimmed(config) => prior.clone(),
                _ => config.clone(),
            };
        }
        if !attribute.computed {
            // What the careless made of nothing, they leave.
            return if self.legacy && is_nothing(prior) { prior.clone() } else { Value::Null };
        }
        let known = |value: &Value| if value.is_null() { Value::Unknown } else { value.clone() };
        match attribute.rule {
            Rule::Default(ref value) => value.clone(),
            Rule::Keep | Rule::Replace | Rule::Fold => known(proposed),
            Rule::Fresh => known(if self.fresh { &Value::Null } else { proposed }),
            Rule::From(other) => match planned.get(other) {
                other if other.is_known() => derived(other),
                _ => Value::Unknown,
            },
            Rule::Late(other) => match planned.get(other) {
                other if other.is_known() && derived(other) == *proposed => proposed.clone(),
                _ => Value::Unknown,
            },
        }
    }

    fn nested(
        &mut self,
        nesting: Nesting,
        attributes: &[Attribute],
        blocks: &[NestedBlock],
        prior: &Value,
        proposed: &Value,
        config: &Value,
    ) -> Value {
        match (nesting, config) {
            (Nesting::Single | Nesting::Group, Value::Mapping(_)) => {
                self.object(attributes, blocks, prior, or(proposed, config), config)
            }
            (Nesting::List, Value::Sequence(elements)) => {
                let planned = elements.iter().enumerate().map(|(at, config)| {
                    self.at.push(Selector::Index(at as i64));
                    let element = self.element(attributes, blocks, nth(prior, at), nth(proposed, at), config);
                    self.at.pop();
                    element
                });
                Value::Sequence(planned.collect())
            }
            (Nesting::Map, Value::Mapping(entries)) => {
                let planned = entries.iter().map(|(key, config)| {
                    self.at.push(Selector::Key(key.clone()));
                    let element = self.element(attributes, blocks, prior.get(key), proposed.get(key), config);
                    self.at.pop();
                    (key.clone(), element)
                });
                Value::Mapping(planned.collect())
            }
            (Nesting::Set, Value::Sequence(elements)) => {
                let mut left: Vec<&Value> = match proposed {
                    Value::Sequence(elements) => elements.iter().collect(),
                    _ => Vec::new(),
                };
                let was = std::mem::replace(&mut self.in_set, true);
                let planned = elements.iter().map(|config| {
                    let found = left.iter().position(|proposed| comes_from(proposed, config));
                    let proposed = found.map_or(&Value::Null, |at| left.swap_remove(at));
                    self.element(attributes, blocks, &Value::Null, proposed, config)
                });
                let planned = sorted(planned.collect());
                self.in_set = was;
                planned
            }
            // What is null or unknown, and what has a type of its own, has nothing computed in it.
            _ => config.clone(),
        }
    }

    fn element(
        &mut self,
        attributes: &[Attribute],
        blocks: &[NestedBlock],
        prior: &Value,
        proposed: &Value,
        config: &Value,
    ) -> Value {
        match config {
            Value::Mapping(_) => self.object(attributes, blocks, prior, or(proposed, config), config),
            _ => config.clone(),
        }
    }
}

fn or<'a>(value: &'a Value, other: &'a Value) -> &'a Value {
    if matches!(value, Value::Mapping(_)) { value } else { other }
}

fn nth(of: &Value, at: usize) -> &Value {
    match of {
        Value::Sequence(elements) => elements.get(at).unwrap_or(&Value::Null),
        _ => &Value::Null,
    }
}

/// Whether an element as proposed has everything that one of the configuration has.
fn comes_from(proposed: &Value, config: &Value) -> bool {
    match (proposed, config) {
        (_, Value::Null) => true,
        (Value::Mapping(_), Value::Mapping(entries)) => {
            entries.iter().all(|(name, config)| comes_from(proposed.get(name), config))
        }
        (Value::Sequence(one), Value::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| comes_from(one, other))
        }
        (proposed, config) => proposed == config,
    }
}

fn folded(value: &Value) -> Option<String> {
    value.as_str().map(str::to_lowercase)
}

fn trimmed(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim)
}

/// What the careless make of nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(digits) => digits == "0",
        Value::Mapping(entries) => entries.is_empty(),
        _ => false,
    }
}
