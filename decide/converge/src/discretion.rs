//! What is said of a resource that is given a secret: which attributes change, and nothing of what they were or will be.
//! The old value may be a secret, too, and it is one that nobody here knows.

use andon_schema::host::{Act, HostResource};

use crate::args::Args;
use crate::kinds::{self, Decision};
use crate::world::World;

/// The kinds whose resources share a file, so that what is shown of one may be of another.
const SHARED: [&str; 3] = ["firewall_rule", "host_entry", "mount"];

/// What kinds say of files and of services that is in no attribute.
const PLAIN: [&str; 8] = ["mode", "owner", "group", "running", "enabled", "loaded", "mounted", "used"];

/// What is said in the place of a diff.
const CONTENT: &str = "(sensitive content differs)";

/// The same decision with nothing in it that a secret could be read from. The files that it writes are secret from now
/// on.
pub(crate) fn discreet(mut decision: Decision, resource: &HostResource, world: &mut World) -> Decision {
    let args = Args::of_resource(resource);
    let shares = SHARED.contains(&&*resource.kind) && world.secret_kinds().contains(&resource.kind);
    let holds = args.holds_secret() || shares;
    if holds {
        decision.acts.iter().filter_map(path_of).for_each(|path| world.hide(path));
        let known = kinds::find(&resource.kind).map(|kind| (kind.schema)()).unwrap_or_default();
        let mut told: Vec<String> = Vec::new();
        for line in decision.differences {
            let name = line.split([' ', ':']).next().unwrap_or_default();
            let is_open = line.contains("(sensitive ")
                || PLAIN.contains(&name) && !args.is_secret(name)
                || known.attributes.contains_key(name) && !args.is_secret(name)
                || !line.contains('→') && !args.is_secret(name);
            let line = if is_open { line } else { format!("{name} (sensitive value differs)") };
            if !told.contains(&line) {
                told.push(line);
            }
        }
        decision.differences = told;
    }
    if decision.diff.is_some() && (holds || decision.acts.iter().filter_map(path_of).any(|path| world.is_secret(path)))
    {
        decision.diff = None;
        if !decision.differences.iter().any(|line| line.contains("(sensitive ")) {
            decision.differences.push(CONTENT.to_owned());
        }
    }
    decision
}

/// The file that an act writes.
fn path_of(act: &Act) -> Option<&std::sync::Arc<str>> {
    match act {
        Act::WriteFile { path, .. } | Act::FetchFile { path, .. } | Act::Remove { path } => Some(path),
        _ => None,
    }
}
