use std::sync::Arc;

use crate::host::Verb;

/// A run that changed a server, and what it kept to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptRun {
    /// Its number on this server: one more than that of the run before it.
    pub number: u64,
    /// Its name: the same on every server that it went over. Empty where it has none.
    pub name: Arc<str>,
    /// What was run: a role.
    pub title: Arc<str>,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// The paths that it changed, in the order of the first change of each.
    pub paths: Vec<KeptPath>,
    /// What else it did, which is not kept.
    pub deeds: Vec<KeptDeed>,
}

/// What a run did beside changing paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDeed {
    /// In words: `nginx was installed`.
    pub what: Arc<str>,
    /// A service that it had take up what changed: whoever puts files back has it do so again.
    pub again: Option<(Arc<str>, Verb)>,
}

/// A path that a run changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPath {
    /// The absolute path.
    pub path: Arc<str>,
    /// What was there before the run.
    pub was: KeptState,
    /// What the run made of it, whose mode and owner may not be known.
    pub is: KeptState,
    /// What is in it must not be shown.
    pub secret: bool,
}

/// What was at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptState {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// The SHA-256 of its content, in hexadecimal digits.
        digest: Arc<str>,
        /// Its permission bits.
        mode: u32,
        /// The number of its owner.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: u32,
        /// The number of its owner.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
    /// A symbolic link, and its target.
    Link(Arc<str>),
    /// What cannot be kept: a device, or a file that is too large.
    Other,
}
