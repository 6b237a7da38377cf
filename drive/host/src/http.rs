//! One HTTP/1.1 GET over plain TCP, by hand: names are looked up in `/etc/hosts` alone, and redirects are not followed.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use andon_schema::host::HttpAnswer;

/// What is kept of a body, in bytes.
const KEPT: usize = 1024 * 1024;
/// The longest head, in bytes.
const HEAD: usize = 64 * 1024;

/// Asks. All of it must be done in the time limit.
pub(crate) fn get(url: &str, headers: &[(Arc<str>, Arc<str>)], limit: Duration) -> Result<HttpAnswer, String> {
    let deadline = Instant::now() + limit;
    let target = Target::parse(url)?;
    let mut last = "no address".to_owned();
    for address in target.addresses()? {
        match exchange(address, &target, headers, deadline) {
            Ok(answer) => return Ok(answer),
            Err(Failure::Connect(reason)) => last = reason,
            Err(Failure::Exchange(reason)) => return Err(reason),
        }
    }
    Err(last)
}

struct Target<'a> {
    /// As it is given, for the `Host` header.
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: String,
}

impl Target<'_> {
    fn parse(url: &str) -> Result<Target<'_>, String> {
        let wrong = || format!("`{url}` is not an address that can be asked");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host, rest.strip_prefix(':').unwrap_or("80"))
            }
            None => authority.split_once(':').unwrap_or((authority, "80")),
        };
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || url.contains(|letter: char| letter.is_ascii_control() || letter == ' ') {
            return Err(wrong());
        }
        Ok(Target { authority, host, port, path })
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let with_port = |address: IpAddr| SocketAddr::new(address, self.port);
        if let Ok(address) = self.host.parse() {
            return Ok(vec![with_port(address)]);
        }
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let mut found = in_hosts(&hosts, self.host);
        if found.is_empty() && self.host.eq_ignore_ascii_case("localhost") {
            found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if found.is_empty() {
            return Err(format!("the name `{}` is not in /etc/hosts of the server; no answer", self.host));
        }
        Ok(found.into_iter().map(with_port).collect())
    }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
    let fits = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    lines.filter_map(fits).collect()
}

enum Failure {
    Connect(String),
    Exchange(String),
}

fn exchange(
    address: SocketAddr,
    target: &Target,
    headers: &[(Arc<str>, Arc<str>)],
    deadline: Instant,
) -> Result<HttpAnswer, Failure> {
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let stream = TcpStream::connect_timeout(&address, left()).map_err(|error| {
        Failure::Connect(match error.kind() {
            ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            ErrorKind::TimedOut => "no connection in time".to_owned(),
            _ => format!("no connection ({error})"),
        })
    })?;
    let lost = |error: std::io::Error| {
        Failure::Exchange(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
            _ => format!("no whole answer ({error})"),
        })
    };
    let mut request = format!("GET {} HTTP/1.1\r\n", target.path);
    let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    for (name, value) in [("Host", target.authority), ("User-Agent", "andon-check"), ("Accept", "*/*")] {
        if !given(name) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("Connection: close\r\n\r\n");
    stream.set_write_timeout(Some(left())).map_err(lost)?;
    (&stream).write_all(request.as_bytes()).map_err(lost)?;
    read_answer(&mut BufReader::new(Patient { stream: &stream, deadline })).map_err(lost)
}

/// Reads with what is left of the time, so that a trickle cannot hold a check up.
struct Patient<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// The format of RFC 9112.
fn read_answer(from: &mut impl BufRead) -> std::io::Result<HttpAnswer> {
    loop {
        let line = read_line(from)?;
        let mut words = line.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| word.parse::<u16>().ok());
        let status =
            status.filter(|_| version.starts_with("HTTP/")).ok_or_else(|| std::io::Error::other("not HTTP"))?;
        let (mut chunked, mut length, mut total) = (false, None, 0);
        loop {
            let line = read_line(from)?;
            total += line.len();
            if line.is_empty() || total > HEAD {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.to_ascii_lowercase().contains("chunked");
            } else if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut body = Vec::new();
        match status {
            100..200 => continue,
            204 | 304 => {}
            _ if chunked => read_chunks(from, &mut body)?,
            _ => match length {
                Some(length) => read_exactly(from, length, &mut body)?,
                None => {
                    from.take(KEPT as u64).read_to_end(&mut body)?;
                }
            },
        }
        return Ok(HttpAnswer { status, body: body.into() });
    }
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    while body.len() < KEPT {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| std::io::Error::other("a broken chunk"))?;
        if size == 0 {
            break;
        }
        read_exactly(from, size, body)?;
        read_line(from)?;
    }
    Ok(())
}

fn read_exactly(from: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
    let wanted = length.min(KEPT - body.len().min(KEPT));
    let read = from.take(wanted as u64).read_to_end(body)?;
    if read < wanted { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn read_line(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    from.take(HEAD as u64).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: Result<(u16, &str), ()>) {
        let found = read_answer(&mut BufReader::new(answer.as_bytes()));
        let found = found.map(|answer| (answer.status, String::from_utf8_lossy(&answer.body.0).into_owned()));
        assert_eq!(found.map_err(|_| ()), expected.map(|(status, body)| (status, body.to_owned())), "{answer:?}");
    }

    #[test]
    fn answers() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ok((200, "ok")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", Ok((200, "ok")));
        check("HTTP/1.0 502 Bad Gateway\r\n\r\ntill the end", Ok((502, "till the end")));
        check(
            "HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            Ok((200, "abcde")),
        );
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok((204, "")));
        check("HTTP/1.1 301 Moved\nLocation: /x\nContent-Length: 0\n\n", Ok((301, "")));
        check("SSH-2.0-OpenSSH\r\n", Err(()));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", Err(()));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Err(()));
        check("", Err(()));
    }

    #[test]
    fn addresses() {
        for (url, host, port, path) in [
            ("http://127.0.0.1/healthz", "127.0.0.1", 80, "/healthz"),
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/"),
            ("http://[::1]:81/a?b=c#d", "::1", 81, "/a?b=c"),
            ("http://localhost?x", "localhost", 80, "/?x"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.host, target.port, &*target.path), (host, port, path), "{url}");
        }
        for url in ["https://x/", "http://", "http://a:b/", "http://[::1/", "http://a/ b"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
        let hosts = "127.0.0.1 localhost # web\n10.0.0.2\tdb  db.internal\n";
        assert_eq!(in_hosts(hosts, "DB.internal"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        assert!(in_hosts(hosts, "web").is_empty());
    }
}
