//! Provider plugins of a project: which it needs, where they are, what they offer, and what they say of its
//! definitions. Nothing is fetched: a plugin that is not installed is not at hand, and what only it knows stays unsaid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use andon_hcl::ast::Ident;
use andon_lang::EvaluatedBody;
use andon_lang::definitions::{Module, Project, implied_name};
use andon_ledger::{EnvironmentState, State};
use andon_provider::{
    Attachment, Found, HashCache, Judged, LockedProvider, NotFound, Places, Plugin, PluginDiagnostic, PluginError,
    Program, Request, SchemaCache, Source, StartSettings, Wanted, attachments, find,
};
use andon_schema::{
    DEFAULT_HOST, FunctionAnswer, FunctionCall, FunctionFault, Mode, ProviderAddress, ProviderSchema, Schemas,
    TypeSchema, VersionConstraint,
};
use andon_secret::Vault;
use andon_text::{Diagnostic, Diagnostics, Span};
use andon_value::Value;

use crate::locks::{Locks, hold, stack_directories};

/// So many questions are with one plugin at a time, as in Terraform.
const AT_ONCE: usize = 10;

/// The plugins of a project.
#[derive(Default)]
pub struct Plugins {
    /// Who answers for the function `secret`.
    vault: Vault,
    at_hand: BTreeMap<ProviderAddress, AtHand>,
    /// Those that are not at hand and that something in the project belongs to: why, and where the project first says
    /// that it needs it.
    absent: BTreeMap<ProviderAddress, (NotFound, Option<Span>)>,
    /// What is wrong with those that are there.
    failures: Diagnostics,
    /// Those of which the lock file says nothing, or something else than the definitions.
    unlocked: Diagnostics,
}

/// A plugin that can be asked.
struct AtHand {
    source: Source,
    schema: Arc<ProviderSchema>,
    judged: Mutex<Judged>,
    /// Started when there is something to ask.
    running: Mutex<Option<Arc<Started>>>,
    /// It was handed over to whoever configures it.
    handed: Mutex<bool>,
}

/// A plugin that was to be started.
type Started = Result<Plugin, PluginError>;

/// What a plugin has to say of one body.
type Answer = Result<Vec<PluginDiagnostic>, PluginError>;

/// What a project needs of one provider.
#[derive(Default)]
pub(crate) struct Need {
    pub constraint: VersionConstraint,
    types: BTreeSet<(Mode, String)>,
    /// Where something belongs to it.
    pub place: Option<Span>,
    /// Where it is required, and with which versions.
    pub asked: Vec<(Span, Option<Arc<str>>)>,
}

impl Need {
    fn ask(&mut self, version: Option<&Ident>, span: Span) {
        let constraint = version.and_then(|version| version.name.parse().ok());
        self.constraint = std::mem::take(&mut self.constraint).and(&constraint.unwrap_or_default());
        self.asked.push((version.map_or(span, |version| version.span), version.map(|version| version.name.clone())));
    }
}

