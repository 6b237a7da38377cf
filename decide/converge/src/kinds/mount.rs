use std::sync::Arc;

use andon_schema::host::{Act, Bytes, Command, Look, Node, Sight, Stage};
use andon_schema::{Block, Change};
use andon_value::Type;

use super::mounts::{Entry, Mount, differing, entry, mounts, split};
use super::{Decision, Kind};
use crate::args::{Args, block, check_path, look_at, optional, parent};
use crate::text::show;
use crate::world::{World, bytes_of};

/// A file system at a place: now, and after the next boot.
pub(super) const KIND: Kind = Kind { name: "mount", schema, check, looks, decide };

const FSTAB: &str = "/etc/fstab";
/// Of the thread, as a server's namespaces may be those of a thread alone.
const MOUNTS: &str = "/proc/thread-self/mountinfo";
const SWAPS: &str = "/proc/swaps";
/// It is there where systemd runs, which makes units of fstab's lines.
const SYSTEMD: &str = "/run/systemd/system";

fn schema() -> Block {
    block(
        "A file system at a place: mounted now, and by a line in `/etc/fstab` after the next boot. Its directory is made. \
         In an image it is only a line. `absent` unmounts it and takes the line out.",
        &[
            ("path", optional(Type::String, "Where it is mounted; without it, the label. Nothing for swap.")),
            (
                "device",
                optional(
                    Type::String,
                    "What is mounted: a device, `UUID=…`, `LABEL=…`, `HOST:/PATH` of NFS, a directory to bind, or a word.",
                ),
            ),
            (
                "fstype",
                optional(
                    Type::String,
                    "The kind of file system, such as `ext4`, `tmpfs`, `nfs` or `swap`; without it, found out.",
                ),
            ),
            (
                "options",
                optional(
                    Type::list(Type::String),
                    "Its options, such as `noatime` and `bind`; their order does not count. Without it, they are left alone.",
                ),
            ),
            ("dump", optional(Type::Number, "The fifth field of its line: 1 for what `dump` saves.")),
            ("pass", optional(Type::Number, "The sixth field: the order of checks at boot, 0 for none.")),
            (
                "mounted",
                optional(Type::Bool, "Whether it is mounted; without it, it is unless its options say `noauto`."),
            ),
            ("in_fstab", optional(Type::Bool, "Whether it has a line in `/etc/fstab`; without it, it has.")),
        ],
    )
}

fn is_swap(args: &Args) -> bool {
    args.text("fstype").as_deref() == Some("swap")
}

fn options(args: &Args) -> Option<Vec<String>> {
    args.has("options").then(|| args.texts("options").iter().flat_map(|option| split(option)).collect())
}

fn check(args: &Args) -> Vec<String> {
    let mut wrong = Vec::new();
    if !is_swap(args) {
        wrong.extend(check_path(&args.subject("path")));
    }
    if !args.has("device") && (is_swap(args) || !args.absent) {
        wrong.push("a mount needs a `device`".to_owned());
    }
    for attribute in ["device", "fstype"] {
        if args
            .text(attribute)
            .is_some_and(|text| text.is_empty() || text.starts_with('-') || text.contains(['\n', '\0']))
        {
            wrong.push(format!("`{attribute}` is empty, or begins with a dash, or is more than one line"));
        }
    }
    let broken = |option: &Arc<str>| option.is_empty() || option.contains([' ', '\t', '\n', '\0']);
    wrong.extend(
        args.texts("options").iter().filter(|it| broken(it)).map(|it| format!("`{it}` is not an option of a mount")),
    );
    if args.is_secret("options") {
        wrong.push(
            "`options` hold a secret, and everyone on a server sees those of a mount; keep it in a file that an option \
             names, such as `credentials=FILE`"
                .to_owned(),
        );
    }
    for attribute in ["dump", "pass"] {
        if args.has(attribute) && args.whole(attribute).is_none_or(|number| number > 9) {
            wrong.push(format!("`{attribute}` is not a whole number from 0 to 9"));
        }
    }
    wrong
}

