//! The looks by which a converge observes one server; with them its acts, and the catalogs that it follows.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

pub use crate::act::{Act, CertificateWish, Install, Origin, Uninstall, UserWish, Verb};
pub use crate::catalog::{Assertion, Catalog, Check, Due, HostResource, Notify, fact_types};

/// Where a converge takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A running server.
    Live,
    /// The root file system of an image: nothing runs in it, and nothing is started.
    Image,
}

/// One small observation of a server. A look changes nothing, and is answered by one [`Sight`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// What is at a path, links not followed; with `content`, the bytes of a regular file. → [`Sight::Path`]
    Path {
        /// The absolute path.
        path: Arc<str>,
        /// Read a regular file.
        content: bool,
    },
    /// What is at a path, and whether it is a regular file with exactly these bytes. It is compared as it is read, so
    /// that a thousand files that are as they should be take no memory. → [`Sight::Same`]
    Same {
        /// The absolute path.
        path: Arc<str>,
        /// The bytes that it should have.
        content: Bytes,
    },
    /// The SHA-256 of a regular file. → [`Sight::Digest`]
    Digest(Arc<str>),
    /// The names in a directory. → [`Sight::Listing`]
    Listing(Arc<str>),
    /// All that is beneath a directory, links not followed. → [`Sight::Tree`]
    Tree(Arc<str>),
    /// Whether what an archive was unpacked to is still there, by the record that [`Act::Unpack`] left at this path.
    /// → [`Sight::Unpacked`]
    Unpacked(Arc<str>),
    /// A package, by name or `name:architecture`. → [`Sight::Package`]
    Package(Arc<str>),
    /// The package manager, and how it is. → [`Sight::Packages`]
    Packages,
    /// The versions in which a package can be had. → [`Sight::Candidates`]
    Candidates(Arc<str>),
    /// What package is in a file. → [`Sight::PackageFile`]
    PackageFile(Arc<str>),
    /// What starts and stops services. → [`Sight::Init`]
    Init,
    /// A service, as a unit of systemd with its suffix; other inits know it without `.service`. → [`Sight::Service`]
    Service(Arc<str>),
    /// A user. → [`Sight::User`]
    User(Arc<str>),
    /// A group. → [`Sight::Group`]
    Group(Arc<str>),
    /// A kernel setting: `net.core.somaxconn`. → [`Sight::Sysctl`]
    Sysctl(Arc<str>),
    /// What an earlier run owes. → [`Sight::Owed`]
    Owed,
    /// Whether anything listens on a port. → [`Sight::Port`]
    Port {
        /// TCP; else UDP.
        tcp: bool,
        /// The port.
        port: u16,
        /// Only what listens at exactly this address.
        address: Option<IpAddr>,
    },
    /// The answer to one HTTP request. → [`Sight::Http`]
    Http(HttpRequest),
    /// The addresses that a name has, by the server's own files and name servers. → [`Sight::Addresses`]
    Addresses {
        /// The name.
        name: Arc<str>,
        /// How long it may take.
        timeout_ms: u64,
    },
    /// The addresses of the server itself. → [`Sight::Addresses`]
    OwnAddresses,
    /// Whether a TCP connection comes about. → [`Sight::Reach`]
    Reach {
        /// The host, by name or address.
        host: Arc<str>,
        /// The port.
        port: u16,
        /// How long it may take.
        timeout_ms: u64,
    },
    /// Processes with this name. → [`Sight::Process`]
    Process {
        /// The name.
        name: Arc<str>,
        /// Only those of this user, by name or number.
        user: Option<Arc<str>>,
    },
    /// What a command that changes nothing says. → [`Sight::Command`]
    Command(Command),
    /// A certificate, with what it belongs to. → [`Sight::Certificate`]
    Certificate(CertificatePlace),
    /// Andon's own table of firewall rules. → [`Sight::Firewall`]
    Firewall,
    /// A clock that only goes forward. → [`Sight::Clock`]
    Clock,
}

