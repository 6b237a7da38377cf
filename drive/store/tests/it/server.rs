//! What only a database server can do to a ledger: be lost in the middle, be shared, ask for encryption.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use andon_ledger::Timestamp;
use andon_store::{Database, Holder, Key, Ledger, Place, StoreError};

use crate::postgres_server::start;
use crate::spots::{client, database, server};
use crate::{append, text};

/// When a connection is cut: before the server has a commit, or before its answer comes back; and how many times.
#[derive(Clone, Copy)]
struct Cuts {
    answer: bool,
    times: usize,
}

/// Stands between a ledger and the server, and cuts connections.
fn between(directory: &Path, server: &Path, cuts: Cuts) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).unwrap();
    let server = server.to_owned();
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let Ok(upstream) = UnixStream::connect(&server) else { return };
            let (mut back, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            let muted = Arc::new(AtomicUsize::new(0));
            let silent = Arc::clone(&muted);
            thread::spawn(move || {
                let mut bytes = [0; 65536];
                while let Ok(count @ 1..) = back.read(&mut bytes) {
                    // The server has said something of the commit: it is done.
                    if silent.load(Ordering::SeqCst) == 1 || to_client.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                let _ = to_client.shutdown(Shutdown::Both);
                let _ = back.shutdown(Shutdown::Both);
            });
            let counted = Arc::clone(&counted);
            thread::spawn(move || forward(client, upstream, cuts, &counted, &muted));
        }
    });
    done
}

fn forward(mut client: UnixStream, mut upstream: UnixStream, cuts: Cuts, counted: &AtomicUsize, muted: &AtomicUsize) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let commit = bytes[..count].windows(6).any(|part| part == b"COMMIT");
        if commit
            && counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < cuts.times).then_some(n + 1)).is_ok()
        {
            if cuts.answer {
                muted.store(1, Ordering::SeqCst);
            } else {
                break;
            }
        }
        if upstream.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    if muted.load(Ordering::SeqCst) == 0 {
        let _ = upstream.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_connection_that_is_lost_loses_and_doubles_nothing() {
    let Some(server) = server() else { return };
    for cuts in [Cuts { answer: false, times: 3 }, Cuts { answer: true, times: 3 }] {
        for key in [None, Some(Key::parse("a passphrase", "a key").unwrap())] {
            let directory = tempfile::tempdir().unwrap();
            let direct = database().unwrap();
            let project = direct.text.rsplit('=').next().unwrap();
            drop(Ledger::open_at(&direct.place, key.as_ref()).unwrap());
            let cut = between(directory.path(), &server.directory.join(".s.PGSQL.5432"), cuts);
            let address = format!("postgres:///postgres?user=andon&host={}", directory.path().display());
            let place = Place::Database(Database::new(&address, project, "here", true).unwrap());
            let ledger = Ledger::open_at(&place, key.as_ref()).unwrap();
            for turn in 0..5_u64 {
                let word = turn.to_string();
                assert_eq!(append(&ledger, "dev", &[&word, &word]), [turn * 2 + 1, turn * 2 + 2]);
            }
            assert_eq!(cut.load(Ordering::SeqCst), 3, "the connection was cut");
            let stored = Ledger::open_at(&direct.place, key.as_ref()).unwrap().read_from(1).unwrap();
            let words: Vec<&str> = stored.iter().map(|entry| text(&entry.event)).collect();
            assert_eq!(words, ["0", "0", "1", "1", "2", "2", "3", "3", "4", "4"]);
        }
    }
}

#[test]
fn a_lock_survives_a_lost_answer() {
    let Some(server) = server() else { return };
    let directory = tempfile::tempdir().unwrap();
    let direct = database().unwrap();
    let watching = direct.open();
    let project = direct.text.rsplit('=').next().unwrap();
    let cut = between(directory.path(), &server.directory.join(".s.PGSQL.5432"), Cuts { answer: true, times: 2 });
    let address = format!("postgres:///postgres?user=andon&host={}", directory.path().display());
    let place = Place::Database(Database::new(&address, project, "here", true).unwrap());
    let ledger = Ledger::open_at(&place, None).unwrap();
    let holder = Holder { pid: std::process::id(), who: "ann@desk".into(), command: "up".into(), since: Timestamp(1) };
    let lock = ledger.lock("dev", &holder).unwrap();
    assert_eq!(watching.locks().unwrap()[0].id, lock.id());
    assert_eq!(append(lock.ledger(), "dev", &["a"]), [1]);
    assert_eq!(cut.load(Ordering::SeqCst), 2);
    drop(lock);
    assert!(watching.locks().unwrap().is_empty());
}

#[test]
fn sessions_that_the_server_ends_are_made_again() {
    let Some(spot) = database() else { return };
    let ledger = spot.open();
    assert_eq!(append(&ledger, "dev", &["a"]), [1]);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    let name = format!("{}&application_name=ended", spot.text);
    let named = Ledger::open_at(&crate::spots::read(&name), None).unwrap();
    assert_eq!(append(&named, "dev", &["b"]), [2]);
    client().execute(end, &[&"ended"]).unwrap();
    assert_eq!(append(&named, "dev", &["c"]), [3]);
    client().execute(end, &[&"ended"]).unwrap();
    assert_eq!(named.read_from(1).unwrap().len(), 3);
}

#[test]
fn projects_share_a_database() {
    let (Some(one), Some(other)) = (database(), database()) else { return };
    let (one, other) = (one.open(), other.open());
    assert_eq!(append(&one, "dev", &["a"]), [1]);
    assert_eq!(append(&other, "dev", &["x", "y"]), [1, 2]);
    assert_eq!(append(&one, "dev", &["b"]), [2]);
    let words = |ledger: &Ledger| -> Vec<String> {
        ledger.read_from(1).unwrap().iter().map(|entry| text(&entry.event).to_owned()).collect()
    };
    assert_eq!((words(&one), words(&other)), (vec!["a".into(), "b".into()], vec!["x".into(), "y".into()]));
}

#[test]
fn a_directorys_name_is_not_taken_for_anothers() {
    let Some(server) = server() else { return };
    let name = format!("infra-{}", std::process::id());
    let open = |origin: &str, declared: bool, make: bool| {
        let place = Place::Database(Database::new(&server.address(), &name, origin, declared).unwrap());
        if make { Ledger::open_at(&place, None).map(Some) } else { Ledger::find(&place, None) }
    };
    assert!(open("desk:/home/ann/infra", false, false).unwrap().is_none());
    append(&open("desk:/home/ann/infra", false, true).unwrap().unwrap(), "dev", &["a"]);
    assert_eq!(open("desk:/home/ann/infra", false, false).unwrap().unwrap().last_sequence(), Ok(1));
    for make in [true, false] {
        let error = open("desk:/home/bob/infra", false, make).err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, StoreError::OtherProject { .. }) && text.contains("/home/ann/infra"), "{text}");
    }
    assert_eq!(open("desk:/home/bob/infra", true, true).unwrap().unwrap().last_sequence(), Ok(1));
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let check = |address: &str, expected: &str| {
        let place = Place::Database(Database::new(address, "shop", "here", true).unwrap());
        let text = Ledger::open_at(&place, None).err().unwrap().to_string();
        assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
    };
    check(
        "postgres://ann:s3cret@127.0.0.1:1/l",
        "the ledger `postgres://ann@127.0.0.1:1/l of project shop` cannot be reached",
    );
    check("postgres:///l?host=/nowhere&user=ann", "cannot be reached");
    let Some(server) = server() else { return };
    check(
        &format!("postgres:///nothing?user=andon&host={}", server.directory.display()),
        "database \"nothing\" does not exist",
    );
}