impl Plugins {
    /// Finds the plugins of a project in a directory, and those of objects that only the state knows, and learns what
    /// they offer; `cache` is where that is kept.
    pub fn load(project: &Project, state: &State, directory: &Path, cache: Option<PathBuf>) -> Plugins {
        let mut needs = needs(project);
        // A plan needs no more than what the stacks do.
        let planned = needs_of(project.stacks.values().map(|stack| &*stack.module));
        add_kept(&mut needs, state);
        let mut plugins = Plugins { vault: Vault::at(directory), ..Plugins::default() };
        if needs.is_empty() {
            return plugins;
        }
        let mut directories = stack_directories(project, directory);
        let (locks, unread) = Locks::read(directory, &directories);
        plugins.failures.extend(unread);
        directories.push(directory.to_owned());
        let directories: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
        let places = Places::new(&directories, |name| std::env::var_os(name));
        let unread = places.unread.iter().map(|why| Diagnostic::warning(why.trim_end_matches('.')));
        plugins.failures.extend(unread);
        let hashes = HashCache::new(cache.clone());
        let cache = SchemaCache::new(cache);
        let attached = attached().unwrap_or_else(|wrong| {
            plugins.failures.push(*wrong);
            BTreeMap::new()
        });
        for (address, need) in needs {
            if let Some(attachment) = attached.get(&address) {
                match AtHand::attach(attachment, need.types) {
                    Ok(plugin) => drop(plugins.at_hand.insert(address, plugin)),
                    Err(error) => plugins.failures.push(failed(&address, &error, need.place).help(REATTACH)),
                }
                continue;
            }
            let locked = locks.all.providers.get(&address);
            if let (None, Some(need)) = (places.under_development(&address), planned.get(&address)) {
                plugins.unlocked.extend(inconsistent(&address, need, locked));
            }
            let version = locked.map(|entry| entry.version.clone());
            let request = Request { address: address.clone(), constraint: need.constraint, locked: version };
            let (program, archive, locked) = match find(&request, &places) {
                Ok(Found { program: Program::File(program), version }) => {
                    (program, None, locked.filter(|_| version.is_some()))
                }
                Ok(Found { program: Program::Packed(archive), .. }) => match cache.unpack(&archive, &address.name) {
                    Ok(program) => (program, Some(archive), locked),
                    Err(error) => {
                        let what = format!("{} cannot be unpacked: {error}", archive.display());
                        plugins.failures.push(broken(&address, &what, need.place));
                        continue;
                    }
                },
                Err(_) if need.place.is_none() => continue,
                Err(why) => {
                    plugins.absent.insert(address, (why, need.place));
                    continue;
                }
            };
            // Nothing is started that is not what was locked.
            let held = locked.map(|entry| hold(&address, entry, &program, archive.as_deref(), &hashes));
            if let Some(Err(error)) = held {
                plugins.failures.push(need.place.map_or(error.clone(), |place| error.at(place)));
                continue;
            }
            match cache.load(&program, &Wanted::Types(need.types), StartSettings::default()) {
                Ok((schema, started)) => {
                    let running = Mutex::new(started.map(|started| Arc::new(Ok(started))));
                    let judged = Mutex::new(cache.judged(&program));
                    let (source, schema, handed) = (Source::Program(program), Arc::new(schema), Mutex::default());
                    plugins.at_hand.insert(address, AtHand { source, schema, judged, running, handed });
                }
                Err(error) => plugins.failures.push(failed(&address, &error, need.place)),
            }
        }
        plugins
    }

    /// Where a plugin is, and what it offers, as far as that is needed; `None` where it is not at hand.
    pub fn source(&self, provider: &ProviderAddress) -> Option<(Source, Arc<ProviderSchema>)> {
        let plugin = self.at_hand.get(provider)?;
        Some((plugin.source.clone(), Arc::clone(&plugin.schema)))
    }

    /// What each offers, as Terraform's `providers schema -json` writes it. Every plugin is asked.
    ///
    /// # Errors
    /// Those that are not at hand, or do not answer.
    pub fn terraform_schemas(&self) -> Result<BTreeMap<ProviderAddress, serde_json::Value>, Diagnostics> {
        let mut found = self.failures.clone();
        for (address, why, place) in self.absent() {
            let diagnostic = Diagnostic::error(format!("the provider {} is not installed", named(address)))
                .detail(format!("{}.", capital(&why.to_string())))
                .help("Run `andon init`, which installs what the definitions need.");
            found.push(place.map_or(diagnostic.clone(), |place| diagnostic.at(place)));
        }
        let mut all = BTreeMap::new();
        for (address, plugin) in &self.at_hand {
            let offered = match &*plugin.running() {
                Ok(running) => running.schema().map_err(|error| failed(address, &error, None)),
                Err(error) => Err(failed(address, error, None)),
            };
            let json =
                offered.and_then(|raw| raw.terraform_json().map_err(|error| broken(address, &error.to_string(), None)));
            match json {
                Ok(json) => drop(all.insert(address.clone(), json)),
                Err(error) => found.push(error),
            }
        }
        if found.has_errors() { Err(found) } else { Ok(all) }
    }

    /// Adds what they offer to the schemas at hand.
    pub fn add_to(&self, schemas: &mut Schemas) {
        let offered = self.at_hand.iter().map(|(address, plugin)| (address.clone(), Arc::clone(&plugin.schema)));
        schemas.providers.extend(offered);
    }

    /// What is wrong with plugins that are installed.
    pub fn failures(&self) -> &Diagnostics {
        &self.failures
    }

