//! The kinds of object that the lab has.

use andon_schema::Failure;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// `lab_balancer`: first in this order, because nothing else stands on it.
    Balancer,
    /// `lab_pool`: before the servers that are its members.
    Pool,
    /// `lab_server`
    Server,
    /// `lab_network`
    Network,
    /// `lab_key`
    Key,
    /// `lab_bucket`
    Bucket,
    /// `lab_volume`
    Volume,
    /// `lab_snapshot`
    Snapshot,
    /// `lab_share`
    Share,
}

impl Kind {
    /// All, in the order in which they can be removed.
    pub const ALL: [Kind; 9] = [
        Kind::Balancer,
        Kind::Pool,
        Kind::Server,
        Kind::Network,
        Kind::Key,
        Kind::Bucket,
        Kind::Volume,
        Kind::Snapshot,
        Kind::Share,
    ];

    /// The resource type's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Balancer => "lab_balancer",
            Kind::Pool => "lab_pool",
            Kind::Server => "lab_server",
            Kind::Network => "lab_network",
            Kind::Key => "lab_key",
            Kind::Bucket => "lab_bucket",
            Kind::Volume => "lab_volume",
            Kind::Snapshot => "lab_snapshot",
            Kind::Share => "lab_share",
        }
    }

    /// Whether its objects are more than records and files: then the machine must be able to hold a lab.
    pub fn needs_machine(self) -> bool {
        self != Kind::Key
    }

    /// Whether only this machine's root can make its objects: the kernel lets nobody else have block devices.
    pub fn needs_root(self) -> bool {
        matches!(self, Kind::Volume | Kind::Snapshot)
    }

    /// Whether its objects are processes that serve this machine, and so are not on the network of the servers.
    pub fn serves_the_machine(self) -> bool {
        matches!(self, Kind::Balancer | Kind::Bucket)
    }

    /// The kind of a resource type.
    pub fn parse(name: &str) -> Result<Kind, Failure> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::name).join(", ");
            Failure::new(format!("the lab has no `{name}`"), format!("It has {known}."))
        })
    }
}
