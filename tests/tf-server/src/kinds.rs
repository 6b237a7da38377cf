//! The kinds of resources, data sources and ephemeral resources that there are: together they have every kind of
//! attribute, nested attributes and blocks in each mode, and the usual rules of planning.

use std::collections::BTreeMap;

use crate::schema::{Attribute, Block, Kind, NestedBlock, Nesting, Rule};
use crate::value::{Type, Value};

fn list(of: Type) -> Type {
    Type::List(Box::new(of))
}

fn set(of: Type) -> Type {
    Type::Set(Box::new(of))
}

fn map(of: Type) -> Type {
    Type::Map(Box::new(of))
}

fn object(entries: &[(&str, Type)]) -> Type {
    let mut entries: Vec<(String, Type)> = entries.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    entries.sort();
    Type::Object(entries)
}

fn kind(attributes: Vec<Attribute>, blocks: Vec<NestedBlock>) -> Kind {
    let mut all = vec![
        Attribute::computed("id", Type::String),
        Attribute::required("name", Type::String).rule(Rule::Replace),
        Attribute::optional("fail", Type::String),
        Attribute::computed("serial", Type::Number).rule(Rule::Fresh),
    ];
    all.extend(attributes);
    Kind { block: Block { attributes: all, blocks }, ..Kind::default() }
}

pub fn provider() -> Kind {
    let attributes =
        vec![Attribute::required("cloud", Type::String), Attribute::optional("token", Type::String).sensitive()];
    let labels = NestedBlock {
        name: "labels",
        nesting: Nesting::List,
        min: 0,
        max: 1,
        block: Block { attributes: vec![Attribute::optional("all", map(Type::String))], blocks: Vec::new() },
    };
    Kind { block: Block { attributes, blocks: vec![labels] }, ..Kind::default() }
}

/// The kinds of resources, as they were at this age of the provider.
pub fn resources(age: i64) -> BTreeMap<&'static str, Kind> {
    [
        ("sky_kinds", kinds()),
        ("sky_nested", nested()),
        ("sky_blocks", blocks()),
        ("sky_steady", steady()),
        ("sky_legacy", legacy()),
        ("sky_old", old(age)),
    ]
    .into()
}

/// Every type, in every role.
fn kinds() -> Kind {
    let pair = || object(&[("a", Type::String), ("b", Type::Number)]);
    let tuple = || Type::Tuple(vec![Type::String, Type::Number, Type::Bool]);
    let of = [
        ("string", Type::String),
        ("number", Type::Number),
        ("bool", Type::Bool),
        ("dynamic", Type::Dynamic),
        ("strings", list(Type::String)),
        ("numbers", list(Type::Number)),
        ("bools", list(Type::Bool)),
        ("set_strings", set(Type::String)),
        ("set_numbers", set(Type::Number)),
        ("map_strings", map(Type::String)),
        ("map_numbers", map(Type::Number)),
        ("map_bools", map(Type::Bool)),
        ("object", pair()),
        ("tuple", tuple()),
        ("objects", list(pair())),
        ("set_objects", set(pair())),
        ("map_lists", map(list(Type::String))),
        ("deep", object(&[("in", list(object(&[("set", set(Type::String)), ("any", Type::Bool)])))])),
    ];
    let mut attributes: Vec<Attribute> = of.iter().map(|(name, of)| Attribute::optional(name, of.clone())).collect();
    let either = [
        ("either_string", Type::String),
        ("either_number", Type::Number),
        ("either_list", list(Type::String)),
        ("either_set", set(Type::String)),
        ("either_map", map(Type::String)),
        ("either_object", pair()),
        ("either_dynamic", Type::Dynamic),
    ];
    attributes.extend(either.map(|(name, of)| Attribute::either(name, of)));
    let computed = [
        ("made_bool", Type::Bool),
        ("made_list", list(Type::String)),
        ("made_set", set(Type::Number)),
        ("made_map", map(Type::String)),
        ("made_object", pair()),
        ("made_tuple", tuple()),
        ("made_dynamic", Type::Dynamic),
    ];
    attributes.extend(computed.map(|(name, of)| Attribute::computed(name, of)));
    attributes.push(Attribute::optional("secret", Type::String).sensitive());
    attributes.push(Attribute::optional("secrets", map(Type::String)).sensitive());
    attributes.push(Attribute::computed("key", Type::String).sensitive());
    kind(attributes, Vec::new())
}

