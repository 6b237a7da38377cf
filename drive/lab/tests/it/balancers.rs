//! Balancers.

use crate::Test;
use crate::world::World;

pub const TESTS: &[Test] = &[("balancer_comes_and_goes", comes_and_goes)];

fn comes_and_goes(world: &World) {
    let (identity, value) = world.create("lab_balancer", &[("listen", "127.0.0.1:18080".into())]).unwrap();
    println!("{value:?}");
    world.delete("lab_balancer", &identity);
}
