//! The lab as its callers see it: one call for each question and command.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use andon_schema::{Failure, Identity, TypeSchema};
use andon_value::Value;

use crate::failure::OrFail;
use crate::foresee::{self, Whose};
use crate::kind::Kind;
use crate::life::{self, ChangedFile};
use crate::machine::{self, Missing};
use crate::reach::{self, Reached};
use crate::realm::{self, Realm};
use crate::records::{Lock, Measuring, Record, Records};
use crate::server::Ground;
use crate::spawn::Spawner;
use crate::vm::{self, Login};
use crate::{as_made, balancer, bucket, key, names, network, plan, pool, schema, server, share, snapshot, volume};

/// Where a lab is, and by what program it runs its own processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabSettings {
    /// Where records and servers' files are. Must be on a file system that can hold an overlay's upper layer.
    pub data_dir: PathBuf,
    /// A program whose `main` begins with [`crate::helper_main`]; normally `/proc/self/exe`.
    pub helper: PathBuf,
}

/// The lab of this machine. Cheap to clone and safe to use from many threads and many processes at once.
#[derive(Debug, Clone)]
pub struct Lab {
    pub(crate) records: Records,
    helper: PathBuf,
    spawner: Spawner,
    interrupt: Arc<AtomicBool>,
}

/// What a create or an update is told beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateExtra {
    /// Whose the object is: the project. [`Lab::sweep`] looks at the objects of one owner.
    pub owner: String,
    /// The environment of the project. Networks know the names of those in the same one, and of no other; where none is
    /// given, of all of the owner's.
    pub environment: Option<String>,
    /// For a server: the layers of its image's root file system, the topmost first.
    pub lower_dirs: Vec<PathBuf>,
    /// For a server that is a machine of its own: its image as a disk, in the format qcow2.
    pub disk: Option<PathBuf>,
}

/// What was made or changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The object as it is now, wholly known.
    pub value: Value,
    /// What was changed on this machine beside the object, a sentence each, for the user to know.
    pub notes: Vec<String>,
}

/// What came of a create that was cut off.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is as it was asked for.
    Complete(Value),
    /// Something of it is there: to be deleted.
    Partial,
    /// Nothing of it is there.
    Absent,
}

/// An object that exists but that no ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its resource type; `None` where its record cannot be read.
    pub kind: Option<String>,
    /// Its identity.
    pub identity: Identity,
    /// The name that its user gave it, where there is one.
    pub name: Option<String>,
}

/// What the files of a server were that are not as in its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSeen(BTreeMap<String, String>);

impl Lab {
    /// A lab. Nothing is made until something is created.
    pub fn open(settings: LabSettings) -> Result<Lab, Failure> {
        let data = std::path::absolute(&settings.data_dir);
        let data = data.map_err(|error| Failure::new("the lab's data directory has no path", error.to_string()))?;
        let spawner = Spawner::new(settings.helper.clone());
        let realm = Realm::of(&data);
        let records = Records::new(data).on(realm);
        Ok(Lab { records, helper: settings.helper, spawner, interrupt: Arc::default() })
    }

    /// The same lab, which ends to wait for a machine that boots once this says so.
    pub fn heeding(self, interrupt: Arc<AtomicBool>) -> Lab {
        Lab { interrupt, ..self }
    }

    /// Where its records and its servers' files are.
    pub fn data_dir(&self) -> &Path {
        self.records.data()
    }

    /// What this machine lacks to run a lab; nothing where it can.
    pub fn requirements() -> Vec<Missing> {
        machine::missing()
    }

    /// The resource types of the lab.
    pub fn schemas() -> BTreeMap<String, TypeSchema> {
        schema::schemas()
    }

