//! The kinds of host resource. A kind is a shape, pure checks of its values, the looks that it needs, and a decision
//! from sights to acts; one small file each, and a line in [`KINDS`].

mod archive;
mod authorized_key;
mod block;
mod certificate;
mod container;
mod content;
mod cron;
mod directory;
mod exec;
mod file;
mod firewall;
mod firewall_rule;
mod git;
mod group;
mod host_entry;
mod hostname;
mod kernel_module;
mod line;
mod lines;
mod link;
mod locale;
mod meta;
mod mount;
mod mounts;
mod own_file;
mod package;
mod repository;
mod service;
mod shadow;
mod sudoers;
mod sysctl;
mod timer;
mod timezone;
mod unit;
mod user;

use std::sync::Arc;

use andon_schema::host::{Act, Look};
use andon_schema::{Block, Change};

use crate::args::Args;
use crate::world::World;

pub(crate) use content::kept_for;
pub(crate) use cron::check_schedule;
pub(crate) use file::no_source;
pub(crate) use firewall::KEPT;
pub(crate) use firewall_rule::{Rules, sweep};
pub(crate) use host_entry::check_host;
pub(crate) use locale::check_locale;
pub(crate) use meta::{Meta, is_account};
pub(crate) use package::wants_fresh_index;
pub(crate) use service::unit_of;
pub(crate) use unit::{unit_file, unit_name};

/// One kind of host resource.
pub(crate) struct Kind {
    pub name: &'static str,
    /// The shape of its body.
    pub schema: fn() -> Block,
    /// What is wrong with the values, whatever the server.
    pub check: fn(&Args) -> Vec<String>,
    /// What must be seen to decide. Asked again after each answer, until it asks nothing new.
    pub looks: fn(&Args, &World) -> Vec<Look>,
    /// What has to change, and how. An error is a reason why it cannot be made so.
    pub decide: fn(&Args, &World) -> Result<Decision, String>,
}

/// What has to change of one resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub change: Change,
    pub differences: Vec<String>,
    pub diff: Option<String>,
    pub acts: Vec<Act>,
    /// The service that is restarted for it, once after the last resource.
    pub restarts: Option<Arc<str>>,
}

const KINDS: &[&Kind] = &[
    &archive::KIND,
    &authorized_key::KIND,
    &block::KIND,
    &cron::KIND,
    &certificate::KIND,
    &container::KIND,
    &directory::KIND,
    &exec::KIND,
    &file::KIND,
    &firewall_rule::KIND,
    &git::KIND,
    &group::KIND,
    &host_entry::KIND,
    &hostname::KIND,
    &kernel_module::KIND,
    &line::KIND,
    &link::KIND,
    &locale::KIND,
    &mount::KIND,
    &package::KIND,
    &repository::KIND,
    &service::KIND,
    &sudoers::KIND,
    &sysctl::KIND,
    &timer::KIND,
    &timezone::KIND,
    &unit::KIND,
    &user::KIND,
];

/// All kinds, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().copied()
}

/// A kind by its name.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.name == name)
}

impl Decision {
    /// Nothing has to change.
    pub fn nothing() -> Decision {
        Decision::new(Change::None, Vec::new(), Vec::new())
    }

    pub fn new(change: Change, differences: Vec<String>, acts: Vec<Act>) -> Decision {
        Decision { change, differences, diff: None, acts, restarts: None }
    }

    /// An update, unless there is nothing to do.
    pub fn update(differences: Vec<String>, acts: Vec<Act>) -> Decision {
        let change = if acts.is_empty() { Change::None } else { Change::Update };
        Decision::new(change, differences, acts)
    }
}
