//! Version constraints, as `required_version` writes them
//! (<https://developer.hashicorp.com/terraform/language/expressions/version-constraints>).

use andon_hcl::ast::Ident;
use andon_text::Diagnostic;

/// What to say where a version does not meet a constraint, or the constraint is none.
pub(super) fn unmet(wanted: &Ident, what: &str, have: &str) -> Option<Diagnostic> {
    match meets(have, &wanted.name) {
        Some(true) => None,
        Some(false) => Some(
            Diagnostic::error(format!("{what} {} is required, and this is {have}", wanted.name))
                .at(wanted.span)
                .help("Use a version that meets the constraint, or change it where this version will do."),
        ),
        None => Some(
            Diagnostic::error(format!("\"{}\" is not a version constraint", wanted.name))
                .at(wanted.span)
                .help("Write it like \">= 1.5\", \"~> 1.5.0\" or \">= 1.2, < 2.0\"."),
        ),
    }
}

/// Whether a version meets every part of a constraint; `None` where it is none.
fn meets(version: &str, constraint: &str) -> Option<bool> {
    let have = parse(version)?;
    let parts: Option<Vec<bool>> = constraint.split(',').map(|part| meets_one(&have, part.trim())).collect();
    parts.map(|parts| parts.into_iter().all(|met| met))
}

fn meets_one(have: &[u64], part: &str) -> Option<bool> {
    let digits = part.find(|character: char| character.is_ascii_digit())?;
    let (operator, text) = part.split_at(digits);
    let wanted = parse(text)?;
    let filled: Vec<u64> = wanted.iter().copied().chain(std::iter::repeat(0)).take(3).collect();
    Some(match operator.trim().trim_end_matches('v').trim() {
        "" | "=" => have == filled,
        "!=" => have != filled,
        ">" => have > &*filled,
        ">=" => have >= &*filled,
        "<" => have < &*filled,
        "<=" => have <= &*filled,
        // All but the last part given must stay as they are.
        "~>" => {
            let fixed = wanted.len().saturating_sub(1).max(1);
            have >= &*filled && have.iter().take(fixed).eq(wanted.iter().take(fixed))
        }
        _ => return None,
    })
}

/// Up to three numbers; what comes after `-` or `+` is left out.
fn parse(text: &str) -> Option<Vec<u64>> {
    let release = text.split(['-', '+']).next()?.trim();
    let parts: Option<Vec<u64>> = release.split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() <= 3)
}

#[cfg(test)]
mod tests {
    use super::meets;

    #[test]
    fn constraints_are_met_or_not() {
        for (version, constraint, expected) in [
            ("1.14.0", ">= 1.5", Some(true)),
            ("1.14.0", ">= 1.5, < 2.0.0", Some(true)),
            ("1.14.0", "~> 1.5", Some(true)),
            ("1.14.0", "~> 1.5.0", Some(false)),
            ("1.5.7", "~> 1.5.0", Some(true)),
            ("1.14.0", "1.14.0", Some(true)),
            ("1.14.0", "= 1.14", Some(true)),
            ("1.14.0", "!= 1.14.0", Some(false)),
            ("1.14.0", "> 1.14.0", Some(false)),
            ("1.14.0", "<= 1.14", Some(true)),
            ("1.14.0", ">= 2", Some(false)),
            ("0.1.0", ">= 0.1", Some(true)),
            ("0.1.0", "~> 0", Some(true)),
            ("0.1.0", "latest", None),
            ("0.1.0", "=> 1", None),
            ("0.1.0", "1.2.3.4", None),
            ("0.1.0", "", None),
        ] {
            assert_eq!(meets(version, constraint), expected, "{version} {constraint}");
        }
    }
}
