//! What the arguments mean, once the world is consulted: colours, width, the project, the environment.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use andon_engine::provider::lab_place;
use andon_engine::workspaces::named_by_variable;
use andon_engine::{OpenError, Plugins, Providers, Recorder, SavedPlan, Session, Settings, project, provider};
use andon_lang::Given;
use andon_lang::definitions::Environment;
use andon_schema::{Failure, Schemas};
use andon_store::{Held, LockError};
use andon_text::{Diagnostic, Diagnostics, SourceMap, nearest};
use andon_view::{Look, Paint};

use crate::args::{Arguments, Colour, Command, LockArguments};
use crate::terminal::say_stopped_at_once;
use crate::variables::{self, VariableArguments};

/// The environment that is there without a block.
pub const DEFAULT: &str = "default";

/// Set by the first interrupt; the second one ends the program.
static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Why a command did not do what it was asked. What there was to say has been said by the time it reaches `main`.
#[derive(Debug)]
pub enum Stop {
    /// Say this and exit 1.
    Because(Box<Diagnostics>),
    /// Exit with this; all has been said.
    Code(u8),
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Stop {
        Stop::Because(Box::new(diagnostic.into()))
    }
}

impl From<Diagnostics> for Stop {
    fn from(diagnostics: Diagnostics) -> Stop {
        Stop::Because(Box::new(diagnostics))
    }
}

/// What every command has at hand.
pub struct Context {
    /// What the user typed.
    pub arguments: Arguments,
    /// For standard output.
    pub out: Paint,
    /// For standard error.
    pub err: Paint,
    /// Columns of the terminal.
    pub width: usize,
    /// Standard error is a terminal, so that live lines can be drawn.
    pub live: bool,
}

fn said_by(failure: &Failure) -> Diagnostic {
    let diagnostic = Diagnostic::error(&failure.summary).detail(&failure.detail);
    failure.help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help))
}

impl Context {
    /// Looks at the terminal.
    pub fn new(arguments: Arguments) -> Context {
        let wanted = |terminal: bool| match arguments.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let live = std::io::stderr().is_terminal();
        let out = Paint { colour: wanted(std::io::stdout().is_terminal()) };
        let err = Paint { colour: wanted(live) };
        Context { arguments, out, err, width: width(), live }
    }

    /// How what is said on standard output looks: as wide as its terminal, or as `COLUMNS` says; whole lines elsewhere.
    pub fn look(&self, full: bool) -> Look {
        let width = columns_wanted().or_else(|| columns(libc::STDOUT_FILENO));
        Look { paint: self.out, width: width.map(sensible), full }
    }

    /// The project's directory; refuses one that holds none.
    pub fn project_directory(&self) -> Result<&PathBuf, Stop> {
        let directory = &self.arguments.directory;
        if !directory.is_dir() {
            let summary = match directory.exists() {
                true => format!("`{}` is no directory", directory.display()),
                false => format!("there is no directory `{}`", directory.display()),
            };
            return Err(Diagnostic::error(summary).help("Name the project's directory with -C.").into());
        }
        if let Err(error) = std::fs::read_dir(directory) {
            return Err(Diagnostic::error(format!("`{}` cannot be read: {error}", directory.display()))
                .help("Have the directory be one that you may read, or name another one with -C.")
                .into());
        }
        if !project::is_project(directory) && !project::has_records(directory) {
            let place = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            return Err(Diagnostic::error(format!("`{}` holds no project", place.display()))
                .detail("A project has an `andon.hcl`, a `stacks` directory, `*.tf` files, or roles or images.")
                .help("Go to the project's directory or name it with -C, or make one with `andon new NAME`.")
                .into());
        }
        Ok(directory)
    }

    /// Opens the project with its ledger; refuses a directory that holds none.
    pub fn open(&self) -> Result<Project, Stop> {
        self.open_by(Session::open)
    }

    fn open_by(&self, open: impl FnOnce(Settings) -> Result<Session, OpenError>) -> Result<Project, Stop> {
        self.open_given(open, None)
    }

