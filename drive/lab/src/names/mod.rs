//! The names of a network: a process that answers questions for them at the network's gateway, over UDP and TCP.
//!
//! A server `web-0` of the network `app` is `web-0.app.lab`, and plain `web-0` inside that network. Networks of the same
//! environment of a project know each other's names. What does not end in `.lab` is asked of this machine's own resolvers.
//!
//! As it is there for as long as the network's servers are, it keeps their consoles short, too ([`crate::console`]).

mod book;
mod message;
mod search;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use andon_schema::{Failure, Identity};
use ipnet::Ipv4Net;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::cgroup::Hierarchies;
use crate::console;
use crate::failure::OrFail;
use crate::helper;
use crate::kind::Kind;
use crate::network::Range;
use crate::records::{Records, absent_is_fine};
use crate::service::{self, Work};
use book::{Book, Meaning};
use message::{A, ANY, Answer, Code, PTR, Question};

pub(crate) use book::network_label;
pub(crate) use search::{follow, is_own};

const PORT: u16 = 53;
/// How long another resolver may take, and how many questions wait for one at a time.
const PATIENCE: Duration = Duration::from_secs(3);
const WAITING: usize = 256;
/// How long a client may be silent on a connection.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest answer over UDP that anybody takes.
const DATAGRAM: usize = 65_535;

/// What the process of a network's names answers with.
struct Names {
    records: Records,
    /// The network.
    identity: String,
    /// Whom it answers.
    net: Ipv4Net,
    book: Mutex<Book>,
    /// The resolver of a realm, which has none of this machine's.
    outside: Option<IpAddr>,
    /// Taken for each question that another resolver is asked.
    waiting: Semaphore,
}

/// Starts the names of a network, unless they are answered already. Gives what is to be said where they cannot be: the
/// network is one without names then.
pub(crate) fn start(
    records: &Records,
    program: &Path,
    identity: &Identity,
    range: &Range,
) -> Result<Vec<String>, Failure> {
    if serve(identity)? {
        return Ok(Vec::new());
    }
    let directory = records.directory(Kind::Network, identity.as_str());
    fs::create_dir_all(&directory).or_fail(|| format!("cannot make {}", directory.display()))?;
    Hierarchies::find()?.group(identity.as_str()).create()?;
    let order = json!({
        "identity": identity.as_str(),
        "gateway": range.gateway.to_string(),
        "net": range.net.to_string(),
        "data": records.data(),
        "outside": records.realm().and_then(|realm| realm.outside().ok().map(|it| it.to_string())),
    });
    let log = directory.join("names.log");
    // Before they are there: a kill in between leaves a network that is not up, and not one without names.
    let mark = mark(records, identity);
    fs::write(&mark, "").or_fail(|| format!("cannot write {}", mark.display()))?;
    let Err(failure) = service::start(program, helper::NAMES, &order, "the network's names", Stdio::null(), &log)
    else {
        return Ok(Vec::new());
    };
    stop(records, identity)?;
    Ok(vec![format!(
        "The servers of the network {identity} have no names of the lab: {}: {}",
        failure.summary, failure.detail
    )])
}

/// Ends them.
pub(crate) fn stop(records: &Records, identity: &Identity) -> Result<(), Failure> {
    Hierarchies::find()?.group(identity.as_str()).destroy()?;
    let mark = mark(records, identity);
    absent_is_fine(fs::remove_file(&mark)).or_fail(|| format!("cannot remove {}", mark.display()))
}

/// Whether they are as they should be: answered, or never to be.
pub(crate) fn are_sound(records: &Records, identity: &Identity) -> Result<bool, Failure> {
    Ok(!mark(records, identity).exists() || serve(identity)?)
}

/// The content of `/etc/resolv.conf` of a network's server: the gateway where that answers, else what this machine has.
pub(crate) fn resolvers(records: &Records, network: &str, gateway: Ipv4Addr) -> String {
    let (Some(identity), Some(record)) = (Identity::parse(network), records.read(network)) else {
        return crate::machine::resolvers();
    };
    if !mark(records, &identity).exists() {
        return crate::machine::resolvers();
    }
    format!("nameserver {gateway}\nsearch {}.lab\n", network_label(network, &record))
}

