//! Catalogs, and the looks and acts by which a converge observes and changes one server.

use std::sync::Arc;

use andon_value::Value;

/// A role, evaluated for one server: the host resources that it must have, in order, and the checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// The role.
    pub role: Arc<str>,
    /// The host resources, in the order of their run.
    pub resources: Vec<HostResource>,
    /// The checks, run after everything else.
    pub checks: Vec<Check>,
}

/// One thing that a server must have.
#[derive(Debug, Clone, PartialEq)]
pub struct HostResource {
    /// The kind: `file`.
    pub kind: Arc<str>,
    /// The label, with the key of a `for_each` in brackets: `/etc/motd`.
    pub name: Arc<str>,
    /// The attributes, of the type of the kind's schema, wholly known; what was not given is null.
    pub attributes: Value,
    /// It must not be there.
    pub absent: bool,
    /// What is done once after the last resource when this one changed.
    pub notifies: Vec<Notify>,
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
