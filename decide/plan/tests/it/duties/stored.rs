use andon_plan::duties::{check_applied, check_read, normalised, without_write_only};
use serde_json::{Value as Json, json};

use super::{schema, show, texts, value};

fn shape() -> Json {
    json!({ "a": "oc string", "w": "ow string", "s": "oc set string",
        "n": { "list": { "a": "oc string", "w": "ow string" } }, "t": { "set": { "a": "oc string" } },
        "g": { "group": { "a": "oc string" } }, "o": { "single": { "a": "oc string" } } })
}

#[test]
fn results_are_judged() {
    let schema = schema(&shape());
    let gone = "The object is gone after the provider made or changed it";
    let there = "The object is still there after its deletion";
    let check = |planned: Option<Json>, found: Json, stored: Json, faults: &[&str], legacy: &[&str]| {
        let planned = planned.map(|json| value(&schema, &json));
        let found = value(&schema, &found);
        let strict = check_applied(&schema, planned.as_ref(), &found, false);
        assert_eq!(show(strict.value.as_ref().unwrap()), stored, "{}", show(&found));
        assert_eq!(texts(&strict.faults), faults, "{}", show(&found));
        assert!(strict.tolerated.is_empty());
        let lenient = check_applied(&schema, planned.as_ref(), &found, true);
        assert_eq!(texts(&lenient.faults), legacy, "{}", show(&found));
        assert_eq!(lenient.value, strict.value);
        assert_eq!(lenient.faults.len() + lenient.tolerated.len(), faults.len());
    };
    let full = |json: Json| show(&value(&schema, &json));
    check(Some(json!({"a": "?"})), json!({"a": "1"}), full(json!({"a": "1"})), &[], &[]);
    let differs = "a was planned as \"1\", but is \"2\" now";
    check(Some(json!({"a": "1"})), json!({"a": "2"}), full(json!({"a": "2"})), &[differs], &[]);
    // What a failed provider gives is kept as it is.
    check(None, json!({"a": "2"}), full(json!({"a": "2"})), &[], &[]);
    check(None, json!(null), json!(null), &[], &[]);
    check(Some(json!(null)), json!(null), json!(null), &[], &[]);
    check(Some(json!(null)), json!({}), full(json!({})), &[there], &[there]);
    check(Some(json!({})), json!(null), json!(null), &[gone], &[gone]);
    let unknown = "a is still unknown, and is stored as null";
    check(Some(json!({"a": "?"})), json!({"a": "?"}), full(json!({})), &[unknown], &[unknown]);
    check(
        Some(json!({"n": [{"a": "?"}], "s": "?"})),
        json!({"n": [{"a": "?"}], "s": ["x", "?"]}),
        full(json!({"n": [{}], "s": ["x", null]})),
        &[
            "n[0].a is still unknown, and is stored as null",
            "s[(known after apply)] is still unknown, and is stored as null",
        ],
        &[
            "n[0].a is still unknown, and is stored as null",
            "s[(known after apply)] is still unknown, and is stored as null",
        ],
    );
    let write_only =
        ["w is", "n[0].w is"].map(|it| format!("{it} write-only, so that the provider must answer with null"));
    let write_only = write_only.each_ref().map(|text| text.as_str());
    check(
        Some(json!({"n": [{}]})),
        json!({"w": "x", "n": [{"w": "y"}]}),
        full(json!({"n": [{}]})),
        &write_only,
        &write_only,
    );
}

#[test]
fn an_answer_of_another_type_is_not_stored() {
    let schema = schema(&shape());
    let other = super::schema(&json!({ "a": "oc number" }));
    let found = check_read(&schema, &value(&other, &json!({"a": 1})));
    assert_eq!(found.value, None);
    assert!(texts(&found.faults).contains(&"a must be a string, but is a number".to_owned()), "{found:?}");
}

#[test]
fn blocks_of_legacy_providers_are_normalised() {
    let schema = schema(&shape());
    for (given, expected) in [
        (json!(null), json!(null)),
        (json!({"n": null, "t": null, "g": null, "o": null}), json!({})),
        (
            json!({"n": "?", "t": "?", "g": "?", "o": "?"}),
            json!({
                "n": [{"a": "?", "w": "?"}], "t": [{"a": "?"}], "g": {"a": "?"}, "o": {"a": "?"},
            }),
        ),
        (json!({"n": [{"a": "1"}], "a": "?"}), json!({"n": [{"a": "1"}], "a": "?"})),
    ] {
        assert_eq!(normalised(&schema, &value(&schema, &given)), value(&schema, &expected), "{given}");
    }
    let deep = super::schema(&json!({ "n": { "list": { "m": { "list": { "a": "o string" } } } } }));
    let given = value(&deep, &json!({"n": [{"m": null}]}));
    assert_eq!(normalised(&deep, &given), value(&deep, &json!({"n": [{"m": []}]})));
    // Blocks of attributes of any type are none of a legacy provider's.
    let open = super::schema(&json!({ "n": { "list": { "a": "o dynamic" } } }));
    let given = value(&open, &json!({"n": null}));
    assert_eq!(normalised(&open, &given), given);
}

#[test]
fn write_only_values_are_taken_out() {
    let schema =
        schema(&json!({ "a": "o string", "w": "ow string", "n": { "list": { "w": "ow string", "a": "o string" } },
        "m": { "o map": { "w": "ow string", "a": "o string" } } }));
    let given = json!({"a": "1", "w": "x", "n": [{"a": "2", "w": "?"}], "m": {"k": {"a": "3", "w": "x"}}});
    let expected = json!({"a": "1", "n": [{"a": "2"}], "m": {"k": {"a": "3"}}});
    assert_eq!(without_write_only(&schema, &value(&schema, &given)), value(&schema, &expected));
}
