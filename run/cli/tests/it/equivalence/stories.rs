//! Written stories, where what has to be tried is rare among what is generated.

use std::fs;
use std::path::Path;

use super::{HEADER, Pair, terraform};

/// What a module of the stories has.
const MODULE: &str = r#"terraform {
  required_providers {
    sky = { source = "example.com/test/sky" }
  }
}
resource "sky_steady" "in" { name = "many-0" }
"#;

/// Leads both through a story.
fn tell(terraform: &Path, server: &Path, name: &str, steps: &str) {
    let mut pair = Pair::new(terraform, server, name);
    let old = pair.project.directory.join("age-1");
    fs::create_dir_all(&old).unwrap();
    for file in fs::read_dir(server).unwrap().flatten() {
        let is_program = file.file_name().to_string_lossy() == "terraform-provider-sky";
        is_program.then(|| fs::copy(file.path(), old.join(file.file_name())).unwrap());
    }
    for side in pair.each() {
        side.write("m/main.tf", MODULE);
    }
    for (at, step) in steps.split("\n>>>").skip(1).enumerate() {
        let (options, text) = step.split_once('\n').unwrap_or((step, ""));
        let options: Vec<&str> = options.split_whitespace().collect();
        let is_old = options.contains(&"age-1");
        pair.provide(if is_old { &old } else { server });
        if !text.trim().is_empty() {
            for side in pair.each() {
                side.write("main.tf", &format!("{HEADER}{text}"));
            }
        }
        if at == 0 || text.contains("module \"") {
            pair.ready();
        }
        let options: Vec<&str> = options.into_iter().filter(|option| *option != "age-1").collect();
        pair.history.push(format!("step {at}: {options:?}\n{text}"));
        match pair.plan(&options) {
            Some(_) => {
                if pair.apply(false) {
                    pair.plan(&[]);
                }
            }
            None => pair.same_world(true),
        }
    }
}

#[test]
fn stories_end_alike() {
    let Some((terraform, server)) = terraform() else { return };
    let text = include_str!("stories.txt");
    let only = std::env::var("ANDON_STORY").unwrap_or_default();
    let mut failed = Vec::new();
    let stories: Vec<&str> = text.split("\n=== ").skip(1).collect();
    assert!(stories.len() > 5);
    for story in stories {
        let name = story.lines().next().unwrap_or_default();
        if !name.contains(&only) {
            continue;
        }
        let told = std::panic::catch_unwind(|| tell(&terraform, &server, name, story));
        failed.extend(told.is_err().then_some(name));
    }
    assert_eq!(failed, Vec::<&str>::new(), "these stories failed; ANDON_STORY=NAME tells one again");
}
