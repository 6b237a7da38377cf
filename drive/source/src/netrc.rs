//! `~/.netrc`: who to be at which host (<https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html>).

use std::path::PathBuf;

/// `USER:PASSWORD` for a host, where the file that `NETRC` or the home directory names has them.
pub(crate) fn user_of(host: &str) -> Option<String> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
    let path = std::env::var_os("NETRC").map(PathBuf::from).or_else(home)?;
    find(&std::fs::read_to_string(path).ok()?, host)
}

fn find(text: &str, host: &str) -> Option<String> {
    // Macros run to an empty line and may hold anything.
    let lines = text.lines().scan(false, |in_macro, line| {
        *in_macro = (*in_macro || line.trim_start().starts_with("macdef")) && !line.trim().is_empty();
        Some(if *in_macro { "" } else { line })
    });
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let (mut here, mut login, mut password) = (false, None, None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" if here && password.is_some() => break,
            "machine" => {
                (login, password) = (None, None);
                here = words.next() == Some(host);
            }
            "default" => here = true,
            "login" => login = words.next().filter(|_| here),
            "password" => password = words.next().filter(|_| here),
            _ => {}
        }
    }
    Some(format!("{}:{}", login.unwrap_or_default(), password?)).filter(|_| here)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn hosts_have_users() {
        let text = "machine a.b login me password pw\nmacdef x\n machine c\n\nmachine c\n  login you\n  password s3\n";
        assert_eq!(find(text, "a.b").as_deref(), Some("me:pw"));
        assert_eq!(find(text, "c").as_deref(), Some("you:s3"));
        assert_eq!(find(text, "d"), None);
        assert_eq!(find("machine x login a\ndefault login any password p", "d").as_deref(), Some("any:p"));
        assert_eq!(find("", "d"), None);
    }
}
