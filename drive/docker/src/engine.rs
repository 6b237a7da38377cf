//! An engine, Docker's or Podman's, as it is asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use andon_schema::units::{format_bytes, parse_bytes};
use andon_schema::{Failure, Identity, TypeSchema};
use andon_value::{Number, Type, Value};
use serde_json::{Value as Json, json};

use crate::api::{Api, Error, encoded};
use crate::pull::Pull;
use crate::schema;
use crate::spec::{self, IDENTITY_LABEL, NO_RESTART};

/// Where engines answer on a machine by themselves, in the order in which they are tried.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// How long a container that was started is watched, in case its command ends at once.
const FIRST_LOOK: Duration = Duration::from_millis(300);
/// How long, in seconds, a container with volumes may take to end by itself before it is removed: what it keeps there is to
/// be whole.
const STOP_LIMIT: &str = "10";
/// How many of the last lines that a container said are told.
const LAST_WORDS: &str = "10";
/// How many are shown to whoever asks for them.
const LONGEST_CONSOLE: &str = "10000";

/// The containers of engines of this machine, and of others that can be asked.
#[derive(Debug, Clone, Default)]
pub struct Docker {
    interrupt: Arc<AtomicBool>,
}

/// What came of a create that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Something of it is there: to be deleted.
    Partial,
    /// Nothing of it is there.
    Absent,
}

impl Docker {
    /// Has pulls end, and nothing new be made, where this is set.
    pub fn interrupted_by(interrupt: Arc<AtomicBool>) -> Docker {
        Docker { interrupt }
    }

    /// The resource types, by name.
    pub fn schemas() -> BTreeMap<String, TypeSchema> {
        [(schema::NAME.to_owned(), schema::schema())].into()
    }

    /// What would become of a container: all its attributes, unknown where only the apply decides, and those whose
    /// change makes another one. Pure: asks no engine.
    pub fn plan(&self, prior: Option<&Value>, config: &Value) -> Result<(Value, Vec<String>), Failure> {
        schema::plan(prior, config)
    }

    /// Makes and starts a container; pulls its image where the engine does not have it. On failure nothing of it is left but
    /// for the image, or what is known of what may be left comes with the failure, to be deleted.
    pub fn create(
        &self,
        identity: &Identity,
        planned: &Value,
        say: &dyn Fn(&str),
    ) -> Result<Value, (Failure, Option<Value>)> {
        let nothing = |failure| (failure, None);
        let host = host_of(planned).map_err(nothing)?;
        let body = spec::body(planned, identity.as_str()).map_err(nothing)?;
        let made = ask(&host, async |engine| Ok(self.make(engine, identity, planned, &body, &host, say).await));
        made.map_err(nothing)?
    }

    async fn make(
        &self,
        engine: &Api,
        identity: &Identity,
        planned: &Value,
        body: &Json,
        host: &str,
        say: &dyn Fn(&str),
    ) -> Result<Value, (Failure, Option<Value>)> {
        let (name, image) = (text(planned, "name"), text(planned, "image"));
        // What may be there is found by its label, wherever the ledger says that its engine is.
        let perhaps = |id: &str| Some(value_of(planned, &json!({ "Id": id }), host));
        remove_all(engine, identity).await.map_err(|failure| (failure, perhaps("")))?;
        pull_if_absent(engine, &image, &self.interrupt, say).await.map_err(|failure| (failure, None))?;
        if self.interrupt.load(Ordering::Relaxed) {
            return Err((failed(&format!("the container `{name}` was not made"), &Error::Stopped), None));
        }
        let made = engine.post("/containers/create", &[("name", &name)], Some(body)).await;
        let made = made.map_err(|error| {
            let failure = cannot_create(&name, &image, &error);
            match error {
                Error::Refused(..) => (failure, None),
                _ => {
                    let failure =
                        failure.help("The engine may have made it all the same. Then the next apply removes it first.");
                    (failure, perhaps(""))
                }
            }
        })?;
        let warnings = made.get("Warnings").and_then(Json::as_array).into_iter().flatten();
        warnings.filter_map(Json::as_str).for_each(|warning| say(&format!("the engine says: {}", warning.trim())));
        let id = json_text(&made, "Id");
        match start(engine, &id).await {
            Ok(found) => Ok(value_of(planned, &found, host)),
            Err(failure) => Err(match remove(engine, &id).await {
                Ok(()) => (failure, None),
                Err(other) => {
                    let help = format!("What was made could not be removed: {other} The next apply tries again.");
                    (failure.help(help), perhaps(&id))
                }
            }),
        }
    }

