//! Andon and a real `terraform` do the same with an independent provider: over generated configurations and chains of
//! changes of them, the plans, the outcomes, the states and what is in the imaginary cloud are held against each other.
//! `ANDON_SEEDS=100` tries more seeds, `ANDON_SEED=42` one of them again.

mod compare;
mod configuration;
mod handed_over;
mod server;
mod stories;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::support::{ANDON, Project};
use configuration::Configuration;

/// One of the two, in its own directory, with its own cloud.
struct Side {
    program: PathBuf,
    ours: bool,
    directory: PathBuf,
    settings: PathBuf,
}

struct Ran {
    code: Option<i32>,
    out: String,
    told: String,
}

impl Side {
    fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.directory).env("TF_CLI_CONFIG_FILE", &self.settings);
        command.env("TF_VAR_cloud", self.directory.join("cloud")).env("NO_COLOR", "1");
        command.env("CHECKPOINT_DISABLE", "1").env("TF_IN_AUTOMATION", "1").env("TF_DISABLE_PLUGIN_TLS", "1");
        command.env("XDG_CACHE_HOME", self.directory.join(".cache")).env_remove("TF_PLUGIN_CACHE_DIR");
        command.env("ANDON_DATA_DIR", self.directory.join(".data")).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let out = text(&output.stdout);
        Ran { code: output.status.code(), told: format!("{out}{}", text(&output.stderr)), out }
    }

    fn write(&self, path: &str, text: &str) {
        let place = self.directory.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    /// Plans, and leaves the plan for [`Side::apply`]; the plan as data, or what went wrong.
    fn plan(&self, options: &[&str]) -> Result<Json, String> {
        let ran = match self.ours {
            true => self.run(&[&["plan", "-out", "planned"], options].concat()),
            false => self.run(&[&["plan", "-input=false", "-no-color", "-out=planned"], options].concat()),
        };
        if ran.code != Some(0) {
            return Err(ran.told);
        }
        Ok(self.shown(&["planned"]))
    }

    /// What `show -json` says of a file, or of the state.
    fn shown(&self, file: &[&str]) -> Json {
        let ran = self.run(&[&["show", "-json"], file].concat());
        let line = ran.out.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{}", ran.told));
        // Each has a cloud of its own.
        serde_json::from_str(&line.replace(&*self.directory.to_string_lossy(), "")).unwrap()
    }

    fn apply(&self) -> Result<(), String> {
        let ran = match self.ours {
            true => self.run(&["apply", "planned"]),
            false => self.run(&["apply", "-input=false", "-no-color", "planned"]),
        };
        if ran.code == Some(0) { Ok(()) } else { Err(ran.told) }
    }

    fn state(&self) -> Json {
        let text = match self.ours {
            true => self.run(&["state", "pull"]).out,
            false => fs::read_to_string(self.directory.join("terraform.tfstate")).unwrap_or_default(),
        };
        serde_json::from_str(&text).unwrap_or(Json::Null)
    }

    /// The files of the cloud.
    fn cloud(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.directory.join("cloud")).into_iter().flatten().flatten();
        let files = entries.map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap_or_default())
        });
        files.collect()
    }
}

/// What every configuration has.
const HEADER: &str = r#"terraform {
  required_providers {
    sky = { source = "example.com/test/sky" }
  }
}
variable "cloud" {}
provider "sky" { cloud = var.cloud }
"#;

/// Both, on one configuration.
struct Pair {
    project: Project,
    theirs: Side,
    ours: Side,
    /// A seed, or a story.
    name: String,
    history: Vec<String>,
}

impl Pair {
    fn new(terraform: &Path, server: &Path, name: &str) -> Pair {
        let project = Project::empty("equivalence");
        let settings = project.directory.join("settings");
        let side = |program: &Path, ours: bool| {
            let directory = project.directory.join(if ours { "ours" } else { "theirs" });
            fs::create_dir_all(&directory).unwrap();
            Side { program: program.to_owned(), ours, directory, settings: settings.clone() }
        };
        let (theirs, ours) = (side(terraform, false), side(Path::new(ANDON), true));
        let pair = Pair { project, theirs, ours, name: name.to_owned(), history: Vec::new() };
        pair.provide(server);
        pair
    }

