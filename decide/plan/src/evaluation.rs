//! Expressions on their own, evaluated where a stack's root module would evaluate them: over what there is, or over
//! what a plan would make of it. It is the planner's own graph that gives the values, so that an expression means the
//! same here as in a definition. No configuration of a resource is evaluated, and nobody is asked anything.

use andon_hcl::ast::Expr;
use andon_lang::definitions::Module;
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
}

impl Evaluation {
    /// The root module of a stack that `input` covers; without one, a module in which nothing is defined. Objects are
    /// what the plan makes of them, or else what the state says that they are. What nobody knows yet is unknown.
    pub fn new(input: PlanInput, stack: Option<&str>, plan: Option<Plan>) -> Evaluation {
        let stack = stack.map(str::to_owned);
        let (graph, root, opening) = open(&input, stack.as_deref(), plan.as_ref());
        Evaluation { input, plan, stack, graph, root, opening }
    }

    /// The module whose names expressions may use.
    pub fn module(&self) -> Option<&Module> {
        self.graph.module(self.root).map(|module| &*module.module)
    }

    /// The value of an expression, or what is wrong with it or with what it reads.
    pub fn evaluate(&mut self, expr: &Expr) -> Result<Value, Diagnostics> {
        loop {
            match self.graph.evaluate_in(self.root, expr) {
                Evaluated::Done(result) => return result,
                Evaluated::Failed => return Err(self.failed()),
                Evaluated::Waits => {}
            }
        }
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