    /// A container as it is; `None` where the engine has none of this identity.
    pub fn read(&self, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        let host = host_of(prior)?;
        ask(&host, async |engine| {
            let Some(id) = find(engine, identity).await? else { return Ok(None) };
            Ok(inspect(engine, &id).await?.map(|found| value_of(prior, &found, &host)))
        })
    }

    /// Changes a container's name, its limits and whether the engine starts it again, and starts it where it does not run. On failure the container as it is now
    /// comes with the failure, or `None` where it is gone.
    pub fn update(
        &self,
        identity: &Identity,
        prior: &Value,
        planned: &Value,
    ) -> Result<Value, (Failure, Option<Value>)> {
        let change = || {
            let host = host_of(prior)?;
            let changes = spec::update(prior, planned)?;
            ask(&host, async |engine| {
                let Some(id) = find(engine, identity).await? else {
                    let detail = format!("The engine has no container of the identity {identity}.");
                    return Err(Failure::new("the container is gone", detail).help("Apply again: it is made anew."));
                };
                if text(prior, "name") != text(planned, "name") {
                    let name = text(planned, "name");
                    let renamed = engine.post(&format!("/containers/{id}/rename"), &[("name", &name)], None).await;
                    renamed.map_err(|error| failed(&format!("cannot rename the container to `{name}`"), &error))?;
                }
                if let Some(changes) = &changes {
                    let changed = engine.post(&format!("/containers/{id}/update"), &[], Some(changes)).await;
                    changed.map_err(|error| {
                        failed("the engine does not change the limits of a container that exists", &error).help(
                            "Not every engine can. Have the container made anew: `andon apply -replace=ADDRESS`. Until then it runs on with the old limits.",
                        )
                    })?;
                }
                Ok(value_of(planned, &start(engine, &id).await?, &host))
            })
        };
        change().map_err(|failure| {
            let now = self.read(identity, prior);
            (failure, now.unwrap_or_else(|_| Some(prior.clone())))
        })
    }

    /// Pulls the image of a container that is to be made, where its engine does not have it and where both are known.
    pub fn fetch(&self, planned: &Value, say: &dyn Fn(&str)) -> Result<(), Failure> {
        let (Some(image), Some(host)) = (planned.get_str("image"), planned.get("host")) else { return Ok(()) };
        if host.is_unknown() {
            return Ok(());
        }
        ask(&host_of(planned)?, async |engine| pull_if_absent(engine, image, &self.interrupt, say).await)
    }

    /// Removes a container and its nameless volumes. One that has others is told to end before. Succeeds where it is gone
    /// already.
    pub fn delete(&self, identity: &Identity, prior: &Value) -> Result<(), Failure> {
        let has_volumes = !spec::texts(prior, "volumes").is_empty();
        ask(&host_of(prior)?, async |engine| {
            if let Some(id) = find(engine, identity).await?.filter(|_| has_volumes) {
                // One that does not end, or does not run, is removed as it is.
                let _ = engine.post(&format!("/containers/{id}/stop"), &[("t", STOP_LIMIT)], None).await;
            }
            remove_all(engine, identity).await
        })
    }

    /// What came of a create that nobody saw the end of. `planned` says which engine was asked.
    pub fn resolve(&self, identity: &Identity, planned: &Value) -> Result<Found, Failure> {
        let found = ask(&host_of(planned)?, async |engine| find(engine, identity).await)?;
        Ok(if found.is_some() { Found::Partial } else { Found::Absent })
    }

    /// Has a container end, and start again. `connection` is that of the container.
    pub fn restart(&self, connection: &Value) -> Result<(), Failure> {
        let (host, id) = (text(connection, "host"), text(connection, "id"));
        ask(&host, async |engine| {
            let path = format!("/containers/{}/restart", encoded(&id));
            let restarted = engine.post(&path, &[("t", STOP_LIMIT)], None).await;
            restarted.map_err(|error| cannot_start(&error))?;
            start(engine, &id).await.map(drop)
        })
    }

    /// The last lines that a container wrote, as many as are ever wanted. `connection` is that of the container.
    pub fn console(&self, connection: &Value) -> Result<String, Failure> {
        let (host, id) = (text(connection, "host"), text(connection, "id"));
        ask(&host, async |engine| {
            let query = [("stdout", "true"), ("stderr", "true"), ("tail", LONGEST_CONSOLE)];
            let said = engine.bytes(&format!("/containers/{}/logs", encoded(&id)), &query).await;
            said.map(|said| unwrapped(&said)).map_err(|error| failed("the engine does not say what it wrote", &error))
        })
    }

