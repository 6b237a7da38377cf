use andon_plan::duties::{check_planned, conforms, replaces};
use andon_value::{Type, Value};
use serde_json::{Value as Json, json};

use super::{path, schema, texts, ty_of, typed, value};

#[test]
fn plans_are_judged() {
    let mut failures = Vec::new();
    let mut check = |shape: &Json, [prior, config, planned]: [Json; 3], expected: &[&str]| {
        let schema = schema(shape);
        let [r, c, n] = [&prior, &config, &planned].map(|json| value(&schema, json));
        let found = texts(&check_planned(&schema, &r, &c, &n));
        if found != expected {
            failures.push(format!("{prior}, {config}, {planned}: {found:#?}"));
        }
    };
    let none = json!(null);
    let flat = json!({ "name": "r string", "size": "o number", "zone": "oc string", "id": "c string",
        "key": "os string" });
    let a = json!({"name": "a"});
    // Present or absent.
    check(&flat, [none.clone(), none.clone(), none.clone()], &[]);
    check(
        &flat,
        [none.clone(), a.clone(), none.clone()],
        &["The object is planned to be absent, but the configuration has it"],
    );
    check(
        &flat,
        [none.clone(), none.clone(), a.clone()],
        &["The object is planned to be there, but the configuration does not have it"],
    );
    check(
        &flat,
        [none.clone(), a.clone(), json!("?")],
        &["The object is unknown as a whole, but only what is in it may be unknown"],
    );
    // What is configured is planned; what is left to the provider may be anything.
    check(&flat, [none.clone(), a.clone(), a.clone()], &[]);
    check(&flat, [none.clone(), a.clone(), json!({"name": "a", "zone": "?", "id": "?"})], &[]);
    check(&flat, [none.clone(), a.clone(), json!({"name": "a", "zone": "z", "id": "i"})], &[]);
    check(
        &flat,
        [none.clone(), a.clone(), json!({"name": "b"})],
        &["name is planned as \"b\", but the configuration has \"a\""],
    );
    check(
        &flat,
        [none.clone(), a.clone(), json!({"name": "?"})],
        &["name is planned as something not known yet, but the configuration has \"a\""],
    );
    check(&flat, [none.clone(), json!({"name": "?"}), json!({"name": "?!x-"})], &[]);
    check(
        &flat,
        [none.clone(), json!({"name": "?"}), a.clone()],
        &["name is planned as \"a\", but the configuration has something not known yet"],
    );
    check(
        &flat,
        [none.clone(), json!({"name": "a", "zone": "y"}), json!({"name": "a", "zone": "z"})],
        &["zone is planned as \"z\", but the configuration has \"y\""],
    );
    check(
        &flat,
        [none.clone(), a.clone(), json!({"name": "a", "size": 1})],
        &["size is planned as 1, but the configuration leaves it out and the provider may not give it"],
    );
    // The value that there is, in place of one that means the same.
    let was = json!({"name": "A", "size": 1});
    check(&flat, [was.clone(), a.clone(), json!({"name": "A"})], &[]);
    check(
        &flat,
        [was.clone(), a.clone(), json!({"name": "b"})],
        &["name is planned as \"b\", but the configuration has \"a\", and it was \"A\""],
    );
    check(
        &flat,
        [was.clone(), a.clone(), was.clone()],
        &["size is planned as 1, but the configuration leaves it out and the provider may not give it"],
    );
    // A secret is told by no message.
    check(
        &flat,
        [none.clone(), json!({"name": "a", "key": "hunter2"}), json!({"name": "a", "key": "hunter3"})],
        &["key is planned as (sensitive value), but the configuration has (sensitive value)"],
    );
    check(
        &flat,
        [none.clone(), json!({"name": {"$": "hunter2"}}), json!({"name": "hunter3"})],
        &["name is planned as (sensitive value), but the configuration has (sensitive value)"],
    );
    // Write-only.
    let secret =
        json!({ "w": "ow string", "n": { "list": { "w": "ow string" } }, "o": { "o single": { "w": "ow string" } } });
    let given = json!({"w": "x", "n": [{"w": "x"}], "o": {"w": "x"}});
    check(&secret, [none.clone(), given.clone(), json!({"n": [{}], "o": {}})], &[]);
    check(
        &secret,
        [none.clone(), given.clone(), given.clone()],
        &["o.w", "w", "n[0].w"]
            .map(|path| format!("{path} is write-only, so that the provider must answer with null"))
            .each_ref()
            .map(|text| text.as_str()),
    );

    // Attributes whose objects are described.
    let inner = json!({ "a": "o string", "c": "c string" });
    let nested = |key: &str| json!({ "n": { key: inner.clone() } });
    let one = json!({"n": {"a": "1"}});
    let single = nested("o single");
    check(&single, [none.clone(), one.clone(), json!({"n": {"a": "1", "c": "?"}})], &[]);
    check(&single, [none.clone(), json!({"n": "?"}), json!({"n": "?"})], &[]);
    check(
        &single,
        [none.clone(), one.clone(), json!({})],
        &["n is planned to be absent, but the configuration has it"],
    );
    check(
        &single,
        [none.clone(), json!({}), one.clone()],
        &[
            "n is planned as { a = \"1\" c = null }, but the configuration leaves it out and the provider may not give it",
        ],
    );
    check(
        &single,
        [none.clone(), one.clone(), json!({"n": "?"})],
        &["n is planned as something not known yet, but the configuration has it"],
    );
    check(
        &single,
        [none.clone(), one.clone(), json!({"n": {"a": "2"}})],
        &["n.a is planned as \"2\", but the configuration has \"1\""],
    );
    check(
        &single,
        [none.clone(), json!({"n": "?"}), one.clone()],
        &["n.a is planned as \"1\", but the configuration has something not known yet"],
    );
    check(&nested("oc single"), [none.clone(), json!({}), one.clone()], &[]);
    check(&nested("c list"), [none.clone(), json!({}), json!({"n": [{"a": "1"}]})], &[]);
    let list = nested("o list");
    let two = json!({"n": [{"a": "1"}, {"a": "2"}]});
    check(&list, [none.clone(), two.clone(), json!({"n": [{"a": "1", "c": "?"}, {"a": "2", "c": "x"}]})], &[]);
    check(&list, [json!({"n": [{"a": "X"}]}), two.clone(), json!({"n": [{"a": "X"}, {"a": "2"}]})], &[]);
    check(
        &list,
        [none.clone(), two.clone(), json!({"n": [{"a": "1"}]})],
        &["n has 1 elements in the plan, but 2 in the configuration"],
    );
    check(
        &list,
        [none.clone(), two.clone(), json!({"n": [{"a": "1"}, {"a": "3"}]})],
        &["n[1].a is planned as \"3\", but the configuration has \"2\""],
    );
    check(
        &list,
        [none.clone(), json!({"n": "?"}), two.clone()],
        &["n has 2 elements in the plan, but a number of them that is not known yet in the configuration"],
    );
    let map = nested("o map");
    let keys = json!({"n": {"k": {"a": "1"}, "l": {}}});
    check(&map, [none.clone(), keys.clone(), json!({"n": {"k": {"a": "1", "c": "?"}, "l": {"c": "?"}}})], &[]);
    check(
        &map,
        [none.clone(), keys.clone(), json!({"n": {"k": {"a": "1"}, "m": {}}})],
        &["n[\"l\"] is configured, but is not in the plan", "n[\"m\"] is planned, but is not in the configuration"],
    );
    let set = nested("o set");
    check(&set, [none.clone(), two.clone(), json!({"n": [{"a": "7"}, {"a": "8"}]})], &[]);
    check(&set, [none.clone(), two.clone(), json!({"n": [{"a": "1", "c": "?"}, {"a": "2", "c": "?"}]})], &[]);
    check(
        &set,
        [none.clone(), two.clone(), json!({"n": [{"a": "1"}]})],
        &["n has 1 elements in the plan, but 2 in the configuration"],
    );

    // Blocks.
    let block = |nesting: &str| json!({ "n": { nesting: inner.clone() } });
    for nesting in ["list", "set"] {
        check(
            &block(nesting),
            [none.clone(), json!({}), json!({"n": null})],
            &["n stands for blocks and is null, but is empty where there are none"],
        );
        check(
            &block(nesting),
            [none.clone(), json!({"n": "?"}), json!({"n": []})],
            &["n is planned, but how many such blocks there are is not known yet"],
        );
        check(
            &block(nesting),
            [none.clone(), two.clone(), json!({"n": "?"})],
            &["n stands for blocks and is unknown as a whole, but only what is in them may be unknown"],
        );
        check(&block(nesting), [none.clone(), json!({"n": "?"}), json!({"n": "?"})], &[]);
    }
    check(&block("list"), [none.clone(), json!({"n": null}), json!({"n": []})], &[]);
    check(
        &block("list"),
        [none.clone(), two.clone(), json!({"n": []})],
        &["n has 0 blocks in the plan, but 2 in the configuration"],
    );
    check(
        &block("list"),
        [none.clone(), two.clone(), json!({"n": ["?", {"a": "3"}]})],
        &[
            "n[0] is unknown as a whole, but only what is in it may be unknown",
            "n[1].a is planned as \"3\", but the configuration has \"2\"",
        ],
    );
    check(&block("set"), [none.clone(), two.clone(), json!({"n": [{"a": "9"}]})], &[]);
    check(&block("map"), [none.clone(), keys.clone(), json!({"n": {"k": {"a": "1", "c": "?"}, "l": {}}})], &[]);
    check(
        &block("map"),
        [none.clone(), keys.clone(), json!({"n": {"k": {"a": "1"}}})],
        &["n[\"l\"] is configured, but is not in the plan"],
    );
    check(
        &block("single"),
        [none.clone(), json!({}), one.clone()],
        &["n is planned to be there, but the configuration does not have it"],
    );
    check(
        &block("group"),
        [none.clone(), json!({}), json!({"n": null})],
        &["n stands for blocks and is null, but is empty where there are none"],
    );
    let open = json!({ "n": { "list": { "a": "o dynamic", "c": "c string" } } });
    check(&open, [none.clone(), json!({"n": [{"a": ["1"]}]}), json!({"n": [{"a": ["1"], "c": "?"}]})], &[]);
    check(
        &open,
        [none.clone(), json!({"n": [{"a": ["1"]}]}), json!({"n": [{"a": "1"}]})],
        &["n[0].a is planned as \"1\", but the configuration has [ \"1\", ]"],
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn values_are_of_their_types() {
    let cases = [
        ("string", json!("a"), ""),
        ("string", json!(1), "The object must be a string, but is a number"),
        ("string", json!(null), ""),
        ("string", json!("?"), ""),
        ("dynamic", json!([1, {"a": true}]), ""),
        ("list string", json!(["a", null, "?"]), ""),
        ("list list dynamic", json!([]), ""),
    ];
    for (ty, json, expected) in cases {
        let own = if json.is_number() { Type::Dynamic } else { ty_of(ty) };
        let found = conforms(&typed(&own, &json), &ty_of(ty));
        assert_eq!(found.err().map(|fault| fault.to_string()).unwrap_or_default(), expected, "{json} as {ty}");
    }
    let object = Type::object([("a", Type::String), ("b", Type::list(Type::Number))]);
    let list = |elements: Vec<Value>| Value::list(Type::Number, elements);
    for (value, expected) in [
        (Value::object([("a", Value::from("x")), ("b", list(vec![]))]), ""),
        (Value::object([("a", Value::NULL), ("b", Value::UNKNOWN)]), ""),
        (Value::object([("a", Value::from("x"))]), "b is missing"),
        (Value::object([("a", Value::NULL), ("b", Value::NULL), ("c", Value::NULL)]), "c is not in the schema"),
        (Value::object([("a", Value::from(true)), ("b", list(vec![]))]), "a must be a string, but is a bool"),
        (
            Value::object([("a", Value::NULL), ("b", Value::tuple([Value::from(1)]))]),
            "b must be a list of numbers, but is a tuple of 1 element",
        ),
        (
            Value::object([("a", Value::null(Type::Bool)), ("b", Value::unknown(Type::String))]),
            "a must be a string, but is a bool",
        ),
        (
            Value::object([("a", Value::NULL), ("b", list(vec![Value::from(1), Value::from("x")]))]),
            "b[1] must be a number, but is a string",
        ),
        (
            Value::null(Type::object([("a", Type::String)])),
            "The object must be object({a=string,b=list(number)}), but is object({a=string})",
        ),
    ] {
        let found = conforms(&value, &object).err().map(|fault| fault.to_string()).unwrap_or_default();
        assert_eq!(found, expected, "{value:?}");
    }
}

#[test]
fn what_replaces_an_object() {
    let shape = json!({ "a": "o string", "w": "ow string", "m": "o map string", "l": "o list string",
        "n": { "list": { "a": "o string" } }, "s": { "set": { "a": "o string" } }, "d": "o dynamic" });
    let schema = schema(&shape);
    let was = json!({"a": "1", "m": {"k": "1"}, "l": ["x", "y"], "n": [{"a": "1"}], "s": [{"a": "1"}], "d": {"x": 1}});
    let none = "is to be replaced where it changes, but there is no such attribute";
    for (paths, planned, expected) in [
        (&[".a"][..], json!({}), Ok(&[".a"][..])),
        (&[".a"], json!({"a": "1"}), Ok(&[])),
        (&[".a"], json!({"a": "2"}), Ok(&[".a"])),
        (&[".a"], json!({"a": "?"}), Ok(&[".a"])),
        (&[".a", ".a", ".l"], json!({"a": "2", "l": ["x", "y"]}), Ok(&[".a"])),
        (&[".w"], json!({}), Ok(&[".w"])),
        (&[".m[k]", ".m[new]"], json!({"m": {"k": "1", "new": "2"}}), Ok(&[".m[\"new\"]"])),
        (&[".m[k]"], json!({"m": {}}), Ok(&[".m[\"k\"]"])),
        (&[".m[k]"], json!({"m": "?"}), Ok(&[".m[\"k\"]"])),
        (&[".l[1]"], json!({"l": ["x"]}), Ok(&[".l[1]"])),
        (&[".l[0]"], json!({"l": ["x"]}), Ok(&[])),
        (&[".n[0].a"], json!({"n": []}), Ok(&[".n[0].a"])),
        (&[".n[0].a"], json!({"n": [{"a": "1"}]}), Ok(&[])),
        (&[".n[1].a"], json!({"n": [{}, {"a": "1"}]}), Ok(&[".n[1].a"])),
        (&[".d.x"], json!({"d": {"x": 1}}), Ok(&[])),
        (&[".d.x"], json!({"d": "text"}), Ok(&[".d.x"])),
        (&[".n[5].a"], json!({"n": []}), Err(none)),
        (&[".nope"], json!({}), Err(none)),
        (&[".a.b"], json!({"a": "1"}), Err(none)),
        (&[".s[0].a"], json!({"s": [{"a": "1"}]}), Err(none)),
    ] {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        let found = replaces(&schema, &paths, &value(&schema, &was), &value(&schema, &planned));
        let found = found.map(|paths| paths.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|paths| paths.iter().map(ToString::to_string).collect());
        assert_eq!(found.map_err(|fault| fault.what), expected.map_err(str::to_owned), "{paths:?} {planned}");
        assert_eq!(replaces(&schema, &paths, &value(&schema, &json!(null)), &value(&schema, &planned)), Ok(vec![]));
    }
}
