//! A text that is kept current inside another, between two lines that mark its place.

/// The line before it.
pub const BEGIN: &str = "<!-- andon docs begin -->";
/// The line after it.
pub const END: &str = "<!-- andon docs end -->";

/// Why nothing can be put into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectError {
    /// There are no marks.
    NoMarks,
    /// There is one mark without the other, or they are there more than once, or in the wrong order.
    UnclearMarks,
}

/// The text with `generated` between its marks. All else stays as it is, byte for byte; lines end as the mark's does.
pub fn inject(text: &str, generated: &str) -> Result<String, InjectError> {
    let mut begins = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match line.trim() {
            BEGIN => begins.push((at + line.len(), line.ends_with("\r\n"))),
            END => ends.push(at),
            _ => {}
        }
        at += line.len();
    }
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => Err(InjectError::NoMarks),
        ([(begin, windows)], [end]) if begin <= end => {
            let generated = format!("\n{}\n\n", generated.trim_matches('\n'));
            let generated = if *windows { generated.replace('\n', "\r\n") } else { generated };
            let (before, after) = (text.get(..*begin).unwrap_or_default(), text.get(*end..).unwrap_or_default());
            Ok(format!("{before}{generated}{after}"))
        }
        _ => Err(InjectError::UnclearMarks),
    }
}

/// The text with marks at its end.
pub fn with_markers(text: &str) -> String {
    let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => line,
        _ => {
            if line == "\n" {
                "\n\n"
            } else {
                "\r\n\r\n"
            }
        }
    };
    format!("{text}{gap}{BEGIN}{line}{END}{line}")
}
