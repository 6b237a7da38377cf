use andon_value::{
    Kind, Marks, Number, Path, PathStep, Type, Value, convert, decode, encode, equals, from_json_implied, render,
    to_json,
};

fn object(entries: &[(&'static str, Value)]) -> Value {
    Value::object(entries.iter().cloned())
}

/// One of every kind. The stored form of it is held here, so that what a ledger has today is read tomorrow.
#[test]
fn the_stored_form_does_not_change() {
    for (value, stored) in [
        (Value::NULL, "null"),
        (Value::null(Type::list(Type::String)), r#"{"$":"null","type":["list","string"]}"#),
        (Value::UNKNOWN, r#"{"$":"unknown","type":"dynamic"}"#),
        (Value::from(true), "true"),
        (Value::from(-5i64), "-5"),
        (Value::from(Number::parse("0.1").unwrap()), "0.1"),
        (Value::from(Number::parse("1e30").unwrap()), "1000000000000000000000000000000"),
        (Value::from("a\n\"é"), r#""a\n\"é""#),
        (Value::tuple([Value::from("a"), Value::NULL]), r#"["a",null]"#),
        (object(&[("b", Value::from(1i64)), ("a", Value::tuple([]))]), r#"{"a":[],"b":1}"#),
        (object(&[("$", Value::from("x"))]), r#"{"$":"object","in":{"$":"x"}}"#),
        (Value::list(Type::String, [Value::from("a")]), r#"{"$":"list","in":["a"],"of":"string"}"#),
        (Value::set(Type::Number, [Value::from(2i64), Value::from(1i64)]), r#"{"$":"set","in":[1,2],"of":"number"}"#),
        (Value::map(Type::Bool, [("$", Value::from(true))]), r#"{"$":"map","in":{"$":true},"of":"bool"}"#),
        (Value::from("s").mark(Marks::SENSITIVE), r#"{"$":"marked","in":"s","marks":["sensitive"]}"#),
        (
            Value::null(Type::object_with_optional([("a", Type::tuple([Type::Bool]))], ["a".into()]))
                .mark(Marks { sensitive: true, ephemeral: true }),
            r#"{"$":"marked","in":{"$":"null","type":["object",{"a":["tuple",["bool"]]},["a"]]},"marks":["sensitive","ephemeral"]}"#,
        ),
    ] {
        assert_eq!(encode(&value).to_string(), stored);
        assert_eq!(decode(&serde_json::from_str(stored).unwrap()).unwrap(), value, "{stored}");
    }
}

#[test]
fn what_is_no_stored_value_is_refused() {
    for json in [
        r#"{"$":"lst","of":"string","in":[]}"#,
        r#"{"$":"list","of":"string"}"#,
        r#"{"$":"list","of":"strin","in":[]}"#,
        r#"{"$":"list","of":"string","in":{}}"#,
        r#"{"$":1}"#,
        r#"{"$":"marked","in":1,"marks":["other"]}"#,
        r#"{"a":{"$":"null"}}"#,
        "1e999999999",
    ] {
        assert!(decode(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
    }
}

#[test]
fn values_convert_as_the_language_says() {
    use Type::{Bool, Dynamic, Number, String};
    let one = || Value::from(1i64);
    let text = |text: &str| Value::from(text);
    let optional = Type::object_with_optional([("a", Number), ("b", Type::list(String))], ["b".into()]);
    for (value, ty, expected) in [
        (text("12"), Number, Ok("12")),
        (text("x"), Number, Err("a number is required, but \"x\" is none")),
        (one(), String, Ok("\"1\"")),
        (Value::from(true), String, Ok("\"true\"")),
        (text("1"), Bool, Ok("true")),
        (text("on"), Bool, Err("a bool is required, but \"on\" is neither \"true\" nor \"false\"")),
        (one(), Bool, Err("a bool is required, but this is a number")),
        (Value::NULL, Number, Ok(r#"{"$":"null","type":"number"}"#)),
        (Value::UNKNOWN, Type::list(Dynamic), Ok(r#"{"$":"unknown","type":["list","dynamic"]}"#)),
        (Value::unknown(Type::list(Number)), Type::set(Dynamic), Ok(r#"{"$":"unknown","type":["set","number"]}"#)),
        (Value::unknown(Bool), Number, Err("a number is required, but this is a bool")),
        (Value::tuple([one(), text("a")]), Type::list(Dynamic), Ok(r#"{"$":"list","in":["1","a"],"of":"string"}"#)),
        (Value::tuple([one(), text("a")]), Type::list(Number), Err("[1]: a number is required, but \"a\" is none")),
        (Value::tuple([]), Type::list(Dynamic), Ok(r#"{"$":"list","in":[],"of":"dynamic"}"#)),
        (Value::tuple([one()]), Type::tuple([String]), Ok(r#"["1"]"#)),
        (Value::tuple([one()]), Type::tuple([String, Bool]), Err("2 elements are required, but there are 1")),
        (
            Value::list(Number, [one()]),
            Type::tuple([Number]),
            Err("a tuple of 1 element is required, but this is a list of numbers"),
        ),
        (Value::list(Number, [one(), one()]), Type::set(String), Ok(r#"{"$":"set","in":["1"],"of":"string"}"#)),
        (
            object(&[("a", one()), ("b", text("x"))]),
            Type::map(Dynamic),
            Ok(r#"{"$":"map","in":{"a":"1","b":"x"},"of":"string"}"#),
        ),
        (object(&[("a", text("x"))]), Type::map(Number), Err(".a: a number is required, but \"x\" is none")),
        (
            object(&[("a", text("1")), ("c", one())]),
            optional.clone(),
            Ok(r#"{"a":1,"b":{"$":"null","type":["list","string"]}}"#),
        ),
        (object(&[("b", Value::NULL)]), optional.clone(), Err("the attribute \"a\" is required")),
        (
            Value::map(String, [("a", text("1"))]),
            optional.clone(),
            Ok(r#"{"a":1,"b":{"$":"null","type":["list","string"]}}"#),
        ),
        (
            Value::tuple([object(&[("a", text("1"))])]),
            Type::list(optional.clone()),
            Ok(
                r#"{"$":"list","in":[{"a":1,"b":{"$":"null","type":["list","string"]}}],"of":["object",{"a":"number","b":["list","string"]}]}"#,
            ),
        ),
        (
            object(&[("a", object(&[("b", text("x"))]))]),
            Type::object([("a", Type::object([("b", Bool)]))]),
            Err(".a.b: a bool is required, but \"x\" is neither \"true\" nor \"false\""),
        ),
        (object(&[("a", one())]), Type::object([("a", Dynamic)]), Ok(r#"{"a":1}"#)),
        (text("x").mark(Marks::SENSITIVE), Number, Err("a number is required, and this sensitive value is none")),
        (
            Value::tuple([text("x")]).mark(Marks::SENSITIVE),
            Type::list(Number),
            Err("a list of numbers is required, and this sensitive value is none"),
        ),
        (text("5").mark(Marks::SENSITIVE), Number, Ok(r#"{"$":"marked","in":5,"marks":["sensitive"]}"#)),
        (text("x"), Type::list(String), Err("a list of strings is required, but this is a string")),
    ] {
        let converted = convert(&value, &ty).map(|value| encode(&value).to_string()).map_err(|error| error.to_string());
        assert_eq!(converted, expected.map(str::to_owned).map_err(str::to_owned), "{value:?} to {ty}");
    }
}

#[test]
fn equality_is_open_only_where_it_hangs_on_the_unknown() {
    let unknown = || Value::unknown(Type::String);
    for (left, right, expected) in [
        (Value::from(1i64), Value::from("1"), Some(false)),
        (Value::null(Type::Bool), Value::null(Type::Number), Some(true)),
        (Value::NULL, Value::from(1i64), Some(false)),
        (unknown(), Value::from("a"), None),
        (unknown(), Value::from(1i64), Some(false)),
        (unknown(), Value::NULL, None),
        (Value::tuple([unknown(), Value::from(1i64)]), Value::tuple([unknown(), Value::from(2i64)]), Some(false)),
        (Value::tuple([unknown()]), Value::tuple([Value::from("a")]), None),
        (Value::tuple([]), Value::list(Type::Dynamic, []), Some(false)),
        (Value::list(Type::String, []), Value::list(Type::Number, []), Some(false)),
        (Value::set(Type::String, [unknown()]), Value::set(Type::String, [Value::from("a")]), None),
    ] {
        assert_eq!(equals(&left, &right).as_bool(), expected, "{left:?} == {right:?}");
    }
}

#[test]
fn values_are_shown_as_they_would_be_written() {
    let value = object(&[
        ("name", Value::from("a \"b\" ${c}\t")),
        ("list", Value::list(Type::Number, [Value::from(1i64), Value::from(Number::parse("2.5").unwrap())])),
        ("a key", Value::NULL),
        ("secret", Value::from("x").mark(Marks::SENSITIVE)),
        ("later", Value::unknown(Type::String)),
        ("empty", Value::tuple([])),
        ("none", object(&[])),
        ("text", Value::from("one ${x}\n\n  two\n")),
        ("inner", object(&[("on", Value::from(true))])),
    ]);
    let expected = r#"{
  "a key" = null
  empty   = []
  inner   = {
    on = true
  }
  later   = (known after apply)
  list    = [
    1,
    2.5,
  ]
  name    = "a \"b\" $${c}\t"
  none    = {}
  secret  = (sensitive value)
  text    = <<-EOT
    one $${x}

      two
  EOT
}"#;
    assert_eq!(render(&value, 0), expected);
    assert_eq!(render(&value, 4), expected.replace("\n", "\n    ").replace("\n    \n", "\n\n"));
}

#[test]
fn json_stands_for_tuples_and_objects() {
    let json = serde_json::from_str(r#"{"a": [1, 1.50, "x", null, true], "b": {}}"#).unwrap();
    let value = from_json_implied(&json).unwrap();
    assert_eq!(encode(&value).to_string(), r#"{"a":[1,1.5,"x",null,true],"b":{}}"#);
    assert!(matches!(value.get("a").unwrap().kind(), Kind::Tuple(_)));
    let open = object(&[("a", Value::list(Type::Number, [Value::unknown(Type::Number)]))]);
    assert_eq!(to_json(&open).unwrap_err().to_string(), ".a[0] is not known yet");
}

#[test]
fn paths_lead_to_values() {
    let value = object(&[
        ("a", Value::list(Type::Number, [Value::from(7i64)])),
        ("m", Value::map(Type::Bool, [("k", Value::from(true))])),
    ]);
    let mut seen = Vec::new();
    value.walk(&mut |path, inner| {
        assert_eq!(value.at(path), Some(inner));
        seen.push(path.to_string());
    });
    assert_eq!(seen, ["", ".a", ".a[0]", ".m", ".m[\"k\"]"]);
    let nowhere: Path = [PathStep::Attribute("b".into())].into_iter().collect();
    assert_eq!(value.at(&nowhere), None);
}

#[test]
fn strings_are_in_one_normal_form() {
    assert_eq!(Value::string("e\u{301}"), Value::string("é"));
}

#[test]
fn a_value_stays_small() {
    assert!(size_of::<andon_value::Value>() <= 48, "{}", size_of::<andon_value::Value>());
}
