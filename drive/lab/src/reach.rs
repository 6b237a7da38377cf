//! Whether a server answers those outside of it, as this machine's side of its network sees it.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::netlink::{self, mac};

/// How long one question may take. On this machine an answer takes a fraction of a millisecond; an emulated one may take many.
const LIMIT: Duration = Duration::from_millis(500);
/// A port at which nobody listens: its refusal is an answer (RFC 863, which nobody offers any more).
const NOBODYS: u16 = 9;

/// What of a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Whether anything at all answers at its address.
    pub answers: bool,
    /// The ports that took no connection, of those that were asked for.
    pub closed: Vec<u16>,
}

/// Asks a server at its address, which is at the other end of a link, for connections to TCP ports.
pub(crate) fn reach(address: Ipv4Addr, link: &str, gateway: Ipv4Addr, ports: &[u16]) -> Reached {
    let mut answers = false;
    let mut closed = Vec::new();
    for port in ports {
        let said = connect(address, *port);
        answers |= said != Said::Nothing;
        if said != Said::Yes {
            closed.push(*port);
        }
    }
    // A firewall of the server's that says nothing to strangers cannot keep it from saying whose address it is.
    let answers = answers || connect(address, NOBODYS) != Said::Nothing || has(address, link, gateway).unwrap_or(false);
    Reached { answers, closed }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    Nothing,
}

fn connect(address: Ipv4Addr, port: u16) -> Said {
    match TcpStream::connect_timeout(&(address, port).into(), LIMIT) {
        Ok(_) => Said::Yes,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Said::No,
        Err(_) => Said::Nothing,
    }
}

/// Whether anybody at the other end of a link has an address: asked by ARP (RFC 826), as the kernel itself never asks, since
/// neighbours are known to it for good.
fn has(address: Ipv4Addr, link: &str, gateway: Ipv4Addr) -> io::Result<bool> {
    let protocol = (libc::ETH_P_ARP as u16).to_be();
    // SAFETY: a new descriptor, owned from here on.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol.into()) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let everybody = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: netlink::index(link)? as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    let place = (&raw const everybody).cast::<libc::sockaddr>();
    let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `everybody`.
    if unsafe { libc::bind(socket.as_raw_fd(), place, length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let question = question(address, gateway);
    // SAFETY: the pointers and the lengths are those of `question` and `everybody`.
    let sent = unsafe { libc::sendto(socket.as_raw_fd(), question.as_ptr().cast(), question.len(), 0, place, length) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let deadline = Instant::now() + LIMIT;
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        let mut waiting = [libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        // SAFETY: the pointer and the length are those of `waiting`.
        unsafe { libc::poll(waiting.as_mut_ptr(), 1, left.as_millis() as i32 + 1) };
        let mut heard = [0_u8; 64];
        // SAFETY: the pointer and the length are those of `heard`.
        let count =
            unsafe { libc::recv(socket.as_raw_fd(), heard.as_mut_ptr().cast(), heard.len(), libc::MSG_DONTWAIT) };
        let heard = usize::try_from(count).ok().and_then(|count| heard.get(..count)).unwrap_or_default();
        if is_answer(heard, address) {
            return Ok(true);
        }
    }
    Ok(false)
}

const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// Who has this address?
fn question(address: Ipv4Addr, gateway: Ipv4Addr) -> Vec<u8> {
    let parts: [&[u8]; 6] =
        [&ETHERNET_AND_IPV4, &REQUEST, &mac(gateway), &gateway.octets(), &[0; 6], &address.octets()];
    parts.concat()
}

fn is_answer(heard: &[u8], address: Ipv4Addr) -> bool {
    heard.get(..6) == Some(&ETHERNET_AND_IPV4)
        && heard.get(6..8) == Some(&REPLY)
        && heard.get(14..18) == Some(&address.octets())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn questions_and_answers_have_their_form() {
        let (server, gateway) = (Ipv4Addr::new(10, 64, 0, 2), Ipv4Addr::new(10, 64, 0, 1));
        let asked = question(server, gateway);
        assert_eq!(asked.len(), 28);
        assert_eq!(asked[14..18], [10, 64, 0, 1]);
        assert_eq!(asked[24..], [10, 64, 0, 2]);
        assert!(!is_answer(&asked, gateway), "a question is no answer");
        let mut answer = asked;
        answer[6..8].copy_from_slice(&REPLY);
        answer[14..18].copy_from_slice(&server.octets());
        assert!(is_answer(&answer, server) && !is_answer(&answer, gateway) && !is_answer(&answer[..17], server));
    }

    #[test]
    fn ports_take_connections_or_refuse() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let seen = reach(Ipv4Addr::LOCALHOST, "lo", Ipv4Addr::LOCALHOST, &[open, closed]);
        assert_eq!(seen, Reached { answers: true, closed: vec![closed] });
    }
}
