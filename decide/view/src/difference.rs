//! What is different between two values, a line each: only what changes, however deep it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use andon_value::{Kind, Marks, Value, from_json_implied, is_identifier, quote, render};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::Look;
use crate::fold::clean;

/// The most elements of two lists of which it is found out which are the same: beyond it they are shown as a whole.
const MOST_ALIGNED: usize = 2_000;

/// The lines of unchanged text around a change.
const CONTEXT: usize = 2;

/// How many letters of a text are left out at least: fewer are as short as saying so.
const LEFT_OUT: usize = 40;
/// The letters around a change that are shown of a long text.
const AROUND: usize = 16;

/// The difference between two values of a name, at an indent; `mark` follows the first line. Empty where there is none.
pub(crate) fn difference(name: &str, was: &Value, is: &Value, indent: usize, mark: &str, look: Look) -> String {
    andon_text::deeper(|| named(&format!("{name} = "), was, is, indent, mark, look))
}

fn named(head: &str, was: &Value, is: &Value, indent: usize, mark: &str, look: Look) -> String {
    let pad = " ".repeat(indent);
    let whole = || match (was.is_null(), is.is_null()) {
        (true, _) => format!("{pad}{head}{}{mark}\n", shown(is, indent)),
        (false, true) => format!("{pad}{head}{} → null{mark}\n", shown(was, indent)),
        _ => format!("{pad}{head}{} → {}{mark}\n", shown(was, indent), shown(is, indent)),
    };
    if was == is {
        return String::new();
    }
    if let Some(words) = secrecy(was, is) {
        return format!("{pad}{head}(sensitive value){mark}{words}\n");
    }
    match (was.kind(), is.kind()) {
        (Kind::Map(_, old) | Kind::Object(old), Kind::Map(_, new) | Kind::Object(new)) => {
            let inner = entries(old, new, indent + 2, look);
            format!("{pad}{head}{{{mark}\n{inner}{pad}}}\n")
        }
        (Kind::List(_, old) | Kind::Tuple(old), Kind::List(_, new) | Kind::Tuple(new)) => {
            match elements(old, new, indent + 2, look) {
                Some(inner) => format!("{pad}{head}[{mark}\n{inner}{pad}]\n"),
                None => whole(),
            }
        }
        (Kind::Set(_, old), Kind::Set(_, new)) => {
            let pad_in = " ".repeat(indent + 2);
            let mut inner = String::new();
            for gone in old.iter().filter(|it| !new.contains(it)) {
                inner.push_str(&format!("{pad_in}{} {},\n", look.paint.red("-"), shown(gone, indent + 2)));
            }
            for added in new.iter().filter(|it| !old.contains(it)) {
                inner.push_str(&format!("{pad_in}{} {},\n", look.paint.green("+"), shown(added, indent + 2)));
            }
            inner.push_str(&unchanged(old.iter().filter(|it| new.contains(it)).count(), &pad_in, look));
            format!("{pad}{head}[{mark}\n{inner}{pad}]\n")
        }
        (Kind::String(old), Kind::String(new)) => texts(head, old, new, indent, mark, look).unwrap_or_else(whole),
        _ => whole(),
    }
}

fn unchanged(count: usize, pad: &str, look: Look) -> String {
    if count == 0 { String::new() } else { format!("{pad}{}\n", look.paint.dim(&format!("# {count} unchanged"))) }
}

type Entries = std::collections::BTreeMap<Arc<str>, Value>;

fn entries(old: &Entries, new: &Entries, indent: usize, look: Look) -> String {
    let pad = " ".repeat(indent);
    let names: BTreeSet<&Arc<str>> = old.keys().chain(new.keys()).collect();
    let mut text = String::new();
    let mut same = 0;
    for name in names {
        let name_shown = key(name);
        match (old.get(name), new.get(name)) {
            (Some(was), Some(is)) if was == is => same += usize::from(!was.is_null()),
            (Some(was), None) => {
                text.push_str(&format!("{pad}{} {name_shown} = {}\n", look.paint.red("-"), shown(was, indent)));
            }
            (None, Some(is)) => {
                text.push_str(&format!("{pad}{} {name_shown} = {}\n", look.paint.green("+"), shown(is, indent)));
            }
            (Some(was), Some(is)) => text.push_str(&difference(&name_shown, was, is, indent, "", look)),
            (None, None) => {}
        }
    }
    text + &unchanged(same, &pad, look)
}

