use andon_plan::duties::{planned_unknown, proposed};
use serde_json::{Value as Json, json};

use super::{schema, show, value};

#[test]
fn what_is_proposed() {
    let mut failures = Vec::new();
    let mut check = |shape: &Json, prior: Json, config: Json, expected: Json| {
        let schema = schema(shape);
        let found = proposed(&schema, &value(&schema, &prior), &value(&schema, &config));
        if found != value(&schema, &expected) {
            failures.push(format!("{prior} and {config}: {}", show(&found)));
        }
    };
    let flat = json!({ "name": "r string", "size": "o number", "zone": "oc string", "id": "c string",
        "tags": "o map string" });
    // There is nothing, and nothing is to be.
    check(&flat, json!(null), json!(null), json!(null));
    // A create: what the provider gives is null, until it says more.
    check(&flat, json!(null), json!({"name": "a"}), json!({"name": "a"}));
    check(&flat, json!(null), json!({"name": "?"}), json!({"name": "?"}));
    // An update: what the configuration leaves to the provider stays, what it left out goes.
    let prior = json!({"name": "a", "size": 1, "zone": "z", "id": "i", "tags": {"k": "v"}});
    check(&flat, prior.clone(), json!({"name": "a", "size": 1, "tags": {"k": "v"}}), prior.clone());
    check(&flat, prior.clone(), json!({"name": "b"}), json!({"name": "b", "zone": "z", "id": "i"}));
    check(&flat, prior.clone(), json!({"name": "a", "zone": "y"}), json!({"name": "a", "zone": "y", "id": "i"}));
    check(&flat, prior.clone(), json!({"name": "a", "zone": "?"}), json!({"name": "a", "zone": "?", "id": "i"}));
    // A configuration that is not there, or not known, proposes nothing else.
    check(&flat, prior.clone(), json!(null), prior.clone());
    check(&flat, prior.clone(), json!("?"), prior.clone());
    check(&flat, json!(null), json!("?"), json!({}));

    // Attributes whose objects are described.
    let inner = json!({ "a": "o string", "b": "oc string", "c": "c string" });
    let nested = |key: &str| json!({ "n": { key: inner.clone() } });
    let single = nested("o single");
    check(&single, json!({}), json!({}), json!({}));
    check(&single, json!({"n": {"a": "1", "b": "2", "c": "3"}}), json!({}), json!({}));
    check(
        &single,
        json!({"n": {"a": "1", "b": "2", "c": "3"}}),
        json!({"n": {"a": "4"}}),
        json!({"n": {"a": "4", "b": "2", "c": "3"}}),
    );
    check(&single, json!({"n": {"a": "1"}}), json!({"n": "?"}), json!({"n": "?"}));
    check(&single, json!({}), json!({"n": {"a": "1"}}), json!({"n": {"a": "1"}}));
    // An optional and computed object goes where something in it must have come from the configuration.
    let both = nested("oc single");
    check(&both, json!({"n": {"a": "1", "c": "3"}}), json!({}), json!({}));
    check(&both, json!({"n": {"b": "2", "c": "3"}}), json!({}), json!({"n": {"b": "2", "c": "3"}}));
    let computed = nested("c single");
    check(&computed, json!({"n": {"a": "1", "c": "3"}}), json!({}), json!({"n": {"a": "1", "c": "3"}}));
    // By index, and by key.
    let list = nested("o list");
    check(
        &list,
        json!({"n": [{"a": "1", "c": "x"}, {"a": "2", "c": "y"}]}),
        json!({"n": [{"a": "2"}]}),
        json!({"n": [{"a": "2", "c": "x"}]}),
    );
    check(
        &list,
        json!({"n": [{"a": "1", "c": "x"}]}),
        json!({"n": [{"a": "1"}, {"a": "2"}]}),
        json!({"n": [{"a": "1", "c": "x"}, {"a": "2"}]}),
    );
    check(&list, json!({"n": [{"a": "1", "c": "x"}]}), json!({"n": []}), json!({"n": []}));
    check(&list, json!({"n": []}), json!({"n": ["?"]}), json!({"n": ["?"]}));
    check(&list, json!({"n": [{"a": "1", "c": "x"}]}), json!({"n": [null]}), json!({"n": [null]}));
    let map = nested("o map");
    check(
        &map,
        json!({"n": {"k": {"a": "1", "c": "x"}, "gone": {"c": "z"}}}),
        json!({"n": {"k": {"a": "2"}, "new": {"a": "3"}}}),
        json!({"n": {"k": {"a": "2", "c": "x"}, "new": {"a": "3"}}}),
    );
    // In a set, each with the first unused one that could have come from it.
    let set = nested("o set");
    check(
        &set,
        json!({"n": [{"a": "1", "b": "2", "c": "x"}, {"a": "3", "c": "y"}]}),
        json!({"n": [{"a": "3"}, {"a": "1", "b": "2"}, {"a": "new"}]}),
        json!({"n": [{"a": "3", "c": "y"}, {"a": "1", "b": "2", "c": "x"}, {"a": "new"}]}),
    );
    check(
        &set,
        json!({"n": [{"a": "1", "b": "2", "c": "x"}]}),
        json!({"n": [{"a": "1", "b": "other"}]}),
        json!({"n": [{"a": "1", "b": "other"}]}),
    );
    check(&set, json!({"n": [{"a": "1", "b": "2", "c": "x"}]}), json!({"n": [{"a": "?"}]}), json!({"n": [{"a": "?"}]}));

    // Blocks.
    let block = |nesting: &str| json!({ "n": { nesting: inner.clone() } });
    check(&block("single"), json!({"n": {"a": "1", "c": "x"}}), json!({}), json!({}));
    check(
        &block("single"),
        json!({"n": {"a": "1", "c": "x"}}),
        json!({"n": {"a": "2"}}),
        json!({"n": {"a": "2", "c": "x"}}),
    );
    check(&block("single"), json!({}), json!({"n": {"a": "2"}}), json!({"n": {"a": "2"}}));
    check(&block("group"), json!({"n": {"a": "1", "b": "2", "c": "x"}}), json!({}), json!({"n": {"b": "2", "c": "x"}}));
    check(&block("group"), json!(null), json!({"n": {"a": "1"}}), json!({"n": {"a": "1"}}));
    for nesting in ["single", "group", "list", "set", "map"] {
        check(&block(nesting), json!({}), json!({"n": "?"}), json!({"n": "?"}));
    }
    check(
        &block("list"),
        json!({"n": [{"a": "1", "c": "x"}]}),
        json!({"n": [{"a": "2"}, {"a": "3"}]}),
        json!({"n": [{"a": "2", "c": "x"}, {"a": "3"}]}),
    );
    check(
        &block("map"),
        json!({"n": {"k": {"c": "x"}, "gone": {"c": "y"}}}),
        json!({"n": {"k": {"a": "1"}, "new": {}}}),
        json!({"n": {"k": {"a": "1", "c": "x"}, "new": {}}}),
    );
    check(
        &block("set"),
        json!({"n": [{"a": "1", "c": "x"}, {"a": "2", "c": "y"}]}),
        json!({"n": [{"a": "2"}, {"a": "5"}]}),
        json!({"n": [{"a": "2", "c": "y"}, {"a": "5"}]}),
    );
    // A set in an element of a set must be as it was.
    let deep = json!({ "n": { "set": { "c": "c string", "m": { "set": { "a": "o string", "d": "c string" } } } } });
    check(
        &deep,
        json!({"n": [{"c": "x", "m": [{"a": "1"}]}, {"c": "y", "m": [{"a": "2", "d": "z"}]}]}),
        json!({"n": [{"m": [{"a": "1"}]}, {"m": [{"a": "2"}]}]}),
        json!({"n": [{"c": "x", "m": [{"a": "1"}]}, {"m": [{"a": "2"}]}]}),
    );
    // A list in it is looked into, element by element; one that grew may have come from it, one that shrank not.
    let deep = json!({ "n": { "set": { "c": "c string", "m": { "list": { "a": "o string", "d": "c string" } } } } });
    check(
        &deep,
        json!({"n": [{"c": "x", "m": [{"a": "1", "d": "z"}]}]}),
        json!({"n": [{"m": [{"a": "1"}]}]}),
        json!({"n": [{"c": "x", "m": [{"a": "1", "d": "z"}]}]}),
    );
    check(
        &deep,
        json!({"n": [{"c": "x", "m": [{"a": "1", "d": "z"}, {"a": "2"}]}]}),
        json!({"n": [{"m": [{"a": "1"}]}]}),
        json!({"n": [{"m": [{"a": "1"}]}]}),
    );
    // Blocks of attributes of any type are tuples and objects.
    let open = |nesting: &str| json!({ "n": { nesting: { "a": "o dynamic", "c": "c string" } } });
    check(
        &open("list"),
        json!({"n": [{"a": "1", "c": "x"}]}),
        json!({"n": [{"a": ["2"]}, {"a": true}]}),
        json!({"n": [{"a": ["2"], "c": "x"}, {"a": true}]}),
    );
    check(
        &open("map"),
        json!({"n": {"k": {"a": "1", "c": "x"}}}),
        json!({"n": {"k": {"a": ["2"]}, "l": {"a": true}}}),
        json!({"n": {"k": {"a": ["2"], "c": "x"}, "l": {"a": true}}}),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_known_of_data_that_is_read_later() {
    let inner = json!({ "a": "o string", "b": "oc string", "c": "c string" });
    let unknown = json!({"a": "1", "b": "?", "c": "?"});
    let mut failures = Vec::new();
    let mut check = |shape: Json, config: Json, expected: Json| {
        let schema = schema(&shape);
        let found = planned_unknown(&schema, &value(&schema, &config));
        if found != value(&schema, &expected) {
            failures.push(format!("{config}: {}", show(&found)));
        }
    };
    check(inner.clone(), json!({"a": "1"}), unknown.clone());
    check(inner.clone(), json!({"a": "?", "b": "2"}), json!({"a": "?", "b": "2", "c": "?"}));
    check(inner.clone(), json!({}), json!({"b": "?", "c": "?"}));
    for key in ["single", "group", "o single"] {
        check(json!({"n": {key: inner}}), json!({"n": {"a": "1"}}), json!({"n": unknown}));
    }
    for key in ["list", "set", "o list", "o set"] {
        check(json!({"n": {key: inner}}), json!({"n": [{"a": "1"}]}), json!({"n": [unknown]}));
        check(json!({"n": {key: inner}}), json!({"n": []}), json!({"n": []}));
    }
    for key in ["map", "o map"] {
        check(json!({"n": {key: inner}}), json!({"n": {"k": {"a": "1"}}}), json!({"n": {"k": unknown}}));
    }
    check(json!({"n": {"oc single": inner}}), json!({}), json!({"n": "?"}));
    check(json!({"n": {"c list": inner}}), json!({}), json!({"n": "?"}));
    check(json!({"n": {"list": inner}}), json!({"n": "?"}), json!({"n": "?"}));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
