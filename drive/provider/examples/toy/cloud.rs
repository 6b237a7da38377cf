//! The calls that touch things: an imaginary cloud in which a thing is what its state says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use andon_provider::encode;
use andon_value::{Type, Value, from_typed_json, to_typed_json};
use prost::Message;
use prost::bytes::Bytes;

use super::{attribute, complaint, config_type, port, thing_type, value, wire};
use wire::attribute_path::step::Selector;

static PREPARED: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);
static CONFIGURED: AtomicU32 = AtomicU32::new(0);

/// It was asked for its schemas.
pub fn prepare() {
    PREPARED.store(true, Ordering::Relaxed);
}

pub fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The answer to a call; none where there is no such call.
pub fn answer(name: &str, request: &[u8], way: &str) -> Option<Vec<u8>> {
    let five = way == "five";
    let own = |five_name: &str, six_name: &str| name == if five { five_name } else { six_name };
    if own("Configure", "ConfigureProvider") {
        return Some(configure(&decoded(request), way).encode_to_vec());
    }
    if own("Stop", "StopProvider") {
        STOPPED.store(true, Ordering::Relaxed);
        return Some(wire::StopResponse { error: String::new() }.encode_to_vec());
    }
    let ty = thing_type(way);
    let thing = Thing { ty: &ty, json: way == "json", legacy: five };
    Some(match name {
        "GetResourceIdentitySchemas" if way != "plain" => identities().encode_to_vec(),
        "UpgradeResourceState" => thing.upgrade(decoded(request)).encode_to_vec(),
        "UpgradeResourceIdentity" => upgrade_identity(decoded(request)).encode_to_vec(),
        "ReadResource" => thing.read(decoded(request)).encode_to_vec(),
        "PlanResourceChange" => thing.plan(decoded(request)).encode_to_vec(),
        "ApplyResourceChange" => thing.apply(decoded(request)).encode_to_vec(),
        "ImportResourceState" => thing.import(decoded(request)).encode_to_vec(),
        "MoveResourceState" => thing.moved(decoded(request)).encode_to_vec(),
        "GenerateResourceConfig" => thing.generate(decoded(request)).encode_to_vec(),
        "ReadDataSource" => thing.data(decoded(request)).encode_to_vec(),
        "OpenEphemeralResource" => thing.open(decoded(request)).encode_to_vec(),
        "RenewEphemeralResource" => renew(decoded(request)).encode_to_vec(),
        "CloseEphemeralResource" => close(decoded(request)).encode_to_vec(),
        _ => return None,
    })
}

fn decoded<M: Message + Default>(request: &[u8]) -> M {
    M::decode(request).unwrap()
}

fn configure(request: &wire::ConfigureRequest, way: &str) -> wire::ConfigureResponse {
    assert!(request.terraform_version.starts_with("1."));
    assert!(way == "ready" || PREPARED.load(Ordering::Relaxed), "nobody asked for the schemas");
    let config = value(request.config.clone(), &config_type());
    let times = CONFIGURED.fetch_add(1, Ordering::Relaxed);
    let said = match config.get_str("region") {
        _ if times > 0 && way != "attached" => Some(complaint("it was configured before", "", &[])),
        Some("nowhere") => Some(complaint("there is no region \"nowhere\"", "", &[attribute("region")])),
        Some("far") => Some(warning("that is far")),
        _ => None,
    };
    wire::ConfigureResponse { diagnostics: said.into_iter().collect() }
}

fn warning(text: &str) -> wire::Diagnostic {
    let severity = wire::diagnostic::Severity::Warning.into();
    wire::Diagnostic { severity, attribute: None, ..complaint(text, "", &[]) }
}

fn identity_type() -> Type {
    Type::object([("id", Type::String)])
}

fn identities() -> wire::IdentitySchemas {
    let id = wire::identity_schema::Attribute {
        name: "id".to_owned(),
        r#type: "\"string\"".into(),
        required_for_import: true,
        ..Default::default()
    };
    let schema: Bytes = wire::IdentitySchema { version: 2, identity_attributes: vec![id] }.encode_to_vec().into();
    wire::IdentitySchemas { identity_schemas: BTreeMap::from([("toy_thing".to_owned(), schema)]), diagnostics: vec![] }
}

fn identity(id: &str) -> wire::Identity {
    let value = Value::object([("id", Value::from(id))]);
    let data = wire::DynamicValue { msgpack: encode(&value, &identity_type()).unwrap().into(), json: Bytes::new() };
    wire::Identity { identity_data: Some(data) }
}

fn upgrade_identity(request: wire::UpgradeRequest) -> wire::UpgradeIdentityResponse {
    let json: serde_json::Value = serde_json::from_slice(&request.raw_state.unwrap().json).unwrap();
    let id = json["id"].as_str().or(json["old_id"].as_str()).unwrap().to_owned();
    wire::UpgradeIdentityResponse { upgraded_identity: Some(identity(&id)), diagnostics: vec![] }
}

