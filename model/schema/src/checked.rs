use std::fmt;

/// What the conditions of something came to: a check, a resource instance, an output or a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checked {
    /// What it is.
    pub kind: CheckedKind,
    /// Its address within its stack, without instance keys.
    pub config: String,
    /// Its address within its stack.
    pub object: String,
    /// What came of its conditions.
    pub status: CheckStatus,
    /// What the conditions that do not hold say.
    pub problems: Vec<String>,
}

/// What has conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckedKind {
    /// A resource, by its pre- and postconditions.
    Resource,
    /// An output, by its preconditions.
    Output,
    /// A `check` block, by its assertions.
    Check,
    /// An input variable, by its validations.
    Variable,
}

/// What came of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckStatus {
    /// All of them hold.
    Pass,
    /// One does not.
    Fail,
    /// One cannot be judged, as something is wrong with it or with what it reads.
    Error,
    /// One hangs on what is not known yet.
    Unknown,
}

impl CheckedKind {
    /// Every kind.
    pub const ALL: [CheckedKind; 4] =
        [CheckedKind::Resource, CheckedKind::Output, CheckedKind::Check, CheckedKind::Variable];
}

impl CheckStatus {
    /// Every status.
    pub const ALL: [CheckStatus; 4] = [CheckStatus::Pass, CheckStatus::Fail, CheckStatus::Error, CheckStatus::Unknown];
}

impl fmt::Display for CheckedKind {
    /// As Terraform's formats name it.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            CheckedKind::Resource => "resource",
            CheckedKind::Output => "output",
            CheckedKind::Check => "check",
            CheckedKind::Variable => "var",
        })
    }
}

impl fmt::Display for CheckStatus {
    /// As Terraform's formats name it.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            CheckStatus::Pass => "pass",
            CheckStatus::Fail => "fail",
            CheckStatus::Error => "error",
            CheckStatus::Unknown => "unknown",
        })
    }
}