    /// What would become of an object: all its attributes, unknown where only the apply decides, and those that cannot
    /// change in place and do. Pure: asks neither machine nor disk.
    pub fn plan(&self, kind: &str, prior: Option<&Value>, config: &Value) -> Result<(Value, Vec<String>), Failure> {
        let kind = Kind::parse(kind)?;
        let (planned, replace) = plan::plan(kind, prior, config)?;
        if prior.is_none_or(Value::is_null) || !replace.is_empty() {
            self.check_may_make(kind, &planned)?;
        }
        if self.records.realm().is_some() {
            realm::check_limits(prior, &planned)?;
        }
        Ok((planned, replace))
    }

    /// Refuses what only this machine's root can make, where that is not who asks.
    fn check_may_make(&self, kind: Kind, planned: &Value) -> Result<(), Failure> {
        if self.records.realm().is_none() { Ok(()) } else { realm::check_may_make(kind, planned) }
    }

    /// Refuses to make a volume anew that a server has: it could not be deleted.
    pub fn check_replacement(&self, kind: &str, prior: &Value) -> Result<(), Failure> {
        let id = prior.get_str("id").filter(|_| Kind::parse(kind).is_ok_and(|kind| kind == Kind::Volume));
        let Some(server) = id.and_then(|id| crate::attach::holder(&self.records, id)) else { return Ok(()) };
        let name = self.records.read(&server).and_then(|record| Some(record.value.get_str("name")?.to_owned()));
        let detail = format!("The server `{}` has it, and what is on it would be lost.", name.unwrap_or(server));
        Err(Failure::new("a volume that a server has is not replaced", detail).help(
            "Make another volume and give the server that one; or take this one out of its `volumes` and apply first.",
        ))
    }

    /// Refuses what cannot be made or changed as planned, as what is on this machine already says: an id that is of something
    /// else, an address outside of its network, a range that is somebody else's. `prior` is the object as it is, `None` where it
    /// is made, or made anew. Other than [`Lab::plan`] it looks at this machine.
    pub fn check_here(
        &self,
        kind: &str,
        (owner, environment): (&str, Option<&str>),
        prior: Option<&Value>,
        planned: &Value,
    ) -> Result<(), Failure> {
        foresee::check(&self.records, Kind::parse(kind)?, Whose { owner, environment }, prior, planned)
    }

    /// Refuses a server, or a pool of such, that is to be a machine of its own where this one cannot run it. Other than
    /// [`Lab::plan`] it looks at this machine: where only KVM will do, whether that works.
    pub fn check_machine(&self, kind: &str, planned: &Value) -> Result<(), Failure> {
        if ![Kind::Server, Kind::Pool].contains(&Kind::parse(kind)?) || !vm::is_machine(planned) {
            return Ok(());
        }
        if self.records.realm().is_some() {
            let detail = "Its link is made by this machine's root, on the network where others reach it.";
            return Err(Failure::new("a server that is a machine of its own needs root", detail)
                .help("Leave `vm` out, or run this with sudo.")
                .about("vm"));
        }
        vm::check_here(planned)
    }

    /// Refuses an image that has not what a machine of its own needs. `lower_dirs` are its layers, the topmost first.
    pub fn check_image(&self, planned: &Value, lower_dirs: &[PathBuf]) -> Result<(), Failure> {
        vm::MachineSpec::decode(planned).map_or(Ok(()), |machine| vm::require(machine, lower_dirs))
    }

    /// Makes an object from its plan. On failure nothing of it is left, or what is left is given to be deleted.
    pub fn create(
        &self,
        kind: &str,
        identity: &Identity,
        planned: &Value,
        extra: &CreateExtra,
    ) -> Result<Made, (Failure, Option<Value>)> {
        let kind = Kind::parse(kind).map_err(|failure| (failure, None))?;
        let made = self.at_change(kind, || self.create_here(kind, identity, planned, extra));
        made.map_err(|failure| (failure, None))?
    }