    /// Has the provider be the program in this directory.
    fn provide(&self, directory: &Path) {
        let overrides = format!("    \"example.com/test/sky\" = \"{}\"\n", directory.display());
        self.project.write(
            "settings",
            &format!("provider_installation {{\n  dev_overrides {{\n{overrides}  }}\n  direct {{}}\n}}\n"),
        );
    }

    /// Readies modules that are new.
    fn ready(&self) {
        self.theirs.run(&["get"]);
        self.ours.run(&["init"]);
    }

    fn each(&self) -> [&Side; 2] {
        [&self.theirs, &self.ours]
    }

    /// What each has to say, asked at once: Terraform first.
    fn both<T: Send>(&self, ask: impl Fn(&Side) -> T + Sync) -> [T; 2] {
        std::thread::scope(|scope| {
            let theirs = scope.spawn(|| ask(&self.theirs));
            let ours = ask(&self.ours);
            [theirs.join().unwrap(), ours]
        })
    }

    fn fail(&self, what: &str) -> ! {
        let kept = std::env::temp_dir().join(format!("andon-seed-{}", self.name.replace([' ', ','], "-")));
        let _ = fs::remove_dir_all(&kept);
        let from = self.ours.directory.parent().unwrap();
        let _ = Command::new("cp").arg("-a").arg(from).arg(&kept).status();
        panic!(
            "{what}\nsteps: {:#?}\nkept in {}\nagain: ANDON_SEED={} cargo test -p andon-cli --test it equivalence",
            self.history,
            kept.display(),
            self.name
        );
    }

    fn agree(&self, what: &str, found: Vec<String>) {
        if !found.is_empty() {
            self.fail(&format!("{what} differ (ours, theirs):\n  {}", found.join("\n  ")));
        }
    }

    /// Plans with both; whether there is something to do, `None` where both say that it cannot be done, and where the two
    /// mean to do something else.
    fn plan(&mut self, options: &[&str]) -> Option<bool> {
        let [theirs, ours] = self.both(|side| side.plan(options));
        match (theirs, ours) {
            (Err(theirs), Err(ours)) => {
                if std::env::var_os("ANDON_SEED").is_some() {
                    println!("both refuse\n{}\n{ours}", &theirs[theirs.find("Error:").unwrap_or(0)..]);
                }
                let why = theirs.find("Error:").map_or("", |at| &theirs[at..]);
                self.history.push(format!("both refuse: {}", why.lines().take(8).collect::<Vec<_>>().join(" ")));
                None
            }
            (Ok(theirs), Ok(ours)) => {
                let mut found = compare::shown(&ours, &theirs);
                let unlike = compare::without_meant(&mut found, options) && options.contains(&"-refresh-only");
                self.agree("the plans", found);
                (!unlike).then(|| compare::has_changes(&theirs))
            }
            // Where it only looks, Terraform checks what is not there.
            (Err(theirs), Ok(_)) if options.contains(&"-refresh-only") && theirs.contains("Invalid index") => {
                self.history.push("Terraform fails".to_owned());
                None
            }
            // Terraform asks itself for what it did not plan.
            (Err(theirs), _)
                if theirs.contains("no change found for") || theirs.contains("Failed to load plugin schemas") =>
            {
                self.history.push("Terraform fails".to_owned());
                None
            }
            (theirs, ours) => self.fail(&format!(
                "one plans and the other does not; terraform: {}\nandon: {}",
                theirs.err().unwrap_or_else(|| "plans".to_owned()),
                ours.err().unwrap_or_else(|| "plans".to_owned()),
            )),
        }
    }

    /// Applies with both what they planned; whether that can be done.
    fn apply(&self, looks_only: bool) -> bool {
        let [theirs, ours] = self.both(Side::apply);
        if theirs.is_ok() != ours.is_ok() {
            self.fail(&format!("one applies and the other does not; terraform: {theirs:?}\nandon: {ours:?}"));
        }
        // Terraform makes null of what a look does not know.
        self.same_world(!looks_only);
        ours.is_ok()
    }

