use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use andon_value::{Type, Value};

use crate::host::Bytes;

/// The type of `fact`: what every server says of itself. What is not known of a server is null.
pub fn fact_types() -> Type {
    use Type::{Bool, Number, String as Text};
    let texts = || Type::list(Text);
    let map_of = |fields: Vec<(&'static str, Type)>| Type::Map(Type::object(fields).into());
    let list_of = |fields: Vec<(&'static str, Type)>| Type::list(Type::object(fields));
    let plain = [
        "address",
        "address6",
        "architecture",
        "domain",
        "fqdn",
        "gateway",
        "hostname",
        "init",
        "kernel",
        "locale",
        "machine_id",
        "package_manager",
        "timezone",
        "virtualization",
        "virtualization_kind",
    ];
    let cloud = ["instance", "provider", "region", "type", "zone"].map(|name| (name, Text));
    let cpu = vec![("model", Text), ("vendor", Text), ("cores", Number), ("threads", Number)];
    let disk = vec![("name", Text), ("size_mb", Number), ("model", Text), ("rotational", Bool), ("removable", Bool)];
    let interface = vec![("mac", Text), ("mtu", Number), ("up", Bool), ("addresses", texts())];
    let room = [("size_mb", Number), ("available_mb", Number)];
    let mount = [("path", Text), ("source", Text), ("type", Text), ("options", texts())].into_iter().chain(room);
    let route = vec![("destination", Text), ("gateway", Text), ("interface", Text), ("metric", Number)];
    let user = vec![("uid", Number), ("gid", Number), ("home", Text), ("shell", Text)];
    let others = [
        ("addresses", texts()),
        ("cloud", Type::object(cloud)),
        ("cpu", Type::object(cpu)),
        ("cpus", Number),
        ("disks", list_of(disk)),
        ("groups", map_of(vec![("gid", Number), ("members", texts())])),
        ("image", Bool),
        ("interfaces", map_of(interface)),
        ("memory_mb", Number),
        ("mounts", list_of(mount.collect())),
        ("nameservers", texts()),
        ("os", Type::object(["codename", "family", "name", "version"].map(|name| (name, Text)))),
        ("packages", Type::Map(Text.into())),
        ("routes", list_of(route)),
        ("services", map_of(vec![("running", Bool), ("enabled", Bool)])),
        ("swap_mb", Number),
        ("users", map_of(user)),
    ];
    Type::object(plain.map(|name| (name, Text)).into_iter().chain(others))
}

/// The roles of one server, evaluated for it: the host resources that it must have, in order, and the checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// The roles, in the order in which they were named.
    pub roles: Vec<Arc<str>>,
    /// The host resources, in the order of their run.
    pub resources: Vec<HostResource>,
    /// The checks, run after everything else.
    pub checks: Vec<Check>,
    /// What `source` may name: the files beside the roles, by their paths in the project.
    pub files: BTreeMap<Arc<str>, Bytes>,
    /// Those of the files that may be executed.
    pub executable: BTreeSet<Arc<str>>,
}

/// One thing that a server must have.
#[derive(Debug, Clone, PartialEq)]
pub struct HostResource {
    /// The kind: `file`.
    pub kind: Arc<str>,
    /// The label, with the key of a `for_each` in brackets: `/etc/motd`.
    pub name: Arc<str>,
    /// The attributes that were given, each of its type in the kind's schema, wholly known.
    pub attributes: Value,
    /// It must not be there.
    pub absent: bool,
    /// What is done once after the last resource when this one changed.
    pub notifies: Vec<Notify>,
    /// Kinds and names of the resources of which one must have changed for this one to be looked at; `None` where it
    /// always is.
    pub only_on: Option<Vec<(Arc<str>, Arc<str>)>>,
    /// Which of the server's roles it is of: the first that defines or inherits it.
    pub role: Arc<str>,
    /// Where it is defined: `roles/web.role.hcl:12`.
    pub origin: Arc<str>,
}

/// A reload or restart that a change asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notify {
    /// The name of the service.
    pub service: Arc<str>,
    /// Restart it; else reload.
    pub restart: bool,
}

/// What a change made due, and a later moment of the run does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A reload or restart.
    Notify(Notify),
    /// What runs only on a change of something, by its address: `exec "rebuild"`.
    Run(Arc<str>),
}

/// A named group of assertions about a running server.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its label.
    pub name: Arc<str>,
    /// What must hold.
    pub assertions: Vec<Assertion>,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// The kind: `http`.
    pub kind: Arc<str>,
    /// The label: `http://127.0.0.1:80/healthz`.
    pub name: Arc<str>,
    /// The attributes, of the type of the kind's schema, wholly known.
    pub attributes: Value,
    /// Where it is defined: `roles/web.role.hcl:40`.
    pub origin: Arc<str>,
}
