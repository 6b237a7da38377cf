//! What a planner does for its scope: which objects it reads when, what comes after everything that is wanted, and what
//! it says of names that mean nothing.

use std::collections::BTreeSet;

use andon_schema::{InstanceAddress, Mode};
use andon_text::{Diagnostic, Diagnostics};

use crate::graph::{Aside, Standing};
use crate::planner::{Found, Planner};
use crate::removal::removals;
use crate::{PlanMode, messages};

impl Planner {
    /// Whether an object is read before it is known what the plan comes to.
    pub(crate) fn is_read_at_once(&self, address: &InstanceAddress) -> bool {
        let scope = &self.input().scope;
        scope.targets.is_empty() && !scope.excludes(address)
    }

    /// All that was wanted is there: takes up what comes after that. Whether there is anything.
    pub(crate) fn go_further(&mut self) -> bool {
        if self.input().scope.targets.is_empty() || std::mem::replace(&mut self.chosen, true) {
            return false;
        }
        // What is deleted is read as it is now.
        let chosen = removals(&self.graph, |address| self.verdicts.contains_key(address));
        for address in chosen.current {
            if matches!(self.objects.get(&address), Some(Found::Later)) {
                self.read(&address);
            }
        }
        // An output is published anew where all that it reads is planned.
        if self.input().mode != PlanMode::Destroy {
            self.graph.close();
            self.graph.want_root_outputs();
        }
        true
    }

    /// Drift of what the plan leaves alone is not its business.
    pub(crate) fn forget_drift(&mut self) {
        if self.input().scope.is_partial() {
            let graph = &self.graph;
            let is_left = |address: &InstanceAddress| {
                graph.input().mode != PlanMode::Destroy && graph.standing(address) == Standing::Aside(Aside::Excluded)
            };
            // What was found is not recorded, as if nobody had looked.
            let left = self.drift.iter().filter(|drift| is_left(&drift.address));
            self.unasked.extend(left.map(|drift| drift.address.clone()));
            self.drift.retain(|drift| !is_left(&drift.address));
            self.settled.retain(|drift| !is_left(&drift.address));
        }
    }

    /// The objects that were left as they were last seen.
    pub(crate) fn unasked(&mut self) -> Vec<InstanceAddress> {
        let later = self.objects.iter().filter(|(_, found)| matches!(found, Found::Later));
        let mut unasked: Vec<InstanceAddress> = later.map(|(address, _)| address.clone()).collect();
        unasked.append(&mut self.unasked);
        unasked.sort_unstable();
        unasked
    }

    /// Warns that a plan is not all, and complains about names that mean nothing.
    pub(crate) fn say_scope(&self) -> Diagnostics {
        let input = self.input();
        let scope = &input.scope;
        let mut problems = Diagnostics::new();
        if scope.unsaid {
            return problems;
        }
        if scope.is_partial() {
            problems.push(
                Diagnostic::warning("the plan is not all that the definitions ask for")
                    .detail("It was held to a part of them with -target or -exclude.")
                    .help("Plan once more without these when what they were for is done."),
            );
        }
        if !scope.is_partial() && scope.replace.is_empty() {
            return problems;
        }
        let mut known: BTreeSet<InstanceAddress> = self.verdicts.keys().cloned().collect();
        known.extend(input.state.instances.keys().filter(|it| input.covers(&it.resource.stack)).cloned());
        known.extend(self.data.iter().map(|(address, _)| address.clone()));
        known.extend(self.moves.moves.iter().map(|(from, _)| from.clone()));
        let mut defined = self.graph.all_defined();
        defined.extend(known.iter().map(|address| address.resource.clone()));
        let names = || defined.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (targets, option) in [(&scope.targets, "-target"), (&scope.excludes, "-exclude")] {
            for target in targets.iter() {
                let is_known = match target.resource.as_ref().is_some_and(|resource| resource.key.is_some()) {
                    true => known.iter().any(|address| target.has(address)),
                    false => defined.iter().any(|resource| target.names(resource)),
                };
                // What a module that is not open yet has, cannot be known.
                if is_known || self.graph.may_have(target) {
                    continue;
                }
                let summary = format!("there is no `{target}`, which {option} names");
                let wrong = match option {
                    // Nothing is planned for it, so nothing can go wrong.
                    "-target" => Diagnostic::warning(summary),
                    _ => Diagnostic::error(summary).detail("It was to be left alone, so nothing is done."),
                };
                let names = names();
                problems.push(messages::unknown(wrong, &target.to_string(), names.iter().map(String::as_str)));
            }
        }
        for address in scope.replace.iter().filter(|address| !known.contains(address)) {
            let text = address.to_string();
            let summary = format!("there is no `{text}`, which -replace names");
            let managed = known.iter().filter(|it| it.resource.mode == Mode::Managed);
            let of_it: Vec<String> =
                managed.clone().filter(|it| it.resource == address.resource).take(3).map(ToString::to_string).collect();
            let wrong = Diagnostic::error(summary);
            problems.push(match of_it.as_slice() {
                [] => {
                    let names: Vec<String> = managed.map(ToString::to_string).collect();
                    messages::unknown(wrong, &text, names.iter().map(String::as_str))
                }
                some => {
                    wrong.help(format!("It has instances, and one is replaced by its whole name: {}.", some.join(", ")))
                }
            });
        }
        problems
    }
}
