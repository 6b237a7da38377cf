//! What shadow(5) keeps of a user: the hash of its password, and the days on which this and the user end.

use andon_schema::Attribute;
use andon_schema::host::{Ageing, Bytes, User};
use andon_value::Type;

use crate::args::{Args, optional};

/// The attributes that are about shadow(5).
pub(super) fn schema() -> Vec<(&'static str, Attribute)> {
    let days = |text: &str| optional(Type::Number, text);
    let mut password = optional(
        Type::String,
        "The hash of its password, as `openssl passwd -6` makes it; never the password itself. It is not shown.",
    );
    password.sensitive = true;
    vec![
        ("password", password),
        ("password_once", optional(Type::Bool, "Whether `password` is for a new user alone, who may change it then.")),
        ("locked", optional(Type::Bool, "Whether nobody can log in with its password, which is kept.")),
        (
            "expires",
            optional(
                Type::String,
                "The day from which nobody can log in as it, such as `\"2030-12-31\"`, or `\"never\"`.",
            ),
        ),
        ("password_min_days", days("The days before its password may be changed again; -1 for none.")),
        ("password_max_days", days("The days after which its password must be changed; -1 for none.")),
        ("password_warn_days", days("The days before that on which it is warned; -1 for none.")),
        ("password_inactive_days", days("The days after that on which the password still lets it in; -1 for any.")),
    ]
}

/// What is wrong with the password.
pub(super) fn check_password(args: &Args) -> Option<String> {
    let hash = args.text("password")?;
    let sound = hash.starts_with(['$', '!', '*', '_']) && !hash.contains([':', '\n', ' ']);
    (!sound).then(|| {
        "`password` is not the hash of a password, as `openssl passwd -6` or `mkpasswd` makes one, `!` or `*`"
            .to_owned()
    })
}

/// What is wrong with the days.
pub(super) fn check_shadow(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    for attribute in DAYS {
        let sound = days(args, attribute).is_some_and(|days| (-1..=1_000_000).contains(&days));
        wrong.extend((args.has(attribute) && !sound).then(|| format!("`{attribute}` is not a number of days, or -1")));
    }
    let date = args.text("expires").filter(|text| expiry(text).is_none());
    wrong.extend(date.map(|text| format!("`expires` is `{text}`, not a day such as `\"2030-12-31\"`, or `\"never\"`")));
    wrong
}

const DAYS: [&str; 4] = ["password_min_days", "password_max_days", "password_warn_days", "password_inactive_days"];

fn days(args: &Args, attribute: &str) -> Option<i32> {
    args.signed(attribute).and_then(|days| days.try_into().ok())
}

/// The field of the password that is to be set; `None` where it is right.
pub(super) fn password(args: &Args, user: Option<&User>) -> Result<Option<Bytes>, String> {
    let given = args.text("password").filter(|_| user.is_none() || args.truth("password_once") != Some(true));
    let known = user.map_or(b"!" as &[u8], |user| &user.password.0);
    let bare = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|byte| *byte == b'!').collect() };
    let wanted = match (given, args.truth("locked")) {
        (None, None) => return Ok(None),
        (Some(hash), Some(true)) => [b"!".as_slice(), &bare(hash.as_bytes())].concat(),
        (Some(hash), _) => hash.as_bytes().to_vec(),
        // Nobody can log in with `*` either.
        (None, Some(true)) if known.starts_with(b"!") || known.starts_with(b"*") => return Ok(None),
        (None, Some(true)) => [b"!", known].concat(),
        (None, Some(false)) if !known.starts_with(b"!") => return Ok(None),
        (None, Some(false)) => match bare(known) {
            empty if empty.is_empty() => {
                return Err("it has no password that could be unlocked; give it one with `password`".to_owned());
            }
            hash => hash,
        },
    };
    Ok((wanted != known).then(|| Bytes::from(wanted)))
}

/// The days that are to be set, and what differs.
pub(super) fn ageing(args: &Args, user: &User) -> (Ageing, Vec<String>) {
    let mut differences = Vec::new();
    let mut differing = |attribute: &str, wanted: Option<i32>, now: Option<i32>, shown: fn(i32) -> String| {
        let wanted = wanted.filter(|wanted| Some(*wanted) != now)?;
        differences.push(args.difference(attribute, &now.map(shown).unwrap_or_default(), &shown(wanted)));
        Some(wanted)
    };
    let number = |days: i32| days.to_string();
    let [min, max, warn, inactive] = DAYS.map(|attribute| days(args, attribute));
    let now = user.ageing;
    let wanted = Ageing {
        min_days: differing(DAYS[0], min, now.min_days, number),
        max_days: differing(DAYS[1], max, now.max_days, number),
        warn_days: differing(DAYS[2], warn, now.warn_days, number),
        inactive_days: differing(DAYS[3], inactive, now.inactive_days, number),
        expires: differing("expires", args.text("expires").and_then(|text| expiry(&text)), now.expires, date),
    };
    (wanted, differences)
}

/// A day as its number from 1970-01-01, or -1 for never.
fn expiry(text: &str) -> Option<i32> {
    if text == "never" {
        return Some(-1);
    }
    let mut parts = text.split('-');
    let mut next = |length: usize| {
        let part =
            parts.next().filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse::<i32>().ok()
    };
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    let sound = parts.next().is_none() && year >= 1970 && (1..=12).contains(&month) && day >= 1;
    let number = number_of(year, month, day);
    // A day that its month does not have is one of the next.
    (sound && date(number) == text).then_some(number)
}

/// The number of a day of the Gregorian calendar, from 1970-01-01. Years begin in March, so that leap days end them.
fn number_of(year: i32, month: i32, day: i32) -> i32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// A day by its number, the other way round.
fn date(number: i32) -> String {
    if number < 0 {
        return "never".to_owned();
    }
    let mut year = 1970 + number / 366;
    while number_of(year + 1, 1, 1) <= number {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| number_of(year, *month, 1) <= number).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", number - number_of(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_numbers() {
        for (text, number) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(11016)),
            ("2024-12-31", Some(20088)),
            ("2100-03-01", Some(47541)),
            ("never", Some(-1)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("1969-12-31", None),
            ("24-01-01", None),
            ("2024-01-01-01", None),
            ("soon", None),
        ] {
            assert_eq!(expiry(text), number, "{text}");
            if let Some(number) = number {
                assert_eq!(date(number), text);
            }
        }
        for number in (0..60_000).step_by(13) {
            assert_eq!(expiry(&date(number)), Some(number));
        }
    }
}
