use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{FunctionCall, ProviderAddress};

/// The function of the language that reads a secret.
pub const SECRET_FUNCTION: &str = "secret";

/// Secrets by name, opened by whoever may, for whoever needs them. Their debug form shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<Arc<str>, Arc<str>>);

impl Secrets {
    /// None.
    pub fn new() -> Secrets {
        Secrets::default()
    }

    /// Adds or replaces one.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        self.0.insert(name.into(), value.into());
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.0.get(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// All of them, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter()
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Secrets {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Arc<str>)>>(secrets: T) -> Secrets {
        Secrets(secrets.into_iter().collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_set().entries(self.0.keys()).finish()
    }
}

impl ProviderAddress {
    /// Whose function `secret` is: a call of it is a question like that of any provider's function.
    pub fn of_secrets() -> ProviderAddress {
        ProviderAddress::built_in("andon")
    }
}

impl FunctionCall {
    /// The name of the secret that this call asks for, where it asks for one.
    pub fn secret(&self) -> Option<&Arc<str>> {
        let asks = &*self.function == SECRET_FUNCTION && self.provider == ProviderAddress::of_secrets();
        self.arguments.first().filter(|_| asks)?.as_str()
    }
}

/// What is wrong with the name of a secret, if anything is: it is the path of a file, too.
pub fn wrong_secret_name(name: &str) -> Option<&'static str> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_./@+".contains(letter);
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > 200 {
        Some("is longer than 200 characters")
    } else if !name.chars().all(letter) {
        Some("has a character other than letters, digits and `-_./@+`")
    } else if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        Some("has a part that is empty or begins with a dot")
    } else {
        None
    }
}
