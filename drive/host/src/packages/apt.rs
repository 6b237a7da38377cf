//! Debian packages: what is installed is read from dpkg's own file in one pass; apt changes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use andon_schema::host::{Install, Stage, Uninstall};

use super::{Installed, Tool};
use crate::run::{Output, last_lines, run};

pub(super) const STATUS: &str = "/var/lib/dpkg/status";
const UPDATES: &str = "/var/lib/dpkg/updates";

/// What apt says where its index is too old, or not there.
pub(super) const STALE: &[&str] =
    &["Unable to locate", "no installation candidate", "Unable to fetch", "Failed to fetch", "was not found"];

/// Reads dpkg's file, and what an interrupted dpkg had not put into it yet.
pub(super) fn read() -> Result<Installed, String> {
    let bytes = fs::read(STATUS).map_err(|error| format!("what dpkg has installed could not be read: {error}"))?;
    let mut updates: Vec<_> = fs::read_dir(UPDATES).into_iter().flatten().flatten().collect();
    updates.retain(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    updates.sort_by_key(fs::DirEntry::file_name);
    let status = std::str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
    let newer: Vec<String> = updates.iter().filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    let texts: Vec<&str> = std::iter::once(&*status).chain(newer.iter().map(String::as_str)).collect();
    let mut installed = parse(&texts);
    installed.broken |= !updates.is_empty();
    Ok(installed)
}

/// The format is that of dpkg-query(1) and deb-control(5): paragraphs of fields. A later text takes the place of an
/// earlier one for the same package and architecture.
fn parse(texts: &[&str]) -> Installed {
    let mut paragraphs: BTreeMap<(&str, &str), Paragraph> = BTreeMap::new();
    for text in texts {
        let mut paragraph = Paragraph::default();
        for line in text.lines().chain([""]) {
            if line.is_empty() {
                let done = std::mem::take(&mut paragraph);
                if !done.name.is_empty() {
                    paragraphs.insert((done.name, done.architecture), done);
                }
            } else if !line.starts_with(' ') {
                let fields = [
                    ("Package: ", &mut paragraph.name),
                    ("Status: ", &mut paragraph.status),
                    ("Architecture: ", &mut paragraph.architecture),
                    ("Version: ", &mut paragraph.version),
                    ("Provides: ", &mut paragraph.provides),
                ];
                for (name, field) in fields {
                    if let Some(value) = line.strip_prefix(name) {
                        *field = value;
                    }
                }
            }
        }
    }
    let mut installed = Installed::default();
    for paragraph in paragraphs.values() {
        let mut words = paragraph.status.split(' ');
        let (wanted, flag, state) = (words.next(), words.next(), words.next());
        match state {
            Some("installed") if flag == Some("ok") => {
                installed.add(paragraph.name, paragraph.architecture, paragraph.version);
                let names = paragraph.provides.split(',').filter_map(|name| name.split_whitespace().next());
                installed.provided.extend(names.map(Arc::from));
                installed.held.extend((wanted == Some("hold")).then(|| paragraph.name.into()));
            }
            Some("config-files") => drop(installed.kept.insert(paragraph.name.into())),
            Some("not-installed") | None => {}
            Some(_) => installed.broken = true,
        }
    }
    installed
}

/// What `apt-cache policy` says: of each package the candidate, and then the table of all versions.
pub(super) fn parse_policy(text: &str) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut all: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    let mut name: Arc<str> = "".into();
    for line in text.lines() {
        let rest = line.trim_start();
        let version = match line.len() - rest.len() {
            0 => {
                name = line.trim_end_matches(':').into();
                continue;
            }
            2 => rest.strip_prefix("Candidate: ").filter(|version| *version != "(none)"),
            // ` *** ` marks the one that is installed; the sources of a version stand further in.
            1 => rest.strip_prefix("*** ").and_then(|rest| rest.split(' ').next()),
            5 => rest.split(' ').next(),
            _ => None,
        };
        let known = all.entry(name.clone()).or_default();
        known.extend(version.filter(|version| !known.iter().any(|it| **it == **version)).map(Arc::from));
    }
    all
}

