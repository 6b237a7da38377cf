//! Mistakes of typing, one in each text: each must be told in one message, at its place, with a remedy, and Terraform
//! must refuse the text as well. `mistakes.txt` has the cases, each with a line `---` after it; lines `=> PLACE SUMMARY`
//! of a case are its errors. Where there are more than one, the text holds more than one.

use andon_hcl::parse_body;
use andon_text::SourceMap;

use crate::dump::errors;
use crate::terraform::terraform_fmt;

/// The cases: text and errors.
fn cases() -> Vec<(String, String)> {
    let case = |text: &str| {
        let (mut body, mut expected) = (String::new(), Vec::new());
        for line in text.lines() {
            match line.strip_prefix("=> ") {
                Some(error) => expected.push(error),
                None => body.extend([line, "\n"]),
            }
        }
        (body, expected.join("\n"))
    };
    include_str!("mistakes.txt").split("---\n").map(case).collect()
}

#[test]
fn a_mistake_is_told_once_at_its_place() {
    let mut wrong = String::new();
    for (text, expected) in cases() {
        let actual = errors(&text);
        if actual.trim() != expected {
            let lines: String = actual.lines().map(|line| format!("=> {line}\n")).collect();
            wrong.push_str(&format!("{text}{lines}---\n"));
        }
        let (_, found) = parse_body(SourceMap::new().add("x", &*text), &text);
        assert!(found.iter().all(|error| error.span.is_some() && !error.help.is_empty()), "{text}: {found:?}");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn terraform_refuses_the_same_texts() {
    let texts: Vec<String> = cases().into_iter().map(|(text, _)| text).collect();
    let Some(results) = terraform_fmt(&texts) else { return };
    let taken: Vec<_> = texts.iter().zip(results).filter(|(_, result)| result.is_some()).collect();
    assert!(taken.is_empty(), "{taken:#?}");
}