    /// The providers that the lock file does not settle as the definitions want it: no plan is made with them.
    pub fn unlocked(&self) -> &Diagnostics {
        &self.unlocked
    }

    /// The providers of the project's resources that are not at hand: why, and where the project first needs them.
    pub fn absent(&self) -> impl Iterator<Item = (&ProviderAddress, &NotFound, Option<Span>)> {
        self.absent.iter().map(|(address, (why, place))| (address, why, *place))
    }

    /// A word on each provider of the project's resources that is not at hand: what was not looked at.
    pub fn unchecked(&self) -> Diagnostics {
        let note = |(address, why, place): (&ProviderAddress, &NotFound, Option<Span>)| {
            let name = named(address);
            let note = Diagnostic::warning(format!("the provider {name} is not at hand"))
                .detail(format!("{}. Arguments of what belongs to it were not checked.", capital(&why.to_string())))
                .help("Run `andon init`, and check again.");
            let note = match why {
                NotFound::Version { want, .. } if want.contains(',') => {
                    note.help("All stacks of a project use one version of a provider: require what one can be.")
                }
                _ => note,
            };
            place.map_or(note.clone(), |place| note.at(place))
        };
        self.absent().map(note).collect()
    }

    /// What they say of bodies that fit their schemas. A plugin is started only where it was not asked the same before.
    pub fn judge(&self, bodies: &[EvaluatedBody]) -> Diagnostics {
        let mut found = Diagnostics::new();
        for (address, plugin) in &self.at_hand {
            let of_it: Vec<&EvaluatedBody> = bodies.iter().filter(|body| body.provider == *address).collect();
            found.extend(plugin.judge(address, &of_it));
        }
        found
    }

    /// What a plugin's function gives.
    pub fn call(&self, call: &FunctionCall) -> FunctionAnswer {
        if let Some(name) = call.secret() {
            let answer = self.vault.get(name).map(Value::string);
            return answer.map_err(|error| FunctionFault { message: format!("{error}."), argument: None });
        }
        let fault = |message| FunctionFault { message, argument: None };
        let plugin = self.at_hand.get(&call.provider);
        let plugin = plugin.ok_or_else(|| fault(format!("the provider {} is not at hand", named(&call.provider))))?;
        let schema = plugin.schema.functions.get(&*call.function);
        let schema = schema.ok_or_else(|| fault("the provider has no such function".to_owned()))?;
        let running = plugin.running();
        let running = running.as_ref().as_ref().map_err(|error| fault(error.to_string()))?;
        let answer = running.call_function(&call.function, schema, &call.arguments).wait();
        let answer = answer.map_err(|error| fault(error.to_string()))?;
        answer.map_err(|refused| FunctionFault { message: refused.message, argument: refused.argument })
    }

    /// What all these calls give, asked for together.
    pub fn call_all(&self, calls: BTreeSet<FunctionCall>) -> Vec<(FunctionCall, FunctionAnswer)> {
        let calls: Vec<FunctionCall> = calls.into_iter().collect();
        let each = calls.len().div_ceil(AT_ONCE).max(1);
        let call = |call: &FunctionCall| (call.clone(), self.call(call));
        thread::scope(|scope| {
            let parts: Vec<_> =
                calls.chunks(each).map(|part| scope.spawn(move || part.iter().map(call).collect::<Vec<_>>())).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
        })
    }

    /// A word on providers whose functions are called and that are not at hand.
    pub fn uncalled(&self, absent: &BTreeMap<ProviderAddress, Span>) -> Diagnostics {
        let note = |(address, place): (&ProviderAddress, &Span)| {
            Diagnostic::warning(format!("the provider {} is not at hand", named(address)))
                .at(*place)
                .detail("Calls of its functions were not checked.")
                .help("Run `andon init`, and check again.")
        };
        absent.iter().filter(|(address, _)| !self.absent.contains_key(address)).map(note).collect()
    }

    /// Asks the plugins that were started to end.
    pub fn shut_down(self) {
        for plugin in self.at_hand.into_values() {
            if let Some(running) = plugin.take() {
                running.shut_down();
            }
        }
    }

