//! Where a distribution's packages come from.

use std::process::{Command, Stdio};

use crate::Settings;
use crate::source::Distribution;

/// The places of the main archive and of the security updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrors {
    distribution: Distribution,
    main: String,
    security: Option<String>,
}

/// Where the distribution itself has its packages, and its security updates.
fn own(distribution: Distribution) -> (&'static str, &'static str) {
    match distribution {
        Distribution::Debian => ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security"),
        // Other processors' packages are elsewhere.
        Distribution::Ubuntu if cfg!(any(target_arch = "x86_64", target_arch = "x86")) => {
            ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu")
        }
        Distribution::Ubuntu => ("http://ports.ubuntu.com/ubuntu-ports", "http://ports.ubuntu.com/ubuntu-ports"),
    }
}

impl Mirrors {
    /// The distribution's own, which every image names, wherever it was made.
    pub(crate) fn of_its_own(distribution: Distribution) -> Mirrors {
        let (main, security) = own(distribution);
        Mirrors { distribution, main: main.to_owned(), security: Some(security.to_owned()) }
    }

    /// As the user says, where the user says anything.
    pub(crate) fn named(distribution: Distribution, settings: &Settings) -> Option<Mirrors> {
        let main = match distribution {
            Distribution::Debian => &settings.debian_mirror,
            Distribution::Ubuntu => &settings.ubuntu_mirror,
        };
        main.is_some().then(|| Mirrors::choose(distribution, settings))
    }

    /// As the user says, else as this machine's apt is configured, else the distribution's own.
    pub(crate) fn choose(distribution: Distribution, settings: &Settings) -> Mirrors {
        let (main, security) = match distribution {
            Distribution::Debian => (&settings.debian_mirror, &settings.debian_security_mirror),
            // Its mirrors have the security updates, too.
            Distribution::Ubuntu => (&settings.ubuntu_mirror, &settings.ubuntu_mirror),
        };
        // Whoever wants none says so by an empty text.
        let named = security.as_deref().map(|place| Some(tidy(place)).filter(|place| !place.is_empty()));
        if let Some(main) = main {
            let security = named.unwrap_or_else(|| Some(own(distribution).1.to_owned()));
            return Mirrors { distribution, main: tidy(main), security };
        }
        // Asks apt itself: the files that configure it have two formats and many places.
        let targets = Command::new("apt-get")
            .args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let mirrors = Mirrors::configured(distribution, &targets.map(|output| output.stdout).unwrap_or_default());
        match named {
            Some(security) => Mirrors { security, ..mirrors },
            None => mirrors,
        }
    }

    fn configured(distribution: Distribution, targets: &[u8]) -> Mirrors {
        let targets = String::from_utf8_lossy(targets);
        // What apt reads from a disc, or from a list of mirrors on this machine, an image cannot.
        let of = |label: &str, is_it: &dyn Fn(&str) -> bool| {
            let start = format!("{}|{label}|", distribution.name());
            let mut places = targets.lines().filter_map(|line| line.strip_prefix(&*start));
            let place =
                places.find(|place| (place.starts_with("http://") || place.starts_with("https://")) && is_it(place));
            place.map(tidy)
        };
        let (main, security) = match distribution {
            Distribution::Debian => (of("Debian", &|_| true), of("Debian-Security", &|_| true)),
            Distribution::Ubuntu => {
                let main = of("Ubuntu", &|place| !place.contains("//security."));
                (main.clone(), of("Ubuntu", &|place| place.contains("//security.")).or(main))
            }
        };
        let (own_main, own_security) = own(distribution);
        Mirrors {
            distribution,
            main: main.unwrap_or_else(|| own_main.to_owned()),
            security: Some(security.unwrap_or_else(|| own_security.to_owned())),
        }
    }

    /// Whose packages these are.
    pub(crate) fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// The main archive.
    pub(crate) fn main(&self) -> &str {
        &self.main
    }

