use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use andon_text::deeper;

use crate::{Kind, Marks, Value};

/// The way from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<PathStep>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathStep {
    /// An object's attribute.
    Attribute(Arc<str>),
    /// An element of a list or tuple.
    Index(usize),
    /// An entry of a map.
    Key(Arc<str>),
    /// An element of a set, which has no other name than itself.
    Element(Value),
}

impl Path {
    /// The value itself.
    pub fn new() -> Path {
        Path::default()
    }

    /// The steps in order.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// Whether it leads nowhere: to the value itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One step further.
    pub fn push(&mut self, step: PathStep) {
        self.0.push(step);
    }

    /// One step back.
    pub fn pop(&mut self) -> Option<PathStep> {
        self.0.pop()
    }

    /// The same, begun one step earlier: for errors on their way out.
    pub fn within(mut self, step: PathStep) -> Path {
        self.0.insert(0, step);
        self
    }
}

impl FromIterator<PathStep> for Path {
    fn from_iter<I: IntoIterator<Item = PathStep>>(steps: I) -> Path {
        Path(steps.into_iter().collect())
    }
}

/// As it would be written after the value: `.name[0]["key"]`.
impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                PathStep::Attribute(name) => write!(out, ".{name}")?,
                PathStep::Index(index) => write!(out, "[{index}]")?,
                PathStep::Key(key) => write!(out, "[{}]", crate::quote(key))?,
                PathStep::Element(element) => write!(out, "[{}]", crate::render(element, 0))?,
            }
        }
        Ok(())
    }
}

impl Value {
    /// The value at the end of a path; `None` where there is none.
    pub fn at(&self, path: &Path) -> Option<&Value> {
        path.steps().iter().try_fold(self, |value, step| match (value.kind(), step) {
            (Kind::Object(entries), PathStep::Attribute(name)) => entries.get(name),
            (Kind::Map(_, entries), PathStep::Key(key)) => entries.get(key),
            (Kind::List(_, elements) | Kind::Tuple(elements), PathStep::Index(index)) => elements.get(*index),
            (Kind::Set(_, elements), PathStep::Element(element)) => elements.get(element),
            _ => None,
        })
    }

    /// What is directly inside, each with its step.
    pub fn steps(&self) -> Box<dyn Iterator<Item = (PathStep, &Value)> + '_> {
        match self.kind() {
            Kind::List(_, elements) | Kind::Tuple(elements) => {
                Box::new(elements.iter().enumerate().map(|(index, element)| (PathStep::Index(index), element)))
            }
            Kind::Set(_, elements) => {
                Box::new(elements.iter().map(|element| (PathStep::Element(element.clone()), element)))
            }
            Kind::Map(_, entries) => Box::new(entries.iter().map(|(key, value)| (PathStep::Key(key.clone()), value))),
            Kind::Object(entries) => {
                Box::new(entries.iter().map(|(name, value)| (PathStep::Attribute(name.clone()), value)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Shows `visit` it and everything in it, what holds before what is held.
    pub fn walk(&self, visit: &mut impl FnMut(&Path, &Value)) {
        fn go(value: &Value, path: &mut Path, visit: &mut impl FnMut(&Path, &Value)) {
            visit(path, value);
            for (step, child) in value.steps() {
                path.push(step);
                deeper(|| go(child, path, visit));
                path.pop();
            }
        }
        go(self, &mut Path::new(), visit);
    }

    /// Replaces everything in it, then itself, by what `change` gives, which keeps each type.
    pub fn map_deep(&self, change: &mut impl FnMut(Value) -> Value) -> Value {
        deeper(|| self.map_here(change))
    }

    fn map_here(&self, change: &mut impl FnMut(Value) -> Value) -> Value {
        let kind = match self.kind() {
            Kind::List(ty, elements) => Kind::List(ty.clone(), elements.iter().map(|e| e.map_deep(change)).collect()),
            Kind::Tuple(elements) => Kind::Tuple(elements.iter().map(|element| element.map_deep(change)).collect()),
            Kind::Set(ty, elements) => {
                let set = Value::set(ty.clone(), elements.iter().map(|element| element.map_deep(change)));
                return change(set.mark(self.marks()));
            }
            Kind::Map(ty, entries) => Kind::Map(ty.clone(), Arc::new(map_entries(entries, change))),
            Kind::Object(entries) => Kind::Object(Arc::new(map_entries(entries, change))),
            kind => kind.clone(),
        };
        change(Value::new(kind).mark(self.marks()))
    }

    /// Without any mark, its own or inside it, and all that was taken off.
    pub fn unmark_deep(&self) -> (Value, Marks) {
        let marks = self.marks_within();
        if marks == Marks::NONE {
            return (self.clone(), marks);
        }
        (self.map_deep(&mut |value| value.unmark().0), marks)
    }
}

fn map_entries(
    entries: &BTreeMap<Arc<str>, Value>,
    change: &mut impl FnMut(Value) -> Value,
) -> BTreeMap<Arc<str>, Value> {
    entries.iter().map(|(name, value)| (name.clone(), value.map_deep(change))).collect()
}
