//! Small root file systems, and what is done to them.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use andon_image::{Digest, Images, RecipeKey, Settings};
use andon_schema::Identity;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Why real images cannot be made here.
pub fn unable() -> Option<String> {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root".into());
    }
    let tried = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    (!tried.is_ok_and(|status| status.success())).then(|| "namespaces cannot be made here".into())
}

/// A directory of a test's own.
pub struct Data(pub PathBuf);

impl Data {
    pub fn new(name: &str) -> Data {
        let directory = std::env::temp_dir().join(format!("andon-image-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Data(directory)
    }

    pub fn images(&self) -> Images {
        Images::open(&self.0.join("data"), Settings::default()).unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A small file system of its own at a directory, so that it can be full.
pub struct Small(PathBuf);

impl Small {
    pub fn mount(at: &Path) -> Option<Small> {
        let options = Some("size=4m,mode=755");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), options).ok().map(|()| Small(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

pub fn root_file_system(at: &Path) -> PathBuf {
    for directory in ["etc", "opt", "srv/data", "usr", "var/log"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    fs::write(at.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(at.join("etc/machine-id"), "").unwrap();
    fs::write(at.join("srv/data/kept"), "kept").unwrap();
    fs::write(at.join("usr/removed"), "here").unwrap();
    symlink("usr", at.join("bin")).unwrap();
    at.to_owned()
}

pub fn fill(at: &Path, files: usize) {
    fs::create_dir_all(at).unwrap();
    for number in 0..files {
        fs::write(at.join(number.to_string()), vec![number as u8; 4096]).unwrap();
    }
}

/// Makes an image by what `change` does to its root.
pub fn bake(images: &Images, base: &Digest, identity: &str, recipe: &str, change: impl Fn(&Path) + Send) -> Digest {
    let work = images.begin(&Identity::parse(identity).unwrap(), base).unwrap();
    overlay(work.lower(), &work.upper(), &work.work(), change);
    work.commit(&RecipeKey::of([recipe.as_bytes()])).unwrap()
}

/// Looks at an image.
pub fn in_overlay(images: &Images, digest: &Digest, look: impl FnMut(&Path) + Send) {
    let work = images.begin(&Identity::parse("look").unwrap(), digest).unwrap();
    overlay(work.lower(), &work.upper(), &work.work(), look);
}

/// Runs `inside` on an overlay that only one thread sees.
pub fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, mut inside: impl FnMut(&Path) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            // By descriptor, since all names must fit on one page.
            let opened: Vec<fs::File> = lower.iter().map(|path| fs::File::open(path).unwrap()).collect();
            let below: Vec<String> = opened.iter().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd())).collect();
            let options = format!(
                "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off,index=off",
                below.join(":"),
                upper.display(),
                work.display()
            );
            mount(Some("overlay"), upper, Some("overlay"), MsFlags::empty(), Some(options.as_str())).unwrap();
            inside(upper);
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// All that a directory holds: paths, and what they are.
pub fn everything(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = match metadata.file_type() {
            kind if kind.is_file() => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            _ => String::new(),
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let line = format!("{:o} {}:{} {} {content}", metadata.mode(), metadata.uid(), metadata.gid(), metadata.rdev());
        found.push((name, line));
        if metadata.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn set_attribute(path: &Path, name: &str, value: &str) {
    let (path, name) = (CString::new(path.as_os_str().as_bytes()).unwrap(), CString::new(name).unwrap());
    // SAFETY: both names end in a zero byte, and the value has the length that is given.
    let set = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

pub fn make_node(path: &Path, kind: libc::mode_t, device: libc::dev_t) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends in a zero byte.
    assert_eq!(unsafe { libc::mknod(path.as_ptr(), kind | 0o644, device) }, 0);
}
