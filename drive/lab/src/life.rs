//! How long a server is kept, and what becomes of it that its image does not have.
//!
//! A server's own layer of files holds all that was changed in it since its image. What of that counts is not decided
//! here: the caller says which directories are a server's data, and judges the rest.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use andon_schema::units::{parse_bytes, parse_duration};
use andon_schema::{Attribute, Block, Failure, Format, NestedBlock, Nesting, OpenPort};
use andon_value::{Type, Value};

use crate::spec::format::{DURATION, text};

/// A file of a server that is not as its image has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedFile {
    /// From the root of the server: `/etc/nginx/nginx.conf`.
    pub path: String,
    /// How it is not.
    pub how: How,
    /// Whether it is a regular file, in the image where that has it.
    pub is_file: bool,
}

/// How a file is not as the image has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The image does not have it.
    Added,
    /// Its content, kind, mode or owner is another.
    Changed,
    /// The image has it, and the server does not.
    Removed,
}

const AGE: Format = Format { name: "an age", example: "\"30d\"", check: |it| text(it, age) };
const RATE: Format = Format { name: "bytes in a second", example: "\"100M\"", check: |it| text(it, rate) };
const PORT: Format = Format { name: "ports", example: "[\"80\", \"53/udp\"]", check: |it| text(it, port) };
const ATTEMPTS: Format = Format { name: "a number of times, from 1 to 20", example: "3", check: attempts };
const ON_DRIFT: Format = Format { name: "what comes of drift", example: "\"replace\"", check: |it| text(it, on_drift) };

/// What a `lab_server` may say of this.
pub(crate) fn attributes() -> Vec<(&'static str, Attribute)> {
    vec![
        (
            "max_age",
            Attribute::optional(
                Type::String,
                "How old the server may become: `30d`, `12h`. `andon sync` replaces one that is older, one server at a time.",
            )
            .format(AGE),
        ),
        (
            "on_drift",
            Attribute::optional(
                Type::String,
                "For a server that is not to be changed after it was made. `report`: a file that is no longer as the image \
                 has it is drift, but for where services write (`/var/log`, `/var/lib` and the like) and what is new in `/var`, \
                 `/srv`, `/home` and `/root`. `replace`: `andon sync` also replaces such a server, one at a time. Without it nothing is looked for.",
            )
            .format(ON_DRIFT),
        ),
        ("created", Attribute::computed(Type::String, "When the server was made, in UTC (RFC 3339).")),
    ]
}

/// What a `lab_server` may say in blocks of how it must be when it is new. Whoever has it made judges it.
pub(crate) fn blocks() -> Vec<(&'static str, NestedBlock)> {
    let texts = |what: &str| Attribute::optional(Type::list(Type::String), what);
    let switch = |what: &str| Attribute::optional(Type::Bool, what);
    let rate = |what: &str| Attribute::optional(Type::String, what).format(RATE);
    let smoke_test = [
        ("enabled", switch("Whether a new server is tested at all before it counts as created. Default `true`.")),
        ("units", switch("Whether all units of its init must be up. Default `true`.")),
        (
            "converged",
            switch(
                "Whether the roles of its image must find nothing to do in it, where the image is one of this project's. Default `true`.",
            ),
        ),
        (
            "named",
            switch(
                "Whether the gateway of its network must answer for its name, where the network has names. Default `true`.",
            ),
        ),
        (
            "reachable",
            switch(
                "Whether its address must answer this machine, and each TCP port of `ports` take a connection from it. Default \
                 `true`.",
            ),
        ),
        ("services", texts("The services that run, and no others but those that every server has. Default: any.")),
        ("users", texts("The users whose number is 1000 or more, and no others. Default: any.")),
        (
            "ports",
            texts("The ports that others can reach, and no others: `[\"80\", \"53/udp\"]`. Default: any.").format(PORT),
        ),
        (
            "timeout",
            Attribute::optional(
                Type::String,
                "How long it may take until all is so. Default `10s`; `5m` with `vm = true`.",
            )
            .format(DURATION),
        ),
    ];
    let performance = [
        ("cpu", rate("Bytes that one of its processors hashes in a second with SHA-256: `200M`.")),
        ("disk", rate("Bytes that it writes in a second and that are on the disk: `50M`.")),
        ("network", rate("Bytes that it sends in a second to the machine that it is on: `100M`.")),
        (
            "attempts",
            Attribute::optional(Type::Number, "How many servers are made before it is given up. Default `3`.")
                .format(ATTEMPTS),
        ),
    ];
    vec![
        (
            "smoke_test",
            block("What a new server must be before it counts as created. One that is not is thrown away.", smoke_test),
        ),
        (
            "performance",
            block(
                "What a new server must do in a second. A slower one is thrown away, and another one is made.",
                performance,
            ),
        ),
    ]
}

