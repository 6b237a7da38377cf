use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_schema::host::{Look, Sight, Stage};

use crate::accounts::Accounts;
use crate::packages::Packages;
use crate::{certificates, commands, facts, files, firewall, http, names, owed, packages, processes, services, unpack};

/// Takes looks: one sight for each, in their order. Nothing is changed. What several looks need is read once.
pub fn observe(looks: &[Look], stage: Stage) -> Vec<Sight> {
    let observer = Observer {
        looks,
        stage,
        accounts: OnceCell::new(),
        packages: OnceCell::new(),
        candidates: OnceCell::new(),
        units: OnceCell::new(),
    };
    looks.iter().map(|look| observer.look(look)).collect()
}

type Candidates = BTreeMap<Arc<str>, Vec<Arc<str>>>;

/// What is read at most once for all looks.
struct Observer<'a> {
    looks: &'a [Look],
    stage: Stage,
    accounts: OnceCell<Accounts>,
    packages: OnceCell<Result<Packages, String>>,
    candidates: OnceCell<Result<Candidates, String>>,
    units: OnceCell<BTreeMap<Arc<str>, Sight>>,
}

impl Observer<'_> {
    fn look(&self, look: &Look) -> Sight {
        match look {
            Look::Path { path, content } => files::look(path, *content, self.accounts()),
            Look::Same { path, content } => files::same(path, &content.0, self.accounts()),
            Look::Digest(path) => files::digest(path),
            Look::Listing(path) => files::list(path),
            Look::Tree(path) => files::tree(path, self.accounts()),
            Look::Unpacked(record) => unpack::look(record),
            Look::Package(name) => self.packages(|packages| Sight::Package(packages.find(name))),
            Look::Packages => self.packages(|packages| Sight::Packages(packages.state())),
            Look::Candidates(name) => self.candidates(name),
            Look::PackageFile(path) => packages::look_in_file(path).map_or_else(Sight::Failed, Sight::PackageFile),
            Look::Init => Sight::Init(services::init(self.stage)),
            Look::Service(unit) => self.unit(unit),
            Look::User(name) => Sight::User(self.accounts().user(name)),
            Look::Group(name) => Sight::Group(self.accounts().group(name)),
            Look::Sysctl(key) => sysctl(key),
            Look::Owed => owed::read().map_or_else(Sight::Failed, Sight::Owed),
            Look::Port { tcp, port, address } => processes::port(*tcp, *port, *address),
            Look::Http(request) => Sight::Http(http::ask(request)),
            Look::Addresses { name, timeout_ms } => {
                let found = names::addresses(name, Instant::now() + Duration::from_millis(*timeout_ms));
                Sight::Addresses(found.map(|found| found.iter().map(|it| it.to_string().into()).collect()))
            }
            Look::OwnAddresses => Sight::Addresses(Ok(facts::own_addresses())),
            Look::Reach { host, port, timeout_ms } => {
                Sight::Reach(http::reach(host, *port, Duration::from_millis(*timeout_ms)))
            }
            Look::Process { name, user } => match user.as_ref().map(|user| self.accounts().uid(user)).transpose() {
                Ok(user) => Sight::Process(processes::count(name, user)),
                Err(reason) => Sight::Failed(reason),
            },
            Look::Command(command) => commands::answer(command).map_or_else(Sight::Failed, Sight::Command),
            Look::Certificate(place) => certificates::look(place),
            Look::Firewall => firewall::look(self.stage),
            Look::Clock => clock(),
        }
    }

    fn accounts(&self) -> &Accounts {
        self.accounts.get_or_init(Accounts::read)
    }

    fn packages(&self, ask: impl FnOnce(&Packages) -> Sight) -> Sight {
        match self.packages.get_or_init(Packages::read) {
            Ok(packages) => ask(packages),
            Err(reason) => Sight::Failed(reason.clone()),
        }
    }

    fn candidates(&self, name: &Arc<str>) -> Sight {
        let candidates = self.candidates.get_or_init(|| {
            let names = self.looks.iter().filter_map(|look| match look {
                Look::Candidates(name) => Some(&**name),
                _ => None,
            });
            packages::candidates(&names.collect::<Vec<_>>())
        });
        match candidates {
            Ok(known) => Sight::Candidates(known.get(name).cloned().unwrap_or_default()),
            Err(reason) => Sight::Failed(reason.clone()),
        }
    }

    fn unit(&self, unit: &Arc<str>) -> Sight {
        let units = self.units.get_or_init(|| {
            let units = self.looks.iter().filter_map(|look| match look {
                Look::Service(unit) => Some(unit),
                _ => None,
            });
            services::look(&units.collect::<Vec<_>>(), self.stage)
        });
        units.get(unit).cloned().unwrap_or(Sight::Failed(format!("nothing was said of {unit}")))
    }
}

fn sysctl(key: &str) -> Sight {
    match std::fs::read_to_string(sysctl_path(key)) {
        Ok(text) => Sight::Sysctl(Some(text.split_whitespace().collect::<Vec<_>>().join(" ").into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Sight::Sysctl(None),
        Err(error) => Sight::Failed(format!("the kernel setting {key} could not be read: {error}")),
    }
}

/// Where the kernel keeps a setting (sysctl(8)): where the first separator is a dot, dots stand for slashes and
/// slashes for dots.
pub(crate) fn sysctl_path(key: &str) -> String {
    let swapped = key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'.'));
    let letter = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let key = if swapped { key.chars().map(letter).collect() } else { key.to_owned() };
    format!("/proc/sys/{key}")
}

fn clock() -> Sight {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) {
        Ok(now) => Sight::Clock(u64::try_from(Duration::from(now).as_millis()).unwrap_or(u64::MAX)),
        Err(error) => Sight::Failed(format!("the clock could not be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_paths() {
        for (key, path) in [
            ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
            ("net/ipv4/conf/eth0.1/forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"),
            ("net.ipv4.conf.eth0/1.forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"),
        ] {
            assert_eq!(sysctl_path(key), path);
        }
        assert!(matches!(sysctl("kernel.ostype"), Sight::Sysctl(Some(text)) if &*text == "Linux"));
        assert_eq!(sysctl("kernel.no_such_setting"), Sight::Sysctl(None));
    }
}
