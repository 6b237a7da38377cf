//! Servers.

use std::time::Instant;

use crate::Test;
use crate::world::{World, inside, root};

pub const TESTS: &[Test] = &[("server_boots", boots)];

fn boots(world: &World) {
    if root().is_none() {
        return;
    }
    let (network, _) = world.create("lab_network", &[]).unwrap();
    let start = Instant::now();
    let (server, value) = world
        .create(
            "lab_server",
            &[
                ("name", "web-0".into()),
                ("image", "sha256:00".into()),
                ("network", network.as_str().into()),
                ("memory", "256M".into()),
            ],
        )
        .unwrap();
    println!("created in {:?}", start.elapsed());
    println!("{value:?}");
    while inside(&server, "systemctl is-system-running").trim() == "starting" {}
    println!("all units up in {:?}", start.elapsed());
    println!(
        "{}",
        inside(
            &server,
            "systemctl --no-pager --failed; systemctl is-system-running; hostname; cat /etc/machine-id /etc/resolv.conf; ip addr; mount; journalctl -p warning --no-pager | tail -30; ps ax | head -40; curl -sI http://deb.debian.org/ | head -3"
        )
    );
    let start = Instant::now();
    world.delete("lab_server", &server);
    println!("deleted in {:?}", start.elapsed());
    world.delete("lab_network", &network);
}