/// Which elements were taken out, put in or changed; `None` where there are too many to find out.
fn elements(old: &[Value], new: &[Value], indent: usize, look: Look) -> Option<String> {
    let pad = " ".repeat(indent);
    let mut text = String::new();
    if old.len() == new.len() {
        let mut same = 0;
        for (at, (was, is)) in old.iter().zip(new).enumerate() {
            if was == is {
                same += 1;
            } else {
                text.push_str(&andon_text::deeper(|| named(&format!("[{at}] "), was, is, indent, "", look)));
            }
        }
        return Some(text + &unchanged(same, &pad, look));
    }
    // What both begin and end with is the same; only the middle has to be looked at.
    let begin = old.iter().zip(new).take_while(|(was, is)| was == is).count();
    let (rest_old, rest_new) = (old.get(begin..)?, new.get(begin..)?);
    let end = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(was, is)| was == is).count();
    let middle_old = rest_old.get(..rest_old.len() - end)?;
    let middle_new = rest_new.get(..rest_new.len() - end)?;
    if middle_old.len().max(middle_new.len()) > MOST_ALIGNED {
        return None;
    }
    let kept = common(middle_old, middle_new);
    let mut same = begin + end;
    let (mut at_old, mut at_new) = (0, 0);
    for (next_old, next_new) in kept.into_iter().chain([(middle_old.len(), middle_new.len())]) {
        for gone in middle_old.get(at_old..next_old)? {
            text.push_str(&format!("{pad}{} {},\n", look.paint.red("-"), shown(gone, indent)));
        }
        for added in middle_new.get(at_new..next_new)? {
            text.push_str(&format!("{pad}{} {},\n", look.paint.green("+"), shown(added, indent)));
        }
        same += usize::from(next_old < middle_old.len());
        (at_old, at_new) = (next_old + 1, next_new + 1);
    }
    Some(text + &unchanged(same, &pad, look))
}

/// The places of what two sequences have in common, in both.
fn common<T: std::hash::Hash + Eq + Ord>(old: &[T], new: &[T]) -> Vec<(usize, usize)> {
    let same = |operation: DiffOp| match operation {
        DiffOp::Equal { old_index, new_index, len } => (0..len).map(|at| (old_index + at, new_index + at)).collect(),
        _ => Vec::new(),
    };
    capture_diff_slices(Algorithm::Myers, old, new).into_iter().flat_map(same).collect()
}

/// A key as it would be written.
fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quote(name) }
}

/// What is said of two values of which one is a secret as a whole; `None` where neither is.
fn secrecy(was: &Value, is: &Value) -> Option<&'static str> {
    if was.marks() == Marks::NONE && is.marks() == Marks::NONE {
        return None;
    }
    let (old, new) = (was.unmark_deep().0, is.unmark_deep().0);
    Some(match () {
        () if was.is_null() && is.is_unknown() => "  # known after the apply",
        () if was.is_null() => "",
        () if is.is_null() => "  # taken out",
        () if is.is_unknown() => "  # changes: known after the apply",
        () if old != new => "  # changes",
        () if was.marks() == Marks::NONE => "  # only its secrecy changes: it becomes a secret",
        () if is.marks() == Marks::NONE => "  # only its secrecy changes: it is a secret no more",
        () => "  # only its secrecy changes",
    })
}

/// A value as it is shown: text that is JSON as what it says, and nothing that is there only for a run.
pub(crate) fn shown(value: &Value, indent: usize) -> String {
    if value.marks_within().ephemeral {
        let hidden =
            value.map_deep(&mut |part| if part.marks().ephemeral { part.mark(Marks::SENSITIVE) } else { part });
        return render(&hidden, indent);
    }
    match (value.marks().sensitive, value.kind()) {
        (false, Kind::String(text)) => match json(text) {
            Some(said) => format!("jsonencode({})", render(&said, indent)),
            None => render(value, indent),
        },
        _ => render(value, indent),
    }
}

