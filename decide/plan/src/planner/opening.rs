//! Ephemeral resources: opened where all is known that they take, and never kept.

use andon_schema::{Kept, Question};
use andon_value::{Marks, Value};

use super::{Asked, Planner};
use crate::graph::Configured;

impl Planner {
    /// Opens an ephemeral resource where all is known that it takes; else the apply does.
    pub(super) fn open_ephemeral(&mut self, configured: Configured) {
        let provider_known = configured.provider.as_ref().is_none_or(|(it, _)| it.config.is_wholly_known());
        let known = configured.config.is_wholly_known() && provider_known && !configured.unchecked;
        match self.via(&configured, Kept::default()).filter(|_| known) {
            Some(via) => {
                let (address, config) = (configured.address.clone(), configured.config.clone());
                self.ask(Asked::Ephemeral(configured), Question::OpenEphemeral { address, via, config });
            }
            None => {
                if let Some(value) = self.foreseen(&configured) {
                    self.graph.finish(configured.node, ephemeral(value), false);
                }
            }
        }
    }
}

/// What an ephemeral resource gives, which is never kept.
pub(crate) fn ephemeral(value: Value) -> Value {
    value.mark(Marks { ephemeral: true, ..Marks::NONE })
}
