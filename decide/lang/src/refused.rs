//! What a project's stacks define that no plan carries out yet: refused where a plan begins, before anything is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_schema::Mode;
use andon_text::{Diagnostic, Diagnostics, Span};

use crate::definitions::{Module, Project, ResourceDefinition};
use crate::load::in_order;

/// An error at every definition of the given stacks (all of them where none is given) that is understood, checked and
/// documented, but that a plan does not carry out.
pub fn not_carried_out(project: &Project, stacks: &[Arc<str>]) -> Diagnostics {
    let mut out = Diagnostics::new();
    let mut seen = BTreeSet::new();
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
        module(&stack.module, &mut seen, &mut out);
    }
    in_order(out, &project.sources)
}

fn module(module_of: &Module, seen: &mut BTreeSet<Arc<str>>, out: &mut Diagnostics) {
    if !seen.insert(module_of.directory.clone()) {
        return;
    }
    module_of.resources.values().for_each(|definition| resource(definition, out));
    module_of.checks.values().for_each(|check| refuse(check.span, "checks of stacks are not run", out));
    for variable in module_of.variables.values().filter(|variable| variable.ephemeral) {
        refuse(variable.span, "ephemeral values cannot be kept out of plans", out);
    }
    for output in module_of.outputs.values().filter(|output| output.ephemeral) {
        refuse(output.span, "ephemeral values cannot be kept out of plans", out);
    }
    module_of.calls.values().for_each(|call| module(&call.module, seen, out));
}

fn resource(definition: &ResourceDefinition, out: &mut Diagnostics) {
    if definition.key.mode == Mode::Ephemeral {
        return refuse(definition.span, "ephemeral resources are not opened", out);
    }
}

fn refuse(span: Span, words: &str, out: &mut Diagnostics) {
    let diagnostic = Diagnostic::error(format!("{words} yet")).at(span);
    out.push(diagnostic.help("Take it out for now; `andon check` and the other commands that change nothing take it."));
}
