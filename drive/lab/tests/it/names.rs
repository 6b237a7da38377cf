//! The names of networks, asked for by servers and by packets made here.

use std::net::UdpSocket;
use std::time::Duration;

use andon_lab::CreateExtra;
use andon_schema::Identity;
use andon_value::Value;

use crate::Test;
use crate::world::{World, config, inside, run};

pub const TESTS: &[Test] = &[
    ("names_follow_servers", follow_servers),
    ("names_are_each_owners_own", each_owners_own),
    ("names_come_back_with_the_network", come_back),
];

const A: u16 = 1;
const AAAA: u16 = 28;
const PTR: u16 = 12;

/// What a network's gateway answers: the code of the answer, and the data of its records.
fn ask(gateway: &str, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut question: Vec<u8> = [77_u16, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.push(0);
    question.extend([kind, 1].into_iter().flat_map(u16::to_be_bytes));
    socket.send_to(&question, (gateway, 53)).unwrap();
    let mut answer = [0; 1500];
    let count = socket.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], question[..2]);
    let mut records = Vec::new();
    let mut rest = &answer[question.len()..count];
    while let [_, _, _, _, _, _, _, _, _, _, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        records.push(tail[..length].to_vec());
        rest = &tail[length..];
    }
    (answer[3] & 0xf, records)
}

fn address(text: &str) -> Vec<u8> {
    text.split('.').map(|octet| octet.parse().unwrap()).collect()
}

fn network(world: &World, name: &str) -> (Identity, Value) {
    let identity = world.identity();
    let made = world.create_as("lab_network", &identity, &[("name", name.into())]).unwrap();
    let said: Vec<&String> = made.notes.iter().filter(|note| note.contains("names")).collect();
    assert!(said.is_empty(), "{said:?}");
    (identity, made.value)
}

fn follow_servers(world: &World) {
    let (app, network) = network(world, "App");
    let gateway = network.get_str("gateway").unwrap();
    let server = |name: &str| {
        world
            .create("lab_server", &[("name", name.into()), ("image", "i".into()), ("network", app.as_str().into())])
            .unwrap()
    };
    let (first, one) = server("web-0");
    let (second, two) = server("Web-1");
    let (here, there) = (one.get_str("address").unwrap(), two.get_str("address").unwrap());
    assert_eq!(ask(gateway, "web-0.app.lab", A), (0, vec![address(here)]));
    assert_eq!(ask(gateway, "WEB-1.APP.lab", A), (0, vec![address(there)]));
    let named = |name: &str, address: &str| {
        let parts = [("name", name), ("address", address), ("network", app.as_str())];
        world.lab.is_named(&Value::object(parts.map(|(part, text)| (part, Value::from(text)))))
    };
    assert_eq!((world.lab.is_named(&one), world.lab.is_named(&two)), (Some(true), Some(true)));
    assert_eq!((named("web-0", there), named("web-2", here)), (Some(false), Some(false)));
    assert_eq!(ask(gateway, "gateway.app.lab", A), (0, vec![address(gateway)]));
    assert_eq!(ask(gateway, "web-0.app.lab", AAAA), (0, vec![]));
    assert_eq!(ask(gateway, "web-2.app.lab", A), (3, vec![]));
    assert_eq!(ask(gateway, "web-0.other.lab", A), (3, vec![]));
    let backwards = |address: &str| {
        let octets: Vec<&str> = address.split('.').rev().collect();
        format!("{}.in-addr.arpa", octets.join("."))
    };
    assert_eq!(ask(gateway, &backwards(there), PTR), (0, vec![b"\x05web-1\x03app\x03lab\0".to_vec()]));
    // As the programs of a server ask, by the whole name and by the short one.
    assert!(inside(&first, "getent ahostsv4 web-1.app.lab").starts_with(there));
    assert!(inside(&first, "getent ahostsv4 web-1").starts_with(there));
    assert!(inside(&second, &format!("getent hosts {here}")).contains("web-0.app.lab"));
    // A new name counts at once, and so does that one is gone.
    let given = [("name", "shop".into()), ("image", "i".into()), ("network", app.as_str().into())];
    world.update("lab_server", &first, &one, &given).unwrap();
    assert_eq!(ask(gateway, "shop.app.lab", A), (0, vec![address(here)]));
    assert_eq!(ask(gateway, "web-0.app.lab", A), (3, vec![]));
    world.delete("lab_server", &second);
    assert_eq!(ask(gateway, "web-1.app.lab", A), (3, vec![]));
    world.delete("lab_server", &first);
    world.delete("lab_network", &app);
}

/// A server that is only on record: names need no more.
fn recorded(world: &World, owner: &str, kind: &str, given: &[(&str, Value)]) -> (Identity, Value) {
    let identity = world.identity();
    let (planned, _) = world.lab.plan(kind, None, &config(kind, given)).unwrap();
    let lower_dirs = vec!["/".into()];
    let extra = CreateExtra { owner: owner.to_owned(), lower_dirs, ..Default::default() };
    let made = world.lab.create(kind, &identity, &planned, &extra).unwrap_or_else(|(failure, _)| panic!("{failure}"));
    (identity, made.value)
}

fn each_owners_own(world: &World) {
    let stopped = |owner: &str, network: &Identity| {
        let given = [
            ("name", "db".into()),
            ("image", "i".into()),
            ("network", network.as_str().into()),
            ("running", false.into()),
        ];
        recorded(world, owner, "lab_server", &given)
    };
    let mut made = Vec::new();
    let mut data = Vec::new();
    // Two networks of one owner and one of another; two have the same name.
    for (owner, name) in [("one", "app"), ("one", "data"), ("other", "app")] {
        let (network, value) = recorded(world, owner, "lab_network", &[("name", name.into())]);
        let (server, of) = stopped(owner, &network);
        data.push((value.get_str("gateway").unwrap().to_owned(), address(of.get_str("address").unwrap())));
        made.push((server, network));
    }
    let [(app, in_app), (back, in_data), (foreign, in_foreign)] = &data[..] else { panic!() };
    assert_eq!(ask(app, "db.app.lab", A), (0, vec![in_app.clone()]));
    assert_eq!(ask(app, "db.data.lab", A), (0, vec![in_data.clone()]));
    assert_eq!(ask(back, "db.app.lab", A), (0, vec![in_app.clone()]));
    assert_eq!(ask(foreign, "db.app.lab", A), (0, vec![in_foreign.clone()]));
    assert_eq!(ask(foreign, "db.data.lab", A), (3, vec![]));
    for (server, network) in made {
        world.delete("lab_server", &server);
        world.delete("lab_network", &network);
    }
}

fn come_back(world: &World) {
    let (app, network) = network(world, "app");
    let gateway = network.get_str("gateway").unwrap();
    run("sh", &["-c", &format!("kill -9 $(pgrep -f '__lab-names.*{app}')")]);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let down = loop {
        let now = world.lab.read("lab_network", &app, &network).unwrap().unwrap();
        if now.get("up") == Some(&Value::from(false)) {
            break now;
        }
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    };
    world.update("lab_network", &app, &down, &[("name", "app".into())]).unwrap();
    assert_eq!(ask(gateway, "gateway.app.lab", A), (0, vec![address(gateway)]));
    world.delete("lab_network", &app);
}
