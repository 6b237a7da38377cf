//! The acts by which a converge changes one server.

use std::sync::Arc;

use crate::catalog::Due;
use crate::host::{Ageing, Bytes, CertificatePlace, Command, Headers, KeyKind, Look, Sight};

/// One small effect on a server. An act does not decide: it does what it says, or fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Puts a regular file at a path, whole or not at all. What is there, a link included, is replaced.
    WriteFile {
        /// The absolute path; its directory exists.
        path: Arc<str>,
        /// The bytes.
        content: Bytes,
        /// The permission bits; `None` for those of the file that it replaces, else 0644.
        mode: Option<u32>,
        /// The name or number of its owner; `None` for that of the file that it replaces, else root.
        owner: Option<Arc<str>>,
        /// The name or number of its group; `None` likewise.
        group: Option<Arc<str>>,
        /// A shell command that must succeed before the file is replaced. It sees the new content at `path`, or in a
        /// temporary file whose path takes the place of `%s`.
        validate: Option<Arc<str>>,
    },
    /// As [`Act::WriteFile`], with bytes that are got on the server.
    FetchFile {
        /// Where they are.
        from: Origin,
        /// The absolute path; its directory exists.
        path: Arc<str>,
        /// As of [`Act::WriteFile`].
        mode: Option<u32>,
        /// As of [`Act::WriteFile`].
        owner: Option<Arc<str>>,
        /// As of [`Act::WriteFile`].
        group: Option<Arc<str>>,
        /// As of [`Act::WriteFile`].
        validate: Option<Arc<str>>,
    },
    /// Unpacks an archive into a directory, which exists, and leaves a record of it.
    Unpack {
        /// Where the archive is. Whether it is a zip or a tar, and how that is compressed, is seen from its bytes.
        from: Origin,
        /// The directory.
        path: Arc<str>,
        /// How many steps are taken off the front of each name in the archive.
        strip: u32,
        /// Patterns (`*`, `**`, `?`) of names, after that; empty for all.
        only: Vec<Arc<str>>,
        /// Patterns of names that are left out.
        except: Vec<Arc<str>>,
        /// Who owns what is unpacked; `None` for root.
        owner: Option<Arc<str>>,
        /// Its group; `None` for root.
        group: Option<Arc<str>>,
        /// Where the record goes; see [`Look::Unpacked`].
        record: Arc<str>,
        /// What the record says of where this came from.
        key: Arc<str>,
    },
    /// Changes what is not `None` of a file or directory; a link is refused.
    SetMeta {
        /// The absolute path.
        path: Arc<str>,
        /// The permission bits.
        mode: Option<u32>,
        /// The name or number of its owner.
        owner: Option<Arc<str>>,
        /// The name or number of its group.
        group: Option<Arc<str>>,
    },
    /// Makes a directory, and those above it that are missing, root's with 0755.
    MakeDirectory {
        /// The absolute path.
        path: Arc<str>,
        /// The permission bits; `None` for 0755.
        mode: Option<u32>,
        /// The name or number of its owner; `None` for root.
        owner: Option<Arc<str>>,
        /// The name or number of its group; `None` for root.
        group: Option<Arc<str>>,
    },
    /// Puts a symbolic link at a path, in the place of a file or link.
    MakeLink {
        /// The absolute path.
        path: Arc<str>,
        /// What it points to, as written.
        target: Arc<str>,
    },
    /// Removes what is at a path, a directory with all that is in it; links are not followed.
    Remove {
        /// The absolute path.
        path: Arc<str>,
    },
    /// Finishes what the package manager was interrupted in.
    RepairPackages,
    /// Fetches the index of what can be had anew.
    RefreshPackages,
    /// Installs packages.
    InstallPackages(Install),
    /// Removes packages.
    RemovePackages(Uninstall),
    /// Has the package manager leave packages as they are, or no longer.
    HoldPackages {
        /// The packages.
        packages: Vec<Arc<str>>,
        /// Leave them.
        hold: bool,
    },
    /// Makes systemd read changed unit files.
    ReadUnits,
    /// Does something to a service.
    Service {
        /// The service, as a unit of systemd with its suffix.
        unit: Arc<str>,
        /// What.
        verb: Verb,
    },
    /// Adds a group.
    AddGroup {
        /// The group.
        name: Arc<str>,
        /// Its number; `None` for the next free.
        gid: Option<u32>,
        /// Take the number from those for the system.
        system: bool,
    },
    /// Changes what is not `None` of a group.
    ChangeGroup {
        /// The group.
        name: Arc<str>,
        /// Its number.
        gid: Option<u32>,
        /// The users that it is a supplementary group of, all of them.
        members: Option<Vec<Arc<str>>>,
    },
    /// Removes a group.
    RemoveGroup(Arc<str>),
    /// Adds a user, with a home directory unless it is one of the system's.
    AddUser {
        /// The user.
        name: Arc<str>,
        /// What is asked of it.
        wish: UserWish,
        /// Take the number from those for the system.
        system: bool,
    },
    /// Changes what is not `None` of a user.
    ChangeUser {
        /// The user.
        name: Arc<str>,
        /// What is asked of it.
        wish: UserWish,
    },
    /// Removes a user.
    RemoveUser {
        /// The user.
        name: Arc<str>,
        /// Its home directory, too, and its mail.
        home: bool,
    },
    /// Gives the running kernel a setting.
    SetSysctl {
        /// The setting: `net.core.somaxconn`.
        key: Arc<str>,
        /// The value.
        value: Arc<str>,
    },
    /// Makes a certificate.
    MakeCertificate {
        /// Where.
        place: CertificatePlace,
        /// What is asked of it.
        wish: CertificateWish,
    },
    /// Runs a command, which must end with a status that is a success.
    Run {
        /// The command.
        command: Command,
        /// What is said while it runs: `cloning /srv/app`; `None` for one that takes no time.
        doing: Option<Arc<str>>,
        /// What will be seen after it, as far as that is known before.
        makes: Vec<(Look, Sight)>,
        /// It changes nothing that anything but the looks of `makes` sees.
        only: bool,
    },
    /// Remembers on the server what is owed: reloads and restarts until it reboots.
    Owe(Vec<Due>),
    /// Forgets it.
    Settle(Vec<Due>),
    /// Lets time pass.
    Pause {
        /// How long.
        ms: u64,
    },
}

