use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::thread;

use andon_ledger::Timestamp;
use andon_ledger::codec::CodecError;
use andon_store::{Ledger, Place, StoreError};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use rusqlite::Connection;

use crate::{append, event, ledger, run, text};

fn refusal(path: &Path) -> StoreError {
    match Ledger::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[test]
fn a_ledger_is_for_its_owner_only() {
    let (_directory, path, ledger) = ledger();
    append(&ledger, "dev", &["secret"]);
    for suffix in ["", "-wal", "-shm"] {
        let file = path.with_file_name(format!("ledger{suffix}"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn what_a_file_has_lost_is_not_begun_anew() {
    let (_directory, path, ledger) = ledger();
    append(&ledger, "dev", &["a"]);
    let lost = StoreError::Lost { path: path.clone() };
    // As after a crash: what was recorded last is beside the file.
    let wal = path.with_file_name("ledger-wal");
    let beside = fs::read(&wal).unwrap();
    drop(ledger);
    let sound = fs::read(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(refusal(&path), lost);
    assert_eq!(Ledger::find(&Place::File(path.clone()), None).err(), Some(lost.clone()));
    // A database without any table is not one that is being made, either.
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
    assert_eq!(refusal(&path), lost);
    fs::remove_file(&path).unwrap();
    fs::write(&wal, beside).unwrap();
    assert_eq!(refusal(&path), lost);
    assert!(!path.exists());
    fs::remove_file(&wal).unwrap();
    fs::write(&path, sound).unwrap();
    assert_eq!(append(&Ledger::open(&path).unwrap(), "dev", &["b"]), [2]);
}

#[test]
fn other_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes");
    let text = "not a database, and long enough to have a header of a hundred bytes if it were one. ".repeat(9);
    fs::write(&path, &text).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, StoreError::NotALedger { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("`{}` is not a ledger: ", path.display())), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let path = directory.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
    assert!(matches!(refusal(&path), StoreError::NotALedger { .. }));
    other.pragma_update(None, "user_version", 1).unwrap();
    assert!(matches!(refusal(&path), StoreError::NotALedger { .. }));

    let error = refusal(directory.path());
    assert!(matches!(error, StoreError::Io { .. } | StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_later_ledger_is_refused() {
    let (_directory, path, ledger) = ledger();
    drop(ledger);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    assert_eq!(
        refusal(&path).to_string(),
        format!(
            "the ledger `{}` has format 3, and this version of Andon knows formats up to 2: use the version of Andon \
             that wrote it, or a later one",
            path.display()
        )
    );
}

#[test]
fn a_later_or_damaged_record_is_named() {
    let (_directory, path, ledger) = ledger();
    append(&ledger, "dev", &["a", "b"]);
    let put = |record: &str| {
        let change = "UPDATE entries SET event = ?1 WHERE sequence = 2";
        assert_eq!(Connection::open(&path).unwrap().execute(change, [record]), Ok(1));
        ledger.read_from(1).unwrap_err()
    };
    let newer = StoreError::Record { sequence: 2, source: CodecError::Newer { found: 9 } };
    assert_eq!(put(r#"{"event":"teleported","v":9}"#), newer);
    assert!(matches!(put(r#"{"event":"withdr"#), StoreError::Record { sequence: 2, source: CodecError::Syntax(_) }));
}

#[test]
fn a_damaged_file_is_told_from_a_sound_one() {
    let (_directory, path, ledger) = ledger();
    append(&ledger, "dev", &["word"; 2000]);
    drop(ledger);
    let sound = fs::read(&path).unwrap();
    let check = |name: &str, damage: &dyn Fn(&fs::File)| {
        fs::write(&path, &sound).unwrap();
        damage(&fs::OpenOptions::new().write(true).open(&path).unwrap());
        let error = Ledger::open(&path).and_then(|ledger| ledger.read_from(1)).expect_err(name);
        assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Record { .. }), "{name}: {error:?}");
    };
    check("truncated", &|file| file.set_len(20_000).unwrap());
    check("a page of zeroes", &|file| file.write_all_at(&[0; 4096], 4096).unwrap());
    check("noise all over", &|file| file.write_all_at(&vec![0xa5; sound.len() - 4096], 4096).unwrap());
}

/// Calls with a directory on a small file system of its own, which nothing but the calling thread and its children
/// sees. Needs root.
fn on_small_disk(test: impl FnOnce(&Path) + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
                println!("skipped: this machine gives no mount namespace ({error})");
                return;
            }
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            let directory = tempfile::tempdir().unwrap();
            mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some("size=512k")).unwrap();
            test(directory.path());
            umount(directory.path()).unwrap();
        });
    });
}

#[test]
fn a_full_disk_loses_nothing() {
    on_small_disk(|directory| {
        let path = directory.join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        let large = "x".repeat(10_000);
        let mut stored = 0;
        let error = loop {
            match ledger.append(Timestamp(0), &run(), "dev", vec![event(&large)]) {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error, StoreError::Full { path: path.clone() });
        assert!(stored > 5, "{stored}");
        assert_eq!(ledger.read_from(1).unwrap().len(), stored);
        drop(ledger);

        // A reopened ledger has all that was stored. Whether there is room to open it depends on what else is there.
        fs::write(directory.join("filler"), "").unwrap();
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.read_from(1).unwrap().len(), stored);
        drop(ledger);
    });
}

#[test]
fn a_disk_with_room_again_goes_on() {
    on_small_disk(|directory| {
        let path = directory.join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        append(&ledger, "dev", &["a"]);
        let filler = directory.join("filler");
        fs::write(&filler, vec![0; 400_000]).unwrap();
        let large = "x".repeat(20_000);
        let full = (0..20).find_map(|_| ledger.append(Timestamp(0), &run(), "dev", vec![event(&large)]).err());
        assert_eq!(full, Some(StoreError::Full { path: path.clone() }));
        let before = ledger.last_sequence().unwrap();
        fs::remove_file(&filler).unwrap();
        assert_eq!(append(&ledger, "dev", &["b"]), [before + 1]);
        drop(ledger);

        let path = directory.join("another");
        fs::write(&filler, "").unwrap();
        let mut room = 1 << 20;
        let mut bytes = 0;
        // Fills the disk to the last byte.
        while room > 0 {
            let file = fs::OpenOptions::new().append(true).open(&filler).unwrap();
            match file.write_at(&vec![0; room], bytes) {
                Ok(written) => bytes += written as u64,
                Err(_) => room /= 2,
            }
        }
        assert_eq!(refusal(&path), StoreError::Full { path: path.clone() });
    });
}

#[test]
fn a_read_only_disk_is_named() {
    on_small_disk(|directory| {
        let path = directory.join("ledger");
        append(&Ledger::open(&path).unwrap(), "dev", &["a"]);
        let none = None::<&str>;
        mount(none, directory, none, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        for path in [&path, &directory.join("another"), &directory.join("deep/er")] {
            let error = refusal(path);
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        }
        // Whoever looks can do so, and no more.
        let ledger = Ledger::find(&Place::File(path.clone()), None).unwrap().unwrap();
        assert_eq!(ledger.read_from(1).unwrap().len(), 1);
        assert!(ledger.locks().unwrap().is_empty());
        let error = ledger.append(Timestamp(0), &run(), "dev", vec![event("b")]).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    });
}

#[test]
fn a_ledger_that_may_not_be_read_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    append(&Ledger::open(&path).unwrap(), "dev", &["a"]);
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read whatever there is; to files, this thread alone is somebody else.
    let found = thread::spawn(move || {
        if nix::unistd::geteuid().is_root() {
            fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
        }
        Ledger::find(&Place::File(path), None).map(|_| ()).unwrap_err()
    });
    let error = found.join().unwrap();
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error:?}");
    assert!(!error.to_string().contains("immutable"), "{error}");
}

#[test]
fn a_ledger_of_the_first_format_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE entries (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, run TEXT NOT NULL,
            environment TEXT NOT NULL, event TEXT NOT NULL) STRICT;
        CREATE INDEX entries_by_run ON entries (run);
        CREATE INDEX entries_by_environment ON entries (environment);
        CREATE TABLE snapshot (only INTEGER PRIMARY KEY CHECK (only = 1), sequence INTEGER NOT NULL,
            checksum BLOB NOT NULL, state TEXT NOT NULL) STRICT;
        PRAGMA application_id = 1634624622;
        PRAGMA user_version = 1;",
    )
    .unwrap();
    let record = andon_ledger::codec::encode_event(&event("old")).unwrap();
    old.execute("INSERT INTO entries VALUES (1, 5, '0000000000aa', 'dev', ?1)", [record]).unwrap();
    drop(old);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(append(&ledger, "dev", &["new"]), [2]);
    let entries = ledger.read_from(1).unwrap();
    assert_eq!(entries.iter().map(|entry| text(&entry.event)).collect::<Vec<_>>(), ["old", "new"]);
    drop(ledger);
    assert_eq!(Ledger::open(&path).unwrap().last_sequence(), Ok(2));
}
