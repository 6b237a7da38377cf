//! The console at a terminal: line editing, completion, hints, history.

use std::borrow::Cow;

use andon_lang::complete::{Completion, called, complete, is_in_heredoc, is_incomplete};
use andon_lang::definitions::Module;
use andon_schema::Schemas;
use andon_text::Diagnostic;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor, Helper};

use super::Console;
use super::history::History;
use crate::context::Stop;

const PROMPT: &str = "> ";

/// Reads expressions from the terminal and answers them, until the user leaves.
pub fn run(console: &mut Console<'_>) -> Result<(), Stop> {
    let failed = |error: ReadlineError| Stop::from(Diagnostic::error(format!("the terminal cannot be used: {error}")));
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(false).build();
    let mut editor: Editor<Assistant, MemHistory> = Editor::with_history(config, MemHistory::new()).map_err(failed)?;
    let module = console.module().cloned().unwrap_or_default();
    let colour = console.context.out.colour;
    editor.set_helper(Some(Assistant { module, schemas: console.schemas.clone(), colour }));
    let history = History::of_user();
    for entry in history.iter().flat_map(History::load) {
        let _ = editor.add_history_entry(entry);
    }
    let mut kept = true;
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            // What was typed is abandoned.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let text = line.trim_end();
        match text.trim() {
            "" => continue,
            "exit" | "quit" => return Ok(()),
            _ => {}
        }
        if !line.starts_with(' ') {
            let _ = editor.add_history_entry(text);
            if kept && let Some(Err(error)) = history.as_ref().map(|history| history.append(text)) {
                console.context.say(&format!("note: this is not kept for the next time: {error}"));
                kept = false;
            }
        }
        // An empty line ends what was not whole: then it is abandoned.
        if !is_incomplete(text) {
            console.answer(text);
        }
    }
}

/// What helps while a line is typed.
struct Assistant {
    module: Module,
    schemas: std::sync::Arc<Schemas>,
    colour: bool,
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Completion { from, candidates } = complete(line.get(..at).unwrap_or_default(), &self.module, &self.schemas);
        let pairs = candidates
            .into_iter()
            .map(|candidate| Pair { display: candidate.text.clone(), replacement: candidate.text });
        Ok((from, pairs.collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> Option<String> {
        if at < line.len() {
            return None;
        }
        let (function, _) = called(line)?;
        Some(format!("   {}", function.signature()))
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour { Cow::Owned(format!("\x1b[2m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let ended = text.ends_with('\n') && !is_in_heredoc(text);
        let goes_on = !ended && is_incomplete(text);
        Ok(if goes_on { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
