//! What was typed at earlier consoles: one entry a line, its own line breaks and backslashes escaped.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// At most so many entries are kept.
const MOST: usize = 1000;

/// The file of earlier entries.
pub struct History {
    path: PathBuf,
}

impl History {
    /// The user's own, below `$XDG_STATE_HOME` (<https://specifications.freedesktop.org/basedir-spec/latest/>);
    /// `None` where the user has no home.
    pub fn of_user() -> Option<History> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
        Some(History { path: state.join("andon/console_history") })
    }

    /// The entries, from the oldest on. What cannot be read is as if it were not there.
    pub fn load(&self) -> Vec<String> {
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(unescaped).collect();
        let last = all.get(all.len().saturating_sub(MOST)..).unwrap_or_default().to_vec();
        // Twice as many as are kept: time to write the file anew. Where that fails, it is only long.
        if all.len() > 2 * MOST {
            let _ = self.replace(&last);
        }
        last
    }

    /// Adds an entry.
    pub fn append(&self, entry: &str) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = private(&self.path, OpenOptions::new().append(true))?;
        file.write_all(format!("{}\n", escaped(entry)).as_bytes())
    }

    fn replace(&self, entries: &[String]) -> io::Result<()> {
        let temporary = self.path.with_extension(format!("{}", std::process::id()));
        let text: String = entries.iter().map(|entry| escaped(entry) + "\n").collect();
        private(&temporary, OpenOptions::new().write(true).truncate(true))?.write_all(text.as_bytes())?;
        fs::rename(&temporary, &self.path)
    }
}

/// Opens a file that nobody else may read.
fn private(path: &Path, options: &mut OpenOptions) -> io::Result<fs::File> {
    let file = options.create(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        for entry in ["1", "[\n1,\n]", r#""a\nb""#, "\\", "\\n", "é\\\n"] {
            assert_eq!(unescaped(&escaped(entry)), entry);
            assert!(!escaped(entry).contains('\n'));
        }
    }
}