#[derive(Default)]
struct Paragraph<'a> {
    name: &'a str,
    status: &'a str,
    architecture: &'a str,
    version: &'a str,
    provides: &'a str,
}

/// Finishes what dpkg and apt were interrupted in.
pub(super) fn repair(tool: &mut Tool) -> Result<(), String> {
    let configured = run("dpkg", &["--configure", "-a", "--force-confold", "--force-confdef"])?;
    let Err(reason) = apt(tool, &["-f", "install"], &[], false) else { return Ok(()) };
    let first = if configured.success { String::new() } else { last_lines(&configured.text, 4) + "\n" };
    Err(format!("an interrupted installation could not be finished: {first}{reason}"))
}

pub(super) fn refresh(tool: &mut Tool) -> Result<(), String> {
    apt(tool, &["update"], &[], true)
}

pub(super) fn install(tool: &mut Tool, install: &Install) -> Result<(), String> {
    let mut command = vec!["install"];
    command.push(if install.recommends { "--install-recommends" } else { "--no-install-recommends" });
    if install.downgrade {
        command.push("--allow-downgrades");
    }
    if install.packages.iter().any(|package| package.contains('=') || package.starts_with('/')) {
        command.push("--allow-change-held-packages");
    }
    command.extend(install.options.iter().map(|option| &**option));
    apt(tool, &command, &install.packages, false)
}

pub(super) fn remove(tool: &mut Tool, uninstall: &Uninstall) -> Result<(), String> {
    let mut command = vec!["remove", "--allow-change-held-packages"];
    command.extend(uninstall.purge.then_some("--purge"));
    command.extend(uninstall.unneeded.then_some("--auto-remove"));
    apt(tool, &command, &uninstall.packages, false)
}

/// Where the versions of packages are said while an image is baked, and how apt is told of it.
const PINS: &str = "/var/cache/apt/andon-pins";
const PINS_OPTION: &str = "Dir::Etc::Preferences=/var/cache/apt/andon-pins";

/// The same for the mirror that has them, of which the image is to know nothing; and what the image says instead, as long as
/// nobody has changed that.
const SOURCES: &str = "/var/cache/apt/andon-sources";
const SOURCES_OPTION: &str = "Dir::Etc::SourceList=/var/cache/apt/andon-sources";
const OWN_SOURCES: &str = "/var/cache/apt/andon-own-sources";
const SOURCES_LIST: &str = "/etc/apt/sources.list";

/// The options of apt's programs that hold while an image is baked; none else.
pub(super) fn baking_options() -> Vec<&'static str> {
    let is_unchanged = || fs::read(OWN_SOURCES).is_ok_and(|own| fs::read(SOURCES_LIST).is_ok_and(|now| now == own));
    let mut options = Vec::new();
    if Path::new(PINS).exists() {
        options.extend(["-o", PINS_OPTION]);
    }
    if Path::new(SOURCES).exists() && is_unchanged() {
        options.extend(["-o", SOURCES_OPTION]);
    }
    options
}

/// One run of `apt-get`. With `whole`, what it could not fetch is a failure though it ends with 0.
fn apt(tool: &mut Tool, command: &[&str], packages: &[Arc<str>], whole: bool) -> Result<(), String> {
    // It is waited for a lock here, where it can be said who holds it.
    let mut arguments = vec!["-y", "-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=0"];
    arguments.extend(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]);
    if tool.stage == Stage::Image {
        // What a crash would leave of an image is thrown away; flushing each file would only take time.
        arguments.extend(["-o", "Dpkg::Options::=--force-unsafe-io"]);
        arguments.extend(baking_options());
    }
    arguments.extend(command);
    if !packages.is_empty() {
        arguments.push("--");
    }
    let Output { success, late, text } =
        if whole { tool.fetch("apt-get", &arguments)? } else { tool.run("apt-get", &arguments, packages)? };
    let partly = whole && text.contains("\nW: Failed to fetch");
    match (success && !partly, late) {
        (true, _) => Ok(()),
        (false, false) => Err(useful(&text)),
        (false, true) => Err(format!("{}\n{}", last_lines(&text, 4), room(LISTS))),
    }
}

