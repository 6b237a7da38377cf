//! One server, reached by the `ssh` program: its options in a file of its own, and its secrets in files beside that.

use std::io;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use andon_schema::Failure;

use crate::connection::{Connection, Hop};
use crate::process::{self, End, Feed, Tail};
use crate::secrets::Secrets;
use crate::{Place, Told};

/// What `ssh` ends with when it failed itself; a command may end with it, too.
const OWN_FAILURE: i32 = 255;

/// A server that has answered.
pub(crate) struct Server {
    secrets: Secrets,
    pub connection: Connection,
}

impl Server {
    /// Waits until the server lets us in, as long as the connection says.
    pub(crate) fn reach(connection: Connection, place: &Place<'_>, told: &Told<'_>) -> Result<Server, Failure> {
        let unprepared = |error: io::Error| Failure::new("the connection cannot be prepared", error.to_string());
        let secrets = Secrets::new().map_err(unprepared)?;
        let config = config(&connection, &secrets).map_err(unprepared)?;
        secrets.write("config", &config, 0o600).map_err(unprepared)?;
        let server = Server { secrets, connection };
        let Hop { host, port, user, .. } = &server.connection.target;
        let name = format!("{user}@{host}:{port}");
        if !told.secret {
            told.step(&format!("connects to {name}"));
        }
        let deadline = Instant::now() + server.connection.timeout;
        let mut pause = Duration::from_millis(250);
        loop {
            let mut said = Tail::default();
            let ended = server.run("exit 0", false, None, Some(deadline), &mut |line| said.push(line));
            let problem = match ended {
                Ok(End::Exited(status)) if status.success() => return Ok(server),
                Ok(End::Exited(status)) if status.code() != Some(OWN_FAILURE) => {
                    let detail = format!("Its shell ended with {}. {}", process::how(status), said.text());
                    return Err(Failure::new(format!("{name} runs no commands"), detail.trim()));
                }
                Ok(End::Exited(_)) => plain(&said.text()),
                Ok(End::TimedOut) => "It did not answer.".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Failure::new("there is no `ssh` program", "Servers are reached by OpenSSH's client.")
                        .help("Install it: apt-get install openssh-client."));
                }
                Err(error) => return Err(Failure::new("`ssh` cannot be started", error.to_string())),
            };
            if problem.contains("Host key verification failed") || problem.contains("HOST IDENTIFICATION HAS CHANGED") {
                let detail = "The server has another host key than the connection says: it may not be the one meant.";
                return Err(Failure::new(format!("{name} is not who it should be"), detail));
            }
            if place.interrupt.load(Ordering::Relaxed) {
                return Err(Failure::new(format!("stopped before {name} was reached"), problem));
            }
            if Instant::now() + pause >= deadline {
                let waited = server.connection.timeout.as_secs();
                let detail = format!("It was tried for {waited} s, as `timeout` says. The last answer: {problem}");
                return Err(Failure::new(format!("{name} cannot be reached"), detail));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Runs a script of a shell on the server; on a terminal of its own, so that it ends with the connection, or with
    /// something to read.
    pub(crate) fn run(
        &self,
        script: &str,
        terminal: bool,
        feed: Option<Feed>,
        deadline: Option<Instant>,
        line: &mut dyn FnMut(&str),
    ) -> io::Result<End> {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.secrets.path("config")).arg(if terminal { "-tt" } else { "-T" });
        command.arg("target").arg(format!("exec /bin/sh -c {}", quoted(script)));
        command.env("SSH_ASKPASS", self.secrets.path("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        command.env("LC_ALL", "C");
        process::run(command, feed, deadline, line)
    }

    /// Runs a script that says nothing unless it fails.
    pub(crate) fn quietly(&self, script: &str, feed: Option<Feed>, what: &str, told: &Told<'_>) -> Result<(), Failure> {
        let mut said = Tail::default();
        match self.run(script, false, feed, None, &mut |line| said.push(line)) {
            Ok(End::Exited(status)) if status.success() => Ok(()),
            Ok(End::Exited(status)) => {
                let said = plain(&said.text());
                let said = if said.is_empty() { process::how(status) } else { said };
                Err(told.failed(what, &said))
            }
            Ok(End::TimedOut) => Err(told.failed(what, "It took too long.")),
            Err(error) => Err(told.failed(what, &error.to_string())),
        }
    }
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What `ssh` says, without empty lines.
fn plain(said: &str) -> String {
    said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The options of `ssh` (ssh_config(5)). The user's own are not read.
fn config(connection: &Connection, secrets: &Secrets) -> io::Result<String> {
    let mut text = hop("target", &connection.target, connection, secrets)?;
    if let Some(bastion) = &connection.bastion {
        text += "  ProxyJump bastion\n";
        text += &hop("bastion", bastion, connection, secrets)?;
    }
    // The prompt names the host by its alias. A passphrase is never known.
    let answer = |name: &str| quoted(&secrets.path(&format!("{name}.password")).display().to_string());
    let script = format!(
        "#!/bin/sh\ncase $1 in\n*assphrase*) exit 1 ;;\n*@bastion*) exec cat {} ;;\nesac\nexec cat {}\n",
        answer("bastion"),
        answer("target")
    );
    secrets.write("askpass", &script, 0o700)?;
    Ok(text)
}

fn hop(alias: &str, hop: &Hop, connection: &Connection, secrets: &Secrets) -> io::Result<String> {
    let Hop { host, port, user, password, private_key, certificate, host_key } = hop;
    let path = |path: std::path::PathBuf| format!("\"{}\"", path.display().to_string().replace('%', "%%"));
    let file = |name: &str, text: &str| secrets.write(&format!("{alias}.{name}"), text, 0o600).map(path);
    let host = host.replace('%', "%%");
    let mut text = format!("Host {alias}\n  HostName \"{host}\"\n  Port {port}\n  User \"{user}\"\n");
    let mut say = |name: &str, value: &str| text.extend(["  ", name, " ", value, "\n"]);
    say("HostKeyAlias", alias);
    let mut known = "/dev/null".to_owned();
    if let Some(key) = host_key {
        // It may be the server's own, or that of who signs it.
        known = file("known", &format!("{alias} {key}\n@cert-authority {alias} {key}\n"))?;
    }
    say("StrictHostKeyChecking", if host_key.is_some() { "yes" } else { "no" });
    say("UserKnownHostsFile", &known);
    say("GlobalKnownHostsFile", "/dev/null");
    let mut identity = "none".to_owned();
    if let Some(key) = private_key {
        identity = file("key", key)?;
    } else if let Some(public) = connection.agent_identity.as_deref().filter(|_| connection.agent) {
        // `ssh` prefers a key of the agent whose public half it is given.
        if let Some(public) = agent_key(public) {
            identity = file("key.pub", &format!("{public}\n"))?;
        }
    }
    say("IdentityFile", &identity);
    if let Some(certificate) = certificate {
        say("CertificateFile", &file("key-cert.pub", &format!("{}\n", certificate.trim()))?);
    }
    let agent = connection.agent;
    say("IdentityAgent", if agent { "SSH_AUTH_SOCK" } else { "none" });
    say("ForwardAgent", if agent { "yes" } else { "no" });
    let mut methods = "publickey";
    if let Some(password) = password {
        file("password", &format!("{password}\n"))?;
        methods = "publickey,password,keyboard-interactive";
    }
    say("PreferredAuthentications", methods);
    say("BatchMode", if password.is_some() { "no" } else { "yes" });
    for (name, value) in [
        ("IdentitiesOnly", "no"),
        ("NumberOfPasswordPrompts", "1"),
        ("ConnectTimeout", "15"),
        ("ServerAliveInterval", "15"),
        ("UpdateHostKeys", "no"),
        ("CheckHostIP", "no"),
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        ("EscapeChar", "none"),
        ("LogLevel", "ERROR"),
    ] {
        say(name, value);
    }
    Ok(text)
}

/// The public half of a key of the agent: itself, the file that holds it, or the comment that the agent knows it by.
fn agent_key(identity: &str) -> Option<String> {
    if identity.starts_with("ssh-") || identity.starts_with("ecdsa-") || identity.starts_with("sk-") {
        return Some(identity.trim().to_owned());
    }
    let files = [format!("{identity}.pub"), identity.to_owned()];
    let text =
        files.iter().find_map(|path| std::fs::read_to_string(path).ok().filter(|text| !text.contains("PRIVATE")));
    if let Some(text) = text {
        return Some(text.trim().to_owned());
    }
    let mut list = Command::new("ssh-add");
    list.arg("-L");
    let mut found = None;
    let _ = process::run(list, None, None, &mut |line| {
        if line.splitn(3, ' ').nth(2) == Some(identity) {
            found = Some(line.to_owned());
        }
    });
    found
}
