use std::fmt;
use std::sync::Arc;

use andon_text::Diagnostic;
use andon_value::{Path, PathStep, Value};

use crate::{Complaint, HostReport, Identity, InstanceAddress, Kept, ProviderAddress, ProviderConfigAddress, Via};

/// What a decision must know of the world to go on (invariant 2). Questions change nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What would become of this instance? Answered by [`Answer::Planned`].
    PlanChange {
        /// The instance.
        address: InstanceAddress,
        /// Its planned name, where the object exists already.
        identity: Option<Identity>,
        /// The plugin; `None` for what is built in. So everywhere below.
        via: Option<Box<Via>>,
        /// The object as it is, refreshed; `None` to create one.
        prior: Option<Value>,
        /// What the plugin is asked to make of the configuration; there where `via` is.
        proposed: Option<Value>,
        /// The configuration, of the schema's type: what the user did not give is null; what is not known yet is
        /// unknown. Null as a whole where the object is to be deleted; only plugins are asked that.
        config: Value,
        /// The configuration as it is written, where `config` has what is there already in place of some of it
        /// (`ignore_changes`): what is there may hold what no configuration may.
        written: Option<Value>,
    },
    /// How is this object now? Answered by [`Answer::Object`], or by a plugin with [`Answer::Found`].
    ReadObject {
        /// The instance.
        address: InstanceAddress,
        /// Its planned name.
        identity: Identity,
        /// The plugin.
        via: Option<Box<Via>>,
        /// The object as it was last seen.
        prior: Value,
        /// Look how it is in the world; else the plugin only brings what is stored to its schema of today.
        refresh: bool,
    },
    /// What does this data source give? Answered by [`Answer::Object`]. Asked only once `config` is wholly known.
    ReadData {
        /// The instance.
        address: InstanceAddress,
        /// The plugin.
        via: Option<Box<Via>>,
        /// The configuration, of the schema's type.
        config: Value,
    },
    /// How is the object in the world that has this name, which nobody manages yet? Answered by [`Answer::Found`].
    Import {
        /// The instance that is to take it over.
        address: InstanceAddress,
        /// The plugin.
        via: Box<Via>,
        /// What names the object.
        by: ImportBy,
    },
    /// What would this object of another type, or of another provider, be as one of this type? Answered by
    /// [`Answer::Found`].
    MoveObject {
        /// The instance that is to take it over.
        address: InstanceAddress,
        /// The plugin of that; what is kept is what the other one kept.
        via: Box<Via>,
        /// The provider that the object was of.
        from: ProviderConfigAddress,
        /// The type that it was of.
        kind: Arc<str>,
        /// Its attributes.
        prior: Value,
    },
    /// What does this ephemeral resource give? It is kept open until the run ends. Answered by [`Answer::Object`].
    /// Asked only once `config` is wholly known.
    OpenEphemeral {
        /// The instance.
        address: InstanceAddress,
        /// The plugin.
        via: Box<Via>,
        /// The configuration, of the schema's type.
        config: Value,
    },
    /// What does this function of a provider give? Answered by [`Answer::Function`].
    CallFunction(Arc<FunctionCall>),
}

impl From<Planned> for Answer {
    fn from(planned: Planned) -> Answer {
        Answer::Planned(Box::new(planned))
    }
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
    Planned(Box<Planned>),
    /// How an object is; `None` where it is gone.
    Object(Option<Value>),
    /// How an object of a plugin is.
    Found(Box<FoundObject>),
    /// What a function gave.
    Function(FunctionAnswer),
    /// The world did not answer.
    Failed(Failure),
}

/// What would become of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// All its attributes; unknown where the apply decides.
    pub value: Value,
    /// What cannot change in place: its change replaces the object. Empty for an update.
    pub replace: Vec<Path>,
    /// What would be done inside servers.
    pub report: Option<HostReport>,
    /// What the plugin plans to keep; the apply gives it back.
    pub kept: Kept,
    /// The plugin does not hold to its own schema in all, and says so: its plan is not held against the configuration.
    pub legacy: bool,
    /// What it warns of.
    pub warnings: Vec<Complaint>,
}

/// How an object of a plugin is.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundObject {
    /// What was stored, as an object of the schema of today.
    pub stored: Value,
    /// The object as it is; `None` where it is gone.
    pub now: Option<Value>,
    /// What the plugin keeps with it.
    pub kept: Kept,
    /// What it warns of.
    pub warnings: Vec<Complaint>,
}

/// What names an object that is imported.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportBy {
    /// A text that means something to the provider.
    Id(Arc<str>),
    /// A value of the type's schema for identities.
    Identity(Value),
}

