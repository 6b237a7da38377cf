//! Saved plans: the answers that a plan was made from.
//!
//! A plan is a function of its input and of the world's answers (invariant 2). So a saved plan holds what the input was
//! made from and every answer, and whoever applies it makes the plan again, with no plugin started: where the same
//! questions no longer come up, or another plan comes of them, what it was made from has moved, and nothing is done.
//! The file is sealed: it holds secrets as the state does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use andon_lang::definitions::Project;
use andon_lang::{Given, GivenArgument};
use andon_ledger::codec::{decode_answer, encode_answer};
use andon_plan::{Plan, PlanInput, PlanMode, Scope, storable};
use andon_schema::{Answer, ConfiguredProvider, Failure, InstanceAddress, Question, TargetAddress};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::{Completion, Job, Sink, Ticket, World, plan};

/// The version of the format that this program writes, and the only one that it reads: a saved plan is applied by the
/// program that made it.
const VERSION: u64 = 2;

/// What a saved plan begins with, before it is sealed.
const KIND: &str = "andon plan";

/// A plan, as it was saved.
#[derive(Debug, Clone)]
pub struct SavedPlan {
    /// The version of Andon that made it.
    pub andon: String,
    /// The environment.
    pub environment: Arc<str>,
    /// The stacks that were asked for; empty for all.
    pub stacks: Vec<Arc<str>>,
    /// What it is for.
    pub mode: PlanMode,
    /// Whether objects were looked at.
    pub refresh: bool,
    /// What it is held to.
    pub scope: Scope,
    /// When it was made, in seconds since 1970.
    pub planned: i64,
    /// The values that input variables were given from outside of the project's files.
    pub given: Given,
    /// What definitions were generated of, for this plan.
    pub generated: Vec<InstanceAddress>,
    /// The digest of every definition file of the project, by path. What else definitions read shows in the questions.
    pub files: BTreeMap<String, String>,
    /// The ledger's entry that the state goes up to which it was made against.
    pub based_on: u64,
    /// What the world answered, by the digest of the question, in the order of the questions.
    answers: Vec<(String, Answer)>,
    /// The digest of the plan.
    digest: String,
}

/// Plans, and keeps what the plan was made from: `given` and `planned` are those of [`SavedPlan`].
pub fn plan_and_save(
    input: PlanInput,
    given: Given,
    planned: i64,
    world: &mut dyn World,
    sink: &mut dyn Sink,
) -> Result<(Plan, SavedPlan), Diagnostics> {
    let (environment, mode, refresh) = (Arc::clone(&input.environment), input.mode, input.refresh);
    let (scope, stacks) = (input.scope.clone(), input.stacks.clone());
    let files = digests(&input.project);
    let mut recorder = Recorder { world, asked: BTreeMap::new(), answers: Vec::new() };
    let plan = plan(input, &mut recorder, sink)?;
    let saved = SavedPlan {
        andon: env!("CARGO_PKG_VERSION").to_owned(),
        environment,
        stacks,
        mode,
        refresh,
        scope,
        planned,
        given,
        generated: Vec::new(),
        files,
        based_on: plan.based_on,
        answers: recorder.answers,
        digest: digest_of(&plan),
    };
    Ok((plan, saved))
}

impl SavedPlan {
    /// Makes the plan again, from the answers that were saved. What is open only while a run lasts is asked for anew.
    ///
    /// # Errors
    /// Where what it was made from has moved since; the words say what.
    pub fn replay(&self, input: PlanInput, world: &mut dyn World, sink: &mut dyn Sink) -> Result<Plan, Diagnostics> {
        let moved = moved_files(&self.files, &digests(&input.project));
        if !moved.is_empty() {
            return Err(stale(format!("Since it was made, {} changed.", listed(&moved))));
        }
        let mut answers: BTreeMap<&str, VecDeque<&Answer>> = BTreeMap::new();
        for (question, answer) in &self.answers {
            answers.entry(question).or_default().push_back(answer);
        }
        let mut replayer = Replayer { world, answers, ready: VecDeque::new(), unanswered: Vec::new() };
        let made = plan(input, &mut replayer, sink);
        if let Some(first) = replayer.unanswered.first() {
            return Err(stale(format!("{first} is not as it was then.")));
        }
        let made = made?;
        if digest_of(&made) != self.digest {
            return Err(stale("A plan that is made now is another one: the state has changed.".to_owned()));
        }
        Ok(made)
    }

