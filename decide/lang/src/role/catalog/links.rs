//! What a host resource says of others: those that it notifies, and those that it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_hcl::ast::Expr;
use andon_schema::host::Notify;
use andon_text::Diagnostic;

use super::Evaluation;
use crate::definitions::HostDefinition;
use crate::reference::{as_reference, name_at};

impl Evaluation<'_> {
    /// Whom a host resource notifies.
    pub(super) fn notifies(&self, role: usize, definition: &HostDefinition) -> Vec<Notify> {
        let mut notifies = BTreeSet::new();
        for (list, word, restart) in [(&definition.reloads, "reloads", false), (&definition.restarts, "restarts", true)]
        {
            for expr in list {
                let Some((kind, index)) = self.named(role, expr, word) else { continue };
                if !matches!(&*kind, "service" | "unit") {
                    self.report(
                        Diagnostic::error(format!("\"{word}\" names services, and this is a {kind}"))
                            .at(expr.span)
                            .help(format!("Write it like: {word} = [service.NAME]")),
                    );
                    continue;
                }
                let made = self.made.borrow().get(&index).cloned().unwrap_or_default();
                for instance in made.instances.into_iter().filter(|instance| !instance.absent) {
                    let service = match instance.attributes.get_str("name") {
                        Some(name) => name.into(),
                        None => instance.label,
                    };
                    notifies.insert(Notify { service, restart });
                }
            }
        }
        notifies.into_iter().collect()
    }

    /// Kinds and names of what a command waits for.
    pub(super) fn only_on(&self, role: usize, definition: &HostDefinition) -> Option<Vec<(Arc<str>, Arc<str>)>> {
        let list = definition.only_on.as_ref()?;
        if &*definition.kind.name != "exec" {
            self.report(
                Diagnostic::error(format!("\"only_on\" is for commands, and this is a {}", definition.kind.name))
                    .at(definition.span)
                    .help("Use it in an exec; what reloads or restarts a service is written with what changes."),
            );
        }
        let named = list.iter().filter_map(|expr| self.named(role, expr, "only_on"));
        let instances = named.flat_map(|(kind, index)| {
            let made = self.made.borrow().get(&index).cloned().unwrap_or_default();
            made.instances.into_iter().map(move |instance| (kind.clone(), instance.name))
        });
        Some(instances.collect())
    }

    /// The host resource that an expression names.
    pub(super) fn named(&self, role: usize, expr: &Expr, word: &str) -> Option<(Arc<str>, usize)> {
        let reference = as_reference(expr);
        let target = reference.as_ref().and_then(|reference| Some((reference.root.clone(), name_at(reference, 0)?)));
        match target {
            Some((kind, (name, span))) if self.schemas.host.contains_key(&*kind) => {
                // A child may be notified by its parent: all of the lineage counts.
                match self.of_name(role, &kind, name) {
                    Some(index) => Some((kind, index)),
                    None => {
                        self.report(self.no_resource(role, &kind, name, span));
                        None
                    }
                }
            }
            _ => {
                if expr.kind != andon_hcl::ast::ExprKind::Invalid {
                    self.report(
                        Diagnostic::error(format!("\"{word}\" lists host resources"))
                            .at(expr.span)
                            .help(format!("Write it like: {word} = [service.NAME]")),
                    );
                }
                None
            }
        }
    }

    /// What a role means by a kind and a name: of several the last that it sees.
    pub(super) fn of_name(&self, role: usize, kind: &str, name: &str) -> Option<usize> {
        let all = self.by_name.get(&(kind.into(), name.into()))?;
        all.iter().rev().find(|index| self.is_seen(role, **index)).or(all.last()).copied()
    }

    pub(super) fn is_seen(&self, role: usize, index: usize) -> bool {
        let at = self.places.get(index).map(|(role, _)| role);
        at.zip(self.sees.get(role)).is_some_and(|(at, sees)| sees.contains(at))
    }
}
