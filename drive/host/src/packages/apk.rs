//! Packages of Alpine: what is installed is read from apk's own file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use andon_schema::host::{Install, PackageFile};

use super::{Installed, Tool};

/// What apk says where its index is too old, or not there.
pub(super) const STALE: &[&str] = &["no such package", "package not found", "package mentioned in index not found"];

/// Where apk keeps what is installed.
pub(super) fn database() -> &'static str {
    let known = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
    known.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/lib/apk/db/installed")
}

pub(super) fn read() -> Result<Installed, String> {
    let text = fs::read(database()).map_err(|error| format!("what apk has installed could not be read: {error}"))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// The fields of apk's database: `P:` the name, `V:` the version, `A:` the architecture, `p:` what it provides, `f:`
/// that it is broken; an empty line ends a package.
fn parse(text: &str) -> Installed {
    let mut installed = Installed::default();
    let (mut name, mut version, mut architecture) = ("", "", "");
    for line in text.lines().chain([""]) {
        match line.split_once(':') {
            Some(("P", value)) => name = value,
            Some(("V", value)) => version = value,
            Some(("A", value)) => architecture = value,
            Some(("p", value)) => {
                let names = value.split(' ').filter_map(|name| name.split(['=', '<', '>', '~']).next());
                installed.provided.extend(names.map(Arc::from));
            }
            _ => {}
        }
        if line.is_empty() && !name.is_empty() {
            installed.add(name, architecture, version);
            (name, version, architecture) = ("", "", "");
        }
    }
    installed
}

/// What `apk policy` says: `nginx policy:`, and versions two blanks in, with where each comes from below it.
pub(super) fn parse_policy(text: &str) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut all: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    let mut name: Arc<str> = "".into();
    for line in text.lines() {
        if let Some(start) = line.strip_suffix(" policy:") {
            name = start.into();
        } else if let Some(version) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            all.entry(name.clone()).or_default().push(version.trim_end_matches(':').into());
        }
    }
    // The newest comes last.
    all.values_mut().for_each(|versions| versions.reverse());
    all
}

/// The `.PKGINFO` of a package's file.
pub(super) fn parse_info(text: &str) -> Option<PackageFile> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    Some(PackageFile { name: field("pkgname")?.into(), version: field("pkgver")?.into() })
}

pub(super) fn install(tool: &mut Tool, install: &Install) -> Result<(), String> {
    let mut arguments = vec!["add", "--upgrade"];
    arguments.extend(install.packages.iter().any(|it| it.starts_with('/')).then_some("--allow-untrusted"));
    arguments.extend(install.options.iter().map(|option| &**option));
    let packages: Vec<Arc<str>> = install.packages.iter().map(|package| spec(package)).collect();
    tool.must("apk", &arguments, &packages)
}

/// A version without its build stands for any build of it.
fn spec(package: &str) -> Arc<str> {
    match package.split_once('=') {
        Some((name, version)) if !version.contains("-r") => format!("{name}=~{version}").into(),
        _ => package.into(),
    }
}

#[cfg(test)]
mod tests {
    use andon_schema::host::Package;

    use super::*;

    #[test]
    fn what_is_installed() {
        let installed = parse(
            "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:alpine-baselayout\nV:3.6.5-r0\nA:x86_64\nS:8515\nI:315392\n\
             T:Alpine base dir structure and init scripts\nD:alpine-baselayout-data=3.6.5-r0 /bin/sh\nF:dev\n\n\
             C:Q1y\nP:busybox-binsh\nV:1.36.1-r29\nA:x86_64\np:/bin/sh cmd:sh=1.36.1-r29\nr:busybox-initscripts\n\n",
        );
        let version = |version: &str| Package::Installed { version: version.into(), held: false };
        assert_eq!(installed.find("alpine-baselayout"), version("3.6.5-r0"));
        assert_eq!(installed.find("busybox-binsh"), version("1.36.1-r29"));
        assert_eq!(installed.find("cmd:sh"), Package::Provided);
        assert_eq!(installed.find("nginx"), Package::Missing);
    }

    #[test]
    fn what_can_be_had() {
        let found = parse_policy(
            "nginx policy:\n  1.26.1-r0:\n    lib/apk/db/installed\n  1.26.2-r0:\n    \
             https://dl-cdn.alpinelinux.org/alpine/v3.20/main\ncurl policy:\n  8.9.0-r0:\n    lib/apk/db/installed\n",
        );
        assert_eq!(&*found["nginx"][0], "1.26.2-r0");
        assert_eq!((found["nginx"].len(), found["curl"].len()), (2, 1));
        let info = parse_info("# Generated by abuild\npkgname = andon\npkgver = 1.0-r0\narch = x86_64\n").unwrap();
        assert_eq!((&*info.name, &*info.version), ("andon", "1.0-r0"));
        assert_eq!(
            [&*spec("nginx"), &*spec("nginx=1.26.2-r0"), &*spec("nginx=1.26")],
            ["nginx", "nginx=1.26.2-r0", "nginx=~1.26"]
        );
    }
}
