//! Values for input variables: from the command line, the process's environment and, last, from whoever is at the
//! terminal.

use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use andon_engine::Session;
use andon_lang::{Given, GivenArgument, missing_values};
use andon_text::Diagnostic;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::context::{Context, Stop, interrupt};

/// What a name in the process's environment begins with that gives a variable a value.
const PREFIX: &str = "TF_VAR_";

/// `-var` and `-var-file`, in the order given.
#[derive(Debug, Clone, Default)]
pub struct VariableArguments(Vec<VariableArgument>);

#[derive(Debug, Clone)]
enum VariableArgument {
    Text(String),
    File(PathBuf),
}

impl FromArgMatches for VariableArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<VariableArguments, clap::Error> {
        let indices = |id: &str| matches.indices_of(id).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let texts = matches.get_many::<String>("var").into_iter().flatten().cloned().map(VariableArgument::Text);
        let files = matches.get_many::<PathBuf>("var-file").into_iter().flatten().cloned().map(VariableArgument::File);
        let mut all: Vec<(usize, VariableArgument)> = indices("var").into_iter().zip(texts).collect();
        all.extend(indices("var-file").into_iter().zip(files));
        all.sort_by_key(|(index, _)| *index);
        Ok(VariableArguments(all.into_iter().map(|(_, argument)| argument).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = VariableArguments::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for VariableArguments {
    fn augment_args(command: Command) -> Command {
        let var = Arg::new("var").long("var").value_name("NAME=VALUE").action(ArgAction::Append);
        let file = Arg::new("var-file").long("var-file").value_name("FILE").action(ArgAction::Append);
        command.arg(var.help("Give an input variable a value; `-var` will do").value_parser(value_parser!(String))).arg(
            file.help("Give the values of a *.tfvars file; `-var-file` will do").value_parser(value_parser!(PathBuf)),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        VariableArguments::augment_args(command)
    }
}

impl VariableArguments {
    /// Whether nothing is given on the command line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values, with the files read: from `directory`, where a path does not begin at the root.
    pub fn read(&self, directory: &Path) -> Result<Given, Stop> {
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.to_str()?.strip_prefix(PREFIX)?.to_owned();
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        environment.sort();
        let mut arguments = Vec::with_capacity(self.0.len());
        for argument in &self.0 {
            arguments.push(match argument {
                VariableArgument::Text(text) => self::text(text)?,
                VariableArgument::File(path) => {
                    let content = std::fs::read(directory.join(path)).map_err(|error| {
                        Diagnostic::error(format!("the file of values `{}` cannot be read", path.display()))
                            .detail(format!("{error}."))
                            .help("Name a file of `NAME = VALUE` lines after -var-file.")
                    })?;
                    GivenArgument::File { path: path.display().to_string(), content: content.into() }
                }
            });
        }
        Ok(Given { environment, arguments, to_tests: false })
    }
}

fn text(argument: &str) -> Result<GivenArgument, Diagnostic> {
    let Some((name, text)) = argument.split_once('=') else {
        // It may be a secret, without the name in front of it.
        let diagnostic = Diagnostic::error("an argument of `-var` has no \"=\" in it");
        return Err(diagnostic.help("Write a name and a value, like: -var 'NAME=VALUE'"));
    };
    if name.is_empty() || name.trim() != name {
        let diagnostic = Diagnostic::error(format!("`-var` gives a value to the odd name \"{name}\""));
        return Err(
            diagnostic.help("Write the name and the value without a space around \"=\", like: -var 'NAME=VALUE'")
        );
    }
    Ok(GivenArgument::Text { name: name.to_owned(), text: text.to_owned() })
}

/// Asks for the values that nothing gives. Without a terminal nothing is asked, and planning says what is missing.
pub fn ask(
    context: &Context,
    session: &Session,
    environment: &str,
    stacks: &[std::sync::Arc<str>],
) -> Result<Given, Stop> {
    let mut given = Given::default();
    if !std::io::stdin().is_terminal() || context.arguments.json || context.arguments.input == Some(false) {
        return Ok(given);
    }
    for (name, needed) in missing_values(session.project(), environment, stacks) {
        let mut error = std::io::stderr();
        let _ = writeln!(error, "var.{name}");
        for (stack, variable) in &needed {
            let of = if stack.is_empty() { String::new() } else { format!("stack {stack}: ") };
            if !variable.description.is_empty() || !of.is_empty() {
                let _ = writeln!(error, "  {of}{}", variable.description);
            }
        }
        let mut line = String::new();
        let read = {
            let secret = needed.iter().any(|(_, variable)| variable.is_secret());
            let _silence = secret.then(Silence::keep);
            let _ = write!(error, "\n  Enter a value: ");
            let _ = error.flush();
            line_is_there()?;
            std::io::stdin().lock().read_line(&mut line)
        };
        let _ = writeln!(error);
        if !matches!(read, Ok(length) if length > 0) {
            return Err(Diagnostic::error(format!("no value was given for the variable \"{name}\"")).into());
        }
        let text = line.trim_end_matches(['\n', '\r']).to_owned();
        given.arguments.push(GivenArgument::Text { name: name.to_string(), text });
    }
    Ok(given)
}

/// A line that is typed, and shown to nobody.
pub fn typed_in_silence(context: &Context, prompt: &str) -> Result<String, Stop> {
    if context.arguments.input == Some(false) {
        return Err(Diagnostic::error("nothing may be asked, by -input=false")
            .help("Give it on standard input.")
            .into());
    }
    let mut line = String::new();
    let read = {
        let _silence = Silence::keep();
        let mut error = std::io::stderr();
        let _ = write!(error, "{prompt}").and_then(|()| error.flush());
        line_is_there()?;
        std::io::stdin().lock().read_line(&mut line)
    };
    let _ = writeln!(std::io::stderr());
    match read {
        Ok(_) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(Diagnostic::error(format!("standard input cannot be read: {error}")).into()),
    }
}

/// Waits until a line was typed; whoever types an interrupt instead ends the command.
fn line_is_there() -> Result<(), Stop> {
    let input = std::io::stdin();
    loop {
        if interrupt().load(Ordering::Relaxed) {
            return Err(Stop::Code(130));
        }
        let mut waited = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, 100u16) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            _ => return Ok(()),
        }
    }
}

/// The terminal shows nothing of what is typed while this is there.
struct Silence {
    before: Option<Termios>,
}

impl Silence {
    fn keep() -> Silence {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_flags.remove(LocalFlags::ECHO);
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &silent);
        }
        Silence { before }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
