//! Services, units and timers of systemd: what packages brought, what people wrote, in whatever state both left it.

use serde_json::json;

use super::seed::{PLAIN, Seed, Start};

/// Where the units of packages are, and those of people.
const BROUGHT: &str = "/usr/lib/systemd/system";
const WRITTEN: &str = "/etc/systemd/system";

const INSTALL: &str = "\n[Install]\nWantedBy=multi-user.target\n";

impl Seed {
    fn unit_file(&mut self, directory: &str, name: &str, content: &str) {
        self.start.push(Start::File { path: format!("{directory}/{name}"), content: content.to_owned(), meta: PLAIN });
    }

    /// What somebody did with a unit before, a line of the shell each.
    fn handled(&mut self, unit: &str, lines: &[&str]) {
        let by = lines.iter().map(|line| format!("{line}\n")).collect::<String>().replace("UNIT", unit);
        self.start.push(Start::Made { path: unit.to_owned(), by });
    }

    /// A service that a package brought: a daemon, one without a place at boot, what is done once, a socket, an instance, a
    /// script of System V, a timer, one that fails.
    pub fn service(&mut self) {
        let name = self.account('s');
        let shape =
            self.pick(&["plain", "plain", "static", "once", "socket", "instance", "script", "timer", "failing"]);
        let sleeps = "[Service]\nExecStart=/bin/sleep infinity\n";
        let unit = match shape {
            "socket" => format!("{name}.socket"),
            "timer" => format!("{name}.timer"),
            "instance" => format!("{name}@one.service"),
            _ => format!("{name}.service"),
        };
        match shape {
            "plain" => self.unit_file(BROUGHT, &unit, &format!("{sleeps}{INSTALL}")),
            "static" => self.unit_file(BROUGHT, &unit, sleeps),
            "instance" => self.unit_file(BROUGHT, &format!("{name}@.service"), &format!("{sleeps}{INSTALL}")),
            "script" => {
                let path = format!("/etc/init.d/{name}");
                let content = SCRIPT.replace("NAME", &name);
                self.start.push(Start::File { path, content, meta: super::seed::Meta(0o755, 0, 0) });
            }
            "socket" => {
                let socket = format!("[Socket]\nListenStream=/run/{name}\n\n[Install]\nWantedBy=sockets.target\n");
                self.unit_file(BROUGHT, &unit, &socket);
                self.unit_file(BROUGHT, &format!("{name}.service"), sleeps);
            }
            "timer" => {
                let timer = "[Timer]\nOnCalendar=yearly\n\n[Install]\nWantedBy=timers.target\n";
                self.unit_file(BROUGHT, &unit, timer);
                self.unit_file(BROUGHT, &format!("{name}.service"), "[Service]\nType=oneshot\nExecStart=/bin/true\n");
            }
            shape => {
                let program = if shape == "once" { "true" } else { "false" };
                let once = format!("[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/{program}\n{INSTALL}");
                self.unit_file(BROUGHT, &unit, &once);
            }
        }
        let was_enabled = shape != "static" && self.chance(2);
        if was_enabled {
            let how = if shape != "script" && self.chance(3) { "--runtime" } else { "" };
            self.handled(&unit, &[&format!("systemctl -q {how} enable UNIT 2> /dev/null")]);
        }
        if self.chance(2) {
            self.handled(&unit, &["systemctl start UNIT 2> /dev/null || true"]);
        }
        if shape == "plain" && self.chance(3) {
            self.handled(&unit, &["sed -i '1i [Unit]\\nDescription=edited' /usr/lib/systemd/system/UNIT"]);
        }
        let was_masked = self.chance(4);
        if was_masked {
            self.handled(&unit, &["systemctl -q mask UNIT 2> /dev/null"]);
        }
        let to_mask = self.chance(5);
        let running = self.maybe(&[true, false]).filter(|running| !running || !(to_mask || shape == "failing"));
        // Ansible disables what can be neither, and leaves enabled what it masks first.
        let enabled = self.maybe(&[true, false]).filter(|enabled| !to_mask && (*enabled || shape != "static"));
        let masked = match (to_mask, was_masked, running == Some(true) || enabled == Some(true)) {
            (true, ..) => Some(true),
            (_, true, true) => Some(false),
            (..) => self.maybe(&[false]),
        };
        let running = running.or((enabled.is_none() && masked.is_none()).then_some(false));
        let state = running.map(|running| if running { "started" } else { "stopped" });
        self.wish(
            &unit,
            ("systemd_service", json!({ "name": unit, "state": state, "enabled": enabled, "masked": masked })),
            ("service", json!({ "running": running, "enabled": enabled, "masked": masked })),
        );
    }

