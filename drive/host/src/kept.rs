//! What a run replaced or removed, kept so that it can be put back.
//!
//! A run that changes anything has a number, one more than the last, and a journal in `runs`: the line `andon run 1` with
//! its title, its time and its name, and a line for each path before it is changed, with what was there and, where that is
//! known, what will be. After it comes a line with what became of it, where that was not known. Fields are split by tabs:
//! a word, the path, and two states. What is no path has a line, too: `did`, what it was, and a verb and a service where
//! one took up what changed. Old contents are in `kept`, by their SHA-256, with gzip. All of it is root's alone, in the
//! data directory of this machine.
//!
//! Nothing is flushed: a kill at any moment leaves a line more than was done, never one less.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use andon_schema::host::{Act, Bytes, Verb};
use andon_schema::{KeptDeed, KeptPath, KeptRun, KeptState};
use andon_value::SecretTexts;
use flate2::Compression;
use sha2::{Digest, Sha256};

use crate::files::{hexadecimal, open, sha256};
use crate::places;

/// Where journals are.
fn runs() -> String {
    format!("{}/runs", data())
}

/// Where old contents are.
fn blobs() -> String {
    format!("{}/kept", data())
}

fn data() -> String {
    std::env::var("ANDON_DATA_DIR").ok().filter(|place| place.starts_with('/')).unwrap_or_else(places::lasting)
}

/// Journals beyond these are forgotten, the oldest first, and old contents that no journal names. Some more are let be
/// until so many go at once, as all that are left are read then.
const MOST_RUNS: usize = 100;
const MORE_RUNS: usize = 20;
const OLDEST: Duration = Duration::from_secs(90 * 86_400);
const MOST_BYTES: u64 = 1 << 30;

/// Files beyond this are not kept.
const LARGEST: u64 = 256 << 20;

/// The journal of one run. It is begun with the first change.
pub struct Journal {
    /// What is run, in a few words: a role.
    title: String,
    /// What the run is called on every server that it goes over; may be empty.
    name: String,
    /// Paths whose content must not be shown.
    secret: BTreeSet<Arc<str>>,
    /// What no deed is described with.
    hidden: SecretTexts,
    file: Option<(u64, File)>,
    /// There is no place to keep anything on this server: it is converged all the same.
    nowhere: bool,
    /// Contents were kept in this run.
    kept: bool,
}

impl Journal {
    /// One for a run that changed nothing yet.
    pub fn new(title: &str, name: &str, hidden: SecretTexts) -> Journal {
        let (title, name, secret) = (title.to_owned(), name.to_owned(), BTreeSet::new());
        Journal { title, name, secret, hidden, file: None, nowhere: false, kept: false }
    }

    /// The content of more paths must not be shown.
    pub fn hide(&mut self, paths: &BTreeSet<Arc<str>>) {
        // Only ever more come.
        if paths.len() > self.secret.len() {
            self.secret.extend(paths.iter().cloned());
        }
    }

    /// The number of the run, once it has changed something.
    pub fn run(&self) -> Option<u64> {
        self.file.as_ref().map(|(run, _)| *run)
    }

    /// Notes what an act is about to change.
    pub(crate) fn before(&mut self, act: &Act) -> Result<(), String> {
        if self.nowhere {
            return Ok(());
        }
        let outcome = match act {
            Act::WriteFile { path, content, .. } => {
                let file = |digest| KeptState::File { digest, mode: 0, uid: 0, gid: 0 };
                self.note(path, Some(file(hexadecimal(&Sha256::digest(&*content.0)).into())))
            }
            Act::FetchFile { path, .. } | Act::SetMeta { path, .. } => self.note(path, None),
            Act::MakeLink { path, target } => self.note(path, Some(KeptState::Link(target.clone()))),
            Act::MakeDirectory { path, .. } => self.note_directory(path),
            Act::Remove { path } => self.note_tree(path),
            Act::MakeCertificate { place, .. } => {
                [&place.key, &place.certificate].into_iter().try_for_each(|path| self.note(path, None))
            }
            act => deed(act).map_or(Ok(()), |deed| self.note_deed(&deed)),
        };
        let outcome = match outcome {
            Err(error) if self.file.is_none() && is_no_place(&error) => {
                self.nowhere = true;
                Ok(())
            }
            outcome => outcome,
        };
        outcome.map_err(|error| format!("what is replaced could not be kept in {}: {error}", blobs()))
    }

