//! `lab_pool`: alike servers, made, replaced and taken away together. What is done when is decided elsewhere; here are
//! the pool's record, its files, and the single steps ([`PoolSession`]).
//!
//! Its members are servers like others, but of an owner of their own, so that nobody else takes them for forgotten. A
//! member's identity follows from the pool's and its serial number: it is known before anything of it is made.

mod asked;
mod beside;
mod probe;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use andon_schema::{Attribute, Failure, Format, Identity};
use andon_value::{Type, Value};
use serde_json::{Value as Json, json};

pub use session::{MemberNote, MemberSeen, PoolSession, Standing};

use crate::codec::{from_json, same, to_json};
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::lab::{Lab, Made};
use crate::life;
use crate::plan::complete;
use crate::records::{Record, Records, absent_is_fine, write_whole};
use crate::schema;
use crate::server;
use crate::spec::format::{DURATION, HOST_NAME, INTERVAL, PATH, text};
use crate::spec::{duration, interval};

/// What a pool is to be, beside what its members are.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSpec {
    /// How many members.
    pub size: usize,
    /// `rolling`, `blue_green` or `canary`.
    pub strategy: String,
    /// Members at a time, where they are replaced one after another.
    pub batch: usize,
    /// Members that go first.
    pub canaries: usize,
    /// Their share of the requests, in thousandths.
    pub share: u32,
    /// Milliseconds for which new members must be healthy.
    pub healthy_for_ms: u64,
    /// Milliseconds that a new member may take to become healthy.
    pub wait_ms: u64,
    /// In how many of a thousand requests new members may go wrong more than the others.
    pub tolerance: u64,
    /// So many deaths within the window end replacement.
    pub deaths: usize,
    /// Milliseconds.
    pub window_ms: u64,
}

/// Attributes of a server that its pool decides, or that mean nothing for a member.
const NOT_OF_MEMBERS: [&str; 7] = ["name", "address", "id", "connection", "running", "volumes", "on_host"];
/// What is read of the last change where it is not at its end.
const UNFINISHED: &str = "was begun and is not at its end: the next apply goes on";
/// What a pool fails at of whose members none answers its balancer: none of them is replaced then.
pub const NONE_IS_WELL: &str =
    "none of its members answers its balancer, so none is replaced: look at what they have in common";
/// What an apply changes of a pool, beside the user's attributes.
const LIVING: [&str; 3] = ["members", "addresses", "connections"];

const STRATEGY: Format =
    Format { name: "how members are replaced", example: "\"canary\"", check: |it| text(it, strategy) };
const SIZE: Format = Format { name: "a number of servers, up to 1000", example: "3", check: |it| whole(it, 0, 1000) };
const COUNT: Format = Format { name: "a number of servers, from 1", example: "1", check: |it| whole(it, 1, 1000) };
const PORT: Format = Format { name: "a port", example: "80", check: |it| whole(it, 1, 65535) };
const SHARE: Format =
    Format { name: "a share, from 0.001 to 0.999", example: "0.1", check: |it| share(it, 0.001, 0.999) };
const TOLERANCE: Format = Format { name: "a share, from 0 to 1", example: "0.01", check: |it| share(it, 0.0, 1.0) };

