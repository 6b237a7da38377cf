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
    ("names_are_each_environments_own", each_environments_own),
    ("names_follow_networks", follow_networks),
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
fn recorded(
    world: &World,
    (owner, environment): (&str, Option<&str>),
    kind: &str,
    given: &[(&str, Value)],
) -> (Identity, Value) {
    let identity = world.identity();
    let (planned, _) = world.lab.plan(kind, None, &config(kind, given)).unwrap();
    let lower_dirs = vec!["/".into()];
    let environment = environment.map(str::to_owned);
    let extra = CreateExtra { owner: owner.to_owned(), environment, lower_dirs, ..Default::default() };
    let made = world.lab.create(kind, &identity, &planned, &extra).unwrap_or_else(|(failure, _)| panic!("{failure}"));
    (identity, made.value)
}

/// A server that does not run, as it needs no image to be named.
fn stopped(world: &World, of: (&str, Option<&str>), network: &Identity) -> (Identity, Vec<u8>) {
    let given =
        [("name", "db".into()), ("image", "i".into()), ("network", network.as_str().into()), ("running", false.into())];
    let (identity, value) = recorded(world, of, "lab_server", &given);
    (identity, address(value.get_str("address").unwrap()))
}

fn each_owners_own(world: &World) {
    let mut made = Vec::new();
    let mut data = Vec::new();
    // Two networks of one owner and one of another; two have the same name.
    for (owner, name) in [("one", "app"), ("one", "data"), ("other", "app")] {
        let (network, value) = recorded(world, (owner, None), "lab_network", &[("name", name.into())]);
        let (server, of) = stopped(world, (owner, None), &network);
        data.push((value.get_str("gateway").unwrap().to_owned(), of));
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

/// Two environments of one project, with the same networks in each.
fn each_environments_own(world: &World) {
    let mut made = Vec::new();
    let mut make = |environment: Option<&str>, name: &str| {
        let of = ("shop", environment);
        let (network, value) = recorded(world, of, "lab_network", &[("name", name.into())]);
        let (server, at) = stopped(world, of, &network);
        made.push((server, network.clone()));
        (network, value, at)
    };
    let gateway = |value: &Value| value.get_str("gateway").unwrap().to_owned();
    let (_, dev_front, _) = make(Some("dev"), "front");
    let (_, _, dev_db) = make(Some("dev"), "back");
    let (_, staging_front, _) = make(Some("staging"), "front");
    let (_, staging_back, staging_db) = make(Some("staging"), "back");
    let (dev, staging) = (gateway(&dev_front), gateway(&staging_front));
    assert_eq!(ask(&dev, "db.back.lab", A), (0, vec![dev_db.clone()]));
    assert_eq!(ask(&staging, "db.back.lab", A), (0, vec![staging_db]));
    let backwards = gateway(&staging_back).split('.').rev().collect::<Vec<_>>().join(".");
    let (_, named) = ask(&dev, &format!("{backwards}.in-addr.arpa"), PTR);
    assert!(named.is_empty(), "the address of another environment has a name: {named:?}");
    // One of before environments were recorded is known to all of the project, until it changes.
    let (old, value, old_db) = make(None, "old");
    assert_eq!(ask(&dev, "db.old.lab", A), (0, vec![old_db.clone()]));
    assert_eq!(ask(&gateway(&value), "db.back.lab", A).1.len(), 2);
    let extra = CreateExtra { owner: "shop".to_owned(), environment: Some("dev".to_owned()), ..Default::default() };
    world.lab.update("lab_network", &old, &value, &value, &extra).unwrap_or_else(|(failure, _)| panic!("{failure}"));
    assert_eq!(ask(&gateway(&value), "db.back.lab", A), (0, vec![dev_db]));
    assert_eq!(ask(&dev, "db.old.lab", A), (0, vec![old_db]));
    assert_eq!(ask(&staging, "db.old.lab", A), (3, vec![]));
    for (server, network) in made {
        world.delete("lab_server", &server);
        world.delete("lab_network", &network);
    }
}

/// The network gets another name: its servers have it at once, those that run and the one that does not.
fn follow_networks(world: &World) {
    if crate::world::root().is_none() {
        return;
    }
    let (app, value) = network(world, "app");
    let server = |name: &str| {
        let given =
            [("name", name.into()), ("image", "i".into()), ("init", "andon".into()), ("network", app.as_str().into())];
        (given.clone(), world.create("lab_server", &given).unwrap())
    };
    let (_, (web, _)) = server("web");
    let (_, (own, _)) = server("own");
    let (given, (idle, of_idle)) = server("idle");
    let with = |running: bool| [&given[..], &[("running", running.into())]].concat();
    let of_idle = world.update("lab_server", &idle, &of_idle, &with(false)).unwrap().value;
    let by_hand = "nameserver 192.0.2.1\n";
    inside(&own, &format!("printf '{by_hand}' > /etc/resolv.conf"));
    let gateway = value.get_str("gateway").unwrap();
    let made = world.update("lab_network", &app, &value, &[("name", "shop".into())]).unwrap();
    assert_eq!(made.notes, Vec::<String>::new());
    world.update("lab_server", &idle, &of_idle, &with(true)).unwrap();
    let expected = format!("nameserver {gateway}\nsearch shop.lab\n");
    for (server, expected) in [(&web, &*expected), (&idle, &*expected), (&own, by_hand)] {
        assert_eq!(inside(server, "cat /etc/resolv.conf"), expected);
    }
    assert!(inside(&web, "getent ahostsv4 idle").starts_with(of_idle.get_str("address").unwrap()));
    for server in [&web, &own, &idle] {
        world.delete("lab_server", server);
    }
    world.delete("lab_network", &app);
}

fn come_back(world: &World) {
    let (app, network) = network(world, "app");
    let gateway = network.get_str("gateway").unwrap();
    run("sh", &["-c", &format!("kill -9 $(pgrep -f '__lab-names.*{app}')")]);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
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
