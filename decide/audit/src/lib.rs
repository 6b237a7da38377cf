//! An independent checker of plans and of runs (invariants 6 and 7).
//!
//! It shares no code with the planner: it is made of small predicates over plain data, each of which says what must
//! hold whatever the planner's reasons. A plan with findings must not be applied.

mod history;
mod objects;
mod order;
mod protection;
mod run;
mod scope;
mod values;

use std::fmt;

use andon_plan::{Plan, PlanInput};
use andon_schema::InstanceAddress;

pub use run::{RunAudit, audit_run};

/// Something that must not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The instance, where it is about one.
    pub address: Option<InstanceAddress>,
    /// What must hold.
    pub rule: Rule,
    /// What is so instead, in one sentence.
    pub message: String,
}

/// What must hold of a plan, or of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Every object of the state is kept, changed or deleted; none is forgotten unless the definitions say so.
    Accounted,
    /// What moves is there, where it goes is free, and a definition says so.
    Moved,
    /// What is imported goes where nothing is, and a definition says so.
    Adopted,
    /// A change is about an object that the state has, at the same address; no object is changed twice.
    OneObject,
    /// A change has what its action needs, and nothing else.
    Shape,
    /// The mode of the plan allows the action.
    Mode,
    /// What the plan leaves out is not touched: what is excluded, not targeted, or not planned yet.
    Scope,
    /// What the definitions protect is not deleted.
    Protected,
    /// Every change has its parts, each once, and each waits only for earlier ones.
    Steps,
    /// The parts of a replacement are in the order that it says.
    ReplaceOrder,
    /// What is read is made before what reads it.
    MadeBeforeUse,
    /// What is used is not deleted before what uses it.
    DeletedAfterUse,
    /// What exists is known.
    Known,
    /// A secret stays one.
    Secret,
    /// An intent comes before its outcome, and each comes once.
    Recorded,
    /// A run keeps the order of its plan.
    RunOrder,
    /// After a run the ledger, the state and what the user is told agree.
    Agreed,
}

/// Checks a plan against the state and the definitions that it was made from. None is right.
pub fn audit(plan: &Plan, input: &PlanInput) -> Vec<Finding> {
    let mut findings = Vec::new();
    let state = &*history::moved(plan, input, &mut findings);
    history::forgotten(plan, input, &mut findings);
    objects::accounted(plan, state, input, &mut findings);
    objects::one_object(plan, state, &mut findings);
    objects::shape(plan, &mut findings);
    objects::mode(plan, &mut findings);
    scope::scope(plan, input, &mut findings);
    protection::protected(plan, input, &mut findings);
    order::steps(plan, &mut findings);
    // The order means nothing where the steps are not sound.
    if findings.iter().all(|finding| finding.rule != Rule::Steps) {
        order::replace_order(plan, state, &mut findings);
        order::made_before_use(plan, &mut findings);
        order::deleted_after_use(plan, state, &mut findings);
    }
    values::known(plan, &mut findings);
    values::secret(plan, state, &mut findings);
    findings
}

impl Finding {
    fn about(address: &InstanceAddress, rule: Rule, message: impl Into<String>) -> Finding {
        Finding { address: Some(address.clone()), rule, message: message.into() }
    }

    fn general(rule: Rule, message: impl Into<String>) -> Finding {
        Finding { address: None, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(to, "{address}: {}", self.message),
            None => to.write_str(&self.message),
        }
    }
}
