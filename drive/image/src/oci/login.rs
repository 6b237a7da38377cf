//! Who a user is at a registry, as the files of `docker login` and `podman login` have it, and the programs that these name:
//! <https://github.com/docker/docker-credential-helpers>.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use andon_schema::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// What a user shows to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A name and a password, as HTTP has them.
    Basic(String),
    /// A token by which others are had.
    Refresh(String),
}

/// Where logins are kept.
#[derive(Debug)]
pub(super) struct Logins(Vec<PathBuf>);

impl Logins {
    /// Where this user's are.
    pub(super) fn of_user() -> Logins {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let home = variable("HOME").unwrap_or_default();
        let files = [
            variable("REGISTRY_AUTH_FILE"),
            variable("DOCKER_CONFIG").map(|directory| directory.join("config.json")),
            variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            Some(home.join(".config/containers/auth.json")),
            Some(home.join(".docker/config.json")),
        ];
        Logins(files.into_iter().flatten().collect())
    }

    /// The login for a registry, of the first file that has one.
    pub(super) fn find(&self, registry: &str) -> Result<Option<Login>, Failure> {
        for path in &self.0 {
            let Ok(text) = std::fs::read(path) else { continue };
            let json: Json = serde_json::from_slice(&text).unwrap_or_default();
            let helpers = json.get("credHelpers").and_then(Json::as_object);
            let named = helpers.and_then(|all| all.iter().find(|(name, _)| names(name, registry)));
            if let Some((server, helper)) = named
                && let Some(login) = ask(helper.as_str().unwrap_or_default(), server)?
            {
                return Ok(Some(login));
            }
            let known = json.get("auths").and_then(Json::as_object);
            let known = known.and_then(|all| all.iter().find(|(name, _)| names(name, registry)));
            if let Some(login) = known.and_then(|(_, login)| written(login)) {
                return Ok(Some(login));
            }
            if let Some(store) = json.get("credsStore").and_then(Json::as_str) {
                let server = match (known, is_hub(registry)) {
                    (Some((name, _)), _) => name.as_str(),
                    (None, true) => "https://index.docker.io/v1/",
                    (None, false) => registry,
                };
                if let Some(login) = ask(store, server)? {
                    return Ok(Some(login));
                }
            }
        }
        Ok(None)
    }
}

/// Whether a registry is Docker's own, which has several names.
pub(super) fn is_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

fn names(key: &str, registry: &str) -> bool {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let host = key.split('/').next().unwrap_or_default();
    host == registry || (is_hub(host) && is_hub(registry))
}

/// What stands in the file itself.
fn written(login: &Json) -> Option<Login> {
    let text = |name: &str| login.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Some(Login::Refresh(token.to_owned()));
    }
    match text("auth") {
        Some(auth) => Some(Login::Basic(auth.to_owned())),
        None => Some(basic(text("username")?, text("password")?)),
    }
}

fn basic(name: &str, secret: &str) -> Login {
    match name {
        "<token>" => Login::Refresh(secret.to_owned()),
        name => Login::Basic(STANDARD.encode(format!("{name}:{secret}"))),
    }
}

/// Asks a program that keeps passwords. `None` where it has none for this server.
fn ask(helper: &str, server: &str) -> Result<Option<Login>, Failure> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &str| {
        Failure::new("a password cannot be had", format!("`{program}`, which keeps that of {server}, {why}."))
            .help("Install it, or take its name out of the file of logins.")
    };
    // Its name is no path, and no list of words.
    if helper.is_empty() || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(failed("is no program's name"));
    }
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&format!("cannot be run: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has its own reason, which it says.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&format!("cannot be run: {error}")))?;
    if !output.status.success() {
        let said = [&output.stdout[..], &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(failed(&format!("failed: {}", said.trim()))),
        };
    }
    let json: Json = serde_json::from_slice(&output.stdout).map_err(|_| failed("gave no answer that is understood"))?;
    let text = |name: &str| json.get(name).and_then(Json::as_str);
    let login = text("Username").zip(text("Secret")).map(|(name, secret)| basic(name, secret));
    login.map(Some).ok_or_else(|| failed("gave no answer that is understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_as_other_tools_write_them() {
        let path = std::env::temp_dir().join(format!("andon-logins-{}.json", std::process::id()));
        let check = |text: &str, registry: &str, expected: Option<Login>| {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Logins(vec![path.clone()]).find(registry).unwrap(), expected, "{text}");
        };
        let ab = || Some(Login::Basic("YTpi".into()));
        let written =
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"r.example":{"username":"a","password":"b"}}}"#;
        check(written, "docker.io", ab());
        check(written, "r.example", ab());
        check(written, "r.example:5000", None);
        check(
            r#"{"auths":{"r.example":{"auth":"YTpi","identitytoken":"t"}}}"#,
            "r.example",
            Some(Login::Refresh("t".into())),
        );
        check(r#"{"auths":{"r.example":{}}}"#, "r.example", None);
        check("no json", "r.example", None);
        std::fs::write(&path, r#"{"credHelpers":{"r.example":"../x"}}"#).unwrap();
        assert_eq!(Logins(vec![path.clone()]).find("r.example").unwrap_err().summary, "a password cannot be had");
        std::fs::remove_file(path).unwrap();
    }
}