/// One provisioner, to be run for one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvisionerRun {
    /// The type: `local-exec`.
    pub kind: Arc<str>,
    /// Its arguments, wholly known.
    pub config: Value,
    /// How the server is reached, wholly known; null where nothing says.
    pub connection: Value,
    /// Whether the apply goes on where it fails.
    pub continues: bool,
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
        /// The plugin.
        via: Option<Box<Via>>,
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
        /// The plugin.
        via: Option<Box<Via>>,
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
        /// The plugin.
        via: Option<Box<Via>>,
        /// The object as it was last seen.
        prior: Value,
        /// The plugin was asked about it when it was planned.
        asked: bool,
        /// What is planned to take its place, where it goes first to make room for that; as far as it is known.
        makes_way_for: Option<Value>,
    },
    /// Run provisioners, one after the other, until one fails that the apply does not go on without. The outcome has no
    /// object.
    Provision {
        /// The instance.
        address: InstanceAddress,
        /// The name of its object.
        identity: Identity,
        /// What to run.
        runs: Vec<ProvisionerRun>,
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
        /// What the plugin keeps with the object.
        kept: Kept,
    },
    /// Nobody knows what came of it: whoever did it is gone, and took the answer along.
    Lost(Failure),
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// The object as it is now: after a failed create, what was made and must be replaced, or `None` where
        /// nothing of it is left; after a failed update or delete, the object as it is, or `None` where it is gone.
        value: Option<Value>,
        /// What was done inside servers until then.
        report: Option<HostReport>,
        /// What the plugin keeps with the object; `None` where that is what it kept before.
        kept: Option<Kept>,
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
    /// All that was said, each at its place, where that is more than this. It is shown and not stored.
    pub complaints: Vec<Complaint>,
    /// The provider configuration that it is about, where that is at fault and not what was asked. Not stored.
    pub of: Option<Arc<ProviderConfigAddress>>,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(summary: impl Into<String>, detail: impl Into<String>) -> Failure {
        Failure { summary: summary.into(), detail: detail.into(), help: Vec::new(), complaints: Vec::new(), of: None }
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help.push(help.into());
        self
    }

    /// Says which argument it is about.
    pub fn about(self, argument: &str) -> Failure {
        self.at(Path::from_iter([PathStep::Attribute(argument.into())]))
    }

    /// Says what of the configuration it is about, unless that is said already.
    pub fn at(mut self, path: Path) -> Failure {
        if self.complaints.is_empty() {
            let (summary, detail) = (self.summary.clone(), self.detail.clone());
            self.complaints.push(Complaint { error: true, summary, detail, path });
        }
        self
    }

    /// The same without what `value` holds as a secret, which who failed may know nothing of.
    pub fn without_secrets_of(&self, value: &Value) -> Failure {
        Failure {
            summary: value.without_secrets(&self.summary),
            detail: value.without_secrets(&self.detail),
            help: self.help.iter().map(|help| value.without_secrets(help)).collect(),
            complaints: self.complaints.iter().map(|complaint| complaint.without_secrets_of(value)).collect(),
            of: self.of.clone(),
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

impl Complaint {
    /// The same without what `value` holds as a secret.
    pub fn without_secrets_of(&self, value: &Value) -> Complaint {
        Complaint {
            summary: value.without_secrets(&self.summary),
            detail: value.without_secrets(&self.detail),
            ..self.clone()
        }
    }
}

impl Planned {
    /// What would become of an instance, where no plugin says so: the names are those of arguments that replace it.
    pub fn new(value: Value, replace: &[String], report: Option<HostReport>) -> Planned {
        let path = |name: &String| Path::from_iter([PathStep::Attribute(name.as_str().into())]);
        Planned {
            value,
            replace: replace.iter().map(path).collect(),
            report,
            kept: Kept::default(),
            legacy: false,
            warnings: Vec::new(),
        }
    }
}

impl Outcome {
    /// It is done, by what keeps nothing beside the attributes.
    pub fn done(value: Option<Value>, report: Option<HostReport>) -> Outcome {
        Outcome::Done { value, report, kept: Kept::default() }
    }

    /// It failed, and left this; whatever is kept beside the attributes is as it was.
    pub fn failed(failure: Failure, value: Option<Value>, report: Option<HostReport>) -> Outcome {
        Outcome::Failed { failure, value, report, kept: None }
    }
}

impl Command {
    /// The instance that it is about.
    pub fn address(&self) -> &InstanceAddress {
        match self {
            Command::Create { address, .. }
            | Command::Update { address, .. }
            | Command::Delete { address, .. }
            | Command::Provision { address, .. } => address,
        }
    }

    /// The plugin that has to do it; `None` where what is built in does.
    pub fn via(&self) -> Option<&Via> {
        match self {
            Command::Create { via, .. } | Command::Update { via, .. } | Command::Delete { via, .. } => via.as_deref(),
            Command::Provision { .. } => None,
        }
    }

    /// The name of the object that it is about.
    pub fn identity(&self) -> &Identity {
        match self {
            Command::Create { identity, .. }
            | Command::Update { identity, .. }
            | Command::Delete { identity, .. }
            | Command::Provision { identity, .. } => identity,
        }
    }
}

impl Question {
    /// The instance that it is about; `None` where it is about none.
    pub fn address(&self) -> Option<&InstanceAddress> {
        match self {
            Question::PlanChange { address, .. }
            | Question::ReadObject { address, .. }
            | Question::ReadData { address, .. }
            | Question::Import { address, .. }
            | Question::MoveObject { address, .. }
            | Question::OpenEphemeral { address, .. } => Some(address),
            Question::CallFunction(_) => None,
        }
    }

    /// The plugin that has to answer it; `None` where what is built in does.
    pub fn via(&self) -> Option<&Via> {
        match self {
            Question::PlanChange { via, .. } | Question::ReadObject { via, .. } | Question::ReadData { via, .. } => {
                via.as_deref()
            }
            Question::Import { via, .. } | Question::MoveObject { via, .. } | Question::OpenEphemeral { via, .. } => {
                Some(via)
            }
            Question::CallFunction(_) => None,
        }
    }
}