struct Thing<'a> {
    ty: &'a Type,
    /// Values are sent in JSON.
    json: bool,
    legacy: bool,
}

impl Thing<'_> {
    fn send(&self, value: &Value) -> Option<wire::DynamicValue> {
        Some(if self.json && value.is_wholly_known() {
            let json = to_typed_json(value, self.ty).unwrap().to_string();
            wire::DynamicValue { msgpack: Bytes::new(), json: json.into() }
        } else {
            wire::DynamicValue { msgpack: encode(value, self.ty).unwrap().into(), json: Bytes::new() }
        })
    }

    /// One with nothing in it but this.
    fn with(&self, given: &[(&str, Value)]) -> Value {
        let Type::Object { attributes, .. } = self.ty else { unreachable!() };
        Value::object(attributes.iter().map(|(name, ty)| {
            let given = given.iter().find(|(given, _)| *given == &**name).map(|(_, value)| value.clone());
            (name.clone(), given.unwrap_or_else(|| Value::null(ty.clone())))
        }))
    }

    fn but(&self, value: &Value, name: &str, part: Value) -> Value {
        let entries = value.as_entries().unwrap();
        Value::object(
            entries.iter().map(|(own, it)| (own.clone(), if &**own == name { part.clone() } else { it.clone() })),
        )
    }

    fn upgrade(&self, request: wire::UpgradeRequest) -> wire::UpgradeResponse {
        assert_eq!(request.type_name, "toy_thing");
        let raw = request.raw_state.unwrap();
        let state = if raw.json.is_empty() {
            let text =
                |name: &str| raw.flatmap.get(name).map_or(Value::null(Type::String), |it| Value::from(it.as_str()));
            Ok(self.with(&[("name", text("name")), ("id", text("id"))]))
        } else {
            let mut json: serde_json::Value = serde_json::from_slice(&raw.json).unwrap();
            if request.version < 3 {
                let title = json.as_object_mut().unwrap().remove("title").unwrap();
                json["name"] = title;
            }
            from_typed_json(&json, self.ty)
        };
        match state {
            Ok(state) => wire::UpgradeResponse { upgraded_state: self.send(&state), diagnostics: vec![] },
            Err(error) => wire::UpgradeResponse {
                upgraded_state: None,
                diagnostics: vec![complaint(&error.to_string(), "", &[])],
            },
        }
    }

    fn read(&self, request: wire::ReadRequest) -> wire::ReadResponse {
        let state = value(request.current_state, self.ty);
        let (new_state, new_identity) = match state.get_str("name") {
            Some("gone") => (None, None),
            Some("emptied") => {
                let empty = Value::map::<String>(port(), []);
                (self.send(&self.but(&state, "named", empty)), request.current_identity)
            }
            Some("huge") => (self.send(&self.but(&state, "secret", Value::from("x".repeat(20_000_000)))), None),
            _ => (self.send(&state), request.current_identity),
        };
        let private = [&request.private[..], b"r"].concat().into();
        let diagnostics = request.provider_meta.map(|_| warning("meta came")).into_iter().collect();
        wire::ReadResponse { new_state, diagnostics, private, deferred: None, new_identity }
    }

    fn plan(&self, request: wire::PlanRequest) -> wire::PlanResponse {
        let prior = value(request.prior_state, self.ty);
        let proposed = value(request.proposed_new_state, self.ty);
        let config = value(request.config, self.ty);
        assert_eq!(config.is_null(), proposed.is_null());
        let mut replace = Vec::new();
        // What is write-only is in no plan.
        let mut planned = match proposed.is_null() {
            true => proposed.clone(),
            false => self.but(&proposed, "token", Value::null(Type::String)),
        };
        if prior.is_null() {
            planned = self.but(&planned, "id", Value::unknown(Type::String).with_prefix("id-"));
        } else if !proposed.is_null() && prior.get("name") != proposed.get("name") {
            let port = attribute("port");
            replace = vec![
                vec![attribute("name")],
                vec![attribute("listed"), Selector::ElementKeyInt(0), port.clone()],
                vec![attribute("keyed"), Selector::ElementKeyString("k".to_owned()), port],
            ];
        }
        let path = |steps: Vec<Selector>| wire::AttributePath {
            steps: steps.into_iter().map(|it| wire::attribute_path::Step { selector: Some(it) }).collect(),
        };
        let deferred = (proposed.get_str("name") == Some("later")).then_some(wire::Deferred { reason: 3 });
        let refused = proposed.is_null() && prior.get_str("name") == Some("stays");
        wire::PlanResponse {
            planned_state: self.send(&planned),
            requires_replace: replace.into_iter().map(path).collect(),
            planned_private: [&request.prior_private[..], b"p"].concat().into(),
            diagnostics: refused.then(|| complaint("it stays", "It is too dear to go.", &[])).into_iter().collect(),
            legacy_type_system: self.legacy,
            deferred,
            planned_identity: request.prior_identity,
        }
    }

    fn apply(&self, request: wire::ApplyRequest) -> wire::ApplyResponse {
        let planned = value(request.planned_state, self.ty);
        let mut answer = wire::ApplyResponse {
            private: [&request.planned_private[..], b"a"].concat().into(),
            legacy_type_system: self.legacy,
            ..Default::default()
        };
        if planned.is_null() {
            return answer;
        }
        let name = planned.get_str("name").unwrap().to_owned();
        if let Some(token) = value(request.config, self.ty).get_str("token") {
            eprintln!("{name} has the token {token}");
        }
        let id = format!("id-{name}");
        let mut made = self.but(&planned, "id", Value::from(id.as_str()));
        if name == "half" {
            made = self.but(&made, "size", Value::null(Type::Number));
            answer.diagnostics =
                vec![warning("it went slowly"), complaint("half of it is there", "", &[attribute("size")])];
        }
        answer.new_state = self.send(&made);
        answer.new_identity = Some(identity(&id));
        answer
    }

    fn import(&self, request: wire::ImportRequest) -> wire::ImportResponse {
        let id = request.identity.map_or(request.id, |identity| {
            value(identity.identity_data, &identity_type()).get_str("id").unwrap().to_owned()
        });
        let one = |kind: &str| wire::import_response::Imported {
            type_name: kind.to_owned(),
            state: self.send(&self.with(&[("id", Value::from(id.as_str()))])),
            private: "i".into(),
            identity: Some(identity(&id)),
        };
        let (imported_resources, diagnostics) = match id.as_str() {
            "id-none" => (vec![], vec![complaint("there is no such thing", "", &[])]),
            "id-many" => (vec![one("toy_thing"), one("toy_part")], vec![]),
            _ => (vec![one("toy_thing")], vec![]),
        };
        wire::ImportResponse { imported_resources, diagnostics, deferred: None }
    }

    fn moved(&self, request: wire::MoveRequest) -> wire::MoveResponse {
        assert_eq!(request.target_type_name, "toy_thing");
        let json: serde_json::Value = serde_json::from_slice(&request.source_state.unwrap().json).unwrap();
        let from = format!(
            "{} {} {}",
            request.source_provider_address, request.source_type_name, request.source_schema_version
        );
        let name = Value::from(json["title"].as_str().unwrap());
        wire::MoveResponse {
            target_state: self.send(&self.with(&[("name", name), ("secret", Value::from(from))])),
            diagnostics: vec![],
            target_private: request.source_private,
            target_identity: request.source_identity.map(|it| {
                let json: serde_json::Value = serde_json::from_slice(&it.json).unwrap();
                identity(json["id"].as_str().unwrap())
            }),
        }
    }

    fn generate(&self, request: wire::GenerateConfigRequest) -> wire::GenerateConfigResponse {
        let state = value(request.state, self.ty);
        let config = self.but(&state, "id", Value::null(Type::String));
        wire::GenerateConfigResponse { config: self.send(&config), diagnostics: vec![] }
    }

    fn data(&self, request: wire::ReadDataRequest) -> wire::ReadDataResponse {
        let config = value(request.config, self.ty);
        if config.get_str("name") == Some("gone") {
            let diagnostics = vec![complaint("there is no such thing", "", &[attribute("name")])];
            return wire::ReadDataResponse { state: None, diagnostics, deferred: None };
        }
        let state = self.send(&self.but(&config, "id", Value::from("id-data")));
        wire::ReadDataResponse { state, diagnostics: vec![], deferred: None }
    }

    fn open(&self, request: wire::OpenRequest) -> wire::OpenResponse {
        let config = value(request.config, self.ty);
        let lasting = config.get_str("name") == Some("lasting");
        eprintln!("opened {}", config.get_str("secret").unwrap_or_default());
        wire::OpenResponse {
            diagnostics: vec![],
            renew_at: (!lasting).then(soon),
            result: self.send(&self.but(&config, "token", Value::from("t0"))),
            private: Some("0".into()),
            deferred: None,
        }
    }
}

fn soon() -> wire::Timestamp {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    wire::Timestamp { seconds: at.as_secs().try_into().unwrap(), nanos: at.subsec_nanos().try_into().unwrap() }
}

fn count(private: Option<Bytes>) -> u32 {
    String::from_utf8(private.unwrap().to_vec()).unwrap().parse().unwrap()
}

fn renew(request: wire::OpenedRequest) -> wire::RenewResponse {
    let count = count(request.private) + 1;
    eprintln!("renewed {count}");
    let failed = count == 5;
    let diagnostics = failed.then(|| complaint("it cannot be renewed any more", "", &[])).into_iter().collect();
    wire::RenewResponse { diagnostics, renew_at: Some(soon()), private: Some(count.to_string().into()) }
}

fn close(request: wire::OpenedRequest) -> wire::CloseResponse {
    eprintln!("closed");
    wire::CloseResponse { diagnostics: vec![warning(&format!("closed after {} renewals", count(request.private)))] }
}
