//! The servers that a project knows: those that its `*.hosts.hcl` list, and those that its stacks made or configure. They
//! are one set.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use andon_fleet::Server;
use andon_lang::{FileSet, apart, together};
use andon_ledger::EnvironmentState;
use andon_text::{Diagnostic, SourceMap, Span};
use andon_value::Value;

use crate::roles::NoRole;

/// The name of this machine.
pub const LOCAL: &str = "local";

/// A server and how it is reached.
#[derive(Debug, Clone)]
pub struct Host {
    /// What it can be selected by.
    pub server: Server,
    /// How it is reached: a value of the form of a `connection`.
    pub connection: Value,
    /// The roles that it must have, each with values for its parameters.
    pub duties: Vec<Duty>,
    /// Values of parameters of whatever role it is given: an object.
    pub params: Value,
    /// The environment whose stacks made it; `None` for one that is listed.
    pub environment: Option<Arc<str>>,
    /// Where it is listed, if it is.
    pub place: Option<(Span, Arc<SourceMap>)>,
}

/// Roles that a server must have.
#[derive(Debug, Clone)]
pub struct Duty {
    /// The role, or several as one; see [`andon_lang::together`].
    pub role: Arc<str>,
    /// Values of parameters, an object; those that the role does not have are for another one.
    pub params: Value,
}

impl Host {
    /// This machine.
    pub fn local() -> Host {
        Host {
            server: Server { name: LOCAL.into(), ..Server::default() },
            connection: Value::object([("kind", Value::from(LOCAL))]),
            duties: Vec::new(),
            params: nothing(),
            environment: None,
            place: None,
        }
    }
}

/// The servers that the `*.hosts.hcl` of a directory list. Nothing else is read.
pub fn listed(directory: &Path) -> Result<Vec<Host>, NoRole> {
    let mut files = FileSet::new();
    for below in ["", "hosts"] {
        // Where there is no such directory, nothing is listed in it.
        for entry in std::fs::read_dir(directory.join(below)).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.ends_with(".hosts.hcl") || name.starts_with('.') {
                continue;
            }
            let content = std::fs::read(entry.path()).map_err(|error| {
                Diagnostic::error(format!("`{}` cannot be read: {error}", entry.path().display()))
                    .help("Have it be a file that you may read.")
            })?;
            files.insert(if below.is_empty() { name } else { format!("{below}/{name}") }, content);
        }
    }
    if files.paths().next().is_none() {
        return Ok(Vec::new());
    }
    let (project, diagnostics) = andon_lang::load_hosts(Arc::new(files));
    let failed = |diagnostics| NoRole { diagnostics, sources: project.sources.clone() };
    if diagnostics.has_errors() {
        return Err(failed(diagnostics));
    }
    let hosts = andon_lang::hosts(&project).map_err(failed)?;
    let sources = Arc::new(project.sources.clone());
    let host = |host: andon_lang::Host| Host {
        server: Server { name: host.name, tags: host.tags, roles: host.roles.clone(), ..Server::default() },
        connection: host.connection,
        duties: duty(&host.roles, &host.params).into_iter().collect(),
        params: host.params,
        environment: None,
        place: Some((host.span, sources.clone())),
    };
    Ok(hosts.into_iter().map(host).collect())
}

