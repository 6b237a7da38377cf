use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version as in <https://semver.org>; parts that are left out are 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major, minor, patch.
    pub release: [u64; 3],
    /// What follows `-`, if anything: an early version, before the release.
    pub early: Option<String>,
    /// What follows `+`, if anything. It says nothing of the order, and here only keeps two versions apart.
    pub build: Option<String>,
}

/// Which versions will do: every part of it must be met
/// (<https://developer.hashicorp.com/terraform/language/expressions/version-constraints>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionConstraint(Vec<(Operator, Version)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// `~>` with so many parts that must stay as they are.
    Near(usize),
    /// The same as versions of modules take it: after an early version, only other early versions.
    NearAlike(usize),
}

impl Operator {
    /// Its place among operators with the same version.
    fn rank(self) -> usize {
        match self {
            Operator::Greater => 0,
            Operator::GreaterOrEqual => 1,
            Operator::Equal => 2,
            // What fixes more comes first.
            Operator::Near(fixed) | Operator::NearAlike(fixed) => 6 - fixed.min(3),
            Operator::LessOrEqual => 7,
            Operator::Less => 8,
            Operator::NotEqual => 9,
        }
    }
}

/// The text is no version, or no constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionError(String, &'static str);

impl fmt::Display for VersionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\" is not a version{}", self.0, self.1)
    }
}

impl std::error::Error for VersionError {}

impl Version {
    /// Reads a version, and says how many of the three numbers were given.
    fn parse(text: &str) -> Option<(Version, usize)> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (numbers, early) = match rest.split_once('-') {
            Some((numbers, early)) => (numbers, Some(early)),
            None => (rest, None),
        };
        let mut release = [0; 3];
        let mut given = 0;
        for part in numbers.split('.') {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *release.get_mut(given)? = part.parse().ok()?;
            given += 1;
        }
        let named = |text: &str| {
            let character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            text.split('.').all(|part| !part.is_empty() && part.bytes().all(character))
        };
        if !early.is_none_or(named) || !build.is_none_or(named) {
            return None;
        }
        Some((Version { release, early: early.map(str::to_owned), build: build.map(str::to_owned) }, given))
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        let refuse = || VersionError(text.to_owned(), "");
        Version::parse(text).map(|(version, _)| version).ok_or_else(refuse)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.release;
        write!(out, "{major}.{minor}.{patch}")?;
        self.early.iter().try_for_each(|early| write!(out, "-{early}"))?;
        self.build.iter().try_for_each(|build| write!(out, "+{build}"))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let early = match (&self.early, &other.early) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(own), Some(other)) => compare_early(own, other),
        };
        self.release.cmp(&other.release).then(early).then_with(|| self.build.cmp(&other.build))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Part by part: numbers by value and before words; what is longer comes later.
fn compare_early(own: &str, other: &str) -> Ordering {
    let part = |text: &str| match text.parse::<u64>() {
        Ok(number) => (0, number, String::new()),
        Err(_) => (1, 0, text.to_owned()),
    };
    own.split('.').map(part).cmp(other.split('.').map(part))
}

impl VersionConstraint {
    /// Whether a version will do. An early version does only where a part names just that version.
    pub fn allows(&self, version: &Version) -> bool {
        let exact = |(operator, wanted): &(Operator, Version)| *operator == Operator::Equal && wanted == version;
        if version.early.is_some() && !self.0.iter().any(exact) {
            return false;
        }
        self.0.iter().all(|(operator, wanted)| match operator {
            Operator::Equal => version.release == wanted.release && version.early == wanted.early,
            Operator::NotEqual => version.release != wanted.release || version.early != wanted.early,
            Operator::Greater => version > wanted,
            Operator::GreaterOrEqual => version >= wanted,
            Operator::Less => version < wanted,
            Operator::LessOrEqual => version <= wanted,
            Operator::NearAlike(_) if wanted.early.is_some() && version.early.is_none() => false,
            Operator::Near(fixed) | Operator::NearAlike(fixed) => {
                version >= wanted && version.release.iter().take(*fixed).eq(wanted.release.iter().take(*fixed))
            }
        })
    }

