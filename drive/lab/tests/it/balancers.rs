//! Balancers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use andon_value::Value;

use crate::Test;
use crate::backend::{Backend, Client, free_port, get};
use crate::world::{World, init, processes, run, texts};

pub const TESTS: &[Test] = &[
    ("balancer_without_targets_says_so", without_targets),
    ("balancer_passes_everything_through", passes_through),
    ("balancer_switches_protocols", switches_protocols),
    ("balancer_tries_another_target", tries_another_target),
    ("balancer_sends_once_what_cannot_be_sent_again", sends_once),
    ("balancer_waits_for_health", waits_for_health),
    ("balancer_swaps_without_a_failed_request", swaps_without_a_failed_request),
    ("balancer_cuts_after_the_drain", cuts_after_the_drain),
    ("balancer_moves_to_another_port", moves_to_another_port),
    ("balancer_says_who_has_the_port", says_who_has_the_port),
    ("balancer_that_was_killed_is_started_again", killed),
    ("balancer_of_another_version_gives_way_without_a_failed_request", gives_way),
];

const KIND: &str = "lab_balancer";

fn given(listen: &str, targets: &[&Backend]) -> Vec<(&'static str, Value)> {
    let targets: Vec<String> = targets.iter().map(|target| target.target()).collect();
    vec![
        ("listen", listen.into()),
        ("targets", texts(&targets)),
        ("health", "/healthz".into()),
        ("interval", "50ms".into()),
        ("wait", "2s".into()),
    ]
}

fn without_targets(world: &World) {
    let listen = free_port();
    let (identity, _) = world.create(KIND, &[("listen", listen.as_str().into())]).unwrap();
    let answer = get(&listen, "/").unwrap();
    assert_eq!((answer.status, answer.text()), (503, "This balancer has no targets.\n"));
    world.delete(KIND, &identity);
    assert!(get(&listen, "/").is_err());
}

fn passes_through(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let (identity, _) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    let mut client = Client::new(&listen).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "one");
    client
        .send("GET http://shop.example/headers?a=1 HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 10.9.9.9\r\nconnection: x-secret\r\nx-secret: 1\r\ncookie: a=b\r\n\r\n")
        .unwrap();
    let answer = client.answer().unwrap();
    let seen = answer.text().to_lowercase();
    for line in [
        "get /headers?a=1 http/1.1",
        "host: shop.example",
        "x-forwarded-for: 10.9.9.9, 127.0.0.1",
        "x-forwarded-proto: http",
        "cookie: a=b",
    ] {
        assert!(seen.contains(line), "{line} is not in {seen}");
    }
    assert!(!seen.contains("x-secret"), "{seen}");
    assert!(!answer.head.contains("x-private"), "{}", answer.head);
    // A body is passed on as it comes: the answer's first half is read before the second half is sent.
    let megabyte = vec![b'y'; 1 << 20];
    client.send(&format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 4 << 20)).unwrap();
    let mut echoed = 0;
    let head = client.head().unwrap();
    assert!(head.contains("200"), "{head}");
    for _ in 0..4 {
        client.raw().get_mut().write_all(&megabyte).unwrap();
        let mut bytes = vec![0; 1 << 20];
        client.raw().read_exact(&mut bytes).unwrap();
        echoed += bytes.iter().filter(|byte| **byte == b'y').count();
    }
    assert_eq!(echoed, 4 << 20);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert!(client.head().unwrap().contains("content-length: 3"));
    let mut old = Client::new(&listen).unwrap();
    old.send("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(old.answer().unwrap().text(), "one");
    assert_eq!(old.raw().read(&mut [0]).unwrap(), 0);
    world.delete(KIND, &identity);
}

fn switches_protocols(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let (identity, _) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    let mut client = Client::new(&listen).unwrap();
    client.send("GET /switch HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: echo"), "{head}");
    for word in ["hello", "again"] {
        client.send(word).unwrap();
        let mut bytes = [0; 5];
        client.raw().read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, word.as_bytes());
    }
    world.delete(KIND, &identity);
}

fn tries_another_target(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let (identity, _) = world.create(KIND, &given(&listen, &[&one, &two])).unwrap();
    for _ in 0..10 {
        assert_eq!(get(&listen, "/").unwrap().status, 200);
    }
    assert!(one.requests.load(Ordering::SeqCst) >= 4 && two.requests.load(Ordering::SeqCst) >= 4);
    drop(one);
    for _ in 0..50 {
        assert_eq!(get(&listen, "/").unwrap().text(), "two");
    }
    // Both hang up without an answer: a request that may be sent twice is, and then the balancer gives up.
    let answer = get(&listen, "/close").unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains(&two.target()), "{}", answer.text());
    drop(two);
    thread::sleep(Duration::from_millis(300));
    let answer = get(&listen, "/").unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("onnection refused"), "{}", answer.text());
    world.delete(KIND, &identity);
}

