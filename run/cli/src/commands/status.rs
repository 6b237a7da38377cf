//! `status`: what there is, and whether it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use andon_engine::{Completion, Job, Machine, Ticket, World};
use andon_ledger::{EnvironmentState, Fault, Timestamp};
use andon_schema::{Answer, InstanceAddress, Object, ObjectStatus, Question};
use andon_value::Value;
use serde_json::json;

use super::traffic::{Traffic, lines};
use crate::args::StatusArguments;
use crate::clock::{date_and_time, rfc3339};
use crate::context::{Context, Project, Stop, held, interrupt, open_error};
use crate::servers::{STOPPED, stopped_by_hand};
use crate::terminal::print_json;

/// At most so many objects are looked at at once.
const PARALLELISM: usize = 32;

/// What is inside a server.
const HOST: &str = "andon_host";

/// What a look at an object gave.
#[derive(Debug, PartialEq)]
enum Seen {
    There,
    /// It is there, but not as the last run left it: which of its attributes are not.
    Changed {
        names: Vec<String>,
        /// What it fails at by now.
        fault: Option<String>,
    },
    /// It is there, and does not run.
    Down,
    Gone,
    NotTold(String),
    /// Its provider was not asked: it is as the last run left it.
    Recorded,
}

/// `andon status`
pub fn run(context: &Context, arguments: &StatusArguments) -> Result<(), Stop> {
    let project = context.open()?;
    let traffic = Traffic::of(&project);
    let state = project.session.state();
    let names: Vec<_> = match &context.arguments.environment {
        Some(_) => vec![context.environment(&project)?.name.clone()],
        None => state.environments.keys().cloned().collect(),
    };
    let mut data = Vec::new();
    for name in names {
        let here = state.environment(&name);
        if here.is_empty() && context.arguments.environment.is_none() {
            continue;
        }
        let objects: Vec<_> = here.objects().map(|(address, object)| (address.clone(), object.clone())).collect();
        let seen = by_their_servers(&objects, look(&project, &objects));
        let holder = project.session.holder(&name).map_err(|error| open_error(&error.into()))?;
        if context.arguments.json {
            let objects = objects.iter().zip(&seen).map(|((address, object), seen)| {
                let mut data = json!({
                    "address": address.to_string(),
                    "identity": object.identity.as_str(),
                    "status": word(seen),
                    "changed": if let Seen::Changed { names, .. } = seen { names.as_slice() } else { &[] },
                    "fault": fault(&here, address, object, seen).map(|(what, since)| {
                        json!({ "what": what, "since": since.map(rfc3339) })
                    }),
                    "tainted": object.status == ObjectStatus::Tainted,
                    "deposed": here.current(address).is_none_or(|current| current.identity != object.identity),
                    "value": andon_view::value_json(&object.value),
                });
                if let (Some(data), Some(passed)) = (data.as_object_mut(), traffic.data(address, object)) {
                    data.insert("traffic".to_owned(), passed);
                }
                data
            });
            data.push(json!({
                "environment": &*name,
                "objects": objects.collect::<Vec<_>>(),
                "open_run": here.open_run.as_ref().map(ToString::to_string),
                "effects_without_outcome": here.pending.len(),
                "unresolved": here.pending.values().map(|intent| intent.address.to_string()).collect::<Vec<_>>(),
            }));
            continue;
        }
        context.print(&format!("{}\n", context.out.bold(&format!("Environment {name}"))));
        let addresses = objects.iter().map(|(address, _)| address).chain(here.pending.values().map(|it| &it.address));
        let width = addresses.map(|address| address.to_string().chars().count()).max().unwrap_or(0);
        for ((address, object), seen) in objects.iter().zip(&seen) {
            let is_tainted = object.status == ObjectStatus::Tainted;
            let fault = fault(&here, address, object, seen);
            let status = match seen {
                Seen::Gone => context.out.red("gone"),
                Seen::NotTold(_) => context.out.yellow("?   "),
                Seen::Down => context.out.red("down"),
                _ if is_tainted || fault.is_some() => context.out.yellow("bad "),
                Seen::Changed { .. } => context.out.yellow("diff"),
                Seen::There => context.out.green("ok  "),
                Seen::Recorded => context.out.dim("·   "),
            };
            let old = here.current(address).is_none_or(|current| current.identity != object.identity);
            let note = match (old, is_tainted) {
                (true, _) => " (replaced, to be deleted)",
                (false, true) => " (tainted, to be replaced)",
                (false, false) => "",
            };
            let changed = match seen {
                Seen::Down if &*address.resource.kind == HOST => " (its server does not run)".to_owned(),
                Seen::Gone if &*address.resource.kind == HOST => " (its server is gone)".to_owned(),
                Seen::Down => " (does not run: `andon up` starts it)".to_owned(),
                Seen::Changed { names, .. } => format!(" (not as it was left: {})", names.join(", ")),
                _ => String::new(),
            };
            let fault = fault.map(|(what, since)| match since {
                Some(since) => format!(", fault {what} (since {} UTC)", date_and_time(since)),
                None => format!(", fault {what}"),
            });
            let fault = fault.unwrap_or_default();
            let told = if let Seen::NotTold(reason) = seen { reason.clone() } else { summary(&object.value) };
            context.print(&format!("  {status}  {:width$}  {told}{fault}{changed}{note}\n", address.to_string()));
            let passed = traffic.data(address, object).filter(|_| arguments.traffic);
            passed.iter().flat_map(lines).for_each(|line| context.print(&format!("          {line}\n")));
        }
        for intent in here.pending.values() {
            context.print(&format!(
                "  {}  {:width$}  it is not known yet what became of it\n",
                context.out.yellow("?   "),
                intent.address.to_string()
            ));
        }
        if objects.is_empty() && here.pending.is_empty() {
            context.print("  nothing\n");
        }
        if seen.iter().any(|seen| matches!(seen, Seen::Recorded)) {
            context.print("  · is as the last run left it: `andon plan` looks\n");
        }
        match (&holder, &here.open_run) {
            (Some(other), _) => context.print(&format!("  {}\n", held(other))),
            (None, Some(run)) => {
                context.print(&format!("  run {run} was cut short: the next `andon apply` goes on from there\n"));
            }
            (None, None) if here.pending.is_empty() => {}
            (None, None) => context.print("  `andon plan` says how that becomes known\n"),
        }
    }
    let runs = last_run(&project);
    if context.arguments.json {
        print_json(&json!({ "environments": data, "last_run": runs.map(|(_, json)| json) }));
    } else {
        if state.environments.values().all(EnvironmentState::is_empty) {
            context.print("Nothing is up. `andon up` changes that.\n");
        }
        context.print(&runs.map(|(line, _)| line).unwrap_or_default());
    }
    // What was known by then has been said.
    if stopped_by_hand() { Err(Stop::Code(STOPPED)) } else { Ok(()) }
}

