//! Where outputs go: what keeps one from being written is said before anything is made for it.

use std::fs;
use std::path::Path;

use andon_schema::Failure;

use crate::export::Place;
use crate::oci::can_be_layout as layout;
use crate::trouble::Trouble;

/// Whether a file can be written at a path, whose directory is made with it.
///
/// # Errors
/// Where there is a directory of that name, or a file where a directory is needed.
pub fn can_be_file(path: &Path) -> Result<(), Failure> {
    if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let detail = format!("{} is a directory.", path.display());
        return Err(Failure::new("the file cannot be written", detail).help("Name a file."));
    }
    can_be_below(path)
}

/// Whether the root file system can be written to a directory: it is not there, is empty, or was written so before.
///
/// # Errors
/// Where something else is there.
pub fn can_be_directory(path: &Path) -> Result<(), Failure> {
    let place = Place::of(path)?;
    place.is_free()?;
    can_be_below(&place.path)
}

/// Whether a layout can be written to a directory: it is not there, is empty, or is one.
///
/// # Errors
/// Where something else is there.
pub fn can_be_layout(path: &Path) -> Result<(), Failure> {
    layout(path)?;
    can_be_below(path)
}

/// Makes the directory that something is written in.
pub(crate) fn make_parent(path: &Path) -> Result<(), Failure> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::create_dir_all(parent).doing("make", parent),
        None => Ok(()),
    }
}

fn can_be_below(path: &Path) -> Result<(), Failure> {
    let mut above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    match above.find(|above| fs::symlink_metadata(above).is_ok()) {
        Some(nearest) if !nearest.is_dir() => {
            let detail =
                format!("{} is to be written below {}, which is no directory.", path.display(), nearest.display());
            Err(Failure::new("the output cannot be written", detail).help("Name another place, or remove that file."))
        }
        _ => Ok(()),
    }
}
