//! Servers that are replaced rather than repaired: which there are, how old they are, and what in them is not as their
//! images have it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use andon_fleet::phoenix::{Living, WRITTEN, is_drift};
use andon_image::{Digest, Images};
use andon_lab::{How, Lab};
use andon_ledger::{Difference, EnvironmentState};
use andon_schema::units::parse_duration;
use andon_schema::{Failure, Identity, InstanceAddress, Object};
use andon_value::Value;

use crate::{Session, provider};

/// A server whose definition says how long it is kept, or what comes of drift.
#[derive(Debug, Clone)]
pub struct Phoenix {
    /// Where it is defined: itself, or the pool that it is of.
    pub address: InstanceAddress,
    /// The server.
    pub identity: Identity,
    /// What it is in its pool, where it is of one.
    pub member: Option<Member>,
    /// How old it is, and how much of it has changed.
    pub living: Living,
    /// What in it is not as in its image, in the order of the paths: of `/etc/motd` that it is `changed`.
    pub drift: Vec<Difference>,
}

/// A member of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pool.
    pub pool: Identity,
    /// Its number in it.
    pub serial: u64,
    /// Its host name.
    pub name: String,
}

impl fmt::Display for Phoenix {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(to, "{} ({})", self.address, member.name),
            None => write!(to, "{}", self.address),
        }
    }
}

/// The servers of stacks of an environment that say how long they are kept, or what comes of drift, and the members of
/// pools that do; of all stacks where none is named. `now` is in milliseconds since 1970.
pub fn phoenixes(
    session: &Session,
    state: &EnvironmentState,
    stacks: &[Arc<str>],
    now: i64,
) -> Result<Vec<Phoenix>, Failure> {
    let covered = |address: &InstanceAddress| stacks.is_empty() || stacks.contains(&address.resource.stack);
    let current = state.instances.iter().filter_map(|(address, instance)| Some((address, instance.current.as_ref()?)));
    let kinds = ["lab_server", "lab_pool"];
    let telling: Vec<(&InstanceAddress, &Object)> = current
        .filter(|(address, _)| kinds.contains(&&*address.resource.kind) && covered(address))
        .filter(|(_, object)| object.value.get_str("max_age").or_else(|| object.value.get_str("on_drift")).is_some())
        .collect();
    if telling.is_empty() {
        return Ok(Vec::new());
    }
    let settings = session.settings();
    let lab = provider::lab(settings)?;
    let images = Images::open(&settings.data_dir, andon_image::Settings::default())?;
    let look = Look { lab: &lab, images: &images, now };
    let mut found = Vec::new();
    for (address, object) in telling {
        if &*address.resource.kind == "lab_server" {
            found.push(look.at(address, &object.identity, &object.value, &object.value, None)?);
            continue;
        }
        for it in lab.members(&object.identity) {
            let name = it.value.get_str("name").unwrap_or_default().to_owned();
            let member = Member { pool: object.identity.clone(), serial: it.serial, name };
            found.push(look.at(address, &it.identity, &it.value, &object.value, Some(member))?);
        }
    }
    Ok(found)
}

/// Has the next change to its pool replace a member, or no longer so. Says whether the member is there.
///
/// # Errors
/// Where the pool is gone.
pub fn retire(session: &Session, member: &Member, retired: bool) -> Result<bool, Failure> {
    provider::retire(&provider::lab(session.settings())?, &member.pool, member.serial, retired)
}

/// What looks at servers.
struct Look<'a> {
    lab: &'a Lab,
    images: &'a Images,
    now: i64,
}

impl Look<'_> {
    /// Looks at a server. What becomes of it is said in `rules`.
    fn at(
        &self,
        address: &InstanceAddress,
        identity: &Identity,
        server: &Value,
        rules: &Value,
        member: Option<Member>,
    ) -> Result<Phoenix, Failure> {
        let on_drift = rules.get_str("on_drift");
        let digest = server.get_str("image").and_then(Digest::parse);
        // An image that was pruned cannot be compared with; whoever starts the server again is told.
        let layers = digest.filter(|_| on_drift.is_some()).and_then(|digest| self.images.lower_dirs(&digest).ok());
        let changed = layers.map(|layers| self.lab.changed_files(identity, &layers, &WRITTEN)).transpose()?;
        let drift: Vec<Difference> = changed
            .unwrap_or_default()
            .into_iter()
            .filter(|file| is_drift(&file.path, file.how == How::Added, file.is_file))
            .map(|file| Difference { what: file.path.into(), how: word(file.how).into() })
            .collect();
        let created = server.get_str("created").and_then(|created| created.parse::<jiff::Timestamp>().ok());
        let age = created.and_then(|created| u64::try_from(self.now - created.as_millisecond()).ok());
        let living = Living {
            age: age.map(Duration::from_millis),
            max_age: rules.get_str("max_age").and_then(parse_duration),
            replaces_drift: on_drift == Some("replace"),
            changed: drift.len(),
        };
        Ok(Phoenix { address: address.clone(), identity: identity.clone(), member, living, drift })
    }
}

fn word(how: How) -> &'static str {
    match how {
        How::Added => "added",
        How::Changed => "changed",
        How::Removed => "removed",
    }
}
