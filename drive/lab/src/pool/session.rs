//! The single steps of a pool, for whoever decides on them.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use andon_schema::{Failure, Identity};
use andon_value::Value;
use serde_json::{Value as Json, json};

use super::asked::{followers, unwell_ms};
use super::beside::each_beside;
use super::probe::{Probe, ask};
use super::{
    PoolSpec, from_template, kept, member_identity, members_owner, serving, state_path, table, template, tests,
    with_members, write_table,
};
use crate::balancer;
use crate::balancer::spec::statuses;
use crate::failure::OrFail;
use crate::kind::Kind;
use crate::lab::{CreateExtra, Lab, Made};
use crate::records::{Lock, Record, Records, write_whole};
use crate::schema;

/// Members that are removed beside each other, at most.
const AT_ONCE: usize = 16;

/// A pool that nobody else works on.
pub struct PoolSession<'a> {
    lab: &'a Lab,
    identity: Identity,
    _lock: Lock,
}

/// What is to be remembered of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberNote {
    /// Its serial number: no other member of the pool ever has it.
    pub serial: u64,
    /// What it is made from.
    pub version: String,
    /// Whether it serves, and is to go on with that.
    pub good: bool,
}

/// How a pool as a whole is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Why it gets no members any more, where that is so.
    pub fault: Option<String>,
    /// Something was begun and is not at its end.
    pub unfinished: bool,
}

/// What is seen of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberSeen {
    /// It runs.
    pub alive: bool,
    /// When somebody first saw that it does not, in milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// It answers as it should.
    pub healthy: bool,
    /// Requests that balancers gave to it.
    pub requests: u64,
    /// Those of them that went wrong.
    pub errors: u64,
}

impl MemberNote {
    fn to_json(&self) -> Json {
        json!({ "serial": self.serial, "version": self.version, "good": self.good })
    }

    pub(super) fn from_json(json: &Json) -> Option<MemberNote> {
        Some(MemberNote {
            serial: json.get("serial")?.as_u64()?,
            version: json.get("version")?.as_str()?.to_owned(),
            good: json.get("good")?.as_bool()?,
        })
    }
}

impl Lab {
    /// Opens a pool to work on it, and waits until nobody else does.
    ///
    /// # Errors
    /// Where the lab knows of no such pool.
    pub fn pool(&self, identity: &Identity) -> Result<PoolSession<'_>, Failure> {
        let lock = self.records.lock(identity)?;
        match self.records.read(identity.as_str()).filter(|record| record.kind == Kind::Pool) {
            Some(_) => Ok(PoolSession { lab: self, identity: identity.clone(), _lock: lock }),
            None => Err(Failure::new("the pool is gone", format!("The lab knows of no pool `{identity}`."))),
        }
    }

    /// Removes all members of a pool, then what is left of it.
    pub(crate) fn delete_pool(&self, identity: &Identity) -> Result<(), Failure> {
        let owner = members_owner(identity);
        let members = self
            .records
            .all()
            .into_iter()
            .filter(|(_, record)| record.as_ref().is_some_and(|record| record.owner == owner));
        let mut members: Vec<Identity> = members.map(|(identity, _)| identity).collect();
        // One whose record was torn when its maker ended is known from what was written down before.
        let noted = kept(&self.records, identity).map(|(_, notes)| notes).unwrap_or_default();
        members.extend(noted.iter().map(|note| member_identity(identity, note.serial)));
        members.sort_unstable();
        members.dedup();
        let delete = |member: &Identity| self.delete(Kind::Server.name(), member);
        let broken = || Failure::new("a member could not be removed", "What removes it came to an end by itself.");
        each_beside(&members, AT_ONCE, delete, broken)?;
        super::forget(&self.records, identity)
    }
}

