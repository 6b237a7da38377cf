//! A real `terraform console`, where there is one.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What Terraform answers to each of some expressions: `error`, `unknown`, or the value in JSON and, after two spaces, as
/// its console shows it without white space. `None` where there is no Terraform. Starting it is what takes time, and
/// it prints only the answer to its last line, so one tuple asks for all.
pub fn ask(asked: &[&str]) -> Option<Vec<String>> {
    let parts = asked.iter().map(|asked| {
        let plain = format!("try(nonsensitive(jsonencode({asked})), can({asked}) ? \"none\" : \"error\")");
        format!("\"----\", {plain}, try({asked}, \"error\"), ")
    });
    let line = format!("[{}]\n", parts.collect::<String>());
    let said = console(&line)?;
    let answers: Vec<String> = said
        .trim_end()
        .trim_end_matches(']')
        .split("\n  \"----\",\n")
        .skip(1)
        .map(|answer| {
            let (json, shown) = answer.split_once('\n').expect("two answers");
            let shown = skeleton(shown);
            let json = json.trim().trim_end_matches(',');
            if json == "(known after apply)" {
                return "unknown".to_owned();
            }
            // It shows `${` in a string with its escape.
            let json: String = serde_json::from_str(&json.replace("$${", "${").replace("%%{", "%{")).expect("a string");
            match json.as_str() {
                "error" => json,
                "none" => format!("none  {}", shown.trim_end_matches(';')),
                json => {
                    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
                    format!("{json}  {}", shown.trim_end_matches(';'))
                }
            }
        })
        .collect();
    assert_eq!(answers.len(), asked.len(), "{said}");
    Some(answers)
}

/// A value as the console shows it, without white space and without what its strings say: the JSON says it, and this says
/// of which types it is.
fn skeleton(shown: &str) -> String {
    let mut out = String::new();
    let mut lines = shown.lines();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        if line.trim_end().ends_with("<<-EOT") || line.trim_end().ends_with("<<EOT") {
            let end = lines.find(|line| line.trim().trim_end_matches(',') == "EOT").unwrap_or_default();
            let comma = if end.ends_with(',') { "," } else { "" };
            line = format!("{}{comma}", line.replace("<<-EOT", "\"\"").replace("<<EOT", "\"\""));
        }
        let mut rest = line.as_str();
        while let Some((before, after)) = rest.split_once('"') {
            out.push_str(before);
            out.push_str("\"\"");
            // To the next quote that is not escaped.
            let mut escaped = false;
            let end = after.find(|character| {
                let ends = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                ends
            });
            rest = end.and_then(|end| after.get(end + 1..)).unwrap_or_default();
        }
        // What kind of null it is, is said in a comment.
        out.push_str(rest.split("/*").next().unwrap_or_default());
        if let Some((_, after)) = rest.split_once("*/") {
            out.push_str(after);
        }
    }
    out.split_whitespace().collect::<String>().replace(",]", "]").replace(",", ";")
}

/// What `terraform console` prints; `None` where there is no Terraform.
fn console(line: &str) -> Option<String> {
    let terraform = std::env::var("ANDON_TERRAFORM").unwrap_or_else(|_| "terraform".to_owned());
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
    let line = line.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(line.as_bytes()));
    let output = child.wait_with_output().expect("an answer");
    writer.join().expect("a writer").ok();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "terraform console: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
