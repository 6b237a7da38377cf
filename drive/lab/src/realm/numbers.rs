//! The numbers of users and groups that a user without root may give away.

use std::fs;
use std::process::{Command, Stdio};

use andon_schema::Failure;

use crate::failure::sentence;

/// How many numbers a realm needs beside the user's own: with it, all that a usual system's files have.
pub(super) const COUNT: u32 = (1 << 16) - 1;
/// How many numbers a user is proposed to be given, and the first of those that useradd(8) gives.
const PROPOSED: u32 = 1 << 16;
const FIRST: u32 = 100_000;

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
    let first = first(&text, &name, user.as_raw()).ok_or_else(|| none_given(numbers, &text, &name))?;
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
    Err(not_mapped(numbers, &String::from_utf8_lossy(&output.stderr)))
}

/// What is to be said where a user was given too few numbers, with the command that gives some which nobody has.
fn none_given(numbers: Numbers, text: &str, name: &str) -> Failure {
    let file = numbers.file();
    let detail = format!(
        "A server has the users of a whole system, and {file} gives `{name}` no {COUNT} numbers in a row for them."
    );
    let failure = Failure::new(format!("`{name}` has no numbers to give to the users of servers"), detail);
    let Some(first) = free(text) else {
        return failure.help(format!("Have root make room in {file}: all numbers are given."));
    };
    let (option, last) = (numbers.option(), first + (PROPOSED - 1));
    failure.help(format!(
        "Have root run `usermod {option} {first}-{last} {name}`, which adds the line `{name}:{first}:{PROPOSED}` to {file}."
    ))
}

/// What is to be said where the program that maps numbers did not do so.
fn not_mapped(numbers: Numbers, said: &str) -> Failure {
    let program = numbers.program();
    let failure = Failure::new(format!("`{program}` gives the lab no numbers"), sentence(said.trim()));
    match said.contains("Operation not permitted") {
        // It says so where it is not its owner's, root, who runs it.
        true => failure.help(format!(
            "It must be root's, with the set-user-ID bit or the capability for it, on a file system without `nosuid`. Have root \
             install it again: `apt-get install --reinstall uidmap`; `ls -l $(command -v {program})` shows how it is."
        )),
        false => failure,
    }
}

/// The first of numbers that nobody was given, above all that were.
fn free(text: &str) -> Option<u32> {
    let end = |line: &str| {
        let mut fields = line.trim().split(':').skip(1);
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        first.checked_add(count)
    };
    let first = text.lines().filter_map(end).fold(FIRST, u32::max);
    // The highest number of all means that there is none.
    first.checked_add(PROPOSED).filter(|end| *end < u32::MAX).map(|_| first)
}

/// The number by which a user namespace has one of its parent's.
pub(super) fn inside(map: &str, number: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        let (first, outside, count) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
        let at = number.checked_sub(outside).filter(|at| *at < count)?;
        first.checked_add(at)
    })
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
    fn who_has_too_few_numbers_is_told_the_command_and_the_line() {
        let check = |text: &str, expected: &str| {
            let failure = none_given(Numbers::Users, text, "ann");
            assert!(failure.help.join(" ").contains(expected), "{text}: {:?}", failure.help);
        };
        check("", "`usermod --add-subuids 100000-165535 ann`, which adds the line `ann:100000:65536` to /etc/subuid");
        check("bob:100000:65536\ncarl:165536:65536\n", "231072-296607 ann");
        check("ann:1000000:1000\nodd\n", "ann:1001000:65536");
        check("bob:4294900000:60000\n", "all numbers are given");
        let failure = not_mapped(Numbers::Groups, "newgidmap: write to gid_map failed: Operation not permitted\n");
        assert!(failure.help.join(" ").contains("set-user-ID"), "{failure:?}");
        assert!(not_mapped(Numbers::Groups, "newgidmap: gid range [1-2) -> [5-6) not allowed").help.is_empty());
    }

    #[test]
    fn numbers_are_seen_from_within() {
        let map = "         0       1001          1\n         1     300000      65535\n";
        let check = |number: u32, expected: Option<u32>| assert_eq!(inside(map, number), expected, "{number}");
        check(1001, Some(0));
        check(1002, None);
        check(0, None);
        check(300_000, Some(1));
        check(365_534, Some(65_535));
        check(365_535, None);
        assert_eq!(inside("0 0 4294967295\n", 33), Some(33));
    }

    #[test]
    fn a_namespace_within_has_the_same_numbers() {
        assert_eq!(same_as_here("         0       1001          1\n 1 300000 65535\n"), "0 0 1\n1 1 65535\n");
        assert_eq!(same_as_here(""), "");
    }
}
