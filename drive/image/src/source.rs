use std::path::{Component, Path, PathBuf};

use andon_schema::Failure;

use crate::Reference;

/// The releases of Debian by their names, and by their numbers where they have one: <https://www.debian.org/releases/>.
const DEBIAN: [(&str, &str); 6] =
    [("bullseye", "11"), ("bookworm", "12"), ("trixie", "13"), ("forky", "14"), ("duke", "15"), ("sid", "unstable")];

/// The releases of Ubuntu that are kept up for years: <https://ubuntu.com/about/release-cycle>.
const UBUNTU: [(&str, &str); 4] = [("focal", "20.04"), ("jammy", "22.04"), ("noble", "24.04"), ("resolute", "26.04")];

/// What ends the name of an archive that tar(1) reads.
const ARCHIVES: [&str; 8] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".tar.lz4"];

/// A distribution whose releases are made from its package mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Distribution {
    const ALL: [Distribution; 2] = [Distribution::Debian, Distribution::Ubuntu];

    /// As `from` has it: `debian`.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Distribution::Debian => "debian",
            Distribution::Ubuntu => "ubuntu",
        }
    }

    /// As it calls itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Distribution::Debian => "Debian",
            Distribution::Ubuntu => "Ubuntu",
        }
    }

    fn releases(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Distribution::Debian => &DEBIAN,
            Distribution::Ubuntu => &UBUNTU,
        }
    }

    /// The one of this id.
    pub(crate) fn of_id(id: &str) -> Option<Distribution> {
        Distribution::ALL.into_iter().find(|it| it.id() == id)
    }

    /// Reads `debian:bookworm`; `None` where it is something else.
    fn parse(text: &str) -> Option<Result<Source, Failure>> {
        let (id, asked) = text.split_once(':').unwrap_or((text, ""));
        let distribution = Distribution::of_id(id)?;
        let mut releases = distribution.releases().iter();
        Some(match releases.find(|(name, number)| asked == *name || asked == *number) {
            Some((release, _)) => Ok(Source::Release { distribution, release: (*release).to_owned() }),
            None => {
                let known: Vec<_> =
                    distribution.releases().iter().map(|(name, _)| format!("`{}:{name}`", distribution.id())).collect();
                let name = distribution.name();
                let detail = format!("{name} has no release `{asked}` that images are made from.");
                Err(Failure::new(format!("{name} has no such release"), detail)
                    .help(format!("Use one of {}.", known.join(", "))))
            }
        })
    }
}

/// What an image starts from: the `from` of its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A release of a distribution, from its package mirror: `debian:bookworm`.
    Release {
        /// Whose release.
        distribution: Distribution,
        /// Its name: `bookworm`.
        release: String,
    },
    /// The packages that are installed on this machine, as they brought their files: `host`.
    Host,
    /// The same without `/usr`, for servers that see this machine's own there, and with no service that starts by itself. No
    /// definition names it.
    HostSettings,
    /// A directory that holds a root file system.
    Directory(PathBuf),
    /// A tar archive of a root file system, compressed or not.
    Archive(PathBuf),
    /// An image in a registry: `registry.example/team/base:1.2`.
    Registry(Reference),
    /// An image in a layout of the Open Container Initiative: `oci:DIRECTORY` or `oci:DIRECTORY:TAG`.
    Layout {
        /// The directory.
        path: PathBuf,
        /// Its name there; the only image where none is named.
        tag: Option<String>,
    },
    /// Another image of the project, by the name of its definition: `image.base`. Only the caller knows its digest.
    Image(String),
}

impl Source {
    /// Whether a `from` is the path of a directory or an archive by the look of it.
    pub fn is_path(text: &str) -> bool {
        text.starts_with(['.', '/']) || text.starts_with("oci:") || ARCHIVES.iter().any(|end| text.ends_with(end))
    }

