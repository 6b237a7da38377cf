//! What a kind of resource looks like, and by which rules its attributes are planned.

use crate::value::{Type, Value};
use crate::wire;

/// How an attribute without a value of its own comes to one, and what a change of it means.
#[derive(Debug, Clone)]
pub enum Rule {
    /// What is proposed is planned; what is computed is known after the first apply and stays.
    Keep,
    /// Another value needs another object.
    Replace,
    /// This value where the configuration gives none.
    Default(Value),
    /// Made of another attribute of the same object, as soon as that is known.
    From(&'static str),
    /// Made of another attribute while applying: unknown where that changes.
    Late(&'static str),
    /// Another with every change of the resource.
    Fresh,
    /// Upper and lower case mean the same: what was first stays.
    Fold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    Single = 1,
    List = 2,
    Set = 3,
    Map = 4,
    Group = 5,
}

#[derive(Debug, Clone)]
pub enum Of {
    Type(Type),
    Nested(Nesting, Vec<Attribute>),
}

#[derive(Debug, Clone)]
pub struct Attribute {
    pub name: &'static str,
    pub of: Of,
    pub required: bool,
    pub optional: bool,
    pub computed: bool,
    pub sensitive: bool,
    pub write_only: bool,
    pub rule: Rule,
}

#[derive(Debug, Clone, Default)]
pub struct Block {
    pub attributes: Vec<Attribute>,
    pub blocks: Vec<NestedBlock>,
}

#[derive(Debug, Clone)]
pub struct NestedBlock {
    pub name: &'static str,
    pub nesting: Nesting,
    pub min: i64,
    pub max: i64,
    pub block: Block,
}

/// A kind of resource.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    pub version: i64,
    pub block: Block,
    /// It is as careless as providers of the older sort.
    pub legacy: bool,
}

impl Attribute {
    pub fn required(name: &'static str, of: Type) -> Attribute {
        let of = Of::Type(of);
        let (required, optional, computed) = (true, false, false);
        Attribute { name, of, required, optional, computed, sensitive: false, write_only: false, rule: Rule::Keep }
    }

    pub fn optional(name: &'static str, of: Type) -> Attribute {
        Attribute { required: false, optional: true, ..Attribute::required(name, of) }
    }

    pub fn computed(name: &'static str, of: Type) -> Attribute {
        Attribute { required: false, computed: true, ..Attribute::required(name, of) }
    }

    /// Given, or else computed.
    pub fn either(name: &'static str, of: Type) -> Attribute {
        Attribute { computed: true, ..Attribute::optional(name, of) }
    }

    pub fn nested(self, nesting: Nesting, attributes: Vec<Attribute>) -> Attribute {
        Attribute { of: Of::Nested(nesting, attributes), ..self }
    }

    pub fn rule(self, rule: Rule) -> Attribute {
        Attribute { rule, ..self }
    }

    pub fn sensitive(self) -> Attribute {
        Attribute { sensitive: true, ..self }
    }

    pub fn write_only(self) -> Attribute {
        Attribute { write_only: true, ..self }
    }

    pub fn value_type(&self) -> Type {
        match &self.of {
            Of::Type(of) => of.clone(),
            Of::Nested(nesting, attributes) => nesting.of(object(attributes)),
        }
    }

    fn wire(&self) -> wire::Attribute {
        let (of, nested) = match &self.of {
            Of::Type(of) => (of.json().to_string().into_bytes(), None),
            Of::Nested(nesting, attributes) => {
                let attributes = attributes.iter().map(Attribute::wire).collect();
                (Vec::new(), Some(wire::Object { attributes, nesting: *nesting as i32 }))
            }
        };
        wire::Attribute {
            name: self.name.to_owned(),
            r#type: of,
            nested_type: nested,
            required: self.required,
            optional: self.optional,
            computed: self.computed,
            sensitive: self.sensitive,
            write_only: self.write_only,
            ..wire::Attribute::default()
        }
    }
}

fn object(attributes: &[Attribute]) -> Type {
    let mut entries: Vec<(String, Type)> =
        attributes.iter().map(|attribute| (attribute.name.to_owned(), attribute.value_type())).collect();
    entries.sort();
    Type::Object(entries)
}

impl Nesting {
    fn of(self, element: Type) -> Type {
        match self {
            Nesting::Single | Nesting::Group => element,
            Nesting::List => Type::List(Box::new(element)),
            Nesting::Set => Type::Set(Box::new(element)),
            Nesting::Map => Type::Map(Box::new(element)),
        }
    }
}

impl Block {
    pub fn value_type(&self) -> Type {
        let Type::Object(mut entries) = object(&self.attributes) else { return Type::Dynamic };
        entries.extend(self.blocks.iter().map(|nested| {
            let element = nested.block.value_type();
            // What elements of differing types are in has no type of its own before it has a value.
            let of = if nested.block.has_dynamic() && matches!(nested.nesting, Nesting::List | Nesting::Map) {
                Type::Dynamic
            } else {
                nested.nesting.of(element)
            };
            (nested.name.to_owned(), of)
        }));
        entries.sort();
        Type::Object(entries)
    }

    fn has_dynamic(&self) -> bool {
        self.attributes.iter().any(|attribute| matches!(attribute.of, Of::Type(Type::Dynamic)))
            || self.blocks.iter().any(|nested| nested.block.has_dynamic())
    }

    pub fn wire(&self) -> wire::Block {
        let nested = |nested: &NestedBlock| wire::NestedBlock {
            type_name: nested.name.to_owned(),
            block: Some(nested.block.wire()),
            nesting: nested.nesting as i32,
            min_items: nested.min,
            max_items: nested.max,
        };
        wire::Block {
            attributes: self.attributes.iter().map(Attribute::wire).collect(),
            block_types: self.blocks.iter().map(nested).collect(),
            ..wire::Block::default()
        }
    }
}

impl Kind {
    pub fn wire(&self) -> wire::Schema {
        wire::Schema { version: self.version, block: Some(self.block.wire()) }
    }
}
