//! Expressions on their own, evaluated where a stack's root module would evaluate them: over what there is, or over
//! what a plan would make of it. It is the planner's own graph that gives the values, so that an expression means the
//! same here as in a definition. No configuration of a resource is evaluated; of the world, only providers' functions are
//! asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_lang::definitions::{Condition, Module};
use andon_schema::{FunctionAnswer, FunctionCall};
use andon_text::{Diagnostic, Diagnostics};
use andon_value::Value;

use crate::graph::{Evaluated, Graph, ModuleId};
use crate::{Plan, PlanInput};

/// A place for expressions.
#[derive(Debug)]
pub struct Evaluation {
    input: PlanInput,
    plan: Option<Plan>,
    stack: Option<String>,
    graph: Graph,
    root: ModuleId,
    /// What was wrong before any expression was.
    opening: Diagnostics,
    /// What providers' functions gave so far.
    answers: BTreeMap<Arc<FunctionCall>, FunctionAnswer>,
}

/// What an expression comes to.
#[derive(Debug)]
pub enum EvaluationStep {
    /// It waits for these calls of providers' functions: [`Evaluation::called`] takes what they gave. Never empty.
    Ask(Vec<Arc<FunctionCall>>),
    /// Its value, or what is wrong with it or with what it reads.
    Done(Result<Value, Diagnostics>),
}

impl Evaluation {
    /// The root module of a stack that `input` covers; without one, a module in which nothing is defined. Objects are
    /// what the plan makes of them, or else what the state says that they are. What nobody knows yet is unknown.
    pub fn new(input: PlanInput, stack: Option<&str>, plan: Option<Plan>) -> Evaluation {
        let stack = stack.map(str::to_owned);
        let (graph, root, opening) = open(&input, stack.as_deref(), plan.as_ref());
        Evaluation { input, plan, stack, graph, root, opening, answers: BTreeMap::new() }
    }

    /// The module whose names expressions may use.
    pub fn module(&self) -> Option<&Module> {
        self.graph.module(self.root).map(|module| &*module.module)
    }

    /// Evaluates an expression, as far as that goes.
    pub fn evaluate(&mut self, expr: &Expr) -> EvaluationStep {
        self.step(&|graph, root| graph.evaluate_in(root, expr))
    }

    /// Whether a condition of something holds: true, or unknown where it hangs on what nobody knows yet. Where it does
    /// not hold, that is the error.
    pub fn check(&mut self, condition: &Condition, of: &str) -> EvaluationStep {
        self.step(&|graph, root| graph.check_in(root, condition, of))
    }

    fn step(&mut self, attempt: &dyn Fn(&mut Graph, ModuleId) -> Evaluated) -> EvaluationStep {
        loop {
            match attempt(&mut self.graph, self.root) {
                Evaluated::Done(result) => return EvaluationStep::Done(result),
                Evaluated::Failed => return EvaluationStep::Done(Err(self.failed())),
                Evaluated::Waits => {}
            }
            let calls = self.graph.take_calls();
            let (known, open): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| self.answers.contains_key(call));
            for call in known {
                let answer = self.answers.get(&call).cloned();
                answer.into_iter().for_each(|answer| self.graph.called(&call, answer));
            }
            if !open.is_empty() {
                return EvaluationStep::Ask(open);
            }
        }
    }

    /// Says what a call came to.
    pub fn called(&mut self, call: &Arc<FunctionCall>, answer: FunctionAnswer) {
        self.answers.insert(Arc::clone(call), answer.clone());
        self.graph.called(call, answer);
    }

    /// What failed has said why only once: the next expression that reads it shall hear it again.
    fn failed(&mut self) -> Diagnostics {
        let mut problems = std::mem::take(&mut self.opening);
        problems.extend(self.graph.take_problems());
        (self.graph, self.root, self.opening) = open(&self.input, self.stack.as_deref(), self.plan.as_ref());
        if !problems.has_errors() {
            problems.push(Diagnostic::error("what this reads cannot be evaluated"));
        }
        problems.sort();
        problems
    }
}

fn open(input: &PlanInput, stack: Option<&str>, plan: Option<&Plan>) -> (Graph, ModuleId, Diagnostics) {
    let mut graph = Graph::of_values(input.clone(), plan);
    let root = graph.root_for_expressions(stack);
    let opening = graph.take_problems();
    (graph, root, opening)
}
