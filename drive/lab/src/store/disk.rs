//! A bucket's objects on disk, and what is known of them in memory.
//!
//! A version of an object is one file: its bytes, then a footer with all that is known of it, the footer's length and a
//! mark. It is written beside its place and moved there whole, so whoever is killed leaves an object or none. The key is
//! in the footer; the file is named by the key's SHA-256, since keys are longer and freer than names of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value as Json, json};

use super::failure::{Answer, Refusal};
use super::sums::sha256;
use crate::records::absent_is_fine;

/// The last bytes of every whole file.
const MARK: &[u8; 8] = b"andonob1";
/// A footer's length and the mark.
const TAIL: u64 = 12;
/// No footer is longer: 2 KiB of metadata, tags, a key, and JSON around them.
const FOOTER_LIMIT: u64 = 1 << 20;

/// What is known of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct About {
    pub key: String,
    /// Grows with every version; what tells one from another.
    pub order: u64,
    /// Whether it is the only version of its name: made while versions were not kept.
    pub null: bool,
    /// Whether it says that the object was deleted.
    pub marker: bool,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Headers to be given back, in lower case: `content-type`, `x-amz-meta-…` and others.
    pub headers: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// The header of a checksum, and the sum.
    pub checksum: Option<(String, String)>,
}

/// What a listing needs of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub order: u64,
    pub null: bool,
    pub marker: bool,
    pub size: u64,
    pub etag: Box<str>,
    pub modified_ms: i64,
}

/// The versions of each key, the newest last.
type Index = BTreeMap<String, Vec<Entry>>;

/// A bucket's files.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    index: Mutex<Index>,
    order: AtomicU64,
    /// Whether it is another process's now. Changes only while the index is locked.
    closed: AtomicBool,
}

/// A file that is being written, gone unless it is moved to its place.
#[derive(Debug)]
pub(super) struct Staged {
    pub file: File,
    path: PathBuf,
    placed: bool,
}

/// What must hold for an object to be written or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Condition {
    /// `If-None-Match: *`
    pub absent: bool,
    /// `If-Match`, without quotes; `*` where it need only be there.
    pub etag: Option<String>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub prefixes: Vec<String>,
    /// The last key or prefix on the page, where there are more.
    pub next: Option<String>,
}

impl Disk {
    /// Reads what is there. A file that is not whole is left alone, and said to be there.
    pub fn open(directory: &Path) -> io::Result<Disk> {
        for name in ["objects", "uploads"] {
            fs::create_dir_all(directory.join(name))?;
        }
        // What was being written when the last process ended.
        absent_is_fine(fs::remove_dir_all(directory.join("tmp")))?;
        fs::create_dir_all(directory.join("tmp"))?;
        let mut index = Index::new();
        let mut last = 0;
        for folder in fs::read_dir(directory.join("objects"))? {
            for file in fs::read_dir(folder?.path())? {
                let path = file?.path();
                match File::open(&path).and_then(|file| read_about(&file)) {
                    Ok(about) => {
                        last = last.max(about.order);
                        index.entry(about.key.clone()).or_default().push(Entry::of(&about));
                    }
                    Err(error) => eprintln!("{} is no whole object: {error}", path.display()),
                }
            }
        }
        index.values_mut().for_each(|versions| versions.sort_by_key(|entry| entry.order));
        let (index, order) = (Mutex::new(index), AtomicU64::new(last));
        Ok(Disk { directory: directory.to_owned(), index, order, closed: AtomicBool::default() })
    }

