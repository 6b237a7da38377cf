//! Addresses of hosts, by hand: this process may run a C library that is not the server's, whose name service it must
//! not load. Numbers, `/etc/hosts`, and then the name servers of `/etc/resolv.conf` (RFC 1035).

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long one name server may take.
const PATIENCE: Duration = Duration::from_secs(3);

const A: u16 = 1;
const AAAA: u16 = 28;

/// The addresses of a host, IPv4 first. All of it is done by the deadline, or soon after it.
pub(crate) fn addresses(host: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let found = in_hosts(&read("/etc/hosts"), host);
    if !found.is_empty() {
        return Ok(found);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let settings = Settings::parse(&read("/etc/resolv.conf"));
    let mut last = format!("there is no host `{host}`");
    for name in settings.names(host) {
        let mut found = Vec::new();
        for kind in [A, AAAA] {
            match ask(&settings.servers, &name, kind, deadline) {
                Ok(addresses) => found.extend(addresses),
                Err(reason) => last = reason,
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(last)
}

/// What a line of hosts(5) gives for a name.
pub(crate) fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
    let fits = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    lines.filter_map(fits).collect()
}

/// What resolv.conf(5) says, as far as it counts here.
struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
}

impl Settings {
    fn parse(text: &str) -> Settings {
        let mut settings = Settings { servers: Vec::new(), search: Vec::new() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A scope after `%` is of no use to a socket that is not bound.
                    let address = words.next().map(|word| word.split('%').next().unwrap_or(word));
                    let address = address.and_then(|address| address.parse().ok());
                    settings.servers.extend(address.map(|address: IpAddr| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        settings
    }

    /// The names to ask for: one without a dot is of a domain first.
    fn names(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_end_matches('.')));
        let own = std::iter::once(host.to_owned());
        if host.contains('.') { own.chain(searched).collect() } else { searched.chain(own).collect() }
    }
}

fn ask(servers: &[SocketAddr], name: &str, kind: u16, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    let question = question(name, kind).ok_or_else(|| format!("`{name}` is not the name of a host"))?;
    let mut last = format!("there is no host `{name}`");
    for server in servers.iter().chain(servers) {
        let left = deadline.saturating_duration_since(Instant::now()).min(PATIENCE);
        if left.is_zero() {
            return Err(format!("the name `{name}` was not found in time"));
        }
        match exchange(*server, &question, left) {
            Ok(answer) => match read_answer(&answer, kind) {
                Some(Ok(addresses)) => return Ok(addresses),
                Some(Err(reason)) => last = format!("the name server {} {reason} `{name}`", server.ip()),
                None => last = format!("the answer of the name server {} is broken", server.ip()),
            },
            Err(error) => last = format!("the name server {} does not answer: {error}", server.ip()),
        }
    }
    Err(last)
}

/// The number of a question, as good as by chance: the answer must come from the server asked as well.
fn number() -> u16 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    (now ^ std::process::id().rotate_left(7)) as u16
}

fn question(name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(name.len() + 20);
    message.extend(number().to_be_bytes());
    // Recursion is desired; one question, nothing else.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    (message.len() <= 512).then_some(message)
}

fn exchange(server: SocketAddr, question: &[u8], limit: Duration) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_read_timeout(Some(limit))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    if answer.get(..2) != question.get(..2) {
        return Err(std::io::Error::other("it answers another question"));
    }
    let truncated = answer.get(2).is_some_and(|flags| flags & 2 != 0);
    if truncated { exchange_whole(server, question, limit) } else { Ok(answer) }
}

/// What does not fit a datagram goes through a connection.
fn exchange_whole(server: SocketAddr, question: &[u8], limit: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(&(question.len() as u16).to_be_bytes())?;
    stream.write_all(question)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The addresses of an answer; `None` where it is broken, an error where the server says no.
fn read_answer(answer: &[u8], kind: u16) -> Option<Result<Vec<IpAddr>, &'static str>> {
    let pair = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    match answer.get(3)? & 15 {
        0 => {}
        3 => return Some(Err("knows no host")),
        _ => return Some(Err("could not find")),
    }
    let mut at = 12;
    for _ in 0..pair(4)? {
        at = after_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..pair(6)? {
        at = after_name(answer, at)?;
        let (is, length) = (pair(at)?, usize::from(pair(at + 8)?));
        let data = answer.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        match (is, kind) {
            (A, A) => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            (AAAA, AAAA) => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
    }
    Some(Ok(found))
}

/// Where a name ends; one that is written elsewhere ends after the pointer to it.
fn after_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xC0 == 0xC0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_searched() {
        let settings = Settings::parse("# none\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.test b.test.\n");
        assert_eq!(settings.servers.len(), 2);
        assert_eq!(settings.names("db"), ["db.a.test", "db.b.test", "db"]);
        assert_eq!(settings.names("db.c"), ["db.c", "db.c.a.test", "db.c.b.test"]);
        assert_eq!(settings.names("db."), ["db"]);
        assert_eq!(question("a..b", A), None);
        assert_eq!(question("", A), None);
    }

    #[test]
    fn answers_are_read_from_a_server() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let mut asked = [0; 512];
            let (length, from) = server.recv_from(&mut asked).unwrap();
            let mut answer = asked[..length].to_vec();
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
            // A name in other words, then the address; both names are pointers to the question's.
            answer.extend([0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xC0, 12]);
            answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]);
            server.send_to(&answer, from).unwrap();
        });
        let question = question("db.test", A).unwrap();
        let answer = exchange(at, &question, Duration::from_secs(20)).unwrap();
        serving.join().unwrap();
        assert_eq!(read_answer(&answer, A), Some(Ok(vec!["192.0.2.7".parse().unwrap()])));
        for cut in 0..answer.len() {
            assert!(read_answer(&answer[..cut], A).is_none_or(|it| it == Ok(vec![])), "{cut}");
        }
    }
}
