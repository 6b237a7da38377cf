//! Links, addresses and routes, by the kernel's own protocol (rtnetlink, `man 7 rtnetlink`).
//!
//! Synchronous and small, because it also runs in a process that has just been forked.

use std::ffi::CString;
use std::io::{self, Error, ErrorKind};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ipnet::Ipv4Net;

use crate::nft::LINKS;

/// A conversation with the kernel about the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// A link as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub index: u32,
    pub up: bool,
}

/// The Ethernet address that goes with an IP address, so that either side of a server's link knows the other's without
/// asking.
pub(crate) fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x61, a, b, c, d]
}

const LOOPBACK_INDEX: u32 = 1;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
const REPLACE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
const HEADER: usize = 16;
/// `struct ifinfomsg`: where its flags are.
const LINK_FLAGS: usize = 8;
/// Nested attributes of a link (linux/if_link.h, linux/veth.h).
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
/// Whose a route is: a number that daemons have one each of, and its metric.
type Whose = (u8, u32);
/// The metric by which the lab's own routes are known among those of others: [`crate::nft::LINKS`]. They count as the kernel's
/// (linux/rtnetlink.h), as systemd-networkd removes all others that it has not made, whenever it sets up a link:
/// `ManageForeignRoutes=` of networkd.conf(5).
const OWN_ROUTES: Whose = (libc::RTPROT_KERNEL, LINKS);
/// What earlier versions made: a number of whose they are, and no metric.
const EARLIER_ROUTES: Whose = (161, 0);
/// linux/neighbour.h
const NUD_PERMANENT: u16 = 0x80;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

impl Netlink {
    /// Opens one in the network namespace of the calling thread.
    pub fn open() -> io::Result<Netlink> {
        let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: a new descriptor, owned from here on.
        let socket = unsafe { libc::socket(libc::AF_NETLINK, flags, libc::NETLINK_ROUTE) };
        if socket < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: as above.
        Ok(Netlink { socket: unsafe { OwnedFd::from_raw_fd(socket) }, sequence: 0 })
    }