/// What it is for, and its attributes: its own, and those of the servers that it has.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let optional = |ty: Type, what: &str, format: Format| Attribute::optional(ty, what).format(format);
    let mut attributes = vec![
        ("name", Attribute::required(Type::String, "The beginning of its members' host names: `web` has `web-0`, `web-1` and so on. A change replaces all members.").format(HOST_NAME)),
        ("size", Attribute::required(Type::Number, "How many members it keeps. Those that have ended are replaced by the next apply, and so is one that its balancers get no answer from for longer than `wait`, while they do from others.").format(SIZE)),
        ("strategy", optional(Type::String, "How members are replaced when what they are made from changes: `rolling` (some at a time, new ones before old ones; the default), `blue_green` (all new ones beside all old ones, then all requests at once) or `canary` (a few new ones get a share of the requests, then all others). At each step new members must be healthy, and fail no more requests than the old ones; else the old ones are back.", STRATEGY)),
        ("batch", optional(Type::Number, "How many are replaced at a time where the strategy is `rolling`. Default 1.", COUNT)),
        ("canaries", optional(Type::Number, "How many go first where the strategy is `canary`. Default 1.", COUNT)),
        ("share", optional(Type::Number, "Their share of the requests. Default 0.1.", SHARE)),
        ("port", optional(Type::Number, "The port at which members answer when they are well. Without it, that of the balancer that follows the pool; without one, a member is well if it runs.", PORT)),
        ("health", optional(Type::String, "The path that a member which is well answers with a status below 400. Without it, that of the balancer; without one, it need only accept connections.", PATH)),
        ("healthy_for", optional(Type::String, "For how long new members must be healthy before the next step. Default `2s`.", DURATION)),
        ("wait", optional(Type::String, "How long new members may take to become healthy. Default `60s`.", INTERVAL)),
        ("tolerance", optional(Type::Number, "The share of requests in which new members may go wrong more often than the others, by the counts of the balancer. Default 0.01.", TOLERANCE)),
        ("deaths", optional(Type::Number, "When so many members have ended within `window`, no more are replaced, and the apply fails. Default 5.", COUNT)),
        ("window", optional(Type::String, "The time within which deaths are counted. Default `10m`.", INTERVAL)),
        ("id", Attribute::computed(Type::String, "What a balancer's `pool` takes.")),
        ("members", Attribute::computed(Type::List(Arc::new(member())), "The members that serve: `name`, `address` and `identity` of each.")),
        ("addresses", Attribute::computed(Type::List(Arc::new(Type::String)), "Their IPv4 addresses, in the same order.")),
        ("connections", Attribute::computed(Type::List(Arc::new(schema::connection())), "How `andon_host` reaches them, in the same order.")),
        ("fault", Attribute::computed(Type::String, "What is amiss with its members: that they end too fast (`deaths`), so that no more are made; that one of them, or all, run and have not answered the balancer for longer than `wait`. Null where all is well.")),
        ("rollout", Attribute::computed(Type::String, "What the last change to the members did, or the next will do.")),
    ];
    let servers = schema::server_attributes().into_iter().filter(|(name, _)| !NOT_OF_MEMBERS.contains(name));
    let of_members = servers.filter(|(_, attribute)| attribute.required || attribute.optional);
    attributes.extend(of_members.map(|(name, attribute)| {
        let description =
            attribute.description.replace("A change replaces the server.", "A change replaces the members.");
        let is_needed = attribute.required || name == "image";
        let description = description.replace(" Needed, unless there is `on_host`.", "");
        (name, Attribute { required: is_needed, optional: !is_needed, computed: false, description, ..attribute })
    }));
    let kept = life::attributes().into_iter().filter(|(name, _)| *name != "created");
    attributes.extend(kept.map(|(name, attribute)| {
        let description =
            attribute.description.replace("the server may", "a member may").replace("a server", "a member");
        (name, Attribute { description: description.replace("server", "member"), ..attribute })
    }));
    (
        "Alike servers on this machine: a number of members that is kept, and that is replaced without a failed request.",
        attributes,
    )
}

fn member() -> Type {
    let attributes: BTreeMap<Arc<str>, Type> =
        ["name", "address", "identity"].into_iter().map(|name| (name.into(), Type::String)).collect();
    Type::Object { attributes: Arc::new(attributes), optional: Arc::default() }
}

impl PoolSpec {
    /// Of a planned value.
    pub(crate) fn decode(value: &Value) -> Result<PoolSpec, Failure> {
        let number = |name: &str, default: f64| {
            value.get(name).and_then(Value::as_number).map_or(default, |number| number.to_f64())
        };
        let time = |name: &str, default: u64| -> Result<u64, Failure> {
            value.get_str(name).map_or(Ok(default), |text| duration(text).map(|time| time.as_millis() as u64))
        };
        Ok(PoolSpec {
            size: number("size", 0.0) as usize,
            strategy: value.get_str("strategy").unwrap_or("rolling").to_owned(),
            batch: number("batch", 1.0) as usize,
            canaries: number("canaries", 1.0) as usize,
            share: (number("share", 0.1) * 1000.0).round() as u32,
            healthy_for_ms: time("healthy_for", 2_000)?,
            wait_ms: time("wait", 60_000)?,
            tolerance: (number("tolerance", 0.01) * 1000.0).round() as u64,
            deaths: number("deaths", 5.0) as usize,
            window_ms: value
                .get_str("window")
                .map_or(Ok(600_000), |text| interval(text).map(|time| time.as_millis() as u64))?,
        })
    }

