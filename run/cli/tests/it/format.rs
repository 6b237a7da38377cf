//! `andon fmt` beside `terraform fmt`: the same files, the same words, the same exit codes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Project;

fn tree(directory: &Path) {
    for (path, text) in [
        ("a.tf", "a=1\n"),
        ("ok.tf", "a = 1\n"),
        ("e.tfvars", "a=1"),
        ("empty.tf", ""),
        ("f.tf.json", "{\"a\":1}"),
        ("h.tftest.hcl", "run x{}\n"),
        ("crlf.tf", "a=1\r\nbcd=2\r\n"),
        (".hidden.tf", "a=1\n"),
        ("notes.txt", "a=1\n"),
        ("A.TF", "a=1\n"),
        ("sub/b.tf", "a=1\n\nb = [\n1]\n"),
        ("sub/deep/c.tf", "a=1\n"),
        (".terraform/d.tf", "a=1\n"),
    ] {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    symlink("ok.tf", directory.join("link.tf")).unwrap();
    symlink("sub", directory.join("linked")).unwrap();
}

/// Every file with its content, below a directory.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else if entry.path().is_file() {
                found.push((
                    entry.path().strip_prefix(directory).unwrap().display().to_string(),
                    fs::read(entry.path()).unwrap(),
                ));
            }
        }
    }
    found.sort();
    found
}

/// An exit code, standard output, and the files by path.
type After = (Option<i32>, String, Vec<(String, Vec<u8>)>);

/// Runs a program in a fresh tree: what it leaves.
fn run(program: &str, words: &[&str], input: &str) -> Option<After> {
    let directory = tempfile::tempdir().unwrap();
    tree(directory.path());
    let config = directory.path().join(".rc");
    fs::write(&config, "").unwrap();
    let mut command = Command::new(program);
    command.arg("fmt").args(words).current_dir(&directory).env("TF_CLI_CONFIG_FILE", config).env_remove("TF_CLI_ARGS");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.ok()?;
    // One that refuses its arguments has gone before it reads.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Some((output.status.code(), String::from_utf8(output.stdout).unwrap(), contents(directory.path())))
}

#[test]
fn flags_names_and_exit_codes_are_those_of_terraform() {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    for words in [
        &[][..],
        &["-check"],
        &["-check", "-diff"],
        &["-recursive"],
        &["-recursive", "-check"],
        &["-check=true", "-list=false"],
        &["-list=false"],
        &["-write=false"],
        &["-write=false", "-diff", "-list=false", "-recursive"],
        &["-diff=false", "-recursive=false"],
        &["sub"],
        &["-recursive", "sub", "a.tf"],
        &["-no-color", "a.tf", "ok.tf"],
        &["empty.tf"],
        &["f.tf.json"],
        &["notes.txt"],
        &["missing.tf"],
        &["-"],
        &["-check", "-"],
        &["-diff", "-"],
        // Of `-check -diff -` terraform shows no difference; here it is shown.
    ] {
        let input = "a=1\nx {\ny=2\n}\n";
        let ours = run(env!("CARGO_BIN_EXE_andon"), words, input).unwrap();
        let Some(theirs) = run(&terraform, words, input) else {
            println!("skipped: no terraform to compare with; set ANDON_TERRAFORM");
            return;
        };
        assert_eq!(ours, theirs, "{words:?}");
    }
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let project = Project::empty("format");
    let at = |name: &str| project.directory.join(name);
    project.write("broken.tf", "a  = [\nb = 1\n");
    project.write("kept.tf", "a=1\n");
    project.write("real.tf", "b=1\n");
    fs::write(at("latin.tf"), b"a = \"\xe9\"\n").unwrap();
    fs::set_permissions(at("kept.tf"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(at("inner")).unwrap();
    symlink("../real.tf", at("inner/link.tf")).unwrap();
    symlink("gone", at("dangling.tf")).unwrap();
    let ran = project.andon(&[
        "fmt",
        "inner/link.tf",
        "kept.tf",
        "kept.tf",
        "./kept.tf",
        "broken.tf",
        "latin.tf",
        "dangling.tf",
    ]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(ran.out, "inner/link.tf\nkept.tf\n");
    for words in [
        "broken.tf:1:6: `[` is not closed",
        "latin.tf:1:6: `latin.tf` is not UTF-8 text",
        "there is no file or directory `dangling.tf`",
    ] {
        let (place, summary) =
            words.split_once(": `").map_or(("", words), |(place, _)| (place, &words[place.len() + 2..]));
        assert!(ran.err.contains(summary) && ran.err.contains(place), "{words}\n{ran}");
    }
    let read = |name: &str| fs::read(at(name)).unwrap();
    assert_eq!(read("broken.tf"), b"a  = [\nb = 1\n");
    assert_eq!(read("latin.tf"), b"a = \"\xe9\"\n");
    assert_eq!(read("kept.tf"), b"a = 1\n");
    assert_eq!(read("real.tf"), b"b = 1\n");
    assert!(fs::symlink_metadata(at("inner/link.tf")).unwrap().is_symlink());
    assert_eq!(fs::metadata(at("kept.tf")).unwrap().permissions().mode() & 0o777, 0o640);
    let left: Vec<_> = fs::read_dir(&project.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".andon-")), "{left:?}");
}

#[test]
fn a_project_is_formatted_whole() {
    let project = Project::empty("whole");
    for path in [
        "andon.hcl",
        "roles/a.role.hcl",
        "images/a.image.hcl",
        "tests/a.test.hcl",
        "tests/b.tftest.hcl",
        "stacks/web/main.tf",
        "stacks/web/x.auto.tfvars",
    ] {
        project.write(path, "a   = 1\n");
    }
    let ran = project.andon(&["fmt"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 7), "{ran}");
    let again = project.andon(&["fmt", "-check", "--json"]);
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(again.out.replace(char::is_whitespace, ""), "{\"diagnostics\":[],\"differing\":[]}");
}
