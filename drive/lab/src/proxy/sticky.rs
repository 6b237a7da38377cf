//! The cookie by which a client comes back to its target.

use hyper::header::{self, HeaderMap, HeaderValue};

use super::table::Wish;
use super::target::Target;

const NAME: &str = "andon_target";

/// Takes the balancer's own cookie out of a request and gives what it says.
pub(super) fn take_cookie(headers: &mut HeaderMap) -> Wish {
    // Other cookies may have any bytes in them.
    let values = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    let pairs: Vec<&[u8]> =
        values.flat_map(|value| value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).collect();
    let value_of = |pair: &[u8]| {
        let rest = pair.strip_prefix(NAME.as_bytes())?.trim_ascii_start();
        rest.strip_prefix(b"=").map(|value| value.trim_ascii().to_vec())
    };
    let Some(value) = pairs.iter().find_map(|pair| value_of(pair)) else { return Wish::Nothing };
    let name = std::str::from_utf8(&value).ok().and_then(|name| u64::from_str_radix(name, 16).ok());
    let others: Vec<&[u8]> = pairs.iter().copied().filter(|pair| value_of(pair).is_none()).collect();
    let others = HeaderValue::from_bytes(&others.join(&b"; "[..]));
    match others {
        Ok(others) if !others.is_empty() => drop(headers.insert(header::COOKIE, others)),
        _ => drop(headers.remove(header::COOKIE)),
    }
    name.map_or(Wish::Nothing, Wish::Name)
}

/// The cookie that brings a client back.
pub(super) fn cookie(target: &Target, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{NAME}={:016x}; Path=/; HttpOnly; SameSite=Lax{secure}", target.name);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// HTTP/2 splits cookies over several headers; HTTP/1.1 has one (RFC 9113, section 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_cookie_is_taken() {
        let check = |given: &[&str], wish: Wish, left: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(header::COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(take_cookie(&mut headers), wish, "{given:?}");
            let all: Vec<_> = headers
                .get_all(header::COOKIE)
                .iter()
                .map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
                .collect();
            assert_eq!(all.first().copied(), left, "{given:?}");
        };
        check(&[], Wish::Nothing, None);
        check(&["a=b"], Wish::Nothing, Some("a=b"));
        check(&["a=b; andon_target=00000000000000ff; c=d"], Wish::Name(255), Some("a=b; c=d"));
        check(&["andon_target=1"], Wish::Name(1), None);
        check(&["andon_target=nonsense; x=y"], Wish::Nothing, Some("x=y"));
        check(&["a=é; andon_target=ff; b=ü"], Wish::Name(255), Some("a=é; b=ü"));
        check(&["andon_target2=1"], Wish::Nothing, Some("andon_target2=1"));
        check(&["x=andon_target=1"], Wish::Nothing, Some("x=andon_target=1"));
    }
}
