//! Where Debian's packages come from.

use std::process::{Command, Stdio};

use crate::Settings;

const MAIN: &str = "http://deb.debian.org/debian";
const SECURITY: &str = "http://deb.debian.org/debian-security";

/// The places of the main archive and of the security updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Mirrors {
    /// As the user says, else as this machine's apt is configured, else Debian's own.
    pub(crate) fn choose(settings: &Settings) -> Mirrors {
        if let Some(main) = &settings.debian_mirror {
            return Mirrors { main: tidy(main), security: settings.debian_security_mirror.as_deref().map(tidy) };
        }
        // Asks apt itself: the files that configure it have two formats and many places.
        let targets = Command::new("apt-get")
            .args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let mirrors = Mirrors::configured(&targets.map(|output| output.stdout).unwrap_or_default());
        match &settings.debian_security_mirror {
            Some(security) => Mirrors { security: Some(tidy(security)), ..mirrors },
            None => mirrors,
        }
    }

    fn configured(targets: &[u8]) -> Mirrors {
        let targets = String::from_utf8_lossy(targets);
        // What apt reads from a disc, or from a list of mirrors on this machine, an image cannot.
        let of = |label: &str| {
            targets
                .lines()
                .filter_map(|line| line.strip_prefix("Debian|")?.strip_prefix(label)?.strip_prefix('|'))
                .find(|place| place.starts_with("http://") || place.starts_with("https://"))
                .map(tidy)
        };
        Mirrors {
            main: of("Debian").unwrap_or_else(|| MAIN.to_owned()),
            security: Some(of("Debian-Security").unwrap_or_else(|| SECURITY.to_owned())),
        }
    }

    /// The main archive.
    pub(crate) fn main(&self) -> &str {
        &self.main
    }

    /// Whether packages come over TLS, which needs certificates.
    pub(crate) fn is_secure(&self) -> bool {
        self.main.starts_with("https:") || self.security.as_ref().is_some_and(|security| security.starts_with("https:"))
    }

    /// The lines of `sources.list` for a release.
    pub(crate) fn sources(&self, release: &str) -> String {
        let main = &self.main;
        let mut lines = format!("deb {main} {release} main\n");
        // What is not released yet is not updated apart from itself.
        if release != "sid" {
            lines.push_str(&format!("deb {main} {release}-updates main\n"));
            if let Some(security) = &self.security {
                lines.push_str(&format!("deb {security} {release}-security main\n"));
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
    fn mirrors_come_from_apt_where_it_has_debian() {
        let check = |targets: &str, main: &str, security: &str| {
            let mirrors = Mirrors::configured(targets.as_bytes());
            assert_eq!(mirrors, Mirrors { main: main.into(), security: Some(security.into()) }, "{targets}");
        };
        check("", MAIN, SECURITY);
        check("Ubuntu|Ubuntu|http://archive.example/ubuntu/\n", MAIN, SECURITY);
        check("Debian|Debian|mirror+file:/etc/apt/mirrors/debian.list\n", MAIN, SECURITY);
        check(
            "Node|x|https://n.example/\nDebian|Debian|http://near.example/debian/\nDebian|Debian-Security|https://sec.example/s/\n",
            "http://near.example/debian",
            "https://sec.example/s",
        );
    }

    #[test]
    fn what_the_user_says_is_all_there_is() {
        let settings = Settings { debian_mirror: Some("http://m/debian/".into()), debian_security_mirror: None };
        let mirrors = Mirrors::choose(&settings);
        assert_eq!(
            mirrors.sources("trixie"),
            "deb http://m/debian trixie main\ndeb http://m/debian trixie-updates main\n"
        );
        assert_eq!(mirrors.sources("sid"), "deb http://m/debian sid main\n");
        assert!(!mirrors.is_secure());
    }
}