fn looks(args: &Args, world: &World) -> Vec<Look> {
    let table = |path: &str| Look::Path { path: path.into(), content: true };
    let mut looks = vec![table(FSTAB)];
    let device = args.text("device");
    if world.stage == Stage::Live {
        looks.extend([table(if is_swap(args) { SWAPS } else { MOUNTS }), look_at(SYSTEMD)]);
        let now = mounted(args, world).ok().flatten().map(|mount| mount.source);
        let paths = device.iter().map(|device| named(device)).chain(now).filter(|path| path.starts_with('/'));
        looks.extend(paths.map(|path| look_at(&path)));
    }
    if !is_swap(args) && !args.absent {
        looks.push(look_at(&args.subject("path")));
    }
    looks
}

/// The path of a device that is given by what is on it.
fn named(device: &str) -> String {
    let by = |kind: &str, name: &str| {
        format!("/dev/disk/by-{kind}/{}", name.trim_matches('"').replace('/', "\\x2f").replace(' ', "\\x20"))
    };
    match device.split_once('=') {
        Some(("UUID", name)) => by("uuid", name),
        Some(("LABEL", name)) => by("label", name),
        Some(("PARTUUID", name)) => by("partuuid", name),
        Some(("PARTLABEL", name)) => by("partlabel", name),
        Some(("ID", name)) => by("id", name),
        _ => device.to_owned(),
    }
}

fn text_of(world: &World, path: &str) -> Result<String, String> {
    Ok(bytes_of(world.entry(path)?).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default())
}

/// What is mounted at the place, the uppermost.
fn mounted(args: &Args, world: &World) -> Result<Option<Mount>, String> {
    let path = args.subject("path");
    Ok(mounts(&text_of(world, MOUNTS)?).into_iter().rev().find(|mount| *mount.path == *path))
}

