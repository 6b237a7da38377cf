//! What a balancer is asked and told through its control socket: a line of JSON each way.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use andon_schema::Failure;
use andon_value::Value;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::access::AccessLog;
use super::handover::{self, Inherited};
use super::listen::Listening;
use super::place;
use super::table::{Entry, Live, Shared};
use super::target::{Target, locked};
use super::tls;
use super::worker::Workers;
use crate::balancer::refusal;
use crate::balancer::schema::SETTINGS;
use crate::balancer::spec::{Access, BalancerSpec};
use crate::codec::from_json;
use crate::failure::{OrFail, sentence};
use crate::kind::Kind;
use crate::schema;
use crate::units::format_duration;

/// A balancer's settings, as they were given and as they are meant.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    given: Json,
    pub listen: SocketAddr,
    spec: BalancerSpec,
}

/// Where a balancer is to listen.
enum Place {
    Same,
    /// Where it listened before, and still does.
    Left(Listening),
    New(TcpListener),
}

/// An address that was left is given up when nobody has come there for so long.
const QUIET: Duration = Duration::from_secs(1);
/// The longest order that is read.
const ORDER_LIMIT: u64 = 4 << 20;

impl Settings {
    /// Of attributes as JSON.
    pub fn from_json(given: &Json) -> Result<Settings, Failure> {
        let schema = schema::schema(Kind::Balancer).block.attributes;
        let attribute = |name: &&str| {
            let attribute = schema.get(*name)?;
            Some(((*name).to_owned(), from_json(given.get(*name).unwrap_or(&Json::Null), &attribute.ty)))
        };
        let spec = BalancerSpec::decode(&Value::object(SETTINGS.iter().filter_map(attribute)))?;
        Ok(Settings { given: given.clone(), listen: spec.listen, spec })
    }

    /// These settings as clients meet them.
    fn live(&self, targets: impl IntoIterator<Item = Arc<Target>>) -> Live {
        let entry = |target: Arc<Target>| {
            let weight = self.spec.targets.get(&target.address).copied().unwrap_or_default();
            Entry { target, weight }
        };
        let tls = tls::acceptor(&self.spec.certificates, self.spec.mode);
        let entries = targets.into_iter().map(entry).collect();
        Live::new(self.spec.mode, self.spec.sticky, tls, self.spec.limits, entries)
    }

    /// Whether a target that is well by these settings may not be by the others.
    fn asks_otherwise(&self, other: &Settings) -> bool {
        let (one, other) = (&self.spec.health, &other.spec.health);
        (&one.path, &one.statuses) != (&other.path, &other.statuses)
    }
}

/// All that a balancer is.
struct Balancer {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    settings: Mutex<Settings>,
    listening: Mutex<Listening>,
    /// Addresses that were left, and at which some may still come.
    left: Mutex<Vec<Listening>>,
    /// Held while settings change, one change after another. What leaves by a change may take long, and keeps no other waiting.
    changing: tokio::sync::Mutex<()>,
    /// Targets of earlier settings that have not finished.
    leaving: Mutex<Vec<Arc<Target>>>,
}

/// What a process begins with.
pub(super) enum Start {
    /// No targets, and a socket of its own.
    New(Settings, TcpListener),
    /// What another one had.
    Inherited(Inherited),
}

