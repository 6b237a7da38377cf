use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use andon_schema::host::{Act, Look, Manager, Origin};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::file::{is_url, no_source, origin_of};
use super::own_file::{OwnFile, decide_all, short_digest};
use super::{Decision, Kind};
use crate::args::{Args, block, look_at, optional, parent};
use crate::formats;
use crate::world::{World, bytes_of};

/// A place that packages come from, as the package manager of the server writes it.
pub(super) const KIND: Kind = Kind { name: "repository", schema, check, looks, decide };

fn schema() -> Block {
    let texts = || Type::list(Type::String);
    block(
        "A place that packages come from: a file in `/etc/apt/sources.list.d`, `/etc/yum.repos.d` or \
         `/etc/zypp/repos.d`, a line of `/etc/apk/repositories`, or a section of `/etc/pacman.conf`. What can be had is \
         fetched anew before the next package is installed.",
        &[
            ("name", optional(Type::String, "Its name, also that of its file; without it, the label.")),
            ("url", optional(Type::String, "Where it is.")),
            ("suites", optional(texts(), "The suites, such as `[\"bookworm\"]`, or a path that ends in `/` (apt).")),
            ("components", optional(texts(), "The components, such as `[\"main\"]` (apt).")),
            ("architectures", optional(texts(), "The architectures, without it those of the server (apt).")),
            ("types", optional(texts(), "`deb`, `deb-src` or both; `deb` unless given (apt).")),
            (
                "key",
                optional(
                    Type::String,
                    "The key that signs it: its text, or where that is, a file of the project, a path on the server or \
                     an address on the web.",
                ),
            ),
            ("sha256", optional(Type::String, "The SHA-256 of a key on the web.").format(formats::SHA256)),
            (
                "fingerprint",
                optional(Type::String, "The fingerprint that the key must have; the server needs `gpg` to see it."),
            ),
            ("headers", optional(Type::map(Type::String), "More headers of the request for a key on the web.")),
            ("timeout", optional(Type::String, "How long the key may take to come.").format(formats::DURATION)),
            ("trusted", optional(Type::Bool, "Whether its packages are installed though nothing signs them.")),
            (
                "priority",
                optional(Type::Number, "Which source counts, in the package manager's own numbers (apt, dnf, zypper)."),
            ),
            ("enabled", optional(Type::Bool, "Whether it is used; true unless given (apt, dnf, zypper).")),
            ("description", optional(Type::String, "What it is, in a line (dnf, zypper).").format(formats::LINE)),
            ("options", optional(Type::map(Type::String), "More lines of its file or section, by their words.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = args.subject("name");
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.bytes().all(letter) {
        wrong.push(format!("`{name}` is not the name of a repository: letters, digits, `-`, `_` and `.`"));
    }
    match args.text("url") {
        None if !args.absent => wrong.push("a repository needs a `url`".to_owned()),
        Some(url) if url.is_empty() || url.contains(char::is_whitespace) => {
            wrong.push(format!("`{url}` is not an address"));
        }
        _ => {}
    }
    let lists = ["suites", "components", "architectures", "types"];
    for word in lists.into_iter().flat_map(|attribute| args.texts(attribute)) {
        if word.is_empty() || word.contains(char::is_whitespace) {
            wrong.push(format!("`{word}` is not one word"));
        }
    }
    if args.texts("types").iter().any(|kind| !matches!(&**kind, "deb" | "deb-src")) {
        wrong.push("`types` are `deb` and `deb-src`".to_owned());
    }
    for attribute in ["sha256", "fingerprint", "headers", "timeout"] {
        if args.has(attribute) && !args.has("key") {
            wrong.push(format!("`{attribute}` is about a `key`, and there is none"));
        }
    }
    if let Some(fingerprint) = args.text("fingerprint") {
        let digits = fingerprint.bytes().filter(|byte| *byte != b' ');
        if digits.clone().count() < 40 || !digits.clone().all(|byte| byte.is_ascii_hexdigit()) {
            wrong.push(format!("`{fingerprint}` is not the fingerprint of a key: 40 hexadecimal digits or more"));
        }
    }
    let options = args.pairs("options");
    if options.iter().any(|(name, value)| name.contains(['\n', ':', '=']) || value.contains('\n')) {
        wrong.push("`options` hold more than one line".to_owned());
    }
    wrong
}

/// The key, and where it is kept.
struct Key {
    path: Arc<str>,
    /// Its bytes, or `None` where it is on the server already.
    origin: Option<Origin>,
}

fn key(args: &Args, world: &World, manager: Manager) -> Result<Option<Key>, String> {
    let Some(given) = args.text("key") else { return Ok(None) };
    let name = args.subject("name");
    let last = given.rsplit('/').next().unwrap_or_default();
    let path = |of: &str| -> Result<Arc<str>, String> {
        Ok(match manager {
            // It names its content: another key is another file, and an old one is never taken for a new one.
            Manager::Apt => format!("/etc/apt/keyrings/{name}-{}.asc", short_digest(of)).into(),
            Manager::Dnf | Manager::Yum | Manager::Zypper => {
                format!("/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}-{}", short_digest(of)).into()
            }
            // The name says whose signatures it is for.
            Manager::Apk if last.ends_with(".pub") => format!("/etc/apk/keys/{last}").into(),
            Manager::Apk => format!("/etc/apk/keys/{name}.rsa.pub").into(),
            Manager::Pacman => {
                return Err("pacman's keys are in a keyring of its own; `exec` adds one with pacman-key".to_owned());
            }
        })
    };
    if given.starts_with("-----BEGIN ") {
        let text = format!("{}\n", given.trim_end());
        return Ok(Some(Key { path: path(&text)?, origin: Some(Origin::Bytes(text.as_str().into())) }));
    }
    if is_url(&given) {
        let of = format!("{given} {}", args.text("sha256").unwrap_or_default());
        return Ok(Some(Key { path: path(&of)?, origin: origin_of(args, &given) }));
    }
    if given.starts_with('/') {
        return Ok(Some(Key { path: given, origin: None }));
    }
    let bytes = world.file(args, &given).cloned().ok_or_else(|| no_source(&given))?;
    Ok(Some(Key { path: path(&String::from_utf8_lossy(&bytes.0))?, origin: Some(Origin::Bytes(bytes)) }))
}

/// Puts a key into the armor that apt and rpm read, and looks at its fingerprint.
fn judge_key(args: &Args, manager: Manager) -> Option<Arc<str>> {
    if manager == Manager::Apk && !args.has("fingerprint") {
        return None;
    }
    let mut script = String::from("# the fingerprint of the key\n");
    if manager != Manager::Apk {
        script.push_str(
            "grep -q 'BEGIN PGP PUBLIC KEY' %s || { { echo '-----BEGIN PGP PUBLIC KEY BLOCK-----'; echo; base64 %s; \
             echo '-----END PGP PUBLIC KEY BLOCK-----'; } > %s.armor && cat %s.armor > %s; rm -f %s.armor; }\n",
        );
    }
    if let Some(fingerprint) = args.text("fingerprint") {
        let digits = fingerprint.replace(' ', "").to_ascii_uppercase();
        let _ = write!(
            script,
            "command -v gpg >/dev/null || {{ echo 'gpg is not installed, so that nobody can see the fingerprint'; exit 1; }}\n\
             found=$(gpg --homedir /nonexistent --no-options --show-keys --with-colons %s 2>/dev/null | sed -n 's/^fpr:*//p' | tr -d :)\n\
             echo \"$found\" | grep -qx {digits} || {{ echo \"its fingerprint is $found, not {digits}\"; exit 1; }}\n"
        );
    }
    Some(script.into())
}

/// The files that say where packages come from.
fn files(args: &Args, world: &World, manager: Manager, key: Option<&Key>) -> Result<Vec<OwnFile>, String> {
    let name = args.subject("name");
    let whole = |path: String, content: String| {
        let content = (!args.absent).then_some(content);
        OwnFile { path: path.into(), content, secret: args.is_secret("url"), validate: None }
    };
    let signed_by = key.map(|key| key.path.clone());
    Ok(match manager {
        Manager::Apt => {
            if !args.absent && args.texts("suites").is_empty() {
                return Err("apt needs `suites`, such as `[\"bookworm\"]`, or `[\"./\"]` for one without".to_owned());
            }
            let mut files = vec![whole(format!("/etc/apt/sources.list.d/{name}.sources"), deb822(args, signed_by))];
            let pin = format!("/etc/apt/preferences.d/{name}");
            if args.has("priority") || (args.absent && matches!(world.entry(&pin), Ok(Some(_)))) {
                files.push(whole(pin, preferences(args)));
            }
            files
        }
        Manager::Dnf | Manager::Yum => vec![whole(format!("/etc/yum.repos.d/{name}.repo"), repo(args, signed_by))],
        Manager::Zypper => vec![whole(format!("/etc/zypp/repos.d/{name}.repo"), repo(args, signed_by))],
        Manager::Apk => {
            let path = "/etc/apk/repositories";
            let text = text_of(world, path)?;
            let url = args.text("url").unwrap_or_default();
            let is_own = |line: &str| line.trim() == &*url;
            let mut lines: Vec<&str> = text.lines().filter(|line| !args.absent || !is_own(line)).collect();
            if !args.absent && !lines.iter().any(|line| is_own(line)) {
                lines.push(&url);
            }
            vec![edited(path, &text, &lines)]
        }
        Manager::Pacman => {
            let path = "/etc/pacman.conf";
            let text = text_of(world, path)?;
            let section = pacman_section(args);
            let head = format!("[{name}]");
            let mut lines: Vec<&str> = Vec::new();
            let mut inside = false;
            let mut placed = args.absent;
            for line in text.lines() {
                if line.trim_start().starts_with('[') {
                    inside = line.trim() == head;
                    if inside && !placed {
                        lines.extend(section.lines());
                        placed = true;
                    }
                }
                // Remarks and blank lines after it belong to what follows.
                if !inside || line.trim().is_empty() || line.trim_start().starts_with('#') {
                    lines.push(line);
                }
            }
            if !placed {
                lines.push("");
                lines.extend(section.lines());
            }
            vec![edited(path, &text, &lines)]
        }
    })
}

fn text_of(world: &World, path: &str) -> Result<String, String> {
    let bytes = bytes_of(world.entry(path)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    Ok(bytes.unwrap_or_default())
}

fn edited(path: &str, old: &str, lines: &[&str]) -> OwnFile {
    let new = lines.iter().fold(String::new(), |text, line| text + line + "\n");
    let content = if old.lines().eq(lines.iter().copied()) { old.to_owned() } else { new };
    OwnFile { path: path.into(), content: Some(content), secret: false, validate: None }
}

/// sources.list(5), the form of paragraphs.
fn deb822(args: &Args, signed_by: Option<Arc<str>>) -> String {
    let types = args.texts("types");
    let mut text = String::new();
    let mut line = |field: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{field}: {value}");
        }
    };
    line("Types", if types.is_empty() { "deb".to_owned() } else { types.join(" ") }.as_str());
    line("URIs", &args.text("url").unwrap_or_default());
    line("Suites", &args.texts("suites").join(" "));
    line("Components", &args.texts("components").join(" "));
    line("Architectures", &args.texts("architectures").join(" "));
    line("Signed-By", &signed_by.unwrap_or_default());
    line("Trusted", args.truth("trusted").map_or("", |trusted| if trusted { "yes" } else { "no" }));
    line("Enabled", if args.truth("enabled") == Some(false) { "no" } else { "" });
    args.pairs("options").iter().for_each(|(field, value)| line(field, value));
    text
}

/// What a file of one paragraph says: others write its fields in another order, and some that mean nothing.
fn paragraph(text: &str) -> Option<BTreeMap<String, String>> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.trim().lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            return None;
        }
        if !line.starts_with([' ', '\t']) {
            last = line.split_once(':')?.0.to_ascii_lowercase();
            fields.insert(last.clone(), String::new());
        }
        let value = if line.starts_with([' ', '\t']) { line } else { line.split_once(':')?.1 };
        let known = fields.get_mut(&last)?;
        for word in value.split_whitespace() {
            if !known.is_empty() {
                known.push(' ');
            }
            known.push_str(word);
        }
    }
    fields.retain(|name, value| !name.starts_with("x-") && (name != "enabled" || value != "yes"));
    Some(fields)
}

