//! The kinds of check, and the loop that makes them until they hold or their time is up.

mod file;
mod network;
mod system;

use andon_schema::host::{Act, Assertion, Catalog, Look, Sight};
use andon_schema::{Attribute, Block, CheckResult};
use andon_value::Type;

use crate::args::{Args, block, check_duration, optional, parse_duration_ms};
use crate::converge::{Step, assertions};
use crate::formats;
use crate::world::World;

/// How long a check is tried again, unless it says.
const TIMEOUT_MS: u64 = 10_000;
/// How long is waited between two tries, unless it says.
const PAUSE_MS: u64 = 100;

/// One kind of check.
pub(crate) struct CheckKind {
    pub name: &'static str,
    pub schema: fn() -> Block,
    check: fn(&Args) -> Vec<String>,
    looks: fn(&Args) -> Vec<Look>,
    /// Why the assertion does not hold, if it does not.
    judge: fn(&Args, &World) -> Result<(), String>,
}

/// All kinds of check, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static CheckKind> {
    file::KINDS.iter().chain(&network::KINDS).chain(&system::KINDS)
}

/// A kind of check by its name.
pub(crate) fn find(name: &str) -> Option<&'static CheckKind> {
    all().find(|kind| kind.name == name)
}

/// What is wrong with the values of an assertion.
pub(crate) fn check(kind: &CheckKind, args: &Args) -> Vec<String> {
    let mut wrong = (kind.check)(args);
    wrong.extend(["timeout", "interval"].iter().filter_map(|name| check_duration(&args.text(name)?)));
    wrong
}

/// The checks of one run.
pub(crate) struct Checks {
    again: bool,
    pending: Vec<Pending>,
    /// When the first look was, by the server's clock.
    began_ms: Option<u64>,
    now_ms: u64,
    /// A look is under way.
    looking: bool,
}

struct Pending {
    result: CheckResult,
    assertion: Assertion,
    timeout_ms: u64,
    interval_ms: u64,
    /// How often it may be made yet; `None` for as often as there is time.
    tries: Option<u64>,
    /// When it is made next.
    due_ms: u64,
    settled: bool,
}

impl Pending {
    fn new(check: &str, address: String, assertion: &Assertion) -> Pending {
        let args = Args::of_assertion(assertion);
        let time = |name: &str| args.text(name).and_then(|text| parse_duration_ms(&text));
        let tries = args.whole("retries").map(|retries| retries.saturating_add(1));
        // So many tries take so long.
        let interval_ms = time("interval").unwrap_or(PAUSE_MS).max(10);
        let for_tries = tries.map(|tries| tries.saturating_mul(interval_ms).saturating_add(TIMEOUT_MS));
        Pending {
            result: CheckResult {
                check: check.to_owned(),
                assertion: address,
                origin: assertion.origin.to_string(),
                failure: None,
            },
            assertion: assertion.clone(),
            timeout_ms: time("timeout").or(for_tries).unwrap_or(TIMEOUT_MS),
            interval_ms,
            tries,
            due_ms: 0,
            settled: false,
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        !self.settled && self.due_ms <= now_ms
    }
}

impl Checks {
    /// With `again`, each check is made again until it holds or its time is up.
    pub fn new(catalog: &Catalog, again: bool) -> Checks {
        let all = catalog.checks.iter().flat_map(|check| {
            assertions(check).map(|(address, assertion)| Pending::new(&check.name, address, assertion))
        });
        Checks { again, pending: all.collect(), began_ms: None, now_ms: 0, looking: false }
    }

    /// The results of the checks that were made.
    pub fn results(&self) -> Vec<CheckResult> {
        self.pending.iter().filter(|pending| pending.settled).map(|pending| pending.result.clone()).collect()
    }

    /// The next step, or `None` when all are settled.
    pub fn next(&mut self, world: &mut World) -> Option<Step> {
        if self.looking {
            self.looking = false;
            self.judge(world);
            let due = self.pending.iter().filter(|pending| !pending.settled).map(|pending| pending.due_ms).min();
            return due.map(|due_ms| {
                let ms = due_ms.saturating_sub(self.now_ms).max(1);
                // Should the clock fail, time goes on all the same.
                self.now_ms = due_ms;
                Step::Act(vec![Act::Pause { ms }])
            });
        }
        let due = self.pending.iter().filter(|pending| pending.is_due(self.now_ms));
        let mut looks: Vec<Look> = due
            .flat_map(|pending| {
                let args = Args::of_assertion(&pending.assertion);
                find(&pending.assertion.kind).map(|kind| (kind.looks)(&args)).unwrap_or_default()
            })
            .collect();
        if self.pending.iter().all(|pending| pending.settled) {
            return None;
        }
        world.forget_all();
        looks.sort();
        looks.dedup();
        looks.push(Look::Clock);
        self.looking = true;
        Some(Step::Look(looks))
    }