#[test]
fn connections_are_encrypted_as_asked() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl to make certificates with");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    for authority in ["ca", "other"] {
        let names = [format!("{authority}.key"), format!("{authority}.crt")];
        openssl(&[&["req", "-x509", "-subj", "/CN=test", "-keyout", &names[0], "-out", &names[1]], &key[..]].concat());
    }
    openssl(&[&["req", "-subj", "/CN=db", "-keyout", "db.key", "-out", "db.csr"], &key[..5]].concat());
    std::fs::write(path("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "db.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "db.crt",
    ]);
    // The server reads them as another user, and wants its key for itself.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(path("db.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    if nix::unistd::geteuid().is_root() {
        let user = ["postgres", "nobody"].iter().find_map(|name| nix::unistd::User::from_name(name).ok().flatten());
        std::os::unix::fs::chown(path("db.key"), user.map(|user| user.uid.as_raw()), None).unwrap();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = [
        "listen_addresses=127.0.0.1".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", path("db.crt")),
        format!("ssl_key_file={}", path("db.key")),
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["-c", option]).collect();
    let _server = match start(port, &options) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let open = |host: &str, options: &str| {
        let address = format!("postgres://andon@{host}:{port}/postgres?application_name=tls&{options}");
        let place = Place::Database(Database::new(&address, "tls", "here", true).unwrap());
        let ledger = Ledger::open_at(&place, None).map_err(|error| error.to_string())?;
        let plain = format!("host={host} port={port} user=andon dbname=postgres sslmode=disable");
        let mut client = postgres::Client::connect(&plain, postgres::NoTls).unwrap();
        let ask =
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'tls'";
        let encrypted: bool = client.query_one(ask, &[]).unwrap().get(0);
        drop(ledger);
        Ok::<bool, String>(encrypted)
    };
    let check = |host: &str, options: &str, expected: Result<bool, &str>| match (open(host, options), expected) {
        (Err(error), Err(expected)) => assert!(error.contains(expected), "{options}: {error}"),
        (result, expected) => assert_eq!(result, expected.map_err(str::to_owned), "{host} {options}"),
    };
    let (ca, other) = (path("ca.crt"), path("other.crt"));
    check("localhost", "sslmode=disable", Ok(false));
    check("localhost", "", Ok(true));
    check("localhost", "sslmode=require", Ok(true));
    check("localhost", &format!("sslmode=verify-full&sslrootcert={ca}"), Ok(true));
    check("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={ca}"), Err("cannot be reached"));
    check("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={ca}"), Ok(true));
    check("localhost", &format!("sslmode=verify-ca&sslrootcert={other}"), Err("cannot be reached"));
    check("localhost", &format!("sslmode=verify-full&sslrootcert={other}"), Err("cannot be reached"));
    check("localhost", &format!("sslmode=require&sslrootcert={other}"), Err("cannot be reached"));
}
