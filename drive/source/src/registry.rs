//! Registries of modules (<https://developer.hashicorp.com/terraform/internals/module-registry-protocol>).

use std::sync::Arc;

use andon_schema::source::RegistryModule;
use serde_json::Value as Json;

use crate::error::FetchError;
use crate::url::{ascii_host, join};
use crate::web::{Answer, Web};

/// A service of a host: its name in the discovery document, and what it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    name: &'static str,
    has: &'static str,
}

const MODULES: Service = Service { name: "modules.v1", has: "modules" };
pub(crate) const PROVIDERS: Service = Service { name: "providers.v1", has: "providers" };

impl Web {
    /// The versions of a module that its registry lists, as it writes them.
    ///
    /// # Errors
    /// Where the registry cannot be reached, has no such module, or gives an answer that is none.
    pub fn versions(&self, module: &RegistryModule) -> Result<Vec<String>, FetchError> {
        let answer = self.of_registry(module, "versions", &module.to_string())?;
        let json = json(&answer)?;
        let modules = json.get("modules").and_then(Json::as_array);
        let versions = modules.and_then(|modules| modules.first()?.get("versions")?.as_array());
        let Some(versions) = versions else { return Err(odd(&answer, "it lists no versions")) };
        let text = |version: &Json| version.get("version").and_then(Json::as_str).map(str::to_owned);
        Ok(versions.iter().filter_map(text).collect())
    }

    /// Where a version of a module is: a source, as the registry writes it.
    ///
    /// # Errors
    /// Where the registry cannot be reached, has no such version, or gives an answer that is none.
    pub fn location(&self, module: &RegistryModule, version: &str) -> Result<String, FetchError> {
        let answer = self.of_registry(module, &format!("{version}/download"), &format!("{module} {version}"))?;
        let body = (answer.status == 200).then(|| serde_json::from_slice::<Json>(&answer.body).ok()).flatten();
        let location = body.as_ref().and_then(|json| json.get("location")?.as_str()).filter(|it| !it.is_empty());
        let Some(location) = location.map(str::to_owned).or_else(|| answer.elsewhere.clone()) else {
            return Err(odd(&answer, "it does not say where the module is"));
        };
        let relative = ["/", "./", "../"].iter().any(|prefix| location.starts_with(prefix));
        Ok(if relative { join(&answer.url, &location) } else { location })
    }

    fn of_registry(&self, module: &RegistryModule, path: &str, what: &str) -> Result<Answer, FetchError> {
        let base = self.registry(&module.host, MODULES)?;
        let RegistryModule { namespace, name, system, .. } = module;
        let token = self.hosts.token(&module.host).map(|token| format!("Bearer {token}"));
        let answer = self.page(&format!("{base}{namespace}/{name}/{system}/{path}"), token.as_deref(), &[404])?;
        match answer.status {
            404 => Err(FetchError::NoModule { host: module.host.to_string(), module: what.to_owned() }),
            _ => Ok(answer),
        }
    }

    /// Where the registry of a host is, ending in `/`. It is asked once, however many threads want to know.
    pub(crate) fn registry(&self, host: &str, service: Service) -> Result<String, FetchError> {
        match self.hosts.service(host, service.name) {
            Some(Some(url)) => return Ok(with_slash(join(&format!("https://{}/", ascii_host(host)), url))),
            Some(None) => return Err(FetchError::NoRegistry { host: host.to_owned(), what: service.has }),
            None => {}
        }
        let cell = match self.discovered.lock() {
            Ok(mut known) => Arc::clone(known.entry((host.to_owned(), service.name)).or_default()),
            Err(_) => Arc::default(),
        };
        if let Some(known) = cell.get() {
            return Ok(known.clone());
        }
        let found = self.discover(host, service)?;
        Ok(cell.get_or_init(|| found).clone())
    }

    fn discover(&self, host: &str, service: Service) -> Result<String, FetchError> {
        let token = self.hosts.token(host).map(|token| format!("Bearer {token}"));
        let address = format!("https://{}/.well-known/terraform.json", ascii_host(host));
        let answer = self.page(&address, token.as_deref(), &[404])?;
        if answer.status == 404 {
            return Err(FetchError::NoRegistry { host: host.to_owned(), what: service.has });
        }
        match json(&answer)?.get(service.name).and_then(Json::as_str) {
            Some(url) => Ok(with_slash(join(&answer.url, url))),
            None => Err(FetchError::NoRegistry { host: host.to_owned(), what: service.has }),
        }
    }
}

pub(crate) fn with_slash(url: String) -> String {
    if url.ends_with('/') { url } else { url + "/" }
}

pub(crate) fn json(answer: &Answer) -> Result<Json, FetchError> {
    serde_json::from_slice(&answer.body).map_err(|_| odd(answer, "it is no JSON"))
}

pub(crate) fn odd(answer: &Answer, why: &str) -> FetchError {
    FetchError::Odd { url: andon_schema::source::public_url(&answer.url), why: why.to_owned() }
}
