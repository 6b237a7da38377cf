//! Servers that are replaced rather than repaired, as `drift` and `sync` tell of them.

use std::time::Duration;

use andon_engine::phoenix::{Phoenix, phoenixes};
use andon_fleet::phoenix::{Due, due};
use andon_ledger::Difference;
use andon_plan::FilesOfServers;
use andon_text::Diagnostic;
use serde_json::{Value as Json, json};

use crate::context::{Context, Stop};

/// Those of the environment in use, of these stacks.
pub fn find(context: &Context, stacks: &[String]) -> Result<Vec<Phoenix>, Stop> {
    let project = context.open()?;
    let environment = context.environment(&project)?;
    let stacks = context.stacks(&project, stacks)?;
    let state = project.session.state().environment(&environment.name);
    phoenixes(&project.session, &state, &stacks, andon_engine::now().0)
        .map_err(|failure| Diagnostic::error(failure.summary).detail(failure.detail).into())
}

/// What is drift of them, and what age: a line for each, and the lines below it. Nothing where all is as it should be.
pub fn lines(found: &[Phoenix]) -> Vec<String> {
    let mut lines = Vec::new();
    for phoenix in found {
        if !phoenix.drift.is_empty() {
            lines.push(format!("{phoenix} is not as its image:"));
            lines.extend(files(phoenix).map(|file| format!("    {file}")));
        }
        if let Some(due @ Due::TooOld { .. }) = due(&phoenix.living) {
            lines.push(format!("{phoenix}: {}", why(&due)));
        }
    }
    lines
}

/// What in a server is not as in its image: `changed /etc/motd`.
pub fn files(phoenix: &Phoenix) -> impl Iterator<Item = String> {
    phoenix.drift.iter().map(|file| format!("{} {}", file.how, file.what))
}

/// The same, as the ledger has it: that of members of a pool is the pool's.
pub fn differences(found: &[Phoenix]) -> FilesOfServers {
    let mut all = FilesOfServers::new();
    for phoenix in found {
        let files = phoenix.drift.iter().map(|file| match &phoenix.member {
            Some(member) => Difference { what: format!("{} in {}", file.what, member.name).into(), ..file.clone() },
            None => file.clone(),
        });
        all.entry(phoenix.address.clone()).or_default().extend(files);
    }
    all
}

/// The same as [`lines`] for scripts.
pub fn data(phoenix: &Phoenix) -> Json {
    json!({
        "address": phoenix.address.to_string(),
        "member": phoenix.member.as_ref().map(|member| &member.name),
        "drift": files(phoenix).collect::<Vec<_>>(),
        "age_s": phoenix.living.age.map(|age| age.as_secs()),
        "max_age_s": phoenix.living.max_age.map(|age| age.as_secs()),
        "due": due(&phoenix.living).is_some(),
    })
}

/// Why a server is replaced, in words.
pub fn why(due: &Due) -> String {
    match due {
        Due::Drifted(1) => "a file of its image is no longer as the image has it".to_owned(),
        Due::Drifted(count) => format!("{count} files of its image are no longer as the image has them"),
        Due::TooOld { age, max_age } => {
            format!("it is {} old, and may be {} (`max_age`)", words(*age), words(*max_age))
        }
    }
}

fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    let of = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match seconds {
        0..120 => of(seconds, "second"),
        120..7_200 => of(seconds / 60, "minute"),
        7_200..172_800 => of(seconds / 3_600, "hour"),
        _ => of(seconds / 86_400, "day"),
    }
}
