//! How the values of host resources and checks are written.

use core::net::IpAddr;

use andon_schema::{Failure, Format};
use andon_value::Value;
use regex_lite::Regex;

use crate::args::{check_account, check_duration, check_mode, check_path};
use crate::bytes::ENCODINGS;
use crate::kinds::{check_host, check_locale, check_schedule};

/// Permission bits.
pub(crate) const MODE: Format =
    Format { name: "permission bits in octal", example: "\"0644\"", check: |value| of_text(value, check_mode) };

/// A path on a server.
pub(crate) const PATH: Format =
    Format { name: "an absolute path", example: "\"/etc/motd\"", check: |value| of_text(value, check_path) };

/// A user or a group by name.
pub(crate) const ACCOUNT: Format =
    Format { name: "the name of a user or group", example: "\"deploy\"", check: |value| of_text(value, check_account) };

/// A user or a group by name or number.
pub(crate) const OWNER: Format = Format {
    name: "the name or number of a user or group",
    example: "\"root\"",
    check: |value| of_text(value, |text| if text.parse::<u32>().is_ok() { None } else { check_account(text) }),
};

/// The number of a user or a group.
pub(crate) const ID: Format = Format {
    name: "a whole number from 0 to 4294967294",
    example: "1000",
    check: |value| {
        let sound = value.as_number().is_none_or(|id| id.to_u64().is_some_and(|id| id < u64::from(u32::MAX)));
        said((!sound).then(|| "this is not a whole number from 0 to 4294967294".to_owned()))
    },
};

/// A span of time.
pub(crate) const DURATION: Format =
    Format { name: "a span of time", example: "\"10s\"", check: |value| of_text(value, check_duration) };

/// The status of an answer of HTTP.
pub(crate) const STATUS: Format = Format {
    name: "a status of HTTP, from 100 to 599",
    example: "200",
    check: |value| {
        let sound = value.as_number().is_none_or(|it| it.to_u64().is_some_and(|it| (100..600).contains(&it)));
        said((!sound).then(|| "this is not a status of HTTP, from 100 to 599".to_owned()))
    },
};

/// How many there are.
pub(crate) const COUNT: Format = Format {
    name: "a whole number, from 0",
    example: "3",
    check: |value| {
        let sound = value.as_number().is_none_or(|it| it.to_u64().is_some());
        said((!sound).then(|| "this is not a whole number from 0".to_owned()))
    },
};

/// A digest.
pub(crate) const SHA256: Format = Format {
    name: "a SHA-256: 64 hexadecimal digits",
    example: "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
    check: |value| {
        of_text(value, |text| {
            let sound = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            (!sound).then(|| format!("`{text}` is not a SHA-256: it has 64 hexadecimal digits"))
        })
    },
};

/// How text is encoded.
pub(crate) const ENCODING: Format = Format {
    name: "`utf-8`, `utf-8-bom`, `utf-16le`, `utf-16be`, `iso-8859-1` or `ascii`",
    example: "\"iso-8859-1\"",
    check: |value| {
        of_text(value, |text| {
            (!ENCODINGS.contains(&text)).then(|| format!("`{text}` is no encoding that is known here"))
        })
    },
};

/// Where in a file something new goes.
pub(crate) const POSITION: Format = Format {
    name: "`start` or `end`",
    example: "\"start\"",
    check: |value| {
        of_text(value, |text| {
            (!matches!(text, "start" | "end")).then(|| format!("`{text}` is neither `start` nor `end`"))
        })
    },
};

/// What becomes of changes by hand.
pub(crate) const LOCAL_CHANGES: Format = Format {
    name: "`refuse`, `keep` or `discard`",
    example: "\"keep\"",
    check: |value| {
        of_text(value, |text| {
            let known = matches!(text, "refuse" | "keep" | "discard");
            (!known).then(|| format!("`{text}` is neither `refuse`, `keep` nor `discard`"))
        })
    },
};

/// The name of a host.
pub(crate) const HOST: Format =
    Format { name: "the name of a host", example: "\"db.internal\"", check: |value| of_text(value, check_host) };

/// An address of a host.
pub(crate) const ADDRESS: Format = Format {
    name: "an IPv4 or IPv6 address",
    example: "\"10.0.0.7\"",
    check: |value| {
        of_text(value, |text| text.parse::<IpAddr>().is_err().then(|| format!("`{text}` is not an IP address")))
    },
};

/// A locale.
pub(crate) const LOCALE: Format =
    Format { name: "a locale", example: "\"de_DE.UTF-8\"", check: |value| of_text(value, check_locale) };

/// A schedule of cron's.
pub(crate) const SCHEDULE: Format = Format {
    name: "a schedule of cron",
    example: "\"30 2 * * mon-fri\"",
    check: |value| of_text(value, check_schedule),
};

/// A pattern.
pub(crate) const PATTERN: Format = Format {
    name: "a regular expression",
    example: "\"^Port \"",
    check: |value| {
        of_text(value, |text| Regex::new(text).err().map(|error| format!("this is not a regular expression: {error}")))
    },
};

/// Text on one line.
pub(crate) const LINE: Format = Format {
    name: "one line",
    example: "\"Port 22\"",
    check: |value| of_text(value, |text| text.contains(['\n', '\r']).then(|| "this is more than one line".to_owned())),
};

fn of_text(value: &Value, wrong: impl Fn(&str) -> Option<String>) -> Result<(), Failure> {
    said(value.as_str().and_then(|text| wrong(text)))
}

fn said(wrong: Option<String>) -> Result<(), Failure> {
    wrong.map_or(Ok(()), |wrong| Err(Failure::new(wrong, "")))
}