    /// What would be done to members that are all of another version.
    fn tell(&self) -> String {
        let seconds = self.healthy_for_ms as f64 / 1000.0;
        let how = match self.strategy.as_str() {
            "blue_green" => "all at once, the new beside the old".to_owned(),
            "canary" => format!(
                "{} first, with {} % of the requests, then the others",
                self.canaries,
                f64::from(self.share) / 10.0
            ),
            _ => format!("{} at a time, the new before the old", self.batch),
        };
        format!("replaces its members: {how}; new ones must be healthy for {seconds} s, or the old ones are back")
    }
}

/// What becomes of the attributes that an apply decides.
pub(crate) fn foresee(prior: Option<&Value>, planned: &Value) -> Value {
    let attributes = schema::schema(Kind::Pool).block.attributes;
    let unknown = |value: &Value, names: &[&str]| {
        let types = names.iter().filter_map(|name| Some((*name, attributes.get(*name)?.ty.clone())));
        types.fold(value.clone(), |value, (name, ty)| complete(&value, [(name, Value::unknown(ty))]))
    };
    let is_unfinished = prior.is_some_and(|prior| prior.get_str("rollout") == Some(UNFINISHED));
    let fault = prior.and_then(|prior| prior.get_str("fault"));
    // That is nothing that an apply can change.
    let stays = fault.filter(|fault| *fault == NONE_IS_WELL);
    let was_faulty = fault.is_some() && stays.is_none();
    // Whatever is planned is to be well.
    let planned = &complete(planned, [("fault", stays.map_or(Value::null(Type::String), Value::from))]);
    let Some(prior) = prior else {
        return complete(&unknown(planned, &LIVING), [("rollout", Value::from("makes its members"))]);
    };
    let one = |value: &Value, name: &str| value.get(name).cloned().unwrap_or(Value::NULL);
    let differs = |name: &str| !same(&one(prior, name), &one(planned, name));
    let size = one(planned, "size").as_number().map(|size| size.to_f64() as usize);
    let there = prior.get("members").and_then(Value::as_elements).map_or(0, |members| members.len());
    let rollout = if template_names().any(|name| differs(&name)) {
        PoolSpec::decode(planned).map(|spec| spec.tell()).unwrap_or_default()
    } else if Some(there) != size || was_faulty {
        format!("has {there} members that serve: makes or removes what is amiss")
    } else if is_unfinished {
        "ends what was begun: its members are as they are to be, and no others".to_owned()
    } else {
        return planned.clone();
    };
    complete(&unknown(planned, &LIVING), [("rollout", Value::from(rollout))])
}

/// The attributes whose change makes other members.
fn template_names() -> impl Iterator<Item = String> {
    let servers = schema::server_attributes().into_iter();
    let of_members = servers.filter(|(_, attribute)| attribute.required || attribute.optional);
    let names = of_members.map(|(name, _)| name).filter(|name| !NOT_OF_MEMBERS.contains(name));
    std::iter::once("name").chain(names).map(str::to_owned)
}

/// What members are made from, and its name.
fn template(value: &Value) -> (String, serde_json::Map<String, Json>) {
    let given = template_names()
        .filter_map(|name| Some((name.clone(), value.get(&name).filter(|value| !value.is_null())?.clone())));
    let template: serde_json::Map<String, Json> = given.map(|(name, value)| (name, to_json(&value))).collect();
    let text = Json::Object(template.clone()).to_string();
    (format!("{:016x}", fnv(text.as_bytes())), template)
}

/// What a pool says in blocks of members that are new.
fn tests(value: &Value) -> impl Iterator<Item = (String, Json)> {
    let blocks = schema::schema(Kind::Pool).block.blocks.into_keys();
    let value = value.clone();
    blocks.filter_map(move |name| {
        let block = to_json(value.get(&name).filter(|block| !block.is_null())?);
        Some((name, block))
    })
}