fn last_run(project: &Project) -> Option<(String, serde_json::Value)> {
    let entries = project.session.ledger().ok()??.last(&andon_store::Which::All, 2000).ok()?;
    let run = andon_fold::runs(&entries).pop()?;
    let is_held = project.session.holder(&run.environment).ok()?.is_some();
    let open = if is_held { "is under way" } else { "was cut short" };
    let status = run.status.map_or(open, andon_view::status_word);
    let when = date_and_time(run.began);
    let line = format!("Last run: `{}` in {} by {} at {when} UTC {status}\n", run.command, run.environment, run.who);
    let json = json!({
        "run": run.id.to_string(), "command": run.command, "environment": &*run.environment, "who": run.who,
        "began": rfc3339(run.began), "status": status,
    });
    Some((line, json))
}

/// Looks at objects, many at once; answers in their order.
fn look(project: &Project, objects: &[(InstanceAddress, Object)]) -> Vec<Seen> {
    let mut machine = Machine::new(project.providers.clone(), PARALLELISM, interrupt());
    let mut answers: BTreeMap<u64, Seen> = BTreeMap::new();
    for (number, (address, object)) in objects.iter().enumerate() {
        // Only a plan has what the plugins are to be configured with.
        if object.provider.is_some() {
            answers.insert(number as u64, Seen::Recorded);
            continue;
        }
        let question = Question::ReadObject {
            address: address.clone(),
            identity: object.identity.clone(),
            via: None,
            prior: object.value.clone(),
            refresh: true,
        };
        machine.start(Ticket(number as u64), Job::Ask(question));
    }
    while answers.len() < objects.len() {
        match machine.wait(Duration::from_millis(100)) {
            Completion::Answered(ticket, answer) => {
                let seen = match answer {
                    Answer::Object(None) => Seen::Gone,
                    Answer::Failed(failure) => Seen::NotTold(failure.to_string()),
                    Answer::Object(Some(now)) => objects
                        .get(usize::try_from(ticket.0).unwrap_or(usize::MAX))
                        .map_or(Seen::There, |(address, object)| compared(address, &object.value, &now)),
                    _ => Seen::There,
                };
                answers.insert(ticket.0, seen);
            }
            Completion::Interrupted => break,
            _ => {}
        }
    }
    (0..objects.len() as u64)
        .map(|number| answers.remove(&number).unwrap_or_else(|| Seen::NotTold("it was not looked at".to_owned())))
        .collect()
}