impl PoolSession<'_> {
    /// What the planned value asks for.
    pub fn spec(&self, planned: &Value) -> Result<PoolSpec, Failure> {
        PoolSpec::decode(planned)
    }

    /// Writes down what members are to be made from, and gives its name.
    pub fn version(&self, planned: &Value) -> Result<String, Failure> {
        let (version, mut template) = template(planned);
        // How new ones are tested makes no others, and goes with what they are made from: old ones that are made again are
        // tested as they were.
        for (name, value) in tests(planned) {
            template.insert(name, value);
        }
        let template = Json::Object(template);
        let path = self.template_path(&version);
        write_whole(&path, template.to_string().as_bytes()).or_fail(|| format!("cannot write {}", path.display()))?;
        Ok(version)
    }

    /// The image of members of a version.
    pub fn image(&self, version: &str) -> Result<String, Failure> {
        let template = self.template(version)?;
        Ok(template.get("image").and_then(Json::as_str).unwrap_or_default().to_owned())
    }

    /// What was written down of earlier steps; `None` where there were none.
    ///
    /// # Errors
    /// Where it cannot be read: whatever it said of members must not be forgotten.
    pub fn state(&self) -> Result<Option<Json>, Failure> {
        let path = state_path(&self.lab.records, &self.identity);
        match kept(&self.lab.records, &self.identity) {
            Some((state, _)) => Ok(Some(state)),
            None if !path.exists() => Ok(None),
            None => Err(Failure::new(
                "the pool's state cannot be read",
                format!("{} is not what an Andon writes.", path.display()),
            )
            .help("Restore it, or replace the pool: `andon apply -replace=ADDRESS`.")),
        }
    }

    /// How it was when that was last written down.
    pub fn standing(&self) -> Standing {
        super::standing(&self.lab.records, &self.identity)
    }

    /// Writes down how far it is. What comes after it finds it, whatever happens.
    pub fn write(&self, state: &Json, members: &[MemberNote], standing: &Standing) -> Result<(), Failure> {
        let path = state_path(&self.lab.records, &self.identity);
        let members: Vec<Json> = members.iter().map(MemberNote::to_json).collect();
        let json = json!({ "format": 1, "state": state, "members": members, "fault": standing.fault, "unfinished": standing.unfinished });
        write_whole(&path, json.to_string().as_bytes()).or_fail(|| format!("cannot write {}", path.display()))
    }

    /// What a member of a version is to be, as a `lab_server` that is planned; what its pool says of new ones included.
    pub fn order(&self, version: &str, index: usize) -> Result<Value, Failure> {
        let template = self.template(version)?;
        let prefix = template.get("name").and_then(Json::as_str).unwrap_or_default();
        let block = schema::schema(Kind::Server).block;
        let attributes = block.attributes.into_iter().map(|(name, attribute)| {
            let value = match name.as_str() {
                "name" => Value::from(format!("{prefix}-{index}")),
                _ => from_template(&template, &name, &attribute.ty),
            };
            (name, value)
        });
        let blocks = block.blocks.into_iter().map(|(name, block)| {
            let value = from_template(&template, &name, &block.implied_type());
            (name, value)
        });
        let (planned, _) = self.lab.plan(Kind::Server.name(), None, &Value::object(attributes.chain(blocks)))?;
        Ok(planned)
    }

    /// Makes a member; one that is half there is made anew. On failure what is left of it is given.
    pub fn make(&self, serial: u64, order: &Value, lower_dirs: Vec<PathBuf>) -> Result<Made, (Failure, Option<Value>)> {
        let extra = CreateExtra { owner: members_owner(&self.identity), lower_dirs, ..CreateExtra::default() };
        let identity = member_identity(&self.identity, serial);
        let made = self.lab.create(Kind::Server.name(), &identity, order, &extra)?;
        // One that was half there may have been seen without its processes.
        super::runs_again(&self.lab.records, &self.identity, &[serial])
            .map_err(|failure| (failure, Some(made.value.clone())))?;
        Ok(made)
    }

    /// Starts members that do not run, as after a reboot, with their addresses and files.
    pub fn revive(&self, serial: u64) -> Result<(), Failure> {
        let identity = member_identity(&self.identity, serial);
        super::runs_again(&self.lab.records, &self.identity, &[serial])?;
        self.lab.restart(&identity).map(drop)
    }

    /// Whether the machine was started anew since [`PoolSession::knows_machine`] was last said.
    pub fn machine_is_new(&self) -> bool {
        machine_is_new(&self.lab.records, &self.identity)
    }

    /// Remembers which start of the machine this is: all that the last one took is there again.
    pub fn knows_machine(&self) -> Result<(), Failure> {
        let path = boot_path(&self.lab.records, &self.identity);
        write_whole(&path, &boot_id()).or_fail(|| format!("cannot write {}", path.display()))
    }

    /// Removes a member and every trace of it.
    pub fn remove(&self, serial: u64) -> Result<(), Failure> {
        self.lab.delete(Kind::Server.name(), &member_identity(&self.identity, serial))?;
        super::runs_again(&self.lab.records, &self.identity, &[serial])
    }

    /// Has all balancers that follow the pool pass requests to these members alone, by weight in thousandths. Returns
    /// once those that are left out have finished. Where `stops` says so meanwhile, nobody is awaited any more; then, and
    /// where a balancer could not be put back, some may pass requests on as before and others not.
    pub fn share(&self, weights: &BTreeMap<u64, u32>, stops: &dyn Fn() -> bool) -> Result<Vec<String>, Failure> {
        let before = table(&self.lab.records, self.identity.as_str());
        let addresses = weights.iter().filter_map(|(serial, weight)| Some((self.address(*serial)?, *weight))).collect();
        write_table(&self.lab.records, &self.identity, &addresses)?;
        let mut notes = Vec::new();
        let mut changed: Vec<(Identity, Value)> = Vec::new();
        for (identity, value) in self.followers() {
            // One that does not run reads the table when it is started again.
            if !balancer::runs(&self.lab.records, &identity) {
                continue;
            }
            match balancer::refresh(&self.lab.records, &identity, &value, &addresses, stops) {
                Ok(more) => notes.extend(more),
                Err(failure) if stops() => return Err(failure),
                Err(failure) => {
                    let written = write_table(&self.lab.records, &self.identity, &before);
                    changed.push((identity, value));
                    let failure = self.back(&changed, &before, failure);
                    return Err(match written {
                        Ok(()) => failure,
                        // Only one that is started anew reads it, and whoever shares next writes it.
                        Err(other) => {
                            failure.help(format!("Where requests went before could not be written down: {other}"))
                        }
                    });
                }
            }
            changed.push((identity, value));
        }
        Ok(notes)
    }

    /// Has balancers pass requests on as before, after one of them could not follow a change: either all of them do, or none.
    fn back(&self, changed: &[(Identity, Value)], before: &BTreeMap<Ipv4Addr, u32>, failure: Failure) -> Failure {
        let still = changed.iter().filter(|(identity, _)| balancer::runs(&self.lab.records, identity));
        let failed = still.filter_map(|(identity, value)| {
            let other = balancer::refresh(&self.lab.records, identity, value, before, &|| false).err()?;
            Some((value.get_str("listen").unwrap_or_default(), other))
        });
        failed.fold(failure, |failure, (listen, other)| {
            failure.help(format!(
                "The balancer at {listen} could not be put back to where its requests went before: {other}"
            ))
        })
    }

    /// Looks at members.
    pub fn look(&self, serials: &[u64], planned: &Value) -> BTreeMap<u64, MemberSeen> {
        let followers = self.followers();
        let probe = self.probe(planned, &followers);
        let counts = self.counts(&followers);
        let one = |serial: u64| {
            let alive = self.lab.init(&member_identity(&self.identity, serial)).is_some();
            let address = self.address(serial);
            let well = |address| probe.as_ref().is_none_or(|probe| self.ask(address, probe).is_ok());
            let healthy = alive && address.is_some_and(well);
            let (requests, errors) = address.and_then(|address| counts.get(&address).copied()).unwrap_or_default();
            MemberSeen { alive, ended_ms: None, healthy, requests, errors }
        };
        let mut seen: BTreeMap<u64, MemberSeen> = std::thread::scope(|scope| {
            let begin = |serial: u64| std::thread::Builder::new().spawn_scoped(scope, move || one(serial));
            let looks: Vec<_> = serials.iter().map(|serial| (*serial, begin(*serial))).collect();
            let end = |serial, look: std::io::Result<std::thread::ScopedJoinHandle<'_, MemberSeen>>| {
                // Where there may be no more threads, it is looked at now.
                look.map_or_else(|_| one(serial), |look| look.join().unwrap_or_default())
            };
            looks.into_iter().map(|(serial, look)| (serial, end(serial, look))).collect()
        });
        let ended = seen.iter().filter(|(_, seen)| !seen.alive).map(|(serial, _)| *serial).collect();
        let ended = super::note_ended(&self.lab.records, &self.identity, &ended);
        for (serial, seen) in seen.iter_mut().filter(|(_, seen)| !seen.alive) {
            seen.ended_ms = ended.get(serial).copied();
        }
        seen
    }

    /// What is amiss with a member that runs and does not answer as it should, in words.
    pub fn complaint(&self, serial: u64, planned: &Value) -> Option<String> {
        let probe = self.probe(planned, &self.followers())?;
        self.ask(self.address(serial)?, &probe).err()
    }

    fn ask(&self, address: Ipv4Addr, probe: &Probe) -> Result<(), String> {
        self.lab.on_network(|| ask(address, probe)).map_err(|failure| failure.to_string())?
    }

    /// For how long each of these members that a balancer asks has answered none, in milliseconds; `None` of one that answers.
    pub fn unwell_ms(&self, serials: &[u64]) -> BTreeMap<u64, Option<u64>> {
        unwell_ms(&self.lab.records, &self.identity, serials.iter().copied())
    }

    /// The pool as it is now, and written down as that.
    pub fn finish(&self, value: &Value) -> Result<Made, Failure> {
        let notes = kept(&self.lab.records, &self.identity).map(|(_, notes)| notes).unwrap_or_default();
        let good = notes.iter().filter(|note| note.good);
        let serving: Vec<_> = good.filter_map(|note| serving(&self.lab.records, &self.identity, note)).collect();
        let value = with_members(value, &self.identity, &serving);
        let owner = self.lab.records.read(self.identity.as_str()).map(|record| record.owner).unwrap_or_default();
        self.lab.records.write(&self.identity, &Record::new(Kind::Pool, &owner, value.clone()))?;
        let kept: Vec<String> = notes.into_iter().map(|note| note.version).collect();
        let templates = self.lab.records.directory(Kind::Pool, self.identity.as_str()).join("templates");
        for file in fs::read_dir(templates).into_iter().flatten().flatten() {
            if !file.file_name().to_str().is_some_and(|name| kept.iter().any(|version| version == name)) {
                let _ = fs::remove_file(file.path());
            }
        }
        Ok(Made { value, notes: Vec::new() })
    }

    fn template_path(&self, version: &str) -> PathBuf {
        self.lab.records.directory(Kind::Pool, self.identity.as_str()).join("templates").join(version)
    }

    fn template(&self, version: &str) -> Result<Json, Failure> {
        let path = self.template_path(version);
        let text = fs::read(&path).or_fail(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).or_fail(|| format!("cannot read {}", path.display()))
    }

    fn address(&self, serial: u64) -> Option<Ipv4Addr> {
        let record = self.lab.records.read(member_identity(&self.identity, serial).as_str())?;
        record.value.get_str("address")?.parse().ok()
    }

    /// The balancers that follow the pool.
    fn followers(&self) -> Vec<(Identity, Value)> {
        followers(&self.lab.records, &self.identity)
    }

    /// How members are asked: as the pool says, else as a balancer does.
    fn probe(&self, planned: &Value, followers: &[(Identity, Value)]) -> Option<Probe> {
        let given = std::iter::once(planned).chain(followers.iter().map(|(_, value)| value));
        let port = |value: &Value| value.get("port").and_then(Value::as_number).map(|port| port.to_f64() as u16);
        let port = given.clone().find_map(port)?;
        let path = given.clone().find_map(|value| value.get_str("health")).map(str::to_owned);
        let told = given.clone().find_map(|value| value.get_str("health_status"));
        let statuses = told.and_then(|told| statuses(told).ok()).unwrap_or(100..=399);
        Some(Probe { port, path, statuses })
    }

    /// Requests and errors of each address, by all balancers.
    fn counts(&self, followers: &[(Identity, Value)]) -> BTreeMap<Ipv4Addr, (u64, u64)> {
        let mut counts: BTreeMap<Ipv4Addr, (u64, u64)> = BTreeMap::new();
        for status in followers.iter().filter_map(|(identity, _)| balancer::status(&self.lab.records, identity)) {
            for target in status.get("targets").and_then(Json::as_array).into_iter().flatten() {
                let address =
                    target.get("address").and_then(Json::as_str).and_then(|text| text.split(':').next()?.parse().ok());
                let Some(address) = address else { continue };
                let count =
                    |name: &str| target.get("counts").and_then(|counts| counts.get(name)?.as_u64()).unwrap_or(0);
                let entry = counts.entry(address).or_default();
                *entry = (entry.0 + count("requests"), entry.1 + count("errors"));
            }
        }
        counts
    }
}

/// Where it is remembered which start of the machine it was.
fn boot_path(records: &Records, pool: &Identity) -> PathBuf {
    records.directory(Kind::Pool, pool.as_str()).join("boot")
}

pub(super) fn machine_is_new(records: &Records, pool: &Identity) -> bool {
    fs::read(boot_path(records, pool)).is_ok_and(|before| before != boot_id())
}

fn boot_id() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
