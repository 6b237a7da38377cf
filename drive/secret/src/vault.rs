//! The secrets of a project: `secrets/NAME.age`, `secrets.age` with many, and the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{env, fs, io};

use andon_schema::{Secrets, wrong_secret_name};
use andon_text::nearest;

use crate::identities::plain;
use crate::seal::open;
use crate::{Identities, IdentityError, SealError};

/// The file with many secrets, from the project's directory.
const MANY: &str = "secrets.age";

/// Secrets that were asked for, by name: what they are, or why they cannot be had.
type Opened = BTreeMap<Arc<str>, Result<Arc<str>, VaultError>>;

/// Opens the secrets of one project. Each is opened when it is first asked for; the identity is looked for only then.
#[derive(Debug)]
pub struct Vault {
    directory: PathBuf,
    /// It is opened by a server, for itself.
    of_server: bool,
    identities: OnceLock<Result<Option<Arc<Identities>>, IdentityError>>,
    opened: Mutex<Opened>,
    many: OnceLock<Result<Option<Secrets>, VaultError>>,
}

/// A secret that there is, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub place: Place,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Alone in a file.
    File(PathBuf),
    /// With others in a file.
    Many(PathBuf),
}

/// Why there is no secret of a name. No message holds anything of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The name cannot be one.
    #[error("the name of the secret {why}")]
    Name {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing has it.
    #[error("there is no secret `{name}`: make it with `andon secret set {name}`, or set {variable}{near}")]
    Missing {
        /// The secret.
        name: Arc<str>,
        /// The variable that would give it.
        variable: String,
        /// What may have been meant.
        near: String,
    },
    /// There is nothing to open it with.
    #[error(
        "`{file}` is sealed, and there is no identity to open it with: name one in ANDON_AGE_IDENTITY, or make one \
         with `andon secret keygen`"
    )]
    NoIdentity {
        /// The file.
        file: String,
    },
    /// The identity cannot be read.
    #[error("`{file}` is sealed, and {source}")]
    Identity {
        /// The file.
        file: String,
        /// Why.
        source: IdentityError,
    },
    /// It cannot be opened.
    #[error("`{file}` cannot be opened: {source}{}", rekey_help(.source))]
    Sealed {
        /// The file.
        file: String,
        /// Why.
        source: SealError,
    },
    /// The file cannot be read.
    #[error("`{file}` cannot be read: {detail}")]
    File {
        /// The file.
        file: String,
        /// Why.
        detail: String,
    },
    /// What is sealed is no text.
    #[error("what is in {place} is not text in UTF-8: keep it in Base64, and read it with `base64decode`")]
    NotText {
        /// The file or variable.
        place: String,
    },
    /// What is sealed is empty.
    #[error("the secret `{name}` in {place} is empty: set it again")]
    Empty {
        /// The secret.
        name: Arc<str>,
        /// The file or variable.
        place: String,
    },
    /// A file with many has something else in it.
    #[error("line {line} of `{file}`, once opened, is not `NAME=value`")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A file with many that should be JSON.
    #[error("`{file}`, once opened, is no JSON object of texts by name")]
    Json {
        /// The file.
        file: String,
    },
}

fn rekey_help(error: &SealError) -> &'static str {
    match error {
        SealError::Other(_) => {
            ". Whoever can open it adds your recipient to `secrets/recipients`, and runs `andon secret rekey`"
        }
        _ => "",
    }
}

impl Default for Vault {
    fn default() -> Vault {
        Vault::at(Path::new(""))
    }
}

impl Vault {
    /// The secrets of the project in a directory; without one (an empty path) those of the environment.
    pub fn at(directory: &Path) -> Vault {
        Vault {
            directory: directory.to_owned(),
            of_server: false,
            identities: OnceLock::new(),
            opened: Mutex::default(),
            many: OnceLock::new(),
        }
    }

