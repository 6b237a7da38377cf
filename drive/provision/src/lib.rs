//! Runs provisioners: a command on this machine, a script on a server, a file for a server
//! (<https://developer.hashicorp.com/terraform/language/resources/provisioners/syntax>).
//!
//! Servers are reached by the `ssh` program of this machine, told everything that a `connection` says and nothing of the
//! user's own settings: the same definitions mean the same everywhere. Whatever is started ends with this program,
//! however that ends, unless it has left the group of its provisioner.
//!
//! This crate does not know which object a provisioner is for, nor what its failure means for it.

mod connection;
mod file;
mod local;
mod process;
mod remote;
mod secrets;
mod ssh;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use andon_schema::{Failure, ProvisionerRun};
use andon_value::{Marks, Value};

use process::Tail;

/// Where provisioners run, and who follows them.
pub struct Place<'a> {
    /// The directory of this machine that paths start from.
    pub directory: &'a Path,
    /// Once it is true, servers that cannot be reached are no longer waited for.
    pub interrupt: &'a AtomicBool,
    /// Takes what a provisioner writes, a line each.
    pub say: &'a dyn Fn(&str),
}

/// Runs provisioners in their order, until one fails that must not.
pub fn run(runs: &[ProvisionerRun], place: &Place<'_>) -> Result<(), Failure> {
    for run in runs {
        let Err(failure) = one(run, place) else { continue };
        if !run.continues {
            return Err(failure);
        }
        (place.say)(&format!("{}: {}; going on, as on_failure says", run.kind, failure.summary));
    }
    Ok(())
}

fn one(run: &ProvisionerRun, place: &Place<'_>) -> Result<(), Failure> {
    let (config, marks) = run.config.unmark_deep();
    let (connection, _) = run.connection.unmark_deep();
    let kind = &*run.kind;
    let secret = marks != Marks::NONE;
    if secret {
        (place.say)(&format!("{kind}: what it writes is not shown, as a secret is in its arguments"));
    }
    let mut told = Told { kind, secret, say: place.say, tail: Tail::default() };
    match kind {
        "local-exec" => local::run(&config, place.directory, &mut told),
        "remote-exec" => remote::run(&config, &connection, place, &mut told),
        "file" => file::run(&config, &connection, place, &mut told),
        _ => Err(Failure::new(
            format!("there is no provisioner {kind:?}"),
            "There are local-exec, remote-exec and file.",
        )),
    }
}

/// What a provisioner has told so far.
struct Told<'a> {
    kind: &'a str,
    /// Nothing that the provisioner writes may be shown.
    secret: bool,
    say: &'a dyn Fn(&str),
    tail: Tail,
}

impl Told<'_> {
    /// A line that the provisioner wrote.
    fn line(&mut self, line: &str) {
        if !self.secret {
            (self.say)(&format!("{}: {line}", self.kind));
            self.tail.push(line);
        }
    }

    /// What is being done, in words that hold no argument that may be a secret.
    fn step(&self, text: &str) {
        (self.say)(&format!("{}: {text}", self.kind));
    }

    /// That it failed: how, and the end of what it wrote.
    fn failed(&self, how: &str, what: &str) -> Failure {
        let what = if self.secret { "What it ran and wrote holds a secret and is not shown." } else { what };
        let tail = self.tail.text();
        let wrote = if tail.is_empty() { String::new() } else { format!("\nIt wrote:\n{tail}") };
        Failure::new(format!("{} failed: {how}", self.kind), format!("{what}{wrote}").trim())
    }
}

/// An argument that is a text; `None` where it is not given.
fn text<'v>(config: &'v Value, name: &str) -> Option<&'v str> {
    config.get_str(name)
}

/// An argument that is a list of texts; `None` where it is not given.
fn texts(config: &Value, name: &str) -> Option<Vec<String>> {
    let list = config.get(name).filter(|list| !list.is_null())?;
    Some(list.children().map(|text| text.as_str().map(ToString::to_string).unwrap_or_default()).collect())
}
