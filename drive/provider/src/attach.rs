use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use andon_schema::ProviderAddress;
use serde_json::Value as Json;

use crate::schema::Protocol;

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port, of this machine by the habit of plugins.
    Tcp(SocketAddr),
}

/// A plugin that somebody else started, to debug it or to test it. It is not ended with the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: Address,
    /// The number of its process.
    pub pid: u32,
}

impl Address {
    /// As a handshake or an attachment names it.
    pub(crate) fn parse(network: &str, address: &str) -> Option<Address> {
        match network {
            "unix" if address.starts_with('/') => Some(Address::Unix(address.into())),
            "tcp" => address.parse().ok().map(Address::Tcp),
            _ => None,
        }
    }
}

/// Reads the value of `TF_REATTACH_PROVIDERS`
/// (<https://developer.hashicorp.com/terraform/plugin/debugging#debugger-based-debugging>): plugins that run already, by
/// provider. The error is a clause that says what is wrong with it.
pub fn attachments(text: &str) -> Result<BTreeMap<ProviderAddress, Attachment>, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let entries = json.as_object().ok_or("it is no JSON object of providers")?;
    let entry = |(name, entry): (&String, &Json)| {
        let provider = ProviderAddress::parse(name).map_err(|error| format!("{name:?} is no provider: {error}"))?;
        let attachment = attachment(entry).map_err(|why| format!("{name}: {why}"))?;
        Ok((provider, attachment))
    };
    entries.iter().map(entry).collect()
}

fn attachment(entry: &Json) -> Result<Attachment, String> {
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    match text(entry, "Protocol").as_str() {
        "grpc" => {}
        other => return Err(format!("its Protocol is {other:?}, and only \"grpc\" is understood")),
    }
    let protocol = match entry.get("ProtocolVersion").map_or(Some(0), Json::as_i64) {
        // What says nothing is old.
        Some(0 | 5) => Protocol::Five,
        Some(6) => Protocol::Six,
        _ => return Err("its ProtocolVersion is neither 5 nor 6".to_owned()),
    };
    let named = entry.get("Addr").unwrap_or(&Json::Null);
    let (network, string) = (text(named, "Network"), text(named, "String"));
    let address = Address::parse(&network, &string).ok_or_else(|| {
        format!("its Addr is {string:?} of the network {network:?}: a \"unix\" path or a \"tcp\" address is wanted")
    })?;
    let pid = entry.get("Pid").and_then(Json::as_u64).and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    Ok(Attachment { protocol, address, pid })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    #[test]
    fn attachments_are_read_or_refused() {
        let entry = |fields: &str| format!("{{\"hashicorp/null\": {{{fields}}}}}");
        let unix = r#""Protocol":"grpc","Pid":7,"Test":true,"Addr":{"Network":"unix","String":"/tmp/p1"}"#;
        let of = |text: &str| attachments(text).unwrap().into_values().next().unwrap();
        assert_eq!(of(&entry(unix)).protocol, Protocol::Five);
        assert_eq!(of(&entry(&format!("{unix},\"ProtocolVersion\":6"))).protocol, Protocol::Six);
        assert_eq!(of(&entry(unix)).address, Address::Unix("/tmp/p1".into()));
        let tcp = r#""Protocol":"grpc","ProtocolVersion":5,"Addr":{"Network":"tcp","String":"127.0.0.1:12345"}"#;
        assert_eq!(of(&entry(tcp)).address, Address::Tcp("127.0.0.1:12345".parse().unwrap()));
        assert!(attachments("{}").unwrap().is_empty());
        for (text, expected) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            (r#"{"a/b/c/d/e":{}}"#, "is no provider"),
            (&entry(""), "its Protocol is \"\""),
            (&entry(r#""Protocol":"netrpc""#), "netrpc"),
            (&entry(r#""Protocol":"grpc","ProtocolVersion":7"#), "neither 5 nor 6"),
            (&entry(r#""Protocol":"grpc""#), "its Addr is"),
            (&entry(r#""Protocol":"grpc","Addr":{"Network":"unix","String":"p1"}"#), "its Addr is \"p1\""),
        ] {
            let why = attachments(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