    fn same_world(&self, with_outputs: bool) {
        let [theirs, ours] = self.each().map(Side::state);
        self.agree("the states", compare::states(&ours, &theirs, with_outputs));
        let [theirs, ours] = self.both(|side| side.shown(&[]));
        let mut found = compare::shown(&ours, &theirs);
        // What has conditions and no instances is in no state of ours.
        found.retain(|it| !it.starts_with(".checks") || !it.contains(": null, ") || it.contains("instances"));
        self.agree("the states that are shown", found);
        let [theirs, ours] = self.each().map(Side::cloud);
        let names = theirs.keys().chain(ours.keys()).filter(|name| theirs.get(*name) != ours.get(*name));
        let found = names.map(|name| format!("{name}: {:?}, {:?}", ours.get(name), theirs.get(name)));
        self.agree("the clouds", found.collect());
    }
}

/// A seed's life, from nothing to nothing.
fn live(terraform: &Path, server: &Path, seed: u64) {
    let mut pair = Pair::new(terraform, server, &seed.to_string());
    let mut configuration = Configuration::new(seed);
    let steps = std::env::var("ANDON_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(4);
    for step in 0..steps {
        for side in pair.each() {
            side.write("main.tf", &configuration.root_text());
            side.write("m/main.tf", &configuration.module_text());
        }
        if step == 0 {
            pair.ready();
        }
        let mut options: Vec<String> = Vec::new();
        if step > 0 {
            match configuration.below(10) {
                0 => options.push("-refresh=false".to_owned()),
                1 => options.extend(configuration.single().map(|address| format!("-target={address}"))),
                2 => options.extend(configuration.single().map(|address| format!("-replace={address}"))),
                3 => options.push("-refresh-only".to_owned()),
                4 => options.push("-destroy".to_owned()),
                _ => {}
            }
        }
        pair.history.push(format!("plan {options:?}"));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        // Terraform forgets to delete what it replaces first when it is held to a part of a stack.
        let part = options.iter().any(|option| option.starts_with("-target"));
        if pair.plan(&options).is_some() && !part {
            pair.apply(options.contains(&"-refresh-only"));
            // What is left to do afterwards is the same, too, and mostly nothing.
            pair.plan(&[]);
        }
        for _ in 0..1 + configuration.below(4) {
            let change = configuration.change();
            pair.history.push(change);
        }
        tamper(&mut pair, &mut configuration);
    }
    pair.history.push("destroy".to_owned());
    if pair.plan(&["-destroy"]).is_some() {
        pair.apply(false);
    }
}

/// Now and then an object is gone or another when nobody looks.
fn tamper(pair: &mut Pair, configuration: &mut Configuration) {
    let names: Vec<String> = pair.theirs.cloud().into_keys().filter(|name| name.ends_with(".json")).collect();
    if names.is_empty() || configuration.below(3) > 0 {
        return;
    }
    let name = &names[configuration.below(names.len() as u64) as usize];
    let gone = configuration.below(2) == 0;
    pair.history.push(format!("{name} is {}", if gone { "gone" } else { "another" }));
    for side in pair.each() {
        let place = side.directory.join("cloud").join(name);
        if gone {
            let _ = fs::remove_file(&place);
            continue;
        }
        let Ok(text) = fs::read_to_string(&place) else { continue };
        let mut object: Json = serde_json::from_str(&text).unwrap();
        for attribute in ["text", "string", "either_string", "kept"] {
            if let Some(value) = object["state"].get_mut(attribute) {
                *value = "drifted".into();
            }
        }
        fs::write(place, serde_json::to_string_pretty(&object).unwrap() + "\n").unwrap();
    }
}

/// The real thing and the provider's directory; `None`, and the reason said, where one of them is not there.
fn terraform() -> Option<(PathBuf, PathBuf)> {
    let terraform = PathBuf::from(std::env::var_os("ANDON_TERRAFORM").unwrap_or_else(|| "terraform".into()));
    if let Err(error) = Command::new(&terraform).arg("version").output() {
        println!("skipped: no terraform to compare with: {error}");
        return None;
    }
    Some((terraform, server::directory()?))
}

#[test]
fn an_independent_provider_is_driven_as_terraform_drives_it() {
    let Some((terraform, server)) = terraform() else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("ANDON_SEED") {
        return live(&terraform, &server, seed);
    }
    let mut failed = Vec::new();
    for seed in 0..number("ANDON_SEEDS").unwrap_or(2) {
        let lived = std::panic::catch_unwind(|| live(&terraform, &server, seed));
        failed.extend(lived.is_err().then_some(seed));
    }
    assert_eq!(failed, Vec::<u64>::new(), "these seeds failed");
}