    /// The first process of a container that runs on this machine, as this machine numbers it. `connection` is that of
    /// the container.
    pub fn init(&self, connection: &Value) -> Result<i32, Failure> {
        self.init_here(connection)?.ok_or_else(|| {
            let detail =
                format!("The engine at {} runs it, and no process of this machine is in it.", text(connection, "host"));
            Failure::new("the container is on another machine", detail).help("Run Andon where the engine is.")
        })
    }

    /// The same; `None` where the container runs on another machine.
    pub fn init_here(&self, connection: &Value) -> Result<Option<i32>, Failure> {
        let (host, id) = (text(connection, "host"), text(connection, "id"));
        let found = ask(&host, async |engine| inspect(engine, &id).await)?.unwrap_or_default();
        let init = found.pointer("/State/Pid").and_then(Json::as_i64).and_then(|pid| i32::try_from(pid).ok());
        let Some(init) = init.filter(|init| *init > 0 && runs(&found)) else {
            let detail = format!("The engine says that {} does not run.", short(&id));
            return Err(Failure::new("the container does not run", detail).help("The next apply starts it."));
        };
        // The number is of the engine's machine, which may be another one.
        let groups = std::fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap_or_default();
        Ok(Some(init).filter(|_| groups.contains(&id)))
    }

    /// Where this machine's TCP ports lead to a port of a container, by its value.
    pub fn published(&self, container: &Value, inside: u16) -> Vec<SocketAddr> {
        spec::published(container, inside)
    }
}

/// Asks an engine and waits for all of its answers.
fn ask<T>(host: &str, work: impl AsyncFnOnce(&Api) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new("cannot wait for an engine", error.to_string()))?;
    runtime.block_on(async {
        let engine = Api::connect(host).await.map_err(|error| no_engine(host, &error))?;
        work(&engine).await
    })
}

fn no_engine(host: &str, error: &Error) -> Failure {
    let failure = Failure::new(format!("no engine answers at {host}"), error.sentence());
    match error {
        Error::Denied(_) => failure.help(
            "This user may not speak to it: run Andon with sudo, or as a user of the group that the socket belongs to, which is `docker` for Docker. \
             Whoever may is as good as root on that machine.",
        ),
        _ => failure.help(
            "Start one: `systemctl start docker` or `systemctl start podman.socket`. Another one is named by `host`, or by `DOCKER_HOST`.",
        ),
    }
}

/// Where the engine of a container answers: what the container was made with, else what its definition says, else what
/// this machine has.
fn host_of(value: &Value) -> Result<String, Failure> {
    let made_with = value.get("connection").and_then(|connection| connection.get_str("host"));
    if let Some(host) = made_with.or_else(|| value.get_str("host")) {
        return Ok(host.to_owned());
    }
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return spec::host(&host).map(|()| host).map_err(|failure| failure.help("It is what `DOCKER_HOST` says."));
    }
    let own = std::env::var("XDG_RUNTIME_DIR").ok().map(|directory| format!("{directory}/podman/podman.sock"));
    let sockets = SOCKETS.into_iter().map(str::to_owned).chain(own);
    let found = sockets.into_iter().find(|path| Path::new(path).exists());
    found.map(|path| format!("unix://{path}")).ok_or_else(|| {
        Failure::new("there is no engine to ask", format!("Neither {} nor {} is there.", SOCKETS[0], SOCKETS[1])).help(
            "Install Docker or Podman and start it (`systemctl start podman.socket`), or say where one answers: `host`, or `DOCKER_HOST`.",
        )
    })
}

/// The container of an identity, whether it runs or not.
async fn find(engine: &Api, identity: &Identity) -> Result<Option<String>, Failure> {
    let filters = json!({ "label": [format!("{IDENTITY_LABEL}={identity}")] }).to_string();
    let found = engine.get("/containers/json", &[("all", "true"), ("filters", &filters)]).await;
    let found = found.map_err(|error| failed("cannot list the containers", &error))?;
    let containers = found.as_array().into_iter().flatten();
    Ok(containers.map(|container| json_text(container, "Id")).find(|id| !id.is_empty()))
}

/// What the engine knows of a container; `None` where it has none.
async fn inspect(engine: &Api, id: &str) -> Result<Option<Json>, Failure> {
    match engine.get(&format!("/containers/{}/json", encoded(id)), &[]).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(failed("cannot look at the container", &error)),
    }
}

async fn remove_all(engine: &Api, identity: &Identity) -> Result<(), Failure> {
    while let Some(id) = find(engine, identity).await? {
        remove(engine, &id).await?;
    }
    Ok(())
}