    /// Makes an interface that leads nowhere and is down, to hold an address; one that is there already stays. It is a
    /// bridge without ports, which kernels have more often than they have dummies.
    pub fn create_holder(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST | CREATE);
        message.link(0, 0);
        message.text(libc::IFLA_IFNAME, name);
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        message.nested(libc::IFLA_LINKINFO, |message| message.attribute(INFO_KIND, b"bridge"));
        exists_is_fine(self.ask(message))
    }

    /// Makes a pair of interfaces, both down: one here, and `eth0` in the network namespace of a process.
    pub fn create_veth(&mut self, name: &str, here: Mac, process: i32, there: Mac, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST | CREATE);
        message.link(0, 0);
        message.text(libc::IFLA_IFNAME, name);
        message.attribute(libc::IFLA_ADDRESS, &here);
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        message.nested(libc::IFLA_LINKINFO, |message| {
            message.attribute(INFO_KIND, b"veth");
            message.nested(INFO_DATA, |message| {
                message.nested(VETH_PEER, |message| {
                    message.link(0, 0);
                    message.text(libc::IFLA_IFNAME, "eth0");
                    message.attribute(libc::IFLA_ADDRESS, &there);
                    message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
                    message.attribute(libc::IFLA_NET_NS_PID, &process.to_ne_bytes());
                });
            });
        });
        self.ask(message).map(drop)
    }

    /// Removes a link; false where there was none. The other end of a pair goes with it.
    pub fn delete_link(&mut self, name: &str) -> io::Result<bool> {
        let mut message = Message::new(libc::RTM_DELLINK, REQUEST);
        message.link(0, 0);
        message.text(libc::IFLA_IFNAME, name);
        found(self.ask(message)).map(|answer| answer.is_some())
    }

    /// A link as it is, or `None`.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut message = Message::new(libc::RTM_GETLINK, REQUEST);
        message.link(0, 0);
        message.text(libc::IFLA_IFNAME, name);
        let answer = found(self.ask(message))?.unwrap_or_default();
        Ok(answer.first().and_then(|body| {
            let index = word(body, 4)?;
            Some(Link { index, up: word(body, LINK_FLAGS)? & libc::IFF_UP as u32 != 0 })
        }))
    }

    /// Gives a link its Ethernet address and the size of its packets.
    pub fn shape(&mut self, index: u32, address: Mac, mtu: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST);
        message.link(index, 0);
        message.attribute(libc::IFLA_ADDRESS, &address);
        message.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.ask(message).map(drop)
    }

    /// Sets a link up.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST);
        message.link(index, libc::IFF_UP as u32);
        self.ask(message).map(drop)
    }

    /// Has a link be one of a group, by which the packet filter knows it.
    pub fn set_group(&mut self, index: u32, group: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST);
        message.link(index, 0);
        message.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
        self.ask(message).map(drop)
    }

    /// Has nobody be asked on a link for Ethernet addresses, nor answered, nor believed: whoever is there is known
    /// ([`Netlink::add_neighbour`]).
    pub fn set_without_arp(&mut self, index: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, REQUEST);
        message.link(index, libc::IFF_NOARP as u32);
        self.ask(message).map(drop)
    }

    /// Sets the loopback interface up.
    pub fn set_loopback_up(&mut self) -> io::Result<()> {
        self.set_up(LOOPBACK_INDEX)
    }

    /// Gives a link an address that is alone: no neighbour follows from it. One that it has already stays.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWADDR, REQUEST | CREATE);
        message.raw(&[libc::AF_INET as u8, 32, 0, libc::RT_SCOPE_UNIVERSE]);
        message.raw(&index.to_ne_bytes());
        message.attribute(libc::IFA_LOCAL, &address.octets());
        message.attribute(libc::IFA_ADDRESS, &address.octets());
        exists_is_fine(self.ask(message))
    }

    /// Says for good which Ethernet address an address has on a link, so that nobody has to ask for it.
    pub fn add_neighbour(&mut self, index: u32, address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWNEIGH, REQUEST | REPLACE);
        // `struct ndmsg`
        message.raw(&[libc::AF_INET as u8, 0, 0, 0]);
        message.raw(&index.to_ne_bytes());
        message.raw(&NUD_PERMANENT.to_ne_bytes());
        message.attribute(NDA_DST, &address.octets());
        message.attribute(NDA_LLADDR, &mac);
        self.ask(message).map(drop)
    }

    /// Sends what goes to an address out by a link, in place of any other way for it. Where nothing else is said,
    /// it comes from `source`.
    pub fn add_route(&mut self, to: Ipv4Addr, index: u32, source: Option<Ipv4Addr>) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWROUTE, REQUEST | REPLACE);
        message.route(32, libc::RT_SCOPE_LINK, libc::RTN_UNICAST);
        message.attribute(libc::RTA_DST, &to.octets());
        message.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        if let Some(source) = source {
            message.attribute(libc::RTA_PREFSRC, &source.octets());
        }
        self.ask(message).map(drop)
    }

    /// Sends everything that has no nearer way to a gateway.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWROUTE, REQUEST | REPLACE);
        message.route(0, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
        message.attribute(libc::RTA_GATEWAY, &gateway.octets());
        self.ask(message).map(drop)
    }

    /// Says at once of everything in a range, but for what has a nearer way, that it cannot be reached.
    pub fn close_range(&mut self, net: &Ipv4Net) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWROUTE, REQUEST | REPLACE);
        let (whose, metric) = OWN_ROUTES;
        message.route_by(whose, net.prefix_len(), libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE);
        message.attribute(libc::RTA_DST, &net.network().octets());
        message.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
        self.ask(message).map(drop)
    }

    /// Takes back what [`Netlink::close_range`] said, if it did.
    pub fn open_range(&mut self, net: &Ipv4Net) -> io::Result<()> {
        // Whatever number and metric it has: earlier versions gave it others, and theirs may be there, too.
        loop {
            let mut message = Message::new(libc::RTM_DELROUTE, REQUEST);
            message.route_by(libc::RTPROT_UNSPEC, net.prefix_len(), libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE);
            message.attribute(libc::RTA_DST, &net.network().octets());
            match self.ask(message) {
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    }

    /// The addresses of this namespace, each with its link.
    pub fn addresses(&mut self) -> io::Result<Vec<(u32, Ipv4Net)>> {
        let mut message = Message::new(libc::RTM_GETADDR, REQUEST | DUMP);
        message.raw(&[libc::AF_INET as u8, 0, 0, 0]);
        message.raw(&0_u32.to_ne_bytes());
        let address = |body: &Vec<u8>| {
            let prefix = *body.get(1)?;
            let local = attribute(body.get(8..)?, libc::IFA_LOCAL).or(attribute(body.get(8..)?, libc::IFA_ADDRESS))?;
            Some((word(body, 4)?, Ipv4Net::new(octets(local)?, prefix).ok()?))
        };
        Ok(self.ask(message)?.iter().filter_map(address).collect())
    }

    /// The destinations of this namespace's routes.
    pub fn routes(&mut self) -> io::Result<Vec<Ipv4Net>> {
        Ok(self.all_routes()?.into_iter().map(|(net, ..)| net).collect())
    }

    /// The ranges that [`Netlink::close_range`] has closed.
    pub fn closed_ranges(&mut self) -> io::Result<Vec<Ipv4Net>> {
        let is_own = |(_, kind, whose): &(Ipv4Net, u8, Whose)| {
            *kind == libc::RTN_UNREACHABLE && [OWN_ROUTES, EARLIER_ROUTES].contains(whose)
        };
        Ok(self.all_routes()?.into_iter().filter(is_own).map(|(net, ..)| net).collect())
    }

    /// The destinations of routes, each with its type.
    fn all_routes(&mut self) -> io::Result<Vec<(Ipv4Net, u8, Whose)>> {
        let mut message = Message::new(libc::RTM_GETROUTE, REQUEST | DUMP);
        message.raw(&[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0]);
        message.raw(&0_u32.to_ne_bytes());
        let route = |body: &Vec<u8>| {
            if body.first() != Some(&(libc::AF_INET as u8)) {
                return None;
            }
            let attributes = body.get(12..)?;
            let net = Ipv4Net::new(octets(attribute(attributes, libc::RTA_DST)?)?, *body.get(1)?).ok()?.trunc();
            let metric = attribute(attributes, libc::RTA_PRIORITY).and_then(|bytes| word(bytes, 0)).unwrap_or_default();
            Some((net, *body.get(7)?, (*body.get(5)?, metric)))
        };
        Ok(self.ask(message)?.iter().filter_map(route).collect())
    }

    /// Sends a message and collects the bodies of the answers until the kernel says that this was all.
    fn ask(&mut self, message: Message) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let bytes = message.finish(self.sequence);
        // SAFETY: the pointer and the length are those of `bytes`.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(Error::last_os_error());
        }
        let mut answers = Vec::new();
        let mut buffer = vec![0_u8; 1 << 16];
        loop {
            // SAFETY: the pointer and the length are those of `buffer`.
            let got = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            if got < 0 {
                let error = Error::last_os_error();
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            let mut rest = buffer.get(..got as usize).unwrap_or_default();
            while let Some((kind, sequence, body, after)) = next_message(rest) {
                rest = after;
                if sequence != self.sequence {
                    continue;
                }
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(answers),
                    libc::NLMSG_ERROR => match word(body, 0).unwrap_or_default() as i32 {
                        0 => return Ok(answers),
                        number => return Err(Error::from_raw_os_error(-number)),
                    },
                    _ => answers.push(body.to_vec()),
                }
            }
        }
    }
}

