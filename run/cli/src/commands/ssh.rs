//! `ssh`: a shell in a server, or one command.

use std::ffi::OsString;

use andon_reach::exec;
use andon_text::Diagnostic;

use crate::context::{Context, Stop};
use crate::host_args::SshArguments;
use crate::servers::{Chosen, helper, refused};

/// `andon ssh SERVER [COMMAND…]`
pub fn run(context: &Context, arguments: &SshArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, std::slice::from_ref(&arguments.server))?;
    let [host] = chosen.hosts.as_slice() else {
        let names: Vec<String> = chosen.names().iter().map(ToString::to_string).collect();
        return Err(Diagnostic::error(format!("several servers are meant by `{}`", arguments.server))
            .help(format!("Name one of them: {}.", names.join(", ")))
            .into());
    };
    let target = chosen.target(host).map_err(|failure| refused(&failure))?;
    let words: Vec<OsString> = match arguments.command.as_slice() {
        // One word with spaces in it is a line for a shell, as ssh(1) has it; several are a command and its arguments.
        [line] if line.contains(char::is_whitespace) => vec!["/bin/sh".into(), "-c".into(), line.into()],
        words => words.iter().map(OsString::from).collect(),
    };
    let code = exec(&target, helper(), &words).map_err(|error| refused(&error.failure()))?;
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Stop::Code(code)),
    }
}
