//! Git repositories, by the machine's own `git`: so credentials, proxies, SSH settings and URL rewriting are the user's.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::FetchError;
use crate::fetch::Taken;
use crate::web::Web;

/// What is wanted of a repository.
pub(crate) struct Wanted<'a> {
    pub url: &'a str,
    /// A branch, a tag or a commit.
    pub reference: Option<&'a str>,
    /// The commit that it was the last time: that is taken again.
    pub commit: Option<&'a str>,
    pub depth: Option<u32>,
    pub key: Option<&'a str>,
}

impl Web {
    /// Checks a commit out into a directory that is not there yet, with its submodules, and says which commit it is.
    pub(crate) fn clone(&self, wanted: &Wanted<'_>, to: &Path) -> Result<Taken, FetchError> {
        let key = wanted.key.map(|key| key_file(key, to)).transpose()?;
        let outcome = self.check_out(wanted, to, key.as_deref());
        if let Some(key) = key {
            let _ = std::fs::remove_file(key);
        }
        outcome
    }

    /// The commit that a branch or a tag is at now, or the default branch; `None` where nothing of this name is listed. A
    /// key is written `beside` a path for as long as it takes.
    pub(crate) fn head(
        &self,
        url: &str,
        reference: Option<&str>,
        key: Option<&str>,
        beside: &Path,
    ) -> Result<Option<String>, FetchError> {
        let key = key.map(|key| key_file(key, beside)).transpose()?;
        let name = reference.unwrap_or("HEAD");
        let listed =
            self.git("list branches and tags", &["ls-remote", "--", url, name], Path::new("/"), url, key.as_deref());
        if let Some(key) = key {
            let _ = std::fs::remove_file(key);
        }
        let listed = listed?;
        let lines = || listed.lines().filter_map(|line| line.split_once(char::is_whitespace));
        // As when it is fetched: a branch before a tag, and any whole name as it is.
        let names = [format!("refs/heads/{name}"), format!("refs/tags/{name}"), name.to_owned()];
        let found = names.iter().find_map(|wanted| lines().find(|(_, name)| name.trim() == *wanted));
        Ok(found.map(|(commit, _)| commit.to_owned()))
    }

    fn check_out(&self, wanted: &Wanted<'_>, to: &Path, key: Option<&Path>) -> Result<Taken, FetchError> {
        std::fs::create_dir_all(to).map_err(FetchError::file(to))?;
        let git = |what: &str, words: &[&str]| self.git(what, words, to, wanted.url, key);
        git("begin a repository", &["init", "--quiet"])?;
        git("name the repository", &["remote", "add", "--", "origin", wanted.url])?;
        let commit = match wanted.commit {
            Some(commit) => {
                self.fetch_commit(wanted, commit, to, key)?;
                commit.to_owned()
            }
            None => self.fetch_reference(wanted, to, key)?,
        };
        git("check the commit out", &["checkout", "--quiet", "--detach", &commit])?;
        if to.join(".gitmodules").is_file() {
            let words = ["submodule", "update", "--quiet", "--init", "--recursive"];
            let shallow = git("fetch the submodules", &[&words[..], &["--depth", "1"]].concat());
            // Not every server gives a single commit that is the head of nothing.
            if shallow.is_err() {
                git("fetch the submodules", &words)?;
            }
        }
        Ok(Taken { moved: self.moved(wanted, to, key), commit: Some(commit) })
    }

    /// What the tag of this name is now, where another commit of it was to be taken.
    fn moved(&self, wanted: &Wanted<'_>, to: &Path, key: Option<&Path>) -> Option<String> {
        let (commit, reference) = (wanted.commit?, wanted.reference?);
        let tag = format!("refs/tags/{}", reference.trim_start_matches("refs/tags/"));
        // An annotated tag is an object of its own; what it is put on is listed with `^{}`.
        let words = ["ls-remote", "--", "origin", &tag, &format!("{tag}^{{}}")];
        let listed = self.git("list tags", &words, to, wanted.url, key).ok()?;
        let now = listed.lines().last()?.split_whitespace().next()?;
        (now != commit).then(|| now.to_owned())
    }

