//! The lock file, `.andon.lock.hcl`: what each package of modules was when it was last taken, and which versions of packages
//! each image was baked with. It is committed, so that everybody gets the same; `andon init --upgrade` and
//! `andon bake --update` take what there is now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use andon_hcl::ast::{Block, ExprKind};
use andon_schema::Version;
use andon_text::{Diagnostic, Diagnostics, SourceId};

use crate::literal::string;

/// The name of the lock file, in the project's directory.
pub const LOCK_FILE: &str = ".andon.lock.hcl";

/// What packages are locked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// A package each.
    pub modules: Vec<Locked>,
    /// By their names, the images that were baked.
    pub images: BTreeMap<Arc<str>, LockedImage>,
}

/// What an image is baked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedImage {
    /// The `from` of its definition when it was locked.
    pub from: Arc<str>,
    /// The digest of what that was.
    pub base: Arc<str>,
    /// Where it came from a registry, the digest of the manifest that the tag named then, by which it is fetched again.
    pub manifest: Option<Arc<str>>,
    /// The versions of all packages in it, by name and architecture: `nginx:amd64`.
    pub packages: BTreeMap<Arc<str>, Arc<str>>,
}

impl LockedImage {
    /// Its form in the file.
    fn write(&self, name: &str) -> String {
        let pairs = [("from", Some(&self.from)), ("base", Some(&self.base)), ("manifest", self.manifest.as_ref())];
        let width = if self.manifest.is_some() { "manifest".len() } else { "from".len() };
        let mut text = format!("\nimage {} {{\n", quoted(name));
        for (name, value) in pairs.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            let _ = writeln!(text, "  {name:width$} = {}", quoted(value));
        }
        if !self.packages.is_empty() {
            text.push_str("  packages = {\n");
            let width = self.packages.keys().map(|name| quoted(name).chars().count()).max().unwrap_or(0);
            for (name, version) in &self.packages {
                let _ = writeln!(text, "    {:width$} = {}", quoted(name), quoted(version));
            }
            text.push_str("  }\n");
        }
        text + "}\n"
    }

    /// All that it says, as one text: what an image is made from.
    pub fn key(&self) -> String {
        self.write("")
    }
}

/// What one package is locked to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// What calls name it by, as in [`super::Installed::source`].
    pub source: Arc<str>,
    /// The version, where a registry knows versions of it.
    pub version: Option<Version>,
    /// The git commit.
    pub commit: Option<String>,
    /// The digest of its files; see [`super::tree_hash`].
    pub hash: String,
}

impl Lock {
    /// Reads a lock file.
    pub fn read(id: SourceId, text: &str) -> (Lock, Diagnostics) {
        let (body, mut out) = andon_hcl::parse_body(id, text);
        let mut modules = Vec::new();
        for block in body.blocks().filter(|block| &*block.kind.name == "module") {
            match locked(block) {
                Some(module) => modules.push(module),
                None => out.push(
                    Diagnostic::error("this entry of the lock file is not understood")
                        .at(block.head)
                        .help("Take it out, and run `andon init`."),
                ),
            }
        }
        let mut images = BTreeMap::new();
        for block in body.blocks().filter(|block| &*block.kind.name == "image") {
            match locked_image(block) {
                Some((name, image)) => drop(images.insert(name, image)),
                None => out.push(
                    Diagnostic::error("this entry of the lock file is not understood")
                        .at(block.head)
                        .help("Take it out, and run `andon bake`."),
                ),
            }
        }
        (Lock { modules, images }, out)
    }

    /// Its form on the disk.
    pub fn write(&self) -> String {
        let mut text = String::from(
            "# `andon init` keeps this file. Commit it: it says what each module was, so that everybody gets the same.\n\
             # `andon init --upgrade` takes what there is now.\n",
        );
        let mut modules: Vec<&Locked> = self.modules.iter().collect();
        modules.sort();
        modules.dedup();
        for module in modules {
            let _ = write!(text, "\nmodule {} {{\n", quoted(&module.source));
            let version = module.version.as_ref().map(Version::to_string);
            let pairs = [("version", version), ("commit", module.commit.clone()), ("hash", Some(module.hash.clone()))];
            let pairs: Vec<(&str, String)> = pairs.into_iter().filter_map(|(name, it)| Some((name, it?))).collect();
            let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in pairs {
                let _ = writeln!(text, "  {name:width$} = {}", quoted(&value));
            }
            text.push_str("}\n");
        }
        self.images.iter().for_each(|(name, image)| text.push_str(&image.write(name)));
        text
    }

