//! `restart`: servers of the lab, stopped and started again.

use andon_lab::Lab;
use andon_schema::Identity;
use andon_text::Diagnostic;

use crate::args::RestartArguments;
use crate::context::{Context, Stop};
use crate::servers::{Chosen, refused, stopped_by_hand};

/// `andon restart SERVER…`: one after the other, and none after one that failed.
pub fn run(context: &Context, arguments: &RestartArguments) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &arguments.servers)?;
    let servers = chosen.of_lab()?;
    for (name, lab, identity) in servers {
        if stopped_by_hand() {
            return Err(Stop::Code(crate::servers::STOPPED));
        }
        let began = std::time::Instant::now();
        let notes = lab.restart(&identity).map_err(|failure| refused(&failure))?;
        notes.iter().for_each(|note| context.say(note));
        context.say(&format!("{name}: restarted ({} ms)", began.elapsed().as_millis()));
    }
    Ok(())
}

/// `andon logs --console SERVER`: what a server of the lab wrote to its console.
pub fn console(context: &Context, server: &str) -> Result<(), Stop> {
    let chosen = Chosen::find(context, &[server.to_owned()])?;
    let servers = chosen.of_lab()?;
    let [(name, lab, identity)] = servers.as_slice() else {
        return Err(Diagnostic::error(format!("several servers are meant by `{server}`")).help("Name one.").into());
    };
    match lab.console(identity) {
        Ok(said) if !said.is_empty() => context.print(&String::from_utf8_lossy(&said)),
        _ => context.say(&format!("{name} has said nothing on its console.")),
    }
    Ok(())
}

impl Chosen {
    /// All of them as servers of the lab, or a refusal that names one that is none.
    fn of_lab(&self) -> Result<Vec<(String, &Lab, Identity)>, Stop> {
        let servers = self.hosts.iter().map(|host| {
            let identity =
                host.connection.get_str("identity").filter(|_| host.connection.get_str("kind") == Some("lab"));
            let name = host.server.name.to_string();
            match (identity.and_then(Identity::parse), self.lab()) {
                (Some(identity), Some(lab)) => Ok((name, lab, identity)),
                _ => Err(Diagnostic::error(format!("`{name}` is no server of the lab"))
                    .detail("Only a `lab_server` has its power and its console here.")
                    .into()),
            }
        });
        servers.collect()
    }
}