/// Serves until the process is killed, or until another one has taken its place.
pub(super) async fn run(start: Start, control: std::os::unix::net::UnixListener) -> io::Result<()> {
    let balancer = match start {
        Start::New(settings, listener) => {
            eprintln!("listening on {}", settings.listen);
            Arc::new(Balancer::start(settings, listener)?)
        }
        Start::Inherited(inherited) => {
            eprintln!("taking over on {}", inherited.settings.listen);
            let listener = inherited.listener.try_clone()?;
            let balancer = Balancer::with_targets(inherited.settings.clone(), listener, &inherited.healthy)?;
            inherited.serves();
            Arc::new(balancer)
        }
    };
    let control = tokio::net::UnixListener::from_std(control)?;
    loop {
        match control.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(balancer.clone().answer(stream));
            }
            Err(error) => {
                eprintln!("cannot accept an order: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Balancer {
    /// One without targets, which serves clients of a socket.
    fn start(settings: Settings, listener: TcpListener) -> io::Result<Balancer> {
        let live = settings.live([]);
        Balancer::serve(settings, live, listener)
    }

    /// One that goes on with the targets of its settings, of which these are well.
    fn with_targets(settings: Settings, listener: TcpListener, healthy: &[SocketAddr]) -> io::Result<Balancer> {
        let targets = settings.spec.targets.keys().map(|address| {
            let target = Target::new(*address, settings.spec.health.clone());
            if healthy.contains(address) {
                target.observed(true, "it was well before this process began".to_owned());
            }
            target
        });
        // One that cannot be opened any more keeps nobody from being served.
        let access = settings.spec.access.as_ref().and_then(|access| AccessLog::open(access).ok().map(Arc::new));
        let live = settings.live(targets).with_access(access);
        Balancer::serve(settings, live, listener)
    }

    fn serve(settings: Settings, live: Live, listener: TcpListener) -> io::Result<Balancer> {
        let shared = Arc::new(Shared::new(live));
        let workers = Arc::new(Workers::start()?);
        let listening = Listening::start(listener, shared.clone(), workers.clone())?;
        Ok(Balancer {
            shared,
            workers,
            settings: Mutex::new(settings),
            listening: Mutex::new(listening),
            left: Mutex::new(Vec::new()),
            changing: tokio::sync::Mutex::new(()),
            leaving: Mutex::new(Vec::new()),
        })
    }

    async fn answer(self: Arc<Balancer>, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader.take(ORDER_LIMIT));
        let mut line = String::new();
        if reader.read_line(&mut line).await.is_err() {
            return;
        }
        let order: Json = serde_json::from_str(&line).unwrap_or_default();
        let answer = match order.get("do").and_then(Json::as_str) {
            Some("status") => self.status(),
            Some("hand_over") => return self.hand_over(reader, writer).await,
            Some("set") => match Settings::from_json(order.get("settings").unwrap_or(&Json::Null)) {
                Ok(settings) => {
                    let asker = (!order.get("at_once").is_some_and(|it| it == &Json::Bool(true)))
                        .then(|| reader.into_inner().into_inner());
                    match self.set(settings, asker).await {
                        Ok(notes) => json!({ "notes": notes }),
                        Err(failure) => refusal(&failure),
                    }
                }
                Err(failure) => refusal(&failure),
            },
            _ => refusal(&Failure::new("the balancer does not understand", "It is asked to `status` or to `set`.")),
        };
        let _ = writer.write_all(format!("{answer}\n").as_bytes()).await;
    }

    /// Gives the socket that clients come to, and what is done with them, to the process that asks. Once that one serves, this
    /// one finishes what was begun, and ends.
    async fn hand_over(&self, mut reader: BufReader<Take<OwnedReadHalf>>, mut writer: OwnedWriteHalf) {
        // Nothing changes in between.
        let _changing = self.changing.lock().await;
        let (drain, order) = {
            let (settings, live) = (locked(&self.settings), self.shared.live());
            let healthy = live.entries().iter().filter(|entry| entry.target.is_healthy());
            let healthy: Vec<String> = healthy.map(|entry| entry.target.address.to_string()).collect();
            (settings.spec.drain, json!({ "settings": settings.given, "healthy": healthy }))
        };
        // The way is new and empty, so that this does not have to wait.
        let given = locked(&self.listening).give(writer.as_ref());
        if given.is_err()
            || writer
                .write_all(
                    format!(
                        "{order}
"
                    )
                    .as_bytes(),
                )
                .await
                .is_err()
        {
            return;
        }
        let mut said = String::new();
        if reader.read_line(&mut said).await.is_err() || said.trim() != handover::SERVES {
            eprintln!("the process that was to take over is gone");
            return;
        }
        eprintln!("another process serves; finishing what was begun");
        locked(&self.listening).end();
        let start = Instant::now();
        while start.elapsed() < drain && (self.workers.open() > 0 || !locked(&self.left).is_empty()) {
            tokio::time::sleep(QUIET / 10).await;
        }
        eprintln!("{} clients are left", self.workers.open());
        std::process::exit(0);
    }

    fn status(&self) -> Json {
        let live = self.shared.live();
        let target = |target: &Arc<Target>, weight: u32| {
            json!({
                "address": target.address.to_string(),
                "weight": f64::from(weight) / 1000.0,
                "healthy": target.is_healthy(),
                "unwell_ms": target.unwell().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                "last": target.last_answer(),
                "open": target.open(),
                "counts": target.counts.to_json(),
            })
        };
        let targets: Json = live.entries().iter().map(|entry| target(&entry.target, entry.weight)).collect();
        let leaving: Json = locked(&self.leaving).iter().map(|leaving| target(leaving, 0)).collect();
        json!({
            "settings": locked(&self.settings).given,
            "targets": targets,
            "leaving": leaving,
            "connections": self.workers.open(),
            "counts": self.shared.counts.to_json(),
            "access_log": live.access.as_ref().map(|log| json!({ "file": log.access.path, "lost": log.lost() })),
        })
    }

    /// Changes the settings: new targets, and all targets where the check is a new one, are awaited, then all changes
    /// at once, then old targets are let go, those of earlier changes too. Nothing is changed where it fails, or where whoever asked is gone before
    /// new targets are healthy. Where nobody is named who asked, nothing is awaited: targets are as they were before, and may
    /// be ill as they were.
    async fn set(self: &Arc<Balancer>, new: Settings, asker: Option<OwnedReadHalf>) -> Result<Vec<String>, Failure> {
        let changing = self.changing.lock().await;
        let is_same = new.listen == locked(&self.settings).listen;
        let access = self.access(new.spec.access.as_ref())?;
        let place = if is_same { Place::Same } else { self.place(new.listen)? };
        let limit = new.spec.drain;
        self.change(new, place, access, asker).await?;
        drop(changing);
        Ok(self.let_go(limit).await)
    }

    /// The access log that is wanted: the one that there is, where that is no other.
    fn access(&self, wanted: Option<&Access>) -> Result<Option<Arc<AccessLog>>, Failure> {
        let Some(wanted) = wanted else { return Ok(None) };
        if let Some(log) = self.shared.live().access.clone().filter(|log| log.access == *wanted) {
            return Ok(Some(log));
        }
        let cannot = |error: io::Error| {
            let summary = format!("the access log {} cannot be written", wanted.path.display());
            Failure::new(summary, sentence(&error.to_string()))
                .help("Its directory must be there, and it must be a file or nothing yet.")
        };
        AccessLog::open(wanted).map(|log| Some(Arc::new(log))).map_err(cannot)
    }

    /// Changes the settings, to listen at a place. Targets that are to go are among those that leave then.
    async fn change(
        self: &Arc<Balancer>,
        new: Settings,
        place: Place,
        access: Option<Arc<AccessLog>>,
        asker: Option<OwnedReadHalf>,
    ) -> Result<(), Failure> {
        let old = locked(&self.settings).clone();
        let before: Vec<Arc<Target>> = self.shared.live().entries().iter().map(|entry| entry.target.clone()).collect();
        let wanted = &new.spec.targets;
        let (staying, leaving): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|target| wanted.contains_key(&target.address));
        let is_new = |address: &&SocketAddr| !staying.iter().any(|target| target.address == **address);
        let health = || new.spec.health.clone();
        let coming: Vec<Arc<Target>> =
            wanted.keys().filter(is_new).map(|address| Target::new(*address, health())).collect();
        // Those that serve go on only if they pass the new check, too.
        let asked_anew = new.asks_otherwise(&old);
        let serving = staying.iter().filter(|target| asked_anew && target.is_healthy());
        let probes: Vec<Arc<Target>> = serving.map(|target| Target::new(target.address, health())).collect();
        let awaited: Vec<Arc<Target>> = coming.iter().chain(&probes).cloned().collect();
        let healthy = match asker {
            Some(asker) => await_health(&awaited, &new, asker).await,
            None => Ok(()),
        };
        probes.iter().for_each(|probe| probe.discard());
        if let Err(failure) = healthy {
            coming.iter().for_each(|target| target.discard());
            if let Place::Left(listening) = place {
                self.leave(listening, old.spec.drain);
            }
            return Err(failure);
        }
        let listening = match place {
            Place::Same => None,
            Place::Left(listening) => Some(listening),
            Place::New(listener) => match Listening::start(listener, self.shared.clone(), self.workers.clone()) {
                Ok(listening) => Some(listening),
                Err(error) => {
                    coming.iter().for_each(|target| target.discard());
                    return Err(place::cannot_listen(new.listen, &error));
                }
            },
        };
        for target in &staying {
            target.set_health(health());
        }
        eprintln!("targets: {wanted:?}");
        self.shared.swap(new.live(staying.into_iter().chain(coming)).with_access(access));
        if let Some(listening) = listening {
            eprintln!("listening on {}", new.listen);
            self.leave(std::mem::replace(&mut *locked(&self.listening), listening), new.spec.drain);
        } else if new.spec.mode != old.spec.mode {
            locked(&self.listening).dismiss();
        }
        *locked(&self.settings) = new;
        locked(&self.leaving).extend(leaving);
        Ok(())
    }

    /// Where to listen from now on.
    fn place(&self, address: SocketAddr) -> Result<Place, Failure> {
        let mut left = locked(&self.left);
        if let Some(position) = left.iter().position(|left| left.address == address) {
            return Ok(Place::Left(left.swap_remove(position)));
        }
        let listening = locked(&self.listening);
        let beside = || left.iter().chain([&*listening]).filter(|other| other.address.port() == address.port());
        let listener = match place::bind(address) {
            // One of all addresses of this machine, and one of one of them, are in each other's way.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && beside().next().is_some() => {
                beside().for_each(|other| other.make_room(true));
                let listener = place::bind_beside(address);
                beside().for_each(|other| other.make_room(false));
                listener
            }
            listener => listener,
        };
        let listener = listener.map_err(|error| place::cannot_listen(address, &error))?;
        listener.set_nonblocking(true).or_fail(|| format!("cannot listen on {address}"))?;
        Ok(Place::New(listener))
    }

    /// Leaves an address, perhaps again, once nobody comes there any more: clients learn of the new one later than this process.
    fn leave(self: &Arc<Balancer>, listening: Listening, limit: Duration) {
        let address = listening.address;
        listening.dismiss();
        locked(&self.left).push(listening);
        let (balancer, start) = (self.clone(), Instant::now());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(QUIET / 10).await;
                let mut left = locked(&balancer.left);
                let Some(position) = left.iter().position(|left| left.address == address) else { return };
                let is_quiet = left.get(position).is_some_and(|left| left.quiet() >= QUIET);
                if start.elapsed() >= limit || (is_quiet && start.elapsed() >= QUIET) {
                    left.swap_remove(position);
                    eprintln!("no longer listening on {address}");
                    return;
                }
            }
        });
    }

    /// Waits until all that leave have finished, or the time is over. Where others wait for them as well, the shortest time
    /// counts.
    async fn let_go(&self, limit: Duration) -> Vec<String> {
        let leaving = locked(&self.leaving).clone();
        let tasks: Vec<_> = leaving
            .into_iter()
            .map(|target| tokio::spawn(async move { (target.leave(limit).await, target) }))
            .collect();
        let mut notes = Vec::new();
        for task in tasks {
            let Ok((cut, target)) = task.await else { continue };
            let address = target.address;
            locked(&self.leaving).retain(|other| !Arc::ptr_eq(other, &target));
            eprintln!("{address} has left, {cut} open requests were cut");
            if cut > 0 {
                let limit = format_duration(limit);
                notes.push(format!("{address} had {cut} open requests after {limit} (`drain`); they were cut."));
            }
        }
        notes
    }
}

