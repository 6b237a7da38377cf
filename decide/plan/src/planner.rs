use andon_schema::{Answer, Question};
use andon_text::Diagnostics;

use crate::{Plan, PlanInput};

/// Names one question of one planner or applier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

/// Makes a plan: hands out questions, takes answers in any order.
#[derive(Debug)]
pub struct Planner {
    input: PlanInput,
}

/// What a planner wants next.
#[derive(Debug)]
pub enum PlanStep {
    /// These questions, all of which may be answered at once and in any order. Never empty.
    Ask(Vec<(QuestionId, Question)>),
    /// Answers to questions that it asked before.
    Wait,
    /// Nothing: it is done. Asked again, it is [`PlanStep::Wait`].
    Done(Result<Plan, Diagnostics>),
}

impl Planner {
    /// A planner that has asked nothing yet.
    pub fn new(input: PlanInput) -> Planner {
        Planner { input }
    }

    /// What it wants next.
    pub fn next(&mut self) -> PlanStep {
        let _ = &self.input;
        PlanStep::Wait
    }

    /// Takes the answer to a question. An answer to a question that it did not ask, or that was answered, is
    /// ignored.
    pub fn answer(&mut self, id: QuestionId, answer: Answer) {
        let _ = (id, answer);
    }
}
