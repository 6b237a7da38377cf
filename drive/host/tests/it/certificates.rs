//! Certificates, judged by openssl.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use andon_converge::Mode;
use andon_schema::host::HostResource;
use andon_value::{Marks, Type, Value};

use crate::converge::{apply, catalog, converge, resource};
use crate::root::{in_a_root, text};

/// What openssl says, and whether it is content; `None` where there is none.
fn openssl(words: &str) -> Option<(bool, String)> {
    let output = Command::new("openssl").args(words.split(' ')).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn certificate(path: &str, given: &[(&str, Value)]) -> HostResource {
    resource("certificate", path, given)
}

fn texts(texts: &[&str]) -> Value {
    Value::list(Type::String, texts.iter().map(|text| Value::from(*text)))
}

#[test]
fn an_authority_signs_and_openssl_agrees() {
    in_a_root(|| {
        let judged = |words: &str, holds: &str| match openssl(words) {
            Some((success, said)) => assert!(success && said.contains(holds), "openssl {words}: {said}"),
            None => println!("not judged: this machine has no openssl"),
        };
        let authority = |kind: &str| {
            let subject = Value::map(Type::String, [("CN", Value::from("Root of the test")), ("O", "Test".into())]);
            certificate("/srv/ca.crt", &[("is_ca", true.into()), ("subject", subject), ("key_type", kind.into())])
        };
        let web = |kind: &str, names: &[&str]| {
            certificate(
                "/srv/web.crt",
                &[
                    ("dns_names", texts(names)),
                    ("ip_addresses", texts(&["10.0.0.1", "fd00:0::1"])),
                    ("usages", texts(&["digital_signature", "server_auth", "client_auth"])),
                    ("key_type", kind.into()),
                    ("ca", "/srv/ca.crt".into()),
                    ("ca_key", "/srv/ca.key".into()),
                    ("chain", "/srv/chain.pem".into()),
                    ("owner", "nobody".into()),
                ],
            )
        };
        for kind in ["ecdsa-p384", "ed25519", "ecdsa-p256"] {
            apply(vec![authority(kind), web(kind, &["shop.example.org", "*.shop.example.org"])], 2);
            judged(
                "verify -CAfile /srv/ca.crt -purpose sslserver -verify_hostname a.shop.example.org /srv/web.crt",
                "OK",
            );
            judged("verify -CAfile /srv/ca.crt -verify_ip fd00::1 /srv/web.crt", "OK");
        }
        let key = std::fs::metadata("/srv/web.key").unwrap();
        assert_eq!((key.mode() & 0o777, key.uid()), (0o600, 65534));
        assert_eq!(text("/srv/chain.pem"), Some(text("/srv/web.crt").unwrap() + &text("/srv/ca.crt").unwrap()));
        // Other names, the same key.
        let before = text("/srv/web.key");
        apply(vec![authority("ecdsa-p256"), web("ecdsa-p256", &["other.example.org"])], 1);
        assert_eq!(text("/srv/web.key"), before);
        // Another authority signs all anew; a key of another is noticed; a chain is made good.
        std::fs::remove_file("/srv/ca.crt").unwrap();
        apply(vec![authority("ecdsa-p256"), web("ecdsa-p256", &["other.example.org"])], 2);
        std::fs::copy("/srv/ca.key", "/srv/web.key").unwrap();
        apply(vec![web("ecdsa-p256", &["other.example.org"])], 1);
        assert_ne!(text("/srv/web.key"), text("/srv/ca.key"));
        std::fs::write("/srv/chain.pem", "").unwrap();
        std::fs::set_permissions("/srv/web.key", std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        apply(vec![web("ecdsa-p256", &["other.example.org"])], 1);
        judged("verify -CAfile /srv/ca.crt -verify_hostname other.example.org /srv/chain.pem", "OK");
        // One that ends soon is made anew.
        let short = |days: i64| certificate("/srv/short.crt", &[("days", days.into()), ("renew_before", 5.into())]);
        apply(vec![short(6)], 1);
        let longer = certificate("/srv/short.crt", &[("days", 90.into()), ("renew_before", 10.into())]);
        apply(vec![longer], 1);
        judged("x509 -in /srv/short.crt -noout -checkend 7700000", "will not expire");
        judged("x509 -in /srv/short.crt -noout -purpose", "SSL server CA : No");
    });
}

#[test]
fn an_authority_that_is_given_as_text_is_no_word_of_anything() {
    in_a_root(|| {
        apply(vec![certificate("/srv/ca.crt", &[("is_ca", true.into())])], 1);
        let (ca, key) = (text("/srv/ca.crt").unwrap(), text("/srv/ca.key").unwrap());
        std::fs::remove_file("/srv/ca.key").unwrap();
        let secret = Value::from(key.as_str()).mark(Marks::SENSITIVE);
        let web = certificate(
            "/srv/web.crt",
            &[("dns_names", texts(&["a"])), ("ca", ca.as_str().into()), ("ca_key", secret)],
        );
        let catalog = catalog(vec![web]);
        let report = converge(&catalog, Mode::Apply);
        let line = key.lines().nth(1).unwrap();
        assert!(!report.has_failed() && !format!("{report:?}").contains(line), "{report:?}");
        assert!(converge(&catalog, Mode::Apply).is_clean());
    });
}

#[test]
fn rsa_by_the_servers_own_tool() {
    in_a_root(|| {
        if openssl("version").is_none() {
            return println!("skipped: this machine has no openssl");
        }
        apply(vec![certificate("/srv/r.crt", &[("key_type", "rsa-2048".into()), ("dns_names", texts(&["r"]))])], 1);
        let (_, said) = openssl("x509 -in /srv/r.crt -noout -text").unwrap();
        assert!(said.contains("2048 bit") && said.contains("DNS:r"), "{said}");
    });
}

#[test]
fn keys_in_older_forms_sign_too() {
    in_a_root(|| {
        if openssl("version").is_none() {
            return println!("skipped: this machine has no openssl");
        }
        for (made, begins) in [
            ("ecparam -name prime256v1 -genkey -out /srv/old.key", "-----BEGIN EC PARAMETERS"),
            ("ecparam -name secp384r1 -genkey -noout -out /srv/old.key", "-----BEGIN EC PRIVATE KEY"),
            ("genrsa -traditional -out /srv/old.key 2048", "-----BEGIN RSA PRIVATE KEY"),
        ] {
            let (success, said) = openssl(made).unwrap();
            assert!(success && text("/srv/old.key").unwrap().starts_with(begins), "{made}: {said}");
            let (success, said) =
                openssl("req -x509 -new -key /srv/old.key -out /srv/old.crt -subj /CN=Old -days 9").unwrap();
            assert!(success, "{said}");
            let arguments = [("ca", "/srv/old.crt".into()), ("ca_key", "/srv/old.key".into())];
            apply(vec![certificate("/srv/web.crt", &[&arguments[..], &[("dns_names", texts(&["w"]))]].concat())], 1);
            let (success, said) = openssl("verify -CAfile /srv/old.crt /srv/web.crt").unwrap();
            assert!(success, "{made}: {said}");
        }
    });
}
