//! The lock file of providers, `.terraform.lock.hcl`: which version of each is used, and what its packages come to
//! (<https://developer.hashicorp.com/terraform/language/files/dependency-lock>). It is written byte for byte as
//! Terraform writes it, so that both may keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use andon_hcl::ast::{Attribute, Block, ExprKind};
use andon_hcl::parse_body;
use andon_schema::{ProviderAddress, Version};
use andon_text::SourceMap;

use crate::installation::text_of;

/// The file's name.
pub const PROVIDER_LOCK_FILE: &str = ".terraform.lock.hcl";

/// What stands at the top of a file that has no words of its own there.
const HEADER: &str = "# This file is maintained automatically by \"terraform init\" and \"andon init\".\n\
                      # Manual edits may be lost in future updates.\n";

/// What a lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockFile {
    /// The providers.
    pub providers: BTreeMap<ProviderAddress, LockedProvider>,
    /// The comment at its top: whoever wrote it first keeps the word.
    header: Option<String>,
}

/// What one provider is locked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedProvider {
    /// The version.
    pub version: Version,
    /// What was asked for when it was chosen.
    pub constraints: String,
    /// What packages may come to: `h1:…` of the files, `zh:…` of the archive.
    pub hashes: BTreeSet<String>,
}

/// Why a lock file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LockFileError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub why: String,
}

impl LockFile {
    /// Reads a lock file.
    ///
    /// # Errors
    /// Where it is not understood: what it means to hold fast must not be passed over.
    pub fn read(text: &str) -> Result<LockFile, LockFileError> {
        let mut sources = SourceMap::default();
        let (body, errors) = parse_body(sources.add(PROVIDER_LOCK_FILE, text), text);
        let line = |at: u32| 1 + text.bytes().take(at as usize).filter(|byte| *byte == b'\n').count() as u32;
        let wrong = |at: u32, why: &str| LockFileError { line: line(at), why: why.to_owned() };
        if let Some(error) = errors.iter().find(|error| error.is_error()) {
            return Err(wrong(error.span.map_or(0, |span| span.start), &error.summary));
        }
        let mut lock = LockFile { providers: BTreeMap::new(), header: header(text) };
        // Blocks of other types are for versions to come.
        for block in body.blocks().filter(|block| &*block.kind.name == "provider") {
            let at = block.head.start;
            let address = block.labels.first().map(|label| ProviderAddress::parse(&label.name));
            let Some(Ok(address)) = address else { return Err(wrong(at, "this names no provider")) };
            let entry = entry(block).map_err(|why| wrong(at, &format!("{address}: {why}")))?;
            if lock.providers.insert(address.clone(), entry).is_some() {
                return Err(wrong(at, &format!("{address} has a second entry")));
            }
        }
        Ok(lock)
    }

    /// Its form on the disk.
    pub fn write(&self) -> String {
        let mut text = self.header.as_deref().unwrap_or(HEADER).to_owned();
        for (address, LockedProvider { version, constraints, hashes }) in &self.providers {
            // Writing to a string does not fail.
            let _ = write!(text, "\nprovider \"{address}\" {{\n");
            if constraints.is_empty() {
                let _ = writeln!(text, "  version = \"{version}\"");
            } else {
                let _ = write!(text, "  version     = \"{version}\"\n  constraints = \"{constraints}\"\n");
            }
            if !hashes.is_empty() {
                let lines: String = hashes.iter().map(|hash| format!("    \"{hash}\",\n")).collect();
                let _ = write!(text, "  hashes = [\n{lines}  ]\n");
            }
            text.push_str("}\n");
        }
        text
    }
}

/// The comment lines that a text begins with.
fn header(text: &str) -> Option<String> {
    let lines = text.split_inclusive('\n').take_while(|line| line.starts_with('#'));
    let header: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    Some(header).filter(|header| !header.is_empty())
}

fn entry(block: &Block) -> Result<LockedProvider, &'static str> {
    let text = |name: &str| block.body.attribute(name).map(|it| text_of(&it.value).ok_or("a text is no text"));
    let version = text("version").transpose()?.ok_or("it names no version")?;
    let constraints = text("constraints").transpose()?.unwrap_or_default();
    let hash = |attribute: &Attribute| match &attribute.value.kind {
        ExprKind::Tuple(elements) => elements.iter().map(text_of).collect::<Option<BTreeSet<String>>>(),
        _ => None,
    };
    let hashes = block.body.attribute("hashes").map(|it| hash(it).ok_or("its hashes are no list of texts"));
    Ok(LockedProvider {
        version: version.parse().map_err(|_| "its version is none")?,
        constraints,
        hashes: hashes.transpose()?.unwrap_or_default(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    const WHOLE: &str = r#"# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = ">= 5.0.0, ~> 5.0"
  hashes = [
    "h1:abc=",
    "zh:00",
  ]
}

provider "registry.terraform.io/hashicorp/null" {
  version = "3.2.1"
}
"#;

    #[test]
    fn what_is_read_is_written() {
        assert_eq!(LockFile::read(WHOLE).unwrap().write(), WHOLE);
        let lock = LockFile { header: None, ..LockFile::read(WHOLE).unwrap() };
        assert_eq!(LockFile::read(&lock.write()).unwrap().write(), lock.write());
        assert_eq!(LockFile::default().write(), HEADER);
    }

    #[test]
    fn what_is_unlike_is_made_alike() {
        let text = "provider \"HashiCorp/AWS\" {\n hashes=[\"zh:1\", \"h1:b\", \"h1:a\", \"h1:a\"]\n constraints=\"\"\n version=\"1\"\n}\nmodule \"x\" {}\n";
        let lock = LockFile::read(text).unwrap().write();
        let body = "\nprovider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"1.0.0\"\n  hashes = [\n    \"h1:a\",\n    \"h1:b\",\n    \"zh:1\",\n  ]\n}\n";
        assert_eq!(lock, format!("{HEADER}{body}"));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (text, expected) in [
            ("provider \"a/b/c/d\" {}\n", "line 1: this names no provider"),
            ("\nprovider \"a/b\" {}\n", "line 2: registry.terraform.io/a/b: it names no version"),
            ("provider \"a/b\" {\n  version = \"x\"\n}\n", "line 1: registry.terraform.io/a/b: its version is none"),
            (
                "provider \"a/b\" {\n  version = \"1.0.0\"\n  hashes = \"x\"\n}\n",
                "line 1: registry.terraform.io/a/b: its hashes are no list of texts",
            ),
            (
                "provider \"a/b\" {\n  version = \"1.0.0\"\n}\nprovider \"a/b\" {\n  version = \"1.0.0\"\n}\n",
                "line 4: registry.terraform.io/a/b has a second entry",
            ),
        ] {
            assert_eq!(LockFile::read(text).unwrap_err().to_string(), expected);
        }
        assert!(LockFile::read("<<<<<<< HEAD\n").is_err());
    }
}
