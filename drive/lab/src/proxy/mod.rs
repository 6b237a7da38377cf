//! A balancer's own process: a reverse proxy for HTTP and TCP whose settings are swapped in one step.
//!
//! It outlives whoever started it and listens to nobody but its control socket. New targets get requests only once they
//! are healthy; those that leave finish what they began.

mod access;
mod body;
mod control;
mod counts;
mod forward;
mod handover;
mod health;
mod listen;
mod place;
mod sticky;
mod stream;
mod table;
mod target;
mod tls;
mod worker;

use std::path::Path;

use andon_schema::Failure;
use serde_json::Value as Json;

use self::control::Start;
use self::handover::Inherited;
use crate::cgroup::Hierarchies;
use crate::failure::OrFail;
use crate::service::{self, Work};

/// The hidden command; see [`service::helper`].
pub(crate) fn helper(order: &str) -> i32 {
    service::helper(order, c"andon-balancer", begin)
}

fn begin(order: &Json) -> Result<Work, Failure> {
    let failed = || "cannot set the balancer up".to_owned();
    let text = |name: &str| order.get(name).and_then(Json::as_str).unwrap_or_default();
    let settings = control::Settings::from_json(order.get("settings").unwrap_or(&Json::Null))?;
    Hierarchies::find()?.group(text("identity")).enter_as_service().or_fail(failed)?;
    if let Some(network) = order.get("network").and_then(Json::as_str) {
        place::go_to(Path::new(network)).or_fail(failed)?;
    }
    let directory = Path::new(text("directory"));
    let start = if order.get("takes_over").is_some_and(|it| it == &Json::Bool(true)) {
        Start::Inherited(Inherited::ask(directory)?)
    } else {
        let listener = place::bind(settings.listen).map_err(|error| place::cannot_listen(settings.listen, &error))?;
        listener.set_nonblocking(true).or_fail(failed)?;
        Start::New(settings, listener)
    };
    // From here on orders come to this process.
    let control = service::control_socket(directory)?;
    raise_descriptor_limit();
    Ok(Box::new(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(control::run(start, control))
    }))
}

/// Every client and every target's connection takes a descriptor.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is that of `limit`.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
