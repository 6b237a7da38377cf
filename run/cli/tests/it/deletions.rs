//! Plugins are asked about deletions when these are planned, with the toy of `drive/provider/examples`.

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
