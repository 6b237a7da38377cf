//! Texts of others, who know nothing of secrets, without the secrets in them.

use std::borrow::Cow;
use std::sync::Arc;

use andon_text::deeper;

use crate::{Kind, Marks, Value};

/// Shorter ones would hide the words around them rather than themselves.
const SHORTEST: usize = 3;

/// The strings that a value holds as secrets, found once to be taken out of many texts.
#[derive(Debug, Clone)]
pub struct SecretTexts(Vec<Arc<str>>);

impl SecretTexts {
    /// Those of a value.
    pub fn of(value: &Value) -> SecretTexts {
        let mut secrets = Vec::new();
        value.secrets(false, &mut secrets);
        // A longer one may hold a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        SecretTexts(secrets)
    }

    /// A text in which none of them stands.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0.iter().fold(Cow::Borrowed(text), |text, secret| match text.contains(&**secret) {
            true => Cow::Owned(text.replace(&**secret, "(sensitive value)")),
            false => text,
        })
    }
}

impl Value {
    /// A text in which no string stands that this value holds as a secret.
    pub fn without_secrets(&self, text: &str) -> String {
        SecretTexts::of(self).hide(text).into_owned()
    }

    fn secrets(&self, within: bool, found: &mut Vec<Arc<str>>) {
        let secret = within || self.marks() != Marks::NONE;
        match self.kind() {
            Kind::String(text) if secret && text.len() >= SHORTEST => {
                found.push(Arc::clone(text));
                // It may be shown line by line, or with its line breaks escaped.
                let lines =
                    text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST && line.len() < text.len());
                found.extend(lines.map(Arc::from));
            }
            Kind::Number(number) if secret => {
                found.extend(Some(number.to_string()).filter(|text| text.len() >= SHORTEST).map(Arc::from));
            }
            _ => {}
        }
        self.children().for_each(|child| deeper(|| child.secrets(secret, found)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_texts() {
        let secret = |text: &str| Value::from(text).mark(Marks::SENSITIVE);
        let value = Value::object([
            ("a", secret("hunter")),
            ("b", Value::tuple([secret("hunter2\nsecond line\n"), Value::from("open")])),
            ("c", Value::from(12345).mark(Marks::SENSITIVE)),
            ("d", secret("x")),
        ]);
        for (text, expected) in [
            ("bad hunter2", "bad (sensitive value)"),
            ("bad hunter", "bad (sensitive value)"),
            ("at `second line`: open", "at `(sensitive value)`: open"),
            ("12345 is too much", "(sensitive value) is too much"),
            ("an x", "an x"),
        ] {
            assert_eq!(value.without_secrets(text), expected);
        }
    }
}
