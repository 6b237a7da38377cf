//! The lab: real networks, servers, balancers and what they need beside, on this one machine.
//!
//! A network is a range of addresses with a gateway, a server is a system container with its own root file system, process
//! tree, network and control group, and a balancer is a process that outlives whoever started it. Everything that is
//! made for an object carries the object's identity in its name, and a record of the object is written before the
//! first of it and removed after the last: whoever is killed at any instruction leaves nothing that
//! [`Lab::resolve`], [`Lab::delete`] or [`Lab::sweep`] would not find.
//!
//! Not here: what is inside a server (another driver's), how a root file system comes to be (the caller gives its
//! layers), and what should exist (a decision's). Nothing here is asynchronous for its caller; many calls run at once,
//! from many threads and processes, and a lock for each identity keeps them from racing.

mod address;
mod as_made;
mod aside;
mod attach;
mod balancer;
mod below;
mod block;
mod bucket;
mod cgroup;
mod codec;
mod console;
mod devices;
mod failure;
mod firewall;
mod foresee;
mod helper;
mod inside;
mod key;
mod kind;
mod lab;
mod layers;
mod life;
mod machine;
mod message;
mod names;
mod netlink;
mod network;
mod nft;
mod plan;
mod policy;
mod pool;
mod proxy;
mod reach;
mod realm;
mod records;
mod schema;
mod seed;
mod server;
mod service;
mod share;
mod snapshot;
mod spawn;
mod spec;
mod store;
mod supervisor;
mod users;
mod vm;

use andon_schema::units;
mod volume;

pub use helper::helper_main;
pub use lab::{CreateExtra, FilesSeen, Found, Lab, LabSettings, Leftover, Made};
pub use life::{ChangedFile, How};
pub use machine::Missing;
pub use pool::{MemberNote, MemberSeen, NONE_IS_WELL, PoolLook, PoolMember, PoolSession, PoolSpec, Standing};
pub use reach::Reached;
pub use realm::{
    SeenOutside, enter as enter_realm, is_entered as is_in_realm, leave as leave_realm, seen_outside, user,
    user_outside,
};
pub use records::Measuring;
pub use vm::Login;