    /// Hands over a plugin that runs and is asked nothing, so that whoever configures it need not start another. That is
    /// done once, and before anybody else goes on who asks for it.
    pub(crate) fn hand_over(&self, provider: &ProviderAddress, to: impl FnOnce(Plugin)) {
        // One that somebody else keeps running costs nothing here.
        let plugin = self.at_hand.get(provider).filter(|plugin| matches!(plugin.source, Source::Program(_)));
        let Some(plugin) = plugin else { return };
        let mut handed = plugin.handed.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *handed, true)
            && let Some(running) = plugin.take()
        {
            to(running);
        }
    }
}

impl AtHand {
    /// A plugin that somebody else started: what it offers is asked every time, as it may be another one by then.
    fn attach(attachment: &Attachment, types: BTreeSet<(Mode, String)>) -> Result<AtHand, PluginError> {
        let plugin = Plugin::attach(attachment, StartSettings::default())?;
        let schema = Arc::new(plugin.offer(&Wanted::Types(types))?);
        let source = Source::Attached(attachment.clone());
        let running = Mutex::new(Some(Arc::new(Ok(plugin))));
        Ok(AtHand { source, schema, judged: Mutex::default(), running, handed: Mutex::default() })
    }

    fn running(&self) -> Arc<Started> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Arc::new(Plugin::open(&self.source, StartSettings::default()));
        Arc::clone(running.get_or_insert_with(start))
    }

    /// The plugin, where it runs and nobody is asking it.
    fn take(&self) -> Option<Plugin> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match Arc::try_unwrap(running.take()?) {
            Ok(started) => started.ok(),
            Err(asked) => {
                *running = Some(asked);
                None
            }
        }
    }

    fn judge(&self, address: &ProviderAddress, bodies: &[&EvaluatedBody]) -> Diagnostics {
        let surroundings = surroundings(address);
        let mut open = Vec::new();
        let mut seen = BTreeSet::new();
        for body in bodies {
            let Some(schema) = self.schema_of(body) else { continue };
            let of = body.of.as_ref().map(|(mode, kind)| (*mode, &**kind));
            let key = Judged::key(of, &schema.block, &body.value, &surroundings);
            let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
            if !key.is_some_and(|key| judged.is_sound(&key)) && seen.insert((key, body.span)) {
                open.push((*body, schema, key));
            }
        }
        let Some((first, ..)) = open.first() else { return Diagnostics::new() };
        let running = self.running();
        let running = match &*running {
            Ok(running) => running,
            Err(error) => return failed(address, error, Some(first.span)).into(),
        };
        let next = AtomicUsize::new(0);
        let answers: Mutex<Vec<(usize, Answer)>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(open.len()) {
                scope.spawn(|| {
                    while let Some((at, (body, schema, _))) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, open.get(at)?)))
                    {
                        let answer = match &body.of {
                            Some((mode, kind)) => running.validate_type(*mode, kind, schema, &body.value).wait(),
                            None => running.validate_provider(&schema.block, &body.value).wait(),
                        };
                        let gone = answer.is_err();
                        answers.lock().unwrap_or_else(PoisonError::into_inner).push((at, answer));
                        if gone {
                            next.fetch_max(open.len(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        answers.sort_by_key(|(at, _)| *at);
        let mut found = Diagnostics::new();
        let mut sound = Vec::new();
        let mut broken = false;
        for (at, answer) in answers {
            let Some((body, _, key)) = open.get(at) else { continue };
            match answer {
                Ok(said) if said.is_empty() => sound.extend(*key),
                Ok(said) => found.extend(said.iter().map(|said| complaint(body, said))),
                // One that is gone fails every question; it is said once.
                Err(error) if !broken => {
                    broken = true;
                    found.push(failed(address, &error, Some(body.span)));
                }
                Err(_) => {}
            }
        }
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).learn(sound);
        found
    }

    fn schema_of(&self, body: &EvaluatedBody) -> Option<TypeSchema> {
        match &body.of {
            Some((mode, kind)) => self.schema.types(*mode).get(&**kind).cloned(),
            None => Some(TypeSchema::of(self.schema.config.clone())),
        }
    }
}

/// The variable that names plugins which somebody else started.
pub const REATTACH_VARIABLE: &str = "TF_REATTACH_PROVIDERS";

const REATTACH: &str = "TF_REATTACH_PROVIDERS names it: start it again, or unset the variable.";

/// The plugins that somebody else started, to debug or to test them
/// (<https://developer.hashicorp.com/terraform/plugin/debugging#debugger-based-debugging>). They are neither installed
/// nor locked, and never ended from here.
///
/// # Errors
/// Where the variable that names them is not understood.
pub(crate) fn attached() -> Result<BTreeMap<ProviderAddress, Attachment>, Box<Diagnostic>> {
    let Some(text) = std::env::var_os(REATTACH_VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(BTreeMap::new());
    };
    attachments(&text.to_string_lossy()).map_err(|why| {
        let diagnostic = Diagnostic::error(format!("{REATTACH_VARIABLE} is not understood"));
        Box::new(diagnostic.detail(format!("{}.", capital(&why))).help("Give it what the plugin printed, or unset it."))
    })
}

/// What a plugin may read beside a configuration: the environment's variables that are called after it.
fn surroundings(address: &ProviderAddress) -> Vec<String> {
    let prefix = format!("{}_", address.name.to_uppercase().replace('-', "_"));
    let mut all: Vec<String> = std::env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with(&prefix))
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
        .collect();
    all.sort();
    all
}

fn failed(address: &ProviderAddress, error: &PluginError, place: Option<Span>) -> Diagnostic {
    broken(address, &error.to_string(), place)
}

fn broken(address: &ProviderAddress, why: &str, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("the provider {} cannot be asked", named(address))).detail(why);
    let diagnostic = diagnostic.help("Install it again, or ask whoever makes it.");
    match place {
        Some(place) => diagnostic.at(place),
        None => diagnostic,
    }
}

