//! What the `source` of a module means. A text means what it means to Terraform; where that would only fail later, it
//! is refused here, with what to write instead.

use std::borrow::Cow;
use std::sync::Arc;

use andon_schema::DEFAULT_HOST;
use andon_schema::source::{ArchiveFormat, Checksum, ChecksumKind, ModuleSource, Package, RegistryModule};
use percent_encoding::percent_decode_str;

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// What is wrong, in a few words.
    pub problem: String,
    /// What to write.
    pub help: String,
}

fn refuse<T>(problem: impl Into<String>, help: impl Into<String>) -> Result<T, SourceError> {
    Err(SourceError { problem: problem.into(), help: help.into() })
}

/// What could have been meant where nothing is recognised.
const FORMS: &str = "Write a path that begins with \"./\", a registry's module as NAMESPACE/NAME/SYSTEM, a repository as \
                     \"git::https://…\", or the URL of an archive.";

/// Hosts whose repositories are named without saying how to get them.
const REPOSITORY_HOSTS: [&str; 2] = ["github.com", "bitbucket.org"];

/// Reads a module source.
pub fn parse_source(text: &str) -> Result<ModuleSource, SourceError> {
    if text.trim().is_empty() {
        return refuse("the source is empty", FORMS);
    }
    if text.trim() != text {
        return refuse("the source begins or ends with a space", format!("Write \"{}\".", text.trim()));
    }
    if let Some(odd) = text.chars().find(|letter| letter.is_control()) {
        return refuse(format!("the source has the control character {odd:?} in it"), "Take it out.");
    }
    if ["./", "../", ".\\", "..\\"].iter().any(|prefix| text.starts_with(prefix)) {
        return Ok(ModuleSource::Local(local(text).into()));
    }
    if text == "." || text == ".." {
        return refuse("a local path begins with \"./\" or \"../\"", format!("Write \"{text}/\"."));
    }
    let (whole, directory) = split_directory(text)?;
    match registry(&whole) {
        Some(module) => Ok(ModuleSource::Registry { module, directory: directory.into() }),
        None => {
            let (package, inner) = package(text, &whole)?;
            let directory = [inner, directory].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
            Ok(ModuleSource::Package { package, directory: directory.join("/").into() })
        }
    }
}

/// A local path with `/` between its parts, doubled ones and `.` taken out, as it begins.
fn local(text: &str) -> String {
    let cleaned = crate::files::clean(&text.replace('\\', "/"));
    match &*cleaned {
        "." | ".." => format!("{cleaned}/"),
        path if path.starts_with("../") => cleaned,
        path => format!("./{path}"),
    }
}

/// Takes the directory in the package, between `//` and the query, out of a source.
fn split_directory(text: &str) -> Result<(String, String), SourceError> {
    let (address, query) = match text.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (text, None),
    };
    let after_scheme = address.find("://").map_or(0, |at| at + 3);
    let Some(at) = address.get(after_scheme..).and_then(|rest| rest.find("//")).map(|at| at + after_scheme) else {
        return Ok((text.to_owned(), String::new()));
    };
    let (package, directory) = address.split_at_checked(at).unwrap_or((address, ""));
    let directory = crate::files::clean(directory.trim_start_matches('/'));
    if directory == ".." || directory.starts_with("../") {
        return refuse(
            format!("the directory \"{directory}\" leads out of the package"),
            "After \"//\" comes the path of a directory in the package.",
        );
    }
    let directory = if directory == "." { String::new() } else { directory };
    let query = query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
    Ok((format!("{package}{query}"), directory))
}

/// `[HOST/]NAMESPACE/NAME/SYSTEM`
fn registry(text: &str) -> Option<RegistryModule> {
    let parts: Vec<&str> = text.split('/').collect();
    let (host, parts) = match &*parts {
        [host, rest @ ..] if rest.len() == 3 => (host_name(host)?, rest),
        rest => (DEFAULT_HOST.to_owned(), rest),
    };
    let &[namespace, name, system] = parts else { return None };
    let named = |text: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let bytes = text.as_bytes();
        bytes.len() <= 64 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inside)
    };
    let for_system = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let sound = (1..=64).contains(&system.len()) && system.bytes().all(for_system);
    (named(namespace) && named(name) && sound).then(|| RegistryModule {
        host: host.into(),
        namespace: namespace.into(),
        name: name.into(),
        system: system.into(),
    })
}