async fn remove(engine: &Api, id: &str) -> Result<(), Failure> {
    match engine.delete(&format!("/containers/{id}"), &[("force", "true"), ("v", "true")]).await {
        Err(error) if !error.is_absent() => Err(failed(&format!("cannot remove the container {}", short(id)), &error)),
        _ => Ok(()),
    }
}

async fn pull_if_absent(engine: &Api, image: &str, interrupt: &AtomicBool, say: &dyn Fn(&str)) -> Result<(), Failure> {
    match engine.get(&format!("/images/{}/json", encoded(image)), &[]).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(failed(&format!("cannot look for the image `{image}`"), &error)),
    }
    say(&format!("pulling {image}"));
    // Without a tag, an engine would pull all of them.
    let last = image.rsplit('/').next().unwrap_or_default();
    let reference = if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") };
    let (mut pull, began) = (Pull::default(), tokio::time::Instant::now());
    let query = [("fromImage", &*reference)];
    let pulled = engine.follow("/images/create", &query, interrupt, |step| {
        if let Some(far) = pull.step(step, began.elapsed()) {
            say(&format!("pulling {image}: {far}"));
        }
    });
    let pulled = pulled.await.and_then(|()| pull.refused.take().map_or(Ok(()), |error| Err(Error::Unreachable(error))));
    pulled.map_err(|error| {
        let failure = failed(&format!("cannot pull the image `{image}`"), &error);
        match error {
            Error::Stopped => failure,
            _ => failure.help(
                "Is that the name of an image, with its registry? One that only some may have is pulled by hand, where you are logged in: `docker pull` or `podman pull`.",
            ),
        }
    })
}

/// Starts a container, and tells how it is then; one that runs already is started. It fails where the command ends at
/// once.
async fn start(engine: &Api, id: &str) -> Result<Json, Failure> {
    let before = inspect(engine, id).await?.unwrap_or_default();
    let is_frozen = before.pointer("/State/Paused").and_then(Json::as_bool) == Some(true);
    let order = if is_frozen { "unpause" } else { "start" };
    let started = engine.post(&format!("/containers/{id}/{order}"), &[], None).await;
    started.map_err(|error| cannot_start(&error))?;
    let first = tokio::time::Instant::now();
    loop {
        let found = inspect(engine, id).await?.unwrap_or_default();
        if !runs(&found) {
            let code = found.pointer("/State/ExitCode").and_then(Json::as_i64);
            let code = code.map(|code| format!("Its exit code was {code}. ")).unwrap_or_default();
            let said = last_words(engine, id).await;
            return Err(Failure::new("the container's command has ended", format!("{code}{said}")).help(
                "A server's command goes on until it is told to end. Give it another `command`, or another image.",
            ));
        }
        if first.elapsed() >= FIRST_LOOK {
            return Ok(found);
        }
        tokio::time::sleep(FIRST_LOOK / 3).await;
    }
}

fn runs(found: &Json) -> bool {
    let is = |name: &str| found.pointer(&format!("/State/{name}")).and_then(Json::as_bool) == Some(true);
    // One that is frozen, or that the engine is about to start again, counts as running to it.
    is("Running") && !is("Restarting") && !is("Paused")
}

async fn last_words(engine: &Api, id: &str) -> String {
    let query = [("stdout", "true"), ("stderr", "true"), ("tail", LAST_WORDS)];
    let said = engine.bytes(&format!("/containers/{id}/logs"), &query).await.unwrap_or_default();
    match unwrapped(&said).trim() {
        "" => "It said nothing.".to_owned(),
        said => format!("It said at last: {said}"),
    }
}

/// The text of a log in which each piece has a head of 8 bytes: its stream, three zeros, its length
/// (<https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach>).
fn unwrapped(mut log: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some(([_, 0, 0, 0, a, b, c, d], rest)) = log.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        log = after;
    }
    text.extend_from_slice(log);
    String::from_utf8_lossy(&text).into_owned()
}

