//! From the value of a `connection` to the way to a server.

use std::collections::BTreeMap;

use andon_docker::Docker;
use andon_lab::{Lab, Login};
use andon_reach::{Ssh, Target};
use andon_schema::{Failure, Identity};
use andon_text::nearest;
use andon_value::Value;

/// What a connection of the kind `ssh` may say.
const ARGUMENTS: [&str; 8] = ["kind", "name", "address", "user", "port", "identity_file", "options", "become"];

/// The way to a server. `may_ask` lets `ssh` ask at the terminal.
pub fn target(connection: &Value, lab: Option<&Lab>, may_ask: bool) -> Result<Target, Failure> {
    let text = |name| connection.get_str(name).unwrap_or_default();
    match text("kind") {
        "lab" => {
            let identity = Identity::parse(text("identity"));
            let login = identity.as_ref().zip(lab).and_then(|(identity, lab)| lab.login(identity));
            if let Some(login) = login {
                return Ok(Target::Ssh(Box::new(machine(&login))));
            }
            let init = identity.as_ref().zip(lab).and_then(|(identity, lab)| lab.init(identity)).ok_or_else(|| {
                Failure::new("the server does not run", format!("No lab server `{}` runs.", text("identity")))
                    .help("`andon up` starts a server that does not run.")
            })?;
            Target::server(init).map_err(|error| Failure::new("the server cannot be reached", error.to_string()))
        }
        "docker" => {
            let target = Target::server(Docker::default().init(connection)?);
            target.map_err(|error| Failure::new("the server cannot be reached", error.to_string()))
        }
        // There, what looks like root can change no file of this machine's.
        "local" if andon_lab::is_in_realm() => Err(Failure::new(
            "this machine cannot be reached from the realm of its user",
            "A project with servers of the lab, run without root, works in namespaces of its own.",
        )
        .help("Run this as root, or from a project that has no servers of the lab.")),
        "local" => Ok(Target::Local),
        "ssh" => ssh(connection, may_ask).map(|ssh| Target::Ssh(Box::new(ssh))),
        other => Err(Failure::new(
            format!("no way to a server of the kind `{other}`"),
            "A connection is the `connection` of a `lab_server` or a `docker_server`, `{ kind = \"ssh\", address = … }`, or `{ kind = \"local\" }`.",
        )),
    }
}

/// A server that can be stopped and started from here, and whose console is kept here.
pub enum Power<'a> {
    /// One of the lab.
    Lab(&'a Lab, Identity),
    /// A container, by its connection.
    Docker(Value),
}

