//! Packages of rpm: one run of `rpm` tells all that is installed; dnf, yum or zypper changes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use andon_schema::host::{Install, Manager, Uninstall};

use super::{Installed, LOOK, Tool, has};
use crate::run::{last_lines, run_for};

/// What dnf, yum and zypper say where their index is too old, or not there.
pub(super) const STALE: &[&str] = &[
    "No match for argument",
    "Unable to find a match",
    "No package ",
    "not found in package names",
    "No provider of",
    "Cache-only enabled but no cache",
    "404",
];

/// The architectures that may stand after a name and a dot.
pub(super) const ARCHITECTURES: [&str; 9] =
    ["x86_64", "noarch", "i686", "i586", "aarch64", "armv7hl", "ppc64le", "s390x", "riscv64"];

/// A line for each package, and one for each name that it provides.
const FORMAT: &str = "%{NAME}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\t%{ARCH}\n[\t%{PROVIDENAME}\n]";

/// Where rpm keeps what is installed.
pub(super) fn database() -> &'static str {
    let known = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
    known.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/var/lib/rpm")
}

/// The program that is dnf here.
pub(super) fn dnf() -> &'static str {
    ["dnf", "dnf5", "microdnf"].into_iter().find(|tool| has(tool)).unwrap_or("dnf")
}

pub(super) fn read(manager: Manager) -> Result<Installed, String> {
    let output = run_for("rpm", &["-qa", "--queryformat", FORMAT], LOOK)?;
    if !output.success {
        return Err(format!("what rpm has installed could not be read: {}", last_lines(&output.text, 3)));
    }
    let mut installed = parse(&output.text);
    let files: &[&str] = match manager {
        Manager::Zypper => &["/etc/zypp/locks"],
        _ => &[
            "/etc/dnf/plugins/versionlock.list",
            "/etc/yum/pluginconf.d/versionlock.list",
            "/etc/dnf/versionlock.toml",
        ],
    };
    let locks: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    installed.held = parse_locks(&locks).into_iter().filter(|name| installed.packages.contains_key(name)).collect();
    Ok(installed)
}

fn parse(text: &str) -> Installed {
    let mut installed = Installed::default();
    for line in text.lines() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next(), fields.next()) {
            (Some(""), Some(provided), None) => drop(installed.provided.insert(provided.into())),
            // The keys that packages are signed with are kept as packages.
            (Some(name), Some(version), Some(architecture)) if name != "gpg-pubkey" => {
                installed.add(name, architecture, version);
            }
            _ => {}
        }
    }
    installed
}

/// The names in the files of locks: `nginx-0:1.24.0-1.fc41.*` of yum and the first dnf, `name = "nginx"` of dnf5, and
/// `solvable_name: nginx` of zypper. Where a name ends is not said by the first: every start at a dash counts.
fn parse_locks(text: &str) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!'])) {
        if let Some(name) = line.strip_prefix("solvable_name:") {
            names.push(name.trim().into());
        } else if let Some((key, value)) = line.split_once('=') {
            names.extend((key.trim() == "name").then(|| value.trim().trim_matches(['"', '\'']).into()));
        } else {
            names.extend(line.match_indices('-').filter_map(|(at, _)| {
                let version = line.get(at + 1..)?;
                version
                    .starts_with(|letter: char| letter.is_ascii_digit())
                    .then(|| line.get(..at).unwrap_or(line).into())
            }));
        }
    }
    names
}

/// What `dnf list --showduplicates` says: `nginx.x86_64  1:1.24.0-1.fc41  fedora`, the oldest first.
pub(super) fn parse_list(text: &str) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut all: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, version, _] = fields.as_slice() else { continue };
        let Some((name, architecture)) = name.rsplit_once('.') else { continue };
        if ARCHITECTURES.contains(&architecture) {
            let known = all.entry(name.into()).or_default();
            let version = version.strip_prefix("0:").unwrap_or(version);
            if !known.iter().any(|it| **it == *version) {
                known.insert(0, version.into());
            }
        }
    }
    all
}

/// What `zypper search --details` says, a table whose fields are `S | Name | Type | Version | Arch | Repository`.
pub(super) fn parse_search(text: &str) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut all: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, "package", version, _, repository] = fields.as_slice()
            && *repository != "(System Packages)"
        {
            let known = all.entry((*name).into()).or_default();
            if !known.iter().any(|it| **it == **version) {
                known.push((*version).into());
            }
        }
    }
    all
}

