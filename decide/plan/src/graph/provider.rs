//! Configurations of providers: which one a resource has, and what it comes to.

use std::sync::Arc;

use andon_hcl::ast::Body;
use andon_lang::definitions::{ProviderKey, ResourceDefinition};
use andon_lang::eval::{evaluate, evaluate_block};
use andon_schema::{ConfiguredProvider, InstanceKey, ProviderAddress, ProviderConfigAddress};
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::{Kind, Type, Value, convert};

use super::expand::Each;
use super::view::View;
use super::{Content, Graph, Key, NodeId, State};

type Result<T> = std::result::Result<T, Diagnostics>;

impl Graph {
    /// The provider configuration that a node holds.
    pub fn configured_provider(&self, id: NodeId) -> Option<&Arc<ConfiguredProvider>> {
        match &self.node(id)?.state {
            State::Ready(Content::Provider(provider)) => Some(provider),
            _ => None,
        }
    }

    /// The node of a provider configuration that a state names; `None` where the definitions do not have it any more.
    pub fn want_provider(&mut self, stack: &str, address: &ProviderConfigAddress) -> Option<NodeId> {
        let mut at = self.root_or_remains(stack)?;
        for name in address.module.iter() {
            at = *self.module(at)?.children.get(&(Arc::clone(name), None))?;
        }
        let module = &self.module(at)?.module;
        let is_own =
            |(name, alias): &&ProviderKey| *alias == address.alias && module.provider_address(name) == address.provider;
        let block = module.providers.keys().find(is_own).cloned();
        let implied = address.alias.is_none() && address.module.is_empty();
        let block = block.or_else(|| implied.then(|| (module.provider_name(&address.provider), None)))?;
        Some(self.want(Key::Provider(at, block, address.key.clone())))
    }

    /// Whether what is of a provider is made by a plugin, rather than by what is built in.
    pub fn is_plugin(&self, provider: &ProviderAddress, definition: &ResourceDefinition) -> bool {
        // Whoever runs the plan may have built in more than the language knows of, under the name that a type implies.
        let built_in = self.input.schemas.built_in(definition.key.mode).contains_key(&*definition.key.kind);
        !provider.is_built_in() && (!built_in || self.input.schemas.providers.contains_key(provider))
    }

    /// The configuration of the provider of a resource, and a note that it was read; `None` for what is built in, or
    /// where something is missing.
    pub(super) fn provider_of(
        &self,
        view: &mut View<'_>,
        definition: &ResourceDefinition,
        provider: &ProviderAddress,
    ) -> Result<Option<Arc<ConfiguredProvider>>> {
        if !self.is_plugin(provider, definition) {
            return Ok(None);
        }
        let reference = definition.provider.as_ref();
        let key = match reference.and_then(|reference| reference.key.as_ref()) {
            Some(key) => Some(instance_key(key, view)?),
            None => None,
        };
        let span = reference.map_or(definition.span, |reference| reference.span);
        let Some(key) = self.find_block(view, definition.provider_key(), key)? else { return Ok(None) };
        match view.read(key, Some(span)) {
            Some(Content::Provider(provider)) => Ok(Some(Arc::clone(provider))),
            _ => Ok(None),
        }
    }

    /// The block that a local name means in the module of a view; `None` where that is not known yet.
    fn find_block(
        &self,
        view: &mut View<'_>,
        mut block: ProviderKey,
        mut given: Option<InstanceKey>,
    ) -> Result<Option<Key>> {
        let (mut at, mut module) = (view.module_id(), view.module());
        while let Some(parent) = &module.parent {
            let passed = parent.call.providers.get(&block);
            // A block of a module that is given another configuration only says that it wants one.
            if passed.is_none() && module.module.providers.contains_key(&block) {
                break;
            }
            let Some(outer) = self.module(parent.module) else { break };
            block = match passed {
                Some(reference) => {
                    if let Some(key) = &reference.key {
                        let own = (view.module_id(), view.each());
                        view.enter(parent.module, parent.each.clone());
                        let key = instance_key(key, view);
                        view.enter(own.0, own.1);
                        given = Some(key?);
                    }
                    reference.block()
                }
                None => (outer.module.provider_name(&module.module.provider_address(&block.0)), None),
            };
            (at, module) = (parent.module, outer);
        }
        Ok((!view.is_missing()).then_some(Key::Provider(at, block, given)))
    }