fn sends_once(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let (identity, _) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    let mut client = Client::new(&listen).unwrap();
    for (request, body) in [("GET", ""), ("POST", ""), ("POST", "body"), ("PATCH", "body"), ("DELETE", "")] {
        assert_eq!(client.get("/last").unwrap().status, 200);
        let length = body.len();
        client.send(&format!("{request} /read HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")).unwrap();
        assert_eq!(client.answer().unwrap().status, 200, "{request} {body}");
    }
    // What has a connection of its own leaves none behind, at this side or the other.
    client.send("POST /headers HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").unwrap();
    let seen = client.answer().unwrap();
    assert!(seen.text().contains("connection: close") && !seen.head.contains("connection: close"), "{}", seen.head);
    world.delete(KIND, &identity);
}

fn waits_for_health(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    one.healthy.store(false, Ordering::SeqCst);
    let failure = world.create(KIND, &given(&listen, &[&one])).unwrap_err();
    assert!(failure.summary.contains("not healthy"), "{failure}");
    assert!(failure.detail.contains(&one.target()) && failure.detail.contains("503"), "{failure}");
    assert!(get(&listen, "/").is_err(), "what was made is gone");
    one.healthy.store(true, Ordering::SeqCst);
    let (identity, value) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    two.healthy.store(false, Ordering::SeqCst);
    let failure = world.update(KIND, &identity, &value, &given(&listen, &[&one, &two])).unwrap_err();
    assert!(failure.detail.contains(&two.target()), "{failure}");
    for _ in 0..10 {
        assert_eq!(get(&listen, "/").unwrap().text(), "one");
    }
    assert_eq!(world.lab.read(KIND, &identity, &value).unwrap(), Some(value.clone()));
    let healthy = two.healthy.clone();
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        healthy.store(true, Ordering::SeqCst);
    });
    let start = Instant::now();
    world.update(KIND, &identity, &value, &given(&listen, &[&two])).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(450));
    assert_eq!(get(&listen, "/").unwrap().text(), "two");
    later.join().unwrap();
    world.delete(KIND, &identity);
}

