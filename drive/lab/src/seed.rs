//! What a server is told before its first boot: who may log in, and its user data for cloud-init.
//!
//! Both are files of the server's own layer. User data lies where cloud-init looks for a seed of its data source NoCloud
//! (<https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>); the instance's id is the server's
//! identity, so that a server that replaces another one is a new instance.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use andon_schema::{Attribute, Failure, Format};
use andon_value::{Type, Value};
use saphyr_parser::{Event, Parser};
use serde_json::json;

use crate::attach::{first_user, within};
use crate::below::Below;
use crate::key;
use crate::layers::AsUser;

/// The most that user data may have, in bytes.
const USER_DATA_LIMIT: usize = 256 << 10;
/// How user data may begin, so that cloud-init knows what it is.
const BEGINNINGS: [&str; 9] = [
    "#cloud-config",
    "#!",
    "#include",
    "#cloud-boothook",
    "#part-handler",
    "#cloud-config-archive",
    "## template:",
    "Content-Type:",
    "MIME-Version:",
];
const AUTHORIZED_KEYS: &str = "root/.ssh/authorized_keys";

const USER_DATA: Format = Format {
    name: "user data of cloud-init",
    example: "\"#cloud-config\\n…\"",
    check: |it| it.as_str().map_or(Ok(()), |text| user_data(text)),
};

/// What a server is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seed {
    /// Public keys as OpenSSH writes them.
    pub keys: Vec<String>,
    pub cloud_init: Option<String>,
}

/// A file of a server.
struct Told {
    path: &'static str,
    mode: u32,
    text: String,
}

/// The attributes of a server.
pub(crate) fn schema() -> Vec<(&'static str, Attribute)> {
    let keys = "Public keys of OpenSSH, such as the `public_key` of a `lab_key`, with which root may log in. They are all of \
                root's `authorized_keys`, and change in place. Cloud-init gives them to its default user, too.";
    let cloud_init = "User data for cloud-init, where the image has it: what begins with `#cloud-config`, or a script. It is \
                      applied at the first boot. A change replaces the server.";
    vec![
        ("keys", Attribute::optional(Type::List(Arc::new(Type::String)), keys).format(key::PUBLIC_KEY)),
        ("cloud_init", Attribute::optional(Type::String, cloud_init).format(USER_DATA)),
    ]
}

fn user_data(text: &str) -> Result<(), Failure> {
    let wrong = |detail: &str| Failure::new("cloud-init would not read this", detail);
    if text.len() > USER_DATA_LIMIT {
        return Err(wrong("It is longer than 256 KiB."));
    }
    if !BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        return Err(wrong("Its first line does not say what it is.")
            .help("Begin it with `#cloud-config`, or `#!/bin/sh` for a script."));
    }
    // Of settings that it cannot read, cloud-init says so in its own log alone, and goes on without them.
    let is_settings = text.lines().next().is_some_and(|first| first.trim_end() == "#cloud-config");
    if is_settings { settings(text).map_err(|why| wrong(&why)) } else { Ok(()) }
}

/// Whether a text is YAML with settings by name; else why not.
fn settings(text: &str) -> Result<(), String> {
    let mut first = None;
    for event in Parser::new_from_str(text) {
        let (event, _) = match event {
            Ok(event) => event,
            // What reads it in the server asks less of how lines within brackets and quotes are indented.
            Err(error) if error.info().starts_with("invalid indentation") => return Ok(()),
            Err(error) => {
                let why = error.info().trim_end_matches('.');
                return Err(format!("Line {} of it is no YAML: {why}.", error.marker().line()));
            }
        };
        let is_content = matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..));
        first = first.or(is_content.then_some(event));
    }
    match first {
        None | Some(Event::MappingStart(..)) => Ok(()),
        Some(Event::Scalar(text, ..)) if text.is_empty() || text == "~" => Ok(()),
        Some(_) => Err("It has no settings by name, such as `packages:`.".to_owned()),
    }
}

impl Seed {
    /// Of a planned value.
    pub fn decode(value: &Value) -> Seed {
        let keys = value.get("keys").and_then(Value::as_elements);
        let keys = keys.map(|keys| keys.iter().filter_map(|key| Some(key.as_str()?.trim().to_owned())).collect());
        Seed { keys: keys.unwrap_or_default(), cloud_init: value.get_str("cloud_init").map(str::to_owned) }
    }

    fn files(&self, identity: &str, name: &str) -> Vec<Told> {
        let mut files = Vec::new();
        if !self.keys.is_empty() {
            files.push(self.authorized_keys());
        }
        if let Some(user_data) = &self.cloud_init {
            let about = json!({ "instance-id": identity, "local-hostname": name, "public-keys": self.keys });
            // Its network is there already, and no other data source is to be waited for.
            let settings = json!({ "datasource_list": ["NoCloud", "None"], "network": { "config": "disabled" } });
            let told = |path, mode, text| Told { path, mode, text };
            files.push(told("var/lib/cloud/seed/nocloud/meta-data", 0o644, about.to_string()));
            files.push(told("etc/cloud/cloud.cfg.d/99-andon.cfg", 0o644, settings.to_string()));
            files.push(told("var/lib/cloud/seed/nocloud/user-data", 0o600, user_data.clone()));
        }
        files
    }