/// Where the lists of packages are.
const LISTS: &str = "/var/lib/apt/lists";

/// How much room is left where a directory is, as a full disk is what stops apt without a word.
fn room(directory: &str) -> String {
    let left = nix::sys::statvfs::statvfs(directory).map(|found| found.blocks_available() * found.fragment_size());
    let said = left.map_or_else(|error| error.to_string(), |bytes| format!("{} MB are left", bytes / 1_000_000));
    format!("{directory}: {said}")
}

/// What apt and dpkg say of a failure, without the progress before it.
fn useful(text: &str) -> String {
    let tells = |line: &&str| {
        ["E: ", "W: ", "Err:", "dpkg: error", "N: "].iter().any(|start| line.starts_with(start))
            || line.contains("error")
    };
    let told: Vec<&str> = text.lines().filter(tells).collect();
    if told.is_empty() { last_lines(text, 8) } else { last_lines(&told.join("\n"), 8) }
}

#[cfg(test)]
mod tests {
    use andon_schema::host::Package;

    use super::*;

    const TEXT: &str = "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22.1-9\n\
        Provides: httpd, httpd-cgi (= 1)\nDescription: small\n Package: not-a-field\n\n\
        Package: half\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 1\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 2\n\n\
        Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 3\n";

    fn installed(version: &str) -> Package {
        Package::Installed { version: version.into(), held: false }
    }

    #[test]
    fn only_whole_packages_are_installed() {
        let packages = parse(&[TEXT]);
        for (name, found) in [
            ("nginx", installed("1.22.1-9")),
            ("nginx:amd64", installed("1.22.1-9")),
            ("nginx:i386", Package::Missing),
            ("httpd", Package::Provided),
            ("httpd-cgi", Package::Provided),
            ("half", Package::Missing),
            ("gone", Package::Kept),
            ("held", Package::Installed { version: "3".into(), held: true }),
            ("not-a-field", Package::Missing),
        ] {
            assert_eq!(packages.find(name), found, "{name}");
        }
        assert!(packages.broken);
        assert!(!parse(&["Package: a\nStatus: install ok installed\nVersion: 1\n"]).broken);
    }

    #[test]
    fn an_interrupted_write_counts() {
        let later = "Package: nginx\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1.22.1-9\n";
        assert_eq!(parse(&[TEXT, later]).find("nginx"), Package::Missing);
    }

    #[test]
    fn what_can_be_had() {
        let text = "nginx:\n  Installed: 1.18-1\n  Candidate: 1.22.1-9\n  Version table:\n     1.26-1 100\n        \
            100 http://deb.debian.org/debian bookworm-backports/main amd64 Packages\n     1.22.1-9 500\n        500 \
            http://deb.debian.org/debian bookworm/main amd64 Packages\n *** 1.18-1 100\n        100 \
            /var/lib/dpkg/status\nnone:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        let found = parse_policy(text);
        let of = |name: &str| found[name].iter().map(|version| &**version).collect::<Vec<_>>();
        assert_eq!(of("nginx"), ["1.22.1-9", "1.26-1", "1.18-1"]);
        assert!(of("none").is_empty());
    }

    #[test]
    fn the_words_of_apt_that_matter() {
        let text = "Reading package lists...\nBuilding dependency tree...\nE: Unable to locate package no-such\n";
        assert_eq!(useful(text), "E: Unable to locate package no-such");
    }
}
