//! Ansible as an independent judge. A role and a playbook that say the same meet servers that begin in the same random
//! state, half-done: a link where a file should be, a user with another shell, a line twice. Both must end in the same, and
//! neither may find anything to do where the other has been.
//!
//! `ANDON_JUDGE_SEEDS=200` tries more seeds, `ANDON_JUDGE_SEED=42` one of them again.

mod accounts;
mod ansible;
mod files;
mod firewall;
mod machine;
mod packages;
mod seed;
mod server;
mod services;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::channel;

use serde_json::{Value as Json, json};

use crate::support::{ANDON, Project, serve};
use ansible::{Ansible, Outcome};
use machine::States;
use seed::Seed;

/// What a seed may have; each makes up how that is before, and what it is to be.
const KINDS: [fn(&mut Seed); 23] = [
    Seed::archive,
    Seed::attributes,
    Seed::authorized_key,
    Seed::block,
    Seed::cron,
    Seed::directory_with_a_file,
    Seed::fetched,
    Seed::file,
    Seed::git,
    Seed::group,
    Seed::host_entry,
    Seed::line,
    Seed::link,
    Seed::mount,
    Seed::no_block,
    Seed::no_directory,
    Seed::no_file,
    Seed::no_group,
    Seed::no_line,
    Seed::no_link,
    Seed::no_user,
    Seed::template,
    Seed::user,
];

/// Files that have a part in many resources, and what is told of the machine itself.
const SHARED: [&str; 15] = [
    "/etc/default/locale",
    "/etc/fstab",
    "/etc/group",
    "/etc/gshadow",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/locale.gen",
    "/etc/localtime",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/subgid",
    "/etc/timezone",
    "packages",
    "the kernel",
    "the server",
];

/// How many of them.
const TASKS: usize = 10;

/// Where Ansible keeps its own on a machine.
const HOME: &str = "/run";

/// The project and the playbook, and whoever carries them out.
struct Trial {
    seeds: Vec<Seed>,
    project: Project,
    ansible: Ansible,
}

/// All seeds, each with some of what there may be, and the first with what there is once on a machine.
fn seeds(kinds: &[fn(&mut Seed)], tasks: usize, once: fn(&mut Seed)) -> Vec<Seed> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let numbers = match number("ANDON_JUDGE_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("ANDON_JUDGE_SEEDS").unwrap_or(50),
    };
    let seed = |number: u64| {
        let mut seed = Seed::new(number);
        // Whatever the number of seeds, each kind has its turn.
        kinds[number as usize % kinds.len()](&mut seed);
        if number == *numbers.start() {
            once(&mut seed);
        }
        for _ in 1..tasks {
            let kind = seed.pick(kinds);
            kind(&mut seed);
        }
        seed
    };
    numbers.clone().map(seed).collect()
}

/// Writes a role for each seed, and one for all of them: the names of the seeds.
fn write_roles(project: &Project, seeds: &[Seed]) -> Vec<String> {
    for seed in seeds {
        project.write(&format!("roles/{}.role.hcl", seed.name()), &seed.role());
        for (path, text) in &seed.files {
            project.write(&format!("roles/{path}"), text);
        }
    }
    let names: Vec<String> = seeds.iter().map(Seed::name).collect();
    project.write("roles/all.role.hcl", &format!("role \"all\" {{\n  inherits = {}\n}}\n", json!(names)));
    names
}

