//! What the lab's resource types look like to a user.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_schema::{Attribute, Block, Exclusive, TypeSchema};
use andon_value::{Type, Value};

use crate::kind::Kind;
use crate::life;
use crate::pool;
use crate::spec::{self, format};
use crate::{attach, balancer, bucket, key, policy, seed, share, snapshot, vm, volume};

/// The schemas of all resource types of the lab, by name.
pub(crate) fn schemas() -> BTreeMap<String, TypeSchema> {
    Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), schema(kind))).collect()
}

/// The schema of one kind.
pub(crate) fn schema(kind: Kind) -> TypeSchema {
    let (description, attributes) = match kind {
        Kind::Network => (
            "A network on this machine: a range of addresses with a gateway, and a way outside.",
            [network(), policy::schema()].concat(),
        ),
        Kind::Server => (
            "A server on this machine: a system container booted from an image, or a machine of its own.",
            [server_attributes(), life::attributes(), vm::attributes()].concat(),
        ),
        Kind::Pool => pool::schema(),
        Kind::Key => key::schema(),
        Kind::Balancer => {
            ("A balancer on this machine, in front of servers: HTTP, TCP and TLS.", balancer::schema::attributes())
        }
        Kind::Bucket => bucket::schema(),
        Kind::Volume => volume::schema(),
        Kind::Snapshot => snapshot::schema(),
        Kind::Share => share::schema(),
    };
    let attributes = attributes.into_iter().map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    let blocks = if matches!(kind, Kind::Server | Kind::Pool) { life::blocks() } else { Vec::new() };
    let blocks = blocks.into_iter().map(|(name, block)| (name.to_owned(), block)).collect();
    let block = Block { attributes, blocks, description: description.to_owned(), ..Block::default() };
    TypeSchema::of(block)
}

/// What an attribute is where the user does not give it; `None` where it stays null or the lab decides.
pub(crate) fn default(kind: Kind, attribute: &str) -> Option<Value> {
    match (kind, attribute) {
        (Kind::Network, "masquerade" | "up") | (Kind::Server | Kind::Balancer, "running") => Some(Value::from(true)),
        (Kind::Balancer, attribute) => balancer::schema::default(attribute),
        (Kind::Bucket, attribute) => bucket::default(attribute),
        (Kind::Share, attribute) => share::default(attribute),
        _ => None,
    }
}

/// The attributes that cannot change in place.
pub(crate) fn replacing(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Network => &["cidr"],
        Kind::Server => {
            &["image", "on_host", "network", "address", "init", "command", "read_only_root", "cloud_init", "vm"]
        }
        Kind::Balancer | Kind::Pool => &[],
        Kind::Key => key::REPLACING,
        Kind::Bucket => bucket::REPLACING,
        Kind::Volume => volume::REPLACING,
        Kind::Snapshot => snapshot::REPLACING,
        Kind::Share => &[],
    }
}

/// The attributes that the lab decides anew when another one changes: that one, and this.
pub(crate) fn following(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Bucket => bucket::FOLLOWING,
        _ => &[],
    }
}

fn network() -> Vec<(&'static str, Attribute)> {
    vec![
        (
            "name",
            Attribute::optional(
                Type::String,
                "What the network is called in its servers' names: `web` of the network `app` is `web.app.lab`. Without it, the \
                 network's `id` is. It can change: servers that run learn the new one.",
            )
            .format(format::NETWORK_NAME),
        ),
        (
            "cidr",
            Attribute::optional_computed(
                Type::String,
                "The IPv4 addresses of the network, such as `10.64.1.0/24`. Without it, a free /24 of `10.64.0.0/12` is taken. \
                 A change replaces the network.",
            )
            .format(format::NETWORK)
            .exclusive(spec::RANGE),
        ),
        (
            "masquerade",
            Attribute::optional_computed(
                Type::Bool,
                "Whether servers reach the world outside through this machine's own address. Default `true`.",
            ),
        ),
        ("id", Attribute::computed(Type::String, "What a server's `network` takes.")),
        ("gateway", Attribute::computed(Type::String, "This machine's address in the network.")),
        ("up", Attribute::computed(Type::Bool, "Whether packets find their way. One that is down, as after a reboot, is set up by the next apply.")),
    ]
}

