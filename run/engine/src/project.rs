//! Reading a project's files, once, before any decision.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_lang::FileSet;
use andon_lang::modules::{RECORD, Record, TERRAFORM_RECORD};

/// A larger file is left out: it is no definition, and a template of that size is a mistake.
const LARGEST_FILE_BYTES: u64 = 16 << 20;

/// How many links to directories are followed on the way to one file: more lead round in a circle.
const MOST_LINKS: usize = 3;

/// Directories that hold no definitions. Every name that begins with a dot is left out, too.
const LEFT_OUT: [&str; 2] = ["node_modules", "target"];

/// Why a project could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {source}")]
pub struct ReadError {
    /// The file or directory.
    pub path: String,
    /// Why.
    pub source: io::Error,
}

/// Whether a directory holds a project: an `andon.hcl`, a `*.tf` file, `stacks/`, a role or an image.
pub fn is_project(directory: &Path) -> bool {
    directory.join("andon.hcl").is_file()
        || directory.join("stacks").is_dir()
        || holds(directory, &[".tf", ".tf.json"])
        || holds(&directory.join("roles"), &[".role.hcl"])
        || holds(&directory.join("images"), &[".image.hcl"])
}

/// Whether a directory has a ledger beside its definitions, or where they were: what is there can be seen and deleted.
pub fn has_records(directory: &Path) -> bool {
    directory.join(".andon/ledger.db").is_file()
}

/// Whether a directory has a file whose name ends in one of these ways.
fn holds(directory: &Path, suffixes: &[&str]) -> bool {
    fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            suffixes.iter().any(|suffix| name.ends_with(suffix))
        })
    })
}

/// Reads every file below a project's directory that a definition could be in or read, and those of the modules that it
/// calls from elsewhere: installed packages, and directories around the project that a path beginning with `../` names.
/// Links are followed to files, and to directories of modules and of the project itself; in the project, names that
/// begin with a dot, `node_modules` and `target` are left out, and files over 16 MiB everywhere.
pub fn read_files(directory: &Path) -> Result<FileSet, ReadError> {
    let mut files = read_own_files(directory)?;
    read_installed(directory, &mut files)?;
    Ok(files)
}

/// Reads what [`read_files`] reads, without installed packages.
pub(crate) fn read_own_files(directory: &Path) -> Result<FileSet, ReadError> {
    let mut files = FileSet::new();
    let mut around = BTreeSet::new();
    read_tree(directory, "", is_own, &mut |found| {
        find_around(&found.path, &found.content, &mut around);
        found.put(&mut files);
        Ok(())
    })?;
    read_around(directory, around, &mut files)?;
    Ok(files)
}

/// Whether a file or directory of this name in the project is the project's.
pub(crate) fn is_own(name: &str) -> bool {
    !name.starts_with('.') && !LEFT_OUT.contains(&name)
}

/// A file as it was read, with its path from where the reading began.
pub(crate) struct Found {
    pub path: String,
    pub content: Arc<[u8]>,
    pub is_executable: bool,
}

impl Found {
    /// Adds it to others.
    pub fn put(self, files: &mut FileSet) {
        let Found { path, content, is_executable } = self;
        if is_executable {
            files.mark_executable(path.as_str());
        }
        files.insert(path, content);
    }
}

