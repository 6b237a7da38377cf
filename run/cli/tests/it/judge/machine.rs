//! A machine of a test's own: an overlay over this one's root file system in namespaces of a thread. It goes with the
//! thread.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root, sethostname};

/// Where the layer with all that has changed is seen.
const CHANGED: &str = "/run/changed";

/// What is no part of the comparison: the records of each tool, and what tools keep of before.
const IGNORED: [&str; 15] = [
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/root",
    "/tmp",
    "/var/cache",
    "/var/lib/andon",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/log",
    "/var/mail",
];

/// The state of each path that changed, as text.
pub type States = BTreeMap<String, String>;

/// Puts this thread on a machine of its own, which sees the directories given as they are.
pub fn enter(at: &Path, seen: &[&Path]) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNET)?;
    let none = None::<&str>;
    let bind = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
    };
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), none)?;
    for name in ["still", "upper", "work", "root"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    hold_still("/etc", &at.join("still"));
    let root = at.join("root");
    let options = format!("lowerdir={0}/still:/,upperdir={0}/upper,workdir={0}/work", at.display());
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
    for path in ["/proc", "/dev"].map(Path::new).into_iter().chain(seen.iter().copied()) {
        bind(path, &root.join(path.strip_prefix("/").unwrap()))?;
    }
    mount(Some("tmpfs"), &root.join("run"), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    bind(&at.join("upper"), &root.join(CHANGED.trim_start_matches('/')))?;
    let loopback = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(loopback.is_ok_and(|status| status.success()), "the loopback device stays down");
    chdir(&root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    sethostname("start")
}

/// Puts a copy of a directory into a layer, and has it hide the one below: whoever adds a user to this machine meanwhile
/// would have its lock seen on the other, where nobody gives it back.
fn hold_still(directory: &str, layer: &Path) {
    let copied = Command::new("cp").arg("-a").arg(directory).arg(layer).status();
    assert!(copied.is_ok_and(|status| status.success()), "{directory} cannot be copied");
    let path = format!("{}{directory}\0", layer.display());
    // SAFETY: all three are texts that end with a zero, and live until the call is over.
    let marked = unsafe {
        let name = c"trusted.overlay.opaque".as_ptr();
        libc::setxattr(path.as_ptr().cast(), name, c"y".as_ptr().cast(), 1, 0)
    };
    assert_eq!(marked, 0, "{directory} cannot be made to hide another");
}

/// Runs a command on this thread's machine: whether it ended well, what it said, what it complained of.
pub fn run(command: &mut Command) -> (bool, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match command.stdin(Stdio::null()).output() {
        Ok(Output { status, stdout, stderr }) => (status.success(), text(stdout), text(stderr)),
        Err(error) => (false, String::new(), error.to_string()),
    }
}

/// All paths that have changed on this machine since it was made.
pub fn changed() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(format!("{CHANGED}{directory}")).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
            if IGNORED.contains(&path.as_str()) || path.ends_with("/.git") {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                left.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

/// What is at these paths, here, and what the kernel and the package manager say.
pub fn states<'a>(paths: impl IntoIterator<Item = &'a String>) -> States {
    let mut states: States = paths.into_iter().map(|path| (path.clone(), state(path))).collect();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let mounts: Vec<&str> = mounts.split_inclusive('\n').filter(|line| line.contains("/judge/")).collect();
    let format = "${Package} ${Version} ${db:Status-Abbrev}\n";
    let (_, packages, _) = run(Command::new("dpkg-query").args(["--show", "--showformat", format]));
    states.insert("packages".to_owned(), packages);
    states.insert("the kernel".to_owned(), format!("hostname {name}ip_forward {forward}{}", mounts.concat()));
    states
}

fn state(path: &str) -> String {
    let Ok(metadata) = fs::symlink_metadata(path) else { return "nothing\n".to_owned() };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return format!("link to {}\n", fs::read_link(path).unwrap().display());
    }
    let meta = format!("{:04o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    if kind.is_dir() {
        return format!("directory {meta}\n");
    }
    if kind.is_char_device() || !kind.is_file() {
        return format!("{kind:?} {meta}\n");
    }
    let content = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let content = match path {
        "/etc/shadow" => without_dates(&content),
        "/etc/fstab" => {
            content.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
        }
        _ => content,
    };
    format!("file {meta}\n{content}")
}

/// The day of the last change of a password is that of the test.
fn without_dates(shadow: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let Some(day) = fields.get_mut(2) {
            *day = "DAY";
        }
        fields.join(":") + "\n"
    };
    shadow.lines().map(line).collect()
}
