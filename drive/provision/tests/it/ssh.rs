use std::fs;

use andon_schema::ProvisionerRun;
use andon_value::{Marks, Value};

use crate::server::{PASSWORD, Server, is_root};
use crate::{provisioner, run, texts};

fn inline(connection: Value, lines: &[&str]) -> ProvisionerRun {
    provisioner("remote-exec", Value::object([("inline", texts(lines))]), connection)
}

fn file(connection: Value, source: &str, destination: &str) -> ProvisionerRun {
    provisioner("file", Value::object([("source", source), ("destination", destination)].map(of_text)), connection)
}

fn of_text((name, text): (&'static str, &str)) -> (&'static str, Value) {
    (name, Value::from(text))
}

#[test]
fn ways_in() {
    let Some(server) = Server::start() else { return };
    let without_key = ("private_key", Value::NULL);
    let wrong_key = ("host_key", Value::from(server.text("stranger.pub")));
    let short = ("timeout", Value::from("1s"));
    let stranger = ("private_key", Value::from(server.text("stranger")));
    let bastion = [
        ("bastion_host", Value::from("127.0.0.1")),
        ("bastion_port", Value::from(i64::from(server.port))),
        ("bastion_host_key", Value::from(server.text("host.pub"))),
    ];
    let mut cases = vec![
        (vec![], None),
        (vec![("host_key", Value::NULL)], None),
        (vec![("private_key", Value::from(server.text("key").trim_end()))], None),
        (bastion.to_vec(), None),
        (vec![wrong_key], Some("is not who it should be")),
        (vec![stranger, short.clone()], Some("cannot be reached")),
        (vec![without_key.clone(), short.clone()], Some("cannot be reached")),
        (vec![("port", Value::from(1)), short.clone()], Some("cannot be reached")),
        (vec![("type", Value::from("winrm"))], Some("winrm cannot be used")),
    ];
    if is_root() {
        let password = ("password", Value::from(PASSWORD));
        cases.push((vec![without_key.clone(), password.clone()], None));
        cases.push((bastion.iter().cloned().chain([without_key.clone(), password]).collect(), None));
        let other = [without_key, ("password", Value::from("no")), short];
        cases.push((other.to_vec(), Some("cannot be reached")));
    } else {
        println!("skipped: only root can give a user a password");
    }
    for (more, problem) in cases {
        let (result, said) = run(server.directory.path(), &[inline(server.connection(&more), &["echo hello"])]);
        let names: Vec<&str> = more.iter().map(|(name, _)| *name).collect();
        match problem {
            None => {
                assert_eq!(result, Ok(()), "{names:?}: {said:#?} {}", server.text("log"));
                assert_eq!(said.last().unwrap(), "remote-exec: hello", "{names:?}");
            }
            Some(words) => {
                let failure = result.unwrap_err();
                assert!(failure.summary.contains(words), "{names:?}: {failure:?}");
                assert!(!said.iter().any(|line| line.contains("hello")));
            }
        }
    }
}

#[test]
fn scripts_run_and_leave_nothing() {
    let Some(server) = Server::start() else { return };
    let here = server.directory.path();
    let script_path = here.join("put it's %RAND%.sh");
    let connection = server.connection(&[("script_path", Value::from(script_path.to_str().unwrap()))]);
    let (result, said) =
        run(here, &[inline(connection.clone(), &["A=1", "echo $A; echo two >&2", "false", "echo three"])]);
    assert_eq!(result, Ok(()), "{said:?}");
    assert_eq!(said[1..], ["remote-exec: 1", "remote-exec: two", "remote-exec: three"]);
    let (result, said) = run(here, &[inline(connection.clone(), &["set -e", "echo before", "exit 7", "echo after"])]);
    let failure = result.unwrap_err();
    assert_eq!(failure.summary, "remote-exec failed: exit status 7");
    assert_eq!(failure.detail, "It was the inline script.\nIt wrote:\nbefore");
    assert_eq!(said.last().unwrap(), "remote-exec: before");
    // Scripts keep their interpreter; the first that fails ends it.
    fs::write(here.join("one.sh"), "echo one ${0##*/}\n").unwrap();
    fs::write(here.join("two"), "#!/usr/bin/env python3\nprint('two'); import sys; sys.exit(9)\n").unwrap();
    let scripts = Value::object([("scripts", texts(&["one.sh", "two", "one.sh"]))]);
    let (result, said) = run(here, &[provisioner("remote-exec", scripts, connection.clone())]);
    assert_eq!(result.unwrap_err().summary, "remote-exec failed: exit status 9");
    assert!(said[1].starts_with("remote-exec: one put it's "), "{said:?}");
    assert_eq!(said[2], "remote-exec: two");
    let missing = Value::object([("script", Value::from("nowhere.sh"))]);
    let (result, _) = run(here, &[provisioner("remote-exec", missing, connection.clone())]);
    assert_eq!(result.unwrap_err().summary, "remote-exec failed: a script cannot be read");
    // A secret in the script is not shown, and nothing is left of it.
    let secret =
        Value::object([("inline", Value::tuple([Value::from("echo hunter2; exit 1").mark(Marks::SENSITIVE)]))]);
    let (result, said) = run(here, &[provisioner("remote-exec", secret, connection)]);
    let failure = result.unwrap_err();
    assert!(!format!("{said:?} {failure:?}").contains("hunter2"));
    let left: Vec<_> = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with("put it's")), "{left:?}");
}

