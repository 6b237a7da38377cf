use std::sync::Arc;

use andon_schema::host::{Account, Act, Bytes, Command, CommandOutput, Entry, Look, Node, Sight};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::{Decision, Kind};
use crate::args::{Args, block, check_account, check_path, look_at, optional, parent};
use crate::formats;
use crate::world::World;

/// A working copy of a git repository.
pub(super) const KIND: Kind = Kind { name: "git", schema, check, looks, decide };

/// How long git may take to answer, and to fetch, in milliseconds.
const ASKING_MS: u64 = 60_000;
const FETCHING_MS: u64 = 3_600_000;

/// What there is: the commit, the address, and what was changed by hand, a line each. Files that git knows nothing of are
/// not the repository's: what a program keeps in its directory is neither in the way nor removed.
const STATE: &str = "cd \"$1\" || exit 9\n\
    echo \"head $(git -c safe.directory='*' rev-parse -q --verify HEAD)\"\n\
    echo \"url $(git -c safe.directory='*' config --get \"remote.$2.url\")\"\n\
    git -c safe.directory='*' status --porcelain --untracked-files=no --ignore-submodules=none | sed 's/^/changed /'";

/// Makes the directory a working copy of one commit: from nothing, from a clone that was interrupted, or from another
/// commit. `$1` directory, `$2` remote, `$3` address, `$4` what is fetched, `$5` the commit, `$6` a branch to be on,
/// `$7` depth, `$8` whether changes by hand are discarded, `$9` whether there are submodules.
const MAKE: &str = "set -e\n\
    cd \"$1\"\n\
    g() { git -c safe.directory='*' -c advice.detachedHead=false \"$@\"; }\n\
    g init -q\n\
    g remote set-url \"$2\" \"$3\" 2>/dev/null || g remote add \"$2\" \"$3\"\n\
    depth=; if [ -n \"$7\" ]; then depth=\"--depth=$7\"; fi\n\
    g cat-file -e \"$5^{commit}\" 2>/dev/null \
      || g fetch -q --force --tags $depth \"$2\" \"$4\" \
      || g fetch -q --force --tags \"$2\" '+refs/heads/*:refs/remotes/'\"$2\"'/*'\n\
    force=; if [ \"$8\" = yes ]; then force=--force; g reset -q --hard 2>/dev/null || true; fi\n\
    if [ -n \"$6\" ]; then g checkout -q $force -B \"$6\" \"$5\"; else g checkout -q $force --detach \"$5\"; fi\n\
    if [ \"$9\" = yes ]; then g submodule -q sync --recursive; g submodule -q update --init --recursive $depth; fi";

fn schema() -> Block {
    block(
        "A working copy of a git repository, at one revision. `git` itself must be on the server. `absent` removes it.",
        &[
            (
                "path",
                optional(Type::String, "The absolute path of the directory; without it, the label.")
                    .format(formats::PATH),
            ),
            ("url", optional(Type::String, "Where the repository is, as `git clone` takes it.")),
            (
                "revision",
                optional(
                    Type::String,
                    "A branch, a tag or a whole commit; without it, the branch that the repository is on. A commit that \
                     is there already is asked of nobody.",
                ),
            ),
            ("remote", optional(Type::String, "What the repository is called here; `origin` without it.")),
            (
                "depth",
                optional(Type::Number, "How many commits of the history are fetched; all, without it.")
                    .format(formats::COUNT),
            ),
            ("submodules", optional(Type::Bool, "Fetch submodules, too.")),
            (
                "update",
                optional(
                    Type::Bool,
                    "Whether a working copy that is there follows its branch or tag; it does, without it.",
                ),
            ),
            (
                "local_changes",
                optional(
                    Type::String,
                    "What becomes of files changed by hand: `refuse` another revision while there are any, as without \
                     it; `keep` them where they do not stand in the way; or `discard` them.",
                )
                .format(formats::LOCAL_CHANGES),
            ),
            (
                "owner",
                optional(Type::String, "The user that owns the files, as whom git is run; root, without it.")
                    .format(formats::ACCOUNT),
            ),
            ("ssh_key", optional(Type::String, "The file on the server with the key for SSH.").format(formats::PATH)),
            ("environment", optional(Type::map(Type::String), "More variables of git's environment, by name.")),
        ],
    )
}