/// The attributes of a server.
pub(crate) fn server_attributes() -> Vec<(&'static str, Attribute)> {
    [server(), seed::schema(), attach::schema()].concat()
}

fn server() -> Vec<(&'static str, Attribute)> {
    vec![
        ("name", Attribute::required(Type::String, "The host name.").format(format::HOST_NAME)),
        (
            "image",
            Attribute::optional_computed(
                Type::String,
                "The digest of the image to boot from. Needed, unless there is `on_host`. A change replaces the server.",
            ).format(format::IMAGE),
        ),
        (
            "on_host",
            Attribute::optional(
                Type::String,
                "`host`, in place of `image`, makes a server of what is installed on this machine: it sees this machine's `/usr`, \
                 of which nothing is copied, below a layer of its own, and has from `/etc` and `/var` what packages brought there; \
                 no other file of this machine. No service starts by itself but those of the system. `image` then is the digest of \
                 what was taken of `/etc` and `/var`. A change replaces the server.",
            ).format(format::ON_HOST),
        ),
        ("network", Attribute::required(Type::String, "The `id` of a `lab_network`. A change replaces the server.").format(format::NETWORK_ID)),
        (
            "memory",
            Attribute::optional(
                Type::String,
                "The most memory that everything in the server may use together, such as `256M`. Without it there is no limit.",
            ).format(format::MEMORY),
        ),
        (
            "cpus",
            Attribute::optional(
                Type::Number,
                "The most processor time that the server may use, in processors, such as `0.5`. Without it there is no limit.",
            ).format(format::PROCESSORS),
        ),
        (
            "processes",
            Attribute::optional(
                Type::Number,
                "The most processes and threads that the server may have at once. Without it there is no limit.",
            ).format(format::PROCESSES),
        ),
        (
            "init",
            Attribute::optional(
                Type::String,
                "`andon` has the server's first process be Andon's own supervisor instead of the image's init; so it is, \
                 too, where the image has none. It answers `GET /` on port 7780 of the server with how it is. \
                 A change replaces the server.",
            ).format(format::INIT),
        ),
        (
            "command",
            Attribute::optional(
                Type::List(Arc::new(Type::String)),
                "A program and its arguments that the supervisor keeps running, as `init = \"andon\"`. A change replaces \
                 the server.",
            ).format(format::COMMAND),
        ),
        (
            "read_only_root",
            Attribute::optional(
                Type::Bool,
                "Whether the root file system is read-only, all but `/var`; `/run` and `/tmp` are in memory. A change replaces the server.",
            ),
        ),
        (
            "running",
            Attribute::optional_computed(
                Type::Bool,
                "Whether it runs. One that does not, as after a reboot, is started by the next apply, with its address and its \
                 files; `false` keeps it stopped. Default `true`.",
            ),
        ),
        (
            "address",
            Attribute::optional_computed(
                Type::String,
                "The IPv4 address in the network. Without it, a free one is taken. A change replaces the server. It does not go \
                 with `create_before_destroy`.",
            ).format(format::ADDRESS).exclusive(Exclusive::SAME),
        ),
        ("id", Attribute::computed(Type::String, "The server's identity.")),
        ("connection", Attribute::computed(connection(), "How `andon_host` reaches the server.")),
    ]
}

/// The type of a server's `connection`.
pub(crate) fn connection() -> Type {
    let attributes: BTreeMap<Arc<str>, Type> =
        ["kind", "identity", "address"].into_iter().map(|name| (name.into(), Type::String)).collect();
    Type::Object { attributes: Arc::new(attributes), optional: Arc::new(BTreeSet::new()) }
}