    /// Notes what became of it, where that could not be known.
    pub(crate) fn after(&mut self, act: &Act) -> Result<(), String> {
        let paths: Vec<&Arc<str>> = match act {
            Act::FetchFile { path, .. } | Act::SetMeta { path, .. } => vec![path],
            Act::MakeCertificate { place, .. } => vec![&place.key, &place.certificate],
            _ => return Ok(()),
        };
        if self.nowhere {
            return Ok(());
        }
        let now = paths.into_iter().try_for_each(|path| {
            let (now, _) = state(path, false)?;
            self.write("is", path, &text_of(&now), &text_of(&KeptState::Nothing))
        });
        now.map_err(|error| format!("the journal of the run could not be written: {error}"))
    }

    fn note(&mut self, path: &str, new: Option<KeptState>) -> io::Result<()> {
        let (old, kept) = state(path, true)?;
        self.kept |= kept;
        let word = if self.secret.contains(path) { "secret" } else { "was" };
        self.write(word, path, &text_of(&old), &text_of(&new.unwrap_or(KeptState::Nothing)))
    }

    /// A directory is made with those above it.
    fn note_directory(&mut self, path: &str) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut above = path;
        while above.len() > 1 && fs::symlink_metadata(above).is_err() {
            missing.push(above);
            above = crate::files::above(above);
        }
        for path in missing.into_iter().rev() {
            let new = KeptState::Directory { mode: 0, uid: 0, gid: 0 };
            self.write("was", path, &text_of(&KeptState::Nothing), &text_of(&new))?;
        }
        Ok(())
    }

    fn note_tree(&mut self, path: &str) -> io::Result<()> {
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            self.note(&path, None)?;
            if metadata.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(entry?.path().to_string_lossy().into_owned());
                }
            }
        }
        Ok(())
    }

    fn note_deed(&mut self, deed: &KeptDeed) -> io::Result<()> {
        let (verb, unit) = match &deed.again {
            Some((unit, Verb::Restart)) => ("restart", &**unit),
            Some((unit, _)) => ("reload", &**unit),
            None => ("-", "-"),
        };
        self.write("did", &self.hidden.hide(&deed.what), verb, &escaped(unit))
    }

    fn write(&mut self, word: &str, what: &str, one: &str, other: &str) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(begin(&self.title, &self.name)?);
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        file.write_all([word, "\t", &escaped(what), "\t", one, "\t", other, "\n"].concat().as_bytes())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = prune(self.kept);
        }
    }
}

fn is_no_place(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// What an act does that is no change of a path; `None` where nothing lasts of it.
fn deed(act: &Act) -> Option<KeptDeed> {
    let name = |unit: &Arc<str>| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    let what = match act {
        Act::Unpack { path, .. } => format!("an archive was unpacked to {path}"),
        Act::InstallPackages(install) => format!("package {} was installed", install.packages.join(", ")),
        Act::RemovePackages(uninstall) => format!("package {} was removed", uninstall.packages.join(", ")),
        Act::HoldPackages { packages, hold: true } => format!("package {} was held", packages.join(", ")),
        Act::HoldPackages { packages, hold: false } => format!("package {} was held no more", packages.join(", ")),
        Act::RepairPackages => "an interrupted installation of packages was finished".to_owned(),
        Act::Service { unit, verb } => {
            let done = match verb {
                Verb::Start => "was started",
                Verb::Stop => "was stopped",
                Verb::Reload => "was reloaded",
                Verb::Restart => "was restarted",
                Verb::Enable => "was enabled",
                Verb::Disable => "was disabled",
                Verb::Mask => "was masked",
                Verb::Unmask => "was unmasked",
            };
            let what = format!("service {} {done}", name(unit)).into();
            let again = matches!(verb, Verb::Reload | Verb::Restart).then(|| (unit.clone(), *verb));
            return Some(KeptDeed { what, again });
        }
        Act::AddGroup { name, .. } => format!("group {name} was added"),
        Act::ChangeGroup { name, .. } => format!("group {name} was changed"),
        Act::RemoveGroup(name) => format!("group {name} was removed"),
        Act::AddUser { name, .. } => format!("user {name} was added"),
        Act::ChangeUser { name, .. } => format!("user {name} was changed"),
        Act::RemoveUser { name, home: false } => format!("user {name} was removed"),
        Act::RemoveUser { name, home: true } => format!("user {name} was removed with its home"),
        Act::SetSysctl { key, value } => format!("the kernel was given {key} = {value}"),
        Act::Run { doing: Some(doing), .. } => {
            format!("a command was run: {}", doing.strip_prefix("running ").unwrap_or(doing))
        }
        // Its arguments may be secret.
        Act::Run { command, .. } => match command.words.first() {
            Some(program) => format!("a command was run: {program}"),
            None => "a command was run".to_owned(),
        },
        _ => return None,
    };
    Some(KeptDeed { what: what.into(), again: None })
}

fn directories() -> io::Result<()> {
    for directory in [blobs(), runs()] {
        if !Path::new(&directory).is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
    }
    Ok(())
}

/// Makes the journal of the next run.
fn begin(title: &str, name: &str) -> io::Result<(u64, File)> {
    directories()?;
    let mut number = numbers()?.last().map_or(1, |last| last + 1);
    loop {
        let path = format!("{}/{number}", runs());
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
            // Another run begins at the same time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            file => {
                let mut file = file?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
                file.write_all(format!("andon run 1\t{}\t{now}\t{}\n", escaped(title), escaped(name)).as_bytes())?;
                return Ok((number, file));
            }
        }
    }
}

