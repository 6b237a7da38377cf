//! The two tables of mounts: fstab(5), which is for the next boot, and `/proc/self/mountinfo`, which is now (proc(5)).

/// One line of fstab(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub device: String,
    pub path: String,
    pub kind: String,
    pub options: Vec<String>,
    pub dump: u32,
    pub pass: u32,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The device's numbers, as `8:1`.
    pub numbers: String,
    /// What of the file system is seen there: `/` or, where it is bound, something beneath.
    pub root: String,
    pub path: String,
    pub kind: String,
    pub source: String,
    /// Those of the mount, then those of the file system.
    pub options: [Vec<String>; 2],
}

/// Reads one line of fstab(5); `None` for blanks and comments.
pub(super) fn entry(line: &str) -> Option<Entry> {
    if line.trim_start().starts_with('#') {
        return None;
    }
    let mut fields = line.split_whitespace();
    let mut next = || fields.next().map(plain);
    let (device, path, kind) = (next()?, next()?, next()?);
    let options = split(&next().unwrap_or_default());
    let mut number = || next().and_then(|field| field.parse().ok()).unwrap_or(0);
    Some(Entry { device, path, kind, options, dump: number(), pass: number() })
}

impl Entry {
    /// The line, without its end.
    pub fn line(&self) -> String {
        let options = if self.options.is_empty() { "defaults".to_owned() } else { self.options.join(",") };
        let [device, path, kind, options] =
            [&self.device, &self.path, &self.kind, &options].map(|field| escaped(field));
        format!("{device} {path} {kind} {options} {} {}", self.dump, self.pass)
    }

    /// Whether two lines come to the same; the order of options does not count.
    pub fn is_like(&self, other: &Entry) -> bool {
        let sorted = |entry: &Entry| {
            let mut options: Vec<String> = entry.options.clone();
            options.retain(|option| option != "defaults");
            options.sort();
            options.dedup();
            options
        };
        let rest = |entry: &Entry| Entry { options: Vec::new(), ..entry.clone() };
        sorted(self) == sorted(other) && rest(self) == rest(other)
    }
}

/// The mounts of a table, lowest first.
pub(super) fn mounts(table: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let mut back = back.split(' ');
        Some(Mount {
            numbers: front.next()?.to_owned(),
            root: plain(front.next()?),
            path: plain(front.next()?),
            options: [split(front.next()?), Vec::new()],
            kind: back.next()?.to_owned(),
            source: plain(back.next()?),
        })
        .map(|mut mount| {
            mount.options[1] = split(back.next().unwrap_or_default());
            mount
        })
    };
    table.lines().filter_map(mount).collect()
}

impl Mount {
    /// The line that shows it, as far as it can be foreseen.
    pub fn line(&self) -> String {
        let Mount { numbers, root, path, kind, source, options: [own, of_system] } = self;
        let [root, path, source] = [root, path, source].map(|field| escaped(field));
        format!("0 0 {numbers} {root} {path} {} - {kind} {source} {}\n", own.join(","), of_system.join(","))
    }
}

/// Options at their commas.
pub(super) fn split(options: &str) -> Vec<String> {
    options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect()
}

/// A field with its escapes: a backslash and three octal digits for what cannot stand in one.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