/// What a plugin said, at its place, with no secret in it.
fn complaint(body: &EvaluatedBody, said: &PluginDiagnostic) -> Diagnostic {
    let hidden = |text: &str| body.value.without_secrets(text.trim());
    let summary = hidden(&said.summary);
    let (summary, more) = summary.split_once('\n').unwrap_or((&summary, ""));
    let summary = summary.trim_end_matches('.');
    let summary = if summary.is_empty() { "the provider refuses this" } else { summary };
    let detail = [more.to_owned(), hidden(&said.detail)];
    let detail: Vec<String> = detail.into_iter().filter(|text| !text.is_empty()).collect();
    let diagnostic = if said.error { Diagnostic::error(summary) } else { Diagnostic::warning(summary) };
    diagnostic
        .at(body.place(&said.path))
        .label(format!("the provider {} says so", named(&body.provider)))
        .detail(detail.join("\n"))
}

/// What is wrong with what the lock file says of a provider.
fn inconsistent(address: &ProviderAddress, need: &Need, locked: Option<&LockedProvider>) -> Option<Diagnostic> {
    let (detail, help) = match locked {
        None => (format!("It selects no version of the provider {address}."), "Run `andon init`, which selects one."),
        Some(locked) if need.constraint.allows(&locked.version) => return None,
        Some(locked) => {
            let detail = format!("It selects {address} {}, and {} is wanted.", locked.version, need.constraint);
            (detail, "Run `andon init --upgrade`, which selects another one.")
        }
    };
    let diagnostic = Diagnostic::error("the dependency lock file is inconsistent with the definitions");
    let asked = need.asked.iter().map(|(span, _)| *span).next().or(need.place);
    let diagnostic = asked.map_or(diagnostic.clone(), |span| diagnostic.at(span));
    Some(diagnostic.detail(detail).help(help))
}

/// A text as the begin of a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A provider as people write it: without the host that needs no saying.
pub fn named(address: &ProviderAddress) -> String {
    let full = address.to_string();
    full.strip_prefix(DEFAULT_HOST).map_or_else(|| full.clone(), |rest| rest.trim_start_matches('/').to_owned())
}

/// Adds what objects need that there are, defined or not.
fn add_kept(needs: &mut BTreeMap<ProviderAddress, Need>, state: &State) {
    for (address, object) in state.environments.values().flat_map(EnvironmentState::objects) {
        let Some(provider) = object.provider.as_ref().filter(|provider| !provider.provider.is_built_in()) else {
            continue;
        };
        let (mode, kind) = (address.resource.mode, &address.resource.kind);
        match needs.get_mut(&provider.provider) {
            Some(need) if need.types.contains(&(mode, kind.to_string())) => {}
            Some(need) => drop(need.types.insert((mode, kind.to_string()))),
            None => {
                let need = Need { types: [(mode, kind.to_string())].into(), ..Need::default() };
                needs.insert(provider.provider.clone(), need);
            }
        }
    }
}

