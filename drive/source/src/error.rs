use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be fetched. Its text is one line; [`FetchError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or none that lasted.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the network said.
        why: String,
    },
    /// A server that does not prove who it is.
    #[error("{url} is not trusted: {why}")]
    Untrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// The server answered, and refused.
    #[error("{url} answers {status}{}", reason(*.status))]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server's answer is not what such a server answers.
    #[error("{url} gives an answer that is not understood: {why}")]
    Odd {
        /// What was asked for.
        url: String,
        /// What is odd.
        why: String,
    },
    /// More than will be taken.
    #[error("{what} is larger than {limit_mebibytes} MiB")]
    TooLarge {
        /// What is too large.
        what: String,
        /// What would be taken.
        limit_mebibytes: u64,
    },
    /// The content is not the one that was asked for.
    #[error("{what} has the checksum {found}, not {wanted}")]
    Checksum {
        /// What was fetched.
        what: String,
        /// What it must come to.
        wanted: String,
        /// What it comes to.
        found: String,
    },
    /// A host that has no registry of these.
    #[error("{host} has no registry of {what}")]
    NoRegistry {
        /// The host.
        host: String,
        /// `modules` or `providers`.
        what: &'static str,
    },
    /// A provider that nobody there knows.
    #[error("{place} has no provider {provider}")]
    NoProvider {
        /// The registry's host, or the mirror.
        place: String,
        /// The provider.
        provider: String,
    },
    /// A version without a package for a platform.
    #[error("{provider} has no package for {platform}")]
    NoPackage {
        /// The provider and its version.
        provider: String,
        /// The platform.
        platform: String,
    },
    /// Checksums that nobody vouches for.
    #[error("the checksums of {provider} are not signed by whoever makes it: {why}")]
    Unsigned {
        /// The provider and its version.
        provider: String,
        /// What is wrong with the signature.
        why: String,
    },
    /// A module or a version that the registry does not know.
    #[error("{host} has no module {module}")]
    NoModule {
        /// The registry's host.
        host: String,
        /// The module, and perhaps its version.
        module: String,
    },
    /// There is no git.
    #[error("the program `git` is not there")]
    NoGit,
    /// git could not do it.
    #[error("git cannot {what}: {why}")]
    Git {
        /// What it was to do.
        what: String,
        /// The end of what it said.
        why: String,
    },
    /// A branch, tag or commit that the repository does not have.
    #[error("the repository has no branch, tag or commit `{reference}`")]
    NoReference {
        /// What was asked for.
        reference: String,
    },
    /// An archive that cannot be unpacked.
    #[error("the archive cannot be unpacked: {0}")]
    Archive(String),
    /// An archive with an entry that leads out of the directory it is unpacked into.
    #[error("the archive is refused: {0}")]
    Unsafe(String),
    /// A file of this machine.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The user asked for an end.
    #[error("interrupted")]
    Interrupted,
}

fn reason(status: u16) -> &'static str {
    match status {
        401 => " (unauthorized)",
        403 => " (forbidden)",
        404 => " (not found)",
        429 => " (too many requests)",
        500 => " (internal error)",
        502..=504 => " (unavailable)",
        _ => "",
    }
}

impl FetchError {
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> FetchError + use<'_> {
        move |source| FetchError::File { path: path.to_owned(), source }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            FetchError::Unreachable { .. } => {
                "Look at the network and at the proxy settings (HTTPS_PROXY), and try again."
            }
            FetchError::Untrusted { .. } => {
                "If its certificate is signed by an authority of your own, name the file of that in SSL_CERT_FILE."
            }
            FetchError::Refused { status: 401 | 403, .. } => {
                "Give a token: for a registry in TF_TOKEN_<host> or a `credentials` block, for a web server in ~/.netrc."
            }
            FetchError::Refused { status: 404, .. } => "Look whether the address is right.",
            FetchError::Refused { .. } => "The server has trouble: try again later.",
            FetchError::Odd { .. } => {
                "Look whether the address is right: it must be that of an archive, or of a page that says where the \
                 module is. A repository is written as \"git::https://…\"."
            }
            FetchError::Checksum { .. } => {
                "The content has changed, or was changed on the way. Correct \"checksum\" if you trust what is there now."
            }
            FetchError::NoRegistry { what: "providers", .. } => {
                "Look whether the host in \"source\" is right, and whether the proxy lets it through."
            }
            FetchError::NoProvider { .. } => {
                "Look whether \"source\" in required_providers is right: without one, a provider is taken to be \
                 hashicorp's. A private registry may need a token."
            }
            FetchError::NoPackage { .. } => {
                "Other versions may have one: look into the registry, and require one of those."
            }
            FetchError::Unsigned { .. } => {
                "Do not use it. Somebody may have changed the package; tell whoever makes the provider."
            }
            FetchError::NoRegistry { .. } => {
                "Look whether the host is right; a repository is written as \"git::https://…\"."
            }
            FetchError::NoModule { .. } => "Look whether the name is right; a private registry may need a token.",
            FetchError::NoGit => "Install git.",
            FetchError::NoReference { .. } => "Name one that there is after \"?ref=\".",
            FetchError::Git { .. } => {
                "Try the same with git itself; it must not need to ask for a password: use a credential helper, an SSH \
                 agent, or a token."
            }
            FetchError::Archive(_) => "Look whether the archive is whole, and of the kind that its name says.",
            FetchError::Unsafe(_) => "Whoever makes the archive must make it without this entry.",
            FetchError::TooLarge { .. } | FetchError::File { .. } | FetchError::Interrupted => return None,
        };
        Some(text.to_owned())
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, FetchError::Unreachable { .. } | FetchError::Refused { status: 429 | 500.., .. })
    }
}
