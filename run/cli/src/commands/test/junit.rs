//! Results of tests as JUnit XML, in the shape that `terraform test -junit-xml` gives.

use std::fmt::Write as _;

use andon_engine::{FileReport, RunReport, TestStatus};
use andon_text::{Diagnostic, Diagnostics, SourceMap};
use andon_view::Paint;

/// How wide diagnostics are in the file.
const WIDTH: usize = 78;

/// The file's content.
pub fn junit(files: &[FileReport], sources: &SourceMap) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><testsuites>\n".to_owned();
    for file in files {
        let count = |status| file.runs.iter().filter(|run| run.status == status).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" skipped=\"{}\" failures=\"{}\" errors=\"{}\">",
            attribute(&file.path),
            file.runs.len(),
            count(TestStatus::Skip),
            count(TestStatus::Fail),
            count(TestStatus::Error)
        );
        for run in &file.runs {
            case(&mut out, file, run, sources);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, file: &FileReport, run: &RunReport, sources: &SourceMap) {
    let (name, class) = (attribute(&run.name), attribute(&file.path));
    let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{class}\"");
    if let Some(began) = run.began {
        let (seconds, rest) = (run.took_ms / 1000, run.took_ms % 1000);
        let _ = write!(out, " time=\"{seconds}.{rest:03}\" timestamp=\"{}\"", crate::clock::rfc3339(began));
    }
    out.push('>');
    let (errors, warnings): (Vec<Diagnostic>, Vec<Diagnostic>) =
        run.diagnostics.iter().cloned().partition(Diagnostic::is_error);
    let mut child = |tag: &str, message: Option<String>, text: &str| {
        let message = message.map_or_else(String::new, |message| format!(" message=\"{}\"", attribute(&message)));
        let _ = write!(out, "\n      <{tag}{message}>{}</{tag}>", data(text));
    };
    match run.status {
        TestStatus::Pass => {}
        TestStatus::Skip => {
            let before = file.runs.iter().find(|run| run.status == TestStatus::Error);
            match before {
                Some(before) => child(
                    "skipped",
                    Some("Skipped after an error in an earlier run".to_owned()),
                    &format!(
                        "The run \"{}\" ended in an error, so that the rest of the file was skipped.",
                        before.name
                    ),
                ),
                None => child("skipped", Some("Skipped as the tests were stopped".to_owned()), ""),
            }
        }
        TestStatus::Fail => {
            let (broken, all) = run.broken;
            let first = errors.first().map(|it| it.detail.lines().next().unwrap_or_default()).unwrap_or_default();
            let message = format!("{broken} of {all} assertions failed: {first}");
            child("failure", Some(message), &text(&errors, sources));
        }
        TestStatus::Error => child("error", Some("Encountered an error".to_owned()), &text(&errors, sources)),
    }
    if !warnings.is_empty() {
        child("system-err", None, &text(&warnings, sources));
    }
    let nothing = run.status == TestStatus::Pass && warnings.is_empty();
    out.push_str(if nothing { "</testcase>\n" } else { "\n    </testcase>\n" });
}

fn text(all: &[Diagnostic], sources: &SourceMap) -> String {
    let all: Diagnostics = all.iter().cloned().collect();
    format!("\n{}", andon_view::diagnostics(&all, sources, Paint { colour: false }, WIDTH))
}

/// Letters that XML can hold; others become a mark of replacement.
fn legal(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\t' | '\n' | '\r' => letter,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ => letter,
    };
    text.chars().map(letter).collect()
}

/// Text as the value of an attribute.
pub fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in legal(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            '\t' => out.push_str("&#x9;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Text as the content of an element.
pub fn data(text: &str) -> String {
    format!("<![CDATA[{}]]>", legal(text).replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_held() {
        assert_eq!(attribute("a<b>&\"\n\u{1}é"), "a&lt;b&gt;&amp;&#34;&#xA;\u{fffd}é");
        assert_eq!(data("x]]>y"), "<![CDATA[x]]]]><![CDATA[>y]]>");
    }
}
