use std::fs;
use std::path::Path;

use andon_schema::source::{Package, public_url};

use crate::archive::unpack;
use crate::digest::verify;
use crate::error::FetchError;
use crate::git::Wanted;
use crate::tree;
use crate::url::{basic, host, join, take_user, with_pair};
use crate::web::{Progress, Web};

/// What became of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The package is in the directory.
    Here(Taken),
    /// It is elsewhere: a source, as the page says it. Nothing was written.
    Elsewhere(String),
}

/// What is known of a package that was fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The git commit that it is.
    pub commit: Option<String>,
    /// The commit that the tag names now, where that is not the one that was to be taken.
    pub moved: Option<String>,
}

impl Web {
    /// Fetches a package into the directory `to`, which is not there yet; `beside` it, files of its name with other ends
    /// are used meanwhile. `commit` is the one to take of a git repository, where that was settled before. What is left
    /// after an error is the caller's to remove.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch(
        &self,
        package: &Package,
        commit: Option<&str>,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        self.check()?;
        match package {
            Package::Git { url, reference, depth, key } => {
                let (reference, key) = (reference.as_deref(), key.as_deref());
                let wanted = Wanted { url, reference, commit, depth: *depth, key };
                let taken = self.clone(&wanted, to)?;
                tree::tidy(to)?;
                Ok(Fetched::Here(taken))
            }
            Package::Archive { url, format, checksum } => {
                let file = to.with_extension("archive");
                let done = self.download(url, &file, progress).and_then(|()| {
                    checksum.iter().try_for_each(|checksum| verify(&file, &public_url(url), checksum))?;
                    unpack(&file, *format, to)
                });
                let _ = fs::remove_file(&file);
                done?;
                tree::tidy(to)?;
                Ok(Fetched::Here(Taken::default()))
            }
            Package::Page { url } => self.read_page(url).map(Fetched::Elsewhere),
            Package::Directory { path } => {
                let path = Path::new(&**path);
                if !path.is_dir() {
                    let kind =
                        if path.exists() { std::io::ErrorKind::NotADirectory } else { std::io::ErrorKind::NotFound };
                    return Err(FetchError::file(path)(kind.into()));
                }
                tree::copy(path, to)?;
                Ok(Fetched::Here(Taken::default()))
            }
            Package::File { path, format, checksum } => {
                let path = Path::new(&**path);
                checksum.iter().try_for_each(|checksum| verify(path, &path.display().to_string(), checksum))?;
                unpack(path, *format, to)?;
                tree::tidy(to)?;
                Ok(Fetched::Here(Taken::default()))
            }
        }
    }

    /// The source that a page names, in a header or a `meta` element.
    fn read_page(&self, url: &str) -> Result<String, FetchError> {
        let (address, user) = take_user(url);
        let user = user.or_else(|| crate::netrc::user_of(host(&address)).map(|user| basic(&user)));
        let answer = self.page(&with_pair(&address, "terraform-get=1"), user.as_deref(), &[])?;
        let named = answer.elsewhere.or_else(|| meta(&String::from_utf8_lossy(&answer.body)));
        let Some(named) = named else {
            let why = "it is no archive, and does not say where a module is".to_owned();
            return Err(FetchError::Odd { url: public_url(&address), why });
        };
        let relative = ["/", "./", "../"].iter().any(|prefix| named.starts_with(prefix));
        Ok(if relative { join(&answer.url, &named) } else { named })
    }
}

/// The content of `<meta name="terraform-get" content="…">`.
fn meta(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower.get(from..)?.find("<meta").map(|at| from + at) {
        let end = lower.get(at..)?.find('>').map_or(page.len(), |length| at + length);
        let (tag, lower_tag) = (page.get(at..end)?, lower.get(at..end)?);
        let attribute = |name: &str| {
            let start = lower_tag.find(&format!("{name}="))? + name.len() + 1;
            let rest = tag.get(start..)?;
            let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''));
            match quote {
                Some(quote) => rest.get(1..)?.split(quote).next().map(str::to_owned),
                None => rest.split([' ', '/']).next().map(str::to_owned),
            }
        };
        if attribute("name").is_some_and(|name| name.eq_ignore_ascii_case("terraform-get")) {
            return attribute("content").map(|text| text.replace("&amp;", "&")).filter(|text| !text.is_empty());
        }
        from = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::meta;

    #[test]
    fn pages_name_sources() {
        for (page, expected) in [
            (r#"<html><META name="terraform-get" content="./m.zip"></html>"#, Some("./m.zip")),
            (
                r#"<meta charset=x><meta content='git::https://h/x?a=1&amp;b=2' name='terraform-get' />"#,
                Some("git::https://h/x?a=1&b=2"),
            ),
            (r#"<meta name="other" content="x">"#, None),
            ("<meta", None),
            ("", None),
        ] {
            assert_eq!(meta(page).as_deref(), expected, "{page}");
        }
    }
}