/// FNV-1a (Fowler, Noll, Vo).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The planned name of a member.
fn member_identity(pool: &Identity, serial: u64) -> Identity {
    let hash = fnv(format!("{pool}/{serial}").as_bytes());
    Identity::from_random(hash ^ (hash >> 48))
}

/// Whose the members are.
fn members_owner(pool: &Identity) -> String {
    format!("pool/{pool}")
}

/// The pool whose members are an owner's.
pub(crate) fn of_members(owner: &str) -> Option<&str> {
    owner.strip_prefix("pool/")
}

/// The pool's record, before it has members.
pub(crate) fn create(records: &Records, identity: &Identity, owner: &str, planned: &Value) -> Result<Made, Failure> {
    PoolSpec::decode(planned)?;
    let value = with_members(planned, identity, &[]);
    records.write(identity, &Record::new(Kind::Pool, owner, value.clone()))?;
    let directory = records.directory(Kind::Pool, identity.as_str());
    fs::create_dir_all(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    Ok(Made { value, notes: Vec::new() })
}

/// What is left of a pool without members.
pub(crate) fn forget(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let directory = records.directory(Kind::Pool, identity.as_str());
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))
}

/// The pool as it is: of its members, those that run and are made from what it names.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Option<Value> {
    let record = records.read(identity.as_str())?;
    let notes = kept(records, identity).map(|(_, notes)| notes).unwrap_or_default();
    let (version, _) = template(prior);
    let ended = notes
        .iter()
        .filter(|note| note.good && server::running_init(&member_identity(identity, note.serial)).is_none());
    note_ended(records, identity, &ended.map(|note| note.serial).collect());
    let serving: Vec<(String, Identity, Ipv4Addr)> = notes
        .iter()
        .filter(|note| note.good && note.version == version)
        .filter_map(|note| serving(records, identity, note))
        .collect();
    let standing = standing(records, identity);
    let fault = standing.fault.map_or(Value::null(Type::String), Value::from);
    let was_unfinished = prior.get_str("rollout") == Some(UNFINISHED);
    let rollout = match record.value.get("rollout").filter(|_| was_unfinished) {
        _ if standing.unfinished => Some(Value::from(UNFINISHED)),
        // Somebody else brought it to its end.
        told => told.or_else(|| prior.get("rollout")).cloned(),
    };
    let told = complete(&with_members(prior, identity, &serving), [("fault", fault)]);
    Some(rollout.map_or_else(|| told.clone(), |rollout| complete(&told, [("rollout", rollout)])))
}

/// What was written down of how the pool as a whole is.
fn standing(records: &Records, identity: &Identity) -> Standing {
    let text = fs::read(state_path(records, identity)).unwrap_or_default();
    let json: Json = serde_json::from_slice(&text).unwrap_or_default();
    Standing {
        fault: json.get("fault").and_then(Json::as_str).map(str::to_owned),
        unfinished: json.get("unfinished").and_then(Json::as_bool).unwrap_or(false),
    }
}

/// Where it is written down when it was first seen of members that they do not run.
fn ended_path(records: &Records, identity: &Identity) -> PathBuf {
    records.directory(Kind::Pool, identity.as_str()).join("ended")
}

/// When it was first seen of members that they do not run, in milliseconds since 1970, by serial number.
fn seen_ended(records: &Records, identity: &Identity) -> BTreeMap<u64, u64> {
    let text = fs::read(ended_path(records, identity)).unwrap_or_default();
    let pairs: Vec<(u64, u64)> = serde_json::from_slice(&text).unwrap_or_default();
    pairs.into_iter().collect()
}

fn write_ended(records: &Records, identity: &Identity, ended: &BTreeMap<u64, u64>) -> Result<(), Failure> {
    let path = ended_path(records, identity);
    let pairs: Vec<(u64, u64)> = ended.iter().map(|(serial, ms)| (*serial, *ms)).collect();
    write_whole(&path, json!(pairs).to_string().as_bytes()).or_fail(|| format!("cannot write {}", path.display()))
}

