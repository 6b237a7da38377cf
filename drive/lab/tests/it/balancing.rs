//! What balancers do with what is asked of them: TLS, TCP, shares, clients that stay, counts, limits.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use andon_value::{Number, Type, Value};

use crate::Test;
use crate::backend::{Backend, Client, free_port, get};
use crate::world::{World, init, run, texts};

pub const TESTS: &[Test] = &[
    ("balancer_speaks_tls_and_http2", speaks_tls),
    ("balancer_passes_connections_through", passes_connections),
    ("balancer_shares_by_weight", shares_by_weight),
    ("balancer_keeps_clients_with_their_target", keeps_clients),
    ("balancer_counts", counts),
    ("balancer_refuses_what_is_ambiguous_or_too_much", refuses),
    ("balancer_changes_everything_under_load", changes_under_load),
    ("balancer_asks_for_health_as_told", asks_for_health),
    ("balancer_with_targets_serves_them_again_after_a_kill", started_again),
    ("balancer_listens_on_all_addresses_and_back", widens),
    ("balancer_leaves_an_address_that_it_failed_to_come_back_to", leaves_again),
    ("balancer_has_as_many_clients_as_it_may", crowded),
    ("balancer_refuses_settings_that_disagree", disagreeing),
    ("balancer_writes_requests_down", written_down),
];

const KIND: &str = "lab_balancer";

fn given(listen: &str, targets: &[&Backend]) -> Vec<(&'static str, Value)> {
    let targets: Vec<String> = targets.iter().map(|target| target.target()).collect();
    vec![("listen", listen.into()), ("targets", texts(&targets)), ("interval", "50ms".into()), ("wait", "2s".into())]
}

/// A certificate for names, and its key.
struct Certificate {
    pem: String,
    key: String,
}

impl Certificate {
    fn new(names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate { pem: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

fn tls(certificates: &[&Certificate]) -> (&'static str, Value) {
    let pair = |one: &&Certificate| {
        Value::object([("certificate", Value::from(one.pem.as_str())), ("key", Value::from(one.key.as_str()))])
    };
    let pairs: Vec<Value> = certificates.iter().map(pair).collect();
    ("tls", Value::list(pairs[0].ty(), pairs))
}

fn weights(of: &[(&Backend, &str)]) -> (&'static str, Value) {
    let weight = |(backend, weight): &(&Backend, &str)| (backend.target(), Value::from(Number::parse(weight).unwrap()));
    ("weights", Value::map(Type::Number, of.iter().map(weight)))
}

/// What curl gets from a name that stands for the balancer's address, and trusts a certificate.
fn curl(world: &World, listen: &str, name: &str, trusted: &Certificate, arguments: &[&str]) -> (bool, String) {
    let file = world.data.path().join("trusted.pem");
    std::fs::write(&file, &trusted.pem).unwrap();
    let port = listen.rsplit(':').next().unwrap();
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "10", "--resolve", &format!("{name}:{port}:127.0.0.1"), "--cacert"])
        .arg(&file)
        .args(arguments)
        .arg(format!("https://{name}:{port}/headers"))
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.to_lowercase())
}

