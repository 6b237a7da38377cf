//! `lab_bucket`, as seen by whoever makes, asks and changes one. The store that serves buckets is [`crate::store`].
//!
//! Buckets with the same `listen` are served by one process, which is there for as long as one of them is. Its lock is
//! taken by whoever starts it, ends it, or changes what it serves.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use andon_schema::{Attribute, Exclusive, Failure, Format, Identity};
use andon_value::{Type, Value};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value as Json, json};

use crate::balancer::{control, refused};
use crate::cgroup::{Group, Hierarchies};
use crate::failure::OrFail;
use crate::helper;
use crate::kind::Kind;
use crate::lab::{Found, Made};
use crate::network::interface;
use crate::plan::complete;
use crate::records::{Lock, Record, Records, absent_is_fine};
use crate::service;
use crate::spec::format;
use crate::store::{self, Settings, not_empty, objects_in};

/// The attributes that cannot change in place.
pub(crate) const REPLACING: &[&str] = &["name"];
/// The attributes that change with others: that, and this.
pub(crate) const FOLLOWING: &[(&str, &str)] = &[("listen", "endpoint")];

/// How long a store may take to answer. It reads what is in a bucket when it looks at it first.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A bucket's name is one at its endpoint.
const AT_ENDPOINT: Exclusive = Exclusive { within: Some("listen"), ..Exclusive::SAME };

const NAME: Format = Format {
    name: "a bucket's name",
    example: "\"backups\"",
    check: |it| it.as_str().map_or(Ok(()), |text| bucket_name(text)),
};
const ACCESS_KEY: Format = Format {
    name: "an access key",
    example: "\"AKBACKUPS\"",
    check: |it| it.as_str().map_or(Ok(()), |text| key("access_key", text, 3)),
};
const SECRET_KEY: Format = Format {
    name: "a secret key",
    example: "var.secret_key",
    check: |it| it.as_str().map_or(Ok(()), |text| key("secret_key", text, 8)),
};

/// What it is for, and its attributes.
pub(crate) fn schema() -> (&'static str, Vec<(&'static str, Attribute)>) {
    let text = |what: &str| Attribute::optional_computed(Type::String, what);
    let attributes = vec![
        ("name", Attribute::required(Type::String, "The bucket's name. A change replaces the bucket.").format(NAME).exclusive(AT_ENDPOINT)),
        (
            "listen",
            text(
                "The address and port of this machine at which the bucket is served. Buckets with the same one share an \
                 endpoint, and have different names. Default: that of the project's other buckets on `127.0.0.1`, or a free port. For servers of a network, \
                 give the network's `gateway` and a port.",
            )
            .format(format::LISTEN),
        ),
        (
            "access_key",
            text("What a client names itself by. Default: one that is made. Buckets with the same one, and the same secret, are open to the same clients.")
                .format(ACCESS_KEY),
        ),
        ("secret_key", Attribute { sensitive: true, ..text("What a client signs by. Default: one that is made.").format(SECRET_KEY) }),
        ("versioning", Attribute::optional_computed(Type::Bool, "Whether older versions of objects are kept. Default `false`.")),
        (
            "force_destroy",
            Attribute::optional_computed(
                Type::Bool,
                "Whether the bucket is deleted with what is in it. Default `false`: one that is not empty is not deleted.",
            ),
        ),
        ("endpoint", Attribute::computed(Type::String, "The URL that clients are given, to be used with buckets in its path.")),
        ("running", Attribute::computed(Type::Bool, "Whether it is served. One that is not, as after a reboot, is served again by the next apply.")),
        ("id", Attribute::computed(Type::String, "The bucket's identity.")),
    ];
    ("Object storage on this machine: a bucket of the S3 protocol.", attributes)
}

/// What an attribute is where the user does not give it.
pub(crate) fn default(attribute: &str) -> Option<Value> {
    match attribute {
        "versioning" | "force_destroy" => Some(Value::from(false)),
        "running" => Some(Value::from(true)),
        _ => None,
    }
}

