//! Which facts a role reads, as it is written: so that no others need be gathered.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::Expr;

use crate::definitions::Role;
use crate::reference::{Reference, name_at, static_traversals};
use crate::walk::references_of;

/// The names of the facts that roles may read; `None` where one of them takes all, or names one by an expression.
pub(crate) fn facts_read(lineage: &[Arc<Role>]) -> Option<BTreeSet<Arc<str>>> {
    let mut found = Some(BTreeSet::new());
    let mut note = |reference: &Reference<'_>| {
        if &**reference.root != "fact" {
            return;
        }
        match (name_at(reference, 0), &mut found) {
            (Some((name, _)), Some(found)) => drop(found.insert(name.into())),
            _ => found = None,
        }
    };
    for role in lineage {
        let mut expressions: Vec<&Expr> = role.locals.values().map(|local| &local.value).collect();
        let validations = role.params.values().flat_map(|param| &param.validations);
        expressions.extend(validations.flat_map(|validation| [&validation.condition, &validation.error_message]));
        for definition in &role.resources {
            let optional = [&definition.when, &definition.for_each, &definition.absent];
            expressions.extend(optional.into_iter().flatten().chain([&definition.label]));
            references_of(&definition.body, &mut |reference| note(&reference));
        }
        for check in &role.checks {
            expressions.extend(&check.when);
            for assertion in &check.assertions {
                expressions.push(&assertion.label);
                references_of(&assertion.body, &mut |reference| note(&reference));
            }
        }
        expressions.into_iter().flat_map(static_traversals).for_each(|reference| note(&reference));
    }
    found
}
