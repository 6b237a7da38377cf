//! Small HTTP servers and clients for the tests of balancers, on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An address of loopback on which nobody listens.
pub fn free_port() -> String {
    // Of those that the kernel gives to nobody by itself: it might give one that it gave to look at to somebody else.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = 20_000 + std::process::id() as usize % 100 * 100;
    let ports = (0..).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000);
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port as u16)).is_ok());
    format!("127.0.0.1:{}", free.next().unwrap())
}

/// A server that answers with its name until it is dropped.
pub struct Backend {
    pub address: SocketAddr,
    pub healthy: Arc<AtomicBool>,
    pub requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    listens: Option<thread::JoinHandle<()>>,
}

impl Backend {
    pub fn new(name: &'static str) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut backend = Backend {
            address,
            healthy: Arc::new(AtomicBool::new(true)),
            requests: Arc::default(),
            stop: Arc::default(),
            listens: None,
        };
        let (healthy, requests, stop) = (backend.healthy.clone(), backend.requests.clone(), backend.stop.clone());
        backend.listens = Some(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (healthy, requests, stop) = (healthy.clone(), requests.clone(), stop.clone());
                thread::spawn(move || {
                    let _ = serve(name, stream, &healthy, &requests, &stop);
                });
            }
        }));
        backend
    }

    pub fn target(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        // From then on it refuses: before that, whoever connects is accepted, and cut off.
        let _ = self.listens.take().map(thread::JoinHandle::join);
    }
}

fn serve(
    name: &str,
    mut stream: TcpStream,
    healthy: &AtomicBool,
    requests: &AtomicUsize,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) if !stop.load(Ordering::SeqCst) => {}
                Err(error) => return Err(error),
            }
        }
        if stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        stream.set_read_timeout(None)?;
        let lower = head.to_lowercase();
        let length: usize =
            lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if lower.contains("transfer-encoding: chunked") {
            let mut end = String::new();
            while !end.ends_with("0\r\n\r\n") {
                reader.read_line(&mut end)?;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        match path.split('?').next().unwrap() {
            "/healthz" if healthy.load(Ordering::SeqCst) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?
            }
            "/healthz" => stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")?,
            "/slow" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")?;
                for _ in 0..20 {
                    stream.write_all(&[b'x'; 100])?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            "/endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"1\r\nx\r\n")?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            "/stall" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?;
                while !stop.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(20));
                }
                return Ok(());
            }
            "/close" => return Ok(()),
            "/last" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
                // Whoever comes with another request on this connection is hung up on, which nothing has told.
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                let _ = reader.fill_buf();
                return Ok(());
            }
            "/switch" => {
                stream
                    .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")?;
                let mut bytes = [0; 100];
                loop {
                    match reader.read(&mut bytes)? {
                        0 => return Ok(()),
                        read => stream.write_all(&bytes[..read])?,
                    }
                }
            }
            "/echo" => {
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
                let copied = std::io::copy(&mut reader.by_ref().take(length as u64), &mut stream)?;
                assert_eq!(copied, length as u64);
            }
            "/read" => {
                reader.read_exact(&mut vec![0; length])?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            }
            "/headers" => {
                let body = &head;
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )?;
            }
            _ => {
                requests.fetch_add(1, Ordering::SeqCst);
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())?;
            }
        }
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    }
}

/// A client that keeps its connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub fn new(address: &str) -> std::io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    pub fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    pub fn raw(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.stream
    }

    pub fn get(&mut self, path: &str) -> std::io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"))?;
        self.answer()
    }

    pub fn answer(&mut self) -> std::io::Result<Answer> {
        let head = self.head()?;
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or_else(|| std::io::Error::other(format!("no status: {head}")))?, head, body })
    }

    pub fn head(&mut self) -> std::io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(head)
    }
}

/// One request on a connection of its own.
pub fn get(address: &str, path: &str) -> std::io::Result<Answer> {
    Client::new(address)?.get(path)
}
