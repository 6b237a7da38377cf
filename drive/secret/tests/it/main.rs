//! Sealing, opening and finding secrets, with keys made here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use andon_schema::Secrets;
use andon_secret::{
    Identities, IdentityError, Recipients, SealError, generate, open, open_secrets, seal, seal_secrets, variable_of,
};

fn identities(text: &str) -> Identities {
    Identities::parse(text, "a test").unwrap()
}

fn recipients(text: &str) -> Recipients {
    Recipients::parse(text, "a test").unwrap()
}

/// A key pair of `ssh-keygen`; `None` where there is no such program.
fn ssh_key(directory: &Path, kind: &str, passphrase: &str) -> Option<(String, String)> {
    let path = directory.join(format!("{kind}-{}", passphrase.len()));
    let mut command = Command::new("ssh-keygen");
    let made = command.args(["-q", "-t", kind, "-N", passphrase, "-C", "", "-f"]).arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: no ssh-keygen on this machine");
        return None;
    }
    Some((fs::read_to_string(&path).unwrap(), fs::read_to_string(path.with_extension("pub")).unwrap()))
}

#[test]
fn only_a_recipient_opens() {
    let (alice, alices) = generate();
    let (bob, bobs) = generate();
    let (eve, _) = generate();
    let sealed = seal("hunter2 ü".as_bytes(), &recipients(&format!("# us\n{alices}\n\n{bobs}\n"))).unwrap();
    assert!(sealed.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"));
    for key in [&alice, &bob] {
        assert_eq!(open(&sealed, &identities(key)).unwrap(), "hunter2 ü".as_bytes());
    }
    assert_eq!(open(&sealed, &identities(&format!("# k\n{eve}\n{bob}\n"))).unwrap(), "hunter2 ü".as_bytes());
    assert_eq!(open(&sealed, &identities(&eve)), Err(SealError::Other("a test".to_owned())));
    for (damaged, expected) in [
        (&b""[..], SealError::Damaged),
        (b"hunter2", SealError::Damaged),
        (&sealed[..sealed.len() / 2], SealError::Damaged),
    ] {
        assert_eq!(open(damaged, &identities(&alice)), Err(expected));
    }
}

#[test]
fn keys_of_ssh_serve() {
    let directory = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "rsa"] {
        let Some((private, public)) = ssh_key(directory.path(), kind, "") else { return };
        let sealed = seal(b"hunter2", &recipients(&public)).unwrap();
        let identity = identities(&private);
        assert_eq!(open(&sealed, &identity).unwrap(), b"hunter2");
        assert_eq!(identity.recipients(), [public.trim()]);
    }
    let (private, _) = ssh_key(directory.path(), "ed25519", "long enough").unwrap();
    let refused = Identities::parse(&private, "x").unwrap_err();
    assert_eq!(refused, IdentityError::Passphrase("x".to_owned()));
}

#[test]
fn age_itself_opens_what_is_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let (identity, recipient) = generate();
    let (key, file) = (directory.path().join("key"), directory.path().join("x.age"));
    fs::write(&key, &identity).unwrap();
    fs::write(&file, seal(b"hunter2", &recipients(&recipient)).unwrap()).unwrap();
    match Command::new("age").arg("--decrypt").arg("-i").arg(&key).arg(&file).output() {
        Ok(output) => assert_eq!(output.stdout, b"hunter2"),
        Err(_) => println!("skipped: no age on this machine"),
    }
}

#[test]
fn secrets_for_a_server_are_sealed_together() {
    let (identity, recipient) = generate();
    let secrets: Secrets =
        [("db", "hunter2\n\"x\""), ("a/b", "ü")].map(|(name, it)| (name.into(), it.into())).into_iter().collect();
    let sealed = seal_secrets(&secrets, &recipients(&recipient)).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("hunter2"));
    assert_eq!(open_secrets(&sealed, &identities(&identity)).unwrap(), secrets);
    assert_eq!(format!("{secrets:?}"), "{\"a/b\", \"db\"}");
    let other = seal(b"[1]", &recipients(&recipient)).unwrap();
    assert_eq!(open_secrets(&other, &identities(&identity)), Err(SealError::Content));
}

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    let (identity, recipient) = generate();
    for (text, expected) in [
        ("", "a test holds no identity"),
        ("# only\n", "a test holds no identity"),
        ("hunter2", "a test holds a line that is no age identity: each begins `AGE-SECRET-KEY-1`"),
        (&recipient, "a test holds a recipient, the public half of a key: give the identity"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n",
            "a test is a key that age cannot open files with: an age identity, ssh-ed25519 or ssh-rsa is needed",
        ),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\n",
            "a test is protected by a passphrase, which nobody is asked for: give one without, such as `andon secret keygen` makes",
        ),
    ] {
        assert_eq!(Identities::parse(text, "a test").unwrap_err().to_string(), expected);
    }
    for (text, expected) in [
        ("", "a test names nobody: write a line for each, such as `age1…` or `ssh-ed25519 …`"),
        ("# x\nage1nonsense", "line 2 of a test is no recipient: `age1…`, `ssh-ed25519 …` and `ssh-rsa …` are"),
        (&identity, "line 1 of a test is an identity, the private half of a key: take it out, and make a new key"),
    ] {
        assert_eq!(Recipients::parse(text, "a test").err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
}

#[test]
fn an_identity_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (identity, recipient) = generate();
    let (other, others) = generate();
    let file = directory.path().join("key");
    fs::write(&file, &identity).unwrap();
    let usual = directory.path().join("home/.config/andon/identity");
    fs::create_dir_all(usual.parent().unwrap()).unwrap();
    fs::write(&usual, &other).unwrap();
    let (file, home) = (file.to_str().unwrap(), directory.path().join("home"));
    let home = home.to_str().unwrap();
    let found = |given: &[(&str, &str)]| {
        let variable =
            |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(*text));
        Identities::given(&variable).map(|found| found.map(|found| found.recipients().join(" ")))
    };
    let (ours, theirs) = (Ok(Some(recipient)), Ok(Some(others)));
    assert_eq!(found(&[]), Ok(None));
    assert_eq!(found(&[("ANDON_AGE_IDENTITY", ""), ("HOME", "/nonexistent")]), Ok(None));
    assert_eq!(found(&[("ANDON_AGE_IDENTITY", &identity)]), ours);
    assert_eq!(found(&[("ANDON_AGE_IDENTITY", file), ("HOME", home)]), ours);
    assert_eq!(found(&[("ANDON_AGE_IDENTITY_FILE", file)]), ours);
    assert_eq!(found(&[("HOME", home)]), theirs);
    let missing = found(&[("ANDON_AGE_IDENTITY", "/nonexistent/key")]).unwrap_err().to_string();
    assert_eq!(missing, "the identity file `/nonexistent/key` cannot be read: no such file or directory");
}

#[test]
fn variables_are_named_for_secrets() {
    for (name, variable) in [("db", "ANDON_SECRET_DB"), ("db/pass-word.1", "ANDON_SECRET_DB_PASS_WORD_1")] {
        assert_eq!(variable_of(name), variable);
    }
}
