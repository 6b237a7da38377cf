//! Where systemd's units are.

use andon_schema::host::Act;

/// Where unit files are: systemd must be told when one of them changes.
const UNIT_DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
    "/run/systemd/system/",
    "/usr/local/lib/systemd/system/",
];

/// The unit of systemd that the file is of, or the drop-in, that an act changes.
pub(crate) fn unit_of_file(act: &Act) -> Option<&str> {
    let (Act::WriteFile { path, .. }
    | Act::FetchFile { path, .. }
    | Act::MakeLink { path, .. }
    | Act::Remove { path, .. }) = act
    else {
        return None;
    };
    let rest = UNIT_DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory))?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".d").unwrap_or(first))
}