    /// The versions that a registry's module is locked to.
    pub fn versions(&self, source: &str) -> Vec<Version> {
        self.modules.iter().filter(|it| &*it.source == source).filter_map(|it| it.version.clone()).collect()
    }

    /// What a package is locked to.
    pub fn find(&self, source: &str, version: Option<&Version>) -> Option<&Locked> {
        self.modules.iter().find(|it| &*it.source == source && it.version.as_ref() == version)
    }
}

fn locked(block: &Block) -> Option<Locked> {
    let text = |name: &str| block.body.attribute(name).and_then(|attribute| string(&attribute.value));
    let [source] = &*block.labels else { return None };
    let version = text("version").map(|version| version.parse());
    Some(Locked {
        source: source.name.clone(),
        version: version.transpose().ok()?,
        commit: text("commit").map(|commit| commit.to_string()),
        hash: text("hash")?.to_string(),
    })
}

fn locked_image(block: &Block) -> Option<(Arc<str>, LockedImage)> {
    let text = |name: &str| block.body.attribute(name).and_then(|attribute| string(&attribute.value));
    let [name] = &*block.labels else { return None };
    let packages = match block.body.attribute("packages").map(|attribute| &attribute.value.kind) {
        None => BTreeMap::new(),
        Some(ExprKind::Object(items)) => {
            items.iter().map(|item| Some((string(&item.key)?, string(&item.value)?))).collect::<Option<_>>()?
        }
        Some(_) => return None,
    };
    let manifest = text("manifest");
    Some((name.name.clone(), LockedImage { from: text("from")?, base: text("base")?, manifest, packages }))
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace("${", "$${").replace("%{", "%%{"))
}

#[cfg(test)]
mod tests {
    use andon_text::SourceMap;

    use super::*;

    #[test]
    fn lock_files_are_read_as_they_were_written() {
        let module = |source: &str, version: Option<&str>, commit: Option<&str>| Locked {
            source: source.into(),
            version: version.map(|version| version.parse().unwrap()),
            commit: commit.map(str::to_owned),
            hash: "h1:abc=".to_owned(),
        };
        let modules = vec![
            module("git::https://h/x.git?ref=\"${v1}", None, Some("abc")),
            module("registry.terraform.io/a/b/c", Some("1.2.0"), None),
            module("registry.terraform.io/a/b/c", Some("1.10.0"), None),
        ];
        let packages = [("adduser:all", "3.134"), ("nginx:amd64", "1:1.22.1-9+deb12u1")];
        let packages = packages.map(|(name, version)| (name.into(), version.into())).into();
        let web = LockedImage { from: "debian:bookworm".into(), base: "sha256:0".into(), manifest: None, packages };
        let alpine =
            LockedImage { from: "r.example/alpine:3".into(), manifest: Some("sha256:2".into()), ..web.clone() };
        let bare = LockedImage { from: "./root".into(), base: "sha256:1".into(), ..LockedImage::default() };
        let lock =
            Lock { modules, images: [("alpine".into(), alpine), ("bare".into(), bare), ("web".into(), web)].into() };
        let text = lock.write();
        assert_eq!(andon_hcl::format(&text), text, "it is in the one true format");
        let mut sources = SourceMap::new();
        let id = sources.add(LOCK_FILE, text.as_str());
        let (again, errors) = Lock::read(id, &text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(again, lock);
        assert_eq!(again.versions("registry.terraform.io/a/b/c").len(), 2);
        for wrong in [
            "module \"x\" {}\n",
            "image \"x\" {}\n",
            "image \"x\" {\n  from = \"\"\n  base = \"\"\n  packages = 1\n}\n",
        ] {
            let (_, errors) = Lock::read(id, wrong);
            assert_eq!(errors.len(), 1, "{wrong}");
        }
    }
}