pub(crate) fn create(
    records: &Records,
    program: &Path,
    identity: &Identity,
    owner: &str,
    planned: &Value,
) -> Result<Made, Failure> {
    let _choosing = Lock::take(&records.path_of_lock("stores")).or_fail(|| "cannot lock the object stores".into())?;
    let listen = match planned.get_str("listen") {
        Some(text) => parse_listen(text)?,
        None => choose(records, identity, owner, planned).or_fail(|| "cannot find a free port".into())?,
    };
    let access_key = planned.get_str("access_key").map_or_else(|| random("AK", 18), |text| Ok(text.to_owned()))?;
    let secret_key = planned.get_str("secret_key").map_or_else(|| random("", 40), |text| Ok(text.to_owned()))?;
    let value = complete(
        planned,
        [
            ("listen", Value::from(listen.to_string())),
            ("access_key", Value::from(access_key)),
            ("secret_key", Value::from(secret_key)),
            ("endpoint", Value::from(format!("http://{listen}"))),
            ("running", Value::from(true)),
            ("id", Value::from(identity.as_str())),
        ],
    );
    records.write(identity, &Record::new(Kind::Bucket, owner, value.clone()))?;
    let directory = records.directory(Kind::Bucket, identity.as_str());
    let failed = || format!("cannot make {}", directory.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).or_fail(failed)?;
    check_name(records, identity, &value, listen)?;
    write(records, identity, &value)?;
    Store::of(records, listen)?.serve(program, records, identity)?;
    Ok(Made { value, notes: Vec::new() })
}

/// In place changes everything but its name.
pub(crate) fn update(
    records: &Records,
    program: &Path,
    identity: &Identity,
    record: &Record,
    planned: &Value,
) -> Result<Made, Failure> {
    let _choosing = Lock::take(&records.path_of_lock("stores")).or_fail(|| "cannot lock the object stores".into())?;
    let listen = |value: &Value| parse_listen(value.get_str("listen").unwrap_or_default());
    let (before, now) = (listen(&record.value)?, listen(planned)?);
    let value = complete(planned, [("endpoint", Value::from(format!("http://{now}"))), ("running", Value::from(true))]);
    check_name(records, identity, &value, now)?;
    records.write(identity, &Record { value: value.clone(), ..record.clone() })?;
    write(records, identity, &value)?;
    if before == now {
        Store::of(records, now)?.serve(program, records, identity)?;
        return Ok(Made { value, notes: Vec::new() });
    }
    let (from, to) = (Store::of(records, before)?, Store::of(records, now)?);
    // What one process knows of a bucket another one does not: the old one lets go of it first.
    from.look(identity)?;
    if let Err(failure) = to.serve(program, records, identity) {
        records.write(identity, record)?;
        write(records, identity, &record.value)?;
        to.leave(records, identity)?;
        from.look(identity)?;
        return Err(failure);
    }
    from.leave(records, identity)?;
    Ok(Made { value, notes: Vec::new() })
}

/// Refuses where something is in it, unless that is to be lost.
pub(crate) fn delete(records: &Records, identity: &Identity) -> Result<(), Failure> {
    let directory = records.directory(Kind::Bucket, identity.as_str());
    let record = records.read(identity.as_str()).filter(|record| record.kind == Kind::Bucket);
    let force =
        record.as_ref().and_then(|record| record.value.get("force_destroy")).and_then(Value::as_bool) == Some(true);
    let _choosing = Lock::take(&records.path_of_lock("stores")).or_fail(|| "cannot lock the object stores".into())?;
    let settings = Settings::read(&directory);
    if let Some(settings) = &settings {
        let store = Store::of(records, settings.listen)?;
        store.close(identity, force)?;
        let objects = objects_in(&directory);
        if !force && objects > 0 {
            return Err(not_empty(&settings.name, objects));
        }
        // Without its file it is nobody's: what a kill leaves of the rest is removed by the next delete.
        absent_is_fine(fs::remove_file(directory.join("bucket.json")))
            .or_fail(|| format!("cannot remove {}", directory.display()))?;
    }
    let listens =
        settings.map(|settings| settings.listen).or_else(|| parse_listen(record?.value.get_str("listen")?).ok());
    if let Some(listen) = listens {
        Store::of(records, listen)?.leave(records, identity)?;
    }
    absent_is_fine(fs::remove_dir_all(&directory)).or_fail(|| format!("cannot remove {}", directory.display()))?;
    if settings_of_all(records).is_empty() {
        // Its lock is held, so nobody takes it for theirs.
        absent_is_fine(fs::remove_file(records.path_of_lock("stores"))).or_fail(|| "cannot remove a lock".into())?;
    }
    Ok(())
}

