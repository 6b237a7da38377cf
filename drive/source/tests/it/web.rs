//! Web servers and registries.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use andon_schema::source::{ArchiveFormat, Checksum, ChecksumKind, Package, RegistryModule};
use andon_source::{Fetched, Hosts, Settings, Web};

use crate::archives::tar_gz;
use crate::server::{Answer, Server, ok, status};

pub fn web() -> Web {
    Web::new(Hosts::default(), Arc::new(AtomicBool::new(false)))
}

fn archive(url: String) -> Package {
    Package::Archive { url: url.into(), format: ArchiveFormat::TarGzip, checksum: None }
}

fn module_archive() -> Vec<u8> {
    tar_gz(&[("m/main.tf", b"locals {}")])
}

fn get(package: &Package, to: &Path) -> Result<Fetched, String> {
    web().fetch(package, None, to, &|_, _| {}).map_err(|error| error.to_string())
}

#[test]
fn servers_that_stumble_are_asked_again() {
    let whole = tempfile::tempdir().unwrap();
    let directory = &whole;
    type Handler = fn(usize) -> Answer;
    let cases: [(&str, Handler, usize, Result<(), &str>); 7] = [
        ("sound", |_| ok(module_archive()), 1, Ok(())),
        ("500 once", |before| if before == 0 { status(500) } else { ok(module_archive()) }, 2, Ok(())),
        ("429 twice", |before| if before < 2 { status(429) } else { ok(module_archive()) }, 3, Ok(())),
        ("503 always", |_| status(503), 3, Err("answers 503 (unavailable)")),
        ("404", |_| status(404), 1, Err("answers 404 (not found)")),
        ("cut once", |before| Answer { cut: if before == 0 { 5 } else { 0 }, ..ok(module_archive()) }, 2, Ok(())),
        ("cut always", |_| Answer { cut: 5, ..ok(module_archive()) }, 3, Err("cannot be reached")),
    ];
    let check = |(name, handler, times, expected): (&str, Handler, usize, Result<(), &str>)| {
        let server = Server::start(move |_, before| handler(before));
        let to = directory.path().join(name);
        let got = get(&archive(format!("{}/m.tar.gz", server.url)), &to);
        match expected {
            Ok(()) => assert!(got.is_ok() && to.join("m/main.tf").is_file(), "{name}: {got:?}"),
            Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{name}: {got:?}"),
        }
        assert_eq!(server.paths().len(), times, "{name}");
    };
    std::thread::scope(|scope| cases.map(|case| scope.spawn(move || check(case))).map(|it| it.join().unwrap()));
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".archive")), "{left:?}");
}

#[test]
fn content_is_held_against_its_checksum() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| ok(module_archive()));
    let with = |digits: &str| Package::Archive {
        url: format!("{}/m.tar.gz", server.url).into(),
        format: ArchiveFormat::TarGzip,
        checksum: Some(Checksum { kind: ChecksumKind::Sha256, digits: digits.into() }),
    };
    let wrong = get(&with(&"0".repeat(64)), &directory.path().join("wrong")).unwrap_err();
    let (_, right) = wrong.split_once("has the checksum sha256:").expect(&wrong);
    assert!(get(&with(&right[..64]), &directory.path().join("right")).is_ok());
}

#[test]
fn pages_lead_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/header?terraform-get=1" => Answer { headers: vec![("X-Terraform-Get", "./m.zip//sub".to_owned())], ..ok("") },
        "/meta?a=b&terraform-get=1" => ok("<html><meta name=\"terraform-get\" content=\"git::https://h/x\"></html>"),
        "/moved?terraform-get=1" => {
            Answer { headers: vec![("Location", "/header?terraform-get=1".to_owned())], ..status(302) }
        }
        _ => ok("<html>hello</html>"),
    });
    for (path, expected) in [
        ("/header", Ok(format!("{}/m.zip//sub", server.url))),
        ("/moved", Ok(format!("{}/m.zip//sub", server.url))),
        ("/meta?a=b", Ok("git::https://h/x".to_owned())),
        ("/other", Err("it is no archive, and does not say where a module is")),
    ] {
        let got = get(&Package::Page { url: format!("{}{path}", server.url).into() }, &directory.path().join("x"));
        match expected {
            Ok(source) => assert_eq!(got, Ok(Fetched::Elsewhere(source)), "{path}"),
            Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{path}: {got:?}"),
        }
    }
}

