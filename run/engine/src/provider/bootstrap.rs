//! `andon_bootstrap`: what makes a new server install Andon and keep itself in sync, as user data for cloud-init
//! (<https://cloudinit.readthedocs.io/en/latest/reference/modules.html>).

use std::collections::BTreeMap;

use andon_schema::{Attribute, Failure, TypeSchema};
use andon_value::{Marks, Type, Value};
use serde_json::{Value as Json, json};

use super::one_type;

/// Its name.
pub const BOOTSTRAP: &str = "andon_bootstrap";

/// Where the program is on a server that installs it.
const PROGRAM: &str = "/usr/local/bin/andon";

/// Where the values of the roles' parameters are, for root alone.
const PARAMS: &str = "/etc/andon/params.auto.tfvars.json";

/// The schema of the data source.
pub fn schemas() -> BTreeMap<String, TypeSchema> {
    let texts = || Type::list(Type::String);
    let attributes = [
        ("roles", Attribute::required(texts(), "The roles that the server must have.")),
        (
            "from",
            Attribute::required(
                Type::String,
                "Where the server takes the project from: an archive on a web server, a git repository, or a directory \
                 of the server.",
            ),
        ),
        ("params", Attribute::optional(Type::Dynamic, "Values of the roles' parameters, by name.")),
        ("every", Attribute::optional(Type::String, "The time from one sync to the next; 5 minutes without it.")),
        ("hostname", Attribute::optional(Type::String, "The server's name; as the platform has it, without it.")),
        (
            "program_url",
            Attribute::optional(
                Type::String,
                "Where the program is fetched from, by HTTP; without it, the server's image has it.",
            ),
        ),
        (
            "program_sha256",
            Attribute::optional(
                Type::String,
                "What the program must come to, in hexadecimal digits; with `program_url`.",
            ),
        ),
        (
            "identity",
            Attribute::optional(Type::String, "The age identity that opens the roles' secrets on the server."),
        ),
        ("user_data", Attribute::computed(Type::String, "The user data: a cloud-config.")),
    ];
    let description = "Makes user data for cloud-init, by which a new server installs Andon, joins, and keeps itself as \
                       its roles say; the server has systemd.";
    one_type(BOOTSTRAP, description, attributes)
}

/// What the data source gives.
pub fn read(config: &Value) -> Result<Value, Failure> {
    let text = |name: &str| config.get_str(name).filter(|text| !text.is_empty());
    let roles: Vec<&str> = config
        .get("roles")
        .into_iter()
        .flat_map(Value::children)
        .filter_map(|it| it.as_str().map(|it| &**it))
        .collect();
    let refused = |summary: &str, detail: &str| Failure::new(summary, detail);
    if roles.is_empty() {
        return Err(refused("a server needs a role to be bootstrapped", "`roles` is empty."));
    }
    let from =
        text("from").ok_or_else(|| refused("a server needs a place to take its roles from", "`from` is empty."))?;
    let sum = text("program_sha256");
    if let Some(sum) = sum.filter(|sum| sum.len() != 64 || !sum.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(refused("the program has no such digest", &format!("`{sum}` is not 64 hexadecimal digits.")));
    }
    if text("program_url").is_some() != sum.is_some() {
        let detail = "A program that is fetched is run as root: `program_url` and `program_sha256` go together.";
        return Err(refused("one of the program's address and digest is missing", detail));
    }
    let mut words = vec![PROGRAM, "agent"];
    if sum.is_none() {
        words = vec!["/usr/bin/env", "andon", "agent"];
    }
    words.extend(&roles);
    words.extend(["--from", from]);
    words.extend(text("every").into_iter().flat_map(|every| ["--every", every]));
    let params = config.get("params").filter(|params| !params.is_null());
    let mut files = Vec::new();
    let file =
        |path: &str, mode: &str, content: String| json!({ "path": path, "permissions": mode, "content": content });
    if let Some(params) = params {
        if params.as_entries().is_none() {
            return Err(refused("the parameters are no object", "`params` has a value for each name."));
        }
        // A value may be a secret: it is in a file of root's, and in no list of processes.
        let json = andon_value::to_json(&params.unmark_deep().0)
            .map_err(|error| refused("the parameters cannot be written down", &format!("{error}.")))?;
        files.push(file(PARAMS, "0600", format!("{json}\n")));
        words.extend(["--params-file", PARAMS]);
    }
    let mut environment = String::new();
    if let Some(identity) = text("identity") {
        files.push(file("/etc/andon/identity", "0600", format!("{}\n", identity.trim_end())));
        environment = "Environment=ANDON_AGE_IDENTITY_FILE=/etc/andon/identity\n".to_owned();
    }
    files.push(file("/etc/systemd/system/andon-agent.service", "0644", unit(&words, &environment)));
    files.push(file("/usr/local/lib/andon/join", "0755", join(text("program_url").zip(sum))));
    let mut cloud = json!({ "write_files": files, "runcmd": [["/usr/local/lib/andon/join"]] });
    if let (Some(hostname), Some(cloud)) = (text("hostname"), cloud.as_object_mut()) {
        cloud.insert("hostname".to_owned(), Json::from(hostname));
        cloud.insert("preserve_hostname".to_owned(), Json::from(false));
    }
    // JSON is YAML, and needs no other rules of quoting.
    let user_data = format!("#cloud-config\n{}\n", serde_json::to_string_pretty(&cloud).unwrap_or_default());
    let secret = text("identity").is_some() || config.is_sensitive() || params.is_some_and(holds_secret);
    let user_data = Value::from(user_data);
    let user_data = if secret { user_data.mark(Marks::SENSITIVE) } else { user_data };
    let entries = config.as_entries().into_iter().flat_map(|entries| entries.iter());
    let given = entries.filter(|(name, _)| &***name != "user_data").map(|(name, value)| (name.clone(), value.clone()));
    Ok(Value::object(given.chain([("user_data".into(), user_data)]).collect::<Vec<_>>()))
}

