//! What a project's stacks define that no plan carries out: refused where a plan begins, before anything is touched.

use std::sync::Arc;

use andon_text::{Diagnostic, Diagnostics};

use crate::definitions::Project;
use crate::load::in_order;

/// An error at every definition of the given stacks (all of them where none is given) that is understood, checked and
/// documented, but that a plan does not carry out.
pub fn not_carried_out(project: &Project, stacks: &[Arc<str>]) -> Diagnostics {
    let mut out = Diagnostics::new();
    for stack in project.stacks.values() {
        if !stacks.is_empty() && !stacks.contains(&stack.name) {
            continue;
        }
        if let Some(backend) = &stack.module.settings.backend {
            let diagnostic = Diagnostic::error("state is kept in the ledger, and nowhere else").at(backend.span);
            let kept = "What Terraform kept there can be taken over: `terraform state pull > FILE`, then take this block \
                        out, and `andon state push FILE`.";
            out.push(diagnostic.help(kept).help("Where many share a ledger, it is in a database: ANDON_LEDGER."));
        }
    }
    in_order(out, &project.sources)
}