    /// Changes nothing from now on: another process may read what is there, and would know of nothing that came later.
    pub fn close(&self) {
        let _index = self.index();
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is in it, not even an older version.
    pub fn is_empty(&self) -> bool {
        self.index().is_empty()
    }

    /// How many objects it has, older versions and markers included.
    pub fn len(&self) -> usize {
        self.index().values().map(Vec::len).sum()
    }

    /// Where uploads of many parts are.
    pub fn uploads(&self) -> PathBuf {
        self.directory.join("uploads")
    }

    /// Begins a file.
    pub fn stage(&self) -> io::Result<Staged> {
        let path = self.directory.join("tmp").join(self.next_order().to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Staged { file, path, placed: false })
    }

    /// Makes a written file the newest version of its object. `versioned` keeps the older ones.
    pub fn place(&self, mut staged: Staged, mut about: About, versioned: bool, condition: &Condition) -> Answer<About> {
        about.order = self.next_order();
        about.null = !versioned;
        staged.write_footer(&about)?;
        let path = self.path(&about);
        fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        if !versioned && path.exists() {
            // After a power cut, one of the two must be there.
            staged.file.sync_data()?;
        }
        let mut index = self.index_to_change()?;
        condition.check(newest(&index, &about.key))?;
        staged.place(&path)?;
        put(&mut index, &about);
        Ok(about)
    }

    /// Writes a version anew with other tags.
    pub fn set_tags(&self, key: &str, version: Option<&str>, tags: BTreeMap<String, String>) -> Answer<About> {
        let (file, about) = self.get(key, version)?;
        let mut staged = self.stage()?;
        let size = about.size;
        copy(&file, &mut staged.file, 0, size)?;
        let about = About { tags, ..about };
        staged.write_footer(&about)?;
        staged.file.sync_data()?;
        let index = self.index_to_change()?;
        let still = index.get(key).is_some_and(|versions| versions.iter().any(|entry| entry.order == about.order));
        if !still {
            return Err(Refusal::no_key("The object was replaced meanwhile."));
        }
        staged.place(&self.path(&about))?;
        Ok(about)
    }

    /// An object's file and what is known of it. Of deleted ones, the marker is named.
    pub fn get(&self, key: &str, version: Option<&str>) -> Answer<(File, About)> {
        let entry = {
            let index = self.index();
            let versions = index.get(key).map(Vec::as_slice).unwrap_or_default();
            match version {
                Some(version) => versions.iter().find(|entry| entry.version() == version).cloned(),
                None => versions.last().cloned(),
            }
        };
        let absent = || match version {
            Some(_) => Refusal::no_version("The specified version does not exist."),
            None => Refusal::no_key("The specified key does not exist."),
        };
        let entry = entry.ok_or_else(absent)?;
        if entry.marker {
            return Err(if version.is_some() { Refusal::method("This version is a delete marker.") } else { absent() });
        }
        match File::open(self.path_of(key, entry.null, entry.order)) {
            Ok(file) => {
                let about = read_about(&file)?;
                Ok((file, about))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(absent()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an object or one version, where the condition holds. Gives the version that is gone or that now says so, and
    /// whether it is a marker.
    pub fn delete(
        &self,
        key: &str,
        version: Option<&str>,
        versioned: bool,
        condition: &Condition,
    ) -> Answer<Option<(String, bool)>> {
        // Where versions are kept no longer, those that were kept must not come to light again: then the marker takes the
        // place of the version without a name.
        let is_kept = |index: &Index| index.get(key).is_some_and(|kept| kept.iter().any(|entry| !entry.null));
        if version.is_none() && (versioned || is_kept(&self.index())) {
            if !self.index().contains_key(key) {
                return condition.check(None).map(|()| None);
            }
            let about = About { key: key.to_owned(), marker: true, modified_ms: now_ms(), ..About::default() };
            let about = self.place(self.stage()?, about, versioned, condition)?;
            return Ok(Some((Entry::of(&about).version(), true)));
        }
        let mut index = self.index_to_change()?;
        condition.check(newest(&index, key))?;
        let Some(versions) = index.get_mut(key) else { return Ok(None) };
        let gone = |entry: &Entry| version.map_or(entry.null, |version| entry.version() == version);
        let Some(at) = versions.iter().position(gone) else { return Ok(None) };
        let entry = versions.remove(at);
        if versions.is_empty() {
            index.remove(key);
        }
        absent_is_fine(fs::remove_file(self.path_of(key, entry.null, entry.order)))?;
        Ok(version.map(|version| (version.to_owned(), entry.marker)))
    }

    /// The objects whose keys begin with `prefix`, after `after`; those with `delimiter` behind it as prefixes.
    pub fn list(&self, prefix: &str, delimiter: &str, after: &str, most: usize) -> Page<(String, Entry)> {
        self.walk(prefix, delimiter, after, most, |key, versions, page: &mut Page<(String, Entry)>| {
            if let Some(entry) = versions.last().filter(|entry| !entry.marker) {
                page.items.push((key.to_owned(), entry.clone()));
            }
        })
    }

    /// The same with all versions of each, the newest first and told whether it is the newest.
    pub fn list_versions(
        &self,
        prefix: &str,
        delimiter: &str,
        after: &str,
        most: usize,
    ) -> Page<(String, Entry, bool)> {
        self.walk(prefix, delimiter, after, most, |key, versions, page: &mut Page<(String, Entry, bool)>| {
            let newest = versions.last().map(|entry| entry.order);
            let rows = versions.iter().rev().map(|entry| (key.to_owned(), entry.clone(), Some(entry.order) == newest));
            page.items.extend(rows);
        })
    }

    fn walk<T>(
        &self,
        prefix: &str,
        delimiter: &str,
        after: &str,
        most: usize,
        mut take: impl FnMut(&str, &[Entry], &mut Page<T>),
    ) -> Page<T> {
        let index = self.index();
        let mut page = Page { items: Vec::new(), prefixes: Vec::new(), next: None };
        let mut seen = BTreeSet::new();
        let mut last = String::new();
        let mut from =
            if after >= prefix { Bound::Excluded(after.to_owned()) } else { Bound::Included(prefix.to_owned()) };
        while let Some((key, versions)) = index.range::<String, _>((from, Bound::Unbounded)).next() {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let alive = versions.last().is_some_and(|entry| !entry.marker);
            let group = match rest.find(delimiter) {
                Some(end) if !delimiter.is_empty() => key.get(..prefix.len() + end + delimiter.len()),
                _ => None,
            };
            let full = page.items.len() + page.prefixes.len() >= most;
            match group {
                // All below it were on an earlier page, as the page ended with it.
                Some(group) if group <= after => from = after_prefix(group),
                Some(group) => {
                    // One that has only deleted objects is shown by none of its objects.
                    let shown = alive || has_alive(&index, group);
                    if shown && full {
                        page.next = Some(last);
                        break;
                    }
                    if shown && seen.insert(group.to_owned()) {
                        page.prefixes.push(group.to_owned());
                        last = group.to_owned();
                    }
                    from = after_prefix(group);
                }
                None => {
                    let before = page.items.len();
                    if full {
                        let mut probe = Page { items: Vec::new(), prefixes: Vec::new(), next: None };
                        take(key, versions, &mut probe);
                        if !probe.items.is_empty() {
                            page.next = Some(last);
                            break;
                        }
                    } else {
                        take(key, versions, &mut page);
                    }
                    if page.items.len() > before {
                        last.clone_from(key);
                    }
                    from = Bound::Excluded(key.clone());
                }
            }
        }
        page
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn index_to_change(&self) -> Answer<MutexGuard<'_, Index>> {
        let index = self.index();
        match self.closed.load(Ordering::Relaxed) {
            false => Ok(index),
            true => Err(Refusal::moved("The bucket is served elsewhere now.")),
        }
    }

    fn next_order(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or_default();
        let next = |last: u64| now.max(last + 1);
        match self.order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))) {
            Ok(last) | Err(last) => next(last),
        }
    }

    fn path(&self, about: &About) -> PathBuf {
        self.path_of(&about.key, about.null, about.order)
    }

    fn path_of(&self, key: &str, null: bool, order: u64) -> PathBuf {
        let name = sha256(key.as_bytes());
        let folder = name.get(..2).unwrap_or("00").to_owned();
        let version = if null { "null".to_owned() } else { format!("{order:016x}") };
        self.directory.join("objects").join(folder).join(format!("{name}.{version}"))
    }
}

impl Entry {
    pub fn of(about: &About) -> Entry {
        Entry {
            order: about.order,
            null: about.null,
            marker: about.marker,
            size: about.size,
            etag: about.etag.as_str().into(),
            modified_ms: about.modified_ms,
        }
    }

    /// As clients name the version.
    pub fn version(&self) -> String {
        if self.null { "null".to_owned() } else { format!("{:016x}", self.order) }
    }
}

impl Condition {
    fn check(&self, newest: Option<&Entry>) -> Answer<()> {
        let failed = || Refusal::precondition("At least one of the preconditions you specified did not hold.");
        if self.absent && newest.is_some() {
            return Err(failed());
        }
        match (&self.etag, newest) {
            (Some(_), None) => Err(Refusal::no_key("The specified key does not exist.")),
            (Some(wanted), Some(entry)) if wanted != "*" && **wanted != *entry.etag => Err(failed()),
            _ => Ok(()),
        }
    }
}

impl Staged {
    fn write_footer(&mut self, about: &About) -> io::Result<()> {
        let footer = about.to_json().to_string();
        self.file.seek(SeekFrom::Start(about.size))?;
        self.file.write_all(footer.as_bytes())?;
        self.file.write_all(&(footer.len() as u32).to_le_bytes())?;
        self.file.write_all(MARK)
    }

    /// Moves it to its place.
    pub fn place(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // What stays is removed when the bucket is opened again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl About {
    fn to_json(&self) -> Json {
        json!({
            "key": self.key, "order": self.order, "null": self.null, "marker": self.marker, "size": self.size,
            "etag": self.etag, "modified_ms": self.modified_ms, "headers": self.headers, "tags": self.tags,
            "checksum": self.checksum,
        })
    }

    fn from_json(json: &Json) -> Option<About> {
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let truth = |name: &str| json.get(name).and_then(Json::as_bool);
        let checksum = json.get("checksum").and_then(Json::as_array).map(Vec::as_slice);
        Some(About {
            key: text("key")?,
            order: json.get("order")?.as_u64()?,
            null: truth("null")?,
            marker: truth("marker")?,
            size: json.get("size")?.as_u64()?,
            etag: text("etag")?,
            modified_ms: json.get("modified_ms")?.as_i64()?,
            headers: texts(json.get("headers")?)?,
            tags: texts(json.get("tags")?)?,
            checksum: match checksum {
                Some([header, sum]) => Some((header.as_str()?.to_owned(), sum.as_str()?.to_owned())),
                _ => None,
            },
        })
    }
}

/// An object of texts.
pub(super) fn texts(json: &Json) -> Option<BTreeMap<String, String>> {
    json.as_object()?.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

/// Copies bytes of one file to where another one's end is; without reading them, where the kernel can.
pub(super) fn copy(from: &File, to: &mut File, offset: u64, length: u64) -> io::Result<()> {
    let mut from = from.try_clone()?;
    from.seek(SeekFrom::Start(offset))?;
    match io::copy(&mut io::Read::take(from, length), to)? {
        copied if copied == length => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn read_about(file: &File) -> io::Result<About> {
    let broken = || io::Error::new(ErrorKind::InvalidData, "its end is missing");
    let length = file.metadata()?.len();
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, length.checked_sub(TAIL).ok_or_else(broken)?)?;
    let (size, mark) = tail.split_at(4);
    let size = u64::from(u32::from_le_bytes(size.try_into().map_err(|_| broken())?));
    if mark != MARK || size > FOOTER_LIMIT {
        return Err(broken());
    }
    let start = length.checked_sub(TAIL + size).ok_or_else(broken)?;
    let mut footer = vec![0; size as usize];
    file.read_exact_at(&mut footer, start)?;
    let about = serde_json::from_slice(&footer).ok().and_then(|json| About::from_json(&json));
    about.filter(|about| about.size == start).ok_or_else(broken)
}

fn newest<'a>(index: &'a Index, key: &str) -> Option<&'a Entry> {
    index.get(key)?.last().filter(|entry| !entry.marker)
}

fn put(index: &mut Index, about: &About) {
    let versions = index.entry(about.key.clone()).or_default();
    if about.null {
        versions.retain(|entry| !entry.null);
    }
    versions.push(Entry::of(about));
}

fn has_alive(index: &Index, prefix: &str) -> bool {
    let all = index.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
    let mut below = all.take_while(|(key, _)| key.starts_with(prefix));
    below.any(|(_, versions)| versions.last().is_some_and(|entry| !entry.marker))
}

/// Past every key that begins with this.
fn after_prefix(prefix: &str) -> Bound<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            text.push(next);
            return Bound::Included(text);
        }
    }
    // Nothing sorts behind the greatest of all letters but more of them.
    Bound::Excluded(format!("{prefix}{}", char::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &Disk, key: &str, text: &str, versioned: bool) -> About {
        let mut staged = disk.stage().unwrap();
        staged.file.write_all(text.as_bytes()).unwrap();
        let about =
            About { key: key.into(), size: text.len() as u64, etag: sha256(text.as_bytes()), ..About::default() };
        disk.place(staged, about, versioned, &Condition::default()).unwrap()
    }

    fn delete(disk: &Disk, key: &str, version: Option<&str>, versioned: bool) -> Answer<Option<(String, bool)>> {
        disk.delete(key, version, versioned, &Condition::default())
    }

    fn keys(page: &Page<(String, Entry)>) -> Vec<&str> {
        page.items.iter().map(|(key, _)| key.as_str()).chain(page.prefixes.iter().map(String::as_str)).collect()
    }

    #[test]
    fn listings_come_in_pages_and_are_the_same_whatever_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let all = ["a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "b", "b\u{10FFFF}/x", "c/d/e", "é", "é/x"];
        all.iter().for_each(|key| drop(write(&disk, key, key, false)));
        let check = |prefix: &str, delimiter: &str, expected: &[&str]| {
            for most in [1, 2, 3, 100] {
                let (mut found, mut after) = (Vec::new(), String::new());
                loop {
                    let page = disk.list(prefix, delimiter, &after, most);
                    assert!(page.items.len() + page.prefixes.len() <= most);
                    found.extend(keys(&page).into_iter().map(str::to_owned));
                    let Some(next) = page.next else { break };
                    after = next;
                }
                found.sort();
                assert_eq!(found, expected, "{prefix} {delimiter} {most}");
            }
        };
        check("", "", &all);
        check("", "/", &["a", "a/", "b", "b\u{10FFFF}/", "c/", "é", "é/"]);
        check("a", "/", &["a", "a/"]);
        check("a/", "/", &["a/", "a/b", "a/b/", "a/c"]);
        check("a/b/", "/", &["a/b/c", "a/b/d"]);
        check("c/d", "", &["c/d/e"]);
        check("x", "/", &[]);
        check("", "b", &["a", "a/", "a/b", "a/c", "b", "c/d/e", "é", "é/x"]);
    }

    #[test]
    fn what_is_whole_is_there_after_a_restart_and_what_is_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        write(&disk, "a", "one", false);
        write(&disk, "a", "two", false);
        write(&disk, "b", "three", false);
        std::mem::forget(disk.stage().unwrap());
        let half = disk.path_of("b", true, 0);
        let length = fs::metadata(&half).unwrap().len();
        File::options().write(true).open(half).unwrap().set_len(length - 1).unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        assert_eq!(keys(&disk.list("", "", "", 10)), ["a"]);
        let (file, about) = disk.get("a", None).unwrap();
        let mut bytes = vec![0; about.size as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, b"two");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn versions_are_kept_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        write(&disk, "a", "null", false);
        let one = write(&disk, "a", "one", true);
        assert_eq!(delete(&disk, "a", None, true).unwrap().map(|(_, marker)| marker), Some(true));
        assert!(disk.get("a", None).is_err());
        assert!(disk.list("", "", "", 10).items.is_empty());
        for disk in [&disk, &Disk::open(folder.path()).unwrap()] {
            let versions = disk.list_versions("", "", "", 10).items;
            assert_eq!(
                versions.iter().map(|(_, entry, newest)| (entry.marker, entry.null, *newest)).collect::<Vec<_>>(),
                [(true, false, true), (false, false, false), (false, true, false)]
            );
            assert_eq!(disk.get("a", Some("null")).unwrap().1.size, 4);
        }
        let version = format!("{:016x}", one.order);
        assert_eq!(disk.get("a", Some(&version)).unwrap().1.order, one.order);
        assert_eq!(delete(&disk, "a", Some(&version), true).unwrap(), Some((version, false)));
        for _ in 0..2 {
            let versions = disk.list_versions("", "", "", 10).items;
            delete(&disk, "a", Some(&versions[0].1.version()), true).unwrap();
        }
        assert!(disk.is_empty());
        assert!(delete(&disk, "a", None, false).unwrap().is_none());
    }

