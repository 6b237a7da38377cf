//! The example project, as it is in the repository.

use std::path::Path;
use std::sync::Arc;

use andon_lang::{FileSet, check, image_recipe, load, test_case, test_checks};
use andon_value::Value;

use crate::render_all;
use crate::schemas::schemas;

fn read(directory: &Path, prefix: &str, files: &mut FileSet) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
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
