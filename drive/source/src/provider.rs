//! Registries of providers (<https://developer.hashicorp.com/terraform/internals/provider-registry-protocol>) and mirrors
//! of them on the web (<https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol>).

use std::collections::BTreeSet;
use std::path::Path;

use andon_schema::source::{Checksum, ChecksumKind, public_url};
use andon_schema::{ProviderAddress, Version};
use serde_json::Value as Json;

use crate::digest::verify;
use crate::error::FetchError;
use crate::registry::{PROVIDERS, json, odd, with_slash};
use crate::signature::signer;
use crate::url::{ascii_host, authority, join};
use crate::web::{Answer, Progress, Web};

/// What a registry or a mirror has of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderVersions {
    /// In no order.
    pub versions: Vec<OfferedVersion>,
    /// What the registry wants its users to know.
    pub warnings: Vec<String>,
}

/// A version of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedVersion {
    /// The version.
    pub version: Version,
    /// The protocols that it speaks, as `5.0`; none where that is not said.
    pub protocols: Vec<String>,
}

/// A package that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPackage {
    /// Where its archive is.
    pub url: String,
    /// What the archive must come to, in hexadecimal digits of SHA-256, where that is known.
    pub digest: Option<String>,
    /// What packages of this version come to, as lock files write it: of a registry, those of all platforms.
    pub hashes: BTreeSet<String>,
    /// The id of the key that the hashes are signed with.
    pub signer: Option<String>,
    /// The protocols that it speaks, as `5.0`; none where that is not said.
    pub protocols: Vec<String>,
    /// What the server wants to see with a request for it.
    authorization: Option<String>,
}

impl Web {
    /// The versions of a provider that its registry lists; what is no version is left out.
    ///
    /// # Errors
    /// Where the registry cannot be reached, has no such provider, or gives an answer that is none.
    pub fn provider_versions(&self, provider: &ProviderAddress) -> Result<ProviderVersions, FetchError> {
        let answer = self.of_provider(provider, "versions")?;
        if answer.status == 404 {
            return Err(FetchError::NoProvider { place: provider.host.to_string(), provider: provider.to_string() });
        }
        let json = json(&answer)?;
        let listed = json.get("versions").and_then(Json::as_array);
        let listed = listed.ok_or_else(|| odd(&answer, "it lists no versions"))?;
        let version = |it: &Json| {
            let version = it.get("version")?.as_str()?.parse().ok()?;
            Some(OfferedVersion { version, protocols: texts(it.get("protocols")) })
        };
        Ok(ProviderVersions {
            versions: listed.iter().filter_map(version).collect(),
            warnings: texts(json.get("warnings")),
        })
    }

    /// The package of a version for a platform (`linux`, `amd64`), and the signed checksums of all platforms'.
    ///
    /// # Errors
    /// Where the registry cannot be reached, has no such package, gives an answer that is none, or gives checksums that
    /// are not signed with one of the provider's keys, or not those of the package.
    pub fn provider_package(
        &self,
        provider: &ProviderAddress,
        version: &Version,
        (os, architecture): (&str, &str),
    ) -> Result<ProviderPackage, FetchError> {
        let what = format!("{provider} {version}");
        let answer = self.of_provider(provider, &format!("{version}/download/{os}/{architecture}"))?;
        if answer.status == 404 {
            return Err(FetchError::NoPackage { provider: what, platform: format!("{os}_{architecture}") });
        }
        let json = json(&answer)?;
        let text = |name: &str| json.get(name).and_then(Json::as_str).filter(|it| !it.is_empty());
        let must = |name: &str| text(name).ok_or_else(|| odd(&answer, &format!("it has no `{name}`")));
        if text("os").is_some_and(|it| it != os) || text("arch").is_some_and(|it| it != architecture) {
            return Err(odd(&answer, "it is of another platform"));
        }
        let digest = must("shasum")?.to_lowercase();
        let name = must("filename")?;
        let fetch = |url: &str| self.page(&join(&answer.url, url), None, &[]).map(|answer| answer.body);
        let sums = fetch(must("shasums_url")?)?;
        let signature = fetch(must("shasums_signature_url")?)?;
        let keys = json.pointer("/signing_keys/gpg_public_keys").and_then(Json::as_array);
        let keys = keys.into_iter().flatten().filter_map(|key| key.get("ascii_armor")?.as_str().map(str::to_owned));
        let signer = signer(&sums, &signature, &keys.collect::<Vec<_>>());
        let signer = signer.map_err(|why| FetchError::Unsigned { provider: what.clone(), why })?;
        let sums = String::from_utf8_lossy(&sums);
        let sums: Vec<(String, &str)> = sums.lines().filter_map(sum).collect();
        match sums.iter().find(|(_, named)| *named == name) {
            Some((listed, _)) if *listed == digest => {}
            Some((listed, _)) => {
                let (wanted, found) = (format!("sha256:{listed}"), format!("sha256:{digest}"));
                return Err(FetchError::Checksum { what: format!("{name}, as the registry names it,"), wanted, found });
            }
            None => {
                let why = format!("they have no line for {name}");
                return Err(FetchError::Unsigned { provider: what, why });
            }
        }
        Ok(ProviderPackage {
            url: join(&answer.url, must("download_url")?),
            digest: Some(digest),
            hashes: sums.iter().map(|(digits, _)| format!("zh:{digits}")).collect(),
            signer: Some(signer),
            protocols: texts(json.get("protocols")),
            authorization: None,
        })
    }