    #[test]
    fn what_is_deleted_stays_so_where_versions_are_kept_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        write(&disk, "a", "one", true);
        write(&disk, "a", "two", false);
        assert_eq!(delete(&disk, "a", None, false).unwrap(), Some(("null".to_owned(), true)));
        for disk in [&disk, &Disk::open(folder.path()).unwrap()] {
            assert!(disk.get("a", None).is_err());
            assert!(disk.list("", "", "", 10).items.is_empty());
            let versions = disk.list_versions("", "", "", 10).items;
            let versions: Vec<_> = versions.iter().map(|(_, entry, _)| (entry.marker, entry.null)).collect();
            assert_eq!(versions, [(true, true), (false, false)]);
        }
        // Without its marker, the version that was kept is the newest again.
        assert_eq!(delete(&disk, "a", Some("null"), false).unwrap(), Some(("null".to_owned(), true)));
        assert_eq!(disk.get("a", None).unwrap().1.size, 3);
        write(&disk, "b", "plain", false);
        assert_eq!(delete(&disk, "b", None, false).unwrap(), None);
        assert!(disk.list_versions("b", "", "", 10).items.is_empty());
    }

    #[test]
    fn what_was_begun_before_a_bucket_went_elsewhere_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        write(&disk, "a", "one", false);
        let staged = disk.stage().unwrap();
        disk.close();
        let about = About { key: "b".into(), ..About::default() };
        let code = |refusal: Refusal| refusal.code;
        assert_eq!(
            disk.place(staged, about, false, &Condition::default()).map_err(code).unwrap_err(),
            "ServiceUnavailable"
        );
        assert_eq!(delete(&disk, "a", None, false).map_err(code).unwrap_err(), "ServiceUnavailable");
        assert_eq!(disk.set_tags("a", None, BTreeMap::new()).map_err(code).unwrap_err(), "ServiceUnavailable");
        assert_eq!(keys(&Disk::open(folder.path()).unwrap().list("", "", "", 10)), ["a"]);
    }

    #[test]
    fn conditions_hold() {
        let check = |condition: Condition, there: bool, code: &str| {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::open(folder.path()).unwrap();
            if there {
                write(&disk, "a", "one", false);
            }
            let placed =
                disk.place(disk.stage().unwrap(), About { key: "a".into(), ..About::default() }, false, &condition);
            assert_eq!(placed.err().map_or("", |refusal| refusal.code), code, "{condition:?}");
            if condition.absent {
                return;
            }
            // What must hold for a deletion; where versions are kept, too.
            for versioned in [false, true] {
                let disk = Disk::open(folder.path()).unwrap();
                delete(&disk, "a", None, false).unwrap();
                if there {
                    write(&disk, "a", "one", versioned);
                }
                let deleted = disk.delete("a", None, versioned, &condition);
                assert_eq!(deleted.err().map_or("", |refusal| refusal.code), code, "{condition:?} {versioned}");
                assert_eq!(disk.get("a", None).is_ok(), there && !code.is_empty(), "{condition:?} {versioned}");
            }
        };
        let any = Condition { etag: Some("*".into()), absent: false };
        check(any.clone(), true, "");
        check(any, false, "NoSuchKey");
        let etag = |text: &str| Condition { etag: Some(sha256(text.as_bytes())), absent: false };
        let absent = Condition { absent: true, etag: None };
        check(absent.clone(), false, "");
        check(absent, true, "PreconditionFailed");
        check(etag("one"), true, "");
        check(etag("two"), true, "PreconditionFailed");
        check(etag("one"), false, "NoSuchKey");
    }
}
