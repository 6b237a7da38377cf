//! What conditions came to, and `check` blocks: what does not hold there is only warned of.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_lang::definitions::Condition;
use andon_schema::{CheckStatus, Checked, CheckedKind, InstanceAddress, ModuleStep};
use andon_text::{Diagnostic, Diagnostics, Severity};
use andon_value::Value;

use super::evaluate::{check, inside};
use super::view::View;
use super::{Graph, Key, NodeId, Place, ResourceId};
use crate::input::PlanMode;

/// What conditions came to, by what has them.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By stack, kind and address; then by which of its conditions they are.
    all: BTreeMap<(Arc<str>, CheckedKind, String), Parts>,
}

/// By what kind of conditions, what they came to and what those say that do not hold.
type Parts = BTreeMap<&'static str, (CheckStatus, Vec<String>)>;

/// What some conditions of one thing came to.
#[derive(Debug)]
pub(super) struct Judged {
    kind: CheckedKind,
    what: &'static str,
    of: String,
    status: CheckStatus,
    problems: Vec<String>,
}

impl Results {
    fn note(&mut self, stack: &Arc<str>, judged: Judged) {
        let Judged { kind, what, of, status, problems } = judged;
        let of = match of.split_once('/') {
            Some((before, rest)) if before == &**stack && !stack.is_empty() => rest.to_owned(),
            _ => of,
        };
        self.all.entry((Arc::clone(stack), kind, of)).or_default().insert(what, (status, problems));
    }

    /// By stack, each sorted.
    pub fn by_stack(&self) -> BTreeMap<Arc<str>, Vec<Checked>> {
        let mut stacks: BTreeMap<Arc<str>, Vec<Checked>> = BTreeMap::new();
        for ((stack, kind, object), parts) in &self.all {
            let worst = [CheckStatus::Error, CheckStatus::Fail, CheckStatus::Unknown];
            let status = worst.into_iter().find(|status| parts.values().any(|(part, _)| part == status));
            let status = status.unwrap_or(CheckStatus::Pass);
            let problems = parts.values().flat_map(|(_, problems)| problems).cloned().collect();
            let checked =
                Checked { kind: *kind, config: without_keys(object), object: object.clone(), status, problems };
            stacks.entry(Arc::clone(stack)).or_default().push(checked);
        }
        stacks.values_mut().for_each(|checked| checked.sort());
        stacks
    }
}

/// What conditions came to, where some were judged again: what was found later counts. Sorted.
pub(crate) fn latest(earlier: Vec<Checked>, later: Vec<Checked>) -> Vec<Checked> {
    let all = earlier.into_iter().chain(later).map(|it| ((it.kind, it.object.clone()), it));
    let mut latest: Vec<Checked> = all.collect::<BTreeMap<_, _>>().into_values().collect();
    latest.sort();
    latest
}

impl Graph {
    /// What conditions came to so far.
    pub fn checked(&self) -> &Results {
        &self.results
    }

    /// Keeps what an evaluation found of conditions.
    pub(super) fn note_checked(&mut self, key: &Key, judged: Vec<Judged>) {
        if judged.is_empty() {
            return;
        }
        let stack = match key {
            Key::Instance(resource, _) | Key::Verified(resource, _) => {
                self.resources.get(*resource).map(|resource| Arc::clone(&resource.address.stack))
            }
            Key::Variable(module, _) | Key::Output(module, _) | Key::Check(module, _) => {
                self.module(*module).map(|module| Arc::clone(&module.stack))
            }
            _ => None,
        };
        let Some(stack) = stack else { return };
        judged.into_iter().for_each(|judged| self.results.note(&stack, judged));
    }

    /// A `check` block reads what failed: nobody can say whether it holds.
    pub(super) fn check_failed(&mut self, key: &Key) {
        let Key::Check(module, name) = key else { return };
        let Some(instance) = self.module(*module) else { return };
        let of = format!("{}check.{name}", way(&instance.path));
        let (kind, what, status) = (CheckedKind::Check, "assertion", CheckStatus::Error);
        self.note_checked(key, vec![Judged { kind, what, of, status, problems: Vec::new() }]);
    }

    /// The node of the `check` block that an address within a stack names, or of the next call on the way to it that
    /// is not open yet.
    pub fn want_check(&mut self, stack: &str, address: &str) -> Option<NodeId> {
        let mut at = *self.roots().get(stack)?;
        let (mut rest, name) = address.rsplit_once("check.")?;
        while !rest.is_empty() {
            let here = self.module(at)?;
            let child = here.children.iter().find_map(|((name, key), child)| {
                let step = ModuleStep { name: Arc::clone(name), key: key.clone() };
                rest.strip_prefix(&way(&[step])).map(|rest| (rest, *child))
            });
            let Some((after, child)) = child else {
                let called = rest.strip_prefix("module.")?;
                let name: Arc<str> = called.get(..called.find(['[', '.'])?)?.into();
                return here.module.calls.contains_key(&name).then(|| self.want(Key::CallKeys(at, name)));
            };
            (rest, at) = (after, child);
        }
        Some(self.want(Key::Check(at, name.into())))
    }