/// Whether a network's gateway answers with a server's address for its name; `None` where the network has no names.
pub(crate) fn knows(records: &Records, network: &str, name: &str, address: Ipv4Addr) -> Option<bool> {
    let (identity, record) = (Identity::parse(network)?, records.read(network)?);
    if !mark(records, &identity).exists() {
        return None;
    }
    let gateway: Ipv4Addr = record.value.get_str("gateway")?.parse().ok()?;
    let question = message::ask(std::process::id() as u16, &format!("{name}.{}.lab", network_label(network, &record)));
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((gateway, PORT))?;
        socket.send(&question)?;
        let mut answer = vec![0; DATAGRAM];
        let count = socket.recv(&mut answer)?;
        answer.truncate(count);
        Ok::<_, io::Error>(answer)
    };
    let addresses = ask().ok().and_then(|answer| message::addresses(&question, &answer));
    Some(addresses.is_some_and(|addresses| addresses.contains(&address)))
}

/// What says that a network has names.
fn mark(records: &Records, identity: &Identity) -> PathBuf {
    records.directory(Kind::Network, identity.as_str()).join("names")
}

fn serve(identity: &Identity) -> Result<bool, Failure> {
    Ok(Hierarchies::find()?.group(identity.as_str()).find(|_| true).is_some())
}

/// The hidden command.
pub(crate) fn helper(order: &str) -> i32 {
    service::helper(order, c"andon-names", begin)
}

fn begin(order: &Json) -> Result<Work, Failure> {
    let text = |name: &str| order.get(name).and_then(Json::as_str).unwrap_or_default();
    let failed = || "cannot answer for the network's names".to_owned();
    let gateway: Ipv4Addr = text("gateway").parse().or_fail(failed)?;
    let net: Ipv4Net = text("net").parse().or_fail(failed)?;
    Hierarchies::find()?.group(text("identity")).enter_as_service().or_fail(failed)?;
    let place = SocketAddr::from((gateway, PORT));
    let taken = || format!("cannot listen on {place}");
    let (datagrams, listener) = (UdpSocket::bind(place).or_fail(taken)?, TcpListener::bind(place).or_fail(taken)?);
    datagrams.set_nonblocking(true).and_then(|()| listener.set_nonblocking(true)).or_fail(failed)?;
    let records = Records::new(text("data").into());
    let book = Mutex::new(Book::new(records.clone(), text("identity")));
    let identity = text("identity").to_owned();
    let names = Arc::new(Names {
        records,
        identity,
        net,
        book,
        outside: text("outside").parse().ok(),
        waiting: Semaphore::new(WAITING),
    });
    Ok(Box::new(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(names.run(datagrams, listener))
    }))
}

impl Names {
    async fn run(self: Arc<Names>, datagrams: UdpSocket, listener: TcpListener) -> io::Result<()> {
        let datagrams = Arc::new(tokio::net::UdpSocket::from_std(datagrams)?);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut buffer = vec![0; DATAGRAM];
        let mut look = tokio::time::interval(console::PAUSE);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.shorten_consoles(),
                came = datagrams.recv_from(&mut buffer) => {
                    let Ok((count, from)) = came else { continue };
                    if !self.is_ours(from) {
                        continue;
                    }
                    let question = buffer.get(..count).unwrap_or_default().to_vec();
                    let (names, datagrams) = (Arc::clone(&self), Arc::clone(&datagrams));
                    tokio::spawn(async move {
                        if let Some(answer) = names.answer(&question, false).await {
                            let _ = datagrams.send_to(&answer, from).await;
                        }
                    });
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) if self.is_ours(from) => drop(tokio::spawn(Arc::clone(&self).converse(stream))),
                    Ok(_) => {}
                    Err(error) => {
                        eprintln!("cannot accept a connection: {error}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
            }
        }
    }

