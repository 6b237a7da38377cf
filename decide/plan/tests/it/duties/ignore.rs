use andon_plan::duties::{ignore_all, ignore_changes};
use serde_json::{Value as Json, json};

use super::{path, schema, show, value};

#[test]
fn what_is_ignored() {
    let shape = json!({ "a": "o string", "z": "oc string", "id": "c string", "m": "o map string",
        "mm": "o map map string", "l": "o list string", "d": "o dynamic", "s": "o set string",
        "n": { "list": { "a": "o string", "b": "o string" } }, "o": { "o single": { "a": "o string", "c": "c string" } } });
    let schema = schema(&shape);
    let prior = json!({"a": "1", "z": "9", "id": "i", "m": {"k": "1", "old": "1"}, "mm": {"x": {"k": "1"}},
        "l": ["x", "y"], "d": {"a": 1, "b": 1}, "s": ["x"], "n": [{"a": "1", "b": "1"}], "o": {"a": "1", "c": "i"}});
    let check = |paths: &[&str], prior: &Json, config: Json, expected: Json, differing: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        let (kept, found) = ignore_changes(&schema, &value(&schema, &config), &value(&schema, prior), &paths);
        assert_eq!(show(&kept), show(&value(&schema, &expected)), "{paths:?} of {config}");
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), differing, "{paths:?} of {config}");
    };
    let just = |paths: &[&str], config: Json, expected: Json, differing: &[&str]| {
        check(paths, &prior, config, expected, differing);
    };
    // Where there is no object yet nothing is ignored.
    check(&[".a"], &json!(null), json!({"a": "2"}), json!({"a": "2"}), &[]);
    just(&[".a"], json!({"a": "2"}), json!({"a": "1"}), &[".a"]);
    just(&[".a"], json!({"a": "1"}), json!({"a": "1"}), &[]);
    just(&[".a"], json!({}), json!({"a": "1"}), &[".a"]);
    just(&[".a"], json!({"a": "?"}), json!({"a": "1"}), &[".a"]);
    just(&[".a", ".a"], json!({"a": "2"}), json!({"a": "1"}), &[".a"]);
    check(&[".a"], &json!({}), json!({"a": "2"}), json!({}), &[".a"]);
    // What the configuration leaves to the provider does not differ.
    just(&[".z"], json!({}), json!({"z": "9"}), &[]);
    just(&[".z"], json!({"z": "8"}), json!({"z": "9"}), &[".z"]);
    // One key of a map is kept, or kept out.
    let map = |json: Json| json!({ "m": json });
    just(&[".m[k]"], map(json!({"k": "2"})), map(json!({"k": "1"})), &[".m[\"k\"]"]);
    just(&[".m[k]"], map(json!({"k": "1", "x": "2"})), map(json!({"k": "1", "x": "2"})), &[]);
    just(&[".m[old]"], map(json!({"k": "2"})), map(json!({"k": "2", "old": "1"})), &[".m[\"old\"]"]);
    just(&[".m[new]"], map(json!({"k": "2", "new": "2"})), map(json!({"k": "2"})), &[".m[\"new\"]"]);
    just(&[".m[none]"], map(json!({"k": "2"})), map(json!({"k": "2"})), &[]);
    just(&[".m[old]"], json!({}), map(json!({"old": "1"})), &[".m[\"old\"]"]);
    just(&[".m[none]"], json!({}), json!({}), &[]);
    just(&[".m[k]"], map(json!("?")), map(json!("?")), &[]);
    check(&[".m[k]"], &json!({}), map(json!({"k": "2"})), map(json!({})), &[".m[\"k\"]"]);
    just(&[".m[k]", ".m[new]"], map(json!({"new": "1"})), map(json!({"k": "1"})), &[".m[\"k\"]", ".m[\"new\"]"]);
    just(&[".mm[x][k]"], json!({"mm": {"x": {"k": "2"}}}), json!({"mm": {"x": {"k": "1"}}}), &[".mm[\"x\"][\"k\"]"]);
    just(&[".mm[y][k]"], json!({"mm": {"y": {"k": "2"}}}), json!({"mm": {"y": {"k": "2"}}}), &[]);
    // A key of a map is no attribute; the last key of an object stands for all of it.
    just(&[".m.k"], map(json!({"k": "2"})), map(json!({"k": "2"})), &[]);
    just(&[".d.a"], json!({"d": {"a": 2, "b": 2}}), json!({"d": {"a": 1, "b": 2}}), &[".d.a"]);
    just(&[".d[a]"], json!({"d": {"a": 2, "b": 2}}), json!({"d": {"a": 1, "b": 1}}), &[".d[\"a\"]"]);
    // Elements of lists and attributes of blocks, where both have them.
    just(&[".l[1]"], json!({"l": ["2", "3"]}), json!({"l": ["2", "y"]}), &[".l[1]"]);
    just(&[".l[1]"], json!({"l": ["2"]}), json!({"l": ["2"]}), &[]);
    just(&[".l[7]"], json!({"l": ["2"]}), json!({"l": ["2"]}), &[]);
    just(&[".n[0].a"], json!({"n": [{"a": "2", "b": "2"}]}), json!({"n": [{"a": "1", "b": "2"}]}), &[".n[0].a"]);
    just(&[".n[1].a"], json!({"n": [{}, {"a": "2"}]}), json!({"n": [{}, {"a": "2"}]}), &[]);
    just(&[".n"], json!({"n": []}), json!({"n": [{"a": "1", "b": "1"}]}), &[".n"]);
    just(&[".n"], json!({"n": "?"}), json!({"n": [{"a": "1", "b": "1"}]}), &[".n"]);
    just(&[".n[0].a"], json!({"n": "?"}), json!({"n": "?"}), &[]);
    just(&[".o.a"], json!({"o": {"a": "2"}}), json!({"o": {"a": "1"}}), &[".o.a"]);
    just(&[".o.a"], json!({}), json!({}), &[]);
    just(&[".s[0]"], json!({"s": ["y"]}), json!({"s": ["y"]}), &[]);
    just(&[".nope", ".a.b"], json!({"a": "2"}), json!({"a": "2"}), &[]);

    // All of it: the object, without what only the provider gives.
    let all = |prior: &Json, config: Json, expected: &Json, differing: &[&str]| {
        let (kept, found) = ignore_all(&schema, &value(&schema, &config), &value(&schema, prior));
        assert_eq!(show(&kept), show(&value(&schema, expected)));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), differing, "{config}");
    };
    let mut given = prior.clone();
    given["id"] = json!(null);
    given["o"]["c"] = json!(null);
    all(&prior, given.clone(), &given, &[]);
    let mut other = given.clone();
    other["a"] = json!("2");
    other["z"] = json!(null);
    other["n"] = json!([]);
    all(&prior, other, &given, &[".a", ".n"]);
    all(&json!(null), json!({"a": "2"}), &json!({"a": "2"}), &[]);
}