#[test]
fn users_and_tokens_go_to_their_host_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| ok(module_archive()));
    let url = server.url.replace("http://", "http://me:p%40ss@");
    get(&archive(format!("{url}/m.tar.gz")), &directory.path().join("a")).unwrap();
    assert_eq!(server.asked.lock().unwrap()[0].authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
    // A redirect to another host gets no password.
    let target = format!("{}/m.tar.gz", server.url);
    let first = Server::start(move |_, _| Answer { headers: vec![("Location", target.clone())], ..status(302) });
    let url = first.url.replace("http://127.0.0.1", "http://me:pass@localhost");
    get(&archive(format!("{url}/m.tar.gz")), &directory.path().join("b")).unwrap();
    assert!(first.asked.lock().unwrap()[0].authorization.is_some());
    assert_eq!(server.asked.lock().unwrap()[1].authorization, None);
}

/// A client that is told, as a settings file tells it, where the registry of `r.example` is.
fn registry(url: &str, token: Option<&str>) -> (Web, RegistryModule) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rc");
    let text = format!("host \"r.example\" {{\n  services = {{\n    \"modules.v1\" = \"{url}/v1\"\n  }}\n}}\n");
    std::fs::write(&file, text).unwrap();
    let tokens: BTreeMap<_, _> = token.map(|token| ("r.example".to_owned(), token.to_owned())).into_iter().collect();
    let (hosts, ..) = Hosts::read(&Settings { file: Some(file), directory: None, tokens });
    let module =
        RegistryModule { host: "r.example".into(), namespace: "a".into(), name: "b".into(), system: "c".into() };
    (Web::new(hosts, Arc::new(AtomicBool::new(false))), module)
}

#[test]
fn registries_list_and_locate() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/v1/a/b/c/versions" if asked.authorization.as_deref() == Some("Bearer secret") => {
            ok(r#"{"modules":[{"source":"a/b/c","versions":[{"version":"1.0.0"},{"version":"v1.2"},{"other":1}]}]}"#)
        }
        "/v1/a/b/c/versions" => status(401),
        "/v1/a/b/c/1.0.0/download" => {
            Answer { headers: vec![("X-Terraform-Get", "https://h/x.zip//*".to_owned())], ..status(204) }
        }
        "/v1/a/b/c/2.0.0/download" => ok(r#"{"location":"./x.tgz"}"#),
        "/v1/a/b/c/3.0.0/download" => Answer { headers: vec![("X-Terraform-Get", "/y.tgz".to_owned())], ..ok("") },
        "/v1/a/b/c/4.0.0/download" => status(204),
        _ => status(404),
    });
    let (web, module) = registry(&server.url, Some("secret"));
    assert_eq!(web.versions(&module).unwrap(), ["1.0.0", "v1.2"]);
    for (version, expected) in [
        ("1.0.0", "https://h/x.zip//*".to_owned()),
        ("2.0.0", format!("{}/v1/a/b/c/2.0.0/x.tgz", server.url)),
        ("3.0.0", format!("{}/y.tgz", server.url)),
    ] {
        assert_eq!(web.location(&module, version).unwrap(), expected);
    }
    let error = web.location(&module, "4.0.0").unwrap_err().to_string();
    assert!(error.contains("does not say where the module is"), "{error}");
    let error = web.location(&module, "5.0.0").unwrap_err().to_string();
    assert_eq!(error, "r.example has no module r.example/a/b/c 5.0.0");
    let (web, module) = registry(&server.url, None);
    let error = web.versions(&module).unwrap_err();
    assert!(error.to_string().ends_with("answers 401 (unauthorized)") && error.help().unwrap().contains("TF_TOKEN_"));
}

#[test]
fn an_interrupt_ends_waiting() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let server = Server::start(|_, _| status(503));
    let web = Web::new(Hosts::default(), Arc::clone(&interrupt));
    let asked = Arc::clone(&server.asked);
    std::thread::spawn(move || {
        while asked.lock().unwrap().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        interrupt.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let to = tempfile::tempdir().unwrap();
    let error = web.fetch(&archive(format!("{}/m.tgz", server.url)), None, &to.path().join("x"), &|_, _| {});
    assert_eq!(error.unwrap_err().to_string(), "interrupted");
}
