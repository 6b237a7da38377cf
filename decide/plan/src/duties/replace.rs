use andon_schema::Block;
use andon_value::{Kind, Path, PathStep, Value};

use super::Fault;
use super::equal::same;
use super::shape::{Shape, element};

/// Those of the paths for which an object must be replaced, of all that a provider names: their values change, or are
/// write-only, so that nobody can tell. None where there is no object yet.
///
/// # Errors
/// A path that leads nowhere, neither in the object nor in the plan.
pub fn replaces(schema: &Block, paths: &[Path], prior: &Value, planned: &Value) -> Result<Vec<Path>, Fault> {
    let mut found: Vec<Path> = Vec::new();
    if prior.is_null() {
        return Ok(found);
    }
    for path in paths {
        let changes = match (at(prior, path), at(planned, path)) {
            (None, None) => {
                let what = "is to be replaced where it changes, but there is no such attribute";
                return Err(Fault::new(path, what));
            }
            (before, after) => {
                let (before, after) = (before.unwrap_or(Value::NULL), after.unwrap_or(Value::NULL));
                !same(&before, &after)
            }
        };
        let write_only = || Shape::from(schema).attribute_at(path).is_some_and(|attribute| attribute.write_only);
        if (changes || write_only()) && !found.contains(path) {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// The value at the end of a path; unknown where something on the way is, `None` where there is none.
fn at(value: &Value, path: &Path) -> Option<Value> {
    let mut at = value;
    for step in path.steps() {
        if at.is_unknown() {
            return Some(Value::UNKNOWN);
        }
        at = match (at.kind(), step) {
            // An index of a set means no element of it.
            (Kind::Set(..), PathStep::Index(_)) => return None,
            _ => element(at, step)?,
        };
    }
    Some(at.clone())
}
