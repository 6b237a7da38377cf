//! What a `connection` block says, made sound
//! (<https://developer.hashicorp.com/terraform/language/resources/provisioners/connection>).

use std::time::Duration;

use andon_schema::Failure;
use andon_value::Value;

use crate::text;

/// A server, and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Connection {
    pub target: Hop,
    pub bastion: Option<Hop>,
    /// Keys that an agent holds are tried, and the agent is there for the server, too.
    pub agent: bool,
    pub agent_identity: Option<String>,
    /// How long to try.
    pub timeout: Duration,
    /// Where scripts are put, with `%RAND%` for a number.
    pub script_path: String,
}

/// One machine on the way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hop {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    pub private_key: Option<String>,
    pub certificate: Option<String>,
    pub host_key: Option<String>,
}

const SCRIPT_PATH: &str = "/tmp/andon_%RAND%.sh";
const TIMEOUT: &str = "5m";

impl Connection {
    /// Reads the value of a block; `has_agent` says whether an agent is at hand.
    pub(crate) fn new(value: &Value, has_agent: bool) -> Result<Connection, Failure> {
        if value.is_null() {
            return Err(Failure::new("there is no connection", "Nothing says how the server is reached.")
                .help("Add a `connection` block to the resource or to the provisioner."));
        }
        let given = |name: &str| text(value, name).filter(|text| !text.is_empty());
        let owned = |name: &str| given(name).map(str::to_owned);
        match given("type").unwrap_or("ssh") {
            "ssh" => {}
            "winrm" => {
                return Err(refused("winrm cannot be used", "Servers are reached by ssh only.")
                    .help("Windows has an OpenSSH server; or use local-exec with a tool that speaks WinRM."));
            }
            other => return Err(refused(&format!("there is no connection of type {other:?}"), "There is ssh.")),
        }
        match given("target_platform").unwrap_or("unix") {
            "unix" => {}
            other => {
                let detail =
                    format!("target_platform is {other:?}. Only servers with a Unix shell can be provisioned.");
                return Err(refused("this platform cannot be provisioned", &detail));
            }
        }
        if given("proxy_host").is_some() {
            return Err(refused(
                "proxy_host cannot be used",
                "Servers are not reached through HTTP and SOCKS proxies.",
            )
            .help("Use bastion_host, with a machine that has an SSH server."));
        }
        let host = given("host").ok_or_else(|| refused("its host is empty", "Nothing says which server is meant."))?;
        let target = Hop {
            host: name("host", host)?,
            port: port(value, "port")?.unwrap_or(22),
            user: user("user", given("user").unwrap_or("root"))?,
            password: owned("password"),
            private_key: key(owned("private_key"), "private_key")?,
            certificate: owned("certificate"),
            host_key: one_line("host_key", owned("host_key"))?,
        };
        let bastion = match given("bastion_host") {
            None => None,
            Some(host) => Some(Hop {
                host: name("bastion_host", host)?,
                port: port(value, "bastion_port")?.unwrap_or(target.port),
                user: user("bastion_user", given("bastion_user").unwrap_or(&target.user))?,
                password: owned("bastion_password").or_else(|| target.password.clone()),
                private_key: match owned("bastion_private_key") {
                    Some(own) => key(Some(own), "bastion_private_key")?,
                    None => target.private_key.clone(),
                },
                certificate: owned("bastion_certificate").or_else(|| target.certificate.clone()),
                host_key: one_line("bastion_host_key", owned("bastion_host_key"))?,
            }),
        };
        let timeout = given("timeout").unwrap_or(TIMEOUT);
        let timeout = duration(timeout).ok_or_else(|| {
            refused("its timeout is no length of time", &format!("{timeout:?} is not as \"5m\" or \"1h30m\" are."))
        })?;
        Ok(Connection {
            target,
            bastion,
            agent: value.get("agent").and_then(Value::as_bool).unwrap_or(true) && has_agent,
            agent_identity: owned("agent_identity"),
            timeout,
            script_path: owned("script_path").unwrap_or_else(|| SCRIPT_PATH.to_owned()),
        })
    }
}

fn refused(summary: &str, detail: &str) -> Failure {
    Failure::new(format!("the connection cannot be made: {summary}"), detail)
}

fn port(value: &Value, name: &str) -> Result<Option<u16>, Failure> {
    let Some(number) = value.get(name).and_then(Value::as_number).map(ToString::to_string) else { return Ok(None) };
    match number.parse() {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(refused(&format!("its {name} is none"), &format!("{number} is not from 1 to 65535."))),
    }
}

