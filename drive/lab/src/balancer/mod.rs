//! `lab_balancer`, as seen by whoever makes, asks and changes one. The balancer itself is [`crate::proxy`].

pub(crate) mod schema;
pub(crate) mod spec;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use andon_schema::{Failure, Identity};
use andon_value::{PathStep, Value};
use serde_json::{Value as Json, json};

use self::schema::{SETTINGS, VERSION};
use self::spec::BalancerSpec;
use crate::cgroup::Hierarchies;
use crate::codec::{from_json, same, to_json};
use crate::failure::{OrFail, sentence};
use crate::helper;
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::plan::complete;
use crate::pool;
use crate::records::{Lock, Record, Records, absent_is_fine};
use crate::service;

/// How long a balancer may take to answer how it is.
const STATUS_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether anybody still waits for an answer.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn create(
    records: &Records,
    program: &Path,
    lock: &Lock,
    identity: &Identity,
    owner: &str,
    planned: &Value,
) -> Result<Made, Failure> {
    let value = complete(planned, [("id", Value::from(identity.as_str()))]);
    records.write(identity, &Record::new(Kind::Balancer, owner, value.clone()))?;
    let directory = records.directory(Kind::Balancer, identity.as_str());
    fs::create_dir_all(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    start(records, program, lock, identity, &directory, &value, false)?;
    let notes = set(&directory, &value, &settings(records, &value), &|| false)?;
    Ok(Made { value, notes })
}

/// In place change anything: returns once new targets are healthy and old ones have finished. One whose process has
/// ended is started again.
pub(crate) fn update(
    records: &Records,
    program: &Path,
    lock: &Lock,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    let directory = records.directory(Kind::Balancer, identity.as_str());
    if status(records, identity).is_none() {
        let before = complete(&record.value, [("listen", planned.get("listen").cloned().unwrap_or(Value::NULL))]);
        restart(records, program, lock, identity, &before)?;
    } else if version(record) != VERSION {
        start(records, program, lock, identity, &directory, &record.value, true)?;
    }
    let notes = set(&directory, planned, &settings(records, planned), &|| false)?;
    records.write(identity, &Record { value: planned.clone(), ..record.clone() })?;
    Ok(Made { value: planned.clone(), notes })
}

/// Starts a balancer whose process has ended, with the targets that it had, whether they are well or not: an ill one keeps
/// no other from being asked.
fn restart(records: &Records, program: &Path, lock: &Lock, identity: &Identity, value: &Value) -> Result<(), Failure> {
    Hierarchies::find()?.group(identity.as_str()).destroy()?;
    let directory = records.directory(Kind::Balancer, identity.as_str());
    fs::create_dir_all(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    start(records, program, lock, identity, &directory, value, false)?;
    let order = json!({ "do": "set", "settings": settings(records, value), "at_once": true });
    // What it cannot take is told with what it is to be from now on.
    let _ = ask(&directory, &order, STATUS_LIMIT);
    Ok(())
}

/// What a balancer's process says of itself: its settings, its targets with their health, and what it has counted.
pub(crate) fn status(records: &Records, identity: &Identity) -> Option<Json> {
    let directory = records.directory(Kind::Balancer, identity.as_str());
    ask(&directory, &json!({ "do": "status" }), STATUS_LIMIT).ok()
}

pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    Hierarchies::find()?.group(identity.as_str()).destroy()?;
    let directory = records.directory(Kind::Balancer, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The balancer as its process says that it is; `None` where nothing is known of it.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    let Some(record) = records.read(identity.as_str()) else { return Ok(None) };
    let prior = &complete(prior, [("version", Value::from(version(&record)))]);
    let Some(status) = status(records, identity) else {
        return Ok(Some(complete(prior, [("running", Value::from(false))])));
    };
    let schema = crate::schema::schema(Kind::Balancer).block.attributes;
    let mut value = complete(prior, [("running", Value::from(true))]);
    // The members of a pool are its affair.
    let follows = value.get_str("pool").is_some();
    for name in SETTINGS.into_iter().filter(|name| !(follows && ["targets", "weights"].contains(name))) {
        let (Some(attribute), Some(now)) = (schema.get(name), status.get("settings").and_then(|now| now.get(name)))
        else {
            continue;
        };
        let now = match name {
            "targets" => from_json(&with_leaving(now, &status), &attribute.ty),
            _ => from_json(now, &attribute.ty),
        };
        if !prior.get(name).is_some_and(|prior| same(prior, &now)) {
            value = complete(&value, [(name, now)]);
        }
    }
    Ok(Some(value))
}

/// The targets, and behind them those that have not finished what they began. They leave; but where whoever had them leave is
/// gone, the next change waits for them before it goes on to what they are.
fn with_leaving(targets: &Json, status: &Json) -> Json {
    let mut all = targets.as_array().cloned().unwrap_or_default();
    let leaving = status.get("leaving").and_then(Json::as_array).into_iter().flatten();
    for address in leaving.filter_map(|target| target.get("address")) {
        if !all.contains(address) {
            all.push(address.clone());
        }
    }
    all.into()
}

/// The version of this program that a balancer's process is of. One that was made before this was written down is taken for
/// one of this version.
fn version(record: &Record) -> &str {
    record.value.get_str("version").unwrap_or(VERSION)
}

/// Whether its process answers.
pub(crate) fn runs(records: &Records, identity: &Identity) -> bool {
    status(records, identity).is_some()
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Result<Found, Failure> {
    let now = read(records, identity, &record.value)?;
    Ok(now.filter(|now| same(now, &record.value)).map_or(Found::Partial, Found::Complete))
}

/// Where a balancer writes what happens to it.
fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// The path of a balancer's control socket by way of an open directory: paths of sockets are short.
pub(crate) fn control(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}/control", directory.as_raw_fd()).into()
}

/// Why an address cannot be listened on; `who` finds out which process does.
pub(crate) fn cannot_listen(listen: SocketAddr, error: &io::Error, who: impl FnOnce() -> Option<String>) -> Failure {
    let summary = format!("cannot listen on {listen}");
    let failure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let who = who().unwrap_or_else(|| "Another process".to_owned());
            Failure::new(summary, format!("{who} already listens there.")).help("Stop it, or choose another port.")
        }
        io::ErrorKind::AddrNotAvailable => {
            Failure::new(summary, format!("{} is no address of this machine.", listen.ip()))
                .help("Choose `127.0.0.1` for this machine alone, or `0.0.0.0` for all of its addresses.")
        }
        io::ErrorKind::PermissionDenied => {
            let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
            let first = first.trim().parse().unwrap_or(1024);
            let failure = Failure::new(summary, format!("On this machine, ports below {first} are root's."));
            failure.help(format!(
                "Choose a port from {first} on, have root run `sysctl -w net.ipv4.ip_unprivileged_port_start={}`, or run this \
                 with sudo.",
                listen.port()
            ))
        }
        _ => Failure::new(summary, sentence(&error.to_string())),
    };
    failure.about("listen")
}