fn check(args: &Args) -> Vec<String> {
    let path = args.subject("path");
    let mut wrong: Vec<String> = check_path(&path).into_iter().collect();
    wrong.extend(args.text("owner").and_then(|owner| check_account(&owner)));
    let shallow = path.split('/').filter(|step| !step.is_empty()).count() < 2;
    if shallow {
        wrong.push(format!("`{path}` is too near the root for a working copy"));
    }
    match args.text("url") {
        None if !args.absent => wrong.push("a working copy needs the `url` of its repository".to_owned()),
        Some(url) if url.is_empty() || url.starts_with('-') || url.contains('\n') => {
            wrong.push("`url` is not the address of a repository".to_owned());
        }
        _ => {}
    }
    let sound =
        |name: &str| !name.is_empty() && !name.starts_with('-') && !name.contains([' ', '\n', '~', '^', ':', '?', '*']);
    for attribute in ["revision", "remote"] {
        if let Some(name) = args.text(attribute).filter(|name| !sound(name)) {
            wrong.push(format!("`{name}` is not the name of a {attribute}"));
        }
    }
    wrong
}

fn command(args: &Args, words: Vec<Arc<str>>, timeout_ms: u64) -> Command {
    let mut environment = args.pairs("environment");
    environment.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
    let options = "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new";
    let ssh =
        args.text("ssh_key").map(|key| format!("{options} -i '{}' -o IdentitiesOnly=yes", key.replace('\'', r"'\''")));
    environment.push(("GIT_SSH_COMMAND".into(), ssh.unwrap_or_else(|| options.to_owned()).into()));
    let secret = args.is_secret("url") || args.is_secret("environment");
    let timeout_ms = Some(timeout_ms);
    Command { words, environment, user: args.text("owner"), timeout_ms, secret, ..Command::default() }
}

fn remote(args: &Args) -> Arc<str> {
    args.text("remote").unwrap_or_else(|| "origin".into())
}

fn state_of(args: &Args) -> Command {
    let words = ["/bin/sh".into(), "-c".into(), STATE.into(), "sh".into(), args.subject("path"), remote(args)];
    command(args, words.into(), ASKING_MS)
}

/// What the repository says of the revision.
fn asked(args: &Args) -> Command {
    let revision = args.text("revision").unwrap_or_else(|| "HEAD".into());
    let peeled = format!("{revision}^{{}}").into();
    let url = args.text("url").unwrap_or_default();
    command(args, ["git".into(), "ls-remote".into(), "--".into(), url, revision, peeled].into(), ASKING_MS)
}

fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A working copy as it is.
#[derive(Default)]
struct State {
    head: String,
    url: String,
    changed: Vec<String>,
}

impl State {
    fn parse(text: &str) -> State {
        let mut state = State::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("head", head)) => state.head = head.to_owned(),
                Some(("url", url)) => state.url = url.to_owned(),
                Some(("changed", file)) => state.changed.push(file.trim().to_owned()),
                _ => {}
            }
        }
        state
    }

    fn tell(&self) -> String {
        let changed: String = self.changed.iter().map(|file| format!("changed {file}\n")).collect();
        format!("head {}\nurl {}\n{changed}", self.head, self.url)
    }
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let path = args.subject("path");
    let repository = format!("{path}/.git");
    let mut looks = vec![look_at(&path), look_at(parent(&path)), look_at(&repository)];
    if args.absent {
        return looks;
    }
    looks.extend(args.text("owner").map(Look::User));
    let is_there = matches!(world.entry(&repository), Ok(Some(_)));
    if matches!(world.entry(&path), Ok(Some(_))) && !is_there {
        looks.push(Look::Listing(path));
    }
    if is_there {
        looks.push(Look::Command(state_of(args)));
    }
    if must_ask(args, world, is_there) == Some(true) {
        looks.push(Look::Command(asked(args)));
    }
    looks
}

