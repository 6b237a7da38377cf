//! What expressions come to. `expressions.txt` has the cases: an expression, `=>`, and its value in JSON with its type
//! where that is not plain, or a part of its error. A line that starts with `! ` is one on which we differ from
//! Terraform on purpose; all others are also put to `terraform console`, where there is one.

#![allow(clippy::expect_used, reason = "a test may stop at once")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "Terraform itself is asked, where it is there"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use andon_hcl::parse_expression;
use andon_lang::FileSet;
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_text::{Diagnostic, Diagnostics, SourceMap};
use andon_value::{Kind, Type, Value, quote, to_json};

/// A scope of a few values.
pub struct Values {
    pub values: Vec<(&'static str, Value)>,
    pub files: FileSet,
}

impl Scope for Values {
    fn resolve(&self, root: Name<'_>, _: &[Step]) -> Result<Resolved, Diagnostic> {
        match self.values.iter().find(|(name, _)| *name == &**root.name) {
            Some((_, value)) => Ok(Resolved { value: value.clone(), used: 0 }),
            None => Err(Diagnostic::error(format!("no value {}", root.name)).at(root.span)),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs::of_files(&self.files, "stacks/web", "/project")
    }
}

/// The value of an expression, or its errors with all that they say.
pub fn value_of(text: &str, scope: &Values) -> Result<Value, String> {
    let mut sources = SourceMap::new();
    let id = sources.add("case", text);
    let (expr, errors) = parse_expression(id, text);
    if errors.has_errors() {
        return Err(said(&errors, &sources));
    }
    evaluate(&expr, scope).map_err(|errors| said(&errors, &sources))
}

pub fn said(errors: &Diagnostics, sources: &SourceMap) -> String {
    let mut out = String::new();
    for error in errors {
        let at = error.span.map_or("", |span| sources.text(span));
        let _ = writeln!(out, "{} [{}] at `{at}`", error.summary, error.label);
        for line in error.detail.lines().chain(error.help.iter().map(String::as_str)) {
            let _ = writeln!(out, "  {line}");
        }
        for (span, words) in &error.related {
            let _ = writeln!(out, "  `{}` {words}", sources.text(*span));
        }
    }
    out.trim_end().to_owned()
}

/// A result as the table writes it.
fn written(result: &Result<Value, String>) -> String {
    match result {
        Ok(value) => {
            let json = to_json(&value.unmark_deep().0).map_or_else(|error| error.to_string(), |json| json.to_string());
            let ty = if plain(&value.ty()) { String::new() } else { format!(" : {}", value.ty()) };
            let secret = if value.is_sensitive() { " sensitive" } else { "" };
            format!("{json}{ty}{secret}")
        }
        Err(error) => format!("error: {}", error.lines().next().unwrap_or_default()),
    }
}

/// Types that JSON tells by itself.
fn plain(ty: &Type) -> bool {
    match ty {
        Type::Tuple(elements) => elements.iter().all(plain),
        Type::Object { attributes, .. } => attributes.values().all(plain),
        Type::Dynamic => true,
        ty => ty.is_primitive(),
    }
}

struct Case<'a> {
    expression: &'a str,
    expected: &'a str,
    ours_alone: bool,
}

fn cases() -> Vec<Case<'static>> {
    let lines = include_str!("expressions.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &'static str| {
        let (ours_alone, line) = line.strip_prefix("! ").map_or((false, line), |rest| (true, rest));
        let (expression, expected) = line.rsplit_once("  =>  ").expect("a case has an arrow");
        Case { expression, expected, ours_alone }
    };
    lines.map(case).collect()
}

fn empty() -> Values {
    Values { values: Vec::new(), files: FileSet::new() }
}