/// Starts a balancer's process; where it takes over, the one that runs gives it its clients and its targets.
fn start(
    records: &Records,
    program: &Path,
    lock: &Lock,
    identity: &Identity,
    directory: &Path,
    value: &Value,
    takes_over: bool,
) -> Result<(), Failure> {
    Hierarchies::find()?.group(identity.as_str()).create()?;
    let order = json!({
        "identity": identity.as_str(),
        "directory": directory,
        "network": records.realm().map(|realm| realm.network()),
        // No more than where it listens: anybody can read a command line. The rest comes by the control socket.
        "settings": { "listen": value.get_str("listen") },
        "takes_over": takes_over,
    });
    let held = lock.share().or_fail(|| "cannot start the balancer".into())?;
    service::start(program, helper::BALANCER, &order, "the balancer", held.into(), &log(directory))
}

/// What a process is told; where a pool is followed, its members are the targets.
fn settings(records: &Records, value: &Value) -> Json {
    let members = value.get_str("pool").map(|pool| pool::table(records, pool));
    settings_with(value, &members.unwrap_or_default())
}

/// The same with the members that the pool has, if there is one: weights in thousandths by address.
fn settings_with(value: &Value, members: &BTreeMap<Ipv4Addr, u32>) -> Json {
    let given = SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), to_json(value.get(name)?))));
    let mut settings: serde_json::Map<String, Json> = given.collect();
    let port = value.get("port").and_then(Value::as_number).map(|port| port.to_f64() as u16);
    if let (Some(_), Some(port)) = (value.get_str("pool"), port) {
        let target = |address: &Ipv4Addr| format!("{address}:{port}");
        let weight = |weight: u32| Json::String(format!("{}", f64::from(weight) / 1000.0));
        let weights: serde_json::Map<String, Json> =
            members.iter().map(|(address, thousandths)| (target(address), weight(*thousandths))).collect();
        settings.insert("targets".to_owned(), members.keys().map(target).collect());
        settings.insert("weights".to_owned(), weights.into());
    }
    settings.into()
}