    fn create_here(
        &self,
        kind: Kind,
        identity: &Identity,
        planned: &Value,
        extra: &CreateExtra,
    ) -> Result<Made, (Failure, Option<Value>)> {
        let nothing_made = |failure| (failure, None);
        if kind.needs_machine() {
            machine::require().map_err(nothing_made)?;
        }
        self.check_may_make(kind, planned).map_err(nothing_made)?;
        self.check_machine(kind.name(), planned).map_err(nothing_made)?;
        let lock = self.records.lock(identity).map_err(nothing_made)?;
        if self.records.exists(identity) {
            self.destroy(kind, identity, &lock).map_err(nothing_made)?;
        }
        let made = match kind {
            Kind::Network => network::create(&self.records, &self.helper, &lock, identity, extra, planned),
            Kind::Server => server::create(
                self.ground(&lock, extra.disk.as_deref()),
                identity,
                &extra.owner,
                planned,
                &extra.lower_dirs,
            ),
            Kind::Balancer => balancer::create(&self.records, &self.helper, &lock, identity, &extra.owner, planned),
            Kind::Pool => pool::create(&self.records, identity, &extra.owner, planned),
            Kind::Key => key::create(&self.records, identity, &extra.owner, planned),
            Kind::Volume => volume::create(&self.records, &lock, identity, &extra.owner, planned),
            Kind::Snapshot => snapshot::create(&self.records, identity, &extra.owner, planned),
            Kind::Share => share::create(&self.records, identity, &extra.owner, planned),
            Kind::Bucket => bucket::create(&self.records, &self.helper, identity, &extra.owner, planned),
        };
        made.map_err(|failure| {
            let made = self.records.read(identity.as_str()).map(|record| record.value);
            let undone = self.destroy(kind, identity, &lock).and_then(|()| self.records.forget(identity, lock));
            match undone {
                Ok(()) => (failure, None),
                Err(other) => (failure.help(format!("What was made could not be removed: {other}")), made),
            }
        })
    }

    /// Changes an object in place, and starts what of it should run and does not. On failure the object as it is now is given, or `None` where it is gone.
    pub fn update(
        &self,
        kind: &str,
        identity: &Identity,
        prior: &Value,
        planned: &Value,
        extra: &CreateExtra,
    ) -> Result<Made, (Failure, Option<Value>)> {
        let as_before = |failure| (failure, Some(prior.clone()));
        let kind = Kind::parse(kind).map_err(as_before)?;
        self.at_change(kind, || self.update_here(kind, identity, prior, planned, extra)).map_err(as_before)?
    }

    fn update_here(
        &self,
        kind: Kind,
        identity: &Identity,
        prior: &Value,
        planned: &Value,
        extra: &CreateExtra,
    ) -> Result<Made, (Failure, Option<Value>)> {
        let as_before = |failure| (failure, Some(prior.clone()));
        let lock = self.records.lock(identity).map_err(as_before)?;
        let Some(record) = self.records.read(identity.as_str()).filter(|record| record.kind == kind) else {
            let failure =
                Failure::new("the object is gone", format!("The lab knows of no {} `{identity}`.", kind.name()));
            return Err((failure, None));
        };
        let made = match kind {
            Kind::Network => {
                let environment = extra.environment.clone().or(record.environment.clone());
                let record = Record { environment, ..record };
                network::update(&self.records, &self.helper, &lock, identity, &record, planned)
            }
            Kind::Server => {
                server::update(self.ground(&lock, extra.disk.as_deref()), identity, &record, planned, &extra.lower_dirs)
            }
            Kind::Pool => Err(Failure::new("a pool changes in steps", "`Lab::pool` has them.")),
            Kind::Key => key::update(&self.records, identity, &record, planned),
            Kind::Balancer => balancer::update(&self.records, &self.helper, &lock, identity, &record, planned),
            Kind::Volume => volume::update(&self.records, &lock, identity, &record, planned),
            Kind::Snapshot => snapshot::update(&self.records, identity, &record, planned),
            Kind::Share => share::update(&self.records, identity, &record, planned),
            Kind::Bucket => bucket::update(&self.records, &self.helper, identity, &record, planned),
        };
        drop(lock);
        made.map_err(|failure| {
            let now = self.read(kind.name(), identity, prior);
            (failure, now.unwrap_or_else(|_| Some(prior.clone())))
        })
    }

