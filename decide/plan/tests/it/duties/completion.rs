use andon_plan::duties::check_completion;
use serde_json::{Value as Json, json};

use super::{schema, texts, value};

#[test]
fn completions_are_judged() {
    let mut failures = Vec::new();
    let mut check = |shape: &Json, planned: Json, actual: Json, expected: &[&str]| {
        let schema = schema(shape);
        let found = texts(&check_completion(&schema, &value(&schema, &planned), &value(&schema, &actual)));
        if found != expected {
            failures.push(format!("{planned}, {actual}: {found:#?}"));
        }
    };
    let flat = json!({ "a": "oc string", "key": "os string", "l": "oc list string", "m": "oc map string",
        "s": "oc set string", "d": "oc dynamic" });
    check(&flat, json!(null), json!(null), &[]);
    check(&flat, json!(null), json!({}), &["The object was planned to be absent, but is there now"]);
    check(&flat, json!({}), json!(null), &["The object was planned to be there, but is absent now"]);
    check(&flat, json!({"a": "1"}), json!({"a": "1"}), &[]);
    check(&flat, json!({"a": "?"}), json!({"a": "1"}), &[]);
    check(&flat, json!({"a": "?"}), json!({}), &[]);
    check(&flat, json!({"a": "?"}), json!({"a": "?"}), &[]);
    check(&flat, json!({"a": "?!ami-"}), json!({"a": "ami-1"}), &[]);
    check(
        &flat,
        json!({"a": "?!ami-"}),
        json!({"a": "vpc-1"}),
        &["a is \"vpc-1\" now, which is outside of what was planned"],
    );
    check(&flat, json!({"a": "?!ami-"}), json!({}), &["a was planned as something other than null, but is null now"]);
    check(&flat, json!({"a": "1"}), json!({"a": "2"}), &["a was planned as \"1\", but is \"2\" now"]);
    check(&flat, json!({"a": "1"}), json!({}), &["a was planned as \"1\", but is null now"]);
    check(&flat, json!({}), json!({"a": "2"}), &["a was planned as null, but is \"2\" now"]);
    check(&flat, json!({"a": "1"}), json!({"a": "?"}), &["a was planned as \"1\", but is unknown now"]);
    check(
        &flat,
        json!({"key": "hunter2"}),
        json!({"key": "hunter3"}),
        &["key was planned as another value than it has now (sensitive value)"],
    );
    check(
        &flat,
        json!({"a": {"$": "hunter2"}}),
        json!({"a": "hunter3"}),
        &["a was planned as another value than it has now (sensitive value)"],
    );
    // Lists, maps and tuples keep their keys.
    check(&flat, json!({"l": ["x", "?"]}), json!({"l": ["x", "y"]}), &[]);
    check(&flat, json!({"l": ["x"]}), json!({"l": ["y"]}), &["l[0] was planned as \"x\", but is \"y\" now"]);
    check(&flat, json!({"l": ["x"]}), json!({"l": []}), &["l[0] was planned, but is not there now"]);
    check(&flat, json!({"l": []}), json!({"l": ["?"]}), &["l[0] was not planned, but is there now"]);
    check(&flat, json!({"l": []}), json!({}), &["l was planned as [], but is null now"]);
    check(&flat, json!({"m": {"k": "?"}}), json!({"m": {"k": "v"}}), &[]);
    check(
        &flat,
        json!({"m": {"k": "?"}}),
        json!({"m": {"j": "v"}}),
        &["m[\"k\"] was planned, but is not there now", "m[\"j\"] was not planned, but is there now"],
    );
    // Sets correlate both ways, and may shrink.
    check(&flat, json!({"s": ["x", "?"]}), json!({"s": ["x", "y"]}), &[]);
    check(&flat, json!({"s": ["x", "?"]}), json!({"s": ["x"]}), &[]);
    check(&flat, json!({"s": ["?", "?"]}), json!({"s": ["x", "y"]}), &[]);
    check(&flat, json!({"s": ["?"]}), json!({"s": ["x", "y"]}), &["s was planned with 1 elements, but has 2 now"]);
    check(&flat, json!({"s": ["x"]}), json!({"s": ["x", "y"]}), &["s has \"y\" now, which was not planned"]);
    check(
        &flat,
        json!({"s": ["x", "?"]}),
        json!({"s": ["y"]}),
        &["s was planned with \"x\", but has no such element now"],
    );
    check(&flat, json!({"s": ["x"]}), json!({"s": ["x", "y"]}), &["s has \"y\" now, which was not planned"]);
    check(&flat, json!({"s": "?"}), json!({"s": ["x", "y"]}), &[]);
    // Of what is of any type, nothing was said.
    check(&flat, json!({"d": "?"}), json!({"d": ["x"]}), &[]);
    check(&flat, json!({}), json!({"d": ["x"]}), &[]);
    check(&flat, json!({"d": ["x", "?"]}), json!({"d": ["x", {"y": true}]}), &[]);
    check(
        &flat,
        json!({"d": {"a": "1"}}),
        json!({"d": {"a": "1", "b": "2"}}),
        &["d.b was not planned, but is there now"],
    );
    check(&flat, json!({"d": "1"}), json!({"d": true}), &["d was planned as \"1\", but is true now"]);

    // Attributes whose objects are described are values like others.
    let inner = json!({ "a": "o string", "c": "c string", "p": "os string" });
    let list = json!({ "n": { "oc list": inner } });
    check(&list, json!({"n": "?"}), json!({"n": [{"a": "1"}]}), &[]);
    let plain = json!({ "n": { "oc list": { "a": "o string", "c": "c string" } } });
    check(&plain, json!({"n": [{"a": "1", "c": "?"}]}), json!({"n": [{"a": "1", "c": "x"}]}), &[]);
    check(
        &plain,
        json!({"n": [{"a": "1", "c": "?"}]}),
        json!({"n": [{"a": "2", "c": "x"}]}),
        &["n[0].a was planned as \"1\", but is \"2\" now"],
    );
    // One that holds a secret is told of as a whole.
    check(
        &list,
        json!({"n": [{"p": "1"}]}),
        json!({"n": [{"p": "2"}]}),
        &["n was planned as another value than it has now (sensitive value)"],
    );

    // Blocks.
    let inner = json!({ "a": "o string", "c": "c string" });
    let block = |nesting: &str| json!({ "n": { nesting: inner.clone() } });
    for nesting in ["list", "set"] {
        check(&block(nesting), json!({"n": "?"}), json!({"n": [{"a": "1"}, {"a": "2"}]}), &[]);
        check(&block(nesting), json!({"n": null}), json!({"n": []}), &[]);
        check(&block(nesting), json!({"n": []}), json!({"n": null}), &[]);
        check(&block(nesting), json!({"n": [{"a": "1", "c": "?"}]}), json!({"n": [{"a": "1", "c": "x"}]}), &[]);
    }
    check(&block("list"), json!({"n": [{}]}), json!({"n": []}), &["n was planned with 1 blocks, but has 0 now"]);
    check(
        &block("list"),
        json!({"n": [{"a": "1"}]}),
        json!({"n": [{"a": "2"}]}),
        &["n[0].a was planned as \"1\", but is \"2\" now"],
    );
    check(&block("set"), json!({"n": [{"a": "?"}, {"a": "1"}]}), json!({"n": [{"a": "1"}]}), &[]);
    check(&block("set"), json!({"n": [{"a": "?"}, {"a": "?"}]}), json!({"n": [{"a": "1"}, {"a": "2"}]}), &[]);
    check(
        &block("set"),
        json!({"n": [{"a": "?"}]}),
        json!({"n": [{"a": "1"}, {"a": "2"}]}),
        &["n was planned with 1 elements, but has 2 now"],
    );
    check(
        &block("set"),
        json!({"n": [{"a": "1"}]}),
        json!({"n": [{"a": "2"}]}),
        &["n was planned with { a = \"1\" c = null }, but has no such element now"],
    );
    check(&block("map"), json!({"n": {"k": {"c": "?"}}}), json!({"n": {"k": {"c": "x"}}}), &[]);
    check(
        &block("map"),
        json!({"n": {"k": {}}}),
        json!({"n": {"j": {}}}),
        &["n[\"k\"] was planned, but is not there now", "n[\"j\"] was not planned, but is there now"],
    );
    check(&block("single"), json!({"n": "?"}), json!({}), &[]);
    check(&block("single"), json!({"n": "?"}), json!({"n": {"a": "1"}}), &[]);
    check(&block("single"), json!({}), json!({"n": {}}), &["n was planned to be absent, but is there now"]);
    check(&block("single"), json!({"n": {}}), json!({}), &["n was planned to be there, but is absent now"]);
    check(
        &block("group"),
        json!({"n": {"a": "1"}}),
        json!({"n": {"a": "2"}}),
        &["n.a was planned as \"1\", but is \"2\" now"],
    );
    let open = json!({ "n": { "map": { "a": "o dynamic" } } });
    check(&open, json!({"n": "?"}), json!({"n": {"k": {"a": [1]}}}), &[]);
    check(&open, json!({"n": {"k": {"a": "?"}}}), json!({"n": {"k": {"a": [1]}}}), &[]);
    check(&open, json!({"n": {"k": {}}}), json!({"n": {}}), &["n.k was planned, but is not there now"]);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