/// What is inside nested attributes and blocks.
fn body() -> Vec<Attribute> {
    vec![
        Attribute::required("port", Type::Number),
        Attribute::optional("host", Type::String),
        Attribute::optional("tags", map(Type::String)),
        Attribute::either("note", Type::String).rule(Rule::Default(Value::text("none"))),
        Attribute::computed("label", Type::String).rule(Rule::From("port")),
        Attribute::either("zone", Type::String),
        Attribute::optional("password", Type::String).sensitive(),
    ]
}

/// Without what would make elements of a set that nobody can tell apart before they are made.
fn element() -> Vec<Attribute> {
    body().into_iter().filter(|attribute| attribute.name != "zone").collect()
}

fn nested() -> Kind {
    let of = |name, nesting, attributes| Attribute::optional(name, Type::Bool).nested(nesting, attributes);
    let with = |mut attributes: Vec<Attribute>, more: Vec<Attribute>| {
        attributes.extend(more);
        attributes
    };
    let deep = with(
        body(),
        vec![
            of("list", Nesting::List, with(body(), vec![of("single", Nesting::Single, body())])),
            of("map", Nesting::Map, body()),
        ],
    );
    kind(
        vec![
            of("single", Nesting::Single, body()),
            of("list", Nesting::List, with(body(), vec![of("inner", Nesting::Single, body())])),
            of("set", Nesting::Set, element()),
            of("map", Nesting::Map, with(body(), vec![of("inner", Nesting::List, body())])),
            of("deep", Nesting::Single, deep),
            of(
                "forced",
                Nesting::Single,
                vec![
                    Attribute::optional("size", Type::Number).rule(Rule::Replace),
                    Attribute::optional("color", Type::String),
                ],
            ),
            Attribute::either("either_single", Type::Bool).nested(Nesting::Single, body()),
            Attribute::either("either_list", Type::Bool).nested(Nesting::List, body()),
            Attribute::either("either_map", Type::Bool).nested(Nesting::Map, body()),
            Attribute::computed("made_single", Type::Bool)
                .nested(Nesting::Single, vec![Attribute::computed("a", Type::String)]),
            Attribute::computed("made_list", Type::Bool)
                .nested(Nesting::List, vec![Attribute::computed("a", Type::String)]),
            of("hidden", Nesting::List, body()).sensitive(),
        ],
        Vec::new(),
    )
}

fn block(attributes: Vec<Attribute>, blocks: Vec<NestedBlock>) -> Block {
    Block { attributes, blocks }
}

fn blocks() -> Kind {
    let of = |name, nesting, min, max, block| NestedBlock { name, nesting, min, max, block };
    let inner = || {
        vec![
            of("leaf", Nesting::List, 0, 0, block(body(), Vec::new())),
            of("only", Nesting::Single, 0, 0, block(body(), Vec::new())),
        ]
    };
    let any = vec![Attribute::optional("any", Type::Dynamic), Attribute::optional("port", Type::Number)];
    kind(
        vec![Attribute::either("text", Type::String)],
        vec![
            of("single", Nesting::Single, 0, 0, block(body(), Vec::new())),
            of(
                "group",
                Nesting::Group,
                0,
                0,
                block(
                    vec![Attribute::optional("size", Type::Number), Attribute::either("color", Type::String)],
                    vec![of("leaf", Nesting::List, 0, 0, block(body(), Vec::new()))],
                ),
            ),
            of("list", Nesting::List, 0, 4, block(body(), inner())),
            of(
                "must",
                Nesting::List,
                1,
                2,
                block(
                    vec![
                        Attribute::required("size", Type::Number).rule(Rule::Replace),
                        Attribute::optional("color", Type::String),
                    ],
                    Vec::new(),
                ),
            ),
            of(
                "set",
                Nesting::Set,
                0,
                0,
                block(element(), vec![of("leaf", Nesting::Set, 0, 0, block(element(), Vec::new()))]),
            ),
            of("map", Nesting::Map, 0, 0, block(body(), Vec::new())),
            of("mixed", Nesting::List, 0, 0, block(any, Vec::new())),
        ],
    )
}

