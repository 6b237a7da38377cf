//! `init`: installs what a project takes from elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use andon_engine::init::{Event, InitError, Outcome, Provided, Request, Status, init};
use andon_engine::{REATTACH_VARIABLE, Session, kept_providers, named};
use andon_lang::modules::Installed;
use andon_schema::ProviderAddress;
use andon_source::Settings;
use andon_text::Diagnostic;
use serde_json::json;

use crate::args::{GetArguments, InitArguments};
use crate::context::{Context, Stop, interrupt, schema_cache};
use crate::terminal::print_json;

/// `andon init`
pub fn run(context: &Context, arguments: &InitArguments) -> Result<(), Stop> {
    let asked = Asked {
        upgrade: arguments.upgrade,
        modules: arguments.get,
        read_only_lock: arguments.lockfile.is_some(),
        plugin_directories: arguments.plugin_dir.clone(),
    };
    install(context, asked)
}

/// `andon get`
pub fn get(context: &Context, arguments: &GetArguments) -> Result<(), Stop> {
    install(context, Asked { upgrade: arguments.update, modules: true, ..Asked::default() })
}

/// What the command line settles.
#[derive(Default)]
struct Asked {
    upgrade: bool,
    modules: bool,
    read_only_lock: bool,
    plugin_directories: Vec<PathBuf>,
}

fn install(context: &Context, asked: Asked) -> Result<(), Stop> {
    let directory = context.project_directory()?;
    let request = Request {
        directory: directory.clone(),
        upgrade: asked.upgrade,
        modules: asked.modules,
        read_only_lock: asked.read_only_lock,
        plugin_directories: asked.plugin_directories,
        cache: schema_cache(),
        hosts: Settings::from_environment(),
        interrupt: interrupt(),
        kept: kept(context, directory),
    };
    let lines = Mutex::new(Lines::default());
    let outcome = init(&request, &|event| {
        if let Ok(mut lines) = lines.lock() {
            lines.event(context, event);
        }
    });
    if let Ok(mut lines) = lines.lock() {
        lines.erase(context);
    }
    match outcome {
        Ok(outcome) => tell(context, &outcome),
        Err(error @ InitError::Interrupted) => {
            context.say(&format!("Stopped: {error}."));
            Err(Stop::Code(130))
        }
        Err(error) => Err(Diagnostic::error(error.to_string()).into()),
    }
}

/// The providers of what there is. A ledger that cannot be read now is the business of whoever needs it.
fn kept(context: &Context, directory: &Path) -> Vec<ProviderAddress> {
    match Session::open(context.settings(directory)) {
        Ok(session) => kept_providers(session.state()).into_iter().collect(),
        Err(error) => {
            context.say(&format!("note: what there is was not looked at: {error}"));
            Vec::new()
        }
    }
}

/// Says what a run came to.
fn tell(context: &Context, outcome: &Outcome) -> Result<(), Stop> {
    let failed = outcome.diagnostics.has_errors();
    if context.arguments.json {
        let modules: Vec<_> = outcome.modules.iter().map(|(module, status)| module_json(module, *status)).collect();
        print_json(&json!({
            "format_version": "1.0",
            "complete": !failed && !outcome.interrupted,
            "modules": modules,
            "removed": outcome.removed,
            "providers": outcome.providers.iter().map(provider_json).collect::<Vec<_>>(),
            "lock_file_written": outcome.locked,
            "diagnostics": andon_view::diagnostics_json(&outcome.diagnostics, &outcome.sources),
        }));
    } else {
        if !outcome.diagnostics.is_empty() {
            context.say_diagnostics(&outcome.diagnostics, &outcome.sources);
        }
        context.print(&text(outcome));
    }
    if outcome.interrupted {
        context.say("Stopped: what was fetched whole is kept. Run `andon init` again for the rest.");
        return Err(Stop::Code(130));
    }
    if failed { Err(Stop::Code(1)) } else { Ok(()) }
}

fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (module, _) in outcome.modules.iter().filter(|(_, status)| *status == Status::Installed) {
        let version = module.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let commit = module.commit.as_ref().and_then(|commit| commit.get(..12));
        let commit = commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
        text.push_str(&format!("Installed {}{version}{commit}\n", module.source));
    }
    for provided in outcome.providers.iter().filter(|it| it.status == Status::Installed || it.version.is_none()) {
        text.push_str(&provider_text(provided));
    }
    let count = outcome.modules.len();
    let new = outcome.modules.iter().filter(|(_, status)| *status == Status::Installed).count();
    let noun = |count: usize| if count == 1 { "module package" } else { "module packages" };
    if outcome.diagnostics.has_errors() || outcome.interrupted {
        return text;
    }
    let providers = outcome.providers.len();
    if count > 0 || providers == 0 {
        text.push_str(&match (count, new) {
            (0, _) => "Nothing comes from elsewhere: there is nothing to install.\n".to_owned(),
            (_, 0) => format!("All {count} {} are installed.\n", noun(count))
                .replace("All 1 module package are", "The one module package is"),
            (_, new) if new == count => format!("Done: {count} {} installed.\n", noun(count)),
            (_, new) => format!("Done: {new} of {count} {} newly installed.\n", noun(count)),
        });
    }
    if providers > 0 {
        let new = outcome.providers.iter().filter(|it| it.status == Status::Installed).count();
        let noun = if providers == 1 { "provider" } else { "providers" };
        text.push_str(&match (providers, new) {
            (1, 0) => "The one provider is installed.\n".to_owned(),
            (_, 0) => format!("All {providers} providers are installed.\n"),
            (_, new) if new == providers => format!("Done: {providers} {noun} installed.\n"),
            (_, new) => format!("Done: {new} of {providers} providers newly installed.\n"),
        });
    }
    if outcome.locked {
        text.push_str("Wrote .terraform.lock.hcl: commit it, so that everybody gets the same.\n");
    }
    if outcome.removed > 0 {
        text.push_str(&format!("Removed {} {} that nothing calls any more.\n", outcome.removed, noun(outcome.removed)));
    }
    text
}

fn provider_text(provided: &Provided) -> String {
    let name = named(&provided.address);
    if provided.status == Status::Attached {
        return format!("Using {name} that runs already, as {REATTACH_VARIABLE} names it\n");
    }
    let Some(version) = &provided.version else {
        return format!("Using {name} under development in {}\n", provided.origin);
    };
    let signer = provided.signer.as_ref().map(|key| format!(", signed with the key {key}")).unwrap_or_default();
    format!("Installed {name} {version} from {}{signer}\n", provided.origin)
}

fn provider_json(provided: &Provided) -> serde_json::Value {
    json!({
        "address": provided.address.to_string(),
        "version": provided.version.as_ref().map(ToString::to_string),
        "status": match (&provided.version, provided.status) {
            (_, Status::Attached) => "attached",
            (None, _) => "under development",
            (_, Status::Kept) => "kept",
            (_, Status::Installed) => "installed",
        },
        "from": provided.origin,
        "signed_with": provided.signer,
    })
}

fn module_json(module: &Installed, status: Status) -> serde_json::Value {
    json!({
        "source": &*module.source,
        "version": module.version.as_ref().map(ToString::to_string),
        "directory": &*module.root,
        "from": module.from,
        "commit": module.commit,
        "hash": module.hash,
        "calls": module.calls,
        "status": match status {
            Status::Kept => "kept",
            Status::Installed => "installed",
            Status::Attached => "attached",
        },
    })
}

/// What is under way: one line on a terminal, a line for each package elsewhere.
#[derive(Default)]
struct Lines {
    open: BTreeMap<String, (u64, Option<u64>)>,
    drawn: bool,
    last: Option<Instant>,
}

impl Lines {
    fn event(&mut self, context: &Context, event: Event) {
        if context.arguments.json {
            return;
        }
        match event {
            Event::Waiting => {
                self.erase(context);
                context.say("Another `andon init` is at work here; waiting for it to end (Ctrl-C to leave).");
            }
            Event::Asking(_) => {}
            Event::Fetching(what) => {
                if !context.live {
                    context.say(&format!("Fetching {what}"));
                }
                self.open.insert(what, (0, None));
                self.draw(context, true);
            }
            Event::Bytes(what, bytes, total) => {
                self.open.insert(what, (bytes, total));
                self.draw(context, false);
            }
            Event::Fetched(what) => {
                self.open.remove(&what);
                self.draw(context, true);
            }
        }
    }

    fn draw(&mut self, context: &Context, now: bool) {
        let recent = self.last.is_some_and(|last| last.elapsed().as_millis() < 100);
        if !context.live || recent && !now {
            return;
        }
        self.erase(context);
        let Some((first, (bytes, total))) = self.open.iter().next() else { return };
        let size = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let far = match (bytes, total) {
            (0, _) => String::new(),
            (bytes, None) => format!(", {}", size(*bytes)),
            (bytes, Some(total)) => format!(", {} of {}", size(*bytes), size(*total)),
        };
        let more = if self.open.len() > 1 { format!(" and {} more", self.open.len() - 1) } else { String::new() };
        let line: String =
            format!("Fetching {first}{far}{more}").chars().take(context.width.saturating_sub(1)).collect();
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        self.drawn = true;
        self.last = Some(Instant::now());
    }

    fn erase(&mut self, _: &Context) {
        if std::mem::take(&mut self.drawn) {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"\r\x1b[2K");
        }
    }
}