/// Whether the repository is asked; `None` while that cannot be told.
fn must_ask(args: &Args, world: &World, is_there: bool) -> Option<bool> {
    if args.text("revision").is_some_and(|revision| is_commit(&revision)) || world.entry(&args.subject("path")).is_err()
    {
        return Some(false);
    }
    if !is_there || args.truth("update") != Some(false) {
        return Some(true);
    }
    // A clone that was interrupted has no commit yet.
    let state = world.command(&state_of(args)).ok()?;
    Some(State::parse(&state.text()).head.is_empty())
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let path = args.subject("path");
    let there = world.entry(&path)?;
    if args.absent {
        return Ok(match there {
            Some(_) => Decision::new(Change::Remove, Vec::new(), vec![Act::Remove { path }]),
            None => Decision::nothing(),
        });
    }
    if there.is_some_and(|entry| entry.node != Node::Directory) {
        return Err(format!("{path} is there, and is not a directory"));
    }
    if let Some(owner) = args.text("owner")
        && world.user(&owner)?.is_none()
        && !world.loose
    {
        return Err(format!("there is no user `{owner}` on this server; define it before this resource"));
    }
    let is_there = world.entry(&format!("{path}/.git"))?.is_some();
    if there.is_some() && !is_there && !world.listing(&path)?.is_empty() {
        return Err(format!("{path} is there, is no working copy, and is not empty"));
    }
    let state = match is_there {
        true => State::parse(&said(args, &state_of(args), world, "its state")?.unwrap_or_default()),
        false => State::default(),
    };
    let url = args.text("url").unwrap_or_default();
    let Some((commit, branch)) = wanted(args, world, &state, is_there)? else {
        // In a plan git may still be to come, or the user that runs it.
        let change = if is_there { Change::Update } else { Change::Create };
        return Ok(Decision::new(change, vec![args.difference("url", "", &url)], Vec::new()));
    };
    let discard = args.text("local_changes").is_some_and(|word| &*word == "discard") && !state.changed.is_empty();
    let mut differences = Vec::new();
    let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
    if state.head != commit {
        differences.push(args.difference("revision", &short(&state.head), &short(&commit)));
    }
    if state.url != *url {
        differences.push(args.difference("url", &state.url, &url));
    }
    if discard {
        differences.push(format!("discards changes of {}", some(&state.changed)));
    }
    if differences.is_empty() {
        return Ok(Decision::nothing());
    }
    let keeps = args.text("local_changes").is_some_and(|word| &*word != "refuse");
    if state.head != commit && !state.changed.is_empty() && !keeps && !state.head.is_empty() {
        return Err(format!(
            "files in {path} were changed by hand: {}; `local_changes` says whether to `keep` or to `discard` them",
            some(&state.changed)
        ));
    }
    let mut acts = Vec::new();
    if there.is_none() {
        acts.push(Act::MakeDirectory { path: path.clone(), mode: None, owner: args.text("owner"), group: None });
    }
    let changed = if discard { Vec::new() } else { state.changed };
    let new = State { head: commit.clone(), url: url.to_string(), changed };
    let fetched = args.text("revision").unwrap_or_else(|| "HEAD".into());
    let depth = args.whole("depth").filter(|depth| *depth > 0).map(|depth| depth.to_string()).unwrap_or_default();
    let yes = |it: bool| if it { "yes" } else { "no" };
    let submodules = args.truth("submodules") == Some(true);
    let words = ["/bin/sh", "-c", MAKE, "sh", &path, &remote(args), &url, &fetched, &commit, &branch, &depth];
    let words = words.into_iter().chain([yes(discard), yes(submodules)]).map(Arc::from).collect();
    let output = CommandOutput { status: Some(0), output: Bytes::from(&*new.tell()), ..CommandOutput::default() };
    acts.push(Act::Run {
        command: command(args, words, FETCHING_MS),
        doing: Some(format!("fetching {path}").into()),
        makes: vec![
            (Look::Tree(path.clone()), Sight::Tree(None)),
            (look_at(&path), Sight::Path(Some(a_directory()))),
            (look_at(&format!("{path}/.git")), Sight::Path(Some(a_directory()))),
            (Look::Command(state_of(args)), Sight::Command(output)),
        ],
        only: true,
    });
    let change = if is_there { Change::Update } else { Change::Create };
    Ok(Decision::new(change, differences, acts))
}

