//! What becomes of a question that is not answered as it was asked.

use andon_schema::{Answer, Complaint, Failure, InstanceAddress};
use andon_text::{Diagnostic, Span};

use super::{Asked, Found, Planner};
use crate::complaints;
use crate::graph::{Configured, warnings};

impl Planner {
    /// The world refused, or answered something else.
    pub(super) fn refused(&mut self, asked: &Asked, answer: Answer) {
        let (address, configured) = match asked {
            Asked::Object(address) | Asked::Deletion(address, _) | Asked::Deposed(address, _) => (address, None),
            Asked::Data(configured) | Asked::Ephemeral(configured) => (&configured.address, Some(configured)),
            Asked::Import(configured) => (&configured.address, Some(&**configured)),
            Asked::Change(proposal) => (&proposal.configured.address, Some(&proposal.configured)),
            Asked::Function(_) => return,
        };
        let diagnostic = match answer {
            Answer::Failed(Failure { of: Some(provider), complaints, .. }) if !complaints.is_empty() => {
                let block = self.input().provider_block(&address.resource.stack, &provider);
                let problems = complaints::misconfigured(&complaints, &provider, block);
                let is_scoped = configured.is_some_and(|it| self.graph.is_scoped(it.node));
                self.problems.extend(if is_scoped { warnings(problems) } else { problems });
                return match configured {
                    Some(configured) => self.graph.fail(configured.node),
                    None => self.unreadable(address),
                };
            }
            Answer::Failed(failure) => match configured {
                Some(configured) if self.graph.is_scoped(configured.node) => {
                    let failure = failure.without_secrets_of(&configured.config);
                    let refusal = complaints::refusal(&failure, &configured.address, &configured.definition);
                    self.problems.extend(warnings(refusal));
                    return self.graph.fail(configured.node);
                }
                Some(configured) => return self.refused_by_provider(configured, &failure),
                None => failure.diagnostic(address),
            },
            Answer::Object(None) => Diagnostic::error("the data source gives nothing").subject(address.to_string()),
            _ => Diagnostic::error("the provider answered another question").subject(address.to_string()),
        };
        let span = configured.map(|configured| configured.definition.span).or_else(|| self.span_of(&address.resource));
        let diagnostic = Diagnostic { span: diagnostic.span.or(span), ..diagnostic };
        self.problems.push(diagnostic);
        match configured {
            Some(configured) => self.graph.fail(configured.node),
            None => self.unreadable(address),
        }
    }

    /// What a provider has to say against a configuration, at its places.
    fn refused_by_provider(&mut self, configured: &Configured, failure: &Failure) {
        let failure = failure.without_secrets_of(&configured.config);
        let diagnostics = complaints::refusal(&failure, &configured.address, &configured.definition);
        self.problems.extend(diagnostics);
        self.graph.fail(configured.node);
    }

    /// What an object is cannot be known; whatever is planned of it will not be used.
    pub(super) fn unreadable(&mut self, address: &InstanceAddress) {
        if let Some(configured) = self.parked.remove(address) {
            self.graph.fail(configured.node);
        }
        self.objects.insert(address.clone(), Found::Known(None));
    }

    pub(crate) fn warn(&mut self, address: &InstanceAddress, span: Option<Span>, warnings: &[Complaint]) {
        for complaint in warnings {
            let diagnostic = complaints::diagnostic(complaint, address);
            self.problems.push(Diagnostic { span: diagnostic.span.or(span), ..diagnostic });
        }
    }
}