    /// Removes an object and every trace of it. Succeeds where it is gone already.
    pub fn delete(&self, kind: &str, identity: &Identity) -> Result<(), Failure> {
        let kind = Kind::parse(kind)?;
        self.at_change(kind, || {
            let lock = self.records.lock(identity)?;
            self.destroy(kind, identity, &lock)?;
            self.records.forget(identity, lock)
        })?
    }

    /// An object as it is now; `None` where nothing is known of it any more. One of which only the processes or interfaces
    /// are gone, as after a reboot, says so, and an update brings them back.
    pub fn read(&self, kind: &str, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
        let kind = Kind::parse(kind)?;
        self.at_work(kind, || match kind {
            Kind::Network => network::read(&self.records, identity, prior),
            Kind::Server => server::read(&self.records, identity, prior),
            Kind::Balancer => balancer::read(&self.records, identity, prior),
            Kind::Volume => volume::read(&self.records, identity, prior),
            Kind::Snapshot => Ok(snapshot::read(&self.records, identity, prior)),
            Kind::Share => Ok(share::read(&self.records, identity, prior)),
            Kind::Bucket => bucket::read(&self.records, identity, prior),
            Kind::Pool => Ok(pool::read(&self.records, identity, prior)),
            Kind::Key => Ok(self.records.read(identity.as_str()).map(|_| prior.clone())),
        })?
    }

    /// The first process of a server that runs, as this machine numbers it: whoever enters its namespaces enters the
    /// server. `None` where the server does not run.
    pub fn init(&self, identity: &Identity) -> Option<i32> {
        server::running_init(identity)
    }

    /// How a server that is a machine of its own is logged in to; `None` for any other, and where it does not run.
    pub fn login(&self, identity: &Identity) -> Option<Login> {
        server::login(&self.records, identity)
    }

    /// What the process of a balancer says of itself: `targets` with their health and `counts`, `connections`, and the
    /// `counts` of all requests since it was started. `None` where it does not run.
    pub fn balancer_status(&self, identity: &Identity) -> Option<serde_json::Value> {
        let mut status = balancer::status(&self.records, identity)?;
        // Settings have keys of certificates in them.
        status.as_object_mut()?.remove("settings");
        Some(status)
    }

    /// Whether this lab knows of a server that does not run.
    pub fn is_stopped(&self, identity: &Identity) -> bool {
        !server::runs(identity) && self.records.exists(identity)
    }

    /// Stops a server and starts it again, with its address and its files. Gives what is to be said of it.
    pub fn restart(&self, identity: &Identity) -> Result<Vec<String>, Failure> {
        let lock = self.records.lock(identity)?;
        let record = self.records.read(identity.as_str()).filter(|record| record.kind == Kind::Server);
        let record = record
            .ok_or_else(|| Failure::new("the server is gone", format!("The lab knows of no server `{identity}`.")))?;
        self.at_change(Kind::Server, || server::restart(self.ground(&lock, None), identity, &record))?
    }

    /// What a server's init, and what it started, wrote before they had a journal, from a beginning of a line on: of what
    /// is long, only the end is kept. An error where nothing was written, as the server never ran.
    pub fn console(&self, identity: &Identity) -> io::Result<Vec<u8>> {
        server::console(&self.records, identity)
    }

    /// Waits until nobody else measures how fast a server is, and keeps others from it: other threads, and other processes
    /// of this lab.
    ///
    /// # Errors
    /// Where that cannot be written down.
    pub fn measuring(&self) -> Result<Measuring, Failure> {
        self.records.measuring()
    }

    /// A place on this machine, at the gateway of a network, that servers of the network can connect to.
    pub fn listen(&self, network: &str) -> Option<TcpListener> {
        let gateway = network::range(&self.records, network).ok()?.gateway;
        self.on_network(|| TcpListener::bind((gateway, 0))).ok()?.ok()
    }

