//! A layer as a tar archive, and back: <https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md>.
//!
//! The bytes are a function of what the layer holds: entries are in the order of their paths, times are all the same but for
//! those that Python compares, and files that share an inode are written each for itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Archive, Builder, EntryType, Header};

use crate::compiled::Compiled;
use crate::layer::{attributes_of, is_whiteout, opaque_attribute, set_attribute};
use crate::owners::Owners;
use crate::patience::{Budget, Metered};
use crate::tree::{OPAQUE_DIRECTORY, WHITEOUT};

/// The time of all files: 2024-01-01. But a program that Python has compiled keeps its own, see [`Compiled`].
const TIME: u64 = 1_704_067_200;

const GONE: &[u8] = b".wh.";
const ALL_GONE: &[u8] = b".wh..wh..opq";

/// How deep links may lead to others.
const LINKS_MAX: usize = 40;

/// Writes entries in their order: each with the directory that it is in, its path from there, and its line of a tree.
pub(crate) fn write<'e>(
    entries: impl Iterator<Item = (&'e Path, &'e [u8], &'e str)>,
    to: impl Write,
) -> io::Result<()> {
    let mut archive = Builder::new(to);
    let mut compiled = Compiled::default();
    for (root, path, line) in entries {
        let name = OsStr::from_bytes(path);
        if line == WHITEOUT {
            marker(&mut archive, &whiteout_of(Path::new(name)))?;
        } else {
            entry(&mut archive, root, Path::new(name), &mut compiled)?;
            if line.starts_with(OPAQUE_DIRECTORY) {
                marker(&mut archive, &Path::new(name).join(OsStr::from_bytes(ALL_GONE)))?;
            }
        }
    }
    archive.into_inner()?.flush()
}

fn whiteout_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(OsStr::from_bytes(GONE));
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn marker<W: Write>(archive: &mut Builder<W>, path: &Path) -> io::Result<()> {
    let mut header = header(EntryType::Regular, 0o644);
    header.set_size(0);
    archive.append_data(&mut header, path, io::empty())
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn entry<W: Write>(archive: &mut Builder<W>, root: &Path, path: &Path, compiled: &mut Compiled) -> io::Result<()> {
    let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    let metadata = fs::symlink_metadata(&full)?;
    let attributes = attributes_of(&full, &Owners::default())?;
    if !attributes.is_empty() {
        let named: Vec<(String, Vec<u8>)> = attributes
            .into_iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{}", name.to_string_lossy()), value))
            .collect();
        archive.append_pax_extensions(named.iter().map(|(name, value)| (&**name, &**value)))?;
    }
    let kind = metadata.file_type();
    let mut head = header(EntryType::Regular, metadata.mode() & 0o7777);
    head.set_uid(metadata.uid().into());
    head.set_gid(metadata.gid().into());
    // The root of a layer has a name, too.
    let name = if path.as_os_str().is_empty() { Path::new("./") } else { path };
    if kind.is_dir() {
        head.set_entry_type(EntryType::Directory);
        let mut name = name.as_os_str().to_owned();
        if !name.as_bytes().ends_with(b"/") {
            name.push("/");
        }
        return archive.append_data(&mut head, Path::new(&name), io::empty());
    }
    if kind.is_symlink() {
        head.set_entry_type(EntryType::Symlink);
        return archive.append_link(&mut head, name, fs::read_link(&full)?);
    }
    if kind.is_file() {
        head.set_size(metadata.len());
        head.set_mtime(compiled.time_of(&full, &metadata).unwrap_or(TIME));
        return archive.append_data(&mut head, name, File::open(&full)?.take(metadata.len()));
    }
    use std::os::unix::fs::FileTypeExt;
    head.set_entry_type(match kind {
        kind if kind.is_char_device() => EntryType::Char,
        kind if kind.is_block_device() => EntryType::Block,
        kind if kind.is_fifo() => EntryType::Fifo,
        // A socket is of a process that is gone.
        _ => return Ok(()),
    });
    if !kind.is_fifo() {
        let device = metadata.rdev();
        head.set_device_major(libc::major(device))?;
        head.set_device_minor(libc::minor(device))?;
    }
    archive.append_data(&mut head, name, io::empty())
}

/// A file that a layer is to have in place of one below, or that it hides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub path: Vec<u8>,
    /// `None` where the path is to be gone.
    pub content: Option<&'static str>,
    mode: u32,
    owner: (u32, u32),
}

impl Text {
    /// With the mode and the owner that a line of a tree has.
    pub(crate) fn over(path: &[u8], line: &str, content: Option<&'static str>) -> Text {
        let mut words = line.split(' ').skip(1);
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let mut number = || words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Text { path: path.to_owned(), content, mode, owner: (number(), number()) }
    }
}

/// These as an archive.
pub(crate) fn of_texts(texts: &[Text]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for Text { path, content, mode, owner } in texts {
        let path = Path::new(OsStr::from_bytes(path));
        match content {
            None => marker(&mut archive, &whiteout_of(path))?,
            Some(text) => {
                let mut header = header(EntryType::Regular, *mode);
                header.set_uid(owner.0.into());
                header.set_gid(owner.1.into());
                header.set_size(text.len().try_into().unwrap_or(0));
                archive.append_data(&mut header, path, text.as_bytes())?;
            }
        }
    }
    archive.into_inner()
}

