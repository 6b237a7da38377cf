//! The numbers of users and groups that a user without root may give away.

use std::fs;
use std::process::{Command, Stdio};

use andon_schema::Failure;

use crate::failure::sentence;

/// How many numbers a realm needs beside the user's own: with it, all that a usual system's files have.
pub(super) const COUNT: u32 = (1 << 16) - 1;

/// One of the two kinds of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Users,
    Groups,
}

impl Numbers {
    fn file(self) -> &'static str {
        match self {
            Numbers::Users => "/etc/subuid",
            Numbers::Groups => "/etc/subgid",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Numbers::Users => "newuidmap",
            Numbers::Groups => "newgidmap",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Numbers::Users => "--add-subuids",
            Numbers::Groups => "--add-subgids",
        }
    }
}

/// Gives the user namespace of a process its numbers: 0 is the user's own, those after it the ones that are the user's to
/// give.
pub(super) fn map(process: u32, numbers: Numbers) -> Result<(), Failure> {
    let user = nix::unistd::geteuid();
    let own = match numbers {
        Numbers::Users => user.as_raw(),
        Numbers::Groups => nix::unistd::getegid().as_raw(),
    };
    let name = nix::unistd::User::from_uid(user).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| user.to_string());
    let file = numbers.file();
    let text = fs::read_to_string(file).unwrap_or_default();
    let first = first(&text, &name, user.as_raw()).ok_or_else(|| {
        let detail = format!(
            "A server has the users of a whole system, and {file} gives `{name}` fewer than {COUNT} numbers for them."
        );
        let option = numbers.option();
        Failure::new(format!("`{name}` has no numbers to give to the users of servers"), detail)
            .help(format!("Have root run: `usermod {option} 200000-265535 {name}`, with numbers that nobody has."))
    })?;
    let program = numbers.program();
    let words = [process, 0, own, 1, 1, first, COUNT].map(|number| number.to_string());
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| {
        Failure::new(
            format!("the program `{program}` cannot be run"),
            format!("It gives a user namespace its numbers. {}", sentence(&error.to_string())),
        )
        .help("Have root install it: `apt-get install uidmap`.")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(format!("`{program}` gives the lab no numbers"), sentence(&said)))
}

/// The first number of a range that is large enough, of a file with lines `USER:FIRST:COUNT` (subuid(5)).
fn first(text: &str, name: &str, number: u32) -> Option<u32> {
    let number = number.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let (user, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let count: u32 = count.parse().ok()?;
        let first: u32 = first.parse().ok()?;
        ((user == name || user == number) && count >= COUNT && first > 0).then_some(first)
    })
}

/// The map of a user namespace that has all the numbers of this process's own, as they are.
pub(crate) fn same_as_here(map: &str) -> String {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        // A range that is mapped must be within one of those that it is mapped by.
        Some(format!("{first} {first} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let check = |text: &str, expected: Option<u32>| assert_eq!(first(text, "ann", 1001), expected, "{text}");
        check("", None);
        check("ann:100000:65536\n", Some(100_000));
        check("ann:100000:65535\n", Some(100_000));
        check("bob:100000:65536\n1001:300000:65536\n", Some(300_000));
        check("ann:100000:1000\nann:300000:70000\n", Some(300_000));
        check("ann:100000:65534\n", None);
        check("anne:100000:65536\n", None);
        check("ann:100000\nann:x:65536\nann:0:65536\n", None);
    }

    #[test]
    fn a_namespace_within_has_the_same_numbers() {
        assert_eq!(same_as_here("         0       1001          1\n 1 300000 65535\n"), "0 0 1\n1 1 65535\n");
        assert_eq!(same_as_here(""), "");
    }
}
