//! The generated code is what the `.proto` files say.

use std::fs;
use std::path::Path;

/// Says what to do where it is not; with `ANDON_GENERATE=1` in the environment, does it.
#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = ["cache", "plugin", "schema5", "schema6"];
    let set = protox::compile(names.map(|name| format!("{name}.proto")), [root.join("proto")]).unwrap();
    let made = tempfile::tempdir().unwrap();
    prost_build::Config::new().btree_map(["."]).bytes(["."]).out_dir(made.path()).compile_fds(set).unwrap();
    for name in names {
        let current = fs::read_to_string(made.path().join(format!("{name}.rs"))).unwrap();
        let kept = root.join(format!("src/wire/{name}.rs"));
        if std::env::var_os("ANDON_GENERATE").is_some() {
            fs::create_dir_all(kept.parent().unwrap()).unwrap();
            fs::write(&kept, &current).unwrap();
        }
        let kept = fs::read_to_string(&kept).unwrap_or_default();
        assert!(kept == current, "src/wire/{name}.rs is not current: ANDON_GENERATE=1 cargo test -p andon-provider");
    }
}
