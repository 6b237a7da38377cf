//! `local-exec` (<https://developer.hashicorp.com/terraform/language/resources/provisioners/local-exec>).

use std::path::Path;
use std::process::Command;

use andon_schema::Failure;
use andon_value::Value;

use crate::process::{self, End};
use crate::{Told, text, texts};

pub(crate) fn run(config: &Value, directory: &Path, told: &mut Told<'_>) -> Result<(), Failure> {
    let command = text(config, "command").unwrap_or_default();
    if command.is_empty() {
        return Err(told.failed("its command is empty", "Give `command` something to run."));
    }
    let shell = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
    let mut words = texts(config, "interpreter").filter(|words| !words.is_empty()).unwrap_or_else(shell);
    let program = words.remove(0);
    let working = text(config, "working_dir").map_or_else(|| directory.to_owned(), |path| directory.join(path));
    if !working.is_dir() {
        let how = "its working directory is not there";
        return Err(told.failed(how, &format!("{} is no directory.", working.display())));
    }
    let mut child = Command::new(&program);
    child.args(&words).arg(command).current_dir(&working);
    for (name, value) in config.get("environment").and_then(Value::as_entries).into_iter().flat_map(|map| map.iter()) {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(told.failed("its environment is none", "The name of a variable is empty, or has \"=\" in it."));
        }
        if let Some(value) = value.as_str() {
            child.env(&**name, &**value);
        }
    }
    let quiet = config.get("quiet").and_then(Value::as_bool).unwrap_or(false);
    if !quiet && !told.secret {
        told.step(&format!("runs {}", shown(command)));
    }
    match process::run(child, None, None, &mut |line| told.line(line)) {
        Ok(End::Exited(status)) if status.success() => Ok(()),
        Ok(End::Exited(status)) => {
            let what = if quiet { String::new() } else { format!("The command was: {}", shown(command)) };
            Err(told.failed(&process::how(status), &what))
        }
        Ok(End::TimedOut) => Err(told.failed("it took too long", "")),
        Err(error) => Err(told.failed("it could not be started", &format!("{program}: {error}"))),
    }
}

/// A command in one line.
fn shown(command: &str) -> String {
    let mut lines = command.trim().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first} …") } else { first.to_owned() }
}
