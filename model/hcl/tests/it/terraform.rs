//! The formatter against a real `terraform fmt`, where this machine has one (`ANDON_TERRAFORM`, or on `PATH`).
#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use andon_hcl::format;

use crate::format::CORPUS;

/// What `terraform fmt` makes of each text; `None` for one that it refuses.
fn terraform_fmt(texts: &[String]) -> Option<Vec<Option<String>>> {
    let program = std::env::var_os("ANDON_TERRAFORM").map_or_else(|| PathBuf::from("terraform"), PathBuf::from);
    let directory = tempfile::tempdir().unwrap();
    let path = |index: usize| directory.path().join(format!("case_{index}.tf"));
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(path(index), text).unwrap();
    }
    let output = match Command::new(&program).args(["fmt", "-no-color", "-list=false"]).current_dir(&directory).output()
    {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {} cannot be run ({error}); set ANDON_TERRAFORM to a terraform", program.display());
            return None;
        }
    };
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = |index: usize| complaints.contains(&format!("case_{index}.tf"));
    let results =
        (0..texts.len()).map(|index| (!refused(index)).then(|| std::fs::read_to_string(path(index)).unwrap()));
    Some(results.collect())
}

/// The same text with other blanks: deterministic, from a seed.
fn with_other_blanks(text: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let mut result = String::new();
    for line in text.split_inclusive('\n') {
        let body = line.trim_start_matches(' ');
        result.push_str(&" ".repeat(random(7) as usize));
        let plain = !body.contains(['"', '#', '/', '$', '%']);
        let mut characters = body.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                ' ' => {
                    let glued = plain && characters.peek().is_some_and(|next| "={}[]()<>?,".contains(*next));
                    result.push_str(&" ".repeat(if glued { random(3) } else { 1 + random(3) } as usize));
                }
                '=' | '{' | '[' | '(' | ',' | ':' | '*'
                    if plain && random(4) == 0 && characters.peek() != Some(&'=') =>
                {
                    result.push(character);
                    if characters.peek() != Some(&'>') {
                        result.push(' ');
                    }
                }
                _ => result.push(character),
            }
        }
    }
    result
}

#[test]
fn the_formatter_agrees_with_terraform() {
    let mut texts: Vec<String> = CORPUS.iter().map(|text| (*text).to_owned()).collect();
    for seed in 0..12 {
        texts
            .extend(CORPUS.iter().enumerate().map(|(index, text)| with_other_blanks(text, seed * 1000 + index as u64)));
    }
    let Some(expected) = terraform_fmt(&texts) else { return };
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for (index, (text, expected)) in texts.iter().zip(expected).enumerate() {
        let Some(expected) = expected else {
            if index < CORPUS.len() {
                wrong.insert(text.clone(), ("refused".to_owned(), String::new()));
            }
            continue;
        };
        compared += 1;
        let actual = format(text);
        if actual != expected {
            wrong.insert(text.clone(), (expected, actual));
        }
    }
    let mut wrong: Vec<_> = wrong.into_iter().collect();
    wrong.sort_by_key(|(text, _)| !CORPUS.contains(&text.as_str()));
    let shown = wrong.iter().take(30).map(|(text, (expected, actual))| {
        format!("text      {text:?}\nterraform {expected:?}\nhere      {actual:?}\n\n")
    });
    assert!(wrong.is_empty(), "{} of {compared} differ\n{}", wrong.len(), shown.collect::<String>());
    println!("{compared} texts compared");
}
