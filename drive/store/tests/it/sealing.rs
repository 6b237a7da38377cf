use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use andon_ledger::{EnvironmentState, State, Timestamp};
use andon_store::{Holder, Key, KeyError, Ledger, LockError, Place, SealError, StoreError, open, seal};
use rusqlite::Connection;

use crate::spots::{Spot, client, file, spots};
use crate::{append, event, run, text};

fn key(text: &str) -> Key {
    Key::parse(text, "a key").unwrap()
}

fn identity() -> Key {
    key(&Key::generate())
}

fn state(sequence: u64, word: &str) -> State {
    State::new(sequence, BTreeMap::from([(word.into(), EnvironmentState::default())]))
}

fn texts(ledger: &Ledger) -> Vec<String> {
    ledger.read_from(1).unwrap().iter().map(|entry| text(&entry.event).to_owned()).collect()
}

fn holds(spot: &Spot, word: &str) -> bool {
    spot.bytes().windows(word.len()).any(|part| part == word.as_bytes())
}

fn refusal(spot: &Spot, key: Option<&Key>) -> StoreError {
    match Ledger::open_at(&spot.place, key) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn nothing_is_stored_in_clear() {
    for key in [identity(), key("correct horse battery staple")] {
        for spot in spots() {
            let ledger = spot.open_with(&key);
            append(&ledger, "dev", &["sentinel", "sentinel"]);
            ledger.write_snapshot(&state(2, "sentinel")).unwrap();
            assert!(!holds(&spot, "sentinel"), "{key:?} on {}", spot.name);
            assert_eq!(texts(&ledger), ["sentinel", "sentinel"]);
            assert_eq!(ledger.snapshot(), Some((2, state(2, "sentinel"))));
        }
    }
}

#[test]
fn a_sealed_ledger_opens_with_its_key_alone() {
    for spot in spots() {
        let text = Key::generate();
        append(&spot.open_with(&key(&text)), "dev", &["a"]);
        assert_eq!(texts(&spot.open_with(&key(&format!("# made today\n\n{text}\n")))), ["a"]);
        let check = |given: Option<&Key>, expected: &str| {
            let error = refusal(&spot, given).to_string();
            assert!(error.ends_with(expected), "{error}");
        };
        check(None, "is encrypted: give its key in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE");
        let wrong = "is encrypted with another key than the one in ANDON_LEDGER_KEY or ANDON_LEDGER_KEY_FILE";
        check(Some(&identity()), wrong);
        check(Some(&key("a passphrase")), wrong);
        assert_eq!(texts(&spot.open_with(&key(&text))), ["a"], "nothing came of it");
    }
}

#[test]
fn a_clear_ledger_is_sealed_when_a_key_is_given() {
    for spot in spots() {
        let many: Vec<String> = (0..2500).map(|number| format!("treasure-{number}")).collect();
        let clear = spot.open();
        append(&clear, "dev", &many.iter().map(String::as_str).collect::<Vec<_>>());
        clear.write_snapshot(&state(2500, "treasure-island")).unwrap();
        assert!(holds(&spot, "treasure"));
        let holder =
            Holder { pid: std::process::id(), who: "ann@desk".into(), command: "up".into(), since: Timestamp(1) };
        let lock = clear.lock("dev", &holder).unwrap();
        let key = key("a passphrase");
        let error = refusal(&spot, Some(&key)).to_string();
        assert!(error.contains("has to wait: environment `dev` is locked by ann@desk"), "{error}");
        drop(lock);
        let sealed = spot.open_with(&key);
        assert!(sealed.is_sealed());
        assert_eq!(texts(&sealed), many);
        if matches!(spot.place, Place::File(_)) {
            assert!(!holds(&spot, "treasure"), "the file still tells");
        }
        // Who has it open as it was can neither write to it nor read it.
        let changed = |error: StoreError| assert!(matches!(error, StoreError::KeyChanged { .. }), "{error:?}");
        changed(clear.append(Timestamp(0), &run(), "dev", vec![event("late")]).unwrap_err());
        changed(clear.read_from(1).unwrap_err());
        changed(clear.write_snapshot(&state(2500, "x")).unwrap_err());
        assert!(matches!(clear.lock("dev", &holder), Err(LockError::Store(StoreError::KeyChanged { .. }))));
        assert_eq!(sealed.last_sequence(), Ok(2500));
    }
}

#[test]
fn keys_are_changed() {
    for spot in spots() {
        let (old, new) = (Key::generate(), Key::generate());
        let ledger = spot.open_with(&key(&old));
        append(&ledger, "dev", &["a", "b"]);
        ledger.rekey(Some(key(&new))).unwrap();
        append(&ledger, "dev", &["c"]);
        assert!(matches!(refusal(&spot, Some(&key(&old))), StoreError::WrongKey { .. }));
        assert_eq!(texts(&spot.open_with(&key(&new))), ["a", "b", "c"]);
        ledger.rekey(None).unwrap();
        assert!(!ledger.is_sealed());
        assert_eq!(texts(&ledger), ["a", "b", "c"]);
        assert_eq!(texts(&spot.open()), ["a", "b", "c"]);
    }
}

#[test]
fn rows_cannot_be_swapped_or_slipped_in() {
    let record = "{\"event\":\"withdrawn\",\"stack\":\"web\",\"v\":1}";
    let check = |changes: &[String]| {
        for spot in spots() {
            let key = identity();
            let ledger = spot.open_with(&key);
            append(&ledger, "dev", &["a", "b", "c"]);
            for change in changes {
                match &spot.place {
                    Place::File(path) => {
                        Connection::open(path).unwrap().execute(change, []).unwrap();
                    }
                    Place::Database(_) => {
                        let project = spot.text.rsplit('=').next().unwrap();
                        let find = "SELECT ledger FROM andon_ledgers WHERE project = $1";
                        let number: i64 = client().query_one(find, &[&project]).unwrap().get(0);
                        let change = change
                            .replace("entries", "andon_entries")
                            .replace("CAST(", "convert_to(")
                            .replace(" AS BLOB", ", 'UTF8'");
                        let change = change.replace(" WHERE", &format!(" WHERE ledger = {number} AND"));
                        client().execute(&change, &[]).unwrap();
                    }
                }
            }
            let error = ledger.read_from(1).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }), "{changes:?} on {}: {error:?}", spot.name);
        }
    };
    check(&[
        "UPDATE entries SET sequence = 9 WHERE sequence = 2".into(),
        "UPDATE entries SET sequence = 2 WHERE sequence = 3".into(),
    ]);
    check(&["UPDATE entries SET environment = 'production' WHERE sequence = 2".into()]);
    check(&["UPDATE entries SET run = 'other' WHERE sequence = 2".into()]);
    check(&["UPDATE entries SET at = 0 WHERE sequence = 2".into()]);
    check(&[format!("UPDATE entries SET event = CAST('{record}' AS BLOB) WHERE sequence = 2")]);
}