fn numbers() -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(runs()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What is at a path; with `keep`, the content of a file is kept, and it is told whether there was one.
fn state(path: &str, keep: bool) -> io::Result<(KeptState, bool)> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok((KeptState::Nothing, false));
        }
        metadata => metadata?,
    };
    let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Ok((KeptState::Directory { mode, uid, gid }, false));
    }
    if kind.is_symlink() {
        return Ok((KeptState::Link(fs::read_link(path)?.to_string_lossy().into()), false));
    }
    if !kind.is_file() || metadata.len() > LARGEST {
        return Ok((KeptState::Other, false));
    }
    let mut file = open(path)?;
    let digest = sha256(&mut file)?;
    if keep {
        file.seek(SeekFrom::Start(0))?;
        store(&mut file, &digest)?;
    }
    Ok((KeptState::File { digest: digest.into(), mode, uid, gid }, keep))
}

/// Keeps a content. It appears whole or not at all.
fn store(from: &mut File, digest: &str) -> io::Result<()> {
    directories()?;
    let place = format!("{}/{digest}", blobs());
    if Path::new(&place).exists() {
        return Ok(());
    }
    let new = format!("{}/.{digest}-{}", blobs(), std::process::id());
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut packed = flate2::write::GzEncoder::new(file, Compression::fast());
    io::copy(from, &mut packed)?;
    packed.finish()?;
    fs::rename(new, place)
}

/// A content that was kept; `None` where it is no longer.
pub fn kept_content(digest: &str) -> Result<Option<Bytes>, String> {
    let failed = |error: io::Error| format!("an old content could not be read in {}: {error}", blobs());
    let file = match File::open(format!("{}/{digest}", blobs())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    let whole = hexadecimal(&Sha256::digest(&bytes)) == digest;
    Ok(whole.then(|| bytes.into()))
}

/// The runs that can be undone, the last first.
pub fn kept_runs() -> Result<Vec<KeptRun>, String> {
    let numbers = numbers().map_err(|error| format!("{} could not be read: {error}", runs()))?;
    numbers.into_iter().rev().map(|number| kept_run(number).map(|run| run.unwrap_or_default())).collect()
}

/// What a run changed; `None` where nothing is known of it.
pub fn kept_run(number: u64) -> Result<Option<KeptRun>, String> {
    let path = format!("{}/{number}", runs());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| format!("{path} could not be read: {error}"))?,
    };
    let mut lines = text.lines();
    let mut head = lines.next().unwrap_or_default().split('\t');
    if head.next() != Some("andon run 1") {
        return Err(format!("{path} is no journal, or one of another version of Andon"));
    }
    let title = unescaped(head.next().unwrap_or_default());
    let began = head.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let name = unescaped(head.next().unwrap_or_default()).into();
    let mut paths: Vec<KeptPath> = Vec::new();
    let mut deeds: Vec<KeptDeed> = Vec::new();
    let mut places = std::collections::BTreeMap::<Arc<str>, usize>::new();
    for line in lines {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        // A line that a kill cut off tells of nothing that was done.
        let (Some(word), Some(path), Some(old), Some(new)) = (next(), next(), next(), next()) else { continue };
        if word == "did" {
            let verb = if old == "restart" { Verb::Restart } else { Verb::Reload };
            let again = (old != "-").then(|| (unescaped(new).into(), verb));
            let deed = KeptDeed { what: unescaped(path).into(), again };
            if !deeds.contains(&deed) {
                deeds.push(deed);
            }
            continue;
        }
        let (path, old, new): (Arc<str>, _, _) = (unescaped(path).into(), state_of(old), state_of(new));
        let place = *places.entry(path.clone()).or_insert(paths.len());
        match (paths.get_mut(place), word) {
            (Some(known), "is") => known.is = old,
            (Some(known), _) => known.is = new,
            (None, _) => paths.push(KeptPath { path, was: old, is: new, secret: word == "secret" }),
        }
    }
    Ok(Some(KeptRun { number, name, title: title.into(), began, paths, deeds }))
}