/// Waits until all are healthy. What came so far is told where the time is over.
async fn await_health(coming: &[Arc<Target>], settings: &Settings, mut asker: OwnedReadHalf) -> Result<(), Failure> {
    let all = async {
        for target in coming {
            target.becomes_healthy().await;
        }
    };
    let limit = settings.spec.wait;
    let awaited = tokio::select! {
        awaited = timeout(limit, all) => awaited.is_ok(),
        _ = asker.read_u8() => return Err(Failure::new("the change was given up", "Whoever asked for it is gone.")),
    };
    if awaited {
        return Ok(());
    }
    let ill: Vec<String> = coming
        .iter()
        .filter(|target| !target.is_healthy())
        .map(|target| format!("{}: {}.", target.address, target.last_answer()))
        .collect();
    let summary = format!("targets are not healthy after {}", format_duration(limit));
    Err(Failure::new(summary, ill.join("\n"))
        .help("Look into these servers. Requests go where they went before. Where servers need longer, raise `wait`."))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn settings(listen: &str, targets: &[&str]) -> Settings {
        Settings::from_json(&json!({ "listen": listen, "targets": targets })).unwrap()
    }

    #[tokio::test]
    async fn who_waits_for_what_leaves_keeps_no_other_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let balancer = Arc::new(Balancer::start(settings(&here, &[]), listener).unwrap());
        balancer.set(settings(&here, &["127.0.0.1:1"]), None).await.unwrap();
        let open = balancer.shared.live().entries()[0].target.begin().unwrap();
        // Whoever asks for this is gone before the request is.
        let first = tokio::spawn({
            let (balancer, new) = (balancer.clone(), settings(&here, &["127.0.0.1:2"]));
            async move { balancer.set(new, None).await }
        });
        while balancer.status()["leaving"][0]["open"] != 1 {
            tokio::task::yield_now().await;
        }
        let mut new = settings(&here, &["127.0.0.1:3"]);
        new.spec.drain = Duration::from_millis(20);
        let notes = balancer.set(new, None).await.unwrap();
        assert!(matches!(&*notes, [note] if note.starts_with("127.0.0.1:1 had 1 open")), "{notes:?}");
        open.target().is_cut().await;
        drop(open);
        assert_eq!(first.await.unwrap().unwrap(), Vec::<String>::new());
        assert_eq!(balancer.status()["leaving"], json!([]));
        assert_eq!(balancer.status()["targets"][0]["address"], "127.0.0.1:3");
    }

    #[tokio::test]
    async fn who_cannot_listen_changes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let balancer = Arc::new(Balancer::start(settings(&here, &[]), listener).unwrap());
        balancer.set(settings(&here, &["127.0.0.1:1"]), None).await.unwrap();
        let before = balancer.status();
        // A socket that is none.
        let none = TcpListener::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        let new = settings("127.0.0.1:2", &["127.0.0.1:3"]);
        let failure = balancer.change(new, Place::New(none), None, None).await.unwrap_err();
        assert!(failure.summary.contains("cannot listen on 127.0.0.1:2"), "{failure}");
        let after = balancer.status();
        for part in ["settings", "leaving"] {
            assert_eq!(after[part], before[part], "{part}");
        }
        assert_eq!(after["targets"][0]["address"], "127.0.0.1:1");
        assert_eq!(after["targets"].as_array().unwrap().len(), 1);
        assert!(locked(&balancer.left).is_empty());
        std::net::TcpStream::connect(here).unwrap();
    }
}