    /// What the ways in settle.
    pub fn settings(&self, directory: &Path) -> Settings {
        Settings {
            directory: directory.to_owned(),
            data_dir: self.arguments.data_dir.clone(),
            helper: PathBuf::from("/proc/self/exe"),
            mirror: self.arguments.mirror.clone(),
            security_mirror: self.arguments.security_mirror.clone(),
            ubuntu_mirror: self.arguments.ubuntu_mirror.clone(),
            tests: self.arguments.command.tests().to_owned(),
            interrupt: interrupt(),
        }
    }

    fn open_given(
        &self,
        open: impl FnOnce(Settings) -> Result<Session, OpenError>,
        given: Option<&Given>,
    ) -> Result<Project, Stop> {
        let directory = self.project_directory()?;
        let mut session = open(self.settings(directory)).map_err(|error| open_error(&error))?;
        if crate::realm::looks_at_the_lab(&self.arguments.command) {
            lab_place::check(&session).map_err(|failure| Stop::from(said_by(&failure)))?;
        }
        match given {
            Some(given) => session.give(given),
            None => self.give(&mut session)?,
        }
        let providers = provider::built_in(&session).map_err(|failure| said_by(&failure))?;
        let schemas = Arc::new(provider::all_schemas(&providers));
        Ok(Project { session, providers, schemas, plugins: Arc::default() })
    }

    /// Opens the project for a plan that was saved: with the values that its variables had then.
    /// Those that are there only while a run lasts are given again.
    pub fn open_saved(&self, saved: &SavedPlan, again: &VariableArguments) -> Result<Project, Stop> {
        let project = self.sound(self.open_saved_to_look(saved, again)?)?;
        self.locked_providers(project)
    }

    /// The same for who only looks at the plan: what was said of the definitions when it was made is not said again.
    pub fn open_saved_to_look(&self, saved: &SavedPlan, again: &VariableArguments) -> Result<Project, Stop> {
        let again = again.read(&self.arguments.directory)?;
        let arguments = saved.given.arguments.iter().chain(&again.arguments).cloned().collect();
        let given = Given { arguments, ..saved.given.clone() };
        let project = self.open_given(Session::open, Some(&given))?;
        Ok(self.with_plugins(project))
    }

    /// Reads the project's definitions, without its ledger.
    pub fn open_definitions(&self) -> Result<Project, Stop> {
        let project = self.open_by(Session::definitions)?;
        let name = self.environment_in_use(&project.session);
        let is_known = name.is_none_or(|name| project.session.project().environments.contains_key(&name));
        // The ledger knows of environments that were made elsewhere.
        if is_known { Ok(project) } else { self.open() }
    }

    /// As [`Context::open_definitions`], with the provider plugins that the project needs, as far as they are installed.
    pub fn open_with_plugins(&self) -> Result<Project, Stop> {
        Ok(self.with_plugins(self.open_definitions()?))
    }

    fn with_plugins(&self, mut project: Project) -> Project {
        let definitions = project.session.project();
        let (state, directory) = (project.session.state(), &self.arguments.directory);
        project.plugins = Arc::new(Plugins::load(definitions, state, directory, schema_cache()));
        project.plugins.add_to(Arc::make_mut(&mut project.schemas));
        project.providers.set_plugins(Arc::clone(&project.plugins));
        project
    }

    /// Says what is wrong with the definitions; refuses them where there are errors.
    pub fn sound(&self, project: Project) -> Result<Project, Stop> {
        let found = project.check();
        self.said(project, &found)
    }

    /// Opens the project whatever is wrong with its definitions, with the provider plugins that are installed.
    pub fn open_any_with_plugins(&self) -> Result<Project, Stop> {
        Ok(self.with_plugins(self.open()?))
    }

    /// The same with the provider plugins that are installed, which have their say.
    pub fn open_sound_with_plugins(&self) -> Result<Project, Stop> {
        let project = self.sound(self.with_plugins(self.open()?))?;
        self.locked_providers(project)
    }

    /// Refuses to go on with providers that the lock file does not settle.
    pub fn locked_providers(&self, project: Project) -> Result<Project, Stop> {
        self.refuse_unlocked(&project)?;
        Ok(project)
    }

    /// The same of a project that stays where it is.
    pub fn refuse_unlocked(&self, project: &Project) -> Result<(), Stop> {
        self.say_unsound(project, project.plugins.unlocked())
    }