    /// The lines of `sources.list` for a release.
    pub(crate) fn sources(&self, release: &str) -> String {
        let main = &self.main;
        let parts = match self.distribution {
            Distribution::Debian => "main",
            // Half of what servers run is in the second.
            Distribution::Ubuntu => "main universe",
        };
        let mut lines = format!("deb {main} {release} {parts}\n");
        // What is not released yet is not updated apart from itself.
        if release != "sid" {
            lines.push_str(&format!("deb {main} {release}-updates {parts}\n"));
            if let Some(security) = &self.security {
                lines.push_str(&format!("deb {security} {release}-security {parts}\n"));
            }
        }
        lines
    }
}

fn tidy(place: impl AsRef<str>) -> String {
    place.as_ref().trim().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_from_apt_where_it_has_the_distribution() {
        let check = |distribution: Distribution, targets: &str, main: &str, security: &str| {
            let mirrors = Mirrors::configured(distribution, targets.as_bytes());
            assert_eq!((mirrors.main(), mirrors.security.as_deref()), (main, Some(security)), "{targets}");
        };
        let (debian, ubuntu) = (Distribution::Debian, Distribution::Ubuntu);
        let (main, security) = own(debian);
        check(debian, "", main, security);
        check(debian, "Ubuntu|Ubuntu|http://archive.example/ubuntu/\n", main, security);
        check(debian, "Debian|Debian|mirror+file:/etc/apt/mirrors/debian.list\n", main, security);
        check(
            debian,
            "Node|x|https://n.example/\nDebian|Debian|http://near.example/debian/\nDebian|Debian-Security|https://sec.example/s/\n",
            "http://near.example/debian",
            "https://sec.example/s",
        );
        let (main, security) = own(ubuntu);
        check(ubuntu, "Debian|Debian|http://near.example/debian/\n", main, security);
        check(
            ubuntu,
            "Ubuntu|Ubuntu|http://security.ubuntu.com/ubuntu/\nUbuntu|Ubuntu|http://near.example/ubuntu/\n",
            "http://near.example/ubuntu",
            "http://security.ubuntu.com/ubuntu",
        );
        check(ubuntu, "Ubuntu|Ubuntu|http://n.example/u/\n", "http://n.example/u", "http://n.example/u");
    }

    #[test]
    fn what_the_user_says_is_all_there_is() {
        let mut settings = Settings { debian_mirror: Some("http://m/debian/".into()), ..Settings::default() };
        let security = |settings: &Settings| Mirrors::choose(Distribution::Debian, settings).security;
        assert_eq!(security(&settings).as_deref(), Some("http://deb.debian.org/debian-security"), "they are not lost");
        settings.debian_security_mirror = Some("http://s/".into());
        assert_eq!(security(&settings).as_deref(), Some("http://s"));
        settings.debian_security_mirror = Some(String::new());
        let mirrors = Mirrors::choose(Distribution::Debian, &settings);
        assert_eq!(
            mirrors.sources("trixie"),
            "deb http://m/debian trixie main\ndeb http://m/debian trixie-updates main\n"
        );
        assert_eq!(mirrors.sources("sid"), "deb http://m/debian sid main\n");
        let own = Mirrors::of_its_own(Distribution::Debian);
        assert!(own.sources("sid").contains("http://deb.debian.org/debian sid main"), "{own:?}");
        assert_eq!(Mirrors::named(Distribution::Debian, &settings), Some(mirrors));
        assert_eq!(Mirrors::named(Distribution::Ubuntu, &settings), None);
        let settings = Settings { ubuntu_mirror: Some("https://m/u".into()), ..Settings::default() };
        let mirrors = Mirrors::choose(Distribution::Ubuntu, &settings);
        let lines = mirrors.sources("noble");
        assert!(lines.ends_with("deb https://m/u noble-security main universe\n"), "{lines}");
    }
}