/// Where a path leads, if it is a link.
fn resolved(path: &str, world: &World) -> String {
    let Ok(Some(Node::Link(target))) = world.entry(path).map(|entry| entry.map(|entry| &entry.node)) else {
        return path.to_owned();
    };
    if target.starts_with('/') {
        return target.to_string();
    }
    let mut steps: Vec<&str> = parent(path).split('/').filter(|step| !step.is_empty()).collect();
    for step in target.split('/') {
        match step {
            ".." => drop(steps.pop()),
            "." | "" => {}
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

fn decide(args: &Args, world: &World) -> Result<Decision, String> {
    let fstab = text_of(world, FSTAB)?;
    let old = fstab.lines().filter_map(entry).find(|entry| is_ours(args, entry));
    let wish = (!args.absent).then(|| wish(args, old.as_ref()));
    let in_fstab = !args.absent && args.truth("in_fstab") != Some(false);
    let mut differences = Vec::new();
    let mut acts = Vec::new();
    let mut was_there = old.is_some();
    if world.stage == Stage::Live {
        let live = match is_swap(args) {
            true => swap(args, world, wish.as_ref())?,
            false => live(args, world, wish.as_ref(), old.as_ref())?,
        };
        was_there |= live.was_there;
        differences.extend(live.differences);
        acts.extend(live.acts);
    } else if wish.is_some() && !is_swap(args) {
        acts.extend(make_place(args, world)?);
    }
    let new = new_fstab(args, &fstab, wish.as_ref().filter(|_| in_fstab));
    let shown = show(Some(fstab.as_bytes()), Some(new.as_bytes()), false);
    if new != fstab {
        let content = Bytes::from(&*new);
        let (path, mode) = (FSTAB.into(), if fstab.is_empty() { Some(0o644) } else { None });
        acts.push(Act::WriteFile { path, content, mode, owner: None, group: None, validate: None });
        if world.stage == Stage::Live && world.entry(SYSTEMD)?.is_some() {
            acts.push(Act::ReadUnits);
        }
    }
    let change = match (acts.is_empty(), args.absent, was_there) {
        (true, ..) => Change::None,
        (false, true, _) => Change::Remove,
        (false, false, true) => Change::Update,
        (false, false, false) => Change::Create,
    };
    Ok(Decision { diff: shown.diff, ..Decision::new(change, differences, acts) })
}

fn is_ours(args: &Args, entry: &Entry) -> bool {
    match is_swap(args) {
        true => entry.kind == "swap" && args.text("device").is_some_and(|device| *device == *entry.device),
        false => entry.kind != "swap" && *args.subject("path") == *entry.path,
    }
}

/// The line that is asked for. What is not said stays as it is in the old one.
fn wish(args: &Args, old: Option<&Entry>) -> Entry {
    let number = |attribute: &str| args.whole(attribute).and_then(|number| number.try_into().ok());
    let path = if is_swap(args) { "none".to_owned() } else { args.subject("path").to_string() };
    let options = options(args).or(old.map(|old| old.options.clone())).unwrap_or_default();
    let is_bind = options.iter().any(|option| option == "bind" || option == "rbind");
    let kind = args.text("fstype").map(|kind| kind.to_string()).or(old.map(|old| old.kind.clone()));
    Entry {
        device: args.text("device").map(|device| device.to_string()).unwrap_or_default(),
        path: old.map_or(path, |old| old.path.clone()),
        kind: kind.unwrap_or_else(|| if is_bind { "none" } else { "auto" }.to_owned()),
        options,
        dump: number("dump").or(old.map(|old| old.dump)).unwrap_or(0),
        pass: number("pass").or(old.map(|old| old.pass)).unwrap_or(0),
    }
}

fn new_fstab(args: &Args, fstab: &str, wish: Option<&Entry>) -> String {
    let mut new = String::new();
    let mut placed = false;
    for line in fstab.lines() {
        let ours = entry(line).filter(|entry| is_ours(args, entry));
        match (ours, wish) {
            (Some(ours), Some(wish)) if !placed => {
                placed = true;
                new.push_str(&if ours.is_like(wish) { line.to_owned() } else { wish.line() });
            }
            // A second line for the same place would be mounted over the first.
            (Some(_), _) => continue,
            (None, _) => new.push_str(line),
        }
        new.push('\n');
    }
    if let Some(wish) = wish.filter(|_| !placed) {
        new.push_str(&format!("{}\n", wish.line()));
    }
    // A missing end of the last line is no difference.
    if new.trim_end_matches('\n') == fstab.trim_end_matches('\n') { fstab.to_owned() } else { new }
}

/// What has to be done now.
#[derive(Default)]
struct Live {
    was_there: bool,
    differences: Vec<String>,
    acts: Vec<Act>,
}

fn live(args: &Args, world: &World, wish: Option<&Entry>, old: Option<&Entry>) -> Result<Live, String> {
    let path = args.subject("path");
    let now = mounted(args, world)?;
    let mut live = Live { was_there: now.is_some(), ..Live::default() };
    let noauto = wish.is_some_and(|wish| wish.options.iter().any(|option| option == "noauto"));
    let wanted = match args.truth("mounted") {
        _ if wish.is_none() => Some(false),
        None if noauto => None,
        given => Some(given.unwrap_or(true)),
    };
    let Some(wish) = wish.filter(|_| wanted != Some(false)) else {
        if now.is_some() {
            live.differences.push("mounted true → false".to_owned());
            live.acts.push(unmount(&path, world)?);
        }
        return Ok(live);
    };
    live.acts.extend(make_place(args, world)?);
    if wanted.is_none() {
        return Ok(live);
    }
    let Some(now) = now else {
        live.differences.push("mounted false → true".to_owned());
        live.acts.push(mount(wish, world)?);
        return Ok(live);
    };
    if let Some(difference) = other_system(args, wish, &now, world)? {
        live.differences.push(difference);
        live.acts.extend([unmount(&path, world)?, mount(wish, world)?]);
        return Ok(live);
    }
    if args.has("options") {
        let mut options = differing(&wish.options, &now);
        // The kernel does not show all that it was given: where the line changes, it is given again.
        let changed = old.is_some_and(|old| !old.is_like(&Entry { options: wish.options.clone(), ..old.clone() }));
        if !options.is_empty() || changed {
            let shown = now.options.concat();
            options.extend(wish.options.iter().cloned());
            if !differing(&wish.options, &now).is_empty() {
                let from = dedup(shown).join(",");
                live.differences.push(args.difference("options", &from, &wish.options.join(",")));
            } else {
                live.differences.push("is mounted again with its options".to_owned());
            }
            live.acts.push(remount(wish, dedup(options), &now, world)?);
        }
    }
    Ok(live)
}

fn dedup(options: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for option in options {
        if !seen.contains(&option) {
            seen.push(option);
        }
    }
    seen
}

/// Makes the place of a mount, a file where a file is bound to it.
fn make_place(args: &Args, world: &World) -> Result<Option<Act>, String> {
    let path = args.subject("path");
    if world.entry(&path)?.is_some() {
        return Ok(None);
    }
    let is_file = |path: &Arc<str>| matches!(world.entry(path), Ok(Some(entry)) if matches!(entry.node, Node::File(_)));
    let bound = options(args).unwrap_or_default().iter().any(|option| option == "bind");
    let (mode, owner, group) = (None, None, None);
    Ok(Some(match args.text("device").filter(|device| bound && is_file(device)) {
        Some(_) => Act::WriteFile { path, content: Bytes::default(), mode, owner, group, validate: None },
        None => Act::MakeDirectory { path, mode, owner, group },
    }))
}

/// How what is mounted is not what is asked for.
fn other_system(args: &Args, wish: &Entry, now: &Mount, world: &World) -> Result<Option<String>, String> {
    if wish.options.iter().any(|option| option == "bind" || option == "rbind") {
        let expected = bound(&wish.device, world)?;
        let is = (&now.numbers, &now.root);
        let differs = expected.as_ref().is_some_and(|(numbers, root)| (numbers, root) != is);
        return Ok(differs.then(|| args.difference("device", &format!("{}{}", now.source, now.root), &wish.device)));
    }
    let same_kind = matches!(wish.kind.as_str(), "auto" | "none" | "")
        || wish.kind == now.kind
        || (wish.kind.starts_with("nfs") && now.kind.starts_with("nfs"))
        || (now.kind.starts_with("fuse") && (wish.kind.starts_with("fuse") || wish.kind.starts_with("ntfs")));
    if !same_kind {
        return Ok(Some(args.difference("fstype", &now.kind, &wish.kind)));
    }
    let device = named(&wish.device);
    let trimmed = |text: &str| text.trim_end_matches('/').to_owned();
    let is_same = if !device.starts_with('/') {
        // What has no device is only called something; a share is told apart by its name.
        !device.contains(":/") || trimmed(&device) == trimmed(&now.source)
    } else if device.starts_with("//") {
        trimmed(&device) == trimmed(&now.source)
    } else {
        match world.entry(&device)?.map(|entry| &entry.node) {
            // Nobody keeps the links by which it could be told apart.
            None => device != wish.device || *device == now.source,
            // A file is mounted by way of a loop device.
            Some(Node::File(_)) => now.source.starts_with("/dev/loop"),
            Some(_) => device == now.source || resolved(&device, world) == resolved(&now.source, world),
        }
    };
    Ok((!is_same).then(|| args.difference("device", &now.source, &wish.device)))
}

/// What is seen at a place where a directory is bound: the device's numbers, and what of its file system.
fn bound(source: &str, world: &World) -> Result<Option<(String, String)>, String> {
    let all = mounts(&text_of(world, MOUNTS)?);
    let holds = |mount: &&Mount| {
        mount.path == "/"
            || source == mount.path
            || source.strip_prefix(&mount.path).is_some_and(|rest| rest.starts_with('/'))
    };
    let mut best: Option<&Mount> = None;
    for mount in all.iter().filter(holds) {
        // Of mounts at the same place the last is uppermost.
        if best.is_none_or(|best| mount.path.len() >= best.path.len()) {
            best = Some(mount);
        }
    }
    Ok(best.map(|mount| {
        let rest = if mount.path == "/" { source } else { source.strip_prefix(&mount.path).unwrap_or_default() };
        let root = format!("{}{rest}", mount.root.trim_end_matches('/'));
        (mount.numbers.clone(), if root.is_empty() { "/".to_owned() } else { root })
    }))
}

/// Runs a tool after which the table of mounts is another.
fn run(words: &[&str], path: &str, table: Vec<Mount>, world: &World) -> Result<Act, String> {
    let content: String = table.iter().map(Mount::line).collect();
    let mut seen = world.entry(MOUNTS)?.cloned().ok_or("this server shows no table of mounts")?;
    seen.node = Node::File(Some(Bytes::from(&*content)));
    let place = world.entry(path).ok().flatten().cloned();
    let mut makes = vec![(Look::Path { path: MOUNTS.into(), content: true }, Sight::Path(Some(seen)))];
    makes.extend(place.map(|place| (look_at(path), Sight::Path(Some(place)))));
    let doing = (words.first() == Some(&"mount")).then(|| format!("mounting {path}").into());
    Ok(Act::Run { command: Command::new(words.iter().copied()), doing, makes, only: true })
}

fn mount(wish: &Entry, world: &World) -> Result<Act, String> {
    let options: Vec<String> = wish.options.iter().filter(|option| *option != "noauto").cloned().collect();
    let joined = options.join(",");
    let mut words = vec!["mount"];
    if !matches!(wish.kind.as_str(), "auto" | "none" | "") {
        words.extend(["-t", wish.kind.as_str()]);
    }
    if !options.is_empty() {
        words.extend(["-o", joined.as_str()]);
    }
    words.extend([wish.device.as_str(), wish.path.as_str()]);
    let mut table = mounts(&text_of(world, MOUNTS)?);
    let bind = options.iter().any(|option| option == "bind" || option == "rbind");
    let (numbers, root) = bound(&wish.device, world)?.filter(|_| bind).unwrap_or(("0:0".to_owned(), "/".to_owned()));
    let new = Mount {
        numbers,
        root,
        path: wish.path.clone(),
        kind: wish.kind.clone(),
        source: resolved(&named(&wish.device), world),
        options: [options.clone(), options.clone()],
    };
    table.push(new);
    run(&words, &wish.path, table, world)
}

fn remount(wish: &Entry, options: Vec<String>, now: &Mount, world: &World) -> Result<Act, String> {
    let mut options: Vec<String> = options.into_iter().filter(|option| option != "noauto").collect();
    options.insert(0, "remount".to_owned());
    let joined = options.join(",");
    let mut table = mounts(&text_of(world, MOUNTS)?);
    if let Some(mount) = table.iter_mut().rev().find(|mount| mount.path == now.path) {
        mount.options = [wish.options.clone(), wish.options.clone()];
    }
    run(&["mount", "-o", &joined, &wish.device, &wish.path], &wish.path, table, world)
}

fn unmount(path: &str, world: &World) -> Result<Act, String> {
    let mut table = mounts(&text_of(world, MOUNTS)?);
    if let Some(at) = table.iter().rposition(|mount| mount.path == path) {
        table.remove(at);
    }
    run(&["umount", path], path, table, world)
}

/// Whether swap is used.
fn swap(args: &Args, world: &World, wish: Option<&Entry>) -> Result<Live, String> {
    let device = args.text("device").unwrap_or_default();
    let wanted = resolved(&named(&device), world);
    let text = text_of(world, SWAPS)?;
    let used = |line: &&str| line.split_whitespace().next().is_some_and(|path| path.replace("\\040", " ") == wanted);
    let now = text.lines().find(used);
    let mut live = Live { was_there: now.is_some(), ..Live::default() };
    let auto = wish.is_some_and(|wish| !wish.options.iter().any(|option| option == "noauto"));
    let goal = match args.truth("mounted") {
        _ if wish.is_none() => false,
        None if !auto => return Ok(live),
        given => given.unwrap_or(true),
    };
    if goal == now.is_some() {
        return Ok(live);
    }
    let mut seen = world.entry(SWAPS)?.cloned().ok_or("this server's kernel knows no swap")?;
    let others: String = text.lines().filter(|line| !used(line)).map(|line| format!("{line}\n")).collect();
    let content = if goal { format!("{others}{} partition 0 0 -2\n", wanted.replace(' ', "\\040")) } else { others };
    seen.node = Node::File(Some(Bytes::from(&*content)));
    let known: Vec<String> = wish.map(|wish| wish.options.clone()).unwrap_or_default();
    let joined = known
        .iter()
        .filter(|it| it.starts_with("pri=") || it.starts_with("discard"))
        .cloned()
        .collect::<Vec<_>>()
        .join(",");
    let mut words = vec![if goal { "swapon" } else { "swapoff" }];
    if goal && !joined.is_empty() {
        words.extend(["-o", joined.as_str()]);
    }
    words.push(&device);
    live.differences.push(format!("used {} → {goal}", !goal));
    live.acts.push(Act::Run {
        command: Command::new(words),
        doing: None,
        makes: vec![(Look::Path { path: SWAPS.into(), content: true }, Sight::Path(Some(seen)))],
        only: true,
    });
    Ok(live)
}
