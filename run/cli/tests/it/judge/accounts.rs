//! Users and groups.

use serde_json::json;

use super::seed::{Meta, Seed, Start};

const HASHES: [&str; 2] = [
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
];

impl Seed {
    /// A group that is there before, with its members.
    fn group_before(&mut self, name: &str, id: u32, members: &str) {
        self.start.push(Start::Line { path: "/etc/group", line: format!("{name}:x:{id}:{members}") });
        self.start.push(Start::Line { path: "/etc/gshadow", line: format!("{name}:!::{members}") });
    }

    pub fn group(&mut self) {
        let (name, id) = (self.account('g'), self.id());
        let gid = self.maybe(&[id]);
        match self.random.below(3) {
            0 => {}
            1 => self.group_before(&name, id, "daemon"),
            _ => self.group_before(&name, id + 50, ""),
        }
        self.wish(&name, ("group", json!({ "name": name, "gid": gid })), ("group", json!({ "gid": gid })));
    }

    pub fn no_group(&mut self) {
        let (name, id) = (self.account('g'), self.id());
        if !self.chance(3) {
            self.group_before(&name, id, "");
        }
        self.wish(&name, ("group", json!({ "name": name, "state": "absent" })), ("group", json!({ "absent": true })));
    }

    /// A user that is there before, in whatever way.
    fn user_before(&mut self, name: &str, id: u32) {
        self.group_before(name, id, "");
        let shell = self.pick(&["/bin/sh", "/bin/bash", "/usr/sbin/nologin", ""]);
        let comment = self.pick(&["", "Old Name,,,"]);
        let home = self.pick(&["/home", "/srv/homes"]);
        let password = self.pick(&["!", HASHES[0], HASHES[1], "!$6$saltsalt$locked"]);
        let days = self.pick(&["0:99999:7:::", "1:90:14:30::", "0:99999:7::20000:"]);
        let line = format!("{name}:x:{id}:{id}:{comment}:{home}/{name}:{shell}");
        self.start.push(Start::Line { path: "/etc/passwd", line });
        self.start.push(Start::Line { path: "/etc/shadow", line: format!("{name}:{password}:19000:{days}") });
        if self.chance(2) {
            let meta = Meta(0o700, id, id);
            self.start.push(Start::Directory { path: format!("/home/{name}"), meta });
            let path = format!("/home/{name}/kept");
            self.start.push(Start::File { path, content: "mine".into(), meta });
        }
    }

    pub fn user(&mut self) {
        let (name, id) = (self.account('u'), self.id());
        let others = [format!("{name}a"), format!("{name}b")];
        let there = self.chance(2);
        if there {
            self.user_before(&name, id);
        }
        for (at, other) in others.iter().enumerate() {
            let member = if there && self.chance(2) { name.as_str() } else { "" };
            self.group_before(other, id + 30 * (at as u32 + 1), member);
        }
        let uid = self.maybe(&[id, id + 50]);
        let shell = self.maybe(&["/bin/bash", "/usr/sbin/nologin"]);
        let comment = self.maybe(&["New Name", "Ünïcode, Room 1", ""]);
        let group = self.chance(4).then(|| others[0].clone());
        let groups = self.chance(2).then(|| others[1..].to_vec());
        let exclusive = groups.is_some() && self.chance(2);
        let password = self.maybe(&HASHES);
        let locked = password.map(|_| self.chance(2));
        let (min, max, warn) = (self.maybe(&[0, 2]), self.maybe(&[60, 99999]), self.maybe(&[7, 10]));
        let create_home = self.chance(2);
        let arguments = json!({
            "name": name, "uid": uid, "shell": shell, "comment": comment, "group": group, "groups": groups,
            "append": groups.as_ref().map(|_| !exclusive), "password": password, "password_lock": locked,
            "password_expire_min": min, "password_expire_max": max, "password_expire_warn": warn,
            "create_home": create_home,
        });
        let attributes = json!({
            "uid": uid, "shell": shell, "comment": comment, "group": group, "groups": groups, "exclusive": exclusive,
            "password": password, "locked": locked, "password_min_days": min, "password_max_days": max,
            "password_warn_days": warn, "create_home": create_home,
        });
        self.wish(&name, ("user", arguments), ("user", attributes));
    }

    pub fn no_user(&mut self) {
        let (name, id) = (self.account('u'), self.id());
        if !self.chance(3) {
            self.user_before(&name, id);
        }
        self.wish(&name, ("user", json!({ "name": name, "state": "absent" })), ("user", json!({ "absent": true })));
    }

    /// Keys that may log in as a user.
    pub fn authorized_key(&mut self) {
        let (name, id) = (self.account('k'), self.id());
        self.group_before(&name, id, "");
        let home = format!("/home/{name}");
        let line = format!("{name}:x:{id}:{id}::{home}:/bin/sh");
        self.start.push(Start::Line { path: "/etc/passwd", line });
        self.start.push(Start::Line { path: "/etc/shadow", line: format!("{name}:!:19000:0:99999:7:::") });
        self.start.push(Start::Directory { path: home.clone(), meta: Meta(0o700, id, id) });
        let (key, other) = (KEYS[0], KEYS[1]);
        if !self.chance(3) {
            self.start.push(Start::Directory { path: format!("{home}/.ssh"), meta: Meta(0o700, id, id) });
        }
        if matches!(self.start.last(), Some(Start::Directory { path, .. }) if path.ends_with(".ssh")) && !self.chance(3)
        {
            let there = [String::new(), format!("{other}\n"), format!("{key}\n"), format!("{other}\nno-pty {key}\n")];
            let content = self.random.pick(&there).clone();
            let path = format!("{home}/.ssh/authorized_keys");
            self.start.push(Start::File { path, content, meta: Meta(0o600, id, id) });
        }
        let absent = self.chance(4);
        let options = self.maybe(&["no-pty", "no-pty,command=\"/bin/date -u\""]).filter(|_| !absent);
        let state = absent.then_some("absent");
        self.wish(
            &name,
            (
                "ansible.posix.authorized_key",
                json!({ "user": name, "key": key, "key_options": options, "state": state }),
            ),
            (
                "authorized_key",
                json!({ "user": name, "key": key, "options": options, "absent": absent.then_some(true) }),
            ),
        );
    }
}

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Ck3jvWqEaFrO0xyJvQwz4hQ4yYhlJNmfC1c8m6v0T someone@example.org",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f other@example.org",
];