    /// As bytes, not sealed yet.
    ///
    /// # Errors
    /// Where an answer holds what must not be in a file.
    pub fn encode(&self) -> Result<Vec<u8>, Failure> {
        let answers = self.answers.iter().map(|(question, answer)| {
            let answer =
                encode_answer(answer).map_err(|error| Failure::new("the plan cannot be saved", error.to_string()))?;
            Ok(json!([question, answer]))
        });
        let arguments = self.given.arguments.iter().map(|argument| match argument {
            GivenArgument::Text { name, text } => json!({ "name": name, "text": text }),
            GivenArgument::File { path, content } => json!({ "path": path, "content": STANDARD.encode(content) }),
        });
        let record = json!({
            "kind": KIND,
            "version": VERSION,
            "andon": self.andon,
            "environment": &*self.environment,
            "stacks": self.stacks.iter().map(|stack| &**stack).collect::<Vec<_>>(),
            "mode": mode_word(self.mode),
            "refresh": self.refresh,
            "targets": self.scope.targets.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "excludes": self.scope.excludes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "replace": self.scope.replace.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "planned": self.planned,
            "given": { "environment": self.given.environment, "arguments": arguments.collect::<Vec<_>>() },
            "generated": self.generated.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "files": self.files,
            "based_on": self.based_on,
            "answers": answers.collect::<Result<Vec<Json>, Failure>>()?,
            "digest": self.digest,
        });
        Ok(record.to_string().into_bytes())
    }

    /// What [`SavedPlan::encode`] wrote.
    ///
    /// # Errors
    /// Where it is no saved plan, or one of another version of Andon.
    pub fn decode(bytes: &[u8]) -> Result<SavedPlan, Failure> {
        let json: Json = serde_json::from_slice(bytes).map_err(|error| damaged(&error.to_string()))?;
        if at(&json, "kind") != KIND {
            return Err(damaged("it begins as no plan does"));
        }
        let andon = at(&json, "andon").as_str().unwrap_or_default().to_owned();
        if *at(&json, "version") != VERSION || andon != env!("CARGO_PKG_VERSION") {
            let detail = format!("Andon {andon} made it, and this is {}.", env!("CARGO_PKG_VERSION"));
            return Err(Failure::new("the plan was made by another version of Andon", detail).help("Plan again."));
        }
        read(&json, andon).ok_or_else(|| damaged("something of it is missing"))
    }
}

fn read(json: &Json, andon: String) -> Option<SavedPlan> {
    let text = |name: &str| at(json, name).as_str().map(str::to_owned);
    let pair = |pair: &Json| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
    let pairs = |list: &Json| list.as_array()?.iter().map(pair).collect::<Option<Vec<_>>>();
    let argument = |argument: &Json| {
        let field = |name: &str| at(argument, name).as_str().map(str::to_owned);
        match field("name") {
            Some(name) => Some(GivenArgument::Text { name, text: field("text")? }),
            None => {
                let content = STANDARD.decode(field("content")?).ok()?;
                Some(GivenArgument::File { path: field("path")?, content: content.into() })
            }
        }
    };
    let answer = |(question, answer): (String, String)| Some((question, decode_answer(&answer).ok()?));
    let files = at(json, "files").as_object()?.iter();
    Some(SavedPlan {
        andon,
        environment: text("environment")?.into(),
        stacks: each(at(json, "stacks"), |text| Some(text.into()))?,
        mode: mode_of(at(json, "mode").as_str()?)?,
        refresh: at(json, "refresh").as_bool()?,
        scope: Scope {
            targets: each(at(json, "targets"), |text| TargetAddress::parse(text).ok())?,
            excludes: each(at(json, "excludes"), |text| TargetAddress::parse(text).ok())?,
            replace: each(at(json, "replace"), |text| InstanceAddress::parse(text).ok())?,
            unsaid: false,
        },
        planned: at(json, "planned").as_i64()?,
        given: Given {
            environment: pairs(at(at(json, "given"), "environment"))?,
            arguments: at(at(json, "given"), "arguments").as_array()?.iter().map(argument).collect::<Option<_>>()?,
            to_tests: false,
        },
        generated: each(at(json, "generated"), |text| InstanceAddress::parse(text).ok())?,
        files: files.map(|(path, digest)| Some((path.clone(), digest.as_str()?.to_owned()))).collect::<Option<_>>()?,
        based_on: at(json, "based_on").as_u64()?,
        answers: pairs(at(json, "answers"))?.into_iter().map(answer).collect::<Option<_>>()?,
        digest: text("digest")?,
    })
}

/// A member; null where there is none.
fn at<'a>(json: &'a Json, name: &str) -> &'a Json {
    json.get(name).unwrap_or(&Json::Null)
}

fn each<T>(list: &Json, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    list.as_array()?.iter().map(|it| read(it.as_str()?)).collect()
}

