use std::fmt;
use std::sync::Arc;

use andon_text::Diagnostic;
use andon_value::Value;

use crate::{HostReport, Identity, InstanceAddress, ProviderAddress};

/// What a decision must know of the world to go on (invariant 2). Questions change nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What would become of this instance? Answered by [`Answer::Planned`].
    PlanChange {
        /// The instance.
        address: InstanceAddress,
        /// Its planned name, where the object exists already.
        identity: Option<Identity>,
        /// The object as it is, refreshed; `None` to create one.
        prior: Option<Value>,
        /// The configuration, of the schema's type: what the user did not give is null; what is not known yet is
        /// unknown.
        config: Value,
    },
    /// How is this object now? Answered by [`Answer::Object`].
    ReadObject {
        /// The instance.
        address: InstanceAddress,
        /// Its planned name.
        identity: Identity,
        /// The object as it was last seen.
        prior: Value,
    },
    /// What does this data source give? Answered by [`Answer::Object`]. Asked only once `config` is wholly known.
    ReadData {
        /// The instance.
        address: InstanceAddress,
        /// The configuration, of the schema's type.
        config: Value,
    },
    /// What does this function of a provider give? Answered by [`Answer::Function`].
    CallFunction(Arc<FunctionCall>),
}

/// One call of a provider's function. The same call has the same result, whoever asks and whenever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionCall {
    /// The provider.
    pub provider: ProviderAddress,
    /// The function's name, without the provider's.
    pub function: Arc<str>,
    /// The arguments, which fit the function's parameters and carry no marks.
    pub arguments: Vec<Value>,
}

/// What a call of a provider's function came to.
pub type FunctionAnswer = Result<Value, FunctionFault>;

/// Why a function of a provider gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFault {
    /// Why, as the provider says it.
    pub message: String,
    /// The argument that is to blame, counted from 0.
    pub argument: Option<usize>,
}

impl FunctionFault {
    /// What an answer that gives no result says.
    pub fn of(answer: Answer) -> FunctionFault {
        let message = match answer {
            Answer::Failed(failure) => format!("{}. {}", failure.summary, failure.detail).trim().to_owned(),
            _ => "the provider answered another question".to_owned(),
        };
        FunctionFault { message, argument: None }
    }
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What would become of an instance.
    Planned {
        /// All its attributes; unknown where the apply decides.
        value: Value,
        /// The attributes that cannot change in place: their change replaces the object. Empty for an update.
        replace: Vec<String>,
        /// What would be done inside servers.
        report: Option<HostReport>,
    },
    /// How an object is; `None` where it is gone.
    Object(Option<Value>),
    /// What a function gave.
    Function(FunctionAnswer),
    /// The world did not answer.
    Failed(Failure),
}

/// One effect on the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make the object.
    Create {
        /// The instance.
        address: InstanceAddress,
        /// The name to give it, and everything that is made for it.
        identity: Identity,
        /// The configuration, wholly known.
        config: Value,
        /// What was planned of it.
        planned: Value,
    },
    /// Change the object in place.
    Update {
        /// The instance.
        address: InstanceAddress,
        /// Its name.
        identity: Identity,
        /// The object as it is.
        prior: Value,
        /// The configuration, wholly known.
        config: Value,
        /// What was planned of it.
        planned: Value,
    },
    /// Remove the object.
    Delete {
        /// The instance.
        address: InstanceAddress,
        /// Its name.
        identity: Identity,
        /// The object as it was last seen.
        prior: Value,
    },
}

/// What came of a [`Command`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// The object as it is now, wholly known; `None` after a delete.
        value: Option<Value>,
        /// What was done inside servers.
        report: Option<HostReport>,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// The object as it is now: after a failed create, what was made and must be replaced, or `None` where
        /// nothing of it is left; after a failed update or delete, the object as it is, or `None` where it is gone.
        value: Option<Value>,
        /// What was done inside servers until then.
        report: Option<HostReport>,
    },
}

/// Why the world refused, as a driver tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, in one line without a full stop.
    pub summary: String,
    /// Why, in plain sentences, with what the tool that failed said.
    pub detail: String,
    /// What to do about it, a sentence each.
    pub help: Vec<String>,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(summary: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure { summary: summary.into(), detail: detail.into(), help: Vec::new() }
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help.push(help.into());
        self
    }

    /// The same without what `value` holds as a secret, which who failed may know nothing of.
    pub fn without_secrets_of(&self, value: &Value) -> Failure {
        Failure {
            summary: value.without_secrets(&self.summary),
            detail: value.without_secrets(&self.detail),
            help: self.help.iter().map(|help| value.without_secrets(help)).collect(),
        }
    }

    /// As a diagnostic about an instance.
    pub fn diagnostic(&self, subject: &InstanceAddress) -> Diagnostic {
        let diagnostic = Diagnostic::error(&self.summary).detail(&self.detail).subject(subject.to_string());
        self.help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.summary, self.detail)
    }
}

impl std::error::Error for Failure {}

impl Command {
    /// The instance that it is about.
    pub fn address(&self) -> &InstanceAddress {
        match self {
            Command::Create { address, .. } | Command::Update { address, .. } | Command::Delete { address, .. } => {
                address
            }
        }
    }

    /// The name of the object that it is about.
    pub fn identity(&self) -> &Identity {
        match self {
            Command::Create { identity, .. } | Command::Update { identity, .. } | Command::Delete { identity, .. } => {
                identity
            }
        }
    }
}

impl Question {
    /// The instance that it is about; `None` where it is about none.
    pub fn address(&self) -> Option<&InstanceAddress> {
        match self {
            Question::PlanChange { address, .. }
            | Question::ReadObject { address, .. }
            | Question::ReadData { address, .. } => Some(address),
            Question::CallFunction(_) => None,
        }
    }
}