    /// Whether the gateway of its network answers with a server's address for its name; `None` where that is not to be
    /// expected, as the network has no names.
    pub fn is_named(&self, server: &Value) -> Option<bool> {
        let address = server.get_str("address")?.parse().ok()?;
        let (network, name) = (server.get_str("network")?, server.get_str("name")?);
        self.on_network(|| names::knows(&self.records, network, name, address)).ok()?
    }

    /// What of a server answers at its address, and which of these TCP ports take no connection, as this machine's side of
    /// its network sees it; `None` of one that has no address. Waits half a second for what does not answer.
    pub fn reach(&self, server: &Value, ports: &[u16]) -> Option<Reached> {
        let address = server.get_str("address")?.parse().ok()?;
        let link = network::interface("av", server.get_str("id")?);
        let gateway = network::range(&self.records, server.get_str("network")?).ok()?.gateway;
        self.on_network(|| reach::reach(address, &link, gateway, ports)).ok()
    }

    /// Whether a server was never started, or was and is not [accepted](Lab::accept) yet.
    pub fn is_new(&self, identity: &Identity) -> bool {
        self.records.exists(identity) && server::is_new(&self.records, identity)
    }

    /// Has a server that runs count as what it must be: it is new no more.
    pub fn accept(&self, identity: &Identity) -> Result<(), Failure> {
        server::accept(&self.records, identity)
    }

    /// Stops a [new](Lab::is_new) server, and removes all that it wrote: it keeps its address, and is as it was before it was
    /// started for the first time.
    pub fn discard_start(&self, identity: &Identity) -> Result<(), Failure> {
        self.at_work(Kind::Server, || {
            let _lock = self.records.lock(identity)?;
            server::discard_start(&self.records, identity)
        })?
    }

    /// What of a server's files is not as its image has it, in the order of the paths. `lower_dirs` are the layers of the
    /// image, the topmost first; what is below one of `data` (`/var`) is not looked at. Of one of which
    /// [`Lab::remember_files`] was called, what is not as it was then. Costs as much as was changed.
    pub fn changed_files(
        &self,
        identity: &Identity,
        lower_dirs: &[PathBuf],
        data: &[&str],
    ) -> Result<Vec<ChangedFile>, Failure> {
        let directory = self.records.directory(Kind::Server, identity.as_str());
        let own = directory.join("upper");
        let changed = life::changed_files(&own, lower_dirs, data);
        let since = changed.and_then(|changed| as_made::since(&directory, &own, changed));
        since.or_fail(|| format!("cannot look through the files of the server {identity}"))
    }

    /// Has the files of a server that runs, as they are now, count as those that it was made with: what cloud-init did at its
    /// first boot is no drift. Only the first call does something.
    pub fn remember_files(&self, identity: &Identity, lower_dirs: &[PathBuf], data: &[&str]) -> Result<(), Failure> {
        let directory = self.records.directory(Kind::Server, identity.as_str());
        if as_made::is_known(&directory) || self.init(identity).is_none() {
            return Ok(());
        }
        let own = directory.join("upper");
        let changed = life::changed_files(&own, lower_dirs, data);
        let remembered = changed.and_then(|changed| as_made::remember(&directory, &own, &changed));
        remembered.or_fail(|| format!("cannot remember the files of the server {identity}"))
    }

    /// The image of a server whose files count as drift where they are not as there: by its own definition, or by that of the
    /// pool that it is of.
    pub fn compared_with(&self, identity: &Identity) -> Option<String> {
        let record = self.records.read(identity.as_str()).filter(|record| record.kind == Kind::Server)?;
        let pool = pool::of_members(&record.owner).and_then(|pool| self.records.read(pool));
        let has_rule = |value: &Value| value.get_str("on_drift").is_some();
        let is_compared = has_rule(&record.value) || pool.is_some_and(|pool| has_rule(&pool.value));
        record.value.get_str("image").filter(|_| is_compared).map(str::to_owned)
    }