impl<'a> Power<'a> {
    /// That of a server, by its connection; `None` where only it itself has it.
    pub fn over(connection: &Value, lab: Option<&'a Lab>) -> Option<Power<'a>> {
        match connection.get_str("kind")? {
            "lab" => Some(Power::Lab(lab?, Identity::parse(connection.get_str("identity")?)?)),
            "docker" => Some(Power::Docker(connection.clone())),
            _ => None,
        }
    }

    /// Stops the server and starts it again, with its address and its files. Gives what is to be said of it.
    pub fn restart(&self) -> Result<Vec<String>, Failure> {
        match self {
            Power::Lab(lab, identity) => lab.restart(identity),
            Power::Docker(connection) => Docker::default().restart(connection).map(|()| Vec::new()),
        }
    }

    /// The end of what the server wrote to its console; empty where that is nothing.
    pub fn console(&self) -> Result<String, Failure> {
        match self {
            // There is none where it never ran.
            Power::Lab(lab, identity) => {
                Ok(String::from_utf8_lossy(&lab.console(identity).unwrap_or_default()).into_owned())
            }
            Power::Docker(connection) => Docker::default().console(connection),
        }
    }
}

/// The way to a server of the lab that is a machine of its own: as root, with a key of its own, and to no other machine.
fn machine(login: &Login) -> Ssh {
    let option = |name: &str, value: String| (name.to_owned(), value);
    Ssh {
        address: login.address.to_string(),
        user: Some("root".to_owned()),
        identity_file: Some(login.key.display().to_string()),
        options: vec![
            option("UserKnownHostsFile", format!("\"{}\"", login.known_hosts.display())),
            option("GlobalKnownHostsFile", "/dev/null".to_owned()),
            option("StrictHostKeyChecking", "yes".to_owned()),
            option("HostKeyAlgorithms", "ssh-ed25519".to_owned()),
            option("IdentitiesOnly", "yes".to_owned()),
            // The wire is this machine's memory.
            option("Compression", "no".to_owned()),
        ],
        becomes_root: true,
        ..Ssh::default()
    }
}

fn ssh(connection: &Value, may_ask: bool) -> Result<Ssh, Failure> {
    let wrong = |detail: String| Failure::new("the connection over ssh is not right", detail);
    let empty = BTreeMap::new();
    let entries = connection.as_entries().map_or(&empty, |entries| &**entries);
    if let Some(odd) = entries.keys().find(|name| !ARGUMENTS.contains(&&***name)) {
        let failure = wrong(format!("It has no argument `{odd}`."));
        return Err(match nearest(odd, ARGUMENTS) {
            Some(near) => failure.help(format!("Did you mean `{near}`?")),
            None => failure.help(format!("There are {}.", ARGUMENTS.join(", "))),
        });
    }
    let text = |name: &str| match entries.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text.to_string())),
            None => Err(wrong(format!("Its `{name}` is no text."))),
        },
    };
    let address = text("address")?.filter(|address| !address.is_empty());
    let port = match entries.get("port").filter(|port| !port.is_null()) {
        None => None,
        Some(port) => {
            let number = port.as_number().and_then(|number| number.to_i64());
            let number = number.or_else(|| port.as_str().and_then(|text| text.parse().ok()));
            let port = number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
            Some(port.ok_or_else(|| wrong("Its `port` is no number from 1 to 65535.".to_owned()))?)
        }
    };
    let becomes_root = match entries.get("become").filter(|it| !it.is_null()) {
        None => true,
        Some(it) => it.as_bool().ok_or_else(|| wrong("Its `become` is neither true nor false.".to_owned()))?,
    };
    let mut options = Vec::new();
    for (name, value) in entries.get("options").and_then(Value::as_entries).iter().flat_map(|entries| entries.iter()) {
        let value = andon_value::convert(value, &andon_value::Type::String).ok();
        let value = value.as_ref().and_then(Value::as_str).map(ToString::to_string);
        let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric());
        let value = value.filter(|value| is_name && !value.contains('\n'));
        options.push((name.to_string(), value.ok_or_else(|| wrong(format!("Its option `{name}` is none.")))?));
    }
    Ok(Ssh {
        address: address.ok_or_else(|| wrong("It has no `address`.".to_owned()))?,
        user: text("user")?,
        port,
        identity_file: text("identity_file")?,
        options,
        becomes_root,
        may_ask,
        run_as: andon_lab::user_outside(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&'static str, Value)]) -> Result<Target, String> {
        let kind = ("kind", Value::from("ssh"));
        let connection = Value::object(std::iter::once(kind).chain(entries.iter().cloned()));
        target(&connection, None, false).map_err(|failure| format!("{} {}", failure.detail, failure.help.join(" ")))
    }

    #[test]
    fn connections_over_ssh() {
        let Ok(Target::Ssh(ssh)) = of(&[("address", "web-1".into())]) else { panic!() };
        assert_eq!(*ssh, Ssh { address: "web-1".into(), becomes_root: true, ..Ssh::default() });
        let options = Value::object([("ProxyJump", Value::from("bastion")), ("Compression", true.into())]);
        let all = [
            ("address", Value::from("10.0.0.1")),
            ("user", "deploy".into()),
            ("port", 2222.into()),
            ("identity_file", "~/.ssh/id".into()),
            ("become", false.into()),
            ("options", options),
        ];
        let Ok(Target::Ssh(ssh)) = of(&all) else { panic!() };
        assert_eq!(ssh.name(), "deploy@10.0.0.1:2222");
        assert!(!ssh.becomes_root);
        assert_eq!(ssh.options, [("Compression", "true"), ("ProxyJump", "bastion")].map(|(a, b)| (a.into(), b.into())));
        for (entries, expected) in [
            (vec![], "It has no `address`. "),
            (vec![("address", Value::from("")), ("port", 1.into())], "It has no `address`. "),
            (vec![("address", 1.into())], "Its `address` is no text. "),
            (vec![("adress", "a".into())], "It has no argument `adress`. Did you mean `address`?"),
            (vec![("address", "a".into()), ("port", 0.into())], "Its `port` is no number from 1 to 65535. "),
            (vec![("address", "a".into()), ("port", "x".into())], "Its `port` is no number from 1 to 65535. "),
            (vec![("address", "a".into()), ("become", "x".into())], "Its `become` is neither true nor false. "),
        ] {
            assert_eq!(of(&entries).unwrap_err(), expected);
        }
        assert!(target(&Value::NULL, None, false).is_err());
    }
}
