//! Plugins are asked about deletions when these are planned, with the toy of `drive/provider/examples`.

use serde_json::{Value as Json, json};

use crate::plugins::{run, with_toy};

const DEFINITIONS: &str =
    "resource \"toy_thing\" \"a\" {\n  name = \"stays\"\n}\nresource \"toy_thing\" \"b\" {\n  name = \"goes\"\n}\n";

#[test]
fn a_plugin_refuses_a_deletion_when_it_is_planned() {
    let Some(project) = with_toy("deletion-refused", &["1.0.0"], DEFINITIONS) else { return };
    let applied = run(&project, &["apply", "-y"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    for words in [vec!["plan", "-destroy"], vec!["destroy", "-y"], vec!["destroy", "-y", "-target=toy_thing.a"]] {
        let ran = run(&project, &words);
        assert!(ran.code == Some(1) && ran.err.contains("it stays"), "{words:?}: {ran}");
        assert!(ran.err.contains("toy_thing.a") && ran.err.contains("too dear"), "{words:?}: {ran}");
    }
    assert_eq!(run(&project, &["state", "list"]).out, "toy_thing.a\ntoy_thing.b\n");
    // So it is where a definition is gone.
    project.write("main.tf", "resource \"toy_thing\" \"b\" {\n  name = \"goes\"\n}\n");
    let ran = run(&project, &["plan"]);
    assert!(ran.code == Some(1) && ran.err.contains("it stays"), "{ran}");
    // What it has nothing against goes, from a saved plan, too.
    project.write("main.tf", DEFINITIONS);
    let saved = run(&project, &["plan", "-destroy", "-target=toy_thing.b", "-out=gone.plan"]);
    assert_eq!(saved.code, Some(0), "{saved}");
    let ran = run(&project, &["apply", "-y", "gone.plan"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(run(&project, &["state", "list"]).out, "toy_thing.a\n");
}

#[test]
fn a_plugin_is_not_asked_about_a_deletion_that_makes_way_for_a_replacement() {
    let Some(project) = with_toy("deletion-replaces", &["1.0.0"], DEFINITIONS) else { return };
    assert_eq!(run(&project, &["apply", "-y"]).code, Some(0));
    // As Terraform has it: deleted first it is not asked, and deleted afterwards it is, at the apply.
    let ran = run(&project, &["apply", "-y", "-replace=toy_thing.a"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let first = "stays\"\n  lifecycle {\n    create_before_destroy = true\n  }";
    project.write("main.tf", &DEFINITIONS.replace("stays\"", first));
    assert_eq!(run(&project, &["plan", "-replace=toy_thing.a"]).code, Some(0));
    let ran = run(&project, &["apply", "-y", "-replace=toy_thing.a"]);
    assert!(ran.code == Some(1) && ran.err.contains("it stays"), "{ran}");
}

/// What was replaced is looked at like everything else: one that is gone is not deleted. What identifies it is brought to
/// the schema of today.
#[test]
fn what_was_replaced_is_read_before_it_is_deleted() {
    let text = "resource \"toy_thing\" \"a\" {\n  name = \"kept\"\n}\n";
    let Some(project) = with_toy("deletion-deposed", &["1.0.0"], text) else { return };
    assert_eq!(run(&project, &["apply", "-y"]).code, Some(0));
    let pulled = || -> Json { serde_json::from_str(&run(&project, &["state", "pull"]).out).unwrap() };
    let with_deposed = |names: &[(&str, &str)]| {
        let mut file = pulled();
        file["serial"] = (file["serial"].as_u64().unwrap() + 1).into();
        let all = file["resources"][0]["instances"].as_array_mut().unwrap();
        all[0]["identity"] = json!({ "old_id": "id-kept" });
        all[0]["identity_schema_version"] = 1.into();
        for (name, key) in names {
            let mut left = all[0].clone();
            left["deposed"] = (*key).into();
            left["attributes"]["name"] = (*name).into();
            all.push(left);
        }
        project.write("pushed.tfstate", &file.to_string());
        let ran = run(&project, &["state", "push", "pushed.tfstate"]);
        assert_eq!(ran.code, Some(0), "{ran}");
    };
    let keys = || -> Vec<Json> {
        let all = pulled()["resources"][0]["instances"].as_array().unwrap().clone();
        all.iter().filter_map(|it| it.get("deposed").cloned()).collect()
    };
    with_deposed(&[("gone", "00000001"), ("left", "00000002")]);
    for (word, count) in [("-refresh=true", 1), ("-refresh=false", 2), ("-refresh-only", 0)] {
        let ran = run(&project, &["plan", word]);
        let said = format!("{count} to delete");
        assert!(ran.code == Some(0) && ran.out.contains(&said) == (count > 0), "{word}: {ran}");
    }
    assert_eq!(keys(), ["00000001", "00000002"]);
    let ran = run(&project, &["apply", "-y"]);
    assert!(ran.code == Some(0) && ran.all().contains("1 deleted"), "{ran}");
    assert_eq!(keys(), Vec::<Json>::new());
    // Where nothing else is to be done, it is recorded all the same.
    with_deposed(&[("gone", "00000003")]);
    let ran = run(&project, &["plan", "-detailed-exitcode"]);
    assert!(ran.code == Some(0) && ran.out.contains("no changes"), "{ran}");
    assert_eq!(keys(), ["00000003"]);
    let ran = run(&project, &["apply", "-y"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(keys(), Vec::<Json>::new());
    // From a saved plan, too.
    with_deposed(&[("left", "00000004"), ("gone", "00000005")]);
    let ran = run(&project, &["plan", "-out=saved.plan"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let ran = run(&project, &["apply", "saved.plan"]);
    assert!(ran.code == Some(0) && ran.all().contains("1 deleted"), "{ran}");
    assert_eq!(keys(), Vec::<Json>::new());
}