/// What is seen of servers, said of what was done inside them, too: only a plan looks in there.
fn by_their_servers(objects: &[(InstanceAddress, Object)], seen: Vec<Seen>) -> Vec<Seen> {
    let of_server = |object: &Object| {
        let connection = object.value.get("connection")?;
        let place = objects.iter().position(|(address, server)| {
            &*address.resource.kind != HOST
                && connection.get_str("identity") == Some(server.identity.as_str())
                && server.value.get("connection").and_then(|own| own.get_str("kind")) == connection.get_str("kind")
        })?;
        match seen.get(place)? {
            Seen::Down => Some(Seen::Down),
            Seen::Gone => Some(Seen::Gone),
            Seen::NotTold(reason) => Some(Seen::NotTold(reason.clone())),
            _ => None,
        }
    };
    let hosts = objects.iter().map(|(address, object)| {
        (&*address.resource.kind == HOST).then(|| of_server(object).unwrap_or(Seen::Recorded))
    });
    let hosts: Vec<Option<Seen>> = hosts.collect();
    seen.into_iter().zip(hosts).map(|(seen, host)| host.unwrap_or(seen)).collect()
}

/// An object as it was left, and as it is now.
fn compared(address: &InstanceAddress, left: &Value, now: &Value) -> Seen {
    let (left, now) = (left.unmark_deep().0, now.unmark_deep().0);
    let is =
        |value: &Value, word: bool| ["running", "up"].iter().any(|name| value.get(name) == Some(&Value::from(word)));
    if is(&left, true) && is(&now, false) {
        return Seen::Down;
    }
    let fault = Fault::told(address, &now).map(str::to_owned);
    let names = left.as_entries().into_iter().flat_map(|entries| entries.keys());
    let changed: Vec<String> = names.filter(|name| left.get(name) != now.get(name)).map(ToString::to_string).collect();
    if changed.is_empty() { Seen::There } else { Seen::Changed { names: changed, fault } }
}

/// What an object that is in use fails at, and since when the ledger has it: to look writes nothing.
fn fault<'a>(
    here: &'a EnvironmentState,
    address: &InstanceAddress,
    object: &'a Object,
    seen: &'a Seen,
) -> Option<(&'a str, Option<Timestamp>)> {
    let known = here.faults.get(address);
    let now = match seen {
        Seen::Changed { fault, .. } => fault.as_deref(),
        _ => Fault::told(address, &object.value),
    };
    let is_used = here.current(address).is_some_and(|current| current.identity == object.identity);
    now.filter(|_| is_used).map(|what| (what, known.map(|known| known.since)))
}

fn word(seen: &Seen) -> &'static str {
    match seen {
        Seen::There => "ok",
        Seen::Changed { .. } => "changed",
        Seen::Down => "down",
        Seen::Gone => "gone",
        Seen::NotTold(_) => "unknown",
        Seen::Recorded => "recorded",
    }
}

/// The attributes that tell people most of an object.
fn summary(value: &Value) -> String {
    let telling = ["name", "address", "cidr", "listen", "targets", "role", "definition", "digest"];
    let part = |name: &str| {
        let value = value.get(name).filter(|value| !value.is_null() && !value.marks().sensitive)?;
        let text = match value.as_str() {
            Some(text) if name == "digest" => text.chars().take(19).collect(),
            Some(text) => text.to_string(),
            None => andon_view::value_json(value).to_string(),
        };
        Some(format!("{name} {text}"))
    };
    telling.iter().filter_map(|name| part(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_as_well_as_its_server() {
        let object = |kind: &str, name: &str, connection: &[(&'static str, Value)]| {
            let address = InstanceAddress::parse(&format!("{kind}.{name}")).unwrap();
            let value = Value::object([("connection", Value::object(connection.iter().cloned()))]);
            let identity = andon_schema::Identity::parse(name).unwrap();
            let object = Object {
                identity,
                value,
                status: ObjectStatus::Ready,
                dependencies: Vec::new(),
                create_before_destroy: false,
                provider: None,
                kept: andon_schema::Kept::default(),
            };
            (address, object)
        };
        let lab = |name: &str| [("kind", Value::from("lab")), ("identity", name.into())];
        let check = |server: Seen, expected: Seen| {
            let host = object(HOST, "one", &lab("web"));
            let seen = by_their_servers(&[object("lab_server", "web", &lab("web")), host], vec![server, Seen::There]);
            assert_eq!(seen.last(), Some(&expected));
        };
        check(Seen::Down, Seen::Down);
        check(Seen::Gone, Seen::Gone);
        check(Seen::NotTold("no".to_owned()), Seen::NotTold("no".to_owned()));
        check(Seen::There, Seen::Recorded);
        let elsewhere = object(HOST, "one", &[("kind", "ssh".into()), ("address", "web.example".into())]);
        let all = [object("lab_server", "web", &lab("web")), elsewhere];
        assert_eq!(by_their_servers(&all, vec![Seen::Down, Seen::There]), [Seen::Down, Seen::Recorded]);
    }
}
