//! Views, as data in and text out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod graph;
mod plan;
mod progress;
mod terraform;
mod terraform_plan;

use std::sync::Arc;

use andon_lang::FileSet;
use andon_lang::definitions::Project;

/// The project that these files make. They must be sound.
pub fn project(files: &[(&str, &str)]) -> Project {
    let mut set = FileSet::new();
    files.iter().for_each(|(path, text)| set.insert(*path, text.as_bytes()));
    let (project, found) = andon_lang::load(Arc::new(set), "shop");
    assert!(!found.has_errors(), "{found:?}");
    project
}
