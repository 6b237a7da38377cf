//! What Terraform's settings say of hosts: tokens, and where their services are
//! (<https://developer.hashicorp.com/terraform/cli/config/config-file>).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use andon_hcl::ast::{Body, Expr, ExprKind, TemplatePart};
use andon_text::{Diagnostics, SourceMap};
use serde_json::Value as Json;

use crate::url::ascii_host;

/// Where settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The settings file of the command line: `~/.terraformrc`, or what `TF_CLI_CONFIG_FILE` names.
    pub file: Option<PathBuf>,
    /// The directory of credentials: `~/.terraform.d`.
    pub directory: Option<PathBuf>,
    /// Tokens by host, as `TF_TOKEN_<host>` gives them.
    pub tokens: BTreeMap<String, String>,
}

/// Tokens and services of hosts. Host names are as the network takes them, with a port where that is not 443.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    tokens: BTreeMap<String, String>,
    services: BTreeMap<String, BTreeMap<String, String>>,
}

impl Settings {
    /// What the environment says.
    pub fn from_environment() -> Settings {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = named("TF_CLI_CONFIG_FILE").or_else(|| named("TERRAFORM_CONFIG"));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let host = name.to_str()?.strip_prefix("TF_TOKEN_")?.replace("__", "-").replace('_', ".");
            Some((host, value.into_string().ok()?))
        });
        Settings {
            file: file.or_else(|| home.as_ref().map(|home| home.join(".terraformrc"))),
            directory: home.map(|home| home.join(".terraform.d")),
            tokens: variables.collect(),
        }
    }
}

impl Hosts {
    /// Reads the settings. What cannot be understood in a file is left out, and said.
    pub fn read(settings: &Settings) -> (Hosts, Diagnostics, SourceMap) {
        let mut hosts = Hosts::default();
        let (mut found, mut sources) = (Diagnostics::new(), SourceMap::new());
        if let Some(file) = &settings.file {
            hosts.read_file(file, &mut found, &mut sources);
        }
        if let Some(directory) = &settings.directory {
            hosts.read_json(&directory.join("credentials.tfrc.json"));
        }
        for (host, token) in &settings.tokens {
            hosts.tokens.insert(normal(host), token.clone());
        }
        (hosts, found, sources)
    }

    /// The token for a host.
    pub fn token(&self, host: &str) -> Option<&str> {
        self.tokens.get(&normal(host)).map(String::as_str)
    }

    /// Where a `host` block says that a service is; `Some(None)` where it says of other services only.
    pub fn service(&self, host: &str, service: &str) -> Option<Option<&str>> {
        self.services.get(&normal(host)).map(|services| services.get(service).map(String::as_str))
    }

    fn read_file(&mut self, path: &Path, found: &mut Diagnostics, sources: &mut SourceMap) {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        if path.extension().is_some_and(|suffix| suffix == "json") {
            return self.read_json(path);
        }
        let id = sources.add(path.display().to_string(), text.as_str());
        let (body, errors) = andon_hcl::parse_body(id, &text);
        found.extend(errors);
        for block in body.blocks() {
            let Some(host) = block.labels.first().map(|label| normal(&label.name)) else { continue };
            match &*block.kind.name {
                "credentials" => {
                    let token = block.body.attribute("token").and_then(|it| text_of(&it.value));
                    self.tokens.extend(token.map(|token| (host, token)));
                }
                "host" => drop(self.services.insert(host, services(&block.body))),
                _ => {}
            }
        }
    }

    fn read_json(&mut self, path: &Path) {
        let Some(json) = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Json>(&text).ok()) else {
            return;
        };
        let of = |name: &str| json.get(name).and_then(Json::as_object).into_iter().flatten();
        for (host, entry) in of("credentials") {
            if let Some(token) = entry.get("token").and_then(Json::as_str) {
                // The settings file itself has the last word.
                self.tokens.entry(normal(host)).or_insert_with(|| token.to_owned());
            }
        }
        for (host, entry) in of("host") {
            let services = entry.get("services").and_then(Json::as_object).into_iter().flatten();
            let services = services.filter_map(|(name, url)| Some((name.clone(), url.as_str()?.to_owned())));
            self.services.insert(normal(host), services.collect());
        }
    }
}

/// `services = { "modules.v1" = "URL" }`
fn services(body: &Body) -> BTreeMap<String, String> {
    let Some(ExprKind::Object(items)) = body.attribute("services").map(|it| &it.value.kind) else {
        return BTreeMap::new();
    };
    items.iter().filter_map(|item| Some((text_of(&item.key)?, text_of(&item.value)?))).collect()
}

fn text_of(expr: &Expr) -> Option<String> {
    let ExprKind::Template(template) = &expr.kind else { return None };
    template
        .parts
        .iter()
        .map(|part| if let TemplatePart::Literal(text, _) = part { Some(&**text) } else { None })
        .collect()
}

/// A host name to compare by.
fn normal(host: &str) -> String {
    let host = ascii_host(&host.to_lowercase());
    host.strip_suffix(":443").map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_of_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rc");
        let text = "disable_checkpoint = true\ncredentials \"A.example\" {\n  token = \"one\"\n}\ncredentials \"b.example:8443\" {\n  token = \"two\"\n}\nhost \"c.example\" {\n  services = {\n    \"modules.v1\" = \"http://127.0.0.1:1/v1/\"\n  }\n}\n";
        std::fs::write(&file, text).unwrap();
        let json = r#"{"credentials":{"a.example":{"token":"json"},"d.example":{"token":"three"}}}"#;
        std::fs::write(directory.path().join("credentials.tfrc.json"), json).unwrap();
        let tokens = [("e.example".to_owned(), "four".to_owned()), ("b.example:8443".to_owned(), "five".to_owned())];
        let settings =
            Settings { file: Some(file), directory: Some(directory.path().to_owned()), tokens: tokens.into() };
        let (hosts, found, _) = Hosts::read(&settings);
        assert!(found.is_empty(), "{found:?}");
        for (host, expected) in [
            ("a.example", Some("one")),
            ("a.example:443", Some("one")),
            ("b.example:8443", Some("five")),
            ("b.example", None),
            ("d.example", Some("three")),
            ("E.Example", Some("four")),
        ] {
            assert_eq!(hosts.token(host), expected, "{host}");
        }
        assert_eq!(hosts.service("c.example", "modules.v1"), Some(Some("http://127.0.0.1:1/v1/")));
        assert_eq!(hosts.service("c.example", "providers.v1"), Some(None));
        assert_eq!(hosts.service("a.example", "modules.v1"), None);
    }
}