    /// Keeps short what the network's servers wrote to their consoles: no other process is there for as long as they are.
    fn shorten_consoles(&self) {
        let folder = self.records.directory(Kind::Network, &self.identity).join("addresses");
        for (_, server) in crate::address::holders(&folder) {
            console::shorten_in(&self.records.directory(Kind::Server, &server));
        }
    }

    fn is_ours(&self, from: SocketAddr) -> bool {
        // This machine's own questions come by way of its loopback.
        matches!(from.ip(), IpAddr::V4(from) if from.is_loopback() || self.net.contains(&from))
    }

    /// Answers the questions of a connection, each with its length before it (RFC 1035, section 4.2.2).
    async fn converse(self: Arc<Names>, mut stream: tokio::net::TcpStream) {
        loop {
            let mut length = [0; 2];
            let Ok(Ok(_)) = timeout(SILENCE, stream.read_exact(&mut length)).await else { return };
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            let Ok(Ok(_)) = timeout(SILENCE, stream.read_exact(&mut question)).await else { return };
            let Some(answer) = self.answer(&question, true).await else { return };
            let Ok(length) = u16::try_from(answer.len()) else { return };
            let answer = [&length.to_be_bytes(), &*answer].concat();
            let Ok(Ok(())) = timeout(SILENCE, stream.write_all(&answer)).await else { return };
        }
    }

    /// The answer to a message; `None` where there is none to give.
    async fn answer(&self, message: &[u8], by_connection: bool) -> Option<Vec<u8>> {
        let question = match message::read(message) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        if let Some(answer) = self.own(&question) {
            return Some(answer);
        }
        let Ok(_waits) = self.waiting.try_acquire() else {
            return Some(message::write(&question, Code::Failed, false, &[]));
        };
        let resolvers = self.outside.map_or_else(crate::machine::own_resolvers, |outside| vec![outside]);
        for resolver in resolvers {
            let asked = async {
                match by_connection {
                    true => by_tcp(resolver, message).await,
                    false => by_udp(resolver, message).await,
                }
            };
            if let Ok(Ok(answer)) = timeout(PATIENCE, asked).await {
                return Some(answer);
            }
        }
        Some(message::write(&question, Code::Failed, false, &[]))
    }

    /// The answer to what only the lab knows; `None` for what others do.
    fn own(&self, question: &Question) -> Option<Vec<u8>> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = |code, answers: &[Answer]| Some(message::write(question, code, true, answers));
        if let Some(address) = message::reversed(&question.name) {
            return match book.name(address) {
                Meaning::Is(name) if matches!(question.kind, PTR | ANY) => {
                    answer(Code::Done, &[Answer::Name(name.to_owned())])
                }
                Meaning::Is(_) => answer(Code::Done, &[]),
                Meaning::Nobodys => answer(Code::NoSuchName, &[]),
                Meaning::Foreign => None,
            };
        }
        match book.addresses(&question.name) {
            Meaning::Is(addresses) if matches!(question.kind, A | ANY) => {
                let answers: Vec<Answer> = addresses.iter().map(|address| Answer::Address(*address)).collect();
                answer(Code::Done, &answers)
            }
            // It is there, and has no record of this kind.
            Meaning::Is(_) => answer(Code::Done, &[]),
            Meaning::Nobodys => answer(Code::NoSuchName, &[]),
            Meaning::Foreign => None,
        }
    }
}

async fn by_udp(resolver: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    // Only what comes from there is read.
    socket.connect((resolver, PORT)).await?;
    socket.send(question).await?;
    let mut answer = vec![0; DATAGRAM];
    loop {
        let count = socket.recv(&mut answer).await?;
        if answer.get(..2) == question.get(..2) {
            answer.truncate(count);
            return Ok(answer);
        }
    }
}

async fn by_tcp(resolver: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = tokio::net::TcpStream::connect((resolver, PORT)).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
