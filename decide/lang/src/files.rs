use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// The files of a project, read before any decision: what `file`, `templatefile` and their like may read. Paths are
/// relative to the project, with `/` between their parts and no `.` or inner `..` in them.
///
/// Beside the project's own files there are those of modules from elsewhere: of installed packages, and of directories
/// around the project whose paths begin with `../`. They are there for who names them, and are listed with nothing else.
#[derive(Debug, Clone, Default)]
pub struct FileSet {
    own: BTreeMap<Arc<str>, Arc<[u8]>>,
    foreign: BTreeMap<Arc<str>, Arc<[u8]>>,
    executable: BTreeSet<Arc<str>>,
}

impl FileSet {
    /// No files.
    pub fn new() -> FileSet {
        FileSet::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<Arc<str>>, content: impl Into<Arc<[u8]>>) {
        let path = path.into();
        let files = if is_foreign(&path) { &mut self.foreign } else { &mut self.own };
        files.insert(path, content.into());
    }

    /// Says that a file may be executed by its owner, as a script.
    pub fn mark_executable(&mut self, path: impl Into<Arc<str>>) {
        self.executable.insert(path.into());
    }

    /// Adds a file of another set as it is there.
    pub fn copy(&mut self, from: &FileSet, path: &Arc<str>) {
        let Some(content) = from.files(path).get(path) else { return };
        self.insert(path.clone(), content.clone());
        if from.is_executable(path) {
            self.mark_executable(path.clone());
        }
    }

    /// Whether a file may be executed; `path` is one that [`FileSet::under`] gives.
    pub fn is_executable(&self, path: &str) -> bool {
        self.executable.contains(path)
    }

    /// The content of a file; `path` is taken from `base` (a directory of the project, `""` for the project's own),
    /// and `.` and `..` in it are followed. `None` where there is none.
    pub fn read(&self, base: &str, path: &str) -> Option<&Arc<[u8]>> {
        let path = resolve(base, path)?;
        self.files(&path).get(&*path)
    }

    /// Every path of the project's own files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.own.keys()
    }

    /// Every file below a directory (`""` for all of the project's own), in order of path.
    pub fn under<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<[u8]>)> {
        let below = match directory {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        let from = self.files(directory).range::<str, _>((Bound::Included(&*below), Bound::Unbounded));
        // After `../` comes what is in the directory above, and what is above that.
        let inside = |rest: &str| !rest.starts_with("../");
        let rest = from.map_while(move |(path, content)| Some((path.strip_prefix(&*below)?, path, content)));
        rest.filter(move |(rest, ..)| inside(rest)).map(|(_, path, content)| (path, content))
    }

    fn files(&self, path: &str) -> &BTreeMap<Arc<str>, Arc<[u8]>> {
        if is_foreign(path) { &self.foreign } else { &self.own }
    }
}

/// Whether a path is one of a module from elsewhere.
pub(crate) fn is_foreign(path: &str) -> bool {
    let below =
        |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below("..") || below(".andon/modules") || below(".terraform/modules") || path.contains("/.terraform/modules/")
}

/// `path` taken from `base`, with `.` and `..` followed; what leads out of the project begins with `../`. `None` for an
/// absolute path.
pub fn resolve(base: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The way from one directory of the project to another, as `path.module` says it.
pub fn way(from: &str, to: &str) -> String {
    let mut base = from.split('/').filter(|part| !part.is_empty()).peekable();
    let mut own = to.split('/').filter(|part| !part.is_empty()).peekable();
    while base.peek().is_some() && base.peek() == own.peek() {
        base.next();
        own.next();
    }
    let parts: Vec<&str> = base.map(|_| "..").chain(own).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
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
    fn paths_are_followed() {
        for (base, path, expected) in [
            ("roles", "web/a.tftpl", Some("roles/web/a.tftpl")),
            ("stacks/web", "../../roles/./x", Some("roles/x")),
            ("", "a", Some("a")),
            ("a", "../../b", Some("../b")),
            ("../x/y", "../z", Some("../x/z")),
            ("../x", "../../../z", Some("../../../z")),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(resolve(base, path).as_deref(), expected, "{base} {path}");
        }
    }

    #[test]
    fn foreign_files_are_there_for_who_names_them() {
        let mut files = FileSet::new();
        let paths = [
            ".andon/modules/a/main.tf",
            "../../c",
            "../b/main.tf",
            "a-b/x",
            "a/x",
            "a/y/z",
            "s/.terraform/modules/c/m.tf",
        ];
        paths.iter().for_each(|path| files.insert(*path, *b"x"));
        let under = |directory| files.under(directory).map(|(path, _)| &**path).collect::<Vec<_>>();
        assert_eq!(under(""), ["a-b/x", "a/x", "a/y/z"]);
        assert_eq!(under("a"), ["a/x", "a/y/z"]);
        assert_eq!(under(".andon/modules/a"), [".andon/modules/a/main.tf"]);
        assert_eq!(under("../b"), ["../b/main.tf"]);
        assert_eq!(under(".."), ["../b/main.tf"]);
        assert_eq!(under("../.."), ["../../c"]);
        assert_eq!(under("s/.terraform/modules/c"), ["s/.terraform/modules/c/m.tf"]);
        assert!(files.read("a", "../../b/main.tf").is_some() && files.read("..", "b/main.tf").is_some());
        assert!(files.read(".andon/modules/a", "main.tf").is_some() && files.read("", "/a/x").is_none());
    }
}