/// Text that is JSON is compared as what it says, and text of many lines line by line.
fn texts(head: &str, old: &str, new: &str, indent: usize, mark: &str, look: Look) -> Option<String> {
    let pad = " ".repeat(indent);
    if let (Some(was), Some(is)) = (json(old), json(new)) {
        if was == is {
            return Some(format!("{pad}{head}(the same JSON, written otherwise){mark}\n"));
        }
        let inner = andon_text::deeper(|| named("", &was, &is, indent, "", look));
        return Some(format!("{pad}{head}jsonencode({}){mark}\n", inner.trim()));
    }
    if !old.contains('\n') && !new.contains('\n') {
        return if look.full { None } else { shortened(head, old, new, &pad, mark) };
    }
    let ends = old.ends_with('\n') == new.ends_with('\n');
    let (old, new) = (lines_of(old, ends), lines_of(new, ends));
    if old.len().max(new.len()) > MOST_ALIGNED {
        return None;
    }
    let mut lines: Vec<(char, &str)> = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    for (next_old, next_new) in common(&old, &new).into_iter().chain([(old.len(), new.len())]) {
        lines.extend(old.get(at_old..next_old)?.iter().map(|line| ('-', *line)));
        lines.extend(new.get(at_new..next_new)?.iter().map(|line| ('+', *line)));
        lines.extend(old.get(next_old).map(|line| (' ', *line)));
        (at_old, at_new) = (next_old + 1, next_new + 1);
    }
    let mut text = format!("{pad}{head}<<EOT{mark}\n");
    let near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        lines.iter().skip(from).take(at - from + CONTEXT + 1).any(|(sign, _)| *sign != ' ')
    };
    let mut left_out = 0;
    for (at, (sign, line)) in lines.iter().enumerate() {
        if !near(at) {
            left_out += 1;
            continue;
        }
        text.push_str(&unchanged(std::mem::take(&mut left_out), &format!("{pad}  "), look));
        let line = format!("{pad}  {sign} {}", clean(line));
        let line = match sign {
            '-' => look.paint.red(&line),
            '+' => look.paint.green(&line),
            _ => line.trim_end().to_owned(),
        };
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&unchanged(left_out, &format!("{pad}  "), look));
    Some(format!("{text}{pad}EOT\n"))
}

/// The lines of a text; one that does not end with a line break says so in a line of its own, where the other one does.
fn lines_of(text: &str, same_end: bool) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    } else if !same_end {
        lines.push("(no line break at the end)");
    }
    lines
}

/// Two long texts of one line that differ in little, without most of what is the same.
fn shortened(head: &str, old: &str, new: &str, pad: &str, mark: &str) -> Option<String> {
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let begin = old.iter().zip(&new).take_while(|(was, is)| was == is).count();
    let (rest_old, rest_new) = (old.get(begin..)?, new.get(begin..)?);
    let end = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(was, is)| was == is).count();
    let (skip_begin, skip_end) = (begin.saturating_sub(AROUND), end.saturating_sub(AROUND));
    if skip_begin + skip_end < LEFT_OUT {
        return None;
    }
    let part = |all: &[char]| {
        let kept: String = all.get(skip_begin..all.len() - skip_end).unwrap_or_default().iter().collect();
        let (from, to) = (if skip_begin > 0 { "…" } else { "" }, if skip_end > 0 { "…" } else { "" });
        format!("{from}{}{to}", quote(&kept))
    };
    let same = format!("  # {} more characters are the same", skip_begin + skip_end);
    Some(format!("{pad}{head}{} → {}{mark}{same}\n", part(&old), part(&new)))
}