    /// Reads what is written for versions of modules, which Terraform takes a little differently from those of
    /// providers: `~> 1` allows 2.0 as well, and `~>` with an early version allows only early ones.
    ///
    /// # Errors
    /// Where the text is no constraint.
    pub fn of_module(text: &str) -> Result<VersionConstraint, VersionError> {
        let VersionConstraint(mut all) = text.parse()?;
        for ((operator, _), part) in all.iter_mut().zip(text.split(',')) {
            if let Operator::Near(fixed) = operator {
                let one = !part.split(['-', '+']).next().unwrap_or_default().contains('.');
                *operator = Operator::NearAlike(if one { 0 } else { *fixed });
            }
        }
        Ok(VersionConstraint(all))
    }

    /// The newest of the versions that will do.
    pub fn newest<'v>(&self, versions: impl IntoIterator<Item = &'v Version>) -> Option<&'v Version> {
        versions.into_iter().filter(|version| self.allows(version)).max()
    }

    /// The same in one order and each part once, as lock files write it: by version; of one version in the order of
    /// [`Operator::rank`].
    pub fn sorted(mut self) -> VersionConstraint {
        self.0.sort_by(|(one, first), (other, second)| first.cmp(second).then(one.rank().cmp(&other.rank())));
        self.0.dedup();
        self
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What meets both.
    pub fn and(mut self, other: &VersionConstraint) -> VersionConstraint {
        self.0.extend(other.0.iter().cloned());
        self
    }
}

impl FromStr for VersionConstraint {
    type Err = VersionError;

    /// Parts between commas; text of spaces alone allows every version.
    fn from_str(text: &str) -> Result<VersionConstraint, VersionError> {
        if text.trim().is_empty() {
            return Ok(VersionConstraint::default());
        }
        let part = |part: &str| {
            let part = part.trim();
            let at = part.find(|character: char| character.is_ascii_alphanumeric())?;
            let (operator, wanted) = part.split_at(at);
            let (version, given) = Version::parse(wanted)?;
            let operator = match operator.trim() {
                "" | "=" => Operator::Equal,
                "!=" => Operator::NotEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                "~>" => Operator::Near(given.saturating_sub(1).max(1)),
                _ => return None,
            };
            Some((operator, version))
        };
        let refuse = || VersionError(text.to_owned(), " constraint");
        text.split(',').map(part).collect::<Option<_>>().map(VersionConstraint).ok_or_else(refuse)
    }
}