    /// Opens the project to look at its values: what plugins offer is known, and they are not asked what is wrong.
    /// Mistakes are said, and need not stop who asks of something else, unless all is `needed`; what could not be read
    /// at all does.
    pub fn open_to_read(&self, needed: bool) -> Result<Project, Stop> {
        let project = self.with_plugins(self.open()?);
        self.note_absent(&project);
        let mut found = project.session.diagnostics().clone();
        found.extend(andon_lang::check(project.session.project(), &project.schemas));
        found.sort();
        if needed || !found.has_errors() || !project.session.project().unparsed.is_empty() {
            return self.said(project, &found);
        }
        // As data, an answer is one line.
        if !self.arguments.json {
            self.say_diagnostics(&found, project.sources());
            self.say("note: the definitions have mistakes; what does not read them is evaluated all the same");
        }
        Ok(project)
    }

    /// Says of which providers nothing is known, as they are not installed.
    pub fn note_absent(&self, project: &Project) {
        for (provider, _, _) in project.plugins.absent() {
            self.say(&format!(
                "note: the provider {provider} is not at hand, so what belongs to it is of no known type; \
                 `andon init` installs it"
            ));
        }
    }

    /// Says what was found wrong with the definitions; refuses them where there are errors.
    pub fn said(&self, project: Project, found: &Diagnostics) -> Result<Project, Stop> {
        self.say_unsound(&project, found)?;
        Ok(project)
    }

    /// The same of a project that stays where it is.
    pub fn say_unsound(&self, project: &Project, found: &Diagnostics) -> Result<(), Stop> {
        if !found.is_empty() {
            self.say_diagnostics(found, project.sources());
        }
        if found.has_errors() { Err(Stop::Code(1)) } else { Ok(()) }
    }

    /// Refuses, before anything is touched, to change what this machine cannot make.
    pub fn require_machine(&self, project: &Project) -> Result<(), Stop> {
        let missing = provider::missing(project.session.project());
        let diagnostic = |missing: &andon_lab::Missing| {
            Diagnostic::error(format!("this machine lacks {}", missing.what)).detail(&missing.why).help(&missing.how)
        };
        let found: Diagnostics = missing.iter().map(diagnostic).collect();
        if !found.is_empty() {
            crate::realm::begin_anew();
        }
        if found.is_empty() { Ok(()) } else { Err(found.into()) }
    }

    /// Gives the stacks' variables the values of the command line and of the process's environment; what a plan lacks
    /// then is asked for.
    fn give(&self, session: &mut Session) -> Result<(), Stop> {
        let Some(arguments) = self.arguments.command.variables() else { return Ok(()) };
        let to_tests = matches!(self.arguments.command, Command::Test(_));
        session.give(&Given { to_tests, ..arguments.read(&self.arguments.directory)? });
        // What is wrong with the names is said where they are used.
        if let (Some(stacks), Ok(environment)) = (self.arguments.command.plans(), self.meant(session)) {
            let stacks: Vec<Arc<str>> = stacks.iter().map(|name| name.as_str().into()).collect();
            let name = Arc::clone(&environment.name);
            let given = variables::ask(self, session, &name, &stacks)?;
            session.give(&given);
        }
        Ok(())
    }

