use andon_plan::duties::{marked, sensitive_paths};
use andon_value::{Marks, Value};
use serde_json::{Value as Json, json};

use super::{schema, show, value};

#[test]
fn marks_are_put_back() {
    let shape = json!({ "a": "o string", "p": "os string", "l": "o list string", "s": "o set string",
        "d": "o dynamic", "id": "c string",
        "n": { "o list": { "a": "o string", "p": "os string" } },
        "q": { "o set": { "a": "o string", "p": "os string" } },
        "m": { "oc map": { "p": "cs string" } },
        "b": { "list": { "p": "os string", "in": { "single": { "p": "os string" } } } },
        "t": { "set": { "p": "os string" } } });
    let schema = schema(&shape);
    let check = |given: Json, config: Json, expected: Json, paths: &[&str]| {
        let marked = marked(&schema, &value(&schema, &given), &value(&schema, &config));
        let shown = show(&marked);
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(shown[name], *expected, "{name} of {given} and {config}");
        }
        let found = sensitive_paths(&schema, &marked);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), paths, "{given} and {config}");
    };
    // A null is a secret, too: that it is null is.
    check(json!({}), json!({}), json!({}), &[".p"]);
    let nothing = value(&schema, &json!({}));
    assert!(marked(&schema, &nothing, &nothing).get("p").is_some_and(Value::is_sensitive));
    check(json!({"p": "x", "a": "y"}), json!({}), json!({"p": {"$": "x"}, "a": "y"}), &[".p"]);
    check(json!({"a": "y"}), json!({"a": {"$": "y"}}), json!({"a": {"$": "y"}}), &[".a", ".p"]);
    check(json!({"l": ["x", "y"]}), json!({"l": ["x", {"$": "y"}]}), json!({"l": ["x", {"$": "y"}]}), &[".l[1]", ".p"]);
    // Where the provider has another shape, all of it is a secret.
    check(json!({"l": ["x", "y"]}), json!({"l": [{"$": "y"}]}), json!({"l": {"$": ["x", "y"]}}), &[".l", ".p"]);
    // Of a set, the set is.
    check(json!({"s": ["x"]}), json!({"s": [{"$": "x"}]}), json!({"s": {"$": ["x"]}}), &[".p", ".s"]);
    check(
        json!({"d": {"x": [1, "y"]}}),
        json!({"d": {"x": [1, {"$": "y"}]}}),
        json!({"d": {"x": ["1", {"$": "y"}]}}),
        &[".d.x[1]", ".p"],
    );
    check(
        json!({"n": [{"a": "1", "p": "x"}, {"a": "2"}]}),
        json!({}),
        json!({"n": [{"a": "1", "p": {"$": "x"}}, {"a": "2"}]}),
        &[".n[0].p", ".n[1].p", ".p"],
    );
    check(json!({"q": [{"a": "1", "p": "x"}]}), json!({}), json!({"q": {"$": [{"a": "1", "p": "x"}]}}), &[".p", ".q"]);
    check(json!({"m": {"k": {"p": "?"}}}), json!({}), json!({"m": {"k": {"p": {"$": "?"}}}}), &[".m[\"k\"].p", ".p"]);
    check(json!({"m": "?"}), json!({}), json!({"m": "?"}), &[".p"]);
    check(
        json!({"b": [{"p": "x", "in": {"p": "y"}}]}),
        json!({}),
        json!({"b": [{"p": {"$": "x"}, "in": {"p": {"$": "y"}}}]}),
        &[".b[0].in.p", ".b[0].p", ".p"],
    );
    check(json!({"t": [{"p": "x"}]}), json!({}), json!({"t": {"$": [{"p": "x"}]}}), &[".p", ".t"]);
    check(json!({"t": []}), json!({}), json!({"t": []}), &[".p"]);
}

#[test]
fn an_ephemeral_mark_is_not_put_back() {
    let schema = schema(&json!({ "a": "o string", "w": "ow string" }));
    let both = Marks { sensitive: true, ephemeral: true };
    let ephemeral = Marks { sensitive: false, ephemeral: true };
    let config = Value::object([("a", Value::from("x").mark(both)), ("w", Value::from("y").mark(ephemeral))]);
    let answer = value(&schema, &json!({"a": "x"}));
    let found = marked(&schema, &answer, &config);
    assert_eq!(found.marks_within(), Marks::SENSITIVE);
    assert_eq!(show(&found), json!({"a": {"$": "x"}}));
}
