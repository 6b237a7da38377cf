//! A pool as it is written down, and read back by another run or a later Andon.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::gate::Gate;
use crate::pool::{Goal, Member, Pool, Stage, Strategy};

/// What is written is of this form.
const FORMAT: u64 = 1;

impl Pool {
    /// The pool as JSON.
    pub fn to_json(&self) -> Json {
        let members: Vec<Json> = self.members.iter().map(|(serial, member)| member.to_json(*serial)).collect();
        let gate = self.gate.as_ref().map(|gate| {
            let base: Vec<Json> =
                gate.base.iter().map(|(serial, (requests, errors))| json!([serial, requests, errors])).collect();
            json!({ "began_ms": gate.began_ms, "healthy_since_ms": gate.healthy_since_ms, "base": base })
        });
        json!({
            "format": FORMAT,
            "goal": self.goal.to_json(),
            "members": members,
            "next": self.next,
            "table": pairs(&self.table),
            "unsure": self.unsure,
            "settled": self.settled,
            "returning": self.returning,
            "gate": gate,
            "canary_passed": self.canary_passed,
            "deaths": self.deaths,
            "trouble": self.trouble,
            "failed": self.failed,
            "attempts": self.attempts,
        })
    }

    /// A pool of what [`Pool::to_json`] wrote. `None` where that is not what it is.
    pub fn from_json(json: &Json) -> Option<Pool> {
        if json.get("format")?.as_u64()? != FORMAT {
            return None;
        }
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let members = json.get("members")?.as_array()?.iter().map(Member::from_json).collect::<Option<_>>()?;
        let gate = match json.get("gate") {
            None | Some(Json::Null) => None,
            Some(gate) => Some(gate_of(gate)?),
        };
        Some(Pool {
            goal: Goal::from_json(json.get("goal")?)?,
            members,
            next: json.get("next")?.as_u64()?,
            table: table_of(json.get("table")?)?,
            // What an earlier version wrote says nothing of it; to share anew does no harm.
            unsure: json.get("unsure").and_then(Json::as_bool).unwrap_or(true),
            settled: text("settled"),
            returning: text("returning"),
            gate,
            canary_passed: json.get("canary_passed")?.as_bool()?,
            deaths: json.get("deaths")?.as_array()?.iter().map(Json::as_u64).collect::<Option<_>>()?,
            trouble: text("trouble"),
            failed: text("failed"),
            attempts: u32::try_from(json.get("attempts")?.as_u64()?).ok()?,
        })
    }
}

impl Goal {
    fn to_json(&self) -> Json {
        let strategy = match self.strategy {
            Strategy::Rolling(batch) => json!({ "rolling": batch }),
            Strategy::BlueGreen => json!("blue_green"),
            Strategy::Canary { count, share } => json!({ "canary": count, "share": share }),
        };
        json!({
            "size": self.size,
            "version": self.version,
            "strategy": strategy,
            "healthy_for_ms": self.healthy_for_ms,
            "limit_ms": self.limit_ms,
            "tolerance": self.tolerance,
            "deaths": self.deaths,
            "window_ms": self.window_ms,
        })
    }

    fn from_json(json: &Json) -> Option<Goal> {
        let number = |name: &str| json.get(name)?.as_u64();
        let size = |json: &Json| usize::try_from(json.as_u64()?).ok();
        let strategy = json.get("strategy")?;
        let strategy = match (strategy.as_str(), strategy.get("rolling"), strategy.get("canary")) {
            (Some("blue_green"), ..) => Strategy::BlueGreen,
            (_, Some(batch), _) => Strategy::Rolling(size(batch)?),
            (_, _, Some(count)) => {
                let share = u32::try_from(strategy.get("share")?.as_u64()?).ok()?;
                Strategy::Canary { count: size(count)?, share }
            }
            _ => return None,
        };
        Some(Goal {
            size: size(json.get("size")?)?,
            version: json.get("version")?.as_str()?.to_owned(),
            strategy,
            healthy_for_ms: number("healthy_for_ms")?,
            limit_ms: number("limit_ms")?,
            tolerance: number("tolerance")?,
            deaths: size(json.get("deaths")?)?,
            window_ms: number("window_ms")?,
        })
    }
}

impl Member {
    fn to_json(&self, serial: u64) -> Json {
        let (stage, made_ms) = match self.stage {
            Stage::Making => ("making", None),
            Stage::New(made_ms) => ("new", Some(made_ms)),
            Stage::Member => ("member", None),
            Stage::Leaving => ("leaving", None),
        };
        json!({
            "serial": serial,
            "index": self.index,
            "version": self.version,
            "stage": stage,
            "made_ms": made_ms,
            "retired": self.retired,
        })
    }

    fn from_json(json: &Json) -> Option<(u64, Member)> {
        let stage = match json.get("stage")?.as_str()? {
            "making" => Stage::Making,
            "new" => Stage::New(json.get("made_ms")?.as_u64()?),
            "member" => Stage::Member,
            "leaving" => Stage::Leaving,
            _ => return None,
        };
        let index = usize::try_from(json.get("index")?.as_u64()?).ok()?;
        let version = json.get("version")?.as_str()?.to_owned();
        // What an earlier version wrote says nothing of it.
        let retired = json.get("retired").and_then(Json::as_bool).unwrap_or(false);
        Some((json.get("serial")?.as_u64()?, Member { index, version, stage, retired }))
    }
}

fn pairs(table: &BTreeMap<u64, u32>) -> Vec<Json> {
    table.iter().map(|(serial, weight)| json!([serial, weight])).collect()
}

fn table_of(json: &Json) -> Option<BTreeMap<u64, u32>> {
    let pair = |pair: &Json| Some((pair.get(0)?.as_u64()?, u32::try_from(pair.get(1)?.as_u64()?).ok()?));
    json.as_array()?.iter().map(pair).collect()
}

fn gate_of(json: &Json) -> Option<Gate> {
    let base = |entry: &Json| Some((entry.get(0)?.as_u64()?, (entry.get(1)?.as_u64()?, entry.get(2)?.as_u64()?)));
    Some(Gate {
        began_ms: json.get("began_ms")?.as_u64()?,
        healthy_since_ms: json.get("healthy_since_ms").and_then(Json::as_u64),
        base: json.get("base")?.as_array()?.iter().map(base).collect::<Option<_>>()?,
    })
}