/// The attributes of a container as the engine tells of it; what it does not tell is as in `known`.
fn value_of(known: &Value, found: &Json, host: &str) -> Value {
    let id = json_text(found, "Id");
    let networks = found.pointer("/NetworkSettings/Networks").and_then(Json::as_object);
    let mut addresses = networks.into_iter().flatten().map(|(_, network)| json_text(network, "IPAddress"));
    let address = addresses.find(|address| !address.is_empty());
    let connection = [("kind", "docker"), ("host", host), ("id", &*id)].map(|(name, value)| (name, Value::from(value)));
    let mut now: Vec<(&str, Value)> = vec![
        ("id", Value::from(id.as_str())),
        ("address", address.map_or(Value::null(Type::String), |address| Value::from(address.as_str()))),
        ("running", Value::from(runs(found))),
        ("connection", Value::object(connection)),
    ];
    let name = json_text(found, "Name");
    if !name.is_empty() {
        now.push(("name", Value::from(name.trim_start_matches('/'))));
    }
    now.extend(found.get("HostConfig").into_iter().flat_map(|host| limits_of(known, host)));
    let restart = found.pointer("/HostConfig/RestartPolicy/Name").and_then(Json::as_str);
    let restart = restart.map(|name| if name.is_empty() { NO_RESTART } else { name });
    if let Some(restart) = restart.filter(|restart| *restart != known.get_str("restart").unwrap_or(NO_RESTART)) {
        now.push(("restart", Value::from(restart)));
    }
    let entries = known.as_entries().map(|entries| (**entries).clone()).unwrap_or_default();
    Value::object(entries.into_iter().chain(now.into_iter().map(|(name, value)| (name.into(), value))))
}

/// The limits as the engine tells them, where they are not those that are known.
fn limits_of<'a>(known: &Value, found: &Json) -> Vec<(&'a str, Value)> {
    let mut now = Vec::new();
    let asked = |name: &str| known.get(name).and_then(Value::as_number).map(|number| number.to_f64());
    let told = |name: &str| found.get(name).and_then(Json::as_i64).filter(|number| *number > 0);
    let memory = told("Memory").and_then(|bytes| u64::try_from(bytes).ok());
    if memory != known.get_str("memory").and_then(parse_bytes) {
        now.push(("memory", memory.map_or(Value::null(Type::String), |bytes| Value::from(format_bytes(bytes)))));
    }
    // Podman tells of a quota where Docker tells of processors.
    let cpus = match told("NanoCpus") {
        Some(cpus) => Some(cpus as f64 / 1e9),
        None => told("CpuQuota").zip(told("CpuPeriod")).map(|(quota, period)| quota as f64 / period as f64),
    };
    let is_same = match (cpus, asked("cpus")) {
        (Some(now), Some(asked)) => (now - asked).abs() < 0.001,
        (now, asked) => now.is_none() && asked.is_none(),
    };
    if !is_same {
        now.push(("cpus", cpus.and_then(Number::from_f64).map_or(Value::null(Type::Number), Value::from)));
    }
    // An engine has a limit of its own where none is asked for.
    if let Some(asked) = asked("processes") {
        let processes = told("PidsLimit");
        if processes.map(|limit| limit as f64) != Some(asked) {
            now.push(("processes", processes.map_or(Value::null(Type::Number), Value::from)));
        }
    }
    now
}

fn cannot_create(name: &str, image: &str, error: &Error) -> Failure {
    let failure = failed(&format!("cannot make the container `{name}`"), error);
    match error {
        // Docker has a status of its own for this, Podman only words.
        Error::Refused(status, said) if status.as_u16() == 409 || said.contains("already in use") => {
            failure.help("Another container has the name. Choose another `name`, or remove that one.")
        }
        Error::Refused(_, said) if said.contains("network") => failure.help(NO_NETWORK),
        error if error.is_absent() => failure.help(format!("Is `{image}` the name of an image?")),
        _ => failure,
    }
}

const NO_NETWORK: &str =
    "Make the network first, with `docker network create` or `podman network create`, or leave `network` out.";

fn cannot_start(error: &Error) -> Failure {
    let failure = failed("cannot start the container", error);
    let Error::Refused(_, said) = error else { return failure };
    // Engines have no status of their own for these.
    if ["address already in use", "already allocated", "port is already"].iter().any(|words| said.contains(words)) {
        failure
            .help("Something on that machine has one of the `ports`: give the server another one, or end what has it.")
    } else if said.contains("network") && said.contains("not found") {
        failure.help(NO_NETWORK)
    } else {
        failure
    }
}

fn failed(summary: &str, error: &Error) -> Failure {
    Failure::new(summary, error.sentence())
}

fn text(value: &Value, name: &str) -> String {
    value.get_str(name).unwrap_or_default().to_owned()
}

fn json_text(json: &Json, name: &str) -> String {
    json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_unwrapped() {
        let piece = |text: &str| {
            let mut piece = vec![2, 0, 0, 0];
            piece.extend((text.len() as u32).to_be_bytes());
            piece.extend(text.as_bytes());
            piece
        };
        assert_eq!(unwrapped(&[piece("one\n"), piece("two\n")].concat()), "one\ntwo\n");
        assert_eq!(unwrapped(b"plain text, as of a terminal"), "plain text, as of a terminal");
        let cut = piece("a long line");
        assert_eq!(unwrapped(&cut[..12]), "a lo");
        assert_eq!(unwrapped(b""), "");
    }
}