fn speaks_tls(world: &World) {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl is not installed");
        return;
    }
    let (listen, one) = (free_port(), Backend::new("one"));
    let (shop, other, new) = (
        Certificate::new(&["shop.example"]),
        Certificate::new(&["*.other.example"]),
        Certificate::new(&["shop.example"]),
    );
    let mut wanted = given(&listen, &[&one]);
    wanted.push(tls(&[&shop, &other]));
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    for (name, certificate) in [("shop.example", &shop), ("www.other.example", &other)] {
        for (version, protocol) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let arguments = [version, "-w", "%{http_version}", "-b", "a=b; c=d"];
            let (good, text) = curl(world, &listen, name, certificate, &arguments);
            assert!(good && text.ends_with(protocol), "{text}");
            for line in ["x-forwarded-proto: https", &format!("host: {name}:"), "cookie: a=b; c=d"] {
                assert!(text.contains(line), "{line} is not in {text}");
            }
        }
    }
    // Bodies in both directions, by HTTP/2 and larger than any window.
    let file = world.data.path().join("body");
    std::fs::write(&file, vec![b'z'; 3 << 20]).unwrap();
    let port = listen.rsplit(':').next().unwrap();
    let echoed = Command::new("curl")
        .args(["-sSk", "--http2", "--max-time", "20", "--data-binary"])
        .arg(format!("@{}", file.display()))
        .arg(format!("https://127.0.0.1:{port}/echo"))
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(echoed.stdout.len(), 3 << 20, "{}", String::from_utf8_lossy(&echoed.stderr));
    // A new certificate, in place.
    let mut wanted = given(&listen, &[&one]);
    wanted.extend([tls(&[&new]), ("idle", "300ms".into())]);
    let value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
    assert!(curl(world, &listen, "shop.example", &new, &[]).0);
    assert!(!curl(world, &listen, "shop.example", &shop, &[]).0);
    // One that says nothing by HTTP/2 does not stay for ever.
    let mut silent = Command::new("openssl");
    silent.args(["s_client", "-quiet", "-alpn", "h2", "-connect", &listen]);
    match silent.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Err(_) => println!("skipped: openssl is not installed"),
        Ok(mut silent) => {
            let deadline = Instant::now() + Duration::from_secs(60);
            while silent.try_wait().unwrap().is_none() {
                assert!(Instant::now() < deadline, "it is still connected");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    // A key of another certificate is refused, and nothing changes.
    let mut wanted = given(&listen, &[&one]);
    wanted.push(tls(&[&Certificate { pem: new.pem.clone(), key: shop.key.clone() }]));
    let failure = world.update(KIND, &identity, &value, &wanted).unwrap_err();
    assert!(failure.summary.contains("tls[0].key"), "{failure}");
    assert!(curl(world, &listen, "shop.example", &new, &[]).0);
    // Nobody reads the key from a list of processes.
    let process = init(&identity);
    let command = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    assert!(!command.contains("PRIVATE KEY"), "{command}");
    // Plain TCP behind TLS.
    let mut wanted = given(&listen, &[&one]);
    wanted.extend([tls(&[&new]), ("mode", "tcp".into())]);
    let value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
    let (good, text) = curl(world, &listen, "shop.example", &new, &[]);
    assert!(good && !text.contains("x-forwarded"), "{text}");
    // Who came before the targets were others, and says hello after it, is served by those that are here.
    let (gate, opened) = std::sync::mpsc::channel();
    let late = hesitating(&listen, opened);
    thread::scope(|scope| {
        let client = scope.spawn(|| curl(world, &late, "shop.example", &new, &[]));
        let deadline = Instant::now() + Duration::from_secs(60);
        while world.lab.balancer_status(&identity).unwrap()["connections"] != 1 {
            assert!(Instant::now() < deadline, "the client has not come");
            thread::sleep(Duration::from_millis(5));
        }
        let two = Backend::new("two");
        let mut wanted = given(&listen, &[&two]);
        wanted.extend([tls(&[&new]), ("mode", "tcp".into())]);
        world.update(KIND, &identity, &value, &wanted).unwrap();
        drop(one);
        gate.send(()).unwrap();
        let (good, text) = client.join().unwrap();
        assert!(good, "{text}");
    });
    world.delete(KIND, &identity);
}

/// Where one connection is passed on to an address at once, and what is said by it from when the gate is opened.
fn hesitating(to: &str, opened: std::sync::mpsc::Receiver<()>) -> String {
    let (listener, to) = (TcpListener::bind("127.0.0.1:0").unwrap(), to.to_owned());
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut client, mut server) = (listener.accept().unwrap().0, TcpStream::connect(to).unwrap());
        opened.recv().unwrap();
        let (mut reader, mut writer) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut client, &mut server));
        let _ = std::io::copy(&mut reader, &mut writer);
    });
    address
}