/// The servers that an environment's stacks made, and those that they configure.
pub fn of_environment(environment: &Arc<str>, state: &EnvironmentState) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let current = || {
        let objects = state.instances.iter();
        objects.filter_map(|(address, instance)| Some((address, instance.current.as_ref()?)))
    };
    let server = |name: &str, address: String| {
        let short = address.split_once('/').map(|(_, rest)| Arc::from(rest));
        let tags = [("env".into(), environment.clone())].into();
        Server {
            name: name.into(),
            aliases: short.into_iter().chain([address.into()]).collect(),
            tags,
            ..Server::default()
        }
    };
    let is_server = |kind: &str| matches!(kind, "lab_server" | "docker_server");
    for (address, object) in current().filter(|(address, _)| is_server(&address.resource.kind)) {
        hosts.push(Host {
            server: server(object.value.get_str("name").unwrap_or_default(), address.to_string()),
            connection: object.value.get("connection").cloned().unwrap_or_else(|| {
                let identity = Value::from(object.identity.as_str());
                Value::object([("kind", Value::from("lab")), ("identity", identity)])
            }),
            duties: Vec::new(),
            params: nothing(),
            environment: Some(environment.clone()),
            place: None,
        });
    }
    for (address, object) in current().filter(|(address, _)| &*address.resource.kind == "lab_pool") {
        // By the pool's address all of them are meant.
        let children = |name: &str| object.value.get(name).and_then(Value::as_elements).cloned().unwrap_or_default();
        for (member, connection) in children("members").iter().zip(children("connections").iter()) {
            hosts.push(Host {
                server: server(member.get_str("name").unwrap_or_default(), address.to_string()),
                connection: connection.clone(),
                duties: Vec::new(),
                params: nothing(),
                environment: Some(environment.clone()),
                place: None,
            });
        }
    }
    for (address, object) in current().filter(|(address, _)| &*address.resource.kind == "andon_host") {
        let Some(connection) = object.value.get("connection").filter(|connection| !connection.is_null()) else {
            continue;
        };
        let Some(role) = roles_of(&object.value) else { continue };
        let params = object.value.get("params").filter(|params| !params.is_null()).cloned();
        let duty = Duty { role: role.into(), params: params.unwrap_or_else(nothing) };
        let place = hosts.iter().position(|host| same_server(&host.connection, connection)).unwrap_or_else(|| {
            let named = ["name", "address", "kind"].iter().find_map(|name| connection.get_str(name));
            hosts.push(Host {
                server: server(named.unwrap_or_default(), address.to_string()),
                connection: connection.clone(),
                duties: Vec::new(),
                params: nothing(),
                environment: Some(environment.clone()),
                place: None,
            });
            hosts.len() - 1
        });
        if let Some(host) = hosts.get_mut(place) {
            host.server.roles.extend(apart(&duty.role).map(Arc::from));
            host.duties.push(duty);
        }
    }
    hosts
}

/// The roles that an `andon_host` names, as one; `None` where it names none.
pub(crate) fn roles_of(host: &Value) -> Option<String> {
    if let Some(role) = host.get_str("role") {
        return Some(role.to_string());
    }
    let roles: Option<Vec<&str>> =
        host.get("roles")?.children().map(|role| role.as_str().map(|role| &**role)).collect();
    roles.filter(|roles| !roles.is_empty()).map(together)
}

/// What a listed server must have: all of its roles as one.
fn duty(roles: &[Arc<str>], params: &Value) -> Option<Duty> {
    let role = together(roles.iter().map(|role| &**role));
    (!roles.is_empty()).then(|| Duty { role: role.into(), params: params.clone() })
}

fn nothing() -> Value {
    Value::object::<&str>([])
}

fn same_server(one: &Value, other: &Value) -> bool {
    let is = |name: &str| one.get_str(name) == other.get_str(name);
    one.get_str("kind") == other.get_str("kind")
        && match one.get_str("kind") {
            Some("lab") => is("identity"),
            Some("docker") => is("host") && is("id"),
            _ => is("address") && is("user") && one.get("port") == other.get("port"),
        }
}

/// All of them, each under a name of its own: of several of one name, those of stacks are told apart by their
/// environments, and then by their addresses.
pub fn joined(all: impl IntoIterator<Item = Host>) -> Vec<Host> {
    let mut taken: BTreeSet<Arc<str>> = BTreeSet::from([LOCAL.into()]);
    let mut hosts = Vec::new();
    for mut host in all {
        let name = host.server.name.clone();
        if !taken.insert(name.clone()) {
            let of_environment = host.environment.as_ref().map(|environment| format!("{environment}/{name}"));
            let address = host.server.aliases.last().map(|address| format!("{name}@{address}"));
            let free = of_environment.into_iter().chain(address).map(Arc::<str>::from).find(|it| !taken.contains(it));
            host.server.name = free.unwrap_or_else(|| format!("{name}#{}", taken.len()).into());
            host.server.plain = Some(name);
            taken.insert(host.server.name.clone());
        }
        hosts.push(host);
    }
    hosts
}