    /// The environment that is meant.
    pub fn environment<'a>(&self, project: &'a Project) -> Result<&'a Environment, Stop> {
        self.meant(&project.session)
    }

    /// The environment that is named: by an option, by Terraform's variable, or by the last `workspace select`.
    fn environment_in_use(&self, session: &Session) -> Option<Arc<str>> {
        let given = self.arguments.environment.as_deref().map(Arc::from);
        given.or_else(named_by_variable).or_else(|| session.workspaces().selected.clone())
    }

    fn meant<'a>(&self, session: &'a Session) -> Result<&'a Environment, Stop> {
        let environments = &session.project().environments;
        let workspaces = session.workspaces();
        match self.environment_in_use(session) {
            Some(name) => environments.get(&*name).ok_or_else(|| {
                let names: Vec<&str> = environments.keys().map(|name| &**name).collect();
                let diagnostic = Diagnostic::error(format!("there is no environment `{name}`"));
                let help = match nearest(&name, names.iter().copied()) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None => format!("The project has {}.", names.join(", ")),
                };
                let diagnostic = diagnostic.help(help);
                match workspaces.selected.as_ref() == Some(&name) && self.arguments.environment.is_none() {
                    true => diagnostic.help("It was selected: select another one with `andon workspace select NAME`."),
                    false => diagnostic,
                }
                .into()
            }),
            None => {
                // Those that were made, here or elsewhere, are meant only where they are named.
                let is_any_defined = environments.values().any(|it| it.span.is_some());
                let is_defined = |it: &&Environment| it.span.is_some() || !is_any_defined && *it.name == *DEFAULT;
                let defined: Vec<&Environment> = environments.values().filter(is_defined).collect();
                let free = defined.iter().filter(|it| !it.protected || defined.len() == 1);
                free.min_by_key(|it| it.span).copied().ok_or_else(|| {
                    Diagnostic::error("every environment of this project is protected")
                        .help("Name the one that you mean with -e.")
                        .into()
                })
            }
        }
    }

    /// Stacks by the names that the user gave, refused where the project has none of that name.
    pub fn stacks(&self, project: &Project, names: &[String]) -> Result<Vec<Arc<str>>, Stop> {
        let stacks = &project.session.project().stacks;
        let known = |name: &String| match stacks.get_key_value(&**name) {
            Some((name, _)) => Ok(Arc::clone(name)),
            None => {
                let all: Vec<&str> = stacks.keys().map(|name| &**name).collect();
                let diagnostic = Diagnostic::error(format!("there is no stack `{name}`"));
                let help = match nearest(name, all.iter().copied()) {
                    Some(near) => format!("Did you mean `{near}`?"),
                    None if all.iter().all(|name| name.is_empty()) => "The project has one, without a name.".to_owned(),
                    None => format!("The project has {}.", all.join(", ")),
                };
                Err(Stop::from(diagnostic.help(help)))
            }
        };
        names.iter().map(known).collect()
    }

    /// Takes the environment's lock, and says who holds it while it waits.
    pub fn lock(
        &self,
        project: &Project,
        environment: &str,
        command: &str,
        lock: &LockArguments,
    ) -> Result<Recorder, Stop> {
        if self.arguments.lock == Some(false) {
            return Err(Diagnostic::error("the ledger is written under its environment's lock, always")
                .help("Leave -lock=false out: a lock whose holder is gone ends by itself. Nothing was done.")
                .into());
        }
        let forever = Duration::from_secs(u64::from(u32::MAX));
        let interactive = std::io::stdin().is_terminal() && self.live;
        let limit = lock.lock_timeout.unwrap_or(if interactive { forever } else { Duration::ZERO });
        let mut said = false;
        let told = project.session.lock(environment, command, limit, |other| {
            if !said {
                said = true;
                self.say(&format!("{}; waiting for it to end (Ctrl-C to leave)", held(other)));
            }
        });
        told.map_err(|error| match error {
            OpenError::Lock(LockError::Held(other)) => Diagnostic::error(held(&other))
                .help(match other.here {
                    true => "Wait for it with --lock-timeout=5m, or end that process; nothing was done.".to_owned(),
                    false => format!(
                        "Wait for it with --lock-timeout=5m; nothing was done. If nothing is left of that process, its lock \
                         ends by itself within a minute of its end, or at once with `andon force-unlock {}`.",
                        other.id
                    ),
                })
                .into(),
            error => open_error(&error),
        })
    }

    /// A line on standard error.
    pub fn say(&self, text: &str) {
        // Nobody reads standard error any more: then there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Text on standard output; a reader that went away ends the program quietly, and a full disk does not.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                std::process::exit(0);
            }
            self.say(&format!("error: standard output cannot be written: {error}"));
            std::process::exit(1);
        }
    }

    /// Diagnostics: as data on standard output with `--json`, else on standard error.
    pub fn say_diagnostics(&self, diagnostics: &Diagnostics, sources: &SourceMap) {
        if self.arguments.json && matches!(self.arguments.command, Command::Test(_)) {
            crate::commands::test::print_diagnostics(diagnostics, sources, None);
        } else if self.arguments.json {
            let data = andon_view::diagnostics_json(diagnostics, sources);
            self.print(&format!("{}\n", serde_json::json!({ "diagnostics": data })));
        } else {
            let text = andon_view::diagnostics(diagnostics, sources, self.err, self.width);
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }

    /// Says why a command stopped, and gives the exit code.
    pub fn stopped(&self, stop: Stop, sources: &SourceMap) -> ExitCode {
        match stop {
            Stop::Code(code) => ExitCode::from(code),
            Stop::Because(diagnostics) => {
                self.say_diagnostics(&diagnostics, sources);
                ExitCode::FAILURE
            }
        }
    }
}

