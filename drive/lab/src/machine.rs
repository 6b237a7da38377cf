//! What this machine has, lacks and is set to.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use andon_schema::Failure;

use crate::cgroup::Hierarchies;
use crate::failure::OrFail;
use crate::realm;

/// Something that the lab needs and that this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is, in a few words.
    pub what: String,
    /// What it is for.
    pub why: String,
    /// How to get it, in one sentence.
    pub how: String,
}

/// What many servers use up, as a setting of the kernel, what it should be at least, and what it counts. Each server
/// with systemd takes a handful of inotify instances, all from the limit of this machine's root user, and a dozen
/// processes.
const LIMITS: [(&str, u64, &str); 2] =
    [("fs.inotify.max_user_instances", 8192, "inotify instances"), ("kernel.pid_max", 4_194_304, "processes")];
/// `mount_setattr(2)`, by which what is attached is seen in a server's numbers of users, came with this one.
const LEAST_KERNEL: (u32, u32) = (5, 12);
const CAP_SYS_ADMIN: u64 = 21;
const CAP_NET_ADMIN: u64 = 12;

/// What this machine lacks; nothing where the lab can run.
pub(crate) fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut lack = |what: &str, why: &str, how: &str| {
        missing.push(Missing { what: what.to_owned(), why: why.to_owned(), how: how.to_owned() });
    };
    if let Some(refused) = realm::refused() {
        let help = refused.help.join(" ");
        let how = if help.is_empty() { "Run this with sudo.".to_owned() } else { help };
        lack("a realm for a user without root", &format!("{}: {}", refused.summary, refused.detail), &how);
    } else if !has_capabilities() {
        lack(
            "root's privileges",
            "Servers are made of namespaces, mounts and network interfaces.",
            "Run this with sudo.",
        );
    }
    if kernel().is_some_and(|kernel| kernel < LEAST_KERNEL) {
        let how = format!("Boot Linux {}.{} or later.", LEAST_KERNEL.0, LEAST_KERNEL.1);
        lack(
            "a newer kernel",
            "A server has numbers of users of its own, and what is attached to it is seen in them.",
            &how,
        );
    }
    if !has_overlay() {
        lack("overlayfs", "A server's files lie in a layer over its image.", "Load it: `modprobe overlay`.");
    }
    if nft().is_none() {
        lack(
            "the program `nft`",
            "A network's way outside goes through the kernel's packet filter.",
            "Install it: `apt-get install nftables`.",
        );
    }
    if let Err(failure) = Hierarchies::find() {
        lack(&failure.summary, &failure.detail, &failure.help.join(" "));
    }
    missing
}

/// Stops where this machine lacks something.
pub(crate) fn require() -> Result<(), Failure> {
    let Some(missing) = missing().into_iter().next() else { return Ok(()) };
    Err(Failure::new(format!("this machine lacks {}", missing.what), missing.why).help(missing.how))
}

/// Where the program `nft` is.
pub(crate) fn nft() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join("nft")).find(|path| path.is_file())
}

/// Makes room for many servers. Says what it changed.
pub(crate) fn raise_limits() -> Vec<String> {
    LIMITS.iter().filter_map(raise).collect()
}

fn raise((setting, least, what): &(&str, u64, &str)) -> Option<String> {
    let path = format!("/proc/sys/{}", setting.replace('.', "/"));
    let limit: u64 = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    if limit >= *least || fs::write(&path, least.to_string()).is_err() {
        return None;
    }
    Some(format!(
        "This machine allowed {limit} {what}, enough for few servers; {setting} is now {least}, until the next boot."
    ))
}

/// Lets this machine pass packets on between its networks. Says what it changed.
pub(crate) fn enable_forwarding() -> Result<Option<String>, Failure> {
    let path = "/proc/sys/net/ipv4/ip_forward";
    if fs::read_to_string(path).is_ok_and(|text| text.trim() == "1") {
        return Ok(None);
    }
    fs::write(path, "1").or_fail(|| format!("cannot write {path}"))?;
    Ok(Some("This machine did not pass packets on; net.ipv4.ip_forward is now 1, until the next boot.".to_owned()))
}

