//! The private halves of keys: age identities and OpenSSH keys.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{env, fmt, fs};

use age::secrecy::ExposeSecret;
use age::{Identity, ssh, x25519};

/// The variable that holds identities, or the path of a file with them.
pub const IDENTITY_VARIABLE: &str = "ANDON_AGE_IDENTITY";

/// The variable that names a file with identities.
pub const IDENTITY_FILE_VARIABLE: &str = "ANDON_AGE_IDENTITY_FILE";

/// Identities, any of which may open a file.
pub struct Identities {
    all: Vec<Key>,
    /// Where they are from, for messages.
    from: String,
}

enum Key {
    Age(x25519::Identity),
    Ssh(Box<ssh::Identity>),
}

/// Why there are no identities. No message holds anything of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("the identity file `{}` cannot be read: {detail}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Nothing is in it.
    #[error("{0} holds no identity")]
    Empty(String),
    /// It holds something else.
    #[error("{0} holds a line that is no age identity: each begins `AGE-SECRET-KEY-1`")]
    Unknown(String),
    /// It holds the public half.
    #[error("{0} holds a recipient, the public half of a key: give the identity")]
    Recipient(String),
    /// Nobody is there to be asked for its passphrase.
    #[error(
        "{0} is protected by a passphrase, which nobody is asked for: give one without, such as `andon secret keygen` makes"
    )]
    Passphrase(String),
    /// A key that age cannot use.
    #[error("{0} is a key that age cannot open files with: an age identity, ssh-ed25519 or ssh-rsa is needed")]
    Unsupported(String),
}

impl Identities {
    /// Those that the process's environment gives, or else those in the user's configuration; `None` where neither has
    /// any.
    pub fn of_user() -> Result<Option<Identities>, IdentityError> {
        Identities::given(&|name| env::var_os(name))
    }

    /// Those of a server: what its environment gives, `/etc/andon/identity`, or else the key that its SSH server has.
    pub fn of_server() -> Result<Option<Identities>, IdentityError> {
        if let Some(given) = Identities::of_user()? {
            return Ok(Some(given));
        }
        let files = ["/etc/andon/identity", "/etc/ssh/ssh_host_ed25519_key"].map(Path::new);
        // One that may not be read is another user's.
        files.into_iter().find(|path| fs::File::open(path).is_ok()).map(Identities::read).transpose()
    }

    /// The same with another environment.
    pub fn given(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Identities>, IdentityError> {
        let set = |name: &str| variable(name).filter(|text| !text.is_empty());
        if let Some(text) = set(IDENTITY_VARIABLE) {
            let shown = text.to_string_lossy();
            return match is_key(&shown) {
                true => Identities::parse(&shown, IDENTITY_VARIABLE).map(Some),
                false => Identities::read(Path::new(&text)).map(Some),
            };
        }
        if let Some(path) = set(IDENTITY_FILE_VARIABLE) {
            return Identities::read(Path::new(&path)).map(Some);
        }
        match Identities::usual_file(variable).filter(|path| path.exists()) {
            Some(path) => Identities::read(&path).map(Some),
            None => Ok(None),
        }
    }

    /// Where a user's identity is kept unless something else is said: `andon/identity` in the user's configuration.
    pub fn usual_file(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let set = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
        Some(base.join("andon/identity"))
    }

    /// Those in a file: lines of age identities, with comments, or one OpenSSH private key.
    pub fn read(path: &Path) -> Result<Identities, IdentityError> {
        let text =
            fs::read(path).map_err(|error| IdentityError::File { path: path.to_owned(), detail: plain(&error) })?;
        let from = format!("the identity file `{}`", path.display());
        if text.starts_with(b"age-encryption.org/") {
            return Err(IdentityError::Passphrase(from));
        }
        Identities::parse(&String::from_utf8_lossy(&text), &from)
    }

    /// Reads what a file holds. `from` says in messages where it is from.
    pub fn parse(text: &str, from: &str) -> Result<Identities, IdentityError> {
        let from = from.to_owned();
        if text.contains("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(IdentityError::Passphrase(from));
        }
        if text.contains("-----BEGIN ") {
            return match ssh::Identity::from_buffer(BufReader::new(text.as_bytes()), None) {
                Ok(ssh::Identity::Encrypted(_)) => Err(IdentityError::Passphrase(from)),
                Ok(ssh::Identity::Unsupported(_)) | Err(_) => Err(IdentityError::Unsupported(from)),
                Ok(identity) => Ok(Identities { all: vec![Key::Ssh(Box::new(identity))], from }),
            };
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut all = Vec::new();
        for line in lines {
            all.push(Key::Age(x25519::Identity::from_str(line).map_err(|_| match line.starts_with("age1") {
                true => IdentityError::Recipient(from.clone()),
                false => IdentityError::Unknown(from.clone()),
            })?));
        }
        if all.is_empty() { Err(IdentityError::Empty(from)) } else { Ok(Identities { all, from }) }
    }

    /// Where they are from, for messages.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The public halves, a line each.
    pub fn recipients(&self) -> Vec<String> {
        let public = |key: &Key| match key {
            Key::Age(identity) => Some(identity.to_public().to_string()),
            Key::Ssh(identity) => {
                ssh::Recipient::try_from((**identity).clone()).ok().map(|recipient| recipient.to_string())
            }
        };
        self.all.iter().filter_map(public).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Identity> {
        self.all.iter().map(|key| match key {
            Key::Age(identity) => identity as &dyn Identity,
            Key::Ssh(identity) => &**identity as &dyn Identity,
        })
    }
}

/// A new age identity and its recipient, as lines of text.
pub fn generate() -> (String, String) {
    let identity = x25519::Identity::generate();
    (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
}

fn is_key(text: &str) -> bool {
    text.lines().any(|line| line.trim().to_ascii_uppercase().starts_with("AGE-SECRET-KEY-"))
        || text.contains("-----BEGIN ")
}

/// An error of the system in its own words, without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl fmt::Debug for Identities {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Identities({} from {})", self.all.len(), self.from)
    }
}