/// Writes down of members that do not run when that was first seen, and tells it. Who only looks cannot always write: then
/// it is now.
fn note_ended(records: &Records, identity: &Identity, serials: &BTreeSet<u64>) -> BTreeMap<u64, u64> {
    let before = seen_ended(records, identity);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut ended = before.clone();
    for serial in serials {
        ended.entry(*serial).or_insert(now);
    }
    if ended != before {
        let _ = write_ended(records, identity, &ended);
    }
    ended
}

/// Forgets of members that they did not run.
fn runs_again(records: &Records, identity: &Identity, serials: &[u64]) -> Result<(), Failure> {
    let before = seen_ended(records, identity);
    let mut ended = before.clone();
    ended.retain(|serial, _| !serials.contains(serial));
    if ended == before { Ok(()) } else { write_ended(records, identity, &ended) }
}

/// A member that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolMember {
    /// Its serial number in the pool.
    pub serial: u64,
    /// The server that it is.
    pub identity: Identity,
    /// That server's attributes.
    pub value: Value,
}

/// A pool as somebody finds it who only looks.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolLook {
    /// What was written down of its steps.
    pub state: Json,
    /// Its members that are good by that: `None` of one that runs; else when it was first seen that it does not, in
    /// milliseconds since 1970.
    pub ended_ms: BTreeMap<u64, Option<u64>>,
    /// For how long each of them that a balancer asks has answered none, in milliseconds; `None` of one that answers.
    pub unwell_ms: BTreeMap<u64, Option<u64>>,
    /// Whether the machine was started anew since somebody last worked on it.
    pub machine_is_new: bool,
}

impl Lab {
    /// A pool as it is at this moment, whoever works on it. `None` where nothing was written down of it.
    pub fn look_at_pool(&self, pool: &Identity) -> Option<PoolLook> {
        let (state, notes) = kept(&self.records, pool)?;
        let runs = |serial: u64| server::running_init(&member_identity(pool, serial)).is_some();
        let good = notes.iter().filter(|note| note.good);
        let members: BTreeMap<u64, bool> = good.map(|note| (note.serial, runs(note.serial))).collect();
        let ended = members.iter().filter(|(_, runs)| !**runs).map(|(serial, _)| *serial).collect();
        let ended = note_ended(&self.records, pool, &ended);
        let unwell_ms = asked::unwell_ms(&self.records, pool, members.keys().copied());
        let ended_ms =
            members.into_iter().map(|(serial, runs)| (serial, ended.get(&serial).copied().filter(|_| !runs)));
        Some(PoolLook {
            state,
            ended_ms: ended_ms.collect(),
            unwell_ms,
            machine_is_new: session::machine_is_new(&self.records, pool),
        })
    }

    /// A pool as it was read, without a member that runs and does not serve, and with what is to be said of that.
    pub fn without_member(&self, pool: &Identity, value: &Value, serial: u64, fault: &str) -> Value {
        let hidden = member_identity(pool, serial);
        let notes = kept(&self.records, pool).map(|(_, notes)| notes).unwrap_or_default();
        let (version, _) = template(value);
        let good = notes.iter().filter(|note| note.good && note.version == version);
        let serving = good.filter_map(|note| serving(&self.records, pool, note));
        let others: Vec<_> = serving.filter(|(_, identity, _)| *identity != hidden).collect();
        complete(&with_members(value, pool, &others), [("fault", Value::from(fault))])
    }

    /// The members of a pool that serve, in the order in which they were made.
    pub fn members(&self, pool: &Identity) -> Vec<PoolMember> {
        let notes = kept(&self.records, pool).map(|(_, notes)| notes).unwrap_or_default();
        let member = |note: MemberNote| {
            let identity = member_identity(pool, note.serial);
            let value = self.records.read(identity.as_str())?.value;
            Some(PoolMember { serial: note.serial, identity, value })
        };
        notes.into_iter().filter(|note| note.good).filter_map(member).collect()
    }
}

/// Where a pool writes down how far it is.
fn state_path(records: &Records, identity: &Identity) -> PathBuf {
    records.directory(Kind::Pool, identity.as_str()).join("state")
}