fn swaps_without_a_failed_request(world: &World) {
    let listen = free_port();
    let (mut now, mut next) = ([Backend::new("a"), Backend::new("b")], [Backend::new("c"), Backend::new("d")]);
    let (identity, mut value) = world.create(KIND, &given(&listen, &[&now[0], &now[1]])).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let good = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (listen, stop, good) = (listen.clone(), stop.clone(), good.clone());
            thread::spawn(move || {
                let mut kept = Client::new(&listen).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let answer = if number % 2 == 0 { kept.get("/") } else { get(&listen, "/") };
                    assert_eq!(answer.unwrap().status, 200);
                    good.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let download = {
        let listen = listen.clone();
        thread::spawn(move || get(&listen, "/slow").unwrap().body.len())
    };
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    let made = world.update(KIND, &identity, &value, &given(&listen, &[&next[0], &next[1]])).unwrap();
    value = made.value;
    assert_eq!(made.notes, Vec::<String>::new());
    assert!(start.elapsed() > Duration::from_secs(1), "the download had to finish first");
    assert_eq!(download.join().unwrap(), 2000);
    let mut quickest = Duration::MAX;
    for round in 0..6 {
        std::mem::swap(&mut now, &mut next);
        // Those that left are gone at once, as servers that are replaced.
        next = [Backend::new("x"), Backend::new("y")];
        let start = Instant::now();
        value = world.update(KIND, &identity, &value, &given(&listen, &[&next[0], &next[1]])).unwrap().value;
        quickest = quickest.min(start.elapsed());
        if round % 2 == 0 {
            thread::sleep(Duration::from_millis(100));
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    println!("{} requests, no failure; quickest swap {quickest:?}", good.load(Ordering::SeqCst));
    world.delete(KIND, &identity);
}

fn cuts_after_the_drain(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let (identity, value) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    let mut client = Client::new(&listen).unwrap();
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client.head().unwrap();
    let mut changed = given(&listen, &[&two]);
    changed.push(("drain", "600ms".into()));
    let made = thread::scope(|scope| {
        let changing = scope.spawn(|| world.update(KIND, &identity, &value, &changed).unwrap());
        // Whoever looks meanwhile is told of both: who takes the server of one that has not finished must wait for it.
        let both = texts(&[two.target(), one.target()]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.lab.read(KIND, &identity, &value).unwrap().unwrap().get("targets") != Some(&both) {
            assert!(Instant::now() < deadline, "nothing was told of the target that leaves");
            thread::sleep(Duration::from_millis(2));
        }
        changing.join().unwrap()
    });
    assert_eq!(made.notes.len(), 1, "{:?}", made.notes);
    assert!(made.notes[0].contains(&one.target()), "{:?}", made.notes);
    let mut rest = Vec::new();
    let end = client.raw().read_to_end(&mut rest);
    assert!(end.is_err() || !rest.ends_with(b"0\r\n\r\n"), "an answer that was cut does not look whole");
    world.delete(KIND, &identity);
}

fn moves_to_another_port(world: &World) {
    let (here, there, one) = (free_port(), free_port(), Backend::new("one"));
    let (identity, value) = world.create(KIND, &given(&here, &[&one])).unwrap();
    let failure = world.update(KIND, &identity, &value, &given("192.0.2.77:80", &[&one])).unwrap_err();
    assert!(failure.detail.contains("no address of this machine"), "{failure}");
    assert_eq!(get(&here, "/").unwrap().status, 200);
    let value = world.update(KIND, &identity, &value, &given(&there, &[&one])).unwrap().value;
    assert_eq!(value.get_str("listen"), Some(there.as_str()));
    assert_eq!(get(&there, "/").unwrap().status, 200);
    // Who does not know of the move yet is served, for as long as such come.
    assert_eq!(get(&here, "/").unwrap().status, 200);
    let value = world.update(KIND, &identity, &value, &given(&here, &[&one])).unwrap().value;
    world.update(KIND, &identity, &value, &given(&there, &[&one])).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpListener::bind(&here).is_err() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(get(&there, "/").unwrap().status, 200);
    world.delete(KIND, &identity);
}

fn says_who_has_the_port(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    let failure = world.create(KIND, &[("listen", listen.as_str().into())]).unwrap_err();
    assert!(failure.detail.contains(&format!("process {}", std::process::id())), "{failure}");
}

fn killed(world: &World) {
    let listen = free_port();
    let (identity, value) = world.create(KIND, &[("listen", listen.as_str().into())]).unwrap();
    run("kill", &["-9", &init(&identity)]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let down = loop {
        let now = world.lab.read(KIND, &identity, &value).unwrap().unwrap();
        if now.get("running") == Some(&Value::from(false)) {
            break now;
        }
        assert!(Instant::now() < deadline);
    };
    assert_eq!(world.lab.resolve(KIND, &identity).unwrap(), andon_lab::Found::Partial);
    let up = world.update(KIND, &identity, &down, &[("listen", listen.as_str().into())]).unwrap().value;
    assert_eq!(up, value);
    world.delete(KIND, &identity);
    let (identity, _) = world.create(KIND, &[("listen", listen.as_str().into())]).unwrap();
    world.delete(KIND, &identity);
}

fn gives_way(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let wanted = given(&listen, &[&one, &two]);
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    let old = init(&identity);
    // As it is after this program has become another.
    let path = world.data.path().join("lab/objects").join(identity.as_str());
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["value"]["version"] = "0.0.1".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let now = world.lab.read(KIND, &identity, &value).unwrap().unwrap();
    assert_eq!(now.get_str("version"), Some("0.0.1"));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (listen, stop) = (listen.clone(), stop.clone());
            thread::spawn(move || {
                let (mut kept, mut good) = (None, 0);
                while !stop.load(Ordering::SeqCst) {
                    let mut client = kept.take().unwrap_or_else(|| Client::new(&listen).unwrap());
                    let answer = client.get("/").unwrap();
                    assert_eq!(answer.status, 200);
                    // One that is told so comes again.
                    let stays = !answer.head.to_lowercase().contains("connection: close");
                    kept = Some(client).filter(|_| number % 2 == 0 && stays);
                    good += 1;
                }
                good
            })
        })
        .collect();
    let download = {
        let listen = listen.clone();
        thread::spawn(move || get(&listen, "/slow").unwrap().body.len())
    };
    let mut switched = Client::new(&listen).unwrap();
    switched.send("GET /switch HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    switched.head().unwrap();
    thread::sleep(Duration::from_millis(300));
    let value = world.update(KIND, &identity, &now, &wanted).unwrap().value;
    assert_eq!(value.get_str("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(world.lab.read(KIND, &identity, &value).unwrap(), Some(value.clone()));
    // What was begun goes on with the old process.
    switched.send("hello").unwrap();
    let mut bytes = [0; 5];
    switched.raw().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(download.join().unwrap(), 2000);
    stop.store(true, Ordering::SeqCst);
    let good: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    println!("{good} requests, no failure");
    let status = world.lab.balancer_status(&identity).unwrap();
    assert!(status["counts"]["requests"].as_u64().unwrap() > 0, "{status}");
    assert!(status["targets"].as_array().unwrap().iter().all(|target| target["healthy"] == true), "{status}");
    // It ends with the last that it had begun.
    drop(switched);
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes(&identity).contains(&old) {
        assert!(Instant::now() < deadline, "the old process stays");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(&listen, "/").unwrap().status, 200);
    // And it may change as ever.
    world.update(KIND, &identity, &value, &given(&listen, &[&two])).unwrap();
    assert_eq!(get(&listen, "/").unwrap().text(), "two");
    world.delete(KIND, &identity);
    assert!(get(&listen, "/").is_err());
}