    fn authorized_keys(&self) -> Told {
        let text = self.keys.iter().map(|key| format!("{key}\n")).collect();
        Told { path: AUTHORIZED_KEYS, mode: 0o600, text }
    }

    /// Writes all of it into the layer of a server that never ran; what is to be said of it.
    pub fn write(&self, directory: &Path, lower: &[PathBuf], identity: &str, name: &str) -> io::Result<Option<String>> {
        let upper = directory.join("upper");
        fs::create_dir_all(&upper)?;
        let below = Below::layer(&upper)?;
        self.files(identity, name).iter().try_for_each(|told| write_below(&below, lower, told))?;
        let has_cloud_init = || {
            ["usr/bin/cloud-init", "bin/cloud-init"]
                .iter()
                .any(|path| lower.iter().any(|layer| layer.join(path).exists()))
        };
        let unread = self.cloud_init.is_some() && !has_cloud_init();
        Ok(unread.then(|| format!("The image of `{name}` has no cloud-init: nobody reads its user data.")))
    }

    /// Changes the keys of a server that does not run.
    pub fn write_keys(&self, directory: &Path, lower: &[PathBuf]) -> io::Result<()> {
        write_below(&Below::layer(&directory.join("upper"))?, lower, &self.authorized_keys())
    }

    /// Changes the keys of a server that runs.
    pub fn give_keys(&self, init: i32) -> io::Result<()> {
        let first = first_user(init)?;
        within(init, || {
            let _as_its_root = first.map(AsUser::take).transpose()?;
            write_below(&Below::root(Path::new("/"))?, &[], &self.authorized_keys())
        })
    }
}

/// Writes a file in one step. A directory that is made on the way has the attributes of the one that it lies over.
fn write_below(root: &Below, lower: &[PathBuf], told: &Told) -> io::Result<()> {
    let directory = Path::new(told.path).parent().unwrap_or(Path::new(""));
    let below = |path: &Path| lower.iter().find_map(|layer| fs::metadata(layer.join(path)).ok());
    let mode = |path: &Path| if path.ends_with(".ssh") || path == Path::new("root") { 0o700 } else { 0o755 };
    root.make_directory(directory, below, mode)?;
    root.replace(told.path, told.mode, told.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn user_data_says_what_it_is() {
        for sound in [
            "#cloud-config\nruncmd: []\n",
            "#cloud-config",
            "#cloud-config\n# nothing yet\n---\n",
            "#cloud-config\nwrite_files:\n- path: /a\n  content: |\n    a: [\n    \tb\n",
            "#cloud-config\nusers: [default, {name: a, sudo: 'ALL=(ALL) NOPASSWD:ALL'}]\n",
            "#cloud-config\npackages: [\na,\nb\n]\n",
            "#cloud-config\na: {b: 1,\nc: 2}\n",
            "#cloud-config\nusers:\n- name: a\n  gecos: \"x\n y\"\n",
            "#cloud-config-archive\n- type: text/cloud-config\n",
            "## template: jinja\n#cloud-config\nruncmd: [{{ v1.region }}]\n",
            "#!/bin/sh\n",
            "#!/bin/sh\na: [\n",
            "Content-Type: multipart/mixed",
        ] {
            assert!(user_data(sound).is_ok(), "{sound}: {:?}", user_data(sound));
        }
        for (wrong, line) in
            [("runcmd: [\n", "Line 3"), ("a: b: c\n", "Line 2"), ("- a\n", "by name"), ("just text\n", "by name")]
        {
            let failure = user_data(&format!("#cloud-config\n{wrong}")).unwrap_err();
            assert!(failure.detail.contains(line), "{wrong}: {failure}");
        }
        for wrong in ["", "runcmd: []", " #cloud-config", &format!("#!{}", "x".repeat(300_000))] {
            assert!(user_data(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn directories_take_over_the_attributes_of_those_below() {
        let folder = tempfile::tempdir().unwrap();
        let (server, image) = (folder.path().join("server"), folder.path().join("image"));
        fs::create_dir_all(image.join("root")).unwrap();
        fs::set_permissions(image.join("root"), fs::Permissions::from_mode(0o711)).unwrap();
        let seed = Seed { keys: vec!["one".into(), "two".into()], cloud_init: Some("#!/bin/sh".into()) };
        let said = seed.write(&server, std::slice::from_ref(&image), "i1", "web").unwrap();
        assert!(said.unwrap().contains("no cloud-init"));
        let mode = |path: &str| fs::metadata(server.join("upper").join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("root"), mode("root/.ssh"), mode(AUTHORIZED_KEYS)), (0o711, 0o700, 0o600));
        let read = |path: &str| fs::read_to_string(server.join("upper").join(path)).unwrap();
        assert_eq!(read(AUTHORIZED_KEYS), "one\ntwo\n");
        assert!(read("var/lib/cloud/seed/nocloud/meta-data").contains("\"instance-id\":\"i1\""));
    }
}
