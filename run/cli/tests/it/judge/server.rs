//! Two servers with systemd that begin in the same random state: Ansible has one, Andon the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value as Json, json};

use super::ansible::{self, Ansible};
use super::machine::States;
use super::seed::{self, Seed};
use super::{Trial, firewall};
use crate::support::{ANDON, Project, lab_is_missing};

/// What a seed may have.
const KINDS: [fn(&mut Seed); 9] = [
    Seed::certificate,
    Seed::drop_in,
    Seed::kernel_module,
    Seed::repository,
    Seed::service,
    Seed::service,
    Seed::sudoers,
    Seed::timer,
    Seed::unit,
];

/// How many of them.
const TASKS: usize = 2;

/// What both servers begin with: tools of theirs, and what Ansible needs on a server.
const GROUND: &str = r#"
role "judged" {
  package "tools" { names = ["kmod", "locales", "nftables", "openssl", "sudo"] }
  package "python" { names = ["python3", "python3-apt", "python3-cryptography", "python3-debian"] }
}
"#;

const SERVERS: &str = r#"
resource "lab_network" "net" {
  name = "judge"
}
resource "andon_image" "judged" { definition = "judged" }
resource "lab_server" "judged" {
  for_each = toset(["ansible", "andon"])
  name     = "judged-by-${each.key}"
  image    = andon_image.judged.digest
  network  = lab_network.net.id
}
"#;

const ANSIBLE: &str = "judged-by-ansible";
const ANDON_S: &str = "judged-by-andon";

#[test]
fn on_servers_with_systemd_both_end_in_the_same_and_find_nothing_after_each_other() {
    if let Some(reason) = lab_is_missing() {
        println!("skipped: {reason}");
        return;
    }
    let ansible = match Ansible::find() {
        Ok(ansible) if ansible.keeps_an_interpreter() => ansible,
        Ok(_) => return println!("skipped: without mitogen Ansible does not get into a server of the lab"),
        Err(reason) => return println!("skipped: Ansible cannot be installed here: {reason}"),
    };
    let seeds = super::seeds(&KINDS, TASKS, |seed| seed.server());
    let project = Project::empty("judged");
    let names = super::write_roles(&project, &seeds);
    project.write("roles/judged.role.hcl", GROUND);
    project.write("roles/wall.role.hcl", &firewall::role());
    project.write(
        "images/judged.image.hcl",
        "image \"judged\" {\n  from  = \"debian:bookworm\"\n  roles = [\"judged\"]\n}\n",
    );
    project.write("main.tf", SERVERS);
    // One host stands for all seeds: each costs an interpreter.
    let tasks: Vec<&Json> = seeds.iter().flat_map(|seed| &seed.tasks).flat_map(|task| &task.ansible).collect();
    let plays = json!([{ "hosts": "all", "gather_facts": false, "tasks": tasks }]);
    assert!(!names.is_empty());
    for server in [ANSIBLE, ANDON_S] {
        ansible::prepare(&project.directory.join(server), &["server".to_owned()], &plays, &python(&project, server));
    }
    project.ok(&["apply", "-y"]);
    let trial = Trial { seeds, project, ansible };
    for server in [ANSIBLE, ANDON_S] {
        // Modules are run in the directory of the playbook; a boot empties what is for passing things.
        let directory = trial.project.directory.join(server);
        let is_up = "systemctl is-system-running 2> /dev/null | grep -qE 'running|degraded'";
        let up = format!("until {is_up}; do sleep 0.1; done\nmkdir -p {}\n", directory.display());
        trial.in_server(server, "sh", &format!("{up}{}", seed::script(&trial.seeds)));
    }
    let before = trial.states(ANDON_S);
    let (play, converged) = trial.both(|trial| trial.play(ANSIBLE, &[]), |trial| trial.andon(ANDON_S, "-y"));
    let (by_ansible, by_andon) = (trial.states(ANSIBLE), trial.states(ANDON_S));
    let (check, (plan, again)) = trial.both(
        |trial| trial.play(ANDON_S, &["--check", "--diff"]),
        |trial| (trial.andon(ANSIBLE, "--plan"), trial.andon(ANDON_S, "--plan")),
    );
    let failed = play.map(|outcomes| trial.failures(outcomes));
    let checked = check.map(|outcomes| trial.changes(outcomes));
    let mut wrong = trial.verdict(failed, &converged, [&before, &by_ansible, &by_andon], &plan, &again, checked);
    let walled = trial.project.andon(&["run", "wall", "--on", ANDON_S, "-y"]);
    wrong += &match walled.code {
        Some(0) => {
            let load = format!("nft -f - <<'END'\n{}END\nnft --stateless list ruleset", firewall::expected());
            firewall::differences(&trial.in_server(ANDON_S, "sh", &load))
        }
        _ => walled.to_string(),
    };
    trial.project.ok(&["destroy", "-y"]);
    assert!(wrong.is_empty(), "{wrong}");
}

