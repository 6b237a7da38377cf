use sha2::{Digest, Sha256};
use similar::TextDiff;

/// Contents beyond this are not compared line by line, in bytes.
pub(crate) const LARGE: usize = 256 * 1024;

/// How a report shows that the content of a file changes: lines among the differences, and a diff where both are
/// text of a sensible size.
pub(crate) struct Shown {
    pub differences: Vec<String>,
    pub diff: Option<String>,
}

/// Shows a change of content; `None` is no file. A secret one is only said to differ.
pub(crate) fn show(old: Option<&[u8]>, new: Option<&[u8]>, secret: bool) -> Shown {
    if old == new {
        return Shown { differences: Vec::new(), diff: None };
    }
    if secret {
        return Shown { differences: vec!["(sensitive content differs)".to_owned()], diff: None };
    }
    match (text(old), text(new)) {
        (Some(old), Some(new)) => {
            let diff = TextDiff::from_lines(old, new).unified_diff().context_radius(3).to_string();
            Shown { differences: Vec::new(), diff: (!diff.is_empty()).then_some(diff) }
        }
        _ => Shown { differences: vec![format!("content {} → {}", size(old), size(new))], diff: None },
    }
}

impl Shown {
    /// The same of a file that was there, and was too large to be read.
    pub fn instead_of(self, length: u64) -> Shown {
        let new = self.differences.first().and_then(|line| line.rsplit_once("→ ")).map(|(_, new)| new.to_owned());
        let new = new.unwrap_or_else(|| "text".to_owned());
        Shown { differences: vec![format!("content {length} bytes → {new}")], diff: None }
    }
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    let bytes = bytes.unwrap_or_default();
    if bytes.len() > LARGE || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn size(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "(none)".to_owned();
    };
    let digest: String = Sha256::digest(bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {digest}…", bytes.len())
}
