//! The table of firewall rules that is Andon's own, as the kernel has it and as it is kept for the next boot.

use std::sync::Arc;

use andon_schema::host::{Firewall, FirewallChain, Sight, Stage};
use serde_json::Value as Json;

use crate::run::{last_lines, run};

/// Where it is kept.
const KEPT: &str = "/etc/nftables.d/andon.nft";

/// Looks at the table, with one process. Where there is no `nft`, nothing made one.
pub(crate) fn look(stage: Stage) -> Sight {
    let kept: Arc<str> = std::fs::read_to_string(KEPT).unwrap_or_default().into();
    let live = match stage {
        Stage::Image => Ok(Vec::new()),
        Stage::Live => live(),
    };
    live.map_or_else(Sight::Failed, |live| Sight::Firewall(Firewall { live, kept }))
}

fn live() -> Result<Vec<FirewallChain>, String> {
    let output = match run("nft", &["-j", "list", "table", "inet", "andon"]) {
        Ok(output) => output,
        Err(_) if !has_nft() => return Ok(Vec::new()),
        Err(reason) => return Err(reason),
    };
    if !output.success {
        let missing = output.text.contains("No such file or directory");
        return if missing { Ok(Vec::new()) } else { Err(format!("nft failed: {}", last_lines(&output.text, 3))) };
    }
    parse(&output.text).ok_or_else(|| "nft did not say which rules there are".to_owned())
}

fn has_nft() -> bool {
    let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    directories.iter().any(|directory| std::path::Path::new(directory).join("nft").exists())
}

/// The JSON of libnftables-json(5).
fn parse(text: &str) -> Option<Vec<FirewallChain>> {
    let json: Json = serde_json::from_str(text).ok()?;
    let mut chains: Vec<FirewallChain> = Vec::new();
    for object in json.get("nftables")?.as_array()? {
        let word = |object: &Json, name: &str| -> Arc<str> {
            object.get(name).and_then(Json::as_str).unwrap_or_default().into()
        };
        if let Some(chain) = object.get("chain") {
            chains.push(FirewallChain { name: word(chain, "name"), policy: word(chain, "policy"), rules: Vec::new() });
        } else if let Some(rule) = object.get("rule") {
            let of = word(rule, "chain");
            if let Some(chain) = chains.iter_mut().find(|chain| chain.name == of) {
                chain.rules.push(word(rule, "comment"));
            }
        }
    }
    Some(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nft_says_is_read() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "andon"}},
            {"chain": {"name": "input", "hook": "input", "policy": "drop"}},
            {"rule": {"chain": "input", "handle": 2, "comment": "web/ssh 0 12ab", "expr": []}},
            {"rule": {"chain": "input", "handle": 3, "expr": []}}]}"#;
        let chains = parse(text).unwrap();
        assert_eq!((chains.len(), &*chains[0].policy), (1, "drop"));
        assert_eq!(chains[0].rules.iter().map(|rule| &**rule).collect::<Vec<_>>(), ["web/ssh 0 12ab", ""]);
        assert_eq!(parse("nonsense"), None);
    }
}
