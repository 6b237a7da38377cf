//! A registry of providers of a test's own, on loopback: `registry.example`, whose providers are shell scripts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgp::composed::{ArmorOptions, Deserializable, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::support::Project;

/// What is answered to a path.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub location: Option<String>,
    /// Bytes of the body that are not sent.
    pub cut: usize,
    /// The `authorization` that is asked for.
    pub token: Option<String>,
}

pub fn reply(body: impl Into<Vec<u8>>) -> Reply {
    Reply { status: 200, body: body.into(), ..Reply::default() }
}

#[derive(Clone)]
pub struct Registry {
    pub url: String,
    pub pages: Arc<Mutex<BTreeMap<String, Reply>>>,
    pub asked: Arc<Mutex<Vec<String>>>,
    /// While it is set, half of each archive is sent and no more.
    pub stalled: Arc<AtomicBool>,
}

impl Registry {
    pub fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let registry = Registry { url, pages: Arc::default(), asked: Arc::default(), stalled: Arc::default() };
        let served = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let registry = served.clone();
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                    let mut token = None;
                    for line in lines.take_while(|line| !line.is_empty()) {
                        let (name, value) = line.split_once(':').unwrap_or_default();
                        token = name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned()).or(token);
                    }
                    registry.asked.lock().unwrap().push(path.clone());
                    let none = Reply { status: 404, ..Reply::default() };
                    let mut reply = registry.pages.lock().unwrap().get(&path).cloned().unwrap_or(none);
                    if reply.token.is_some() && reply.token != token {
                        reply = Reply { status: 401, ..Reply::default() };
                    }
                    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
                    head.push_str("Content-Type: application/json\r\n");
                    reply.location.iter().for_each(|to| head.push_str(&format!("Location: {to}\r\n")));
                    head.push_str(&format!("Content-Length: {}\r\n\r\n", reply.body.len()));
                    let mut stream = stream;
                    let _ = stream.write_all(head.as_bytes());
                    let sent = &reply.body[..reply.body.len() - reply.cut];
                    let (first, rest) = sent.split_at(sent.len() / 2);
                    let _ = stream.write_all(first);
                    while path.ends_with(".zip") && registry.stalled.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    let _ = stream.write_all(rest);
                });
            }
        });
        registry
    }

    pub fn put(&self, path: &str, reply: Reply) {
        self.pages.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Changes a page of JSON.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Json)) {
        let mut pages = self.pages.lock().unwrap();
        let page = pages.get_mut(path).unwrap();
        let mut json = serde_json::from_slice(&page.body).unwrap();
        edit(&mut json);
        page.body = json.to_string().into_bytes();
    }

    pub fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Publishes versions of `shop/NAME` for Linux and another platform.
    pub fn publish(&self, name: &str, versions: &[&str]) {
        let listed: Vec<Json> = versions
            .iter()
            .map(|version| json!({"version": version, "protocols": ["5.0", "6.0"], "platforms": [{"os": "linux", "arch": "amd64"}]}))
            .collect();
        self.put(&format!("/v1/shop/{name}/versions"), reply(json!({ "versions": listed }).to_string()));
        for version in versions {
            let packages = [own(), "darwin_amd64".to_owned()].map(|platform| {
                let script = format!("#!/bin/sh\necho {name} {version} {platform}\n");
                let program = format!("terraform-provider-{name}_v{version}");
                (platform, zip(&[(&program, script.as_bytes()), ("README.md", b"read me\n")]))
            });
            self.publish_version(name, version, &packages);
        }
    }

    /// Publishes the packages of a version, by platform, signed by their maker.
    pub fn publish_version(&self, name: &str, version: &str, packages: &[(String, Vec<u8>)]) {
        let file = |platform: &str| format!("terraform-provider-{name}_{version}_{platform}.zip");
        let sum = |(platform, archive): &(String, Vec<u8>)| format!("{}  {}\n", sha256(archive), file(platform));
        let sums: String = packages.iter().map(sum).collect();
        let base = format!("/files/{name}_{version}");
        self.put(&format!("{base}_SHA256SUMS"), reply(sums.as_str()));
        self.put(&format!("{base}_SHA256SUMS.sig"), reply(sign(sums.as_bytes(), MAKER)));
        for (platform, archive) in packages {
            let (os, arch) = platform.split_once('_').unwrap();
            self.put(&format!("/files/{}", file(platform)), reply(archive.clone()));
            let download = json!({
                "protocols": ["5.0"], "os": os, "arch": arch, "filename": file(platform),
                "download_url": format!("{}/files/{}", self.url, file(platform)),
                "shasum": sha256(archive),
                "shasums_url": format!("{}{base}_SHA256SUMS", self.url),
                "shasums_signature_url": format!("{base}_SHA256SUMS.sig"),
                "signing_keys": {"gpg_public_keys": [{"key_id": "98411B02670529AD", "ascii_armor": public(MAKER)}]},
            });
            // Some clients want whole URLs.
            let download = download.to_string().replace("\"/files", &format!("\"{}/files", self.url));
            self.put(&format!("/v1/shop/{name}/{version}/download/{os}/{arch}"), reply(download));
        }
    }

    /// A project with settings that say where `registry.example` is.
    pub fn project(&self, name: &str, providers: &[(&str, &str)]) -> Project {
        let project = Project::empty(name);
        project.write("main.tf", &required(providers));
        project.write(
            "settings/rc",
            &format!(
                "host \"registry.example\" {{\n  services = {{\n    \"providers.v1\" = \"{}/v1/\"\n  }}\n}}\n",
                self.url
            ),
        );
        project
    }
}

/// Definitions that require versions of `registry.example/shop/NAME`.
pub fn required(providers: &[(&str, &str)]) -> String {
    let entry = |(name, version): &(&str, &str)| {
        let version = if version.is_empty() { String::new() } else { format!(", version = \"{version}\"") };
        format!("    {name} = {{ source = \"registry.example/shop/{name}\"{version} }}\n")
    };
    let entries: String = providers.iter().map(entry).collect();
    format!("terraform {{\n  required_providers {{\n{entries}  }}\n}}\n")
}

/// Who makes the test's providers: its main key signs only the one that signs.
pub const MAKER: &str = include_str!("maker.asc");

/// Somebody else.
pub const ELSE: &str = include_str!("else.asc");

fn key(armored: &str) -> SignedSecretKey {
    SignedSecretKey::from_string(armored).unwrap().0
}

pub fn public(armored: &str) -> String {
    key(armored).to_public_key().to_armored_string(ArmorOptions::default()).unwrap()
}

pub fn sign(content: &[u8], armored: &str) -> Vec<u8> {
    let key = key(armored);
    let (random, password) = (rand::thread_rng(), "".into());
    let signature = match key.secret_subkeys.first() {
        Some(sub) => DetachedSignature::sign_binary_data(random, &sub.key, &password, HashAlgorithm::Sha256, content),
        None => {
            DetachedSignature::sign_binary_data(random, &key.primary_key, &password, HashAlgorithm::Sha256, content)
        }
    };
    signature.unwrap().to_bytes().unwrap()
}

pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This machine's platform.
pub fn own() -> String {
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    format!("linux_{architecture}")
}

pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
