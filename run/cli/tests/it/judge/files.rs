//! Files, directories, links, and lines of files.

use serde_json::json;
use sha2::{Digest, Sha256};

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
        let last = after.is_some() || matching.is_some() || about.contains(&line);
        let end = if !last && self.chance(3) { "" } else { "\n" };
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

    /// Lines between two markers.
    pub fn block(&mut self) {
        let path = self.path("block");
        let content = self.pick(&["one = 1\ntwo = \"2\"", "one line\n", "ünïcode ${and} more\n\nblank above\n"]);
        let about: &[&str] = match self.random.below(3) {
            0 => &[],
            1 => &["# BEGIN ours\nold\n# END ours"],
            _ => &["# BEGIN ours\n# END ours"],
        };
        self.lines_at(&path, about, "\n");
        let after = self.chance(2).then_some("^\\[section\\]");
        let arguments = json!({
            "path": path, "block": content, "marker": "# {mark} ours", "create": true, "insertafter": after,
        });
        let attributes = json!({ "content": content, "marker": "# {mark} ours", "insert_after": after });
        self.wish(&path, ("blockinfile", arguments), ("block", attributes));
    }

    pub fn no_block(&mut self) {
        let path = self.path("no-block");
        let about: &[&str] = if self.chance(3) { &["other"] } else { &["# BEGIN ours\nold\n# END ours", "other"] };
        self.lines_at(&path, about, "\n");
        if self.start.last().is_none_or(|start| start.subject() != path) {
            // Ansible wants a file to take something out of.
            self.start.push(Start::File { path: path.clone(), content: String::new(), meta: PLAIN });
        }
        self.wish(
            &path,
            ("blockinfile", json!({ "path": path, "marker": "# {mark} ours", "state": "absent" })),
            ("block", json!({ "marker": "# {mark} ours", "absent": true })),
        );
    }

    /// A template of Jinja, which both fill.
    pub fn template(&mut self) {
        let path = self.path("template");
        let template = self.pick(&[
            "# {{ name }}\n{% for port in ports %}\nlisten {{ port }}{{ \",\" if not loop.last }}\n{% endfor %}\n",
            "{% if debug %}debug = {{ debug | lower }}\n{% else %}\n# quiet\n{% endif %}\n{{ name | upper }}\n",
            "{{ ports | join(':') }} {{ ports | length }} {{ missing | default('none') }}\n  {%- if 80 in ports %} web{% endif %}\n",
            "{{ name | replace('a', 'b') | trim }}|{{ '%05d' | format(ports | first) }}|{{ ports | sum }}\n{# a remark #}\nend\n",
        ]);
        let (name, debug) = (self.pick(&["app", " ünïcode and blanks "]), self.chance(2));
        let ports: &[u64] = if self.chance(2) { &[80, 443] } else { &[8080] };
        let file = format!("{}/{}.j2", self.name(), self.tasks.len());
        self.files.push((file.clone(), template.to_owned()));
        self.anything_at(&path, "");
        let variables = json!({ "name": name, "debug": debug, "ports": ports });
        let content = format!("templatefile(\"{file}\", {})", super::seed::hcl(&variables));
        self.wish(
            &path,
            ("template", json!({ "src": format!("roles/{file}"), "dest": path })),
            ("file", json!({ "content": { "expression": content } })),
        );
        if let Some(task) = self.tasks.last_mut().and_then(|task| task.ansible.last_mut()) {
            task["vars"] = variables;
        }
    }

    /// A file of the web, which the test serves on each machine.
    pub fn fetched(&mut self) {
        let path = self.path("fetched");
        let (number, mode) = (self.random.below(CONTENTS.len() as u64), self.maybe(&["0600", "0755"]));
        let content = served(number);
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // Without it Ansible asks whether the web has something newer, and Andon takes what is there as right.
        let digest = hexadecimal(&Sha256::digest(content));
        match self.random.below(3) {
            0 => {}
            1 => self.start.push(Start::File { path: path.clone(), content: content.to_owned(), meta: PLAIN }),
            _ => self.start.push(Start::File { path: path.clone(), content: "other".to_owned(), meta: PLAIN }),
        }
        let url = format!("http://127.0.0.1/{number}");
        let arguments = json!({ "url": url, "dest": path, "mode": mode, "checksum": format!("sha256:{digest}") });
        self.wish(&path, ("get_url", arguments), ("file", json!({ "source": url, "sha256": digest, "mode": mode })));
    }

    /// An archive that is unpacked where a file of it is not there.
    pub fn archive(&mut self) {
        let path = self.path("archive");
        let from = format!("{path}.tar.gz");
        let by = "mkdir -p \"$1.in/top/deep\"; echo one > \"$1.in/top/one\"; echo two > \"$1.in/top/deep/two\"; \
                  ln -s one \"$1.in/top/link\"; chmod 750 \"$1.in/top/deep\"; chmod 600 \"$1.in/top/one\"; \
                  tar -czf \"$1\" -C \"$1.in\" --mtime=2020-01-01 --sort=name top; rm -r \"$1.in\"";
        self.start.push(Start::Made { path: from.clone(), by: by.to_owned() });
        let creates = format!("{path}/top/one");
        self.start.push(Start::Directory { path: path.clone(), meta: PLAIN_DIRECTORY });
        if self.chance(3) {
            self.start.push(Start::Directory { path: format!("{path}/top"), meta: PLAIN_DIRECTORY });
            self.start.push(Start::File { path: creates.clone(), content: "there".to_owned(), meta: PLAIN });
        }
        self.wish(
            &path,
            ("unarchive", json!({ "src": from, "dest": path, "remote_src": true, "creates": creates })),
            ("archive", json!({ "source": from, "creates": creates })),
        );
    }

    /// A working copy at a branch, a tag or a commit.
    pub fn git(&mut self) {
        let path = self.path("git");
        let repository = format!("{path}.origin");
        self.start.push(Start::Made { path: repository.clone(), by: REPOSITORY.to_owned() });
        let url = format!("file://{repository}");
        let revision = self.pick(&["main", "one"]);
        let clone = "git clone -q \"file://${1%.copy}.origin\" \"${1%.copy}\"; cd \"${1%.copy}\"";
        let more = match self.random.below(4) {
            0 => None,
            1 => Some(""),
            2 => Some("git checkout -q one"),
            _ => Some("echo changed by hand > file; echo more > untracked"),
        };
        if let Some(more) = more {
            self.start.push(Start::Made { path: format!("{path}.copy"), by: format!("{clone}; {more}") });
        }
        self.wish(
            &path,
            ("git", json!({ "repo": url, "dest": path, "version": revision, "force": true })),
            ("git", json!({ "url": url, "revision": revision, "local_changes": "discard" })),
        );
    }
}

const PLAIN_DIRECTORY: Meta = Meta(0o755, 0, 0);

/// Two commits, of which the first has a tag.
const REPOSITORY: &str = r#"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
git init -q -b main "$1"
cd "$1"
echo first > file
git add .
git commit -qm first
git tag one
echo second > file
echo more > other
git add .
git commit -qm second
"#;

/// What the test's server says to `/NUMBER`.
pub fn served(number: u64) -> &'static str {
    CONTENTS.get(number as usize).copied().unwrap_or_default()
}