/// The bucket as it is. Its objects are there whether it is served or not.
pub(crate) fn read(records: &Records, identity: &Identity, prior: &Value) -> Result<Option<Value>, Failure> {
    let directory = records.directory(Kind::Bucket, identity.as_str());
    let Some(settings) = Settings::read(&directory) else { return Ok(None) };
    let running = Store::of(records, settings.listen)?.serves(identity);
    Ok(Some(complete(prior, [("running", Value::from(running))])))
}

pub(crate) fn resolve(records: &Records, identity: &Identity, record: &Record) -> Result<Found, Failure> {
    Ok(read(records, identity, &record.value)?.map_or(Found::Partial, Found::Complete))
}

/// A bucket's name is one at its endpoint.
fn check_name(records: &Records, identity: &Identity, value: &Value, listen: SocketAddr) -> Result<(), Failure> {
    let name = value.get_str("name").unwrap_or_default();
    let others = settings_of_all(records).into_iter().filter(|(other, _)| other != identity.as_str());
    for (_, other) in others.filter(|(_, other)| other.listen == listen) {
        if other.name == name {
            return Err(store::taken(name, listen));
        }
    }
    Ok(())
}

/// Writes what the store reads.
fn write(records: &Records, identity: &Identity, value: &Value) -> Result<(), Failure> {
    let directory = records.directory(Kind::Bucket, identity.as_str());
    let text = |name: &str| value.get_str(name).unwrap_or_default().to_owned();
    let settings = Settings {
        name: text("name"),
        listen: parse_listen(&text("listen"))?,
        access_key: text("access_key"),
        secret_key: text("secret_key"),
        versioning: value.get("versioning").and_then(Value::as_bool) == Some(true),
        created_ms: Settings::read(&directory)
            .map_or_else(|| jiff::Timestamp::now().as_millisecond(), |settings| settings.created_ms),
    };
    let (path, unfinished) = (directory.join("bucket.json"), directory.join("bucket.new"));
    let written =
        File::options().create(true).write(true).truncate(true).mode(0o600).open(&unfinished).and_then(|mut file| {
            file.write_all(settings.to_json().to_string().as_bytes())?;
            file.sync_data()?;
            fs::rename(&unfinished, &path)
        });
    written.or_fail(|| format!("cannot write {}", path.display()))
}

/// Every bucket of this lab that has settings.
fn settings_of_all(records: &Records) -> Vec<(String, Settings)> {
    let folders = fs::read_dir(records.directory(Kind::Bucket, "")).into_iter().flatten().flatten();
    folders
        .filter_map(|folder| Some((folder.file_name().into_string().ok()?, Settings::read(&folder.path())?)))
        .collect()
}

/// The endpoint of the owner's other buckets on the loopback, or a free one: names are one at an endpoint, and owners know
/// nothing of each other's. One at which this bucket cannot be, such as that of the same one in another environment, is not
/// taken.
fn choose(records: &Records, identity: &Identity, owner: &str, value: &Value) -> io::Result<SocketAddr> {
    let is_own = |identity: &str| records.read(identity).is_some_and(|record| record.owner == owner);
    let others = settings_of_all(records).into_iter().filter(|(identity, _)| is_own(identity));
    let mut endpoints = others.map(|(_, settings)| settings.listen).collect::<BTreeSet<_>>().into_iter();
    let fits = |listen: &SocketAddr| {
        listen.ip() == Ipv4Addr::LOCALHOST && check_name(records, identity, value, *listen).is_ok()
    };
    match endpoints.find(fits) {
        Some(listen) => Ok(listen),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr(),
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().or_fail(|| format!("`{text}` is nothing to listen on"))
}

/// A random text of capital letters and digits.
fn random(prefix: &str, length: usize) -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = vec![0; length];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::new("cannot make a key", "The kernel gives no randomness."))?;
    let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter));
    Ok(prefix.chars().chain(letters).collect())
}

