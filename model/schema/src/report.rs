/// What a converge did, or would do, inside one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostReport {
    /// One for each host resource of the catalog, in the order of the run; reloads and restarts come after them.
    pub entries: Vec<HostEntry>,
    /// One for each assertion of each check.
    pub checks: Vec<CheckResult>,
    /// The work ended before the catalog did: the entries not reached are [`EntryStatus::Skipped`].
    pub stopped: Option<String>,
}

/// What became, or would become, of one host resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// As the definition writes it: `file "/etc/motd"`; of a reload, `service "nginx"`.
    pub address: String,
    /// Where it is defined: `roles/web.role.hcl:12`; empty where it is not known.
    pub origin: String,
    /// What changes.
    pub change: Change,
    /// The attributes that differ, a line each: `mode 0600 → 0644`; for a reload, what asked for it. Never a secret.
    pub differences: Vec<String>,
    /// The unified diff of a file's text (context of three lines); `None` where there is none to show.
    pub diff: Option<String>,
    /// How it went.
    pub status: EntryStatus,
}

/// What changes of a host resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Nothing.
    None,
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is removed.
    Remove,
    /// The service takes its configuration up without a stop.
    Reload,
    /// The service is stopped and started.
    Restart,
    /// A command is run.
    Run,
}

/// How a host resource's change went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryStatus {
    /// Nothing was tried: this is a plan.
    Planned,
    /// It is as defined.
    Done,
    /// It failed, and why.
    Failed(String),
    /// It was not reached, or not meant for this server, and why.
    Skipped(String),
}

/// How one assertion about a server came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The name of the check: `answers`.
    pub check: String,
    /// The assertion as the definition writes it: `http "http://127.0.0.1:80/healthz"`.
    pub assertion: String,
    /// Where it is defined: `roles/web.role.hcl:40`.
    pub origin: String,
    /// Why it fails; `None` where it holds.
    pub failure: Option<String>,
}

impl HostReport {
    /// Why a run ended that was stopped by whoever asked for it.
    pub const CUT_SHORT: &str = "the run was stopped before its end";

    /// Whether it was stopped by whoever asked for it, and nothing else went wrong.
    pub fn is_cut_short(&self) -> bool {
        self.stopped.as_deref() == Some(HostReport::CUT_SHORT)
            && !self.entries.iter().any(|entry| matches!(entry.status, EntryStatus::Failed(_)))
    }

    /// Entries in which anything changes.
    pub fn changes(&self) -> impl Iterator<Item = &HostEntry> {
        self.entries.iter().filter(|entry| entry.change != Change::None)
    }

    /// What differs, and how: `file "/etc/motd"`, `mode 0644 → 0600`. Reloads follow from it and are none.
    pub fn differences(&self) -> impl Iterator<Item = (&str, String)> {
        let own = self.changes().filter(|entry| !matches!(entry.change, Change::Reload | Change::Restart));
        own.map(|entry| {
            let how = match (entry.change, entry.differences.as_slice()) {
                (Change::Create, _) => "is not there".to_owned(),
                (Change::Remove, _) => "is there".to_owned(),
                (_, []) => "content".to_owned(),
                (_, differences) => differences.join(", "),
            };
            (entry.address.as_str(), how)
        })
    }

    /// Whether nothing changes and every check holds.
    pub fn is_clean(&self) -> bool {
        self.stopped.is_none()
            && self.changes().next().is_none()
            && self.checks.iter().all(|check| check.failure.is_none())
    }

    /// Whether anything that was tried failed.
    pub fn has_failed(&self) -> bool {
        self.stopped.is_some()
            || self.entries.iter().any(|entry| matches!(entry.status, EntryStatus::Failed(_)))
            || self.checks.iter().any(|check| check.failure.is_some())
    }
}
