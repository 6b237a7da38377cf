use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of a project, read before any decision: what `file`, `templatefile` and their like may read. Paths are
/// relative to the project, with `/` between their parts and no `.` or `..` in them.
#[derive(Debug, Clone, Default)]
pub struct FileSet {
    files: BTreeMap<Arc<str>, Arc<[u8]>>,
}

impl FileSet {
    /// No files.
    pub fn new() -> FileSet {
        FileSet::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<Arc<str>>, content: impl Into<Arc<[u8]>>) {
        self.files.insert(path.into(), content.into());
    }

    /// The content of a file; `path` is taken from `base` (a directory of the project, `""` for the project's own),
    /// and `.` and `..` in it are followed. `None` where there is none or the path leads out of the project.
    pub fn read(&self, base: &str, path: &str) -> Option<&Arc<[u8]>> {
        self.files.get(&*resolve(base, path)?)
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.files.keys()
    }

    /// Every file below a directory (`""` for all), in order of path.
    pub fn under<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<[u8]>)> {
        self.files.iter().filter(move |(path, _)| {
            directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// `path` taken from `base`, with `.` and `..` followed; `None` where it leads out of the project.
pub fn resolve(base: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A path without `.`, `..` and doubled slashes, as far as they can be followed.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_project() {
        for (base, path, expected) in [
            ("roles", "web/a.tftpl", Some("roles/web/a.tftpl")),
            ("stacks/web", "../../roles/./x", Some("roles/x")),
            ("", "a", Some("a")),
            ("a", "../../b", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(resolve(base, path).as_deref(), expected, "{base} {path}");
        }
    }
}