/// apt_preferences(5): all that comes from the same server.
fn preferences(args: &Args) -> String {
    let url = args.text("url").unwrap_or_default();
    let server = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
    let server = server.rsplit('@').next().unwrap_or(server);
    let server = server.split(':').next().unwrap_or(server);
    format!("Package: *\nPin: origin \"{server}\"\nPin-Priority: {}\n", number(args, "priority"))
}

fn number(args: &Args, attribute: &str) -> String {
    args.signed(attribute).map(|number| number.to_string()).unwrap_or_default()
}

/// dnf.conf(5) and zypper(8): one section.
fn repo(args: &Args, key: Option<Arc<str>>) -> String {
    let name = args.subject("name");
    let truth = |truth: bool| if truth { "1" } else { "0" }.to_owned();
    let trusted = args.truth("trusted") == Some(true);
    let mut lines = vec![
        ("name".to_owned(), args.text("description").unwrap_or_else(|| name.clone()).to_string()),
        ("baseurl".to_owned(), args.text("url").unwrap_or_default().to_string()),
        ("enabled".to_owned(), truth(args.truth("enabled") != Some(false))),
        ("gpgcheck".to_owned(), truth(!trusted)),
    ];
    lines.extend(key.map(|path| ("gpgkey".to_owned(), format!("file://{path}"))));
    lines.extend(args.has("priority").then(|| ("priority".to_owned(), number(args, "priority"))));
    lines.extend(args.pairs("options").into_iter().map(|(name, value)| (name.to_string(), value.to_string())));
    lines.iter().fold(format!("[{name}]\n"), |text, (name, value)| format!("{text}{name}={value}\n"))
}