    /// The node of the conditions of an instance that the plan being applied leaves as it is; `None` of any other, and
    /// where a module on the way to it is not open yet.
    pub fn want_conditions(&mut self, address: &InstanceAddress) -> Option<NodeId> {
        self.settled.as_ref()?.value(address, &self.input.state)?;
        let Place::Node(node) = self.locate(address) else { return None };
        let Some(Key::Instance(resource, key)) = self.key(node).cloned() else { return None };
        Some(self.want(Key::Verified(resource, key)))
    }

    /// Whether a data source is there for a `check` block alone.
    pub fn is_scoped(&self, node: NodeId) -> bool {
        matches!(self.key(node), Some(Key::Instance(resource, _)) if self.scoped.contains(resource))
    }

    /// Takes up the data source of a check.
    pub(super) fn add_scoped(&mut self, resource: ResourceId) {
        self.scoped.insert(resource);
    }
}

/// The assertions of a `check` block. What does not hold is warned of.
///
/// # Errors
/// What is wrong with an assertion itself.
pub(super) fn check_block(view: &View<'_>, name: &Arc<str>) -> Result<Value, Diagnostics> {
    let module = view.module();
    let Some(block) = module.module.checks.get(name) else { return Ok(Value::NULL) };
    if let Some(resource) = block.data.as_ref().and_then(|data| module.resources.get(&data.key)) {
        view.read(Key::Resource(*resource), Some(block.span));
    }
    let of = inside(view, &format!("check.{name}"));
    if let Err(problems) = judge(&block.asserts, CheckedKind::Check, "assertion", &of, view) {
        let (broken, wrong): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| problem.subject.as_deref() == Some(&*of));
        view.note_warnings(warnings(broken.into_iter().collect()));
        if !wrong.is_empty() {
            return Err(wrong.into_iter().collect());
        }
    }
    Ok(Value::NULL)
}

/// The same problems, none of which ends anything.
pub(crate) fn warnings(problems: Diagnostics) -> Diagnostics {
    problems.into_iter().map(|problem| Diagnostic { severity: Severity::Warning, ..problem }).collect()
}

/// Checks conditions and notes what they come to. `true` where one hangs on something unknown.
///
/// # Errors
/// What does not hold, and what is wrong with a condition.
pub(super) fn judge(
    conditions: &[Condition],
    kind: CheckedKind,
    what: &'static str,
    of: &str,
    view: &View<'_>,
) -> Result<bool, Diagnostics> {
    if conditions.is_empty() {
        return Ok(false);
    }
    let result = check(conditions, what, of, view);
    let (status, problems) = match &result {
        Ok(false) => (CheckStatus::Pass, Vec::new()),
        Ok(true) => (CheckStatus::Unknown, Vec::new()),
        Err(problems) => {
            let failed: Vec<&Diagnostic> =
                problems.iter().filter(|problem| problem.subject.as_deref() == Some(of)).collect();
            let messages = failed.iter().map(|problem| problem.detail.lines().next().unwrap_or_default().to_owned());
            let status = if failed.len() == problems.len() { CheckStatus::Fail } else { CheckStatus::Error };
            (status, messages.collect())
        }
    };
    view.note_judged(Judged { kind, what, of: of.to_owned(), status, problems });
    match result {
        // A look at the world is not in the way of what it finds.
        Err(problems) if status == CheckStatus::Fail && kind == CheckedKind::Resource && only_looks(view) => {
            view.note_warnings(warnings(problems));
            Ok(false)
        }
        result => result,
    }
}

fn only_looks(view: &View<'_>) -> bool {
    view.graph().input().mode == PlanMode::RefreshOnly
}

fn way(path: &[ModuleStep]) -> String {
    let step = |step: &ModuleStep| {
        let key = step.key.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("module.{}{key}.", step.name)
    };
    path.iter().map(step).collect()
}

/// An address without the keys of instances.
fn without_keys(address: &str) -> String {
    let (mut text, mut quoted, mut inside, mut escaped) = (String::new(), false, false, false);
    for letter in address.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if inside => quoted = !quoted,
            '[' if !quoted => inside = true,
            ']' if !quoted => inside = false,
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    text
}