fn plain(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits {
            Some(byte) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Options that only tools and the boot read: the kernel knows nothing of them.
fn is_for_tools(option: &str) -> bool {
    const NAMES: [&str; 20] = [
        "defaults", "auto", "noauto", "nofail", "fail", "_netdev", "user", "nouser", "users", "owner", "group", "loop",
        "bind", "rbind", "remount", "silent", "loud", "mand", "nomand", "async",
    ];
    NAMES.contains(&option)
        || ["x-", "X-", "comment=", "loop=", "offset=", "sizelimit=", "pri="].iter().any(|it| option.starts_with(it))
}

/// The switches of a mount, each with the word for the other way; the second is how it is without a word.
const SWITCHES: [(&str, &str); 8] = [
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("sync", "async"),
    ("dirsync", ""),
    ("nodiratime", "diratime"),
    ("nosymfollow", "symfollow"),
];

/// How times of access are kept, of which one holds; the first is the kernel's own choice.
const TIMES: [&str; 3] = ["relatime", "noatime", "strictatime"];

/// The options of a mount that must be given to it, so that it is as is asked; none where it is so. What the kernel
/// adds, and what it does not show, is no difference.
pub(super) fn differing(wanted: &[String], mount: &Mount) -> Vec<String> {
    let [own, of_system] = &mount.options;
    let asks = |name: &str| wanted.iter().rev().any(|option| option == name);
    let implied = |name: &str| match name {
        "nosuid" | "nodev" => ["user", "users", "owner", "group"].iter().any(|it| asks(it)),
        "noexec" => asks("user") || asks("users"),
        _ => false,
    };
    // What is bound has the switches of where it comes from, unless it is told otherwise.
    let bound = asks("bind") || asks("rbind");
    let mut differing = Vec::new();
    for (on, off) in SWITCHES {
        // Of two words that gainsay each other the last counts.
        let last = wanted.iter().rev().find(|option| *option == on || (!off.is_empty() && *option == off));
        let wants = last.map_or_else(|| implied(on), |last| last == on);
        if bound && last.is_none() && !wants {
            continue;
        }
        let is = own.iter().any(|option| option == on) || (on != "ro" && of_system.iter().any(|option| option == on));
        if wants != is && (wants || !off.is_empty()) {
            differing.push(if wants { on } else { off }.to_owned());
        }
    }
    if let Some(times) = TIMES.iter().rev().find(|name| asks(name)) {
        let is = TIMES.iter().find(|name| own.iter().any(|option| option == *name)).unwrap_or(&"strictatime");
        if times != is {
            differing.push((*times).to_owned());
        }
    } else if !bound && !asks("atime") && own.iter().any(|option| option == "noatime") {
        differing.push("relatime".to_owned());
    }
    for (name, value) in
        wanted.iter().filter(|option| !is_for_tools(option)).filter_map(|option| option.split_once('='))
    {
        let shown = of_system.iter().filter_map(|option| option.split_once('=')).find(|(shown, _)| *shown == name);
        if shown.is_some_and(|(_, shown)| !is_same_value(name, value, shown)) {
            differing.push(format!("{name}={value}"));
        }
    }
    differing
}

/// Whether two values of an option mean the same: `64M` and `65536k`, `0755` and `755`.
fn is_same_value(name: &str, one: &str, other: &str) -> bool {
    let amount = |text: &str| -> Option<u64> {
        let factor = match text.bytes().last()?.to_ascii_lowercase() {
            b'k' => 1 << 10,
            b'm' => 1 << 20,
            b'g' => 1 << 30,
            b't' => 1 << 40,
            _ => return text.parse().ok(),
        };
        text.get(..text.len() - 1)?.parse::<u64>().ok()?.checked_mul(factor)
    };
    // A share of the memory is shown as an amount.
    if one == other || (name == "size" && one.ends_with('%')) {
        return true;
    }
    if name.ends_with("mode") || name.ends_with("mask") {
        let octal = |text: &str| u32::from_str_radix(text, 8).ok();
        return octal(one).is_some() && octal(one) == octal(other);
    }
    // Amounts are rounded up to pages.
    let pages = |amount: u64| amount.div_ceil(4096);
    match (amount(one), amount(other)) {
        (Some(one), Some(other)) => one == other || (name == "size" && pages(one) == pages(other)),
        // What is given by name is shown by number.
        _ => matches!(name, "uid" | "gid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_there_and_back() {
        let line = "UUID=1-2 /srv/my\\040data ext4 noatime,nofail 0 2";
        let read = entry(line).unwrap();
        assert_eq!((read.path.as_str(), read.pass, read.line().as_str()), ("/srv/my data", 2, line));
        assert_eq!(entry("tmpfs /tmp tmpfs").unwrap().line(), "tmpfs /tmp tmpfs defaults 0 0");
        assert_eq!((entry("# /dev/sda / ext4"), entry("   "), entry("/dev/sda /")), (None, None, None));
        assert!(entry("a /b c defaults,ro,noexec").unwrap().is_like(&entry("a /b c noexec,ro 0 0").unwrap()));
        let table =
            "36 35 98:0 /sub /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nbroken\n";
        let mount = &mounts(table)[0];
        assert_eq!((&*mount.root, &*mount.path, &*mount.source), ("/sub", "/mnt 2", "/dev/root"));
        assert_eq!(
            mount.options,
            [vec!["rw", "noatime"], vec!["rw", "errors=continue"]]
                .map(|it| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        );
        assert_eq!(mounts(&mount.line())[0], *mount);
    }

    #[test]
    fn options_are_compared_as_they_are_meant() {
        for (wanted, own, of_system, expected) in [
            ("defaults", "rw,relatime", "rw,seclabel", ""),
            ("", "rw,nosuid,nodev,relatime", "rw", "suid,dev"),
            ("noexec,nosuid", "rw,nosuid,noexec,relatime", "rw", ""),
            ("ro", "rw,relatime", "rw", "ro"),
            ("defaults", "ro,relatime", "rw", "rw"),
            ("ro,rw", "rw,relatime", "rw", ""),
            ("noatime", "rw,relatime", "rw", "noatime"),
            ("defaults", "rw,noatime", "rw", "relatime"),
            ("user", "rw,nosuid,nodev,noexec,relatime", "rw", ""),
            ("size=64M,mode=0755", "rw,relatime", "rw,size=65536k,mode=755", ""),
            ("size=64m", "rw,relatime", "rw,size=131072k", "size=64m"),
            ("bind", "ro,noexec,noatime", "rw", ""),
            ("bind,rw", "ro,noexec", "rw", "rw"),
            ("size=10%", "rw,relatime", "rw,size=131072k", ""),
            ("nofail,x-systemd.automount,_netdev,discard", "rw,relatime", "rw", ""),
            ("uid=www-data", "rw,relatime", "rw,uid=33", ""),
            ("errors=remount-ro", "rw,relatime", "rw,errors=continue", "errors=remount-ro"),
        ] {
            let mount = Mount {
                numbers: String::new(),
                root: "/".into(),
                path: "/a".into(),
                kind: "ext4".into(),
                source: "/dev/a".into(),
                options: [split(own), split(of_system)],
            };
            assert_eq!(differing(&split(wanted), &mount).join(","), expected, "{wanted} on {own} {of_system}");
        }
    }
}