#[test]
fn files_and_directories() {
    let Some(server) = Server::start() else { return };
    let here = server.directory.path();
    let at = |name: &str| here.join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(here.join("tree/deep/empty")).unwrap();
    fs::write(here.join("tree/a"), "A").unwrap();
    fs::write(here.join("tree/deep/ü b"), [0, 255, 10]).unwrap();
    std::os::unix::fs::symlink("a", here.join("tree/link")).unwrap();
    fs::create_dir(here.join("into")).unwrap();
    for (source, destination, found) in [
        ("tree/a", at("copy of a"), vec![("copy of a", &b"A"[..])]),
        (
            "tree",
            at("into"),
            vec![("into/tree/a", b"A"), ("into/tree/deep/ü b", &[0, 255, 10]), ("into/tree/link", b"A")],
        ),
        ("tree/", at("into"), vec![("into/a", b"A"), ("into/deep/ü b", &[0, 255, 10])]),
        ("tree", at("new"), vec![("new/a", b"A")]),
    ] {
        let (result, said) = run(here, &[file(server.connection(&[]), source, &destination)]);
        assert_eq!(result, Ok(()), "{source} {said:?}");
        for (path, bytes) in found {
            assert_eq!(fs::read(here.join(path)).unwrap(), bytes, "{source}: {path}");
        }
    }
    assert!(here.join("new/deep/empty").is_dir());
    assert!(!fs::symlink_metadata(here.join("into/link")).unwrap().is_symlink());
    let big = "0123456789abcdef".repeat(1 << 16);
    let content = Value::object([("content", Value::from(&*big)), ("destination", Value::from(at("big")))]);
    assert_eq!(run(here, &[provisioner("file", content, server.connection(&[]))]).0, Ok(()));
    assert_eq!(server.text("big"), big);
    let empty = Value::object([("content", ""), ("destination", &*at("empty"))].map(of_text));
    assert_eq!(run(here, &[provisioner("file", empty, server.connection(&[]))]).0, Ok(()));
    assert_eq!(server.text("empty"), "");
    for (source, destination, how) in [
        ("nowhere", at("x"), "its source cannot be read"),
        ("tree/a", at("no/such/directory"), "could not be written"),
        ("tree/a", at("into"), "could not be written"),
    ] {
        let failure = run(here, &[file(server.connection(&[]), source, &destination)]).0.unwrap_err();
        assert!(failure.summary.contains(how), "{failure:?}");
    }
}

#[test]
fn without_a_connection_nothing_is_reached() {
    let (result, _) = run(std::path::Path::new("/"), &[inline(Value::NULL, &["true"])]);
    assert_eq!(result.unwrap_err().summary, "there is no connection");
}
