use std::fs;
use std::path::Path;

use andon_schema::source::{Package, public_url};
use sha2::Sha256;

use crate::archive::unpack;
use crate::digest::{digits, of, verify};
use crate::error::FetchError;
use crate::fetch::Fetched;
use crate::tree;
use crate::web::{Progress, Web};

/// What became of asking for something newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newer {
    /// It is what it was. Nothing was written.
    Same,
    /// It is in the directory, and this tells it from what comes after it.
    Here(String),
    /// It is elsewhere: a source, as a page says it. Nothing was written.
    Elsewhere(String),
}

impl Web {
    /// Fetches a package as [`Web::fetch`] does, unless it is still the one that `mark` was given for. Of a git repository
    /// one listing tells; a web server is asked as RFC 9110, section 13, has it, and one that knows neither entity tags
    /// nor dates gives the archive again.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch_newer(
        &self,
        package: &Package,
        mark: Option<&str>,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Newer, FetchError> {
        match package {
            Package::Git { url, reference, key, .. } => {
                let now = self.head(url, reference.as_deref(), key.as_deref(), to)?;
                // A commit is not listed, and never becomes another.
                let now = now.or_else(|| reference.as_deref().map(str::to_owned));
                if now.is_some() && now.as_deref() == mark {
                    return Ok(Newer::Same);
                }
                match self.fetch(package, None, to, progress)? {
                    Fetched::Here(taken) => Ok(Newer::Here(now.or(taken.commit).unwrap_or_default())),
                    Fetched::Elsewhere(source) => Ok(Newer::Elsewhere(source)),
                }
            }
            Package::Archive { url, format, checksum } => {
                let file = to.with_extension("archive");
                let done = self.download_newer(url, mark, &file, progress).and_then(|found| {
                    let Some(found) = found else { return Ok(Newer::Same) };
                    let found = if found.is_empty() { digest_of(&file)? } else { found };
                    if Some(&*found) == mark {
                        return Ok(Newer::Same);
                    }
                    checksum.iter().try_for_each(|checksum| verify(&file, &public_url(url), checksum))?;
                    unpack(&file, *format, to)?;
                    tree::tidy(to)?;
                    Ok(Newer::Here(found))
                });
                let _ = fs::remove_file(&file);
                done
            }
            Package::File { path, .. } => {
                let found = digest_of(Path::new(&**path))?;
                if Some(&*found) == mark {
                    return Ok(Newer::Same);
                }
                self.fetch(package, None, to, progress).map(|_| Newer::Here(found))
            }
            Package::Page { .. } | Package::Directory { .. } => match self.fetch(package, None, to, progress)? {
                Fetched::Here(_) => Ok(Newer::Here(String::new())),
                Fetched::Elsewhere(source) => Ok(Newer::Elsewhere(source)),
            },
        }
    }
}

/// What tells a file from another where nothing else does.
fn digest_of(file: &Path) -> Result<String, FetchError> {
    Ok(format!("sha256:{}", digits(&of::<Sha256>(file)?)))
}