/// Reads every file below `relative`, a path from `directory`, and hands each over with its path from there; ends with
/// the first error that `take` has.
pub(crate) fn read_tree(
    directory: &Path,
    relative: &str,
    wanted: fn(&str) -> bool,
    take: &mut dyn FnMut(Found) -> io::Result<()>,
) -> Result<(), ReadError> {
    let mut open: Vec<(PathBuf, String, usize)> = vec![(directory.join(relative), relative.to_owned(), 0)];
    while let Some((path, relative, links)) = open.pop() {
        let failed = |source| ReadError { path: path.display().to_string(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !wanted(&name) {
                continue;
            }
            let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            let path = entry.path();
            let failed = |source| ReadError { path: path.display().to_string(), source };
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                open.push((path, relative, links));
                continue;
            }
            if kind.is_symlink() && path.is_dir() {
                if links < MOST_LINKS && is_followed(directory, &path) {
                    open.push((path, relative, links + 1));
                }
                continue;
            }
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                // A definition that cannot be read must not pass for one that says nothing.
                Err(error) if is_definition(&relative) => return Err(failed(error)),
                // Another link that leads nowhere is not a file of the project.
                Err(_) => continue,
            };
            if metadata.is_file() && metadata.len() <= LARGEST_FILE_BYTES {
                let content = fs::read(&path).map_err(failed)?;
                let is_executable = metadata.permissions().mode() & 0o100 != 0;
                take(Found { path: relative, content: content.into(), is_executable }).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Whether a link to a directory is followed: one to a module, or to a part of the project; none to a directory that
/// the link is in, as that has no end.
fn is_followed(project: &Path, link: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    let (Some(target), Some(place)) = (whole(link), link.parent().and_then(whole)) else { return false };
    let of_project = whole(project).is_some_and(|project| target.starts_with(project));
    !place.starts_with(&target) && (of_project || holds(&target, &[".tf", ".tf.json"]))
}

/// Notes the paths in the text of a `*.tf` file that begin with `../`, after a quote or after `${path.module}/`, and
/// lead out of the project. What is a file or a directory of modules is found by looking.
fn find_around(file: &str, content: &[u8], around: &mut BTreeSet<String>) {
    if !(file.ends_with(".tf") || file.ends_with(".tf.json")) {
        return;
    }
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let Ok(text) = std::str::from_utf8(content) else { return };
    for (at, _) in
        text.match_indices("..").filter(|(at, _)| text.get(at + 2..).is_some_and(|it| it.starts_with(['/', '\\'])))
    {
        let (before, rest) = text.split_at_checked(at).unwrap_or_default();
        if before.ends_with('"') || before.ends_with("}/") {
            let path = rest.split('"').next().unwrap_or_default().replace('\\', "/");
            let place = andon_lang::modules::resolve(directory, &path);
            around.extend(place.filter(|place| place.starts_with("..") && place.len() < 1024));
        }
    }
}

/// Reads the files around the project that are named, the directories that hold modules, and what these name in turn.
fn read_around(directory: &Path, mut around: BTreeSet<String>, files: &mut FileSet) -> Result<(), ReadError> {
    let mut done: BTreeSet<String> = BTreeSet::new();
    while let Some(relative) = around.pop_first() {
        let place = directory.join(&relative);
        let Ok(metadata) = fs::metadata(&place) else { continue };
        if metadata.is_file() && metadata.len() <= LARGEST_FILE_BYTES {
            // One that may not be read is missed where it is used.
            fs::read(&place).into_iter().for_each(|content| files.insert(relative.clone(), content));
        }
        let is_module = metadata.is_dir() && holds(&place, &[".tf", ".tf.json"]);
        // What is below a directory that was read has been read with it; the way to the root is never a module.
        let is_below = |read: &String| {
            let rest = relative.strip_prefix(read.as_str()).and_then(|rest| rest.strip_prefix('/'));
            relative == *read || rest.is_some_and(|rest| rest != ".." && !rest.starts_with("../"))
        };
        let read = done.iter().any(is_below);
        if !is_module || read {
            continue;
        }
        read_tree(directory, &relative, is_own, &mut |found| {
            find_around(&found.path, &found.content, &mut around);
            found.put(files);
            Ok(())
        })?;
        done.insert(relative);
    }
    Ok(())
}

/// Reads the packages that were installed, with their record; without one, those that Terraform installed.
fn read_installed(directory: &Path, files: &mut FileSet) -> Result<(), ReadError> {
    let content = |path: &str| fs::read(directory.join(path)).ok();
    let mut roots: BTreeSet<Arc<str>> = BTreeSet::new();
    match content(RECORD) {
        Some(text) => {
            let record = Record::read(&text).unwrap_or_default();
            roots.extend(record.modules.iter().map(|module| module.root.clone()));
            files.insert(RECORD, text);
        }
        None => {
            let stacks = fs::read_dir(directory.join("stacks")).into_iter().flatten().flatten();
            let stacks = stacks.filter_map(|entry| entry.file_name().into_string().ok());
            for stack in stacks.map(|name| format!("stacks/{name}")).chain([String::new()]) {
                let path =
                    if stack.is_empty() { TERRAFORM_RECORD.into() } else { format!("{stack}/{TERRAFORM_RECORD}") };
                let Some(text) = content(&path) else { continue };
                let record = Record::read_terraform(&text, &stack);
                roots.extend(record.modules.iter().map(|module| module.root.clone()));
                files.insert(path, text);
            }
        }
    }
    for root in roots {
        if directory.join(&*root).is_dir() {
            read_package(directory, &root, files)?;
        }
    }
    Ok(())
}

/// Reads an installed package.
pub(crate) fn read_package(directory: &Path, root: &str, files: &mut FileSet) -> Result<(), ReadError> {
    read_tree(directory, root, |name| name != ".git", &mut |found| {
        found.put(files);
        Ok(())
    })
}

/// Whether a file's name says that it defines something or gives values to variables.
fn is_definition(name: &str) -> bool {
    let suffixes = [".tf", ".tf.json", ".hcl", ".tfvars", ".tfvars.json"];
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_foreign_directories_are_left_out() {
        let directory = std::env::temp_dir().join(format!("andon-project-{}", std::process::id()));
        for path in ["a.tf", "stacks/web/main.tf", ".andon/ledger.db", "roles/.hidden", "node_modules/x/y.tf"] {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let files = read_files(&directory).unwrap();
        let paths: Vec<_> = files.paths().map(|path| path.to_string()).collect();
        assert_eq!(paths, ["a.tf", "stacks/web/main.tf"]);
        assert!(is_project(&directory) && !is_project(&directory.join("roles")));
        fs::remove_dir_all(&directory).unwrap();
        assert!(read_files(&directory).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_modules_and_to_parts_of_the_project() {
        use std::os::unix::fs::symlink;
        let base = std::env::temp_dir().join(format!("andon-links-{}", std::process::id()));
        let directory = base.join("project");
        for path in
            ["project/a.tf", "project/texts/t", "project/stacks/web/w.tf", "module/m.tf", "module/t/x", "other/o"]
        {
            let path = base.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        symlink("../module", directory.join("m")).unwrap();
        symlink("../other", directory.join("o")).unwrap();
        symlink("../../texts", directory.join("stacks/web/texts")).unwrap();
        symlink(".", directory.join("round")).unwrap();
        symlink("../stacks", directory.join("texts/s")).unwrap();
        let files = read_files(&directory).unwrap();
        let paths: Vec<_> = files.paths().map(|path| path.to_string()).collect();
        for path in ["m/m.tf", "m/t/x", "stacks/web/texts/t", "texts/s/web/w.tf"] {
            assert!(paths.iter().any(|it| it == path), "{path}: {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.starts_with("o/") || path.starts_with("round")), "{paths:?}");
        assert!(paths.len() < 20, "{paths:?}");
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn modules_from_elsewhere_are_read_with_the_project() {
        let base = std::env::temp_dir().join(format!("andon-around-{}", std::process::id()));
        let directory = base.join("envs/prod");
        let record = r#"{"format":1,"modules":[{"source":"s","directory":".andon/modules/s-1","inner":""}]}"#;
        let call = r#"module "a" { source = "../../modules/a" }"#;
        for (path, text) in [
            ("envs/prod/main.tf", call),
            ("envs/prod/.andon/modules/modules.json", record),
            ("envs/prod/.andon/modules/s-1/sub/.env", "x"),
            ("envs/prod/.andon/modules/s-1/.git/config", "x"),
            ("envs/prod/.andon/modules/other/x.tf", "x"),
            (
                "modules/a/main.tf",
                r#"module "b" { source = "../b" }  # "../../data" "../nothing" "${path.module}/../../data/x.txt""#,
            ),
            ("modules/a/files/x.txt", "x"),
            ("modules/a/.terraform/x.tf", "x"),
            ("modules/b/main.tf", ""),
            ("modules/c/main.tf", ""),
            ("data/x.txt", "x"),
        ] {
            let path = base.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = read_files(&directory).unwrap();
        let under = |directory: &str| files.under(directory).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(under(""), ["main.tf"]);
        let around = ["data/x.txt", "modules/a/files/x.txt", "modules/a/main.tf", "modules/b/main.tf"];
        assert_eq!(under("../.."), around.map(|it| format!("../../{it}")));
        assert_eq!(under(".andon/modules"), ["modules.json", "s-1/sub/.env"].map(|it| format!(".andon/modules/{it}")));
        fs::remove_dir_all(&base).unwrap();
    }
}