fn block<const N: usize>(description: &str, attributes: [(&'static str, Attribute); N]) -> NestedBlock {
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let block = Block { attributes, description: description.to_owned(), ..Block::default() };
    NestedBlock { nesting: Nesting::Single, block, min_items: 0, max_items: 1 }
}

/// The time, as `created` has it.
pub(crate) fn now() -> Value {
    let now = jiff::Timestamp::now();
    let whole = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    Value::from(whole.to_string())
}

/// All that is not in a server as in its image, in the order of the paths. `own` is the server's own layer, `layers` those of
/// its image, the topmost first. What is below one of `data` (`/var`) is not looked at.
///
/// The form of a layer is the kernel's: <https://docs.kernel.org/filesystems/overlayfs.html>.
pub(crate) fn changed_files(own: &Path, layers: &[PathBuf], data: &[&str]) -> io::Result<Vec<ChangedFile>> {
    let mut changed = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(own.join(&directory)) {
            // Whoever runs in the server may remove it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        let hides = is_opaque(&own.join(&directory));
        let mut seen = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let path = directory.join(&name);
            let shown = format!("/{}", path.display());
            seen.push(name);
            if data.contains(&&*shown) {
                continue;
            }
            let Ok(now) = fs::symlink_metadata(own.join(&path)) else { continue };
            let before = below(layers, &path);
            let is_file = before.as_ref().map_or(&now, |(_, before)| before).is_file();
            let mut found = |how| changed.push(ChangedFile { path: shown.clone(), how, is_file });
            match (&before, is_whiteout(&now)) {
                (Some(_), true) => found(How::Removed),
                (None, true) => {}
                (None, false) => {
                    found(How::Added);
                    if now.is_dir() {
                        directories.push(path);
                    }
                }
                (Some((place, before)), false) => {
                    if differs(&own.join(&path), &now, place, before)? {
                        found(How::Changed);
                    }
                    if now.is_dir() {
                        directories.push(path);
                    }
                }
            }
        }
        if hides {
            // A directory that was removed and made again: what the image has in it is gone, but for what is there anew.
            for layer in layers {
                for entry in fs::read_dir(layer.join(&directory)).into_iter().flatten().flatten() {
                    let path = directory.join(entry.file_name());
                    let shown = format!("/{}", path.display());
                    let before = below(layers, &path).filter(|_| !seen.contains(&entry.file_name()));
                    if let Some((_, before)) = before.filter(|_| !data.contains(&&*shown)) {
                        changed.push(ChangedFile { path: shown, how: How::Removed, is_file: before.is_file() });
                    }
                }
            }
        }
    }
    changed.sort();
    changed.dedup();
    Ok(changed)
}

/// What a path is in the image: where it lies, and what is known of it.
fn below(layers: &[PathBuf], path: &Path) -> Option<(PathBuf, Metadata)> {
    for layer in layers {
        let place = layer.join(path);
        if let Ok(found) = fs::symlink_metadata(&place) {
            return (!is_whiteout(&found)).then_some((place, found));
        }
        // A directory above it that is not there in this layer hides nothing; one that is something else hides all.
        let mut above = PathBuf::new();
        for step in path.parent().into_iter().flat_map(Path::components) {
            above.push(step);
            match fs::symlink_metadata(layer.join(&above)) {
                Ok(found) if !found.is_dir() || is_opaque(&layer.join(&above)) => return None,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    None
}

fn differs(now: &Path, it: &Metadata, before: &Path, was: &Metadata) -> io::Result<bool> {
    if (it.mode(), it.uid(), it.gid()) != (was.mode(), was.uid(), was.gid()) {
        return Ok(true);
    }
    if it.is_symlink() {
        return Ok(fs::read_link(now)? != fs::read_link(before)?);
    }
    if !it.is_file() {
        return Ok(it.rdev() != was.rdev());
    }
    Ok(it.len() != was.len() || !same_content(now, before)?)
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut here, mut there) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (count, others) = (fill(&mut one, &mut here)?, fill(&mut other, &mut there)?);
        if here.get(..count) != there.get(..others) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What stands in a layer for a file that is gone.
fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether a directory of a layer hides what those below have at its place.
fn is_opaque(directory: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(directory.as_os_str().as_bytes()) else { return false };
    [c"trusted.overlay.opaque", c"user.overlay.opaque"].into_iter().any(|name| {
        let mut value = [0_u8; 4];
        // SAFETY: both texts end with a zero byte, and the length is that of the buffer.
        let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        length == 1 && value.first() == Some(&b'y')
    })
}

fn age(text: &str) -> Result<(), Failure> {
    match parse_duration(text).filter(|age| age.as_secs() > 0) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("`{text}` is no age"),
            "It is a number followed by s, m, h or d, from one second.",
        )
        .help("Write one such as `12h` or `30d`.")),
    }
}

fn rate(text: &str) -> Result<(), Failure> {
    match parse_bytes(text).filter(|bytes| *bytes > 0) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("`{text}` is no number of bytes in a second"),
            "It is a number followed by K, M, G or T.",
        )
        .help("Write one such as `100M`.")),
    }
}