/// Has a balancer pass its pool's requests to these members, by weight in thousandths. Where `stops` says so meanwhile, it is
/// not awaited any more: whether it has changed is not known then.
pub(crate) fn refresh(
    records: &Records,
    identity: &Identity,
    value: &Value,
    members: &BTreeMap<Ipv4Addr, u32>,
    stops: &dyn Fn() -> bool,
) -> Result<Vec<String>, Failure> {
    let directory = records.directory(Kind::Balancer, identity.as_str());
    set(&directory, value, &settings_with(value, members), stops)
}

/// Has a balancer change its settings; gives what is to be said of it.
fn set(directory: &Path, value: &Value, settings: &Json, stops: &dyn Fn() -> bool) -> Result<Vec<String>, Failure> {
    let order = json!({ "do": "set", "settings": settings });
    let spec = BalancerSpec::decode(value)?;
    let limit = spec.wait + spec.drain + STATUS_LIMIT * 4;
    let answer = ask_until(directory, &order, limit, stops).or_fail(|| "the balancer does not answer".into())?;
    match refused(&answer) {
        Some(failure) => Err(failure),
        None => {
            let notes = answer.get("notes").and_then(Json::as_array).cloned().unwrap_or_default();
            Ok(notes.iter().filter_map(Json::as_str).map(str::to_owned).collect())
        }
    }
}

/// The failure that an answer is, if it is one.
pub(crate) fn refused(answer: &Json) -> Option<Failure> {
    let text = |name: &str| answer.get(name).and_then(Json::as_str);
    let failure = Failure::new(text("summary")?, text("detail").unwrap_or_default());
    let failure = text("help").into_iter().fold(failure, Failure::help);
    Some(text("argument").into_iter().fold(failure, Failure::about))
}

/// A failure as an answer that [`refused`] reads.
pub(crate) fn refusal(failure: &Failure) -> Json {
    let argument = match failure.complaints.first().and_then(|complaint| complaint.path.steps().first()) {
        Some(PathStep::Attribute(name)) => Some(&**name),
        _ => None,
    };
    json!({ "summary": failure.summary, "detail": failure.detail, "help": failure.help.first(), "argument": argument })
}

fn ask(directory: &Path, order: &Json, limit: Duration) -> io::Result<Json> {
    ask_until(directory, order, limit, &|| false)
}

fn ask_until(directory: &Path, order: &Json, limit: Duration, stops: &dyn Fn() -> bool) -> io::Result<Json> {
    let directory = File::open(directory)?;
    let mut stream = UnixStream::connect(control(&directory))?;
    stream.set_read_timeout(Some(limit.min(PAUSE)))?;
    stream.write_all(format!("{order}\n").as_bytes())?;
    let began = Instant::now();
    let (mut reader, mut answer) = (BufReader::new(stream), Vec::new());
    // What was read before a pause stays in `answer`.
    while let Err(error) = reader.read_until(b'\n', &mut answer) {
        if error.kind() != io::ErrorKind::WouldBlock || began.elapsed() >= limit {
            return Err(error);
        }
        if stops() {
            return Err(io::Error::other("it was stopped by hand"));
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    serde_json::from_str(&answer).map_err(|_| io::Error::other("the balancer ended before it answered"))
}