    /// A unit that people wrote, with its file.
    pub fn unit(&mut self) {
        let unit = format!("{}.service", self.account('u'));
        let path = format!("{WRITTEN}/{unit}");
        let for_s = self.pick(&["infinity", "9999"]);
        let text = |for_s: &str| {
            format!(
                "[Unit]\nDescription=Of the judge\n\n[Service]\nEnvironment=\"A=1\"\nEnvironment=\"B=2\"\n\
                 ExecStart=/bin/sleep {for_s}\n{INSTALL}"
            )
        };
        match self.random.below(4) {
            0 => {}
            1 => self.unit_file(WRITTEN, &unit, &text(for_s)),
            _ => self.unit_file(WRITTEN, &unit, &text("8888")),
        }
        let was_there = self.start.last().is_some_and(|start| start.subject() == path);
        if was_there {
            for line in ["systemctl -q enable UNIT 2> /dev/null", "systemctl start UNIT"] {
                if self.chance(2) {
                    self.handled(&unit, &[line]);
                }
            }
            if self.chance(3) {
                self.handled(&unit, &["sed -i 's/8888/7777/' /etc/systemd/system/UNIT"]);
            }
        }
        if self.chance(4) {
            let there = format!("{}.stat.exists", self.said());
            let tasks = vec![
                ("stat", json!({ "path": path })),
                ("systemd_service", json!({ "name": unit, "state": "stopped", "enabled": false })),
                ("file", json!({ "path": path, "state": "absent" })),
                ("systemd_service", json!({ "daemon_reload": true })),
            ];
            self.wishes(&unit, tasks, ("unit", json!({ "absent": true })));
            return self.guarded(0, 1, &there);
        }
        let (running, enabled) = (self.maybe(&[true, false]), self.maybe(&[true, false]));
        let resource = ("unit", json!({ "running": running, "enabled": enabled }));
        self.unit_tasks(&unit, &path, &text(for_s), running, enabled, resource);
        if let Some(task) = self.tasks.last_mut() {
            task.andon.pop();
            task.andon += &format!(
                "  unit {{ Description = \"Of the judge\" }}\n  service {{\n    ExecStart = \"/bin/sleep {for_s}\"\n    \
                 Environment = {{ B = 2, A = 1 }}\n  }}\n  install {{ WantedBy = [\"multi-user.target\"] }}\n}}"
            );
        }
    }

    /// More for a unit that a package brought.
    pub fn drop_in(&mut self) {
        let unit = format!("{}.service", self.account('d'));
        self.unit_file(BROUGHT, &unit, &format!("[Service]\nExecStart=/bin/sleep infinity\n{INSTALL}"));
        let path = format!("{WRITTEN}/{unit}.d/10-more.conf");
        let text = "[Service]\nNice=5\n";
        if !self.chance(3) {
            self.start
                .push(Start::Directory { path: format!("{WRITTEN}/{unit}.d"), meta: super::seed::Meta(0o755, 0, 0) });
            let old = if self.chance(3) { text } else { "[Service]\nNice=7\n" };
            self.start.push(Start::File { path: path.clone(), content: old.to_owned(), meta: PLAIN });
        }
        if self.chance(2) {
            self.handled(&unit, &["systemctl start UNIT"]);
        }
        let running = self.maybe(&[true]);
        let resource = ("unit", json!({ "drop_in": "10-more", "content": text, "running": running }));
        self.unit_tasks(&unit, &path, text, running, None, resource);
        if let Some(task) = self.tasks.last_mut() {
            let directory = format!("{WRITTEN}/{unit}.d");
            let made = json!({ "path": directory, "state": "directory", "mode": "0755" });
            task.ansible.insert(0, json!({ "name": format!("file {unit}"), "ansible.builtin.file": made }));
        }
    }

