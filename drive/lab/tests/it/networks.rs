//! Networks.

use crate::Test;
use crate::world::World;

pub const TESTS: &[Test] = &[("network_comes_and_goes", comes_and_goes)];

fn comes_and_goes(world: &World) {
    let (identity, value) = world.create("lab_network", &[("name", "app".into())]).unwrap();
    println!("{value:?}");
    world.delete("lab_network", &identity);
}
