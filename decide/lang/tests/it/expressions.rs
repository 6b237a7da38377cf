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

use andon_hcl::parse_expression;
use andon_lang::FileSet;
use andon_lang::eval::{Inputs, Name, Resolved, Scope, Step, evaluate};
use andon_text::{Diagnostic, Diagnostics, SourceMap};
use andon_value::{Type, Value, to_json};

use crate::answers::answer;
use crate::console::ask;

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

/// The cases on which we differ from Terraform on purpose.
pub fn differences() -> impl Iterator<Item = &'static str> {
    cases().into_iter().filter(|case| case.ours_alone).map(|case| case.expression)
}

/// The same cases, put to Terraform, which gives every value in JSON and its types as its console shows them.
#[test]
fn terraform_says_the_same() {
    let cases: Vec<&str> = cases().into_iter().filter(|case| !case.ours_alone).map(|case| case.expression).collect();
    let mut wrong = String::new();
    for batch in cases.chunks(150) {
        let Some(answers) = ask(batch) else { return };
        for (expression, theirs) in batch.iter().zip(answers) {
            let ours = answer(expression);
            if ours != theirs {
                let _ = writeln!(wrong, "{expression}\n  theirs {theirs}\n  ours   {ours}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The page for users names every difference, and no other.
#[test]
fn the_differences_are_documented() {
    let page = include_str!("../../../../docs/terraform-differences.md");
    let documented: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("- `")?.split_once('`')).map(|(case, _)| case).collect();
    for case in differences() {
        assert!(documented.contains(&case), "`{case}` is not documented");
    }
    for case in &documented {
        assert!(
            differences().any(|difference| difference == *case),
            "`{case}` is documented, but there is no such case"
        );
    }
}