/// What was written down of a pool's steps, and of its members.
fn kept(records: &Records, identity: &Identity) -> Option<(Json, Vec<MemberNote>)> {
    let text = fs::read(state_path(records, identity)).ok()?;
    let json: Json = serde_json::from_slice(&text).ok()?;
    let members = json.get("members")?.as_array()?.iter().map(MemberNote::from_json).collect::<Option<_>>()?;
    Some((json.get("state")?.clone(), members))
}

/// A member's name, identity and address, if it runs.
fn serving(records: &Records, pool: &Identity, note: &MemberNote) -> Option<(String, Identity, Ipv4Addr)> {
    let identity = member_identity(pool, note.serial);
    server::running_init(&identity)?;
    let value = records.read(identity.as_str())?.value;
    Some((value.get_str("name")?.to_owned(), identity, value.get_str("address")?.parse().ok()?))
}

fn with_members(value: &Value, identity: &Identity, members: &[(String, Identity, Ipv4Addr)]) -> Value {
    let mut members = members.to_vec();
    members.sort_by(|(one, ..), (other, ..)| (one.len(), one).cmp(&(other.len(), other)));
    let each = members.iter().map(|(name, identity, address)| {
        Value::object([
            ("name", Value::from(name.as_str())),
            ("address", Value::from(address.to_string())),
            ("identity", Value::from(identity.as_str())),
        ])
    });
    let addresses = members.iter().map(|(_, _, address)| Value::from(address.to_string()));
    let connections = members.iter().map(|(_, identity, address)| server::connection(identity, *address));
    complete(
        value,
        [
            ("id", Value::from(identity.as_str())),
            ("members", Value::list(member(), each)),
            ("addresses", Value::list(Type::String, addresses)),
            ("connections", Value::list(schema::connection(), connections)),
        ],
    )
}

/// Where requests to a pool go: weights, in thousandths, by the address of the member.
pub(crate) fn table(records: &Records, pool: &str) -> BTreeMap<Ipv4Addr, u32> {
    let read = || {
        let text = fs::read(records.directory(Kind::Pool, pool).join("table")).ok()?;
        let json: Json = serde_json::from_slice(&text).ok()?;
        let entry =
            |(address, weight): (&String, &Json)| Some((address.parse().ok()?, u32::try_from(weight.as_u64()?).ok()?));
        json.as_object()?.iter().map(entry).collect::<Option<BTreeMap<Ipv4Addr, u32>>>()
    };
    read().unwrap_or_default()
}

fn write_table(records: &Records, pool: &Identity, table: &BTreeMap<Ipv4Addr, u32>) -> Result<(), Failure> {
    let path = records.directory(Kind::Pool, pool.as_str()).join("table");
    let json: Json = table
        .iter()
        .map(|(address, weight)| (address.to_string(), json!(weight)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    write_whole(&path, json.to_string().as_bytes()).or_fail(|| format!("cannot write {}", path.display()))
}

/// A value of one attribute of the lab's servers, from a template.
fn from_template(template: &Json, name: &str, ty: &Type) -> Value {
    from_json(template.get(name).unwrap_or(&Json::Null), ty)
}

fn strategy(text: &str) -> Result<(), Failure> {
    match text {
        "rolling" | "blue_green" | "canary" => Ok(()),
        _ => Err(Failure::new(
            format!("`{text}` replaces nobody"),
            "Members are replaced by `rolling`, `blue_green` or `canary`.",
        )),
    }
}

fn whole(value: &Value, least: u32, most: u32) -> Result<(), Failure> {
    let Some(number) = value.as_number().map(|number| number.to_f64()) else { return Ok(()) };
    if (f64::from(least)..=f64::from(most)).contains(&number) && number.fract() == 0.0 {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{number}` is not possible here"),
        format!("It is a whole number from {least} to {most}."),
    ))
}

fn share(value: &Value, least: f64, most: f64) -> Result<(), Failure> {
    let Some(number) = value.as_number().map(|number| number.to_f64()) else { return Ok(()) };
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{number}` is no share here"),
        format!("It is a number from {least} to {most}; 0.1 is one in ten."),
    ))
}