/// What was seen: the answer to one [`Look`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// What is at the path; `None` where nothing is.
    Path(Option<Entry>),
    /// What is at the path, without its bytes, how many these are, and whether they are the given ones.
    Same {
        /// What is there; `None` where nothing is.
        entry: Option<Entry>,
        /// The length of a regular file, in bytes.
        length: u64,
        /// It is a regular file with the given bytes.
        same: bool,
    },
    /// Its SHA-256 in hexadecimal digits; `None` where no regular file is there.
    Digest(Option<Arc<str>>),
    /// The names in the directory, sorted; `None` where there is no directory.
    Listing(Option<Vec<Arc<str>>>),
    /// What is beneath it, in order of path, without the bytes of files; `None` where there is no directory.
    Tree(Option<Vec<(Arc<str>, Entry)>>),
    /// What was unpacked; `None` where there is no such record.
    Unpacked(Option<Unpacked>),
    /// Whether the package is installed.
    Package(Package),
    /// The package manager.
    Packages(Packages),
    /// First the version that the package manager would choose, then others, the newest first.
    Candidates(Vec<Arc<str>>),
    /// The package; `None` where there is no file.
    PackageFile(Option<PackageFile>),
    /// The init.
    Init(Init),
    /// The service; `None` where the init knows none of this name.
    Service(Option<Unit>),
    /// The user; `None` where there is none.
    User(Option<User>),
    /// The group; `None` where there is none.
    Group(Option<Group>),
    /// The value, blanks made single; `None` where the kernel has no such setting.
    Sysctl(Option<Arc<str>>),
    /// What is owed.
    Owed(Vec<Due>),
    /// Something listens.
    Port(bool),
    /// The answer, or why there is none.
    Http(Result<HttpAnswer, String>),
    /// The addresses, or why there are none.
    Addresses(Result<Vec<Arc<str>>, String>),
    /// It came about, or why it did not.
    Reach(Result<(), String>),
    /// How many processes there are.
    Process(usize),
    /// What the command said.
    Command(CommandOutput),
    /// The certificate; `None` where there is none.
    Certificate(Option<Certificate>),
    /// The table.
    Firewall(Firewall),
    /// Milliseconds since some moment in the past.
    Clock(u64),
    /// The look failed, and why.
    Failed(String),
}

/// The bytes of a file. Their debug form does not show them: they may be a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Arc<[u8]>);

/// What is known of an archive that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// What the act was given to remember.
    pub key: Arc<str>,
    /// Paths of what it unpacked that is gone, or is not as it was: the first few.
    pub changed: Vec<Arc<str>>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// The permission bits, `0o7777` at most.
    pub mode: u32,
    /// Whose it is.
    pub owner: Account,
    /// Its group.
    pub group: Account,
}

/// The kinds of entry of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file, with its bytes where they were asked for.
    File(Option<Bytes>),
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Link(Arc<str>),
    /// A device, socket or pipe.
    Other,
}

/// A user or group as the owner of something: by number, and by the name of that number where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The number.
    pub id: u32,
    /// The name; empty where the number has none.
    pub name: Arc<str>,
}

/// Whether a package is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Package {
    /// It is not, or not wholly.
    Missing,
    /// It is not, and its configuration is still there.
    Kept,
    /// It is.
    Installed {
        /// In this version.
        version: Arc<str>,
        /// The package manager is told to leave it as it is.
        held: bool,
    },
    /// Not itself, but another that is installed provides it.
    Provided,
}

/// A package manager, and how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packages {
    /// Which it is.
    pub manager: Manager,
    /// It was interrupted and must be repaired before it can work.
    pub broken: bool,
    /// How old its index of what can be had is; `None` where it has none.
    pub index_age_ms: Option<u64>,
}

/// The package managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// Debian's, over dpkg.
    Apt,
    /// Fedora's, over rpm; `dnf5` and `microdnf`, too.
    Dnf,
    /// The one before it.
    Yum,
    /// SUSE's, over rpm.
    Zypper,
    /// Alpine's.
    Apk,
    /// Arch's.
    Pacman,
}

/// A package in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}

/// What starts and stops services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Init {
    /// systemd.
    Systemd,
    /// OpenRC: Alpine's, Gentoo's.
    OpenRc,
    /// runit: Void's.
    Runit,
    /// Scripts in `/etc/init.d`, and links to them by runlevel.
    SysV,
}

/// A service, as its init sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// It is active, or on its way to be.
    pub running: bool,
    /// As `systemctl is-enabled` says: `enabled`, `disabled`, `static`, `masked`…; other inits know only the first two.
    pub enablement: Arc<str>,
    /// Its files changed since the init read them.
    pub stale: bool,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The number.
    pub uid: u32,
    /// The number of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: Arc<str>,
    /// The login shell.
    pub shell: Arc<str>,
    /// The supplementary groups, sorted.
    pub groups: Vec<Arc<str>>,
    /// What is said of it: its real name, mostly.
    pub comment: Arc<str>,
    /// The hash of its password, or what no password has: `!`, `*`. Behind a `!` it is locked.
    pub password: Bytes,
    /// When its password, and it itself, end.
    pub ageing: Ageing,
}

/// The days of shadow(5), -1 for none; `None` where nothing is known or asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ageing {
    /// Before a password may be changed again.
    pub min_days: Option<i32>,
    /// After which it must be changed.
    pub max_days: Option<i32>,
    /// Before that, in which the user is warned.
    pub warn_days: Option<i32>,
    /// After that, in which it still lets the user in.
    pub inactive_days: Option<i32>,
    /// The day on which the user may no longer log in, counted from 1970-01-01.
    pub expires: Option<i32>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The number.
    pub gid: u32,
    /// The users that it is a supplementary group of, sorted.
    pub members: Vec<Arc<str>>,
}