/// A program that is the interpreter of a server, for those who are not on it.
fn python(project: &Project, server: &str) -> String {
    let path = project.directory.join(format!("{server}-python"));
    let (directory, data) = (project.directory.display(), project.data_dir.display());
    let words = format!("'{ANDON}' -C '{directory}' ssh {server} /usr/bin/python3");
    fs::write(&path, format!("#!/bin/sh\nANDON_DATA_DIR='{data}' exec {words} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

impl Trial {
    fn play(&self, server: &str, more: &[&str]) -> Result<Vec<ansible::Outcome>, String> {
        let directory = self.project.directory.join(server);
        self.ansible.play(&directory, &directory.join("home"), more)
    }

    /// Two things at once.
    fn both<A: Send, B: Send>(&self, one: impl FnOnce(&Trial) -> A + Send, other: impl FnOnce(&Trial) -> B) -> (A, B) {
        std::thread::scope(|scope| {
            let one = scope.spawn(move || one(self));
            let other = other(self);
            (one.join().unwrap(), other)
        })
    }

    /// What a program in a server says to a text on its input.
    fn in_server(&self, server: &str, program: &str, text: &str) -> String {
        let path = self.project.directory.join(format!("{server}-input"));
        fs::write(&path, text).unwrap();
        let mut command = self.project.command(&["ssh", server, program, "-"]);
        if program == "sh" {
            command = self.project.command(&["ssh", server, "sh", "-eus"]);
        }
        let output = command.stdin(fs::File::open(path).unwrap()).output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{complained}");
        said.into_owned()
    }

    /// How a server is: its files, its units, and what its tools say of it.
    fn states(&self, server: &str) -> States {
        let units: Vec<&str> = self.seeds.iter().flat_map(|seed| &seed.tasks).filter_map(seed::unit).collect();
        let said = self.in_server(server, "python3", &LOOK.replace("UNITS", &json!(units).to_string()));
        serde_json::from_str(&said).unwrap()
    }
}

/// Says how the server is that it runs on.
const LOOK: &str = r#"
import json, os, re, stat, subprocess
# The address of each server is its own; Ansible gives it a pretty name beside the other.
IGNORED = ("/etc/.pwd.lock", "/etc/hosts", "/etc/machine-id", "/etc/machine-info")
states = {}

def certificate(data):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    if b"PRIVATE KEY" in data:
        key = serialization.load_pem_private_key(data, None)
        return "a key of %s %d\n" % (key.curve.name, key.key_size)
    it = x509.load_pem_x509_certificate(data)
    names = it.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    signed = it.issuer == it.subject
    return "%s for %s, by itself: %s\n" % (it.subject.rfc4514_string(), sorted(map(str, names)), signed)

def state(path):
    meta = os.lstat(path)
    if stat.S_ISLNK(meta.st_mode):
        return "link to %s\n" % os.readlink(path)
    mode = "%04o %d:%d\n" % (stat.S_IMODE(meta.st_mode), meta.st_uid, meta.st_gid)
    if stat.S_ISDIR(meta.st_mode):
        return "directory " + mode
    if not stat.S_ISREG(meta.st_mode):
        return "other " + mode
    data = open(path, "rb").read()
    if b"-----BEGIN " in data and path.startswith("/srv/"):
        return "file " + mode + certificate(data)
    text = data.decode("utf-8", "replace")
    if path.endswith(".sources"):
        # The order of its fields means nothing, nor does one that is nobody's, or says what is so anyway.
        lines = [line for line in text.splitlines(True) if not line.startswith("X-")]
        text = "".join(sorted(line for line in lines if line != "Enabled: yes\n"))
    return "file " + mode + text

for top in ("/etc", "/srv", "/var/spool"):
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = directory + "/" + name
            if path not in IGNORED and not name.endswith("-"):
                states[path] = state(path)

def said(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout

shown = said("systemctl", "show", "-p", "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID", "--", *UNITS)
for unit, shown in zip(UNITS, shown.split("\n\n")):
    fields = dict(line.split("=", 1) for line in shown.splitlines())
    process = fields.pop("MainPID", "0")
    if process != "0":
        fields["process"] = open("/proc/%s/cmdline" % process).read().replace("\0", " ")
        fields["nice"] = str(os.getpriority(os.PRIO_PROCESS, int(process)))
        fields["environment"] = " ".join(re.findall(r"\b[AB]=[0-9]", open("/proc/%s/environ" % process).read()))
    states["unit " + unit] = "".join("%s %s\n" % field for field in sorted(fields.items()))
states["the server"] = "locales\n" + said("locale", "-a")
print(json.dumps(states))
"#;