/// What a text says that is the JSON of an object or a list.
fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    from_json_implied(&serde_json::from_str(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use andon_value::{Marks, Type};

    use super::*;
    use crate::Paint;

    #[test]
    fn only_what_changes_is_shown() {
        let list = |elements: &[&str]| Value::list(Type::String, elements.iter().map(|it| Value::from(*it)));
        let set = |elements: &[&str]| Value::set(Type::String, elements.iter().map(|it| Value::from(*it)));
        let map =
            |entries: &[(&str, &str)]| Value::map(Type::String, entries.iter().map(|(k, v)| (*k, Value::from(*v))));
        let text = |text: &str| Value::from(text);
        let lines =
            |count: usize, last: &str| text(&((0..count).map(|at| format!("line {at}\n")).collect::<String>() + last));
        let secret = |it: &str| text(it).mark(Marks::SENSITIVE);
        for (was, is, expected) in [
            (text("a"), text("b"), "x = \"a\" → \"b\"\n"),
            (Value::NULL, text("b"), "x = \"b\"\n"),
            (text("a"), Value::NULL, "x = \"a\" → null\n"),
            (text("a"), Value::unknown(Type::String), "x = \"a\" → (known after apply)\n"),
            (secret("a"), secret("b"), "x = (sensitive value)  # changes\n"),
            (secret("a"), text("a"), "x = (sensitive value)  # only its secrecy changes: it is a secret no more\n"),
            (text("a"), secret("a"), "x = (sensitive value)  # only its secrecy changes: it becomes a secret\n"),
            (Value::NULL, secret("a"), "x = (sensitive value)\n"),
            (secret("a"), Value::NULL, "x = (sensitive value)  # taken out\n"),
            (
                Value::object([("a", secret("1")), ("b", text("1"))]),
                Value::object([("a", secret("2")), ("b", text("2"))]),
                "x = {\n  a = (sensitive value)  # changes\n  b = \"1\" → \"2\"\n}\n",
            ),
            (text("a\nb\n"), text("a\nb"), "x = <<EOT\n    a\n    b\n  + (no line break at the end)\nEOT\n"),
            (text("a\n\u{1b}[2Jb\n"), text("a\nb\n"), "x = <<EOT\n    a\n  - \\u001b[2Jb\n  + b\nEOT\n"),
            (Value::NULL, text("{\"a\":[1]}"), "x = jsonencode({\n  a = [\n    1,\n  ]\n})\n"),
            (
                text(&format!("{}old{}", "a".repeat(100), "b".repeat(100))),
                text(&format!("{}new{}", "a".repeat(100), "b".repeat(100))),
                "x = …\"aaaaaaaaaaaaaaaaoldbbbbbbbbbbbbbbbb\"… → …\"aaaaaaaaaaaaaaaanewbbbbbbbbbbbbbbbb\"…  # 168 more \
                 characters are the same\n",
            ),
            (
                map(&[("a", "1"), ("b", "2"), ("c d", "3")]),
                map(&[("a", "1"), ("b", "4"), ("e", "5")]),
                "x = {\n  b = \"2\" → \"4\"\n  - \"c d\" = \"3\"\n  + e = \"5\"\n  # 1 unchanged\n}\n",
            ),
            (list(&["a", "b", "c"]), list(&["a", "x", "c"]), "x = [\n  [1] \"b\" → \"x\"\n  # 2 unchanged\n]\n"),
            (list(&["a", "b", "c"]), list(&["a", "c"]), "x = [\n  - \"b\",\n  # 2 unchanged\n]\n"),
            (list(&["a", "c"]), list(&["a", "b", "c", "d"]), "x = [\n  + \"b\",\n  + \"d\",\n  # 2 unchanged\n]\n"),
            (set(&["a", "b"]), set(&["b", "c"]), "x = [\n  - \"a\",\n  + \"c\",\n  # 1 unchanged\n]\n"),
            (
                text("{\"a\": 1, \"b\": [1, 2]}"),
                text("{\"a\":1,\"b\":[1,3]}"),
                "x = jsonencode({\n  b = [\n    [1] 2 → 3\n    # 1 unchanged\n  ]\n  # 1 unchanged\n})\n",
            ),
            (text("{\"a\": 1}"), text("{\"a\":1}"), "x = (the same JSON, written otherwise)\n"),
            (
                lines(9, "old\n"),
                lines(9, "new\n"),
                "x = <<EOT\n  # 7 unchanged\n    line 7\n    line 8\n  - old\n  + new\nEOT\n",
            ),
        ] {
            assert_eq!(difference("x", &was, &is, 0, "", Paint::PLAIN.into()), expected, "{was:?} {is:?}");
        }
    }

    #[test]
    fn long_lists_cost_little() {
        let many = |from: i64| Value::list(Type::Number, (from..from + 100_000).map(Value::from));
        assert!(difference("x", &many(0), &many(1), 0, "", Paint::PLAIN.into()).contains("[0] 0 → 1"));
        let longer = Value::list(Type::Number, (7..200_000).map(Value::from));
        assert!(difference("x", &many(0), &longer, 0, "", Paint::PLAIN.into()).starts_with("x = ["));
    }
}
