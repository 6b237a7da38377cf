//! What module sources mean. A case of `sources.txt` is a source, `=>`, and what it names written out in full, or `!`
//! and a part of what is said of it. A space at the end of a source is written as `␠`, a control character as `␉`.

use andon_lang::modules::parse_source;
use andon_schema::source::{ModuleSource, Package, public_url};

fn said(text: &str) -> String {
    match parse_source(text) {
        Ok(source) => {
            let how = match &source {
                ModuleSource::Local(_) => "local",
                ModuleSource::Registry { .. } => "registry",
                ModuleSource::Package { package: Package::Git { .. }, .. } => "git",
                ModuleSource::Package { package: Package::Archive { .. }, .. } => "archive",
                ModuleSource::Package { package: Package::Page { .. }, .. } => "page",
                ModuleSource::Package { package: Package::Directory { .. }, .. } => "directory",
                ModuleSource::Package { package: Package::File { .. }, .. } => "file",
            };
            format!("{how} {source}")
        }
        Err(error) => format!("! {} | {}", error.problem, error.help),
    }
}

#[test]
fn sources_mean_what_they_mean_to_terraform() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("sources.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (text, expected) = line.split_once(" => ").expect("a case has an arrow");
        let text = text.replace('␠', " ").replace('␉', "\t");
        let said = said(&text);
        count += 1;
        let met = match expected.strip_prefix("! ") {
            Some(part) => said.starts_with("! ") && said.contains(part),
            None => said == expected,
        };
        if !met {
            wrong.push(format!("{text}\n  expected {expected}\n  but      {said}"));
        }
        // What is written out in full means the same again.
        if let Ok(source) = parse_source(&text)
            && !source.to_string().contains("***")
        {
            let again = parse_source(&source.to_string());
            assert_eq!(again.as_ref(), Ok(&source), "{text} is written out as {source}");
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 80, "{count} cases");
}

#[test]
fn passwords_and_keys_are_not_written_out() {
    for (url, expected) in [
        ("https://user:secret@h/x.git", "https://user:***@h/x.git"),
        ("https://token@h/x.git", "https://***@h/x.git"),
        ("https://git@h/x.git", "https://git@h/x.git"),
        ("ssh://git@h/x.git", "ssh://git@h/x.git"),
        ("https://h/x.zip?X-Amz-Signature=abc&a=b", "https://h/x.zip?X-Amz-Signature=***&a=b"),
        ("https://h/x.zip?access_token=abc", "https://h/x.zip?access_token=***"),
        ("https://h/@x?a=b@c", "https://h/@x?a=b@c"),
    ] {
        assert_eq!(public_url(url), expected);
    }
    let source = parse_source("git::ssh://git@h/x.git?sshkey=aGVsbG8&ref=v1").expect("a source");
    assert_eq!(source.to_string(), "git::ssh://git@h/x.git?ref=v1");
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(git::|https://|file://|github\\.com/|\\./|[a-z]{1,3}/)?[-a-zA-Z0-9./:?&=@%~ éß\\\\]{0,40}") {
        if let Ok(source) = parse_source(&text)
            && !source.to_string().contains("***")
            && source.to_string().trim() == source.to_string()
            && let ModuleSource::Local(_) | ModuleSource::Registry { .. } = source
        {
            proptest::prop_assert_eq!(parse_source(&source.to_string()), Ok(source));
        }
    }
}
