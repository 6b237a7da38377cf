//! Commands that a role names: run without a shell between, as whoever they are for.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command as Program;
use std::time::Duration;

use andon_schema::host::{Command, CommandOutput};

use crate::accounts::Accounts;
use crate::run::{Ended, Limit, Streams, finish, last_lines, started};

/// How much of each of its streams is kept, in bytes from its end.
const KEPT: u64 = 1024 * 1024;

/// Runs a command, whatever its end. An error is a reason why it could not be run.
pub(crate) fn answer(command: &Command) -> Result<CommandOutput, String> {
    let Some((name, _)) = command.words.split_first() else { return Err("the command is empty".to_owned()) };
    let limit = Limit::from(command.timeout_ms.map(Duration::from_millis));
    let input = command.input.as_ref().map(|bytes| &*bytes.0);
    let ended = match finish(prepared(command)?, Streams::Apart, input, limit, KEPT) {
        Ok(ended) => ended,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_missing(command.directory.as_deref()) => {
            let said = format!("this server has no `{name}`");
            return Ok(CommandOutput { status: Some(127), errors: said.as_str().into(), ..CommandOutput::default() });
        }
        Err(error) => return Err(started(name, command.directory.as_deref(), &error)),
    };
    let Ended { status, output, errors } = ended;
    let status = status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
    Ok(CommandOutput { status, output: output.into(), errors: errors.into() })
}

/// Runs a command that must end with 0.
pub(crate) fn act(command: &Command) -> Result<(), String> {
    let output = answer(command)?;
    let success =
        |status: i32| if command.returns.is_empty() { status == 0 } else { command.returns.contains(&status) };
    if output.status.is_some_and(success) {
        return Ok(());
    }
    let program = command.words.first().map_or("", |word| word);
    let how = match output.status {
        Some(status) => format!("`{program}` ended with {status}"),
        None => format!("`{program}` was stopped after {} s", command.timeout_ms.unwrap_or_default().div_ceil(1000)),
    };
    if command.secret {
        return Err(format!("{how}; what it said is not shown, because it was given a secret"));
    }
    let said = [&output.output, &output.errors].map(|bytes| last_lines(&String::from_utf8_lossy(&bytes.0), 12));
    let said = said.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join("\n");
    Err(if said.is_empty() { how } else { format!("{how}:\n{said}") })
}

fn is_missing(directory: Option<&str>) -> bool {
    directory.is_some_and(|directory| !std::path::Path::new(directory).is_dir())
}

fn prepared(command: &Command) -> Result<Program, String> {
    let mut words = command.words.iter();
    let mut program = Program::new(words.next().map_or("", |word| word));
    program.args(words.map(|word| &**word)).current_dir(command.directory.as_deref().unwrap_or("/"));
    crate::run::clean(&mut program);
    if let Some(name) = &command.user {
        become_user(&mut program, name)?;
    }
    program.envs(command.environment.iter().map(|(name, value)| (&**name, &**value)));
    if let Some(umask) = command.umask {
        // SAFETY: the closure makes one system call, which cannot fail, and allocates nothing.
        unsafe {
            program.pre_exec(move || {
                libc::umask(umask);
                Ok(())
            });
        }
    }
    Ok(program)
}

/// Has the program run as a user, with that user's groups and home.
fn become_user(program: &mut Program, name: &str) -> Result<(), String> {
    let accounts = Accounts::read();
    let user = accounts.user(name).ok_or_else(|| format!("there is no user `{name}` on this server"))?;
    let mut groups = vec![user.gid];
    groups.extend(user.groups.iter().filter_map(|group| accounts.gid(group).ok()));
    program.env("HOME", &*user.home).env("USER", name).env("LOGNAME", name);
    let (uid, gid) = (user.uid, user.gid);
    // SAFETY: the closure makes system calls alone and allocates nothing: its list of groups is made before.
    unsafe {
        program.pre_exec(move || {
            let done =
                libc::setgroups(groups.len(), groups.as_ptr()) == 0 && libc::setgid(gid) == 0 && libc::setuid(uid) == 0;
            if done { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &Command) -> (Option<i32>, String, String) {
        let output = answer(command).unwrap();
        (output.status, output.text(), String::from_utf8_lossy(&output.errors.0).into_owned())
    }

    #[test]
    fn commands_are_run_as_they_are_given() {
        let mut command = Command::shell("echo out; echo err >&2; pwd; echo $A; cat; exit 3");
        command.environment = vec![("A".into(), "a b".into())];
        command.directory = Some("/usr".into());
        command.input = Some("in\n".into());
        assert_eq!(said(&command), (Some(3), "out\n/usr\na b\nin\n".into(), "err\n".into()));
        assert_eq!(said(&Command::new(["no-such-tool"])).0, Some(127));
        assert_eq!(said(&Command::shell("kill -9 $$")).0, Some(137));
        let nowhere = Command { directory: Some("/no/such".into()), ..Command::new(["true"]) };
        assert!(answer(&nowhere).is_err_and(|error| error.contains("/no/such")));
        let late = Command { timeout_ms: Some(50), ..Command::shell("echo a; sleep 60") };
        assert_eq!(said(&late), (None, "a\n".into(), String::new()));
    }

    #[test]
    fn a_command_can_be_run_as_another_user() {
        // SAFETY: a system call without arguments.
        if unsafe { libc::geteuid() } != 0 {
            return println!("skipped: only root can become another user");
        }
        let command = Command { user: Some("nobody".into()), ..Command::shell("id -un; id -G; echo $HOME") };
        let (status, text, _) = said(&command);
        assert_eq!(status, Some(0));
        assert!(text.starts_with("nobody\n65534\n"), "{text}");
        let ghost = Command { user: Some("ghost".into()), ..Command::new(["true"]) };
        assert!(answer(&ghost).is_err_and(|error| error.contains("ghost")));
    }

    #[test]
    fn a_secret_is_not_in_the_words_of_a_failure() {
        let open = Command::shell("echo hunter2; exit 1");
        assert!(act(&open).is_err_and(|error| error == "`/bin/sh` ended with 1:\nhunter2"));
        let secret = Command { secret: true, ..open };
        assert!(act(&secret).is_err_and(|error| !error.contains("hunter2")));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