/// An open project, and what makes its resources real.
pub struct Project {
    /// The definitions, the ledger and the state.
    pub session: Session,
    /// The providers.
    pub providers: Providers,
    /// Every schema at hand.
    pub schemas: Arc<Schemas>,
    /// The provider plugins; none where the command has nothing to ask them.
    pub plugins: Arc<Plugins>,
}

impl Project {
    /// All that is wrong in the definitions, and needs no world to be seen.
    pub fn check(&self) -> Diagnostics {
        // What did not load is known to the second look, which says nothing that only follows from it.
        let mut found = self.session.diagnostics().clone();
        found.extend(andon_engine::check(self.session.project(), &self.schemas, &self.plugins));
        found.sort();
        found
    }

    /// The source texts that diagnostics point into.
    pub fn sources(&self) -> &SourceMap {
        &self.session.project().sources
    }
}

/// Where what plugins offer is kept: with the user's other caches.
pub fn schema_cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(caches.join("andon/providers"))
}

/// Who holds a lock, and since when.
pub fn held(other: &Held) -> String {
    let Held { environment, holder, .. } = other;
    let ago = match (andon_engine::now().0 - holder.since.0) / 1000 {
        ..1 => "just now".to_owned(),
        seconds => format!("for {}", andon_view::duration(seconds * 1000)),
    };
    let began = crate::clock::time_of_day(holder.since);
    format!(
        "environment `{environment}` is locked by {} (process {}), running `andon {}` since {began} ({ago})",
        holder.who, holder.pid, holder.command,
    )
}

/// What to say when a project, its ledger or its lock cannot be opened.
pub fn open_error(error: &OpenError) -> Stop {
    let diagnostic = Diagnostic::error(error.to_string());
    match error {
        OpenError::Workspaces(Failure { summary, detail, help, .. }) => {
            let diagnostic = Diagnostic::error(summary).detail(detail);
            help.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help)).into()
        }
        OpenError::Replay(_) => {
            diagnostic.help("Keep a copy of `.andon/ledger.db`: it must not be changed by hand.").into()
        }
        _ => diagnostic.into(),
    }
}

/// The flag that the first interrupt sets.
pub fn interrupt() -> Arc<AtomicBool> {
    static SHARED: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();
    Arc::clone(SHARED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&flag);
        // The handler may only touch a static; a thread carries it over.
        let carried = std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
            while !INTERRUPT.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            watched.store(true, Ordering::Relaxed);
        });
        if carried.is_ok() {
            catch_interrupts();
        }
        flag
    }))
}

fn catch_interrupts() {
    extern "C" fn caught(_: libc::c_int) {
        if INTERRUPT.swap(true, Ordering::Relaxed) {
            // The second one: the ledger holds every intent, so that the next run can resolve them.
            say_stopped_at_once();
            // SAFETY: _exit is safe to call in a signal handler.
            unsafe { libc::_exit(130) }
        }
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(libc::c_int) = caught;
        // SAFETY: the handler only touches atomics and calls write and _exit, all of which are safe in a signal handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// The columns that standard error has room for.
fn width() -> usize {
    columns_wanted().or_else(|| columns(libc::STDERR_FILENO)).map_or(100, sensible)
}

/// What the user says of the terminal's width, where it is said.
fn columns_wanted() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// The columns of the terminal that is behind a file; `None` where there is none.
fn columns(file: libc::c_int) -> Option<usize> {
    // SAFETY: the structure is plain data, and the call only writes to it.
    let columns = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        if libc::ioctl(file, libc::TIOCGWINSZ, &raw mut size) == 0 { size.ws_col } else { 0 }
    };
    (columns > 0).then_some(usize::from(columns))
}

/// Less is of no use, and more is hard to read.
fn sensible(columns: usize) -> usize {
    columns.clamp(20, 200)
}
