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
        self.wish(
            &name,
            ("copy", json!({ "dest": path, "content": wanted, "mode": "0644", "owner": "root", "group": "root" })),
            ("cron", attributes),
        );
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

    /// Who may do what as another.
    pub fn sudoers(&mut self) {
        let name = self.account('o');
        let path = format!("/etc/sudoers.d/{name}");
        let (rule, arguments) = self.pick(&[
            ("daemon ALL=(ALL:ALL) ALL\n", r#"{ "user": "daemon" }"#),
            (
                "%adm ALL=(root) NOPASSWD: /usr/bin/id, /bin/ls /root\n",
                r#"{ "group": "adm", "run_as": "root", "password": false, "commands": ["/usr/bin/id", "/bin/ls /root"] }"#,
            ),
            ("Defaults:daemon !requiretty\n", r#"{ "content": "Defaults:daemon !requiretty" }"#),
        ]);
        match self.random.below(4) {
            0 => {}
            1 => self.start.push(Start::File { path: path.clone(), content: rule.to_owned(), meta: Meta(0o644, 1, 0) }),
            2 => self.start.push(Start::File { path: path.clone(), content: rule.to_owned(), meta: Meta(0o440, 0, 0) }),
            _ => self.start.push(Start::File { path: path.clone(), content: "# old\n".to_owned(), meta: PLAIN }),
        }
        if self.chance(4) {
            let nothing = json!({ "path": path, "state": "absent" });
            return self.wish(&name, ("file", nothing), ("sudoers", json!({ "absent": true })));
        }
        let copy = json!({
            "dest": path, "content": rule, "mode": "0440", "owner": "root", "group": "root",
            "validate": "/usr/sbin/visudo -cf %s",
        });
        self.wish(&name, ("copy", copy), ("sudoers", serde_json::from_str(arguments).unwrap()));
    }

    /// Where packages come from.
    pub fn repository(&mut self) {
        let name = format!("judge-{}-{}", self.number, self.tasks.len());
        let path = format!("/etc/apt/sources.list.d/{name}.sources");
        let (components, enabled) = (self.maybe(&[&["main"][..], &["main", "extra"]]), self.maybe(&[false, true]));
        let suites: &[&str] = if components.is_some() { &["stable", "stable-updates"] } else { &["./"] };
        match self.random.below(3) {
            0 => {}
            1 => {
                let content = "Types: deb\nURIs: http://127.0.0.1/old\nSuites: ./\n".to_owned();
                self.start.push(Start::File { path: path.clone(), content, meta: PLAIN });
            }
            _ => self.start.push(Start::File { path: path.clone(), content: String::new(), meta: Meta(0o600, 0, 0) }),
        }
        if self.chance(5) {
            let task = ("deb822_repository", json!({ "name": name, "state": "absent" }));
            return self.wish(&name, task, ("repository", json!({ "absent": true })));
        }
        let url = "http://127.0.0.1/packages";
        let task = json!({
            "name": name, "uris": [url], "suites": suites, "components": components, "enabled": enabled,
            "trusted": true, "architectures": ["amd64"],
        });
        let resource = json!({
            "url": url, "suites": suites, "components": components, "enabled": enabled, "trusted": true,
            "architectures": ["amd64"],
        });
        self.wish(&name, ("deb822_repository", task), ("repository", resource));
    }

    /// A key and a certificate that signs itself.
    pub fn certificate(&mut self) {
        let home = self.path("certificate");
        let (path, key) = (format!("{home}/it.crt"), format!("{home}/it.key"));
        let curve = self.pick(&[("secp256r1", "ecdsa-p256"), ("secp384r1", "ecdsa-p384")]);
        let name = self.pick(&["judge.example.org", "*.judge.example.org"]);
        self.start.push(Start::Directory { path: home.clone(), meta: Meta(0o755, 0, 0) });
        if self.chance(2) {
            let (before, days) = (self.pick(&["prime256v1", "secp384r1"]), self.pick(&[2, 300]));
            let by = format!(
                "openssl ecparam -name {before} -genkey -out {key}\n\
                 openssl req -x509 -new -key {key} -out {path} -days {days} -subj /CN={name} \
                 -addext subjectAltName=DNS:{name} 2> /dev/null"
            );
            self.start.push(Start::Made { path: path.clone(), by });
        }
        let (mode, said) = (self.pick(&["0600", "0640"]), self.said());
        let tasks = vec![
            (
                "community.crypto.openssl_privatekey",
                json!({ "path": key, "type": "ECC", "curve": curve.0, "mode": mode }),
            ),
            (
                "community.crypto.openssl_csr_pipe",
                json!({
                    "privatekey_path": key, "common_name": name, "subject_alt_name": [format!("DNS:{name}")],
                    "key_usage": ["digitalSignature"], "key_usage_critical": true,
                    "extended_key_usage": ["serverAuth"],
                }),
            ),
            (
                "community.crypto.x509_certificate",
                json!({
                    "path": path, "privatekey_path": key, "csr_content": format!("{{{{ {said}.csr }}}}"),
                    "provider": "selfsigned", "selfsigned_not_after": "+397d", "mode": "0644",
                }),
            ),
        ];
        let resource = json!({
            "path": path, "key_type": curve.1, "key_mode": mode, "mode": "0644", "subject": { "CN": name },
            "dns_names": [name], "usages": ["digital_signature", "server_auth"], "is_ca": false, "days": 397,
            // Ansible never makes one anew because it ends.
            "renew_before": 1,
        });
        self.wishes(&home, tasks, ("certificate", resource));
        if let Some(task) = self.tasks.last_mut() {
            task.ansible[1]["register"] = json!(said);
            task.ansible[1]["changed_when"] = json!(false);
        }
    }

    /// A module of the kernel at the next boot, with its options. None can be loaded here.
    pub fn kernel_module(&mut self) {
        let name = self.account('m');
        let [boot, options] = ["modules-load.d", "modprobe.d"].map(|it| format!("/etc/{it}/andon-{name}.conf"));
        if self.chance(2) {
            self.start.push(Start::File { path: options.clone(), content: "# old\n".to_owned(), meta: PLAIN });
        }
        if self.chance(2) {
            self.start.push(Start::File { path: boot.clone(), content: format!("{name}\n"), meta: PLAIN });
        }
        let tasks = vec![
            ("copy", json!({ "dest": boot, "content": format!("{name}\n"), "mode": "0644" })),
            ("copy", json!({ "dest": options, "content": format!("options {name} a=1 b=\"x y\"\n"), "mode": "0644" })),
        ];
        let resource = json!({ "loaded": false, "at_boot": true, "options": { "a": "1", "b": "x y" } });
        self.wishes(&name, tasks, ("kernel_module", resource));
    }

    /// What there is once on a server: a language, its name.
    pub fn server(&mut self) {
        let name = self.pick(&["de_CH.UTF-8", "pt_BR.UTF-8"]);
        let tasks = vec![
            ("community.general.locale_gen", json!({ "name": name })),
            (
                "lineinfile",
                json!({ "path": "/etc/default/locale", "regexp": "^LANG=", "line": format!("LANG={name}"), "create": true }),
            ),
        ];
        self.wishes(name, tasks, ("locale", json!({ "default": true })));
        let name = self.pick(&["web-1", "web-1.example.org"]);
        self.wish(name, ("hostname", json!({ "name": name, "use": "debian" })), ("hostname", json!({})));
    }
}
