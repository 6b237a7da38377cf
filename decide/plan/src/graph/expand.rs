use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_lang::eval::evaluate;
use andon_schema::InstanceKey;
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Kind, Type, Value, convert};

use super::view::View;

/// The most instances that one `count` may ask for: more is taken for a slip.
const MOST: u64 = 10_000_000;

/// The instances that a resource or a module call has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keys {
    /// One, without a key.
    One,
    /// As many as `count` says.
    Count(u64),
    /// One for each entry of `for_each`.
    Each(BTreeMap<Arc<str>, Value>),
    /// Nobody can say yet.
    Unknown,
}

/// What `count` and `each` mean in an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Each {
    /// Nothing.
    One,
    /// `count.index`
    Index(u64),
    /// `each.key` and `each.value`
    Entry(Arc<str>, Value),
}

impl Keys {
    /// Every instance, in order.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Option<InstanceKey>, Each)> + '_> {
        match self {
            Keys::Unknown => Box::new(std::iter::empty()),
            Keys::One => Box::new(std::iter::once((None, Each::One))),
            Keys::Count(count) => {
                Box::new((0..*count).map(|index| (Some(InstanceKey::Index(index)), Each::Index(index))))
            }
            Keys::Each(entries) => Box::new(entries.iter().map(|(name, value)| {
                (Some(InstanceKey::Name(Arc::clone(name))), Each::Entry(Arc::clone(name), value.clone()))
            })),
        }
    }

    /// One instance; `None` where there is none of the key.
    pub fn each(&self, key: &Option<InstanceKey>) -> Option<Each> {
        match (self, key) {
            (Keys::One, None) => Some(Each::One),
            (Keys::Count(count), Some(InstanceKey::Index(index))) if index < count => Some(Each::Index(*index)),
            (Keys::Each(entries), Some(InstanceKey::Name(name))) => {
                entries.get(name).map(|value| Each::Entry(Arc::clone(name), value.clone()))
            }
            _ => None,
        }
    }

    /// The instance that a key of an index expression names; `None` where it names none.
    pub fn named(&self, key: &Value) -> Option<InstanceKey> {
        let ty = match self {
            Keys::One | Keys::Unknown => return None,
            Keys::Count(_) => Type::Number,
            Keys::Each(_) => Type::String,
        };
        let key = match convert(key, &ty).ok()?.kind() {
            Kind::Number(number) => InstanceKey::Index(number.to_string().parse().ok()?),
            Kind::String(name) => InstanceKey::Name(Arc::clone(name)),
            _ => return None,
        };
        let key = Some(key);
        self.each(&key).and(key)
    }
}

/// What `count` and `for_each` come to.
pub(super) fn keys(count: Option<&Expr>, for_each: Option<&Expr>, view: &View<'_>) -> Result<Keys, Diagnostics> {
    match (count, for_each) {
        (None, None) => Ok(Keys::One),
        (Some(count), _) => of_count(count, view),
        (None, Some(for_each)) => of_for_each(for_each, view),
    }
}

fn of_count(expr: &Expr, view: &View<'_>) -> Result<Keys, Diagnostics> {
    let value = evaluate(expr, view)?;
    let wrong = |label: &str, detail: &str| {
        Diagnostics::from(Diagnostic::error("this is no count").at(expr.span).label(label).detail(detail))
    };
    if value.is_unknown() {
        return Ok(unknown("count", view));
    }
    // How many there are is no secret once it is planned, but a number that is none of instances still is.
    let secret = value.is_sensitive();
    let number =
        convert(&value, &Type::Number).map_err(|error| wrong("not a number", &sentence(&error.to_string())))?;
    let Some(number) = number.as_number() else {
        return Err(wrong("null", "`count` is a whole number, 0 or more."));
    };
    match number.to_string().parse::<u64>() {
        Ok(count) if count <= MOST => Ok(Keys::Count(count)),
        _ => {
            let label = if secret { "a secret number".to_owned() } else { number.to_string() };
            Err(wrong(&label, &format!("`count` is a whole number from 0 to {MOST}.")))
        }
    }
}

fn of_for_each(expr: &Expr, view: &View<'_>) -> Result<Keys, Diagnostics> {
    let value = evaluate(expr, view)?;
    let wrong = |label: &str, detail: &str, help: &str| {
        let diagnostic = Diagnostic::error("this cannot be gone over").at(expr.span).label(label).detail(detail);
        Diagnostics::from(if help.is_empty() { diagnostic } else { diagnostic.help(help) })
    };
    let secret = || {
        let why = "The keys of the instances are seen by everyone who sees a plan.";
        wrong("a secret", why, "Take the secret out of `for_each`, or use `nonsensitive` on what is none.")
    };
    if value.marks().sensitive {
        return Err(secret());
    }
    match value.kind() {
        Kind::Unknown(..) => Ok(unknown("for_each", view)),
        Kind::Map(_, entries) | Kind::Object(entries) => Ok(Keys::Each((**entries).clone())),
        Kind::Set(_, elements) => {
            let mut entries = BTreeMap::new();
            for element in elements.iter() {
                match element.kind() {
                    _ if element.is_sensitive() => return Err(secret()),
                    Kind::Unknown(..) => return Ok(unknown("for_each", view)),
                    Kind::String(name) => drop(entries.insert(Arc::clone(name), element.clone())),
                    _ => return Err(wrong("not a set of strings", "`for_each` takes a map, or a set of strings.", "")),
                }
            }
            Ok(Keys::Each(entries))
        }
        Kind::List(..) | Kind::Tuple(_) => Err(wrong(
            "a list",
            "`for_each` takes a map, or a set of strings: an instance is known by its key, and a place in a list \
             is none.",
            "Turn the list into a set with `toset(…)`.",
        )),
        Kind::Null(_) => Err(wrong("null", "`for_each` takes a map, or a set of strings.", "")),
        _ => Err(wrong("neither a map nor a set", "`for_each` takes a map, or a set of strings.", "")),
    }
}

/// Which instances there are is for another plan to say: all that depends on them is set aside.
fn unknown(argument: &'static str, view: &View<'_>) -> Keys {
    view.note_unknown(argument);
    Keys::Unknown
}

/// A clause as a sentence.
pub(super) fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
