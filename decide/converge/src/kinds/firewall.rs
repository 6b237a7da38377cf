//! The table of firewall rules that is Andon's own, `inet andon`, as nft(8) writes it.
//!
//! Every rule has a comment that says which role and resource it is of, and a digest of what it says. The rules of the
//! role that converges are made those that it defines; those of other roles stay as they are. So a rule that is
//! defined no more is gone, and roles that are applied one after the other do not undo each other. What is in other
//! tables is nobody's business here.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Where the table is kept for the next boot.
pub(crate) const KEPT: &str = "/etc/nftables.d/andon.nft";

const HEAD: &str = "# The firewall rules of Andon's roles. This file is written anew with each change of them.\n\
                    table inet andon\ndelete table inet andon\n";

/// The chains, by what passes them.
pub(crate) const CHAINS: [&str; 3] = ["input", "forward", "output"];

/// One line of a chain, of whichever role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub chain: &'static str,
    /// Lower ones come first.
    pub priority: i64,
    pub role: String,
    pub name: String,
    pub says: Says,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    /// An expression of nft, without its comment.
    Rule(String),
    /// What becomes of what no rule of its chain matches.
    Policy(String),
}

impl Line {
    /// What identifies the line, and changes with it.
    pub fn comment(&self) -> String {
        let text = match &self.says {
            Says::Rule(text) | Says::Policy(text) => text,
        };
        let digest: String = Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}/{} {} {digest}", self.role, self.name, self.priority)
    }
}

/// The lines of a table that is kept; what is not written as they are is passed over.
pub(crate) fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut chain = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            chain = CHAINS.into_iter().find(|known| *known == name);
        }
        let Some(chain) = chain else { continue };
        let parsed = match (line.strip_prefix("# policy "), line.rsplit_once(" comment \"")) {
            (Some(rest), _) => rest.split_once(' ').map(|(policy, comment)| (Says::Policy(policy.to_owned()), comment)),
            (None, Some((text, comment))) => {
                Some((Says::Rule(text.to_owned()), comment.strip_suffix('"').unwrap_or(comment)))
            }
            (None, None) => None,
        };
        let Some((says, comment)) = parsed else { continue };
        let mut words = comment.rsplitn(3, ' ').skip(1);
        let (Some(priority), Some(address)) = (words.next().and_then(|word| word.parse().ok()), words.next()) else {
            continue;
        };
        let Some((role, name)) = address.split_once('/') else { continue };
        lines.push(Line { chain, priority, role: role.to_owned(), name: name.to_owned(), says });
    }
    lines
}

/// The lines in the order that they count: by priority, then by role, then as they are defined.
pub(crate) fn ordered(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|one, other| (one.priority, &one.role).cmp(&(other.priority, &other.role)));
    lines
}

/// What becomes of what no rule of a chain matches: where roles differ, the stricter.
pub(crate) fn policy(lines: &[Line], chain: &str) -> &'static str {
    let drops = lines.iter().any(|line| line.chain == chain && line.says == Says::Policy("drop".to_owned()));
    if drops { "drop" } else { "accept" }
}

/// The table as nft(8) reads it: it takes the place of the old one in one step, or not at all.
pub(crate) fn script(lines: &[Line]) -> String {
    let mut text = HEAD.to_owned();
    if lines.is_empty() {
        return text;
    }
    text.push_str("table inet andon {\n");
    for chain in CHAINS.into_iter().filter(|chain| lines.iter().any(|line| line.chain == *chain)) {
        let policy = policy(lines, chain);
        let _ = writeln!(text, "\tchain {chain} {{\n\t\ttype filter hook {chain} priority filter; policy {policy};");
        for line in lines.iter().filter(|line| line.chain == chain) {
            let comment = line.comment();
            let _ = match &line.says {
                Says::Rule(rule) => writeln!(text, "\t\t{rule} comment \"{comment}\""),
                Says::Policy(policy) => writeln!(text, "\t\t# policy {policy} {comment}"),
            };
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let line = |chain, priority, role: &str, name: &str, says| Line {
            chain,
            priority,
            role: role.into(),
            name: name.into(),
            says,
        };
        let rule = |text: &str| Says::Rule(text.into());
        let lines = ordered(vec![
            line("input", 10, "web", "http, all", rule("tcp dport { 80, 443 } accept")),
            line("input", 0, "web", "drop", Says::Policy("drop".into())),
            line("output", -5, "base", "a/b", rule("log prefix \"x \" comment \"y\" drop")),
        ]);
        let text = script(&lines);
        assert_eq!(ordered(read(&text)), ordered(vec![lines[1].clone(), lines[2].clone(), lines[0].clone()]));
        assert_eq!((policy(&lines, "input"), policy(&lines, "output")), ("drop", "accept"));
        assert_eq!(read("chain input {\n tcp dport 1 accept\n x comment \"other\"\n"), []);
        assert_eq!(script(&[]), HEAD);
    }
}
