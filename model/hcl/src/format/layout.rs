//! Blanks: indentation, between tokens, and columns.

use unicode_segmentation::UnicodeSegmentation;

use super::Piece;
use crate::token::Kind;

/// A line's cells, as ends of ranges that follow each other: what leads, from `=` on, and the comment.
struct Line {
    start: usize,
    assign: usize,
    comment: usize,
    end: usize,
}

impl Line {
    fn has_assign(&self) -> bool {
        self.assign < self.comment
    }

    fn has_comment(&self) -> bool {
        self.comment < self.end
    }
}

/// Sets the blanks before every piece.
pub(super) fn lay_out(pieces: &mut [Piece<'_>]) {
    let lines = lines(pieces);
    indent(pieces, &lines);
    space(pieces, &lines);
    align(pieces, &lines, Line::has_assign, |line| (line.start, line.assign));
    align(pieces, &lines, Line::has_comment, |line| (line.start, line.comment));
}

/// Splits into lines, and lines into cells. A heredoc is on the line that it begins on, all of it.
fn lines(pieces: &[Piece<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in pieces.split_inclusive(|piece| piece.kind == Kind::Newline) {
        let end = start + line.len();
        // The line break of a line comment is in its cell.
        let comment_at = match line {
            [first @ .., comment, newline] if newline.kind == Kind::Newline && comment.kind == Kind::LineComment => {
                (!first.is_empty()).then_some(end - 2)
            }
            // Without a line break after it, at the end of the file, any comment is the last of its line.
            [first @ .., comment] if matches!(comment.kind, Kind::LineComment | Kind::InlineComment) => {
                (!first.is_empty()).then_some(end - 1)
            }
            _ => None,
        };
        let comment = comment_at.unwrap_or(end);
        let lead = line.get(..comment - start).unwrap_or_default();
        let equal = lead.iter().skip(1).position(|piece| piece.kind == Kind::Equal).map(|at| at + 1);
        // Where `=` begins a value of several lines, no column is made of it.
        let whole =
            |at: usize| lead.get(at..).unwrap_or_default().iter().map(|piece| bracket(piece.kind)).sum::<i32>() == 0;
        let assign = equal.filter(|at| whole(*at)).map_or(comment, |at| start + at);
        lines.push(Line { start, assign, comment, end });
        start = end;
    }
    lines
}

/// Indents each line by the number of lines above that left brackets open. What a heredoc opens does not count, though
/// what closes in it does: that is how `terraform fmt` has it.
fn indent(pieces: &mut [Piece<'_>], lines: &[Line]) {
    // How many brackets each such line left open.
    let mut open: Vec<i32> = Vec::new();
    for line in lines {
        let Some(pieces) = pieces.get_mut(line.start..line.end) else { continue };
        // From `=` on, a line's own brackets are closed on it, or there is no such cell.
        let lead = pieces.get(..line.assign - line.start).unwrap_or_default();
        let counted = lead.iter().take_while(|piece| piece.kind != Kind::OpenHeredoc);
        let net: i32 = counted.map(|piece| bracket(piece.kind)).sum();
        let Some(first) = pieces.first_mut() else { continue };
        if first.kind == Kind::Newline {
            first.spaces = 0;
            continue;
        }
        if net < 0 {
            close(&mut open, -net);
        }
        first.spaces = 2 * open.len();
        if net > 0 {
            open.push(net);
        }
    }
}

fn close(open: &mut Vec<i32>, mut closed: i32) {
    while let Some(last) = open.last_mut() {
        if closed < *last {
            *last -= closed;
            return;
        }
        closed -= *last;
        open.pop();
        if closed == 0 {
            return;
        }
    }
}

/// Sets one blank or none between the pieces of each line.
fn space(pieces: &mut [Piece<'_>], lines: &[Line]) {
    for line in lines {
        let Some(pieces) = pieces.get_mut(line.start..line.end) else { continue };
        let mut before = None;
        for index in 1..pieces.len() {
            let Some([subject, after]) = pieces.get_mut(index - 1..=index) else { continue };
            after.spaces = usize::from(has_space(before, subject, after));
            before = Some(subject.kind);
        }
    }
}

/// Whether a blank stands between two neighbours; `before` is what is before the first of them on its line.
fn has_space(before: Option<Kind>, subject: &Piece<'_>, after: &Piece<'_>) -> bool {
    use Kind::*;
    match (subject.kind, after.kind) {
        (_, Newline) => false,
        (Identifier, OpenParenthesis) => false,
        (DoubleColon, _) | (_, DoubleColon) => false,
        (Dot, _) | (_, Dot) => false,
        (_, Comma | Ellipsis) => false,
        (Comma, _) => true,
        (CloseSequence, OpenInterpolation | OpenDirective) => false,
        (OpenInterpolation | OpenDirective, OpenBrace) | (CloseBrace, CloseSequence) => true,
        (Literal | OpenQuote | OpenHeredoc, _) | (_, Literal | CloseQuote | CloseHeredoc) => false,
        (Identifier, _) if subject.text == "in" => true,
        (Identifier | Number, OpenBracket) => false,
        (closer, OpenBracket) if bracket(closer) < 0 => false,
        (Minus, _) => !is_negation(before),
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        (opener, _) if bracket(opener) > 0 => false,
        (_, closer) if bracket(closer) < 0 => false,
        (Bang, _) => false,
        _ => true,
    }
}

/// Whether a `-` after a piece can only be a negation.
fn is_negation(before: Option<Kind>) -> bool {
    use Kind::*;
    match before {
        None => true,
        Some(kind) => matches!(
            kind,
            OpenParenthesis
                | OpenBrace
                | OpenBracket
                | Equal
                | Colon
                | Comma
                | Question
                | Plus
                | Star
                | Slash
                | Percent
                | Minus
                | EqualEqual
                | NotEqual
                | Greater
                | GreaterOrEqual
                | Less
                | LessOrEqual
                | And
                | Or
                | Bang
        ),
    }
}

/// Puts a cell of lines that follow each other in one column: a blank after the longest of what is before it.
fn align(pieces: &mut [Piece<'_>], lines: &[Line], has_cell: fn(&Line) -> bool, before: fn(&Line) -> (usize, usize)) {
    for chain in lines.chunk_by(|one, next| has_cell(one) && has_cell(next)) {
        if !chain.first().is_some_and(has_cell) {
            continue;
        }
        let widths: Vec<usize> = chain
            .iter()
            .map(|line| {
                let (start, end) = before(line);
                pieces.get(start..end).unwrap_or_default().iter().map(width).sum()
            })
            .collect();
        let widest = widths.iter().max().copied().unwrap_or(0);
        for (line, width) in chain.iter().zip(widths) {
            if let Some(cell) = pieces.get_mut(before(line).1) {
                cell.spaces = widest - width + 1;
            }
        }
    }
}

/// Columns that a piece takes, with the blanks before it.
fn width(piece: &Piece<'_>) -> usize {
    let text = &*piece.text;
    // A line break of two bytes is one character as people see it, and so counts once.
    let counts_bytes = text.is_ascii() && !text.contains('\r');
    piece.spaces + if counts_bytes { text.len() } else { text.graphemes(true).count() }
}

pub(super) fn bracket(kind: Kind) -> i32 {
    use Kind::*;
    match kind {
        OpenBrace | OpenBracket | OpenParenthesis | OpenInterpolation | OpenDirective => 1,
        CloseBrace | CloseBracket | CloseParenthesis | CloseSequence => -1,
        _ => 0,
    }
}
