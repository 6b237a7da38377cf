//! Terraform as the oracle. Thousands of expressions are put to it and to us: values must be equal, with their types,
//! and errors must be errors on both sides. Its answers are kept in `answers.txt`, so that they are compared with where
//! there is no Terraform as well; where there is one, it must still give them.
//!
//! `more.txt` has expressions by hand. From `calls.txt`, which has a good call of each function, calls are generated
//! in which each argument is each value of a pool; and so are operators, conditionals and conversions.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use andon_lang::FileSet;
use andon_value::{Kind, Type, Value, to_json};

use crate::console::ask;
use crate::expressions::{Values, differences, value_of};

/// Values of every kind: none, empty, nested, in other scripts, huge and tiny.
pub const POOL: [&str; 26] = [
    "null",
    "true",
    "0",
    "-1",
    "2.5",
    "1e400",
    "123456789012345678901234567890",
    "1e-40",
    "\"\"",
    "\"a\"",
    "\"5\"",
    "\"e\\u0301👨‍👩‍👧\"",
    "\" a,B\\n\"",
    "[]",
    "[1, 2]",
    "[\"b\", \"a\", null]",
    "[[1], [\"a\"]]",
    "{}",
    "{a = 1, b = null}",
    "{a = [\"x\"]}",
    "toset([\"a\", \"b\"])",
    "tolist([])",
    "tomap({a = \"x\"})",
    "tostring(null)",
    "[{a = 1}, {a = 2}]",
    "1 / 3",
];

pub const OPERATORS: [&str; 13] = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||"];

/// A good call of each function: its name and its arguments.
pub fn calls() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    include_str!("calls.txt").lines().map(|line| {
        let (name, arguments) = line.split_once(" | ").expect("a call has arguments");
        (name, arguments.split(" | ").collect())
    })
}

/// Every expression that is put to both.
fn expressions() -> BTreeSet<String> {
    let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all: BTreeSet<String> = lines(include_str!("more.txt")).map(str::to_owned).collect();
    for (name, arguments) in calls() {
        all.insert(format!("{name}({})", arguments.join(", ")));
        all.insert(format!("{name}()"));
        all.insert(format!("{name}({}, 1)", arguments.join(", ")));
        for at in 0..arguments.len() {
            for value in POOL {
                let mut arguments = arguments.clone();
                arguments[at] = value;
                all.insert(format!("{name}({})", arguments.join(", ")));
            }
        }
    }
    for (place, one) in POOL.iter().enumerate() {
        all.insert(format!("-{one}"));
        all.insert(format!("!{one}"));
        all.insert(format!("\"<${{{one}}}>\""));
        all.insert(format!("({one})[*]"));
        all.insert(format!("({one})[0]"));
        all.insert(format!("({one}).a"));
        all.insert(format!("[for x in {one} : x]"));
        all.insert(format!("{{for k, v in {one} : k => v}}"));
        for to in ["tostring", "tonumber", "tobool", "tolist", "toset", "tomap"] {
            all.insert(format!("{to}([{one}])"));
            all.insert(format!("{to}({{x = {one}}})"));
        }
        for (other_place, other) in POOL.iter().enumerate() {
            all.insert(format!("true ? {one} : {other}"));
            all.insert(format!("tolist([{one}, {other}])"));
            // Each pair meets a few of the operators, and each operator every value.
            for (at, operator) in OPERATORS.iter().enumerate() {
                if (place + other_place * 5 + at) % 6 == 0 {
                    all.insert(format!("{one} {operator} {other}"));
                }
            }
        }
    }
    all
}

/// The stored answers by expression.
fn stored() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("answers.txt").lines();
    lines.map(|line| line.rsplit_once("  =>  ").expect("an answer has an arrow")).collect()
}

/// What we make of an expression, in the form of the answers: JSON, and the value as Terraform's console shows it.
pub fn answer(expression: &str) -> String {
    let scope = Values { values: Vec::new(), files: FileSet::new() };
    match value_of(expression, &scope) {
        Ok(value) if !value.is_wholly_known() => "unknown".to_owned(),
        Ok(value) => {
            let (bare, _) = value.unmark_deep();
            let json = to_json(&bare).map_or_else(|_| "none".to_owned(), |json| json.to_string());
            format!("{json}  {}", show(&value))
        }
        Err(_) => "error".to_owned(),
    }
}

/// The types in a value as Terraform's console shows them.
fn show(value: &Value) -> String {
    if value.marks().sensitive {
        return "(sensitivevalue)".to_owned();
    }
    let all = || value.children().map(show).collect::<Vec<_>>().join(";");
    let pairs = || value.children().map(|child| format!("\"\"={}", show(child))).collect::<String>();
    match value.kind() {
        Kind::Null(Type::String | Type::Number | Type::Bool) => format!("to{}(null)", value.ty()),
        Kind::Null(Type::List(_)) => "tolist(null)".to_owned(),
        Kind::Null(Type::Set(_)) => "toset(null)".to_owned(),
        Kind::Null(Type::Map(_)) => "tomap(null)".to_owned(),
        Kind::List(..) => format!("tolist([{}])", all()),
        Kind::Set(..) => format!("toset([{}])", all()),
        Kind::Map(..) => format!("tomap({{{}}})", pairs()),
        Kind::Tuple(_) => format!("[{}]", all()),
        Kind::Object(_) => format!("{{{}}}", pairs()),
        Kind::String(_) => "\"\"".to_owned(),
        _ => andon_value::render(value, 0),
    }
}

#[test]
fn we_answer_as_terraform_does() {
    let stored = stored();
    let mut wrong = String::new();
    let mut count = 0;
    for expression in expressions() {
        let Some(theirs) = stored.get(expression.as_str()) else {
            let _ = writeln!(wrong, "{expression}\n  has no stored answer: run with ASK_TERRAFORM=1");
            continue;
        };
        count += 1;
        let ours = answer(&expression);
        if ours != *theirs && !differences().any(|known| known == expression) {
            let _ = writeln!(wrong, "{expression}\n  theirs {theirs}\n  ours   {ours}");
        }
    }
    let lines = wrong.lines().count() / 3;
    assert!(wrong.is_empty(), "{lines} of {count} differ\n{wrong}");
    assert!(count >= 2000, "{count} expressions");
}

#[test]
fn terraform_still_gives_the_stored_answers() {
    let expressions = expressions();
    let mut answers: Vec<(String, String)> = Vec::new();
    let mut rest: Vec<&str> = expressions.iter().map(String::as_str).collect();
    while !rest.is_empty() {
        // Its console takes lines of at most 64 kB, in which each expression stands three times.
        let mut room = 58_000usize;
        let mut fits = |asked: &str| {
            room = room.saturating_sub(asked.len() * 3 + 80);
            room > 0
        };
        let count = rest.iter().copied().take_while(|asked| fits(asked)).count().max(1);
        let later = rest.split_off(count);
        let Some(given) = ask(&rest) else { return };
        answers.extend(rest.iter().map(|asked| asked.to_string()).zip(given));
        rest = later;
    }
    if std::env::var_os("ASK_TERRAFORM").is_some() {
        let text: String = answers.iter().map(|(asked, answer)| format!("{asked}  =>  {answer}\n")).collect();
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/answers/answers.txt"), text).expect("written");
        return;
    }
    let stored = stored();
    for (asked, answer) in &answers {
        assert_eq!(stored.get(asked.as_str()), Some(&answer.as_str()), "{asked}");
    }
}
