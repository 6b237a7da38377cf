//! What the lexer could not read, in words.

use andon_text::{Diagnostic, Diagnostics, Span};

use crate::lexer::{Fault, FaultKind};

/// Says what is wrong and what to do.
pub(super) fn explain(fault: Fault, span: Span, text: &str) -> Diagnostic {
    let shown = text.get(fault.start as usize..fault.end as usize).unwrap_or("");
    match fault.kind {
        FaultKind::Character => character(shown).at(span),
        FaultKind::SingleQuotes if shown.starts_with('`') => Diagnostic::error("backticks do not make a string")
            .at(span)
            .help(format!("Write it in double quotes: \"{}\".", shown.trim_matches('`'))),
        FaultKind::SingleQuotes => Diagnostic::error("single quotes do not make a string")
            .at(span)
            .help(format!("Write it in double quotes: \"{}\".", shown.trim_matches('\''))),
        FaultKind::CurlyQuotes => Diagnostic::error("curly quotes do not make a string")
            .at(span)
            .help("Replace them with straight double quotes: \"."),
        FaultKind::OpenString => Diagnostic::error("string is not closed")
            .at(span)
            .label("this string reaches the end of its line")
            .help("Add the missing \" at its end. For text of several lines use a heredoc, or \\n."),
        FaultKind::OpenSequence => {
            Diagnostic::error(format!("`{shown}` is not closed")).at(span).label("this is never closed").help(format!(
                "Add the missing }}. To have the characters themselves, write {}{shown}.",
                shown.get(..1).unwrap_or("$")
            ))
        }
        FaultKind::OpenComment => {
            Diagnostic::error("comment is not closed").at(span).help("Add */ where the comment ends.")
        }
        FaultKind::OpenHeredoc => Diagnostic::error("heredoc is not closed")
            .at(span)
            .label("this heredoc reaches the end of the file")
            .help(format!("Add a line that holds only {}.", shown.trim_start_matches(['<', '-']))),
        FaultKind::HeredocEnd => Diagnostic::error("line break is missing after a heredoc")
            .at(span)
            .label("the file ends on this line")
            .help("Add a line break at the end of the file."),
        FaultKind::Conflict => {
            Diagnostic::error("merge conflict is not resolved").at(span).label("version control left this line").help(
                "Keep what is right of both sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>.",
            )
        }
        FaultKind::HeredocStart => Diagnostic::error("heredoc does not begin with a name alone on its line")
            .at(span)
            .help("Write << or <<-, a name, and nothing else up to the end of the line, for example <<-EOT."),
    }
}

fn character(shown: &str) -> Diagnostic {
    let help = match shown {
        "&" => "Use && for a logical and.",
        "|" => "Use || for a logical or.",
        ";" => "Remove it: the end of the line ends an argument.",
        "`" => "Strings are written in double quotes.",
        "^" => "Use the function pow for a power.",
        "$" => "A reference outside a string is written without $ and braces: var.name.",
        _ => "Remove it, or put it in a string.",
    };
    let name = if shown.chars().count() == 1 { "character" } else { "characters" };
    let printed: String = shown.chars().take(20).flat_map(printable).collect();
    Diagnostic::error(format!("unknown {name} `{printed}`")).help(help)
}

/// A character as itself where a terminal shows it, else as its escape.
fn printable(character: char) -> Vec<char> {
    if character.is_control() || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{FEFF}') {
        character.escape_unicode().collect()
    } else {
        vec![character]
    }
}

/// The syntax errors of one text so far, no more of them than anybody reads: how many others there are is the last one.
#[derive(Default)]
pub(crate) struct Told {
    told: Diagnostics,
    /// How many were only counted.
    counted: usize,
}

impl Told {
    /// As many are shown.
    const SHOWN: usize = 100;
    /// As many are kept to choose from, as they do not all come in the order of the text.
    const KEPT: usize = 1000;

    pub fn tell(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.told.len() < Self::KEPT {
            self.told.push(diagnostic());
        } else {
            self.counted += 1;
        }
    }

    pub fn in_order(self) -> Diagnostics {
        let mut all = self.told;
        all.sort();
        let more = all.len().saturating_sub(Self::SHOWN) + self.counted;
        let Some(next) = all.iter().nth(Self::SHOWN).cloned() else { return all };
        let mut shown: Diagnostics = all.into_iter().take(Self::SHOWN).collect();
        let summary = if more == 1 { "1 more syntax error".to_owned() } else { format!("{more} more syntax errors") };
        let rest = Diagnostic { span: next.span, ..Diagnostic::error(summary) };
        shown.push(rest.label("the first of them").help("Mend those above, and look again."));
        shown
    }
}