#[test]
fn expressions_come_to_what_the_table_says() {
    let scope = empty();
    let mut wrong = String::new();
    for Case { expression, expected, .. } in cases() {
        let given = written(&value_of(expression, &scope));
        if given != expected {
            let _ = writeln!(wrong, "{expression}\n  expected {expected}\n  came to  {given}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The same cases, put to Terraform, which gives every value in JSON and as its console shows it.
#[test]
fn terraform_says_the_same() {
    let cases: Vec<Case<'_>> = cases().into_iter().filter(|case| !case.ours_alone).collect();
    let mut wrong = String::new();
    // Its console takes lines of at most 64 kB.
    for batch in cases.chunks(100) {
        let asked: Vec<&str> = batch.iter().map(|case| case.expression).collect();
        let Some(answers) = console(&asked) else { return };
        for (expression, (json, shown)) in asked.iter().zip(answers) {
            let (our_json, our_shown) = match value_of(expression, &empty()) {
                Ok(value) => {
                    let json = to_json(&value.unmark_deep().0).expect("a known value").to_string();
                    let escaped = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
                    (escaped.replace('\u{2028}', "\\u2028"), show(&value))
                }
                Err(_) => ("error".to_owned(), "\"error\"".to_owned()),
            };
            if json != our_json || !shown.starts_with("<<") && shown != our_shown.replace(' ', "") {
                let _ = writeln!(wrong, "{expression}\n  theirs {json} {shown}\n  ours   {our_json} {our_shown}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A value as Terraform's console shows it, without white space.
fn show(value: &Value) -> String {
    if value.marks().sensitive {
        return "(sensitivevalue)".to_owned();
    }
    let all =
        |elements: &mut dyn Iterator<Item = &Value>| elements.map(|element| show(element) + ",").collect::<String>();
    let pairs = || {
        let entries = value.as_entries().into_iter().flat_map(|entries| entries.iter());
        entries.map(|(key, value)| format!("{}={}", quote(key), show(value))).collect::<String>()
    };
    match value.kind() {
        Kind::Null(Type::String | Type::Number | Type::Bool) => format!("to{}(null)", value.ty()),
        Kind::List(..) => format!("tolist([{}])", all(&mut value.children())),
        Kind::Set(..) => format!("toset([{}])", all(&mut value.children())),
        Kind::Map(..) => format!("tomap({{{}}})", pairs()),
        Kind::Tuple(_) => format!("[{}]", all(&mut value.children())),
        Kind::Object(_) => format!("{{{}}}", pairs()),
        Kind::String(text) => serde_json::Value::from(&**text).to_string(),
        _ => andon_value::render(value, 0),
    }
}

/// What one `terraform console` makes of the expressions; `None` where there is no Terraform. It prints only the
/// answer to its last line, so one tuple asks for all.
fn console(asked: &[&str]) -> Option<Vec<(String, String)>> {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
    let parts = asked.iter().map(|asked| {
        format!(
            "\"----\", try(jsonencode(nonsensitive(jsonencode({asked}))), \"\\\"error\\\"\"), try({asked}, \"error\"), "
        )
    });
    let line = format!("[{}]\n", parts.collect::<String>());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let child = Command::new(&terraform)
        .arg("console")
        .current_dir(&directory)
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: no {terraform} on this machine");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(line.as_bytes()));
    let output = child.wait_with_output().expect("an answer");
    writer.join().expect("a writer").ok();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "terraform console: {errors}");
    let answers: Vec<_> = said
        .trim_end()
        .trim_end_matches(']')
        .split("\n  \"----\",\n")
        .skip(1)
        .map(|answer| {
            let (json, shown) = answer.split_once('\n').expect("two answers");
            let unquoted = |text: &str| serde_json::from_str::<String>(text.trim().trim_end_matches(',')).ok();
            // It shows `${` in a string with its escape.
            let json = unquoted(&json.replace("$${", "${").replace("%%{", "%{")).and_then(|json| unquoted(&json));
            let shown: String = shown.split_whitespace().collect();
            (json.unwrap_or_default(), shown.trim_end_matches(',').to_owned())
        })
        .collect();
    assert_eq!(answers.len(), asked.len(), "{said}");
    Some(answers)
}