impl fmt::Display for VersionConstraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (operator, version)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match operator {
                Operator::Equal => write!(out, "{comma}{version}")?,
                Operator::NotEqual => write!(out, "{comma}!= {version}")?,
                Operator::Greater => write!(out, "{comma}> {version}")?,
                Operator::GreaterOrEqual => write!(out, "{comma}>= {version}")?,
                Operator::Less => write!(out, "{comma}< {version}")?,
                Operator::LessOrEqual => write!(out, "{comma}<= {version}")?,
                // With all three numbers only the last may grow; with fewer written, the ones before it are fixed.
                Operator::NearAlike(0) => write!(out, "{comma}~> {}", version.release[0])?,
                Operator::Near(2) | Operator::NearAlike(2) => write!(out, "{comma}~> {version}")?,
                Operator::Near(_) | Operator::NearAlike(_) => {
                    let [major, minor, _] = version.release;
                    write!(out, "{comma}~> {major}.{minor}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_allow_or_not() {
        for (version, constraint, expected) in [
            ("1.14.0", ">= 1.5, < 2.0.0", true),
            ("1.14.0", "~> 1.5", true),
            ("1.14.0", "~> 1.5.0", false),
            ("1.5.7", "~> 1.5.0", true),
            ("1.14.0", "1.14.0", true),
            ("1.14.0", "=1.14", true),
            ("1.14.0", "!= 1.14.0", false),
            ("1.14.0", ">1.14.0", false),
            ("1.14.0", "<= 1.14", true),
            ("0.1.0", "~> 0", true),
            ("2.0.0", "~> 1", false),
            ("2.0.0-beta1", ">= 1.0", false),
            ("2.0.0-beta1", "2.0.0-beta1", true),
            ("2.0.0-beta1", "2.0.0-beta2", false),
            ("2.0.0", "", true),
        ] {
            let constraint: VersionConstraint = constraint.parse().unwrap();
            let version: Version = version.parse().unwrap();
            assert_eq!(constraint.allows(&version), expected, "{version} {constraint}");
            let again: VersionConstraint = constraint.to_string().parse().unwrap();
            assert_eq!(again.allows(&version), expected, "{version} {again}");
        }
    }

    #[test]
    fn constraints_of_modules_are_a_little_different() {
        for (version, constraint, expected) in [
            ("2.1.0", "~> 1", true),
            ("0.9.0", "~> 1", false),
            ("2.0.0", "~> 1.2", false),
            ("1.9.0", "~> 1.2", true),
            ("1.3.0", "~> 1.2.0", false),
            ("1.2.0", "v1.2.0", true),
            ("1.2.0", ">= v1.0, < v2", true),
            ("2.0.0", "~> 2.0.0-rc.1", false),
            ("2.0.0-rc.1", "2.0.0-rc.1", true),
            ("2.0.0", "", true),
        ] {
            let constraint = VersionConstraint::of_module(constraint).unwrap();
            assert_eq!(constraint.allows(&version.parse().unwrap()), expected, "{version} {constraint}");
            let again = VersionConstraint::of_module(&constraint.to_string()).unwrap();
            assert_eq!(again, constraint);
        }
        for text in ["latest", "v", "vv1", "=> 1", ">= 1,"] {
            assert_eq!(
                VersionConstraint::of_module(text).unwrap_err().to_string(),
                format!("\"{text}\" is not a version constraint")
            );
        }
    }

    #[test]
    fn constraints_have_one_order() {
        for (written, expected) in [
            (
                "< 1.2.0, <= 1.2.0, > 1.2.0, >= 1.2.0, = 1.2.0, != 1.2.0, ~> 1.2.0, ~> 1.2",
                "> 1.2.0, >= 1.2.0, 1.2.0, ~> 1.2.0, ~> 1.2, <= 1.2.0, < 1.2.0, != 1.2.0",
            ),
            ("= 1.2.0-a, > 1.2.0-a, 1.2.0-b, 1.2.0, 1.2.0+x", "> 1.2.0-a, 1.2.0-a, 1.2.0-b, 1.2.0, 1.2.0+x"),
            ("~> 0, ~> 1.0.0, > 2, >= 1.10, >= 1.9", "~> 0.0, ~> 1.0.0, >= 1.9.0, >= 1.10.0, > 2.0.0"),
            (">= 1.2.0+b,>= 1.2.0+a, >=1.2.0+b", ">= 1.2.0+a, >= 1.2.0+b"),
            ("", ""),
        ] {
            assert_eq!(written.parse::<VersionConstraint>().unwrap().sorted().to_string(), expected);
        }
    }

    #[test]
    fn versions_have_an_order() {
        let order =
            ["0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-rc.2", "1.0.0-rc.10", "1", "1.0.1"];
        for pair in order.windows(2) {
            let [low, high] = [&pair[0], &pair[1]].map(|text| text.parse::<Version>().unwrap());
            assert!(low < high, "{low} {high}");
        }
        let versions = ["1.2.0", "1.10.0", "2.0.0-rc1"].map(|text| text.parse::<Version>().unwrap());
        assert_eq!(VersionConstraint::default().newest(&versions).unwrap().to_string(), "1.10.0");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "a", "1.2.3.4", "1..2", "1.2-", "1.2+", "vv1.0", "-1", "99999999999999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        for text in ["latest", "=> 1", "1.2.3.4", ">", ">= 1,", "1 2", "~> a"] {
            assert!(text.parse::<VersionConstraint>().is_err(), "{text}");
        }
    }
}
