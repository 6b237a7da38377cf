//! The independent provider plugin of `tests/tf-server`, built when it is first wanted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory that has the plugin's program; `None`, and the reason said, where it cannot be built here.
pub fn directory() -> Option<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    built
        .as_ref()
        .map_err(|reason| println!("skipped: the independent provider cannot be built: {reason}"))
        .ok()
        .cloned()
}

/// Cargo itself knows whether there is something to build, and lets one at a time do it.
fn build() -> Result<PathBuf, String> {
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("there is no target directory")?.join("tf-server");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tf-server/Cargo.toml");
    let build = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["build", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir"])
            .arg(&target)
            .args(more);
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    // The network is asked only for what is not at hand; a mistake in the plugin is no reason to skip.
    if let Err(offline) = build(&["--offline"]) {
        build(&[]).map_err(|online| {
            assert!(!online.contains("could not compile"), "{online}");
            format!("{offline}{online}")
        })?;
    }
    Ok(target.join("debug"))
}