pub(super) fn install(tool: &mut Tool, install: &Install) -> Result<(), String> {
    let options: Vec<&str> = install.options.iter().map(|option| &**option).collect();
    if tool.manager == Manager::Zypper {
        let recommends = if install.recommends { "--recommends" } else { "--no-recommends" };
        let mut arguments = vec!["--non-interactive", "install", "--auto-agree-with-licenses", recommends];
        arguments.extend(install.downgrade.then_some("--oldpackage"));
        arguments.extend(install.packages.iter().any(|it| it.starts_with('/')).then_some("--allow-unsigned-rpm"));
        return tool.must("zypper", &[arguments, options].concat(), &install.packages);
    }
    let program = if tool.manager == Manager::Yum { "yum" } else { dnf() };
    let weak = format!("--setopt=install_weak_deps={}", if install.recommends { "True" } else { "False" });
    let mut arguments = vec!["-y", "install"];
    arguments.extend((tool.manager == Manager::Dnf).then_some(&*weak));
    let arguments = [arguments, options.clone()].concat();
    let with_dash = |package: &Arc<str>| package.replacen('=', "-", 1).into();
    let (pinned, others): (Vec<Arc<str>>, Vec<Arc<str>>) =
        install.packages.iter().cloned().partition(|package| install.downgrade && package.contains('='));
    if !others.is_empty() {
        tool.must(program, &arguments, &others.iter().map(with_dash).collect::<Vec<_>>())?;
    }
    // An older version is put back by a word of its own, which does nothing where none is installed.
    let pinned: Vec<Arc<str>> = pinned.iter().map(with_dash).collect();
    if pinned.is_empty() {
        return Ok(());
    }
    let first = tool.must(program, &arguments, &pinned);
    let second = tool.must(program, &[&["-y", "downgrade"], &*options].concat(), &pinned);
    first.or(second)
}

pub(super) fn remove(tool: &mut Tool, uninstall: &Uninstall) -> Result<(), String> {
    if tool.manager == Manager::Zypper {
        let mut arguments = vec!["--non-interactive", "remove"];
        arguments.extend(uninstall.unneeded.then_some("--clean-deps"));
        return tool.must("zypper", &arguments, &uninstall.packages);
    }
    let clean = format!("--setopt=clean_requirements_on_remove={}", if uninstall.unneeded { "True" } else { "False" });
    let program = if tool.manager == Manager::Yum { "yum" } else { dnf() };
    tool.must(program, &["-y", &clean, "remove"], &uninstall.packages)
}

#[cfg(test)]
mod tests {
    use andon_schema::host::Package;

    use super::*;

    #[test]
    fn what_rpm_says() {
        let installed = parse(
            "nginx\t2:1.26.2-1.fc41\tx86_64\n\tnginx\n\twebserver\n\tconfig(nginx)\n\
             gpg-pubkey\te99d6ad1-64d2612c\t(none)\nbash\t5.2.32-1.fc41\tx86_64\n\tbash\n\t/bin/sh\n\
             glibc\t2.40-3.fc41\tx86_64\nglibc\t2.40-3.fc41\ti686\npython3.12\t3.12.7-1.fc41\tx86_64\n",
        );
        let version = |version: &str| Package::Installed { version: version.into(), held: false };
        for (name, found) in [
            ("nginx", version("2:1.26.2-1.fc41")),
            ("webserver", Package::Provided),
            ("bash", version("5.2.32-1.fc41")),
            ("glibc.i686", version("2.40-3.fc41")),
            ("glibc.aarch64", Package::Missing),
            ("python3.12", version("3.12.7-1.fc41")),
            ("gpg-pubkey", Package::Missing),
            ("vim", Package::Missing),
        ] {
            assert_eq!(installed.find(name), found, "{name}");
        }
    }

    #[test]
    fn locks_of_all_kinds() {
        let text = "# Added lock on Sat Nov 21 2026\nnginx-core-2:1.26.2-1.fc41.*\n!foo-0:1-1.*\n\n[[packages]]\n\
            name = \"bash\"\n[[packages.conditions]]\nkey = \"evr\"\n\ntype: package\nmatch_type: glob\n\
            solvable_name: vim\n";
        let names = parse_locks(text);
        for name in ["nginx-core", "bash", "vim"] {
            assert!(names.iter().any(|it| &**it == name), "{name} {names:?}");
        }
        assert!(!names.iter().any(|it| &**it == "foo"));
    }

    #[test]
    fn versions_that_can_be_had() {
        let list = parse_list(
            "Installed Packages\nnginx.x86_64    2:1.26.1-1.fc41   @fedora\nAvailable Packages\n\
             nginx.x86_64    2:1.26.1-1.fc41   fedora\nnginx.x86_64    2:1.26.2-1.fc41   updates\n\
             tzdata.noarch   0:2024b-1.fc41    updates\n",
        );
        let of = |name: &str| list[name].iter().map(|version| &**version).collect::<Vec<_>>();
        assert_eq!(of("nginx"), ["2:1.26.2-1.fc41", "2:1.26.1-1.fc41"]);
        assert_eq!(of("tzdata"), ["2024b-1.fc41"]);
        let found = parse_search(
            "S  | Name  | Type    | Version            | Arch   | Repository\n\
             ---+-------+---------+--------------------+--------+-----------\n\
             v  | nginx | package | 1.21.5-150600.10.3 | x86_64 | Update\n\
             i+ | nginx | package | 1.21.5-150600.8.1  | x86_64 | Main\n\
             i+ | nginx | package | 1.0-1              | x86_64 | (System Packages)\n",
        );
        assert_eq!(found["nginx"].len(), 2);
        assert_eq!(&*found["nginx"][0], "1.21.5-150600.10.3");
    }
}
