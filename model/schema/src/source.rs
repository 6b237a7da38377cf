//! Where modules come from, as data: what the `source` of a `module` block means
//! (<https://developer.hashicorp.com/terraform/language/modules/sources>).

use std::fmt;
use std::sync::Arc;

/// What a `source` names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModuleSource {
    /// A directory of the same package, by a path that begins with `./` or `../`.
    Local(Arc<str>),
    /// A module of a registry, which knows its versions and where each of them is.
    Registry {
        /// The module.
        module: RegistryModule,
        /// The directory in its package; empty for the package's own.
        directory: Arc<str>,
    },
    /// A package that is fetched from where it is.
    Package {
        /// The package.
        package: Package,
        /// The directory in it; empty for its own.
        directory: Arc<str>,
    },
}

/// A module of a registry: `HOST/NAMESPACE/NAME/SYSTEM`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryModule {
    /// The registry's host, in lower case, with its port where that is not 443.
    pub host: Arc<str>,
    /// Whose it is.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is for: `aws`, `google`.
    pub system: Arc<str>,
}

/// What is fetched as a whole; a module is a directory of it. What [`Package`] writes out as text names it in records
/// and messages: that has no password and no key in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Package {
    /// A git repository.
    Git {
        /// Its URL, in a form that git takes.
        url: Arc<str>,
        /// A branch, a tag or a commit; the default branch where there is none.
        reference: Option<Arc<str>>,
        /// How many commits of history are fetched; all where there is none and it matters.
        depth: Option<u32>,
        /// A private key for SSH, in Base64.
        key: Option<Arc<str>>,
    },
    /// An archive on a web server.
    Archive {
        /// Its URL.
        url: Arc<str>,
        /// Its format.
        format: ArchiveFormat,
        /// What its content must come to.
        checksum: Option<Checksum>,
    },
    /// A page of a web server that says where the package is.
    Page {
        /// Its URL.
        url: Arc<str>,
    },
    /// A directory of this machine, by its absolute path.
    Directory {
        /// The path.
        path: Arc<str>,
    },
    /// An archive on this machine, by its absolute path.
    File {
        /// The path.
        path: Arc<str>,
        /// Its format.
        format: ArchiveFormat,
        /// What its content must come to.
        checksum: Option<Checksum>,
    },
}