/// The host of a registry, in lower case: at least two labels, and perhaps a port.
fn host_name(text: &str) -> Option<String> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port.parse::<u16>().ok()?)),
        None => (text, None),
    };
    let name = name.to_lowercase();
    let label = |label: &str| {
        let inside = |letter: char| letter.is_alphanumeric() || letter == '-';
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Other scripts are written as they are, not in their code.
            && !label.starts_with("xn--")
            && label.chars().all(inside)
    };
    if !name.contains('.') || !name.split('.').all(label) || REPOSITORY_HOSTS.contains(&&*name) {
        return None;
    }
    Some(match port {
        Some(port) if port != 443 => format!("{name}:{port}"),
        _ => name,
    })
}

/// A source that is no registry's: the package, and the directory that its short form names.
fn package(text: &str, whole: &str) -> Result<(Package, String), SourceError> {
    let (forced, address) = match whole.split_once("::") {
        Some((forced, address)) if !forced.is_empty() && forced.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (Some(forced), address)
        }
        _ => (None, whole),
    };
    if let Some(found) = short(address, forced)? {
        return Ok(found);
    }
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let how = forced.map(str::to_owned).or_else(|| scheme.clone());
    let package = match how.as_deref() {
        Some("git") => git(address, scheme.as_deref())?,
        Some("http" | "https") if scheme.as_deref().is_some_and(|scheme| scheme.starts_with("http")) => web(address)?,
        Some("file") if forced.is_none() || scheme.as_deref() == Some("file") => file(address)?,
        None if address.starts_with('/') => file(address)?,
        how => return refuse_how(how, forced, address, text),
    };
    Ok((package, String::new()))
}

/// Short forms: `github.com/OWNER/NAME`, `bitbucket.org/OWNER/NAME`, `git@HOST:PATH`.
fn short(address: &str, forced: Option<&str>) -> Result<Option<(Package, String)>, SourceError> {
    if address.contains("://") || forced.is_some_and(|how| how != "git") {
        return Ok(None);
    }
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let parts: Vec<&str> = path.split('/').collect();
    if let [host, rest @ ..] = &*parts
        && REPOSITORY_HOSTS.contains(host)
    {
        let (Some(owner), Some(name)) = (rest.first(), rest.get(1)) else {
            return refuse(
                format!("\"{path}\" names no repository"),
                format!("Write \"{host}/OWNER/REPOSITORY\", with the owner's and the repository's names."),
            );
        };
        if owner.is_empty() || name.is_empty() {
            return refuse(format!("\"{path}\" names no repository"), format!("Write \"{host}/OWNER/REPOSITORY\"."));
        }
        let name = name.strip_suffix(".git").unwrap_or(name);
        let directory = crate::files::clean(&rest.iter().skip(2).copied().collect::<Vec<_>>().join("/"));
        if directory == ".." || directory.starts_with("../") {
            return refuse("the directory leads out of the package", "Name a directory in the repository.");
        }
        let directory = if directory == "." { String::new() } else { directory };
        return Ok(Some((repository(format!("https://{host}/{owner}/{name}.git"), query)?, directory)));
    }
    // What ssh and scp write: a user, a host, and a path after a colon.
    let user = path.split_once('@').filter(|(user, _)| !user.is_empty() && !user.contains(['/', ':']));
    if let Some((user, rest)) = user
        && let Some((host, path)) = rest.split_once(':')
        && !host.is_empty()
        && !host.contains('/')
        && !path.is_empty()
        && (user == "git" || forced.is_some())
    {
        let path = path.trim_start_matches('/');
        return Ok(Some((repository(format!("ssh://{user}@{host}/{path}"), query)?, String::new())));
    }
    Ok(None)
}

fn git(address: &str, scheme: Option<&str>) -> Result<Package, SourceError> {
    let (url, query) = address.split_once('?').unwrap_or((address, ""));
    match scheme {
        Some("https" | "http" | "ssh" | "git" | "file") => {}
        None if address.starts_with('/') => return repository(format!("file://{url}"), query),
        Some(other) => {
            return refuse(
                format!("git cannot fetch over \"{other}\""),
                "It fetches over https, ssh, http, git and file: write \"git::https://…\" or \"git::ssh://…\".",
            );
        }
        None => {
            return refuse(
                format!("\"{url}\" is no place of a git repository"),
                "Write its URL, as in \"git::https://HOST/PATH.git\" or \"git::ssh://git@HOST/PATH.git\".",
            );
        }
    }
    let host = url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default()).unwrap_or_default();
    if scheme == Some("ssh")
        && let Some((_, port)) = host.rsplit('@').next().unwrap_or_default().split_once(':')
        && port.parse::<u16>().is_err()
    {
        return refuse(
            format!("\"{port}\" is no port number"),
            "With a colon before the path, leave \"ssh://\" out: \"git::git@HOST:PATH\".",
        );
    }
    if scheme != Some("file") && host.is_empty() {
        return refuse("the URL has no host", "Write it like \"git::https://HOST/PATH.git\".");
    }
    repository(url.to_owned(), query)
}

