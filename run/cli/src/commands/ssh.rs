//! `ssh`: a shell in a server, or one command.

use std::ffi::OsString;
use std::path::Path;

use andon_engine::provider;
use andon_reach::{Target, exec};
use andon_schema::Identity;
use andon_text::{Diagnostic, nearest};

use crate::context::{Context, Stop};
use crate::host_args::SshArguments;

/// `andon ssh SERVER [COMMAND…]`
pub fn run(context: &Context, arguments: &SshArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let environment = context.environment(&project)?;
    let here = project.session.state().environment(&environment.name);
    let servers: Vec<(String, String, Identity)> = here
        .instances
        .iter()
        .filter_map(|(address, instance)| {
            let object = instance.current.as_ref().filter(|_| &*address.resource.kind == "lab_server")?;
            let name = object.value.get_str("name").unwrap_or_default().to_owned();
            Some((name, address.to_string(), object.identity.clone()))
        })
        .collect();
    let wanted = &arguments.server;
    let matching: Vec<_> = servers
        .iter()
        .filter(|(name, address, _)| {
            name == wanted || address == wanted || address.split_once('/').is_some_and(|(_, rest)| rest == wanted)
        })
        .collect();
    let identity = match matching.as_slice() {
        [(_, _, identity)] => identity,
        [] => {
            let diagnostic = Diagnostic::error(format!("no server `{wanted}` is up in {}", environment.name));
            let names: Vec<&str> = servers.iter().map(|(name, _, _)| name.as_str()).collect();
            let help = match nearest(wanted, names.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None if names.is_empty() => "`andon up` brings servers up.".to_owned(),
                None => format!("There are {}.", names.join(", ")),
            };
            return Err(diagnostic.help(help).into());
        }
        several => {
            let addresses: Vec<&str> = several.iter().map(|(_, address, _)| address.as_str()).collect();
            return Err(Diagnostic::error(format!("several servers are named `{wanted}`"))
                .help(format!("Name one by its address: {}.", addresses.join(", ")))
                .into());
        }
    };
    let refused = |summary: &str, detail: String| Stop::from(Diagnostic::error(summary).detail(detail));
    let lab = provider::lab(project.session.settings())
        .map_err(|failure| refused(&failure.summary, failure.detail.clone()))?;
    let init = lab.init(identity).ok_or_else(|| {
        Stop::from(Diagnostic::error(format!("server `{wanted}` does not run")).help("`andon sync` brings it back."))
    })?;
    let reach = |error: andon_reach::ReachError| refused("the server cannot be reached", error.to_string());
    let target = Target::server(init).map_err(reach)?;
    let words: Vec<OsString> = match arguments.command.as_slice() {
        // One word with spaces in it is a line for a shell, as ssh(1) has it; several are a command and its arguments.
        [line] if line.contains(char::is_whitespace) => vec!["/bin/sh".into(), "-c".into(), line.into()],
        words => words.iter().map(OsString::from).collect(),
    };
    let code = exec(&target, Path::new("/proc/self/exe"), &words).map_err(reach)?;
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Stop::Code(code)),
    }
}