/// Forgets what is too old or too much; contents are looked through where some were added, or a journal goes.
fn prune(added: bool) -> io::Result<()> {
    let numbers = numbers()?;
    let now = SystemTime::now();
    let is_old = |number: &u64| {
        let made = fs::metadata(format!("{}/{number}", runs())).and_then(|metadata| metadata.modified());
        made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > OLDEST))
    };
    let too_many = if numbers.len() > MOST_RUNS + MORE_RUNS { numbers.len() - MOST_RUNS } else { 0 };
    let (mut gone, mut left): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    for (at, number) in numbers.iter().enumerate() {
        if at < too_many || is_old(number) { gone.push(*number) } else { left.push(*number) }
    }
    if gone.is_empty() && !added {
        return Ok(());
    }
    let mut total = 0;
    for entry in fs::read_dir(blobs())? {
        total += entry?.metadata()?.len();
    }
    if gone.is_empty() && total <= MOST_BYTES {
        return Ok(());
    }
    // The newest are kept as long as there is room; a run without its contents cannot be undone.
    let mut named = BTreeSet::new();
    let mut size = 0;
    for number in left.into_iter().rev() {
        let Ok(Some(run)) = kept_run(number) else { continue };
        let digests = run.paths.iter().filter_map(|path| match &path.was {
            KeptState::File { digest, .. } => Some(digest.to_string()),
            _ => None,
        });
        let new: BTreeSet<String> = digests.filter(|digest| !named.contains(digest)).collect();
        let length =
            |digest: &String| fs::metadata(format!("{}/{digest}", blobs())).map_or(0, |metadata| metadata.len());
        size += new.iter().map(length).sum::<u64>();
        if size > MOST_BYTES {
            gone.push(number);
        } else {
            named.extend(new);
        }
    }
    for number in gone {
        fs::remove_file(format!("{}/{number}", runs()))?;
    }
    for entry in fs::read_dir(blobs())? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| named.contains(name) || name.starts_with('.')) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn text_of(state: &KeptState) -> String {
    match state {
        KeptState::Nothing => "-".to_owned(),
        KeptState::Other => "?".to_owned(),
        KeptState::File { digest, mode, uid, gid } => format!("f {mode:o} {uid} {gid} {digest}"),
        KeptState::Directory { mode, uid, gid } => format!("d {mode:o} {uid} {gid}"),
        KeptState::Link(target) => format!("l {}", escaped(target)),
    }
}

fn state_of(text: &str) -> KeptState {
    let read = || {
        let (kind, rest) = text.split_once(' ')?;
        if kind == "l" {
            return Some(KeptState::Link(unescaped(rest).into()));
        }
        let mut words = rest.split(' ');
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let (uid, gid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        match kind {
            "d" => Some(KeptState::Directory { mode, uid, gid }),
            "f" => Some(KeptState::File { digest: words.next()?.into(), mode, uid, gid }),
            _ => None,
        }
    };
    if text == "-" { KeptState::Nothing } else { read().unwrap_or(KeptState::Other) }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '\t']) {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
    Cow::Owned(escaped)
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut letters) = (String::with_capacity(text.len()), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next().map(|letter| match letter {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_written_and_read() {
        for state in [
            KeptState::Nothing,
            KeptState::Other,
            KeptState::File { digest: "ab".into(), mode: 0o4755, uid: 1, gid: 2 },
            KeptState::Directory { mode: 0o755, uid: 0, gid: 0 },
            KeptState::Link("a b\t\\n\nc".into()),
        ] {
            assert_eq!(state_of(&text_of(&state)), state);
        }
        for broken in ["", "f", "f 644 0 0", "x 644 0 0", "d 999 0 0"] {
            assert_eq!(state_of(broken), KeptState::Other, "{broken}");
        }
    }
}
