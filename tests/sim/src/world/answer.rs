//! What the simulated world says of itself. Nothing here changes anything.

use andon_schema::{Answer, Change, EntryStatus, Failure, HostEntry, HostReport, Planned, Question};
use andon_value::{Type, Value};

use super::SimWorld;
use crate::kinds::{HOST, NETWORK, ZONE, bare, catalog, plan, same, with};

impl SimWorld<'_> {
    pub(super) fn answer(&mut self, question: &Question) -> Answer {
        if self.dice.chance(self.faults.silent) {
            self.trace.borrow_mut().fault("a question without an answer");
            self.say(|| format!("FAULT   no answer about {question:?}"));
            return Answer::Failed(Failure::new("the world does not answer", "It is a fault of the simulation."));
        }
        match question {
            Question::ReadObject { address, prior, .. } if &*address.resource.kind == HOST => {
                Answer::Object(Some(bare(prior)))
            }
            Question::ReadObject { identity, .. } => {
                let thing = self.earth.things.get(identity).filter(|thing| !thing.remains);
                Answer::Object(thing.map(|thing| thing.value.clone()))
            }
            Question::ReadData { address, config, .. } if &*address.resource.kind == ZONE => self.zone(config),
            Question::Import { .. } | Question::MoveObject { .. } | Question::OpenEphemeral { .. } => {
                Answer::Failed(Failure::new("no such provider", "The simulated world has no plugins."))
            }
            Question::CallFunction(_) => {
                Answer::Failed(Failure::new("no such function", "The simulated world has no functions."))
            }
            Question::ReadData { .. } => {
                Answer::Failed(Failure::new("no such data", "The simulated world has no data source of this type."))
            }
            Question::PlanChange { address, prior, config, .. } if &*address.resource.kind == HOST => {
                self.plan_host(prior.as_ref(), config)
            }
            Question::PlanChange { address, prior, config, .. } => {
                let (value, replace) = plan(&address.resource.kind, prior.as_ref(), config);
                planned(value, &replace, None)
            }
        }
    }

    pub(super) fn zone(&self, config: &Value) -> Answer {
        let network = config.get_str("network").unwrap_or_default();
        match self.earth.find(NETWORK, "id", network) {
            Some((_, thing)) => {
                let zone = format!("zone of {}", thing.value.get_str("cidr").unwrap_or_default());
                Answer::Object(Some(with(config, &[("zone", zone.into())])))
            }
            None => Answer::Failed(Failure::new(format!("there is no network {network}"), "A zone is a network's.")),
        }
    }

    fn plan_host(&mut self, prior: Option<&Value>, config: &Value) -> Answer {
        let undecided = with(config, &[("catalog", Value::unknown(Type::String))]);
        if !config.get("server").is_some_and(Value::is_wholly_known)
            || !config.get("role").is_some_and(Value::is_wholly_known)
            || !config.get("params").is_none_or(Value::is_wholly_known)
        {
            return planned(undecided, &[], None);
        }
        let server = config.get_str("server").unwrap_or_default();
        let role = config.get_str("role").unwrap_or_default();
        let Some(thing) = self.earth.server(server) else {
            let stopped = Some(format!("the server {server} does not answer"));
            let report = Some(HostReport { stopped, ..HostReport::default() });
            return planned(undecided, &[], report);
        };
        let wanted = catalog(config);
        let differs = thing.inside.get(role) != Some(&wanted);
        let report =
            differs.then(|| HostReport { entries: vec![entry(role, EntryStatus::Planned)], ..HostReport::default() });
        let as_it_was = prior.filter(|prior| {
            prior.get_str("catalog") == Some(&*wanted)
                && ["server", "role", "params"].iter().all(|name| {
                    let null = Value::NULL;
                    same(&bare(prior.get(name).unwrap_or(&null)), &bare(config.get(name).unwrap_or(&null)))
                })
        });
        let value = as_it_was.filter(|_| !differs).cloned().unwrap_or(undecided);
        planned(value, &[], report)
    }
}

/// What a converge did, or would do.
pub(super) fn entry(role: &str, status: EntryStatus) -> HostEntry {
    HostEntry {
        address: format!("file \"/etc/{role}\""),
        origin: String::new(),
        change: Change::Update,
        differences: Vec::new(),
        diff: None,
        status,
    }
}

fn planned(value: Value, replace: &[String], report: Option<HostReport>) -> Answer {
    Answer::Planned(Box::new(Planned::new(value, replace, report)))
}