/// A host name or an address: what could be taken for anything else by `ssh` is refused.
fn name(argument: &str, host: &str) -> Result<String, Failure> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let sound = |letter: char| letter.is_alphanumeric() || "._-:%".contains(letter);
    if bare.starts_with('-') || !bare.chars().all(sound) {
        return Err(refused(&format!("its {argument} is none"), &format!("{host:?} is no name and no address.")));
    }
    Ok(bare.to_owned())
}

fn user(argument: &str, user: &str) -> Result<String, Failure> {
    let sound = |letter: char| letter.is_alphanumeric() || "._-@+$ ".contains(letter);
    if user.starts_with('-') || !user.chars().all(sound) {
        return Err(refused(&format!("its {argument} is none"), &format!("{user:?} cannot be the name of a user.")));
    }
    Ok(user.to_owned())
}

fn one_line(argument: &str, text: Option<String>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim().to_owned();
    let mut words = text.split_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next());
    if text.contains('\n') || key.is_none() || kind.starts_with('@') {
        let detail = "A host key is one line: its type and the key, as in the server's /etc/ssh/ssh_host_*.pub.";
        return Err(refused(&format!("its {argument} is none"), detail));
    }
    Ok(Some(text))
}

/// The first line of every key of OpenSSH's own format that no passphrase protects: "openssh-key-v1", and "none".
const UNPROTECTED: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";

/// A private key, in PEM, that can be used without asking.
fn key(text: Option<String>, argument: &str) -> Result<Option<String>, Failure> {
    let Some(mut text) = text else { return Ok(None) };
    if !text.contains("PRIVATE KEY-----") {
        let detail = format!("{argument} is the text of a key, not the path of a file.");
        return Err(refused(&format!("its {argument} is none"), &detail).help("Read it with file(\"…\")."));
    }
    let openssh = text.contains("BEGIN OPENSSH PRIVATE KEY");
    let first = text.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN")).nth(1);
    if text.contains("ENCRYPTED") || openssh && !first.is_some_and(|line| line.starts_with(UNPROTECTED)) {
        let detail = "It is protected by a passphrase, and there is nobody to ask for it.";
        return Err(
            refused(&format!("its {argument} cannot be used"), detail).help("Add the key to an agent: ssh-add.")
        );
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(Some(text))
}

/// A length of time as Go writes it: `5m`, `1h30m`, `1.5s`
/// (<https://pkg.go.dev/time#ParseDuration>).
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let length = unit.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at_checked(length)?;
        let one = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * one;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, milliseconds) in [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            ("0", Some(0)),
            ("250ms", Some(250)),
            ("", None),
            ("5", None),
            ("5 m", None),
            ("-5m", None),
            ("m", None),
            ("5x", None),
        ] {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn connections() {
        let with =
            |pairs: &[(&'static str, &str)]| Value::object(pairs.iter().map(|(name, it)| (*name, Value::from(*it))));
        let failure = |pairs: &[(&'static str, &str)]| Connection::new(&with(pairs), true).unwrap_err().summary;
        assert!(Connection::new(&Value::NULL, true).is_err());
        for (pairs, words) in [
            (&[("type", "winrm"), ("host", "h")][..], "winrm cannot be used"),
            (&[("type", "serial"), ("host", "h")], "no connection of type"),
            (&[("host", "")], "its host is empty"),
            (&[("host", "-oProxyCommand=x")], "its host is none"),
            (&[("host", "a b")], "its host is none"),
            (&[("host", "h"), ("user", "a\"b")], "its user is none"),
            (&[("host", "h"), ("target_platform", "windows")], "this platform"),
            (&[("host", "h"), ("proxy_host", "p")], "proxy_host cannot be used"),
            (&[("host", "h"), ("timeout", "soon")], "no length of time"),
            (&[("host", "h"), ("private_key", "/home/me/key")], "its private_key is none"),
            (&[("host", "h"), ("host_key", "AAAA")], "its host_key is none"),
            (&[("host", "h"), ("host_key", "ssh-rsa A\nssh-rsa B")], "its host_key is none"),
        ] {
            assert!(failure(pairs).contains(words), "{pairs:?}: {}", failure(pairs));
        }
        let plain = Connection::new(&with(&[("host", "[::1]"), ("bastion_host", "b"), ("user", "u")]), false).unwrap();
        assert_eq!((&*plain.target.host, plain.target.port, plain.agent), ("::1", 22, false));
        let bastion = plain.bastion.unwrap();
        assert_eq!((&*bastion.host, bastion.port, &*bastion.user), ("b", 22, "u"));
    }
}