    /// The versions of a provider that a mirror has.
    ///
    /// # Errors
    /// Where the mirror cannot be reached, has no such provider, or gives an answer that is none.
    pub fn mirrored_versions(&self, mirror: &str, provider: &ProviderAddress) -> Result<ProviderVersions, FetchError> {
        let answer = self.of_mirror(mirror, provider, "index.json")?;
        if answer.status == 404 {
            return Err(FetchError::NoProvider { place: public_url(mirror), provider: provider.to_string() });
        }
        let json = json(&answer)?;
        let listed = json.get("versions").and_then(Json::as_object);
        let listed = listed.ok_or_else(|| odd(&answer, "it lists no versions"))?;
        let version = |name: &String| Some(OfferedVersion { version: name.parse().ok()?, protocols: Vec::new() });
        Ok(ProviderVersions { versions: listed.keys().filter_map(version).collect(), warnings: Vec::new() })
    }

    /// The package of a version for a platform (`linux_amd64`) that a mirror has.
    ///
    /// # Errors
    /// Where the mirror cannot be reached, has no such package, or gives an answer that is none.
    pub fn mirrored_package(
        &self,
        mirror: &str,
        provider: &ProviderAddress,
        version: &Version,
        platform: &str,
    ) -> Result<ProviderPackage, FetchError> {
        let answer = self.of_mirror(mirror, provider, &format!("{version}.json"))?;
        let none =
            || FetchError::NoPackage { provider: format!("{provider} {version}"), platform: platform.to_owned() };
        if answer.status == 404 {
            return Err(none());
        }
        let json = json(&answer)?;
        let archives = json.get("archives").and_then(Json::as_object);
        let archives = archives.ok_or_else(|| odd(&answer, "it lists no archives"))?;
        let archive = archives.get(platform).ok_or_else(none)?;
        let url = archive.get("url").and_then(Json::as_str).ok_or_else(|| odd(&answer, "an archive has no `url`"))?;
        let url = join(&answer.url, url);
        let hashes = texts(archive.get("hashes")).into_iter().collect();
        // A token is for the mirror's own host.
        let own = authority(&url) == authority(&answer.url);
        let authorization = self.token_of(authority(&url)).filter(|_| own);
        Ok(ProviderPackage { url, digest: None, hashes, signer: None, protocols: Vec::new(), authorization })
    }

    /// Fetches the archive of a package into a file, and holds it against its checksum. What is left after an error is
    /// the caller's to remove.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch_package(
        &self,
        package: &ProviderPackage,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<(), FetchError> {
        self.check()?;
        if !package.url.starts_with("https://") && !package.url.starts_with("http://") {
            let why = "a package is fetched by http or https".to_owned();
            return Err(FetchError::Odd { url: public_url(&package.url), why });
        }
        self.download_as(&package.url, package.authorization.clone(), to, progress)?;
        let Some(digest) = &package.digest else { return Ok(()) };
        let checksum = Checksum { kind: ChecksumKind::Sha256, digits: digest.as_str().into() };
        verify(to, &public_url(&package.url), &checksum)
    }

    fn of_provider(&self, provider: &ProviderAddress, path: &str) -> Result<Answer, FetchError> {
        let base = self.registry(&provider.host, PROVIDERS)?;
        let ProviderAddress { namespace, name, host } = provider;
        self.page(&format!("{base}{namespace}/{name}/{path}"), self.token_of(host).as_deref(), &[404])
    }

    fn of_mirror(&self, mirror: &str, provider: &ProviderAddress, file: &str) -> Result<Answer, FetchError> {
        if !mirror.starts_with("https://") {
            let why = "a mirror must be one of https".to_owned();
            return Err(FetchError::Odd { url: public_url(mirror), why });
        }
        let ProviderAddress { host, namespace, name } = provider;
        let base = with_slash(mirror.to_owned());
        let address = format!("{base}{}/{namespace}/{name}/{file}", ascii_host(host));
        self.page(&address, self.token_of(authority(mirror)).as_deref(), &[404])
    }

    fn token_of(&self, host: &str) -> Option<String> {
        self.hosts.token(host).map(|token| format!("Bearer {token}"))
    }
}

/// A line of a file of checksums: digits, two spaces or a space and a star, a name.
fn sum(line: &str) -> Option<(String, &str)> {
    let (digits, name) = line.trim_end().split_once(' ')?;
    let name = name.strip_prefix([' ', '*']).unwrap_or(name);
    let plain = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| (digits.to_lowercase(), name))
}

fn texts(json: Option<&Json>) -> Vec<String> {
    let all = json.and_then(Json::as_array).into_iter().flatten();
    all.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}
