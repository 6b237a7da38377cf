//! On which network a balancer listens.
//!
//! In the realm of a user without root, clients are on this machine's network and targets are on that of the servers.
//! Nobody in the realm may go back to this machine's network, so one thread stays there and opens sockets for the others.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel, sync_channel};

use andon_schema::Failure;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind as bind_to, listen, setsockopt, socket, sockopt,
};

use crate::{balancer, machine};

type Bind = fn(SocketAddr) -> io::Result<TcpListener>;
type Errand = Box<dyn FnOnce() + Send>;

static CLIENTS: OnceLock<Sender<Errand>> = OnceLock::new();

/// Takes the calling thread, and those that it starts, to the network of the servers. Clients go on to come from where it
/// was before.
pub(super) fn go_to(network: &Path) -> io::Result<()> {
    let (asks, asked) = channel::<Errand>();
    std::thread::Builder::new().name("listens".into()).spawn(move || {
        while let Ok(errand) = asked.recv() {
            errand();
        }
    })?;
    let _ = CLIENTS.set(asks);
    let network = std::fs::File::open(network)?;
    Ok(nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET)?)
}

/// Opens a socket where clients are; at an address that only the servers' network has, it is there.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bind_by(TcpListener::bind, address)
}

/// The same at an address of which sockets beside it may have made room, as [`share_address`] does.
pub(super) fn bind_beside(address: SocketAddr) -> io::Result<TcpListener> {
    bind_by(beside, address)
}

/// Sets whether a socket shares its address with others of the same user that do so, too (socket(7), `SO_REUSEPORT`).
pub(super) fn share_address(listener: &TcpListener, shares: bool) {
    // Only an address that is taken comes of it.
    let _ = setsockopt(listener, sockopt::ReusePort, &shares);
}

fn beside(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    bind_to(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::MAXCONN)?;
    let listener = TcpListener::from(socket);
    share_address(&listener, false);
    Ok(listener)
}

/// Why an address cannot be listened on: of one that is taken, who has it.
pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let look = move || machine::listener(address);
    balancer::cannot_listen(address, error, || among_clients(look).and_then(Result::ok).flatten().or_else(look))
}

fn bind_by(bind: Bind, address: SocketAddr) -> io::Result<TcpListener> {
    match among_clients(move || bind(address)).map(|bound| bound.and_then(|bound| bound)) {
        None => bind(address),
        Some(Err(error)) if error.kind() == io::ErrorKind::AddrNotAvailable => bind(address),
        Some(bound) => bound,
    }
}

/// Does something where clients are; `None` where that is no other network than this thread's. Fails where nobody is left
/// there.
fn among_clients<T: Send + 'static>(errand: impl FnOnce() -> T + Send + 'static) -> Option<io::Result<T>> {
    let clients = CLIENTS.get()?;
    let (answer, answered) = sync_channel(1);
    // Whoever asked waits for the answer.
    let sent = clients.send(Box::new(move || drop(answer.send(errand()))));
    let done = sent.ok().and_then(|()| answered.recv().ok());
    Some(done.ok_or_else(|| io::Error::other("nobody is left on the network of the clients")))
}
