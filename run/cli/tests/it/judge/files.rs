//! Files, directories, links, and lines of files.

use serde_json::json;

use super::seed::{Meta, PLAIN, Seed, Start};

const CONTENTS: [&str; 9] = [
    "",
    "one\n",
    "no end",
    "one\ntwo\nthree\n",
    "tabs\tand  blanks  \n\n\n",
    "ünïcode ✓\n",
    "windows\r\nlines\r\n",
    "a ${template} and %{ another } and \"quotes\" and \\ and 'more'\n",
    "# comment\nPort 22\nUser = root\n",
];
const MODES: [&str; 7] = ["0644", "0600", "0755", "0640", "4755", "1777", "0000"];

impl Seed {
    /// A mode, an owner and a group as they are asked for.
    fn asked(&mut self) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>) {
        (self.maybe(&MODES), self.maybe(&["root", "nobody", "daemon"]), self.maybe(&["root", "nogroup", "daemon"]))
    }

    /// No bits that the kernel takes away when an owner is set: Ansible loses them where it writes the content anew.
    fn some_meta(&mut self) -> Meta {
        Meta(self.pick(&[0o644, 0o600, 0o1751, 0o777]), self.pick(&[0, 65534, 4242]), self.pick(&[0, 65534, 4242]))
    }

    /// Anything but a directory.
    fn anything_at(&mut self, path: &str, wanted: &str) {
        let meta = if self.chance(2) { PLAIN } else { self.some_meta() };
        match self.random.below(6) {
            0 | 1 => {}
            2 => self.start.push(Start::File { path: path.to_owned(), content: wanted.to_owned(), meta }),
            3 | 4 => {
                let content = self.pick(&CONTENTS).to_owned();
                self.start.push(Start::File { path: path.to_owned(), content, meta });
            }
            _ => {
                let elsewhere = format!("{path}.elsewhere");
                if self.chance(2) {
                    let content = self.pick(&CONTENTS).to_owned();
                    self.start.push(Start::File { path: elsewhere.clone(), content, meta });
                }
                self.start.push(Start::Link { path: path.to_owned(), target: elsewhere });
            }
        }
    }

    pub fn file(&mut self) {
        let path = self.path("file");
        let content = self.pick(&CONTENTS);
        let (mode, owner, group) = self.asked();
        self.anything_at(&path, content);
        self.wish(
            &path,
            ("copy", json!({ "dest": path, "content": content, "mode": mode, "owner": owner, "group": group })),
            ("file", json!({ "content": content, "mode": mode, "owner": owner, "group": group })),
        );
    }

    pub fn no_file(&mut self) {
        let path = self.path("no-file");
        self.anything_at(&path, "");
        self.wish(&path, ("file", json!({ "path": path, "state": "absent" })), ("file", json!({ "absent": true })));
    }

    /// The attributes of a file whose content is another's business.
    pub fn attributes(&mut self) {
        let path = self.path("attributes");
        let (mode, owner, group) = self.asked();
        if !self.chance(3) {
            let (content, meta) = (self.pick(&CONTENTS).to_owned(), self.some_meta());
            self.start.push(Start::File { path: path.clone(), content, meta });
        }
        let arguments = json!({
            "path": path, "state": "touch", "mode": mode, "owner": owner, "group": group,
            "modification_time": "preserve", "access_time": "preserve",
        });
        self.wish(&path, ("file", arguments), ("file", json!({ "mode": mode, "owner": owner, "group": group })));
    }

    pub fn directory_with_a_file(&mut self) {
        let path = self.path("directory");
        let (mode, owner, group) = self.asked();
        let deep = if self.chance(2) { format!("{path}/deep/er") } else { path.clone() };
        match self.random.below(3) {
            0 => {}
            _ => {
                let meta = self.some_meta();
                self.start.push(Start::Directory { path: path.clone(), meta });
                self.start.push(Start::File { path: format!("{path}/stays"), content: "as it is".into(), meta });
            }
        }
        self.wish(
            &path,
            ("file", json!({ "path": path, "state": "directory", "mode": mode, "owner": owner, "group": group })),
            ("directory", json!({ "mode": mode, "owner": owner, "group": group })),
        );
        if deep != path {
            self.wish(&deep, ("file", json!({ "path": deep, "state": "directory" })), ("directory", json!({})));
        }
        let inside = format!("{deep}/inside");
        let content = self.pick(&CONTENTS);
        self.wish(
            &inside,
            ("copy", json!({ "dest": inside, "content": content })),
            ("file", json!({ "content": content })),
        );
    }

    pub fn no_directory(&mut self) {
        let path = self.path("no-directory");
        if !self.chance(3) {
            let meta = self.some_meta();
            self.start.push(Start::Directory { path: format!("{path}/more"), meta });
            self.start.push(Start::File { path: format!("{path}/more/file"), content: "gone".into(), meta });
            self.start.push(Start::Link { path: format!("{path}/link"), target: "/etc/passwd".into() });
        }
        self.wish(
            &path,
            ("file", json!({ "path": path, "state": "absent" })),
            ("directory", json!({ "absent": true })),
        );
    }

    pub fn link(&mut self) {
        let path = self.path("link");
        let target = self.pick(&["/etc/passwd", "beside", "../up/and/down", "/not/there"]);
        match self.random.below(5) {
            0 | 1 => {}
            2 => self.start.push(Start::Link { path: path.clone(), target: target.into() }),
            3 => self.start.push(Start::Link { path: path.clone(), target: "/somewhere/else".into() }),
            _ => self.start.push(Start::File { path: path.clone(), content: "a file".into(), meta: PLAIN }),
        }
        let arguments = json!({ "path": path, "src": target, "state": "link", "force": true, "follow": false });
        self.wish(&path, ("file", arguments), ("link", json!({ "target": target })));
    }

    pub fn no_link(&mut self) {
        let path = self.path("no-link");
        if !self.chance(3) {
            self.start.push(Start::Link { path: path.clone(), target: self.directory() });
        }
        self.wish(&path, ("file", json!({ "path": path, "state": "absent" })), ("link", json!({ "absent": true })));
    }

    /// A file with lines that the resource is about, and others.
    fn lines_at(&mut self, path: &str, about: &[&str], end: &str) {
        if self.chance(5) {
            return;
        }
        let mut lines = Vec::new();
        for _ in 0..self.random.below(5) {
            lines.push(self.pick(&["# a comment", "", "other = 1", "[section]", "[end]", "  indented"]));
        }
        for line in about {
            let at = self.random.below(lines.len() as u64 + 1) as usize;
            lines.insert(at, line);
        }
        let end = if lines.is_empty() { "" } else { end };
        let meta = self.some_meta();
        self.start.push(Start::File { path: path.to_owned(), content: lines.join("\n") + end, meta });
    }

    /// A line at the end, behind, before something, or in the place of what matches.
    pub fn line(&mut self) {
        let path = self.path("line");
        let line = self.pick(&["Port 22", "Port  22 # \"quoted\" ${not} a template", "Port ünïcode"]);
        let about: &[&str] = match self.random.below(4) {
            0 => &[],
            1 => &["#Port 1"],
            2 => &["Port 1"],
            _ => &[line],
        };
        // Of several lines that match, Ansible replaces the last and leaves the others: `matching` has one at most.
        let matching = (!self.chance(2)).then_some("^#?Port ");
        let (after, before) = match self.random.below(4) {
            0 => (Some("^\\[section\\]"), None),
            1 => (None, Some("^\\[end\\]")),
            _ => (None, None),
        };
        // Where the last line has no end, Ansible writes what comes after it onto the same line, or gives it one.
        let end = if after.is_none() && matching.is_none() && self.chance(3) { "" } else { "\n" };
        self.lines_at(&path, about, end);
        let arguments = json!({
            "path": path, "line": line, "create": true, "regexp": matching,
            "insertafter": after, "insertbefore": before, "firstmatch": before.map(|_| true),
        });
        let attributes = json!({ "line": line, "match": matching, "insert_after": after, "insert_before": before });
        self.wish(&path, ("lineinfile", arguments), ("line", attributes));
    }

    pub fn no_line(&mut self) {
        let path = self.path("no-line");
        let (line, matching) = if self.chance(2) { (Some("Port 22"), None) } else { (None, Some("^[# ]*Port .*$")) };
        let about = [&["Port 22", "Port 22"][..], &["Port 22", "# Port 2"], &[], &["Port 222"]];
        let (about, end) = (self.pick(&about), self.pick(&["\n", ""]));
        self.lines_at(&path, about, end);
        self.wish(
            &path,
            ("lineinfile", json!({ "path": path, "line": line, "regexp": matching, "state": "absent" })),
            ("line", json!({ "line": line, "match": matching, "absent": true })),
        );
    }
}