    /// Reads a `from`. Paths are relative to the project's directory.
    pub fn parse(text: &str, project: &Path) -> Result<Source, Failure> {
        if let Some(name) = text.strip_prefix("image.") {
            return Ok(Source::Image(name.to_owned()));
        }
        if let Some(release) = Distribution::parse(text) {
            return release;
        }
        if text == "host" {
            return Ok(Source::Host);
        }
        if let Some(layout) = text.strip_prefix("oci:") {
            let (path, tag) = match layout.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
                _ => (layout, None),
            };
            let path = below(project, path);
            return match path.join("index.json").is_file() {
                true => Ok(Source::Layout { path, tag }),
                false => Err(Failure::new(
                    "there is no such base",
                    format!("{} holds no image layout: there is no index.json in it.", path.display()),
                )
                .help("Write oci:DIRECTORY:TAG; a path in `from` starts at the project's directory.")),
            };
        }
        if !Source::is_path(text) && Reference::is_like(text) {
            return Reference::parse(text).map(Source::Registry);
        }
        let path = below(project, text);
        if !text.is_empty() && (Source::is_path(text) || path.exists()) {
            return match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => Ok(Source::Directory(path)),
                Ok(_) => Ok(Source::Archive(path)),
                Err(error) => {
                    Err(Failure::new("there is no such base", format!("Cannot read {}: {error}.", path.display()))
                        .help("A path in `from` starts at the project's directory."))
                }
            };
        }
        let failure = match text {
            "" => Failure::new("the image has no base", "The `from` of the image is empty."),
            _ => Failure::new(
                "there is no such base",
                format!(
                    "`{text}` is no release of Debian or Ubuntu, no path, no image of the project, and no reference with its registry."
                ),
            ),
        };
        Err(failure
            .help("Use a release (`debian:bookworm`), a reference (`docker.io/library/alpine:3`), a directory or tar archive (`./rootfs`), a layout (`oci:DIRECTORY`), `host`, or `image.NAME`."))
    }
}

/// A path of a definition, as messages show it: without what says nothing, as in `././rootfs`.
fn below(project: &Path, text: &str) -> PathBuf {
    let path: PathBuf = project.join(text).components().filter(|part| *part != Component::CurDir).collect();
    if path.as_os_str().is_empty() { ".".into() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_short_as_they_are() {
        for (project, text, shown) in
            [(".", "./root", "root"), (".", ".", "."), ("shop", "./a/./b", "shop/a/b"), ("shop", "../a", "shop/../a")]
        {
            assert_eq!(below(Path::new(project), text).to_str(), Some(shown), "{project} {text}");
        }
    }

    #[test]
    fn bases_are_told_apart() {
        let project = std::env::temp_dir();
        let check = |text: &str, expected: Result<Source, &str>| {
            let found = Source::parse(text, &project).map_err(|failure| failure.summary);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        let debian =
            |release: &str| Ok(Source::Release { distribution: Distribution::Debian, release: release.into() });
        let jammy = Source::Release { distribution: Distribution::Ubuntu, release: "jammy".into() };
        check("ubuntu:jammy", Ok(jammy.clone()));
        check("ubuntu:22.04", Ok(jammy));
        check("ubuntu:jamie", Err("Ubuntu has no such release"));
        check("debian:bookworm", debian("bookworm"));
        check("debian:13", debian("trixie"));
        check("debian:unstable", debian("sid"));
        check("debian:bookwurm", Err("Debian has no such release"));
        check("debian", Err("Debian has no such release"));
        check("debian:", Err("Debian has no such release"));
        check("debian:../x", Err("Debian has no such release"));
        check("image.base", Ok(Source::Image("base".into())));
        check("/", Ok(Source::Directory("/".into())));
        check(".", Ok(Source::Directory(project.join("."))));
        check("/etc/passwd", Ok(Source::Archive("/etc/passwd".into())));
        check("./not/there", Err("there is no such base"));
        check("not-there.tar.xz", Err("there is no such base"));
        check("", Err("the image has no base"));
        check("host", Ok(Source::Host));
        let reference = Reference::parse("docker.io/library/nginx:1").unwrap();
        check("docker.io/library/nginx:1", Ok(Source::Registry(reference)));
        check("docker.io/library/NGINX", Err("this is no reference to a registry"));
        check("oci:not/there:1", Err("there is no such base"));
        check("alpine:3", Err("there is no such base"));
    }
}
