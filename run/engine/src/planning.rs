//! From definitions and state to a plan: questions out, answers in.

use std::collections::BTreeMap;
use std::time::Duration;

use andon_hcl::ast::Expr;
use andon_lang::not_carried_out;
use andon_ledger::Event;
use andon_plan::{Evaluation, EvaluationStep, Plan, PlanInput, PlanStep, Planner, QuestionId};
use andon_schema::{Answer, Failure};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;

use crate::{Completion, Job, Plugins, Sink, Ticket, World};

/// How long to wait for the world before followers get a tick.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The value of an expression on its own; providers' functions are asked for.
pub fn evaluate(evaluation: &mut Evaluation, expression: &Expr, plugins: &Plugins) -> Result<Value, Diagnostics> {
    loop {
        match evaluation.evaluate(expression) {
            EvaluationStep::Done(result) => return result,
            EvaluationStep::Ask(calls) => {
                for call in calls {
                    evaluation.called(&call, plugins.call(&call));
                }
            }
        }
    }
}

/// Plans. Nothing is changed, in the world or in the ledger. `Err` holds every reason why there is no plan; an
/// interrupt ends it at once.
pub fn plan(input: PlanInput, world: &mut dyn World, sink: &mut dyn Sink) -> Result<Plan, Diagnostics> {
    let refused = not_carried_out(&input.project, &input.stacks);
    if refused.has_errors() {
        return Err(refused);
    }
    let mut planner = Planner::new(input);
    let mut asked: BTreeMap<Ticket, QuestionId> = BTreeMap::new();
    let mut next_ticket = 0;
    loop {
        match planner.next() {
            PlanStep::Done(result) => return result,
            PlanStep::Ask(questions) => {
                for (id, question) in questions {
                    let ticket = Ticket(next_ticket);
                    next_ticket += 1;
                    asked.insert(ticket, id);
                    world.start(ticket, Job::Ask(question));
                }
            }
            PlanStep::Wait if asked.is_empty() => {
                return Err(Diagnostic::error("planning waits for answers to questions that it did not ask").into());
            }
            PlanStep::Wait => match world.wait(TICK) {
                Completion::Answered(ticket, answer) => {
                    if let Some(id) = asked.remove(&ticket) {
                        planner.answer(id, answer);
                    }
                }
                Completion::Interrupted => return Err(Diagnostic::error("stopped before there was a plan").into()),
                Completion::Progress(progress) => sink.event(&Event::Progress(progress)),
                Completion::Quiet => sink.tick(),
                Completion::Finished(ticket, _) | Completion::Resolved(ticket, _) => {
                    if let Some(id) = asked.remove(&ticket) {
                        let failure = Failure::new("the world answered another question", "a driver is at fault");
                        planner.answer(id, Answer::Failed(failure));
                    }
                }
            },
        }
    }
}