    /// What a configuration of a provider comes to.
    pub(super) fn provider(
        &self,
        view: &mut View<'_>,
        block: &ProviderKey,
        key: &Option<InstanceKey>,
    ) -> Result<Content> {
        let module = view.module();
        let (name, alias) = block;
        let provider = module.module.provider_address(name);
        let definition = module.module.providers.get(block);
        let place = |diagnostic: Diagnostic| match definition {
            Some(definition) => diagnostic.at(definition.span),
            None => diagnostic,
        };
        let Some(schema) = self.input.schemas.providers.get(&provider) else {
            let diagnostic = Diagnostic::error(format!("the provider {provider} is not installed"));
            return Err(place(diagnostic).help("Run `andon init`, which installs what the definitions need.").into());
        };
        if definition.is_none() && alias.is_some() {
            let alias = alias.as_deref().unwrap_or_default();
            return Err(Diagnostic::error(format!("there is no provider configuration `{name}.{alias}`"))
                .help("Add the `provider` block, or take the reference to it out.")
                .into());
        }
        if let Some(for_each) = definition.and_then(|definition| definition.for_each.as_ref()) {
            let value = evaluate(for_each, view)?;
            if view.is_missing() {
                return Ok(Content::Value(Value::NULL));
            }
            if value.is_unknown() {
                view.note_unknown("for_each");
                return Ok(Content::Value(Value::NULL));
            }
            view.set_each(chosen(&value, key, for_each.span)?);
        }
        let empty = Body::default();
        let body = definition.map_or(&empty, |definition| &definition.body);
        let trial = self.input.project.trial.as_ref().filter(|_| module.parent.is_none());
        let config = match trial.is_some_and(|trial| trial.mocked.contains(block)) {
            // Nobody is asked with it.
            true => Value::null(schema.config.implied_type()),
            false => evaluate_block(body, &schema.config, view).map_err(|problems| match definition {
                Some(_) => problems,
                None => implied(&provider, problems),
            })?,
        };
        let names = module.path.iter().map(|step| Arc::clone(&step.name));
        let address =
            ProviderConfigAddress { module: names.collect(), provider, alias: alias.clone(), key: key.clone() };
        Ok(Content::Provider(Arc::new(ConfiguredProvider { address, config })))
    }

    /// `provider_meta` that a module gives to a provider.
    pub(super) fn provider_meta(&self, view: &View<'_>, provider: &ProviderAddress) -> Result<Option<Value>> {
        let Some(schema) = self.input.schemas.providers.get(provider) else { return Ok(None) };
        if schema.meta.attributes.is_empty() && schema.meta.blocks.is_empty() {
            return Ok(None);
        }
        let module = &view.module().module;
        match module.settings.provider_meta.get(&module.provider_name(provider)) {
            Some(body) => evaluate_block(body, &schema.meta, view).map(Some),
            None => Ok(Some(Value::null(schema.meta.implied_type()))),
        }
    }
}

/// What is wrong with a configuration that nobody wrote is that it is not there.
fn implied(provider: &ProviderAddress, problems: Diagnostics) -> Diagnostics {
    let words: Vec<String> = problems.into_iter().map(|problem| problem.summary).collect();
    Diagnostic::error(format!("the provider {provider} has to be configured"))
        .detail(format!("There is no `provider` block for it, and it cannot do without: {}.", words.join("; ")))
        .help("Add a `provider` block to the root module.")
        .into()
}

fn chosen(entries: &Value, key: &Option<InstanceKey>, span: Span) -> Result<Each> {
    let wrong = |words: String| Diagnostics::from(Diagnostic::error(words).at(span));
    let Some(InstanceKey::Name(name)) = key else {
        return Err(wrong("a provider block with `for_each` is referred to with a key".to_owned()));
    };
    let value = match entries.kind() {
        Kind::Map(_, entries) | Kind::Object(entries) => entries.get(name).cloned(),
        Kind::Set(_, elements) => elements.iter().find(|element| element.as_str() == Some(name)).cloned(),
        _ => return Err(wrong("`for_each` of a provider is a known map, or set of strings".to_owned())),
    };
    let value = value.ok_or_else(|| wrong(format!("this has no element \"{name}\"")))?;
    Ok(Each::Entry(Arc::clone(name), value))
}

/// The key of a configuration with `for_each`.
fn instance_key(expr: &andon_hcl::ast::Expr, view: &View<'_>) -> Result<InstanceKey> {
    let value = evaluate(expr, view)?;
    let wrong = || {
        let diagnostic = Diagnostic::error("this names no configuration of the provider").at(expr.span);
        Diagnostics::from(diagnostic.detail("A string that is known before the apply does."))
    };
    if value.is_unknown() && view.is_missing() {
        return Ok(InstanceKey::Name("".into()));
    }
    let text = convert(&value.unmark().0, &Type::String).map_err(|_| wrong())?;
    text.as_str().map(|name| InstanceKey::Name(Arc::clone(name))).ok_or_else(wrong)
}