fn passes_connections(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let mut wanted = given(&listen, &[&one, &two]);
    wanted.push(("mode", "tcp".into()));
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    let mut client = Client::new(&listen).unwrap();
    client.send("GET /switch HTTP/1.1\r\n\r\n").unwrap();
    client.head().unwrap();
    client.send("anything at all").unwrap();
    let mut bytes = [0; 15];
    client.raw().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"anything at all");
    // One that refuses is passed over.
    drop(one);
    for _ in 0..20 {
        assert_eq!(get(&listen, "/").unwrap().text(), "two");
    }
    // Connections that are open when their target leaves are cut when its time is over, and not before.
    let three = Backend::new("three");
    let mut next = given(&listen, &[&three]);
    next.extend([("mode", "tcp".into()), ("drain", "400ms".into())]);
    let mut stays = Client::new(&listen).unwrap();
    stays.send("GET /switch HTTP/1.1\r\n\r\n").unwrap();
    stays.head().unwrap();
    let start = Instant::now();
    let update = thread::scope(|scope| {
        let update = scope.spawn(|| world.update(KIND, &identity, &value, &next).unwrap());
        while start.elapsed() < Duration::from_millis(200) {
            stays.send("x").unwrap();
            stays.raw().read_exact(&mut [0]).unwrap();
        }
        update.join().unwrap()
    });
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(!update.notes.is_empty(), "{:?}", update.notes);
    assert!(!matches!(stays.raw().read(&mut [0]), Ok(1)));
    assert_eq!(get(&listen, "/").unwrap().text(), "three");
    // One that says nothing for too long is let go, and one that says little is not.
    let value = update.value;
    next.push(("idle", "400ms".into()));
    world.update(KIND, &identity, &value, &next).unwrap();
    let mut quiet = Client::new(&listen).unwrap();
    quiet.send("GET /switch HTTP/1.1\r\n\r\n").unwrap();
    quiet.head().unwrap();
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(100));
        quiet.send("x").unwrap();
        quiet.raw().read_exact(&mut [0]).unwrap();
    }
    let start = Instant::now();
    assert!(!matches!(quiet.raw().read(&mut [0]), Ok(1)));
    assert!((Duration::from_millis(300)..Duration::from_secs(20)).contains(&start.elapsed()), "{:?}", start.elapsed());
    world.delete(KIND, &identity);
}

