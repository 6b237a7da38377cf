//! On which network a balancer listens.
//!
//! In the realm of a user without root, clients are on this machine's network and targets are on that of the servers.
//! Nobody in the realm may go back to this machine's network, so one thread stays there and opens sockets for the others.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

type Asked = (SocketAddr, SyncSender<io::Result<TcpListener>>);

static CLIENTS: OnceLock<Sender<Asked>> = OnceLock::new();

/// Takes the calling thread, and those that it starts, to the network of the servers. Clients go on to come from where it
/// was before.
pub(super) fn go_to(network: &Path) -> io::Result<()> {
    let (asks, asked) = channel::<Asked>();
    std::thread::Builder::new().name("listens".into()).spawn(move || {
        while let Ok((address, answer)) = asked.recv() {
            // Whoever asked may be gone.
            let _ = answer.send(TcpListener::bind(address));
        }
    })?;
    let _ = CLIENTS.set(asks);
    let network = std::fs::File::open(network)?;
    Ok(nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET)?)
}

/// Opens a socket where clients are; at an address that only the servers' network has, it is there.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let Some(clients) = CLIENTS.get() else { return TcpListener::bind(address) };
    let (answer, answered) = sync_channel(1);
    let gone = || io::Error::other("nobody opens sockets any more");
    clients.send((address, answer)).map_err(|_| gone())?;
    match answered.recv().map_err(|_| gone())? {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => TcpListener::bind(address),
        bound => bound,
    }
}