/// The usual modifiers of plans.
fn steady() -> Kind {
    kind(
        vec![
            Attribute::optional("text", Type::String),
            Attribute::optional("forced", Type::String).rule(Rule::Replace),
            Attribute::optional("forced_map", map(Type::String)).rule(Rule::Replace),
            Attribute::either("forced_either", Type::String).rule(Rule::Replace),
            Attribute::optional("folded", Type::String).rule(Rule::Fold),
            Attribute::either("fallback", Type::String).rule(Rule::Default(Value::text("fallback"))),
            Attribute::either("fallback_list", list(Type::String))
                .rule(Rule::Default(Value::Sequence(vec![Value::text("one")]))),
            Attribute::either("kept", Type::String),
            Attribute::computed("from", Type::String).rule(Rule::From("text")),
            Attribute::computed("late", Type::String).rule(Rule::Late("text")),
            Attribute::either("late_either", Type::String).rule(Rule::Late("text")),
            Attribute::computed("fresh", Type::String).rule(Rule::Fresh),
            Attribute::optional("secret_wo", Type::String).write_only(),
            Attribute::optional("secret_version", Type::Number),
            Attribute::computed("secret_seen", Type::String).rule(Rule::Late("secret_version")),
        ],
        Vec::new(),
    )
}

/// A careless provider of the older sort, with an attribute that may be written as blocks.
fn legacy() -> Kind {
    let pair = object(&[("a", Type::String), ("b", Type::Number)]);
    let leaf = NestedBlock {
        name: "leaf",
        nesting: Nesting::List,
        min: 0,
        max: 1,
        block: block(
            vec![Attribute::optional("text", Type::String), Attribute::either("size", Type::Number)],
            Vec::new(),
        ),
    };
    let attributes = vec![
        Attribute::optional("text", Type::String),
        Attribute::optional("size", Type::Number),
        Attribute::optional("flags", map(Type::String)),
        Attribute::either("attached", list(pair.clone())),
        Attribute::optional("attached_set", set(pair)),
        Attribute::optional("forced", Type::String).rule(Rule::Replace),
    ];
    Kind { legacy: true, ..kind(attributes, vec![leaf]) }
}

/// A kind of which the newer provider has another version: a label became labels.
fn old(age: i64) -> Kind {
    let label = match age {
        1 => Attribute::optional("label", Type::String),
        _ => Attribute::optional("labels", list(Type::String)),
    };
    Kind { version: age, ..kind(vec![label, Attribute::optional("text", Type::String)], Vec::new()) }
}

pub fn data() -> BTreeMap<&'static str, Kind> {
    let find = vec![
        Attribute::required("name", Type::String),
        Attribute::optional("optional", Type::Bool),
        Attribute::computed("found", Type::Bool),
        Attribute::computed("id", Type::String),
        Attribute::computed("serial", Type::Number),
    ];
    let filter = NestedBlock {
        name: "filter",
        nesting: Nesting::Set,
        min: 0,
        max: 0,
        block: block(
            vec![Attribute::required("name", Type::String), Attribute::required("values", list(Type::String))],
            Vec::new(),
        ),
    };
    let echo = vec![
        Attribute::optional("text", Type::String),
        Attribute::optional("any", Type::Dynamic),
        Attribute::optional("secret", Type::String).sensitive(),
        Attribute::optional("numbers", set(Type::Number)),
        Attribute::either("either", Type::String).rule(Rule::Default(Value::text("echo"))),
        Attribute::optional("nested", Type::Bool).nested(Nesting::Map, element()),
        Attribute::computed("shout", Type::String).rule(Rule::From("text")),
    ];
    let of = |attributes, blocks| Kind { block: block(attributes, blocks), ..Kind::default() };
    [("sky_find", of(find, Vec::new())), ("sky_echo", of(echo, vec![filter]))].into()
}

pub fn ephemeral() -> BTreeMap<&'static str, Kind> {
    let token = vec![Attribute::required("name", Type::String), Attribute::computed("token", Type::String).sensitive()];
    [("sky_token", Kind { block: block(token, Vec::new()), ..Kind::default() })].into()
}