/// Where a certificate is, with its key and what signed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificatePlace {
    /// The absolute path of the certificate.
    pub certificate: Arc<str>,
    /// That of its key.
    pub key: Arc<str>,
    /// That of the certificate that signed it, or that certificate as PEM; `None` where it signed itself.
    pub authority: Option<Arc<str>>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// Its subject, as `CN`, `O` and their like with their values, sorted.
    pub subject: Vec<(Arc<str>, Arc<str>)>,
    /// The names that it is for, sorted.
    pub dns: Vec<Arc<str>>,
    /// The addresses that it is for, sorted.
    pub ips: Vec<Arc<str>>,
    /// What it is for: `digital_signature`, `server_auth`, sorted.
    pub usages: Vec<Arc<str>>,
    /// It may sign others.
    pub authority: bool,
    /// The kind of its key; `None` for one that is not known here.
    pub key: Option<KeyKind>,
    /// The key at its place is its own.
    pub key_fits: bool,
    /// It is signed by what is to have signed it.
    pub signed: bool,
    /// The seconds until it ends.
    pub lasts_s: i64,
}

/// The kinds of key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// ECDSA over NIST P-256.
    P256,
    /// ECDSA over NIST P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with this many bits.
    Rsa(u32),
}

/// Andon's own table of firewall rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewall {
    /// The chains that the kernel has.
    pub live: Vec<FirewallChain>,
    /// The file of the table that is read at boot; empty where there is none.
    pub kept: Arc<str>,
}

/// One chain of firewall rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirewallChain {
    /// Its name.
    pub name: Arc<str>,
    /// What becomes of what no rule matches.
    pub policy: Arc<str>,
    /// The comments of its rules, in order; empty where there is none.
    pub rules: Vec<Arc<str>>,
}

/// The answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status: 200.
    pub status: u16,
    /// The headers, as they came.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// The body, its first mebibyte at most.
    pub body: Bytes,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpRequest {
    /// The method: `GET`.
    pub method: Arc<str>,
    /// The address, `http://` or `https://`.
    pub url: Arc<str>,
    /// More headers; they may hold a secret.
    pub headers: Headers,
    /// The body; `None` for none.
    pub body: Option<Bytes>,
    /// How many redirects are followed.
    pub redirects: u32,
    /// The certificate of the other side must be trusted.
    pub verify: bool,
    /// How long it may take.
    pub timeout_ms: u64,
}

/// A program to run on a server, without a shell between. Its environment is clean but for a search path, a language
/// and root's home. Its debug form shows no secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Command {
    /// The program, by its name or path, and its arguments.
    pub words: Vec<Arc<str>>,
    /// More variables of its environment.
    pub environment: Vec<(Arc<str>, Arc<str>)>,
    /// The directory that it starts in; `None` for `/`.
    pub directory: Option<Arc<str>>,
    /// The user that it runs as, with all groups of that user and its home; `None` for root.
    pub user: Option<Arc<str>>,
    /// The permission bits that files made by it do not get; `None` for those of this process.
    pub umask: Option<u32>,
    /// What it reads; `None` for nothing.
    pub input: Option<Bytes>,
    /// The exit statuses that are a success; empty for 0 alone.
    pub returns: Vec<i32>,
    /// After this time it and all that it started are killed.
    pub timeout_ms: Option<u64>,
    /// It is given a secret, so that neither its words nor what it says may be shown.
    pub secret: bool,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandOutput {
    /// Its exit status: 128 and the number for one that a signal ended, 127 where there is no such program; `None`
    /// where its time was up.
    pub status: Option<i32>,
    /// What it wrote to standard output, the last mebibyte at most.
    pub output: Bytes,
    /// What it wrote to standard error, likewise.
    pub errors: Bytes,
}

/// Headers of a request. Their debug form shows their names alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Headers(pub Vec<(Arc<str>, Arc<str>)>);

impl fmt::Debug for Bytes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes(Arc::new([]))
    }
}

impl Command {
    /// A program and its arguments, run by root.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
        Command { words: words.into_iter().map(Arc::from).collect(), ..Command::default() }
    }

    /// A line for the shell.
    pub fn shell(line: &str) -> Command {
        Command::new(["/bin/sh", "-c", line])
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            let program = self.words.first().map_or("", |program| program);
            return write!(to, "Command({program} …)");
        }
        let names: Vec<&Arc<str>> = self.environment.iter().map(|(name, _)| name).collect();
        write!(to, "Command({:?} {names:?} {:?} {:?} {:?})", self.words, self.directory, self.user, self.input)
    }
}

impl CommandOutput {
    /// Whether it ended with 0.
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// What it wrote to standard output, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.0).into_owned()
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        Bytes(text.as_bytes().into())
    }
}

impl From<Arc<str>> for Bytes {
    fn from(text: Arc<str>) -> Bytes {
        Bytes(text.into())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes.into())
    }
}
