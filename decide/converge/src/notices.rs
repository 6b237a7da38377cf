use std::collections::BTreeMap;
use std::sync::Arc;

use andon_schema::host::{Act, Catalog, Due, HostResource, Notify};

use crate::args::Args;
use crate::kinds::{unit_name, unit_of};

/// The services of a catalog, by every name that a notice may use.
pub(crate) struct Services(BTreeMap<Arc<str>, Service>);

#[derive(Clone)]
pub(crate) struct Service {
    pub unit: Arc<str>,
    pub origin: Arc<str>,
}

impl Services {
    pub fn of(catalog: &Catalog) -> Services {
        let mut services = BTreeMap::new();
        for resource in &catalog.resources {
            let args = Args::of_resource(resource);
            let unit = match &*resource.kind {
                "service" => unit_of(&args.subject("name")),
                "unit" => unit_name(&args),
                _ => continue,
            };
            let service = Service { unit, origin: resource.origin.clone() };
            let names = [resource.name.clone(), args.label().into(), args.subject("name"), service.unit.clone()];
            for name in names {
                services.entry(name).or_insert_with(|| service.clone());
            }
        }
        Services(services)
    }

    pub fn find(&self, name: &str) -> Option<&Service> {
        self.0.get(name)
    }
}

/// The reloads and restarts that are owed to services, by unit.
#[derive(Default)]
pub(crate) struct Notices(BTreeMap<Arc<str>, Owed>);

/// What is owed to one service.
pub(crate) struct Owed {
    pub restart: bool,
    /// What asked for it, a line each.
    pub reasons: Vec<String>,
    pub origin: Arc<str>,
}

impl Notices {
    /// Takes up what an earlier run left.
    pub fn recall(&mut self, notify: Notify, services: &Services) {
        let origin = services.find(&notify.service).map_or_else(|| "".into(), |service| service.origin.clone());
        let owed = self.0.entry(notify.service).or_insert(Owed { restart: false, reasons: Vec::new(), origin });
        owed.restart |= notify.restart;
        owed.reasons = vec!["owed since an earlier run that did not finish".to_owned()];
    }

    /// Takes up what a changed resource asks for, and gives what the server does not remember yet.
    pub fn owe(
        &mut self,
        resource: &HostResource,
        restarts: Option<Arc<str>>,
        address: &str,
        services: &Services,
    ) -> Vec<Notify> {
        let mut new = Vec::new();
        let own = restarts.map(|service| Notify { service, restart: true });
        for notify in resource.notifies.iter().chain(&own) {
            let known = services.find(&notify.service).cloned();
            let Service { unit, origin } =
                known.unwrap_or_else(|| Service { unit: unit_of(&notify.service), origin: resource.origin.clone() });
            let known = self.0.get(&unit).is_some_and(|owed| owed.restart || !notify.restart);
            if !known {
                new.push(Notify { service: unit.clone(), restart: notify.restart });
            }
            let owed = self.0.entry(unit).or_insert(Owed { restart: false, reasons: Vec::new(), origin });
            owed.restart |= notify.restart;
            owed.reasons.push(format!("asked for by {address}"));
        }
        new
    }

    /// The units that something is owed to.
    pub fn units(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    pub fn take(&mut self, unit: &str) -> Option<Owed> {
        self.0.remove(unit)
    }

    pub fn first(&self) -> Option<Arc<str>> {
        self.units().next().cloned()
    }
}

/// The act that forgets what is owed to a unit.
pub(crate) fn settle(unit: &Arc<str>) -> Act {
    Act::Settle([false, true].map(|restart| Due::Notify(Notify { service: unit.clone(), restart })).into())
}
