//! An object store's own process: buckets of the S3 protocol on one address.
//!
//! It outlives whoever started it. What its buckets are is on disk, in a file for each; a line on its control socket has
//! it look at one of them anew. Everything that clients know of is on disk before they are answered.

mod body;
mod bucket;
mod disk;
mod failure;
mod http;
mod multipart;
mod object;
mod presigned;
mod sign;
mod sums;
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use andon_schema::Failure;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::aside::aside;
use crate::balancer::{cannot_listen, refusal};
use crate::cgroup::Hierarchies;
use crate::failure::OrFail;
use crate::machine;
use crate::service::{self, Work};
use failure::{Answer, Refusal};
use sign::Credentials;

/// The longest order that is read.
const ORDER_LIMIT: u64 = 1 << 16;
/// How long a client may take to say what it wants.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// How long a client that was answered may go on sending: in all, and without sending anything.
const LINGER: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));

/// What a process is to be a store for.
#[derive(Debug, Clone)]
struct Order {
    group: String,
    listen: SocketAddr,
    /// Where its control socket is.
    directory: PathBuf,
    /// Where the buckets are, those of other stores too.
    buckets: PathBuf,
    /// In the realm of a user without root, the network of the servers, where the gateways of networks are.
    network: Option<PathBuf>,
}

/// What a bucket is, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub name: String,
    pub listen: SocketAddr,
    pub access_key: String,
    pub secret_key: String,
    pub versioning: bool,
    pub created_ms: i64,
}

/// A bucket that is served.
#[derive(Debug)]
struct Bucket {
    identity: String,
    name: String,
    opened_by: Credentials,
    versioning: bool,
    created_ms: i64,
    disk: Arc<disk::Disk>,
}

/// All that is served.
struct Store {
    order: Order,
    /// By name.
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
}

impl Settings {
    /// The settings of a bucket's directory, if it has any.
    pub fn read(directory: &Path) -> Option<Settings> {
        let json: Json = serde_json::from_slice(&fs::read(directory.join("bucket.json")).ok()?).ok()?;
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Settings {
            name: text("name")?,
            listen: text("listen")?.parse().ok()?,
            access_key: text("access_key")?,
            secret_key: text("secret_key")?,
            versioning: json.get("versioning")?.as_bool()?,
            created_ms: json.get("created_ms")?.as_i64()?,
        })
    }

    pub fn to_json(&self) -> Json {
        json!({
            "name": self.name, "listen": self.listen.to_string(), "access_key": self.access_key,
            "secret_key": self.secret_key, "versioning": self.versioning, "created_ms": self.created_ms,
        })
    }
}

/// The order for a store, as the hidden command takes it.
pub(crate) fn order(
    group: &str,
    listen: SocketAddr,
    directory: &Path,
    buckets: &Path,
    network: Option<PathBuf>,
) -> Json {
    json!({
        "group": group, "listen": listen.to_string(), "directory": directory, "buckets": buckets, "network": network,
    })
}

/// The hidden command; see [`service::helper`].
pub(crate) fn helper(order: &str) -> i32 {
    service::helper(order, c"andon-store", begin)
}

fn begin(order: &Json) -> Result<Work, Failure> {
    let failed = || "cannot set the object store up".to_owned();
    let order = Order::from_json(order).ok_or_else(|| Failure::new(failed(), "It was not told what to be."))?;
    Hierarchies::find()?.group(&order.group).enter().or_fail(failed)?;
    let listener =
        bind(&order).map_err(|error| cannot_listen(order.listen, &error, || machine::listener(order.listen)))?;
    listener.set_nonblocking(true).or_fail(failed)?;
    let control = service::control_socket(&order.directory)?;
    let store = Store { order, buckets: Mutex::default() };
    for folder in fs::read_dir(&store.order.buckets).or_fail(failed)?.flatten() {
        if let Some(identity) = folder.file_name().to_str() {
            store.look_at(identity)?;
        }
    }
    Ok(Box::new(move || run(&Arc::new(store), listener, control)))
}

/// Opens the socket on this machine; at an address that only the servers' network has, it is there.
fn bind(order: &Order) -> io::Result<TcpListener> {
    let (bound, network) = (TcpListener::bind(order.listen), order.network.as_ref());
    match (bound, network) {
        (Err(error), Some(network)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let network = fs::File::open(network)?;
            let there = || {
                nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET)?;
                TcpListener::bind(order.listen)
            };
            // Nothing but the socket goes there: clients of this machine, and the rest of this process, stay here.
            aside(there)
        }
        (bound, _) => bound,
    }
}

fn run(store: &Arc<Store>, listener: TcpListener, control: UnixListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control = tokio::net::UnixListener::from_std(control)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted.map(|(stream, _)| drop(tokio::spawn(store.clone().serve(stream)))),
                accepted = control.accept() => accepted.map(|(stream, _)| drop(tokio::spawn(store.clone().obey(stream)))),
            };
            if let Err(error) = accepted {
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
}

