//! As much of URLs as fetching needs.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// Where a reference leads that was found at `base`: an absolute URL, a path of the same host, or a path from there.
pub(crate) fn join(base: &str, reference: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else { return reference.to_owned() };
    if reference.contains("://") {
        return reference.to_owned();
    }
    if let Some(host) = reference.strip_prefix("//") {
        return format!("{scheme}://{host}");
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (reference, query) = match reference.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (reference, String::new()),
    };
    let whole = match reference.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
    };
    let ends = whole.ends_with('/') || whole.ends_with("/.");
    let mut parts: Vec<&str> = Vec::new();
    // Doubled slashes after the first part stay: they set a package and a directory in it apart.
    for part in whole.trim_end_matches('/').split('/') {
        match part {
            "" if parts.is_empty() => {}
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if ends && !parts.is_empty() { "/" } else { "" };
    format!("{scheme}://{host}/{}{slash}{query}", parts.join("/"))
}

/// A URL with one more pair in its query.
pub(crate) fn with_pair(url: &str, pair: &str) -> String {
    format!("{url}{}{pair}", if url.contains('?') { '&' } else { '?' })
}

/// A URL without the user in it, and what says who that is in a request.
pub(crate) fn take_user(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{scheme}://{host}{path}"), Some(basic(&decoded(user)))),
        None => (url.to_owned(), None),
    }
}

/// The host of a URL, with its port where one is named.
pub(crate) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// The host of a URL, without its port.
pub(crate) fn host(url: &str) -> &str {
    authority(url).split(':').next().unwrap_or_default()
}

/// The header of a request that says `USER:PASSWORD`.
pub(crate) fn basic(user: &str) -> String {
    let whole = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
    format!("Basic {}", STANDARD.encode(whole))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// A host name as the network takes it: labels in other scripts in Punycode (RFC 3492).
pub(crate) fn ascii_host(host: &str) -> String {
    let label = |label: &str| match label.is_ascii() {
        true => label.to_owned(),
        false => format!("xn--{}", punycode(label)),
    };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, format!(":{port}")),
        None => (host, String::new()),
    };
    name.split('.').map(label).collect::<Vec<_>>().join(".") + &port
}

fn punycode(label: &str) -> String {
    const BASE: u32 = 36;
    let letters: Vec<u32> = label.chars().map(u32::from).collect();
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128u32, 0u32, 72u32, basic);
    while (handled as usize) < letters.len() {
        let Some(next) = letters.iter().copied().filter(|code| *code >= n).min() else { break };
        delta = delta.saturating_add((next - n).saturating_mul(handled + 1));
        n = next;
        for code in &letters {
            if *code < n {
                delta = delta.saturating_add(1);
            }
            if *code == n {
                let mut q = delta;
                let mut k = BASE;
                loop {
                    let t = k.saturating_sub(bias).clamp(1, 26);
                    if q < t {
                        break;
                    }
                    out.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                    k += BASE;
                }
                out.push(digit(q));
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        n += 1;
    }
    out
}

/// 0 to 25 are the letters, 26 to 35 the digits.
fn digit(value: u32) -> char {
    let code = if value < 26 { u32::from(b'a') + value } else { u32::from(b'0') + value - 26 };
    char::from_u32(code).unwrap_or('a')
}

fn adapted(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may stop at once")]
mod tests {
    use super::*;

    #[test]
    fn references_lead_somewhere() {
        let base = "https://h:1/a/b/c?x=y";
        for (reference, expected) in [
            ("https://o/x", "https://o/x"),
            ("git::https://o/x", "git::https://o/x"),
            ("//o/x", "https://o/x"),
            ("/x/y/", "https://h:1/x/y/"),
            ("./d.zip", "https://h:1/a/b/d.zip"),
            ("../d?q=1", "https://h:1/a/d?q=1"),
            ("d", "https://h:1/a/b/d"),
            ("./m.zip//sub?x=1", "https://h:1/a/b/m.zip//sub?x=1"),
            ("../../../../d", "https://h:1/d"),
        ] {
            assert_eq!(join(base, reference), expected);
        }
        assert_eq!(join("https://h", "/v1/"), "https://h/v1/");
        assert_eq!(take_user("https://a:b%40c@h/x"), ("https://h/x".into(), Some(basic("a:b@c"))));
        assert_eq!(host("https://u@h:8/x"), "h");
    }

    #[test]
    fn hosts_of_other_scripts_are_coded() {
        for (host, expected) in [
            ("example.com:8", "example.com:8"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("испытание.com:1", "xn--80akhbyknj4f.com:1"),
            ("例え.jp", "xn--r8jz45g.jp"),
        ] {
            assert_eq!(ascii_host(host), expected);
        }
    }
}
