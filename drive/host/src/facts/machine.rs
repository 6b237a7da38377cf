use std::cell::RefCell;
use std::fs;

use andon_schema::host::Stage;

/// The machine whose facts are gathered: its files, below a root that is empty but in tests.
pub(super) struct Machine {
    root: String,
    pub stage: Stage,
    reads: RefCell<Vec<String>>,
}

impl Machine {
    pub fn new(root: &str, stage: Stage) -> Machine {
        Machine { root: root.to_owned(), stage, reads: RefCell::default() }
    }

    /// The text of a file; `None` where it cannot be read.
    pub fn read(&self, path: &str) -> Option<String> {
        self.note(path);
        let bytes = fs::read(format!("{}{path}", self.root)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a file without blanks at its ends; `None` where that is empty.
    pub fn line(&self, path: &str) -> Option<String> {
        self.read(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub fn exists(&self, path: &str) -> bool {
        self.note(path);
        fs::symlink_metadata(format!("{}{path}", self.root)).is_ok()
    }

    /// Where a link points to.
    pub fn link(&self, path: &str) -> Option<String> {
        self.note(path);
        Some(fs::read_link(format!("{}{path}", self.root)).ok()?.to_string_lossy().into_owned())
    }

    /// The names in a directory, in order.
    pub fn names(&self, path: &str) -> Vec<String> {
        self.note(path);
        let entries = fs::read_dir(format!("{}{path}", self.root)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Whether it is the machine that this process is on: then its tools and its kernel can be asked, too.
    pub fn is_here(&self) -> bool {
        self.root.is_empty()
    }

    fn note(&self, path: &str) {
        if !self.is_here() {
            self.reads.borrow_mut().push(path.to_owned());
        }
    }

    /// What was looked at, each time; noted in tests alone.
    #[cfg(test)]
    pub fn reads(&self) -> Vec<String> {
        self.reads.borrow().clone()
    }
}