/// Where the layers below have what shows at a path, if anything does.
pub(crate) type Below<'a> = &'a dyn Fn(&Path) -> Option<PathBuf>;

/// Unpacks a layer into a directory, in the form that an overlay reads. No entry can lead out of it. What an entry needs and
/// the layer does not hold, such as the directory that it is in, is as `below` has it.
pub(crate) fn unpack(from: impl Read, root: &Path, below: Below<'_>, budget: &Budget<'_>) -> io::Result<()> {
    let mut archive = Archive::new(Metered { from, budget });
    let to = Target { root, below, budget, copies: RefCell::default() };
    for entry in archive.entries()? {
        let mut entry = entry?;
        budget.entry(entry.size())?;
        if entry.header().entry_type() == EntryType::GNUSparse {
            budget.holes(entry.size())?;
        }
        to.unpack(&mut entry)?;
        // What nobody wanted of it is no part of the next one's head.
        io::copy(&mut entry, &mut io::sink())?;
        budget.end_of_entry();
    }
    Ok(())
}

/// Where a layer is unpacked.
struct Target<'a> {
    root: &'a Path,
    below: Below<'a>,
    budget: &'a Budget<'a>,
    /// Files of the layers below that have another name in this one, and one of these names.
    copies: RefCell<BTreeMap<PathBuf, PathBuf>>,
}

impl Target<'_> {
    fn unpack<R: Read>(&self, entry: &mut tar::Entry<'_, R>) -> io::Result<()> {
        let path = plain(&entry.path()?)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            return settle(entry, self.root);
        };
        let parent = self.inside(path.parent().unwrap_or(Path::new("")))?;
        if name.as_bytes() == ALL_GONE {
            return set_attribute(&parent, opaque_attribute(), b"y");
        }
        if let Some(gone) = name.as_bytes().strip_prefix(GONE) {
            // It hides what is below, not what this layer itself has of that name.
            let place = parent.join(OsStr::from_bytes(gone));
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => set_attribute(&place, opaque_attribute(), b"y")?,
                Ok(_) => {}
                Err(_) => node(&place, libc::S_IFCHR, 0)?,
            }
            return Ok(());
        }
        self.unpack_at(entry, &parent.join(name))
    }

    fn unpack_at<R: Read>(&self, entry: &mut tar::Entry<'_, R>, place: &Path) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let is_directory = fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_dir());
        let link = entry.link_name()?.map(|link| link.into_owned());
        if kind != EntryType::Directory {
            self.clear(place)?;
        }
        match kind {
            EntryType::Directory if is_directory => {}
            EntryType::Directory => self.create_directory(place)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = File::options().create_new(true).write(true).open(place)?;
                io::copy(entry, &mut file)?;
                // A time that no clock shows is none.
                let time = entry.header().mtime().ok();
                let time = time.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
                time.map_or(Ok(()), |time| file.set_modified(time))?;
            }
            EntryType::Symlink => symlink(link.ok_or_else(|| wrong("a link without a target"))?, place)?,
            EntryType::Link => {
                let target = plain(&link.ok_or_else(|| wrong("a link without a target"))?)?;
                let above = self.inside(target.parent().unwrap_or(Path::new("")))?;
                let first = above.join(target.file_name().ok_or_else(|| wrong("a link to the root"))?);
                // What it is was said where it stands first.
                return self.name(&first, place);
            }
            EntryType::Char | EntryType::Block => {
                let number = |part: io::Result<Option<u32>>| part.map(Option::unwrap_or_default);
                let (major, minor) = (number(entry.header().device_major())?, number(entry.header().device_minor())?);
                let mode = if kind == EntryType::Char { libc::S_IFCHR } else { libc::S_IFBLK };
                node(place, mode, libc::makedev(major, minor))?;
            }
            EntryType::Fifo => node(place, libc::S_IFIFO, 0)?,
            _ => return Ok(()),
        }
        settle(entry, place)
    }

    /// Another name of a file, which may be in a layer below: then it is copied for its first name here, and no other.
    fn name(&self, first: &Path, place: &Path) -> io::Result<()> {
        match fs::symlink_metadata(first) {
            Ok(metadata) if is_whiteout(&metadata) => return Err(wrong("a link to what is gone")),
            Ok(_) => return self.link(first, place),
            Err(_) => {}
        }
        let Some(lower) = first.strip_prefix(self.root).ok().and_then(self.below) else {
            return self.link(first, place);
        };
        let copy = self.copies.borrow().get(first).cloned();
        match copy {
            Some(copy) => self.link(&copy, place)?,
            None => self.copy(&lower, place)?,
        }
        self.copies.borrow_mut().insert(first.to_owned(), place.to_owned());
        Ok(())
    }

    fn link(&self, first: &Path, place: &Path) -> io::Result<()> {
        match fs::hard_link(first, place) {
            // A file has no more names than its file system allows.
            Err(error) if error.raw_os_error() == Some(libc::EMLINK) => self.copy(first, place),
            linked => linked,
        }
    }

    /// The same file, or link, again. It counts like what is unpacked.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.budget.fits(fs::symlink_metadata(from)?.len())?;
        copy_through(from, to, &Owners::default(), |content| Metered { from: content, budget: self.budget })
    }

    /// The directory that a path means inside of the root, through links of that root alone, and of what is below it; made
    /// where it is not there, as it is below.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let mut open: Vec<OsString> = path.iter().rev().map(OsStr::to_owned).collect();
        let mut place: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = open.pop() {
            if part == ".." {
                place.pop();
                continue;
            }
            let path = place.iter().collect::<PathBuf>().join(&part);
            let full = self.root.join(&path);
            let lower = if exists(&full) { None } else { (self.below)(&path) };
            let shown = lower.as_deref().unwrap_or(&full);
            match fs::symlink_metadata(shown) {
                Ok(metadata) if metadata.file_type().is_symlink() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(wrong("links lead around in a circle"));
                    }
                    let target = fs::read_link(shown)?;
                    if target.is_absolute() {
                        place.clear();
                    }
                    let steps = target.components().rev().filter_map(|part| match part {
                        Component::Normal(name) => Some(name.to_owned()),
                        Component::ParentDir => Some("..".into()),
                        _ => None,
                    });
                    open.extend(steps);
                    continue;
                }
                Ok(metadata) if metadata.is_dir() => {
                    if let Some(lower) = &lower {
                        fs::create_dir(&full)?;
                        alike(lower, &full, &Owners::default())?;
                    }
                }
                Ok(_) => {
                    self.create_directory(&full)?;
                    fs::set_permissions(&full, Permissions::from_mode(0o755))?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&full)?;
                    fs::set_permissions(&full, Permissions::from_mode(0o755))?;
                }
                Err(error) => return Err(error),
            }
            place.push(part);
        }
        Ok(self.root.join(place.iter().collect::<PathBuf>()))
    }

    /// Makes a directory in place of whatever else is there. One that was said to be gone hides what is below it.
    fn create_directory(&self, place: &Path) -> io::Result<()> {
        let was_gone = fs::symlink_metadata(place).is_ok_and(|metadata| is_whiteout(&metadata));
        self.clear(place)?;
        fs::create_dir(place)?;
        if was_gone { set_attribute(place, opaque_attribute(), b"y") } else { Ok(()) }
    }

    fn clear(&self, place: &Path) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(place) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        // It may be a copy, or hold one.
        self.copies.borrow_mut().clear();
        if metadata.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Gives a path what its entry says of owner, mode and extended attributes.
