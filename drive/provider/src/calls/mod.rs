//! The calls of the provider service. Each method makes a [`crate::Call`]; values are objects of the implied type of
//! the schema that comes with the request, and marks in them do not travel. An answer with errors still has its values:
//! what a failed apply made is there.
//!
//! Nothing here judges an answer beyond its type, and nothing is added to what is asked.

mod data;
mod ephemeral;
mod managed;
mod moves;
mod offer;
mod provider;

pub use data::{DataAnswer, DataRequest};
pub use ephemeral::{EphemeralAnswer, EphemeralRequest, OpenedEphemeral, RenewedEphemeral};
pub use managed::{
    ApplyAnswer, ApplyRequest, ConfigAnswer, IdentityAnswer, PlanAnswer, PlanRequest, ReadAnswer, ReadRequest,
    StateAnswer, UpgradeIdentityRequest, UpgradeRequest,
};
pub use moves::{ImportAnswer, ImportBy, ImportRequest, Imported, MoveAnswer, MoveRequest};
pub use offer::Refused;
pub use provider::TERRAFORM_VERSION;

use andon_schema::Block;
use andon_value::{Type, Value};
use serde_json::Value as Json;

use crate::error::CallError;
use crate::values::to_wire;
use crate::wire::plugin as wire;

/// What a module says to a provider (`provider_meta`). Sent where the provider has a schema for it.
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a> {
    /// The provider's schema for it.
    pub schema: &'a Block,
    /// An object of its implied type, or null where the module says nothing.
    pub value: &'a Value,
}

fn meta_to_wire(meta: Option<Meta<'_>>) -> Result<Option<wire::DynamicValue>, CallError> {
    meta.map(|meta| to_wire(meta.value, &meta.schema.implied_type())).transpose()
}

/// A stored object as it was stored, by a version of its schema that may be older.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// In JSON by the type that it had then ([`andon_value::to_typed_json`]).
    Json(&'a Json),
    /// In the flat form of Terraform before 0.12: the keys are paths with dots.
    Flat(&'a std::collections::BTreeMap<String, String>),
}

impl Stored<'_> {
    fn to_wire(self, known: Option<&Type>) -> wire::RawState {
        match self {
            Stored::Json(json) => {
                let json = known.map_or_else(|| json.to_string(), |ty| without_surplus(json, ty).to_string());
                wire::RawState { json: json.into_bytes().into(), flatmap: Default::default() }
            }
            Stored::Flat(flat) => wire::RawState { json: Default::default(), flatmap: flat.clone() },
        }
    }
}

/// Without the attributes that a type does not have: a provider may drop some without raising its schema's version, and
/// refuses what it does not know.
fn without_surplus(json: &Json, ty: &Type) -> Json {
    andon_text::deeper(|| match (json, ty) {
        (Json::Object(entries), Type::Object { attributes, .. }) => {
            let known = entries.iter().filter_map(|(name, json)| Some((name, json, attributes.get(name.as_str())?)));
            known.map(|(name, json, ty)| (name.clone(), without_surplus(json, ty))).collect()
        }
        (Json::Object(entries), Type::Map(element)) => {
            entries.iter().map(|(name, json)| (name.clone(), without_surplus(json, element))).collect()
        }
        (Json::Array(elements), Type::List(element) | Type::Set(element)) => {
            elements.iter().map(|json| without_surplus(json, element)).collect()
        }
        (Json::Array(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            elements.iter().zip(types.iter()).map(|(json, ty)| without_surplus(json, ty)).collect()
        }
        _ => json.clone(),
    })
}