#[test]
fn ansible_and_andon_end_in_the_same_and_find_nothing_after_each_other() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root has machines of its own");
        return;
    }
    let ansible = match Ansible::find() {
        Ok(ansible) => ansible,
        Err(reason) => {
            println!("skipped: Ansible cannot be installed here: {reason}");
            return;
        }
    };
    let seeds = seeds(&KINDS, TASKS, |seed| {
        seed.machine();
        seed.packages();
    });
    let project = Project::empty("judge");
    let names = write_roles(&project, &seeds);
    let plays: Vec<Json> = seeds.iter().map(Seed::play).collect();
    ansible::prepare(&project.directory, &names, &json!(plays), ansible::python_here());
    let trial = Trial { seeds, project, ansible };

    // Each side looks at what has changed on either.
    let ((tell_andon, told_andon), (tell_ansible, told_ansible)) = (channel(), channel());
    let trial = &trial;
    let (first, second) = std::thread::scope(|scope| {
        let by_ansible = scope.spawn(move || {
            on_a_machine(|| {
                seed::lay(&trial.seeds);
                let failed = trial
                    .ansible
                    .play(&trial.project.directory, HOME.as_ref(), &[])
                    .map(|outcomes| trial.failures(outcomes));
                let changed = machine::changed();
                tell_andon.send(changed.clone()).unwrap();
                let all: BTreeSet<String> = changed.union(&told_ansible.recv().unwrap()).cloned().collect();
                (failed, machine::states(&all), trial.andon("local", "--plan"))
            })
        });
        let by_andon = scope.spawn(move || {
            on_a_machine(|| {
                seed::lay(&trial.seeds);
                let before = machine::states(&machine::changed());
                let converged = trial.andon("local", "-y");
                let changed = machine::changed();
                tell_ansible.send(changed.clone()).unwrap();
                let all: BTreeSet<String> = changed.union(&told_andon.recv().unwrap()).cloned().collect();
                let states = machine::states(&all);
                let again = trial.andon("local", "-y");
                let checked = trial.ansible.play(&trial.project.directory, HOME.as_ref(), &["--check", "--diff"]);
                (before, converged, states, again, checked.map(|outcomes| trial.changes(outcomes)))
            })
        });
        (by_ansible.join().unwrap(), by_andon.join().unwrap())
    });
    let (Some(first), Some(second)) = (first, second) else { return };
    let (failed, by_ansible, plan) = first;
    let (before, converged, by_andon, again, checked) = second;
    let wrong = trial.verdict(failed, &converged, [&before, &by_ansible, &by_andon], &plan, &again, checked);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Does this on a machine of its own; `None`, with a word to the user, where there can be none.
fn on_a_machine<T>(this: impl FnOnce() -> T) -> Option<T> {
    let directory = tempfile::tempdir().unwrap();
    let seen = [Path::new(ANDON).parent().unwrap(), Path::new(env!("CARGO_TARGET_TMPDIR"))];
    match machine::enter(directory.path(), &seen) {
        Ok(()) => {
            serve("127.0.0.1:80", |path| {
                let number = path.split('/').find_map(|word| word.parse().ok());
                Some(number.map(files::served).unwrap_or_default().into())
            });
            Some(this())
        }
        Err(error) => {
            println!("skipped: there is no machine with an overlay and namespaces here: {error}");
            None
        }
    }
}

impl Trial {
    /// `andon run` on a server: what is to be said of each resource that is not as it should be.
    fn andon(&self, on: &str, how: &str) -> Result<Vec<Json>, String> {
        let ran = self.project.andon(&["run", "all", "--on", on, "--json", how]);
        let lines: Vec<Json> = ran.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let entries = lines.iter().find_map(|line| line["report"]["entries"].as_array()).cloned();
        entries.ok_or_else(|| ran.to_string())
    }

    /// All that is wrong: how Ansible failed, what came of Andon's run; how all was before, by Ansible and by Andon; what
    /// Andon plans after Ansible and does after itself; what Ansible would change after Andon.
    fn verdict(
        &self,
        failed: Result<String, String>,
        converged: &Result<Vec<Json>, String>,
        [before, by_ansible, by_andon]: [&States; 3],
        plan: &Result<Vec<Json>, String>,
        again: &Result<Vec<Json>, String>,
        checked: Result<String, String>,
    ) -> String {
        let changes = |entry: &Json| entry["change"] != "none" || !entry["reason"].is_null();
        [
            failed.unwrap_or_else(|said| format!("Ansible did not come to its end: {said}\n")),
            self.said_wrong("Andon did not converge", converged, |entry| !entry["reason"].is_null()),
            self.differences(before, by_ansible, by_andon),
            self.touched(before, by_andon),
            self.said_wrong("Andon would change what Ansible made", plan, changes),
            self.said_wrong("Andon would change what Andon made", again, changes),
            checked.unwrap_or_else(|said| format!("Ansible did not come to the end of its check: {said}\n")),
        ]
        .concat()
    }