    /// Fetches what a reference names, no more of its history than is asked for.
    fn fetch_reference(&self, wanted: &Wanted<'_>, to: &Path, key: Option<&Path>) -> Result<String, FetchError> {
        let git = |what: &str, words: &[&str]| self.git(what, words, to, wanted.url, key);
        let depth = wanted.depth.unwrap_or(1).to_string();
        let Some(reference) = wanted.reference else {
            git("fetch the default branch", &["fetch", "--quiet", "--depth", &depth, "--", "origin", "HEAD"])?;
            return Ok(git("read the commit", &["rev-parse", "FETCH_HEAD^{commit}"])?.trim().to_owned());
        };
        let listed = git("list branches and tags", &["ls-remote", "--", "origin", reference])?;
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        // As git itself: a branch before a tag, and any whole name as it is.
        let branch_or_tag = [format!("refs/heads/{reference}"), format!("refs/tags/{reference}"), reference.to_owned()];
        if let Some(name) = branch_or_tag.iter().find(|name| names.contains(&name.as_str())) {
            git(&format!("fetch `{reference}`"), &["fetch", "--quiet", "--depth", &depth, "--", "origin", name])?;
            return Ok(git("read the commit", &["rev-parse", "FETCH_HEAD^{commit}"])?.trim().to_owned());
        }
        let unknown = || FetchError::NoReference { reference: reference.to_owned() };
        if !(4..=64).contains(&reference.len()) || !reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        self.fetch_commit(wanted, reference, to, key).map_err(|error| match error {
            FetchError::Git { .. } => unknown(),
            error => error,
        })?;
        let found = git("read the commit", &["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")]);
        found.map(|commit| commit.trim().to_owned()).map_err(|_| unknown())
    }

    /// Fetches one commit; where the server does not give it alone, everything.
    fn fetch_commit(&self, wanted: &Wanted<'_>, commit: &str, to: &Path, key: Option<&Path>) -> Result<(), FetchError> {
        let git = |what: &str, words: &[&str]| self.git(what, words, to, wanted.url, key);
        let whole = commit.len() == 40 || commit.len() == 64;
        if whole && git("fetch the commit", &["fetch", "--quiet", "--depth", "1", "--", "origin", commit]).is_ok() {
            return Ok(());
        }
        self.check()?;
        let all = ["fetch", "--quiet", "--tags", "--", "origin", "+refs/heads/*:refs/remotes/origin/*"];
        git("fetch the repository", &all)?;
        let found = git("find the commit", &["rev-parse", "--verify", "--quiet", &format!("{commit}^{{commit}}")]);
        found.map(drop).map_err(|error| match error {
            FetchError::Git { .. } => FetchError::NoReference { reference: commit.to_owned() },
            error => error,
        })
    }

    /// Runs git, which may not ask anything, and gives what it prints.
    fn git(
        &self,
        what: &str,
        words: &[&str],
        directory: &Path,
        url: &str,
        key: Option<&Path>,
    ) -> Result<String, FetchError> {
        self.check()?;
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "advice.detachedHead=false",
                "-c",
                "init.defaultBranch=main",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(words)
            .current_dir(directory)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            // A repository from elsewhere must not make git read this machine's own repositories.
            .env("GIT_ALLOW_PROTOCOL", if url.starts_with("file://") { "file" } else { "https:http:ssh:git" })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(key) = key {
            let ssh = std::env::var("GIT_SSH_COMMAND").unwrap_or_else(|_| "ssh".to_owned());
            command.env("GIT_SSH_COMMAND", format!("{ssh} -i '{}'", key.display()));
        }
        let detach = || {
            // SAFETY: setsid has no preconditions, and is safe to call between fork and exec.
            unsafe { libc::setsid() };
            Ok(())
        };
        // SAFETY: the closure only makes a system call. Without a terminal neither git nor ssh can ask at one.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, detach) };
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => FetchError::NoGit,
            _ => FetchError::Git { what: what.to_owned(), why: error.to_string() },
        })?;
        let group = i32::try_from(child.id()).unwrap_or(0);
        let reader = |stream: Option<Box<dyn Read + Send>>| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stream.map(|stream| stream.take(16 << 20).read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            })
        };
        let out = reader(child.stdout.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
        let err = reader(child.stderr.take().map(|it| Box::new(it) as Box<dyn Read + Send>));
        let mut pause = Duration::from_millis(1);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => return Err(FetchError::Git { what: what.to_owned(), why: error.to_string() }),
            }
            if self.check().is_err() && group > 0 {
                // SAFETY: the group is the child's own, made by setsid, and the child was not waited for yet.
                unsafe { libc::kill(-group, libc::SIGTERM) };
                let _ = child.wait();
                return Err(FetchError::Interrupted);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        if status.success() {
            return Ok(out);
        }
        Err(FetchError::Git { what: what.to_owned(), why: last_words(&err) })
    }
}

/// The last lines of what git said, as one, without passwords in URLs.
fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = |line: &&&str| line.starts_with("fatal:") || line.starts_with("error:") || line.starts_with("remote:");
    let mut told: Vec<&str> = lines.iter().filter(said).copied().collect();
    if told.is_empty() {
        told = lines.last().copied().into_iter().collect();
    }
    let word = |word: &str| match word.find("://") {
        Some(_) => {
            let start = word.find(|letter: char| letter.is_ascii_alphanumeric()).unwrap_or(0);
            let (quote, url) = word.split_at_checked(start).unwrap_or(("", word));
            format!("{quote}{}", andon_schema::source::public_url(url))
        }
        None => word.to_owned(),
    };
    let told = told.join("; ");
    told.split(' ').map(word).collect::<Vec<_>>().join(" ").replace("fatal: ", "")
}

/// Writes a private key where ssh can read it and nobody else can.
fn key_file(key: &str, beside: &Path) -> Result<std::path::PathBuf, FetchError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let bad = || FetchError::Git { what: "use the SSH key".to_owned(), why: "it is not in Base64".to_owned() };
    let bytes = STANDARD.decode(key).map_err(|_| bad())?;
    let path = beside.with_extension("key");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(FetchError::file(&path))?;
    file.write_all(&bytes).map_err(FetchError::file(&path))?;
    Ok(path)
}
