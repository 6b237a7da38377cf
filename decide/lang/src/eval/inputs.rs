use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::FileSet;
use crate::files::{clean, resolve};
use crate::functions::Templates;

/// What functions may read beside their arguments. They read nothing else: no file, no clock and no randomness that is
/// not here.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The project's files.
    pub files: &'a FileSet,
    /// The directory, relative to the project, that the paths of `file` and its like start from.
    pub base: &'a str,
    /// The absolute path of the project, for `abspath`; empty where it is not known, as on a server.
    pub project: &'a str,
    /// What `~` stands for in `pathexpand`; empty where it is not known.
    pub home: &'a str,
    /// The time and the randomness; without them, what asks for one is unknown.
    pub moment: Option<&'a Moment>,
    /// Templates that were parsed already; without them, each is parsed where it is used.
    pub templates: Option<&'a Templates>,
}

/// When an evaluation happens, and where its randomness comes from. The same moment gives the same values in the same
/// order of evaluation.
#[derive(Debug, Default)]
pub struct Moment {
    /// When the plan was made, in seconds since 1970: what `plantimestamp` says.
    planned: Option<i64>,
    /// What only an apply knows.
    applying: Option<Applying>,
}

#[derive(Debug)]
struct Applying {
    /// In seconds since 1970.
    seconds: i64,
    seed: [u8; 32],
    /// How many times something random was asked for.
    drawn: AtomicU64,
}

impl Moment {
    /// While planning: `timestamp`, `uuid` and `bcrypt` are known only after apply.
    pub fn planning(planned: i64) -> Moment {
        Moment { planned: Some(planned), applying: None }
    }

    /// While applying a plan that was made at `planned`, and at the console. Times are in seconds since 1970; the seed
    /// is where all randomness comes from.
    pub fn applying(planned: i64, seconds: i64, seed: [u8; 32]) -> Moment {
        Moment { planned: Some(planned), applying: Some(Applying { seconds, seed, drawn: AtomicU64::new(0) }) }
    }
}

impl<'a> Inputs<'a> {
    /// Files, and nothing else.
    pub fn of_files(files: &'a FileSet, base: &'a str, project: &'a str) -> Inputs<'a> {
        Inputs { files, base, project, home: "", moment: None, templates: None }
    }

    /// Where `path` leads in the project, as a path relative to the project; `None` where it leads out of it.
    pub(crate) fn locate(&self, path: &str) -> Option<String> {
        match path.strip_prefix(self.project).filter(|_| !self.project.is_empty()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => resolve("", rest.trim_start_matches('/')),
            _ => resolve(self.base, path),
        }
    }

    /// `path` from the root of the file system, with `.` and `..` followed; `None` where that is not known.
    pub fn absolute(&self, path: &str) -> Option<String> {
        match (path.starts_with('/'), self.project.is_empty()) {
            (true, _) => Some(clean(path)),
            (false, false) => Some(clean(&format!("{}/{}/{path}", self.project, self.base))),
            (false, true) => None,
        }
    }

    /// When the plan was made, in seconds since 1970.
    pub(crate) fn planned(&self) -> Option<i64> {
        self.moment?.planned
    }

    /// When the apply happens, in seconds since 1970.
    pub(crate) fn now(&self) -> Option<i64> {
        Some(self.moment?.applying.as_ref()?.seconds)
    }

    /// Sixteen random bytes, others each time.
    pub(crate) fn random(&self) -> Option<[u8; 16]> {
        let Applying { seed, drawn, .. } = self.moment?.applying.as_ref()?;
        let draw = drawn.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::new().chain_update(seed).chain_update(draw.to_be_bytes()).finalize();
        digest.get(..16)?.try_into().ok()
    }
}
