//! What passed through balancers, as `status` tells it.

use andon_engine::provider;
use andon_lab::Lab;
use andon_schema::{InstanceAddress, Object};
use serde_json::{Value as Json, json};

use crate::context::Project;

/// What balancers of the lab say of themselves.
pub struct Traffic(Option<Lab>);

impl Traffic {
    /// Of a project's lab.
    pub fn of(project: &Project) -> Traffic {
        Traffic(provider::lab(project.session.settings()).ok())
    }

    /// Clients, requests and targets of an object that is a balancer and runs: counts since its process began, or since a
    /// target was added.
    pub fn data(&self, address: &InstanceAddress, object: &Object) -> Option<Json> {
        let lab = self.0.as_ref().filter(|_| &*address.resource.kind == "lab_balancer")?;
        let status = lab.balancer_status(&object.identity)?;
        let part = |name: &str| status.get(name).cloned().unwrap_or_default();
        Some(json!({
            "clients": part("connections"),
            "counts": part("counts"),
            "targets": part("targets"),
            "leaving": part("leaving"),
            "access_log": part("access_log"),
        }))
    }
}

/// The same for people, a line for all and one for each target.
pub fn lines(data: &Json) -> Vec<String> {
    let count = |of: &Json, name: &str| of.get(name).and_then(Json::as_u64).unwrap_or_default();
    let (all, none) = (data.get("counts").cloned().unwrap_or_default(), Json::Null);
    let mut lines = vec![format!(
        "{} clients; {} requests, {} errors, {} tried again; {} bytes in, {} out",
        count(data, "clients"),
        count(&all, "requests"),
        count(&all, "errors"),
        count(&all, "retries"),
        count(&all, "bytes_received"),
        count(&all, "bytes_sent"),
    )];
    let lost = data.get("access_log").map_or(0, |log| count(log, "lost"));
    if lost > 0 {
        lines
            .push(format!("{lost} requests are not in the access log: it could not be written fast enough, or at all"));
    }
    for (name, leaves) in [("targets", false), ("leaving", true)] {
        for target in data.get(name).and_then(Json::as_array).into_iter().flatten() {
            let text = |name: &str| target.get(name).and_then(Json::as_str).unwrap_or_default();
            let counts = target.get("counts").unwrap_or(&none);
            let state = match target.get("healthy").and_then(Json::as_bool) {
                _ if leaves => "leaves".to_owned(),
                Some(true) => "healthy".to_owned(),
                _ => format!("not healthy ({})", text("last")),
            };
            let weight = target.get("weight").and_then(Json::as_f64).unwrap_or(1.0);
            lines.push(format!(
                "{}  weight {weight}, {state}: {} requests, {} errors, {} open",
                text("address"),
                count(counts, "requests"),
                count(counts, "errors"),
                count(target, "open"),
            ));
        }
    }
    lines
}
