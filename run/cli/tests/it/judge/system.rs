//! What there is once on a machine, and files of the system that all seeds share.

use serde_json::json;

use super::seed::{Meta, PLAIN, Seed, Start};

impl Seed {
    /// A name in `/etc/hosts`, as people say it with `lineinfile`.
    pub fn host_entry(&mut self) {
        let name = format!("{}.example.org", self.account('h'));
        let address = self.pick(&["192.0.2.7", "2001:db8::7"]);
        let wanted = format!("{address}\t{name} alias");
        let old = match address {
            "192.0.2.7" => format!("192.0.2.9 {name}"),
            _ => format!("2001:db8::9\t{name}  old"),
        };
        match self.random.below(3) {
            0 => {}
            1 => self.start.push(Start::Line { path: "/etc/hosts", line: wanted.clone() }),
            _ => self.start.push(Start::Line { path: "/etc/hosts", line: old }),
        }
        let pattern = format!("\\s{}(\\s|$)", name.replace('.', "\\."));
        let arguments = json!({ "path": "/etc/hosts", "line": wanted, "regexp": pattern });
        let attributes = json!({ "address": address, "aliases": ["alias"] });
        self.wish(&name, ("lineinfile", arguments), ("host_entry", attributes));
    }

    /// A file of cron's. Ansible's own module marks its lines with a remark of its own, so this is what people copy.
    pub fn cron(&mut self) {
        let name = self.account('c');
        let path = format!("/etc/cron.d/{name}");
        let schedule = self.pick(&["*/5 * * * *", "0 4 1,15 * mon-fri", "@daily"]);
        let wanted = format!("# Why it runs\nMAILTO=root\n{schedule} daemon /bin/true --now > /dev/null\n");
        match self.random.below(4) {
            0 => {}
            1 => self.start.push(Start::File { path: path.clone(), content: wanted.clone(), meta: Meta(0o600, 1, 1) }),
            2 => self.start.push(Start::File { path: path.clone(), content: wanted.clone(), meta: PLAIN }),
            _ => self.start.push(Start::File { path: path.clone(), content: "@daily root old\n".into(), meta: PLAIN }),
        }
        if self.chance(4) {
            let nothing = json!({ "path": path, "state": "absent" });
            return self.wish(&name, ("file", nothing), ("cron", json!({ "absent": true })));
        }
        let attributes = json!({
            "schedule": schedule, "command": "/bin/true --now > /dev/null", "user": "daemon",
            "comment": "Why it runs", "environment": { "MAILTO": "root" },
        });
        self.wish(&name, ("copy", json!({ "dest": path, "content": wanted, "mode": "0644" })), ("cron", attributes));
    }

    /// A file system in memory: mounted, for the next boot alone, or neither.
    pub fn mount(&mut self) {
        let path = self.path("mount");
        let options = self.pick(&["size=1m,mode=0750", "nosuid,nodev,size=2m"]);
        let line = match self.random.below(3) {
            0 => None,
            1 => Some(format!("tmpfs {path} tmpfs {options} 0 0")),
            _ => Some(format!("tmpfs\t{path}\ttmpfs\tsize=5m\t0\t0")),
        };
        self.start.extend(line.map(|line| Start::Line { path: "/etc/fstab", line }));
        let state = self.pick(&["mounted", "present", "absent"]);
        if state == "absent" {
            let task = ("ansible.posix.mount", json!({ "path": path, "state": state }));
            return self.wish(&path, task, ("mount", json!({ "absent": true })));
        }
        let arguments = json!({ "path": path, "src": "tmpfs", "fstype": "tmpfs", "opts": options, "state": state });
        let attributes = json!({
            "device": "tmpfs", "fstype": "tmpfs", "options": options.split(',').collect::<Vec<_>>(),
            "mounted": state == "mounted",
        });
        self.wish(&path, ("ansible.posix.mount", arguments), ("mount", attributes));
    }

    /// The name of the machine, its time zone and a setting of its kernel: once. Ansible's own module for the
    /// name wants a running systemd, which there is none of.
    pub fn machine(&mut self) {
        let name = self.pick(&["web-1", "web-1.example.org"]);
        let tasks = vec![
            ("copy", json!({ "dest": "/etc/hostname", "content": format!("{name}\n") })),
            ("command", json!({ "argv": ["hostname", name] })),
        ];
        self.wishes(name, tasks, ("hostname", json!({})));
        let zone = self.pick(&["Europe/Paris", "America/Argentina/Buenos_Aires", "Africa/Nairobi"]);
        let file = format!("/usr/share/zoneinfo/{zone}");
        let tasks = vec![
            ("file", json!({ "path": "/etc/localtime", "src": file, "state": "link" })),
            ("copy", json!({ "dest": "/etc/timezone", "content": format!("{zone}\n") })),
        ];
        self.start.push(Start::File { path: "/etc/timezone".into(), content: "Asia/Tokyo\n".into(), meta: PLAIN });
        self.wishes("current", tasks, ("timezone", json!({ "name": zone })));
        let (key, value) = ("net.ipv4.ip_forward", self.pick(&["0", "1"]));
        let file = format!("/etc/sysctl.d/90-andon-{key}.conf");
        let tasks = vec![
            (
                "ansible.posix.sysctl",
                json!({ "name": key, "value": value, "sysctl_file": file, "sysctl_set": true, "reload": false }),
            ),
            ("copy", json!({ "dest": file, "content": format!("{key} = {value}\n") })),
        ];
        self.wishes(key, tasks, ("sysctl", json!({ "value": value })));
    }
}