/// A repository, with what its query says of it taken out of its URL.
fn repository(url: String, query: &str) -> Result<Package, SourceError> {
    let (mut reference, mut depth, mut key) = (None, None, None);
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "ref" => reference = Some(decoded(value)).filter(|value| !value.is_empty()),
            "depth" => match value.parse::<u32>() {
                Ok(number) => depth = (number > 0).then_some(number),
                Err(_) => {
                    return refuse(
                        format!("depth \"{value}\" is no number of commits"),
                        "Write a whole number, as in \"depth=1\", or leave it out.",
                    );
                }
            },
            "sshkey" => key = Some(decoded(value)).filter(|value| !value.is_empty()),
            _ => rest.push(pair),
        }
    }
    let odd = |text: &&String| {
        let bytes = text.bytes();
        text.starts_with('-') || bytes.into_iter().any(|byte| byte <= b' ' || b"~^:?*[\\".contains(&byte))
    };
    if let Some(reference) = reference.as_ref().filter(odd) {
        return refuse(
            format!("\"{reference}\" cannot be the name of a branch, a tag or a commit"),
            "After \"ref=\" comes the name of one.",
        );
    }
    let url = if rest.is_empty() { url } else { format!("{url}?{}", rest.join("&")) };
    let short = |text: String| -> Arc<str> { text.into() };
    Ok(Package::Git { url: url.into(), reference: reference.map(short), depth, key: key.map(short) })
}

/// A page or an archive of a web server.
fn web(address: &str) -> Result<Package, SourceError> {
    let host = address.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.rsplit('@').next().is_none_or(|host| host.is_empty() || host.starts_with(':')) {
        return refuse("the URL has no host", "Write it like \"https://HOST/PATH.zip\".");
    }
    if address.contains(' ') {
        return refuse("the URL has a space in it", "Write \"%20\" for a space.");
    }
    let (url, format, checksum) = archive(address)?;
    Ok(match format {
        Some(format) => Package::Archive { url, format, checksum },
        None if checksum.is_some() => {
            return refuse(
                "only an archive has a checksum",
                "Say what kind of archive it is, as in \"archive=zip\", or leave \"checksum\" out.",
            );
        }
        None => Package::Page { url },
    })
}

/// A directory or an archive of this machine.
fn file(address: &str) -> Result<Package, SourceError> {
    let rest = match address.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file://") => address.get(7..).unwrap_or_default(),
        _ => address,
    };
    if !rest.starts_with('/') {
        return refuse(
            "a path that follows \"file://\" begins with \"/\"",
            "Write the absolute path, or one relative to this module that begins with \"./\" or \"../\".",
        );
    }
    let (path, format, checksum) = archive(rest)?;
    Ok(match format {
        Some(format) => Package::File { path, format, checksum },
        None => Package::Directory { path: crate::files::clean(&path).into() },
    })
}

/// Takes `archive` and `checksum` out of a URL's query, and says which format its file has.
#[expect(clippy::type_complexity, reason = "three things that are found together, once")]
fn archive(url: &str) -> Result<(Arc<str>, Option<ArchiveFormat>, Option<Checksum>), SourceError> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut format = ArchiveFormat::of_path(path.split('#').next().unwrap_or_default());
    let mut digest = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (name, value) {
            ("archive", "false" | "0" | "f" | "F" | "False" | "FALSE") => format = None,
            ("archive", "") => {}
            ("archive", name) => match ArchiveFormat::named(name) {
                Some(named) => format = Some(named),
                None => {
                    return refuse(
                        format!("\"{name}\" is no kind of archive that can be unpacked"),
                        "The kinds are zip, tar, tar.gz, tgz, tar.bz2, tbz2, tar.xz and txz.",
                    );
                }
            },
            ("checksum", value) => digest = Some(checksum(&decoded(value))?),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    Ok((url.into(), format, digest))
}

/// `KIND:DIGITS`, or digits whose number tells the kind.
fn checksum(text: &str) -> Result<Checksum, SourceError> {
    let (kind, digits) = match text.split_once(':') {
        Some((kind, digits)) => (Some(kind), digits),
        None => (None, text),
    };
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let known = ChecksumKind::ALL.iter().find(|(name, length, _)| match kind {
        Some(kind) => kind == *name && digits.len() == *length,
        None => digits.len() == *length,
    });
    match known {
        Some((_, _, kind)) if hexadecimal => Ok(Checksum { kind: *kind, digits: digits.to_lowercase().into() }),
        _ if kind == Some("file") => refuse(
            "checksums that are in a file of their own are not supported",
            "Write the digest itself, as in \"checksum=sha256:…\".",
        ),
        _ => refuse(
            format!("\"{text}\" is no checksum"),
            "Write a digest in hexadecimal digits, as in \"checksum=sha256:…\"; md5, sha1 and sha512 will do, too.",
        ),
    }
}