    /// What each file of a server is now that is not as in its image, for [`Lab::adopt_files`].
    pub fn look_at_files(
        &self,
        identity: &Identity,
        lower_dirs: &[PathBuf],
        data: &[&str],
    ) -> Result<FilesSeen, Failure> {
        let own = self.records.directory(Kind::Server, identity.as_str()).join("upper");
        let changed = life::changed_files(&own, lower_dirs, data);
        let prints = changed.and_then(|changed| as_made::prints(&own, &changed));
        prints.map(FilesSeen).or_fail(|| format!("cannot look through the files of the server {identity}"))
    }

    /// Has the files of a server that have changed since somebody looked count as those that it was made with: a role has
    /// changed them.
    pub fn adopt_files(
        &self,
        identity: &Identity,
        lower_dirs: &[PathBuf],
        data: &[&str],
        before: &FilesSeen,
    ) -> Result<(), Failure> {
        let after = self.look_at_files(identity, lower_dirs, data)?;
        let directory = self.records.directory(Kind::Server, identity.as_str());
        let adopted = as_made::adopt(&directory, &before.0, &after.0);
        adopted.or_fail(|| format!("cannot remember the files of the server {identity}"))
    }

    /// The attributes of every server that this lab has a record of, whoever owns it.
    pub fn servers(&self) -> Vec<Value> {
        let records = self.records.all().into_iter().filter_map(|(_, record)| record);
        records.filter(|record| record.kind == Kind::Server).map(|record| record.value).collect()
    }

    /// Removes the lab's own directories where nothing is in them. They come back with the next object.
    pub fn tidy(&self) {
        if let Some(realm) = self.records.realm().filter(|_| self.records.all().is_empty()) {
            realm.leave(self.records.data());
        }
        self.records.remove_empty();
    }

    /// What came of a create with this identity that nobody saw the end of. Waits until whoever ran it has ended.
    pub fn resolve(&self, kind: &str, identity: &Identity) -> Result<Found, Failure> {
        let kind = Kind::parse(kind)?;
        let lock = self.records.lock(identity)?;
        if !self.records.exists(identity) {
            // At most the lock is left, or the beginning of a record.
            self.records.forget(identity, lock)?;
            return Ok(Found::Absent);
        }
        let Some(record) = self.records.read(identity.as_str()).filter(|record| record.kind == kind) else {
            return Ok(Found::Partial);
        };
        self.at_work(kind, || match kind {
            Kind::Network => network::resolve(&self.records, identity, &record),
            Kind::Server => server::resolve(&self.records, &self.interrupt, identity, &record),
            Kind::Balancer => balancer::resolve(&self.records, identity, &record),
            Kind::Volume => volume::resolve(&self.records, identity, &record),
            Kind::Snapshot => Ok(snapshot::resolve(&self.records, identity, &record)),
            Kind::Share => Ok(share::resolve(&self.records, identity, &record)),
            Kind::Bucket => bucket::resolve(&self.records, identity, &record),
            // Its members may be on any way; what they are made from is in the ledger alone.
            Kind::Pool => Ok(Found::Partial),
            Kind::Key => Ok(Found::Complete(record.value.clone())),
        })?
    }

    /// The objects of an owner that exist and are not among the known, in the order in which they can be deleted.
    /// An object whose record is unreadable is nobody's, and belongs to every owner.
    pub fn leftovers(&self, known: &BTreeSet<Identity>, owner: &str) -> Vec<Leftover> {
        let all = self.records.all().into_iter().filter(|(identity, _)| !known.contains(identity));
        let own = all.filter(|(_, record)| record.as_ref().is_none_or(|record| record.owner == owner));
        let mut own: Vec<(Identity, Option<Record>)> = own.collect();
        own.sort_by_key(|(_, record)| record.as_ref().map(|record| record.kind));
        let leftover = |(identity, record): (Identity, Option<Record>)| Leftover {
            kind: record.as_ref().map(|record| record.kind.name().to_owned()),
            name: record.and_then(|record| record.value.get_str("name").map(str::to_owned)),
            identity,
        };
        own.into_iter().map(leftover).collect()
    }

