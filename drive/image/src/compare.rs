//! What changed between two images: packages, and files by the package that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use andon_schema::Failure;

use crate::oci::shown;
use crate::tree::Tree;
use crate::{Digest, Images};

/// A package or a file that differs: what it was, and what it is; `None` where it was not, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The package's name, or the file's path.
    pub name: String,
    /// Of a package its version; of a file its mode, owner and size; of a link its owner and where it leads.
    pub before: Option<String>,
    /// The same after.
    pub after: Option<String>,
    /// Of a file, the package that it is of.
    pub package: Option<String>,
}

/// What differs between two images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// The packages.
    pub packages: Vec<Changed>,
    /// The paths.
    pub files: Vec<Changed>,
}

impl Images {
    /// What differs between two images. Directories count only for themselves.
    pub fn differences(&self, before: &Digest, after: &Digest) -> Result<Differences, Failure> {
        let versions = |image: &Digest| -> Result<BTreeMap<String, String>, Failure> {
            let name = |package: &crate::Package| format!("{}:{}", package.name, package.architecture);
            Ok(self.packages(image)?.iter().map(|package| (name(package), package.version.clone())).collect())
        };
        let (old, new) = (versions(before)?, versions(after)?);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let packages = names.into_iter().filter(|name| old.get(*name) != new.get(*name)).map(|name| Changed {
            name: name.clone(),
            before: old.get(name).cloned(),
            after: new.get(name).cloned(),
            package: None,
        });
        let packages = packages.collect();
        let (stack_before, stack_after) = (self.stack(before)?, self.stack(after)?);
        let (old, new) = (self.tree(&stack_before)?, self.tree(&stack_after)?);
        let (layers_before, layers_after) = (self.directories(&stack_before), self.directories(&stack_after));
        let (owners_before, owners) = (self.owners(before)?, self.owners(after)?);
        let paths: BTreeSet<&[u8]> = old.iter().chain(new.iter()).map(|(path, _)| path).collect();
        let mut files = Vec::new();
        for path in paths {
            let (was, is) = (old.line(path), new.line(path));
            if was == is {
                continue;
            }
            files.push(Changed {
                name: format!("/{}", String::from_utf8_lossy(path)),
                before: was.map(|line| said(line, &|| target(&layers_before, &old, path))),
                after: is.map(|line| said(line, &|| target(&layers_after, &new, path))),
                package: owners.get(path).or_else(|| owners_before.get(path)).cloned(),
            });
        }
        Ok(Differences { packages, files })
    }
}

/// Where a link leads.
fn target(layers: &[PathBuf], tree: &Tree, path: &[u8]) -> Option<String> {
    let link = shown(layers, tree, Path::new(OsStr::from_bytes(path)))?;
    Some(fs::read_link(link).ok()?.display().to_string())
}

/// A line of a tree for people: `0644 0:0 12 bytes`.
fn said(line: &str, target: &dyn Fn() -> Option<String>) -> String {
    let mut fields = line.split(' ');
    let mut next = || fields.next().unwrap_or_default();
    let (kind, mode, user, group, number) = (next(), next(), next(), next(), next());
    match kind {
        "f" => format!("{mode:0>4} {user}:{group} {number} bytes"),
        "d" => format!("{mode:0>4} {user}:{group} directory"),
        "l" => match target() {
            Some(target) => format!("{user}:{group} link to {target}"),
            None => format!("{user}:{group} link"),
        },
        _ => format!("{mode:0>4} {user}:{group} special file"),
    }
}