/// Says what a source looks like that nothing can fetch, and what to write.
fn refuse_how<T>(how: Option<&str>, forced: Option<&str>, address: &str, text: &str) -> Result<T, SourceError> {
    const KNOWN: [&str; 4] = ["git", "https", "http", "file"];
    match how {
        Some("hg") => refuse(
            "Mercurial repositories are not supported",
            "Take the module from a git repository or an archive, or copy it into the project.",
        ),
        Some(how @ ("s3" | "gcs" | "oci")) => refuse(
            match how {
                "s3" => "modules in S3 buckets are not supported",
                "gcs" => "modules in Google Cloud Storage are not supported",
                _ => "modules in OCI registries are not supported",
            },
            "Take the module from a git repository, a registry or the https URL of an archive, or copy it into the \
             project.",
        ),
        Some("ssh") => refuse("the source does not say what is reached over SSH", format!("Write \"git::{address}\".")),
        Some(how) if KNOWN.contains(&how) => refuse(
            format!("\"{address}\" is nothing that \"{how}\" can fetch"),
            "Write the whole URL, as in \"git::https://HOST/PATH.git\" or \"https://HOST/PATH.zip\".",
        ),
        Some(how) => refuse(
            format!("there is no way \"{how}\" of fetching a module"),
            match andon_text::nearest(how, KNOWN) {
                Some(near) if forced.is_some() => format!("Did you mean \"{near}::\"?"),
                Some(near) => format!("Did you mean \"{near}://\"?"),
                None => FORMS.to_owned(),
            },
        ),
        None => unknown(address, text),
    }
}

/// A text that looks like no source at all.
fn unknown<T>(address: &str, text: &str) -> Result<T, SourceError> {
    let path = address.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let first = parts.first().copied().unwrap_or_default();
    if address.contains("amazonaws.com/") {
        return refuse_how(Some("s3"), None, address, text);
    }
    if first.ends_with("googleapis.com") {
        return refuse_how(Some("gcs"), None, address, text);
    }
    if address.len() > 2 && address.get(1..3).is_some_and(|it| it == ":\\" || it == ":/") {
        return refuse(
            "this is a path of another operating system",
            "Write a path relative to this module that begins with \"./\" or \"../\".",
        );
    }
    if address.starts_with("~/") {
        return refuse(
            "what \"~\" stands for differs from machine to machine",
            "Write the absolute path, or one relative to this module that begins with \"./\" or \"../\".",
        );
    }
    if let Some((user, rest)) = address.split_once('@')
        && rest.contains(':')
        && !user.contains('/')
    {
        return refuse("the source does not say what is reached over SSH", format!("Write \"git::{text}\"."));
    }
    let host = first.split(':').next().unwrap_or_default();
    let is_host = host.contains('.') && host.split('.').all(|label| !label.is_empty()) && !host.starts_with('.');
    match parts.len() {
        3 if is_host => refuse(
            format!("\"{address}\" is neither a registry's module nor a repository"),
            format!(
                "Write \"git::https://{}.git\" for a git repository, or HOST/NAMESPACE/NAME/SYSTEM for a registry's \
                 module.",
                address.trim_end_matches(".git")
            ),
        ),
        _ if is_host && parts.len() > 1 && ArchiveFormat::of_path(address).is_none() => refuse(
            format!("\"{address}\" does not say how it is fetched"),
            format!(
                "Write \"git::https://{address}\" for a git repository, \"https://{address}\" for a web server, or \
                 HOST/NAMESPACE/NAME/SYSTEM for a registry's module."
            ),
        ),
        _ if is_host && parts.len() > 1 => refuse(
            format!("\"{address}\" does not say how it is fetched"),
            format!("Write \"https://{address}\" to take it from a web server, or \"./{address}\" for a local path."),
        ),
        3 if parts.iter().all(|part| !part.is_empty()) && address.contains('?') => refuse(
            "a registry's module has no query",
            "Leave \"?\" and what follows it out; \"version\" is an argument of its own.",
        ),
        3 if parts.iter().all(|part| !part.is_empty()) => refuse(
            format!("\"{address}\" is no name of a registry's module"),
            format!(
                "NAMESPACE/NAME/SYSTEM are letters, digits, \"-\" and \"_\", and SYSTEM is lower-case letters and \
                 digits; write \"./{address}\" if a local path is meant."
            ),
        ),
        _ => refuse(
            "a local path begins with \"./\" or \"../\"",
            format!("Write \"./{address}\" if a local path is meant. {FORMS}"),
        ),
    }
}

/// What `%` and two digits stand for; the text as it is where that is not UTF-8.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}