    /// What a playbook says of a unit: its file, what it is to be, and that it starts anew where that changed.
    fn unit_tasks(
        &mut self,
        unit: &str,
        path: &str,
        text: &str,
        running: Option<bool>,
        enabled: Option<bool>,
        resource: (&str, serde_json::Value),
    ) {
        let state = running.map(|running| if running { "started" } else { "stopped" });
        let mut tasks = vec![
            ("copy", json!({ "dest": path, "content": text, "mode": "0644" })),
            ("systemd_service", json!({ "name": unit, "state": state, "enabled": enabled, "daemon_reload": true })),
        ];
        if running == Some(true) {
            tasks.push(("systemd_service", json!({ "name": unit, "state": "restarted" })));
        }
        let changed = format!("{}.changed", self.said());
        self.wishes(unit, tasks, resource);
        if running == Some(true) {
            self.guarded(0, 2, &changed);
        }
    }

    /// A name for what a task said.
    pub fn said(&self) -> String {
        format!("said{}_{}", self.number, self.tasks.len())
    }

    /// Does a task of the last wish only where an earlier one said so.
    fn guarded(&mut self, earlier: usize, later: usize, when: &str) {
        let said = when.split('.').next().unwrap_or_default();
        if let Some(task) = self.tasks.last_mut() {
            task.ansible[earlier]["register"] = json!(said);
            task.ansible[later]["when"] = json!(when);
        }
    }

    /// What is done at times.
    pub fn timer(&mut self) {
        let name = self.account('t');
        let timer = format!("{name}.timer");
        let schedule = self.pick(&["daily", "Mon..Fri *-*-* 08:00:00"]);
        let [timer_text, service_text] = [
            format!(
                "[Unit]\nDescription={name}\n\n[Timer]\nOnCalendar={schedule}\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n"
            ),
            format!(
                "[Unit]\nDescription={name}\n\n[Service]\nType=oneshot\n\
                 ExecStart=/bin/sh -c \"echo 50%% \\\"of $$HOME\\\" > /dev/null\"\nUser=daemon\n"
            ),
        ];
        if !self.chance(3) {
            let old = if self.chance(3) { timer_text.clone() } else { timer_text.replace(schedule, "yearly") };
            self.unit_file(WRITTEN, &timer, &old);
            self.unit_file(WRITTEN, &format!("{name}.service"), &service_text);
            for line in ["systemctl -q enable UNIT 2> /dev/null", "systemctl start UNIT"] {
                if self.chance(2) {
                    self.handled(&timer, &[line]);
                }
            }
        }
        let service = format!("{WRITTEN}/{name}.service");
        let resource = json!({
            "schedule": schedule, "persistent": true, "command": "echo 50% \"of $HOME\" > /dev/null", "user": "daemon",
        });
        let path = format!("{WRITTEN}/{timer}");
        self.unit_tasks(&timer, &path, &timer_text, Some(true), Some(true), ("timer", resource));
        if let Some(task) = self.tasks.last_mut() {
            task.andon = task.andon.replacen(&timer, &name, 1);
            let copy = json!({ "dest": service, "content": service_text, "mode": "0644" });
            task.ansible.insert(0, json!({ "name": format!("copy {timer}"), "ansible.builtin.copy": copy }));
        }
    }
}

/// A service as it was before systemd.
const SCRIPT: &str = r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: NAME
### END INIT INFO
exit 0
"#;