fn port(text: &str) -> Result<(), Failure> {
    match OpenPort::parse(text) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("`{text}` is no port"),
            "It is a number from 1 to 65535, with `/udp` behind if need be.",
        )
        .help("Write one such as `80` or `53/udp`.")),
    }
}

fn attempts(value: &Value) -> Result<(), Failure> {
    let Some(number) = value.as_number().map(|number| number.to_f64()) else { return Ok(()) };
    match (1.0..=20.0).contains(&number) && number.fract() == 0.0 {
        true => Ok(()),
        false => {
            Err(Failure::new(format!("`{number}` is no number of attempts"), "It is a whole number from 1 to 20."))
        }
    }
}

fn on_drift(text: &str) -> Result<(), Failure> {
    match text {
        "report" | "replace" => Ok(()),
        _ => Err(Failure::new(format!("`{text}` is nothing that comes of drift"), "It is `report` or `replace`.")
            .help("`report` tells of it; with `replace`, `andon sync` makes the server anew.")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Files of a layer: a path and its content; `-` is a whiteout, `>` a link, `/` at the end a directory.
    fn layer(directory: &Path, files: &[(&str, &str)]) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        for (path, content) in files {
            let place = directory.join(path);
            if path.ends_with('/') {
                fs::create_dir_all(place).unwrap();
                continue;
            }
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            match (*content, content.strip_prefix('>')) {
                ("-", _) => {
                    let path = std::ffi::CString::new(place.as_os_str().as_bytes()).unwrap();
                    // SAFETY: the path ends with a zero byte.
                    assert_eq!(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR, 0) }, 0);
                }
                (_, Some(target)) => symlink(target, place).unwrap(),
                (content, None) => fs::write(place, content).unwrap(),
            }
        }
        directory.to_owned()
    }

    #[test]
    fn only_what_differs_from_the_image_is_found() {
        // SAFETY: has no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            println!("skipped: only root makes whiteouts");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let base = [
            ("etc/motd", "hello"),
            ("etc/same", "same"),
            ("etc/link", ">motd"),
            ("etc/gone", "x"),
            ("usr/bin/tool", "one"),
            ("usr/lib/a", "a"),
            ("usr/lib/b", "b"),
            ("opt/hidden", "x"),
            ("var/log/messages", "x"),
        ];
        let base = layer(&folder.path().join("base"), &base);
        let middle = layer(&folder.path().join("middle"), &[("usr/bin/tool", "two"), ("opt/hidden", "-")]);
        let own = [
            ("etc/motd", "hallo"),
            ("etc/same", "same"),
            ("etc/link", ">other"),
            ("etc/gone", "-"),
            ("etc/never-there", "-"),
            ("usr/bin/tool", "two"),
            ("usr/bin/other", "x"),
            ("usr/lib/", ""),
            ("usr/lib/b", "b"),
            ("opt/hidden", "again"),
            ("var/log/messages", "y"),
        ];
        let own = layer(&folder.path().join("own"), &own);
        let path = std::ffi::CString::new(own.join("usr/lib").as_os_str().as_bytes()).unwrap();
        // SAFETY: both texts end with a zero byte.
        let set =
            unsafe { libc::lsetxattr(path.as_ptr(), c"trusted.overlay.opaque".as_ptr(), c"y".as_ptr().cast(), 1, 0) };
        let is_opaque = set == 0;
        let found = changed_files(&own, &[middle, base], &["/var"]).unwrap();
        let found: Vec<String> = found.iter().map(|it| format!("{:?} {}", it.how, it.path)).collect();
        let mut expected = vec![
            "Removed /etc/gone",
            "Changed /etc/link",
            "Changed /etc/motd",
            "Added /opt/hidden",
            "Added /usr/bin/other",
        ];
        if is_opaque {
            expected.push("Removed /usr/lib/a");
        }
        assert_eq!(found, expected);
        fs::set_permissions(own.join("etc/same"), fs::Permissions::from_mode(0o600)).unwrap();
        let found =
            changed_files(&own, &[folder.path().join("middle"), folder.path().join("base")], &["/var"]).unwrap();
        assert!(found.iter().any(|it| it.path == "/etc/same" && it.how == How::Changed));
    }

    #[test]
    fn ages_and_what_comes_of_drift() {
        for sound in ["30d", "12h", "1s", "0.5d"] {
            assert!(age(sound).is_ok(), "{sound}");
        }
        for wrong in ["", "30", "0s", "-1d", "a month", "10ms"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert!(on_drift("replace").is_ok() && on_drift("report").is_ok() && on_drift("heal").is_err());
    }
}
