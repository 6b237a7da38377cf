//! Repositories, by `file://`.

use std::path::{Path, PathBuf};
use std::process::Command;

use andon_schema::source::Package;
use andon_source::{Fetched, Taken};

use crate::web::web;

fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"])
        .args(words)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a commit for each text of `x.txt`, and the commits.
fn repository(directory: &Path, texts: &[&str]) -> (PathBuf, Vec<String>) {
    let place = directory.join("repository");
    std::fs::create_dir_all(&place).unwrap();
    git(&place, &["init", "--quiet"]);
    let commit = |text: &&str| {
        std::fs::write(place.join("x.txt"), text).unwrap();
        git(&place, &["add", "-A"]);
        git(&place, &["commit", "--quiet", "--allow-empty", "-m", text]);
        git(&place, &["rev-parse", "HEAD"])
    };
    let commits = texts.iter().map(commit).collect();
    (place, commits)
}

fn package(place: &Path, reference: Option<&str>, depth: Option<u32>) -> Package {
    let url = format!("file://{}", place.display()).into();
    Package::Git { url, reference: reference.map(Into::into), depth, key: None }
}

#[test]
fn references_are_branches_tags_and_commits() {
    let directory = tempfile::tempdir().unwrap();
    let (place, commits) = repository(directory.path(), &["one", "two", "three"]);
    git(&place, &["tag", "light", &commits[0]]);
    git(&place, &["tag", "-a", "-m", "x", "noted", &commits[1]]);
    git(&place, &["branch", "feature/x", &commits[1]]);
    git(&place, &["branch", "both", &commits[0]]);
    git(&place, &["tag", "both", &commits[1]]);
    let short = &commits[1][..9];
    for (number, (reference, depth, expected)) in [
        (None, None, 2),
        (None, Some(1), 2),
        (Some("main"), None, 2),
        (Some("light"), None, 0),
        (Some("light"), Some(1), 0),
        (Some("noted"), None, 1),
        (Some("refs/tags/noted"), None, 1),
        (Some("feature/x"), Some(2), 1),
        (Some("both"), None, 0),
        (Some(short), None, 1),
        (Some(commits[0].as_str()), None, 0),
        (Some(commits[1].as_str()), Some(1), 1),
    ]
    .into_iter()
    .enumerate()
    {
        let to = directory.path().join(format!("to-{number}"));
        let got = web().fetch(&package(&place, reference, depth), None, &to, &|_, _| {});
        let taken = Taken { commit: Some(commits[expected].clone()), moved: None };
        assert_eq!(got.unwrap(), Fetched::Here(taken), "{reference:?}");
        let text = std::fs::read_to_string(to.join("x.txt")).unwrap();
        assert_eq!(text, ["one", "two", "three"][expected], "{reference:?}");
        assert!(!to.join(".git").exists(), "only what is in the commit is kept");
    }
    for reference in ["nothing", "deadbeef", "0123456789012345678901234567890123456789"] {
        let to = directory.path().join(reference);
        let error = web().fetch(&package(&place, Some(reference), None), None, &to, &|_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), format!("the repository has no branch, tag or commit `{reference}`"));
    }
    let to = directory.path().join("none");
    let error = web().fetch(&package(Path::new("/nonexistent"), None, None), None, &to, &|_, _| {}).unwrap_err();
    assert!(error.to_string().starts_with("git cannot fetch the default branch: "), "{error}");
}

#[test]
fn a_tag_that_moved_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (place, commits) = repository(directory.path(), &["one", "two"]);
    git(&place, &["tag", "-a", "-m", "x", "v1", &commits[1]]);
    let to = directory.path().join("to");
    let got = web().fetch(&package(&place, Some("v1"), None), Some(&commits[0]), &to, &|_, _| {}).unwrap();
    let taken = Taken { commit: Some(commits[0].clone()), moved: Some(commits[1].clone()) };
    assert_eq!(got, Fetched::Here(taken));
    assert_eq!(std::fs::read_to_string(to.join("x.txt")).unwrap(), "one");
}

#[test]
fn submodules_come_with_it_and_links_that_lead_out_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (inner, _) = repository(&directory.path().join("inner"), &["inner"]);
    let (place, _) = repository(&directory.path().join("outer"), &["outer"]);
    git(&place, &["submodule", "--quiet", "add", &format!("file://{}", inner.display()), "sub"]);
    std::os::unix::fs::symlink("/etc/passwd", place.join("out")).unwrap();
    std::os::unix::fs::symlink("x.txt", place.join("in")).unwrap();
    git(&place, &["add", "-A"]);
    git(&place, &["commit", "--quiet", "-m", "x"]);
    let to = directory.path().join("to");
    web().fetch(&package(&place, None, None), None, &to, &|_, _| {}).unwrap();
    let paths: Vec<String> = andon_source::tree(&to).unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [".gitmodules", "in", "sub/x.txt", "x.txt"]);
}
