//! What a mocked provider gives: objects made of a configuration and a schema alone. What a provider would have decided
//! is what a test says, and else a plain value of the right type.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use andon_schema::{Attribute, Block, NestedBlock, Nesting};
use andon_text::deeper;
use andon_value::{Kind, Type, Value, convert};

use crate::duties;

/// How long made-up texts are.
const LETTERS: usize = 8;

/// What an object is planned to be: as it is configured, and as it was where the provider decides; unknown there where it
/// is new. A `prior` of null is a new object.
pub fn mock_plan(schema: &Block, prior: &Value, config: &Value) -> Value {
    match prior.is_null() {
        true => duties::planned_unknown(schema, config),
        false => duties::proposed(schema, prior, config),
    }
}

/// An object with values wherever it is unknown and a provider decides: those that `given`, an object, has under the
/// same names, and else made-up ones. The same `seed` makes up the same. `Err` says what of `given` is of a wrong type.
pub fn mock_object(schema: &Block, planned: &Value, given: &Value, seed: &str) -> Result<Value, String> {
    let mut maker = Maker { path: vec![seed.to_owned()], wrong: None };
    let made = maker.block(schema, planned, Some(given));
    match maker.wrong {
        Some(wrong) => Err(wrong),
        None => Ok(made),
    }
}

/// An object that is imported where nothing real is asked: nothing but what is `given`.
///
/// # Errors
/// What of `given` is of a wrong type.
pub fn mock_import(schema: &Block, given: &Value, seed: &str) -> Result<Value, String> {
    let blank = duties::empty(schema);
    let open = blank.as_entries().into_iter().flat_map(|entries| entries.iter()).map(|(name, value)| {
        let is_given = schema.attributes.contains_key(&**name) && given.get(name).is_some();
        (Arc::clone(name), if is_given { Value::unknown(value.ty()) } else { value.clone() })
    });
    mock_object(schema, &Value::object(open.collect::<Vec<_>>()), given, seed)
}

struct Maker {
    /// Where the walk is, from the seed on.
    path: Vec<String>,
    wrong: Option<String>,
}

impl Maker {
    fn within<T>(&mut self, name: &str, work: impl FnOnce(&mut Maker) -> T) -> T {
        self.path.push(name.to_owned());
        let done = deeper(|| work(self));
        self.path.pop();
        done
    }

    fn block(&mut self, schema: &Block, planned: &Value, given: Option<&Value>) -> Value {
        let Some(entries) = planned.as_entries() else { return planned.clone() };
        let members = entries.iter().map(|(name, value)| {
            let given = given.and_then(|given| given.get(name));
            let made = self.within(name, |maker| match (schema.attributes.get(&**name), schema.blocks.get(&**name)) {
                (Some(attribute), _) => maker.attribute(attribute, value, given),
                (_, Some(nested)) => maker.blocks(nested, value, given),
                _ => value.clone(),
            });
            (Arc::clone(name), made)
        });
        Value::object(members.collect::<Vec<_>>()).mark(planned.marks())
    }

    fn attribute(&mut self, schema: &Attribute, value: &Value, given: Option<&Value>) -> Value {
        if value.is_unknown() {
            let made = match given {
                Some(given) => self.converted(given, &schema.ty),
                None => self.made_up(&schema.ty),
            };
            return made.mark(value.marks());
        }
        match &schema.nested {
            Some(nested) if !value.is_wholly_known() => {
                let inner = Block { attributes: nested.attributes.clone(), ..Block::default() };
                self.each(nested.nesting, &inner, value, given)
            }
            _ => self.filled(value),
        }
    }

    fn blocks(&mut self, nested: &NestedBlock, value: &Value, given: Option<&Value>) -> Value {
        match value.is_unknown() {
            true => self.made_up(&value.ty()),
            false => self.each(nested.nesting, &nested.block, value, given),
        }
    }

    /// What is given is given to every element.
    fn each(&mut self, nesting: Nesting, inner: &Block, value: &Value, given: Option<&Value>) -> Value {
        if matches!(nesting, Nesting::Single | Nesting::Group) {
            return self.block(inner, value, given);
        }
        let mut index = 0;
        let mut element = |maker: &mut Maker, value: &Value| {
            index += 1;
            maker.within(&index.to_string(), |maker| maker.block(inner, value, given))
        };
        let made = match value.kind() {
            Kind::List(ty, elements) => {
                let all: Vec<Value> = elements.iter().map(|value| element(self, value)).collect();
                Value::list(ty.clone(), all)
            }
            Kind::Set(ty, elements) => {
                let all: Vec<Value> = elements.iter().map(|value| element(self, value)).collect();
                Value::set(ty.clone(), all)
            }
            Kind::Tuple(elements) => {
                Value::tuple(elements.iter().map(|value| element(self, value)).collect::<Vec<_>>())
            }
            Kind::Map(ty, entries) => {
                let all: Vec<_> =
                    entries.iter().map(|(name, value)| (Arc::clone(name), element(self, value))).collect();
                Value::map(ty.clone(), all)
            }
            Kind::Object(entries) => Value::object(
                entries.iter().map(|(name, it)| (Arc::clone(name), element(self, it))).collect::<Vec<_>>(),
            ),
            _ => return value.clone(),
        };
        made.mark(value.marks())
    }

    /// A value with made-up ones for what is unknown in it.
    fn filled(&mut self, value: &Value) -> Value {
        if value.is_wholly_known() {
            return value.clone();
        }
        value.map_deep(&mut |part| match part.is_unknown() {
            true => self.made_up(&part.ty()).mark(part.marks()),
            false => part,
        })
    }

    fn converted(&mut self, given: &Value, ty: &Type) -> Value {
        match convert(given, ty) {
            Ok(value) => value,
            Err(error) => {
                let place = self.path.get(1..).unwrap_or_default().join(".");
                self.wrong.get_or_insert(format!("The value given for {place} does not fit its type: {error}."));
                Value::null(ty.clone())
            }
        }
    }

    fn made_up(&mut self, ty: &Type) -> Value {
        match ty {
            Type::String => Value::string(self.letters()),
            Type::Number => Value::from(0),
            Type::Bool => Value::from(false),
            Type::List(element) => Value::list((**element).clone(), []),
            Type::Set(element) => Value::set((**element).clone(), []),
            Type::Map(element) => Value::map::<Arc<str>>((**element).clone(), []),
            Type::Object { attributes, .. } => {
                let members = attributes
                    .iter()
                    .map(|(name, inner)| (Arc::clone(name), self.within(name, |maker| maker.made_up(inner))));
                Value::object(members.collect::<Vec<_>>())
            }
            Type::Tuple(types) => {
                let all = types.iter().enumerate();
                let all: Vec<Value> =
                    all.map(|(at, ty)| self.within(&at.to_string(), |maker| maker.made_up(ty))).collect();
                Value::tuple(all)
            }
            Type::Dynamic => Value::null(Type::Dynamic),
        }
    }

    /// A text that stands for this place alone.
    fn letters(&self) -> String {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut hasher = DefaultHasher::new();
        self.path.hash(&mut hasher);
        let mut rest = hasher.finish();
        let letter = |_| {
            let at = usize::try_from(rest % 36).unwrap_or_default();
            rest /= 36;
            ALPHABET.get(at).copied().map_or('a', char::from)
        };
        (0..LETTERS).map(letter).collect()
    }
}
