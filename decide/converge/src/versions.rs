//! The order of versions of packages, which is each package manager's own, and what a definition may ask of a version.

use std::cmp::Ordering;

use andon_schema::host::Manager;

/// What is asked of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// This very version; beyond Debian also without its release, as in `1.2` for `1.2-3`.
    Exactly(&'a str),
    /// Any that starts so: `1.2*`.
    Start(&'a str),
    /// All of these: `>= 1.2, < 2`.
    Bounds(Vec<(Bound, &'a str)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Least,
    Above,
    Most,
    Below,
}

const BOUNDS: [(&str, Bound); 4] =
    [(">=", Bound::Least), ("<=", Bound::Most), (">", Bound::Above), ("<", Bound::Below)];

impl Wish<'_> {
    /// Reads what a definition asks; `None` where that is no version.
    pub fn read(text: &str) -> Option<Wish<'_>> {
        let sound = |version: &str| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:~^_".contains(&byte);
            (!version.is_empty() && version.bytes().all(letter)).then_some(())
        };
        if text.trim_start().starts_with(['<', '>']) {
            let bounds = text.split(',').map(|part| {
                let part = part.trim();
                let (sign, bound) = BOUNDS.into_iter().find(|(sign, _)| part.starts_with(sign))?;
                let version = part.get(sign.len()..)?.trim();
                sound(version).map(|()| (bound, version))
            });
            return bounds.collect::<Option<Vec<_>>>().map(Wish::Bounds);
        }
        match text.strip_suffix('*') {
            Some(start) => sound(start).map(|()| Wish::Start(start)),
            None => sound(text).map(|()| Wish::Exactly(text)),
        }
    }

    pub fn fits(&self, manager: Manager, version: &str) -> bool {
        match self {
            Wish::Exactly(wanted) => version == *wanted || (manager != Manager::Apt && is_release_of(version, wanted)),
            Wish::Start(start) => version.starts_with(start),
            Wish::Bounds(bounds) => bounds.iter().all(|(bound, limit)| {
                let order = compare(manager, version, limit);
                match bound {
                    Bound::Least => order != Ordering::Less,
                    Bound::Above => order == Ordering::Greater,
                    Bound::Most => order != Ordering::Greater,
                    Bound::Below => order == Ordering::Less,
                }
            }),
        }
    }
}

/// Whether a version is one of the builds of what is asked without a build: `1.2-3.fc41` of `1.2`, with or without an
/// epoch.
fn is_release_of(version: &str, wanted: &str) -> bool {
    let plain = |text: &'_ str| text.split_once(':').map_or(0, |(epoch, _)| epoch.len() + 1);
    let rest = if wanted.contains(':') { version } else { version.get(plain(version)..).unwrap_or(version) };
    rest == wanted
        || (!wanted.contains('-') && rest.strip_prefix(wanted).is_some_and(|release| release.starts_with('-')))
}

/// Which of two versions is newer, as the package manager sees it.
pub(crate) fn compare(manager: Manager, one: &str, other: &str) -> Ordering {
    if manager == Manager::Apk {
        return compare_apk(one, other);
    }
    let (one, other) = (Parts::of(one), Parts::of(other));
    let order: fn(&str, &str) -> Ordering = if manager == Manager::Apt { compare_debian } else { compare_rpm };
    let epochs = number(one.epoch).cmp(&number(other.epoch));
    epochs.then_with(|| order(one.version, other.version)).then_with(|| match (one.release, other.release) {
        // Of builds, those of rpm and pacman only count where both are said.
        (None, _) | (_, None) if manager != Manager::Apt => Ordering::Equal,
        (one, other) => order(one.unwrap_or("0"), other.unwrap_or("0")),
    })
}

struct Parts<'a> {
    epoch: &'a str,
    version: &'a str,
    release: Option<&'a str>,
}

