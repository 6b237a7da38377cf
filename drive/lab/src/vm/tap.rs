//! The link of a machine: an interface of this machine, the other end of which is an open file.
//!
//! It is there for as long as that file is open, so that it goes with the process that holds it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::seed::Place;
use crate::helper::check;
use crate::netlink::{self, Netlink, mac};
use crate::network;

const DEVICE: &str = "/dev/net/tun";
/// linux/if_tun.h
const TUNSETIFF: libc::c_ulong = 0x4004_54CA;
const IFF_TAP: i16 = 0x0002;
const IFF_NO_PI: i16 = 0x1000;
/// Packets come with a word on how far they are summed and cut, which spares both sides the work.
const IFF_VNET_HDR: i16 = 0x4000;

/// `struct ifreq`
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

/// Makes a machine's link, and leads packets to its address by it.
pub(super) fn open(name: &str, place: &Place) -> io::Result<OwnedFd> {
    let mut netlink = Netlink::open()?;
    // One of this identity whose process ends just now.
    netlink.delete_link(name)?;
    let file = File::options().read(true).write(true).open(DEVICE)?;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, rest: [0; 22] };
    request.name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)).for_each(|(to, from)| *to = from);
    // SAFETY: the request is as the kernel has it, and lives through the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &raw mut request) }.into())?;
    netlink.shape(netlink::index(name)?, mac(place.range.gateway), place.mtu)?;
    // A machine says nothing by IPv6, so this end need not either; where there is none, nothing is to be turned off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    network::connect(&mut netlink, name, place.address, place.range.gateway)?;
    // A machine takes the network for one link and asks there for the others: this machine answers for them, at once.
    fs::write(format!("/proc/sys/net/ipv4/neigh/{name}/proxy_delay"), "0")?;
    fs::write(format!("/proc/sys/net/ipv4/conf/{name}/proxy_arp"), "1")?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::network::Range;

    /// `struct virtio_net_hdr`
    const HEADER: usize = 10;

    fn place(address: &str) -> Place {
        let range = Range { net: "10.64.1.0/24".parse().unwrap(), gateway: "10.64.1.1".parse().unwrap() };
        Place { address: address.parse().unwrap(), range, resolvers: String::new(), mtu: 1400 }
    }

    /// Who has an address? (RFC 826)
    fn question(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0; HEADER];
        frame.extend([0xFF; 6]);
        frame.extend(mac(from));
        frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
        frame.extend(mac(from));
        frame.extend(from.octets());
        frame.extend([0; 6]);
        frame.extend(to.octets());
        frame
    }

    /// The Ethernet address that is answered for an IP address, as a machine at the other end of a link asks for it.
    fn asked(link: &mut File, from: &Place, to: Ipv4Addr) -> Option<Vec<u8>> {
        link.write_all(&question(from.address, to)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut frame = [0; 2048];
        while Instant::now() < deadline {
            match link.read(&mut frame) {
                Ok(count) => {
                    let arp =
                        frame[HEADER..count].get(14..42).filter(|_| frame[HEADER + 12..HEADER + 14] == [0x08, 0x06]);
                    if let Some(arp) = arp.filter(|arp| arp[7] == 2 && arp[14..18] == to.octets()) {
                        return Some(arp[8..14].to_vec());
                    }
                }
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        None
    }

    #[test]
    fn a_machine_finds_its_gateway_and_the_others_by_its_link() {
        // In a network of this thread's own.
        let tested = std::thread::spawn(|| {
            if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err()
                || !std::path::Path::new(DEVICE).exists()
            {
                println!("skipped: needs root and {DEVICE}");
                return;
            }
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            let (one, other) = (place("10.64.1.7"), place("10.64.1.8"));
            let mut netlink = Netlink::open().unwrap();
            netlink.create_holder("anx", 1400).unwrap();
            let holder = netlink::index("anx").unwrap();
            netlink.add_address(holder, one.range.gateway).unwrap();
            netlink.set_up(holder).unwrap();
            netlink.close_range(&one.range.net).unwrap();
            let links = [("avone", &one), ("avother", &other)].map(|(name, place)| open(name, place).unwrap());
            let mut links = links.map(|link| {
                // SAFETY: touches no memory.
                check(unsafe { libc::fcntl(link.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into()).unwrap();
                File::from(link)
            });
            let gateway = mac(one.range.gateway).to_vec();
            assert_eq!(asked(&mut links[0], &one, one.range.gateway), Some(gateway.clone()));
            assert_eq!(asked(&mut links[0], &one, other.address), Some(gateway.clone()));
            assert_eq!(asked(&mut links[1], &other, one.address), Some(gateway));
            drop(links);
            // A process that another test starts has the file, too, until it is its program.
            let deadline = Instant::now() + Duration::from_secs(5);
            while ["avone", "avother"].iter().any(|name| netlink::index(name).is_ok()) {
                assert!(Instant::now() < deadline, "a link goes with its file");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        tested.join().unwrap();
    }
}