/// A world that keeps what another one answers.
struct Recorder<'a> {
    world: &'a mut dyn World,
    asked: BTreeMap<Ticket, String>,
    answers: Vec<(String, Answer)>,
}

impl World for Recorder<'_> {
    fn start(&mut self, ticket: Ticket, job: Job) {
        if let Job::Ask(question) = &job
            && is_kept(question)
        {
            self.asked.insert(ticket, digest(question));
        }
        self.world.start(ticket, job);
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        let completion = self.world.wait(at_most);
        if let Completion::Answered(ticket, answer) = &completion
            && let Some(question) = self.asked.remove(ticket)
        {
            self.answers.push((question, answer.clone()));
        }
        completion
    }
}

/// A world that answers what was answered before.
struct Replayer<'a> {
    world: &'a mut dyn World,
    answers: BTreeMap<&'a str, VecDeque<&'a Answer>>,
    ready: VecDeque<Completion>,
    /// What it was asked about, and was not asked about before.
    unanswered: Vec<String>,
}

impl World for Replayer<'_> {
    fn start(&mut self, ticket: Ticket, job: Job) {
        let question = match job {
            Job::Ask(question) if is_kept(&question) => question,
            job => return self.world.start(ticket, job),
        };
        let known = self.answers.get_mut(digest(&question).as_str()).and_then(VecDeque::pop_front).cloned();
        let answer = known.unwrap_or_else(|| {
            let about = question.address().map_or_else(|| "a function".to_owned(), ToString::to_string);
            self.unanswered.push(about);
            Answer::Failed(Failure::new("the saved plan has no answer to this", "What it was made from has moved."))
        });
        self.ready.push_back(Completion::Answered(ticket, answer));
    }

    fn wait(&mut self, at_most: Duration) -> Completion {
        match self.ready.pop_front() {
            Some(completion) => completion,
            None => self.world.wait(at_most),
        }
    }
}

/// What is open only while a run lasts is in no file.
fn is_kept(question: &Question) -> bool {
    !matches!(question, Question::OpenEphemeral { .. })
}

/// The same program writes the same question in the same way, whatever ephemeral values are in it: those are others in
/// every run.
fn digest(question: &Question) -> String {
    let mut lasting = question.clone();
    if let Question::PlanChange { config, proposed, written, .. } = &mut lasting {
        // This is made of the rest, and has no marks that tell what is ephemeral.
        *proposed = proposed.take().map(|proposed| Value::null(proposed.ty()));
        *config = storable(config);
        *written = written.as_ref().map(storable);
    }
    let via = match &mut lasting {
        Question::PlanChange { via, .. } | Question::ReadObject { via, .. } | Question::ReadData { via, .. } => {
            via.as_mut()
        }
        Question::Import { via, .. } | Question::MoveObject { via, .. } | Question::OpenEphemeral { via, .. } => {
            Some(via)
        }
        Question::CallFunction(_) => None,
    };
    if let Some(via) = via {
        let config = storable(&via.provider.config);
        via.provider = Arc::new(ConfiguredProvider { address: via.provider.address.clone(), config });
    }
    hex(&format!("{lasting:?}"))
}

fn digest_of(plan: &Plan) -> String {
    // What happened meanwhile in other environments changes nothing.
    hex(&format!("{:?}", Plan { based_on: 0, ..plan.clone() }))
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What definitions are made of, so that it can be said what of it has moved.
fn digests(project: &Project) -> BTreeMap<String, String> {
    let hex = |content: &[u8]| Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let content = |path: &Arc<str>| project.files.read("", path).map(|content| (path.to_string(), hex(content)));
    project.bodies.keys().filter_map(content).collect()
}

fn moved_files(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let new = now.iter().filter(|(path, digest)| before.get(*path) != Some(digest)).map(|(path, _)| path);
    let mut moved: Vec<String> = gone.chain(new).cloned().collect();
    moved.sort();
    moved
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

fn stale(detail: String) -> Diagnostics {
    Diagnostic::error("what the plan was made from has moved")
        .detail(detail)
        .help("Nothing was done. Plan again, and look at what it shows.")
        .into()
}

fn damaged(why: &str) -> Failure {
    Failure::new("this is no saved plan, or a damaged one", format!("{why}.")).help("Plan again with `-out`.")
}

fn mode_word(mode: PlanMode) -> &'static str {
    match mode {
        PlanMode::Normal => "normal",
        PlanMode::Destroy => "destroy",
        PlanMode::RefreshOnly => "refresh-only",
    }
}

fn mode_of(word: &str) -> Option<PlanMode> {
    [PlanMode::Normal, PlanMode::Destroy, PlanMode::RefreshOnly].into_iter().find(|mode| mode_word(*mode) == word)
}