impl Store {
    /// Serves one connection.
    async fn serve(self: Arc<Store>, stream: tokio::net::TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| http::answer(self.clone(), request));
        let mut connection = http1::Builder::new();
        connection.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
        // A client that goes away in the middle is no matter of ours.
        let served = connection.serve_connection(TokioIo::new(stream), service).without_shutdown().await;
        if let Ok(parts) = served {
            linger(parts.io.into_inner()).await;
        }
    }

    /// Answers one order.
    async fn obey(self: Arc<Store>, stream: tokio::net::UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        if BufReader::new(reader.take(ORDER_LIMIT)).read_line(&mut line).await.is_err() {
            return;
        }
        let order: Json = serde_json::from_str(&line).unwrap_or_default();
        let text = |name: &str| order.get(name).and_then(Json::as_str).unwrap_or_default();
        let answer = match text("do") {
            "status" => {
                let buckets = self.buckets().values().map(|bucket| bucket.identity.clone()).collect::<Vec<_>>();
                json!({ "buckets": buckets })
            }
            "look" => self.look_at(text("identity")).map_or_else(|failure| refusal(&failure), |()| json!({})),
            "close" => self.close(text("identity"), order.get("force").and_then(Json::as_bool) == Some(true)),
            _ => refusal(&Failure::new(
                "the store does not understand",
                "It is asked for its `status`, to `look` and to `close`.",
            )),
        };
        let _ = writer.write_all(format!("{answer}\n").as_bytes()).await;
    }

    /// Serves a bucket as its file has it now, or no more where that is another store's or none.
    fn look_at(&self, identity: &str) -> Result<(), Failure> {
        let directory = self.order.buckets.join(identity);
        let settings = Settings::read(&directory).filter(|settings| settings.listen == self.order.listen);
        let mut buckets = self.buckets();
        let before = buckets.values().find(|bucket| bucket.identity == identity).cloned();
        let Some(settings) = settings else {
            if let Some(bucket) = before {
                bucket.disk.close();
            }
            buckets.retain(|_, bucket| bucket.identity != identity);
            return Ok(());
        };
        if buckets.get(&settings.name).is_some_and(|bucket| bucket.identity != identity) {
            return Err(taken(&settings.name, settings.listen));
        }
        let disk = match before {
            Some(bucket) => bucket.disk.clone(),
            None => Arc::new(
                disk::Disk::open(&directory).or_fail(|| format!("cannot open the bucket `{}`", settings.name))?,
            ),
        };
        buckets.retain(|_, bucket| bucket.identity != identity);
        let Settings { name, access_key, secret_key, versioning, created_ms, .. } = settings;
        let bucket = Bucket {
            identity: identity.to_owned(),
            name: name.clone(),
            opened_by: Credentials { access_key, secret_key },
            versioning,
            created_ms,
            disk,
        };
        buckets.insert(name, Arc::new(bucket));
        Ok(())
    }

    /// Serves a bucket no more, unless something is in it.
    fn close(&self, identity: &str, force: bool) -> Json {
        let mut buckets = self.buckets();
        let bucket = buckets.values().find(|bucket| bucket.identity == identity).cloned();
        if let Some(bucket) = bucket.filter(|bucket| !force && !bucket.disk.is_empty()) {
            return refusal(&not_empty(&bucket.name, bucket.disk.len()));
        }
        if let Some(bucket) = buckets.values().find(|bucket| bucket.identity == identity) {
            bucket.disk.close();
        }
        buckets.retain(|_, bucket| bucket.identity != identity);
        json!({})
    }

    /// The secrets of an access key: one, or more while it changes.
    fn secrets(&self, access_key: &str) -> Vec<String> {
        let buckets = self.buckets();
        let opened = buckets.values().map(|bucket| &bucket.opened_by).filter(|by| by.access_key == access_key);
        let secrets: BTreeSet<&String> = opened.map(|by| &by.secret_key).collect();
        secrets.into_iter().cloned().collect()
    }

    /// A bucket, for whoever has its access key, and its secret.
    fn bucket(&self, name: &str, by: &Credentials) -> Answer<Arc<Bucket>> {
        let bucket = self.buckets().get(name).cloned();
        let bucket = bucket.ok_or_else(|| Refusal::no_bucket("The specified bucket does not exist"))?;
        let is_opened = bucket.opened_by == *by;
        if is_opened { Ok(bucket) } else { Err(Refusal::access_denied("The access key is that of another bucket.")) }
    }

    fn buckets_of(&self, by: &Credentials) -> Vec<Arc<Bucket>> {
        self.buckets().values().filter(|bucket| bucket.opened_by == *by).cloned().collect()
    }

    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Bucket>>> {
        self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Ends a connection whose client may still be sending what was refused. To hang up on it would take the answer away that it
/// has not read yet (RFC 9112, section 9.6).
async fn linger(mut stream: tokio::net::TcpStream) {
    let _ = stream.shutdown().await;
    let mut waste = vec![0; 64 << 10];
    let all = async { while let Ok(Ok(1..)) = timeout(LINGER.1, stream.read(&mut waste)).await {} };
    let _ = timeout(LINGER.0, all).await;
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    sums::sha256(bytes)
}

/// Why a bucket cannot have its name.
pub(crate) fn taken(name: &str, listen: SocketAddr) -> Failure {
    Failure::new(format!("there is a bucket `{name}` already"), format!("Another bucket at {listen} has that name."))
        .help("Give one of them another `name`, or another `listen`.")
        .about("name")
}

/// Why a bucket is not deleted.
pub(crate) fn not_empty(name: &str, objects: usize) -> Failure {
    let objects = if objects == 1 { "One object is".to_owned() } else { format!("{objects} objects are") };
    Failure::new(format!("the bucket `{name}` is not empty"), format!("{objects} in it."))
        .help("Remove them first, or set `force_destroy = true`, apply that, and delete the bucket then.")
}

/// How many objects are in a bucket that nobody serves.
pub(crate) fn objects_in(directory: &Path) -> usize {
    let folders = fs::read_dir(directory.join("objects")).into_iter().flatten().flatten();
    folders.map(|folder| fs::read_dir(folder.path()).into_iter().flatten().count()).sum()
}

impl Order {
    fn from_json(json: &Json) -> Option<Order> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        Some(Order {
            group: text("group")?.to_owned(),
            listen: text("listen")?.parse().ok()?,
            directory: text("directory")?.into(),
            buckets: text("buckets")?.into(),
            network: text("network").map(PathBuf::from),
        })
    }
}
