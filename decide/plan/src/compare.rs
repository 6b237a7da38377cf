//! What differs, and what of it is left as it is.

use std::sync::Arc;

use andon_lang::definitions::{IgnoreChanges, IgnoredPath, IgnoredStep};
use andon_schema::Block;
use andon_value::{Kind, Path, PathStep, Value};

use crate::duties;
pub(crate) use crate::duties::{same, with_marks_of, with_marks_of_schema};

/// Whether all that is known of `planned` is so in `found` too, as far as that is known: whether what was shown to
/// the user still holds. The first attribute in which it does not, else.
pub(crate) fn contradiction(planned: &Value, found: &Value) -> Option<Arc<str>> {
    let (Some(planned), Some(found)) = (planned.as_entries(), found.as_entries()) else { return None };
    let differs = planned.iter().find(|(name, value)| found.get(*name).is_some_and(|found| !agrees(value, found)));
    differs.map(|(name, _)| Arc::clone(name))
}

fn agrees(planned: &Value, found: &Value) -> bool {
    match (planned.kind(), found.kind()) {
        (Kind::Unknown(..), _) | (_, Kind::Unknown(..)) => true,
        (Kind::List(_, one), Kind::List(_, other)) | (Kind::Tuple(one), Kind::Tuple(other)) => {
            one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| agrees(one, other))
        }
        (Kind::Map(_, one), Kind::Map(_, other)) | (Kind::Object(one), Kind::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other.iter()).all(|((a, one), (b, other))| a == b && agrees(one, other))
        }
        _ => same(planned, found) || !planned.is_wholly_known() || !found.is_wholly_known(),
    }
}

/// A path as people write it.
pub(crate) fn written(path: &Path) -> String {
    path.to_string().trim_start_matches('.').to_owned()
}

/// The configuration in which what `ignore_changes` names is as the object has it, and the attributes in which the
/// two differed.
pub(crate) fn ignoring(config: &Value, prior: &Value, ignored: &IgnoreChanges, schema: &Block) -> (Value, Vec<String>) {
    let (kept, differing) = match ignored {
        IgnoreChanges::None => return (config.clone(), Vec::new()),
        IgnoreChanges::All => duties::ignore_all(schema, config, prior),
        IgnoreChanges::Attributes(paths) => {
            let paths: Vec<Path> = paths.iter().map(path_of).collect();
            duties::ignore_changes(schema, config, prior, &paths)
        }
    };
    let differing = differing.iter().map(written);
    (kept, differing.collect())
}

fn path_of(ignored: &IgnoredPath) -> Path {
    let first = PathStep::Attribute(ignored.name.name.clone());
    let steps = ignored.steps.iter().map(|step| match step {
        IgnoredStep::Attribute(name) => PathStep::Attribute(name.name.clone()),
        IgnoredStep::Key(key) => PathStep::Key(key.clone()),
        IgnoredStep::Index(index) => PathStep::Index(usize::try_from(*index).unwrap_or(usize::MAX)),
    });
    std::iter::once(first).chain(steps).collect()
}

/// What is known of an object, or of data, that only an apply makes or reads: its configuration, and unknown where
/// the provider decides.
pub(crate) fn foreseen(config: &Value, schema: &Block) -> Value {
    duties::planned_unknown(schema, config)
}

/// The value with null for every collection and text in it that is empty.
pub(crate) fn without_empty(value: &Value) -> Value {
    value.map_deep(&mut |part| {
        let empty = match part.kind() {
            Kind::List(_, elements) => elements.is_empty(),
            Kind::Tuple(elements) => elements.is_empty(),
            Kind::Set(_, elements) => elements.is_empty(),
            Kind::Map(_, entries) => entries.is_empty(),
            Kind::String(text) => text.is_empty(),
            _ => false,
        };
        if empty { Value::null(part.ty()) } else { part }
    })
}
