//! Whether a member answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a member may take for all of its answer that matters, and how much is read to find the end of the first line.
const LIMIT: Duration = Duration::from_secs(2);
const LONGEST: usize = 8 << 10;

/// What a member that is well answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Probe {
    pub port: u16,
    /// `None`: to accept connections is enough.
    pub path: Option<String>,
    pub statuses: std::ops::RangeInclusive<u16>,
}

/// Asks once. The error is what is amiss, in words.
pub(super) fn ask(address: std::net::Ipv4Addr, probe: &Probe) -> Result<(), String> {
    let address = SocketAddr::from((address, probe.port));
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("{address} did not answer within 2s"),
        _ => format!("{address}: {error}"),
    };
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(problem)?;
    let Some(path) = &probe.path else { return Ok(()) };
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: andon-pool\r\nconnection: close\r\n\r\n");
    let until = Instant::now() + LIMIT;
    let asked = stream.set_write_timeout(Some(LIMIT)).and_then(|()| stream.write_all(request.as_bytes()));
    let line = asked.and_then(|()| first_line(&mut stream, until)).map_err(problem)?;
    let status = line.split(' ').nth(1).and_then(|status| status.trim().parse::<u16>().ok());
    match status {
        Some(status) if probe.statuses.contains(&status) => Ok(()),
        Some(status) => Err(format!("GET {path} was answered with {status}")),
        None => Err(format!("GET {path} was not answered by HTTP")),
    }
}

/// What comes before the first end of a line, or before the end of it all. One that has no end is none.
fn first_line(stream: &mut TcpStream, until: Instant) -> io::Result<String> {
    let mut said = Vec::new();
    let mut more = [0; 1024];
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || said.len() > LONGEST {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(rest))?;
        let length = stream.read(&mut more)?;
        let more = more.get(..length).unwrap_or_default();
        let end = more.iter().position(|byte| *byte == b'\n');
        said.extend_from_slice(more.get(..end.unwrap_or(length)).unwrap_or_default());
        if end.is_some() || length == 0 {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// What is amiss with a member that answers like this, over and over where it does not end.
    fn answered(answer: &'static str, forever: bool) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let probe =
            Probe { port: listener.local_addr().unwrap().port(), path: Some("/".to_owned()), statuses: 200..=399 };
        let member = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            while stream.write_all(answer.as_bytes()).is_ok() && forever {}
        });
        let asked = ask(Ipv4Addr::LOCALHOST, &probe);
        member.join().unwrap();
        asked.err().unwrap_or_default()
    }

    #[test]
    fn an_answer_counts_by_its_first_line() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", ""),
            ("HTTP/1.1 204", ""),
            ("HTTP/1.1 500 Oh\r\n\r\n", "GET / was answered with 500"),
            ("", "GET / was not answered by HTTP"),
            ("HTTP/1.1 no\r\n", "GET / was not answered by HTTP"),
        ] {
            assert_eq!(answered(answer, false), expected, "{answer:?}");
        }
    }

    #[test]
    fn one_that_never_ends_its_line_is_not_well() {
        let said = answered("HTTP/1.1 200 OK ", true);
        assert!(said.ends_with("did not answer within 2s"), "{said}");
    }
}
