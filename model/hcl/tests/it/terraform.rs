//! The formatter against a real `terraform fmt`, where this machine has one (`ANDON_TERRAFORM`, or on `PATH`).
#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros)]

use std::path::PathBuf;
use std::process::Command;

use andon_hcl::format;

use crate::format::CORPUS;
use crate::validity::{INVALID, VALID};

/// What `terraform fmt` makes of each text; `None` for one that it refuses.
pub fn terraform_fmt(texts: &[String]) -> Option<Vec<Option<String>>> {
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
    let refused = |index: usize| complaints.contains(&format!("case_{index}.tf "));
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
    agrees(&texts, CORPUS.len());
}

#[test]
fn the_formatter_agrees_with_terraform_on_generated_files() {
    let count = std::env::var("CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(1000);
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let texts: Vec<String> = (first..first + count).map(crate::generate::file).collect();
    agrees(&texts, texts.len());
}

fn is_valid(text: &str) -> bool {
    andon_hcl::parse_body(andon_text::SourceMap::new().add("", ""), text).1.is_empty()
}

/// Compares the results of all texts; terraform may refuse none of the first `valid`.
fn agrees(texts: &[String], valid: usize) {
    let Some(expected) = terraform_fmt(texts) else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (index, (text, expected)) in texts.iter().zip(expected).enumerate() {
        let Some(expected) = expected else {
            if index < valid && is_valid(text) {
                wrong.push((text, "refused".to_owned(), String::new()));
            }
            continue;
        };
        let actual = format(text);
        // Of `"${a + # c` and a second line terraform makes two lines without parentheses, which it then refuses.
        if is_valid(text) && !is_valid(&expected) {
            assert!(is_valid(&actual), "{text:?} became {actual:?}");
            continue;
        }
        compared += 1;
        if actual != expected {
            wrong.push((text, expected, actual));
        }
    }
    wrong.sort_by_key(|(text, ..)| (!CORPUS.contains(&text.as_str()), text.len()));
    wrong.dedup();
    let shown = wrong.iter().take(30).map(|(text, expected, actual)| {
        let pairs = expected.lines().zip(actual.lines()).enumerate();
        let differing: Vec<_> = pairs.filter(|(_, (expected, actual))| expected != actual).take(3).collect();
        format!("text      {text:?}\nterraform {expected:?}\nhere      {actual:?}\nlines     {differing:#?}\n\n")
    });
    assert!(wrong.is_empty(), "{} of {compared} differ\n{}", wrong.len(), shown.collect::<String>());
    println!("{compared} texts compared");
}

#[test]
fn the_corpus_is_judged_as_terraform_judges_it() {
    let texts: Vec<String> = VALID.iter().chain(INVALID).map(|text| (*text).to_owned()).collect();
    let Some(results) = terraform_fmt(&texts) else { return };
    let verdicts = results.iter().map(Option::is_some).enumerate();
    let wrong: Vec<_> =
        verdicts.filter(|(index, taken)| *taken != (*index < VALID.len())).map(|(index, _)| &texts[index]).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Terraform's formatter drops a label with an escaped interpolation: here it stays.
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.contains("\"$${x}\" {}")).collect();
    agrees(&texts, 0);
}
