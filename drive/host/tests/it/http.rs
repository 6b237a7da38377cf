use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use andon_host::observe;
use andon_schema::host::{Headers, HttpAnswer, HttpRequest, Look, Sight, Stage};

fn get(url: &str, timeout_ms: u64) -> Result<HttpAnswer, String> {
    let request = HttpRequest {
        method: "GET".into(),
        url: url.into(),
        headers: Headers(vec![("Host".into(), "shop.test".into())]),
        body: None,
        redirects: 0,
        verify: true,
        timeout_ms,
    };
    match observe(&[Look::Http(request)], Stage::Live).remove(0) {
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
    let look = [Look::Port { tcp: true, port, address: None }, Look::Port { tcp: false, port: 1, address: None }];
    assert_eq!(observe(&look, Stage::Live), [Sight::Port(true), Sight::Port(false)]);
    let url = format!("http://127.0.0.1:{port}/healthz?x=1");
    let answer = get(&url, 2000).unwrap();
    assert_eq!((answer.status, &*answer.body.0), (503, &b"wait"[..]));
    let began = Instant::now();
    assert_eq!(get(&url, 100), Err("no answer in time".to_owned()));
    assert!(began.elapsed() < Duration::from_millis(250));
    let request = server.join().unwrap();
    let request = request.to_lowercase();
    assert!(request.starts_with("get /healthz?x=1 http/1.1\r\n") && request.contains("\r\nhost: shop.test\r\n"));
    assert_eq!(get(&url, 1000), Err("connection refused".to_owned()));
    assert!(get("http://no-such-name.invalid/", 300).is_err());
}