/// The index of a link by its name in the calling thread's namespace.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` ends with a zero byte.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(Error::last_os_error()),
        index => Ok(index),
    }
}

fn exists_is_fine<T>(answer: io::Result<T>) -> io::Result<()> {
    match answer {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        answer => answer.map(drop),
    }
}

fn found<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        answer => answer.map(Some),
    }
}

/// The first message of a datagram: its type, sequence number and body, and what follows.
fn next_message(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = word(bytes, 0)? as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, word(bytes, 8)?, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        if kind == wanted {
            return bytes.get(4..length);
        }
        if length < 4 {
            return None;
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn octets(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Message {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        Message(bytes)
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// `struct ifinfomsg`
    fn link(&mut self, index: u32, flags: u32) {
        self.raw(&[0; 4]);
        for word in [index, flags, flags] {
            self.raw(&word.to_ne_bytes());
        }
    }

    /// `struct rtmsg`, for the main table.
    fn route(&mut self, prefix: u8, scope: u8, kind: u8) {
        self.route_by(libc::RTPROT_BOOT, prefix, scope, kind);
    }

    /// The same with the number of whose it is.
    fn route_by(&mut self, whose: u8, prefix: u8, scope: u8, kind: u8) {
        self.raw(&[libc::AF_INET as u8, prefix, 0, 0, libc::RT_TABLE_MAIN, whose, scope, kind]);
        self.raw(&0_u32.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, bytes: &[u8]) {
        self.0.extend((bytes.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.raw(bytes);
    }

    fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message(Vec::new());
        fill(&mut inner);
        self.attribute(kind, &inner.0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0.splice(0..4, length.to_ne_bytes());
        self.0.splice(8..12, sequence.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        let mut netlink = Netlink::open().unwrap();
        let loopback = netlink.link("lo").unwrap().unwrap();
        assert_eq!(loopback.index, index("lo").unwrap());
        assert!(netlink.link("no-such-link").unwrap().is_none());
        assert!(netlink.addresses().unwrap().contains(&(loopback.index, "127.0.0.1/8".parse().unwrap())));
        netlink.routes().unwrap();
    }
}