fn a_directory() -> Entry {
    let root = Account { id: 0, name: "root".into() };
    Entry { node: Node::Directory, mode: 0o755, owner: root.clone(), group: root }
}

fn some(files: &[String]) -> String {
    let first: Vec<&str> = files.iter().take(3).map(|file| file.rsplit(' ').next().unwrap_or(file)).collect();
    let more = if files.len() > 3 { " and more" } else { "" };
    format!("{}{more}", first.join(", "))
}

/// What a command says that must succeed; `None` in a plan before there is git.
fn said(args: &Args, command: &Command, world: &World, what: &str) -> Result<Option<String>, String> {
    let output = match world.command(command) {
        Ok(output) => output,
        // The user that asks is only foreseen.
        Err(_) if world.is_plan && command.user.is_some() => return Ok(None),
        Err(reason) => return Err(reason),
    };
    if output.succeeded() {
        return Ok(Some(output.text()));
    }
    if world.loose {
        return Ok(None);
    }
    if output.status == Some(127) {
        return Err("there is no `git` on this server; is `package \"git\" {}` defined before it?".to_owned());
    }
    let errors = String::from_utf8_lossy(&output.errors.0).into_owned();
    let words = cause(&errors);
    let words = if command.secret { "what git says is not shown, because it was given a secret" } else { &words };
    Err(format!("{what} of {} could not be asked: {words}", args.subject("path")))
}

/// What git says the cause is. Behind its errors it gives advice, and before the last one stands what led to it: that
/// of ssh, of the server, or of a tool that it uses.
fn cause(errors: &str) -> String {
    let lines = errors.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("warning:"));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("Warning: Permanently added")).collect();
    let is_error = |line: &&str| ["fatal:", "error:", "remote:", "ERROR:"].iter().any(|start| line.starts_with(start));
    match lines.iter().position(is_error) {
        Some(at) => {
            let before = lines.iter().take(at).rev().take(2).rev();
            let told: Vec<&str> =
                before.chain(lines.iter().skip(at).take_while(|line| is_error(line))).copied().collect();
            told.join("; ")
        }
        None => lines.last().copied().unwrap_or("git says nothing").to_owned(),
    }
}

/// The commit to be at, and the branch to be on where there is one; `None` where a plan cannot tell.
fn wanted(args: &Args, world: &World, state: &State, is_there: bool) -> Result<Option<(String, String)>, String> {
    let revision = args.text("revision");
    if let Some(commit) = revision.as_ref().filter(|revision| is_commit(revision)) {
        return Ok(Some((commit.to_ascii_lowercase(), String::new())));
    }
    if must_ask(args, world, is_there) != Some(true) {
        return Ok(Some((state.head.clone(), String::new())));
    }
    let Some(text) = said(args, &asked(args), world, "the repository")? else { return Ok(None) };
    let found = |name: &str| {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let name = revision.as_deref().unwrap_or("HEAD");
    let branch = format!("refs/heads/{name}");
    let tag = format!("refs/tags/{name}");
    if let Some(commit) = found(&branch) {
        return Ok(Some((commit, name.to_owned())));
    }
    let others = [format!("{tag}^{{}}"), tag, name.to_owned()];
    match others.iter().find_map(|name| found(name)) {
        Some(commit) => Ok(Some((commit, String::new()))),
        None => {
            Err(format!("the repository has no branch and no tag `{name}`; a commit is given whole, with 40 digits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_the_cause_is() {
        for (said, told) in [
            ("fatal: repository '/srv/none' does not exist\n", "fatal: repository '/srv/none' does not exist"),
            (
                "fatal: '/srv/none' does not appear to be a git repository\n\
                 fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n\
                 and the repository exists.\n",
                "fatal: '/srv/none' does not appear to be a git repository; fatal: Could not read from remote \
                 repository.",
            ),
            (
                "Warning: Permanently added 'git.test' to the list of known hosts.\n\
                 git@git.test: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\n\
                 Please make sure you have the correct access rights\nand the repository exists.\n",
                "git@git.test: Permission denied (publickey).; fatal: Could not read from remote repository.",
            ),
            ("sh: git: not found\n", "sh: git: not found"),
            ("\n", "git says nothing"),
        ] {
            assert_eq!(cause(said), told, "{said}");
        }
    }
}
