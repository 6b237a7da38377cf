//! The example project, as it is in the repository.

use std::path::Path;
use std::sync::Arc;

use andon_lang::{FileSet, check, image_recipe, load, test_case, test_checks};
use andon_value::Value;
use proptest::prelude::*;

use crate::render_all;
use crate::schemas::schemas;

fn read(directory: &Path, prefix: &str, files: &mut FileSet) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        // What a run keeps beside the project is none of its files.
        if entry.file_name().to_str().unwrap().starts_with('.') {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => read(&entry.path(), &format!("{name}/"), files),
            false => files.insert(name, std::fs::read(entry.path()).unwrap()),
        }
    }
}

pub fn shop() -> FileSet {
    let mut files = FileSet::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop"), "", &mut files);
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is done to a file, there is an answer; what is said has its place in a file that is there.
    #[test]
    fn a_damaged_shop_is_answered(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), cut in 0usize..30, put in "[a-z{}\"=$\\[.\n ]{0,6}") {
        let mut files = shop();
        let path = which.get(&files.paths().cloned().collect::<Vec<_>>()).clone();
        let text = String::from_utf8(files.read("", &path).unwrap().to_vec()).unwrap();
        let from = at.index(text.len() + 1);
        let to = (from + cut).min(text.len());
        prop_assume!(text.is_char_boundary(from) && text.is_char_boundary(to));
        files.insert(path, format!("{}{put}{}", &text[..from], &text[to..]).into_bytes());
        let (project, mut said) = load(Arc::new(files), "x");
        said.extend(check(&project, &schemas()));
        for diagnostic in &said {
            prop_assert!(diagnostic.span.is_none_or(|span| !project.sources.locate(span).is_empty()));
            prop_assert!(!diagnostic.summary.is_empty() && !diagnostic.summary.ends_with('.'));
        }
        let _ = image_recipe(&project, "web", &schemas());
    }
}

#[test]
fn the_shop_is_sound() {
    let (project, loading) = load(Arc::new(shop()), "x");
    assert!(loading.is_empty(), "{}", render_all(&loading, &project.sources));
    let checking = check(&project, &schemas());
    assert!(checking.is_empty(), "{}", render_all(&checking, &project.sources));
    assert_eq!(&*project.name, "shop");
    let recipe = image_recipe(&project, "web", &schemas()).unwrap();
    assert_eq!(recipe.from, "debian:bookworm");
    assert_eq!(recipe.params_of("web").get_str("greeting"), Some("baked"));
    let test = &project.tests[0];
    let case = test_case(&project, test, &schemas()).unwrap();
    assert_eq!((case.changes, case.server.get_str("image")), (Some(0), Some("web")));
    let server = Value::object([("address", Value::from("10.0.0.2"))]);
    let checks = test_checks(&project, test, &server, &schemas()).unwrap();
    assert_eq!(&*checks[0].assertions[0].name, "http://10.0.0.2/healthz");
}
