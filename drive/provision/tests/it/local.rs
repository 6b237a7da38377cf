use std::path::Path;
use std::time::{Duration, Instant};

use andon_schema::ProvisionerRun;
use andon_value::{Marks, Value};

use crate::{provisioner, run, texts};

fn local(arguments: impl IntoIterator<Item = (&'static str, Value)>) -> ProvisionerRun {
    provisioner("local-exec", Value::object(arguments), Value::NULL)
}

fn command(command: &str) -> ProvisionerRun {
    local([("command", command.into())])
}

#[test]
fn output_is_told_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (given, lines) in [
        (command("echo one; echo two >&2; printf 'no end'"), vec!["one", "two", "no end"]),
        (command("echo; printf 'a\\r\\nb\\n\\377'"), vec!["", "a", "b", "\u{fffd}"]),
        (command("true"), vec![]),
        (
            local([("command", "echo $0 $A".into()), ("environment", Value::object([("A", Value::from("x y"))]))]),
            vec!["/bin/sh x y"],
        ),
        (local([("command", "print('π', 1 + 1)".into()), ("interpreter", texts(&["python3", "-c"]))]), vec!["π 2"]),
        (local([("command", "pwd".into()), ("working_dir", "/".into())]), vec!["/"]),
        (local([("command", "basename $PWD".into())]), vec![path.file_name().unwrap().to_str().unwrap()]),
        (local([("command", "cat".into()), ("quiet", true.into())]), vec![]),
    ] {
        let (result, said) = run(path, std::slice::from_ref(&given));
        let written: Vec<String> = lines.iter().map(|line| format!("local-exec: {line}")).collect();
        let skip = usize::from(given.config.get("quiet").is_none());
        assert_eq!(said[skip..], written, "{given:?}");
        assert_eq!(result, Ok(()), "{given:?}");
    }
}

#[test]
fn what_fails_says_how() {
    let directory = Path::new("/");
    for (given, how) in [
        (command("exit 3"), "exit status 3"),
        (command("kill -9 $$"), "killed by signal 9"),
        (command(""), "its command is empty"),
        (command("no-such-command-at-all"), "exit status 127"),
        (local([("command", "x".into()), ("interpreter", texts(&["/no/such"]))]), "it could not be started"),
        (local([("command", "x".into()), ("working_dir", "no such".into())]), "its working directory is not there"),
    ] {
        let (result, _) = run(directory, std::slice::from_ref(&given));
        assert_eq!(result.unwrap_err().summary, format!("local-exec failed: {how}"));
    }
    let (result, _) = run(directory, &[command("echo why; exit 1")]);
    assert_eq!(result.unwrap_err().detail, "The command was: echo why; exit 1\nIt wrote:\nwhy");
}

#[test]
fn one_after_the_other_until_one_fails() {
    let directory = tempfile::tempdir().unwrap();
    let going_on = ProvisionerRun { continues: true, ..command("exit 4") };
    let runs = [command("echo 1 >> f"), going_on, command("echo 2 >> f"), command("exit 5"), command("echo 3 >> f")];
    let (result, said) = run(directory.path(), &runs);
    assert_eq!(result.unwrap_err().summary, "local-exec failed: exit status 5");
    assert_eq!(std::fs::read_to_string(directory.path().join("f")).unwrap(), "1\n2\n");
    let going_on = "local-exec: local-exec failed: exit status 4; going on, as on_failure says";
    assert!(said.iter().any(|line| line == going_on), "{said:#?}");
}

#[test]
fn secrets_are_not_shown() {
    let secret = Value::from("echo hunter2; exit 1").mark(Marks::SENSITIVE);
    let (result, said) = run(Path::new("/"), &[local([("command", secret)])]);
    let failure = result.unwrap_err();
    assert!(!format!("{said:?} {failure:?}").contains("hunter2"), "{said:?} {failure:?}");
    assert_eq!(said.len(), 1);
}

#[test]
fn what_is_left_in_the_background_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let (result, _) = run(directory.path(), &[command("sleep 300 & echo $! > pid")]);
    assert_eq!(result, Ok(()));
    assert!(began.elapsed() < Duration::from_secs(100));
    let pid: i32 = std::fs::read_to_string(directory.path().join("pid")).unwrap().trim().parse().unwrap();
    // It is there still, as it would be with a shell.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn much_output_is_taken() {
    let (result, said) = run(Path::new("/"), &[command("seq 1 50000; head -c 300000 /dev/zero | tr '\\0' x")]);
    assert_eq!(result, Ok(()));
    assert_eq!(said[50_000], "local-exec: 50000");
    let long: usize = said[50_001..].iter().map(|line| line.len() - "local-exec: ".len()).sum();
    assert_eq!(long, 300_000);
}