    /// Removes every object of an owner that is not among the known, and says of each what it was, or why it could not
    /// be removed.
    pub fn sweep(&self, known: &BTreeSet<Identity>, owner: &str) -> Vec<String> {
        let leftovers = self.leftovers(known, owner);
        leftovers.into_iter().filter_map(|leftover| self.sweep_one(&leftover, owner).transpose()).map(told).collect()
    }

    /// `None` where it turns out to be somebody else's, who is just making it.
    fn sweep_one(&self, leftover: &Leftover, owner: &str) -> Result<Option<String>, String> {
        let identity = &leftover.identity;
        let what = match (&leftover.kind, &leftover.name) {
            (Some(kind), Some(name)) => format!("{kind} `{name}` ({identity})"),
            (Some(kind), None) => format!("{kind} {identity}"),
            (None, _) => format!("what was left of {identity}"),
        };
        let failed = |failure: Failure| format!("could not remove {what}, of which no ledger knows: {failure}");
        let lock = match leftover.kind {
            Some(_) => Some(self.records.lock(identity).map_err(failed)?),
            None => self.records.attempt_lock(identity).map_err(failed)?,
        };
        let Some(lock) = lock else { return Ok(None) };
        let record = self.records.read(identity.as_str());
        if record.as_ref().is_some_and(|record| record.owner != owner) {
            return Ok(None);
        }
        for kind in Kind::ALL.into_iter().filter(|kind| record.as_ref().is_none_or(|record| record.kind == *kind)) {
            self.at_change(kind, || self.destroy(kind, identity, &lock)).and_then(|done| done).map_err(failed)?;
        }
        self.records.forget(identity, lock).map_err(failed)?;
        Ok(Some(format!("removed {what}, of which no ledger knows")))
    }

    /// Does something on the network of the servers, which in the realm of a user without root is not this machine's.
    pub(crate) fn on_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        realm::check(self.records.realm())?;
        match self.records.realm() {
            Some(realm) => realm.on_network(work),
            None => Ok(work()),
        }
    }

    /// Does something with objects of a kind on the network where they are.
    fn at_work<T: Send>(&self, kind: Kind, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        realm::check(self.records.realm())?;
        if kind.serves_the_machine() { Ok(work()) } else { self.on_network(work) }
    }

    /// Changes something of a kind on the network where its objects are. What is left of a realm that was lost ends before.
    fn at_change<T: Send>(&self, kind: Kind, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        realm::check(self.records.realm())?;
        self.records.realm().map_or(Ok(()), |realm| realm.end_lost(self.records.data()))?;
        self.at_work(kind, work)
    }

    fn ground<'a>(&'a self, lock: &'a Lock, disk: Option<&'a Path>) -> Ground<'a> {
        Ground { records: &self.records, spawner: &self.spawner, lock, disk, interrupt: &self.interrupt }
    }

    fn destroy(&self, kind: Kind, identity: &Identity, lock: &Lock) -> Result<(), Failure> {
        match kind {
            Kind::Network => network::delete(&self.records, lock, identity),
            Kind::Server => server::delete(&self.records, identity),
            Kind::Balancer => balancer::delete(&self.records, identity),
            Kind::Volume => volume::delete(&self.records, identity),
            Kind::Snapshot => snapshot::delete(&self.records, identity),
            Kind::Share => share::delete(&self.records, identity),
            Kind::Bucket => bucket::delete(&self.records, identity),
            Kind::Pool => self.delete_pool(identity),
            // A key is its record.
            Kind::Key => Ok(()),
        }
    }
}

fn told(said: Result<String, String>) -> String {
    said.unwrap_or_else(|problem| problem)
}
