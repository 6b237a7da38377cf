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
        ("bom.tf", "\u{feff}a=1\n"),
        (".hidden/d.tf", "a=1\n"),
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
        // After one that is missing terraform does not go on; here the others are formatted.
        &["a.tf", "e.tfvars", "missing.tf"],
        &["a.tf", "sub/b.tf"],
        &["-write=false", "-diff", "crlf.tf", "bom.tf"],
        &[".terraform"],
        &[".hidden", "link.tf"],
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

/// Runs `fmt` of either program on files.
fn left(program: &str, files: &[(&str, &[u8])], words: &[&str]) -> Option<After> {
    let directory = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(directory.path().join(name), text).unwrap());
    let mut command = Command::new(program);
    command.arg("fmt").args(words).current_dir(&directory).stdin(Stdio::null()).env_remove("TF_CLI_ARGS");
    let output = command.env("TF_CLI_CONFIG_FILE", "/dev/null").output().ok()?;
    Some((output.status.code(), String::new(), contents(directory.path())))
}

#[test]
fn what_terraform_refuses_to_format_is_refused() {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    for text in [
        &b"a=\"\xe9\"\n"[..],
        b"\xff\xfea=1\n",
        b"a=[\n",
        b"x \"${1}\" {\na=1\n}\n",
        b"x \"a${b}\" \"c\" {}\n",
        b"x { y { a=1 } }\n",
        b"a=1 b=2\n",
        b"x {\n",
        b"<<<<<<< a\na=1\n",
    ] {
        for words in [&[][..], &["-check"], &["x.tf"]] {
            let files = [("x.tf", text), ("y.tf", b"a=1\n")];
            let (code, _, ours) = left(env!("CARGO_BIN_EXE_andon"), &files, words).unwrap();
            assert_eq!(code, Some(2), "{text:?} {words:?}");
            assert!(ours.iter().any(|(name, after)| name == "x.tf" && after == text), "{text:?} {words:?}");
            let Some((theirs, ..)) = left(&terraform, &files, words) else {
                println!("skipped: no terraform to compare with; set ANDON_TERRAFORM");
                continue;
            };
            assert_eq!(code, theirs, "{text:?} {words:?}");
        }
    }
}

#[test]
fn values_of_variables_are_not_shown_beside_errors() {
    let project = Project::empty("format-secrets");
    project.write("a.tfvars", "token = \"hunter2\nb = [1\npass = hunter3 hunter4\n\"hunter5\"\n");
    fs::write(project.directory.join("b.auto.tfvars"), b"token=\"hunter6\"\nname = \"\xe9\"\n").unwrap();
    for words in [&["fmt"][..], &["fmt", "-diff"], &["fmt", "--json"]] {
        let ran = project.exits(2, words);
        assert!(!ran.all().contains("hunter"), "{ran}");
        assert!(ran.all().contains("string is not closed"), "{ran}");
        assert!(ran.all().contains("`b.auto.tfvars` is not UTF-8 text") && ran.all().contains("in line 2"), "{ran}");
    }
}

#[test]
fn a_file_that_may_not_be_written_stays_and_the_others_are_formatted() {
    let project = Project::empty("format-read-only");
    project.write("a.tf", "a=1\n");
    project.write("b.tf", "a=1\n");
    fs::set_permissions(project.directory.join("a.tf"), fs::Permissions::from_mode(0o444)).unwrap();
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        println!("skipped: root may write any file");
        return;
    }
    let ran = project.exits(2, &["fmt"]);
    assert!(ran.err.contains("`a.tf` cannot be written"), "{ran}");
    assert_eq!(fs::read_to_string(project.directory.join("a.tf")).unwrap(), "a=1\n");
    assert_eq!(fs::read_to_string(project.directory.join("b.tf")).unwrap(), "a = 1\n");
}

#[test]
fn three_thousand_files_and_each_once() {
    let project = Project::empty("format-many");
    for at in 0..3000 {
        project.write(&format!("d{}/f{at:04}.tf", at % 10), "a=1\n");
    }
    symlink("d0", project.directory.join("again")).unwrap();
    symlink("f0000.tf", project.directory.join("d0/zlink.tf")).unwrap();
    let ran = project.ok(&["fmt", "-recursive", ".", "d0", "again", "d1/f0001.tf"]);
    assert_eq!(ran.out.lines().count(), 3000, "{}", ran.out.lines().count());
    let again = project.ok(&["fmt", "-recursive", "-check"]);
    assert_eq!(again.out, "");
}