    fn seed(&self, name: &str) -> Option<&Seed> {
        self.seeds.iter().find(|seed| seed.name() == name)
    }

    /// All that the seeds know of something.
    fn tell(&self, place: &str) -> String {
        self.seeds.iter().map(|seed| seed.tell(place)).collect()
    }

    fn said_wrong(&self, what: &str, entries: &Result<Vec<Json>, String>, wrong: fn(&Json) -> bool) -> String {
        let entries = match entries {
            Ok(entries) => entries,
            Err(said) => return format!("{what}: {said}\n"),
        };
        let address = |entry: &Json| entry["address"].as_str().unwrap_or_default().to_owned();
        let wrong = entries.iter().filter(|entry| wrong(entry));
        wrong.map(|entry| format!("{what}: {entry}\n{}", self.tell(&address(entry)))).collect()
    }

    fn outcome(&self, what: &str, outcome: &Outcome) -> String {
        let subject = outcome.task.split_once(' ').map_or("", |(_, subject)| subject);
        let told = self.seed(&outcome.host).map_or_else(|| self.tell(subject), |seed| seed.tell(subject));
        format!("{}: Ansible {what} {}: {}\n{told}", outcome.host, outcome.task, outcome.said)
    }

    fn failures(&self, outcomes: Vec<Outcome>) -> String {
        outcomes.iter().filter(|outcome| outcome.failed).map(|it| self.outcome("failed at", it)).collect()
    }

    fn changes(&self, outcomes: Vec<Outcome>) -> String {
        // This module compares texts: what says the same in another order is another to it.
        let is_form = |outcome: &Outcome| outcome.task.starts_with("ansible.builtin.deb822_repository");
        let wrong = outcomes.iter().filter(|outcome| outcome.failed || (outcome.changed && !is_form(outcome)));
        wrong.map(|it| self.outcome(if it.failed { "failed at" } else { "would change" }, it)).collect()
    }

    /// What changed though nothing is said of it.
    fn touched(&self, before: &States, after: &States) -> String {
        let said_of = |path: &str, subject: &str| match subject.starts_with('/') {
            true => path.strip_prefix(subject).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            false => path.contains(subject),
        };
        let said = |path: &str| {
            SHARED.contains(&path)
                || self.seeds.iter().flat_map(|seed| &seed.tasks).any(|task| said_of(path, &task.subject))
        };
        let changed = before.iter().filter(|(path, was)| after.get(*path).is_some_and(|is| is != *was));
        let wrong = changed.filter(|(path, _)| !said(path));
        wrong.map(|(path, was)| format!("Andon touched {path}, which was {was}and is {}", after[path])).collect()
    }

    fn differences(&self, before: &States, by_ansible: &States, by_andon: &States) -> String {
        let mut wrong = String::new();
        let paths: BTreeMap<&String, &String> = by_ansible.iter().collect();
        for (path, ansible) in paths {
            let andon = by_andon.get(path).map_or("nothing\n", String::as_str);
            if ansible == andon {
                continue;
            }
            let difference = similar::TextDiff::from_lines(ansible.as_str(), andon);
            let difference = difference.unified_diff().context_radius(0).header("by Ansible", "by Andon").to_string();
            let lines = difference.lines().filter(|line| line.starts_with(['+', '-'])).collect::<Vec<_>>().join("\n");
            let was = before.get(path).map_or("", |was| was.lines().next().unwrap_or_default());
            wrong += &format!("{path} was {was}\n{difference}{}", self.tell(&format!("{path}\n{lines}")));
        }
        wrong
    }
}
