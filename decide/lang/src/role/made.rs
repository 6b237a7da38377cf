//! What became of a definition of a host resource, and what others read of it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::Block;
use andon_value::Value;

use crate::eval::nothing_given;

/// What became of one definition.
#[derive(Clone, Default)]
pub(super) struct Made {
    pub instances: Vec<Instance>,
    /// Why it is not known how many there are.
    pub undecided: Option<String>,
    /// They have keys, however many there are.
    pub keyed: bool,
    /// What others read of it, made when somebody does.
    pub value: OnceCell<Value>,
}

/// One host resource.
#[derive(Clone)]
pub(super) struct Instance {
    /// Its key of a `for_each`.
    pub key: Option<Arc<str>>,
    pub name: Arc<str>,
    /// The name without the key of a `for_each`.
    pub label: Arc<str>,
    pub attributes: Value,
    pub absent: bool,
}

impl Made {
    /// What others read of a host resource: one, or all by their keys.
    pub fn readable(&self, schema: &Block) -> Value {
        match self.instances.first() {
            _ if self.undecided.is_some() => Value::UNKNOWN,
            _ if self.keyed => {
                let keyed = self.instances.iter().map(|it| (it.key.clone().unwrap_or_default(), it.readable(schema)));
                Value::object(keyed)
            }
            Some(instance) => instance.readable(schema),
            None => Value::NULL,
        }
    }
}

impl Instance {
    /// Its attributes, where `path`, `name` and `key` are its label if not given.
    fn readable(&self, schema: &Block) -> Value {
        let Some(given) = self.attributes.as_entries() else { return Value::UNKNOWN };
        let nothing = nothing_given(schema);
        let entries = nothing.as_entries().into_iter().flat_map(|entries| entries.iter()).chain(given.iter());
        let mut entries: BTreeMap<_, _> = entries.map(|(name, value)| (name.clone(), value.clone())).collect();
        for name in ["path", "name", "key"] {
            if let Some(value) = entries.get_mut(name).filter(|value| value.is_null()) {
                *value = Value::string(self.label.clone());
            }
        }
        Value::object(entries)
    }
}