/// How files are packed into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveFormat {
    /// `.zip`
    Zip,
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`
    TarGzip,
    /// `.tar.bz2`, `.tbz2`
    TarBzip2,
    /// `.tar.xz`, `.txz`
    TarXz,
}

/// The digest that content must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum {
    /// How it is made.
    pub kind: ChecksumKind,
    /// The digest in lower-case hexadecimal digits.
    pub digits: Arc<str>,
}

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumKind {
    /// MD5, 32 digits.
    Md5,
    /// SHA-1, 40 digits.
    Sha1,
    /// SHA-256, 64 digits.
    Sha256,
    /// SHA-512, 128 digits.
    Sha512,
}

impl ArchiveFormat {
    /// Every name of a format, as file names end and as `?archive=` says.
    pub const NAMES: [(&'static str, ArchiveFormat); 10] = [
        ("zip", ArchiveFormat::Zip),
        ("tar.gz", ArchiveFormat::TarGzip),
        ("tgz", ArchiveFormat::TarGzip),
        ("tar.bz2", ArchiveFormat::TarBzip2),
        ("tar.tbz2", ArchiveFormat::TarBzip2),
        ("tbz2", ArchiveFormat::TarBzip2),
        ("tar.xz", ArchiveFormat::TarXz),
        ("tar.txz", ArchiveFormat::TarXz),
        ("txz", ArchiveFormat::TarXz),
        ("tar", ArchiveFormat::Tar),
    ];

    /// The format that a name means.
    pub fn named(name: &str) -> Option<ArchiveFormat> {
        ArchiveFormat::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// The format that the end of a file name means.
    pub fn of_path(path: &str) -> Option<ArchiveFormat> {
        let ends = |name: &str| path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        ArchiveFormat::NAMES.iter().find(|(name, _)| ends(name)).map(|(_, format)| *format)
    }

    /// Its shortest usual name.
    pub fn name(self) -> &'static str {
        ArchiveFormat::NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

impl ChecksumKind {
    /// Every kind, with its name and the number of its hexadecimal digits.
    pub const ALL: [(&'static str, usize, ChecksumKind); 4] = [
        ("md5", 32, ChecksumKind::Md5),
        ("sha1", 40, ChecksumKind::Sha1),
        ("sha256", 64, ChecksumKind::Sha256),
        ("sha512", 128, ChecksumKind::Sha512),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        ChecksumKind::ALL.iter().find(|(_, _, kind)| *kind == self).map_or("", |(name, _, _)| name)
    }
}

impl Package {
    /// The last part of its path, without what says its format: what a person would call it.
    pub fn name(&self) -> &str {
        let text = match self {
            Package::Git { url, .. } | Package::Archive { url, .. } | Package::Page { url } => url,
            Package::Directory { path } | Package::File { path, .. } => path,
        };
        let path = text.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let last = path.rsplit(['/', ':']).next().unwrap_or_default();
        let bare = last.strip_suffix(".git").unwrap_or(last);
        let ends = |(name, _): &&(&str, ArchiveFormat)| bare.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        match ArchiveFormat::NAMES.iter().find(ends) {
            Some((name, _)) => bare.strip_suffix(name).map_or(bare, |rest| rest.trim_end_matches('.')),
            None => bare,
        }
    }
}

/// A URL without the password in it, and without the values of a query, which may be tokens.
pub fn public_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            // A token alone stands where the user's name would; git's own user is none.
            None if scheme.starts_with("http") && user != "git" => format!("***@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

/// Whether a query's value of this name is something to keep quiet about.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "password", "signature", "credential", "sshkey", "api_key", "apikey", "sig"]
        .iter()
        .any(|word| name == *word || name.contains(word) && word.len() > 4)
}

impl fmt::Display for RegistryModule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}/{}/{}", self.host, self.namespace, self.name, self.system)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Package::Git { url, reference, depth, .. } => {
                write!(to, "git::{}", public_url(url))?;
                let pairs = reference.iter().map(|it| format!("ref={it}"));
                let pairs: Vec<String> = pairs.chain(depth.map(|it| format!("depth={it}"))).collect();
                match (pairs.is_empty(), url.contains('?')) {
                    (true, _) => Ok(()),
                    (false, true) => write!(to, "&{}", pairs.join("&")),
                    (false, false) => write!(to, "?{}", pairs.join("&")),
                }
            }
            Package::Archive { url, format, checksum } => {
                to.write_str(&public_url(url))?;
                archive_query(to, url, *format, checksum.as_ref())
            }
            Package::Page { url } => {
                to.write_str(&public_url(url))?;
                // The name of an archive alone would be the archive.
                let path = url.split(['?', '#']).next().unwrap_or_default();
                match (ArchiveFormat::of_path(path), url.contains('?')) {
                    (None, _) => Ok(()),
                    (Some(_), true) => to.write_str("&archive=false"),
                    (Some(_), false) => to.write_str("?archive=false"),
                }
            }
            Package::Directory { path } => write!(to, "file://{path}"),
            Package::File { path, format, checksum } => {
                write!(to, "file://{path}")?;
                archive_query(to, path, *format, checksum.as_ref())
            }
        }
    }
}

/// `?archive=` where the name of the file does not say it, and `checksum=`.
fn archive_query(
    to: &mut fmt::Formatter<'_>,
    url: &str,
    format: ArchiveFormat,
    checksum: Option<&Checksum>,
) -> fmt::Result {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let archive = (ArchiveFormat::of_path(path) != Some(format)).then(|| format!("archive={}", format.name()));
    let checksum = checksum.map(|it| format!("checksum={}:{}", it.kind.name(), it.digits));
    let mut separator = if url.contains('?') { '&' } else { '?' };
    for pair in archive.into_iter().chain(checksum) {
        write!(to, "{separator}{pair}")?;
        separator = '&';
    }
    Ok(())
}

impl fmt::Display for ModuleSource {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, directory) = match self {
            ModuleSource::Local(path) => return to.write_str(path),
            ModuleSource::Registry { module, directory } => (module.to_string(), directory),
            ModuleSource::Package { package, directory } => (package.to_string(), directory),
        };
        if directory.is_empty() {
            return to.write_str(&whole);
        }
        match whole.split_once('?') {
            Some((path, query)) => write!(to, "{path}//{directory}?{query}"),
            None => write!(to, "{whole}//{directory}"),
        }
    }
}
