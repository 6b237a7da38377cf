//! Pools and the balancers that follow them, a step at a time.

use std::collections::BTreeMap;

use andon_lab::{CreateExtra, MemberNote, Standing};
use andon_value::{Number, Value};
use serde_json::json;

use crate::Test;
use crate::backend::{free_port, get};
use crate::world::{World, config, root};

pub const TESTS: &[Test] = &[("pool_that_one_balancer_cannot_follow_leaves_all_as_they_were", all_or_none)];

fn number(text: &str) -> Value {
    Value::from(Number::parse(text).unwrap())
}

fn all_or_none(world: &World) {
    let Some(root) = root() else { return };
    let (net, network) = world.create("lab_network", &[]).unwrap();
    let pool = world.identity();
    let given = [
        ("name", "web".into()),
        ("size", number("2")),
        ("image", format!("sha256:{}", "0".repeat(64)).as_str().into()),
        ("network", network.get_str("id").unwrap().into()),
        ("init", "andon".into()),
    ];
    let (planned, _) = world.lab.plan("lab_pool", None, &config("lab_pool", &given)).unwrap();
    let extra = CreateExtra { owner: "test".to_owned(), lower_dirs: Vec::new(), ..CreateExtra::default() };
    world.lab.create("lab_pool", &pool, &planned, &extra).unwrap();
    let session = world.lab.pool(&pool).unwrap();
    let version = session.version(&planned).unwrap();
    let note = |serial| MemberNote { serial, version: version.clone(), good: true };
    session.write(&json!({}), &[note(0), note(1)], &Standing::default()).unwrap();
    for serial in [0, 1] {
        let order = session.order(&version, serial as usize).unwrap();
        assert_eq!(order.get_str("name"), Some(&*format!("web-{serial}")));
        session.make(serial, &order, vec![root.clone()]).unwrap();
    }
    // The supervisor of each member answers on this port; nobody does on the other one.
    let follow = |port: &str| {
        let listen = free_port();
        let wanted = [
            ("listen", Value::from(listen.as_str())),
            ("pool", pool.as_str().into()),
            ("port", number(port)),
            ("wait", "1s".into()),
        ];
        (listen, world.create("lab_balancer", &wanted).unwrap().0)
    };
    let asked = |listen: &str| get(listen, "/").unwrap().status;
    let one = |serial: u64| BTreeMap::from([(serial, 1000)]);
    let (first, first_id) = follow("7780");
    assert_eq!(asked(&first), 503, "nobody serves yet");
    session.share(&one(0), &|| false).unwrap();
    assert_eq!(asked(&first), 200);
    session.share(&BTreeMap::new(), &|| false).unwrap();
    let (_, deaf_id) = follow("7781");
    let (third, third_id) = follow("7780");
    let failure = session.share(&one(1), &|| false).unwrap_err();
    assert!(failure.summary.contains("not healthy"), "{failure}");
    assert!(failure.help.iter().all(|help| !help.contains("put back")), "{failure:?}");
    for listen in [&first, &third] {
        assert_eq!(asked(listen), 503, "its requests go where they went before");
    }
    world.delete("lab_balancer", &deaf_id);
    session.share(&one(1), &|| false).unwrap();
    for listen in [&first, &third] {
        assert_eq!(asked(listen), 200);
    }
    // Where it cannot be written down any more where requests went before, they go there all the same.
    session.share(&BTreeMap::new(), &|| false).unwrap();
    let (_, deaf_id) = follow("7781");
    let table = world.data.path().join("pools").join(pool.as_str()).join("table");
    let spoil = || {
        if table.is_file() {
            std::fs::remove_file(&table).unwrap();
            std::fs::create_dir_all(table.join("in-the-way")).unwrap();
        }
        false
    };
    let failure = session.share(&one(1), &spoil).unwrap_err();
    assert!(failure.help.iter().any(|help| help.contains("could not be written down")), "{failure:?}");
    assert!(failure.help.iter().all(|help| !help.contains("put back")), "{failure:?}");
    for listen in [&first, &third] {
        assert_eq!(asked(listen), 503, "its requests go where they went before");
    }
    std::fs::remove_dir_all(&table).unwrap();
    world.delete("lab_balancer", &deaf_id);
    // Who is to stop waits for nobody, and whoever goes on is not held up by it.
    session.share(&BTreeMap::new(), &|| false).unwrap();
    let (_, deaf_id) = follow("7781");
    let failure = session.share(&one(0), &|| true).unwrap_err();
    assert!(failure.detail.contains("stopped by hand"), "{failure}");
    world.delete("lab_balancer", &deaf_id);
    session.share(&one(1), &|| false).unwrap();
    for listen in [&first, &third] {
        assert_eq!(asked(listen), 200);
    }
    // What was written down and cannot be read is not taken for nothing.
    assert!(session.state().unwrap().is_some());

    let state = world.data.path().join("pools").join(pool.as_str()).join("state");
    let before = std::fs::read(&state).unwrap();
    std::fs::write(&state, &before[..before.len() / 2]).unwrap();
    assert!(session.state().unwrap_err().summary.contains("cannot be read"));
    std::fs::write(&state, before).unwrap();
    drop(session);
    [first_id, third_id].iter().for_each(|identity| world.delete("lab_balancer", identity));
    world.delete("lab_pool", &pool);
    world.delete("lab_network", &net);
}