fn shares_by_weight(world: &World) {
    let (listen, heavy, light, none) =
        (free_port(), Backend::new("heavy"), Backend::new("light"), Backend::new("none"));
    let mut wanted = given(&listen, &[&heavy, &light, &none]);
    wanted.push(weights(&[(&heavy, "3"), (&none, "0")]));
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    let of = |clients: usize| {
        let shares = thread::scope(|scope| {
            let ask = || {
                let mut client = Client::new(&listen).unwrap();
                (0..400 / clients).map(|_| client.get("/").unwrap().text().to_owned()).collect::<Vec<_>>()
            };
            let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        shares.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        counts
    };
    for clients in [1, 8] {
        let counts = of(clients);
        assert!((295..=305).contains(&counts["heavy"]) && counts.len() == 2, "{counts:?}");
    }
    let mut wanted = given(&listen, &[&heavy, &light, &none]);
    wanted.push(weights(&[(&heavy, "0"), (&none, "0.05")]));
    world.update(KIND, &identity, &value, &wanted).unwrap();
    let counts = of(1);
    assert!((15..=25).contains(&counts["none"]) && counts["light"] == 400 - counts["none"], "{counts:?}");
    world.delete(KIND, &identity);
}

fn keeps_clients(world: &World) {
    let listen = free_port();
    let backends = ["a", "b", "c"].map(Backend::new);
    let all: Vec<&Backend> = backends.iter().collect();
    let mut wanted = given(&listen, &all);
    wanted.push(("sticky", "cookie".into()));
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    let first = get(&listen, "/").unwrap();
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect(&first.head);
    assert!(cookie.contains("HttpOnly") && !cookie.contains("Secure"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let ask = |path: &str| {
        let mut client = Client::new(&listen).unwrap();
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\ncookie: x=y; {pair}\r\n\r\n")).unwrap();
        client.answer().unwrap()
    };
    for _ in 0..20 {
        let answer = ask("/");
        assert_eq!(answer.text(), first.text());
        assert!(!answer.head.contains("set-cookie"), "{}", answer.head);
    }
    let seen = ask("/headers").text().to_lowercase();
    assert!(seen.contains("cookie: x=y\r\n") && !seen.contains("andon_target"), "{seen}");
    // One that goes gives its clients to another.
    let left: Vec<&Backend> =
        all.iter().copied().filter(|backend| get(&backend.target(), "/").unwrap().text() != first.text()).collect();
    let mut wanted = given(&listen, &left);
    wanted.push(("sticky", "cookie".into()));
    let value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
    let answer = ask("/");
    assert!(answer.text() != first.text() && answer.head.contains("set-cookie"), "{}", answer.head);
    let mut wanted = given(&listen, &all);
    wanted.extend([("sticky", "source".into()), ("mode", "tcp".into())]);
    world.update(KIND, &identity, &value, &wanted).unwrap();
    let first = get(&listen, "/").unwrap();
    for _ in 0..20 {
        assert_eq!(get(&listen, "/").unwrap().text(), first.text());
    }
    world.delete(KIND, &identity);
}

fn counts(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let (identity, value) = world.create(KIND, &given(&listen, &[&one])).unwrap();
    for _ in 0..10 {
        get(&listen, "/").unwrap();
    }
    let mut client = Client::new(&listen).unwrap();
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello").unwrap();
    client.answer().unwrap();
    one.healthy.store(false, Ordering::SeqCst);
    client.get("/healthz").unwrap();
    let status = world.lab.balancer_status(&identity).unwrap();
    let (all, target) = (&status["counts"], &status["targets"][0]);
    for (name, count) in [("requests", 12), ("errors", 1), ("retries", 0), ("bytes_received", 5), ("bytes_sent", 35)] {
        assert_eq!(all[name], count, "{name}: {status}");
    }
    assert_eq!(target["counts"]["requests"], 12, "{status}");
    assert_eq!(target["counts"]["errors"], 1, "{status}");
    assert_eq!((&target["open"], &status["connections"]), (&0.into(), &1.into()), "{status}");
    assert!(status.get("settings").is_none());
    // What is counted is no difference between what is and what was.
    assert_eq!(world.lab.read(KIND, &identity, &value).unwrap(), Some(value));
    world.delete(KIND, &identity);
}

fn refuses(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let mut wanted = given(&listen, &[&one]);
    wanted.extend([("idle", "400ms".into()), ("answer", "600ms".into()), ("header_size", "8K".into())]);
    let (identity, _) = world.create(KIND, &wanted).unwrap();
    let answer = |text: &str| {
        let mut client = Client::new(&listen).unwrap();
        let _ = client.send(text);
        client.answer().map(|answer| answer.status).ok()
    };
    // A request whose end could be understood in two ways must not be passed on as it came (RFC 9112, section 6).
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\n";
    for bad in [
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "content-length: +5\r\n\r\nhello",
        "content-length: 5, 6\r\n\r\nhello",
        "transfer-encoding: gzip\r\n\r\nhello",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "content-length : 5\r\n\r\nhello",
        " content-length: 5\r\n\r\nhello",
    ] {
        let status = answer(&format!("{head}{bad}"));
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?} for {bad:?}");
    }
    // Both: the chunks count, the length is taken out, and nothing is left over as a request of its own.
    let mut client = Client::new(&listen).unwrap();
    client
        .send("POST /headers HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        .unwrap();
    if let Ok(answer) = client.answer() {
        let seen = answer.text().to_lowercase();
        assert!(answer.status >= 400 || !seen.contains("content-length"), "{seen}");
    }
    assert_eq!(answer(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000))), Some(431));
    // Of several hosts a target might take another one than whoever stands before it (RFC 9112, section 3.2).
    for (hosts, expected) in [
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("", 400),
        ("host: a b\r\n", 400),
        ("host: user@a\r\n", 400),
        ("host: a:8080\r\n", 200),
        ("host: [::1]:80\r\n", 200),
        ("host:\r\n", 200),
    ] {
        assert_eq!(answer(&format!("GET / HTTP/1.1\r\n{hosts}\r\n")), Some(expected), "{hosts:?}");
    }
    assert_eq!(answer("GET / HTTP/1.0\r\n\r\n"), Some(200));
    assert_eq!(answer("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"), Some(501));
    // Slow clients: one that does not finish its header is let go of, one that does not finish its body is told.
    let start = Instant::now();
    let mut slow = Client::new(&listen).unwrap();
    slow.send("GET / HTTP/1.1\r\nhost:").unwrap();
    let mut rest = Vec::new();
    let _ = slow.raw().read_to_end(&mut rest);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(answer("POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf"), Some(408));
    // A target that does not go on is not waited for, and one that goes on slowly is.
    let start = Instant::now();
    assert!(get(&listen, "/stall").is_err());
    assert!((Duration::from_millis(500)..Duration::from_secs(20)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(get(&listen, "/slow").unwrap().body.len(), 2000);
    assert_eq!(get(&listen, "/").unwrap().status, 200);
    world.delete(KIND, &identity);
}

fn changes_under_load(world: &World) {
    let (here, there) = (free_port(), free_port());
    let backends = ["a", "b", "c"].map(Backend::new);
    let all: Vec<&Backend> = backends.iter().collect();
    let (identity, mut value) = world.create(KIND, &given(&here, &all)).unwrap();
    let (stop, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (here, there, stop, moved) = (here.clone(), there.clone(), stop.clone(), moved.clone());
            thread::spawn(move || {
                let mut good = 0_usize;
                let mut kept: Option<(Client, bool)> = None;
                while !stop.load(Ordering::SeqCst) {
                    let to = moved.load(Ordering::SeqCst);
                    let (mut client, at) =
                        kept.take().unwrap_or_else(|| (Client::new(if to { &there } else { &here }).unwrap(), to));
                    let answer = client.get("/").unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    good += 1;
                    // One that is told to close comes again; every other client is new for each request.
                    if number % 2 == 0 && !answer.head.contains("connection: close") {
                        kept = Some((client, at));
                    }
                }
                good
            })
        })
        .collect();
    let changes: Vec<Vec<(&str, Value)>> = vec![
        vec![weights(&[(&backends[0], "5")])],
        vec![("sticky", "cookie".into())],
        vec![("sticky", "source".into())],
        vec![("health", "/healthz".into()), ("health_status", "200".into())],
        vec![("mode", "tcp".into())],
        vec![("answer", "20s".into()), ("connect", "3s".into()), ("header_size", "16K".into())],
    ];
    for change in changes.iter().chain(&changes) {
        let mut wanted = given(&here, &all);
        wanted.extend(change.iter().cloned());
        value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
        thread::sleep(Duration::from_millis(60));
    }
    // To another port: those who are connected at the old one go on until they are told.
    world.update(KIND, &identity, &value, &given(&there, &all)).unwrap();
    thread::sleep(Duration::from_millis(100));
    moved.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::SeqCst);
    let good: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    println!("{good} requests through {} changes, no failure", 2 * changes.len() + 1);
    world.delete(KIND, &identity);
}

fn asks_for_health(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let wanted = |statuses: &str| {
        let mut wanted = given(&listen, &[&one, &two]);
        wanted.extend([
            ("health", "/healthz".into()),
            ("health_status", statuses.into()),
            ("rise", Value::from(Number::parse("3").unwrap())),
            ("fall", Value::from(Number::parse("4").unwrap())),
        ]);
        wanted
    };
    let failure = world.create(KIND, &wanted("204")).unwrap_err();
    assert!(failure.detail.contains("was answered with 200"), "{failure}");
    let (identity, _) = world.create(KIND, &wanted("200-204")).unwrap();
    // How long it takes until the balancer has seen enough: the first answer may come at once.
    let wait = |healthy: bool| {
        let start = Instant::now();
        one.healthy.store(healthy, Ordering::SeqCst);
        loop {
            let status = world.lab.balancer_status(&identity).unwrap();
            let targets = status["targets"].as_array().unwrap();
            let target = targets.iter().find(|target| target["address"] == one.target()).unwrap();
            if target["healthy"] == healthy {
                return start.elapsed();
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{status}");
            thread::sleep(Duration::from_millis(5));
        }
    };
    let fell = wait(false);
    assert!(fell >= Duration::from_millis(150), "{fell:?}");
    for _ in 0..10 {
        assert_eq!(get(&listen, "/").unwrap().text(), "two");
    }
    let rose = wait(true);
    assert!(rose >= Duration::from_millis(100), "{rose:?}");
    world.delete(KIND, &identity);
}

fn started_again(world: &World) {
    let (listen, one, two) = (free_port(), Backend::new("one"), Backend::new("two"));
    let wanted = given(&listen, &[&one, &two]);
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    run("kill", &["-9", &init(&identity)]);
    // One that is ill meanwhile keeps no other from being asked.
    drop(two);
    let deadline = Instant::now() + Duration::from_secs(30);
    while get(&listen, "/").is_ok() {
        assert!(Instant::now() < deadline);
    }
    world.update(KIND, &identity, &value, &wanted).unwrap();
    for _ in 0..5 {
        assert_eq!(get(&listen, "/").unwrap().text(), "one");
    }
    world.delete(KIND, &identity);
}

fn leaves_again(world: &World) {
    let (here, there, one) = (free_port(), free_port(), Backend::new("one"));
    let (identity, value) = world.create(KIND, &given(&here, &[&one])).unwrap();
    let value = world.update(KIND, &identity, &value, &given(&there, &[&one])).unwrap().value;
    // Back, while clients may still come here, but with a target that is never well.
    let targets = texts(&[free_port()]);
    let ill =
        [("listen", here.as_str().into()), ("targets", targets), ("interval", "50ms".into()), ("wait", "300ms".into())];
    let failure = world.update(KIND, &identity, &value, &ill).unwrap_err();
    assert!(failure.summary.contains("not healthy"), "{failure}");
    assert_eq!(get(&there, "/").unwrap().text(), "one");
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(&here).is_ok() {
        assert!(Instant::now() < deadline, "the address that was left is still served");
        thread::sleep(Duration::from_millis(1200));
    }
    world.delete(KIND, &identity);
}

fn widens(world: &World) {
    let (narrow, one) = (free_port(), Backend::new("one"));
    let wide = narrow.replace("127.0.0.1", "0.0.0.0");
    let elsewhere = narrow.replace("127.0.0.1", "127.0.0.2");
    let (identity, mut value) = world.create(KIND, &given(&narrow, &[&one])).unwrap();
    let mut client = Client::new(&narrow).unwrap();
    assert_eq!(client.get("/").unwrap().text(), "one");
    for (listen, other) in [(&wide, true), (&narrow, false), (&wide, true)] {
        value = world.update(KIND, &identity, &value, &given(listen, &[&one])).unwrap().value;
        assert_eq!(get(&narrow, "/").unwrap().text(), "one");
        assert!(get(&elsewhere, "/").is_ok() || !other);
        // Nobody else gets in between.
        assert!(std::net::TcpListener::bind(&*narrow).is_err());
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    value = world.update(KIND, &identity, &value, &given(&narrow, &[&one])).unwrap().value;
    while get(&elsewhere, "/").is_ok() {
        assert!(Instant::now() < deadline, "the old address is left");
        thread::sleep(Duration::from_millis(1200));
    }
    assert_eq!(get(&narrow, "/").unwrap().text(), "one");
    // What is somebody else's is not taken.
    let others = std::net::TcpListener::bind(free_port()).unwrap();
    let taken = others.local_addr().unwrap().to_string().replace("127.0.0.1", "0.0.0.0");
    let failure = world.update(KIND, &identity, &value, &given(&taken, &[&one])).unwrap_err();
    assert!(failure.summary.contains("cannot listen"), "{failure}");
    world.delete(KIND, &identity);
}

fn crowded(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let most = |count: &str| ("clients", Value::from(Number::parse(count).unwrap()));
    let wanted = |count| [given(&listen, &[&one]), vec![most(count)]].concat();
    let (identity, value) = world.create(KIND, &wanted("2")).unwrap();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::new(&listen).unwrap()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().text(), "one");
    }
    let mut third = Client::new(&listen).unwrap();
    third.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    third.raw().get_mut().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.answer().is_err(), "it waits for its turn");
    clients.pop();
    third.raw().get_mut().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(third.answer().unwrap().text(), "one");
    world.update(KIND, &identity, &value, &wanted("3")).unwrap();
    assert_eq!(get(&listen, "/").unwrap().text(), "one");
    world.delete(KIND, &identity);
}

fn disagreeing(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let check = |more: Vec<(&'static str, Value)>, part: &str| {
        let mut wanted = given(&listen, &[&one]);
        wanted.extend(more);
        let failure = world.lab.plan(KIND, None, &crate::world::config(KIND, &wanted)).unwrap_err();
        assert!(failure.summary.contains(part), "{failure}");
    };
    check(vec![("mode", "udp".into())], "`udp` is no mode");
    check(vec![("mode", "tcp".into()), ("sticky", "cookie".into())], "cookie needs requests");
    check(
        vec![("weights", Value::map(Type::Number, [("10.0.0.9:80", Value::from(Number::parse("2").unwrap()))]))],
        "no target",
    );
    check(vec![("health", Value::null(Type::String)), ("health_status", "200".into())], "nothing without `health`");
    check(vec![("rise", Value::from(Number::parse("0").unwrap()))], "`0` is no number of times");
    check(vec![("sticky", "always".into())], "keeps no client");
    check(vec![("header_size", "1".into())], "no size for a header");
}

fn written_down(world: &World) {
    let (listen, one) = (free_port(), Backend::new("one"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = ("access_log", Value::from(path.to_str().unwrap()));
    let mut wanted = given(&listen, &[&one]);
    let (identity, value) = world.create(KIND, &wanted).unwrap();
    get(&listen, "/not-written").unwrap();
    // What cannot be written is refused, and nothing is changed.
    let nowhere = directory.path().join("nowhere/access.log");
    let bad = [wanted.clone(), vec![("access_log", nowhere.to_str().unwrap().into())]].concat();
    let failure = world.update(KIND, &identity, &value, &bad).unwrap_err();
    assert!(failure.summary.contains("cannot be written"), "{failure}");
    assert_eq!(get(&listen, "/not-written").unwrap().status, 200);
    wanted.push(log.clone());
    let value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
    let lines = |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect::<Vec<_>>();
            }
            assert!(Instant::now() < deadline, "{text}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    let mut client = Client::new(&listen).unwrap();
    client.send("GET /?a=1 HTTP/1.1\r\nhost: a\r\nreferer: http://b/\r\nuser-agent: a \"b\"\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().text(), "one");
    client.send("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 400);
    let written = lines(2);
    let (head, rest) = written[0].split_once(" [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!((head, rest), ("127.0.0.1 - -", "\"GET /?a=1 HTTP/1.1\" 200 3 \"http://b/\" \"a \\\"b\\\"\""));
    let shape: String = time.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    assert!(shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"), "{time}");
    assert!(written[1].contains("\"GET /healthz HTTP/1.1\" 400 "), "{}", written[1]);
    // Another file, another format.
    let path_of_json = directory.path().join("access.json");
    wanted.retain(|(name, _)| *name != "access_log");
    wanted.push(("access_log", path_of_json.to_str().unwrap().into()));
    wanted.push(("access_log_format", "json".into()));
    let value = world.update(KIND, &identity, &value, &wanted).unwrap().value;
    client.send("POST /echo HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhello").unwrap();
    assert_eq!(client.answer().unwrap().text(), "hello");
    let deadline = Instant::now() + Duration::from_secs(60);
    let line = loop {
        let text = std::fs::read_to_string(&path_of_json).unwrap();
        match text.lines().next() {
            Some(line) => break serde_json::from_str::<serde_json::Value>(line).unwrap(),
            None => assert!(Instant::now() < deadline),
        }
    };
    for (name, expected) in [
        ("client", "127.0.0.1".into()),
        ("method", "POST".into()),
        ("path", "/echo".into()),
        ("host", "shop.example".into()),
        ("protocol", "HTTP/1.1".into()),
        ("status", serde_json::Value::from(200)),
        ("bytes", 5.into()),
        ("target", one.target().into()),
        ("referer", serde_json::Value::Null),
    ] {
        assert_eq!(line[name], expected, "{line}");
    }
    assert!(line["seconds"].as_f64().unwrap() < 10.0 && line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!(lines(2).len(), 2, "the one before is not written any more");
    assert_eq!(world.lab.balancer_status(&identity).unwrap()["access_log"]["lost"], 0);
    world.update(KIND, &identity, &value, &given(&listen, &[&one])).unwrap();
    get(&listen, "/not-written").unwrap();
    world.delete(KIND, &identity);
    assert_eq!(std::fs::read_to_string(&path_of_json).unwrap().lines().count(), 1, "it stays, and nothing is added");
}