/// pacman.conf(5).
fn pacman_section(args: &Args) -> String {
    let mut text = format!("[{}]\n", args.subject("name"));
    if args.truth("trusted") == Some(true) {
        text.push_str("SigLevel = Optional TrustAll\n");
    }
    let _ = writeln!(text, "Server = {}", args.text("url").unwrap_or_default());
    args.pairs("options").iter().fold(text, |text, (name, value)| format!("{text}{name} = {value}\n"))
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let Ok(packages) = world.packages() else { return vec![Look::Packages] };
    let pin = format!("/etc/apt/preferences.d/{}", args.subject("name"));
    let edits = match packages.manager {
        Manager::Apk => Some("/etc/apk/repositories"),
        Manager::Pacman => Some("/etc/pacman.conf"),
        Manager::Apt if args.absent => Some(&*pin),
        _ => None,
    };
    let mut looks: Vec<Look> = edits.into_iter().map(|path| Look::Path { path: path.into(), content: true }).collect();
    if looks.iter().any(|look| !world.knows(look)) {
        return looks;
    }
    if let Ok(Some(key)) = key(args, world, packages.manager) {
        looks.extend([look_at(&key.path), look_at(parent(&key.path))]);
    }
    let files = files(args, world, packages.manager, None).unwrap_or_default();
    looks.extend(files.iter().flat_map(OwnFile::looks));
    looks
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let manager = world.packages()?.manager;
    let key = key(args, world, manager)?;
    let mut files = files(args, world, manager, key.as_ref())?;
    for file in files.iter_mut().filter(|file| file.path.ends_with(".sources")) {
        let old = text_of(world, &file.path)?;
        if file.content.as_deref().is_some_and(|new| paragraph(&old).is_some_and(|old| paragraph(new) == Some(old))) {
            file.content = Some(old);
        }
    }
    let mut decision = decide_all(&files, world)?;
    if let (Some(Key { path, origin }), false) = (key, args.absent) {
        let is_there = world.entry(&path)?.is_some();
        match origin {
            None if !is_there && !world.loose => return Err(format!("there is no file {path} on this server")),
            Some(from) if !is_there => {
                let mut acts = Vec::new();
                if world.entry(parent(&path))?.is_none() {
                    let path = parent(&path).into();
                    acts.push(Act::MakeDirectory { path, mode: None, owner: None, group: None });
                }
                decision.differences.insert(0, format!("key {path}"));
                let validate = judge_key(args, manager);
                acts.push(Act::FetchFile { from, path, mode: Some(0o644), owner: None, group: None, validate });
                decision.acts.splice(0..0, acts);
                if decision.change == Change::None {
                    decision.change = Change::Update;
                }
            }
            _ => {}
        }
    }
    Ok(decision)
}
