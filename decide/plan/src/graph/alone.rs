//! Expressions that stand in no definition.

use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_lang::definitions::Condition;
use andon_schema::Mode;
use andon_text::{Diagnostic, Diagnostics};
use andon_value::{Marks, Type, Value};

use super::evaluate::check;
use super::settled::Settled;
use super::view::{View, evaluate};
use super::{Graph, ModuleId, ResourceId};
use crate::{Plan, PlanInput, STACK_DATA};

/// What became of one try at an expression.
pub(crate) enum Evaluated {
    /// It has a value, or is wrong itself.
    Done(Result<Value, Diagnostics>),
    /// Something that it reads is wrong; the graph has the complaint.
    Failed,
    /// It was found what it reads; the next try goes further.
    Waits,
}

impl Graph {
    /// A graph of what there is, or of what a plan makes of it. Nothing is configured: an object that nobody knows yet
    /// is unknown, and so is a variable that has no value.
    pub fn of_values(input: PlanInput, plan: Option<&Plan>) -> Graph {
        let mut graph = Graph::new(input, false, false);
        graph.settled = Some(Settled::after(plan));
        graph.of_values = true;
        graph
    }

    /// The root module of a stack, or else an empty module.
    pub fn root_for_expressions(&mut self, stack: Option<&str>) -> ModuleId {
        match stack.and_then(|stack| self.roots().get(stack).copied()) {
            Some(root) => root,
            None => self.open_module("".into(), [].into(), Arc::default(), None),
        }
    }

    /// Tries an expression in a module, after what earlier tries found that it reads.
    pub fn evaluate_in(&mut self, module: ModuleId, expr: &Expr) -> Evaluated {
        self.attempt_in(module, |view| evaluate(expr, view))
    }

    /// Tries whether a condition holds, in the same way. It comes to true, or to unknown where that hangs on something
    /// unknown; what does not hold is complained of.
    pub fn check_in(&mut self, module: ModuleId, condition: &Condition, of: &str) -> Evaluated {
        let one = std::slice::from_ref(condition);
        let verdict = |unchecked| if unchecked { Value::unknown(Type::Bool) } else { Value::from(true) };
        self.attempt_in(module, |view| check(one, "condition", of, view).map(verdict))
    }

    fn attempt_in(
        &mut self,
        module: ModuleId,
        attempt: impl FnOnce(&View<'_>) -> Result<Value, Diagnostics>,
    ) -> Evaluated {
        let (result, notes) = {
            let Some(instance) = self.module(module) else { return Evaluated::Failed };
            let view = View::new(self, module, instance);
            (attempt(&view), view.into_notes())
        };
        if notes.failed {
            return Evaluated::Failed;
        }
        if notes.missing.is_empty() {
            return Evaluated::Done(result);
        }
        let wanted: Vec<_> = notes.missing.into_iter().map(|(key, _)| self.want(key)).collect();
        loop {
            self.advance();
            if self.has_calls() {
                return Evaluated::Waits;
            }
            if wanted.iter().all(|id| self.is_settled(*id)) {
                return Evaluated::Waits;
            }
            if !self.unblock() {
                self.complain(Diagnostic::error("what this reads waits for something that never comes"));
                return Evaluated::Failed;
            }
        }
    }

    /// An instance that is neither in the state nor in the plan.
    pub(super) fn unknown_instance(&self, resource: ResourceId) -> Option<Value> {
        let (module, definition) = self.resources.get(resource)?.defined.as_ref()?;
        if definition.key.mode == Mode::Data && &*definition.key.kind == STACK_DATA {
            return None;
        }
        let provider = self.module(*module)?.module.provider_of(definition);
        let schema = self.input.schemas.type_of(&provider, definition.key.mode, &definition.key.kind).ok().flatten();
        let value = schema.map_or(Value::UNKNOWN, |schema| Value::unknown(schema.block.implied_type()));
        let ephemeral = definition.key.mode == Mode::Ephemeral;
        Some(if ephemeral { value.mark(Marks { ephemeral, ..Marks::NONE }) } else { value })
    }
}