    /// The same, opened by a server for itself.
    pub fn of_server(directory: &Path) -> Vault {
        Vault { of_server: true, ..Vault::at(directory) }
    }

    /// The secret of a name.
    pub fn get(&self, name: &str) -> Result<Arc<str>, VaultError> {
        if let Some(known) = self.lock().get(name) {
            return known.clone();
        }
        let found = self.find(name);
        self.lock().insert(name.into(), found.clone());
        found
    }

    /// These secrets, or why one of them is not there.
    pub fn take<'n>(&self, names: impl IntoIterator<Item = &'n Arc<str>>) -> Result<Secrets, VaultError> {
        names.into_iter().map(|name| Ok((Arc::clone(name), self.get(name)?))).collect()
    }

    /// The secrets that the project's files have; those of the file with many are there where it can be opened.
    pub fn stored(&self) -> Result<Vec<Stored>, VaultError> {
        let mut found: Vec<Stored> = self
            .files()
            .map_err(|error| VaultError::File { file: "secrets".to_owned(), detail: plain(&error) })?
            .into_iter()
            .map(|(name, path)| Stored { name, place: Place::File(path) })
            .collect();
        if let Some(many) = self.many()? {
            let place = Place::Many(self.directory.join(MANY));
            found.extend(many.names().map(|name| Stored { name: Arc::clone(name), place: place.clone() }));
        }
        found.sort();
        Ok(found)
    }

    /// The file of a secret, whether it is there or not.
    pub fn file_of(&self, name: &str) -> PathBuf {
        self.directory.join("secrets").join(format!("{name}.age"))
    }

    /// Where it is written for whom secrets are sealed.
    pub fn recipients_file(&self) -> PathBuf {
        self.directory.join("secrets/recipients")
    }

    /// The file with many secrets, whether it is there or not.
    pub fn many_file(&self) -> PathBuf {
        self.directory.join(MANY)
    }

    /// What files are opened with.
    pub fn identities(&self) -> Result<Option<Arc<Identities>>, IdentityError> {
        let find = || if self.of_server { Identities::of_server() } else { Identities::of_user() };
        self.identities.get_or_init(|| find().map(|found| found.map(Arc::new))).clone()
    }

    /// The bytes that a sealed file of the project holds.
    pub fn open_file(&self, path: &Path) -> Result<Vec<u8>, VaultError> {
        let file = self.shown(path);
        let sealed = fs::read(path).map_err(|error| VaultError::File { file: file.clone(), detail: plain(&error) })?;
        let identities = match self.identities() {
            Ok(Some(identities)) => identities,
            Ok(None) => return Err(VaultError::NoIdentity { file }),
            Err(source) => return Err(VaultError::Identity { file, source }),
        };
        open(&sealed, &identities).map_err(|source| VaultError::Sealed { file, source })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Arc<str>, VaultError> {
        if let Some(why) = wrong_secret_name(name) {
            return Err(VaultError::Name { why });
        }
        let variable = variable_of(name);
        let given: Option<OsString> = env::var_os(&variable);
        if let Some(text) = given {
            let text = text.into_string().map_err(|_| VaultError::NotText { place: variable.clone() })?;
            return filled(name, &variable, text);
        }
        let path = self.file_of(name);
        if !self.directory.as_os_str().is_empty() && path.is_file() {
            let place = format!("`{}`", self.shown(&path));
            let bytes = self.open_file(&path)?;
            let text = String::from_utf8(bytes).map_err(|_| VaultError::NotText { place: place.clone() })?;
            return filled(name, &place, without_last_newline(text));
        }
        if let Some(value) = self.many()?.and_then(|many| many.get(name)) {
            return Ok(Arc::clone(value));
        }
        let names: Vec<Arc<str>> = self.stored().unwrap_or_default().into_iter().map(|stored| stored.name).collect();
        let near = nearest(name, names.iter().map(|name| &**name));
        let near = near.map(|near| format!(". Did you mean `{near}`?")).unwrap_or_default();
        Err(VaultError::Missing { name: name.into(), variable, near })
    }

    fn many(&self) -> Result<Option<&Secrets>, VaultError> {
        let read = || {
            let path = self.many_file();
            if self.directory.as_os_str().is_empty() || !path.is_file() {
                return Ok(None);
            }
            let bytes = self.open_file(&path)?;
            let file = self.shown(&path);
            let text = String::from_utf8(bytes).map_err(|_| VaultError::NotText { place: format!("`{file}`") })?;
            many(&text, &file).map(Some)
        };
        self.many.get_or_init(read).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    fn files(&self) -> io::Result<Vec<(Arc<str>, PathBuf)>> {
        let mut found = Vec::new();
        let mut open = vec![(self.directory.join("secrets"), String::new())];
        while let Some((directory, prefix)) = open.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') {
                    continue;
                }
                // Links are not followed, so that none leads round in a circle.
                if entry.file_type()?.is_dir() {
                    open.push((entry.path(), format!("{prefix}{name}/")));
                } else if let Some(name) = name.strip_suffix(".age") {
                    found.push((format!("{prefix}{name}").into(), entry.path()));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.directory).unwrap_or(path).display().to_string()
    }
}

