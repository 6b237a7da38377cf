//! Who does the work, and where this program keeps what is its own. Root keeps it for the machine, any other login for
//! itself.

use std::path::Path;

use nix::unistd::{AccessFlags, Uid, access, geteuid};

use crate::accounts::Accounts;

/// Whoever does the work.
#[derive(Debug, Clone, Copy)]
pub struct Login(Uid);

impl Login {
    /// Whoever runs this process.
    pub fn own() -> Login {
        Login(geteuid())
    }

    /// Whether it may do anything.
    pub fn is_root(&self) -> bool {
        self.0.is_root()
    }

    /// Its name, or its number where it has none.
    pub fn name(&self) -> String {
        let name = Accounts::read().owner(self.0.as_raw()).name;
        if name.is_empty() { self.0.to_string() } else { name.to_string() }
    }

    /// Whether this is its name or number.
    pub fn is(&self, owner: &str) -> bool {
        owner == self.0.to_string() || owner == self.name()
    }

    /// Whether it may make or replace what is at a path, with the directories above it.
    pub fn may_write(&self, path: &str) -> bool {
        let mut above = Path::new(path).parent();
        while let Some(directory) = above.filter(|directory| !directory.exists()) {
            above = directory.parent();
        }
        above.is_some_and(|directory| access(directory, AccessFlags::W_OK).is_ok())
    }
}

/// The home directory of whoever does the work.
pub(crate) fn home() -> String {
    let home = || std::env::var("HOME").ok().filter(|home| home.starts_with('/'));
    if geteuid().is_root() { "/root".to_owned() } else { home().unwrap_or_else(|| "/".to_owned()) }
}

/// What a reboot does not forget.
pub(crate) fn lasting() -> String {
    if geteuid().is_root() { "/var/lib/andon".to_owned() } else { format!("{}/.local/state/andon", home()) }
}

/// What a reboot may forget.
pub(crate) fn passing() -> String {
    if geteuid().is_root() { "/run/andon".to_owned() } else { format!("{}/.cache/andon", home()) }
}
