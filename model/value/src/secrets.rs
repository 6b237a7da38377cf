//! Texts of others, who know nothing of secrets, without the secrets in them.

use std::borrow::Cow;
use std::sync::Arc;

use andon_text::deeper;

use crate::{Kind, Marks, Value};

/// Shorter ones would hide the words around them rather than themselves: they are taken out where they stand as a word.
const SHORT: usize = 4;

/// Lines of a text that was made with a secret, and that are shorter, are mostly none: `[client]`, `}`.
const LINE: usize = 8;

/// What stands in the place of a secret.
const MARKER: &str = "(sensitive value)";

/// How [`MARKER`], and all else that is said in the place of a secret, begins: what is in its brackets stays.
const MARKED: &str = "(sensitive ";

/// The strings that values hold as secrets, found once to be taken out of many texts.
#[derive(Debug, Clone, Default)]
pub struct SecretTexts(Vec<Arc<str>>);

impl SecretTexts {
    /// Those of a value.
    pub fn of(value: &Value) -> SecretTexts {
        let mut found = Vec::new();
        value.secrets(false, &mut |secret| {
            found.push(Arc::clone(secret));
            // It may be shown line by line, or with its quotes and line breaks escaped.
            found.extend(secret.lines().map(|line| Arc::from(line.trim())));
            found.push(secret.escape_debug().to_string().into());
        });
        SecretTexts(found).sorted()
    }

    /// These, and the texts that such values are in: most of such a text is no secret, so that only as a whole and in
    /// its longer lines it is taken for one.
    pub fn and_made_with(mut self, values: &[&Value]) -> SecretTexts {
        for value in values {
            value.secrets(false, &mut |secret| {
                let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE);
                self.0.extend(lines.map(Arc::from));
                self.0.push(Arc::clone(secret));
            });
        }
        self.sorted()
    }

    fn sorted(mut self) -> SecretTexts {
        self.0.retain(|secret| secret.chars().nth(1).is_some());
        // A longer one may hold a shorter one.
        self.0.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        self.0.dedup();
        self
    }

    /// A text in which none of them stands.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let present: Vec<&str> = self.0.iter().map(|secret| &**secret).filter(|it| text.contains(it)).collect();
        if present.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        let mut before = None;
        while let Some(letter) = rest.chars().next() {
            let said = rest.strip_prefix(MARKED).and_then(|rest| rest.find(')')).map(|end| MARKED.len() + end + 1);
            let found = present.iter().find(|secret| {
                let after = rest.strip_prefix(**secret).map(|after| after.chars().next());
                after.is_some_and(|after| secret.len() >= SHORT || !is_of_word(before) && !is_of_word(after))
            });
            let (shown, length) = match (said, found) {
                (Some(length), _) => (rest.get(..length).unwrap_or_default(), length),
                (None, Some(secret)) => (MARKER, secret.len()),
                (None, None) => (rest.get(..letter.len_utf8()).unwrap_or_default(), letter.len_utf8()),
            };
            out.push_str(shown);
            let (passed, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            (before, rest) = (passed.chars().last(), after);
        }
        Cow::Owned(out)
    }

    /// The same of a text that is about them, and may quote a piece of one: nothing in backticks that is in a secret
    /// is said.
    pub fn hide_pieces(&self, text: &str) -> String {
        let hidden = self.hide(text);
        let is_piece =
            |piece: &str| piece.contains(char::is_alphanumeric) && self.0.iter().any(|secret| secret.contains(piece));
        let parts = hidden.split('`').enumerate();
        let parts = parts.map(|(at, part)| if at % 2 == 1 && is_piece(part) { MARKER } else { part });
        parts.collect::<Vec<_>>().join("`")
    }
}

fn is_of_word(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

impl Value {
    /// A text in which no string stands that this value holds as a secret.
    pub fn without_secrets(&self, text: &str) -> String {
        SecretTexts::of(self).hide(text).into_owned()
    }

    fn secrets(&self, within: bool, found: &mut dyn FnMut(&Arc<str>)) {
        let secret = within || self.marks() != Marks::NONE;
        match self.kind() {
            Kind::String(text) if secret => found(text),
            Kind::Number(number) if secret => found(&number.to_string().into()),
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
            ("e", secret("s3c")),
            ("f", secret("value")),
            ("g", secret("say \"it\"")),
        ]);
        for (text, expected) in [
            ("bad hunter2", "bad (sensitive value)"),
            ("bad hunter", "bad (sensitive value)"),
            ("at `second line`: open", "at `(sensitive value)`: open"),
            ("12345 is too much", "(sensitive value) is too much"),
            ("an x", "an x"),
            ("s3c is not s3cond, `s3c`", "(sensitive value) is not s3cond, `(sensitive value)`"),
            ("hunter and value", "(sensitive value) and (sensitive value)"),
            ("mode (sensitive value differs)", "mode (sensitive value differs)"),
            ("with \"say \\\"it\\\"\"", "with \"(sensitive value)\""),
            ("ünter", "ünter"),
        ] {
            assert_eq!(value.without_secrets(text), expected);
        }
    }

    #[test]
    fn of_a_text_with_a_secret_in_it_only_long_lines_are_taken_out() {
        let secret = |text: &str| Value::from(text).mark(Marks::SENSITIVE);
        let made = secret("[client]\nuser\npassword=hunter22\n");
        let hidden = SecretTexts::of(&secret("hunter22")).and_made_with(&[&made, &secret("61 * *")]);
        for (text, expected) in [
            ("no user", "no user"),
            ("bad line password=hunter22", "bad line (sensitive value)"),
            ("bad word hunter22", "bad word (sensitive value)"),
            ("`61` is no minute", "`(sensitive value)` is no minute"),
            ("`root` is no minute", "`root` is no minute"),
        ] {
            assert_eq!(hidden.hide_pieces(text), expected);
        }
    }
}
