//! A root file system for one test: an overlay over this machine's, in a mount namespace of the test's thread. It goes
//! with the thread.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};

/// Runs a test in a root file system of its own; says why where this machine cannot have one.
pub fn in_a_root(test: impl FnOnce() + Send + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let ran = std::thread::spawn(move || match enter(&path) {
        Ok(()) => test(),
        Err(error) => println!("skipped: this machine gives no mount namespace with an overlay: {error}"),
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

fn enter(at: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), none)?;
    for name in ["upper", "work", "root"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    let root = at.join("root");
    let options = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", at.display());
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
    for name in ["proc", "dev", "sys"] {
        mount(Some(&Path::new("/").join(name)), &root.join(name), none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    for name in ["run", "tmp"] {
        mount(Some("tmpfs"), &root.join(name), Some("tmpfs"), MsFlags::empty(), Some("mode=1777"))?;
    }
    chdir(&root)?;
    pivot_root(".", ".")?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    chdir("/")
}

pub fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The mounts of this thread's namespace, without their numbers.
pub fn mounts() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
}