/// The agent as a unit of systemd, systemd.service(5).
fn unit(words: &[&str], environment: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!(
        "[Unit]\nDescription=Andon: keeps this server as its roles say\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\n{environment}ExecStart={}\nRestart=always\nRestartSec=10\n\
         KillMode=mixed\n\n[Install]\nWantedBy=multi-user.target\n",
        words.join(" ")
    )
}

/// A word of a command line, systemd.service(5): specifiers and variables are no such.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '%' | '$' => text.extend([letter, letter]),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// What cloud-init runs last: the program is fetched where it has to be, and the agent is started.
fn join(program: Option<(&str, &str)>) -> String {
    let mut text =
        String::from("#!/bin/sh\n# Installs Andon, and has it keep this server as its roles say.\nset -eu\n");
    if let Some((url, sum)) = program {
        let (url, sum) = (shell(url), sum.to_ascii_lowercase());
        text.push_str(&format!(
            "if ! echo '{sum}  {PROGRAM}' | sha256sum -c >/dev/null 2>&1; then\n\
             \x20 new=$(mktemp {PROGRAM}.XXXXXX)\n\
             \x20 trap 'rm -f \"$new\"' EXIT\n\
             \x20 for try in 1 2 3 4 5; do\n\
             \x20   if command -v curl >/dev/null; then curl -fsSL -o \"$new\" {url} && break\n\
             \x20   else wget -qO \"$new\" {url} && break\n\
             \x20   fi\n\
             \x20   [ \"$try\" -lt 5 ] || {{ echo 'andon could not be fetched' >&2; exit 1; }}\n\
             \x20   sleep $((try * 2))\n\
             \x20 done\n\
             \x20 echo \"{sum}  $new\" | sha256sum -c >/dev/null || {{ echo 'andon is not what it should be' >&2; exit 1; }}\n\
             \x20 chmod 755 \"$new\"\n\
             \x20 mv \"$new\" {PROGRAM}\n\
             fi\n"
        ));
    }
    text.push_str("systemctl daemon-reload\nsystemctl enable --now andon-agent.service\n");
    text
}

fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn holds_secret(value: &Value) -> bool {
    value.is_sensitive() || value.children().any(holds_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_units_are_quoted() {
        for (word, expected) in [
            ("web", "web"),
            ("git::https://h/x.git?ref=main", "\"git::https://h/x.git?ref=main\""),
            ("a b", "\"a b\""),
            ("50%$", "\"50%%$$\""),
            ("\"\\", "\"\\\"\\\\\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let given = |pairs: &[(&str, Value)]| {
            let base = [("roles", Value::list(Type::String, [Value::from("web")])), ("from", Value::from("/srv/shop"))];
            read(&Value::object(base.into_iter().chain(pairs.iter().cloned()).collect::<BTreeMap<_, _>>()))
        };
        assert!(given(&[]).is_ok());
        for (pairs, said) in [
            (vec![("roles", Value::list(Type::String, []))], "a server needs a role"),
            (vec![("from", Value::from(""))], "a place to take its roles from"),
            (vec![("program_sha256", Value::from("abc"))], "no such digest"),
            (vec![("program_url", Value::from("https://example.com/andon"))], "is missing"),
            (vec![("params", Value::from("x"))], "no object"),
        ] {
            assert!(given(&pairs).is_err_and(|failure| failure.summary.contains(said)), "{said}");
        }
    }

    #[test]
    fn a_secret_makes_all_of_it_one() {
        let params = Value::object([("password", Value::from("hunter2").mark(Marks::SENSITIVE))]);
        let config = Value::object([
            ("roles", Value::list(Type::String, [Value::from("web")])),
            ("from", Value::from("/srv/shop")),
            ("params", params),
        ]);
        let read = read(&config).unwrap();
        let data = read.get("user_data").unwrap();
        assert!(data.is_sensitive());
        let text = data.as_str().unwrap();
        assert!(text.starts_with("#cloud-config\n{") && text.contains("hunter2"), "{text}");
        let unit = text.lines().find(|line| line.contains("ExecStart=")).unwrap();
        assert!(!unit.contains("hunter2"), "{unit}");
    }
}