fn settle<R: Read>(entry: &mut tar::Entry<'_, R>, place: &Path) -> io::Result<()> {
    let number = |id: u64| u32::try_from(id).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let (user, group) = (number(entry.header().uid()?)?, number(entry.header().gid()?)?);
    let mode = entry.header().mode()? & 0o7777;
    let mut attributes = Vec::new();
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.")
            && [&b"user."[..], b"security.", b"system.posix_acl_"].iter().any(|start| name.starts_with(start))
        {
            attributes.push((CString::new(name)?, extension.value_bytes().to_owned()));
        }
    }
    lchown(place, Some(user), Some(group))?;
    if !fs::symlink_metadata(place)?.file_type().is_symlink() {
        fs::set_permissions(place, Permissions::from_mode(mode))?;
    }
    attributes.iter().try_for_each(|(name, value)| set_attribute(place, name, value))
}

/// A path without anything that leads up or away.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let text = format!("the path {} leads out of the layer", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    Ok(plain)
}

fn exists(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok()
}

/// Gives a path the owner, mode and extended attributes of another one.
pub(crate) fn alike(from: &Path, to: &Path, owners: &Owners) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let (user, group) = owners.of(from, &metadata)?;
    lchown(to, Some(user), Some(group))?;
    if !metadata.file_type().is_symlink() {
        fs::set_permissions(to, Permissions::from_mode(metadata.mode() & 0o7777))?;
    }
    attributes_of(from, owners)?.iter().try_for_each(|(name, value)| set_attribute(to, name, value))
}

/// The same file, or link, again.
pub(crate) fn copy(from: &Path, to: &Path, owners: &Owners) -> io::Result<()> {
    copy_through(from, to, owners, |content| content)
}

fn copy_through<R: Read>(from: &Path, to: &Path, owners: &Owners, through: impl FnOnce(File) -> R) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        io::copy(&mut through(File::open(from)?), &mut File::options().create_new(true).write(true).open(to)?)?;
    } else {
        return Err(wrong("a link to what is no file"));
    }
    alike(from, to, owners)
}

fn node(place: &Path, kind: libc::mode_t, device: libc::dev_t) -> io::Result<()> {
    let path = CString::new(place.as_os_str().as_bytes())?;
    // SAFETY: the path ends in a zero byte.
    match unsafe { libc::mknod(path.as_ptr(), kind | 0o644, device) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
