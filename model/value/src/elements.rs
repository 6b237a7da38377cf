use std::slice::Iter;

use crate::Value;

/// The elements of a set, in order. What is known is there once; of what is not, equal elements may turn out to differ,
/// so that each of them stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Elements(Vec<Value>);

impl Elements {
    /// Each of them, in order.
    pub fn iter(&self) -> Iter<'_, Value> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The element that is this value.
    pub fn get(&self, value: &Value) -> Option<&Value> {
        self.0.binary_search(value).ok().and_then(|at| self.0.get(at))
    }

    /// Whether there is an element that is this value.
    pub fn contains(&self, value: &Value) -> bool {
        self.get(value).is_some()
    }
}

impl FromIterator<Value> for Elements {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Elements {
        let mut elements: Vec<Value> = values.into_iter().collect();
        elements.sort();
        elements.dedup_by(|one, other| one == other && one.is_wholly_known());
        Elements(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Type;

    #[test]
    fn what_is_known_is_there_once() {
        let unknown = || Value::unknown(Type::String);
        let object = |value: Value| Value::object([("a", value)]);
        let count = |values: &[Value]| values.iter().cloned().collect::<Elements>().len();
        assert_eq!(count(&["b", "a", "b"].map(Value::from)), 2);
        assert_eq!(count(&[unknown(), "a".into(), unknown(), "a".into()]), 3);
        assert_eq!(count(&[object(unknown()), object("a".into()), object(unknown())]), 3);
        let elements: Elements = ["b", "a"].map(Value::from).into_iter().collect();
        assert!(elements.contains(&"b".into()) && !elements.contains(&"c".into()) && !elements.is_empty());
    }
}