/// Where bytes are that a server gets itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// They travelled with the act.
    Bytes(Bytes),
    /// A file of the server.
    Path(Arc<str>),
    /// A web server.
    Url {
        /// The address, `http://` or `https://`.
        url: Arc<str>,
        /// More headers of the request; they may hold a secret.
        headers: Headers,
        /// The SHA-256 that the bytes must have, in hexadecimal digits.
        sha256: Option<Arc<str>>,
        /// How long all of it may take.
        timeout_ms: u64,
    },
}

/// What is asked of a user; `None` and empty ask nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserWish {
    /// The number.
    pub uid: Option<u32>,
    /// The name or number of the primary group.
    pub group: Option<Arc<str>>,
    /// The home directory.
    pub home: Option<Arc<str>>,
    /// The login shell.
    pub shell: Option<Arc<str>>,
    /// Supplementary groups to add it to.
    pub groups: Vec<Arc<str>>,
    /// It leaves all other supplementary groups.
    pub exclusive: bool,
    /// Whether a new one gets a home directory; `None` for all but those of the system.
    pub create_home: Option<bool>,
    /// What is in the old home directory moves to the new one.
    pub move_home: bool,
    /// What is said of it.
    pub comment: Option<Arc<str>>,
    /// The field of its password, in shadow(5).
    pub password: Option<Bytes>,
    /// When its password, and it itself, end.
    pub ageing: Ageing,
}

/// What is asked of a new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateWish {
    /// Its subject, as `CN`, `O` and their like with their values.
    pub subject: Vec<(Arc<str>, Arc<str>)>,
    /// The names that it is for.
    pub dns: Vec<Arc<str>>,
    /// The addresses that it is for.
    pub ips: Vec<Arc<str>>,
    /// What it is for.
    pub usages: Vec<Arc<str>>,
    /// It may sign others.
    pub is_authority: bool,
    /// How long it lasts.
    pub days: u32,
    /// It gets a new key, of this kind; else the one that is there.
    pub new_key: Option<KeyKind>,
    /// The path of the key that signs it, or that key as PEM; `None` for its own.
    pub authority_key: Option<Bytes>,
    /// The path of a file with it and what signed it.
    pub chain: Option<Arc<str>>,
    /// The permission bits of the certificate.
    pub mode: u32,
    /// Those of its key.
    pub key_mode: u32,
    /// The name or number of the owner of all; `None` for that of the files that they replace, else root.
    pub owner: Option<Arc<str>>,
    /// The name or number of their group; `None` likewise.
    pub group: Option<Arc<str>>,
}

/// What can be done to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Make it take up its configuration; one that cannot is restarted.
    Reload,
    /// Stop and start it.
    Restart,
    /// Have it started at boot.
    Enable,
    /// Not any more.
    Disable,
    /// Have nothing start it.
    Mask,
    /// Not any more.
    Unmask,
}

/// Packages to install, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Install {
    /// Each as `name`, `name=version`, or the absolute path of a file.
    pub packages: Vec<Arc<str>>,
    /// Those that they recommend, too.
    pub recommends: bool,
    /// An installed one may go back to an older version.
    pub downgrade: bool,
    /// More arguments for the package manager.
    pub options: Vec<Arc<str>>,
}

/// Packages to remove, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uninstall {
    /// Their names.
    pub packages: Vec<Arc<str>>,
    /// Their configuration, too.
    pub purge: bool,
    /// What came with them and nothing else needs, too.
    pub unneeded: bool,
}