#[test]
fn processes_that_seal_it_at_once_agree() {
    for spot in spots() {
        let text = Key::generate();
        thread::scope(|scope| {
            for number in 0..4 {
                let (spot, text) = (&spot, &text);
                scope.spawn(move || append(&spot.open_with(&key(text)), "dev", &[&number.to_string()]));
            }
        });
        assert_eq!(texts(&spot.open_with(&key(&text))).len(), 4);
    }
}

#[test]
fn keys_are_read_from_text() {
    let check = |text: &str, expected: Result<&str, KeyError>| {
        let key = Key::parse(text, "it").map(|key| format!("{key:?}"));
        assert_eq!(key, expected.map(str::to_owned), "{text}");
    };
    let identity = Key::generate();
    check(&identity, Ok("Key(identity)"));
    check(&identity.to_lowercase(), Ok("Key(identity)"));
    check(&format!("# created: today\n# public key: age1…\n{identity}\n"), Ok("Key(identity)"));
    check(&format!("{identity}\n{}\n", Key::generate()), Ok("Key(identity)"));
    check("correct horse", Ok("Key(passphrase)"));
    check("é", Ok("Key(passphrase)"));
    check("", Err(KeyError::Empty("it".into())));
    check("\n# nothing\n", Err(KeyError::Empty("it".into())));
    check("AGE-SECRET-KEY-1NONSENSE", Err(KeyError::NotAnIdentity("it".into())));
    check("AGE-SECRET-KEY-PQ-1ABC", Err(KeyError::NotAnIdentity("it".into())));
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    check(&recipient, Err(KeyError::Recipient("it".into())));
    let missing = Key::read(Path::new("/nowhere/key")).unwrap_err().to_string();
    assert!(missing.starts_with("the key file `/nowhere/key` cannot be read: "), "{missing}");
}

#[test]
fn files_are_sealed_with_the_key_or_with_the_projects_own() {
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join(".andon");
    let secret = "sentinel ".repeat(20_000).into_bytes();
    let clear = |sealed: &[u8]| sealed.windows(8).any(|part| part == b"sentinel");
    let own = seal(None, &records, &secret).unwrap();
    let again = seal(None, &records, &secret).unwrap();
    assert!(!clear(&own) && own != again);
    assert_eq!(open(None, &records, &own).unwrap(), secret);
    assert_eq!(open(None, &records, &again).unwrap(), secret);
    let files: Vec<_> = fs::read_dir(&records).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let given = identity();
    let sealed = seal(Some(&given), &records, &secret).unwrap();
    assert!(!clear(&sealed));
    assert_eq!(open(Some(&given), &records, &sealed).unwrap(), secret);
    let other = |key: Option<&Key>, records: &Path, sealed: &[u8]| {
        let error = open(key, records, sealed).unwrap_err();
        assert!(matches!(error, SealError::OtherKey(_)), "{error:?}");
    };
    other(None, &records, &sealed);
    other(Some(&identity()), &records, &sealed);
    other(Some(&key("a passphrase")), &records, &sealed);
    other(Some(&given), &records, &own);
    other(None, directory.path(), &own);
    for damaged in [&b""[..], b"not sealed", &own[..own.len() - 1], &[&own[..own.len() - 9], b"123456789"].concat()] {
        assert!(open(None, &records, damaged).is_err());
    }
}

#[test]
fn threads_share_the_projects_own_key() {
    let directory = tempfile::tempdir().unwrap();
    let sealed: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| seal(None, directory.path(), b"plan").unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for sealed in sealed {
        assert_eq!(open(None, directory.path(), &sealed).unwrap(), b"plan");
    }
}

/// Prints what sealing costs; run with `--nocapture`.
#[test]
fn what_sealing_costs() {
    let measure = |ledger: Ledger| {
        let words: Vec<String> = (0..20_000).map(|number| format!("{number:0500}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let start = Instant::now();
        append(&ledger, "dev", &words);
        let written = start.elapsed();
        let start = Instant::now();
        assert_eq!(ledger.read_from(1).unwrap().len(), words.len());
        (written / 20_000, start.elapsed() / 20_000)
    };
    let (clear, sealed) = (file(), file());
    println!("clear: {:?} an event; sealed: {:?}", measure(clear.open()), measure(sealed.open_with(&identity())));
}