/// The variable that gives a secret: `db/password` is `ANDON_SECRET_DB_PASSWORD`.
pub fn variable_of(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("ANDON_SECRET_{}", name.chars().map(letter).collect::<String>())
}

fn filled(name: &str, place: &str, text: String) -> Result<Arc<str>, VaultError> {
    match text.is_empty() {
        true => Err(VaultError::Empty { name: name.into(), place: place.to_owned() }),
        false => Ok(text.into()),
    }
}

/// A text of one line is meant without the newline that an editor or `echo` puts behind it; a key of many lines is not.
fn without_last_newline(mut text: String) -> String {
    if text.ends_with('\n') && text.trim_end_matches(['\r', '\n']).lines().count() <= 1 {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

/// A JSON object of texts, or lines `NAME=value`, where a value may stand in quotes.
fn many(text: &str, file: &str) -> Result<Secrets, VaultError> {
    if text.trim_start().starts_with('{') {
        let wrong = || VaultError::Json { file: file.to_owned() };
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
        let entry = |(name, value): (String, serde_json::Value)| Some((name.into(), value.as_str()?.into()));
        return json.into_iter().map(entry).collect::<Option<Secrets>>().ok_or_else(wrong);
    }
    let mut found = Secrets::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || VaultError::Line { file: file.to_owned(), line: at + 1 };
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let value = quoted.unwrap_or(value);
        if wrong_secret_name(name).is_some() || value.is_empty() {
            return Err(wrong());
        }
        found.insert(name, value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_many() {
        for (text, expected) in [
            ("", Ok(vec![])),
            (
                "# c\n\na=1\nb/c = \"x y\"\nd='q'\ne=a=b\n",
                Ok(vec![("a", "1"), ("b/c", "x y"), ("d", "q"), ("e", "a=b")]),
            ),
            (" {\"a\": \"1\\n2\"}", Ok(vec![("a", "1\n2")])),
            ("a=1\nnothing", Err(VaultError::Line { file: "f".to_owned(), line: 2 })),
            ("a=", Err(VaultError::Line { file: "f".to_owned(), line: 1 })),
            ("{\"a\": 1}", Err(VaultError::Json { file: "f".to_owned() })),
        ] {
            let expected = expected.map(|all: Vec<(&str, &str)>| {
                all.into_iter().map(|(name, value)| (name.into(), value.into())).collect::<Secrets>()
            });
            assert_eq!(many(text, "f"), expected, "{text}");
        }
    }

    #[test]
    fn one_line_has_no_newline_at_its_end() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\nb\n", "a\nb\n"), ("\n", ""), ("", "")] {
            assert_eq!(without_last_newline(text.to_owned()), expected);
        }
    }
}
