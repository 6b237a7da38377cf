//! What is said of a pull: an engine writes a line for each piece of each layer, and people want to know how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

/// How long is waited between two lines about one pull.
const PAUSE: Duration = Duration::from_secs(5);

/// A pull that goes on.
#[derive(Debug, Default)]
pub(crate) struct Pull {
    layers: BTreeMap<String, Layer>,
    told: Duration,
    /// Why it failed, in the engine's words.
    pub refused: Option<String>,
}

#[derive(Debug, Default)]
struct Layer {
    /// Bytes that came, and that there are; 0 where that is not known.
    came: u64,
    size: u64,
    is_done: bool,
}

impl Pull {
    /// Takes in a line of the engine's (`JSONMessage`, <https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageCreate>),
    /// so long after the beginning; gives what is to be said, where it is time for that.
    pub fn step(&mut self, step: &Json, at: Duration) -> Option<String> {
        let text = |name: &str| step.get(name).and_then(Json::as_str).unwrap_or_default();
        if !text("error").is_empty() {
            self.refused = Some(text("error").to_owned());
            return None;
        }
        let (id, status) = (text("id"), text("status"));
        // The first line has the tag in the place of a layer.
        if !id.is_empty() && !status.starts_with("Pulling from") {
            let layer = self.layers.entry(id.to_owned()).or_default();
            let number = |name: &str| step.pointer(&format!("/progressDetail/{name}")).and_then(Json::as_u64);
            match status {
                "Downloading" => {
                    layer.came = number("current").unwrap_or(layer.came);
                    layer.size = number("total").unwrap_or(layer.size).max(layer.came);
                }
                "Download complete" | "Verifying Checksum" => layer.came = layer.size,
                "Pull complete" | "Already exists" => (layer.came, layer.is_done) = (layer.size, true),
                _ => {}
            }
        }
        if at < self.told + PAUSE || self.layers.is_empty() {
            return None;
        }
        self.told = at;
        let done = self.layers.values().filter(|layer| layer.is_done).count();
        let sum = |of: fn(&Layer) -> u64| self.layers.values().map(of).sum::<u64>() >> 20;
        let (came, size) = (sum(|layer| layer.came), sum(|layer| layer.size));
        let bytes = if size > 0 { format!(", {came} of {size} MiB") } else { String::new() };
        Some(format!("{done} of {} layers{bytes}", self.layers.len()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pull_is_told_of_now_and_then() {
        let mut pull = Pull::default();
        let mut told = Vec::new();
        let mut say = |step: Json, at: u64| told.extend(pull.step(&step, Duration::from_millis(at)));
        say(json!({ "status": "Pulling from library/nginx", "id": "1.27" }), 0);
        say(json!({ "status": "Pulling fs layer", "progressDetail": {}, "id": "a" }), 1);
        say(json!({ "status": "Already exists", "progressDetail": {}, "id": "b" }), 1);
        for at in 0..120_u64 {
            let detail = json!({ "current": at << 20, "total": 120 << 20 });
            say(json!({ "status": "Downloading", "progressDetail": detail, "id": "a" }), at * 100);
        }
        say(json!({ "status": "Download complete", "id": "a" }), 12_000);
        say(json!({ "status": "Extracting", "progressDetail": { "current": 1, "total": 9 }, "id": "a" }), 16_000);
        say(json!({ "status": "Pull complete", "id": "a" }), 16_001);
        say(json!({ "status": "Digest: sha256:00" }), 21_000);
        assert_eq!(
            told,
            [
                "1 of 2 layers, 50 of 120 MiB",
                "1 of 2 layers, 100 of 120 MiB",
                "1 of 2 layers, 120 of 120 MiB",
                "2 of 2 layers, 120 of 120 MiB"
            ]
        );
        assert_eq!(pull.step(&json!({ "error": "no such manifest" }), Duration::from_secs(60)), None);
        assert_eq!(pull.refused.as_deref(), Some("no such manifest"));
    }
}
