//! What came of an apply, once it has ended.

use std::collections::BTreeMap;

use andon_plan::{ApplyReport, Plan, PlanMode, PlannedAction, SkipReason};
use andon_schema::InstanceAddress;

use crate::fold::inline;
use crate::plan::{Room, family, listed, name, number, together};

/// What was done, counted: `3 created, 1 replaced`; `nothing done` where that is so. A plan to see drift records that.
pub fn done(plan: &Plan, report: &ApplyReport) -> String {
    let count = |wanted: fn(&PlannedAction) -> bool| report.done.iter().filter(|done| wanted(&done.action)).count();
    let recorded = plan.drift.iter().filter(|drift| plan.mode == PlanMode::RefreshOnly && drift.is_of_object());
    let counts = [
        (count(|action| *action == PlannedAction::Create), "created"),
        (count(|action| *action == PlannedAction::Update), "updated"),
        (count(|action| matches!(action, PlannedAction::Replace { .. })), "replaced"),
        (count(|action| matches!(action, PlannedAction::Delete | PlannedAction::DeleteDeposed)), "deleted"),
        (count(|action| *action == PlannedAction::Forget), "forgotten"),
        (count(|action| *action == PlannedAction::Read), "read"),
        (recorded.count(), "recorded as found"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", number(*count)))
        .collect();
    if told.is_empty() { "nothing done".to_owned() } else { told.join(", ") }
}

/// What was not tried, a line for all of which the same is said.
pub fn not_done(report: &ApplyReport) -> Vec<String> {
    let mut same: BTreeMap<(String, String, String), Vec<&InstanceAddress>> = BTreeMap::new();
    for skipped in &report.skipped {
        let reason = match &skipped.reason {
            SkipReason::Cancelled => "it was stopped".to_owned(),
            SkipReason::Needs(failed) => format!("it needs {}", listed(failed.iter().map(name), failed.len(), 4)),
        };
        let whose = (skipped.action.to_string(), family(&skipped.address), reason);
        same.entry(whose).or_default().push(&skipped.address);
    }
    let line = |((action, _, reason), members): (&(String, String, String), &Vec<&InstanceAddress>)| {
        let many = if members.len() == 1 { String::new() } else { format!(" ({} instances)", number(members.len())) };
        inline(&format!("not done: {action} {}{many}: {reason}", together(members, Room::LONG))).into_owned()
    };
    same.iter().map(line).collect()
}