/// The size of the packets that get outside whole. A server that sent larger ones would hear of it only where every
/// machine on the way says so.
pub(crate) fn outside_mtu() -> u32 {
    let routes = fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    let default = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = default.filter(|fields| fields.get(1) == Some(&"00000000"));
    let mtu = |fields: Vec<&str>| {
        fs::read_to_string(format!("/sys/class/net/{}/mtu", fields.first()?)).ok()?.trim().parse().ok()
    };
    default.filter_map(mtu).min().unwrap_or(1500).clamp(1280, 1500)
}

/// The content of a server's `/etc/resolv.conf`: this machine's resolvers, without those that only it can reach.
pub(crate) fn resolvers() -> String {
    // The second is where systemd-resolved says whom it asks itself.
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.map(|text| usable_resolvers(&text)).find(|text| text.contains("nameserver")).unwrap_or_default()
}

/// This machine's own resolvers, those that only it can reach included.
pub(crate) fn own_resolvers() -> Vec<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let named = words.filter_map(|words| match words.as_slice() {
        ["nameserver", address, ..] => address.parse().ok(),
        _ => None,
    });
    named.collect()
}

fn usable_resolvers(text: &str) -> String {
    let usable = |line: &&str| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next().and_then(|address| address.parse::<IpAddr>().ok())) {
            (Some("nameserver"), Some(address)) => !address.is_loopback() && address.is_ipv4(),
            (Some("search" | "domain" | "options"), _) => true,
            _ => false,
        }
    };
    text.lines().filter(usable).map(|line| format!("{line}\n")).collect()
}

/// Which process listens on a TCP address of this machine, in words, where that can be found out.
pub(crate) fn listener(address: SocketAddr) -> Option<String> {
    let socket = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"].iter().find_map(|path| {
        let table = fs::read_to_string(path).ok()?;
        table.lines().skip(1).find_map(|line| listening_inode(line, address))
    })?;
    let wanted = format!("socket:[{socket}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let number = process.file_name().to_string_lossy().parse::<u32>();
        let (Ok(number), Ok(files)) = (number, fs::read_dir(process.path().join("fd"))) else { continue };
        if files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
        {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("`{}` (process {number})", name.trim()));
        }
    }
    None
}

/// The inode of a line of `/proc/net/tcp` that listens where `address` would.
fn listening_inode(line: &str, address: SocketAddr) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (host, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != "0A" || u16::from_str_radix(port, 16).ok()? != address.port() {
        return None;
    }
    let any = host.bytes().all(|digit| digit == b'0');
    let same = match address.ip() {
        IpAddr::V4(ip) => u32::from_str_radix(host, 16).is_ok_and(|host| host == u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(_) => host.len() == 32,
    };
    (any || same || address.ip().is_unspecified()).then(|| fields.get(9)?.parse().ok()).flatten()
}

fn has_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let needed = 1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN;
    effective.is_some_and(|effective| effective & needed == needed)
}

fn kernel() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn has_overlay() -> bool {
    let listed = || {
        let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        filesystems.lines().any(|line| line.split_whitespace().last() == Some("overlay"))
    };
    // The first mount of its type would load the module; so does asking for it by name.
    listed() || {
        let modprobe = std::process::Command::new("/sbin/modprobe").args(["-q", "overlay"]).status();
        modprobe.is_ok() && listed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_that_only_this_machine_reaches_are_left_out() {
        let text =
            "# a comment\nnameserver 127.0.0.53\nnameserver 10.1.1.1\nnameserver ::1\nsearch example\noptions edns0\n";
        assert_eq!(usable_resolvers(text), "nameserver 10.1.1.1\nsearch example\noptions edns0\n");
    }

    #[test]
    fn who_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let who = super::listener(address).unwrap();
        assert!(who.contains(&format!("process {}", std::process::id())), "{who}");
        let any = SocketAddr::new("0.0.0.0".parse().unwrap(), address.port());
        assert_eq!(super::listener(any), Some(who));
        drop(listener);
        assert_eq!(super::listener(address), None);
    }
}
