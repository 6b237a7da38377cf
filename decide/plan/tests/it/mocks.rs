//! What a mocked provider gives, by schema, configuration and what a test says.

use std::sync::Arc;

use andon_plan::{mock_object, mock_plan};
use andon_schema::{Attribute, Block, NestedAttributes, NestedBlock, Nesting};
use andon_value::{Type, Value};

fn schema() -> Block {
    let inner = [("id", Attribute::computed(Type::String, "")), ("name", Attribute::optional(Type::String, ""))];
    let inner: std::collections::BTreeMap<String, Attribute> =
        inner.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let element = Type::object([("id", Type::String), ("name", Type::String)]);
    let nested = NestedAttributes { nesting: Nesting::Map, attributes: inner.clone() };
    let attributes = [
        ("id", Attribute::computed(Type::String, "")),
        ("count", Attribute::computed(Type::Number, "")),
        ("on", Attribute::computed(Type::Bool, "")),
        ("all", Attribute::computed(Type::list(Type::String), "")),
        ("tags", Attribute::optional_computed(Type::map(Type::String), "")),
        ("pair", Attribute::computed(Type::object([("a", Type::Number), ("b", Type::set(Type::Bool))]), "")),
        ("open", Attribute::computed(Type::Dynamic, "")),
        ("given", Attribute::optional(Type::String, "")),
        ("parts", Attribute { nested: Some(Arc::new(nested)), ..Attribute::optional(Type::map(element), "") }),
    ];
    let rule = Block { attributes: inner, ..Block::default() };
    let rules = NestedBlock { nesting: Nesting::List, block: rule, min_items: 0, max_items: 0 };
    Block {
        attributes: attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect(),
        blocks: [("rule".to_owned(), rules)].into(),
        ..Block::default()
    }
}

/// A configuration of the schema's type: null but for what is given.
fn config(given: &[(&str, Value)]) -> Value {
    let ty = schema().implied_type();
    let Type::Object { attributes, .. } = &ty else { panic!("a body is an object") };
    let members = attributes.iter().map(|(name, ty)| {
        let found = given.iter().find(|(given, _)| **given == **name).map(|(_, value)| value.clone());
        let nothing =
            if &**name == "rule" { Value::list(ty.element().unwrap().clone(), []) } else { Value::null(ty.clone()) };
        (name.clone(), found.unwrap_or(nothing))
    });
    Value::object(members.collect::<Vec<_>>())
}

fn named(name: &str) -> Value {
    Value::object([("id", Value::null(Type::String)), ("name", Value::from(name))])
}

#[test]
fn what_nobody_gives_is_made_up_by_type() {
    let planned = mock_plan(&schema(), &Value::NULL, &config(&[("given", Value::from("x"))]));
    assert!(planned.get("id").unwrap().is_unknown() && planned.get("open").unwrap().is_unknown());
    let made = mock_object(&schema(), &planned, &Value::NULL, "a.b").unwrap();
    assert!(made.is_wholly_known());
    let id = made.get_str("id").unwrap();
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(made.get("count"), Some(&Value::from(0)));
    assert_eq!(made.get("on"), Some(&Value::from(false)));
    assert_eq!(made.get("all"), Some(&Value::list(Type::String, [])));
    assert_eq!(made.get("tags"), Some(&Value::map::<Arc<str>>(Type::String, [])));
    assert_eq!(made.get("pair").unwrap().get("a"), Some(&Value::from(0)));
    assert!(made.get("open").unwrap().is_null());
    assert_eq!(made.get_str("given"), Some("x"));
    // The same again, and another for another object.
    assert_eq!(mock_object(&schema(), &planned, &Value::NULL, "a.b").unwrap(), made);
    assert_ne!(mock_object(&schema(), &planned, &Value::NULL, "a.c").unwrap().get_str("id"), Some(id));
}

#[test]
fn what_is_given_counts_where_the_provider_decides() {
    let values = Value::object([
        ("id", Value::from("given")),
        ("count", Value::from("7")),
        ("given", Value::from("ignored")),
        ("rule", Value::object([("id", Value::from("of rules"))])),
        ("parts", Value::object([("id", Value::from("of parts"))])),
    ]);
    let element = Type::object([("id", Type::String), ("name", Type::String)]);
    let config = config(&[
        ("rule", Value::list(element.clone(), [named("one"), named("two")])),
        ("parts", Value::map(element, [("k", named("three"))])),
    ]);
    let planned = mock_plan(&schema(), &Value::NULL, &config);
    let made = mock_object(&schema(), &planned, &values, "a.b").unwrap();
    assert_eq!(made.get_str("id"), Some("given"));
    assert_eq!(made.get("count"), Some(&Value::from(7)), "a value is converted");
    assert!(made.get("given").unwrap().is_null(), "what is configured is not the provider's to decide");
    let rules: Vec<_> =
        made.get("rule").unwrap().children().map(|rule| rule.get_str("id").unwrap().to_owned()).collect();
    assert_eq!(rules, ["of rules", "of rules"]);
    let part = made.get("parts").unwrap().children().next().unwrap().clone();
    assert_eq!((part.get_str("id"), part.get_str("name")), (Some("of parts"), Some("three")));
    let wrong = Value::object([("count", Value::from("many"))]);
    let said = mock_object(&schema(), &planned, &wrong, "a.b").unwrap_err();
    assert!(said.contains("count"), "{said}");
}

#[test]
fn an_object_that_is_there_keeps_what_the_provider_decided() {
    let first = mock_plan(&schema(), &Value::NULL, &config(&[]));
    let prior = mock_object(&schema(), &first, &Value::NULL, "a.b").unwrap();
    let planned = mock_plan(&schema(), &prior, &config(&[("given", Value::from("new"))]));
    assert!(planned.is_wholly_known());
    assert_eq!(planned.get("id"), prior.get("id"));
    assert_eq!(planned.get_str("given"), Some("new"));
}
