use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use andon_host::observe;
use andon_schema::host::{HttpAnswer, Look, Sight, Stage};

fn get(url: &str, timeout_ms: u64) -> Result<HttpAnswer, String> {
    let headers = vec![("Host".into(), "shop.test".into())];
    match observe(&[Look::Http { url: url.into(), headers, timeout_ms }], Stage::Live).remove(0) {
        Sight::Http(answer) => answer,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn one_answer_over_loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        for part in ["HTTP/1.1 503 Busy\r\nTransfer-Enc", "oding: chunked\r\n\r\n4\r\nwa", "it\r\n0\r\n\r\n"] {
            stream.write_all(part.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        // The second connection is never answered.
        let kept = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        drop(kept);
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let look = [Look::Port { tcp: true, port }, Look::Port { tcp: false, port: 1 }];
    assert_eq!(observe(&look, Stage::Live), [Sight::Port(true), Sight::Port(false)]);
    let url = format!("http://127.0.0.1:{port}/healthz?x=1");
    let answer = get(&url, 2000).unwrap();
    assert_eq!((answer.status, &*answer.body.0), (503, &b"wait"[..]));
    let began = Instant::now();
    assert_eq!(get(&url, 100), Err("no answer in time".to_owned()));
    assert!(began.elapsed() < Duration::from_millis(250));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /healthz?x=1 HTTP/1.1\r\n") && request.contains("\r\nHost: shop.test\r\n"));
    assert_eq!(get(&url, 1000), Err("connection refused".to_owned()));
    assert!(get("http://no.such.name/", 1000).unwrap_err().contains("is not in /etc/hosts"));
}