/// The plugins of objects that there are, defined or not.
pub fn kept_providers(state: &State) -> BTreeSet<ProviderAddress> {
    let objects = state.environments.values().flat_map(EnvironmentState::objects);
    let providers = objects.filter_map(|(_, object)| object.provider.as_ref());
    providers.filter(|it| !it.provider.is_built_in()).map(|it| it.provider.clone()).collect()
}

/// What of what is built in a project uses.
pub fn built_in_used(project: &Project) -> BTreeSet<ProviderAddress> {
    all_needs(project).into_keys().filter(ProviderAddress::is_built_in).collect()
}

/// The providers that a module needs, and those of the modules that it calls.
#[derive(Debug, Default)]
pub struct Requirements {
    /// The versions that it asks for, of each; all where it asks for none.
    pub providers: BTreeMap<ProviderAddress, String>,
    /// By the name of the call.
    pub modules: BTreeMap<Arc<str>, Requirements>,
}

impl Requirements {
    /// Those of a module. Modules nest as deep as the loader lets them.
    pub fn of(module: &Module) -> Requirements {
        let mut needs = BTreeMap::new();
        add_needs(module, &mut needs);
        let providers = needs.into_iter().map(|(address, need)| (address, need.constraint.sorted().to_string()));
        let found = module.calls.iter().filter(|(_, call)| call.found);
        let modules = found.map(|(name, call)| (name.clone(), Requirements::of(&call.module)));
        Requirements { providers: providers.collect(), modules: modules.collect() }
    }
}

/// What a project needs of each plugin.
pub(crate) fn needs(project: &Project) -> BTreeMap<ProviderAddress, Need> {
    let mut needs = all_needs(project);
    needs.retain(|address, _| !address.is_built_in());
    needs
}

/// The same, of what is built in, too. What runs of tests have in the place of a stack needs providers as well.
fn all_needs(project: &Project) -> BTreeMap<ProviderAddress, Need> {
    needs_of(project.stacks.values().map(|stack| &stack.module).chain(project.tested_modules()).map(|module| &**module))
}

/// What modules, and those that they call, need of each provider.
fn needs_of<'a>(modules: impl Iterator<Item = &'a Module>) -> BTreeMap<ProviderAddress, Need> {
    let mut needs: BTreeMap<ProviderAddress, Need> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = modules.collect();
    while let Some(module) = open.pop() {
        if !seen.insert(std::ptr::from_ref(module)) {
            continue;
        }
        open.extend(module.calls.values().filter(|call| call.found).map(|call| &*call.module));
        add_needs(module, &mut needs);
    }
    needs
}

fn add_needs(module: &Module, needs: &mut BTreeMap<ProviderAddress, Need>) {
    for required in module.settings.required_providers.values() {
        needs.entry(required.address.clone()).or_default().ask(required.version.as_ref(), required.span);
    }
    for definition in module.providers.values() {
        let need = needs.entry(module.provider_address(&definition.name.name)).or_default();
        if definition.version.is_some() {
            need.ask(definition.version.as_ref(), definition.span);
        }
        need.place = need.place.into_iter().chain([definition.span]).min();
    }
    // What is imported may not be defined yet.
    for import in module.imports.iter().filter(|import| import.to.module.is_empty()) {
        let kind = &import.to.resource.kind;
        let name = import.provider.as_ref().map_or(implied_name(kind), |provider| &*provider.name.name);
        let need = needs.entry(module.provider_address(name)).or_default();
        need.types.insert((import.to.resource.mode, kind.to_string()));
        need.place = need.place.into_iter().chain([import.span]).min();
    }
    let of_checks = module.checks.values().filter_map(|check| check.data.as_ref());
    for definition in module.resources.values().chain(of_checks) {
        let need = needs.entry(module.provider_of(definition)).or_default();
        need.types.insert((definition.key.mode, definition.key.kind.to_string()));
        need.place = need.place.into_iter().chain([definition.span]).min();
    }
}
