//! Keeping a server as its roles say: what `andon agent` does each time. The definitions come from elsewhere; what was
//! there last is kept, so that a server is kept as it should be while its source is gone, or holds a mistake.

mod origin;
mod records;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_ledger::Timestamp;
use andon_reach::{Target, run_agent};
use andon_schema::{Failure, HostReport};
use andon_source::Web;
use andon_text::nearest;
use andon_value::Value;
use sha2::{Digest, Sha256};

use crate::agent::{AgentReply, AgentRequest, Task, lines};
use crate::project::read_own_files;

pub use origin::{Definitions, Origin};
pub use records::{Record, Records, Sort};

/// How a server is kept.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// Where the definitions come from.
    pub origin: Origin,
    /// The roles, in the order in which they are converged.
    pub roles: Vec<String>,
    /// Values of their parameters: an object.
    pub params: Value,
    /// The directory for what is kept: root's own.
    pub kept: PathBuf,
    /// This program, as its own helper.
    pub helper: PathBuf,
    /// Only say what differs.
    pub look_only: bool,
}

/// What came of one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    /// Why the definitions are those of an earlier time, where they are.
    pub stale: Option<String>,
    /// Each role, and what changed, or why it could not be converged.
    pub roles: Vec<(String, Result<HostReport, String>)>,
    /// Whether what differed was defined so the last time, too.
    pub sort: Sort,
}

impl Synced {
    /// Whether anything failed.
    pub fn has_failed(&self) -> bool {
        self.roles.iter().any(|(_, outcome)| outcome.as_ref().map_or(true, HostReport::has_failed))
    }

    /// How much changed, or would.
    pub fn changes(&self) -> usize {
        let reports = self.roles.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        reports.map(|report| report.changes().count()).sum()
    }
}

impl Upkeep {
    /// Does it once: fetches what is newer, converges, and records what came of it. Progress is said a line at a time.
    ///
    /// # Errors
    /// Where there are no definitions, not even old ones, or another sync of this server is under way.
    pub fn sync(&self, web: &dyn Fn() -> Web, at: Timestamp, say: &mut dyn FnMut(&str)) -> Result<Synced, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(format!("{} cannot be used", self.kept.display()), format!("{error}."))
                .help("Run the agent as root, or name another directory with --state.")
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.kept).map_err(cannot)?;
        let _alone = alone(&self.kept.join("lock")).map_err(cannot)?.ok_or_else(|| {
            Failure::new("another sync of this server is under way", "Two at once would undo each other's work.")
        })?;
        let mut records = Records::read(&self.kept);
        let (bundle, stale) = self.bundle(web)?;
        let asked = self.asked(&bundle);
        let mut roles = Vec::new();
        for role in &self.roles {
            let outcome = self.converge(role, &bundle, say);
            let go_on = outcome.as_ref().is_ok_and(|report| self.look_only || !report.has_failed());
            roles.push((role.clone(), outcome));
            // What comes later may stand on what failed.
            if !go_on {
                break;
            }
        }
        let synced = Synced { stale, roles, sort: records.sort(&asked) };
        records.add(at, &asked, &synced, self.look_only);
        records.write().map_err(cannot)?;
        Ok(synced)
    }

    /// The roles with their files, as they are now, or else as they were last.
    fn bundle(&self, web: &dyn Fn() -> Web) -> Result<(Arc<[u8]>, Option<String>), Failure> {
        let kept = self.kept.join("bundle");
        let now = self.origin.refresh(web, &self.kept).and_then(|definitions| {
            let bundle = self.read(&definitions.directory)?;
            Ok((bundle, definitions.stale))
        });
        let old = fs::read(&kept).ok();
        match (now, old) {
            (Ok((bundle, stale)), old) => {
                if old.as_deref() != Some(&bundle) {
                    write_whole(&kept, &bundle).map_err(|error| {
                        Failure::new(format!("{} cannot be written", kept.display()), error.to_string())
                    })?;
                }
                Ok((bundle.into(), stale))
            }
            (Err(failure), Some(old)) => {
                let why = if failure.detail.is_empty() {
                    failure.summary
                } else {
                    format!("{}: {}", failure.summary, failure.detail)
                };
                Ok((old.into(), Some(why)))
            }
            (Err(failure), None) => Err(failure),
        }
    }

    fn read(&self, directory: &Path) -> Result<Vec<u8>, Failure> {
        let files = read_own_files(directory)
            .map_err(|error| Failure::new("the definitions cannot be read", format!("{error}.")))?;
        let (project, diagnostics) = andon_lang::load(Arc::new(files), "");
        if diagnostics.iter().any(|diagnostic| diagnostic.is_error()) {
            return Err(Failure::new("the definitions are wrong", lines(&diagnostics, &project.sources)));
        }
        for role in &self.roles {
            if !project.roles.contains_key(role.as_str()) {
                let failure = Failure::new(
                    format!("there is no role \"{role}\""),
                    format!("{} defines none of this name.", directory.display()),
                );
                let near = nearest(role, project.roles.keys().map(|name| &**name));
                return Err(near
                    .into_iter()
                    .fold(failure, |failure, near| failure.help(format!("Did you mean \"{near}\"?"))));
            }
        }
        Ok(andon_lang::bundle(&project, self.roles.iter().map(String::as_str)).encode())
    }

    fn converge(&self, role: &str, bundle: &Arc<[u8]>, say: &mut dyn FnMut(&str)) -> Result<HostReport, String> {
        let task = if self.look_only { Task::Plan } else { Task::Apply };
        let request =
            AgentRequest { task, role: role.to_owned(), params: self.params.clone(), bundle: Arc::clone(bundle) };
        let reply =
            run_agent(&Target::Local, &self.helper, &request.encode(), say).map_err(|error| error.to_string())?;
        AgentReply::decode(&reply).map(|reply| reply.report)
    }

    /// A digest of all that is asked of the server.
    fn asked(&self, bundle: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.roles.join("\n"));
        hash.update(andon_value::encode(&self.params).to_string());
        hash.update(bundle);
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{digest}")
    }
}

/// Holds a lock for as long as what is returned lives; `None` where somebody else does.
fn alone(path: &Path) -> std::io::Result<Option<fs::File>> {
    use std::os::fd::AsRawFd;
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    // SAFETY: the descriptor is open for as long as `file` is.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(Some(file)),
        _ => Ok(None),
    }
}

/// Writes a file that is there whole or not at all, for root alone.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    fs::rename(new, path)
}