    fn judge(&mut self, world: &World) {
        let clock_ms = match world.sight(&Look::Clock) {
            Some(Sight::Clock(ms)) => Some(*ms),
            _ => None,
        };
        let began_ms = *self.began_ms.get_or_insert(clock_ms.unwrap_or(0));
        let was_ms = self.now_ms;
        self.now_ms = clock_ms.map_or(was_ms, |ms| ms.saturating_sub(began_ms));
        for pending in self.pending.iter_mut().filter(|pending| pending.is_due(was_ms)) {
            let args = Args::of_assertion(&pending.assertion);
            let outcome = match find(&pending.assertion.kind) {
                Some(kind) => (kind.judge)(&args, world),
                None => Err(format!("there is no kind of check `{}`", pending.assertion.kind)),
            };
            pending.tries = pending.tries.map(|tries| tries.saturating_sub(1));
            let late = clock_ms.is_none() || self.now_ms >= pending.timeout_ms || pending.tries == Some(0);
            if outcome.is_ok() || !self.again || late {
                pending.result.failure = outcome.err();
                pending.settled = true;
            }
            pending.due_ms = self.now_ms.saturating_add(pending.interval_ms);
        }
    }
}

/// The shape of a kind of check: its own arguments, and those of every check.
fn timed(description: &str, attributes: &[(&str, Attribute)]) -> Block {
    let timeout = optional(Type::String, "How long it is tried again until it holds: `\"10s\"` unless given.");
    let interval = optional(Type::String, "How long is waited between two tries: `\"100ms\"` unless given.");
    let retries = optional(Type::Number, "How often it is tried again at most; without it, until its time is up.");
    let mut all = attributes.to_vec();
    all.push(("timeout", timeout.format(formats::DURATION)));
    all.push(("interval", interval.format(formats::DURATION)));
    all.push(("retries", retries.format(formats::COUNT)));
    block(description, &all)
}

fn name(of: &str) -> Attribute {
    optional(Type::String, &format!("The {of}; without it, the label."))
}

fn quoted(args: &Args, attribute: &str, text: &str) -> String {
    if args.is_secret(attribute) { "(a sensitive text)".to_owned() } else { format!("{text:?}") }
}

/// Texts of which one or each is asked for: an argument that takes one or many.
fn texts_of(args: &Args, attribute: &str) -> Vec<std::sync::Arc<str>> {
    args.text(attribute).into_iter().chain(args.texts(attribute)).collect()
}

/// What is wrong with the arguments that [`judge_text`] reads.
fn check_texts(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    for attribute in ["contains", "matches", "lacks"] {
        // What is not known yet is judged on the server.
        let count = texts_of(args, attribute).len();
        if args.has(attribute) && count < args.count(attribute).max(1) {
            wrong.push(format!("`{attribute}` is neither a text nor a list of texts"));
        }
    }
    let pattern = texts_of(args, "matches").into_iter().find(|pattern| regex_lite::Regex::new(pattern).is_err());
    wrong.extend(pattern.map(|pattern| format!("{} is no regular expression", quoted(args, "matches", &pattern))));
    wrong
}

/// Why a text does not hold and match all that is asked of it.
fn judge_text(args: &Args, what: &str, text: &str) -> Result<(), String> {
    if let Some(missing) = texts_of(args, "contains").into_iter().find(|wanted| !text.contains(&**wanted)) {
        return Err(format!("{what} does not hold {}", quoted(args, "contains", &missing)));
    }
    let fits = |pattern: &str| regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    if let Some(pattern) = texts_of(args, "matches").into_iter().find(|pattern| !fits(pattern)) {
        return Err(format!("{what} does not match {}", quoted(args, "matches", &pattern)));
    }
    if let Some(there) = texts_of(args, "lacks").into_iter().find(|unwanted| text.contains(&**unwanted)) {
        return Err(format!("{what} holds {}", quoted(args, "lacks", &there)));
    }
    Ok(())
}

/// The arguments that [`judge_text`] reads.
fn of_text(what: &str) -> [(&'static str, Attribute); 3] {
    [
        ("contains", optional(Type::Dynamic, &format!("A text that {what} holds, or a list of such."))),
        ("matches", optional(Type::Dynamic, &format!("A regular expression that {what} matches, or a list of such."))),
        ("lacks", optional(Type::Dynamic, &format!("A text that {what} does not hold, or a list of such."))),
    ]
}

fn failed(sight: Option<&Sight>) -> String {
    match sight {
        Some(Sight::Failed(reason)) => reason.clone(),
        _ => "the server did not answer a look".to_owned(),
    }
}
