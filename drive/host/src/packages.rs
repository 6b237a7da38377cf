//! Debian packages: what is installed is read from dpkg's own file in one pass; apt changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_schema::host::{Package, Stage};

use crate::run::{last_lines, run};

const STATUS: &str = "/var/lib/dpkg/status";
const UPDATES: &str = "/var/lib/dpkg/updates";

/// How long is waited for another run of apt to end.
const LOCK: Duration = Duration::from_secs(60);

/// What dpkg knows.
#[derive(Default)]
pub(crate) struct Packages {
    installed: BTreeMap<Arc<str>, Vec<Build>>,
    provided: BTreeSet<Arc<str>>,
    /// A package is between two states, or dpkg was killed while it wrote one.
    pub broken: bool,
}

impl Packages {
    /// Reads dpkg's file, and what an interrupted dpkg had not put into it yet.
    pub fn read() -> Result<Packages, String> {
        let bytes = fs::read(STATUS).map_err(|error| format!("what dpkg has installed could not be read: {error}"))?;
        let mut updates: Vec<_> = fs::read_dir(UPDATES).into_iter().flatten().flatten().collect();
        updates.retain(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
        updates.sort_by_key(fs::DirEntry::file_name);
        let mut texts = vec![String::from_utf8_lossy(&bytes).into_owned()];
        texts.extend(updates.iter().filter_map(|entry| fs::read_to_string(entry.path()).ok()));
        let mut packages = Packages::parse(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        packages.broken |= !updates.is_empty();
        Ok(packages)
    }

    /// The format is that of dpkg-query(1) and deb-control(5): paragraphs of fields. A later text takes the place of an
    /// earlier one for the same package and architecture.
    pub fn parse(texts: &[&str]) -> Packages {
        let mut paragraphs: BTreeMap<(&str, &str), Paragraph> = BTreeMap::new();
        for text in texts {
            let mut paragraph = Paragraph::default();
            for line in text.lines().chain([""]) {
                if line.is_empty() {
                    let done = std::mem::take(&mut paragraph);
                    if !done.name.is_empty() {
                        paragraphs.insert((done.name, done.architecture), done);
                    }
                } else if let Some((field, value)) = line.split_once(": ") {
                    match field {
                        "Package" => paragraph.name = value,
                        "Status" => paragraph.status = value,
                        "Architecture" => paragraph.architecture = value,
                        "Version" => paragraph.version = value,
                        "Provides" => paragraph.provides = value,
                        _ => {}
                    }
                }
            }
        }
        let mut packages = Packages::default();
        for paragraph in paragraphs.values() {
            let mut words = paragraph.status.split(' ');
            let (_, flag, state) = (words.next(), words.next(), words.next());
            match state {
                Some("installed") if flag == Some("ok") => {
                    let versions = packages.installed.entry(paragraph.name.into()).or_default();
                    versions
                        .push(Build { architecture: paragraph.architecture.into(), version: paragraph.version.into() });
                    let names = paragraph.provides.split(',').filter_map(|name| name.split_whitespace().next());
                    packages.provided.extend(names.map(Arc::from));
                }
                Some("not-installed" | "config-files") | None => {}
                Some(_) => packages.broken = true,
            }
        }
        packages
    }

    /// Whether a package is installed; `name` may end in `:architecture`.
    pub fn find(&self, name: &str) -> Package {
        let (plain, architecture) = name.split_once(':').map_or((name, None), |(name, rest)| (name, Some(rest)));
        let versions = self.installed.get(plain).map(Vec::as_slice).unwrap_or_default();
        let fits = |known: &str| architecture.is_none_or(|wanted| wanted == known || wanted == "any" || known == "all");
        match versions.iter().find(|build| fits(&build.architecture)) {
            Some(build) => Package::Installed(build.version.clone()),
            None if self.provided.contains(name) => Package::Provided,
            None => Package::Missing,
        }
    }
}

struct Build {
    architecture: Arc<str>,
    version: Arc<str>,
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
pub(crate) fn repair() -> Result<(), String> {
    let configured = run("dpkg", &["--configure", "-a", "--force-confold", "--force-confdef"])?;
    let fixed = apt(&["-f", "install"], &[], Stage::Live)?;
    if fixed.is_ok() {
        return Ok(());
    }
    let reason = fixed.err().unwrap_or_default();
    let first = if configured.success { String::new() } else { last_lines(&configured.text, 4) + "\n" };
    Err(format!("an interrupted installation could not be finished: {first}{reason}"))
}

/// Installs packages. The lists of what can be had are fetched only where the install fails for want of newer ones.
pub(crate) fn install(packages: &[Arc<str>], stage: Stage) -> Result<(), String> {
    let mut command = vec!["install", "--no-install-recommends"];
    if packages.iter().any(|package| package.contains('=')) {
        command.extend(["--allow-downgrades", "--allow-change-held-packages"]);
    }
    let first = match apt(&command, packages, stage)? {
        Ok(()) => return Ok(()),
        Err(reason) => reason,
    };
    let stale =
        ["Unable to locate", "no installation candidate", "Unable to fetch", "Failed to fetch", "was not found"];
    if !stale.iter().any(|words| first.contains(words)) {
        return Err(first);
    }
    let update = apt(&["update"], &[], stage)?;
    apt(&command, packages, stage)?.map_err(|reason| match update {
        Ok(()) => reason,
        Err(update) => format!("{reason}\nand the lists of packages could not be fetched:\n{update}"),
    })
}

/// Removes packages and leaves their configuration.
pub(crate) fn remove(packages: &[Arc<str>], stage: Stage) -> Result<(), String> {
    apt(&["remove"], packages, stage)?
}

/// One run of `apt-get`; while another holds a lock, it is tried again.
fn apt(command: &[&str], packages: &[Arc<str>], stage: Stage) -> Result<Result<(), String>, String> {
    let mut arguments = vec!["-y", "-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=60"];
    arguments.extend(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]);
    if stage == Stage::Image {
        // What a crash would leave of an image is thrown away; flushing each file would only take time.
        arguments.extend(["-o", "Dpkg::Options::=--force-unsafe-io"]);
    }
    arguments.extend(command);
    if !packages.is_empty() {
        arguments.push("--");
        arguments.extend(packages.iter().map(|package| &**package));
    }
    let deadline = Instant::now() + LOCK;
    loop {
        let output = run("apt-get", &arguments)?;
        if output.success && !output.text.contains("\nW: Failed to fetch") {
            return Ok(Ok(()));
        }
        let locked = output.text.contains("Could not get lock") || output.text.contains("Unable to lock");
        if !locked || Instant::now() >= deadline {
            return Ok(if output.success && command != ["update"] { Ok(()) } else { Err(useful(&output.text)) });
        }
        std::thread::sleep(Duration::from_millis(500));
    }
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
    use super::*;

    const TEXT: &str = "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22.1-9\n\
        Provides: httpd, httpd-cgi (= 1)\nDescription: small\n Package: not-a-field\n\n\
        Package: half\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 1\n\n\
        Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 2\n\n\
        Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 3\n";

    #[test]
    fn only_whole_packages_are_installed() {
        let packages = Packages::parse(&[TEXT]);
        for (name, found) in [
            ("nginx", Package::Installed("1.22.1-9".into())),
            ("nginx:amd64", Package::Installed("1.22.1-9".into())),
            ("nginx:i386", Package::Missing),
            ("httpd", Package::Provided),
            ("httpd-cgi", Package::Provided),
            ("half", Package::Missing),
            ("gone", Package::Missing),
            ("held", Package::Installed("3".into())),
            ("not-a-field", Package::Missing),
        ] {
            assert_eq!(packages.find(name), found, "{name}");
        }
        assert!(packages.broken);
        assert!(!Packages::parse(&["Package: a\nStatus: install ok installed\nVersion: 1\n"]).broken);
    }

    #[test]
    fn an_interrupted_write_counts() {
        let later = "Package: nginx\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1.22.1-9\n";
        let packages = Packages::parse(&[TEXT, later]);
        assert_eq!(packages.find("nginx"), Package::Missing);
    }

    #[test]
    fn the_words_of_apt_that_matter() {
        let text = "Reading package lists...\nBuilding dependency tree...\nE: Unable to locate package no-such\n";
        assert_eq!(useful(text), "E: Unable to locate package no-such");
    }
}