fn bucket_name(text: &str) -> Result<(), Failure> {
    let sound = (3..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && text.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        && text.parse::<Ipv4Addr>().is_err();
    if sound {
        return Ok(());
    }
    Err(Failure::new(
        format!("`{text}` is no name for a bucket"),
        "It has 3 to 63 small letters, digits, inner hyphens and dots, and does not look like an address.",
    ))
}

fn key(attribute: &str, text: &str, least: usize) -> Result<(), Failure> {
    let sound = (least..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'='));
    let sound = sound
        || (attribute == "secret_key"
            && (least..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic()));
    if sound {
        return Ok(());
    }
    Err(Failure::new(
        format!("this is no `{attribute}`"),
        format!("It has {least} to 128 letters, digits and signs, and no spaces."),
    ))
}

/// A store's process, from outside.
struct Store {
    directory: PathBuf,
    listen: SocketAddr,
    group: Group,
    name: String,
}

impl Store {
    fn of(records: &Records, listen: SocketAddr) -> Result<Store, Failure> {
        let directory = records.store(&listen.to_string());
        // Two labs of one machine have different directories, and so different groups.
        let name = interface("store-", &directory.display().to_string());
        Ok(Store { group: Hierarchies::find()?.group(&name), directory, listen, name })
    }

    /// Has a bucket served as its file says, by a process that is started where there is none.
    fn serve(&self, program: &Path, records: &Records, identity: &Identity) -> Result<(), Failure> {
        if self.ask(&json!({ "do": "status" })).is_err() {
            return self.start(program, records);
        }
        self.tell(&json!({ "do": "look", "identity": identity.as_str() }))
    }

    fn serves(&self, identity: &Identity) -> bool {
        let Ok(status) = self.ask(&json!({ "do": "status" })) else { return false };
        let buckets = status.get("buckets").and_then(Json::as_array);
        buckets.is_some_and(|buckets| buckets.iter().any(|bucket| bucket.as_str() == Some(identity.as_str())))
    }

    /// Has a bucket served no more; fails where something is in it that is not to be lost.
    fn close(&self, identity: &Identity, force: bool) -> Result<(), Failure> {
        if self.ask(&json!({ "do": "status" })).is_err() {
            return Ok(());
        }
        self.tell(&json!({ "do": "close", "identity": identity.as_str(), "force": force }))
    }

    /// A bucket is no longer served here: the last one ends the process.
    fn leave(&self, records: &Records, identity: &Identity) -> Result<(), Failure> {
        let others: BTreeSet<String> = settings_of_all(records)
            .into_iter()
            .filter(|(_, settings)| settings.listen == self.listen)
            .map(|(other, _)| other)
            .collect();
        if others.iter().all(|other| other == identity.as_str()) {
            self.group.destroy()?;
            return absent_is_fine(fs::remove_dir_all(&self.directory))
                .or_fail(|| format!("cannot remove {}", self.directory.display()));
        }
        self.look(identity)
    }

    /// Has a store that runs look at a bucket's file, and serve it as that says, or no more.
    fn look(&self, identity: &Identity) -> Result<(), Failure> {
        match self.ask(&json!({ "do": "status" })) {
            Ok(_) => self.tell(&json!({ "do": "look", "identity": identity.as_str() })),
            Err(_) => Ok(()),
        }
    }

    fn start(&self, program: &Path, records: &Records) -> Result<(), Failure> {
        // One that does not answer is of no use.
        self.group.destroy()?;
        self.group.create()?;
        fs::create_dir_all(&self.directory).or_fail(|| format!("cannot make {}", self.directory.display()))?;
        let network = records.realm().map(|realm| realm.network());
        let order =
            store::order(&self.name, self.listen, &self.directory, &records.directory(Kind::Bucket, ""), network);
        let log = self.directory.join("log");
        service::start(program, helper::STORE, &order, "the object store", Stdio::null(), &log)
    }

    fn tell(&self, order: &Json) -> Result<(), Failure> {
        let answer = self.ask(order).or_fail(|| "the object store does not answer".into())?;
        refused(&answer).map_or(Ok(()), Err)
    }

    fn ask(&self, order: &Json) -> io::Result<Json> {
        let directory = File::open(&self.directory)?;
        let mut stream = UnixStream::connect(control(&directory))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(format!("{order}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        serde_json::from_str(&answer).map_err(|_| io::Error::other("the object store ended before it answered"))
    }
}