impl Parts<'_> {
    fn of(text: &str) -> Parts<'_> {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        match rest.rsplit_once('-') {
            Some((version, release)) => Parts { epoch, version, release: Some(release) },
            None => Parts { epoch, version: rest, release: None },
        }
    }
}

/// Digits as a number of any length: without leading zeros, the longer is the larger.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

/// Splits what fits off the start.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !fits(letter)).unwrap_or(text.len()))
}

/// deb-version(7): by turns what is no digit, in which `~` is before the end and letters are before all else, and
/// numbers.
fn compare_debian(mut one: &str, mut other: &str) -> Ordering {
    let weight = |letter: Option<char>| match letter {
        Some('~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => letter as i64,
        Some(letter) => letter as i64 + 256,
    };
    loop {
        let (words, rest) = split(one, |letter| !letter.is_ascii_digit());
        let (more, other_rest) = split(other, |letter| !letter.is_ascii_digit());
        let (mut words, mut more) = (words.chars(), more.chars());
        loop {
            let (letter, other_letter) = (words.next(), more.next());
            match weight(letter).cmp(&weight(other_letter)) {
                Ordering::Equal if letter.is_none() && other_letter.is_none() => break,
                Ordering::Equal => {}
                order => return order,
            }
        }
        let (digits, rest) = split(rest, |letter| letter.is_ascii_digit());
        let (more, other_rest) = split(other_rest, |letter| letter.is_ascii_digit());
        let order = number(digits).cmp(&number(more));
        if order != Ordering::Equal || (rest.is_empty() && other_rest.is_empty()) {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
}

/// The order of rpm (rpm-version(7)), which is pacman's, too: segments of digits or letters, what is between them only
/// parts them; `~` is before the end, `^` after it and before anything else.
fn compare_rpm(mut one: &str, mut other: &str) -> Ordering {
    loop {
        let between = |letter: char| !letter.is_ascii_alphanumeric() && letter != '~' && letter != '^';
        one = one.trim_start_matches(between);
        other = other.trim_start_matches(between);
        if let (Some(rest), Some(other_rest)) = (one.strip_prefix('~'), other.strip_prefix('~')) {
            (one, other) = (rest, other_rest);
            continue;
        }
        if let (Some(rest), Some(other_rest)) = (one.strip_prefix('^'), other.strip_prefix('^')) {
            (one, other) = (rest, other_rest);
            continue;
        }
        let first = |text: &str| match text.chars().next() {
            Some('~') => 0,
            None => 1,
            Some('^') => 2,
            Some(_) => 3,
        };
        let order = first(one).cmp(&first(other));
        if order != Ordering::Equal || one.is_empty() {
            return order;
        }
        let is_number = one.starts_with(|letter: char| letter.is_ascii_digit());
        let of_kind = |letter: char| letter.is_ascii_alphanumeric() && letter.is_ascii_digit() == is_number;
        let (segment, rest) = split(one, of_kind);
        let (more, other_rest) = split(other, of_kind);
        if more.is_empty() {
            // A number is newer than letters.
            return if is_number { Ordering::Greater } else { Ordering::Less };
        }
        let order = if is_number { number(segment).cmp(&number(more)) } else { segment.cmp(more) };
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
}

/// The order of apk (apk-package(5)): numbers with dots, a letter, suffixes of which `_alpha`, `_beta`, `_pre` and
/// `_rc` come before the end and others after it, and the build `-r1`.
fn compare_apk(one: &str, other: &str) -> Ordering {
    let build = |text: &'_ str| match text.rsplit_once("-r") {
        Some((version, build)) => (version.len(), build.parse::<u64>().ok()),
        None => (text.len(), None),
    };
    let ((end, one_build), (other_end, other_build)) = (build(one), build(other));
    let (one, other) = (one.get(..end).unwrap_or(one), other.get(..other_end).unwrap_or(other));
    let mut suffixes = one.split('_');
    let mut others = other.split('_');
    let (base, other_base) = (suffixes.next().unwrap_or_default(), others.next().unwrap_or_default());
    let order = compare_rpm(base, other_base);
    if order != Ordering::Equal {
        return order;
    }
    loop {
        let (suffix, other) = (suffixes.next(), others.next());
        if suffix.is_none() && other.is_none() {
            return match (one_build, other_build) {
                (Some(one), Some(other)) => one.cmp(&other),
                _ => Ordering::Equal,
            };
        }
        let order = apk_suffix(suffix).cmp(&apk_suffix(other));
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn apk_suffix(suffix: Option<&str>) -> (i32, (usize, &str)) {
    let Some(suffix) = suffix else { return (0, number("")) };
    let (word, digits) = split(suffix, |letter| letter.is_ascii_alphabetic());
    let names = ["alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"];
    let place = names.iter().position(|name| *name == word).and_then(|at| i32::try_from(at).ok());
    (place.unwrap_or(4) - 4, number(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manager: Manager, ascending: &[&str]) {
        for (place, one) in ascending.iter().enumerate() {
            for (other_place, other) in ascending.iter().enumerate() {
                assert_eq!(compare(manager, one, other), place.cmp(&other_place), "{manager:?}: {one} and {other}");
            }
        }
    }

    #[test]
    fn each_manager_has_its_order() {
        check(
            Manager::Apt,
            &["1.0~beta1", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0+dfsg", "1.0.1", "1.2", "1.10", "1:0.1", "2:0"],
        );
        check(Manager::Dnf, &["1.0~rc1-1", "1.0-1.fc40", "1.0-1.fc41", "1.0^git1-1", "1.0a-1", "1.0.1-1", "1.10-1"]);
        check(Manager::Pacman, &["1.0-1", "1.0-2", "1.0.1-1", "1.9-1", "1.10-1", "1:0.5-1"]);
        check(Manager::Apk, &["1.2_alpha1", "1.2_rc1-r0", "1.2-r0", "1.2-r1", "1.2_p1-r0", "1.2a-r0", "1.2.1", "1.10"]);
    }

    #[test]
    fn equal_versions() {
        for (manager, one, other) in [
            (Manager::Apt, "0:1.0", "1.0"),
            (Manager::Apt, "1.0-0", "1.0"),
            (Manager::Apt, "1.01", "1.1"),
            (Manager::Dnf, "1.0", "1.0-3.fc41"),
            (Manager::Dnf, "1_0", "1.0"),
        ] {
            assert_eq!(compare(manager, one, other), Ordering::Equal, "{one} {other}");
        }
    }

    #[test]
    fn what_can_be_asked() {
        for (manager, asked, version, fits) in [
            (Manager::Apt, "1.2-3", "1.2-3", true),
            (Manager::Apt, "1.2", "1.2-3", false),
            (Manager::Dnf, "1.2", "1.2-3.fc41", true),
            (Manager::Dnf, "1.2", "2:1.2-3.fc41", true),
            (Manager::Dnf, "1.2", "1.20-3.fc41", false),
            (Manager::Apk, "1.2.3", "1.2.3-r1", true),
            (Manager::Apt, "1.2*", "1.2-3", true),
            (Manager::Apt, "1.2*", "1.3-3", false),
            (Manager::Apt, ">= 1.2", "1.10-1", true),
            (Manager::Apt, ">=1.2, < 2", "2.0", false),
            (Manager::Apt, ">=1.2, < 2", "1.9", true),
            (Manager::Apt, "> 1.2", "1.2", false),
            (Manager::Apt, "<= 1.2", "1.2", true),
        ] {
            let wish = Wish::read(asked).unwrap();
            assert_eq!(wish.fits(manager, version), fits, "{asked} {version}");
        }
        for text in ["", "*", "1 2", ">=", ">= 1, 2", "1.*.2", "=1", "é"] {
            assert_eq!(Wish::read(text), None, "{text}");
        }
    }
}
